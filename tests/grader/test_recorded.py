"""What is recorded of a run is refused where it cannot be what the documentation says."""

import pytest
import torch

from grader.checking.oracle import load_solution
from grader.checking.seeding import Rand
from grader.training.recipes import Recipe
from tests.recorded import documented, expect_windows, probes, weights_of
from tests.speaking import expect_drawn, expect_greedy

TEXT = torch.arange(13)  # windows of 3 positions: 0-3, 3-6, 6-9, 9-12
CONFIG = {"max_length": 5, "d_model": 8, "num_layers": 1, "num_heads": 2}
RECIPE = Recipe(CONFIG, batch_size=1, steps=1, max_lr=0.1)


def windows(*starts):
    rows = torch.stack([TEXT[start : start + 4] for start in starts])
    return rows[:, :-1], rows[:, 1:]


def test_windows_of_the_text_are_accepted_in_any_order_and_again_in_the_next_epoch():
    expect_windows([windows(9, 3), windows(0, 6), windows(3, 0)], TEXT, 2, 3)


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([windows(9, 1)], "A row of batch 1 is not a window of the text"),
        ([windows(0, 3), windows(3, 6)], "A window of batch 2 has been in a batch of this epoch before"),
        ([(windows(0, 3)[0], windows(0, 3)[0])], "In batch 1 a target is not the token after its input"),
        ([windows(0)], "Batch 1 has shape (1, 3), expected (2, 3)"),
    ],
)
def test_other_batches_are_refused(batches, words):
    with pytest.raises(AssertionError) as refused:
        expect_windows(batches, TEXT, 2, 3)
    assert words in str(refused.value)


def small():
    unit = load_solution("model")
    return unit.TransformerLM(unit.ModelConfig(vocab_size=11, **CONFIG), generator=torch.Generator().manual_seed(0))


def test_all_documented_parameters_are_recorded_under_each_of_their_names():
    model = small()
    found = weights_of(model, documented(RECIPE, 11))
    assert found.keys() == model.state_dict().keys()
    assert found["lm_head.weight"].equal(found["token_embedding.weight"])


def test_a_missing_an_unknown_and_a_misshapen_parameter_are_named():
    shapes = documented(RECIPE, 11)
    model = small()
    del model.final_norm.bias
    with pytest.raises(AssertionError, match=r"has no parameter 'final_norm.bias'"):
        weights_of(model, shapes)
    model = small()
    model.secret = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(AssertionError, match="has a parameter 'secret'"):
        weights_of(model, shapes)
    model = small()
    model.final_norm.bias.data = torch.zeros(3)
    with pytest.raises(AssertionError, match=r"has shape \(3,\), expected \(8,\)"):
        weights_of(model, shapes)


def test_the_texts_of_a_probe_are_alike_up_to_its_start_and_nowhere_after():
    for probe in probes(Rand(0, "probes"), 11, (4, 5), (1, 2)):
        same = probe.ids == probe.twin
        assert same[:, : probe.start].all()
        assert not same[:, probe.start :].any()


def drawn(model, prompt, length, pick):
    ids = torch.zeros(8, prompt, dtype=torch.int64)
    with torch.no_grad():
        while ids.shape[1] < length:
            ids = torch.cat([ids, pick(model(ids[:, -32:])[:, -1].softmax(-1))], 1)
    return ids


def scored(sharpness):
    """A model of 7 tokens whose scores depend on the last token alone."""
    table = sharpness * torch.randn(7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return lambda ids: table[ids]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_drawn_from_a_model_is_accepted(seed):
    generator = torch.Generator().manual_seed(seed)
    rows = drawn(scored(1.0), 1, 40, lambda p: torch.multinomial(p, 1, generator=generator))
    expect_drawn(scored(1.0), rows, 1, 1.0)


def test_what_is_not_drawn_from_it_is_refused():
    likeliest = drawn(scored(1.0), 1, 40, lambda p: p.argmax(-1, keepdim=True))
    with pytest.raises(AssertionError, match="too likely: is anything drawn"):
        expect_drawn(scored(1.0), likeliest, 1, 1.0)
    uniform = torch.randint(7, (8, 40), generator=torch.Generator().manual_seed(0))
    with pytest.raises(AssertionError, match="too unlikely"):
        expect_drawn(scored(2.0), uniform, 1, 1.0)


def test_the_likeliest_tokens_are_greedy_and_others_are_not():
    rows = drawn(scored(1.0), 1, 9, lambda p: p.argmax(-1, keepdim=True))
    expect_greedy(scored(1.0), rows, 1)
    rows[3, 4] = (rows[3, 4] + 1) % 7
    with pytest.raises(AssertionError, match="With temperature 0, token 4 of text 3"):
        expect_greedy(scored(1.0), rows, 1)
