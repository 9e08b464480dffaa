"""Whoever is killed takes along all that it started: no grading process, zygote or worker stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader.course import workers
from grader.curriculum.submission import KIT
from grader.sandbox.host.client import Session
from grader.sandbox.host.pool import Limits, Pool, supported

pytestmark = pytest.mark.skipif(not supported(), reason="there are no workers on this machine")

# Both start all that a grading starts, say so, and then wait.
SINGLE = """
import time
from grader.sandbox.host.client import Session
from grader.sandbox.host.pool import Limits, Pool

pool = Pool()
session = Session(pool.get(), Limits())
print(pool.zygote._process.pid, session._pid, flush=True)
time.sleep(600)
"""
SIDE_BY_SIDE = """
from tests.grader import test_parent_death as here

if __name__ == "__main__":
    here.side_by_side()
"""


def hold(job):
    """A grading process that has a worker and is at work."""
    pool = Pool()
    session = Session(pool.get(), Limits())
    Path(job, str(os.getpid())).write_text(f"{pool.zygote._process.pid} {session._pid} {os.getpid()}")
    time.sleep(600)


def side_by_side():
    workers.run(iter(sys.argv[1:]), 1, print, hold)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def assert_gone(pids):
    until = time.monotonic() + 60
    while time.monotonic() < until and any(map(alive, pids)):
        time.sleep(0.05)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_grader_that_is_killed_takes_zygote_and_worker_along(number):
    grader = subprocess.Popen([sys.executable, "-c", SINGLE], cwd=KIT, stdout=subprocess.PIPE, text=True)
    with grader:
        pids = list(map(int, grader.stdout.readline().split()))
        assert all(map(alive, pids))
        grader.send_signal(number)
        grader.wait()
        assert_gone(pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_batch_that_is_killed_takes_its_grading_processes_along(number, tmp_path):
    script = tmp_path / "batch.py"
    script.write_text(SIDE_BY_SIDE)
    (tmp_path / "job").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(KIT)}
    command = [sys.executable, str(script), str(tmp_path / "job")]
    with subprocess.Popen(command, cwd=KIT, env=environment, stdout=subprocess.DEVNULL) as batch:
        while not (found := [file.read_text() for file in (tmp_path / "job").iterdir()]) or not found[0]:
            assert batch.poll() is None
            time.sleep(0.1)
        pids = list(map(int, found[0].split()))
        assert len(pids) == 3
        assert all(map(alive, pids))
        batch.send_signal(number)
        batch.wait()
        assert_gone(pids)


def test_a_zygote_that_is_killed_takes_its_workers_along():
    own = Pool()
    session = Session(own.get(), Limits())
    own.zygote._process.kill()
    assert_gone([session._pid])
    session._socket.close()
    own.close()


def test_a_zygote_whose_parent_has_ended_before_it_looked_ends():
    code = "from grader.sandbox.worker import confine; confine.die_with_parent(1 << 22); print('still here')"
    done = subprocess.run([sys.executable, "-c", code], cwd=KIT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
