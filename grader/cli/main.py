"""The command line: the learner's commands at the top, `grader course` for instructors, `grader dev` for the kit."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from grader import GraderFault, __version__
from grader.cli import course, dev, learner, show, terminal, train
from grader.cli.terminal import console

app = typer.Typer(
    cls=terminal.TopCommands,
    help="Write your own LLM: see how far you are, get a hint, grade a submission.",
    epilog="Begin with `grader`, then `pytest -k tokenizer`. Exit codes: 0 done, 1 something did not pass, "
    "2 wrong usage, 3 the grader's own fault, 4 a submission could not be read.",
    pretty_exceptions_enable=False,
)


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
        learner.progress()


learner.add_commands(app)
app.add_typer(show.app, name="show")
show.add_commands(app)
train.add_commands(app)
app.add_typer(course.app, name="course")
app.add_typer(dev.app, name="dev")
