"""Where workers come from: the zygote, the limits that it gives them, and the pool that keeps it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grader import GraderFault
from grader.sandbox.worker import confine

KIT = Path(__file__).parents[3]
# Wall time, for the grader's own code alone: generous, since a crowded machine runs everything twenty times as slowly.
# A zygote or worker that dies is noticed at once.
STARTUP_SECONDS = 900.0
CONTROL_SECONDS = 300.0


@dataclass(frozen=True)
class Limits:
    """What a worker may use; seconds are those in which it ran or slept, as `charge.py` counts them.

    Args:
        call_seconds: One question; checks take milliseconds.
        total_seconds: All questions to one worker.
        unit_seconds: The same of all workers of a unit; the reference needs 1 to 10 s.
        submission_seconds: The same of all workers of a submission; the reference needs 25 s.
        memory: Bytes beyond what torch has mapped already.
        patience: Wall seconds of one question after which the machine is too busy to grade on.
    """

    call_seconds: float = 10.0
    total_seconds: float = 60.0
    unit_seconds: float = 90.0
    submission_seconds: float = 300.0
    memory: int = confine.MEMORY_BUDGET
    patience: float = 600.0


class Zygote:
    """A process with torch loaded, from which confined workers are forked. Use as a context manager.

    Args:
        confined: Whether its workers confine themselves.
        scratch: A folder that its workers may read.
        program: The module whose `warm_up` it runs once, and whose `main` each of its workers runs.
    """

    def __init__(
        self, confined: bool = True, scratch: Path | None = None, program: str = "grader.sandbox.worker.worker"
    ) -> None:
        self.confined = confined
        self._readable = [str(scratch)] if scratch else []
        self._control, theirs = socket.socketpair()
        self._packages = _package_folders()
        command = [sys.executable, "-s", "-S", "-P", "-B", str(KIT / "grader" / "sandbox" / "worker" / "zygote.py")]
        # Not -I: it would ignore PYTHONHASHSEED, and a grading must come out the same when it is repeated.
        environment = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
        # Compiled and scripted code stays the Python that it was, so that what it calls is seen.
        environment |= {"TORCH_COMPILE_DISABLE": "1", "PYTORCH_JIT": "0"}
        self._process = subprocess.Popen(
            [*command, str(theirs.fileno()), str(os.getpid()), program, str(KIT), *self._packages],
            env=environment,
            cwd="/",
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._started = False

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the zygote; the kernel ends its workers with it."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def spawn(self, limits: Limits) -> tuple[int, socket.socket]:
        """Fork a worker; its pid and the connection to it.

        Raises:
            GraderFault: The zygote has died or does not answer.
        """
        ours, theirs = socket.socketpair()
        request = {"confined": self.confined, "memory": limits.memory, "readable": self._packages + self._readable}
        with theirs:
            pid = self._ask({"op": "spawn", **request}, [theirs.fileno()])["pid"]
        return pid, ours

    def reap(self, pid: int, patience: float = 0.0) -> int | None:
        """End a worker and tell how it ended: its exit code, or minus the signal; None if unknown.

        Args:
            pid: The worker.
            patience: Seconds in which it may end by itself before it is killed.
        """
        return self._ask({"op": "reap", "pid": pid, "patience": patience}, []).get("code")

    def _ask(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        try:
            if not self._started:
                self._control.settimeout(STARTUP_SECONDS)
                if self._line() != b"ready":
                    raise OSError("it did not start")
                self._started = True
            self._control.settimeout(CONTROL_SECONDS)
            socket.send_fds(self._control, [json.dumps(request).encode()], fds)
            answer: dict[str, Any] = json.loads(self._line())
            return answer
        except (OSError, ValueError) as error:
            raise GraderFault(f"the zygote failed: {error}; {self.last_words()}") from error

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            piece = self._control.recv(4096)
            if not piece:
                raise OSError("it has ended")
            line += piece
        return line.strip()

    def last_words(self) -> str:
        """End the zygote and tell what it and its workers wrote to stderr."""
        self._process.kill()
        assert self._process.stderr is not None
        return self._process.stderr.read().decode(errors="replace")[-2000:]


def _package_folders() -> list[str]:
    folders = {sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]}
    if (torch := find_spec("torch")) is not None and torch.origin:  # not imported: that takes seconds
        folders.add(str(Path(torch.origin).parents[1]))
    return sorted(folder for folder in folders if Path(folder) != KIT)


@dataclass
class Pool:
    """The zygote of this process, started at the first use, and a scratch folder that its workers may read.

    Args:
        confined: Whether its workers confine themselves; by default where that is possible.
    """

    confined: bool = field(default_factory=lambda: not confine.available())
    zygote: Zygote | None = field(default=None)
    _folder: Path | None = None

    @property
    def scratch(self) -> Path:
        """Where checks lay files that a submission is to read."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="grader-"))
        return self._folder

    def get(self) -> Zygote:
        """The zygote, alive."""
        if self.zygote is None or not self.zygote.alive:
            self.zygote = Zygote(self.confined, self.scratch)
        return self.zygote

    def cpu_time(self) -> float:
        """CPU seconds of the zygote and of its workers that have ended; 0 before the first use."""
        if self.zygote is None:
            return 0.0
        fields = Path(f"/proc/{self.zygote._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it, and remove the folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self.zygote is not None:
            self.zygote.close()
            self.zygote = None


def supported() -> bool:
    """Whether this machine can fork workers: elsewhere than on Linux, forking after torch is loaded is not safe."""
    return sys.platform == "linux"
