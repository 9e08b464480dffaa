"""Folders, read without following a link and without opening what is no file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from grader.batch.places import MAX_DEPTH, Member, Refused, is_noise, is_wanted, limit_of, shown, too_large

MAX_ENTRIES = 20_000


def members(folder: Path, what: str) -> list[Member]:
    """The wanted files of a folder, however deep a repository has them.

    Args:
        folder: The submission.
        what: Its name, for sentences.

    Raises:
        Refused: It cannot be looked at, or holds too much.
    """
    found: list[Member] = []
    open_folders = [("", folder)]
    seen = 0
    while open_folders:
        prefix, current = open_folders.pop()
        with _scan(current, what) as entries:
            for entry in entries:
                seen += 1
                if seen > MAX_ENTRIES:
                    raise Refused(f"{what} holds too many files. Hand in your Python files alone.")
                path = prefix + entry.name
                if entry.name == "exercises" and entry.is_symlink():  # it could lead to the solutions
                    raise Refused(f"{what}: {shown(path)} is a link. Hand in the folder itself.")
                if entry.is_dir(follow_symlinks=False):
                    if path.count("/") + 1 < MAX_DEPTH and not is_noise(entry.name):
                        open_folders.append((f"{path}/", Path(entry.path)))
                elif is_wanted(path):
                    found.append(file_member(Path(entry.path), path))
    return found


def _scan(folder: Path, what: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise Refused(f"{what} cannot be read: {error.strerror}. Hand it in again.") from error


def file_member(file: Path, path: str) -> Member:
    """One file on disk as a member of a submission."""
    return Member(path, lambda: _load(file, path))


def _load(file: Path, path: str) -> bytes:
    name = shown(file.name)
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            raise Refused(f"{name} is not a regular file; hand in the file itself.")
        # Should it have become a link or a pipe since: neither followed nor waited for.
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(file, os.O_RDONLY | flags), "rb") as stream:
            raw = stream.read(limit_of(path) + 1)
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror}.") from error
    if len(raw) > limit_of(path):
        raise too_large(path)
    return raw
