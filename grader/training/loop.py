"""The run itself: build or reload, train with the target's own loop, evaluate, save, and show how it goes."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from grader.training import corpus, recipes
from grader.training.corpus import Corpus
from grader.training.devices import Place
from grader.training.folder import RunFolder
from grader.training.recipes import Run, Units
from grader.training.settings import Settings

_EVALUATIONS, _CHECKPOINTS = 10, 20
_MOST_HELD_OUT = 256  # windows: of a long text, a part of the end says enough


class Display(Protocol):
    """Where a run shows how it goes."""

    def begun(self, facts: dict[str, Any]) -> None:
        """The model is there; `facts` is what run.json holds, and `step` updates were made before."""

    def stepped(self, row: dict[str, float], tokens_per_second: float) -> None:
        """An update was made."""

    def ended(self, facts: dict[str, Any], sample: str) -> None:
        """All updates were made."""


@dataclass
class Training:
    """One run, ready to be continued.

    Args:
        units: The target's.
        settings: All that was asked for.
        place: Where this process computes.
        folder: Where the run lives.
        corpus: The text.
        run: Model, optimizer and loader.
    """

    units: Units
    settings: Settings
    place: Place
    folder: RunFolder
    corpus: Corpus
    run: Run

    def continue_(self, display: Display) -> None:
        """Make the updates that are left, then the sample."""
        begun = self.folder.load(self.units, self.run) if self.folder.saved_steps else 0
        leads = self.place.rank == 0
        if leads:
            self.folder.truncate_log(begun)
            display.begun({**self.folder.facts, "step": begun})
        for step, report, seconds in self._steps(begun):
            row: dict[str, float] = {"step": step}
            row |= {name: float(report[name]) for name in ("loss", "learning_rate", "grad_norm")}
            if leads and self._is_due(step, _EVALUATIONS):
                row["held_out_bits_per_byte"] = self.bits_per_byte()
            if leads:
                self.folder.log(row)
                display.stepped(row, self._tokens_a_step() / seconds)
            if self._is_due(step, _CHECKPOINTS):
                self._save(step)
        if leads:
            display.ended(self.folder.facts, self.sample())

    def _steps(self, begun: int) -> Iterator[tuple[int, dict[str, float], float]]:
        model = self.place.prepare(self.run.model)
        rates = recipes.learning_rates(self.units, self.settings.recipe)[begun:]
        run = Run(model, self.run.optimizer, self.place.bring(self.run.loader))
        reports = recipes.train(self.units, self.settings.recipe, run, rates)
        for step in itertools.count(begun + 1):
            started = time.perf_counter()
            with self.place.autocast():
                report = next(reports, None)
            if report is None:
                return
            yield step, report, time.perf_counter() - started

    def _is_due(self, step: int, times: int) -> bool:
        every = max(1, self.settings.steps // times)
        return step % every == 0 or step == self.settings.steps

    def _tokens_a_step(self) -> int:
        settings = self.settings
        return settings.batch_size * settings.accumulation_steps * settings.max_length * self.place.world_size

    def _save(self, step: int) -> None:
        self.folder.save(self.units, self.run, step)
        self.place.meet()  # a checkpoint counts when every process has written its part
        if self.place.rank == 0:
            self.folder.point_to(step)

    def bits_per_byte(self) -> float:
        """Of the held-out text, by the target's own `evaluate`."""
        windows = corpus.dataset(self.units, self.corpus.held_out, self.settings.max_length)
        chosen = itertools.islice(windows, _MOST_HELD_OUT)
        with self.place.autocast():
            loss = self.units("training").evaluate(self.run.model, self.place.bring(_batches(chosen)))
        tokens = self.corpus.held_out.stat().st_size // 2
        return float(loss) / math.log(2) * tokens / self.corpus.held_out_bytes

    def sample(self, tokens: int = 200) -> str:
        """Text that the model writes, after the first words of the held-out text; also in sample.txt."""
        words = next(iter(corpus.dataset(self.units, self.corpus.held_out, 16)))[0]
        options = {"temperature": 0.8, "top_k": 50, "generator": torch.Generator(self.place.device).manual_seed(0)}
        generate = self.units("generation").generate
        rows = generate(self.run.model, words[None].to(self.place.device), tokens, **options)
        text: str = self.corpus.tokenizer.decode(rows[0].tolist())
        (self.folder.path / "sample.txt").write_text(text, encoding="utf-8")
        return text


def _batches(windows: Iterable[Any], size: int = 16) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for _, group in itertools.groupby(enumerate(windows), key=lambda pair: pair[0] // size):
        inputs, targets = zip(*(window for _, window in group), strict=True)
        yield torch.stack(inputs), torch.stack(targets)


def open_run(units: Units, settings: Settings, place: Place, path: Path, facts: dict[str, Any], text: str) -> Training:
    """A new run in its folder, or the one that is there already, with freshly built parts.

    Args:
        units: The target's.
        settings: All that is asked for.
        place: Where this process computes.
        path: The run's folder.
        facts: What else run.json is to hold.
        text: What to train on.
    """
    folder = RunFolder(path, place.rank)
    if place.rank == 0 and not folder.facts:
        path.mkdir(parents=True, exist_ok=True)
        corpus.prepare(units, text, settings.vocab_size, path)
    place.meet()
    prepared = corpus.reopen(units, path)
    torch.default_generator.manual_seed(settings.seed + place.rank)  # of dropout
    run = _build(units, settings, place, prepared)
    if place.rank == 0 and not folder.facts:
        parameters = units("model").count_parameters(run.model)
        more = {"parameters": parameters, "gzip_bits_per_byte": prepared.gzip_bits_per_byte}
        folder.write_facts({**facts, **more, "options": dataclasses.asdict(settings)})
    place.meet()
    return Training(units, settings, place, folder, prepared, run)


def trained(units: Units, path: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a run, as its last checkpoint has them.

    Raises:
        ValueError: It has none yet.
    """
    folder = RunFolder(path)
    if not folder.saved_steps:
        raise ValueError(f"{path} has no checkpoint yet")
    prepared = corpus.reopen(units, path)
    run = _build(units, Settings(**folder.facts["options"]), Place("cpu"), prepared)
    folder.load(units, run)
    return run.model, prepared.tokenizer


def _build(units: Units, settings: Settings, place: Place, prepared: Corpus) -> Run:
    model = recipes.build_model(units, settings.recipe, prepared.tokenizer.vocab_size, settings.seed).to(place.device)
    data = corpus.dataset(units, prepared.train, settings.max_length)
    # Each process walks through the text in an order of its own.
    loader = units("data").ShufflingLoader(data, settings.batch_size, seed=settings.seed + place.rank)
    return Run(model, recipes.build_optimizer(units, settings.recipe, model), loader)
