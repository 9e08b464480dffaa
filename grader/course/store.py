"""What has been graded, on disk: a JSON document a submission, whole or not at all, found by what it depends on."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.course.work import Answer
from grader.curriculum.files import write_atomically
from grader.grading.results import Results, from_json

_PLAIN = re.compile(r"[a-z0-9_@+-][a-z0-9_@+.-]{0,99}")


class Busy(ValueError):
    """Another run is writing into the same folder."""


@dataclass(frozen=True)
class Store:
    """The folder of a course's grades.

    Args:
        folder: Where everything is written.
    """

    folder: Path

    def file(self, name: str, kind: str = "results", ending: str = "json") -> Path:
        """Where a learner's document is; every name gets a file of its own, whatever characters it has."""
        stem, raw = name, name.encode("utf-8", "surrogatepass")
        if not _PLAIN.fullmatch(name):  # told apart by a digest, also where case does not count and where it is cut off
            stem = f"{re.sub(r'[^A-Za-z0-9_@+ -]', '_', name)[:80]}.{hashlib.sha256(raw).hexdigest()[:10]}"
        return self.folder / kind / f"{stem}.{ending}"

    def find(self, name: str, key: str) -> bool:
        """Whether this grading has been done, and its document can still be read."""
        batch = self._facts(name).get("batch")
        return isinstance(batch, dict) and batch.get("key") == key and self.results(name) is not None

    def save(self, answer: Answer) -> None:
        """Keep a grading."""
        document = {**json.loads(answer.document), "batch": {"name": answer.name, "key": answer.key}}
        write_atomically(self.file(answer.name), json.dumps(document, indent=1) + "\n")

    def results(self, name: str) -> Results | None:
        """The grading that was kept; None where there is none, or its document is damaged or contradicts itself."""
        try:
            results = from_json(self.file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return results if _adds_up(results) else None

    def _facts(self, name: str) -> dict[str, Any]:
        try:
            facts = json.loads(self.file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there, or not whole: from before a crash of the machine
            return {}
        return facts if isinstance(facts, dict) else {}

    def seed(self, wanted: int | None) -> int:
        """The seed of all gradings in this folder: drawn once, then kept, so that a run that goes on has the same."""
        file = self.folder / "seed"
        if wanted is None and file.exists():
            return int(file.read_text())
        seed = secrets.randbelow(1 << 31) if wanted is None else wanted
        write_atomically(file, f"{seed}\n")
        return seed

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder, and keep other runs out of it.

        Raises:
            Busy: There is another.
        """
        import fcntl

        for kind in ("results", "learners"):
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Busy(f"another run is writing into {self.folder}: wait for it, or choose another --out") from None
            yield


def _adds_up(results: Results) -> bool:
    exercises = [exercise for unit in results.units for exercise in unit.exercises]
    return (
        _about(results.score, (unit.score for unit in results.units))
        and _about(results.max_score, (unit.max_score for unit in results.units))
        and all(_about(unit.score, (e.score for e in unit.exercises)) for unit in results.units)
        and all(_about(unit.max_score, (e.max_score for e in unit.exercises)) for unit in results.units)
        and all(_about(e.score, (c.points for c in e.criteria)) for e in exercises)
        and all(_about(e.max_score, (c.max_points for c in e.criteria)) for e in exercises)
    )


def _about(total: float, parts: Iterable[float]) -> bool:
    return abs(total - sum(parts)) < 0.1  # each is rounded
