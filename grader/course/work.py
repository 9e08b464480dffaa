"""One submission's grading as plain values: what a worker process is sent, and what it answers."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from multiprocessing.util import Finalize

from grader import GraderFault
from grader.course.options import Options
from grader.curriculum import load
from grader.curriculum.submission import File, Submission
from grader.grading.kit import kit_digest
from grader.grading.results import Results, to_json
from grader.sandbox.host.pool import Limits, Pool, supported

TRIES = 2  # a fault of the grader may be the machine's mood


@dataclass(frozen=True)
class Job:
    """A submission to be graded.

    Args:
        name: The learner.
        key: What its grade depends on.
        files: Unit to path, text and problem.
        problem: Why nothing of it could be read.
        options: How it is graded.
        kit: Digest of the kit that the sender has.
        notes: What was chosen and what was left out.
        missing: Nothing was handed in.
    """

    name: str
    key: str
    files: dict[str, tuple[str, str, str]]
    problem: str
    options: Options
    kit: str
    notes: tuple[str, ...] = ()
    missing: bool = False

    @classmethod
    def of(cls, submission: Submission, key: str, options: Options) -> Job:
        """The job of grading this submission."""
        files = {name: (file.path, file.text, file.problem) for name, file in submission.files.items()}
        said = submission.notes, submission.missing
        return cls(submission.name, key, files, submission.problem, options, kit_digest(), *said)

    @property
    def submission(self) -> Submission:
        """What is graded."""
        files = {name: File(path, text, problem) for name, (path, text, problem) in self.files.items()}
        return Submission(self.name, files, self.problem, self.notes, self.missing)

    @property
    def seed(self) -> int:
        """Of this learner's checks."""
        return self.options.seed_of(self.name)


@dataclass(frozen=True)
class Answer:
    """A grading, done.

    Args:
        name: The learner.
        key: That of the job.
        document: Results as JSON.
    """

    name: str
    key: str
    document: str


_pool: Pool | None = None


def grade_job(job: Job) -> Answer:
    """Grade a submission in this process's own confined workers; never raises: a fault becomes a result with errors.

    A fault of the grader is tried again with a new zygote.
    """
    said = ""
    for _ in range(TRIES):
        try:
            results = _grade(job)
        except (Exception, GraderFault) as error:
            said = f"{type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}"
            _drop_pool()
            continue
        if not any(check.status == "error" for check in results.checks):
            break
    else:
        if said:
            return failed(job, said)
    return Answer(job.name, job.key, to_json(results))


def failed(job: Job, said: str) -> Answer:
    """The answer where the grader could not do its work: every check is an error, and nothing counts."""
    from grader.grading.grade import faulted

    return Answer(job.name, job.key, to_json(faulted(job.submission, _units(job), job.seed, said)))


def _grade(job: Job) -> Results:
    from grader.grading.grade import (
        grade,  # with torch, which takes seconds: the process that hands out jobs does without
    )

    if job.kit != kit_digest():
        raise ValueError("this machine has a different version of the kit from the one that sent the work")
    limits = Limits(submission_seconds=job.options.submission_seconds)
    return grade(job.submission, units=_units(job), seed=job.seed, pool=_own_pool(job.options.confined), limits=limits)


def _units(job: Job) -> list[str]:
    return [name for name in load() if name in job.options.units]


def _own_pool(confined: bool) -> Pool | None:
    global _pool
    if _pool is None and supported():
        _pool = Pool(confined)
        Finalize(None, _drop_pool, exitpriority=0)
    return _pool


def _drop_pool() -> None:
    global _pool
    if _pool is not None:
        _pool.close()
        _pool = None
