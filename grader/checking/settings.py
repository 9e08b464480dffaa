"""Hypothesis, set up for learners: repeatable, quick to fail, silent about itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase

from grader.checking.randomness import derive

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
