r"""Attention: how a position of the text gathers what it needs from the positions before it.

A language model holds one vector for each position. Everything else in the model looks at one position at a time;
attention is the only place where they exchange anything. Each position asks a question (its query), every position
holds up a label (its key) and a content (its value): where a label answers the question, the content flows.

The exercises build on one another:

1. `softmax` turns any scores into shares that sum to 1.
2. `causal_mask` says who may look at whom: never at what comes later, or the model would copy the answer.
3. `scaled_dot_product_attention` makes scores from queries and keys, hides, takes the shares, mixes the values.
4. `SelfAttention` makes queries, keys and values from the text itself, with weights that are learned.
5. `MultiHeadAttention` does so several times side by side, so that one position can ask several questions.
6. `GroupedQueryAttention` lets several questions share their keys and values, which saves memory when generating.
7. `sliding_window_mask` limits how far back a position looks, so that the cost of a long text stays bounded.

Two units below help. What is learned lies in layers of the kind `embedding.Linear`, which hold a weight (out, in) and,
where they are told to, a bias. `position.apply_rope` turns queries and keys by their positions, where that is asked.

True in a mask means "may attend" throughout.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .embedding import Linear
from .position import apply_rope


def softmax(scores: Float[Tensor, "*shape"], dim: int) -> Float[Tensor, "*shape"]:
    r"""Turn scores into positive shares that sum to 1 along one axis.

    The result must be right for scores of any size: exp(1000) is inf, and inf / inf is NaN. Subtracting the same
    number from all scores along `dim` changes nothing in the formula, and subtracting their maximum makes the largest
    exponent exactly 0. float16 and bfloat16 are too coarse for the sum: compute those in float32 and cast back.

    Math:
        softmax(s)[i] = exp(s[i]) / sum_j exp(s[j]) = exp(s[i] - m) / sum_j exp(s[j] - m),  m = max_j s[j]

    Args:
        scores: Floating point, any number of axes. -inf is allowed and gets exactly 0.
        dim: The axis along which the shares sum to 1; negative counts from the end. It holds at least one score, the
            other axes may be empty.

    Returns:
        The shares, a new tensor in the shape and dtype of `scores`. Where all scores along `dim` are -inf there is
        nothing to share out, and the result is NaN: the caller must see to it that this does not occur.

    Raises:
        ValueError: `scores` is not floating point; the message gives its dtype.

    Example:
        >>> softmax(torch.tensor([[0.0, 0.0], [1000.0, -1000.0]]), dim=-1)
        tensor([[0.5000, 0.5000],
                [1.0000, 0.0000]])

    Pitfalls:
        * The maximum belongs to the row: with one maximum for the whole tensor, a row far below it becomes 0 / 0.
        * `dim` may be any axis, not only the last; keepdim=True lets the maximum and the sum broadcast.
        * `scores -= ...` would change the caller's tensor.

    Source:
        Milakov and Gimelshein 2018, section 2, algorithm 2 ("safe softmax"). https://arxiv.org/abs/1805.02867

    Not allowed: torch.softmax, torch.nn.functional.softmax, torch.special.softmax, torch.nn.Softmax,
        torch.log_softmax, torch.nn.functional.log_softmax, torch.special.log_softmax, torch.nn.LogSoftmax,
        torch.nn.functional.softmin, torch.nn.Softmin, torch.logsumexp, torch.special.logsumexp.
    """
    # The result comes in this dtype, and whole numbers would cut off all that matters of it.
    if not scores.is_floating_point():
        raise ValueError(f"softmax needs floating-point scores, got {scores.dtype}")
    # The sum of a long row exceeds what float16 holds, and loses digits in bfloat16.
    wide = _widen(scores)
    # amax with keepdim: one maximum for each row, in an axis of size 1 that broadcasts.
    # Now the largest exponent is 0: exp cannot overflow, and the sum is at least 1 (section 2 of the source).
    shifted = wide - wide.amax(dim=dim, keepdim=True)
    shares = torch.exp(shifted)
    # keepdim: the sums keep the axis `dim` with size 1, so the division broadcasts along it.
    return (shares / shares.sum(dim=dim, keepdim=True)).to(scores.dtype)


def causal_mask(
    query_length: int, key_length: int | None = None, device: torch.device | str | None = None
) -> Bool[Tensor, "query_length key_length"]:
    r"""Say which keys each query may see: its own position and those before it.

    While training, a text is query and key at once, and the lengths are equal. While generating, earlier keys are
    kept, so there are more keys than queries: the queries are then the last `query_length` positions of the keys.

    Math:
        mask[i, j] = (j <= i + key_length - query_length)

    Args:
        query_length: How many queries there are, 0 or more.
        key_length: How many keys there are. None = as many as queries.
        device: Where the mask is made. None = torch's default.

    Returns:
        A new boolean tensor, True = may attend. Its last row is True throughout.

    Raises:
        ValueError: There are more queries than keys.

    Example:
        >>> causal_mask(2, 4)  # two new positions after two old ones
        tensor([[ True,  True,  True, False],
                [ True,  True,  True,  True]])

    Pitfalls:
        * Every position sees itself: the diagonal is True.
        * With fewer queries than keys, the mask is aligned at the bottom right corner, not at the top left one.

    Source:
        Vaswani et al. 2017, section 3.2.3, third point. https://arxiv.org/abs/1706.03762
    """
    query_positions, key_positions = _positions(query_length, key_length, device)
    # <= and not <: a position sees itself, so even the first one has something to attend to.
    # (query_length, 1) against (1, key_length) -> (query_length, key_length)
    return key_positions[None, :] <= query_positions[:, None]


def scaled_dot_product_attention(
    query: Float[Tensor, "*batch q_len d_head"],
    key: Float[Tensor, "*batch k_len d_head"],
    value: Float[Tensor, "*batch k_len d_value"],
    mask: Bool[Tensor, "*#batch #q_len k_len"] | None = None,
) -> tuple[Float[Tensor, "*batch q_len d_value"], Float[Tensor, "*batch q_len k_len"]]:
    r"""Mix the values, weighting each by how well its key matches the query.

    In float16 a score above 65504 is inf. So that half precision survives large scores, compute the scores and their
    softmax in float32 where the inputs are float16 or bfloat16, and cast the results back.

    Math:
        weights = softmax(Q K^T / sqrt(d_head) + M),  M[i, j] = 0 where mask[i, j], else -inf
        output  = weights V

    Args:
        query: What each position looks for.
        key: What each position offers; at least one. Query, key and value share one dtype.
        value: What is passed on where query and key match.
        mask: True = may attend. None = everything is visible. It broadcasts to (*batch, q_len, k_len) as torch always
            does: leading axes may be missing, and any of them, as q_len, may be 1.

    Returns:
        The mixed values and the weights, whose rows sum to 1; both in the dtype of `query`. A hidden key has a weight
        of exactly 0.

    Raises:
        ValueError: `query`, `key` or `value` is not floating point; the message gives its dtype.
        ValueError: The mask hides every key from some query: its softmax has no value.

    Example:
        >>> q = k = torch.zeros(2, 4)  # equal scores: the plain average of the values
        >>> scaled_dot_product_attention(q, k, torch.tensor([[0.0], [2.0]]))[0]
        tensor([[1.],
                [1.]])

    Pitfalls:
        * The softmax runs over keys (the last axis), not over queries.
        * sqrt(d_head), not sqrt(d_model), and not d_head.
        * Hide before the softmax: afterwards the rows would no longer sum to 1.
        * Hide with -inf: next to scores of -100000, a fill of -10000 is the best match of all.
        * 0 * -inf is NaN: choose between score and -inf, don't multiply the mask with -inf.

    Source:
        Vaswani et al. 2017, section 3.2.1, eq. 1. https://arxiv.org/abs/1706.03762

    Not allowed: torch.softmax, torch.nn.functional.softmax, torch.nn.functional.scaled_dot_product_attention,
        torch.nn.MultiheadAttention, torch.nn.functional.multi_head_attention_forward.
    """
    # Weights rounded to whole numbers would all be 0 or 1.
    if not all(given.is_floating_point() for given in (query, key, value)):
        dtypes = ", ".join(str(given.dtype) for given in (query, key, value))
        raise ValueError(f"scaled_dot_product_attention needs floating-point tensors, got {dtypes}")
    d_head = query.shape[-1]
    # (*batch, q_len, d_head) @ (*batch, d_head, k_len) -> (*batch, q_len, k_len)
    scores = _widen(query) @ _widen(key).transpose(-2, -1)
    # A sum of d_head products of unit variance has variance d_head (footnote 4 of the source): back to variance 1.
    scores = scores / math.sqrt(d_head)
    if mask is not None:
        _refuse_blind_queries(mask)
        # -inf and not -1e9: a hidden key must get weight exactly 0, however low the other scores are.
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = softmax(scores, dim=-1)
    # (*batch, q_len, k_len) @ (*batch, k_len, d_value) -> (*batch, q_len, d_value)
    output = weights @ _widen(value)
    # Back to the dtype that the caller works in; a weight of 0 stays exactly 0.
    return output.to(query.dtype), weights.to(query.dtype)


class SelfAttention(nn.Module):
    r"""One attention head: queries, keys and values are three learned projections of the same vectors.

    A projection is a layer of the kind `embedding.Linear`: it makes its own weight, of the documented shape and scale,
    and `q_proj(x)` is x weight^T. It draws from `generator` if you hand that on, and adds a bias unless you say
    bias=False. As an attribute of your module it is a part of it: `self.q_proj` brings the parameter q_proj.weight.

    Math:
        Q = q_proj(x),  K = k_proj(x),  V = v_proj(x)
        output, weights = scaled_dot_product_attention(Q, K, V, mask)

    Args:
        d_model: Size of the vectors that come in.
        d_head: Size of the queries, keys and values, and of the vectors that go out.
        causal: Whether a position sees only itself and those before it. False = all of them.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.

    Parameters:
        q_proj: `Linear` from d_model to d_head without a bias, as `embedding.Linear` starts it: q_proj.weight.
        k_proj: As q_proj, drawn independently.
        v_proj: As q_proj, drawn independently.
        There are no other parameters. The layers may be of another class that starts in the same way.

    Example:
        >>> attention = SelfAttention(d_model=8, d_head=4)
        >>> output, weights = attention(torch.zeros(1, 3, 8))  # equal scores: the average of what is visible
        >>> output.shape, weights.shape
        (torch.Size([1, 3, 4]), torch.Size([1, 3, 3]))
        >>> weights[0, 1].tolist()
        [0.5, 0.5, 0.0]

    Pitfalls:
        * The scores are divided by sqrt(d_head): the queries are that long, whatever d_model is.
        * The mask follows the length of each input; a mask of one fixed length fails on the next text.
        * An extra mask comes on top of the causal one: a key must be visible in both.
        * Layers in a plain list or dict are no part of the module: no optimizer would find their weights.

    Source:
        Vaswani et al. 2017, sections 3.2.1 and 3.2.3. https://arxiv.org/abs/1706.03762

    Not allowed: torch.softmax, torch.nn.functional.softmax, torch.nn.functional.scaled_dot_product_attention,
        torch.nn.MultiheadAttention, torch.nn.functional.multi_head_attention_forward.
    """

    def __init__(
        self, d_model: int, d_head: int, *, causal: bool = True, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.causal = causal
        # Three weights: what a position looks for, offers and passes on need not be the same thing.
        self.q_proj = Linear(d_model, d_head, bias=False, generator=generator)
        self.k_proj = Linear(d_model, d_head, bias=False, generator=generator)
        self.v_proj = Linear(d_model, d_head, bias=False, generator=generator)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> tuple[Float[Tensor, "batch seq d_head"], Float[Tensor, "batch seq seq"]]:
        r"""Let every position gather from those that it may see.

        Args:
            x: One vector for each position.
            mask: True = may attend, besides the causal mask. Broadcasts to (batch, seq, seq): what says of each key
                whether it is text or padding, (batch, seq), comes in as mask[:, None, :].

        Returns:
            The mixed values, and the weights of every query (axis 1) over the keys (axis 2).

        Raises:
            ValueError: Some position sees no position at all.
        """
        # Three views of the same vectors: (batch, seq, d_model) -> (batch, seq, d_head)
        query, key, value = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        # The mask is made anew for the length of this x: (seq, seq) or (batch, seq, seq)
        return scaled_dot_product_attention(query, key, value, _visible(x, self.causal, mask))


class MultiHeadAttention(nn.Module):
    r"""Several attention heads side by side, each in its own d_head = d_model / num_heads features.

    Head h owns the features h * d_head up to (h + 1) * d_head of the projected queries, keys and values. The outputs
    of the heads are put side by side in the same order, and the output projection mixes them.

    Attention by itself does not know the order of what it sees: the mask apart, the same vectors in another order give
    the same mix. With `rope_base` the order comes in here. `apply_rope` turns each query and each key by an angle that
    grows with its position, so a score depends on how far apart the two are, by the same rule in every head. The
    values are not compared with anything: they are the content, which must arrive the same from wherever it stood.

    Math:
        Q, K, V = q_proj(x), k_proj(x), v_proj(x), each cut into num_heads heads
        Q, K = rope(Q), rope(K)  where rope_base is given: position s is turned as position s, counted from 0
        weights[h] = softmax(Q[h] K[h]^T / sqrt(d_head) + M)
        output = out_proj(concat_h(dropout(weights[h]) V[h]))

    Args:
        d_model: Size of the vectors that come in and go out.
        num_heads: How many heads share it.
        causal: Whether a position sees only itself and those before it. False = all of them.
        dropout: Probability with which, in training mode, each weight is set to 0, on its own; those that stay are
            divided by 1 - dropout, and the rows are not normalised again. In eval mode nothing is dropped.
            torch.nn.functional.dropout and torch.nn.Dropout are allowed.
        bias: Whether all four projections have a bias, which starts as zeros, as GPT-2's do. False = none has.
        rope_base: The base for `position.apply_rope`, which then turns the queries and the keys of every head (d_head
            features each, an even number), but not the values. The larger the base, the slower the last pairs of
            features turn; 10000 is usual. None = no rotation: the position must come in with `x`.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.
            (The dropout draws from the global one.)

    Raises:
        ValueError: d_model is not divisible by num_heads (0 divides nothing). Raised by the constructor.

    Parameters:
        q_proj: `Linear` from d_model to d_model, as `embedding.Linear` starts it: q_proj.weight, and q_proj.bias where
            `bias` is True.
        k_proj: As q_proj, drawn independently.
        v_proj: As q_proj, drawn independently.
        out_proj: As q_proj, drawn independently.
        There are no other parameters: nothing of the rotation is learned.

    Example:
        >>> attention = MultiHeadAttention(d_model=12, num_heads=3, rope_base=10000.0)
        >>> output, weights = attention(torch.zeros(2, 5, 12))
        >>> output.shape, weights.shape
        (torch.Size([2, 5, 12]), torch.Size([2, 3, 5, 5]))
        >>> [name for name, _ in attention.named_parameters()]
        ['q_proj.weight', 'k_proj.weight', 'v_proj.weight', 'out_proj.weight']

    Pitfalls:
        * `reshape` reads the numbers in memory order: cut the features into (num_heads, d_head) first, then exchange
          the axes of heads and positions. On the way back, exchange them first.
        * Each head divides by sqrt(d_head), not by sqrt(d_model).
        * torch.nn.functional.dropout drops unless it is told training=False: it cannot know the mode of your module.
        * `Linear` has a bias unless it is told otherwise: hand `bias` and `generator` on to all four.
        * Turn after the cut into heads: in (batch, seq, d_model) the pairs would reach across heads. And turn once the
          positions are the axis before the last: in (batch, seq, num_heads, d_head) a head's number would be taken for
          a position.

    Source:
        Vaswani et al. 2017, section 3.2.2. https://arxiv.org/abs/1706.03762
        Dropout on the weights: Radford et al. 2018 (GPT), section 4.1, model specifications.
        Rotation of queries and keys (RoPE): Su et al. 2021, section 3.4.2. https://arxiv.org/abs/2104.09864

    Not allowed: torch.softmax, torch.nn.functional.softmax, torch.nn.functional.scaled_dot_product_attention,
        torch.nn.MultiheadAttention, torch.nn.functional.multi_head_attention_forward.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        causal: bool = True,
        dropout: float = 0.0,
        bias: bool = False,
        rope_base: float | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _expect_divisible("d_model", d_model, "num_heads", num_heads)
        self.num_heads, self.causal, self.dropout, self.rope_base = num_heads, causal, dropout, rope_base
        # Rows of all heads below one another: num_heads * d_head = d_model of them.
        self.q_proj = Linear(d_model, d_model, bias=bias, generator=generator)
        self.k_proj = Linear(d_model, d_model, bias=bias, generator=generator)
        self.v_proj = Linear(d_model, d_model, bias=bias, generator=generator)
        # Its columns belong to the heads, in the same order.
        self.out_proj = Linear(d_model, d_model, bias=bias, generator=generator)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], Float[Tensor, "batch num_heads seq seq"]]:
        r"""Let every position gather, once in each head, from those that it may see.

        Args:
            x: One vector for each position.
            mask: True = may attend, besides the causal mask. Broadcasts to (batch, num_heads, seq, seq): what says of
                each key whether it is text or padding, (batch, seq), comes in as mask[:, None, None, :].

        Returns:
            The mixed values after the output projection, and the weights of each head as they are before dropout.

        Raises:
            ValueError: Some position sees no position at all.
        """
        # One matrix product projects for all heads at once; the cut into heads comes after it.
        # (batch, seq, d_model) -> (batch, num_heads, seq, d_head)
        query = _split_heads(self.q_proj(x), self.num_heads)
        key = _split_heads(self.k_proj(x), self.num_heads)
        value = _split_heads(self.v_proj(x), self.num_heads)
        # Only what is compared is turned: the score then knows how far apart two positions are, the content stays.
        query, key = _rotate(query, self.rope_base), _rotate(key, self.rope_base)
        # nn.Module.train() and eval() set self.training.
        dropout = self.dropout if self.training else 0.0
        mixed, weights = _attend(query, key, value, _visible(x, self.causal, mask), dropout)
        # (batch, num_heads, seq, d_head) -> (batch, seq, d_model)
        # Up to here the heads know nothing of each other: out_proj lets them combine what they found.
        return self.out_proj(_merge_heads(mixed)), weights


class GroupedQueryAttention(nn.Module):
    r"""Multi-head attention in which several query heads share one head of keys and values.

    While generating, the keys and values of all earlier positions stay in memory. With num_kv_heads heads of them
    in place of num_heads, that memory shrinks by their ratio. num_kv_heads = num_heads is multi-head attention,
    num_kv_heads = 1 is multi-query attention. Query head i reads key and value head i // (num_heads // num_kv_heads):
    with 4 heads on 2, the heads 0 and 1 read head 0, the heads 2 and 3 read head 1. All else is as in
    `MultiHeadAttention`, with d_head = d_model / num_heads.

    Math:
        Q, K, V = q_proj(x), k_proj(x), v_proj(x), cut into num_heads, num_kv_heads and num_kv_heads heads
        Q, K = rope(Q), rope(K)  where rope_base is given
        g = num_heads / num_kv_heads
        weights[i] = softmax(Q[i] K[i // g]^T / sqrt(d_head) + M)
        output = out_proj(concat_i(dropout(weights[i]) V[i // g]))

    Args:
        d_model: Size of the vectors that come in and go out.
        num_heads: How many heads of queries share it.
        num_kv_heads: How many heads of keys and values there are.
        causal: Whether a position sees only itself and those before it. False = all of them.
        dropout: Probability with which, in training mode, each weight is set to 0, on its own; those that stay are
            divided by 1 - dropout, and the rows are not normalised again. In eval mode nothing is dropped.
            torch.nn.functional.dropout and torch.nn.Dropout are allowed.
        bias: Whether all four projections have a bias, which starts as zeros, as GPT-2's do. False = none has.
        rope_base: The base for `position.apply_rope`, which then turns the queries and the keys of every head (d_head
            features each, an even number), but not the values. None = no rotation.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.
            (The dropout draws from the global one.)

    Raises:
        ValueError: d_model is not divisible by num_heads, or num_heads is not divisible by num_kv_heads (0 divides
            nothing). Raised by the constructor.

    Parameters:
        q_proj: `Linear` from d_model to d_model, as `embedding.Linear` starts it: q_proj.weight, and q_proj.bias where
            `bias` is True.
        k_proj: `Linear` from d_model to num_kv_heads * d_head, likewise and drawn independently.
        v_proj: As k_proj, drawn independently.
        out_proj: As q_proj, drawn independently.
        There are no other parameters.

    Example:
        >>> attention = GroupedQueryAttention(d_model=12, num_heads=6, num_kv_heads=2)
        >>> output, weights = attention(torch.zeros(2, 5, 12))
        >>> output.shape, weights.shape, attention.k_proj.weight.shape
        (torch.Size([2, 5, 12]), torch.Size([2, 6, 5, 5]), torch.Size([4, 12]))

    Pitfalls:
        * Neighbouring query heads share a head (0 0 0 1 1 1), not every second one (0 1 0 1 0 1).
        * d_head is d_model / num_heads for keys and values too, not d_model / num_kv_heads.
        * The weights that are returned have num_heads heads.
        * Keys may be turned before or after they are repeated: a turned copy is the copy of what was turned.

    Source:
        Ainslie et al. 2023, section 2.2. https://arxiv.org/abs/2305.13245
        Rotation of queries and keys (RoPE): Su et al. 2021, section 3.4.2. https://arxiv.org/abs/2104.09864

    Not allowed: torch.softmax, torch.nn.functional.softmax, torch.nn.functional.scaled_dot_product_attention,
        torch.nn.MultiheadAttention, torch.nn.functional.multi_head_attention_forward.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_kv_heads: int,
        *,
        causal: bool = True,
        dropout: float = 0.0,
        bias: bool = False,
        rope_base: float | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _expect_divisible("d_model", d_model, "num_heads", num_heads)
        _expect_divisible("num_heads", num_heads, "num_kv_heads", num_kv_heads)
        self.num_heads, self.num_kv_heads, self.causal = num_heads, num_kv_heads, causal
        self.dropout, self.rope_base = dropout, rope_base
        # A head of keys is as long as a head of queries, or their product would not exist.
        d_kv = num_kv_heads * (d_model // num_heads)
        self.q_proj = Linear(d_model, d_model, bias=bias, generator=generator)
        self.k_proj = Linear(d_model, d_kv, bias=bias, generator=generator)
        self.v_proj = Linear(d_model, d_kv, bias=bias, generator=generator)
        # Its columns belong to the heads, in the same order.
        self.out_proj = Linear(d_model, d_model, bias=bias, generator=generator)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], Float[Tensor, "batch num_heads seq seq"]]:
        r"""Let every position gather, once in each head, from those that it may see.

        Args:
            x: One vector for each position.
            mask: True = may attend, besides the causal mask. Broadcasts to (batch, num_heads, seq, seq).

        Returns:
            The mixed values after the output projection, and the weights of each head as they are before dropout.

        Raises:
            ValueError: Some position sees no position at all.
        """
        # So many query heads read one and the same head of keys and values.
        group_size = self.num_heads // self.num_kv_heads
        # (batch, seq, d_model) -> (batch, num_heads, seq, d_head)
        query = _split_heads(self.q_proj(x), self.num_heads)
        # (batch, seq, num_kv_heads * d_head) -> (batch, num_kv_heads, seq, d_head)
        key = _split_heads(self.k_proj(x), self.num_kv_heads)
        value = _split_heads(self.v_proj(x), self.num_kv_heads)
        # Turned before they are repeated: fewer heads to turn, the same result.
        query, key = _rotate(query, self.rope_base), _rotate(key, self.rope_base)
        # (batch, num_kv_heads, seq, d_head) -> (batch, num_heads, seq, d_head), each head repeated next to itself: a
        # group is a run of neighbours (figure 2 of the source).
        key, value = key.repeat_interleave(group_size, dim=1), value.repeat_interleave(group_size, dim=1)
        # nn.Module.train() and eval() set self.training.
        dropout = self.dropout if self.training else 0.0
        mixed, weights = _attend(query, key, value, _visible(x, self.causal, mask), dropout)
        # (batch, num_heads, seq, d_head) -> (batch, seq, d_model)
        return self.out_proj(_merge_heads(mixed)), weights


def sliding_window_mask(
    query_length: int, window: int, key_length: int | None = None, device: torch.device | str | None = None
) -> Bool[Tensor, "query_length key_length"]:
    r"""Say which keys each query may see: its own position and the window - 1 positions before it.

    A position then needs window keys, not the whole text. Layers still pass on what they saw: after n of them, a
    position knows of n * (window - 1) positions before it. The queries are the last `query_length` positions of
    the keys, as in `causal_mask`.

    Math:
        p = i + key_length - query_length
        mask[i, j] = (p - window < j <= p)

    Args:
        query_length: How many queries there are, 0 or more.
        window: How many positions a query sees, itself included; 1 or more. It may exceed the length.
        key_length: How many keys there are. None = as many as queries.
        device: Where the mask is made. None = torch's default.

    Returns:
        A new boolean tensor, True = may attend.

    Raises:
        ValueError: window is less than 1, or there are more queries than keys.

    Example:
        >>> sliding_window_mask(3, window=2)
        tensor([[ True, False, False],
                [ True,  True, False],
                [False,  True,  True]])

    Pitfalls:
        * The position itself counts: window=1 sees itself and nothing else.
        * The window lies before the position, not around it.

    Source:
        Jiang et al. 2023 (Mistral 7B), section 2, "Sliding Window Attention". https://arxiv.org/abs/2310.06825
    """
    if window < 1:
        raise ValueError(f"window must be 1 or more, got {window}: a position always sees itself")
    query_positions, key_positions = _positions(query_length, key_length, device)
    # How many steps each key lies behind each query: (query_length, 1) - (1, key_length), negative = still to come.
    steps_back = query_positions[:, None] - key_positions[None, :]
    # 0 is the position itself, so the last step that still counts is window - 1.
    return (steps_back >= 0) & (steps_back < window)


def _widen(tensor: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    # promote_types gives the coarsest dtype that holds both: no `if` for each dtype is needed.
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _positions(query_length: int, key_length: int | None, device: torch.device | str | None) -> tuple[Tensor, Tensor]:
    """Where queries and keys stand in the text: the queries are the last of the keys."""
    key_length = query_length if key_length is None else key_length
    if query_length > key_length:
        raise ValueError(
            f"query_length must not exceed key_length, got {query_length} and {key_length}: "
            "the queries are the last of the keys"
        )
    key_positions = torch.arange(key_length, device=device)
    # Counted from the front: key_positions[-query_length:] would be all of them where query_length is 0.
    return key_positions[key_length - query_length :], key_positions


def _refuse_blind_queries(mask: Bool[Tensor, "*batch q_len k_len"]) -> None:
    """A softmax over nothing but -inf is NaN, and NaN spreads to every weight at the next step: stop here."""
    # (*batch, q_len, k_len) -> (*batch, q_len): True where no key is left
    blind = ~mask.any(dim=-1)
    if blind.any():
        raise ValueError(
            f"the mask hides every key from the query at {blind.nonzero()[0].tolist()}: "
            "let each query see one key at least, for example itself"
        )


def _visible(x: Float[Tensor, "batch seq d_model"], causal: bool, mask: Bool[Tensor, "..."] | None) -> Tensor:
    """What both the causal mask, made for the length at hand, and the extra mask let through."""
    seq = x.shape[1]
    # On the device of x: a mask on another one could not be combined with the scores.
    visible = causal_mask(seq, device=x.device) if causal else x.new_ones(seq, seq, dtype=torch.bool)
    # (seq, seq) & (..., seq, seq) -> broadcast over batch and heads
    return visible if mask is None else visible & mask


def _expect_divisible(whole_name: str, whole: int, parts_name: str, parts: int) -> None:
    if parts < 1 or whole % parts != 0:
        raise ValueError(f"{whole_name} must be divisible by {parts_name}, got {whole} and {parts}")


def _split_heads(features: Float[Tensor, "batch seq d_features"], num_heads: int) -> Tensor:
    """Cut the features into heads, and move the heads to the batch axes, where @ leaves them apart."""
    # (batch, seq, num_heads * d_head) -> (batch, seq, num_heads, d_head)
    heads = features.unflatten(-1, (num_heads, -1))
    # -> (batch, num_heads, seq, d_head)
    return heads.transpose(1, 2)


def _merge_heads(heads: Float[Tensor, "batch num_heads seq d_head"]) -> Tensor:
    """Undo _split_heads: exchange the axes back first, then put the heads side by side."""
    # -> (batch, seq, num_heads, d_head) -> (batch, seq, num_heads * d_head)
    return heads.transpose(1, 2).flatten(start_dim=-2)


def _rotate(heads: Float[Tensor, "batch num_heads seq d_head"], base: float | None) -> Tensor:
    """Turn every vector by the angle of its position, where a base is given."""
    if base is None:
        return heads
    # Positions count from 0 in each text; they are shared by batch and heads.
    return apply_rope(heads, torch.arange(heads.shape[-2], device=heads.device), base)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
    """Attention with dropout on the weights that mix, not on those that are returned."""
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    if dropout > 0:
        # Mixed once more, with what dropout leaves. It scales by 1 / (1 - dropout), so the mean stays what it was.
        output = torch.nn.functional.dropout(weights, dropout) @ value
    return output, weights
