"""Poison the host: files, network, kernel interfaces."""

from tests.grader.attacks import Attack, refused


def syscall(id, number, *arguments):
    """A system call by its number on x86-64, past all of Python's wrappers."""
    values = ", ".join(map(str, (number, *arguments)))
    attempt = f"libc = ctypes.CDLL(None, use_errno=True)\nif libc.syscall({values}) == -1: raise OSError(ctypes.get_errno(), 'refused')"
    return Attack(f"syscall-{id}", refused(attempt), "all")


# mov eax, 20 (getpid on 32 bits); int 0x80; ret
INT_80 = """
import ctypes, mmap
_page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
_page.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(_page)))()
"""

ATTACKS = [
    Attack("delete-a-file", refused("os.remove('KIT/pyproject.toml')"), "all"),
    Attack("delete-a-tree", refused("import shutil; shutil.rmtree('KIT/tests')"), "all"),
    Attack("rename", refused("os.rename('KIT/solutions', 'KIT/llm-breach')"), "all"),
    Attack("mode", refused("os.chmod('KIT', 0o777)"), "all"),
    Attack("owner", refused("os.chown('KIT', 65534, 65534)"), "all"),
    Attack("symlink", refused("os.symlink('/etc/passwd', '/tmp/llm-breach')"), "all"),
    Attack("hard-link", refused("os.link('KIT/solutions/attention.py', '/tmp/llm-breach')"), "all"),
    Attack("folder", refused("os.mkdir('/tmp/llm-breach')"), "all"),
    Attack("device", refused("os.mknod('/tmp/llm-breach', 0o20666, 0)"), "all"),
    Attack("truncate", refused("os.truncate('KIT/pyproject.toml', 0)"), "all"),
    Attack("times", refused("os.utime('KIT/pyproject.toml')"), "all"),
    Attack("attributes", refused("os.setxattr('KIT/pyproject.toml', 'user.llm', b'breach')"), "all"),
    Attack("internet-socket", refused("socket.socket()"), "all"),
    Attack("local-socket", refused("socket.socket(socket.AF_UNIX)"), "all"),
    Attack("kernel-socket", refused("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"), "all"),
    Attack("name-lookup", refused("socket.getaddrinfo('example.org', 80)"), "all"),
    Attack("shell", refused("if os.system('true') != 0: raise OSError"), "all"),
    Attack("exec", refused("os.execv('/bin/true', ['true'])"), "all"),
    Attack("change-root", refused("os.chroot('/')"), "all"),
    Attack("user-id", refused("os.setuid(65534)"), "all"),
    Attack("working-folder", refused("os.chdir('KIT')"), "all"),
    Attack("scheduler", refused("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"), "all"),
    Attack(
        "raise-own-limits",
        refused("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))", "OSError, ValueError"),
        "all",
    ),
    Attack("write-to-a-device", refused("open('/dev/urandom', 'wb')"), "all"),
    Attack("terminal", refused("open('/dev/tty', 'w')"), "all"),
    syscall("ptrace", 101, 0, 0, 0, 0),
    syscall("fork-by-clone", 56, 17, 0, 0, 0, 0),
    syscall("clone3", 435, 0, 0),
    syscall("vfork", 58),
    syscall("execveat", 322, -100, 0, 0, 0, 0),
    syscall("unshare", 272, 0x10000000),
    syscall("setns", 308, 0, 0),
    syscall("io-uring", 425, 8, 0),
    syscall("bpf", 321, 0, 0, 0),
    syscall("userfaultfd", 323, 0),
    syscall("perf-event", 298, 0, 0, -1, -1, 0),
    syscall("keyctl", 250, 0, 0),
    syscall("mount", 165, 0, 0, 0, 0, 0),
    syscall("process-memory", 310, 1, 0, 0, 0, 0, 0),
    syscall("pidfd-open", 434, 1, 0),
    syscall("pidfd-signal", 424, 0, 9, 0, 0),
    syscall("seccomp", 317, 1, 0, 0),
    syscall("prctl", 157, 4, 1, 0, 0, 0),
    syscall("kill", 62, 1, 0),
    syscall("tgkill-of-another", 234, 1, 1, 0),
    syscall("rt-sigqueueinfo", 129, 1, 0, 0),
    syscall("kexec", 246, 0, 0, 0, 0),
    syscall("module-load", 175, 0, 0, 0),
    syscall("name-to-handle", 303, -100, 0, 0, 0, 0),
    syscall("x32-getpid", 0x40000000 + 39),
    syscall("x32-fork", 0x40000000 + 57),
    syscall("shmget", 29, 0, 4096, 0o1600),
    syscall("semget", 64, 0, 1, 0o1600),
    syscall("msgget", 68, 0, 0o1600),
    syscall("mq-open", 240, 0, 0o100, 0o600, 0),
    syscall("inotify", 253),
    syscall("terminal-input", 16, 0, 0x5412, 0),
    Attack("syscall-of-32-bits", INT_80, says="signal SIGSYS"),
]
