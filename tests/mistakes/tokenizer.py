"""Known mistakes in the unit `tokenizer`: each must fail, and the message must name it."""

from textwrap import indent

from grader.checking import Mistake


def _wrong(name: str, body: str) -> str:
    """A wrong version of the function `name`, which may call the right one as `_right`."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"_right = {name}\n_seen = {{}}\n\n\ndef _wrong(*args, **kwargs):\n{lines}\n\n\n{name} = _wrong\n"


def _method(class_name: str, method: str, body: str) -> str:
    """The class with a wrong version of one method, which may call the right one as `_right`."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"_right = {class_name}.{method}\n\n\ndef _wrong(self, *args, **kwargs):\n{lines}\n\n\n{class_name}.{method} = _wrong\n"


def _returns_none(exercise: str, name: str | None = None) -> Mistake:
    says = f"your {name or exercise} returns None: is there a `return`?"
    class_name, _, method = (name or exercise).partition(".")
    code = (
        _method(class_name, method, "_right(self, *args, **kwargs)")
        if method
        else _wrong(exercise, "_right(*args, **kwargs)")
    )
    return Mistake(f"{name or exercise}-returns-none", exercise, says, append=code)


_CHARACTERS = "sorted(set(text))"
_CHAR_CHECK = """            if character not in self._ids:
                raise ValueError(f"character {character!r} is not among the {self.vocab_size} of the vocabulary")
"""
_CHAR_ENCODE = "return [self._ids[character] for character in text]"
_CHAR_DECODE_CHECK = """            if token_id not in self._characters:
                raise ValueError(f"id {token_id} is not in the vocabulary: ids run from 0 to {self.vocab_size - 1}")
"""

CHAR_TOKENIZER = [
    Mistake(
        "char-order-of-appearance",
        "CharTokenizer",
        "your characters are numbered in the order in which they first appear in the text, not sorted.",
        {_CHARACTERS: "dict.fromkeys(text)"},
    ),
    Mistake(
        "char-code-points",
        "CharTokenizer",
        "your ids are the characters' Unicode numbers (`ord`), not their places in the sorted vocabulary.",
        {f"dict(enumerate({_CHARACTERS}))": "{ord(c): c for c in sorted(set(text))}"},
    ),
    Mistake(
        "char-white-space-lost",
        "CharTokenizer",
        "your vocabulary has no white space: spaces and line breaks are characters like any other.",
        {_CHARACTERS: 'sorted(set("".join(text.split())))'},
    ),
    Mistake(
        "char-unknown-skipped",
        "CharTokenizer",
        "your encode leaves out characters that are not in the vocabulary; it must raise ValueError.",
        {_CHAR_CHECK: "            pass\n", _CHAR_ENCODE: "return [self._ids[c] for c in text if c in self._ids]"},
    ),
    Mistake(
        "char-unknown-key-error",
        "CharTokenizer",
        "your encode raises KeyError for a character that is not in the vocabulary; it must raise ValueError and name it.",
        {_CHAR_CHECK: "            pass\n"},
    ),
    Mistake(
        "char-decode-negative-id",
        "CharTokenizer",
        "your decode takes -1 as the index of the last character; an id below 0 is unknown and must raise ValueError.",
        {
            _CHAR_DECODE_CHECK: _CHAR_DECODE_CHECK.replace(
                "token_id not in self._characters", "token_id >= len(self._ids)"
            ),
            "append(self._characters[token_id])": "append(list(self._characters.values())[token_id])",
        },
    ),
    Mistake(
        "char-vocab-size-of-text",
        "CharTokenizer",
        "your vocab_size is the length of the text, not the number of its distinct characters.",
        {
            "self._ids = {character: token_id": "self._length = len(text)\n        self._ids = {character: token_id",
            "return len(self._ids)": "return self._length",
        },
    ),
    Mistake(
        "char-vocab-size-is-a-method",
        "CharTokenizer",
        "your vocab_size is a method: mark it with @property, so that it works without parentheses.",
        append="CharTokenizer.vocab_size = CharTokenizer.vocab_size.fget\n",
    ),
    Mistake(
        "char-vocabulary-shared",
        "CharTokenizer",
        "your tokenizers share one vocabulary: a second tokenizer changes the first. Store the vocabulary on self, not on the class.",
        append="""
def _wrong(self, text):
    CharTokenizer._characters = dict(enumerate(sorted(set(text))))
    CharTokenizer._ids = {c: i for i, c in CharTokenizer._characters.items()}


CharTokenizer.__init__ = _wrong
""",
    ),
    Mistake(
        "char-decode-reads-twice",
        "CharTokenizer",
        "your decode goes over the ids twice, but an iterator is empty the second time: go over them once.",
        append=_method(
            "CharTokenizer",
            "decode",
            "if unknown := [i for i in args[0] if i not in self._characters]:\n    raise ValueError(f'unknown ids {unknown}')\nreturn ''.join(self._characters[i] for i in args[0])",
        ),
    ),
    Mistake(
        "char-decode-takes-len",
        "CharTokenizer",
        "your decode asks for the number of ids, which an iterator does not know: just go over them once.",
        append=_method("CharTokenizer", "decode", "len(args[0])\nreturn _right(self, *args)"),
    ),
    Mistake(
        "char-lower-case",
        "CharTokenizer",
        "you convert the text to lower case: A and a are different characters.",
        {_CHARACTERS: "sorted(set(text.lower()))"},
    ),
    Mistake(
        "char-vocab-size-one-more",
        "CharTokenizer",
        "your vocab_size is one too large: ids run from 0 to vocab_size - 1.",
        {"return len(self._ids)": "return len(self._ids) + 1"},
    ),
    _returns_none("CharTokenizer", "CharTokenizer.encode"),
    _returns_none("CharTokenizer", "CharTokenizer.decode"),
]


_FINDALL = "return regex.findall(GPT2_PATTERN, text)"


def _pattern(id: str, says: str, pattern: str) -> Mistake:
    return Mistake(id, "pretokenize", says, {_FINDALL: f"return [m[0] for m in regex.finditer({pattern}, text)]"})


PRETOKENIZE = [
    Mistake(
        "pretokenize-white-space-lost",
        "pretokenize",
        "you split at white space and lose it: a piece must keep the space before it.",
        {_FINDALL: "return text.split()"},
    ),
    Mistake(
        "pretokenize-lines",
        "pretokenize",
        "you cut the text into lines first: a run of line breaks and spaces must stay together.",
        {_FINDALL: "return [p for line in text.splitlines(keepends=True) for p in regex.findall(GPT2_PATTERN, line)]"},
    ),
    Mistake(
        "pretokenize-empty-piece",
        "pretokenize",
        "your result contains an empty piece: `split` leaves one wherever two matches touch.",
        {_FINDALL: 'return regex.split(f"({GPT2_PATTERN})", text)'},
    ),
    _pattern(
        "pretokenize-space-apart",
        "you make the space before a word a separate piece: the pattern's ' ?' keeps it with the word.",
        'GPT2_PATTERN.replace(" ?", "")',
    ),
    _pattern(
        "pretokenize-no-lookahead",
        "a run of white space swallows the space that belongs to the next word: (?!\\S) is missing.",
        'GPT2_PATTERN.replace(r"\\s+(?!\\S)|", "")',
    ),
    _pattern(
        "pretokenize-ascii-letters",
        "you only treat a to z as letters: \\p{L} is any letter of any script.",
        'GPT2_PATTERN.replace(r"\\p{L}", "A-Za-z", 2).replace("A-Za-z", "[A-Za-z]", 1)',
    ),
    _pattern(
        "pretokenize-words",
        "you take letters, digits and _ as one kind of character (\\w): they are three kinds.",
        'r"\'(?:[sdmt]|ll|ve|re)| ?\\w+| ?[^\\s\\w]+|\\s+(?!\\S)|\\s+"',
    ),
    Mistake(
        "pretokenize-normalizes",
        "pretokenize",
        "you normalize the text: a separate accent is a character like any other and must stay.",
        {_FINDALL: 'import unicodedata\n\n    return regex.findall(GPT2_PATTERN, unicodedata.normalize("NFC", text))'},
    ),
    Mistake(
        "pretokenize-strips",
        "pretokenize",
        "you lose the white space at both ends of the text: keep it.",
        {_FINDALL: "return regex.findall(GPT2_PATTERN, text.strip())"},
    ),
    Mistake(
        "pretokenize-line-ends-unified",
        "pretokenize",
        "you turn \\r\\n into \\n: the text must not change.",
        {_FINDALL: 'return regex.findall(GPT2_PATTERN, text.replace("\\r\\n", "\\n"))'},
    ),
    _pattern(
        "pretokenize-any-case",
        "you take 'LL and 'S as contractions too: the pattern knows them only in lower case.",
        '"(?i)" + GPT2_PATTERN',
    ),
    _returns_none("pretokenize"),
]


_SPLIT = 'pieces = regex.split(f"({any_special})", text)'
_LONGEST = "longest_first = sorted(special_tokens, key=len, reverse=True)"
_NO_SPECIAL = """    if not special_tokens:
        # an empty pattern would split between any two characters
        return [text] if text else []
"""

SPLIT_SPECIAL_TOKENS = [
    Mistake(
        "split-not-escaped",
        "split_special_tokens",
        "you use the special tokens as patterns: escape them, since the | in <|end|> means 'or'.",
        {"regex.escape(token) for": "token for"},
    ),
    Mistake(
        "split-sorts-the-callers-list",
        "split_special_tokens",
        "you sort the list that you were given: use sorted(), which makes a new list.",
        {
            _LONGEST: "longest_first = special_tokens if isinstance(special_tokens, list) else list(special_tokens)\n"
            "    longest_first.sort(key=len, reverse=True)"
        },
    ),
    Mistake(
        "split-order-given",
        "split_special_tokens",
        "where several special tokens start at the same position, you take the one that was given first, not the longest.",
        {_LONGEST: "longest_first = list(special_tokens)"},
    ),
    Mistake(
        "split-drops-special-tokens",
        "split_special_tokens",
        "you lose the special tokens: split keeps them only if the pattern is a group.",
        {_SPLIT: "pieces = regex.split(any_special, text)"},
    ),
    Mistake(
        "split-empty-pieces",
        "split_special_tokens",
        "your result contains empty pieces: split leaves one before a leading special token, between two adjacent ones, and after a trailing one.",
        {"return [piece for piece in pieces if piece]": "return pieces"},
    ),
    Mistake(
        "split-longest-anywhere",
        "split_special_tokens",
        "you look for the longest special token in the whole text before any shorter one. Search from left to right: of two that overlap, the one that starts first counts.",
        append=_wrong(
            "split_special_tokens",
            """
pieces, special_tokens = [args[0]], args[1] if len(args) > 1 else kwargs["special_tokens"]
for token in sorted(special_tokens, key=len, reverse=True):
    split = lambda piece: [piece] if piece in special_tokens else regex.split(f"({regex.escape(token)})", piece)
    pieces = [part for piece in pieces for part in split(piece)]
return [piece for piece in pieces if piece]
""",
        ),
    ),
    Mistake(
        "split-none-given",
        "split_special_tokens",
        "without special tokens you cut the text into single characters: an empty pattern matches everywhere.",
        {_NO_SPECIAL: "    if not special_tokens:\n        return list(text)\n"},
    ),
    Mistake(
        "split-empty-text",
        "split_special_tokens",
        "you return one empty piece for an empty text: return no pieces.",
        {
            _NO_SPECIAL: _NO_SPECIAL.replace("[text] if text else []", "[text]"),
            "return [piece for piece in pieces if piece]": "return [piece for piece in pieces if piece] or [text]",
        },
    ),
    Mistake(
        "split-alphabetical",
        "split_special_tokens",
        "where several special tokens start at the same position, you take the first in the alphabet, not the longest.",
        {_LONGEST: "longest_first = sorted(special_tokens)"},
    ),
    Mistake(
        "split-any-case",
        "split_special_tokens",
        "you ignore the case of special tokens: <S> is not <s>.",
        {_SPLIT: 'pieces = regex.split(f"({any_special})", text, flags=regex.IGNORECASE)'},
    ),
    Mistake(
        "split-empties-the-callers-list",
        "split_special_tokens",
        "you take the special tokens out of the list that you were given: leave the list unchanged.",
        {_LONGEST: f"{_LONGEST}\n    if isinstance(special_tokens, list):\n        special_tokens.clear()"},
    ),
    Mistake(
        "split-strips-pieces",
        "split_special_tokens",
        "you lose the white space around special tokens: it is part of the text between them.",
        {"return [piece for piece in pieces if piece]": "return [piece.strip() for piece in pieces if piece.strip()]"},
    ),
    _returns_none("split_special_tokens"),
]


_ADD = "            counts[pair] = counts.get(pair, 0) + frequency\n"
_NEIGHBOURS = """        # (w0, w1), (w1, w2), ...: overlapping pairs come out too
        for pair in pairwise(word):
"""


def _pairs(id: str, says: str, pairs: str) -> Mistake:
    return Mistake(id, "count_pairs", says, {_NEIGHBOURS: f"        for pair in {pairs}:\n"})


COUNT_PAIRS = [
    Mistake(
        "count-unweighted",
        "count_pairs",
        "you count each word once: a word that occurs 10 times adds 10 for each of its pairs.",
        {_ADD: _ADD.replace("+ frequency", "+ 1")},
    ),
    Mistake(
        "count-overwritten",
        "count_pairs",
        "you replace the count of a pair whenever you meet it again: add to the count.",
        {_ADD: "            counts[pair] = frequency\n"},
    ),
    Mistake(
        "count-no-overlap",
        "count_pairs",
        "you skip a pair of equal ids that overlaps with the one before: (7, 7, 7) contains (7, 7) twice.",
        {
            _ADD: "            if pair == previous:\n                previous = None\n                continue\n            previous = pair\n"
            + _ADD,
            "    for word, frequency in words.items():\n": "    for word, frequency in words.items():\n        previous = None\n",
        },
    ),
    _pairs("count-once-a-word", "you count a pair only once per word: count every occurrence.", "set(pairwise(word))"),
    Mistake(
        "count-across-words",
        "count_pairs",
        "you count the last id of a word and the first id of the next as a pair: count pairs only within words.",
        append=_wrong(
            "count_pairs",
            "counts = dict(_right(*args, **kwargs))\nwords = [w for w in (args[0] if args else kwargs['words']) if w]\nfor left, right in pairwise(words):\n    counts[left[-1], right[0]] = counts.get((left[-1], right[0]), 0) + 1\nreturn counts",
        ),
    ),
    _pairs(
        "count-unordered",
        "you count (a, b) and (b, a) as the same pair: the order matters.",
        "map(tuple, map(sorted, pairwise(word)))",
    ),
    Mistake(
        "count-keeps-state",
        "count_pairs",
        "your counts still include those of earlier calls: start each call with an empty dict.",
        append=_wrong(
            "count_pairs",
            "for pair, count in _right(*args, **kwargs).items():\n    _seen[pair] = _seen.get(pair, 0) + count\nreturn dict(_seen)",
        ),
        stateful=True,
    ),
    Mistake(
        "count-short-words-crash",
        "count_pairs",
        "you crash on a word without ids: it has no pairs.",
        {_NEIGHBOURS: "        word[0]\n" + _NEIGHBOURS},
    ),
    Mistake(
        "count-writes-into-words",
        "count_pairs",
        "you take words out of the dict that you were given: leave the dict unchanged.",
        append=_wrong(
            "count_pairs",
            "words = args[0] if args else kwargs['words']\ncounts = _right(words)\nfor word in [word for word in words if len(word) < 2]:\n    del words[word]\nreturn counts",
        ),
    ),
    _returns_none("count_pairs"),
]


_MATCH = "if tuple(ids[position : position + 2]) == pair:"
_USED_UP = "            position += 2  # both ids are used up\n"
_SCAN = "    while position < len(ids):\n        # near the end"
_MERGE_ARGS = "def _call(ids, pair, new_id):\n    return ids, pair, new_id\n\n\n"


def _merging(id: str, says: str, body: str) -> Mistake:
    return Mistake(
        id,
        "merge_pair",
        says,
        append=_MERGE_ARGS + _wrong("merge_pair", "ids, pair, new_id = _call(*args, **kwargs)\n" + body.strip()),
    )


MERGE_PAIR = [
    Mistake(
        "merge-id-used-twice",
        "merge_pair",
        "you use an id in two merges: after a merge, continue after both ids.",
        {
            _USED_UP: "            position += 1\n            if tuple(ids[position : position + 2]) != pair:\n                position += 1\n"
        },
    ),
    _merging(
        "merge-right-to-left",
        "you go from right to left: of three equal ids in a row, merge the first two.",
        "return _right(ids[::-1], pair[::-1], new_id)[::-1]",
    ),
    Mistake(
        "merge-first-only",
        "merge_pair",
        "you merge only the first occurrence of the pair: merge every occurrence.",
        {_USED_UP: "            return [*merged, *ids[position + 2 :]]\n"},
    ),
    Mistake(
        "merge-last-id-lost",
        "merge_pair",
        "you lose the last id if it is not merged: copy it.",
        {_SCAN: _SCAN.replace("len(ids)", "len(ids) - 1")},
    ),
    Mistake(
        "merge-either-order",
        "merge_pair",
        "you merge (b, a) as well as (a, b): the order matters.",
        {_MATCH: "if tuple(ids[position : position + 2]) in (pair, pair[::-1]):"},
    ),
    Mistake(
        "merge-list-against-tuple",
        "merge_pair",
        "you compare a slice of a list with a tuple. They are never equal, so nothing is merged.",
        {_MATCH: "if ids[position : position + 2] == pair:"},
    ),
    Mistake(
        "merge-repeated",
        "merge_pair",
        "you merge the result of a merge again: go over the ids once.",
        {
            "    return merged\n\n\ndef train_bpe": "    return merge_pair(merged, pair, new_id) if len(merged) < len(ids) else merged\n\n\ndef train_bpe"
        },
    ),
    _merging(
        "merge-in-place",
        "your merge_pair changes the given ids in place, which a tuple does not even allow: make a new list.",
        "position = 0\nwhile position < len(ids) - 1:\n    if (ids[position], ids[position + 1]) == pair:\n        ids[position : position + 2] = [new_id]\n    position += 1\nreturn ids",
    ),
    _merging(
        "merge-returns-the-ids",
        "you return the given ids if there is nothing to merge: always return a new list.",
        "return _right(ids, pair, new_id) if pair in pairwise(ids) else ids",
    ),
    _merging(
        "merge-keeps-the-type",
        "you return a tuple for a tuple: always return a list.",
        "return type(ids)(_right(ids, pair, new_id))",
    ),
    _returns_none("merge_pair"),
]


_ROUNDS = "for _ in range(vocab_size - least):"
_CHECK = """    if vocab_size < least:
        raise ValueError(f"vocab_size is {vocab_size}, but 256 bytes and the special tokens need at least {least}")
"""
_WORDS = "frequencies.update(pretokenize(piece))"
_SKIP = "        if piece not in special_tokens:\n            " + _WORDS
_PIECES = "for piece in split_special_tokens(text, special_tokens):"
_MERGED_PAIR = "        merges.append((vocab[pair[0]], vocab[pair[1]]))\n"
_SPECIALS = (
    '    for token in special_tokens:\n        vocab[len(vocab)] = token.encode("utf-8")\n    return vocab, merges'
)
_BYTE_IDS = 'return {tuple(word.encode("utf-8")): frequency for word, frequency in frequencies.items()}'

# Training by counting everything again in each round, so that a mistake needs to change only one line of it.
_NAIVE = """
def train_bpe(text, vocab_size, special_tokens=()):
    if vocab_size < 256 + len(special_tokens):
        raise ValueError(f"vocab_size is {{vocab_size}}, but at least {{256 + len(special_tokens)}} are needed")
    vocab, merges = {{i: bytes([i]) for i in range(256)}}, []
    words = [(list(word), n) for word, n in _count_words(text, special_tokens).items()]
    {start}
    while len(vocab) < vocab_size - len(special_tokens):
        {count}
        if not counts:
            break
        pair = {choose}
        new_id = len(vocab)
        vocab[new_id] = vocab[pair[0]] + vocab[pair[1]]
        merges.append((vocab[pair[0]], vocab[pair[1]]))
        {merge}
    for token in special_tokens:
        vocab[len(vocab)] = token.encode("utf-8")
    return vocab, merges


def _recount(words):
    counts = {{}}
    for word, n in words:
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + n
    return counts
"""


def _naive(
    *,
    start: str = "",
    count: str = "counts = _recount(words)",
    choose: str = "min(counts, key=lambda p: (-counts[p], p))",
    merge: str = "words = [(merge_pair(word, pair, new_id), n) for word, n in words]",
) -> str:
    indent = "\n        "
    return _NAIVE.format(start=start or "pass", count=count, choose=choose, merge=merge.replace("\n", indent))


_TRAIN_ARGS = "def _call(text, vocab_size, special_tokens=()):\n    return text, vocab_size, special_tokens\n\n\n"


def _training(id: str, says: str, body: str) -> Mistake:
    return Mistake(
        id,
        "train_bpe",
        says,
        append=_TRAIN_ARGS
        + _wrong("train_bpe", "text, vocab_size, special_tokens = _call(*args, **kwargs)\n" + body.strip()),
    )


TRAIN_BPE = [
    # first, because among answers that are right but dear it is the likeliest
    Mistake(
        "train-recounts-everything",
        "train_bpe",
        "your result is right, but each merge looks at all words again: remember for each pair which words contain it.",
        append=_naive(),
    ),
    Mistake(
        "train-tie-greater-ids",
        "train_bpe",
        "of equally frequent pairs, you take the one with the greatest ids: take the smallest.",
        append=_naive(choose="max(counts, key=lambda p: (counts[p], p))"),
    ),
    Mistake(
        "train-tie-greater-bytes",
        "train_bpe",
        "of equally frequent pairs, you take the greatest by bytes: take the smallest by ids.",
        append=_naive(choose="max(counts, key=lambda p: (counts[p], vocab[p[0]], vocab[p[1]]))"),
    ),
    Mistake(
        "train-tie-smaller-bytes",
        "train_bpe",
        "of equally frequent pairs, you take the smallest by bytes: take the smallest by ids. The id of a merged token is above that of any byte.",
        append=_naive(choose="min(counts, key=lambda p: (-counts[p], vocab[p[0]], vocab[p[1]]))"),
    ),
    Mistake(
        "train-tie-first-seen",
        "train_bpe",
        "of equally frequent pairs, you take the one that comes first in the text or dict: take the one with the smallest ids.",
        append=_naive(choose="max(counts, key=counts.get)"),
    ),
    Mistake(
        "train-special-not-split-off",
        "train_bpe",
        "you learn from the special tokens as if they were text: split the text at them before pretokenizing.",
        {_SKIP: "        " + _WORDS, _PIECES: "for piece in [text]:"},
    ),
    Mistake(
        "train-special-counted",
        "train_bpe",
        "you split the text at special tokens, but then learn from them too: leave those pieces out.",
        {_SKIP: "        " + _WORDS},
    ),
    Mistake(
        "train-special-removed-first",
        "train_bpe",
        "you delete the special tokens, so that the text before and after them is joined: split the text there.",
        {
            _PIECES: 'for piece in ["".join(p for p in split_special_tokens(text, special_tokens) if p not in special_tokens)]:'
        },
    ),
    Mistake(
        "train-special-shortest-first",
        "train_bpe",
        "where special tokens overlap, you split at the shortest and learn from the rest of the longest: split at the longest.",
        {
            _PIECES: 'for piece in regex.split("(" + "|".join(map(regex.escape, sorted(special_tokens, key=len))) + ")", text) if special_tokens else [text]:'
        },
    ),
    Mistake(
        "train-across-pretokens",
        "train_bpe",
        "you merge across pretokens: cut the text by `pretokenize`, and count pairs within each piece only.",
        {_WORDS: "frequencies.update([piece])"},
    ),
    Mistake(
        "train-words-once",
        "train_bpe",
        "you count each distinct word once: count it as often as it occurs.",
        {_BYTE_IDS: _BYTE_IDS.replace(": frequency for", ": 1 for")},
    ),
    Mistake(
        "train-old-pairs-kept",
        "train_bpe",
        "your counts are outdated: after a merge you add the new pairs of a word, but don't subtract its old ones.",
        append=_naive(
            start="counts = _recount(words)",
            count="",
            merge="counts.pop(pair)\nmerged = [(merge_pair(word, pair, new_id), n) for word, n in words]\nfor (old, n), (new, _) in zip(words, merged):\n    for p in set(pairwise(new)) - set(pairwise(old)):\n        counts[p] = counts.get(p, 0) + n * list(pairwise(new)).count(p)\nwords = merged",
        ),
    ),
    Mistake(
        "train-new-pairs-missing",
        "train_bpe",
        "after a merge you don't count the pairs of the new token: no token ever gets longer than two bytes.",
        append=_naive(
            start="counts = _recount(words)",
            count="",
            merge="counts.pop(pair)\nwords = [(merge_pair(word, pair, new_id), n) for word, n in words]\nleft = _recount(words)\ncounts = {p: left[p] for p in counts if p in left}",
        ),
    ),
    Mistake(
        "train-counts-stale-overlap",
        "train_bpe",
        "your counts are wrong where a pair overlaps with itself, as in aaaa: subtract all old pairs of the word, then add all new ones.",
        append=_naive(
            start="counts = _recount(words)",
            count="counts = {p: c for p, c in counts.items() if c > 0}",
            merge="counts.pop(pair)\nfor index, (old, n) in enumerate(words):\n    new = merge_pair(old, pair, new_id)\n    if len(new) < len(old):\n        seen = set(pairwise(old))\n        for p in seen:\n            occurs = 1 if p[0] == p[1] else list(pairwise(old)).count(p)\n            counts[p] = counts.get(p, 0) - n * occurs if p != pair else 0\n        for p in pairwise(new):\n            counts[p] = counts.get(p, 0) + n\n    words[index] = (new, n)",
        ),
    ),
    Mistake(
        "train-bytes-of-zeros",
        "train_bpe",
        "you wrote bytes(n), which is n zero bytes: the byte n is bytes([n]).",
        {"vocab = {byte: bytes([byte]) for byte in range(256)}": "vocab = {byte: bytes(byte) for byte in range(256)}"},
    ),
    Mistake(
        "train-size-without-bytes",
        "train_bpe",
        "your vocabulary is 256 too large: vocab_size counts the bytes too.",
        {_ROUNDS: "for _ in range(vocab_size - len(special_tokens)):"},
    ),
    Mistake(
        "train-size-without-special",
        "train_bpe",
        "your vocabulary is too large by the number of special tokens: vocab_size counts them too.",
        {_ROUNDS: "for _ in range(vocab_size - 256):"},
    ),
    Mistake(
        "train-small-size-accepted",
        "train_bpe",
        "you accept a vocab_size that is too small for the bytes and the special tokens; it must raise ValueError.",
        {_CHECK: ""},
    ),
    _training(
        "train-special-first",
        "your special tokens have the first ids, before the bytes: they should come last.",
        "vocab, merges = _right(text, vocab_size, special_tokens)\ntokens = list(vocab.values())\nmiddle = len(tokens) - len(special_tokens)\nreturn dict(enumerate(tokens[middle:] + tokens[:middle])), merges",
    ),
    _training(
        "train-special-after-bytes",
        "your special tokens come right after the bytes: they should come last, after the merged tokens.",
        "vocab, merges = _right(text, vocab_size, special_tokens)\ntokens = list(vocab.values())\nmiddle = len(tokens) - len(special_tokens)\nreturn dict(enumerate(tokens[:256] + tokens[middle:] + tokens[256:middle])), merges",
    ),
    Mistake(
        "train-special-missing",
        "train_bpe",
        "your vocabulary has no special tokens.",
        {_SPECIALS: "    return vocab, merges"},
    ),
    Mistake(
        "train-special-gap",
        "train_bpe",
        "if the pairs run out, you leave a gap in the ids before the special tokens: they should follow the last merge.",
        {
            _SPECIALS: '    for i, token in enumerate(special_tokens):\n        vocab[vocab_size - len(special_tokens) + i] = token.encode("utf-8")\n    return vocab, merges'
        },
    ),
    Mistake(
        "train-single-pairs-ignored",
        "train_bpe",
        "you stop at pairs that occur only once: merge them too, until the vocabulary is full.",
        {"        if pair is None:  #": "        if pair is None or index.counts[pair] < 2:  #"},
    ),
    Mistake(
        "train-no-pair-crashes",
        "train_bpe",
        "you crash when no pair is left: an empty text has none, and a short text runs out of them.",
        append=_naive().replace("        if not counts:\n            break\n", ""),
    ),
    Mistake(
        "train-ascii-only",
        "train_bpe",
        "you lose all characters outside ASCII: encode the words as UTF-8.",
        {_BYTE_IDS: _BYTE_IDS.replace('"utf-8"', '"ascii", "ignore"')},
    ),
    Mistake(
        "train-merges-as-ids",
        "train_bpe",
        "your merges are pairs of ids: they should be pairs of bytes.",
        {_MERGED_PAIR: "        merges.append(pair)\n"},
    ),
    Mistake(
        "train-keeps-state",
        "train_bpe",
        "you still count the words of earlier calls: start each call with empty counts.",
        {"    frequencies: Counter[str] = Counter()\n": "    frequencies = _FREQUENCIES\n"},
        append="_FREQUENCIES = Counter()\n",
        stateful=True,
    ),
    Mistake(
        "train-texts-once",
        "train_bpe",
        "you count equal texts between special tokens once: count them as often as they occur.",
        {_PIECES: "for piece in dict.fromkeys(split_special_tokens(text, special_tokens)):"},
    ),
    Mistake(
        "train-sorts-the-callers-list",
        "train_bpe",
        "you sort the list of special tokens that you were given: leave it unchanged.",
        {
            "    least = 256 + len(special_tokens)\n": "    least, given = 256 + len(special_tokens), tuple(special_tokens)\n    if isinstance(special_tokens, list):\n        special_tokens.sort(key=len, reverse=True)\n        given = given\n",
            _SPECIALS: _SPECIALS.replace("for token in special_tokens:", "for token in given:"),
        },
    ),
    Mistake(
        "train-special-sorted",
        "train_bpe",
        "you do not number the special tokens in the given order.",
        {_SPECIALS: _SPECIALS.replace("for token in special_tokens:", "for token in sorted(special_tokens):")},
    ),
    Mistake(
        "train-last-text-only",
        "train_bpe",
        "you learn only from the text after the last special token: learn from all the text between special tokens.",
        {
            "        if piece not in special_tokens:\n            frequencies": "        if piece not in special_tokens:\n            frequencies.clear()\n            frequencies"
        },
    ),
    Mistake(
        "train-lower-case",
        "train_bpe",
        "you convert the text to lower case: A and a are different bytes.",
        {_WORDS: "frequencies.update(pretokenize(piece.lower()))"},
    ),
    _returns_none("train_bpe"),
]


_CHOOSE = "first, second = min(neighbours, key=ranks.__getitem__)"
_REPEAT = "    tokens = merged\n"
_SINGLE = "tokens = [word[i : i + 1] for i in range(len(word))]"
_USED_UP = "            open_first = False\n"
_ROUNDS = """
tokens = [word[i : i + 1] for i in range(len(word))]
while True:
    neighbours = [pair for pair in pairwise(tokens) if pair in ranks]
    if not neighbours:
        return tokens
    first, second = min(neighbours, key=ranks.__getitem__)
    merged = []
    open_first = False
    for token in tokens:
        if open_first and token == second:
            merged[-1] += token
            open_first = False
        else:
            merged.append(token)
            open_first = token == first
    tokens = merged
"""  # right, but it looks through the whole word for each merge
_APPLY_ARGS = "def _call(word, ranks):\n    return word, ranks\n\n\n"


def _applying(id: str, says: str, body: str) -> Mistake:
    return Mistake(
        id,
        "apply_merges",
        says,
        append=_APPLY_ARGS + _wrong("apply_merges", "word, ranks = _call(*args, **kwargs)\n" + body.strip()),
    )


_LONGEST_MATCH = """
known, tokens = {a + b for a, b in ranks}, []
while word:
    end = max((e for e in range(2, len(word) + 1) if word[:e] in known), default=1)
    tokens.append(word[:end])
    word = word[end:]
return tokens
"""


APPLY_MERGES = [
    _applying(
        "apply-quadratic",
        "you go through the whole word for each merge, which takes n^2 steps for n bytes: use a heap of the pairs.",
        _ROUNDS,
    ),
    _applying(
        "apply-longest-match",
        "you take the longest token that fits from the left: apply the merge that training made first.",
        _LONGEST_MATCH,
    ),
    _applying(
        "apply-whole-word-first",
        "you take a word that is in the vocabulary as one token: its merges may lead to other tokens.",
        "return [word] if word in {a + b for a, b in ranks} else _right(word, ranks)",
    ),
    _applying(
        "apply-leftmost-first",
        "you merge the leftmost pair that can be merged, whatever its rank: merge the pair with the lowest rank.",
        _ROUNDS.replace(_CHOOSE, "first, second = neighbours[0]"),
    ),
    _applying(
        "apply-highest-rank",
        "you start with the highest rank, the merge that training made last: start with the lowest.",
        _ROUNDS.replace(_CHOOSE, "first, second = max(neighbours, key=ranks.__getitem__)"),
    ),
    _applying(
        "apply-once",
        "you stop after one merge: repeat until no pair can be merged.",
        _ROUNDS.replace(_REPEAT, "    return merged\n"),
    ),
    _applying(
        "apply-one-place",
        "you merge each pair only at its first occurrence: merge it wherever it occurs.",
        "tokens, ranks = [word[i : i + 1] for i in range(len(word))], dict(ranks)\nwhile known := [p for p in pairwise(tokens) if p in ranks]:\n    pair = min(known, key=ranks.get)\n    i = list(pairwise(tokens)).index(pair)\n    tokens[i : i + 2] = [pair[0] + pair[1]]\n    ranks.pop(pair)\nreturn tokens",
    ),
    _applying(
        "apply-used-twice",
        "you use a token in two merges: aaa with (a, a) gives aa, a.",
        _ROUNDS.replace(_USED_UP, "            open_first = token == first\n"),
    ),
    _applying(
        "apply-int-tokens",
        "your tokens are ints: for bytes, word[i] is an int, and word[i : i + 1] is one byte as bytes.",
        _ROUNDS.replace(_SINGLE, "tokens = list(word)"),
    ),
    _applying("apply-empty-crashes", 'you crash on b"", which has no tokens.', "word[0]\nreturn _right(word, ranks)"),
    _applying(
        "apply-keeps-state",
        "you return the tokens that you found for this word with other merges: a cache must depend on the merges too.",
        "return list(_seen.setdefault(word, _right(word, ranks)))",
    ),
    _applying(
        "apply-removes-ranks",
        "you take merges out of the dict that you were given: leave the dict unchanged.",
        "tokens = _right(word, dict(ranks))\nfor pair in list(ranks)[:1]:\n    del ranks[pair]\nreturn tokens",
    ),
    _returns_none("apply_merges"),
]


_STREAM = """
def stream_pretokens(chunks, special_tokens=()):
    buffer = ""
    for chunk in chunks:
        {step}
    yield from _cut(buffer, special_tokens)


def _cut(text, special_tokens):
    for piece in split_special_tokens(text, special_tokens):
        yield from [piece] if piece in special_tokens else pretokenize(piece)
"""


def _streaming(id: str, says: str, step: str) -> Mistake:
    return Mistake(id, "stream_pretokens", says, append=_STREAM.format(step=step.replace("\n", "\n        ")))


_UNDECIDED = "undecided = max((len(token) - 1 for token in special_tokens), default=0)"
_LIMIT = "limit = max(len(buffer) - undecided, 0)"
_LONGER = """            if start >= limit:  # a longer special token may still begin here
                break
"""
_KEEP_TWO = "pretokens = pretokenize(buffer[start:limit])[:-2]"
_REST = """    for piece in split_special_tokens(buffer, special_tokens):
        yield from [piece] if piece in special_tokens else pretokenize(piece)
"""

STREAM_PRETOKENS = [
    _streaming(
        "stream-reads-everything",
        "you read all chunks before you yield the first piece: yield the certain pieces after each chunk.",
        "buffer += chunk",
    ),
    _streaming(
        "stream-chunk-by-chunk",
        "you cut each chunk separately: a piece that crosses the end of a chunk is torn apart.",
        "yield from _cut(chunk, special_tokens)",
    ),
    Mistake(
        "stream-keeps-one",
        "stream_pretokens",
        'you keep back only the last pretoken: "\'" and "l" can still become "\'ll", so keep back the last two.',
        {_KEEP_TWO: "pretokens = pretokenize(buffer[start:limit])[:-1]"},
    ),
    Mistake(
        "stream-special-cut",
        "stream_pretokens",
        "a special token that crosses the end of a chunk is taken as text: keep back text that may be the start of one.",
        {_UNDECIDED: "undecided = min(1, len(special_tokens))"},
    ),
    Mistake(
        "stream-special-one-short",
        "stream_pretokens",
        "you keep back one character too few: L - 1 characters of a special token of L characters may have been read.",
        {_UNDECIDED: "undecided = max((len(token) - 2 for token in special_tokens), default=0)"},
    ),
    Mistake(
        "stream-limit-below-zero",
        "stream_pretokens",
        "if fewer than L - 1 characters have been read, the end of your slice is negative and counts from the end of the text.",
        {_LIMIT: "limit = len(buffer) - undecided"},
    ),
    Mistake(
        "stream-longer-special",
        "stream_pretokens",
        "you yield a special token as soon as it is complete, although it may be the start of a longer one.",
        {_LONGER: ""},
    ),
    _streaming(
        "stream-cuts-at-space",
        "you cut the text read so far at its last space: a run of white space may still continue.",
        "buffer += chunk\nend = max(buffer.rfind(' '), 0)\nyield from _cut(buffer[:end], special_tokens)\nbuffer = buffer[end:]",
    ),
    Mistake(
        "stream-rest-lost",
        "stream_pretokens",
        "you lose the last pieces: yield the rest of the buffer when the chunks run out.",
        {_REST: ""},
    ),
    Mistake(
        "stream-returns-list",
        "stream_pretokens",
        "you return a list, which requires reading everything first: write a generator, with `yield`.",
        append=_wrong("stream_pretokens", "return list(_right(*args, **kwargs))"),
    ),
    Mistake(
        "stream-keeps-state",
        "stream_pretokens",
        "text kept back by one stream appears in the next: make a new buffer in each call.",
        {
            '    buffer = ""\n    for chunk in chunks:\n': "    for chunk in chunks:\n",
            "        certain, buffer = _split_certain(buffer + chunk, special_tokens)\n": "        certain, _LEFT[0] = _split_certain(_LEFT[0] + chunk, special_tokens)\n",
            "    # nothing follows: the end of the text": '    buffer, _LEFT[0] = _LEFT[0], ""\n    # nothing follows: the end of the text',
        },
        '_LEFT = [""]\n',
    ),
    Mistake(
        "stream-never-trims",
        "stream_pretokens",
        "you keep the whole text and cut it again with each chunk: keep only text that is still undecided.",
        append="""
def stream_pretokens(chunks, special_tokens=()):
    text, handed_out = "", 0
    for chunk in chunks:
        text += chunk
        certain, _ = _split_certain(text, special_tokens)
        yield from certain[handed_out:]
        handed_out = len(certain)
    pieces = [p for piece in split_special_tokens(text, special_tokens) for p in ([piece] if piece in special_tokens else pretokenize(piece))]
    yield from pieces[handed_out:]
""",
    ),
    Mistake(
        "stream-sorts-the-callers-list",
        "stream_pretokens",
        "you sort the list of special tokens that you were given: leave it unchanged.",
        {
            '    buffer = ""\n    for chunk in chunks:\n': '    if isinstance(special_tokens, list):\n        special_tokens.sort(key=len, reverse=True)\n    buffer = ""\n    for chunk in chunks:\n'
        },
    ),
    Mistake(
        "stream-reads-a-chunk-ahead",
        "stream_pretokens",
        "you read a chunk before anyone asks for a piece: write a generator, which starts when it is asked.",
        append=_wrong(
            "stream_pretokens",
            "chunks = iter(args[0])\nfirst = next(chunks, '')\nreturn _right((c for part in ([first], chunks) for c in part), *args[1:], **kwargs)",
        ),
    ),
    _returns_none("stream_pretokens"),
]


_IDS_OF = "self._cache[piece] = [self._ids[token] for token in apply_merges(word, self._ranks)]"
_IS_SPECIAL = """        if piece in self._special_tokens:
            return [self._ids[word]]
"""
_STREAMED = "for piece in stream_pretokens(chunks, self._special_tokens):"
_JOINED = 'return b"".join(parts).decode("utf-8", errors="replace")'
_ID_CHECK = """            if token_id not in self._tokens:
                raise ValueError(f"id {token_id} is not in the vocabulary of {self.vocab_size} tokens")
"""
_SPECIAL_CHECK = """            if token.encode("utf-8") not in self._ids:
                raise ValueError(f"special token {token!r} is not in the vocabulary: train with it, or add it")
"""
_SIZE = "return len(self._tokens)"


def _bpe(id: str, says: str, edits: dict[str, str] | None = None, append: str = "") -> Mistake:
    return Mistake(id, "BPETokenizer", says, edits or {}, append)


def _encode_iterable(id: str, says: str, body: str) -> Mistake:
    return _bpe(id, says, append=_method("BPETokenizer", "encode_iterable", body))


def _known_as(tokens: str) -> dict[str, str]:
    return {_IDS_OF: f"self._cache[piece] = [self._ids[token] for token in {tokens}]"}


BPE_TOKENIZER = [
    _bpe(
        "bpe-quadratic",
        "you go through the whole word again for each merge: `apply_merges` must not do that.",
        _known_as("_in_rounds(word, self._ranks)"),
        "def _in_rounds(word, ranks):\n" + indent(_ROUNDS.strip(), "    ") + "\n",
    ),
    _bpe(
        "bpe-longest-match",
        "you take the longest token that fits from the left: apply the merges by rank.",
        _known_as("_longest_match(word, self._ids)"),
        "def _longest_match(word, known):\n    tokens = []\n    while word:\n        end = max(e for e in range(1, len(word) + 1) if word[:e] in known)\n        tokens.append(word[:end])\n        word = word[end:]\n    return tokens\n",
    ),
    _bpe(
        "bpe-replaces-surrogates",
        "you replace half a character by something else; it must raise ValueError, as str.encode does.",
        {
            'word = piece.encode("utf-8")\n        # text': 'word = piece.encode("utf-8", errors="replace")\n        # text'
        },
    ),
    _bpe(
        "bpe-surrogatepass",
        "you encode half a character as if it were UTF-8; it must raise ValueError, as str.encode does.",
        {
            'word = piece.encode("utf-8")\n        # text': 'word = piece.encode("utf-8", errors="surrogatepass")\n        # text'
        },
    ),
    _bpe(
        "bpe-special-as-text",
        "you encode special tokens as if they were text: give each its own id.",
        {_STREAMED: "for piece in stream_pretokens(chunks):", _IS_SPECIAL: ""},
    ),
    _bpe(
        "bpe-special-shortest-first",
        "where special tokens overlap, you take the shortest: take the longest.",
        append=_method(
            "BPETokenizer",
            "encode",
            "specials = sorted(self._special_tokens, key=len)\npattern = '|'.join(map(regex.escape, specials))\npieces = regex.split(f'({pattern})', args[0]) if specials else [args[0]]\ncut = [p for piece in pieces for p in ([piece] if piece in specials else pretokenize(piece))]\nreturn [i for piece in cut for i in self._encode_piece(piece)]",
        ),
    ),
    _bpe(
        "bpe-special-not-checked",
        "you accept a special token that is not in the vocabulary; it must raise ValueError.",
        {_SPECIAL_CHECK: "            pass\n"},
    ),
    _bpe(
        "bpe-across-pretokens",
        "you merge across pretokens: cut the text by `pretokenize` before applying the merges.",
        append=_method(
            "BPETokenizer",
            "encode_iterable",
            "text = ''.join(args[0])\nreturn (i for piece in split_special_tokens(text, self._special_tokens) for i in self._encode_piece(piece))",
        ),
    ),
    _bpe(
        "bpe-ids-in-order",
        "you take the value of a byte as its id: look up the id in the vocabulary, since GPT-2's bytes are in another order.",
        {
            "self._ids = {token: token_id for token_id, token in vocab.items()}": "self._ids = {token: token_id for token_id, token in vocab.items()} | {bytes([i]): i for i in range(256)}"
        },
    ),
    _bpe(
        "bpe-cache-shared",
        "your tokenizers share one cache: a second tokenizer returns the ids of the first. Store the cache on self.",
        {"self._cache: dict[str, list[int]] = {}": "self._cache = _CACHE"},
        "_CACHE = {}\n",
    ),
    _bpe(
        "bpe-empty-text-crashes",
        "you crash on an empty text, which has no ids.",
        append=_method("BPETokenizer", "encode", "args[0][0]\nreturn _right(self, *args)"),
    ),
    _encode_iterable(
        "bpe-iterable-reads-everything",
        "your encode_iterable reads all chunks before it yields the first id: yield ids as soon as they are certain.",
        "yield from _right(self, [''.join(args[0])])",
    ),
    _encode_iterable(
        "bpe-iterable-chunk-by-chunk",
        "your encode_iterable encodes each chunk separately: a word or special token that crosses the end of a chunk is torn apart.",
        "for chunk in args[0]:\n    yield from _right(self, [chunk])",
    ),
    _encode_iterable(
        "bpe-iterable-returns-list",
        "your encode_iterable returns a list, which requires reading everything first: write a generator, with `yield`.",
        "return list(_right(self, *args))",
    ),
    _bpe(
        "bpe-decode-token-by-token",
        "your decode turns each token into text separately: a character whose bytes span several tokens is lost. Join all bytes first.",
        {_JOINED: 'return "".join(part.decode("utf-8", errors="replace") for part in parts)'},
    ),
    _bpe(
        "bpe-decode-strict",
        'your decode raises on bytes that are not valid UTF-8: use errors="replace", which puts U+FFFD there.',
        {_JOINED: 'return b"".join(parts).decode("utf-8")'},
    ),
    _bpe(
        "bpe-decode-special-dropped",
        "your decode leaves out special tokens: return them as they are written.",
        {
            "            parts.append(self._tokens[token_id])\n": '            if self._tokens[token_id] not in [t.encode("utf-8") for t in self._special_tokens]:\n                parts.append(self._tokens[token_id])\n'
        },
    ),
    _bpe(
        "bpe-decode-unknown-key-error",
        "your decode raises KeyError for an unknown id; it must raise ValueError and name the id.",
        {_ID_CHECK: ""},
    ),
    _bpe(
        "bpe-size-without-special",
        "your vocab_size leaves out the special tokens.",
        {_SIZE: "return len(self._tokens) - len(self._special_tokens)"},
    ),
    _bpe(
        "bpe-cache-without-bound",
        "you remember the ids of every word forever: an endless stream fills the memory. Limit the number of words.",
        {"if len(self._cache) >= 2000:": "if False:"},
    ),
    _bpe(
        "bpe-known-word-at-once",
        "you take a pretoken that is in the vocabulary as one token. Apply the merges: it may be a special token that this tokenizer was not given.",
        {
            _IDS_OF: "self._cache[piece] = [self._ids[word]] if word in self._ids else [self._ids[token] for token in apply_merges(word, self._ranks)]"
        },
    ),
    _bpe(
        "bpe-special-by-vocabulary",
        "you take every token that no merge makes as a special token: only the given ones are special.",
        {
            "self._special_tokens = tuple(special_tokens)": "made = {a + b for a, b in merges}\n        self._special_tokens = (*special_tokens, *(t.decode() for t in vocab.values() if len(t) > 1 and t not in made and t.decode() not in special_tokens))"
        },
    ),
    _bpe(
        "bpe-sorts-the-callers-list",
        "you sort the list of special tokens that you were given: leave it unchanged.",
        {
            "self._special_tokens = tuple(special_tokens)": "if isinstance(special_tokens, list):\n            special_tokens.sort(key=len, reverse=True)\n        self._special_tokens = tuple(special_tokens)"
        },
    ),
    _bpe(
        "bpe-adds-to-the-callers-vocabulary",
        "you write into the vocabulary that you were given: leave it unchanged.",
        {
            "self._tokens = dict(vocab)  #": "vocab[-1] = b'<unk>'\n        self._tokens = {i: t for i, t in vocab.items() if i >= 0}  #"
        },
    ),
    _bpe(
        "bpe-empties-the-merges",
        "you take the merges out of the list that you were given: leave the list unchanged.",
        {
            "self._ranks = {pair: rank for rank, pair in enumerate(merges)}": "self._ranks = {pair: rank for rank, pair in enumerate(merges)}\n        merges.clear()"
        },
    ),
    _bpe(
        "bpe-decode-reads-twice",
        "your decode goes over the ids twice, but an iterator is empty the second time: go over them once.",
        append=_method(
            "BPETokenizer",
            "decode",
            "if unknown := [i for i in args[0] if i not in self._tokens]:\n    raise ValueError(f'unknown ids {unknown}')\nreturn b''.join(self._tokens[i] for i in args[0]).decode('utf-8', errors='replace')",
        ),
    ),
    _bpe(
        "bpe-decode-ignores-errors",
        'your decode drops bytes that are not valid UTF-8: use errors="replace", which puts U+FFFD there.',
        {_JOINED: 'return b"".join(parts).decode("utf-8", errors="ignore")'},
    ),
    _returns_none("BPETokenizer", "BPETokenizer.encode"),
    _returns_none("BPETokenizer", "BPETokenizer.encode_iterable"),
    _returns_none("BPETokenizer", "BPETokenizer.decode"),
]

MISTAKES = [
    *CHAR_TOKENIZER,
    *PRETOKENIZE,
    *SPLIT_SPECIAL_TOKENS,
    *COUNT_PAIRS,
    *MERGE_PAIR,
    *TRAIN_BPE,
    *APPLY_MERGES,
    *STREAM_PRETOKENS,
    *BPE_TOKENIZER,
]
