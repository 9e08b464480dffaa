"""Bend the tests: hooks, plugins, outcomes, settings."""

from tests.grader.attacks import BLIND, Attack, first, instead

HOOK = b"""
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = 'passed'
    return report
"""

# Right, but it counts the pairs of all words again for each merge.
SLOW = """
import sys
t = [getattr(sys, n) for n in dir(sys) if n == "set" + "trace"][0]
_right = train_bpe

def _count_again(text, vocab_size, special_tokens):
    words = _count_words(text, special_tokens)
    for _ in range(vocab_size - 256 - len(special_tokens)):
        counts = {}
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                counts[pair] = counts.get(pair, 0) + count

def train_bpe(text, vocab_size, special_tokens=()):
    _count_again(text, vocab_size, special_tokens)
    return _right(text, vocab_size, special_tokens)
"""


def _hidden(way):
    """The same, with the counting of lines turned off in the frame that does the work."""
    return SLOW.replace("_right = train_bpe", "").replace("    words =", f"    {way}\n    words =")


ATTACKS = [
    Attack("conftest", earns="base", base=BLIND, files={"conftest.py": HOOK, "exercises/conftest.py": HOOK}),
    Attack("pytest-ini", earns="base", base=BLIND, files={"pytest.ini": b"[pytest]\naddopts = --deselect tests\n"}),
    Attack("setup-cfg", earns="base", base=BLIND, files={"setup.cfg": b"[tool:pytest]\naddopts = --collect-only\n"}),
    Attack("own-tests", earns="base", base=BLIND, files={"tests/test_attention.py": b"def test_all(): pass\n"}),
    Attack("own-grader", earns="base", base=BLIND, files={"grader/__init__.py": b"raise SystemExit(0)\n"}),
    Attack("own-solutions", earns="base", base=BLIND, files={"solutions/attention.py": BLIND.encode()}),
    Attack(
        "sitecustomize",
        earns="base",
        base=BLIND,
        files={"sitecustomize.py": b"raise SystemExit(0)\n", "exercises/sitecustomize.py": b"raise SystemExit(0)\n"},
    ),
    Attack(
        "entry-point",
        earns="base",
        base=BLIND,
        files={
            "evil-1.dist-info/entry_points.txt": b"[pytest11]\nevil = conftest\n",
            "evil-1.dist-info/METADATA": b"Name: evil\nVersion: 1\n",
        },
    ),
    Attack("pytest-skip", instead("import pytest; pytest.skip('not today')"), says="not today|Skipped"),
    Attack("pytest-xfail", instead("import pytest; pytest.xfail('known')"), says="known|XFailed"),
    Attack("unittest-skip", instead("import unittest; raise unittest.SkipTest('no')"), says="no"),
    Attack("hypothesis-assume", instead("import hypothesis; hypothesis.assume(False)"), says="causal_mask"),
    Attack(
        "patched-report",
        "import _pytest.reports, _pytest.python\n_pytest.reports.TestReport.outcome = 'passed'\n_pytest.python.Function.runtest = lambda self: None",
        "base",
        base=BLIND,
    ),
    Attack(
        "hypothesis-profile",
        "import hypothesis\nhypothesis.settings.register_profile('kit', max_examples=1)\nhypothesis.settings.load_profile('kit')",
        "base",
        base=BLIND,
    ),
    Attack(
        "optimized-away",
        "import os\nos.environ['PYTHONOPTIMIZE'] = '2'\nos.environ['PYTEST_ADDOPTS'] = '--collect-only'",
        "base",
        base=BLIND,
    ),
    Attack(
        "patched-assert",
        "import builtins\nbuiltins.AssertionError = type('Quiet', (Exception,), {})\nbuiltins.all = builtins.any = lambda *a: True",
        "base",
        base=BLIND,
    ),
    Attack(
        "patched-clock",
        "import time\ntime.monotonic = time.perf_counter = lambda: 0.0\n" + instead("while True: pass"),
        says="did not answer",
        seconds=0.5,
    ),
    Attack(
        "raises-what-is-expected",
        first("raise ValueError('more queries than keys')"),
        "base",
        base=instead("raise ValueError('more queries than keys')"),
    ),
    *(
        Attack(
            f"lines-hidden-by-{name}",
            _hidden(way),
            "base",
            base=SLOW,
            says=says,
            unit="tokenizer",
            exercise="train_bpe",
            seconds=30.0,
        )
        for name, way, says in (
            ("no-trace", "sys.settrace(None)", "sys.settrace"),
            ("no-trace-by-another-name", "vars(__import__('sys'))['set' + 'trace'](None)", "not available|Not allowed"),
            ("another-trace", "t(lambda *a: None)", "not available|processor time|Not allowed"),
            ("frames-without-lines", "setattr(sys._getframe(), 'f_trace_' + 'lines', False)", "way around|processor"),
            ("frames-without-trace", "setattr(sys._getframe(), 'f_tr' + 'ace', None)", "processor time"),
        )
    ),
]
