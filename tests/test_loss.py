"""Checks of loss: which token is looked up, what is averaged over what, and that no number is too large."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.compare import Tolerance
from tests.strategies import normal, seeds, sizes, tensors

INF = float("inf")
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
WIDE = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


def log_probabilities(rand, *shape):
    """Logarithms of probabilities that sum to 1 along the last axis."""
    return rand(*shape).log_softmax(-1)


def close(one, other):
    """Near enough for float32 inside; a mistake is further off."""
    return torch.allclose(one.double(), torch.as_tensor(other).double(), rtol=1e-4, atol=1e-4)


# What several have in common

NLL, CE, BPB = "negative_log_likelihood", "cross_entropy", "bits_per_byte"
CALLS = {  # arguments of a size; no other check uses that of the check of earlier calls
    NLL: lambda rand, size: (log_probabilities(rand, size, 5), rand.integers(0, 5, size)),
    "log_softmax": lambda rand, size: (rand(size, 13), 1),
    CE: lambda rand, size: (rand(size, 5), rand.integers(0, 5, size)),
    "perplexity": lambda rand, size: (rand(size).abs(), rand.integers(1, 9, size)),
    BPB: lambda rand, size: (rand(1)[0].abs(), 7 * size, 99),
}


def of_each(kind, *names, criterion=""):
    """The same check for several exercises, under each one's own name."""
    return pytest.mark.parametrize("name", [pytest.param(name, marks=check(name, kind, criterion)) for name in names])


@of_each("numerics", *CALLS)
def test_earlier_calls_are_forgotten(agree, rand, name):
    calls = [CALLS[name](rand, 11) for _ in range(2)]
    agree.on(f"{name} called twice", lambda unit: [getattr(unit, name)(*call) for call in calls])


@of_each("stability", *CALLS)
@DTYPES
def test_the_dtype_is_kept(agree, rand, name, dtype):
    first, *others = CALLS[name](rand, 8)
    agree(name, first.to(dtype), *others)


@of_each("shortcut", NLL, "log_softmax", CE)
def test_it_is_written_by_hand(agree, rand, name):
    agree(name, *CALLS[name](rand, 3))


@of_each("shape", NLL, CE, criterion="refusals")
@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (2, 2), (2,), (2, 3, 1), (6,), ()], ids=str)
def test_targets_of_another_shape_are_refused(agree, rand, name, shape):
    scores, targets = log_probabilities(rand, 2, 3, 7), rand.integers(0, 2, *shape)
    what = f"{name} of scores (2, 3, 7) with targets {shape}"
    agree.raises(what, lambda unit: getattr(unit, name)(scores, targets), ValueError)


@of_each("numerics", "log_softmax", CE, criterion="refusals")
def test_whole_numbers_are_refused(agree, name):
    scores, other = torch.tensor([[1, 2], [3, 5]]), -1 if name == "log_softmax" else torch.tensor([1, 0])
    what = f"{name} of int64 scores"
    agree.raises(what, lambda unit: getattr(unit, name)(scores, other), ValueError, mentions="int64")


@of_each("numerics", NLL, CE, criterion="refusals")
@pytest.mark.parametrize("target", [-1, -7, 7, 50, 2**32 + 3])
def test_a_target_outside_the_vocabulary_is_refused(agree, rand, name, target):
    scores, targets = log_probabilities(rand, 2, 3, 7), rand.integers(0, 7, 2, 3)
    targets[1, 0] = target
    what = f"{name} of a vocabulary of 7 with a target {target}"
    agree.raises(what, lambda unit: getattr(unit, name)(scores, targets), ValueError)


# negative_log_likelihood


@check(NLL, "shape")
@pytest.mark.parametrize("shape", [(2, 3, 7), (4, 7), (7,), (2, 3, 4, 7), (2, 0, 7), (1, 1, 7), (3, 1)], ids=str)
def test_negative_log_likelihood_has_one_value_a_position(agree, rand, shape):
    agree(NLL, log_probabilities(rand, *shape), rand.integers(0, shape[-1], *shape[:-1]))


@check(NLL, "numerics")
@pytest.mark.parametrize("shape", [(2, 3, 7), (5, 4), (6,), (4, 4), (4, 4, 4)], ids=str)
def test_each_position_gets_its_own_target(agree, rand, shape):
    agree(NLL, log_probabilities(rand, *shape), rand.integers(0, shape[-1], *shape[:-1]))


@check(NLL, "efficiency")
def test_no_memory_is_taken_for_pairs_of_positions(agree, measure):
    scores, targets = torch.zeros(2000, 3, dtype=torch.float64), torch.zeros(2000, dtype=torch.int64)

    def question(unit):
        cost = measure(lambda: unit.negative_log_likelihood(scores, targets))
        return {"makes no tensor of more than 1 MB": cost.largest < 1_000_000}

    agree.on(f"{NLL} of scores (2000, 3)", question)


@check(NLL, "gradient")
@pytest.mark.parametrize("shape", [(2, 3, 7), (7,), (4, 4)], ids=str)
def test_only_the_target_gets_a_gradient(agree, rand, shape):
    agree(NLL, log_probabilities(rand, *shape), rand.integers(0, shape[-1], *shape[:-1]))


@check(NLL, "property")
@given(seed=seeds, leading=st.lists(st.integers(1, 4), max_size=3), vocab=sizes)
def test_every_position_is_looked_up_on_its_own(unit, seed, leading, vocab):
    scores = normal(seed, *leading, vocab).log_softmax(-1)
    targets = torch.randint(0, vocab, leading, generator=torch.Generator().manual_seed(seed))
    losses = unit.negative_log_likelihood(scores, targets)
    rows, ids = scores.reshape(-1, vocab), targets.reshape(-1).tolist()
    expected = torch.stack([-row[i] for row, i in zip(rows, ids, strict=True)])
    assert close(losses.reshape(-1), expected), f"loss.{NLL}(log_probabilities={tuple(scores.shape)}): another token's"


@check(NLL, "stability")
def test_an_impossible_token_costs_only_where_it_comes(agree, rand):
    scores = log_probabilities(rand, 3, 5)
    scores[0, 1] = scores[1, 0] = scores[2, 4] = -INF
    agree(NLL, scores, torch.tensor([0, 2, 4]))
    agree(NLL, scores, torch.tensor([2, 1, 3]))


# log_softmax


@check("log_softmax", "shape")
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 3), (3, 1)], ids=str)
def test_log_softmax_keeps_the_shape(agree, rand, shape):
    agree("log_softmax", rand(*shape), -1)


@check("log_softmax", "shape")
def test_log_softmax_next_to_an_empty_axis(agree, rand):
    agree("log_softmax", rand(2, 0, 3), 0)


@check("log_softmax", "numerics")
@pytest.mark.parametrize(("shape", "dim"), [*(((3, 4, 5), dim) for dim in (0, 1, 2, -2)), ((3, 3), 0), ((3, 3), 1)])
def test_log_softmax_runs_along_the_axis_it_is_told(agree, rand, shape, dim):
    agree("log_softmax", rand(*shape) * 3 + 2, dim)


@check("log_softmax", "numerics")
def test_log_softmax_gives_minus_infinity_to_minus_infinity(agree, rand):
    scores = rand(3, 4)
    scores[0, 2] = scores[1, 0] = -INF
    agree("log_softmax", scores, -1)


@check("log_softmax", "stability")
def test_log_softmax_of_nothing_but_minus_infinity_is_nan(agree, rand):
    scores = rand(3, 4)
    scores[1] = -INF
    agree("log_softmax", scores, -1)


@check("log_softmax", "gradient")
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_log_softmax_passes_the_gradient(agree, rand, dim):
    agree("log_softmax", rand(2, 3, 4), dim)


# The last two are even among themselves and far from 0: what is left of log(2) tells the order of the subtractions.
LARGE = [
    [[0.0, 1000.0], [-1000.0, 3.0]],
    [[1e4, -1e4], [-1e4, -1e4 - 3.0]],
    [[0.0, 1.0], [-2000.0, -2001.0]],
    [[0.0, 50.0], [0.0, -50.0]],
    [[800.0, -50.0], [0.0, 0.0]],
    [[1e30, -1e30], [0.0, -1e30]],
    [[1e30, 1e30], [-1e30, -1e30]],
]


@check("log_softmax", "gradient")
@pytest.mark.parametrize("scores", LARGE, ids=str)
def test_log_softmax_of_large_scores_has_a_gradient(agree, scores):
    agree("log_softmax", torch.tensor(scores, dtype=torch.float64), -1)


@check("log_softmax", "property")
@given(scores=tensors(sizes, sizes, sizes, scale=5.0), dim=st.integers(-3, 2), shift=st.floats(-50, 50))
def test_log_softmax_are_logarithms_of_shares_and_ignore_a_common_shift(unit, scores, dim, shift):
    result = unit.log_softmax(scores, dim)
    call = f"loss.log_softmax(scores={tuple(scores.shape)}, dim={dim})"
    assert close(result.exp().sum(dim), 1.0), f"{call}: the exponentials along dim do not sum to 1"
    assert close(unit.log_softmax(scores + shift, dim), result), f"{call}: adding {shift:g} to every score changes it"


@check("log_softmax", "stability")
@WIDE
@pytest.mark.parametrize("scores", LARGE, ids=str)
def test_log_softmax_of_large_scores_is_finite(agree, scores, dtype):
    scores = torch.tensor(scores, dtype=dtype)
    agree("log_softmax", scores, -1)
    agree("log_softmax", scores.T, 0)


@check("log_softmax", "stability")
def test_log_softmax_of_a_long_float16_row(agree):
    agree("log_softmax", torch.zeros(70_000, dtype=torch.float16), 0)


@check("log_softmax", "stability")
def test_log_softmax_in_bfloat16_is_rounded_once(unit, rand):
    scores = rand(32, 64, dtype=torch.bfloat16) * 3
    exact = scores.double().log_softmax(-1)
    # 1 / 256 is half of bfloat16's last digit: the most that one rounding can do
    assert torch.allclose(unit.log_softmax(scores, -1).double(), exact, rtol=1.05 / 256, atol=1e-5), (
        "loss.log_softmax(scores=(32, 64) bfloat16): further from the float64 result than one rounding at the end "
        "explains; compute all steps in float32"
    )


# cross_entropy


def marked(rand, vocab, *shape, ignored=-100):
    """Targets of which some are ignored, not as many in one row as in the next."""
    targets = rand.integers(0, vocab, *shape)
    targets[0, 1:] = ignored
    targets[-1, 0] = ignored
    return targets


@check(CE, "shape")
@pytest.mark.parametrize("shape", [(4, 7), (7,), (2, 3, 4, 7), (1, 1, 7), (3, 1)], ids=str)
def test_cross_entropy_is_one_number(agree, rand, shape):
    agree(CE, rand(*shape), rand.integers(0, shape[-1], *shape[:-1]))


@check(CE, "numerics")
@pytest.mark.parametrize("shape", [(2, 3, 7), (5, 4), (4, 4, 4)], ids=str)
def test_cross_entropy_is_the_mean_over_all_tokens(agree, rand, shape):
    agree(CE, rand(*shape) * 2, rand.integers(0, shape[-1], *shape[:-1]))


@check(CE, "numerics", "ignored")
@pytest.mark.parametrize("ignored", [-100, -1, 0, 2, 9, 2**32 + 2])
def test_ignored_tokens_neither_add_nor_count(agree, rand, ignored):
    targets = marked(rand, 7, 3, 4, ignored=ignored)
    if ignored == 2**32 + 2:  # which is 2 in 32 bits, and 2 counts
        targets[1, 1] = 2
    agree(CE, rand(3, 4, 7) * 2, targets, **({"ignore_index": ignored} if ignored != -100 else {}))


@check(CE, "numerics", "refusals")
@pytest.mark.parametrize("ignored", [-1, 5])
def test_minus_100_is_refused_where_another_target_is_ignored(agree, rand, ignored):
    logits, targets = rand(2, 3, 7), marked(rand, 7, 2, 3)
    what = f"{CE} of targets with -100 and ignore_index={ignored}"
    agree.raises(what, lambda unit: unit.cross_entropy(logits, targets, ignore_index=ignored), ValueError)


@check(CE, "numerics", "ignored")
def test_an_impossible_token_at_an_ignored_position_changes_nothing(agree, rand):
    logits = rand(3, 5)
    logits[1, 0] = logits[1, 4] = -INF
    agree(CE, logits, torch.tensor([1, -100, 4]))


@check(CE, "numerics", "smoothing")
@pytest.mark.parametrize("ignored", [-100, 2])
def test_ignored_tokens_are_not_smoothed(agree, rand, ignored):
    logits, targets = rand(3, 4, 7) * 2, marked(rand, 7, 3, 4, ignored=ignored)
    agree(CE, logits, targets, ignore_index=ignored, label_smoothing=0.3)


@check(CE, "numerics", "smoothing")
@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
def test_label_smoothing_is_spread_over_all_classes(agree, rand, smoothing):
    agree(CE, rand(2, 3, 5) * 2, rand.integers(0, 5, 2, 3), label_smoothing=smoothing)


@check(CE, "numerics", "ignored")
@pytest.mark.parametrize("shape", [(2, 3, 7), (0, 7), (7,)], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_zero_where_no_token_counts(agree, rand, shape, smoothing):
    agree(CE, rand(*shape), torch.full(shape[:-1], -100), label_smoothing=smoothing)


@check(CE, "gradient")
@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 4)], ids=str)
def test_the_gradient_of_ordinary_logits(agree, rand, shape):
    agree(CE, rand(*shape), rand.integers(0, shape[-1], *shape[:-1]))


@check(CE, "gradient", "ignored")
def test_ignored_logits_get_a_gradient_of_zero(agree, rand):
    agree(CE, rand(3, 4, 5), marked(rand, 5, 3, 4))


@check(CE, "gradient", "ignored")
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_gradient_is_zero_where_no_token_counts(agree, rand, smoothing):
    agree(CE, rand(2, 3, 5), torch.full((2, 3), -100), label_smoothing=smoothing)


@check(CE, "gradient", "smoothing")
def test_the_gradient_of_smoothed_labels(agree, rand):
    agree(CE, rand(3, 4, 5), rand.integers(0, 5, 3, 4), label_smoothing=0.3)
    agree(CE, rand(3, 4, 5), marked(rand, 5, 3, 4), label_smoothing=0.3)


@check(CE, "gradient")
def test_the_gradient_is_softmax_minus_target(unit, rand):
    logits, targets = (rand(3, 5) * 2).requires_grad_(), torch.tensor([4, 0, 2])
    unit.cross_entropy(logits, targets).backward()
    expected = (logits.detach().softmax(-1) - torch.eye(5)[targets]) / 3
    assert logits.grad is not None, f"loss.{CE}: no gradient reaches the logits"
    assert close(logits.grad, expected), f"loss.{CE}(logits=(3, 5)): the gradient is not (softmax - one-hot target) / 3"


@check(CE, "gradient")
@WIDE
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_large_logits_have_a_gradient(agree, size, dtype):
    logits = size * torch.tensor([[0.0, 1.0, -1.0], [1.0, -1.0, 0.0], [0.0, 0.0, -1.0]], dtype=dtype)
    agree(CE, logits, torch.tensor([0, 0, 1]))


@check(CE, "property")
@given(seed=seeds, parts=st.lists(st.integers(1, 5), min_size=2, max_size=3))
def test_the_mean_of_a_whole_is_that_of_its_parts_by_their_tokens(unit, seed, parts):
    logits, generator = normal(seed, sum(parts), 6, scale=2.0), torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 6, (sum(parts),), generator=generator)
    pieces = zip(logits.split(parts), targets.split(parts), strict=True)
    added = sum(unit.cross_entropy(x, y) * len(y) for x, y in pieces)
    assert close(unit.cross_entropy(logits, targets), added / sum(parts)), (
        f"loss.{CE}: the loss of {sum(parts)} tokens is not the mean of its parts of {parts} tokens, each by its size"
    )


@check(CE, "property", "smoothing")
@given(vocab=st.integers(1, 50), shift=st.floats(-30, 30), smoothing=st.floats(0, 1))
def test_smoothed_or_not_equal_logits_cost_the_logarithm_of_the_vocabulary(unit, vocab, shift, smoothing):
    logits = torch.full((2, vocab), shift, dtype=torch.float64)
    loss = unit.cross_entropy(logits, torch.tensor([0, vocab - 1]), label_smoothing=smoothing)
    assert close(loss, math.log(vocab)), (
        f"loss.{CE} of {vocab} equal logits: got {float(loss):g}, expected log({vocab})"
    )


@check(CE, "stability")
@WIDE
@pytest.mark.parametrize("size", [100.0, 1e4, 1e30])
def test_the_loss_of_large_logits_is_finite(agree, size, dtype):
    logits = size * torch.tensor([[0.0, 1.0, -1.0], [1.0, -1.0, 0.0]], dtype=dtype)
    agree(CE, logits, torch.tensor([0, 0]))
    agree(CE, logits, torch.tensor([2, 1]))


@check(CE, "stability")
def test_a_token_that_cannot_come_changes_nothing(agree, rand):
    logits = rand(3, 5)
    logits[0, 1] = logits[1, 0] = logits[2, 4] = -INF
    agree(CE, logits, torch.tensor([0, 2, 1]))


@check(CE, "stability", "smoothing")
@WIDE
def test_the_smoothed_loss_of_large_logits_is_finite(agree, dtype):
    agree(
        CE, torch.tensor([[0.0, 1e4, -1e4], [1e4, -1e4, 0.0]], dtype=dtype), torch.tensor([2, 1]), label_smoothing=0.2
    )


@check(CE, "stability", "ignored")
@DTYPES
def test_the_dtype_is_kept_where_no_token_counts(agree, rand, dtype):
    agree(CE, rand(2, 5, dtype=dtype), torch.full((2,), -100))


@check(CE, "stability")
def test_float16_does_not_overflow_over_the_vocabulary(agree):
    agree(CE, torch.zeros(1, 70_000, dtype=torch.float16), torch.tensor([3]))


@check(CE, "stability")
def test_float16_does_not_overflow_over_the_batch(agree):
    logits = torch.tensor([[0.0, 1000.5, 1.0]], dtype=torch.float16).expand(100, 3)
    agree(CE, logits, torch.zeros(100, dtype=torch.int64))


# perplexity


@check("perplexity", "shape")
@pytest.mark.parametrize("batches", [1, 2, 5])
def test_perplexity_is_one_number(agree, rand, batches):
    agree("perplexity", rand(batches).abs(), rand.integers(1, 50, batches))


@check("perplexity", "numerics")
@pytest.mark.parametrize("num_tokens", [[30, 10], [7, 7, 7], [1, 500, 3], [5], [1]], ids=str)
def test_every_token_has_the_same_weight(agree, rand, num_tokens):
    agree("perplexity", rand(len(num_tokens)).abs() * 2 + 6, torch.tensor(num_tokens))


@check("perplexity", "numerics", "refusals")
def test_a_batch_without_tokens_among_others_has_no_weight(agree, rand):
    agree("perplexity", rand(3).abs() * 2 + 6, torch.tensor([4, 0, 9]))


@check("perplexity", "numerics", "refusals")
@pytest.mark.parametrize("num_tokens", [[0, 0], [0], []], ids=str)
def test_perplexity_of_no_tokens_is_refused(agree, num_tokens):
    losses, counts = torch.zeros(len(num_tokens)).double(), torch.tensor(num_tokens, dtype=torch.int64)
    agree.raises(f"perplexity with num_tokens={num_tokens}", lambda unit: unit.perplexity(losses, counts), ValueError)


@check("perplexity", "property")
@given(seed=seeds, num_tokens=st.lists(st.integers(1, 100), min_size=2, max_size=5))
def test_it_does_not_matter_how_a_text_is_cut_into_batches(unit, seed, num_tokens):
    losses, counts = normal(seed, len(num_tokens)).abs(), torch.tensor(num_tokens)
    joined = ((losses[:2] * counts[:2]).sum() / counts[:2].sum())[None]
    other = unit.perplexity(torch.cat([joined, losses[2:]]), torch.cat([counts[:2].sum()[None], counts[2:]]))
    assert close(unit.perplexity(losses, counts), other), (
        f"loss.perplexity: another result when the first two batches of {num_tokens} tokens are joined to one"
    )


@check("perplexity", "stability")
@DTYPES
def test_perplexity_keeps_the_dtype_and_does_not_overflow(agree, dtype):
    losses = torch.tensor([2.0, 3.0, 1.0], dtype=dtype)
    agree(
        "perplexity",
        losses,
        torch.tensor([100_000, 70_000, 3]),
        tolerance=Tolerance(1e-2, 0) if dtype.itemsize == 2 else None,
    )


@check("perplexity", "stability")
def test_perplexity_has_no_upper_limit(agree):
    agree("perplexity", torch.tensor([30.0, 50.0], dtype=torch.float64), torch.tensor([3, 5]))


# bits_per_byte


@check(BPB, "shape")
@pytest.mark.parametrize("loss", [0.0, 1.5])
def test_bits_per_byte_is_one_number(agree, loss):
    agree(BPB, torch.tensor(loss, dtype=torch.float64), 8, 5)


@check(BPB, "numerics")
@pytest.mark.parametrize(("num_tokens", "num_bytes"), [(100, 437), (437, 100), (1, 1), (3 * 10**9, 10**10 + 1)])
def test_bits_per_byte_counts_all_bits_over_all_bytes(agree, rand, num_tokens, num_bytes):
    agree(BPB, rand(1)[0].abs() + 0.5, num_tokens, num_bytes)


@check(BPB, "numerics", "refusals")
def test_bits_per_byte_of_no_tokens_are_none(agree, rand):
    agree(BPB, rand(1)[0].abs() + 0.5, 0, 3)


@check(BPB, "numerics", "refusals")
@pytest.mark.parametrize("num_bytes", [0, -1])
def test_bits_per_byte_of_no_bytes_are_refused(agree, num_bytes):
    loss = torch.tensor(2.0)
    agree.raises(f"{BPB}(2.0, 3, {num_bytes})", lambda unit: unit.bits_per_byte(loss, 3, num_bytes), ValueError)


@check(BPB, "property")
@given(loss=st.floats(0.1, 8), tokens=st.integers(1, 500), size=st.integers(1, 500), times=st.integers(2, 5))
def test_a_coarser_tokenizer_changes_nothing(unit, loss, tokens, size, times):
    fine = unit.bits_per_byte(torch.tensor(loss).double(), tokens * times, size)
    coarse = unit.bits_per_byte(torch.tensor(loss * times).double(), tokens, size)
    assert close(fine, coarse), f"loss.{BPB}: {times} times fewer tokens, each {times} times dearer, change the result"


@check(BPB, "stability")
@DTYPES
def test_bits_per_byte_keep_the_dtype_and_do_not_overflow(agree, dtype):
    agree(BPB, torch.tensor(3.0, dtype=dtype), 100_000, 437_000)
