"""What learners hand in, made by the tests: files, notebooks and archives, good and bad."""

import gzip
import io
import json
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

from grader.intake.collect import Entry, collect

SOFTMAX = "def softmax(x, dim):\n    return x.softmax(dim)\n"


def read(path, name="ada"):
    return Entry(name, ((path, path.name),)).read()


def problem(path):
    """What is said of a submission of which nothing can be used."""
    submission = read(path)
    assert submission.files == {}
    assert submission.problem
    assert submission.problem.endswith((".", "?"))
    assert len(submission.problem) < 400
    assert submission.problem.isprintable()
    assert submission.file("attention").problem == submission.problem
    return submission.problem


def attention(path):
    """The text that counts as attention.py."""
    submission = read(path)
    assert submission.problem == ""
    assert submission.file("attention").problem == ""
    return submission.file("attention").text


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def zipped(path, files, **options):
    with zipfile.ZipFile(path, "w", options.pop("compression", zipfile.ZIP_DEFLATED)) as archive:
        for name, text in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, text)
    return path


def zip_link(name, target="/etc/passwd", kind=stat.S_IFLNK):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info, target


def tarred(path, members, mode="w", **options):
    with tarfile.open(path, mode, **options) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            info = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                info.type, info.linkname = content
                archive.addfile(info)
            else:
                raw = content if isinstance(content, bytes) else content.encode()
                info.size = len(raw)
                archive.addfile(info, io.BytesIO(raw))
    return path


def notebook(path, *cells, version=4):
    """A notebook of these code cells; a tuple is a cell of another type."""
    made = []
    for cell in cells:
        kind, source = cell if isinstance(cell, tuple) else ("code", cell)
        lines = source.splitlines(keepends=True) if isinstance(source, str) else source
        made.append(
            {"cell_type": kind, "metadata": {}, "input" if version == 3 and kind == "code" else "source": lines}
        )
    whole = {"nbformat": version, "nbformat_minor": 0, "metadata": {}}
    path.write_text(json.dumps(whole | ({"worksheets": [{"cells": made}]} if version == 3 else {"cells": made})))
    return path


def gzip_bomb(path, gigabytes=10, head=b""):
    """So many gigabytes of zeros, made in a moment: one gzip member, again and again."""
    member = gzip.compress(bytes(64 << 20))
    with path.open("wb") as file:
        file.write(gzip.compress(head))
        for _ in range(gigabytes * 16):
            file.write(member)
    return path


def tar_header(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def overlapping_zip(path, count, size=256 << 10):
    """All members share the same packed bytes: a small file that unpacks to `count` times `size`."""
    packer = zlib.compressobj(9, wbits=-15)
    content = b"#" * size
    packed = packer.compress(content) + packer.flush()
    name = b"exercises/f00000.py"
    crc = zlib.crc32(content)
    sizes = crc.to_bytes(4, "little") + len(packed).to_bytes(4, "little") + size.to_bytes(4, "little")
    local = b"PK\x03\x04" + b"\x14\0\0\0\x08\0" + bytes(4) + sizes + len(name).to_bytes(2, "little") + bytes(2) + name
    directory = b""
    for index in range(count):
        listed = b"exercises/f%05d.py" % index
        directory += b"PK\x01\x02\x14\0\x14\0\0\0\x08\0" + bytes(4) + sizes
        directory += len(listed).to_bytes(2, "little") + bytes(16) + listed
    path.write_bytes(local + packed + directory + _end(count, len(directory), len(local) + len(packed)))
    return path


def million_entries(path):
    """A zip whose directory has a million entries and whose end says so in zip64."""
    one = b"PK\x01\x02\x14\0\x14\0\0\0\0\0" + bytes(16) + (1).to_bytes(2, "little") + bytes(16) + b"a"
    directory = one * 1_000_000
    end64 = b"PK\x06\x06" + (44).to_bytes(8, "little") + b"-\0-\0" + bytes(8)
    end64 += (1_000_000).to_bytes(8, "little") * 2 + len(directory).to_bytes(8, "little") + (4).to_bytes(8, "little")
    locator = b"PK\x06\x07" + bytes(4) + (4 + len(directory)).to_bytes(8, "little") + (1).to_bytes(4, "little")
    end = b"PK\x05\x06" + bytes(4) + b"\xff" * 12 + bytes(2)
    path.write_bytes(b"PK\x03\x04" + directory + end64 + locator + end)
    return path


def _end(count, size, offset):
    end = b"PK\x05\x06" + bytes(4) + count.to_bytes(2, "little") * 2
    return end + size.to_bytes(4, "little") + offset.to_bytes(4, "little") + bytes(2)


def names(folder, roster=None):
    return [entry.name for entry in collect(Path(folder), roster)]
