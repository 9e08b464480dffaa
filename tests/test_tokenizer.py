"""Checks of tokenizer: where text may be cut, what is learned from it, and that nothing of it is lost on the way."""

import itertools
import random
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import Counting, check

END, LONG, SIDE = "<|end|>", "<|end|><|end|>", "<|e"
SPECIAL = (END, LONG)

# Text made of what is hard to cut: short forms, runs of white space, other scripts, halves of special tokens.
parts = st.sampled_from([*"ab'lvedst 1.", "'ll", "  ", "\n", "\t", "٣", "é", "日😀", END, LONG, SIDE, "nd|>", " the"])
texts = st.lists(parts, max_size=14).map("".join) | st.text(max_size=14)
few_letters = st.text("aab c", max_size=60)
special_tokens = st.lists(st.text("ab|", min_size=1, max_size=3), unique=True, max_size=3).map(tuple)


def cut(text, sizes):
    """The text in chunks of these lengths, over and over; a 0 gives an empty chunk."""
    chunks, start = [], 0
    for size in itertools.cycle([*sizes, 1]):
        if start >= len(text):
            return chunks
        chunks.append(text[start : start + size])
        start += size


class Feed:
    """An iterator over chunks that counts the characters that have been read of it."""

    def __init__(self, chunks):
        self.chunks = iter(chunks)
        self.read = 0

    def __iter__(self):
        return self

    def __next__(self):
        chunk = next(self.chunks)
        self.read += len(chunk)
        return chunk


# CharTokenizer

VERSE = "Wer reitet so spät\n\tdurch Nacht und Wind?"


def characters(text, method, *args):
    """A question to a method of CharTokenizer(text)."""
    return lambda unit: getattr(unit.CharTokenizer(text), method)(*args)


def size_of(make):
    """The question for vocab_size; a method that was meant to be a property is not a number."""

    def question(unit):
        size = make(unit).vocab_size
        return size if isinstance(size, int) else "no number"

    return question


@check("CharTokenizer", "numerics")
def test_CharTokenizer_numbers_the_sorted_characters(agree):
    for text in ["hello", VERSE, "zyx\nabc abc ABC", "日本é😀 \t"]:
        agree.on(f"CharTokenizer({text!r}).encode of the same", characters(text, "encode", text))


@check("CharTokenizer", "numerics")
def test_CharTokenizer_decodes_to_one_string(agree):
    for ids in [[], [2], [3, 0, 3, 5, 1, 1, 12]]:
        agree.on(f"CharTokenizer({VERSE!r}).decode({ids})", characters(VERSE, "decode", ids))


@check("CharTokenizer", "numerics", "vocabulary")
def test_CharTokenizer_decodes_ids_that_can_be_read_once(agree):
    agree.on(
        'CharTokenizer("hello").decode(an iterator over 1, 0, 2, 2, 3)',
        lambda unit: unit.CharTokenizer("hello").decode(Counting([1, 0, 2, 2, 3])),
    )


@check("CharTokenizer", "numerics", "vocabulary")
def test_CharTokenizer_knows_its_vocab_size(agree):
    for text in ["", "mississippi", VERSE]:
        agree.on(f"CharTokenizer({text!r}).vocab_size", size_of(lambda unit, text=text: unit.CharTokenizer(text)))


@check("CharTokenizer", "numerics", "refusals")
def test_CharTokenizer_refuses_an_unknown_character(agree):
    for text in ["§", "Wind § Nacht", "§§"]:
        call = f"CharTokenizer({VERSE!r}).encode({text!r})"
        agree.raises(call, characters(VERSE, "encode", text), ValueError, mentions="§")


@check("CharTokenizer", "numerics", "refusals")
@pytest.mark.parametrize(("ids", "unknown"), [([0, 3], "3"), ([-1], "-1"), ([1, 77, 2], "77")])
def test_CharTokenizer_refuses_an_unknown_id(agree, ids, unknown):
    call = f'CharTokenizer("abc").decode({ids})'
    agree.raises(call, characters("abc", "decode", ids), ValueError, mentions=unknown)


@check("CharTokenizer", "numerics", "vocabulary")
def test_each_CharTokenizer_has_a_vocabulary_of_its_own(agree):
    def question(unit):
        first, second = unit.CharTokenizer("xyz"), unit.CharTokenizer("wxyz")
        return {"the second": second.encode("xyz"), "the first, asked after it": first.encode("xyz")}

    agree.on('CharTokenizer("xyz") beside CharTokenizer("wxyz")', question)


@check("CharTokenizer", "stability")
def test_CharTokenizer_takes_odd_text(agree):
    for text in ["", "\0", "a\u0301e\u0301é", "👩‍👩‍👧", "\r\n\u2028\x1c"]:
        agree.on(f"CharTokenizer({text!r}).encode of the same", characters(text, "encode", text))
        ids = [*range(len(set(text)))]
        agree.on(f"CharTokenizer({text!r}).decode({ids})", characters(text, "decode", ids))


@check("CharTokenizer", "property")
@given(text=texts)
def test_CharTokenizer_gives_every_text_back(unit, text):
    tokenizer = unit.CharTokenizer(text)
    ids = tokenizer.encode(text)
    call = f"tokenizer.CharTokenizer({text!r})"
    assert sorted(set(ids)) == list(range(len(set(text)))), f"{call}: encode(text) gives {ids}: not every id is used"
    assert tokenizer.decode(ids) == text, f"{call}: decode(encode(text)) is not the text"


# pretokenize

PRETOKENIZED = {
    "a sentence": "I'll pay 20 dollars,  or so: it's fair!!",
    "short forms": "we'VE DON'T it's he'd' 'tis o'llie it\u2019s 're've'm'x",
    "other scripts": "Здравствуй, мир: 日本語 ٣٤٥ ½x naïve १२a",
    "white space": "  a\n\n\n b\t\tc \r\n d \u00a0e  \n",
    "kinds of character": "foo_bar2baz a_1 x² __init__(3.14) 1234567 e-mail@x",
}


@check("pretokenize", "numerics")
@pytest.mark.parametrize("kind", PRETOKENIZED)
def test_pretokenize_cuts_as_the_pattern_says(agree, kind):
    agree("pretokenize", PRETOKENIZED[kind])


@check("pretokenize", "stability")
def test_pretokenize_takes_odd_text(agree):
    for text in ["", " ", "\n \n", "👩‍👩‍👧 e\u0301\u0301", "\0\x1c\x1f\u2028", "a" * 5000]:
        agree("pretokenize", text)


@check("pretokenize", "property")
@given(text=texts)
def test_pretokenize_loses_nothing(unit, agree, text):
    agree("pretokenize", text)
    pieces = list(unit.pretokenize(text))
    assert "".join(pieces) == text, f"tokenizer.pretokenize({text!r}): the pieces put together are not the text"


# split_special_tokens

SPLIT = "split_special_tokens"


@check(SPLIT, "numerics")
def test_split_special_tokens_makes_each_a_piece_of_its_own(agree):
    for text, special in [
        (f"one{END}two{END}{END}", (END,)),
        (f"{END}a | b, <end> (c) end|", (END,)),
        (f" one {END} two\n{END}", (END, "<|pad|>")),
        ("a.c abc a.c", ("a.c",)),
        ("<S>a<s>", ("<s>",)),
        ("plain", ("<s>",)),
    ]:
        agree(SPLIT, text, special)


@check(SPLIT, "stability")
def test_split_special_tokens_takes_a_text_where_there_are_none(agree):
    for text, special in [(f"{END}plain", []), ("plain", ())]:
        agree(SPLIT, text, special)


@check(SPLIT, "numerics", "overlaps")
def test_split_special_tokens_takes_the_longest_that_begins_there(agree):
    for special in [(LONG, END), (END, LONG), (SIDE, LONG, END, "<|")]:
        agree(SPLIT, f"a{END}{END}{END} b<|e{END}", special)


@check(SPLIT, "numerics", "overlaps")
def test_split_special_tokens_goes_from_left_to_right(agree):
    agree(SPLIT, "abcd abcde", ("ab", "bcd"))


@check(SPLIT, "numerics", "arguments")
def test_split_special_tokens_leaves_the_callers_list_as_it_was(agree):
    for special in (["<s>", END, "<|pad|>"], ["<|pad|>", "<s>", END], [END]):
        agree(SPLIT, f"one{END}two<s>", special)


@check(SPLIT, "stability")
def test_split_special_tokens_takes_odd_text(agree):
    for text, special in [("", ()), ("", (END,)), (END, (END,)), ("😀\\\n😀", ("😀", "\\"))]:
        agree(SPLIT, text, special)


@check(SPLIT, "property")
@given(text=st.text("ab|", max_size=12), special=special_tokens)
def test_split_special_tokens_loses_nothing(unit, agree, text, special):
    agree(SPLIT, text, special)
    pieces = list(unit.split_special_tokens(text, special))
    assert "".join(pieces) == text, f"tokenizer.{SPLIT}({text!r}, {special}): the pieces together are not the text"


# count_pairs

ids = st.integers(0, 3)
words = st.dictionaries(st.lists(ids, max_size=7).map(tuple), st.integers(1, 9), max_size=5)


@check("count_pairs", "numerics")
def test_count_pairs_forgets_earlier_calls(agree):
    several = [{(8, 9): 3, (9, 8, 8): 1}, {(8, 9): 2, (9, 9): 4}]
    agree.on("count_pairs of two dicts", lambda unit: [unit.count_pairs(words) for words in several])


@check("count_pairs", "numerics")
def test_count_pairs_counts_neighbours_within_words(agree):
    for words in [
        {(1, 2, 1, 2): 10, (2, 1): 5},
        {(4, 5, 6): 2, (6, 4, 9): 1, (300, 5, 6): 4},
        {(1, 2): 1, (2, 3): 7, (3, 1, 2): 3},
    ]:
        agree("count_pairs", words)


@check("count_pairs", "numerics", "overlaps")
def test_count_pairs_counts_pairs_that_overlap(agree):
    agree("count_pairs", {(7, 7, 7): 3, (7, 7, 7, 7): 2, (7, 7): 1})


@check("count_pairs", "numerics", "overlaps")
def test_count_pairs_takes_words_without_a_pair(agree):
    for words in [{(5,): 4, (): 1, (1, 2): 1}, {(5,): 4}, {}]:
        agree("count_pairs", words)


@check("count_pairs", "numerics", "fresh")
def test_count_pairs_starts_afresh_in_every_call(agree):
    def question(unit):
        first, second = unit.count_pairs({(1, 2): 1}), unit.count_pairs({(1, 2): 1})
        return {"the same words give the same counts again": dict(first) == dict(second)}

    agree.on("count_pairs({(1, 2): 1}), twice", question)


@check("count_pairs", "property")
@given(words=words)
def test_count_pairs_of_any_words(unit, agree, words):
    agree("count_pairs", words)
    total = sum((len(word) - 1) * frequency for word, frequency in words.items() if word)
    counted = sum(unit.count_pairs(words).values())
    assert counted == total, f"tokenizer.count_pairs({words}): the counts add up to {counted}, there are {total} pairs"


# merge_pair


@check("merge_pair", "numerics")
def test_merge_pair_puts_the_new_id_for_both(agree):
    for ids, pair in [
        ([1, 2, 3, 1, 2], (1, 2)),
        ((1, 2, 3, 1, 2, 4), (1, 2)),
        ([2, 1, 1, 2, 5, 1], (1, 2)),
        ([1, 2, 2, 1, 2], (1, 2)),
        ([11, 2, 1, 23, 1], (1, 2)),
        ([3, 4, 5], (1, 2)),
        ([2], (1, 2)),
        ([], (1, 2)),
    ]:
        agree("merge_pair", ids, pair, 9)


@check("merge_pair", "numerics", "once")
def test_merge_pair_of_equal_ids_uses_each_once(agree):
    for length in [2, 3, 4, 5, 8]:
        agree("merge_pair", [7] * length, (7, 7), 9)


@check("merge_pair", "numerics", "once")
def test_merge_pair_looks_over_the_ids_once(agree):
    for ids, pair, new_id in [([1, 1, 1, 1], (1, 1), 1), ([1, 2, 2, 2], (1, 2), 1)]:
        agree("merge_pair", ids, pair, new_id)


@check("merge_pair", "numerics", "new_list")
def test_merge_pair_returns_a_list_of_its_own(agree):
    def question(unit):
        def made(*args):
            merged = unit.merge_pair(*args)
            return type(merged).__name__, list(merged)

        given = [3, 4, 5]
        unit.merge_pair(given, (1, 2), 9).append(6)
        return {
            "of a list": made([1, 2, 3], (1, 2), 9),
            "of a tuple": made((1, 2, 3), (1, 2), 9),
            "of a tuple without the pair": made((3, 4, 5), (1, 2), 9),
            "of an empty tuple": made((), (1, 2), 9),
            "a list without the pair, after a change of the result": given,
        }

    agree.on("what merge_pair returns", question)


@check("merge_pair", "property")
@given(ids=st.lists(ids, max_size=12), pair=st.tuples(ids, ids))
def test_merge_pair_can_be_undone(unit, agree, ids, pair):
    agree("merge_pair", tuple(ids), pair, 9)
    merged = unit.merge_pair(list(ids), pair, 9)
    undone = [one for new in merged for one in (pair if new == 9 else (new,))]
    assert undone == ids, f"tokenizer.merge_pair({ids}, {pair}, 9) is {merged}: with {pair} for 9 that is {undone}"


# train_bpe

# Words in which pairs are equally frequent, and every rule but the documented one goes another way.
TIES = ["ab cd ef gh", "zy xw xyz zyx ab ba", "hug pug hugs bun pun", "to be or not to be that is the question", "cba"]

# How often each word occurs, so that one pair is the most frequent in each of so many first rounds.
NO_TIES = [
    ({"hug": 13, "pug": 26, "pun": 29, "bun": 10, "hugs": 31, "low": 16, "lower": 3}, 8),
    ({"abaaa": 29, "aaaaa": 23, "ba": 11, "aaaa": 27, "abba": 30}, 12),
    ({"aabab": 20, "ba": 21, "abaaa": 8, "ababa": 17, "aabaaa": 14}, 12),
    ({"AB": 5, "ab": 3}, 2),
]


def repeated(words):
    return " ".join(word for word, times in words.items() for _ in range(times))


@check("train_bpe", "numerics")
def test_train_bpe_forgets_earlier_calls(agree):
    texts = ["low lower lowest low low", "new newer newest new new"]
    agree.on("train_bpe of two texts", lambda unit: [unit.train_bpe(text, 258) for text in texts])


@check("train_bpe", "numerics")
@pytest.mark.parametrize(("words", "merges"), NO_TIES, ids=["words", "overlaps", "more overlaps", "capitals"])
def test_train_bpe_merges_the_most_frequent_pair(agree, words, merges):
    for number in (1, 2, merges - 1, merges):
        agree("train_bpe", repeated(words), 256 + number)


@check("train_bpe", "numerics", "ties")
def test_train_bpe_takes_the_smallest_of_equally_frequent_pairs(agree):
    for text in TIES:
        agree("train_bpe", text, 300)


@check("train_bpe", "numerics", "ties")
def test_train_bpe_counts_pairs_that_overlap_anew(agree):
    for text in ["aaaa aaaa aaa aaaaaaa", "ababab abab aab aaab baa", "aaaaab aaaaab caaaa"]:
        agree("train_bpe", text, 290)


@check("train_bpe", "numerics", "special_tokens")
@pytest.mark.parametrize(
    ("text", "special"),
    [
        (f"!{END}! !{END}! {END}{END} xx", [END]),
        ("xaay<s>aay<s>xaa", ["<s>"]),
        ("x<go>tail tail <go>tail<go>tail ta", ["<go>", "<go>tail"]),
        ("ab<p>abb<q>ab <q> <p>", ["<q>", "<longer>", "<p>"]),
    ],
)
def test_train_bpe_learns_nothing_from_special_tokens(agree, text, special):
    agree("train_bpe", text, 264, special)


@check("train_bpe", "numerics")
@pytest.mark.parametrize("merges", [0, 1, 7, 40, 258])
def test_train_bpe_fills_the_vocabulary(agree, merges):
    # One word of 8 different letters has 7 merges, in whatever order they are made.
    def question(unit):
        vocab, made = unit.train_bpe("abcdefgh", 256 + merges)
        vocab = dict(vocab)
        return {"ids": sorted(vocab), "merges": len(made), "the longest token": max(map(len, vocab.values()))}

    agree.on(f'train_bpe("abcdefgh", {256 + merges})', question)


@check("train_bpe", "numerics", "special_tokens")
@pytest.mark.parametrize("merges", [0, 1, 3, 40])
def test_train_bpe_adds_the_special_tokens_at_the_end(agree, merges):
    for special in [(END,), ("<b>", "<a>")]:
        agree("train_bpe", "abc abd ab, then abd!", 256 + merges + len(special), special)


@check("train_bpe", "numerics", "special_tokens")
def test_train_bpe_counts_equal_texts_as_often_as_they_occur(agree):
    # xy stands in three equal texts, cd twice in another: who counts equal texts once takes cd, equal words once 00.
    agree("train_bpe", f"xy{END}xy{END}xy{END}00-cd-cd", 258, (END,))
    agree("train_bpe", f"{END.join(['a b c'] * 4)}{END}d e, d e d e", 262, (END,))


@check("train_bpe", "numerics", "special_tokens")
def test_train_bpe_leaves_the_callers_list_as_it_was(agree):
    agree("train_bpe", f"xy{END}xy<s>xy", 260, ["<s>", END])


@check("train_bpe", "numerics", "special_tokens")
def test_train_bpe_takes_hundreds_of_special_tokens(agree):
    # As Llama 3 has, which keeps room for later: they fill more than one byte's worth of ids.
    agree("train_bpe", "abc abd ab, then abd!", 256 + 300 + 2, [f"<{number}>" for number in range(300)])


def train(*args):
    return lambda unit: unit.train_bpe(*args)


@check("train_bpe", "numerics", "refusals")
@pytest.mark.parametrize("named", ["what was asked for", "the least that is possible"])
def test_train_bpe_refuses_a_vocabulary_without_room(agree, named):
    for vocab_size, special in [(255, ()), (257, ["<a>", "<b>"]), (0, ["<a>"])]:
        size = vocab_size if named == "what was asked for" else 256 + len(special)
        call = f'train_bpe("hi hi", {vocab_size}, {special})'
        agree.raises(call, train("hi hi", vocab_size, special), ValueError, mentions=str(size))


@check("train_bpe", "numerics")
def test_train_bpe_starts_afresh_in_every_call(agree):
    def question(unit):
        unit.train_bpe("qz" * 500, 257)
        vocab, merges = unit.train_bpe("xj", 257)
        parts = [type(part).__name__ for pair in merges for part in pair]
        # not the merge itself: where something is left of earlier calls, it depends on all that were made
        right = [tuple(pair) for pair in merges] == [(b"x", b"j")]
        return {"vocab[120]": vocab[120], "merged are": parts, "the merge is the only pair of the text": right}

    agree.on('train_bpe("xj", 257) after another text', question)


@check("train_bpe", "stability")
def test_train_bpe_takes_odd_text(agree):
    for text in ["", "a", " ", END, "é é ü日本語 日本 😀😀", "a" * 300, "ab" * 150, "\n\n\t\0 \0"]:
        agree("train_bpe", text, 266, [END])


@check("train_bpe", "property", "ties")
@given(text=few_letters, merges=st.integers(0, 25))
def test_train_bpe_of_any_few_letters(agree, text, merges):
    agree("train_bpe", text, 256 + merges)


@check("train_bpe", "property", "odd_text")
@given(text=texts, merges=st.integers(0, 25))
def test_train_bpe_of_any_text(agree, text, merges):
    agree("train_bpe", text, 256 + merges)


@check("train_bpe", "property", "special_tokens")
@given(text=few_letters, merges=st.integers(0, 25), special=special_tokens)
def test_train_bpe_of_any_special_tokens(agree, text, merges, special):
    agree("train_bpe", text, 256 + merges + len(special), special)


def most_frequent_in_turn(words, merges):
    """The first of the merges that is not the most frequent pair of its round, or None; `words` are tuples of bytes."""
    for merge in map(tuple, merges):
        counts = Counter()
        for word, times in words.items():
            for pair in itertools.pairwise(word):
                counts[pair] += times
        if not counts or counts[merge] != max(counts.values()):
            return merge
        merged = Counter()
        for word, times in words.items():
            merged[put_together(word, merge)] += times
        words = merged
    return None


def put_together(word, pair):
    new, tokens = [], list(word)
    while tokens:
        together = tuple(tokens[:2]) == pair
        new.append(b"".join(tokens[: 1 + together]))
        del tokens[: 1 + together]
    return tuple(new)


@check("train_bpe", "property")
@given(words=st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=8), merges=st.integers(1, 12))
def test_train_bpe_merges_a_most_frequent_pair_of_any_words(unit, words, merges):
    text = " ".join(words)
    made = [tuple(pair) for pair in unit.train_bpe(text, 256 + merges)[1]]
    pieces = Counter(words[:1] + [" " + word for word in words[1:]])
    start = {tuple(bytes([byte]) for byte in piece.encode()): times for piece, times in pieces.items()}
    wrong = most_frequent_in_turn(start, made)
    assert wrong is None, (
        f"tokenizer.train_bpe({text!r}, {256 + merges}): {wrong} was not a most frequent pair when it was merged"
    )


@check("train_bpe", "efficiency")
def test_train_bpe_visits_only_words_that_hold_the_pair(agree, measure, cpu_time):
    # 700 rare words, and six frequent ones, in which alone all merges take place: no pair of the rare ones comes
    # more than 300 times.
    rng = random.Random(0)
    rare = "".join(" " + "".join(rng.choices("wxyz", k=6)) for _ in range(700))
    words = " abcdefgh bcdefgha fghabcde hgfedcba aceghbdf bdfhaceg"
    frequent = words * 400
    # First whether the merges are right: counting lines is slow, and a wrong answer is put to every known mistake.
    agree.on("the merges of the six words", lambda unit: unit.train_bpe(words, 257 + 25)[1])

    def question(unit):
        unit.train_bpe("warm up", 258)
        one = measure(lambda: unit.train_bpe(rare + frequent, 257)).lines
        many = measure(lambda: unit.train_bpe(rare + frequent, 257 + 25)).lines
        # 25 merges over 700 words are 17 500 lines if each word takes but one. The reference runs 2 000; looking for
        # the best of all pairs with a key function in each round adds up to 7 000.
        merges = unit.train_bpe(rare + frequent, 257 + 25)[1]
        few_lines = many - one <= 12_000
        return {
            "merges": merges,
            "25 more merges run at most 12000 lines of Python": few_lines,
            # Asked of what runs few lines only: what is slow in the open is slow enough.
            "100 merges take at most 8 times the processor time of one": not few_lines or _growth(unit, cpu_time) <= 8,
        }

    agree.on("train_bpe of 700 words and of six frequent ones", question)


def _growth(unit, cpu_time):
    # The second witness: lines are counted by the code's own process, processor time by the kernel. All merges take
    # place in 20 frequent words. To count the pairs of the 400 others again for each takes 28 times as long for 100
    # merges as for one, the reference 1.1 times. A busy machine changes both alike, and the least of two counts.
    rng = random.Random(0)
    rare = [" " + "".join(rng.choices("ijklmnopqrstuvwxyz", k=64)) for _ in range(400)]
    frequent = [" " + "".join(rng.sample("abcdefgh", k=8)) for _ in range(20)]
    text = "".join(rare + frequent * 200)
    one, many = (
        min(cpu_time(lambda size=size: unit.train_bpe(text, size)) for _ in range(2)) for size in (257, 256 + 100)
    )
    return many / one


# apply_merges


def ranked(merges):
    """The ranks of merges that are written as "a|b/ab|c"."""
    pairs = [tuple(pair.encode("latin-1").split(b"|")) for pair in merges.split("/")]
    return {pair: rank for rank, pair in enumerate(pairs)}


@st.composite
def trained(draw):
    """Ranks as training makes them: of parts that are there already, each token made once."""
    tokens, ranks = [b"a", b"b", b"c"], {}
    for first, second in draw(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=8)):
        pair = tokens[first % len(tokens)], tokens[second % len(tokens)]
        if b"".join(pair) not in tokens:
            ranks[pair] = len(ranks)
            tokens.append(b"".join(pair))
    return ranks


@check("apply_merges", "numerics")
@pytest.mark.parametrize(
    ("merges", "words"),
    [
        ("b|c/a|b/ab|c", [b"abc", b"xabcab"]),
        ("b|c/a|bc/a|b", [b"abc", b"abab"]),
        ("z|a/a|b/b|c/c|d/cd|e/ab|cde", [b"abcde", b"zabcd"]),
        ("l|o/lo|w/e|r/o|w/w|e/low|er", [b"lowerower", b"ower"]),
        ("c|d/b|c/a|b/ab|cd", [b"abcdabcd", b"ba"]),
        ("x|y/a|b/ab|xy/y|z", [b"abxyz", b"xyzab"]),
    ],
)
def test_apply_merges_goes_by_rank(agree, merges, words):
    ranks = ranked(merges)
    agree.on(f"apply_merges(word, {ranks})", lambda unit: {word: unit.apply_merges(word, ranks) for word in words})


@check("apply_merges", "numerics")
def test_apply_merges_merges_from_left_to_right(agree):
    for word in [b"aa", b"aaa", b"aaaaa", b"aaaaaaa", b"abab", b"babaab"]:
        agree("apply_merges", word, ranked("a|a/a|b/aa|a/aa|aa/ab|ab"))


@check("apply_merges", "numerics", "fresh")
def test_apply_merges_forgets_the_ranks_of_earlier_calls(agree):
    def question(unit):
        unit.apply_merges(b"spam", ranked("s|p/a|m"))
        return unit.apply_merges(b"spam", ranked("p|a"))

    agree.on("apply_merges of the same word with other ranks", question)


@check("apply_merges", "stability")
def test_apply_merges_takes_any_bytes(agree):
    for word in [b"", b"q", b"\xff\x00\xc3", "é日".encode(), b"ab" * 200]:
        agree("apply_merges", word, ranked("a|b/\xc3|\xa9/\xa9|\xe6/ab|ab"))
    # Of a long word, the last pair that is looked at no longer has a second token.
    agree("apply_merges", b"x" * 300 + b"abc", ranked("b|c/a|bc/a|b"))


@check("apply_merges", "property")
@given(word=st.text("abc", min_size=1, max_size=12).map(str.encode), ranks=trained())
def test_apply_merges_of_any_word(unit, agree, word, ranks):
    agree("apply_merges", word, ranks)
    tokens = unit.apply_merges(word, ranks)
    assert b"".join(tokens) == word, f"tokenizer.apply_merges({word}, {ranks}): the tokens together are not the word"


LETTERS = "".join(random.Random(0).choices(string.ascii_letters, k=400))  # neighbours hardly ever repeat
LETTER_MERGES = list(dict.fromkeys((a.encode(), b.encode()) for a, b in itertools.pairwise(LETTERS)))
random.Random(1).shuffle(LETTER_MERGES)


def growth(measure, work):
    """How many times as many lines of Python four times the letters take."""
    return measure(lambda: work(LETTERS)).lines / measure(lambda: work(LETTERS[:100])).lines


@check("apply_merges", "efficiency")
def test_apply_merges_of_a_long_word_does_not_look_through_it_for_each_merge(agree, measure):
    ranks = {pair: rank for rank, pair in enumerate(LETTER_MERGES)}
    # First whether the merges are right: counting lines is slow, and a wrong answer is put to every known mistake.
    agree("apply_merges", LETTERS[:100].encode(), ranks)

    def question(unit):
        grown = growth(measure, lambda text: unit.apply_merges(text.encode(), ranks))
        # n log n is 4 to 5 times as many lines, n^2 is 16 times as many
        return {"four times the letters take at most 8 times the lines of Python": grown <= 8}

    agree.on("apply_merges of words of 100 and of 400 letters", question)


# stream_pretokens

STREAM = "stream_pretokens"


def streamed(chunks, special=()):
    """The question for all pieces of a stream."""
    return lambda unit: list(unit.stream_pretokens(chunks, special))


@check(STREAM, "numerics")
def test_stream_pretokens_does_not_depend_on_where_chunks_end(agree):
    for chunks in [
        ["hello wor", "ld, how are", " you? Fine"],
        ["we'", "l", "l s", "ee"],
        ["I", "'", "v", "e it'", "s x"],
        ["a  ", "b", " \n", "\n", "c d e\n\n\nf g", "\t", "h"],
        ["one ", "", "two", "", "", " three four", ""],
        ["", "a b", "c 1", "2 .", ". d"],
        [],
    ]:
        agree.on(f"list({STREAM}({chunks}))", streamed(chunks))


CUT_SPECIAL = [
    (["a <|en", "d|> b", END, "c<|e", "x"], [END]),
    (["a  <|en", "d|>  b c d e<|end", "|>"], (END,)),
    (["a b c d<", "|end|> e f g <|end|", "> h i j<|", "end|>"], [END]),
    ([f"a  {END}", f"{END}x y z {END}", " w"], [END, LONG]),
    ([END, f"{END}x", f" {END}"], [LONG, END]),
    ([LONG[:-1], ">x y z"], (LONG, END)),
    (["x a<e>", "b c d<e", ">f"], ["<e>", "a<e>b"]),
    ([f"ab cd {END} ef{END}"], [END]),
    (["ab x<lon", "g>", "<s", "> y"], ["<s>", "<long>"]),
    (["<longer>ab", "cdefgh x"], ["<longer>", "ab", "abcdefgh"]),
]


@check(STREAM, "numerics", "special_tokens")
def test_stream_pretokens_keeps_special_tokens_whole(agree):
    def question(unit):
        return {f"{chunks}, {special}": streamed(chunks, special)(unit) for chunks, special in CUT_SPECIAL}

    agree.on(f"list({STREAM}(chunks, special_tokens)) of", question)


@check(STREAM, "numerics", "special_tokens")
def test_stream_pretokens_leaves_the_callers_list_as_it_was(agree):
    special = ["<s>", END]
    agree.on(f"list({STREAM}(['a<', 's>b'], {special}))", streamed(["a<", "s>b"], special))


@check(STREAM, "numerics")
def test_stream_pretokens_leaves_nothing_behind_for_the_next_stream(agree):
    def question(unit):
        abandoned = iter(unit.stream_pretokens(["one two three four five ", "six seven"]))
        next(abandoned)
        return list(unit.stream_pretokens(["eight nine"]))

    agree.on(f"{STREAM} after another stream of which only one piece was read", question)


@check(STREAM, "stability")
def test_stream_pretokens_takes_odd_text(agree):
    for text in ["", END, " \n", "日本 é😀👩‍👩‍👧 e\u0301", "a" * 60, "\n" * 9 + "x  " * 3]:
        for size in [1, 3]:
            chunks = cut(text, [size])
            agree.on(f"list({STREAM}({text!r} in chunks of {size}))", streamed(chunks, SPECIAL))


@check(STREAM, "property")
@given(text=texts, sizes=st.lists(st.integers(0, 5), max_size=4))
def test_stream_pretokens_of_any_chunks(agree, text, sizes):
    chunks = cut(text, sizes)
    agree.on(f"list({STREAM}({chunks}, {SPECIAL}))", streamed(chunks, SPECIAL))


def lag(stream, feed, length, bound=100):
    """How far the reading of a stream is ahead of what it hands out, as facts that any right way shares."""
    facts = {"is an iterator": hasattr(stream, "__next__"), "reads nothing before it is asked": feed.read == 0}
    handed_out = most = 0
    for item in stream:
        handed_out += length(item)
        most = max(most, feed.read - handed_out)
    # Pieces and chunks are 8 characters long at most, the special token 14: two pieces, it, a chunk and the one that
    # is being handed out are 46 characters. Twice that is generous; the whole text has 1 500.
    return facts | {f"keeps back {bound} characters at most": most <= bound}


def chunks_of_words():
    return (f"word{number} " for number in range(200))


@check(STREAM, "efficiency")
def test_stream_pretokens_hands_out_what_is_certain(agree):
    def question(unit):
        feed = Feed(chunks_of_words())
        return lag(unit.stream_pretokens(feed, SPECIAL), feed, len)

    agree.on(f"{STREAM} of 200 chunks, read piece by piece", question)


@check(STREAM, "efficiency")
def test_stream_pretokens_hands_out_what_is_certain_around_special_tokens(agree):
    longest = f"<{58 * '-'}>"

    def question(unit):
        feed = Feed("".join(f"word{number}{END}" for number in range(100)))  # character by character
        # The piece itself, three more of 7 characters, and those of the longest special token are 88; twice 60 is more.
        return lag(unit.stream_pretokens(feed, [END, longest]), feed, len, bound=100)

    agree.on(f"{STREAM} of 1400 characters, special tokens of {len(END)} and {len(longest)} among them", question)


@check(STREAM, "efficiency")
def test_stream_pretokens_keeps_only_what_is_open(agree, measure):
    def question(unit):
        chunks = Counting(f"{letter * 20_000} " for letter in string.ascii_letters * 2)
        stream = unit.stream_pretokens(chunks, (END,))
        facts = {"reads at most 5 of 104 chunks for a piece": (next(iter(stream)) != "") and chunks.taken <= 5}
        # The reference needs 150 kB for pieces of 20 kB; the whole text has 2 MB.
        needed = measure(lambda: sum(len(piece) for piece in stream)).memory
        return facts | {"needs less than 800 kB for 2 MB of text": needed < 800_000}

    agree.on(f"{STREAM} of 104 chunks of 20 kB", question)


# BPETokenizer

# What training finds in "the then these lower lowest slow newest we'll aaaaa 日本 naïve 😀" and some white space.
MERGES = list(
    ranked(
        "a|a/ | /h|e/t|he/ |the/l|o/lo|w/ |n/\n|\n/ |low/ |\xf0/ |aa/e|w/\x9f|\x98/ n|ew/ \xf0|\x9f\x98/ |s/ |w/ |\xe6"
        "/'|l/a|\xc3/e|r/e|s/v|e/\x97|\xa5/\x9c|\xac/\xaf|ve/\xe6|\x9c\xac/  | /  |   / n|a\xc3/\n\n|\n/ aa|aa"
        "/ \xf0\x9f\x98|\x80/ s|low/ \xe6|\x97\xa5/'l|l/es|t"
    )
)
TOKENS = [bytes([i]) for i in range(256)] + [a + b for a, b in MERGES] + [t.encode() for t in (*SPECIAL, "<|pad|>")]
# Any ids will do: here they are neither in the order of the bytes nor in that of the merges.
VOCAB = {(7 * place + 5) % len(TOKENS): token for place, token in enumerate(TOKENS)}
IDS = {token: id for id, token in VOCAB.items()}


def bpe(unit, special=tuple(SPECIAL)):
    return unit.BPETokenizer(dict(VOCAB), list(MERGES), special)  # copies, which are changed in one check alone


def asked(method, argument, special=tuple(SPECIAL)):
    """A question to a method of the tokenizer."""
    return lambda unit: getattr(bpe(unit, special), method)(argument)


def all_of(chunks):
    """The question for all ids of chunks."""
    return lambda unit: list(bpe(unit).encode_iterable(chunks))


@check("BPETokenizer", "numerics")
def test_BPETokenizer_applies_the_merges_by_rank(agree):
    for text in [
        "the lowest slower then thes",
        "we'll see       aaaaaaaa  aaaaa\n\n\n x",
        "naïve 日本 日 本 😀 😁 ü",
        "lowlow ewest thenewer hewer theslow",
    ]:
        agree.on(f"BPETokenizer.encode({text!r})", asked("encode", text))


@check("BPETokenizer", "numerics", "special_tokens")
def test_BPETokenizer_gives_special_tokens_their_own_ids(agree):
    for text, special in [
        (f"the {END} low{END}", [END]),
        (f"{END}{END}{END} x", [END, LONG]),
        (f"{LONG} the", (LONG, END)),
        ("the <|pad|> low<|e", (END,)),
        (f"the{END}", ()),
    ]:
        agree.on(f"BPETokenizer(special_tokens={special}).encode({text!r})", asked("encode", text, special))


@check("BPETokenizer", "numerics", "special_tokens")
def test_BPETokenizer_takes_an_unrecognised_special_token_for_text(agree):
    # "stop" is one pretoken and in the vocabulary, but no merge makes it: it is encoded like any other word.
    vocab = VOCAB | {len(VOCAB): b"stop", len(VOCAB) + 1: b" stop"}

    def question(unit):
        return {
            f"{text!r}, special tokens {special}": unit.BPETokenizer(vocab, MERGES, special).encode(text)
            for text in ("stop", "a stop", "stop the", "stops")
            for special in ((), ("stop",), (END,))
        }

    agree.on('BPETokenizer.encode, with "stop" in the vocabulary', question)


@check("BPETokenizer", "numerics", "special_tokens")
def test_BPETokenizer_leaves_its_arguments_as_they_were(agree):
    vocab, merges, special = dict(VOCAB), list(MERGES), ["<|pad|>", END, LONG]

    def question(unit):
        return unit.BPETokenizer(vocab, merges, special).encode(f"the low{END}")

    agree.on("BPETokenizer(vocab, merges, special_tokens).encode, and what became of the three", question)


@check("BPETokenizer", "numerics")
def test_BPETokenizer_decodes_all_bytes_together(agree):
    for tokens in [
        [b"the", b" low", b"es", b"t", END.encode(), b" "],
        [b" \xf0\x9f\x98", b"\x80", b" \xe6", b"\x97\xa5", b"na"[:1], b"a\xc3", b"\xafve"],
        [b" ", b"  ", b"\n\n\n"],
        [],
    ]:
        agree.on(f"BPETokenizer.decode of the ids of {tokens}", asked("decode", [IDS[token] for token in tokens]))


@check("BPETokenizer", "stability")
def test_BPETokenizer_decodes_ids_that_can_be_read_once(agree):
    tokens = [IDS[token] for token in (b"the", b" low", b"es", b"t")]
    agree.on("BPETokenizer.decode(an iterator over four ids)", lambda unit: bpe(unit).decode(Counting(tokens)))


@check("BPETokenizer", "numerics")
def test_BPETokenizer_knows_its_vocab_size(agree):
    for special in [(), (END,), SPECIAL]:
        agree.on(
            f"BPETokenizer(special_tokens={special}).vocab_size",
            size_of(lambda unit, special=special: bpe(unit, special)),
        )


@check("BPETokenizer", "numerics", "refusals")
def test_BPETokenizer_refuses_a_special_token_that_has_no_id(agree):
    special = [END, "<|nowhere|>"]
    call = f"BPETokenizer(vocab, merges, {special})"
    agree.raises(call, size_of(lambda unit: bpe(unit, special)), ValueError, mentions="<|nowhere|>")


@check("BPETokenizer", "numerics", "refusals")
@pytest.mark.parametrize("unknown", [len(TOKENS), -1, 987_654])
def test_BPETokenizer_refuses_an_unknown_id(agree, unknown):
    call = f"BPETokenizer.decode([3, {unknown}])"
    agree.raises(call, asked("decode", [3, unknown]), ValueError, mentions=str(unknown))


@check("BPETokenizer", "numerics")
def test_each_BPETokenizer_has_a_vocabulary_of_its_own(agree):
    def question(unit):
        first, second = bpe(unit), unit.BPETokenizer({i: bytes([i]) for i in range(256)}, [])
        return {"the first": first.encode(" solo"), "the second, asked after it": second.encode(" solo")}

    agree.on('two BPETokenizers of different vocabularies, encode(" solo")', question)


@check("BPETokenizer", "numerics", "chunks")
def test_BPETokenizer_encodes_chunks_as_the_whole_text(agree):
    for chunks in [
        ["the low", "est sl", "ower", " then"],
        ["we'", "l", "l  ", " aaa", "aa", "\n", "\n x"],
        ["a <|en", "d|><|end|", "> b", END, f"{END} c<|e"],
        ["", "na", "", "ïve 😀", ""],
        [],
    ]:
        agree.on(f"list(BPETokenizer.encode_iterable({chunks}))", all_of(chunks))


@check("BPETokenizer", "stability")
def test_BPETokenizer_encodes_odd_text(agree):
    for text in ["", END, "\0\x1c\u2028", "👩‍👩‍👧 e\u0301", "a" * 301, " " * 40 + "x", "٣½²"]:
        agree.on(f"BPETokenizer.encode({text[:50]!r})", asked("encode", text))


@check("BPETokenizer", "stability")
def test_BPETokenizer_decodes_what_is_no_text(agree):
    for data in [b"\xf0\x9f a", b"\xff", b"x\xc3", b"\x80\x80y", b"\xe6\x97", b"\xed\xa0\x80"]:
        agree.on(
            f"BPETokenizer.decode of the ids of the bytes {data}", asked("decode", [IDS[bytes([b])] for b in data])
        )


@check("BPETokenizer", "property")
@given(text=texts.filter(bool))
def test_BPETokenizer_gives_every_text_back(unit, agree, text):
    agree.on(f"BPETokenizer.encode({text!r})", asked("encode", text))
    tokenizer = bpe(unit)
    assert tokenizer.decode(tokenizer.encode(text)) == text, (
        f"tokenizer.BPETokenizer: decode(encode({text!r})) is not the text"
    )


@check("BPETokenizer", "property", "chunks")
@given(text=texts.filter(bool), sizes=st.lists(st.integers(0, 5), max_size=4))
def test_BPETokenizer_encodes_any_chunks_as_the_whole_text(unit, text, sizes):
    tokenizer, chunks = bpe(unit), cut(text, sizes)
    assert list(tokenizer.encode_iterable(chunks)) == list(tokenizer.encode(text)), (
        f"tokenizer.BPETokenizer: list(encode_iterable({chunks})) is not encode({text!r})"
    )


@check("BPETokenizer", "stability", "refusals")
def test_bpe_refuses_what_utf_8_cannot_express(agree):
    agree.raises("BPETokenizer.encode of half an emoji", asked("encode", "half \ud83d"), ValueError)


@check("BPETokenizer", "efficiency")
def test_bpe_encodes_one_long_word_in_about_n_log_n(agree, measure):
    tokens = [bytes([byte]) for byte in range(256)] + [a + b for a, b in LETTER_MERGES]

    def question(unit):
        tokenizer = unit.BPETokenizer(dict(enumerate(tokens)), LETTER_MERGES)
        # n log n is 4 to 5 times as many lines, n^2 is 16 times as many
        grown = growth(measure, tokenizer.encode)
        return {"four times the letters take at most 8 times the lines of Python": grown <= 8}

    agree.on("BPETokenizer.encode of words of 100 and of 400 letters", question)


@check("BPETokenizer", "efficiency", "chunks")
def test_BPETokenizer_encode_iterable_hands_out_what_is_certain(agree):
    def question(unit):
        feed = Feed(chunks_of_words())
        return lag(bpe(unit).encode_iterable(feed), feed, lambda id: len(VOCAB[id]))

    agree.on("BPETokenizer.encode_iterable of 200 chunks, read id by id", question)


@check("BPETokenizer", "efficiency")
def test_BPETokenizer_remembers_a_limited_number_of_words(agree, measure):
    words = list(map("".join, itertools.islice(itertools.product(string.ascii_letters, repeat=3), 8000)))

    def question(unit):
        tokenizer = bpe(unit)
        tokenizer.encode(" ".join(words[:2500]))  # and the cache is full
        # The pieces and ids of 5500 more words take 0.6 MB. A cache adds 0.1 to 0.2 kB a word, 0.3 MB for 2000 of them.
        needed = measure(lambda: tokenizer.encode(" ".join(words[2500:]))).memory
        return {"needs less than 1.1 MB": needed < 1_100_000}

    agree.on("BPETokenizer.encode of 5500 words after 2500 others", question)
