"""Grading on a real Dask scheduler and real workers, some of which are killed."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.cli import main
from grader.course.options import Options
from grader.course.work import Job, grade_job
from grader.curriculum.submission import KIT, Submission, from_bytes
from grader.sandbox.host.pool import supported
from grader.sandbox.worker import confine
from tests.grader import cluster_work
from tests.grader.dask_processes import scheduler, wait_for, worker

pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
if not supported():
    pytest.skip("there are no workers on this machine", allow_module_level=True)

from grader.course import cluster

OPTIONS = Options(units=("schedule",), seed=11, confined=not confine.available())
SOLUTION = (KIT / "solutions" / "schedule.py").read_text(encoding="utf-8")


def job(name, text="x = 1"):
    files = {"schedule": from_bytes("exercises/schedule.py", text.encode())}
    return Job.of(Submission(name, files), f"key of {name}", OPTIONS)


def jobs(count):
    return [job(f"learner {number}") for number in range(count)]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """The address of a cluster whose two workers are started again when they die."""
    with (
        scheduler(tmp_path_factory.mktemp("dask")) as (address, _),
        worker(address),
        worker(address),
    ):
        wait_for(address, 2)
        yield address


def run(address, given, work=cluster_work.tell, **options):
    answers = []
    cluster.run_on(address, given, answers.append, work=work, **options)
    return answers


def without_times(document):
    if isinstance(document, dict):
        return {key: without_times(value) for key, value in document.items() if key != "seconds"}
    return [without_times(value) for value in document] if isinstance(document, list) else document


def said(answer):
    document = json.loads(answer.document)
    return [
        c["message"] for u in document["units"] for e in u["exercises"] for c in e["checks"] if c["status"] == "error"
    ]


def test_grades_are_those_of_this_machine(two_workers):
    given = [job("right", SOLUTION), job("wrong", SOLUTION.replace("cos", "sin")), job("nothing", "x = (")]
    answers = {answer.name: answer for answer in run(two_workers, given, grade_job)}
    assert answers.keys() == {"right", "wrong", "nothing"}
    for one in given:
        here = json.loads(grade_job(one).document)
        assert without_times(json.loads(answers[one.name].document)) == without_times(here)
    scores = {name: json.loads(answer.document)["score"] for name, answer in answers.items()}
    assert scores["right"] > scores["wrong"] > scores["nothing"] == 0


def test_nobody_is_lost_when_a_worker_is_killed(two_workers):
    wait_for(two_workers, 2)
    answers = []

    def kill_once(answer):
        answers.append(answer)
        if len(answers) == 5:
            os.kill(json.loads(answer.document)["pid"], signal.SIGKILL)

    given = jobs(30)
    cluster.run_on(two_workers, given, kill_once, work=cluster_work.slowly)
    assert Counter(answer.name for answer in answers) == Counter(one.name for one in given)
    assert not any("units" in json.loads(answer.document) for answer in answers), "nobody is blamed"


def test_job_that_kills_its_workers_harms_nobody_else(two_workers):
    wait_for(two_workers, 2)
    given = [job("killer 1"), *jobs(12), job("killer 2")]
    answers = run(two_workers, given, cluster_work.kill_at_some)
    assert Counter(answer.name for answer in answers) == Counter(one.name for one in given)
    blamed = {answer.name: said(answer) for answer in answers if "units" in json.loads(answer.document)}
    assert blamed.keys() == {"killer 1", "killer 2"}
    assert all("2 workers of the cluster died" in message for message in blamed["killer 1"])


def test_jobs_are_taken_only_as_workers_get_free(two_workers):
    wait_for(two_workers, 2)
    taken, told, most = 0, 0, 0

    def given():
        nonlocal taken, most
        for one in jobs(40):
            taken += 1
            most = max(most, taken - told)
            yield one

    def done(answer):
        nonlocal told
        told += 1

    cluster.run_on(two_workers, given(), done, work=cluster_work.tell)
    assert told == 40
    assert most <= 3, "two workers, and the one that is handed out"


def test_nothing_to_do_needs_no_worker(two_workers):
    assert run(two_workers, []) == []


def test_answer_to_another_question_counts_for_nobody(two_workers):
    (answer,) = run(two_workers, [job("anna")], cluster_work.stray)
    assert answer.name == "anna"
    assert all("answered a different question" in message for message in said(answer))


def test_fault_of_a_worker_is_told_and_the_others_go_on(two_workers):
    answers = run(two_workers, jobs(3), cluster_work.raising)
    assert len(answers) == 3
    assert all("RuntimeError: the disk is full" in message for answer in answers for message in said(answer))


def test_interrupt_ends_the_run_and_leaves_the_cluster_usable(two_workers):
    def interrupt(answer):
        raise KeyboardInterrupt

    taken = []
    given = (taken.append(one) or one for one in jobs(1000))
    with pytest.raises(KeyboardInterrupt):
        cluster.run_on(two_workers, given, interrupt, work=cluster_work.slowly)
    assert len(taken) < 10
    assert len(run(two_workers, jobs(4))) == 4


@pytest.fixture
def other_kit(tmp_path):
    """Options with which a scheduler or worker says that it has a different kit."""
    file = Path(tmp_path) / "other_kit.py"
    file.write_text("from grader.course import handshake\nhandshake.kit_digest = lambda: 'f' * 64\n")
    return ("--preload", str(file))


def test_worker_that_hangs_is_not_waited_for(two_workers, monkeypatch):
    monkeypatch.setattr(cluster, "MEET_SECONDS", 3.0)
    with worker(two_workers, "--no-nanny") as hung:
        wait_for(two_workers, 3)
        os.kill(hung.pid, signal.SIGSTOP)
        try:
            assert len(run(two_workers, jobs(4))) == 4
        finally:
            hung.kill()
    wait_for(two_workers, 2)


def test_worker_with_another_kit_is_refused_before_anything_is_graded(two_workers, other_kit):
    answers = []
    wait_for(two_workers, 2)
    with worker(two_workers, *other_kit):
        wait_for(two_workers, 3)
        with pytest.raises(cluster.Refused, match=r"^worker tcp://127\S* has a different kit \(ffffffffffff\)"):
            cluster.run_on(two_workers, jobs(3), answers.append, work=cluster_work.tell)
    assert answers == []
    wait_for(two_workers, 2)


def test_worker_with_another_kit_that_comes_late_is_left_out(two_workers, other_kit):
    wait_for(two_workers, 2)
    with worker(two_workers, *other_kit, "--no-nanny") as late:

        def given():
            yield from jobs(2)
            wait_for(two_workers, 3)
            yield from jobs(40)  # 4 s: it is asked who it is before they are done

        answers = run(two_workers, given(), cluster_work.slowly)
        assert len(answers) == 42
        assert late.pid not in {json.loads(answer.document)["pid"] for answer in answers}
    wait_for(two_workers, 2)


def test_scheduler_with_another_kit_is_refused(tmp_path, other_kit):
    with (
        scheduler(tmp_path, *other_kit) as (address, _),
        pytest.raises(cluster.Refused, match="the scheduler has a different kit"),
    ):
        run(address, jobs(1))


def test_scheduler_that_dies_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 3.0)  # for so long it is sought, too
    with scheduler(tmp_path) as (address, process), worker(address):
        wait_for(address, 1)
        with pytest.raises(cluster.Lost, match=r"no longer answers.* rerun the same command to resume"):
            cluster.run_on(address, jobs(100), lambda answer: process.kill(), work=cluster_work.slowly)


def test_cluster_without_workers_is_given_up(tmp_path):
    with scheduler(tmp_path) as (address, _), pytest.raises(cluster.Lost, match="no worker for 2 s"):
        run(address, jobs(1), patience=2)


def test_no_scheduler_is_wrong_usage(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2.0)
    (tmp_path / "ada.py").write_text(SOLUTION, encoding="utf-8")
    options = ["--out", str(tmp_path / "out"), "--unit", "schedule", "--cluster", "tcp://127.0.0.1:9", "--unconfined"]
    done = CliRunner().invoke(main.app, ["course", "grade", str(tmp_path), *options])
    assert done.exit_code == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in " ".join(done.stderr.split())
    with pytest.raises(cluster.Refused, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run("tcp://127.0.0.1:9", jobs(1))
