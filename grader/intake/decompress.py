"""Decompression with a limit: a few bytes that become gigabytes are stopped after 256 MiB."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import Any, BinaryIO

from grader.intake.members import Refused

MAX_UNPACKED = 256 << 20
MAX_READ = 8 << 10  # tarfile asks for a whole header at once, and searches it in quadratic time
_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}


class Unpacked(io.RawIOBase):
    """The bytes of a file, decompressed if it is compressed, in one forward pass.

    Args:
        packed: The file; its first bytes say how it is compressed.
        what: Its name, for sentences.
    """

    def __init__(self, packed: BinaryIO, what: str) -> None:
        opener = _OPENERS.get(packed.read(2))
        packed.seek(0)
        self._stream: Any = opener(packed) if opener else packed
        self._what = what
        self._position = 0
        self.last = b""  # what the last call returned: the archive's end, once nothing more is asked for

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes have been read."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go forward; what is passed over counts as decompressed, because it is."""
        if whence != 0 or offset < self._position:
            raise OSError("an archive is read forward only")
        while self._position < offset and self.read(min(MAX_READ, offset - self._position)):
            pass
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; fewer only at the end.

        Raises:
            Refused: The archive holds too much, or a header that no ordinary archive has.
        """
        if not 0 <= size <= MAX_READ:
            raise Refused(f"{self._what} has a header that no ordinary archive has. Make the archive again.")
        self.last = bytes(self._stream.read(size))
        self._position += len(self.last)
        if self._position > MAX_UNPACKED:
            limit = f"more than {MAX_UNPACKED >> 20} MiB"
            raise Refused(f"{self._what} unpacks to {limit}. Hand in your Python files alone, without data.")
        return self.last
