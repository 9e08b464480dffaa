"""Which names a statement binds, and which it takes from around it: Python's scopes, read from the tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _same_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below these, without going into functions, classes and comprehensions."""
    queue = list(nodes)
    while queue:
        node = queue.pop()
        yield node
        if not isinstance(node, _SCOPES):
            queue += ast.iter_child_nodes(node)


def bound(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that these statements bind in their own scope."""
    names: set[str] = set()
    for node in _same_scope(nodes):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, (*_DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            names.add(node.name)
    return names


def defined(statement: ast.stmt) -> set[str]:
    """Functions and classes that it defines, be it in an `if` or a `try`."""
    return {node.name for node in _same_scope([statement]) if isinstance(node, _DEFINITIONS)}


def used(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that these take from the module or from Python itself."""
    names: set[str] = set()
    queue = list(nodes)  # and not by recursion: a sum of a thousand terms is as many levels deep
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, _FUNCTIONS):
            names |= _used_by_function(node)
        elif isinstance(node, _COMPREHENSIONS):
            targets = bound(generator.target for generator in node.generators)
            names |= (used(ast.iter_child_nodes(node)) - targets) | used([node.generators[0].iter])
        else:
            names |= bound([node.target]) if isinstance(node, ast.AugAssign) else set()
            queue += ast.iter_child_nodes(node)
    return names


def _used_by_function(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    local = bound(body) | {parameter.arg for parameter in parameters if parameter is not None}
    declared = {name for inner in _same_scope(body) if isinstance(inner, ast.Global) for name in inner.names}
    around: list[ast.AST] = [arguments]
    if not isinstance(node, ast.Lambda):
        around += [*node.decorator_list, *([node.returns] if node.returns else [])]
    return (used(body) - local) | declared | used(around)


def patched(statement: ast.stmt) -> set[str]:
    """Names that it changes without binding them: `A.forward = f`, `setattr(A, ...)`, a method by `@add_to(A)`."""
    names: set[str] = set()
    for node in _same_scope([statement]):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            names |= _root(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            names |= _root(node.args[0]) if node.args else set()
    for decorator in getattr(statement, "decorator_list", ()):
        if isinstance(decorator, ast.Call):
            names |= {name for argument in decorator.args for name in _root(argument)}
    return names


def _root(node: ast.expr) -> set[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()
