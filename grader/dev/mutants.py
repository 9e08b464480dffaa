"""Mutants: the small changes of a text that cosmic-ray knows, without those that nobody could see, and how they ended.

Left out are annotations, on which nothing runs; the star before keyword-only parameters, which is no product; and what
a raised exception is given: its words are free, and what its docstring promises of them the checks ask on their own.
Texts and comments cosmic-ray leaves as they are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

Place = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Args:
        text: All of it.
        owner: The function or class that was changed; empty where it is neither.
        line: Where.
        old: What stood there.
        new: What stands there.
    """

    text: str
    owner: str
    line: int
    old: str
    new: str


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: `killed`, `timed out` or `survived`, by which check, and a digest of all the tests."""

    ended: str
    check: str
    line: int
    old: str
    new: str
    tests: str


def mutants(text: str) -> Iterator[Mutant]:
    """Every change that leaves Python of another meaning, each once, one definition after the other."""
    lines = text.splitlines(keepends=True)
    module = ast.parse(text)
    silent = list(_silent(module, lines))
    for node in module.body:
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))]) - 1
        piece = "".join(lines[first : node.end_lineno])  # it is parsed again for each mutant, so not the whole module
        seen = {ast.dump(ast.parse(piece))}
        for mutated in _mutated(piece, first, silent):
            try:
                tree = ast.dump(ast.parse(mutated))
            except SyntaxError:
                continue  # the stars of `{**one, **other}`, which are no powers
            if tree not in seen:
                seen.add(tree)
                whole = "".join(lines[:first]) + mutated + "".join(lines[node.end_lineno :])
                yield Mutant(whole, getattr(node, "name", ""), *_difference(text.splitlines(), whole.splitlines()))


def _mutated(piece: str, first: int, silent: list[tuple[Place, Place]]) -> Iterator[str]:
    nodes = list(ast_nodes(get_ast(piece)))
    for operator in map(get_operator, operator_names()):
        if operator.arguments():  # it wants to be told a variable
            continue
        places = [(node, place) for node in nodes for place in operator().mutation_positions(node)]
        for occurrence, (node, ((line, column), (last, end))) in enumerate(places):
            star = node.parent is not None and node.parent.type == "parameters"
            start, stop = (line + first, column), (last + first, end)
            if not star and not any(begin <= start and stop <= ends for begin, ends in silent):
                yield mutate_code(piece, operator(), occurrence)


def _silent(module: ast.Module, lines: list[str]) -> Iterator[tuple[Place, Place]]:
    def place(line: int, column: int) -> Place:
        return line, len(lines[line - 1].encode()[:column].decode())  # ast counts bytes, cosmic-ray letters

    for node in ast.walk(module):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            parts += node.exc.args
        for part in parts:
            if isinstance(part, ast.expr):
                yield place(part.lineno, part.col_offset), place(part.end_lineno or 0, part.end_col_offset or 0)


def _difference(before: list[str], after: list[str]) -> tuple[int, str, str]:
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    parts = (side[start : len(side) - end] for side in (before, after))
    old, new = (" ".join(line.partition("  # ")[0].strip() for line in part) for part in parts)
    return start + 1, old, new


def _alike(one: list[str], other: list[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def explained(fates: Sequence[Fate], equivalent: Sequence[Mapping[str, str]]) -> dict[Fate, str]:
    """The survivors, each with the reason why it makes no difference, or with "".

    Args:
        fates: What became of all mutants of a unit.
        equivalent: The line as it was (`old`), the line as it is (`new`; without it, any) and the reason (`why`).
    """
    reasons = {(entry["old"], entry.get("new", "")): entry["why"] for entry in equivalent}
    alive = [fate for fate in fates if fate.ended == "survived"]
    return {fate: reasons.get((fate.old, fate.new)) or reasons.get((fate.old, ""), "") for fate in alive}


def summary(name: str, fates: Sequence[Fate], alive: Mapping[Fate, str]) -> str:
    """A line of numbers."""
    late, same = sum(fate.ended == "timed out" for fate in fates), sum(map(bool, alive.values()))
    dead = 100 * (len(fates) - len(alive))
    numbers = f"{len(fates)} mutants, {late} of them timed out, {len(alive)} survived, {same} of these equivalent"
    return f"{name}: {numbers}: {dead / len(fates):.1f} % killed, {dead / (len(fates) - same):.1f} % without those"


def report(name: str, fates: Sequence[Fate], alive: Mapping[Fate, str]) -> str:
    """A line of numbers, and one for each survivor."""
    lines = [
        f"  {fate.line}: {fate.old} -> {fate.new}" + (f"  [equivalent: {why}]" if why else "")
        for fate, why in alive.items()
    ]
    return "\n".join([summary(name, fates, alive), *lines])
