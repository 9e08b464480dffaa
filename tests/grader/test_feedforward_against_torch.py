"""The reference's feed-forward layers against torch's own: activations, dropout, and both layers from linear ones."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from solutions import feedforward

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
ACTIVATIONS = {
    "relu": (feedforward.relu, functional.relu),
    "gelu": (feedforward.gelu, functional.gelu),
    "gelu_tanh": (
        lambda x: feedforward.gelu(x, approximate="tanh"),
        lambda x: functional.gelu(x, approximate="tanh"),
    ),
    "silu": (feedforward.silu, functional.silu),
}
each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def normal(*shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def gradient(function, x):
    leaf = x.clone().requires_grad_()
    function(leaf).sum().backward()
    return leaf.grad


@each_dtype
@each_activation
def test_values_and_gradients_are_those_of_torch(name, dtype):
    ours, theirs = ACTIVATIONS[name]
    x = torch.cat([normal(500, dtype=dtype) * 3, torch.tensor([-1e4, -100, 0, 100, 1e4], dtype=dtype)])
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(gradient(ours, x), gradient(theirs, x))


@each_dtype
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5])
def test_dropout_makes_the_same_values_as_often_as_torch(p, dtype):
    x = torch.full((200, 500), 3.0, dtype=dtype)
    ours = feedforward.Dropout(p, generator=torch.Generator().manual_seed(1))(x)
    theirs = functional.dropout(x, p)
    assert ours.dtype is theirs.dtype
    torch.testing.assert_close(ours.unique(), theirs.unique())
    assert ours.double().mean().item() == pytest.approx(3, abs=0.1)


def test_dropout_in_evaluation_is_the_identity_as_in_torch():
    x = normal(3, 4)
    assert torch.equal(feedforward.Dropout(0.5).eval()(x), nn.Dropout(0.5).eval()(x))


@pytest.mark.parametrize("bias", [True, False])
@each_activation
def test_feed_forward_is_two_linear_layers_with_an_activation_between(name, bias):
    ours = feedforward.FeedForward(6, 10, activation=name, bias=bias).double()
    up, down = nn.Linear(6, 10, bias=bias).double(), nn.Linear(10, 6, bias=bias).double()
    for layer, prefix in ((up, "up"), (down, "down")):
        # Under torch's names and shapes, strictly: each parameter of one has its counterpart in the other.
        layer.load_state_dict(getattr(ours, f"{prefix}_proj").state_dict())
    x = normal(2, 3, 6)
    torch.testing.assert_close(ours(x), down(ACTIVATIONS[name][1](up(x))))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_feed_forward_is_the_one_inside_of_torchs_encoder_layer(activation):
    theirs = nn.TransformerEncoderLayer(6, 2, dim_feedforward=10, activation=activation, dropout=0.5).double().eval()
    ours = feedforward.FeedForward(6, 10, activation=activation, dropout=0.5).double().eval()
    ours.up_proj.load_state_dict(theirs.linear1.state_dict())
    ours.down_proj.load_state_dict(theirs.linear2.state_dict())
    x = normal(2, 3, 6)
    torch.testing.assert_close(ours(x), theirs.linear2(theirs.dropout(theirs.activation(theirs.linear1(x)))))


def test_swiglu_is_three_linear_layers_and_torchs_silu():
    layer = feedforward.SwiGLU(6, 10).double()
    x = normal(2, 3, 6)
    gate = functional.silu(functional.linear(x, layer.gate_proj.weight))
    expected = functional.linear(gate * functional.linear(x, layer.up_proj.weight), layer.down_proj.weight)
    torch.testing.assert_close(layer(x), expected)
