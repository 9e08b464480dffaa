"""What the commands share: the console, a bar for what takes a while, and how what cannot be done is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from grader.curriculum import load

_looked_at = sys.stdout.isatty()
console = Console(highlight=False, soft_wrap=not _looked_at, width=None if _looked_at else 100)


@contextmanager
def bar(label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A bar where somebody looks; what is given is called after each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def usage_errors() -> Iterator[None]:
    """A context in which a ValueError is wrong usage."""
    try:
        yield
    except ValueError as error:
        stop(str(error))


def stop(message: str, code: int = 2) -> NoReturn:
    """End the command with this sentence on stderr; 2 is wrong usage."""
    print(f"grader: {message}", file=sys.stderr)
    raise typer.Exit(code)


def refuse_unknown(units: list[str] | None) -> None:
    """End the command where there is no such unit."""
    if unknown := [name for name in units or () if name not in load()]:
        stop(f"there is no unit {unknown[0]!r}. Units: {', '.join(load())}")


def refuse_idle(context: typer.Context, names: tuple[str, ...], why: str) -> None:
    """End the command where an option was given that would do nothing.

    Args:
        context: Of the command.
        names: Of its parameters.
        why: The rest of the sentence that begins with the option.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            stop(f"--{name.replace('_', '-')} {why}")
