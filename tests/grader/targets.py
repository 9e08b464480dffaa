"""Targets to draw from: the solutions with something changed; and what a reader sees of a text."""

import io

from rich.console import Console

from grader.checking.target import resolve
from grader.curriculum.submission import KIT, Submission, from_bytes

SOLUTIONS = resolve("solutions")


def with_edits(unit, *edits):
    """The solutions with some text of one unit exchanged."""
    text = (KIT / "solutions" / f"{unit}.py").read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = from_bytes(f"exercises/{unit}.py", text.encode())
    return Submission("learner", {**SOLUTIONS.files, unit: file})


def without(*units):
    return Submission("learner", {name: file for name, file in SOLUTIONS.files.items() if name not in units})


def plain(renderable):
    out = io.StringIO()
    Console(file=out, width=100, soft_wrap=True).print(renderable)
    return out.getvalue()
