"""Which submissions are suspiciously alike: fingerprints of what learners wrote themselves, unit by unit.

The fingerprints are copydetect's (winnowing, as MOSS has it); nothing else of the kit uses it. Taken away beforehand
is what everybody has: the stubs, the reference's own statements, and what a good part of the class has in common.
Nothing is run, and what comes out is a reason to look, not a verdict.
"""

from __future__ import annotations

import importlib
import io
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from grader.curriculum.submission import KIT, File, Submission, from_bytes
from grader.similarity.normalize import OwnCode, own_code

K = 40  # characters: two short statements in a row, such as no two people write by chance often
WINDOW = 1  # every fingerprint counts: which ones a larger window takes changes from run to run
AMOUNT = 160  # characters that must be alike: about six statements; less is chance
COMMON = 0.2  # what so large a part of the class has is no secret of two
COMMON_LEAST = 10
LEAST = 0.5

Lines = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Pair:
    """Two submissions that are alike in a unit.

    Args:
        left: One learner.
        right: The other.
        unit: Where.
        similarity: How much of the smaller one's own code is also in the other, 0 to 1.
        amount: How much that is, in characters of code without names and blanks.
        left_lines: First and last line of each stretch, in the one's file.
        right_lines: The same in the other's.
    """

    left: str
    right: str
    unit: str
    similarity: float
    amount: int
    left_lines: Lines
    right_lines: Lines


def alike(submissions: Mapping[str, Submission], units: Iterable[str], least: float = LEAST) -> list[Pair]:
    """Pairs of submissions that have more in common than the exercise explains, the most alike first.

    Args:
        submissions: By learner.
        units: Which units are compared.
        least: From which similarity on.

    Raises:
        ValueError: The tool that compares is not installed.
    """
    tool = comparer()
    found = [pair for unit in units for pair in _alike(tool, submissions, unit, least)]
    return sorted(found, key=lambda pair: (-pair.similarity, -pair.amount, pair.left, pair.right))


def comparer() -> Any:
    """Return the library that compares, copydetect.

    Raises:
        ValueError: It is not installed.
    """
    try:
        return importlib.import_module("copydetect")
    except ImportError as error:
        raise ValueError('comparing needs copydetect: python -m pip install -e ".[instructor]"') from error


@dataclass(frozen=True)
class _Print:
    name: str
    code: OwnCode
    prints: Any


def _alike(tool: Any, submissions: Mapping[str, Submission], unit: str, least: float) -> list[Pair]:
    known = _hashes_of_kit(tool, unit)
    codes = {name: own_code(one.files[unit]) for name, one in sorted(submissions.items()) if unit in one.files}
    made = [_Print(name, code, _prints(tool, code)) for name, code in codes.items() if len(code.text) >= AMOUNT]
    counts = Counter(mark for one in made for mark in one.prints.hashes)
    common = {mark for mark, count in counts.items() if count >= max(COMMON_LEAST, COMMON * len(made))}
    for one in made:
        _take_away(tool, one.prints, known | common)
    pairs = (_pair(tool, left, right, unit) for left, right in combinations(made, 2) if _related(left, right, least))
    return [pair for pair in pairs if pair.similarity >= least and pair.amount >= AMOUNT]


def _related(left: _Print, right: _Print, least: float) -> bool:
    # Cheap, and true of few: comparing them in earnest costs a hundred times as much.
    marks = left.prints.hashes, right.prints.hashes
    return len(marks[0] & marks[1]) > max(2.0, least / 2 * min(map(len, marks)))


def _prints(tool: Any, code: OwnCode) -> Any:
    return tool.CodeFingerprint("", K, WINDOW, filter=False, fp=io.StringIO(code.text))


def _hashes_of_kit(tool: Any, unit: str) -> set[int]:
    known: set[int] = set()
    for room in ("exercises", "solutions"):
        code = own_code(_kits(room, unit))
        if len(code.text) >= K:
            known |= _prints(tool, code).hashes
    return known


def _kits(room: str, unit: str) -> File:
    path = KIT / room / f"{unit}.py"
    return from_bytes(path.name, path.read_bytes()) if path.exists() else File(path.name, "", "It is not here.")


def _take_away(tool: Any, prints: Any, known: set[int]) -> None:
    # Not by the tool's own `boilerplate`: it takes each fingerprint to occur once in a file.
    prints.hashes = prints.hashes - known
    prints.hash_idx = {mark: places for mark, places in prints.hash_idx.items() if mark in prints.hashes}
    utils = importlib.import_module("copydetect.utils")
    prints.token_coverage = utils.get_token_coverage(prints.hash_idx, prints.k, len(prints.filtered_code))


def _pair(tool: Any, left: _Print, right: _Print, unit: str) -> Pair:
    _, shares, slices = tool.compare_files(left.prints, right.prints)
    amounts = [int((slice_[1] - slice_[0]).sum()) for slice_ in slices]
    lines = [_lines(one.code, slice_) for one, slice_ in zip((left, right), slices, strict=True)]
    return Pair(left.name, right.name, unit, min(1.0, float(max(shares))), min(amounts), lines[0], lines[1])


def _lines(code: OwnCode, slices: Any) -> Lines:
    stretches: list[tuple[int, int]] = []
    for start, end in sorted(zip(slices[0].tolist(), slices[1].tolist(), strict=True)):
        touched = code.lines[bisect_right(code.starts, start) - 1 : bisect_right(code.starts, end - 1)]
        stretches += touched
    return _joined(sorted(stretches))


def _joined(stretches: Sequence[tuple[int, int]]) -> Lines:
    joined: list[tuple[int, int]] = []
    for first, last in stretches:
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)
