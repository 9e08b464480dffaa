"""The reference's generation against torch's own functions and plain loops."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from solutions import generation

SHAPES = [(7,), (4, 7), (2, 3, 50), (0, 5)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def logits_of(shape, seed=0):
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@each_shape
def test_greedy_is_torchs_argmax(shape):
    assert torch.equal(generation.greedy(logits_of(shape)), logits_of(shape).argmax(-1))


@each_shape
@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_without_equals_keeps_what_torch_topk_gives(shape, k):
    logits = logits_of(shape)
    values, ids = torch.topk(logits, k, dim=-1)
    assert torch.equal(generation.top_k(logits, k), torch.full_like(logits, -torch.inf).scatter(-1, ids, values))


def test_top_k_of_equals_keeps_exactly_k_and_the_lower_ids():
    logits = torch.randint(0, 3, (20, 30), generator=torch.Generator().manual_seed(1)).double()
    for k in range(1, 32):
        for row, got in zip(logits.tolist(), generation.top_k(logits, k).tolist(), strict=True):
            kept = sorted(range(30), key=lambda i: (-row[i], i))[:k]
            assert got == [value if i in kept else -torch.inf for i, value in enumerate(row)]


@pytest.mark.parametrize("p", [1e-6, 0.1, 0.5, 0.9, 0.999])
def test_top_p_keeps_the_smallest_set_that_reaches_p(p):
    logits = logits_of((200, 30), seed=2)
    kept = generation.top_p(logits, p) > -torch.inf
    shares = logits.softmax(-1).masked_fill(~kept, 0.0)
    least = shares.masked_fill(~kept, torch.inf).amin(-1)
    assert (shares.sum(-1) >= p).all()
    assert (shares.sum(-1) - least < p).all()
    # No token that is cut off is more probable than one that stays.
    assert (logits.softmax(-1).masked_fill(kept, 0.0).amax(-1) <= least).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_top_p_decides_in_lower_precision_as_float64_does(dtype):
    logits = logits_of((50, 1000), seed=3).to(dtype)
    exact = generation.top_p(logits.double(), 0.8) > -torch.inf
    # At the very border, float32 may take one token more or fewer.
    assert ((generation.top_p(logits, 0.8) > -torch.inf) != exact).sum(-1).max() <= 1


def test_sample_is_torchs_multinomial_of_the_softmax():
    logits = logits_of((4000, 6), seed=4)
    draws = [torch.Generator().manual_seed(9) for _ in range(2)]
    theirs = torch.multinomial(logits.softmax(-1), 1, generator=draws[0])[:, 0]
    assert torch.equal(generation.sample(logits, generator=draws[1]), theirs)


class Markov(nn.Module):
    """Looks at the last token alone, and notes what it is shown."""

    def __init__(self, table):
        super().__init__()
        self.config = SimpleNamespace(max_length=3)
        self.table = nn.Parameter(table)
        self.seen = []

    def forward(self, ids):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.seen.append(ids.shape[1])
        return self.table[ids]


def test_generate_shows_the_model_no_more_than_it_takes():
    model = Markov(logits_of((5, 5)))
    generation.generate(model, torch.tensor([[1], [2]]), 6)
    assert model.seen == [1, 2, 3, 3, 3, 3]
    assert model.training


def test_generate_draws_each_token_as_often_as_a_chain_does():
    table = logits_of((5, 5), seed=5)
    generator = torch.Generator().manual_seed(1)
    text = generation.generate(Markov(table), torch.zeros(20000, 1, dtype=torch.int64), 2, generator=generator)
    first = table.softmax(-1)[0]
    expected = torch.stack([first, first @ table.softmax(-1)])
    shares = torch.stack([torch.bincount(text[:, t], minlength=5) / 20000 for t in (1, 2)])
    torch.testing.assert_close(shares.double(), expected, rtol=0.0, atol=0.02)


def test_the_settings_reach_the_functions_of_the_same_names():
    table = logits_of((9, 9), seed=6)
    prompt = torch.arange(9)[:, None]
    settings = {"temperature": 0.7, "top_k": 5, "top_p": 0.8}
    logits = generation.top_p(generation.top_k(generation.temperature(table, 0.7), 5), 0.8)
    expected = generation.sample(logits, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    text = generation.generate(Markov(table), prompt, 1, **settings, generator=generator)
    assert torch.equal(text[:, 1], expected)
