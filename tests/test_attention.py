"""Checks of attention: who may look at whom, how much of each, and what is mixed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from tests.strategies import normal, seeds, sizes, tensors

INF = float("inf")


def diagonal(size, value=1.0):
    return value * torch.eye(size, dtype=torch.float64)


def visible_causally(*shape):
    """A random mask in which every position sees at least itself."""
    return lambda rand: rand.booleans(*shape) | torch.eye(shape[-1], dtype=torch.bool)


# softmax


@check("softmax", "shape")
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 3)])
def test_softmax_keeps_the_shape_and_runs_along_the_last_axis(agree, rand, shape):
    agree("softmax", rand(*shape), -1)


@check("softmax", "numerics")
@pytest.mark.parametrize("dim", [0, 1, 2, -2])
def test_softmax_runs_along_the_axis_it_is_told(agree, rand, dim):
    agree("softmax", rand(3, 4, 5), dim)


@check("softmax", "numerics")
def test_softmax_of_a_square(agree, rand):
    agree("softmax", rand(3, 3), 0)


@check("softmax", "numerics")
def test_softmax_gives_exactly_zero_to_minus_infinity(agree, unit, rand):
    scores = rand(3, 4)
    scores[0, 2] = scores[1, 0] = -INF
    agree("softmax", scores, -1)
    assert unit.softmax(scores, -1)[0, 2] == 0, "attention.softmax: a score of -inf must get a share of exactly 0"


@check("softmax", "gradient")
def test_softmax_passes_the_gradient(unit, rand):
    scores = rand(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: unit.softmax(s, 1), (scores,), raise_exception=False), (
        "attention.softmax(scores=(2, 3, 4), dim=1): the gradient is not that of the values (gradcheck)"
    )


@check("softmax", "property")
@given(scores=tensors(sizes, sizes, sizes, scale=5.0), dim=st.integers(-3, 2), shift=st.floats(-50, 50))
def test_softmax_sums_to_one_and_ignores_a_common_shift(unit, scores, dim, shift):
    shares = unit.softmax(scores, dim)
    ones = torch.ones(())
    assert torch.allclose(shares.sum(dim), ones.double(), atol=1e-5), (
        f"attention.softmax(scores={tuple(scores.shape)}, dim={dim}): the shares along dim do not sum to 1"
    )
    assert torch.allclose(unit.softmax(scores + shift, dim), shares, atol=1e-5), (
        f"attention.softmax: adding {shift:g} to every score changes the shares"
    )


@check("softmax", "stability")
@pytest.mark.parametrize(
    "scores",
    [
        [[0.0, 1000.0], [-1000.0, 3.0]],
        [[0.0, 1e4], [1e4, 1e4]],
        [[0.0, 1.0], [-2000.0, -2001.0]],
        [[60.0, 62.0], [-80.0, -81.0]],
    ],
)
def test_softmax_of_large_scores_is_finite(agree, scores):
    scores = torch.tensor(scores, dtype=torch.float64)
    agree("softmax", scores, -1)
    agree("softmax", scores.T, 0)


@check("softmax", "stability")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_softmax_returns_the_dtype_it_was_given(agree, rand, dtype):
    agree("softmax", rand(3, 5, dtype=dtype), 0, gradients=False)


@check("softmax", "stability")
def test_softmax_of_a_long_float16_row(agree):
    agree("softmax", torch.zeros(70_000, dtype=torch.float16), 0, gradients=False)


@check("softmax", "shortcut")
def test_softmax_is_written_by_hand(agree, rand):
    agree("softmax", rand(4, 2), 1)


# causal_mask


@check("causal_mask", "shape")
@pytest.mark.parametrize(("query_length", "key_length"), [(4, None), (3, 5), (0, 3), (1, 6)])
def test_causal_mask_has_a_row_a_query_and_a_column_a_key(agree, query_length, key_length):
    agree("causal_mask", query_length, key_length, gradients=False)


@check("causal_mask", "numerics")
@pytest.mark.parametrize("length", [1, 2, 7])
def test_causal_mask_lets_a_position_see_itself_and_what_came_before(agree, length):
    agree("causal_mask", length, gradients=False)


@check("causal_mask", "numerics")
@pytest.mark.parametrize(("query_length", "key_length"), [(3, 5), (2, 9), (1, 4)])
def test_causal_mask_puts_fewer_queries_at_the_end_of_the_keys(agree, query_length, key_length):
    agree("causal_mask", query_length, key_length, gradients=False)


@check("causal_mask", "numerics")
def test_causal_mask_refuses_more_queries_than_keys(agree):
    agree.raises("causal_mask(5, 3)", lambda unit: unit.causal_mask(5, 3), ValueError)


@check("causal_mask", "property")
@given(length=st.integers(1, 12), more=st.integers(0, 12))
def test_causal_mask_of_the_last_queries_is_the_end_of_the_whole(unit, length, more):
    whole = unit.causal_mask(length + more)
    last = unit.causal_mask(length, length + more)
    assert last.dtype is torch.bool, f"attention.causal_mask: got dtype {last.dtype}, expected torch.bool"
    assert torch.equal(last, whole[more:]), (
        f"attention.causal_mask({length}, {length + more}): not the last {length} rows of the mask of {length + more}"
    )


# scaled_dot_product_attention

ATTENTION = "scaled_dot_product_attention"


@check(ATTENTION, "shape")
def test_scaled_dot_product_attention_keeps_all_leading_axes(agree, rand):
    agree(ATTENTION, rand(2, 3, 5, 8), rand(2, 3, 7, 8), rand(2, 3, 7, 4))
    agree(ATTENTION, rand(5, 8), rand(7, 8), rand(7, 4))


@check(ATTENTION, "numerics")
@pytest.mark.parametrize("queries", [1, 5, 7])
def test_scaled_dot_product_attention_follows_the_formula(agree, rand, queries):
    agree(ATTENTION, rand(2, queries, 8), rand(2, 7, 8), rand(2, 7, 4))


@check(ATTENTION, "numerics")
def test_scaled_dot_product_attention_of_a_square(agree, rand):
    agree(ATTENTION, rand(4, 4), rand(4, 4), rand(4, 4))


@check(ATTENTION, "numerics")
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 3, 5, 7), (2, 1, 5, 7), (5, 7), (2, 3, 1, 7)], ids=str)
def test_scaled_dot_product_attention_hides_where_the_mask_is_false(agree, rand, shape):
    mask = rand.booleans(*shape)
    mask[..., 2] = True
    agree(ATTENTION, rand(2, 3, 5, 8), rand(2, 3, 7, 8), rand(2, 3, 7, 4), mask)


@check(ATTENTION, "numerics")
def test_hidden_key_gets_weight_exactly_zero(unit, agree, rand):
    query, key, value = rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1, 3] = mask[2, 0] = False
    _, weights = unit.scaled_dot_product_attention(query, key, value, mask)
    assert bool((weights[:, ~mask] == 0).all()), f"attention.{ATTENTION}: a hidden key must get a weight of exactly 0"
    agree(ATTENTION, query, key, value, mask)


@check(ATTENTION, "numerics")
def test_a_key_that_nobody_sees_is_no_error(agree, rand):
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[:, 3] = False
    agree(ATTENTION, rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4), mask)


@check(ATTENTION, "numerics")
@pytest.mark.parametrize("blind", ["one query", "all queries"])
def test_a_query_that_sees_nothing_is_refused(agree, rand, blind):
    query, key, value = rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4)
    mask = torch.ones(2, 3, 5, dtype=torch.bool)
    mask[(1, 2) if blind == "one query" else ...] = False
    agree.raises(
        f"{ATTENTION} with a mask that hides every key from {blind}",
        lambda unit: unit.scaled_dot_product_attention(query, key, value, mask),
        ValueError,
    )


@check(ATTENTION, "gradient")
def test_scaled_dot_product_attention_passes_the_gradient(unit, rand):
    mask = torch.tensor([[True, False, True, True], [True, True, False, True]])
    tensors = [rand(2, 3).requires_grad_(), rand(4, 3).requires_grad_(), rand(4, 2).requires_grad_()]
    right = torch.autograd.gradcheck(
        lambda q, k, v: unit.scaled_dot_product_attention(q, k, v, mask), tensors, raise_exception=False
    )
    assert right, f"attention.{ATTENTION}: the gradients are not those of the values (gradcheck)"


@check(ATTENTION, "gradient")
def test_masked_attention_has_no_nan_in_its_gradients(agree, rand):
    mask = torch.ones(3, 5, dtype=torch.bool).tril()
    agree(ATTENTION, rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4), mask)


@check(ATTENTION, "property")
@given(seed=seeds, queries=sizes, keys=sizes, d_head=sizes)
def test_reordered_keys_give_the_same_mix(unit, seed, queries, keys, d_head):
    query, key, value = normal(seed, queries, d_head), normal(seed + 1, keys, d_head), normal(seed + 2, keys, 3)
    order = torch.randperm(keys, generator=torch.Generator().manual_seed(seed))
    output, weights = unit.scaled_dot_product_attention(query, key, value)
    again, reordered = unit.scaled_dot_product_attention(query, key[order], value[order])
    call = f"attention.{ATTENTION}(query=({queries}, {d_head}), key=({keys}, {d_head}), value=({keys}, 3))"
    assert torch.allclose(output, again, atol=1e-5), f"{call}: keys and values in another order give another mix"
    assert torch.allclose(weights[:, order], reordered, atol=1e-5), f"{call}: the weights do not follow their keys"
    assert torch.allclose(weights.sum(-1), torch.ones(queries).double(), atol=1e-5), (
        f"{call}: the weights of a query do not sum to 1"
    )


@check(ATTENTION, "stability")
@pytest.mark.parametrize("fill", [-5e3, -2e4, -5e9])
def test_a_hidden_key_stays_hidden_below_very_low_scores(agree, rand, fill):
    query = torch.full((1, 1), fill, dtype=torch.float64)
    key = torch.tensor([[1.0], [1.5], [0.0]], dtype=torch.float64)
    agree(ATTENTION, query, key, rand(3, 2), torch.tensor([[True, True, False]]), gradients=False)


@check(ATTENTION, "stability")
def test_a_much_better_hidden_key_does_not_matter(agree, rand):
    query = torch.tensor([[1e4]], dtype=torch.float64)
    key = torch.tensor([[0.1], [0.1001], [1.0]], dtype=torch.float64)
    agree(ATTENTION, query, key, rand(3, 2), torch.tensor([[True, True, False]]), gradients=False)


@check(ATTENTION, "stability")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_scaled_dot_product_attention_returns_the_dtype_of_query(agree, rand, dtype):
    query, key, value = rand(2, 3, 8, dtype=dtype), rand(2, 5, 8, dtype=dtype), rand(2, 5, 4, dtype=dtype)
    agree(ATTENTION, query, key, value, gradients=False)
    agree(ATTENTION, query, key, value, torch.ones(3, 5, dtype=torch.bool).tril(), gradients=False)


@check(ATTENTION, "stability")
@pytest.mark.parametrize("inputs", ["far apart", "close together"])
def test_float16_scores_beyond_65504_do_not_overflow(agree, rand, inputs):
    query = torch.full((2, 64), 60.0).half() if inputs == "close together" else rand(3, 64).mul(100).half()
    key = torch.full((3, 64), 60.0).half() if inputs == "close together" else rand(5, 64).mul(100).half()
    if inputs == "close together":
        key[1] = 59.9375
    agree(ATTENTION, query, key, rand(len(key), 4).half(), gradients=False)


@check(ATTENTION, "shortcut")
def test_scaled_dot_product_attention_is_written_by_hand(agree, rand):
    agree(ATTENTION, rand(3, 2), rand(4, 2), rand(4, 5))


# What all three modules have in common

MODULES = {
    "SelfAttention": {"d_model": 12, "d_head": 5},
    "MultiHeadAttention": {"d_model": 12, "num_heads": 3},
    "GroupedQueryAttention": {"d_model": 24, "num_heads": 6, "num_kv_heads": 2},
}


def of_each(kind):
    """The same check for each of the three modules, under the module's own name."""

    def make(test):
        for name, init in MODULES.items():
            scope = test.__globals__
            source = _bound(test, name, init)
            source.__name__ = source.__qualname__ = f"test_{name}_{test.__name__.removeprefix('each_')}"
            scope[source.__name__] = check(name, kind)(source)
        return test

    return make


def _bound(test, name, init):
    def run(unit, agree, rand):
        test(unit, agree, rand, name, init)

    return run


def _extra_mask(name, rand, batch, seq):
    shape = (batch, seq, seq) if name == "SelfAttention" else (batch, 1, seq, seq)
    return rand.booleans(*shape) | torch.eye(seq, dtype=torch.bool)


@of_each("shape")
def each_returns_output_and_weights(unit, agree, rand, name, init):
    agree.module(name, init, rand(1, 1, init["d_model"]))
    agree.module(name, init, rand(2, 7, init["d_model"]))


@of_each("numerics")
def each_attends_causally(unit, agree, rand, name, init):
    agree.module(name, init, rand(2, 7, init["d_model"]))


@of_each("numerics")
def each_attends_everywhere_when_told_so(unit, agree, rand, name, init):
    agree.module(name, init | {"causal": False}, rand(2, 7, init["d_model"]))


@of_each("numerics")
def each_combines_an_extra_mask_with_the_causal_one(unit, agree, rand, name, init):
    agree.module(name, init, rand(3, 5, init["d_model"]), mask=_extra_mask(name, rand, 3, 5))
    agree.module(name, init | {"causal": False}, rand(3, 5, init["d_model"]), mask=_extra_mask(name, rand, 3, 5))


@of_each("numerics")
def each_takes_a_mask_of_padding(unit, agree, rand, name, init):
    keep = torch.tensor([[True, True, True, False], [True, True, False, False]])
    mask = keep[:, None, :] if name == "SelfAttention" else keep[:, None, None, :]
    agree.module(name, init, rand(2, 4, init["d_model"]), mask=mask)


@of_each("numerics")
def each_refuses_a_position_that_sees_nothing(unit, agree, rand, name, init):
    x = rand(2, 3, init["d_model"])
    mask = torch.ones(1, 3, 3, dtype=torch.bool)
    mask[0, 0, 0] = False
    agree.raises(
        f"{name} with a mask that hides position 0 from itself",
        lambda unit: getattr(unit, name)(**init).double()(x, mask),
        ValueError,
    )


@of_each("numerics")
def each_starts_with_the_documented_weights(unit, agree, rand, name, init):
    agree.on(
        f"parameters of {name}({init})",
        lambda unit: {n: tuple(p.shape) for n, p in sorted(getattr(unit, name)(**init).named_parameters())},
    )


@of_each("numerics")
def each_draws_its_weights_from_the_generator(unit, agree, rand, name, init):
    wide = init | {"d_model": 96} | ({"d_head": 96} if name == "SelfAttention" else {})

    def draw(unit, seed, dtype=torch.float64):
        module = getattr(unit, name)(**wide, generator=torch.Generator().manual_seed(seed))
        return {n: p.detach().to(dtype) for n, p in sorted(module.named_parameters())}

    def facts(unit):
        torch.manual_seed(5)
        first = draw(unit, 1)
        after = torch.rand(()).item()
        torch.manual_seed(5)
        second, other = draw(unit, 1), draw(unit, 2)
        flat = torch.cat([p.flatten() for p in first.values()])
        normal = flat / flat.std()
        unequal = [not torch.equal(p[:8], q[:8]) for p in first.values() for q in first.values() if p is not q]
        return {
            "the same seed gives the same weights": all(torch.equal(first[n], second[n]) for n in first),
            "another seed gives other weights": not any(torch.equal(first[n], other[n]) for n in first),
            "the weights differ from one another": all(unequal),
            "the standard deviation is d_model ** -0.5": {n: abs(p.std().item() * 96**0.5 - 1) < 0.1 for n, p in first.items()},
            "the mean is 0": {n: abs(p.mean().item()) < 0.01 for n, p in first.items()},
            "the weights are normal (kurtosis 3)": abs(normal.pow(4).mean().item() - 3) < 0.35,
            "the global generator was left alone": after == _after_seed_5(),
        }

    agree.on(f"the initial weights of {name} with a generator", facts)


def _after_seed_5():
    return torch.rand((), generator=torch.Generator().manual_seed(5)).item()


@of_each("gradient")
def each_passes_gradients_to_its_input_and_weights(unit, agree, rand, name, init):
    agree.module(name, init, rand(2, 4, init["d_model"]))
    agree.module(name, init | {"causal": False}, rand(2, 4, init["d_model"]))


@of_each("property")
def each_never_looks_ahead(unit, agree, rand, name, init):
    module = getattr(unit, name)(**init).double()
    x = rand(1, 6, init["d_model"])
    for position in range(1, 6):
        changed = x.clone()
        changed[:, position] += 1.0
        before, after = module(x)[0], module(changed)[0]
        assert torch.allclose(before[:, :position], after[:, :position], atol=1e-6), (
            f"attention.{name}: changing position {position} changes what came before it"
        )
        assert not torch.allclose(before[:, position], after[:, position], atol=1e-6), (
            f"attention.{name}: changing position {position} does not change its own output"
        )


@of_each("property")
def each_takes_texts_of_any_length_in_any_order(unit, agree, rand, name, init):
    lengths = [7, 5, 12, 1]
    inputs = [rand(2, length, init["d_model"]) for length in lengths]

    def outputs(unit):
        torch.manual_seed(0)
        module = getattr(unit, name)(**init).double()
        for index, (_, parameter) in enumerate(sorted(module.named_parameters())):
            parameter.data = normal(index, *parameter.shape, scale=0.3)
        return [module(x) for x in inputs]

    agree.on(f"one {name} on texts of length {lengths}, one after the other", outputs)


@of_each("shortcut")
def each_is_written_by_hand(unit, agree, rand, name, init):
    agree.module(name, init, rand(1, 3, init["d_model"]))


# What only the modules with several heads have


@check("MultiHeadAttention", "numerics")
@pytest.mark.parametrize(("d_model", "num_heads"), [(8, 1), (8, 8), (12, 4)])
def test_MultiHeadAttention_cuts_the_features_into_heads(agree, rand, d_model, num_heads):
    agree.module("MultiHeadAttention", {"d_model": d_model, "num_heads": num_heads}, rand(2, 5, d_model))


@check("MultiHeadAttention", "numerics")
def test_MultiHeadAttention_refuses_heads_that_do_not_divide(agree):
    agree.raises("MultiHeadAttention(10, 4)", lambda unit: unit.MultiHeadAttention(10, 4), ValueError)


@check("GroupedQueryAttention", "numerics")
@pytest.mark.parametrize("num_kv_heads", [1, 3, 6])
def test_GroupedQueryAttention_repeats_each_kv_head(agree, rand, num_kv_heads):
    init = {"d_model": 24, "num_heads": 6, "num_kv_heads": num_kv_heads}
    agree.module("GroupedQueryAttention", init, rand(2, 5, 24))


@check("GroupedQueryAttention", "numerics")
@pytest.mark.parametrize(("d_model", "num_heads", "num_kv_heads"), [(10, 4, 2), (24, 6, 4), (24, 6, 0)])
def test_GroupedQueryAttention_refuses_heads_that_do_not_divide(agree, d_model, num_heads, num_kv_heads):
    agree.raises(
        f"GroupedQueryAttention({d_model}, {num_heads}, {num_kv_heads})",
        lambda unit: unit.GroupedQueryAttention(d_model, num_heads, num_kv_heads),
        ValueError,
    )


def with_identity_weights(unit, name, p, size=12):
    """One head whose output is exactly its weights, as they were mixed."""
    kv = {"num_kv_heads": 1} if name == "GroupedQueryAttention" else {}
    module = getattr(unit, name)(d_model=size, num_heads=1, dropout=p, causal=False, **kv).double()
    for parameter in (module.v_weight, module.out_weight):
        parameter.data = diagonal(size)
    for parameter in (module.q_weight, module.k_weight):
        parameter.data = torch.zeros(size, size, dtype=torch.float64)
    return module


HEADED = ("MultiHeadAttention", "GroupedQueryAttention")


def dropout_facts(name, p, train):
    """What can be said of dropout without knowing the random numbers: equal weights of 1/12 go in."""

    def facts(unit):
        torch.manual_seed(3)
        module = with_identity_weights(unit, name, p).train(train)
        output, weights = module(diagonal(12).expand(200, 12, 12))
        again, _ = module(diagonal(12).expand(200, 12, 12))
        alive = output[output != 0]
        kept = (output != 0).double()
        return {
            "the weights returned": weights[0],
            "the values that survive": sorted({round(v, 6) for v in (alive * 12).flatten().tolist()}),
            "about 1 - dropout of the weights survive": abs(kept.mean().item() - (1 - p if train else 1)) < 0.02,
            "each weight is dropped on its own": [
                bool(kept.mean(axes).std() > 0.25 / len(kept) ** 0.5) if train else True for axes in [(1, 2)]
            ],
            "whole rows, columns or texts are not dropped together": bool(
                max(kept.mean(d).var().item() for d in (0, 1, 2)) < 0.12 * (1 if train else 1)
            ),
            "every call drops other weights": bool(torch.equal(output, again)) is not train,
        }

    return facts


@check("MultiHeadAttention", "property")
@pytest.mark.parametrize("p", [0.5, 0.1])
def test_MultiHeadAttention_drops_weights_in_training_only(agree, p):
    for train in (True, False):
        mode = "training" if train else "eval"
        agree.on(f"MultiHeadAttention(dropout={p}) in {mode} mode", dropout_facts("MultiHeadAttention", p, train))


@check("GroupedQueryAttention", "property")
@pytest.mark.parametrize("p", [0.5, 0.1])
def test_GroupedQueryAttention_drops_weights_in_training_only(agree, p):
    for train in (True, False):
        mode = "training" if train else "eval"
        agree.on(f"GroupedQueryAttention(dropout={p}) in {mode} mode", dropout_facts("GroupedQueryAttention", p, train))


# sliding_window_mask


@check("sliding_window_mask", "shape")
@pytest.mark.parametrize(("queries", "window", "keys"), [(4, 2, None), (0, 2, 3), (3, 2, 6)])
def test_sliding_window_mask_has_a_row_a_query_and_a_column_a_key(agree, queries, window, keys):
    agree("sliding_window_mask", queries, window, keys, gradients=False)


@check("sliding_window_mask", "numerics")
@pytest.mark.parametrize(("queries", "window", "keys"), [(1, 1, None), (6, 2, None), (5, 3, None), (4, 9, None)])
def test_sliding_window_mask_sees_itself_and_the_window_before(agree, queries, window, keys):
    agree("sliding_window_mask", queries, window, keys, gradients=False)


@check("sliding_window_mask", "numerics")
@pytest.mark.parametrize(("queries", "window", "keys"), [(3, 2, 6), (2, 4, 7)])
def test_sliding_window_mask_puts_fewer_queries_at_the_end_of_the_keys(agree, queries, window, keys):
    agree("sliding_window_mask", queries, window, keys, gradients=False)


@check("sliding_window_mask", "numerics")
@pytest.mark.parametrize(("queries", "window", "keys"), [(6, 2, 3), (4, 0, None), (4, -1, None)])
def test_sliding_window_mask_refuses_what_makes_no_sense(agree, queries, window, keys):
    agree.raises(
        f"sliding_window_mask({queries}, {window}, {keys})",
        lambda unit: unit.sliding_window_mask(queries, window, keys),
        ValueError,
    )


@check("sliding_window_mask", "property")
@given(queries=st.integers(1, 10), more=st.integers(0, 10), window=st.integers(1, 12))
def test_sliding_window_mask_shows_at_most_the_window(unit, queries, more, window):
    mask = unit.sliding_window_mask(queries, window, queries + more)
    call = f"attention.sliding_window_mask({queries}, {window}, {queries + more})"
    expected = torch.arange(more + 1, more + queries + 1).clamp(max=window)
    assert torch.equal(mask.sum(-1), expected), f"{call}: the rows see {mask.sum(-1).tolist()}, expected {expected.tolist()}"
    assert bool(mask[torch.arange(queries), torch.arange(more, more + queries)].all()), f"{call}: a position must see itself"
