"""Where a token stands, in five ways: tables that are added, angles to turn by, and a penalty for distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.text import Text

from grader.plots import figures, textplot
from grader.training.loading import LoadedSubmission, Stub, tensor

LENGTH, D_MODEL, D_HEAD, HEADS, SEED = 64, 32, 16, 4, 0
STD = 0.02  # with which a learned table starts


@dataclass(frozen=True)
class Positions:
    """What is drawn; None is what the target has not written yet.

    Args:
        sinusoidal: (positions, columns).
        learned: (positions, columns), as the table starts.
        rope: (positions, pairs), in radians.
        alibi: (heads, queries, keys).
        missing: What is None, and what the learner is told about it.
    """

    sinusoidal: NDArray[np.float64] | None
    learned: NDArray[np.float64] | None
    rope: NDArray[np.float64] | None
    alibi: NDArray[np.float64] | None
    missing: dict[str, str]


def collect(learner: LoadedSubmission) -> Positions:
    """Ask for each; those that are stubs are left out, as long as there is one that is none.

    Raises:
        Stub: All of them are.
    """
    found: dict[str, NDArray[np.float64] | None] = {}
    missing: dict[str, str] = {}
    stubs: list[Stub] = []
    for name, ask in _QUESTIONS.items():
        try:
            with learner.words():
                found[name] = ask(learner)
        except Stub as stub:
            stubs.append(stub)
            found[name], missing[name] = None, str(stub)
    if len(stubs) == len(_QUESTIONS):
        raise stubs[0]
    return Positions(missing=missing, **found)


def _sinusoidal(learner: LoadedSubmission) -> NDArray[np.float64]:
    made = learner.get("position", "sinusoidal_encoding")(LENGTH, D_MODEL)
    return tensor(made, (LENGTH, D_MODEL), "position.sinusoidal_encoding").numpy()


def _learned(learner: LoadedSubmission) -> NDArray[np.float64]:
    generator = torch.Generator().manual_seed(SEED)
    table = learner.get("position", "LearnedPositionalEmbedding")(LENGTH, D_MODEL, generator=generator)
    # Asked as a model asks: what is added to nothing is the table.
    rows = table(torch.zeros(1, LENGTH, D_MODEL))
    return tensor(rows, (1, LENGTH, D_MODEL), "position.LearnedPositionalEmbedding")[0].numpy()


def _rope(learner: LoadedSubmission) -> NDArray[np.float64]:
    made = learner.get("position", "rope_frequencies")(D_HEAD)
    frequencies = tensor(made, (D_HEAD // 2,), "position.rope_frequencies")
    return (torch.arange(LENGTH)[:, None] * frequencies).numpy()


def _alibi(learner: LoadedSubmission) -> NDArray[np.float64]:
    made = learner.get("position", "alibi_bias")(HEADS, LENGTH)
    return tensor(made, (HEADS, LENGTH, LENGTH), "position.alibi_bias").numpy()


_QUESTIONS: dict[str, Callable[[LoadedSubmission], NDArray[np.float64]]] = {
    "sinusoidal": _sinusoidal,
    "learned": _learned,
    "rope": _rope,
    "alibi": _alibi,
}


def draw(positions: Positions) -> Figure:
    """Three ways in the upper row, and below it ALiBi, head by head."""
    sheet = figures.figure(12.5, 7.4, "Positions", f"How your position unit encodes the positions 0 to {LENGTH - 1}.")
    halves = np.asarray(sheet.subfigures(2, 1, height_ratios=(1.1, 1)))
    tables, biases = halves[0].subplots(1, 3), halves[1].subplots(1, HEADS)
    _table(tables[0], positions, "sinusoidal", 1.0, "sinusoidal_encoding")
    _table(tables[1], positions, "learned", 3 * STD, "LearnedPositionalEmbedding, before training")
    _angles(tables[2], positions)
    if positions.alibi is None:
        for axes in biases:
            axes.set_axis_off()
        figures.empty(biases[0], "alibi_bias", _why(positions, "alibi"))
        return sheet
    # What it takes off, so that the scale begins at 0; bent, since the last heads take off next to nothing.
    taken = -positions.alibi
    low, high = min(0.0, float(np.nanmin(taken))), max(1.0, float(np.nanmax(taken)))
    for head, (axes, values) in enumerate(zip(biases, taken, strict=True)):
        bar = "subtracted from the score" if head == HEADS - 1 else ""
        figures.heat(axes, values, low=low, high=high, colours="viridis_r", power=0.4, bar=bar)
        slope = float(values[-1, -2] - values[-1, -1])
        figures.label(axes, f"alibi_bias, head {head}: {slope:.4g} per step", "key", "query" if head == 0 else "")
    return sheet


def _table(axes: Axes, positions: Positions, name: str, scale: float, title: str) -> None:
    values: NDArray[np.float64] | None = getattr(positions, name)
    if values is None:
        return figures.empty(axes, title, _why(positions, name))
    figures.heat(axes, values, low=-scale, high=scale, colours=figures.DIVERGING, bar="value")
    return figures.label(axes, title, "column", "position")


def _angles(axes: Axes, positions: Positions) -> None:
    if positions.rope is None:
        return figures.empty(axes, "rope_frequencies", _why(positions, "rope"))
    pairs = positions.rope.shape[1]
    colours = colormaps["viridis"](np.linspace(0, 0.88, pairs))
    for pair, (angles, colour) in enumerate(zip(positions.rope.T, colours, strict=True)):
        axes.plot(angles, color=colour, linewidth=1.8)
        # A name at the end of each line says more than a legend of eight colours.
        at = (len(angles) - 1, angles[-1])
        axes.annotate(f"pair {pair}", at, (4, 0), textcoords="offset points", va="center", fontsize=7.5, color=colour)
    # From a turn in six positions to one in twenty thousand: a straight scale would show the first two alone.
    axes.loglog()
    last = len(positions.rope) - 1
    axes.plot([1, last], [2 * np.pi] * 2, color=figures.FAINT, linestyle=":", linewidth=1)
    axes.annotate("one turn", (1, 2 * np.pi), (2, 3), textcoords="offset points", fontsize=8, color="#666666")
    axes.set_xlim(1, 2.1 * last)
    ticks = [2**power for power in range(last.bit_length())]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    return figures.label(axes, "RoPE: angle = position * rope_frequencies", "position", "radians")


def _why(positions: Positions, name: str) -> str:
    return positions.missing[name].partition(":")[0]


def text(positions: Positions, width: int) -> RenderableType:
    """What can be said in characters: the clocks' speeds, the slopes, and a curve of one clock."""
    lines = Text()
    if positions.sinusoidal is not None:
        rows = textplot.curve(positions.sinusoidal[:, 4].tolist(), width=min(64, width - 6), height=3, low=-1.0)
        lines.append("sinusoidal_encoding, column 4\n", style="bold")
        lines.append(textplot.framed(rows, "1", "-1", "position 0", str(LENGTH - 1)) + "\n")
    if positions.rope is not None:
        lines.append("rope_frequencies, radians per position: ", style="bold")
        lines.append(", ".join(f"{angle:.3g}" for angle in positions.rope[1]) + "\n")
    if positions.learned is not None:
        lines.append("LearnedPositionalEmbedding starts with: ", style="bold")
        lines.append(f"mean {positions.learned.mean():.4f}, standard deviation {positions.learned.std():.4f}\n")
    if positions.alibi is not None:
        lines.append("alibi_bias, subtracted per step of distance: ", style="bold")
        slopes = positions.alibi[:, -1, -1] - positions.alibi[:, -1, -2]
        lines.append(", ".join(f"{slope:.4g}" for slope in slopes) + "\n")
    for why in positions.missing.values():
        lines.append(f"Left out: {why}\n", style="yellow")
    return lines
