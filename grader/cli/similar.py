"""`grader similar`: which submissions of a class are suspiciously alike."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.cli import terminal
from grader.cli.terminal import console
from grader.curriculum import load
from grader.curriculum.submission import Submission

if TYPE_CHECKING:  # what reads submissions is loaded when it is needed
    from grader.intake.collect import Entry


def add_commands(app: typer.Typer) -> None:
    """Give the command line its command `similar`."""

    @app.command()
    def similar(
        submissions: Annotated[Path, typer.Argument(help="A folder with a folder a learner.")],
        unit: Annotated[list[str] | None, typer.Option(help="Only this unit; several times.")] = None,
        least: Annotated[int, typer.Option(min=1, max=100, help="Percent that must be alike.")] = 50,
        html: Annotated[Path | None, typer.Option(help="Write a page with the lines side by side, too.")] = None,
    ) -> None:
        """Which submissions are suspiciously alike, without what was handed out; nothing is run."""
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
        raise ValueError(f"there are {len(found)} submissions that can be read; it takes two to be alike")
    return found
