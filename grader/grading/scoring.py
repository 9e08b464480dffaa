"""Scoring: outcomes of checks in, Results out. The only place where points are computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from grader.curriculum import Criterion, Exercise, Unit
from grader.curriculum.outcome import Outcome, Status
from grader.grading.results import Check, CriterionResult, ExerciseResult, UnitResult


def score_unit(unit: Unit, outcomes: Mapping[str, Sequence[Outcome]], only: Sequence[str] | None = None) -> UnitResult:
    """The unit's result.

    Args:
        unit: What is to be scored.
        outcomes: Exercise name to the outcomes of all its checks.
        only: Which exercises are scored; None: all.
    """
    chosen = [exercise for exercise in unit.exercises if only is None or exercise.name in only]
    exercises = [score_exercise(exercise, outcomes.get(exercise.name, ())) for exercise in chosen]
    score = float(sum(exercise.score for exercise in exercises))
    return UnitResult(unit.name, score, float(sum(exercise.points for exercise in chosen)), exercises)


def score_exercise(exercise: Exercise, outcomes: Sequence[Outcome]) -> ExerciseResult:
    """The exercise's result: a criterion is earned when all of its checks pass and the exercise does its job.

    The job is the first criterion. While half of its checks or more fail, no criterion is earned, so code that does
    nothing right cannot collect points for what it refuses or for what happens to hold.

    Args:
        exercise: What is to be scored.
        outcomes: Of all its checks.
    """
    found = {criterion.name: _of(criterion, outcomes) for criterion in exercise.criteria}
    main = found[exercise.criteria[0].name]
    does_its_job = 2 * sum(outcome.status == "passed" for outcome in main) > len(main)
    gate: Status = "passed" if does_its_job else _worst(outcome.status for outcome in main)
    criteria = [
        _score_criterion(criterion, _worst((*(o.status for o in found[criterion.name]), gate)))
        for criterion in exercise.criteria
    ]
    checks = [
        Check(o.check, name, o.kind, o.status, o.seconds, o.message, o.mistake)
        for name, outcomes in found.items()
        for o in outcomes
    ]
    score = float(sum(criterion.points for criterion in criteria))
    status = _worst(check.status for check in checks)
    return ExerciseResult(exercise.name, score, float(exercise.points), status, criteria, checks)


def _of(criterion: Criterion, outcomes: Sequence[Outcome]) -> list[Outcome]:
    missing = Outcome("any", "numerics", message="The grader has no check for this criterion.")
    return [outcome for outcome in outcomes if outcome.criterion == criterion.name] or [missing]


def _score_criterion(criterion: Criterion, status: Status) -> CriterionResult:
    worth = float(criterion.points)
    return CriterionResult(criterion.name, criterion.says, status, worth if status == "passed" else 0.0, worth)


def _worst(statuses: Iterable[Status]) -> Status:
    found = set(statuses)
    order: tuple[Status, ...] = ("error", "failed", "todo")
    return next((status for status in order if status in found), "passed")
