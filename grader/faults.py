"""Failures of the grader itself. Nothing heavy is imported here, so that the command line can catch them cheaply."""


class GraderFault(BaseException):
    """The grader's own machinery failed; never the learner's fault.

    Not an `Exception`: neither a test nor a search for a smaller example may go on after it.
    """


class BrokenSuite(GraderFault):
    """The kit's own tests cannot be collected."""
