"""One learner's page: the score, what it is made of, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grader.curriculum import load
from grader.curriculum.outcome import KNOWN_MISTAKE, Kind, Status
from grader.grading.results import Check, CriterionResult, ExerciseResult, Isolation, Results, UnitResult
from grader.reports.graded import Graded
from grader.reports.html import link, render
from grader.reports.text import cut, percent

_TELLING: tuple[Kind, ...] = ("numerics", "gradient", "shape", "property", "stability", "efficiency", "shortcut")
_SHOWN, _FOLDED = 3, 12  # findings of an exercise: at first, and on a click
_LONGEST = 2000  # characters of a message, so that no submission makes a page that no browser opens
_WHERE: dict[Isolation, str] = {
    "confined": "in confined workers",
    "process": "in workers without confinement",
    "none": "in the grader's own process, without isolation",
}


@dataclass(frozen=True)
class Finding:
    """What is wrong, once, however many checks found it.

    Args:
        check: The first check that found it.
        kind: What that check looks at.
        others: How many more checks say the same.
        before: Its message up to the known mistake; the whole where there is none.
        mistake: The line that names the known mistake, or empty.
        after: The rest of the message.
    """

    check: str
    kind: str
    others: int
    before: str
    mistake: str
    after: str


@dataclass(frozen=True)
class Exercise:
    """An exercise as the page shows it."""

    name: str
    status: Status
    score: float
    max_score: float
    criteria: tuple[CriterionResult, ...]
    withheld: bool
    passed: int
    checks: int
    todo: str
    shown: tuple[Finding, ...]
    folded: tuple[Finding, ...]
    uncounted: int


@dataclass(frozen=True)
class Unit:
    """A unit as the page shows it."""

    name: str
    title: str
    score: float
    max_score: float
    percent: float
    done: int
    exercises: tuple[Exercise, ...]


@dataclass(frozen=True)
class Waiting:
    """What is still to be written of a unit, and the points that it can earn."""

    title: str
    exercises: tuple[str, ...]
    points: float


def learner_page(graded: Graded, *, class_page: str = "") -> str:
    """A page that a learner can be handed: one HTML file without scripts, fonts or pictures from elsewhere.

    Args:
        graded: The learner's grade.
        class_page: Where the class's page lies, seen from this one; empty for a page that goes to the learner.
    """
    results = graded.results
    units = [_unit(unit) for unit in results.units]
    return render(
        "learner.html",
        name=cut(graded.name, 200),
        graded=graded,
        notes=[cut(note, _LONGEST) for note in graded.notes],
        results=results,
        percent=percent(graded.score, results.max_score),
        faults=sum(check.status == "error" for check in results.checks),
        units=units,
        todo=[waiting for unit in units if (waiting := _waiting(unit)).exercises],
        where=_WHERE[results.isolation],
        command=repeat_command(results),
        class_page=link(class_page) if class_page else "",
    )


def repeat_command(results: Results) -> str:
    """What to type to have the same grading again."""
    names = [unit.unit for unit in results.units]
    chosen = [] if set(names) == set(load()) else [f" --unit {shlex.quote(name)}" for name in names]
    return f"grader grade PATH --seed {results.seed}{''.join(chosen)}"


def title(unit: str) -> str:
    """A unit's name for people; of a unit that this kit does not know, its name."""
    known = load().get(unit)
    return known.title if known else unit


def split_at_mistake(check: Check) -> tuple[str, str, str]:
    """A check's message before, in and after the line that names the known mistake; together they are the message."""
    if not check.mistake:
        return check.message, "", ""
    lines = check.message.splitlines(keepends=True)
    # The last one: the grader writes below whatever the learner's own exception said.
    at = max((i for i, line in enumerate(lines) if line.lstrip().startswith(KNOWN_MISTAKE)), default=None)
    if at is None:
        return check.message, "", ""
    start = sum(map(len, lines[:at])) + lines[at].index(KNOWN_MISTAKE)
    end = sum(map(len, lines[: at + 1]))
    return check.message[:start], check.message[start:end], check.message[end:]


def _unit(unit: UnitResult) -> Unit:
    exercises = tuple(_exercise(exercise) for exercise in unit.exercises)
    done = sum(exercise.status == "passed" for exercise in exercises)
    share = percent(unit.score, unit.max_score)
    return Unit(unit.unit, title(unit.unit), unit.score, unit.max_score, share, done, exercises)


def _waiting(unit: Unit) -> Waiting:
    todo = [exercise for exercise in unit.exercises if exercise.status == "todo"]
    points = sum(exercise.max_score - exercise.score for exercise in todo)
    return Waiting(unit.title, tuple(exercise.name for exercise in todo), points)


def _exercise(exercise: ExerciseResult) -> Exercise:
    wrong = [check for check in exercise.checks if check.status in ("failed", "error")]
    findings = list(_findings(wrong))
    waiting = [check.message for check in exercise.checks if check.status == "todo"]
    return Exercise(
        name=exercise.exercise,
        status=exercise.status,
        score=exercise.score,
        max_score=exercise.max_score,
        criteria=tuple(exercise.criteria),
        withheld=any(_withheld(criterion, exercise.checks) for criterion in exercise.criteria),
        passed=sum(check.status == "passed" for check in exercise.checks),
        checks=len(exercise.checks),
        todo=cut(waiting[0], 200) if waiting else "",
        shown=tuple(findings[:_SHOWN]),
        folded=tuple(findings[_SHOWN : _SHOWN + _FOLDED]),
        uncounted=len(findings[_SHOWN + _FOLDED :]),
    )


def _withheld(criterion: CriterionResult, checks: Sequence[Check]) -> bool:
    """Whether all of its checks passed and it is not earned, because the exercise does not do its job."""
    own = [check.status for check in checks if check.criterion == criterion.criterion]
    return criterion.status != "passed" and all(status == "passed" for status in own)


def _findings(wrong: Sequence[Check]) -> Iterator[Finding]:
    # Faults first, then what has a name: it says most.
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in sorted(wrong, key=lambda check: (check.status != "error", not check.mistake)):
        groups.setdefault((check.status, check.mistake or check.message), []).append(check)
    for group in groups.values():
        # The check of values says most of what is wrong; that of shortcuts is but one more that cannot pass.
        first, *others = sorted(group, key=lambda check: _TELLING.index(check.kind))
        before, mistake, after = split_at_mistake(first)
        room = _LONGEST - len(mistake[:_LONGEST])
        yield Finding(
            cut(first.check, 200),
            first.kind,
            len(others),
            cut(before, room),
            cut(mistake, _LONGEST),
            cut(after, max(room - len(before), 0)) if after else "",
        )
