"""Checks of position: which clock turns how fast, which features it turns, and where the text begins."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.compare import Tolerance
from tests.strategies import normal, seeds, sizes

SINUSOIDAL, LEARNED, FREQUENCIES = "sinusoidal_encoding", "LearnedPositionalEmbedding", "rope_frequencies"
ROPE, ALIBI = "apply_rope", "alibi_bias"
# Angles in float32 turn a float64 x by a little more or less than angles in float64.
TURNED = Tolerance(1e-4, 1e-4)
# With this base and 8 features the frequencies are 1, 1/4, 1/16, 1/64: exact in every dtype, however they are computed.
ROUND_BASE = 256.0


def near(one, other, atol=1e-4):
    return torch.allclose(one.double(), other.double(), rtol=1e-4, atol=atol)


# What three of the functions have in common

CALLS = {
    SINUSOIDAL: [(13, 8, ROUND_BASE), (13, 8, 16.0), (14, 8, 16.0)],
    FREQUENCIES: [(32, ROUND_BASE), (32, 16.0)],
    ALIBI: [(2, 13, 15), (2, 13, 14), (4, 13, 14)],
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=check(name, "numerics")) for name in CALLS])
def test_nothing_is_kept_from_an_earlier_call(agree, name):
    agree.on(
        f"{name} called with {', then '.join(map(str, CALLS[name]))}",
        lambda unit: {str(arguments): getattr(unit, name)(*arguments) for arguments in CALLS[name]},
    )


# sinusoidal_encoding


@check(SINUSOIDAL, "shape")
@pytest.mark.parametrize(("length", "d_model"), [(5, 6), (3, 7), (1, 4), (2, 1), (0, 4), (4, 2)])
def test_sinusoidal_encoding_has_a_row_a_position(agree, length, d_model):
    agree(SINUSOIDAL, length, d_model)


@check(SINUSOIDAL, "numerics")
@pytest.mark.parametrize(("length", "d_model"), [(6, 8), (5, 4), (3, 16), (20, 5), (20, 9)])
def test_sinusoidal_encoding_of_even_and_odd_size(agree, length, d_model):
    agree(SINUSOIDAL, length, d_model, ROUND_BASE)


@check(SINUSOIDAL, "numerics")
@pytest.mark.parametrize("base", [(), (2.0,), (300.0,), (1e6,)])
def test_sinusoidal_encoding_takes_the_base_it_is_given(agree, base):
    agree(SINUSOIDAL, 40, 6, *base)


@check(SINUSOIDAL, "numerics")
def test_sinusoidal_encoding_asks_for_no_gradient(agree):
    agree.on("sinusoidal_encoding(3, 4).requires_grad", lambda unit: unit.sinusoidal_encoding(3, 4).requires_grad)


@check(SINUSOIDAL, "property")
@given(length=sizes, half=sizes)
def test_sinusoidal_encoding_has_each_sine_next_to_its_cosine(unit, length, half):
    table = unit.sinusoidal_encoding(length, 2 * half)
    squares = table[:, 0::2].square() + table[:, 1::2].square()
    assert near(squares, torch.ones(length, half)), (
        f"position.sinusoidal_encoding({length}, {2 * half}): columns 2i and 2i + 1 should be sine and cosine of one "
        "angle, but their squares do not sum to 1"
    )


@check(SINUSOIDAL, "property")
@given(first=st.integers(0, 20), second=st.integers(0, 20), steps=st.integers(0, 9), half=sizes)
def test_sinusoidal_encoding_knows_distances(unit, first, second, steps, half):
    table = unit.sinusoidal_encoding(30, 2 * half)
    products = [(table[place] * table[place + steps]).sum() for place in (first, second)]
    assert near(*products, atol=1e-3), (
        f"position.sinusoidal_encoding(30, {2 * half}): rows {first} and {first + steps} have the product "
        f"{products[0]:.4f}, rows {second} and {second + steps}, equally far apart, {products[1]:.4f}"
    )


# LearnedPositionalEmbedding

INIT = {"max_length": 11, "d_model": 5}


@check(LEARNED, "shape")
@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 11, 5), (4, 1, 5), (2, 0, 5)], ids=str)
def test_LearnedPositionalEmbedding_keeps_the_shape(agree, rand, shape):
    agree.module(LEARNED, INIT, rand(*shape))


@check(LEARNED, "shape")
def test_LearnedPositionalEmbedding_refuses_positions_that_it_does_not_have(agree):
    def outcome(unit, seq, offset):
        module = unit.LearnedPositionalEmbedding(**INIT)
        module.weight.data = normal(1, 11, 5).float()
        try:
            return module(torch.zeros(2, seq, 5), offset).detach()
        except ValueError:
            return "raises ValueError"

    cases = [(12, 0), (4, 8), (1, 11), (13, 3), (3, -1), (3, -7)]
    agree.on(
        "LearnedPositionalEmbedding(11, 5)(x=(2, seq, 5), offset), for (seq, offset)",
        lambda unit: {str(case): outcome(unit, *case) for case in cases},
    )


@check(LEARNED, "shape")
@pytest.mark.parametrize(("seq", "offset", "said"), [(12, 0, "11"), (3, -7, "-7")])
def test_LearnedPositionalEmbedding_says_what_it_refuses(agree, seq, offset, said):
    agree.raises(
        f"LearnedPositionalEmbedding(11, 5)(x=(2, {seq}, 5), offset={offset})",
        lambda unit: unit.LearnedPositionalEmbedding(11, 5)(torch.zeros(2, seq, 5), offset),
        ValueError,
        mentions=said,
    )


@check(LEARNED, "numerics")
@pytest.mark.parametrize(("shape", "offset"), [((2, 3, 5), 4), ((2, 1, 5), 10), ((4, 4, 5), 7), ((4, 4, 5), 0)])
def test_LearnedPositionalEmbedding_begins_at_the_offset(agree, rand, shape, offset):
    agree.module(LEARNED, INIT, rand(*shape), offset=offset)
    agree.module(LEARNED, INIT, rand(*shape), offset)


@check(LEARNED, "numerics")
def test_LearnedPositionalEmbedding_keeps_nothing_from_an_earlier_call(agree):
    weight = normal(1, 11, 5)

    def question(unit):
        module = unit.LearnedPositionalEmbedding(**INIT).double()
        module.weight.data = weight.clone()
        calls = [module(normal(seed, 2, 3, 5), offset).detach() for seed, offset in [(2, 0), (3, 0), (3, 6), (3, 0)]]
        return {f"result {number}": result for number, result in enumerate(calls)}

    agree.on("LearnedPositionalEmbedding(11, 5) called four times, with other vectors or offsets", question)


@check(LEARNED, "numerics")
def test_LearnedPositionalEmbedding_has_the_documented_parameter(agree):
    def question(unit):
        module = unit.LearnedPositionalEmbedding(**INIT)
        return {
            "parameters": {name: tuple(p.shape) for name, p in sorted(module.named_parameters())},
            "names in state_dict": sorted(module.state_dict()),
        }

    agree.on("LearnedPositionalEmbedding(11, 5), just built", question)


@check(LEARNED, "numerics")
def test_LearnedPositionalEmbedding_draws_its_weight_from_the_generator(agree):
    def draw(unit, seed):
        generator = torch.Generator().manual_seed(seed)
        return unit.LearnedPositionalEmbedding(64, 128, generator=generator).weight.detach().double()

    def facts(unit):
        torch.default_generator.manual_seed(5)
        first = draw(unit, 1)
        untouched = torch.rand(()).item() == torch.rand((), generator=torch.Generator().manual_seed(5)).item()
        second = draw(unit, 1)
        plain = [unit.LearnedPositionalEmbedding(64, 128).weight.detach() for _ in range(2)]
        # Bounds at six standard errors or more of 8192 numbers.
        return {
            "the same seed gives the same weight": torch.equal(first, second),
            "another seed gives another weight": not torch.equal(first, draw(unit, 2)),
            "without a generator, every module is different": not torch.equal(*plain),
            "the global generator was left alone": untouched,
            "the standard deviation is 0.02": abs(first.std().item() / 0.02 - 1) < 0.06,
            "the mean is 0": abs(first.mean().item()) < 0.0015,
            "it is normal (kurtosis 3)": abs(((first / first.std()) ** 4).mean().item() - 3) < 0.5,
        }

    agree.on("the initial weight of LearnedPositionalEmbedding(64, 128)", facts)


@check(LEARNED, "gradient")
@pytest.mark.parametrize("offset", [0, 4])
def test_LearnedPositionalEmbedding_passes_gradients_to_x_and_the_rows(agree, rand, offset):
    agree.module(LEARNED, INIT, rand(3, 4, 5), offset=offset)


@check(LEARNED, "property")
@given(seed=seeds, before=st.integers(0, 4), after=st.integers(0, 4))
def test_LearnedPositionalEmbedding_gives_the_same_in_two_parts(unit, seed, before, after):
    module = unit.LearnedPositionalEmbedding(8, 3).double()
    module.weight.data = normal(seed + 1, 8, 3)
    x = normal(seed, 2, before + after, 3)
    parts = [module(x[:, :before]), module(x[:, before:], offset=before)]
    assert near(module(x), torch.cat(parts, dim=1)), (
        f"position.LearnedPositionalEmbedding(8, 3): {before} tokens, and then {after} more with offset={before}, get "
        "other vectors than all of them at once"
    )


@check(LEARNED, "stability")
@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_LearnedPositionalEmbedding_returns_the_dtype_of_x(agree, rand, x_dtype, dtype):
    agree.module(LEARNED, INIT, rand(2, 3, 5).to(x_dtype), dtype=dtype, gradients=False)
    agree.module(LEARNED, INIT, rand(2, 3, 5).to(x_dtype), dtype=x_dtype, gradients=False)


@check(LEARNED, "shortcut")
def test_LearnedPositionalEmbedding_is_written_by_hand(agree, rand):
    agree.module(LEARNED, INIT, rand(2, 4, 5))


# rope_frequencies


@check(FREQUENCIES, "shape")
@pytest.mark.parametrize("d_head", [2, 6, 8, 64])
def test_rope_frequencies_has_one_number_a_pair(agree, d_head):
    agree(FREQUENCIES, d_head)


@check(FREQUENCIES, "shape")
@pytest.mark.parametrize("d_head", [7, 41])
def test_rope_frequencies_refuses_an_odd_head(agree, d_head):
    agree.raises(f"rope_frequencies({d_head})", lambda unit: unit.rope_frequencies(d_head), ValueError, str(d_head))


@check(FREQUENCIES, "numerics")
@pytest.mark.parametrize("arguments", [(8, ROUND_BASE), (8,), (6, 7.0), (12, 5e5)], ids=str)
def test_rope_frequencies_takes_the_base_and_the_dtype_it_is_given(agree, arguments):
    agree(FREQUENCIES, *arguments)
    agree(FREQUENCIES, *arguments, dtype=torch.float64)


@check(FREQUENCIES, "property")
@given(half=st.integers(1, 12), base=st.floats(1.5, 1e5))
def test_rope_frequencies_slow_down_by_one_factor(unit, half, base):
    frequencies = unit.rope_frequencies(2 * half, base)
    call = f"position.rope_frequencies({2 * half}, base={base:g})"
    assert near(frequencies[0], torch.ones(())), f"{call}: the first pair should turn by 1 radian a position"
    ratios = frequencies[1:].double() / frequencies[:-1].double()
    assert near(ratios, torch.full((half - 1,), base ** (-1 / half))), (
        f"{call}: each frequency should be {base ** (-1 / half):.5f} times the one before"
    )


# apply_rope


def turn(agree, x, positions, *args, tolerance=TURNED, **kwargs):
    agree(ROPE, x, torch.as_tensor(positions), *args, tolerance=tolerance, **kwargs)


@check(ROPE, "shape")
@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6), (2, 3, 4, 6), (2, 3, 5, 4, 6), (3, 4, 2), (2, 0, 4, 6)], ids=str)
def test_apply_rope_keeps_any_leading_axes(agree, rand, shape):
    turn(agree, rand(*shape), [3, 0, 7, 2])


EACH = [(2, 3, 6), (2, 5, 3, 6), (2, 2, 3, 6), (2, 3, 3, 6), (2, 4, 5, 3, 6), (2, 4, 1, 2, 3, 6)]


@check(ROPE, "shape")
@pytest.mark.parametrize("shape", EACH, ids=str)
def test_apply_rope_takes_positions_of_each_sequence(agree, rand, shape):
    turn(agree, rand(*shape), [[4, 5, 6], [0, 9, 1]])


@check(ROPE, "shape")
@pytest.mark.parametrize("d_head", [7, 41])
def test_apply_rope_refuses_an_odd_head(agree, d_head):
    x, what = torch.ones(2, 3, d_head), f"apply_rope(x=(2, 3, {d_head}), positions=[0, 1, 2])"
    agree.raises(what, lambda unit: unit.apply_rope(x, torch.arange(3)), ValueError, mentions=str(d_head))


MISFITS = [((2, 3, 6), (1,)), ((2, 3, 6), (4,)), ((2, 3, 6), ()), ((2, 5, 3, 6), (5, 3)), ((3, 6), (3, 3))]


@check(ROPE, "shape")
@pytest.mark.parametrize(("shape", "positions"), MISFITS, ids=str)
def test_apply_rope_refuses_positions_that_do_not_fit(agree, shape, positions):
    x, places = torch.ones(shape), torch.ones(positions, dtype=torch.long)
    agree.raises(f"apply_rope(x={shape}, positions={positions})", lambda unit: unit.apply_rope(x, places), ValueError)


@check(ROPE, "numerics")
@pytest.mark.parametrize("positions", [[0, 1, 2], [9, 0, 2], [7, 8, 9], [-3, 0, -1], [[4, 5, 6], [0, 9, 1]]], ids=str)
def test_apply_rope_turns_by_round_frequencies(agree, rand, positions):
    turn(agree, rand(2, 4, 3, 8), positions, ROUND_BASE)


@check(ROPE, "numerics")
@pytest.mark.parametrize("base", [(), (7.0,), (5e5,)])
def test_apply_rope_takes_the_base_it_is_given(agree, rand, base):
    turn(agree, rand(2, 4, 12), [1, 30, 6, 17], *base)


@check(ROPE, "numerics")
@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8], ids=str)
def test_apply_rope_takes_any_integer_dtype_and_a_transposed_x(agree, rand, dtype):
    turn(agree, rand(2, 3, 4, 8).transpose(1, 2), torch.tensor([5, 0, 12], dtype=dtype), ROUND_BASE)


@check(ROPE, "numerics")
def test_apply_rope_keeps_nothing_from_an_earlier_call(agree):
    calls = [(1, [0, 1, 2], ROUND_BASE), (1, [7, 1, 3], ROUND_BASE), (2, [7, 1, 3], 16.0)]

    def question(unit):
        return {str(call): unit.apply_rope(normal(call[0], 3, 8), torch.tensor(call[1]), call[2]) for call in calls}

    agree.on("apply_rope called three times, with other arguments of the same shapes", question, tolerance=TURNED)


@check(ROPE, "gradient")
@pytest.mark.parametrize("positions", [[5, 0, 12], [[5, 0, 12], [1, 2, 3]]], ids=str)
def test_apply_rope_passes_its_gradient_to_x(agree, rand, positions):
    turn(agree, rand(2, 4, 3, 8), positions, ROUND_BASE)


@check(ROPE, "property")
@given(seed=seeds, half=sizes, seq=sizes)
def test_apply_rope_changes_no_length_and_nothing_at_position_0(unit, seed, half, seq):
    x = normal(seed, 2, seq, 2 * half)
    positions = torch.randint(0, 50, (seq,), generator=torch.Generator().manual_seed(seed))
    call = f"position.apply_rope(x={tuple(x.shape)}, positions={positions.tolist()})"
    turned = unit.apply_rope(x, positions)
    assert near(turned.norm(dim=-1), x.norm(dim=-1)), f"{call}: a rotation changes no length, but a vector's changed"
    pairs = [torch.stack(v.chunk(2, dim=-1)).norm(dim=0) for v in (turned, x)]
    assert near(*pairs), f"{call}: features i and i + d_head / 2 are a pair, and its length changed"
    still = unit.apply_rope(x, torch.zeros(seq, dtype=torch.long))
    assert near(still, x), f"{call.split(', positions')[0]}): position 0 turns by 0 and must change nothing"


@check(ROPE, "property")
@given(seed=seeds, query=st.integers(0, 20), key=st.integers(0, 20), shift=st.integers(1, 20), half=sizes)
def test_apply_rope_makes_scores_depend_on_the_distance_alone(unit, seed, query, key, shift, half):
    vectors = normal(seed, 2, 1, 2 * half)  # a query and a key

    def score(m, n):
        turned = [unit.apply_rope(v, torch.tensor([place])) for v, place in zip(vectors, (m, n), strict=True)]
        return (turned[0] * turned[1]).sum()

    assert near(score(query, key), score(query + shift, key + shift), atol=1e-3), (
        f"position.apply_rope: a query at {query} and a key at {key} have another score than the same two at "
        f"{query + shift} and {key + shift}, which are as far apart"
    )


# Sines, cosines and products rounded to the dtype of x are no mistake; float32 angles at 7777 are known to 5e-4.
ROUNDED = {torch.float16: Tolerance(4e-3, 8e-3), torch.bfloat16: Tolerance(3e-2, 6e-2)}


@check(ROPE, "stability")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("positions", [[1, 3, 0, 2], [257, 511, 1023, 63], [2049, 4099, 1001, 7777]], ids=str)
def test_apply_rope_has_exact_angles_in_every_dtype(agree, rand, dtype, positions):
    turn(agree, rand(2, 4, 8).to(dtype), positions, ROUND_BASE, tolerance=ROUNDED.get(dtype, Tolerance(1e-2, 1e-2)))


# alibi_bias


@check(ALIBI, "shape")
@pytest.mark.parametrize(("heads", "queries", "keys"), [(2, 3, None), (4, 2, 5), (1, 1, 1), (2, 0, 3), (3, 4, 6)])
def test_alibi_bias_has_a_table_a_head(agree, heads, queries, keys):
    agree(ALIBI, heads, queries, keys)


@check(ALIBI, "numerics")
@pytest.mark.parametrize("heads", [1, 2, 4, 8, 16, 3, 5, 6, 7, 12, 20])
def test_alibi_bias_has_the_slopes_of_the_paper(agree, heads):
    agree(ALIBI, heads, 5)


@check(ALIBI, "numerics")
@pytest.mark.parametrize(("queries", "keys"), [(1, 6), (3, 7), (4, 5)])
def test_alibi_bias_puts_fewer_queries_at_the_end_of_the_keys(agree, queries, keys):
    agree(ALIBI, 4, queries, keys)


@check(ALIBI, "numerics")
@pytest.mark.parametrize(("queries", "keys"), [(6, 3), (1, 0)])
def test_alibi_bias_refuses_more_queries_than_keys(agree, queries, keys):
    agree.raises(f"alibi_bias(2, {queries}, {keys})", lambda unit: unit.alibi_bias(2, queries, keys), ValueError)


@check(ALIBI, "property")
@given(heads=st.integers(1, 12), queries=st.integers(1, 6), more=st.integers(0, 6))
def test_alibi_bias_falls_by_the_slope_at_each_step(unit, heads, queries, more):
    bias = unit.alibi_bias(heads, queries, queries + more)
    call = f"position.alibi_bias({heads}, {queries}, {queries + more})"
    rows = torch.arange(queries)
    assert not bias[:, rows, rows + more].any(), f"{call}: at its own position a query must lose nothing"
    rises = [bool((bias[:, i, : i + more + 1].diff(dim=-1) > 0).all()) for i in range(queries)]
    assert all(rises), f"{call}: the further back a key is, the more it must lose"
    assert near(bias, unit.alibi_bias(heads, queries + more)[:, more:]), (
        f"{call}: should be the last {queries} rows of position.alibi_bias({heads}, {queries + more})"
    )


@check("apply_rope", "stability")
def test_apply_rope_refuses_integer_tensors(agree):
    whole = torch.tensor([[1, 2], [3, 4]])
    agree.raises("apply_rope of int64 tensors", lambda unit: unit.apply_rope(whole, torch.arange(2)), ValueError)
