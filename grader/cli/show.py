"""`grader show` and `grader compare`: pictures of the learner's own code, as a file and in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grader.cli import terminal
from grader.cli.terminal import console
from grader.curriculum.submission import KIT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grader.training.loading import LoadedSubmission

PICTURES = KIT / ".grader" / "pictures"

Target = Annotated[str, typer.Option(help="exercises, solutions, or a folder.")]
Out = Annotated[Path | None, typer.Option(help="Where the PNG goes; .grader/pictures/NAME.png if not given.")]
Text = Annotated[str | None, typer.Option(help="The text to look at.")]


class _Pictures(terminal.Commands):
    noun = "picture"


app = typer.Typer(cls=_Pictures, help="Show a picture of what your own code does.", no_args_is_help=True)


def add_commands(parent: typer.Typer) -> None:
    """Add `compare` to the command line."""
    parent.command()(compare)


@app.command()
def attention(
    target: Target = "exercises",
    text: Text = None,
    run: Annotated[str | None, typer.Option(help="Use the model of this training run.")] = None,
    out: Out = None,
) -> None:
    """Show who looks at whom: the weights of every head on a text."""

    def draw(learner: LoadedSubmission) -> tuple[Figure, Any]:
        from grader.plots import attention

        words = attention.TEXT if text is None else text
        data = attention.fresh(learner, words) if run is None else attention.of_run(learner, run, words)
        return attention.draw(data), attention.text(data, console.width)

    _show("attention", target, out, draw)


@app.command()
def positions(target: Target = "exercises", out: Out = None) -> None:
    """Show five ways to encode a position."""

    def draw(learner: LoadedSubmission) -> tuple[Figure, Any]:
        from grader.plots import positions

        data = positions.collect(learner)
        return positions.draw(data), positions.text(data, console.width)

    _show("positions", target, out, draw)


@app.command()
def schedule(target: Target = "exercises", out: Out = None) -> None:
    """Show three learning-rate schedules over one run."""

    def draw(learner: LoadedSubmission) -> tuple[Figure, Any]:
        from grader.plots import schedule

        data = schedule.collect(learner)
        return schedule.draw(data), schedule.text(data, console.width)

    _show("schedule", target, out, draw)


@app.command()
def loss(
    target: Target = "exercises",
    steps: Annotated[int | None, typer.Option(min=1, help="Number of updates.")] = None,
    out: Out = None,
) -> None:
    """Train a small model, and show how close its loss comes to the lowest possible loss."""

    def draw(learner: LoadedSubmission) -> tuple[Figure, Any]:
        from grader.plots import loss

        total = steps or loss.STEPS
        with terminal.bar("training", total) as advance:
            data = loss.collect(learner, total, advance)
        return loss.draw(data), loss.text(data, console.width)

    _show("loss", target, out, draw)


@app.command()
def tokenizer(target: Target = "exercises", text: Text = None, out: Out = None) -> None:
    """Show how a text is split into tokens."""

    def draw(learner: LoadedSubmission) -> tuple[Figure, Any]:
        from grader.plots import tokenizer

        with console.status("training the tokenizer on Python's manual"):
            data = tokenizer.collect(learner, tokenizer.TEXT if text is None else text)
        coloured = console.color_system is not None and not console.no_color
        return tokenizer.draw(data), tokenizer.text(data, coloured)

    _show("tokenizer", target, out, draw)


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Folders, or names under .grader/runs.")],
    out: Out = None,
) -> None:
    """Compare training runs: their curves, how they differ, and which is best."""
    from grader.plots import comparison
    from grader.plots.runs import read

    with terminal.usage_errors():
        found = [read(name) for name in runs]
    console.print(comparison.table(found))
    _write(comparison.draw(found), out or PICTURES / "compare.png")


def _show(name: str, target: str, out: Path | None, draw: Callable[[LoadedSubmission], tuple[Figure, Any]]) -> None:
    from grader.checking.target import resolve
    from grader.training.loading import Fault, Unsuitable, opened

    with terminal.usage_errors():
        submission = resolve(target)
    try:
        with opened(submission) as learner:
            figure, text = draw(learner)
    except Unsuitable as error:
        terminal.stop(str(error))
    except Fault as fault:
        terminal.stop(str(fault), 1)
    console.print(text)
    _write(figure, out or PICTURES / f"{name}.png")


def _write(figure: Figure, file: Path) -> None:
    from grader.plots import figures

    try:
        figures.save(figure, file)
    except OSError as error:
        terminal.stop(f"{file} cannot be written: {error.strerror}")
    console.print(f"Picture: {_near(file)}", soft_wrap=True)


def _near(file: Path) -> Path:
    """The path as one would type it here."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
