"""Training runs as they lie in their folders, and what differs between them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.training.folder import COLUMNS, RUNS


@dataclass(frozen=True)
class Run:
    """A training run.

    Args:
        name: Of its folder.
        steps: Of each row of the log.
        losses: Of each row.
        held_out: Step and bits per byte, for the rows that have it.
        options: All settings.
        gzip_bits_per_byte: What gzip needs for the held-out text; None where it is not known.
        parameters: How many the model has; None where it is not known.
    """

    name: str
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    held_out: tuple[tuple[int, float], ...]
    options: Mapping[str, Any]
    gzip_bits_per_byte: float | None
    parameters: int | None

    @property
    def best(self) -> float | None:
        """The least held-out bits per byte."""
        return min((bits for _, bits in self.held_out if math.isfinite(bits)), default=None)


def read(name: str) -> Run:
    """The run of that name under `.grader/runs`, or else in that folder.

    Raises:
        ValueError: No such run, or its files cannot be read; the message says which and what to do.
    """
    folder = next((place for place in (RUNS / name, Path(name)) if place.is_dir()), None)
    if folder is None:
        known = sorted(path.name for path in RUNS.iterdir() if path.is_dir()) if RUNS.is_dir() else []
        raise ValueError(f"there is no run {name!r}. " + (f"Runs: {', '.join(known)}" if known else "Try grader train"))
    said = _record(folder / "run.json")
    rows = _rows(folder / "log.csv")
    held_out = [(int(row["step"]), float(row[COLUMNS[4]])) for row in rows if row[COLUMNS[4]]]
    return Run(
        folder.resolve().name,
        tuple(int(row["step"]) for row in rows),
        tuple(float(row["loss"]) for row in rows),
        tuple(held_out),
        {"target": said.get("target"), **said.get("options", {})},
        said.get("gzip_bits_per_byte"),
        said.get("parameters"),
    )


def _record(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{file.parent} has no {file.name}: it is not a run of grader train") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
    if not isinstance(said, dict) or not isinstance(said.get("options", {}), dict):
        raise ValueError(f"{file} cannot be read: it has to be an object with an object 'options'")
    return said


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{file.parent} has no {file.name}: has its training started?") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
    lines = text.splitlines()
    if lines and not text.endswith("\n"):
        del lines[-1]  # being written just now: half a number is none
    if lines and tuple(lines[0].split(",")) != COLUMNS:
        raise ValueError(f"{file} begins with {lines[0][:60]!r}, expected {','.join(COLUMNS)}")
    rows = [_checked(row, number, file) for number, row in enumerate(csv.DictReader(lines), start=2)]
    if not rows:
        raise ValueError(f"{file} is empty: no step has been logged yet")
    return rows


def _checked(row: dict[str | Any, str | Any], number: int, file: Path) -> dict[str, str]:
    try:
        int(row["step"]), float(row["loss"]), float(row[COLUMNS[4]] or 0)
    except (TypeError, ValueError):
        said = ",".join(map(str, row.values()))[:60]
        raise ValueError(f"{file} line {number} is not a row of numbers: {said}") from None
    return row


def differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For each run, those of its options in which not all runs agree."""
    names = list(dict.fromkeys(name for run in runs for name in run.options))
    differing = [n for n in names if len({json.dumps(run.options.get(n), default=str) for run in runs}) > 1]
    return [{name: run.options.get(name) for name in differing} for run in runs]


def labels(runs: Sequence[Run]) -> list[str]:
    """What differs, in words; the name of the run where nothing does, and with it where that alone tells them apart."""
    said = [", ".join(f"{name} {_short(value)}" for name, value in options.items()) for options in differences(runs)]
    return [
        run.name if not words else f"{run.name}: {words}" if said.count(words) > 1 else words
        for run, words in zip(runs, said, strict=True)
    ]


def _short(value: Any) -> str:
    text = "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 32 else "…" + text[-31:]
