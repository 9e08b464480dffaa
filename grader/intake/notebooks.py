"""Notebooks, read as the JSON that they are: their code cells, and what in them is not Python.

Line 12 of the third code cell is line 3012 of the text, so that a place in a message can be found in the notebook.
A cell that is not Python is left out, as Jupyter could not have run it either. Where it seems to define what a unit
needs and does not have otherwise, that unit gets a sentence instead of a grade on half of its code.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from grader.curriculum.submission import MAX_BYTES, parse
from grader.intake import magics
from grader.intake.members import Refused, shown

LINES_A_CELL = 1000
MAX_CELLS = 300
_PYTHON_CELLS = ("%%time", "%%timeit", "%%capture", "%%prun")
_AGAIN = "Open it in Jupyter, save it, and hand it in again."


@dataclass(frozen=True)
class BrokenCell:
    """A code cell that is left out.

    Args:
        reason: Which one and why, as the beginning of a sentence.
        defines: What it would define.
        words: All names in it.
    """

    reason: str
    defines: frozenset[str]
    words: frozenset[str]


def read(raw: bytes, name: str) -> tuple[str, list[BrokenCell]]:
    """The code of a notebook as one text, and the cells that are left out of it.

    Args:
        raw: The file.
        name: Of the file, for sentences.

    Raises:
        Refused: It is no notebook.
    """
    parts, size, broken, line = [], 0, [], 0
    cells = _code_cells(raw, name)
    if len(cells) > MAX_CELLS:
        raise Refused(f"{name} has {len(cells)} code cells, more than {MAX_CELLS}. Hand in your exercises alone.")
    for number, source in enumerate(cells, start=1):
        code, reason = _python(source)
        if reason:
            words = frozenset(re.findall(r"\w+", source))
            defines = frozenset(re.findall(r"\b(?:def|class)\s+(\w+)", source))
            broken.append(BrokenCell(f"Code cell {number} of {name} {reason}", defines, words))
            continue
        size += len(code)
        if size > MAX_BYTES:
            raise Refused(f"{name} has more than {MAX_BYTES >> 10} KiB of code; is it the right file?")
        start = max(number * LINES_A_CELL, -(-line // LINES_A_CELL) * LINES_A_CELL)
        parts.append("\n" * (start - line) + code.rstrip("\n") + "\n")
        line = start + code.rstrip("\n").count("\n") + 1
    return "".join(parts), broken


def _code_cells(raw: bytes, name: str) -> list[str]:
    try:
        notebook = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{name} is not a notebook: it is no JSON. {_AGAIN}") from error
    if not isinstance(notebook, dict) or notebook.get("nbformat") not in (3, 4):
        raise Refused(f"{name} is not a notebook of format 3 or 4. {_AGAIN}")
    sheets = [notebook] if notebook["nbformat"] == 4 else notebook.get("worksheets")
    cells = [cell for sheet in _dicts(sheets, name) for cell in _dicts(sheet.get("cells"), name)]
    key = "source" if notebook["nbformat"] == 4 else "input"
    return [_source(cell.get(key), name) for cell in cells if cell.get("cell_type") == "code"]


def _dicts(found: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Refused(f"{name} is not a notebook: its cells are not where they belong. {_AGAIN}")
    return found


def _source(found: Any, name: str) -> str:
    if isinstance(found, list) and all(isinstance(line, str) for line in found):
        found = "".join(found)
    if not isinstance(found, str):
        raise Refused(f"{name} is not a notebook: a code cell has no text. {_AGAIN}")
    return found.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")


def _python(source: str) -> tuple[str, str]:
    """A cell's Python with each magic line replaced by `pass`, and why it is not Python."""
    if len(source) > MAX_BYTES:
        return "", f"is larger than {MAX_BYTES >> 10} KiB"
    lines = source.split("\n")
    head = next((index for index, line in enumerate(lines) if line.strip()), 0)
    magic = (lines[head].split() or [""])[0]
    if magic.startswith("%%"):
        if magic not in _PYTHON_CELLS:
            return "", f"begins with {magic[:40]!r}, which is not Python to be imported"
        lines[head] = ""
    text = magics.replaced("\n".join(lines))
    try:
        text.encode()
        parse(text)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        return "", f"is not Python: {where}{shown(error.msg, 200)}"
    except (ValueError, RecursionError, MemoryError) as error:
        return "", f"is not Python: {shown(str(error), 200)}"
    return text, ""
