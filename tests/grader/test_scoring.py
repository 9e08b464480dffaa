"""Points: shares that add up, and only what passed earns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.curriculum import Exercise, Unit
from grader.outcome import Outcome
from grader.scoring import score_unit

points = st.integers(1, 30)
counts = st.integers(1, 60)
statuses = st.sampled_from(["passed", "failed", "todo", "error"])


def exercise(points=10, name="one"):
    return Exercise(name, points, (), (), (), ())


def scored(points, *ended, name="one"):
    """The result of one exercise whose checks ended so."""
    outcomes = [Outcome(f"check {i}", "numerics", status) for i, status in enumerate(ended)]
    unit = Unit("unit", "Unit", 1, (), (exercise(points, name),))
    return score_unit(unit, {name: outcomes}).exercises[0]


@given(points, counts)
def test_shares_of_all_checks_add_up_to_the_points(points, count):
    result = scored(points, *["passed"] * count)
    assert result.score == result.max_score == points
    assert round(100 * sum(check.max_points for check in result.checks)) == 100 * points
    worth = [check.max_points for check in result.checks]
    assert max(worth) - min(worth) < 0.011
    assert min(worth) > 0


def test_shares_of_every_number_of_points_and_checks_add_up():
    for points in range(1, 31):
        for count in range(1, 61):
            assert scored(points, *["passed"] * count).score == points, (points, count)


@given(points, st.lists(statuses, min_size=1, max_size=60))
def test_only_passed_earns(points, ended):
    result = scored(points, *ended)
    for check in result.checks:
        assert check.points == (check.max_points if check.status == "passed" else 0)
    assert round(100 * result.score) == round(100 * sum(check.points for check in result.checks))
    assert (result.score == points) == (set(ended) == {"passed"})


@given(points, st.lists(statuses, min_size=2, max_size=60))
def test_one_more_check_passed_never_costs(points, ended):
    better = ["passed", *ended[1:]]
    assert scored(points, *better).score >= scored(points, *ended).score


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "failed"], "failed"),
        (["passed", "todo"], "todo"),
        (["failed", "todo"], "failed"),
        (["todo", "todo"], "todo"),
        (["passed", "error"], "error"),
        (["failed", "error", "todo"], "error"),
    ],
)
def test_status_of_an_exercise_is_its_worst_check(ended, status):
    assert scored(6, *ended).status == status
    assert scored(6, *reversed(ended)).status == status


def test_an_exercise_without_checks_is_an_error_and_earns_nothing():
    unit = Unit("unit", "Unit", 1, (), (exercise(),))
    (result,) = score_unit(unit, {}).exercises
    assert (result.status, result.score, result.max_score) == ("error", 0, 10)
    assert result.checks[0].message == "The grader has no check for this exercise."


def test_a_check_that_did_not_run_is_an_error():
    unit = Unit("unit", "Unit", 1, (), (exercise(),))
    ran, missing = Outcome("ran", "shape", "passed", message=""), Outcome("missing", "shape")
    (result,) = score_unit(unit, {"one": [ran, missing]}).exercises
    assert [check.status for check in result.checks] == ["passed", "error"]
    assert result.checks[1].message == "The check did not run."
    assert result.score == 5


def test_a_unit_is_the_sum_of_its_exercises():
    unit = Unit("unit", "Unit", 1, (), (exercise(7, "one"), exercise(3, "two")))
    thirds = [Outcome(str(i), "shape", "passed") for i in range(3)]
    result = score_unit(unit, {"one": thirds, "two": [*thirds[:2], Outcome("2", "shape", "failed")]})
    assert result.max_score == 10
    assert result.score == pytest.approx(9)
    assert [e.exercise for e in result.exercises] == ["one", "two"]


def test_only_the_chosen_exercises_count():
    unit = Unit("unit", "Unit", 1, (), (exercise(7, "one"), exercise(3, "two")))
    result = score_unit(unit, {"two": [Outcome("0", "shape", "passed")]}, only=["two"])
    assert [e.exercise for e in result.exercises] == ["two"]
    assert result.score == result.max_score == 3


def test_outcomes_keep_what_was_said():
    unit = Unit("unit", "Unit", 1, (), (exercise(),))
    outcome = Outcome("name", "stability", "failed", 0.25, "what is wrong", "no-scaling")
    (check,) = score_unit(unit, {"one": [outcome]}).exercises[0].checks
    assert (check.check, check.kind, check.status, check.seconds) == ("name", "stability", "failed", 0.25)
    assert (check.message, check.mistake, check.points, check.max_points) == ("what is wrong", "no-scaling", 0, 10)
