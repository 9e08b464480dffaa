"""Comparison of what came with what was expected: structure, type, shape, dtype, values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Tolerance:
    """How far values may lie apart: |got - expected| <= atol + rtol * |expected|."""

    rtol: float
    atol: float

    def __str__(self) -> str:
        return f"rtol {self.rtol:g}, atol {self.atol:g}"


# Wide enough for a float32 upcast inside, or another order of summation; far too narrow for a wrong formula.
TOLERANCES = {
    torch.float64: Tolerance(1e-5, 1e-6),
    torch.float32: Tolerance(1e-4, 1e-5),
    torch.bfloat16: Tolerance(3e-2, 2e-2),
    torch.float16: Tolerance(4e-3, 2e-3),
}
NO_GRADIENT = "none: no gradient reaches it"
SAME = Tolerance(1e-6, 1e-8)  # "exactly those values", computed in another order


def difference(got: Any, expected: Any, tolerance: Tolerance | None = None, where: str = "") -> str:
    """What differs, in a line; empty where nothing does.

    Args:
        got: What the learner's code gave.
        expected: The truth; a float64 tensor stands for one of any float dtype of `got`, dtypes are checked elsewhere.
        tolerance: None: by the dtype of `got`.
        where: What is compared, as `gradient of query`.
    """
    prefix = f"{where}: " if where else ""
    if isinstance(expected, Tensor):
        return prefix + line if (line := _tensors(got, expected, tolerance)) else ""
    if isinstance(expected, dict | list | tuple) and isinstance(got, dict | list | tuple):
        return _containers(got, expected, tolerance, where)
    if isinstance(expected, float) and isinstance(got, float | int) and not isinstance(got, bool):
        one, other = (torch.tensor(float(value), dtype=torch.float64) for value in (got, expected))
        return f"{prefix}got {got!r}, expected {expected!r}" if difference(one, other, tolerance) else ""
    if type(got) is not type(expected):
        return f"{prefix}got {describe(got)}, expected {describe(expected)}"
    return "" if got == expected else f"{prefix}got {_short(got)}, expected {_short(expected)}"


def _containers(got: Any, expected: Any, tolerance: Tolerance | None, where: str) -> str:
    prefix = f"{where}: " if where else ""
    if isinstance(got, dict) != isinstance(expected, dict):
        return f"{prefix}got {describe(got)}, expected {describe(expected)}"
    if isinstance(expected, dict):
        if missing := [key for key in expected if key not in got]:
            return f"{prefix}{_short(missing[0])} is missing ({len(got)} entries, expected {len(expected)})"
        if extra := [key for key in got if key not in expected]:
            return f"{prefix}{_short(extra[0])} should not be there ({len(got)} entries, expected {len(expected)})"
        pairs: Iterator[tuple[Any, Any, Any]] = ((key, got[key], expected[key]) for key in expected)
    else:
        if isinstance(got, tuple) != isinstance(expected, tuple) and any(isinstance(e, Tensor) for e in expected):
            return f"{prefix}got {describe(got)}, expected {describe(expected)}"
        if got == expected if _plain(got) and _plain(expected) else False:
            return ""
        first = next(
            (i for i, (g, e) in enumerate(zip(got, expected, strict=False)) if _plain((g, e)) and g != e), None
        )
        if len(got) != len(expected):
            at = (
                ""
                if first is None
                else f"; they part at [{first}]: got {_short(got[first])}, expected {_short(expected[first])}"
            )
            return f"{prefix}got {len(got)} items, expected {len(expected)}{at}"
        pairs = ((i, g, e) for i, (g, e) in enumerate(zip(got, expected, strict=True)))
    for key, one, other in pairs:
        label = str(key) if isinstance(key, str) and not where else f"{where}[{_short(key)}]"
        if line := difference(one, other, tolerance, label):
            return line
    return ""


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, int | str | bytes)


def _tensors(got: Any, expected: Tensor, tolerance: Tolerance | None) -> str:
    if not isinstance(got, Tensor):
        return f"got {describe(got)}, expected {describe(expected)}"
    if got.shape != expected.shape:
        return f"got shape {tuple(got.shape)}, expected {tuple(expected.shape)}"
    if got.device != expected.device:
        return f"got a tensor on device {got.device}, expected {expected.device}"
    if got.is_floating_point() != expected.is_floating_point() or (got.dtype is torch.bool) != (
        expected.dtype is torch.bool
    ):
        return f"got dtype {_dtype(got)}, expected {_dtype(expected)}"
    if expected.is_meta:  # which has no values
        return ""
    if not expected.is_floating_point():
        tolerance = Tolerance(0, 0)
    return _values(got.detach(), expected.detach(), tolerance or TOLERANCES[got.dtype])


def _values(got: Tensor, expected: Tensor, tolerance: Tolerance) -> str:
    one, other = got.double(), expected.double()
    wrong = ~torch.isclose(one, other, tolerance.rtol, tolerance.atol, equal_nan=True)
    if not bool(wrong.any()):
        return ""
    distance = (one - other).abs().nan_to_num(nan=torch.inf).masked_fill(~wrong, -1.0)
    flat = int(distance.argmax())
    index = [int(i) for i in np.unravel_index(flat, got.shape)]  # torch's own takes seconds: it imports sympy
    at = f" at {index}" if index else ""
    exact = got.dtype in (torch.bool, torch.int64, torch.int32)
    values = f"got {_number(one, flat, exact)}, expected {_number(other, flat, exact)}"
    if got.numel() == 1:
        return f"{values}{'' if exact else f' ({tolerance})'}"
    kind = "" if exact else f" ({tolerance})"
    return f"{int(wrong.sum())} of {got.numel()} values differ{kind}; worst{at}: {values}"


def _number(tensor: Tensor, flat: int, exact: bool) -> str:
    value = tensor.flatten()[flat].item()
    return f"{int(value)}" if exact else f"{value:.6g}"


def describe(value: Any) -> str:
    """A value's kind, for a message: `a Tensor of shape (2, 3)`, `None (is there a return?)`, `a list of 3`."""
    if value is None:
        return "None (is there a `return`?)"
    if isinstance(value, Tensor):
        return f"a {_dtype(value)} tensor of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple | dict | set):
        return f"a {type(value).__name__} of {len(value)}"
    if value is NO_GRADIENT:
        return str(value)
    kind = getattr(value, "_type", type(value).__name__)
    return f"{_short(value)} ({kind})" if isinstance(value, int | float | str | bytes) else f"an object of type {kind}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:80]} ... {text[-30:]}"
