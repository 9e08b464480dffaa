"""A graded submission, as reports and tables see it."""

from __future__ import annotations

from dataclasses import dataclass

from grader.grading.results import Results


@dataclass(frozen=True)
class Graded:
    """One learner's grade.

    Args:
        name: The learner.
        results: What the grading found; its score is the raw one.
        score: What counts, after penalties.
        notes: Why that is not the raw score, and what else an instructor should know, as sentences.
    """

    name: str
    results: Results
    score: float
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """What became of it, in a word or two."""
        if self.faulty:
            return "grader fault"
        return "graded" if self.results.submission.status == "read" else self.results.submission.status

    @property
    def faulty(self) -> bool:
        """Whether the grader itself failed somewhere: this grade does not count."""
        return any(check.status == "error" for check in self.results.checks)
