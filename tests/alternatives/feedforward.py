"""Valid but different ways to write `feedforward`: each must pass every test."""

import math

import torch
from torch import Tensor, nn

from grader.checking import alternative
from solutions.embedding import Linear
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
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
    return (x.double() * _probability(approximate, x.double())).type_as(x)


@alternative("gelu")
def gelu_as_in_the_paper(x: Tensor, approximate: str = "none") -> Tensor:
    if not x.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {x.dtype}")
    if approximate not in ("none", "tanh"):
        raise ValueError(approximate)
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    inner = math.sqrt(2.0 / math.pi) * (wide + 0.044715 * wide**3)
    cdf = torch.tanh(inner) if approximate == "tanh" else torch.special.erf(wide * 0.5**0.5)
    return (0.5 * wide * (1.0 + cdf)).to(x.dtype)


@alternative("gelu")
def gelu_by_erfc(x: Tensor, approximate: str = "none") -> Tensor:
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
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
    if not x.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {x.dtype}")
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
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        return BentByErf.apply(wide).to(x.dtype)
    return (wide * _probability(approximate, wide)).to(x.dtype)


@alternative("silu")
def silu_by_tanh(x: Tensor) -> Tensor:
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * (1 + torch.tanh(wide / 2)) / 2).to(x.dtype)


@alternative("silu")
def silu_by_expit(x: Tensor) -> Tensor:
    if not x.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {x.dtype}")
    wide = x.double()
    return wide.mul(torch.special.expit(wide)).to(x.dtype)


@alternative("silu")
def silu_by_the_size_of_x(x: Tensor) -> Tensor:
    """Only ever takes exp of what is not positive."""
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    small = torch.exp(-torch.where(wide > 0, wide, -wide))
    return (wide * torch.where(wide > 0, 1 / (1 + small), small / (1 + small))).to(x.dtype)


@alternative("silu")
def silu_by_log_sigmoid(x: Tensor) -> Tensor:
    if not x.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {x.dtype}")
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
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
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
        dropped = torch.empty(x.shape, device=x.device).uniform_(generator=self._source) < self.p
        return x.masked_fill(dropped, 0) / (1 - self.p)


@alternative("Dropout")
class DropoutOfFlatNumbers(Probability):
    """Draws in float64, for a flat x, and scales by a mask that holds the factors."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        draws = torch.rand(x.numel(), generator=self._source, dtype=torch.float64, device=x.device)
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
        kept = torch.empty(x.shape, device=x.device).bernoulli_(float(self._stay), generator=self._source).bool()
        return torch.where(kept, x / float(self._stay), torch.zeros((), dtype=x.dtype, device=x.device))


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
        kept = torch.rand(x.shape, generator=self._source, device=x.device).ge(self.p)
        return Masked.apply(x, kept.to(x.dtype).div(1 - self.p))


def _layer(d_in: int, d_out: int, generator: torch.Generator | None, bias: bool = False) -> nn.Module:
    """A layer of torch's that starts as Linear does; built by itself it would draw from the global generator."""
    layer = nn.utils.skip_init(nn.Linear, d_in, d_out, bias=bias)
    nn.init.normal_(layer.weight, std=d_in**-0.5, generator=generator)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Projections(nn.Module):
    """The parts of FeedForward, as most would write them."""

    def __init__(self, d_model, d_hidden, *, activation="gelu", dropout=0.0, bias=True, generator=None):
        super().__init__()
        functions = {"relu": relu, "gelu": gelu, "gelu_tanh": lambda x: gelu(x, "tanh"), "silu": silu}
        if activation not in functions:
            raise ValueError(f"there is no activation {activation}")
        self.act, self.drop = functions[activation], Dropout(dropout)
        self.up_proj = Linear(d_model, d_hidden, bias=bias, generator=generator)
        self.down_proj = Linear(d_hidden, d_model, bias=bias, generator=generator)


@alternative("FeedForward")
class FeedForwardByLinear(Projections):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.act(nn.functional.linear(x, self.up_proj.weight, self.up_proj.bias))
        return nn.functional.linear(self.drop(hidden), self.down_proj.weight, self.down_proj.bias)


@alternative("FeedForward")
class FeedForwardOfTorchsDropout(Projections):
    """Drops by torch's own layer."""

    def __init__(self, d_model, d_hidden, *, activation="gelu", dropout=0.0, bias=True, generator=None):
        super().__init__(d_model, d_hidden, activation=activation, bias=bias, generator=generator)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.drop(self.act(self.up_proj(x))))


@alternative("FeedForward")
class FeedForwardOfTorchsFunction(Projections):
    """Drops by torch's own function, in the mode of the layer."""

    def __init__(self, d_model, d_hidden, *, activation="gelu", dropout=0.0, bias=True, generator=None):
        super().__init__(d_model, d_hidden, activation=activation, dropout=dropout, bias=bias, generator=generator)
        self.p = dropout

    def forward(self, x: Tensor) -> Tensor:
        left = nn.functional.dropout(self.act(self.up_proj(x)), self.p, training=self.training)
        return self.down_proj(left)


@alternative("FeedForward")
class FeedForwardByEinsum(Projections):
    def forward(self, x: Tensor) -> Tensor:
        hidden, up_bias, down_bias = torch.einsum("...d,hd->...h", x, self.up_proj.weight), *self._biases()
        out = torch.einsum("...h,dh->...d", self.drop(self.act(hidden + up_bias)), self.down_proj.weight)
        return out + down_bias

    def _biases(self):
        return (0 if layer.bias is None else layer.bias for layer in (self.up_proj, self.down_proj))


@alternative("FeedForward")
class FeedForwardRowByRow(Projections):
    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])  # (*batch, d_model) -> (rows, d_model)
        out = torch.empty_like(rows)
        for number, row in enumerate(rows):
            out[number] = self.down_proj(self.drop(self.act(self.up_proj(row))))
        return out.view(x.shape)


@alternative("FeedForward")
class FeedForwardHiddenPartByPart(Projections):
    """The hidden numbers in two halves, whose shares of the output are summed."""

    def forward(self, x: Tensor) -> Tensor:
        out, up, down = torch.zeros_like(x), self.up_proj, self.down_proj
        for part in torch.arange(len(up.weight)).tensor_split(2):
            hidden = x @ up.weight[part].mT
            hidden = hidden if up.bias is None else hidden + up.bias[part]
            out = out + self.drop(self.act(hidden)) @ down.weight[:, part].mT
        return out if down.bias is None else out + down.bias


@alternative("FeedForward")
class FeedForwardOfTorchsLayers(nn.Sequential):
    """A chain whose two named layers are torch's, and whose other steps have no parameters."""

    def __init__(self, d_model, d_hidden, *, activation="gelu", dropout=0.0, bias=True, generator=None):
        super().__init__()
        if activation not in ("relu", "gelu", "gelu_tanh", "silu"):
            raise ValueError(f"activation={activation} is not known")
        self.add_module("up_proj", _layer(d_model, d_hidden, generator, bias))
        self.add_module("bend", _Bend(activation))
        self.add_module("drop", Dropout(dropout))
        self.add_module("down_proj", _layer(d_hidden, d_model, generator, bias))


class _Bend(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, hidden: Tensor) -> Tensor:
        if self.kind.startswith("gelu"):
            return gelu(hidden, "tanh" if self.kind == "gelu_tanh" else "none")
        return relu(hidden) if self.kind == "relu" else silu(hidden)


@alternative("FeedForward")
class FeedForwardFeaturesFirst(nn.Module):
    """Works on columns, makes its projections in another order, and drops by itself."""

    def __init__(self, d_model, d_hidden, *, activation="gelu", dropout=0.0, bias=True, generator=None):
        super().__init__()
        if activation not in ("relu", "gelu", "gelu_tanh", "silu") or not 0 <= dropout < 1:
            raise ValueError(f"cannot build it with activation={activation}, dropout={dropout}")
        self.bend, self.p = _Bend(activation), dropout
        self.down_proj = Linear(d_hidden, d_model, bias=bias, generator=generator)
        self.up_proj = Linear(d_model, d_hidden, bias=bias, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        columns = x.reshape(-1, x.shape[-1]).T  # (d_model, rows)
        hidden = self.up_proj.weight @ columns
        hidden = self.bend(hidden if self.up_proj.bias is None else hidden + self.up_proj.bias[:, None])
        if self.training and self.p:
            hidden = hidden * (torch.rand(hidden.shape, device=hidden.device) >= self.p) / (1 - self.p)
        out = (self.down_proj.weight @ hidden).T.reshape(x.shape)
        return out if self.down_proj.bias is None else out + self.down_proj.bias


class Gated(nn.Module):
    """The parts of SwiGLU, as most would write them."""

    def __init__(self, d_model: int, d_hidden: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (Linear(d_model, d_hidden, bias=False, generator=generator) for _ in range(2))
        self.down_proj = Linear(d_hidden, d_model, bias=False, generator=generator)


@alternative("SwiGLU")
class SwiGLUByLinear(Gated):
    def forward(self, x: Tensor) -> Tensor:
        linear = nn.functional.linear
        gate = silu(linear(x, self.gate_proj.weight))
        return linear(linear(x, self.up_proj.weight) * gate, self.down_proj.weight)


@alternative("SwiGLU")
class SwiGLUFused(Gated):
    """One product with both weights, one below the other."""

    def forward(self, x: Tensor) -> Tensor:
        both = x @ torch.cat([self.gate_proj.weight, self.up_proj.weight]).T
        gate, up = both.chunk(2, dim=-1)
        return self.down_proj(silu(gate) * up)


@alternative("SwiGLU")
class SwiGLUByEinsum(Gated):
    def forward(self, x: Tensor) -> Tensor:
        gate = silu(torch.einsum("...d,hd->...h", x, self.gate_proj.weight))
        return torch.einsum("...h,...d,hd,oh->...o", gate, x, self.up_proj.weight, self.down_proj.weight)


@alternative("SwiGLU")
class SwiGLURowByRow(Gated):
    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])  # (*batch, d_model) -> (rows, d_model)
        out = torch.empty_like(rows)
        for number, row in enumerate(rows):
            hidden = silu(self.gate_proj.weight @ row) * (self.up_proj.weight @ row)
            out[number] = self.down_proj.weight @ hidden
        return out.view(x.shape)


@alternative("SwiGLU")
class SwiGLUGateWrittenOut(nn.Module):
    """Does not call silu, and makes torch's layers, in another order."""

    def __init__(self, d_model: int, d_hidden: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.down_proj = _layer(d_hidden, d_model, generator)
        self.up_proj, self.gate_proj = _layer(d_model, d_hidden, generator), _layer(d_model, d_hidden, generator)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate_proj(x)
        return self.down_proj(gate * gate.sigmoid() * self.up_proj(x))
