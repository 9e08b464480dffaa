"""The autograder: runs the checks of a unit against a submission and scores what it earns."""

__version__ = "0.1.0"
