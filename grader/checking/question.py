"""A question to a unit, the answer to it, and the failure where the answer is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grader.checking.capture import Unfit, copies
from grader.checking.effects import Held
from grader.checking.undisturbed import undisturbed
from grader.sandbox.worker.described import described

Question = Callable[[Any], Any]


@dataclass(frozen=True)
class Raised:
    """The answer of code that raised."""

    type: str
    message: str
    error: Exception | None = None


@dataclass(frozen=True)
class Asked:
    """A question, and what makes an answer to it right.

    Args:
        call: The question, for people.
        question: Called with a unit.
        differs: Takes an answer, `Raised` included. Returns the line that says what is wrong with it, or "".
        expected: The right answer; a `Raised` where an error is due.
        again: Takes a number. Returns the same question about other inputs, or None where there are none.
    """

    call: str
    question: Question
    differs: Callable[[Any], str]
    expected: Any
    again: Callable[[int], Asked | None] = lambda number: None

    def wrong(self, got: Any) -> str:
        """The line that says what is wrong with an answer, or ""."""
        return str(got) if isinstance(got, Unfit) else self.differs(got)


@dataclass
class Disagreement(AssertionError):
    """Target and oracle differ; explained only where somebody reads it, since a search raises thousands.

    Args:
        asked: The question.
        what: What differs.
        got: The target's answer.
    """

    asked: Asked
    what: str
    got: Any

    def __str__(self) -> str:
        return f"{self.asked.call}\n  {self.what}"


def answer_of(question: Question, unit: Any) -> Any:
    """The answer of a unit, an exception included. A stub's exception is passed on.

    The answer is a copy: what it is a view of may change. What the unit does to the check's module or to the settings
    of the process is undone.
    """
    try:
        with undisturbed(question):
            return copies(question(unit), gradients=False)
    except NotImplementedError:
        raise
    except Unfit as error:
        return error.with_traceback(None)
    except Exception as error:
        return Raised(getattr(error, "learner_type", type(error).__name__), described(error), error)


def put(question: Question, unit: Any) -> Any:
    """The same, and what the unit does to the values that the question holds is undone for the next unit."""
    held = Held(question)
    try:
        return answer_of(question, unit)
    finally:
        held.put_back()
