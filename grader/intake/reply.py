"""What the reading process answers: a JSON header of plain facts, then the texts; checked before it is believed."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from grader.curriculum.submission import File, Submission, printable
from grader.intake.members import MAX_ENTRIES

_SIZES = struct.Struct("<II")
MAX_HEADER = 2 << 20
MAX_TEXTS = 64 << 20
READY = b"ready"
_MAX_NOTES = 12
_Name = Annotated[str, Field(pattern=r"^\w{1,100}$")]
_strict = ConfigDict(strict=True, extra="forbid")


class Garbled(Exception):
    """The answer breaks the rules."""


@dataclass(frozen=True, config=_strict)
class _Module:
    unit: _Name
    path: str
    problem: str
    size: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, config=_strict)
class _Header:
    problem: str
    notes: list[str]
    files: Annotated[list[_Module], Field(max_length=1000)]


@dataclass(frozen=True, config=_strict)
class _Names:
    names: Annotated[list[str], Field(max_length=MAX_ENTRIES)]


_header = TypeAdapter(_Header)
_names = TypeAdapter(_Names)


def pack(submission: Submission) -> bytes:
    """The answer of the reading process."""
    texts = [file.text.encode() for file in submission.files.values()]
    modules = [
        {"unit": unit, "path": file.path, "problem": file.problem, "size": len(text)}
        for (unit, file), text in zip(submission.files.items(), texts, strict=True)
    ]
    return framed({"problem": submission.problem, "notes": list(submission.notes), "files": modules}, texts)


def framed(header: object, texts: Sequence[bytes] = ()) -> bytes:
    """A frame of a header and the bytes that follow it."""
    raw = json.dumps(header).encode()
    body = b"".join(texts)
    return _SIZES.pack(len(raw), len(body)) + raw + body


def sizes(head: bytes) -> tuple[int, int]:
    """How long header and texts are.

    Raises:
        Garbled: Longer than allowed.
    """
    header, body = _SIZES.unpack(head)
    if header > MAX_HEADER or body > MAX_TEXTS:
        raise Garbled("the answer is too long")
    return header, body


HEAD = _SIZES.size


def unpack(learner: str, header: bytes, body: bytes) -> Submission:
    """The submission that was read.

    Raises:
        Garbled: The answer breaks the rules.
    """
    try:
        facts = _header.validate_json(header)
        if sum(module.size for module in facts.files) != len(body):
            raise Garbled("the texts are not as long as it says")
        files, at = {}, 0
        for module in facts.files:
            text = body[at : at + module.size].decode()
            at += module.size
            problem = _clean_lines(module.problem, 1000)
            files[module.unit] = File(_clean(module.path, 200), "" if problem else text, problem)
    except (ValidationError, UnicodeDecodeError) as error:
        raise Garbled(str(error)[:200]) from error
    problem = _clean_lines(facts.problem, 1000)
    if bool(problem) == bool(files):
        raise Garbled("neither a submission nor a reason why there is none")
    return Submission(learner, files, problem, tuple(_clean(note, 500) for note in facts.notes[:_MAX_NOTES]))


def unpack_names(header: bytes, body: bytes) -> tuple[list[str], str]:
    """The names of an archive's files, and the text that came with them.

    Raises:
        Garbled: The answer breaks the rules, or says that the archive cannot be read.
    """
    try:
        return _names.validate_json(header).names, body.decode(errors="replace")
    except ValidationError:
        raise Garbled(unpack("", header, body).problem) from None


def _clean(text: str, limit: int) -> str:
    return printable(text[:limit])


def _clean_lines(text: str, limit: int) -> str:
    return "\n".join(map(printable, text[:limit].split("\n")))
