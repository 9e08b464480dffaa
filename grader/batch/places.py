"""Where in a submission the learner's files lie, whether it is a folder, a repository or an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from grader.curriculum import load
from grader.submission import MAX_BYTES, MAX_FILES, printable

MAX_NOTEBOOK = 8 << 20  # its pictures are in it
MAX_CODE = 4 << 20
MAX_TOTAL = 32 << 20
MAX_DEPTH = 3  # repository/exercises/attention.py
_NOISE = ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini")
ARCHIVES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".zip", ".tar")
_OTHER_ARCHIVES = (*ARCHIVES, ".gz", ".bz2", ".xz", ".rar", ".7z")
WHAT_TO_DO = "Hand in your Python files or notebook, in a folder, a zip or a tar archive."


class Refused(Exception):
    """A submission, or one file of it, cannot be read; the message is a sentence that says what to do."""


@dataclass(frozen=True)
class Member:
    """A file of a submission, not yet read.

    Args:
        path: Its place in the submission, with slashes.
        load: Gives its bytes, or raises Refused; usable only while the submission is open.
    """

    path: str
    load: Callable[[], bytes]

    @property
    def file(self) -> str:
        """Its name without the folders."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """Where it lies; "" is the top."""
        return self.path.rpartition("/")[0]


def shown(name: str, limit: int = 80) -> str:
    """What somebody else chose, fit for a sentence."""
    return printable(name[:limit])


def is_noise(part: str) -> bool:
    """Whether no learner has written it: hidden, or left by an operating system or Python."""
    return part.startswith(".") or part in _NOISE


def is_archive(name: str) -> bool:
    """Whether it says that it is an archive, readable here or not."""
    return name.lower().endswith(_OTHER_ARCHIVES)


def is_wanted(path: str) -> bool:
    """Whether a file is read if it lies in the right folder: Python that can be imported, and notebooks."""
    place = PurePosixPath(path)
    if len(place.parts) > MAX_DEPTH or any(is_noise(part) for part in place.parts) or place.name == "__init__.py":
        return False
    return place.suffix == ".ipynb" or (place.suffix == ".py" and place.stem.isidentifier())


def limit_of(path: str) -> int:
    """How many bytes a file may have."""
    return MAX_NOTEBOOK if path.endswith(".ipynb") else MAX_BYTES


def too_large(path: str) -> Refused:
    """The sentence for a file beyond its limit."""
    name = shown(path.rpartition("/")[2])
    if path.endswith(".ipynb"):
        return Refused(f"{name} is larger than {MAX_NOTEBOOK >> 20} MiB; clear its outputs and save it.")
    return Refused(f"{name} is larger than {MAX_BYTES >> 10} KiB; is it the right file?")


def choose(members: Iterable[Member], what: str) -> list[Member]:
    """The files of the one folder that is graded: `exercises` first, then the top, then the only folder there is.

    Args:
        members: All files that are wanted.
        what: The submission's own name, for sentences.

    Raises:
        Refused: There is none, or more than one that it could be, or too much in it.
    """
    folders: dict[str, list[Member]] = {}
    for member in members:
        folders.setdefault(member.folder, []).append(member)
    ranks = {folder: rank for folder, files in folders.items() if (rank := _rank(folder, files))}
    best = [folder for folder, rank in ranks.items() if rank == min(ranks.values())]
    if not best:
        raise Refused(f"{what} holds no Python files where they are looked for. {WHAT_TO_DO}")
    if len(best) > 1:
        listed = ", ".join(shown(folder) for folder in sorted(best)[:4])
        raise Refused(f"{what} holds several folders that it could be ({listed}). Hand in one of them.")
    found = sorted(folders[best[0]], key=lambda member: member.file)
    if len(found) > MAX_FILES:
        raise Refused(f"{what} holds {len(found)} Python files, more than {MAX_FILES}. Hand in yours alone.")
    return found


def _rank(folder: str, files: list[Member]) -> int:
    parts = folder.split("/") if folder else []
    if parts[-1:] == ["exercises"]:
        return len(parts)
    if len(parts) > 1:
        return 0
    known = any(member.file.removesuffix(".py") in load() or member.file.endswith(".ipynb") for member in files)
    return (3 if known else 5) + len(parts)
