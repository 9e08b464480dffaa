"""Submissions as they come: whatever the file is like, it is read or refused with a sentence."""

import os
import sys
from pathlib import Path

import pytest

from grader.curriculum.submission import File, Submission, from_bytes, read

DEEP_BY_BRACKETS = b"x = " + b"(" * 5000 + b")" * 5000
DEEP_BY_OPERATORS = b"x = " + b"-" * 100_000 + b"1"


def source(raw):
    return from_bytes("exercises/attention.py", raw)


# What is no problem


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbfdef softmax():\n    return 1\n",
        b"def softmax():\r\n    return 1\r\n",
        b"def softmax():\r    return 1\r",
        b"def softmax():\n\treturn 1\n",
        b"# -*- coding: latin-1 -*-\n# caf\xe9\ndef softmax():\n    return 1\n",
        b"# coding: cp1252\n# \x93quoted\x94\ndef softmax():\n    return 1\n",
        b"def softmax():\n    return 1",
    ],
    ids=["byte order mark", "CRLF", "CR", "tabs", "latin-1", "cp1252", "no newline at the end"],
)
def test_how_an_editor_saves_is_no_problem(raw):
    file = source(raw)
    assert file.problem == ""
    assert list(file.definitions) == ["softmax"]
    assert "\r" not in file.text
    assert not file.text.startswith("\ufeff")


def test_an_encoding_line_is_obeyed():
    assert "# café" in source(b"# coding: latin-1\n# caf\xe9\n").text


def test_an_empty_file_defines_nothing():
    assert source(b"").problem == ""
    assert source(b"").definitions == {}


@pytest.mark.filterwarnings("error")
def test_what_python_warns_of_is_not_our_business():
    assert source(b"pattern = '\\d'\nx = 1 is 1\n").problem == ""


# What is one, and the sentence


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"x = 1\n# caf\xe9\n", "attention.py line 2 is not UTF-8: save the file in that encoding."),
        (b"# \x93Windows-1252\x94\n", "attention.py line 1 is not UTF-8: save the file in that encoding."),
        (b"x = 1\n\n\n\nlabel = '\xfc'\n", "attention.py line 5 is not UTF-8: save the file in that encoding."),
        (b"# coding: rot13\n", "attention.py names the encoding rot13: save the file as UTF-8."),
        (b"# coding: punycode\n", "attention.py names the encoding punycode: save the file as UTF-8."),
        (
            b"x = 1\ny = = 2\n",
            "Python cannot read exercises/attention.py:2: SyntaxError: invalid syntax.\n    y = = 2\n        ^",
        ),
    ],
)
def test_what_cannot_be_read_is_a_sentence_with_the_line(raw, sentence):
    assert source(raw).problem == sentence


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"# coding: klingon\n", "(PEP 263), and knows no 'klingon'. Reword that comment."),
        (b"def f():\n    if True:\n\treturn 1\n", "attention.py:3: TabError: inconsistent use of tabs"),
        (b"def f():\nreturn 1\n", "attention.py:2: IndentationError: expected an indented block"),
        (b"x = 1\x00\n", "null bytes"),
        (b"\x00" * 100, "null bytes"),
        ("x = 1".encode("utf-16"), ""),
        (DEEP_BY_BRACKETS, "too many nested parentheses"),
        (DEEP_BY_OPERATORS, ""),
        (b"1" * 10_000, "SyntaxError"),
        (b"async def f():\n  await = 1", "attention.py:2: SyntaxError"),
    ],
    ids=["unknown encoding", "tabs", "indent", "null", "nulls", "UTF-16", "brackets", "minus", "digits", "await"],
)
def test_what_python_refuses_is_named(raw, words):
    file = source(raw)
    assert "attention.py" in file.problem
    assert words in file.problem
    assert file.problem.splitlines()[0].endswith(".")
    assert file.text == ""
    assert file.definitions == {}
    assert file.assigned == frozenset()
    assert len(file.problem) < 400


# Folders


def test_a_folder_of_modules_and_a_repository_are_the_same(tmp_path):
    repository = tmp_path / "ada"
    (repository / "exercises").mkdir(parents=True)
    (repository / "exercises" / "attention.py").write_text("x = 1\n")
    (repository / "exercises" / "__init__.py").write_text("")
    (repository / "setup.py").write_text("raise SystemExit\n")
    folder = read(repository / "exercises")
    whole = read(repository)
    assert list(whole.files) == list(folder.files) == ["attention"]
    assert whole.name == folder.name == "ada"
    assert whole.sha256 == folder.sha256


def test_a_submission_knows_where_its_files_lie(tmp_path):
    (tmp_path / "attention.py").write_text("x = 1\n")
    file = read(tmp_path).file("attention")
    assert file.source.path == "exercises/attention.py"
    assert file.local_source.path == str((tmp_path / "attention.py").resolve())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
@pytest.mark.parametrize("name", [b"ad\xffa", b"ad\x1ba", b"ad\na", "ad\u202ea".encode()])
def test_a_name_that_cannot_be_shown_is_made_harmless(tmp_path, name):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    folder.mkdir()
    (folder / "attention.py").write_text("x = 1")
    assert read(folder).name == "ad\ufffda"


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_text(""), lambda p: p.symlink_to("nowhere")])
def test_what_is_no_folder_is_refused(tmp_path, make):
    path = tmp_path / "there"
    make(path)
    with pytest.raises(ValueError, match=r"there is not a folder\. Give the folder that holds the learner's files\."):
        read(path)


def test_a_folder_without_python_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "my-code.py").write_text("x = 1")  # cannot be imported under that name
    with pytest.raises(ValueError, match="holds no Python files"):
        read(tmp_path)


def test_a_missing_unit_is_a_sentence():
    file = Submission("ada", {}).file("optim")
    assert file.problem == "There is no file optim.py in the submission."


def test_a_large_file_is_refused_unread(tmp_path):
    (tmp_path / "attention.py").write_bytes(b"#" * (2 << 20))
    assert read(tmp_path).file("attention").problem == "attention.py is larger than 256 KiB; is it the right file?"


def test_one_bad_file_leaves_its_neighbours_alone(tmp_path):
    (tmp_path / "attention.py").write_text("x = = 1")
    (tmp_path / "optim.py").write_text("x = 1")
    found = read(tmp_path)
    assert found.file("attention").problem
    assert found.file("optim").problem == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no links without privileges")
def test_links_are_refused(tmp_path):
    (tmp_path / "real.py").write_text("x = 1")
    (tmp_path / "attention.py").symlink_to("real.py")
    assert "hand in the file itself" in read(tmp_path).file("attention").problem


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_a_sentence(tmp_path):
    (tmp_path / "attention.py").write_text("x = 1")
    (tmp_path / "attention.py").chmod(0)
    assert "attention.py cannot be read: Permission denied." in read(tmp_path).file("attention").problem


def test_a_disk_that_fails_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "attention.py").write_text("x = 1")

    def fail(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pathlib.Path.read_bytes", fail)
    assert read(tmp_path).file("attention").problem == "attention.py cannot be read: Input/output error."


# The digest


def test_the_digest_changes_with_content_only(tmp_path):
    def digest(folder, **files):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / f"{name}.py").write_bytes(text)
        return read(tmp_path / folder).sha256

    one = digest("ada", attention=b"x = 1\n", optim=b"y = 2\n")
    assert digest("bob", optim=b"y = 2\n", attention=b"x = 1\n") == one
    assert digest("crlf", attention=b"\xef\xbb\xbfx = 1\r\n", optim=b"y = 2\n") == one
    assert digest("changed", attention=b"x = 2\n", optim=b"y = 2\n") != one
    assert digest("renamed", attention=b"x = 1\n", optim2=b"y = 2\n") != one
    assert digest("moved", attention=b"y = 2\n", optim=b"x = 1\n") != one


def test_the_digest_keeps_names_and_texts_apart():
    def digest(**texts):
        return Submission("ada", {name: File(name, text) for name, text in texts.items()}).sha256

    assert digest(a="b", c="d") != digest(a="bc", d="")
    assert digest(a="\ud800") != digest(a="\ud801")  # what no encoding can write has a digest, too
