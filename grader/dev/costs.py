"""What known mistakes cost: stated in `tests/mistakes/costs/<unit>.toml`, measured by selfcheck, compared there.

A mistake that breaks what the exercise is for must cost at least half of its points, a mistake in one detail at most
a third. The statements are recorded (`grader dev selfcheck UNIT --record`) and read like any other change to the code:
a line that changes says that somebody's points change.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from grader.checking.mistakes import COSTS
from grader.curriculum import Exercise
from grader.curriculum.files import write_atomically
from grader.curriculum.outcome import Outcome
from grader.grading.scoring import score_exercise

_HEAD = (
    "# Mistake = the criteria that it costs. Recorded by `grader dev selfcheck {unit} --record`; selfcheck compares.\n"
    "# unnamed: mistakes that fail, but that no message tells by name yet. The list is to become shorter.\n"
)


@dataclass(frozen=True)
class Cost:
    """What a mistake costs in its exercise.

    Args:
        criteria: Those that are lost, in the order of the rubric.
        share: Of the exercise's points, from 0 to 1.
        named: Whether a message tells the mistake by name.
    """

    criteria: tuple[str, ...]
    share: float
    named: bool

    def problem(self, exercise: Exercise, stated: tuple[str, ...] | None) -> str:
        """What is wrong with this cost, as a sentence; empty where nothing is.

        Args:
            exercise: The exercise that the mistake is in.
            stated: The criteria that the mistake is said to cost; None: nothing has been recorded.
        """
        percent = f"{100 * self.share:.0f} % of {exercise.name}"
        if exercise.criteria[0].name in self.criteria and self.share < 0.5:
            return f"breaks {self.criteria[0]!r}, which the exercise is for, and costs {percent}, less than half"
        if len(self.criteria) == 1 and self.criteria[0] != exercise.criteria[0].name and self.share > 1 / 3:
            return f"breaks only the detail {self.criteria[0]!r} and costs {percent}, more than a third"
        if stated is None:
            return f"costs {list(self.criteria)}, which is not recorded: grader dev selfcheck --record"
        return "" if self.criteria == stated else f"costs {list(self.criteria)}, recorded is {list(stated)}"


def measure(exercise: Exercise, outcomes: Sequence[Outcome], names: Collection[str]) -> Cost:
    """The cost of a mistake, from the outcomes of the checks of its exercise.

    Args:
        exercise: The exercise that the mistake is in.
        outcomes: Of its checks.
        names: The ids that tell the mistake: its own, and those of others with the same sentence.
    """
    result = score_exercise(exercise, outcomes)
    lost = tuple(criterion.criterion for criterion in result.criteria if criterion.status != "passed")
    named = any(outcome.mistake in names for outcome in outcomes)
    return Cost(lost, 1 - result.score / result.max_score, named)


def record(unit: str, found: Mapping[str, Cost]) -> None:
    """Write down what each known mistake of a unit costs, and which are not named."""
    unnamed = [id for id, cost in found.items() if not cost.named]
    lines = [f"{json.dumps(id)} = {json.dumps(list(cost.criteria))}\n" for id, cost in found.items()]
    COSTS.mkdir(exist_ok=True)
    head = f"{_HEAD.format(unit=unit)}unnamed = {json.dumps(unnamed)}\n\n[costs]\n"
    write_atomically(COSTS / f"{unit}.toml", head + "".join(lines))


def distribution(costs: Sequence[Cost]) -> str:
    """How many mistakes cost how much, in a line."""
    bins = {"nothing": 0, "up to a third": 0, "up to half": 0, "half or more": 0, "everything": 0}
    for cost in costs:
        bins[_bin(cost.share)] += 1
    return ", ".join(f"{count} {name}" for name, count in bins.items())


def _bin(share: float) -> str:
    if share <= 0:
        return "nothing"
    if share <= 1 / 3:
        return "up to a third"
    if share < 0.5:
        return "up to half"
    return "half or more" if share < 1 else "everything"
