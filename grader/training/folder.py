"""A run's folder: settings, token files, the log of losses, and checkpoints, so that a killed run goes on where it was.

* run.json: what was asked for; a run goes on with the same settings only.
* tokenizer.json: vocabulary and merges; corpus.json, train.bin and held_out.bin belong to it.
* log.csv: a row an update.
* checkpoint-120.0.pt: after 120 updates, of process 0; `latest` says after how many the last whole one was made.
* loss.png, sample.txt: at the end.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.curriculum.files import write_atomically
from grader.curriculum.submission import KIT

if TYPE_CHECKING:  # it imports torch, and comparing runs needs none
    from grader.training.recipes import Run, Units

RUNS = KIT / ".grader" / "runs"
COLUMNS = ("step", "loss", "learning_rate", "grad_norm", "held_out_bits_per_byte")


def locate(name: str | None) -> Path:
    """The folder of a run by its name or path; without one, a new name."""
    if name is None:
        taken = {path.name for path in RUNS.glob("run-*")}
        name = next(f"run-{i}" for i in range(1, len(taken) + 2) if f"run-{i}" not in taken)
    return RUNS / name if Path(name).name == name else Path(name)


@dataclass
class RunFolder:
    """One run on disk.

    Args:
        path: The folder.
        rank: Which of the processes that train together this is.
    """

    path: Path
    rank: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json holds; empty for a run that has not begun."""
        file = self.path / "run.json"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return found

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Write run.json: from now on the run has begun."""
        write_atomically(self.path / "run.json", json.dumps(facts, indent=1))

    @property
    def saved_steps(self) -> int:
        """After how many updates the last whole checkpoint was made; 0 without one."""
        file = self.path / "latest"
        return int(file.read_text()) if file.exists() else 0

    def save(self, units: Units, run: Run, step: int) -> None:
        """Write this process's part of a checkpoint with the target's own function, whole or not at all."""
        file = self._checkpoint(step)
        temporary = file.with_suffix(".tmp")
        with temporary.open("wb") as handle:
            units("training").save_checkpoint(
                handle, model=run.model, optimizer=run.optimizer, loader=run.loader, step=step
            )
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(file)

    def point_to(self, step: int) -> None:
        """The checkpoint after so many updates is whole: a resumed run begins there. Older ones go."""
        write_atomically(self.path / "latest", str(step))
        for old in self.path.glob("checkpoint-*.pt"):
            if not old.name.startswith(f"checkpoint-{step}."):
                old.unlink(missing_ok=True)

    def load(self, units: Units, run: Run) -> int:
        """Put the last checkpoint into freshly built parts, with the target's own function; the updates made."""
        step = self.saved_steps
        with self._checkpoint(step).open("rb") as handle:
            found = units("training").load_checkpoint(
                handle, model=run.model, optimizer=run.optimizer, loader=run.loader
            )
        if found != step:
            raise ValueError(f"load_checkpoint gave step {found!r}, and the checkpoint was saved with step={step}")
        return step

    def _checkpoint(self, step: int) -> Path:
        return self.path / f"checkpoint-{step}.{self.rank}.pt"

    def truncate_log(self, steps: int) -> None:
        """Keep the rows of the first updates: those after the checkpoint are made again."""
        file = self.path / "log.csv"
        rows = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        kept = [row for row in rows[1:] if row.count(",") == len(COLUMNS) - 1 and int(row.partition(",")[0]) <= steps]
        write_atomically(file, "\n".join([",".join(COLUMNS), *kept]) + "\n")

    def log(self, row: dict[str, float]) -> None:
        """Append a row."""
        with (self.path / "log.csv").open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n").writerow(row)
