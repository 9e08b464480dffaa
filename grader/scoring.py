"""Scoring: outcomes of checks, in; Results, out. The one place where points are computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from grader.curriculum import Exercise, Unit
from grader.outcome import Outcome, Status
from grader.results import Check, ExerciseResult, UnitResult


def score_unit(unit: Unit, outcomes: Mapping[str, Sequence[Outcome]], only: Sequence[str] | None = None) -> UnitResult:
    """The unit's result.

    Args:
        unit: What is to be scored.
        outcomes: Exercise name to the outcomes of all its checks.
        only: Which exercises are scored; None: all.
    """
    chosen = [exercise for exercise in unit.exercises if only is None or exercise.name in only]
    exercises = [_score_exercise(exercise, outcomes.get(exercise.name, ())) for exercise in chosen]
    return UnitResult(unit.name, _total(e.score for e in exercises), float(sum(e.points for e in chosen)), exercises)


def _score_exercise(exercise: Exercise, outcomes: Sequence[Outcome]) -> ExerciseResult:
    if not outcomes:
        nothing = Outcome("any", "numerics", "error", 0.0, "The grader has no check for this exercise.")
        outcomes = [nothing]
    checks = [
        Check(o.check, o.kind, o.status, worth if o.status == "passed" else 0.0, worth, o.seconds, o.message, o.mistake)
        for o, worth in zip(outcomes, _shares(exercise.points, len(outcomes)), strict=True)
    ]
    score = _total(check.points for check in checks)
    return ExerciseResult(exercise.name, score, float(exercise.points), _status(checks), checks)


def _shares(points: int, count: int) -> list[float]:
    # In hundredths, so that the shares of 5 points among 12 checks add up to 5 and not to 4.99.
    share, rest = divmod(100 * points, count)
    return [(share + (index < rest)) / 100 for index in range(count)]


def _total(points: Iterable[float]) -> float:
    return sum(round(100 * value) for value in points) / 100


def _status(checks: Sequence[Check]) -> Status:
    found = {check.status for check in checks}
    for status in ("error", "failed", "todo"):
        if status in found:
            return status
    return "passed"
