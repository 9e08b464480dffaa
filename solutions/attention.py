r"""Attention: how each position of a text gathers information from the positions before it.

A language model holds one vector per position. Every other layer looks at one position at a time; attention is the
only layer in which positions exchange information. Each position asks a question (its query). Every position also
carries a label (its key) and some content (its value). The better a label answers the question, the more of that
content the asking position receives.

The exercises build on one another:

1. `softmax` turns scores into probabilities that sum to 1.
2. `causal_mask` says which positions may see which: never a later one, or the model could copy the answer.
3. `scaled_dot_product_attention` computes scores from queries and keys, applies the mask and the softmax, and mixes
   the values.
4. `SelfAttention` computes queries, keys and values from the text itself, with learned weights.
5. `MultiHeadAttention` runs several attention heads side by side, so that one position can ask several questions.
6. `GroupedQueryAttention` lets several query heads share keys and values, which saves memory during generation.
7. `sliding_window_mask` limits how far back a position looks, which bounds the cost per position in a long text.

This unit uses two earlier units. The learned weights are in `embedding.Linear` layers, which hold a weight of shape
(out, in) and, optionally, a bias. `position.apply_rope` rotates queries and keys by their positions when asked to.

In every mask of this unit, True means "may attend".
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .embedding import Linear
from .position import apply_rope


def softmax(scores: Float[Tensor, "*shape"], dim: int) -> Float[Tensor, "*shape"]:
    r"""Turn scores into probabilities that sum to 1 along one axis.

    Scores can be any numbers; to mix things in proportion to their scores you need positive numbers that sum to 1.
    Picture a cake: every score gets a slice, and a score that is higher by 1 gets a slice e = 2.718 times as large.
    The result must be right for scores of any size, although exp(1000) is inf and inf / inf is NaN.

    Math:
        softmax(s)[i] = exp(s[i]) / sum_j exp(s[j])

        On paper: exp(0) = 1 and exp(log 3) = 3, so the scores [0, log 3] become [1 / 4, 3 / 4].

    Args:
        scores: Floating-point scores with any number of axes. -inf is allowed: its probability is exactly 0.
        dim: The axis along which the probabilities sum to 1; a negative number counts from the end. This axis holds
            at least one score; other axes may be empty.

    Returns:
        The probabilities, as a new tensor with the shape and dtype of `scores`. Compute float16 and bfloat16 in
        float32 and cast back. Where all scores along `dim` are -inf, the result is NaN; avoiding this is up to the
        caller.

    Raises:
        ValueError: `scores` is not floating point. The message gives its dtype.

    Example:
        >>> softmax(torch.tensor([[0.0, 0.0], [1000.0, -1000.0]]), dim=-1)
        tensor([[0.5000, 0.5000],
                [1.0000, 0.0000]])

    Pitfalls:
        * exp overflows for large scores. Which equivalent formula has no large exponent?
        * Each row along `dim` is on its own: a row of very low scores must not become 0 / 0 because of other rows.
        * `dim` may be any axis, not only the last. keepdim=True lets the result of a reduction broadcast.
        * `scores -= ...` would change the caller's tensor.

    Source:
        Milakov and Gimelshein 2018, section 2, algorithm 2 ("safe softmax"). https://arxiv.org/abs/1805.02867

    Not allowed: torch.softmax, torch.nn.functional.softmax, torch.special.softmax, torch.nn.Softmax,
        torch.log_softmax, torch.nn.functional.log_softmax, torch.special.log_softmax, torch.nn.LogSoftmax,
        torch.nn.functional.softmin, torch.nn.Softmin, torch.logsumexp, torch.special.logsumexp.
    """
    # The result has the dtype of the scores, and integers cannot hold probabilities between 0 and 1.
    if not scores.is_floating_point():
        raise ValueError(f"softmax needs floating-point scores, got {scores.dtype}")
    # The sum of a long row can exceed the largest float16, and it loses digits in bfloat16.
    wide = _widen(scores)
    # amax with keepdim=True gives one maximum per row and keeps an axis of size 1, which broadcasts.
    # Now the largest exponent is 0: exp cannot overflow, and the sum is at least 1 (section 2 of the source).
    shifted = wide - wide.amax(dim=dim, keepdim=True)
    shares = torch.exp(shifted)
    # keepdim=True: the sums keep the axis `dim` with size 1, so the division broadcasts along it.
    return (shares / shares.sum(dim=dim, keepdim=True)).to(scores.dtype)


def causal_mask(
    query_length: int, key_length: int | None = None, device: torch.device | str | None = None
) -> Bool[Tensor, "query_length key_length"]:
    r"""Make the mask that lets each query see its own position and those before it.

    A language model learns to predict the next token. If a position could see later ones, it would simply copy the
    answer. In training, every position is both a query and a key, and the mask is a triangle. During generation, the
    keys of earlier positions are kept, so there are more keys than queries: the queries are then the last
    `query_length` positions of the keys.

    Math:
        mask[i, j] = (j <= i + key_length - query_length)

    Args:
        query_length: Number of queries, 0 or more.
        key_length: Number of keys. None = as many as queries.
        device: Device of the mask. None = torch's default.

    Returns:
        A new boolean tensor, True = may attend. All of its last row is True.

    Raises:
        ValueError: There are more queries than keys.

    Example:
        >>> causal_mask(2, 4)  # two new positions after two old ones
        tensor([[ True,  True,  True, False],
                [ True,  True,  True,  True]])

    Pitfalls:
        * Every position sees itself: with equal lengths, the diagonal is True.
        * With fewer queries than keys, the triangle is aligned with the bottom right corner, not the top left.

    Source:
        Vaswani et al. 2017, section 3.2.3, third point. https://arxiv.org/abs/1706.03762
    """
    query_positions, key_positions = _positions(query_length, key_length, device)
    # <= and not <: a position sees itself, so even the first one can attend to something.
    # (query_length, 1) against (1, key_length) -> (query_length, key_length)
    return key_positions[None, :] <= query_positions[:, None]


def scaled_dot_product_attention(
    query: Float[Tensor, "*batch q_len d_head"],
    key: Float[Tensor, "*batch k_len d_head"],
    value: Float[Tensor, "*batch k_len d_value"],
    mask: Bool[Tensor, "*#batch #q_len k_len"] | None = None,
) -> tuple[Float[Tensor, "*batch q_len d_value"], Float[Tensor, "*batch q_len k_len"]]:
    r"""Mix the values, weighting each by how well its key matches the query.

    Think of a dictionary with a soft lookup: instead of returning the one value whose key matches, it returns an
    average of all values, in which the best matches weigh most. A dot product measures the match, and the softmax
    turns the matches of one query into weights.

    Math:
        weights = softmax(Q K^T / sqrt(d_head) + M),  M[i, j] = 0 where mask[i, j], else -inf
        output  = weights V

    Args:
        query: Query vectors: what each position looks for.
        key: Key vectors, at least one: what each position offers. Query, key and value share one dtype.
        value: Value vectors: the content to mix.
        mask: True = may attend. None = every key is visible. It broadcasts to (*batch, q_len, k_len) by torch's rules:
            leading axes may be missing, and any of them may have size 1, and so may q_len.

    Returns:
        The mixed values and the weights, whose rows sum to 1, both in the dtype of `query`. A hidden key has a weight
        of exactly 0. For float16 and bfloat16, compute the scores, the softmax and the mix in float32 and cast the
        results back: in float16 a score above 65504 is inf.

    Raises:
        ValueError: `query`, `key` or `value` is not floating point. The message gives its dtype.
        ValueError: The mask hides every key from some query, so the softmax of that query is undefined.

    Example:
        >>> q = k = torch.zeros(2, 4)  # equal scores: the plain average of the values
        >>> scaled_dot_product_attention(q, k, torch.tensor([[0.0], [2.0]]))[0]
        tensor([[1.],
                [1.]])

    Pitfalls:
        * The softmax runs over the keys (the last axis), not over the queries.
        * Divide by sqrt(d_head), not by sqrt(d_model) or d_head.
        * Apply the mask before the softmax: if you apply it afterwards, the rows no longer sum to 1.
        * Hide with -inf: if the visible scores are -100000, a hidden score of -10000 is the best match of all.
        * 0 * -inf is NaN: choose between the score and -inf, don't multiply the mask by -inf.

    Source:
        Vaswani et al. 2017, section 3.2.1, eq. 1. https://arxiv.org/abs/1706.03762

    Not allowed: torch.softmax, torch.nn.functional.softmax, torch.nn.functional.scaled_dot_product_attention,
        torch.nn.MultiheadAttention, torch.nn.functional.multi_head_attention_forward.
    """
    # The weights come back in the dtype of the query: as integers they would all be 0 or 1.
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
    # Back to the caller's dtype. A weight of 0 stays exactly 0.
    return output.to(query.dtype), weights.to(query.dtype)


class SelfAttention(nn.Module):
    r"""Attend with one head, whose queries, keys and values are learned projections of the same vectors.

    What a position looks for, what it offers and what it passes on are three different things. So each vector goes
    through three learned matrices, like three lenses that show different sides of the same object.

    Each projection is an `embedding.Linear` layer. It creates its own weight with the documented shape and scale, and
    `q_proj(x)` is x weight^T. It draws its weight from `generator` if you pass that on, and adds a bias unless you
    pass bias=False. Store it as an attribute of your module: `self.q_proj` registers the parameter q_proj.weight.

    Math:
        Q = q_proj(x),  K = k_proj(x),  V = v_proj(x)
        output, weights = scaled_dot_product_attention(Q, K, V, mask)

    Args:
        d_model: Size of the input vectors.
        d_head: Size of the queries, keys and values, and of the output vectors.
        causal: Whether a position sees only itself and earlier positions. False = it sees all positions.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one.

    Parameters:
        q_proj: `Linear` from d_model to d_head without a bias, with the initial weights of `embedding.Linear`:
            q_proj.weight.
        k_proj: Like q_proj, drawn independently.
        v_proj: Like q_proj, drawn independently.
        There are no other parameters. The layers may be of another class with the same initial weights.

    Example:
        >>> attention = SelfAttention(d_model=8, d_head=4)
        >>> output, weights = attention(torch.zeros(1, 3, 8))  # equal scores: the average of the visible values
        >>> output.shape, weights.shape
        (torch.Size([1, 3, 4]), torch.Size([1, 3, 3]))
        >>> weights[0, 1].tolist()
        [0.5, 0.5, 0.0]

    Pitfalls:
        * The scores are divided by sqrt(d_head), the root of the size of a query, whatever d_model is.
        * Make the mask for the length of each input: a mask of one fixed length fails on the next text.
        * An extra mask adds to the causal mask: a key must be visible in both.
        * Layers in a plain list or dict are not registered in the module: no optimizer would find their weights.

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
        # Three weights: what a position looks for, offers and passes on are different things.
        self.q_proj = Linear(d_model, d_head, bias=False, generator=generator)
        self.k_proj = Linear(d_model, d_head, bias=False, generator=generator)
        self.v_proj = Linear(d_model, d_head, bias=False, generator=generator)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> tuple[Float[Tensor, "batch seq d_head"], Float[Tensor, "batch seq seq"]]:
        r"""Let every position gather from the positions that it may see.

        Args:
            x: One vector per position.
            mask: An extra mask on top of the causal one, True = may attend. It broadcasts to (batch, seq, seq). Pass a
                padding mask of shape (batch, seq) as mask[:, None, :].

        Returns:
            The mixed values, and the weights of every query (axis 1) over the keys (axis 2).

        Raises:
            ValueError: Some position cannot see any position.
        """
        # Three projections of the same vectors: (batch, seq, d_model) -> (batch, seq, d_head)
        query, key, value = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        # A new mask for the length of this x: (seq, seq) or (batch, seq, seq)
        return scaled_dot_product_attention(query, key, value, _visible(x, self.causal, mask))


class MultiHeadAttention(nn.Module):
    r"""Attend with several heads side by side, each on its own d_head = d_model / num_heads features.

    One head takes one average per position, so it can ask one question. With several heads, one can look for the verb
    while another looks for the last name mentioned. Head h owns the features from h * d_head up to, but not including,
    (h + 1) * d_head of the projected queries, keys and values. The outputs of the heads are concatenated in the same
    order, and the output projection mixes them.

    Apart from the mask, attention ignores order: shuffle the keys and values, and the mix stays the same. With
    `rope_base`, `apply_rope` rotates each query and each key by an angle that grows with its position, so a score
    depends on the distance between the two, by the same rule in every head. The values are not rotated: they are
    content, which should arrive unchanged from any position.

    Math:
        Q, K, V = q_proj(x), k_proj(x), v_proj(x), each cut into num_heads heads
        Q, K = rope(Q), rope(K)  if rope_base is given; positions count from 0
        weights[h] = softmax(Q[h] K[h]^T / sqrt(d_head) + M)
        output = out_proj(concat_h(dropout(weights[h]) V[h]))

    Args:
        d_model: Size of the input and output vectors.
        num_heads: Number of heads that share the d_model features.
        causal: Whether a position sees only itself and earlier positions. False = it sees all positions.
        dropout: Probability of setting each attention weight to 0 in training mode, independently of the others. The
            remaining weights are divided by 1 - dropout; the rows are not normalised again. In eval mode nothing is
            dropped. torch.nn.functional.dropout and torch.nn.Dropout are allowed.
        bias: Whether all four projections have a bias, with zeros as initial values, as in GPT-2. False = no biases.
        rope_base: The base for `position.apply_rope`, which then rotates the queries and keys of every head (d_head
            features each, an even number), but not the values. The larger the base, the slower the last pairs of
            features rotate; 10000 is usual. None = no rotation: `x` must already contain the positions.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one. (Dropout draws from the global one.)

    Raises:
        ValueError: d_model is not divisible by num_heads, or num_heads is 0. Raised by the constructor.

    Parameters:
        q_proj: `Linear` from d_model to d_model, with the initial weights of `embedding.Linear`: q_proj.weight, and
            q_proj.bias if `bias` is True.
        k_proj: Like q_proj, drawn independently.
        v_proj: Like q_proj, drawn independently.
        out_proj: Like q_proj, drawn independently.
        There are no other parameters: the rotation has none.

    Example:
        >>> attention = MultiHeadAttention(d_model=12, num_heads=3, rope_base=10000.0)
        >>> output, weights = attention(torch.zeros(2, 5, 12))
        >>> output.shape, weights.shape
        (torch.Size([2, 5, 12]), torch.Size([2, 3, 5, 5]))
        >>> [name for name, _ in attention.named_parameters()]
        ['q_proj.weight', 'k_proj.weight', 'v_proj.weight', 'out_proj.weight']

    Pitfalls:
        * `reshape` reads the numbers row by row: split the features into (num_heads, d_head) first, then swap the
          head and position axes. On the way back, swap the axes first.
        * Each head divides by sqrt(d_head), not by sqrt(d_model).
        * torch.nn.functional.dropout drops unless you pass training=False: it cannot know the mode of your module.
        * `Linear` has a bias by default: pass `bias` and `generator` on to all four projections.
        * Rotate after the split into heads: in (batch, seq, d_model), pairs would reach across heads. And rotate once
          positions are the second-to-last axis: in (batch, seq, num_heads, d_head), the index of the head would be
          taken for a position.

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
        # The rows of all heads are stacked: num_heads * d_head = d_model rows.
        self.q_proj = Linear(d_model, d_model, bias=bias, generator=generator)
        self.k_proj = Linear(d_model, d_model, bias=bias, generator=generator)
        self.v_proj = Linear(d_model, d_model, bias=bias, generator=generator)
        # The columns of out_proj belong to the heads, in the same order.
        self.out_proj = Linear(d_model, d_model, bias=bias, generator=generator)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], Float[Tensor, "batch num_heads seq seq"]]:
        r"""Let every position gather, once per head, from the positions that it may see.

        Args:
            x: One vector per position.
            mask: An extra mask on top of the causal one, True = may attend. It broadcasts to (batch, num_heads, seq,
                seq). Pass a padding mask of shape (batch, seq) as mask[:, None, None, :].

        Returns:
            The mixed values after the output projection, and the weights of each head before dropout.

        Raises:
            ValueError: Some position cannot see any position.
        """
        # One matrix product projects for all heads at once; the split into heads comes after it.
        # (batch, seq, d_model) -> (batch, num_heads, seq, d_head)
        query = _split_heads(self.q_proj(x), self.num_heads)
        key = _split_heads(self.k_proj(x), self.num_heads)
        value = _split_heads(self.v_proj(x), self.num_heads)
        # Rotate only queries and keys, which are compared: a score then depends on distance, and the content stays.
        query, key = _rotate(query, self.rope_base), _rotate(key, self.rope_base)
        # nn.Module.train() and eval() set self.training.
        dropout = self.dropout if self.training else 0.0
        mixed, weights = _attend(query, key, value, _visible(x, self.causal, mask), dropout)
        # (batch, num_heads, seq, d_head) -> (batch, seq, d_model)
        # Until here the heads are independent: out_proj combines what they found.
        return self.out_proj(_merge_heads(mixed)), weights


class GroupedQueryAttention(nn.Module):
    r"""Attend with several query heads that share each head of keys and values.

    During generation, the keys and values of all earlier positions stay in memory. With num_kv_heads heads of them
    instead of num_heads, they need num_kv_heads / num_heads of that memory. Picture a classroom in which neighbours
    share a textbook (keys and values) but each asks their own questions (queries). num_kv_heads = num_heads is
    multi-head attention; num_kv_heads = 1 is multi-query attention.

    Query head i reads key and value head i // (num_heads // num_kv_heads): with 4 query heads and 2 key heads, query
    heads 0 and 1 read head 0, and query heads 2 and 3 read head 1. Everything else is as in `MultiHeadAttention`,
    with d_head = d_model / num_heads.

    Math:
        Q, K, V = q_proj(x), k_proj(x), v_proj(x), cut into num_heads, num_kv_heads and num_kv_heads heads
        Q, K = rope(Q), rope(K)  if rope_base is given
        g = num_heads / num_kv_heads
        weights[i] = softmax(Q[i] K[i // g]^T / sqrt(d_head) + M)
        output = out_proj(concat_i(dropout(weights[i]) V[i // g]))

    Args:
        d_model: Size of the input and output vectors.
        num_heads: Number of query heads that share the d_model features.
        num_kv_heads: Number of heads of keys and values.
        causal: Whether a position sees only itself and earlier positions. False = it sees all positions.
        dropout: Probability of setting each attention weight to 0 in training mode, independently of the others. The
            remaining weights are divided by 1 - dropout; the rows are not normalised again. In eval mode nothing is
            dropped. torch.nn.functional.dropout and torch.nn.Dropout are allowed.
        bias: Whether all four projections have a bias, with zeros as initial values, as in GPT-2. False = no biases.
        rope_base: The base for `position.apply_rope`, which then rotates the queries and keys of every head (d_head
            features each, an even number), but not the values. None = no rotation.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one. (Dropout draws from the global one.)

    Raises:
        ValueError: d_model is not divisible by num_heads, num_heads is not divisible by num_kv_heads, or one of the
            two numbers of heads is 0. Raised by the constructor.

    Parameters:
        q_proj: `Linear` from d_model to d_model, with the initial weights of `embedding.Linear`: q_proj.weight, and
            q_proj.bias if `bias` is True.
        k_proj: `Linear` from d_model to num_kv_heads * d_head, otherwise like q_proj, drawn independently.
        v_proj: Like k_proj, drawn independently.
        out_proj: Like q_proj, drawn independently.
        There are no other parameters.

    Example:
        >>> attention = GroupedQueryAttention(d_model=12, num_heads=6, num_kv_heads=2)
        >>> output, weights = attention(torch.zeros(2, 5, 12))
        >>> output.shape, weights.shape, attention.k_proj.weight.shape
        (torch.Size([2, 5, 12]), torch.Size([2, 6, 5, 5]), torch.Size([4, 12]))

    Pitfalls:
        * Neighbouring query heads share a key head (0 0 0 1 1 1); they do not alternate (0 1 0 1 0 1).
        * d_head is d_model / num_heads for keys and values too, not d_model / num_kv_heads.
        * The returned weights have num_heads heads.
        * You may rotate the keys before or after repeating them: the result is the same.

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
        # A key head has the size of a query head, or their dot product would not exist.
        d_kv = num_kv_heads * (d_model // num_heads)
        self.q_proj = Linear(d_model, d_model, bias=bias, generator=generator)
        self.k_proj = Linear(d_model, d_kv, bias=bias, generator=generator)
        self.v_proj = Linear(d_model, d_kv, bias=bias, generator=generator)
        # The columns of out_proj belong to the heads, in the same order.
        self.out_proj = Linear(d_model, d_model, bias=bias, generator=generator)

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> tuple[Float[Tensor, "batch seq d_model"], Float[Tensor, "batch num_heads seq seq"]]:
        r"""Let every position gather, once per head, from the positions that it may see.

        Args:
            x: One vector per position.
            mask: An extra mask on top of the causal one, True = may attend. It broadcasts to (batch, num_heads, seq,
                seq).

        Returns:
            The mixed values after the output projection, and the weights of each head before dropout.

        Raises:
            ValueError: Some position cannot see any position.
        """
        # The number of query heads that read the same head of keys and values.
        group_size = self.num_heads // self.num_kv_heads
        # (batch, seq, d_model) -> (batch, num_heads, seq, d_head)
        query = _split_heads(self.q_proj(x), self.num_heads)
        # (batch, seq, num_kv_heads * d_head) -> (batch, num_kv_heads, seq, d_head)
        key = _split_heads(self.k_proj(x), self.num_kv_heads)
        value = _split_heads(self.v_proj(x), self.num_kv_heads)
        # Rotate the keys before repeating them: fewer heads to rotate, same result.
        query, key = _rotate(query, self.rope_base), _rotate(key, self.rope_base)
        # (batch, num_kv_heads, seq, d_head) -> (batch, num_heads, seq, d_head), with the copies of a head side by
        # side: a group is a run of neighbouring query heads (figure 2 of the source).
        key, value = key.repeat_interleave(group_size, dim=1), value.repeat_interleave(group_size, dim=1)
        # nn.Module.train() and eval() set self.training.
        dropout = self.dropout if self.training else 0.0
        mixed, weights = _attend(query, key, value, _visible(x, self.causal, mask), dropout)
        # (batch, num_heads, seq, d_head) -> (batch, seq, d_model)
        return self.out_proj(_merge_heads(mixed)), weights


def sliding_window_mask(
    query_length: int, window: int, key_length: int | None = None, device: torch.device | str | None = None
) -> Bool[Tensor, "query_length key_length"]:
    r"""Make the mask that lets each query see its own position and the window - 1 positions before it.

    Each position then attends to at most `window` keys instead of the whole text. Information still travels further,
    like a bucket passed along a chain of people: after n layers, a position can be influenced by the
    n * (window - 1) positions before it. The queries are the last `query_length` positions of the keys, as in
    `causal_mask`.

    Math:
        p = i + key_length - query_length
        mask[i, j] = (p - window < j <= p)

    Args:
        query_length: Number of queries, 0 or more.
        window: Number of positions that a query sees, including its own; 1 or more. It may exceed the length.
        key_length: Number of keys. None = as many as queries.
        device: Device of the mask. None = torch's default.

    Returns:
        A new boolean tensor, True = may attend.

    Raises:
        ValueError: `window` is less than 1, or there are more queries than keys.

    Example:
        >>> sliding_window_mask(3, window=2)
        tensor([[ True, False, False],
                [ True,  True, False],
                [False,  True,  True]])

    Pitfalls:
        * The position itself counts: with window=1 it sees only itself.
        * The window ends at the position; it does not surround it.

    Source:
        Jiang et al. 2023 (Mistral 7B), section 2, "Sliding Window Attention". https://arxiv.org/abs/2310.06825
    """
    if window < 1:
        raise ValueError(f"window must be 1 or more, got {window}: a position always sees itself")
    query_positions, key_positions = _positions(query_length, key_length, device)
    # Steps from each query back to each key: (query_length, 1) - (1, key_length); negative = a later key.
    steps_back = query_positions[:, None] - key_positions[None, :]
    # 0 steps is the position itself, so the window ends window - 1 steps back.
    return (steps_back >= 0) & (steps_back < window)


def _widen(tensor: Tensor) -> Tensor:
    """Convert half precision to float32; leave float32 and float64 as they are."""
    # promote_types gives the smallest dtype that holds both, so no `if` per dtype is needed.
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _positions(query_length: int, key_length: int | None, device: torch.device | str | None) -> tuple[Tensor, Tensor]:
    """Return the positions of queries and keys in the text: the queries are the last of the keys."""
    key_length = query_length if key_length is None else key_length
    if query_length > key_length:
        raise ValueError(
            f"query_length must not exceed key_length, got {query_length} and {key_length}: "
            "the queries are the last of the keys"
        )
    key_positions = torch.arange(key_length, device=device)
    # Count from the front: key_positions[-query_length:] would be all positions if query_length is 0.
    return key_positions[key_length - query_length :], key_positions


def _refuse_blind_queries(mask: Bool[Tensor, "*batch q_len k_len"]) -> None:
    """Raise if a query sees no key: its softmax would be NaN, and NaN spreads to every weight in the next step."""
    # (*batch, q_len, k_len) -> (*batch, q_len): True where no key is visible
    blind = ~mask.any(dim=-1)
    if blind.any():
        raise ValueError(
            f"the mask hides every key from the query at {blind.nonzero()[0].tolist()}: "
            "let each query see one key at least, for example itself"
        )


def _visible(x: Float[Tensor, "batch seq d_model"], causal: bool, mask: Bool[Tensor, "..."] | None) -> Tensor:
    """Combine the causal mask, made for the length of x, with the extra mask: a key must be visible in both."""
    seq = x.shape[1]
    # On the device of x: a mask on another device could not be combined with the scores.
    visible = causal_mask(seq, device=x.device) if causal else x.new_ones(seq, seq, dtype=torch.bool)
    # (seq, seq) & (..., seq, seq) broadcasts over batch and heads.
    return visible if mask is None else visible & mask


def _expect_divisible(whole_name: str, whole: int, parts_name: str, parts: int) -> None:
    if parts < 1 or whole % parts != 0:
        raise ValueError(f"{whole_name} must be divisible by {parts_name}, got {whole} and {parts}")


def _split_heads(features: Float[Tensor, "batch seq d_features"], num_heads: int) -> Tensor:
    """Split the features into heads and move the head axis next to batch, where @ keeps heads apart."""
    # (batch, seq, num_heads * d_head) -> (batch, seq, num_heads, d_head)
    heads = features.unflatten(-1, (num_heads, -1))
    # -> (batch, num_heads, seq, d_head)
    return heads.transpose(1, 2)


def _merge_heads(heads: Float[Tensor, "batch num_heads seq d_head"]) -> Tensor:
    """Undo _split_heads: swap the axes back first, then concatenate the heads."""
    # -> (batch, seq, num_heads, d_head) -> (batch, seq, num_heads * d_head)
    return heads.transpose(1, 2).flatten(start_dim=-2)


def _rotate(heads: Float[Tensor, "batch num_heads seq d_head"], base: float | None) -> Tensor:
    """Rotate every vector by the angle of its position, if a base is given."""
    if base is None:
        return heads
    # Positions count from 0 in each text; all texts and heads share them.
    return apply_rope(heads, torch.arange(heads.shape[-2], device=heads.device), base)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
    """Attend, with dropout on the weights that mix the values, not on the returned weights."""
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    if dropout > 0:
        # Mix again with the weights after dropout, which scales by 1 / (1 - dropout) so that the mean stays the same.
        output = torch.nn.functional.dropout(weights, dropout) @ value
    return output, weights
