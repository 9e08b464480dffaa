"""`grader train`, as people use it: real processes, killed and continued, and everything that can be asked wrongly."""

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress

from grader.cli.training_run import Display
from grader.curriculum.submission import KIT
from grader.training.language import Language
from grader.training.settings import Settings, read

TINY = ["max_length=16", "d_model=16", "num_layers=1", "num_heads=2", "vocab_size=300", "batch_size=4", "dropout=0.1"]
WIDE = ["max_length=64", "d_model=64", "batch_size=16"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """So small a model gains nothing from a second thread, and on a busy machine each waits for the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(Language.draw(0).sentences(600, 0) + "é🙂 " * 5, encoding="utf-8")
    return path


def command(run, *options, target="solutions"):
    settings = [part for setting in TINY for part in ("--set", setting)]
    return [sys.executable, "-m", "grader", "train", "--target", str(target), "--name", str(run), *settings, *options]


def trained(run, *options, target="solutions", code=0):
    done = subprocess.run(
        command(run, *options, target=target), capture_output=True, text=True, cwd=KIT, timeout=200, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def unwrapped(done):
    """What was said, however long the paths in it are."""
    return " ".join(done.stdout.split())


def killed_after(updates, run, *options):
    """Begin a run and kill it once its log has so many rows."""
    process = subprocess.Popen(command(run, *options), cwd=KIT, stdout=subprocess.DEVNULL)
    log = run / "log.csv"
    while not log.exists() or len(log.read_text().splitlines()) < updates + 1:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert not (run / "sample.txt").exists(), "it was too fast to be killed"


def rows(run):
    with (run / "log.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(text, tmp_path_factory):
    """A run that nobody interrupted."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, trained(run, "--text", str(text), "--steps", "40")


def test_it_leaves_log_sample_facts_and_one_checkpoint(whole):
    run, done = whole
    assert [int(row["step"]) for row in rows(run)] == list(range(1, 41))
    assert float(rows(run)[-1]["loss"]) < float(rows(run)[0]["loss"])
    held_out = [float(row["held_out_bits_per_byte"]) for row in rows(run) if row["held_out_bits_per_byte"]]
    assert len(held_out) == 10
    assert held_out[-1] < held_out[0]
    facts = json.loads((run / "run.json").read_text())
    assert facts["options"]["d_model"] == 16
    assert facts["parameters"] > 4800
    assert (run / "sample.txt").read_text(encoding="utf-8") in done.stdout.replace("\r\n", "\n")
    assert len(list(run.glob("checkpoint-*"))) == 1


def test_equal_runs_cost_no_compiler():
    code = (
        "import sys, torch\nfrom grader.training.devices import deterministic\n"
        "with deterministic(compiled=False):\n"
        "    assert torch.are_deterministic_algorithms_enabled()\n"
        "    assert torch.is_deterministic_algorithms_warn_only_enabled()\n"
        "assert not torch.are_deterministic_algorithms_enabled()\n"
        "print('torch._inductor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=KIT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "False\n"


def test_without_a_terminal_it_says_lines_without_colour_and_nothing_on_stderr(whole):
    _, done = whole
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "update 40 of 40  loss" in done.stdout
    assert "bits per byte" in done.stdout
    assert "gzip -9" in done.stdout
    assert re.search(r"40 updates took .+ s\.", done.stdout)


def test_without_a_terminal_it_is_never_silent_for_long(tmp_path):
    now, said = 0.0, StringIO()
    console = Console(file=said, width=200)
    display = Display(console, Progress(disable=True), Settings(steps=100), tmp_path, clock=lambda: now)
    display.begun({"step": 0, "parameters": 1, "gzip_bits_per_byte": 2.0})
    for step in range(1, 13):
        now += 11.0  # no evaluation is due in any of these updates
        display.stepped({"step": step, "loss": 1.0}, 10.0)
    display.ended({"gzip_bits_per_byte": 2.0}, "sample")
    lines = [line for line in said.getvalue().splitlines() if line.startswith("update ")]
    assert [line.split()[1] for line in lines] == ["3", "6", "9", "12"]
    assert "12 updates took 2 min 12 s." in said.getvalue()


def test_killed_and_continued_it_has_the_same_losses_to_the_last_bit(whole, text, tmp_path):
    run = tmp_path / "killed"
    killed_after(11, run, "--text", str(text), "--steps", "40")
    done = trained(run, "--text", str(text))
    assert "resumes after update" in unwrapped(done)
    assert rows(run) == rows(whole[0])
    assert (run / "sample.txt").read_bytes() == (whole[0] / "sample.txt").read_bytes()


def test_with_two_threads_equal_runs_and_a_killed_one_have_the_same_losses(text, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # on a busy machine threads that spin take minutes
    # Large enough for torch to split an embedding's backward pass between the threads: 65 536 gradients.
    wide = [part for name in WIDE for part in ("--set", name)]
    options = (*wide, "--text", str(text), "--steps", "6")
    for name in ("first", "second"):
        trained(tmp_path / name, *options)
    killed_after(2, tmp_path / "killed", *options)
    assert "resumes after update" in unwrapped(trained(tmp_path / "killed", *wide, "--text", str(text)))
    assert rows(tmp_path / "second") == rows(tmp_path / "first")
    assert rows(tmp_path / "killed") == rows(tmp_path / "first")


def test_a_finished_run_only_says_its_sample_again(whole, text):
    run, _ = whole
    again = trained(run, "--text", str(text))
    assert (run / "sample.txt").read_text(encoding="utf-8") in again.stdout
    assert len(rows(run)) == 40


def test_another_setting_text_or_target_is_no_continuation(whole, text, tmp_path):
    run, _ = whole
    other = tmp_path / "other.txt"
    other.write_text(text.read_text(encoding="utf-8") + "more", encoding="utf-8")
    assert "steps 41 and not 40" in trained(run, "--text", str(text), "--steps", "41", code=2).stderr
    assert "another text" in trained(run, "--text", str(other), code=2).stderr
    assert "another target" in trained(run, "--text", str(text), target="exercises", code=2).stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "d_modell=3"], "Did you mean d_model?"),
        (["--set", "d_model"], "--set wants NAME=VALUE"),
        (["--set", "d_model=wide"], "d_model wants a value of type int"),
        (["--set", "bias=perhaps"], "bias wants true or false"),
        (["--set", "vocab_size=256"], "more than the 256 bytes"),
        (["--set", "batch_size=0"], "batch_size must be 1 or more"),
        (["--set", "position=nowhere"], "position"),
        (["--text", "/nowhere.txt"], "No such file"),
        (["--device", "cuda:7"], "no GPU"),
    ],
)
def test_what_cannot_be_is_refused_with_words(options, words, text, tmp_path):
    options = options if "--text" in options else [*options, "--text", str(text)]
    done = trained(tmp_path / "run", *options, code=2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stub_is_named_and_nothing_is_left_half_begun(text, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(KIT / "solutions", folder)
    shutil.copy(KIT / "exercises" / "training.py", folder)
    done = trained(tmp_path / "run", "--text", str(text), target=folder, code=1)
    assert "is still a stub: write it first" in done.stderr


def test_two_processes_train_one_model(text, tmp_path):
    run = tmp_path / "two"
    options = command(run, "--text", str(text), "--steps", "20")[2:]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run([*torchrun, *options], capture_output=True, text=True, cwd=KIT, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [int(row["step"]) for row in rows(run)] == list(range(1, 21))
    assert len(list(run.glob("checkpoint-20.*.pt"))) == 2
    assert done.stdout.count("update 20 of 20") == 1


def test_bfloat16_is_close_and_not_the_same(whole, text, tmp_path):
    run = tmp_path / "bf16"
    trained(run, "--text", str(text), "--steps", "40", "--bf16")
    losses = [(float(a["loss"]), float(b["loss"])) for a, b in zip(rows(run), rows(whole[0]), strict=True)]
    assert any(a != b for a, b in losses)
    assert all(abs(a - b) < 0.1 for a, b in losses)


def test_settings_are_read_by_their_types():
    found = read(["num_kv_heads=2", "d_hidden=none", "max_lr=1e-3", "bias=yes", "position=learned"])
    assert found == {"num_kv_heads": 2, "d_hidden": None, "max_lr": 1e-3, "bias": True, "position": "learned"}
    assert Settings(**found).recipe.model["position"] == "learned"
