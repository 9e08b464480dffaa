"""What the grader's own tests share: one zygote, and warnings that are errors."""

from pathlib import Path

import pytest

from grader.sandbox.host.pool import Pool, supported

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Warnings are errors in the grader's own tests, and nowhere else: a learner's warning costs nothing."""
    for item in items:
        if HERE in item.path.parents:
            # In front: what a test says about a warning of its own comes later and wins.
            item.add_marker(pytest.mark.filterwarnings("error"), append=False)


@pytest.fixture(scope="session")
def pool():
    """Workers, as confined as this machine can have them; the zygote costs seconds and is started once."""
    if not supported():
        pytest.skip("there are no workers on this machine")
    workers = Pool()
    yield workers
    workers.close()
