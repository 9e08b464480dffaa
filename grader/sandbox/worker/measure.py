"""Measuring a piece of work: its lines, its bytes and the generators that it draws from; values cannot show them."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from grader.sandbox.protocol.pytree import flatten
from grader.sandbox.protocol.wire import WireError
from grader.sandbox.worker.audit import BLINDED, NotAllowed

GENERATORS = frozenset({"torch", "numpy", "random"})
# Whose lines are not counted: this file makes torch run some of its own.
_UNCOUNTED = (str(Path(__file__).parents[2]), str(Path(torch.__file__).parent))


@dataclass
class Measured:
    """What a piece of work cost. The numbers are the same however busy the machine is.

    Attributes:
        lines: Lines of Python that ran, outside torch.
        largest: Bytes of the largest tensor storage that a torch operator made. A view makes none.
        saved: The most bytes that autograd kept for backward at one time, without parameters and other leaves
            that ask for a gradient.
        memory: The most bytes that Python and numpy held at one time, beyond what they held before.
        drew: Which global generators it has drawn from: "torch", "numpy" and "random", which is Python's; and the
            names of those that `measure` was given and that it has drawn from.
    """

    lines: int = 0
    largest: int = 0
    saved: int = 0
    memory: int = 0
    drew: frozenset[str] = frozenset()

    def add(self, other: Measured) -> None:
        """Add a call that came after: lines add up, and of bytes the larger number stays."""
        self.lines += other.lines
        self.largest = max(self.largest, other.largest)
        self.saved = max(self.saved, other.saved)
        self.memory = max(self.memory, other.memory)
        self.drew |= other.drew

    def as_dict(self) -> dict[str, Any]:
        """Its fields by name, as JSON has them."""
        return {**asdict(self), "drew": sorted(self.drew)}


def measured_of(answer: Any) -> Measured:
    """What a worker says that its call has cost.

    Raises:
        WireError: It is not what `Measured.as_dict` makes.
    """
    match answer:
        case {"lines": int(), "largest": int(), "saved": int(), "memory": int(), "drew": [*drew]} if set(
            map(type, drew)
        ) <= {str}:
            found = Measured(answer["lines"], answer["largest"], answer["saved"], answer["memory"])
            if min(found.lines, found.largest, found.saved, found.memory) >= 0 and set(drew) <= GENERATORS:
                found.drew = frozenset(drew)
                return found
    raise WireError("a malformed measurement")


@contextmanager
def measuring(**generators: torch.Generator) -> Iterator[Measured]:
    """Measure the work inside the block.

    Args:
        **generators: Generators that are watched besides the global ones, by the names that `drew` gives them.
    """
    measured = Measured()
    kept = _Kept(measured)
    with ExitStack() as stack:
        stack.enter_context(_draws(measured, generators))
        stack.enter_context(_peak_of_python(measured))
        stack.enter_context(_Storages(measured))
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(kept.pack, _Saved.unpack))
        stack.enter_context(_counted_lines(measured))
        yield measured


@contextmanager
def _counted_lines(measured: Measured) -> Iterator[None]:
    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        # Once a call: an audit hook is told of each look at f_code, and is slow.
        return None if frame.f_code.co_filename.startswith(_UNCOUNTED) else count(frame, event, arg)

    def count(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            measured.lines += 1
        elif not frame.f_trace_lines:
            hidden.append(True)
        return count

    hidden: list[bool] = []
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
        if hidden or sys.gettrace() is not trace:
            raise NotAllowed(f"{BLINDED}: lines are counted here")
    finally:
        sys.settrace(before)


@contextmanager
def _draws(measured: Measured, generators: dict[str, torch.Generator]) -> Iterator[None]:
    before = _states(generators)
    try:
        yield
    finally:
        measured.drew = frozenset(name for name, state in _states(generators).items() if state != before[name])


def _states(generators: dict[str, torch.Generator]) -> dict[str, Any]:
    numpy: Any = np.random.get_state()
    torchs = {"torch": torch.default_generator, **generators}
    states = {name: generator.get_state().tolist() for name, generator in torchs.items()}
    return {**states, "numpy": (numpy[1].tolist(), numpy[2:]), "random": random.getstate()}


@contextmanager
def _peak_of_python(measured: Measured) -> Iterator[None]:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        yield
    finally:
        measured.memory = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()


class _Storages(TorchDispatchMode):
    """Sees every storage that an operator makes."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch wraps each operator in a function that is twice as slow as all that is done here

    def __init__(self, measured: Measured) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.measured = measured

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # lift_fresh is how torch.tensor(...) brings in a storage that no operator has made.
        fresh = func is torch.ops.aten.lift_fresh.default
        known = set() if fresh else {_storage(tensor) for tensor in flatten([args, kwargs])}
        sizes = [t.untyped_storage().nbytes() for t in flatten(result) if _storage(t) not in known]
        self.measured.largest = max(self.measured.largest, *sizes, 0)
        return result


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


class _Kept:
    """The storages that autograd keeps at this moment."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self.uses: Counter[int] = Counter()
        self.bytes = 0

    def pack(self, tensor: Tensor) -> _Saved:
        """What autograd keeps in place of a tensor."""
        return _Saved(self, tensor)

    def take(self, tensor: Tensor) -> None:
        """Count a tensor that is kept from now on."""
        self.uses[_storage(tensor)] += 1
        if self.uses[_storage(tensor)] == 1:
            self.bytes += tensor.untyped_storage().nbytes()
            self.measured.saved = max(self.measured.saved, self.bytes)

    def drop(self, tensor: Tensor) -> None:
        """Count a tensor that is no longer kept."""
        self.uses[_storage(tensor)] -= 1
        if not self.uses[_storage(tensor)]:
            self.bytes -= tensor.untyped_storage().nbytes()


class _Saved:
    """A tensor that autograd keeps until its graph is gone."""

    def __init__(self, kept: _Kept, tensor: Tensor) -> None:
        self.tensor = tensor
        self.kept = None if _is_leaf(tensor) else kept
        if self.kept is not None:
            self.kept.take(tensor)

    def unpack(self) -> Tensor:
        """The tensor, for backward."""
        return self.tensor

    def __del__(self) -> None:
        if self.kept is not None:
            self.kept.drop(self.tensor)


def _is_leaf(tensor: Tensor) -> bool:
    """Whether a tensor is a parameter or another leaf that asks for a gradient, or a view of one."""
    base = tensor._base if tensor._base is not None else tensor
    return base.is_leaf and base.requires_grad
