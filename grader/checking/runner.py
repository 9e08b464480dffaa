"""One check, run: preconditions, the test, a second try on the reference's lower parts, and the outcome in words."""

from __future__ import annotations

import re
import time
import traceback
from dataclasses import dataclass, field, replace
from functools import cache, partial

import torch

from grader.checking import diagnosis
from grader.checking.agreement import Agreement, Disagreement, Raised, name_mistake
from grader.checking.allowance import Allowance
from grader.checking.given import Body, CheckId, Given
from grader.checking.limit import TookTooLong
from grader.checking.oracle import Oracle, OracleFailed, solution_sources
from grader.checking.randomness import Rand
from grader.checking.shortcuts import find_shortcut
from grader.checking.target import PACKAGE, LocalTarget, Target, Unreadable, below, lower_units, module_name, resolve
from grader.checking.variants import Mistake
from grader.checking.wording import Wording
from grader.curriculum import Exercise, Unit, load
from grader.faults import GraderFault
from grader.isolation.charge import TooBusy
from grader.isolation.client import WorkerEnded, clean
from grader.isolation.watch import NotAllowed
from grader.outcome import Outcome
from grader.submission import File, Submission

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
        failed: Exercises of which a check has failed so far.
        named: Mistakes that were recognised so far: where two give the same answer, it is the one made before.
    """

    target: Target
    seed: int
    failed: set[str] = field(default_factory=set)
    named: dict[str, Mistake] = field(default_factory=dict)
    _shortcuts: dict[str, str] = field(default_factory=dict)
    _allowance: Allowance = field(default_factory=Allowance)
    _swapped: dict[str, LocalTarget] = field(default_factory=dict)

    def __post_init__(self) -> None:
        torch.set_num_threads(1)  # inputs are small: a second thread only waits, twenty times as long on a busy machine

    def run(self, check: CheckId, body: Body) -> tuple[Outcome, bool]:
        """The outcome, and whether it was passed only on the reference's lower parts."""
        started = time.perf_counter()
        outcome, carried = self._judge(check, body)
        if outcome.status != "passed":
            self.failed.add(check.exercise.name)
        seconds = round(time.perf_counter() - started, 4)
        return replace(outcome, seconds=seconds, criterion=check.criterion), carried

    def passes(self, check: CheckId, body: Body) -> bool:
        """Whether the target passes on its own, without a word about why not: for those who only count."""
        try:
            self._preconditions(check)
            self._attempt(check, body, self.target, given=False)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return False
        return True

    def _judge(self, check: CheckId, body: Body) -> tuple[Outcome, bool]:
        try:
            self._preconditions(check)
            self._attempt(check, body, self.target, given=False)
            return Outcome(check.name, check.kind, "passed", message=""), False
        except KeyboardInterrupt:
            raise  # and not MemoryError: a learner's answer may be the cause
        except BaseException as error:
            try:
                carried = self._passes_on_reference(check, body, error)
            except (GraderFault, OracleFailed) as fault:
                return self._explain(check, body, fault), False
            if carried:
                return Outcome(check.name, check.kind, "passed", message=self._below_message(check, body, error)), True
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
            done = f"{len(needed) - len(missing)} of the {len(needed)} exercises that it puts to work are written"
            raise Todo(f"{check.unit.name}.{check.exercise.name} waits for {missing[0]}: {done}")
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

    def _attempt(self, check: CheckId, body: Body, target: Target, given: bool) -> None:
        try:
            self._put(check, body, target, given)
        except TooBusy:  # once more, with a fresh worker
            self._put(check, body, target, given)

    def _put(self, check: CheckId, body: Body, target: Target, given: bool) -> None:
        with target.limited(check.exercise):
            self._put_unlimited(check, body, target, given)

    def _put_unlimited(self, check: CheckId, body: Body, target: Target, given: bool) -> None:
        module = target.open(check.unit, check.exercise, given)
        oracle = Oracle(module_name(check.unit))
        agree = Agreement(module, oracle, check.unit.name, gradients=check.kind == "gradient")
        rand = Rand(self.seed, f"{check.unit.name}.{check.name}")
        restart = partial(target.restart, check.unit, check.exercise)
        with target.guard(check.unit, check.exercise, check.kind):
            once = partial(target.kept.once, self.seed)
            see = (target.measure, target.overwrite, target.cpu_time)
            body(Given(module, agree, rand, *see, target.scratch, restart, once))

    def _passes_on_reference(self, check: CheckId, body: Body, error: BaseException) -> bool:
        lower = below(check.unit, check.exercise)
        if check.unit.whole or (not lower and (self.target.isolated or not lower_units(check.unit))):
            return False
        if isinstance(error, Refused | Todo | InSource | Unreadable | GraderFault | OracleFailed | TookTooLong):
            return False
        if isinstance(error, NotImplementedError) and self._is_own_stub(check, error):
            return False
        try:
            self._attempt(check, body, self.target, given=True)
        except (KeyboardInterrupt, GraderFault, OracleFailed):
            raise
        except BaseException:
            return False
        return True

    def _is_own_stub(self, check: CheckId, error: BaseException) -> bool:
        found = _STUB.search(str(error))
        return found is not None and found.groups() == (check.unit.name, check.exercise.name)

    def _below_message(self, check: CheckId, body: Body, error: BaseException) -> str:
        if isinstance(error, NotImplementedError) and (stub := _STUB.search(str(error))):
            where = f"{'.'.join(stub.groups())} is still a stub"
        else:
            where = f"in {' or '.join(self._below_names(check, body))}"
        return f"The fault is below: {where}. On the reference's version of it this check passes."

    def _below_names(self, check: CheckId, body: Body) -> list[str]:
        lower = below(check.unit, check.exercise)
        names = [f"{check.unit.name}.{name}" for name in lower if name in self.failed]
        if names := names or self._culprit(check, body):
            return names
        # No single unit: several of them, or what no check of theirs has found. Isolated, they are the reference's.
        units = [] if self.target.isolated else sorted(lower_units(check.unit))
        return [f"{check.unit.name}.{name}" for name in lower] + units

    def _culprit(self, check: CheckId, body: Body) -> list[str]:
        """The lower unit whose reference alone makes the check pass, the nearest first; locally only."""
        units = [unit for unit in load().values() if unit.name in lower_units(check.unit)]
        for unit in reversed([] if self.target.isolated else units):
            try:
                self._attempt(check, body, self._with_reference(unit.name), given=False)
            except (KeyboardInterrupt, GraderFault, OracleFailed):
                raise
            except BaseException:
                continue
            return [unit.name]
        return []

    def _with_reference(self, unit: str) -> LocalTarget:
        if unit not in self._swapped:
            source, mine = solution_sources()[unit], self.target.submission
            files = {**mine.files, unit: File(source.path, source.text)}
            self._swapped[unit] = LocalTarget(Submission(mine.name, files), package=f"{PACKAGE}_with_{unit}")
        return self._swapped[unit]

    def _explain(self, check: CheckId, body: Body, error: BaseException) -> Outcome:
        wording = Wording(check, self.target.submission)
        if isinstance(error, Todo) or (isinstance(error, NotImplementedError) and _STUB.search(str(error))):
            return Outcome(check.name, check.kind, "todo", message=clean(str(error)))
        if isinstance(error, OracleFailed | GraderFault):
            return Outcome(check.name, check.kind, "error", message=f"The grader failed: {clean(str(error), 2000)}")
        if isinstance(error, Refused | Unreadable):
            return wording.failed(str(error), located=False)
        if isinstance(error, NotAllowed):
            self._shortcuts[check.exercise.name] = str(error)  # from now on, no check of it can pass
            text = f"Not allowed in this exercise: {error}. It asks you to write that very thing."
            return wording.failed(text, wording.same_shortcut(str(error)))
        if isinstance(error, WorkerEnded | TookTooLong):
            return wording.failed(f"{check.unit.name}.{check.exercise.name}: {error}")
        if not _is_raised(error) and not self._reference_passes(check, body):
            trace = "".join(traceback.format_exception(error))[-1500:]
            return Outcome(check.name, check.kind, "error", message=f"The grader's own check fails: {trace}")
        return self._explain_wrong(check, body, error, wording)

    def _explain_wrong(self, check: CheckId, body: Body, error: BaseException, wording: Wording) -> Outcome:
        if isinstance(error, Disagreement):
            lower = below(check.unit, check.exercise)
            suspects = diagnosis.suspects(check.unit, check.exercise, lower, self.named)
            mistake = name_mistake(error, self._allowance.spend_on(suspects))
            if mistake is not None:
                self.named[mistake.id] = mistake
            where = wording.where(error.__cause__) if error.__cause__ is not None else ""
            return wording.failed(f"{error.call}\n  {error.what}{where}", mistake)
        if isinstance(error, AssertionError):
            culprit = self._culprit(check, body) if check.unit.whole and check.kind == "numerics" else []
            mended = [f"\n  With the reference's {name} in place of yours it passes." for name in culprit]
            return wording.failed(str(error).partition("\nassert ")[0] + "".join(mended))
        if type(error).__name__.startswith("Flaky"):
            text = "the same call gave another answer the second time."
            return wording.failed(f"{check.unit.name}.{check.exercise.name}: {text}")
        kind = getattr(error, "learner_type", "") or type(error).__name__
        said = f"{kind}: {error}".removesuffix(": ") + wording.where(error)
        return wording.failed(f"{check.unit.name}.{check.exercise.name} raised {said}")

    def _reference_passes(self, check: CheckId, body: Body) -> bool:
        try:
            self._attempt(check, body, _reference(), given=False)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return False
        return True


def _is_raised(error: BaseException) -> bool:
    """Whether the code raised where the oracle had an answer: then the check itself has been tried on the reference."""
    return isinstance(error, Disagreement) and isinstance(error.got, Raised)


def _split(name: str) -> tuple[str, str]:
    unit, _, exercise = name.partition(".")
    return unit, exercise


@cache
def _reference() -> LocalTarget:
    return LocalTarget(resolve("solutions"), package="reference")
