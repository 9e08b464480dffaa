"""Shortcuts: torch's own version of the very thing is seen however it is reached, and nothing else is taken for it."""

import re

import pytest

from grader.checking.shortcuts import find_shortcut
from grader.submission import from_bytes
from tests.grader.learners import ATTENTION, OWN_SOFTMAX, appended, graded, learner, tried, with_softmax

SOFTMAX = ATTENTION.exercise("softmax")
LOWER = ("softmax", "causal_mask", "scaled_dot_product_attention")
HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"


def found(code, exercise="softmax", not_allowed=SOFTMAX.not_allowed):
    """The shortcut in a module, without its place."""
    return find_shortcut(from_bytes("exercises/attention.py", code.encode()), exercise, not_allowed).partition(" ")[0]


def body(code):
    return f"{HEAD}def softmax(scores, dim):\n    {code}\n"


# In the source

SHORTCUTS = {
    "direct": (body("return torch.softmax(scores, dim)"), "torch.softmax"),
    "functional": (body("return torch.nn.functional.softmax(scores, dim)"), "torch.nn.functional.softmax"),
    "module alias": (body("return F.softmax(scores, dim)"), "torch.nn.functional.softmax"),
    "class": (body("return nn.Softmax(dim)(scores)"), "torch.nn.Softmax"),
    "import as": ("from torch import softmax as s\ndef softmax(scores, dim): return s(scores, dim)", "torch.softmax"),
    "import inside": (body("from torch import softmax as s; return s(scores, dim)"), "torch.softmax"),
    "another name of torch": (body("t = torch; return t.softmax(scores, dim)"), "torch.softmax"),
    "import as t": ("import torch as t\ndef softmax(scores, dim): return t.softmax(scores, dim)", "torch.softmax"),
    "assigned": (f"{HEAD}softmax = torch.softmax\n", "torch.softmax"),
    "by a constant": (f"{HEAD}_do = torch.softmax\ndef softmax(scores, dim): return _do(scores, dim)", "torch.softmax"),
    "through a helper": (
        f"{HEAD}def helper(x, d): return F.softmax(x, d)\ndef softmax(scores, dim): return helper(scores, dim)",
        "torch.nn.functional.softmax",
    ),
    "through a method": (
        f"{HEAD}class Help:\n    def go(self, x): return torch.log_softmax(x, 0)\n"
        "def softmax(scores, dim): return Help().go(scores).exp()",
        "torch.log_softmax",
    ),
    "getattr with a name": (body("return getattr(torch, 'softmax')(scores, dim)"), "torch.softmax"),
    "getattr with a computed name": (body("return getattr(torch, 'soft' + 'max')(scores, dim)"), "__import__"),
    "vars": (body("return vars(torch)['softmax'](scores, dim)"), "__import__"),
    "aten": (body("return torch.ops.aten._softmax(scores, dim, False)"), "torch.ops"),
    "torch._C": (body("return torch._C._VariableFunctions.softmax(scores, dim)"), "torch._C"),
    "torch.compile": (body("return torch.compile(helper)(scores)"), "torch.compile"),
    "eval": (body("return eval('torch.softmax')(scores, dim)"), "eval"),
    "importlib": (body("import importlib; return importlib.import_module('torch').x"), "importlib"),
    "__import__": (body("return __import__('torch').x"), "__import__"),
    "sys.modules": (body("import sys; return sys.modules['torch'].x"), "sys.modules"),
    "frames": (body("import sys; return sys._getframe(1)"), "sys._getframe"),
    "a default": (
        f"{HEAD}def softmax(scores, dim, do=F.softmax): return do(scores, dim)",
        "torch.nn.functional.softmax",
    ),
    "a decorator": (f"{HEAD}@torch.jit.script\ndef softmax(scores, dim): return scores", "torch.jit"),
    "the solution": (body("from solutions.attention import softmax as s; return s(scores, dim)"), "solutions"),
    "the whole solution": (
        "import solutions\ndef softmax(s, d): return solutions.attention.softmax(s, d)",
        "solutions",
    ),
    "the tests": ("from tests.test_attention import x\ndef softmax(s, d): return x", "tests"),
    "the grader": ("import grader.checking as g\ndef softmax(s, d): return g", "grader"),
}


@pytest.mark.parametrize(("code", "name"), SHORTCUTS.values(), ids=SHORTCUTS)
def test_a_shortcut_is_seen_in_the_source(code, name):
    assert found(code) == name


def test_a_shortcut_is_told_with_its_place():
    file = from_bytes("exercises/attention.py", body("return torch.softmax(scores, dim)").encode())
    assert find_shortcut(file, "softmax", SOFTMAX.not_allowed) == "torch.softmax (exercises/attention.py:7)"


FINE = {
    "by hand": body("e = torch.exp(scores); return e / e.sum(dim, keepdim=True)"),
    "a method of that name": f"{HEAD}class Mine:\n    def softmax(self, x): return x\n"
    "def softmax(scores, dim): return Mine().softmax(scores)",
    "words": body("'''Like torch.softmax, but by hand.'''  # torch.softmax(scores, dim)"),
    "a variable of that name": body("softmax = torch.exp(scores); return softmax / softmax.sum(dim)"),
    "an attribute of an own object": body("self = Box(); self.gc = 1; return self.eval()"),
    "getattr with a plain name": body("return getattr(torch, 'exp')(scores)"),
    "getattr of an own object": body("return getattr(scores, 'ex' + 'p')()"),
    "a similar name": body("return torch.softmax_like(scores)"),
    "a module that begins alike": "import grader_of_eggs, testsuite\ndef softmax(s, d): return testsuite",
}


@pytest.mark.parametrize("code", FINE.values(), ids=FINE)
def test_what_is_written_by_hand_is_no_shortcut(code):
    assert found(code) == ""


def test_a_shortcut_of_another_exercise_costs_that_one_alone():
    code = body("return torch.exp(scores)") + "\n\ndef other(x):\n    return torch.softmax(x, 0)\n"
    assert found(code) == ""
    assert found(code, "other") == "torch.softmax"


def test_where_nothing_is_forbidden_only_the_answers_are():
    code = "import inspect, torch\ndef causal_mask(n): return torch.ops.x, eval('1'), inspect"
    assert found(code, "causal_mask", ()) == ""
    assert found("import solutions\ndef causal_mask(n): return solutions.x", "causal_mask", ()) == "solutions"


def test_a_file_that_cannot_be_read_has_none():
    assert find_shortcut(from_bytes("exercises/attention.py", b"x = = 1"), "softmax", SOFTMAX.not_allowed) == ""


# As it runs

AT_RUN_TIME = {
    "a method of the tensor": "return scores.softmax(-1)",
    "a method by a computed name": "return getattr(scores, 'soft' + 'max')(dim)",
    "swallowed": "try:\n    return scores.softmax(dim)\nexcept BaseException:\n    return scores",
    "called and thrown away": "scores.softmax(dim)\nreturn my_softmax(scores, dim)",
    "of the whole family": "return scores.log_softmax(dim).exp()",
}


@pytest.mark.parametrize("code", AT_RUN_TIME.values(), ids=AT_RUN_TIME)
def test_a_shortcut_is_seen_as_it_runs(code):
    text = with_softmax(code).replace("def softmax(scores, dim)", f"{OWN_SOFTMAX}\n\ndef softmax(scores, dim)")
    (outcome,) = [outcome for outcome, _ in tried(text, "softmax") if outcome.kind == "shortcut"]
    assert outcome.status == "failed"
    does = re.search(r"scores\.\w*softmax|getattr", code)[0]
    line = next(n for n, line in enumerate(text.splitlines(), 1) if does in line and line.strip() in code)
    assert re.match(r"Not allowed in this exercise: torch\.(log_)?softmax \(", outcome.message)
    assert f"(exercises/attention.py:{line})" in outcome.message


@pytest.mark.parametrize(
    "code",
    [
        "def softmax(scores, dim):\n    return torch.softmax(scores, dim)",
        "def softmax(scores, dim):\n    return scores.softmax(dim)",
    ],
)
def test_a_shortcut_fails_its_exercise_and_only_that(pool, code):
    found = graded(appended(code), *LOWER, pool=pool)
    softmax, mask, attention = found.units[0].exercises
    assert (softmax.status, softmax.score) == ("failed", 0)
    assert all("Not allowed in this exercise" in check.message for check in softmax.checks)
    assert mask.status == attention.status == "passed"
    assert found.score == 4 + 12


def test_a_way_around_costs_what_builds_on_it_too(pool):
    code = "def softmax(scores, dim):\n    return torch.ops.aten.softmax(scores, dim)"
    softmax, mask, attention = graded(appended(code), *LOWER, pool=pool).units[0].exercises
    assert (softmax.score, mask.score, attention.score) == (0, 4, 0)
    assert "Not allowed in this exercise: torch.ops (" in attention.checks[0].message


def test_a_way_around_may_not_hide_in_what_lies_below():
    code = body("return torch._C._softmax(scores)") + "\n\ndef other(x):\n    return softmax(x, 0)\n"
    file = from_bytes("exercises/attention.py", code.encode())
    assert find_shortcut(file, "other", ["torch.softmax"], below=["softmax"]).startswith("torch._C ")


def test_what_lies_below_is_not_searched_for_what_is_seen_as_it_runs():
    file = from_bytes("exercises/attention.py", SHORTCUTS["through a helper"][0].encode())
    assert find_shortcut(file, "softmax", SOFTMAX.not_allowed)
    assert find_shortcut(file, "softmax", SOFTMAX.not_allowed, below=["helper"]) == ""


def test_an_answer_imported_inside_costs_that_exercise_alone(pool):
    code = "def softmax(scores, dim):\n    from solutions.attention import softmax\n    return softmax(scores, dim)"
    softmax, mask = graded(appended(code), "softmax", "causal_mask", pool=pool).units[0].exercises
    assert (softmax.score, mask.score) == (0, 4)


def test_answers_imported_for_the_whole_module_cost_every_exercise(pool):
    found = graded(appended("from solutions.attention import softmax"), "softmax", "causal_mask", pool=pool)
    assert found.score == 0
    assert all("Not allowed in this exercise: solutions" in check.message for check in found.checks)


def test_the_whole_message_of_a_shortcut():
    text = with_softmax("return torch.softmax(scores, dim)")
    place = f"exercises/attention.py:{len(text.rstrip().splitlines())}"
    start = learner(text).file("attention").locate("softmax")
    lines = tried(text, "softmax")[0][0].message.splitlines()
    assert lines[0] == (f"Not allowed in this exercise: torch.softmax ({place}). It asks you to write that very thing.")
    assert lines[-1] == f"  {start}"
