"""Diagnosis: which known mistake gives exactly what the learner's code gave."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from grader.checking.oracle import solution_sources
from grader.checking.shortcuts import find_shortcut
from grader.checking.undisturbed import undisturbed_import
from grader.checking.variants import Alternative, Mistake, collect_alternatives
from grader.curriculum import Exercise, Unit, load
from grader.curriculum.submission import from_bytes
from grader.sandbox.worker import importer
from grader.sandbox.worker.importer import Source

TESTS = Path(__file__).parents[2] / "tests"
COSTS = TESTS / "mistakes" / "costs"


@dataclass(frozen=True)
class Suspect:
    """A known mistake that may be the learner's.

    Args:
        unit: The unit.
        mistake: The mistake.
        own: Whether it is one of the exercise itself, not of what the exercise builds on.
        named: Whether it has been recognised before in this submission.
        loading: Makes a context in which the mistake's module is loaded.
    """

    unit: str
    mistake: Mistake
    own: bool = True
    named: bool = False
    loading: Callable[[], AbstractContextManager[None]] = nullcontext

    def module(self) -> ModuleType:
        """The unit with the mistake in it; one that remembers its calls is loaded anew each time."""
        with self.loading():
            return (_load_mistake if self.mistake.stateful else _module)(self.unit, self.mistake)

    def shortcut(self) -> str:
        """The forbidden name that the mistake uses; "" where it uses none."""
        return shortcut_of(self.mistake, self.unit)


@cache  # it is asked in every check of an exercise with a shortcut, and parses the unit
def shortcut_of(mistake: Mistake, unit: str) -> str:
    """The forbidden name that a known mistake uses; "" where it uses none."""
    solution, exercise = solution_sources()[unit], load()[unit].exercise(mistake.exercise)
    file = from_bytes(solution.path, mistake.apply(solution.text).encode())
    return find_shortcut(file, exercise.name, exercise.not_allowed).partition(" ")[0]


@cache
def known_mistakes(unit: str) -> tuple[Mistake, ...]:
    """The mistakes of a unit, from `tests/mistakes/<unit>.py`."""
    return tuple(_load(TESTS / "mistakes" / f"{unit}.py").MISTAKES)


@cache
def known_alternatives(unit: str) -> tuple[Alternative, ...]:
    """The valid alternatives of a unit, from `tests/alternatives/<unit>.py`."""
    return tuple(collect_alternatives(_load(TESTS / "alternatives" / f"{unit}.py")))


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Recorded:
    """What is recorded of a unit's known mistakes.

    Args:
        criteria: Id of each to the criteria that it costs.
        unnamed: Ids of those that fail, but that no message tells by name yet.
    """

    criteria: Mapping[str, tuple[str, ...]]
    unnamed: frozenset[str]


@cache
def recorded(unit: str) -> Recorded:
    """What `tests/mistakes/costs/<unit>.toml` says; nothing where there is no such file."""
    file = COSTS / f"{unit}.toml"
    facts = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    criteria = {id: tuple(names) for id, names in facts.get("costs", {}).items()}
    return Recorded(criteria, frozenset(facts.get("unnamed", ())))


def suspects(
    unit: Unit, exercise: Exercise, criterion: str, below: Sequence[str], named: Container[str] = (), *, costly: bool
) -> Iterator[Suspect]:
    """The known mistakes of an exercise that can make a check fail, then those of what it builds on.

    Args:
        unit: The unit.
        exercise: The exercise.
        criterion: That of the check: a mistake that is known not to cost it is not to blame.
        below: The exercises that it builds on.
        named: Ids of mistakes that come first: they have been recognised before.
        costly: Whether the question takes long, as one about cost does: then mistakes that also cost the exercise's
            first criterion are left out, which are recognised by cheaper questions, and of what it builds on only
            those remain that cost a criterion of this name.
    """
    main = exercise.criteria[0].name
    order = [exercise.name, *reversed(below)]
    costs = recorded(unit.name).criteria

    def fits(mistake: Mistake) -> bool:
        own, lost = mistake.exercise == exercise.name, costs.get(mistake.id, (criterion,))
        if own or costly:
            return criterion in lost and not (costly and own and criterion != main and main in lost)
        return True

    likely = [m for m in known_mistakes(unit.name) if m.exercise in order and fits(m)]
    likely.sort(key=lambda mistake: (mistake.id not in named, order.index(mistake.exercise)))
    for mistake in likely:
        yield Suspect(unit.name, mistake, mistake.exercise == exercise.name, mistake.id in named)


@cache
def _module(unit: str, mistake: Mistake) -> ModuleType:
    return _load_mistake(unit, mistake)


def _load_mistake(unit: str, mistake: Mistake) -> ModuleType:
    sources = solution_sources()
    # A path of its own: an assertion without a message is told by its line, which is looked up by path.
    mistaken = Source(f"mistakes/{unit}/{mistake.id}.py", mistake.apply(sources[unit].text))
    # The other units compiled, which is done once: a search for a name has a budget, and loads every mistake.
    others = {name: importer.compiled(source) for name, source in sources.items() if name != unit}
    with undisturbed_import():
        return importer.load("mistaken", {**others, unit: mistaken}, unit)
