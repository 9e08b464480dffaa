"""Stubs: the solutions without bodies. Generated, so that signatures and docstrings have one source."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

from grader.curriculum import Unit, load
from grader.curriculum.files import write_atomically
from grader.curriculum.submission import KIT


def make(unit: Unit, solution: str) -> str:
    """The stub of a unit's solution.

    Public definitions keep signature and docstring, private ones go; imports and constants stay.

    Args:
        unit: The unit.
        solution: The source of its solution.
    """
    tree = ast.parse(solution)
    lines = solution.split("\n")
    kept: list[str] = []
    for index, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            kept += ["", "", *_definition(unit.name, node, lines)]
        else:
            between = "\n".join(lines[_first_line(tree.body, index, lines) : node.end_lineno])
            after_definition = kept and isinstance(tree.body[index - 1], ast.FunctionDef | ast.ClassDef)
            kept += ["", "", between.lstrip("\n")] if after_definition else [between]
    return "\n".join(kept).strip() + "\n"


def _first_line(body: list[ast.stmt], index: int, lines: list[str]) -> int:
    # With the comments and blank lines that stand before a statement, back to the one before it.
    return (body[index - 1].end_lineno or 0) if index else 0


def _definition(unit: str, node: ast.FunctionDef | ast.ClassDef, lines: list[str]) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return _function(f"{unit}.{node.name}", node, lines)
    kept = lines[_start(node) : _docstring_end(node)]
    for before, child in itertools.pairwise(node.body):
        if isinstance(child, ast.FunctionDef):
            if child.name.startswith("_") and not child.name.startswith("__"):
                continue
            kept += ["", *_function(f"{unit}.{node.name}.{child.name}", child, lines)]
        elif isinstance(before, ast.AnnAssign):  # the fields of a dataclass stay together, with what stands between
            kept += lines[before.end_lineno : child.end_lineno]
        else:
            kept += ["", *lines[child.lineno - 1 : child.end_lineno]]
    return kept


def _function(name: str, node: ast.FunctionDef, lines: list[str]) -> list[str]:
    indent = " " * (node.col_offset + 4)
    head = lines[_start(node) : _docstring_end(node)]
    return [*head, f'{indent}raise NotImplementedError("{name} is still a stub")']


def _start(node: ast.FunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1


def _docstring_end(node: ast.FunctionDef | ast.ClassDef) -> int:
    """The line after which the body proper begins: after the docstring, or after the signature."""
    if ast.get_docstring(node, clean=False) is not None:
        return node.body[0].end_lineno or 0
    return node.body[0].lineno - 1


def expected() -> dict[Path, str]:
    """Every file of `exercises/`, as it has to be."""
    files = {KIT / "exercises" / "__init__.py": '"""Your code: one module per unit."""\n'}
    for unit in (unit for unit in load().values() if not unit.whole):
        solution = (KIT / "solutions" / f"{unit.name}.py").read_text(encoding="utf-8")
        files[KIT / "exercises" / f"{unit.name}.py"] = make(unit, solution)
    return files


def stale() -> list[Path]:
    """The files of `exercises/` that are not what the solutions make of them, stray ones included."""
    wanted = expected()
    there = set((KIT / "exercises").glob("*.py"))
    wrong = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return sorted({*wrong, *(there - set(wanted))})


def write() -> list[Path]:
    """Write every stub anew; which files changed. A learner's work in them is overwritten."""
    changed = [path for path in stale() if path in expected()]
    for path in changed:
        write_atomically(path, expected()[path])
    return changed
