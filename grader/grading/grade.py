"""Grading: all checks of all units against one submission, as Results."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from grader import __version__
from grader.checking import suite
from grader.checking.runner import Runner
from grader.checking.target import IsolatedTarget, LocalTarget, Target
from grader.curriculum import Unit, load
from grader.curriculum.outcome import Outcome
from grader.curriculum.submission import Submission
from grader.grading.kit import kit_digest
from grader.grading.results import Isolation, Kit, Results, SubmissionId, UnitResult
from grader.grading.scoring import score_unit
from grader.sandbox.host.pool import Limits, Pool
from grader.sandbox.worker import confine

Progress = Callable[[str, Outcome], None]


def grade(
    submission: Submission,
    *,
    units: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    seed: int | None = None,
    pool: Pool | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Results:
    """Grade a submission.

    Args:
        submission: What was handed in.
        units: Which units; None: all.
        only: Which exercises of these units are run and scored; None: all.
        seed: Of the checks' random inputs; None: a fresh one.
        pool: Where workers come from; None: the submission runs in this process, unconfined.
        limits: What a worker may use.
        progress: Called after every check with the unit's name and the outcome.
    """
    started = time.perf_counter()
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    target: Target = (
        LocalTarget(submission) if pool is None else IsolatedTarget(submission, pool, limits or Limits(), seed)
    )
    try:
        chosen = [unit for unit in load().values() if units is None or unit.name in units]
        with nullcontext() if pool is None else confine.frugal():
            results = [_grade_unit(unit, target, seed, only, progress) for unit in chosen]
    finally:
        target.close()
    return _results(submission, results, seed, pool, time.perf_counter() - started)


def faulted(submission: Submission, units: Sequence[str], seed: int, said: str) -> Results:
    """The results where the grader could not do its work: every check that is expected is an error.

    Args:
        submission: What was to be graded.
        units: Which units.
        seed: Of the checks' random inputs.
        said: What went wrong.
    """
    message = f"The grader failed: {said}"
    results = []
    for unit in (unit for unit in load().values() if unit.name in units):
        outcomes: dict[str, list[Outcome]] = {}
        for check in suite.collect(unit.name):
            outcome = Outcome(check.id.name, check.id.kind, "error", message=message, criterion=check.id.criterion)
            outcomes.setdefault(check.id.exercise.name, []).append(outcome)
        results.append(score_unit(unit, outcomes))
    return _results(submission, results, seed, None, 0.0)


def _results(submission: Submission, units: list[UnitResult], seed: int, pool: Pool | None, seconds: float) -> Results:
    return Results(
        kit=Kit(__version__, kit_digest()),
        submission=SubmissionId(
            submission.name, submission.sha256, submission.status, submission.problem, list(submission.notes)
        ),
        isolation=isolation_of(pool),
        seed=seed,
        seconds=round(seconds, 3),
        score=round(sum(unit.score for unit in units), 2),
        max_score=round(sum(unit.max_score for unit in units), 2),
        units=units,
    )


def isolation_of(pool: Pool | None) -> Isolation:
    """How far a grading with this pool is isolated."""
    if pool is None:
        return "none"
    return "confined" if pool.confined else "process"


def _grade_unit(
    unit: Unit, target: Target, seed: int, only: Sequence[str] | None, progress: Progress | None
) -> UnitResult:
    checks = [check for check in suite.collect(unit.name) if only is None or check.id.exercise.name in only]
    runner = Runner(target, seed, [check.id for check in checks])
    outcomes: dict[str, list[Outcome]] = {}
    for check in checks:
        outcome, _ = runner.run(check.id, check.body(seed))
        outcomes.setdefault(check.id.exercise.name, []).append(outcome)
        if progress is not None:
            progress(unit.name, outcome)
    return score_unit(unit, outcomes, only)
