r"""Feed-forward: what a position makes of the things that attention has brought to it.

After attention each position's vector holds a mixture of what it saw. The feed-forward layer works on every such
vector alone: it widens the vector to several times its size, bends the numbers with a function that is no straight
line, and brings them back to the old size. Without the bend two matrix products in a row would be one matrix product,
and a model of many layers no more than one layer. Most of a language model's weights lie here.

The exercises build on one another:

1. `relu`, of the first transformer: negative numbers become 0. One line.
2. `gelu`, of GPT-2: a smooth `relu`, in an exact form and in an older approximation.
3. `silu`, of Llama: another smooth one, easy to write, and easy to write so that it overflows.
4. `Dropout` removes a random part of the numbers while training, so that no number relies on a single other one.
5. `FeedForward` puts them together, with the parameters as they are in GPT-2.
6. `SwiGLU` is Llama's: no biases, and a third matrix that decides how much of each hidden number passes.

The first three take any tensor of floating point numbers and give one of the same shape and dtype. `FeedForward` and
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
    r"""Keep what is positive and set the rest to 0.

    Math:
        relu(x) = max(0, x), for each element

    Args:
        x: Floating point, any number of axes, none or an empty one among them.

    Returns:
        A new tensor in the shape and dtype of `x` and on its device; `x` itself stays as it was. No number that is
        kept loses a digit. The gradient of an element is 1 where
        x > 0 and 0 where x < 0. At exactly 0 there is no derivative: torch takes 0 there, and here any number from 0
        to 1 will do.

    Example:
        >>> relu(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([0., 0., 3.])

    Pitfalls:
        * `x[x < 0] = 0` and `clamp_` change the caller's tensor.
        * (x + |x|) / 2 is the same on paper only: in float16 the sum is inf for x = 40000.

    Source:
        Glorot, Bordes and Bengio 2011, section 3. https://proceedings.mlr.press/v15/glorot11a.html

    torch.where, torch.clamp and torch.maximum are allowed.

    Not allowed: torch.relu, torch.relu_, torch.nn.functional.relu, torch.nn.functional.relu_, torch.nn.ReLU,
        torch.nn.functional.relu6, torch.nn.ReLU6, torch.nn.functional.leaky_relu, torch.nn.LeakyReLU,
        torch.nn.functional.threshold, torch.threshold, torch.nn.Threshold.
    """
    # where makes a new tensor: nothing is written into x, which the caller may still need.
    # The number 0.0 takes the dtype of x, where a tensor of zeros in float32 would promote half precision.
    return torch.where(x > 0, x, 0.0)


def gelu(x: Float[Tensor, "*shape"], approximate: str = "none") -> Float[Tensor, "*shape"]:
    r"""Weigh each number with the probability that a standard normal number is smaller.

    Far above 0 that probability is 1 and far below it is 0, so gelu looks like `relu` from a distance; near 0 it is a
    smooth curve that dips a little below 0 and has a gradient everywhere. Computing the probability was slow once:
    GPT-2 was trained with an approximation by tanh. The two differ by less than 0.0005, which is enough to spoil the
    comparison with a published model.

    Math:
        approximate = "none":  gelu(x) = x * (1 + erf(x / sqrt(2))) / 2
        approximate = "tanh":  gelu(x) = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2

    Args:
        x: Floating point, any number of axes, none or an empty one among them.
        approximate: Which of the two formulas: "none" (the exact one) or "tanh".

    Returns:
        A new tensor in the shape and dtype of `x` and on its device; `x` itself stays as it was. float16 and bfloat16
        are computed in float32 (or wider) and rounded once, at the end; float32 and float64 in their own precision.

    Raises:
        ValueError: `x` is not floating point; the message gives its dtype.
        ValueError: `approximate` is neither "none" nor "tanh"; the message gives what came.

    Example:
        >>> gelu(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([-0.0455,  0.0000,  1.9545])
        >>> gelu(torch.tensor([-2.0, 0.0, 2.0]), approximate="tanh")
        tensor([-0.0454,  0.0000,  1.9546])

    Pitfalls:
        * erf is not yet the normal distribution: it wants x / sqrt(2), and runs from -1 to 1.
        * sqrt(2 / pi) is the root of the quotient, not sqrt(2) / pi.
        * In bfloat16, 1 + erf(...) keeps hardly a digit below x = -2: widen first, cast back at the end.

    Source:
        Hendrycks and Gimpel 2016, section 2. https://arxiv.org/abs/1606.08415

    torch.erf and torch.tanh are allowed.

    Not allowed: torch.nn.functional.gelu, torch.nn.GELU.
    """
    # The result comes in this dtype, and whole numbers would cut off all that matters of it.
    if not x.is_floating_point():
        raise ValueError(f"gelu needs floating-point numbers, got {x.dtype}")
    # float16 and bfloat16 become float32 here: 1 + erf(...) below is a small difference of nearly equal numbers.
    wide = _widen(x)
    if approximate == "none":
        # erf belongs to a variance of 1/2: divided by sqrt(2), x is measured in its units.
        bend = torch.erf(wide / math.sqrt(2))
    elif approximate == "tanh":
        # 0.044715 and sqrt(2 / pi) make tanh nearly that same erf; the constants are from section 2 of the source.
        bend = torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide.pow(3)))
    else:
        raise ValueError(f'approximate must be "none" or "tanh", got {approximate!r}')
    # bend runs from -1 to 1, a probability from 0 to 1. One rounding, here, to the caller's dtype.
    return (wide * (1 + bend) / 2).to(x.dtype)


def silu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Weigh each number with its own sigmoid.

    Another smooth `relu`, also known as swish: x for large x, 0 for very negative x, and a dip to -0.28 between.

    The formula must survive large numbers, forward and backward. With exp(-x) written out, x = -1000 makes exp
    overflow to inf: x / inf is still 0, as it should be, but its gradient is inf * 0 = NaN. torch.sigmoid takes care
    of that.

    Math:
        silu(x) = x * sigmoid(x) = x / (1 + exp(-x))

    Args:
        x: Floating point, any number of axes, none or an empty one among them.

    Returns:
        A new tensor in the shape and dtype of `x` and on its device; `x` itself stays as it was. Value and gradient
        are finite for every finite `x`. float16 and bfloat16 are computed in float32 (or wider) and rounded once, at
        the end; float32 and float64 in their own precision.

    Raises:
        ValueError: `x` is not floating point; the message gives its dtype.

    Example:
        >>> silu(torch.tensor([-1000.0, -1.0, 0.0, 1.0]))
        tensor([-0.0000, -0.2689,  0.0000,  0.7311])

    Pitfalls:
        * exp(x) / (1 + exp(x)) is inf / inf for large x, and 1 / (1 + exp(-x)) has a gradient of NaN far below 0.
        * torch.where does not help against a NaN in the gradient if the branch that is not taken overflows.
        * x * torch.sigmoid(x) in bfloat16 rounds twice: widen first, cast back at the end.

    Source:
        Hendrycks and Gimpel 2016, section 2, last paragraph. https://arxiv.org/abs/1606.08415

    torch.sigmoid, torch.tanh and torch.exp are allowed.

    Not allowed: torch.nn.functional.silu, torch.nn.SiLU.
    """
    # The result comes in this dtype, and whole numbers would cut off all that matters of it.
    if not x.is_floating_point():
        raise ValueError(f"silu needs floating-point numbers, got {x.dtype}")
    # Otherwise half precision would round the sigmoid, and then the product once more.
    wide = _widen(x)
    # torch.sigmoid never takes exp of a large number: it has a formula for each sign of x.
    return (wide * torch.sigmoid(wide)).to(x.dtype)


class Dropout(nn.Module):
    r"""Set a random part of the numbers to 0 while training, and make up for it with the rest.

    A number that may be missing at any step cannot be the only one that the next layer listens to. In evaluation
    nothing is dropped. So that the sums of the next layer have the same mean in both modes, what stays is divided by
    the probability of staying, while training: evaluation then needs no correction.

    Math:
        training:    y[i] = x[i] / (1 - p) with probability 1 - p, else 0; every element is drawn on its own
        evaluation:  y = x

    Args:
        p: Probability of dropping an element, in [0, 1). 0 drops nothing.
        generator: Source of the draws, on the device of the inputs. None = torch's global one; given one, the global
            one is not touched, and the draws go on where the last call left the generator. In evaluation nothing is
            drawn.

    Returns:
        From `forward`: a tensor in the shape and dtype of `x` and on its device; `x` itself stays as it was. In
        evaluation, and for p = 0, it may be `x` itself or a copy. The gradient of an element is the factor that the
        element got: 0 where it was dropped, else 1 / (1 - p).

    Raises:
        ValueError: p is not in [0, 1); raised by the constructor, and the message gives the p that came. p = 1 is
            refused too, where torch allows it: everything would be dropped, and 1 / (1 - p) does not exist.

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
        * Every element is drawn on its own: not one draw for a row, a position or the whole batch.
        * New draws in every call: nothing of the last call is kept.
        * `model.eval()` sets `self.training` of every module; a flag of your own would not hear of it.
        * A mask in float32 promotes an `x` in half precision to float32.

    Source:
        Srivastava et al. 2014, section 4; the scaling while training: section 10.
        https://jmlr.org/papers/v15/srivastava14a.html

    torch.rand and torch.bernoulli are allowed; both take `generator`.

    Not allowed: torch.nn.Dropout, torch.nn.functional.dropout, torch.dropout, torch.dropout_, torch.native_dropout,
        torch.nn.Dropout1d, torch.nn.functional.dropout1d, torch.feature_dropout, torch.feature_dropout_.
    """

    def __init__(self, p: float, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        # Asked so that NaN, for which every comparison is False, is refused too.
        if not 0 <= p < 1:
            raise ValueError(f"p must be in [0, 1), got {p}: it is the probability of dropping an element")
        self.p = p
        self.generator = generator

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Drop elements in training mode; in evaluation mode do nothing.

        Args:
            x: Floating point, any number of axes, none or an empty one among them.

        Returns:
            What is left of `x`, scaled by 1 / (1 - p) while training.
        """
        # nn.Module.train() and eval() set self.training. Without a draw here, p = 0 leaves the generator alone.
        if not self.training or self.p == 0:
            return x
        # One draw for each element, in float32 whatever x is: bfloat16 knows 256 steps from 0 to 1, too few for p.
        draws = torch.rand(x.shape, generator=self.generator, device=x.device)
        # rand is uniform on [0, 1): it is below p with probability p, and those are dropped.
        kept = draws >= self.p
        # Only a fraction 1 - p stays, so each is made larger by 1 / (1 - p): the mean stays what it was.
        return torch.where(kept, x / (1 - self.p), 0.0)


class FeedForward(nn.Module):
    r"""Widen every vector, bend it, and bring it back: two projections with an activation between.

    Each vector along the last axis is treated on its own, under any number of leading axes, none or an empty one
    among them. The projections are layers of the kind `embedding.Linear`: each makes its own weight and bias, of the
    documented shape and scale, `up_proj(x)` is x weight^T + bias, and `self.up_proj` brings the parameters
    up_proj.weight and up_proj.bias.

    Math:
        hidden = activation(up_proj(x))
        output = down_proj(dropout(hidden))

    Args:
        d_model: Size of the vectors that come in and go out.
        d_hidden: Size of the vectors between the projections; often 4 * d_model.
        activation: "relu", "gelu" (the exact one), "gelu_tanh" (GPT-2's) or "silu", each the function of this unit.
        dropout: Probability with which, in training mode, each number of `hidden` is dropped, as by `Dropout`.
        bias: Whether both projections learn a bias. False: nothing is added.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.
            (The dropout draws from the global one, as in attention: that one's state is what a checkpoint keeps.)

    Returns:
        From `forward`: a new tensor in the shape and dtype of `x`; `x` itself stays as it was. `x` and the parameters
        share one dtype. Gradients reach `x` and every parameter.

    Raises:
        ValueError: `activation` is none of the four, or `dropout` is below 0 or above 1 (1 itself may be refused too,
            as by `Dropout`). Raised by the constructor; the message gives what came.

    Parameters:
        up_proj: `Linear` from d_model to d_hidden, as `embedding.Linear` starts it: up_proj.weight, and up_proj.bias
            where `bias` is True.
        down_proj: `Linear` from d_hidden to d_model, likewise.
        `state_dict` holds these names and no others. The layers may be of another class that starts in the same way.

    Example:
        >>> layer = FeedForward(d_model=8, d_hidden=32)
        >>> layer(torch.randn(2, 5, 8)).shape
        torch.Size([2, 5, 8])
        >>> {name: tuple(value.shape) for name, value in layer.named_parameters() if "weight" in name}
        {'up_proj.weight': (32, 8), 'down_proj.weight': (8, 32)}

    Pitfalls:
        * The activation stands between the projections. After the second one it would leave hardly any negative output.
        * Dropout comes after the activation and before the second projection: the output itself is not dropped.
        * `Linear` takes the size of what comes in first: up_proj goes from d_model to d_hidden, down_proj back. Each
          draws its weight for its own input size.
        * `Linear` has a bias unless it is told otherwise: hand `bias` and `generator` on to both.

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
        super().__init__()
        _activation(activation)  # an unknown name is refused here, not at the first call
        # The name and not the function: a module that holds a lambda could not be saved whole.
        self.activation = activation
        # No generator: one of its own would be missing in a checkpoint, and a resumed run would drop other numbers.
        self.dropout = Dropout(dropout)
        self.up_proj = Linear(d_model, d_hidden, bias=bias, generator=generator)
        self.down_proj = Linear(d_hidden, d_model, bias=bias, generator=generator)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Treat every vector along the last axis.

        Args:
            x: The vectors.

        Returns:
            As many vectors of the same size.
        """
        # (*batch, d_model) -> (*batch, d_hidden)
        hidden = self.up_proj(x)
        # Between the projections: without a bend here the two would be one.
        bent = _activation(self.activation)(hidden)
        # Dropped before the second projection, so that each output loses some of the hidden numbers it is made of.
        left = self.dropout(bent)
        # (*batch, d_hidden) -> (*batch, d_model); nothing bends or drops what goes out
        return self.down_proj(left)


class SwiGLU(nn.Module):
    r"""Widen every vector twice, let one half decide how much of the other passes, and bring the product back.

    In `FeedForward` each hidden number is a function of one projection. Here it is a product of two: the gate, bent
    by `silu`, opens or closes, and the other projection says what passes. Each vector along the last axis is treated
    on its own, in training and evaluation alike, under any number of leading axes, none or an empty one among them.

    Math:
        gate   = silu(gate_proj(x))
        output = down_proj(gate * up_proj(x)),  * element by element

    Args:
        d_model: Size of the vectors that come in and go out.
        d_hidden: Size of the vectors between the projections. Llama takes about 8/3 * d_model, so that three matrices
            here have as many weights as two in a `FeedForward` with 4 * d_model.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.

    Returns:
        From `forward`: a new tensor in the shape and dtype of `x`; `x` itself stays as it was. `x` and the parameters
        share one dtype. Gradients reach `x` and every parameter.

    Parameters:
        gate_proj: `Linear` from d_model to d_hidden without a bias, as `embedding.Linear` starts it: gate_proj.weight.
        up_proj: As gate_proj, drawn independently.
        down_proj: `Linear` from d_hidden to d_model without a bias.
        There are no other parameters; `state_dict` holds these names and no others.

    Example:
        >>> layer = SwiGLU(d_model=2, d_hidden=1)
        >>> rows = {"gate_proj": [[1.0, 0.0]], "up_proj": [[0.0, 1.0]], "down_proj": [[1.0], [10.0]]}
        >>> _ = layer.load_state_dict({f"{name}.weight": torch.tensor(row) for name, row in rows.items()})
        >>> layer(torch.tensor([[2.0, 3.0], [-200.0, 3.0]])).detach()  # silu(2) * 3 = 5.28, and a gate that is closed
        tensor([[ 5.2848, 52.8478],
                [-0.0000, -0.0000]])

    Pitfalls:
        * silu bends the gate, and nothing bends the other one. With the two exchanged shapes and scale stay the same,
          and a published model's weights give nonsense.
        * The gate is silu, not a plain sigmoid: that would be the GLU of 2016.
        * The two are multiplied, not added, and before `down_proj`.
        * `Linear` has a bias unless it is told bias=False.

    Source:
        Shazeer 2020, section 2, eq. 6. https://arxiv.org/abs/2002.05202
        Without a bias and in a language model: Touvron et al. 2023 (LLaMA), section 2.2.
        https://arxiv.org/abs/2302.13971

    torch.nn.functional.linear is allowed.

    Not allowed: torch.nn.functional.silu, torch.nn.SiLU.
    """

    def __init__(self, d_model: int, d_hidden: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        # Two ways up of the same shape, drawn one after the other, so they differ.
        self.gate_proj = Linear(d_model, d_hidden, bias=False, generator=generator)
        self.up_proj = Linear(d_model, d_hidden, bias=False, generator=generator)
        self.down_proj = Linear(d_hidden, d_model, bias=False, generator=generator)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Treat every vector along the last axis.

        Args:
            x: The vectors.

        Returns:
            As many vectors of the same size.
        """
        # (*batch, d_model) -> (*batch, d_hidden), near 0 where the gate is closed
        gate = silu(self.gate_proj(x))
        # The same shape; it stays a straight line, as there is a bend in the gate already.
        up = self.up_proj(x)
        # Element by element, then (*batch, d_hidden) -> (*batch, d_model)
        return self.down_proj(gate * up)


def _widen(x: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    # promote_types gives the coarsest dtype that holds both: no `if` for each dtype is needed.
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that name."""
    # Looked up anew in each call, so that the functions may stand anywhere in this file.
    known = {"relu": relu, "gelu": gelu, "gelu_tanh": partial(gelu, approximate="tanh"), "silu": silu}
    if name not in known:
        raise ValueError(f"activation must be one of {', '.join(known)}, got {name!r}")
    return known[name]
