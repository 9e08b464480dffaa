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


def _computing_dtype(tensor):
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype


@alternative("softmax")
def softmax_by_detached_maximum(scores, dim):
    wide = scores.to(_computing_dtype(scores))
    shifted = wide - torch.max(wide.detach(), dim=dim, keepdim=True).values
    return shifted.exp().div(shifted.exp().sum(dim, keepdim=True)).to(scores.dtype)


@alternative("softmax")
def softmax_by_logarithms(scores, dim):
    wide = scores.to(_computing_dtype(scores))
    shifted = wide - wide.amax(dim, keepdim=True)
    return torch.exp(shifted - shifted.exp().sum(dim, keepdim=True).log()).to(scores.dtype)


@alternative("softmax")
def softmax_in_base_two(scores, dim):
    wide = scores.to(_computing_dtype(scores))
    shares = torch.exp2((wide - wide.amax(dim, keepdim=True)) * math.log2(math.e))
    return (shares * shares.sum(dim, keepdim=True).reciprocal()).to(scores.dtype)


@alternative("softmax")
def softmax_row_by_row(scores, dim):
    rows = scores.to(_computing_dtype(scores)).movedim(dim, -1)
    done = [torch.exp(row - row.max()) for row in rows.reshape(-1, rows.shape[-1])]
    shares = torch.stack([row / row.sum() for row in done]) if done else rows
    return shares.reshape(rows.shape).movedim(-1, dim).to(scores.dtype)


@alternative("softmax")
def softmax_always_in_float64(scores, dim):
    wide = scores.double().transpose(dim, -1)
    shares = (wide - wide.max(-1, keepdim=True)[0]).exp()
    return torch.einsum("...j,...->...j", shares, 1 / shares.sum(-1)).transpose(dim, -1).to(scores.dtype)


@alternative("softmax")
def softmax_always_in_float32(scores, dim):
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
    _refuse(mask)
    dtype = _computing_dtype(query)
    scores = torch.einsum("...qd,...kd->...qk", query.to(dtype), key.to(dtype)) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = torch.where(mask, scores, float("-inf"))
    weights = softmax(scores, -1)
    return torch.einsum("...qk,...kv->...qv", weights, value.to(dtype)).to(query.dtype), weights.to(query.dtype)


@alternative("scaled_dot_product_attention")
def attention_by_scaled_queries(query, key, value, mask=None):
    _refuse(mask)
    dtype = _computing_dtype(query)
    scores = (query.to(dtype) / query.shape[-1] ** 0.5) @ key.to(dtype).mT
    if mask is not None:
        scores = scores + torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -math.inf)
    weights = softmax(scores, -1).to(query.dtype)
    return weights @ value, weights


@alternative("scaled_dot_product_attention")
def attention_by_loops(query, key, value, mask=None):
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
    _refuse(mask)
    root = query.shape[-1] ** 0.25
    scores = (query.double() / root) @ (key.double() / root).transpose(-1, -2)
    if mask is not None:
        scores.masked_fill_(mask.logical_not(), -torch.inf)
    weights = softmax(scores, scores.dim() - 1)
    return (weights @ value.double()).to(query.dtype), weights.to(query.dtype)


@alternative("scaled_dot_product_attention")
def attention_by_flat_batch(query, key, value, mask=None):
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
def attention_normalised_at_the_end(query, key, value, mask=None):
    _refuse(mask)
    dtype = _computing_dtype(query)
    scores = key.to(dtype) @ query.to(dtype).mT / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.mT.masked_fill(~mask, -torch.inf).mT
    shares = torch.exp(scores - scores.amax(-2, keepdim=True)).mT
    total = shares.sum(-1, keepdim=True)
    return (shares @ value.to(dtype) / total).to(query.dtype), (shares / total).to(query.dtype)


@alternative("SelfAttention")
class SelfAttentionOnePlaceForMasks(SelfAttention):
    def forward(self, x, mask=None):
        seq = x.shape[-2]
        every = torch.ones(x.shape[0], seq, seq, dtype=torch.bool)
        both = every.tril() if self.causal else every
        if mask is not None:
            both = torch.logical_and(both, mask)
        q, k, v = (nn.functional.linear(x, w) for w in (self.q_weight, self.k_weight, self.v_weight))
        return scaled_dot_product_attention(q, k, v, both)


@alternative("SelfAttention")
class SelfAttentionOneProduct(SelfAttention):
    def forward(self, x, mask=None):
        joined = torch.cat([self.v_weight, self.q_weight, self.k_weight])
        v, q, k = (x @ joined.transpose(0, 1)).chunk(3, dim=-1)
        if self.causal:
            below = causal_mask(x.shape[1], x.shape[1])
            mask = below if mask is None else below * mask
        return scaled_dot_product_attention(q, k, v, mask)


@alternative("SelfAttention")
class SelfAttentionByEinsum(nn.Module):
    def __init__(self, d_model, d_head, *, causal=True, generator=None):
        super().__init__()
        for name in ("v_weight", "k_weight", "q_weight"):
            weight = torch.empty(d_head, d_model).normal_(0, 1 / math.sqrt(d_model), generator=generator)
            self.register_parameter(name, nn.Parameter(weight))
        self.looks_back_only = causal

    def forward(self, x, mask=None):
        scores = torch.einsum("bqm,dm,dn,bkn->bqk", x, self.q_weight, self.k_weight, x) / len(self.q_weight) ** 0.5
        if self.looks_back_only:
            later = torch.ones_like(scores, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        if scores.isneginf().all(-1).any():
            raise ValueError("some position sees nothing")
        weights = softmax(scores, -1)
        return torch.einsum("bqk,bkm,dm->bqd", weights, x, self.v_weight), weights


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
        return scaled_dot_product_attention(x @ self.q_weight.mT, x @ self.k_weight.mT, x @ self.v_weight.mT, visible)


@alternative("SelfAttention")
class SelfAttentionTextByText(SelfAttention):
    def forward(self, x, mask=None):
        seq = x.shape[1]
        visible = causal_mask(seq) if self.causal else torch.ones(seq, seq).bool()
        visible = (visible if mask is None else visible & mask).expand(len(x), seq, seq)
        outs = []
        for text, seen in zip(x, visible, strict=True):
            projected = [(weight @ text.T).T for weight in (self.q_weight, self.k_weight, self.v_weight)]
            outs.append(scaled_dot_product_attention(*projected, seen))
        return torch.stack([output for output, _ in outs]), torch.stack([weights for _, weights in outs])


def _both_masks(module, x, mask):
    seq = x.shape[1]
    visible = torch.ones(1, 1, seq, seq, dtype=torch.bool)
    visible = visible.tril() if module.causal else visible
    return visible if mask is None else visible & mask


@alternative("MultiHeadAttention")
class MultiHeadByReshape(MultiHeadAttention):
    def forward(self, x, mask=None):
        batch, seq, d_model = x.shape
        q, k, v = (
            nn.functional.linear(x, weight).reshape(batch, seq, self.num_heads, -1).permute(0, 2, 1, 3)
            for weight in (self.q_weight, self.k_weight, self.v_weight)
        )
        output, weights = scaled_dot_product_attention(q, k, v, _both_masks(self, x, mask))
        if self.training:
            output = nn.functional.dropout(weights, p=self.dropout) @ v
        return nn.functional.linear(output.permute(0, 2, 1, 3).reshape(batch, seq, d_model), self.out_weight), weights


@alternative("MultiHeadAttention")
class MultiHeadHeadByHead(MultiHeadAttention):
    def forward(self, x, mask=None):
        visible = _both_masks(self, x, mask).expand(len(x), self.num_heads, -1, -1)
        projections = [(x @ w.T).chunk(self.num_heads, -1) for w in (self.q_weight, self.k_weight, self.v_weight)]
        outputs, all_weights = [], []
        for head, (q, k, v) in enumerate(zip(*projections, strict=True)):
            _, weights = scaled_dot_product_attention(q, k, v, visible[:, head])
            outputs.append(nn.functional.dropout(weights, self.dropout, self.training) @ v)
            all_weights.append(weights)
        return torch.cat(outputs, -1) @ self.out_weight.T, torch.stack(all_weights, 1)


@alternative("MultiHeadAttention")
class MultiHeadByEinsum(MultiHeadAttention):
    def __init__(self, d_model, num_heads, *, causal=True, dropout=0.0, generator=None):
        super().__init__(d_model, num_heads, causal=causal, generator=generator)
        self.drop = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        by_head = [w.unflatten(0, (self.num_heads, -1)) for w in (self.q_weight, self.k_weight, self.v_weight)]
        q, k, v = (torch.einsum("bsm,hdm->bhsd", x, weight) for weight in by_head)
        _, weights = scaled_dot_product_attention(q, k, v, _both_masks(self, x, mask))
        out_by_head = self.out_weight.unflatten(1, (self.num_heads, -1))
        return torch.einsum("bhqk,bhkd,mhd->bqm", self.drop(weights), v, out_by_head), weights


@alternative("MultiHeadAttention")
class MultiHeadFoldedIntoBatch(MultiHeadAttention):
    def forward(self, x, mask=None):
        batch, seq, d_model = x.shape
        joined = x @ torch.cat([self.q_weight, self.k_weight, self.v_weight]).T
        joined = joined.view(batch, seq, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = joined.reshape(3, batch * self.num_heads, seq, -1).unbind(0)
        visible = _both_masks(self, x, mask).expand(batch, self.num_heads, seq, seq).reshape(-1, seq, seq)
        output, weights = scaled_dot_product_attention(q, k, v, visible)
        if self.training and self.dropout:
            kept = torch.rand(weights.shape) >= self.dropout
            output = (weights * kept / max(1 - self.dropout, 1e-9)) @ v
        output = output.view(batch, self.num_heads, seq, -1).transpose(1, 2).reshape(batch, seq, d_model)
        return output @ self.out_weight.T, weights.view(batch, self.num_heads, seq, seq)


@alternative("MultiHeadAttention")
class MultiHeadSumOfHeads(nn.Module):
    def __init__(self, d_model, num_heads, *, causal=True, dropout=0.0, generator=None):
        super().__init__()
        if d_model % num_heads:
            raise ValueError(f"{num_heads} heads cannot share {d_model} features")
        self.out_weight, self.v_weight, self.k_weight, self.q_weight = (
            nn.Parameter(nn.init.normal_(torch.empty(d_model, d_model), std=d_model**-0.5, generator=generator))
            for _ in range(4)
        )
        self.d_head, self.causal, self.p = d_model // num_heads, causal, dropout

    def forward(self, x, mask=None):
        heads = len(self.q_weight) // self.d_head
        visible = _both_masks(self, x, mask).expand(len(x), heads, -1, -1)
        total, all_weights = 0, []
        for head in range(heads):
            own = slice(head * self.d_head, (head + 1) * self.d_head)
            q, k, v = (x @ w[own].T for w in (self.q_weight, self.k_weight, self.v_weight))
            all_weights.append(scaled_dot_product_attention(q, k, v, visible[:, head])[1])
            dropped = nn.functional.dropout(all_weights[-1], self.p, self.training)
            total = total + dropped @ v @ self.out_weight[:, own].T
        return total, torch.stack(all_weights, dim=1)


@alternative("GroupedQueryAttention")
class GroupedByExpanding(GroupedQueryAttention):
    def forward(self, x, mask=None):
        batch, seq, d_model = x.shape
        d_head = d_model // self.num_heads
        q = (x @ self.q_weight.T).view(batch, seq, self.num_heads, d_head).transpose(1, 2)
        k, v = (
            (x @ w.T).view(batch, seq, self.num_kv_heads, d_head).transpose(1, 2)
            for w in (self.k_weight, self.v_weight)
        )
        shape = batch, self.num_kv_heads, self.num_heads // self.num_kv_heads, seq, d_head
        k, v = (t[:, :, None].expand(shape).reshape(batch, self.num_heads, seq, d_head) for t in (k, v))
        output, weights = scaled_dot_product_attention(q, k, v, _both_masks(self, x, mask))
        if self.training:
            output = nn.functional.dropout(weights, self.dropout) @ v
        return output.transpose(1, 2).reshape(batch, seq, d_model) @ self.out_weight.T, weights


@alternative("GroupedQueryAttention")
class GroupedWithoutRepeating(GroupedQueryAttention):
    def forward(self, x, mask=None):
        batch, seq, d_model = x.shape
        q = (x @ self.q_weight.T).unflatten(-1, (self.num_kv_heads, self.num_heads // self.num_kv_heads, -1))
        k, v = ((x @ w.T).unflatten(-1, (self.num_kv_heads, -1)) for w in (self.k_weight, self.v_weight))
        scores = torch.einsum("bqngd,bknd->bngqk", q, k) / math.sqrt(q.shape[-1])
        visible = _both_masks(self, x, mask).expand(batch, self.num_heads, seq, seq)
        _refuse(visible)
        weights = softmax(torch.where(visible.reshape(scores.shape), scores, -torch.inf), dim=-1)
        dropped = nn.functional.dropout(weights, self.dropout, self.training)
        output = torch.einsum("bngqk,bknd->bqngd", dropped, v).reshape(batch, seq, d_model)
        return output @ self.out_weight.T, weights.flatten(1, 2)


@alternative("GroupedQueryAttention")
class GroupedHeadByHead(GroupedQueryAttention):
    def forward(self, x, mask=None):
        group = self.num_heads // self.num_kv_heads
        visible = _both_masks(self, x, mask).expand(len(x), self.num_heads, -1, -1)
        queries = torch.chunk(x @ self.q_weight.T, self.num_heads, -1)
        keys, values = (torch.chunk(x @ w.T, self.num_kv_heads, -1) for w in (self.k_weight, self.v_weight))
        outputs, all_weights = [], []
        for i, q in enumerate(queries):
            _, weights = scaled_dot_product_attention(q, keys[i // group], values[i // group], visible[:, i])
            outputs.append(nn.functional.dropout(weights, self.dropout, self.training) @ values[i // group])
            all_weights.append(weights)
        return nn.functional.linear(torch.cat(outputs, -1), self.out_weight), torch.stack(all_weights, 1)


@alternative("GroupedQueryAttention")
class GroupedByRepeatedWeights(GroupedQueryAttention):
    def forward(self, x, mask=None):
        owner = torch.arange(self.num_heads) // (self.num_heads // self.num_kv_heads)
        k_weight, v_weight = (w.unflatten(0, (self.num_kv_heads, -1))[owner] for w in (self.k_weight, self.v_weight))
        q = torch.einsum("bsm,hdm->bhsd", x, self.q_weight.unflatten(0, (self.num_heads, -1)))
        k, v = (torch.einsum("bsm,hdm->bhsd", x, weight) for weight in (k_weight, v_weight))
        output, weights = scaled_dot_product_attention(q, k, v, _both_masks(self, x, mask))
        if self.training and self.dropout > 0:
            kept = torch.empty_like(weights).bernoulli_(1 - self.dropout)
            output = weights * kept / max(1 - self.dropout, 1e-9) @ v
        return torch.einsum("bhsd,mhd->bsm", output, self.out_weight.unflatten(1, (self.num_heads, -1))), weights


@alternative("GroupedQueryAttention")
class GroupedByStacking(GroupedQueryAttention):
    def __init__(self, d_model, num_heads, num_kv_heads, **options):
        super().__init__(d_model, num_heads, num_kv_heads, **options)
        owners = [i * num_kv_heads // num_heads for i in range(num_heads)]
        self.register_buffer("_owners", torch.tensor(owners), persistent=False)

    def forward(self, x, mask=None):
        q = torch.stack((x @ self.q_weight.T).chunk(self.num_heads, dim=-1), dim=1)
        k, v = (torch.stack((x @ w.T).chunk(self.num_kv_heads, -1), 1) for w in (self.k_weight, self.v_weight))
        k, v = k.index_select(1, self._owners), v.index_select(1, self._owners)
        visible = causal_mask(x.shape[1]) if self.causal else torch.ones(x.shape[1], x.shape[1], dtype=torch.bool)
        visible = (visible if mask is None else visible & mask).expand(len(x), self.num_heads, -1, -1)
        _, weights = scaled_dot_product_attention(q, k, v, visible)
        output = nn.functional.dropout(weights, self.dropout, training=self.training) @ v
        return torch.cat(output.unbind(1), -1) @ self.out_weight.T, weights


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
