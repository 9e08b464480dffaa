"""The reference's optimizers against torch's own: values, state dicts in both directions, and clipping."""

import copy

import pytest
import torch
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_

from solutions import optim

SHAPES = [(2, 3), (3,), (), (2, 2, 2)]
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.7, "weight_decay": 0.3}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.0}),
    ("AdamW", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 0.1, "weight_decay": 0.3}),
]
each_case = pytest.mark.parametrize(("rule", "options"), CASES, ids=[f"{rule}-{o}" for rule, o in CASES])
each_rule = pytest.mark.parametrize(("rule", "options"), [CASES[3], CASES[6]], ids=["SGD", "AdamW"])


def parameters():
    generator = torch.Generator().manual_seed(1)
    return [Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in SHAPES]


def give_gradients(params, step):
    """The same to whoever asks for this step; parameter 1 has none at first, and parameter 2 never."""
    generator = torch.Generator().manual_seed(100 + step)
    for index, parameter in enumerate(params):
        gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = None if index == 2 or (index == 1 and step < 2) else gradient


def train(optimizer, params, steps):
    for step in steps:
        give_gradients(params, step)
        optimizer.step()


def assert_same(ours, theirs):
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)


@each_case
def test_six_steps_end_where_torch_ends(rule, options):
    ours, theirs = parameters(), parameters()
    train(getattr(optim, rule)(ours, **options), ours, range(6))
    train(getattr(torch.optim, rule)(theirs, **options), theirs, range(6))
    assert_same(ours, theirs)


@each_rule
def test_groups_and_a_schedule_are_read_as_by_torch(rule, options):
    ended = []
    for module in (optim, torch.optim):
        params = parameters()
        groups = [{"params": params[:1], "weight_decay": 0.7}, {"params": params[1:], "lr": 0.02}]
        optimizer = getattr(module, rule)(groups, **options)
        for step in range(4):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            train(optimizer, params, [step])
        ended.append(params)
    assert_same(*ended)


@each_case
def test_state_has_torchs_names_shapes_and_values(rule, options):
    ours, theirs = parameters(), parameters()
    own, other = getattr(optim, rule)(ours, **options), getattr(torch.optim, rule)(theirs, **options)
    train(own, ours, range(3))
    train(other, theirs, range(3))
    # torch keeps {"momentum_buffer": None} where there is no momentum.
    entries = {i: {k: v for k, v in e.items() if v is not None} for i, e in other.state_dict()["state"].items()}
    expected = {i: {k: float(v) if k == "step" else v for k, v in e.items()} for i, e in entries.items() if e}
    got = own.state_dict()["state"]
    torch.testing.assert_close({i: {**e, **_float_step(e)} for i, e in got.items()}, expected, rtol=1e-12, atol=1e-12)


def _float_step(entry):
    return {"step": float(entry["step"])} if "step" in entry else {}


@each_rule
def test_a_run_begun_with_torch_is_gone_on_with(rule, options):
    ours, theirs = parameters(), parameters()
    other = getattr(torch.optim, rule)(theirs, **options)
    train(other, theirs, range(3))
    for own, parameter in zip(ours, theirs, strict=True):
        own.data = parameter.detach().clone()
    loaded = getattr(optim, rule)(ours, lr=9.0)
    loaded.load_state_dict(other.state_dict())
    train(loaded, ours, range(3, 6))
    train(other, theirs, range(3, 6))
    assert_same(ours, theirs)


@each_rule
def test_torch_goes_on_with_a_run_begun_here(rule, options):
    ours, theirs = parameters(), parameters()
    own = getattr(optim, rule)(ours, **options)
    train(own, ours, range(3))
    for parameter, one in zip(theirs, ours, strict=True):
        parameter.data = one.detach().clone()
    loaded = getattr(torch.optim, rule)(theirs, lr=9.0)
    saved = copy.deepcopy(own.state_dict())
    # torch takes a saved group as it is, and would miss the options that only torch has.
    saved["param_groups"] = [{**loaded.state_dict()["param_groups"][0], **saved["param_groups"][0]}]
    loaded.load_state_dict(saved)
    train(loaded, theirs, range(3, 6))
    train(own, ours, range(3, 6))
    assert_same(ours, theirs)


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_clipping_gives_torchs_norm_and_gradients(max_norm, dtype):
    ours, theirs = ([Parameter(p.detach().to(dtype)) for p in parameters()] for _ in range(2))
    for parameter in (*ours[1:], *theirs[1:]):  # the first has no gradient
        parameter.grad = 4.0 * parameter.detach() + 1.0
    rtol = 1e-2 if dtype == torch.bfloat16 else 1e-5
    got, expected = optim.clip_grad_norm(iter(ours), max_norm), clip_grad_norm_(theirs, max_norm)
    # torch adds up in the gradients' own dtype.
    torch.testing.assert_close(got, expected, rtol=rtol, atol=0.0, check_dtype=dtype != torch.bfloat16)
    for own, other in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=rtol, atol=0.0)
