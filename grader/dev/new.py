"""Scaffold a new exercise: append a working example to each of the five files that an exercise lives in.

The example doubles a tensor. It passes selfcheck as it is, so an author changes something that works.
"""

from __future__ import annotations

import keyword
from pathlib import Path

from grader.curriculum import load
from grader.curriculum.files import write_atomically
from grader.curriculum.submission import KIT
from grader.curriculum.suggest import did_you_mean

_CURRICULUM = """
[exercises.{name}]
needs = []
not_allowed = []
hints = ["TODO: a question that points the way.", "TODO: the next one."]

[exercises.{name}.criteria]
values = {{ points = 3, says = "TODO: what it does", kinds = ["shape", "numerics"] }}
gradients = {{ points = 1, says = "Passes gradients on", kinds = ["gradient"] }}
refusals = {{ points = 1, says = "Refuses a factor of 0", kinds = ["stability"] }}
"""

_SOLUTION = '''

def {name}(x: Float[Tensor, "*shape"], factor: float = 2.0) -> Float[Tensor, "*shape"]:
    r"""TODO: say in the imperative what it does.

    TODO: the idea, in two sentences and a picture in words.

    Math:
        y = factor * x

    Args:
        x: TODO: what it is.
        factor: TODO: what it is. Not 0.

    Returns:
        TODO: what it is; the dtype of `x`.

    Raises:
        ValueError: `factor` is 0.

    Pitfalls:
        TODO: what people get wrong.

    Source:
        TODO: the paper.
    """
    if factor == 0:
        raise ValueError("factor must not be 0")
    return factor * x
'''

_TESTS = """

# {name}


@check("{name}", "shape")
def test_{name}_keeps_shape_and_dtype(agree, rand):
    agree("{name}", rand(2, 0, 3, dtype=torch.float32))


@check("{name}", "numerics")
@pytest.mark.parametrize("factor", [2.0, -0.5])
def test_{name}_follows_the_formula(agree, rand, factor):
    agree("{name}", rand(3, 4), factor)


@check("{name}", "gradient")
def test_{name}_passes_gradients_on(agree, rand):
    agree("{name}", rand(3, 4))


@check("{name}", "stability")
def test_{name}_refuses_a_factor_of_0(agree, rand):
    x = rand(3)
    agree.raises("{name}(factor=0)", lambda unit: unit.{name}(x, 0.0), ValueError, "factor")
"""

_MISTAKES = '''
MISTAKES += [
    Mistake(
        "{name}-factor-ignored",
        "{name}",
        "TODO: you always multiply by 2: use factor.",
        append="""
def {name}(x, factor=2.0):
    if factor == 0:
        raise ValueError("factor must not be 0")
    return 2.0 * x
""",
    ),
    Mistake(
        "{name}-zero-accepted",
        "{name}",
        "you accept a factor of 0: raise a ValueError.",
        append="""
def {name}(x, factor=2.0):
    return factor * x
""",
    ),
    *always("{name}"),
]
'''

_ALTERNATIVES = """

@alternative("{name}")
def {name}_by_division(x: Tensor, factor: float = 2.0) -> Tensor:
    if factor == 0:
        raise ValueError("factor must not be 0")
    return x / (1 / factor)
"""

# File, what is appended, and what the file must import for it.
_PARTS = (
    ("grader/curriculum/{unit}.toml", _CURRICULUM, ()),
    ("solutions/{unit}.py", _SOLUTION, ("from torch import Tensor", "from jaxtyping import Float")),
    ("tests/test_{unit}.py", _TESTS, ("import pytest", "import torch", "from grader.checking import check")),
    ("tests/mistakes/{unit}.py", _MISTAKES, ("from grader.checking import Mistake, always",)),
    (
        "tests/alternatives/{unit}.py",
        _ALTERNATIVES,
        ("from torch import Tensor", "from grader.checking import alternative"),
    ),
)


def new(unit: str, exercise: str) -> list[Path]:
    """Append a working example of an exercise to the five files of a unit.

    Args:
        unit: The unit's name.
        exercise: The new exercise's name.

    Returns:
        The files, in the order in which an author edits them.

    Raises:
        ValueError: There is no such unit, or the name is taken or is not a name.
    """
    units = {name: found for name, found in load().items() if not found.whole}
    if unit not in units:
        raise ValueError(f"there is no unit {unit!r}. {did_you_mean(unit, units, 'Units: ' + ', '.join(units))}")
    if not exercise.isidentifier() or keyword.iskeyword(exercise):
        raise ValueError(f"{exercise!r} is not a name for a function")
    if taken := [f"{u.name}.{exercise}" for u in units.values() if exercise in (e.name for e in u.exercises)]:
        raise ValueError(f"there is an exercise {taken[0]} already")
    texts = {KIT / path.format(unit=unit): (part.format(name=exercise), imports) for path, part, imports in _PARTS}
    for file, (part, imports) in texts.items():
        text = file.read_text(encoding="utf-8")
        write_atomically(file, _with_imports(text, imports).rstrip("\n") + "\n" + part)
    return list(texts)


def _with_imports(text: str, imports: tuple[str, ...]) -> str:
    """Add the import lines that a text lacks, before its first import; ruff sorts them."""
    missing = [line for line in imports if not _imports(text, line)]
    lines = text.splitlines(keepends=True)
    first = next(
        (n for n, line in enumerate(lines) if line.startswith(("import ", "from ")) and "__future__" not in line), 0
    )
    return "".join([*lines[:first], *(f"{line}\n" for line in missing), *lines[first:]])


def _imports(text: str, line: str) -> bool:
    *_, names = line.partition(" import ") if line.startswith("from ") else ("", "", line.removeprefix("import "))
    source = line.partition(" import ")[0]
    found = [known for known in text.splitlines() if known.startswith(source)]
    return all(any(name in known.replace(",", " ").split() for known in found) for name in names.split(", "))
