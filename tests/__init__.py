"""Checks of the exercises, the known mistakes and alternatives, and the grader's own tests."""
