"""The reference's layers against torch's own: values, gradients, errors and state dicts in both directions."""

import pytest
import torch
from torch import nn

from solutions import embedding

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same(ours, theirs, *inputs):
    """Values and gradients of two modules of the same weights, for the same upstream gradient."""
    results = []
    for module in (ours, theirs):
        copies = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
        out = module(*copies)
        wanted = [*(x for x in copies if x.requires_grad), *dict(sorted(module.named_parameters())).values()]
        results.append((out.detach(), *torch.autograd.grad((out * normal(9, *out.shape)).sum(), wanted)))
    torch.testing.assert_close(results[0], results[1], **EXACT)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 3, 4), (2, 0)], ids=str)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32], ids=str)
def test_rows_and_their_gradients_are_those_of_torch(shape, dtype):
    ours, theirs = embedding.Embedding(7, 5).double(), nn.Embedding(7, 5).double()
    theirs.load_state_dict(ours.state_dict())
    ids = torch.randint(0, 7, shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert_same(ours, theirs, ids)


@pytest.mark.parametrize("id", [-1, 7, 100])
def test_an_id_outside_the_table_raises_the_error_of_torch(id):
    for layer in (embedding.Embedding(7, 5), nn.Embedding(7, 5)):
        with pytest.raises(IndexError):
            layer(torch.tensor([0, id]))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 4, 5), (2, 0, 5)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_products_and_their_gradients_are_those_of_torch(shape, bias):
    ours, theirs = embedding.Linear(5, 3, bias=bias).double(), nn.Linear(5, 3, bias=bias).double()
    theirs.load_state_dict(ours.state_dict())
    assert_same(ours, theirs, normal(2, *shape))


@pytest.mark.parametrize("bias", [True, False])
def test_state_dicts_of_torch_are_taken(bias):
    theirs = nn.Linear(5, 3, bias=bias)
    ours = embedding.Linear(5, 3, bias=bias)
    ours.load_state_dict(theirs.state_dict())
    table = embedding.Embedding(7, 5)
    table.load_state_dict(nn.Embedding(7, 5).state_dict())
    x = torch.ones(2, 5)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_dtype_is_rounded_as_by_torch(dtype):
    ours, theirs = embedding.Linear(64, 32).to(dtype), nn.Linear(64, 32).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    x = normal(3, 4, 64).to(dtype)
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_normal_weight_has_the_distribution_of_torch():
    std = 0.3
    ours = embedding.init_normal((200, 100), std, generator=torch.Generator().manual_seed(1)).flatten().sort().values
    theirs = nn.init.normal_(torch.empty(20_000), 0.0, std, torch.Generator().manual_seed(2)).sort().values
    # Both samples in order of size: without the outermost, number by number close to one another.
    torch.testing.assert_close(ours[200:-200], theirs[200:-200], rtol=0.0, atol=0.15 * std)
