"""Checks of attention: who may look at whom, how much of each, and what is mixed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.compare import Tolerance
from tests.strategies import normal, seeds, sizes, tensors

INF = float("inf")


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


def loaded(unit, name, init):
    """A module of the unit with fixed weights."""
    module = getattr(unit, name)(**init).double()
    for index, (_, parameter) in enumerate(sorted(module.named_parameters())):
        parameter.data = normal(index, *parameter.shape, scale=0.3)
    return module


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
        [[-700.0, -50.0]],
    ],
)
def test_softmax_of_large_scores_is_finite(agree, scores):
    scores = torch.tensor(scores, dtype=torch.float64)
    agree("softmax", scores, -1)
    agree("softmax", scores.T, 0)


@check("softmax", "stability")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_softmax_returns_the_dtype_it_was_given(agree, rand, dtype):
    agree("softmax", rand(3, 5, dtype=dtype), 0)


@check("softmax", "stability")
def test_softmax_of_a_long_float16_row(agree):
    # 1 / 70000 is below what the tolerance of float16 can see.
    agree("softmax", torch.zeros(70_000, dtype=torch.float16), 0, tolerance=Tolerance(rtol=0.05, atol=1e-6))


@check("softmax", "shortcut")
def test_softmax_is_written_by_hand(agree, rand):
    agree("softmax", rand(4, 2), 1)


# causal_mask


@check("causal_mask", "shape")
@pytest.mark.parametrize(("query_length", "key_length"), [(4, None), (3, 5), (0, 3), (1, 6)])
def test_causal_mask_has_a_row_a_query_and_a_column_a_key(agree, query_length, key_length):
    agree("causal_mask", query_length, key_length)


@check("causal_mask", "numerics")
@pytest.mark.parametrize("length", [1, 2, 7])
def test_causal_mask_lets_a_position_see_itself_and_what_came_before(agree, length):
    agree("causal_mask", length)


@check("causal_mask", "numerics")
@pytest.mark.parametrize(("query_length", "key_length"), [(3, 5), (2, 9), (1, 4)])
def test_causal_mask_puts_fewer_queries_at_the_end_of_the_keys(agree, query_length, key_length):
    agree("causal_mask", query_length, key_length)


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
def test_a_query_that_sees_nothing_is_refused(agree, rand):
    query, key, value = rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4)
    one, all_ = torch.ones(2, 2, 3, 5, dtype=torch.bool)
    one[1, 2] = False
    all_[:] = False
    agree.on(
        f"the error of {ATTENTION} where a query sees no key",
        lambda unit: {
            blind: error_of(lambda mask=mask: unit.scaled_dot_product_attention(query, key, value, mask))
            for blind, mask in {"one blind query": one, "only blind queries": all_}.items()
        },
    )


@check(ATTENTION, "numerics")
def test_scaled_dot_product_attention_forgets_earlier_calls(agree, rand):
    calls = [(rand(11, 8), rand(13, 8), rand(13, 4)) for _ in range(2)]
    agree.on(f"{ATTENTION} called twice", lambda unit: [unit.scaled_dot_product_attention(*call) for call in calls])


@check(ATTENTION, "gradient")
def test_scaled_dot_product_attention_passes_the_gradient(agree, rand):
    agree(ATTENTION, rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4))


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
@pytest.mark.parametrize("low", [-100.0, -1e4, -1e9])
def test_a_hidden_key_stays_hidden_below_very_low_scores(agree, rand, low):
    # Visible scores half above and half below what is often filled in for -inf.
    key = torch.tensor([[low + 0.5], [low - 0.5], [0.0], [3.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False, False]])
    agree(ATTENTION, torch.ones(1, 1, dtype=torch.float64), key, rand(4, 2), mask)


@check(ATTENTION, "stability")
def test_a_much_better_hidden_key_does_not_matter(agree, rand):
    query = torch.tensor([[1e4]], dtype=torch.float64)
    key = torch.tensor([[0.1], [0.1001], [1.0]], dtype=torch.float64)
    agree(ATTENTION, query, key, rand(3, 2), torch.tensor([[True, True, False]]))


@check(ATTENTION, "stability")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_scaled_dot_product_attention_returns_the_dtype_of_query(agree, rand, dtype):
    query, key, value = rand(2, 3, 8, dtype=dtype), rand(2, 5, 8, dtype=dtype), rand(2, 5, 4, dtype=dtype)
    agree(ATTENTION, query, key, value)
    agree(ATTENTION, query, key, value, torch.ones(3, 5, dtype=torch.bool).tril())


@check(ATTENTION, "stability")
@pytest.mark.parametrize("inputs", ["far apart", "close together"])
def test_float16_scores_beyond_65504_do_not_overflow(agree, rand, inputs):
    query = torch.full((2, 64), 60.0).half() if inputs == "close together" else rand(3, 64).mul(100).half()
    key = torch.full((3, 64), 60.0).half() if inputs == "close together" else rand(5, 64).mul(100).half()
    if inputs == "close together":
        key[1], key[2] = 59.9375, 16  # only the last one's score is below 65504
    agree(ATTENTION, query, key, rand(len(key), 4).half())


@check(ATTENTION, "shortcut")
def test_scaled_dot_product_attention_is_written_by_hand(agree, rand):
    agree(ATTENTION, rand(3, 2), rand(4, 2), rand(4, 5))


# What all three modules have in common

MODULES = {
    "SelfAttention": {"d_model": 12, "d_head": 5},
    "MultiHeadAttention": {"d_model": 12, "num_heads": 3},
    "GroupedQueryAttention": {"d_model": 24, "num_heads": 6, "num_kv_heads": 2},
}


HEADED = [name for name in MODULES if name != "SelfAttention"]


def of_each(kind, names=tuple(MODULES)):
    """The same check for each of the modules, under the module's own name."""

    def make(test):
        for name in names:
            bound = _bound(test, name, MODULES[name])
            bound.__name__ = bound.__qualname__ = f"test_{name}_{test.__name__.removeprefix('each_')}"
            test.__globals__[bound.__name__] = check(name, kind)(bound)
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
def each_stays_causal_under_an_extra_mask(unit, agree, rand, name, init):
    x, mask = rand(2, 4, init["d_model"]), torch.ones(1, 4, 4, dtype=torch.bool)
    mask[0, 3, 1] = False

    def outputs(unit):
        module = loaded(unit, name, init)
        return {"without an extra mask": module(x), "with one": module(x, mask)}

    agree.on(f"{name} without and with an extra mask", outputs)


@of_each("numerics")
def each_takes_a_mask_of_padding(unit, agree, rand, name, init):
    keep = torch.tensor([[True, True, True, False], [True, True, False, False]])
    mask = keep[:, None, :] if name == "SelfAttention" else keep[:, None, None, :]
    agree.module(name, init, rand(2, 4, init["d_model"]), mask=mask)


@of_each("numerics")
def each_refuses_a_position_that_sees_nothing(unit, agree, rand, name, init):
    x, mask = rand(2, 3, init["d_model"]), torch.ones(1, 3, 3, dtype=torch.bool)
    mask[0, 0, 0] = False
    agree.on(
        f"the error of {name} with a mask that hides position 0 from itself",
        lambda unit: error_of(lambda: loaded(unit, name, init)(x, mask)),
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
        torch.default_generator.manual_seed(5)
        first = draw(unit, 1)
        after = torch.rand(()).item()
        torch.default_generator.manual_seed(6)
        second, other = draw(unit, 1), draw(unit, 2)
        flat = torch.cat([p.flatten() for p in first.values()])
        normal = flat / flat.std()
        unequal = [not torch.equal(p[:8], q[:8]) for p in first.values() for q in first.values() if p is not q]
        return {
            "the same seed gives the same weights": all(torch.equal(first[n], second[n]) for n in first),
            "another seed gives other weights": not any(torch.equal(first[n], other[n]) for n in first),
            "the weights differ from one another": all(unequal),
            "standard deviation over d_model ** -0.5": {
                n: round(p.std().item() * 96**0.5, 1) for n, p in first.items()
            },
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
    lengths = [7, 7, 5, 12, 1]
    inputs = [rand(11, length, init["d_model"]) for length in lengths]

    def outputs(unit):
        module = loaded(unit, name, init)
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
    agree.on(
        "the error of MultiHeadAttention(10, 4)", lambda unit: error_of(lambda: bool(unit.MultiHeadAttention(10, 4)))
    )


@check("GroupedQueryAttention", "numerics")
@pytest.mark.parametrize("num_kv_heads", [1, 3, 6])
def test_GroupedQueryAttention_repeats_each_kv_head(agree, rand, num_kv_heads):
    init = {"d_model": 24, "num_heads": 6, "num_kv_heads": num_kv_heads}
    agree.module("GroupedQueryAttention", init, rand(2, 5, 24))


@check("GroupedQueryAttention", "numerics")
def test_GroupedQueryAttention_refuses_heads_that_do_not_divide(agree):
    cases = [(10, 4, 2), (24, 6, 4), (24, 6, 0)]
    agree.on(
        "the error of GroupedQueryAttention(d_model, num_heads, num_kv_heads)",
        lambda unit: {str(case): error_of(lambda case=case: bool(unit.GroupedQueryAttention(*case))) for case in cases},
    )


def dropping(unit, name, p):
    """One head in which every weight is 1/24, and every output feature the sum of four of them, as they were mixed."""
    kv = {"num_kv_heads": 1} if name == "GroupedQueryAttention" else {}
    module = getattr(unit, name)(d_model=12, num_heads=1, dropout=p, causal=False, **kv).double()
    eye = torch.eye(12, dtype=torch.float64)
    module.q_weight.data = module.k_weight.data = torch.zeros(12, 12, dtype=torch.float64)
    module.v_weight.data, module.out_weight.data = eye, eye + eye.roll(1, 0)
    return module


def dropout_facts(module, p):
    """What can be said of dropout without knowing the random numbers."""
    p = p if module.training else 0.0
    x = torch.eye(12, dtype=torch.float64).repeat(2, 1).expand(20, 24, 12)
    torch.default_generator.manual_seed(3)
    output, weights = module(x)
    again, _ = module(x)
    alive = output * 24 * (1 - p)  # how many of the four weights behind each output survive
    together = [dim for dim in (0, 1, 2) if (alive / 4).mean(dim).var() > 0.1 * p * (1 - p)]
    return {
        "the weights returned": weights[0],
        "how many of the four weights behind an output survive": sorted(
            {round(n, 3) for n in alive.flatten().tolist()}
        ),
        "the share that survives": round(5 * alive.mean().item()) / 20,
        "axes along which weights are dropped together": together,
        "every call drops the same": torch.equal(output, again),
    }


@of_each("property", HEADED)
def each_drops_weights_in_training_only(unit, agree, rand, name, init):
    agree.on(
        f"{name} with dropout 0.5 and 0.25, in training and in eval mode",
        lambda unit: {
            f"dropout {p}, {'training' if train else 'eval'}": dropout_facts(dropping(unit, name, p).train(train), p)
            for p in (0.5, 0.25)
            for train in (True, False)
        },
    )


# sliding_window_mask


@check("sliding_window_mask", "shape")
@pytest.mark.parametrize(("queries", "window", "keys"), [(4, 2, None), (0, 2, 3), (3, 2, 6)])
def test_sliding_window_mask_has_a_row_a_query_and_a_column_a_key(agree, queries, window, keys):
    agree("sliding_window_mask", queries, window, keys)


@check("sliding_window_mask", "numerics")
@pytest.mark.parametrize(("queries", "window", "keys"), [(1, 1, None), (6, 2, None), (5, 3, None), (4, 9, None)])
def test_sliding_window_mask_sees_itself_and_the_window_before(agree, queries, window, keys):
    agree("sliding_window_mask", queries, window, keys)


@check("sliding_window_mask", "numerics")
@pytest.mark.parametrize(("queries", "window", "keys"), [(3, 2, 6), (2, 4, 7)])
def test_sliding_window_mask_puts_fewer_queries_at_the_end_of_the_keys(agree, queries, window, keys):
    agree("sliding_window_mask", queries, window, keys)


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
    assert torch.equal(mask.sum(-1), expected), (
        f"{call}: the rows see {mask.sum(-1).tolist()}, expected {expected.tolist()}"
    )
    assert bool(mask[torch.arange(queries), torch.arange(more, more + queries)].all()), (
        f"{call}: a position must see itself"
    )
