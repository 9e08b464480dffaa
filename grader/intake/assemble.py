"""From files to a submission: one module per unit, found by what each file defines, then by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath

from grader.checking.slicing import Code
from grader.curriculum import Unit, load
from grader.curriculum.submission import MAX_FILES, File, Submission, from_bytes, parse
from grader.intake import notebooks
from grader.intake.members import MAX_TOTAL, PYTHON, WHAT_TO_DO, Member, Refused, shown
from grader.intake.notebooks import BrokenCell

MAX_CODE = 4 << 20
MAX_WRITTEN = 5 << 20  # what is taken from files that hold several units: all of it goes to each worker
_KIT = ("solutions", "tests", "grader")  # what lies beside `exercises` in the kit and is not the learner's


@dataclass(frozen=True)
class Text:
    """One file that was read: a script or a notebook.

    Args:
        path: Its place in the submission.
        file: Its text, or why there is none.
        broken: Cells of a notebook that are not Python.
    """

    path: PurePosixPath
    file: File
    broken: Sequence[BrokenCell] = ()

    @property
    def name(self) -> str:
        """Its name, fit for a sentence."""
        return shown(self.path.name)

    @property
    def stem(self) -> str:
        """Its name without the ending; a unit's name is recognised in capitals, too."""
        stem = self.path.stem
        return stem.casefold() if stem.casefold() in load() else stem

    @property
    def is_notebook(self) -> bool:
        """Whether it is one."""
        return self.path.suffix.lower() == ".ipynb"

    @cached_property
    def code(self) -> Code:
        """Its pieces, to take single units from."""
        return Code(self.file.text, parse(self.file.text))

    @cached_property
    def written(self) -> frozenset[str]:
        """The functions and classes that it defines and that are more than stubs."""
        defined = self.code.defines if not self.file.problem else set()
        return frozenset(name for name in defined if not self.file.is_stub(name))

    @cached_property
    def units(self) -> list[str]:
        """The units of which it defines an exercise."""
        return [unit.name for unit in load().values() if self.count(unit)]

    def count(self, unit: Unit) -> int:
        """How many exercises of the unit it defines."""
        names = {exercise.name for exercise in unit.exercises}
        return len(names & self.written) + sum(bool(names & cell.defines) for cell in self.broken)

    def called(self, unit: Unit) -> int:
        """How well its name fits the unit: 2 for `attention`, 1 for `my-attention (2)`."""
        if self.stem == unit.name and not self.is_notebook:
            return 2
        return int(re.search(rf"(?<![a-z]){unit.name}(?![a-z])", self.path.stem.casefold()) is not None)

    def may_be(self, unit: Unit) -> bool:
        """Whether it can be a unit at all: it defines some of it, be it as stubs, or should by its name."""
        if self.file.problem:
            return self.called(unit) > 0
        names = {exercise.name for exercise in unit.exercises}
        return self.called(unit) == 2 or bool(names & self.code.defines) or self.count(unit) > 0

    def claim(self, unit: Unit) -> tuple[bool, bool, int, int, int]:
        """How good its claim to a unit is; the largest wins."""
        called, count = self.called(unit), self.count(unit)
        if called == 2:
            names = {exercise.name for exercise in unit.exercises}
            written = bool(self.file.problem) or count > 0 or bool(names & self.file.assigned)
        else:
            written = count > 0
        folders = [part.casefold() for part in self.path.parts[:-1]]
        return (written, "exercises" in folders, called, count, -len(folders))

    def module(self, unit: Unit) -> File:
        """The module of a unit, or a sentence why there is none."""
        called = self.called(unit)
        if called == 2 or self.file.problem or (called and not self.is_notebook and self.units == [unit.name]):
            return self.file
        try:
            text, missing = self.code.take(unit)
        except RecursionError:
            return File(self.file.path, "", f"{self.name} nests functions too deep: split the expression up.")
        names = {exercise.name for exercise in unit.exercises}
        for cell in self.broken:
            if lost := sorted(names & cell.defines) or sorted(missing & cell.words):
                said = f"{cell.reason}. {unit.name} needs {shown(lost[0])} from it: repair the cell, then run all."
                return File(self.file.path, "", said)
        return File(self.file.path, text)


@dataclass
class _Found:
    """What comes out: the modules, which files they are from, and what there is to say."""

    files: dict[str, File] = field(default_factory=dict)
    used: dict[str, Text] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    written: int = 0


def assemble(members: Sequence[Member], others: Sequence[str], what: str) -> Submission:
    """Read these files and find every unit in them.

    Args:
        members: Python files and notebooks.
        others: Paths of what is neither.
        what: What was handed in, for sentences.

    Raises:
        Refused: Nothing of it can be used.
    """
    members = [member for member in members if member.path.lower().endswith(PYTHON)]
    if not members:
        if [shown(path) for path in others] == [what]:
            raise Refused(f"{what} is not something that can be graded. {WHAT_TO_DO}")
        listed = f" ({_listed(others)})" if others else ""
        raise Refused(f"{what} holds no Python files or notebooks{listed}. Hand in your .py files or your notebook.")
    texts = list(_read(_own(members)))
    found = _Found()
    for unit in load().values():
        if not unit.whole:
            _find(found, unit, texts)
    if not found.files:
        raise Refused(next((text.file.problem for text in texts if text.file.problem), _nothing(texts)))
    _add_helpers(found, texts)
    unused = [text for text in texts if text not in found.used.values() and text.stem not in found.files]
    _add_unread(found, unused)
    if ignored := [str(text.path) for text in unused] + list(others):
        found.notes.append(f"Not graded: {_listed(ignored)}.")
    return Submission(what, found.files, notes=tuple(found.notes))


def _own(members: Sequence[Member]) -> list[Member]:
    """The learner's own files: of a copy of the kit, not the folders that were handed out beside `exercises`."""
    places = [(member, PurePosixPath(member.path)) for member in members]
    kits = {path.parents[depth] for _, path in places for depth in _depths(path, "exercises")}
    own = [
        one for one, path in places if not any(path.parents[d] in kits for name in _KIT for d in _depths(path, name))
    ]
    if len(own) > MAX_FILES:
        raise Refused(f"There are {len(own)} Python files, more than {MAX_FILES}. Hand in yours alone.")
    return sorted(own, key=lambda member: member.path)


def _depths(path: PurePosixPath, folder: str) -> list[int]:
    """Which of a path's parents hold the folder of this name that it lies in."""
    return [depth + 1 for depth, parent in enumerate(list(path.parents)[:-1]) if parent.name.casefold() == folder]


def _read(members: Sequence[Member]) -> Iterator[Text]:
    total = code = 0
    for member in members:
        path = PurePosixPath(member.path)
        name = f"exercises/{shown(path.name)}" if path.stem.casefold() in load() else shown(path.name)
        try:
            raw = member.load()
            text = _text(path, name, raw)
        except Refused as refusal:
            yield Text(path, File(name, "", str(refusal)))
            continue
        total, code = total + len(raw), code + len(text.file.text)
        if total > MAX_TOTAL or code > MAX_CODE:
            limit = f"{MAX_CODE >> 20} MiB of Python, or {MAX_TOTAL >> 20} MiB with pictures"
            raise Refused(f"The files are more than {limit}. Hand in your exercises alone.")
        yield text


def _text(path: PurePosixPath, name: str, raw: bytes) -> Text:
    if path.suffix.lower() != ".ipynb":
        return Text(path, from_bytes(name, raw))
    source, broken = notebooks.read(raw, shown(path.name))
    # Each cell is Python; whether all together are, is seen here.
    return Text(path, replace(from_bytes(name, source.encode()), path=shown(path.name)), broken)


def _find(found: _Found, unit: Unit, texts: Sequence[Text]) -> None:
    claims = [(text.claim(unit), text) for text in texts if text.may_be(unit)]
    if not claims:
        return
    best = max(claim for claim, _ in claims)
    first, *more = [text for claim, text in claims if claim == best]
    if other := next((text for text in more if text.file != first.file), None):
        found.files[unit.name] = File(f"exercises/{unit.name}.py", "", _unclear(unit, first, other))
        return
    found.files[unit.name] = module = first.module(unit)
    found.used[unit.name] = first
    found.written += len(module.text)
    if found.written > MAX_WRITTEN:
        raise Refused(f"{first.name} is too large. Hand in a file for each unit.")
    if first.called(unit) != 2:
        found.notes.append(f"{unit.name} was found in {shown(str(first.path))}.")
    if others := [str(text.path) for claim, text in claims if claim[0] and text is not first]:
        found.notes.append(f"{unit.name} is also in {_listed(others)}; {shown(str(first.path))} was graded.")


def _unclear(unit: Unit, one: Text, other: Text) -> str:
    if str(one.path).casefold() == str(other.path).casefold():
        return f"There are several files with the name {one.name}. Hand in one of them."
    names = [text.name if one.name != other.name else shown(str(text.path)) for text in (one, other)]
    return f"{unit.name} is in {names[0]} and in {names[1]}, and it is not clear which counts. Hand in one."


def _add_helpers(found: _Found, texts: Sequence[Text]) -> None:
    """Modules that the units may import: what lies beside them and has a name that can be imported."""
    folders = {text.path.parent for text in found.used.values()}
    for text in texts:
        if text.path.parent in folders and text.stem.isidentifier() and not text.is_notebook:
            found.files.setdefault(text.stem, text.file)


def _add_unread(found: _Found, unused: Sequence[Text]) -> None:
    """What is missing may be in a file beside the others that could not be read."""
    folders = {text.path.parent for text in found.used.values()}
    unread = [text for text in unused if text.file.problem and text.path.parent in folders]
    for unit in load().values():
        if unread and not unit.whole and unit.name not in found.files:
            found.files[unit.name] = File(f"exercises/{unit.name}.py", "", unread[0].file.problem)


def _nothing(texts: Sequence[Text]) -> str:
    listed = _listed([str(text.path) for text in texts])
    return f"None of the exercises is defined in what was handed in ({listed}). Hand in the files that you wrote."


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(shown(path) for path in paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
