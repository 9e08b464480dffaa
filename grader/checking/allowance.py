"""What a search for known mistakes may cost: a wrong submission must not take much longer than a right one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

SECONDS = 1.0  # of CPU time a unit; a search that finds something takes milliseconds
Suspect = TypeVar("Suspect")


class Allowance:
    """CPU time of the trusted side for the searches of one unit. When it is used up, failures stay without a name.

    Args:
        seconds: How much.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._left = seconds

    def spend_on(self, suspects: Iterator[Suspect]) -> Iterator[Suspect]:
        """The suspects, until the allowance is used up by making them and by what is done with each."""
        while self._left > 0:
            started = time.thread_time()
            try:
                yield next(suspects)
            except StopIteration:
                return
            finally:  # also where the search ends here, since it has found what it looked for
                self._left -= time.thread_time() - started
