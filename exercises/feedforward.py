r"""Feed-forward: how each position processes what attention has gathered for it.

After attention, the vector of each position is a mixture of what it saw. The feed-forward layer works on each of these
vectors separately: it projects the vector to several times its size, applies a nonlinear function (an activation), and
projects the result back to the old size. Without the activation, two matrix products in a row would be equivalent to
one. In many language models, most of the weights are in these layers.

The exercises build on one another:

1. `relu` (the first transformer) sets negative numbers to 0. It takes one line.
2. `gelu` (GPT-2) is a smooth `relu`, in an exact form and in an older approximation.
3. `silu` (Llama) is another smooth `relu`. It is easy to write, but also easy to write so that it overflows.
4. `Dropout` zeroes a random part of the numbers in training, so that the model cannot rely on any single number.
5. `FeedForward` combines them, with the same parameters as in GPT-2.
6. `SwiGLU` is Llama's version: it has no biases, and a third matrix decides how much of each hidden number passes.

The first three take any floating-point tensor and return a tensor of the same shape and dtype. `FeedForward` and
`SwiGLU` are the second half of a transformer block.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .embedding import Linear


def relu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Keep positive numbers and set all others to 0.

    A stack of matrix products alone can only draw straight lines. relu adds a kink: like a door that opens only one
    way, it lets positive numbers through and stops negative ones.

    Math:
        relu(x) = max(0, x), for each element

    Args:
        x: Floating-point tensor with any number of axes, including none or empty ones.

    Returns:
        A new tensor with the shape, dtype and device of `x`; `x` itself is unchanged. Numbers that are kept lose no
        digits. The gradient of an element is 1 where x > 0 and 0 where x < 0. At exactly 0 there is no derivative:
        torch uses 0, and here any number from 0 to 1 is accepted.

    Example:
        >>> relu(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([0., 0., 3.])

    Pitfalls:
        * `x[x < 0] = 0` and `clamp_` change the caller's tensor.
        * (x + |x|) / 2 is the same only on paper: in float16 the sum is inf for x = 40000.

    Source:
        Glorot, Bordes and Bengio 2011, section 3. https://proceedings.mlr.press/v15/glorot11a.html

    torch.where, torch.clamp and torch.maximum are allowed.

    Not allowed: torch.relu, torch.relu_, torch.nn.functional.relu, torch.nn.functional.relu_, torch.nn.ReLU,
        torch.nn.functional.relu6, torch.nn.ReLU6, torch.nn.functional.leaky_relu, torch.nn.LeakyReLU,
        torch.nn.functional.threshold, torch.threshold, torch.nn.Threshold.
    """
    raise NotImplementedError("feedforward.relu is still a stub")


def gelu(x: Float[Tensor, "*shape"], approximate: str = "none") -> Float[Tensor, "*shape"]:
    r"""Multiply each number by the probability that a standard normal number is smaller.

    Far above 0 that probability is 1, and far below 0 it is 0. So from a distance gelu looks like `relu`, but near 0 it
    is a smooth curve that dips slightly below 0, like a `relu` whose kink was rounded off. Computing the probability
    used to be slow, so GPT-2 was trained with an approximation that uses tanh. The two differ by less than 0.0005,
    which is enough to spoil a comparison with a published model.

    Math:
        approximate = "none":  gelu(x) = x * (1 + erf(x / sqrt(2))) / 2
        approximate = "tanh":  gelu(x) = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2

    Args:
        x: Floating-point tensor with any number of axes, including none or empty ones.
        approximate: Name of the formula: "none" (exact) or "tanh".

    Returns:
        A new tensor with the shape, dtype and device of `x`; `x` itself is unchanged. Compute float16 and bfloat16 in
        float32 (or wider) and round once, at the end. Compute float32 and float64 in their own precision.

    Raises:
        ValueError: `x` is not floating point. The message gives its dtype.
        ValueError: `approximate` is neither "none" nor "tanh". The message gives the value that was passed.

    Example:
        >>> gelu(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([-0.0455,  0.0000,  1.9545])
        >>> gelu(torch.tensor([-2.0, 0.0, 2.0]), approximate="tanh")
        tensor([-0.0454,  0.0000,  1.9546])

    Pitfalls:
        * erf is not the normal distribution itself: it needs x / sqrt(2), and its values go from -1 to 1.
        * sqrt(2 / pi) is the root of the quotient, not sqrt(2) / pi.
        * In bfloat16, 1 + erf(...) has hardly any correct digits below x = -2: widen first, cast back at the end.

    Source:
        Hendrycks and Gimpel 2016, section 2. https://arxiv.org/abs/1606.08415

    torch.erf and torch.tanh are allowed.

    Not allowed: torch.nn.functional.gelu, torch.nn.GELU.
    """
    raise NotImplementedError("feedforward.gelu is still a stub")


def silu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Multiply each number by its own sigmoid.

    silu, also known as swish, is another smooth `relu`. The sigmoid acts like a dimmer: it lets nearly all of a large x
    through and nearly nothing of a very negative x. In between, the curve dips to -0.28.

    The formula must survive large numbers in the forward and in the backward pass. If you write out exp(-x),
    x = -1000 makes exp overflow to inf. The value x / inf is still 0, as it should be, but the gradient is
    inf * 0 = NaN.

    Math:
        silu(x) = x * sigmoid(x) = x / (1 + exp(-x))

    Args:
        x: Floating-point tensor with any number of axes, including none or empty ones.

    Returns:
        A new tensor with the shape, dtype and device of `x`; `x` itself is unchanged. Value and gradient are finite for
        every finite `x`. Compute float16 and bfloat16 in float32 (or wider) and round once, at the end. Compute float32
        and float64 in their own precision.

    Raises:
        ValueError: `x` is not floating point. The message gives its dtype.

    Example:
        >>> silu(torch.tensor([-1000.0, -1.0, 0.0, 1.0]))
        tensor([-0.0000, -0.2689,  0.0000,  0.7311])

    Pitfalls:
        * exp(x) / (1 + exp(x)) is inf / inf for large x, and 1 / (1 + exp(-x)) has a gradient of NaN far below 0.
        * torch.where does not prevent a NaN in the gradient if the branch that it does not take overflows.
        * Computing in bfloat16 rounds at every step: widen first, cast back at the end.

    Source:
        Hendrycks and Gimpel 2016, section 2, last paragraph. https://arxiv.org/abs/1606.08415

    torch.sigmoid, torch.tanh and torch.exp are allowed.

    Not allowed: torch.nn.functional.silu, torch.nn.SiLU.
    """
    raise NotImplementedError("feedforward.silu is still a stub")


class Dropout(nn.Module):
    r"""Set random elements to 0 in training, and scale up the others to compensate.

    Like a team in which any member may be absent on any day, a model trained with dropout cannot depend on a single
    number. In evaluation nothing is dropped. In training, the remaining elements are divided by the probability of
    being kept, so that the sums in the next layer have the same mean in both modes and evaluation needs no correction.

    Math:
        training:    y[i] = x[i] / (1 - p) with probability 1 - p, else 0; every element is drawn independently
        evaluation:  y = x

    Args:
        p: Probability of dropping an element, in [0, 1). 0 drops nothing.
        generator: Generator for the random draws, on the device of the inputs. Each call continues from the state that
            the last call left. None = torch's global generator. If you are given a generator, do not touch the global
            one. In evaluation, draw nothing.

    Returns:
        From `forward`: a tensor with the shape, dtype and device of `x`; `x` itself is unchanged. In evaluation, and
        for p = 0, the result may be `x` itself or a copy. The gradient of an element is the factor that the element
        got: 0 if it was dropped, else 1 / (1 - p).

    Raises:
        ValueError: p is not in [0, 1). Raised by the constructor; the message gives p. Unlike in torch, p = 1 is
            refused too: everything would be dropped, and 1 / (1 - p) does not exist.

    Parameters:
        None, and `state_dict` is empty.

    Example:
        >>> dropout = Dropout(0.75, generator=torch.Generator().manual_seed(3))
        >>> bool(((y := dropout(torch.ones(1000))) == 4).sum() + (y == 0).sum() == 1000)  # 0 or 1 / (1 - 0.75)
        True
        >>> dropout.eval()(torch.ones(3))
        tensor([1., 1., 1.])

    Pitfalls:
        * p is the probability of dropping, not of keeping.
        * Draw every element independently: not once per row, position or batch.
        * Draw again in every call; keep nothing from the last call.
        * `model.eval()` sets `self.training` of every module; it would not change a flag of your own.
        * A float32 mask promotes a half-precision `x` to float32.

    Source:
        Srivastava et al. 2014, section 4; for the scaling in training, section 10.
        https://jmlr.org/papers/v15/srivastava14a.html

    torch.rand and torch.bernoulli are allowed; both take `generator`.

    Not allowed: torch.nn.Dropout, torch.nn.functional.dropout, torch.dropout, torch.dropout_, torch.native_dropout,
        torch.nn.Dropout1d, torch.nn.functional.dropout1d, torch.feature_dropout, torch.feature_dropout_.
    """

    def __init__(self, p: float, *, generator: torch.Generator | None = None) -> None:
        raise NotImplementedError("feedforward.Dropout.__init__ is still a stub")

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Drop elements in training mode; in evaluation mode do nothing.

        Args:
            x: Floating-point tensor with any number of axes, including none or empty ones.

        Returns:
            The elements of `x`, in training either 0 or scaled by 1 / (1 - p).
        """
        raise NotImplementedError("feedforward.Dropout.forward is still a stub")


class FeedForward(nn.Module):
    r"""Apply two projections with an activation in between: widen every vector, then bring it back to its size.

    Picture a workbench: the first projection spreads the vector out so that its parts can be worked on separately, and
    the second packs the result up again. Each vector along the last axis is processed independently. There may be any
    number of leading axes, including none or empty ones.

    The projections are `embedding.Linear` layers. Each creates its own weight and bias with the documented shape and
    scale, and `up_proj(x)` is x weight^T + bias. Storing one as `self.up_proj` registers the parameters up_proj.weight
    and up_proj.bias.

    Math:
        hidden = activation(up_proj(x))
        output = down_proj(dropout(hidden))

    Args:
        d_model: Size of the input and output vectors.
        d_hidden: Size of the vectors between the projections, often 4 * d_model.
        activation: Name of a function of this unit: "relu", "gelu" (exact), "gelu_tanh" (GPT-2's) or "silu".
        dropout: Probability of dropping each number of `hidden` in training mode, as in `Dropout`.
        bias: Whether both projections learn a bias. False = no biases.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one. (Dropout draws from the global one, as in attention: checkpoints save its
            state.)

    Returns:
        From `forward`: a new tensor with the shape and dtype of `x`; `x` itself is unchanged. `x` and the parameters
        have the same dtype. Gradients reach `x` and every parameter.

    Raises:
        ValueError: `activation` is not one of the four names, or `dropout` is below 0 or above 1 (you may refuse 1
            itself too, as `Dropout` does). Raised by the constructor; the message gives the value that was passed.

    Parameters:
        up_proj: `Linear` from d_model to d_hidden, with the initial weights of `embedding.Linear`: up_proj.weight, and
            up_proj.bias if `bias` is True.
        down_proj: `Linear` from d_hidden to d_model, likewise.
        `state_dict` holds these names and no others. The layers may be of another class with the same initial weights.

    Example:
        >>> layer = FeedForward(d_model=8, d_hidden=32)
        >>> layer(torch.randn(2, 5, 8)).shape
        torch.Size([2, 5, 8])
        >>> {name: tuple(value.shape) for name, value in layer.named_parameters() if "weight" in name}
        {'up_proj.weight': (32, 8), 'down_proj.weight': (8, 32)}

    Pitfalls:
        * The activation is between the projections. After the second one, it would leave hardly any negative output.
        * Dropout comes after the activation and before the second projection: do not drop from the output itself.
        * `Linear` takes the input size first: up_proj goes from d_model to d_hidden, and down_proj goes back. The scale
          of each initial weight depends on its own input size.
        * `Linear` has a bias by default: pass `bias` and `generator` on to both projections.

    Source:
        Vaswani et al. 2017, section 3.3, eq. 2. https://arxiv.org/abs/1706.03762
        With gelu: Radford et al. 2018 (GPT), section 4.1, model specifications.

    torch.nn.functional.linear is allowed.

    Not allowed: torch.relu, torch.nn.functional.relu, torch.nn.ReLU, torch.nn.functional.gelu, torch.nn.GELU,
        torch.nn.functional.silu, torch.nn.SiLU.
    """

    def __init__(
        self,
        d_model: int,
        d_hidden: int,
        *,
        activation: str = "gelu",
        dropout: float = 0.0,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        raise NotImplementedError("feedforward.FeedForward.__init__ is still a stub")

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Transform every vector along the last axis.

        Args:
            x: The input vectors.

        Returns:
            The output vectors, in the shape of `x`.
        """
        raise NotImplementedError("feedforward.FeedForward.forward is still a stub")


class SwiGLU(nn.Module):
    r"""Widen every vector with two projections, multiply one by the gate made from the other, and project back.

    In `FeedForward`, each hidden number comes from one projection. Here it is the product of two: the gate, computed
    with `silu`, works like a tap that opens or closes, and the other projection is the water. Each vector along the
    last axis is processed independently, in training and in evaluation. There may be any number of leading axes,
    including none or empty ones.

    Math:
        gate   = silu(gate_proj(x))
        output = down_proj(gate * up_proj(x)),  * element by element

    Args:
        d_model: Size of the input and output vectors.
        d_hidden: Size of the vectors between the projections. Llama uses about 8/3 * d_model, so that its three
            matrices have about as many weights as the two of a `FeedForward` with d_hidden = 4 * d_model.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one.

    Returns:
        From `forward`: a new tensor with the shape and dtype of `x`; `x` itself is unchanged. `x` and the parameters
        have the same dtype. Gradients reach `x` and every parameter.

    Parameters:
        gate_proj: `Linear` from d_model to d_hidden without a bias, with the initial weights of `embedding.Linear`:
            gate_proj.weight.
        up_proj: Like gate_proj, drawn independently.
        down_proj: `Linear` from d_hidden to d_model without a bias, likewise.
        There are no other parameters; `state_dict` holds these names and no others.

    Example:
        >>> layer = SwiGLU(d_model=2, d_hidden=1)
        >>> rows = {"gate_proj": [[1.0, 0.0]], "up_proj": [[0.0, 1.0]], "down_proj": [[1.0], [10.0]]}
        >>> _ = layer.load_state_dict({f"{name}.weight": torch.tensor(row) for name, row in rows.items()})
        >>> layer(torch.tensor([[2.0, 3.0], [-200.0, 3.0]])).detach()  # silu(2) * 3 = 5.28, then a closed gate
        tensor([[ 5.2848, 52.8478],
                [-0.0000, -0.0000]])

    Pitfalls:
        * Apply silu only to gate_proj(x), not to up_proj(x). If you swap the two, shapes and scale stay the same, but
          the weights of a published model give nonsense.
        * The gate uses silu, not a plain sigmoid: that would be the GLU of 2016.
        * Multiply the two, don't add them, and do it before `down_proj`.
        * `Linear` has a bias unless you pass bias=False.

    Source:
        Shazeer 2020, section 2, eq. 6. https://arxiv.org/abs/2002.05202
        Without a bias and in a language model: Touvron et al. 2023 (LLaMA), section 2.2.
        https://arxiv.org/abs/2302.13971

    torch.nn.functional.linear is allowed.

    Not allowed: torch.nn.functional.silu, torch.nn.SiLU.
    """

    def __init__(self, d_model: int, d_hidden: int, *, generator: torch.Generator | None = None) -> None:
        raise NotImplementedError("feedforward.SwiGLU.__init__ is still a stub")

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Transform every vector along the last axis.

        Args:
            x: The input vectors.

        Returns:
            The output vectors, in the shape of `x`.
        """
        raise NotImplementedError("feedforward.SwiGLU.forward is still a stub")
