"""`grader show` and `grader compare`: pictures of the learner's own code, as a file and in the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grader.cli import terminal
from grader.cli.terminal import console
from grader.curriculum.submission import KIT
from grader.curriculum.suggest import did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grader.training.loading import LoadedSubmission

PICTURES = KIT / ".grader" / "pictures"


class Picture(StrEnum):
    """What can be shown."""

    attention = "attention"
    positions = "positions"
    schedule = "schedule"
    loss = "loss"
    tokenizer = "tokenizer"


_ONLY_FOR = {
    "run": (Picture.attention,),
    "text": (Picture.attention, Picture.tokenizer),
    "steps": (Picture.loss,),
}
Out = Annotated[Path | None, typer.Option(help="Where the PNG goes; .grader/pictures/NAME.png if not given.")]


@dataclass(frozen=True)
class Rendered:
    """A picture, drawn and in characters.

    Args:
        figure: For the file.
        text: For the terminal.
    """

    figure: Figure
    text: Any


@dataclass(frozen=True)
class PlotOptions:
    """What was asked for besides the picture.

    Args:
        text: For attention and tokenizer.
        steps: For loss.
        run: For attention.
    """

    text: str | None = None
    steps: int | None = None
    run: str | None = None


def add_commands(app: typer.Typer) -> None:
    """Give the command line its commands `show` and `compare`."""

    @app.command()
    def show(
        context: typer.Context,
        picture: Annotated[str, typer.Argument(metavar="PICTURE", help=f"One of {', '.join(Picture)}.")],
        target: Annotated[str, typer.Option(help="exercises, solutions, or a folder")] = "exercises",
        text: Annotated[str | None, typer.Option(help="For attention and tokenizer: what they look at.")] = None,
        steps: Annotated[int | None, typer.Option(min=1, help="For loss: how many updates.")] = None,
        run: Annotated[str | None, typer.Option(help="For attention: the model of a training run.")] = None,
        out: Out = None,
    ) -> None:
        """A picture of what your own code does: attention, positions, schedule, loss, tokenizer."""
        chosen = _picture(picture)
        for option, pictures in _ONLY_FOR.items():
            if chosen not in pictures:
                terminal.refuse_idle(context, (option,), f"is for {' and '.join(name.value for name in pictures)}")
        shown = _drawn(chosen, target, PlotOptions(text, steps, run))
        console.print(shown.text)
        _write(shown.figure, out or PICTURES / f"{chosen.value}.png")

    @app.command()
    def compare(
        runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Folders, or names under .grader/runs.")],
        out: Out = None,
    ) -> None:
        """Training runs side by side: their curves, what differs between them, and which is best."""
        from grader.plots import comparison
        from grader.plots.runs import read

        with terminal.usage_errors():
            found = [read(name) for name in runs]
        console.print(comparison.table(found))
        _write(comparison.draw(found), out or PICTURES / "compare.png")


def _picture(name: str) -> Picture:
    if name not in list(Picture):
        every = f"Pictures: {', '.join(Picture)}"
        terminal.stop(f"there is no picture {name!r}. {did_you_mean(name, Picture, every)}")
    return Picture(name)


def _drawn(picture: Picture, target: str, wishes: PlotOptions) -> Rendered:
    from grader.checking.target import resolve
    from grader.training.loading import Fault, Unsuitable, opened

    with terminal.usage_errors():
        submission = resolve(target)
    try:
        with opened(submission) as learner:
            return _DRAWING[picture](learner, wishes)
    except Unsuitable as error:
        terminal.stop(str(error))
    except Fault as fault:
        terminal.stop(str(fault), 1)


def _attention(learner: LoadedSubmission, wishes: PlotOptions) -> Rendered:
    from grader.plots import attention

    text = attention.TEXT if wishes.text is None else wishes.text
    data = attention.fresh(learner, text) if wishes.run is None else attention.of_run(learner, wishes.run, text)
    return Rendered(attention.draw(data), attention.text(data, console.width))


def _positions(learner: LoadedSubmission, wishes: PlotOptions) -> Rendered:
    from grader.plots import positions

    data = positions.collect(learner)
    return Rendered(positions.draw(data), positions.text(data, console.width))


def _schedule(learner: LoadedSubmission, wishes: PlotOptions) -> Rendered:
    from grader.plots import schedule

    data = schedule.collect(learner)
    return Rendered(schedule.draw(data), schedule.text(data, console.width))


def _loss(learner: LoadedSubmission, wishes: PlotOptions) -> Rendered:
    from grader.plots import loss

    total = wishes.steps or loss.STEPS
    with terminal.bar("training", total) as advance:
        data = loss.collect(learner, total, advance)
    return Rendered(loss.draw(data), loss.text(data, console.width))


def _tokenizer(learner: LoadedSubmission, wishes: PlotOptions) -> Rendered:
    from grader.plots import tokenizer

    with console.status("training the tokenizer on Python's manual"):
        data = tokenizer.collect(learner, tokenizer.TEXT if wishes.text is None else wishes.text)
    coloured = console.color_system is not None and not console.no_color
    return Rendered(tokenizer.draw(data), tokenizer.text(data, coloured))


_DRAWING = {
    Picture.attention: _attention,
    Picture.positions: _positions,
    Picture.schedule: _schedule,
    Picture.loss: _loss,
    Picture.tokenizer: _tokenizer,
}


def _write(figure: Figure, file: Path) -> None:
    from grader.plots import figures

    try:
        figures.save(figure, file)
    except OSError as error:
        terminal.stop(f"{file} cannot be written: {error.strerror}")
    console.print(f"Picture: {_near(file)}", soft_wrap=True)


def _near(file: Path) -> Path:
    """As one would type it here."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
