"""The reference model with a learner's weights: what their model must answer, and what their reports must say."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grader.checking import dependency
from grader.checking.capture import copy_weights
from grader.checking.oracle import load_solution
from grader.training import recipes
from grader.training.recipes import Recipe
from tests.recorded import Record


def reference(name: str) -> Any:
    """A unit of the reference, by its name."""
    return dependency(load_solution(""), name)


def reference_model(recipe: Recipe, vocab_size: int, weights: dict[str, Tensor]) -> Any:
    """The reference's model with these weights, in float64 and evaluation mode."""
    model = recipes.build_model(reference, recipe, vocab_size, 0)
    copy_weights(model, {name: value.double() for name, value in weights.items()})
    return model.double().eval()


def surprises(model: Any, ids: Tensor) -> Tensor:
    """Return -log of the probability that a model gives to each token of a sequence, from the second on."""
    with torch.no_grad():
        return -model(ids[None, :-1])[0].log_softmax(-1).gather(-1, ids[1:, None])[:, 0]


def true_loss(record: Record, step: int) -> float:
    """The reference's loss with the weights before an update, on the batch of that update."""
    size = record.recipe.accumulation_steps
    model = reference_model(record.recipe, record.vocab_size, record.weights[step])
    return reference("training").evaluate(model, record.batches[size * step : size * (step + 1)])


def expect_true_reports(record: Record, what: str, right: dict[int, float], tolerance: float) -> None:
    """The numbers that `train` reports are those of the reference with the same weights and batches.

    Args:
        record: The run.
        what: "loss" or "grad_norm".
        right: The reference's number for some updates.
        tolerance: How far, as a fraction, a report may be off.

    Raises:
        AssertionError: A report is wrong; the message names the update.
    """
    for step, number in right.items():
        got = record.reports[step][what]
        assert math.isclose(got, number, rel_tol=tolerance), (
            f"train reports a {what} of {got:.6f} for update {step + 1}. With the weights that your model had then, "
            f"the reference has {number:.6f} on the same batch."
        )


@dataclass(frozen=True)
class Update:
    """One update as the reference makes it from the learner's weights.

    Args:
        loss: The loss before it.
        grad_norm: The length of its gradient.
        right: The change of all weights as one vector.
        got: The change of the learner's weights.
        gradient: The gradient.
    """

    loss: float
    grad_norm: float
    right: Tensor
    got: Tensor
    gradient: Tensor


def replay(record: Record, steps: int) -> list[Update]:
    """Make the first updates again, each from the weights that the learner's model had before it."""
    recipe = record.recipe
    model = reference_model(recipe, record.vocab_size, record.weights[0])
    run = recipes.Run(model, recipes.build_optimizer(reference, recipe, model), record.batches)
    own, found = dict(model.named_parameters()), []
    rates = recipes.learning_rates(reference, recipe)[:steps]
    for step, report in enumerate(recipes.train(reference, recipe, run, rates)):
        before, after = (_vector(record.weights[at], own) for at in (step, step + 1))
        right, gradient = _vector(own, own) - before, torch.cat([value.grad.flatten() for value in own.values()])
        found.append(Update(report["loss"], report["grad_norm"], right, after - before, gradient))
        copy_weights(model, {name: record.weights[step + 1][name].double() for name in own})
    return found


def _vector(weights: dict[str, Tensor], names: Iterable[str]) -> Tensor:
    return torch.cat([weights[name].detach().double().flatten() for name in names])


def expect_learned(record: Record, updates: list[Update]) -> None:
    """The model began without knowledge, and its weights moved as the reference's gradient says.

    Raises:
        AssertionError: They did not.
    """
    nothing = math.log(record.vocab_size)
    assert updates[0].loss > 0.8 * nothing, (
        f"Before its first update your model has a loss of {updates[0].loss:.2f}, and a model that knows nothing has "
        f"about log({record.vocab_size}) = {nothing:.2f}."
    )
    alike = torch.stack([torch.cosine_similarity(update.got, update.right, dim=0) for update in updates])
    assert alike.median() > 0.5, (
        f"The updates of your weights do not follow the gradient: between your updates and the reference's, from the "
        f"same weights and batches, the cosine is {alike.median():.2f} (median of {len(updates)}), expected about 1."
    )


def expect_updates(updates: list[Update]) -> None:
    """Every update is the reference's, wherever the gradient is large enough to be known.

    AdamW divides by the size of the gradient: where it is 0, as of a bias of keys, rounding alone decides the update.

    Raises:
        AssertionError: One is not; the message says which, and by how much.
    """
    for step, update in enumerate(updates):
        known = update.gradient.abs() > 1e-3 * update.gradient.abs().max()
        off, size = (update.got - update.right)[known].abs().max(), update.right.abs().max()
        assert off <= 1e-2 * size, (
            f"Update {step + 1} changes a weight by {off:.2g} more or less than the reference does from the same "
            f"weights and batch; its largest change is {size:.2g}."
        )


def expect_causal(record: Record) -> None:
    """No position of the trained model sees a later one.

    Raises:
        AssertionError: One does; the message says which, and how the model was called.
    """
    for probe, scores, others in record.answers:
        called = f"Called with ids of shape {tuple(probe.ids.shape)} in {_mode(probe.training)} mode, the trained model"
        shape = (*probe.ids.shape, record.vocab_size)
        assert scores.shape == others.shape == shape, f"{called} gives {tuple(scores.shape)}, expected {shape}."
        changed = ((scores - others)[:, : probe.start].abs().amax((0, 2)) > 1e-4).nonzero()[:, 0].tolist()
        assert not changed, (
            f"{called} gives other scores at the positions {changed} when only the tokens from {probe.start} on are "
            "changed: these positions see what comes after them."
        )


def expect_reference_scores(record: Record) -> None:
    """The trained model gives the scores that the reference gives with the same weights.

    Raises:
        AssertionError: It does not; the message says where they differ most.
    """
    model = reference_model(record.recipe, record.vocab_size, record.weights[-1])
    for probe, *answers in record.answers:
        for ids, scores in zip((probe.ids, probe.twin), answers, strict=True):
            with torch.no_grad():
                right = model(ids)
            called = (
                f"Called with ids of shape {tuple(ids.shape)} in {_mode(probe.training)} mode, your trained model gives"
            )
            assert scores.shape == right.shape, f"{called} {tuple(scores.shape)}, expected {tuple(right.shape)}."
            off = (scores.double() - right).abs().max()
            assert off <= 1e-4 * (1 + right.abs().max()), (
                f"{called} scores that differ by up to {off:.3g} from those of the reference with the same weights."
            )


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"
