"""The reference's positions against what torch and the papers have: an embedding, a complex product, printed slopes."""

import pytest
import torch

from solutions import position


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("offset", [0, 4])
def test_learned_positions_are_those_of_torchs_embedding(offset):
    ours, theirs = position.LearnedPositionalEmbedding(9, 6).double(), torch.nn.Embedding(9, 6).double()
    theirs.load_state_dict(ours.state_dict())
    x, places = noise(2, 5, 6), torch.arange(offset, offset + 5)
    torch.testing.assert_close(ours(x, offset), x + theirs(places), rtol=0, atol=0)


def test_rope_is_a_product_of_complex_numbers():
    x, places = noise(2, 3, 5, 8), torch.tensor([4, 0, 9, 1, 30])
    angles = places[:, None] * position.rope_frequencies(8).double()
    # The halves are the real and the imaginary parts of a pair.
    product = torch.complex(*x.chunk(2, dim=-1)) * torch.polar(torch.ones_like(angles), angles)
    expected = torch.cat([product.real, product.imag], dim=-1)
    torch.testing.assert_close(position.apply_rope(x, places), expected, rtol=1e-5, atol=1e-5)


def test_sinusoids_are_the_sines_and_cosines_of_ropes_angles():
    angles = torch.arange(50)[:, None] * position.rope_frequencies(12)
    expected = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    torch.testing.assert_close(position.sinusoidal_encoding(50, 12), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("heads", "exponents"),
    [
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),
        (16, [0.5 * number for number in range(1, 17)]),
        (12, [1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5]),
    ],
)
def test_alibi_has_the_published_slopes(heads, exponents):
    slopes = -position.alibi_bias(heads, 1, 2)[:, 0, 0]  # a distance of 1
    torch.testing.assert_close(slopes, 2.0 ** -torch.tensor(exponents))
