"""Training runs side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from grader.plots import figures
from grader.plots.runs import Run, labels
from grader.plots.smooth import smoothed

_LINES = ("-", "--", ":", "-.")


def _last(run: Run) -> float:
    return next((loss for loss in reversed(smoothed(run.losses)) if math.isfinite(loss)), math.nan)


def draw(runs: Sequence[Run]) -> Figure:
    """Smoothed training losses, held-out bits per byte, and below both what differs between the runs."""
    height = 4.6 + 0.22 * len(runs)
    sheet = figures.figure(11.5, height, "Training runs", "Left: training loss, smoothed. Right: held-out text.")
    left, right = sheet.subplots(1, 2)
    for number, (run, label) in enumerate(zip(runs, labels(runs), strict=True)):
        # After the last colour they begin anew, with another kind of line.
        style = {
            "color": figures.COLOURS[number % len(figures.COLOURS)],
            "linestyle": _LINES[number // len(figures.COLOURS) % len(_LINES)],
        }
        left.plot(run.steps, smoothed(run.losses), linewidth=1.8, label=label.replace("$", r"\$"), **style)
        if run.held_out:
            right.plot(*zip(*run.held_out, strict=True), linewidth=1.8, marker="o", markersize=4, **style)
    figures.label(left, "Training loss", "step", "nats a token")
    figures.label(right, "Held-out text", "step", "bits per byte")
    _gzip(right, runs)
    if not any(run.held_out for run in runs):
        right.set_axis_off()
        right.text(0.5, 0.5, "no held-out loss yet", transform=right.transAxes, ha="center", color=figures.FAINT)
    sheet.legend(*left.get_legend_handles_labels(), loc="outside lower left", fontsize=9, frameon=False, ncols=1)
    return sheet


def _gzip(axes: Axes, runs: Sequence[Run]) -> None:
    for bits in sorted({run.gzip_bits_per_byte for run in runs if run.gzip_bits_per_byte is not None}):
        figures.level(axes, bits, f"gzip {bits:.2f}", line="--")


def table(runs: Sequence[Run]) -> RenderableType:
    """Run, what differs, parameters, last loss, best held-out bits per byte; the best of all is bold."""
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    out.add_column("run", no_wrap=True)
    out.add_column("what differs", overflow="fold")
    for name in ("parameters", "last loss", "bits per byte"):
        out.add_column(name, justify="right", no_wrap=True)
    # Against the others: alone, the only one is not the best of anything.
    best = min((run.best for run in runs if run.best is not None), default=None)
    for run, label in zip(runs, labels(runs), strict=True):
        differs = "" if label == run.name else label.removeprefix(f"{run.name}: ")
        bits = "-" if run.best is None else f"{run.best:.3f}"
        parameters = "-" if run.parameters is None else f"{run.parameters:,}"
        style = "bold" if run.best is not None and run.best == best and len(runs) > 1 else ""
        # As Text and not as markup: an option may hold a bracket.
        out.add_row(*map(Text, (run.name, differs, parameters, f"{_last(run):.3f}", bits)), style=style)
    return out
