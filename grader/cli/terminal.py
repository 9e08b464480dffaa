"""What the commands share: the console, a bar for what takes a while, and how what cannot be done is refused."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from grader.curriculum import load
from grader.curriculum.suggest import did_you_mean, exercises_and_units, nearest

Units = Annotated[list[str] | None, typer.Option("--unit", help="Only this unit; may be given several times.")]

_PIPED_WIDTH = 100


def make_console() -> Console:
    """Return the console of all commands: as wide as the terminal, or as COLUMNS says, or 100 columns."""
    columns = os.environ.get("COLUMNS", "")
    width_is_known = sys.stdout.isatty() or (columns.isascii() and columns.isdigit() and int(columns) > 0)
    return Console(highlight=False, soft_wrap=not width_is_known, width=None if width_is_known else _PIPED_WIDTH)


console = make_console()


# One character for one, so that columns stay aligned. Anything else that cannot be encoded becomes "?".
_ASCII = str.maketrans("█▇▆▅▄▃▂▁░━…·⏎", "###::...--.." + "|")


def never_fail_to_print() -> None:
    """Make stdout write ASCII stand-ins for the characters that its encoding lacks, such as those of a bar."""
    codecs.register_error("grader-ascii", _stand_in)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="grader-ascii")


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_ASCII)
    return "".join(letter if letter.isascii() else "?" for letter in lacking), error.end


class Commands(TyperGroup):
    """A group of commands that suggests one where a name does not exist."""

    noun = "command"

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; end with a suggestion if there is none."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            stop(f"there is no {self.noun} {args[0]!r}. {self.meant(args[0])}")
        return super().resolve_command(ctx, args)

    def meant(self, word: str) -> str:
        """Return the suggestion for a name that does not exist."""
        return did_you_mean(word, self.commands, f"{self.noun.capitalize()}s: {', '.join(self.commands)}")


class TopCommands(Commands):
    """The top level: `progress` if only its options are given; also suggests what to test."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `grader --unit attention` as `grader progress --unit attention`."""
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        if args and args[0].startswith("-") and args[0].partition("=")[0] not in own:
            args = ["progress", *args]
        return super().parse_args(ctx, args)

    def meant(self, word: str) -> str:
        """Return the suggestion for a name that does not exist."""
        names = exercises_and_units(word)
        paths = self._paths()
        if word not in names and (near := nearest(word, paths)):
            return f"Did you mean grader {' or grader '.join(paths[name] for name in near)}?"
        if near := nearest(word, names, 1):
            return f"To test your {near[0]}: pytest -k {near[0]}"
        return f"Commands: {', '.join(self.commands)}"

    def _paths(self) -> dict[str, str]:
        """What to type for each command, by its own name: `course similar` for `similar`."""
        groups = {name: group for name, group in self.commands.items() if isinstance(group, TyperGroup)}
        inner = {name: f"{path} {name}" for path, group in groups.items() if path != "show" for name in group.commands}
        return inner | {name: name for name in self.commands}


@contextmanager
def bar(label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Progress bar, shown on terminals only. Yields a callback to call once per step."""
    # Imported here, so that a hint need not wait for it.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

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
        every = f"Units: {', '.join(load())}"
        stop(f"there is no unit {unknown[0]!r}. {did_you_mean(unknown[0], load(), every)}")
