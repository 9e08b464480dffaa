"""Nested values: tensors within lists, tuples, sets and dicts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

GARBAGE = 77
_FLAT = {int, float, bool, str, bytes, type(None), Tensor}  # holds nothing that can change but itself


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


def map_tensors(change: Callable[[Tensor], Any], value: Any, other: Callable[[Any], Any] = lambda leaf: leaf) -> Any:
    """A nested value with every tensor changed, lists, tuples, sets and dicts made anew.

    Args:
        change: What to do with a tensor.
        value: The nested value.
        other: What to do with whatever else is no container.
    """
    if isinstance(value, Tensor):
        return change(value)
    if type(value) in (list, tuple, set):
        return type(value)(map_tensors(change, item, other) for item in value)
    if isinstance(value, dict):
        return {key: map_tensors(change, item, other) for key, item in value.items()}
    return other(value)


def mutables(value: Any) -> Iterator[Any]:
    """All lists, dicts, sets and arrays of a nested value, in an order that is the same wherever it is walked."""
    if isinstance(value, list | dict | set | np.ndarray):
        yield value
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple) or set(map(type, value)) <= _FLAT:
        return
    for item in value:
        yield from mutables(item)


def shallow(value: Any) -> Any:
    """What `is_still` needs to know of a list, dict, set, array or tensor."""
    return value.detach().clone() if isinstance(value, Tensor) else value.copy()


def is_still(value: Any, before: Any) -> bool:
    """Whether a list, dict, set, array or tensor is as it was when `shallow` looked; its items may have changed."""
    if isinstance(value, Tensor):
        return same_tensor(value.detach(), before)
    if isinstance(value, np.ndarray):
        return bool(value.shape == before.shape and value.tobytes() == before.tobytes())
    if isinstance(value, set):
        return bool(value == before)
    if isinstance(value, dict):
        value, before = [part for item in value.items() for part in item], [p for item in before.items() for p in item]
    return len(value) == len(before) and all(map(operator.is_, value, before))


def put_back(value: Any, before: Any) -> None:
    """Make a list, dict, set, array or tensor in place what `shallow` saw."""
    if isinstance(value, Tensor):
        value.detach().copy_(before)
    elif isinstance(value, np.ndarray):
        value[...] = before
    elif isinstance(value, list):
        value[:] = before
    else:
        value.clear()
        value.update(before)


def same_tensor(now: Tensor | None, before: Tensor | None) -> bool:
    """Whether two tensors are the same in shape, dtype and values; a nan is the same as another."""
    if now is None or before is None:
        return now is before
    if now.shape != before.shape or now.dtype != before.dtype or now.device != before.device:
        return False
    if now.is_meta:
        return True
    return bool(torch.equal(now, before)) or bool(
        torch.equal(now.isnan(), before.isnan()) and torch.equal(now.nan_to_num(), before.nan_to_num())
    )


def overwrite(value: Any) -> None:
    """Fill every tensor and array of a nested value with garbage, as whoever gets it is free to do."""
    for tensor in flatten(value):
        seen = tensor.detach()
        for axis, stride in enumerate(seen.stride()):
            if stride == 0:  # torch does not write to an expanded axis as a whole
                seen = seen.narrow(axis, 0, min(1, seen.shape[axis]))
        seen.logical_not_() if seen.dtype is torch.bool else seen.fill_(GARBAGE)
    for array in mutables(value):
        if isinstance(array, np.ndarray) and array.flags.writeable:
            array[...] = ~array if array.dtype == bool else GARBAGE
