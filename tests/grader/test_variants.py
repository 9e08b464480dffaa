"""Known variants: an edit that does not match is an error, and every mistake of `always` does what its id says."""

import importlib.util

import pytest
import torch

from grader.checking import Mistake, always
from grader.checking.variants import collect_alternatives
from tests.grader.learners import SOLUTION

DOUBLE = "import torch\n\n\ndef double(x, by=2):\n    return x * by\n"
PAIR = "import torch\n\n\ndef double(x):\n    return 2 * x, x.sum()\n"


def run(source):
    module = {}
    exec(source, module)
    return module["double"]


def mistaken(id, source=DOUBLE):
    (mistake,) = [m for m in always("double") if m.id == f"double-{id}"]
    return run(mistake.apply(source))


def test_an_edit_is_made():
    mistake = Mistake("triples", "double", "you triple.", {"x * by": "x * 3"})
    assert run(mistake.apply(DOUBLE))(2) == 6


def test_several_edits_and_an_addition_are_made():
    mistake = Mistake("both", "double", "both.", {"by=2": "by=5", "x * by": "x + by"}, append="double = [double]")
    assert run(mistake.apply(DOUBLE))[0](1) == 6


@pytest.mark.parametrize(("text", "found"), [("nowhere", 0), ("x", 2), ("by", 2)])
def test_an_edit_that_does_not_match_once_is_an_error(text, found):
    mistake = Mistake("broken", "double", "says", {text: "y"})
    wording = f"mistake broken: expected this text once in the solution, found {found}: '{text}'"
    with pytest.raises(ValueError, match=wording):
        mistake.apply(DOUBLE)


def test_an_edit_is_text_and_no_pattern():
    with pytest.raises(ValueError, match="found 0"):
        Mistake("pattern", "softmax", "says", {"def s.ftmax": "x"}).apply(SOLUTION)


# The mistakes that everything invites


def test_returns_zeros():
    assert torch.equal(mistaken("returns-zeros")(torch.ones(3)), torch.zeros(3))
    first, second = mistaken("returns-zeros", PAIR)(torch.ones(3))
    assert torch.equal(first, torch.zeros(3))
    assert torch.equal(second, torch.zeros(()))


def test_returns_its_input():
    x = torch.ones(3)
    assert mistaken("returns-its-input")(x, 2) is x
    assert mistaken("returns-none")(x) is None


def test_keeps_state():
    double = mistaken("keeps-state")
    first = double(torch.ones(3))
    assert torch.equal(double(torch.full((3,), 5.0)), first)
    assert torch.equal(double(torch.ones(4)), torch.full((4,), 2.0))


def test_only_the_mistake_that_keeps_state_is_stateful():
    assert [m.id for m in always("double") if m.stateful] == ["double-keeps-state"]


def test_mutates_its_input():
    x = torch.ones(3)
    assert torch.equal(mistaken("mutates-its-input")(x), torch.full((3,), 2.0))
    assert torch.equal(x, torch.full((3,), 0.5))


@pytest.mark.parametrize("source", [DOUBLE, PAIR])
def test_detached(source):
    out = mistaken("detached", source)(torch.ones(3, requires_grad=True))
    assert not any(o.requires_grad for o in (out if isinstance(out, tuple) else [out]))


def test_always_names_what_is_called_and_leaves_out_what_does_not_apply():
    found = always("LayerNorm", "LayerNorm.forward", without=("detached", "keeps-state"))
    assert [m.id for m in found] == [
        "LayerNorm-returns-zeros",
        "LayerNorm-returns-its-input",
        "LayerNorm-returns-none",
        "LayerNorm-mutates-its-input",
    ]
    assert {m.exercise for m in found} == {"LayerNorm"}
    assert found[2].says == "your LayerNorm.forward returns None: is there a `return`?"


def test_a_method_is_replaced_too():
    source = "import torch\n\n\nclass Twice:\n    def forward(self, x):\n        return 2 * x\n"
    (mistake,) = [m for m in always("Twice", "Twice.forward") if m.id == "Twice-returns-zeros"]
    module = {}
    exec(mistake.apply(source), module)
    assert torch.equal(module["Twice"]().forward(torch.ones(2)), torch.zeros(2))


# Alternatives

ALTERNATIVES = """
import math
from grader.checking import alternative

if "double" not in globals():
    solutions = "as where the real ones import the reference"

FACTOR = 2


def _helper(x):
    return x * FACTOR


@alternative("double")
def double_by_helper(x, by=2):
    return _helper(x)


@alternative("double")
def double_by_sum(x, by=2):
    return math.fsum([x, x])


@alternative("Twice")
class TwiceByShift:
    def forward(self, x):
        return x << 1
"""


@pytest.fixture
def collected(tmp_path):
    (tmp_path / "alternatives.py").write_text(ALTERNATIVES)
    spec = importlib.util.spec_from_file_location("alternatives_to_collect", tmp_path / "alternatives.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return collect_alternatives(module)


def test_every_marked_definition_is_collected(collected):
    assert [(a.exercise, a.name) for a in collected] == [
        ("double", "double_by_helper"),
        ("double", "double_by_sum"),
        ("Twice", "TwiceByShift"),
    ]


def test_an_alternative_brings_its_helpers_and_imports_and_nothing_else(collected):
    assert "def _helper" in collected[0].source
    assert "import math" in collected[0].source
    for other in collected:
        assert "alternative" not in other.source
        assert "globals()" not in other.source
        assert sum(name in other.source for name in ("double_by_helper", "double_by_sum", "TwiceByShift")) == 1


def test_an_alternative_stands_in_for_the_solution(collected):
    assert run(collected[0].apply(DOUBLE))(4) == 8
    assert run(collected[1].apply(DOUBLE))(4) == 8.0
