"""`grader dev`: commands for those who work on the kit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from grader.cli import terminal
from grader.cli.terminal import console
from grader.dev import Depth

if TYPE_CHECKING:
    from grader.dev.selfcheck import Finding

app = typer.Typer(cls=terminal.Commands, help="Work on the kit: stubs, selfcheck.", no_args_is_help=True)


@app.command()
def stubs(
    check: Annotated[bool, typer.Option("--check", help="Only check whether they are up to date.")] = False,
) -> None:
    """Generate exercises/ from solutions/. Files that change are kept as copies."""
    from grader.curriculum import stubs
    from grader.grading import progress

    stale = stubs.stale()
    for path in stale:
        console.print(f"{path.name} is out of date")
    if check:
        raise typer.Exit(1 if stale else 0)
    for path in stale:
        progress.backup(path)
    console.print(f"{len(stubs.write())} written")


@app.command()
def new(
    unit: Annotated[str, typer.Argument(help="The unit.")],
    exercise: Annotated[str, typer.Argument(help="Name of the new exercise.")],
) -> None:
    """Add a new exercise to a unit: a working example to change."""
    from grader.curriculum.submission import KIT
    from grader.dev.new import new

    with terminal.usage_errors():
        files = new(unit, exercise)
    for file in files:
        console.print(f"added {exercise} to {file.relative_to(KIT)}")
    console.print(
        f"Now: ruff check --fix . && ruff format . && grader dev stubs && grader dev selfcheck {unit} --record"
    )


@app.command()
def selfcheck(
    units: Annotated[list[str] | None, typer.Argument(help="Only these units.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first round.")] = 0,
    rounds: Annotated[int, typer.Option(help="Number of rounds, each with the next seed.")] = 1,
    depth: Annotated[
        Depth, typer.Option(help="Check that mistakes fail; also that they are named; also what they cost.")
    ] = "costs",
    record: Annotated[bool, typer.Option("--record", help="Record what each known mistake costs.")] = False,
) -> None:
    """Prove the kit: stubs are todo, solutions pass, mistakes fail by name and cost what they should."""
    from grader.dev import costs
    from grader.dev.selfcheck import selfcheck

    terminal.refuse_unknown(units)
    if record and depth != "costs":
        terminal.stop("--record needs the costs: leave out --depth")
    wrong = 0
    for round_seed in range(seed, seed + rounds):
        found: list[Finding] = []
        with terminal.bar(f"seed {round_seed}", None) as advance:
            for finding in selfcheck(units, round_seed, depth):
                found.append(finding)
                advance()
                if finding.problem:
                    wrong += 1
                    console.print(f"[red]{finding.unit}[/]: {finding.what}: {escape(finding.problem)}", markup=True)
        counts = Counter(finding.what.partition(" ")[0] for finding in found)
        listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        console.print(f"seed {round_seed}: {listed}; {wrong} wrong")
        measured = [finding.cost for finding in found if finding.cost is not None]
        if depth != "costs":
            continue
        console.print(f"  what the mistakes cost of their exercise: {costs.distribution(measured)}")
        console.print(f"  {sum(not cost.named for cost in measured)} of {len(measured)} fail without their name")
    if record:
        _record(found)
    raise typer.Exit(1 if wrong else 0)


def _record(found: Sequence[Finding]) -> None:
    from grader.dev import costs

    by_unit: dict[str, dict[str, costs.Cost]] = {}
    for finding in found:
        if finding.cost is not None:
            by_unit.setdefault(finding.unit, {})[finding.what.partition(" ")[2]] = finding.cost
    for unit, measured in by_unit.items():
        costs.record(unit, measured)
        console.print(f"tests/mistakes/costs/{unit}.toml: {len(measured)} mistakes")
