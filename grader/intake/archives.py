"""Archives, read in memory: only Python files, notebooks and archives inside are unpacked; nothing is written."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, NoReturn

from grader.intake.decompress import MAX_READ, Unpacked
from grader.intake.members import MAX_ENTRIES, MAX_TOTAL, Member, Refused, is_wanted, limit_of, shown, too_large

_AGAIN = "Make the archive again, and try whether it opens."


def members(file: BinaryIO, what: str) -> tuple[list[Member], list[str]]:
    """The wanted files of an archive, and the names of all others; its first bytes say what kind it is.

    Args:
        file: The archive.
        what: Its name, for sentences.

    Raises:
        Refused: It is damaged, or not such that a learner would make it.
    """
    names = _Names(what)
    try:
        is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
        file.seek(0)
        for name, ordinary, load in _zip(file) if is_zip else _tar(Unpacked(file, what), what):
            names.add(name, ordinary, load)
    except Refused:
        raise
    except Exception as error:  # whatever a parser raises on bytes that nobody has vetted
        raise Refused(f"{what} is damaged or not an archive. {_AGAIN}") from error
    return names.found, names.others


Found = tuple[str, bool, Callable[[str], bytes]]


def _zip(file: BinaryIO) -> Iterator[Found]:
    archive = zipfile.ZipFile(file)
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        ordinary = kind in (0, stat.S_IFREG) or info.create_system != 3  # elsewhere these bits mean something else
        if not info.is_dir() and kind != stat.S_IFDIR:
            yield info.filename, ordinary, partial(_unzip, archive, info)


def _unzip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> bytes:
    name = shown(path.rpartition("/")[2])
    if info.flag_bits & 1:
        raise Refused(f"{name} is locked with a password. Hand in an archive without one.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"{name} is compressed in a way that is not read here. Hand in an ordinary zip.")
    if info.file_size > limit_of(path):
        raise too_large(path)
    try:
        with archive.open(info) as stream:
            return stream.read(limit_of(path) + 1)
    except Exception as error:  # whatever a parser raises on bytes that nobody has vetted
        raise Refused(f"{name} is damaged in the archive. {_AGAIN}") from error


def _tar(stream: Unpacked, what: str) -> Iterator[Found]:
    total = 0
    with tarfile.TarFile(fileobj=stream, errors="replace") as archive:
        for info in iter(archive.next, None):
            archive.members.clear()  # type: ignore[attr-defined]  # it would remember them all
            ordinary, path = info.isreg() and not info.issparse(), _plain(info.name)
            load: Callable[[str], bytes] = _refuse_size
            if ordinary and is_wanted(path) and info.size <= limit_of(path):
                raw = _take(stream, info.size)
                total += len(raw)
                load = partial(_given, raw)
            if total > MAX_TOTAL:
                raise Refused(f"{what} holds more than {MAX_TOTAL >> 20} MiB of Python files. Hand in yours alone.")
            if not info.isdir():
                yield info.name, ordinary, load
    if stream.last.strip(b"\0"):  # tarfile stops before a header that makes no sense, and says nothing
        raise Refused(f"{what} is damaged or not an archive. {_AGAIN}")
    while stream.read(MAX_READ):  # the checksum is at the end
        pass


def _take(stream: Unpacked, size: int) -> bytes:
    parts = []
    while size and (part := stream.read(min(size, MAX_READ))):
        parts.append(part)
        size -= len(part)
    if size:
        raise EOFError("the archive has been cut off")
    return b"".join(parts)


def _given(raw: bytes, path: str) -> bytes:
    return raw


def _refuse_size(path: str) -> bytes:
    raise too_large(path)


def _refuse_link(path: str) -> NoReturn:
    raise Refused(f"{shown(path.rpartition('/')[2])} is not a regular file; hand in the file itself.")


def _plain(name: str) -> str:
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


class _Names:
    """The members of an archive, collected while their names are checked."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._count = 0
        self.found: list[Member] = []
        self.others: list[str] = []

    def add(self, name: str, ordinary: bool, load: Callable[[str], bytes]) -> None:
        """Note a member.

        Args:
            name: As the archive has it.
            ordinary: It is a file, not a link or a device.
            load: Returns the bytes of the member with this path.
        """
        self._count += 1
        if self._count > MAX_ENTRIES:
            raise Refused(f"{self._what} holds too many files. Hand in your Python files alone, without data.")
        path = _plain(name)
        parts = path.split("/")
        if name.startswith(("/", "\\")) or ".." in parts or parts[0][1:2] == ":":
            raise Refused(f"{self._what} holds {shown(name)!r}, a name that leads out of it. {_AGAIN}")
        if parts[-1] == "exercises" and not ordinary:
            raise Refused(f"{self._what}: {shown(path)} is a link. Hand in the folder itself.")
        if is_wanted(path):
            self.found.append(Member(path, partial(load if ordinary else _refuse_link, path)))
        else:
            self.others.append(path)


def nested(raw: bytes, what: str) -> tuple[list[Member], list[str]]:
    """The same of an archive that lies inside a submission.

    Raises:
        Refused: As above.
    """
    return members(io.BytesIO(raw), what)


def text(file: BinaryIO, path: str) -> bytes:
    """One file of a zip, up to the size of a reply."""
    with zipfile.ZipFile(file) as archive, archive.open(path) as stream:
        return stream.read(MAX_TOTAL)
