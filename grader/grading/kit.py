"""The kit itself, as a number: what decides a grade besides the submission."""

from __future__ import annotations

import hashlib
from functools import cache

from grader.curriculum.submission import KIT

_TOOLS = ("grader/dev", "grader/plots", "tests/grader")


@cache
def kit_digest() -> str:
    """A digest of what decides a grade: tests, solutions and grader, without the kit's own tests and tools."""
    digest = hashlib.sha256()
    files = [
        file
        for folder in ("grader", "solutions", "tests")
        for file in (KIT / folder).rglob("*")
        if file.suffix in (".py", ".toml") and not any(file.is_relative_to(KIT / tools) for tools in _TOOLS)
    ]
    for file in sorted(files):
        digest.update(f"{file.relative_to(KIT).as_posix()}\0".encode() + file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()
