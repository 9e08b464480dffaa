"""Stubs: what a learner begins with is the solution without its bodies, and the solutions' examples are true."""

import ast
import doctest
import inspect
import random

import pytest
import torch

from grader.checking.oracle import solution_sources
from grader.curriculum import load, stubs
from grader.curriculum.submission import KIT
from grader.sandbox.worker import importer
from grader.sandbox.worker.importer import Source

UNITS = [unit.name for unit in load().values() if not unit.whole]


def solution_of(unit):
    return (KIT / "solutions" / f"{unit}.py").read_text(encoding="utf-8")


def made(text, unit="attention"):
    return stubs.make(load()[unit], text)


def signatures(text):
    """Everything public that is defined, with its arguments, annotations, decorators and docstring."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            inside = node.body if isinstance(node, ast.ClassDef) else []
            methods = [n for n in inside if isinstance(n, ast.FunctionDef)]
            shown = [m for m in methods if m.name.startswith("__") or not m.name.startswith("_")]
            found[node.name] = (_head(node), {method.name: _head(method) for method in shown})
    return found


def _head(node):
    decorators = [ast.unparse(d) for d in node.decorator_list]
    if isinstance(node, ast.ClassDef):
        return [ast.unparse(b) for b in node.bases], decorators, ast.get_docstring(node, clean=False)
    returns = ast.unparse(node.returns) if node.returns else ""
    return ast.unparse(node.args), returns, decorators, ast.get_docstring(node, clean=False)


@pytest.mark.parametrize("unit", UNITS)
def test_a_stub_keeps_signatures_and_docstrings(unit):
    assert signatures(made(solution_of(unit), unit)) == signatures(solution_of(unit))


@pytest.mark.parametrize("unit", UNITS)
def test_a_stub_imports_and_names_itself(unit):
    sources = {name: Source(f"exercises/{name}.py", made(solution_of(name), name)) for name in UNITS}
    module = importer.load("stubs_under_test", sources, unit)
    importer.uninstall("stubs_under_test")
    for exercise in load()[unit].exercises:
        assert callable(getattr(module, exercise.name))
    functions = [e.name for e in load()[unit].exercises if not isinstance(getattr(module, e.name), type)]
    for name in functions:
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        arguments = [None for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
        options = {parameter.name: None for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
        with pytest.raises(NotImplementedError, match=f"^{unit}.{name} is still a stub$"):
            getattr(module, name)(*arguments, **options)


@pytest.mark.parametrize("unit", UNITS)
def test_a_stub_gives_nothing_away(unit):
    text = made(solution_of(unit), unit)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert not node.name.startswith("_") or node.name.startswith("__"), node.name
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert [type(statement) for statement in body] == [ast.Raise]


@pytest.mark.parametrize("unit", UNITS)
def test_the_examples_of_the_solutions_are_true(unit):
    torch.manual_seed(0)
    random.seed(0)
    # Loaded anew: doctest passes over what sys.modules knows from another module of the same name.
    found = doctest.testmod(importer.load("examples", solution_sources(), unit), verbose=False)
    importer.uninstall("examples")
    assert found.attempted > 0
    assert found.failed == 0


SMALL = '''"""A unit."""

import math

# What the paper takes.
LIMIT = 3


def _helper(x):
    return x


@decorated
def one(x: int,
        y: int = 2) -> int:
    """Say."""
    # A secret.
    return _helper(x)


TABLE = {
    "a": 1,
}


class Two(Base):
    """A class."""

    size: int = 4
    # Of the other axis.
    width: int | None = None

    def __init__(self):
        self.x = 1

    @property
    def shown(self):
        """Doc."""
        return self._hidden()

    def _hidden(self):
        return 2


def bare(x): return x
'''

SMALL_STUB = '''"""A unit."""

import math

# What the paper takes.
LIMIT = 3


@decorated
def one(x: int,
        y: int = 2) -> int:
    """Say."""
    raise NotImplementedError("attention.one is still a stub")


TABLE = {
    "a": 1,
}


class Two(Base):
    """A class."""

    size: int = 4
    # Of the other axis.
    width: int | None = None

    def __init__(self):
        raise NotImplementedError("attention.Two.__init__ is still a stub")

    @property
    def shown(self):
        """Doc."""
        raise NotImplementedError("attention.Two.shown is still a stub")
'''


def test_a_stub_line_by_line():
    assert made(SMALL.replace("def bare(x): return x\n", "")) == SMALL_STUB


# exercises/ and its files


@pytest.fixture
def kit(tmp_path, monkeypatch):
    monkeypatch.setattr(stubs, "KIT", tmp_path)
    (tmp_path / "exercises").mkdir()
    (tmp_path / "solutions").mkdir()
    for unit in UNITS:
        (tmp_path / "solutions" / f"{unit}.py").write_text(solution_of(unit), encoding="utf-8")
    return tmp_path


def test_write_makes_every_stub_and_says_which(kit):
    assert {path.name for path in stubs.write()} == {"__init__.py", *(f"{unit}.py" for unit in UNITS)}
    assert stubs.stale() == []
    assert stubs.write() == []


def test_a_changed_a_missing_and_a_stray_file_are_stale(kit):
    stubs.write()
    room = kit / "exercises"
    (room / "attention.py").write_text("mine")
    (room / "optim.py").unlink()
    (room / "notes.py").write_text("")
    assert [path.name for path in stubs.stale()] == ["attention.py", "notes.py", "optim.py"]
    assert [path.name for path in stubs.write()] == ["attention.py", "optim.py"]
    assert (room / "notes.py").exists()


def test_the_stubs_of_this_kit_are_up_to_date():
    assert [path.name for path in stubs.stale()] == [], "Run: grader dev stubs"
