"""Effects: what a question leaves of the values that it holds, and of an object that refused a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grader.checking.compare import difference
from grader.sandbox.protocol.pytree import flatten, is_still, map_tensors, mutables, put_back, same_tensor, shallow

MUST_NOT = "after the call (it must not change)"


class Held:
    """The tensors, arrays, lists, dicts and sets of a check that its question holds, as they were.

    Args:
        question: A function; what it holds are the variables of the check that it uses.
    """

    def __init__(self, question: Callable[..., Any]) -> None:
        self._before = [
            (name, value, shallow(value))
            for name, variable in _variables(question)
            for value in (*flatten(variable), *mutables(variable))
        ]

    def forget_changed(self) -> None:
        """Look no longer at what has changed: the question itself does that, whomever it asks."""
        changed = {name for name, value, before in self._before if not is_still(value, before)}
        self._before = [held for held in self._before if held[0] not in changed]

    def put_back(self) -> dict[str, str]:
        """Undo all changes. What had changed: name of the variable to what differs, in a line."""
        changed: dict[str, str] = {}
        for name, value, before in self._before:
            if not is_still(value, before):
                line = difference(as_plain(value), as_plain(before)) or "another object in its place"
                changed.setdefault(name, line)
                with torch.no_grad():
                    put_back(value, before)
        return changed


def _variables(question: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    names = getattr(getattr(question, "__code__", None), "co_freevars", ())
    for name, cell in zip(names, getattr(question, "__closure__", None) or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a variable that has no value yet
            continue


def as_plain(value: Any) -> Any:
    """A nested value for comparison: arrays and files as what they hold, an object as its place alone."""
    return map_tensors(Tensor.detach, value, _plain_leaf)


def _plain_leaf(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype.kind not in "biu" else torch.from_numpy(value.astype(np.int64))
    if isinstance(value, BytesIO):
        return "closed" if value.closed else value.getvalue()
    plain = value is None or isinstance(value, bool | int | float | str | bytes | frozenset | torch.dtype)
    return value if plain else "an object"


def changed_parts(before: Any, after: Any, where: str = "") -> list[str]:
    """The places at which two nested values differ, as `weight` and `state.step`."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(key, before.get(key), after.get(key)) for key in dict.fromkeys((*before, *after))]
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        pairs = [(index, one, other) for index, (one, other) in enumerate(zip(before, after, strict=True))]
    else:
        tensors = isinstance(before, Tensor) and isinstance(after, Tensor)
        same = same_tensor(before, after) if tensors else type(before) is type(after) and before == after
        return [] if same else [where or "it"]
    return [p for key, one, other in pairs for p in changed_parts(one, other, f"{where}.{key}" if where else str(key))]
