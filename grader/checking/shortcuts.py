"""Shortcuts in the source: torch's own version of the very thing, or a way around the audit.

Modules of the submission that the exercise imports are read as if their code stood in it. What the source does not
show, such as `x.softmax(-1)`, is seen as it runs (`grader/sandbox/worker/audit.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from grader.checking.names import Names, reachable
from grader.curriculum.submission import File, parse
from grader.sandbox.worker import families

_AROUND = (
    *families.ENGINES,
    *families.LIBRARIES,
    *("torch.ops", "torch._C", "torch._VF", "torch.overrides", "torch.utils._python_dispatch"),
    *("torch.utils.cpp_extension", "torch.load", "torch.serialization", "torch.Tensor.__torch_function__"),
    *("ctypes", "importlib", "pkgutil", "runpy", "imp", "zipimport", "code", "codeop", "pickle", "marshal", "copyreg"),
    *("threading", "_thread", "multiprocessing", "subprocess", "concurrent", "gc", "inspect", "builtins"),
    *("operator.attrgetter", "operator.methodcaller", "types.FunctionType", "types.CodeType"),
    *("sys.modules", "sys._getframe", "sys.meta_path", "eval", "exec", "__import__", "compile"),
)
# Whatever they hang on: an alias, a call's result.
_AROUND_ATTRIBUTES = frozenset(
    (
        *("_C", "_VF", "_refs", "_decomp", "_prims", "_prims_common", "_inductor", "_numpy", "_dynamo"),
        *("_python_dispatch", "_disable_current_modes", "DisableTorchFunction", "DisableTorchFunctionSubclass"),
        *("_DisableTorchDispatch", "_DisableFuncTorch", "_pop_mode", "_pop_torch_function_stack"),
        *("_getframe", "_current_frames", "f_back", "f_locals", "f_globals", "tb_frame", "gi_frame"),
        *("meta_path", "__globals__", "__builtins__", "__subclasses__", "__code__", "__closure__", "__reduce__"),
        *("__torch_function__", "__torch_dispatch__", "as_subclass", "_make_subclass", "_make_wrapper_subclass"),
    )
)
# In every exercise: lines are counted in some, and nothing is written by hand with these.
_TRACING = frozenset(("settrace", "setprofile", "f_trace", "f_trace_lines", "f_trace_opcodes", "addaudithook"))
_ALWAYS = ("solutions", "tests", "grader", "sys.settrace", "sys.setprofile", "sys.monitoring", "sys.addaudithook")
_TENSORS = ("torch.Tensor", "torch.FloatTensor", "torch.nn.Parameter", "torch.nn.parameter.Parameter")

NO_FILES: Mapping[str, File] = MappingProxyType({})


def find_shortcut(
    file: File,
    exercise: str,
    not_allowed: Sequence[str],
    below: Sequence[str] = (),
    files: Mapping[str, File] = NO_FILES,
) -> str:
    """The first forbidden name that the exercise's code reaches, with its place; empty where there is none.

    Args:
        file: The learner's module.
        exercise: The function or class; what it calls in the same module is looked at too.
        not_allowed: Full names of torch functions; each stands for its family.
        below: Exercises that this one may call: a shortcut in them costs them alone, and is seen here as it runs,
            but no way around being seen may hide in them.
        files: Modules of the submission, by name, that are read too where the exercise imports them.
    """
    if file.problem:
        return ""
    the_thing = families.forbidden(tuple(not_allowed)) if not_allowed else None
    if the_thing and (found := _Screen(files, the_thing, (), frozenset()).search(file, exercise, below)):
        return found
    around = (*_AROUND, *_ALWAYS) if not_allowed else _ALWAYS
    attributes = _AROUND_ATTRIBUTES | _TRACING if not_allowed else _TRACING
    return _Screen(files, None, around, attributes).search(file, exercise)


@dataclass
class _Screen:
    """One look through the exercise and all modules of the submission that it reaches.

    Args:
        files: Modules that are followed.
        thing: What the exercise asks for, if this is looked for.
        around: Beginnings of full names.
        attributes: Names that are refused whatever they hang on.
    """

    files: Mapping[str, File]
    thing: families.Forbidden | None
    around: tuple[str, ...]
    attributes: frozenset[str]
    seen: set[tuple[str, str]] = field(default_factory=set)

    def search(self, file: File, name: str, apart: Sequence[str] = ()) -> str:
        """The first thing found, with its place.

        Args:
            file: Where to begin.
            name: The definition to begin with; "" is the whole module.
            apart: Definitions that are not followed.
        """
        if file.problem or (file.path, name) in self.seen:
            return ""
        self.seen.add((file.path, name))
        tree = parse(file.text)
        names = Names(tree, self.files, apart)
        for node in reachable(tree, name, apart):
            if found := self._forbidden(node, names):
                return f"{found} ({file.path}:{getattr(node, 'lineno', 1)})"
            for module, wanted in names.imported_by(node):
                if found := self.search(self.files[module], wanted):
                    return found
        return ""

    def _forbidden(self, node: ast.AST, names: Names) -> str:
        for name in names.said_by(node):
            if self.thing and (found := self.thing.match(name)):
                return found
            around = self.around if name.startswith(self.around) else ()  # most names need no second look
            if found := next((f for f in around if name == f or name.startswith(f"{f}.")), ""):
                return found
        word = _word(node)
        if word in self.attributes:
            return word
        if self.around is not _ALWAYS and isinstance(node, ast.ClassDef):
            return next((f"a class of tensors {name}" for name in self._tensor_bases(node, names)), "")
        return ""

    def _tensor_bases(self, node: ast.ClassDef, names: Names) -> Iterator[str]:
        if self.around:
            yield from (node.name for base in node.bases if names.dotted(base) in _TENSORS)


def _word(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""
