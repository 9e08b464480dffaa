"""What a search for known mistakes may cost: a wrong submission must not take much longer than a right one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

SECONDS = 4.0  # of CPU time per exercise; what has been named once is found again in milliseconds
Item = TypeVar("Item")


class Allowance:
    """CPU time of the trusted side for explaining the failures of one exercise.

    When it is used up, failures stay without a name.

    Args:
        seconds: How much.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._left = seconds
        self._since: float | None = None

    def left(self) -> float:
        """How much is left, in seconds; 0 or less: nothing."""
        running = 0.0 if self._since is None else time.thread_time() - self._since
        return self._left - running

    @contextmanager
    def spending(self) -> Iterator[None]:
        """A context whose CPU time is paid from the allowance."""
        self._since = time.thread_time()
        try:
            yield
        finally:
            self._left, self._since = self.left(), None

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """A context whose CPU time is not paid: for what is done once for all submissions."""
        started = time.thread_time()
        try:
            yield
        finally:
            self._left += time.thread_time() - started

    def while_it_lasts(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, until the allowance is used up."""
        for item in items:
            if self.left() <= 0:
                return
            yield item
