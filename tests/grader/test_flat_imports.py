"""However a learner's modules import each other, it is the same module: in this process and behind the boundary."""

import sys

import pytest

from grader.checking.target import IsolatedTarget, LocalTarget
from grader.curriculum import load
from grader.curriculum.submission import Submission, from_bytes
from grader.sandbox.host.pool import Limits, Pool, supported

WAYS = {
    "relative": "from .embedding import Linear",
    "flat": "from embedding import Linear",
    "flat, renamed": "from embedding import Linear as L\nLinear = L",
    "flat, the module": "import embedding\nLinear = embedding.Linear",
    "flat, the module renamed": "import embedding as e\nLinear = e.Linear",
    "by the package": "from exercises.embedding import Linear",
    "the package": "import exercises.embedding\nLinear = exercises.embedding.Linear",
    "from the package": "from exercises import embedding\nLinear = embedding.Linear",
    "everything": "from embedding import *",
    "flat, if not": "try:\n  from .nowhere import Linear\nexcept ImportError:\n  from embedding import Linear",
    "relative, if not": "try:\n  from nowhere import Linear\nexcept ImportError:\n  from .embedding import Linear",
    "by a call": "Linear = __import__('embedding', globals(), fromlist=['Linear'], level=0).Linear",
    "a helper": "from helpers import Linear",
    "a helper, relative": "from .helpers import Linear",
}
EMBEDDING = "class Linear:\n    seen = []\n"
UNIT = load()["attention"]
EXERCISE = UNIT.exercise("softmax")


def submission(way, **more):
    """A softmax that says whether it has the very class that the unit embedding defines."""
    attention = f"{way}\nimport {{0}}embedding as there\n".format("exercises.") + (
        "def softmax(x, dim):\n    from embedding import Linear as inside\n"
        "    return Linear is there.Linear is inside\n"
    )
    files = {"attention": attention, "embedding": EMBEDDING, "helpers": "from embedding import Linear", **more}
    return Submission("ada", {name: from_bytes(f"{name}.py", text.encode()) for name, text in files.items()})


@pytest.fixture(scope="module")
def pool():
    if not supported():
        pytest.skip("workers need Linux")
    pool = Pool()
    yield pool
    pool.close()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_to_import_works_here(way):
    target = LocalTarget(submission(way))
    try:
        assert target.open(UNIT, EXERCISE).softmax(0, 0) is True
        assert "embedding" not in sys.modules
    finally:
        target.close()


def test_every_way_to_import_works_behind_the_boundary(pool):
    ways = "\n".join(WAYS.values())
    for way in (ways, WAYS["flat"], WAYS["flat, the module"]):
        target = IsolatedTarget(submission(way), pool, Limits(), 0)
        try:
            assert target.open(UNIT, EXERCISE).softmax(0, 0) is True
        finally:
            target.close()


@pytest.mark.parametrize("name", ["random", "numpy"])
def test_a_helper_does_not_hide_what_is_installed(name):
    way = f"from embedding import Linear\nimport {name}\nassert not hasattr({name}, 'mine')"
    target = LocalTarget(submission(way, **{name: "mine = 1\n"}))
    try:
        assert target.open(UNIT, EXERCISE).softmax(0, 0) is True
    finally:
        target.close()


def test_a_unit_comes_before_an_installed_package_and_only_for_the_learner(tmp_path, monkeypatch):
    (tmp_path / "embedding.py").write_text("installed = True\n")
    (tmp_path / "library_that_imports.py").write_text("import embedding\nassert embedding.installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    target = LocalTarget(submission("from embedding import Linear\nimport library_that_imports"))
    try:
        assert target.open(UNIT, EXERCISE).softmax(0, 0) is True
    finally:
        target.close()
        sys.modules.pop("embedding", None)
        sys.modules.pop("library_that_imports", None)


def test_the_solutions_are_no_module_of_a_submission(pool):
    target = IsolatedTarget(submission("from solutions.embedding import Linear"), pool, Limits(), 0)
    try:
        with pytest.raises(Exception, match="solutions"):
            target.open(UNIT, EXERCISE)
    finally:
        target.close()
