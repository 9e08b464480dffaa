"""A real Dask scheduler and real workers, as processes of their own, ended at the end."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

from grader.curriculum.submission import KIT


@contextmanager
def started(part, *arguments):
    """A scheduler or worker, as its own process; ended at the end."""
    paths = os.pathsep.join([str(KIT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments, "--no-dashboard"],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def scheduler(folder, *arguments):
    file = folder / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    with started("scheduler", *options, *arguments) as process:
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"], process


def worker(address, *arguments):
    return started("worker", address, "--nthreads", "1", "--memory-limit", "0", "--host", "127.0.0.1", *arguments)


def wait_for(address, count):
    """Until the cluster has so many workers, no fewer and no more."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        deadline = time.monotonic() + 60
        while len(client.nthreads()) != count:
            assert time.monotonic() < deadline
            time.sleep(0.1)
