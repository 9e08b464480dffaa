"""The command line: what it prints, where, and the exit code that a script relies on."""

import json
import os
import re
import subprocess
import sys
from io import StringIO

import pytest
from typer.testing import CliRunner

from grader import BrokenSuite, GraderFault
from grader.checking import suite
from grader.cli import main as cli
from grader.cli import terminal
from grader.curriculum import load, stubs
from grader.curriculum.submission import KIT
from grader.grading import progress
from grader.sandbox.host import pool as workers
from tests.grader.learners import SOLUTION, STUB, checks, edited, handed_in

RETURN = "return (shares / shares.sum(dim=dim, keepdim=True)).to(scores.dtype)"
POINTS = load()["attention"].points
COMMANDS = ("progress", "grade", "hint", "reset", "show", "compare", "train", "doctor", "course", "dev")


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def run_apart(*arguments):
    command = [sys.executable, "-m", "grader", *map(str, arguments)]
    return subprocess.run(command, cwd=KIT, capture_output=True, encoding="utf-8", timeout=120, check=False)


@pytest.fixture
def one_zygote(pool, monkeypatch):
    """Have the command line take its workers from the zygote that is there, and leave it alive."""

    class Borrowed(workers.Pool):
        def get(self):
            return pool.get()

        def close(self):
            pass

    monkeypatch.setattr(workers, "Pool", Borrowed)


@pytest.fixture
def few_checks(monkeypatch):
    """One check of each kind of each exercise of attention: the command line is the same for all of them."""
    names = [exercise.name for exercise in load()["attention"].exercises]
    some = checks(*names)
    monkeypatch.setattr(suite, "collect", lambda unit: some)


@pytest.fixture
def folder(tmp_path):
    def make(text):
        (tmp_path / "ada").mkdir(exist_ok=True)
        return handed_in(tmp_path / "ada", text)

    return make


# progress and grade


def test_progress_on_stubs_shows_where_to_begin(folder, one_zygote):
    done = run("progress", "--target", folder(STUB), "--unit", "attention")
    assert done.exit_code == 1
    assert "Attention" in done.stdout
    assert f"0 / {POINTS}" in done.stdout
    assert f"0 of {POINTS} points" in done.stdout
    assert "Next: attention.softmax in exercises/attention.py." in done.stdout
    assert "pytest -k attention" in done.stdout
    assert "grader hint softmax" in done.stdout
    assert done.stderr == ""


def test_after_one_unit_it_says_what_is_done_and_what_is_next(folder, one_zygote, few_checks):
    done = run("--unit", "attention", "--target", folder(SOLUTION))
    assert done.exit_code == 0
    assert "Everything is done" not in done.stdout
    assert "attention is done.\nNext: tokenizer.CharTokenizer in exercises/tokenizer.py." in done.stdout
    assert "pytest -k tokenizer        (stuck? grader hint CharTokenizer)" in done.stdout


def test_where_no_other_unit_has_a_stub_it_says_how_to_see_the_rest(one_zygote, few_checks):
    done = run("progress", "--unit", "attention", "--target", "solutions")
    assert "attention is done.\nNo exercise of the other units is a stub." in done.stdout


def test_progress_of_all_units_needs_all_their_files(folder, one_zygote):
    done = run("progress", "--target", folder(STUB))
    assert done.exit_code == 1
    assert all(unit.title in done.stdout for unit in load().values())


def test_the_solution_earns_full_marks_and_its_results_are_written(folder, one_zygote, few_checks, tmp_path):
    done = run("grade", folder(SOLUTION), "--unit", "attention", "--seed", 3, "--json", tmp_path / "results.json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{POINTS} of {POINTS} points" in done.stdout
    assert "seed 3" in done.stdout
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert written["schema"] == "grader/results/2"
    assert (written["submission"]["name"], written["seed"], written["score"]) == ("ada", 3, POINTS)


def test_what_is_wrong_is_said_with_its_score_and_exit_code_1(folder, one_zygote, few_checks):
    done = run("grade", folder(edited((RETURN, "return scores"))), "--unit", "attention")
    assert (done.exit_code, done.stderr) == (1, "")
    assert re.search(r"failed  attention\.softmax: \d of \d+ points", done.stdout)
    assert "Known mistake: your softmax returns its input unchanged." in done.stdout


def test_a_seed_is_drawn_where_none_is_given(folder, one_zygote):
    seeds = {run("grade", folder(STUB), "--unit", "attention").stdout.partition("seed ")[2] for _ in range(2)}
    assert len(seeds) == 2


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["grade", "no/such/folder"], "is not there. Give the learner's folder, archive, notebook or file."),
        (["progress", "--target", "no/such/folder"], "is not a folder."),
        (["grade", "solutions", "--unit", "atention"], "there is no unit 'atention'. Did you mean attention?\n"),
        (["selfcheck"], "there is no command 'selfcheck'. Did you mean grader dev selfcheck?\n"),
        (["simliar"], "there is no command 'simliar'. Did you mean grader course similar?\n"),
        (["course", "grde"], "there is no command 'grde'. Did you mean grade?\n"),
        (["course", "zzz"], "there is no command 'zzz'. Commands: grade, similar\n"),
        (["dev", "selfcheck", "atention"], "there is no unit 'atention'."),
        (["hint", "softmaxx"], "there is no exercise 'softmaxx'. Did you mean softmax"),
        (["hint", "atention.softmax"], "there is no exercise 'atention.softmax'. Did you mean attention.softmax?\n"),
        (["hint", "attention.sofmax"], "Did you mean attention.softmax?\n"),
        (["hint", "atention"], "Did you mean attention?\n"),
        (["hint", "multihead"], "Did you mean MultiHeadAttention?\n"),
        (["reset", "cross-entropy"], "Did you mean cross_entropy?\n"),
        (["show", "atention"], "there is no picture 'atention'. Did you mean attention?\n"),
        (["show", "zzz"], "there is no picture 'zzz'. Pictures: attention, positions, "),
        (["hin", "softmax"], "there is no command 'hin'. Did you mean grader hint?\n"),
        (["softmax"], "there is no command 'softmax'. To test your softmax: pytest -k softmax\n"),
        (["atention"], "there is no command 'atention'. To test your attention: pytest -k attention\n"),
        (["zzz"], "there is no command 'zzz'. Commands: progress, grade, "),
        (["--unit", "atention"], "there is no unit 'atention'. Did you mean attention?\n"),
        (["hint", "zzz"], "there is no exercise 'zzz'. Exercises: "),
        (["hint", "attention"], "attention is a unit. Its exercises: softmax, causal_mask, "),
        (["hint", "softmax", "5"], "softmax has hints 1 to 4"),
        (["hint", "softmax", "0"], "softmax has hints 1 to 4"),
        (["hint", "optim.softmax"], "there is no exercise 'optim.softmax'."),
        (["reset", "softmaxx"], "there is no exercise 'softmaxx'."),
    ],
)
def test_wrong_usage_is_a_sentence_on_stderr(arguments, sentence, monkeypatch):
    monkeypatch.chdir(KIT)
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("grader: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["no-such-command"], ["hint"], ["hint", "softmax", "two"], ["grade", "--no"]])
def test_what_typer_refuses_is_wrong_usage_too(arguments):
    assert run(*arguments).exit_code == 2


def test_results_that_cannot_be_written_are_wrong_usage(folder, one_zygote, tmp_path):
    done = run("grade", folder(STUB), "--unit", "attention", "--json", tmp_path / "no" / "results.json")
    assert done.exit_code == 2
    assert "cannot be written: No such file or directory" in done.stderr


# hint


def test_hints_come_one_by_one():
    first, last = run("hint", "softmax"), run("hint", "attention.softmax", 4)
    assert first.stdout.startswith("Hint 1 of 4: ")
    assert first.stdout.endswith("More: grader hint softmax 2\n")
    assert last.stdout.startswith("Hint 4 of 4: ")
    assert "More:" not in last.stdout
    assert first.exit_code == last.exit_code == 0
    assert first.stderr == last.stderr == ""


def test_case_does_not_matter():
    assert run("hint", "SOFTMAX").stdout == run("hint", "softmax").stdout


# The grader's own fault


def test_a_fault_of_the_grader_is_exit_code_3(folder, one_zygote, monkeypatch):
    monkeypatch.setattr(suite, "collect", lambda unit: ())
    done = run("grade", folder(SOLUTION), "--unit", "attention")
    assert done.exit_code == 3
    assert re.match(r"The grader itself failed in \d+ checks; The grader has no check for this criterion.", done.stderr)


@pytest.mark.parametrize("fault", [BrokenSuite("the tests are gone"), GraderFault("the zygote has died")])
def test_a_fault_that_ends_the_run_is_exit_code_3_and_a_sentence(fault, monkeypatch, capsys):
    def fail(unit):
        raise fault

    monkeypatch.setattr(suite, "collect", fail)
    monkeypatch.setattr(sys, "argv", ["grader", "grade", str(KIT / "solutions"), "--unit", "attention"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert capsys.readouterr().err == f"The grader itself failed: {fault}\n"


# stubs, help, and the terminal


def test_stubs_check_says_what_is_stale(tmp_path, monkeypatch):
    monkeypatch.setattr(stubs, "stale", lambda: [tmp_path / "attention.py"])
    done = run("dev", "stubs", "--check")
    assert done.exit_code == 1
    assert done.stdout == "attention.py is out of date\n"
    monkeypatch.setattr(stubs, "stale", list)
    assert run("dev", "stubs", "--check").exit_code == 0


def test_stubs_keeps_what_it_overwrites(tmp_path, monkeypatch):
    (tmp_path / "attention.py").write_text("mine")
    kept = []
    monkeypatch.setattr(stubs, "stale", lambda: [tmp_path / "attention.py"])
    monkeypatch.setattr(stubs, "write", lambda: [tmp_path / "attention.py"])
    monkeypatch.setattr(progress, "backup", kept.append)
    assert run("dev", "stubs").stdout.endswith("1 written\n")
    assert kept == [tmp_path / "attention.py"]


def test_help_names_every_command_and_has_no_colours():
    done = run_apart("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
    assert "Exit codes: 0 done, 1 something did not pass" in " ".join(done.stdout.split())
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["hint", "softmax"],
        ["show", "--help"],
        ["show", "atention"],
        ["compare", "no-such-run"],
        ["train", "--set", "nothing=1"],
        ["course", "similar", "no/such/folder"],
        ["course", "grade", "no/such/folder", "--out", "no/such/grades"],
        ["progress", "--unit", "atention"],
        ["dev", "stubs", "--check"],
    ],
)
def test_torch_is_not_imported_before_it_is_needed(arguments):
    code = "import atexit, sys; from grader.cli.main import main; sys.argv = ['grader', *sys.argv[1:]]\n"
    code += "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); main()"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=KIT, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert done.stderr.splitlines()[-1] == "False"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_bar_is_drawn_in_ascii_where_the_encoding_has_no_blocks(encoding):
    script = "from grader.cli import terminal; terminal.never_fail_to_print(); print('\u2588\u2588\u2591 \u65e5')"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=KIT, capture_output=True, env=environment, timeout=120, check=True)
    assert done.stdout.decode("ascii").splitlines() == ["##- ?"]


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("200", 200), ("", 100), ("wide", 100), ("0", 100)])
def test_piped_output_is_as_wide_as_columns_says(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", StringIO())
    assert terminal.make_console().width == width


def test_without_a_terminal_there_are_no_colours_and_no_bar():
    done = run_apart("progress", "--unit", "attention")
    assert done.returncode in (0, 1)
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert done.stderr == ""
    assert f"of {POINTS} points" in done.stdout


def test_version_is_shown():
    assert run("--version").stdout.strip() == cli.__version__
