"""The target: what is under test. Resolved here and nowhere else; the same tests serve both sides of the boundary."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Protocol

import torch

from grader import submission
from grader.checking import oracle
from grader.checking.kept import Kept
from grader.checking.limit import TookTooLong, limited
from grader.curriculum import Exercise, Unit, load
from grader.isolation import modules, proxy, watch
from grader.isolation.charge import TooBusy
from grader.isolation.client import Job, Session, WorkerEnded
from grader.isolation.measure import Measured, measuring
from grader.isolation.modules import Source
from grader.isolation.pool import Limits, Pool
from grader.isolation.proxy import RemoteUnit
from grader.nested import overwrite
from grader.outcome import Kind
from grader.submission import KIT, Submission

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

    def open(self, unit: Unit, exercise: Exercise, given: bool) -> Any:
        """The unit's module, with the reference's lower parts where `given`."""

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


def module_name(unit: Unit) -> str:
    """The module in which a unit's exercises are; "" is the package, for the whole."""
    return "" if unit.whole else unit.name


def lower_units(unit: Unit) -> set[str]:
    """All units on which this one builds, however far down."""
    found = set(unit.needs)
    for name in unit.needs:
        found |= lower_units(load()[name])
    return found


def _sources(submission: Submission, unit: Unit, *, reference_below: bool, local: bool) -> dict[str, Source]:
    if not unit.whole and (problem := submission.file(unit.name).problem):
        raise Unreadable(problem)
    files = {name: file for name, file in submission.files.items() if not file.problem}
    sources = {name: file.local_source if local else file.source for name, file in files.items()}
    if reference_below:
        solutions = oracle.solution_sources()
        sources |= {name: solutions[name] for name in lower_units(unit) if name in solutions}
    return sources


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
        self._opened: dict[tuple[str, tuple[str, ...] | None], ModuleType] = {}

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

    def open(self, unit: Unit, exercise: Exercise, given: bool) -> Any:
        """The unit's module; where `given`, with the reference's version of all that the exercise builds on."""
        names = below(unit, exercise) if given else None
        if (unit.name, names) not in self._opened:
            sources = _sources(self.submission, unit, reference_below=given, local=True)
            # Two packages, so that an import inside one of its functions finds its own.
            package = f"{self._package}_on_reference" if given else self._package
            module = modules.load(package, sources, module_name(unit))
            if names:
                modules.give(module, oracle.solution_sources()[unit.name], names)
            self._opened[unit.name, names] = module
        return self._opened[unit.name, names]

    def guard(self, unit: Unit, exercise: Exercise, kind: Kind) -> AbstractContextManager[Any]:
        """In the check for shortcuts, watch the calls that are made from the learner's file: watching is slow."""
        if kind != "shortcut":
            return nullcontext()
        file = self.submission.file(unit.name)
        return watch.watching(exercise.not_allowed, files=frozenset({file.local_source.path}))

    def measure(self, work: Callable[[], object], **generators: torch.Generator) -> Measured:
        """What `work` costs, the check's own part of it included."""
        with measuring(**generators) as measured:
            work()
        return measured

    def overwrite(self, value: Any) -> None:
        """Fill it here, where the learner's code is, too."""
        overwrite(value)

    def cpu_time(self, work: Callable[[], object]) -> float:
        """Processor time of this thread during `work`, in seconds."""
        started = time.thread_time()
        work()
        return time.thread_time() - started

    def restart(self, unit: Unit, exercise: Exercise) -> Any:
        """The unit's module, imported again."""
        self._opened.clear()
        return self.open(unit, exercise, given=False)

    def close(self) -> None:
        """Forget the learner's packages."""
        modules.uninstall(self._package)
        modules.uninstall(f"{self._package}_on_reference")


class IsolatedTarget:
    """The learner's code behind the boundary: one worker an exercise, another where lower parts are given.

    Args:
        submission: What is under test.
        pool: Where workers come from.
        limits: What a worker may use.
        seed: For the workers' global generators.
    """

    isolated = True
    MAX_DEATHS = 3
    MAX_STARVED = 4

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
        self._key: tuple[str, str, bool] | None = None
        self._deaths: dict[tuple[str, str, bool], int] = {}
        self._starved = 0
        self._failed_loads: dict[str, int] = {}
        self._broken: dict[str, BaseException] = {}
        self._spent: dict[str, float] = {}

    def limited(self, exercise: Exercise) -> AbstractContextManager[Any]:
        """Nothing to do here: a worker has limits of its own."""
        return nullcontext()

    def open(self, unit: Unit, exercise: Exercise, given: bool) -> Any:
        """The unit's module in a worker; lower units are always the reference's, lower exercises where `given`."""
        key = (unit.name, exercise.name, given)
        if unit.name in self._broken:  # every check of the unit says so, not only the first
            raise self._broken[unit.name].with_traceback(None)
        if self._session is None or self._session.ended or self._key != key:
            self._replace(key, unit, exercise, given)
        assert self._session is not None
        return RemoteUnit(self._session)

    def _replace(self, key: tuple[str, str, bool], unit: Unit, exercise: Exercise, given: bool) -> None:
        if self._session is not None and self._session.starved:
            self._starved += 1
            if self._starved >= self.MAX_STARVED:  # the rest would wait as long, and in vain
                raise TooBusy(self._session.ended)
        elif self._session is not None and self._session.ended and self._key == key:
            self._deaths[key] = self._deaths.get(key, 0) + 1
        if self._deaths.get(key, 0) >= self.MAX_DEATHS and self._session is not None:
            raise WorkerEnded(f"{self._session.ended}; after {self.MAX_DEATHS} times it is not started again")
        self.close()
        names = below(unit, exercise) if given else ()
        reference = oracle.solution_sources()[unit.name] if names else None
        sources = _sources(self.submission, unit, reference_below=not unit.whole, local=False)
        job = Job(module_name(unit), sources, exercise.not_allowed, self.seed, names, reference)
        self._key = key
        self._session = Session(self.pool.get(), self.limits, self._seconds_left(unit))
        try:
            self._session.load(job)
        except (Exception, WorkerEnded) as error:
            # An import is the same for every exercise; that it took too long is believed the second time.
            self._failed_loads[unit.name] = self._failed_loads.get(unit.name, 0) + 1
            if isinstance(error, Exception) or self._failed_loads[unit.name] > 1:
                self._broken[unit.name] = error
            raise

    def _seconds_left(self, unit: Unit) -> float:
        of_unit = self.limits.unit_seconds - self._spent.get(unit.name, 0.0)
        of_all = self.limits.submission_seconds - sum(self._spent.values())
        if min(of_unit, of_all) <= 0:
            what = f"the {self.limits.unit_seconds:g} s of this unit"
            raise WorkerEnded(
                f"your code has used up {what if of_all > 0 else f'its {self.limits.submission_seconds:g} s'}"
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
        self._key = None
        return self.open(unit, exercise, given=False)

    def close(self) -> None:
        """End the worker."""
        if self._session is not None:
            self._session.close()
            if self._key is not None:
                self._spent[self._key[0]] = self._spent.get(self._key[0], 0.0) + self._session.spent
            self._session = None
