"""A folder of submissions: who handed in what, and where in it their files are."""

import os
import socket
import sys

import pytest

from grader.intake.collect import collect
from grader.intake.gather import Gathered, gather
from grader.intake.members import Refused
from tests.grader.handed_in import SOFTMAX, attention, names, notebook, problem, read, tarred, write, zipped

ROWS = "name,file\nAda,ada.zip\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "handed in").mkdir()
    return tmp_path / "handed in"


# Whose it is


def test_each_entry_is_a_learner_named_without_the_ending(folder):
    write(folder, {"ada/attention.py": SOFTMAX, "bob.py": SOFTMAX, "v1.2/attention.py": SOFTMAX})
    zipped(folder / "cem.zip", {"attention.py": SOFTMAX})
    for ending, mode in (("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz")):
        tarred(folder / f"{ending.replace('.', '-')}.{ending}", {"attention.py": SOFTMAX}, mode)
    notebook(folder / "eve.ipynb", SOFTMAX)
    entries = collect(folder)
    assert [entry.name for entry in entries] == [
        *("ada", "bob", "cem", "eve", "tar-bz2", "tar-gz", "tar-xz", "tar", "tgz", "v1.2")
    ]
    for entry in entries:
        submission = entry.read()
        assert submission.name == entry.name
        assert "softmax" in submission.file("attention").definitions


def test_what_systems_leave_behind_is_nobody(folder):
    write(folder, {"ada/attention.py": SOFTMAX, ".hidden/attention.py": "", "__MACOSX/x.py": "", ".DS_Store": ""})
    write(folder, {"__pycache__/x.pyc": "", "Thumbs.db": ""})
    assert names(folder) == ["ada"]


def test_two_entries_of_one_name_are_not_guessed_between_and_stop_nobody_else(folder):
    write(folder, {"ada/attention.py": SOFTMAX, "ada.py": SOFTMAX, "bob.py": SOFTMAX})
    ada, bob = collect(folder)
    assert ada.read().problem.startswith("ada and ada.py would both be ada. Remove or rename one")
    assert ada.read().status == "unreadable"
    assert bob.read().problem == ""


@pytest.mark.parametrize("name", ["ada.rar", "ada.docx", "ada.7z", "ada"])
def test_what_cannot_be_graded_is_still_a_learner(folder, name):
    write(folder, {name: b"\x00\x01"})
    assert names(folder) == ["ada"]
    assert problem(folder / name).startswith(f"{name} is not something that can be graded. Hand in your Python files")


def test_no_folder_and_an_empty_folder_are_wrong_usage(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere is not a folder\. Give the folder that holds the submissions\."):
        collect(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"is empty\. Give the folder that holds the submissions\."):
        collect(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
@pytest.mark.parametrize("name", [b"ad\xffa", b"ad\x1ba", b"ad\na", "ad\u202ea".encode()])
def test_a_name_that_cannot_be_shown_is_made_harmless(folder, name):
    os.mkdir(os.fsencode(folder) + b"/" + name)  # noqa: PTH102
    assert names(folder) == ["ad\ufffda"]
    assert "ad\ufffda holds no Python files" in collect(folder)[0].read().problem


def test_reading_again_gives_the_same(folder):
    entry = collect(zipped(folder / "ada.zip", {"attention.py": SOFTMAX}).parent)[0]
    assert entry.read().sha256 == entry.read().sha256


def test_what_vanished_since_is_nothing_handed_in(tmp_path):
    assert problem(tmp_path / "ada.zip") == "Nothing was handed in."


# Where in it


@pytest.mark.parametrize("place", ["", "exercises/", "repo-main/", "repo-main/exercises/"])
@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_the_files_are_found_at_the_top_in_exercises_and_one_level_deeper(tmp_path, place, kind):
    files = {f"{place}attention.py": SOFTMAX, f"{place}__init__.py": "", f"{place}optim.py": "x = 1\n"}
    files |= {
        "README.md": "# hi",
        "img/curve.png": b"\x89PNG",
        f"{place}.ipynb_checkpoints/loss.py": "",
        "x/y/z/d.py": "",
    }
    files |= {"__MACOSX/exercises/._attention.py": b"\x00\x05", "x/y/z/plots.py": ""}
    make = {"folder": write, "zip": zipped, "tar": tarred}[kind]
    path = tmp_path / ("ada" if kind == "folder" else f"ada.{kind}")
    submission = read(make(path, files))
    assert submission.problem == ""
    assert sorted(submission.files) == ["attention", "optim"]
    assert submission.file("attention").text == SOFTMAX
    assert submission.file("attention").path == "exercises/attention.py"


def test_of_a_repository_exercises_counts_and_not_what_lies_beside_it(tmp_path):
    write(tmp_path, {"exercises/attention.py": SOFTMAX, "setup.py": "", "solutions/attention.py": "x = 1"})
    assert attention(tmp_path) == SOFTMAX


def test_two_files_of_one_unit_are_not_guessed_between(tmp_path):
    write(tmp_path, {"new/attention.py": SOFTMAX, "old/attention.py": f"import torch\n{SOFTMAX}", "optim.py": "x = 1"})
    submission = read(tmp_path)
    assert submission.file("attention").problem == (
        "attention is in new/attention.py and in old/attention.py, and it is not clear which counts. Hand in one."
    )
    assert submission.file("optim").problem == ""


def test_two_copies_of_one_file_are_one(tmp_path):
    assert attention(write(tmp_path, {"new/attention.py": SOFTMAX, "old/attention.py": SOFTMAX})) == SOFTMAX


@pytest.mark.parametrize(
    "files", [{}, {"notes.txt": "x"}, {"exercises/__init__.py": ""}, {".git/attention.py": SOFTMAX}]
)
def test_a_folder_without_python_says_what_to_hand_in(tmp_path, files):
    said = problem(write(tmp_path, files))
    assert "holds no Python files or notebooks" in said
    assert ("(notes.txt)" in said) == ("notes.txt" in files)


def test_files_that_define_no_exercise_are_named(tmp_path):
    said = problem(write(tmp_path, {"utils.py": "def helper(): pass\n"}))
    assert said.startswith("None of the exercises is defined in what was handed in (utils.py).")


def test_a_file_of_another_name_is_every_unit_that_it_defines(tmp_path):
    write(tmp_path, {"homework.py": f"import seaborn\n{SOFTMAX}\nclass SGD:\n    pass\n\nprint(softmax)\n"})
    submission = read(tmp_path)
    assert sorted(submission.files) == ["attention", "homework", "optim"]
    assert submission.file("attention").text == "\n" + SOFTMAX
    assert submission.file("attention").locate("softmax") == "homework.py:2"
    assert list(submission.file("optim").definitions) == ["SGD"]


def test_a_file_with_a_units_name_is_that_unit_whatever_others_define(tmp_path):
    write(tmp_path, {"attention.py": SOFTMAX, "mine.py": "def softmax():\n    return 1\n"})
    assert attention(tmp_path) == SOFTMAX


def test_a_notebook_counts_before_a_file_of_stubs(tmp_path):
    write(tmp_path, {"attention.py": "def softmax(x):\n    raise NotImplementedError('attention.softmax')\n"})
    notebook(tmp_path / "hw.ipynb", SOFTMAX)
    assert attention(tmp_path).strip() == SOFTMAX.strip()


def test_two_that_define_the_same_unit_are_not_guessed_between(tmp_path):
    write(tmp_path, {"hw1.py": SOFTMAX, "hw2.py": SOFTMAX + "\nclass SGD:\n    pass\n"})
    submission = read(tmp_path)
    assert "attention is in hw1.py and in hw2.py" in submission.file("attention").problem
    assert submission.file("optim").problem == ""


def test_names_that_differ_only_in_case_are_not_guessed_between(tmp_path):
    path = tarred(tmp_path / "ada.tar", {"attention.py": SOFTMAX, "Attention.py": SOFTMAX + "#", "optim.py": "x = 1"})
    submission = read(path)
    assert "several files with the name Attention.py. Hand in one" in submission.file("attention").problem
    assert submission.file("optim").problem == ""


def test_one_bad_file_leaves_its_neighbours_alone(tmp_path):
    path = zipped(tmp_path / "ada.zip", {"attention.py": b"# caf\xe9\n", "loss.py": "x = = 1", "optim.py": "x = 1"})
    submission = read(path)
    assert submission.file("attention").problem == "attention.py line 1 is not UTF-8: save the file in that encoding."
    assert "Python cannot read exercises/loss.py:1" in submission.file("loss").problem
    assert submission.file("optim").problem == ""


# What must not be opened


@pytest.mark.skipif(sys.platform == "win32", reason="no links without privileges")
def test_no_link_is_followed(tmp_path):
    secret = write(tmp_path / "secret", {"attention.py": SOFTMAX})
    ada = write(tmp_path / "ada", {"optim.py": "x = 1"})
    (ada / "attention.py").symlink_to(secret / "attention.py")
    assert read(ada).file("attention").problem == "attention.py is not a regular file; hand in the file itself."
    (ada / "exercises").symlink_to(secret)
    assert problem(ada) == "ada: exercises is a link. Hand in the folder itself."
    (tmp_path / "bob").symlink_to(secret)
    assert problem(tmp_path / "bob") == "bob is a link. Hand in the folder or file itself."
    (tmp_path / "eve.zip").symlink_to(secret / "attention.py")
    assert problem(tmp_path / "eve.zip") == "eve.zip is a link. Hand in the folder or file itself."


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none here")
def test_no_pipe_and_no_socket_is_waited_for(tmp_path):
    ada = write(tmp_path / "ada", {"optim.py": "x = 1"})
    os.mkfifo(ada / "attention.py")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(ada / "loss.py"))
        submission = read(ada)
    for unit in ("attention", "loss"):
        assert f"{unit}.py is not a regular file" in submission.file(unit).problem
    os.mkfifo(tmp_path / "bob.zip")
    assert problem(tmp_path / "bob.zip").startswith("bob.zip is not a file. Hand in")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_a_sentence(tmp_path):
    write(tmp_path, {"attention.py": SOFTMAX, "optim.py": "x = 1"})
    (tmp_path / "attention.py").chmod(0)
    assert "attention.py cannot be read: Permission denied." in read(tmp_path).file("attention").problem


def test_a_disk_that_fails_is_a_sentence(tmp_path, monkeypatch):
    path = zipped(tmp_path / "ada.zip", {"attention.py": SOFTMAX})

    def fail(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("grader.intake.gather.os.open", fail)
    opened = Gathered()
    gather(opened, path, "ada.zip")
    with pytest.raises(Refused, match=r"ada\.zip cannot be read: Input/output error\."):
        opened.members[0].load()


def test_large_files_are_refused(tmp_path):
    write(tmp_path, {"attention.py": b"#" * (2 << 20), "hw.ipynb": b" " * (9 << 20), "optim.py": "x = 1"})
    submission = read(tmp_path)
    assert submission.file("attention").problem == "attention.py is larger than 256 KiB; is it the right file?"
    assert submission.file("loss").problem == "hw.ipynb is larger than 8 MiB; clear its outputs and save it."


def test_many_files_are_refused(tmp_path):
    write(tmp_path, {f"exercises/f{index}.py": "x = 1" for index in range(201)})
    assert "201 Python files, more than 200. Hand in yours alone." in problem(tmp_path)


def test_much_code_is_refused_before_it_is_looked_through(tmp_path):
    write(tmp_path, {f"f{index}.py": b"#" * (256 << 10) for index in range(20)})
    assert "more than 4 MiB of Python" in problem(tmp_path)
