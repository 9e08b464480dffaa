"""The reference's block against torch's own encoder layer, which is the same thing under a causal mask."""

import pytest
import torch
from torch import nn

from solutions.block import TransformerBlock

D_MODEL, NUM_HEADS, D_HIDDEN = 12, 3, 20
each_position = pytest.mark.parametrize("position", ["pre", "post"])


def pair(position, activation, bias, dropout=0.0, eps=1e-5):
    """Our block and torch's layer with the same random weights."""
    ours = TransformerBlock(
        *(D_MODEL, NUM_HEADS, D_HIDDEN),
        norm_position=position,
        norm_eps=eps,
        activation=activation,
        dropout=dropout,
        bias=bias,
    )
    theirs = nn.TransformerEncoderLayer(
        *(D_MODEL, NUM_HEADS, D_HIDDEN, dropout, activation, eps),
        batch_first=True,
        norm_first=position == "pre",
        bias=bias,
    )
    generator = torch.Generator().manual_seed(1)
    for parameter in ours.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 2
    theirs.load_state_dict(as_torch_names_them(ours.state_dict()))
    return ours.double(), theirs.double()


def as_torch_names_them(state):
    names = {
        "attention_norm": "norm1",
        "feedforward_norm": "norm2",
        "attention.out_proj": "self_attn.out_proj",
        "feedforward.up_proj": "linear1",
        "feedforward.down_proj": "linear2",
    }
    kinds = sorted({key.rpartition(".")[2] for key in state})
    found = {f"{new}.{kind}": state[f"{old}.{kind}"] for old, new in names.items() for kind in kinds}
    for kind in kinds:  # torch keeps the three projections of attention in one matrix
        parts = [state[f"attention.{letter}_proj.{kind}"] for letter in "qkv"]
        found[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
    return found


def inputs():
    x = torch.randn(2, 5, D_MODEL, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return x, x.clone().requires_grad_()


def hidden_later(length):
    return torch.ones(length, length, dtype=torch.bool).triu(1)  # torch's masks say what is hidden


@each_position
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_torchs_layer(position, activation, bias):
    ours, theirs = pair(position, activation, bias)
    x, leaf = inputs()
    x.requires_grad_()
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mine, other = ours(x), theirs(leaf, src_mask=hidden_later(5))
    torch.testing.assert_close(mine, other)
    (mine * upstream).sum().backward()
    (other * upstream).sum().backward()
    torch.testing.assert_close(x.grad, leaf.grad)
    grads = as_torch_names_them({name: parameter.grad for name, parameter in ours.named_parameters()})
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, msg=name)


@each_position
def test_padding_is_hidden_as_in_torchs_layer(position):
    ours, theirs = pair(position, "gelu", True)
    x, _ = inputs()
    keep = torch.tensor([[True] * 5, [True, True, True, False, False]])
    # At every position: one that is padding itself still sees those before it that are none.
    other = theirs(x, src_mask=hidden_later(5), src_key_padding_mask=~keep)
    torch.testing.assert_close(ours(x, keep[:, None, None, :]), other)


@each_position
def test_eps_is_where_torch_has_it(position):
    ours, theirs = pair(position, "gelu", True, eps=0.3)
    x, _ = inputs()
    torch.testing.assert_close(ours(x), theirs(x, src_mask=hidden_later(5)))


@each_position
def test_nothing_is_dropped_in_evaluation(position):
    ours, theirs = pair(position, "gelu", True, dropout=0.5)
    x, _ = inputs()
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x, src_mask=hidden_later(5)))


@each_position
def test_dropout_varies_the_result_as_much_as_torchs(position):
    ours, theirs = pair(position, "gelu", True, dropout=0.2)
    # torch drops hidden numbers of the feed-forward layer too, which our block leaves to FeedForward's own option.
    theirs.dropout.p = 0.0
    x = inputs()[0].detach()[:1].expand(4000, 5, D_MODEL)
    torch.default_generator.manual_seed(4)
    with torch.no_grad():
        mine, other = ours.train()(x), theirs.train()(x, src_mask=hidden_later(5))
    torch.testing.assert_close(mine.mean(0), other.mean(0), rtol=0.1, atol=0.3)
    torch.testing.assert_close(mine.std(0), other.std(0), rtol=0.15, atol=0.1)
