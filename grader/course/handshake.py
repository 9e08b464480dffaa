"""Whether another machine may grade: the same kit, and submissions that run in confined processes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grader.grading.kit import kit_digest
from grader.sandbox.host.pool import supported
from grader.sandbox.worker import confine


@dataclass(frozen=True)
class WorkerInfo:
    """What a machine says of itself before it is given anything.

    Args:
        kit: Digest of its kit.
        isolates: Whether submissions run in processes of their own there.
        unconfined: Why those cannot be confined; empty where they can.
    """

    kit: str
    isolates: bool
    unconfined: tuple[str, ...]


def introduce() -> WorkerInfo:
    """Of the machine where it is called."""
    return WorkerInfo(kit_digest(), supported(), tuple(confine.available()))


def problem(said: Any, confined: bool, grades: bool = True) -> str:
    """Why a machine may not grade, as the end of a sentence that begins with its name; empty where it may.

    Args:
        said: Its introduction, or the error instead of it.
        confined: Whether submissions must be confined.
        grades: Whether it is to grade, or only to hand work on.
    """
    if not isinstance(said, WorkerInfo):
        return f"cannot load the kit ({type(said).__name__}: {str(said)[:200]}): install the same version there"
    if said.kit != kit_digest():
        ours, theirs = kit_digest()[:12], said.kit[:12]
        return f"has a different kit ({theirs}) than this machine ({ours}): install the same one there and restart it"
    if grades and not said.isolates:
        return "cannot run submissions in separate processes; only Linux can"
    if grades and confined and said.unconfined:
        return f"cannot confine submissions: {'; '.join(said.unconfined)}"
    return ""
