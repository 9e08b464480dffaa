"""A question to a unit, the answer to it, and the failure where the answer is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from grader.checking.observation import detached
from grader.isolation.described import described
from grader.nested import flatten, map_tensors

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
        wrong: Takes an answer, `Raised` included. Returns the line that says what is wrong with it, or "".
        expected: The right answer; a `Raised` where an error is due.
        again: Takes a number. Returns the same question about other inputs, or None where there are none.
    """

    call: str
    question: Question
    wrong: Callable[[Any], str]
    expected: Any
    again: Callable[[int], Asked | None] = lambda number: None


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


def put(question: Question, unit: Any) -> Any:
    """The answer of a unit, an exception included; a stub's is passed on.

    Whatever the unit does to the tensors that the question holds is undone, so that the next unit is asked the same.
    """
    held = [(tensor, tensor.detach().clone()) for tensor in _held_by(question)]
    try:
        answer = detached(question(unit))
        changed = any(not torch.equal(tensor.detach(), before) for tensor, before in held)
        return map_tensors(Tensor.clone, answer) if changed else answer  # it may be what is set back below
    except NotImplementedError:
        raise
    except Exception as error:
        return Raised(getattr(error, "learner_type", type(error).__name__), described(error), error)
    finally:
        for tensor, before in held:
            if tensor.shape == before.shape and not torch.equal(tensor.detach(), before):
                tensor.data.copy_(before)


def _held_by(value: Any, depth: int = 4) -> Iterator[Tensor]:
    if isinstance(value, FunctionType) and depth:
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # a cell that is still empty
                yield from _held_by(cell.cell_contents, depth - 1)
    elif isinstance(value, Tensor | list | tuple | dict):
        yield from flatten(value)
