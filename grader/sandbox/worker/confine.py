"""Confinement of a worker: rlimits, no capabilities, Landlock, and a default-deny seccomp allowlist.

The only file that knows the two confinement packages. What a worker may still do: compute, allocate up to its budget,
read Python's own library and site-packages, and talk over the one socket that it was given.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if sys.platform != "win32":  # which has neither, and no worker that could confine itself
    import fcntl
    import resource

if TYPE_CHECKING:
    import seccompy

MEMORY_BUDGET = 3 << 30  # bytes of address space beyond what torch has mapped already
GRADER_BUDGET = 4 << 30  # the same for the process that reads the answers

_MEMORY = "mmap munmap mprotect mremap madvise brk membarrier"
_FILES = """read readv pread64 write writev lseek close close_range openat open stat fstat lstat newfstatat statx access
    faccessat faccessat2 getdents64 readlink readlinkat getcwd dup dup2 dup3 ftruncate fadvise64"""
_SOCKET = "sendto sendmsg recvfrom recvmsg poll ppoll select pselect6 shutdown"
_SIGNALS = "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack restart_syscall pause"
_TIME = "clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getitimer setitimer alarm"
_SELF = """getpid getppid gettid getuid geteuid getgid getegid getgroups getrusage getpriority getcpu sched_yield
    sched_getaffinity sched_getparam sched_getscheduler uname sysinfo getrandom futex set_robust_list get_robust_list
    rseq arch_prctl set_tid_address exit exit_group getrlimit get_mempolicy"""
# Not SETOWN and SETSIG: with them the kernel sends any signal to any process of the same user.
_FCNTL = ("F_DUPFD", "F_DUPFD_CLOEXEC", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL")
ALLOWED = " ".join((_MEMORY, _FILES, _SOCKET, _SIGNALS, _TIME, _SELF)).split()

_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24


def available() -> list[str]:
    """What is missing for a confined worker on this machine, as sentences; empty where nothing is."""
    if sys.platform != "linux":
        return [f"confinement needs Linux, this is {sys.platform}"]
    try:
        import landlockpy
        import seccompy
    except ImportError as error:
        return [f"{error.name} is not installed"]
    missing = []
    if not landlockpy.supported():
        missing.append("the kernel has no Landlock (Linux 5.13 or later, with landlock among its LSMs)")
    if not seccompy.supported():
        missing.append("the kernel does not let this process install seccomp filters")
    return missing


def readable_paths(folders: Sequence[str]) -> list[Path]:
    """What a worker may read: Python's own library, system libraries, these folders, and nothing of the kit."""
    paths = {Path(sysconfig.get_paths()[name]) for name in ("stdlib", "platstdlib")} | set(map(Path, folders))
    paths |= {Path(p) for p in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")}
    paths |= {Path(p) for p in ("/dev/null", "/dev/urandom", "/dev/zero", "/sys/devices/system/cpu")}
    return sorted(path for path in paths if path.exists())


@contextmanager
def frugal(memory: int = GRADER_BUDGET) -> Iterator[None]:
    """Bound this process's own memory inside the block; Linux only.

    Two answers of a few hundred kB can broadcast into a tensor of 100 GB. If it cannot be made, the check has failed;
    if it can, the machine may have.
    """
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = _mapped() + memory
    if soft == resource.RLIM_INFINITY or bound < soft:
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _mapped() -> int:
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - runs once a worker: no path object
        return int(statm.read().split()[0]) * resource.getpagesize()


def limit(memory: int = MEMORY_BUDGET) -> None:
    """Set the rlimits: address space (on Linux), no core dump, no file growth, few descriptors. No way back up."""
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 64)]
    if sys.platform == "linux":  # macOS has no /proc to ask for the size, and does not keep to this limit
        limits.append((resource.RLIMIT_AS, _mapped() + memory))
    for what, value in limits:
        resource.setrlimit(what, (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; Linux only.

    Args:
        parent: The process that started it: if that has ended before this was called, this process ends itself.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def confine(folders: Sequence[str]) -> None:
    """Give up everything that computing does not need; irreversible.

    Args:
        folders: Those of installed packages, and the checks' scratch folder: they may be read.

    Raises:
        OSError: A step was refused: the worker must not go on.
    """
    import landlockpy

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _drop_capabilities(libc)
    with landlockpy.Ruleset(scoped=landlockpy.Scope.ABSTRACT_UNIX_SOCKET | landlockpy.Scope.SIGNAL) as rules:
        for path in readable_paths(folders):
            access = landlockpy.AccessFS.READ_FILE
            if path.is_dir():
                access |= landlockpy.AccessFS.READ_DIR
            rules.allow_path(path, access)
        rules.restrict()
    _oneself_only().load()
    allowlist().load()


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset was refused")


@cache
def allowlist() -> seccompy.Filter:
    """What a worker may still ask of the kernel; made ready once, before workers are forked."""
    from seccompy import Action, Filter
    from seccompy.syscalls import syscall_nr

    rules = Filter(default=int(Action.ERRNO) | errno.EPERM)
    for name in ALLOWED:
        try:
            syscall_nr(name)
        except ValueError:  # a name of another architecture
            continue
        rules.allow(name)
    rules.allow("tgkill")  # to oneself: see below
    for command in _FCNTL:
        rules.allow("fcntl", args={1: getattr(fcntl, command)})
    rules.allow("ioctl", args={1: 0x5421})  # FIONBIO, with which Python sets a socket's timeout
    rules.allow("prlimit64", args={0: 0, 2: 0})  # reading one's own limits
    rules.errno("clone3", errno.ENOSYS)
    assert rules.program  # put together now, and not in each worker
    return rules


def _oneself_only() -> seccompy.Filter:
    """Of two filters the stricter counts: abort() and raise() end oneself by tgkill; for anyone else it is a weapon."""
    from seccompy import Filter

    rules = Filter()
    rules.allow("tgkill", args={0: os.getpid()})
    rules.errno("tgkill", errno.EPERM)
    return rules
