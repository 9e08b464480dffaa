"""Learners to try the grader on: the solution of attention with one thing changed, and what the grader says of it."""

from functools import cache
from pathlib import Path

from grader.checking import suite
from grader.checking.context import CheckId
from grader.checking.runner import Runner
from grader.checking.target import LocalTarget, lower_units
from grader.curriculum import load
from grader.curriculum.stubs import make
from grader.curriculum.submission import KIT, Submission, from_bytes
from grader.grading.grade import grade

ATTENTION = load()["attention"]
SOLUTION = (KIT / "solutions" / "attention.py").read_text(encoding="utf-8")
STUB = make(ATTENTION, SOLUTION)
# The units that attention imports, as they should be.
LOWER = {
    unit: (KIT / "solutions" / f"{unit}.py").read_text(encoding="utf-8") for unit in sorted(lower_units(ATTENTION))
}

# An own softmax to be put behind the solution's: the last definition of a name is the one that counts.
OWN_SOFTMAX = """
def my_softmax(scores, dim):
    if not scores.is_floating_point():
        raise ValueError(f"floating-point scores, please, not {scores.dtype}")
    wide = scores.double()
    shares = torch.exp(wide - wide.amax(dim, keepdim=True))
    return (shares / shares.sum(dim, keepdim=True)).to(scores.dtype)
"""


def learner(text: str) -> Submission:
    """A submission with this attention.py and the solution's units below it."""
    texts = {**LOWER, "attention": text}
    return Submission("learner", {unit: from_bytes(f"exercises/{unit}.py", texts[unit].encode()) for unit in texts})


def handed_in(folder: Path, text: str) -> Path:
    """The same as files of a folder."""
    for unit, source in {**LOWER, "attention": text}.items():
        (folder / f"{unit}.py").write_text(source, encoding="utf-8")
    return folder


def edited(*edits: tuple[str, str]) -> str:
    """The solution with some text exchanged that stands in it exactly once."""
    text = SOLUTION
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def appended(code: str) -> str:
    """The solution with code at its end."""
    return f"{SOLUTION}\n\n{code}\n"


def with_softmax(body: str) -> str:
    """The solution with this body, one or more lines, for softmax."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return appended(f"def softmax(scores, dim):\n{lines}")


@cache
def checks(*exercises: str) -> tuple[suite.SuiteCheck, ...]:
    """The checks of these exercises of attention, one of each kind and criterion."""
    found = [check for check in suite.collect("attention") if check.id.exercise.name in exercises]
    return tuple({(c.id.exercise.name, c.id.kind, c.id.criterion): c for c in found}.values())


def tried(text: str, *exercises: str, seed: int = 0):
    """What the checks of some exercises say locally, each with whether it was carried by the reference."""
    runner = Runner(LocalTarget(learner(text)), seed)
    try:
        return [runner.run(check.id, check.body(seed)) for check in checks(*exercises)]
    finally:
        runner.target.close()


def asked(text: str, exercise: str, body, kind: str = "numerics", seed: int = 0):
    """The outcome of one check that a test makes up."""
    runner = Runner(LocalTarget(learner(text)), seed)
    try:
        known = ATTENTION.exercise(exercise)
        # A name of its own: what the reference answers to a check is kept by the check's name.
        name = f"made_up_{body.__qualname__}_{body.__code__.co_firstlineno}"
        return runner.run(CheckId(ATTENTION, known, kind, name, known.criterion_of(kind)), body)[0]
    finally:
        runner.target.close()


def graded(text: str, *exercises: str, pool=None, seed: int = 0):
    """The Results of these exercises of attention."""
    return grade(learner(text), units=["attention"], only=exercises or None, seed=seed, pool=pool)
