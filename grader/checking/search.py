"""The search for the known mistake behind a wrong answer: what it may cost, and what it remembers of the exercise."""

from __future__ import annotations

import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from typing import Any

from grader import GraderFault
from grader.checking import mistakes
from grader.checking.agreement import Recorder
from grader.checking.allowance import SECONDS, Allowance
from grader.checking.capture import VARIATIONS
from grader.checking.context import Body, CheckId, context_of
from grader.checking.naming import Evidence, name_mistake
from grader.checking.oracle import Oracle
from grader.checking.question import Asked, Disagreement, Raised, put
from grader.checking.target import Target, below, module_name
from grader.checking.variants import Mistake

_RIGHT = 30  # answers of an exercise that may speak against a mistake
_WRONG = 6  # the first wrong answers of an exercise, which tell alike mistakes apart
_MOST_UNNAMED = 8  # failures of an exercise in which no known mistake was recognised: more are not searched for
_MOST_ALIKE = 4  # as many of them with one and the same exception


@dataclass
class NameSearch:
    """Looks for known mistakes in the wrong answers of one target.

    Args:
        target: What is under test.
        seed: Of the grading.
        seconds: CPU time for the search, per exercise.
    """

    target: Target
    seed: int
    seconds: float = SECONDS
    _known: dict[str, Mistake] = field(default_factory=dict)  # by id, recognised so far
    _allowances: dict[str, Allowance] = field(default_factory=dict)
    _unnamed: Counter[str] = field(default_factory=Counter)
    _unnamed_raised: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # by exercise, type and message
    _right: dict[str, deque[Asked]] = field(default_factory=dict)
    _wrong: dict[str, list[tuple[Asked, Any]]] = field(default_factory=dict)

    def remember(self, check: CheckId) -> Callable[[Asked], None] | None:
        """What takes the questions that were answered rightly; None where to ask them again takes too long."""
        right = self._right.setdefault(check.exercise.name, deque(maxlen=_RIGHT))
        return None if check.kind == "efficiency" else right.append

    def find(
        self, check: CheckId, body: Body, error: Disagreement, *, own_line: bool, only_known: bool
    ) -> Mistake | None:
        """The known mistake behind a wrong answer. A search that fails leaves the message without a name.

        Args:
            check: The check that failed.
            body: It.
            error: The wrong answer.
            own_line: Whether what was raised came from a line of the learner's.
            only_known: Whether to look only for mistakes that have been recognised before.
        """
        free_frames(error)
        name = check.exercise.name
        budget = self._allowances.setdefault(name, Allowance(self.seconds))
        if budget.left() <= 0:
            return None
        evidence = self._evidence(check, body, error, own_line)
        raised = (name, error.got.type, error.got.message) if isinstance(error.got, Raised) else (name, "", "")
        try:
            with budget.spending():
                suspects = self._suspects(check, budget, only_known or self._unnamed_raised[raised] >= _MOST_ALIKE)
                mistake = name_mistake(error, budget.while_it_lasts(suspects), evidence)
        except (KeyboardInterrupt, GraderFault):
            raise
        except BaseException:  # MemoryError too: what a learner answers may leave no room for it
            return None
        self._unnamed[name] += mistake is None
        self._unnamed_raised[raised] += mistake is None and isinstance(error.got, Raised)
        if mistake is None or (budget.left() <= 0 and mistake.id not in self._known):
            return None  # a search that was cut off may have missed another mistake that answers alike
        self._known[mistake.id] = mistake
        return mistake

    def _suspects(self, check: CheckId, budget: Allowance, only_known: bool) -> Iterator[mistakes.Suspect]:
        lower, costly = below(check.unit, check.exercise), check.kind == "efficiency"
        found = mistakes.suspects(check.unit, check.exercise, check.criterion, lower, self._known, costly=costly)
        if only_known or self._unnamed[check.exercise.name] >= _MOST_UNNAMED:
            found = takewhile(lambda suspect: suspect.named, found)  # these come first
        # To load the mistakes of a unit takes longer than to ask them, and is done once: no submission pays for it.
        return (replace(suspect, loading=budget.pausing) for suspect in found)

    def _evidence(self, check: CheckId, body: Body, error: Disagreement, own_line: bool) -> Evidence:
        name = check.exercise.name
        if name not in self._wrong:
            self._wrong = {name: []}  # of one exercise at a time: answers may be large
        wrong, earlier = self._wrong[name], tuple(self._wrong[name])
        if len(wrong) < _WRONG and check.kind != "efficiency":
            wrong.append((error.asked, error.got))
        ask, afresh = partial(self._ask_more, check, body, error.asked), partial(self._ask_afresh, check)
        return Evidence(tuple(self._right[name]), earlier, own_line=own_line, ask=ask, afresh=afresh)

    def _ask_more(self, check: CheckId, body: Body, asked: Asked) -> Iterator[tuple[Asked, Any]]:
        """The same question about other inputs, then the whole check with another seed."""
        with self.target.diagnosing():
            module = self.target.open(check.unit, check.exercise)
            for other in filter(None, map(asked.again, range(VARIATIONS))):
                yield other, put(other.question, module)
            if check.kind != "efficiency":
                gradients = check.kind == "gradient"
                recorder = Recorder(module, Oracle(module_name(check.unit)), check.unit.name, gradients)
                with suppress(Exception):
                    body(context_of(self.target, check, module, recorder, self.seed + 1))
                yield from recorder.answers[:_RIGHT]

    def _ask_afresh(self, check: CheckId, asked: Asked) -> Any:
        with self.target.diagnosing(), self.target.afresh(check.unit, check.exercise) as module:
            return put(asked.question, module)


def free_frames(error: BaseException | None) -> None:
    """Forget the values that the frames of an error and of its causes hold; the lines stay known."""
    seen: set[int] = set()  # a chain may lead back to where it began
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
