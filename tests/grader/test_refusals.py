"""What graded code may not do is said with advice, in a worker and locally alike; harmless settings cost nothing."""

import pytest
import torch

from grader.checking.target import IsolatedTarget, LocalTarget
from grader.curriculum import load
from grader.curriculum.submission import File, Submission
from grader.sandbox.host.pool import Limits, Pool, supported
from grader.sandbox.worker import refusals
from grader.sandbox.worker.refusals import DEVICES, FILES, PROCESSES

UNIT = load()["attention"]
EXERCISE = UNIT.exercise("softmax")
SOFTMAX = "def softmax(x, dim):\n    return x.exp() / x.exp().sum(dim, keepdim=True)\n"


def submission(code):
    return Submission("ada", {"attention": File("exercises/attention.py", f"{code}\n{SOFTMAX}")})


@pytest.fixture(scope="module")
def pool():
    if not supported():
        pytest.skip("workers need Linux")
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture(params=["here", "in a worker"])
def targets(request):
    """Makes a target of some code, in this process or in a worker."""
    made = []

    def make(code):
        if request.param == "here":
            made.append(LocalTarget(submission(code)))
        else:
            made.append(IsolatedTarget(submission(code), request.getfixturevalue("pool"), Limits(), 0))
        return made[-1]

    yield make
    for target in made:
        target.close()


REFUSED = {
    "a file": ("open('log.txt', 'w')", FILES),
    "a path": ("from pathlib import Path\nPath('log.txt').write_text('x')", FILES),
    "a folder": ("import os\nos.makedirs('runs')", FILES),
    "a log": ("import logging\nlogging.FileHandler('a.log')", FILES),
    "a memory map": ("import numpy as np\nnp.memmap(np.__file__)", FILES),
    "a temporary folder": ("import tempfile\ntempfile.mkdtemp()", FILES),
    "a thread": ("import threading\nthreading.Thread(target=print).start()", PROCESSES),
    "a pool": ("from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(2).submit(print)", PROCESSES),
    "a process": ("import subprocess\nsubprocess.run(['true'])", PROCESSES),
    "a fork": ("import multiprocessing as mp\nmp.get_context('fork').Process(target=print).start()", PROCESSES),
    "the network": ("import socket\nsocket.create_connection(('127.0.0.1', 9), 1)", PROCESSES),
}


@pytest.mark.parametrize(("code", "advice"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_a_python_error_with_advice(targets, code, advice):
    with pytest.raises((OSError, RuntimeError)) as caught:
        targets(code).open(UNIT, EXERCISE)
    assert advice in str(caught.value)


HARMLESS = {
    "threads": "import torch\ntorch.set_num_threads(8)\ntorch.randn(300, 300) @ torch.randn(300, 300)",
    "threads between": "import torch\ntry:\n    torch.set_num_interop_threads(4)\nexcept RuntimeError:\n    pass",
    "determinism": "import torch\ntorch.use_deterministic_algorithms(True)",
    "seeds": "import random, torch\nimport numpy as np\nrandom.seed(0)\nnp.random.seed(0)\ntorch.manual_seed(0)\n"
    "torch.cuda.manual_seed_all(0)\ntorch.backends.cudnn.deterministic = True",
    "reading": "import numpy as np\nnp.memmap(np.__file__, mode='r')\nwith open(np.__file__) as file:\n    file.read()",
}


@pytest.mark.parametrize("code", HARMLESS.values(), ids=HARMLESS)
def test_harmless_settings_cost_nothing(targets, code):
    threads = torch.get_num_threads()
    try:
        module = targets(code).open(UNIT, EXERCISE)
        assert torch.allclose(module.softmax(torch.zeros(2, 4), -1), torch.full((2, 4), 0.25))
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)


def test_a_device_that_is_not_there_is_said_with_advice(pool):
    target = IsolatedTarget(submission("import torch\ntorch.zeros(2).to('cuda')"), pool, Limits(), 0)
    try:
        with pytest.raises(Exception, match="create tensors on the device of the inputs") as caught:
            target.open(UNIT, EXERCISE)
        assert DEVICES in str(caught.value)
    finally:
        target.close()


def test_nobody_elses_files_are_refused(tmp_path):
    target = LocalTarget(submission("written = lambda path: open(path, 'w')"))
    module = target.open(UNIT, EXERCISE)
    (tmp_path / "ours.txt").write_text("x")
    with pytest.raises(PermissionError, match="sandbox"):
        module.written(tmp_path / "theirs.txt")
    target.close()
    module.written(tmp_path / "theirs.txt").close()


def test_an_error_of_the_learners_own_gets_no_advice():
    assert refusals.advice(ValueError("CUDA")) == ""
    assert refusals.advice(RuntimeError("shapes differ")) == ""
    assert refusals.advice(FileNotFoundError(2, "No such file", "x")) == ""
