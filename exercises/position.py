r"""Position: tell the model where in the text each token stands.

Attention compares vectors and mixes them; nothing in it knows which token came first. Shuffle the words of a sentence,
and without further help every word would gather the same from the same others: "dog bites man" and "man bites dog"
would be one. So position has to be put into the numbers, and this unit holds the ways that models have used, from the
oldest to those of today:

1. `sinusoidal_encoding` (the first transformer): a fixed table, one row a position, to be added to the token vectors.
   Its columns are the hands of clocks, each slower than the one before.
2. `LearnedPositionalEmbedding` (GPT-2): the same table, but learned, with an end that no text may pass.
3. `rope_frequencies` (how fast each clock of RoPE runs), which is what the next exercise begins with.
4. `apply_rope` (Llama and most models since): nothing is added. Queries and keys are turned by an angle that grows
   with their position, so that the score of a query with a key depends on how far they are apart and on nothing else.
5. `alibi_bias` (BLOOM, MPT): the vectors stay as they are; each score loses a little for every step of distance.

1, 2 and 5 stand on their own; 4 calls 3. A position is a whole number, and the first one is 0, throughout.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def sinusoidal_encoding(length: int, d_model: int, base: float = 10000.0) -> Float[Tensor, "length d_model"]:
    r"""Write every position as the readings of many clocks, each a sine and a cosine, each slower than the last.

    Sine and cosine take turns: column 0 is the sine of the fastest clock, column 1 its cosine, column 2 the sine of
    the next one. The fastest turns by 1 radian a position, so neighbours differ; the slowest has hardly moved after
    thousands of positions, so that far positions differ too. Going k positions on turns each clock by the same angle
    wherever one starts, which makes "k steps back" easy to learn. Clock i is of the columns 2i and 2i + 1; where
    d_model is odd, the last clock has its sine and no cosine.

    Math:
        PE[p, 2i]     = sin(p / base^(2i / d_model))
        PE[p, 2i + 1] = cos(p / base^(2i / d_model)),  p = 0 .. length - 1

    Args:
        length: How many positions, 0 or more; the first is position 0.
        d_model: Size of the vectors that the rows are to be added to, 1 or more, even or odd. It is this very number
            that stands in the exponent, also where it is odd.
        base: How much slower the clocks become: the wavelengths go from 2 pi to nearly 2 pi * base.

    Returns:
        A new tensor in each call, float32 unless torch's default dtype has been changed, one row a position. Nothing
        in it is learned: it asks for no gradient.

    Example:
        >>> sinusoidal_encoding(3, 5, base=100.0)
        tensor([[ 0.0000,  1.0000,  0.0000,  1.0000,  0.0000],
                [ 0.8415,  0.5403,  0.1578,  0.9875,  0.0251],
                [ 0.9093, -0.4161,  0.3117,  0.9502,  0.0502]])

    Pitfalls:
        * Sine and cosine alternate. All sines first and all cosines after them is another table.
        * A sine and the cosine next to it share one angle: both have 2i in the exponent.
        * torch.arange(0, d_model, 2) counts 0, 2, 4: those are the 2i of the formula already.
        * An odd d_model has one sine more than cosines.

    Source:
        Vaswani et al. 2017, section 3.5. https://arxiv.org/abs/1706.03762
    """
    raise NotImplementedError("position.sinusoidal_encoding is still a stub")


class LearnedPositionalEmbedding(nn.Module):
    r"""Add to each token's vector a vector that belongs to its position, and is learned like any other weight.

    The rows are for positions 0 .. max_length - 1, and a position that was never trained has no row: a text that goes
    past the end is refused. While generating, a model may be given the new tokens alone; `offset` then says how many
    positions came before them.

    Math:
        y[b, s] = x[b, s] + weight[offset + s]

    Args:
        max_length: How many positions there are.
        d_model: Size of the vectors.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.

    Returns:
        From `forward`: a new tensor in the shape and the dtype of `x`, also where `weight` has another dtype; `x`
        itself stays as it was. Every sequence of the batch gets the same rows.

    Raises:
        ValueError: offset + seq exceeds max_length, or offset is negative. Raised by `forward`; the message gives
            max_length in the first case and the offset in the second. A text that ends exactly at max_length is fine.

    Parameters:
        weight: (max_length, d_model), normal with mean 0 and standard deviation 0.02. `state_dict` holds this name and
            no other.

    Example:
        >>> embedding = LearnedPositionalEmbedding(max_length=4, d_model=2)
        >>> embedding.weight.data = torch.tensor([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0], [30.0, 31.0]])
        >>> embedding(torch.zeros(1, 2, 2), offset=1).detach()
        tensor([[[10., 11.],
                 [20., 21.]]])

    Pitfalls:
        * The rows go along the axis of positions (axis 1), not along the batch (axis 0).
        * A slice that goes past the end is shorter, not an error: compare the numbers yourself.
        * A negative start of a slice counts from the end: no error either.
        * torch.randn has standard deviation 1, fifty times too loud for the token vectors beside it.

    Source:
        Gehring et al. 2017, section 3.1. https://arxiv.org/abs/1705.03122
        As in GPT-2: Radford et al. 2018 (GPT), section 4.1, for learned positions and 0.02.

    Not allowed: torch.nn.Embedding, torch.nn.functional.embedding, torch.embedding, torch.nn.EmbeddingBag,
        torch.nn.functional.embedding_bag, torch.embedding_bag.
    """

    def __init__(self, max_length: int, d_model: int, *, generator: torch.Generator | None = None) -> None:
        raise NotImplementedError("position.LearnedPositionalEmbedding.__init__ is still a stub")

    def forward(self, x: Float[Tensor, "batch seq d_model"], offset: int = 0) -> Float[Tensor, "batch seq d_model"]:
        """Add the rows of positions offset .. offset + seq - 1.

        Args:
            x: Vectors of the tokens.
            offset: The position of the first token, 0 or more.

        Returns:
            The sum, in the dtype of `x`.
        """
        raise NotImplementedError("position.LearnedPositionalEmbedding.forward is still a stub")


def rope_frequencies(
    d_head: int, base: float = 10000.0, *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, " half"]:
    r"""Say how many radians each pair of features turns from one position to the next.

    RoPE takes the d_head features of a query or key as d_head / 2 points in a plane, and turns each by an angle that
    grows with the position. The first pair is the fastest, 1 radian a position; each is slower than the one before by
    the same factor. They are the clocks of `sinusoidal_encoding`, for d_head in place of d_model.

    Math:
        frequency[i] = base^(-2i / d_head),  i = 0 .. d_head / 2 - 1

    Args:
        d_head: Features of one head; even.
        base: How much slower the pairs become. Models for long texts take a larger one (Llama 3: 500000).
        dtype: The dtype of the result, float32 or float64; the latter for a model that runs in float64. Numbers that
            are computed in float32 and then converted are accepted in either case.

    Returns:
        A new tensor of that dtype in each call, with d_head / 2 numbers, from 1 downwards.

    Raises:
        ValueError: d_head is odd, so that a feature has no partner. The message gives d_head.

    Example:
        >>> rope_frequencies(8)
        tensor([1.0000, 0.1000, 0.0100, 0.0010])

    Pitfalls:
        * There are d_head / 2 of them, not d_head.
        * The last one is base^(-(d_head - 2) / d_head), so it has not quite arrived at 1 / base.
        * torch.arange(0, d_head, 2) counts 0, 2, 4: those are the 2i of the formula already.

    Source:
        Su et al. 2021, section 3.2.2, eq. 15. https://arxiv.org/abs/2104.09864
    """
    raise NotImplementedError("position.rope_frequencies is still a stub")


def apply_rope(
    x: Float[Tensor, "*batch seq d_head"],
    positions: Int[Tensor, " seq"] | Int[Tensor, "batch seq"],
    base: float = 10000.0,
) -> Float[Tensor, "*batch seq d_head"]:
    r"""Turn each pair of features by an angle that grows with the position (rotary position embedding, RoPE).

    It is for queries and keys. The product of a query turned by its position m with a key turned by its position n
    holds the angle m - n and no other: the score knows how far apart the two are, and nothing of where they stand.
    A rotation changes no lengths, and that of position 0 changes nothing at all.

    Pairs are half-split, as in GPT-NeoX and in Llama as Hugging Face publishes it: feature i and feature i + d_head / 2
    are a pair, and both stay in their places. (The paper pairs neighbours, 2i and 2i + 1. Either works in a model
    that is trained with it, but weights trained with one are useless with the other.)

    Math:
        angle       = positions[s] * rope_frequencies(d_head, base)[i],  h = d_head / 2
        y[s, i]     = x[s, i] cos(angle) - x[s, i + h] sin(angle)
        y[s, i + h] = x[s, i] sin(angle) + x[s, i + h] cos(angle),      i = 0 .. h - 1

    Args:
        x: Queries or keys, as (seq, d_head) or with any leading axes, such as (batch, heads, seq, d_head).
        positions: Where each vector stands: any whole numbers, of any integer dtype, in any order. (seq,) is for all
            leading axes; (batch, seq) has its own for each entry of the first axis of `x`, which the axes between,
            such as heads, share. For that `x` has three axes or more.
        base: As for `rope_frequencies`.

    Returns:
        A new tensor in the shape and dtype of `x` and on its device, where `positions` are too; `x` itself stays as
        it was. Angles, sines and cosines are computed in float32 or wider whatever the dtype of `x` is. For an `x` in
        float64 angles in float32 are accepted, though float64 is better; float16 and bfloat16 are widened and cast
        back at the end.

    Raises:
        ValueError: `x` is not floating point; the message gives its dtype.
        ValueError: d_head is odd (the message gives it), or `positions` is neither (seq,) nor (batch, seq). A single
            row, (1, seq), does not stand for a batch of several sequences: for that there is (seq,).

    Example:
        >>> x = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
        >>> apply_rope(x, torch.tensor([0, 1]))  # features 0 and 2 are a pair, and so are 1 and 3
        tensor([[1.0000, 0.0000, 0.0000, 0.0000],
                [0.5403, 0.0000, 0.8415, 0.0000]])

    Pitfalls:
        * The position is what `positions` says, not the place in `x`: while generating, x holds the newest token alone.
        * The new first half has the minus, the new second half the plus. The other way round, everything turns
          backwards.
        * Both new halves are made from the old ones: don't overwrite the first before the second is computed.
        * bfloat16 has no 257: it becomes 256 or 258. Positions and angles must never be in half precision.
        * (batch, seq) against (batch, heads, seq, ...) would broadcast its batch along the heads, or fail.
        * A single position would broadcast along the whole sequence without an error: compare the shapes yourself.

    Source:
        Su et al. 2021, section 3.4.2, eq. 34. https://arxiv.org/abs/2104.09864
        Half-split pairs: `rotate_half` in the code of GPT-NeoX, https://github.com/EleutherAI/gpt-neox
    """
    raise NotImplementedError("position.apply_rope is still a stub")


def alibi_bias(
    num_heads: int, query_length: int, key_length: int | None = None
) -> Float[Tensor, "num_heads query_length key_length"]:
    r"""Make a bias for the attention scores: the further a key is from the query, the more its score loses.

    It is added to the scores before the softmax, and no other trace of position is needed. Each head has a slope of
    its own, so that some heads look at what is near and others far back. Since a distance that never occurred in
    training is only a little more of the same, a model can read longer texts than it was trained on.

    The queries are the last `query_length` positions of the keys, as in `attention.causal_mask`. A key that comes
    after the query loses as much as one equally far before it; hiding it is the causal mask's work, not this one's.

    For a power of two, the slopes are powers of 2^(-8 / num_heads): the first head has the steepest, the last has
    1 / 256. For any other number, let m be the next smaller power of two: the first m heads have the slopes for m
    heads, and those that remain take the 1st, 3rd, 5th ... of the slopes for 2m heads, in that order.

    Math:
        slopes(n)     = [2^(-8 * 1 / n), 2^(-8 * 2 / n), ..., 2^(-8 * n / n)]    n a power of two
        bias[h, i, j] = -slope[h] * |i + key_length - query_length - j|

    Args:
        num_heads: How many heads attention has, 1 or more.
        query_length: How many queries there are, 0 or more.
        key_length: How many keys there are, 0 or more. None = as many as queries.

    Returns:
        A new tensor in each call, float32 unless torch's default dtype has been changed: 0 where query and key are at
        the same position, negative elsewhere.

    Raises:
        ValueError: There are more queries than keys.

    Example:
        >>> alibi_bias(8, 2, 3)[0]  # the first of 8 heads has slope 1/2; the queries are at positions 1 and 2
        tensor([[-0.5000,  0.0000, -0.5000],
                [-1.0000, -0.5000,  0.0000]])

    Pitfalls:
        * The first slope is 2^(-8 / n), not 2^0: the count begins at 1.
        * 2^(-8 h / n) for an n that is no power of two gives other slopes than the published models have.
        * With fewer queries than keys, the queries stand at the end of the keys, not at the beginning.
        * It is a penalty: the nearest key has 0 and all others are below.

    Source:
        Press, Smith and Lewis 2021, section 3. https://arxiv.org/abs/2108.12409
        Other head counts: `get_slopes` in the authors' code, https://github.com/ofirpress/attention_with_linear_biases
    """
    raise NotImplementedError("position.alibi_bias is still a stub")
