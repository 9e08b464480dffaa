"""`course.toml`: the rules of a course, in one file.

units = ["attention", "block"]    # all units if absent
seed = 7                          # drawn once per folder of grades if absent
roster = "roster.csv"             # relative to this file

[late]
percent_per_day = 10              # of the raw score, for each day or part of a day
most_percent = 50

[attempts]
free = 2
percent = 5                       # of the raw score, for each further attempt
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grader.course.options import Penalties
from grader.curriculum import load
from grader.curriculum.suggest import did_you_mean

Percent = Annotated[float, Field(ge=0, le=100)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Late(_Table):
    """What lateness costs.

    Attributes:
        percent_per_day: Percent of the raw score, for each day or part of a day.
        most_percent: The most that lateness costs, in percent.
    """

    percent_per_day: Percent = 0.0
    most_percent: Percent = 100.0


class Attempts(_Table):
    """What further attempts cost.

    Attributes:
        free: Number of attempts that cost nothing.
        percent: Percent of the raw score, for each attempt after those.
    """

    free: int = Field(default=1, ge=1)
    percent: Percent = 0.0


class Course(_Table):
    """The rules of a course.

    Attributes:
        units: Names of the units to grade.
        seed: The seed for everybody; None: one is drawn for each folder of grades.
        roster: Path of the CSV file that lists the learners, relative to the course file.
        late: What lateness costs.
        attempts: What further attempts cost.
    """

    units: list[str] = Field(default_factory=lambda: list(load()), min_length=1)
    seed: int | None = None
    roster: str | None = None
    late: Late = Late()
    attempts: Attempts = Attempts()

    @property
    def penalties(self) -> Penalties:
        """What is taken off a raw score."""
        return Penalties(self.late.percent_per_day, self.late.most_percent, self.attempts.free, self.attempts.percent)


def read(file: Path) -> Course:
    """Read a course file.

    Raises:
        ValueError: The file is missing, is not TOML, or says something that does not exist.
    """
    try:
        facts = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file} is not valid TOML: {error}") from error
    try:
        course = Course.model_validate(facts)
    except ValidationError as error:
        raise ValueError(f"{file}: {_sentence(error.errors()[0])}") from error
    if unknown := [name for name in course.units if name not in load()]:
        hint = did_you_mean(unknown[0], load(), f"Units: {', '.join(load())}")
        raise ValueError(f"{file}: there is no unit {unknown[0]!r}. {hint}")
    return course


def _sentence(error: Any) -> str:
    *tables, name = map(str, error["loc"])
    key = ".".join([*tables, name])
    if error["type"] == "extra_forbidden":
        known: dict[str, type[_Table]] = {"late": Late, "attempts": Attempts}
        keys = list((known[tables[0]] if tables else Course).model_fields)
        return f"there is no setting {key!r}. {did_you_mean(name, keys, 'Settings: ' + ', '.join(keys))}"
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}, got {error['input']!r}"
