"""What was handed in, learner by learner: folders, archives, notebooks and files, read one at a time when asked for."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from grader.batch import archives, folders
from grader.batch import roster as rosters
from grader.batch.assemble import assemble
from grader.batch.places import ARCHIVES, WHAT_TO_DO, Refused, choose, is_noise, shown
from grader.submission import Submission, printable

NOTHING = "Nothing was handed in."
_FILES = (".py", ".ipynb")


@dataclass(frozen=True)
class Entry:
    """One learner, and what they handed in.

    Args:
        name: The learner.
        path: Where it came from; the roster, if nothing was handed in.
        late: The roster's cell, as it stands.
        attempt: The roster's cell, as it stands.
        missing: Nothing was handed in.
    """

    name: str
    path: Path
    late: str = ""
    attempt: str = ""
    missing: bool = False

    def read(self) -> Submission:
        """The submission, read anew with each call, so that a course of hundreds is never in memory at once.

        Whatever was handed in, this gives a submission; if nothing of it can be used, its `problem` says what to do.
        """
        if self.missing:
            return Submission(self.name, {}, NOTHING)
        try:
            return _read(self.name, self.path)
        except Refused as refusal:
            return Submission(self.name, {}, str(refusal))
        except OSError as error:
            return Submission(self.name, {}, f"{shown(self.path.name)} cannot be read: {error.strerror}.")


def collect(folder: Path, roster: Path | None = None) -> list[Entry]:
    """All submissions of a folder, one an entry of it, named after the entry or by the roster.

    Args:
        folder: Holds a folder, an archive, a notebook or a Python file for each learner; what is hidden is passed over,
            anything else is a submission that says what is wrong with it, so that nobody is lost.
        roster: A CSV file: who handed in what. A learner of it without a file has an entry, too.

    Raises:
        ValueError: No such folder, two submissions of one name, or a roster that does not fit. What the roster does not
            know is refused before anything is graded: it is either somebody who would go without a grade, or the
            misspelt file of somebody who would get none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder. Give the folder that holds the submissions.")
    apart = roster.resolve() if roster is not None else None
    paths = [path for path in sorted(folder.iterdir()) if not is_noise(path.name) and path.resolve() != apart]
    if roster is not None:
        return _by_roster(folder, roster, paths)
    if not paths:
        raise ValueError(f"{folder} is empty. Give the folder that holds the submissions.")
    return _by_name(paths)


def _by_name(paths: list[Path]) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for path in paths:
        name = learner_of(path)
        if name in entries:
            raise ValueError(
                f"{shown(entries[name].path.name)} and {shown(path.name)} would both be {name}. "
                "Remove or rename one, or say in a roster whose they are."
            )
        entries[name] = Entry(name, path)
    return list(entries.values())


def learner_of(path: Path) -> str:
    """A learner's name from what they handed in: without the ending that says what it is, and fit for a report."""
    name = path.name
    if not path.is_dir():
        ending = next((ending for ending in (*ARCHIVES, *_FILES) if name.lower().endswith(ending)), path.suffix)
        name = name[: len(name) - len(ending)] or name
    return rosters.normal(printable(name))


def _by_roster(folder: Path, file: Path, paths: list[Path]) -> list[Entry]:
    entries: list[Entry] = []
    owners: dict[Path, str] = {}
    for row in rosters.read(file):
        candidates = _candidates(row.file, paths)
        if len(candidates) > 1:
            listed = " and ".join(shown(path.name) for path in candidates[:2])
            raise ValueError(f"{file} line {row.line}: {row.file!r} may be {listed}. Write it with its ending.")
        path = candidates[0] if candidates else file
        if path in owners:
            raise ValueError(f"{file} line {row.line}: {row.file!r} is given to {owners[path]!r} already.")
        if candidates:
            owners[path] = row.name
        entries.append(Entry(row.name, path, row.late, row.attempt, missing=not candidates))
    if strays := [path for path in paths if path not in owners]:
        listed = ", ".join(shown(path.name) for path in strays[:10]) + (", ..." if len(strays) > 10 else "")
        raise ValueError(f"{file} does not name {listed}. Add a line for each, or move them out of {folder}.")
    return entries


def _candidates(cell: str, paths: list[Path]) -> list[Path]:
    """What a cell of the roster means: that very entry, or those with this name and an ending."""
    exact = [path for path in paths if cell and rosters.normal(path.name) == cell]
    return exact or [path for path in paths if cell and learner_of(path) == cell]


def _read(learner: str, path: Path) -> Submission:
    what = shown(path.name)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise Refused(NOTHING) from None
    if stat.S_ISLNK(mode):
        raise Refused(f"{what} is a link. Hand in the folder or file itself.")
    if stat.S_ISDIR(mode):
        return assemble(learner, choose(folders.members(path, what), what))
    if not stat.S_ISREG(mode):
        raise Refused(f"{what} is no file. {WHAT_TO_DO}")
    if path.name.lower().endswith(ARCHIVES):
        with archives.opened(path, what) as members:
            return assemble(learner, choose(members, what))
    if path.suffix.lower() in _FILES:
        return assemble(learner, [folders.file_member(path, path.name)])
    raise Refused(f"{what} is nothing that can be graded. {WHAT_TO_DO}")
