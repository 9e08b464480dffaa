"""The learner's own files: a reset gives exactly the stub, touches nothing else, and loses nothing."""

import pytest
from typer.testing import CliRunner

from grader.cli import main
from grader.grading import progress
from tests.grader.learners import SOLUTION, STUB, graded

MINE = SOLUTION.replace("shares = torch.exp(shifted)", "shares = torch.exp(shifted)  # mine")


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A learner's exercises/, with its attention done."""
    monkeypatch.setattr(progress, "KIT", tmp_path)
    monkeypatch.setattr(progress, "BACKUPS", tmp_path / ".grader" / "backups")
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "attention.py").write_text(MINE, encoding="utf-8")
    return tmp_path


def reset(name):
    return CliRunner().invoke(main.app, ["reset", name])


def text_of(room):
    return (room / "exercises" / "attention.py").read_text(encoding="utf-8")


def part(text, name):
    return text.partition(f"def {name}(")[2].partition("\ndef ")[0].partition("\nclass ")[0]


def test_reset_of_an_exercise_restores_its_stub_and_nothing_else(room):
    done = reset("softmax")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("softmax in ")
    assert part(text_of(room), "softmax") == part(STUB, "softmax")
    assert text_of(room).replace(part(STUB, "softmax"), part(MINE, "softmax")) == MINE


def test_reset_of_a_class_restores_its_stub(room):
    assert reset("attention.SelfAttention").exit_code == 0
    found = graded(text_of(room), "SelfAttention")
    assert {check.status for check in found.checks} == {"todo"}


def test_reset_keeps_a_copy_that_the_message_names(room):
    done = reset("softmax")
    (copy,) = (room / ".grader" / "backups").iterdir()
    assert copy.read_text(encoding="utf-8") == MINE
    assert str(copy) in done.stdout.replace("\n", "")


def test_every_reset_keeps_a_copy_of_its_own(room):
    for name in ("softmax", "causal_mask", "attention"):
        assert reset(name).exit_code == 0
    assert len(list((room / ".grader" / "backups").iterdir())) == 3


def test_reset_of_a_unit_is_the_whole_stub(room):
    assert reset("attention").exit_code == 0
    assert text_of(room) == STUB


def test_reset_of_every_exercise_after_another_leaves_only_stubs(room):
    for exercise in ("softmax", "causal_mask", "scaled_dot_product_attention", "SelfAttention"):
        assert reset(exercise).exit_code == 0
    found = graded(text_of(room), "softmax", "causal_mask", "scaled_dot_product_attention", "SelfAttention")
    assert {check.status for check in found.checks} == {"todo"}


def test_reset_of_a_missing_file_makes_it(room):
    (room / "exercises" / "attention.py").unlink()
    assert reset("softmax").exit_code == 0
    assert text_of(room) == STUB
    assert not (room / ".grader").exists()


def test_reset_of_a_missing_definition_adds_it(room):
    (room / "exercises" / "attention.py").write_text("import torch\n", encoding="utf-8")
    assert reset("softmax").exit_code == 0
    assert text_of(room).startswith("import torch\n\n\ndef softmax(")
    assert part(text_of(room), "softmax").strip() == part(STUB, "softmax").strip()


def test_reset_of_an_alias_puts_the_stub_in_force(room):
    text = SOLUTION.replace("def softmax(", "def mine(") + "\n\nsoftmax = mine\n"
    (room / "exercises" / "attention.py").write_text(text, encoding="utf-8")
    assert reset("softmax").exit_code == 0
    assert {check.status for check in graded(text_of(room), "softmax").checks} == {"todo"}


def test_reset_of_one_defined_twice_puts_the_stub_in_force(room):
    text = MINE + "\n\ndef softmax(scores, dim):\n    return scores\n"
    (room / "exercises" / "attention.py").write_text(text, encoding="utf-8")
    assert reset("softmax").exit_code == 0
    assert {check.status for check in graded(text_of(room), "softmax").checks} == {"todo"}


def test_reset_in_a_file_with_a_syntax_error_says_what_to_do(room):
    (room / "exercises" / "attention.py").write_text("x = = 1\n", encoding="utf-8")
    done = reset("softmax")
    assert done.exit_code == 2
    assert done.stderr == (
        "grader: Python cannot read attention.py:1: SyntaxError: invalid syntax.\n    x = = 1\n        ^\n"
        "To start the whole unit again: grader reset attention\n"
    )
    assert text_of(room) == "x = = 1\n"
    assert reset("attention").exit_code == 0
    assert text_of(room) == STUB


def test_a_windows_file_is_reset_as_well(room):
    (room / "exercises" / "attention.py").write_bytes(b"\xef\xbb\xbf" + MINE.replace("\n", "\r\n").encode())
    assert reset("softmax").exit_code == 0
    assert part(text_of(room), "softmax") == part(STUB, "softmax")


def test_a_form_feed_or_a_strange_line_end_in_a_text_moves_nothing(room):
    strange = MINE.replace("import math\n", 'import math\n\nTEXT = "a\u2028b\x0cc\x85d"\n\x0c\n')
    (room / "exercises" / "attention.py").write_text(strange, encoding="utf-8")
    assert reset("softmax").exit_code == 0
    assert text_of(room).replace(part(STUB, "softmax"), part(MINE, "softmax")) == strange
