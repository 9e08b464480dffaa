"""Mutation: a small change of a solution that its unit's checks let pass is a hole in them, or makes no difference.

    python -m grader.dev.mutation [UNIT ...]

Each mutant meets the unit's checks in a forked child, so that it cannot spoil the next, until one does not pass; one
that takes too long is as dead. What came out is kept in .grader/mutants.json: a run that was stopped goes on, and what
survived is tried again when the tests have changed; without the file, all are. Survivors that make no difference
stand in tests/equivalent_mutants.toml, each with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import hypothesis

from grader import GraderFault
from grader.checking import suite
from grader.checking.context import Body, CheckId
from grader.checking.oracle import OracleFailed, solution_sources
from grader.checking.runner import Runner
from grader.checking.target import LocalTarget
from grader.curriculum import load
from grader.curriculum.outcome import Outcome
from grader.curriculum.submission import KIT
from grader.dev.mutants import Fate, Mutant, explained, mutants, report, summary
from grader.dev.selfcheck import variant

KEPT = KIT / ".grader" / "mutants.json"
EQUIVALENT = KIT / "tests" / "equivalent_mutants.toml"
SLACK = 8.0  # seconds that a check may take beyond five times what it takes with the solution: machines are busy
MEMORY = 4 << 30  # bytes: a list that grows for ever ends by this
FAULT = 2


class _Verdicts(Runner):
    """A runner that explains nothing, and to which a check that passes on the reference's lower parts has failed."""

    def _passes_on_reference(self, check: CheckId, body: Body, error: BaseException) -> bool:
        return False

    def _explain(self, check: CheckId, body: Body, error: BaseException) -> Outcome:
        fault = isinstance(error, GraderFault | OracleFailed)
        return Outcome(check.name, check.kind, "error" if fault else "failed", message=type(error).__name__)


class Hunt:
    """A unit's checks, and which of them killed last; ValueError where the solution itself does not pass them."""

    def __init__(self, unit: str) -> None:
        self.unit = load()[unit]
        self.checks = suite.collect(unit)
        runner = _Verdicts(LocalTarget(variant(self.unit, solution_sources()[unit].text)), seed=0)
        outcomes = [runner.run(check.id, check.body(0))[0] for check in self.checks]
        runner.target.close()
        if wrong := [outcome for outcome in outcomes if outcome.status != "passed"]:
            raise ValueError(f"the solution of {unit} fails {wrong[0].check}: {wrong[0].message}")
        self.seconds = [outcome.seconds for outcome in outcomes]
        self._killers: list[tuple[str, int]] = []

    def end(self, mutant: Mutant) -> tuple[str, str]:
        """`killed`, `timed out` or `survived`, and by which check; RuntimeError where the grader itself fails."""
        order = sorted(range(len(self.checks)), key=lambda number: self.rank(mutant.owner, number))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self._meet(mutant, order, writing)
            finally:
                os._exit(FAULT)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            last = order[max(len(pipe.read()) - 1, 0)]  # it wrote a byte for each check that it began
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        name = self.checks[last].id.name
        if code == FAULT:
            raise RuntimeError(f"the grader fails on {self.unit.name} {mutant.line}: {mutant.new} in {name}")
        if code == 0:
            return "survived", ""
        self._killers.insert(0, (mutant.owner, last))
        return "timed out" if code == -signal.SIGALRM else "killed", name

    def rank(self, owner: str, number: int) -> tuple[int, bool, float]:
        """The place of a check in the queue: who killed in this definition last, the exercise's own, the fast ones."""
        mine = (owner, number)
        recent = self._killers.index(mine) if mine in self._killers else len(self._killers)
        return recent, self.checks[number].id.exercise.name != owner, self.seconds[number]

    def _meet(self, mutant: Mutant, order: list[int], begun: int) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        runner = _Verdicts(LocalTarget(variant(self.unit, mutant.text)), seed=0)
        for number in order:
            os.write(begun, b".")
            signal.setitimer(signal.ITIMER_REAL, SLACK + 5 * self.seconds[number])  # its signal ends the child
            outcome, _ = runner.run(self.checks[number].id, self.checks[number].body(0))
            if outcome.status != "passed":
                os._exit(FAULT if outcome.status == "error" else 1)
        os._exit(0)


def hunt(unit: str, kept: Mapping[str, Fate]) -> Iterator[tuple[str, Fate]]:
    """What becomes of each mutant of a unit's solution, by a digest of its text; what is known is not tried again."""
    tests = hashlib.sha256((KIT / "tests" / f"test_{unit}.py").read_bytes()).hexdigest()[:16]
    checks: Hunt | None = None
    for mutant in mutants(solution_sources()[unit].text):
        key = hashlib.sha256(mutant.text.encode()).hexdigest()[:16]
        fate = kept.get(key)
        if fate is None or (fate.ended == "survived" and fate.tests != tests):
            checks = checks or Hunt(unit)
            fate = Fate(*checks.end(mutant), mutant.line, mutant.old, mutant.new, tests)
        yield key, fate


def main() -> None:
    """Hunt the mutants of these units, or of all, and print what came out."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # the smallest example is of no use, and takes long
    hypothesis.settings.register_profile("mutation", hypothesis.settings.get_profile("kit"), phases=phases)
    hypothesis.settings.load_profile("mutation")
    known: dict[str, dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    KEPT.parent.mkdir(exist_ok=True)
    excuses = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    everything, survivors = list[Fate](), dict[Fate, str]()
    for unit in sys.argv[1:] or [unit.name for unit in load().values() if not unit.whole]:
        fates: dict[str, Fate] = {}
        for key, fate in hunt(unit, {key: Fate(**kept) for key, kept in known.get(unit, {}).items()}):
            fates[key] = fate
            known.setdefault(unit, {})[key] = asdict(fate)
            if len(fates) % 50 == 0:
                print(f"{unit}: {len(fates)} met their end or survived", flush=True)
                KEPT.write_text(json.dumps(known), encoding="utf-8")
        known[unit] = {key: asdict(fate) for key, fate in fates.items()}  # and not those of an earlier solution
        KEPT.write_text(json.dumps(known), encoding="utf-8")
        alive = explained(list(fates.values()), excuses.get(unit, ()))
        print(report(unit, list(fates.values()), alive), flush=True)
        everything += fates.values()
        survivors |= alive
    print(summary("together", everything, survivors))


if __name__ == "__main__":
    main()
