"""`grader course`: the instructor's commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grader.cli import terminal
from grader.cli.terminal import Units, console
from grader.curriculum import load

if TYPE_CHECKING:  # what reads submissions is loaded when it is needed
    from collections.abc import Sequence

    from grader.curriculum.submission import Submission
    from grader.intake.collect import Entry

COURSE_FILE = Path("course.toml")

app = typer.Typer(cls=terminal.Commands, help="Grade a class, and compare its submissions.")
Submissions = Annotated[Path, typer.Argument(help="A folder with one entry per learner, or a platform's export.")]


@app.command()
def grade(
    submissions: Submissions,
    out: Annotated[Path, typer.Option(help="Folder for the grades. Rerun the command to resume.")],
    course: Annotated[
        Path | None, typer.Option(help=f"The rules of the course; {COURSE_FILE} in this folder if it exists.")
    ] = None,
    unit: Units = None,
    seed: Annotated[int | None, typer.Option(help="The seed for everybody, instead of the course's.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this learner; may be given several times.")] = None,
    regrade: Annotated[bool, typer.Option("--regrade", help="Grade again what is graded already.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Number of grader processes.")] = os.cpu_count() or 1,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler that does the work.")] = "",
    unconfined: Annotated[
        bool, typer.Option("--unconfined", help="Run submissions even where they cannot be confined.")
    ] = False,
) -> None:
    """Grade a class into a folder: grades.csv, a page per learner, and a page of the class.

    The environment variable GRADER_SECRET gives each learner a seed of their own.
    """
    terminal.refuse_unknown(unit)
    from grader.course import course_file
    from grader.course.command import ClassOptions

    with terminal.usage_errors():
        file = course or (COURSE_FILE if COURSE_FILE.exists() else None)
        rules = course_file.read(file) if file is not None else course_file.Course()
        chosen = unit or rules.units
        asked = ClassOptions(
            submissions=submissions,
            out=out,
            units=tuple(name for name in load() if name in chosen),
            roster=file.parent / rules.roster if file is not None and rules.roster is not None else None,
            only=tuple(only or ()),
            regrade=regrade,
            jobs=jobs,
            cluster=cluster,
            seed=rules.seed if seed is None else seed,
            secret=os.environ.get("GRADER_SECRET", ""),
            confined=_can_confine(unconfined),
            penalties=rules.penalties,
        )
        _grade_class(asked)


@app.command()
def similar(
    submissions: Submissions,
    unit: Units = None,
    least: Annotated[int, typer.Option(min=1, max=100, help="Only pairs this alike or more, in percent.")] = 50,
    html: Annotated[Path | None, typer.Option(help="Also write a page with the lines side by side.")] = None,
) -> None:
    """List submissions that are suspiciously alike, ignoring what was handed out. Runs no learner code."""
    from grader.curriculum.files import write_atomically
    from grader.intake.collect import collect
    from grader.reports.alike import alike_html, alike_text
    from grader.similarity.fingerprints import alike

    terminal.refuse_unknown(unit)
    with terminal.usage_errors():
        _refuse_missing(html is not None)
        found = _read_all(collect(submissions))
        pairs = alike(found, unit or list(load()), least / 100)
    if html is not None:
        try:
            write_atomically(html, alike_html(pairs, found))
        except OSError as error:
            terminal.stop(str(error))
    console.print(alike_text(pairs))


def _can_confine(unconfined: bool) -> bool:
    from grader.sandbox.worker import confine

    missing = confine.available()
    if missing and not unconfined:
        why = "; ".join(missing)
        terminal.stop(f"submissions cannot be confined here: {why}. For code that you trust: --unconfined")
    return not missing


def _grade_class(asked: Any) -> None:
    from grader.course.command import grade_class

    try:
        counts = grade_class(asked, console)
    except KeyboardInterrupt:
        console.print(f"Stopped. The grades so far are in {asked.out}. Rerun the same command to resume.")
        raise typer.Exit(1) from None
    console.print(f"{counts}. Grades: {asked.out / 'grades.csv'}, the class: {asked.out / 'class.html'}", markup=False)
    if counts.unread:
        listed = ", ".join(counts.unread[:10]) + (", ..." if len(counts.unread) > 10 else "")
        console.print(f"{len(counts.unread)} could not be read: {listed}. The reasons are in grades.csv.", markup=False)
    raise typer.Exit(3 if counts.faulty else 4 if counts.unread else 0)


def _refuse_missing(pages: bool) -> None:
    """Raise ValueError if a package is missing; reading the submissions takes a while, so this comes first."""
    from grader.reports.html import environment
    from grader.similarity.fingerprints import comparer

    comparer()
    if pages:
        try:
            environment()
        except ImportError as error:
            raise ValueError(str(error)) from error


def _read_all(entries: Sequence[Entry]) -> dict[str, Submission]:
    found: dict[str, Submission] = {}
    for entry in entries:
        submission = entry.read()
        if submission.problem:
            print(f"left out: {entry.name}: {submission.problem}", file=sys.stderr)
        else:
            found[entry.name] = submission
    if len(found) < 2:
        raise ValueError(f"only {len(found)} of the submissions can be read; a comparison needs two")
    return found
