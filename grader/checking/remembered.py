"""Remembered: what the reference and the known mistakes answered, for the same question asked again.

A check with the same seed asks every submission the same questions. What the kit's own code answers to them stays the
same, so it is looked up. Two questions are the same where their code and all that they hold are; a question that holds
anything but plain data, tensors, and functions that hold nothing else is asked each time.
"""

from __future__ import annotations

import dis
import hashlib
import os
import random
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from grader.checking.capture import copies
from grader.checking.question import Raised
from grader.checking.undisturbed import is_same
from grader.sandbox.protocol.pytree import flatten

_BYTES = 64 << 20  # of answers that are remembered
_PLAIN = (int, bool, complex, str, bytes, type(None), range, slice, torch.dtype, torch.device, type(Ellipsis))


class _Unknown(Exception):
    """Something whose sameness cannot be told."""


class Fingerprint:
    """A digest of a nested value in memory; raises _Unknown where the value holds what cannot be compared."""

    _kept: dict[int, Any] = {}  # what is told by its place in memory stays there  # noqa: RUF012

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._seen: dict[int, int] = {}
        self.size = 0

    def digest(self) -> bytes:
        """The digest of all that was added."""
        return self._hash.digest()

    def add(self, value: Any) -> Fingerprint:
        """Take in one more value.

        Raises:
            _Unknown: It holds an object whose behaviour cannot be compared.
        """
        kind = type(value)
        if kind in _PLAIN:
            if kind is str and os.sep in value[:1]:
                raise _Unknown  # perhaps a file: what is in it may change
            self._say(f"{kind.__name__}:{value!r}")
        elif kind is float:
            self._say(f"float:{value.hex()}")
        elif id(value) in self._seen:
            self._say(f"again:{self._seen[id(value)]}")
        else:
            self._seen[id(value)] = len(self._seen)
            self._add_object(value, kind)
        return self

    def _say(self, text: str, data: bytes = b"") -> None:
        head = text.encode("utf-8", "surrogatepass")
        self._hash.update(b"%d,%d;" % (len(head), len(data)) + head + data)
        self.size += len(head) + len(data) + 50

    def _add_object(self, value: Any, kind: type) -> None:
        if kind in (list, tuple):
            self._say(f"{kind.__name__}:{len(value)}")
            for item in value:
                self.add(item)
        elif kind is dict:
            self._say(f"dict:{len(value)}")
            for key, item in value.items():
                self.add(key).add(item)
        elif kind in (torch.Tensor, torch.nn.Parameter):
            self._add_tensor(value, kind)
        elif kind is np.ndarray and value.dtype.kind in "biufc":
            self._say(f"array:{value.dtype.str}{value.shape}{value.strides}", value.tobytes())
        elif kind is FunctionType:
            self._add_function(value)
        elif kind is Raised:
            self._say(f"raised:{value.type}:{value.message}")
        elif kind in (BuiltinFunctionType, ModuleType, re.Pattern) or (
            isinstance(value, type) and "<locals>" not in value.__qualname__
        ):
            if kind is BuiltinFunctionType and not isinstance(value.__self__, ModuleType | type(None)):
                raise _Unknown
            self._add_place(value)
        else:
            raise _Unknown

    def _add_tensor(self, value: torch.Tensor, kind: type) -> None:
        if value.layout is not torch.strided or value.grad_fn is not None or value.grad is not None:
            raise _Unknown
        where = f"{value.dtype}{tuple(value.shape)}{value.stride()}{value.device}{value.requires_grad}"
        if value.device.type != "cpu":
            if not value.is_meta:
                raise _Unknown
            return self._say(f"{kind.__name__}:{where}")
        flat = value.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        self._say(f"{kind.__name__}:{where}", flat.view(torch.uint8).numpy().tobytes())
        return None

    def _add_function(self, value: FunctionType) -> None:
        if _assigns_outside(value.__code__):
            raise _Unknown
        self._add_place(value.__code__)
        self._add_place(value.__globals__)
        self.add(value.__defaults__).add(value.__kwdefaults__)
        for cell in value.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:  # a variable that has no value yet
                raise _Unknown from None
            self.add(held)

    def _add_place(self, value: Any) -> None:
        self._kept[id(value)] = value
        self._say(f"{type(value).__name__} at {id(value)}")


class Remembered:
    """Answers of the kit's own code, by who gave them and to what; the oldest go first."""

    def __init__(self, most: int = _BYTES) -> None:
        self._most = most
        self._size = 0
        self._answers: OrderedDict[Any, tuple[Any, int]] = OrderedDict()

    def answer(
        self,
        who: Any,
        question: Callable[..., Any],
        ask: Callable[[], Any],
        attempt: int = 0,
        *,
        restored: bool = False,
    ) -> Any:
        """The answer to a question, asked only where it is not remembered.

        Args:
            who: Who is asked; hashable.
            question: A function of a unit.
            ask: Asks. What it raises comes through, and is not remembered.
            attempt: What is drawn from the global generators is the same in the same attempt, whatever ran before.
            restored: Whether `ask` puts back what an answer has changed in the question.
        """
        digest = (_digest_once if restored else _digest)(question)
        if digest is None:
            with _drawing(attempt):
                return ask()
        key: tuple[Any, ...] = (who, torch.get_default_dtype(), torch.is_grad_enabled(), digest)
        for known in (key, (*key, attempt)):
            if known in self._answers:
                self._answers.move_to_end(known)
                return copies(self._answers[known][0], gradients=False)
        with _drawing(attempt) as drew:
            answer = ask()
            if drew():
                key = (*key, attempt)
        if restored or _digest(question) == digest:  # else the question changes what it holds, which is part of it
            self._keep(key, answer)
        return answer

    def _keep(self, key: Any, answer: Any) -> None:
        try:
            size = Fingerprint().add(answer).size
        except _Unknown:
            return
        if any(tensor.requires_grad for tensor in flatten(answer)) or size > self._most // 8:
            return
        if isinstance(answer, Raised) and answer.error is not None:  # its frames hold values
            answer.error.with_traceback(None).__context__ = None
        self._answers[key] = copies(answer, gradients=False), size
        self._size += size
        while self._size > self._most:
            self._size -= self._answers.popitem(last=False)[1][1]


@contextmanager
def _drawing(attempt: int) -> Iterator[Callable[[], bool]]:
    """Let the block draw from global generators that begin anew, and put these back: whoever is asked later.

    Yields whether anything has been drawn.
    """
    states = _states()
    torch.default_generator.manual_seed(attempt)
    random.seed(attempt)
    np.random.seed(attempt)
    begun = _states()
    try:
        yield lambda: not all(map(is_same, _states(), begun))
    finally:
        torch.default_generator.set_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])


def _states() -> tuple[Any, ...]:
    return torch.default_generator.get_state(), random.getstate(), np.random.get_state()


def _digest(question: Callable[..., Any]) -> bytes | None:
    try:
        return Fingerprint().add(question).digest()
    except _Unknown:
        return None


_digests: WeakKeyDictionary[Callable[..., Any], bytes | None] = WeakKeyDictionary()


def _digest_once(question: Callable[..., Any]) -> bytes | None:
    if question not in _digests:
        _digests[question] = _digest(question)
    return _digests[question]


@lru_cache(maxsize=10_000)
def _assigns_outside(code: CodeType) -> bool:
    """Whether a function assigns to a variable of a function around it."""
    return any(i.opname == "STORE_DEREF" and i.argval in code.co_freevars for i in dis.get_instructions(code))


remembered = Remembered()
