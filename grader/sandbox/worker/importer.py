"""A package made of source texts: the learner's files, with the reference's in place of some of them.

The same importer serves both sides: in a worker the texts came over the wire, locally they keep their real paths,
so that breakpoints and tracebacks work.
"""

from __future__ import annotations

import ast
import base64
import builtins
import importlib
import importlib.abc
import importlib.machinery
import linecache
import marshal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

UNITS = frozenset(path.stem for path in (Path(__file__).parents[2] / "curriculum").glob("*.toml"))
_PACKAGE = "exercises"  # as learners know it, whatever it is called here


@dataclass(frozen=True)
class Source:
    """A module's text, and the path that tracebacks show for it.

    Args:
        path: The path.
        text: The text.
        secret: Whether it is the reference's: a worker is sent its compiled code instead.
    """

    path: str
    text: str
    secret: bool = False


@dataclass(frozen=True)
class Compiled:
    """A module's code without its text: nothing in the process that runs it can show a line of it.

    Args:
        path: What tracebacks show.
        data: Marshalled code, as text.
    """

    path: str
    data: str

    @property
    def code(self) -> CodeType:
        """The code; only for data from the trusted side."""
        code: CodeType = marshal.loads(base64.b64decode(self.data))
        return code


@lru_cache(maxsize=256)  # each worker is sent the same few
def compiled(source: Source, names: tuple[str, ...] = ()) -> Compiled:
    """A module as code, without docstrings.

    Args:
        source: The module.
        names: Definitions to keep, with all that they use; empty keeps everything.
    """
    text = excerpt(source.text, names) if names else source.text
    code = compile(text, source.path, "exec", dont_inherit=True, optimize=2)
    return Compiled(source.path, base64.b64encode(marshal.dumps(code)).decode())


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, package: str, sources: Mapping[str, Source | Compiled]) -> None:
        self.package = package
        self.sources = sources
        self.loaded: dict[str, ModuleType] = {}
        self.builtins = {**vars(builtins), "__import__": self.import_}

    def import_(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        """Import for the package's own modules: `from embedding import Linear` means the one beside them.

        People write that outside of packages. Nobody else's imports are changed. Parameters are those of `__import__`.
        """
        head, _, rest = name.partition(".")
        if level == 0 and head in self.sources and not self._is_elsewhere(head):
            return builtins.__import__(name, globals, locals, fromlist, 1)
        if level == 0 and head == _PACKAGE != self.package:
            found = builtins.__import__(rest, globals, locals, fromlist, 1)
            return found if fromlist else sys.modules[self.package]
        return builtins.__import__(name, globals, locals, fromlist, level)

    def _is_elsewhere(self, name: str) -> bool:
        """Whether a flat name means a module of Python or an installed package; a unit's name never does."""
        if name in UNITS:
            return False
        spec = None if name in sys.stdlib_module_names else importlib.machinery.PathFinder.find_spec(name)
        return name in sys.stdlib_module_names or (spec is not None and spec.origin != self.sources[name].path)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        parent, _, name = fullname.rpartition(".")
        if fullname == self.package:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if parent == self.package and name in self.sources:
            return importlib.machinery.ModuleSpec(fullname, self, origin=self.sources[name].path)
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.removeprefix(self.package).lstrip(".")
        if not name:
            return
        source = self.sources[name]
        module.__file__ = source.path
        vars(module)["__builtins__"] = self.builtins
        exec(_code_of(source), vars(module))
        self.loaded[name] = module


def _code_of(source: Source | Compiled) -> CodeType:
    if isinstance(source, Compiled):
        return source.code
    lines = source.text.splitlines(keepends=True)
    linecache.cache[source.path] = (len(source.text), None, lines, source.path)
    return _compile(source)


@lru_cache(maxsize=256)  # the reference's modules lie below every known mistake, one that remembers is loaded often
def _compile(source: Source) -> CodeType:
    return compile(source.text, source.path, "exec", dont_inherit=True)


def install(package: str, sources: Mapping[str, Source | Compiled]) -> None:
    """Make `package` importable from these sources, in place of whatever had that name.

    Args:
        package: Its name in `sys.modules`.
        sources: Module name to source.
    """
    uninstall(package)
    sys.meta_path.insert(0, _Importer(package, sources))


def uninstall(package: str) -> None:
    """Forget the package and its modules."""
    importers = [f for f in sys.meta_path if isinstance(f, _Importer) and f.package == package]
    for importer in importers:
        sys.meta_path.remove(importer)
    if not importers and package not in sys.modules:
        return  # to look through all modules takes a fresh worker 4 ms
    prefix = f"{package}."
    for name in [name for name in sys.modules if name == package or name.startswith(prefix)]:
        del sys.modules[name]


def load(package: str, sources: Mapping[str, Source | Compiled], module: str) -> ModuleType:
    """Install the package and import one of its modules, "" for itself; whatever the module raises comes through."""
    install(package, sources)
    return importlib.import_module(f"{package}.{module}" if module else package)


def sibling(module: ModuleType, name: str) -> ModuleType:
    """Another module of the package that this one was loaded in, whatever has been loaded under its name since.

    Args:
        module: The package itself, or a module of it.
        name: The other one's name.
    """
    importer = module.__loader__
    assert isinstance(importer, _Importer)
    if name not in importer.loaded:
        there = {key: found for key, found in sys.modules.items() if _is_in(key, importer.package)}
        install_again = importer not in sys.meta_path
        if install_again:
            for key in there:
                del sys.modules[key]
            sys.modules.update({f"{importer.package}.{key}": found for key, found in importer.loaded.items()})
            sys.meta_path.insert(0, importer)
        try:
            importlib.import_module(f"{importer.package}.{name}")
        finally:
            if install_again:
                sys.meta_path.remove(importer)
                for key in [key for key in sys.modules if _is_in(key, importer.package)]:
                    del sys.modules[key]
                sys.modules.update(there)
    return importer.loaded[name]


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def excerpt(text: str, names: Sequence[str]) -> str:
    """A module's text with these definitions and what they use, all others blanked; every line keeps its number.

    Args:
        text: The module.
        names: Functions and classes to keep.
    """
    tree = ast.parse(text)
    definitions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    kept = [node for node in tree.body if node not in definitions.values()]
    queue: list[ast.AST] = [*kept, *(definitions[name] for name in names)]
    seen = set(names)
    while queue:
        used = {node.id for node in ast.walk(queue.pop()) if isinstance(node, ast.Name)} & set(definitions)
        queue += [definitions[name] for name in used - seen]
        seen |= used
    lines = text.splitlines(keepends=True)
    for name in set(definitions) - seen:
        node = definitions[name]
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        assert node.end_lineno is not None
        lines[first - 1 : node.end_lineno] = ["\n"] * (node.end_lineno - first + 1)
    return "".join(lines)


def give(module: ModuleType, reference: Source | Compiled, names: Sequence[str]) -> None:
    """Put the reference's definitions in place of a module's own: what lies below the exercise under test.

    Args:
        module: The learner's module.
        reference: The solution of the same unit.
        names: Which definitions to take from it.
    """
    package = module.__name__.rpartition(".")[0]
    solution = ModuleType(f"{package}._reference")
    solution.__package__ = package
    exec(_code_of(reference), vars(solution))
    for name in names:
        setattr(module, name, getattr(solution, name))
