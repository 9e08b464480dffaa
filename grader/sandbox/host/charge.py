"""What a question costs a worker: the time that it ran or slept, never the time that it waited for a processor.

The charge is wall time less the time that the worker was ready to run and had no processor, which the kernel counts in
the second field of `/proc/PID/schedstat`. CPU time alone would let a submission sleep for ever, and the kernel does not
count sleep by itself. The trusted side reads the counters; a worker cannot change them, and it cannot wait for a
processor without really being kept from running.

- The trusted side's own waiting is not charged either: neither its time in the run queue nor a time in which it was
  stopped (Ctrl-Z, a frozen container). Its CPU time is: an answer that is long to read costs its sender.
- Waiting for memory to be read back from disk is charged like sleep, and so is a stop that the worker may have brought
  about itself: from outside, neither can be told from what the submission did.
- The charge is never less than the CPU time of all threads of the worker. A worker is confined to one thread; where
  it is not confined, threads that keep each other waiting gain nothing.
- The kernel counts a wait when it ends, so one that is under way is charged: milliseconds, even on a crowded machine.

Where the kernel does not say how long a worker waited (`hidepid`, no CONFIG_SCHED_INFO), only `1 / UNSEEN` of the wall
time is charged, or the CPU time where that is more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from grader import GraderFault
from grader.sandbox.protocol.wire import TimedOut

UNSEEN = 5
_SLICE_SECONDS = 0.25
_SHORTEST_SECONDS = 0.005


class TooBusy(GraderFault):
    """The machine gave a worker too little time to be judged: the grader's fault, worth another try."""


@dataclass(frozen=True)
class Sample:
    """What the clocks and the kernel say at one moment, in seconds.

    Args:
        now: Wall time.
        busy: CPU time of this thread.
        delayed: How long this thread has waited for a processor.
        ran: CPU time of the worker, all threads.
        waited: How long the worker has waited for a processor; None where that cannot be known.
    """

    now: float
    busy: float
    delayed: float
    ran: float
    waited: float | None


class Counters:
    """The kernel's counters of one worker and of this thread.

    Files stay open, so that a process that later gets the same number is not mistaken for the worker.
    """

    def __init__(self, pid: int) -> None:
        self._clock = (~pid << 3) | 2  # what clock_getcpuclockid(3) gives for this process
        self._ran = 0.0
        self._waited: float | None = None
        self._files = [_open(f"/proc/{pid}/schedstat"), _open("/proc/thread-self/schedstat")]

    def sample(self) -> Sample:
        """What they say now; of a worker that is gone, what they said last."""
        worker, own = self._files
        try:
            self._ran = time.clock_gettime(self._clock)
            self._waited = _waited(worker)
        except OSError:
            pass
        return Sample(time.monotonic(), time.thread_time(), _waited(own) or 0.0, self._ran, self._waited)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            if file is not None:
                os.close(file)
        self._files = [None, None]


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _waited(file: int | None) -> float | None:
    if file is None:
        return None
    _, waited, turns = os.pread(file, 100, 0).split()
    return int(waited) / 1e9 if int(turns) else None  # a kernel that does not count says 0 to all three


class Meter:
    """The charge of one question after another; the deadline of each.

    Args:
        sample: Reads the counters.
        clock: Wall time in seconds.
    """

    def __init__(self, sample: Callable[[], Sample], clock: Callable[[], float] = time.monotonic) -> None:
        self._sample = sample
        self._clock = clock
        self._ran = sample().ran
        self.start(0.0, 0.0)

    def start(self, seconds: float, patience: float) -> None:
        """Begin a question.

        Args:
            seconds: What it may be charged.
            patience: Seconds of wall time after which it is the machine's fault that there is no answer.
        """
        self._seconds = seconds
        self._patience = patience
        self._first = self._last = self._sample()
        self._wall = 0.0  # without the time in which this side was stopped
        self._passed = 0.0  # the same, without the time in which it waited for a processor
        self._pause = min(_SLICE_SECONDS, seconds)  # until the next look at the counters

    def slice(self) -> float:
        """How many seconds to wait for the worker before this is asked again.

        Raises:
            TimedOut: The question has been charged all that it may.
            TooBusy: It has been charged less, and patience is at its end.
        """
        elapsed = self._clock() - self._last.now
        if elapsed >= self._pause:
            left = self._seconds - self.charge()
            if left <= 0:
                raise TimedOut("no answer in time")
            if self._wall > self._patience:
                got = self._seconds - left
                raise TooBusy(f"the machine is too busy: in {self._wall:.0f} s a worker got {got:.1f} s to itself")
            self._pause, elapsed = min(_SLICE_SECONDS, left), 0.0
        self._pause = max(self._pause, elapsed + _SHORTEST_SECONDS)
        return self._pause - elapsed

    def stop(self) -> float:
        """End the question; its charge in seconds. What the worker runs until the next one is charged with that."""
        charge = self.charge()
        self._ran = self._last.ran
        return charge

    def charge(self) -> float:
        """What the question has been charged up to now, in seconds."""
        last, now = self._last, self._sample()
        delayed = now.delayed - last.delayed
        # Longer than it meant to wait, worked and was delayed, this side can only have been stopped.
        wall = min(now.now - last.now, self._pause + now.busy - last.busy + delayed)
        self._wall += wall
        self._passed += max(0.0, wall - delayed)
        self._last = now
        ran = now.ran - self._ran
        if now.waited is None or self._first.waited is None:
            return max(ran, self._passed / UNSEEN)
        return max(ran, self._passed - (now.waited - self._first.waited))
