r"""Embedding: turn token ids into vectors, and build the linear layer that most other layers use.

The tokenizer turned the text into ids. An id is only a name: token 41 is not "more" than token 40, so a model cannot
compute with the number itself. Instead, it looks up a learned vector for that token, its embedding, and all later
layers work with vectors. Linear layers do most of that work: each is a matrix that mixes the features of a vector into
new ones. The queries and keys of attention, the projections of the feed-forward layers and the scores of the next
token all come from linear layers.

The three exercises:

1. `init_normal` draws initial weights. It takes a generator, so that a run can be repeated.
2. `Embedding` is a table with one row per token: ids go in, their rows come out. It uses `init_normal`.
3. `Linear` multiplies by a matrix and adds a bias. It uses `init_normal` too; the scale of its initial weights depends
   on how many numbers each output adds up.

Before training, the only thing that matters about a weight is its scale. If the scale is wrong, the model starts with
wild guesses or with vanishing vectors, and spends its first thousand steps repairing that. So both layers document the
exact scale of their initial weights, and the reason for it.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def init_normal(
    shape: tuple[int, ...], std: float, *, generator: torch.Generator | None = None
) -> Float[Tensor, "*shape"]:
    r"""Draw initial weights: independent normal numbers with mean 0.

    Initial weights must be random: like twins who always do the same, features with equal weights would get equal
    gradients and stay equal forever. They must also be repeatable: a generator in the same state gives the same
    numbers, whatever else has drawn random numbers.

    Math:
        value = std * z,  z ~ N(0, 1), drawn independently for each entry

        On paper: with std = 0.02, about two thirds of the numbers are between -0.02 and 0.02.

    Args:
        shape: The size of each axis; there is at least one axis. A size of 0 gives an empty tensor.
        std: The standard deviation, above 0. (The variance is its square.)
        generator: Generator for the random numbers. Use it in its current state: it may have drawn before. None =
            torch's global generator. If you are given a generator, neither draw from the global one nor seed it.

    Returns:
        A new float32 tensor with requires_grad=False; the caller can make it a parameter. A normal distribution with
        truncated tails is accepted too, if the cut is at least 3 std from 0.

    Example:
        >>> weight = init_normal((1000, 50), 0.02, generator=torch.Generator().manual_seed(0))
        >>> weight.shape, bool(weight.mean().abs() < 0.001), round(weight.std().item(), 2)
        (torch.Size([1000, 50]), True, 0.02)

    Pitfalls:
        * `torch.rand` is uniform between 0 and 1: a different distribution, without negative numbers.
        * `torch.manual_seed` changes the global generator, on which the rest of the program relies.
        * A generator that you make inside the function starts again in each call: all weights would be the same.

    Source:
        Radford et al. 2018, section 4.1, "model specifications": weights drawn from N(0, 0.02).
        https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

    Not allowed: torch.nn.init.
    """
    # randn has standard deviation 1; a factor of std makes it std. For randn too, generator=None is the global one.
    return torch.randn(shape, generator=generator, dtype=torch.float32) * std


class Embedding(nn.Module):
    r"""Look up the learned vector of every token.

    The weight is like a dictionary in table form: row i is the vector of token i. A lookup gives the same result as
    multiplying a one-hot vector (1 at position i, 0 elsewhere) by the table, without computing all the products with 0.

    The rows are returned unchanged. The first transformer multiplied them by sqrt(d_model); GPT-2 and Llama do not,
    and neither does this layer.

    Math:
        y[..., :] = weight[ids[...], :]

    Args:
        num_embeddings: Number of tokens, which is the number of rows of the table.
        d_model: Size of the vector of each token.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one.

    Returns:
        From `forward`: the current row of `weight` for each id, along a new last axis: ids of shape (2, 3) give
        (2, 3, d_model). `ids` may have no axes or empty axes. The result has the dtype of `weight`, and no number is
        rounded.
        Gradients reach `weight`: a row gets the sum of the gradients from all places where its token occurs, and the
        rows of other tokens get 0.

    Raises:
        IndexError: An id is negative, or is num_embeddings or more. Raised by `forward`; the message gives such an id
            and num_embeddings.

    Parameters:
        weight: The table, of shape (num_embeddings, d_model), float32. Its initial values are normal with mean 0 and
            standard deviation 0.02, whatever the sizes. GPT-2 uses 0.02 because its table is also the last layer: the
            score of a token is the dot product of its row with a vector of length sqrt(d_model). So the scores have
            standard deviation 0.02 * sqrt(768), about 0.6, and the model starts by giving all tokens similar
            probabilities. With a standard deviation of 1, that of the scores would be 28.
            `state_dict` holds this name and no other.

    Example:
        >>> embedding = Embedding(num_embeddings=3, d_model=2)
        >>> embedding.weight.data = torch.tensor([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
        >>> embedding(torch.tensor([2, 0, 2])).detach()
        tensor([[2.0000, 2.5000],
                [0.0000, 0.5000],
                [2.0000, 2.5000]])

    Pitfalls:
        * The index -1 means the last row: without a check, a wrong id gives a plausible vector.
        * As an index, a uint8 tensor acts as a mask. Convert the ids to int64 before you index with them.
        * `ids.max()` raises an error for an empty tensor; `.any()` does not.
        * `.data` and `.detach()` block the gradient: the table would never learn.

    Source:
        Radford et al. 2018, section 3.1, eq. 2 (h_0 = U W_e + W_p), and section 4.1 for 0.02.
        https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
        Vaswani et al. 2017, section 3.4, for the factor sqrt(d_model), which is left out here.
        https://arxiv.org/abs/1706.03762

    Not allowed: torch.nn.Embedding, torch.nn.functional.embedding, torch.embedding, torch.nn.EmbeddingBag,
        torch.nn.functional.embedding_bag, torch.embedding_bag, torch.nn.init.
    """

    def __init__(self, num_embeddings: int, d_model: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.d_model = d_model
        self.weight = nn.Parameter(init_normal((num_embeddings, d_model), 0.02, generator=generator))

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """Look up a row for each id.

        Args:
            ids: Token ids from 0 to num_embeddings - 1, of any integer dtype.

        Returns:
            The rows, in the dtype of `weight`.
        """
        rows = ids.long()  # int64: as an index, uint8 would be a mask, and torch does not accept int16
        # Check both ends, because -1 would be the last row. Selecting the wrong ids also works if there are no ids.
        outside = rows[(rows < 0) | (rows >= self.num_embeddings)]
        if outside.numel() > 0:
            raise IndexError(
                f"Embedding expects ids from 0 to num_embeddings - 1, with num_embeddings = {self.num_embeddings}, "
                f"got {outside[0].item()}: do the ids come from a tokenizer with a larger vocabulary?"
            )
        # (*batch) as an index into the first axis -> (*batch, d_model). The backward pass adds up repeated ids.
        return self.weight[rows]


class Linear(nn.Module):
    r"""Multiply every vector by a learned matrix, and add a learned bias.

    Think of a mixing desk: every output is a sum of all inputs, each with its own volume. The matrix holds these
    volumes. Each vector along the last axis is mapped independently. There may be any number of leading axes,
    including none or empty ones.

    Math:
        y[o] = sum_i x[i] * weight[o, i] + bias[o],  that is  y = x weight^T + bias

    Args:
        in_features: Size of the last axis of the input.
        out_features: Size of the last axis of the output.
        bias: Whether to learn an offset. False = no offset is added.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one.

    Returns:
        From `forward`: a new tensor with the leading axes of `x` and a last axis of size out_features, in the common
        dtype of `x` and the parameters. Gradients reach `x`, `weight` and `bias`.

    Raises:
        ValueError: The last axis of `x` does not have size in_features, or `x` has no axes. Raised by `forward`; the
            message gives the expected size and the actual shape.

    Parameters:
        weight: The matrix, of shape (out_features, in_features), float32. Its initial values are normal with mean 0 and
            standard deviation in_features ** -0.5. A sum of in_features independent numbers of variance 1 has variance
            in_features; this weight brings the variance back to 1, so that a stack of layers neither grows nor shrinks
            its vectors.
        bias: The offset, of shape (out_features,), float32. Its initial values are zeros. None if the layer was built
            with bias=False.
        `state_dict` holds these names and no others.

    Example:
        >>> linear = Linear(in_features=3, out_features=2)
        >>> linear.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 2.0]])
        >>> linear.bias.data = torch.tensor([0.0, 10.0])
        >>> linear(torch.tensor([5.0, 6.0, 7.0])).detach()  # the first feature; twice the sum of the others, plus 10
        tensor([ 5., 36.])

    Pitfalls:
        * Row o of the weight makes output o, so multiply x by the transposed weight. If in_features = out_features and
          you forget to transpose, there is no error, only wrong values.
        * `.mT` swaps the last two axes. `.T` reverses all axes, which is the same only for a matrix.
        * einsum and elementwise products broadcast an axis of size 1 without an error: check the size yourself.
        * torch's own layer draws weight and bias from a uniform distribution; this one does not.

    Source:
        LeCun, Bottou, Orr and Mueller 1998, "Efficient BackProp", section 4.6: the standard deviation is the fan-in
        to the power -1/2. http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf

    Not allowed: torch.nn.Linear, torch.nn.functional.linear, torch.nn.LazyLinear, torch.nn.Bilinear,
        torch.nn.functional.bilinear, torch.nn.init.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        # The fan-in sets the scale, not the fan-out: it is the number of products that each output adds up.
        std = in_features**-0.5
        self.weight = nn.Parameter(init_normal((out_features, in_features), std, generator=generator))
        # Zeros are fine for the bias: the random weights already make the outputs differ from one another.
        # register_parameter also takes None: the attribute exists, but neither optimizer nor state_dict sees it.
        self.register_parameter("bias", nn.Parameter(torch.zeros(out_features, dtype=torch.float32)) if bias else None)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        """Map the last axis.

        Args:
            x: Vectors to map, in the dtype of the parameters.

        Returns:
            The mapped vectors.
        """
        if x.shape[-1:] != (self.in_features,):  # a slice: x.shape[-1] of a tensor without axes is an IndexError
            raise ValueError(
                f"Linear expects a last axis of size {self.in_features}, got x of shape {tuple(x.shape)}: "
                "build the layer with in_features = the size of the last axis of x"
            )
        # mT swaps the axes of weight: (*batch, in_features) @ (in_features, out_features) -> (*batch, out_features)
        out = x @ self.weight.mT
        # bias is (out_features,): it broadcasts over every leading axis.
        return out if self.bias is None else out + self.bias
