"""Which names a statement binds, which it takes from around it, and which it changes."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator

_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
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


def used(text: str) -> set[str]:
    """The names that statements take from the module or from Python itself; by Python's own table of scopes.

    Raises:
        SyntaxError: No scope of the text makes sense by itself, as with a global declaration after its use.
        RecursionError: Scopes are nested deeper than Python can compile.
    """
    names: set[str] = set()
    tables = [symtable.symtable(text, "submission", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        everywhere = table.get_type() in ("module", "class")  # a class looks in itself first, then in the module
        for symbol in table.get_symbols():
            if (symbol.is_referenced() and (everywhere or symbol.is_global())) or symbol.is_declared_global():
                names.add(symbol.get_name())
    return names


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
