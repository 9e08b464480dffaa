"""Notebooks: what a unit needs is found in them, what only runs is left where it is."""

import json

import pytest

from grader.curriculum.submission import KIT
from tests.grader.handed_in import SOFTMAX, attention, notebook, problem, read

SOLUTION = (KIT / "solutions" / "attention.py").read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ada.ipynb"


def code(path, *cells, **options):
    return attention(notebook(path, *cells, **options)).lstrip("\n")


def run(path, *cells):
    """What the module of the unit attention holds once it has been imported."""
    space = {"__name__": "attention"}
    exec(compile(attention(notebook(path, *cells)), "ada.ipynb", "exec", dont_inherit=True), space)
    return space


@pytest.mark.parametrize("version", [3, 4])
def test_code_cells_are_read_in_order(path, version):
    text = code(
        path, ("markdown", "# def softmax"), "A = 1", "A = A + 1", "def softmax():\n  return A", version=version
    )
    assert [line for line in text.split("\n") if line] == ["A = 1", "A = A + 1", "def softmax():", "  return A"]


def test_a_line_number_says_the_cell_and_the_line(path):
    file = read(notebook(path, "x = 1", ("markdown", "text"), "# mine\n" + SOFTMAX)).file("attention")
    assert file.locate("softmax") == "ada.ipynb:2002"
    assert file.problem == ""


def test_a_cell_of_a_thousand_lines_moves_those_behind_it(path):
    file = read(notebook(path, "#\n" * 1500, SOFTMAX)).file("attention")
    assert file.locate("softmax") == "ada.ipynb:3001"


def test_the_last_definition_counts(path):
    assert run(path, "def softmax():\n  return 1", "def softmax():\n  return 2")["softmax"]() == 2


@pytest.mark.parametrize(
    "cell",
    [
        "while True:\n    pass",
        "raise SystemExit",
        "import seaborn_is_absent as sns\nsns.plot()",
        "text = open('input.txt').read()",
        "for softmax in range(3):\n    missing()",
        "softmax = missing()",
        "def plot(x=missing()):\n    return x",
        "if __name__ == '__main__':\n    train()",
        "model = missing()\nmodel.softmax = 1\nmodel.train()",
        "with missing() as scores:\n    pass",
        "losses = [missing() for dim in range(9)]",
        "return 1",
        "await missing()",
    ],
)
def test_what_only_runs_is_left_out(path, cell):
    cells = (cell, "def softmax(scores, dim):\n    model = scores\n    losses = [model]\n    return losses[dim]", cell)
    assert run(path, *cells)["softmax"]([5], 0) == [5]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("EPS = 5", "def softmax():\n  return EPS"), 5),
        (("def helper():\n  return EPS", "EPS = 5", "def softmax():\n  return helper()"), 5),
        (("import math as m", "def softmax():\n  return m.floor(5.5)"), 5),
        (("from math import floor", "def softmax(f=floor):\n  return f(5.5)"), 5),
        (("from math import *", "def softmax():\n  return floor(5.5)"), 5),
        (("try:\n  import absent as r\nexcept ImportError:\n  import re as r", "def softmax():\n  return r and 5"), 5),
        (("if True:\n  def helper():\n    return 5", "def softmax():\n  return helper()"), 5),
        (("def wrap(f):\n  return lambda: 5", "@wrap\ndef softmax():\n  pass"), 5),
        (("def softmax():\n  return softmax.k", "softmax.k = 5"), 5),
        (("def softmax():\n  return softmax.k", "setattr(softmax, 'k', 5)"), 5),
        (("def softmax():\n  return T['k']", "T = {}", "T['k'] = 5"), 5),
        (("def softmax():\n  return A", "A = 2", "A += 3"), 5),
        (("def softmax():\n  return A", "B = 2; A = 5; C = 7"), 5),
        (("(A, B), C = (5, 6), 7", "def softmax():\n  return A"), 5),
        (("def softmax():\n  return [A for B in [1]][0]", "A = 5"), 5),
        (("def softmax():\n  return [A for A in A][0]", "A = [5]"), 5),
        (("def softmax():\n  def inner():\n    return A\n  return inner()", "A = 5"), 5),
        (("def softmax():\n  global A\n  A = A + 1\n  return A", "A = 4"), 5),
        (("from __future__ import annotations\nx = 1", "def softmax(q: Missing = 5):\n  return q"), 5),
        (("def add(c):\n  return lambda f: setattr(c, f.__name__, f)", "class S:\n  pass",
          "@add(S)\ndef go(self):\n  return 5", "def softmax():\n  return S().go()"), 5),
        (("match 5:\n  case A:\n    pass", "def softmax():\n  return A"), 5),
    ],
)  # fmt: skip
def test_what_an_exercise_needs_is_kept(path, cells, expected):
    assert run(path, *cells)["softmax"]() == expected


def test_an_exercise_stays_what_def_made_it(path):
    cells = ("def softmax():\n  return 1", "softmax = softmax()")
    assert run(path, *cells)["softmax"]() == 1


def test_each_unit_gets_its_own_and_imports_the_units_below(path):
    lower = "class Embedding:\n    pass"
    upper = "class MultiHeadAttention(Embedding):\n    pass\n\nclass SGD:\n    pass"
    submission = read(notebook(path, lower, upper))
    assert sorted(submission.files) == ["attention", "embedding", "optim"]
    assert submission.file("embedding").text.strip() == lower
    assert submission.file("attention").text.split() == [
        *("from", ".embedding", "import", "Embedding"),
        *("class", "MultiHeadAttention(Embedding):", "pass"),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        "%matplotlib inline\n%pip install torch\n",
        "!ls -l\n!rm -rf /",
        "softmax?",
        "?softmax",
        "files = !ls",
        "t = %timeit -o f(x)",
        "%%time\nA = 1",
        "\n%%capture out\nA = 1",
        "if True:\n    !pip install x\n",
    ],
)
def test_magics_are_no_python_and_no_harm(path, cell):
    text = code(path, f"{cell}\ndef softmax():\n    return 1")
    assert [line for line in text.split("\n") if line] == ["def softmax():", "    return 1"]


def test_a_line_that_only_looks_like_magic_stays(path):
    cell = 'def softmax(a=7, b=4):\n    """\n!not magic\n%nor this\n    """\n    c = (a\n    % b)\n    return c\n'
    assert run(path, cell + "%time x = 1")["softmax"]() == 3


def test_a_broken_cell_that_defines_nothing_needed_costs_nothing(path):
    assert run(path, SOFTMAX, "plot(loss", "%%bash\nls", "def demo(:\n  pass")["softmax"]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("x = 1\ndef softmax(:\n  pass", "Code cell 2 of ada.ipynb is not Python: line 2: invalid syntax"),
        ("def helper(:\n  pass", "attention needs helper from it: repair the cell, then run all."),
        ("EPS = = 2", "attention needs EPS from it"),
        ("%%writefile attention.py\ndef softmax():\n  pass", "Code cell 2 of ada.ipynb begins with '%%writefile'"),
        ("def softmax():\n  return '\ud800'", "Code cell 2 of ada.ipynb is not Python"),
        ("def softmax():\n  \u202e", "Code cell 2 of ada.ipynb is not Python: line 2: invalid non-printable character"),
        ("def softmax():\n  return '\0'", "Code cell 2 of ada.ipynb is not Python"),
        ("def softmax():\n  return " + "(" * 5000, "Code cell 2 of ada.ipynb is not Python"),
    ],
    ids=["exercise", "helper", "constant", "other magic", "surrogate", "bidi", "null", "deep"],
)
def test_a_broken_cell_that_a_unit_needs_is_said_and_hits_that_unit_alone(path, cell, words):
    first = "def softmax():\n  return helper(EPS)\nclass SGD:\n  pass"
    submission = read(notebook(path, first, cell))
    assert words in submission.file("attention").problem
    assert submission.file("attention").problem.isprintable()
    assert submission.file("attention").text == ""
    assert submission.file("optim").problem == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe{",
        b"def softmax(): pass",
        b"[" * 100_000,
        b'{"nbformat": 4}',
        b'{"nbformat": 2, "cells": []}',
        b'{"nbformat": [], "cells": []}',
        b'{"nbformat": 4, "cells": {"a": 1}}',
        b'{"nbformat": 4, "cells": [1, 2]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 1}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": ["a", 1]}]}',
        b'{"nbformat": 3, "worksheets": [{"cells": 5}]}',
        b'{"nbformat": 1' + b"0" * 10_000 + b"}",
    ],
)
def test_junk_is_refused_with_words(path, raw):
    path.write_bytes(raw)
    assert problem(path).startswith("ada.ipynb is not a notebook")
    assert problem(path).endswith("Open it in Jupyter, save it, and hand it in again.")


def test_a_mark_and_old_line_ends_are_no_problem(path):
    path.write_bytes(b"\xef\xbb\xbf" + notebook(path, SOFTMAX.replace("\n", "\r\n")).read_bytes())
    assert attention(path).strip() == SOFTMAX.strip()


def test_a_notebook_without_an_exercise_says_so(path):
    assert problem(notebook(path, "x = 1")).startswith("None of the exercises is defined in what was handed in (ada")


def test_what_is_too_much_is_refused(path):
    assert "301 code cells, more than 300" in problem(notebook(path, *["x = 1"] * 301))
    half = "# " + "x" * (129 << 10)
    assert "more than 256 KiB of code" in problem(notebook(path, SOFTMAX, half, half))
    large = read(notebook(path, SOFTMAX, "def helper():\n    return 1\n# " + "x" * (256 << 10)))
    assert large.file("attention").problem == ""
    large = read(notebook(path, SOFTMAX + "# " + "x" * (256 << 10)))
    assert "Code cell 1 of ada.ipynb is larger than 256 KiB" in large.file("attention").problem


def test_a_long_sum_is_not_too_deep(path):
    assert run(path, "A = 1\ndef softmax():\n  return A" + " + A" * 900)["softmax"]() == 901


def test_a_chain_of_names_is_followed_quickly(path):
    chain = "\n".join(f"A{index} = A{index + 1}" for index in range(15_000))
    assert "A14999" in code(path, f"def softmax():\n  return A0\n{chain}\nA15000 = 5")


def test_the_reference_as_a_notebook_is_the_reference(path):
    cells = SOLUTION.replace("from .", "from exercises.").split("\n\n\n")
    found = read(notebook(path, "%pip install torch", *cells, "train(1)")).file("attention")
    assert found.problem == ""
    assert {"softmax", "MultiHeadAttention", "_rotate", "_widen"} <= found.definitions.keys()
    assert json.loads(path.read_text())["nbformat"] == 4
