"""What the names of a module mean: full names of what it imports, however it says them, and what it reaches."""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from grader.curriculum.submission import File, parse

_PACKAGE = "exercises"
_BUILTINS = ("eval", "exec", "__import__", "compile", "getattr", "vars")
_DOTTED = re.compile(r"[A-Za-z_]\w*([.:][A-Za-z_]\w*)+")
_MAX_PIECES = 20


class Names:
    """The full names behind a module's own.

    Args:
        tree: The module.
        files: Other modules of the submission: a name that comes from one of them means what it means there.
        apart: Names whose meaning does not matter.
        known: What the names of modules mean that have been read, shared by all that read one another.
    """

    def __init__(
        self,
        tree: ast.Module,
        files: Mapping[str, File],
        apart: Sequence[str] = (),
        known: dict[str, dict[str, str]] | None = None,
    ) -> None:
        self._files = files
        self._known = {} if known is None else known
        self.meaning = {name: name for name in _BUILTINS}
        binding = _binding(tree)
        for node in binding:
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        for node in binding:  # `t = torch` is one more name of it
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if meant := self.dotted(node.value):
                    self.meaning |= {target.id: meant for target in targets if isinstance(target, ast.Name)}
        for name in apart:
            self.meaning.pop(name, None)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            first = alias.name.partition(".")[0]
            self.meaning[alias.asname or first] = alias.name if alias.asname else first

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = self._module_of(node)
        for alias in node.names:
            if module in self._files:
                inside = self._inside(module)
                self.meaning |= inside if alias.name == "*" else {}
                self.meaning[alias.asname or alias.name] = inside.get(alias.name, "")
            elif module:
                self.meaning[alias.asname or alias.name] = f"{module}.{alias.name}"
            elif alias.name in self._files:  # from . import mine
                self.meaning[alias.asname or alias.name] = f"{_PACKAGE}.{alias.name}"

    def _module_of(self, node: ast.ImportFrom) -> str:
        """The module, where it is of the submission without the package; "" is the package itself."""
        name = node.module or ""
        if node.level or name == _PACKAGE:
            return name.removeprefix(_PACKAGE)
        return name.removeprefix(f"{_PACKAGE}.")

    def _inside(self, module: str) -> dict[str, str]:
        if module not in self._known:
            self._known[module] = {}  # until it has been read, for a circle of imports
            if not self._files[module].problem:
                meaning = Names(parse(self._files[module].text), self._files, (), self._known).meaning
                self._known[module] = meaning
        return self._known[module]

    def imported_by(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        """Modules of the submission that a statement imports, each with the definition; "" is all of it."""
        if isinstance(node, ast.Import):
            names = [alias.name.removeprefix(f"{_PACKAGE}.") for alias in node.names]
            yield from ((name, "") for name in names if name in self._files)
        elif isinstance(node, ast.ImportFrom):
            module = self._module_of(node)
            for alias in node.names:
                if module in self._files:
                    yield module, "" if alias.name == "*" else alias.name
                elif not module and alias.name in self._files:
                    yield alias.name, ""

    def said_by(self, node: ast.AST) -> Iterator[str]:
        """The full names that a node says."""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (module := self._module_of(node)):
            yield from (f"{module}.{alias.name}" for alias in node.names if module not in self._files)
        elif isinstance(node, ast.Attribute | ast.Name | ast.Call):
            yield self.dotted(node)
            yield from self._hidden(node)
        elif isinstance(node, ast.Constant | ast.BinOp) and _DOTTED.fullmatch(text := folded(node)):
            yield from (name for name in [text.replace(":", ".")] if _is_open(name))

    def _hidden(self, node: ast.AST) -> Iterator[str]:
        """A computed name on torch or sys hides what it asks for; so does a module's dictionary."""
        if isinstance(node, ast.Attribute) and node.attr == "__dict__" and _is_open(self.dotted(node.value)):
            yield "__import__"
        if not isinstance(node, ast.Call) or not node.args or not _is_open(self.dotted(node.args[0])):
            return
        called = self.dotted(node.func)
        if called == "vars" or (called == "getattr" and not (len(node.args) > 1 and folded(node.args[1]))):
            yield "__import__"

    def dotted(self, node: ast.AST) -> str:
        """The full name of an expression; empty where it has none."""
        parts: list[str] = []
        while not isinstance(node, ast.Name):
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Call) and len(node.args) > 1 and self._is_getattr(node.func):
                parts.append(folded(node.args[1]) or "?")
                node = node.args[0]
            else:
                return ""
        if not (meant := self.meaning.get(node.id, "")):
            return ""
        return self._resolved([*meant.split("."), *reversed(parts)])

    def _is_getattr(self, function: ast.AST) -> bool:
        return isinstance(function, ast.Name) and self.meaning.get(function.id) == "getattr"

    def _resolved(self, parts: list[str]) -> str:
        own = parts[1:] if parts[0] == _PACKAGE else parts
        if len(own) > 1 and own[0] in self._files and (meant := self._inside(own[0]).get(own[1], "")):
            return ".".join([meant, *own[2:]])
        return ".".join(parts)


@lru_cache(maxsize=4)  # a module is looked through for each of its exercises
def _binding(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All nodes that give a name a meaning."""
    kinds = ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.NamedExpr
    return tuple(node for node in ast.walk(tree) if isinstance(node, kinds))


def _is_open(name: str) -> bool:
    return name.partition(".")[0] in ("torch", "sys")


def folded(node: ast.AST) -> str:
    """A text that stands in the source, in one piece or in a few that are added; empty for all else."""
    pieces: list[str] = []
    queue = [node]
    while queue and len(pieces) < _MAX_PIECES:
        part = queue.pop()
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add) and len(queue) < _MAX_PIECES:
            queue += [part.right, part.left]
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            pieces.append(part.value)
        else:
            return ""
    return "".join(pieces) if not queue else ""


def reachable(tree: ast.Module, name: str, apart: Sequence[str] = ()) -> Iterator[ast.AST]:
    """Every node of a definition, of what it names in the module, and of the module's own statements.

    Args:
        tree: The module.
        name: Where to begin; "" is everything.
        apart: Names that are not followed, nor are statements that bind nothing else.
    """
    definitions: dict[str, list[ast.stmt]] = {}
    loose: list[ast.stmt] = []
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            definitions.setdefault(statement.name, []).append(statement)
        elif not _is_main(statement) and (not (bound := _bound(statement)) or bound - set(apart)):
            loose.append(statement)
    begin = [part for parts in definitions.values() for part in parts] if not name else definitions.get(name, [])
    queue: list[ast.AST] = [*begin, *loose]
    seen = {name, *apart}
    while queue:
        for node in _code(queue.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id in definitions and node.id not in seen:
                seen.add(node.id)
                queue += definitions[node.id]


def _code(top: ast.AST) -> Iterator[ast.AST]:
    """All nodes but words that stand alone, as docstrings do."""
    queue = deque([top])
    while queue:
        node = queue.popleft()
        yield node
        queue += [child for child in ast.iter_child_nodes(node) if not _is_text(child)]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_main(statement: ast.stmt) -> bool:
    """Whether a statement is the part that never runs when the module is imported."""
    if not isinstance(statement, ast.If) or statement.orelse or not isinstance(statement.test, ast.Compare):
        return False
    test = statement.test
    sides = [test.left, *test.comparators]
    names = [side.id for side in sides if isinstance(side, ast.Name)]
    texts = [folded(side) for side in sides if folded(side)]
    return isinstance(test.ops[0], ast.Eq) and names == ["__name__"] and texts == ["__main__"]


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Assign):
        return {target.id if isinstance(target, ast.Name) else "" for target in statement.targets}
    if isinstance(statement, ast.ImportFrom):
        return {alias.asname or alias.name for alias in statement.names}
    return set()
