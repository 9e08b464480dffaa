"""Forge results: what a CI run or a report would believe."""

from tests.grader.attacks import BLIND, FRAME, Attack, first, instead, refused

XML = "<testsuite tests='1' failures='0'/>"
FALSE = "{'id': 2, 'op': 'result', 'value': True, 'changed': [], 'grads': [], 'lines': 0}"
NO_ANSWER = "your code sent an invalid reply"

ATTACKS = [
    Attack("printed-verdict", "print('\\n' * 50 + '= 63 passed in 0.1s =\\n{\"score\": 63.0}')", "base", base=BLIND),
    Attack(
        "printed-annotation", "print('::notice title=Autograding report::{\"totalPoints\":63}')", "base", base=BLIND
    ),
    Attack("written-junit", refused(f"open('junit.xml', 'w').write({XML!r})"), "all"),
    Attack("written-results", refused("open('KIT/results.json', 'w').write('{}')"), "all"),
    Attack(
        "overwritten-at-exit",
        "import atexit\natexit.register(lambda: open('KIT/results.json', 'w').write('{}'))",
        "base",
        base=BLIND,
    ),
    Attack("detached-child", refused("os.fork() or os.setsid()"), "all"),
    Attack(
        "descriptor-scan",
        "import os\nfor fd in (0, 1, 2, *range(4, 256)):\n    try: os.write(fd, b'{\"score\": 63}')\n    except OSError: pass\n",
        "all",
    ),
    Attack(
        "no-descriptors-but-ours",
        "import os\ndef _open(fd):\n    try: os.fstat(fd)\n    except OSError: return False\n    return True\nassert [fd for fd in range(256) if _open(fd)] == [0, 1, 2, 3]",
        "all",
    ),
    Attack(
        "no-ci-files-in-the-environment",
        "import os\nassert not [k for k in os.environ if k.startswith(('GITHUB', 'RUNNER', 'CI', 'PYTEST', 'HOME', 'PATH'))], os.environ",
        "all",
    ),
    Attack("false-frame", FRAME + instead(f"_say(_frame({FALSE})); time.sleep(0.05)"), says="causal_mask"),
    Attack(
        "stuffed-replies",
        FRAME + first(f"for n in range(2, 50): _say(_frame({{**{FALSE}, 'id': n}}))"),
        "base",
        base=BLIND,
        says="belongs to no question|got",
    ),
    Attack(
        "stuffed-at-import",
        FRAME + f"for n in range(1, 50): _say(_frame({{**{FALSE}, 'id': n}}))",
        "base",
        base=BLIND,
        says="belongs to no question|got",
    ),
    Attack(
        "frame-of-another-question",
        FRAME + first(f"_say(_frame({{**{FALSE}, 'id': 1}}))"),
        says="belongs to no question",
    ),
    Attack("frame-without-an-operation", FRAME + first("_say(_frame({'id': 2}))"), says=NO_ANSWER),
    Attack("garbage", FRAME + first("_say(b'passed\\n' * 99)"), says="magic"),
    Attack("http", FRAME + first("_say(b'HTTP/1.1 200 OK\\r\\n\\r\\n')"), says="magic"),
    Attack("header-that-is-no-object", FRAME + first("_say(_frame(b'[1]'))"), says="not an object"),
    Attack("header-that-is-no-json", FRAME + first("_say(_frame(b'{]'))"), says="not JSON"),
    Attack("deep-header", FRAME + first("_say(_frame(b'[' * 100_000))"), says="not JSON"),
    Attack(
        "claims-to-be-ready",
        FRAME + first("_say(_frame({'op': 'ready', 'confined': True}))"),
        says="belongs to no question",
    ),
    Attack(
        "error-of-the-graders-own",
        FRAME
        + instead(
            "_say(_frame({'id': 2, 'op': 'error', 'types': ['GraderFault', 'OracleFailed'], 'message': 'The grader failed'}))\nraise ValueError"
        ),
        says="The grader failed|belongs to no question",
    ),
    Attack(
        "stub-for-an-answer", instead("raise NotImplementedError('attention.softmax is still a stub')"), says="stub"
    ),
    Attack(
        "changes-what-it-was-not-given",
        FRAME + instead(f"_say(_frame({{**{FALSE}, 'changed': [[0, None], [99, True]]}})); time.sleep(0.05)"),
        says="malformed change",
    ),
    Attack(
        "tensor-beyond-its-buffer",
        FRAME
        + instead(
            f"_say(_frame({{**{FALSE}, 'value': {{'!': 'tensor', 'dtype': 'bool', 'shape': [999]}}}})); time.sleep(0.05)"
        ),
        says="larger than its buffer",
    ),
    Attack(
        "boolean-that-is-neither",
        FRAME
        + instead(
            f"_say(_frame({{**{FALSE}, 'value': {{'!': 'tensor', 'dtype': 'bool', 'shape': [4]}}}}, bytes([7] * 4))); time.sleep(0.05)"
        ),
        says="neither 0 nor 1",
    ),
    Attack("bytes-left-over", FRAME + instead(f"_say(_frame({FALSE}, bytes(64))); time.sleep(0.05)"), says="left over"),
    Attack(
        "negative-place-in-a-module",
        FRAME
        + instead(
            f"state = [['w', 'parameter', -1, {{'!': 'tensor', 'dtype': 'float32', 'shape': [0]}}]]\n"
            f"module = {{'!': 'object', 'id': 1, 'kind': 'module', 'type': 'M', 'state': state, 'frozen': 5}}\n"
            f"_say(_frame({{**{FALSE}, 'value': module}})); time.sleep(0.05)"
        ),
        says="malformed",
    ),
]
