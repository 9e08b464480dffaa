"""What graded code may not do: said with advice where the sandbox refuses it, and refused in a local run alike."""

from __future__ import annotations

import errno
import os
import sys
import sysconfig
import threading
from collections.abc import Iterable
from functools import cache, wraps
from types import FrameType
from typing import Any

FILES = (
    "Graded code runs in a sandbox: it may read the files that it is given and write none, temporary ones included. "
    'Keep results in memory; np.memmap needs mode="r".'
)
PROCESSES = (
    "Graded code runs in a sandbox: it may start no threads and no processes, and has no network. "
    "Do the work in this one thread."
)
DEVICES = (
    "Graded code runs on the CPU: create tensors on the device of the inputs, as in torch.zeros(n, device=x.device)."
)

_FILES = frozenset(
    ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
)
_PROCESSES = frozenset(
    (
        *("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen", "socket.connect"),
        "socket.getaddrinfo",
    )
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STDLIB = sysconfig.get_paths()["stdlib"]
_watched: list[frozenset[str]] = []


def advice(error: BaseException) -> str:
    """What to do about an error that comes from the sandbox; empty where it does not."""
    text = str(error)
    if FILES in text or PROCESSES in text:
        return ""
    if "No usable temporary directory" in text or "open file failed" in text:
        return FILES
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG):
        return PROCESSES if error.filename is None else FILES
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return PROCESSES
    devices = ("CUDA", "NVIDIA", "MPS", "'cuda'", "'mps'")
    if isinstance(error, AssertionError | RuntimeError) and any(device in text for device in devices):
        return DEVICES
    return ""


def settle() -> None:
    """Make settings that change nothing in a worker harmless there: it has one thread, and no compiler."""
    import torch

    torch.set_num_threads = _ignore_number
    torch.set_num_interop_threads = _ignore_number
    torch.use_deterministic_algorithms = _deterministic


def _ignore_number(nthreads: int) -> None:
    if not isinstance(nthreads, int) or nthreads < 1:
        raise RuntimeError(f"expected a positive number of threads, got {nthreads!r}")


def _deterministic(mode: bool, *, warn_only: bool = False) -> None:
    """The same without torch's compiler, which would be imported to be told."""
    import torch

    torch._C._set_deterministic_algorithms(mode, warn_only=warn_only)


@cache
def _install() -> None:
    sys.addaudithook(_hook)  # which cannot be taken away again
    start = threading.Thread.start

    @wraps(start)
    def guarded(self: threading.Thread) -> None:  # Python 3.11 has no audit event for it
        if _watched and _is_learners(sys._getframe(1)):
            raise RuntimeError(f"can't start new thread. {PROCESSES}")
        start(self)

    threading.Thread.start = guarded  # type: ignore[method-assign]


def watch(files: Iterable[str]) -> frozenset[str]:
    """Refuse in this process, too, what code of these files may not do when it is graded; what is returned ends it."""
    _install()
    watched = frozenset(files)
    _watched.append(watched)
    return watched


def unwatch(watched: frozenset[str]) -> None:
    """Refuse nothing more to these files."""
    if watched in _watched:
        _watched.remove(watched)


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if not _watched:
        return
    if event == "open":
        path, mode, flags = given
        writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITING)
        if writes and not isinstance(path, int) and _is_learners(sys._getframe(1)):
            raise PermissionError(errno.EACCES, f"Permission denied. {FILES}", path)
    elif event in _FILES:
        if _is_learners(sys._getframe(1)):
            raise PermissionError(errno.EACCES, f"Permission denied. {FILES}", given[0])
    elif event in _PROCESSES and _is_learners(sys._getframe(1)):
        raise PermissionError(errno.EPERM, f"Operation not permitted. {PROCESSES}")


def _is_learners(frame: FrameType | None) -> bool:
    """Whether a learner's file asks for it, itself or by Python's own library; what torch does inside is torch's."""
    while frame is not None:
        file = frame.f_code.co_filename
        if any(file in files for files in _watched):
            return True
        # <frozen os> is Python's own library, too; what an import writes is a cache.
        library = file.startswith((_STDLIB, "<frozen ")) and "site-packages" not in file and "importlib" not in file
        if not library and f"{os.sep}numpy{os.sep}" not in file:
            return False
        frame = frame.f_back
    return False
