"""Results of a grading: frozen, typed, and one JSON document that tools outside rely on.

The contract is `grader/results/2`: keys may be added, never renamed. Reports are pure functions of Results.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from grader.curriculum.outcome import Kind, Status

Isolation = Literal["confined", "process", "none"]
Points = Annotated[float, Field(ge=0)]

_strict = ConfigDict(extra="ignore", strict=True, json_schema_serialization_defaults_required=True)


@dataclass(frozen=True, config=_strict)
class Check:
    """One test of one exercise.

    Args:
        check: Its name, as `hidden_key_gets_weight_exactly_zero`.
        criterion: The criterion that it belongs to.
        kind: What it looks at.
        status: `todo`: still a stub; `error`: the grader's own fault.
        seconds: Wall time.
        message: What is wrong and why; empty where nothing is.
        mistake: Id of the known mistake that it is; empty where it is none.
    """

    check: str
    criterion: str
    kind: Kind
    status: Status
    seconds: float
    message: str = ""
    mistake: str = ""


@dataclass(frozen=True, config=_strict)
class CriterionResult:
    """One line of an exercise's rubric: where the points are.

    Args:
        criterion: Its name.
        says: The sentence on the rubric.
        status: Only `passed` earns. It is not passed either while the exercise's first criterion fails in the main.
        points: Earned: all or nothing.
        max_points: What it is worth.
    """

    criterion: str
    says: str
    status: Status
    points: Points
    max_points: Points


@dataclass(frozen=True, config=_strict)
class ExerciseResult:
    """One function or class: what was earned, criterion by criterion, and the checks behind it."""

    exercise: str
    score: Points
    max_score: Points
    status: Status
    criteria: list[CriterionResult]
    checks: list[Check]


@dataclass(frozen=True, config=_strict)
class UnitResult:
    """One block of the model."""

    unit: str
    score: Points
    max_score: Points
    exercises: list[ExerciseResult]


@dataclass(frozen=True, config=_strict)
class Kit:
    """The kit that graded: its version, and a digest of tests, solutions and grader."""

    version: str
    sha256: str


@dataclass(frozen=True, config=_strict)
class SubmissionId:
    """The submission that was graded.

    Args:
        name: The learner, or the folder.
        sha256: A digest of its files.
        status: `unreadable`: nothing of it could be read; `missing`: nothing was handed in.
        problem: Why nothing could be read; empty where something could.
        notes: Which files were chosen and which were left out, as sentences.
    """

    name: str
    sha256: str
    status: Literal["read", "unreadable", "missing"] = "read"
    problem: str = ""
    notes: list[str] = Field(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=_strict)
class Results:
    """One grading of one submission.

    Args:
        schema: Name and version of this format; first in the document, so that a reader knows what follows.
        kit: What graded it.
        submission: What was graded.
        isolation: `confined`: behind the whole boundary; `process`: in another process without confinement;
            `none`: in the grader's own process.
        seed: With which the grading can be repeated.
        seconds: Wall time.
        score: Sum of the units' scores.
        max_score: Full marks.
        units: In the curriculum's order.
    """

    schema: Literal["grader/results/2"] = "grader/results/2"
    kit: Kit
    submission: SubmissionId
    isolation: Isolation
    seed: int
    seconds: float
    score: Points
    max_score: Points
    units: list[UnitResult]

    @property
    def checks(self) -> list[Check]:
        """All checks of all units."""
        return [check for unit in self.units for exercise in unit.exercises for check in exercise.checks]


_adapter = TypeAdapter(Results)


def to_json(results: Results) -> str:
    """The document, indented, with a newline at its end."""
    return _adapter.dump_json(results, indent=2).decode() + "\n"


def from_json(text: str) -> Results:
    """Results from their document.

    Raises:
        pydantic.ValidationError: The text does not follow the schema.
    """
    return _adapter.validate_json(text)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document, made from the types above."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_adapter.json_schema(mode="serialization")}
