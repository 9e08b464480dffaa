"""The curriculum: one TOML file a unit, read once, checked as it is read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

KINDS = ("shape", "numerics", "gradient", "property", "stability", "efficiency", "shortcut")


@dataclass(frozen=True)
class Exercise:
    """One function or class to write.

    Args:
        name: Its name in the module, as `softmax`.
        points: What full marks are worth; a whole number.
        needs: Exercises of the same unit that it may call; of a part of the whole, as `model.TransformerLM`, all
            that it puts to work.
        kinds: The kinds of check that apply to it.
        not_allowed: torch's own version of the very thing, by full name.
        hints: Questions first, then nudges.
    """

    name: str
    points: int
    needs: tuple[str, ...]
    kinds: tuple[str, ...]
    not_allowed: tuple[str, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Unit:
    """One block of the model: a module in every room of the kit.

    Args:
        name: The module's name, as `attention`.
        title: The name for people.
        order: Its place on the path.
        needs: Units that it builds on.
        exercises: In the order in which they are to be written.
        whole: Nothing is written here: its parts put the submission's other units to work, with nothing replaced.
    """

    name: str
    title: str
    order: int
    needs: tuple[str, ...]
    exercises: tuple[Exercise, ...]
    whole: bool = False

    @property
    def points(self) -> int:
        """What full marks in the unit are worth."""
        return sum(exercise.points for exercise in self.exercises)

    def exercise(self, name: str) -> Exercise:
        """The exercise of that name."""
        return next(exercise for exercise in self.exercises if exercise.name == name)


@cache
def load() -> dict[str, Unit]:
    """All units, in order, by name.

    Raises:
        ValueError: A file lacks a fact or holds one that is unknown; the message names file and key.
    """
    files = Path(__file__).parent.glob("*.toml")
    units = sorted((_unit(file) for file in files), key=lambda unit: unit.order)
    return {unit.name: unit for unit in units}


def _unit(file: Path) -> Unit:
    facts = tomllib.loads(file.read_text(encoding="utf-8"))
    whole = facts.pop("whole", False) is True
    _expect(file.name, facts, {"title": str, "order": int, "needs": list, "exercises": dict})
    exercises = tuple(_exercise(f"{file.name} [exercises.{name}]", name, f) for name, f in facts["exercises"].items())
    return Unit(file.stem, facts["title"], facts["order"], tuple(facts["needs"]), exercises, whole)


def _exercise(where: str, name: str, facts: dict[str, Any]) -> Exercise:
    _expect(where, facts, {"points": int, "needs": list, "kinds": list, "not_allowed": list, "hints": list})
    if unknown := set(facts["kinds"]) - set(KINDS):
        raise ValueError(f"{where}: unknown kinds {sorted(unknown)}; known are {', '.join(KINDS)}")
    lists = {key: tuple(facts[key]) for key in ("needs", "kinds", "not_allowed", "hints")}
    return Exercise(name, facts["points"], **lists)


def _expect(where: str, facts: dict[str, Any], types: dict[str, type]) -> None:
    for key, type_ in types.items():
        if not isinstance(facts.get(key), type_):
            raise ValueError(f"{where}: {key!r} must be a {type_.__name__}, got {facts.get(key)!r}")
    if unknown := set(facts) - set(types):
        raise ValueError(f"{where}: unknown keys {sorted(unknown)}")
