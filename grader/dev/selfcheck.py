"""Selfcheck: prove the kit. Stubs are todo, solutions pass, known mistakes fail by name, alternatives pass."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from grader.checking import mistakes, suite
from grader.checking.oracle import load_solution, solution_sources
from grader.checking.runner import Runner
from grader.checking.target import LocalTarget
from grader.checking.variants import Alternative, Mistake
from grader.curriculum import Exercise, Unit, load, stubs
from grader.curriculum.outcome import Outcome, Status
from grader.curriculum.submission import File, Submission, from_bytes
from grader.dev import Depth, costs

SECTIONS = ("Args:", "Returns:", "Pitfalls:", "Source:")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        unit: The unit.
        what: What was looked at, as `mistake no-scaling`.
        problem: What is wrong; empty where nothing is.
        cost: What a known mistake cost; None for everything else.
    """

    unit: str
    what: str
    problem: str = ""
    cost: costs.Cost | None = None


@dataclass(frozen=True)
class _Part:
    """The work of one process at a time.

    Args:
        unit: The unit.
        seed: Of the checks' random inputs.
        depth: How closely known mistakes are looked at.
        exercise: The exercise whose known mistakes are looked at, since they are asked the same questions. None: the
            unit without mistakes and alternatives.
        alternatives: Look at the unit's alternatives instead.
    """

    unit: str
    seed: int
    depth: Depth
    exercise: str | None = None
    alternatives: bool = False


def selfcheck(units: Sequence[str] | None = None, seed: int = 0, depth: Depth = "costs") -> Iterator[Finding]:
    """Yield one finding for each promise of the kit. Uses one process per core.

    Args:
        units: Which units; None: all.
        seed: Of the checks' random inputs.
        depth: How closely to look at known mistakes: whether each fails one of the checks that it is recorded to
            fail; whether it is also named; whether it also costs the criteria that are recorded.
    """
    parts = [part for name in load() if units is None or name in units for part in _parts(name, seed, depth)]
    # Spawned, since torch may have started threads, which a fork does not take along.
    pool = ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn"))
    try:
        for findings in pool.map(_look, parts):
            yield from findings
    finally:
        pool.shutdown(cancel_futures=True)


def _parts(name: str, seed: int, depth: Depth) -> Iterator[_Part]:
    yield _Part(name, seed, depth)
    if load()[name].whole:
        return
    for exercise in dict.fromkeys(mistake.exercise for mistake in mistakes.known_mistakes(name)):
        yield _Part(name, seed, depth, exercise)
    yield _Part(name, seed, depth, alternatives=True)


def _look(part: _Part) -> list[Finding]:
    unit = load()[part.unit]
    if unit.whole:
        return list(_whole(unit, part.seed))
    if part.exercise is not None:
        known = [mistake for mistake in mistakes.known_mistakes(unit.name) if mistake.exercise == part.exercise]
        return [_mistake(unit, mistake, part.seed, part.depth) for mistake in known]
    if part.alternatives:
        return [
            Finding(unit.name, f"alternative {alternative.name}", _alternative(unit, alternative, part.seed))
            for alternative in mistakes.known_alternatives(unit.name)
        ]
    return [*_curriculum(unit), *_stub(unit, part.seed), *_solution(unit, part.seed)]


def variant(unit: Unit, source: str) -> Submission:
    """The reference as a submission, with this source for one unit."""
    files = {name: File(s.path, s.text) for name, s in solution_sources().items()}
    return Submission("variant", files | {unit.name: from_bytes(f"exercises/{unit.name}.py", source.encode())})


def _run(unit: Unit, submission: Submission, exercise: str | None, seed: int) -> Iterator[Outcome]:
    runner = Runner(LocalTarget(submission), seed)
    try:
        for check in suite.collect(unit.name):
            if exercise is None or check.id.exercise.name == exercise:
                outcome, carried = runner.run(check.id, check.body(seed))
                yield replace(outcome, status="failed") if carried else outcome
    finally:
        runner.target.close()


def _whole(unit: Unit, seed: int) -> Iterator[Finding]:
    names = {f"{other.name}.{e.name}" for other in load().values() for e in other.exercises}
    for exercise in unit.exercises:
        kinds = {check.id.kind for check in suite.collect(unit.name) if check.id.exercise.name == exercise.name}
        unknown = sorted(set(exercise.needs) - names)
        yield Finding(unit.name, f"part {exercise.name} needs what there is", f"unknown: {unknown}" if unknown else "")
        fits = kinds == exercise.kinds and all(exercise.hints)
        yield Finding(unit.name, f"part {exercise.name} is whole", "" if fits else f"its checks are {sorted(kinds)}")
        for problem in _rubric_problems(exercise):
            yield Finding(unit.name, f"part {exercise.name}", problem)
    solutions = Submission("solutions", {name: File(s.path, s.text) for name, s in solution_sources().items()})
    stubbed = {u.name: stubs.make(u, solution_sources()[u.name].text) for u in load().values() if not u.whole}
    files = {name: from_bytes(f"exercises/{name}.py", text.encode()) for name, text in stubbed.items()}
    yield from _passes(unit, solutions, seed)
    for outcome in _run(unit, Submission("stubs", files), None, seed):
        yield Finding(unit.name, f"stub {outcome.check}", "" if outcome.status == "todo" else f"is {outcome.status}")


def _solution(unit: Unit, seed: int) -> Iterator[Finding]:
    yield from _passes(unit, variant(unit, solution_sources()[unit.name].text), seed)


def _passes(unit: Unit, submission: Submission, seed: int) -> Iterator[Finding]:
    for outcome in _run(unit, submission, None, seed):
        problem = "" if outcome.status == "passed" else outcome.message
        yield Finding(unit.name, f"solution {outcome.check}", problem)


def _stub(unit: Unit, seed: int) -> Iterator[Finding]:
    stale = [path.name for path in stubs.stale() if path.stem == unit.name]
    yield Finding(unit.name, "stub is up to date", f"{stale[0]} is not: run `grader dev stubs`" if stale else "")
    source = stubs.make(unit, solution_sources()[unit.name].text)
    for outcome in _run(unit, variant(unit, source), None, seed):
        yield Finding(unit.name, f"stub {outcome.check}", "" if outcome.status == "todo" else f"is {outcome.status}")


def _mistake(unit: Unit, mistake: Mistake, seed: int, depth: Depth) -> Finding:
    what = f"mistake {mistake.id}"
    if mistake.exercise not in {exercise.name for exercise in unit.exercises}:
        return Finding(unit.name, what, f"there is no exercise {mistake.exercise}")
    exercise, recorded = unit.exercise(mistake.exercise), mistakes.recorded(unit.name)
    names = _names(unit, mistake)
    criteria = recorded.criteria.get(mistake.id)
    checks = [
        check
        for check in suite.collect(unit.name)
        if check.id.exercise.name == mistake.exercise
        and (depth != "failures" or criteria is None or check.id.criterion in criteria)
    ]
    submission = variant(unit, mistake.apply(solution_sources()[unit.name].text))
    # Time enough, so that whether a mistake is named does not depend on the machine.
    runner = Runner(LocalTarget(submission), seed, naming_seconds=20.0)
    try:
        if depth == "failures":
            fails = any(not runner.passes(check.id, check.body(seed)) for check in checks)
            return Finding(unit.name, what, "" if fails else "passes every check")
        outcomes = list(_judge(runner, checks, exercise, names, seed, depth))
    finally:
        runner.target.close()
    problem = _naming_problem(outcomes, names, mistake.id in recorded.unnamed)
    if depth == "names":
        return Finding(unit.name, what, problem)
    cost = costs.measure(exercise, outcomes, names)
    return Finding(unit.name, what, problem or cost.problem(exercise, criteria), cost)


def _judge(
    runner: Runner,
    checks: Sequence[suite.SuiteCheck],
    exercise: Exercise,
    names: Collection[str],
    seed: int,
    depth: Depth,
) -> Iterator[Outcome]:
    """The outcomes of the checks: explained until the mistake is named, then only as far as they decide the cost."""
    main = exercise.criteria[0].name
    half = sum(check.id.criterion == main for check in checks) / 2
    failed: Counter[str] = Counter()
    named = False
    for check in checks:
        if named and depth == "names":
            return
        if named and (failed[main] >= half or (failed[check.id.criterion] and check.id.criterion != main)):
            continue  # lost already
        if named:
            status: Status = "passed" if runner.passes(check.id, check.body(seed)) else "failed"
            outcome = Outcome(check.id.name, check.id.kind, status, message="", criterion=check.id.criterion)
        else:
            outcome, carried = runner.run(check.id, check.body(seed))
            outcome = replace(outcome, status="failed") if carried else outcome
            named = outcome.mistake in names
        failed[check.id.criterion] += outcome.status != "passed"
        yield outcome


def _names(unit: Unit, mistake: Mistake) -> set[str]:
    """The ids whose sentence tells a learner of this mistake."""
    return {other.id for other in mistakes.known_mistakes(unit.name) if other.says == mistake.says}


def _naming_problem(outcomes: Sequence[Outcome], names: Collection[str], excused: bool) -> str:
    wrong = [outcome for outcome in outcomes if outcome.status != "passed"]
    if broken := [outcome for outcome in wrong if outcome.status == "error"]:
        return f"the grader fails on it: {broken[0].message}"
    if not wrong:
        return "passes every check"
    if excused or any(outcome.mistake in names for outcome in wrong):
        return ""
    named = dict.fromkeys(outcome.mistake or outcome.check for outcome in wrong)
    return f"fails without its name; named instead: {', '.join(named)}"


def _alternative(unit: Unit, alternative: Alternative, seed: int) -> str:
    submission = variant(unit, alternative.apply(solution_sources()[unit.name].text))
    wrong = [o for o in _run(unit, submission, alternative.exercise, seed) if o.status != "passed"]
    return wrong[0].message if wrong else ""


def _curriculum(unit: Unit) -> Iterator[Finding]:
    ids = [mistake.id for mistake in mistakes.known_mistakes(unit.name)]
    twice = sorted({id for id in ids if ids.count(id) > 1})
    yield Finding(unit.name, "ids of mistakes are unique", f"twice: {twice}" if twice else "")
    for exercise in unit.exercises:
        for problem in _exercise_problems(unit, exercise):
            yield Finding(unit.name, f"exercise {exercise.name}", problem)
        yield Finding(unit.name, f"exercise {exercise.name} is whole")


def _exercise_problems(unit: Unit, exercise: Exercise) -> Iterator[str]:
    definition = getattr(load_solution(unit.name), exercise.name, None)
    docstring = inspect.getdoc(definition) or ""
    sections = [s for s in SECTIONS if s not in docstring and not (s == "Returns:" and inspect.isclass(definition))]
    if sections:
        yield f"its docstring lacks {', '.join(sections)}"
    said = docstring.rpartition("Not allowed:")[2] if "Not allowed:" in docstring else ""
    if set(re.findall(r"[\w.]+\w", said)) != set(exercise.not_allowed):
        yield "`Not allowed:` in its docstring and not_allowed in the curriculum differ"
    if not exercise.hints or not all(exercise.hints):
        yield "it lacks hints"
    yield from _rubric_problems(exercise)
    kinds = {check.id.kind for check in suite.collect(unit.name) if check.id.exercise.name == exercise.name}
    if kinds != exercise.kinds:
        yield f"it has checks of {sorted(kinds)}, the curriculum says {sorted(exercise.kinds)}"
    if unknown := [name for name in exercise.needs if name not in {e.name for e in unit.exercises}]:
        yield f"it needs {unknown}, which the unit does not have"
    if not any(m.exercise == exercise.name for m in mistakes.known_mistakes(unit.name)):
        yield "it has no known mistakes"
    if not any(a.exercise == exercise.name for a in mistakes.known_alternatives(unit.name)):
        yield "it has no alternatives"


def _rubric_problems(exercise: Exercise) -> Iterator[str]:
    first, *others = exercise.criteria
    if not 3 <= len(exercise.criteria) <= 8:
        yield f"it has {len(exercise.criteria)} criteria, expected 3 to 8"
    if any(criterion.points < 1 or not criterion.says for criterion in exercise.criteria):
        yield "one of its criteria lacks points or a sentence"
    if large := [c.name for c in others if c.points > first.points or 3 * c.points > exercise.points]:
        yield f"the criterion {large[0]} is worth more than a third of the exercise, or more than its first criterion"
    refusals = sum(criterion.points for criterion in exercise.criteria if criterion.name == "refusals")
    if 5 * refusals > exercise.points:
        yield f"refusals are {refusals} of {exercise.points} points, more than a fifth"
