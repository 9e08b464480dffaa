"""What a training run is made of: every setting, its default, and how it is read from a command line."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.curriculum.suggest import did_you_mean

if TYPE_CHECKING:  # it imports torch, and reading settings needs none
    from grader.training.recipes import Recipe

_RUN_ONLY = (
    *("vocab_size", "batch_size", "steps", "max_lr", "weight_decay", "accumulation_steps", "max_norm"),
    *("first_weights", "seed"),
)


@dataclass(frozen=True)
class Settings:
    """Fields of `ModelConfig`, then those of the training. The defaults learn Python's manual in minutes on a CPU.

    Args:
        max_length: As all up to `tie_embeddings`, a field of `ModelConfig`.
        vocab_size: Tokens that byte-pair encoding makes of the text.
        batch_size: Sequences in a batch.
        steps: Updates.
        max_lr: The highest learning rate: after a tenth of the steps. It ends at a tenth of itself.
        weight_decay: Of weight matrices.
        accumulation_steps: Batches in an update.
        max_norm: Of the gradient, after clipping.
        first_weights: Their standard deviation. The usual 0.02 is for wide models.
        seed: Of first weights, order of the data, dropout and sample.
    """

    max_length: int = 128
    d_model: int = 128
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int | None = None
    d_hidden: int | None = None
    position: str = "rope"
    rope_base: float = 10000.0
    norm: str = "rmsnorm"
    norm_position: str = "pre"
    norm_eps: float = 1e-5
    feedforward: str = "mlp"
    activation: str = "gelu_tanh"
    dropout: float = 0.0
    bias: bool = False
    tie_embeddings: bool = True
    vocab_size: int = 1024
    batch_size: int = 16
    steps: int = 400
    max_lr: float = 3e-3
    weight_decay: float = 0.1
    accumulation_steps: int = 1
    max_norm: float = 1.0
    first_weights: float = 0.06
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_length", "vocab_size", "batch_size", "steps", "accumulation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not 256 < self.vocab_size <= 65536:
            raise ValueError(f"vocab_size must be more than the 256 bytes and at most 65536, got {self.vocab_size}")

    @property
    def recipe(self) -> Recipe:
        """The same for `grader.training.recipes`."""
        from grader.training.recipes import Recipe

        facts = dataclasses.asdict(self)
        of_run = {name: facts.pop(name) for name in _RUN_ONLY}
        del of_run["vocab_size"], of_run["seed"]
        return Recipe(model=facts, **of_run)


def read(assignments: Sequence[str]) -> dict[str, Any]:
    """Settings given as `name=value`.

    Raises:
        ValueError: No such setting, or a value of another type; the message says what there is.
    """
    types = typing.get_type_hints(Settings)
    found: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or name not in types:
            meant = did_you_mean(name, types, f"Settings: {', '.join(types)}")
            raise ValueError(f"--set wants NAME=VALUE, got {assignment!r}. {meant}")
        found[name] = _value(name, value, types[name])
    return found


def _value(name: str, text: str, type_: Any) -> Any:
    choices = typing.get_args(type_) or (type_,)
    if type(None) in choices and text.lower() == "none":
        return None
    wanted = choices[0]
    if wanted is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
        raise ValueError(f"--set {name} wants true or false, got {text!r}")
    try:
        return wanted(text)
    except ValueError:
        raise ValueError(f"--set {name} wants a value of type {wanted.__name__}, got {text!r}") from None


def differences(settings: Settings, stored: Mapping[str, Any]) -> list[str]:
    """What is not as it was stored, as `steps 100 and not 500`."""
    facts = dataclasses.asdict(settings)
    return [f"{name} {facts[name]} and not {stored[name]}" for name in facts if facts[name] != stored.get(name)]
