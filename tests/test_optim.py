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


def live(optimizer, parameters):
    """State and groups as the optimizer itself holds them."""
    state = entries_of(optimizer.state, lambda parameter: place(parameter, parameters))
    return {"state": state, "param_groups": groups_of(optimizer.param_groups, parameters)}


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
def test_Optimizer_takes_hundreds_of_parameters(agree, rand):
    # A small model has as many. Python keeps whole numbers to 256 once, so that up to there `is` looks like `==`.
    values = list(rand(300, 1))

    def question(unit):
        parameters = parameters_of(values)
        return groups_of(unit.Optimizer(parameters, {"lr": 0.1}).param_groups, parameters)

    agree.on("the groups of Optimizer(300 parameters)", question)


@check("Optimizer", "property")
def test_Optimizer_tells_equal_parameters_apart(agree, rand):
    value = rand(3)

    def question(unit):
        parameters = parameters_of([value, value])
        return groups_of(unit.Optimizer(parameters, {"lr": 0.1}).param_groups, parameters)

    agree.on("the groups of Optimizer(two parameters with equal values)", question)


@check("Optimizer", "property")
def test_Optimizer_fills_groups_up_from_the_defaults(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        given = [{"params": parameters[:2], "momentum": 0.2}, {"params": [], "lr": 0.5}]
        optimizer = unit.Optimizer(given, {"lr": 0.1, "momentum": 0.9})
        optimizer.add_param_group({"params": iter(parameters[2:]), "momentum": 0.3})
        return groups_of(optimizer.param_groups, parameters)

    agree.on("Optimizer's groups with options of their own, and one that was added", question)


@check("Optimizer", "property")
def test_Optimizer_zero_grad_clears_all_gradients(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = in_two_groups(unit, parameters)
        for parameter in parameters[1:]:
            parameter.grad = torch.ones_like(parameter)
        optimizer.zero_grad()
        return [i for i, p in enumerate(parameters) if p.grad is not None and p.grad.any()]

    agree.on("which gradients are left after Optimizer.zero_grad, where one was None before", question)


@check("Optimizer", "shortcut")
def test_Optimizer_is_written_by_hand(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        return groups_of(unit.Optimizer(parameters, {"lr": 0.1}).param_groups, parameters)

    agree.on("the groups of Optimizer(five parameters)", question)


@check("Optimizer", "property", "details")
def test_Optimizer_zero_grad_sets_gradients_to_None(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = in_two_groups(unit, parameters)
        for parameter in parameters[1:]:
            parameter.grad = torch.ones_like(parameter)
        optimizer.zero_grad()
        return {f"gradient {i}": parameter.grad for i, parameter in enumerate(parameters)}

    agree.on("the gradients after Optimizer.zero_grad", question)


@check("Optimizer", "property", "details")
def test_Optimizer_leaves_the_callers_groups_and_defaults_as_they_were(agree, rand):
    first, second, third = parameters_of(draw(rand))[:3]
    groups = [{"params": [first]}, {"params": (second,), "lr": 0.5}]
    added, defaults = {"params": [third]}, {"lr": 0.1, "momentum": 0.9}

    def question(unit):
        optimizer = unit.Optimizer(groups, defaults)
        optimizer.add_param_group(added)
        return len(optimizer.param_groups)

    agree.on("how many groups Optimizer makes of two dicts of the caller's, and a third that is added", question)


@check("Optimizer", "property", "details")
def test_Optimizer_keeps_options_that_the_defaults_do_not_know(agree, rand):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        given = [{"params": parameters[:2], "note": "a"}, {"params": parameters[2:], "initial_lr": 2.0}]
        return groups_of(unit.Optimizer(given, {"lr": 0.1}).param_groups, parameters)

    agree.on('Optimizer\'s groups that bring "note" and "initial_lr"', question)


@check("Optimizer", "property", "details")
@pytest.mark.parametrize("make", [tuple, iter], ids=["tuple", "generator"])
def test_Optimizer_keeps_parameters_in_lists(agree, rand, make):
    values = draw(rand)

    def question(unit):
        optimizer = unit.Optimizer([{"params": make(parameters_of(values))}], {"lr": 0.1})
        return [isinstance(group["params"], list) for group in optimizer.param_groups]

    agree.on(f'whether param_groups[0]["params"] is a list, given a {make.__name__}', question)


@check("Optimizer", "property", "details")
def test_Optimizer_has_a_state_of_its_own(agree, rand):
    values, saved = draw(rand), draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        loaded, other = in_two_groups(unit, parameters), in_two_groups(unit, parameters)
        loaded.load_state_dict(checkpoint(saved))
        return live(other, parameters)

    agree.on("a second Optimizer, after the first has loaded a state dict", question)


@check("Optimizer", "property", "details")
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


@check("Optimizer", "shape", "saving")
def test_Optimizer_state_dict_has_numbers_where_parameters_were(agree, rand):
    values = draw(rand)
    agree.on("a new Optimizer of 2 and 3 parameters", lambda unit: saved_by(in_two_groups(unit, parameters_of(values))))


@check("Optimizer", "property", "saving")
@given(lengths=st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_Optimizer_numbers_the_parameters_of_all_groups_in_one_count(unit, lengths):
    groups = [{"params": parameters_of([torch.zeros(2)] * length)} for length in lengths]
    numbers = [group["params"] for group in unit.Optimizer(groups, {"lr": 0.1}).state_dict()["param_groups"]]
    count = iter(range(sum(lengths)))
    expected = [[next(count) for _ in range(length)] for length in lengths]
    assert [list(n) for n in numbers] == expected, (
        f"optim.Optimizer: groups of {lengths} parameters have the numbers {numbers} in state_dict, expected {expected}"
    )


@check("Optimizer", "property", "saving")
def test_Optimizer_saves_state_under_the_number_of_its_parameter(agree, rand):
    values, saved = draw(rand), draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = in_two_groups(unit, parameters)
        optimizer.load_state_dict(checkpoint(saved))
        return {**saved_by(optimizer), "the optimizer's own": live(optimizer, parameters)["state"]}

    agree.on("state_dict of an Optimizer that has state for three of five parameters", question)


@check("Optimizer", "property", "saving")
def test_Optimizer_saves_an_option_as_it_is_now(agree, rand):
    values = draw(rand)

    def question(unit):
        optimizer = in_two_groups(unit, parameters_of(values))
        optimizer.param_groups[1]["lr"] = 0.25
        return saved_by(optimizer)

    agree.on('Optimizer after param_groups[1]["lr"] = 0.25', question)


@check("Optimizer", "property", "saving")
def test_Optimizer_state_dict_leaves_the_optimizer_as_it_was(agree, rand):
    values, saved = draw(rand), draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = in_two_groups(unit, parameters)
        optimizer.load_state_dict(checkpoint(saved))
        returned = optimizer.state_dict()
        returned["param_groups"][0]["lr"] = 9.0  # the dicts are new ones: this reaches nobody
        return live(optimizer, parameters)

    agree.on("Optimizer after state_dict, and after a change of the dict that it returned", question)


def after_loading(unit, parameters, *states):
    optimizer = in_two_groups(unit, parameters)
    for state_dict in states:
        optimizer.load_state_dict(state_dict)
    return live(optimizer, parameters)


@check("Optimizer", "property", "loading")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_Optimizer_loads_state_and_options(agree, rand, dtype):
    values, saved = draw(rand), [value.to(dtype) for value in draw(rand)]
    agree.on(
        f"Optimizer of float64 parameters after load_state_dict of {str(dtype)[6:]} state",
        lambda unit: after_loading(unit, parameters_of(values), checkpoint(saved)),
    )


@check("Optimizer", "property", "loading")
def test_Optimizer_forgets_its_own_state_when_it_loads(agree, rand):
    values, saved = draw(rand), draw(rand)
    other = checkpoint(saved) | {"state": {4: {"momentum_buffer": saved[4]}}}
    agree.on(
        "Optimizer after it loaded one state dict and then another",
        lambda unit: after_loading(unit, parameters_of(values), checkpoint(saved), copy.deepcopy(other)),
    )


@check("Optimizer", "property", "loading")
def test_Optimizer_leaves_the_state_dict_that_it_loads_as_it_was(agree, rand):
    values, state_dict = draw(rand), checkpoint(draw(rand))
    agree.on(
        "Optimizer after load_state_dict of a dict that the caller keeps",
        lambda unit: after_loading(unit, parameters_of(values), state_dict),
    )


@check("Optimizer", "property", "loading")
def test_Optimizer_shares_no_tensor_with_what_it_loaded(agree, rand):
    values, buffer = draw(rand), rand(*SHAPES[4])

    def question(unit):
        # A parameter, since that is the same tensor on both sides wherever the code under test runs.
        shared, parameters = Parameter(buffer.clone(), requires_grad=False), parameters_of(values)
        optimizer = in_two_groups(unit, parameters)
        optimizer.load_state_dict(checkpoint(values) | {"state": {4: {"momentum_buffer": shared}}})
        shared.zero_()
        return live(optimizer, parameters)["state"]

    agree.on("Optimizer after load_state_dict, when a tensor of the loaded dict is changed in place", question)


@check("Optimizer", "property", "refusals")
@pytest.mark.parametrize("make", [list, iter], ids=["list", "generator"])
def test_Optimizer_refuses_to_optimize_nothing(agree, make):
    agree.raises(
        f"Optimizer of an empty {make.__name__}",
        lambda unit: len(unit.Optimizer(make([]), {"lr": 0.1}).param_groups),
        ValueError,
    )


@check("Optimizer", "property", "refusals")
def test_Optimizer_refuses_a_parameter_that_comes_twice(agree, rand):
    values = [rand(3), rand(3)]

    def question(unit):
        one, two = parameters_of(values)
        apart = [{"params": [one, two]}, {"params": [one]}]
        return {
            "twice in one group": outcome_of(lambda: unit.Optimizer([one, two, one], {})),
            "in two groups": outcome_of(lambda: unit.Optimizer(apart, {})),
        }

    agree.on("Optimizer with a parameter that comes again", question)


@check("Optimizer", "property", "refusals")
@pytest.mark.parametrize("again", [2, 3], ids=["one that is in another group", "one that comes twice in the new group"])
def test_Optimizer_adds_nothing_when_it_refuses_a_group(agree, rand, again):
    values = draw(rand)

    def question(unit):
        parameters = parameters_of(values)
        optimizer = unit.Optimizer(parameters[:3], {"lr": 0.1})
        came = outcome_of(lambda: optimizer.add_param_group({"params": [parameters[3], parameters[again]]}))
        return {"add_param_group": came, "param_groups": groups_of(optimizer.param_groups, parameters)}

    agree.on("Optimizer, after it refused a group with a parameter that it had", question)


OTHER_LENGTHS = [[2, 2], [5], [2, 3, 0], [1, 4], [3, 2]]


@check("Optimizer", "property", "refusals")
def test_Optimizer_refuses_a_state_dict_of_other_groups(agree, rand):
    values, saved = draw(rand), checkpoint(draw(rand))

    def question(unit):
        came = {}
        for lengths in [[2, 3], *OTHER_LENGTHS]:
            rest = iter(parameters_of(values))
            optimizer = unit.Optimizer([{"params": [next(rest) for _ in range(n)]} for n in lengths], {"lr": 0.1})
            came[str(lengths)] = outcome_of(lambda optimizer=optimizer: optimizer.load_state_dict(saved))
        return came

    agree.on("Optimizers with groups of several sizes, given a state dict of groups of [2, 3] parameters", question)


@check("Optimizer", "property", "refusals")
@pytest.mark.parametrize("lengths", OTHER_LENGTHS, ids=str)
def test_Optimizer_stays_as_it_was_when_it_refuses_a_state_dict(agree, rand, lengths):
    values, fitting, other = draw(rand), draw(rand), checkpoint(draw(rand))

    def build(unit):
        parameters = parameters_of(values)
        rest = iter(parameters)
        groups = [{"params": [next(rest) for _ in range(length)]} for length in lengths]
        optimizer = unit.Optimizer(groups, {"lr": 0.1})
        # State of its own, which a refusal must not wipe out.
        numbers = iter(range(5))
        groups = [{"lr": 0.2, "params": [next(numbers) for _ in range(length)]} for length in lengths]
        optimizer.load_state_dict({"state": {0: {"momentum_buffer": fitting[0]}}, "param_groups": groups})
        return optimizer, parameters

    agree.unchanged(
        f"Optimizer with groups of {lengths}, given a state dict of groups of [2, 3] parameters",
        build,
        look=lambda built: live(*built),
        call=lambda built: built[0].load_state_dict(other),
        error=ValueError,
    )


# What SGD and AdamW have in common


def of_each(kind, *criterion):
    """The same check for both rules, under the name of each."""
    rules = [pytest.param(rule, marks=check(rule, kind, *criterion)) for rule in RULES]
    return pytest.mark.parametrize("rule", rules)


@dataclass(frozen=True)
class Run:
    """What an optimizer makes of gradients, step by step: questions for `agree.on`.

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

    def parameters(self, unit):
        """The parameters after each step."""
        seen, _, _ = self.walk(unit)
        return seen

    def state(self, unit):
        """The parameters after each step, and the state in the end."""
        seen, _, optimizer = self.walk(unit)
        return seen | saved_by(optimizer)

    def traces(self, unit):
        """What the steps leave of the gradients, and of the parameters as leaves of a graph."""
        _, parameters, _ = self.walk(unit)
        gradients = [same_values(p.grad, g) for p, g in zip(parameters, self.gradients[-1], strict=True)]
        leaves = all(p.is_leaf and p.requires_grad and p.grad_fn is None for p in parameters)
        return {"gradients as they were": gradients, "still leaves": leaves}

    def walk(self, unit):
        """The parameters after each step, the parameters themselves, and the optimizer."""
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
            if step == self.reload_after:
                saved = copy.deepcopy(optimizer.state_dict())
                optimizer = getattr(unit, self.rule)(self._given(parameters), lr=9.0)
                optimizer.load_state_dict(saved)
        return seen, parameters, optimizer

    def _given(self, parameters):
        if self.groups is None:
            return parameters
        last = len(self.groups) - 1
        members = [[parameters[i]] for i in range(last)] + [parameters[last:]]
        return [{"params": m, **options} for m, options in zip(members, self.groups, strict=True)]


def same_values(one, other):
    return one is other if one is None or other is None else torch.equal(one, other)


def gradients_for(rand, steps=6, shapes=SHAPES):
    """Large and small by turns, so that running means differ from the last gradient."""
    return [draw(rand, shapes, 5.0 if step % 3 == 0 else 0.5) for step in range(steps)]


def named(rule, options):
    return f"{rule}({', '.join(f'{key}={value}' for key, value in options.items())})"


@of_each("numerics")
def test_six_steps_follow_the_formula(agree, rand, rule):
    run = Run(rule, RULES[rule], draw(rand), gradients_for(rand))
    agree.on(f"six steps of {named(rule, RULES[rule])}", run.parameters)


@of_each("numerics")
def test_the_defaults_are_the_documented_ones(agree, rand, rule):
    run = Run(rule, {}, draw(rand), gradients_for(rand, 3))
    agree.on(f"three steps of {rule} with its defaults", run.parameters)


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
    what = f"{named(rule, RULES[rule])} with {option} {values[0]} in one group and {values[1]} in another"
    agree.on(what, run.parameters)


@of_each("property")
def test_lr_is_read_from_the_group_in_every_step(agree, rand, rule):
    lrs = ((0.3, 0.1), (0.05, 0.2), (0.2, 0.02), (0.01, 0.4))
    run = Run(rule, RULES[rule], draw(rand), gradients_for(rand, 4), [{"lr": 0.5}, {}], lrs)
    agree.on(f"{named(rule, RULES[rule])} in two groups, with a new lr before every step", run.parameters)


@of_each("shortcut")
def test_it_is_written_by_hand(agree, rand, rule):
    run = Run(rule, RULES[rule], draw(rand), gradients_for(rand, 1))
    agree.on(f"a step of {named(rule, RULES[rule])}", run.parameters)


@of_each("shape", "state")
def test_state_has_shape_and_dtype_of_the_parameter(agree, rand, rule):
    shapes = [(), (1,), (2, 3, 4), (0, 3)]
    run = Run(rule, RULES[rule], draw(rand, shapes), gradients_for(rand, 2, shapes))
    agree.on(f"{named(rule, RULES[rule])} of parameters of shapes {shapes}", run.state)


@of_each("numerics", "state")
@pytest.mark.parametrize(("dtype", "steps"), [(torch.float32, 3), (torch.bfloat16, 1)], ids=["float32", "bfloat16"])
def test_state_has_the_dtype_of_the_parameter(agree, rand, rule, dtype, steps):
    start = [value.to(dtype) for value in draw(rand)]
    gradients = [[g.to(dtype) for g in step] for step in gradients_for(rand, steps)]
    run = Run(rule, RULES[rule], start, gradients)
    agree.on(f"{steps} steps of {named(rule, RULES[rule])} in {str(dtype)[6:]}", run.state)


@of_each("property", "state")
def test_state_holds_what_is_remembered(agree, rand, rule):
    run = Run(rule, RULES[rule], draw(rand), gradients_for(rand, 3))
    agree.on(f"the state after three steps of {named(rule, RULES[rule])}", run.state)


@of_each("property", "state")
def test_a_new_optimizer_goes_on_from_the_state_dict(agree, rand, rule):
    run = Run(rule, RULES[rule], draw(rand), gradients_for(rand), [{}, {"lr": 0.03}], reload_after=3)
    agree.on(f"{named(rule, RULES[rule])}, saved after step 3 and gone on with by a new {rule}(lr=9.0)", run.state)


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


@of_each("property", "state")
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


def with_gaps(rand, rule):
    gradients = gradients_for(rand)
    for parameter, steps in {1: range(6), 2: (0, 1), 3: (2, 3)}.items():
        for step in steps:
            gradients[step][parameter] = None
    return Run(rule, RULES[rule], draw(rand), gradients)


GAPS = "where parameter 1 never has a gradient, 2 not in steps 1 and 2, 3 not in steps 3 and 4"


@of_each("property", "skips")
def test_a_parameter_without_gradient_is_left_alone(agree, rand, rule):
    agree.on(f"{named(rule, RULES[rule])}, {GAPS}", with_gaps(rand, rule).parameters)


@of_each("property", "skips")
def test_a_parameter_without_gradient_has_no_state(agree, rand, rule):
    run = with_gaps(rand, rule)

    def question(unit):
        _, parameters, optimizer = run.walk(unit)
        return entries_of(optimizer.state, lambda parameter: place(parameter, parameters)).get(1)

    agree.on(f"the state of parameter 1 after {named(rule, RULES[rule])}, {GAPS}", question)


@of_each("property", "in_place")
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_gradients_and_leaves_stay_as_they_were(agree, rand, rule, decay):
    options = RULES[rule] | {"weight_decay": decay}
    run = Run(rule, options, draw(rand), gradients_for(rand, 3))
    agree.on(f"what three steps of {named(rule, options)} leave of gradients and leaves", run.traces)


@of_each("property", "in_place")
def test_a_gradient_that_changes_in_place_reaches_no_state(agree, rand, rule):
    values, gradients = draw(rand), gradients_for(rand, 3)
    options = RULES[rule] | {"weight_decay": 0.0}

    def question(unit):
        parameters = parameters_of(values)
        optimizer = getattr(unit, rule)(parameters, **options)
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        for step in gradients:
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad.copy_(gradient)  # as backward() does where the gradient was set to 0 and not to None
            optimizer.step()
        return [parameter.detach().clone() for parameter in parameters]

    agree.on(f"three steps of {named(rule, options)} whose gradients come in the same tensors", question)


# SGD


@check("SGD", "numerics")
@pytest.mark.parametrize(
    "options",
    [{"lr": 0.2}, {"lr": 0.2, "weight_decay": 0.4}, {"lr": 0.2, "weight_decay": 1.0}, {"lr": 0.2, "momentum": 0.7}],
    ids=["plain", "with decay", "with a decay of 1", "with momentum"],
)
def test_SGD_with_less_than_all_options(agree, rand, options):
    run = Run("SGD", options, draw(rand), gradients_for(rand, 4))
    agree.on(f"four steps of {named('SGD', options)}", run.parameters)


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


@check("SGD", "property", "state")
def test_SGD_keeps_no_state_where_momentum_is_0(agree, rand):
    run = Run("SGD", {"lr": 0.2, "weight_decay": 0.4}, draw(rand), gradients_for(rand, 2), [{}, {"momentum": 0.5}])
    agree.on("SGD with momentum 0 in one group and 0.5 in the other", run.state)


# AdamW


@check("AdamW", "numerics")
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.0},
        {"lr": 0.5, "betas": (0.8, 0.95), "weight_decay": 0.9},
        {"lr": 0.1, "betas": (0.0, 0.5)},
    ],
    ids=["no decay", "strong decay", "short memory"],
)
def test_AdamW_with_other_options(agree, rand, options):
    run = Run("AdamW", options, draw(rand), gradients_for(rand, 4))
    agree.on(f"four steps of {named('AdamW', options)}", run.parameters)


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
    options = {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": decay}
    gradients = gradients_for(rand, 3)
    for step in gradients:
        step[0].zero_()
        step[2][0] = 0.0
    run = Run("AdamW", options, draw(rand), gradients)
    agree.on(f"{named('AdamW', options)} with gradients of zeros", run.parameters)


@check("AdamW", "stability")
def test_AdamW_with_gradients_far_below_eps(agree, rand):
    gradients = [[gradient * 1e-9 for gradient in step] for step in gradients_for(rand, 3)]
    agree.on("AdamW(lr=0.1), gradients about 1e-9", Run("AdamW", {"lr": 0.1}, draw(rand), gradients).parameters)


@check("AdamW", "stability")
def test_AdamW_corrects_exactly_where_beta2_is_close_to_1(agree, rand):
    # 1 - 0.99999 in float32 is wrong by 1e-3 of itself.
    options = {"lr": 1.0, "betas": (0.9, 0.99999)}
    agree.on(
        f"two steps of {named('AdamW', options)}", Run("AdamW", options, draw(rand), gradients_for(rand, 2)).parameters
    )


# parameter_groups


def pairs(kind="everything"):
    """Names that tell nothing of the shape, or the wrong thing."""
    shapes = {"z_embedding.weight": (3, 2), "gain": (3,), "norm_projection.weight": (2, 2), "twin": (3,)}
    shapes |= {"convolution": (2, 2, 2), "scale": (), "layer.bias": (4,), "bias_table": (5, 2), "another": (5, 2)}
    # Each its own number: equal values are a case of their own.
    found = [(name, Parameter(torch.full(shape, float(i)))) for i, (name, shape) in enumerate(shapes.items())]
    chosen = {"matrices": lambda p: p.ndim > 1, "vectors": lambda p: p.ndim < 2, "nothing": lambda p: False}
    return [pair for pair in found if chosen.get(kind, lambda p: True)(pair[1])]


def groups_for(build, weight_decay=0.25, make=list):
    """The question which groups come out, by the places of the parameters in the list of pairs."""

    def question(unit):
        given = build()
        return groups_of(unit.parameter_groups(make(given), weight_decay), [parameter for _, parameter in given])

    return question


@check("parameter_groups", "property")
@pytest.mark.parametrize("weight_decay", [0.1, 0.25, 0.0])
def test_parameter_groups_decay_what_has_two_dimensions_or_more(agree, weight_decay):
    agree.on(f"parameter_groups(pairs, weight_decay={weight_decay})", groups_for(pairs, weight_decay))


@check("parameter_groups", "property")
def test_parameter_groups_takes_a_generator(agree):
    agree.on("parameter_groups of a generator", groups_for(pairs, make=iter))


@check("parameter_groups", "property")
@given(dimensions=st.lists(st.integers(0, 4), max_size=8))
def test_parameter_groups_keep_the_order(unit, dimensions):
    parameters = [Parameter(torch.full([2] * ndim, float(i))) for i, ndim in enumerate(dimensions)]
    groups = unit.parameter_groups([(f"p{i}", parameter) for i, parameter in enumerate(parameters)], 0.1)
    got = [[place(p, parameters) for p in group["params"]] for group in groups if group["params"]]
    expected = [[i for i, ndim in enumerate(dimensions) if (ndim >= 2) is decayed] for decayed in (True, False)]
    assert got == [places for places in expected if places], (
        f"optim.parameter_groups: of parameters with {dimensions} axes, the two groups hold those at {got}, "
        f"expected {expected}"
    )


@check("parameter_groups", "shape")
@pytest.mark.parametrize("kind", ["matrices", "vectors", "nothing"])
def test_parameter_groups_are_always_two(agree, kind):
    agree.on(f"parameter_groups of a model that has {kind} only", groups_for(lambda: pairs(kind)))


@check("parameter_groups", "property", "form")
def test_parameter_groups_hold_lists(agree):
    agree.on(
        'whether "params" of each group is a list',
        lambda unit: [isinstance(group["params"], list) for group in unit.parameter_groups(pairs(), 0.25)],
    )


@check("parameter_groups", "property", "form")
def test_parameter_groups_takes_parameters_of_one_name(agree):
    # As when two models are trained together: the name decides nothing.

    def build():
        return [("weight", parameter) for _, parameter in pairs()]

    agree.on("parameter_groups of pairs that all have one name", groups_for(build))


@check("parameter_groups", "property", "tied")
def test_parameter_groups_hold_a_tied_parameter_once_where_it_came_first(agree):
    def build():
        table, gain, *others = pairs()
        return [table, *others, ("tied", table[1]), gain, ("tied again", gain[1])]

    def question(unit):
        given = build()
        parameters = list(dict.fromkeys(parameter for _, parameter in given))
        return groups_of(unit.parameter_groups(given, 0.25), parameters)

    agree.on("parameter_groups where a matrix and a vector come under two names", question)


@check("parameter_groups", "property", "tied")
@pytest.mark.parametrize("shape", [(3,), (2, 2), (0, 3)], ids=str)
def test_parameter_groups_hold_different_parameters_that_look_the_same(agree, shape):
    def build():
        # The third has the second's memory and is another parameter all the same.
        one, two = Parameter(torch.ones(shape)), Parameter(torch.ones(shape))
        return [*pairs(), ("one", one), ("two", two), ("three", Parameter(two.detach()))]

    agree.on(f"parameter_groups where three parameters of shape {shape} have equal values", groups_for(build))


@check("parameter_groups", "property", "frozen")
def test_parameter_groups_leave_frozen_parameters_out(agree):
    def build():
        given = pairs()
        for _, parameter in given[::2]:
            parameter.requires_grad_(False)
        return given

    agree.on("parameter_groups where every other parameter is frozen", groups_for(build))


# clip_grad_norm


def clipped(gradients, max_norm, make=list, looks=("the norm", "the gradients")):
    """The question what clip_grad_norm returns and leaves."""

    def question(unit):
        shapes = [SHAPES[i] if g is None else g.shape for i, g in enumerate(gradients)]
        dtypes = [torch.float64 if g is None else g.dtype for g in gradients]
        parameters = [Parameter(torch.full(s, 7.0, dtype=d)) for s, d in zip(shapes, dtypes, strict=True)]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        norm = unit.clip_grad_norm(make(parameters), max_norm)
        seen = {
            "the norm": float(norm),
            "dtype of the norm": str(getattr(norm, "dtype", type(norm).__name__)),
            "shape of the norm": tuple(getattr(norm, "shape", ["not a tensor"])),
            "the gradients": [parameter.grad for parameter in parameters],
            "the parameters (they must not change)": [parameter.detach().clone() for parameter in parameters],
        }
        return {name: value for name, value in seen.items() if name in looks}

    return question


@check("clip_grad_norm", "numerics")
@pytest.mark.parametrize("max_norm", [2.0, 3.5])
def test_clip_grad_norm_shortens_all_gradients_as_one_vector(agree, rand, max_norm):
    gradients = [gradient + 4.0 for gradient in draw(rand)]
    agree.on(f"clip_grad_norm of five long gradients, max_norm={max_norm}", clipped(gradients, max_norm))


@check("clip_grad_norm", "numerics")
@pytest.mark.parametrize("max_norm", [1000.0, float("inf")])
def test_clip_grad_norm_lets_short_gradients_through(agree, rand, max_norm):
    agree.on(f"clip_grad_norm of short gradients, max_norm={max_norm}", clipped(draw(rand), max_norm))


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
def test_clip_grad_norm_leaves_the_parameters_alone(agree, rand):
    gradients = [gradient + 4.0 for gradient in draw(rand)]
    agree.on(
        "the parameters after clip_grad_norm",
        clipped(gradients, 2.0, looks=("the norm", "the parameters (they must not change)")),
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


@check("clip_grad_norm", "shortcut")
def test_clip_grad_norm_is_written_by_hand(agree, rand):
    agree.on("clip_grad_norm of one gradient, max_norm=2", clipped([rand(4) + 5.0], 2.0))


@check("clip_grad_norm", "numerics", "skips")
def test_clip_grad_norm_skips_parameters_without_gradient(agree, rand):
    gradients = [None if i in (0, 3) else 4.0 + g for i, g in enumerate(draw(rand))]
    agree.on("clip_grad_norm where two gradients are None, max_norm=2", clipped(gradients, 2.0))


@check("clip_grad_norm", "shape", "skips")
@pytest.mark.parametrize("gradients", [[], [None, None]], ids=["no parameters", "no gradients"])
def test_clip_grad_norm_of_nothing_is_zero(agree, gradients):
    agree.on(f"clip_grad_norm of {len(gradients)} parameters without gradients", clipped(gradients, 2.0))


FORM = ("dtype of the norm", "shape of the norm")


@check("clip_grad_norm", "shape")
def test_clip_grad_norm_returns_a_tensor_without_any_gradient(agree):
    agree.on("what clip_grad_norm of a parameter without gradient returns", clipped([None], 2.0, looks=FORM))


@check("clip_grad_norm", "property", "form")
def test_clip_grad_norm_scales_the_tensors_that_were_there(agree, rand):
    gradient = rand(3, 4) + 5.0

    def question(unit):
        (parameter,) = parameters_of([gradient])
        kept = parameter.grad = gradient.clone()
        unit.clip_grad_norm([parameter], 2.0)
        return kept

    agree.on("the tensor that was .grad before clip_grad_norm, max_norm=2", question)


@check("clip_grad_norm", "stability")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_clip_grad_norm_adds_up_in_float32(agree, rand, dtype):
    gradients = [(gradient + 300.0).to(dtype) for gradient in draw(rand)]
    agree.on(f"clip_grad_norm of {str(dtype)[6:]} gradients about 300, max_norm=7", clipped(gradients, 7.0))


@check("clip_grad_norm", "stability")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_clip_grad_norm_does_not_round_the_norm_to_half_precision(unit, rand, dtype):
    parameter = Parameter(torch.zeros(40, 40, dtype=dtype))
    parameter.grad = (rand(40, 40) + 3.0).to(dtype)
    exact = float(parameter.grad.double().norm())
    norm = float(unit.clip_grad_norm([parameter], 7.0))
    assert abs(norm - exact) <= 1e-5 * exact, (
        f"optim.clip_grad_norm of {str(dtype)[6:]} gradients: the norm is {norm:.6g}, and {exact:.6g} when it is "
        "added up in float64; add up in float32"
    )


@check("clip_grad_norm", "shape")
@pytest.mark.parametrize("dtypes", ["float64", "float32", "float32 float64"])
def test_clip_grad_norm_returns_a_tensor_without_axes(agree, rand, dtypes):
    gradients = [(rand(3, 4) + 5.0).to(getattr(torch, dtype)) for dtype in dtypes.split()]
    agree.on(f"what clip_grad_norm of {dtypes} gradients returns", clipped(gradients, 2.0, looks=FORM))


@check("clip_grad_norm", "stability")
def test_clip_grad_norm_of_zero_gradients_is_zero(agree):
    gradients = [torch.zeros(shape, dtype=torch.float64) for shape in [*SHAPES, (0, 3)]]
    agree.on("clip_grad_norm of zero gradients, max_norm=2", clipped(gradients, 2.0))
