"""How a text falls into tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pydoc_data.topics import topics
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from rich.console import RenderableType
from rich.text import Text

from grader.plots import figures
from grader.training.loading import LoadedSubmission, Unsuitable, wrong

TEXT = (
    "The tokenizer has read Python's manual: it knows statements, functions and objects.\n"
    "A sesquipedalian word falls apart, and so does a rocket 🚀.\n"
    "    return [x ** 2 for x in range(100)]"
)
VOCABULARY = 1024
MOST = 4000  # characters: more cannot be read
_COLUMNS = 92  # of the picture
_FONT = FontProperties(family="DejaVu Sans Mono")
_FILLS = ("#bfdcef", "#fde0b6")  # told apart by their lightness as well
_STYLES = ("#1a1a1a on #9ccbe8", "#1a1a1a on #f5c572")


@dataclass(frozen=True)
class Tokens:
    """What is drawn.

    Args:
        text: What was cut.
        pieces: The bytes of each token.
        vocab_size: How many tokens there are to choose from.
    """

    text: str
    pieces: tuple[bytes, ...]
    vocab_size: int

    @property
    def whole(self) -> bool:
        """Whether the tokens make up the text again."""
        return b"".join(self.pieces) == self.text.encode()

    @property
    def counts(self) -> str:
        """Characters, bytes and tokens, in a sentence."""
        size = len(self.text.encode())
        each = f"{size / len(self.pieces):.2f} bytes per token" if self.pieces else "no token"
        return f"{len(self.text)} characters, {size} bytes, {len(self.pieces)} tokens: {each}"


def collect(learner: LoadedSubmission, text: str) -> Tokens:
    """Train the learner's tokenizer on Python's manual and let it cut the text.

    Raises:
        Unsuitable: There is no text, or too much to be read.
    """
    if not 1 <= len(text) <= MOST:
        raise Unsuitable(f"--text has {len(text)} characters; a picture needs 1 to {MOST}")
    train, tokenizer_class = learner.get("tokenizer", "train_bpe"), learner.get("tokenizer", "BPETokenizer")
    trained: Any = train("\n".join(topics.values()), VOCABULARY)
    if not isinstance(trained, tuple) or len(trained) != 2 or not isinstance(trained[0], dict):
        raise wrong("tokenizer.train_bpe", "a vocabulary (a dict) and the merges", type(trained).__name__)
    vocab, merges = trained
    ids = tokenizer_class(vocab, merges).encode(text)
    if not isinstance(ids, list | tuple):
        raise wrong("tokenizer.BPETokenizer.encode", "a list of ids", type(ids).__name__)
    unknown = [token_id for token_id in ids if not isinstance(vocab.get(token_id), bytes)]
    if unknown:
        raise wrong("tokenizer.BPETokenizer.encode", "ids of the vocabulary, which has bytes", f"{unknown[0]!r}")
    return Tokens(text, tuple(vocab[token_id] for token_id in ids), len(vocab))


def written(piece: bytes) -> str:
    """A token as it can be read: its text, or where its bytes are no whole characters those, as <f0>."""
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return "".join(f"<{byte:02x}>" for byte in piece)
    return "".join(c if c.isprintable() or c == "\n" else "".join(f"<{b:02x}>" for b in c.encode()) for c in text)


def text(tokens: Tokens, coloured: bool) -> RenderableType:
    """The tokens in two colours by turns; without colours a bar between each two."""
    out = Text()
    for number, piece in enumerate(tokens.pieces):
        if number and not coloured:
            out.append("|")
        out.append(written(piece).replace("\n", "\\n\n"), style=_STYLES[number % 2])
    out.append("\n\n" + tokens.counts)
    if not tokens.whole:
        out.append("\nThe tokens do not decode to the text: pytest -k tokenizer", style="yellow")
    return out


def draw(tokens: Tokens) -> Figure:
    """The tokens as boxes in two colours by turns; a dot is a space, and what is in <> is a byte."""
    lines = list(_lines(tokens.pieces))
    height = 1.05 + 0.27 * len(lines)
    said = f"{tokens.counts}. A vocabulary of {tokens.vocab_size:,}. Dot: a space; <f0>: a byte."
    sheet = figures.figure(11.5, height, "How your tokenizer splits a text", said)
    sheet.set_layout_engine("none")
    axes = sheet.add_axes((0.012, 0.12 / height, 0.976, (height - 0.85) / height))
    axes.set_xlim(0, _COLUMNS)
    axes.set_ylim(len(lines) - 0.1, -0.1)
    axes.set_axis_off()
    # The width of a column, in points, over that of a character of one point: the letters fill their boxes.
    size = 11.5 * 0.976 * 72 / _COLUMNS / 0.602
    for row, line in enumerate(lines):
        for column, word, number in line:
            axes.barh(row + 0.42, len(word) - 0.08, 0.82, column + 0.04, color=_FILLS[number % 2])
            shown = word.replace("$", r"\$")
            axes.text(column, row + 0.45, shown, font=_FONT, fontsize=size, va="center_baseline", color=figures.INK)
    return sheet


def _lines(pieces: Sequence[bytes]) -> Iterator[list[tuple[int, str, int]]]:
    # Column, text and number of each token, line by line. A long token goes on in the next line.
    line: list[tuple[int, str, int]] = []
    column = 0
    for number, piece in enumerate(pieces):
        parts = _drawable(written(piece)).split("\n")
        for place, part in enumerate(parts):
            word = part + ("⏎" if place < len(parts) - 1 else "")
            while word:
                if column and column + len(word) > _COLUMNS:
                    yield line
                    line, column = [], 0
                line.append((column, word[:_COLUMNS], number))
                column, word = column + len(word[:_COLUMNS]), word[_COLUMNS:]
            if place < len(parts) - 1:
                yield line
                line, column = [], 0
    if line:
        yield line


def _drawable(text: str) -> str:
    spaced = text.replace(" ", "·")
    # What the font does not have would become an empty box and a warning.
    return "".join(c if c == "\n" or ord(c) in _glyphs() else f"<U+{ord(c):04X}>" for c in spaced)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(FT2Font(findfont(_FONT)).get_charmap())
