"""What checks of a whole model need: a small one with known weights, and what can be seen of it afterwards."""

import pytest
import torch

from grader.checking import check, dependency
from grader.checking.capture import noise

UNEQUAL = [(3, 5, 2), (1, 7, 4), (2, 6, 0)]  # rows, length, and how many targets of the first row are ignored
IGNORED = -100
SIZES = {"vocab_size": 11, "max_length": 7, "d_model": 8, "num_layers": 1, "num_heads": 2}


def build(unit, *, shift=0, dtype=torch.float64, **config):
    """A small model with the same weights for everybody, of the lower units that belong to `unit`."""
    below = dependency(unit, "model")
    model = below.TransformerLM(below.ModelConfig(**SIZES | config)).to(dtype)
    for number, (_, parameter) in enumerate(sorted(model.named_parameters())):
        parameter.data = 0.5 * noise(parameter.shape, shift + number).to(dtype)
    return model


def optimizer_of(unit, model, rule="SGD", **options):
    """An optimizer of the lower unit, over all parameters."""
    return getattr(dependency(unit, "optim"), rule)(list(model.parameters()), **{"lr": 0.3} | options)


def torch_of(unit):
    """The torch of the process in which the unit runs: its generators are the ones that the unit draws from."""
    return dependency(unit, "loss").torch


def values_of(model):
    """Copies of the parameters, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def modes_of(model):
    """Which parts of the model are in training mode, in their order."""
    return [part.training for part in model.modules()]


def same(one, other):
    """Whether two nested values are the same in every bit."""
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        return isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def outcome_of(work):
    """Whether it was refused, as a word."""
    try:
        work()
    except ValueError:
        return "refused with a ValueError"
    return "accepted"


def batch(rand, rows, length, ignored=0):
    """Inputs and targets of one batch."""
    inputs, targets = rand.integers(0, 11, rows, length), rand.integers(0, 11, rows, length)
    targets[0, :ignored] = IGNORED
    return inputs, targets


def batches_of(rand, sizes=UNEQUAL):
    """Batches of these sizes."""
    return [batch(rand, *size) for size in sizes]


def give_gradients(model):
    """Ones, as if somebody had called backward before."""
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)


def freeze_some(model):
    """Every third parameter asks for no gradient."""
    for _, parameter in sorted(model.named_parameters())[::3]:
        parameter.requires_grad_(False)


def loss_without_dropout(unit, model, inputs, targets):
    """The loss in evaluation mode, in which it leaves the model."""
    with torch.no_grad():
        return dependency(unit, "loss").cross_entropy(model.eval()(inputs), targets).item()


def check_each(exercise, *criterion, **cases):
    """A check for each case, of the kind under which it is listed; it belongs to the criterion, if one is named."""
    listed = [(case, given, kind) for kind, those in cases.items() for case, given in those.items()]
    listed = [
        pytest.param(case, given, marks=check(exercise, kind, *criterion), id=case) for case, given, kind in listed
    ]
    return pytest.mark.parametrize(("case", "given"), listed)


def compared(found, wanted):
    """What became of an entry, in words."""
    if same(found, wanted):
        return "right"
    if found is None or same(found, "missing"):
        return "missing" if found is not None else "None"
    # A mistake is recognised by this word: a seed in place of a generator's state is not just anything.
    return "a number" if isinstance(found, int) and not isinstance(wanted, int) else "something else"
