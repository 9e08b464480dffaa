"""The report for a terminal: a bar a unit, the points, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grader.curriculum import load
from grader.curriculum.outcome import Status
from grader.grading.results import Check, ExerciseResult, Isolation, Results

_STYLES: dict[Status, str] = {"passed": "green", "failed": "red", "todo": "yellow", "error": "magenta"}
_BAR = 24
_WHERE: dict[Isolation, str] = {
    "confined": "confined workers",
    "process": "workers without confinement",
    "none": "this process, no isolation",
}


def scorecard(results: Results) -> RenderableType:
    """A line a unit: its bar, its points, how many of its exercises are done; then the sum."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for unit in results.units:
        done = sum(exercise.status == "passed" for exercise in unit.exercises)
        names = Text(" ").join(Text(e.exercise, style=_STYLES[e.status]) for e in unit.exercises)
        table.add_row(
            Text(load()[unit.unit].title, style="bold"),
            _bar(unit.score, unit.max_score),
            f"{unit.score:g} / {unit.max_score:g}",
            Text(f"{done} of {len(unit.exercises)}  ").append_text(names),
        )
    total = Text(f"{results.score:g} of {results.max_score:g} points", style="bold")
    return Group(table, Text(), total.append(f"  (in {_WHERE[results.isolation]}, seed {results.seed})", style="dim"))


def _bar(score: float, max_score: float) -> Text:
    # Not full before it is: the last point counts, too.
    filled = int(_BAR * score / max_score) if max_score else 0
    return Text("█" * filled, style="green").append("░" * (_BAR - filled), style="dim")


def failures(results: Results, limit: int = 3) -> RenderableType:
    """What is wrong, exercise by exercise; stubs are one line each.

    Args:
        results: Of the grading.
        limit: How many failed checks of an exercise are shown; the rest is counted.
    """
    parts: list[RenderableType] = []
    for unit in results.units:
        for exercise in unit.exercises:
            if exercise.status != "passed":
                parts += _exercise(unit.unit, exercise, limit)
        if any(exercise.status != "passed" for exercise in unit.exercises):
            parts.append(Text())
    return Group(*parts)


def _exercise(unit: str, exercise: ExerciseResult, limit: int) -> Iterator[RenderableType]:
    wrong = [check for check in exercise.checks if check.status != "passed"]
    if all(check.status == "todo" for check in wrong):
        yield Text(f"todo    {wrong[0].message}", style=_STYLES["todo"])
        return
    score = f"{exercise.score:g} of {exercise.max_score:g} points"
    yield Text(f"{exercise.status:7} {unit}.{exercise.exercise}: {score}", style=_STYLES[exercise.status])
    for criterion in exercise.criteria:
        worth = f"{criterion.points:g} of {criterion.max_points:g}"
        yield Text(f"        {worth:9} {criterion.says}", style=_STYLES[criterion.status])
    shown = _distinct([check for check in wrong if check.status != "todo"])
    for check in shown[:limit]:
        yield Text(indent(f"{check.check}\n{check.message}", " " * 8))
    if len(wrong) > len(shown[:limit]):
        yield Text(f"        and {len(wrong) - len(shown[:limit])} more of its {len(exercise.checks)} checks")


def _distinct(checks: list[Check]) -> list[Check]:
    # One of a kind says as much as twelve: those with a name first, then one of each message.
    by_message: dict[str, Check] = {}
    for check in sorted(checks, key=lambda check: not check.mistake):
        by_message.setdefault(check.mistake or check.message, check)
    return list(by_message.values())
