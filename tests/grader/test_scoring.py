"""Points: a criterion is earned whole or not at all, and nothing is earned by code that does not do its job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.curriculum import Criterion, Exercise, Unit
from grader.curriculum.outcome import Outcome
from grader.grading.scoring import score_exercise, score_unit

WORTH = {"values": 5, "gradients": 2, "refusals": 1}
statuses = st.sampled_from(["passed", "failed", "todo", "error"])
endings = st.fixed_dictionaries({name: st.lists(statuses, min_size=1, max_size=6) for name in WORTH})


def exercise(worth=WORTH, name="one"):
    criteria = tuple(Criterion(criterion, f"does {criterion}", points, ()) for criterion, points in worth.items())
    return Exercise(name, criteria, (), (), ())


def outcomes(**ended):
    """Outcomes of checks, criterion by criterion."""
    return [
        Outcome(f"{criterion} {i}", "numerics", status, message="", criterion=criterion)
        for criterion, statuses in ended.items()
        for i, status in enumerate(statuses)
    ]


def scored(**ended):
    return score_exercise(exercise(), outcomes(**ended))


def earned(result):
    return {criterion.criterion: criterion.points for criterion in result.criteria if criterion.points}


PASSED = {name: ["passed", "passed"] for name in WORTH}


def test_all_criteria_together_are_full_marks():
    result = scored(**PASSED)
    assert (result.score, result.max_score, result.status) == (8, 8, "passed")
    assert earned(result) == WORTH


@pytest.mark.parametrize("lost", ["gradients", "refusals"])
def test_a_detail_costs_its_criterion_once_however_many_checks_see_it(lost):
    for ended in (["failed", "passed"], ["failed", "failed"]):
        result = scored(**PASSED | {lost: ended})
        assert earned(result) == {name: points for name, points in WORTH.items() if name != lost}
        assert result.status == "failed"


def test_one_failed_check_of_the_first_criterion_costs_that_criterion():
    result = scored(**PASSED | {"values": ["passed", "passed", "failed"]})
    assert earned(result) == {"gradients": 2, "refusals": 1}


@pytest.mark.parametrize("values", [["failed"], ["failed", "passed"], ["failed", "failed", "passed"]])
def test_code_that_fails_half_of_the_first_criterion_or_more_earns_nothing(values):
    result = scored(**PASSED | {"values": values})
    assert result.score == 0
    assert [criterion.status for criterion in result.criteria] == ["failed"] * 3
    assert {check.status for check in result.checks if check.criterion == "refusals"} == {"passed"}


def test_a_stub_is_todo_in_every_criterion():
    result = scored(**PASSED | {"values": ["todo", "todo"]})
    assert [criterion.status for criterion in result.criteria] == ["todo"] * 3


@given(endings)
def test_a_criterion_is_earned_if_all_its_checks_pass_and_the_first_does_in_the_main(ended):
    result = scored(**ended)
    main = ended["values"]
    works = main.count("passed") > len(main) / 2
    right = {name for name in WORTH if set(ended[name]) == {"passed"} and works}
    assert set(earned(result)) == right
    assert result.score == sum(WORTH[name] for name in right)
    assert all((criterion.status == "passed") == (criterion.points > 0) for criterion in result.criteria)


@given(endings, st.sampled_from(sorted(WORTH)))
def test_one_more_check_passed_never_costs(ended, name):
    better = ended | {name: ["passed", *ended[name][1:]]}
    assert scored(**better).score >= scored(**ended).score


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
    for found in (ended, ended[::-1]):
        assert scored(**PASSED | {"gradients": found}).status == status


def test_an_exercise_without_checks_is_an_error_and_earns_nothing():
    result = score_exercise(exercise(), [])
    assert (result.status, result.score, result.max_score) == ("error", 0, 8)
    assert [check.message for check in result.checks] == ["The grader has no check for this criterion."] * 3


def test_a_criterion_without_checks_is_an_error_and_costs_no_other():
    result = scored(values=["passed"], gradients=["passed"])
    assert result.status == "error"
    assert earned(result) == {"values": 5, "gradients": 2}


def test_a_check_that_did_not_run_is_an_error():
    missing = Outcome("missing", "shape", criterion="refusals")
    result = score_exercise(exercise(), [*outcomes(values=["passed"], gradients=["passed"]), missing])
    assert result.checks[-1].message == "The check did not run."
    assert result.criteria[-1].status == "error"


def test_a_unit_is_the_sum_of_its_exercises():
    unit = Unit("unit", "Unit", 1, (), (exercise(name="one"), exercise({"values": 3}, "two")))
    result = score_unit(unit, {"one": outcomes(**PASSED), "two": outcomes(values=["failed"])})
    assert (result.score, result.max_score) == (8, 11)
    assert [e.exercise for e in result.exercises] == ["one", "two"]


def test_only_the_chosen_exercises_count():
    unit = Unit("unit", "Unit", 1, (), (exercise(name="one"), exercise({"values": 3}, "two")))
    result = score_unit(unit, {"two": outcomes(values=["passed"])}, only=["two"])
    assert [e.exercise for e in result.exercises] == ["two"]
    assert result.score == result.max_score == 3


def test_outcomes_keep_what_was_said():
    outcome = Outcome("name", "stability", "failed", 0.25, "what is wrong", "no-scaling", "gradients")
    (check,) = (c for c in score_exercise(exercise(), [outcome]).checks if c.criterion == "gradients")
    assert (check.check, check.kind, check.status, check.seconds) == ("name", "stability", "failed", 0.25)
    assert (check.message, check.mistake) == ("what is wrong", "no-scaling")
