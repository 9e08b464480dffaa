r"""Embedding: from token numbers to vectors, and the layer that every other layer is made of.

The tokenizer turned the text into ids. An id is only a name: token 41 is not "more" than token 40, so a model cannot
compute with the number itself. It looks up a vector that it has learned for that token, the token's embedding, and
everything further on works with vectors. Most of that work is done by linear layers: a matrix that mixes the features
of a vector into new ones. The queries and keys of attention, the feedforward layers and the scores of the next token
are all linear layers.

Three exercises, each used by those after it:

1. `init_normal` draws the numbers that a weight starts with. It takes a generator, so that a run can be repeated.
2. `Embedding` is a table with a row for each token: ids go in, their rows come out.
3. `Linear` multiplies by a matrix and adds a bias; how large its weights start depends on how many numbers it adds up.

At the start nothing is learned yet, and all that a weight has is its scale. If that is wrong, the model begins with
wild guesses or with vectors that vanish, and spends its first thousand steps on getting rid of them. So both layers
say exactly how large their weights start, and why.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def init_normal(
    shape: tuple[int, ...], std: float, *, generator: torch.Generator | None = None
) -> Float[Tensor, "*shape"]:
    r"""Draw the numbers that a weight starts with: independent, normal, around 0.

    They must be random, because features that start alike get the same gradient and stay alike for ever. They must be
    repeatable too: whoever passes a generator gets the same numbers for the same state of that generator, whatever
    else has drawn random numbers. `torch.randn`, which takes a generator, has a standard deviation of 1.

    Math:
        value = std * z,  z ~ N(0, 1), drawn anew for each entry

    Args:
        shape: The size of each axis; there is at least one. A size of 0 gives an empty tensor.
        std: The standard deviation, above 0. Not the variance, which is its square.
        generator: Where the random numbers come from, in the state that it is in: it may have drawn before. None =
            torch's global generator; given one, the global one is neither drawn from nor seeded.

    Returns:
        A new float32 tensor, with requires_grad False: making it a parameter is up to the caller. A normal
        distribution whose tails are cut off is accepted too, as long as the cut is 3 std from 0 or further out.

    Example:
        >>> weight = init_normal((1000, 50), 0.02, generator=torch.Generator().manual_seed(0))
        >>> weight.shape, bool(weight.mean().abs() < 0.001), round(weight.std().item(), 2)
        (torch.Size([1000, 50]), True, 0.02)

    Pitfalls:
        * `torch.rand` is uniform between 0 and 1: another shape of distribution, and no number is negative.
        * `torch.manual_seed` reaches into the global generator, on which the rest of the program relies.
        * A generator that is made inside the function starts anew in each call: all weights would be the same.

    Source:
        Radford et al. 2018, section 4.1, "model specifications": weights drawn from N(0, 0.02).
        https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

    Not allowed: torch.nn.init.
    """
    raise NotImplementedError("embedding.init_normal is still a stub")


class Embedding(nn.Module):
    r"""Look up the learned vector of every token.

    The weight is a table: row i is the vector of token i. A lookup does the same as multiplying the table with a
    one-hot vector (a 1 at place i, else zeros), without computing all the products with 0.

    Nothing is done to the rows on their way out. In particular they are not multiplied by sqrt(d_model), as the first
    transformer did: GPT-2 and Llama pass them on as they are, and so does this layer.

    Math:
        y[..., :] = weight[ids[...], :]

    Args:
        num_embeddings: How many tokens there are: the rows of the table.
        d_model: Size of each token's vector.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.

    Returns:
        From `forward`: for each id the row that `weight` has at that moment, in a new axis behind those of `ids`, so
        that ids of shape (2, 3) give (2, 3, d_model); no axes and empty ones are fine. The dtype is that of `weight`,
        and no number is rounded.
        Gradients reach `weight`: a row gets the sum of the gradients of all places where its token stands, and the
        rows of other tokens get 0.

    Raises:
        IndexError: An id is below 0, or is num_embeddings or more. Raised by `forward`; the message gives such an id
            and num_embeddings.

    Parameters:
        weight: Shape (num_embeddings, d_model), float32, normal with mean 0 and standard deviation 0.02, whatever the
            sizes. 0.02 is what GPT-2 uses: there the table is the last layer too, where a token's score is a product
            of its row with a vector of length sqrt(d_model). That gives scores of 0.02 * sqrt(768), about 0.6, and a
            model that begins by holding every token for about equally likely; rows of size 1 would give scores of 28.
            `state_dict` holds this name and no other.

    Example:
        >>> embedding = Embedding(num_embeddings=3, d_model=2)
        >>> embedding.weight.data = torch.tensor([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
        >>> embedding(torch.tensor([2, 0, 2])).detach()
        tensor([[2.0000, 2.5000],
                [0.0000, 0.5000],
                [2.0000, 2.5000]])

    Pitfalls:
        * An index of -1 is Python's last row: without a check, a wrong id gives a plausible vector.
        * As an index, a uint8 tensor is taken for a mask. Convert the ids to int64 before they become an index.
        * `ids.max()` raises on a tensor without elements; `.any()` does not.
        * `.data` or `.detach()` cuts the gradient off: the table would never learn.

    Source:
        Radford et al. 2018, section 3.1, eq. 2 (h_0 = U W_e + W_p), and section 4.1 for 0.02.
        https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
        Vaswani et al. 2017, section 3.4, for the factor sqrt(d_model) that is left out here.
        https://arxiv.org/abs/1706.03762

    Not allowed: torch.nn.Embedding, torch.nn.functional.embedding, torch.embedding, torch.nn.EmbeddingBag,
        torch.nn.functional.embedding_bag, torch.embedding_bag, torch.nn.init.
    """

    def __init__(self, num_embeddings: int, d_model: int, *, generator: torch.Generator | None = None) -> None:
        raise NotImplementedError("embedding.Embedding.__init__ is still a stub")

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """Look up a row for each id.

        Args:
            ids: Token numbers from 0 to num_embeddings - 1, of any integer dtype.

        Returns:
            The rows, in the dtype of `weight`.
        """
        raise NotImplementedError("embedding.Embedding.forward is still a stub")


class Linear(nn.Module):
    r"""Multiply every vector by a learned matrix, and add a learned bias.

    Each vector along the last axis is mapped on its own. A layer takes any number of leading axes, none or an empty
    one among them.

    Math:
        y[o] = sum_i x[i] * weight[o, i] + bias[o],  that is  y = x weight^T + bias

    Args:
        in_features: Size of the last axis of what comes in.
        out_features: Size of the last axis of what goes out.
        bias: Whether an offset is learned. False: nothing is added.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.

    Returns:
        From `forward`: a new tensor with the leading axes of `x` and a last axis of size out_features, in the dtype
        that `x` and the parameters share. Gradients reach `x`, `weight` and `bias`.

    Raises:
        ValueError: The last axis of `x` is not of size in_features, or `x` has no axis. Raised by `forward`; the
            message gives the size that was expected and the shape that came.

    Parameters:
        weight: Shape (out_features, in_features), float32, normal with mean 0 and standard deviation
            in_features ** -0.5. A sum of in_features independent numbers of variance 1 has variance in_features;
            with this weight the variance is 1 again, so that a stack of layers neither grows nor shrinks its vectors.
        bias: Shape (out_features,), float32, starts as zeros. None where the layer was built with bias=False.
        `state_dict` holds these names and no others.

    Example:
        >>> linear = Linear(in_features=3, out_features=2)
        >>> linear.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 2.0]])
        >>> linear.bias.data = torch.tensor([0.0, 10.0])
        >>> linear(torch.tensor([5.0, 6.0, 7.0])).detach()  # the first feature; twice the sum of the others, plus 10
        tensor([ 5., 36.])

    Pitfalls:
        * Row o of the weight makes output o, so x meets the transposed weight. Where in_features = out_features, the
          forgotten transpose raises nothing and gives wrong values.
        * `.mT` swaps the last two axes. `.T` turns all axes round, which is the same for a matrix and for nothing else.
        * einsum and elementwise products broadcast an axis of size 1 without a murmur: check the size yourself.
        * torch's own layer draws weight and bias from a uniform distribution; this one does not.

    Source:
        LeCun, Bottou, Orr and Mueller 1998, "Efficient BackProp", section 4.6: a standard deviation of the fan-in to
        the power -1/2. http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf

    Not allowed: torch.nn.Linear, torch.nn.functional.linear, torch.nn.LazyLinear, torch.nn.Bilinear,
        torch.nn.functional.bilinear, torch.nn.init.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, generator: torch.Generator | None = None
    ) -> None:
        raise NotImplementedError("embedding.Linear.__init__ is still a stub")

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        """Map the last axis.

        Args:
            x: Vectors to map, in the dtype of the parameters.

        Returns:
            The mapped vectors.
        """
        raise NotImplementedError("embedding.Linear.forward is still a stub")
