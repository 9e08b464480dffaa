r"""Normalization: keep the numbers that run through a language model at one scale.

Every block of a transformer adds something to the vector of each token. After a few dozen blocks these vectors could
be a thousand times longer than at the start, or have shrunk to nothing; either way the next layer would see a scale
that it was not trained for, and gradients would explode or vanish. A norm layer in front of each sub-layer (and one
before the last projection) brings every token's vector back to a fixed size, whatever its neighbours are, and then
lets the model choose a size of its own for each feature by a learned `weight`.

Two exercises, the two norms that are in use:

1. `LayerNorm`, of GPT-2: subtract the mean, divide by the standard deviation, times `weight`, plus `bias`.
2. `RMSNorm`, of Llama: the same with half of it left out. No mean is subtracted and no bias added, yet models train
   as well. Once `LayerNorm` passes, this is a few lines.

Both are small modules with the same three steps: widen half precision to float32, compute the statistics of the last
axis, scale and cast back. Later units place them in a block and in the whole model.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.Module):
    r"""Give every vector mean 0 and variance 1, then a learned gain and offset for each feature.

    Each vector along the last axis is normalized on its own, in training and evaluation alike: no other token,
    sequence or call has a part in it. A layer takes any number of leading axes, none or an empty one among them.

    Math:
        mean     = sum_i x[i] / d_model
        variance = sum_i (x[i] - mean)^2 / d_model
        y[i]     = (x[i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]

    Args:
        d_model: Size of the last axis of what comes in.
        eps: Added to the variance, inside the root, so that a constant vector gives 0 and not 0 / 0.
        bias: Whether an offset is learned. False: nothing is added.

    Returns:
        From `forward`: a new tensor in the shape and the dtype of `x`, also where the parameters have another dtype;
        `x` itself stays as it was. For float16 and bfloat16 all steps run in float32 (or wider) and only the result
        is rounded; float32 and float64 run in their own precision. A NaN in `x` makes its own vector NaN and no other.
        Gradients reach `x`, `weight` and `bias`, through the mean and the variance too.

    Raises:
        ValueError: The last axis of `x` is not of size `d_model`, or `x` has no axis. Raised by `forward`; the
            message gives the size that was expected and the shape that came.

    Parameters:
        weight: Shape (d_model,), the gain. Starts as ones, in torch's default dtype.
        bias: Shape (d_model,), the offset. Starts as zeros, in torch's default dtype. None where the layer was built
            with bias=False.
        `state_dict` holds these names and no others.

    Example:
        >>> norm = LayerNorm(4)
        >>> norm(torch.tensor([[1.0, 2.0, 3.0, 4.0], [7.0, 7.0, 7.0, 7.0]])).detach()
        tensor([[-1.3416, -0.4472,  0.4472,  1.3416],
                [ 0.0000,  0.0000,  0.0000,  0.0000]])

    Pitfalls:
        * The variance divides by d_model. `torch.var` divides by d_model - 1 unless it is told `correction=0`.
        * eps goes inside the root: sqrt(variance + eps), not sqrt(variance) + eps.
        * mean(x^2) - mean(x)^2 is the variance on paper only: where the mean is large, nothing is left of its digits.
          Subtract the mean first, then square.
        * In float16 a square beyond 65504 is inf: widen before the statistics, cast back at the very end.
        * A last axis of size 1 broadcasts against `weight` without a murmur: check the size yourself.

    Source:
        Ba, Kiros and Hinton 2016, section 3, eq. 3. https://arxiv.org/abs/1607.06450

    Not allowed: torch.nn.LayerNorm, torch.nn.functional.layer_norm, torch.layer_norm, torch.native_layer_norm,
        torch.nn.GroupNorm, torch.nn.functional.group_norm, torch.group_norm, torch.native_group_norm,
        torch.nn.InstanceNorm1d, torch.nn.functional.instance_norm, torch.instance_norm, torch.nn.BatchNorm1d,
        torch.nn.functional.batch_norm, torch.batch_norm, torch.native_batch_norm.
    """

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.d_model = d_model
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))  # gain 1 and offset 0: at the start, the plain normalization
        # register_parameter takes None too: the name exists then, but neither optimizer nor state_dict sees it.
        self.register_parameter("bias", nn.Parameter(torch.zeros(d_model)) if bias else None)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Normalize over the last axis.

        Args:
            x: Vectors to normalize, of any floating dtype.

        Returns:
            The normalized vectors, in the dtype of `x`.
        """
        _check_last_axis(x, self.d_model, "LayerNorm")
        wide = _widen(x)
        # keepdim=True leaves (*batch, 1), which broadcasts against (*batch, d_model) below.
        mean = wide.mean(dim=-1, keepdim=True)
        centred = wide - mean
        # Squares of what is already centred: no large mean squared that would have to cancel.
        variance = centred.square().mean(dim=-1, keepdim=True)
        normalized = centred / torch.sqrt(variance + self.eps)
        # weight and bias are (d_model,): they broadcast over every leading axis.
        out = normalized * self.weight
        if self.bias is not None:
            out = out + self.bias
        return out.to(x.dtype)  # the last step: a float32 weight would promote anything that is cast before


class RMSNorm(nn.Module):
    r"""Divide every vector by its root mean square, then apply a learned gain for each feature.

    The cheaper sibling of `LayerNorm`: no mean is subtracted and no bias is added. Each vector along the last axis is
    normalized on its own, in training and evaluation alike, under any number of leading axes, none or an empty one
    among them.

    Math:
        mean_square = sum_i x[i]^2 / d_model
        y[i]        = x[i] / sqrt(mean_square + eps) * weight[i]

    Args:
        d_model: Size of the last axis of what comes in.
        eps: Added to the mean square, inside the root, so that a vector of zeros gives 0 and not 0 / 0.

    Returns:
        From `forward`: a new tensor in the shape and the dtype of `x`, also where `weight` has another dtype; `x`
        itself stays as it was. For float16 and bfloat16 all steps run in float32 (or wider); float32 and float64 run
        in their own precision. The multiplication with `weight` comes first here and the cast back to the
        dtype of `x` is the last step, so that there is one rounding. Llama casts first and then multiplies, which
        rounds twice (and gives float32 where `weight` is float32); that order is accepted too, as long as the result
        has the dtype of `x`. A NaN in `x` makes its own vector NaN and no other. Gradients reach `x` and `weight`,
        through the mean square too.

    Raises:
        ValueError: The last axis of `x` is not of size `d_model`, or `x` has no axis. Raised by `forward`; the
            message gives the size that was expected and the shape that came.

    Parameters:
        weight: Shape (d_model,), the gain. Starts as ones, in torch's default dtype.
        `state_dict` holds this name and no other.

    Example:
        >>> norm = RMSNorm(2)
        >>> norm(torch.tensor([[3.0, 4.0], [-30.0, -40.0]])).detach()  # the length goes, the direction stays
        tensor([[ 0.8485,  1.1314],
                [-0.8485, -1.1314]])

    Pitfalls:
        * The mean of the squares, not their sum: the result has length sqrt(d_model), not 1.
        * Not the standard deviation: that would subtract the mean, so `torch.var` is of no use here.
        * eps goes inside the root: sqrt(mean_square + eps), not sqrt(mean_square) + eps.
        * In float16 the square of 256 is inf already: widen before squaring.

    Source:
        Zhang and Sennrich 2019, section 4, eq. 4. https://arxiv.org/abs/1910.07467

    Not allowed: torch.nn.RMSNorm, torch.nn.functional.rms_norm, torch.rms_norm.
    """

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.d_model = d_model
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))  # the only parameter: there is no offset to learn

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Normalize over the last axis.

        Args:
            x: Vectors to normalize, of any floating dtype.

        Returns:
            The normalized vectors, in the dtype of `x`.
        """
        _check_last_axis(x, self.d_model, "RMSNorm")
        wide_x = _widen(x)
        # (*batch, d_model) -> (*batch, 1): one number a vector, kept as an axis so that it broadcasts.
        mean_square = wide_x.square().mean(dim=-1, keepdim=True)
        scaled = wide_x * torch.rsqrt(mean_square + self.eps)  # rsqrt(a) is 1 / sqrt(a)
        # Gain first, then the cast: one rounding, where Llama's own order (cast, then gain) has two.
        return (scaled * self.weight).to(x.dtype)


def _check_last_axis(x: Tensor, d_model: int, layer: str) -> None:
    # Without this, a last axis of size 1 (or d_model = 1) broadcasts and gives plausible nonsense.
    if x.shape[-1:] != (d_model,):  # a slice, because x[-1] of a tensor without axes would be an IndexError
        raise ValueError(
            f"{layer} expects a last axis of size {d_model}, got x of shape {tuple(x.shape)}: "
            "build the layer with d_model = the size of the last axis of x"
        )


def _widen(x: Tensor) -> Tensor:
    # bfloat16 has 8 significant bits and float16 ends at 65504: too little for a sum of squares.
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
