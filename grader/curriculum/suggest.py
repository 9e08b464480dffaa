"""Suggestions for names that do not exist: commands, units, exercises, kinds of check."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from grader.curriculum import load

_CLOSE = 0.6  # similarity from which a name is worth suggesting, as in difflib
_BEHIND = 0.1  # how far behind the best name another may be


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that look most like `name`, best first; empty if none does.

    Case, hyphens and underscores do not count, and the beginning of a name stands for it: "multihead" suggests
    MultiHeadAttention.

    Args:
        name: What was typed.
        known: The names that exist.
        most: The largest number of names to return.
    """
    scores = {candidate: _similarity(_plain(name), _plain(candidate)) for candidate in known}
    best = max(scores.values(), default=0.0)
    close = [candidate for candidate, score in scores.items() if score >= max(_CLOSE, best - _BEHIND)]
    return sorted(close, key=lambda candidate: -scores[candidate])[:most]


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return "Did you mean a or b?", or `otherwise` if no known name is close."""
    found = nearest(name, known)
    return f"Did you mean {' or '.join(found)}?" if found else otherwise


def exercises_and_units(name: str) -> list[str]:
    """Return the names that `name` can be compared with: such as attention.softmax if it has a dot, else short ones."""
    if "." in name:
        return [f"{unit.name}.{exercise.name}" for unit in load().values() for exercise in unit.exercises]
    return [*load(), *(exercise.name for unit in load().values() for exercise in unit.exercises)]


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")


def _similarity(typed: str, known: str) -> float:
    if len(typed) >= 4 and known.startswith(typed):
        return 1.0
    return difflib.SequenceMatcher(None, typed, known).ratio()
