"""What a learner wrote themselves, in a form that does not change when names, comments or line breaks do.

Left out are docstrings, comments, annotations, imports, stubs and the headers that were handed out. A name that the
learner chose becomes `v`; what Python and torch call theirs stays: `v.softmax(v,dim=-1)`.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from grader.curriculum.submission import File, parse

_KEPT = frozenset(dir(builtins)) | {"self"}  # not torch: it can be imported under another name
_BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.FunctionDef, ast.ClassDef, ast.ExceptHandler)


@dataclass(frozen=True)
class OwnCode:
    """The learner's statements, one after the other.

    Args:
        text: All of them, without blanks.
        starts: Where in `text` each begins.
        lines: First and last line of each in the file.
    """

    text: str
    starts: tuple[int, ...]
    lines: tuple[tuple[int, int], ...]


def own_code(file: File) -> OwnCode:
    """The learner's own code of a file; nothing where the file cannot be read."""
    if file.problem:
        return OwnCode("", (), ())
    try:
        found = list(_statements(parse(file.text).body))
    except RecursionError:  # nested so deep that nobody wrote it by hand: it is compared as it stands
        lines = [("".join(line.split()), number) for number, line in enumerate(file.text.split("\n"), start=1)]
        found = [(line, number, number) for line, number in lines if line]
    starts = accumulate((len(written) + 1 for written, _, _ in found[:-1]), initial=0) if found else ()
    text = "".join(f"{written};" for written, _, _ in found)
    return OwnCode(text, tuple(starts), tuple((first, last) for _, first, last in found))


def _statements(body: list[ast.stmt]) -> Iterator[tuple[str, int, int]]:
    for node in body:
        if isinstance(node, _BLOCKS):
            yield from _block(node)
        elif not _handed_out(node):
            yield _written(node), node.lineno, node.end_lineno or node.lineno


def _block(node: ast.stmt | ast.ExceptHandler) -> Iterator[tuple[str, int, int]]:
    children = list(ast.iter_child_nodes(node))
    if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        shown = [child.context_expr if isinstance(child, ast.withitem) else child for child in children]
        header = [_written(child) for child in shown if isinstance(child, ast.expr)]
        yield f"{type(node).__name__}:{','.join(header)}", node.lineno, node.lineno
    for child in children:
        if isinstance(child, ast.ExceptHandler):
            yield from _block(child)
    for part in ("body", "orelse", "finalbody"):
        yield from _statements(getattr(node, part, []))


def _handed_out(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return "NotImplementedError" in ast.unparse(node)
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return True
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)


def _written(node: ast.AST) -> str:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        node = ast.copy_location(ast.Assign([node.target], node.value), node)
    try:
        # From text and not a copy of the tree: the tree is shared.
        return "".join(ast.unparse(_Renamed().visit(ast.parse(ast.unparse(node)))).split())
    except (SyntaxError, ValueError, RecursionError):  # nested too deep, or a number of 5,000 digits
        return type(node).__name__


class _Renamed(ast.NodeTransformer):
    """Names that a learner chose become `v`, texts become `s`."""

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """A variable or function."""
        return node if node.id in _KEPT else ast.Name("v", node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        """What hangs at `self` is the learner's, what hangs at anything else is torch's."""
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return ast.Attribute(node.value, "v", node.ctx)
        return ast.Attribute(self.visit(node.value), node.attr, node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Of a lambda."""
        return ast.arg("v")

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Messages are easily reworded."""
        return ast.Constant("s") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
        """As any other text."""
        return ast.Constant("s")
