"""Surroundings of a call that a check sets or watches: what an iterable has given, the default dtype, folders."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Counting:
    """An iterator that knows how far it was read: behind the boundary too, where each item is asked for.

    Args:
        items: What it gives, one after another.

    Attributes:
        taken: How many items it has given.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = iter(items)
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        self.taken += 1
        return item


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Ask the questions of the block under `torch.set_default_dtype(dtype)`, on the learner's side too."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_protected: list[Path] = []


@contextmanager
def read_only(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Refuse to open files of a folder for writing within the block, as the sandbox does for a graded submission.

    Permissions would not do: they do not bind the superuser, and containers often run as one.
    """
    _watch_opening()
    _protected.append(Path(folder).resolve())
    try:
        yield
    finally:
        _protected.pop()


@cache
def _watch_opening() -> None:
    sys.addaudithook(_refuse_writing)  # once for the process: a hook cannot be taken out again


def _refuse_writing(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _protected and isinstance(args[0], str) and args[2] & _FOR_WRITING:
        path = Path(args[0]).resolve()
        if any(path.is_relative_to(folder) for folder in _protected):
            raise PermissionError(errno.EACCES, "this file may only be read", args[0])
