"""Where a run computes: processor or GPU, alone or as one of several processes that `torchrun` has started."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Place:
    """Where this process computes.

    Args:
        device: "cpu", "cuda" or "cuda:1".
        bf16: Whether matrix products run in bfloat16.
        compiled: Whether the model goes through torch.compile.
        rank: Which of the processes it is.
        world_size: How many there are.
    """

    device: str
    bf16: bool = False
    compiled: bool = False
    rank: int = 0
    world_size: int = 1

    def prepare(self, model: Any) -> Any:
        """The model as the loop gets it: compiled, and with gradients that are averaged over the processes."""
        if self.compiled:
            model = torch.compile(model)
        if self.world_size > 1:
            model = torch.nn.parallel.DistributedDataParallel(model)
        return model

    def bring(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Batches, on this device."""
        return ((inputs.to(self.device), targets.to(self.device)) for inputs, targets in batches)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which bfloat16 is used, if it is."""
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.partition(":")[0], dtype=torch.bfloat16)

    def meet(self) -> None:
        """Wait until every process is here."""
        if self.world_size > 1:
            dist.barrier()


@contextlib.contextmanager
def deterministic(*, compiled: bool) -> Iterator[None]:
    """A context in which equal runs give equal bits.

    Without it two runs with the same seed differ from the second update on: the backward pass of an embedding
    (`index_put_` with accumulate=True) adds the gradients of equal ids from several threads at once, in any order, and
    the order changes the rounding. An operation without a deterministic version runs all the same, with a warning.

    Args:
        compiled: Whether torch's compiler has to keep to it, too; to load it takes seconds.
    """
    # cuBLAS reads this when it is first used; torch refuses to promise anything without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    if compiled:
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        if compiled:
            torch.use_deterministic_algorithms(False)
        torch.set_deterministic_debug_mode(before)


@contextlib.contextmanager
def place(device: str | None, *, bf16: bool, compiled: bool) -> Iterator[Place]:
    """Take this process's place; under torchrun, among the others.

    Raises:
        ValueError: No such device here.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"--device {device}: torch sees no GPU here")
    if "RANK" not in os.environ:
        yield Place(device, bf16, compiled)
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Place(device, bf16, compiled, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
