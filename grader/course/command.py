"""`grader course grade SUBMISSIONS --out GRADES`: what is asked for, how it goes, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from grader.course import run
from grader.course.options import Options, Penalties
from grader.course.run import Batch, Counts
from grader.course.store import Store
from grader.intake.collect import collect


@dataclass(frozen=True)
class ClassOptions:
    """What an instructor asks for.

    Args:
        submissions: The folder with an entry a learner.
        out: Where grades go.
        units: Which units.
        roster: CSV with names and files.
        only: Only these learners.
        regrade: Also what is done already.
        jobs: Grader processes on this machine.
        cluster: Address of a Dask scheduler that does the work instead.
        seed: For everybody; None: the one that this folder has, or a fresh one.
        secret: From which each learner's own seed follows; empty: one seed for all.
        confined: Whether workers are confined.
        penalties: What is taken off.
    """

    submissions: Path
    out: Path
    units: tuple[str, ...]
    roster: Path | None
    only: tuple[str, ...]
    regrade: bool
    jobs: int
    cluster: str
    seed: int | None
    secret: str
    confined: bool
    penalties: Penalties


def grade_class(asked: ClassOptions, console: Console) -> Counts:
    """Grade everybody; what was found is on disk whenever this ends, however it ends.

    Raises:
        ValueError: Something that was asked for cannot be; the message says what to do.
        KeyboardInterrupt: Ctrl-C; what was graded is kept, and the same command goes on.
    """
    entries = collect(asked.submissions, asked.roster)
    if not entries:
        raise ValueError(f"{asked.submissions} holds no submission: it needs one folder, archive or file per learner")
    store = Store(asked.out)
    with store.locked(), _bar(console, len(asked.only or entries)) as (bar, task):

        def shown(counts: Counts) -> None:
            bar.update(task, completed=counts.done, said=str(counts))

        options = Options(asked.units, store.seed(asked.seed), asked.secret, asked.confined)
        batch = Batch(entries, store, options, asked.penalties, shown, asked.only, asked.regrade)
        return batch.grade(_hand(asked))


def _hand(asked: ClassOptions) -> run.Hand:
    if not asked.cluster:
        return run.locally(asked.jobs)
    from grader.course.cluster import run_on

    return lambda jobs, done: run_on(asked.cluster, jobs, done)


@contextmanager
def _bar(console: Console, total: int) -> Iterator[tuple[Progress, TaskID]]:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task("", total=total, said="")
