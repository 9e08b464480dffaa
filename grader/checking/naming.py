"""Naming: which known mistake is behind a wrong answer. A name is given only when it is certain.

That a mistake gives the learner's answer to one question is not enough: many mistakes give zeros for zeros, and inf
for what overflows. So the mistake must also answer every other question as the learner does, at least one wrong
answer must be one that hardly anything else gives, and no other known mistake may explain as much.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from grader.checking.compare import SAME, difference
from grader.checking.mistakes import Suspect
from grader.checking.question import Asked, Disagreement, Raised, put
from grader.checking.remembered import remembered
from grader.checking.variants import Mistake
from grader.sandbox.protocol.pytree import flatten

Answers = Iterable[tuple[Asked, Any]]

_ENOUGH = 3  # right answers, after which a missing refusal is a mistake of its own
# Whatever the mistake, Python's errors of these types look alike.
_GENERIC = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "AttributeError", "TypeError")
_ABOUT_A_CRASH = re.compile(r"crash|raise|is None|Error\b")
_ABOUT_ANOTHER_ERROR = re.compile(r"crash|no \w+Error")
_ABOUT_NO_NUMBER = re.compile(
    r"\b(nan|inf|infinity|overflows?|underflows?|0 / 0|0 by 0|exceeds?|65504)\b", re.IGNORECASE
)
_ABOUT_A_REFUSAL = re.compile(r"refus|accept|reject|raise|check|Error\b|passes as|takes? |allow|unnoticed|crash")


@dataclass(frozen=True)
class Evidence:
    """What else is known of the learner's exercise.

    Args:
        passed: Questions that it answered rightly.
        failed: Questions that it answered wrongly before, with its answers.
        own_line: Whether what was raised came from a line of the learner's.
        ask: Puts more questions to it. Returns them with its answers.
        afresh: Puts a question to it as if it were the first, for a mistake that remembers its calls.
    """

    passed: Sequence[Asked] = ()
    failed: Sequence[tuple[Asked, Any]] = ()
    own_line: bool = True
    ask: Callable[[], Answers] = tuple
    afresh: Callable[[Asked], Any] | None = None


def name_mistake(error: Disagreement, suspects: Iterable[Suspect], evidence: Evidence) -> Mistake | None:
    """Return the known mistake that is certainly behind a wrong answer, or None.

    Args:
        error: The disagreement.
        suspects: The known mistakes, most likely first.
        evidence: What else is known of the learner's exercise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a mistake's code: the learner has not written it
        alike: list[Suspect] = []
        first = _first_answer(error, evidence)
        for suspect in suspects:
            got = first() if suspect.mistake.stateful else error.got
            if can_explain(suspect.mistake, error, evidence) and matches(_answer(suspect, error.asked), got):
                if suspect.named:
                    return suspect.mistake
                alike.append(suspect)
        return _certain(alike, error, evidence) if alike else None


def _first_answer(error: Disagreement, evidence: Evidence) -> Callable[[], Any]:
    """What the exercise answers if nothing was asked before: wrong, or the right answer that explains nothing."""

    @cache
    def first() -> Any:
        if evidence.afresh is None:
            return error.got
        got = evidence.afresh(error.asked)
        return got if error.asked.wrong(got) else None

    return first


def _certain(alike: Sequence[Suspect], error: Disagreement, evidence: Evidence) -> Mistake | None:
    # What takes a shortcut answers as torch does, which is right; that it does is seen where it runs.
    alike = [suspect for suspect in alike if not suspect.shortcut() and not _fails_any(suspect, evidence.passed)]
    if not alike:
        return None
    answers = [(error.asked, error.got), *evidence.ask()]
    telling = any(is_telling(asked, got) for asked, got in answers)
    alike = [suspect for suspect in alike if telling or _ABOUT_NO_NUMBER.search(suspect.mistake.says)]
    alike = [suspect for suspect in alike if all(_agrees(suspect, *answer) for answer in answers)]
    own = [suspect for suspect in alike if suspect.own] or alike
    if len(own) > 1:  # what went wrong before may tell them apart
        own = [suspect for suspect in own if all(_agrees(suspect, *answer) for answer in evidence.failed)] or own
    return own[0].mistake if len({suspect.mistake.says for suspect in own}) == 1 else None


def _answer(suspect: Suspect, asked: Asked, attempt: int = 0) -> Any:
    question = asked.question

    def ask() -> Any:
        return put(question, suspect.module())

    try:
        return remembered.answer(suspect.mistake, question, ask, attempt, restored=True)
    except Exception:  # a mistake that cannot answer at all
        return None


def _fails_any(suspect: Suspect, passed: Sequence[Asked]) -> bool:
    # Three times, since a mistake that draws may be lucky as the learner was.
    return any(all(asked.wrong(_answer(suspect, asked, attempt)) for attempt in range(3)) for asked in reversed(passed))


def _agrees(suspect: Suspect, asked: Asked, got: Any) -> bool:
    if suspect.mistake.stateful:
        return True  # what the learner's code remembers by now, the mistake has not seen
    mistaken = _answer(suspect, asked)
    if isinstance(mistaken, Raised) or isinstance(got, Raised):
        return isinstance(mistaken, Raised) and isinstance(got, Raised) and mistaken.type == got.type
    return not difference(got, mistaken)  # by dtype: in half precision the order of a sum shows


def can_explain(mistake: Mistake, error: Disagreement, evidence: Evidence = Evidence()) -> bool:
    """Whether a mistake's sentence can be about this kind of failure at all.

    Where an error was due, only a sentence about that refusal will do, or a mistake in nothing else: one that answers
    rightly where values are asked for. Where another error came, only a sentence that says so will do.
    """
    got, due = error.got, isinstance(error.asked.expected, Raised)
    enough = sum(not isinstance(asked.expected, Raised) for asked in evidence.passed) >= _ENOUGH
    if isinstance(got, Raised):
        if due:
            return got.type in mistake.says or _ABOUT_ANOTHER_ERROR.search(mistake.says) is not None
        if "NoneType" in got.message and "returns None" in mistake.says:
            return True
        named = got.type not in _GENERIC or _ABOUT_A_CRASH.search(mistake.says) is not None
        return enough or (evidence.own_line and named)
    return not due or enough or _ABOUT_A_REFUSAL.search(mistake.says) is not None


def matches(mistaken: Any, got: Any) -> bool:
    """Whether a known mistake gives exactly what the learner's code gave."""
    if isinstance(mistaken, Raised) or isinstance(got, Raised):
        both = isinstance(mistaken, Raised) and isinstance(got, Raised)
        # An assert that says nothing is described by its line, which everybody writes differently.
        alike = both and (mistaken.type == "AssertionError" or mistaken.message[:100] == got.message[:100])
        return alike and mistaken.type == got.type
    dtypes = [[tensor.dtype for tensor in flatten(value)] for value in (got, mistaken)]
    return dtypes[0] == dtypes[1] and not difference(got, mistaken, SAME)


def is_telling(asked: Asked, got: Any) -> bool:
    """Whether an answer is wrong in a way that hardly any other mistake shares."""
    if not asked.wrong(got):
        return False
    if isinstance(got, Raised) or isinstance(asked.expected, Raised):
        return True  # `can_explain` has looked at it
    parts = list(_differing(got, asked.expected))
    return not parts or any(_is_rich(part) or _is_rich(truth, constant=False) for part, truth in parts)


def _differing(got: Any, expected: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(got, dict) and isinstance(expected, dict) and got.keys() == expected.keys():
        pairs = [(got[key], expected[key]) for key in got]
    elif _is_nested(got) and _is_nested(expected) and len(got) == len(expected):
        pairs = list(zip(got, expected, strict=True))
    else:
        yield got, expected
        return
    for one, other in pairs:
        if difference(one, other):
            yield from _differing(one, other)


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | tuple) and not all(isinstance(item, int | float | str) for item in value)


def _is_rich(value: Any, *, constant: bool = True) -> bool:
    """Whether a value says much: not all equal, all zero, all NaN, or empty."""
    if isinstance(value, float):
        value = torch.tensor(value)
    if isinstance(value, Tensor):
        finite = value[value.isfinite()] if value.numel() else value
        kinds = len(finite.unique()) + (constant and finite.numel() < value.numel())
        fraction = finite.is_floating_point() and finite.numel() > 0 and bool((finite != finite.round()).any())
        return finite.numel() > 0 and (kinds > 1 or fraction)
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, bool) for item in value):  # facts, which a check has worded
            return True
        return len(value) > 0 and (len(value) == 1 or any(difference(item, value[0]) for item in value))
    return True
