"""`grader train`, once it is known what is asked for: the progress bar, and what is said before and after."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from grader.checking import target
from grader.checking.oracle import load_solution
from grader.plots import comparison, figures, runs
from grader.training import corpus
from grader.training.devices import deterministic, place
from grader.training.folder import RunFolder, locate
from grader.training.loading import opened
from grader.training.loop import open_run
from grader.training.settings import Settings, differences

_MOST_SECONDS_OF_SILENCE = 30.0


def train(
    name: str,
    text: Path | None,
    run: str | None,
    changes: dict[str, Any],
    device: str | None,
    bf16: bool,
    compiled: bool,
    console: Console,
) -> bool:
    """Train a target; whether it was trained to the end.

    Raises:
        ValueError: Something that was asked for cannot be; the message says what to do.
        Fault: The target's code cannot be trained; the message says why.
    """
    submission = target.resolve(name)
    path = locate(run)
    stored = RunFolder(path).facts
    settings = _settings(stored, changes, path)
    written = corpus.read_text(text if text or not stored.get("text") else Path(stored["text"]))
    facts = {"target": name, "text": str(text.resolve()) if text else "", "text_sha256": _digest(written)}
    for key in ("target", "text_sha256"):
        if stored and stored[key] != facts[key]:
            raise ValueError(f"{path} was started with another {key.partition('_')[0]}: choose another --name")
    with deterministic(compiled=compiled), place(device, bf16=bf16, compiled=compiled) as here:
        try:
            with opened(submission) as units:
                if here.rank == 0 and not stored:
                    console.print("Training the tokenizer and encoding the text.")
                training = open_run(units, settings, here, path, facts, written)
                with _display(console, settings, path) as display:
                    training.continue_(display)
        except KeyboardInterrupt:
            console.print(f"Stopped. To resume: grader train --target {name} --name {path.name}", markup=False)
            return False
        if here.rank == 0:
            figures.save(comparison.draw([runs.read(str(path))]), path / "loss.png")
            console.print(f"\nLoss curve: {path / 'loss.png'}, data: {path / 'log.csv'}", markup=False)
    return True


def _settings(stored: dict[str, Any], changes: dict[str, Any], path: Path) -> Settings:
    settings = Settings(**{**stored.get("options", {}), **changes})
    # By the reference's config: what cannot be asked for is not the fault of the target's code.
    load_solution("model").ModelConfig(vocab_size=settings.vocab_size, **settings.recipe.model)
    if stored and (changed := differences(settings, stored["options"])):
        raise ValueError(f"{path} was started with other settings: {', '.join(changed)}. Choose another --name")
    return settings


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Display:
    """A progress bar on a terminal; elsewhere a line at each evaluation, and at least every half minute.

    Args:
        console: Where it prints.
        bar: The progress bar; disabled where the console is not a terminal.
        settings: Of the run.
        path: The run's folder.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        console: Console,
        bar: Progress,
        settings: Settings,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console, self.bar, self.settings, self.path, self.clock = console, bar, settings, path, clock
        self.last: float | None = None
        self.updates = 0

    def begun(self, facts: dict[str, Any]) -> None:
        """Say what will be trained, and start the clock."""
        again = f", resumes after update {facts['step']}" if facts["step"] else ""
        self.console.print(
            f"{self.path}{again}: {facts['parameters']:,} parameters, {self.settings.steps} updates. "
            f"gzip -9 needs {facts['gzip_bits_per_byte']:.2f} bits per byte of this text."
        )
        self.started = self.last_line = self.clock()
        self.task = self.bar.add_task("", total=self.settings.steps, completed=facts["step"], said="")

    def stepped(self, row: dict[str, float], tokens_per_second: float) -> None:
        """Advance the bar; where there is none, print a line if one is due."""
        held_out = row.get("held_out_bits_per_byte")
        self.updates += 1
        self.last = self.last if held_out is None else held_out
        said = f"loss {row['loss']:.3f}  {tokens_per_second:,.0f} tokens/s"
        said += "" if self.last is None else f"  held out {self.last:.2f} bits per byte"
        self.bar.update(self.task, advance=1, said=said)
        overdue = self.clock() - self.last_line >= _MOST_SECONDS_OF_SILENCE
        if (held_out is not None or overdue) and not self.console.is_terminal:
            self.last_line = self.clock()
            self.console.print(f"update {row['step']:.0f} of {self.settings.steps}  {said}")

    def ended(self, facts: dict[str, Any], sample: str) -> None:
        """Print how long it took, how good the model is, and what it writes."""
        if self.updates:
            self.console.print(f"{self.updates} updates took {_duration(self.clock() - self.started)}.")
        if self.last is not None:
            self.console.print(
                f"Held-out text: {self.last:.2f} bits per byte; gzip -9: {facts['gzip_bits_per_byte']:.2f}."
            )
        self.console.print("It continues the first words of the held-out text:\n", style="bold")
        self.console.print(sample, markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


@contextmanager
def _display(console: Console, settings: Settings, path: Path) -> Iterator[Display]:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
    with bar:
        yield Display(console, bar, settings, path)
