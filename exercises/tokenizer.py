r"""Tokenizer: text in, numbers out, and back.

A language model computes with numbers, so text is first cut into tokens and every token gets an id. How it is cut
decides how long the sequences are (attention pays for length), how large the embedding is (a row a token), and which
texts can be read at all.

The way through this file:

1. `CharTokenizer`: one id a character. Ten lines, but the sequences are long, and a new character cannot be read.
2. `pretokenize` and `split_special_tokens`: cut text where no token may reach across.
3. `count_pairs` and `merge_pair`: the two steps of byte-pair encoding (BPE), the method of GPT-2 and of most models
   since: find the two neighbours that stand side by side most often, and make them one token.
4. `train_bpe`: those two steps, repeated until the vocabulary is full, and fast.
5. `apply_merges`: cut one new word as the training would have cut it.
6. `stream_pretokens`: cut text that arrives in chunks, as from a file too large for memory.
7. `BPETokenizer`: all of it together. It starts from the 256 bytes, so there is no text that it cannot read.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import regex

# How GPT-2 cuts text, as a list of what a piece may look like. At each place the first line that fits is taken.
# It needs the package `regex`: Python's own `re` knows no \p{L} (any letter) and no \p{N} (any digit), in any script.
GPT2_PATTERN = "|".join(
    [
        r"'(?:[sdmt]|ll|ve|re)",  # the end of an English short form: it's, he'd, I'm, don't, we'll, I've, you're
        r" ?\p{L}+",  # a run of letters, with the one space before it: a word within a sentence owns its space
        r" ?\p{N}+",  # a run of digits, likewise
        r" ?[^\s\p{L}\p{N}]+",  # a run of anything else that shows: punctuation, emoji, accents that stand alone
        r"\s+(?!\S)",  # white space, but its last character is left to what follows, ...
        r"\s+",  # ... unless there is no other way
    ]
)


class CharTokenizer:
    r"""Give every character that occurs in a text an id.

    Math:
        id(c) = number of distinct characters of the text that are smaller than c
        decode(encode(s)) = s for every s made of these characters

    Args:
        text: What the vocabulary is read from: its distinct characters, sorted as `sorted` sorts them. May be empty.

    Attributes:
        vocab_size: How many distinct characters there are.

    Example:
        >>> tokenizer = CharTokenizer("hello")  # its characters, sorted: e h l o
        >>> tokenizer.encode("hole")
        [1, 3, 2, 0]
        >>> tokenizer.decode([1, 0, 2, 2, 3]), tokenizer.vocab_size
        ('hello', 4)

    Pitfalls:
        * A set has no order, and that of strings changes from run to run. Sort it.
        * A list takes the index -1 without complaint: an id below 0 is unknown too.
        * "\n", " " and "\t" are characters like any other.

    Source:
        Sutskever, Martens and Hinton 2011, Generating Text with Recurrent Neural Networks: text as single
        characters. https://www.cs.toronto.edu/~jmartens/docs/RNN_Language.pdf
    """

    def __init__(self, text: str) -> None:
        # sorted: the ids must depend on which characters occur, not on where, nor on the order of a set
        raise NotImplementedError("tokenizer.CharTokenizer.__init__ is still a stub")

    @property
    def vocab_size(self) -> int:
        """How many ids there are: 0 up to, but not including, this number."""
        raise NotImplementedError("tokenizer.CharTokenizer.vocab_size is still a stub")

    def encode(self, text: str) -> list[int]:
        """Turn text into ids, one a character.

        Args:
            text: Any characters of the vocabulary; "" gives [].

        Returns:
            As many ids as `text` has characters.

        Raises:
            ValueError: A character is not in the vocabulary; the message shows its repr, as 'z'.
        """
        raise NotImplementedError("tokenizer.CharTokenizer.encode is still a stub")

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text.

        Args:
            ids: Ids of the vocabulary, in anything that can be walked over once; none gives "".

        Returns:
            As many characters as there are ids.

        Raises:
            ValueError: An id is not in the vocabulary (below 0 too); the message names it.
        """
        raise NotImplementedError("tokenizer.CharTokenizer.decode is still a stub")


def pretokenize(text: str) -> list[str]:
    r"""Cut text into words, numbers, punctuation and white space, as GPT-2 does.

    No token will ever reach across one of these cuts. Without them the most frequent pairs would soon be things
    like "e t", and the vocabulary would fill up with "dog.", "dog!" and "dog?": three tokens that say the same.

    `GPT2_PATTERN`, above, holds the rule: at each place of the text the first of its alternatives that fits is taken,
    as long as it can get, and the search goes on where it ended. Every character fits one of them.

    Math:
        "".join(pretokenize(text)) = text

    Args:
        text: Any text; "" gives [].

    Returns:
        The pieces from left to right. None is empty, and nothing is lost, white space least of all.

    Example:
        >>> pretokenize("I'll pay 20 dollars,  or so")
        ['I', "'ll", ' pay', ' 20', ' dollars', ',', ' ', ' or', ' so']

    Pitfalls:
        * `str.split` drops the white space, and then "a b" and "ab" are the same text.
        * A space belongs to the word after it: ' pay', not 'pay '.
        * If a pattern has groups, `findall` returns those and not the matches. This one has none: (?:...) is no group.

    Source:
        Radford et al. 2019, section 2.2, which keeps BPE from merging across kinds of character.
        https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
    """
    raise NotImplementedError("tokenizer.pretokenize is still a stub")


def split_special_tokens(text: str, special_tokens: Sequence[str]) -> list[str]:
    r"""Cut text before and after every special token.

    A special token, as "<|endoftext|>", is a sign to the model and no text. It is one token always, and no other token
    may hold a part of it or reach across it, so it is taken out before anything else is done.

    Search from the left. Where several special tokens begin at the same place, take the longest. Go on after its end.

    Math:
        "".join(split_special_tokens(text, special_tokens)) = text

    Args:
        text: Any text; "" gives [].
        special_tokens: Distinct and not empty, in any order. () means that there are none. A list stays as it is.

    Returns:
        The pieces from left to right. A special token is a piece of its own, and the text between two of them is one
        piece. None is empty.

    Example:
        >>> split_special_tokens("one<|end|>two<|end|><|end|>", ["<|end|>"])
        ['one', '<|end|>', 'two', '<|end|>', '<|end|>']
        >>> split_special_tokens("a<|end|><|end|>", ["<|end|>", "<|end|><|end|>"])  # the longest that begins here
        ['a', '<|end|><|end|>']

    Pitfalls:
        * "|" means "or" in a pattern, and "<|end|>" holds two of it: escape what is meant literally.
        * A pattern takes the first alternative that fits, not the longest: their order is up to you.
        * Splitting by a pattern drops what it splits at, unless the pattern is a group; and it leaves empty pieces.
        * From the left: with "ab" and "bcd", "abcd" is "ab" and "cd".

    Source:
        Python's manual on `re.split` and on "|". https://docs.python.org/3/library/re.html
    """
    raise NotImplementedError("tokenizer.split_special_tokens is still a stub")


def count_pairs(words: Mapping[tuple[int, ...], int]) -> dict[tuple[int, int], int]:
    r"""Count how often each two ids stand side by side.

    A text has few different words and repeats them often, so each word comes once, with the number of its occurrences.

    Math:
        count[a, b] = sum over words w of  words[w] * |{i : w[i] = a and w[i + 1] = b}|

    Args:
        words: How often each word occurs (at least once). A word is a tuple of ids of any length.

    Returns:
        The pairs that occur, each with its count, in any order. A pair that does not occur is not in it.
        Occurrences that overlap all count: (7, 7, 7) holds the pair (7, 7) twice.

    Example:
        >>> count_pairs({(1, 2, 1, 2): 10, (2, 1): 5})
        {(1, 2): 20, (2, 1): 15}

    Pitfalls:
        * The last id of a word and the first of the next are no neighbours.
        * A word that occurs 10 times adds 10 for each of its pairs.
        * A word of one id, or of none, has no pair.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2, algorithm 1 (get_stats). https://arxiv.org/abs/1508.07909
    """
    raise NotImplementedError("tokenizer.count_pairs is still a stub")


def merge_pair(ids: Sequence[int], pair: tuple[int, int], new_id: int) -> list[int]:
    r"""Put one new id wherever the two ids of a pair stand side by side.

    Go from left to right. Where the pair stands, write `new_id` and go on after both; else copy one id.

    Math:
        merge(a, b, rest...) = new_id, merge(rest...)
        merge(x, rest...)    = x, merge(rest...)  where x does not begin the pair

    Args:
        ids: Any ids, as a list or a tuple. It is not changed.
        pair: The two ids to look for, in this order. They may be equal.
        new_id: What takes the place of both. It may occur in `ids` already, and even in `pair`.

    Returns:
        A new list, always. One look over `ids`: what a merge creates is not merged once more.

    Example:
        >>> merge_pair([1, 2, 3, 1, 2], (1, 2), 9)
        [9, 3, 9]
        >>> merge_pair([1, 1, 1], (1, 1), 9)  # the middle 1 is used up by the first pair
        [9, 1]

    Pitfalls:
        * An id that a merge has used up is gone: three times 7 holds one pair (7, 7) to merge, not two.
        * (1, 2) is not (2, 1).
        * The last id has no right neighbour: copy it, don't drop it, don't read past the end.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2, algorithm 1 (merge_vocab). https://arxiv.org/abs/1508.07909
    """
    raise NotImplementedError("tokenizer.merge_pair is still a stub")


def train_bpe(
    text: str, vocab_size: int, special_tokens: Sequence[str] = ()
) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    r"""Learn a vocabulary: start from single bytes, merge the most frequent pair, repeat.

    1. Take the special tokens out (`split_special_tokens`): nothing is learned from them or merged across them.
    2. Cut each other piece (`pretokenize`), turn every word into the ids of its UTF-8 bytes, count equal words: a
       piece that occurs three times counts three times.
    3. Find the pair with the highest count. Of equally frequent pairs take the smallest as Python compares tuples of
       ids: the smaller first id, then the smaller second id. This depends on the words and their counts alone, never on
       their order in the text or in a dict, and as ids grow with age it prefers the older tokens.
    4. The two become one token, with the next id. Merge them in every word. Repeat from 3, also with pairs that occur
       only once, until the vocabulary is full or no word has a pair left.

    Counting all words again after each merge costs merges times words: minutes for what should take a second. Only the
    words that hold the merged pair change. Keep the counts, and for each pair the set of words that hold it. After a
    merge visit only those words: subtract the counts of their old pairs, add those of their new pairs.

    Math:
        pair_k = argmax over (a, b) of (count_k[a, b], -a, -b)
        vocab[256 + k] = vocab[a] + vocab[b]  for (a, b) = pair_k,  k = 0, 1, ...

    Args:
        text: What to learn from. "" gives the bytes and the special tokens.
        vocab_size: How many tokens to have in the end: bytes, merges and special tokens together.
        special_tokens: Distinct and not empty. A list stays as it is.

    Returns:
        The vocabulary from id to bytes: 0 to 255 are the single bytes in order (id 97 is b"a"), then the merged tokens
        in the order in which they were made, then the special tokens in the order given. The ids have no gap: where
        pairs run out the vocabulary is smaller than asked for, and the special tokens follow the last merge.
        And the merges, each as the bytes of its two parts, in the order in which they were made.

    Raises:
        ValueError: `vocab_size` is below 256 + the number of special tokens; the message names both numbers, what was
            asked for and the least that is possible.

    Example:
        >>> vocab, merges = train_bpe("low low low lower<|end|>", 261, ["<|end|>"])  # 256 bytes, 4 merges, 1 special
        >>> merges  # " l" stands there 3 times, "lo" and "ow" 4 times: "lo" has the smaller ids
        [(b'l', b'o'), (b'lo', b'w'), (b' ', b'low'), (b'e', b'r')]
        >>> [vocab[token_id] for token_id in (97, 256, 257, 258, 260)]
        [b'a', b'lo', b'low', b' low', b'<|end|>']

    Pitfalls:
        * `bytes([65])` is b"A"; `bytes(65)` is 65 zero bytes.
        * `max` keeps the first of equals, which is the tie-break of your dict and not the one above.
        * "aaaa": merging (a, a) removes three pairs, not two. Subtract all old pairs of a word, then add all new ones.
        * A character outside ASCII is several bytes: start from `word.encode("utf-8")`, not from `ord`.
        * The special tokens take places too: with vocab_size = 300 and 4 of them there are 40 merges.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2, https://arxiv.org/abs/1508.07909; on bytes: Radford et al. 2019,
        section 2.2. The tie-break is that of the trainer in Hugging Face's tokenizers.
    """
    raise NotImplementedError("tokenizer.train_bpe is still a stub")


def apply_merges(word: bytes, ranks: Mapping[tuple[bytes, bytes], int]) -> list[bytes]:
    r"""Cut one word into tokens, by the merges that training has found.

    Start from single bytes. Of all the neighbours that can be merged, those that training merged first are merged now,
    wherever they stand, from left to right. Repeat until no neighbours can be merged. So a word that training has seen
    is cut exactly as it was there.

    A word may be long: a text without spaces, a web address, a DNA sequence. Looking through the whole word for each
    merge takes n^2 steps for n bytes, and 30,000 letters take many seconds. Part of the exercise is to take about
    n log n: a heap of the pairs that can be merged, and links from each token to its neighbours, since a merge changes
    only the pairs on its two sides. Twice the length may take little more than twice the steps.

    Math:
        (a, b) = argmin of ranks[a, b] over the neighbours (a, b) that are in ranks
        every a, b side by side becomes a + b;  repeat until no neighbours are in ranks

    Args:
        word: The UTF-8 bytes of one pretoken, of any length; b"" gives [].
        ranks: The place of each merge in the order of training, the first being 0. As training makes them: a token is
            made by a lower rank than any that it is a part of.

    Returns:
        The tokens from left to right; joined they are `word` again.

    Example:
        >>> ranks = {(b"b", b"c"): 0, (b"a", b"b"): 1, (b"ab", b"c"): 2}
        >>> apply_merges(b"abc", ranks)  # (b, c) came first, though "abc" is a token and longer
        [b'a', b'bc']

    Pitfalls:
        * The longest token that fits is not what training did, nor is the first pair from the left.
        * `word[0]` of bytes is an int; `word[0:1]` is the byte.
        * A merge makes new neighbours: look at those two pairs again after each, not at the whole word.
        * "aaaa" with (a, a) is "aa", "aa"; a byte that is used up cannot be used again.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2, on applying the merges to new words. https://arxiv.org/abs/1508.07909
    """
    raise NotImplementedError("tokenizer.apply_merges is still a stub")


def stream_pretokens(chunks: Iterable[str], special_tokens: Sequence[str] = ()) -> Iterator[str]:
    r"""Cut text that arrives in chunks, and hand out each piece as soon as nothing can change it any more.

    A chunk ends anywhere: in a word, in a special token, between two spaces. The pieces must not depend on where. Keep
    the end of what has been read, the part that the next chunk may still change, put the next chunk behind it, and look
    again. Two rules say what is certain. Let L be the length of the longest special token (0 if there is none).

    * Whether a special token begins at some place, and which, is certain once L characters from there on have been
      read. So about the last L - 1 characters nothing is known yet; leave them aside.
    * What is left of the text after the last special token may go on: all but its last two pretokens are certain.
      Keeping back one is not enough: "'l" is cut into "'" and "l", but with one more "l" it is the single piece "'ll".
      Text that ends at a certain special token is complete, and so are its pretokens.

    At the end of the chunks, the rest is cut as it stands. This is a generator: it reads a chunk only when asked for a
    piece that it does not have yet, keeps no more than what is still open, and hands out a piece at the latest when
    three further pieces and then L more characters have been read.

    Math:
        list(stream_pretokens(chunks, special_tokens)) = the pieces of "".join(chunks):
        each special token one piece, the text between them cut by `pretokenize`

    Args:
        chunks: The text, in parts of any length, empty ones too. Read once, from left to right; it may never end.
        special_tokens: Distinct and not empty, in any order. A list stays as it is.

    Returns:
        An iterator over the pieces from left to right. None is empty.

    Example:
        >>> list(stream_pretokens(["we'", "l", "l s", "ee<|e", "nd|>"], ["<|end|>"]))
        ['we', "'ll", ' see', '<|end|>']

    Pitfalls:
        * "".join(chunks) and list(chunks) read everything first, which is what this is there to avoid.
        * "a  " ends with the piece "  ", but "a  b" holds " " and " b": white space at the end is never certain.
        * Cutting twice is not harmless: "\n\nx" gives "\n", "\n", "x", but "\n\n" by itself is one piece. Hand out the
          pieces that you have, don't join and cut them again.
        * "<|end|>" may be the beginning of a longer special token, as "<|end|><|end|>".
        * While fewer than L - 1 characters have been read, len(text) - (L - 1) is below 0, which a slice counts from
          the end: text[:-2] is not empty.
        * The last pieces come when the chunks are over: don't lose them.

    Source:
        Python's incremental decoders solve the same problem for bytes that are cut within a character.
        https://docs.python.org/3/library/codecs.html#incrementaldecoder-objects
    """
    raise NotImplementedError("tokenizer.stream_pretokens is still a stub")


class BPETokenizer:
    r"""Turn text into the ids of a trained vocabulary, and back.

    Text to ids: take the special tokens out, cut the rest into pretokens, turn each pretoken into its UTF-8 bytes,
    apply the merges by rank, look up the id of each token. `stream_pretokens` and `apply_merges` are the parts.

    Math:
        decode(encode(text)) = text  for every text that UTF-8 can express
        list(encode_iterable(chunks)) = encode("".join(chunks))  for every way to cut a text into chunks

    Args:
        vocab: From id to bytes, as `train_bpe` returns it. Holds all 256 single bytes, both parts and the whole of each
            merge, and the special tokens. Any ids will do: those of GPT-2 are not in the order of the bytes.
        merges: Pairs of bytes in the order of training.
        special_tokens: Those that are recognised, in any order, as UTF-8 in `vocab`. One that is in `vocab` but not
            here is ordinary text. None of the arguments is changed.

    Raises:
        ValueError: A special token is not in the vocabulary; the message names it.

    Attributes:
        vocab_size: How many tokens there are: bytes, merges and special tokens.

    Example:
        >>> vocab, merges = train_bpe("low low low lower<|end|>", 261, ["<|end|>"])
        >>> tokenizer = BPETokenizer(vocab, merges, ["<|end|>"])
        >>> tokenizer.encode("low slow<|end|>")  # "low", " ", "s", "low", "<|end|>"
        [257, 32, 115, 257, 260]
        >>> tokenizer.decode([257, 260]), tokenizer.vocab_size
        ('low<|end|>', 261)

    Pitfalls:
        * One emoji is four bytes and often several tokens: join the bytes of all tokens, then decode once.
        * A model may well produce half a character. Decoding must not fail on it: errors="replace" puts U+FFFD there.
        * Text repeats its words: remember the ids of a word that you have cut, but of 2,000 words at most. A stream
          that never ends never stops bringing new ones.
        * A pretoken that is a token of the vocabulary is not always that token: only the merges decide.
        * In `encode_iterable`, neither read all chunks first nor encode each chunk by itself.

    Source:
        Radford et al. 2019, section 2.2.
        https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
    """

    def __init__(
        self, vocab: dict[int, bytes], merges: list[tuple[bytes, bytes]], special_tokens: Sequence[str] = ()
    ) -> None:
        raise NotImplementedError("tokenizer.BPETokenizer.__init__ is still a stub")

    @property
    def vocab_size(self) -> int:
        """How many tokens there are."""
        raise NotImplementedError("tokenizer.BPETokenizer.vocab_size is still a stub")

    def encode(self, text: str) -> list[int]:
        r"""Turn text into ids.

        The time grows with the length n of the text, within one long pretoken as n log n at most.

        Args:
            text: Any text; "" gives [].

        Returns:
            The ids from left to right.

        Raises:
            ValueError: The text holds a lone surrogate, one half of a character such as "\ud83d". UTF-8 cannot express
                it, so Python's own UnicodeEncodeError, which is a ValueError, is what comes.
        """
        raise NotImplementedError("tokenizer.BPETokenizer.encode is still a stub")

    def encode_iterable(self, chunks: Iterable[str]) -> Iterator[int]:
        """Turn text that arrives in chunks into ids, without ever holding all of it.

        Args:
            chunks: The text, in parts of any length, as a file gives its lines. It may never end.

        Returns:
            An iterator over the same ids that `encode` gives for the whole text. It reads a chunk only when asked for
            an id that it does not have yet, and hands out ids as soon as `stream_pretokens` hands out their piece.
        """
        raise NotImplementedError("tokenizer.BPETokenizer.encode_iterable is still a stub")

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text.

        Args:
            ids: Any ids of the vocabulary, also such as make no whole character, in anything that can be walked over
                once; none gives "".

        Returns:
            The text, with U+FFFD where the bytes are no UTF-8, as Python's `errors="replace"` puts it. Special tokens
            appear as they are written.

        Raises:
            ValueError: An id is not in the vocabulary; the message names it.
        """
        raise NotImplementedError("tokenizer.BPETokenizer.decode is still a stub")
