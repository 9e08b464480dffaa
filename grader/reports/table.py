"""The grades of a class as CSV: one row a learner, for spreadsheets and for whatever a course already uses."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from grader.curriculum import load
from grader.reports.graded import Graded
from grader.reports.text import cut, percent, visible

BOM = "\ufeff"
_LONGEST = 30_000  # Excel takes 32767 characters a cell and moves the rest to the next one
# What begins a formula, in the fullwidth forms of Japanese keyboards too, behind all that spreadsheets strip. After a
# semicolon too: where that is the separator, a comma and a quote within the line do not protect a cell.
_FORMULA = re.compile("(^|;)(?=[\\s'\"`\u200c\u200d]*[=+\\-@|%\uff1d\uff0b\uff0d\uff20])")
_BREAK = re.compile("\r\n|[\r\n\t]")

_BEFORE = ("name", "score", "max_score", "raw_score", "percent")
_AFTER = ("status", "failed_exercises", "todo_exercises", "seed", "isolation", "seconds", "notes")

Cell = str | float


def grades_csv(grades: Sequence[Graded]) -> str:
    """All grades, in the order given.

    It begins with a byte order mark: without it Excel takes UTF-8 for the code page of the machine, and Łukasz for
    Ĺukasz. LibreOffice, Google Sheets, pandas and R pass over it; Python's csv wants `encoding="utf-8-sig"`.

    Args:
        grades: One per learner. Where one lacks a unit or an exercise that another has, its cell is empty.
    """
    columns = _columns(grades)
    file = io.StringIO()
    # A plain newline: text files of Windows make CRLF of it, and every reader takes both.
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([_cell(value) for value in [*_BEFORE, *columns, *_AFTER]])
    writer.writerows([_cell(value) for value in _row(graded, columns)] for graded in grades)
    return BOM + file.getvalue()


def _columns(grades: Sequence[Graded]) -> list[str]:
    """A column for each unit, and behind it one for each of its exercises, in the order of the curriculum."""
    found: dict[str, dict[str, None]] = {}
    for graded in grades:
        for unit in graded.results.units:
            found.setdefault(unit.unit, {}).update(dict.fromkeys(exercise.exercise for exercise in unit.exercises))
    order = {name: index for index, name in enumerate(load())}
    units = sorted(found, key=lambda unit: order.get(unit, len(order)))
    return [column for unit in units for column in (unit, *(f"{unit}.{exercise}" for exercise in found[unit]))]


def _row(graded: Graded, columns: Sequence[str]) -> list[Cell]:
    results = graded.results
    points = {unit.unit: unit.score for unit in results.units}
    points |= {f"{unit.unit}.{e.exercise}": e.score for unit in results.units for e in unit.exercises}
    found = [exercise.status for unit in results.units for exercise in unit.exercises]
    return [
        graded.name,
        graded.score,
        results.max_score,
        results.score,
        percent(graded.score, results.max_score),
        *(points.get(column, "") for column in columns),
        graded.status,
        found.count("failed"),
        found.count("todo"),
        results.seed,
        results.isolation,
        results.seconds,
        " ".join(graded.notes),
    ]


def _cell(value: Cell) -> Cell:
    if isinstance(value, str):
        return _defused(value)
    return int(value) if float(value).is_integer() else round(value, 2)


def _defused(text: str) -> str:
    r"""Text that no spreadsheet takes for a formula, in one line: an apostrophe stands before what begins one."""
    return _FORMULA.sub(r"\1'", visible(_BREAK.sub(" ", cut(text, _LONGEST))))
