"""Known variants of a solution: mistakes, which must fail by name, and alternatives, which must pass.

A variant is text: the solution's source with an edit, or with a definition added at its end. So one variant serves
three ends: selfcheck grades it as a submission, a worker runs it behind the boundary, and a diagnosis imports it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Definition = TypeVar("Definition", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)  # hashed by identity, since a dict of edits has no hash
class Mistake:
    """A wrong version of one exercise, and the sentence that tells a learner so.

    Args:
        id: Short name, unique in the unit, as `no-scaling`.
        exercise: The exercise that is wrong.
        says: What the learner did, as the end of "Known mistake: ...".
        edits: Text that stands exactly once in the solution, and what stands there in the mistake.
        append: Python that is added at the end of the solution.
        stateful: Whether what it answers depends on earlier calls, so that it must be loaded anew to be asked.
    """

    id: str
    exercise: str
    says: str
    edits: Mapping[str, str] = field(default_factory=dict)
    append: str = ""
    stateful: bool = False

    def apply(self, solution: str) -> str:
        """The source of the mistaken module.

        Raises:
            ValueError: An edit does not match the solution exactly once.
        """
        for old, new in self.edits.items():
            if (found := solution.count(old)) != 1:
                raise ValueError(f"mistake {self.id}: expected this text once in the solution, found {found}: {old!r}")
            solution = solution.replace(old, new)
        return f"{solution}\n\n{self.append}" if self.append else solution


@dataclass(frozen=True)
class Alternative:
    """A right but different version of one exercise: its own source, to be added to the solution's."""

    exercise: str
    name: str
    source: str

    def apply(self, solution: str) -> str:
        """The source of the module in which the alternative stands in for the solution."""
        return f"{solution}\n\n{self.source}\n\n{self.exercise} = {self.name}\n"


def alternative(exercise: str) -> Callable[[Definition], Definition]:
    """Mark a function or class of `tests/alternatives/<unit>.py` as a valid version of `exercise`."""

    def mark(definition: Definition) -> Definition:
        definition.__alternative_to__ = exercise  # type: ignore[attr-defined]
        return definition

    return mark


def collect_alternatives(module: Any) -> list[Alternative]:
    """Every marked definition of a module, each with the module's imports and unmarked helpers around it."""
    path = Path(inspect.getsourcefile(module) or "")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    marks = {name: getattr(value, "__dict__", {}).get("__alternative_to__") for name, value in vars(module).items()}
    marked = {name: exercise for name, exercise in marks.items() if exercise is not None}
    shared = [node for node in tree.body if getattr(node, "name", None) not in marked and not _about_the_kit(node)]
    preamble = "\n".join(ast.unparse(node) for node in shared)
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in marked:
            node.decorator_list = [d for d in node.decorator_list if "alternative" not in ast.unparse(d)]
            found.append(Alternative(marked[node.name], node.name, f"{preamble}\n\n{ast.unparse(node)}"))
    return found


def _about_the_kit(node: ast.stmt) -> bool:
    # What makes the file importable by itself: at the end of the solution its names are there already.
    return isinstance(node, ast.ImportFrom | ast.If) and any(
        name in ast.unparse(node) for name in ("grader", "solutions")
    )


_EVERYWHERE = {
    "returns-zeros": ("your {name} returns zeros.", "_each(torch.zeros_like, _right(*args, **kwargs))"),
    "returns-its-input": ("your {name} returns its input unchanged.", "next(a for a in args if _is_tensor(a))"),
    "returns-none": ("your {name} returns None: is there a `return`?", "(_right(*args, **kwargs), None)[1]"),
    "keeps-state": (
        "your {name} answers with what it computed for an earlier call.",
        "_seen.setdefault(str([getattr(a, 'shape', type(a)) for a in args]), _right(*args, **kwargs))",
    ),
    "mutates-its-input": (
        "your {name} changes its input in place.",
        "(_right(*args, **kwargs), next(a for a in args if _is_tensor(a)).data.mul_(0.5))[0]",
    ),
    "detached": (
        "no gradient flows through your {name}: .detach(), .data, .item() or numpy cut it off.",
        "_each(torch.Tensor.detach, _right(*args, **kwargs))",
    ),
}

_WRONG = """
import torch as torch

_right = {name}
_seen = {{}}


def _is_tensor(value):
    return isinstance(value, torch.Tensor)


def _each(change, out):
    return tuple(change(o) for o in out) if isinstance(out, tuple) else change(out)


def _wrong(*args, **kwargs):
    return {result}


{name} = _wrong
"""


def always(exercise: str, callable_name: str | None = None, *, without: tuple[str, ...] = ()) -> list[Mistake]:
    """The mistakes that every function of tensors invites: zeros, its input, None, stale state, mutation, no gradient.

    Args:
        exercise: The exercise.
        callable_name: What is called, where that is not the exercise itself, as `LayerNorm.forward`.
        without: Ids that do not apply, as `detached` for what has no gradient.
    """
    name = callable_name or exercise
    return [
        Mistake(
            f"{exercise}-{id}",
            exercise,
            says.format(name=name),
            append=_WRONG.format(name=name, result=result),
            stateful=id == "keeps-state",
        )
        for id, (says, result) in _EVERYWHERE.items()
        if id not in without
    ]
