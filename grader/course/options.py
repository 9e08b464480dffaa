"""What decides a grade besides the submission: units, seed, budgets. And what is done with it: penalties."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Options:
    """How submissions are graded.

    Args:
        units: Which units.
        seed: For everybody, or where there is a secret, for nobody.
        secret: The course's: each learner gets a seed of their own that only it can tell beforehand.
        confined: Whether workers are confined.
        submission_seconds: Budget of one submission's own code.
    """

    units: tuple[str, ...]
    seed: int
    secret: str = ""
    confined: bool = True
    submission_seconds: float = 300.0

    def seed_of(self, learner: str) -> int:
        """The seed of a learner; the same name gives the same one, and results record it, so it can be replayed."""
        if not self.secret:
            return self.seed
        digest = hmac.new(self.secret.encode(), learner.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    def key(self, learner: str, submission: str, kit: str) -> str:
        """A digest of all that a grade depends on: where it is the same, the grade is.

        Args:
            learner: The name.
            submission: Digest of what was handed in.
            kit: Digest of tests, solutions and grader.
        """
        facts = {**asdict(self), "secret": "", "seed": self.seed_of(learner), "submission": submission, "kit": kit}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Penalties:
    """What is taken off a raw score.

    Args:
        late_percent: Of the raw score, for each day or part of a day that it came late.
        late_most: Percent that lateness costs at most.
        attempts: How many attempts are free.
        attempt_percent: Of the raw score, for each attempt after those.
    """

    late_percent: float = 0.0
    late_most: float = 100.0
    attempts: int = 1
    attempt_percent: float = 0.0

    def apply(self, raw: float, days_late: float, attempt: int) -> tuple[float, tuple[str, ...]]:
        """The score that counts, and a sentence for each thing that was taken off.

        Args:
            raw: The score as graded.
            days_late: 0 or more; a part of a day is a day.
            attempt: Which attempt this is, counted from 1.
        """
        notes = []
        days = -int(-days_late // 1)
        late = min(self.late_percent * days, self.late_most)
        if late:
            notes.append(f"{days} {'day' if days == 1 else 'days'} late: -{late:g} %")
        again = min(100.0, self.attempt_percent * max(0, attempt - self.attempts))
        if again:
            notes.append(
                f"attempt {attempt} ({self.attempts} {'is' if self.attempts == 1 else 'are'} free): -{again:g} %"
            )
        return round(raw * max(0.0, 1 - (late + again) / 100), 2), tuple(notes)
