"""The curriculum: one TOML file a unit, read once, checked as it is read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

KINDS = ("shape", "numerics", "gradient", "property", "stability", "efficiency", "shortcut")


@dataclass(frozen=True)
class Criterion:
    """One line of an exercise's rubric: earned when all of its checks pass.

    Args:
        name: Unique within the exercise, for example `gradients`.
        says: What the learner's code does, as an instructor would write it on a rubric.
        points: Whole points for it.
        kinds: Checks of these kinds belong to this criterion, unless they name another one.
    """

    name: str
    says: str
    points: int
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Exercise:
    """One function or class to write.

    Args:
        name: Its name in the module, as `softmax`.
        criteria: Its rubric. The first criterion is what the exercise is for: the others earn nothing without it.
        needs: Exercises of the same unit that it may call; of a part of the whole, as `model.TransformerLM`, all
            that it puts to work.
        not_allowed: torch's own version of the very thing, by full name.
        hints: Questions first, then nudges.
    """

    name: str
    criteria: tuple[Criterion, ...]
    needs: tuple[str, ...]
    not_allowed: tuple[str, ...]
    hints: tuple[str, ...]

    @property
    def points(self) -> int:
        """What full marks are worth."""
        return sum(criterion.points for criterion in self.criteria)

    @property
    def kinds(self) -> set[str]:
        """The kinds of check that apply to it."""
        return {kind for criterion in self.criteria for kind in criterion.kinds}

    def criterion_of(self, kind: str, named: str = "") -> str:
        """The criterion that a check belongs to: the one that it names, else the one that takes its kind.

        Raises:
            ValueError: There is no such criterion.
        """
        for criterion in self.criteria:
            if named == criterion.name or (not named and kind in criterion.kinds):
                return criterion.name
        wanted = f"is named {named!r}" if named else f"takes checks of the kind {kind!r}"
        raise ValueError(f"exercise {self.name}: no criterion {wanted}")


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
    _expect(where, facts, {"criteria": dict, "needs": list, "not_allowed": list, "hints": list})
    criteria = tuple(_criterion(f"{where} criteria.{key}", key, value) for key, value in facts["criteria"].items())
    kinds = [kind for criterion in criteria for kind in criterion.kinds]
    if twice := {kind for kind in kinds if kinds.count(kind) > 1}:
        raise ValueError(f"{where}: two criteria take checks of the kinds {sorted(twice)}")
    lists = {key: tuple(facts[key]) for key in ("needs", "not_allowed", "hints")}
    return Exercise(name, criteria, **lists)


def _criterion(where: str, name: str, facts: dict[str, Any]) -> Criterion:
    _expect(where, facts, {"points": int, "says": str, "kinds": list})
    if unknown := set(facts["kinds"]) - set(KINDS):
        raise ValueError(f"{where}: unknown kinds {sorted(unknown)}; known are {', '.join(KINDS)}")
    return Criterion(name, facts["says"], facts["points"], tuple(facts["kinds"]))


def _expect(where: str, facts: dict[str, Any], types: dict[str, type]) -> None:
    for key, type_ in types.items():
        if not isinstance(facts.get(key), type_):
            raise ValueError(f"{where}: {key!r} must be a {type_.__name__}, got {facts.get(key)!r}")
    if unknown := set(facts) - set(types):
        raise ValueError(f"{where}: unknown keys {sorted(unknown)}")
