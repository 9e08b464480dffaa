"""What runs in the grader's own process leaves nothing behind that the reference or a later check would see."""

import os
import random
import sys
from pathlib import Path

import pytest
import torch

from grader.checking.undisturbed import undisturbed_import
from tests.grader.learners import SOLUTION, appended, asked, with_softmax

SHARED = {"table": [1, 2], "more": {"deep": [3]}}
WEIGHTS = torch.ones(3, dtype=torch.float64)


def shared():
    return SHARED, WEIGHTS


def scores():
    return torch.arange(3, dtype=torch.float64)


def own_value(given):
    """A check whose question reaches its module's data through a function, and which asks twice."""

    def question(unit):
        table, weights = shared()
        return unit.softmax(weights, -1), [unit.look(table)] if hasattr(unit, "look") else [0]

    for _ in range(2):
        given.agree.on("softmax of what the check's module holds", question)


GREEDY = appended("def look(table):\n    table['table'].append(7)\n    table['more'].clear()\n    return 0\n")


def test_a_call_leaves_the_data_of_the_checks_module_as_it_was():
    outcome = asked(GREEDY, "softmax", own_value)
    assert outcome.status == "passed", outcome
    assert SHARED == {"table": [1, 2], "more": {"deep": [3]}}


def test_a_call_that_writes_to_a_tensor_of_the_checks_module_is_undone_for_the_reference():
    text = with_softmax("result = torch.softmax(scores, dim)\nscores.zero_()\nreturn result")
    outcome = asked(text, "softmax", own_value)
    assert outcome.status != "error", outcome
    assert WEIGHTS.tolist() == [1.0, 1.0, 1.0]


def process():
    return {
        "grad": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "depth": sys.getrecursionlimit(),
        "folder": Path.cwd(),
        "variable": os.environ.get("KIT_LEFT_BEHIND"),
        "torch": torch.default_generator.get_state().tolist(),
        "random": random.getstate(),
    }


CHANGES = {
    "grad": "torch.set_grad_enabled(False)",
    "dtype": "torch.set_default_dtype(torch.float16)",
    "deterministic": "torch.use_deterministic_algorithms(True)",
    "depth": "import sys; sys.setrecursionlimit(4321)",
}
IMPORTED = {
    **CHANGES,
    "folder": "import os\nos.chdir('/')",
    "variable": "import os\nos.environ['KIT_LEFT_BEHIND'] = '1'",
    "torch": "torch.manual_seed(5)",
    "random": "import random\nrandom.seed(5)",
}


@pytest.fixture
def as_before():
    """Whatever a failing test leaves is put back for the tests after it."""
    with undisturbed_import():
        yield


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("what", CHANGES)
def test_a_setting_that_a_call_changes_does_not_reach_the_reference(what):
    before, seen = process(), []
    text = appended(
        f"_right = softmax\n\ndef softmax(scores, dim):\n    {CHANGES[what]}\n    return _right(scores, dim)\n"
    )

    def check(given):
        for _ in range(2):
            given.agree("softmax", scores(), -1)
            seen.append(process())

    asked(text, "softmax", check)
    assert seen
    assert {values[what] for values in seen} == {before[what]}


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("what", IMPORTED)
def test_a_setting_that_a_module_changes_when_it_is_imported_ends_with_the_import(what):
    seen = []

    def check(given):
        seen.append(process())

    for text in (SOLUTION, appended(IMPORTED[what])):
        asked(text, "softmax", check)
        seen.append(process())
    assert seen[0][what] == seen[2][what]
    assert seen[1][what] == seen[3][what]
