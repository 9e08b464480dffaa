"""Blame: which of the parts below an exercise makes a check of it fail."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from grader import GraderFault
from grader.checking.oracle import OracleFailed
from grader.checking.target import below, lower_parts, lower_units
from grader.curriculum import Exercise, Unit, load
from grader.curriculum.submission import Submission

Passes = Callable[[Collection[str]], bool]


def passes(attempt: Callable[[], None]) -> bool:
    """Whether an attempt at a check succeeds. The grader's own faults come through."""
    try:
        attempt()
    except (KeyboardInterrupt, GraderFault, OracleFailed):
        raise
    except BaseException:
        return False
    return True


@dataclass(frozen=True)
class Blame:
    """Looks for the part below an exercise that is at fault.

    Args:
        unit: The unit.
        exercise: The exercise whose check fails.
        submission: What was handed in.
        isolated: Whether it runs behind the boundary, where the other units are the reference's anyway.
        first: Parts that are tried first, since something was found to be wrong with them.
    """

    unit: Unit
    exercise: Exercise
    submission: Submission
    isolated: bool
    first: Collection[str] = ()

    def parts(self) -> frozenset[str]:
        """The parts that the reference's version can be tried for."""
        if self.isolated and not self.unit.whole:
            return frozenset(below(self.unit, self.exercise))
        return lower_parts(self.unit, self.exercise)

    def culprit(self, passes_with: Passes) -> str:
        """The one part whose reference version alone makes the check pass, the likeliest first; "" if none does.

        Args:
            passes_with: Whether the check passes with the reference's version of some parts.
        """
        return next((name for name in self._likeliest_first() if passes_with((name,))), "")

    def needed(self, passes_with: Passes) -> list[str]:
        """The parts whose reference versions are needed for the check to pass: one, or several that are wrong together.

        Args:
            passes_with: Whether the check passes with the reference's version of some parts.
        """
        if name := self.culprit(passes_with):
            return [name]
        needed = list(self._likeliest_first())
        for name in tuple(needed):
            fewer = [other for other in needed if other != name]
            if passes_with(fewer):
                needed = fewer
        return needed

    def sentence(self, needed: Sequence[str]) -> str:
        """What to tell a learner whose check passes with the reference's version of these parts.

        Args:
            needed: From `needed`.
        """
        for name in needed:
            if name in load() and (problem := self.submission.file(name).problem):
                return f"The bug is in {name}, which this exercise uses. {problem}"
        names = " and ".join(map(self._full, needed))
        return f"The bug is in {names}, which this exercise uses: with the reference's {names} this check passes."

    def _likeliest_first(self) -> list[str]:
        names = [*reversed(below(self.unit, self.exercise)), *self._lower_units()]
        return sorted(names, key=lambda name: name not in self.first)

    def _lower_units(self) -> list[str]:
        names = self.parts() & lower_units(self.unit)
        return [unit for unit in reversed(load()) if unit in names]

    def _full(self, name: str) -> str:
        return name if name in load() else f"{self.unit.name}.{name}"
