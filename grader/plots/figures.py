"""What all pictures share: size, fonts, colours, and how one becomes a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

# Okabe and Ito 2008: eight colours that people with any colour blindness can tell apart; without the yellow, which
# is too pale for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, FAINT, HIDDEN = "#222222", "#8a8a8a", "#e4e4e4"
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
# Drawn once, it is the same whatever the settings of matplotlib on this machine say.
_DPI = 150


def figure(width: float, height: float, title: str, subtitle: str = "") -> Figure:
    """An empty sheet of so many inches, with a title; on no screen and in no global list of figures."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.10, wspace=0.03, hspace=0.04)
    sheet = Figure(figsize=(width, height), dpi=_DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(sheet)
    text = f"{title}\n" if subtitle else title
    sheet.suptitle(text, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK, linespacing=1.5)
    if subtitle:
        below = 1 - (0.10 + 0.30) / height  # inches below the upper edge, like the title's own
        sheet.text(0.012, below, subtitle, ha="left", va="top", fontsize=9, color="#555555")
    return sheet


def label(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Title and axis labels in one size throughout; no box around what is drawn."""
    axes.set_title(title, fontsize=10, loc="left", color=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)


def heat(
    axes: Axes,
    values: Any,
    *,
    low: float,
    high: float,
    colours: str = SEQUENTIAL,
    power: float = 1.0,
    bar: str = "",
) -> None:
    """A matrix as an image, row 0 on top; NaN is grey.

    Args:
        axes: The panel.
        values: (rows, columns).
        low: Where the colours begin.
        high: Where they end.
        colours: Name of the colour map.
        power: Below 1, small differences near `low` take more of the colours.
        bar: Label of the scale beside it; without one there is no scale.
    """
    shown = np.ma.masked_invalid(np.asarray(values, dtype=float))
    norm = PowerNorm(power, vmin=low, vmax=high)
    image = axes.imshow(shown, norm=norm, cmap=colours, aspect="auto", interpolation="nearest")
    image.set_cmap(image.get_cmap().with_extremes(bad=HIDDEN))
    if bar:
        scale = axes.figure.colorbar(image, ax=axes, shrink=0.9, pad=0.02, aspect=24)
        scale.ax.tick_params(labelsize=8, length=2)
        scale.set_label(bar, fontsize=8, color=INK)
        scale.outline.set_visible(False)


def level(
    axes: Axes, value: float, text: str, *, colour: str = FAINT, line: str = ":", below: bool = False, at: float = 1.0
) -> Line2D:
    """A line across the panel, with a few words that end at its right end, or begin `at` this share of the width."""
    drawn = axes.axhline(value, color=colour, linestyle=line, linewidth=1.4)
    side, up = ("top", -3) if below else ("bottom", 2)
    end, along = ("right", -3) if at == 1 else ("left", 3)
    place = ("axes fraction", "data")
    note = axes.annotate(text, (at, value), (along, up), xycoords=place, textcoords="offset points", fontsize=8.5)
    note.set(horizontalalignment=end, verticalalignment=side, color="#555555")
    return drawn


def empty(axes: Axes, title: str, why: str) -> None:
    """A panel for which there is nothing yet."""
    label(axes, title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", fontsize=9, color=FAINT, wrap=True)


def save(sheet: Figure, file: Path) -> None:
    """Write a PNG, whole or not at all as far as drawing goes.

    Raises:
        OSError: The file cannot be written.
    """
    drawn = io.BytesIO()
    sheet.savefig(drawn, format="png")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(drawn.getvalue())
