"""Known mistakes in attention, each with the sentence that its author reads."""

from grader.checking import Mistake, always

_SCORES = "scores = _widen(query) @ _widen(key).transpose(-2, -1)"
_SCALE = "scores = scores / math.sqrt(d_head)"
_HIDE = "scores = scores.masked_fill(~mask, -torch.inf)"
_WEIGHTS = "weights = softmax(scores, dim=-1)"
_OUTPUT = "output = weights @ _widen(value)"
_RETURN = "return output.to(query.dtype), weights.to(query.dtype)"
_CAUSAL = "return key_positions[None, :] <= query_positions[:, None]"
_WINDOW = "return (steps_back >= 0) & (steps_back < window)"
_BOTH = "return (shares / shares.sum(dim=dim, keepdim=True)).to(scores.dtype)"
_SHIFT = "shifted = wide - wide.amax(dim=dim, keepdim=True)"


def _softmax(id: str, says: str, shift: str = _SHIFT, end: str = _BOTH) -> Mistake:
    return Mistake(id, "softmax", says, {_SHIFT: shift, _BOTH: end})


SOFTMAX = [
    _softmax(
        "no-max-subtraction",
        "your values are exactly those without subtracting the maximum: exp of a large score is inf.",
        "shifted = wide",
    ),
    _softmax(
        "one-global-max",
        "you subtract the maximum of the whole tensor: a row far below it becomes 0 / 0. Use the maximum of each row.",
        "shifted = wide - wide.amax()",
    ),
    _softmax(
        "max-along-another-axis",
        "you take the sums along `dim`, but always the maximum along the last axis. Use `dim` for both.",
        "shifted = wide - wide.amax(dim=-1, keepdim=True)",
    ),
    _softmax(
        "subtracts-the-mean",
        "you subtract the mean of each row: exponents can still be large, and exp may still overflow. Subtract the maximum.",
        "shifted = wide - wide.mean(dim=dim, keepdim=True)",
    ),
    _softmax(
        "subtracts-the-minimum",
        "you subtract the minimum of each row, not the maximum: exp still overflows.",
        "shifted = wide - wide.amin(dim=dim, keepdim=True)",
    ),
    _softmax(
        "subtracts-the-largest-magnitude",
        "you subtract the maximum of the absolute values: a row of very negative scores becomes 0 / 0.",
        "shifted = wide - wide.abs().amax(dim=dim, keepdim=True)",
    ),
    _softmax(
        "clamps-the-scores",
        "you clamp the scores to keep exp from overflowing: scores beyond the limit all become equal. Subtract the maximum of each row instead.",
        "shifted = wide.clamp(-50, 50)",
    ),
    _softmax(
        "negative-scores",
        "you use -scores: the largest score gets the smallest probability.",
        "shifted = wide.amin(dim=dim, keepdim=True) - wide",
    ),
    _softmax(
        "ignores-dim",
        "you ignore `dim` and always use the last axis.",
        "shifted = wide - wide.amax(dim=-1, keepdim=True)",
        "return (shares / shares.sum(dim=-1, keepdim=True)).to(scores.dtype)",
    ),
    _softmax(
        "first-axis",
        "you ignore `dim` and always use the first axis.",
        "shifted = wide - wide.amax(dim=0, keepdim=True)",
        "return (shares / shares.sum(dim=0, keepdim=True)).to(scores.dtype)",
    ),
    _softmax(
        "all-axes",
        "your values sum to 1 over the whole tensor, not along `dim`.",
        "shifted = wide - wide.amax()",
        "return (shares / shares.sum()).to(scores.dtype)",
    ),
    _softmax(
        "not-normalised",
        "you return exp(score - maximum) without dividing by the sum.",
        end="return shares.to(scores.dtype)",
    ),
    _softmax(
        "averages-for-sums",
        "you divide by the mean along `dim`, not by the sum: your values sum to the size of the axis.",
        end="return (shares / shares.mean(dim=dim, keepdim=True)).to(scores.dtype)",
    ),
    _softmax(
        "log-softmax",
        "you return the logarithms of the probabilities: leave out the log.",
        end="return (shifted - shares.sum(dim=dim, keepdim=True).log()).to(scores.dtype)",
    ),
    _softmax(
        "no-keepdim",
        "your sum drops the axis `dim`, so the division broadcasts along another axis. Use keepdim=True.",
        end="return (shares / shares.sum(dim=dim)).to(scores.dtype)",
    ),
    _softmax(
        "not-cast-back",
        "your result stays in float32: cast it back to the dtype of `scores`.",
        end="return shares / shares.sum(dim=dim, keepdim=True)",
    ),
    _softmax(
        "always-float32",
        "your result is always float32: return the dtype of `scores`.",
        end="return (shares / shares.sum(dim=dim, keepdim=True)).float()",
    ),
    Mistake(
        "half-precision-sum",
        "softmax",
        "you compute in half precision: the sum of a long float16 row exceeds 65504. Compute in float32 and cast back.",
        {"wide = _widen(scores)": "wide = scores"},
    ),
    _softmax(
        "subtracts-in-place",
        "you subtract the maximum from `scores` in place, which changes the caller's tensor.",
        "shifted = wide.sub_(wide.amax(dim=dim, keepdim=True))",
    ),
    Mistake(
        "bfloat16-sum",
        "softmax",
        "you compute bfloat16 scores in bfloat16, which has only 8 significant bits. Compute in float32 and cast back.",
        {"wide = _widen(scores)": "wide = scores.float() if scores.dtype is torch.float16 else scores"},
    ),
    _softmax(
        "zeros-for-nothing",
        "you return 0 where all scores along `dim` are -inf: the documented result is NaN.",
        end="return (shares / shares.sum(dim=dim, keepdim=True)).nan_to_num().to(scores.dtype)",
    ),
    _softmax(
        "nothing-averaged",
        "you return equal probabilities where all scores along `dim` are -inf: the documented result is NaN.",
        "shifted = wide.clamp_min(-1e30) - wide.clamp_min(-1e30).amax(dim=dim, keepdim=True)",
    ),
    _softmax(
        "logarithm-of-zero",
        "you take the logarithm of exp(score). For a score of -inf, exp is 0, and the gradient becomes NaN.",
        end="return (shares.log() - shares.sum(dim=dim, keepdim=True).log()).exp().to(scores.dtype)",
    ),
    _softmax(
        "three-axes-at-most",
        "your handling of `dim` assumes at most three axes: with more axes you use the wrong one.",
        end="""dim = dim % scores.dim()
    if scores.dim() > 3: dim = min(dim, 2)
    return (shares / shares.sum(dim=dim, keepdim=True)).to(scores.dtype)""",
    ),
    _softmax(
        "view-of-transposed",
        "you flatten the scores with .view(), which a transposed tensor refuses: use .reshape().",
        "shifted = (wide.view(-1).view(wide.shape) - wide.amax(dim=dim, keepdim=True))",
    ),
    Mistake(
        "softmax-takes-integers",
        "softmax",
        "you accept a tensor of integers and truncate the result to integers: refuse it with a ValueError.",
        {"    if not scores.is_floating_point():": "    if False:"},
    ),
    *always("softmax"),
]


def _mask(id: str, exercise: str, says: str, result: str) -> Mistake:
    """A mask that is made by the expression `result` from `right`, the true mask, and the arguments."""
    append = f"""
_right_mask = {exercise}


def {exercise}(query_length, *args, **options):
    right = _right_mask(query_length, *args, **options)
    return {result}
"""
    return Mistake(id, exercise, says, append=append)


def _mask_of(id: str, exercise: str, says: str, body: str) -> Mistake:
    """A mask function with a body of its own, which may call `_right_mask`, the true one."""
    window = "window, " if exercise == "sliding_window_mask" else ""
    append = f"""
_right_mask = {exercise}


def {exercise}(query_length, {window}key_length=None, device=None):
    {body}
"""
    return Mistake(id, exercise, says, append=append)


def _without_refusal(id: str, exercise: str, says: str, otherwise: str) -> Mistake:
    window = "window, " if exercise == "sliding_window_mask" else ""
    append = f"""
_right_mask = {exercise}


def {exercise}(query_length, {window}key_length=None, device=None):
    try:
        return _right_mask(query_length, {window}key_length, device)
    except ValueError:
        {otherwise}
"""
    return Mistake(id, exercise, says, append=append)


def _any_mask(prefix: str, exercise: str) -> list[Mistake]:
    """Return the mistakes that either mask can have."""
    window = "window, " if exercise == "sliding_window_mask" else ""
    last = "key_length if key_length is not None else query_length"
    return [
        _mask_of(
            f"{prefix}-no-keys-as-none",
            exercise,
            "you write `key_length or query_length`, which treats 0 keys like None. Test for `is None`.",
            f"return _right_mask(query_length, {window}key_length or query_length, device)",
        ),
        _mask_of(
            f"{prefix}-device-ignored",
            exercise,
            "you ignore `device`: your mask is always on the CPU.",
            f"return _right_mask(query_length, {window}key_length)",
        ),
        Mistake(
            f"{prefix}-kept",
            exercise,
            "you return the same tensor again: what one caller writes into it, the next caller sees. Make a new tensor in each call.",
            append=f"import functools\n\n{exercise} = functools.cache({exercise})\n",
            stateful=True,
        ),
        _mask_of(
            f"{prefix}-table-of-1024",
            exercise,
            "you cut your mask out of a table of 1024 positions: a text may be longer.",
            f"return _right_mask(query_length, {window}key_length, device)[-1024:, -1024:]",
        ),
        _mask_of(
            f"{prefix}-positions-in-half",
            exercise,
            "you count positions in float16, which cannot hold odd numbers above 2048: use integers.",
            f"_right_mask(query_length, {window}key_length, device)\n"
            f"    keys = torch.arange({last}).half()\n"
            f"    steps = keys[len(keys) - query_length :, None] - keys\n"
            f"    return (steps >= 0) & (steps < {'window' if window else 'torch.inf'})",
        ),
        _mask(
            f"{prefix}-inverted",
            exercise,
            "your mask is inverted: True means 'may attend', not 'hidden'.",
            "~right",
        ),
        _mask(f"{prefix}-float", exercise, "your mask holds the numbers 0 and 1: make it boolean.", "right.float()"),
        _mask(
            f"{prefix}-additive",
            exercise,
            "your mask holds 0 and -inf, to be added to the scores: make it boolean, True = may attend.",
            "torch.zeros(right.shape).masked_fill(~right, -torch.inf)",
        ),
        _mask(
            f"{prefix}-extra-axes",
            exercise,
            "your mask has extra leading axes of size 1: its shape should be (query_length, key_length).",
            "right[None, None]",
        ),
        _mask(
            f"{prefix}-transposed",
            exercise,
            "your mask is transposed: queries are rows, keys are columns.",
            "right.T.contiguous()",
        ),
        _mask(
            f"{prefix}-all-true",
            exercise,
            "your mask hides nothing: it is True everywhere.",
            "torch.ones_like(right)",
        ),
        _mask(
            f"{prefix}-all-false",
            exercise,
            "your mask hides everything: it is False everywhere.",
            "torch.zeros_like(right)",
        ),
        _mask(f"{prefix}-none", exercise, f"your {exercise} returns None: is there a `return`?", "None"),
        _mask(
            f"{prefix}-all-keys-for-no-query",
            exercise,
            "with query_length=0 you return a row for every key: the slice [-0:] is everything, not nothing.",
            "right if query_length else right.new_ones(right.shape[1], right.shape[1]).tril()",
        ),
        _without_refusal(
            f"{prefix}-more-queries-than-keys",
            exercise,
            "you return a mask although query_length > key_length: raise a ValueError.",
            "if key_length is None or query_length <= key_length: raise\n        return torch.ones(query_length, key_length, dtype=torch.bool)",
        ),
        _without_refusal(
            f"{prefix}-assert",
            exercise,
            "you refuse a wrong argument with an AssertionError: raise a ValueError.",
            "raise AssertionError from None",
        ),
    ]


CAUSAL_MASK = [
    Mistake(
        "diagonal-hidden",
        "causal_mask",
        "your diagonal is off by one: a position does not see itself.",
        {_CAUSAL: "return key_positions[None, :] < query_positions[:, None]"},
    ),
    Mistake(
        "one-ahead",
        "causal_mask",
        "your diagonal is off by one: a position sees the next one, which it should predict.",
        {_CAUSAL: "return key_positions[None, :] <= query_positions[:, None] + 1"},
    ),
    Mistake(
        "sees-the-future",
        "causal_mask",
        "each query sees itself and later positions: it should see itself and earlier ones.",
        {_CAUSAL: "return key_positions[None, :] >= query_positions[:, None]"},
    ),
    Mistake(
        "top-left-aligned",
        "causal_mask",
        "you align the queries with the first keys: they are the last positions of the keys (bottom right corner).",
        {_CAUSAL: "return key_positions[None, :] <= torch.arange(query_length, device=device)[:, None]"},
    ),
    _mask(
        "key-length-ignored",
        "causal_mask",
        "you ignore key_length: your mask has as many columns as queries.",
        "right[:, right.shape[1] - query_length :]",
    ),
    _mask(
        "first-keys-hidden",
        "causal_mask",
        "you hide the keys before the first query: they are earlier positions and must stay visible.",
        "right & (torch.arange(right.shape[1]) >= right.shape[1] - query_length)",
    ),
    Mistake(
        "one-row-for-all",
        "causal_mask",
        "you build one row and use it for every query: each query has its own position.",
        {_CAUSAL: "return (key_positions[None, :] <= query_positions[:, None])[:1].expand(query_length, -1)"},
    ),
    *_any_mask("causal", "causal_mask"),
]


def _sdpa(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(id, "scaled_dot_product_attention", says, edits)


SCALED_DOT_PRODUCT_ATTENTION = [
    _sdpa("no-scaling", "your values are exactly those without the division by sqrt(d_head).", {_SCALE: "pass"}),
    _sdpa(
        "divided-by-d",
        "you divide the scores by d_head: divide by its square root.",
        {_SCALE: "scores = scores / d_head"},
    ),
    _sdpa(
        "multiplied-by-root",
        "you multiply the scores by sqrt(d_head): divide by it.",
        {_SCALE: "scores = scores * math.sqrt(d_head)"},
    ),
    _sdpa(
        "root-of-d-value",
        "you divide by the root of the size of the values: use d_head, the size of the queries and keys.",
        {_SCALE: "scores = scores / math.sqrt(value.shape[-1])"},
    ),
    _sdpa(
        "root-of-key-length",
        "you divide by the root of the number of keys: use d_head, the size of the queries and keys.",
        {_SCALE: "scores = scores / math.sqrt(key.shape[-2])"},
    ),
    _sdpa(
        "scaled-after-softmax",
        "you divide the weights by sqrt(d_head): divide the scores instead, before the softmax.",
        {_SCALE: "pass", _WEIGHTS: f"{_WEIGHTS} / math.sqrt(d_head)"},
    ),
    _sdpa(
        "softmax-over-queries",
        "your softmax runs over the queries: it should run over the keys, the last axis.",
        {_WEIGHTS: "weights = softmax(scores, dim=-2)"},
    ),
    _sdpa(
        "softmax-over-axis-one",
        "your softmax runs along axis 1, which holds the keys only if there are no batch axes: use dim=-1.",
        {_WEIGHTS: "weights = softmax(scores, dim=1)"},
    ),
    _sdpa(
        "softmax-over-first-axis",
        "your softmax runs along the first axis: it should run over the keys, the last axis.",
        {_WEIGHTS: "weights = softmax(scores, dim=0)"},
    ),
    _sdpa(
        "softmax-over-everything",
        "your softmax runs over queries and keys together: each query needs a softmax of its own, over the keys.",
        {_WEIGHTS: "weights = softmax(scores.flatten(-2), dim=-1).unflatten(-1, scores.shape[-2:])"},
    ),
    _sdpa(
        "no-softmax", "you mix the values with the raw scores: apply the softmax first.", {_WEIGHTS: "weights = scores"}
    ),
    _sdpa(
        "scores-ignored",
        "you ignore the scores: your output is the plain average of the visible values.",
        {_SCALE: "scores = torch.zeros_like(scores)"},
    ),
    _sdpa("mask-ignored", "you ignore the mask.", {_HIDE: "pass"}),
    _sdpa(
        "mask-inverted",
        "you use the mask inverted: you hide where it is True, but True means 'may attend'.",
        {_HIDE: "scores = scores.masked_fill(mask, -torch.inf)"},
    ),
    _sdpa(
        "mask-after-softmax",
        "you apply the mask after the softmax: the rows no longer sum to 1. Apply it before.",
        {_HIDE: "pass", _WEIGHTS: f"{_WEIGHTS}\n    weights = weights if mask is None else weights * mask"},
    ),
    _sdpa(
        "mask-after-softmax-renormalised",
        "you apply the mask after the softmax and normalise again: if a hidden key matches best, the visible weights may have rounded to 0. Apply the mask before the softmax.",
        {
            _HIDE: "pass",
            _WEIGHTS: f"{_WEIGHTS}\n    if mask is not None:\n        weights = weights * mask\n"
            "        weights = weights / weights.sum(dim=-1, keepdim=True)",
        },
    ),
    _sdpa(
        "mask-added-as-number",
        "you add the mask to the scores as a number: True adds 1, and nothing is hidden.",
        {_HIDE: "scores = scores + mask"},
    ),
    _sdpa(
        "fill-zero",
        "you set hidden scores to 0: exp(0) is 1, so they take part. Use -inf.",
        {_HIDE: "scores = scores.masked_fill(~mask, 0.0)"},
    ),
    _sdpa(
        "fill-minus-100",
        "you set hidden scores to -100: a hidden key keeps some weight. Use -inf.",
        {_HIDE: "scores = scores.masked_fill(~mask, -100.0)"},
    ),
    _sdpa(
        "fill-minus-1e4",
        "you set hidden scores to -1e4: if the visible scores are even lower, the hidden keys win. Use -inf.",
        {_HIDE: "scores = scores.masked_fill(~mask, -1e4)"},
    ),
    _sdpa(
        "fill-minus-1e9",
        "you set hidden scores to -1e9: if the visible scores are even lower, the hidden keys win. Use -inf.",
        {_HIDE: "scores = scores.masked_fill(~mask, -1e9)"},
    ),
    _sdpa(
        "zero-times-infinity",
        "you multiply the mask by -inf: 0 * -inf is NaN. Choose with torch.where or masked_fill.",
        {_HIDE: "scores = scores + (~mask) * -torch.inf"},
    ),
    _sdpa(
        "mask-inverted-in-place",
        "you invert the caller's mask in place: make a new tensor.",
        {_HIDE: "scores = scores.masked_fill(mask.logical_not_(), -torch.inf)"},
    ),
    _sdpa(
        "causal-unasked",
        "you hide later keys although no mask asks for it: the caller decides what is hidden.",
        {
            "    if mask is not None:\n        _refuse": "    causal = torch.ones_like(scores, dtype=torch.bool).tril()\n"
            "    mask = causal if mask is None else mask & causal\n    if mask is not None:\n        _refuse"
        },
    ),
    _sdpa(
        "blind-row-nan",
        "a query that sees no key gets NaN: raise a ValueError.",
        {"_refuse_blind_queries(mask)\n": "pass\n"},
    ),
    _sdpa(
        "blind-row-zeros",
        "a query that sees no key gets weights of 0: raise a ValueError.",
        {"_refuse_blind_queries(mask)\n": "pass\n", _WEIGHTS: f"{_WEIGHTS}.nan_to_num()"},
    ),
    _sdpa(
        "blind-row-average",
        "a query that sees no key gets the average of the hidden values: raise a ValueError.",
        {
            "_refuse_blind_queries(mask)\n": "pass\n",
            _HIDE: "scores = scores.masked_fill(~mask & mask.any(-1, keepdim=True), -torch.inf)\n"
            "        scores = scores * mask.any(-1, keepdim=True)",
        },
    ),
    _sdpa(
        "blind-only-if-all",
        "you refuse only a mask that is False everywhere: refuse any mask with a query that sees no key.",
        {"blind = ~mask.any(dim=-1)": "blind = ~mask.any()"},
    ),
    _sdpa(
        "refuses-unseen-keys",
        "you refuse a key that no query sees, which is allowed (padding). Refuse a query that sees no key.",
        {"blind = ~mask.any(dim=-1)": "blind = ~mask.any(dim=-2)"},
    ),
    _sdpa(
        "refuses-any-hidden-key",
        "you refuse every mask that hides something: refuse only a query that sees no key.",
        {"blind = ~mask.any(dim=-1)": "blind = ~mask.all(dim=-1)"},
    ),
    _sdpa(
        "half-precision-scores",
        "you compute the scores in half precision, where float16 beyond 65504 is inf. Compute them in float32.",
        {_SCORES: "scores = query @ key.transpose(-2, -1)", _OUTPUT: "output = weights @ value"},
    ),
    _sdpa(
        "clamped-half-scores",
        "you clamp the scores to the range of float16: all scores beyond 65504 become equal. Compute them in float32.",
        {_SCORES: "scores = _widen((query @ key.transpose(-2, -1)).nan_to_num())"},
    ),
    _sdpa(
        "result-not-cast-back",
        "your output and weights stay in float32: cast both back to the dtype of `query`.",
        {_RETURN: "return output, weights"},
    ),
    _sdpa(
        "weights-not-cast-back",
        "your weights stay in float32: cast them back to the dtype of `query`, like the output.",
        {_RETURN: "return output.to(query.dtype), weights"},
    ),
    _sdpa("output-only", "you return the output alone: return it and the weights.", {_RETURN: "return output"}),
    _sdpa(
        "weights-first", "you return the weights first: the output comes first.", {_RETURN: "return weights, output"}
    ),
    _sdpa(
        "returns-scores",
        "you return the scores: return the weights, after the softmax.",
        {_RETURN: "return output.to(query.dtype), scores.to(query.dtype)"},
    ),
    _sdpa(
        "returns-unmasked-weights",
        "your output is right, but you return the weights without the mask.",
        {
            _SCALE: f"{_SCALE}\n    bare = softmax(scores, -1)",
            _RETURN: "return output.to(query.dtype), bare.to(query.dtype)",
        },
    ),
    _sdpa(
        "queries-and-keys-swapped",
        "you multiply keys by queries: each row of the scores belongs to a query, each column to a key.",
        {_SCORES: "scores = _widen(key) @ _widen(query).transpose(-2, -1)"},
    ),
    _sdpa(
        "first-two-axes-transposed",
        "you transpose the first two axes of `key`: transpose the last two, since there may be batch axes.",
        {_SCORES: "scores = _widen(query) @ _widen(key).transpose(0, 1)"},
    ),
    _sdpa(
        "key-not-transposed",
        "you reshape `key` to (d_head, k_len), which mixes up its numbers: transpose it.",
        {_SCORES: "scores = _widen(query) @ _widen(key).reshape(*key.shape[:-2], d_head, key.shape[-2])"},
    ),
    _sdpa("mixes-keys", "you mix the keys: mix the values.", {_OUTPUT: "output = weights @ _widen(key)"}),
    _sdpa(
        "cosine",
        "you normalise queries and keys to length 1: their lengths are part of the score.",
        {
            _SCORES: "scores = nn.functional.normalize(_widen(query), dim=-1) "
            "@ nn.functional.normalize(_widen(key), dim=-1).transpose(-2, -1)"
        },
    ),
    _sdpa(
        "weights-detached",
        "gradients reach `value` only: the weights are cut off from queries and keys.",
        {_WEIGHTS: f"{_WEIGHTS}.detach()"},
    ),
    _sdpa(
        "batch-ignored",
        "every text in the batch gets the weights of the first one.",
        {_WEIGHTS: f"{_WEIGHTS}\n    weights = weights[:1].expand_as(weights) if weights.dim() > 2 else weights"},
    ),
    _sdpa(
        "mask-of-heads-as-of-texts",
        "you take the first axis of a three-axis mask for the batch: masks broadcast from the right, so it is the head axis.",
        {
            "_refuse_blind_queries(mask)\n": "_refuse_blind_queries(mask)\n"
            "        mask = mask.unsqueeze(1) if mask.dim() == 3 and query.dim() == 4 else mask\n"
        },
    ),
    _sdpa(
        "blind-row-in-one-head-nan",
        "you look for queries that see no key only if the mask has all axes: it may have fewer.",
        {
            "_refuse_blind_queries(mask)\n": "_refuse_blind_queries(mask if mask.dim() == query.dim() else mask[..., :0, :])\n"
        },
    ),
    _sdpa(
        "bfloat16-scores",
        "you compute bfloat16 scores in bfloat16: near 64 its steps are as large as 0.5. Compute them in float32.",
        {
            _SCORES: "half = query.dtype is torch.bfloat16\n"
            "    scores = query @ key.mT if half else _widen(query) @ _widen(key).transpose(-2, -1)"
        },
    ),
    _sdpa(
        "view-of-heads",
        "you flatten the leading axes with .view(), which transposed heads refuse: use .reshape().",
        {_SCORES: f"query.view(-1, d_head)\n    {_SCORES}"},
    ),
    _sdpa(
        "mask-in-default-dtype",
        "the mask that you add has torch's default dtype: make it in the dtype of the scores.",
        {_HIDE: "scores = scores + torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)"},
    ),
    _sdpa(
        "scaled-dot-product-attention-takes-integers",
        "you accept a tensor of integers and truncate the result to integers: refuse it with a ValueError.",
        {"if not all(given.is_floating_point() for given in (query, key, value)):": "if False:"},
    ),
    *always("scaled_dot_product_attention"),
]


def _initial(id: str, exercise: str, says: str, before: str = "pass", after: str = "pass") -> Mistake:
    append = f"""
_right_init = {exercise}.__init__


def _init(self, *args, generator=None, **options):
    {before}
    _right_init(self, *args, generator=generator, **options)
    {after}


{exercise}.__init__ = _init
"""
    return Mistake(id, exercise, says, append=append)


def _any_initial(prefix: str, exercise: str) -> list[Mistake]:
    """Return the mistakes that any class can make in its initial weights."""
    each = "for weight in [p for p in self.parameters() if p.dim() == 2]: "

    def initial(id: str, says: str, **changes: str) -> Mistake:
        return _initial(f"{prefix}-{id}", exercise, says, **changes)

    found = [
        initial(
            "initial-not-scaled",
            "your initial weights have standard deviation 1: it should be d_model ** -0.5, as in Linear.",
            after=each + "weight.data.mul_(weight.shape[1] ** 0.5)",
        ),
        initial(
            "initial-divided-by-d",
            "your initial weights have standard deviation 1 / d_model: it should be d_model ** -0.5.",
            after=each + "weight.data.mul_(weight.shape[1] ** -0.5)",
        ),
        initial(
            "initial-constant-scale",
            "your initial weights always have standard deviation 0.02: it should be d_model ** -0.5.",
            after=each + "weight.data.mul_(0.02 * weight.shape[1] ** 0.5)",
        ),
        initial(
            "initial-uniform",
            "your initial weights are uniform, as in torch.nn.Linear: draw them from a normal distribution, as embedding.Linear does.",
            after=each + "torch.nn.init.uniform_(weight, -weight.shape[1] ** -0.5, weight.shape[1] ** -0.5, generator)",
        ),
        initial(
            "initial-zeros",
            "your initial weights are 0: all queries and keys are equal, and the first gradients are 0 too.",
            after=each + "weight.data.zero_()",
        ),
        initial(
            "initial-all-equal",
            "your initial weights are copies of one another: draw each of them independently.",
            after=each + "weight.data.copy_(self.q_proj.weight.data[: weight.shape[0]].clone())",
        ),
        initial(
            "keys-and-values-share-a-layer",
            "k_proj and v_proj are the same layer: each needs its own weight.",
            after="self.v_proj = self.k_proj",
        ),
        initial(
            "generator-ignored",
            "you draw the weights from torch's global generator although a generator was given.",
            before="generator = None",
        ),
        initial(
            "generator-not-passed-on",
            "you pass the generator only to q_proj: the other layers draw from torch's global one.",
            after="for layer in (self.k_proj, self.v_proj): "
            "layer.weight.data = torch.randn(layer.weight.shape) * layer.weight.shape[1] ** -0.5",
        ),
        initial(
            "generator-seeded-again",
            "you draw from a new generator with the seed of the given one: the next module would get the same weights.",
            before="generator = None if generator is None else torch.Generator().manual_seed(generator.initial_seed())",
        ),
        initial(
            "fixed-seed-without-generator",
            "if no generator is given, you draw from a new one with a fixed seed: None means torch's global generator.",
            before="generator = generator or torch.Generator().manual_seed(0)",
        ),
        initial(
            "seeds-globally",
            "your constructor seeds torch's global generator or draws from it, as torch.nn.Linear does when it is built: "
            "draw only from the given generator.",
            before="generator = None if generator is None else torch.manual_seed(generator.initial_seed())",
        ),
        initial(
            "not-parameters",
            "no optimizer finds your weights: keep each projection as an attribute of the module, not in a list or dict.",
            after="layers = dict(self.named_children()); self._modules.clear(); self.__dict__.update(layers)",
        ),
    ]
    if exercise == "SelfAttention":
        return [
            *found,
            initial(
                "bias",
                "your projections have biases: pass bias=False to Linear.",
                after="for layer in self.children(): layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))",
            ),
        ]
    return [
        *found,
        initial(
            "bias-always",
            "your projections have biases although bias is False: pass bias on to Linear, which has one by default.",
            before="options['bias'] = True",
        ),
        initial("no-bias", "your projections have no biases although bias is True.", before="options['bias'] = False"),
        initial(
            "no-out-bias",
            "your out_proj has no bias although bias is True: all four projections need one.",
            after="self.out_proj.bias = None",
        ),
        initial(
            "only-out-bias",
            "with bias=True only your out_proj has a bias: all four projections need one.",
            after="self.q_proj.bias = self.k_proj.bias = self.v_proj.bias = None",
        ),
        initial(
            "bias-drawn",
            "your initial biases are random: they should be zeros, as in Linear.",
            after="[p.data.normal_() for p in self.parameters() if p.dim() == 1]",
        ),
    ]


def _no_refusal(id: str, exercise: str, says: str, otherwise: str) -> Mistake:
    more = "" if exercise == "MultiHeadAttention" else ", num_kv_heads"
    append = f"""
_right_init = {exercise}.__init__


def _init(self, d_model, num_heads{more}, **options):
    try:
        _right_init(self, d_model, num_heads{more}, **options)
    except ValueError:
        {otherwise}


{exercise}.__init__ = _init
"""
    return Mistake(id, exercise, says, append=append)


def _forward(id: str, exercise: str, says: str, **changes: str) -> Mistake:
    """The forward of a class, written out, with statements put in where `changes` says."""
    steps = _ONE_HEAD if exercise == "SelfAttention" else _HEADS
    body = "".join(
        f"    {step}\n" + (f"    {changes.pop(at)}\n" if at in changes else "") for at, step in steps.items()
    )
    if changes:
        raise ValueError(f"mistake {id}: there is no step {', '.join(changes)}")
    append = (
        f"\ndef _forward(self, x, mask=None):\n{body}    return output, weights\n\n\n{exercise}.forward = _forward\n"
    )
    return Mistake(id, exercise, says, append=append)


_ONE_HEAD = {
    "project": "query, key, value = self.q_proj(x), self.k_proj(x), self.v_proj(x)",
    "see": "visible = _visible(x, self.causal, mask)",
    "attend": "output, weights = scaled_dot_product_attention(query, key, value, visible)",
}
_HEADS = {
    "sizes": "heads, kv_heads = self.num_heads, getattr(self, 'num_kv_heads', self.num_heads)",
    "project": _ONE_HEAD["project"],
    "split": "query, key, value = _split_heads(query, heads), _split_heads(key, kv_heads), _split_heads(value, kv_heads)",
    "repeat": "key, value = (t.repeat_interleave(heads // kv_heads, dim=1) for t in (key, value))",
    "turn": "query, key = _rotate(query, self.rope_base), _rotate(key, self.rope_base)",
    "see": _ONE_HEAD["see"],
    "drop": "dropout = self.dropout if self.training else 0.0",
    "attend": "mixed, weights = _attend(query, key, value, visible, dropout)",
    "merge": "merged = _merge_heads(mixed)",
    "out": "output = self.out_proj(merged)",
}


def _any_forward(prefix: str, exercise: str) -> list[Mistake]:
    """Return the mistakes that any class can make in forward."""

    def forward(id: str, says: str, **changes: str) -> Mistake:
        return _forward(f"{prefix}-{id}", exercise, says, **changes)

    # In "see" the queries are as they go into the scores.
    return [
        forward(
            "root-of-d-model",
            "you divide the scores by sqrt(d_model): each head divides by sqrt(d_head).",
            see="query = query * (query.shape[-1] / x.shape[-1]) ** 0.5",
        ),
        forward(
            "no-scaling",
            "your values are exactly those without the division by sqrt(d_head).",
            see="query = query * query.shape[-1] ** 0.5",
        ),
        forward(
            "scaled-twice",
            "you divide by sqrt(d_head) twice: scaled_dot_product_attention already does it.",
            see="query = query * query.shape[-1] ** -0.5",
        ),
        forward(
            "q-and-k-swapped",
            "you swapped q_proj and k_proj: q_proj makes the queries.",
            see="query, key = key, query",
        ),
        forward(
            "k-and-v-swapped",
            "you swapped k_proj and v_proj: k_proj makes the keys.",
            project="key, value = value, key",
        ),
        forward("values-from-keys", "your values are the keys: make them with v_proj.", project="value = key"),
        forward(
            "not-causal",
            "you apply no causal mask although causal is True.",
            see="visible = _visible(x, False, mask)",
        ),
        forward(
            "always-causal",
            "you apply the causal mask although causal is False.",
            see="visible = _visible(x, True, mask)",
        ),
        forward(
            "one-position-ahead",
            "each position also sees the next one: the diagonal of your mask is off by one.",
            see="visible = visible | (self.causal & torch.ones_like(visible).triu(1) & ~torch.ones_like(visible).triu(2))",
        ),
        forward(
            "extra-mask-ignored",
            "you ignore the mask that is passed to forward.",
            see="visible = _visible(x, self.causal, None)",
        ),
        forward(
            "extra-mask-replaces-causal",
            "the mask passed to forward replaces your causal mask: a key must be visible in both.",
            see="visible = _visible(x, self.causal and mask is None, mask)",
        ),
        forward(
            "masks-joined-by-or",
            "you combine the two masks with 'or': a key must be visible in both, so use 'and'.",
            see="visible = visible if mask is None else _visible(x, self.causal, None) | mask",
        ),
        forward(
            "extra-mask-inverted",
            "you use the mask passed to forward inverted: True means 'may attend'.",
            see="visible = visible if mask is None else _visible(x, self.causal, ~mask)",
        ),
        forward(
            "not-causal-alone-in-eval",
            "for a single text in eval mode you apply no causal mask: neither the mode nor the batch size changes what a position may see.",
            see="visible = _visible(x, self.causal and (self.training or len(x) > 1), mask)",
        ),
        forward(
            "mask-of-1024",
            "your causal mask has a fixed length of 1024: longer texts do not fit. Make it for the length of each text.",
            see="visible = visible & torch.ones(1024, 1024, dtype=torch.bool)[: x.shape[1], : x.shape[1]]",
        ),
        forward(
            "extra-mask-kept",
            "the mask of one call still applies in the next: you write it into the causal mask that you keep. Make a new one in each call.",
            see="kept = self.__dict__.setdefault('_kept', {}); "
            "visible = kept[x.shape] = visible & kept.get(x.shape, visible)",
        ),
        forward(
            "extra-mask-changed",
            "you write the causal mask into the caller's mask: combine them with &, which makes a new one.",
            see="visible = visible if mask is None else mask.copy_(visible.expand_as(mask)) "
            "if mask.shape[-2:] == visible.shape[-2:] and visible.dim() == mask.dim() else visible",
        ),
        forward(
            "weights-in-float64",
            "your weights are always float64: return the dtype of x.",
            **{"attend" if exercise == "SelfAttention" else "out": "weights = weights.double()"},
        ),
        forward(
            "mask-of-first-length",
            "your causal mask has the length of the first text: make it for the length of each text.",
            see="self.__dict__.setdefault('_first', torch.ones_like(visible)); visible = visible & self._first",
        ),
        forward(
            "mask-of-fixed-length",
            "your causal mask has a fixed length of 8: longer texts do not fit. Make it for the length of each text.",
            see="visible = visible & torch.ones(8, 8, dtype=torch.bool)[: x.shape[1], : x.shape[1]]",
        ),
        forward(
            "keys-detached",
            "no gradient reaches k_proj: .detach(), .data or no_grad blocks it.",
            project="key = key.detach()",
        ),
        forward(
            "weights-first",
            "you return the weights first: the output comes first.",
            **{"attend" if exercise == "SelfAttention" else "out": "output, weights = weights, output"},
        ),
        forward(
            "scores-ignored",
            "you ignore queries and keys: your output is the plain average of the visible values.",
            see="query = query * 0",
        ),
        forward(
            "batch-ignored",
            "every text in the batch gets the weights of the first one.",
            see="query, key = query[:1].expand_as(query), key[:1].expand_as(key)",
        ),
        *_any_initial(prefix, exercise),
    ]


SELF_ATTENTION = [
    *_any_forward("one-head", "SelfAttention"),
    _forward(
        "values-not-projected",
        "SelfAttention",
        "you mix x itself: the values are v_proj(x).",
        project="value = x",
    ),
    _forward(
        "q-proj-for-keys",
        "SelfAttention",
        "you make the keys with q_proj: make them with k_proj.",
        project="key = self.q_proj(x)",
    ),
    _forward(
        "weight-not-transposed",
        "SelfAttention",
        "you use the weights as (in, out): they are (d_head, d_model), so project with x @ weight.T.",
        project="query, key, value = (x @ p.weight.reshape(x.shape[-1], -1) for p in (self.q_proj, self.k_proj, self.v_proj))",
    ),
    _forward(
        "output-only-one-head",
        "SelfAttention",
        "you return the output alone: return it and the weights.",
        attend="return output",
    ),
    _forward(
        "residual-added",
        "SelfAttention",
        "you add the values to your output: the residual connection belongs to the block around it.",
        attend="output = output + value",
    ),
    *always("SelfAttention", "SelfAttention.forward"),
]


def _any_rope(prefix: str, exercise: str) -> list[Mistake]:
    """What goes wrong with the rotation by position; queries and keys as they were before it are kept in `bare`."""

    def rope(id: str, says: str, turn: str, at: str = "repeat", bare: str = "query, key") -> Mistake:
        return _forward(f"{prefix}-rope-{id}", exercise, says, **{at: f"bare = {bare}", "turn": turn})

    def each(turned: str) -> str:
        return f"if self.rope_base is not None: query, key = ({turned} for t in bare)"

    own_key = "key = key.repeat_interleave(heads // kv_heads, dim=1)"
    by_head = rope(
        "by-the-number-of-the-head",
        "you rotate by the index of the head: swap the head and position axes first, since apply_rope needs (..., seq, d_head).",
        f"query, key = (_rotate(t.transpose(1, 2), self.rope_base).transpose(1, 2) for t in bare); {own_key}",
        at="split",
    )
    # If each query head has its own key head, both are rotated alike, and no score differs from those without rotation.
    shared = exercise == "GroupedQueryAttention"
    nothing = "you rotate nothing" + ("" if shared else ", or by the index of the head instead of the position")
    return [
        rope("ignored", f"{nothing}: your values are exactly those without rope_base.", "query, key = bare"),
        *([by_head] if shared else []),
        rope(
            "always",
            "you rotate queries and keys although rope_base is None.",
            "query, key = (_rotate(t, self.rope_base or 10000.0) for t in bare)",
        ),
        rope(
            "base-ignored",
            "you ignore the value of rope_base and always rotate with a base of 10000.",
            each("_rotate(t, 10000.0)"),
        ),
        rope(
            "on-values-too",
            "you rotate the values too: rotate only queries and keys.",
            "value = _rotate(value, self.rope_base)",
        ),
        rope(
            "on-queries-alone",
            "you rotate only the queries: rotate the keys too, so that a score depends on the distance.",
            "key = bare[1]",
        ),
        rope(
            "on-keys-alone",
            "you rotate only the keys: rotate the queries too, so that a score depends on the distance.",
            "query = bare[0]",
        ),
        rope(
            "before-the-cut",
            "you rotate before the split into heads, as if all features were one head: rotate each head separately.",
            "query, key = _split_heads(_rotate(bare[0], self.rope_base), heads), "
            f"_split_heads(_rotate(bare[1], self.rope_base), kv_heads); {own_key}",
            at="project",
        ),
        _forward(
            f"{prefix}-rope-on-x",
            exercise,
            "you rotate x before it is projected: rotate the projected queries and keys.",
            sizes="x = _rotate(x, self.rope_base)",
            repeat="bare = query, key",
            turn="query, key = bare",
        ),
        rope(
            "interleaved",
            "you rotate pairs of neighbouring features: apply_rope pairs feature i with feature i + d_head / 2.",
            each("_rotate(t.unflatten(-1, (-1, 2)).mT.flatten(-2), self.rope_base)"),
        ),
        rope(
            "of-fixed-length",
            "your positions end at 8: longer texts do not fit. Count them for the length of each text.",
            each("apply_rope(t, torch.arange(8)[: t.shape[-2]], self.rope_base)"),
        ),
        rope(
            "table-of-1024",
            "your positions end at 1024: longer texts do not fit. Count them for the length of each text.",
            each("apply_rope(t, torch.arange(1024)[: t.shape[-2]], self.rope_base)"),
        ),
        rope(
            "restarts-after-1024",
            "your positions restart at 0 after 1024: count on to the end of the text.",
            each("apply_rope(t, torch.arange(t.shape[-2]) % 1024, self.rope_base)"),
        ),
        rope(
            "in-float64",
            "your rotation turns float32 into float64: keep the dtype of the vectors.",
            each("_rotate(t.double(), self.rope_base)") + "; value = value.to(query.dtype)",
        ),
        rope(
            "of-first-length",
            "you keep the angles of the first text: compute them for the length of each text.",
            each("apply_rope(t, self.__dict__.setdefault('_positions', torch.arange(t.shape[-2])), self.rope_base)"),
        ),
        rope(
            "reversed",
            "you count the positions from the end of the text, or rotate backwards: count positions from 0 at the start.",
            each("_rotate(t.flip(-2), self.rope_base).flip(-2)"),
        ),
    ]


def _any_heads(prefix: str, exercise: str) -> list[Mistake]:
    """What goes wrong with several heads, whether they share keys or not."""

    def forward(id: str, says: str, **changes: str) -> Mistake:
        return _forward(f"{prefix}-{id}", exercise, says, **changes)

    ones = "1" if exercise == "MultiHeadAttention" else "1, 1"
    cut = "[t.reshape(t.shape[0], h, t.shape[1], -1) for t, h in ((query, heads), (key, kv_heads), (value, kv_heads))]"
    return [
        *_any_forward(prefix, exercise),
        *_any_rope(prefix, exercise),
        forward(
            "bias-unused",
            "your biases are parameters that you never add: you only multiply by the weights.",
            project="query, key, value = (x @ p.weight.T for p in (self.q_proj, self.k_proj, self.v_proj))",
            out="output = merged @ self.out_proj.weight.T",
        ),
        forward(
            "out-bias-unused",
            "you never add the bias of out_proj: you only multiply by its weight.",
            out="output = merged @ self.out_proj.weight.T",
        ),
        forward(
            "out-bias-in-every-head",
            "you add the bias of out_proj once per head: add it once, after concatenating the heads.",
            out="output = output if self.out_proj.bias is None else output + (heads - 1) * self.out_proj.bias",
        ),
        forward(
            "reshape-for-transpose",
            "you reshape directly to (batch, heads, seq, d_head): split the last axis into heads, then transpose.",
            project=f"split = {cut}",
            split="query, key, value = split",
        ),
        forward(
            "not-transposed-back",
            "you concatenate the heads without transposing back: swap the head and position axes first, then reshape.",
            merge="merged = mixed.reshape(x.shape)",
        ),
        forward(
            "interleaved-heads",
            "you split the features into (d_head, num_heads): head h owns d_head neighbouring features, not every num_heads-th.",
            split="query, key, value = query, key, value",
            project="query, key, value = (t.unflatten(-1, (-1, h)).transpose(-2, -1).flatten(-2) "
            "for t, h in ((query, heads), (key, kv_heads), (value, kv_heads)))",
            merge="merged = mixed.permute(0, 2, 3, 1).flatten(-2)",
        ),
        forward(
            "merged-by-feature",
            "you interleave the outputs of the heads: all features of head 0 come first, then those of head 1.",
            merge="merged = mixed.permute(0, 2, 3, 1).flatten(-2)",
        ),
        forward(
            "no-output-projection",
            "you leave out the output projection.",
            out="output = merged",
        ),
        forward(
            "out-weight-not-transposed",
            "you do not transpose out_proj.weight: a weight is (out, in), so use x @ weight.T.",
            out="output = merged @ self.out_proj.weight",
        ),
        forward(
            "q-weight-not-transposed",
            "you do not transpose q_proj.weight: a weight is (out, in), so use x @ weight.T.",
            project="query = x @ self.q_proj.weight",
        ),
        forward(
            "heads-share-queries",
            "all your heads use the queries of head 0: each head has features of its own.",
            split="query = query[:, :1].expand_as(query)",
        ),
        forward(
            "heads-share-weights",
            "all your heads use the queries, keys and values of head 0: each head has features of its own.",
            split="query, key, value = (t[:, :1].expand_as(t) for t in (query, key, value))",
        ),
        forward(
            "one-head-only",
            "you attend with a single head: num_heads is ignored.",
            repeat="query, key, value = (t.transpose(1, 2).flatten(-2)[:, None] for t in (query, key, value))",
        ),
        forward(
            "attends-across-heads",
            "your heads attend to one another within a position: transpose to (batch, heads, seq, d_head) first.",
            see="query, key, value = (t.transpose(1, 2) for t in (query, key, value)); "
            "visible = torch.ones(heads, heads, dtype=torch.bool)",
            merge="merged = mixed.flatten(-2)",
        ),
        forward(
            "weights-averaged",
            "you return the average weights of all heads: return the weights of every head.",
            out="weights = weights.mean(1)",
        ),
        forward(
            "weights-of-last-head",
            "you return only the weights of the last head: return the weights of every head.",
            out="weights = weights[:, -1]",
        ),
        forward("output-only", "you return the output alone: return it and the weights.", out="return output"),
        forward(
            "residual-added",
            "you add x to your output: the residual connection belongs to the block around it.",
            out="output = output + x",
        ),
        forward(
            "causal-without-dropout-alone",
            "you lose the causal mask if dropout is above 0: dropout does not change what a position may see.",
            see="visible = _visible(x, self.causal and self.dropout == 0, mask)",
        ),
        forward(
            "causal-lost-while-dropping",
            "you lose the causal mask in training with dropout: the mode does not change what a position may see.",
            see="visible = _visible(x, self.causal and not (self.training and self.dropout), mask)",
        ),
        forward(
            "extra-mask-lost-while-dropping",
            "you lose the mask passed to forward in training with dropout.",
            see="visible = _visible(x, self.causal, None if self.training and self.dropout else mask)",
        ),
        forward(
            "extra-mask-of-texts",
            "you take the first axis of a three-axis mask for the batch: masks broadcast from the right, so it is the head axis.",
            see="visible = _visible(x, self.causal, mask[:, None] if mask is not None and mask.dim() == 3 else mask)",
        ),
        forward(
            "extra-mask-of-one-head",
            "you use the mask of head 0 for every head: the mask has a head axis.",
            see="visible = visible if mask is None or mask.dim() < 4 else _visible(x, self.causal, mask[:, :1])",
        ),
        forward(
            "dropout-of-its-own-seed",
            "your dropout draws from a generator of its own: draw from torch's global one.",
            drop="rate, dropout = dropout, 0.0",
            attend="draws = self.__dict__.setdefault('_draws', torch.Generator().manual_seed(0)); "
            "mixed = weights * (torch.rand(weights.shape, generator=draws) >= rate) / (1 - rate) @ value",
        ),
        _initial(
            f"{prefix}-zero-heads",
            exercise,
            "num_heads=0 ends in a ZeroDivisionError: raise a ValueError.",
            before="num_heads = options.get('num_heads', args[1] if len(args) > 1 else 1); 1 / num_heads",
        ),
        forward("dropout-ignored", "you drop nothing in training: dropout is ignored.", drop="dropout = 0.0"),
        forward(
            "dropout-in-eval",
            "you drop weights in eval mode too: drop only in training.",
            drop="dropout = self.dropout",
        ),
        forward(
            "dropout-only-in-eval",
            "you drop weights in eval mode and none in training: it should be the other way round.",
            drop="dropout = 0.0 if self.training else self.dropout",
        ),
        forward(
            "dropout-keeps-that-many",
            "you keep weights with probability `dropout`: that is the probability of dropping them.",
            drop="dropout = 1 - dropout if self.training else 0.0",
        ),
        forward(
            "dropout-not-scaled",
            "you drop weights without dividing the remaining ones by 1 - dropout.",
            attend="mixed = mixed * (1 - dropout)",
        ),
        forward(
            "dropout-renormalised",
            "you normalise the weights again after dropout: only divide them by 1 - dropout.",
            attend="dropped = torch.nn.functional.dropout(weights, dropout); "
            "mixed = dropped / dropped.sum(-1, keepdim=True).clamp_min(1e-12) @ value",
        ),
        forward(
            "weights-after-dropout",
            "you return the weights after dropout: return the weights before dropout.",
            attend="dropped = torch.nn.functional.dropout(weights, dropout); mixed, weights = dropped @ value, dropped",
        ),
        forward(
            "dropout-on-output",
            "you apply dropout to the output: apply it to the weights.",
            drop="rate, dropout = dropout, 0.0",
            out="output = torch.nn.functional.dropout(output, rate)",
        ),
        forward(
            "dropout-on-mixed-values",
            "you apply dropout to the mixed values: apply it to the weights.",
            drop="rate, dropout = dropout, 0.0",
            attend="mixed = torch.nn.functional.dropout(mixed, rate)",
        ),
        forward(
            "dropout-shared-by-heads",
            "your dropout drops the same weights in every head and text: draw for each weight independently.",
            attend="mixed = (weights * torch.nn.functional.dropout(torch.ones_like(weights[0, 0]), dropout)) @ value",
        ),
        forward(
            "dropout-of-whole-keys",
            "your dropout drops a key for all queries at once: draw for each weight independently.",
            attend="mixed = (weights * torch.nn.functional.dropout(torch.ones_like(weights[:, :, :1]), dropout)) @ value",
        ),
        _no_refusal(
            f"{prefix}-indivisible",
            exercise,
            "you accept a d_model that is not divisible by num_heads: raise a ValueError in the constructor.",
            f"if d_model % num_heads == 0: raise\n        _right_init(self, d_model, {ones}, **options)",
        ),
        _no_refusal(
            f"{prefix}-assert",
            exercise,
            "you refuse a wrong argument with an AssertionError: raise a ValueError.",
            "raise AssertionError from None",
        ),
        *always(exercise, f"{exercise}.forward"),
    ]


MULTI_HEAD_ATTENTION = _any_heads("multi-head", "MultiHeadAttention")

GROUPED_QUERY_ATTENTION = [
    *_any_heads("grouped", "GroupedQueryAttention"),
    _forward(
        "kv-heads-tiled",
        "GroupedQueryAttention",
        "you tile the key and value heads (0 1 0 1): neighbouring query heads share one (0 0 1 1).",
        split="tiled = [t.repeat(1, heads // kv_heads, 1, 1) for t in (key, value)]",
        repeat="key, value = tiled",
    ),
    _forward(
        "only-values-tiled",
        "GroupedQueryAttention",
        "you tile the value heads (0 1 0 1) but repeat the key heads (0 0 1 1): repeat both.",
        split="tiled = value.repeat(1, heads // kv_heads, 1, 1)",
        repeat="value = tiled",
    ),
    _forward(
        "only-keys-tiled",
        "GroupedQueryAttention",
        "you tile the key heads (0 1 0 1) but repeat the value heads (0 0 1 1): repeat both.",
        split="tiled = key.repeat(1, heads // kv_heads, 1, 1)",
        repeat="key = tiled",
    ),
    _forward(
        "first-kv-head-for-all",
        "GroupedQueryAttention",
        "all your query heads read the first key and value head: each group has its own.",
        repeat="key, value = key[:, :1].expand_as(key), value[:, :1].expand_as(value)",
    ),
    _forward(
        "groups-averaged",
        "GroupedQueryAttention",
        "you average the queries of a group: each query head keeps its own query.",
        repeat="query = query.unflatten(1, (kv_heads, -1)).mean(2).repeat_interleave(heads // kv_heads, dim=1)",
    ),
    _forward(
        "weights-of-kv-heads",
        "GroupedQueryAttention",
        "you return weights for num_kv_heads heads: return the weights of every query head.",
        out="weights = weights.unflatten(1, (kv_heads, -1)).mean(2)",
    ),
    _forward(
        "root-of-kv-head-size",
        "GroupedQueryAttention",
        "you divide by sqrt(d_model / num_kv_heads): d_head is d_model / num_heads.",
        repeat="query = query * (kv_heads / heads) ** 0.5",
    ),
    Mistake(
        "all-kv-heads",
        "GroupedQueryAttention",
        "your keys and values have num_heads heads: num_kv_heads is ignored.",
        {"d_kv = num_kv_heads * (d_model // num_heads)": "self.num_kv_heads, d_kv = num_heads, d_model"},
    ),
    _no_refusal(
        "kv-heads-indivisible",
        "GroupedQueryAttention",
        "you accept a num_heads that is not divisible by num_kv_heads: raise a ValueError in the constructor.",
        "if d_model % num_heads: raise\n        _right_init(self, d_model, num_heads, 1, **options)",
    ),
]


def _window(id: str, says: str, result: str) -> Mistake:
    return Mistake(id, "sliding_window_mask", says, {_WINDOW: f"return {result}"})


SLIDING_WINDOW_MASK = [
    _window(
        "window-too-wide",
        "your window is one too wide: the position itself counts as one of the `window` positions.",
        "(steps_back >= 0) & (steps_back <= window)",
    ),
    _window(
        "window-too-narrow",
        "your window is one too narrow: it holds the position itself and the window - 1 positions before it.",
        "(steps_back >= 0) & (steps_back < window - 1)",
    ),
    _window(
        "window-without-itself",
        "your window leaves out the position itself and reaches one position too far back.",
        "(steps_back >= 1) & (steps_back <= window)",
    ),
    _window(
        "window-on-both-sides",
        "your window extends to both sides of the position: a later key must never be visible.",
        "steps_back.abs() < window",
    ),
    _window(
        "window-after",
        "your window extends to the positions after the query: it should extend to those before it.",
        "(steps_back <= 0) & (steps_back > -window)",
    ),
    _window(
        "window-not-causal", "your mask shows all later keys: hide them, as a causal mask does.", "steps_back < window"
    ),
    _window("window-ignored", "you ignore `window`: your mask is just the causal mask.", "steps_back >= 0"),
    _window(
        "window-hides-the-near",
        "you hide the positions inside the window and show those before it: it should be the other way round.",
        "steps_back >= window",
    ),
    _window(
        "window-in-blocks",
        "you cut the text into blocks of `window` positions: the window should move along with each position.",
        "(steps_back >= 0) & (query_positions[:, None] // window == key_positions[None, :] // window)",
    ),
    _window(
        "window-at-the-end",
        "your window always covers the last `window` keys: it should move along with each position.",
        "(steps_back >= 0) & (key_positions[None, :] >= len(key_positions) - window)",
    ),
    _window(
        "window-top-left-aligned",
        "you align the queries with the first keys: they are the last positions of the keys (bottom right corner).",
        "(lambda steps: (steps >= 0) & (steps < window))(steps_back - (len(key_positions) - query_length))",
    ),
    _window(
        "window-key-length-ignored",
        "you ignore key_length: your mask has as many columns as queries.",
        "((steps_back >= 0) & (steps_back < window))[:, len(key_positions) - query_length :]",
    ),
    _without_refusal(
        "window-zero-accepted",
        "sliding_window_mask",
        "you accept a window below 1: raise a ValueError, a position always sees itself.",
        "if window > 0: raise\n        return torch.zeros(query_length, key_length or query_length, dtype=torch.bool)",
    ),
    _without_refusal(
        "window-zero-accepted-without-queries",
        "sliding_window_mask",
        "you accept a window below 1 if there is no query: raise a ValueError before you look at the lengths.",
        "if query_length or window > 0: raise\n        return torch.zeros(0, key_length or 0, dtype=torch.bool)",
    ),
    *_any_mask("window", "sliding_window_mask"),
]

MISTAKES = [
    *SOFTMAX,
    *CAUSAL_MASK,
    *SCALED_DOT_PRODUCT_ATTENTION,
    *SELF_ATTENTION,
    *MULTI_HEAD_ATTENTION,
    *GROUPED_QUERY_ATTENTION,
    *SLIDING_WINDOW_MASK,
]
