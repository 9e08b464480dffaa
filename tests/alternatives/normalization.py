"""Valid but different ways to write `normalization`: each must pass every test."""

import torch
from torch import Tensor, nn

from grader.checking import alternative


def _expect_size(x: Tensor, size: int) -> None:
    if x.ndim == 0 or x.size(-1) != size:
        raise ValueError(f"wrong input: the last axis must have size {size}, this x has shape {list(x.shape)}")


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class LayerParameters(nn.Module):
    """The parameters of LayerNorm, as most would write them."""

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.size, self.epsilon = d_model, eps
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None

    def affine(self, normalized: Tensor) -> Tensor:
        scaled = self.weight * normalized
        return scaled if self.bias is None else scaled + self.bias


class RMSParameters(nn.Module):
    """The parameter of RMSNorm, as most would write it."""

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.size, self.epsilon = d_model, eps
        self.weight = nn.Parameter(torch.ones(d_model))


@alternative("LayerNorm")
class LayerNormByVarMean(LayerParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        upcast = _at_least_float32(x)
        variance, mean = torch.var_mean(upcast, dim=-1, correction=0, keepdim=True)
        return self.affine((upcast - mean) * torch.rsqrt(variance + self.epsilon)).type_as(x)


@alternative("LayerNorm")
class LayerNormInFloat64(LayerParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        double = x.double()
        centred = double - double.mean(-1, keepdim=True)
        normalized = centred * (centred.pow(2).mean(-1, keepdim=True) + self.epsilon).pow(-0.5)
        return self.affine(normalized).to(x.dtype)


@alternative("LayerNorm")
class LayerNormByCentringMatrix(LayerParameters):
    """Subtracts the mean by the projection I - 1/d; an extra buffer that stays out of the state_dict."""

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__(d_model, eps, bias)
        self.register_buffer("_diagonal", torch.eye(d_model), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        upcast = _at_least_float32(x)
        # The first entry goes first: the product's sums would drown in a large mean.
        shifted = upcast - upcast[..., :1]
        centred = shifted @ (self._diagonal.to(upcast.dtype) - 1 / self.size)
        variance = torch.einsum("...d,...d->...", centred, centred) / self.size
        return self.affine(centred / (variance + self.epsilon).sqrt().unsqueeze(-1)).to(x.dtype)


@alternative("LayerNorm")
class LayerNormRowByRow(LayerParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        rows = _at_least_float32(x).reshape(-1, self.size)  # (*batch, d_model) -> (rows, d_model)
        out = rows.clone()  # overwritten, row by row
        for number, row in enumerate(rows):
            centred = row - row.sum() / self.size
            out[number] = centred / torch.sqrt(centred.dot(centred) / self.size + self.epsilon)
        return self.affine(out.view(x.shape)).to(x.dtype)


@alternative("LayerNorm")
class LayerNormFeaturesFirst(nn.Module):
    """Works on the transposed tensor, and registers bias before weight."""

    def __init__(self, d_model: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.register_parameter("bias", nn.Parameter(torch.zeros((d_model,))) if bias else None)
        self.weight = nn.Parameter(torch.full((d_model,), 1.0))
        self.eps_inside = eps

    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, len(self.weight))
        features = _at_least_float32(x).movedim(-1, 0)  # (d_model, *batch)
        deviation = features - features.mean(dim=0)
        normalized = deviation / (deviation.square().mean(dim=0) + self.eps_inside).sqrt()
        out = normalized.movedim(0, -1)
        out = out * self.weight if self.bias is None else torch.addcmul(self.bias, out, self.weight)
        return out.to(x.dtype)


@alternative("LayerNorm")
class LayerNormByVectorNorm(LayerParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        centred = _at_least_float32(x)
        # Twice, because the mean of a vector with a large offset is itself rounded.
        for _ in range(2):
            centred = centred - centred.mean(-1, keepdim=True)
        length = torch.linalg.vector_norm(centred, dim=-1, keepdim=True)
        return self.affine(centred.div((length**2 / self.size + self.epsilon) ** 0.5)).to(x.dtype)


class LayerStatistics(torch.autograd.Function):
    """The normalization with the gradient written by hand."""

    @staticmethod
    def forward(ctx, upcast, eps):
        centred = upcast - upcast.mean(-1, keepdim=True)
        scale = (centred.square().mean(-1, keepdim=True) + eps).rsqrt()
        ctx.save_for_backward(centred * scale, scale)
        return centred * scale

    @staticmethod
    def backward(ctx, grad):
        normalized, scale = ctx.saved_tensors
        along = normalized * (grad * normalized).mean(-1, keepdim=True)
        return scale * (grad - grad.mean(-1, keepdim=True) - along), None


@alternative("LayerNorm")
class LayerNormWithOwnBackward(LayerParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        return self.affine(LayerStatistics.apply(_at_least_float32(x), self.epsilon)).to(x.dtype)


@alternative("RMSNorm")
class RMSNormCastFirst(RMSParameters):
    """Llama's order: cast back, then multiply; one more cast for a weight of a wider dtype."""

    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        upcast = _at_least_float32(x)
        normalized = upcast * torch.rsqrt(upcast.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return (normalized.type_as(x) * self.weight).type_as(x)


@alternative("RMSNorm")
class RMSNormByVectorNorm(RMSParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        upcast = _at_least_float32(x)
        length = torch.linalg.vector_norm(upcast, dim=-1, keepdim=True)
        return (upcast / torch.sqrt(length * length / self.size + self.epsilon) * self.weight).to(x.dtype)


@alternative("RMSNorm")
class RMSNormByEinsum(RMSParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        upcast = _at_least_float32(x)
        mean_square = torch.einsum("...i,...i->...", upcast, upcast) / self.size
        # One outer product of all scales with the gain, then one multiplication.
        factors = torch.einsum("...,i->...i", (mean_square + self.epsilon) ** -0.5, self.weight.to(upcast.dtype))
        return (upcast * factors).to(x.dtype)


@alternative("RMSNorm")
class RMSNormRowByRow(RMSParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        rows = _at_least_float32(x).reshape(-1, self.size)  # (*batch, d_model) -> (rows, d_model)
        out = rows.clone()  # overwritten, row by row
        for number, row in enumerate(rows):
            out[number] = row / torch.sqrt(row @ row / self.size + self.epsilon)
        return (out.reshape(x.shape) * self.weight).to(x.dtype)


@alternative("RMSNorm")
class RMSNormInFloat64(RMSParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        double = x.to(torch.float64)
        root = (torch.mean(double**2, dim=-1, keepdim=True) + self.epsilon).sqrt()
        return torch.div(double, root).mul(self.weight).to(x.dtype)


@alternative("RMSNorm")
class RMSNormByMatrixProduct(nn.Module):
    """Sums the squares by a product with a buffer of ones that stays out of the state_dict."""

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        self._settings = {"d_model": d_model, "eps": eps}
        self.weight = nn.Parameter(torch.ones(d_model))
        self.register_buffer("_ones", torch.ones(d_model, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self._settings["d_model"])
        upcast = _at_least_float32(x)
        # (*batch, d_model) @ (d_model, 1) -> (*batch, 1)
        mean_square = (upcast * upcast) @ self._ones.to(upcast.dtype) / self._settings["d_model"]
        return (self.weight * (upcast / (mean_square + self._settings["eps"]).sqrt())).to(x.dtype)


class RootMeanSquare(torch.autograd.Function):
    """The division by the root mean square with the gradient written by hand."""

    @staticmethod
    def forward(ctx, upcast, eps):
        scale = (upcast.square().mean(-1, keepdim=True) + eps).rsqrt()
        ctx.save_for_backward(upcast * scale, scale)
        return upcast * scale

    @staticmethod
    def backward(ctx, grad):
        normalized, scale = ctx.saved_tensors
        return scale * (grad - normalized * (grad * normalized).mean(-1, keepdim=True)), None


@alternative("RMSNorm")
class RMSNormWithOwnBackward(RMSParameters):
    def forward(self, x: Tensor) -> Tensor:
        _expect_size(x, self.size)
        return (RootMeanSquare.apply(_at_least_float32(x), self.epsilon) * self.weight).to(x.dtype)
