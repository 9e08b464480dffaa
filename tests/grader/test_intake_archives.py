"""Archives that nobody has vetted: a sentence at most, never an exception, never slow, never much memory."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.grader import handed_in
from tests.grader.handed_in import SOFTMAX, attention, problem, read, tarred, zip_link, zipped

GOOD = {"exercises/attention.py": SOFTMAX, "exercises/optim.py": "class SGD:\n    pass\n"}
# Good ones


@pytest.mark.parametrize("name", ["ada.zip", "ada.tar", "ada.tar.gz", "ADA.ZIP"])
def test_the_first_bytes_say_what_an_archive_is(tmp_path, name):
    zipped(tmp_path / name, GOOD)
    assert attention(tmp_path / name) == SOFTMAX
    tarred(tmp_path / name, GOOD, "w:gz")
    assert attention(tmp_path / name) == SOFTMAX


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_is_read_with_long_names_beside(tmp_path, format_):
    files = {"é" * 60 + "/" + "notes" * 15: "x"} | GOOD
    assert attention(tarred(tmp_path / "ada.tar", files, format=format_)) == SOFTMAX


def test_a_notebook_in_an_archive_is_read(tmp_path):
    raw = handed_in.notebook(tmp_path / "hw.ipynb", SOFTMAX).read_bytes()
    assert "softmax" in attention(zipped(tmp_path / "ada.zip", {"repo/hw.ipynb": raw}))


def test_harmless_extras_cost_nothing(tmp_path):
    extras = {"README.md": "hi", "curve.png": b"\x89PNG", "data/corpus.tar.gz": b"x", ".git/objects/aa": b"x"}
    extras |= {"./exercises/notes.txt": "x", "exercises/deep/er/still.py": "x = = 1", "venv/lib/a.py": "x"}
    for path in (zipped(tmp_path / "ada.zip", extras | GOOD), tarred(tmp_path / "ada.tar", extras | GOOD)):
        assert sorted(read(path).files) == ["attention", "optim"]
        assert not any(file.problem for file in read(path).files.values())


def test_names_as_windows_writes_them_are_understood(tmp_path):
    path = zipped(tmp_path / "ada.zip", {"repoXexercisesXattention.py": SOFTMAX})
    path.write_bytes(path.read_bytes().replace(b"repoXexercisesX", b"repo\\exercises\\"))
    assert attention(path) == SOFTMAX


def test_a_gzip_of_several_streams_and_padding_is_one(tmp_path):
    raw = tarred(tmp_path / "ada.tar", GOOD).read_bytes()
    path = tmp_path / "ada.tgz"
    path.write_bytes(b"".join(gzip.compress(raw[at : at + 1000]) for at in range(0, len(raw), 1000)) + bytes(512))
    assert attention(path) == SOFTMAX


def test_nothing_is_written(tmp_path):
    read(zipped(tmp_path / "ada.zip", GOOD))
    assert [path.name for path in tmp_path.iterdir()] == ["ada.zip"]


# Bad ones


@pytest.mark.parametrize("name", ["/attention.py", "../attention.py", "a/../../x", "C:/attention.py", "\\\\host\\x.py"])
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_name_that_leads_out_is_refused(tmp_path, name, make):
    said = problem(make(tmp_path / "ada.tar", GOOD | {name: "x"}))
    assert "a name that leads out of it. Make the archive again" in said


TYPES = {
    "symlink": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE, "character": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE, "sparse": tarfile.GNUTYPE_SPARSE, "unknown": b"Z",
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_what_is_no_file_in_a_tar_is_refused_and_its_neighbour_is_not(tmp_path, kind):
    path = tarred(tmp_path / "ada.tar", GOOD | {"exercises/loss.py": (kind, "/etc/passwd"), "elsewhere": (kind, "/")})
    submission = read(path)
    if kind != b"Z":  # a reader takes what it does not know for a file, as POSIX says
        assert submission.file("loss").problem == "loss.py is not a regular file; hand in the file itself."
    assert submission.file("attention").text == SOFTMAX


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_what_is_no_file_in_a_zip_is_refused_and_its_neighbour_is_not(tmp_path, kind):
    files = [*GOOD.items(), zip_link("exercises/loss.py", kind=kind), zip_link("venv/bin/python", kind=kind)]
    submission = read(zipped(tmp_path / "ada.zip", files))
    assert submission.file("loss").problem == "loss.py is not a regular file; hand in the file itself."
    assert submission.file("attention").text == SOFTMAX


def test_a_linked_folder_is_refused(tmp_path):
    said = "ada.zip: repo/exercises is a link. Hand in the folder itself."
    assert problem(zipped(tmp_path / "ada.zip", [zip_link("repo/exercises")])) == said
    assert problem(tarred(tmp_path / "ada.zip", {"repo/exercises": (tarfile.SYMTYPE, "/")})) == said


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [zipped, tarred])
def test_of_two_members_with_one_name_neither_is_guessed(tmp_path, make):
    submission = read(
        make(tmp_path / "ada.zip", [("attention.py", "x = 1"), ("attention.py", "x = 2"), ("loss.py", "")])
    )
    assert "several files with the name attention.py" in submission.file("attention").problem
    assert submission.file("loss").problem == ""


def test_a_password_and_odd_compression_are_said(tmp_path):
    path = zipped(tmp_path / "ada.zip", GOOD, compression=zipfile.ZIP_STORED)
    raw = path.read_bytes()
    at = raw.index(b"PK\x01\x02")
    path.write_bytes(raw[: at + 8] + b"\x01" + raw[at + 9 :])
    assert read(path).file("attention").problem == (
        "attention.py is locked with a password. Hand in an archive without one."
    )
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):  # their readers unpack without a limit
        zipped(path, GOOD, compression=method)
        assert (
            "is compressed in a way that is not read here. Hand in an ordinary zip." in read(path).file("optim").problem
        )


@pytest.mark.parametrize("make", [zipped, tarred])
def test_what_cannot_be_read_in_an_archive_is_said(tmp_path, make):
    said = problem(make(tmp_path / "ada.tar", {"x.rar": b"Rar!"}))
    assert said == "ada.tar holds no Python files or notebooks (x.rar). Hand in your .py files or your notebook."
    assert "b.tar.gz is damaged or not an archive." in problem(make(tmp_path / "ada.tar", {"a/b.tar.gz": b"PK"}))


@pytest.mark.parametrize("inner", [zipped, tarred])
@pytest.mark.parametrize("outer", [zipped, tarred])
def test_an_archive_in_an_archive_is_read(tmp_path, outer, inner):
    raw = inner(tmp_path / "inner", GOOD).read_bytes()
    path = outer(tmp_path / "ada.zip", {"Abgabe/homework.zip": raw, "Abgabe/report.pdf": "x"})
    submission = read(path)
    assert submission.file("attention").text == SOFTMAX
    assert submission.notes == ("Not graded: Abgabe/report.pdf.",)


def test_a_broken_archive_beside_good_files_costs_nothing(tmp_path):
    submission = read(handed_in.write(tmp_path, {"attention.py": SOFTMAX, "data.zip": b"PK"}))
    assert sorted(submission.files) == ["attention"]
    assert submission.notes == ("Not graded: data.zip.",)


def test_archives_in_archives_in_archives_are_not_looked_into(tmp_path):
    path = zipped(tmp_path / "0.zip", GOOD)
    for depth in range(1, 4):
        path = zipped(tmp_path / f"{depth}.zip", {f"{depth}.zip": path.read_bytes()})
    assert "holds no Python files or notebooks" in problem(path)


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_what_was_cut_off_is_damaged(tmp_path, mode):
    path = tmp_path / "ada.tar"
    noise = {"exercises/data.bin": bytes(range(256)) * 40}
    (zipped if mode == "zip" else tarred)(path, noise | GOOD, **({} if mode == "zip" else {"mode": mode}))
    raw = path.read_bytes()
    lengths = {0, 1, 5, 30, len(raw) // 3, len(raw) // 2}
    if mode != "w":  # a tar ends with kilobytes of zeros, which nobody misses
        lengths.add(len(raw) - 1)
    for length in lengths:
        path.write_bytes(raw[:length])
        assert "ada.tar is damaged or not an archive. Make the archive again" in problem(path)


def test_a_damaged_member_is_said_and_its_neighbour_is_not(tmp_path):
    path = zipped(tmp_path / "ada.zip", GOOD, compression=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"def softmax", b"def hardmax"))
    submission = read(path)
    assert "attention.py is damaged in the archive." in submission.file("attention").problem
    assert submission.file("optim").problem == ""


def test_a_header_that_makes_no_sense_is_no_quiet_end(tmp_path):
    path = tarred(tmp_path / "ada.tar", GOOD)
    raw = path.read_bytes()
    path.write_bytes(raw[:1024] + b"?" * 512 + raw[1536:])
    assert "ada.tar is damaged or not an archive" in problem(path)


def test_large_members_are_refused_and_their_neighbours_are_not(tmp_path):
    files = {"attention.py": b"#" * ((256 << 10) + 1), "loss.py": b"#" * (256 << 10), "hw.ipynb": b" " * (9 << 20)}
    for make in (zipped, tarred):
        submission = read(make(tmp_path / "ada.zip", files))
        assert submission.file("attention").problem == "attention.py is larger than 256 KiB; is it the right file?"
        assert submission.file("loss").problem == ""
        assert submission.file("optim").problem == "hw.ipynb is larger than 8 MiB; clear its outputs and save it."


# Any bytes at all


SEEDS = [
    lambda: zip_bytes(zipfile.ZIP_STORED), lambda: zip_bytes(zipfile.ZIP_DEFLATED), lambda: tar_bytes("w"),
    lambda: tar_bytes("w:gz"), lambda: tar_bytes("w:bz2"), lambda: tar_bytes("w:xz"), lambda: b"",
]  # fmt: skip


def zip_bytes(compression):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, text in GOOD.items():
            archive.writestr(zipfile.ZipInfo(name), text, compression)
    return file.getvalue()


def tar_bytes(mode):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, text in GOOD.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


EDIT = st.tuples(st.integers(0, 5000), st.integers(0, 40), st.binary(max_size=12))


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.sampled_from(SEEDS), edits=st.lists(EDIT, max_size=6), ending=st.sampled_from([".zip", ".tar", ".tgz"]))
def test_any_bytes_are_a_submission_or_a_sentence(tmp_path, seed, edits, ending):
    raw = seed()
    for at, length, put in edits:
        at %= len(raw) + 1
        raw = raw[:at] + put + raw[at + length :]
    path = tmp_path / f"ada{ending}"
    path.write_bytes(raw)
    submission = read(path)
    assert bool(submission.problem) != bool(submission.files)
    for file in submission.files.values():
        assert not file.problem or file.problem.endswith(".")
    if not edits and raw:
        assert submission.file("attention").text == SOFTMAX
