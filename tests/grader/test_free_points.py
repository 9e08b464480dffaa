"""Code that does nothing right earns nothing, not for what it refuses and not for what happens to hold."""

import pytest

from grader.checking import suite
from grader.checking.runner import Runner
from grader.checking.target import LocalTarget
from grader.curriculum.outcome import Outcome
from grader.grading.scoring import score_unit
from tests.grader.degenerate import KINDS, UNITS, degenerate

MOST = 0.02  # of a unit's points


def points_of(unit, submission, seed=0):
    """The score of a submission in a unit, exercise by exercise, without a word about what is wrong."""
    runner = Runner(LocalTarget(submission), seed)
    outcomes = {}
    try:
        for check in suite.collect(unit.name):
            passed = runner.passes(check.id, check.body(seed))
            status = "passed" if passed else "failed"
            outcome = Outcome(check.id.name, check.id.kind, status, message="", criterion=check.id.criterion)
            outcomes.setdefault(check.id.exercise.name, []).append(outcome)
    finally:
        runner.target.close()
    return score_unit(unit, outcomes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_code_that_does_nothing_right_earns_nothing(unit, kind):
    result = points_of(unit, degenerate(unit, kind))
    earned = {exercise.exercise: exercise.score for exercise in result.exercises if exercise.score}
    assert result.score <= MOST * result.max_score, earned
