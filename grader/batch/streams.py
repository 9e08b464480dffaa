"""Unpacking under a limit: a few bytes that become gigabytes are stopped after some megabytes."""

from __future__ import annotations

import bz2
import io
import lzma
import time
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from grader.batch.places import Refused

MAX_UNPACKED = 256 << 20
MAX_RATIO = 100
FREE = 10 << 20  # below this no ratio is suspicious: a log of zeros is no bomb
MAX_READ = 64 << 10  # no header of an archive is larger, whatever it says of itself
MAX_SECONDS = 10.0  # of this thread's own work, so that a busy machine refuses nobody
_CHUNK = 64 << 10
_ADVICE = "Hand in your Python files alone, without data, checkpoints or environments."

_MAKERS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
    (b"BZh", bz2.BZ2Decompressor),
    # Its header may ask for a dictionary of 4 GiB.
    (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=160 << 20)),
)


class Unpacked(io.RawIOBase):
    """The bytes of a file, unpacked if it is packed, in one forward pass.

    Args:
        packed: The file; its first bytes say how it is packed.
        size: How many bytes it has.
        what: Its name, for sentences.
    """

    def __init__(self, packed: BinaryIO, size: int, what: str) -> None:
        self._packed = packed
        self._what = what
        self._limit = min(MAX_UNPACKED, FREE + MAX_RATIO * size)
        self._until = time.thread_time() + MAX_SECONDS
        self._position = 0
        self._rest = b""  # packed, and not yet looked at
        head = packed.read(6)
        packed.seek(0)
        self._make = next((make for magic, make in _MAKERS if head.startswith(magic)), None)
        self._unpack = self._make() if self._make else None
        self.last = b""  # what the last call gave: the archive's end, once nothing more is asked for

    def readable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """How many bytes have been given."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go forward; what is passed over counts as unpacked, because it is."""
        if whence != 0 or offset < self._position:
            raise OSError("an archive is read forward only")
        while self._position < offset and self.read(min(MAX_READ, offset - self._position)):
            pass
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        if not 0 <= size <= MAX_READ:
            raise Refused(f"{self._what} has a header that no ordinary archive has. Make the archive again.")
        parts: list[bytes] = []
        missing = size
        while missing and (part := self._some(missing)):
            parts.append(part)
            missing -= len(part)
            self._position += len(part)
            self._expect_within_limits()
        self.last = b"".join(parts)
        return self.last

    def _expect_within_limits(self) -> None:
        if self._position > self._limit:
            raise Refused(f"{self._what} unpacks to more than {self._limit >> 20} MiB. {_ADVICE}")
        if time.thread_time() > self._until:
            raise Refused(f"{self._what} takes more than {MAX_SECONDS:g} s to unpack. {_ADVICE}")

    def _some(self, size: int) -> bytes:
        if self._unpack is None:
            return self._packed.read(size)
        while not self._unpack.eof or self._next_stream():
            fed = self._feed()
            part: bytes = self._unpack.decompress(fed, size)
            self._rest = getattr(self._unpack, "unconsumed_tail", self._rest)  # the others than zlib keep it themselves
            if part:
                return part
            if not fed and not self._unpack.eof and getattr(self._unpack, "needs_input", True):
                raise EOFError("the archive has been cut off")
        return b""

    def _feed(self) -> bytes:
        assert self._unpack is not None
        if not getattr(self._unpack, "needs_input", True):
            return b""
        fed, self._rest = self._rest or self._packed.read(_CHUNK), b""
        return fed

    def _next_stream(self) -> bool:
        """Several streams behind one another are one file; zeros behind the last are padding."""
        assert self._unpack is not None
        assert self._make is not None
        self._expect_within_limits()  # a million empty streams unpack to nothing
        self._rest = self._unpack.unused_data or self._packed.read(_CHUNK)
        if not self._rest.strip(b"\0"):
            return False
        self._unpack = self._make()
        return True
