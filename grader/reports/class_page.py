"""The page of a class: how the scores lie, what was hard, and whose grade needs a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from grader.reports import statistics
from grader.reports.graded import Graded
from grader.reports.html import link, render
from grader.reports.text import cut, percent

_COMMON, _SLOW = 25, 10


@dataclass(frozen=True)
class Row:
    """A learner in a list.

    Args:
        name: The learner.
        link: To the learner's page; empty where there is none.
        graded: The grade.
        percent: Of full marks.
        faults: What the grader said where it failed itself, each once.
    """

    name: str
    link: str
    graded: Graded
    percent: float
    faults: tuple[str, ...]


def class_page(
    grades: Sequence[Graded], *, made: str, kit: str, seeds: str, links: Mapping[str, str] | None = None
) -> str:
    """A page of all grades: one HTML file without scripts, fonts or pictures from elsewhere.

    Grades that do not count, because the grader itself failed or nothing could be read, are listed apart and are in no
    figure.

    Args:
        grades: One a learner, in the order in which they are to be listed.
        made: When, as text.
        kit: What graded, as text.
        seeds: How seeds were chosen, as text.
        links: Learner to the path of their page, seen from this one.
    """
    rows = [_row(graded, (links or {}).get(graded.name, "")) for graded in grades]
    unreadable = [row for row in rows if row.graded.status == "unreadable"]
    counted = [row for row in rows if not row.graded.faulty and row not in unreadable]
    counting = [row.graded for row in counted]
    shares = [row.percent for row in counted]
    mistakes = statistics.common_mistakes(counting)
    return render(
        "class.html",
        made=made,
        kit=kit,
        seeds=seeds,
        rows=rows,
        counted=counted,
        unreadable=unreadable,
        faulty=[row for row in rows if row.graded.faulty],
        unconfined=[row for row in rows if row.graded.results.isolation != "confined"],
        kits=sorted({(row.graded.results.kit.version, row.graded.results.kit.sha256) for row in rows}),
        mean=fmean(shares) if shares else 0.0,
        median=median(shares) if shares else 0.0,
        bins=statistics.distribution(shares),
        units=statistics.unit_rates(counting),
        exercises=statistics.exercise_rates(counting),
        mistakes=mistakes[:_COMMON],
        rarer=len(mistakes[_COMMON:]),
        slowest=sorted(rows, key=lambda row: -row.graded.results.seconds)[:_SLOW],
    )


def _row(graded: Graded, path: str) -> Row:
    faults = dict.fromkeys(cut(check.message, 300) for check in graded.results.checks if check.status == "error")
    share = percent(graded.score, graded.results.max_score)
    return Row(cut(graded.name, 200), link(path) if path else "", graded, share, tuple(faults)[:3])
