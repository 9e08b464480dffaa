"""Checks of attention: who may look at whom, how much of each, and what is mixed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check, default_dtype
from grader.checking.compare import Tolerance
from tests.strategies import normal, seeds, sizes, tensors

INF = float("inf")
# Scores and angles may be computed in float32 or float64: they differ by 1e-7, and a score of 30 makes more of it.
IN_FLOAT32 = Tolerance(rtol=1e-4, atol=3e-5)
MODULES = {
    "SelfAttention": {"d_model": 12, "d_head": 5},
    "MultiHeadAttention": {"d_model": 12, "num_heads": 3},
    "GroupedQueryAttention": {"d_model": 24, "num_heads": 6, "num_kv_heads": 2},
}
HEADED = [name for name in MODULES if name != "SelfAttention"]
AFTER_SEED_5 = torch.rand((), generator=torch.Generator().manual_seed(5)).item()


def of_each(names, *kinds, criterion=None):
    """The same check for several exercises, under the exercise's own name; in checks of gradients with gradients."""
    named = [] if criterion is None else [criterion]
    cases = [pytest.param(n, marks=check(n, kind, *named), id=f"{n}-{kind}") for n in names for kind in kinds]
    return pytest.mark.parametrize("name", cases)


def each(values):
    """A parameter for every value, named by it."""
    return [pytest.param(value, id=str(value)) for value in values]


def error_of(call):
    """The error that a call ends in, as "raises ValueError" for all its kinds; where there is none, its result."""
    try:
        return call()
    except NotImplementedError:
        raise
    except ValueError:
        return "raises ValueError"
    except Exception as error:
        return f"raises {type(error).__name__}"


# softmax


@check("softmax", "shape")
@pytest.mark.parametrize("shape", each([(5,), (2, 3), (2, 3, 4)]))
def test_softmax_keeps_the_shape_and_runs_along_the_last_axis(agree, rand, shape):
    agree("softmax", rand(*shape), -1)


@check("softmax", "shape", "shapes")
def test_softmax_takes_empty_axes_and_axes_of_size_one(agree, rand):
    agree("softmax", rand(0, 3), -1)
    agree("softmax", rand(3, 0, 2), 0)
    agree("softmax", rand(4, 1), 1)


@check("softmax", "shape", "shapes")
def test_softmax_takes_more_than_three_axes(agree, rand):
    for dim in (1, 3, -4):
        agree("softmax", rand(2, 3, 1, 4, 2), dim)


@check("softmax", "shape", "shapes")
def test_softmax_takes_a_transposed_tensor(agree, rand):
    agree("softmax", rand(4, 3, 2).transpose(0, 2), 1)


@check("softmax", "numerics")
@pytest.mark.parametrize("dim", [0, 1, 2, -2])
def test_softmax_runs_along_the_axis_it_is_told(agree, rand, dim):
    agree("softmax", rand(3, 4, 5), dim)
    agree("softmax", rand(3, 3, 3), dim)


@check("softmax", "numerics", "extremes")
def test_softmax_gives_exactly_zero_to_minus_infinity(agree, unit, rand):
    scores = rand(3, 4)
    scores[0, 2] = scores[1, 0] = -INF
    agree("softmax", scores, -1)
    assert unit.softmax(scores, -1)[0, 2] == 0, "attention.softmax: a score of -inf must get a share of exactly 0"


@check("softmax", "numerics", "extremes")
def test_softmax_of_nothing_but_minus_infinity_is_nan(agree, rand):
    scores = rand(3, 4)
    scores[1], scores[2, 0], scores[2, 1] = -INF, 60, 62
    agree("softmax", scores, -1)


@check("softmax", "gradient")
def test_softmax_passes_a_gradient_of_zero_to_minus_infinity(agree, rand):
    scores = rand(3, 4)
    scores[0, 2] = scores[1, 0] = -INF
    agree("softmax", scores, 1)


@check("softmax", "numerics")
def test_softmax_forgets_earlier_calls(agree, rand):
    first, second = rand(11, 13), rand(11, 13)  # a shape that no other check uses
    agree.on("softmax of two tensors of one shape", lambda unit: [unit.softmax(first, 1), unit.softmax(second, 1)])


@check("softmax", "gradient")
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_softmax_passes_the_gradient(agree, rand, dim):
    agree("softmax", rand(2, 3, 4), dim)


@check("softmax", "property")
@given(scores=tensors(sizes, sizes, sizes, scale=5.0), dim=st.integers(-3, 2), shift=st.floats(-50, 50))
def test_softmax_sums_to_one_and_ignores_a_common_shift(unit, scores, dim, shift):
    shares = unit.softmax(scores, dim)
    call = f"attention.softmax(scores={tuple(scores.shape)}, dim={dim})"
    total = shares.sum(dim)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5), f"{call}: the shares along dim do not sum to 1"
    assert torch.allclose(unit.softmax(scores + shift, dim), shares, atol=1e-5), (
        f"{call}: adding {shift:g} to every score changes the shares"
    )


LARGE = [
    [[0.0, 1000.0], [-1000.0, 3.0]],
    [[0.0, 1e4], [1e4, 1e4]],
    [[0.0, 1.0], [-2000.0, -2001.0]],
    [[60.0, 62.0], [-80.0, -81.0]],
    [[-700.0, -50.0]],
]


@check("softmax", "stability")
@pytest.mark.parametrize("scores", each(LARGE))
def test_softmax_of_large_scores_is_finite(agree, scores):
    scores = torch.tensor(scores, dtype=torch.float64)
    agree("softmax", scores, -1)
    agree("softmax", scores.T.contiguous(), 0)


@check("softmax", "stability", "precision")
@pytest.mark.parametrize("dtype", each([torch.float32, torch.float16, torch.bfloat16]))
def test_softmax_returns_the_dtype_it_was_given(agree, rand, dtype):
    agree("softmax", rand(3, 5, dtype=dtype), 0)


@check("softmax", "stability", "precision")
def test_softmax_of_a_long_float16_row(agree):
    # 1 / 70000 is below what the tolerance of float16 can see.
    agree("softmax", torch.zeros(70_000, dtype=torch.float16), 0, tolerance=Tolerance(rtol=0.05, atol=1e-6))


@check("softmax", "stability", "precision")
def test_softmax_rounds_bfloat16_once_at_the_end(agree, rand):
    scores = rand(16, 64) * 4
    agree.on(
        "softmax of (16, 64) in bfloat16 and in float16",
        lambda unit: [unit.softmax(scores.bfloat16(), 1), unit.softmax(scores.half(), 1)],
        # 1 / 256 is half of bfloat16's last digit: the most that one rounding can do, on either side
        tolerance=Tolerance(rtol=2.1 / 256, atol=1e-6),
    )


@check("softmax", "numerics", "refusals")
def test_softmax_refuses_integer_tensors(agree):
    whole = torch.tensor([[1, 2], [3, 4]])
    agree.raises("softmax of int64 tensors", lambda unit: unit.softmax(whole, -1), ValueError)


@check("softmax", "shortcut")
def test_softmax_is_written_by_hand(agree, rand):
    agree("softmax", rand(4, 2), 1)


# causal_mask and sliding_window_mask


@check("causal_mask", "shape")
@pytest.mark.parametrize("lengths", each([(4, None), (3, 5), (1, 6)]))
def test_causal_mask_has_a_row_a_query_and_a_column_a_key(agree, lengths):
    agree("causal_mask", *lengths)


@check("causal_mask", "shape", "edges")
@pytest.mark.parametrize("lengths", each([(0, 3), (0, 0), (0, None)]))
def test_causal_mask_without_a_query_has_no_rows(agree, lengths):
    agree("causal_mask", *lengths)


@check("causal_mask", "shape", "edges")
def test_causal_mask_has_no_longest_length(agree):
    agree("causal_mask", 3, 5000)


@check("causal_mask", "numerics")
@pytest.mark.parametrize("lengths", each([(1,), (2,), (7,), (3, 5), (2, 9), (1, 4)]))
def test_causal_mask_shows_itself_and_what_came_before_and_puts_the_queries_last(agree, lengths):
    agree("causal_mask", *lengths)


@check("causal_mask", "property", "edges")
def test_causal_mask_is_made_where_it_is_asked_for(agree):
    agree("causal_mask", 3, 5, device="meta")


@check("causal_mask", "property", "edges")
def test_causal_mask_is_a_new_tensor_each_time(agree, overwrite):
    def question(unit):
        overwrite(unit.causal_mask(3, 5))
        return unit.causal_mask(3, 5)

    agree.on("causal_mask(3, 5), once the caller has written into the first one", question)


@check("causal_mask", "numerics", "refusals")
@pytest.mark.parametrize("lengths", each([(5, 3), (2, 0), (3, 2)]))
def test_causal_mask_refuses_more_queries_than_keys(agree, lengths):
    agree.raises(f"causal_mask{lengths}", lambda unit: unit.causal_mask(*lengths), ValueError)


@check("causal_mask", "property")
@given(length=st.integers(1, 12), more=st.integers(0, 12))
def test_causal_mask_of_the_last_queries_is_the_end_of_the_whole(unit, length, more):
    whole, last = unit.causal_mask(length + more), unit.causal_mask(length, length + more)
    assert last.dtype is torch.bool, f"attention.causal_mask: got dtype {last.dtype}, expected torch.bool"
    assert torch.equal(last, whole[more:]), (
        f"attention.causal_mask({length}, {length + more}): not the last {length} rows of the mask of {length + more}"
    )


@check("sliding_window_mask", "shape")
@pytest.mark.parametrize("sizes", each([(4, 2, None), (3, 2, 6)]))
def test_sliding_window_mask_has_a_row_a_query_and_a_column_a_key(agree, sizes):
    agree("sliding_window_mask", *sizes)


@check("sliding_window_mask", "shape", "edges")
@pytest.mark.parametrize("sizes", each([(0, 2, 3), (0, 2, 0), (0, 2, None)]))
def test_sliding_window_mask_without_a_query_has_no_rows(agree, sizes):
    agree("sliding_window_mask", *sizes)


@check("sliding_window_mask", "shape", "edges")
def test_sliding_window_mask_has_no_longest_length(agree):
    agree("sliding_window_mask", 3, 4500, 5000)


@check("sliding_window_mask", "numerics")
@pytest.mark.parametrize("sizes", each([(1, 1), (6, 2), (5, 3), (4, 9), (3, 2, 6), (2, 4, 7)]))
def test_sliding_window_mask_shows_itself_and_the_window_before_and_puts_the_queries_last(agree, sizes):
    agree("sliding_window_mask", *sizes)


@check("sliding_window_mask", "property", "edges")
def test_sliding_window_mask_is_made_where_it_is_asked_for(agree):
    agree("sliding_window_mask", 3, 2, 5, device="meta")


@check("sliding_window_mask", "property", "edges")
def test_sliding_window_mask_is_a_new_tensor_each_time(agree, overwrite):
    def question(unit):
        overwrite(unit.sliding_window_mask(3, 2, 5))
        return unit.sliding_window_mask(3, 2, 5)

    agree.on("sliding_window_mask(3, 2, 5), once the caller has written into the first one", question)


@check("sliding_window_mask", "numerics", "refusals")
def test_sliding_window_mask_refuses_more_queries_than_keys(agree):
    for case in ((6, 2, 3), (2, 1, 0)):
        agree.raises(f"sliding_window_mask{case}", lambda unit, case=case: unit.sliding_window_mask(*case), ValueError)


@check("sliding_window_mask", "numerics", "refusals")
def test_sliding_window_mask_refuses_a_window_below_one(agree):
    cases = [(4, 0), (4, -1), (0, 0, 3)]
    agree.on(
        "the error of sliding_window_mask for a window below 1",
        lambda unit: {
            f"sliding_window_mask{case}": error_of(lambda case=case: unit.sliding_window_mask(*case)) for case in cases
        },
    )


@check("sliding_window_mask", "property")
@given(queries=st.integers(1, 10), more=st.integers(0, 10), window=st.integers(1, 12))
def test_sliding_window_mask_shows_at_most_the_window(unit, queries, more, window):
    mask = unit.sliding_window_mask(queries, window, queries + more)
    call = f"attention.sliding_window_mask({queries}, {window}, {queries + more})"
    seen, expected = mask.sum(-1).tolist(), torch.arange(more + 1, more + queries + 1).clamp(max=window).tolist()
    assert seen == expected, f"{call}: the rows see {seen}, expected {expected}"
    assert bool(mask[torch.arange(queries), torch.arange(more, more + queries)].all()), (
        f"{call}: a position must see itself"
    )


# scaled_dot_product_attention

ATTENTION = "scaled_dot_product_attention"


def visible(rand, *shape):
    """A random mask in which every query sees a key, and every key is seen."""
    mask = rand.booleans(*shape)
    mask[..., 2] = mask[..., 0, :] = True
    return mask


@check(ATTENTION, "shape")
def test_scaled_dot_product_attention_keeps_all_leading_axes(agree, rand):
    agree(ATTENTION, rand(2, 3, 5, 8), rand(2, 3, 7, 8), rand(2, 3, 7, 4), only=0)
    agree(ATTENTION, rand(5, 8), rand(7, 8), rand(7, 4), only=0)


@check(ATTENTION, "shape", "shapes")
def test_scaled_dot_product_attention_takes_transposed_tensors(agree, rand):
    query, key, value = (rand(2, seq, 3, size).transpose(1, 2) for seq, size in ((5, 8), (7, 8), (7, 4)))
    agree(ATTENTION, query, key, value, only=0)


@check(ATTENTION, "numerics")
@pytest.mark.parametrize("queries", [1, 5, 7])
def test_scaled_dot_product_attention_follows_the_formula(agree, rand, queries):
    agree(ATTENTION, rand(2, queries, 8), rand(2, 7, 8), rand(2, 7, 4), only=0)
    agree(ATTENTION, rand(queries, queries), rand(queries, queries), rand(queries, queries), only=0)


@check(ATTENTION, "numerics")
@pytest.mark.parametrize("shape", each([(2, 3, 5, 7), (5, 7)]))
def test_scaled_dot_product_attention_hides_where_the_mask_is_false(agree, rand, shape):
    agree(ATTENTION, rand(2, 3, 5, 8), rand(2, 3, 7, 8), rand(2, 3, 7, 4), visible(rand, *shape), only=0)


@check(ATTENTION, "numerics", "shapes")
@pytest.mark.parametrize("shape", each([(1, 3, 5, 7), (2, 1, 5, 7), (3, 5, 7), (1, 5, 7), (2, 3, 1, 7), (2, 1, 1, 7)]))
def test_a_mask_broadcasts_over_batch_heads_and_queries(agree, rand, shape):
    agree(ATTENTION, rand(2, 3, 5, 8), rand(2, 3, 7, 8), rand(2, 3, 7, 4), visible(rand, *shape), only=0)


@check(ATTENTION, "numerics", "shapes")
def test_a_mask_of_every_head_is_no_mask_of_every_text(agree, rand):
    # as many heads as texts: only the place of the axis tells which is which
    agree(ATTENTION, rand(3, 3, 2, 8), rand(3, 3, 4, 8), rand(3, 3, 4, 5), visible(rand, 3, 2, 4), only=0)


@check(ATTENTION, "numerics", "shapes")
def test_a_key_that_nobody_sees_is_no_error(agree, rand):
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[:, 3] = False
    agree(ATTENTION, rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4), mask, only=0)


@check(ATTENTION, "numerics", "weights")
@pytest.mark.parametrize("masked", [False, True])
def test_the_weights_that_mix_the_values_are_returned(agree, rand, masked):
    mask = [visible(rand, 5, 7)] if masked else []
    agree(ATTENTION, rand(2, 3, 5, 8), rand(2, 3, 7, 8), rand(2, 3, 7, 4), *mask, only=1)


@check(ATTENTION, "numerics", "extremes")
def test_hidden_key_gets_weight_exactly_zero(unit, agree, rand):
    query, key, value = rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1, 3] = mask[2, 0] = False
    _, weights = unit.scaled_dot_product_attention(query, key, value, mask)
    assert bool((weights[:, ~mask] == 0).all()), f"attention.{ATTENTION}: a hidden key must get a weight of exactly 0"
    agree(ATTENTION, query, key, value, mask)


@check(ATTENTION, "numerics", "refusals")
def test_a_query_that_sees_nothing_is_refused(agree, rand):
    query, key, value = rand(2, 2, 3, 8), rand(2, 2, 5, 8), rand(2, 2, 5, 4)
    one, all_ = torch.ones(2, 2, 2, 3, 5, dtype=torch.bool)
    one[1, 0, 2] = False
    all_[:] = False
    in_one_head = one[1]
    masks = {"one blind query": one, "only blind queries": all_, "a blind query in one head": in_one_head}
    agree.on(
        f"the error of {ATTENTION} where a query sees no key",
        lambda unit: {
            blind: error_of(lambda mask=mask: unit.scaled_dot_product_attention(query, key, value, mask))
            for blind, mask in masks.items()
        },
    )


@check(ATTENTION, "numerics", "refusals")
def test_scaled_dot_product_attention_refuses_integer_tensors(agree):
    whole = torch.tensor([[1, 2], [3, 4]])
    what = f"{ATTENTION} of int64 tensors"
    agree.raises(what, lambda unit: unit.scaled_dot_product_attention(whole, whole, whole), ValueError)


@check(ATTENTION, "numerics")
def test_scaled_dot_product_attention_forgets_earlier_calls(agree, rand):
    calls = [(rand(11, 8), rand(13, 8), rand(13, 4)) for _ in range(2)]
    agree.on(f"{ATTENTION} called twice", lambda unit: [unit.scaled_dot_product_attention(*call)[0] for call in calls])


@check(ATTENTION, "gradient")
@pytest.mark.parametrize("masked", [False, True])
def test_scaled_dot_product_attention_passes_the_gradient_without_nan(agree, rand, masked):
    mask = [torch.ones(3, 5, dtype=torch.bool).tril()] if masked else []
    agree(ATTENTION, rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4), *mask, only=0)


@check(ATTENTION, "property")
@given(seed=seeds, queries=sizes, keys=sizes, d_head=sizes)
def test_reordered_keys_give_the_same_mix(unit, seed, queries, keys, d_head):
    query, key, value = normal(seed, queries, d_head), normal(seed + 1, keys, d_head), normal(seed + 2, keys, 3)
    order = torch.randperm(keys, generator=torch.Generator().manual_seed(seed))
    output, _ = unit.scaled_dot_product_attention(query, key, value)
    again, _ = unit.scaled_dot_product_attention(query, key[order], value[order])
    call = f"attention.{ATTENTION}(query=({queries}, {d_head}), key=({keys}, {d_head}), value=({keys}, 3))"
    assert torch.allclose(output, again, atol=1e-5), f"{call}: keys and values in another order give another mix"
    ones = unit.scaled_dot_product_attention(query, key, torch.ones_like(value))[0]
    assert torch.allclose(ones, torch.ones_like(ones), atol=1e-5), f"{call}: values of 1 are mixed into something else"


# What is often filled in for -inf, and a step below it that float32 can tell.
LOW = [(-100.0, 0.5), (-1e4, 0.5), (-1e9, 64.0)]


@check(ATTENTION, "stability")
@pytest.mark.parametrize(("low", "step"), LOW)
def test_a_hidden_key_stays_hidden_below_very_low_scores(agree, rand, low, step):
    key = torch.tensor([[low - step], [low - 2 * step], [0.0], [3.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False, False]])
    agree(ATTENTION, torch.ones(1, 1, dtype=torch.float64), key, rand(4, 2), mask, only=0)


@check(ATTENTION, "stability")
def test_a_much_better_hidden_key_does_not_matter(agree, rand):
    query = torch.tensor([[8192.0]], dtype=torch.float64)
    key = torch.tensor([[0.125], [0.125 + 2**-13], [1.0]], dtype=torch.float64)
    agree(ATTENTION, query, key, rand(3, 2), torch.tensor([[True, True, False]]), only=0)


@check(ATTENTION, "stability", "precision")
@pytest.mark.parametrize("dtype", each([torch.float32, torch.float16, torch.bfloat16]))
def test_scaled_dot_product_attention_returns_the_dtype_of_query(agree, rand, dtype):
    query, key, value = rand(2, 3, 8, dtype=dtype), rand(2, 5, 8, dtype=dtype), rand(2, 5, 4, dtype=dtype)
    agree(ATTENTION, query, key, value)
    agree(ATTENTION, query, key, value, torch.ones(3, 5, dtype=torch.bool).tril())


@check(ATTENTION, "stability", "precision")
def test_the_default_dtype_does_not_matter(agree, rand):
    query, key, value, mask = rand(3, 8).float(), rand(5, 8).float(), rand(5, 4).float(), visible(rand, 3, 5)

    def question(unit):
        with default_dtype(torch.float64):
            return unit.scaled_dot_product_attention(query, key, value, mask)

    agree.on(f"{ATTENTION} of float32 tensors where torch's default dtype is float64", question)


@check(ATTENTION, "stability", "precision")
def test_float16_scores_beyond_65504_do_not_overflow(agree, rand):
    agree(ATTENTION, rand(3, 64).mul(100).half(), rand(5, 64).mul(100).half(), rand(5, 4).half())
    close = torch.tensor([60.0, 59.9375, 16.0]).half()[:, None].expand(3, 64)  # only the last one's score is below
    agree(ATTENTION, torch.full((2, 64), 60.0).half(), close, rand(3, 4).half())


@check(ATTENTION, "stability", "precision")
def test_bfloat16_scores_keep_their_differences(agree):
    # Scores of 64 and 64.25: bfloat16 knows no number between 64 and 64.5.
    query, value = torch.full((1, 4), 8.0).bfloat16(), torch.tensor([[0.0], [4.0]]).bfloat16()
    key = torch.tensor([[4.0, 4.0, 4.0, 4.0], [4.0, 4.0, 4.0, 4.0625]]).bfloat16()
    agree(ATTENTION, query, key, value)


@check(ATTENTION, "shortcut")
def test_scaled_dot_product_attention_is_written_by_hand(agree, rand):
    agree(ATTENTION, rand(3, 2), rand(4, 2), rand(4, 5), only=0)


# What all three modules have in common


def loaded(unit, name, **options):
    """A module of the unit with fixed weights."""
    module = getattr(unit, name)(**MODULES[name], **options).double()
    for index, (_, parameter) in enumerate(sorted(module.named_parameters())):
        parameter.data = normal(index, *parameter.shape, scale=0.3)
    return module


def agree_on(agree, name, x, mask=None, *, only=0, train=False, **options):
    """Same output, or same weights with only=1, as the reference, and in checks of gradients the same gradients."""
    forward = {} if mask is None else {"mask": mask}
    agree.module(name, MODULES[name] | options, x, **forward, only=only, train=train, tolerance=IN_FLOAT32)


def text(rand, name, batch, seq):
    # half as long as normal vectors, so that most scores stay below 30
    return rand(batch, seq, MODULES[name]["d_model"]) / 2


@of_each(MODULES, "shape", "shortcut")
@pytest.mark.parametrize("sizes", each([(1, 1), (2, 7)]))
def test_a_module_returns_a_vector_for_each_position(agree, rand, name, sizes):
    agree_on(agree, name, text(rand, name, *sizes))


@of_each(MODULES, "numerics", "gradient")
@pytest.mark.parametrize("causal", [True, False])
def test_a_module_attends_causally_or_everywhere(agree, rand, name, causal):
    agree_on(agree, name, text(rand, name, 2, 6), causal=causal)


@of_each(MODULES, "numerics", criterion="weights")
@pytest.mark.parametrize("causal", [True, False])
def test_a_module_returns_the_weights_as_well(agree, rand, name, causal):
    agree_on(agree, name, text(rand, name, 2, 6), only=1, causal=causal)


@of_each(HEADED, "numerics", criterion="weights")
def test_the_weights_of_a_module_are_those_before_dropout(agree, rand, name):
    x = text(rand, name, 2, 6)
    agree.on(
        f"the weights of {name}(dropout=0.5) in training and in eval mode",
        lambda unit: [loaded(unit, name, dropout=0.5).train(train)(x)[1] for train in (True, False)],
    )


# Over (batch, seq, seq), or over (batch, heads, seq, seq) where an axis of heads comes before seq.
MASKS = {
    "SelfAttention": [(5, 5), (1, 5, 5), (3, 5, 5), (3, 1, 5)],
    "MultiHeadAttention": [(5, 5), (3, 5, 5), (3, 1, 5, 5), (1, 3, 5, 5), (3, 3, 5, 5), (3, 1, 1, 5)],
    "GroupedQueryAttention": [(5, 5), (6, 5, 5), (3, 1, 5, 5), (1, 6, 5, 5), (3, 6, 5, 5), (3, 1, 1, 5)],
}


@of_each(MODULES, "numerics", criterion="masks")
@pytest.mark.parametrize("causal", [True, False])
def test_an_extra_mask_of_any_shape_comes_on_top_of_the_causal_one(agree, rand, name, causal):
    for shape in MASKS[name]:
        mask = rand.booleans(*shape) | torch.eye(5, dtype=torch.bool)
        mask[..., 0] = True  # which every position may see
        agree_on(agree, name, text(rand, name, 3, 5), mask, causal=causal)


@of_each(MODULES, "numerics", criterion="masks")
def test_an_extra_mask_holds_for_its_own_call_alone(agree, rand, name):
    x, mask = text(rand, name, 2, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    mask[0, 3, 1] = False

    def outputs(unit):
        module = loaded(unit, name)
        return [module(x)[0], module(x, mask)[0], module(x)[0]]

    agree.on(f"{name} without an extra mask, with one, and without it again", outputs)


@of_each(MODULES, "numerics", criterion="masks")
def test_a_module_takes_a_mask_of_padding(agree, rand, name):
    keep = torch.tensor([[True, True, True, False], [True, True, False, False]])
    agree_on(agree, name, text(rand, name, 2, 4), keep[:, None] if name == "SelfAttention" else keep[:, None, None])


@of_each(HEADED, "numerics", criterion="masks")
def test_an_extra_mask_holds_in_training_with_dropout_too(agree, rand, name):
    x, keep = (
        text(rand, name, 2, 4),
        torch.tensor([[True, True, True, False], [True, True, False, False]])[:, None, None],
    )
    agree.on(
        f"what {name}(dropout=0.5) hides with a mask of padding, in training and in eval mode",
        lambda unit: [loaded(unit, name, dropout=0.5).train(train)(x, keep)[1] == 0 for train in (True, False)],
    )


@of_each(MODULES, "numerics", criterion="refusals")
def test_a_module_refuses_a_position_that_sees_nothing(agree, rand, name):
    x, mask = text(rand, name, 2, 3), torch.ones(1, 3, 3, dtype=torch.bool)
    mask[0, 0, 0] = False
    agree.on(
        f"the error of {name} with a mask that hides position 0 from itself",
        lambda unit: error_of(lambda: bool(loaded(unit, name)(x, mask))),
    )


def looks_ahead(module, x, position):
    """Before `position`: where the output changes as the vector there does, or a weight on something later is not 0."""
    changed, outputs = x.clone(), []
    changed[:, position] += 1.0
    for vectors in (x, x, changed):
        torch.default_generator.manual_seed(3)
        output, weights = module(vectors)
        outputs.append(output)
    first, again, other = outputs
    # Dropout that does not follow the global seed is another mistake: then the weights alone are looked at.
    other = other if torch.equal(first, again) else first
    later = weights.reshape(-1, *weights.shape[-2:]).triu(1).sum((0, 2))
    return [i for i in range(position) if later[i] or not torch.allclose(first[:, i], other[:, i], atol=1e-6)]


@of_each(MODULES, "property")
def test_a_module_never_looks_ahead(unit, rand, name):
    module, x = loaded(unit, name), text(rand, name, 1, 6)
    for position in range(1, 6):
        call = f"attention.{name}: changing position {position}"
        assert not looks_ahead(module, x, position), f"{call} changes what came before it"


@of_each(MODULES, "property")
@pytest.mark.parametrize("batch", [1, 2])
def test_no_option_and_no_mode_lets_a_module_look_ahead(agree, rand, name, batch):
    x, headed = text(rand, name, batch, 6), ({"dropout": 0.5}, {"bias": True}, {"rope_base": 100.0})
    cases = [(options, train) for options in ({}, *(headed if name in HEADED else ())) for train in (True, False)]
    agree.on(
        f"which positions before the third of {name} attend to what comes after it, {batch} of a batch",
        lambda unit: {
            f"{options or 'no options'} in {'training' if train else 'eval'}": looks_ahead(
                loaded(unit, name, **options).train(train), x, 3
            )
            for options, train in cases
        },
    )


@of_each(MODULES, "property")
def test_a_module_takes_texts_of_any_length_in_any_order(agree, rand, name):
    lengths = [7, 7, 5, 12, 1]
    inputs = [text(rand, name, 11, length) for length in lengths]

    def outputs(unit):
        module = loaded(unit, name)
        return [module(x)[0] for x in inputs]

    agree.on(f"one {name} on texts of length {lengths}, one after the other", outputs, tolerance=IN_FLOAT32)


LONG = 1100  # longer than any table that a small model brings along
SMALL = {
    "SelfAttention": {"d_model": 2, "d_head": 2},
    "MultiHeadAttention": {"d_model": 2, "num_heads": 1},
    "GroupedQueryAttention": {"d_model": 2, "num_heads": 1, "num_kv_heads": 1},
}


@of_each(MODULES, "shape", criterion="masks")
def test_a_module_has_no_longest_text(agree, rand, name):
    agree.module(name, SMALL[name], rand(1, LONG, 2).float() / 2, dtype=torch.float32, only=0, train=True)


@of_each(MODULES, "shape", criterion="weights")
def test_a_module_returns_output_and_weights_in_the_dtype_of_x(agree, rand, name):
    x = text(rand, name, 2, 4).float()
    agree.module(name, MODULES[name], x, dtype=torch.float32, tolerance=Tolerance(1e-3, 1e-4))


@of_each(MODULES, "numerics", criterion="parameters")
def test_a_new_module_has_the_documented_parameters(agree, name):
    def made(unit, **options):
        parameters = sorted(getattr(unit, name)(**MODULES[name], **options).named_parameters())
        return {n: (tuple(p.shape), "drawn" if p.detach().any() else "zeros") for n, p in parameters}

    def question(unit):
        return {"by default": made(unit)} | ({} if name == "SelfAttention" else {"bias=True": made(unit, bias=True)})

    agree.on(f"parameters of {name}({MODULES[name]}), just built", question)


def wide(unit, name, generator):
    """The weights of a wide module; wide, so that what is said of them is true of all but one in 10^11 right ones."""
    sizes = MODULES[name] | {"d_model": 192} | ({"d_head": 96} if name == "SelfAttention" else {})
    module = getattr(unit, name)(**sizes, generator=generator)
    return {n: p.detach().double() for n, p in sorted(module.named_parameters())}


def drawn(unit, name, seed):
    return wide(unit, name, torch.Generator().manual_seed(seed))


def facts_about_weights(unit, name):
    torch.default_generator.manual_seed(5)
    first = drawn(unit, name, 1)
    after = torch.rand(()).item()
    torch.default_generator.manual_seed(6)
    second, other = drawn(unit, name, 1), drawn(unit, name, 2)
    generator = torch.Generator().manual_seed(1)
    one, next_one = (wide(unit, name, generator) for _ in range(2))
    flat = torch.cat([p.flatten() for p in first.values()])
    return {
        "the same seed gives the same weights": {n: torch.equal(first[n], second[n]) for n in first},
        "another seed gives other weights": not any(torch.equal(first[n], other[n]) for n in first),
        "the next module of the same generator gets other weights": not any(
            torch.equal(one[n], next_one[n]) for n in one
        ),
        "weights that are copies of another": sum(
            torch.equal(p[:8], q[:8]) for p in first.values() for q in first.values() if p is not q
        ),
        "standard deviation over d_model ** -0.5": {n: round(p.std().item() * 192**0.5, 1) for n, p in first.items()},
        "the mean is 0": {n: abs(p.mean().item()) < 0.01 for n, p in first.items()},
        "normal (kurtosis 3)": abs((flat / flat.std()).pow(4).mean().item() - 3) < 0.35,
        "the global generator was left alone": after == AFTER_SEED_5,
    }


@of_each(MODULES, "numerics", criterion="parameters")
def test_a_module_draws_its_weights_from_the_generator(agree, name):
    agree.on(f"the initial weights of {name} with a generator", lambda unit: facts_about_weights(unit, name))


@of_each(MODULES, "numerics", criterion="parameters")
def test_a_module_without_a_generator_draws_from_the_global_one(agree, measure, name):
    def question(unit):
        first, second = (wide(unit, name, None) for _ in range(2))
        return {
            "draws from": sorted(measure(lambda: getattr(unit, name)(**MODULES[name])).drew),
            "two modules with the same weights": [n for n in first if torch.equal(first[n], second[n])],
            "weights that are 0": [n for n in first if not first[n].any()],
        }

    agree.on(f"the initial weights of {name} without a generator", question)


# What only the modules with several heads have


@of_each(HEADED, "numerics", "gradient", criterion="parameters")
def test_every_projection_adds_its_bias(agree, rand, name):
    agree_on(agree, name, text(rand, name, 2, 5), bias=True)


@of_each(HEADED, "numerics", "gradient", criterion="rope")
@pytest.mark.parametrize("options", each([{"rope_base": 100.0}, {"rope_base": 1e4, "causal": False}]))
def test_rope_turns_queries_and_keys_by_their_positions(agree, rand, name, options):
    agree_on(agree, name, text(rand, name, 2, 7), **options)


@of_each(HEADED, "numerics", criterion="rope")
def test_rope_turns_what_the_biases_are_part_of(agree, rand, name):
    agree_on(agree, name, text(rand, name, 2, 5), bias=True, rope_base=100.0)


@of_each(HEADED, "property", criterion="rope")
def test_rope_follows_texts_of_any_length_in_any_order(agree, rand, name):
    lengths = [7, 7, 5, 12, 1]
    inputs = [text(rand, name, 2, length) for length in lengths]

    def outputs(unit):
        module = loaded(unit, name, rope_base=100.0)
        return [module(x)[0] for x in inputs]

    what = f"one {name}(rope_base=100.0) on texts of length {lengths}, one after the other"
    agree.on(what, outputs, tolerance=IN_FLOAT32)


@of_each(HEADED, "shape", criterion="rope")
def test_rope_has_no_longest_text(agree, rand, name):
    x, tolerance = rand(1, LONG, 2).float() / 2, Tolerance(1e-2, 1e-3)
    init = SMALL[name] | {"rope_base": 1e4}
    agree.module(name, init, x, dtype=torch.float32, only=0, train=True, tolerance=tolerance)


@of_each(HEADED, "shape", criterion="rope")
def test_rope_keeps_the_dtype_of_the_vectors(agree, rand, name):
    x, tolerance = text(rand, name, 2, 4).float(), Tolerance(1e-3, 1e-4)
    agree.module(name, MODULES[name] | {"rope_base": 100.0}, x, dtype=torch.float32, only=0, tolerance=tolerance)


@of_each(HEADED, "property", criterion="rope")
@given(seed=seeds, seq=st.integers(1, 7), base=st.floats(2, 1e4))
def test_rope_sees_how_far_apart_two_positions_are_and_nothing_else(unit, name, seed, seq, base):
    module = loaded(unit, name, causal=False, rope_base=base)
    # The same vector everywhere: only the positions differ.
    output, weights = module(normal(seed, 1, 1, MODULES[name]["d_model"]).expand(2, seq, -1))
    call = f"attention.{name}(rope_base={base:g}, causal=False) on {seq} times the same vector"
    assert torch.allclose(output, output[:, :1].expand_as(output), atol=1e-5), f"{call}: the outputs differ"
    scores = weights.log() - weights.log().diagonal(dim1=-2, dim2=-1)[..., None]  # against that of the position itself
    for far in range(1 - seq, seq):
        alike = scores.diagonal(far, -2, -1)
        assert torch.allclose(alike, alike[..., :1].expand_as(alike), atol=1e-4), (
            f"{call}: pairs that are {far} apart get different scores"
        )


@check("MultiHeadAttention", "numerics")
@pytest.mark.parametrize("sizes", each([(8, 1), (8, 8), (12, 4)]))
def test_MultiHeadAttention_cuts_the_features_into_heads(agree, rand, sizes):
    init, x = dict(zip(("d_model", "num_heads"), sizes, strict=True)), rand(2, 5, sizes[0]) / 2
    agree.module("MultiHeadAttention", init, x, only=0, tolerance=IN_FLOAT32)


@check("GroupedQueryAttention", "numerics")
@pytest.mark.parametrize("num_kv_heads", [1, 3, 6])
def test_GroupedQueryAttention_repeats_each_kv_head(agree, rand, num_kv_heads):
    init = {"d_model": 24, "num_heads": 6, "num_kv_heads": num_kv_heads}
    agree.module("GroupedQueryAttention", init, rand(2, 5, 24) / 2, only=0, tolerance=IN_FLOAT32)


@check("GroupedQueryAttention", "numerics", "rope")
@pytest.mark.parametrize("num_kv_heads", [1, 6])
def test_GroupedQueryAttention_turns_every_kv_head(agree, rand, num_kv_heads):
    init = {"d_model": 24, "num_heads": 6, "num_kv_heads": num_kv_heads, "bias": True, "rope_base": 50.0}
    agree.module("GroupedQueryAttention", init, rand(2, 5, 24) / 2, only=0, tolerance=IN_FLOAT32)


@of_each(HEADED, "numerics", criterion="refusals")
def test_heads_that_do_not_divide_are_refused(agree, name):
    cases = {"MultiHeadAttention": [(10, 4), (12, 0)]}.get(name, [(10, 4, 2), (24, 6, 4), (24, 6, 0), (24, 0, 1)])
    agree.on(
        f"the error of {name} for sizes that do not divide",
        lambda unit: {str(case): error_of(lambda case=case: bool(getattr(unit, name)(*case))) for case in cases},
    )


def dropping(unit, name, p):
    """One head in which every weight is 1/24, and every output feature the sum of four of them, as they were mixed."""
    kv = {"num_kv_heads": 1} if name == "GroupedQueryAttention" else {}
    module = getattr(unit, name)(d_model=12, num_heads=1, dropout=p, causal=False, **kv).double()
    eye = torch.eye(12, dtype=torch.float64)
    weights = {"v_proj.weight": eye, "out_proj.weight": eye + eye.roll(1, 0)}
    for parameter_name, parameter in module.named_parameters():
        parameter.data = weights.get(parameter_name, torch.zeros_like(eye)).clone()
    return module


def dropout_facts(module, p):
    """What can be said of dropout without knowing the random numbers."""
    p = p if module.training else 0.0
    x = torch.eye(12, dtype=torch.float64).repeat(2, 1).expand(20, 24, 12)
    torch.default_generator.manual_seed(3)
    output, again = module(x)[0], module(x)[0]
    alive = output * 24 * (1 - p)  # how many of the four weights behind each output survive
    share = alive.mean().item() / 4
    return {
        "how many of four weights survive": sorted({round(n, 3) for n in alive.flatten().tolist()}),
        # 20 * 24 * 24 weights: within 7 standard deviations, which one right answer in 10^11 is not.
        "the share that survives is 1 - p": abs(share - (1 - p)) <= 7 * (p * (1 - p) / 11520) ** 0.5 + 1e-5,
        "axes along which weights are dropped together": [
            dim for dim in (0, 1, 2) if (alive / 4).mean(dim).var() > 0.1 * p * (1 - p) + 1e-9
        ],
        "every call drops the same": torch.equal(output, again),
    }


@of_each(HEADED, "property", criterion="dropout")
def test_dropout_draws_from_the_global_generator_in_training_only(agree, measure, rand, name):
    x = text(rand, name, 2, 4)

    def question(unit):
        module = loaded(unit, name, dropout=0.5)
        training = measure(lambda: module(x)).drew
        dropped = module(x)[0]
        found = {"training": sorted(training), "eval": sorted(measure(lambda: module.eval()(x)).drew)}
        return found | {"training drops something": not torch.equal(dropped, module(x)[0])}

    agree.on(f"what {name}(dropout=0.5) draws from", question)


@of_each(HEADED, "property", criterion="dropout")
def test_a_module_drops_weights_in_training_only(agree, name):
    agree.on(
        f"{name} with dropout 0.5 and 0.25, in training and in eval mode",
        lambda unit: {
            f"dropout {p}, {'training' if train else 'eval'}": dropout_facts(dropping(unit, name, p).train(train), p)
            for p in (0.5, 0.25)
            for train in (True, False)
        },
    )
