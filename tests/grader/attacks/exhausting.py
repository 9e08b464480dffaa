"""Exhaust memory, processes, disk or patience, of the worker or of the grader."""

from tests.grader.attacks import FRAME, Attack, first, instead, refused

NO_ANSWER = "your code sent an invalid reply"

ATTACKS = [
    Attack("tensor-of-30-gb", instead("return torch.zeros(30 << 27, dtype=torch.float64)"), says="allocate"),
    Attack("bytearray-of-30-gb", instead("return bytearray(30 << 30)"), says="MemoryError|RuntimeError"),
    Attack("shared-mapping", refused("import mmap; mmap.mmap(-1, 30 << 30)"), "all"),
    Attack(
        "memory-in-small-pieces",
        "_kept = []\n" + instead("while True: _kept.append(bytes(1 << 22))"),
        says="MemoryError|RuntimeError",
    ),
    Attack("recursion", instead("return causal_mask(*args)"), says="RecursionError"),
    Attack(
        "deep-recursion",
        "import sys; sys.setrecursionlimit(10**9)\n" + instead("return causal_mask(*args)"),
        says="SIGSEGV|RecursionError|MemoryError|RuntimeError|ended",
    ),
    Attack("fork", refused("os.fork()"), "all"),
    Attack("vfork-and-exec", refused("import subprocess; subprocess.Popen(['/bin/true'])"), "all"),
    Attack(
        "thread", refused("import threading; threading.Thread(target=print).start()", "RuntimeError, OSError"), "all"
    ),
    Attack("process-pool", refused("import multiprocessing; multiprocessing.Process(target=print).start()"), "all"),
    Attack(
        "many-threads-in-torch",
        "torch.set_num_threads(8)\n" + first("torch.ones(2000, 2000).sum()"),
        "base",
        says="|thread|ended",
    ),
    Attack("descriptors", refused("for _ in range(1000): os.dup(0)"), "all"),
    Attack("disk", refused("open('/tmp/llm-breach', 'wb').write(bytes(1 << 20))"), "all"),
    Attack("anonymous-file", refused("os.memfd_create('llm-breach')"), "all"),
    Attack("output-flood", first("print('x' * (1 << 20))"), "all"),
    Attack(
        "stderr-flood",
        "import sys\n"
        + first("sys.stderr.write('x' * (1 << 20)); os_write = __import__('os').write(2, b'x' * (1 << 20))"),
        "all",
    ),
    Attack("warnings-flood", first("import warnings\nfor i in range(100): warnings.warn('mind %d' % i)"), "all"),
    Attack("giant-message", instead("raise ValueError('x' * (1 << 26))"), says=r"x{100}"),
    Attack(
        "giant-class-name",
        "Long = type('L' * (1 << 22), (Exception,), {})\n" + instead("raise Long('far too long')"),
        says="far too long",
    ),
    Attack("reply-of-256-mb", instead("return torch.zeros(1 << 25, dtype=torch.float64)"), says="too large to cross"),
    Attack(
        "list-of-empty-lists",
        instead("return [[] for _ in range(3_000_000)]"),
        says=f"too large|too many parts|{NO_ANSWER}|did not answer",
        seconds=1.0,
    ),
    Attack(
        "brackets",
        FRAME + instead("_say(_frame(b'{\"v\":[' + b'{},' * 9_000_000 + b'0]}')); time.sleep(9)"),
        says="too many parts",
    ),
    Attack(
        "claimed-length",
        FRAME + instead("_say(_frame({'id': 2}, claim=1 << 60)); time.sleep(9)"),
        says="larger than the limits",
    ),
    Attack(
        "module-of-millions-of-parts",
        FRAME
        + instead(
            "names = [f'{i}' + '.a' * 90 for i in range(20_000)]\n"
            "tensor = {'!': 'tensor', 'dtype': 'float32', 'shape': [0]}\n"
            "state = [[name, 'buffer', 0, tensor] for name in names]\n"
            "module = {'!': 'object', 'id': 1, 'kind': 'module', 'type': 'M', 'training': True, 'state': state}\n"
            "_say(_frame({'id': 2, 'op': 'result', 'value': module, 'changed': [], 'grads': [], 'lines': 0})); time.sleep(9)"
        ),
        says="malformed module|parameters and buffers|too many parts",
    ),
    Attack("empty-tensor-of-huge-axes", instead("return torch.empty(1 << 31, 0, 2, dtype=torch.bool)"), says=NO_ANSWER),
    Attack(
        "keys-of-one-hash",
        instead("return {k * ((1 << 61) - 1): 0 for k in range(1 << 4, 8_000)}", "count_pairs"),
        says="count_pairs|invalid reply|did not answer",
        unit="tokenizer",
        exercise="count_pairs",
        seconds=4.0,
    ),
    Attack("integer-of-a-million-digits", instead("return 10 ** 1_000_000"), says="cannot cross"),
    Attack("value-that-holds-itself", instead("box = []; box.append(box); return box"), says="nested"),
    Attack(
        "dict-that-never-ends",
        "class Endless(dict):\n    def items(self):\n        while True: yield (0, 0)\n"
        + instead("return Endless(a=1)"),
        says="causal_mask",
    ),
    Attack(
        "answers-that-broadcast-into-each-other",
        "_turn = []\n"
        + instead(
            "_turn.append(1); n = 1 << 15\nreturn torch.zeros((n, 1) if len(_turn) % 2 else (1, n), dtype=torch.float64)",
            "softmax",
        ),
        "nothing",
        exercise="softmax",
    ),
    Attack(
        "endless-iterator-of-long-texts",
        "def stream_pretokens(*args, **kwargs):\n    while True: yield 'a' * (20 << 20)",
        says="never ends|did not answer",
        unit="tokenizer",
        exercise="stream_pretokens",
        seconds=1.5,
    ),
]
