"""Valid but different versions of the exercises of `tokenizer`. Each is put behind the solution and calls its parts."""

import bisect
import codecs
import functools
import heapq
import itertools
import re
from collections import Counter, defaultdict

import regex

from grader.checking import alternative


@alternative("CharTokenizer")
class CharTokenizerByString:
    def __init__(self, text):
        self.characters = "".join(sorted(set(text)))

    @property
    def vocab_size(self):
        return len(self.characters)

    def encode(self, text):
        unknown = [c for c in text if c not in self.characters]
        if unknown:
            raise ValueError(f"unknown: {unknown!r}")
        return [self.characters.index(c) for c in text]

    def decode(self, ids):
        ids = list(ids)
        for i in ids:
            if not 0 <= i < len(self.characters):
                raise ValueError(f"unknown id {i}")
        return "".join(self.characters[i] for i in ids)


@alternative("CharTokenizer")
class CharTokenizerByLists:
    def __init__(self, text):
        self.itos = []
        for c in sorted(text):
            if not self.itos or self.itos[-1] != c:
                self.itos.append(c)
        self.stoi = dict(zip(self.itos, range(len(self.itos)), strict=True))
        self.vocab_size = len(self.itos)

    def encode(self, text):
        try:
            return list(map(self.stoi.__getitem__, text))
        except KeyError as error:
            raise ValueError(f"no id for {error.args[0]!r}") from None

    def decode(self, ids):
        out = ""
        for i in ids:
            if i not in range(self.vocab_size):
                raise ValueError(f"no character for id {i}")
            out += self.itos[i]
        return out


@alternative("CharTokenizer")
class CharTokenizerByBisection:
    def __init__(self, text):
        self.characters = sorted(set(text), key=ord)

    vocab_size = property(lambda self: len(self.characters))

    def _find(self, character):
        place = bisect.bisect_left(self.characters, character)
        if self.characters[place : place + 1] != [character]:
            raise ValueError(f"{character!r} is unknown")
        return place

    def encode(self, text):
        return [self._find(character) for character in text]

    def decode(self, ids):
        known = dict(enumerate(self.characters))
        try:
            return "".join([known[i] for i in ids])
        except KeyError as error:
            raise ValueError(f"id {error} is unknown") from error


@alternative("CharTokenizer")
class CharTokenizerByTranslate:
    def __init__(self, text):
        self.table = {ord(c): i for i, c in enumerate(sorted(set(text)))}
        self.back = {i: chr(c) for c, i in self.table.items()}

    @functools.cached_property
    def vocab_size(self):
        return len(self.back)

    def encode(self, text):
        out = []
        for code in map(ord, text):
            if code not in self.table:
                raise ValueError(f"character {chr(code)!r} (U+{code:04X}) is not known")
            out.append(self.table[code])
        return out

    def decode(self, ids):
        return "".join(map(self._one, ids))

    def _one(self, i):
        character = self.back.get(i)
        if character is None:
            raise ValueError(f"id {i} of {self.vocab_size}")
        return character


@alternative("CharTokenizer")
class CharTokenizerByCounter:
    def __init__(self, text):
        counts = Counter(text)
        self.ids = {}
        for character in sorted(counts):
            self.ids[character] = len(self.ids)

    @property
    def vocab_size(self):
        return sum(1 for _ in self.ids)

    def encode(self, text):
        ids = [self.ids.get(character) for character in text]
        if None in ids:
            raise ValueError(f"not in the vocabulary: {text[ids.index(None)]!r}")
        return ids

    def decode(self, ids):
        back = {i: character for character, i in self.ids.items()}
        ids = tuple(ids)
        if strange := [i for i in ids if i not in back]:
            raise ValueError(f"not in the vocabulary: {strange}")
        return "".join(back[i] for i in ids)


@alternative("pretokenize")
def pretokenize_by_finditer(text):
    return [match.group() for match in regex.finditer(GPT2_PATTERN, text)]


@alternative("pretokenize")
def pretokenize_by_match(text):
    pattern, pieces, start = regex.compile(GPT2_PATTERN), [], 0
    while match := pattern.match(text, start):
        pieces.append(match[0])
        start = match.end()
    return pieces


@alternative("pretokenize")
def pretokenize_by_split(text):
    return [piece for piece in regex.split(f"({GPT2_PATTERN})", text) if piece]


@alternative("pretokenize")
def pretokenize_by_alternatives(text):
    alternatives = ["'(?:[sdmt]|ll|ve|re)", r" ?\p{L}+", r" ?\p{N}+", r" ?[^\s\p{L}\p{N}]+", r"\s+(?!\S)", r"\s+"]
    pieces, start = [], 0
    while start < len(text):
        match = next(m for m in (regex.compile(a).match(text, start) for a in alternatives) if m)
        pieces.append(match.group(0))
        start += len(pieces[-1])
    return pieces


def _kind(character):
    kinds = {r"\s": "space", r"\p{L}": "letter", r"\p{N}": "number", "(?s:.)": "other"}
    return next(kind for pattern, kind in kinds.items() if regex.match(pattern, character))


@alternative("pretokenize")
def pretokenize_by_hand(text):
    pieces, start, kinds = [], 0, [*map(_kind, text), ""]
    while start < len(text):
        short = next((e for e in ("'s", "'d", "'m", "'t", "'ll", "'ve", "'re") if text.startswith(e, start)), "")
        # a space goes with what follows it, if that is no space itself
        first = start + (text[start] == " " and kinds[start + 1] not in ("space", ""))
        end = start + len(short) if short else first
        while not short and kinds[end] == kinds[first]:
            end += 1
        # the last of several white-space characters is left to what follows
        if kinds[first] == "space" and end < len(text) and end - start > 1:
            end -= 1
        pieces.append(text[start:end])
        start = end
    return pieces


@alternative("split_special_tokens")
def split_by_startswith(text, special_tokens):
    pieces, plain, i = [], "", 0
    while i < len(text):
        found = max((t for t in special_tokens if text.startswith(t, i)), key=len, default="")
        if found:
            pieces += [plain, found] if plain else [found]
            plain = ""
        else:
            plain += text[i]
        i += len(found) or 1
    return [*pieces, plain] if plain else pieces


@alternative("split_special_tokens")
def split_by_reversed_alphabet(text, special_tokens):
    # a longer token comes before its own beginning in this order too
    pattern = "|".join(re.escape(token) for token in sorted(special_tokens, reverse=True))
    return list(filter(None, re.split(f"({pattern})", text) if special_tokens else [text]))


@alternative("split_special_tokens")
def split_by_finditer(text, special_tokens):
    pieces, end = [], 0
    pattern = "|".join(map(regex.escape, sorted(special_tokens, key=lambda t: -len(t))))
    for match in regex.finditer(pattern, text) if special_tokens else ():
        if match.start() > end:
            pieces.append(text[end : match.start()])
        pieces.append(match[0])
        end = match.end()
    if end < len(text):
        pieces.append(text[end:])
    return pieces


@alternative("split_special_tokens")
def split_by_find(text, special_tokens):
    pieces = []
    while text:
        places = [(text.find(token), -len(token)) for token in special_tokens]
        place, length = min((p for p in places if p[0] >= 0), default=(len(text), 0))
        pieces += [text[:place], text[place : place - length]]
        text = text[place - length :]
    return [piece for piece in pieces if piece]


@alternative("split_special_tokens")
def split_by_named_list(text, special_tokens):
    if len(special_tokens) == 0:
        return [text] * bool(text)
    literal = regex.compile(r"(\L<tokens>)", tokens=list(special_tokens))
    return [piece for piece in literal.split(text) if piece != ""]


@alternative("count_pairs")
def count_by_counter(words):
    counts = Counter()
    for word, frequency in words.items():
        for i in range(len(word) - 1):
            counts[word[i], word[i + 1]] += frequency
    return counts


@alternative("count_pairs")
def count_by_defaultdict(words):
    counts = defaultdict(int)
    for word in words:
        for pair in ((word[i - 1], word[i]) for i in range(1, len(word))):
            counts[pair] += words[word]
    return dict(counts)


@alternative("count_pairs")
def count_by_search(words):
    pairs = {pair for word in words for pair in itertools.pairwise(word)}
    return {
        pair: sum(n * sum(word[i : i + 2] == pair for i in range(len(word))) for word, n in words.items())
        for pair in pairs
    }


@alternative("count_pairs")
def count_by_sorting(words):
    found = sorted((pair, n) for word, n in words.items() for pair in itertools.pairwise(word))
    return {pair: sum(n for _, n in group) for pair, group in itertools.groupby(found, key=lambda entry: entry[0])}


@alternative("count_pairs")
def count_by_word_counters(words):
    total = {}
    for word, frequency in words.items():
        for pair, times in Counter(itertools.pairwise(word)).items():
            total.setdefault(pair, 0)
            total[pair] += times * frequency
    return total


@alternative("merge_pair")
def merge_by_index(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


@alternative("merge_pair")
def merge_by_skipping(ids, pair, new_id):
    out, skip = [], False
    for here, following in itertools.pairwise([*ids, None]):
        if skip:
            skip = False
        elif (here, following) == tuple(pair):
            out.append(new_id)
            skip = True
        else:
            out.append(here)
    return out


@alternative("merge_pair")
def merge_by_looking_back(ids, pair, new_id):
    out, fresh = [], False
    for token_id in ids:
        if fresh and out[-1] == pair[0] and token_id == pair[1]:
            out[-1], fresh = new_id, False
        else:
            out.append(token_id)
            fresh = True
    return out


@alternative("merge_pair")
def merge_by_starts(ids, pair, new_id):
    starts = set()
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair and i - 1 not in starts:
            starts.add(i)
    return [new_id if i in starts else ids[i] for i in range(len(ids)) if i - 1 not in starts]


@alternative("merge_pair")
def merge_in_a_copy(ids, pair, new_id):
    copy, i = list(ids), 0
    while i < len(copy) - 1:
        if copy[i] == pair[0] and copy[i + 1] == pair[1]:
            copy[i : i + 2] = [new_id]
        i += 1
    return copy


def _byte_words(text, special_tokens):
    pieces = split_special_tokens(text, special_tokens)
    return Counter(
        tuple(word.encode()) for piece in pieces if piece not in special_tokens for word in pretokenize(piece)
    )


def _start(vocab_size, special_tokens):
    if vocab_size - 256 < len(special_tokens):
        raise ValueError(f"asked for {vocab_size}, at least {256 + len(special_tokens)} needed")
    return [bytes([i]) for i in range(256)], vocab_size - len(special_tokens)


def _finish(tokens, special_tokens):
    return dict(enumerate([*tokens, *(token.encode() for token in special_tokens)]))


@alternative("train_bpe")
def train_by_max(text, vocab_size, special_tokens=()):
    tokens, size = _start(vocab_size, special_tokens)
    words = [[list(word), n] for word, n in _byte_words(text, special_tokens).items()]
    counts, holders, merges = Counter(), defaultdict(set), []
    for i, (word, n) in enumerate(words):
        for pair in itertools.pairwise(word):
            counts[pair] += n
            holders[pair].add(i)
    while len(tokens) < size and counts:
        pair = max(counts, key=lambda p: (counts[p], -p[0], -p[1]))
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        tokens.append(b"".join(merges[-1]))
        for i in holders.pop(pair):
            word, n = words[i]
            for old in itertools.pairwise(word):
                counts[old] -= n
            words[i][0] = word = merge_pair(word, pair, len(tokens) - 1)
            for new in itertools.pairwise(word):
                counts[new] += n
                holders[new].add(i)
        counts = +counts
    return _finish(tokens, special_tokens), merges


@alternative("train_bpe")
def train_by_min_of_candidates(text, vocab_size, special_tokens=()):
    tokens, size = _start(vocab_size, special_tokens)
    words = dict(_byte_words(text, special_tokens))
    counts, holders, merges = dict(count_pairs(words)), {}, []
    for word in words:
        for pair in itertools.pairwise(word):
            holders.setdefault(pair, set()).add(word)
    while len(tokens) < size and counts:
        top = max(counts.values())
        pair = min(p for p, n in counts.items() if n == top)
        new_id = len(tokens)
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        for word in list(holders[pair]):
            merged, n = tuple(merge_pair(word, pair, new_id)), words.pop(word)
            words[merged] = n
            for old in set(itertools.pairwise(word)):
                holders[old].discard(word)
            for new in itertools.pairwise(merged):
                holders.setdefault(new, set()).add(merged)
            for p, change in count_pairs({word: n}).items():
                counts[p] -= change
            for p, change in count_pairs({merged: n}).items():
                counts[p] = counts.get(p, 0) + change
            for p in count_pairs({word: n}):
                if counts[p] == 0:
                    del counts[p]
    return _finish(tokens, special_tokens), merges


@alternative("train_bpe")
def train_by_corrected_heap(text, vocab_size, special_tokens=()):
    tokens, size = _start(vocab_size, special_tokens)
    words = [(list(word), n) for word, n in _byte_words(text, special_tokens).items()]
    counts, holders, merges = Counter(), defaultdict(list), []
    for i, (word, n) in enumerate(words):
        for pair in itertools.pairwise(word):
            counts[pair] += n
            holders[pair].append(i)
    queue = [(-n, pair) for pair, n in counts.items()]
    heapq.heapify(queue)
    while queue and len(tokens) < size:
        n, pair = heapq.heappop(queue)
        if counts[pair] != -n:  # outdated: back with the right count
            if counts[pair] > 0:
                heapq.heappush(queue, (-counts[pair], pair))
            continue
        if n == 0:
            continue
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        tokens.append(b"".join(merges[-1]))
        fresh = set()
        for i in dict.fromkeys(holders.pop(pair)):
            word, times = words[i]
            merged = merge_pair(word, pair, len(tokens) - 1)
            before, after = Counter(itertools.pairwise(word)), Counter(itertools.pairwise(merged))
            for p, more in after.items():
                if more > before[p]:
                    counts[p] += (more - before[p]) * times
                    holders[p].append(i)
                    fresh.add(p)
            for p, less in before.items():
                if less > after[p]:
                    counts[p] -= (less - after[p]) * times
            words[i] = (merged, times)
        for p in fresh:
            heapq.heappush(queue, (-counts[p], p))
    return _finish(tokens, special_tokens), merges


@alternative("train_bpe")
def train_by_neighbours(text, vocab_size, special_tokens=()):
    # Every byte of every word in one long list, each with its left and right neighbour: a merge touches places only.
    tokens, size = _start(vocab_size, special_tokens)
    ids, left, right, weight = [], [], [], []
    for word, n in _byte_words(text, special_tokens).items():
        for k, byte in enumerate(word):
            i = len(ids)
            ids.append(byte)
            left.append(i - 1 if k else -1)
            right.append(i + 1 if k + 1 < len(word) else -1)
            weight.append(n)
    counts, places, merges = defaultdict(int), defaultdict(set), []

    def change(i, sign):
        if i >= 0 and right[i] >= 0:
            pair = ids[i], ids[right[i]]
            counts[pair] += sign * weight[i]
            (places[pair].add if sign > 0 else places[pair].discard)(i)
            if not counts[pair]:
                del counts[pair]

    for i in range(len(ids)):
        change(i, 1)
    while counts and len(tokens) < size:
        pair = min(counts, key=lambda p: (-counts[p], p))
        new_id = len(tokens)
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        for i in sorted(places[pair]):
            if i not in places[pair]:  # used up by the place before
                continue
            second = right[i]
            for place in (left[i], i, second):
                change(place, -1)
            ids[i], right[i] = new_id, right[second]
            if right[i] >= 0:
                left[right[i]] = i
            right[second] = -1
            change(left[i], 1)
            change(i, 1)
    return _finish(tokens, special_tokens), merges


@alternative("train_bpe")
def train_by_sorted_buckets(text, vocab_size, special_tokens=()):
    # For each count the pairs that have it: the best pair is the smallest of the highest bucket.
    tokens, size = _start(vocab_size, special_tokens)
    words = [list(entry) for entry in _byte_words(text, special_tokens).items()]
    counts, holders, buckets, merges = {}, defaultdict(set), defaultdict(set), []

    def add(number, sign):
        word, n = words[number]
        for pair in itertools.pairwise(word):
            old = counts.pop(pair, 0)
            buckets[old].discard(pair)
            if old and not buckets[old]:
                del buckets[old]
            if old + sign * n:
                counts[pair] = old + sign * n
                buckets[counts[pair]].add(pair)
            if sign > 0:
                holders[pair].add(number)

    for number in range(len(words)):
        add(number, 1)
    while counts and len(tokens) < size:
        pair = min(buckets[max(buckets)])
        merges.append((tokens[pair[0]], tokens[pair[1]]))
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
        for number in holders.pop(pair):
            add(number, -1)
            words[number][0] = merge_pair(words[number][0], pair, len(tokens) - 1)
            add(number, 1)
    return _finish(tokens, special_tokens), merges


@alternative("apply_merges")
def apply_in_order_of_training(word, ranks):
    tokens = [bytes([byte]) for byte in word]
    for pair in sorted(ranks, key=ranks.get):
        tokens = merge_pair(tokens, pair, pair[0] + pair[1])
    return tokens


@alternative("apply_merges")
def apply_rank_by_rank(word, ranks):
    # The places of each rank are collected first, and then merged from left to right; ranks only ever rise.
    tokens = [word[i : i + 1] for i in range(len(word))] + [b""]
    left, right = [i - 1 for i in range(len(tokens))], [i + 1 for i in range(len(tokens))]
    places, waiting = {}, []

    def note(i):
        rank = ranks.get((tokens[i], tokens[right[i]])) if i >= 0 and tokens[i] else None
        if rank is not None:
            if rank not in places:
                places[rank] = []
                heapq.heappush(waiting, rank)
            places[rank].append(i)

    for i in range(len(word)):
        note(i)
    while waiting:
        rank = heapq.heappop(waiting)
        for i in sorted(places.pop(rank)):
            if tokens[i] and ranks.get((tokens[i], tokens[right[i]])) == rank:
                gone = right[i]
                tokens[i], tokens[gone] = tokens[i] + tokens[gone], b""
                right[i] = right[gone]
                left[right[i]] = i
                note(left[i])
                note(i)
    return [token for token in tokens if token]


@alternative("apply_merges")
def apply_by_heap(word, ranks):
    tokens = {i: word[i : i + 1] for i in range(len(word))}
    following = {i: i + 1 for i in range(len(word))}
    before = {i + 1: i for i in range(len(word))}
    queue = []

    def push(i):
        pair = tokens.get(i), tokens.get(following.get(i))
        if pair in ranks:
            heapq.heappush(queue, (ranks[pair], i, pair))

    for i in range(len(word)):
        push(i)
    while queue:
        _, i, pair = heapq.heappop(queue)
        if (tokens.get(i), tokens.get(following.get(i))) != pair:
            continue
        second = following[i]
        tokens[i] += tokens.pop(second)
        following[i] = following.pop(second)
        before[following[i]] = i
        push(i)
        if i in before:
            push(before[i])
    return [tokens[i] for i in sorted(tokens)]


@alternative("stream_pretokens")
def stream_by_lines(chunks, special_tokens=()):
    buffer = ""
    for line in (line for chunk in chunks for line in chunk.splitlines(keepends=True)):
        certain, buffer = _split_certain(buffer + line, special_tokens)
        for piece in certain:
            yield piece
    for piece in split_special_tokens(buffer, special_tokens):
        if piece in set(special_tokens):
            yield piece
        else:
            yield from pretokenize(piece)


def _all_pieces(text, special_tokens):
    for piece in split_special_tokens(text, special_tokens):
        yield from [piece] if piece in special_tokens else pretokenize(piece)


@alternative("stream_pretokens")
def stream_by_common_start(chunks, special_tokens=()):
    # What is the same whether or not a special token begins in the open end, and with two more pieces, is certain.
    longest = max(map(len, special_tokens), default=1)
    buffer = ""
    for chunk in chunks:
        buffer += chunk
        settled = buffer[: max(len(buffer) - longest + 1, 0)]
        pieces, whole = [], list(_all_pieces(buffer, special_tokens))
        end = 0
        for k, piece in enumerate(whole):
            after = [len(p) for p in whole[k + 1 : k + 3]]
            special_next = k + 1 < len(whole) and whole[k + 1] in special_tokens
            is_special = piece in special_tokens
            if is_special:
                certain = end < len(settled)
            elif special_next:
                certain = end + len(piece) < len(settled)
            else:
                certain = len(after) == 2 and end + len(piece) + sum(after) <= len(settled)
            if not certain:
                break
            pieces.append(piece)
            end += len(piece)
        yield from pieces
        buffer = buffer[end:]
    yield from _all_pieces(buffer, special_tokens)


@alternative("stream_pretokens")
def stream_by_open_beginnings(chunks, special_tokens=()):
    # Exact instead of cautious: text is held back only where a special token really may have begun.
    beginnings = {token[:i] for token in special_tokens for i in range(1, len(token))}
    longest = max(map(len, special_tokens), default=1)
    buffer = ""
    for chunk in chunks:
        buffer += chunk
        done, start = 0, 0
        for piece in split_special_tokens(buffer, special_tokens):
            end = start + len(piece)
            near = range(max(start, len(buffer) - longest + 1), len(buffer))
            if piece in special_tokens:
                if buffer[start:] in beginnings:
                    break
                yield piece
                done = end
            else:
                opened = next((i for i in near if buffer[i:] in beginnings), len(buffer))
                if opened >= end and end < len(buffer) and buffer[end:] not in beginnings:
                    yield from pretokenize(piece)
                    done = end
                else:
                    sure = pretokenize(buffer[start : min(opened, end)])[:-2]
                    yield from sure
                    done = start + sum(map(len, sure))
                    break
            start = end
        buffer = buffer[done:]
    yield from _all_pieces(buffer, special_tokens)


class _Pieces:
    def __init__(self, chunks, special_tokens=()):
        self.chunks, self.special_tokens = iter(chunks), tuple(special_tokens)
        self.buffer, self.ready, self.over = "", [], False

    def __iter__(self):
        return self

    def __next__(self):
        while not self.ready and not self.over:
            chunk = next(self.chunks, None)
            if chunk is None:
                self.over = True
                self.ready = list(_all_pieces(self.buffer, self.special_tokens))
            else:
                self.ready, self.buffer = _split_certain(self.buffer + chunk, self.special_tokens)
        if not self.ready:
            raise StopIteration
        return self.ready.pop(0)


@alternative("stream_pretokens")
def stream_by_iterator(chunks, special_tokens=()):
    return _Pieces(chunks, special_tokens)


@alternative("stream_pretokens")
def stream_that_keeps_one(chunks, special_tokens=()):
    # Within text the last pretoken alone is kept, but for the one case in which the one before can change.
    hold = max((len(token) for token in special_tokens), default=1) - 1
    buffer = ""
    for chunk in chunks:
        buffer += chunk
        progress = True
        while progress:
            progress = False
            limit = len(buffer) - hold
            pieces = split_special_tokens(buffer, special_tokens)
            if not pieces or limit <= 0:
                break
            first = pieces[0]
            if first in special_tokens or len(first) < limit:
                yield from [first] if first in special_tokens else pretokenize(first)
                buffer = buffer[len(first) :]
                progress = True
            else:
                words = pretokenize(buffer[:limit])
                open_end = 2 if words[-1] in ("l", "v", "r") and words[-2:-1] == ["'"] else 1
                yield from words[:-open_end]
                buffer = buffer[sum(map(len, words[:-open_end])) :]
    yield from _all_pieces(buffer, special_tokens)


@alternative("BPETokenizer")
class BPETokenizerWithoutCache:
    def __init__(self, vocab, merges, special_tokens=()):
        self.vocab = vocab
        self.to_id = {token: i for i, token in vocab.items()}
        self.ranks = {pair: i for i, pair in enumerate(merges)}
        self.special = {}
        for token in special_tokens:
            if token.encode() not in self.to_id:
                raise ValueError(f"{token} is missing")
            self.special[token] = self.to_id[token.encode()]
        self.vocab_size = len(vocab)

    def encode(self, text):
        ids = []
        for piece in split_special_tokens(text, list(self.special)):
            if piece in self.special:
                ids.append(self.special[piece])
            else:
                for word in pretokenize(piece):
                    ids += [self.to_id[token] for token in apply_merges(word.encode("utf-8"), self.ranks)]
        return ids

    def encode_iterable(self, chunks):
        for piece in stream_pretokens(chunks, list(self.special)):
            yield from self.encode(piece)

    def decode(self, ids):
        joined = bytearray()
        for i in ids:
            try:
                joined.extend(self.vocab[i])
            except KeyError:
                raise ValueError(f"unknown id: {i}") from None
        return joined.decode("utf-8", "replace")


class PlainTokenizer:
    """What the next three share; it owes nothing to the solution's class."""

    def __init__(self, vocab, merges, special_tokens=()):
        self.vocab, self.special = dict(vocab), frozenset(special_tokens)
        self.ids = {token: i for i, token in vocab.items()}
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        if unknown := [token for token in self.special if token.encode() not in self.ids]:
            raise ValueError(f"the vocabulary lacks {unknown}")

    vocab_size = property(lambda self: len(self.vocab))

    def pieces(self, chunks):
        return stream_pretokens(chunks, tuple(self.special))

    def piece_ids(self, piece):
        word = piece.encode("utf-8")
        return [self.ids[token] for token in ([word] if piece in self.special else apply_merges(word, self.ranks))]

    def encode(self, text):
        return [i for piece in self.pieces((text,)) for i in self.piece_ids(piece)]

    def encode_iterable(self, chunks):
        return itertools.chain.from_iterable(map(self.piece_ids, self.pieces(chunks)))

    def decode(self, ids):
        ids = list(ids)
        if unknown := [i for i in ids if i not in self.vocab]:
            raise ValueError(f"unknown ids: {unknown}")
        return b"".join(map(self.vocab.get, ids)).decode(errors="replace")


@alternative("BPETokenizer")
class BPETokenizerByIds(PlainTokenizer):
    # Merges as pairs of ids, applied in the order of training by `merge_pair`.
    def __init__(self, vocab, merges, special_tokens=()):
        super().__init__(vocab, merges, special_tokens)
        self.rules = {(self.ids[a], self.ids[b]): self.ids[a + b] for a, b in merges}

    def piece_ids(self, piece):
        if piece in self.special:
            return super().piece_ids(piece)
        word = [self.ids[bytes([byte])] for byte in piece.encode()]
        for pair, new_id in self.rules.items():
            word = merge_pair(word, pair, new_id)
        return word


@alternative("BPETokenizer")
class BPETokenizerWithLruCache(PlainTokenizer):
    def __init__(self, vocab, merges, special_tokens=()):
        super().__init__(vocab=vocab, merges=merges, special_tokens=special_tokens)
        self.word_ids = functools.lru_cache(maxsize=100)(lambda piece: tuple(self.piece_ids(piece)))

    def encode(self, text):
        return list(self.encode_iterable(iter([text])))

    def encode_iterable(self, chunks):
        for piece in self.pieces(chunks):
            yield from self.word_ids(piece)


@alternative("BPETokenizer")
class BPETokenizerWithDecoder(PlainTokenizer):
    def decode(self, ids):
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        out = []
        for i in ids:
            if i not in self.vocab:
                raise ValueError(f"there is no token with the id {i}")
            out.append(decoder.decode(self.vocab[i]))
        return "".join(out) + decoder.decode(b"", final=True)
