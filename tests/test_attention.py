"""Checks of attention: who may look at whom, how much of each, and what is mixed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.compare import Tolerance
from tests.strategies import normal, seeds, sizes, tensors

INF = float("inf")
# Angles may be computed in float32 or in float64: they differ by some 1e-7, and a score of 30 makes more of it.
TURNED = Tolerance(rtol=1e-4, atol=1e-5)
MODULES = {
    "SelfAttention": {"d_model": 12, "d_head": 5},
    "MultiHeadAttention": {"d_model": 12, "num_heads": 3},
    "GroupedQueryAttention": {"d_model": 24, "num_heads": 6, "num_kv_heads": 2},
}
HEADED = [name for name in MODULES if name != "SelfAttention"]
AFTER_SEED_5 = torch.rand((), generator=torch.Generator().manual_seed(5)).item()


def of_each(names, *kinds):
    """The same check for several exercises, under the exercise's own name; in checks of gradients with gradients."""
    cases = [pytest.param(n, marks=check(n, kind), id=f"{n}-{kind}") for n in names for kind in kinds]
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
@pytest.mark.parametrize("shape", each([(5,), (2, 3), (2, 3, 4), (0, 3)]))
def test_softmax_keeps_the_shape_and_runs_along_the_last_axis(agree, rand, shape):
    agree("softmax", rand(*shape), -1)


@check("softmax", "numerics")
@pytest.mark.parametrize("dim", [0, 1, 2, -2])
def test_softmax_runs_along_the_axis_it_is_told(agree, rand, dim):
    agree("softmax", rand(3, 4, 5), dim)
    agree("softmax", rand(3, 3, 3), dim)


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
    agree("softmax", scores.T, 0)


@check("softmax", "stability")
@pytest.mark.parametrize("dtype", each([torch.float32, torch.float16, torch.bfloat16]))
def test_softmax_returns_the_dtype_it_was_given(agree, rand, dtype):
    agree("softmax", rand(3, 5, dtype=dtype), 0)


@check("softmax", "stability")
def test_softmax_of_a_long_float16_row(agree):
    # 1 / 70000 is below what the tolerance of float16 can see.
    agree("softmax", torch.zeros(70_000, dtype=torch.float16), 0, tolerance=Tolerance(rtol=0.05, atol=1e-6))


@check("softmax", "shortcut")
def test_softmax_is_written_by_hand(agree, rand):
    agree("softmax", rand(4, 2), 1)


# causal_mask and sliding_window_mask


@check("causal_mask", "shape")
@pytest.mark.parametrize("lengths", each([(4, None), (3, 5), (0, 3), (1, 6)]))
def test_causal_mask_has_a_row_a_query_and_a_column_a_key(agree, lengths):
    agree("causal_mask", *lengths)


@check("causal_mask", "numerics")
@pytest.mark.parametrize("lengths", each([(1,), (2,), (7,), (3, 5), (2, 9), (1, 4)]))
def test_causal_mask_shows_itself_and_what_came_before_and_puts_the_queries_last(agree, lengths):
    agree("causal_mask", *lengths)


@check("causal_mask", "property")
def test_causal_mask_is_made_where_it_is_asked_for(agree):
    agree("causal_mask", 3, 5, device="meta")


@check("causal_mask", "numerics")
def test_causal_mask_refuses_more_queries_than_keys(agree):
    agree.raises("causal_mask(5, 3)", lambda unit: unit.causal_mask(5, 3), ValueError)


@check("causal_mask", "property")
@given(length=st.integers(1, 12), more=st.integers(0, 12))
def test_causal_mask_of_the_last_queries_is_the_end_of_the_whole(unit, length, more):
    whole, last = unit.causal_mask(length + more), unit.causal_mask(length, length + more)
    assert last.dtype is torch.bool, f"attention.causal_mask: got dtype {last.dtype}, expected torch.bool"
    assert torch.equal(last, whole[more:]), (
        f"attention.causal_mask({length}, {length + more}): not the last {length} rows of the mask of {length + more}"
    )


@check("sliding_window_mask", "shape")
@pytest.mark.parametrize("sizes", each([(4, 2, None), (0, 2, 3), (3, 2, 6)]))
def test_sliding_window_mask_has_a_row_a_query_and_a_column_a_key(agree, sizes):
    agree("sliding_window_mask", *sizes)


@check("sliding_window_mask", "numerics")
@pytest.mark.parametrize("sizes", each([(1, 1), (6, 2), (5, 3), (4, 9), (3, 2, 6), (2, 4, 7)]))
def test_sliding_window_mask_shows_itself_and_the_window_before_and_puts_the_queries_last(agree, sizes):
    agree("sliding_window_mask", *sizes)


@check("sliding_window_mask", "numerics")
@pytest.mark.parametrize("sizes", each([(6, 2, 3), (4, 0), (4, -1)]))
def test_sliding_window_mask_refuses_what_makes_no_sense(agree, sizes):
    agree.raises(f"sliding_window_mask{sizes}", lambda unit: unit.sliding_window_mask(*sizes), ValueError)


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


@check(ATTENTION, "shape")
def test_scaled_dot_product_attention_keeps_all_leading_axes(agree, rand):
    agree(ATTENTION, rand(2, 3, 5, 8), rand(2, 3, 7, 8), rand(2, 3, 7, 4))
    agree(ATTENTION, rand(5, 8), rand(7, 8), rand(7, 4))


@check(ATTENTION, "numerics")
@pytest.mark.parametrize("queries", [1, 5, 7])
def test_scaled_dot_product_attention_follows_the_formula(agree, rand, queries):
    agree(ATTENTION, rand(2, queries, 8), rand(2, 7, 8), rand(2, 7, 4))
    agree(ATTENTION, rand(queries, queries), rand(queries, queries), rand(queries, queries))


@check(ATTENTION, "numerics")
@pytest.mark.parametrize("shape", each([(2, 3, 5, 7), (1, 3, 5, 7), (2, 1, 5, 7), (5, 7), (2, 3, 1, 7)]))
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
@pytest.mark.parametrize("masked", [False, True])
def test_scaled_dot_product_attention_passes_the_gradient_without_nan(agree, rand, masked):
    mask = [torch.ones(3, 5, dtype=torch.bool).tril()] if masked else []
    agree(ATTENTION, rand(2, 3, 8), rand(2, 5, 8), rand(2, 5, 4), *mask)


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
@pytest.mark.parametrize("dtype", each([torch.float32, torch.float16, torch.bfloat16]))
def test_scaled_dot_product_attention_returns_the_dtype_of_query(agree, rand, dtype):
    query, key, value = rand(2, 3, 8, dtype=dtype), rand(2, 5, 8, dtype=dtype), rand(2, 5, 4, dtype=dtype)
    agree(ATTENTION, query, key, value)
    agree(ATTENTION, query, key, value, torch.ones(3, 5, dtype=torch.bool).tril())


@check(ATTENTION, "stability")
def test_float16_scores_beyond_65504_do_not_overflow(agree, rand):
    agree(ATTENTION, rand(3, 64).mul(100).half(), rand(5, 64).mul(100).half(), rand(5, 4).half())
    close = torch.tensor([60.0, 59.9375, 16.0]).half()[:, None].expand(3, 64)  # only the last one's score is below
    agree(ATTENTION, torch.full((2, 64), 60.0).half(), close, rand(3, 4).half())


@check(ATTENTION, "shortcut")
def test_scaled_dot_product_attention_is_written_by_hand(agree, rand):
    agree(ATTENTION, rand(3, 2), rand(4, 2), rand(4, 5))


# What all three modules have in common


def loaded(unit, name, **options):
    """A module of the unit with fixed weights."""
    module = getattr(unit, name)(**MODULES[name], **options).double()
    for index, (_, parameter) in enumerate(sorted(module.named_parameters())):
        parameter.data = normal(index, *parameter.shape, scale=0.3)
    return module


def agree_on(agree, name, x, mask=None, **options):
    tolerance = TURNED if options.get("rope_base") else None
    agree.module(name, MODULES[name] | options, x, **({} if mask is None else {"mask": mask}), tolerance=tolerance)


def text(rand, name, batch, seq):
    return rand(batch, seq, MODULES[name]["d_model"])


@of_each(MODULES, "shape", "shortcut")
@pytest.mark.parametrize("sizes", each([(1, 1), (2, 7)]))
def test_a_module_returns_output_and_weights(agree, rand, name, sizes):
    agree_on(agree, name, text(rand, name, *sizes))


@of_each(MODULES, "numerics", "gradient")
@pytest.mark.parametrize("causal", [True, False])
def test_a_module_attends_causally_or_everywhere(agree, rand, name, causal):
    agree_on(agree, name, text(rand, name, 2, 6), causal=causal)


@of_each(MODULES, "numerics")
@pytest.mark.parametrize("causal", [True, False])
def test_a_module_combines_an_extra_mask_with_the_causal_one(agree, rand, name, causal):
    shape = (3, 5, 5) if name == "SelfAttention" else (3, 1, 5, 5)
    mask = rand.booleans(*shape) | torch.eye(5, dtype=torch.bool)
    agree_on(agree, name, text(rand, name, 3, 5), mask, causal=causal)


@of_each(MODULES, "numerics")
def test_a_module_stays_causal_under_an_extra_mask(agree, rand, name):
    x, mask = text(rand, name, 2, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    mask[0, 3, 1] = False

    def outputs(unit):
        module = loaded(unit, name)
        return {"without an extra mask": module(x), "with one": module(x, mask)}

    agree.on(f"{name} without and with an extra mask", outputs)


@of_each(MODULES, "numerics")
def test_a_module_takes_a_mask_of_padding(agree, rand, name):
    keep = torch.tensor([[True, True, True, False], [True, True, False, False]])
    agree_on(agree, name, text(rand, name, 2, 4), keep[:, None] if name == "SelfAttention" else keep[:, None, None])


@of_each(MODULES, "numerics")
def test_a_module_refuses_a_position_that_sees_nothing(agree, rand, name):
    x, mask = text(rand, name, 2, 3), torch.ones(1, 3, 3, dtype=torch.bool)
    mask[0, 0, 0] = False
    agree.on(
        f"the error of {name} with a mask that hides position 0 from itself",
        lambda unit: error_of(lambda: loaded(unit, name)(x, mask)),
    )


@of_each(MODULES, "property")
def test_a_module_never_looks_ahead(unit, rand, name):
    for options in [{}] if name == "SelfAttention" else [{}, {"rope_base": 100.0}]:
        module, x = loaded(unit, name, **options), text(rand, name, 1, 6)
        for position in range(1, 6):
            changed, call = x.clone(), f"attention.{name}: changing position {position}"
            changed[:, position] += 1.0
            before, after = module(x)[0], module(changed)[0]
            same = [torch.allclose(before[:, i], after[:, i], atol=1e-6) for i in range(6)]
            assert all(same[:position]), f"{call} changes what came before it"
            assert not same[position], f"{call} does not change its own output"


@of_each(MODULES, "property")
def test_a_module_takes_texts_of_any_length_in_any_order(agree, rand, name):
    lengths, options = [7, 7, 5, 12, 1], {} if name == "SelfAttention" else {"rope_base": 100.0}
    inputs = [text(rand, name, 11, length) for length in lengths]

    def outputs(unit):
        module = loaded(unit, name, **options)
        return [module(x) for x in inputs]

    agree.on(f"one {name}({options}) on texts of length {lengths}, one after the other", outputs, tolerance=TURNED)


@of_each(MODULES, "numerics")
def test_a_new_module_has_the_documented_parameters(agree, name):
    def made(unit, **options):
        parameters = sorted(getattr(unit, name)(**MODULES[name], **options).named_parameters())
        return {n: (tuple(p.shape), "drawn" if p.detach().any() else "zeros") for n, p in parameters}

    def question(unit):
        return {"by default": made(unit)} | ({} if name == "SelfAttention" else {"bias=True": made(unit, bias=True)})

    agree.on(f"parameters of {name}({MODULES[name]}), just built", question)


def drawn(unit, name, seed):
    """The weights of a wide module; wide, so that what is said of them is true of all but one in 10^11 right ones."""
    wide = MODULES[name] | {"d_model": 192} | ({"d_head": 96} if name == "SelfAttention" else {})
    module = getattr(unit, name)(**wide, generator=torch.Generator().manual_seed(seed))
    return {n: p.detach().double() for n, p in sorted(module.named_parameters())}


def facts_about_weights(unit, name):
    torch.default_generator.manual_seed(5)
    first = drawn(unit, name, 1)
    after = torch.rand(()).item()
    torch.default_generator.manual_seed(6)
    second, other = drawn(unit, name, 1), drawn(unit, name, 2)
    flat = torch.cat([p.flatten() for p in first.values()])
    return {
        "the same seed gives the same weights": {n: torch.equal(first[n], second[n]) for n in first},
        "another seed gives other weights": not any(torch.equal(first[n], other[n]) for n in first),
        "weights that are copies of another": sum(
            torch.equal(p[:8], q[:8]) for p in first.values() for q in first.values() if p is not q
        ),
        "standard deviation over d_model ** -0.5": {n: round(p.std().item() * 192**0.5, 1) for n, p in first.items()},
        "the mean is 0": {n: abs(p.mean().item()) < 0.01 for n, p in first.items()},
        "normal (kurtosis 3)": abs((flat / flat.std()).pow(4).mean().item() - 3) < 0.35,
        "the global generator was left alone": after == AFTER_SEED_5,
    }


@of_each(MODULES, "numerics")
def test_a_module_draws_its_weights_from_the_generator(agree, name):
    agree.on(f"the initial weights of {name} with a generator", lambda unit: facts_about_weights(unit, name))


# What only the modules with several heads have


@of_each(HEADED, "numerics", "gradient")
@pytest.mark.parametrize("rope_base", [None, 100.0])
def test_every_projection_adds_its_bias(agree, rand, name, rope_base):
    agree_on(agree, name, text(rand, name, 2, 5), bias=True, rope_base=rope_base)


@of_each(HEADED, "numerics", "gradient")
@pytest.mark.parametrize("options", each([{"rope_base": 100.0}, {"rope_base": 1e4, "causal": False}]))
def test_rope_turns_queries_and_keys_by_their_positions(agree, rand, name, options):
    agree_on(agree, name, text(rand, name, 2, 7), **options)


@of_each(HEADED, "property")
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
    agree.module("MultiHeadAttention", dict(zip(("d_model", "num_heads"), sizes, strict=True)), rand(2, 5, sizes[0]))


@check("GroupedQueryAttention", "numerics")
@pytest.mark.parametrize("num_kv_heads", [1, 3, 6])
def test_GroupedQueryAttention_repeats_each_kv_head(agree, rand, num_kv_heads):
    init = {"d_model": 24, "num_heads": 6, "num_kv_heads": num_kv_heads}
    agree.module("GroupedQueryAttention", init, rand(2, 5, 24))
    agree.module("GroupedQueryAttention", init | {"bias": True, "rope_base": 50.0}, rand(2, 5, 24), tolerance=TURNED)


@of_each(HEADED, "numerics")
def test_heads_that_do_not_divide_are_refused(agree, name):
    cases = [(10, 4)] if name == "MultiHeadAttention" else [(10, 4, 2), (24, 6, 4), (24, 6, 0)]
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
    output, weights = module(x)
    again, _ = module(x)
    alive = output * 24 * (1 - p)  # how many of the four weights behind each output survive
    share = alive.mean().item() / 4
    return {
        "the weights returned": weights[0],
        "how many of four weights survive": sorted({round(n, 3) for n in alive.flatten().tolist()}),
        # 20 * 24 * 24 weights: within 7 standard deviations, which one right answer in 10^11 is not.
        "the share that survives is 1 - p": abs(share - (1 - p)) <= 7 * (p * (1 - p) / 11520) ** 0.5 + 1e-5,
        "axes along which weights are dropped together": [
            dim for dim in (0, 1, 2) if (alive / 4).mean(dim).var() > 0.1 * p * (1 - p) + 1e-9
        ],
        "every call drops the same": torch.equal(output, again),
    }


@of_each(HEADED, "property")
def test_a_module_drops_weights_in_training_only(agree, name):
    agree.on(
        f"{name} with dropout 0.5 and 0.25, in training and in eval mode",
        lambda unit: {
            f"dropout {p}, {'training' if train else 'eval'}": dropout_facts(dropping(unit, name, p).train(train), p)
            for p in (0.5, 0.25)
            for train in (True, False)
        },
    )


@check("softmax", "stability")
def test_softmax_refuses_integer_tensors(agree):
    whole = torch.tensor([[1, 2], [3, 4]])
    agree.raises("softmax of int64 tensors", lambda unit: unit.softmax(whole, -1), ValueError)


@check("scaled_dot_product_attention", "stability")
def test_scaled_dot_product_attention_refuses_integer_tensors(agree):
    whole = torch.tensor([[1, 2], [3, 4]])
    agree.raises(
        "scaled_dot_product_attention of int64 tensors",
        lambda unit: unit.scaled_dot_product_attention(whole, whole, whole),
        ValueError,
    )
