"""One level of files and folders on which learners lie: a folder, or the archive that a platform exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.curriculum.submission import printable
from grader.intake import layouts, reader
from grader.intake.layouts import METADATA, Naming
from grader.intake.members import ARCHIVES, PYTHON, is_archive, is_noise
from grader.intake.roster import normal


@dataclass(frozen=True)
class Export:
    """The entries of that level.

    Args:
        place: The folder, or the archive.
        top: Entry to the names of its files in the archive; of a folder on disk nothing is looked at yet.
        outer: The folder around them in the archive, or "".
        naming: How the platform names entries; None where no platform did.
        metadata: Gradescope's list of learners, or "".
    """

    place: Path
    top: Mapping[str, list[str]]
    outer: str
    naming: Naming | None
    metadata: str

    def is_folder(self, key: str) -> bool:
        """Whether an entry is a folder."""
        if self.place.is_dir():
            return (self.place / key).is_dir()
        return any(member != self.outer + key for member in self.top[key])

    def learner_of(self, key: str) -> str:
        """Whose an entry is, by its own name."""
        return normal(printable(key if self.is_folder(key) else without_ending(key)))

    def sources(self, names: Mapping[str, str]) -> tuple[tuple[Path, str], ...]:
        """Where these entries lie, with the names that the learner gave them."""
        if self.place.is_dir():
            return tuple((self.place / key, file) for key, file in names.items())
        return ((self.place, self.place.name),) if names else ()

    def members(self, names: Mapping[str, str]) -> dict[str, str] | None:
        """Of an archive: which of its files these entries are, and what the learner called each."""
        if self.place.is_dir():
            return None
        return {
            member: member.removeprefix(f"{self.outer}{key}/") if self.is_folder(key) else file
            for key, file in names.items()
            for member in self.top[key]
        }


def opened(path: Path, apart: Path | None = None) -> Export:
    """The level on which learners lie: an export may be packed, and may have a folder around it.

    Args:
        path: A folder, or an archive.
        apart: A file in the folder that is not a submission.

    Raises:
        ValueError: It cannot be read.
    """
    if path.is_file() and is_archive(path.name):
        return _packed(path)
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder. Give the folder that holds the submissions.")
    inside = [entry for entry in sorted(path.iterdir()) if not is_noise(entry.name) and entry.resolve() != apart]
    naming = layouts.recognise(entry.name for entry in inside)
    alone = [entry for entry in inside if not layouts.is_companion(entry.name)]
    if naming is None and len(alone) == 1 and (within := _within(alone[0])) is not None:
        return within
    file = path / METADATA
    metadata = file.read_text("utf-8", "replace") if file.is_file() else ""
    return Export(path, {entry.name: [] for entry in inside}, "", naming, metadata)


def _within(path: Path) -> Export | None:
    """The only thing in a folder, where a platform made it."""
    if path.is_symlink() or not (path.is_dir() or is_archive(path.name)):
        return None
    try:
        found = opened(path)
    except ValueError:  # a learner's, and damaged: that is said when it is read
        return None
    return found if found.naming is not None else None


def _packed(path: Path) -> Export:
    names, metadata = reader.names(path)
    names = [name for name in names if not any(map(is_noise, name.split("/")))]
    roots = {name.partition("/")[0] for name in names}
    outer = ""
    if len(roots) == 1 and all("/" in name for name in names) and layouts.recognise(roots) is None:
        outer = f"{roots.pop()}/"
    top: dict[str, list[str]] = {}
    for name in names:
        top.setdefault(name.removeprefix(outer).partition("/")[0], []).append(name)
    return Export(path, top, outer, layouts.recognise(top), metadata)


def without_ending(name: str) -> str:
    """A file's name without the ending that says what it is: `.tar.gz` is one."""
    ending = next((ending for ending in (*ARCHIVES, *PYTHON) if name.lower().endswith(ending)), Path(name).suffix)
    return name[: len(name) - len(ending)] or name
