"""Every attack, carried out: it earns no more than its honest code, stops nothing, leaves nothing, and is named."""

import dataclasses
import importlib
import os
import platform
import re
import site
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from grader.checking import suite
from grader.checking.runner import Runner
from grader.checking.target import IsolatedTarget
from grader.curriculum import load
from grader.curriculum.submission import KIT, Submission, from_bytes, read
from grader.grading.grade import grade
from grader.grading.scoring import score_unit
from grader.sandbox.host.client import Session
from grader.sandbox.host.pool import Limits, Pool
from grader.sandbox.worker import confine

FAMILIES = (
    *("ending", "endless", "exhausting", "forging", "bending", "comparing", "reading", "importing", "caching"),
    *("neighbours", "host", "reader", "broken"),
)
ALL = [
    pytest.param(attack, id=f"{family}-{attack.id}")
    for family in FAMILIES
    for attack in importlib.import_module(f"tests.grader.attacks.{family}").ATTACKS
]

pytestmark = [
    pytest.mark.skipif(bool(confine.available()), reason="; ".join(confine.available())),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def pool():
    with_workers = Pool(confined=True)
    yield with_workers
    with_workers.close()


@pytest.fixture(scope="module", autouse=True)
def one_check_of_each_kind():
    """An attack is the same in every check of a kind: one per criterion and kind is graded, so that all stay fast."""
    collect = suite.collect

    @cache
    def some(unit):
        found = {(c.id.exercise.name, c.id.criterion, c.id.kind): c for c in reversed(collect(unit))}
        return tuple(found.values())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite, "collect", some)
        yield


@pytest.fixture(scope="module", autouse=True)
def nothing_is_written():
    yield
    places = {Path(tempfile.gettempdir()), Path.home(), Path.cwd(), KIT, Path("/tmp"), Path("/dev/shm")}
    places |= {Path(folder) for folder in (*site.getsitepackages(), *sys.path) if folder}
    found = [file for place in places if place.is_dir() for file in place.glob("*llm-breach*")]
    assert not found
    assert not (KIT / "results.json").exists()
    assert not (KIT / "junit.xml").exists()


@cache
def solution(unit):
    return (KIT / "solutions" / f"{unit}.py").read_text(encoding="utf-8")


def of(attack, raw):
    return Submission("learner", {attack.unit: from_bytes(f"exercises/{attack.unit}.py", raw)})


def graded(attack, submission, pool, limits=None):
    return grade(submission, units=[attack.unit], only=[attack.exercise], seed=7, pool=pool, limits=limits)


_honest_scores = {}


def honest_score(attack, pool):
    key = (attack.unit, attack.exercise, attack.base)
    if key not in _honest_scores:
        _honest_scores[key] = _score(attack, of(attack, attack.honest_text(solution(attack.unit))), pool)
    return _honest_scores[key]


def _score(attack, submission, pool):
    """The score as a grading has it, without the search for a name of what is wrong: only the points count here."""
    unit, target = load()[attack.unit], IsolatedTarget(submission, pool, Limits(), seed=7)
    checks = [check for check in suite.collect(attack.unit) if check.id.exercise.name == attack.exercise]
    runner = Runner(target, 7, [check.id for check in checks], naming_seconds=0)
    try:
        outcomes = [runner.run(check.id, check.body(7))[0] for check in checks]
    finally:
        target.close()
    return score_unit(unit, {attack.exercise: outcomes}, [attack.exercise]).score


def submitted(attack, tmp_path):
    raw = attack.text(solution(attack.unit)).replace(b"KIT", str(KIT).encode())
    if not attack.files and attack.source is None:
        return of(attack, raw)
    folder = tmp_path / "learner"
    for name, content in {f"exercises/{attack.unit}.py": raw, **attack.files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return read(folder)


@pytest.mark.parametrize("attack", ALL)
def test_attack_gains_nothing_and_is_named(attack, pool, tmp_path):
    if "syscall" in attack.id and platform.machine() != "x86_64":
        pytest.skip("the numbers of the calls are those of x86-64")
    zygote = pool.get()
    results = graded(attack, submitted(attack, tmp_path), pool, Limits(attack.seconds, 3 * attack.seconds))

    messages = "\n".join(check.message for check in results.checks if check.status != "passed")
    full = load()[attack.unit].exercise(attack.exercise).points
    assert results.max_score == full
    if attack.earns == "all":
        assert results.score == full, messages
    elif attack.earns == "nothing":
        assert results.score == 0, [check.check for check in results.checks if check.status == "passed"]
    else:
        assert results.score <= honest_score(attack, pool), messages
    assert {check.status for check in results.checks} <= {"passed", "failed", "todo"}, messages
    assert re.search(attack.says, messages), messages
    assert_harmless(messages)
    assert pool.get() is zygote, "the zygote has died"


def assert_harmless(text):
    strange = {c for c in text if not (c.isprintable() or c == "\n")}
    assert not strange
    assert not re.search(r"::|##\[|##vso", text)
    assert all(len(line) < 1600 for line in text.splitlines())


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbour_of_a_family_gets_full_marks(family, pool, tmp_path):
    attack = importlib.import_module(f"tests.grader.attacks.{family}").ATTACKS[0]
    graded(attack, submitted(attack, tmp_path), pool, Limits(attack.seconds, 3 * attack.seconds))
    neighbour = dataclasses.replace(attack, code="", base="", source=None, files={}, change=bytes)
    assert graded(neighbour, of(neighbour, solution(attack.unit).encode()), pool).score == honest_score(neighbour, pool)


# Submissions as folders


def test_exercises_that_are_a_link_to_the_solutions_are_refused(tmp_path):
    (tmp_path / "learner").mkdir()
    (tmp_path / "learner" / "exercises").symlink_to(KIT / "solutions")
    with pytest.raises(ValueError, match="link"):
        read(tmp_path / "learner")


def test_a_file_that_is_a_link_is_named(tmp_path):
    (tmp_path / "attention.py").symlink_to(KIT / "solutions" / "attention.py")
    assert "not a regular file" in read(tmp_path).file("attention").problem


def test_pipes_and_folders_in_place_of_files_are_named(tmp_path):
    os.mkfifo(tmp_path / "attention.py")
    (tmp_path / "optim.py").mkdir()
    found = read(tmp_path)
    assert "not a regular file" in found.file("attention").problem
    assert "not a regular file" in found.file("optim").problem


def test_strange_file_names_are_passed_over(tmp_path):
    for name in ("a\nb.py", "\x1b[2J.py", "..py", "=cmd.py", "x" * 250 + ".py", "attention.py"):
        (tmp_path / name).write_text("x = 1\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.py")).write_text("x = 1\n")
    found = read(tmp_path)
    assert all(name.isidentifier() for name in found.files)


def test_thousands_of_files_are_refused(tmp_path):
    for number in range(1001):
        (tmp_path / f"m{number}.py").touch()
    with pytest.raises(ValueError, match="files"):
        read(tmp_path)


def test_import_that_never_ends_is_waited_for_twice_and_no_more(pool, monkeypatch):
    loads = []
    load_module = Session.load
    monkeypatch.setattr(Session, "load", lambda session, job: loads.append(job.module) or load_module(session, job))
    file = from_bytes("exercises/attention.py", b"def softmax(scores, dim): pass\n\n\nwhile True: pass\n")
    limits = Limits(call_seconds=1.0, total_seconds=2.0)
    results = grade(Submission("endless", {"attention": file}), units=["attention"], pool=pool, limits=limits)
    assert (results.score, len(loads)) == (0, 2)
    softmax = results.units[0].exercises[0]
    assert all("did not answer within 1 s: an endless loop?" in check.message for check in softmax.checks)
