"""How one check ended: the words that checking and results share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["shape", "numerics", "gradient", "property", "stability", "efficiency", "shortcut"]
Status = Literal["passed", "failed", "todo", "error"]
KNOWN_MISTAKE = "Known mistake: "  # begins the line of a message that names one


@dataclass(frozen=True)
class Outcome:
    """How one check ended.

    Args:
        check: Its name.
        kind: What it looks at.
        status: How it ended; `error` until it has run.
        seconds: Wall time.
        message: What is wrong and why.
        mistake: Id of the known mistake that it is.
        criterion: The line of the exercise's rubric that it belongs to.
        cause: What other failed checks may share, so that it is told once; empty: the message.
    """

    check: str
    kind: Kind
    status: Status = "error"
    seconds: float = 0.0
    message: str = "The check did not run."
    mistake: str = ""
    criterion: str = ""
    cause: str = ""
