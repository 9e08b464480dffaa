r"""Normalization: keep the numbers in a language model at one scale.

Every block of a transformer adds something to the vector of each token. After a few dozen blocks these vectors could
be a thousand times longer than at the start. The next layer would then see a scale that it was not trained for, and
gradients would explode or vanish. A norm layer before each sub-layer (and one before the last projection) rescales
the vector of every token to a fixed size, independently of the other tokens. Then it lets the model choose a scale
for each feature with a learned `weight`.

The two exercises are the two norms in common use:

1. `LayerNorm` (GPT-2): subtract the mean, divide by the standard deviation, multiply by `weight`, add `bias`.
2. `RMSNorm` (Llama): the same without subtracting the mean and without a bias, yet models train as well. Once
   `LayerNorm` passes, this takes a few lines.

Both are small modules with the same three steps: widen half precision to float32, compute the statistics of the last
axis, then scale and cast back. Later units use them in a block and in the whole model.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.Module):
    r"""Normalize every vector to mean 0 and variance 1, then apply a learned gain and offset to each feature.

    Like a sound engineer who brings every track to the same volume before mixing, the layer gives every vector the
    same mean and spread. Each vector along the last axis is normalized independently, in training and in evaluation:
    no other token, sequence or call matters. There may be any number of leading axes, including none or empty ones.

    Math:
        mean     = sum_i x[i] / d_model
        variance = sum_i (x[i] - mean)^2 / d_model
        y[i]     = (x[i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]

    Args:
        d_model: Size of the last axis of the input.
        eps: Small number added to the variance, inside the root, so that a constant vector gives 0 and not 0 / 0.
        bias: Whether to learn an offset. False = no offset is added.

    Returns:
        From `forward`: a new tensor with the shape and dtype of `x`, even if the parameters have another dtype. `x`
        itself is unchanged. For float16 and bfloat16, all steps run in float32 (or wider) and only the result is
        rounded; float32 and float64 keep their own precision. A NaN in `x` makes only its own vector NaN. Gradients
        reach `x`, `weight` and `bias`, and flow through the mean and the variance too.

    Raises:
        ValueError: The last axis of `x` does not have size `d_model`, or `x` has no axes. Raised by `forward`; the
            message gives the expected size and the actual shape.

    Parameters:
        weight: The gain, of shape (d_model,). Its initial values are ones, in torch's default dtype.
        bias: The offset, of shape (d_model,). Its initial values are zeros, in torch's default dtype. None if the layer
            was built with bias=False.
        `state_dict` holds these names and no others.

    Example:
        >>> norm = LayerNorm(4)
        >>> norm(torch.tensor([[1.0, 2.0, 3.0, 4.0], [7.0, 7.0, 7.0, 7.0]])).detach()
        tensor([[-1.3416, -0.4472,  0.4472,  1.3416],
                [ 0.0000,  0.0000,  0.0000,  0.0000]])

    Pitfalls:
        * The variance divides by d_model. `torch.var` divides by d_model - 1 unless you pass `correction=0`.
        * eps goes inside the root: sqrt(variance + eps), not sqrt(variance) + eps.
        * mean(x^2) - mean(x)^2 equals the variance only on paper: with a large mean, the difference loses its digits.
          Subtract the mean first, then square.
        * In float16 a square beyond 65504 is inf: widen before the statistics, and cast back at the very end.
        * A last axis of size 1 broadcasts against `weight` without an error: check the size yourself.

    Source:
        Ba, Kiros and Hinton 2016, section 3, eq. 3. https://arxiv.org/abs/1607.06450

    Not allowed: torch.nn.LayerNorm, torch.nn.functional.layer_norm, torch.layer_norm, torch.native_layer_norm,
        torch.nn.GroupNorm, torch.nn.functional.group_norm, torch.group_norm, torch.native_group_norm,
        torch.nn.InstanceNorm1d, torch.nn.functional.instance_norm, torch.instance_norm, torch.nn.BatchNorm1d,
        torch.nn.functional.batch_norm, torch.batch_norm, torch.native_batch_norm.
    """

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = True) -> None:
        raise NotImplementedError("normalization.LayerNorm.__init__ is still a stub")

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Normalize over the last axis.

        Args:
            x: Vectors to normalize, of any floating dtype.

        Returns:
            The normalized vectors, in the dtype of `x`.
        """
        raise NotImplementedError("normalization.LayerNorm.forward is still a stub")


class RMSNorm(nn.Module):
    r"""Divide every vector by its root mean square, then apply a learned gain for each feature.

    This is the cheaper sibling of `LayerNorm`: it subtracts no mean and adds no bias. Picture each vector as an arrow:
    with a gain of 1, its direction stays and its length becomes sqrt(d_model). Each vector along the last axis is
    normalized independently, in training and in evaluation. There may be any number of leading axes, including none or
    empty ones.

    Math:
        mean_square = sum_i x[i]^2 / d_model
        y[i]        = x[i] / sqrt(mean_square + eps) * weight[i]

    Args:
        d_model: Size of the last axis of the input.
        eps: Small number added to the mean square, inside the root, so that a vector of zeros gives 0 and not 0 / 0.

    Returns:
        From `forward`: a new tensor with the shape and dtype of `x`, even if `weight` has another dtype. `x` itself is
        unchanged. For float16 and bfloat16, all steps run in float32 (or wider); float32 and float64 keep their own
        precision. Multiply by `weight` first and cast back to the dtype of `x` last, so that the result is rounded
        once. Llama casts first and then multiplies, which rounds twice (and gives float32 if `weight` is float32);
        that order is accepted too, as long as the result has the dtype of `x`. A NaN in `x` makes only its own vector
        NaN. Gradients reach `x` and `weight`, and flow through the mean square too.

    Raises:
        ValueError: The last axis of `x` does not have size `d_model`, or `x` has no axes. Raised by `forward`; the
            message gives the expected size and the actual shape.

    Parameters:
        weight: The gain, of shape (d_model,). Its initial values are ones, in torch's default dtype.
        `state_dict` holds this name and no other.

    Example:
        >>> norm = RMSNorm(2)
        >>> norm(torch.tensor([[3.0, 4.0], [-30.0, -40.0]])).detach()  # the length goes, the direction stays
        tensor([[ 0.8485,  1.1314],
                [-0.8485, -1.1314]])

    Pitfalls:
        * Use the mean of the squares, not their sum: with a gain of 1, the result has length sqrt(d_model), not 1.
        * Do not use the standard deviation, which subtracts the mean: `torch.var` does not help here.
        * eps goes inside the root: sqrt(mean_square + eps), not sqrt(mean_square) + eps.
        * In float16 the square of 256 is already inf: widen before squaring.

    Source:
        Zhang and Sennrich 2019, section 4, eq. 4. https://arxiv.org/abs/1910.07467

    Not allowed: torch.nn.RMSNorm, torch.nn.functional.rms_norm, torch.rms_norm.
    """

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        raise NotImplementedError("normalization.RMSNorm.__init__ is still a stub")

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Normalize over the last axis.

        Args:
            x: Vectors to normalize, of any floating dtype.

        Returns:
            The normalized vectors, in the dtype of `x`.
        """
        raise NotImplementedError("normalization.RMSNorm.forward is still a stub")
