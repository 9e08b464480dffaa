"""What is charged and what is not: first on clocks that a test sets, then on real processes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import pytest

from grader.sandbox.host import charge
from grader.sandbox.host.charge import Counters, Meter, Sample, TooBusy
from grader.sandbox.host.client import Job, Session, WorkerEnded
from grader.sandbox.host.pool import Limits
from grader.sandbox.host.proxy import RemoteUnit
from grader.sandbox.protocol import wire
from grader.sandbox.worker.importer import Source

STILL = Sample(1000.0, 5.0, 3.0, 2.0, 7.0)


@dataclass
class Machine:
    """Clocks and counters that stand still until a test moves them."""

    at: Sample = STILL

    def pass_time(self, seconds, **changes):
        """Let wall time pass in steps, as a meter that is asked in time sees it."""
        moved = {name: getattr(self.at, name) + amount for name, amount in changes.items()}
        self.at = replace(self.at, now=self.at.now + seconds, **moved)

    def meter(self, seconds=10.0, patience=300.0):
        meter = Meter(lambda: self.at, lambda: self.at.now)
        meter.start(seconds, patience)
        return meter

    def wait(self, meter, seconds, **shares):
        """Wait for a worker as the wire does; each share is how much of the time goes to that counter."""
        while seconds > 1e-9:
            step = min(meter.slice(), seconds)
            self.pass_time(step, **{name: share * step for name, share in shares.items()})
            seconds -= step


@pytest.fixture
def machine():
    return Machine()


@pytest.mark.parametrize(
    ("what_it_does", "costs"),
    [
        ({"ran": 1.0}, 4.0),
        ({}, 4.0),  # it sleeps
        ({"waited": 1.0}, 0.0),
        ({"waited": 0.9, "ran": 0.1}, 0.4),
        ({"waited": 0.5}, 2.0),  # it sleeps for half of the time
        ({"ran": 2.0}, 8.0),  # two threads
        ({"waited": 0.9, "ran": 1.0}, 4.0),  # threads that keep the first one waiting
        ({"delayed": 0.9}, 0.4),  # the answer is there, and this side waits
        ({"busy": 1.0}, 4.0),  # this side works on the answer
    ],
    ids=str,
)
def test_running_and_sleeping_are_charged_and_waiting_for_a_processor_is_not(machine, what_it_does, costs):
    meter = machine.meter()
    machine.wait(meter, 4.0, **what_it_does)
    assert meter.stop() == pytest.approx(costs)


def test_a_time_in_which_this_side_was_stopped_is_not_charged(machine):
    meter = machine.meter()
    meter.slice()
    machine.pass_time(3600.0)
    assert meter.slice() > 0
    assert meter.stop() < 1.0


@pytest.mark.parametrize(("what_it_does", "lasts"), [({}, 10.0), ({"ran": 1.0}, 10.0), ({"waited": 0.75}, 40.0)])
def test_a_question_ends_when_its_charge_is_used_up(machine, what_it_does, lasts):
    meter = machine.meter()
    with pytest.raises(wire.TimedOut):
        machine.wait(meter, 1000.0, **what_it_does)
    assert machine.at.now - 1000.0 == pytest.approx(lasts, abs=1.0)


def test_that_the_machine_was_too_busy_is_the_graders_fault(machine):
    meter = machine.meter(seconds=10.0, patience=300.0)
    with pytest.raises(TooBusy, match=r"too busy: in 300 s a worker got 3\.0 s"):
        machine.wait(meter, 1000.0, waited=0.99)


def test_what_a_worker_runs_between_two_questions_is_charged_with_the_second(machine):
    meter = machine.meter()
    machine.wait(meter, 1.0, ran=1.0)
    assert meter.stop() == pytest.approx(1.0)
    machine.pass_time(5.0, ran=5.0)
    meter.start(10.0, 300.0)
    assert meter.stop() == pytest.approx(5.0)


def test_where_waiting_cannot_be_seen_limits_are_generous(machine):
    machine.at = replace(machine.at, waited=None)
    meter = machine.meter()
    machine.wait(meter, 10.0)
    assert meter.charge() == pytest.approx(10.0 / charge.UNSEEN)
    machine.wait(meter, 3.0, ran=1.0)
    assert meter.stop() == pytest.approx(3.0)


# Real processes


def test_a_kernel_that_does_not_count_is_noticed(tmp_path):
    (tmp_path / "schedstat").write_text("0 0 0\n")
    with (tmp_path / "schedstat").open() as file:
        assert charge._waited(file.fileno()) is None
    assert charge._waited(None) is None


def test_counters_of_a_process_that_is_gone_stay_what_they_were(pool):
    session = Session(pool.get(), Limits())
    counters = Counters(session._pid)
    before = counters.sample()
    session.close()
    after = counters.sample()
    assert before.waited is not None
    assert (after.ran, after.waited) == (before.ran, before.waited)
    counters.close()


def worker(pool, body, **limits):
    session = Session(pool.get(), Limits(**limits))
    session.load(Job("mine", {"mine": Source("exercises/mine.py", f"import os, signal, time\ndef f():\n    {body}\n")}))
    return session, RemoteUnit(session)


ENDLESS = {
    "spins": "while True: pass",
    "sleeps": "time.sleep(1000)",
    "sleeps a little, again and again": "while True: time.sleep(0.01)",
    "stops itself": "os.kill(os.getpid(), signal.SIGSTOP) if False else signal.raise_signal(signal.SIGSTOP)",
    "takes and gives back memory": "while True: bytearray(1 << 28)",
    "gives up its turn": "while True: os.sched_yield()",
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_whatever_never_ends_uses_up_its_charge(pool, body):
    session, unit = worker(pool, body, call_seconds=0.5)
    with pytest.raises(WorkerEnded, match=r"did not answer within 0\.5 s"):
        unit.f()
    assert 0.4 < session.spent < 5.0


def test_a_worker_that_somebody_stops_is_charged_since_it_could_have_stopped_itself(pool):
    session, unit = worker(pool, "time.sleep(1000)", call_seconds=0.5)
    os.kill(session._pid, signal.SIGSTOP)
    with pytest.raises(WorkerEnded, match=r"did not answer within 0\.5 s"):
        unit.f()


# It ends by itself, should nobody be left to end it.
BUSY = "import time; end = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


def test_a_worker_beside_busy_neighbours_is_charged_for_its_own_time_alone(pool):
    """All of them on one processor, so that whatever runs there waits."""
    session, unit = worker(pool, "t = time.thread_time()\n    while time.thread_time() - t < 0.3: pass")
    processor = {min(os.sched_getaffinity(0))}
    neighbours = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(6)]
    try:
        for pid in (session._pid, *(process.pid for process in neighbours)):
            os.sched_setaffinity(pid, processor)
        before, started = session.spent, time.monotonic()
        unit.f()
        wall = time.monotonic() - started
    finally:
        for process in neighbours:
            process.kill()
            process.wait()
    assert wall > 0.9, "the neighbours did not keep it waiting"
    assert session.spent - before < wall / 2
    session.close()
