"""The oracle: what is true. Asked through one object, so that it can answer from elsewhere than the solutions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from grader.checking.remembered import remembered
from grader.sandbox.worker import importer
from grader.sandbox.worker.importer import Source

SOLUTIONS = Path(__file__).parents[2] / "solutions"


class OracleFailed(BaseException):
    """The oracle itself failed: the grader's fault, never the learner's; no `Exception`, it ends the check."""


@cache
def solution_sources() -> dict[str, Source]:
    """The reference's modules, by unit."""
    files = sorted(SOLUTIONS.glob("*.py"))
    return {
        file.stem: Source(f"solutions/{file.name}", file.read_text(encoding="utf-8"), secret=True) for file in files
    }


@cache
def load_solution(unit: str) -> ModuleType:
    """The reference's module of a unit."""
    return importer.load("solutions", solution_sources(), unit)


class Oracle:
    """Knows the right answer to every question that can be put to a unit.

    Args:
        unit: The unit's name.
    """

    def __init__(self, unit: str) -> None:
        self._module = load_solution(unit)

    def answer(self, question: Callable[[Any], Any]) -> Any:
        """What the question gives when it is put to the reference.

        Raises:
            OracleFailed: It raised.
        """
        try:
            return remembered.answer(self._module, question, lambda: question(self._module))
        except Exception as error:
            raise OracleFailed(f"the reference raised {type(error).__name__}: {error}") from error

    def must_raise(self, question: Callable[[Any], Any], error: type[Exception], mentions: str) -> None:
        """Make sure that the question really has this error as its answer.

        Raises:
            OracleFailed: It has not.
        """
        try:
            question(self._module)
        except error as truth:
            if mentions.lower() in str(truth).lower():
                return
            raise OracleFailed(f"the reference's message lacks {mentions!r}: {truth}") from truth
        raise OracleFailed(f"the reference does not raise {error.__name__}")

    def signature_of(self, path: str) -> Any:
        """The reference's function or class of that name."""
        return getattr(self._module, path)
