r"""Of a notebook or a script, what its exercises need, unit by unit; the rest would only run.

A notebook trains, plots and prints between its definitions, needs files that are not there and packages that are not
installed. What a unit keeps is found from its exercises: their definitions, and whatever these reach by name, such as
helpers, constants, imports, and assignments to attributes of them. Everything else becomes blank lines, so that each
line keeps its number. An exercise of a lower unit becomes an import from that unit, as in the kit's own files: graded,
it is the reference's, so that a mistake in it costs its points once.

A name that is defined by `def` or `class` stays that: `sample = sample(model)` further down is a demonstration.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, replace
from functools import cached_property

from grader.checking import free_names
from grader.curriculum import Unit, load
from grader.sandbox.worker.importer import Source


def reached(unit: Unit, source: Source) -> Source:
    """A unit's module without what none of its exercises reaches; the lines keep their numbers."""
    return replace(source, text=Code(source.text, ast.parse(source.text)).take(unit)[0])


@dataclass(frozen=True)
class _Piece:
    """Lines that go together: a statement, or several that share a line."""

    first: int
    last: int
    statements: tuple[ast.stmt, ...]
    text: str

    @cached_property
    def defines(self) -> set[str]:
        return set().union(*(free_names.defined(statement) for statement in self.statements))

    @cached_property
    def binds(self) -> set[str]:
        return free_names.bound(self.statements)

    @cached_property
    def uses(self) -> set[str]:
        try:
            return free_names.used(self.text)
        except SyntaxError:  # what Python says of it is said when it is imported
            return set()

    @property
    def only(self) -> ast.stmt | None:
        return self.statements[0] if len(self.statements) == 1 else None


class Code:
    """A text with definitions in it, of which units can be taken.

    Args:
        text: What can be parsed.
        tree: Of the text.
    """

    def __init__(self, text: str, tree: ast.Module) -> None:
        self._lines = text.split("\n")
        pieces = _pieces(tree, self._lines)
        self._pieces = [piece for piece in pieces if not _is_future(piece)]
        self._future = sorted({name for piece in pieces if _is_future(piece) for name in piece.binds})
        self.defines: set[str] = set().union(*(piece.defines for piece in self._pieces))
        self._providers = self._index()

    def _index(self) -> dict[str, list[_Piece]]:
        """Name to the pieces without which it is not what it is."""
        providers: dict[str, list[_Piece]] = {}
        imported: set[str] = set()
        for piece in self._pieces:
            for name in piece.binds:
                if name in piece.defines or name not in self.defines:
                    providers.setdefault(name, []).append(piece)
            if isinstance(piece.only, ast.Import | ast.ImportFrom):
                imported |= piece.binds
        for piece in self._pieces:
            for name in set().union(*(free_names.patched(statement) for statement in piece.statements)) - imported:
                providers.setdefault(name, []).append(piece)
        return providers

    def has(self, unit: Unit) -> int:
        """How many exercises of the unit are defined here."""
        return sum(exercise.name in self.defines for exercise in unit.exercises)

    def take(self, unit: Unit) -> tuple[str, set[str]]:
        """The module of a unit, and the names that it needs and nobody defines."""
        lower = _lower_exercises(unit)
        kept: dict[int, _Piece] = {}
        queue = [exercise.name for exercise in unit.exercises]
        needed = set(queue)
        imports = [piece for piece in self._pieces if "*" in piece.binds]
        while queue or imports:
            found = [*imports, *(self._providers.get(queue.pop(), ()) if queue else ())]
            imports = []
            for piece in found:
                if piece.first in kept:
                    continue
                kept[piece.first] = piece
                uses = set() if _lower_unit(piece, lower) else piece.uses
                queue += uses - needed
                needed |= uses
        everything = set(dir(builtins)).union(*(piece.binds for piece in self._pieces))
        return self._write(kept, lower), needed - everything - {exercise.name for exercise in unit.exercises}

    def _write(self, kept: dict[int, _Piece], lower: dict[str, str]) -> str:
        lines = [""] * len(self._lines)
        for piece in kept.values():
            if source := _lower_unit(piece, lower):
                lines[piece.first - 1] = f"from .{source} import {next(iter(piece.defines))}"
            else:
                lines[piece.first - 1 : piece.last] = self._lines[piece.first - 1 : piece.last]
        if self._future:  # nothing else can stand in front of these, and so nothing does
            lines[0] = f"from __future__ import {', '.join(self._future)}"
        return "\n".join(lines).rstrip("\n") + "\n"


def _pieces(tree: ast.Module, lines: list[str]) -> list[_Piece]:
    groups: list[list[ast.stmt]] = []
    end = 0
    for statement in tree.body:
        if groups and end >= _first_line(statement):
            groups[-1].append(statement)
        else:
            groups.append([statement])
        end = statement.end_lineno or statement.lineno
    spans = [(_first_line(group[0]), group[-1].end_lineno or group[-1].lineno, tuple(group)) for group in groups]
    return [_Piece(first, last, group, "\n".join(lines[first - 1 : last]) + "\n") for first, last, group in spans]


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _is_future(piece: _Piece) -> bool:
    return isinstance(piece.only, ast.ImportFrom) and piece.only.module == "__future__"


def _lower_exercises(unit: Unit) -> dict[str, str]:
    """Exercise to unit, of all units on which this one builds."""
    found: dict[str, str] = {}
    for name in unit.needs:
        found |= _lower_exercises(load()[name]) | {exercise.name: name for exercise in load()[name].exercises}
    return found


def _lower_unit(piece: _Piece, lower: dict[str, str]) -> str:
    statement = piece.only
    return lower.get(statement.name, "") if isinstance(statement, ast.FunctionDef | ast.ClassDef) else ""
