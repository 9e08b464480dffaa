"""A submission out of its files: a module a unit, whatever the files are called and whether they are notebooks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from grader.batch import notebooks
from grader.batch.extract import Code
from grader.batch.notebooks import BrokenCell
from grader.batch.places import MAX_CODE, MAX_TOTAL, Member, Refused, shown
from grader.curriculum import Unit, load
from grader.submission import MAX_BYTES, File, Submission, from_bytes, parse

MAX_WRITTEN = 5 << 20  # of what is taken from notebooks, where units share code: all of it goes to each worker


@dataclass(frozen=True)
class _Text:
    """A notebook or script of which units can be taken."""

    name: str
    code: Code
    broken: Sequence[BrokenCell] = ()

    def claims(self, unit: Unit) -> tuple[bool, int]:
        """How good its claim to a unit is: being called like it, then how many of its exercises it defines."""
        names = {exercise.name for exercise in unit.exercises}
        count = self.code.has(unit) + sum(bool(names & cell.defines) for cell in self.broken)
        called = re.fullmatch(rf"(.*[^a-z])?{unit.name}", PurePosixPath(self.name).stem.lower()) is not None
        return (called and count > 0, count)

    def file(self, unit: Unit) -> File:
        """The module of a unit, or a sentence why there is none."""
        text, missing = self.code.take(unit)
        names = {exercise.name for exercise in unit.exercises}
        for cell in self.broken:
            if lost := sorted(names & cell.defines) or sorted(missing & cell.words):
                said = f"{cell.reason}. {unit.name} needs {shown(lost[0])} from it: repair the cell, then run all."
                return File(self.name, "", said)
        return File(self.name, text)


@dataclass
class _Desk:
    """What has been read so far."""

    files: dict[str, File] = field(default_factory=dict)
    texts: list[_Text] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    total: int = 0
    code: int = 0
    written: int = 0

    def count(self, total: int, code: int) -> None:
        self.total += total
        self.code += code
        if self.total > MAX_TOTAL or self.code > MAX_CODE:
            limit = f"{MAX_CODE >> 20} MiB of Python, or {MAX_TOTAL >> 20} MiB with pictures"
            raise Refused(f"The files are more than {limit}. Hand in your exercises alone.")


def assemble(learner: str, members: Sequence[Member]) -> Submission:
    """Read these files and find every unit in them.

    A file with a unit's name is that unit. Units without one, or of which the file holds only stubs, are looked for
    in notebooks and other files, by what these define.

    Args:
        learner: The submission's name.
        members: The files, all of one folder.

    Raises:
        Refused: Nothing of it can be used.
    """
    desk = _look(members)
    for unit in load().values():
        if not unit.whole and _is_wanting(desk.files.get(unit.name), unit):
            _find(desk, unit)
    if not set(desk.files) & set(load()):
        raise Refused(next(iter(desk.refused.values()), _nothing(members)))
    # What is missing may be in what could not be read, unless that was another unit's file.
    why = next((why for file, why in desk.refused.items() if PurePosixPath(file).stem not in load()), "")
    missing = {unit: File(f"exercises/{unit}.py", "", why) for unit in load() if why and unit not in desk.files}
    return Submission(learner, desk.files | missing)


def _look(members: Sequence[Member]) -> _Desk:
    desk = _Desk()
    counts = Counter(member.file.casefold() for member in members)
    for member in members:
        try:
            if counts[member.file.casefold()] > 1:
                raise Refused(f"There are several files with the name {shown(member.file)}. Hand in one of them.")
            raw = member.load()
        except Refused as refusal:
            _refuse(desk, member, str(refusal))
            continue
        desk.count(len(raw), 0 if member.file.endswith(".ipynb") else len(raw))
        (_notebook if member.file.endswith(".ipynb") else _script)(desk, member, raw)
    return desk


def _nothing(members: Sequence[Member]) -> str:
    listed = ", ".join(shown(member.file) for member in members[:4])
    return f"None of the exercises is defined in what was handed in ({listed}). Hand in the files that you wrote."


def _refuse(desk: _Desk, member: Member, why: str) -> None:
    stem = PurePosixPath(member.file).stem
    desk.refused[member.file] = why
    if stem.isidentifier() and not (member.file.endswith(".ipynb") and stem in desk.files):
        desk.files[stem] = File(f"exercises/{shown(member.file)}", "", why)


def _script(desk: _Desk, member: Member, raw: bytes) -> None:
    stem = PurePosixPath(member.file).stem
    file = from_bytes(f"exercises/{shown(member.file)}", raw)
    if stem.isidentifier():
        desk.files[stem] = file
    if file.problem:
        desk.refused[member.file] = file.problem
    elif stem not in load():
        _add_text(desk, member, file.text, [])


def _notebook(desk: _Desk, member: Member, raw: bytes) -> None:
    try:
        text, broken = notebooks.read(raw, shown(member.file))
    except Refused as refusal:
        _refuse(desk, member, str(refusal))
        return
    size = len(text.replace("\n\n", ""))
    desk.count(0, size)
    if size > MAX_BYTES:
        _refuse(
            desk, member, f"{shown(member.file)} has more than {MAX_BYTES >> 10} KiB of code; is it the right file?"
        )
    else:
        _add_text(desk, member, text, broken)


def _add_text(desk: _Desk, member: Member, text: str, broken: Sequence[BrokenCell]) -> None:
    try:
        desk.texts.append(_Text(shown(member.file), Code(text, parse(text)), broken))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # each cell is fine, all together are not
        _refuse(desk, member, f"Python cannot read {shown(member.file)}: {type(error).__name__}.")


def _is_wanting(file: File | None, unit: Unit) -> bool:
    """Whether a unit is better looked for elsewhere: there is no file, or only stubs in it."""
    if file is None:
        return True
    return not file.problem and all(
        file.is_stub(exercise.name) or exercise.name not in file.definitions.keys() | file.assigned
        for exercise in unit.exercises
    )


def _find(desk: _Desk, unit: Unit) -> None:
    claims = sorted(((text.claims(unit), text) for text in desk.texts), key=lambda claim: claim[0], reverse=True)
    best = [text for claim, text in claims if claim[1] and claim == claims[0][0]]
    if len(best) > 1:
        said = f"{unit.name} is in {best[0].name} and in {best[1].name}, and it is not clear which counts. Hand in one."
        desk.files[unit.name] = File(f"exercises/{unit.name}.py", "", said)
    elif best:
        desk.files[unit.name] = file = best[0].file(unit)
        desk.written += len(file.text)
        if desk.written > MAX_WRITTEN:
            raise Refused(f"{best[0].name} is too large. Hand in a notebook for each unit.")
