"""Checks of normalization: which statistics of which axis, where eps, gain and offset go, and in which dtype."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.compare import Tolerance
from tests.strategies import normal, seeds

LAYERS = ("LayerNorm", "RMSNorm")
EPS = 0.7  # large enough to matter, and not 1, whose root and square are 1 again
# half precision rounds the parameters too, and a product of two features may then cancel against the offset
ROUNDED = {torch.float16: Tolerance(1e-2, 1e-2), torch.bfloat16: Tolerance(3e-2, 6e-2)}


def of_each(kind, *criterion):
    """The same check for either layer, under the layer's own name."""
    layers = [pytest.param(name, marks=check(name, kind, *criterion)) for name in LAYERS]
    return pytest.mark.parametrize("layer", layers)


def off_centre(rand, *shape):
    """Vectors with a mean and a deviation that are neither 0 nor 1."""
    return rand(*shape) * 2 + 1.5


def agree_on_layer(agree, layer, x, **kwargs):
    """Same values, gradients and dtype as the reference, with weights (and a bias) that differ in every feature."""
    init = {"d_model": x.shape[-1], "eps": EPS} | ({"bias": True} if layer == "LayerNorm" else {})
    agree.module(layer, init, x, **{"train": True} | kwargs)


# What both have in common


@of_each("shape")
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 5), (5,), (1, 1, 5), (3, 1), (2, 0, 5)], ids=str)
def test_any_leading_axes_are_kept(agree, rand, layer, shape):
    agree_on_layer(agree, layer, off_centre(rand, *shape))


@of_each("shape")
def test_a_transposed_x_is_taken(agree, rand, layer):
    agree_on_layer(agree, layer, off_centre(rand, 4, 3, 2).transpose(0, 2))


@of_each("shape", "refusals")
@pytest.mark.parametrize(("d_model", "shape"), [(37, (2, 41)), (37, (2, 3, 1)), (1, (2, 3, 41)), (37, ())], ids=str)
def test_a_last_axis_of_another_size_is_refused(agree, layer, d_model, shape):
    def question(unit):
        return getattr(unit, layer)(d_model)(torch.ones(shape))

    what = f"{layer}({d_model}) on an x of shape {shape}"
    for size in (d_model, *shape[-1:]):
        agree.raises(what, question, ValueError, mentions=str(size))


@of_each("numerics")
@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 4)], ids=str)
def test_the_formula_is_followed(agree, rand, layer, shape):
    agree_on_layer(agree, layer, off_centre(rand, *shape))


@of_each("numerics")
@pytest.mark.parametrize("eps", [1e-5, 0.02, 3.0])
def test_eps_is_the_one_that_was_given(agree, rand, layer, eps):
    bias = {"bias": True} if layer == "LayerNorm" else {}
    agree.module(layer, {"d_model": 6, "eps": eps} | bias, rand(3, 6) * eps**0.5, train=True)


@of_each("numerics")
def test_one_feature_may_outgrow_all_others(agree, rand, layer):
    x = rand(3, 64)
    x[:, 5] += 100
    agree_on_layer(agree, layer, x)


@of_each("numerics", "parameters")
def test_the_default_eps_is_the_documented_one(agree, rand, layer):
    agree.module(layer, {"d_model": 6}, rand(3, 6) * 1e-3, train=True)


@of_each("numerics")
def test_training_and_evaluation_are_the_same(agree, layer):
    x = normal(1, 3, 4, scale=2.0)

    def question(unit):
        module = getattr(unit, layer)(4, eps=EPS).double().train()
        in_training = module(x).detach()
        module(normal(2, 3, 4))
        return {"in training": in_training, "in evaluation, after another x": module.eval()(x).detach()}

    agree.on(f"{layer}(4) in training and in evaluation", question)


@of_each("numerics")
def test_nothing_is_kept_from_an_earlier_call(agree, layer):
    def question(unit):
        module = getattr(unit, layer)(9, eps=EPS).double()
        first, second = normal(1, 2, 9), normal(2, 2, 9)
        return {"the first result": module(first).detach(), "the second result": module(second).detach()}

    agree.on(f"{layer}(9) called twice, with another x of the same shape", question)


@of_each("numerics")
def test_the_result_belongs_to_the_caller(agree, overwrite, layer):
    def question(unit):
        module, x = getattr(unit, layer)(9, eps=EPS).double(), normal(3, 2, 9)
        overwrite(module(x).detach())
        return {"x": x, "the second result": module(x).detach()}

    agree.on(f"{layer}(9) called twice with the same x, the first result overwritten in between", question)


def start(parameter):
    """How a parameter starts, in words, so that random numbers need not be the same to be recognised."""
    value = parameter.detach()
    name = next((name for name, number in {"zeros": 0, "ones": 1}.items() if bool((value == number).all())), "neither")
    dtype = str(value.dtype)
    return {"shape": tuple(value.shape), "dtype": dtype, "values": name, "learned": parameter.requires_grad}


def parameters_of(layer, **init):
    """What a new layer consists of."""

    def question(unit):
        module = getattr(unit, layer)(5, **init)
        return {
            "parameters": {name: start(parameter) for name, parameter in sorted(module.named_parameters())},
            "names in state_dict": sorted(module.state_dict()),
        }

    return question


@of_each("numerics", "parameters")
def test_a_new_layer_has_the_documented_parameters(agree, layer):
    agree.on(f"{layer}(5), just built", parameters_of(layer))


@of_each("gradient")
def test_gradients_reach_the_input_and_the_parameters(agree, rand, layer):
    agree_on_layer(agree, layer, off_centre(rand, 2, 3, 4))


@of_each("gradient")
def test_gradients_flow_in_evaluation_too(agree, rand, layer):
    agree_on_layer(agree, layer, off_centre(rand, 3, 4), train=False)


@of_each("gradient")
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_the_gradient_of_a_constant_vector_is_finite(agree, layer, value):
    agree_on_layer(agree, layer, torch.full((2, 4), value, dtype=torch.float64))


@of_each("property")
@given(seed=seeds, leading=st.lists(st.integers(1, 3), max_size=3))
def test_every_vector_is_normalized_on_its_own(unit, layer, seed, leading):
    module = getattr(unit, layer)(5, eps=EPS).double()
    x = normal(seed, *leading, 5, scale=2.0) + 1.5
    which = seed % (x.numel() // 5)
    alone = module(x.reshape(-1, 5)[which])
    assert torch.allclose(module(x).reshape(-1, 5)[which], alone, rtol=1e-5, atol=1e-5), (
        f"normalization.{layer}(5)(x={tuple(x.shape)}): a vector gets other values when its neighbours are left out"
    )


@of_each("stability")
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_vector_gives_no_nan(agree, layer, value):
    agree_on_layer(agree, layer, torch.full((2, 4), value, dtype=torch.float64))


@of_each("stability")
def test_a_nan_stays_in_its_own_vector(agree, rand, layer):
    x = off_centre(rand, 3, 4)
    x[1, 2] = float("nan")
    agree_on_layer(agree, layer, x, gradients=False)


# Of x and of the parameters. The squares are beyond 65504, which is as far as float16 goes.
DTYPES = [
    (torch.float16, torch.float16),
    (torch.float16, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.bfloat16, torch.float32),
    (torch.float32, torch.float32),
    (torch.float32, torch.float64),
]


@of_each("stability")
@pytest.mark.parametrize(("x_dtype", "dtype"), DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def test_the_result_has_the_dtype_of_x_and_no_overflow(agree, rand, layer, x_dtype, dtype):
    x = rand(3, 64).mul(1500).to(x_dtype)
    agree_on_layer(agree, layer, x, dtype=dtype, gradients=False, tolerance=ROUNDED.get(x_dtype))


@of_each("stability")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=lambda dtype: str(dtype).removeprefix("torch."))
def test_float64_squares_what_float32_could_not(agree, rand, layer, dtype):
    # The squares are near 1e60: float32 ends at 3e38.
    agree_on_layer(agree, layer, off_centre(rand, 3, 4) * 1e30, dtype=dtype)


@of_each("stability")
def test_float64_keeps_all_its_digits(agree, rand, layer):
    agree_on_layer(agree, layer, off_centre(rand, 3, 4), tolerance=Tolerance(1e-10, 1e-10))


@of_each("stability")
def test_bfloat16_is_rounded_once_at_the_end(unit, rand, layer):
    x = (rand(32, 64) * 2 + 1.5).to(torch.bfloat16)
    module = getattr(unit, layer)(64)
    exact = module.double()(x.double())
    # 1 / 256 is half of bfloat16's last digit: the most that one rounding can do
    assert torch.allclose(module.to(x.dtype)(x).double(), exact, rtol=1.05 / 256, atol=1e-5), (
        f"normalization.{layer}(64)(x=(32, 64) bfloat16): further from the float64 result than one rounding at the end "
        "explains; compute all steps in float32"
    )


@of_each("shortcut")
def test_the_layer_is_written_by_hand(agree, rand, layer):
    agree_on_layer(agree, layer, off_centre(rand, 3, 2))


# What LayerNorm has alone


@check("LayerNorm", "numerics", "parameters")
def test_LayerNorm_without_bias_adds_nothing(agree, rand):
    agree.module("LayerNorm", {"d_model": 5, "eps": EPS, "bias": False}, off_centre(rand, 2, 3, 5), train=True)


@check("LayerNorm", "numerics", "parameters")
def test_LayerNorm_without_bias_has_a_weight_and_no_bias(agree):
    agree.on("LayerNorm(5, bias=False), just built", parameters_of("LayerNorm", bias=False))
    agree.on("LayerNorm(5, bias=False).bias is None", lambda unit: unit.LayerNorm(5, bias=False).bias is None)


@check("LayerNorm", "property")
@given(seed=seeds, scale=st.floats(0.5, 4), shift=st.floats(-3, 3))
def test_LayerNorm_undoes_any_scale_and_shift(unit, seed, scale, shift):
    # 1e-3: as float32 inside leaves it after the shift; a mistake is off by tenths.
    x = normal(seed, 2, 8)
    module = unit.LayerNorm(8, eps=1e-8).double()
    y, other = module(torch.stack([x, x * scale + shift]))
    call = "normalization.LayerNorm(8, eps=1e-8)(x=(2, 2, 8))"
    assert torch.allclose(other, y, atol=1e-3), f"{call}: {scale:g} x + {shift:g} gives another result"
    assert torch.allclose(y.mean(-1), torch.zeros(2).double(), atol=1e-3), f"{call}: the mean of a vector is not 0"
    assert torch.allclose(y.square().mean(-1), torch.ones(2).double(), atol=1e-3), f"{call}: the variance is not 1"


@check("LayerNorm", "stability")
def test_LayerNorm_keeps_its_digits_where_the_mean_is_large(agree, rand):
    # In float32 the squares of 1e4 are known to 8 only: as a difference of squares the variance, which is 1, is lost.
    x = (rand(3, 64) + 1e4).float()
    agree_on_layer(agree, "LayerNorm", x, dtype=x.dtype, gradients=False, tolerance=Tolerance(1e-2, 1e-2))


@check("LayerNorm", "stability")
def test_LayerNorm_rounds_bfloat16_after_the_gain_and_the_offset(agree, rand):
    x = off_centre(rand, 32, 64).to(torch.bfloat16)
    once = Tolerance(1.05 / 256, 1e-4)  # in multiples of bfloat16's last digit: half of one
    agree_on_layer(agree, "LayerNorm", x, dtype=torch.float32, gradients=False, tolerance=once)


# What RMSNorm has alone


@check("RMSNorm", "property")
@given(seed=seeds, scale=st.floats(0.5, 4), sign=st.sampled_from([-1, 1]))
def test_RMSNorm_keeps_the_direction_and_forgets_the_length(unit, seed, scale, sign):
    x = normal(seed, 2, 8)
    module = unit.RMSNorm(8, eps=1e-8).double()
    y, other = module(torch.stack([x, sign * scale * x]))
    call = "normalization.RMSNorm(8, eps=1e-8)(x=(2, 2, 8))"
    assert torch.allclose(other, sign * y, atol=1e-3), f"{call}: {sign * scale:g} x gives another length"
    assert torch.allclose(y.square().mean(-1), torch.ones(2).double(), atol=1e-3), f"{call}: the mean square is not 1"
    cosine = torch.nn.functional.cosine_similarity(x, y, dim=-1)
    assert torch.allclose(cosine, torch.ones(2).double(), atol=1e-3), f"{call}: the direction of a vector has changed"
