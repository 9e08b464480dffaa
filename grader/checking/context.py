"""What a check is: which one, and what its test is given in one try."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from grader.checking.agreement import Agreement
from grader.checking.seeding import Rand
from grader.checking.target import Target
from grader.curriculum import Exercise, Unit
from grader.curriculum.outcome import Kind
from grader.sandbox.worker.measure import Measured


@dataclass(frozen=True)
class CheckContext:
    """What a test's fixtures are in one try.

    Args:
        unit: The target's module.
        agree: Agreement of target and oracle.
        rand: Seeded random tensors.
        measure: What a piece of work costs in lines and bytes.
        overwrite: Fills with garbage what the target's code returned.
        cpu_time: How many seconds of processor time a piece of work takes. A second witness beside the lines, which
            the target's own process counts: compare it with that of a smaller piece, with a wide margin.
        scratch: Where folders for files are made.
        restart: Kills what runs the target's code, and gives its module anew.
        once: Makes a value that several checks share, as `Kept.once` does.
    """

    unit: Any
    agree: Agreement
    rand: Rand
    measure: Callable[..., Measured]
    overwrite: Callable[[Any], None]
    cpu_time: Callable[[Callable[[], object]], float]
    scratch: Path
    restart: Callable[[], Any]
    once: Callable[[str, Callable[[Rand], Any]], Any]

    @property
    def folder(self) -> Path:
        """A new folder for files of the check, which the target may read."""
        return Path(tempfile.mkdtemp(dir=self.scratch))


@dataclass(frozen=True)
class CheckId:
    """Which check it is.

    Args:
        unit: The unit.
        exercise: The exercise.
        kind: What the check looks at.
        name: The test's name without `test_`.
        criterion: The line of the exercise's rubric that it belongs to.
    """

    unit: Unit
    exercise: Exercise
    kind: Kind
    name: str
    criterion: str

    @property
    def is_main(self) -> bool:
        """Whether it belongs to the first criterion: the exercise's job, without which it earns nothing."""
        return self.criterion == self.exercise.criteria[0].name


Body = Callable[[CheckContext], None]


def context_of(
    target: Target, check: CheckId, module: Any, agree: Agreement, seed: int, parts: Collection[str] = ()
) -> CheckContext:
    """What a check is given in one try.

    Args:
        target: What is under test.
        check: The check.
        module: The unit's module.
        agree: Where the check puts its questions.
        seed: Of the grading.
        parts: The parts below the exercise that are the reference's.
    """
    return CheckContext(
        module,
        agree,
        Rand(seed, f"{check.unit.name}.{check.name}"),
        target.measure,
        target.overwrite,
        target.cpu_time,
        target.scratch,
        partial(target.restart, check.unit, check.exercise),
        partial(target.kept.once, seed, parts),
    )
