"""What a learner sees of `pytest`: each line, the exit code, and none of the grader's own tests."""

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest

from grader.curriculum.submission import KIT
from tests.grader.learners import ATTENTION, STUB, edited, handed_in

SHIFT = "shifted = wide - wide.amax(dim=dim, keepdim=True)"
WRONG = edited((SHIFT, "shifted = wide"))


def run(*arguments, **environment):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=KIT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def run_here(*arguments):
    """The exit code and the lines of a run that puts nothing to a target: in this process, which has torch already."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(["-p", "no:cacheprovider", "--color=no", *arguments])
    return code, said.getvalue().splitlines()


@pytest.fixture
def in_kit(monkeypatch):
    """A learner types the command in the kit's folder."""
    monkeypatch.chdir(KIT)


def target(folder):
    # With =, or pytest takes a folder outside of the kit for the place where its settings are.
    return f"--target={folder}"


def counts(done):
    """The last line of a run, as {"failed": 3, "passed": 4}."""
    *_, last = done.stdout.splitlines()
    return {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last.partition(" in ")[0])}


@pytest.fixture
def folder(tmp_path):
    def make(text):
        return handed_in(tmp_path, text)

    return make


def test_on_stubs_every_line_is_todo(folder):
    done = run("-k", "attention", target(folder(STUB)))
    assert done.returncode == 1
    assert list(counts(done)) == ["todo"]
    lines = [line for line in done.stdout.splitlines() if line.startswith("todo  ")]
    found = [re.fullmatch(r"todo  attention\.(\w+) is still a stub \((\d+) checks?\)", line) for line in lines]
    assert {match[1] for match in found} == {exercise.name for exercise in ATTENTION.exercises}
    assert len(found) == len(ATTENTION.exercises)
    assert sum(int(match[2]) for match in found) == counts(done)["todo"] > 50
    assert "tests/grader" not in done.stdout
    assert "Error" not in done.stdout
    assert done.stderr == ""


@pytest.mark.usefixtures("in_kit")
def test_nothing_is_collected_but_the_units_tests():
    _, lines = run_here("--collect-only", "-qq", "-k", "attention")
    assert {line.partition(":")[0] for line in lines if line} == {"tests/test_attention.py"}


@pytest.mark.parametrize("folder", ["", "exercises", "grader/checking", "tests"])
def test_the_name_of_an_exercise_means_that_exercise_in_every_folder_of_the_kit(folder, monkeypatch):
    monkeypatch.chdir(KIT / folder)
    code, lines = run_here("--collect-only", "-q", "-k", "softmax")
    tests = [line for line in lines if "::" in line]
    assert code == 0
    assert len(tests) > 10
    assert all(line.startswith("tests/test_attention.py::test_softmax") for line in tests)


@pytest.mark.usefixtures("in_kit")
@pytest.mark.parametrize(
    ("keyword", "said"),
    [
        ("sofmax", "Did you mean softmax?"),
        ("atention", "Did you mean attention?"),
        ("softmax and stabilty", "Did you mean stability?"),
        ("atention.softmax", "Did you mean attention.softmax?"),
        ("zzz", "Give a unit, an exercise, or part of a test's name"),
    ],
)
def test_a_name_that_selects_nothing_is_told_what_it_could_mean(keyword, said):
    code, lines = run_here("-k", keyword)
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    assert any(line.startswith(f"-k {keyword!r} matches no test. {said}") for line in lines)


@pytest.mark.usefixtures("in_kit")
def test_a_file_without_tests_is_told_how_to_test_it():
    code, lines = run_here("exercises/attention.py")
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
    said = "There are no tests in exercises/attention.py. For the tests of a unit: pytest -k attention"
    assert any(line.startswith(said) for line in lines)


@pytest.mark.usefixtures("in_kit")
def test_an_exercise_can_be_given_with_its_unit():
    _, lines = run_here("--collect-only", "-q", "-k", "attention.softmax")
    tests = [line for line in lines if "::" in line]
    assert tests
    assert all("::test_softmax" in line for line in tests)


@pytest.mark.usefixtures("in_kit")
def test_without_k_the_graders_own_tests_stay_out():
    _, lines = run_here("--collect-only", "-qq")
    files = {line.partition(":")[0] for line in lines if line.startswith("tests")}
    assert "tests/test_attention.py" in files
    assert not any(file.startswith("tests/grader") for file in files)


def test_an_exercise_can_be_named(folder):
    done = run("-k", "causal_mask and shape", target(folder(STUB)))
    assert set(re.findall(r"attention\.(\w+) is still", done.stdout)) == {"causal_mask"}


@pytest.mark.parametrize("ci", ["", "true"])  # where it is true, pytest's summary cuts no line short
def test_a_wrong_exercise_is_told_its_mistake_and_no_traceback(folder, ci):
    mine = folder(WRONG)
    done = run("-k", "softmax_of_large_scores", target(mine), CI=ci)
    assert done.returncode == 1
    assert counts(done)["failed"] == 2  # this mistake, and that loss.py is missing
    assert counts(done)["more"] > 1
    assert done.stdout.count("Known mistake:") == 1
    assert sum(map(int, re.findall(r"  (\d+) more checks say the same", done.stdout))) == counts(done)["more"]
    place = next(i for i, line in enumerate(WRONG.splitlines(), 1) if line.startswith("def softmax("))
    shown = done.stdout
    assert "attention.softmax(scores=(2, 2), dim=-1)\n" in shown
    assert re.search(r"  the result: 1 of 4 values differ .*; worst at \[\d, \d\]: got nan, expected \d", shown)
    assert (
        "  Known mistake: your values are exactly those without subtracting the maximum: exp of a large score is inf.\n"
        f"  {mine.name}/attention.py:{place}\n"
        "  2 more checks say the same.\n"
    ) in shown
    assert "Traceback" not in shown
    assert "agree(" not in shown


@pytest.mark.usefixtures("pool")  # where there are no workers, there is nothing to compare
def test_isolated_and_local_have_the_same_outcome(folder):
    arguments = ("-k", "causal_mask and not sliding", target(folder(WRONG.replace("<= query_pos", "< query_pos"))))
    local, isolated = run(*arguments, "-v"), run(*arguments, "-v", "--isolated")
    assert local.returncode == isolated.returncode == 1

    def lines(done):
        return [line for line in done.stdout.splitlines() if "::" in line or line.startswith("  ")]

    assert {"passed", "failed"} <= set(counts(local))
    assert lines(isolated) == lines(local)


def test_a_target_that_does_not_exist_is_a_usage_error():
    done = run("-k", "attention", target("/no/such/folder"))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr == "ERROR: /no/such/folder is not a folder. Give the folder that holds the learner's files.\n\n"
    assert "FAILED" not in done.stdout
