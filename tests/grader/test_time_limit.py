"""Locally, an endless loop ends, and the learner is told the line that it was in."""

import re
import signal
import sys
import threading
import time

import pytest

from grader.checking.limit import TookTooLong, limited
from tests.grader.learners import handed_in, with_softmax
from tests.grader.test_pytest_plugin import run, target

LOOPS = {
    "spins": "while True:\n    pass",
    "sleeps": "import time\ntime.sleep(1000)",
    "swallows": "while True:\n    try:\n        1 / 0\n    except BaseException:\n        pass",
    "swallows-in-two-layers": (
        "while True:\n    try:\n        while True:\n            try:\n                len('a')\n"
        "            except BaseException:\n                pass\n    except BaseException:\n        pass"
    ),
    "finally-goes-on": "while True:\n    try:\n        len('a')\n    finally:\n        continue",
    "suppresses": "import contextlib\nwhile True:\n    with contextlib.suppress(BaseException):\n        len('a')",
}


def located(frame):
    return f"mine.py:{frame.f_lineno}" if frame.f_code.co_filename == "mine.py" else ""


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS)
def test_an_endless_loop_ends_and_its_line_is_named(body):
    names = {}
    text = "def f():\n" + "".join(f"    {line}\n" for line in body.splitlines())
    exec(compile(text, "mine.py", "exec"), names)
    says = r"still running at mine\.py:\d+ after 0\.2 s: an endless loop\?"
    with pytest.raises(TookTooLong, match=says), limited(0.2, located, threading.Event()):
        names["f"]()


def test_what_ends_in_time_is_left_alone_and_nothing_stays_behind():
    before = signal.getsignal(signal.SIGALRM), threading.active_count()
    with limited(60.0, located, threading.Event()):
        pass
    assert (signal.getsignal(signal.SIGALRM), threading.active_count()) == before
    assert sys.gettrace() is None


def test_a_debugger_lifts_the_limit():
    lifted = threading.Event()
    with limited(0.2, located, lifted):
        lifted.set()
        time.sleep(0.6)


def test_pytest_fails_the_check_and_goes_on(tmp_path):
    text = with_softmax("while True:\n    pass")
    mine = handed_in(tmp_path, text)
    done = run("-k", "softmax", "--time-limit=0.5", target(mine))
    assert done.returncode == 1
    more = re.search(r"(\d+) more checks say the same", done.stdout)  # one failure a cause
    assert more
    assert int(more[1]) > 10
    loop = text[: text.rindex("while True:")].count("\n") + 1
    place = rf"{mine.name}/attention\.py:({loop}|{loop + 1})"
    assert re.search(rf"still running at {place} after 0\.5 s: an endless loop", done.stdout)
