"""How near a small model comes to the least possible loss, on a language of which every probability is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.console import RenderableType
from rich.text import Text

from grader.plots import figures, textplot
from grader.plots.smooth import smoothed
from grader.training import recipes
from grader.training.language import Language
from grader.training.loading import LoadedSubmission, number, wrong

STEPS, SEED = 250, 0
SENTENCES, TRAINING_CHARACTERS, VOCABULARY = 6000, 20000, 256 + 110
# Whatever the run goes through, in the order in which it is needed: the first stub is the one to write.
_NEEDED = (
    *(("tokenizer", "train_bpe"), ("tokenizer", "BPETokenizer"), ("model", "TransformerLM")),
    ("model", "init_weights"),
    *(("loss", "cross_entropy"), ("data", "TokenDataset"), ("data", "ShufflingLoader")),
    *(("optim", "parameter_groups"), ("optim", "AdamW"), ("schedule", "warmup_cosine"), ("training", "train")),
)


@dataclass(frozen=True)
class Losses:
    """What is drawn, in nats a token.

    Args:
        values: The loss of each step's batch.
        floor: What no model can be below on the average.
        start: What a model has that holds all tokens for equally likely.
    """

    values: tuple[float, ...]
    floor: float
    start: float


def collect(learner: LoadedSubmission, steps: int = STEPS, progress: Callable[[], object] = lambda: None) -> Losses:
    """Train a small model of the learner's own stack.

    Args:
        learner: Whose stack.
        steps: Updates.
        progress: Called after each.
    """
    for unit, name in _NEEDED:
        learner.get(unit, name)
    language = Language.draw(SEED)
    sentences = language.sentences(SENTENCES, SEED)
    vocab, merges = learner("tokenizer").train_bpe(sentences[:TRAINING_CHARACTERS], VOCABULARY, ())
    tokenizer = learner("tokenizer").BPETokenizer(vocab, merges)
    ids = torch.tensor(tokenizer.encode(sentences))
    recipe = replace(recipes.SPEAKING, steps=steps)
    values = []
    with _one_thread():
        for value in _training(learner, recipe, ids, tokenizer.vocab_size):
            values.append(value)
            progress()
    return Losses(tuple(values), language.entropy / (len(ids) / SENTENCES), math.log(tokenizer.vocab_size))


@contextmanager
def _one_thread() -> Iterator[None]:
    # On matrices as small as these, threads wait for one another: on a busy machine one alone is ten times as fast.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _training(learner: LoadedSubmission, recipe: recipes.Recipe, ids: Any, vocab_size: int) -> Iterator[float]:
    run = recipes.begin(learner, recipe, ids, vocab_size, SEED)
    reports = 0
    for report in recipes.train(learner, recipe, run, recipes.learning_rates(learner, recipe)):
        if not isinstance(report, dict) or "loss" not in report:
            raise wrong("training.train", "a dict with 'loss' for every step", str(report)[:60])
        reports += 1
        yield number(report["loss"], "training.train, for the loss,")
    if not reports:
        raise wrong("training.train", f"{recipe.steps} reports", "none")


def draw(losses: Losses) -> Figure:
    """Each step's loss, their smoothed course, and the two lines between which it runs."""
    said = f"A small model of your stack, {len(losses.values)} steps on an artificial language whose entropy is known."
    sheet = figures.figure(8.5, 4.8, "Loss and the lowest possible loss", said)
    axes = sheet.subplots()
    steps = range(1, len(losses.values) + 1)
    axes.plot(steps, losses.values, color=figures.COLOURS[5], linewidth=0.9, alpha=0.7, label="loss of each batch")
    axes.plot(steps, smoothed(losses.values), color=figures.COLOURS[0], linewidth=2.2, label="smoothed")
    figures.level(axes, losses.start, f"{losses.start:.3f}").set_label("all tokens equally likely")
    floor = figures.level(axes, losses.floor, f"{losses.floor:.3f}", colour=figures.COLOURS[1], line="--", below=True)
    floor.set_label("entropy of the language: the lowest possible loss")
    highest = max((value for value in losses.values if math.isfinite(value)), default=0.0)
    # A run that flies apart must not press everything else to the ground.
    axes.set_ylim(0, 1.12 * max(losses.start, min(highest, 2 * losses.start)))
    axes.set_xlim(1, max(2, len(losses.values)))
    figures.label(axes, "", "step", "loss, nats per token")
    axes.legend(fontsize=9, frameon=False, loc="center right")
    return sheet


def text(losses: Losses, width: int) -> RenderableType:
    """A curve of block characters, and how near it came."""
    rows = textplot.curve(losses.values, width=min(60, width - 12), height=8)
    finite = [value for value in losses.values if math.isfinite(value)]
    lines = Text()
    lines.append("loss, nats per token\n", style="bold")
    top = f"{max(finite):.2f}" if finite else "nan"
    framed = textplot.framed(rows, top, "0", "step 1", str(len(losses.values)))
    lines.append(framed + "\n")
    lines.append(_verdict(losses))
    if smoothed(losses.values)[-1] < 0.98 * losses.floor:
        lines.append("\nLower than the lowest possible loss: does a position see later ones?", style="yellow")
    return lines


def _verdict(losses: Losses) -> str:
    broken = [step for step, value in enumerate(losses.values, start=1) if not math.isfinite(value)]
    if broken:
        return f"At step {broken[0]} the loss is {losses.values[broken[0] - 1]}."
    last = smoothed(losses.values)[-1]
    above = 100 * (last / losses.floor - 1)
    return f"Last loss (smoothed) {last:.3f}; lowest possible {losses.floor:.3f}: {above:.0f} % above it."
