"""An exception of the learner's in words, with all the help that Python has for it."""

from __future__ import annotations

import traceback


def described(error: BaseException, limit: int = 2000) -> str:
    """The message of an exception with what Python adds to it when it prints one: the name that was meant.

    An `assert` without a message is described by its line.

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
            _, _, hint = "".join(traceback.format_exception_only(error)).rpartition("Did you mean: ")
            message += (
                f". Did you mean: {hint.strip()}" if hint.strip().endswith("'?") and "Did you" not in message else ""
            )
        return message[:limit]
    except BaseException:
        return "(its message raises, too)"


def syntax_help(error: SyntaxError) -> str:
    """The line that Python cannot read and a caret below it, each on a line of its own; "" where it is not known."""
    lines = traceback.format_exception_only(error)[1:-1]
    return "" if any(len(line) > 200 for line in lines) else "".join(lines).rstrip()
