"""The learner's commands: progress, hints, a fresh start, and the grade of one submission."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from grader.cli import terminal
from grader.cli.terminal import Units, console
from grader.curriculum import load

Seed = Annotated[int | None, typer.Option(help="Seed of an earlier grading, to repeat it.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    for command in (progress, grade, hint, reset, doctor):
        app.command()(command)


def progress(
    target: Annotated[str, typer.Option(help="exercises, solutions, or a folder.")] = "exercises",
    unit: Units = None,
    seed: Seed = 0,
) -> None:
    """Show your progress: one bar per unit, your points, and what to do next."""
    terminal.refuse_unknown(unit)  # first, since what follows imports torch
    from grader import reports
    from grader.checking.target import resolve
    from grader.grading import progress

    with terminal.usage_errors():
        submission = resolve(target)
    results = _grade(submission, unit, seed, require_isolation=False)
    console.print(reports.scorecard(results))
    console.print()
    console.print(progress.what_next(results, resolve(target)))
    _stop(results)


def grade(
    path: Annotated[Path, typer.Argument(help="A learner's folder, repository, archive, notebook or file.")],
    json: Annotated[Path | None, typer.Option(help="Also write the whole result to this file.")] = None,
    unit: Units = None,
    seed: Seed = None,
    require_isolation: Annotated[bool, typer.Option(help="Refuse where workers cannot be confined.")] = False,
) -> None:
    """Grade one submission in confined workers. For a class: grader course grade."""
    terminal.refuse_unknown(unit)
    from grader import reports
    from grader.curriculum.files import write_atomically
    from grader.grading import results

    graded = _grade(_handed_in(path), unit, seed, require_isolation)
    if json is not None:
        try:
            write_atomically(json, results.to_json(graded))
        except OSError as error:
            terminal.stop(f"{json} cannot be written: {error.strerror}")
    if graded.submission.problem:
        terminal.stop(f"unreadable: {graded.submission.problem}", 4)
    for note in graded.submission.notes:
        console.print(note, style="yellow", markup=False)
    console.print(reports.failures(graded))
    console.print(reports.scorecard(graded))
    if graded.isolation != "confined":
        console.print("Learner code ran unconfined: see grader doctor.", style="yellow")
    _stop(graded)


def hint(
    exercise: Annotated[str, typer.Argument(help="For example softmax, or attention.softmax.")],
    number: Annotated[int, typer.Argument(help="Number of the hint.")] = 1,
) -> None:
    """Show a hint for an exercise. Ask for the next one if it does not help."""
    from grader.grading import progress

    with terminal.usage_errors():
        console.print(progress.hint(exercise, number))


def reset(exercise: Annotated[str, typer.Argument(help="An exercise, or a whole unit.")]) -> None:
    """Put the stub back and start again. Your code is kept as a copy."""
    from grader.grading import progress

    with terminal.usage_errors():
        file, kept = progress.reset(exercise)
    console.print(f"{exercise} in {file} is a stub again." + (f" Your code is kept in {kept}" if kept else ""))


def doctor() -> None:
    """Check what is installed here, and whether submissions can be confined."""
    from grader.sandbox.host.doctor import examine

    healthy = True
    for finding in examine():
        mark = "[green]ok  [/]" if finding.good else "[red]no  [/]"
        console.print(mark + finding.text)
        healthy = healthy and finding.good
    raise typer.Exit(0 if healthy else 1)


def _handed_in(path: Path) -> Any:
    """Read a submission in a confined process; the kit's own folders go by their names."""
    from grader.checking.target import resolve
    from grader.intake.collect import single

    if str(path) in ("exercises", "solutions"):
        return resolve(str(path))
    if not path.exists():
        terminal.stop(f"{path} is not there. Give the learner's folder, archive, notebook or file.")
    return single(path).read()


def _grade(submission: Any, units: list[str] | None, seed: int | None, require_isolation: bool) -> Any:
    from grader.checking import suite
    from grader.grading.grade import grade
    from grader.sandbox.host.pool import Pool, supported
    from grader.sandbox.worker import confine

    missing = confine.available()
    if require_isolation and missing:
        terminal.stop("--require-isolation: " + "; ".join(missing))
    chosen = [name for name in load() if units is None or name in units]
    total = sum(len(suite.collect(name)) for name in chosen)
    pool = Pool(confined=not missing) if supported() else None
    try:
        with terminal.bar("checks", total) as advance:
            return grade(submission, units=chosen, seed=seed, pool=pool, progress=lambda unit, outcome: advance())
    finally:
        if pool is not None:
            pool.close()


def _stop(results: Any) -> None:
    faults = [check for check in results.checks if check.status == "error"]
    if faults:
        print(f"The grader itself failed in {len(faults)} checks; {faults[0].message}", file=sys.stderr)
        raise typer.Exit(3)
    raise typer.Exit(0 if all(check.status == "passed" for check in results.checks) else 1)
