"""Poison the neighbours: what a worker might leave for the next, and signals to others."""

from tests.grader.attacks import BLIND, Attack, refused

GONE = "PermissionError, ProcessLookupError, OSError"
ATTACKS = [
    Attack(
        "patched-torch",
        "torch.ones = torch.arange = torch.eye = lambda *a, **k: 1 / 0\ntorch.Tensor.sum = None",
        "nothing",
        says="causal_mask",
    ),
    Attack(
        "patched-worker",
        "import sys\nfor name in [n for n in sys.modules if 'sandbox' in n]: vars(sys.modules[name]).clear()",
        "nothing",
        says="ended|invalid reply|causal_mask",
    ),
    Attack(
        "environment-of-later-runs",
        "import os\nos.environ['PYTHONSTARTUP'] = '/tmp/llm-breach.py'\nos.putenv('LD_PRELOAD', '/tmp/llm-breach.so')",
        "all",
    ),
    Attack("temporary-file", refused("open('/tmp/llm-breach', 'w')"), "all"),
    Attack("shared-memory-file", refused("open('/dev/shm/llm-breach', 'w')"), "all"),
    Attack("cache-folder", refused("os.makedirs(os.path.expanduser('~/.cache/llm-breach'))"), "all"),
    Attack(
        "site-packages",
        refused("open(os.path.dirname(os.path.dirname(torch.__file__)) + '/llm-breach.pth', 'w').write('import os')"),
        "all",
    ),
    Attack("bytecode", refused("open(os.path.dirname(torch.__file__) + '/__pycache__/llm-breach.pyc', 'wb')"), "all"),
    Attack("kill-the-parent", refused("os.kill(os.getppid(), 9)", GONE), "all"),
    Attack("kill-everyone", refused("os.kill(-1, 9)", GONE), "all"),
    Attack("kill-the-group", refused("os.killpg(0, 9)", GONE), "all"),
    Attack("signal-through-a-descriptor", refused("import fcntl; fcntl.fcntl(3, fcntl.F_SETOWN, os.getppid())"), "all"),
    Attack("any-signal-through-a-descriptor", refused("import fcntl; fcntl.fcntl(3, fcntl.F_SETSIG, 9)"), "all"),
    Attack(
        "lease-on-a-file",
        refused("import fcntl; fd = os.open(torch.__file__, 0); fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)"),
        "all",
    ),
    Attack("priority", refused("os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)"), "all"),
    Attack(
        "limits-of-the-parent",
        refused("import resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))"),
        "all",
    ),
    Attack(
        "module-named-numpy",
        earns="base",
        base=BLIND,
        files={
            "exercises/numpy.py": b"raise SystemExit",
            "exercises/torch.py": b"raise SystemExit",
            "torch.py": b"raise SystemExit",
            "exercises/random.py": b"raise SystemExit",
            "exercises/grader.py": b"raise SystemExit",
        },
    ),
]
