"""The zygote: a clean process with what its workers need loaded, from which each of them is forked.

Workers that grade have torch loaded, those that read submissions do not. Started by exec, so that its heap has never
seen a test or an expected value. It answers two requests on its control socket: `spawn` (with one end of a socket pair
attached) and `reap`. It runs no learner code itself.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

RunWorker = Callable[[socket.socket, dict[str, Any]], None]


def main() -> None:
    """Serve a control socket until it closes.

    Arguments: its descriptor, the process that started this one, the module that workers run, the kit's folder, folders
    of packages.
    """
    fd, parent, program, kit, *packages = sys.argv[1:]
    # No site module ran, so no .pth file did: the kit's own folder is on the path only while its parts are imported.
    sys.path[:] = [kit, *sys.path, *packages]
    from grader.sandbox.worker import confine

    confine.die_with_parent(int(parent))  # before torch, which takes seconds to load

    worker = importlib.import_module(program)
    sys.path.remove(kit)
    for name in [name for name in sys.modules if name.partition(".")[0] == "grader"]:
        if hasattr(sys.modules[name], "__path__"):
            sys.modules[name].__path__ = []  # what is loaded stays; nothing more of the kit can be imported
    worker.warm_up()
    _serve(socket.socket(fileno=int(fd)), worker.main)


def _serve(control: socket.socket, run_worker: RunWorker) -> None:
    control.sendall(b"ready\n")
    while True:
        request, fds, _, _ = socket.recv_fds(control, 4096, 1)
        if not request:
            os._exit(0)
        answer = _answer(json.loads(request), fds, control, run_worker)
        control.sendall(json.dumps(answer).encode() + b"\n")


def _answer(request: dict[str, Any], fds: list[int], control: socket.socket, run_worker: RunWorker) -> dict[str, Any]:
    if request["op"] == "spawn":
        request["zygote"] = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_worker(fds[0], control, run_worker, request)
        os.close(fds[0])
        return {"pid": pid}
    try:
        status = _end(request["pid"], request["patience"])
    except OSError as error:
        return {"error": str(error)}
    return {"code": os.waitstatus_to_exitcode(status)}


def _end(pid: int, patience: float) -> int:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.005)
    # Not reaped before now, so the pid cannot have become somebody else's.
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _become_worker(fd: int, control: socket.socket, run_worker: RunWorker, request: dict[str, Any]) -> None:
    try:
        control.detach()
        null = os.open("/dev/null", os.O_RDWR)
        for standard in (0, 1):  # the worker lets go of stderr once it is confined
            os.dup2(null, standard)
        os.dup2(fd, 3)
        os.closerange(4, 4096)
        run_worker(socket.socket(fileno=3), request)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
