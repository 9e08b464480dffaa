"""A class, graded: what is done already is kept, the rest is handed out, and tables and pages are made of all."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from grader import __version__
from grader.course import workers
from grader.course.options import Options, Penalties
from grader.course.store import Store
from grader.course.work import Answer, Job
from grader.curriculum.files import write_atomically
from grader.grading.kit import kit_digest
from grader.grading.results import Check, from_json
from grader.intake.collect import Entry
from grader.reports import class_page, grades_csv, learner_page
from grader.reports.graded import Graded

Hand = Callable[[Iterator[Job], Callable[[Answer], None]], None]


@dataclass
class Counts:
    """How a run goes.

    Args:
        kept: Graded before, and unchanged.
        passed: Graded now, everything right.
        failed: Graded now, something not right.
        unreadable: Found now, and nothing of it could be read.
        missing: Nothing was handed in.
        faulty: The grader itself failed.
        total: Of them all.
        unread: Learners of whose submissions nothing could be read, now or in an earlier run.
    """

    total: int
    kept: int = 0
    passed: int = 0
    failed: int = 0
    unreadable: int = 0
    missing: int = 0
    faulty: int = 0
    unread: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many have a result."""
        return self.kept + self.passed + self.failed + self.unreadable + self.missing + self.faulty

    def __str__(self) -> str:
        graded = f"{self.passed} passed, {self.failed} failed, {self.unreadable} unreadable, {self.missing} missing"
        return f"{graded}, {self.faulty} grader faults, {self.kept} as before"


@dataclass
class Batch:
    """One run over a class.

    Args:
        entries: Who handed in what.
        store: Where results are.
        options: How it is graded.
        penalties: What is taken off.
        shown: Called after each result.
        names: Only these learners are graded; empty: all.
        regrade: Whether what is done already is done again.
    """

    entries: Sequence[Entry]
    store: Store
    options: Options
    penalties: Penalties
    shown: Callable[[Counts], None] = lambda counts: None
    names: Sequence[str] = ()
    regrade: bool = False
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        known = {entry.name for entry in self.entries}
        if unknown := [name for name in self.names if name not in known]:
            raise ValueError(f"--only {unknown[0]}: no submission with that name")
        self.counts = Counts(len(self.names or self.entries))
        for entry in self.entries:  # before anything is graded
            _late_and_attempt(entry)

    def grade(self, hand_out: Hand) -> Counts:
        """Grade what has to be graded, then write table and pages of all that has a result."""
        hand_out(self._jobs(), self._done)
        self.write_reports()
        return self.counts

    def _jobs(self) -> Iterator[Job]:
        kit = kit_digest()
        for entry in self.entries:
            if self.names and entry.name not in self.names:
                continue
            submission = entry.read()
            key = self.options.key(entry.name, submission.digest, kit)
            if not self.regrade and self.store.find(entry.name, key):
                self.counts.kept += 1
                self.shown(self.counts)
            else:
                yield Job.of(submission, key, self.options)

    def _done(self, answer: Answer) -> None:
        self.store.save(answer)
        results = from_json(answer.document)
        statuses = {check.status for check in results.checks}
        kind = "faulty" if "error" in statuses else "passed" if statuses == {"passed"} else "failed"
        if kind == "failed" and results.submission.status != "read":
            kind = results.submission.status
        setattr(self.counts, kind, getattr(self.counts, kind) + 1)
        self.shown(self.counts)

    def graded(self) -> Iterator[Graded]:
        """Everybody's grade, one after the other, from disk."""
        for entry in self.entries:
            if (results := self.store.results(entry.name)) is not None:
                score, notes = self.penalties.apply(results.score, *_late_and_attempt(entry))
                said = [results.submission.problem] if results.submission.problem else []
                yield Graded(entry.name, results, score, (*said, *notes, *results.submission.notes))

    def write_reports(self) -> None:
        """The table, a page a learner, and the page of the class."""
        pages, rows = {}, []
        for grade in self.graded():
            file = self.store.file(grade.name, "learners", "html")
            write_atomically(file, learner_page(grade))
            pages[grade.name] = f"learners/{file.name}"
            rows.append(_slim(grade))
        self.counts.unread = [grade.name for grade in rows if grade.status == "unreadable"]
        write_atomically(self.store.folder / "grades.csv", grades_csv(rows))
        made = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
        kit = f"{__version__} ({kit_digest()[:12]})"
        seeds = "one for each learner" if self.options.secret else f"{self.options.seed} for all"
        whole = class_page(rows, made=made, kit=kit, seeds=seeds, links=pages)
        write_atomically(self.store.folder / "class.html", whole)


def _late_and_attempt(entry: Entry) -> tuple[float, int]:
    try:
        days, attempt = float((entry.late or "0").replace(",", ".")), int(entry.attempt or "1")
    except ValueError:
        raise ValueError(
            f"{entry.name}: days_late {entry.late!r} or attempt {entry.attempt!r} is not a number"
        ) from None
    if not 0 <= days < 10_000 or attempt < 1:
        raise ValueError(f"{entry.name}: days_late {days:g} or attempt {attempt} cannot be")
    return days, attempt


def _slim(grade: Graded) -> Graded:
    """The same without what a table and a class page do not show: a class of any size fits into memory."""
    units = [
        replace(unit, exercises=[replace(e, checks=_telling(e.checks)) for e in unit.exercises])
        for unit in grade.results.units
    ]
    return replace(grade, results=replace(grade.results, units=units))


def _telling(checks: Sequence[Check]) -> list[Check]:
    first = {(check.status, check.mistake): check for check in reversed(checks)}
    return [replace(check, message=check.message[:500]) for check in first.values()]


def locally(processes: int) -> Hand:
    """Grade on this machine."""
    return lambda jobs, done: workers.run(jobs, processes, done)
