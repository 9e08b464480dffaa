"""Valid but different ways to write `feedforward`: each must pass every test."""

import math

import torch
from torch import Tensor, nn

from grader.checking import alternative
from solutions.feedforward import Dropout, gelu, relu, silu


@alternative("relu")
def relu_by_clamp(x: Tensor) -> Tensor:
    return x.clamp(min=0)


@alternative("relu")
def relu_by_a_mask(x: Tensor) -> Tensor:
    return x * (x > 0)


@alternative("relu")
def relu_by_maximum(x: Tensor) -> Tensor:
    return torch.maximum(x, torch.zeros_like(x))


@alternative("relu")
def relu_by_masked_fill(x: Tensor) -> Tensor:
    return x.masked_fill(x <= 0, 0)


@alternative("relu")
def relu_on_a_copy(x: Tensor) -> Tensor:
    out = x.clone()
    out[x < 0] = 0
    return out


@alternative("relu")
def relu_by_half_the_sum(x: Tensor) -> Tensor:
    wide = x.double()
    return ((wide + wide.abs()) / 2).to(x.dtype)


@alternative("relu")
def relu_by_a_gate(x: Tensor) -> Tensor:
    return x * torch.heaviside(x.detach(), x.new_zeros(()))


def _probability(approximate: str, x: Tensor) -> Tensor:
    if approximate == "none":
        return torch.special.ndtr(x)
    if approximate == "tanh":
        return torch.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x * x * x))  # (1 + tanh(a)) / 2 = sigmoid(2 a)
    raise ValueError(f"no such approximation: {approximate}")


@alternative("gelu")
def gelu_by_probability(x: Tensor, approximate: str = "none") -> Tensor:
    return (x.double() * _probability(approximate, x.double())).type_as(x)


@alternative("gelu")
def gelu_as_in_the_paper(x: Tensor, approximate: str = "none") -> Tensor:
    if approximate not in ("none", "tanh"):
        raise ValueError(approximate)
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    inner = math.sqrt(2.0 / math.pi) * (wide + 0.044715 * wide**3)
    cdf = torch.tanh(inner) if approximate == "tanh" else torch.special.erf(wide * 0.5**0.5)
    return (0.5 * wide * (1.0 + cdf)).to(x.dtype)


@alternative("gelu")
def gelu_by_erfc(x: Tensor, approximate: str = "none") -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    match approximate:
        case "none":
            out = wide * torch.erfc(-wide / math.sqrt(2)) / 2
        case "tanh":
            inner = math.sqrt(2 / math.pi) * wide * (1 + 0.044715 * wide.square())
            out = wide / 2 + wide / 2 * inner.tanh()
        case _:
            raise ValueError(f"approximate={approximate!r}")
    return out.to(x.dtype)


@alternative("gelu")
def gelu_from_a_table(x: Tensor, approximate: str = "none") -> Tensor:
    bends = {
        "none": lambda wide: torch.erf(wide / 2**0.5),
        "tanh": lambda wide: torch.tanh((2 / torch.pi) ** 0.5 * (wide + 0.044715 * wide**3)),
    }
    if approximate not in bends:
        raise ValueError(f"expected one of {list(bends)}, got {approximate}")
    wide = x.double()
    return torch.mul(wide, bends[approximate](wide).add(1).div(2)).to(x.dtype)


class BentByErf(torch.autograd.Function):
    """The exact formula with the gradient written by hand."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.special.ndtr(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return grad * (torch.special.ndtr(x) + x * density)


@alternative("gelu")
def gelu_with_own_backward(x: Tensor, approximate: str = "none") -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        return BentByErf.apply(wide).to(x.dtype)
    return (wide * _probability(approximate, wide)).to(x.dtype)


@alternative("silu")
def silu_by_tanh(x: Tensor) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * (1 + torch.tanh(wide / 2)) / 2).to(x.dtype)


@alternative("silu")
def silu_by_expit(x: Tensor) -> Tensor:
    wide = x.double()
    return wide.mul(torch.special.expit(wide)).to(x.dtype)


@alternative("silu")
def silu_by_the_size_of_x(x: Tensor) -> Tensor:
    """Only ever takes exp of what is not positive."""
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    small = torch.exp(-torch.where(wide > 0, wide, -wide))
    return (wide * torch.where(wide > 0, 1 / (1 + small), small / (1 + small))).to(x.dtype)


@alternative("silu")
def silu_by_log_sigmoid(x: Tensor) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.exp(nn.functional.logsigmoid(wide))).to(x.dtype)


class BentBySigmoid(torch.autograd.Function):
    """The formula with the gradient written by hand."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x / (1 + torch.exp(-x))

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        share = 1 / (1 + torch.exp(-x))
        return grad * (share + x * share * (1 - share))


@alternative("silu")
def silu_with_own_backward(x: Tensor) -> Tensor:
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return BentBySigmoid.apply(wide).to(x.dtype)


class Probability(nn.Module):
    """What most would write in the constructor of Dropout."""

    def __init__(self, p: float, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if p < 0 or p >= 1:
            raise ValueError(f"no probability below 1: {p}")
        self.p, self._source = p, generator


@alternative("Dropout")
class DropoutByBernoulli(Probability):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            kept = torch.bernoulli(torch.full_like(x, 1 - self.p), generator=self._source)
            x = x * kept / (1 - self.p)
        return x


@alternative("Dropout")
class DropoutByMaskedFill(Probability):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x.clone()
        dropped = torch.empty(x.shape).uniform_(generator=self._source) < self.p
        return x.masked_fill(dropped, 0) / (1 - self.p)


@alternative("Dropout")
class DropoutOfFlatNumbers(Probability):
    """Draws in float64, for a flat x, and scales by a mask that holds the factors."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        draws = torch.rand(x.numel(), generator=self._source, dtype=torch.float64)
        factors = torch.where(draws < 1 - self.p, 1 / (1 - self.p), 0.0)
        return (x.flatten() * factors.to(x.dtype)).view(x.shape)


@alternative("Dropout")
class DropoutWithABuffer(Probability):
    """Keeps 1 - p as a buffer that stays out of the state_dict, and calls methods of its own for either mode."""

    def __init__(self, p: float, *, generator: torch.Generator | None = None) -> None:
        super().__init__(p, generator=generator)
        self.register_buffer("_stay", torch.tensor(1 - p, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self._drop(x) if self.training else x

    def _drop(self, x: Tensor) -> Tensor:
        kept = torch.empty(x.shape).bernoulli_(float(self._stay), generator=self._source).bool()
        return torch.where(kept, x / float(self._stay), torch.zeros((), dtype=x.dtype))


class Masked(torch.autograd.Function):
    """A product with a mask, its gradient written by hand."""

    @staticmethod
    def forward(ctx, x, factors):
        ctx.save_for_backward(factors)
        return x * factors

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None


@alternative("Dropout")
class DropoutWithOwnBackward(Probability):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = torch.rand(x.shape, generator=self._source).ge(self.p)
        return Masked.apply(x, kept.to(x.dtype).div(1 - self.p))


def _drawn(d_out: int, d_in: int, generator: torch.Generator | None) -> nn.Parameter:
    return nn.Parameter(torch.empty(d_out, d_in).normal_(0, 1 / math.sqrt(d_in), generator=generator))


class Weights(nn.Module):
    """The parameters of FeedForward, as most would write them."""

    def __init__(self, d_model, d_hidden, *, activation="gelu", dropout=0.0, bias=True, generator=None):
        super().__init__()
        functions = {"relu": relu, "gelu": gelu, "gelu_tanh": lambda x: gelu(x, "tanh"), "silu": silu}
        if activation not in functions:
            raise ValueError(f"there is no activation {activation}")
        self.act, self.drop = functions[activation], Dropout(dropout)
        self.up_weight, self.down_weight = _drawn(d_hidden, d_model, generator), _drawn(d_model, d_hidden, generator)
        self.up_bias = nn.Parameter(torch.zeros(d_hidden)) if bias else None
        self.down_bias = nn.Parameter(torch.zeros(d_model)) if bias else None


@alternative("FeedForward")
class FeedForwardByLinear(Weights):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.act(nn.functional.linear(x, self.up_weight, self.up_bias))
        return nn.functional.linear(self.drop(hidden), self.down_weight, self.down_bias)


@alternative("FeedForward")
class FeedForwardByEinsum(Weights):
    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.einsum("...d,hd->...h", x, self.up_weight)
        hidden = self.drop(self.act(hidden if self.up_bias is None else hidden + self.up_bias))
        out = torch.einsum("...h,dh->...d", hidden, self.down_weight)
        return out if self.down_bias is None else out + self.down_bias


@alternative("FeedForward")
class FeedForwardRowByRow(Weights):
    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])  # (*batch, d_model) -> (rows, d_model)
        out = torch.empty_like(rows)
        for number, row in enumerate(rows):
            hidden = self.up_weight @ row + (0 if self.up_bias is None else self.up_bias)
            out[number] = self.down_weight @ self.drop(self.act(hidden))
        return (out if self.down_bias is None else out + self.down_bias).view(x.shape)


@alternative("FeedForward")
class FeedForwardHiddenPartByPart(Weights):
    """The hidden numbers in two halves, whose shares of the output are summed."""

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        for part in torch.arange(len(self.up_weight)).tensor_split(2):
            hidden = x @ self.up_weight[part].mT
            hidden = hidden if self.up_bias is None else hidden + self.up_bias[part]
            out = out + self.drop(self.act(hidden)) @ self.down_weight[:, part].mT
        return out if self.down_bias is None else out + self.down_bias


@alternative("FeedForward")
class FeedForwardFeaturesFirst(nn.Module):
    """Works on columns, registers the parameters in another order, and drops by itself."""

    def __init__(self, d_model, d_hidden, *, activation="gelu", dropout=0.0, bias=True, generator=None):
        super().__init__()
        if activation not in ("relu", "gelu", "gelu_tanh", "silu") or not 0 <= dropout < 1:
            raise ValueError(f"cannot build it with activation={activation}, dropout={dropout}")
        self.kind, self.p = activation, dropout
        for name, size in (("down_bias", d_model), ("up_bias", d_hidden)):
            self.register_parameter(name, nn.Parameter(torch.zeros(size)) if bias else None)
        self.down_weight = nn.Parameter(torch.randn(d_model, d_hidden, generator=generator) / d_hidden**0.5)
        self.up_weight = nn.Parameter(torch.randn(d_hidden, d_model, generator=generator) / d_model**0.5)

    def _bend(self, hidden: Tensor) -> Tensor:
        if self.kind.startswith("gelu"):
            return gelu(hidden, "tanh" if self.kind == "gelu_tanh" else "none")
        return relu(hidden) if self.kind == "relu" else silu(hidden)

    def forward(self, x: Tensor) -> Tensor:
        columns = x.reshape(-1, x.shape[-1]).T  # (d_model, rows)
        hidden = self.up_weight @ columns
        hidden = self._bend(hidden if self.up_bias is None else hidden + self.up_bias[:, None])
        if self.training and self.p:
            hidden = hidden * (torch.rand(hidden.shape) >= self.p) / (1 - self.p)
        out = (self.down_weight @ hidden).T.reshape(x.shape)
        return out if self.down_bias is None else out + self.down_bias


class Gated(nn.Module):
    """The parameters of SwiGLU, as most would write them."""

    def __init__(self, d_model: int, d_hidden: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.gate_weight, self.up_weight = (_drawn(d_hidden, d_model, generator) for _ in range(2))
        self.down_weight = _drawn(d_model, d_hidden, generator)


@alternative("SwiGLU")
class SwiGLUByLinear(Gated):
    def forward(self, x: Tensor) -> Tensor:
        linear = nn.functional.linear
        return linear(linear(x, self.up_weight) * silu(linear(x, self.gate_weight)), self.down_weight)


@alternative("SwiGLU")
class SwiGLUFused(Gated):
    """One product with both weights, one below the other."""

    def forward(self, x: Tensor) -> Tensor:
        both = x @ torch.cat([self.gate_weight, self.up_weight]).T
        gate, up = both.chunk(2, dim=-1)
        return (silu(gate) * up) @ self.down_weight.T


@alternative("SwiGLU")
class SwiGLUByEinsum(Gated):
    def forward(self, x: Tensor) -> Tensor:
        gate = silu(torch.einsum("...d,hd->...h", x, self.gate_weight))
        return torch.einsum("...h,...d,hd,oh->...o", gate, x, self.up_weight, self.down_weight)


@alternative("SwiGLU")
class SwiGLURowByRow(Gated):
    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])  # (*batch, d_model) -> (rows, d_model)
        out = torch.empty_like(rows)
        for number, row in enumerate(rows):
            out[number] = self.down_weight @ (silu(self.gate_weight @ row) * (self.up_weight @ row))
        return out.view(x.shape)


@alternative("SwiGLU")
class SwiGLUGateWrittenOut(nn.Module):
    """Does not call silu, and registers the parameters in another order."""

    def __init__(self, d_model: int, d_hidden: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        for name, d_out, d_in in (
            ("down_weight", d_model, d_hidden),
            ("up_weight", d_hidden, d_model),
            ("gate_weight", d_hidden, d_model),
        ):
            setattr(self, name, nn.Parameter(torch.randn(d_out, d_in, generator=generator).div_(d_in**0.5)))

    def forward(self, x: Tensor) -> Tensor:
        gate = x.matmul(self.gate_weight.mT)
        return (gate * gate.sigmoid() * x.matmul(self.up_weight.mT)).matmul(self.down_weight.mT)
