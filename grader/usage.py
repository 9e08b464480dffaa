"""How a command ends that cannot do what was asked: a sentence on stderr, and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def errors() -> Iterator[None]:
    """A context in which a ValueError is wrong usage."""
    try:
        yield
    except ValueError as error:
        stop(str(error))


def stop(message: str, code: int = 2) -> NoReturn:
    """End the command with this sentence."""
    print(f"grader: {message}", file=sys.stderr)
    raise typer.Exit(code)
