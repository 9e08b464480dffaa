"""How a failed check is said: the sentence, the known mistake behind it, and where in the learner's file it is."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from grader.checking import diagnosis
from grader.checking.given import CheckId
from grader.checking.variants import Mistake
from grader.isolation.client import clean
from grader.outcome import KNOWN_MISTAKE, Outcome
from grader.submission import Submission


@dataclass(frozen=True)
class Wording:
    """The words for one check of one submission.

    Args:
        check: The check that failed.
        submission: What was handed in.
    """

    check: CheckId
    submission: Submission

    def failed(self, text: str, mistake: Mistake | None = None, located: bool = True) -> Outcome:
        """The outcome in these words.

        Args:
            text: What is wrong.
            mistake: The known mistake behind it.
            located: Whether to say where the exercise stands.
        """
        lines = [clean(text, 1500)]
        if mistake is not None:
            lines.append(f"  {KNOWN_MISTAKE}{mistake.says}")
        if located and (place := self._place()):
            lines.append(f"  {place}")
        id = mistake.id if mistake is not None else ""
        return Outcome(self.check.name, self.check.kind, "failed", message="\n".join(lines), mistake=id)

    def _place(self) -> str:
        unit = self.check.unit
        return "" if unit.whole else self.submission.file(unit.name).locate(self.check.exercise.name)

    def where(self, error: BaseException) -> str:
        """The line of the learner's that an error came from, in brackets; empty where none is known."""
        if where := getattr(error, "learner_where", ""):
            return f" ({where})"
        unit = self.check.unit
        files = [file for name, file in self.submission.files.items() if unit.whole or name == unit.name]
        mine = {file.local_source.path: file.path for file in files}
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in mine]
        return f" ({mine[frames[-1].filename]}:{frames[-1].lineno})" if frames else ""

    def same_shortcut(self, shortcut: str) -> Mistake | None:
        """The known mistake that takes this shortcut."""
        unit, exercise = self.check.unit, self.check.exercise
        if unit.whole:
            return None
        known = (mistake for mistake in diagnosis.known_mistakes(unit.name) if mistake.exercise == exercise.name)
        name = shortcut.partition(" ")[0]
        return next((m for m in known if diagnosis.shortcut_of(m, unit.name) == name), None)
