"""Archives, read in memory: only what is wanted is unpacked, and nothing is ever written."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NoReturn

from grader.batch.places import (
    MAX_TOTAL,
    WHAT_TO_DO,
    Member,
    Refused,
    is_archive,
    is_noise,
    is_wanted,
    limit_of,
    shown,
    too_large,
)
from grader.batch.streams import MAX_READ, Unpacked

MAX_MEMBERS = 20_000
MAX_DIRECTORY = 2 << 20  # of a zip: what 20,000 ordinary members need, and a million do not fit in
_AGAIN = "Make the archive again, and try whether it opens."


@contextmanager
def opened(path: Path, what: str) -> Iterator[list[Member]]:
    """The wanted files of an archive, whatever kind its first bytes say it is.

    Args:
        path: The archive.
        what: Its name, for sentences.

    Raises:
        Refused: It is damaged, or not such that a learner would make it.
    """
    with path.open("rb") as file:
        try:
            if file.read(4) in (b"PK\x03\x04", b"PK\x05\x06"):
                found = _zip(file, what)
            else:
                file.seek(0)
                found = _tar(Unpacked(file, path.stat().st_size, what), what)
        except Refused:
            raise
        except Exception as error:  # whatever a parser raises on bytes that nobody has vetted
            raise Refused(f"{what} is damaged or no archive. {_AGAIN}") from error
        yield found


class _Opening(io.RawIOBase):
    """A zip while its directory is read: all of that is asked for at once, so that a limit holds before it is."""

    def __init__(self, file: BinaryIO, what: str) -> None:
        self._file = file
        self._what = what
        self.left: float = MAX_DIRECTORY

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if size > self.left:
            _too_many(self._what)
        data = self._file.read(size)
        self.left -= len(data)
        return data


def _zip(file: BinaryIO, what: str) -> list[Member]:
    opening = _Opening(file, what)
    archive = zipfile.ZipFile(opening)
    opening.left = float("inf")
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        _too_many(what)
    names = _Names(what)
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        ordinary = kind in (0, stat.S_IFREG) or info.create_system != 3  # elsewhere these bits mean something else
        if not info.is_dir() and kind != stat.S_IFDIR:
            names.add(info.filename, ordinary, partial(_unzip, archive, info))
    return names.found()


def _unzip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> bytes:
    name = shown(path.rpartition("/")[2])
    if info.flag_bits & 1:
        raise Refused(f"{name} is locked with a password. Hand in an archive without one.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"{name} is packed in a way that is not read here. Hand in an ordinary zip.")
    if info.file_size > limit_of(path):
        raise too_large(path)
    try:
        with archive.open(info) as stream:
            return stream.read(limit_of(path) + 1)
    except Exception as error:  # whatever a parser raises on bytes that nobody has vetted
        raise Refused(f"{name} is damaged in the archive. {_AGAIN}") from error


def _tar(stream: Unpacked, what: str) -> list[Member]:
    names = _Names(what)
    total = 0
    with tarfile.TarFile(fileobj=stream, errors="replace") as archive:
        for count, info in enumerate(iter(archive.next, None)):
            archive.members.clear()  # type: ignore[attr-defined]  # it would remember them all
            if count >= MAX_MEMBERS:
                _too_many(what)
            if info.isdir():
                continue
            path = _plain(info.name)
            load: Callable[[str], bytes] = _refuse_size
            if info.isreg() and not info.issparse() and is_wanted(path) and info.size <= limit_of(path):
                raw = _take(stream, info.size)
                total += len(raw)
                load = _given(raw)
            if total > MAX_TOTAL:
                raise Refused(f"{what} holds more than {MAX_TOTAL >> 20} MiB of Python files. Hand in yours alone.")
            names.add(info.name, info.isreg() and not info.issparse(), load)
    if stream.last.strip(b"\0"):  # it stops in front of a header that makes no sense, without a word
        raise Refused(f"{what} is damaged or no archive. {_AGAIN}")
    while stream.read(MAX_READ):  # the checksum stands at the end
        pass
    return names.found()


def _take(stream: Unpacked, size: int) -> bytes:
    parts = []
    while size and (part := stream.read(min(size, MAX_READ))):
        parts.append(part)
        size -= len(part)
    if size:
        raise EOFError("the archive has been cut off")
    return b"".join(parts)


def _given(raw: bytes) -> Callable[[str], bytes]:
    return lambda path: raw


def _refuse_size(path: str) -> bytes:
    raise too_large(path)


def _too_many(what: str) -> NoReturn:
    raise Refused(f"{what} holds too many files. Hand in your Python files alone, without data or environments.")


def _plain(name: str) -> str:
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


class _Names:
    """Collects the members of an archive, looking at their names as it goes.

    Args:
        what: The archive's name, for sentences.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._found: list[Member] = []
        self._nested = ""

    def add(self, name: str, ordinary: bool, load: Callable[[str], bytes]) -> None:
        """Note a member.

        Args:
            name: As the archive has it.
            ordinary: It is a file, no link and no device.
            load: Gives the bytes of the member with this path.
        """
        path = _plain(name)
        parts = path.split("/")
        if name.startswith(("/", "\\")) or ".." in parts or parts[0][1:2] == ":":
            raise Refused(f"{self._what} holds {shown(name)!r}, a name that leads out of it. {_AGAIN}")
        if parts[-1] == "exercises" and not ordinary:
            raise Refused(f"{self._what}: {shown(path)} is a link. Hand in the folder itself.")
        if is_wanted(path):
            self._found.append(Member(path, partial(load if ordinary else _refuse_link, path)))
        elif is_archive(path) and not any(is_noise(part) for part in parts):
            self._nested = path

    def found(self) -> list[Member]:
        """The wanted ones."""
        if self._nested and not self._found:
            raise Refused(f"{self._what} holds another archive, {shown(self._nested)}. {WHAT_TO_DO}")
        return self._found


def _refuse_link(path: str) -> NoReturn:
    raise Refused(f"{shown(path.rpartition('/')[2])} is not a regular file; hand in the file itself.")
