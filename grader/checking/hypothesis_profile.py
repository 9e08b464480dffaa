"""Hypothesis, set up for learners: repeatable, quick to fail, silent about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase

from grader.checking.seeding import derive

hypothesis.settings.register_profile(
    "kit",
    max_examples=20,
    deadline=None,  # a slow machine is no mistake
    database=None,
    print_blob=False,
    report_multiple_bugs=False,
    # Without the explain phase, which takes ten times as long as the search itself.
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
hypothesis.settings.load_profile("kit")


def seed_search(test: Callable[..., Any], seed: int, name: str) -> None:
    """Have the search of a property test begin from the grading's seed."""
    if hasattr(test, "hypothesis"):
        hypothesis.seed(derive(seed, name))(test)


_TRIES = 20


class _Enough(BaseException):
    """A failure that is small enough; no `Exception`, so that the search ends."""


@contextmanager
def shrinking_briefly(test: Callable[..., Any]) -> Iterator[None]:
    """Bound the search for a smaller example: in a grading, it would take longer than all that passes.

    Args:
        test: A test; it is left as it is where it is not a property test.
    """
    if not hasattr(test, "hypothesis"):
        yield
        return
    inner, tries = test.hypothesis.inner_test, 0

    @wraps(inner)
    def counted(*args: Any, **kwargs: Any) -> None:
        nonlocal tries
        tries += tries > 0
        try:
            inner(*args, **kwargs)
        except hypothesis.errors.HypothesisException:  # the example was not suitable
            raise
        except Exception as error:
            tries = max(tries, 1)
            if tries > _TRIES:
                raise _Enough from error
            raise

    test.hypothesis.inner_test = counted
    try:
        yield
    except _Enough as found:
        error = found.__cause__
        assert error is not None
        raise error from error.__cause__
    finally:
        test.hypothesis.inner_test = inner
