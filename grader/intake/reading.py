"""The reading process: opens one submission, confines itself, parses what it opened, and answers with plain facts.

Whatever a submission does to it, it ends with this process. It runs nothing of the submission.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from grader.curriculum import load
from grader.curriculum.submission import Submission
from grader.intake import archives, members, reply
from grader.intake.assemble import assemble
from grader.intake.gather import Gathered, gather, refusing
from grader.intake.layouts import METADATA
from grader.intake.members import Member, Refused, is_archive, shown
from grader.sandbox.worker import confine

if sys.platform != "win32":
    import resource

CPU_SECONDS = 10  # an ordinary submission takes a tenth of one
MEMORY = 2 << 30
_DEPTH = 2  # an archive in an archive; further in nobody looks


def warm_up() -> None:
    """Load once, in the zygote, what each reading needs."""
    load()
    if not confine.available():
        confine.allowlist()


def main(sock: socket.socket, options: dict[str, Any]) -> None:
    """Answer one request of `reader.py`.

    Args:
        sock: Where the request comes from and the answer goes to.
        options: `confined`, whether to confine; `memory`, bytes of address space beyond what is mapped already.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confine.die_with_parent(options["zygote"])
    os.chdir("/")
    confine.limit(options["memory"])
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    with sock.makefile("rb") as stream:
        request = json.loads(stream.readline())
    opened = Gathered()
    problem = _open(opened, request)
    if options["confined"]:
        confine.confine([])
    sock.sendall(reply.READY)
    sock.sendall(_answer(opened, problem, request))
    os._exit(0)


def read_here(request: dict[str, Any]) -> bytes:
    """The same answer from this process, where no other can be forked."""
    opened = Gathered()
    return _answer(opened, _open(opened, request), request)


def _open(opened: Gathered, request: dict[str, Any]) -> str:
    try:
        for source in request["sources"]:
            gather(opened, Path(source["path"]), source["name"])
    except Refused as refusal:
        return str(refusal)
    except Exception as error:
        return _broken(request["what"], error)
    return ""


def _answer(opened: Gathered, problem: str, request: dict[str, Any]) -> bytes:
    try:
        if problem:
            raise Refused(problem)
        if request["op"] == "names":
            return _names(opened)
        return reply.pack(_submission(opened, request))
    except Refused as refusal:
        return reply.pack(Submission("", {}, str(refusal)))
    except Exception as error:  # RecursionError and MemoryError among them
        return reply.pack(Submission("", {}, _broken(request["what"], error)))


def _broken(what: str, error: Exception) -> str:
    return f"{what} cannot be read ({type(error).__name__}). {members.WHAT_TO_DO}"


def _submission(opened: Gathered, request: dict[str, Any]) -> Submission:
    found, others = list(opened.members), list(opened.others)
    alone = len(opened.archives) + len(found) == 1
    for path, file in opened.archives:
        try:
            inside, beside = archives.members(file, shown(path.rpartition("/")[2]))
        except Refused as refusal:
            found.append(refusing(path, str(refusal)))
            continue
        if (wanted := request["members"]) is not None:  # one learner's part of a whole class's export
            inside = [Member(wanted[member.path], member.load) for member in inside if member.path in wanted]
            beside = [wanted[name] for name in beside if name in wanted]
        elif not alone:
            inside, beside = _within(path, inside, beside)
        _unpack(inside, beside, found, others, _DEPTH - (wanted is None))
    refused = [member for member in found if is_archive(member.path)]
    python = [member for member in found if not is_archive(member.path)]
    if not python and refused:
        refused[0].load()  # why it cannot be read is why there is nothing
    return assemble(python, others + [member.path for member in refused], request["what"])


def _within(path: str, inside: list[Member], beside: list[str]) -> tuple[list[Member], list[str]]:
    return [Member(f"{path}/{one.path}", one.load) for one in inside], [f"{path}/{one}" for one in beside]


def _unpack(inside: list[Member], beside: list[str], found: list[Member], others: list[str], depth: int) -> None:
    """Add an archive's files, and those of archives in it."""
    others += beside
    for member in inside:
        if not is_archive(member.path):
            found.append(member)
            continue
        if depth == 0:
            others.append(member.path)
            continue
        try:
            further, rest = archives.nested(member.load(), shown(member.file))
        except Refused as refusal:
            found.append(refusing(member.path, str(refusal)))
            continue
        _unpack(*_within(member.path, further, rest), found, others, depth - 1)


def _names(opened: Gathered) -> bytes:
    """All names in an archive, and the text of Gradescope's list of learners if it is there."""
    files = [file for _, file in opened.archives]
    if len(files) != 1:
        raise Refused("It is not an archive.")
    inside, beside = archives.members(files[0], "The archive")
    listed = [name for name in beside if name.rpartition("/")[2] == METADATA]
    metadata = archives.text(files[0], listed[0]) if listed else b""
    return reply.framed({"names": [member.path for member in inside] + beside}, [metadata])
