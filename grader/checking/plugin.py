"""The pytest plugin: one suite, any target, local or behind the boundary; short messages; outcomes for the score."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from grader.curriculum import KINDS, Unit, load

TESTS = Path(__file__).parents[2] / "tests"
FIXTURES = ("unit", "agree", "rand", "count_lines", "folder", "restart")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the kit's own options."""
    group = parser.getgroup("kit", "write your own LLM")
    group.addoption(
        "--target", default="exercises", help="what is tested: exercises (default), solutions, or --target=FOLDER"
    )
    group.addoption("--isolated", action="store_true", help="run the target in confined workers, as grading does")
    group.addoption("--seed", type=int, default=0, help="seed of the checks' random inputs (default 0)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, load a unit alone if -k names it or its exercise, and set hypothesis up before the tests."""
    from grader.checking import settings  # noqa: F401

    gc.disable()  # until all is imported: torch makes many objects and drops none
    config.addinivalue_line("markers", "check(exercise, kind): a check of an exercise, and what it looks at")
    units = [config.option.keyword] if config.option.keyword in load() else _units_with(config.option.keyword)
    if units and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args = [str(TESTS / f"test_{unit}.py") for unit in units]
    config.pluginmanager.register(Checks(config), "kit-checks")


def _units_with(exercise: str) -> list[str]:
    return [unit.name for unit in load().values() if exercise in {found.name for found in unit.exercises}]


class Checks:
    """Runs the checks of one session."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._runner: Any = None
        self._pool: Any = None
        self._verdicts: dict[str, tuple[Any, bool]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Let -k match the exercise's name and the kind; `-k softmax` is the exercise, not log_softmax too."""
        keyword = self.config.option.keyword
        is_exercise = keyword not in load() and bool(_units_with(keyword))
        kept: list[pytest.Item] = []
        others: list[pytest.Item] = []
        for item in items:
            meant = True
            if (found := check_of(item)) is not None:
                _, exercise, kind = found
                item.extra_keyword_matches.update((exercise, kind))
                meant = not is_exercise or exercise == keyword
            (kept if meant else others).append(item)
        if others:
            self.config.hook.pytest_deselected(items=others)
            items[:] = kept

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Spare the garbage collector what stays for ever; refuse a wrong target before the first check."""
        gc.enable()
        gc.freeze()
        if not self.config.option.collectonly and any(check_of(item) for item in session.items):
            self._get_runner()

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a check with the target, and again on the reference's lower parts where it fails."""
        found = check_of(pyfuncitem)
        if found is None:
            return None
        from grader.checking import settings
        from grader.checking.given import CheckId, Given

        unit, exercise, kind = found
        check = CheckId(unit, unit.exercise(exercise), kind, _name(pyfuncitem))
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        settings.seed_search(pyfuncitem.obj, self.config.option.seed, check.name)

        def body(given: Given) -> None:
            pyfuncitem.obj(**arguments | {name: getattr(given, name) for name in FIXTURES if name in arguments})

        outcome, carried = self._get_runner().run(check, body)
        self._verdicts[pyfuncitem.nodeid] = (outcome, carried)
        if outcome.status != "passed" or carried:
            pytest.fail(outcome.message, pytrace=False)
        return True

    def _get_runner(self) -> Any:
        if self._runner is None:
            from grader.checking import target
            from grader.checking.runner import Runner

            option = self.config.option
            try:
                submission = target.resolve(option.target)
            except ValueError as error:
                raise pytest.UsageError(str(error)) from None
            self._runner = Runner(self._make_target(submission), option.seed)
        return self._runner

    def _make_target(self, submission: Any) -> Any:
        from grader.checking import target

        if not self.config.option.isolated:
            return target.LocalTarget(submission)
        from grader.isolation.pool import Limits, Pool, supported

        if not supported():
            raise pytest.UsageError("--isolated needs Linux: see grader doctor")
        self._pool = Pool()
        return target.IsolatedTarget(submission, self._pool, Limits(), self.config.option.seed)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
        """Show the message and nothing else."""
        report: Any = yield
        if call.when == "call" and item.nodeid in self._verdicts:
            outcome, _ = self._verdicts[item.nodeid]
            report.kit_status = outcome.status
            if report.failed:
                report.longrepr = outcome.message
        return report

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, Any] | None:
        """A stub is `todo`: a failure for the exit code, one line on the screen."""
        if report.failed and getattr(report, "kit_status", "") == "todo":
            return "todo", "t", ("TODO", {"yellow": True})
        return None

    def pytest_sessionfinish(self) -> None:
        """Show each cause once: the first check that fails for it, and how many more do."""
        reporter: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or not reporter.stats.get("failed"):
            return
        groups: dict[object, list[Any]] = {}
        for report in reporter.stats["failed"]:
            groups.setdefault(self._cause(report), []).append(report)
        for first, *others in groups.values():
            if others:
                said = "1 more check says" if len(others) == 1 else f"{len(others)} more checks say"
                first.longrepr = f"{first.longrepr}\n  {said} the same."
        reporter.stats["failed"] = [group[0] for group in groups.values()]
        if others := [report for group in groups.values() for report in group[1:]]:
            reporter.stats["more of the same"] = others

    def _cause(self, report: Any) -> object:
        if report.nodeid not in self._verdicts:
            return report
        outcome, _ = self._verdicts[report.nodeid]
        return report.fspath, outcome.cause or outcome.message

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """One line for each exercise that is still a stub."""
        messages = Counter(str(report.longrepr) for report in terminalreporter.stats.get("todo", ()))
        for message, count in messages.items():
            terminalreporter.write_line(f"todo  {message} ({count} {'check' if count == 1 else 'checks'})")

    def pytest_unconfigure(self) -> None:
        """End workers and zygote."""
        if self._runner is not None:
            self._runner.target.close()
        if self._pool is not None:
            self._pool.close()


def check_of(item: pytest.Item) -> tuple[Unit, str, Any] | None:
    """The unit, exercise and kind of a check; None for any other test.

    Raises:
        pytest.UsageError: The marker names what the curriculum does not know.
    """
    marker = item.get_closest_marker("check")
    if marker is None:
        return None
    exercise, kind = marker.args
    unit = load().get(item.path.stem.removeprefix("test_"))
    if unit is None or exercise not in {e.name for e in unit.exercises} or kind not in KINDS:
        raise pytest.UsageError(f"{item.nodeid}: the curriculum knows no check of {marker.args}")
    return unit, exercise, kind


def _name(item: pytest.Item) -> str:
    return item.name.removeprefix("test_")


def _filled_in_by_the_runner() -> None:
    """A name that tests may ask for; `Checks` fills it in anew for every try."""


for _fixture in FIXTURES:
    globals()[f"_{_fixture}"] = pytest.fixture(name=_fixture)(_filled_in_by_the_runner)
