"""An exception of the learner's in words, with all the help that Python has for it."""

from __future__ import annotations

import contextlib
import io
import sys
import traceback

from grader.sandbox.worker import refusals


def described(error: BaseException, limit: int = 2000) -> str:
    """The message of an exception with what Python adds to it when it prints one: the name that was meant.

    An `assert` without a message is described by its line. What comes from the sandbox carries advice.

    Args:
        error: The exception; what its class does when it is asked for its message may fail too.
        limit: Longest result, in characters.
    """
    try:
        message = str(error)
        if hasattr(error, "learner_type"):  # it came from a worker, which has described it
            return message[:limit]
        frames = traceback.extract_tb(error.__traceback__)
        if isinstance(error, AssertionError) and not message and frames:
            return (frames[-1].line or "")[:limit]
        if isinstance(error, NameError | AttributeError | ImportError):
            message += _meant(error)
        if advice := refusals.advice(error):
            message = f"{message[: limit - len(advice)].rstrip('.')}. {advice}"
        return message[:limit]
    except BaseException:
        return "(its message raises, too)"


def _meant(error: BaseException) -> str:
    # Before Python 3.12, only what prints an uncaught exception works out which name was meant.
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        sys.__excepthook__(type(error), error, error.__traceback__)
    _, said, hint = printed.getvalue().rstrip().rpartition(". Did you mean: ")
    return f"{said}{hint}" if "\n" not in hint else ""


def syntax_help(error: SyntaxError) -> str:
    """The line that Python cannot read and a caret below it, each on a line of its own; "" where it is not known."""
    lines = traceback.format_exception_only(error)[1:-1]
    return "" if any(len(line) > 200 for line in lines) else "".join(lines).rstrip()
