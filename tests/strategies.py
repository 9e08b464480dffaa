"""Strategies for property tests: small tensors with every axis of its own size, made from one seed each."""

from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

seeds = st.integers(0, 2**31 - 1)
sizes = st.integers(1, 6)


def normal(seed: int, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal values that only this seed and shape decide."""
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


def as_read(options: dict[str, Any]) -> dict[str, Any]:
    """The same options with words as from a file: equal to those in a program, but other objects, so not `is`."""
    return {name: "".join(list(value)) if isinstance(value, str) else value for name, value in options.items()}


@st.composite
def tensors(draw: st.DrawFn, *shape: int | st.SearchStrategy[int], scale: float = 1.0) -> Tensor:
    """Float64 tensors; a size may be a strategy itself."""
    drawn = [size if isinstance(size, int) else draw(size) for size in shape]
    return normal(draw(seeds), *drawn, scale=scale)
