"""Small archives that unpack to gigabytes, and other ways to keep a reader busy: bounded in time and in memory."""

import gzip
import json
import lzma
import subprocess
import sys
import tarfile

import pytest

from grader.batch import archives, streams
from grader.submission import KIT
from tests.grader import handed_in
from tests.grader.handed_in import SOFTMAX, problem, tar_header, tarred, zipped

# Whatever it is, it is read within these: the bounds are far above what was seen (see the numbers behind each).
SECONDS = 10.0  # 1.0
MEGABYTES = 100  # 40, of which Python and the grader's own modules are 20
MEASURE = """
import json, re, resource, sys, time
from pathlib import Path
from grader.intake.collect import Entry
started = time.process_time()
submission = Entry("ada", Path(sys.argv[1])).read()
status = Path("/proc/self/status")
if status.exists():  # ru_maxrss counts the process that started this one, too
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 2**10
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
problems = {name: file.problem for name, file in submission.files.items()}
print(json.dumps([submission.problem, problems, time.process_time() - started, peak]))
"""


def measured(path):
    """The problem of a submission and those of its files, read in a process of its own under the bounds."""
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=KIT, capture_output=True, text=True, check=True, timeout=100)
    said, problems, seconds, megabytes = json.loads(done.stdout)
    assert seconds < SECONDS
    assert megabytes < MEGABYTES
    return said, problems


def test_a_member_that_lies_about_its_size_is_damaged(tmp_path):
    path = zipped(tmp_path / "ada.zip", {"attention.py": b"#" * (50 << 20), "optim.py": ""})
    path.write_bytes(path.read_bytes().replace((50 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    said, problems = measured(path)
    assert said == ""
    assert problems["attention"].startswith("attention.py is damaged in the archive.")


@pytest.mark.skipif(sys.platform == "win32", reason="no resource there")
@pytest.mark.parametrize("head", [b"", tar_header("attention.py", 10 << 30), tar_header("x.bin", 10 << 30)])
def test_ten_gigabytes_in_ten_megabytes(tmp_path, head):
    path = handed_in.gzip_bomb(tmp_path / "ada.tar.gz", head=head)
    assert path.stat().st_size < 12 << 20
    said, _ = measured(path)
    assert "ada.tar.gz unpacks to more than 256 MiB. Hand in" in said


def bz2_bomb(path):
    tarred(path, {"x.bin": bytes(200 << 20)}, "w:bz2")


def xz_bomb(path):
    tarred(path, {"x.bin": bytes(300 << 20)}, "w:xz", preset=0)


def tar_of_many(path):
    path.write_bytes(gzip.compress(tar_header("a", 0) * 100_000, 1))


def pax_bomb(path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 100 << 20
    path.write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(100 << 20), 1))


def many_pax_keys(path):
    keys = b"".join(b"11 k%05d=1\n" % index for index in range(5000))
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XGLTYPE, len(keys)
    block = info.tobuf(tarfile.USTAR_FORMAT) + keys + bytes(-len(keys) % 512)
    small = tarfile.TarInfo("pax")
    small.type, small.size = tarfile.XHDTYPE, 9
    local = small.tobuf(tarfile.USTAR_FORMAT) + b"9 k=1234\n".ljust(512, b"\0") + tar_header("a", 0)
    path.write_bytes(gzip.compress(block + local * 19_000 + bytes(1024), 1))


def chained_headers(path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    path.write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")) * 20_000)


def empty_streams(path):
    path.write_bytes(gzip.compress(b"") * 300_000)


def greedy_dictionary(path):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    path.write_bytes(lzma.compress(tar_header("a", 0), filters=filters))


BOMBS = {
    "bz2": (bz2_bomb, "unpacks to more than 10 MiB"),
    "xz": (xz_bomb, "unpacks to more than"),
    "a hundred thousand members": (tar_of_many, "holds too many files"),
    "a header of 100 MB": (pax_bomb, "has a header that no ordinary archive has"),
    "keys in headers": (many_pax_keys, ""),
    "headers of headers": (chained_headers, "is damaged or no archive"),
    "empty streams": (empty_streams, "is damaged or no archive"),
    "a dictionary of 1 GiB": (greedy_dictionary, "is damaged or no archive"),
    "a zip of a million entries": (handed_in.million_entries, "holds too many files"),
    "a zip of 30,000 entries": (
        lambda path: zipped(path, [(f"{index}", b"") for index in range(30_000)]),
        "holds too many files",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no resource there")
@pytest.mark.parametrize(("make", "words"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_a_sentence(tmp_path, make, words):
    make(tmp_path / "ada.tar")
    said, _ = measured(tmp_path / "ada.tar")
    assert words in said
    assert said.endswith(".")


@pytest.mark.skipif(sys.platform == "win32", reason="no resource there")
def test_members_that_share_their_bytes_are_bounded_all_the_same(tmp_path):
    said, _ = measured(handed_in.overlapping_zip(tmp_path / "ada.zip", 20_000))
    assert "20000 Python files, more than 200. Hand in yours alone." in said
    said, problems = measured(handed_in.overlapping_zip(tmp_path / "ada.zip", 200))
    assert "is damaged in the archive." in said
    assert problems == {}


def test_a_tar_with_much_python_is_stopped_as_it_is_read(tmp_path):
    files = {f"exercises/f{index}.py": b"#" * (256 << 10) for index in range(150)}
    assert "ada.tar holds more than 32 MiB of Python files." in problem(tarred(tmp_path / "ada.tar", files))


def test_time_is_limited_too(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MAX_SECONDS", -1.0)
    path = tarred(tmp_path / "ada.tar", {"exercises/attention.py": SOFTMAX})
    assert "takes more than -1 s to unpack. Hand in" in problem(path)


def test_the_limits_are_those_that_the_bounds_were_measured_with():
    assert archives.MAX_MEMBERS == 20_000
    assert streams.MAX_UNPACKED == 256 << 20
