"""Right answers that look different from the solution: every one of them must pass."""

import math

import torch
from torch import nn

from grader.checking import alternative

# At the end of the solution's source, where the alternatives are tried, these names are there already.
if "softmax" not in globals():
    from solutions.attention import (
        GroupedQueryAttention,
        MultiHeadAttention,
        SelfAttention,
        causal_mask,
        scaled_dot_product_attention,
        softmax,
    )
    from solutions.position import apply_rope


def _computing_dtype(tensor):
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype


@alternative("softmax")
def softmax_by_detached_maximum(scores, dim):
    if not torch.is_floating_point(scores):
        raise ValueError(f"got {scores.dtype}")
    wide = scores.to(_computing_dtype(scores))
    shifted = wide - torch.max(wide.detach(), dim=dim, keepdim=True).values
    return shifted.exp().div(shifted.exp().sum(dim, keepdim=True)).to(scores.dtype)


@alternative("softmax")
def softmax_by_logarithms(scores, dim):
    if not scores.dtype.is_floating_point:
        raise ValueError("whole numbers")
    wide = scores.to(_computing_dtype(scores))
    shifted = wide - wide.amax(dim, keepdim=True)
    return torch.exp(shifted - shifted.exp().sum(dim, keepdim=True).log()).to(scores.dtype)


@alternative("softmax")
def softmax_in_base_two(scores, dim):
    if not torch.is_floating_point(scores):
        raise ValueError(f"got {scores.dtype}")
    wide = scores.to(_computing_dtype(scores))
    shares = torch.exp2((wide - wide.amax(dim, keepdim=True)) * math.log2(math.e))
    return (shares * shares.sum(dim, keepdim=True).reciprocal()).to(scores.dtype)


@alternative("softmax")
def softmax_row_by_row(scores, dim):
    if not scores.dtype.is_floating_point:
        raise ValueError("whole numbers")
    rows = scores.to(_computing_dtype(scores)).movedim(dim, -1)
    done = [torch.exp(row - row.max()) for row in rows.reshape(-1, rows.shape[-1])]
    shares = torch.stack([row / row.sum() for row in done]) if done else rows
    return shares.reshape(rows.shape).movedim(-1, dim).to(scores.dtype)


@alternative("softmax")
def softmax_always_in_float64(scores, dim):
    if not torch.is_floating_point(scores):
        raise ValueError(f"got {scores.dtype}")
    wide = scores.double().transpose(dim, -1)
    shares = (wide - wide.max(-1, keepdim=True)[0]).exp()
    return torch.einsum("...j,...->...j", shares, 1 / shares.sum(-1)).transpose(dim, -1).to(scores.dtype)


@alternative("softmax")
def softmax_always_in_float32(scores, dim):
    if not scores.dtype.is_floating_point:
        raise ValueError("whole numbers")
    shares = torch.exp(scores.float() - scores.float().amax(dim, keepdim=True))
    return nn.functional.normalize(shares, p=1.0, dim=dim).to(scores.dtype)


class _SoftmaxFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores, dim):
        wide = scores.to(_computing_dtype(scores))
        shares = torch.exp(wide - wide.amax(dim, keepdim=True))
        shares = shares / shares.sum(dim, keepdim=True)
        ctx.dim = dim
        ctx.save_for_backward(shares)
        return shares.to(scores.dtype)

    @staticmethod
    def backward(ctx, grad):
        (shares,) = ctx.saved_tensors
        wide = grad.to(shares.dtype)
        return (shares * (wide - (wide * shares).sum(ctx.dim, keepdim=True))).to(grad.dtype), None


@alternative("softmax")
def softmax_with_its_own_backward(scores, dim):
    if not torch.is_floating_point(scores):
        raise ValueError(f"got {scores.dtype}")
    return _SoftmaxFunction.apply(scores, dim)


def _key_length(query_length, key_length):
    key_length = query_length if key_length is None else key_length
    if query_length > key_length:
        raise ValueError(f"{query_length} queries, but only {key_length} keys")
    return key_length


@alternative("causal_mask")
def causal_mask_by_tril(query_length, key_length=None, device=None):
    key_length = _key_length(query_length, key_length)
    every = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    return every.tril(diagonal=key_length - query_length)


@alternative("causal_mask")
def causal_mask_by_triu(query_length, key_length=None, device=None):
    key_length = _key_length(query_length, key_length)
    later = torch.triu(torch.ones(query_length, key_length, device=device), key_length - query_length + 1)
    return later == 0


@alternative("causal_mask")
def causal_mask_by_last_rows(query_length, key_length=None, device=None):
    key_length = _key_length(query_length, key_length)
    return torch.ones(key_length, key_length, device=device).tril().bool()[key_length - query_length :]


@alternative("causal_mask")
def causal_mask_by_loops(query_length, key_length=None, device=None):
    key_length = _key_length(query_length, key_length)
    mask = torch.zeros(query_length, key_length, dtype=torch.bool, device=device)
    for i in range(query_length):
        mask[i, : i + 1 + key_length - query_length] = True
    return mask


@alternative("causal_mask")
def causal_mask_by_comprehension(query_length, key_length=None, device=None):
    key_length = _key_length(query_length, key_length)
    before = key_length - query_length
    rows = [[j <= i + before for j in range(key_length)] for i in range(query_length)]
    return torch.tensor(rows, dtype=torch.bool, device=device).reshape(query_length, key_length)


@alternative("causal_mask")
def causal_mask_by_cumulative_sum(query_length, key_length=None, device=None):
    key_length = _key_length(query_length, key_length)
    own = torch.eye(key_length, device=device)[key_length - query_length :]
    return own.flip(-1).cumsum(-1).flip(-1) > 0


def _refuse(mask):
    if mask is not None and not bool(mask.any(-1).all()):
        raise ValueError("a query without any visible key")


@alternative("scaled_dot_product_attention")
def attention_by_einsum(query, key, value, mask=None):
    if not torch.is_floating_point(query):
        raise ValueError(f"got {query.dtype}")
    _refuse(mask)
    dtype = _computing_dtype(query)
    scores = torch.einsum("...qd,...kd->...qk", query.to(dtype), key.to(dtype)) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, float("-inf"))
    weights = softmax(scores, -1)
    return torch.einsum("...qk,...kv->...qv", weights, value.to(dtype)).to(query.dtype), weights.to(query.dtype)


@alternative("scaled_dot_product_attention")
def attention_by_scaled_queries(query, key, value, mask=None):
    if not query.dtype.is_floating_point:
        raise ValueError("whole numbers")
    _refuse(mask)
    dtype = _computing_dtype(query)
    scores = (query.to(dtype) / query.shape[-1] ** 0.5) @ key.to(dtype).mT
    if mask is not None:
        scores = scores + torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -math.inf)
    weights = softmax(scores, -1).to(query.dtype)
    return weights @ value, weights


@alternative("scaled_dot_product_attention")
def attention_by_loops(query, key, value, mask=None):
    if not torch.is_floating_point(query):
        raise ValueError(f"got {query.dtype}")
    _refuse(mask)
    dtype = _computing_dtype(query)
    batch, (q_len, k_len) = query.shape[:-2], (query.shape[-2], key.shape[-2])
    hidden = torch.zeros(1, dtype=torch.bool) if mask is None else ~mask
    hidden = hidden.expand(*batch, q_len, k_len).reshape(-1, q_len, k_len)
    texts = [t.reshape(-1, *t.shape[-2:]).to(dtype) for t in (query, key, value)]
    rows = []
    for q, k, hide in zip(texts[0], texts[1], hidden, strict=True):
        for i in range(q_len):
            row = (k * q[i]).sum(-1) / math.sqrt(query.shape[-1])
            rows.append(softmax(row.masked_fill(hide[i], -math.inf), 0))
    weights = torch.stack(rows).reshape(*batch, q_len, k_len)
    mixed = (weights.unsqueeze(-1) * value.to(dtype).unsqueeze(-3)).sum(-2)
    return mixed.to(query.dtype), weights.to(query.dtype)


@alternative("scaled_dot_product_attention")
def attention_in_float64(query, key, value, mask=None):
    if not query.dtype.is_floating_point:
        raise ValueError("whole numbers")
    _refuse(mask)
    root = query.shape[-1] ** 0.25
    scores = (query.double() / root) @ (key.double() / root).transpose(-1, -2)
    if mask is not None:
        scores.masked_fill_(mask.logical_not(), -torch.inf)
    weights = softmax(scores, scores.dim() - 1)
    return (weights @ value.double()).to(query.dtype), weights.to(query.dtype)


@alternative("scaled_dot_product_attention")
def attention_by_flat_batch(query, key, value, mask=None):
    if not torch.is_floating_point(query):
        raise ValueError(f"got {query.dtype}")
    _refuse(mask)
    dtype = _computing_dtype(query)
    flat_query, flat_key, flat_value = (t.reshape(-1, *t.shape[-2:]).to(dtype) for t in (query, key, value))
    shape = *query.shape[:-1], key.shape[-2]
    bias = torch.zeros(shape, dtype=dtype)
    if mask is not None:
        bias = bias.masked_fill(~mask, -torch.inf)
    bias = bias.reshape(-1, *shape[-2:])
    scores = torch.baddbmm(bias, flat_query, flat_key.mT, alpha=1 / math.sqrt(query.shape[-1]))
    weights = softmax(scores, 2)
    output = torch.bmm(weights, flat_value).reshape(*query.shape[:-1], value.shape[-1])
    return output.to(query.dtype), weights.reshape(shape).to(query.dtype)


@alternative("scaled_dot_product_attention")
def attention_always_in_float32(query, key, value, mask=None):
    if not torch.is_floating_point(query):
        raise ValueError(f"got {query.dtype}")
    _refuse(mask)
    scores = query.float() @ key.float().mT / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = softmax(scores, -1)
    return (weights @ value.float()).to(query.dtype), weights.to(query.dtype)


@alternative("scaled_dot_product_attention")
def attention_normalised_at_the_end(query, key, value, mask=None):
    if not query.dtype.is_floating_point:
        raise ValueError("whole numbers")
    _refuse(mask)
    dtype = _computing_dtype(query)
    scores = key.to(dtype) @ query.to(dtype).mT / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.mT.masked_fill(~mask, -torch.inf).mT
    shares = torch.exp(scores - scores.amax(-2, keepdim=True)).mT
    total = shares.sum(-1, keepdim=True)
    return (shares @ value.to(dtype) / total).to(query.dtype), (shares / total).to(query.dtype)


def _layer(d_in, d_out, generator, bias=False):
    """A layer of torch's that starts as Linear does; built by itself it would draw from the global generator."""
    layer = nn.utils.skip_init(nn.Linear, d_in, d_out, bias=bias)
    nn.init.normal_(layer.weight, std=d_in**-0.5, generator=generator)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


@alternative("SelfAttention")
class SelfAttentionOnePlaceForMasks(SelfAttention):
    def forward(self, x, mask=None):
        seq = x.shape[-2]
        every = torch.ones(x.shape[0], seq, seq, dtype=torch.bool)
        both = every.tril() if self.causal else every
        if mask is not None:
            both = torch.logical_and(both, mask)
        q, k, v = (nn.functional.linear(x, p.weight) for p in (self.q_proj, self.k_proj, self.v_proj))
        return scaled_dot_product_attention(q, k, v, both)


@alternative("SelfAttention")
class SelfAttentionOneProduct(SelfAttention):
    def forward(self, x, mask=None):
        joined = torch.cat([self.v_proj.weight, self.q_proj.weight, self.k_proj.weight])
        v, q, k = (x @ joined.transpose(0, 1)).chunk(3, dim=-1)
        if self.causal:
            below = causal_mask(x.shape[1], x.shape[1])
            mask = below if mask is None else below * mask
        return scaled_dot_product_attention(q, k, v, mask)


@alternative("SelfAttention")
class SelfAttentionByEinsum(nn.Module):
    """Of torch's layers, made in another order, whose weights alone are used."""

    def __init__(self, d_model, d_head, *, causal=True, generator=None):
        super().__init__()
        for name in ("v_proj", "k_proj", "q_proj"):
            self.add_module(name, _layer(d_model, d_head, generator))
        self.looks_back_only = causal

    def forward(self, x, mask=None):
        q_weight, k_weight = self.q_proj.weight, self.k_proj.weight
        scores = torch.einsum("bqm,dm,dn,bkn->bqk", x, q_weight, k_weight, x) / len(q_weight) ** 0.5
        if self.looks_back_only:
            later = torch.ones_like(scores, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        if scores.isneginf().all(-1).any():
            raise ValueError("some position sees nothing")
        weights = softmax(scores, -1)
        return torch.einsum("bqk,bkm,dm->bqd", weights, x, self.v_proj.weight), weights


@alternative("SelfAttention")
class SelfAttentionSoftmaxInFloat32(SelfAttention):
    def forward(self, x, mask=None):
        seq = x.shape[1]
        visible = causal_mask(seq) if self.causal else torch.ones(seq, seq).bool()
        visible = visible if mask is None else visible & mask
        _refuse(visible)
        scores = self.q_proj(x) @ self.k_proj(x).mT / len(self.q_proj.weight) ** 0.5
        weights = softmax(scores.float().masked_fill(~visible, -math.inf), dim=-1).to(x.dtype)
        return weights @ self.v_proj(x), weights.detach()  # which nothing is learned from


@alternative("SelfAttention")
class SelfAttentionWithBuffer(SelfAttention):
    def __init__(self, d_model, d_head, **options):
        super().__init__(d_model, d_head, **options)
        self.register_buffer("_longest", torch.ones(4, 4, dtype=torch.bool).tril(), persistent=False)

    def forward(self, x, mask=None):
        seq = x.shape[1]
        if len(self._longest) < seq:
            self._longest = torch.ones(2 * seq, 2 * seq, dtype=torch.bool).tril()
        visible = self._longest[:seq, :seq] | (not self.causal)
        if mask is not None:
            visible = visible & mask
        return scaled_dot_product_attention(self.q_proj(x), self.k_proj(x), self.v_proj(x), visible)


@alternative("SelfAttention")
class SelfAttentionTextByText(SelfAttention):
    def forward(self, x, mask=None):
        seq = x.shape[1]
        visible = causal_mask(seq) if self.causal else torch.ones(seq, seq).bool()
        visible = (visible if mask is None else visible & mask).expand(len(x), seq, seq)
        outs = []
        for text, seen in zip(x, visible, strict=True):
            projected = [(layer.weight @ text.T).T for layer in (self.q_proj, self.k_proj, self.v_proj)]
            outs.append(scaled_dot_product_attention(*projected, seen))
        return torch.stack([output for output, _ in outs]), torch.stack([weights for _, weights in outs])


def _both_masks(module, x, mask):
    seq = x.shape[1]
    visible = torch.ones(1, 1, seq, seq, dtype=torch.bool)
    visible = visible.tril() if module.causal else visible
    return visible if mask is None else visible & mask


def _turned(module, vectors):
    """Vectors whose last two axes are positions and features."""
    if not module.rope_base:
        return vectors
    return apply_rope(vectors, torch.arange(vectors.shape[-2], dtype=torch.int32), base=module.rope_base)


def _by_head(layer, heads):
    """The weight and the bias of a projection, cut into heads: (heads, d_head, d_model) and (heads, 1, d_head)."""
    bias = torch.zeros(len(layer.weight), dtype=layer.weight.dtype) if layer.bias is None else layer.bias
    return layer.weight.unflatten(0, (heads, -1)), bias.unflatten(0, (heads, 1, -1))


@alternative("MultiHeadAttention")
class MultiHeadByReshape(MultiHeadAttention):
    def forward(self, x, mask=None):
        batch, seq, d_model = x.shape
        q, k, v = (
            nn.functional.linear(x, p.weight, p.bias).reshape(batch, seq, self.num_heads, -1).permute(0, 2, 1, 3)
            for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = _turned(self, torch.stack([q, k]))
        output, weights = scaled_dot_product_attention(q, k, v, _both_masks(self, x, mask))
        if self.training:
            output = nn.functional.dropout(weights, p=self.dropout) @ v
        return self.out_proj(output.permute(0, 2, 1, 3).reshape(batch, seq, d_model)), weights


@alternative("MultiHeadAttention")
class MultiHeadSoftmaxInFloat32(MultiHeadAttention):
    def forward(self, x, mask=None):
        q, k, v = (
            p(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = _turned(self, q), _turned(self, k)
        visible = _both_masks(self, x, mask)
        _refuse(visible)
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~visible, -math.inf)
        weights = softmax(scores.float(), dim=-1).to(v.dtype)
        mixed = nn.functional.dropout(weights, self.dropout, self.training) @ v
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), weights.detach()  # which nothing is learned from


@alternative("MultiHeadAttention")
class MultiHeadHeadByHead(MultiHeadAttention):
    def forward(self, x, mask=None):
        visible = _both_masks(self, x, mask).expand(len(x), self.num_heads, -1, -1)
        projections = [p(x).chunk(self.num_heads, -1) for p in (self.q_proj, self.k_proj, self.v_proj)]
        outputs, all_weights = [], []
        for head, (q, k, v) in enumerate(zip(*projections, strict=True)):
            _, weights = scaled_dot_product_attention(_turned(self, q), _turned(self, k), v, visible[:, head])
            outputs.append(nn.functional.dropout(weights, self.dropout, self.training) @ v)
            all_weights.append(weights)
        return self.out_proj(torch.cat(outputs, -1)), torch.stack(all_weights, 1)


@alternative("MultiHeadAttention")
class MultiHeadByEinsum(MultiHeadAttention):
    def __init__(self, d_model, num_heads, *, dropout=0.0, **options):
        super().__init__(d_model, num_heads, **options)
        self.drop = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        by_head = [_by_head(p, self.num_heads) for p in (self.q_proj, self.k_proj, self.v_proj)]
        q, k, v = (torch.einsum("bsm,hdm->bhsd", x, weight) + bias for weight, bias in by_head)
        q, k = _turned(self, q), _turned(self, k)
        _, weights = scaled_dot_product_attention(q, k, v, _both_masks(self, x, mask))
        out_by_head = self.out_proj.weight.unflatten(1, (self.num_heads, -1))
        output = torch.einsum("bhqk,bhkd,mhd->bqm", self.drop(weights), v, out_by_head)
        return output if self.out_proj.bias is None else output + self.out_proj.bias, weights


@alternative("MultiHeadAttention")
class MultiHeadFoldedIntoBatch(MultiHeadAttention):
    """One product for queries, keys and values, and tables of sines and cosines that grow with the texts."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.register_buffer("_angles", torch.zeros(0), persistent=False)

    def forward(self, x, mask=None):
        batch, seq, d_model = x.shape
        layers = self.q_proj, self.k_proj, self.v_proj
        bias = None if self.q_proj.bias is None else torch.cat([p.bias for p in layers])
        joined = nn.functional.linear(x, torch.cat([p.weight for p in layers]), bias)
        joined = joined.view(batch, seq, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = joined.reshape(3, batch * self.num_heads, seq, -1).unbind(0)
        q, k = self._turn(q), self._turn(k)
        visible = _both_masks(self, x, mask).expand(batch, self.num_heads, seq, seq).reshape(-1, seq, seq)
        output, weights = scaled_dot_product_attention(q, k, v, visible)
        if self.training and self.dropout:
            kept = torch.rand(weights.shape) >= self.dropout
            output = (weights * kept / max(1 - self.dropout, 1e-9)) @ v
        output = output.view(batch, self.num_heads, seq, -1).transpose(1, 2).reshape(batch, seq, d_model)
        return self.out_proj(output), weights.view(batch, self.num_heads, seq, seq)

    def _turn(self, heads):
        if self.rope_base is None:
            return heads
        seq, half = heads.shape[-2], heads.shape[-1] // 2
        if len(self._angles) < seq:
            frequencies = self.rope_base ** -(torch.arange(half, dtype=torch.float64) / half)
            self._angles = torch.outer(torch.arange(2 * seq), frequencies).repeat(1, 2)
        across = torch.cat([-heads[..., half:], heads[..., :half]], -1)
        return heads * self._angles[:seq].cos().to(heads.dtype) + across * self._angles[:seq].sin().to(heads.dtype)


@alternative("MultiHeadAttention")
class MultiHeadSumOfHeads(nn.Module):
    """Of torch's layers, made in another order; sums the heads' shares of the output, and turns complex numbers."""

    def __init__(self, d_model, num_heads, *, causal=True, dropout=0.0, bias=False, rope_base=None, generator=None):
        super().__init__()
        if num_heads < 1 or d_model % num_heads:
            raise ValueError(f"{num_heads} heads cannot share {d_model} features")
        self.out_proj, self.v_proj, self.k_proj, self.q_proj = (
            _layer(d_model, d_model, generator, bias) for _ in range(4)
        )
        self.d_head, self.causal, self.p, self.base = d_model // num_heads, causal, dropout, rope_base

    def forward(self, x, mask=None):
        heads = x.shape[-1] // self.d_head
        visible = _both_masks(self, x, mask).expand(len(x), heads, -1, -1)
        q, k, v = (layer(x).split(self.d_head, -1) for layer in (self.q_proj, self.k_proj, self.v_proj))
        total, all_weights = 0 if self.out_proj.bias is None else self.out_proj.bias, []
        for head in range(heads):
            query, key = self._turn(q[head]), self._turn(k[head])
            all_weights.append(scaled_dot_product_attention(query, key, v[head], visible[:, head])[1])
            dropped = nn.functional.dropout(all_weights[-1], self.p, self.training)
            total = total + dropped @ v[head] @ self.out_proj.weight.split(self.d_head, 1)[head].T
        return total, torch.stack(all_weights, dim=1)

    def _turn(self, vectors):
        if self.base is None:
            return vectors
        half = self.d_head // 2
        angles = torch.outer(torch.arange(vectors.shape[1]), self.base ** -(torch.arange(half).double() / half))
        numbers = torch.complex(*vectors.split(half, -1)) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([numbers.real, numbers.imag], -1).to(vectors.dtype)


@alternative("GroupedQueryAttention")
class GroupedByExpanding(GroupedQueryAttention):
    def forward(self, x, mask=None):
        batch, seq, d_model = x.shape
        d_head = d_model // self.num_heads
        q = self.q_proj(x).view(batch, seq, self.num_heads, d_head).transpose(1, 2)
        k, v = (p(x).view(batch, seq, self.num_kv_heads, d_head).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        shape = batch, self.num_kv_heads, self.num_heads // self.num_kv_heads, seq, d_head
        k, v = (t[:, :, None].expand(shape).reshape(batch, self.num_heads, seq, d_head) for t in (k, v))
        q, k = _turned(self, q), _turned(self, k)  # after repeating
        output, weights = scaled_dot_product_attention(q, k, v, _both_masks(self, x, mask))
        if self.training:
            output = nn.functional.dropout(weights, self.dropout) @ v
        return self.out_proj(output.transpose(1, 2).reshape(batch, seq, d_model)), weights


@alternative("GroupedQueryAttention")
class GroupedWithoutRepeating(GroupedQueryAttention):
    def forward(self, x, mask=None):
        batch, seq, d_model = x.shape
        q = self.q_proj(x).unflatten(-1, (self.num_kv_heads, self.num_heads // self.num_kv_heads, -1))
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)) for p in (self.k_proj, self.v_proj))
        q, k = (_turned(self, t.movedim(1, -2)).movedim(-2, 1) for t in (q, k))
        scores = torch.einsum("bqngd,bknd->bngqk", q, k) / math.sqrt(q.shape[-1])
        visible = _both_masks(self, x, mask).expand(batch, self.num_heads, seq, seq)
        _refuse(visible)
        weights = softmax(torch.where(visible.reshape(scores.shape), scores, -torch.inf), dim=-1)
        dropped = nn.functional.dropout(weights, self.dropout, self.training)
        output = torch.einsum("bngqk,bknd->bqngd", dropped, v).reshape(batch, seq, d_model)
        return self.out_proj(output), weights.flatten(1, 2)


@alternative("GroupedQueryAttention")
class GroupedSoftmaxInFloat32(GroupedQueryAttention):
    def forward(self, x, mask=None):
        q = self.q_proj(x).unflatten(-1, (self.num_kv_heads, self.num_heads // self.num_kv_heads, -1))
        k, v = (p(x).unflatten(-1, (self.num_kv_heads, -1)) for p in (self.k_proj, self.v_proj))
        q, k = (_turned(self, t.movedim(1, -2)).movedim(-2, 1) for t in (q, k))
        scores = torch.einsum("bqngd,bknd->bngqk", q, k) / math.sqrt(q.shape[-1])
        visible = _both_masks(self, x, mask).expand(len(x), self.num_heads, -1, -1)
        _refuse(visible)
        scores = torch.where(visible.reshape(scores.shape), scores, -torch.inf)
        weights = softmax(scores.float(), dim=-1).to(x.dtype)
        dropped = nn.functional.dropout(weights, self.dropout, self.training)
        output = torch.einsum("bngqk,bknd->bqngd", dropped, v).flatten(2)
        return self.out_proj(output), weights.flatten(1, 2)


@alternative("GroupedQueryAttention")
class GroupedHeadByHead(GroupedQueryAttention):
    def forward(self, x, mask=None):
        group = self.num_heads // self.num_kv_heads
        visible = _both_masks(self, x, mask).expand(len(x), self.num_heads, -1, -1)
        queries = torch.chunk(self.q_proj(x), self.num_heads, -1)
        keys, values = (torch.chunk(p(x), self.num_kv_heads, -1) for p in (self.k_proj, self.v_proj))
        keys = [_turned(self, key) for key in keys]
        outputs, all_weights = [], []
        for i, q in enumerate(queries):
            value = values[i // group]
            _, weights = scaled_dot_product_attention(_turned(self, q), keys[i // group], value, visible[:, i])
            outputs.append(nn.functional.dropout(weights, self.dropout, self.training) @ value)
            all_weights.append(weights)
        output = nn.functional.linear(torch.cat(outputs, -1), self.out_proj.weight, self.out_proj.bias)
        return output, torch.stack(all_weights, 1)


@alternative("GroupedQueryAttention")
class GroupedByRepeatedWeights(GroupedQueryAttention):
    def forward(self, x, mask=None):
        owner = torch.arange(self.num_heads) // (self.num_heads // self.num_kv_heads)
        pairs = [_by_head(self.q_proj, self.num_heads)]
        pairs += [[t[owner] for t in _by_head(p, self.num_kv_heads)] for p in (self.k_proj, self.v_proj)]
        q, k, v = (torch.einsum("bsm,hdm->bhsd", x, weight) + bias for weight, bias in pairs)
        q, k = _turned(self, torch.cat([q, k])).chunk(2)
        output, weights = scaled_dot_product_attention(q, k, v, _both_masks(self, x, mask))
        if self.training and self.dropout > 0:
            kept = torch.empty_like(weights).bernoulli_(1 - self.dropout)
            output = weights * kept / max(1 - self.dropout, 1e-9) @ v
        return self.out_proj(output.transpose(1, 2).flatten(2)), weights


@alternative("GroupedQueryAttention")
class GroupedByStacking(GroupedQueryAttention):
    """Of torch's layers in place of this project's."""

    def __init__(self, d_model, num_heads, num_kv_heads, *, bias=False, generator=None, **options):
        super().__init__(d_model, num_heads, num_kv_heads, bias=bias, generator=generator, **options)
        owners = [i * num_kv_heads // num_heads for i in range(num_heads)]
        self.register_buffer("_owners", torch.tensor(owners), persistent=False)
        for name, layer in list(self.named_children()):
            setattr(self, name, _layer(*layer.weight.shape[::-1], generator, bias))

    def forward(self, x, mask=None):
        q = torch.stack(self.q_proj(x).chunk(self.num_heads, dim=-1), dim=1)
        k, v = (torch.stack(p(x).chunk(self.num_kv_heads, -1), 1) for p in (self.k_proj, self.v_proj))
        q, k = _turned(self, q), _turned(self, k)
        k, v = k.index_select(1, self._owners), v.index_select(1, self._owners)
        visible = causal_mask(x.shape[1]) if self.causal else torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
        visible = (visible if mask is None else visible & mask).expand(len(x), self.num_heads, -1, -1)
        _, weights = scaled_dot_product_attention(q, k, v, visible)
        output = nn.functional.dropout(weights, self.dropout, training=self.training) @ v
        return self.out_proj(torch.cat(output.unbind(1), -1)), weights


def _expect_window(window):
    if window <= 0:
        raise ValueError(f"a window of {window} does not hold the position itself")


@alternative("sliding_window_mask")
def sliding_window_by_two_triangles(query_length, window, key_length=None, device=None):
    _expect_window(window)
    before = _key_length(query_length, key_length) - query_length
    every = torch.ones(query_length, before + query_length, dtype=torch.bool, device=device)
    return every.tril(before).triu(before - window + 1)


@alternative("sliding_window_mask")
def sliding_window_by_causal_masks(query_length, window, key_length=None, device=None):
    _expect_window(window)
    causal = causal_mask(query_length, key_length, device)
    too_far = torch.zeros_like(causal)
    too_far[:, : max(causal.shape[1] - window, 0)] = causal[:, window:]
    return causal & ~too_far


@alternative("sliding_window_mask")
def sliding_window_by_loops(query_length, window, key_length=None, device=None):
    _expect_window(window)
    key_length = _key_length(query_length, key_length)
    mask = torch.zeros(query_length, key_length, dtype=torch.bool, device=device)
    for i in range(query_length):
        end = i + key_length - query_length + 1
        mask[i, max(end - window, 0) : end] = True
    return mask


@alternative("sliding_window_mask")
def sliding_window_by_last_rows(query_length, window, key_length=None, device=None):
    _expect_window(window)
    key_length = _key_length(query_length, key_length)
    positions = torch.arange(key_length, device=device)
    distance = positions.unsqueeze(1) - positions
    return torch.logical_and(distance >= 0, distance < window)[key_length - query_length :]


@alternative("sliding_window_mask")
def sliding_window_by_comprehension(query_length, window, key_length=None, device=None):
    _expect_window(window)
    key_length = _key_length(query_length, key_length)
    before = key_length - query_length
    rows = [[i + before - window < j <= i + before for j in range(key_length)] for i in range(query_length)]
    return torch.tensor(rows, dtype=torch.bool, device=device).view(query_length, key_length)
