"""Checks of optim: what is in a group, what is remembered of a parameter, and how far a step goes."""

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Parameter

from grader.checking import check
from tests.models import outcome_of
from tests.strategies import normal, seeds, sizes, tensors

# Two pairs of one shape, so that what is kept by shape and not by parameter meets.
SHAPES = [(2, 3), (3,), (2, 3), (3,), (4,)]
RULES = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3},
    "AdamW": {"lr": 0.1, "betas": (0.8, 0.95), "eps": 0.1, "weight_decay": 0.3},
}


def draw(rand, shapes=SHAPES, scale=1.0):
    return [scale * rand(*shape) for shape in shapes]


def parameters_of(values):
    return [Parameter(value.clone()) for value in values]


def place(found, parameters):
    """Which of these parameters it is: the very object, not one like it."""
    kind = "another tensor" if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
    return next((i for i, parameter in enumerate(parameters) if parameter is found), f"{kind}, not a parameter given")


def groups_of(groups, parameters):
    """Groups, with the places of the parameters for the parameters."""
    return [{**group, "params": [place(p, parameters) for p in group["params"]]} for group in groups]


def entries_of(state, name):
    """State as plain values: t is a number, however it is kept, and an entry in which nothing is does not count."""
    entries = {
        name(key): {k: float(v) if k == "step" else v for k, v in entry.items() if v is not None}
        for key, entry in state.items()
    }
    return {key: entry for key, entry in entries.items() if entry}


def saved_by(optimizer):
    """What state_dict returns, in plain values."""
    saved = optimizer.state_dict()
    state = entries_of(saved["state"], _number)
    groups = [{**group, "params": [_number(p) for p in group["params"]]} for group in saved["param_groups"]]
    dtypes = {key: {k: str(v.dtype) for k, v in e.items() if k != "step"} for key, e in state.items()}
    return {"groups in state_dict": groups, "state in state_dict": state, "dtypes in it": dtypes}


def _number(key):
    return "a parameter itself" if isinstance(key, torch.Tensor) else key


# Optimizer


def in_two_groups(unit, parameters):
    groups = [{"params": parameters[:2]}, {"params": parameters[2:]}]
    return unit.Optimizer(groups, {"lr": 0.1, "betas": (0.5, 0.6)})


def checkpoint(values):
    """A state dict for groups of 2 and 3 parameters; two of the parameters have no state."""
    state = {
        1: {"step": 3, "exp_avg": values[1].clone()},
        3: {"step": torch.tensor(2.0), "exp_avg": values[3].clone()},
        0: {"momentum_buffer": values[0].clone()},
    }
    groups = [
        {"lr": 0.7, "betas": (0.1, 0.2), "note": "first", "params": [0, 1]},
        {"lr": 0.8, "betas": (0.3, 0.4), "params": [2, 3, 4]},
    ]
    return {"state": state, "param_groups": groups}


@check("Optimizer", "shape")
def test_Optimizer_has_groups_defaults_and_no_state_yet(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = unit.Optimizer(parameters, {"lr": 0.1, "betas": (0.9, 0.99)})
        facts = {"param_groups": groups_of(optimizer.param_groups, parameters), "defaults": optimizer.defaults}
        return facts | {"state": dict(optimizer.state)}

    agree.on("a new Optimizer of five parameters", question)


@check("Optimizer", "shape")
def test_Optimizer_state_dict_has_numbers_where_parameters_were(agree, rand):
    values = draw(rand)
    agree.on("a new Optimizer of 2 and 3 parameters", lambda unit: saved_by(in_two_groups(unit, parameters_of(values))))


@check("Optimizer", "property")
@pytest.mark.parametrize("make", [list, tuple, iter], ids=["list", "tuple", "generator"])
@pytest.mark.parametrize("inside", ["bare", "in a group"])
def test_Optimizer_takes_any_iterable(agree, rand, make, inside):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        given = make(parameters) if inside == "bare" else make([{"params": make(parameters)}])
        return groups_of(unit.Optimizer(given, {"lr": 0.1}).param_groups, parameters)

    agree.on(f"the groups of Optimizer(parameters {inside}, as {make.__name__})", question)


@check("Optimizer", "property")
def test_Optimizer_leaves_the_callers_groups_as_they_were(agree, rand):
    first, second = parameters_of(draw(rand))[:2]
    groups = [{"params": [first]}, {"params": (second,), "lr": 0.5}]
    agree.on(
        "how many groups Optimizer makes of two dicts of the caller's",
        lambda unit: len(unit.Optimizer(groups, {"lr": 0.1, "momentum": 0.9}).param_groups),
    )


@check("Optimizer", "property")
@pytest.mark.parametrize("make", [list, iter], ids=["list", "generator"])
def test_Optimizer_refuses_to_optimize_nothing(agree, make):
    agree.raises(
        f"Optimizer of an empty {make.__name__}",
        lambda unit: len(unit.Optimizer(make([]), {"lr": 0.1}).param_groups),
        ValueError,
    )


@check("Optimizer", "property")
def test_Optimizer_refuses_a_parameter_that_comes_twice(agree, rand):
    value, other = rand(3), rand(3)

    def question(unit):
        one, two, twin = parameters_of([value, other, value])
        apart = [{"params": [one, two]}, {"params": [twin, one]}]
        return {
            "twice in one group": outcome_of(lambda: unit.Optimizer([one, two, one], {})),
            "in two groups": outcome_of(lambda: unit.Optimizer(apart, {})),
            "two parameters with equal values": outcome_of(lambda: unit.Optimizer([one, twin], {})),
        }

    agree.on("Optimizer with a parameter that comes again", question)


@check("Optimizer", "property")
def test_Optimizer_takes_hundreds_of_parameters(agree, rand):
    # A small model has as many. Python keeps whole numbers to 256 once, so that up to there `is` looks like `==`.
    values = list(rand(300, 1))

    def question(unit):
        parameters = parameters_of(values)
        return groups_of(unit.Optimizer(parameters, {"lr": 0.1}).param_groups, parameters)

    agree.on("the groups of Optimizer(300 parameters)", question)


@check("Optimizer", "property")
def test_Optimizer_adds_nothing_when_it_refuses_a_group(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = unit.Optimizer(parameters[:3], {"lr": 0.1})
        came = outcome_of(lambda: optimizer.add_param_group({"params": [parameters[3], parameters[2]]}))
        return {"add_param_group": came, "param_groups": groups_of(optimizer.param_groups, parameters)}

    agree.on("Optimizer, after it refused a group with a parameter that it had", question)


@check("Optimizer", "property")
def test_Optimizer_fills_groups_up_from_the_defaults(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        given = [{"params": parameters[:2], "note": "a"}, {"params": [], "lr": 0.5, "initial_lr": 2.0}]
        optimizer = unit.Optimizer(given, {"lr": 0.1, "momentum": 0.9})
        optimizer.add_param_group({"params": iter(parameters[2:]), "momentum": 0.3})
        return groups_of(optimizer.param_groups, parameters)

    agree.on("Optimizer's groups with options of their own, and one that was added", question)


@check("Optimizer", "property")
def test_Optimizer_saves_an_option_as_it_is_now(agree, rand):
    values = draw(rand)

    def question(unit):
        optimizer = in_two_groups(unit, parameters_of(values))
        optimizer.param_groups[1]["lr"] = 0.25
        return saved_by(optimizer)

    agree.on('Optimizer after param_groups[1]["lr"] = 0.25', question)


@check("Optimizer", "property")
@given(lengths=st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_Optimizer_numbers_the_parameters_of_all_groups_in_one_count(unit, lengths):
    groups = [{"params": parameters_of([torch.zeros(2)] * length)} for length in lengths]
    numbers = [group["params"] for group in unit.Optimizer(groups, {"lr": 0.1}).state_dict()["param_groups"]]
    count = iter(range(sum(lengths)))
    expected = [[next(count) for _ in range(length)] for length in lengths]
    assert [list(n) for n in numbers] == expected, (
        f"optim.Optimizer: groups of {lengths} parameters have the numbers {numbers} in state_dict, expected {expected}"
    )


@check("Optimizer", "property")
def test_Optimizer_zero_grad_forgets_all_gradients(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = in_two_groups(unit, parameters)
        for parameter in parameters[1:]:
            parameter.grad = torch.ones_like(parameter)
        optimizer.zero_grad()
        return {f"gradient {i}": parameter.grad for i, parameter in enumerate(parameters)}

    agree.on("the gradients after Optimizer.zero_grad, where one was None before", question)


@check("Optimizer", "property")
def test_Optimizer_itself_has_no_step(agree):
    def question(unit):
        optimizer = unit.Optimizer([Parameter(torch.ones(2))], {"lr": 0.1})
        try:
            optimizer.step()
        except NotImplementedError as error:
            if "is still a stub" in str(error):
                raise
            return {"raised": "NotImplementedError", "the message speaks of step": "step" in str(error).lower()}
        return {"raised": "nothing"}

    agree.on("step of the base class Optimizer", question)


def after_loading(unit, parameters, *states):
    optimizer = in_two_groups(unit, parameters)
    for state_dict in states:
        optimizer.load_state_dict(state_dict)
    state = entries_of(optimizer.state, lambda parameter: place(parameter, parameters))
    # param_groups last: state_dict must have left the live groups as they were.
    return {"state": state, **saved_by(optimizer), "param_groups": groups_of(optimizer.param_groups, parameters)}


@check("Optimizer", "property")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_Optimizer_loads_what_was_saved_and_saves_it_again(agree, rand, dtype):
    values, saved = draw(rand), [value.to(dtype) for value in draw(rand)]
    agree.on(
        f"Optimizer of float64 parameters after load_state_dict of {str(dtype)[6:]} state",
        lambda unit: after_loading(unit, parameters_of(values), checkpoint(saved)),
    )


@check("Optimizer", "property")
def test_Optimizer_forgets_its_own_state_when_it_loads(agree, rand):
    values, saved = draw(rand), draw(rand)
    other = checkpoint(saved) | {"state": {4: {"momentum_buffer": saved[4]}}}
    agree.on(
        "Optimizer after it loaded one state dict and then another",
        lambda unit: after_loading(unit, parameters_of(values), checkpoint(saved), copy.deepcopy(other)),
    )


@check("Optimizer", "property")
def test_Optimizer_shares_no_tensor_with_what_it_loaded(agree, rand):
    values, buffer = draw(rand), rand(*SHAPES[4])

    def question(unit):
        # A parameter, since that is the same tensor on both sides wherever the code under test runs.
        shared = Parameter(buffer.clone(), requires_grad=False)
        optimizer = in_two_groups(unit, parameters_of(values))
        optimizer.load_state_dict(checkpoint(values) | {"state": {4: {"momentum_buffer": shared}}})
        shared.zero_()
        return saved_by(optimizer)

    agree.on("Optimizer after load_state_dict, when a tensor of the loaded dict is changed in place", question)


@check("Optimizer", "property")
def test_Optimizer_refuses_a_state_dict_of_other_groups_and_stays_as_it_was(agree, rand):
    values, saved = draw(rand), draw(rand)

    def question(unit):
        seen = {}
        for lengths in [[2, 2], [5], [2, 3, 0], [1, 4], [3, 2]]:
            parameters = iter(parameters_of(values))
            groups = [{"params": [next(parameters) for _ in range(length)]} for length in lengths]
            optimizer = unit.Optimizer(groups, {"lr": 0.1})
            came = outcome_of(lambda optimizer=optimizer: optimizer.load_state_dict(checkpoint(saved)))
            seen[f"with groups of {lengths}"] = {"load_state_dict": came, **saved_by(optimizer)}
        return seen

    agree.on("Optimizer, given a state dict of groups of [2, 3] parameters", question)


@check("Optimizer", "property")
def test_Optimizer_has_a_state_of_its_own(agree, rand):
    values, saved = draw(rand), draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        loaded, other = in_two_groups(unit, parameters), in_two_groups(unit, parameters)
        loaded.load_state_dict(checkpoint(saved))
        return saved_by(other)

    agree.on("a second Optimizer, after the first has loaded a state dict", question)


@check("Optimizer", "shortcut")
def test_Optimizer_is_written_by_hand(agree, rand):
    values = draw(rand)
    agree.on("Optimizer of five parameters", lambda unit: saved_by(unit.Optimizer(parameters_of(values), {"lr": 0.1})))


# What SGD and AdamW have in common


def of_each(kind):
    """The same check for both rules, under the name of each."""
    return pytest.mark.parametrize("rule", [pytest.param(rule, marks=check(rule, kind)) for rule in RULES])


@dataclass(frozen=True)
class Run:
    """What an optimizer makes of gradients, step by step: a question for `agree.on`.

    Args:
        rule: The class.
        options: Of its constructor.
        start: The parameters before the first step.
        gradients: Of each step, a gradient or None for each parameter.
        groups: The options of each group; each gets one parameter and the last gets the rest. None: no groups.
        lrs: For each step, what is written into the groups before, a value for each.
        reload_after: The step after which another optimizer goes on from the state dict.
    """

    rule: str
    options: dict[str, Any]
    start: list[torch.Tensor]
    gradients: list[list[torch.Tensor | None]]
    groups: list[dict[str, Any]] | None = None
    lrs: tuple[tuple[float, ...], ...] = ()
    reload_after: int = 0

    def __call__(self, unit):
        parameters = parameters_of(self.start)
        optimizer = getattr(unit, self.rule)(self._given(parameters), **self.options)
        seen = {}
        for step, gradients in enumerate(self.gradients, 1):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = None if gradient is None else gradient.clone()
            for group, lr in zip(optimizer.param_groups, self.lrs[step - 1] if self.lrs else (), strict=False):
                group["lr"] = lr
            optimizer.step()
            seen[f"parameters after step {step}"] = [parameter.detach().clone() for parameter in parameters]
            seen[f"gradients after step {step} (they must not change)"] = [p.grad for p in parameters]
            if step == self.reload_after:
                saved = copy.deepcopy(optimizer.state_dict())
                optimizer = getattr(unit, self.rule)(self._given(parameters), lr=9.0)
                optimizer.load_state_dict(saved)
        return seen | {"still leaves": all(p.is_leaf and p.requires_grad for p in parameters)} | saved_by(optimizer)

    def _given(self, parameters):
        if self.groups is None:
            return parameters
        last = len(self.groups) - 1
        members = [[parameters[i]] for i in range(last)] + [parameters[last:]]
        return [{"params": m, **options} for m, options in zip(members, self.groups, strict=True)]


def gradients_for(rand, steps=6, shapes=SHAPES):
    """Large and small by turns, so that running means differ from the last gradient."""
    return [draw(rand, shapes, 5.0 if step % 3 == 0 else 0.5) for step in range(steps)]


def named(rule, options):
    return f"{rule}({', '.join(f'{key}={value}' for key, value in options.items())})"


@of_each("shape")
def test_state_has_shape_and_dtype_of_the_parameter(agree, rand, rule):
    shapes = [(), (1,), (2, 3, 4), (0, 3)]
    run = Run(rule, RULES[rule], draw(rand, shapes), gradients_for(rand, 2, shapes))
    agree.on(f"{named(rule, RULES[rule])} of parameters of shapes {shapes}", run)


@of_each("numerics")
def test_six_steps_follow_the_formula(agree, rand, rule):
    agree.on(f"six steps of {named(rule, RULES[rule])}", Run(rule, RULES[rule], draw(rand), gradients_for(rand)))


@of_each("numerics")
def test_the_defaults_are_the_documented_ones(agree, rand, rule):
    agree.on(f"three steps of {rule} with its defaults", Run(rule, {}, draw(rand), gradients_for(rand, 3)))


@of_each("numerics")
def test_float32_parameters_have_float32_state(agree, rand, rule):
    start = [value.float() for value in draw(rand)]
    gradients = [[g.float() for g in step] for step in gradients_for(rand, 3)]
    agree.on(f"three steps of {named(rule, RULES[rule])} in float32", Run(rule, RULES[rule], start, gradients))


@pytest.mark.parametrize(
    ("rule", "option", "values"),
    [
        pytest.param(rule, option, values, marks=check(rule, "property"), id=f"{rule}-{option}")
        for rule, option, values in [
            ("SGD", "lr", (0.3, 0.02)),
            ("SGD", "momentum", (0.0, 0.5)),
            ("SGD", "weight_decay", (0.0, 0.8)),
            ("AdamW", "lr", (0.3, 0.02)),
            ("AdamW", "betas", ((0.5, 0.7), (0.9, 0.99))),
            ("AdamW", "eps", (0.5, 0.01)),
            ("AdamW", "weight_decay", (0.0, 0.8)),
        ]
    ],
)
def test_every_group_has_its_own(agree, rand, rule, option, values):
    groups = [{option: values[0]}, {}, {option: values[1]}]
    run = Run(rule, RULES[rule], draw(rand), gradients_for(rand, 4), groups)
    agree.on(f"{named(rule, RULES[rule])} with {option} {values[0]} in one group and {values[1]} in another", run)


@of_each("property")
def test_lr_is_read_from_the_group_in_every_step(agree, rand, rule):
    lrs = ((0.3, 0.1), (0.05, 0.2), (0.2, 0.02), (0.01, 0.4))
    run = Run(rule, RULES[rule], draw(rand), gradients_for(rand, 4), [{"lr": 0.5}, {}], lrs)
    agree.on(f"{named(rule, RULES[rule])} in two groups, with a new lr before every step", run)


@of_each("property")
def test_a_parameter_without_gradient_is_left_alone(agree, rand, rule):
    gradients = gradients_for(rand)
    for parameter, steps in {1: range(6), 2: (0, 1), 3: (2, 3)}.items():
        for step in steps:
            gradients[step][parameter] = None
    what = "where parameter 1 never has a gradient, 2 not in steps 1 and 2, 3 not in steps 3 and 4"
    agree.on(f"{named(rule, RULES[rule])}, {what}", Run(rule, RULES[rule], draw(rand), gradients))


@of_each("property")
def test_a_new_optimizer_goes_on_from_the_state_dict(agree, rand, rule):
    run = Run(rule, RULES[rule], draw(rand), gradients_for(rand), [{}, {"lr": 0.03}], reload_after=3)
    agree.on(f"{named(rule, RULES[rule])}, saved after step 3 and gone on with by a new {rule}(lr=9.0)", run)


def torchs_state_dict(rule, values):
    """As torch.optim writes it, with options that nobody here reads."""
    if rule == "SGD":
        state = {i: {"momentum_buffer": value} for i, value in enumerate(values)}
        more = {"dampening": 0, "nesterov": False}
    else:
        names = ("step", "exp_avg", "exp_avg_sq")
        state = {i: dict(zip(names, (torch.tensor(3.0), v, v * v), strict=True)) for i, v in enumerate(values)}
        more = {"amsgrad": False, "capturable": False, "decoupled_weight_decay": True}
    more |= {"maximize": False, "foreach": None, "differentiable": False, "fused": None}
    group = {**RULES[rule], **more, "params": list(range(len(values)))}
    return copy.deepcopy({"state": state, "param_groups": [group]})


@of_each("property")
def test_a_state_dict_of_torch_can_be_loaded(agree, rand, rule):
    values, buffers, gradients = draw(rand), draw(rand), draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = getattr(unit, rule)(parameters, lr=9.0)
        optimizer.load_state_dict(torchs_state_dict(rule, buffers))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
        return {"parameters": [parameter.detach().clone() for parameter in parameters], **saved_by(optimizer)}

    agree.on(f"a step of {rule} from a state dict of torch.optim.{rule}", question)


@of_each("shortcut")
def test_it_is_written_by_hand(agree, rand, rule):
    agree.on(f"a step of {named(rule, RULES[rule])}", Run(rule, RULES[rule], draw(rand), gradients_for(rand, 1)))


# SGD


@check("SGD", "numerics")
@pytest.mark.parametrize(
    "options",
    [{"lr": 0.2}, {"lr": 0.2, "weight_decay": 0.4}, {"lr": 0.2, "weight_decay": 1.0}, {"lr": 0.2, "momentum": 0.7}],
    ids=["plain", "with decay", "with a decay of 1", "with momentum"],
)
def test_SGD_with_less_than_all_options(agree, rand, options):
    agree.on(f"four steps of {named('SGD', options)}", Run("SGD", options, draw(rand), gradients_for(rand, 4)))


@check("SGD", "property")
@given(start=tensors(sizes, sizes), seed=seeds, momentum=st.floats(0.05, 0.95), steps=st.integers(1, 6))
def test_SGD_adds_up_gradients_that_agree(unit, start, seed, momentum, steps):
    gradient = normal(seed, *start.shape)
    (parameter,) = parameters_of([start])
    optimizer = unit.SGD([parameter], lr=0.1, momentum=momentum)
    for _ in range(steps):
        parameter.grad = gradient.clone()
        optimizer.step()
    # b_t = g (1 + mu + ... + mu^(t-1)), and theta has moved by their sum.
    moved = sum(sum(momentum**power for power in range(step)) for step in range(1, steps + 1))
    assert torch.allclose(parameter.detach(), start - 0.1 * moved * gradient, rtol=1e-5, atol=1e-5), (
        f"optim.SGD(lr=0.1, momentum={momentum:g}): {steps} equal gradients g should move a parameter by "
        f"-0.1 * {moved:.6g} * g"
    )


# AdamW


@check("AdamW", "numerics")
@pytest.mark.parametrize(
    "options",
    [{"lr": 0.1, "weight_decay": 0.0}, {"lr": 0.5, "weight_decay": 0.9}, {"lr": 0.1, "betas": (0.0, 0.5)}],
    ids=["no decay", "strong decay", "short memory"],
)
def test_AdamW_with_other_options(agree, rand, options):
    agree.on(f"four steps of {named('AdamW', options)}", Run("AdamW", options, draw(rand), gradients_for(rand, 4)))


@check("AdamW", "property")
@given(start=tensors(sizes, sizes), seed=seeds, power=st.integers(-4, 4))
def test_AdamW_goes_lr_in_its_first_step_whatever_the_size_of_the_gradient(unit, start, seed, power):
    noise = normal(seed, *start.shape)
    (parameter,) = parameters_of([start])
    parameter.grad = (noise + noise.sign()) * 10.0**power
    unit.AdamW([parameter], lr=0.1, eps=1e-12, weight_decay=0.0).step()
    assert torch.allclose(parameter.detach(), start - 0.1 * noise.sign(), rtol=1e-5, atol=1e-5), (
        f"optim.AdamW(lr=0.1, weight_decay=0): a first gradient of size 1e{power} should move every element by 0.1"
    )


@check("AdamW", "stability")
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_AdamW_divides_by_eps_where_all_gradients_are_zero(agree, rand, decay):
    options = {"lr": 0.1, "weight_decay": decay}
    gradients = gradients_for(rand, 3)
    for step in gradients:
        step[0].zero_()
        step[2][0] = 0.0
    agree.on(f"{named('AdamW', options)} with gradients of zeros", Run("AdamW", options, draw(rand), gradients))


@check("AdamW", "stability")
def test_AdamW_with_gradients_far_below_eps(agree, rand):
    gradients = [[gradient * 1e-9 for gradient in step] for step in gradients_for(rand, 3)]
    agree.on("AdamW(lr=0.1), gradients about 1e-9", Run("AdamW", {"lr": 0.1}, draw(rand), gradients))


# parameter_groups


def pairs(kind="everything"):
    """Names that tell nothing of the shape, or the wrong thing."""
    gain, table, twin = (Parameter(torch.full(shape, 2.0)) for shape in ((3,), (3, 2), (3,)))
    frozen = [Parameter(torch.ones(shape), requires_grad=False) for shape in ((2, 2), (2,))]
    found = [("z_embedding.weight", table), ("gain", gain), ("norm_projection.weight", Parameter(torch.ones(2, 2)))]
    found += [("frozen.weight", frozen[0]), ("frozen.bias", frozen[1]), ("twin", twin), ("head.weight", table)]
    found += [
        ("tied_gain", gain),
        ("convolution", Parameter(torch.ones(2, 2, 2))),
        ("scale", Parameter(torch.ones(()))),
    ]
    found += [("layer.bias", Parameter(torch.ones(4))), ("bias_table", Parameter(torch.ones(5, 2)))]
    found += [("another", Parameter(torch.ones(5, 2)))]
    chosen = {"matrices": lambda p: p.ndim > 1, "vectors": lambda p: p.ndim < 2, "nothing": lambda p: False}
    return [pair for pair in found if chosen.get(kind, lambda p: True)(pair[1])]


def groups_for(kind, weight_decay, make=list):
    """The question which groups come out, by the places of the parameters in the list of pairs."""

    def question(unit):
        given = pairs(kind)
        return groups_of(unit.parameter_groups(make(given), weight_decay), [parameter for _, parameter in given])

    return question


@check("parameter_groups", "shape")
@pytest.mark.parametrize("kind", ["matrices", "vectors", "nothing"])
def test_parameter_groups_are_always_two(agree, kind):
    agree.on(f"parameter_groups of a model that has {kind} only", groups_for(kind, 0.25))


@check("parameter_groups", "property")
@pytest.mark.parametrize("weight_decay", [0.1, 0.25])
def test_parameter_groups_decay_what_has_two_dimensions_or_more(agree, weight_decay):
    agree.on(f"parameter_groups(pairs, weight_decay={weight_decay})", groups_for("everything", weight_decay))


@check("parameter_groups", "property")
def test_parameter_groups_takes_a_generator(agree):
    agree.on("parameter_groups of a generator", groups_for("everything", 0.25, iter))


@check("parameter_groups", "property")
@given(given=st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), max_size=8))
def test_parameter_groups_hold_each_trained_parameter_once(unit, given):
    parameters = [Parameter(torch.ones([2] * ndim), requires_grad=trained) for ndim, trained, _ in given]
    named = [(f"p{i}", parameter) for i, parameter in enumerate(parameters)]
    named += [(f"tied{i}", p) for i, (p, (_, _, tied)) in enumerate(zip(parameters, given, strict=True)) if tied]
    groups = unit.parameter_groups(named, 0.1)
    got = [[place(p, parameters) for p in group["params"]] for group in groups]
    trained = [i for i, p in enumerate(parameters) if p.requires_grad]
    expected = [[i for i in trained if (parameters[i].ndim >= 2) is decayed] for decayed in (True, False)]
    assert got == expected, (
        f"optim.parameter_groups: of parameters with (ndim, requires_grad, tied) {given}, the two groups hold those at "
        f"{got}, expected {expected}"
    )


# clip_grad_norm


def clipped(gradients, max_norm, make=list):
    """The question what clip_grad_norm returns and leaves."""

    def question(unit):
        shapes = [SHAPES[i] if g is None else g.shape for i, g in enumerate(gradients)]
        dtypes = [torch.float64 if g is None else g.dtype for g in gradients]
        parameters = [Parameter(torch.full(s, 7.0, dtype=d)) for s, d in zip(shapes, dtypes, strict=True)]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        norm = unit.clip_grad_norm(make(parameters), max_norm)
        return {
            "the norm": norm,
            "its dtype": str(getattr(norm, "dtype", type(norm).__name__)),
            "the gradients": [parameter.grad for parameter in parameters],
            "the parameters (they must not change)": [parameter.detach().clone() for parameter in parameters],
        }

    return question


@check("clip_grad_norm", "shape")
def test_clip_grad_norm_returns_a_tensor_without_axes(agree, rand):
    agree.on("clip_grad_norm of one gradient, max_norm=2", clipped([rand(3, 4) + 5.0], 2.0))


@check("clip_grad_norm", "shape")
@pytest.mark.parametrize("gradients", [[], [None, None]], ids=["no parameters", "no gradients"])
def test_clip_grad_norm_of_nothing_is_zero(agree, gradients):
    agree.on(f"clip_grad_norm of {len(gradients)} parameters without gradients", clipped(gradients, 2.0))


@check("clip_grad_norm", "numerics")
@pytest.mark.parametrize("max_norm", [2.0, 3.5])
def test_clip_grad_norm_shortens_all_gradients_as_one_vector(agree, rand, max_norm):
    gradients = [gradient + 4.0 for gradient in draw(rand)]
    agree.on(f"clip_grad_norm of five long gradients, max_norm={max_norm}", clipped(gradients, max_norm))


@check("clip_grad_norm", "numerics")
def test_clip_grad_norm_lets_short_gradients_through(agree, rand):
    agree.on("clip_grad_norm of short gradients, max_norm=1000", clipped(draw(rand), 1000.0))


@check("clip_grad_norm", "numerics")
def test_clip_grad_norm_skips_parameters_without_gradient(agree, rand):
    gradients = [None if i in (0, 3) else 4.0 + g for i, g in enumerate(draw(rand))]
    agree.on("clip_grad_norm where two gradients are None, max_norm=2", clipped(gradients, 2.0))


@check("clip_grad_norm", "property")
def test_clip_grad_norm_takes_a_generator(agree, rand):
    gradients = [gradient + 4.0 for gradient in draw(rand)]
    agree.on(
        "clip_grad_norm of a list and of a generator, max_norm=2",
        lambda unit: {
            kind: clipped(gradients, 2.0, make)(unit) for kind, make in {"list": list, "generator": iter}.items()
        },
    )


@check("clip_grad_norm", "property")
def test_clip_grad_norm_starts_anew_in_every_call(agree, rand):
    first, second = ([gradient + shift for gradient in draw(rand)] for shift in (4.0, 9.0))
    agree.on(
        "clip_grad_norm of gradients, and then of others, max_norm=2",
        lambda unit: [clipped(gradients, 2.0, tuple)(unit) for gradients in (first, second)],
    )


@check("clip_grad_norm", "property")
@given(gradients=st.lists(tensors(sizes, sizes, scale=3.0), min_size=1, max_size=4), max_norm=st.floats(0.5, 50.0))
def test_clip_grad_norm_keeps_the_direction_and_at_most_the_length(unit, gradients, max_norm):
    parameters = parameters_of(gradients)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    length = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    unit.clip_grad_norm(parameters, max_norm)
    factor = min(1.0, max_norm / float(length)) if length > 0 else 1.0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        same = torch.equal(parameter.grad, gradient)
        near = torch.allclose(parameter.grad, gradient * factor, rtol=1e-5, atol=1e-5)
        assert same if length < 0.999 * max_norm else near, (
            f"optim.clip_grad_norm(max_norm={max_norm:g}): gradients of length {length:g} should be "
            + (f"scaled by {factor:g}" if factor < 1 else "left as they are, to the last bit")
        )


@check("clip_grad_norm", "stability")
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["float32", "bfloat16", "float16"]
)
def test_clip_grad_norm_adds_up_in_float32(agree, rand, dtype):
    gradients = [(gradient + 300.0).to(dtype) for gradient in draw(rand)]
    agree.on(f"clip_grad_norm of {str(dtype)[6:]} gradients about 300, max_norm=7", clipped(gradients, 7.0))


@check("clip_grad_norm", "stability")
def test_clip_grad_norm_of_zero_gradients_is_zero(agree):
    gradients = [torch.zeros(shape, dtype=torch.float64) for shape in SHAPES]
    agree.on("clip_grad_norm of zero gradients, max_norm=2", clipped(gradients, 2.0))


@check("clip_grad_norm", "shortcut")
def test_clip_grad_norm_is_written_by_hand(agree, rand):
    agree.on("clip_grad_norm of one gradient, max_norm=2", clipped([rand(4) + 5.0], 2.0))
