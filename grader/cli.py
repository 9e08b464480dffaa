"""The command line: `grader`, and what a learner, an instructor and the kit's own CI ask of it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from grader import __version__, show, similar, usage
from grader.curriculum import load

app = typer.Typer(
    help="Write your own LLM: see how far you are, get a hint, grade a submission.",
    epilog="Begin with `grader`, then `pytest -k tokenizer`. Exit codes: 0 done, 1 something did not pass, "
    "2 wrong usage, 3 the grader's own fault.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 100)
Units = Annotated[list[str] | None, typer.Option("--unit", help="Only this unit; may be given several times.")]
Seed = Annotated[int | None, typer.Option(help="Repeat a grading: the seed that it showed.")]


def main() -> None:
    """Run the command line; the grader's own faults end with exit code 3."""
    from grader.checking.suite import BrokenSuite
    from grader.isolation.pool import GraderFault

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal or pipe that has no character for a bar
    try:
        app()
    except (GraderFault, BrokenSuite) as fault:
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
    from grader import reports, workbench

    results = _grade(target, unit, seed, require_isolation=False)
    console.print(reports.scorecard(results))
    console.print()
    following = workbench.next_exercise(results)
    if following is None:
        console.print("Everything is done. Congratulations!", style="green")
    else:
        place = f"in exercises/{following[0]}.py. Read its docstring, write it, then run"
        if load()[following[0]].whole:
            place = "puts all that you have written to work. Run"
        console.print(f"Next: {'.'.join(following)} {place}")
        console.print(f"  pytest -k {following[0]}        (stuck? grader hint {following[1]})")
    _stop(results)


@app.command()
def grade(
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
    from grader import reports, results

    if out is not None:
        from grader.batch.command import Asked
        from grader.batch.options import Penalties

        _known_units(unit)
        with usage.errors():
            asked = Asked(
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
    graded = _grade(str(path), unit, seed, require_isolation)
    if json is not None:
        try:
            results.write_atomically(json, results.to_json(graded))
        except OSError as error:
            usage.stop(f"{json} cannot be written: {error.strerror}")
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
    from grader import workbench

    with usage.errors():
        console.print(workbench.hint(exercise, number))


@app.command()
def reset(exercise: Annotated[str, typer.Argument(help="An exercise, or a whole unit.")]) -> None:
    """Put the stub back and start again; what you had is kept as a copy."""
    from grader import workbench

    with usage.errors():
        file, kept = workbench.reset(exercise)
    console.print(f"{exercise} in {file} is a stub again." + (f" What you had: {kept}" if kept else ""))


@app.command()
def stubs(
    check: Annotated[bool, typer.Option("--check", help="Only say whether they are up to date.")] = False,
) -> None:
    """Make exercises/ anew from solutions/ (for those who work on the kit; your own files are kept as copies)."""
    from grader import stubs, workbench

    stale = stubs.stale()
    for path in stale:
        console.print(f"{path.name} is not what the solutions make of it")
    if check:
        raise typer.Exit(1 if stale else 0)
    for path in stale:
        workbench.backup(path)
    console.print(f"{len(stubs.write())} written")


@app.command()
def selfcheck(
    units: Annotated[list[str] | None, typer.Argument(help="Only these units.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first round.")] = 0,
    rounds: Annotated[int, typer.Option(help="How often, each with the next seed.")] = 1,
) -> None:
    """Prove the kit: stubs are todo, solutions pass, mistakes fail by name, alternatives pass."""
    from grader.selfcheck import selfcheck

    _known_units(units)
    wrong = 0
    for round_seed in range(seed, seed + rounds):
        counts: Counter[str] = Counter()
        with _bar(f"seed {round_seed}", None) as advance:
            for finding in selfcheck(units, round_seed):
                counts[finding.what.partition(" ")[0]] += 1
                advance()
                if finding.problem:
                    wrong += 1
                    console.print(f"[red]{finding.unit}[/]: {finding.what}: {finding.problem}", markup=True)
        listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        console.print(f"seed {round_seed}: {listed}; {wrong} wrong")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def doctor() -> None:
    """What is installed, what is confined here, and what is not."""
    from grader.doctor import examine

    healthy = True
    for finding in examine():
        mark = "[green]ok  [/]" if finding.good else "[red]no  [/]"
        console.print(mark + finding.text)
        healthy = healthy and finding.good
    raise typer.Exit(0 if healthy else 1)


@app.command()
def train(
    target: Annotated[str, typer.Option(help="exercises, solutions, or a folder")] = "exercises",
    text: Annotated[Path | None, typer.Option(help="What to train on. Without it: Python's reference manual.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates; the same as --set steps=N.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the run. One that is there already goes on.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="As position=learned or d_model=256; several times.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:1. Without it: the GPU if there is one.")
    ] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Matrix products in bfloat16.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="The model through torch.compile.")] = False,
) -> None:
    """Train your whole stack on real text, and read what it writes; killed, it goes on where it was."""
    from grader import train
    from grader.opened import Fault
    from grader.pretrain import settings as known

    with usage.errors():
        changes = known.read([*(settings or ()), *([f"steps={steps}"] if steps else ())])
        try:
            done = train.train(target, text, name, changes, device, bf16, compiled, console)
        except Fault as fault:
            usage.stop(str(fault), 1)
    raise typer.Exit(0 if done else 1)


def _grade(target: str, units: list[str] | None, seed: int | None, require_isolation: bool) -> Any:
    from grader.checking import suite
    from grader.checking.target import resolve
    from grader.grade import grade
    from grader.isolation import confine
    from grader.isolation.pool import Pool, supported

    with usage.errors():
        submission = resolve(target)
    _known_units(units)
    missing = confine.available()
    if require_isolation and missing:
        usage.stop("--require-isolation: " + "; ".join(missing))
    chosen = [name for name in load() if units is None or name in units]
    total = sum(len(suite.collect(name)) for name in chosen)
    pool = Pool(confined=not missing) if supported() else None
    try:
        with _bar("checks", total) as advance:
            return grade(submission, units=chosen, seed=seed, pool=pool, progress=lambda unit, outcome: advance())
    finally:
        if pool is not None:
            pool.close()


def _can_confine(unconfined: bool) -> bool:
    from grader.isolation import confine

    missing = confine.available()
    if missing and not unconfined:
        usage.stop(f"submissions cannot be confined here: {'; '.join(missing)}. For code that you trust: --unconfined")
    return not missing


def _grade_class(asked: Any) -> None:
    from grader.batch.command import grade_class

    try:
        counts = grade_class(asked, console)
    except KeyboardInterrupt:
        console.print(f"Stopped. What is graded is in {asked.out}; the same command goes on.")
        raise typer.Exit(1) from None
    console.print(f"{counts}. Grades: {asked.out / 'grades.csv'}, the class: {asked.out / 'class.html'}", markup=False)
    raise typer.Exit(3 if counts.faulty else 0)


def _stop(results: Any) -> None:
    faults = [check for check in results.checks if check.status == "error"]
    if faults:
        print(f"The grader itself failed in {len(faults)} checks; {faults[0].message}", file=sys.stderr)
        raise typer.Exit(3)
    raise typer.Exit(0 if all(check.status == "passed" for check in results.checks) else 1)


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda: bar.advance(task)


def _known_units(units: list[str] | None) -> None:
    if unknown := [name for name in units or () if name not in load()]:
        usage.stop(f"there is no unit {unknown[0]!r}. Units: {', '.join(load())}")


show.add_commands(app, console)
similar.add_commands(app, console)

if __name__ == "__main__":
    main()
