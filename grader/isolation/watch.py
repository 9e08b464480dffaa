"""Watching a call as it runs: torch functions that the exercise forbids."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import FrameType
from typing import Any

from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# What torch calls the same thing further down: reached through torch.ops, a compiled function or a fused layer.
_BELOW = {
    "softmax": ("_softmax", "_safe_softmax", "_masked_softmax"),
    "log_softmax": ("_log_softmax",),
    "scaled_dot_product_attention": (
        *("_scaled_dot_product_attention_math", "_scaled_dot_product_flash_attention_for_cpu"),
        *("_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention"),
        *("_flash_attention_forward", "_efficient_attention_forward"),
    ),
    "MultiheadAttention": ("_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
    "layer_norm": ("native_layer_norm",),
    "rms_norm": ("_fused_rms_norm",),
    "cross_entropy": ("cross_entropy_loss",),
    "nll_loss": ("nll_loss_nd", "nll_loss_forward", "nll_loss2d_forward"),
    "dropout": ("native_dropout",),
    "group_norm": ("native_group_norm",),
    "batch_norm": ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional"),
}


class NotAllowed(BaseException):
    """The call used a function that the exercise asks the learner to write; no `Exception`, it ends the check."""


@dataclass
class Watched:
    """What was seen during a call."""

    used: list[str] = field(default_factory=list)


@contextmanager
def watching(forbidden: Sequence[str], files: frozenset[str] | None = None) -> Iterator[Watched]:
    """Watch the calls inside the block.

    Args:
        forbidden: Full names of torch functions, as `torch.softmax`.
        files: Only calls made from these files are looked at; None: all calls.

    Raises:
        NotAllowed: At the end of the block, so that no `except` inside it hides the use.
    """
    seen = Watched()
    with ExitStack() as stack:
        if forbidden:
            names = _names(tuple(forbidden))
            stack.enter_context(_Functions(names, files, seen))
            if files is None:  # behind the boundary: its first use imports torch._dynamo, a wait for the learner
                stack.enter_context(_Operators(names, files, seen))
        yield seen
        if seen.used:
            raise NotAllowed(seen.used[0])


@cache
def _names(forbidden: tuple[str, ...]) -> dict[str, str]:
    names = {name.rpartition(".")[2]: name for name in reversed(forbidden)}
    return names | {below: name for leaf, name in names.items() for below in _BELOW.get(leaf, ())}


class _Functions(TorchFunctionMode):
    """Sees every call of torch's Python interface, whatever name it was reached by."""

    def __init__(self, names: dict[str, str], files: frozenset[str] | None, seen: Watched) -> None:
        super().__init__()
        self.names, self.files, self.seen = names, files, seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").split(".")[0]
        if name in self.names:
            _note(self.names[name], self.files, self.seen)
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    """Sees every operator that runs, from compiled and scripted code too."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # it would wrap each operator in a function that is twice as slow as all that is done here

    def __init__(self, names: dict[str, str], files: frozenset[str] | None, seen: Watched) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names, self.files, self.seen = names, files, seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._overloadpacket.__name__
        if name in self.names:
            _note(self.names[name], self.files, self.seen)
        return func(*args, **(kwargs or {}))


def _note(name: str, files: frozenset[str] | None, seen: Watched) -> None:
    where = _caller(files)
    if files is None or where:
        seen.used.append(f"{name} ({where})" if where else name)


def _caller(files: frozenset[str] | None) -> str:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file in files if files is not None else file.startswith("exercises/"):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
