"""What a file defines, what of it is still a stub, and where it stands."""

import pytest

from grader.curriculum.submission import from_bytes


def source(text):
    return from_bytes("exercises/attention.py", text.encode())


STUBS = {
    "as the kit writes it": 'def f():\n    """Say."""\n    raise NotImplementedError("attention.f is still a stub")',
    "without a docstring": "def f():\n    raise NotImplementedError('x')",
    "without a message": "def f():\n    raise NotImplementedError",
    "with another message": "def f(): raise NotImplementedError('later')",
    "a class": "class f:\n    def __init__(self):\n        raise NotImplementedError\n    def g(self):\n"
    "        raise NotImplementedError",
    "defined twice": "def f(): return 1\ndef f(): raise NotImplementedError",
}
NO_STUBS = {
    "a body": "def f():\n    return 1",
    "an empty body": "def f():\n    pass",
    "only a docstring": 'def f():\n    """Say."""',
    "another error": "def f():\n    raise ValueError('x')",
    "work before the error": "def f():\n    x = 1\n    raise NotImplementedError",
    "a branch": "def f(x):\n    if x:\n        raise NotImplementedError",
    "a bare raise": "def f():\n    raise",
    "a class with one method done": "class f:\n    def __init__(self):\n        self.x = 1\n    def g(self):\n"
    "        raise NotImplementedError",
    "a class without methods": "class f:\n    pass",
    "defined twice, done last": "def f(): raise NotImplementedError\ndef f(): return 1",
    "not there": "def g():\n    raise NotImplementedError",
}


@pytest.mark.parametrize("text", STUBS.values(), ids=STUBS)
def test_is_a_stub(text):
    assert source(text).is_stub("f")


@pytest.mark.parametrize("text", NO_STUBS.values(), ids=NO_STUBS)
def test_is_no_stub(text):
    assert not source(text).is_stub("f")


@pytest.mark.parametrize(
    "text",
    [
        "softmax = mine",
        "softmax: object = mine",
        "softmax, other = pair",
        "from .mine import softmax",
        "from .mine import stable as softmax",
        "import softmax",
        "if True:\n    def softmax(): pass",
        "try:\n    import fast\nexcept ImportError:\n    def softmax(): pass",
        "for softmax in (mine,): pass",
    ],
)
def test_other_ways_to_bind_a_name_are_seen(text):
    file = source(text)
    assert "softmax" in file.assigned
    assert "softmax" not in file.definitions


def test_only_names_at_the_top_are_definitions():
    file = source("def f():\n    def g(): pass\nclass C:\n    def h(self): pass\n")
    assert list(file.definitions) == ["f", "C"]
    assert not {"g", "h"} & file.assigned


def test_locate_gives_the_line_of_the_last_definition():
    file = source("\n\ndef f():\n    pass\n\n\n@decorated\ndef f():\n    pass\n")
    assert file.locate("f") == "exercises/attention.py:8"
    assert file.locate("g") == "exercises/attention.py"
