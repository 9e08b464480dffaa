"""Shortcuts: torch's own version of the very thing is seen however it is reached, and nothing else is taken for it."""

import re

import pytest

from grader.checking.shortcuts import find_shortcut
from grader.curriculum.submission import from_bytes
from tests.grader.learners import ATTENTION, OWN_SOFTMAX, SOLUTION, appended, graded, learner, tried, with_softmax

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
    "getattr with a name in pieces": (body("return getattr(torch, 'soft' + 'max')(scores, dim)"), "torch.softmax"),
    "getattr with a computed name": (body("return getattr(torch, 'xamtfos'[::-1])(scores, dim)"), "__import__"),
    "getattr of a getattr": (
        body("return getattr(getattr(getattr(torch, 'nn'), 'functional'), 'softmax')(scores, dim)"),
        "torch.nn.functional.softmax",
    ),
    "cumulative": (body("return torch.logcumsumexp(scores, dim)"), "torch.logcumsumexp"),
    "two at a time": (body("return torch.logaddexp(scores, scores)"), "torch.logaddexp"),
    "sparse": (body("return torch.sparse.softmax(scores.to_sparse(), dim)"), "torch.sparse.softmax"),
    "special": (body("return torch.special.logsumexp(scores, dim)"), "torch.special.logsumexp"),
    "masked": (body("return torch.masked.softmax(scores, dim)"), "torch.masked.softmax"),
    "deep module": (body("return nn.modules.activation.Softmax(dim)(scores)"), "torch.nn.modules.activation.Softmax"),
    "references": (body("import torch._refs as r; return r.softmax(scores, dim)"), "torch._refs.softmax"),
    "references through an alias": (body("for t in [torch]: return t._refs.exp(scores)"), "_refs"),
    "quantized": (body("return torch.ao.nn.quantized.Linear(scores, dim)"), "torch.ao"),
    "pkgutil": (
        body(
            "import pkgutil; return pkgutil.resolve_name('torch._decomp.decompositions')._softmax(scores, dim, False)"
        ),
        "pkgutil",
    ),
    "the name of a module in a text": (body("return resolve('torch._decomp.decompositions')"), "torch._decomp"),
    "a function in a text": (body("return resolve('torch.nn.functional:softmax')"), "torch.nn.functional.softmax"),
    "a text in pieces": (body("return resolve('torch.' + '_refs')"), "torch._refs"),
    "attrgetter": (body("import operator; return operator.attrgetter('x')(torch)"), "operator.attrgetter"),
    "pickle": (body("import pickle; return pickle.loads(b'ctorch')"), "pickle"),
    "scipy": (body("from scipy.special import softmax as s; return s(scores, dim)"), "scipy.special.softmax"),
    "numpy": (body("import numpy as np; return np.logaddexp.reduce(scores, dim)"), "numpy.logaddexp"),
    "dictionary of torch": (body("return torch.nn.functional.__dict__['x'](scores)"), "__import__"),
    "walrus": (body("return (t := torch.nn.functional) and t.softmax(scores, dim)"), "torch.nn.functional.softmax"),
    "class of tensors": (f"{HEAD}class T(torch.Tensor): pass\ndef softmax(s, d): return T(s)", "a"),
    "hooks of a class": (
        f"{HEAD}class T:\n    def __torch_function__(self): pass\ndef softmax(s, d): return T()",
        "__torch_function__",
    ),
    "tracing": (body("import sys; sys.settrace(None); return scores"), "sys.settrace"),
    "threads": (body("import threading; return threading.Thread(target=f)"), "threading"),
    "vars": (body("return vars(torch)['softmax'](scores, dim)"), "__import__"),
    "aten": (body("return torch.ops.aten._softmax(scores, dim, False)"), "torch.ops.aten._softmax"),
    "torch._C": (body("return torch._C._VariableFunctions.exp(scores, dim)"), "torch._C"),
    "torch.compile": (body("return torch.compile(helper)(scores)"), "torch.compile"),
    "eval": (body("return eval('softmax')(scores, dim)"), "eval"),
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


HELPERS = {
    "a function": ("from .mine import soft", "return soft(scores, dim)"),
    "a flat import": ("from mine import soft", "return soft(scores, dim)"),
    "the package": ("from exercises.mine import soft", "return soft(scores, dim)"),
    "everything": ("from .mine import *", "return soft(scores, dim)"),
    "the module": ("from . import mine", "return mine.soft(scores, dim)"),
    "the flat module": ("import mine", "return mine.soft(scores, dim)"),
    "the module under another name": ("import exercises.mine as m", "return m.soft(scores, dim)"),
    "inside": ("", "from .mine import soft; return soft(scores, dim)"),
    "a name of torch": ("from .mine import F", "return F.softmax(scores, dim)"),
    "a name of torch by its module": ("from . import mine", "return mine.F.softmax(scores, dim)"),
    "through another module": ("from .other import soft", "return soft(scores, dim)"),
}
MINE = "import torch.nn.functional as F\n\n\ndef soft(x, d):\n    return F.softmax(x, d)\n\n\ndef unused(x): return x\n"


def with_helpers(head, code, **helpers):
    file = from_bytes(
        "exercises/attention.py", f"import torch\n{head}\ndef softmax(scores, dim):\n    {code}\n".encode()
    )
    files = {name: from_bytes(f"exercises/{name}.py", text.encode()) for name, text in helpers.items()}
    return find_shortcut(file, "softmax", SOFTMAX.not_allowed, (), files)


@pytest.mark.parametrize(("head", "code"), HELPERS.values(), ids=HELPERS)
def test_modules_of_the_submission_are_read_as_if_they_stood_in_the_exercise(head, code):
    found = with_helpers(head, code, mine=MINE, other="from .mine import soft\n")
    place = "attention.py:4" if code.startswith("return F.") else "mine.py:5"
    assert found == f"torch.nn.functional.softmax (exercises/{place})"


def test_of_a_module_only_what_is_used_counts():
    fine = "import torch\ndef soft(x, d): return torch.exp(x)\ndef other(x): return torch.softmax(x, 0)\n"
    assert with_helpers("from .mine import soft", "return soft(scores, dim)", mine=fine) == ""
    assert with_helpers("from .mine import other", "return other(scores)", mine=fine)


def test_modules_that_import_one_another_come_to_an_end():
    many = {f"m{n}": "".join(f"from .m{k} import *\n" for k in range(60)) for n in range(60)}
    assert with_helpers("from .m0 import *", "return scores", **many) == ""


def test_tests_of_the_learners_own_below_main_are_not_looked_at():
    code = body("return torch.exp(scores)") + "\n\nif __name__ == '__main__':\n    print(torch.softmax(1, 2))\n"
    assert found(code) == ""
    assert found(code.replace("==", "!=")) == "torch.softmax"


FINE = {
    "an error that names it": body("raise ValueError('softmax: unlike torch.softmax, this wants a dim')"),
    "a table of names": body("return {'softmax': scores, 'relu': 1}['softmax']"),
    "other parts of torch": body(
        "return torch.special.expit(scores) + torch.linalg.norm(scores) + F.pad(scores, (1, 1))"
    ),
    "a sorted list": body("import operator; return sorted(scores, key=operator.itemgetter(0))"),
    "vmap": body("return torch.func.vmap(torch.exp)(scores)"),
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
    assert found.score == mask.max_score + attention.max_score


def test_a_way_around_costs_what_builds_on_it_too(pool):
    code = "def softmax(scores, dim):\n    return torch.ops.aten.softmax(scores, dim)"
    softmax, mask, attention = graded(appended(code), *LOWER, pool=pool).units[0].exercises
    assert (softmax.score, mask.score, attention.score) == (0, mask.max_score, 0)
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
    assert (softmax.score, mask.score) == (0, mask.max_score)


def test_answers_imported_for_the_whole_module_cost_every_exercise(pool):
    found = graded(appended("from solutions.attention import softmax"), "softmax", "causal_mask", pool=pool)
    assert found.score == 0
    assert all("Not allowed in this exercise: solutions" in check.message for check in found.checks)


def test_the_whole_message_of_a_shortcut():
    text = with_softmax("return torch.softmax(scores, dim)")
    place = f"exercises/attention.py:{len(text.rstrip().splitlines())}"
    start = learner(text).file("attention").locate("softmax")
    lines = tried(text, "softmax")[0][0].message.splitlines()
    assert lines[0] == (
        f"Not allowed in this exercise: torch.softmax ({place}). The exercise asks you to write this yourself."
    )
    assert lines[-1] == f"  {start}"


COMPARED = """
_x = torch.randn(3, 4)
expected = _x.softmax(-1)
assert torch.allclose(softmax(_x, -1), expected)
print("softmax agrees with torch's:", expected[0])
"""


def test_a_comparison_between_the_definitions_costs_nothing(pool):
    found = graded(SOLUTION + COMPARED, "softmax", "causal_mask", pool=pool)
    assert [exercise.status for exercise in found.units[0].exercises] == ["passed", "passed"]


def test_what_is_computed_at_import_and_used_is_refused(pool):
    used = SOLUTION + COMPARED + "\n\ndef softmax(scores, dim):\n    return expected\n"
    found = graded(used, "softmax", pool=pool)
    said = {check.message for check in found.units[0].exercises[0].checks}
    assert found.score == 0
    assert all("Not allowed" in message for message in said), said
