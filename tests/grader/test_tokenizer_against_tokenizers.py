"""The reference tokenizer against an implementation that owes it nothing: `tokenizers`, on all of Python's manual.

What agrees, and how it has to be asked:

* Training. `tokenizers` merges the most frequent pair too, and of equally frequent ones the pair of smallest ids. But
  its ids of single bytes follow the characters by which it writes them, and its `ByteLevel` writes the byte 32, say,
  as "Ġ", which sorts behind "z". So byte n is written here as a character whose place in Unicode grows with n. With
  that alphabet, and our own pretokens as its words, all merges are the same, one by one, ties included.
* Left to `ByteLevel`, its trainer makes the same merges until the first tie that the order of bytes decides, and
  nearly the same set of them in the end.
* Encoding has no ties: given the same merges, `ByteLevel` gives the same ids, its pattern for pretokens included.
"""

import json
import pydoc_data.topics

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from solutions.tokenizer import BPETokenizer, count_pairs, merge_pair, pretokenize, train_bpe

MANUAL = "\n".join(pydoc_data.topics.topics.values())
END = "<|endoftext|>"
VOCAB_SIZE = 4096
ODD = f"😀👩‍👩‍👧 it's  I'LL we'll\n\n x\t\ty {END}{END} 123四五 ½ e\u0301é\u00a0z \x1c <|endof \r\n  "
# "\u4e00" is a letter and no white space, and so are the 255 characters behind it.
IN_ORDER = [chr(0x4E00 + byte) for byte in range(256)]


def gpt2_alphabet():
    """How GPT-2 writes each byte: as itself where it shows, else as the next character from U+0100 on."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte if byte in shown else 256 + hidden.index(byte)) for byte in range(256)]


def written(data, alphabet):
    return "".join(alphabet[byte] for byte in data)


def train_theirs(pre_tokenizer, words, alphabet):
    """The merges that `tokenizers` makes, in its own writing."""
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizer
    # min_frequency=0: the reference merges pairs that occur once, too
    options = {"vocab_size": VOCAB_SIZE - 1, "min_frequency": 0, "show_progress": False}
    theirs.train_from_iterator(words, trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=[], **options))
    model = json.loads(theirs.to_str())["model"]
    return [tuple(pair) for pair in model["merges"]], model["vocab"]


@pytest.fixture(scope="module")
def trained():
    return train_bpe(MANUAL, VOCAB_SIZE, [END])


@pytest.fixture(scope="module")
def ours(trained):
    return BPETokenizer(*trained, [END])


@pytest.fixture(scope="module")
def theirs(trained):
    vocab, merges = trained
    alphabet = gpt2_alphabet()
    ids = {written(token, alphabet): id for id, token in vocab.items() if token != END.encode()}
    pairs = [(written(first, alphabet), written(second, alphabet)) for first, second in merges]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    return tokenizer


def test_the_vocabulary_is_as_large_as_asked_for(trained):
    vocab, merges = trained
    assert list(vocab) == list(range(VOCAB_SIZE)), "the ids have gaps, or are too many or too few"
    assert len(set(vocab.values())) == VOCAB_SIZE, "two ids have the same bytes"
    assert [a + b for a, b in merges] == [vocab[256 + rank] for rank in range(len(merges))], "the merges are others"


def test_merges_are_the_same_with_an_alphabet_in_the_order_of_bytes(trained):
    vocab, merges = trained
    words = ["\n".join(written(word.encode(), IN_ORDER) for word in pretokenize(MANUAL))]
    found, ids = train_theirs(pre_tokenizers.Split("\n", "removed"), words, IN_ORDER)
    assert found == [(written(a, IN_ORDER), written(b, IN_ORDER)) for a, b in merges], "other merges, or another order"
    assert all(ids[written(vocab[id], IN_ORDER)] == id for id in range(VOCAB_SIZE - 1)), "the same merges, other ids"


def test_merges_of_byte_level_part_at_a_tie_only(trained):
    alphabet = gpt2_alphabet()
    merges = [(written(a, alphabet), written(b, alphabet)) for a, b in trained[1]]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found, _ = train_theirs(byte_level, [MANUAL], pre_tokenizers.ByteLevel.alphabet())
    assert len(merges) == len(found), "they make another number of merges"
    first = next((rank for rank in range(len(merges)) if merges[rank] != found[rank]), 0)
    counts = count_after(trained, first)
    ours, theirs = (tuple(alphabet.index(c) for c in "".join(pair[first])) for pair in (merges, found))
    assert counts[bytes(ours)] == counts[bytes(theirs)], f"merge {first} is no tie, and yet it is another"
    assert len(set(merges) & set(found)) > 0.99 * len(merges), "the two have few merges in common"


def count_after(trained, number):
    """How often each pair occurs in the manual after so many merges, by the bytes that it would make."""
    vocab, merges = trained
    ids = {token: id for id, token in vocab.items()}
    words = {}
    for word in pretokenize(MANUAL):
        words[tuple(word.encode())] = words.get(tuple(word.encode()), 0) + 1
    for first, second in merges[:number]:
        pair = ids[first], ids[second]
        words = {tuple(merge_pair(w, pair, ids[first + second])) if pair[0] in w else w: n for w, n in words.items()}
    return {vocab[a] + vocab[b]: count for (a, b), count in count_pairs(words).items()}


def test_ids_are_the_same_with_the_same_merges(ours, theirs):
    assert theirs.token_to_id(END) == VOCAB_SIZE - 1, "the special token has another id"
    for text in (MANUAL, ODD, f"{END}{MANUAL[:1000]}{END}", ""):
        assert theirs.encode(text).ids == ours.encode(text), f"other ids for {text[:40]!r}"


def test_text_comes_back_exactly(ours, theirs):
    for text in (MANUAL, ODD):
        assert ours.decode(ours.encode(text)) == text, "decode(encode(text)) is not the text"
        assert ours.decode(theirs.encode(text).ids) == text, "decoding the other's ids does not give the text"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_chunks_have_the_ids_of_the_whole(ours, size):
    text = MANUAL[:60_000] + ODD if size == 1 else MANUAL + ODD
    chunks = (text[start : start + size] for start in range(0, len(text), size))
    assert list(ours.encode_iterable(chunks)) == ours.encode(text), f"other ids in chunks of {size}"
    assert list(ours.encode_iterable(text.splitlines(keepends=True))) == ours.encode(text), "other ids line by line"
