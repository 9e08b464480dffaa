"""Known mistakes of the unit `tokenizer`: each must fail, and the message must name it."""

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
        "char-order-of-frequency",
        "CharTokenizer",
        "your characters are numbered from the most frequent to the rarest, not sorted.",
        {_CHARACTERS: "[c for c, _ in Counter(text).most_common()]"},
    ),
    Mistake(
        "char-order-reversed",
        "CharTokenizer",
        "your characters are sorted from the largest to the smallest: id 0 is the last one.",
        {_CHARACTERS: "sorted(set(text), reverse=True)"},
    ),
    Mistake(
        "char-ids-from-one",
        "CharTokenizer",
        "your ids start at 1: the first character must have id 0.",
        {f"enumerate({_CHARACTERS})": f"enumerate({_CHARACTERS}, start=1)"},
    ),
    Mistake(
        "char-duplicates-kept",
        "CharTokenizer",
        "you sort all characters of the text, not its distinct ones: one that occurs twice gets two ids.",
        {_CHARACTERS: "sorted(text)", "return len(self._ids)": "return len(self._characters)"},
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
        "your vocabulary has no white space: spaces and line ends are characters like any other.",
        {_CHARACTERS: 'sorted(set("".join(text.split())))'},
    ),
    Mistake(
        "char-lower-case",
        "CharTokenizer",
        "you turn capital letters into small ones, so decoding does not give the text back.",
        {
            _CHARACTERS: "sorted(set(text.lower()))",
            "        for character in text:\n": "        for character in (text := text.lower()):\n",
        },
    ),
    Mistake(
        "char-unknown-skipped",
        "CharTokenizer",
        "your encode leaves out characters that are not in the vocabulary; it must raise ValueError.",
        {_CHAR_CHECK: "            pass\n", _CHAR_ENCODE: "return [self._ids[c] for c in text if c in self._ids]"},
    ),
    Mistake(
        "char-unknown-is-0",
        "CharTokenizer",
        "your encode gives characters that are not in the vocabulary the id 0, which is another character's; it must raise ValueError.",
        {_CHAR_CHECK: "            pass\n", _CHAR_ENCODE: "return [self._ids.get(c, 0) for c in text]"},
    ),
    Mistake(
        "char-unknown-key-error",
        "CharTokenizer",
        "your encode raises KeyError for a character that is not in the vocabulary; it must raise ValueError and name it.",
        {_CHAR_CHECK: "            pass\n"},
    ),
    Mistake(
        "char-unknown-not-named",
        "CharTokenizer",
        "the message of your ValueError does not say which character is unknown.",
        {'f"character {character!r} is not among the {self.vocab_size} of the vocabulary"': '"unknown character"'},
    ),
    Mistake(
        "char-decode-negative-id",
        "CharTokenizer",
        "your decode takes -1 for the last character of a list; an id below 0 is unknown and must raise ValueError.",
        {
            _CHAR_DECODE_CHECK: _CHAR_DECODE_CHECK.replace(
                "token_id not in self._characters", "token_id >= len(self._ids)"
            ),
            "append(self._characters[token_id])": "append(list(self._characters.values())[token_id])",
        },
    ),
    Mistake(
        "char-decode-unknown-key-error",
        "CharTokenizer",
        "your decode raises KeyError for an unknown id; it must raise ValueError and name the id.",
        {_CHAR_DECODE_CHECK: ""},
    ),
    Mistake(
        "char-decode-unknown-skipped",
        "CharTokenizer",
        "your decode leaves out unknown ids; it must raise ValueError.",
        {_CHAR_DECODE_CHECK: "            if token_id not in self._characters:\n                continue\n"},
    ),
    Mistake(
        "char-decode-not-named",
        "CharTokenizer",
        "the message of your ValueError does not say which id is unknown.",
        {'f"id {token_id} is not in the vocabulary: ids run from 0 to {self.vocab_size - 1}"': '"unknown id"'},
    ),
    Mistake(
        "char-decode-list",
        "CharTokenizer",
        "your decode returns a list of characters: join them into one string.",
        {'return "".join(characters)': "return characters"},
    ),
    Mistake(
        "char-decode-spaces",
        "CharTokenizer",
        "your decode puts a space between characters: join them with the empty string.",
        {'return "".join(characters)': 'return " ".join(characters)'},
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
        "char-vocab-size-one-more",
        "CharTokenizer",
        "your vocab_size is one too large: there is no id for unknown characters.",
        {"return len(self._ids)": "return len(self._ids) + 1"},
    ),
    Mistake(
        "char-vocab-size-largest-id",
        "CharTokenizer",
        "your vocab_size is the largest id, which is one less than the number of ids.",
        {"return len(self._ids)": "return len(self._ids) - 1"},
    ),
    Mistake(
        "char-vocab-size-is-a-method",
        "CharTokenizer",
        "your vocab_size is a method: mark it with @property, so that it is read without brackets.",
        append="CharTokenizer.vocab_size = CharTokenizer.vocab_size.fget\n",
    ),
    Mistake(
        "char-vocabulary-shared",
        "CharTokenizer",
        "your tokenizers share one vocabulary: making a second one changes what the first one does. Store it on self, not on the class.",
        append="""
def _wrong(self, text):
    CharTokenizer._characters = dict(enumerate(sorted(set(text))))
    CharTokenizer._ids = {c: i for i, c in CharTokenizer._characters.items()}


CharTokenizer.__init__ = _wrong
""",
    ),
    Mistake(
        "char-empty-text",
        "CharTokenizer",
        "you refuse an empty text; it has an empty vocabulary.",
        {
            "        # sorted: the ids must": '        if not text:\n            raise ValueError("text is empty")\n        # sorted: the ids must'
        },
    ),
    Mistake(
        "char-encode-returns-its-input",
        "CharTokenizer",
        "your CharTokenizer.encode returns its input unchanged.",
        append=_method("CharTokenizer", "encode", "_right(self, *args)\nreturn args[0]"),
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
        "you split at white space and lose it: a piece keeps the space before it.",
        {_FINDALL: "return text.split()"},
    ),
    Mistake(
        "pretokenize-stripped",
        "pretokenize",
        "you strip the text: white space at its start and end belongs to it.",
        {_FINDALL: "return regex.findall(GPT2_PATTERN, text.strip())"},
    ),
    Mistake(
        "pretokenize-lower-case",
        "pretokenize",
        "you turn capital letters into small ones.",
        {_FINDALL: "return regex.findall(GPT2_PATTERN, text.lower())"},
    ),
    Mistake(
        "pretokenize-not-cut",
        "pretokenize",
        "you return the whole text as a single piece.",
        {_FINDALL: "return [text] if text else []"},
    ),
    Mistake(
        "pretokenize-characters",
        "pretokenize",
        "you cut the text into single characters.",
        {_FINDALL: "return list(text)"},
    ),
    Mistake(
        "pretokenize-lines",
        "pretokenize",
        "you cut the text into lines first: several line ends in a row, or a line end and spaces, are one piece.",
        {_FINDALL: "return [p for line in text.splitlines(keepends=True) for p in regex.findall(GPT2_PATTERN, line)]"},
    ),
    Mistake(
        "pretokenize-one-match",
        "pretokenize",
        "you return the first match only: `findall` finds all of them.",
        {_FINDALL: "return regex.findall(GPT2_PATTERN, text)[:1]"},
    ),
    Mistake(
        "pretokenize-empty-piece",
        "pretokenize",
        "your result holds an empty piece: `split` leaves one wherever two matches touch.",
        {_FINDALL: 'return regex.split(f"({GPT2_PATTERN})", text)'},
    ),
    Mistake(
        "pretokenize-matches",
        "pretokenize",
        "you return match objects: take the text of each, match.group().",
        {_FINDALL: "return list(regex.finditer(GPT2_PATTERN, text))"},
    ),
    Mistake(
        "pretokenize-iterator",
        "pretokenize",
        "you return an iterator, which can be read only once; a list is asked for.",
        {_FINDALL: "return (m[0] for m in regex.finditer(GPT2_PATTERN, text))"},
    ),
    _pattern(
        "pretokenize-space-apart",
        "you make the space before a word a piece of its own: the pattern's ' ?' keeps it with the word.",
        'GPT2_PATTERN.replace(" ?", "")',
    ),
    _pattern(
        "pretokenize-space-after",
        "your words own the space after them, not the one before.",
        'r"\'(?:[sdmt]|ll|ve|re)|\\p{L}+ ?|\\p{N}+ ?|[^\\s\\p{L}\\p{N}]+ ?|\\s+"',
    ),
    _pattern(
        "pretokenize-no-lookahead",
        "a run of white space swallows the space of the word after it: (?!\\S) is missing.",
        'GPT2_PATTERN.replace(r"\\s+(?!\\S)|", "")',
    ),
    _pattern(
        "pretokenize-no-contractions",
        "your pieces ignore English short forms: 'll, 's and the like are pieces of their own.",
        'GPT2_PATTERN[GPT2_PATTERN.index(" ?") :]',
    ),
    _pattern(
        "pretokenize-contractions-any-case",
        "your short forms match capital letters too; in GPT-2's pattern 'S and 'LL are no short forms.",
        'GPT2_PATTERN.replace("\'(?:", "\'(?i:")',
    ),
    _pattern(
        "pretokenize-curly-apostrophe",
        "your short forms match the curly apostrophe \u2019 too; in GPT-2's pattern it is punctuation.",
        'GPT2_PATTERN.replace("\'(?:", "[\'\\u2019](?:")',
    ),
    _pattern(
        "pretokenize-ascii-letters",
        "only a to z are letters to you: \\p{L} is any letter of any script.",
        'GPT2_PATTERN.replace(r"\\p{L}", "A-Za-z", 2).replace("A-Za-z", "[A-Za-z]", 1)',
    ),
    _pattern(
        "pretokenize-ascii-digits",
        "only 0 to 9 are digits to you: \\p{N} is any number sign of any script.",
        'GPT2_PATTERN.replace(r"\\p{N}", "0-9").replace("0-9", "[0-9]", 1)',
    ),
    _pattern(
        "pretokenize-short-numbers",
        "you cut numbers into groups of three digits, as later models do; GPT-2 keeps a run of digits whole.",
        'GPT2_PATTERN.replace(r"\\p{N}+", r"\\p{N}{1,3}")',
    ),
    _pattern(
        "pretokenize-words",
        "you take letters, digits and _ for one kind (\\w): they are three.",
        'r"\'(?:[sdmt]|ll|ve|re)| ?\\w+| ?[^\\s\\w]+|\\s+(?!\\S)|\\s+"',
    ),
    _pattern(
        "pretokenize-any-space",
        "a word takes any white space before it, not the space alone: a line end or a tab stays apart.",
        'GPT2_PATTERN.replace(" ?", r"\\s?")',
    ),
    _pattern(
        "pretokenize-punctuation-single",
        "you cut punctuation into single characters: a run of it is one piece.",
        'GPT2_PATTERN.replace(r"[^\\s\\p{L}\\p{N}]+", r"[^\\s\\p{L}\\p{N}]")',
    ),
    Mistake(
        "pretokenize-returns-its-input",
        "pretokenize",
        "your pretokenize returns its input unchanged.",
        {_FINDALL: "return text"},
    ),
    Mistake(
        "pretokenize-keeps-state",
        "pretokenize",
        "your result still holds the pieces of earlier calls: make a new list in each.",
        append=_wrong("pretokenize", "_seen.setdefault(0, []).extend(_right(*args, **kwargs))\nreturn list(_seen[0])"),
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
        "you use the special tokens as patterns: escape them, as | in <|end|> means 'or'.",
        {"regex.escape(token) for": "token for"},
    ),
    Mistake(
        "split-order-given",
        "split_special_tokens",
        "where several special tokens begin at the same place you take the one that was given first, not the longest.",
        {_LONGEST: "longest_first = list(special_tokens)"},
    ),
    Mistake(
        "split-shortest-first",
        "split_special_tokens",
        "where several special tokens begin at the same place you take the shortest, not the longest.",
        {_LONGEST: "longest_first = sorted(special_tokens, key=len)"},
    ),
    Mistake(
        "split-drops-special-tokens",
        "split_special_tokens",
        "you lose the special tokens themselves: split keeps them only if the pattern is a group.",
        {_SPLIT: "pieces = regex.split(any_special, text)"},
    ),
    Mistake(
        "split-empty-pieces",
        "split_special_tokens",
        "your result holds empty pieces: split leaves one before a special token at the start, between two, and after the last.",
        {"return [piece for piece in pieces if piece]": "return pieces"},
    ),
    Mistake(
        "split-neighbours-joined",
        "split_special_tokens",
        "you make special tokens that follow one another a single piece.",
        {_SPLIT: 'pieces = regex.split(f"((?:{any_special})+)", text)'},
    ),
    Mistake(
        "split-longest-anywhere",
        "split_special_tokens",
        "you look for the longest special token in the whole text before any shorter one. Go from left to right: of two that overlap, the one that begins first counts.",
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
        "split-first-occurrence",
        "split_special_tokens",
        "you split at the first special token only: the rest stays one piece.",
        {_SPLIT: 'pieces = regex.split(f"({any_special})", text, maxsplit=1)'},
    ),
    Mistake(
        "split-first-token-only",
        "split_special_tokens",
        "you look for the first of the special tokens only.",
        {_LONGEST: "longest_first = list(special_tokens[:1])"},
    ),
    Mistake(
        "split-none-given",
        "split_special_tokens",
        "without special tokens you cut the text into single characters: an empty pattern fits everywhere.",
        {_NO_SPECIAL: "    if not special_tokens:\n        return list(text)\n"},
    ),
    Mistake(
        "split-empty-text",
        "split_special_tokens",
        "an empty text gives you one empty piece; it has none.",
        {
            _NO_SPECIAL: _NO_SPECIAL.replace("[text] if text else []", "[text]"),
            "return [piece for piece in pieces if piece]": "return [piece for piece in pieces if piece] or [text]",
        },
    ),
    Mistake(
        "split-stripped",
        "split_special_tokens",
        "you strip white space next to special tokens: it belongs to the text.",
        {"return [piece for piece in pieces if piece]": "return [piece.strip() for piece in pieces if piece.strip()]"},
    ),
    Mistake(
        "split-ignored",
        "split_special_tokens",
        "you ignore the special tokens: the text comes back as one piece.",
        {_SPLIT: "pieces = [text]"},
    ),
    Mistake(
        "split-any-case",
        "split_special_tokens",
        "you ignore the difference between capital and small letters: <|END|> is not <|end|>.",
        {_SPLIT: 'pieces = regex.split(f"({any_special})", text, flags=regex.IGNORECASE)'},
    ),
    Mistake(
        "split-glued-to-text",
        "split_special_tokens",
        "your special tokens are glued to the text before them: each is a piece of its own.",
        {_SPLIT: 'pieces = regex.split(f"(?<={any_special})", text)'},
    ),
    Mistake(
        "split-sorts-its-input",
        "split_special_tokens",
        "your split_special_tokens sorts the caller's list in place: use sorted(...), which makes a new one.",
        {
            _LONGEST: "longest_first = special_tokens\n    if isinstance(longest_first, list):\n        longest_first.sort(key=len, reverse=True)\n    else:\n        longest_first = sorted(longest_first, key=len, reverse=True)"
        },
    ),
    Mistake(
        "split-returns-its-input",
        "split_special_tokens",
        "your split_special_tokens returns its input unchanged.",
        append=_wrong("split_special_tokens", 'return args[0] if args else kwargs["text"]'),
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
        "a pair's count is that of the last place where you met it: add to the count, don't replace it.",
        {_ADD: "            counts[pair] = frequency\n"},
    ),
    Mistake(
        "count-no-overlap",
        "count_pairs",
        "you count a pair of equal ids only where it does not overlap with the one before: (7, 7, 7) holds (7, 7) twice.",
        {
            _ADD: "            if pair == previous:\n                previous = None\n                continue\n            previous = pair\n"
            + _ADD,
            "    for word, frequency in words.items():\n": "    for word, frequency in words.items():\n        previous = None\n",
        },
    ),
    _pairs("count-once-a-word", "a pair that stands in a word twice counts only once with you.", "set(pairwise(word))"),
    Mistake(
        "count-across-words",
        "count_pairs",
        "you count the last id of a word and the first of the next as neighbours: words don't touch.",
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
    _pairs("count-reversed", "your pairs are the wrong way round: the left id comes first.", "pairwise(word[::-1])"),
    _pairs(
        "count-last-pair-missed",
        "you miss the last pair of each word: a word of n ids has n - 1 pairs.",
        "pairwise(word[:-1])",
    ),
    _pairs("count-first-pair-missed", "you miss the first pair of each word.", "pairwise(word[1:])"),
    _pairs(
        "count-wraps-around",
        "you count the last and the first id of a word as neighbours: index -1 is the last id.",
        "zip(word, word[1:] + word[:1])",
    ),
    _pairs(
        "count-every-two",
        "you step over two ids at a time: (a, b, c) holds (a, b) and (b, c).",
        "zip(word[::2], word[1::2])",
    ),
    _pairs(
        "count-not-neighbours",
        "you count every two ids of a word, neighbours or not.",
        "((a, b) for i, a in enumerate(word) for b in word[i + 1 :])",
    ),
    Mistake(
        "count-drops-single",
        "count_pairs",
        "you leave out the pairs that occur only once.",
        append=_wrong(
            "count_pairs", "return {pair: count for pair, count in _right(*args, **kwargs).items() if count > 1}"
        ),
    ),
    Mistake(
        "count-return-in-loop",
        "count_pairs",
        "you return after the first word: the `return` stands inside the loop.",
        {"    return counts\n\n\ndef merge_pair": "        return counts\n    return counts\n\n\ndef merge_pair"},
    ),
    Mistake(
        "count-short-word-crashes",
        "count_pairs",
        "a word of a single id, or of none, makes you read past its end; it has no pair.",
        {
            _NEIGHBOURS: "        counts[word[0], word[1]] = counts.get((word[0], word[1]), 0) + frequency\n        for pair in pairwise(word[1:]):\n"
        },
    ),
    Mistake(
        "count-most-common",
        "count_pairs",
        "you return a sorted list of pairs and counts; a dict is asked for.",
        append=_wrong("count_pairs", "return Counter(_right(*args, **kwargs)).most_common()"),
    ),
    Mistake(
        "count-keeps-state",
        "count_pairs",
        "your counts still hold those of earlier calls: start each call with an empty dict.",
        append=_wrong(
            "count_pairs",
            "for pair, count in _right(*args, **kwargs).items():\n    _seen[pair] = _seen.get(pair, 0) + count\nreturn dict(_seen)",
        ),
    ),
    Mistake(
        "count-changes-its-input",
        "count_pairs",
        "your count_pairs empties the dict that it is given: look at its words, don't take them out.",
        append=_wrong(
            "count_pairs",
            "words = args[0] if args else kwargs['words']\ncounts = _right(words)\nwords.clear()\nreturn counts",
        ),
    ),
    Mistake(
        "count-returns-its-input",
        "count_pairs",
        "your count_pairs returns its input unchanged.",
        append=_wrong("count_pairs", "return args[0] if args else kwargs['words']"),
    ),
    _returns_none("count_pairs"),
]


_MATCH = "if tuple(ids[position : position + 2]) == pair:"
_USED_UP = "            position += 2  # both ids are used up\n"
_APPEND_NEW = "            merged.append(new_id)\n"
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
        "an id that one merge has used up is used again by the next: after a merge go on behind both ids.",
        {
            _USED_UP: "            position += 1\n            if tuple(ids[position : position + 2]) != pair:\n                position += 1\n"
        },
    ),
    _merging(
        "merge-right-to-left",
        "you go from right to left: of three equal ids in a row the first two are merged.",
        "return _right(ids[::-1], pair[::-1], new_id)[::-1]",
    ),
    Mistake(
        "merge-first-only",
        "merge_pair",
        "you merge only the first place where the pair stands.",
        {_USED_UP: "            return [*merged, *ids[position + 2 :]]\n"},
    ),
    Mistake(
        "merge-last-id-lost",
        "merge_pair",
        "you lose the last id when it is not merged: it has no right neighbour, but it is still there.",
        {_SCAN: _SCAN.replace("len(ids)", "len(ids) - 1")},
    ),
    Mistake(
        "merge-either-order",
        "merge_pair",
        "you merge (b, a) as well as (a, b): the order matters.",
        {_MATCH: "if tuple(ids[position : position + 2]) in (pair, pair[::-1]):"},
    ),
    Mistake(
        "merge-second-kept",
        "merge_pair",
        "you keep the second id of the pair behind the new id: both are used up.",
        {_APPEND_NEW: "            merged += [new_id, pair[1]]\n"},
    ),
    Mistake(
        "merge-first-kept",
        "merge_pair",
        "you keep the first id of the pair before the new id: both are used up.",
        {_APPEND_NEW: "            merged += [pair[0], new_id]\n"},
    ),
    Mistake(
        "merge-pair-removed", "merge_pair", "you take the pair out without putting the new id in.", {_APPEND_NEW: ""}
    ),
    Mistake(
        "merge-pair-for-id",
        "merge_pair",
        "you put the pair itself in, not the new id.",
        {_APPEND_NEW: "            merged.append(pair)\n"},
    ),
    Mistake(
        "merge-first-id-only",
        "merge_pair",
        "you compare the first id of the pair alone: whatever follows it is lost.",
        {_MATCH: "if ids[position] == pair[0] and position + 1 < len(ids):"},
    ),
    Mistake(
        "merge-list-against-tuple",
        "merge_pair",
        "you compare a slice of a list with a tuple, and they are never equal: nothing is merged.",
        {_MATCH: "if ids[position : position + 2] == pair:"},
    ),
    Mistake(
        "merge-index-1-for-0",
        "merge_pair",
        "your search starts at the second id: a pair at the very start is not merged.",
        {"    merged = []\n    position = 0\n": "    merged = list(ids[:1])\n    position = 1\n"},
    ),
    Mistake(
        "merge-repeated",
        "merge_pair",
        "you merge again what a merge has made: look over the ids once.",
        {
            "    return merged\n\n\ndef train_bpe": "    return merge_pair(merged, pair, new_id) if len(merged) < len(ids) else merged\n\n\ndef train_bpe"
        },
    ),
    _merging(
        "merge-text-replace",
        "you replace in the ids written as text, where 1 2 is also found in 11 2 and 1 23.",
        "text = ' '.join(map(str, ids)).replace(f'{pair[0]} {pair[1]}', str(new_id))\nreturn [int(word) for word in text.split()]",
    ),
    _merging(
        "merge-in-place",
        "your merge_pair changes the list that it is given: make a new one.",
        "merged = _right(ids, pair, new_id)\nif isinstance(ids, list):\n    ids[:] = merged\nreturn merged",
    ),
    _merging(
        "merge-same-list",
        "where there is nothing to merge you return the very list that you were given: who changes the result changes the input. Make a new list always.",
        "merged = _right(ids, pair, new_id)\nreturn ids if merged == list(ids) else merged",
    ),
    _merging(
        "merge-returns-tuple", "you return a tuple; a list is asked for.", "return tuple(_right(ids, pair, new_id))"
    ),
    _merging(
        "merge-empty-crashes",
        "no ids at all make you read past the end; the result is [].",
        "ids[0]\nreturn _right(ids, pair, new_id)",
    ),
    _merging(
        "merge-keeps-state",
        "your result still holds the ids of earlier calls: make a new list in each.",
        "_seen.setdefault(0, []).extend(_right(ids, pair, new_id))\nreturn list(_seen[0])",
    ),
    _merging("merge-returns-its-input", "your merge_pair returns its input unchanged.", "return ids"),
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
_SUBTRACT = "            changed |= self._count(number, -self.frequencies[number])\n"
_ADD_NEW = "            changed |= self._count(number, self.frequencies[number])\n"

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
    Mistake(
        "train-tie-greater-ids",
        "train_bpe",
        "of equally frequent pairs you take the one with the greatest ids, not the smallest.",
        append=_naive(choose="max(counts, key=lambda p: (counts[p], p))"),
    ),
    Mistake(
        "train-tie-greater-bytes",
        "train_bpe",
        "of equally frequent pairs you take the greatest by their bytes; the smallest by their ids is asked for.",
        append=_naive(choose="max(counts, key=lambda p: (counts[p], vocab[p[0]], vocab[p[1]]))"),
    ),
    Mistake(
        "train-tie-smaller-bytes",
        "train_bpe",
        "of equally frequent pairs you take the smallest by their bytes, not by their ids: a merged token is younger than any byte.",
        append=_naive(choose="min(counts, key=lambda p: (-counts[p], vocab[p[0]], vocab[p[1]]))"),
    ),
    Mistake(
        "train-tie-first-seen",
        "train_bpe",
        "of equally frequent pairs you take the one that comes first in the text or dict, not the one with the smallest ids.",
        append=_naive(choose="max(counts, key=counts.get)"),
    ),
    Mistake(
        "train-tie-last-seen",
        "train_bpe",
        "of equally frequent pairs you take the one that comes last in the text or dict, not the one with the smallest ids.",
        append=_naive(choose="max(reversed(counts), key=counts.get)"),
    ),
    Mistake(
        "train-tie-second-id",
        "train_bpe",
        "of equally frequent pairs you compare the second ids before the first.",
        append=_naive(choose="min(counts, key=lambda p: (-counts[p], p[1], p[0]))"),
    ),
    Mistake(
        "train-tie-longest",
        "train_bpe",
        "of equally frequent pairs you take the one that makes the longest token, not the one with the smallest ids.",
        append=_naive(choose="min(counts, key=lambda p: (-counts[p], -len(vocab[p[0]] + vocab[p[1]]), p))"),
    ),
    Mistake(
        "train-special-not-split-off",
        "train_bpe",
        "you learn from the special tokens as if they were text: split them off before pretokenizing.",
        {_SKIP: "        " + _WORDS, _PIECES: "for piece in [text]:"},
    ),
    Mistake(
        "train-special-counted",
        "train_bpe",
        "you split the special tokens off, but then learn from them too: leave those pieces out.",
        {_SKIP: "        " + _WORDS},
    ),
    Mistake(
        "train-special-removed-first",
        "train_bpe",
        "you delete the special tokens from the text, so that what stood before and after them now touches: split there.",
        {
            _PIECES: 'for piece in ["".join(p for p in split_special_tokens(text, special_tokens) if p not in special_tokens)]:'
        },
    ),
    Mistake(
        "train-special-shortest-first",
        "train_bpe",
        "where special tokens overlap you split at the shortest, and learn from the rest of the longest.",
        {
            _PIECES: 'for piece in regex.split("(" + "|".join(map(regex.escape, sorted(special_tokens, key=len))) + ")", text) if special_tokens else [text]:'
        },
    ),
    Mistake(
        "train-special-first-only",
        "train_bpe",
        "you split off the first of the special tokens only.",
        {_PIECES: "for piece in split_special_tokens(text, special_tokens[:1]):"},
    ),
    Mistake(
        "train-across-pretokens",
        "train_bpe",
        "you merge across pretokens: cut the text by `pretokenize`, and count pairs within each piece only.",
        {_WORDS: "frequencies.update([piece])"},
    ),
    Mistake(
        "train-white-space-split",
        "train_bpe",
        "you cut the text with `split` instead of `pretokenize`: no token can then hold a space.",
        {_WORDS: "frequencies.update(piece.split())"},
    ),
    Mistake(
        "train-words-once",
        "train_bpe",
        "each distinct word counts once with you, however often it occurs.",
        {_BYTE_IDS: _BYTE_IDS.replace(": frequency for", ": 1 for")},
    ),
    Mistake(
        "train-old-pairs-kept",
        "train_bpe",
        "your counts are stale: after a merge you add the new pairs of a word, but don't subtract its old ones, so pairs that are gone are still counted.",
        append=_naive(
            start="counts = _recount(words)",
            count="",
            merge="counts.pop(pair)\nmerged = [(merge_pair(word, pair, new_id), n) for word, n in words]\nfor (old, n), (new, _) in zip(words, merged):\n    for p in set(pairwise(new)) - set(pairwise(old)):\n        counts[p] = counts.get(p, 0) + n * list(pairwise(new)).count(p)\nwords = merged",
        ),
    ),
    Mistake(
        "train-new-pairs-missing",
        "train_bpe",
        "after a merge you don't count the pairs that the new token makes: no token ever becomes longer than two bytes.",
        append=_naive(
            start="counts = _recount(words)",
            count="",
            merge="counts.pop(pair)\nwords = [(merge_pair(word, pair, new_id), n) for word, n in words]\nleft = _recount(words)\ncounts = {p: left[p] for p in counts if p in left}",
        ),
    ),
    Mistake(
        "train-counts-stale-overlap",
        "train_bpe",
        "your counts are stale where a pair overlaps with itself, as in aaaa: subtract all old pairs of the word, then add all new ones.",
        append=_naive(
            start="counts = _recount(words)",
            count="counts = {p: c for p, c in counts.items() if c > 0}",
            merge="counts.pop(pair)\nfor index, (old, n) in enumerate(words):\n    new = merge_pair(old, pair, new_id)\n    if len(new) < len(old):\n        seen = set(pairwise(old))\n        for p in seen:\n            occurs = 1 if p[0] == p[1] else list(pairwise(old)).count(p)\n            counts[p] = counts.get(p, 0) - n * occurs if p != pair else 0\n        for p in pairwise(new):\n            counts[p] = counts.get(p, 0) + n\n    words[index] = (new, n)",
        ),
    ),
    Mistake(
        "train-overlap-not-counted",
        "train_bpe",
        "you count a pair of equal ids only where it does not overlap with the one before: aaa holds (a, a) twice.",
        append=_naive(
            count="counts = {}\nfor word, n in words:\n    previous = None\n    for p in pairwise(word):\n        if p == previous:\n            previous = None\n            continue\n        previous = p\n        counts[p] = counts.get(p, 0) + n".replace(
                "\n", "\n        "
            )
        ),
    ),
    Mistake(
        "train-right-to-left",
        "train_bpe",
        "you merge a word from right to left: aaa becomes a, aa instead of aa, a.",
        append=_naive(merge="words = [(merge_pair(word[::-1], pair[::-1], new_id)[::-1], n) for word, n in words]"),
    ),
    Mistake(
        "train-first-in-word",
        "train_bpe",
        "you merge a pair only at the first place in each word.",
        append=_naive(
            merge="first = lambda w: next((i for i, p in enumerate(pairwise(w)) if p == pair), len(w))\nwords = [([*w[: first(w)], *([new_id] if first(w) < len(w) else []), *w[first(w) + 2 :]], n) for w, n in words]"
        ),
    ),
    Mistake(
        "train-bytes-of-zeros",
        "train_bpe",
        "you wrote bytes(n), which is n zero bytes: the byte n is bytes([n]).",
        {"vocab = {byte: bytes([byte]) for byte in range(256)}": "vocab = {byte: bytes(byte) for byte in range(256)}"},
    ),
    _training(
        "train-255-bytes",
        "your vocabulary starts with 255 bytes: range(255) ends at 254.",
        "vocab, merges = _right(text, vocab_size, special_tokens)\nreturn {i if i < 255 else i - 1: token for i, token in vocab.items() if i != 255}, merges",
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
        "train-one-merge-too-many",
        "train_bpe",
        "you make one merge too many.",
        {_ROUNDS: "for _ in range(vocab_size - least + 1):"},
    ),
    Mistake(
        "train-one-merge-too-few",
        "train_bpe",
        "you make one merge too few.",
        {_ROUNDS: "for _ in range(vocab_size - least - 1):"},
    ),
    Mistake(
        "train-small-size-accepted",
        "train_bpe",
        "you accept a vocab_size that has no room for the bytes and the special tokens; it must raise ValueError.",
        {_CHECK: ""},
    ),
    Mistake(
        "train-check-forgets-special",
        "train_bpe",
        "your check of vocab_size forgets the special tokens: 256 bytes and they must fit.",
        {"    if vocab_size < least:\n": "    if vocab_size < 256:\n"},
    ),
    Mistake(
        "train-exact-size-refused",
        "train_bpe",
        "you refuse a vocab_size of exactly 256 + the number of special tokens; that means no merges.",
        {"    if vocab_size < least:\n": "    if vocab_size <= least:\n"},
    ),
    _training(
        "train-special-first",
        "your special tokens have the first ids, before the bytes; they come last.",
        "vocab, merges = _right(text, vocab_size, special_tokens)\ntokens = list(vocab.values())\nmiddle = len(tokens) - len(special_tokens)\nreturn dict(enumerate(tokens[middle:] + tokens[:middle])), merges",
    ),
    _training(
        "train-special-before-merges",
        "your special tokens come right after the bytes; they come last, after the merges.",
        "vocab, merges = _right(text, vocab_size, special_tokens)\ntokens = list(vocab.values())\nmiddle = len(tokens) - len(special_tokens)\nreturn dict(enumerate(tokens[:256] + tokens[middle:] + tokens[256:middle])), merges",
    ),
    Mistake(
        "train-special-missing",
        "train_bpe",
        "your vocabulary has no special tokens.",
        {_SPECIALS: "    return vocab, merges"},
    ),
    Mistake(
        "train-special-sorted",
        "train_bpe",
        "your special tokens are in the order of their length; the order given counts.",
        {_SPECIALS: _SPECIALS.replace("in special_tokens:", "in sorted(special_tokens, key=len, reverse=True):")},
    ),
    Mistake(
        "train-special-gap",
        "train_bpe",
        "where the pairs run out you leave a gap in the ids before the special tokens; they follow the last merge.",
        {
            _SPECIALS: '    for i, token in enumerate(special_tokens):\n        vocab[vocab_size - len(special_tokens) + i] = token.encode("utf-8")\n    return vocab, merges'
        },
    ),
    Mistake(
        "train-special-as-text",
        "train_bpe",
        "your special tokens are strings in the vocabulary; all tokens are bytes.",
        {_SPECIALS: "    for token in special_tokens:\n        vocab[len(vocab)] = token\n    return vocab, merges"},
    ),
    _training(
        "train-special-sorts-its-input",
        "your train_bpe sorts the caller's list of special tokens in place.",
        "result = _right(text, vocab_size, list(special_tokens))\nif isinstance(special_tokens, list):\n    special_tokens.sort(key=len, reverse=True)\nreturn result",
    ),
    Mistake(
        "train-single-pairs-ignored",
        "train_bpe",
        "you stop at pairs that occur only once; they are merged too, until the vocabulary is full.",
        {"        if pair is None:  #": "        if pair is None or index.counts[pair] < 2:  #"},
    ),
    Mistake(
        "train-no-pair-crashes",
        "train_bpe",
        "you crash where no pair is left: an empty text has none, and a short one runs out of them.",
        append=_naive().replace("        if not counts:\n            break\n", ""),
    ),
    Mistake(
        "train-ascii-only",
        "train_bpe",
        "you lose all characters outside ASCII: encode the words as UTF-8.",
        {_BYTE_IDS: _BYTE_IDS.replace('"utf-8"', '"ascii", "ignore"')},
    ),
    _training(
        "train-seen-bytes-only",
        "your vocabulary holds only the bytes that occur in the text; all 256 must be there, or other text cannot be encoded.",
        "vocab, merges = _right(text, vocab_size, special_tokens)\nseen = set(text.encode('utf-8'))\nreturn dict(enumerate(token for i, token in vocab.items() if i > 255 or i in seen)), merges",
    ),
    Mistake(
        "train-merges-as-ids",
        "train_bpe",
        "your merges are pairs of ids; pairs of bytes are asked for.",
        {_MERGED_PAIR: "        merges.append(pair)\n"},
    ),
    Mistake(
        "train-merges-as-tokens",
        "train_bpe",
        "your merges are the merged tokens; the two parts of each are asked for, or nobody could tell where it was put together.",
        {_MERGED_PAIR: "        merges.append(vocab[pair[0]] + vocab[pair[1]])\n"},
    ),
    _training(
        "train-vocab-turned-round",
        "your vocabulary goes from bytes to id; from id to bytes is asked for.",
        "vocab, merges = _right(text, vocab_size, special_tokens)\nreturn {token: i for i, token in vocab.items()}, merges",
    ),
    _training(
        "train-results-swapped",
        "you return (merges, vocab); (vocab, merges) is asked for.",
        "return _right(text, vocab_size, special_tokens)[::-1]",
    ),
    _training(
        "train-vocab-only",
        "you return the vocabulary alone; the merges belong to the result too.",
        "return _right(text, vocab_size, special_tokens)[0]",
    ),
    Mistake(
        "train-recounts-everything",
        "train_bpe",
        "your result is right, but each merge counts all words again: look only at those that hold the merged pair.",
        append=_naive(),
    ),
    Mistake(
        "train-visits-every-word",
        "train_bpe",
        "your counts are kept up to date, but each merge still looks for its pair in all words: remember for each pair which words hold it.",
        {
            "for number in list(self.holders[pair]):  #": "for number in [n for n, word in enumerate(self.words) if _holds(word, pair)]:  #"
        },
        append="def _holds(word, pair):\n    for neighbours in pairwise(word):\n        if neighbours == pair:\n            return True\n    return False\n",
    ),
    Mistake(
        "train-keeps-state",
        "train_bpe",
        "you still count the words of earlier calls: start each call with empty counts.",
        {"    frequencies: Counter[str] = Counter()\n": "    frequencies = _FREQUENCIES\n"},
        append="_FREQUENCIES = Counter()\n",
    ),
    _returns_none("train_bpe"),
]


_CHOOSE = "first, second = min(neighbours, key=ranks.__getitem__)"
_REPEAT = "        tokens = merged\n"
_SINGLE = "tokens = [word[i : i + 1] for i in range(len(word))]"
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
        "apply-longest-match",
        "you take the longest token that fits from the left; the merge that training made first comes first.",
        _LONGEST_MATCH,
    ),
    _applying(
        "apply-whole-word-first",
        "you take a word that is itself a token as it is; its merges may lead to other tokens.",
        "return [word] if word in {a + b for a, b in ranks} else _right(word, ranks)",
    ),
    Mistake(
        "apply-leftmost-first",
        "apply_merges",
        "you merge the first neighbours from the left that can be merged, whatever their rank.",
        {_CHOOSE: "first, second = neighbours[0]"},
    ),
    Mistake(
        "apply-rightmost-first",
        "apply_merges",
        "you merge the last neighbours that can be merged, whatever their rank.",
        {_CHOOSE: "first, second = neighbours[-1]"},
    ),
    Mistake(
        "apply-highest-rank",
        "apply_merges",
        "you merge the pair with the highest rank first, which training made last.",
        {_CHOOSE: "first, second = max(neighbours, key=ranks.__getitem__)"},
    ),
    Mistake(
        "apply-longest-pair",
        "apply_merges",
        "you merge the neighbours that make the longest token first, not those of the lowest rank.",
        {_CHOOSE: "first, second = max(neighbours, key=lambda p: (len(p[0] + p[1]), -ranks[p]))"},
    ),
    Mistake(
        "apply-alphabetical",
        "apply_merges",
        "you merge the alphabetically first pair, not the one of the lowest rank: min() of the pairs compares their bytes.",
        {_CHOOSE: "first, second = min(neighbours)"},
    ),
    Mistake(
        "apply-once",
        "apply_merges",
        "you stop after one merge: repeat until no neighbours can be merged.",
        {_REPEAT: "        return merged\n"},
    ),
    Mistake(
        "apply-single-pass",
        "apply_merges",
        "you go over the word once, from left to right, and merge whatever fits: what a merge makes is not looked at again.",
        append=_APPLY_ARGS
        + _wrong(
            "apply_merges",
            "word, ranks = _call(*args, **kwargs)\ntokens, i = [], 0\nwhile i < len(word):\n    size = 2 if (word[i : i + 1], word[i + 1 : i + 2]) in ranks else 1\n    tokens.append(word[i : i + size])\n    i += size\nreturn tokens",
        ),
    ),
    _applying(
        "apply-bytes-only",
        "you merge single bytes, but never a token that a merge has made.",
        "return _right(word, {pair: rank for pair, rank in ranks.items() if len(pair[0] + pair[1]) == 2})",
    ),
    _applying(
        "apply-one-place",
        "you merge each pair at the first place only: it is merged wherever it stands.",
        "tokens, ranks = [word[i : i + 1] for i in range(len(word))], dict(ranks)\nwhile known := [p for p in pairwise(tokens) if p in ranks]:\n    pair = min(known, key=ranks.get)\n    i = list(pairwise(tokens)).index(pair)\n    tokens[i : i + 2] = [pair[0] + pair[1]]\n    ranks.pop(pair)\nreturn tokens",
    ),
    Mistake(
        "apply-used-twice",
        "apply_merges",
        "a token that one merge has used up is used again by the next: aaa with (a, a) is aa, a.",
        {
            "                open_first = False  # used up: the next token cannot be merged with it": "                open_first = token == first"
        },
    ),
    _applying(
        "apply-right-to-left",
        "you merge from right to left: aaa with (a, a) is aa, a and not a, aa.",
        "turned = {(b[::-1], a[::-1]): rank for (a, b), rank in ranks.items()}\nreturn [token[::-1] for token in _right(word[::-1], turned)][::-1]",
    ),
    _applying(
        "apply-either-order",
        "you merge (b, a) as well as (a, b): the order matters.",
        "return _right(word, {(b, a): rank for (a, b), rank in ranks.items()} | dict(ranks))",
    ),
    Mistake(
        "apply-int-tokens",
        "apply_merges",
        "your tokens are ints: word[i] of bytes is an int, word[i : i + 1] is a byte.",
        {_SINGLE: "tokens = list(word)"},
    ),
    Mistake(
        "apply-bytes-of-zeros",
        "apply_merges",
        "you wrote bytes(n), which is n zero bytes: the byte n is bytes([n]).",
        {_SINGLE: "tokens = [bytes(byte) for byte in word]"},
    ),
    Mistake(
        "apply-characters",
        "apply_merges",
        "you start from characters; the merges start from single bytes, of which é has two.",
        {_SINGLE: 'tokens = [c.encode("utf-8") for c in word.decode("utf-8", "replace")]'},
    ),
    _applying("apply-last-token-lost", "you lose the last token of a word.", "return _right(word, ranks)[:-1]"),
    _applying(
        "apply-ranks-as-tokens",
        "you return the ranks of the merges in place of the tokens.",
        "return [next((r for (a, b), r in ranks.items() if a + b == token), token) for token in _right(word, ranks)]",
    ),
    _applying(
        "apply-empty-piece", 'b"" gives you one empty token; it has none.', "return _right(word, ranks) or [b'']"
    ),
    _applying("apply-empty-crashes", 'b"" makes you crash; it has no tokens.', "word[0]\nreturn _right(word, ranks)"),
    _applying(
        "apply-changes-ranks",
        "your apply_merges takes the merges that it has used out of `ranks`: the next word will miss them.",
        "tokens = _right(word, ranks)\nfor pair in [p for p in ranks if p[0] + p[1] in tokens]:\n    ranks.pop(pair)\nreturn tokens",
    ),
    _applying(
        "apply-keeps-state",
        "you answer with the tokens that you found for this word with other merges: a cache must know the merges too.",
        "return list(_seen.setdefault(word, _right(word, ranks)))",
    ),
    _applying("apply-returns-its-input", "your apply_merges returns its input unchanged.", "return word"),
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
        "you read all chunks before you hand out the first piece: hand out what is certain after each chunk.",
        "buffer += chunk",
    ),
    _streaming(
        "stream-chunk-by-chunk",
        "you cut each chunk by itself: a piece that reaches over the end of a chunk is torn apart.",
        "yield from _cut(chunk, special_tokens)",
    ),
    Mistake(
        "stream-keeps-one",
        "stream_pretokens",
        'you keep back only the last pretoken: "\'" and "l" can still become "\'ll", so the last two are open.',
        {_KEEP_TWO: "pretokens = pretokenize(buffer[start:limit])[:-1]"},
    ),
    Mistake(
        "stream-keeps-none",
        "stream_pretokens",
        "you hand out the last pretoken of what has been read: the next chunk may go on with it.",
        {_KEEP_TWO: "pretokens = pretokenize(buffer[start:limit])"},
    ),
    Mistake(
        "stream-special-cut",
        "stream_pretokens",
        "a special token that reaches over the end of a chunk is taken for text: keep back what may be the beginning of one.",
        {_UNDECIDED: "undecided = min(1, len(special_tokens))"},
    ),
    Mistake(
        "stream-special-one-short",
        "stream_pretokens",
        "you keep back one character too few: of a special token of L characters, L - 1 may have been read.",
        {_UNDECIDED: "undecided = max((len(token) - 2 for token in special_tokens), default=0)"},
    ),
    Mistake(
        "stream-special-shortest",
        "stream_pretokens",
        "you keep back enough for the shortest special token, not for the longest.",
        {_UNDECIDED: "undecided = min((len(token) - 1 for token in special_tokens), default=0)"},
    ),
    Mistake(
        "stream-longer-special",
        "stream_pretokens",
        "you hand out a special token as soon as it is complete, though it may be the beginning of a longer one.",
        {_LONGER: ""},
    ),
    Mistake(
        "stream-text-before-special",
        "stream_pretokens",
        "you take text for complete as soon as a special token follows it, though a longer one may begin before it.",
        {"elif end < limit:  #": "elif end < len(buffer):  #"},
    ),
    Mistake(
        "stream-cuts-twice",
        "stream_pretokens",
        'you join pieces and cut them again: "\\n\\nx" holds two pieces "\\n", but "\\n\\n" by itself is one.',
        {
            "        yield from certain\n": '        for piece in split_special_tokens("".join(certain), special_tokens):\n            yield from [piece] if piece in special_tokens else pretokenize(piece)\n'
        },
    ),
    _streaming(
        "stream-cuts-at-space",
        "you cut what has been read at its last space: in a run of white space that end is open.",
        "buffer += chunk\nend = max(buffer.rfind(' '), 0)\nyield from _cut(buffer[:end], special_tokens)\nbuffer = buffer[end:]",
    ),
    _streaming(
        "stream-cuts-at-line-end",
        "you cut what has been read at its last line end: several of them, or one and spaces, belong together.",
        "buffer += chunk\nend = buffer.rfind('\\n') + 1\nyield from _cut(buffer[:end], special_tokens)\nbuffer = buffer[end:]",
    ),
    Mistake(
        "stream-rest-lost",
        "stream_pretokens",
        "you lose the last pieces: what is kept back must be handed out when the chunks are over.",
        {_REST: ""},
    ),
    Mistake(
        "stream-rest-not-cut",
        "stream_pretokens",
        "you hand out what is left at the end as a single piece: cut it like the rest.",
        {_REST: "    if buffer:\n        yield buffer\n"},
    ),
    Mistake(
        "stream-rest-special-cut",
        "stream_pretokens",
        "in what is left at the end you don't look for special tokens.",
        {_REST: "    yield from pretokenize(buffer)\n"},
    ),
    Mistake(
        "stream-special-ignored",
        "stream_pretokens",
        "you ignore the special tokens.",
        append=_wrong("stream_pretokens", "return _right(args[0] if args else kwargs['chunks'])"),
    ),
    Mistake(
        "stream-special-dropped",
        "stream_pretokens",
        "you lose the special tokens: each is a piece of its own.",
        append=_wrong(
            "stream_pretokens",
            "special_tokens = args[1] if len(args) > 1 else kwargs.get('special_tokens', ())\nreturn (piece for piece in _right(*args, **kwargs) if piece not in special_tokens)",
        ),
    ),
    _streaming(
        "stream-line-ends-lost",
        "you strip the line ends from the chunks: they belong to the text.",
        "buffer += chunk.rstrip('\\n')\ncertain, buffer = _split_certain(buffer, special_tokens)\nyield from certain",
    ),
    _streaming(
        "stream-empty-chunk-ends",
        "an empty chunk ends your stream; others may follow it.",
        "if not chunk:\n    break\ncertain, buffer = _split_certain(buffer + chunk, special_tokens)\nyield from certain",
    ),
    _streaming(
        "stream-old-text-again",
        "you forget to take what you have handed out from the buffer: it comes again with the next chunk.",
        "buffer += chunk\nyield from _split_certain(buffer, special_tokens)[0]",
    ),
    Mistake(
        "stream-returns-list",
        "stream_pretokens",
        "you return a list, for which everything must be read first: write a generator, with `yield`.",
        append=_wrong("stream_pretokens", "return list(_right(*args, **kwargs))"),
    ),
    _streaming(
        "stream-empty-pieces",
        "you hand out empty pieces.",
        "certain, buffer = _split_certain(buffer + chunk, special_tokens)\nyield from certain or ['']",
    ),
    Mistake(
        "stream-keeps-state",
        "stream_pretokens",
        "what one stream has kept back appears in the next: the buffer must belong to the call.",
        {
            '    buffer = ""\n    for chunk in chunks:\n': "    for chunk in chunks:\n",
            "        certain, buffer = _split_certain(buffer + chunk, special_tokens)\n": "        certain, _LEFT[0] = _split_certain(_LEFT[0] + chunk, special_tokens)\n",
            "    # nothing follows: the end of the text": '    buffer, _LEFT[0] = _LEFT[0], ""\n    # nothing follows: the end of the text',
        },
        '_LEFT = [""]\n',
    ),
    Mistake(
        "stream-returns-its-input",
        "stream_pretokens",
        "your stream_pretokens hands out the chunks as they come.",
        append=_wrong("stream_pretokens", "return iter(args[0] if args else kwargs['chunks'])"),
    ),
    _returns_none("stream_pretokens"),
]


_ENCODE = "return list(self.encode_iterable([text]))  #"
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
_RANKS = "self._ranks = {pair: rank for rank, pair in enumerate(merges)}"


def _bpe(id: str, says: str, edits: dict[str, str] | None = None, append: str = "") -> Mistake:
    return Mistake(id, "BPETokenizer", says, edits or {}, append)


def _encode_iterable(id: str, says: str, body: str) -> Mistake:
    return _bpe(id, says, append=_method("BPETokenizer", "encode_iterable", body))


def _known_as(tokens: str) -> dict[str, str]:
    return {_IDS_OF: f"self._cache[piece] = [self._ids[token] for token in {tokens}]"}


BPE_TOKENIZER = [
    _bpe(
        "bpe-longest-match",
        "you take the longest token that fits from the left; the merges by rank decide.",
        _known_as("_longest_match(word, self._ids)"),
        "def _longest_match(word, known):\n    tokens = []\n    while word:\n        end = max(e for e in range(1, len(word) + 1) if word[:e] in known)\n        tokens.append(word[:end])\n        word = word[end:]\n    return tokens\n",
    ),
    _bpe(
        "bpe-whole-word-first",
        "you take a pretoken that is itself a token as it is; its merges may lead to other tokens.",
        _known_as("([word] if word in self._ids else apply_merges(word, self._ranks))"),
    ),
    _bpe(
        "bpe-highest-rank",
        "you apply the last merges of training first.",
        {_RANKS: "self._ranks = {pair: -rank for rank, pair in enumerate(merges)}"},
    ),
    _bpe(
        "bpe-ranks-sorted",
        "you rank the merges alphabetically; their order in the list is their rank.",
        {_RANKS: "self._ranks = {pair: rank for rank, pair in enumerate(sorted(merges))}"},
    ),
    _bpe(
        "bpe-bytes-only",
        "you apply no merges: your ids are those of the single bytes.",
        _known_as("apply_merges(word, {})"),
    ),
    _bpe(
        "bpe-special-as-text",
        "you encode special tokens as if they were text.",
        {_STREAMED: "for piece in stream_pretokens(chunks):", _IS_SPECIAL: ""},
    ),
    _bpe(
        "bpe-special-cut",
        "you recognise special tokens, but then cut them into tokens of text: each has an id of its own.",
        {_IS_SPECIAL: ""},
    ),
    _bpe(
        "bpe-special-dropped",
        "you lose the special tokens when encoding.",
        {_IS_SPECIAL: _IS_SPECIAL.replace("[self._ids[word]]", "[]")},
    ),
    _bpe(
        "bpe-special-shortest-first",
        "where special tokens overlap you take the shortest, not the longest.",
        append=_method(
            "BPETokenizer",
            "encode",
            "specials = sorted(self._special_tokens, key=len)\npattern = '|'.join(map(regex.escape, specials))\npieces = regex.split(f'({pattern})', args[0]) if specials else [args[0]]\ncut = [p for piece in pieces for p in ([piece] if piece in specials else pretokenize(piece))]\nreturn [i for piece in cut for i in self._encode_piece(piece)]",
        ),
    ),
    _bpe(
        "bpe-special-ids-by-place",
        "you number the special tokens as they are listed, from the first id after the merges; their ids stand in the vocabulary.",
        {
            _IS_SPECIAL: _IS_SPECIAL.replace(
                "self._ids[word]", "256 + len(self._ranks) + self._special_tokens.index(piece)"
            )
        },
    ),
    _bpe(
        "bpe-special-stripped",
        "you lose white space next to special tokens.",
        append=_method(
            "BPETokenizer",
            "encode",
            "pieces = split_special_tokens(args[0], self._special_tokens)\ncut = [p for x in pieces for p in ([x] if x in self._special_tokens else pretokenize(x.strip() if len(pieces) > 1 else x))]\nreturn [i for piece in cut for i in self._encode_piece(piece)]",
        ),
    ),
    _bpe(
        "bpe-special-not-checked",
        "you accept a special token that is not in the vocabulary; it must raise ValueError.",
        {_SPECIAL_CHECK: "            pass\n"},
    ),
    _bpe(
        "bpe-special-not-named",
        "the message of your ValueError does not say which special token is missing.",
        {'f"special token {token!r} is not in the vocabulary: train with it, or add it"': '"missing special token"'},
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
        "bpe-white-space-lost",
        "you split the text at white space and lose it.",
        append=_method(
            "BPETokenizer",
            "encode",
            "pieces = split_special_tokens(args[0], self._special_tokens)\ncut = [p for x in pieces for p in ([x] if x in self._special_tokens else x.split())]\nreturn [i for piece in cut for i in self._encode_piece(piece)]",
        ),
    ),
    _bpe(
        "bpe-prefix-space",
        "you put a space before the text.",
        append=_method("BPETokenizer", "encode", "return _right(self, ' ' + args[0]) if args[0] else []"),
    ),
    _bpe(
        "bpe-end-token-added",
        "you put a special token at the end that is not in the text.",
        append=_method("BPETokenizer", "encode", "return _right(self, args[0] + ''.join(self._special_tokens[:1]))"),
    ),
    _bpe(
        "bpe-ascii-only",
        "you replace characters outside ASCII by '?': encode as UTF-8.",
        {'word = piece.encode("utf-8")': 'word = piece.encode("ascii", "replace")'},
    ),
    _bpe(
        "bpe-ids-in-order",
        "you take a byte's value for its id; the vocabulary says which id a token has, and GPT-2's bytes are in another order.",
        {
            "self._ids = {token: token_id for token_id, token in vocab.items()}": "self._ids = {token: token_id for token_id, token in vocab.items()} | {bytes([i]): i for i in range(256)}"
        },
    ),
    _bpe(
        "bpe-merged-ids-in-order",
        "you take 256 + rank for the id of a merged token; the vocabulary says which id a token has.",
        {
            "self._ids = {token: token_id for token_id, token in vocab.items()}": "self._ids = {token: token_id for token_id, token in vocab.items()} | {a + b: 256 + rank for rank, (a, b) in enumerate(merges)}"
        },
    ),
    _bpe(
        "bpe-encode-generator",
        "your encode returns an iterator, which can be read only once; a list is asked for.",
        {_ENCODE: "return self.encode_iterable([text])  #"},
    ),
    _bpe(
        "bpe-encode-shared-list",
        "your encode returns the list that your cache holds: who changes it changes your later answers. Return a new list.",
        append=_method(
            "BPETokenizer",
            "encode",
            "pieces = list(stream_pretokens([args[0]], self._special_tokens))\nreturn self._encode_piece(pieces[0]) if len(pieces) == 1 else _right(self, *args)",
        ),
    ),
    _bpe(
        "bpe-cache-shared",
        "your tokenizers share one cache: a second tokenizer answers with the ids of the first. Keep it on self.",
        {"self._cache: dict[str, list[int]] = {}": "self._cache = _CACHE"},
        "_CACHE = {}\n",
    ),
    _bpe(
        "bpe-empty-text",
        "an empty text gives you an id; it has none.",
        append=_method("BPETokenizer", "encode", "return _right(self, *args) or [0]"),
    ),
    _bpe(
        "bpe-empty-text-crashes",
        "an empty text makes you crash; it has no ids.",
        append=_method("BPETokenizer", "encode", "args[0][0]\nreturn _right(self, *args)"),
    ),
    _encode_iterable(
        "bpe-iterable-reads-everything",
        "your encode_iterable reads all chunks before it hands out the first id.",
        "yield from _right(self, [''.join(args[0])])",
    ),
    _encode_iterable(
        "bpe-iterable-chunk-by-chunk",
        "your encode_iterable encodes each chunk by itself: a word or special token that reaches over the end of a chunk is torn apart.",
        "for chunk in args[0]:\n    yield from _right(self, [chunk])",
    ),
    _encode_iterable(
        "bpe-iterable-returns-list",
        "your encode_iterable returns a list, for which everything must be read first: write a generator, with `yield`.",
        "return list(_right(self, *args))",
    ),
    _encode_iterable(
        "bpe-iterable-pieces",
        "your encode_iterable hands out a list of ids for each piece; single ids are asked for.",
        "for piece in stream_pretokens(args[0], self._special_tokens):\n    yield self._encode_piece(piece)",
    ),
    _encode_iterable(
        "bpe-iterable-special-ignored",
        "your encode_iterable does not look for special tokens.",
        "chunks = list(args[0])\nyield from _right(self, chunks) if len(chunks) == 1 else (i for p in stream_pretokens(chunks) for i in self._encode_piece(p))",
    ),
    _encode_iterable(
        "bpe-iterable-joined-with-space",
        "your encode_iterable puts something between the chunks that is not in the text.",
        "return _right(self, (' ' + chunk if i else chunk for i, chunk in enumerate(args[0])))",
    ),
    _bpe(
        "bpe-decode-token-by-token",
        "your decode turns each token into text by itself: a character whose bytes are spread over several tokens is lost. Join all bytes first.",
        {_JOINED: 'return "".join(part.decode("utf-8", errors="replace") for part in parts)'},
    ),
    _bpe(
        "bpe-decode-strict",
        'your decode raises on bytes that are no UTF-8; errors="replace" puts U+FFFD there.',
        {_JOINED: 'return b"".join(parts).decode("utf-8")'},
    ),
    _bpe(
        "bpe-decode-ignore",
        'your decode leaves out bytes that are no UTF-8; errors="replace" puts U+FFFD there.',
        {_JOINED: 'return b"".join(parts).decode("utf-8", errors="ignore")'},
    ),
    _bpe(
        "bpe-decode-escapes",
        'your decode writes bytes that are no UTF-8 as \\x escapes; errors="replace" puts U+FFFD there.',
        {_JOINED: 'return b"".join(parts).decode("utf-8", errors="backslashreplace")'},
    ),
    _bpe(
        "bpe-decode-latin-1",
        "your decode makes each byte a character; the bytes are UTF-8.",
        {_JOINED: 'return b"".join(parts).decode("latin-1")'},
    ),
    _bpe("bpe-decode-bytes", "your decode returns bytes; a string is asked for.", {_JOINED: 'return b"".join(parts)'}),
    _bpe(
        "bpe-decode-spaces",
        "your decode puts a space between tokens: they carry their own.",
        {_JOINED: 'return b" ".join(parts).decode("utf-8", errors="replace")'},
    ),
    _bpe(
        "bpe-decode-stripped",
        "your decode strips white space at the start and end: it belongs to the text.",
        {_JOINED: 'return b"".join(parts).decode("utf-8", errors="replace").strip()'},
    ),
    _bpe(
        "bpe-decode-special-dropped",
        "your decode leaves out special tokens; they appear as they are written.",
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
        "bpe-decode-unknown-skipped",
        "your decode leaves out unknown ids; it must raise ValueError.",
        {_ID_CHECK: "            if token_id not in self._tokens:\n                continue\n"},
    ),
    _bpe(
        "bpe-decode-unknown-replaced",
        "your decode puts U+FFFD for unknown ids; it must raise ValueError.",
        {
            _ID_CHECK: '            if token_id not in self._tokens:\n                parts.append("\\ufffd".encode())\n                continue\n'
        },
    ),
    _bpe(
        "bpe-decode-not-named",
        "the message of your ValueError does not say which id is unknown.",
        {'f"id {token_id} is not in the vocabulary of {self.vocab_size} tokens"': '"unknown id"'},
    ),
    _bpe(
        "bpe-decode-negative-id",
        "your decode takes -1 for the last token of a list; an id that is not in the vocabulary must raise ValueError.",
        {
            _ID_CHECK: _ID_CHECK.replace("token_id not in self._tokens", "token_id >= len(self._tokens)"),
            "parts.append(self._tokens[token_id])": "parts.append(self._tokens[token_id % len(self._tokens)])",
        },
    ),
    _bpe(
        "bpe-size-without-special",
        "your vocab_size leaves out the special tokens.",
        {_SIZE: "return len(self._tokens) - len(self._special_tokens)"},
    ),
    _bpe(
        "bpe-size-special-twice",
        "your vocab_size counts the special tokens twice: they are in the vocabulary already.",
        {_SIZE: "return len(self._tokens) + len(self._special_tokens)"},
    ),
    _bpe(
        "bpe-size-without-bytes",
        "your vocab_size is the number of merges: bytes and special tokens are tokens too.",
        {_SIZE: "return len(self._ranks)"},
    ),
    _bpe(
        "bpe-size-largest-id",
        "your vocab_size is the largest id, which is one less than the number of tokens.",
        {_SIZE: "return max(self._tokens)"},
    ),
    _bpe(
        "bpe-size-is-a-method",
        "your vocab_size is a method: mark it with @property, so that it is read without brackets.",
        append="BPETokenizer.vocab_size = BPETokenizer.vocab_size.fget\n",
    ),
    _bpe(
        "bpe-changes-vocab",
        "your BPETokenizer changes the vocabulary that it is given: copy it before you add or remove anything.",
        {
            "self._cache: dict[str, list[int]] = {}": "self._cache: dict[str, list[int]] = {}\n        for token in special_tokens:\n            vocab.pop(self._ids[token.encode('utf-8')], None)"
        },
    ),
    _bpe(
        "bpe-changes-merges",
        "your BPETokenizer changes the list of merges that it is given.",
        {"self._cache: dict[str, list[int]] = {}": "self._cache: dict[str, list[int]] = {}\n        merges.reverse()"},
    ),
    _bpe(
        "bpe-encode-returns-its-input",
        "your BPETokenizer.encode returns its input unchanged.",
        append=_method("BPETokenizer", "encode", "return args[0]"),
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
