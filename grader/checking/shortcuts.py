"""Shortcuts in the source: torch's own version of the very thing, or a way around asking for it by name.

What the source does not show, such as `x.softmax(-1)`, is seen as it runs (`isolation/watch.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import lru_cache

from grader.submission import File, parse

_AROUND = (
    *("torch.ops", "torch._C", "torch._VF", "torch._refs", "torch._decomp", "torch._prims", "torch._dynamo"),
    *("torch.jit", "torch.compile", "torch.library", "torch.overrides", "torch.utils._python_dispatch"),
    *("torch.utils.cpp_extension", "ctypes", "importlib", "sys.modules", "sys.settrace", "sys.setprofile"),
    *("sys._getframe", "sys.meta_path", "gc", "inspect", "builtins", "eval", "exec", "__import__", "compile"),
)
# Whatever they hang on: an alias, a call's result.
_AROUND_ATTRIBUTES = frozenset(
    (
        *("_C", "_VF", "_python_dispatch", "_disable_current_modes", "DisableTorchFunction", "_DisableTorchDispatch"),
        *("_getframe", "f_back", "f_locals", "f_globals", "tb_frame", "gi_frame", "settrace", "setprofile"),
        *("meta_path", "__globals__", "__builtins__", "__subclasses__"),
    )
)
_ANSWERS = ("solutions", "tests", "grader")


def find_shortcut(file: File, exercise: str, not_allowed: Sequence[str], below: Sequence[str] = ()) -> str:
    """The first forbidden name that the exercise's code reaches, with its place; empty where there is none.

    Args:
        file: The learner's module.
        exercise: The function or class; what it calls in the same module is looked at too.
        not_allowed: Full names of torch functions.
        below: Exercises that this one may call: a shortcut in them costs them alone, and is seen here as it runs,
            but no way around being seen may hide in them.
    """
    if file.problem:
        return ""
    tree = parse(file.text)
    names = _imported(tree)
    own = {name: meant for name, meant in names.items() if name not in below}
    return _first(file, _reachable(tree, exercise, below), own, not_allowed, ()) or _first(
        file,
        _reachable(tree, exercise),
        names,
        (*_AROUND, *_ANSWERS) if not_allowed else _ANSWERS,
        _AROUND_ATTRIBUTES if not_allowed else (),
    )


def _first(
    file: File, nodes: Iterable[ast.AST], names: dict[str, str], forbidden: Sequence[str], attributes: Container[str]
) -> str:
    for node in nodes:
        for name in _names_in(node, names):
            if found := next((f for f in forbidden if name == f or name.startswith(f"{f}.")), ""):
                return f"{found} ({file.path}:{getattr(node, 'lineno', 1)})"
        if isinstance(node, ast.Attribute) and node.attr in attributes:
            return f"{node.attr} ({file.path}:{node.lineno})"
    return ""


@lru_cache(maxsize=4)
def _imported(tree: ast.Module) -> dict[str, str]:
    names = {name: name for name in ("eval", "exec", "__import__", "compile", "getattr", "vars")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):  # `t = torch` is one more name of it
        if isinstance(node, ast.Assign) and (meant := _dotted(node.value, names)):
            names |= {target.id: meant for target in node.targets if isinstance(target, ast.Name)}
    return names


def _reachable(tree: ast.Module, exercise: str, apart: Sequence[str] = ()) -> Iterator[ast.AST]:
    """Every node of the exercise, of what it names in the module, and of the module's own statements.

    Args:
        tree: The module.
        exercise: Where to begin.
        apart: Names that are not followed, nor are statements that bind nothing else.
    """
    definitions: dict[str, list[ast.stmt]] = {}
    loose: list[ast.stmt] = []
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            definitions.setdefault(statement.name, []).append(statement)
        elif not (bound := _bound(statement)) or bound - set(apart):
            loose.append(statement)
    queue = [*definitions.get(exercise, ()), *loose]
    seen = {exercise, *apart}
    while queue:
        for node in ast.walk(queue.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id in definitions and node.id not in seen:
                seen.add(node.id)
                queue += definitions[node.id]


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Assign):
        return {target.id if isinstance(target, ast.Name) else "" for target in statement.targets}
    if isinstance(statement, ast.ImportFrom):
        return {alias.asname or alias.name for alias in statement.names}
    return set()


def _names_in(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute | ast.Name):
        yield _dotted(node, names)
    elif isinstance(node, ast.Call) and _dotted(node.func, names) in ("getattr", "vars") and node.args:
        target = _dotted(node.args[0], names)
        literal = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) else None
        if target.partition(".")[0] in ("torch", "sys"):
            # getattr(torch, "exp") is odd but plain; a computed name hides what it asks for.
            yield f"{target}.{literal}" if isinstance(literal, str) else "__import__"


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *reversed(parts)])
