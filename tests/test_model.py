"""Checks of model: what a config refuses, how weights start, what every field changes, what it all costs."""

import zlib

import pytest
import torch

from grader.checking import check, dependency
from grader.checking.compare import NO_GRADIENT
from tests.starts import block_of, drawing, names, seeded, start_of, weights_of
from tests.strategies import as_read, normal

SMALL = {"vocab_size": 11, "max_length": 7, "d_model": 16, "num_layers": 2, "num_heads": 4}
# What each is about, and the fields that differ from SMALL: every field of a config is there.
TINY_LLAMA = {"position": "rope", "num_kv_heads": 1, "norm": "rmsnorm", "feedforward": "swiglu", "bias": False}
CHANGED = {
    "sizes": {"vocab_size": 13, "max_length": 9, "d_model": 8, "num_layers": 3, "num_heads": 2},
    "untied": {"tie_embeddings": False},
    "learned": {"position": "learned", "norm_position": "pre", "feedforward": "mlp"},
    "sinusoidal": {"position": "sinusoidal"},
    "rope": {"position": "rope"},
    "rope base": {"position": "rope", "rope_base": 3.0},
    "no position": {"position": "none"},
    "rmsnorm": {"norm": "rmsnorm"},
    "post-norm": {"norm_position": "post"},
    "norm_eps": {"norm_eps": 0.7},
    "rmsnorm eps": {"norm": "rmsnorm", "norm_eps": 0.7},
    "swiglu": {"feedforward": "swiglu"},
    "swiglu of a given size": {"feedforward": "swiglu", "d_hidden": 10},
    **{name: {"activation": name} for name in ("relu", "gelu", "silu")},
    "d_hidden": {"d_hidden": 10},
    "num_kv_heads": {"num_kv_heads": 2},
    "no bias": {"bias": False},
    "tied llama": TINY_LLAMA,
    "llama": TINY_LLAMA | {"tie_embeddings": False},
    "untied post-norm": {"norm_position": "post", "position": "sinusoidal", "tie_embeddings": False, "bias": False},
}
MODELS = {name: SMALL | changes for name, changes in CHANGED.items()}


def of_models(*models):
    """The same check for each of these models, or for all: `given` is the fields of its config."""
    return pytest.mark.parametrize("given", [pytest.param(MODELS[name], id=name) for name in models or MODELS])


def shown(given):
    return ", ".join(f"{name}={value!r}" for name, value in given.items() if SMALL.get(name) != value) or "small"


def built(unit, given, scale=0.4):
    """A float64 model in evaluation mode, with weights that only their names and shapes decide."""
    model = unit.TransformerLM(unit.ModelConfig(**as_read(given))).double().eval()
    for name, parameter in names(model).items():
        parameter.data = normal(zlib.crc32(name.encode()), *parameter.shape, scale=scale)
    return model


def agree_on(agree, what, given, answer):
    """Put a question about the config of these fields: `answer` gets the unit and the config."""
    agree.on(f"{what}, for ModelConfig({shown(given)})", lambda unit: answer(unit, unit.ModelConfig(**as_read(given))))


# ModelConfig

FIELDS = (*SMALL, "num_kv_heads", "d_hidden", "position", "rope_base", "norm", "norm_position", "norm_eps")
FIELDS = (*FIELDS, "feedforward", "activation", "dropout", "bias", "tie_embeddings")


def read(config):
    return {name: getattr(config, name) for name in FIELDS}


# Each differs from both published models, and from the defaults.
CHANGES = {"vocab_size": 100, "max_length": 50, "d_model": 96, "num_layers": 3, "num_heads": 6, "num_kv_heads": 3}
CHANGES |= {"d_hidden": 40, "position": "sinusoidal", "rope_base": 7.0, "norm_position": "post", "norm_eps": 0.5}
CHANGES |= {"activation": "relu", "dropout": 0.3}
# Each fits into both published models by itself.
SINGLE = CHANGES | {"d_model": 1536, "num_heads": 4, "norm": "rmsnorm", "feedforward": "swiglu", "bias": False}
SINGLE |= {"tie_embeddings": True, "d_hidden": None, "num_kv_heads": 2}


@check("ModelConfig", "numerics")
@pytest.mark.parametrize("preset", ["gpt2", "llama"])
def test_a_published_model_has_its_numbers(agree, preset):
    agree.on(f"ModelConfig.{preset}()", lambda unit: read(getattr(unit.ModelConfig, preset)()))


@check("ModelConfig", "property")
@pytest.mark.parametrize("preset", ["gpt2", "llama"])
def test_every_number_of_a_published_model_can_be_changed(agree, preset):
    def question(unit):
        make = getattr(unit.ModelConfig, preset)
        return {"one by one": {name: getattr(make(**{name: value}), name) for name, value in SINGLE.items()}} | {
            "all at once": read(make(**CHANGES)),
            "a later call without changes": read(make()),
        }

    agree.on(f"ModelConfig.{preset}(...) with its fields changed, then without a change", question)


def hidden_sizes(unit, feedforward, *fields):
    given = SMALL | {"num_heads": 1, "feedforward": feedforward}
    return {shown(one): unit.ModelConfig(**as_read(given | one)).hidden_size for one in fields}


@check("ModelConfig", "numerics")
def test_the_hidden_size_of_an_mlp_is_four_times_d_model(agree):
    fields = [{"d_model": size} for size in (1, 3, 9, 12, 768)]
    agree.on("hidden_size of an mlp", lambda unit: hidden_sizes(unit, "mlp", *fields))


@check("ModelConfig", "numerics", "hidden")
def test_the_hidden_size_of_swiglu_is_rounded_up_to_a_multiple_of_8(agree):
    # 8/3 of 3, 12 and 1536 is a multiple of 8.
    fields = [{"d_model": size} for size in (1, 2, 3, 4, 8, 9, 12, 13, 1536, 4096)]
    agree.on("hidden_size of a swiglu", lambda unit: hidden_sizes(unit, "swiglu", *fields))


@check("ModelConfig", "numerics", "hidden")
@pytest.mark.parametrize("feedforward", ["mlp", "swiglu"])
def test_a_hidden_size_that_is_given_is_taken_as_it_is(agree, feedforward):
    fields = [{"d_hidden": 37}, {"d_hidden": 1}, {"d_hidden": 64}]
    agree.on(f"hidden_size of a {feedforward}", lambda unit: hidden_sizes(unit, feedforward, *fields))


WRONG = {
    **dict.fromkeys(("vocab_size", "max_length", "num_layers", "num_kv_heads", "d_hidden"), (0, -3)),
    "d_model": (0, -16, 18),
    "num_heads": (0, -4),
    "position": ("rotary", "Rope", None),
    "norm": ("LayerNorm", "batchnorm"),
    "norm_position": ("middle", "Pre"),
    "feedforward": ("glu", "MLP"),
    "activation": ("tanh", "GELU"),
    "norm_eps": (0.0, -1e-5, float("nan")),
    "rope_base": (0.0, -10.0, float("nan")),
    "dropout": (1.0, 1.5, -0.1, float("nan")),
}
REFUSED = [(name, {name: value}) for name, values in WRONG.items() for value in values]
# Each value is right, but not with the other: the field that the message begins with, and both of them.
REFUSED += [("num_heads", {"num_kv_heads": heads}) for heads in (8, 3)]
REFUSED += [("d_model", {"d_model": 20, "position": "rope"})]


@check("ModelConfig", "property", "refusals")
@pytest.mark.parametrize(("field", "given"), REFUSED, ids=[shown(given) for _, given in REFUSED])
def test_a_config_that_cannot_be_is_refused(agree, field, given):
    def question(unit):
        return read(unit.ModelConfig(**as_read(SMALL | given)))

    values = [str(value).removesuffix(".0") for value in given.values() if value != "rope"]  # 0.0 may be written as 0
    for word in (field, *values):
        agree.raises(f"ModelConfig({shown(given)}), all else small", question, ValueError, mentions=word)


ALLOWED = [
    {},
    dict.fromkeys((*SMALL, "num_kv_heads", "d_hidden"), 1),
    {"num_kv_heads": 4, "activation": "relu", "dropout": 0.999, "norm_eps": 1e-12, "rope_base": 0.5},
    {"num_kv_heads": 1, "activation": "silu", "dropout": 0, "rope_base": 500000},
    {"d_model": 20, "activation": "gelu", "position": "none", "norm_position": "post", "norm": "rmsnorm"},
    {"d_model": 12, "num_heads": 2, "position": "rope"},
    {"d_model": 20, "position": "sinusoidal"},
]


@check("ModelConfig", "property")
@pytest.mark.parametrize("given", ALLOWED, ids=shown)
def test_a_config_at_the_edge_is_taken(agree, given):
    agree.on(f"ModelConfig({shown(given)}), all else small", lambda unit: read(unit.ModelConfig(**SMALL | given)))


@check("ModelConfig", "property", "refusals")
def test_a_config_stays_as_it_is(agree):
    def question(unit):
        unit.ModelConfig(**SMALL).d_model = 32

    agree.raises("a field of a ModelConfig is set", question, AttributeError)


# init_weights


BLOCKS = {"layernorm": {}, "rmsnorm, swiglu": {"norm": "rmsnorm", "feedforward": "swiglu", "bias": False}}


@check("init_weights", "shape")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_parameters_keep_shape_dtype_and_identity(agree, dtype):
    def question(unit):
        block = block_of(unit).to(dtype)
        held = dict(block.named_parameters())
        returned = unit.init_weights(block, 3)
        after = dict(block.named_parameters())
        return {
            "returned": str(returned),
            "kept": {name: after.get(name) is parameter for name, parameter in held.items()},
            "seen": {n: (str(p.dtype), tuple(p.shape), p.requires_grad, p.grad is None) for n, p in held.items()},
            "filled": {name: bool((parameter != 7).any()) for name, parameter in held.items()},
        }

    agree.on(f"init_weights(a block of {dtype}, num_layers=3)", question)


@check("init_weights", "numerics")
@pytest.mark.parametrize("options", BLOCKS.values(), ids=list(BLOCKS))
@pytest.mark.parametrize("num_layers", [1, 3, 12])
def test_every_kind_of_parameter_starts_as_documented(agree, rand, options, num_layers):
    seed = rand.seed()

    def question(unit):
        found = {}
        for part in (block_of(unit, **options), dependency(unit, "embedding").Embedding(60, 32)):
            unit.init_weights(part, num_layers, generator=seeded(seed))
            found |= start_of(part, 0.02, num_layers)
        return found

    agree.on(f"a block ({shown(options)}) and an Embedding after init_weights({num_layers})", question)


@check("init_weights", "numerics", "options")
@pytest.mark.parametrize("std", [0.5, 1e-3])
def test_the_standard_deviation_is_the_given_one(agree, rand, std):
    seed = rand.seed()

    def question(unit):
        block = block_of(unit)
        unit.init_weights(block, 3, std=std, generator=seeded(seed))
        return start_of(block, std, 3)

    agree.on(f"a block after init_weights(3, std={std})", question)


@check("init_weights", "numerics", "options")
def test_a_parameter_of_three_axes_is_a_matrix_too(agree, rand):
    seed = rand.seed()

    def question(unit):
        layer = dependency(unit, "embedding").torch.nn.Bilinear(10, 11, 12)  # its weight has the shape (12, 10, 11)
        unit.init_weights(layer, 3, generator=seeded(seed))
        return start_of(layer, 0.02, 3)

    agree.on("init_weights(a layer of torch with a weight of three axes, num_layers=3)", question)


@check("init_weights", "numerics", "options")
def test_a_projection_is_known_by_its_name_alone(agree, rand):
    seed = rand.seed()

    def question(unit):
        attention = dependency(unit, "attention").MultiHeadAttention(32, 4)  # here the name has nothing in front of it
        unit.init_weights(attention, 8, generator=seeded(seed))
        return start_of(attention, 0.02, 8)

    agree.on("init_weights(an attention layer by itself, num_layers=8)", question)


@check("init_weights", "shape")
def test_buffers_keep_what_they_hold(agree):
    def question(unit):
        model = unit.TransformerLM(unit.ModelConfig(**SMALL, position="sinusoidal"))
        unit.init_weights(model, 2, generator=seeded(3))
        return {name: buffer.detach() for name, buffer in model.named_buffers()}

    agree.on("the buffers of a sinusoidal TransformerLM after init_weights", question)


@check("init_weights", "property")
def test_the_numbers_come_from_the_generator(agree, rand):
    seed = rand.seed()

    def question(unit):
        def draw(generator):
            block = block_of(unit)
            unit.init_weights(block, 2, generator=generator)
            return weights_of(block)

        return drawing(draw, seed)

    agree.on("init_weights(a block, num_layers=2), with generators and without", question)


# TransformerLM


@check("TransformerLM", "shape")
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (2, 5)], ids=str)
@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope", "none"])
def test_logits_have_a_score_for_every_token(agree, rand, shape, position):
    ids = rand.integers(0, 11, *shape)

    def question(unit):
        model = unit.TransformerLM(unit.ModelConfig(**SMALL, position=position))  # the very word, not one that is equal
        logits = [model.to(dtype)(ids) for dtype in (torch.float32, torch.bfloat16)]
        return [(tuple(one.shape), str(one.dtype)) for one in logits]

    agree.on(f"shape and dtype of TransformerLM({position=}) on ids={shape}, in float32 and bfloat16", question)


@check("TransformerLM", "numerics")
@pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])
def test_one_text_has_a_score_at_every_position_too(agree, rand, train):
    ids = rand.integers(0, 11, 1, 5)

    def question(unit):
        model = built(unit, MODELS["learned"]).train(train)
        return [model(ids[:, :length].clone()).detach() for length in (5, 1)]

    agree.on(f"TransformerLM on one text of 5 ids, then of 1, in {'training' if train else 'evaluation'}", question)


def prefixes(unit, given, train, batch):
    """Which of 6 positions change when the last two ids do; what dropout draws is the same."""
    model = built(unit, given).train(train)
    ids = (torch.arange(batch * 6).reshape(batch, 6) * 5) % given["vocab_size"]
    ends = []
    for shift in (0, 1):
        torch.default_generator.manual_seed(8)
        changed = torch.cat([ids[:, :4], (ids[:, 4:] + 3 * shift) % given["vocab_size"]], dim=1)
        ends.append(model(changed).detach())
    return ((ends[0] - ends[1]).abs().amax(dim=(0, 2)) > 1e-9).tolist()


AHEAD = [
    ("learned", 0.0),
    ("llama", 0.0),
    ("post-norm", 0.4),
    ("num_kv_heads", 0.4),
    ("rope", 0.4),
    ("no position", 0.0),
]


@check("TransformerLM", "property")
@pytest.mark.parametrize(("model", "dropout"), AHEAD)
def test_no_position_looks_ahead(agree, model, dropout):
    def answer(unit, config):
        return {
            f"{batch} texts, train({train})": prefixes(unit, given, train, batch)
            for batch in (1, 2)
            for train in sorted({False, dropout == 0})
        }

    given = MODELS[model] | {"dropout": dropout, "num_layers": 1}
    agree_on(agree, "which positions change when positions 4 and 5 do", given, answer)


@check("TransformerLM", "shape")
@of_models()
def test_a_model_has_the_documented_parameters(agree, given):
    def answer(unit, config):
        made = unit.TransformerLM(config)
        learned = {name: (tuple(p.shape), p.requires_grad) for name, p in names(made).items()}
        return {"parameters": learned, "names in state_dict": sorted(made.state_dict())}

    agree_on(agree, "the parameters of a new TransformerLM", given, answer)


def logits_agree(agree, rand, given):
    ids = rand.integers(0, given["vocab_size"], 2, 5)
    # A copy for each: what a suspect does to its ids must not reach the next one.
    agree_on(agree, "TransformerLM on ids=(2, 5)", given, lambda unit, _: built(unit, given)(ids.clone()).detach())


def of_models_by_criterion():
    """The same check for all models, under the criterion that each is about."""
    main, positions = ("sizes", "learned", "llama"), ("sinusoidal", "rope", "no position")
    criterion = dict.fromkeys(main, ()) | dict.fromkeys(positions, ("positions",))
    marks = {name: check("TransformerLM", "numerics", *criterion.get(name, ("options",))) for name in MODELS}
    return pytest.mark.parametrize("given", [pytest.param(MODELS[name], id=name, marks=marks[name]) for name in MODELS])


@of_models_by_criterion()
def test_the_logits_are_those_of_the_config(agree, rand, given):
    logits_agree(agree, rand, given)


@check("TransformerLM", "shortcut")
@of_models("learned", "llama")
def test_the_model_is_made_of_the_units_before_it(agree, rand, given):
    logits_agree(agree, rand, given)


@check("TransformerLM", "numerics")
def test_a_model_keeps_its_config_and_nothing_else(agree, rand):
    first, second = rand.integers(0, SMALL["vocab_size"], 2, 2, 5)

    def question(unit):
        model, copy, other = built(unit, SMALL), first.clone(), second.clone()
        logits = [model(ids).detach() for ids in (copy, other, first[:, :2].clone())]
        return {"config": read(model.config), "logits": logits, "ids afterwards": copy}

    agree.on("TransformerLM(small) called three times, and the ids of the first", question)


@check("TransformerLM", "numerics", "start")
@of_models("learned", "llama")
def test_a_new_model_starts_as_init_weights_says(agree, rand, given):
    wide = given | {"vocab_size": 40, "max_length": 41, "d_model": 64, "num_layers": 3}  # 1000 numbers a matrix
    seed = rand.seed()

    def answer(unit, config):
        return start_of(unit.TransformerLM(config, generator=seeded(seed)), 0.02, 3)

    agree_on(agree, "the weights of a new TransformerLM", wide, answer)


@check("TransformerLM", "gradient")
@of_models("learned", "sinusoidal", "untied", "llama", "post-norm")
def test_gradients_reach_every_parameter(agree, rand, given):
    ids, upstream = rand.integers(0, given["vocab_size"], 2, 5), rand(2, 5, given["vocab_size"])

    def question(unit):
        made = built(unit, given)
        logits = made(ids.clone())
        if logits.requires_grad:
            (logits * upstream).sum().backward()
        found = {name: NO_GRADIENT if p.grad is None else p.grad for name, p in names(made).items()}
        return found | {"logits": logits.detach()}

    agree.on(f"the gradients of TransformerLM({shown(given)})", question)


@check("TransformerLM", "property", "parameters")
@pytest.mark.parametrize("tie", [True, False])
def test_a_tied_head_is_the_table_and_stays_so(agree, tie):
    def answer(unit, config):
        model = unit.TransformerLM(config).double()
        head, table = (names(model)[f"{name}.weight"] for name in ("lm_head", "token_embedding"))
        with torch.no_grad():
            table.fill_(3.0)
        return {"one tensor": head is table, "head follows the table": bool((head == 3).all())}

    agree_on(agree, "the head and the table of TransformerLM", SMALL | {"tie_embeddings": tie}, answer)


@check("TransformerLM", "property", "refusals")
@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope", "none"])
def test_a_sequence_beyond_max_length_is_refused(agree, position):
    def question(unit):
        config = unit.ModelConfig(**SMALL | {"position": position, "max_length": 13})
        return unit.TransformerLM(config)(torch.zeros(1, 29, dtype=torch.int64))

    for number in ("13", "29"):
        agree.raises(f"TransformerLM({position=}, max_length=13) on 29 ids", question, ValueError, mentions=number)


@check("TransformerLM", "property", "dropout")
@pytest.mark.parametrize("position", ["learned", "none"])
def test_dropout_is_in_the_embedding_and_in_the_blocks(agree, rand, position):
    ids = rand.integers(0, 11, 16, 7)
    given = SMALL | {"dropout": 0.5, "norm": "rmsnorm", "tie_embeddings": False, "vocab_size": 16, "num_layers": 1}
    # A norm that does nothing: an eps of (10^5)^2 drowns the mean square, and a gain of 10^5 undoes it.
    given |= {"norm_eps": 1e10, "position": position}

    def question(unit):
        model = built(unit, given, scale=0.0)
        learned = names(model)
        # The table gives 1s, attention adds 10 and the feed-forward layer 100, each dropped or doubled.
        values = {"blocks.0.attention.out_proj.bias": 10.0, "blocks.0.feedforward.down_proj.bias": 100.0}
        # Positions add 2s, where there are any, to be dropped together with the 1s.
        values |= {"token_embedding.weight": 1.0, "position_embedding.weight": 2.0, "final_norm.weight": 1e5}
        for name in values.keys() & learned.keys():
            learned[name].data.fill_(values[name])
        learned["lm_head.weight"].data = torch.eye(16, dtype=torch.float64)
        torch.default_generator.manual_seed(2)
        # 1792 numbers, 8 values of equal probability: one stays away in less than 1 of 10^100 runs
        logits = {f"train({mode})": model.train(mode)(ids).detach() for mode in (True, False)}
        return {mode: sorted(set(found.round().flatten().tolist())) for mode, found in logits.items()}

    agree.on("which sums of 1 (embedding), 10 (attention) and 100 (feed-forward) occur with dropout=0.5", question)


@check("TransformerLM", "property", "start")
@of_models("learned", "llama")
def test_all_weights_come_from_the_generator(agree, rand, given):
    seed = rand.seed()

    def answer(unit, config):
        return drawing(lambda generator: weights_of(unit.TransformerLM(config, generator=generator)), seed)

    agree_on(agree, "TransformerLM with generators and without", given, answer)


# count_parameters


@check("count_parameters", "numerics")
@of_models()
def test_every_parameter_is_counted_once(agree, given):
    def answer(unit, config):
        made = unit.TransformerLM(config)
        return {"by default": unit.count_parameters(made), "all": unit.count_parameters(made, embeddings=True)}

    agree_on(agree, "count_parameters(TransformerLM)", given, answer)


@check("count_parameters", "numerics", "tables")
@of_models()
def test_the_tables_are_left_out_where_it_is_asked(agree, given):
    def answer(unit, config):
        return unit.count_parameters(unit.TransformerLM(config), embeddings=False)

    agree_on(agree, "count_parameters(TransformerLM, embeddings=False)", given, answer)


@check("count_parameters", "property")
def test_any_module_can_be_counted_frozen_or_not(agree):
    def question(unit):
        table, layer = dependency(unit, "embedding").Embedding(7, 3), dependency(unit, "embedding").Linear(3, 5)
        layer.weight.requires_grad_(False)
        return [unit.count_parameters(module, embeddings=flag) for module in (table, layer) for flag in (True, False)]

    agree.on("count_parameters(an Embedding(7, 3), then a Linear(3, 5) with a frozen weight), with all flags", question)


# estimate_flops


def of_costs_by_criterion():
    """The same check for all models, under the criterion that each is about."""
    special = ("swiglu", "swiglu of a given size", "d_hidden", "num_kv_heads", "tied llama", "llama")
    marks = {name: check("estimate_flops", "numerics", *(["options"] if name in special else [])) for name in MODELS}
    return pytest.mark.parametrize("given", [pytest.param(MODELS[name], id=name, marks=marks[name]) for name in MODELS])


@of_costs_by_criterion()
def test_all_matrix_products_are_counted(agree, given):
    def answer(unit, config):
        return {f"length {length}": unit.estimate_flops(config, length) for length in (1, 4, 7)}

    agree_on(agree, "estimate_flops", given, answer)


@check("estimate_flops", "numerics", "refusals")
@pytest.mark.parametrize("length", [0, -5, 1025])
def test_a_length_that_the_model_does_not_take_is_refused(agree, length):
    def question(unit):
        return unit.estimate_flops(unit.ModelConfig(**SMALL | {"max_length": 1024}), length)

    agree.raises(f"estimate_flops(max_length=1024, length={length})", question, ValueError, mentions=str(length))


@check("estimate_flops", "stability")
def test_the_count_is_exact_for_large_models(agree):
    # beyond 2^53, where a float knows every second whole number only
    given = {"vocab_size": 128257, "max_length": 100003, "d_model": 16387 * 4, "num_layers": 127, "num_heads": 4}

    def question(unit):
        large = unit.ModelConfig(**given, d_hidden=53251)
        return [unit.estimate_flops(config, config.max_length) for config in (large, unit.ModelConfig.gpt2())]

    agree.on(f"estimate_flops(ModelConfig({given}), 100003), and of GPT-2", question)
