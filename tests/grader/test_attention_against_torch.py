"""The reference's attention against torch's own: values, weights, gradients and the layout of the parameters."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from solutions import attention

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(d_model, num_heads, bias):
    """Our attention and torch's with the same weights and biases, none of which is 0."""
    ours = attention.MultiHeadAttention(d_model, num_heads, bias=bias).double()
    theirs = nn.MultiheadAttention(d_model, num_heads, bias=bias, batch_first=True).double()
    with torch.no_grad():
        for seed, parameter in enumerate(ours.parameters()):
            parameter.copy_(normal(seed, *parameter.shape))
        inputs = (ours.q_proj, ours.k_proj, ours.v_proj)
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in inputs]))
        if bias:
            theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in inputs]))
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    return ours, theirs


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("num_heads", [1, 3, 12])
def test_multi_head_attention_is_that_of_torch(bias, num_heads):
    ours, theirs = pair(12, num_heads, bias)
    x = normal(7, 2, 5, 12)
    hidden = ~attention.causal_mask(5)  # in torch's module, True = may not attend
    results = []
    for own, call in ((ours, ours), (theirs, lambda x: theirs(x, x, x, attn_mask=hidden, average_attn_weights=False))):
        given = x.clone().requires_grad_()
        output, weights = call(given)
        wanted = [given, *own.out_proj.parameters()]
        gradients = torch.autograd.grad((output * normal(8, *output.shape)).sum(), wanted)
        results.append((output.detach(), weights.detach(), *gradients))
    torch.testing.assert_close(*results, **EXACT)


@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
def test_grouped_query_attention_is_that_of_torch(num_kv_heads):
    ours = attention.GroupedQueryAttention(24, 6, num_kv_heads, bias=True).double()
    x = normal(7, 2, 5, 24)
    layers = ours.q_proj, ours.k_proj, ours.v_proj
    query, key, value = (layer(x).unflatten(-1, (-1, 4)).transpose(1, 2) for layer in layers)
    mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(ours(x)[0], ours.out_proj(mixed.transpose(1, 2).flatten(2)), **EXACT)


def test_attention_on_shorter_queries_is_that_of_torch():
    query, key, value = normal(1, 2, 3, 5, 8), normal(2, 2, 3, 7, 8), normal(3, 2, 3, 7, 4)
    mask = attention.causal_mask(5, 7)
    ours, _ = attention.scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(ours, functional.scaled_dot_product_attention(query, key, value, mask), **EXACT)
