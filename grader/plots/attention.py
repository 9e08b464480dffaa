"""Who looks at whom: the weights of every attention head on a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text
from torch import Tensor, nn

from grader.plots import figures, textplot
from grader.training.folder import locate
from grader.training.loading import LoadedSubmission, Unsuitable, tensor, wrong
from grader.training.loop import trained

TEXT = "the cat sat on the mat because it was warm"
D_MODEL, HEADS, SEED = 64, 4, 0
_NUMBERS = 12  # tokens: with more, there is no room for a number in each cell
MOST = 64  # tokens: more cannot be read, however large the picture


@dataclass(frozen=True)
class Head:
    """One head on one text.

    Args:
        name: As "head 2", or with the layer in front.
        weights: (queries, keys), as the target's code gave them.
    """

    name: str
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class Attention:
    """What is drawn.

    Args:
        tokens: Of the text, on both axes.
        heads: In order.
        source: Where the weights come from, for the subtitle.
        columns: How many heads stand side by side.
    """

    tokens: tuple[str, ...]
    heads: tuple[Head, ...]
    source: str
    columns: int


def words(text: str) -> tuple[str, ...]:
    """Words and marks: what stands for tokens where nothing has been trained.

    Raises:
        Unsuitable: There is none, or there are too many to be read.
    """
    found = tuple(re.findall(r"\w+|[^\w\s]", text))
    if not 1 <= len(found) <= MOST:
        raise Unsuitable(f"--text has {len(found)} words; a picture needs 1 to {MOST}")
    return found


def fresh(learner: LoadedSubmission, text: str) -> Attention:
    """The heads of the learner's `MultiHeadAttention` before any training, on the vectors of their `Embedding`.

    Equal words have equal vectors, which are brought to variance 1 as the norm in front of attention does: with the
    small numbers of a fresh table, every head would look at all words alike.
    """
    attention_class = learner.get("attention", "MultiHeadAttention")
    embedding_class = learner.get("embedding", "Embedding")
    tokens = words(text)
    vocabulary = {word: number for number, word in enumerate(sorted(set(tokens)))}
    generator = torch.Generator().manual_seed(SEED)
    embedding = embedding_class(len(vocabulary), D_MODEL, generator=generator)
    ids = torch.tensor([[vocabulary[word] for word in tokens]])
    vectors = tensor(embedding(ids), (1, len(tokens), D_MODEL), "embedding.Embedding")
    vectors = ((vectors - vectors.mean(-1, keepdim=True)) / vectors.std(-1, keepdim=True)).float()
    attention = attention_class(D_MODEL, HEADS, generator=generator).eval()
    with torch.no_grad():
        weights = _weights(attention(vectors), len(tokens), HEADS)
    heads = tuple(Head(f"head {number}", head.numpy()) for number, head in enumerate(weights))
    return Attention(tokens, heads, "Your MultiHeadAttention, untrained", columns=2)


def of_run(learner: LoadedSubmission, run: str, text: str) -> Attention:
    """The heads of the model that a training run has made so far.

    Raises:
        Unsuitable: No such run, or it has no checkpoint yet.
    """
    path = locate(run)
    try:
        model, tokenizer = trained(learner, path)
    except ValueError as error:
        raise Unsuitable(str(error)) from None
    ids = tokenizer.encode(text)[:MOST]
    return of_model(model, ids, [tokenizer.decode([id]) for id in ids], f"The model of {path.name}")


def of_model(model: nn.Module, ids: Sequence[int], tokens: Sequence[str], source: str) -> Attention:
    """The heads of every layer of a trained model.

    Args:
        model: A `TransformerLM`, whose `blocks` have an `attention` that returns its weights.
        ids: One text.
        tokens: The same as it is to be shown.
        source: What the subtitle says of the model.
    """
    seen: list[tuple[str, Any]] = []
    hooks = [
        block.attention.register_forward_hook(lambda _, __, out, layer=layer: seen.append((f"layer {layer}", out)))
        for layer, block in enumerate(model.blocks)  # type: ignore[arg-type]
    ]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.tensor([list(ids)]))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    heads = [
        Head(f"{layer}, head {number}", head.numpy())
        for layer, out in seen
        for number, head in enumerate(_weights(out, len(ids), None))
    ]
    # A row a layer, as long as that is not too wide.
    in_layer = len(heads) // max(1, len(seen))
    return Attention(tuple(tokens), tuple(heads), source, in_layer if in_layer <= 8 else 4)


def _weights(out: Any, length: int, heads: int | None) -> Tensor:
    what = "attention.MultiHeadAttention"
    if not isinstance(out, tuple) or len(out) != 2:
        raise wrong(what, "two things, the output and the weights", type(out).__name__)
    if heads is None:  # a trained model knows by itself how many it has
        heads = out[1].shape[1] if isinstance(out[1], Tensor) and out[1].dim() == 4 else 1
    return tensor(out[1], (1, heads, length, length), f"{what}, for the weights,")[0]


def draw(attention: Attention) -> Figure:
    """A heat map a head; what is exactly 0 is grey, so that a mask can be seen."""
    length, columns = len(attention.tokens), min(attention.columns, len(attention.heads))
    rows = -(-len(attention.heads) // columns)
    side = 2.2 + 0.17 * length
    subtitle = f"{attention.source}. {'In percent; grey' if length <= _NUMBERS else 'Grey'} is exactly 0: hidden."
    # The narrower sheet is that of a single head: the subtitle still has to fit.
    sheet = figures.figure(max(6.0, columns * side + 0.6), rows * side + 0.7, "Attention weights", subtitle)
    grid = np.atleast_1d(sheet.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for axes, head in zip(grid, attention.heads, strict=False):
        _panel(axes, head, attention.tokens)
    for axes in grid[len(attention.heads) :]:
        axes.set_visible(False)
    scale = sheet.colorbar(grid[0].images[0], ax=list(grid), shrink=0.6, aspect=30, pad=0.02)
    scale.set_label("weight", fontsize=9, color=figures.INK)
    scale.ax.tick_params(labelsize=8, length=2)
    scale.outline.set_visible(False)
    return sheet


def _panel(axes: Axes, head: Head, tokens: Sequence[str]) -> None:
    # Bent: in a long text all weights are small, and should still differ to the eye.
    figures.heat(axes, np.where(head.weights == 0, np.nan, head.weights), low=0.0, high=1.0, power=0.5)
    figures.label(axes, head.name, "key position", "query position")
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    places = range(len(tokens))
    axes.set_xticks(places, [_shown(token) for token in tokens], rotation=90, fontsize=8)
    axes.set_yticks(places, [_shown(token) for token in tokens], fontsize=8)
    axes.tick_params(length=0, labelbottom=True, labelleft=True)
    if len(tokens) > _NUMBERS:
        return
    for row, column in np.argwhere(head.weights > 0.005):
        weight = head.weights[row, column]
        ink = "white" if weight < 0.4 else figures.INK
        axes.text(column, row, f"{100 * weight:.0f}", ha="center", va="center", fontsize=7, color=ink)


def _shown(token: str) -> str:
    # A dollar sign would begin a formula.
    short = token if len(token) <= 12 else token[:11] + "…"
    return short.replace("\n", "\\n").replace("$", r"\$")


def text(attention: Attention, width: int) -> RenderableType:
    """The same in characters: percent, or where that is too wide the strongest key of each query."""
    margin = min(12, max(len(_plain(token)) for token in attention.tokens))
    if margin + 4 * len(attention.tokens) > width:
        return Group(*(_strongest(head, attention.tokens, margin) for head in attention.heads))
    return Group(*(_matrix(head, attention.tokens, margin) for head in attention.heads))


def _matrix(head: Head, tokens: Sequence[str], margin: int) -> Text:
    lines = Text()
    lines.append(f"{head.name}: attention weights of each row, in percent; . is hidden (exactly 0)\n", style="bold")
    lines.append(" " * margin + "".join(f"{_plain(token)[:3]:>4}" for token in tokens) + "\n")
    for token, row in zip(tokens, head.weights, strict=True):
        lines.append(f"{_plain(token)[:margin]:>{margin}}")
        for weight in row:
            cell = "   ." if weight == 0 else f"{100 * weight:4.0f}"
            lines.append_text(Text(cell, style="dim") if weight == 0 else textplot.shade(cell, weight))
        lines.append("\n")
    return lines


def _strongest(head: Head, tokens: Sequence[str], margin: int) -> Text:
    lines = Text()
    lines.append(f"{head.name}: the token that each token attends to most\n", style="bold")
    for number, (token, row) in enumerate(zip(tokens, head.weights, strict=True)):
        key = int(np.nanargmax(row)) if np.isfinite(row).any() else number
        line = f"{_plain(token)[:margin]:>{margin}} -> {_plain(tokens[key])[:margin]:<{margin}} "
        lines.append(line)
        lines.append_text(textplot.shade(f"{100 * row[key]:4.0f} %", row[key]))
        lines.append("\n")
    return lines


def _plain(token: str) -> str:
    return token.replace("\n", "\\n")
