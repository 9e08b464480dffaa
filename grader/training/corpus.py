"""The text, as the target's own tokenizer and data pipeline make it: token files that are memory-mapped in training."""

from __future__ import annotations

import gzip
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grader.curriculum.files import write_atomically
from grader.training.recipes import Units

_TRAINED_ON = 2_000_000  # characters that decide the merges: more of them change hardly anything
_TOKENS = "uint16"


@dataclass(frozen=True)
class Corpus:
    """A text as tokens.

    Args:
        tokenizer: The target's.
        train: File of the tokens to train on.
        held_out: File of those to evaluate on: the end of the text.
        held_out_bytes: How many bytes of UTF-8 those stand for.
        gzip_bits_per_byte: What gzip -9 makes of the whole text, for comparison.
    """

    tokenizer: Any
    train: Path
    held_out: Path
    held_out_bytes: int
    gzip_bits_per_byte: float


def read_text(path: Path | None) -> str:
    """A file's text, or Python's own reference manual, which comes with every CPython.

    Raises:
        ValueError: It cannot be read as UTF-8 text.
    """
    if path is None:
        topics = importlib.import_module("pydoc_data.topics").topics
        return "\n".join(topics[name] for name in sorted(topics))
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--text {path}: {error}") from None


def prepare(units: Units, text: str, vocab_size: int, folder: Path) -> None:
    """Train the tokenizer, encode the text, write both into the folder.

    Raises:
        ValueError: The text is too short to be split.
    """
    vocab, merges = units("tokenizer").train_bpe(text[:_TRAINED_ON], vocab_size, ())
    pieces = [[list(left), list(right)] for left, right in merges]
    stored = {"vocab": {str(id): list(token) for id, token in vocab.items()}, "merges": pieces}
    write_atomically(folder / "tokenizer.json", json.dumps(stored))
    tokenizer = units("tokenizer").BPETokenizer(vocab, merges)
    tokens = np.fromiter(tokenizer.encode_iterable(_chunks(text)), dtype=_TOKENS)
    train, held_out = units("data").train_val_split(tokens, 0.1)
    for name, part in (("train", train), ("held_out", held_out)):
        np.asarray(part, dtype=_TOKENS).tofile(folder / f"{name}.bin")
    size = sum(len(vocab[int(id)]) for id in held_out)  # and not its text: a character may be cut in two
    raw = text.encode()
    facts: dict[str, Any] = {
        "held_out_bytes": size,
        "gzip_bits_per_byte": 8 * len(gzip.compress(raw, 9)) / max(1, len(raw)),
    }
    write_atomically(folder / "corpus.json", json.dumps(facts))


def reopen(units: Units, folder: Path) -> Corpus:
    """What `prepare` wrote."""
    stored = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocab = {int(id): bytes(token) for id, token in stored["vocab"].items()}
    merges = [(bytes(left), bytes(right)) for left, right in stored["merges"]]
    facts = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    tokenizer = units("tokenizer").BPETokenizer(vocab, merges)
    return Corpus(tokenizer, folder / "train.bin", folder / "held_out.bin", **facts)


def _chunks(text: str, size: int = 1 << 16) -> Sequence[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def dataset(units: Units, file: Path, length: int) -> Any:
    """The target's windows over a token file, memory-mapped."""
    return units("data").TokenDataset.from_file(file, length, _TOKENS)
