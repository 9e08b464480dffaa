"""Known mistakes in `position`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# Lines of the solution that the mistakes replace; each occurs there once.
POSITIONS = "positions = torch.arange(length, dtype=torch.float64)"
EXPONENTS = "exponents = torch.arange(0, d_model, 2, dtype=torch.float64) / d_model"
ANGLES = "angles = positions[:, None] * base**-exponents"
SINES = "encoding[:, 0::2] = angles.sin()"
COSINES = "encoding[:, 1::2] = angles[:, : d_model // 2].cos()"
ENCODING = "return encoding"

WEIGHT = "self.weight = nn.Parameter(0.02 * torch.randn(max_length, d_model, generator=generator))"
NEGATIVE = "if offset < 0:"
TOO_LONG = "if end > max_length:"
TOO_LONG_ERROR = 'raise ValueError(f"positions {offset} to'
ADDED = "return (x + self.weight[offset:end]).to(x.dtype)"

ODD = "if d_head % 2:"
FREQUENCIES = "return (base**-exponents).to(dtype)"
HEAD_EXPONENTS = "exponents = torch.arange(0, d_head, 2, dtype=torch.float64) / d_head"

ROPE_FREQUENCIES = "frequencies = rope_frequencies(x.shape[-1], base, dtype=wide.dtype).to(x.device)"
CHECKED = "    _check_positions(x, positions)\n    # float32"
ROPE_ANGLES = "angles = positions.to(wide.dtype)[..., None] * frequencies"
AXES = "angles = angles.reshape(x.shape[0], *[1] * (x.dim() - 3), *angles.shape[1:])"
HALVES = "first, second = wide.chunk(2, dim=-1)"
TURNED = "turned = torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)"
ROPE_CAST = "return turned.to(x.dtype)"

TOO_MANY = "if query_length > key_length:"
KEY_LENGTH = "key_length = query_length if key_length is None else key_length"
QUERY_POSITIONS = "query_positions = key_positions[key_length - query_length :]"
DISTANCES = "distances = (query_positions[:, None] - key_positions[None, :]).abs()"
BIAS = "return _alibi_slopes(num_heads)[:, None, None] * -distances"
BETWEEN = "between = _slopes_of_power(2 * power)[0::2]"
SLOPES = "return torch.cat([slopes, between[: num_heads - power]])"
HEADS = "heads = torch.arange(1, num_heads + 1)"

# What has no tensor among its arguments has none to return, to change or to pass a gradient to; `_cached` has its own state.
NO_TENSORS = ("returns-its-input", "mutates-its-input", "detached", "keeps-state")

Edits = dict[str, str]


def _sinusoidal(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(id, "sinusoidal_encoding", says, edits)


def _learned(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"learned-{id}", "LearnedPositionalEmbedding", says, edits)


def _frequencies(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"frequencies-{id}", "rope_frequencies", says, edits)


def _rope(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"rope-{id}", "apply_rope", says, edits)


def _alibi(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"alibi-{id}", "alibi_bias", says, edits)


def _handed_out(exercise: str) -> Mistake:
    """Results that are kept, rightly found again, and given away as they are."""
    append = f"""
import functools as _functools

{exercise} = _functools.lru_cache({exercise})
"""
    says = f"your {exercise} returns the same tensor again: writing into the first result changes the next one."
    return Mistake(f"{exercise}-handed-out", exercise, says, append=append, stateful=True)


def _cached(exercise: str, key: str, says: str) -> Mistake:
    """Results that are kept and found again by some of the arguments only."""
    append = f"""
_right, _seen = {exercise}, {{}}


def {exercise}(*args, **kwargs):
    return _seen.setdefault({key}, _right(*args, **kwargs))
"""
    return Mistake(f"{exercise}-keeps-state", exercise, says, append=append, stateful=True)


SINUSOIDAL = [
    _sinusoidal(
        "concatenated",
        "you put all sines first and all cosines after them: they should alternate, in columns 2i and 2i + 1.",
        {ENCODING: "return torch.cat([encoding[:, 0::2], encoding[:, 1::2]], dim=-1)"},
    ),
    _sinusoidal(
        "cosine-first",
        "your even columns are cosines and your odd columns sines: it should be the other way round.",
        {SINES: "encoding[:, 0::2] = angles.cos()", COSINES: COSINES.replace("cos()", "sin()")},
    ),
    _sinusoidal(
        "half-exponent",
        "your exponent is i / d_model for clock i: it should be 2i / d_model.",
        {EXPONENTS: f"{EXPONENTS} / 2"},
    ),
    _sinusoidal(
        "double-exponent",
        "your exponent has the factor 2 twice: torch.arange(0, d_model, 2) already gives 2i.",
        {EXPONENTS: f"{EXPONENTS} * 2"},
    ),
    _sinusoidal(
        "own-exponent",
        "your cosines have their own exponent, (2i + 1) / d_model: each should share the angle of the sine before it.",
        {COSINES: "encoding[:, 1::2] = (angles * base ** (-1 / d_model))[:, : d_model // 2].cos()"},
    ),
    _sinusoidal(
        "slowest-is-base",
        "your exponents go from 0 to 1: 2i / d_model ends below 1.",
        {EXPONENTS: "exponents = torch.linspace(0, 1, (d_model + 1) // 2, dtype=torch.float64)"},
    ),
    _sinusoidal(
        "base-ignored",
        "you ignore `base` and always use 10000 for your clocks.",
        {ANGLES: ANGLES.replace("base", "10000.0")},
    ),
    _sinusoidal(
        "one-indexed",
        "your first row is for position 1: positions start at 0.",
        {POSITIONS: "positions = torch.arange(1, length + 1, dtype=torch.float64)"},
    ),
    _sinusoidal(
        "odd-crashes",
        "you assign as many cosines as sines: if d_model is odd, there is one cosine fewer.",
        {COSINES: "encoding[:, 1::2] = angles.cos()"},
    ),
    _sinusoidal(
        "is-a-parameter",
        "your table is an nn.Parameter or has requires_grad=True: it is not learned, so return a plain tensor.",
        {ENCODING: "return nn.Parameter(encoding)"},
    ),
    _sinusoidal(
        "float64",
        "your table is float64 (numpy's default): it should be float32.",
        {ENCODING: "return encoding.double()"},
    ),
    _sinusoidal(
        "ends-at-5000",
        "your table ends after 5000 rows: make one row for each of the `length` positions.",
        {POSITIONS: "positions = torch.arange(min(length, 5000), dtype=torch.float64)\n    length = len(positions)"},
    ),
    _sinusoidal(
        "goes-round-at-5000",
        "your rows repeat after 5000 positions: make a different row for each of the `length` positions.",
        {POSITIONS: f"{POSITIONS} % 5000"},
    ),
    _sinusoidal(
        "half-precision-angles",
        "your angles are in half precision, which is too coarse for large positions: compute them in float32 or wider.",
        {ANGLES: "angles = (positions[:, None] * base**-exponents).bfloat16().double()"},
    ),
    _sinusoidal(
        "odd-sizes-rounded-up",
        "for an odd d_model you put d_model + 1 into the exponent: use d_model itself.",
        {EXPONENTS: EXPONENTS.replace("/ d_model", "/ (d_model + d_model % 2)")},
    ),
    _sinusoidal(
        "scaled",
        "you divide your table by sqrt(d_model): leave the sines and cosines unscaled.",
        {ENCODING: "return encoding / d_model**0.5"},
    ),
    _handed_out("sinusoidal_encoding"),
    _cached(
        "sinusoidal_encoding",
        "args[:2]",
        "you cache tables by length and d_model only: they depend on `base` too.",
    ),
    *always("sinusoidal_encoding", without=NO_TENSORS),
]

LEARNED = [
    _learned(
        "zeros",
        "your initial table is zeros, so all positions look the same at first: draw it with a standard deviation of 0.02.",
        {"0.02 * torch.randn(max_length, d_model, generator=generator)": "torch.zeros(max_length, d_model)"},
    ),
    _learned(
        "checked-in-training-only",
        "you do not check the length in evaluation mode: refuse texts that do not fit in both modes.",
        {
            NEGATIVE: "if self.training and offset < 0:",
            TOO_LONG: "if self.training and end > max_length:",
            ADDED: ADDED.replace("offset:end", "torch.arange(offset, end).clamp(0, max_length - 1)"),
        },
    ),
    _learned(
        "added-in-training-only",
        "you add the rows only in training mode: add them in both modes.",
        {ADDED: f"if not self.training:\n            return x.clone()\n        {ADDED}"},
    ),
    _learned(
        "added-in-evaluation-only",
        "you add the rows only in evaluation mode: add them in both modes.",
        {ADDED: f"if self.training:\n            return x.clone()\n        {ADDED}"},
    ),
    _learned(
        "rows-kept",
        "you keep the rows of the first call: use the current weight in each call.",
        {
            ADDED: "self._rows = getattr(self, '_rows', self.weight.clone())\n        "
            + ADDED.replace("self.weight[", "self._rows[")
        },
    ),
    _learned(
        "generator-or",
        "if no generator is given, you make your own, so all tables would be the same: None means torch's global generator.",
        {WEIGHT: WEIGHT.replace("=generator", "=generator or torch.Generator().manual_seed(0)")},
    ),
    _learned(
        "generator-copied",
        "you draw from a copy of the generator: it stays where it was, and the next weight gets the same numbers.",
        {
            WEIGHT: "if generator is not None: generator = torch.Generator().set_state(generator.get_state())\n        "
            + WEIGHT
        },
    ),
    _learned(
        "starts-uniform",
        "your initial weight is uniform: it should be normal.",
        {WEIGHT: WEIGHT.replace("0.02 * torch.randn", "0.02 * 12**0.5 * (-0.5 + torch.rand") + ")"},
    ),
    _learned(
        "starts-without-the-last-refused",
        "you refuse an offset of max_length even if x has no tokens: such an x fits.",
        {TOO_LONG: "if end > max_length or offset >= max_length:"},
    ),
    _learned(
        "indexed-by-batch",
        "you add the rows along the batch axis, one per sequence: each position should get its own row.",
        {ADDED: "return (x + self.weight[offset : offset + x.shape[0], None]).to(x.dtype)"},
    ),
    _learned(
        "offset-ignored",
        "you ignore `offset` and always start at position 0.",
        {ADDED: ADDED.replace("offset:end", ": end - offset")},
    ),
    _learned(
        "one-indexed",
        "your first token gets the row of position 1: positions start at 0.",
        {ADDED: "return (x + self.weight.roll(-1, 0)[offset:end]).to(x.dtype)"},
    ),
    _learned(
        "rows-only",
        "you return the rows alone: add them to x.",
        {ADDED: "return self.weight[offset:end].expand_as(x).to(x.dtype)"},
    ),
    _learned(
        "too-long-accepted",
        "you do not check the length: the slice of rows comes out too short, and the sum fails or broadcasts.",
        {TOO_LONG: "if False:"},
    ),
    _learned(
        "too-long-clamped",
        "past the end you repeat the last row: raise a ValueError.",
        {
            TOO_LONG: "if False:",
            ADDED: ADDED.replace("offset:end", "torch.arange(offset, end).clamp(max=max_length - 1)"),
        },
    ),
    _learned(
        "only-length-checked",
        "you compare only the number of tokens with max_length: include the offset.",
        {TOO_LONG: "if x.shape[1] > max_length:"},
    ),
    _learned(
        "refuses-the-last-row",
        "you refuse a text that ends exactly at max_length: it fits.",
        {TOO_LONG: "if end >= max_length:"},
    ),
    _learned(
        "assert",
        "you refuse with an AssertionError: a wrong argument is a ValueError.",
        {TOO_LONG_ERROR: TOO_LONG_ERROR.replace("ValueError", "AssertionError")},
    ),
    _learned(
        "negative-offset-accepted",
        "you accept a negative offset: the slice then counts from the end. Raise a ValueError.",
        {NEGATIVE: "if False:"},
    ),
    _learned(
        "is-no-parameter",
        "your weight is a buffer and no nn.Parameter: no optimizer would find it.",
        {WEIGHT: 'self.register_buffer("weight", 0.02 * torch.randn(max_length, d_model, generator=generator))'},
    ),
    _learned(
        "starts-loud",
        "your initial weight has standard deviation 1: it should be 0.02.",
        {WEIGHT: WEIGHT.replace("0.02 * ", "")},
    ),
    _learned(
        "generator-ignored",
        "you draw the weight from the global generator although one was given.",
        {WEIGHT: WEIGHT.replace(", generator=generator", "")},
    ),
    _learned(
        "not-cast-back",
        "your result is float32, because half precision plus a float32 weight is float32: cast the sum to the dtype of x.",
        {ADDED: "return x + self.weight[offset:end]"},
    ),
    _learned(
        "weight-detached",
        "no gradient reaches weight: you use weight.data or weight.detach().",
        {ADDED: ADDED.replace("self.weight", "self.weight.detach()")},
    ),
    Mistake(
        "uses-torch-embedding",
        "LearnedPositionalEmbedding",
        "your LearnedPositionalEmbedding calls torch.nn.functional.embedding: write it yourself.",
        {ADDED: "return (x + torch.nn.functional.embedding(torch.arange(offset, end), self.weight)).to(x.dtype)"},
    ),
    *always("LearnedPositionalEmbedding", "LearnedPositionalEmbedding.forward"),
]

ROPE_FREQUENCIES_MISTAKES = [
    _frequencies(
        "half-exponent",
        "your exponent is i / d_head for pair i: it should be 2i / d_head.",
        {HEAD_EXPONENTS: f"{HEAD_EXPONENTS} / 2"},
    ),
    _frequencies(
        "double-exponent",
        "your exponent has the factor 2 twice: torch.arange(0, d_head, 2) already gives 2i.",
        {HEAD_EXPONENTS: f"{HEAD_EXPONENTS} * 2"},
    ),
    _frequencies(
        "base-ignored",
        "you ignore `base` and always use 10000 for your frequencies.",
        {FREQUENCIES: FREQUENCIES.replace("base", "10000.0")},
    ),
    _frequencies(
        "one-a-feature",
        "you return one frequency per feature: return one per pair, which are d_head / 2.",
        {FREQUENCIES: "return (base**-exponents).to(dtype).repeat(2)"},
    ),
    _frequencies(
        "dtype-ignored",
        "your frequencies are always float32: return the requested dtype.",
        {FREQUENCIES: "return (base**-exponents).float()"},
    ),
    _frequencies(
        "odd-accepted",
        "you accept an odd d_head: raise a ValueError, since one feature would have no partner.",
        {ODD: "if False:"},
    ),
    _frequencies(
        "always-float64",
        "your frequencies are always float64: return the requested dtype.",
        {FREQUENCIES: "return base**-exponents"},
    ),
    _frequencies(
        "from-pair-1",
        "you count the pairs from 1: count from 0, so that the first pair rotates by 1 radian per position.",
        {HEAD_EXPONENTS: HEAD_EXPONENTS.replace("(0, d_head, 2", "(2, d_head + 1, 2")},
    ),
    _handed_out("rope_frequencies"),
    _cached(
        "rope_frequencies",
        "args[:1]",
        "you cache frequencies by d_head only: they depend on `base` too.",
    ),
    *always("rope_frequencies", without=NO_TENSORS),
]

APPLY_ROPE = [
    _rope(
        "one-row-for-the-batch",
        "you accept positions of shape (1, seq) for a batch of several sequences: each sequence needs its own row, or all share (seq,).",
        {
            CHECKED: "    if positions.dim() == 2 and x.dim() > 2 and positions.shape[0] == 1:\n"
            "        positions = positions.expand(x.shape[0], -1)\n" + CHECKED
        },
    ),
    _rope(
        "tables-on-the-cpu",
        "your frequencies stay on the CPU: x may be on another device, and mixing devices gives a RuntimeError.",
        {ROPE_FREQUENCIES: ROPE_FREQUENCIES.removesuffix(".to(x.device)")},
    ),
    _rope(
        "table-of-2048",
        "your table of angles ends at position 2047: positions may be any integers.",
        {ROPE_ANGLES: "angles = positions.long().clamp(max=2047).to(wide.dtype)[..., None] * frequencies"},
    ),
    _rope(
        "negative-positions-cut",
        "you take negative positions as 0: they rotate backwards.",
        {ROPE_ANGLES: "angles = positions.long().clamp(min=0).to(wide.dtype)[..., None] * frequencies"},
    ),
    _rope(
        "largest-of-none",
        "you compute the largest position, which does not exist if there are no tokens: torch raises an IndexError or RuntimeError.",
        {CHECKED: f"    assert positions.max() < 1e9\n{CHECKED}"},
    ),
    _rope(
        "from-the-first-position",
        "you count positions relative to the first one: they are absolute, so that a cached key and a new query match.",
        {ROPE_ANGLES: ROPE_ANGLES.replace("positions.to", "(positions - positions[..., :1]).to")},
    ),
    _rope(
        "interleaved",
        "you pair neighbours, features 2i and 2i + 1, as the paper does: here i and i + d_head / 2 form a pair.",
        {
            HALVES: "first, second = _widen(x)[..., 0::2], _widen(x)[..., 1::2]",
            TURNED: TURNED.replace("torch.cat", "torch.stack").replace("dim=-1)", "dim=-1).flatten(-2)"),
        },
    ),
    _rope(
        "neighbours-moved-apart",
        "you pair neighbours, features 2i and 2i + 1, and put the results in halves: here i and i + d_head / 2 form a pair.",
        {HALVES: "first, second = _widen(x)[..., 0::2], _widen(x)[..., 1::2]"},
    ),
    _rope(
        "positions-ignored",
        "you ignore `positions` and always count 0, 1, 2 ... along the sequence.",
        {ROPE_ANGLES: "angles = torch.arange(x.shape[-2]).expand_as(positions).float()[..., None] * frequencies"},
    ),
    _rope(
        "one-indexed",
        "your positions are one too large: position 0 rotates nothing.",
        {ROPE_ANGLES: ROPE_ANGLES.replace("positions", "(positions + 1)")},
    ),
    _rope(
        "wrong-sign",
        "you rotate the other way: the new first half is first * cos - second * sin, and the new second half has the plus.",
        {TURNED: "turned = torch.cat([first * cos + second * sin, second * cos - first * sin], dim=-1)"},
    ),
    _rope(
        "base-ignored",
        "you ignore `base` and always use 10000 for your angles.",
        {ROPE_FREQUENCIES: ROPE_FREQUENCIES.replace(", base", "")},
    ),
    _rope(
        "first-overwritten",
        "you compute the new second half from the new first half: compute both from the old halves.",
        {
            TURNED: f"{TURNED}\n    turned = torch.cat([turned.chunk(2, -1)[0], turned.chunk(2, -1)[0] * sin + second * cos], dim=-1)"
        },
    ),
    _rope(
        "half-precision-positions",
        "your positions or angles are in the dtype of x: bfloat16 cannot hold 257. Compute them in float32.",
        {ROPE_ANGLES: "angles = (positions.to(x.dtype)[..., None] * frequencies.to(x.dtype))"},
    ),
    _rope(
        "first-sequence-for-all",
        "you rotate every sequence by the positions of the first: with (batch, seq), each sequence has its own.",
        {AXES: f"{AXES}[:1]"},
    ),
    _rope(
        "batch-along-heads",
        "your angles for (batch, seq) positions broadcast along the heads, or not at all: they need axes of size 1 between batch and seq.",
        {AXES: "pass"},
    ),
    _rope(
        "four-axes-only",
        "you put exactly one axis between batch and seq: x may have any number of axes there, or none.",
        {AXES: "angles = angles[:, None]"},
    ),
    _rope(
        "not-cast-back",
        "your result is float32 if x is in half precision: cast it back to the dtype of x.",
        {ROPE_CAST: "return turned"},
    ),
    _rope(
        "odd-accepted",
        "your apply_rope raises no ValueError for an odd d_head.",
        {ROPE_FREQUENCIES: ROPE_FREQUENCIES.replace("x.shape[-1]", "x.shape[-1] // 2 * 2")},
    ),
    _rope(
        "positions-unchecked",
        "you do not check the shape of `positions`: a single one broadcasts along the sequence. Raise a ValueError.",
        {CHECKED: "    # float32"},
    ),
    *always("apply_rope"),
]

ALIBI = [
    _alibi(
        "rewards-distance",
        "your bias is positive: the further away a key is, the lower its score should be.",
        {BIAS: BIAS.replace("-distances", "distances")},
    ),
    _alibi(
        "later-keys-gain",
        "your bias of later keys is positive: it should equal that of keys equally far before the query.",
        {DISTANCES: DISTANCES.removesuffix(".abs()")},
    ),
    _alibi(
        "later-keys-free",
        "your bias of later keys is 0: it should equal that of keys equally far before the query.",
        {DISTANCES: DISTANCES.replace("abs()", "clamp(min=0)")},
    ),
    _alibi(
        "later-keys-hidden",
        "you hide later keys with -inf, which is the job of the causal mask: give them the bias of keys equally far before the query.",
        {
            BIAS: f"{BIAS}.masked_fill(key_positions > query_positions[:, None], torch.inf)".replace(
                "return ", "return -("
            ).replace("-distances", "distances")
            + ")"
        },
    ),
    _alibi(
        "slopes-from-one",
        "your first slope is 1: the slopes should be 2^(-8 h / n) for h = 1 .. n.",
        {HEADS: "heads = torch.arange(num_heads)"},
    ),
    _alibi(
        "formula-for-any-number",
        "you use 2^(-8 h / n) although n is not a power of two: start with the slopes for the next smaller power of two.",
        {SLOPES: "return _slopes_of_power(num_heads)"},
    ),
    _alibi(
        "even-slopes-between",
        "you take the 2nd, 4th, 6th ... slopes for 2m heads, which are already used: take the 1st, 3rd, 5th ...",
        {BETWEEN: BETWEEN.replace("0::2", "1::2")},
    ),
    _alibi(
        "row-shifted",
        "your queries are one position too late: the last query should be at the position of the last key.",
        {
            "query_positions = key_positions[key_length - query_length :]": "query_positions = key_positions[key_length - query_length :] + 1"
        },
    ),
    _alibi(
        "slopes-sorted",
        "you sort the slopes: those for the next smaller power of two come first, then the additional ones.",
        {SLOPES: f"{SLOPES}.sort(descending=True).values"},
    ),
    _alibi(
        "top-left-aligned",
        "you align the queries with the first keys: they are the last positions of the keys.",
        {QUERY_POSITIONS: "query_positions = key_positions[:query_length]"},
    ),
    _alibi(
        "zero-keys-for-none",
        "you take 0 keys as None (`key_length or ...`): test `key_length is None`, and refuse more queries than keys.",
        {KEY_LENGTH: "key_length = key_length or query_length"},
    ),
    _alibi(
        "counts-from-the-first-key",
        "your rows are shifted, each by a different number: softmax would not notice, but the bias should be 0 at the query's own position.",
        {DISTANCES: "distances = -key_positions.expand(query_length, key_length)"},
    ),
    _alibi(
        "half-precision",
        "your bias is float16: it should be float32.",
        {BIAS: f"{BIAS}.half()".replace("return ", "return (").replace(".half()", ").half()")},
    ),
    _alibi(
        "no-queries-is-all",
        "you take the last query_length positions by [-query_length:], which is all of them if there are no queries.",
        {QUERY_POSITIONS: "query_positions = key_positions[-query_length:]"},
    ),
    _handed_out("alibi_bias"),
    _alibi(
        "key-length-ignored",
        "you ignore key_length: your table has as many columns as queries.",
        {KEY_LENGTH: "key_length = query_length"},
    ),
    _alibi(
        "one-row-for-all",
        "all your queries have the same row, the distances from the last query: count from the position of each query.",
        {DISTANCES: DISTANCES.replace("[:, None]", "[-1:, None].expand(query_length, 1)")},
    ),
    _alibi(
        "more-queries-accepted",
        "you accept more queries than keys: raise a ValueError.",
        {TOO_MANY: "if False:"},
    ),
    _cached(
        "alibi_bias",
        "args[:2]",
        "you cache biases by num_heads and query_length only: they depend on key_length too.",
    ),
    *always("alibi_bias", without=NO_TENSORS),
]

MISTAKES = [*SINUSOIDAL, *LEARNED, *ROPE_FREQUENCIES_MISTAKES, *APPLY_ROPE, *ALIBI]

MISTAKES += [
    Mistake(
        "apply-rope-takes-integers",
        "apply_rope",
        "you accept a tensor of integers and truncate the result to integers: refuse it with a ValueError.",
        {
            '    if not x.is_floating_point():\n        raise ValueError(f"apply_rope needs floating-point vectors, got {x.dtype}")\n': ""
        },
    )
]
