"""Checks of position: which clock turns how fast, which features it turns, and where the text begins."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.compare import Tolerance
from tests.starts import drawing, generators_drawn_from, results_of_new_weights, seeded, texture
from tests.strategies import normal, seeds, sizes

SINUSOIDAL, LEARNED, FREQUENCIES = "sinusoidal_encoding", "LearnedPositionalEmbedding", "rope_frequencies"
ROPE, ALIBI = "apply_rope", "alibi_bias"
# Angles in float32 turn a float64 x by a little more or less than angles in float64.
TURNED = Tolerance(1e-4, 1e-4)


def near(one, other, atol=1e-4):
    return torch.allclose(one.double(), other.double(), rtol=1e-4, atol=atol)


def agree_on_table(agree, name, *arguments, tolerance=None):
    """The same numbers as the reference's, in any dtype: what the dtype is has a check of its own."""
    what = f"{name}({', '.join(map(str, arguments))})"
    agree.on(what, lambda unit: getattr(unit, name)(*arguments).detach().float(), tolerance=tolerance)


# What three of the functions have in common

# Two calls that differ in one argument alone, and the criterion that this argument belongs to.
PAIRS = {
    SINUSOIDAL: ("base", (13, 8, 256.0), (13, 8, 16.0)),
    FREQUENCIES: ("base", (32, 256.0), (32, 16.0)),
    ALIBI: ("queries", (2, 13, 15), (2, 13, 14)),
}
FRESH = {SINUSOIDAL: (14, 8), FREQUENCIES: (34,), ALIBI: (2, 14)}
of_each_table = pytest.mark.parametrize("name", [pytest.param(n, marks=check(n, "numerics", "fresh")) for n in FRESH])


@pytest.mark.parametrize("name", [pytest.param(n, marks=check(n, "numerics", PAIRS[n][0])) for n in PAIRS])
def test_nothing_is_kept_from_an_earlier_call(agree, name):
    _, *calls = PAIRS[name]
    agree.on(
        f"{name} called with {' and then with '.join(map(str, calls))}",
        lambda unit: {str(arguments): getattr(unit, name)(*arguments).float() for arguments in calls},
    )


@of_each_table
def test_what_was_given_away_is_not_given_again(agree, overwrite, name):
    arguments = FRESH[name]

    def question(unit):
        overwrite(getattr(unit, name)(*arguments))
        return getattr(unit, name)(*arguments).float()

    agree.on(f"{name}{arguments} after its first result was written into", question)


@of_each_table
def test_the_result_is_a_float32_tensor_without_a_gradient(agree, name):
    arguments = FRESH[name]

    def question(unit):
        result = getattr(unit, name)(*arguments)
        return {"dtype": str(result.dtype), "asks for a gradient": result.requires_grad}

    agree.on(f"{name}{arguments}", question)


# sinusoidal_encoding


@check(SINUSOIDAL, "numerics")
@pytest.mark.parametrize(("length", "d_model"), [(6, 8), (5, 4), (3, 16), (20, 6), (40, 2)])
def test_sinusoidal_encoding_alternates_sines_and_cosines(agree, length, d_model):
    agree_on_table(agree, SINUSOIDAL, length, d_model)


@check(SINUSOIDAL, "shape")
@pytest.mark.parametrize(("length", "d_model"), [(3, 7), (20, 5), (1, 9), (2, 1), (1, 4), (0, 4), (0, 3)])
def test_sinusoidal_encoding_of_odd_sizes_and_short_texts(agree, length, d_model):
    agree_on_table(agree, SINUSOIDAL, length, d_model)


@check(SINUSOIDAL, "shape")
def test_sinusoidal_encoding_has_no_last_position(agree):
    # Angles in float32 are known to 1e-3 there.
    agree_on_table(agree, SINUSOIDAL, 9000, 4, tolerance=Tolerance(1e-2, 1e-2))


@check(SINUSOIDAL, "numerics", "base")
@pytest.mark.parametrize("base", [2.0, 300.0, 1e6])
def test_sinusoidal_encoding_takes_the_base_it_is_given(agree, base):
    agree_on_table(agree, SINUSOIDAL, 40, 6, base)


@check(SINUSOIDAL, "numerics", "base")
def test_sinusoidal_encoding_has_a_base_of_10000_if_none_is_given(agree):
    def question(unit):
        return torch.equal(unit.sinusoidal_encoding(50, 8), unit.sinusoidal_encoding(50, 8, 10000.0))

    agree.on("whether sinusoidal_encoding(50, 8) is sinusoidal_encoding(50, 8, 10000.0)", question)


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
@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 11, 5), (4, 1, 5), (2, 0, 5), (0, 3, 5)], ids=str)
def test_LearnedPositionalEmbedding_keeps_the_shape(agree, rand, shape):
    agree.module(LEARNED, INIT, rand(*shape))


@check(LEARNED, "shape")
@pytest.mark.parametrize(("seq", "offset"), [(1, 10), (4, 7), (0, 11)])
def test_LearnedPositionalEmbedding_takes_what_ends_at_its_end(agree, rand, seq, offset):
    agree.module(LEARNED, INIT, rand(2, seq, 5), offset)


@check(LEARNED, "shape", "refusals")
@pytest.mark.parametrize("training", [True, False], ids=["in training", "in evaluation"])
def test_LearnedPositionalEmbedding_refuses_positions_that_it_does_not_have(agree, training):
    def outcome(unit, seq, offset):
        module = unit.LearnedPositionalEmbedding(**INIT).train(training)
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


@check(LEARNED, "shape", "refusals")
@pytest.mark.parametrize(("seq", "offset", "said"), [(12, 0, "11"), (3, -7, "-7")])
def test_LearnedPositionalEmbedding_says_what_it_refuses(agree, seq, offset, said):
    agree.raises(
        f"LearnedPositionalEmbedding(11, 5)(x=(2, {seq}, 5), offset={offset})",
        lambda unit: unit.LearnedPositionalEmbedding(11, 5)(torch.zeros(2, seq, 5), offset),
        ValueError,
        mentions=said,
    )


@check(LEARNED, "numerics")
@pytest.mark.parametrize(("shape", "offset"), [((2, 3, 5), 4), ((2, 1, 5), 9), ((4, 4, 5), 6), ((4, 4, 5), 0)])
def test_LearnedPositionalEmbedding_begins_at_the_offset(agree, rand, shape, offset):
    agree.module(LEARNED, INIT, rand(*shape), offset=offset, train=True)
    agree.module(LEARNED, INIT, rand(*shape), offset)


@check(LEARNED, "numerics")
def test_LearnedPositionalEmbedding_uses_new_weights_at_the_next_call(agree):
    x = normal(1, 2, 3, 5)
    agree.on(
        "LearnedPositionalEmbedding(11, 5), called after each change of its weights",
        lambda unit: results_of_new_weights(unit.LearnedPositionalEmbedding(**INIT).double(), x),
    )


@check(LEARNED, "numerics")
def test_LearnedPositionalEmbedding_keeps_nothing_from_an_earlier_call(agree):
    weight = normal(1, 11, 5)

    def question(unit):
        module = unit.LearnedPositionalEmbedding(**INIT).double()
        module.weight.data = weight.clone()
        calls = [module(normal(seed, 2, 3, 5), offset).detach() for seed, offset in [(2, 0), (3, 0), (3, 6), (3, 0)]]
        return {f"result {number}": result for number, result in enumerate(calls)}

    agree.on("LearnedPositionalEmbedding(11, 5) called four times, with other vectors or offsets", question)


@check(LEARNED, "numerics", "start")
def test_LearnedPositionalEmbedding_has_the_documented_parameter(agree):
    def question(unit):
        module = unit.LearnedPositionalEmbedding(**INIT)
        return {
            "parameters": {name: tuple(p.shape) for name, p in sorted(module.named_parameters())},
            "names in state_dict": sorted(module.state_dict()),
        }

    agree.on("LearnedPositionalEmbedding(11, 5), just built", question)


def weight_from(unit, generator):
    return unit.LearnedPositionalEmbedding(300, 80, generator=generator).weight.detach()


@check(LEARNED, "numerics", "start")
def test_LearnedPositionalEmbedding_starts_small_and_normal(agree, rand):
    seed = rand.seed()
    agree.on(
        "the initial weight of LearnedPositionalEmbedding(300, 80)",
        lambda unit: texture(weight_from(unit, seeded(seed)), 0.02),
    )


@check(LEARNED, "numerics", "start")
def test_LearnedPositionalEmbedding_follows_the_generator(agree, rand):
    seed = rand.seed()
    agree.on(
        "the initial weight of LearnedPositionalEmbedding(300, 80) with and without a generator",
        lambda unit: drawing(lambda generator: weight_from(unit, generator), seed),
    )


@check(LEARNED, "numerics", "start")
def test_LearnedPositionalEmbedding_draws_from_one_generator_and_no_other(agree, measure):
    agree.on(
        "a new LearnedPositionalEmbedding(300, 80)",
        lambda unit: generators_drawn_from(measure, lambda generator: weight_from(unit, generator)),
    )


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
@pytest.mark.parametrize("x_dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
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
    agree_on_table(agree, FREQUENCIES, d_head)


@check(FREQUENCIES, "numerics")
@pytest.mark.parametrize("d_head", [4, 12, 10, 128])
def test_rope_frequencies_fall_from_1(agree, d_head):
    agree_on_table(agree, FREQUENCIES, d_head)


@check(FREQUENCIES, "numerics", "refusals")
@pytest.mark.parametrize("d_head", [7, 41])
def test_rope_frequencies_refuses_an_odd_head(agree, d_head):
    agree.raises(f"rope_frequencies({d_head})", lambda unit: unit.rope_frequencies(d_head), ValueError, str(d_head))


@check(FREQUENCIES, "numerics", "base")
@pytest.mark.parametrize("arguments", [(8, 256.0), (6, 7.0), (12, 5e5)], ids=str)
def test_rope_frequencies_takes_the_base_it_is_given(agree, arguments):
    agree_on_table(agree, FREQUENCIES, *arguments)


@check(FREQUENCIES, "numerics", "fresh")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rope_frequencies_has_the_dtype_that_is_asked_for(agree, dtype):
    agree(FREQUENCIES, 12, dtype=dtype)


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


@check(ROPE, "shape")
def test_apply_rope_takes_negative_positions(agree, rand):
    turn(agree, rand(2, 3, 8), [-3, 0, -1])


@check(ROPE, "shape")
def test_apply_rope_takes_a_text_without_tokens(agree, rand):
    turn(agree, rand(2, 3, 0, 6), torch.zeros(0, dtype=torch.long))


EACH = [(2, 3, 6), (2, 5, 3, 6), (2, 2, 3, 6), (2, 3, 3, 6), (2, 4, 5, 3, 6), (2, 4, 1, 2, 3, 6)]


@check(ROPE, "shape", "sequences")
@pytest.mark.parametrize("shape", EACH, ids=str)
def test_apply_rope_takes_positions_of_each_sequence(agree, rand, shape):
    turn(agree, rand(*shape), [[4, 5, 6], [0, 9, 1]])


@check(ROPE, "shape", "sequences")
@pytest.mark.parametrize("shape", [(1, 3, 6), (1, 2, 3, 6)], ids=str)
def test_apply_rope_takes_positions_of_the_only_sequence(agree, rand, shape):
    turn(agree, rand(*shape), [[4, 0, 6]])


@check(ROPE, "shape", "refusals")
@pytest.mark.parametrize("d_head", [7, 41])
def test_apply_rope_refuses_an_odd_head(agree, d_head):
    x, what = torch.ones(2, 3, d_head), f"apply_rope(x=(2, 3, {d_head}), positions=[0, 1, 2])"
    agree.raises(what, lambda unit: unit.apply_rope(x, torch.arange(3)), ValueError, mentions=str(d_head))


MISFITS = [((2, 3, 6), (1,)), ((2, 3, 6), (4,)), ((2, 3, 6), ()), ((2, 5, 3, 6), (5, 3)), ((3, 6), (3, 3))]
MISFITS += [
    ((3, 4, 6), (1, 4)),
    ((3, 2, 4, 6), (1, 4)),
    ((2, 3, 6), (2, 1)),
    ((2, 4, 3, 6), (2, 4, 3)),
    ((4, 6), (1, 4)),
]


@check(ROPE, "shape", "refusals")
@pytest.mark.parametrize(("shape", "positions"), MISFITS, ids=str)
def test_apply_rope_refuses_positions_that_do_not_fit(agree, shape, positions):
    x, places = torch.ones(shape), torch.ones(positions, dtype=torch.long)
    agree.raises(f"apply_rope(x={shape}, positions={positions})", lambda unit: unit.apply_rope(x, places), ValueError)


@check(ROPE, "numerics")
@pytest.mark.parametrize("positions", [[0, 1, 2], [9, 0, 2], [7, 8, 9], [5, 5, 5]], ids=str)
@pytest.mark.parametrize("d_head", [8, 4])
def test_apply_rope_turns_each_vector_by_its_position(agree, rand, positions, d_head):
    turn(agree, rand(2, 4, 3, d_head), positions)


@check(ROPE, "numerics", "base")
@pytest.mark.parametrize("base", [7.0, 256.0, 5e5])
def test_apply_rope_takes_the_base_it_is_given(agree, rand, base):
    turn(agree, rand(2, 4, 12), [1, 30, 6, 17], base)


@check(ROPE, "shape")
@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8], ids=str)
def test_apply_rope_takes_any_integer_dtype_and_a_transposed_x(agree, rand, dtype):
    turn(agree, rand(2, 3, 4, 8).transpose(1, 2), torch.tensor([5, 0, 12], dtype=dtype))


@check(ROPE, "numerics")
def test_apply_rope_keeps_nothing_from_an_earlier_call(agree):
    calls = [(1, [0, 1, 2]), (1, [7, 1, 3]), (2, [7, 1, 3])]

    def question(unit):
        return {str(call): unit.apply_rope(normal(call[0], 3, 8), torch.tensor(call[1])) for call in calls}

    agree.on("apply_rope called three times, with other arguments of the same shapes", question, tolerance=TURNED)


@check(ROPE, "gradient")
@pytest.mark.parametrize("d_head", [8, 2])
def test_apply_rope_passes_its_gradient_to_x(agree, rand, d_head):
    turn(agree, rand(2, 4, 3, d_head), [5, 0, 12])


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
    turn(agree, rand(2, 4, 8).to(dtype), positions, tolerance=ROUNDED.get(dtype, Tolerance(1e-2, 1e-2)))


@check(ROPE, "stability")
def test_apply_rope_keeps_nothing_in_half_precision(agree, rand):
    # 14 features, which no other check has: whatever is kept of them was made for the first of the two.
    x, positions = rand(3, 14).float(), torch.tensor([257, 100, 63])

    def question(unit):
        unit.apply_rope(x.to(torch.bfloat16), positions)
        return unit.apply_rope(x, positions)

    agree.on("apply_rope of float32 vectors after bfloat16 ones", question, tolerance=Tolerance(1e-2, 1e-2))


@check(ROPE, "stability")
def test_apply_rope_works_on_the_device_of_x(agree):
    x, positions = (torch.ones(shape, device="meta") for shape in ((2, 3, 6), (3,)))

    def question(unit):
        try:
            return str(unit.apply_rope(x, positions.long()).device)
        except (RuntimeError, NotImplementedError) as error:
            if "expected device" in str(error) or "same device" in str(error):
                raise RuntimeError("tensors of two devices meet: x is on one, the other is made on the CPU") from None
            return "meta"  # it looks at the numbers, of which there are none here

    agree.on("the device of apply_rope(x, positions) where both are on another device than the CPU", question)


@check(ROPE, "stability", "refusals")
def test_apply_rope_refuses_whole_numbers(agree):
    whole = torch.tensor([[1, 2], [3, 4]])
    agree.raises(
        "apply_rope of int64 tensors",
        lambda unit: unit.apply_rope(whole, torch.arange(2)),
        ValueError,
        mentions="int64",
    )


# alibi_bias


@check(ALIBI, "shape")
@pytest.mark.parametrize(("heads", "queries", "keys"), [(2, 3, None), (1, 1, 1), (2, 0, 0), (2, 0, None)])
def test_alibi_bias_has_a_table_a_head(agree, heads, queries, keys):
    agree_on_table(agree, ALIBI, heads, queries, keys)


@check(ALIBI, "numerics")
@pytest.mark.parametrize("heads", [1, 2, 4, 8, 16])
def test_alibi_bias_falls_with_the_distance(agree, heads):
    agree_on_table(agree, ALIBI, heads, 5)


@check(ALIBI, "numerics", "heads")
@pytest.mark.parametrize("heads", [3, 5, 6, 7, 12, 20])
def test_alibi_bias_has_the_published_slopes_of_any_number_of_heads(agree, heads):
    agree_on_table(agree, ALIBI, heads, 5)


@check(ALIBI, "numerics", "queries")
@pytest.mark.parametrize(("queries", "keys"), [(1, 6), (3, 7), (4, 5), (3, 3), (0, 3)])
def test_alibi_bias_puts_fewer_queries_at_the_end_of_the_keys(agree, queries, keys):
    agree_on_table(agree, ALIBI, 4, queries, keys)


@check(ALIBI, "numerics", "refusals")
@pytest.mark.parametrize(("queries", "keys"), [(6, 3), (2, 1)])
def test_alibi_bias_refuses_more_queries_than_keys(agree, queries, keys):
    agree.raises(f"alibi_bias(2, {queries}, {keys})", lambda unit: unit.alibi_bias(2, queries, keys), ValueError)


@check(ALIBI, "numerics", "refusals")
def test_alibi_bias_takes_0_keys_for_a_number(agree):
    def question(unit):
        # The first call tells code that takes 0 for None from code that ignores key_length.
        return [unit.alibi_bias(2, 1, keys).shape[-1] for keys in (3, 0)]

    agree.raises("alibi_bias(2, 1, 3), then alibi_bias(2, 1, 0)", question, ValueError)


@check(ALIBI, "property")
@given(heads=st.sampled_from([1, 2, 4, 8]), queries=st.integers(1, 6))
def test_alibi_bias_falls_by_the_slope_at_each_step(unit, heads, queries):
    bias = unit.alibi_bias(heads, queries)
    call = f"position.alibi_bias({heads}, {queries})"
    rows = torch.arange(queries)
    assert not bias[:, rows, rows].any(), f"{call}: at its own position a query must lose nothing"
    rises = [bool((bias[:, i, : i + 1].diff(dim=-1) > 0).all()) for i in range(queries)]
    assert all(rises), f"{call}: the further back a key is, the more it must lose"


@check(ALIBI, "property", "queries")
@given(heads=st.integers(1, 12), queries=st.integers(1, 6), more=st.integers(0, 6))
def test_alibi_bias_of_the_last_queries_is_the_end_of_the_whole(unit, heads, queries, more):
    call = f"position.alibi_bias({heads}, {queries}, {queries + more})"
    assert near(unit.alibi_bias(heads, queries, queries + more), unit.alibi_bias(heads, queries + more)[:, more:]), (
        f"{call}: should be the last {queries} rows of position.alibi_bias({heads}, {queries + more})"
    )
