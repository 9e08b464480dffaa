"""The suite: every check of a unit as pytest collects it, ready to be run any number of times without pytest.

A learner's `pytest` and a grading run the same functions through the same runner; a grading collects them once.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from grader import BrokenSuite
from grader.checking import hypothesis_profile, plugin
from grader.checking.context import CheckContext, CheckId
from grader.checking.undisturbed import undisturbed_check
from grader.curriculum import load

KIT = Path(__file__).parents[2]


@dataclass(frozen=True)
class SuiteCheck:
    """A test of the kit.

    Args:
        id: Which check it is.
        test: The function.
        arguments: What it is parametrised with.
        fixtures: What else it asks for.
    """

    id: CheckId
    test: Callable[..., None]
    arguments: Mapping[str, Any]
    fixtures: tuple[str, ...]

    def body(self, seed: int) -> Callable[[CheckContext], None]:
        """The test as a runner wants it, with its search begun from this seed."""
        hypothesis_profile.seed_search(self.test, seed, self.id.name)

        def body(context: CheckContext) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a warning costs a learner nothing; pytest shows them
                with undisturbed_check(self.test), hypothesis_profile.shrinking_briefly(self.test):
                    self.test(**self.arguments, **{name: getattr(context, name) for name in self.fixtures})

        return body


@cache
def collect(unit: str) -> tuple[SuiteCheck, ...]:
    """All checks of a unit, exercise by exercise, in the order of the curriculum and of the file.

    An exercise's shortcut checks come first: what they find fails the others, too. Then come those of its first
    criterion, without which it earns nothing.

    Raises:
        BrokenSuite: The test file is missing or does not import.
    """
    found = _Collector()
    file = KIT / "tests" / f"test_{unit}.py"
    arguments = [str(file), "--collect-only", "-qq", "-c", str(KIT / "pyproject.toml"), "-p", "no:cacheprovider"]
    said = io.StringIO()
    with _without("PYTEST_ADDOPTS", "PYTEST_PLUGINS"), contextlib.redirect_stdout(said):
        code = pytest.main(arguments, plugins=[found])
    if code != pytest.ExitCode.OK:
        raise BrokenSuite(f"the tests of {unit} cannot be collected ({code!r}):\n{said.getvalue()[-2000:]}")
    order = [exercise.name for exercise in load()[unit].exercises]

    def place(check: SuiteCheck) -> tuple[int, bool, bool]:
        return order.index(check.id.exercise.name), check.id.kind != "shortcut", not check.id.is_main

    return tuple(sorted(found.checks, key=place))


class _Collector:
    def __init__(self) -> None:
        self.checks: list[SuiteCheck] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        for item in items:
            found = plugin.check_of(item)
            if found is None:
                continue
            unit, exercise, kind, criterion = found
            params = dict(item.callspec.params) if hasattr(item, "callspec") else {}
            fixtures = tuple(name for name in item._fixtureinfo.argnames if name not in params)
            if unknown := set(fixtures) - set(plugin.FIXTURES):
                raise pytest.UsageError(f"{item.nodeid}: a check may not ask for {sorted(unknown)}")
            id = CheckId(unit, unit.exercise(exercise), kind, item.name.removeprefix("test_"), criterion)
            self.checks.append(SuiteCheck(id, item.obj, params, fixtures))


@contextlib.contextmanager
def _without(*names: str) -> Any:
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
