"""Checks of the block: what is normalized, what is added to what, where dropout stands, what each option reaches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check
from grader.checking.capture import copy_weights
from grader.checking.compare import Tolerance
from tests.starts import drawing, weights_of
from tests.strategies import as_read, normal, seeds

EPS = 0.7  # large enough to matter, and not 1, whose root and square are 1 again
SMALL = {"d_model": 8, "num_heads": 2, "d_hidden": 11}
# Weights of size 1 make steep softmaxes, through which a float32 upcast in a lower layer grows; a mistake is larger.
DEEP = Tolerance(1e-4, 1e-4)
each_position = pytest.mark.parametrize("position", ["pre", "post"])

NORMS = {
    "layernorm": {"norm": "layernorm", "d_model": 5, "eps": EPS, "bias": True},
    "layernorm without bias": {"norm": "layernorm", "d_model": 5, "eps": EPS, "bias": False},
    "rmsnorm": {"norm": "rmsnorm", "d_model": 5, "eps": EPS, "bias": True},
    "rmsnorm without bias": {"norm": "rmsnorm", "d_model": 5, "eps": EPS, "bias": False},
}
FEEDFORWARDS = {
    "mlp": {"feedforward": "mlp", "d_model": 5, "d_hidden": 7, "activation": "gelu", "bias": True},
    "mlp without bias": {"feedforward": "mlp", "d_model": 5, "d_hidden": 7, "activation": "relu", "bias": False},
    "swiglu": {"feedforward": "swiglu", "d_model": 5, "d_hidden": 7, "activation": "gelu", "bias": True},
    "swiglu without bias": {"feedforward": "swiglu", "d_model": 5, "d_hidden": 7, "activation": "relu", "bias": False},
}
LLAMA = {"norm": "rmsnorm", "feedforward": "swiglu", "bias": False, "num_heads": 4, "num_kv_heads": 2, "rope_base": 9.0}
BLOCKS = {
    "GPT-2's": {},
    "without biases": {"bias": False},
    "Llama's": LLAMA,
    "the first transformer's": {"norm_position": "post", "activation": "relu"},
}
CASES = {"make_norm": NORMS, "make_feedforward": FEEDFORWARDS, "TransformerBlock": BLOCKS}


def of_each_case(kind, *criterion, exercises=tuple(CASES)):
    """The same check for each exercise, in each of its cases."""
    rows = [(name, case) for name in exercises for case in CASES[name]]
    cases = [pytest.param(name, case, marks=check(name, kind, *criterion), id=f"{name}-{case}") for name, case in rows]
    return pytest.mark.parametrize(("name", "case"), cases)


def init_of(name, case, **options):
    return (SMALL if name == "TransformerBlock" else {}) | CASES[name][case] | options


def agree_on(agree, name, init, x, *args, **kwargs):
    """Same values, gradients and dtype as the reference, with random weights."""
    agree.module(name, as_read(init), x, *args, **{"tolerance": DEEP} | kwargs)


def agree_on_block(agree, rand, options, *args, **kwargs):
    agree_on(agree, "TransformerBlock", SMALL | options, rand(3, 5, 8), *args, **kwargs)


# What all three have in common: a module with documented parameters comes out


@of_each_case("shape")
def test_the_documented_parameters_are_there(agree, name, case):
    def question(unit):
        module = getattr(unit, name)(**init_of(name, case))
        return {
            "parameters": {key: tuple(parameter.shape) for key, parameter in sorted(module.named_parameters())},
            "names in state_dict": sorted(module.state_dict()),
        }

    agree.on(f"{name}({init_of(name, case)}), just built", question)


@of_each_case("numerics")
def test_the_formula_is_followed(agree, rand, name, case):
    init = init_of(name, case)
    agree_on(agree, name, init, rand(2, 3, init["d_model"]))


@of_each_case("gradient")
def test_gradients_reach_the_input_and_the_parameters(agree, rand, name, case):
    init = init_of(name, case)
    agree_on(agree, name, init, rand(2, 4, init["d_model"]))


# A check of shortcuts, since those come first: in either position alone, two mistakes answer alike.
@check("TransformerBlock", "shortcut")
def test_TransformerBlock_normalizes_what_is_read_or_the_sum(agree, rand):
    x = rand(3, 4, 8)

    def question(unit):
        return {position: loaded(unit, norm_position=position)(x).detach() for position in ("pre", "post")}

    agree.on("TransformerBlock with norm_position pre and post", question, tolerance=DEEP)


@of_each_case("shortcut")
def test_it_is_made_of_your_own_parts(agree, rand, name, case):
    init = init_of(name, case)
    agree_on(agree, name, init, rand(2, 3, init["d_model"]))


@of_each_case("numerics", "parameters", exercises=["make_norm", "make_feedforward"])
def test_two_calls_make_two_layers(agree, name, case):
    def question(unit):
        first, second = (getattr(unit, name)(**init_of(name, case)) for _ in range(2))
        for parameter in first.parameters():
            parameter.data = torch.full_like(parameter, 7.0)
        return {"7s in the second layer": sum(int((parameter == 7).sum()) for parameter in second.parameters())}

    agree.on(f"{name}({init_of(name, case)}) twice; the first layer is filled with 7s", question)


UNKNOWN = [
    ("make_norm", "layernorm", {"norm": "batchnorm"}),
    ("make_norm", "layernorm", {"norm": "LayerNorm"}),
    ("make_norm", "layernorm", {"norm": "scalenorm"}),
    ("make_feedforward", "mlp", {"feedforward": "gated"}),
    ("make_feedforward", "mlp", {"feedforward": "switch"}),
    ("make_feedforward", "mlp", {"activation": "tanh"}),
    ("TransformerBlock", "GPT-2's", {"norm_position": "middle"}),
    ("TransformerBlock", "GPT-2's", {"norm": "batchnorm"}),
    ("TransformerBlock", "GPT-2's", {"feedforward": "gated"}),
    ("TransformerBlock", "GPT-2's", {"activation": "tanh"}),
    ("TransformerBlock", "GPT-2's", {"dropout": 1.5}),
]


@pytest.mark.parametrize(
    ("name", "case", "options"),
    [pytest.param(*row, marks=check(row[0], "numerics", "refusals"), id=str(row[2])) for row in UNKNOWN],
)
def test_what_makes_no_sense_is_refused(agree, name, case, options):
    init = init_of(name, case, **options)
    what = f"{name}({', '.join(f'{key}={value!r}' for key, value in init.items())})"
    (value,) = options.values()
    agree.raises(what, lambda unit: bool(getattr(unit, name)(**init)), ValueError, mentions=str(value))


@check("TransformerBlock", "numerics", "refusals")
@pytest.mark.parametrize("options", [{"num_heads": 3}, {"num_kv_heads": 0}], ids=str)
def test_TransformerBlock_refuses_heads_that_do_not_divide(agree, options):
    init = SMALL | options
    agree.raises(f"TransformerBlock({init})", lambda unit: bool(unit.TransformerBlock(**init)), ValueError)


# What names choose


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=check(name, "shape")) for name in ("make_norm", "make_feedforward")]
)
def test_each_name_makes_a_layer_of_its_own(agree, name):
    def question(unit):
        made = {case: getattr(unit, name)(**init) for case, init in CASES[name].items()}
        return {case: sorted(key for key, _ in layer.named_parameters()) for case, layer in made.items()}

    agree.on(f"the parameters of {name}(...), by its arguments", question)


@check("make_norm", "numerics")
@pytest.mark.parametrize("eps", [1e-5, 0.02, 3.0])
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_make_norm_passes_eps_on(agree, rand, norm, eps):
    agree.module("make_norm", {"norm": norm, "d_model": 6, "eps": eps, "bias": True}, rand(3, 6) * eps**0.5)


@check("make_feedforward", "numerics")
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "silu"])
@pytest.mark.parametrize("feedforward", ["mlp", "swiglu"])
def test_make_feedforward_passes_the_activation_on(agree, rand, feedforward, activation):
    agree_on(agree, "make_feedforward", FEEDFORWARDS[feedforward] | {"activation": activation}, rand(2, 3, 5))


@check("make_feedforward", "property")
@pytest.mark.parametrize("feedforward", ["mlp", "swiglu"])
def test_make_feedforward_drops_nothing_in_training(agree, feedforward):
    def question(unit):
        torch.default_generator.manual_seed(3)
        layer = unit.make_feedforward(**FEEDFORWARDS[feedforward]).double().train()
        y = layer(normal(1, 5).expand(80, 5)).detach()
        return torch.allclose(y, y[:1], atol=1e-5)

    agree.on(f"the {feedforward} in training mode, on one vector 80 times over: gives one result", question)


# Where the norms stand, and what is added to what

OPTIONS = {
    "norm": [{"norm": "rmsnorm"}],
    "norm_eps": [{"norm_eps": EPS}, {"norm": "rmsnorm", "norm_eps": EPS}],
    "feedforward": [{"feedforward": "swiglu"}],
    "activation": [{"activation": name} for name in ("relu", "gelu_tanh", "silu")],
    "bias": [{"bias": False}, {"bias": False, "norm": "rmsnorm"}],
    "num_heads": [{"num_heads": 1}, {"num_heads": 8}],
    "num_kv_heads": [{"num_heads": 4, "num_kv_heads": number} for number in (1, 2, 4)],
    "rope_base": [{"rope_base": 100.0}, {"rope_base": 3.0}],
}


@check("TransformerBlock", "numerics", "options")
@pytest.mark.parametrize("option", OPTIONS)
@each_position
def test_TransformerBlock_hands_each_option_on(agree, rand, position, option):
    for options in OPTIONS[option]:
        agree_on_block(agree, rand, {"norm_position": position} | options)


@check("TransformerBlock", "numerics", "options")
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_TransformerBlock_has_the_documented_default_eps(agree, rand, norm):
    agree_on(agree, "TransformerBlock", SMALL | {"norm": norm}, rand(3, 5, 8) * 2e-3)


@check("TransformerBlock", "numerics", "masks")
@each_position
@pytest.mark.parametrize("kv", [None, 1])
def test_TransformerBlock_hands_the_mask_on_to_attention(agree, rand, position, kv):
    options = {"norm_position": position, "num_kv_heads": kv}
    agree_on_block(agree, rand, options, rand.booleans(3, 1, 5, 5) | torch.eye(5, dtype=torch.bool))
    padding = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4])
    agree_on_block(agree, rand, options, mask=padding[:, None, None, :])


def loaded(unit, **options):
    """A block with fixed weights, in evaluation mode."""
    block = unit.TransformerBlock(**SMALL | options).double().eval()
    for index, (_, parameter) in enumerate(sorted(block.named_parameters())):
        parameter.data = normal(index, *parameter.shape, scale=0.5)
    return block


@check("TransformerBlock", "numerics")
def test_TransformerBlock_takes_texts_of_any_length_one_after_the_other(agree):
    shapes = [(11, 13, 8), (11, 13, 8), (2, 1, 8), (1, 6, 8), (0, 3, 8)]  # the first two in no other check

    def question(unit):
        block = loaded(unit)
        return [block(normal(seed, *shape)).detach() for seed, shape in enumerate(shapes)]

    agree.on(f"one TransformerBlock on inputs of the shapes {shapes}, one after the other", question, tolerance=DEEP)


@check("TransformerBlock", "shape")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@each_position
def test_TransformerBlock_keeps_the_dtype(agree, position, dtype):
    def question(unit):
        block = loaded(unit, norm_position=position, dropout=0.5).to(dtype)
        x = normal(1, 2, 3, 8, dtype=dtype)
        return {"in training": str(block.train()(x).dtype), "in evaluation": str(block.eval()(x).dtype)}

    agree.on(f"the dtype of TransformerBlock(norm_position={position!r}) on an x of {dtype}", question)


@check("TransformerBlock", "property")
@given(seed=seeds, batch=st.integers(1, 3), seq=st.integers(1, 5), llama=st.booleans())
def test_TransformerBlock_lets_the_residual_stream_through(unit, seed, batch, seq, llama):
    options = LLAMA if llama else {}
    block, x = loaded(unit, **options), normal(seed, batch, seq, 8, scale=3.0)
    last = {"attention.out_proj", "feedforward.down_proj"}
    silent = {key: torch.zeros_like(p) for key, p in block.named_parameters() if key.rpartition(".")[0] in last}
    copy_weights(block, silent)
    assert torch.allclose(block(x), x, rtol=1e-5, atol=1e-5), (
        f"block.TransformerBlock(norm_position='pre')(x={tuple(x.shape)}): out_proj and down_proj are zeros, so both "
        "sub-layers add nothing, and yet the result is not x: the residual stream is normalized, scaled or left out"
    )


def reached(block, x, mask=None, at=3):
    """Which texts and positions change when x changes at one position of the last text; both calls draw the same."""
    changed = x.clone()
    changed[-1, at] += torch.arange(8)  # a constant would be taken away by the norm
    torch.default_generator.manual_seed(4)
    before = block(x, mask)
    torch.default_generator.manual_seed(4)
    return ((before - block(changed, mask)).abs().amax(-1) > 1e-6).tolist()


@check("TransformerBlock", "property", "masks")
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("kv", [None, 1])
@each_position
def test_TransformerBlock_never_looks_ahead(agree, position, kv, dropout):
    options = {"norm_position": position, "num_kv_heads": kv, "dropout": dropout, "rope_base": 9.0}

    def question(unit):
        block = loaded(unit, **options)
        return {
            f"{batch} texts, train({train})": reached(block.train(train), normal(batch, batch, 5, 8))
            for batch in (1, 2)
            for train in sorted({False, dropout == 0})
        }

    agree.on(f"TransformerBlock({options}): what changes when position 3 of the last text does", question)


@check("TransformerBlock", "property", "masks")
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("kv", [None, 1])
@each_position
def test_TransformerBlock_reads_nothing_that_the_mask_hides(agree, position, kv, dropout):
    options = {"norm_position": position, "num_kv_heads": kv, "dropout": dropout}
    hidden = torch.arange(5) != 1  # from all others; position 1 itself sees position 0

    def question(unit):
        block = loaded(unit, **options)
        return {
            f"train({train})": reached(block.train(train), normal(2, 2, 5, 8), hidden, at=1)
            for train in sorted({False, dropout == 0})
        }

    agree.on(f"TransformerBlock({options}): what changes when position 1 does, which the mask hides", question)


# Dropout, of which only what is sure is compared: which values come out, how often, and how far apart they are drawn

P, WIDTH, HIDDEN = 0.25, 12, 7


def dropping(unit, source, position, **options):
    """A block in which one source alone adds 1 to every number of an x of ones; its norms change nothing."""
    huge = 1e12  # such an eps makes of a norm a division by 1e6, which its weight undoes
    undone = torch.full((WIDTH,), huge**0.5).double()
    init = {"norm": "rmsnorm", "norm_eps": huge, "norm_position": position, "dropout": P} | options
    block = unit.TransformerBlock(WIDTH, 1, HIDDEN, **init).double()
    eye, zeros = torch.eye(WIDTH).double(), torch.zeros(WIDTH, WIDTH).double()
    gelu_of_one = 0.8413447460685429
    weights = {
        "attention_norm.weight": undone,
        "feedforward_norm.weight": undone,
        "attention.q_proj.weight": zeros,
        "attention.v_proj.weight": zeros + 1 / WIDTH,
        "attention.out_proj.weight": eye if source == "weights of attention" else zeros,
        "attention.out_proj.bias": torch.full((WIDTH,), float(source == "attention")).double(),
        "feedforward.up_proj.weight": torch.full((HIDDEN, WIDTH), 1 / WIDTH).double(),
        "feedforward.down_proj.weight": torch.full((WIDTH, HIDDEN), 1 / HIDDEN / gelu_of_one).double()
        * (source == "feedforward"),
    }
    copy_weights(block, weights)
    return block


def facts_of_dropout(block, source, train):
    torch.default_generator.manual_seed(3)
    p = P if train else 0.0
    x = torch.ones(64, 2, WIDTH, dtype=torch.float64)
    block.train(train)
    added, again = block(x).detach() - 1, block(x).detach() - 1
    facts = {
        "what is added at the first position": added[:, 0].round(decimals=3).abs().unique().tolist(),
        "what is added at the second position": added[:, 1].round(decimals=3).abs().unique().tolist(),
        "two calls drop the same": torch.equal(added, again),
    }
    if source == "weights of attention":  # dropped for all features at once: counted above
        return facts
    kept = added * (1 - p)
    sure = 7 * (p * (1 - p) / kept.numel()) ** 0.5 + 1e-6  # 7 standard deviations: not so one time in 10^11
    return facts | {
        "the share that stays is 1 - p": abs(kept.mean().item() - 1 + p) <= sure,
        "axes along which numbers are dropped together": [
            axis for axis in range(3) if kept.mean(axis).var() > 0.75 * p * (1 - p) + 1e-6
        ],
    }


SOURCES = ("attention", "weights of attention", "feedforward")


@check("TransformerBlock", "property", "dropout")
@pytest.mark.parametrize("kv", [None, 1])
@each_position
@pytest.mark.parametrize("source", SOURCES)
def test_TransformerBlock_drops_what_is_added_and_no_more(agree, source, position, kv):
    def question(unit):
        return facts_of_dropout(dropping(unit, source, position, num_kv_heads=kv), source, train=True)

    what = f"TransformerBlock(dropout={P}, norm_position={position!r}, num_kv_heads={kv}) in training"
    agree.on(f"{what}, where only the {source} adds", question)


@check("TransformerBlock", "property", "dropout")
@pytest.mark.parametrize("kv", [None, 1])
@each_position
def test_TransformerBlock_drops_nothing_in_evaluation(agree, position, kv):
    def question(unit):
        blocks = {source: dropping(unit, source, position, num_kv_heads=kv) for source in SOURCES}
        return {source: facts_of_dropout(block, source, train=False) for source, block in blocks.items()}

    agree.on(f"TransformerBlock(dropout={P}, norm_position={position!r}, num_kv_heads={kv}) in evaluation", question)


@check("TransformerBlock", "property", "dropout")
def test_TransformerBlock_drops_by_the_global_generator(agree):
    def question(unit):
        x = torch.ones(8, 3, WIDTH, dtype=torch.float64)
        sources = ("attention", "feedforward")
        # Both are made before either is called: whether that disturbs the global generator is asked elsewhere.
        blocks = {
            s: [dropping(unit, s, "pre", generator=torch.Generator().manual_seed(1)).train() for _ in range(2)]
            for s in sources
        }
        return {source: torch.equal(*(block(x) for block in pair)) for source, pair in blocks.items()}

    agree.on(f"two TransformerBlock(dropout={P}) from generators of one seed drop the same", question)


# The initial weights

WIDE = {
    "make_feedforward": [FEEDFORWARDS[name] | {"d_model": 64, "d_hidden": 96} for name in ("mlp", "swiglu")],
    "TransformerBlock": [{"d_model": 64, "num_heads": 4, "d_hidden": 96} | options for options in ({}, LLAMA)],
}
AFTER_SEED_5 = torch.rand((), generator=torch.Generator().manual_seed(5)).item()


def draw_after(seed, draw):
    """What is drawn without a generator after `torch.manual_seed(seed)`."""
    torch.default_generator.manual_seed(seed)
    return draw(None)


def drawn(unit, name, init, seed):
    module = getattr(unit, name)(**init, generator=torch.Generator().manual_seed(seed))
    return {key: value.detach().double() for key, value in sorted(module.named_parameters()) if value.dim() == 2}


def facts_about_weights(unit, name, init):
    torch.default_generator.manual_seed(5)
    first = drawn(unit, name, init, 1)
    after = torch.rand(()).item()
    torch.default_generator.manual_seed(6)
    second, other = drawn(unit, name, init, 1), drawn(unit, name, init, 2)
    heads = [(weight[:8, :8] / weight.std()).round(decimals=4) for weight in first.values()]
    return {
        "parts with the same weights for the same seed": [key for key in first if torch.equal(first[key], second[key])],
        "parts with the same weights for another seed": [key for key in first if torch.equal(first[key], other[key])],
        "weights that are copies of another": sum(torch.equal(a, b) for a in heads for b in heads) - len(heads),
        "standard deviation is input size ** -0.5": {
            key: abs(weight.std().item() * weight.shape[1] ** 0.5 - 1) < 0.15 for key, weight in first.items()
        },
        "the global generator was left alone": after == AFTER_SEED_5,
    }


DRAWS = [
    *[("make_feedforward", FEEDFORWARDS[name]) for name in ("mlp", "swiglu")],
    *[("TransformerBlock", SMALL | options) for options in ({}, LLAMA)],
]


@pytest.mark.parametrize(
    ("name", "init"),
    [pytest.param(name, init, marks=check(name, "numerics", "generator")) for name, init in DRAWS],
    ids=["mlp", "swiglu", "GPT-2's", "Llama's"],
)
def test_without_a_generator_the_global_one_is_used(agree, name, init):
    def question(unit):
        def draw(generator):
            return weights_of(getattr(unit, name)(**init, generator=generator))

        decides = torch.equal(draw_after(7, draw), draw_after(7, draw))
        return drawing(draw, 1) | {"without a generator, torch.manual_seed decides": decides}

    agree.on(f"the initial weights of {name}, with generators and without", question)


@pytest.mark.parametrize(
    ("name", "init"),
    [
        pytest.param(name, init, marks=check(name, "numerics", "generator"))
        for name, inits in WIDE.items()
        for init in inits
    ],
    ids=["mlp", "swiglu", "GPT-2's", "Llama's"],
)
def test_the_weights_are_drawn_from_the_generator(agree, name, init):
    agree.on(f"the initial weights of {name} with a generator", lambda unit: facts_about_weights(unit, name, init))
