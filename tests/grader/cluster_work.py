"""What cluster workers are given in tests; a module of its own, so that a worker can import it."""

import json
import os
import signal
import time

from grader.course.work import Answer, Job


def tell(job: Job) -> Answer:
    """At once, with the process that did it."""
    return Answer(job.name, job.key, json.dumps({"pid": os.getpid()}))


def slowly(job: Job) -> Answer:
    """Long enough that a worker can be killed meanwhile."""
    time.sleep(0.2)
    return tell(job)


def kill_at_some(job: Job) -> Answer:
    """A job named `killer` ends the process that does it."""
    if job.name.startswith("killer"):
        os.kill(os.getpid(), signal.SIGKILL)
    return slowly(job)


def stray(job: Job) -> Answer:
    """The answer to another question."""
    return Answer("somebody else", job.key, "")


def raising(job: Job) -> Answer:
    """A fault of the grader's."""
    raise RuntimeError("the disk is full")
