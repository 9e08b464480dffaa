"""The target: what is under test. Resolved here and nowhere else; the same tests serve both sides of the boundary."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Protocol

import torch

from grader.checking import oracle
from grader.checking.kept import Kept
from grader.checking.limit import TookTooLong, limited
from grader.checking.slicing import reached
from grader.checking.undisturbed import undisturbed_import
from grader.curriculum import Exercise, Unit, load, submission
from grader.curriculum.outcome import Kind
from grader.curriculum.submission import KIT, Submission
from grader.sandbox.host import proxy
from grader.sandbox.host.charge import TooBusy
from grader.sandbox.host.client import Job, Session, WorkerEnded
from grader.sandbox.host.pool import Limits, Pool
from grader.sandbox.host.proxy import RemoteUnit
from grader.sandbox.protocol.pytree import overwrite
from grader.sandbox.worker import audit, importer, refusals
from grader.sandbox.worker.audit import NotAllowed
from grader.sandbox.worker.importer import Source
from grader.sandbox.worker.measure import Measured, measuring

PACKAGE = "exercises"


class Unreadable(BaseException):
    """The learner's file is missing or is not Python; the message says so."""


class Target(Protocol):
    """A submission whose units can be asked questions.

    Attributes:
        submission: What was handed in.
        isolated: Whether it runs behind the boundary.
        kept: What the checks of this target share.
    """

    submission: Submission
    isolated: bool
    kept: Kept

    @property
    def scratch(self) -> Path:
        """A folder for files of the checks, which the learner's code may read and, isolated, not write."""

    def limited(self, exercise: Exercise) -> AbstractContextManager[Any]:
        """A context in which the learner's code ends when it takes too long."""

    def open(self, unit: Unit, exercise: Exercise, given: Collection[str] = ()) -> Any:
        """The unit's module, with the reference's version of some of the `lower_parts`."""

    def guard(self, unit: Unit, exercise: Exercise, kind: Kind) -> AbstractContextManager[Any]:
        """A context in which the learner's calls are watched for what the exercise forbids."""

    def measure(self, work: Callable[[], object], **generators: torch.Generator) -> Measured:
        """What the learner's code costs in `work`, and from which of these generators it draws."""

    def overwrite(self, value: Any) -> None:
        """Fill with garbage what the learner's code returned, in its own memory."""

    def cpu_time(self, work: Callable[[], object]) -> float:
        """How many seconds of processor time the learner's code takes in `work`, as the kernel counts them."""

    def restart(self, unit: Unit, exercise: Exercise) -> Any:
        """The unit's module anew, as after a crash: nothing that the code kept in memory is left."""

    def afresh(self, unit: Unit, exercise: Exercise) -> AbstractContextManager[Any]:
        """A context with the unit's module as nobody has asked it anything."""

    def diagnosing(self) -> AbstractContextManager[Any]:
        """A context in which what the learner's code takes is not charged to it, but to the diagnosis."""

    def close(self) -> None:
        """Let go of what was opened."""


def resolve(name: str) -> Submission:
    """The submission that `--target` names: exercises, solutions, or a path.

    Raises:
        ValueError: No such folder; the message says what to do.
    """
    if name in ("exercises", "solutions"):
        return submission.read(KIT / name)
    return submission.read(Path(name))


def below(unit: Unit, exercise: Exercise) -> tuple[str, ...]:
    """All exercises of the unit on which this one builds, however far down."""
    if unit.whole:  # a part of the whole builds on other units, and these are never given
        return ()
    found: dict[str, None] = {}
    for name in exercise.needs:
        found |= dict.fromkeys((*below(unit, unit.exercise(name)), name))
    return tuple(found)


def lower_parts(unit: Unit, exercise: Exercise) -> frozenset[str]:
    """The exercises of the unit, and the other units, on which an exercise builds."""
    return frozenset(lower_units(unit)).union(below(unit, exercise))


def module_name(unit: Unit) -> str:
    """The module in which a unit's exercises are; "" is the package, for the whole."""
    return "" if unit.whole else unit.name


def lower_units(unit: Unit) -> set[str]:
    """All units on which this one builds, however far down."""
    found = set(unit.needs)
    for name in unit.needs:
        found |= lower_units(load()[name])
    return found


def _sources(submission: Submission, unit: Unit, given: Collection[str], *, local: bool) -> dict[str, Source]:
    if not unit.whole and (problem := submission.file(unit.name).problem):
        raise Unreadable(problem)
    files = {name: file for name, file in submission.files.items() if not file.problem}
    sources = {name: file.local_source if local else file.source for name, file in files.items()}
    solutions = oracle.solution_sources()
    return sources | {name: solutions[name] for name in lower_units(unit).intersection(given) if name in solutions}


@cache
def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="grader-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class LocalTarget:
    """The learner's code in this process: breakpoints and prints work, and nothing is trusted to be fair.

    Args:
        submission: What is under test.
        package: The name under which its modules are imported.
        seconds: What one check may take; 0 for no limit.
    """

    isolated = False
    MAX_ENDLESS = 2

    @property
    def scratch(self) -> Path:
        """A folder of this process."""
        return _scratch()

    def __init__(self, submission: Submission, package: str = PACKAGE, seconds: float = 0.0) -> None:
        self.submission = submission
        self.debugging = threading.Event()
        self._package = package
        self.kept = Kept()
        self._seconds = seconds
        self._endless: dict[str, list[TookTooLong]] = {}
        self._opened: dict[tuple[str, frozenset[str]], ModuleType] = {}
        self._refused = refusals.watch(file.local_source.path for file in submission.files.values())

    @contextmanager
    def limited(self, exercise: Exercise) -> Iterator[None]:
        """Raise TookTooLong where the block runs for too long, and at once where others of the exercise did."""
        before = self._endless.setdefault(exercise.name, [])
        if len(before) >= self.MAX_ENDLESS:
            raise before[-1].with_traceback(None)
        self.debugging.clear()
        try:
            with limited(self._seconds, self._line, self.debugging):
                yield
        except TookTooLong as error:
            before.append(error)
            raise

    def _line(self, frame: FrameType) -> str:
        path = frame.f_code.co_filename
        mine = (file for file in self.submission.files.values() if file.local_source.path == path)
        return next((f"{file.path}:{frame.f_lineno}" for file in mine), "")

    def open(self, unit: Unit, exercise: Exercise, given: Collection[str] = ()) -> Any:
        """The unit's module, with the reference's version of what is given."""
        key = unit.name, frozenset(given)
        if key not in self._opened:
            # A package for each, so that an import inside one of its functions finds its own.
            sources = _sources(self.submission, unit, given, local=True)
            with undisturbed_import():
                module = importer.load(self._package_with(key[1]), sources, module_name(unit))
            if names := [name for name in below(unit, exercise) if name in given]:
                importer.give(module, oracle.solution_sources()[unit.name], names)
            self._opened[key] = module
        return self._opened[key]

    def _package_with(self, given: frozenset[str]) -> str:
        return "_with_".join([self._package, *sorted(given)])

    def guard(self, unit: Unit, exercise: Exercise, kind: Kind) -> AbstractContextManager[Any]:
        """In the check for shortcuts, watch the calls that are made from the learner's file: watching is slow."""
        if kind != "shortcut":
            return nullcontext()
        file = self.submission.file(unit.name)
        return audit.watching(exercise.not_allowed, files=frozenset({file.local_source.path}))

    @staticmethod  # and not of this target: what a question measures with is then the same for every target
    def measure(work: Callable[[], object], **generators: torch.Generator) -> Measured:
        """What `work` costs, the check's own part of it included."""
        with measuring(**generators) as measured:
            work()
        return measured

    def overwrite(self, value: Any) -> None:
        """Fill it here, where the learner's code is, too."""
        overwrite(value)

    @staticmethod
    def cpu_time(work: Callable[[], object]) -> float:
        """Processor time of this thread during `work`, in seconds."""
        started = time.thread_time()
        work()
        return time.thread_time() - started

    def restart(self, unit: Unit, exercise: Exercise) -> Any:
        """The unit's module, imported again."""
        self._opened.clear()
        return self.open(unit, exercise)

    @contextmanager
    def afresh(self, unit: Unit, exercise: Exercise) -> Iterator[Any]:
        """A second import of the unit's module, which shares no state with the first."""
        package = f"{self._package}_afresh"
        sources = _sources(self.submission, unit, (), local=True)
        try:
            with undisturbed_import():
                yield importer.load(package, sources, module_name(unit))
        finally:
            importer.uninstall(package)

    def diagnosing(self) -> AbstractContextManager[Any]:
        """Nothing to do here: nothing is charged."""
        return nullcontext()

    def close(self) -> None:
        """Forget the learner's packages."""
        refusals.unwatch(self._refused)
        for package in {self._package, *(self._package_with(given) for _, given in self._opened)}:
            importer.uninstall(package)


@dataclass(frozen=True)
class _Key:
    """What a worker is for.

    Args:
        unit: The unit under test.
        exercise: The exercise under test.
        given: The parts below it that are the reference's.
        diagnosing: Whether it answers questions that only explain a failure.
    """

    unit: str
    exercise: str
    given: frozenset[str]
    diagnosing: bool


class IsolatedTarget:
    """The learner's code behind the boundary: one worker per exercise, and others where lower parts are given.

    Args:
        submission: What is under test.
        pool: Where workers come from.
        limits: What a worker may use.
        seed: For the workers' global generators.
    """

    isolated = True
    MAX_DEATHS = 3
    MAX_STARVED = 4
    DIAGNOSIS_SECONDS = 60.0  # of a submission

    @property
    def scratch(self) -> Path:
        """The folder of the pool, which its workers may read."""
        return self.pool.scratch

    def __init__(self, submission: Submission, pool: Pool, limits: Limits, seed: int) -> None:
        self.submission = submission
        self.pool = pool
        self.limits = limits
        self.seed = seed
        self.kept = Kept()
        self._session: Session | None = None
        self._sessions: dict[_Key, Session] = {}  # of one exercise
        self._deaths: Counter[_Key] = Counter()
        self._starved = 0
        self._failed_loads: dict[str, int] = {}
        self._broken: dict[str, BaseException] = {}
        self._spent: dict[str, float] = {}
        self._diagnosed = 0.0
        self._is_diagnosing = False

    def limited(self, exercise: Exercise) -> AbstractContextManager[Any]:
        """Nothing to do here: a worker has limits of its own."""
        return nullcontext()

    def open(self, unit: Unit, exercise: Exercise, given: Collection[str] = ()) -> Any:
        """The unit's module in a worker; lower units are always the reference's, except those of the whole."""
        given = frozenset(given) if unit.whole else frozenset(given).union(lower_units(unit))
        key = _Key(unit.name, exercise.name, given, self._is_diagnosing)
        if unit.name in self._broken:  # every check of the unit says so, not only the first
            raise self._broken[unit.name].with_traceback(None)
        if any((other.unit, other.exercise) != (unit.name, exercise.name) for other in self._sessions):
            self.close()
        self._session = self._sessions.get(key)
        if self._session is None or self._session.ended:
            self._replace(key, unit, exercise)
        assert self._session is not None
        return RemoteUnit(self._session)

    def _replace(self, key: _Key, unit: Unit, exercise: Exercise) -> None:
        if self._session is not None:
            self._expect_worth_another(key, self._session)
            self._end(key)
        names = tuple(name for name in below(unit, exercise) if name in key.given)
        reference = oracle.solution_sources()[unit.name] if names else None
        sources = _sources(self.submission, unit, key.given, local=False)
        job = Job(module_name(unit), sources, exercise.not_allowed, self.seed, names, reference)
        try:
            try:
                self._start(key, unit, job)
            except NotAllowed:  # in a comparison between the definitions, perhaps, which no exercise reaches
                if unit.whole:
                    raise
                self._end(key)
                self._start(key, unit, replace(job, sources={**sources, unit.name: reached(unit, sources[unit.name])}))
        except (Exception, WorkerEnded) as error:
            # An import is the same for every exercise; that it took too long is believed the second time.
            self._failed_loads[unit.name] = self._failed_loads.get(unit.name, 0) + 1
            if isinstance(error, Exception) or self._failed_loads[unit.name] > 1:
                self._broken[unit.name] = error
            raise

    def _start(self, key: _Key, unit: Unit, job: Job) -> None:
        self._session = self._sessions[key] = Session(self.pool.get(), self.limits, self._seconds_left(unit))
        self._session.load(job)

    def _expect_worth_another(self, key: _Key, ended: Session) -> None:
        if ended.starved:
            self._starved += 1
            if self._starved >= self.MAX_STARVED:  # the rest would wait as long, and in vain
                raise TooBusy(ended.ended)
            return
        self._deaths[key] += 1
        if self._deaths[key] >= self.MAX_DEATHS:
            raise WorkerEnded(f"{ended.ended}; after {self.MAX_DEATHS} times it is not started again")

    def _seconds_left(self, unit: Unit) -> float:
        live = {key: session.spent for key, session in self._sessions.items()}
        if self._is_diagnosing:
            diagnosed = self._diagnosed + sum(spent for key, spent in live.items() if key.diagnosing)
            if (left := self.DIAGNOSIS_SECONDS - diagnosed) <= 0:
                raise WorkerEnded("no time is left for diagnosis")
            return left
        spent = sum(spent for key, spent in live.items() if not key.diagnosing)
        of_unit = self.limits.unit_seconds - self._spent.get(unit.name, 0.0) - spent
        of_all = self.limits.submission_seconds - sum(self._spent.values()) - spent
        if min(of_unit, of_all) <= 0:
            what = f"the {self.limits.unit_seconds:g} s of this unit"
            raise WorkerEnded(
                f"your code used up {what if of_all > 0 else f'its {self.limits.submission_seconds:g} s'}"
            )
        return min(self.limits.total_seconds, of_unit, of_all)

    def guard(self, unit: Unit, exercise: Exercise, kind: Kind) -> AbstractContextManager[Any]:
        """Nothing to do here: the worker watches all its calls."""
        return nullcontext()

    def measure(self, work: Callable[[], object], **generators: torch.Generator) -> Measured:
        """What the worker's calls cost in `work`; what is done here, if `work` asks the reference or a mistake."""
        session = self._session
        assert session is not None
        asked, there = session.last_id(), Measured()
        session.measured = there
        try:
            with measuring(**generators) as here:
                work()
        finally:
            session.measured = None
        if session.last_id() == asked:
            return here
        there.drew |= here.drew & generators.keys()  # these are here; the worker has said that it drew from them
        return there

    def overwrite(self, value: Any) -> None:
        """Fill it in the worker, and here, where the reference's answers are."""
        assert self._session is not None
        proxy.overwrite(self._session, value)
        overwrite(value)

    def cpu_time(self, work: Callable[[], object]) -> float:
        """Processor time of the worker during `work`, in seconds; of this thread, if `work` asks the reference."""
        session = self._session
        assert session is not None
        asked, before, started = session.last_id(), session.cpu_time(), time.thread_time()
        work()
        here = time.thread_time() - started
        return session.cpu_time() - before if session.last_id() > asked else here

    def restart(self, unit: Unit, exercise: Exercise) -> Any:
        """The unit's module in a new worker; the old one is killed."""
        self.close()
        return self.open(unit, exercise)

    @contextmanager
    def afresh(self, unit: Unit, exercise: Exercise) -> Iterator[Any]:
        """The unit's module in a worker that has answered nothing yet."""
        for key in [key for key in self._sessions if key.diagnosing]:
            self._end(key)
        yield self.open(unit, exercise)

    @contextmanager
    def diagnosing(self) -> Iterator[None]:
        """Workers of its own, with a budget of its own: what is asked to explain a failure costs no points."""
        self._is_diagnosing = True
        try:
            yield
        finally:
            self._is_diagnosing = False

    def close(self) -> None:
        """End the workers."""
        for key in list(self._sessions):
            self._end(key)
        self._session = None

    def _end(self, key: _Key) -> None:
        session = self._sessions.pop(key)
        session.close()
        if key.diagnosing:
            self._diagnosed += session.spent
        else:
            self._spent[key.unit] = self._spent.get(key.unit, 0.0) + session.spent
