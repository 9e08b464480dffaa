"""How long a check may run in the learner's own process: an endless loop ends, and the line that it was in is named.

What counts is the time that the check ran or slept; on Linux the time that it waited for a processor does not.
pytest-timeout counts wall time, ends the whole run where an exception is swallowed, and cannot name the learner's line
in the check's own message.

A thread looks twice a second. When the time is used up it interrupts the main thread, and goes on doing so: the
exception that the interruption raises may be caught by `except BaseException`, so from then on every new line of the
learner's raises it again, outside of the block that caught it. A single call into C that never returns to Python is
not interrupted.
"""

from __future__ import annotations

import _thread
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from grader.sandbox.host.charge import Counters, Meter, Sample
from grader.sandbox.protocol.wire import TimedOut

_AGAIN_SECONDS = 0.05
_SIGNAL = getattr(signal, "SIGALRM", signal.SIGTERM)  # Windows has no alarm

Locate = Callable[[FrameType], str]


class TookTooLong(BaseException):
    """A check ran longer than it may; no `Exception`, so that no search for a smaller example goes on after it.

    Args:
        seconds: What it may take.
        where: The learner's line that was running, as `exercises/attention.py:69`; empty where none was.
    """

    def __init__(self, seconds: float, where: str) -> None:
        place = f" at {where}" if where else ""
        super().__init__(f"your code was still running{place} after {seconds:g} s: an endless loop?")


@contextmanager
def limited(seconds: float, locate: Locate, lifted: threading.Event) -> Iterator[None]:
    """Raise TookTooLong in this block when it has run or slept for so long.

    Args:
        seconds: What the block may take; 0 for no limit. There is none under a debugger, either.
        locate: The learner's line that a frame is at; empty for a frame of somebody else's.
        lifted: Lifts the limit when it is set.
    """
    if seconds <= 0 or sys.gettrace() is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = threading.Event()
    interrupt = _Interrupt(seconds, locate)
    before = signal.signal(_SIGNAL, interrupt.handle)
    watcher = threading.Thread(target=_watch, args=(seconds, ended, lifted), daemon=True)
    watcher.start()
    try:
        try:
            yield
        finally:
            interrupt.over = True
    finally:  # twice, since the first may be interrupted
        interrupt.over = True
        ended.set()
        watcher.join()
        signal.signal(_SIGNAL, before)
        if interrupt.tracing:
            sys.settrace(None)


def _watch(seconds: float, ended: threading.Event, lifted: threading.Event) -> None:
    counters = Counters(os.getpid()) if sys.platform == "linux" else None
    meter = Meter(counters.sample if counters else _sample)
    meter.start(seconds, math.inf)
    try:
        while not ended.wait(meter.slice()):
            if lifted.is_set():
                return
    except TimedOut:
        while not ended.wait(_AGAIN_SECONDS):
            _interrupt_main()
    finally:
        if counters:
            counters.close()


def _sample() -> Sample:
    """Of a system that does not tell how long a thread waited for a processor."""
    return Sample(time.monotonic(), time.thread_time(), 0.0, time.process_time(), None)


def _interrupt_main() -> None:
    if sys.platform == "win32":
        _thread.interrupt_main(_SIGNAL)
    else:  # wakes it up where it sleeps
        signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)


class _Interrupt:
    """Raises TookTooLong in the main thread, again and again until it is over."""

    def __init__(self, seconds: float, locate: Locate) -> None:
        self._seconds = seconds
        self._locate = locate
        self._where = ""
        self.tracing = False
        self.over = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """What the signal does."""
        if self.over:
            return
        frames = list(_up_from(frame))
        self._where = self._where or next(filter(None, map(self._locate, frames)), "")
        self.tracing = True
        for found in frames:
            if self._locate(found):
                found.f_trace = self._trace
        sys.settrace(self._trace)
        raise TookTooLong(self._seconds, self._where)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if self.over or not self._locate(frame):
            return None
        if event == "line":
            raise TookTooLong(self._seconds, self._where)
        return self._trace


def _up_from(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
