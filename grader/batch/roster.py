"""The instructor's list of learners: a CSV file whose columns are found by their names."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_NAME = ("name", "learner", "student", "id")
_FILE = ("file", "submission", "path")
_LATE = ("late", "days_late")
_ATTEMPT = ("attempt",)


@dataclass(frozen=True)
class Row:
    """A learner.

    Args:
        line: Of the file, for sentences.
        name: The learner.
        file: What they handed in, or "".
        late: The cell as it stands.
        attempt: The cell as it stands.
    """

    line: int
    name: str
    file: str
    late: str
    attempt: str


def read(path: Path) -> list[Row]:
    """All learners of the list, in its order.

    Args:
        path: The file: comma, semicolon or tab between cells, with or without a byte order mark.

    Raises:
        ValueError: It cannot be read, lacks a column, or names somebody or something twice; the message says where.
    """
    text = _text(path)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        columns: dict[tuple[str, ...], str] = {
            key: _column(table.fieldnames or (), key) for key in (_NAME, _FILE, _LATE, _ATTEMPT)
        }
        if not columns[_NAME]:
            there = ", ".join(table.fieldnames or ()) or "nothing"
            raise ValueError(f"{path} has no column name, learner, student or id; its first line says {there}.")
        rows = [_row(table.line_num, cells, columns, path) for cells in table if any(map(_filled, cells.values()))]
    except csv.Error as error:
        raise ValueError(f"{path} line {table.line_num} is not CSV: {error}.") from error
    _refuse_twice(path, rows)
    return rows


def normal(name: str) -> str:
    """One spelling of a name: of an accent, too, which macOS writes in another way."""
    return unicodedata.normalize("NFC", name.strip())


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8. Save it as CSV UTF-8.") from error


def _delimiter(text: str) -> str:
    head = text.lstrip("\r\n").partition("\n")[0]
    return max(",;\t", key=head.count)


def _column(header: Sequence[str], names: tuple[str, ...]) -> str:
    fields = {field.strip().casefold(): field for field in header}
    return next((fields[name] for name in names if name in fields), "")


def _filled(cell: object) -> bool:
    return isinstance(cell, str) and bool(cell.strip())


def _row(line: int, cells: Mapping[str, str | None], columns: Mapping[tuple[str, ...], str], path: Path) -> Row:
    name, file, late, attempt = (normal(cells.get(columns[key]) or "") for key in (_NAME, _FILE, _LATE, _ATTEMPT))
    if not name:
        raise ValueError(f"{path} line {line} names nobody in its column {columns[_NAME]}.")
    if not columns[_FILE]:
        file = name  # a list of learners alone: what they handed in is called like them
    file = file.replace("\\", "/").removeprefix("./").rstrip("/")
    return Row(line, name, file, late, attempt)


def _refuse_twice(path: Path, rows: list[Row]) -> None:
    names: dict[str, int] = {}
    files: dict[str, int] = {}
    for row in rows:
        for seen, cell in ((names, row.name), (files, row.file)):
            if cell and cell in seen:
                raise ValueError(f"{path} line {row.line}: {cell!r} is in line {seen[cell]} already.")
            seen[cell] = row.line
