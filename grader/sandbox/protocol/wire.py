"""The wire between grader and worker: frames of plain values, never pickle, every size checked before it is used.

A frame is a fixed head of 16 bytes (magic, header length, body length), a JSON header, and the tensors' raw buffers,
each aligned to 64 bytes, in the order in which the header's tree names them. What comes from a worker is hostile
until it has been decoded here; any violation ends the worker for good.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any, Protocol

import torch

HEAD = struct.Struct("<4sIQ")
MAGIC = b"LLM1"
ALIGN = 64
MAX_HEADER = 32 << 20  # the ids of a text of several MB
MAX_BODY = 128 << 20  # what a frame may cost the reader: a few copies of this
MAX_NODES = 4_000_000
MAX_BRACKETS = 1_000_000  # an empty dict takes 2 bytes of JSON and 80 of memory
# One sentence for what came behind an answer, whether it was there at once or a moment later.
KEPT_ANSWERS = 16  # whose tensors a worker keeps, so that they can be overwritten
UNASKED = "an answer that belongs to no question"
_AT_LEAST = 1 << 14  # most frames come in one piece


class WireError(Exception):
    """The other side sent what the protocol does not allow."""


class Closed(WireError):
    """The other side has gone."""


class TimedOut(WireError):
    """The other side did not answer in time."""


class Deadline(Protocol):
    """Decides how long the other side is waited for."""

    def slice(self) -> float:
        """How many seconds to wait before this is asked again; raises TimedOut when it is enough."""


class Within:
    """A deadline by the clock.

    Args:
        seconds: From now on.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def slice(self) -> float:
        """All that is left."""
        if (left := self._until - time.monotonic()) <= 0:
            raise TimedOut("no answer in time")
        return left


def pack(tree: Any, buffers: list[torch.Tensor]) -> bytes:
    """One frame of a tree and its buffers."""
    parts: list[bytes | memoryview] = []
    offset = 0
    for buffer in buffers:
        padding = -offset % ALIGN if buffer.numel() else 0
        data = buffer.view(-1).view(torch.uint8).numpy().data if buffer.numel() else memoryview(b"")
        parts += [bytes(padding), data]
        offset += padding + len(data)
    try:
        header = json.dumps(tree, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise WireError(str(error)) from None
    if len(header) > MAX_HEADER or offset > MAX_BODY:
        raise WireError(f"a value of {(len(header) + offset) >> 20} MiB is too large to cross the boundary")
    return b"".join((HEAD.pack(MAGIC, len(header), offset), header, *parts))


def unpack_head(head: bytes | bytearray) -> tuple[int, int]:
    """The lengths of header and body.

    Raises:
        WireError: Wrong magic, or a length beyond the limits.
    """
    magic, header_length, body_length = HEAD.unpack(head)
    if magic != MAGIC:
        raise WireError("a frame does not begin with the magic bytes")
    if header_length > MAX_HEADER or body_length > MAX_BODY:
        raise WireError("a frame is larger than the limits allow")
    return header_length, body_length


def parse_header(raw: bytes | bytearray) -> dict[str, Any]:
    """The header of a frame: a JSON object.

    Raises:
        WireError: Anything else.
    """
    if raw.count(b"[") + raw.count(b"{") > MAX_BRACKETS or raw.count(b",") > MAX_NODES:
        raise WireError("the header of a frame has too many parts")
    try:
        tree = json.loads(raw.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise WireError("the header of a frame is not JSON") from None
    if not isinstance(tree, dict):
        raise WireError("the header of a frame is not an object")
    return tree


def receive(sock: socket.socket, deadline: Deadline | None = None) -> tuple[dict[str, Any], memoryview]:
    """The next frame: its header and its body."""
    header, body, _ = receive_sized(sock, deadline)
    return header, body


def receive_sized(sock: socket.socket, deadline: Deadline | None = None) -> tuple[dict[str, Any], memoryview, int]:
    """The next frame: its header, its body, and how many bytes it took.

    Args:
        sock: A blocking stream socket.
        deadline: When to give up, for the whole frame; None waits for ever.
    """
    frame = bytearray()
    _fill(frame, HEAD.size, sock, deadline)
    header_length, body_length = unpack_head(frame[: HEAD.size])
    begin = HEAD.size + header_length
    _fill(frame, begin + body_length, sock, deadline)
    header = parse_header(frame[HEAD.size : begin])
    if len(frame) > begin + body_length:  # nobody speaks before the other side has answered
        raise WireError(UNASKED)
    return header, memoryview(frame)[begin:], len(frame)


def send(sock: socket.socket, frame: bytes, deadline: Deadline | None = None) -> None:
    """Send a whole frame before the deadline."""
    view = memoryview(frame)
    while view:
        _set_timeout(sock, deadline)
        try:
            view = view[sock.send(view) :]
        except TimeoutError:
            continue
        except OSError as error:
            raise Closed(str(error)) from None


def _fill(frame: bytearray, count: int, sock: socket.socket, deadline: Deadline | None) -> None:
    # Grown as it arrives, not allocated by what the head claims: a claim of 500 MiB costs the sender as much.
    while len(frame) < count:
        _set_timeout(sock, deadline)
        try:
            piece = sock.recv(min(max(count - len(frame), _AT_LEAST), 1 << 20))
        except TimeoutError:
            continue
        except OSError as error:
            raise Closed(str(error)) from None
        if not piece:
            raise Closed("the connection was closed")
        frame += piece


def _set_timeout(sock: socket.socket, deadline: Deadline | None) -> None:
    if deadline is not None:  # else a socket that has never had one
        sock.settimeout(deadline.slice())
