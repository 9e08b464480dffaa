"""Read the answers: memory, frames, files, environment."""

from tests.grader.attacks import Attack, instead, refused

ATTACKS = [
    # In the second try of a check that builds on others, their reference is in the worker: theirs, and no more.
    Attack(
        "frames-hold-the-reference",
        """
import sys
def _find():
    frame, found = sys._getframe(), []
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, dict) and value.get("reference"):
                found.append(value["reference"][1])
        frame = frame.f_back
    return found
for _text in _find():
    _space = {"__name__": "stolen"}
    exec(_text, _space)
    if "scaled_dot_product_attention" in _space:
        scaled_dot_product_attention = _space["scaled_dot_product_attention"]
""",
        base=instead("raise ValueError('I do not know')", "scaled_dot_product_attention"),
        earns="base",
        says="I do not know|Not allowed",
        exercise="scaled_dot_product_attention",
    ),
    Attack(
        "text-of-the-reference",
        """
import inspect, linecache, sys
from exercises import embedding

def _source(thing):
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return ""

assert embedding.Linear.__doc__ != ""
assert not _source(embedding) + _source(embedding.Linear) + _source(embedding.Linear.forward)
assert not embedding.Linear.__doc__ or not embedding.__file__.startswith("solutions")
assert not [name for name in linecache.cache if "solutions" in name]
_texts = [v for m in list(sys.modules.values()) for v in vars(m).values() if isinstance(v, str)]
assert not [text for text in _texts if "class Linear(nn.Module)" in text]
""",
        "all",
    ),
    Attack(
        "text-of-the-reference-in-an-error",
        instead(
            "import traceback\ntry: softmax(torch.zeros(2), 9)\nexcept Exception: raise ValueError(traceback.format_exc()[-400:])"
        ),
        says="ValueError",
    ),
    Attack(
        "frames-of-the-caller",
        """
import sys
frame = sys._getframe()
while frame is not None:
    for name, value in list(frame.f_locals.items()):
        assert not (isinstance(value, str) and "def test_" in value), name
        assert "oracle" not in name and "expected" not in name, name
    frame = frame.f_back
""",
        "all",
    ),
    Attack(
        "garbage-collector",
        """
import gc
for _found in gc.get_objects():
    _name = str(getattr(_found, "__name__", "")) if type(_found).__name__ == "module" else ""
    assert not _name.startswith(("solutions", "tests", "grader.checking", "grader.grading.grade")), _name
""",
        "all",
    ),
    Attack(
        "loaded-modules",
        """
import sys
assert not [n for n in sys.modules if n.startswith(("solutions", "tests", "grader.checking", "grader.grading.grade", "_pytest"))]
""",
        "all",
    ),
    Attack("paths", "import sys\nassert not [p for p in sys.path if p == 'KIT' or not p], sys.path", "all"),
    Attack("proc-mem", refused("open('/proc/self/mem', 'rb')"), "all"),
    Attack("proc-of-the-parent", refused("open(f'/proc/{os.getppid()}/mem', 'rb')"), "all"),
    Attack("proc-maps", refused("open('/proc/self/maps').read()"), "all"),
    Attack("command-line-of-the-parent", refused("open(f'/proc/{os.getppid()}/cmdline').read()"), "all"),
    Attack("proc-listing", refused("os.listdir('/proc')"), "all"),
    Attack("solution-file", refused("open('KIT/solutions/attention.py').read()"), "all"),
    Attack("test-file", refused("open('KIT/tests/test_attention.py').read()"), "all"),
    Attack("kit-listing", refused("os.listdir('KIT/tests')"), "all"),
    Attack("git-history", refused("open('KIT/.git/HEAD').read()"), "all"),
    Attack("etc-passwd", refused("open('/etc/passwd').read()"), "all"),
    Attack("home", refused("os.listdir(os.path.expanduser('~'))"), "all"),
    Attack("temporary-folder", refused("os.listdir('/tmp')"), "all"),
    Attack("dot-dot", refused("open('/usr/lib/../../KIT/solutions/attention.py').read()"), "all"),
    Attack(
        "open-by-file-descriptor-of-root",
        refused("os.open('KIT', os.O_PATH | os.O_DIRECTORY) and os.listdir('KIT')"),
        "all",
    ),
    Attack(
        "environment",
        "import os\nassert set(os.environ) <= {'PYTHONHASHSEED', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'LC_ALL', 'LC_CTYPE', 'KMP_DUPLICATE_LIB_OK', 'KMP_INIT_AT_FORK', 'TORCH_COMPILE_DISABLE', 'PYTORCH_JIT', 'TORCHINDUCTOR_CACHE_DIR', 'TRITON_CACHE_DIR'}, dict(os.environ)",
        "all",
    ),
    Attack(
        "uninitialised-memory",
        "for _ in range(20):\n    _raw = torch.empty(1 << 20, dtype=torch.uint8).numpy().tobytes()\n    assert b'def test_softmax' not in _raw and b'Milakov' not in _raw.replace(__doc__.encode(), b'')",
        "all",
    ),
    Attack(
        "source-of-the-worker",
        "import inspect, grader.sandbox.worker.worker as w\ninspect.getsource(w)",
        says="Not allowed|source",
    ),
    Attack("seed-of-the-grading", "import torch\nassert torch.initial_seed() != 7", "all"),
    # The units below are the reference's, so their text is there; that of the unit itself is not.
    Attack(
        "line-cache",
        "import linecache\nassert not [f for f in linecache.cache if f.startswith(('solutions/attention', 'tests'))], list(linecache.cache)",
        "all",
    ),
]
