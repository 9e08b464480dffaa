"""Surroundings of a call that a check sets or watches: what an iterable has given, the default dtype."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
