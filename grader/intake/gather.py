"""Open what a learner handed in, without following a link and without waiting for anything.

This runs before the process is confined and looks at nothing but names and sizes; everything that is parsed is parsed
later, from what has been opened here.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from grader.intake.members import (
    MAX_ENTRIES,
    MAX_TOTAL,
    WHAT_TO_DO,
    Member,
    Refused,
    is_archive,
    is_noise,
    is_wanted,
    limit_of,
    shown,
    too_large,
)

MAX_ARCHIVES = 20  # all of them stay open


@dataclass
class Gathered:
    """What was opened.

    Attributes:
        members: Python files and notebooks.
        archives: Path and open file of each archive.
        others: Paths of all other files.
        total: Bytes read so far.
        seen: Entries of folders looked at so far.
    """

    members: list[Member] = field(default_factory=list)
    archives: list[tuple[str, BinaryIO]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    total: int = 0
    seen: int = 0


def gather(into: Gathered, path: Path, name: str) -> None:
    """Open a folder, an archive or a file.

    Args:
        into: Where it is noted.
        path: On this machine.
        name: As the learner called it.

    Raises:
        Refused: It cannot be opened, or holds too much.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise Refused("Nothing was handed in.") from None
    except OSError as error:
        raise Refused(f"{shown(name)} cannot be read: {error.strerror}.") from None
    if stat.S_ISLNK(mode):
        raise Refused(f"{shown(name)} is a link. Hand in the folder or file itself.")
    if stat.S_ISDIR(mode):
        _folder(into, path, name)
    elif not stat.S_ISREG(mode):
        raise Refused(f"{shown(name)} is not a file. {WHAT_TO_DO}")
    else:
        _file(into, path, name)


def _folder(into: Gathered, folder: Path, name: str) -> None:
    waiting = [("", folder)]
    while waiting:
        prefix, current = waiting.pop()
        with _scan(current, name) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                into.seen += 1
                if into.seen > MAX_ENTRIES:
                    raise Refused(f"{shown(name)} holds too many files. Hand in your Python files alone.")
                path = prefix + entry.name
                if entry.name == "exercises" and entry.is_symlink():  # it could lead to the solutions
                    raise Refused(f"{shown(name)}: {shown(path)} is a link. Hand in the folder itself.")
                if not entry.is_dir(follow_symlinks=False):
                    _file(into, Path(entry.path), path)
                elif not is_noise(entry.name):
                    waiting.append((f"{path}/", Path(entry.path)))


def _scan(folder: Path, name: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise Refused(f"{shown(name)} cannot be read: {error.strerror}. Hand it in again.") from error


def _file(into: Gathered, file: Path, path: str) -> None:
    if not is_wanted(path):
        into.others.append(path)
        return
    try:
        stream = _opened(file, path)
        if is_archive(path):
            if len(into.archives) >= MAX_ARCHIVES:
                raise Refused(f"There are more than {MAX_ARCHIVES} archives. Hand in one.")
            into.archives.append((path, stream))
            return
        raw = _read(stream, path)
        if len(raw) > limit_of(path):
            raise too_large(path)
    except Refused as refusal:
        into.members.append(refusing(path, str(refusal)))
        return
    into.total += len(raw)
    if into.total > MAX_TOTAL:
        raise Refused(f"The files are more than {MAX_TOTAL >> 20} MiB. Hand in your exercises alone.")
    into.members.append(Member(path, lambda: raw))


def _opened(file: Path, path: str) -> BinaryIO:
    name = shown(path.rpartition("/")[2])
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            raise Refused(f"{name} is not a regular file; hand in the file itself.")
        # Should it have become a link or a pipe since: neither followed nor waited for.
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        return io.open(os.open(file, os.O_RDONLY | flags), "rb")  # noqa: UP020 - the caller keeps it open
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror}.") from error


def _read(stream: BinaryIO, path: str) -> bytes:
    try:
        with stream:
            return stream.read(limit_of(path) + 1)
    except OSError as error:
        raise Refused(f"{shown(path.rpartition('/')[2])} cannot be read: {error.strerror}.") from error


def refusing(path: str, why: str) -> Member:
    """A member whose bytes cannot be had, for this reason."""

    def load() -> bytes:
        raise Refused(why)

    return Member(path, load)
