"""The command line: `grader`, and what a learner, an instructor and the kit's own CI ask of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from grader import GraderFault, __version__
from grader.cli import dev, show, similar, terminal, train
from grader.cli.terminal import console
from grader.curriculum import load

app = typer.Typer(
    cls=terminal.Commands,
    help="Write your own LLM: see how far you are, get a hint, grade a submission.",
    epilog="Begin with `grader`, then `pytest -k tokenizer`. Exit codes: 0 done, 1 something did not pass, "
    "2 wrong usage, 3 the grader's own fault, 4 a submission could not be read.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Units = Annotated[list[str] | None, typer.Option("--unit", help="Only this unit; may be given several times.")]
Seed = Annotated[int | None, typer.Option(help="Repeat a grading: the seed that it showed.")]


def main() -> None:
    """Run the command line; the grader's own faults end with exit code 3."""
    terminal.never_fail_to_print()
    try:
        app()
    except GraderFault as fault:
        print(f"The grader itself failed: {fault}", file=sys.stderr)
        sys.exit(3)


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the kit's version and stop.")] = False,
) -> None:
    """Show your progress; any other command is listed below."""
    if version:
        console.print(__version__)
    elif context.invoked_subcommand is None:
        progress()


@app.command()
def progress(
    target: Annotated[str, typer.Option(help="exercises, solutions, or a folder")] = "exercises",
    unit: Units = None,
    seed: Seed = 0,
) -> None:
    """Your scorecard: a bar a unit, your points, and the next thing to do."""
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


_OF_ONE = ("json", "require_isolation")
_OF_A_CLASS = (
    *("jobs", "roster", "only", "regrade", "cluster", "unconfined"),
    *("late_percent", "late_most", "attempts", "attempt_percent"),
)


@app.command()
def grade(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A learner's folder or repository; with --out, a folder of many.")],
    json: Annotated[Path | None, typer.Option(help="Write the whole result to this file, too.")] = None,
    unit: Units = None,
    seed: Seed = None,
    require_isolation: Annotated[bool, typer.Option(help="Refuse where workers cannot be confined.")] = False,
    out: Annotated[Path | None, typer.Option(help="Grade a whole class into this folder; killed, it goes on.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Class: grader processes at once.")] = os.cpu_count() or 1,
    roster: Annotated[Path | None, typer.Option(help="Class: CSV with name and file, and maybe days_late.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Class: only this learner; several times.")] = None,
    regrade: Annotated[bool, typer.Option("--regrade", help="Class: also what is graded already.")] = False,
    cluster: Annotated[str, typer.Option(help="Class: address of a Dask scheduler.")] = "",
    unconfined: Annotated[bool, typer.Option("--unconfined", help="Class: where workers cannot be confined.")] = False,
    late_percent: Annotated[float, typer.Option(help="Class: taken off for each day late.")] = 0.0,
    late_most: Annotated[float, typer.Option(help="Class: what lateness costs at most, in percent.")] = 100.0,
    attempts: Annotated[int, typer.Option(help="Class: attempts that are free.")] = 1,
    attempt_percent: Annotated[float, typer.Option(help="Class: taken off for each further attempt.")] = 0.0,
) -> None:
    """Grade what nobody has vetted, in confined workers: one submission, or with --out a class.

    The environment variable GRADER_SECRET gives each learner of a class a seed of their own.
    """
    from grader import reports
    from grader.grading import results

    if out is not None:
        from grader.course.command import ClassOptions
        from grader.course.options import Penalties

        terminal.refuse_idle(context, _OF_ONE, "is for one submission: leave out --out")
        terminal.refuse_unknown(unit)
        with terminal.usage_errors():
            asked = ClassOptions(
                submissions=path,
                out=out,
                units=tuple(name for name in load() if unit is None or name in unit),
                roster=roster,
                only=tuple(only or ()),
                regrade=regrade,
                jobs=jobs,
                cluster=cluster,
                seed=seed,
                secret=os.environ.get("GRADER_SECRET", ""),
                confined=_can_confine(unconfined),
                penalties=Penalties(late_percent, late_most, attempts, attempt_percent),
            )
            _grade_class(asked)
    terminal.refuse_idle(context, _OF_A_CLASS, "is for a class: say with --out where its grades go")
    graded = _grade(_handed_in(path), unit, seed, require_isolation)
    if json is not None:
        from grader.curriculum.files import write_atomically

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


@app.command()
def hint(
    exercise: Annotated[str, typer.Argument(help="As softmax, or attention.softmax.")],
    number: Annotated[int, typer.Argument(help="Which hint.")] = 1,
) -> None:
    """A question that helps; ask for the next one if it does not."""
    from grader.grading import progress

    with terminal.usage_errors():
        console.print(progress.hint(exercise, number))


@app.command()
def reset(exercise: Annotated[str, typer.Argument(help="An exercise, or a whole unit.")]) -> None:
    """Put the stub back and start again; what you had is kept as a copy."""
    from grader.grading import progress

    with terminal.usage_errors():
        file, kept = progress.reset(exercise)
    console.print(f"{exercise} in {file} is a stub again." + (f" What you had: {kept}" if kept else ""))


def _handed_in(path: Path) -> Any:
    """What one learner handed in, read in a confined process; the kit's own folders by their names."""
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

    terminal.refuse_unknown(units)
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
        console.print(f"Stopped. What is graded is in {asked.out}; the same command goes on.")
        raise typer.Exit(1) from None
    console.print(f"{counts}. Grades: {asked.out / 'grades.csv'}, the class: {asked.out / 'class.html'}", markup=False)
    if counts.unread:
        listed = ", ".join(counts.unread[:10]) + (", ..." if len(counts.unread) > 10 else "")
        console.print(f"{len(counts.unread)} could not be read: {listed}. The reasons are in grades.csv.", markup=False)
    raise typer.Exit(3 if counts.faulty else 4 if counts.unread else 0)


def _stop(results: Any) -> None:
    faults = [check for check in results.checks if check.status == "error"]
    if faults:
        print(f"The grader itself failed in {len(faults)} checks; {faults[0].message}", file=sys.stderr)
        raise typer.Exit(3)
    raise typer.Exit(0 if all(check.status == "passed" for check in results.checks) else 1)


show.add_commands(app)
train.add_commands(app)
similar.add_commands(app)
dev.add_commands(app)

if __name__ == "__main__":
    main()
