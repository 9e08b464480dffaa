"""A learner's stack that is trained on the artificial language, once for all checks, and what it writes afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from grader.checking import dependency
from grader.checking.capture import copy_weights
from grader.training import recipes
from grader.training.language import Language
from grader.training.recipes import SPEAKING
from tests import recorded, replayed

Once = Callable[[str, Callable[[Any], Any]], Any]
LENGTH = SPEAKING.model["max_length"]


@dataclass(frozen=True)
class Text:
    """A text of the language and its tokens.

    Args:
        language: The language.
        seed: From which language, text and everything else are drawn.
        tokenizer: The reference's, trained on the text.
        tokens: The whole text.
    """

    language: Language
    seed: int
    tokenizer: Any
    tokens: Tensor

    def encoded(self, text: str) -> Tensor:
        """The tokens of another text."""
        return torch.tensor(self.tokenizer.encode(text))


def text_of(unit: Any, once: Once) -> Text:
    """The text to learn from.

    Raises:
        AssertionError: The learner's tokenizer makes other tokens of it than the reference's.
    """
    return once("text", partial(_text, unit))


def _text(unit: Any, rand: Any) -> Text:
    seed = rand.seed()
    language = Language.draw(seed)
    text, size = language.sentences(6000, seed), 256 + 110
    vocab, merges = replayed.reference("tokenizer").train_bpe(text[:20000], size, ())
    mine = dependency(unit, "tokenizer").train_bpe(text[:20000], size, ())
    assert tuple(mine) == (vocab, merges), (
        f"train_bpe makes another vocabulary or other merges than the reference of a text that begins {text[:30]!r}."
    )
    tokenizer = replayed.reference("tokenizer").BPETokenizer(vocab, merges)
    right, got = tokenizer.encode(text), dependency(unit, "tokenizer").BPETokenizer(vocab, merges).encode(text)
    assert got == right, f"encode gives {len(got)} tokens and not the {len(right)} of the reference for {text[:30]!r}…"
    return Text(language, seed, tokenizer, torch.tensor(right))


@dataclass(frozen=True)
class Speaker:
    """A stack that has learned the language.

    Args:
        text: What it learned from.
        record: How.
    """

    text: Text
    record: recorded.Record

    def reference_model(self) -> Any:
        """The reference's model with the learned weights."""
        return replayed.reference_model(SPEAKING, self.record.vocab_size, self.record.weights[-1])


def speaker(unit: Any, once: Once) -> Speaker:
    """Train the stack."""
    return once("speaker", partial(_speaker, unit, once))


def _speaker(unit: Any, once: Once, rand: Any) -> Speaker:
    units, text = partial(dependency, unit), text_of(unit, once)
    vocab_size = text.tokenizer.vocab_size
    run = recipes.begin(units, SPEAKING, text.tokens, vocab_size, text.seed)
    # Lengths and batch sizes of training and of generation.
    asked = recorded.probes(rand, vocab_size, (SPEAKING.batch_size, LENGTH), (1, LENGTH), (3, 2))
    rates = recipes.learning_rates(units, SPEAKING)
    return Speaker(text, recorded.record(units, SPEAKING, vocab_size, run, rates, asked))


@dataclass(frozen=True)
class Writing:
    """What a trained stack wrote.

    Args:
        lines: Texts that begin a line, drawn at the temperature of `TEMPERATURE`.
        greedy: The likeliest continuations of prompts of `PROMPT` tokens.
        long: Continuations of prompts that are longer than the model sees, drawn at temperature 1.
    """

    lines: Tensor
    greedy: Tensor
    long: Tensor


TEMPERATURE = 0.6
PROMPT, LONG_PROMPT = 6, LENGTH + 8


def writing(unit: Any, once: Once, restart: Callable[[], Any]) -> Writing:
    """Let the stack write, in a process that has never seen the text: it gets the weights alone."""
    return once("writing", partial(_writing, unit, once, restart))


def _writing(unit: Any, once: Once, restart: Callable[[], Any], rand: Any) -> Writing:
    trained = speaker(unit, once)
    unit = restart()
    model = recipes.build_model(partial(dependency, unit), SPEAKING, trained.record.vocab_size, rand.seed())
    copy_weights(model, trained.record.weights[-1])
    model.train()  # as it is after an update

    def write(prompt: Tensor, new: int, temperature: float) -> Tensor:
        generator = torch.Generator().manual_seed(rand.seed())
        rows = dependency(unit, "generation").generate(model, prompt, new, temperature=temperature, generator=generator)
        size = (len(prompt), prompt.shape[1] + new)
        assert isinstance(rows, Tensor), f"generate gave {type(rows).__name__}, expected a tensor."
        assert rows.dtype == torch.int64, f"generate gave {rows.dtype}, expected torch.int64."
        assert rows.shape == size, f"generate gave the shape {tuple(rows.shape)}, expected {size}."
        assert torch.equal(rows[:, : prompt.shape[1]], prompt), "generate has to give the prompts and what follows."
        assert bool(((rows >= 0) & (rows < trained.record.vocab_size)).all()), "generate gave an id that is no token."
        return rows.detach()

    newline = trained.text.encoded("\n").expand(32, -1)
    starts = rand.integers(0, len(trained.text.tokens) - LONG_PROMPT, 16).tolist()
    prompts = torch.stack([trained.text.tokens[start : start + LONG_PROMPT] for start in starts])
    return Writing(
        write(newline, LENGTH - 1, TEMPERATURE), write(prompts[:, :PROMPT], 16, 0.0), write(prompts[:8], 16, 1.0)
    )


def expect_drawn(model: Any, rows: Tensor, prompt: int, temperature: float) -> None:
    """The tokens after the prompt look as if they had been drawn from the model's probabilities.

    The surprises of tokens that are drawn have the distributions' entropies as their means, whatever was drawn before.
    So the sum of the differences has mean 0, and the sum of the surprises' variances as its variance.

    Raises:
        AssertionError: They are far likelier, or far less likely, than tokens that are drawn.
    """
    log_p = torch.stack([next_scores(model, rows[:, :at]) / temperature for at in range(prompt, rows.shape[1])], 1)
    log_p = log_p.log_softmax(-1)
    surprise = -log_p.gather(-1, rows[:, prompt:, None])[..., 0]
    entropy = -(log_p.exp() * log_p).sum(-1)
    variance = (log_p.exp() * log_p**2).sum(-1) - entropy**2
    off = ((surprise - entropy).sum() / variance.sum().sqrt()).item()
    assert abs(off) < 8, (
        f"The tokens that generate has drawn with temperature {temperature} are not drawn from the model's "
        f"probabilities: their mean of -log p is {surprise.mean():.3f}, and tokens that are drawn have "
        f"{entropy.mean():.3f} ({off:+.0f} standard deviations). " + _hint(off)
    )


def _hint(off: float) -> str:
    if off < 0:
        return "Yours are too likely: is anything drawn?"
    return "Yours are too unlikely: which position are the scores taken from?"


def expect_greedy(model: Any, rows: Tensor, prompt: int) -> None:
    """Each token after the prompt is the likeliest of the model, or as good as that.

    Raises:
        AssertionError: One is not; the message gives its place.
    """
    for at in range(prompt, rows.shape[1]):
        scores = next_scores(model, rows[:, :at])
        missed = scores.amax(-1) - scores.gather(-1, rows[:, at, None])[:, 0]
        assert missed.max() < 1e-3, (
            f"With temperature 0, token {at - prompt + 1} of text {int(missed.argmax())} is not the likeliest of the "
            f"model: its score is {missed.max():.3f} below the largest."
        )


def next_scores(model: Any, ids: Tensor) -> Tensor:
    """The scores of a model for the token that follows each text."""
    with torch.no_grad():
        return model(ids[:, -LENGTH:])[:, -1]
