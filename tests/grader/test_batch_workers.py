"""Grader processes side by side: all answers once, also when processes die."""

import os
import signal
import time

import pytest

from grader.course.options import Options
from grader.course.work import Answer, Job
from grader.course.workers import run

OPTIONS = Options(("schedule",), 0)


def job(name):
    return Job(name, "key", {}, "", OPTIONS, "kit")


def easy(job):
    return Answer(job.name, job.key, str(os.getpid()))


def deadly(job):
    if job.name.startswith("bad"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return easy(job)


def answered(names, processes, work):
    answers = []
    run((job(name) for name in names), processes, answers.append, work)
    return answers


@pytest.mark.parametrize("processes", [1, 2])
def test_every_job_is_answered_once_and_more_processes_share_them(processes):
    answers = answered([f"learner {i}" for i in range(30)], processes, easy)
    assert sorted(answer.name for answer in answers) == sorted(f"learner {i}" for i in range(30))
    assert str(os.getpid()) not in {answer.document for answer in answers}


def test_nothing_to_do_is_done_at_once():
    assert answered([], 2, easy) == []


def test_jobs_are_read_only_as_there_is_room():
    read, seen = [], []

    def jobs():
        for i in range(40):
            read.append(i)
            yield job(str(i))

    run(jobs(), 2, lambda answer: seen.append(len(read)), easy)
    assert seen[0] <= 5


def test_who_kills_the_process_is_said_to_and_costs_nobody_else():
    names = [f"learner {i}" for i in range(6)] + ["bad 1"] + [f"learner {i}" for i in range(6, 12)] + ["bad 2"]
    answers = {answer.name: answer.document for answer in answered(names, 2, deadly)}
    assert sorted(answers) == sorted(names)
    for name, document in answers.items():
        assert ("died twice" in document) == name.startswith("bad")
