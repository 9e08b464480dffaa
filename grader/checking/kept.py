"""What several checks look at and what is costly to make: made once per target and seed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from grader import GraderFault
from grader.checking.oracle import OracleFailed
from grader.checking.seeding import Rand


@dataclass(frozen=True)
class _Made:
    value: Any
    error: BaseException | None


class Kept:
    """Values that outlive the worker from which they came, and errors, which are not provoked a second time.

    Only the values of the last seed are kept: the reference serves many gradings, each with a seed of its own.
    """

    def __init__(self) -> None:
        self._seed: int | None = None
        self._made: dict[tuple[str, frozenset[str]], _Made] = {}

    def once(self, seed: int, given: Collection[str], name: str, make: Callable[[Rand], Any]) -> Any:
        """Return what `make` returns, and call it only the first time.

        Args:
            seed: The seed of the grading.
            given: The parts that the reference replaces. Other replacements give another value.
            name: The value's name. It has a random stream of its own, whichever check asks first.
            make: Makes the value: tensors and plain data, no proxy of a worker.

        Raises:
            BaseException: Whatever `make` raised, each time. The grader's own faults are not kept.
        """
        if seed != self._seed:
            self._seed, self._made = seed, {}
        key = name, frozenset(given)
        if key not in self._made:
            self._made[key] = _make(make, Rand(seed, name))
        made = self._made[key]
        if made.error is not None:
            raise made.error
        return made.value


def _make(make: Callable[[Rand], Any], rand: Rand) -> _Made:
    try:
        return _Made(make(rand), None)
    except (KeyboardInterrupt, GraderFault, OracleFailed):
        raise
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # its lines are still known, the values in its frames can go
        return _Made(None, error)
