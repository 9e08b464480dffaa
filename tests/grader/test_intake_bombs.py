"""Files made to stop a reader: each is a sentence for its author, and the process that reads them takes the harm."""

import gzip
import lzma
import socket
import sys
import tarfile
import threading

import pytest

from grader.intake import decompress, reader, reply
from grader.sandbox.host.pool import GraderFault
from tests.grader import handed_in
from tests.grader.handed_in import SOFTMAX, attention, notebook, problem, read, tar_header, tarred, write, zipped


def test_a_member_that_lies_about_its_size_is_damaged(tmp_path):
    path = zipped(tmp_path / "ada.zip", {"attention.py": b"#" * (50 << 20), "optim.py": ""})
    path.write_bytes(path.read_bytes().replace((50 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    submission = read(path)
    assert submission.file("attention").problem.startswith("attention.py is damaged in the archive.")
    assert submission.file("optim").problem == ""


@pytest.mark.parametrize("head", [b"", tar_header("attention.py", 10 << 30), tar_header("x.bin", 10 << 30)])
def test_ten_gigabytes_in_ten_megabytes(tmp_path, head):
    path = handed_in.gzip_bomb(tmp_path / "ada.tar.gz", head=head)
    assert path.stat().st_size < 12 << 20
    assert "ada.tar.gz unpacks to more than 256 MiB. Hand in" in problem(path)


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


def greedy_dictionary(path):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    path.write_bytes(lzma.compress(tar_header("a", 0), filters=filters))


def digits_in_a_header(path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 64 << 10
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + b"1" * (64 << 10) + tar_header("a", 0))


BOMBS = {
    "bz2": (bz2_bomb, "holds no Python files"),
    "xz": (xz_bomb, "unpacks to more than"),
    "a hundred thousand members": (tar_of_many, "holds too many files"),
    "a header of 100 MB": (pax_bomb, "has a header that no ordinary archive has"),
    "keys in headers": (many_pax_keys, "has a header that no ordinary archive has"),
    "headers of headers": (chained_headers, "is damaged or not an archive"),
    "a dictionary of 1 GiB": (greedy_dictionary, "holds no Python files"),
    "digits in a header": (digits_in_a_header, "has a header that no ordinary archive has"),
    "a zip of 30,000 entries": (
        lambda path: zipped(path, [(f"{index}", b"") for index in range(30_000)]),
        "holds too many files",
    ),
}


@pytest.mark.parametrize(("make", "words"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_a_sentence(tmp_path, make, words):
    make(tmp_path / "ada.tar")
    assert words in problem(tmp_path / "ada.tar")


def test_members_that_share_their_bytes_are_bounded_all_the_same(tmp_path):
    said = problem(handed_in.overlapping_zip(tmp_path / "ada.zip", 20_000))
    assert "20000 Python files, more than 200. Hand in yours alone." in said


def test_a_tar_with_much_python_is_stopped_as_it_is_read(tmp_path):
    files = {f"exercises/f{index}.py": b"#" * (256 << 10) for index in range(150)}
    assert "ada.tar holds more than 32 MiB of Python files." in problem(tarred(tmp_path / "ada.tar", files))


# Source

LAMBDAS = f"f = {'lambda: ' * 600}0\n"
COMPREHENSIONS = f"x = [0]\nf = {'[i for i in ' * 60}x{']' * 60}\n"


@pytest.mark.parametrize("code", [LAMBDAS, COMPREHENSIONS], ids=["600 lambdas", "60 comprehensions"])
@pytest.mark.parametrize("name", ["attention.py", "homework.py", "ada.ipynb"])
def test_nested_code_is_read_like_any_other(tmp_path, code, name):
    text = code + SOFTMAX.replace("x.softmax(dim)", "f")  # which the unit needs, so that it is looked through
    path = notebook(tmp_path / name, text) if name.endswith("ipynb") else write(tmp_path, {name: text}) / name
    found = attention(path)
    assert code in found
    assert SOFTMAX.partition("\n")[0] in found


def test_code_that_is_nested_too_deep_is_a_sentence(tmp_path):
    submission = read(write(tmp_path, {"attention.py": f"x = {'a + ' * 1100}a\n{SOFTMAX}", "optim.py": "x = 1"}))
    assert submission.file("attention").problem == (
        "attention.py nests more than 1000 levels deep: split the expression up."
    )
    assert submission.file("optim").problem == ""


def test_a_line_of_blanks_in_a_notebook_is_read_once(tmp_path):
    assert "softmax" in attention(notebook(tmp_path / "ada.ipynb", SOFTMAX, " " * 20_000 + "x", " " * 200_000))


def test_magics_in_a_large_cell_are_found_without_parsing_it_again(tmp_path):
    magics = "%x\n" * 50
    path = notebook(tmp_path / "ada.ipynb", SOFTMAX, magics + "x = 1\n" * 500_000)
    assert "softmax" in attention(path)
    path = notebook(tmp_path / "ada.ipynb", SOFTMAX, magics + "x = 1\n" * 10_000 + magics)
    assert "softmax" in attention(path)


# What the reading process may do


class Zygote:
    """A zygote whose process answers what the test says, and then ends as the test says."""

    def __init__(self, answer, code):
        self.answer, self.code, self.alive = answer, code, True

    def spawn(self, limits):
        ours, theirs = socket.socketpair()

        def answer():
            with theirs:
                theirs.recv(1 << 16)
                theirs.sendall(self.answer)
                if self.code is None:  # it hangs until it is ended
                    theirs.recv(1)

        threading.Thread(target=answer).start()
        return 1, ours

    def reap(self, pid):
        return self.code

    def last_words(self):
        return "no words"


def said(monkeypatch, answer, code=0):
    monkeypatch.setattr(reader._zygotes, "_zygote", Zygote(answer, code))
    return reader.read("ada", [(reader.Path("ada.zip"), "ada.zip")]).problem


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-24, "ada.zip takes more than 10 s of computing to read. Hand in"),
        (-9, "ada.zip takes more than 10 s of computing to read. Hand in"),
        (-11, "ada.zip cannot be read: the process that read it crashed. Hand in"),
        (1, "ada.zip cannot be read: the process that read it crashed. Hand in"),
    ],
)
def test_a_process_that_dies_makes_its_submission_unreadable(monkeypatch, code, words):
    assert said(monkeypatch, reply.READY, code).startswith(words)
    assert said(monkeypatch, reply.READY + reply.framed({})[:5], code).startswith(words)


def test_a_process_that_cannot_confine_itself_is_the_graders_fault(monkeypatch):
    with pytest.raises(GraderFault, match="failed before it began"):
        said(monkeypatch, b"", 1)


def test_a_process_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(reader, "WALL_SECONDS", 0.25)
    assert said(monkeypatch, reply.READY, None) == "ada.zip was not read within 0.25 s on this machine. Grade it again."


MODULE = {"unit": "attention", "path": "a.py", "problem": "", "size": 3}
READ = {"problem": "", "notes": [], "files": [MODULE]}


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 8,
        reply.framed([]),
        reply.framed("x" * 1000),
        reply.framed(READ),
        reply.framed(READ, [b"\xff\xff\xff"]),
        reply.framed(READ, [b"abcd"]),
        reply.framed({**READ, "more": 1}, [b"abc"]),
        reply.framed({**READ, "notes": [1]}, [b"abc"]),
        reply.framed({**READ, "files": [{**MODULE, "size": -1}]}),
        reply.framed({**READ, "files": [{**MODULE, "unit": "../x"}]}, [b"abc"]),
        reply.framed({**READ, "files": [{**MODULE, "size": "3"}]}, [b"abc"]),
        reply.framed({**READ, "files": []}),
        reply.framed({**READ, "problem": "x"}, [b"abc"]),
        reply._SIZES.pack(100_000, 0) + b"[" * 100_000,
    ],
)
def test_what_breaks_the_rules_of_an_answer_is_not_believed(monkeypatch, answer):
    assert (
        said(monkeypatch, reply.READY + answer) == "ada.zip cannot be read: the process that read it answered nonsense."
    )


def test_what_an_answer_says_is_made_harmless(monkeypatch):
    module = {**MODULE, "path": "\x1b[31m" + "a" * 300, "problem": "\u202e" + "b" * 3000, "size": 0}
    answer = reply.framed({"problem": "", "notes": ["::error::\n" + "c" * 900] * 50, "files": [module]})
    monkeypatch.setattr(reader._zygotes, "_zygote", Zygote(reply.READY + answer, 0))
    submission = reader.read("ada", [(reader.Path("ada"), "ada")])
    file = submission.file("attention")
    assert file.path.isprintable()
    assert file.problem.replace("\n", "").isprintable()
    assert len(file.path) == 200
    assert len(file.problem) == 1000
    assert all(note.isprintable() and len(note) == 500 for note in submission.notes)
    assert len(submission.notes) == 12


@pytest.mark.skipif(sys.platform != "linux", reason="there is no confinement elsewhere")
def test_the_limits_hold_where_it_counts(tmp_path):
    assert decompress.MAX_UNPACKED == 256 << 20
    path = handed_in.million_entries(tmp_path / "ada.zip")  # its directory alone takes more than a process may
    assert problem(path).startswith(("ada.zip takes more than 10 s", "ada.zip holds too many files"))
