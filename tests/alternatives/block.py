"""Valid but different ways to write `block`: each must pass every test."""

from functools import partial

import torch
from torch import nn

from grader.checking import alternative
from solutions.block import (
    Dropout,
    FeedForward,
    GroupedQueryAttention,
    LayerNorm,
    MultiHeadAttention,
    RMSNorm,
    SwiGLU,
    make_feedforward,
    make_norm,
)


def _unknown(name, got):
    return ValueError(f"unknown {name}: {got}")


def _one_of(name, got, *known):
    if got not in known:
        raise _unknown(name, got)
    return known.index(got)


@alternative("make_norm")
def make_norm_by_a_dict(norm, d_model, eps, bias):
    makers = {"layernorm": lambda: LayerNorm(d_model, eps, bias), "rmsnorm": lambda: RMSNorm(d_model, eps)}
    if norm not in makers:
        raise _unknown("norm", norm)
    return makers[norm]()


@alternative("make_norm")
def make_norm_by_match(norm, d_model, eps, bias):
    match norm:
        case "layernorm":
            return LayerNorm(d_model, bias=bias, eps=eps)
        case "rmsnorm":
            return RMSNorm(d_model, eps=eps)
        case _:
            raise _unknown("norm", norm)


@alternative("make_norm")
def make_norm_by_a_partial(norm, d_model, eps, bias):
    try:
        make = {"layernorm": partial(LayerNorm, bias=bias), "rmsnorm": RMSNorm}[norm]
    except KeyError:
        raise ValueError(f"there is no norm of the name {norm!r}") from None
    return make(d_model, eps=eps)


@alternative("make_norm")
def make_norm_checked_first(norm, d_model, eps, bias):
    second = _one_of("norm", norm, "layernorm", "rmsnorm")
    return RMSNorm(d_model, eps) if second else LayerNorm(d_model, eps, bias)


class _OwnRMSNorm(nn.Module):
    def __init__(self, d_model, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d_model)), eps

    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt() * self.weight


@alternative("make_norm")
def make_norm_with_a_norm_of_its_own(norm, d_model, eps, bias):
    if _one_of("norm", norm, "layernorm", "rmsnorm"):
        return _OwnRMSNorm(d_model, eps)
    made = LayerNorm(d_model, eps=eps)
    if not bias:
        made.bias = None
    return made


@alternative("make_feedforward")
def make_feedforward_by_a_dict(feedforward, d_model, d_hidden, *, activation, bias, generator=None):
    makers = {"mlp": partial(FeedForward, activation=activation, bias=bias), "swiglu": SwiGLU}
    if feedforward not in makers:
        raise _unknown("feedforward", feedforward)
    return makers[feedforward](d_model, d_hidden, generator=generator)


@alternative("make_feedforward")
def make_feedforward_by_match(feedforward, d_model, d_hidden, *, activation, bias, generator=None):
    match feedforward:
        case "mlp":
            return FeedForward(d_model, d_hidden, activation=activation, bias=bias, generator=generator)
        case "swiglu":
            return SwiGLU(d_model, d_hidden, generator=generator)
    raise _unknown("feedforward", feedforward)


@alternative("make_feedforward")
def make_feedforward_by_options(feedforward, d_model, d_hidden, **options):
    generator = options.pop("generator", None)
    if _one_of("feedforward", feedforward, "mlp", "swiglu"):
        return SwiGLU(d_model, d_hidden, generator=generator)
    return FeedForward(d_model, d_hidden, dropout=0.0, generator=generator, **options)


class _OwnSwiGLU(nn.Module):
    def __init__(self, d_model, d_hidden, generator):
        super().__init__()
        # Two plain layers of the FeedForward, of which one is asked for its way up alone; other order of drawing.
        made = FeedForward(d_model, d_hidden, bias=False, generator=generator)
        gate = FeedForward(d_model, d_hidden, bias=False, generator=generator)
        self.down_proj, self.up_proj, self.gate_proj = made.down_proj, made.up_proj, gate.up_proj

    def forward(self, x):
        gate = self.gate_proj(x)
        return self.down_proj(gate * torch.sigmoid(gate) * self.up_proj(x))


@alternative("make_feedforward")
def make_feedforward_with_a_gate_of_its_own(feedforward, d_model, d_hidden, *, activation, bias, generator=None):
    if _one_of("feedforward", feedforward, "mlp", "swiglu"):
        return _OwnSwiGLU(d_model, d_hidden, generator)
    return FeedForward(d_model, d_hidden, activation=activation, bias=bias, generator=generator)


class _WithoutDropout(FeedForward):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.name = self.activation
        del self.dropout

    def forward(self, x):
        hidden = self.up_proj(x)
        bent = {
            "relu": lambda: hidden.clamp(min=0),
            "gelu": lambda: hidden * (1 + torch.erf(hidden / 2**0.5)) / 2,
            "gelu_tanh": lambda: hidden * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (hidden + 0.044715 * hidden**3))) / 2,
            "silu": lambda: hidden * torch.sigmoid(hidden),
        }[self.name]()
        return self.down_proj(bent)


@alternative("make_feedforward")
def make_feedforward_without_any_dropout(feedforward, d_model, d_hidden, *, activation, bias, generator=None):
    if feedforward == "swiglu":
        return SwiGLU(d_model, d_hidden, generator=generator)
    if feedforward != "mlp":
        raise _unknown("feedforward", feedforward)
    return _WithoutDropout(d_model, d_hidden, activation=activation, bias=bias, generator=generator)


class Parts(nn.Module):
    """The parts of a block, as most would make them; the forward differs."""

    def __init__(
        self,
        d_model,
        num_heads,
        d_hidden,
        *,
        num_kv_heads=None,
        norm="layernorm",
        norm_position="pre",
        norm_eps=1e-5,
        feedforward="mlp",
        activation="gelu",
        dropout=0.0,
        bias=True,
        rope_base=None,
        generator=None,
    ):
        super().__init__()
        self.post = bool(_one_of("norm_position", norm_position, "pre", "post"))
        self.p = dropout
        self.drop = Dropout(dropout)
        attention = MultiHeadAttention
        if num_kv_heads is not None:
            attention = partial(GroupedQueryAttention, num_kv_heads=num_kv_heads)
        self.attention_norm, self.feedforward_norm = (make_norm(norm, d_model, norm_eps, bias) for _ in range(2))
        self.attention = attention(
            d_model, num_heads, dropout=dropout, bias=bias, rope_base=rope_base, generator=generator
        )
        self.feedforward = make_feedforward(
            feedforward, d_model, d_hidden, activation=activation, bias=bias, generator=generator
        )


@alternative("TransformerBlock")
class BlockByALoop(Parts):
    def forward(self, x, mask=None):
        steps = (
            (self.attention_norm, lambda h: self.attention(h, mask)[0]),
            (self.feedforward_norm, self.feedforward),
        )
        for norm, layer in steps:
            x = norm(x + self.drop(layer(x))) if self.post else x + self.drop(layer(norm(x)))
        return x


@alternative("TransformerBlock")
class BlockByAStep(Parts):
    def _step(self, x, norm, layer, *args):
        read = x if self.post else norm(x)
        added = layer(read, *args)
        total = torch.add(x, self.drop(added[0] if isinstance(added, tuple) else added))
        return norm(total) if self.post else total

    def forward(self, x, mask=None):
        return self._step(
            self._step(x, self.attention_norm, self.attention, mask), self.feedforward_norm, self.feedforward
        )


@alternative("TransformerBlock")
class BlockWithDropoutByHand(Parts):
    def _drop(self, added):
        if not self.training or self.p == 0:
            return added
        return added * torch.bernoulli(torch.full_like(added, 1 - self.p)) / (1 - self.p)

    def forward(self, x, mask=None):
        if self.post:
            h = self.attention_norm(self._drop(self.attention(x, mask=mask)[0]) + x)
            return self.feedforward_norm(self._drop(self.feedforward(h)) + h)
        h = self._drop(self.attention(self.attention_norm(x), mask=mask)[0]) + x
        return self._drop(self.feedforward(self.feedforward_norm(h))) + h


@alternative("TransformerBlock")
class BlockWithTorchsDropout(Parts):
    def forward(self, x, mask=None):
        drop = partial(nn.functional.dropout, p=self.p, training=self.training)
        if not self.post:
            out, _ = self.attention(self.attention_norm(x), mask)
            h = drop(out) + x
            return drop(self.feedforward(self.feedforward_norm(h))) + h
        out, _ = self.attention(x, mask)
        h = self.attention_norm(drop(out) + x)
        return self.feedforward_norm(drop(self.feedforward(h)) + h)


@alternative("TransformerBlock")
class BlockTextByText(Parts):
    """One text after the other, with the sums kept apart until the end."""

    def forward(self, x, mask=None):
        if mask is not None:
            mask = mask.expand(x.shape[0], *mask.shape[-3:])
        texts = [self._one(x[i : i + 1], None if mask is None else mask[i : i + 1]) for i in range(x.shape[0])]
        return torch.cat(texts) if texts else torch.zeros_like(x)

    def _one(self, x, mask):
        if self.post:
            h = self.attention_norm(x + self.drop(self.attention(x, mask)[0]))
            return self.feedforward_norm(h + self.drop(self.feedforward(h)))
        first = self.drop(self.attention(self.attention_norm(x), mask)[0])
        second = self.drop(self.feedforward(self.feedforward_norm(x + first)))
        return torch.stack([x, first, second]).sum(dim=0)


@alternative("TransformerBlock")
class BlockOfTwoKinds(nn.Module):
    """Made in another order, always by grouped-query attention, with its formula chosen once."""

    def __init__(self, d_model, num_heads, d_hidden, **options):
        super().__init__()
        chosen = {"norm": "layernorm", "norm_position": "pre", "norm_eps": 1e-5, "feedforward": "mlp"} | options
        bias, generator, dropout = options.get("bias", True), options.get("generator"), options.get("dropout", 0.0)
        self.attention_drop, self.feedforward_drop = nn.Dropout(dropout), nn.Dropout(dropout)
        self.feedforward = make_feedforward(
            chosen["feedforward"],
            d_model,
            d_hidden,
            activation=options.get("activation", "gelu"),
            bias=bias,
            generator=generator,
        )
        self.feedforward_norm = make_norm(chosen["norm"], d_model, chosen["norm_eps"], bias)
        groups = options.get("num_kv_heads")
        self.attention = GroupedQueryAttention(
            d_model,
            num_heads,
            num_heads if groups is None else groups,
            rope_base=options.get("rope_base"),
            dropout=dropout,
            bias=bias,
            generator=generator,
        )
        self.attention_norm = make_norm(chosen["norm"], d_model, chosen["norm_eps"], bias)
        self.kind = ("_pre", "_post")[_one_of("norm_position", chosen["norm_position"], "pre", "post")]

    def forward(self, x, mask=None):
        return getattr(self, self.kind)(x, mask)

    def _pre(self, x, mask):
        stream = x.clone()
        stream += self.attention_drop(self.attention(self.attention_norm(x), mask)[0])
        return stream + self.feedforward_drop(self.feedforward(self.feedforward_norm(stream)))

    def _post(self, x, mask):
        h = self.attention_norm(x + self.attention_drop(self.attention(x, mask)[0]))
        return self.feedforward_norm(h + self.feedforward_drop(self.feedforward(h)))
