"""The reference's losses against torch's own: values and gradients, over axes, ignored tokens and smoothing."""

import math

import pytest
import torch
import torch.nn.functional as F

from solutions import loss

SHAPES = [(7,), (4, 7), (2, 3, 7), (2, 3, 4, 7)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def case(shape, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, shape[-1], shape[:-1], generator=generator)
    return logits.requires_grad_(), targets


def assert_same(ours, theirs, inputs):
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weights = torch.linspace(-1, 2, ours.numel(), dtype=ours.dtype).view(ours.shape)
    got, expected = (torch.autograd.grad((out * weights).sum(), inputs)[0] for out in (ours, theirs))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@each_shape
def test_negative_log_likelihood_is_torchs(shape):
    scores, targets = case(shape)
    theirs = F.nll_loss(scores.reshape(-1, 7), targets.reshape(-1), reduction="none").view(targets.shape)
    assert_same(loss.negative_log_likelihood(scores, targets), theirs, scores)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e30])
def test_log_softmax_is_torchs(dim, scale):
    scores, _ = case((3, 4, 5), scale=scale)
    assert_same(loss.log_softmax(scores, dim), torch.log_softmax(scores, dim), scores)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_log_softmax_is_torchs_in_lower_precision(dtype):
    scores, _ = case((32, 64))
    scores = scores.detach().to(dtype)
    # torch on a CPU is two roundings off in half precision: its own answer in float32 is the measure.
    expected = torch.log_softmax(scores.float(), -1).to(dtype)
    torch.testing.assert_close(loss.log_softmax(scores, -1), expected)


@each_shape
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignored", [-100, 2])
def test_cross_entropy_is_torchs(shape, smoothing, ignored):
    logits, targets = case(shape)
    if targets.dim():
        targets[0] = ignored
        targets[-1] = 1
    ours = loss.cross_entropy(logits, targets, ignore_index=ignored, label_smoothing=smoothing)
    flat = logits.reshape(-1, 7), targets.reshape(-1)
    assert_same(ours, F.cross_entropy(*flat, ignore_index=ignored, label_smoothing=smoothing), logits)


@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_cross_entropy_of_large_logits_is_torchs(scale):
    logits, targets = case((6, 7), scale=scale)
    assert_same(loss.cross_entropy(logits, targets), F.cross_entropy(logits, targets), logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_cross_entropy_is_torchs_in_lower_precision(dtype):
    logits, targets = case((50, 64))
    logits = logits.detach().to(dtype)
    # Of half precision torch rounds each loss before it takes the mean.
    expected = F.cross_entropy(logits.float(), targets).to(dtype)
    torch.testing.assert_close(loss.cross_entropy(logits, targets), expected)


def test_where_torch_gives_nan_for_no_tokens_the_reference_gives_zero():
    logits, _ = case((3, 7))
    targets = torch.full((3,), -100)
    assert F.cross_entropy(logits, targets).isnan()
    ours = loss.cross_entropy(logits, targets)
    assert ours == 0
    assert not torch.autograd.grad(ours, logits)[0].any()


def test_perplexity_and_bits_per_byte_of_batches_are_those_of_the_whole():
    logits, targets = case((50, 64))
    parts = zip(logits.split([30, 15, 5]), targets.split([30, 15, 5]), strict=True)
    losses = torch.stack([F.cross_entropy(*part) for part in parts])
    whole = F.cross_entropy(logits, targets)
    torch.testing.assert_close(loss.perplexity(losses, torch.tensor([30, 15, 5])), whole.exp(), rtol=1e-12, atol=0.0)
    # 2 to the power of all bits is the inverse of the text's probability.
    bits = loss.bits_per_byte(whole, num_tokens=50, num_bytes=120) * 120
    torch.testing.assert_close(bits * math.log(2), 50 * whole, rtol=1e-12, atol=0.0)
