"""How a failed check is said: the sentence, the known mistake behind it, and where in the learner's file it is."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from grader.checking import mistakes
from grader.checking.context import CheckId
from grader.checking.variants import Mistake
from grader.curriculum.outcome import KNOWN_MISTAKE, Outcome
from grader.curriculum.submission import Submission
from grader.sandbox.host.client import clean


@dataclass(frozen=True)
class Messages:
    """The words for one check of one submission.

    Args:
        check: The check that failed.
        submission: What was handed in.
    """

    check: CheckId
    submission: Submission

    def failed(
        self, text: str, mistake: Mistake | None = None, *, place: str | None = None, cause: str = ""
    ) -> Outcome:
        """The outcome in these words.

        Args:
            text: What is wrong.
            mistake: The known mistake behind it.
            place: Where in the learner's file, as the last line. None: where the exercise begins.
            cause: What other failed checks may share. Empty: the text.
        """
        lines = [clean(text, 1500)]
        if mistake is not None:
            lines.append(f"  {KNOWN_MISTAKE}{mistake.says}")
        if place := self._beginning() if place is None else place:
            lines.append(f"  {clean(place)}")
        id = mistake.id if mistake is not None else ""
        message = "\n".join(lines)
        return Outcome(self.check.name, self.check.kind, "failed", message=message, mistake=id, cause=id or cause)

    def raised(self, call: str, error: BaseException, message: str, mistake: Mistake | None = None) -> Outcome:
        """The outcome of a call in which the learner's code raised.

        Args:
            call: The call, with a space or colon after it.
            error: What was raised.
            message: What it says, from `described`.
            mistake: The known mistake behind it.
        """
        kind = getattr(error, "learner_type", "") or type(error).__name__
        said = f"raised {kind}: {message}".removesuffix(": ")
        place = self.where(error) or None
        return self.failed(f"{call}{said}", mistake, place=place, cause=f"{said} {place}")

    def _beginning(self) -> str:
        unit = self.check.unit
        return "" if unit.whole else self.submission.file(unit.name).locate(self.check.exercise.name)

    def where(self, error: BaseException) -> str:
        """The line of the learner's that an error came from, as `exercises/attention.py:69`; "" where none is known."""
        if where := getattr(error, "learner_where", ""):
            return str(where)
        unit = self.check.unit
        files = [file for name, file in self.submission.files.items() if unit.whole or name == unit.name]
        mine = {file.local_source.path: file.path for file in files}
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in mine]
        return f"{mine[frames[-1].filename]}:{frames[-1].lineno}" if frames else ""

    def same_shortcut(self, shortcut: str) -> Mistake | None:
        """The known mistake that takes this shortcut."""
        unit, exercise = self.check.unit, self.check.exercise
        if unit.whole:
            return None
        known = (mistake for mistake in mistakes.known_mistakes(unit.name) if mistake.exercise == exercise.name)
        name = shortcut.partition(" ")[0]
        return next((m for m in known if mistakes.shortcut_of(m, unit.name) == name), None)
