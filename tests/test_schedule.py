"""Checks of the schedules: what each step gives, where one phase ends and the next begins, and what is refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.compare import Tolerance

SCHEDULES = ("warmup_cosine", "warmup_stable_decay")
EVERY = ("linear_warmup", *SCHEDULES)
RELATIVE = Tolerance(1e-5, 1e-15)  # learning rates are small: a millionth more or less would be a mistake
LENGTHS = {  # a run of 3 + 8 or 3 + 4 + 5 steps: every phase of another length
    "linear_warmup": {"warmup_steps": 7},
    "warmup_cosine": {"warmup_steps": 3, "total_steps": 11},
    "warmup_stable_decay": {"warmup_steps": 3, "stable_steps": 4, "decay_steps": 5},
}
LAST = {"linear_warmup": 7, "warmup_cosine": 11, "warmup_stable_decay": 12}  # the first step after the end


def of_each(kind, names=EVERY, criterion=""):
    """The same check for each schedule, under the schedule's own name."""
    return pytest.mark.parametrize("name", [pytest.param(name, marks=check(name, kind, criterion)) for name in names])


def rates(rand):
    """Two learning rates, far enough apart that every mistake shows, and no round numbers."""
    return {
        "max_lr": 1.5 + int(rand.integers(1, 1000)) / 1001,
        "min_lr": 0.2 + int(rand.integers(1, 300)) / 1001,
    }


def options_for(name, rand):
    """All options of a run."""
    return LENGTHS[name] if name == "linear_warmup" else rates(rand) | LENGTHS[name]


def agree_on_steps(agree, name, steps, options, tolerance=RELATIVE):
    """The same learning rate as the reference in each of these steps."""
    steps = list(steps)

    def question(unit):
        return {f"step {step}": getattr(unit, name)(step, **options) for step in steps}

    shown = ", ".join(f"{key}={value:.6g}" for key, value in options.items())
    agree.on(f"{name}(step, {shown})", question, tolerance=tolerance)


# What all of them have in common


@of_each("numerics")
def test_the_whole_run(agree, rand, name):
    agree_on_steps(agree, name, range(LAST[name]), options_for(name, rand))


@of_each("numerics", criterion="edges")
def test_steps_past_the_end(agree, rand, name):
    last = LAST[name]
    agree_on_steps(agree, name, [0, last, last + 1, last + 4, 2 * last, 1000 * last + 1], options_for(name, rand))


@of_each("numerics", criterion="edges")
def test_no_warmup(agree, rand, name):
    agree_on_steps(agree, name, range(LAST[name] + 2), options_for(name, rand) | {"warmup_steps": 0})


@check("linear_warmup", "numerics", "edges")
def test_without_a_warmup_every_learning_rate_is_whole(agree):
    def question(unit):
        return {f"step {step}": 0.37 * unit.linear_warmup(step, warmup_steps=0) for step in range(4)}

    agree.on("0.37 * linear_warmup(step, warmup_steps=0)", question, tolerance=RELATIVE)


@of_each("numerics", criterion="edges")
def test_a_warmup_of_one_step_is_at_the_top_at_once(agree, rand, name):
    agree_on_steps(agree, name, range(3), options_for(name, rand) | {"warmup_steps": 1})


LONG = {
    "linear_warmup": {"warmup_steps": 2000},
    "warmup_cosine": {"max_lr": 3e-4, "min_lr": 3e-5, "warmup_steps": 2000, "total_steps": 600_000},
    "warmup_stable_decay": {
        **{"max_lr": 3e-4, "min_lr": 3e-5},
        **{"warmup_steps": 2000, "stable_steps": 500_000, "decay_steps": 98_000},
    },
}


@of_each("numerics")
def test_a_run_of_real_length(agree, name):
    steps = [0, 1, 1000, 1998, 1999, 2000, 2001, 70_000, 301_000, 501_999, 502_000, 502_001, 550_000, 599_999, 600_000]
    agree_on_steps(agree, name, steps, LONG[name])


def refused(agree, name, step, options, argument):
    """This argument is refused, by name and value."""
    value = {"step": step, **options}[argument]
    shown = ", ".join(f"{key}={number}" for key, number in {"step": step, **options}.items())
    for word in (argument, str(value)):
        agree.raises(f"{name}({shown})", lambda unit: getattr(unit, name)(step, **options), ValueError, mentions=word)


@of_each("numerics", criterion="refusals")
@pytest.mark.parametrize("step", [-1, -17])
@pytest.mark.parametrize("warmup_steps", [0, 3])
def test_a_negative_step_is_refused(agree, rand, name, step, warmup_steps):
    refused(agree, name, step, options_for(name, rand) | {"warmup_steps": warmup_steps}, "step")


@of_each("numerics", criterion="refusals")
@pytest.mark.parametrize("step", [0, 5])
@pytest.mark.parametrize("warmup_steps", [-1, -2])
def test_a_negative_warmup_is_refused(agree, rand, name, step, warmup_steps):
    refused(agree, name, step, options_for(name, rand) | {"warmup_steps": warmup_steps}, "warmup_steps")


@of_each("property")
def test_steps_may_be_asked_for_in_any_order(agree, rand, name):
    # As an evaluation, a picture or a resumed run does.
    agree_on_steps(agree, name, [0, 5, 2, LAST[name] - 1, 3, 4, 1], options_for(name, rand))


@of_each("property")
def test_two_runs_do_not_disturb_each_other(agree, rand, name):
    # Steps that no other check asks for, or what was kept from there would stand in for these.
    longer = {key: 37 * length for key, length in LENGTHS[name].items()}
    one = options_for(name, rand) | longer
    other = one | {"warmup_steps": longer["warmup_steps"] + 11}

    def question(unit):
        schedule = getattr(unit, name)
        return [schedule(step, **options) for step in (101, 205, 301, 399) for options in (one, other)]

    agree.on(f"{name} asked for the steps 101, 205, 301 and 399 of two runs in turn", question, tolerance=RELATIVE)


@of_each("shortcut")
def test_it_is_written_by_hand(agree, rand, name):
    agree_on_steps(agree, name, [1], options_for(name, rand))


# linear_warmup


@check("linear_warmup", "property")
@given(warmup_steps=st.integers(1, 40))
def test_linear_warmup_rises_in_equal_steps_from_above_0_to_1(unit, warmup_steps):
    factors = [unit.linear_warmup(step, warmup_steps) for step in range(warmup_steps)]
    rises = [after - before for before, after in pairwise([0.0, *factors])]
    call = f"schedule.linear_warmup(step, warmup_steps={warmup_steps})"
    assert all(abs(rise - 1 / warmup_steps) < 1e-5 for rise in rises), f"{call}: the steps of the rise are not equal"
    assert abs(factors[-1] - 1) < 1e-5, f"{call}: the last step of the warmup gives {factors[-1]:g}, expected 1"


# What the two whole schedules have in common


@of_each("numerics", SCHEDULES, "edges")
@pytest.mark.parametrize(("max_lr", "min_lr"), [(1.7, 0.0), (1.7, 1.7), (0.0, 0.0)])
def test_the_ends_of_min_lr(agree, name, max_lr, min_lr):
    # 0, which is reached exactly, and the same as max_lr: nothing is left to sink. A frozen group has 0 throughout.
    options = {"max_lr": max_lr, "min_lr": min_lr, **LENGTHS[name]}
    agree_on_steps(agree, name, range(LAST[name] + 3), options, Tolerance(1e-5, 1e-6))


@of_each("numerics", SCHEDULES, "edges")
def test_the_warmup_may_lie_below_min_lr(agree, name):
    agree_on_steps(agree, name, range(3), {"max_lr": 2.0, "min_lr": 1.6, **LENGTHS[name]})


def run_lengths(name, warmup, middle, end):
    """The lengths of a run as the options of a schedule, and how many steps it has."""
    if name == "warmup_cosine":
        return {"warmup_steps": warmup, "total_steps": warmup + middle + end}, warmup + middle + end
    return {"warmup_steps": warmup, "stable_steps": middle, "decay_steps": end}, warmup + middle + end


@of_each("property", SCHEDULES)
@given(warmup=st.integers(1, 6), middle=st.integers(1, 6), end=st.integers(2, 8), low=st.floats(0.01, 0.9))
def test_the_lr_never_rises_after_the_warmup_and_ends_at_min_lr(unit, name, warmup, middle, end, low):
    lengths, total = run_lengths(name, warmup, middle, end)
    schedule = getattr(unit, name)
    lrs = [schedule(step, max_lr=1.0, min_lr=low, **lengths) for step in range(warmup, total + 1)]
    call = f"schedule.{name}(step, max_lr=1, min_lr={low:g}, {', '.join(f'{k}={v}' for k, v in lengths.items())})"
    pairs = enumerate(pairwise(lrs), start=warmup)
    rising = [step for step, (now, after) in pairs if after > now + 1e-5]
    assert not rising, f"{call}: it rises after step {rising[0]}, where the warmup is over"
    assert abs(lrs[0] - 1) < 1e-5, f"{call}: step {warmup} gives {lrs[0]:g}, expected max_lr"
    assert abs(lrs[-1] - low) < 1e-5, f"{call}: step {total} gives {lrs[-1]:g}, expected min_lr"


@of_each("property", SCHEDULES)
@given(warmup=st.integers(1, 4), end=st.integers(2, 8), low=st.floats(0.01, 0.9), times=st.integers(2, 5))
def test_the_descent_is_the_same_from_both_ends(unit, name, warmup, end, low, times):
    # Half a cosine wave and a straight line look the same upside down: what is missing here is gained there.
    lengths, total = run_lengths(name, warmup, int(name == "warmup_stable_decay"), end)
    schedule = getattr(unit, name)
    call = f"schedule.{name}(step, max_lr={times}, min_lr={low:g}, {', '.join(f'{k}={v}' for k, v in lengths.items())})"
    for down in range(end + 1):
        above, below = (
            schedule(s, max_lr=float(times), min_lr=low, **lengths) for s in (total - end + down, total - down)
        )
        assert abs(above + below - times - low) < 1e-4, (
            f"{call}: {down} steps after its beginning and {down} before its end the descent gives {above:g} and "
            f"{below:g}; together they should be max_lr + min_lr"
        )


# warmup_cosine


@check("warmup_cosine", "numerics", "refusals")
@pytest.mark.parametrize(("warmup_steps", "total_steps"), [(3, 3), (5, 2), (0, 0), (2, -4)])
@pytest.mark.parametrize("step", [0, 4])
def test_warmup_cosine_refuses_a_run_without_a_step_after_the_warmup(agree, rand, step, warmup_steps, total_steps):
    options = rates(rand) | {"warmup_steps": warmup_steps, "total_steps": total_steps}
    refused(agree, "warmup_cosine", step, options, "total_steps")


@check("warmup_cosine", "numerics", "edges")
def test_warmup_cosine_with_one_step_after_the_warmup(agree, rand):
    agree_on_steps(agree, "warmup_cosine", range(7), rates(rand) | {"warmup_steps": 4, "total_steps": 5})


# warmup_stable_decay


@check("warmup_stable_decay", "numerics", "edges")
@pytest.mark.parametrize("lengths", [(3, 0, 5), (0, 0, 4), (2, 6, 1), (4, 1, 9)], ids=str)
def test_warmup_stable_decay_with_other_lengths(agree, rand, lengths):
    options = dict(zip(("warmup_steps", "stable_steps", "decay_steps"), lengths, strict=True))
    agree_on_steps(agree, "warmup_stable_decay", range(sum(lengths) + 3), rates(rand) | options)


@check("warmup_stable_decay", "numerics", "refusals")
@pytest.mark.parametrize(
    ("argument", "value"), [("stable_steps", -1), ("stable_steps", -3), ("decay_steps", 0), ("decay_steps", -6)]
)
@pytest.mark.parametrize("step", [0, 4, 20])
def test_warmup_stable_decay_refuses_impossible_lengths(agree, rand, step, argument, value):
    options = rates(rand) | LENGTHS["warmup_stable_decay"] | {argument: value}
    refused(agree, "warmup_stable_decay", step, options, argument)


@check("warmup_stable_decay", "property")
@given(warmup=st.integers(1, 5), stable=st.integers(1, 8), more=st.integers(1, 9), decay=st.integers(1, 6))
def test_warmup_stable_decay_can_be_prolonged_on_the_plateau(unit, warmup, stable, more, decay):
    def lr(step, stable_steps):
        lengths = {"warmup_steps": warmup, "stable_steps": stable_steps, "decay_steps": decay}
        return unit.warmup_stable_decay(step, max_lr=1.0, min_lr=0.1, **lengths)

    call = f"schedule.warmup_stable_decay(step, warmup_steps={warmup}, stable_steps={stable}, decay_steps={decay})"
    for step in range(warmup + stable):
        assert abs(lr(step, stable) - lr(step, stable + more)) < 1e-5, (
            f"{call}: step {step} gets another lr when stable_steps grows by {more}, though the descent has not begun"
        )
    for step in range(warmup + stable, warmup + stable + decay + 1):
        assert abs(lr(step, stable) - lr(step + more, stable + more)) < 1e-5, (
            f"{call}: the descent changes its form when it begins {more} steps later"
        )
