"""One check, run: preconditions, the test, a second try on the reference's lower parts, and the outcome in words."""

from __future__ import annotations

import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import cache, partial

import torch

from grader import GraderFault
from grader.checking import allowance
from grader.checking.agreement import Agreement
from grader.checking.blame import Blame, passes
from grader.checking.context import Body, CheckId, context_of
from grader.checking.limit import TookTooLong
from grader.checking.messages import Messages
from grader.checking.oracle import Oracle, OracleFailed
from grader.checking.question import Asked, Disagreement, Raised
from grader.checking.search import NameSearch
from grader.checking.seeding import Rand, derive
from grader.checking.shortcuts import find_shortcut
from grader.checking.target import (
    LocalTarget,
    Target,
    Unreadable,
    below,
    lower_parts,
    lower_units,
    module_name,
    resolve,
)
from grader.curriculum import Exercise, Unit, load
from grader.curriculum.outcome import Outcome
from grader.sandbox.host.charge import TooBusy
from grader.sandbox.host.client import WorkerEnded, clean
from grader.sandbox.worker.audit import NotAllowed
from grader.sandbox.worker.described import described

_STUB = re.compile(r"(\w+)\.(\w+)(?:\.\w+)? is still a stub")


class Refused(Exception):
    """The check need not run: the source says enough."""


class InSource(NotAllowed):
    """The shortcut stands in the exercise's own source: no other version of what lies below makes it good."""


class Todo(Exception):
    """The exercise is still a stub."""


@dataclass
class Runner:
    """Runs checks against one target.

    Args:
        target: What is under test.
        seed: From which every check derives its own.
        checks: All checks that will be run, where that is known: once an exercise can earn nothing any more, its
            other checks are run once each and not explained further. Empty: every failure is explained.
        naming_seconds: CPU time for the search for names, per exercise.
        failed: Exercises of which a check has failed so far.
    """

    target: Target
    seed: int
    checks: Collection[CheckId] = ()
    naming_seconds: float = allowance.SECONDS
    failed: set[str] = field(default_factory=set)
    _shortcuts: dict[str, str] = field(default_factory=dict)
    _main: Counter[str] = field(default_factory=Counter)
    _main_failed: Counter[str] = field(default_factory=Counter)
    _blamed: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._search = NameSearch(self.target, self.seed, self.naming_seconds)
        torch.set_num_threads(1)  # inputs are small: a second thread only waits, twenty times as long on a busy machine
        self._main.update(check.exercise.name for check in self.checks if check.is_main)

    def run(self, check: CheckId, body: Body) -> tuple[Outcome, bool]:
        """The outcome, and whether it was passed only on the reference's lower parts."""
        started = time.perf_counter()
        outcome, carried = self._judge(check, body)
        if outcome.status != "passed":
            self.failed.add(check.exercise.name)
        if check.is_main and outcome.status in ("failed", "todo"):
            self._main_failed[check.exercise.name] += 1
        seconds = round(time.perf_counter() - started, 4)
        return replace(outcome, seconds=seconds, criterion=check.criterion), carried

    def passes(self, check: CheckId, body: Body) -> bool:
        """Whether the target passes on its own, without a word about why not: for those who only count."""
        try:
            self._preconditions(check)
            self._attempt(check, body, self.target)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return False
        return True

    def _is_lost(self, check: CheckId) -> bool:
        """Whether the exercise can earn nothing any more, as `scoring` has it."""
        name = check.exercise.name
        return 0 < self._main[name] <= 2 * self._main_failed[name]

    def _judge(self, check: CheckId, body: Body) -> tuple[Outcome, bool]:
        try:
            self._preconditions(check)
            self._attempt(check, body, self.target, passed=self._search.remember(check))
            return Outcome(check.name, check.kind, "passed", message=""), False
        except KeyboardInterrupt:
            raise  # and not MemoryError: a learner's answer may be the cause
        except BaseException as error:
            try:
                carried = self._passes_on_reference(check, body, error)
            except (GraderFault, OracleFailed) as fault:
                return self._explain(check, body, fault), False
            if carried:
                message = self._below_message(check, body, error)
                return Outcome(check.name, check.kind, "passed", message=message, cause=message), True
            return self._explain(check, body, error), False

    def _preconditions(self, check: CheckId) -> None:
        if check.unit.whole:
            self._expect_all(check)
            return
        self._expect_written(check.unit, check.exercise)
        if self.target.submission.file(check.unit.name).is_stub(check.exercise.name):
            raise Todo(f"{check.unit.name}.{check.exercise.name} is still a stub")
        self._expect_no_shortcut(check.unit, check.exercise)

    def _expect_all(self, check: CheckId) -> None:
        """What a part of the whole puts to work has been written, and by the learner."""
        needed = [(load()[unit], load()[unit].exercise(name)) for unit, name in map(_split, check.exercise.needs)]
        for unit, exercise in needed:
            self._expect_written(unit, exercise)
        missing = [f"{u.name}.{e.name}" for u, e in needed if self.target.submission.file(u.name).is_stub(e.name)]
        if missing:
            done = f"{len(needed) - len(missing)} of the {len(needed)} exercises that it uses are written"
            raise Todo(f"{check.unit.name}.{check.exercise.name} needs {missing[0]} first: {done}")
        for unit, exercise in needed:
            self._expect_no_shortcut(unit, exercise)

    def _expect_written(self, unit: Unit, exercise: Exercise) -> None:
        file = self.target.submission.file(unit.name)
        name = exercise.name
        if file.problem:
            raise Unreadable(file.problem)
        if name not in file.definitions and name not in file.assigned:
            there = ", ".join(file.definitions) or "nothing"
            raise Refused(f"{file.path} defines no {name}; it defines {there}.")

    def _expect_no_shortcut(self, unit: Unit, exercise: Exercise) -> None:
        name = exercise.name
        if name not in self._shortcuts:
            file = self.target.submission.file(unit.name)
            lower = lower_units(unit)  # exercises of their own: a shortcut in them costs them alone
            files = {n: f for n, f in self.target.submission.files.items() if n != unit.name and n not in lower}
            found = find_shortcut(file, name, exercise.not_allowed, below(unit, exercise), files)
            self._shortcuts[name] = found
        if self._shortcuts[name]:
            raise InSource(self._shortcuts[name])

    def _attempt(
        self,
        check: CheckId,
        body: Body,
        target: Target,
        given: Collection[str] = (),
        passed: Callable[[Asked], None] | None = None,
    ) -> None:
        try:
            self._put(check, body, target, given, passed)
        except TooBusy:  # once more, with a fresh worker
            self._put(check, body, target, given, passed)

    def _put(
        self,
        check: CheckId,
        body: Body,
        target: Target,
        given: Collection[str],
        passed: Callable[[Asked], None] | None,
    ) -> None:
        # Whatever ran before: what a check draws from the global generator is its own.
        torch.default_generator.manual_seed(derive(self.seed, f"global {check.unit.name}.{check.name}"))
        with target.limited(check.exercise):
            module = target.open(check.unit, check.exercise, given)
            gradients = check.kind == "gradient"
            agree = Agreement(module, Oracle(module_name(check.unit)), check.unit.name, gradients, passed)
            with target.guard(check.unit, check.exercise, check.kind):
                body(context_of(target, check, module, agree, self.seed, given))

    def _passes_with(self, check: CheckId, body: Body, given: Collection[str]) -> bool:
        return passes(lambda: self._attempt(check, body, self.target, given))

    def _passes_on_reference(self, check: CheckId, body: Body, error: BaseException) -> bool:
        parts = () if check.unit.whole or self._is_lost(check) else self._blame(check).parts()
        final = (Refused, Todo, InSource, Unreadable, GraderFault, OracleFailed, TookTooLong)
        if not parts or isinstance(error, final):
            return False
        if isinstance(error, NotImplementedError) and self._is_own_stub(check, error):
            return False
        if not self._passes_with(check, body, lower_parts(check.unit, check.exercise)):
            return False
        # What it remembers of earlier calls is its own: imported anew, it must fail on its own lower parts as before.
        self.target.restart(check.unit, check.exercise)
        return not self._passes_with(check, body, ())

    def _is_own_stub(self, check: CheckId, error: BaseException) -> bool:
        found = _STUB.search(str(error))
        return found is not None and found.groups() == (check.unit.name, check.exercise.name)

    def _below_message(self, check: CheckId, body: Body, error: BaseException) -> str:
        if isinstance(error, NotImplementedError) and (stub := _STUB.search(str(error))):
            name = ".".join(stub.groups())
            return f"{name} is still a stub: with the reference's {name} this check passes."
        with self.target.diagnosing():
            found = self._blame(check).needed(partial(self._passes_with, check, body))
        self._blamed |= dict.fromkeys(found)
        return self._blame(check).sentence(found)

    def _blame(self, check: CheckId) -> Blame:
        first = (*self._blamed, *self.failed)
        return Blame(check.unit, check.exercise, self.target.submission, self.target.isolated, first)

    def _culprit(self, check: CheckId, body: Body) -> str:
        if not check.unit.whole or check.kind != "numerics" or self._is_lost(check):
            return ""
        with self.target.diagnosing():
            return self._blame(check).culprit(partial(self._passes_with, check, body))

    def _explain(self, check: CheckId, body: Body, error: BaseException) -> Outcome:
        wording = Messages(check, self.target.submission)
        if isinstance(error, Todo) or (isinstance(error, NotImplementedError) and _STUB.search(str(error))):
            return Outcome(check.name, check.kind, "todo", message=clean(str(error)))
        if isinstance(error, OracleFailed | GraderFault):
            return Outcome(check.name, check.kind, "error", message=f"The grader failed: {clean(str(error), 2000)}")
        if isinstance(error, Refused | Unreadable):
            return wording.failed(str(error), place="")
        if isinstance(error, NotAllowed):
            self._shortcuts[check.exercise.name] = str(error)  # from now on, no check of it can pass
            text = f"Not allowed in this exercise: {error}. The exercise asks you to write this yourself."
            return wording.failed(text, wording.same_shortcut(str(error)))
        if isinstance(error, WorkerEnded | TookTooLong):
            return wording.failed(f"{check.unit.name}.{check.exercise.name}: {error}")
        if not _is_raised(error) and not self._is_lost(check) and not self._reference_passes(check, body):
            trace = "".join(traceback.format_exception(error))[-1500:]
            return Outcome(check.name, check.kind, "error", message=f"The grader's own check fails: {trace}")
        return self._explain_wrong(check, body, error, wording)

    def _explain_wrong(self, check: CheckId, body: Body, error: BaseException, wording: Messages) -> Outcome:
        name = f"{check.unit.name}.{check.exercise.name}"
        if isinstance(error, Disagreement):
            return self._explain_answer(check, body, error, wording)
        if isinstance(error, AssertionError) and not wording.where(error):
            culprit = self._culprit(check, body)
            mended = f"\n  With the reference's {culprit} in place of yours it passes." if culprit else ""
            return wording.failed(str(error).partition("\nassert ")[0] + mended)
        if type(error).__name__.startswith("Flaky"):
            return wording.failed(f"{name}: the same call gave a different answer the second time.")
        return wording.raised(f"{name} ", error, described(error))

    def _explain_answer(self, check: CheckId, body: Body, error: Disagreement, wording: Messages) -> Outcome:
        raised = error.got.error if isinstance(error.got, Raised) else None
        own_line = raised is not None and bool(wording.where(raised))
        mistake = None
        if not check.unit.whole:
            mistake = self._search.find(check, body, error, own_line=own_line, only_known=self._is_lost(check))
        if raised is None or isinstance(error.asked.expected, Raised):
            place = wording.where(raised) if raised is not None else ""
            return wording.failed(str(error), mistake, place=place or None)
        return wording.raised(f"{error.asked.call}\n  ", raised, error.got.message, mistake)

    def _reference_passes(self, check: CheckId, body: Body) -> bool:
        def attempt(rand: Rand) -> bool:
            return passes(lambda: self._attempt(check, body, _reference()))

        return _reference().kept.once(self.seed, (), f"{check.unit.name}.{check.name} passes", attempt) is True


def _is_raised(error: BaseException) -> bool:
    """Whether the code raised where the oracle had an answer: then the check itself has been tried on the reference."""
    return isinstance(error, Disagreement) and isinstance(error.got, Raised)


def _split(name: str) -> tuple[str, str]:
    unit, _, exercise = name.partition(".")
    return unit, exercise


@cache
def _reference() -> LocalTarget:
    return LocalTarget(resolve("solutions"), package="reference")
