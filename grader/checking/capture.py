"""Observation: all that a call can be seen to do, as plain values, so that two calls can be compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grader.checking.compare import NO_GRADIENT, describe
from grader.checking.effects import MUST_NOT, as_plain
from grader.sandbox.protocol.pytree import flatten, map_tensors, mutables


def observe(
    call: Callable[..., Any],
    args: Any,
    kwargs: dict[str, Any],
    names: list[str],
    parameters: dict[str, Tensor] | None = None,
    *,
    gradients: bool,
) -> dict[str, Any]:
    """All that a call can be seen to do: its output, its gradients, what it left of its inputs.

    Args:
        call: A function or module.
        args: Its arguments; all that a call can change is copied first.
        kwargs: Its keyword arguments.
        names: What the arguments are called in messages.
        parameters: Of the module, by name.
        gradients: Whether to ask for gradients.
    """
    args, kwargs = copies(args, gradients), copies(kwargs, gradients)
    inputs = dict(zip(names, (*args, *kwargs.values()), strict=False))
    tensors = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
    output = call(*args, **kwargs)
    seen: dict[str, Any] = {"the result": detached(output)}
    if gradients:
        wanted = {n: t for n, t in {**tensors, **(parameters or {})}.items() if t.requires_grad}
        seen |= {f"the gradient of {n}": g for n, g in _gradients(output, wanted).items()}
    return seen | {f"{n} {MUST_NOT}": as_plain(value) for n, value in inputs.items() if _can_change(value)}


def _can_change(value: Any) -> bool:
    return isinstance(value, BytesIO) or any(True for _ in (*flatten(value), *mutables(value)))


def _gradients(output: Any, wanted: dict[str, Tensor]) -> dict[str, Any]:
    outputs = [tensor for tensor in flatten(output) if tensor.requires_grad]
    if not outputs or not wanted:
        return {name: NO_GRADIENT for name in wanted}
    # One number, and not grad_outputs: for those torch imports sympy, which takes half as long as torch itself.
    weighted = [(noise(tensor.shape, index).to(tensor.dtype) * tensor).sum() for index, tensor in enumerate(outputs)]
    total = torch.stack([number.double() for number in weighted]).sum()
    found = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
    return {name: NO_GRADIENT if grad is None else grad for name, grad in zip(wanted, found, strict=True)}


def noise(shape: Any, seed: int) -> Tensor:
    """Random float64 values that are the same for the same shape and seed."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(1000 + seed), dtype=torch.float64)


class Unfit(Exception):
    """What was made cannot be asked: it is not a module, or lacks a parameter. As an answer it equals its like."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unfit) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def expect_module(name: str, made: Any) -> nn.Module:
    """What the class or function `name` made.

    Raises:
        Unfit: It is not a module.
    """
    if isinstance(made, nn.Module):
        return made
    came = "a class (is it called?)" if isinstance(made, type) else describe(made)
    hint = f": write `class {name}(nn.Module):`" if name[0].isupper() else ""
    raise Unfit(f"{name}(...) gave {came}, expected an nn.Module{hint}")


def copy_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give a module these weights, by the documented names.

    Raises:
        Unfit: It has no parameter or buffer of a documented name, or one of another shape; the message says which.
    """
    own = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    for name, value in weights.items():
        if name not in own:
            raise Unfit(f"there is no parameter {name!r}; there are {sorted(own) or 'none'}")
        if own[name].shape != value.shape:
            raise Unfit(f"parameter {name!r} has shape {tuple(own[name].shape)}, expected {tuple(value.shape)}")
        own[name].data = value.clone()


def random_weights(module: nn.Module) -> dict[str, Tensor]:
    """Random float64 weights for every parameter of a module, by name."""
    return {name: noise(value.shape, i) for i, (name, value) in enumerate(module.named_parameters())}


def detached(value: Any) -> Any:
    """A nested value without its graph."""
    return map_tensors(Tensor.detach, value)


def copies(value: Any, gradients: bool) -> Any:
    """Copies of all tensors, arrays and files; leaves that ask for a gradient if `gradients` says so."""
    return map_tensors(
        lambda t: t.detach().clone().requires_grad_(gradients and t.is_floating_point()), value, _copy_of_leaf
    )


def _copy_of_leaf(value: Any) -> Any:
    if isinstance(value, BytesIO):
        copy = BytesIO(value.getvalue())
        copy.seek(value.tell())
        return copy
    return value.copy() if isinstance(value, np.ndarray) else value


def widened(value: Any) -> Any:
    """A nested value with all floating point tensors in float64."""
    return map_tensors(lambda t: t.double() if t.is_floating_point() else t, value)


def dtype_of(value: Any) -> torch.dtype | None:
    """The dtype of the first floating point tensor of a nested value."""
    return next((tensor.dtype for tensor in flatten(value) if tensor.is_floating_point()), None)


VARIATIONS = 4


def varied(value: Any, number: int) -> Any:
    """A nested value with other numbers in its floating point tensors, -inf and NaN kept; None if it has none.

    Args:
        value: Nested tensors.
        number: Which variation, from 0 to `VARIATIONS` - 1: two of the same size, one a thousand times smaller, and
            one of whole numbers, in which values are equal.
    """
    if not any(_has_numbers(tensor) for tensor in flatten(value)):
        return None
    seeds = itertools.count(10 * number)

    def change(tensor: Tensor) -> Tensor:
        seed = next(seeds)
        return _other_numbers(tensor, number, seed) if _has_numbers(tensor) else tensor

    return map_tensors(change, value)


def _has_numbers(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and not tensor.is_meta


def _other_numbers(tensor: Tensor, number: int, seed: int) -> Tensor:
    wide = tensor.detach().double()
    finite = wide.isfinite()
    size = wide[finite].abs().mean() if bool(finite.any()) else torch.ones(())
    size = size if size > 0 else torch.ones(())
    moved = wide + 0.4 * size * noise(tensor.shape, seed)
    changed = (moved, moved, moved * 1e-3, (moved / size).round() * size)[number]
    return torch.where(finite, changed, wide).to(tensor.dtype)
