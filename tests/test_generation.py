"""Checks of generation: which tokens are cut off, which one is taken, and how the text grows."""

from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check, dependency
from grader.checking.capture import copy_weights, random_weights
from tests.strategies import normal, seeds, sizes

INF = float("inf")
ALL = {"greedy": (), "temperature": (0.7,), "top_k": (2,), "top_p": (0.6,), "sample": ()}
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)


def of_each(names, kind, *criterion):
    """The same check for several exercises, under each one's own name."""
    return pytest.mark.parametrize("name", [pytest.param(name, marks=check(name, kind, *criterion)) for name in names])


def some_logits(name, rand, *shape):
    """Random logits; for a draw, of which one in each row is above -inf, so that it has one result."""
    if name != "sample":
        return rand(*shape) * 2
    chosen = rand.integers(0, shape[-1], *shape[:-1], 1)
    return torch.full(shape, -INF, dtype=torch.float64).scatter(-1, chosen, rand(*shape[:-1], 1))


@of_each(ALL, "shape")
@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 7), (6,), (2, 3, 4, 5), (2, 0, 5), (3, 1)], ids=str)
def test_any_leading_axes_are_taken(agree, rand, name, shape):
    logits = some_logits(name, rand, *shape)
    agree(name, logits, *ALL[name])
    agree(name, logits.movedim(0, -2) if len(shape) > 2 else logits, *ALL[name])  # not contiguous


@of_each(ALL, "numerics")
def test_earlier_calls_are_forgotten(agree, rand, name):
    calls = [some_logits(name, rand, 13, 9) for _ in range(2)]  # a shape that no other check uses
    agree.on(f"{name} called twice", lambda unit: [getattr(unit, name)(x.clone(), *ALL[name]) for x in calls])


@of_each(ALL, "stability")
@DTYPES
def test_the_dtype_of_the_result_is_the_documented_one(agree, rand, name, dtype):
    logits = some_logits(name, rand, 4, 6).to(dtype)
    if name != "sample":  # -inf stays -inf
        logits[0, 2] = logits[0, 4] = logits[1, 0] = logits[2, 1] = logits[3, 5] = -INF
    agree.on(f"{name} of logits (4, 6) in {dtype}", lambda unit: getattr(unit, name)(logits.clone(), *ALL[name]))


NOTHING_TO_DO = {"temperature": 1.0, "top_k": 9, "top_p": 1.0}


@of_each(NOTHING_TO_DO, "shape")
def test_the_result_is_a_new_tensor_also_where_nothing_is_to_be_done(agree, rand, name):
    given = rand(3, 5)

    def question(unit):
        logits = given.clone()
        result = getattr(unit, name)(logits, NOTHING_TO_DO[name])
        before = result.clone()
        result.fill_(7.0)
        return {"the result": before, "logits after the result is overwritten": logits}

    agree.on(f"{name}(logits=(3, 5), {NOTHING_TO_DO[name]})", question)


REFUSED = [
    *[("temperature", value, "greedy") for value in (0, 0.0, -0.5, float("nan"))],
    *[("top_k", k, str(k)) for k in (0, -3)],
    *[("top_p", p, str(p)) for p in (0, -0.5, 1.5)],
]
CASES = [
    pytest.param(*case, marks=check(case[0], "numerics", "refusals"), id=f"{case[0]}-{case[1]}") for case in REFUSED
]


@pytest.mark.parametrize(("name", "value", "mentions"), CASES)
def test_what_makes_no_sense_is_refused(agree, rand, name, value, mentions):
    call, logits = f"{name}(logits, {value})", rand(2, 5)
    agree.raises(call, lambda unit: getattr(unit, name)(logits.clone(), value), ValueError, mentions)


@check("greedy", "numerics")
@pytest.mark.parametrize("shape", [(5, 5), (4, 4, 4), (3, 8)], ids=str)
def test_greedy_takes_the_largest(agree, rand, shape):
    agree("greedy", rand(*shape) - 3)


@check("greedy", "numerics", "ties")
def test_greedy_takes_the_lowest_of_equal_ids(agree):
    # The largest stands at different places, two to four times, in rows so long that a search in parts would show.
    logits = torch.tensor([[0.0, 2, 1, 2, 2], [3, 0, 0, 0, 3], [-2, -1, -3, -1, -4], [1, 1, 1, 1, 0]]).double()
    agree("greedy", logits)
    agree("greedy", logits.repeat(1, 41))


@check("temperature", "numerics")
@pytest.mark.parametrize("value", [0.1, 0.5, 1, 1.7, 100.0])
def test_logits_are_divided_by_the_temperature(agree, rand, value):
    agree("temperature", rand(3, 4) * 3, value)


@check("temperature", "stability")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("value", [0.3, 0.5, 3.0])
def test_a_low_temperature_overflows_in_no_dtype(agree, value, dtype):
    logits = torch.tensor([40000.0, -50000.0, 3.0, 0.1], dtype=dtype)
    agree.on(f"temperature of {logits.tolist()} in {dtype}", lambda unit: unit.temperature(logits.clone(), value))


@check("top_k", "numerics")
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_k_largest_stay(agree, rand, k):
    agree("top_k", rand(3, 5) - 2, k)
    agree("top_k", rand(5, 5), k)


@check("top_k", "shape")
@pytest.mark.parametrize("k", [5, 6, 50])
def test_a_k_beyond_the_vocabulary_keeps_all(agree, rand, k):
    agree("top_k", rand(3, 5), k)


TIES = torch.tensor([[1.0, 2, 0, 2, 1, 2, 1], [5, 5, 5, 5, 5, 5, 4], [0, 0, 1, 0, 0, -1, 0]], dtype=torch.float64)


@check("top_k", "numerics", "ties")
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_of_equal_logits_those_with_the_lower_ids_stay(agree, k):
    agree("top_k", TIES, k)
    agree("top_k", TIES.repeat(1, 12), k)  # so long that an unstable sort shows


ROWS = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.05, 0.04, 0.85, 0.06], [0.31, 0.29, 0.21, 0.19]], dtype=torch.float64)


@check("top_p", "numerics")
@pytest.mark.parametrize("p", [0.01, 0.4, 0.55, 0.65, 0.76, 0.88, 0.97, 1.0])
def test_the_token_that_crosses_p_stays(agree, p):
    agree("top_p", ROWS.log() + 3, p)


@check("top_p", "numerics", "ties")
@pytest.mark.parametrize(("vocab", "p"), [(4, 0.25), (4, 0.5), (4, 0.75), (8, 0.5), (8, 0.75), (40, 0.26)])
def test_a_sum_of_exactly_p_is_enough(agree, vocab, p):
    # Shares of 1/4 and 1/8, whose sums no dtype rounds; then 10.4 of 40, so long a row that an unstable sort shows.
    agree("top_p", torch.full((2, vocab), 2.5, dtype=torch.float64), p)


@check("top_p", "numerics", "ties")
@pytest.mark.parametrize("p", [0.2, 0.51, 0.83])
def test_equals_stay_by_id_in_long_rows(agree, p):
    # Three values, each many times, in a row so long that an unstable sort shows.
    agree("top_p", torch.tensor([[0.5, 1.0, 0.0], [1.0, 0.0, 0.5]]).double().repeat(1, 15), p)


def nucleus(row, p):
    """The smallest set of most probable tokens by a plain loop, and how far p is from a sum that would change it."""
    shares = torch.tensor(row, dtype=torch.float64).softmax(0).tolist()
    kept, total, distance = [], 0.0, 1.0
    for i in sorted(range(len(row)), key=lambda i: (-row[i], i)):
        if total < p:
            kept.append(i)
        total += shares[i]
        distance = min(distance, abs(total - p))
    return kept, distance


@check("top_p", "property")
@given(seed=seeds, leading=st.lists(st.integers(1, 3), max_size=2), vocab=sizes, p=st.floats(0.01, 0.99))
def test_every_row_has_its_own_smallest_set(unit, seed, leading, vocab, p):
    logits = normal(seed, *leading, vocab, scale=2.0)
    pairs = zip(logits.reshape(-1, vocab).tolist(), unit.top_p(logits, p).reshape(-1, vocab).tolist(), strict=True)
    for row, got in pairs:
        kept, distance = nucleus(row, p)
        expected = [value if i in kept else -INF for i, value in enumerate(row)]
        # 1e-5: at the very border, float32 inside may decide otherwise
        assert distance < 1e-5 or got == expected, (
            f"generation.top_p(logits={tuple(logits.shape)}, p={p:g}): of {row} got {got}, expected {expected}"
        )


@check("top_p", "stability")
@pytest.mark.parametrize("p", [0.9, 1.0])
def test_logits_of_any_size_and_large_vocabularies_are_taken(agree, p):
    for dtype in (torch.float16, torch.bfloat16):
        agree("top_p", torch.zeros(1, 1000, dtype=dtype), 0.7005)  # 700.5 of 1000 equals
    # With p = 1 the sum is rounded to 1 before the last tokens, which stay all the same.
    agree("top_p", torch.tensor([[0.0, -50.0, -60.0], [-60.0, 0.0, -INF]], dtype=torch.float64), p)
    agree("top_p", torch.tensor([[0.0, 1e30, -INF], [1e4, 1e4, -INF]], dtype=torch.float64), p - 0.05)


def draws(unit, shares, count=20_000, **options):
    """Draws from these shares, each in a row of its own."""
    logits = torch.tensor(shares, dtype=torch.float64).log() + 2
    return unit.sample(logits.expand(count, -1).clone(), **options)


@check("sample", "numerics")
@pytest.mark.parametrize("shares", [[0.4, 0.3, 0.2, 0.1], [0.1, 0.0, 0.7, 0.0, 0.2], [0.0, 0.5, 0.5]], ids=str)
def test_each_token_comes_as_often_as_its_probability_says(agree, shares):
    def question(unit):  # at 20000 draws, the next tenth is 14 standard deviations away
        return (torch.bincount(draws(unit, shares), minlength=len(shares)) / 2000).round().tolist()

    agree.on(f"tenths of 20000 draws by sample, shares {shares}", question)


@check("sample", "numerics", "generator")
def test_every_row_and_every_call_draws_anew_from_the_generator(agree):
    def seeded(unit, seed):
        return draws(unit, [0.5, 0.3, 0.2], count=150, generator=torch.Generator().manual_seed(seed))

    def question(unit):
        first, second = (draws(unit, [0.5, 0.3, 0.2], count=130) for _ in range(2))  # alike: once in 10^50
        alike = {"all rows are alike": len(first.unique()) == 1, "a second call is alike": torch.equal(first, second)}
        kept = torch.Generator().manual_seed(9)
        one, other = (draws(unit, [0.5, 0.3, 0.2], count=150, generator=kept) for _ in range(2))
        going_on = {"a second call with the same generator is alike": torch.equal(one, other)}
        return with_generator(seeded, unit) | alike | going_on | without_generator(lambda: draws(unit, [0.5, 0.5], 150))

    agree.on("sample of rows of the same logits, with a generator and without", question)


AFTER_SEED_5 = torch.rand((), generator=torch.Generator().manual_seed(5)).item()


def without_generator(draw):
    """Whether torch.manual_seed decides what is drawn without a generator."""
    found = []
    for seed in (5, 5, 6):
        torch.default_generator.manual_seed(seed)
        before = torch.default_generator.get_state()
        found.append(draw())
    return {
        "the global generator is used": not torch.equal(torch.default_generator.get_state(), before),
        "torch.manual_seed decides without a generator": torch.equal(found[0], found[1]),
        "another torch.manual_seed draws the same": torch.equal(found[0], found[2]),
    }


def with_generator(seeded, unit):
    """What can be said of draws from a generator without knowing the random numbers."""
    torch.default_generator.manual_seed(5)
    first = seeded(unit, 1)
    after = torch.rand(()).item()
    torch.default_generator.manual_seed(6)
    return {
        "the same seed draws the same": torch.equal(first, seeded(unit, 1)),
        "another seed draws the same": torch.equal(first, seeded(unit, 2)),
        "the global generator was left alone": after == AFTER_SEED_5,
    }


@check("sample", "stability")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
@pytest.mark.parametrize("size", [1000.0, 60000.0])
def test_large_logits_are_drawn_from(agree, size, dtype):
    agree("sample", torch.tensor([[0.0, size, -size], [-size, -size, -size / 2]], dtype=dtype))


def random_model(unit, **changes):
    """A small model with fixed random weights, whose next token depends on all that it sees and on where it stands."""
    sizes = {"vocab_size": 11, "max_length": 7, "d_model": 8, "num_layers": 2, "num_heads": 2}
    # Untied and without biases: random ones like the same token most wherever they are.
    config = dependency(unit, "model").ModelConfig(**sizes, **changes, bias=False, tie_embeddings=False)
    model = dependency(unit, "model").TransformerLM(config)
    copy_weights(model, random_weights(model))
    return model.eval()


def table_model(unit, table):
    """A model that only looks at the last token: `table[i]` are the logits of what follows the token i."""
    vocab = len(table)
    sizes = {"vocab_size": vocab, "max_length": 5, "d_model": vocab, "num_layers": 1, "num_heads": 1}
    kind = {"position": "none", "norm": "rmsnorm", "bias": False, "tie_embeddings": False}
    model = dependency(unit, "model").TransformerLM(dependency(unit, "model").ModelConfig(**sizes, **kind))
    weights = {name: torch.zeros(p.shape, dtype=torch.float64) for name, p in model.named_parameters()}
    # A vector of its own for each token, so large that the norm's eps is lost, and of length 1 after the norm.
    weights["token_embedding.weight"] = 1e6 * torch.eye(vocab, dtype=torch.float64)
    weights["final_norm.weight"] += vocab**-0.5
    weights["lm_head.weight"] = torch.as_tensor(table).double().T.contiguous()
    copy_weights(model, weights)
    return model.eval()


SIZES = {(2, 3, 4): (), (1, 1, 1): (), (3, 5, 0): ("purity",), (1, 4, 9): ()}


@pytest.mark.parametrize(
    ("batch", "length", "new"),
    [pytest.param(*sizes, marks=check("generate", "shape", *criterion)) for sizes, criterion in SIZES.items()],
)
def test_the_prompt_comes_first_and_then_the_new_tokens(agree, rand, batch, length, new):
    ids = rand.integers(0, 11, batch, length)

    def question(unit):
        prompt = ids.clone()
        text = unit.generate(random_model(unit), prompt, new, temperature=0)
        seen = {"the result": text.clone(), "the prompt after the call (it must not change)": prompt.clone()}
        with torch.inference_mode():  # which may write into any tensor; one made in it takes nothing from outside
            text.fill_(7)
        return seen | {"the prompt after the result is overwritten": prompt}

    agree.on(f"generate(model, ids=({batch}, {length}), max_new_tokens={new}, temperature=0)", question)


@check("generate", "numerics", "context")
@pytest.mark.parametrize("length", [1, 4, 6, 7, 8, 12])
def test_the_model_sees_the_last_tokens_up_to_its_maximum(agree, rand, length):
    both = rand.integers(0, 11, 2, 2, length)

    def question(unit):
        return [unit.generate(random_model(unit), ids.clone(), 5, temperature=0) for ids in both]

    agree.on(f"generate(model with max_length 7, ids=(2, {length}), 5, temperature=0), twice", question)


@check("generate", "numerics", "stop")
@pytest.mark.parametrize(("temperature", "stop"), [(0, 7), (1.0, 7), (0, 0), (0, None)])
@pytest.mark.parametrize("prompt", [[[2], [5]], [[6], [6]], [[7], [3]], [[8], [0]], [[5, 7], [7, 1]]], ids=str)
def test_a_text_that_has_stopped_waits_for_the_others(agree, prompt, temperature, stop):
    def question(unit):
        model = table_model(unit, 200.0 * torch.eye(10).roll(1, dims=1))
        return unit.generate(model, torch.tensor(prompt), 6, temperature=temperature, stop_token=stop)

    agree.on(f"generate(i is followed by i + 1, {prompt}, 6, temperature={temperature}, stop_token={stop})", question)


# Eight tokens, whatever came before; at temperature 2 these are their shares, at temperature 1 they are squared.
SHARES = torch.tensor([0.1, 0.3, 0.2, 1e-20, 0.1, 0.2, 1e-20, 0.1], dtype=torch.float64)
LOGITS = 2 * SHARES.log()
SETTINGS = [
    {"temperature": 2.0},
    {"temperature": 2.0, "top_k": 3},
    {"temperature": 2.0, "top_p": 0.6},
    {"temperature": 2.0, "top_k": 4, "top_p": 0.72},
    {"temperature": 1e-3},
    {"temperature": 0, "top_k": 3, "top_p": 0.9},
    {"temperature": 2.0, "top_k": 50, "top_p": 1.0},
    {},
]


def probabilities(temperature=1.0, top_k=8, top_p=1.0):
    """What the settings make of LOGITS, by plain loops."""
    row = (LOGITS / (temperature or 1e-3)).tolist()
    line = sorted(range(8), key=lambda i: (-row[i], i))[:top_k]
    cut = [value if i in line else -INF for i, value in enumerate(row)]
    kept, _ = nucleus(cut, top_p)
    return torch.tensor([value if i in kept else -INF for i, value in enumerate(cut)], dtype=torch.float64).softmax(0)


@check("generate", "numerics")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_temperature_comes_before_top_k_and_top_k_before_top_p(agree, settings):
    prompts, expected = torch.zeros(5000, 1, dtype=torch.int64), probabilities(**settings)

    def question(unit):
        drawn = unit.generate(table_model(unit, LOGITS.expand(8, 8)), prompts.clone(), 1, **settings)[:, 1]
        shares = torch.bincount(drawn, minlength=8) / 5000
        # 8 standard deviations: one right answer in 10^12 is further off
        near = (shares - expected).abs() <= 8 * (expected * (1 - expected) / 5000).sqrt() + 1e-6
        return {"tokens drawn": drawn.unique().tolist(), "as often as they should be": bool(near.all())}

    agree.on(f"5000 draws by generate(the same logits after every token, 1, {settings})", question)


MEANINGLESS = [(0, 0, {}, "empty"), (0, 2, {}, "empty")]
MEANINGLESS += [(2, 3, settings, "") for settings in ({"temperature": -1.0}, {"top_k": 0}, {"top_p": 1.5})]


@check("generate", "numerics", "refusals")
@pytest.mark.parametrize(("length", "new", "settings", "mentions"), MEANINGLESS)
def test_an_empty_prompt_and_settings_without_a_meaning_are_refused(agree, length, new, settings, mentions):
    what = f"generate(model, ids=(3, {length}), {new}, {settings})"
    prompt = torch.zeros(3, length, dtype=torch.int64)
    agree.raises(what, lambda unit: unit.generate(random_model(unit), prompt, new, **settings), ValueError, mentions)


@check("generate", "numerics", "generator")
def test_generate_draws_from_its_generator(agree):
    def question(unit):
        model = table_model(unit, torch.zeros(6, 6))

        def seeded(unit, seed):
            generator = torch.Generator().manual_seed(seed)
            return unit.generate(model, torch.zeros(40, 1, dtype=torch.int64), 4, generator=generator)[:, 1:]

        text = seeded(unit, 3)
        alike = {"all positions are alike": torch.equal(text, text[:, :1].expand_as(text))}
        prompts = torch.zeros(40, 1, dtype=torch.int64)
        return with_generator(seeded, unit) | alike | without_generator(lambda: unit.generate(model, prompts, 4))

    agree.on("generate with a generator, 40 texts of 4 equally likely tokens", question)


@check("generate", "numerics", "mode")
def test_nothing_is_dropped_while_generating(agree):
    def question(unit):
        model = random_model(unit, dropout=0.5)
        texts = [
            unit.generate(model.train(mode), torch.arange(11)[:, None], 6, temperature=0) for mode in (True, False)
        ]
        return {"as in evaluation": torch.equal(*texts)}

    agree.on("generate with a model that is training, dropout 0.5, temperature 0", question)


def modes(unit, train, token):
    """The mode of each part after generating from this token, with one part in the other mode at the start."""
    model = random_model(unit).train(train)
    model.get_submodule("blocks.1").train(not train)
    with suppress(IndexError):  # 99 is not in the vocabulary: the model raises
        unit.generate(model, torch.tensor([[token]]), 2, temperature=0)
    return {part: model.get_submodule(part).training for part in ("", "blocks", "blocks.0", "blocks.1", "lm_head")}


@check("generate", "numerics", "mode")
@pytest.mark.parametrize("token", [3, 99], ids=["generated", "failed"])
def test_every_module_is_afterwards_in_the_mode_it_was_in(agree, token):
    def question(unit):
        return {f"training={train}, blocks.1 not": modes(unit, train, token) for train in (True, False)}

    agree.on(f"the mode of each module after generate from the id {token} of a vocabulary of 11", question)


@check("generate", "numerics", "purity")
def test_the_model_is_called_once_a_token_and_builds_no_graph(agree):
    def question(unit):
        model = random_model(unit)
        calls = []  # Behind the boundary nothing is seen of them: what is asked for holds for no calls, too.
        model.register_forward_hook(lambda module, args, output: calls.append(output.requires_grad))
        unit.generate(model, torch.tensor([[1, 2]]), 3, temperature=0)
        return {"more calls of the model than new tokens": len(calls) > 3, "a call builds a graph": any(calls)}

    agree.on("the calls of the model by generate", question)


@check("generate", "numerics", "purity")
@pytest.mark.parametrize("new", [0, 2])
def test_the_model_can_be_trained_afterwards(agree, new):
    def question(unit):
        model, ids = random_model(unit).train(), torch.tensor([[1, 2]])
        text = unit.generate(model, ids, new, temperature=0)
        return {
            "calls of the model build a graph": model(ids).requires_grad,
            "parameters that ask for gradients": sorted(n for n, p in model.named_parameters() if p.requires_grad),
            "the text": text,
        }

    agree.on(f"the model after generate(model, ids=(1, 2), {new})", question)


@check("generate", "property")
@pytest.mark.parametrize(("length", "first", "second"), [(1, 0, 4), (3, 2, 2), (5, 3, 4), (8, 1, 2)])
def test_texts_grow_alone_and_in_parts_as_they_do_together(unit, rand, length, first, second):
    model, ids = random_model(unit), rand.integers(0, 11, 3, length)
    whole = unit.generate(model, ids, first + second, temperature=0)
    begun = torch.cat([unit.generate(model, row[None], first, temperature=0) for row in ids])
    assert torch.equal(unit.generate(model, begun, second, temperature=0), whole), (
        f"generation.generate(ids=(3, {length}), temperature=0): {first + second} tokens are not the same as {first} "
        f"for each text alone, and then {second} for all"
    )
