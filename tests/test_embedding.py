"""Checks of embedding: which row of the table, which side of the matrix, and how large the weights start."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check, default_dtype
from grader.checking.capture import Unfit
from tests.starts import drawing, generators_drawn_from, results_of_new_weights, scale, seeded, texture
from tests.strategies import normal, seeds

# Class, its arguments, the shape of its weight, and the documented standard deviation of the weight. The sizes differ,
# so that a scale by another size shows, and the entries are so many that chance stays far within the bounds.
WIDE = {
    "Embedding": ({"num_embeddings": 300, "d_model": 80}, (300, 80), 0.02),
    "Linear": ({"in_features": 80, "out_features": 300}, (300, 80), 80**-0.5),
}
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def of_each(kind, *criterion):
    """The same check for either layer, under the layer's own name."""
    layers = [pytest.param(name, marks=check(name, kind, *criterion)) for name in WIDE]
    return pytest.mark.parametrize("layer", layers)


# init_normal


@check("init_normal", "shape")
@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 1), (2, 3, 5), (0, 4)], ids=str)
def test_init_normal_makes_the_shape_it_is_told(agree, shape):
    def question(unit):
        out = unit.init_normal(shape, 0.5, generator=seeded(1))
        return {"shape": tuple(out.shape), "dtype": str(out.dtype), "requires_grad": out.requires_grad}

    agree.on(f"init_normal(shape={shape}, std=0.5)", question)


@check("init_normal", "shape")
def test_init_normal_is_float32_whatever_the_default_dtype(agree):
    def question(unit):
        with default_dtype(torch.float64):
            first, second = (unit.init_normal((300, 80), 0.5, generator=seeded(1)) for _ in range(2))
        return {
            "dtype": str(first.dtype),
            "asks for a gradient": first.requires_grad,
            **texture(first, 0.5),
            "the same generator gives the same numbers": torch.equal(first, second),
        }

    agree.on("init_normal((300, 80), 0.5) after torch.set_default_dtype(torch.float64)", question)


@check("init_normal", "numerics")
@pytest.mark.parametrize("std", [0.02, 0.3, 2.5])
def test_init_normal_draws_normal_numbers_of_the_scale_it_is_told(agree, rand, std):
    seed = rand.seed()

    def question(unit):
        unit.init_normal((300, 80), 3 * std, generator=seeded(seed))  # not to be remembered for the next call
        return texture(unit.init_normal((300, 80), std, generator=seeded(seed)), std)

    agree.on(f"init_normal(shape=(300, 80), std={std})", question)


@check("init_normal", "numerics")
def test_init_normal_needs_no_generator(agree):
    def question(unit):
        torch.default_generator.manual_seed(6)
        return scale(unit.init_normal((300, 80), 0.3), 0.3)

    agree.on("init_normal((300, 80), 0.3) without a generator", question)


@check("init_normal", "numerics", "generator")
def test_init_normal_follows_the_generator(agree, rand):
    seed = rand.seed()
    agree.on(
        "init_normal(shape=(30, 8), std=0.3) with and without a generator",
        lambda unit: drawing(lambda generator: unit.init_normal((30, 8), 0.3, generator=generator), seed),
    )


@check("init_normal", "numerics", "generator")
def test_init_normal_draws_from_one_generator_and_no_other(agree, measure):
    def question(unit):
        return generators_drawn_from(measure, lambda g: unit.init_normal((3, 4), 0.3, generator=g))

    agree.on("init_normal((3, 4), 0.3)", question)


@check("init_normal", "numerics", "generator")
def test_init_normal_keeps_nothing_from_an_earlier_call(agree):
    def question(unit):
        first, second = (unit.init_normal((2, 3), 0.3, generator=seeded(seed)) for seed in (3, 4))
        same_shape = unit.init_normal((4, 5), 0.3).shape == first.shape
        return {"two seeds give equal numbers": torch.equal(first, second), "two shapes are the same": same_shape}

    agree.on("init_normal, called three times", question)


@check("init_normal", "property")
@given(seed=seeds, std=st.floats(0.01, 10), rows=st.integers(1, 4))
def test_init_normal_uses_std_as_a_factor(unit, seed, std, rows):
    one, scaled = (unit.init_normal((rows, 3), s, generator=seeded(seed)) for s in (1.0, std))
    assert torch.allclose(scaled, one * std, rtol=1e-4, atol=1e-5), (
        f"embedding.init_normal(shape=({rows}, 3), std={std:g}): not {std:g} times what std=1 gives for the same seed"
    )


@check("init_normal", "shortcut")
def test_init_normal_is_written_by_hand(agree):
    agree.on("init_normal((3, 4), 0.5)", lambda unit: tuple(unit.init_normal((3, 4), 0.5, generator=seeded(2)).shape))


# How both layers start


def built(unit, layer, generator, **options):
    """A new layer whose weight is (300, 80).

    Raises:
        ValueError: Its weight has another shape.
    """
    init, shape, _ = WIDE[layer]
    module = getattr(unit, layer)(**init, **options, generator=generator)
    if module.weight.shape != shape:
        raise ValueError(f"the weight has shape {tuple(module.weight.shape)}, expected {shape}")
    return module


OPTIONS = [("Embedding", {}), ("Linear", {}), ("Linear", {"bias": False})]
STARTS = [pytest.param(n, o, marks=check(n, "numerics", "start"), id="-".join([n, *o])) for n, o in OPTIONS]
of_each_start = pytest.mark.parametrize(("layer", "options"), STARTS)


@of_each_start
def test_a_new_weight_is_normal_with_the_documented_deviation(agree, rand, layer, options):
    seed, std = rand.seed(), WIDE[layer][2]
    agree.on(
        f"the weight of a new {layer} of 300 rows of 80 numbers",
        lambda unit: texture(built(unit, layer, seeded(seed), **options).weight, std),
    )


@of_each_start
def test_a_new_weight_follows_the_generator(agree, rand, layer, options):
    seed = rand.seed()
    agree.on(
        f"the weight of a new {layer} with and without a generator",
        lambda unit: drawing(lambda generator: built(unit, layer, generator, **options).weight.detach(), seed),
    )


@of_each_start
def test_a_new_weight_is_drawn_from_one_generator_and_no_other(agree, measure, layer, options):
    agree.on(
        f"a new {layer}",
        lambda unit: generators_drawn_from(measure, lambda generator: built(unit, layer, generator, **options)),
    )


def parameters_of(layer, *sizes, **options):
    """What a new layer consists of."""

    def start(parameter):
        shape, dtype = tuple(parameter.shape), str(parameter.dtype)
        # Small numbers are told from zeros at any scale that a weight may start with.
        zeros = bool((parameter.detach() == 0).all())
        return {"shape": shape, "dtype": dtype, "zeros": zeros, "learned": parameter.requires_grad}

    def question(unit):
        module = getattr(unit, layer)(*sizes, **options)
        return {
            "parameters": {name: start(parameter) for name, parameter in sorted(module.named_parameters())},
            "names in state_dict": sorted(module.state_dict()),
        }

    return question


@of_each("numerics", "start")
def test_a_new_layer_has_the_documented_parameters(agree, layer):
    agree.on(f"{layer}(5, 3), just built", parameters_of(layer, 5, 3))


@of_each("numerics")
def test_training_and_evaluation_are_the_same(agree, layer):
    x = torch.tensor([[2, 0], [1, 2]]) if layer == "Embedding" else normal(1, 2, 5)

    def question(unit):
        module = loaded(getattr(unit, layer)(5, 3))
        return {"after train()": module.train()(x).detach(), "after eval()": module.eval()(x).detach()}

    agree.on(f"{layer}(5, 3) in training and in evaluation", question)


@of_each("numerics")
def test_nothing_is_kept_from_an_earlier_call(agree, layer):
    ids = torch.tensor([[2, 0, 8], [1, 2, 0]]), torch.tensor([[1, 1, 0], [5, 0, 2]])
    first, second = ids if layer == "Embedding" else (normal(1, 2, 9), normal(2, 2, 9))

    def question(unit):
        module = loaded(getattr(unit, layer)(9, 4))
        return {"the first result": module(first).detach(), "the second result": module(second).detach()}

    agree.on(f"{layer}(9, 4) called twice, with another input of the same shape", question)


@of_each("numerics")
def test_new_weights_are_used_at_the_next_call(agree, layer):
    x = torch.tensor([[2, 0], [1, 2]]) if layer == "Embedding" else normal(1, 2, 5)
    agree.on(
        f"{layer}(5, 3), called after each change of its weights",
        lambda unit: results_of_new_weights(getattr(unit, layer)(5, 3).double(), x),
    )


def loaded(module):
    """The module with fixed float64 parameters.

    Raises:
        Unfit: It has no parameters.
    """
    parameters = sorted(module.double().named_parameters())
    if not parameters:
        raise Unfit("there are no parameters")
    for index, (_, parameter) in enumerate(parameters):
        parameter.data = normal(100 + index, *parameter.shape)
    return module


# Embedding


def agree_on_rows(agree, num_embeddings, d_model, ids, **options):
    agree.module("Embedding", {"num_embeddings": num_embeddings, "d_model": d_model}, ids, **{"train": True} | options)


@check("Embedding", "shape")
@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 4), (1, 1), (), (0,), (2, 0)], ids=str)
def test_Embedding_adds_an_axis_behind_those_of_ids(agree, rand, shape):
    agree_on_rows(agree, 7, 5, rand.integers(0, 7, *shape))


@check("Embedding", "shape")
def test_Embedding_takes_transposed_ids(agree, rand):
    agree_on_rows(agree, 7, 5, rand.integers(0, 7, 4, 2).T)


@check("Embedding", "numerics")
@pytest.mark.parametrize(("num_embeddings", "d_model"), [(7, 5), (5, 7), (4, 4), (1, 3), (6, 1)])
def test_Embedding_looks_up_the_row_of_each_id(agree, rand, num_embeddings, d_model):
    agree_on_rows(agree, num_embeddings, d_model, rand.integers(0, num_embeddings, 3, 4))


@check("Embedding", "numerics")
def test_Embedding_reaches_the_first_and_the_last_row(agree):
    agree_on_rows(agree, 7, 5, torch.tensor([6, 0, 6]))


@check("Embedding", "numerics")
def test_Embedding_takes_ids_that_leave_out_the_largest(agree):
    agree_on_rows(agree, 7, 3, torch.tensor([[2, 0], [1, 2]]))


@check("Embedding", "shape")
@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8], ids=str)
def test_Embedding_takes_ids_of_any_integer_dtype(agree, dtype):
    largest = min(299, torch.iinfo(dtype).max)
    agree_on_rows(agree, 300, 3, torch.tensor([[2, 0, 1], [1, largest, 1]]).to(dtype))


@check("Embedding", "shape")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_Embedding_returns_the_dtype_of_its_weight(agree, rand, dtype):
    agree_on_rows(agree, 7, 5, rand.integers(0, 7, 2, 3), dtype=dtype, gradients=False)


# 2^32 is 0 and 2^32 + 1 is 1 in 32 bits.
@check("Embedding", "numerics", "refusals")
@pytest.mark.parametrize("training", [True, False], ids=["in training", "in evaluation"])
@pytest.mark.parametrize("id", [37, 41, -1, -37, -38, 2**32, 2**32 + 1])
def test_Embedding_refuses_an_id_outside_the_table(agree, id, training):
    def question(unit):
        return loaded(unit.Embedding(37, 5)).train(training)(torch.tensor([[0, 1], [id, 2]]))

    for number in (id, 37):
        agree.raises(f"Embedding(37, 5) on ids with {id} among them", question, IndexError, mentions=str(number))


@check("Embedding", "gradient")
@pytest.mark.parametrize("ids", [[2, 0, 5], [[1, 1, 4], [4, 1, 0]], [3], []], ids=str)
def test_Embedding_adds_up_the_gradients_of_repeated_ids(agree, ids):
    agree_on_rows(agree, 6, 5, torch.tensor(ids, dtype=torch.int64))


@check("Embedding", "property")
@given(seed=seeds, length=st.integers(1, 6))
def test_Embedding_gives_a_token_the_same_vector_everywhere(unit, seed, length):
    module = unit.Embedding(9, 4).double()
    ids = torch.randint(0, 9, (2, length), generator=seeded(seed))
    alone = torch.stack([module(id) for id in ids.flatten()])
    assert torch.allclose(module(ids).reshape(-1, 4), alone, rtol=1e-5, atol=1e-7), (
        f"embedding.Embedding(9, 4)(ids=(2, {length})): a token gets another vector when its neighbours are left out"
    )


@check("Embedding", "shortcut")
def test_Embedding_is_written_by_hand(agree, rand):
    agree_on_rows(agree, 5, 3, rand.integers(0, 5, 4))


# Linear


def agree_on_map(agree, out_features, x, bias=True, **options):
    init = {"in_features": x.shape[-1], "out_features": out_features, "bias": bias}
    agree.module("Linear", init, x, **{"train": True} | options)


@check("Linear", "shape")
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 4, 5), (1, 1, 5), (3, 1), (0, 5), (2, 0, 5)], ids=str)
def test_Linear_keeps_any_leading_axes(agree, rand, shape):
    agree_on_map(agree, 6, rand(*shape))


@check("Linear", "shape")
def test_Linear_takes_a_transposed_x(agree, rand):
    agree_on_map(agree, 6, rand(4, 3, 2).transpose(0, 2))


@check("Linear", "shape", "refusals")
@pytest.mark.parametrize("training", [True, False], ids=["in training", "in evaluation"])
@pytest.mark.parametrize(("size", "shape"), [(37, (2, 41)), (37, (2, 3, 1)), (1, (2, 3, 41)), (37, (37, 5)), (37, ())])
def test_Linear_refuses_a_last_axis_of_another_size(agree, size, shape, training):
    def question(unit):
        return loaded(unit.Linear(size, 5)).train(training)(torch.ones(shape).double())

    for number in (size, *shape[-1:]):
        what = f"Linear({size}, 5) on an x of shape {shape}"
        agree.raises(what, question, ValueError, mentions=str(number))


@check("Linear", "numerics")
@pytest.mark.parametrize(("in_features", "out_features"), [(5, 3), (3, 5), (4, 4), (1, 3), (3, 1)])
def test_Linear_multiplies_by_its_weight_and_adds_its_bias(agree, rand, in_features, out_features):
    agree_on_map(agree, out_features, rand(2, 4, in_features))


@check("Linear", "numerics", "start")
@pytest.mark.parametrize(("in_features", "out_features"), [(5, 3), (4, 4)])
def test_Linear_without_bias_adds_nothing(agree, rand, in_features, out_features):
    agree_on_map(agree, out_features, rand(2, in_features), bias=False)


@check("Linear", "numerics", "start")
def test_Linear_without_bias_has_a_weight_and_no_bias(agree):
    def question(unit):
        built = parameters_of("Linear", 5, 3, bias=False)(unit)
        return {**built, "bias is None": unit.Linear(5, 3, bias=False).bias is None}

    agree.on("Linear(5, 3, bias=False), just built", question)


@check("Linear", "shape")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_Linear_returns_the_dtype_of_its_input(agree, rand, dtype):
    # Small numbers: half precision then rounds within its tolerance, whatever the order of the sum.
    agree_on_map(agree, 4, rand(3, 6).mul(0.1).to(dtype), dtype=dtype, gradients=False)


@check("Linear", "gradient")
@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 4), (5,)], ids=str)
def test_Linear_passes_gradients_to_its_input_and_parameters(agree, rand, shape):
    agree_on_map(agree, 4, rand(*shape))


@check("Linear", "gradient", "start")
def test_Linear_without_bias_passes_gradients_too(agree, rand):
    agree_on_map(agree, 4, rand(2, 3, 5), bias=False)


@check("Linear", "property")
@given(seed=seeds, share=st.floats(-3, 3))
def test_Linear_maps_a_mix_to_the_mix(unit, seed, share):
    module = loaded(unit.Linear(5, 3))
    x, y = normal(seed, 2, 4, 5)
    mixed, mix = module(share * x + (1 - share) * y), share * module(x) + (1 - share) * module(y)
    assert torch.allclose(mixed, mix, rtol=1e-4, atol=1e-4), (
        f"embedding.Linear(5, 3): the map of {share:.3g} x + {1 - share:.3g} y is not {share:.3g} times that of x "
        f"+ {1 - share:.3g} times that of y"
    )


@check("Linear", "property")
@given(seed=seeds, leading=st.lists(st.integers(1, 3), max_size=3))
def test_Linear_maps_every_vector_on_its_own(unit, seed, leading):
    module = loaded(unit.Linear(5, 3))
    x = normal(seed, *leading, 5)
    alone = torch.stack([module(vector) for vector in x.reshape(-1, 5)])
    assert torch.allclose(module(x).reshape(-1, 3), alone, rtol=1e-4, atol=1e-5), (
        f"embedding.Linear(5, 3)(x={tuple(x.shape)}): a vector gets other values when its neighbours are left out"
    )


@check("Linear", "shortcut")
def test_Linear_is_written_by_hand(agree, rand):
    agree_on_map(agree, 3, rand(2, 5))
