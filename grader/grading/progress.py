"""The learner's own files: the next thing to do, hints, and putting a stub back without losing anything."""

from __future__ import annotations

import ast
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from grader.curriculum import Exercise, Unit, load
from grader.curriculum.submission import KIT, Submission, from_bytes
from grader.curriculum.suggest import did_you_mean, exercises_and_units

if TYPE_CHECKING:  # its models take as long to build as a hint to show
    from grader.grading.results import Results

BACKUPS = KIT / ".grader" / "backups"


class Unknown(ValueError):
    """A name that the curriculum does not have; the message offers what is near."""


def find(name: str) -> tuple[Unit, Exercise | None]:
    """The unit, and the exercise if that is what the name says: `attention`, `softmax` or `attention.softmax`.

    Raises:
        Unknown: No such name, or more than one unit has it.
    """
    if name in load():
        return load()[name], None
    unit_name, _, exercise_name = name.rpartition(".")
    found = [
        (unit, exercise)
        for unit in load().values()
        for exercise in unit.exercises
        if exercise.name.lower() == exercise_name.lower() and unit_name in ("", unit.name)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise Unknown(f"{name} is in several units: {', '.join(f'{u.name}.{e.name}' for u, e in found)}")
    raise Unknown(f"there is no exercise {name!r}. {did_you_mean(name, exercises_and_units(name), _all_names())}")


def _all_names() -> str:
    return "Exercises: " + "; ".join(f"{u.name}: {', '.join(e.name for e in u.exercises)}" for u in load().values())


def next_exercise(results: Results) -> tuple[str, str] | None:
    """Unit and name of the first exercise that is not done; None where all are."""
    for unit in results.units:
        for exercise in unit.exercises:
            if exercise.status != "passed":
                return unit.unit, exercise.exercise
    return None


def what_next(results: Results, submission: Submission) -> str:
    """Say what is done and what to do next.

    Args:
        results: Of some units or of all.
        submission: What was graded; its stubs tell what is left in the units that were not.
    """
    following = next_exercise(results)
    if following is not None:
        return _invitation(*following)
    graded = [unit.unit for unit in results.units]
    if len(graded) == len(load()):
        return "[green]Everything is done. Congratulations![/]"
    done = f"[green]{', '.join(graded)} {'is' if len(graded) == 1 else 'are'} done.[/]"
    stub = _first_stub([unit for name, unit in load().items() if name not in graded], submission)
    rest = "No exercise of the other units is a stub. To see whether they pass: grader"
    return f"{done}\n{_invitation(*stub) if stub else rest}"


def _invitation(unit: str, exercise: str) -> str:
    place = f"in exercises/{unit}.py. Read its docstring, write it, then run"
    if load()[unit].whole:
        place = "uses everything you have written. Run"
    return f"Next: {unit}.{exercise} {place}\n  pytest -k {unit}        (stuck? grader hint {exercise})"


def _first_stub(units: Iterable[Unit], submission: Submission) -> tuple[str, str] | None:
    for unit in units:
        for exercise in () if unit.whole else unit.exercises:
            file = submission.file(unit.name)
            if file.is_stub(exercise.name) or not (exercise.name in file.definitions or exercise.name in file.assigned):
                return unit.name, exercise.name
    return None


def hint(name: str, number: int) -> str:
    """Hint `number` of an exercise, counted from 1, and how to get the next one.

    Raises:
        Unknown: No such exercise.
        ValueError: No such hint.
    """
    unit, exercise = find(name)
    if exercise is None:
        raise Unknown(f"{name} is a unit. Its exercises: {', '.join(e.name for e in unit.exercises)}")
    if not 1 <= number <= len(exercise.hints):
        raise ValueError(f"{exercise.name} has hints 1 to {len(exercise.hints)}")
    more = f"\nMore: grader hint {exercise.name} {number + 1}" if number < len(exercise.hints) else ""
    return f"Hint {number} of {len(exercise.hints)}: {exercise.hints[number - 1]}{more}"


def reset(name: str) -> tuple[Path, Path | None]:
    """Put the stub of an exercise, or of a whole unit, back; the file, and the copy of what it was.

    Raises:
        Unknown: No such exercise.
        ValueError: The file cannot be read as Python: only the whole unit can be reset.
    """
    # Imported here, since a hint needs neither pytest nor the models of a result.
    from grader.checking.oracle import solution_sources
    from grader.curriculum import stubs
    from grader.curriculum.files import write_atomically

    unit, exercise = find(name)
    if unit.whole:
        raise Unknown(f"{name} has no file: it puts the other units to work")
    file = KIT / "exercises" / f"{unit.name}.py"
    stub = stubs.make(unit, solution_sources()[unit.name].text)
    text = stub if exercise is None or not file.exists() else _with_stub(file, stub, unit, exercise.name)
    kept = backup(file)
    write_atomically(file, text)
    return file, kept


def backup(file: Path) -> Path | None:
    """Keep a copy of a file that is about to be overwritten; where it is."""
    if not file.exists():
        return None
    BACKUPS.mkdir(parents=True, exist_ok=True)
    copy = BACKUPS / f"{file.stem}.{time.strftime('%Y-%m-%dT%H-%M-%S')}.{time.time_ns() % 10**6:06}.py"
    shutil.copy2(file, copy)
    return copy


def _with_stub(file: Path, stub: str, unit: Unit, exercise: str) -> str:
    mine = from_bytes(file.name, file.read_bytes())
    if mine.problem:
        raise ValueError(f"{mine.problem}\nTo start the whole unit again: grader reset {unit.name}")
    fresh = _lines_of(from_bytes(file.name, stub.encode()).definitions[exercise], stub)
    if exercise not in mine.definitions:
        return mine.text.rstrip("\n") + "\n\n\n" + "\n".join(fresh) + "\n"
    node = mine.definitions[exercise]
    lines = _split(mine.text)
    return "\n".join([*lines[: _first(node)], *fresh, *lines[node.end_lineno :]]) + "\n"


def _lines_of(node: ast.stmt, text: str) -> list[str]:
    return _split(text)[_first(node) : node.end_lineno]


def _split(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")  # and not splitlines(), which sees more ends of lines than Python


def _first(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
