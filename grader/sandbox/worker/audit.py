"""Watching a call as it runs: torch functions that the exercise forbids."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from grader.sandbox.worker import families

_PROBE = "is_same_size"
_STOP = "."
_HERE = __file__
BLINDED = "a way around the audit"


class NotAllowed(BaseException):
    """The call used a function that the exercise asks the learner to write; no `Exception`, it ends the check."""


@dataclass
class Watched:
    """What was seen during a call."""

    used: list[str] = field(default_factory=list)
    probed: int = 0


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
            sight = _Sight(tuple(forbidden), files, seen)
            stack.enter_context(_Functions(sight))
            if files is None:  # behind the boundary: its first use imports torch._dynamo, a wait for the learner
                stack.enter_context(_Operators(sight))
        yield seen
        if forbidden:
            _expect_sight(seen, 2 if files is None else 1)
        if seen.used:
            raise NotAllowed(seen.used[0])


def _expect_sight(seen: Watched, modes: int) -> None:
    # Whatever the call did to the modes, to this module or to what was seen: here it shows.
    before = seen.probed
    torch.is_same_size(_NOTHING, _NOTHING)
    if seen.probed - before != modes:
        raise NotAllowed(BLINDED)


_NOTHING = torch.zeros(0)


class _Sight:
    """What two modes look for, and note."""

    def __init__(self, forbidden: tuple[str, ...], files: frozenset[str] | None, seen: Watched) -> None:
        self.forbidden, self.files, self.seen = forbidden, files, seen
        self.leaves = families.forbidden(forbidden).leaves
        self._kinds: dict[str, str] = {}

    def look(self, name: str, arguments: Any) -> None:
        """Note a call: forbidden by its name, or made by one of torch's own implementations in Python."""
        if name in self.leaves:
            self._note(self.leaves[name])
        elif name == _PROBE and arguments and arguments[0] is _NOTHING:
            self.seen.probed += 1
        elif engine := self._engine():
            self._note(engine)

    def _engine(self) -> str:
        # From the call up to the nearest line of the learner's; what lies above that has asked for itself.
        frame: FrameType | None = sys._getframe(3)
        while frame is not None:
            file = frame.f_code.co_filename
            kind = self._kinds.get(file)
            if kind is None:
                kind = self._kinds[file] = self._kind(file)
            if kind:
                return "" if kind is _STOP else kind
            frame = frame.f_back
        return ""

    def _kind(self, file: str) -> str:
        if file == _HERE or (file in self.files if self.files is not None else file.startswith("exercises/")):
            return _STOP
        return families.engine_of(file, self.forbidden)

    def _note(self, name: str) -> None:
        where = _caller(self.files)
        if self.files is None or where:
            self.seen.used.append(f"{name} ({where})" if where else name)


class _Functions(TorchFunctionMode):
    """Sees every call of torch's Python interface, whatever name it was reached by."""

    def __init__(self, sight: _Sight) -> None:
        super().__init__()
        self.sight = sight

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.sight.look(getattr(func, "__name__", "").split(".")[0], args)
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    """Sees every operator that runs, from compiled and scripted code too."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # it would wrap each operator in a function that is twice as slow as all that is done here

    def __init__(self, sight: _Sight) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sight = sight

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.sight.look(func._overloadpacket.__name__, args)
        return func(*args, **(kwargs or {}))


def _caller(files: frozenset[str] | None) -> str:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file in files if files is not None else file.startswith("exercises/"):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
