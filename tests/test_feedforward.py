"""Checks of feedforward: the shape of each activation, what dropout leaves, and the order of the steps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.compare import Tolerance
from tests.starts import generators_drawn_from, results_of_new_weights, scale, seeded
from tests.strategies import as_read, normal, seeds

ACTIVATIONS = [("relu", {}), ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("silu", {})]
LAYERS = {"FeedForward": {"d_model": 5, "d_hidden": 7}, "SwiGLU": {"d_model": 5, "d_hidden": 7}}
MODULES = {"Dropout": {"p": 0.5}} | LAYERS
# One rounding is half of the last digit: 1 / 256 of the value in bfloat16 at most, 1 / 2048 in float16.
ONE_ROUNDING = {torch.bfloat16: Tolerance(1.05 / 256, 1e-5), torch.float16: Tolerance(1.05 / 2048, 1e-5)}


def of_each(names, *kinds, criterion=()):
    """The same check for several exercises, under the exercise's own name; in checks of gradients with gradients."""
    cases = [pytest.param(n, marks=check(n, kind, *criterion), id=f"{n}-{kind}") for n in names for kind in kinds]
    return pytest.mark.parametrize("name", cases)


def of_each_activation(*kinds):
    """The same check for the three activations, and both formulas of gelu; that by tanh is a criterion."""
    cases = []
    for name, options in ACTIVATIONS:
        for kind in kinds:
            criterion = ("tanh",) if options and kind in ("numerics", "property", "shortcut") else ()
            marks = check(name, kind, *criterion)
            cases.append(pytest.param(name, options, marks=marks, id="-".join([name, *options.values(), kind])))
    return pytest.mark.parametrize(("name", "options"), cases)


# The three activations


@of_each_activation("shape")
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7,), (), (2, 0, 3)], ids=str)
def test_any_shape_is_kept(agree, rand, name, options, shape):
    agree(name, rand(*shape) * 2, **options)


@of_each_activation("numerics", "gradient", "shortcut")
def test_the_formula_is_followed(agree, rand, name, options):
    agree(name, rand(4, 3, 20).mul(2).transpose(0, 2), **options)
    agree(name, torch.linspace(-6, 6, 96, dtype=torch.float64), **options)  # 96: without 0


@of_each_activation("numerics")
def test_nothing_is_kept_from_an_earlier_call(agree, rand, name, options):
    both = rand(11, 13), rand(11, 13)  # a shape that no other check uses
    agree.on(f"{name} of two tensors of one shape", lambda unit: [getattr(unit, name)(x, **options) for x in both])


@of_each_activation("property")
@given(seed=seeds, scale=st.floats(0.1, 10))
def test_what_x_and_minus_x_keep_is_x_together(unit, name, options, seed, scale):
    # All weigh x with something that is 1 minus itself for -x: f(x) - f(-x) = x.
    x = normal(seed, 2, 5, scale=scale)
    y, mirrored = getattr(unit, name)(x, **options), getattr(unit, name)(-x, **options)
    call = f"feedforward.{name}(x=(2, 5))"
    assert torch.allclose(y - mirrored, x, atol=1e-5), f"{call}: {name}(x) - {name}(-x) is not x"
    assert bool((y <= x.clamp(min=0) + 1e-5).all()), f"{call}: {name}(x) is larger than max(0, x)"


@of_each_activation("stability", "gradient")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_large_numbers_give_finite_values_and_gradients(agree, name, options, dtype):
    x = torch.tensor([-1e4, -800.0, -90.0, -30.0, 30.0, 90.0, 800.0, 1e4], dtype=dtype)
    agree(name, x, **options)


@of_each_activation("stability")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_kept_and_rounded_once(agree, rand, name, options, dtype):
    x = torch.cat([rand(200) * 2, torch.tensor([-6e4, -300.0, 300.0, 6e4]).double()])
    agree(name, x.to(dtype), tolerance=ONE_ROUNDING[dtype], **options)


@of_each_activation("stability")
def test_float64_does_not_go_through_float32(agree, rand, name, options):
    x = rand(200) * 2

    def question(unit):
        exact, rounded = (getattr(unit, name)(numbers, **options) for numbers in (x, x.float().double()))
        return {"the result is that for x rounded to float32": torch.equal(exact, rounded)}

    agree.on(f"{name}(x=(200,)) in float64", question)


@of_each_activation("shape")
def test_the_result_is_on_the_device_of_x(agree, name, options):
    agree(name, torch.ones(2, 3, device="meta"), **options)


@check("relu", "gradient")
def test_the_gradient_of_relu_at_0_lies_between_those_beside_it(agree):
    def question(unit):
        x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(unit.relu(x).sum(), x)
        return {"from 0 to 1": bool(((gradient >= 0) & (gradient <= 1)).all())}

    agree.on("the gradient of relu at 0", question)


@check("gelu", "numerics", "refusals")
@pytest.mark.parametrize("approximate", ["quick", "", "Tanh", "tanh2"])
def test_gelu_refuses_a_formula_that_it_does_not_know(agree, approximate):
    x = torch.ones(2, dtype=torch.float64)
    what = f"gelu(x, approximate={approximate!r})"
    agree.raises(what, lambda unit: unit.gelu(x, approximate), ValueError, mentions=approximate)


@check("gelu", "numerics", "tanh")
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_takes_a_name_that_was_read_somewhere(agree, rand, approximate):
    agree("gelu", rand(3, 4), **as_read({"approximate": approximate}))


@check("silu", "stability", "refusals")
def test_silu_refuses_whole_numbers(agree):
    whole = torch.tensor([[1, 2], [3, 4]])
    agree.raises("silu of int64 tensors", lambda unit: unit.silu(whole), ValueError, mentions="int64")


@check("gelu", "stability", "refusals")
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_refuses_whole_numbers(agree, approximate):
    whole = torch.tensor([[1, 2], [3, 4]])
    what = f"gelu of int64 tensors, approximate={approximate!r}"
    agree.raises(what, lambda unit: unit.gelu(whole, approximate), ValueError, mentions="int64")


# Dropout


def share_that_is(share, p, draws):
    """In words: about 1 - p where it is within 7 standard deviations, which one right answer in 10^11 is not."""
    found = share.mean().item()
    near = abs(found - (1 - p)) <= 7 * (p * (1 - p) / draws) ** 0.5 + 1e-5
    return f"about {1 - p:g}" if near else f"about {found:.2f}"


def values_of(y, dtype=torch.float64):
    """Which values there are, in words."""
    return " and ".join(f"{value:g}" for value in y.detach().to(dtype).double().round(decimals=2).unique().tolist())


def dropped_together(kept, variance):
    """Along which axes the draws are one and the same; apart, the mean along an axis of 20 varies 20 times less."""
    return str([axis for axis in range(kept.dim()) if kept.mean(axis).var() > 0.5 * variance])


def dropout_facts(module, p, x):
    """What can be said of two calls in training mode without knowing the random numbers."""
    torch.default_generator.manual_seed(7)  # so that one mistake gives one answer
    y, again = module(x), module(x)
    kept = (y != 0).double()
    counts = {module(x[0, 0]).count_nonzero().item() for _ in range(40)}  # all alike: once in 10^20
    return {
        "a 3 becomes (0, or 3 / (1 - p))": values_of(y),
        "the share that is kept (1 - p)": share_that_is(kept, p, kept.numel()),
        "axes along which elements are dropped together": dropped_together(kept, p * (1 - p)),
        "two calls drop the same elements": torch.equal(y, again),
        "all calls drop the same number": len(counts) == 1,
    }


@check("Dropout", "property")
@pytest.mark.parametrize("p", [0.25, 0.5, 0.8])
def test_Dropout_in_training_drops_each_element_on_its_own_and_scales_the_rest(agree, p):
    x = torch.full((40, 30, 20), 3.0, dtype=torch.float64)
    what = f"Dropout({p}) in training mode on threes"
    agree.on(what, lambda unit: dropout_facts(unit.Dropout(p).train(), p, x))


@check("Dropout", "shape")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_Dropout_in_training_keeps_the_dtype(agree, dtype):
    x = torch.full((40, 30), 3.0, dtype=dtype)

    def question(unit):
        y = unit.Dropout(0.25).train()(x)
        return {"dtype": str(y.dtype), "a 3 becomes": values_of(y)}

    agree.on(f"Dropout(0.25) in training mode on threes in {dtype}", question)


@check("Dropout", "shape")
def test_Dropout_in_training_works_on_the_device_of_x(agree):
    x = torch.ones(2, 3, device="meta")
    agree.on("Dropout(0.5) in training mode (x on another device)", lambda unit: unit.Dropout(0.5).train()(x))


@check("Dropout", "shape")
def test_Dropout_in_training_takes_a_transposed_x(agree):
    x = torch.full((30, 40), 3.0, dtype=torch.float64).T
    agree.on("Dropout(0.5)(x.T) of threes", lambda unit: values_of(unit.Dropout(0.5).train()(x)))


@check("Dropout", "property")
@given(seed=seeds, p=st.floats(0, 0.95), shape=st.lists(st.integers(0, 4), max_size=4))
def test_Dropout_gives_0_or_the_element_divided_by_1_minus_p(unit, seed, p, shape):
    x = normal(seed, *shape) + 10  # far from 0
    y = unit.Dropout(p).train()(x)
    call = f"feedforward.Dropout({p:g}) in training mode (x={tuple(shape)})"
    assert y.shape == x.shape, f"{call}: got shape {tuple(y.shape)}"
    scaled = torch.isclose(y, x / (1 - p), rtol=1e-4)
    assert bool((scaled | (y == 0)).all()), f"{call}: an element is neither 0 nor x / (1 - p)"
    assert p > 0 or bool(scaled.all()), f"{call}: an element is dropped"


@check("Dropout", "shape")
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7,), (), (2, 0, 3)], ids=str)
def test_Dropout_keeps_any_shape(agree, rand, shape):
    agree.module("Dropout", {"p": 0.4}, rand(*shape))
    x = torch.ones(shape, dtype=torch.float64)
    agree.on(f"the shape of Dropout(0.5)(x={shape})", lambda unit: tuple(unit.Dropout(0.5).train()(x).shape))


@check("Dropout", "numerics")
@pytest.mark.parametrize(("p", "train"), [(0.4, False), (0.0, True)], ids=["in evaluation", "with p = 0"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_Dropout_may_have_nothing_to_do(agree, rand, p, train, dtype):
    agree.module("Dropout", {"p": p}, rand(5, 6, dtype=dtype), train=train)


@check("Dropout", "property")
def test_Dropout_follows_the_mode_that_it_is_in_now(agree):
    x = torch.ones(50, 60, dtype=torch.float64)

    def question(unit):
        module = unit.Dropout(0.5)
        modes = ((number, number % 2 == 1) for number in range(4))
        return {f"call {number}, training {mode}": values_of(module.train(mode)(x)) for number, mode in modes}

    agree.on("the values that one Dropout(0.5) makes of ones", question)


@check("Dropout", "numerics", "generator")
def test_Dropout_draws_from_its_generator(agree):
    x = torch.ones(30, 40, dtype=torch.float64)

    def twice(unit, seed):
        module = unit.Dropout(0.5, generator=seeded(seed)).train()
        return module(x), module(x)

    def question(unit):
        torch.default_generator.manual_seed(5)
        first, second = twice(unit, 1)
        untouched = torch.equal(torch.rand(3), torch.rand(3, generator=seeded(5)))
        torch.default_generator.manual_seed(6)
        same, other = twice(unit, 1), twice(unit, 2)
        return {
            "the same seed drops the same elements": torch.equal(first, same[0]) and torch.equal(second, same[1]),
            "another seed drops the same elements": torch.equal(first, other[0]),
            "a second call drops the same elements": torch.equal(first, second),
            "something is dropped": bool((first == 0).any()),
            "the global generator is left alone": untouched,
        }

    agree.on("Dropout(0.5) with a generator", question)


@check("Dropout", "numerics", "generator")
def test_Dropout_draws_from_the_global_generator_and_in_training_only(agree, measure):
    x = torch.ones(30, 40)

    def drawn(module):
        return " and ".join(sorted(measure(lambda: module(x)).drew)) or "nothing"

    def question(unit):
        module = unit.Dropout(0.5)
        return {"in training": drawn(module.train()), "in evaluation": drawn(module.eval())}

    agree.on("the global generators that Dropout(0.5) draws from", question)


@check("Dropout", "numerics", "generator")
def test_Dropout_draws_anew_in_each_call(agree):
    x = torch.ones(30, 40)

    def question(unit):
        module = unit.Dropout(0.5).train()
        first, second = module(x), module(x)
        return {"two calls drop the same elements": torch.equal(first, second)}

    agree.on("Dropout(0.5), called twice", question)


@check("Dropout", "numerics", "refusals")
@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_Dropout_refuses_what_is_no_probability_below_1(agree, p):
    agree.raises(f"Dropout({p})", lambda unit: bool(unit.Dropout(p)), ValueError, mentions=str(p).removesuffix(".0"))


@check("Dropout", "gradient")
def test_Dropout_passes_the_gradient_on_in_evaluation(agree, rand):
    agree.module("Dropout", {"p": 0.4}, rand(3, 4))


@check("Dropout", "gradient")
def test_the_gradient_of_Dropout_is_the_factor_that_an_element_got(agree):
    def question(unit):
        x = torch.full((20, 30), 3.0, dtype=torch.float64, requires_grad=True)
        y = unit.Dropout(0.75).train()(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        return {"distance from y / x": (gradient - y.detach() / 3).abs().max().item()}

    agree.on("the gradient of Dropout(0.75) in training mode", question)


@check("Dropout", "shortcut")
def test_Dropout_is_written_by_hand(agree):
    x = torch.ones(2, 3, dtype=torch.float64)
    agree.on("the shape of Dropout(0.5)(x=(2, 3))", lambda unit: tuple(unit.Dropout(0.5).train()(x).shape))


# What the modules have in common


def agree_on_layer(agree, layer, x, d_hidden=7, **kwargs):
    agree.module(layer, {"d_model": x.shape[-1], "d_hidden": d_hidden}, x, **{"train": True} | kwargs)


@of_each(MODULES, "numerics")
def test_nothing_is_kept_from_an_earlier_x(agree, name):
    def question(unit):
        module = loaded(unit, name).eval()
        return [module(normal(seed, 17, 19, 5)).detach() for seed in (1, 2)]  # a shape that no other check uses

    agree.on(f"{name} in evaluation mode, called twice with an x of the same shape", question)


@of_each(LAYERS, "shape")
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 5), (5,), (1, 1, 5), (3, 1), (2, 0, 5)], ids=str)
def test_any_leading_axes_are_kept(agree, rand, name, shape):
    agree_on_layer(agree, name, rand(*shape))


@of_each(LAYERS, "numerics", "gradient", "shortcut")
@pytest.mark.parametrize(("d_model", "d_hidden"), [(5, 7), (4, 4), (6, 3), (3, 1)])
def test_the_steps_come_in_order(agree, rand, name, d_model, d_hidden):
    agree_on_layer(agree, name, rand(2, 3, d_model), d_hidden)


@of_each(LAYERS, "shape")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_layer_keeps_the_dtype(agree, rand, name, dtype):
    tolerance = Tolerance(5e-2, 2e-1) if dtype is torch.bfloat16 else None
    agree_on_layer(agree, name, rand(3, 5, dtype=dtype), dtype=dtype, tolerance=tolerance)


@of_each(LAYERS, "numerics")
def test_new_weights_are_used_at_the_next_call(agree, name):
    x = normal(1, 2, 5)
    agree.on(
        f"{name}({LAYERS[name]}), called after each change of its weights",
        lambda unit: results_of_new_weights(getattr(unit, name)(**LAYERS[name]).double(), x),
    )


def loaded(unit, name):
    """A module with fixed weights."""
    module = getattr(unit, name)(**MODULES[name]).double()
    for index, (_, parameter) in enumerate(sorted(module.named_parameters())):
        parameter.data = normal(index, *parameter.shape, scale=0.5)
    return module


def parameters_of(name, **options):
    """What a new module consists of."""

    def question(unit):
        module = getattr(unit, name)(**MODULES[name], **options)
        parameters = dict(sorted(module.named_parameters()))
        return {
            "parameters": {key: tuple(parameter.shape) for key, parameter in parameters.items()},
            "start as zeros": [key for key, parameter in parameters.items() if not parameter.detach().any()],
            "names in state_dict": sorted(module.state_dict()),
        }

    return question


@of_each(LAYERS, "numerics", criterion=("start",))
def test_a_new_module_has_the_documented_parameters(agree, name):
    agree.on(f"{name}({MODULES[name]}), just built", parameters_of(name))


@check("Dropout", "numerics")
def test_Dropout_has_no_parameters(agree):
    agree.on("Dropout(0.5), just built", parameters_of("Dropout"))


STARTS = [("FeedForward", {}), ("FeedForward", {"bias": False}), ("SwiGLU", {})]
CASES = [pytest.param(n, o, marks=check(n, "numerics", "start"), id="-".join([n, *o])) for n, o in STARTS]
of_each_start = pytest.mark.parametrize(("name", "options"), CASES)


def drawn(unit, name, generator, options):
    module = getattr(unit, name)(100, 240, generator=generator, **options)
    return {key: value.detach().double() for key, value in sorted(module.named_parameters()) if value.dim() == 2}


def facts_about_weights(unit, name, options):
    torch.default_generator.manual_seed(5)
    first = drawn(unit, name, seeded(1), options)
    untouched = torch.equal(torch.rand(3), torch.rand(3, generator=seeded(5)))
    torch.default_generator.manual_seed(6)
    second, other = drawn(unit, name, seeded(1), options), drawn(unit, name, seeded(2), options)
    used = seeded(1)
    torch.rand(7, generator=used)
    later = drawn(unit, name, used, options)
    heads = [weight[:8].div(weight.std()).round(decimals=4) for weight in first.values()]
    return {
        # (input size) ** -0.5
        "scales": {key: scale(weight, weight.shape[1] ** -0.5) for key, weight in first.items()},
        "the same seed gives the same weights": {key: torch.equal(first[key], second[key]) for key in first},
        "another seed gives some of the same weights": any(torch.equal(first[key], other[key]) for key in first),
        "a used generator gives some of the same weights": any(torch.equal(first[key], later[key]) for key in first),
        "weights that are copies of another": sum(torch.equal(a, b) for a in heads for b in heads) - len(heads),
        "the global generator is left alone": untouched,
    }


@of_each_start
def test_the_weights_follow_the_generator(agree, name, options):
    agree.on(
        f"the initial weights of {name}(100, 240) with a generator",
        lambda unit: facts_about_weights(unit, name, options),
    )


@of_each_start
def test_the_weights_are_drawn_from_one_generator_and_no_other(agree, measure, name, options):
    agree.on(
        f"a new {name}(4, 8)",
        lambda unit: generators_drawn_from(measure, lambda g: getattr(unit, name)(4, 8, generator=g, **options)),
    )


@of_each(LAYERS, "property")
@given(seed=seeds, leading=st.lists(st.integers(1, 3), max_size=3))
def test_every_vector_is_treated_on_its_own(unit, name, seed, leading):
    module, x = loaded(unit, name), normal(seed, *leading, 5)
    alone = torch.stack([module(vector) for vector in x.reshape(-1, 5)])
    assert torch.allclose(module(x).reshape(-1, 5), alone, rtol=1e-5, atol=1e-5), (
        f"feedforward.{name}(5, 7)(x={tuple(x.shape)}): a vector gets other values when its neighbours are left out"
    )


# What FeedForward has alone


@check("FeedForward", "numerics", "options")
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu"])
def test_FeedForward_bends_by_the_activation_of_that_name(agree, rand, activation):
    init = as_read({"d_model": 5, "d_hidden": 7, "activation": activation})
    agree.module("FeedForward", init, rand(2, 3, 5), train=True)
    agree.module("FeedForward", init | {"bias": False, "dropout": 0.5}, rand(2, 3, 5))


@check("FeedForward", "numerics", "options")
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_FeedForward_without_bias_adds_nothing(agree, rand, activation):
    init = {"d_model": 5, "d_hidden": 7, "activation": activation, "bias": False}
    agree.module("FeedForward", init, rand(2, 3, 5), train=True)


@check("FeedForward", "numerics", "options")
def test_FeedForward_without_bias_has_two_weights(agree):
    agree.on("FeedForward(5, 7, bias=False), just built", parameters_of("FeedForward", bias=False))


@check("FeedForward", "numerics", "refusals")
@pytest.mark.parametrize(("name", "value"), [("activation", "tanh"), ("dropout", 1.5), ("dropout", -0.1)])
def test_FeedForward_refuses_what_it_does_not_know(agree, name, value):
    what = f"FeedForward(5, 7, {name}={value!r})"
    agree.raises(what, lambda unit: bool(unit.FeedForward(5, 7, **{name: value})), ValueError, mentions=str(value))


def dropping(unit, p, **init):
    """Forty hidden numbers that are gelu(1), of which every output sums four; 8 is added to that."""
    module = unit.FeedForward(10, 40, dropout=p, **init).double()
    fours = torch.eye(10, dtype=torch.float64).repeat_interleave(4, dim=1)  # (10, 40)
    weights = {"up_proj.weight": fours.T.contiguous(), "up_proj.bias": torch.zeros(40, dtype=torch.float64)}
    weights["down_proj.weight"] = fours / 0.8413447460685429
    weights["down_proj.bias"] = torch.full((10,), 8.0, dtype=torch.float64)
    for name, parameter in module.named_parameters():
        parameter.data = weights[name]
    return module


def hidden_facts(unit, p, train):
    module, p = dropping(unit, p).train(train), p if train else 0.0
    x = torch.ones(16, 12, 10, dtype=torch.float64)
    torch.default_generator.manual_seed(7)  # so that one mistake gives one answer
    y, again = module(x).detach(), module(x).detach()
    alive = (y - 8) * (1 - p) / 4  # the share of the four hidden numbers behind an output that is left
    return {
        "how many of four hidden numbers are left": values_of(4 * alive),
        "the share that is left": share_that_is(alive, p, 7680),
        "axes along which they are dropped together": dropped_together(alive, p * (1 - p) / 4 + 1e-6),
        "two calls drop the same": torch.equal(y, again),
    }


@check("FeedForward", "property", "dropout")
@pytest.mark.parametrize("p", [0.25, 0.5])
def test_FeedForward_drops_hidden_numbers_in_training_only(agree, p):
    def question(unit):
        return {mode: hidden_facts(unit, p, mode == "training") for mode in ("training", "evaluation")}

    agree.on(f"FeedForward(10, 40, dropout={p})", question)


@check("FeedForward", "property", "dropout")
def test_FeedForward_drops_by_the_global_generator(agree):
    x = torch.ones(4, 6, 10, dtype=torch.float64)

    def question(unit):
        layers = [dropping(unit, 0.5, generator=seeded(1)).train() for _ in range(2)]
        first, second = (layer(x).detach() for layer in layers)
        return {"drop the same": torch.equal(first, second), "drop nothing": first.round().unique().numel() == 1}

    agree.on("two FeedForward(10, 40, dropout=0.5) from generators of one seed", question)


@check("FeedForward", "property", "dropout")
def test_FeedForward_drops_by_torchs_global_generator(agree, measure):
    x = torch.ones(6, 5)

    def drawn_by(module):
        return " and ".join(sorted(measure(lambda: module(x)).drew)) or "nothing"

    def question(unit):
        module = unit.FeedForward(5, 7, dropout=0.5, generator=seeded(1))
        return {"in training": drawn_by(module.train()), "in evaluation": drawn_by(module.eval())}

    agree.on("the global generators that FeedForward(5, 7, dropout=0.5) draws from in a call", question)
