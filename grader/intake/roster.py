"""The instructor's list of learners: a CSV file whose columns are found by their names, and whom each line means."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from grader.intake.members import shown

_NAME = ("name", "learner", "student", "id")
_FILE = ("file", "submission", "path")
_LATE = ("late", "days_late")
_ATTEMPT = ("attempt",)
_IDS = ("id", "sid", "user", "username", "login", "email", "email address", "matriculation")


@dataclass(frozen=True)
class Row:
    """A learner.

    Args:
        line: Of the file, for sentences.
        name: The learner.
        file: What they handed in, or ""; None where the list says nothing of files.
        late: The cell as it stands.
        attempt: The cell as it stands.
        ids: What else the learner is called: a number, a user's name, an address.
    """

    line: int
    name: str
    file: str | None
    late: str
    attempt: str
    ids: tuple[str, ...] = ()


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
    ids = [normal(cell or "") for column, cell in cells.items() if column and column.strip().casefold() in _IDS]
    file = file.replace("\\", "/").removeprefix("./").rstrip("/")
    return Row(line, name, file if columns[_FILE] else None, late, attempt, tuple(id_ for id_ in ids if id_))


def _refuse_twice(path: Path, rows: list[Row]) -> None:
    """A learner may stand in several lines, for several files; a file may not, and no line may stand twice."""
    seen: dict[str, int] = {}
    for row in rows:
        if row.file and row.file in seen:
            raise ValueError(f"{path} line {row.line}: {row.file!r} is in line {seen[row.file]} already.")
        seen[row.file or ""] = row.line


class Handed(Protocol):
    """What was handed in, as far as it says whose it is."""

    @property
    def name(self) -> str:
        """The learner, as the folder or the platform says."""

    @property
    def ids(self) -> tuple[str, ...]:
        """What else the learner is called there."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its files and folders."""


_H = TypeVar("_H", bound=Handed)


def matched(rows: Sequence[Row], file: Path, entries: Sequence[_H]) -> list[tuple[Row, list[_H]]]:
    """Each line of the list with what this learner handed in.

    Args:
        rows: The list.
        file: Where it is, for sentences.
        entries: What was handed in.

    Raises:
        ValueError: A line may mean several entries, or an entry is given to two learners.
    """
    found: list[tuple[Row, list[_H]]] = []
    owners: dict[int, str] = {}
    for row in rows:
        candidates = _candidates(row, entries)
        if row.file and len(candidates) > 1:
            listed = " and ".join(shown(entry.labels[0]) for entry in candidates[:2])
            raise ValueError(f"{file} line {row.line}: {row.file!r} may be {listed}. Write it with its ending.")
        for entry in candidates:
            if owners.setdefault(id(entry), row.name) != row.name:
                raise ValueError(
                    f"{file} line {row.line}: {row.file or row.name!r} is given to {owners[id(entry)]!r} already."
                )
        found.append((row, candidates))
    return found


def _candidates(row: Row, entries: Sequence[_H]) -> list[_H]:
    """What a line means: by its file, or by the learner's ids, or else by the name."""
    if row.file is not None:
        exact = [entry for entry in entries if row.file and row.file in map(normal, entry.labels)]
        return exact or [entry for entry in entries if row.file and row.file in (entry.name, *entry.ids)]
    for wanted in ({*row.ids}, {row.name}):
        if found := [entry for entry in entries if wanted & {entry.name, *entry.ids}]:
            return found
    return [entry for entry in entries if _joined(entry.name) in _spellings(row.name)]


def _spellings(name: str) -> set[str]:
    """The forms in which platforms write a name: Ada Lovelace is also lovelaceada, and Lovelace, Ada."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.casefold()).split()
    return {"".join(words[at:] + words[:at]) for at in range(len(words))}


def _joined(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
