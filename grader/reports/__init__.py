"""Reports: pure functions of Results. None computes a grade of its own."""

from grader.reports.terminal import failures, scorecard

__all__ = ["failures", "scorecard"]
