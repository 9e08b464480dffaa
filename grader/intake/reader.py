"""The trusted side of reading: starts a confined process for each submission, and believes only what it can check."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grader import GraderFault
from grader.curriculum.submission import Submission
from grader.intake import reading, reply
from grader.intake.members import shown
from grader.intake.reply import Garbled
from grader.sandbox.host.pool import Limits, Zygote
from grader.sandbox.worker import confine

WALL_SECONDS = 300.0  # generous: what a submission is charged for is its time of computing
_ADVICE = "Hand in your Python files alone, without data, checkpoints or environments."

Source = tuple[Path, str]


class Unread(Exception):
    """The reading process did not do its work; the message is a sentence that says why."""


def read(learner: str, sources: Sequence[Source], members: Mapping[str, str] | None = None) -> Submission:
    """Read what one learner handed in, in a confined process of its own.

    Whatever was handed in, this returns a submission; if nothing of it can be used, its `problem` says what to do.

    Args:
        learner: The submission's name.
        sources: Folders, archives and files, each with the name that the learner gave it.
        members: Of a whole class's export: the names of this learner's files in it, and what the learner called them.

    Raises:
        GraderFault: The process could not be started or confined.
    """
    what = shown(sources[0][1]) if len(sources) == 1 and members is None else "What was handed in"
    try:
        return reply.unpack(learner, *_ask("read", what, sources, members))
    except Garbled:
        return Submission(learner, {}, f"{what} cannot be read: the process that read it answered nonsense.")
    except Unread as error:
        return Submission(learner, {}, str(error))


def names(archive: Path) -> tuple[list[str], str]:
    """The names of all files in an archive, and the text of Gradescope's `submission_metadata.yml` if it is there.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        return reply.unpack_names(*_ask("names", shown(archive.name), [(archive, archive.name)], None))
    except (Unread, Garbled) as error:
        raise ValueError(str(error)) from None


def _ask(op: str, what: str, sources: Sequence[Source], members: Mapping[str, str] | None) -> tuple[bytes, bytes]:
    request = {
        "op": op,
        "what": what,
        "sources": [{"path": os.path.abspath(path), "name": name} for path, name in sources],  # noqa: PTH100 - keeps links
        "members": members,
    }
    if not hasattr(os, "fork"):
        frame = reading.read_here(request)
        header, _ = reply.sizes(frame[: reply.HEAD])
        return frame[reply.HEAD :][:header], frame[reply.HEAD :][header:]
    zygote = _zygotes.get()
    pid, sock = zygote.spawn(Limits(memory=reading.MEMORY))
    with sock:
        connection = _Connection(sock)
        said = connection.converse(request)
    code = zygote.reap(pid)
    if said is not None:
        return said
    if not connection.ready and code is not None and code >= 0:
        raise GraderFault(f"the process that reads submissions failed before it began: {zygote.last_words()}")
    raise Unread(_why(what, code, connection.timed_out))


def _why(what: str, code: int | None, timed_out: bool) -> str:
    if timed_out:
        return f"{what} was not read within {WALL_SECONDS:g} s on this machine. Grade it again."
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"{what} takes more than {reading.CPU_SECONDS} s of computing to read. {_ADVICE}"
    return f"{what} cannot be read: the process that read it crashed. {_ADVICE}"


class _Connection:
    """A conversation of one question and one answer, with one deadline for all of it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._until = time.monotonic() + WALL_SECONDS
        self.ready = False
        self.timed_out = False

    def converse(self, request: dict[str, Any]) -> tuple[bytes, bytes] | None:
        """Header and texts of the answer; None where the process ended before it, or took too long.

        Raises:
            Garbled: The answer breaks the rules.
        """
        try:
            self._sock.settimeout(WALL_SECONDS)
            self._sock.sendall(json.dumps(request).encode() + b"\n")
            self.ready = self._take(len(reply.READY)) == reply.READY
            header, body = reply.sizes(self._take(reply.HEAD))
            return self._take(header), self._take(body)
        except TimeoutError:
            self.timed_out = True
        except (OSError, EOFError):
            pass
        return None

    def _take(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
            piece = self._sock.recv(min(count - len(data), 1 << 20))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


class _Zygotes:
    """The zygote of this process, started at the first use."""

    def __init__(self) -> None:
        self._zygote: Zygote | None = None

    def get(self) -> Zygote:
        """The zygote, alive."""
        if self._zygote is None or not self._zygote.alive:
            self._zygote = Zygote(not confine.available(), program=reading.__name__)
            atexit.register(self._zygote.close)
        return self._zygote


_zygotes = _Zygotes()
