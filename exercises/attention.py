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
    raise NotImplementedError("attention.softmax is still a stub")


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
    raise NotImplementedError("attention.causal_mask is still a stub")


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
    raise NotImplementedError("attention.scaled_dot_product_attention is still a stub")


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
        raise NotImplementedError("attention.SelfAttention.__init__ is still a stub")

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
        raise NotImplementedError("attention.SelfAttention.forward is still a stub")


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
        raise NotImplementedError("attention.MultiHeadAttention.__init__ is still a stub")

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
        raise NotImplementedError("attention.MultiHeadAttention.forward is still a stub")


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
        raise NotImplementedError("attention.GroupedQueryAttention.__init__ is still a stub")

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
        raise NotImplementedError("attention.GroupedQueryAttention.forward is still a stub")


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
    raise NotImplementedError("attention.sliding_window_mask is still a stub")
