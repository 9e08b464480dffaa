r"""Position: tell the model where in the text each token is.

Attention compares vectors and mixes them; nothing in it knows which token came first. Shuffle the words of a sentence,
and without a mask every word would still gather the same from the others: "dog bites man" and "man bites dog" would
look the same. So the numbers themselves must encode the position. This unit covers the methods that models have used,
from the oldest to those of today:

1. `sinusoidal_encoding` (the first transformer): a fixed table with one row per position, which is added to the token
   vectors. Its columns are like the hands of clocks, each slower than the one before.
2. `LearnedPositionalEmbedding` (GPT-2): a table of the same shape, but learned, and with a maximum length.
3. `rope_frequencies`: how fast each clock of RoPE runs. The next exercise uses it.
4. `apply_rope` (Llama and most models since): nothing is added. Instead, queries and keys are rotated by an angle that
   grows with their position, so that position enters a score only as the distance between query and key.
5. `alibi_bias` (BLOOM, MPT): the vectors stay unchanged, and each score is lowered a little for every step of distance.

Exercises 1, 2 and 5 are independent; 4 calls 3. Positions are integers and start at 0.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def sinusoidal_encoding(length: int, d_model: int, base: float = 10000.0) -> Float[Tensor, "length d_model"]:
    r"""Make a table that encodes each position with sines and cosines of different frequencies.

    Picture a row of clocks, each slower than the one before: together, their hands tell the position. The fastest clock
    turns by 1 radian per position, so neighbours differ. The slowest has hardly moved after thousands of positions, so
    distant positions differ too. Moving k positions forward turns each clock by the same angle wherever you start,
    which makes "k steps back" easy to learn.

    Clock i owns the columns 2i (its sine) and 2i + 1 (its cosine). If d_model is odd, the last clock has only a sine.

    Math:
        PE[p, 2i]     = sin(p / base^(2i / d_model))
        PE[p, 2i + 1] = cos(p / base^(2i / d_model)),  p = 0 .. length - 1

    Args:
        length: Number of positions, 0 or more. The first is position 0.
        d_model: Size of the rows and of the vectors that they are added to, 1 or more, even or odd. The exponent uses
            d_model itself, even if it is odd.
        base: Base of the frequencies: wavelengths go from 2 pi to nearly 2 pi * base.

    Returns:
        A new tensor in each call, with one row per position, in torch's default dtype, which is float32 unless somebody
        changed it. It is not learned: requires_grad is False.

    Example:
        >>> sinusoidal_encoding(3, 5, base=100.0)
        tensor([[ 0.0000,  1.0000,  0.0000,  1.0000,  0.0000],
                [ 0.8415,  0.5403,  0.1578,  0.9875,  0.0251],
                [ 0.9093, -0.4161,  0.3117,  0.9502,  0.0502]])

    Pitfalls:
        * Sines and cosines alternate. Putting all sines first and all cosines after them gives a different table.
        * A sine and the cosine next to it share one angle: both have 2i in the exponent.
        * torch.arange(0, d_model, 2) counts 0, 2, 4: these already are the 2i of the formula.
        * An odd d_model has one more sine than cosines.

    Source:
        Vaswani et al. 2017, section 3.5. https://arxiv.org/abs/1706.03762
    """
    # float64 until the end: in float32, an angle of 10000 radians has only three digits after the decimal point.
    positions = torch.arange(length, dtype=torch.float64)
    # 2i for each clock: 0, 2, 4, ... below d_model, which are (d_model + 1) // 2 numbers.
    exponents = torch.arange(0, d_model, 2, dtype=torch.float64) / d_model
    # Division by base^(2i / d_model), as in the formula, written as a product.
    # (length, 1) * (clocks,) -> (length, clocks)
    angles = positions[:, None] * base**-exponents
    encoding = torch.empty(length, d_model)  # float32, like the token vectors
    encoding[:, 0::2] = angles.sin()
    # As many cosines as there are odd columns: one fewer than clocks if d_model is odd.
    encoding[:, 1::2] = angles[:, : d_model // 2].cos()
    return encoding


class LearnedPositionalEmbedding(nn.Module):
    r"""Add a learned vector to the vector of each token, one for each position.

    Like numbered seats in a theatre, each position has its own row in a table, and the model learns what to write
    there. There are rows for positions 0 .. max_length - 1 only, so a text that goes past the end is refused. During
    generation, a model may be given only the new tokens; `offset` says how many positions came before them.

    Math:
        y[b, s] = x[b, s] + weight[offset + s]

    Args:
        max_length: Number of positions.
        d_model: Size of the vectors.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one.

    Returns:
        From `forward`: a new tensor with the shape and dtype of `x`, even if `weight` has another dtype. `x` itself is
        unchanged. Every sequence of the batch gets the same rows.

    Raises:
        ValueError: offset + seq exceeds max_length, or offset is negative. Raised by `forward`; the message gives
            max_length in the first case and the offset in the second. A text that ends exactly at max_length is fine.

    Parameters:
        weight: The table, of shape (max_length, d_model). Its initial values are normal with mean 0 and standard
            deviation 0.02. `state_dict` holds this name and no other.

    Example:
        >>> embedding = LearnedPositionalEmbedding(max_length=4, d_model=2)
        >>> embedding.weight.data = torch.tensor([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0], [30.0, 31.0]])
        >>> embedding(torch.zeros(1, 2, 2), offset=1).detach()
        tensor([[[10., 11.],
                 [20., 21.]]])

    Pitfalls:
        * The rows belong to the position axis (axis 1), not to the batch (axis 0).
        * A slice that goes past the end is shorter, without an error: check the numbers yourself.
        * A negative start of a slice counts from the end, also without an error.
        * torch.randn has standard deviation 1, fifty times too large next to the token vectors.

    Source:
        Gehring et al. 2017, section 3.1. https://arxiv.org/abs/1705.03122
        As in GPT-2: Radford et al. 2018 (GPT), section 4.1, for learned positions and 0.02.

    Not allowed: torch.nn.Embedding, torch.nn.functional.embedding, torch.embedding, torch.nn.EmbeddingBag,
        torch.nn.functional.embedding_bag, torch.embedding_bag.
    """

    def __init__(self, max_length: int, d_model: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        # Small initial values: the position should colour the token vector, not drown it.
        self.weight = nn.Parameter(0.02 * torch.randn(max_length, d_model, generator=generator))

    def forward(self, x: Float[Tensor, "batch seq d_model"], offset: int = 0) -> Float[Tensor, "batch seq d_model"]:
        """Add the rows of positions offset .. offset + seq - 1.

        Args:
            x: Token vectors.
            offset: The position of the first token, 0 or more.

        Returns:
            The sum, in the dtype of `x`.
        """
        max_length, end = self.weight.shape[0], offset + x.shape[1]
        # Slicing clips at the end and counts negative numbers from the end: refuse both explicitly.
        if offset < 0:
            raise ValueError(f"offset is the position of the first token, 0 or more, got {offset}")
        if end > max_length:
            raise ValueError(f"positions {offset} to {end - 1} were asked for, but max_length is {max_length}")
        # (batch, seq, d_model) + (seq, d_model): the same rows for every sequence of the batch.
        # Half precision plus float32 gives float32, hence the cast.
        return (x + self.weight[offset:end]).to(x.dtype)


def rope_frequencies(
    d_head: int, base: float = 10000.0, *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, " half"]:
    r"""Compute by how many radians each pair of features rotates per position.

    RoPE treats the d_head features of a query or key as d_head / 2 points in a plane, and rotates each point by an
    angle that grows with the position. The first pair is the fastest, with 1 radian per position; each pair is slower
    than the one before by the same factor. These are the clocks of `sinusoidal_encoding`, with d_head in place of
    d_model.

    Math:
        frequency[i] = base^(-2i / d_head),  i = 0 .. d_head / 2 - 1

    Args:
        d_head: Number of features of one head, which is even.
        base: Base of the frequencies: the larger, the slower the last pairs. Models for long texts use a larger base
            (Llama 3: 500000).
        dtype: The dtype of the result: float32, or float64 for a model that runs in float64. Numbers computed in
            float32 and then converted are accepted in both cases.

    Returns:
        A new tensor of that dtype in each call, with d_head / 2 numbers, from 1 downwards.

    Raises:
        ValueError: d_head is odd, so one feature has no partner. The message gives d_head.

    Example:
        >>> rope_frequencies(8)
        tensor([1.0000, 0.1000, 0.0100, 0.0010])

    Pitfalls:
        * There are d_head / 2 frequencies, not d_head.
        * The last frequency is base^(-(d_head - 2) / d_head), which is a little more than 1 / base.
        * torch.arange(0, d_head, 2) counts 0, 2, 4: these already are the 2i of the formula.

    Source:
        Su et al. 2021, section 3.2.2, eq. 15. https://arxiv.org/abs/2104.09864
    """
    if d_head % 2:
        raise ValueError(f"RoPE turns pairs of features, so d_head must be even, got {d_head}")
    # 0, 2, 4, ..., d_head - 2: one number per pair.
    exponents = torch.arange(0, d_head, 2, dtype=torch.float64) / d_head
    # Round once: the position later multiplies any error made here.
    return (base**-exponents).to(dtype)


def apply_rope(
    x: Float[Tensor, "*batch seq d_head"],
    positions: Int[Tensor, " seq"] | Int[Tensor, "batch seq"],
    base: float = 10000.0,
) -> Float[Tensor, "*batch seq d_head"]:
    r"""Rotate each pair of features by an angle that grows with the position (rotary position embedding, RoPE).

    RoPE applies to queries and keys. Picture two clock hands: turn both by the same angle, and the angle between them
    stays the same. In the same way, the dot product of a query rotated for position m and a key rotated for position n
    depends on the positions only through m - n: the score sees the distance, not where the two are. A rotation keeps
    lengths, and at position 0 it changes nothing.

    Pairs are half-split, as in GPT-NeoX and in Hugging Face's version of Llama: feature i and feature i + d_head / 2
    form a pair, and both stay in their places. (The paper pairs neighbours, 2i and 2i + 1. Both work in a model trained
    that way, but weights trained with one convention are useless with the other.)

    Math:
        angle       = positions[s] * rope_frequencies(d_head, base)[i],  h = d_head / 2
        y[s, i]     = x[s, i] cos(angle) - x[s, i + h] sin(angle)
        y[s, i + h] = x[s, i] sin(angle) + x[s, i + h] cos(angle),      i = 0 .. h - 1

    Args:
        x: Queries or keys, of shape (seq, d_head) or with any leading axes, such as (batch, heads, seq, d_head).
        positions: The position of each vector: any integers, of any integer dtype, in any order. All leading axes share
            positions of shape (seq,). Positions of shape (batch, seq) have one row for each entry of the first axis of
            `x`, shared by the axes in between, such as heads; `x` then has three or more axes.
        base: The base for `rope_frequencies`.

    Returns:
        A new tensor with the shape, dtype and device of `x`; `x` itself is unchanged. (`positions` is on the same
        device as `x`.) Compute angles, sines and cosines in float32 or wider, whatever the dtype of `x`. For float64,
        angles in float32 are accepted, but float64 is better. Widen float16 and bfloat16, and cast back at the end.

    Raises:
        ValueError: `x` is not floating point. The message gives its dtype.
        ValueError: d_head is odd (the message gives it), or the shape of `positions` is neither (seq,) nor
            (batch, seq). A single row, (1, seq), cannot serve a batch of several sequences: use (seq,) for that.

    Example:
        >>> x = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
        >>> apply_rope(x, torch.tensor([0, 1]))  # features 0 and 2 are a pair, and so are 1 and 3
        tensor([[1.0000, 0.0000, 0.0000, 0.0000],
                [0.5403, 0.0000, 0.8415, 0.0000]])

    Pitfalls:
        * Use `positions`, not the index in `x`: during generation, `x` may hold only the newest token.
        * The new first half has the minus, the new second half the plus. The other way round, everything rotates
          backwards.
        * Compute both new halves from the old ones: don't overwrite the first before you compute the second.
        * bfloat16 cannot hold 257: it becomes 256 or 258. Never put positions or angles into half precision.
        * Angles of shape (batch, seq, ...) would broadcast along the heads of (batch, heads, seq, ...), or fail.
        * A single position would broadcast along the whole sequence without an error: check the shapes yourself.

    Source:
        Su et al. 2021, section 3.4.2, eq. 34. https://arxiv.org/abs/2104.09864
        Half-split pairs: `rotate_half` in the code of GPT-NeoX, https://github.com/EleutherAI/gpt-neox
    """
    # The result has the dtype of x, and integers cannot hold a rotated vector.
    if not x.is_floating_point():
        raise ValueError(f"apply_rope needs floating-point vectors, got {x.dtype}")
    wide = _widen(x)
    frequencies = rope_frequencies(x.shape[-1], base, dtype=wide.dtype).to(x.device)
    _check_positions(x, positions)
    # float32 holds every integer up to 2^24 exactly; bfloat16 only up to 256 and float16 up to 2048.
    # (*positions, 1) * (d_head / 2,) -> (seq, d_head / 2) or (batch, seq, d_head / 2)
    angles = positions.to(wide.dtype)[..., None] * frequencies
    if positions.dim() == 2:
        # Axes of size 1 for every axis between batch and seq: (batch, 1, ..., 1, seq, d_head / 2).
        angles = angles.reshape(x.shape[0], *[1] * (x.dim() - 3), *angles.shape[1:])
    cos, sin = angles.cos(), angles.sin()
    # 2 x (*batch, seq, d_head / 2): feature i of each half form a pair.
    first, second = wide.chunk(2, dim=-1)
    # The rotation matrix ((cos, -sin), (sin, cos)), written out (eq. 34 of the source).
    turned = torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return turned.to(x.dtype)


def alibi_bias(
    num_heads: int, query_length: int, key_length: int | None = None
) -> Float[Tensor, "num_heads query_length key_length"]:
    r"""Make a bias that lowers each attention score in proportion to the distance of the key.

    The bias is added to the scores before the softmax, and the model needs no other information about positions. Like
    a sound that fades with distance, a key counts less the further away it is, and each head has its own slope: some
    heads hear only what is near, others far back. A distance that never occurred in training continues the same
    straight line, so a model can read longer texts than it was trained on.

    The queries are the last `query_length` positions of the keys, as in `attention.causal_mask`. A key after the query
    gets the same penalty as a key equally far before it; hiding it is the job of the causal mask.

    If num_heads is a power of two, the slopes are powers of 2^(-8 / num_heads): the first head has the steepest slope,
    the last has 1 / 256. Otherwise, let m be the next smaller power of two: the first m heads have the slopes for m
    heads, and the remaining heads take the 1st, 3rd, 5th ... of the slopes for 2m heads, in that order.

    Math:
        slopes(n)     = [2^(-8 * 1 / n), 2^(-8 * 2 / n), ..., 2^(-8 * n / n)]    n a power of two
        bias[h, i, j] = -slope[h] * |i + key_length - query_length - j|

    Args:
        num_heads: Number of attention heads, 1 or more.
        query_length: Number of queries, 0 or more.
        key_length: Number of keys, 0 or more. None = as many as queries.

    Returns:
        A new tensor in each call, in torch's default dtype, which is float32 unless somebody changed it. It is 0 where
        query and key are at the same position, and negative elsewhere.

    Raises:
        ValueError: There are more queries than keys.

    Example:
        >>> alibi_bias(8, 2, 3)[0]  # the first of 8 heads has slope 1/2; the queries are at positions 1 and 2
        tensor([[-0.5000,  0.0000, -0.5000],
                [-1.0000, -0.5000,  0.0000]])

    Pitfalls:
        * The first slope is 2^(-8 / n), not 2^0: counting starts at 1.
        * If n is not a power of two, 2^(-8 h / n) gives other slopes than those of the published models.
        * With fewer queries than keys, the queries are at the end of the keys, not at the beginning.
        * It is a penalty: the key at the position of the query gets 0, and all other keys get less.

    Source:
        Press, Smith and Lewis 2021, section 3. https://arxiv.org/abs/2108.12409
        Other head counts: `get_slopes` in the authors' code, https://github.com/ofirpress/attention_with_linear_biases
    """
    key_length = query_length if key_length is None else key_length
    if query_length > key_length:
        raise ValueError(f"there are more queries ({query_length}) than keys ({key_length}): each query is a key too")
    key_positions = torch.arange(key_length)
    # The last query_length of the keys; not [-query_length:], which is all of them if there are no queries.
    query_positions = key_positions[key_length - query_length :]
    # (query_length, 1) - (1, key_length) -> (query_length, key_length); abs, because later keys are distant too.
    distances = (query_positions[:, None] - key_positions[None, :]).abs()
    # (num_heads, 1, 1) * (query_length, key_length) -> (num_heads, query_length, key_length)
    return _alibi_slopes(num_heads)[:, None, None] * -distances


def _alibi_slopes(num_heads: int) -> Float[Tensor, " num_heads"]:
    # bit_length counts binary digits: 12 = 0b1100 has 4, so the largest power of two up to 12 is 2^3.
    power = 2 ** (num_heads.bit_length() - 1)
    slopes = _slopes_of_power(power)
    # Every second slope for twice as many heads is new; the others are in `slopes` already.
    between = _slopes_of_power(2 * power)[0::2]
    # For a power of two, none of the new slopes is needed.
    return torch.cat([slopes, between[: num_heads - power]])


def _slopes_of_power(num_heads: int) -> Float[Tensor, " num_heads"]:
    # A geometric sequence whose first term is also its ratio (section 3 of the source).
    heads = torch.arange(1, num_heads + 1)
    return 2.0 ** (-8.0 * heads / num_heads)


def _check_positions(x: Tensor, positions: Tensor) -> None:
    allowed = [x.shape[-2:-1]]
    if x.dim() > 2:  # only then is there a batch axis before seq
        allowed.append(torch.Size((x.shape[0], x.shape[-2])))
    if positions.shape not in allowed:
        raise ValueError(
            f"positions must have shape {' or '.join(str(tuple(shape)) for shape in allowed)} "
            f"for an x of shape {tuple(x.shape)}, got {tuple(positions.shape)}"
        )


def _widen(tensor: Tensor) -> Tensor:
    # In half precision, each product would be rounded to 8 or 11 bits before the sum: use float32.
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
