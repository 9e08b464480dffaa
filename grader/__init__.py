"""The autograder: runs the checks of a unit against a submission and scores what it earns.

Nothing heavy is imported here.
"""

__version__ = "0.1.0"


class GraderFault(BaseException):
    """The grader's own machinery failed; never the learner's fault.

    Not an `Exception`: neither a test nor a search for a smaller example may go on after it.
    """


class BrokenSuite(GraderFault):
    """The kit's own tests cannot be collected."""
