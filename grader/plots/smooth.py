"""The course of a noisy curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def smoothed(values: Sequence[float]) -> list[float]:
    """The mean of each value's neighbourhood, a twentieth of all of them wide.

    The window looks to both sides, so that a curve which falls steeply is not drawn later than it falls. At the
    beginning it is narrower, and the first value stays what it is; at the end it has only its earlier half.

    Args:
        values: What is not finite is left out of the means, and a window without any other has NaN.
    """
    given = np.asarray(values, dtype=float)
    finite = np.isfinite(given)
    # Sums up to each place: a window's sum is the difference of two of them.
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, given, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    places = np.arange(len(given))
    half = np.minimum(len(given) // 40, places)
    first, last = places - half, np.minimum(places + half + 1, len(given))
    number = counts[last] - counts[first]
    means = (sums[last] - sums[first]) / np.maximum(number, 1)
    return [float(mean) for mean in np.where(number > 0, means, np.nan)]
