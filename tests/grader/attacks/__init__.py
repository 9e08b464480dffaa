"""Hostile and broken submissions, as data: what each does, what it may earn, what the report must say.

`tests/grader/test_attacks.py` carries them out. An attack is text that is added to the solution of a unit, so that
whatever is not under attack is right. It is confined to one cheap exercise, so that all of them together stay fast.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Earns = Literal["all", "nothing", "base"]


@dataclass(frozen=True)
class Attack:
    """One hostile or broken submission.

    Args:
        id: Short name, unique in its family.
        code: Python that is added at the end of the solution.
        earns: `all`: the code is right, its attempts were in vain; `nothing`: 0 points; `base`: what `base` earns.
        says: A regular expression that the messages must match.
        unit: The unit.
        exercise: The exercise that is graded.
        base: The honest part where that is not the solution: added before `code`.
        source: The whole file, in place of solution, base and code.
        change: What becomes of the file's bytes.
        files: Other files of the submission.
        seconds: What one call may take.
    """

    id: str
    code: str = ""
    earns: Earns = "nothing"
    says: str = ""
    unit: str = "attention"
    exercise: str = "causal_mask"
    base: str = ""
    source: bytes | None = None
    change: Callable[[bytes], bytes] = bytes
    files: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = 5.0

    def text(self, solution: str) -> bytes:
        """The hostile file."""
        whole = f"{solution}\n\n{self.base}\n\n{self.code}\n".encode()
        return self.change(whole if self.source is None else self.source)

    def honest_text(self, solution: str) -> bytes:
        """The same without the attack."""
        return f"{solution}\n\n{self.base}\n".encode()


def instead(body: str, name: str = "causal_mask") -> str:
    """A version of the exercise that does this and nothing else."""
    return f"def {name}(*args, **kwargs):\n{_indent(body)}\n"


def first(body: str, name: str = "causal_mask") -> str:
    """A version of the exercise that does this at every call, and then what is right."""
    return f"_right = {name}\n\n\ndef {name}(*args, **kwargs):\n{_indent(body)}\n    return _right(*args, **kwargs)\n"


def refused(attempt: str, by: str = "OSError") -> str:
    """An attempt at import that must end in one of these exceptions; if it succeeds, every check fails."""
    return f"import ctypes, os, socket, sys\ntry:\n{_indent(attempt)}\nexcept ({by}):\n    pass\nelse:\n    raise SystemError('BREACH')\n"


def _indent(body: str) -> str:
    return textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")


# Wrong, and quick: no position sees any other.
BLIND = """
def causal_mask(query_length, key_length=None, device=None):
    return torch.zeros(query_length, key_length or query_length, dtype=torch.bool)
"""

# Wrong, and quick: all shares alike.
UNIFORM = """
def softmax(scores, dim):
    return torch.ones_like(scores) / scores.shape[dim]
"""

# A frame of the wire, made by hand.
FRAME = """
import json, os, struct, time

def _frame(header, body=b"", claim=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<4sIQ", b"LLM1", len(header), len(body) if claim is None else claim) + header + body

def _say(data):
    while data:
        data = data[os.write(3, data):]
"""
