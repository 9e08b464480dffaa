"""Random inputs that a seed brings back: every check has its own stream, whatever ran before it."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derive(seed: int, name: str) -> int:
    """A seed of 32 bits for this name."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big")


class Rand:
    """Seeded random tensors. What tests call `rand`.

    Args:
        seed: Of the grading.
        name: Of the check.
    """

    def __init__(self, seed: int, name: str) -> None:
        self.generator = torch.Generator().manual_seed(derive(seed, name))

    def __call__(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Normal values of this shape."""
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(dtype)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from `low` to `high - 1`."""
        return torch.randint(low, high, shape, generator=self.generator)

    def booleans(self, *shape: int, true: float = 0.5) -> Tensor:
        """True with this probability."""
        return torch.rand(shape, generator=self.generator) < true

    def seed(self) -> int:
        """A seed for something else."""
        return int(self.integers(0, 1 << 31))
