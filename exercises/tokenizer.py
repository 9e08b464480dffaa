r"""Tokenizer: turn text into numbers and back.

A language model computes with numbers, so text is first cut into tokens, and every token gets an id. How you cut the
text decides how long the sequences are (the cost of attention grows with length), how large the embedding is (one row
per token), and which texts the model can read at all.

The exercises build on one another:

1. `CharTokenizer` gives each character an id. It takes ten lines, but the sequences are long, and it cannot read a
   character that it has not seen.
2. `pretokenize` and `split_special_tokens` cut text at places that no token may cross.
3. `count_pairs` and `merge_pair` are the two steps of byte-pair encoding (BPE), the method of GPT-2 and most models
   since: find the two neighbours that occur side by side most often, and merge them into one token.
4. `train_bpe` repeats those two steps until the vocabulary is full, and does it fast.
5. `apply_merges` cuts one new word as training would have cut it.
6. `stream_pretokens` cuts text that arrives in chunks, for example from a file too large for memory.
7. `BPETokenizer` combines all of this. It starts from the 256 bytes, so it can read any text.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import regex

# How GPT-2 cuts text: a list of the forms that a piece can have. At each position, the first line that matches wins.
# It needs the package `regex`: Python's own `re` lacks \p{L} (any letter) and \p{N} (any digit), in any script.
GPT2_PATTERN = "|".join(
    [
        r"'(?:[sdmt]|ll|ve|re)",  # the end of an English contraction: it's, he'd, I'm, don't, we'll, I've, you're
        r" ?\p{L}+",  # a run of letters, with one space before it if there is one: the space belongs to the word
        r" ?\p{N}+",  # a run of digits, likewise
        r" ?[^\s\p{L}\p{N}]+",  # a run of anything else that is visible: punctuation, emoji, separate accents
        r"\s+(?!\S)",  # white space, except for a last character that the next piece may use ...
        r"\s+",  # ... or all of it, if nothing else matches
    ]
)


class CharTokenizer:
    r"""Give every distinct character of a text an id.

    This is the simplest tokenizer: line up the characters of the text like an alphabet, each once, and number them
    from 0.

    Math:
        id(c) = number of distinct characters of the text that sort before c
        decode(encode(s)) = s for every s made of these characters

    Args:
        text: The text that defines the vocabulary: its distinct characters, in the order of `sorted`. It may be empty.

    Attributes:
        vocab_size: The number of distinct characters.

    Example:
        >>> tokenizer = CharTokenizer("hello")  # its characters, sorted: e h l o
        >>> tokenizer.encode("hole")
        [1, 3, 2, 0]
        >>> tokenizer.decode([1, 0, 2, 2, 3]), tokenizer.vocab_size
        ('hello', 4)

    Pitfalls:
        * A set has no fixed order: for strings, it changes from run to run.
        * A list accepts the index -1, but an id below 0 is not in the vocabulary.
        * "\n", " " and "\t" are characters like any other.

    Source:
        Sutskever, Martens and Hinton 2011, Generating Text with Recurrent Neural Networks: text as single
        characters. https://www.cs.toronto.edu/~jmartens/docs/RNN_Language.pdf
    """

    def __init__(self, text: str) -> None:
        # sorted: the ids must depend on which characters occur, not on where they occur or on the order of a set
        raise NotImplementedError("tokenizer.CharTokenizer.__init__ is still a stub")

    @property
    def vocab_size(self) -> int:
        """The number of ids. They run from 0 to vocab_size - 1."""
        raise NotImplementedError("tokenizer.CharTokenizer.vocab_size is still a stub")

    def encode(self, text: str) -> list[int]:
        """Turn text into ids, one per character.

        Args:
            text: Text made of characters in the vocabulary; "" gives [].

        Returns:
            The ids, one for each character of `text`.

        Raises:
            ValueError: A character is not in the vocabulary. The message shows its repr, such as 'z'.
        """
        raise NotImplementedError("tokenizer.CharTokenizer.encode is still a stub")

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text.

        Args:
            ids: Ids in the vocabulary, as any iterable, which may allow only one pass. No ids give "".

        Returns:
            The characters, one for each id, joined.

        Raises:
            ValueError: An id is not in the vocabulary, for example below 0. The message names it.
        """
        raise NotImplementedError("tokenizer.CharTokenizer.decode is still a stub")


def pretokenize(text: str) -> list[str]:
    r"""Cut text into words, numbers, punctuation and white space, as GPT-2 does.

    No token ever crosses one of these cuts. Without them, the most frequent pairs would soon be things like "e t", and
    the vocabulary would fill up with "dog.", "dog!" and "dog?": three tokens for one word.

    `GPT2_PATTERN`, above, holds the rule: at each position of the text, the first alternative that matches takes as
    many characters as it can, and the search continues after them. Every character matches some alternative.

    Math:
        "".join(pretokenize(text)) = text

    Args:
        text: Any text; "" gives [].

    Returns:
        The pieces from left to right. No piece is empty, and no character is lost, including white space.

    Example:
        >>> pretokenize("I'll pay 20 dollars,  or so")
        ['I', "'ll", ' pay', ' 20', ' dollars', ',', ' ', ' or', ' so']

    Pitfalls:
        * `str.split` drops the white space, and then "a b" and "ab" are the same text.
        * A space belongs to the word after it: ' pay', not 'pay '.
        * If a pattern has capturing groups, `findall` returns the groups instead of the matches. This pattern has
          none: (?:...) does not capture.

    Source:
        Radford et al. 2019, section 2.2, which prevents BPE from merging across character categories.
        https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
    """
    raise NotImplementedError("tokenizer.pretokenize is still a stub")


def split_special_tokens(text: str, special_tokens: Sequence[str]) -> list[str]:
    r"""Cut text before and after every special token.

    A special token such as "<|endoftext|>" is a signal to the model, not text: think of a page break between two
    documents. It is always a single token, and no other token may contain a part of it, so it is separated before
    anything else happens.

    Search from the left. Where several special tokens start at the same position, take the longest. Continue after its
    end.

    Math:
        "".join(split_special_tokens(text, special_tokens)) = text

    Args:
        text: Any text; "" gives [].
        special_tokens: Distinct non-empty strings in any order. () = no special tokens. Do not change a list that you
            are given.

    Returns:
        The pieces from left to right. Each special token is a separate piece, and the text between two special tokens
        is one piece. No piece is empty.

    Example:
        >>> split_special_tokens("one<|end|>two<|end|><|end|>", ["<|end|>"])
        ['one', '<|end|>', 'two', '<|end|>', '<|end|>']
        >>> split_special_tokens("a<|end|><|end|>", ["<|end|>", "<|end|><|end|>"])  # the longest one that starts here
        ['a', '<|end|><|end|>']

    Pitfalls:
        * "|" means "or" in a pattern, and "<|end|>" contains two of them: escape literal text.
        * A pattern takes the first alternative that matches, not the longest, so the order of alternatives matters.
        * Splitting by a pattern drops the separators, unless the pattern is a capturing group. It also leaves empty
          pieces.
        * Search from the left: with the special tokens "ab" and "bcd", "abcd" is "ab" and "cd".

    Source:
        Python's manual on `re.split` and on "|". https://docs.python.org/3/library/re.html
    """
    raise NotImplementedError("tokenizer.split_special_tokens is still a stub")


def count_pairs(words: Mapping[tuple[int, ...], int]) -> dict[tuple[int, int], int]:
    r"""Count how often each pair of ids occurs side by side.

    BPE merges the most frequent pair, so it has to count pairs. A text repeats a small set of words many times.
    Like a shopping list that says "apples: 10" instead of naming apples ten times, `words` holds each word once,
    together with its number of occurrences.

    Math:
        count[a, b] = sum over words w of  words[w] * |{i : w[i] = a and w[i + 1] = b}|

    Args:
        words: Number of occurrences of each word, 1 or more. A word is a tuple of ids of any length.

    Returns:
        The count of each pair that occurs, in any order. Pairs that do not occur are left out. Overlapping occurrences
        all count: (7, 7, 7) contains the pair (7, 7) twice.

    Example:
        >>> count_pairs({(1, 2, 1, 2): 10, (2, 1): 5})
        {(1, 2): 20, (2, 1): 15}

    Pitfalls:
        * The last id of a word and the first id of the next word are not a pair.
        * A word that occurs 10 times adds 10 for each of its pairs.
        * A word with one id or none has no pairs.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2, algorithm 1 (get_stats). https://arxiv.org/abs/1508.07909
    """
    raise NotImplementedError("tokenizer.count_pairs is still a stub")


def merge_pair(ids: Sequence[int], pair: tuple[int, int], new_id: int) -> list[int]:
    r"""Replace a pair of neighbouring ids by one new id, wherever the pair occurs.

    This is the second step of BPE: the pair becomes a single token, like two letters that are written as one sign.
    Go from left to right. Where the pair occurs, write `new_id` and continue after both ids; otherwise copy one id.

    Math:
        merge(a, b, rest...) = new_id, merge(rest...)
        merge(x, rest...)    = x, merge(rest...)  if the pair does not start at x

    Args:
        ids: Any ids, as a list or a tuple. Do not change it.
        pair: The two ids to look for, in this order. They may be equal.
        new_id: The id that replaces both. It may already occur in `ids`, or even in `pair`.

    Returns:
        Always a new list. Go over `ids` once: the result of a merge is not merged again.

    Example:
        >>> merge_pair([1, 2, 3, 1, 2], (1, 2), 9)
        [9, 3, 9]
        >>> merge_pair([1, 1, 1], (1, 1), 9)  # the middle 1 is used up by the first pair
        [9, 1]

    Pitfalls:
        * Each id belongs to one merge at most: 7, 7, 7 contains only one pair (7, 7) to merge.
        * The pair (1, 2) is not the pair (2, 1).
        * The last id has no right neighbour: copy it, and don't read past the end.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2, algorithm 1 (merge_vocab). https://arxiv.org/abs/1508.07909
    """
    raise NotImplementedError("tokenizer.merge_pair is still a stub")


def train_bpe(
    text: str, vocab_size: int, special_tokens: Sequence[str] = ()
) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    r"""Learn a vocabulary: start from single bytes, merge the most frequent pair, and repeat.

    Frequent words should be single tokens, and rare words should be built from a few parts. BPE grows such parts like
    a snowball: letters become syllables, syllables become words, and the most frequent ones grow first.

    1. Separate the special tokens (`split_special_tokens`): learn nothing from them and merge nothing across them.
    2. Cut every other piece into words (`pretokenize`), turn every word into the ids of its UTF-8 bytes, and count
       equal words. A piece that occurs three times counts three times.
    3. Find the pair with the highest count. Among equally frequent pairs, take the smallest in Python's order of
       tuples: the smaller first id, then the smaller second id. This tie-break depends only on the words and their
       counts, never on their order in the text or in a dict. It prefers older tokens, which have smaller ids.
    4. The pair becomes one token with the next id. Merge it in every word. Repeat from 3, including pairs that occur
       only once, until the vocabulary is full or no word has a pair left.

    Recounting all words after each merge costs merges times words: minutes for what should take a second. Part of the
    exercise is to do less. The work of one merge should depend on what that merge changes, not on the whole text.

    Math:
        pair_k = argmax over (a, b) of (count_k[a, b], -a, -b)
        vocab[256 + k] = vocab[a] + vocab[b]  for (a, b) = pair_k,  k = 0, 1, ...

    Args:
        text: The text to learn from. "" gives only the bytes and the special tokens.
        vocab_size: The final number of tokens: bytes, merged tokens and special tokens together.
        special_tokens: Distinct non-empty strings. Do not change a list that you are given.

    Returns:
        First the vocabulary, from id to bytes: 0 to 255 are the single bytes in order (id 97 is b"a"), then come the
        merged tokens in the order of their merges, then the special tokens in the given order. The ids have no gaps:
        if the pairs run out, the vocabulary is smaller than requested, and the special tokens follow the last merge.
        Second the merges in order, each as the bytes of its two parts.

    Raises:
        ValueError: `vocab_size` is below 256 + the number of special tokens. The message gives both numbers: the
            requested size and the smallest possible one.

    Example:
        >>> vocab, merges = train_bpe("low low low lower<|end|>", 261, ["<|end|>"])  # 256 bytes, 4 merges, 1 special
        >>> merges  # " l" occurs 3 times, "lo" and "ow" 4 times each: "lo" has the smaller ids
        [(b'l', b'o'), (b'lo', b'w'), (b' ', b'low'), (b'e', b'r')]
        >>> [vocab[token_id] for token_id in (97, 256, 257, 258, 260)]
        [b'a', b'lo', b'low', b' low', b'<|end|>']

    Pitfalls:
        * `bytes([65])` is b"A"; `bytes(65)` is 65 zero bytes.
        * `max` returns the first of several equal items, so ties would depend on the order of your dict.
        * If you update counts instead of recounting: "aaaa" has three pairs (a, a) before the merge, and one pair
          (aa, aa) after it.
        * A character outside ASCII is several bytes: start from `word.encode("utf-8")`, not from `ord`.
        * Special tokens count towards the size: with vocab_size = 300 and 4 special tokens there are 40 merges.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2, https://arxiv.org/abs/1508.07909; on bytes: Radford et al. 2019,
        section 2.2. The tie-break is that of the BPE trainer in Hugging Face's tokenizers.
    """
    raise NotImplementedError("tokenizer.train_bpe is still a stub")


def apply_merges(word: bytes, ranks: Mapping[tuple[bytes, bytes], int]) -> list[bytes]:
    r"""Cut one word into tokens with the merges that training found.

    A new word should be cut as training would have cut it, so replay the merges in the order of training. Start from
    single bytes. Among all neighbours that can be merged, take the pair that training merged first, and merge it
    everywhere in the word, from left to right. Repeat until no neighbours can be merged.

    A word may be long: a text without spaces, a web address, a DNA sequence. Going through the whole word for each
    merge takes n^2 steps for n bytes, and 30,000 letters take many seconds. Part of the exercise is to take about
    n log n steps: twice the length may take only a little more than twice the steps.

    Math:
        (a, b) = argmin of ranks[a, b] over the neighbours (a, b) that are in ranks
        every a, b side by side becomes a + b;  repeat until no neighbours are in ranks

    Args:
        word: The UTF-8 bytes of one pretoken, of any length; b"" gives [].
        ranks: The index of each merge in the order of training, starting at 0. As in training, the merge that makes a
            token has a lower rank than every merge that uses this token.

    Returns:
        The tokens from left to right. Joined, they give `word` again.

    Example:
        >>> ranks = {(b"b", b"c"): 0, (b"a", b"b"): 1, (b"ab", b"c"): 2}
        >>> apply_merges(b"abc", ranks)  # (b, c) came first, although "abc" is a token and longer
        [b'a', b'bc']

    Pitfalls:
        * Training took neither the longest token that fits nor the first pair from the left.
        * `word[0]` of bytes is an int; `word[0:1]` is one byte as bytes.
        * A merge creates new pairs of neighbours. Which pairs are they?
        * "aaa" with (a, a) is "aa", "a": each byte belongs to one merge at most.

    Source:
        Sennrich, Haddow and Birch 2016, section 3.2, on applying the merges to new words. https://arxiv.org/abs/1508.07909
    """
    raise NotImplementedError("tokenizer.apply_merges is still a stub")


def stream_pretokens(chunks: Iterable[str], special_tokens: Sequence[str] = ()) -> Iterator[str]:
    r"""Cut text that arrives in chunks, and yield each piece as soon as further text cannot change it.

    A file may be too large for memory, so it is read in chunks, like a book that is read through a narrow slit. A chunk
    can end anywhere: inside a word, inside a special token, between two spaces. The pieces must not depend on where.
    Keep the end of the text read so far, the part that the next chunk may still change. Append the next chunk to it and
    look again. Two rules say which pieces are certain. Let L be the length of the longest special token (0 if there are
    none).

    * Whether a special token starts at a position, and which one, is certain once L characters from that position on
      have been read. So nothing is certain yet about the last L - 1 characters: leave them aside.
    * The text after the last special token may continue: all of its pretokens except the last two are certain. Keeping
      back one is not enough: "'l" is cut into "'" and "l", but with one more "l" it is the single piece "'ll". Text
      that ends at a certain special token is complete, and so are its pretokens.

    After the last chunk, cut the rest as it is. This function is a generator: it reads a chunk only when it is asked
    for a piece that it does not have yet, and it keeps only text that is still undecided. It yields a piece at the
    latest once three further pieces and then L more characters have been read.

    Math:
        list(stream_pretokens(chunks, special_tokens)) = the pieces of "".join(chunks):
        each special token one piece, the text between them cut by `pretokenize`

    Args:
        chunks: The text in parts of any length, including empty ones. Read it once; it may never end.
        special_tokens: Distinct non-empty strings in any order. Do not change a list that you are given.

    Returns:
        An iterator over the pieces from left to right. No piece is empty.

    Example:
        >>> list(stream_pretokens(["we'", "l", "l s", "ee<|e", "nd|>"], ["<|end|>"]))
        ['we', "'ll", ' see', '<|end|>']

    Pitfalls:
        * "".join(chunks) and list(chunks) read everything first, which this function must avoid.
        * "a  " ends with the piece "  ", but "a  b" contains " " and " b": white space at the end is never certain.
        * Cutting the same text twice can change it: "\n\nx" gives "\n", "\n", "x", but "\n\n" by itself is one piece.
          Yield the pieces that you have; don't join and cut them again.
        * "<|end|>" may be the start of a longer special token, such as "<|end|><|end|>".
        * If fewer than L - 1 characters have been read, len(text) - (L - 1) is negative, and a slice counts it from
          the end: text[:-2] need not be empty.
        * Don't lose the last pieces: they are still in the buffer when the chunks run out.

    Source:
        Python's incremental decoders solve the same problem for bytes that are cut inside a character.
        https://docs.python.org/3/library/codecs.html#incrementaldecoder-objects
    """
    raise NotImplementedError("tokenizer.stream_pretokens is still a stub")


class BPETokenizer:
    r"""Turn text into the ids of a trained vocabulary, and back.

    This is the assembly line of the unit: separate the special tokens, cut the rest into pretokens, turn each pretoken
    into its UTF-8 bytes, apply the merges by rank, and look up the id of each token. `stream_pretokens` and
    `apply_merges` do most of the work.

    Math:
        decode(encode(text)) = text  for every text that UTF-8 can express
        list(encode_iterable(chunks)) = encode("".join(chunks))  for every way to cut a text into chunks

    Args:
        vocab: The vocabulary from id to bytes, as `train_bpe` returns it. It contains all 256 single bytes, both parts
            and the result of each merge, and the special tokens. The ids may be in any order: those of GPT-2 are not in
            the order of the bytes.
        merges: Pairs of bytes in the order of training.
        special_tokens: The special tokens to recognise, in any order; `vocab` contains each as UTF-8. A special token
            that is in `vocab` but not listed here is ordinary text. Do not change any of the arguments.

    Raises:
        ValueError: A special token is not in the vocabulary. The message names it.

    Attributes:
        vocab_size: The number of tokens: bytes, merged tokens and special tokens.

    Example:
        >>> vocab, merges = train_bpe("low low low lower<|end|>", 261, ["<|end|>"])
        >>> tokenizer = BPETokenizer(vocab, merges, ["<|end|>"])
        >>> tokenizer.encode("low slow<|end|>")  # "low", " ", "s", "low", "<|end|>"
        [257, 32, 115, 257, 260]
        >>> tokenizer.decode([257, 260]), tokenizer.vocab_size
        ('low<|end|>', 261)

    Pitfalls:
        * One emoji is often four bytes and several tokens: join the bytes of all tokens, then decode once.
        * A model may produce half a character. Decoding must not fail on it: errors="replace" puts U+FFFD there.
        * Text repeats its words, so remember the ids of words that you have already cut, but of at most 2,000 words: an
          endless stream keeps bringing new ones.
        * Even if the vocabulary contains a pretoken as a token, the merges may cut it differently. Only the merges
          decide.
        * In `encode_iterable`, neither read all chunks first nor encode each chunk separately.

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
        """The number of tokens."""
        raise NotImplementedError("tokenizer.BPETokenizer.vocab_size is still a stub")

    def encode(self, text: str) -> list[int]:
        r"""Turn text into ids.

        The time is proportional to the length of the text, and at most n log n for one long pretoken of n bytes.

        Args:
            text: Any text; "" gives [].

        Returns:
            The ids from left to right.

        Raises:
            ValueError: The text contains a lone surrogate, one half of a character such as "\ud83d". UTF-8 cannot
                express it, so Python raises UnicodeEncodeError, which is a ValueError.
        """
        raise NotImplementedError("tokenizer.BPETokenizer.encode is still a stub")

    def encode_iterable(self, chunks: Iterable[str]) -> Iterator[int]:
        """Turn text that arrives in chunks into ids, without ever holding all of the text.

        Args:
            chunks: The text in parts of any length, such as the lines of a file. It may never end.

        Returns:
            An iterator over the same ids that `encode` gives for the whole text. It reads a chunk only when it is asked
            for an id that it does not have yet, and yields ids as soon as `stream_pretokens` yields their piece.
        """
        raise NotImplementedError("tokenizer.BPETokenizer.encode_iterable is still a stub")

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text.

        Args:
            ids: Any ids in the vocabulary, even if they do not form whole characters, as any iterable, which may allow
                only one pass. No ids give "".

        Returns:
            The text, with U+FFFD where the bytes are not valid UTF-8, as Python's `errors="replace"` puts it. Special
            tokens appear as they are written.

        Raises:
            ValueError: An id is not in the vocabulary. The message names it.
        """
        raise NotImplementedError("tokenizer.BPETokenizer.decode is still a stub")
