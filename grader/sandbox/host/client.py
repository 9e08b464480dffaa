"""The trusted side of the boundary: one worker, the questions put to it, and how it may end."""

from __future__ import annotations

import builtins
import hashlib
import re
import signal
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from grader import GraderFault
from grader.sandbox.host.charge import Counters, Meter, TooBusy
from grader.sandbox.host.pool import CONTROL_SECONDS, Limits, Zygote
from grader.sandbox.protocol import wire
from grader.sandbox.worker.audit import NotAllowed
from grader.sandbox.worker.importer import Source, compiled
from grader.sandbox.worker.measure import Measured

DYING_SECONDS = 2.0


class WorkerEnded(BaseException):
    """The learner's code ended its process, or made it break the rules of the wire."""


@dataclass(frozen=True)
class Job:
    """What a worker is to load.

    Args:
        module: The unit under test.
        sources: All modules of the package: the learner's, and the reference's for lower units.
        forbidden: Full names of torch functions that the exercise asks the learner to write.
        seed: For torch's and Python's global generators.
        given: Definitions of the module that are replaced by the reference's.
        reference: The solution of the unit; sent only where something is given.
    """

    module: str
    sources: Mapping[str, Source]
    forbidden: Sequence[str] = ()
    seed: int = 0
    given: Sequence[str] = ()
    reference: Source | None = None


class Session:
    """One worker, and the questions put to it.

    Attributes:
        measured: What calls have cost since somebody began to measure; None: nobody measures.
        answered: The tensors of the last answers, and the numbers of their questions.
        generator: The state of torch's global generator on this side when the worker last saw it.
        ended: Why it is asked nothing more; empty while it is.
        starved: Whether it ended because the machine was too busy.
        received: About how many bytes of memory the worker has answered.
        spent: Seconds that its answers were charged.
    """

    def __init__(self, zygote: Zygote, limits: Limits, seconds: float | None = None) -> None:
        self.zygote = zygote
        self.limits = limits
        self.measured: Measured | None = None
        self.answered: deque[tuple[int, list[weakref.ref[torch.Tensor]]]] = deque(maxlen=wire.KEPT_ANSWERS)
        self.generator: torch.Tensor | None = None
        self.ended = ""
        self.starved = False
        self.freed: list[int] = []
        self.received = 0
        self._id = 0
        self._left = limits.total_seconds if seconds is None else seconds
        self.spent = 0.0
        self._iterators: list[tuple[Any, Any]] = []
        self._pid, self._socket = zygote.spawn(limits)
        self._counters = Counters(self._pid)
        self._hello()
        self._meter = Meter(self._counters.sample)

    def _hello(self) -> None:
        try:
            header, _ = wire.receive(self._socket, wire.Within(CONTROL_SECONDS))
        except wire.WireError as error:
            code = self.zygote.reap(self._pid)
            raise GraderFault(
                f"a worker did not start: {error}, exit code {code}; {self.zygote.last_words()}"
            ) from error
        if header.get("confined") is not self.zygote.confined:
            raise GraderFault("a worker is not confined")

    def load(self, job: Job) -> None:
        """Have the worker import the learner's module; whatever that raises comes through."""
        # Only what is given, and no text of it: the learner's code can read all that its process is sent.
        given = compiled(job.reference, tuple(job.given)) if job.reference and job.given else None
        reference = [given.path, given.data] if given else None
        own = {name: [source.path, source.text] for name, source in job.sources.items() if not source.secret}
        secret = [(name, compiled(source)) for name, source in job.sources.items() if source.secret]
        sources = {"sources": own, "compiled": {name: [code.path, code.data] for name, code in secret}}
        # Not the seed itself, from which the inputs of all checks follow.
        seed = int.from_bytes(hashlib.sha256(f"worker {job.seed}".encode()).digest()[:4], "big")
        facts = {"module": job.module, **sources, "forbidden": list(job.forbidden), "seed": seed}
        self.ask({"op": "load", **facts, "given": list(job.given), "reference": reference}, [])

    def close(self) -> None:
        """End the worker."""
        if not self.ended:
            self.ended = "the worker has been closed"
            self._let_go()

    def _let_go(self, patience: float = 0.0) -> int | None:
        self._socket.close()
        self._counters.close()
        return self.zygote.reap(self._pid, patience)

    def add_iterator(self, items: Any, encode: Callable[[Any], tuple[Any, list[torch.Tensor]]]) -> int:
        """Keep an iterable that the worker may pull from, and what makes a tree and buffers of an item; its number."""
        self._iterators.append((iter(items), encode))
        return len(self._iterators) - 1

    def ask(self, header: dict[str, Any], buffers: list[torch.Tensor]) -> tuple[dict[str, Any], memoryview]:
        """Put one question and wait for the answer.

        Raises:
            WorkerEnded: The worker died, was too slow, or sent what is no answer.
            TooBusy: The machine did not let it answer.
            NotAllowed: The learner's code used what the exercise forbids.
            Exception: What the learner's code raised, as its nearest builtin type.
        """
        if self.ended:
            raise (TooBusy if self.starved else WorkerEnded)(self.ended)
        self._id += 1
        budget = min(self.limits.call_seconds, self._left - self.spent)
        try:
            answer, body = self._exchange(wire.pack({"id": self._id, **header}, buffers), budget)
        except wire.WireError as error:
            self._end(error, budget)
            raise WorkerEnded(self.ended) from None
        except TooBusy as fault:
            self.ended, self.starved = str(fault), True
            self._let_go()
            raise
        if answer["op"] == "error":
            raise error_of(answer, at_the_end=header.get("path") == ["__next__"])
        return answer, body

    def _exchange(self, frame: bytes, budget: float) -> tuple[dict[str, Any], memoryview]:
        self._meter.start(budget, self.limits.patience)
        try:
            wire.send(self._socket, frame, self._meter)
            return self._await_answer()
        finally:
            self.spent += self._meter.stop()

    @contextmanager
    def charged(self) -> Iterator[None]:
        """Count the CPU time of reading an answer as the worker's own: a long one costs its sender."""
        started = time.thread_time()
        try:
            yield
        finally:
            self.spent += time.thread_time() - started

    def cpu_time(self) -> float:
        """Seconds of processor time that the worker has had so far, as the kernel counts them.

        It can start no thread and no process, so the first number of its one task is all of it.

        Raises:
            GraderFault: The kernel does not say.
        """
        try:
            return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0]) / 1e9
        except (OSError, ValueError, IndexError) as error:
            if self.ended:
                raise WorkerEnded(self.ended) from None
            raise GraderFault(f"the processor time of a worker is not known: {error}") from error

    def last_id(self) -> int:
        """The number of the last question."""
        return self._id

    def violated(self, error: wire.WireError) -> WorkerEnded:
        """End the worker for what it sent; what to raise."""
        self._end(error, 0.0)
        return WorkerEnded(self.ended)

    def _await_answer(self) -> tuple[dict[str, Any], memoryview]:
        while True:
            answer, body, size = wire.receive_sized(self._socket, self._meter)
            self.received += size + 1000  # an object costs more than its bytes
            if answer.get("op") == "next":
                wire.send(self._socket, self._next_item(answer), self._meter)
                continue
            if answer.get("id") != self._id or answer.get("op") not in ("result", "error"):
                raise wire.WireError(wire.UNASKED)
            return answer, body

    def _next_item(self, question: dict[str, Any]) -> bytes:
        number = question.get("iterator")
        if type(number) is not int or not 0 <= number < len(self._iterators):
            raise wire.WireError("an iterator that was never sent")
        items, encode = self._iterators[number]
        for item in items:
            value, buffers = encode(item)
            return wire.pack({"op": "item", "value": value}, buffers)
        return wire.pack({"op": "stop"}, [])

    def _end(self, error: wire.WireError, budget: float) -> None:
        self.ended = "your code ended"
        # A process that has closed its connection is dying: it may say of what.
        code = self._let_go(DYING_SECONDS if isinstance(error, wire.Closed) else 0.0)
        if isinstance(error, wire.TimedOut) and budget < self.limits.call_seconds:
            self.ended = "your code ran out of time; it may be much too slow"
        elif isinstance(error, wire.TimedOut):
            self.ended = f"your code did not answer within {_rounded(budget)} s: an endless loop?"
        elif isinstance(error, wire.Closed):
            self.ended = f"your code ended the process ({_how(code)})"
        else:
            self.ended = f"your code sent an invalid reply: {error}"


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 1 else f"{seconds:.1g}"


def _how(code: int | None) -> str:
    if code is None or code == -signal.SIGKILL:
        return "killed, or out of memory"
    if code < 0:
        known = {int(number): number.name for number in signal.Signals}
        return f"signal {known.get(-code, -code)}"
    return f"exit code {code}"


def error_of(answer: dict[str, Any], at_the_end: bool) -> BaseException:
    """What the learner's code raised, as its nearest builtin type."""
    message = clean(answer.get("message"))
    if answer.get("not_allowed") is True:
        return NotAllowed(message)
    # StopIteration would quietly end a loop of the tests, MemoryError would pass for the grader's own.
    error = _builtin(answer.get("types"), message, {"MemoryError"} | (set() if at_the_end else _ENDS))
    error.learner_where = clean(answer.get("where"))  # type: ignore[attr-defined]
    error.learner_type = clean(answer.get("name"))  # type: ignore[attr-defined]
    return error


_ENDS = {"StopIteration", "StopAsyncIteration"}


def _builtin(names: Any, message: str, without: set[str]) -> Exception:
    for name in names if isinstance(names, list) else []:
        cls = getattr(builtins, name, None) if isinstance(name, str) and name not in without else None
        if isinstance(cls, type) and issubclass(cls, Exception):
            try:
                return cls(_Verbatim(message))
            except TypeError:  # as UnicodeDecodeError, which wants five arguments
                continue
    return RuntimeError(message)


class _Verbatim(str):
    """Text that is its own repr: a KeyError shows that of its key, and the message that came is one already."""

    def __repr__(self) -> str:
        return str(self)


def clean(text: Any, limit: int = 500) -> str:
    """Text of a learner's that is safe to show: no control, bidi or format characters, no workflow commands, short.

    Args:
        text: Anything; what is not a string becomes an empty one.
        limit: Longest result, in characters.
    """
    if not isinstance(text, str):
        return ""
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text[: 4 * limit])
    text = re.sub(r"([:#])(?=\1)", r"\1 ", text)  # ::error:: and ##[error] are orders to a CI runner
    return text if len(text) <= limit else f"{text[:limit]} ..."
