"""Training runs of a learner's stack, recorded from outside: the batches that it takes and its weights at every step.

A report is the learner's word. Batches and weights are not: they pass through the grader on their way, and
`tests/replayed.py` computes from them what the reports must be.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from grader.checking.oracle import load_solution
from grader.training import recipes
from grader.training.recipes import Recipe


@dataclass(frozen=True)
class Probe:
    """A question to a trained model.

    Args:
        ids: Token ids, (batch, seq).
        twin: The same up to position `start`, and other tokens from there on.
        start: The first position that differs.
        training: Whether the model is in training mode.
    """

    ids: Tensor
    twin: Tensor
    start: int
    training: bool


@dataclass(frozen=True)
class Record:
    """What a run did.

    Args:
        recipe: How the model was built and trained.
        vocab_size: Number of tokens.
        batches: The batches in the order in which they were taken.
        reports: "loss" and "grad_norm" of every update, as the stack reports them.
        weights: The documented parameters before every update, and after the last one.
        answers: For every probe, what the trained model answered to `ids` and to `twin`.
    """

    recipe: Recipe
    vocab_size: int
    batches: list[tuple[Tensor, Tensor]]
    reports: list[dict[str, float]]
    weights: list[dict[str, Tensor]]
    answers: list[tuple[Probe, Tensor, Tensor]]


def record(
    units: recipes.Units,
    recipe: Recipe,
    vocab_size: int,
    run: recipes.Run,
    rates: list[float],
    asked: Iterable[Probe] = (),
) -> Record:
    """Train with these learning rates, then ask the probes."""
    shapes = documented(recipe, vocab_size)
    # Taken before the first update, since an isolated train cannot ask for a batch of an isolated loader on the way.
    taken = list(islice(iter(run.loader), len(rates) * recipe.accumulation_steps))
    batches = [_readable(batch, recipe, vocab_size) for batch in taken]
    weights, reports = [weights_of(run.model, shapes)], []
    for report in islice(recipes.train(units, recipe, replace(run, loader=batches), rates), len(rates) + 1):
        reports.append({what: float(report[what]) for what in ("loss", "grad_norm")})
        weights.append(weights_of(run.model, shapes))
    assert len(reports) == len(rates), f"train gave {len(reports)} reports for {len(rates)} learning rates."
    return Record(recipe, vocab_size, batches, reports, weights, answers(run.model, asked))


def _readable(batch: Any, recipe: Recipe, vocab_size: int) -> tuple[Tensor, Tensor]:
    pair = isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)
    assert pair, f"The loader gave {type(batch).__name__} as a batch, expected a pair of tensors: inputs and targets."
    inputs, targets = batch
    right = inputs.dim() == 2 and inputs.shape == targets.shape and inputs.shape[1] <= recipe.model["max_length"]
    right = right and inputs.dtype == targets.dtype == torch.int64
    assert right, (
        f"The loader gave inputs of shape {tuple(inputs.shape)} ({inputs.dtype}) and targets of shape "
        f"{tuple(targets.shape)} ({targets.dtype}), expected int64 of one shape (batch_size, max_length)."
    )
    known = bool(((inputs >= 0) & (inputs < vocab_size) & (targets >= 0) & (targets < vocab_size)).all())
    assert known, f"The loader gave a token id outside the vocabulary of {vocab_size} tokens."
    return inputs.detach().clone(), targets.detach().clone()


def answers(model: Any, probes: Iterable[Probe]) -> list[tuple[Probe, Tensor, Tensor]]:
    """What a model answers to the two texts of every probe."""
    found = []
    for probe in probes:
        model.train(probe.training)
        with torch.set_grad_enabled(probe.training):
            found.append((probe, model(probe.ids).detach(), model(probe.twin).detach()))
    return found


def probes(rand: Any, vocab_size: int, *shapes: tuple[int, int]) -> list[Probe]:
    """Random probes of these shapes, each in evaluation mode and in training mode."""
    found = []
    for rows, length in shapes:
        ids = rand.integers(0, vocab_size, rows, length)
        start = int(rand.integers(1, length))
        changed = (ids + rand.integers(1, vocab_size, rows, length)) % vocab_size
        twin = torch.where(torch.arange(length) < start, ids, changed)
        found += [Probe(ids, twin, start, training) for training in (False, True)]
    return found


def documented(recipe: Recipe, vocab_size: int) -> dict[str, torch.Size]:
    """Every parameter that the model of a recipe has by its documentation, and its shape."""
    reference = load_solution("model")
    config = reference.ModelConfig(vocab_size=vocab_size, **recipe.model)
    # A generator of its own: locally, the global one belongs to the learner's run.
    model = reference.TransformerLM(config, generator=torch.Generator())
    return {name: parameter.shape for name, parameter in model.named_parameters(remove_duplicate=False)}


def weights_of(model: Any, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """Copies of the documented parameters of a learner's model.

    Raises:
        AssertionError: A parameter is missing, unknown or of another shape; the message names it.
    """
    found = {name: parameter.detach().clone() for name, parameter in model.named_parameters(remove_duplicate=False)}
    for name in sorted(shapes.keys() | found.keys()):
        assert name in found, f"Your TransformerLM has no parameter {name!r}; its documentation lists it."
        assert name in shapes, f"Your TransformerLM has a parameter {name!r}, which its documentation does not list."
        assert found[name].shape == shapes[name], (
            f"The parameter {name!r} of your TransformerLM has shape {tuple(found[name].shape)}, "
            f"expected {tuple(shapes[name])}."
        )
    return found


def expect_windows(batches: list[tuple[Tensor, Tensor]], tokens: Tensor, batch_size: int, length: int) -> None:
    """All batches are made of the windows of the text, each at most once per epoch.

    Raises:
        AssertionError: They are not; the message names the batch.
    """
    windows = tokens.unfold(0, length + 1, length)
    there, per_epoch = Counter(map(tuple, windows.tolist())), len(windows) // batch_size
    left: Counter[Any] = Counter()
    for number, (inputs, targets) in enumerate(batches):
        assert inputs.shape == (batch_size, length), (
            f"Batch {number + 1} has shape {tuple(inputs.shape)}, expected {(batch_size, length)}."
        )
        left = Counter(there) if number % per_epoch == 0 else left
        for row, answers in zip(inputs.tolist(), targets.tolist(), strict=True):
            window = (*row, answers[-1])
            assert answers[:-1] == row[1:], f"In batch {number + 1} a target is not the token after its input."
            assert window in there, f"A row of batch {number + 1} is not a window of the text."
            assert left[window] > 0, f"A window of batch {number + 1} has been in a batch of this epoch before."
            left[window] -= 1
