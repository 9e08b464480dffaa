"""`grader show` and `grader compare`: what they print, what they write, and how they end."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from grader.cli import main, show
from grader.curriculum.submission import KIT
from grader.plots import comparison, runs

PNG = b"\x89PNG"
HEADER = "step,loss,learning_rate,grad_norm,held_out_bits_per_byte\n"
LOG = HEADER + "0,5.0,0.001,1.0,\n1,4.0,0.001,1.0,3.5\n2,2.0,0.001,1.0,2.25\n3,2.0,0.001,1.0,2.5\n"


def run(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


@pytest.fixture
def stubs(tmp_path):
    folder = tmp_path / "stubs"
    folder.mkdir()
    for unit in ("attention", "embedding", "position"):
        lines = (KIT / "exercises" / f"{unit}.py").read_text(encoding="utf-8")
        (folder / f"{unit}.py").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def make(tmp_path):
    """A folder as a training run leaves it."""

    def make(name, log=LOG, **options):
        folder = tmp_path / name
        folder.mkdir()
        if log is not None:
            (folder / "log.csv").write_text(log, encoding="utf-8")
        said = {
            "target": "exercises",
            "options": {"steps": 4, **options},
            "gzip_bits_per_byte": 2.1,
            "parameters": 12345,
        }
        (folder / "run.json").write_text(json.dumps(said), encoding="utf-8")
        return folder

    return make


# show


@pytest.mark.parametrize(
    ("picture", "more", "said"),
    [
        ("attention", ["--text", "one two"], "head 0: attention weights of each row, in percent"),
        ("positions", [], "rope_frequencies, radians per position: 1, 0.316"),
        ("schedule", [], "warmup_stable_decay"),
        ("loss", ["--steps", 3], "lowest possible 1.368"),
        ("tokenizer", ["--text", "the object"], "the| object\n"),
    ],
)
def test_a_picture_is_written_and_shown_as_plain_text(tmp_path, picture, more, said):
    file = tmp_path / "new" / "picture.png"
    done = run("show", picture, "--target", "solutions", "--out", file, *more)
    assert done.exit_code == 0
    assert said in done.stdout
    assert f"Picture: {file}" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    assert file.read_bytes().startswith(PNG)


def test_without_out_it_goes_into_the_folder_of_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(show, "PICTURES", tmp_path)
    monkeypatch.chdir(tmp_path)
    done = run("show", "schedule", "--target", "solutions")
    assert "Picture: schedule.png\n" in done.stdout
    assert (tmp_path / "schedule.png").exists()


def test_a_stub_is_one_friendly_line_and_no_picture(stubs, tmp_path):
    done = run("show", "attention", "--target", stubs, "--out", tmp_path / "x.png")
    assert done.exit_code == 1
    assert done.stderr == (
        "grader: attention.MultiHeadAttention is still a stub: write it first, then pytest -k attention\n"
    )
    assert done.stdout == ""
    assert not (tmp_path / "x.png").exists()


def test_a_missing_file_is_one_line(stubs):
    done = run("show", "schedule", "--target", stubs)
    assert (done.exit_code, done.stderr) == (1, "grader: There is no file schedule.py in the submission.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["schedule", "--text", "x"], "No such option: --text"),
        (["schedule", "--steps", "3"], "No such option: --steps"),
        (["attention", "--text", ""], "grader: --text has 0 words; a picture needs 1 to 64\n"),
        (["tokenizer", "--text", ""], "grader: --text has 0 characters; a picture needs 1 to 4000\n"),
        (["schedule", "--out", KIT / "README.md" / "x.png"], "cannot be written"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, said):
    done = run("show", *arguments, "--target", "solutions")
    assert done.exit_code == 2
    assert said in done.stderr


def test_an_unknown_picture_and_an_unknown_target_are_wrong_usage(tmp_path):
    assert run("show", "cat").exit_code == 2
    done = run("show", "schedule", "--target", tmp_path / "nobody")
    assert done.exit_code == 2
    assert "nobody is not a folder" in done.stderr


def test_help_names_both_commands():
    said = run("--help").stdout
    assert "show " in said
    assert "compare " in said


def test_help_imports_neither_torch_nor_matplotlib():
    code = "import sys, grader.cli.main; print({'torch', 'matplotlib', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=KIT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "set()\n"


# compare


def test_compare_tells_the_runs_apart_by_what_differs(make, tmp_path):
    folders = [make("first", lr=0.001, d_model=64), make("second", lr=0.01, d_model=64)]
    done = run("compare", *folders, "--out", tmp_path / "c.png")
    assert done.exit_code == 0
    first = next(line for line in done.stdout.splitlines() if "first" in line)
    assert first.split() == ["first", "lr", "0.001", "12,345", "2.000", "2.250"]
    assert "d_model" not in done.stdout
    assert (tmp_path / "c.png").read_bytes().startswith(PNG)


def test_the_figure_has_the_curves_of_each_run_and_gzip(make):
    found = [runs.read(str(make("first", lr=1))), runs.read(str(make("second", lr=2)))]
    figure = comparison.draw(found)
    left, right = figure.axes
    assert [list(line.get_ydata()) for line in left.lines] == [[5.0, 4.0, 2.0, 2.0]] * 2
    assert [list(line.get_xydata()[:, 1]) for line in right.lines] == [[3.5, 2.25, 2.5]] * 2 + [[2.1, 2.1]]
    assert [text.get_text() for text in figure.legends[0].texts] == ["lr 1", "lr 2"]


def test_runs_that_differ_in_nothing_have_their_names(make):
    found = [runs.read(str(make(name))) for name in ("first", "second")]
    assert runs.labels(found) == ["first", "second"]


def test_equal_runs_among_different_ones_are_told_apart_by_name(make):
    found = [runs.read(str(make(name, lr=lr))) for name, lr in (("a", 1), ("b", 1), ("c", None))]
    assert runs.labels(found) == ["a: lr 1", "b: lr 1", "lr -"]


def test_a_run_is_found_by_its_name(make, tmp_path, monkeypatch):
    make("mine")
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    assert runs.read("mine").best == 2.25
    with pytest.raises(ValueError, match=r"there is no run 'yours'. Runs: mine"):
        runs.read("yours")


def test_a_row_that_is_just_being_written_is_passed_over(make):
    assert runs.read(str(make("mine", LOG + "4,1."))).steps == (0, 1, 2, 3)


def test_a_run_without_held_out_text_can_be_compared(make):
    found = [runs.read(str(make("mine", HEADER + "0,nan,0.001,1.0,\n")))]
    assert found[0].best is None
    assert comparison.draw(found).axes[0].lines


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (None, "has no log.csv: has its training started?"),
        ("", "log.csv is empty: no step has been logged yet"),
        (HEADER, "log.csv is empty: no step has been logged yet"),
        ("a,b\n1,2\n", "begins with 'a,b', expected step,loss"),
        (LOG + "5,oops,1,1,\n", "log.csv line 6 is not a row of numbers: 5,oops,1,1,"),
        (LOG + "5\n", "log.csv line 6 is not a row of numbers: 5"),
    ],
)
def test_a_log_that_cannot_be_read_is_named(make, log, said):
    done = run("compare", make("mine", log))
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_is_no_run_is_named(tmp_path):
    done = run("compare", tmp_path)
    assert done.exit_code == 2
    assert "has no run.json: it is not a run of grader train" in done.stderr
