"""The pytest plugin: one suite, any target, local or behind the boundary; short messages; outcomes for the score."""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grader.curriculum import KINDS, Unit, load
from grader.curriculum.suggest import did_you_mean, exercises_and_units

TESTS = Path(__file__).parents[2] / "tests"


@dataclass(frozen=True)
class Said:
    """A failure as pytest shows it: whole once, and its first line in the summary, where CI=true too.

    Args:
        text: The message.
    """

    text: str

    @property
    def reprcrash(self) -> SimpleNamespace:
        """What pytest's summary shows."""
        return SimpleNamespace(message=self.text.partition("\n")[0])

    def toterminal(self, writer: Any) -> None:
        """Write the message, as pytest asks for it."""
        writer.line(self.text)

    def __str__(self) -> str:
        return self.text


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the kit's own options."""
    group = parser.getgroup("kit", "write your own LLM")
    group.addoption(
        "--target", default="exercises", help="what to test: exercises (default), solutions, or --target=FOLDER"
    )
    group.addoption("--isolated", action="store_true", help="run the target in confined workers, as grading does")
    group.addoption(
        "--time-limit",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="time limit of one check, in seconds (default 60; 0: none); a debugger lifts it",
    )
    group.addoption("--seed", type=int, default=0, help="seed of the checks' random inputs (default 0)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, load a unit alone if -k names it or its exercise, and set hypothesis up before the tests."""
    from grader.checking import hypothesis_profile  # noqa: F401

    gc.disable()  # until all is imported: torch makes many objects and drops none
    config.addinivalue_line("markers", "check(exercise, kind, criterion): a check of an exercise")
    if _takes_all_tests(config):
        units = [config.option.keyword] if config.option.keyword in load() else _units_with(config.option.keyword)
        config.args = [str(TESTS / f"test_{unit}.py") for unit in units or load()]
    config.pluginmanager.register(Checks(config), "kit-checks")


def _takes_all_tests(config: pytest.Config) -> bool:
    """Whether no path was given, in the kit's folder or in one of its folders that holds no tests of its own."""
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        return True
    here = config.invocation_params.dir
    inside = here.is_relative_to(TESTS.parent) and not here.is_relative_to(TESTS / "grader")
    return inside and config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR


def _units_with(exercise: str) -> list[str]:
    """The units that have this exercise, given as `softmax` or `attention.softmax`."""
    unit_name, _, name = exercise.rpartition(".")
    found = [unit for unit in load().values() if name in {known.name for known in unit.exercises}]
    return [unit.name for unit in found if unit_name in ("", unit.name)]


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
                unit, exercise, kind, _ = found
                item.extra_keyword_matches.update((exercise, kind, f"{unit.name}.{exercise}"))
                meant = not is_exercise or keyword in (exercise, f"{unit.name}.{exercise}")
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
        from grader.checking import hypothesis_profile
        from grader.checking.context import CheckContext, CheckId
        from grader.checking.undisturbed import undisturbed_check

        unit, exercise, kind, criterion = found
        check = CheckId(unit, unit.exercise(exercise), kind, _name(pyfuncitem), criterion)
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        hypothesis_profile.seed_search(pyfuncitem.obj, self.config.option.seed, check.name)

        def body(context: CheckContext) -> None:
            with undisturbed_check(pyfuncitem.obj):
                pyfuncitem.obj(**arguments | {name: getattr(context, name) for name in FIXTURES if name in arguments})

        outcome, carried = self._get_runner().run(check, body)
        self._verdicts[pyfuncitem.nodeid] = (outcome, carried)
        if outcome.status != "passed" or carried:
            pytest.fail(outcome.message, pytrace=False)
        return True

    def pytest_enter_pdb(self) -> None:
        """At a breakpoint, a learner has all the time."""
        if self._runner is not None and not self._runner.target.isolated:
            self._runner.target.debugging.set()

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
            return target.LocalTarget(submission, seconds=self.config.option.time_limit)
        from grader.sandbox.host.pool import Limits, Pool, supported

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
                report.longrepr = Said(outcome.message)
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
                first.longrepr = Said(f"{first.longrepr}\n  {said} the same.")
        reporter.stats["failed"] = [group[0] for group in groups.values()]
        if others := [report for group in groups.values() for report in group[1:]]:
            reporter.stats["more of the same"] = others

    def _cause(self, report: Any) -> object:
        if report.nodeid not in self._verdicts:
            return report
        outcome, _ = self._verdicts[report.nodeid]
        return report.fspath, outcome.cause or outcome.message

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        """One line for each exercise that is still a stub; if no test was selected, what could have been meant."""
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            terminalreporter.write_line(self._what_could_be_meant(), yellow=True)
        messages = Counter(str(report.longrepr) for report in terminalreporter.stats.get("todo", ()))
        for message, count in messages.items():
            terminalreporter.write_line(f"todo  {message} ({count} {'check' if count == 1 else 'checks'})")

    def _what_could_be_meant(self) -> str:
        option = self.config.option
        if not option.keyword:
            return f"There are no tests in {', '.join(self.config.args)}. For the tests of a unit: pytest -k attention"
        words = [word for word in re.findall(r"[\w.]+", option.keyword) if word not in ("and", "or", "not")]
        known = {word: [*exercises_and_units(word), *KINDS] for word in words}
        unknown = [word for word in words if not any(word.lower() in name.lower() for name in known[word])]
        meant = [did_you_mean(word, known[word]) for word in unknown]
        return f"-k {option.keyword!r} matches no test. " + (
            " ".join(filter(None, meant)) or "Give a unit, an exercise, or part of a test's name: see README.md."
        )

    def pytest_unconfigure(self) -> None:
        """End workers and zygote."""
        if self._runner is not None:
            self._runner.target.close()
        if self._pool is not None:
            self._pool.close()


def check_of(item: pytest.Item) -> tuple[Unit, str, Any, str] | None:
    """The unit, exercise, kind and criterion of a check; None for any other test.

    Raises:
        pytest.UsageError: The marker names what the curriculum does not know.
    """
    marker = item.get_closest_marker("check")
    if marker is None:
        return None
    exercise, kind, *named = marker.args
    unit = load().get(item.path.stem.removeprefix("test_"))
    if unit is None or exercise not in {e.name for e in unit.exercises} or kind not in KINDS:
        raise pytest.UsageError(f"{item.nodeid}: the curriculum has no check of {marker.args}")
    try:
        return unit, exercise, kind, unit.exercise(exercise).criterion_of(kind, *named)
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from None


def _name(item: pytest.Item) -> str:
    return item.name.removeprefix("test_")


# What a check may ask for. `Checks` fills each name in anew for every try; the fixtures only say what there is.


@pytest.fixture
def unit() -> None:
    """The module under test: `unit.softmax(scores, -1)`. Most checks ask through `agree`, which names mistakes."""


@pytest.fixture
def agree() -> None:
    """Puts a question to the learner's code and to the reference, and fails where the answers differ.

    `agree("softmax", scores, -1)`, `agree.module(...)`, `agree.on(what, question)`, `agree.raises(what, question,
    error)` and `agree.unchanged(what, build, look, question, error)`: see `grader.checking.agreement.Agreement`.
    """


@pytest.fixture
def rand() -> None:
    """Random tensors that the seed brings back: `rand(2, 3)`, `rand.integers(0, 9, 4)`, `rand.booleans(5)`."""


@pytest.fixture
def measure() -> None:
    """What a piece of work costs: `measure(lambda: unit.f(x))` has `.lines`, `.largest`, `.saved`, `.memory`, `.drew`.

    `measure(work, generator=generator).drew` is the set of generators that the work drew from, as `{"generator"}`.
    Measure one call at a time: across the boundary, `saved` and `memory` are those of the most expensive call.
    """


@pytest.fixture
def overwrite() -> None:
    """`overwrite(value)` fills the tensors and arrays of a result with garbage, in the memory of the learner's code.

    What the learner's code answers afterwards must be as right as before: it shares no memory with what it gave away.
    """


@pytest.fixture
def folder() -> None:
    """A new folder for files of the check, which the learner's code may read."""


@pytest.fixture
def restart() -> None:
    """`restart()` kills what runs the learner's code and gives its module anew, as after a crash."""


@pytest.fixture
def cpu_time() -> None:
    """`cpu_time(work)`: seconds of processor time, as the kernel counts them. Compare two sizes, with a wide margin."""


@pytest.fixture
def once() -> None:
    """`once(name, make)` makes a value that several checks of the unit share, as a model that takes long to train."""


FIXTURES = ("unit", "agree", "rand", "measure", "overwrite", "folder", "restart", "once", "cpu_time")
