"""Pictures made of characters: for the terminal, and as plain text wherever there are no colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

_BLOCKS = " ▁▂▃▄▅▆▇█"
# From pale to deep, each with an ink that can be read on it: one hue, so no colour has to be told from another.
_SHADES = (
    *("#1a1a1a on #f7fbff", "#1a1a1a on #d6e6f4", "#1a1a1a on #abd0e6"),
    *("#1a1a1a on #6aaed6", "#ffffff on #2f7ebc", "#ffffff on #0b4d94"),
)


def curve(values: Sequence[float], *, width: int = 60, height: int = 6, low: float = 0.0) -> list[str]:
    """A line of numbers as rows of block characters, top row first.

    Args:
        values: At least one; each column shows the mean of its share of them. What is not finite leaves a gap.
        width: Columns at most.
        height: Rows; each is eight steps high.
        low: What the lower edge stands for. The upper edge is the largest value.
    """
    columns = min(width, len(values))
    means = [_mean(values[i * len(values) // columns : (i + 1) * len(values) // columns]) for i in range(columns)]
    finite = [mean for mean in means if math.isfinite(mean)]
    span = max([*finite, low]) - low or 1.0
    # Rounded up: what is above the edge, however little, can be seen.
    levels = [math.ceil(8 * height * (m - low) / span - 1e-9) if math.isfinite(m) else 0 for m in means]
    rows = [[_BLOCKS[min(8, max(0, level - 8 * row))] for level in levels] for row in reversed(range(height))]
    return ["".join(row).rstrip() for row in rows]


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def shade(text: str, share: float) -> Text:
    """Some text on a background that is the deeper the nearer the share is to 1."""
    if not math.isfinite(share):
        return Text(text)
    return Text(text, style=_SHADES[min(len(_SHADES) - 1, max(0, int(share * len(_SHADES))))])


def framed(rows: Sequence[str], top: str, bottom: str, left: str, right: str) -> str:
    """Rows of a curve with the scale beside them.

    Args:
        rows: As `curve` gives them.
        top: What the upper edge stands for.
        bottom: What the lower edge stands for.
        left: Under the lower left corner.
        right: Under the lower right corner.
    """
    margin = max(len(top), len(bottom))
    width = max(len(row) for row in rows)
    names = [top, *[""] * (len(rows) - 2), bottom]
    lines = [f"{name:>{margin}} |{row}" for name, row in zip(names, rows, strict=True)]
    axis = f"{'':>{margin}} +{'-' * width}"
    return "\n".join([*lines, axis, f"{'':>{margin}}  {left}{right:>{max(1, width - len(left))}}"])
