"""The files of one submission, what counts as a learner's file, and the limits on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from grader.curriculum.submission import MAX_BYTES, printable

MAX_NOTEBOOK = 8 << 20  # a notebook holds its pictures
MAX_ARCHIVE = 64 << 20  # an archive inside another one, read into memory
MAX_TOTAL = 32 << 20
MAX_ENTRIES = 20_000
PYTHON = (".py", ".ipynb")
ARCHIVES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".zip", ".tar")
_FEEDBACK = "feedback attachment(s)"  # Sakai's, beside what was handed in
_NOISE = frozenset(
    (
        *("__macosx", "__pycache__", "thumbs.db", "desktop.ini", "node_modules", "site-packages", "venv"),
        *("readme.md", _FEEDBACK),
    )
)

WHAT_TO_DO = "Hand in your Python files or notebook, in a folder, a zip or a tar archive."


class Refused(Exception):
    """A submission, or one file of it, cannot be read; the message is a sentence that says what to do."""


@dataclass(frozen=True)
class Member:
    """A file of a submission, not yet parsed.

    Args:
        path: Its place in the submission, with slashes.
        load: Returns its bytes, or raises Refused; usable only while the submission is open.
    """

    path: str
    load: Callable[[], bytes]

    @property
    def file(self) -> str:
        """Its name without the folders."""
        return self.path.rpartition("/")[2]


def shown(name: str, limit: int = 80) -> str:
    """A name that somebody else chose, fit for a sentence."""
    return printable(name[:limit])


def is_noise(part: str) -> bool:
    """Whether no learner wrote it: hidden files, and what systems, Python and package managers leave behind.

    The kit's own READMEs are handed in with the folders that they lie in.
    """
    return part.startswith(".") or part.casefold() in _NOISE


def is_archive(name: str) -> bool:
    """Whether its name says that it is an archive that can be read here."""
    return name.lower().endswith(ARCHIVES)


def is_python(path: str) -> bool:
    """Whether it is a Python file or a notebook, whatever it is called and however deep it lies."""
    place = PurePosixPath(path)
    return place.suffix.lower() in PYTHON and place.name != "__init__.py"


def is_wanted(path: str) -> bool:
    """Whether a file is opened: Python, notebooks and archives, outside of folders that no learner writes."""
    return not any(map(is_noise, path.split("/"))) and (is_python(path) or is_archive(path))


def limit_of(path: str) -> int:
    """How many bytes a file may have."""
    if is_archive(path):
        return MAX_ARCHIVE
    return MAX_NOTEBOOK if path.lower().endswith(".ipynb") else MAX_BYTES


def too_large(path: str) -> Refused:
    """The refusal of a file beyond its limit."""
    name = shown(path.rpartition("/")[2])
    if path.lower().endswith(".ipynb"):
        return Refused(f"{name} is larger than {MAX_NOTEBOOK >> 20} MiB; clear its outputs and save it.")
    if is_archive(path):
        return Refused(f"{name} is larger than {MAX_ARCHIVE >> 20} MiB. Hand in your Python files alone.")
    return Refused(f"{name} is larger than {MAX_BYTES >> 10} KiB; is it the right file?")
