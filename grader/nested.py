"""Nested values: tensors within lists, tuples, sets and dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor


def flatten(value: Any) -> Iterator[Tensor]:
    """All tensors of a nested value."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from flatten(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flatten(item)


def map_tensors(change: Callable[[Tensor], Any], value: Any) -> Any:
    """A nested value with every tensor changed, lists, tuples, sets and dicts made anew."""
    if isinstance(value, Tensor):
        return change(value)
    if type(value) in (list, tuple, set):
        return type(value)(map_tensors(change, item) for item in value)
    if isinstance(value, dict):
        return {key: map_tensors(change, item) for key, item in value.items()}
    return value
