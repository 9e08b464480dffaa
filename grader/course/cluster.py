"""The same grading on the machines of a Dask cluster: Dask carries jobs and answers, and tells which workers live.

Which worker has which job is decided here, one job a worker: when a worker dies it is known what it was doing, so a
job that kills what grades it is found out and takes no other job with it. Dask's own counting (`allowed-failures`)
blames all that lay at the dead worker.
"""

from __future__ import annotations

import importlib
import queue
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from grader import GraderFault
from grader.course.handshake import introduce, problem
from grader.course.work import Answer, Job, failed, grade_job

Work = Callable[[Job], Answer]
DEATHS = 2  # one may be the machine's fault
CONNECT_SECONDS = 30.0
LOOK_SECONDS = 1.0  # how often it is asked which workers live
FETCH_SECONDS = 60.0
MEET_SECONDS = 20.0  # how long the first job waits for workers that have not introduced themselves
PATIENCE_SECONDS = 900.0  # a queue of a computing centre may take that long to start a worker again


class Refused(ValueError):
    """This cluster cannot grade; nothing was graded."""


class Lost(GraderFault):
    """The cluster went away; the answers until then are told."""


@dataclass(frozen=True)
class _Attempt:
    """A job at a worker; `deaths` workers have died of it before."""

    job: Job
    worker: str
    future: Any
    deaths: int


def run_on(
    address: str,
    jobs: Iterable[Job],
    done: Callable[[Answer], None],
    work: Work = grade_job,
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Have every job done by a cluster, and tell of each as it ends.

    Args:
        address: Of the scheduler, as `tcp://10.0.0.1:8786`.
        jobs: Taken as workers get free.
        done: Called with each answer, once a job, in this thread.
        work: What is done.
        patience: Seconds to wait for a worker while there is none.

    Raises:
        Refused: A worker has another kit or cannot isolate submissions; nothing was graded.
        Lost: The scheduler went away, or no worker came.
    """
    with _connected(address) as client, _explained(address):
        run = _Run(client, work, done, patience)
        try:
            run.all(iter(jobs))
        finally:
            run.cancel()


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise Refused('grading on a cluster needs Dask: python -m pip install -e ".[cluster]"') from error
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Refused(f"no Dask scheduler answers at {address}: {str(error)[:200]}") from error
    try:
        yield client
    finally:
        client.close(timeout=5)


@contextmanager
def _explained(address: str) -> Iterator[None]:
    try:
        yield
    except _Gone as error:
        kept = "the grades so far are kept; rerun the same command to resume"
        raise Lost(f"the Dask scheduler at {address} no longer answers ({error}); {kept}") from error


class _Gone(Exception):
    """The scheduler does not answer."""


class _Run:
    """Jobs, the workers that do them, and who does what."""

    def __init__(self, client: Any, work: Work, done: Callable[[Answer], None], patience: float) -> None:
        self._client = client
        self._work = work
        self._done = done
        self._patience = patience
        self._begun = False
        self._confined = True
        self._fit: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._asked: dict[str, tuple[str, Any]] = {}  # who has not introduced itself yet: it may hang
        self._met_by = time.monotonic() + MEET_SECONDS
        self._running: dict[str, _Attempt] = {}
        self._again: deque[tuple[Job, int]] = deque()
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._served = time.monotonic()
        self._looked = 0.0

    def all(self, waiting: Iterator[Job]) -> None:
        """Do them all."""
        first = next(waiting, None)
        if first is None:
            return
        self._again.append((first, 0))
        self._confined = first.options.confined
        self._meet_scheduler()
        while True:
            if time.monotonic() - self._looked > LOOK_SECONDS:
                self._look()
            if not self._asked or self._begun or time.monotonic() > self._met_by:
                self._send(waiting)
                if self._fit and not self._running:  # nobody is busy though somebody could be: nothing is left
                    return
            self._take()

    def cancel(self) -> None:
        """Let go of what is under way; a worker ends the job that it has begun, and nobody hears of it."""
        futures = [attempt.future for attempt in self._running.values()]
        futures += [future for _, future in self._asked.values()]
        self._client.cancel(futures, force=True)
        self._running.clear()
        self._asked.clear()

    def _send(self, waiting: Iterator[Job]) -> None:
        for worker in self._fit - {attempt.worker for attempt in self._running.values()}:
            job, deaths = self._again.popleft() if self._again else (next(waiting, None), 0)
            if job is None:
                return
            future = self._submit(worker, self._work, job)
            self._begun = True
            self._running[future.key] = _Attempt(job, worker, future, deaths)

    def _submit(self, worker: str, work: Callable[..., Any], *given: Any) -> Any:
        key = f"grade-{uuid.uuid4().hex}"  # Dask gives the earlier answer to an earlier key
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a submission is large
            future = self._client.submit(work, *given, key=key, workers=[worker], pure=False)
        future.add_done_callback(lambda ended: self._ended.put(ended.key))
        return future

    def _take(self) -> None:
        try:
            key = self._ended.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return
        if key in self._asked:
            self._meet(*self._asked.pop(key))
            return
        attempt = self._running.get(key)
        if attempt is None:  # given up, since its worker had died
            return
        try:
            answer = self._checked(attempt, attempt.future.result(timeout=FETCH_SECONDS))
        except Exception as error:
            # Too late: the worker died between the work and the telling. Cancelled: the cluster was started again.
            if isinstance(error, TimeoutError) or attempt.future.status in ("cancelled", "lost"):
                self._looked = 0.0
                self._lose(key)
                return
            answer = failed(attempt.job, f"worker {attempt.worker}: {type(error).__name__}: {error}")
        self._running.pop(key).future.release()
        self._done(answer)

    def _checked(self, attempt: _Attempt, answer: Any) -> Answer:
        if isinstance(answer, Answer) and (answer.name, answer.key) == (attempt.job.name, attempt.job.key):
            return answer
        return failed(attempt.job, f"worker {attempt.worker} answered a different question")

    def _lose(self, key: str) -> None:
        attempt = self._running.pop(key)
        attempt.future.cancel()
        if attempt.deaths + 1 < DEATHS:
            self._again.append((attempt.job, attempt.deaths + 1))
        else:
            self._done(failed(attempt.job, f"{DEATHS} workers of the cluster died while they graded this submission"))

    def _look(self) -> None:
        try:
            alive: dict[str, int] = self._client.nthreads()
        except (OSError, RuntimeError) as error:
            raise _Gone(f"{type(error).__name__}: {error}") from error
        self._fit &= alive.keys()
        self._unfit = {worker: why for worker, why in self._unfit.items() if worker in alive}
        for key in [key for key, attempt in self._running.items() if attempt.worker not in alive]:
            self._lose(key)
        self._asked = {key: (worker, future) for key, (worker, future) in self._asked.items() if worker in alive}
        known = self._fit | self._unfit.keys() | {worker for worker, _ in self._asked.values()}
        for worker in alive.keys() - known:
            future = self._submit(worker, introduce)
            self._asked[future.key] = worker, future
        self._looked = time.monotonic()
        if self._fit:
            self._served = self._looked
        elif self._looked - self._served > self._patience:
            raise Lost("\n".join([f"the cluster had no worker for {self._patience:g} s", *self._unfit.values()]))

    def _meet_scheduler(self) -> None:
        try:
            said: Any = self._client.run_on_scheduler(introduce)
        except Exception as error:
            said = error
        if why := problem(said, self._confined, grades=False):
            raise Refused(f"the scheduler {why}")

    def _meet(self, worker: str, future: Any) -> None:
        if future.status in ("cancelled", "lost"):
            return  # gone again, or asked anew with the next look
        try:
            said = future.result(timeout=FETCH_SECONDS)
        except Exception as error:
            said = error
        if isinstance(said, OSError):
            return
        if why := problem(said, self._confined):
            self._unfit[worker] = f"worker {worker} {why}"
        else:
            self._fit.add(worker)
        if self._unfit and not self._begun:  # later it is left out: the others go on
            raise Refused("\n".join(self._unfit.values()))
