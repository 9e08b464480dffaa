"""The whole stack: a submission's units put together and trained, here or behind the boundary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Units = Callable[[str], Any]  # a unit's module by its name


@dataclass(frozen=True)
class Recipe:
    """How a model is built and trained.

    Args:
        model: Fields of `ModelConfig` but vocab_size.
        batch_size: Sequences in a batch.
        steps: Updates.
        max_lr: Highest learning rate; it is reached after a tenth of the steps, and ends at a tenth of itself.
        weight_decay: Of weight matrices.
        accumulation_steps: Batches in an update.
        max_norm: Of the gradient, after clipping.
        first_weights: Standard deviation of the first weights. The usual 0.02 is for wide models: a narrow one begins
            to learn sooner with about d_model ** -0.5. None: as the model draws them by itself.
    """

    model: Mapping[str, Any]
    batch_size: int
    steps: int
    max_lr: float
    weight_decay: float = 0.1
    accumulation_steps: int = 1
    max_norm: float = 1.0
    first_weights: float | None = None


# A small model of the artificial language. With first weights of 0.02 one this narrow takes three times as long to find
# out that the first word of a sentence says what the last one is.
SPEAKING = Recipe(
    {
        **{"max_length": 32, "d_model": 32, "num_layers": 2, "num_heads": 4, "position": "rope", "norm": "rmsnorm"},
        **{"feedforward": "swiglu", "bias": False},
    },
    batch_size=16,
    steps=220,
    max_lr=1e-2,
    weight_decay=0.01,
    first_weights=0.14,
)


@dataclass
class Run:
    """A training run: what a checkpoint holds.

    Args:
        model: The model.
        optimizer: With the model's parameters.
        loader: Endless batches.
    """

    model: Any
    optimizer: Any
    loader: Any


def begin(
    units: Units, recipe: Recipe, tokens: Tensor, vocab_size: int, seed: int, dtype: torch.dtype = torch.float32
) -> Run:
    """Return a model with initial weights of this dtype, its optimizer, and a loader of the tokens."""
    model = build_model(units, recipe, vocab_size, seed).to(dtype)
    dataset = units("data").TokenDataset(tokens, recipe.model["max_length"])
    return Run(model, build_optimizer(units, recipe, model), units("data").ShufflingLoader(dataset, recipe.batch_size))


def build_model(units: Units, recipe: Recipe, vocab_size: int, seed: int) -> Any:
    """A model with first weights of this seed."""
    config = units("model").ModelConfig(vocab_size=vocab_size, **recipe.model)
    generator = torch.Generator().manual_seed(seed)
    model = units("model").TransformerLM(config, generator=generator)
    if recipe.first_weights is not None:
        units("model").init_weights(
            model, recipe.model["num_layers"], std=recipe.first_weights, generator=torch.Generator().manual_seed(seed)
        )
    return model


def build_optimizer(units: Units, recipe: Recipe, model: Any) -> Any:
    """AdamW, with decay on the weight matrices only; 0.95 forgets a gradient's size within a short run, too."""
    groups = units("optim").parameter_groups(model.named_parameters(), recipe.weight_decay)
    return units("optim").AdamW(groups, lr=recipe.max_lr, betas=(0.9, 0.95))


def learning_rates(units: Units, recipe: Recipe) -> list[float]:
    """One for each step: warmup and half a cosine."""
    shape = {"max_lr": recipe.max_lr, "min_lr": recipe.max_lr / 10}
    lengths = {"warmup_steps": max(1, recipe.steps // 10), "total_steps": recipe.steps}
    return [units("schedule").warmup_cosine(step, **shape, **lengths) for step in range(recipe.steps)]


def train(units: Units, recipe: Recipe, run: Run, rates: Sequence[float]) -> Iterator[dict[str, float]]:
    """What the learner's loop reports of every step."""
    options = {"accumulation_steps": recipe.accumulation_steps, "max_norm": recipe.max_norm}
    steps: Iterator[dict[str, float]] = units("training").train(
        run.model, run.optimizer, iter(run.loader), rates, **options
    )
    return steps
