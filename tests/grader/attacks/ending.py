"""End the process, or seem to."""

from tests.grader.attacks import Attack, first, instead

ENDED = r"your code ended the process"

ATTACKS = [
    Attack("exit-0-in-a-call", instead("import os; os._exit(0)"), says=rf"{ENDED} \(exit code 0\)"),
    Attack("exit-0-at-import", "import os; os._exit(0)", says=rf"{ENDED} \(exit code 0\)"),
    Attack(
        "exit-7-after-the-first-answer",
        "_calls = []\n" + first("import os; _calls.append(1) if not _calls else os._exit(7)"),
        "base",
        says="exit code 7",
    ),
    Attack("sys-exit-at-import", "import sys; sys.exit(0)", says="SystemExit"),
    Attack("system-exit", instead("raise SystemExit(0)"), says="SystemExit|RuntimeError"),
    Attack("keyboard-interrupt", instead("raise KeyboardInterrupt"), says="KeyboardInterrupt|RuntimeError"),
    Attack("generator-exit", instead("raise GeneratorExit"), says="GeneratorExit|RuntimeError"),
    Attack("base-exception", "class Mine(BaseException): pass\n" + instead("raise Mine('over')"), says="over"),
    Attack("memory-error", instead("raise MemoryError"), says="MemoryError|RuntimeError"),
    Attack("memory-error-at-import", "raise MemoryError", says="MemoryError|RuntimeError"),
    Attack("stop-iteration", instead("raise StopIteration"), says="StopIteration|RuntimeError"),
    Attack("assertion-error", instead("raise AssertionError('all is well')"), says="all is well"),
    Attack("exception-group", instead("raise ExceptionGroup('many', [ValueError(1)])"), says="many"),
    Attack(
        "error-whose-text-raises",
        "class Mute(Exception):\n    def __str__(self): raise SystemExit\n" + instead("raise Mute"),
        says="its message raises",
    ),
    Attack(
        "error-of-a-hostile-class",
        "class Meta(type):\n    def __getattribute__(cls, name): raise SystemExit(3)\nclass Odd(Exception, metaclass=Meta): pass\n"
        + instead("raise Odd"),
    ),
    Attack("segfault", instead("import ctypes; ctypes.string_at(0)"), says="signal SIGSEGV"),
    Attack("abort", instead("import os; os.abort()"), says="signal SIGABRT"),
    Attack(
        "abort-in-a-destructor",
        "class Last:\n    def __del__(self):\n        import os; os.abort()\n" + instead("Last()"),
        says="signal SIGABRT",
    ),
    Attack("nameless-signal", instead("import signal; signal.raise_signal(35)"), says="signal 35"),
    Attack("sigkill", instead("import signal; signal.raise_signal(signal.SIGKILL)"), says="killed, or out of memory"),
    Attack(
        "alarm",
        instead("import signal, time; signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(3)"),
        says="signal SIGALRM",
    ),
    Attack("close-every-descriptor", instead("import os; os.closerange(0, 64)"), says=f"{ENDED}|invalid reply"),
    Attack("pytest-exit", instead("import pytest; pytest.exit('done', returncode=0)"), says="done|Exit"),
    Attack(
        "exit-in-training",
        "class RMSNorm(RMSNorm):\n    def forward(self, x): import os; os._exit(0)",
        "base",
        ENDED,
        unit="normalization",
        exercise="RMSNorm",
    ),
    Attack(
        "exit-in-the-optimizer",
        instead("import os; os._exit(0)", "clip_grad_norm"),
        says=ENDED,
        unit="optim",
        exercise="clip_grad_norm",
    ),
    Attack(
        "exit-in-the-tokenizer",
        instead("import os; os._exit(0)", "count_pairs"),
        says=ENDED,
        unit="tokenizer",
        exercise="count_pairs",
    ),
]
