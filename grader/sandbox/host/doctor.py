"""What this machine has, what it confines, and what it does not: tried out, not looked up."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from grader import GraderFault, __version__
from grader.sandbox.host.client import Job, Session
from grader.sandbox.host.pool import Limits, Zygote, supported
from grader.sandbox.host.proxy import RemoteUnit
from grader.sandbox.worker import confine
from grader.sandbox.worker.importer import Source

PACKAGES = ("torch", "numpy", "pytest", "hypothesis", "landlockpy", "seccompy")

_PROBE = """
import os, socket, subprocess


def _tried(attempt):
    try:
        attempt()
    except OSError:
        return "refused"
    except Exception as error:
        return type(error).__name__
    return "allowed"


def read_kit(path): return _tried(lambda: open(path).read())
def write_file(): return _tried(lambda: open("/tmp/grader-doctor", "w"))
def open_socket(): return _tried(socket.socket)
def start_process(): return _tried(lambda: subprocess.run(["true"]))
def signal_parent(): return _tried(lambda: os.kill(os.getppid(), 0))
def read_memory(): return _tried(lambda: open(f"/proc/{os.getppid()}/mem", "rb"))
"""

_ATTEMPTS = {
    "read_kit": "reading the kit's files",
    "write_file": "writing a file",
    "open_socket": "opening a network socket",
    "start_process": "starting a process",
    "signal_parent": "signalling another process",
    "read_memory": "reading another process's memory",
}


@dataclass(frozen=True)
class Finding:
    """One fact, and whether it is as it should be."""

    good: bool
    text: str


def examine() -> Iterator[Finding]:
    """Look at the installation, then let a worker try what it must not do."""
    yield Finding(sys.version_info >= (3, 11), f"Python {platform.python_version()} on {platform.platform()}")
    yield Finding(True, f"kit {__version__}, " + ", ".join(map(_version, PACKAGES)))
    missing = confine.available()
    for sentence in missing:
        yield Finding(False, f"confinement: {sentence}")
    if not supported():
        yield Finding(
            False, "no workers here: learner code runs in the grader's own process, so grade only code that you trust"
        )
        return
    try:
        yield from _try_a_worker(confined=not missing)
    except GraderFault as fault:
        yield Finding(False, f"a worker does not start: {fault}")
    yield Finding(
        True, "not covered: files' names and sizes can be asked for (stat), and a worker may use a core fully"
    )


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} missing"


def _try_a_worker(confined: bool) -> Iterator[Finding]:
    with Zygote(confined) as zygote:
        session = Session(zygote, Limits())
        session.load(Job("probe", {"probe": Source("exercises/probe.py", _PROBE)}))
        yield Finding(True, f"a worker answers ({'confined' if confined else 'NOT confined'})")
        unit = RemoteUnit(session)
        for name, what in _ATTEMPTS.items():
            answer = getattr(unit, name)(*([__file__] if name == "read_kit" else []))
            yield Finding(answer == "refused", f"{what} is {answer}")
        session.close()
