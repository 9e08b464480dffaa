"""Reports: pure functions of Results. None computes a grade of its own."""

from grader.reports.class_page import class_page
from grader.reports.page import learner_page
from grader.reports.table import grades_csv
from grader.reports.terminal import failures, scorecard

__all__ = ["class_page", "failures", "grades_csv", "learner_page", "scorecard"]
