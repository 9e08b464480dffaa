"""Never end, or take for ever."""

from tests.grader.attacks import FRAME, Attack, first, instead

LATE = r"did not answer within 0\.5 s"

ATTACKS = [
    Attack("loop", instead("while True: pass"), says=LATE, seconds=0.5),
    Attack(
        "loop-that-swallows",
        instead("while True:\n    try: 1 / 0\n    except BaseException: pass"),
        says=LATE,
        seconds=0.5,
    ),
    Attack(
        "ignores-signals",
        "import signal\nfor number in (1, 2, 3, 14, 15): signal.signal(number, signal.SIG_IGN)\n"
        + instead("while True: pass"),
        says=LATE,
        seconds=0.5,
    ),
    Attack("sleep-at-import", "import time; time.sleep(1000)", says=LATE, seconds=0.5),
    Attack(
        "sleep-in-a-destructor",
        "class Last:\n    def __del__(self):\n        import time; time.sleep(1000)\n" + instead("Last()"),
        says=LATE,
        seconds=0.5,
    ),
    Attack("sleep-at-exit", "import atexit, time; atexit.register(time.sleep, 1000)", "all"),
    Attack(
        "half-a-reply",
        FRAME + instead("_say(_frame({'id': 2, 'op': 'result', 'value': None})[:20]); time.sleep(1000)"),
        says=LATE,
        seconds=0.5,
    ),
    Attack(
        "one-byte-at-a-time",
        FRAME
        + instead(
            "for byte in _frame({'id': 2, 'op': 'result', 'value': [0] * 999}):\n    _say(bytes([byte])); time.sleep(0.02)"
        ),
        says=LATE,
        seconds=0.5,
    ),
    Attack(
        "endless-questions-back",
        FRAME + instead("while True: _say(_frame({'op': 'next', 'iterator': 0}))"),
        says="an iterator that was never sent|belongs to no question",  # whichever of its frames is read first
    ),
    Attack("huge-power", instead("return 2 ** 10 ** 9 ** 2"), says=LATE, seconds=0.5),
    Attack(
        "endless-iterator",
        "def stream_pretokens(*args, **kwargs):\n    while True: yield 'a'",
        "base",
        base="def stream_pretokens(*args, **kwargs):\n    yield 'a'",
        says="did not answer within|never ends|ran out of time",
        unit="tokenizer",
        exercise="stream_pretokens",
        seconds=0.2,
    ),
    Attack(
        "sleepy-regex",
        instead("import re; re.match('(a+)+$', 'a' * 64 + 'b')", "count_pairs"),
        says=LATE,
        unit="tokenizer",
        exercise="count_pairs",
        seconds=0.5,
    ),
    Attack(
        "sleep-in-a-signal-handler",
        "import signal, time\nsignal.signal(signal.SIGALRM, lambda *a: time.sleep(1000))\n"
        + first("signal.setitimer(signal.ITIMER_REAL, 0.001); time.sleep(0.01)"),
        says=LATE,
        seconds=0.5,
    ),
]
