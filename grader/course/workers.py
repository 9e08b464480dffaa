"""Grader processes side by side on this machine, each with workers of its own for what it grades."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from grader.course.work import Answer, Job, failed, grade_job
from grader.sandbox.worker import confine

Work = Callable[[Job], Answer]
_AHEAD = 2  # jobs a process that are read and waiting: none is idle, and memory does not grow with the class


def run(jobs: Iterable[Job], processes: int, done: Callable[[Answer], None], work: Work = grade_job) -> None:
    """Have every job done, and tell of each as it ends.

    A process that dies takes what it was doing with it: those jobs are done again, one at a time, and one that ends its
    process again becomes an answer that says so.

    Args:
        jobs: Taken as there is room.
        processes: How many at once.
        done: Called with each answer.
        work: What is done.
    """
    waiting = iter(jobs)
    with tempfile.TemporaryDirectory(prefix="grader-") as scratch:
        while broken := _until_broken(waiting, _executor(processes, scratch), processes, done, work):
            for job in broken:
                done(_alone(job, _executor(1, scratch), work))


def _until_broken(
    waiting: Iterator[Job],
    executor: ProcessPoolExecutor,
    processes: int,
    done: Callable[[Answer], None],
    work: Work,
) -> list[Job]:
    running: dict[Future[Answer], Job] = {}
    try:
        while True:
            while len(running) < _AHEAD * processes and (job := next(waiting, None)) is not None:
                running[executor.submit(work, job)] = job
            if not running:
                executor.shutdown()  # each process ends what it has started
                return []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                answer = future.result()
                del running[future]
                done(answer)
    except BrokenProcessPool:
        return list(running.values())
    finally:
        _end(executor)


def _alone(job: Job, executor: ProcessPoolExecutor, work: Work) -> Answer:
    try:
        answer = executor.submit(work, job).result()
        executor.shutdown()
        return answer
    except BrokenProcessPool:
        return failed(job, "the grading process died twice while it graded this submission")
    finally:
        _end(executor)


def _executor(processes: int, scratch: str) -> ProcessPoolExecutor:
    # spawn: a fork of a process that has threads, as torch has, may hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(scratch, os.getpid()))


def _begin(scratch: str, parent: int) -> None:
    confine.die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the first process ends the others
    tempfile.tempdir = scratch  # what this process leaves there when it is killed is removed by the first one


def _end(executor: ProcessPoolExecutor) -> None:
    executor.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        process.terminate()
        process.join()
