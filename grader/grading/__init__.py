"""Grading of one submission: checks in, results out."""
