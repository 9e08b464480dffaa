"""Pictures: what is drawn is what the target's code gave, and what cannot be drawn is said in a sentence."""

import math
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import torch

from grader.curriculum.submission import KIT
from grader.plots import attention, figures, loss, positions, schedule, textplot, tokenizer
from grader.plots.smooth import smoothed
from grader.training.language import Language
from grader.training.loading import Unsuitable, opened
from tests.grader.targets import SOLUTIONS, plain, with_edits


@pytest.fixture
def solutions():
    with opened(SOLUTIONS) as learner:
        yield learner


# attention


def test_the_image_of_a_head_is_the_targets_weights(solutions):
    drawn = attention.fresh(solutions, "a b c")
    generator = torch.Generator().manual_seed(attention.SEED)
    vectors = import_module("solutions.embedding").Embedding(3, attention.D_MODEL, generator=generator).weight.detach()
    vectors = (vectors - vectors.mean(-1, keepdim=True)) / vectors.std(-1, keepdim=True)
    heads = import_module("solutions.attention").MultiHeadAttention(64, 4, generator=generator)
    expected = heads(vectors[None])[1][0].detach().numpy()
    panels = [axes for axes in attention.draw(drawn).axes if axes.images]
    assert len(panels) == 4
    for panel, head, weights in zip(panels, drawn.heads, expected, strict=True):
        np.testing.assert_allclose(head.weights, weights, atol=1e-6)
        np.testing.assert_array_equal(panel.images[0].get_array().filled(0), head.weights)


def test_a_hidden_key_is_left_out_of_the_image_and_a_leak_is_not(solutions):
    hidden = [head.weights for head in attention.fresh(solutions, "a b c").heads]
    assert all(weights[0, 2] == 0 for weights in hidden)
    leaky = with_edits("attention", ("key_positions[None, :] <= query", "key_positions[None, :] >= query"))
    with opened(leaky) as learner:
        drawn = attention.fresh(learner, "a b c")
    image = attention.draw(drawn).axes[0].images[0].get_array()
    assert not image.mask[0, 2]
    assert image.mask[2, 0]


def test_both_axes_name_the_tokens(solutions):
    axes = attention.draw(attention.fresh(solutions, "Say $x, twice")).axes[0]
    names = [r"\$" if name == "$" else name for name in ("Say", "$", "x", ",", "twice")]
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert [label.get_text() for label in axes.get_yticklabels()] == names


def test_attention_in_characters_has_the_percents(solutions):
    drawn = attention.fresh(solutions, "a b")
    text = plain(attention.text(drawn, 100))
    assert "head 3" in text
    assert f"b{100 * drawn.heads[0].weights[1, 0]:4.0f}" in text
    assert "a 100   ." in text
    assert "\x1b" not in text


def test_a_long_text_is_told_by_the_strongest_key_of_each_token(solutions):
    drawn = attention.fresh(solutions, " ".join(f"w{i}" for i in range(30)))
    text = plain(attention.text(drawn, 100))
    strongest = int(drawn.heads[0].weights[7].argmax())
    assert f" w7 -> w{strongest}" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("text", ["", "word " * 65])
def test_a_text_without_words_or_with_too_many_is_refused(solutions, text):
    with pytest.raises(Unsuitable, match="a picture needs 1 to 64"):
        attention.fresh(solutions, text)


def test_a_trained_model_has_the_heads_of_all_its_layers(solutions):
    config = solutions("model").ModelConfig(vocab_size=9, max_length=6, d_model=8, num_layers=2, num_heads=2)
    model = solutions("model").TransformerLM(config).train()
    drawn = attention.of_model(model, [1, 2, 3], ["a", "b", "c"], "A model")
    assert [head.name for head in drawn.heads] == [f"layer {i}, head {j}" for i in range(2) for j in range(2)]
    first = model.blocks[0]
    expected = first.attention(first.attention_norm(model.position_embedding(model.token_embedding.weight[None, 1:4])))
    np.testing.assert_allclose(drawn.heads[1].weights, expected[1][0, 1].detach().numpy(), atol=1e-6)
    assert model.training
    assert not any(block.attention._forward_hooks for block in model.blocks)


# positions, schedule


def test_the_images_of_positions_are_the_targets_tables(solutions):
    drawn = positions.collect(solutions)
    unit = import_module("solutions.position")
    images = [image.get_array().filled() for axes in positions.draw(drawn).axes for image in axes.images]
    encoding = unit.sinusoidal_encoding(positions.LENGTH, positions.D_MODEL).numpy()
    np.testing.assert_allclose(images[0], encoding, atol=1e-6)
    np.testing.assert_allclose(images[1].std(), 0.02, rtol=0.1)
    np.testing.assert_allclose(images[2:], -unit.alibi_bias(positions.HEADS, positions.LENGTH).numpy())
    np.testing.assert_allclose(drawn.rope[5], 5 * unit.rope_frequencies(positions.D_HEAD).numpy(), rtol=1e-6)


def test_other_code_gives_another_picture():
    edited = with_edits("position", ("angles[:, : d_model // 2].cos()", "angles[:, : d_model // 2].sin()"))
    with opened(edited) as learner:
        values = positions.collect(learner).sinusoidal
    np.testing.assert_array_equal(values[:, 0], values[:, 1])


def test_what_is_still_a_stub_is_left_out_of_the_picture_and_said():
    stub = 'def sinusoidal_encoding(length, d_model, base=1e4):\n    raise NotImplementedError("x")\n\n\ndef later('
    with opened(with_edits("position", ("def sinusoidal_encoding(", stub))) as learner:
        drawn = positions.collect(learner)
    assert drawn.sinusoidal is None
    assert "Left out: position.sinusoidal_encoding is still a stub" in plain(positions.text(drawn, 100))
    said = [text.get_text() for axes in positions.draw(drawn).axes for text in axes.texts]
    assert "position.sinusoidal_encoding is still a stub" in said


def test_the_curves_of_the_schedules_are_the_targets_rates(solutions):
    drawn = schedule.collect(solutions)
    panels = schedule.draw(drawn).axes
    cosine = import_module("solutions.schedule").warmup_cosine
    lengths = {"warmup_steps": schedule.WARMUP, "total_steps": schedule.STEPS}
    expected = [cosine(step, max_lr=3e-4, min_lr=3e-5, **lengths) for step in range(schedule.STEPS)]
    lines = [line.get_ydata() for line in panels[1].lines]
    assert expected in [list(line) for line in lines]
    assert max(drawn.curves["linear_warmup"]) == schedule.MAX_LR
    assert "█" in plain(schedule.text(drawn, 100))


# loss


def test_the_floor_of_the_loss_is_the_entropy_of_a_sentence_over_its_tokens(solutions):
    seen = []
    drawn = loss.collect(solutions, 12, lambda: seen.append(1))
    language = Language.draw(loss.SEED)
    sentences = language.sentences(loss.SENTENCES, loss.SEED)
    train, tokenizer_class = (getattr(import_module("solutions.tokenizer"), n) for n in ("train_bpe", "BPETokenizer"))
    ids = tokenizer_class(*train(sentences[: loss.TRAINING_CHARACTERS], loss.VOCABULARY)).encode(sentences)
    assert drawn.floor == pytest.approx(language.entropy * loss.SENTENCES / len(ids))
    assert len(drawn.values) == len(seen) == 12
    assert drawn.values[-1] < drawn.values[0]
    lines = {line.get_label(): line for line in loss.draw(drawn).axes[0].lines}
    assert set(lines["entropy of the language: the lowest possible loss"].get_ydata()) == {drawn.floor}
    assert tuple(lines["loss of each batch"].get_ydata()) == drawn.values
    assert f"lowest possible {drawn.floor:.3f}" in plain(loss.text(drawn, 100))


def test_less_than_the_least_possible_is_remarked_on():
    text = plain(loss.text(loss.Losses((2.0, 0.2), floor=1.0, start=3.0), 100))
    assert "does a position see later ones?" in text


def test_a_run_that_flies_apart_can_be_drawn():
    drawn = loss.Losses((2.0, 50.0, math.nan, math.inf), floor=1.0, start=3.0)
    assert loss.draw(drawn).axes[0].get_ylim()[1] < 8
    assert "At step 3 the loss is nan." in plain(loss.text(drawn, 100))


# tokenizer


def test_the_tokens_are_those_of_the_target(solutions):
    drawn = tokenizer.collect(solutions, "the object 🚀")
    assert drawn.pieces[:3] == (b"the", b" object", b" ")
    assert drawn.whole
    number = len(drawn.pieces)
    assert drawn.counts == f"12 characters, 15 bytes, {number} tokens: {15 / number:.2f} bytes per token"


def test_without_colours_a_bar_stands_between_the_tokens():
    drawn = tokenizer.Tokens("no\n🚀 é\x07", (b"no", b"\n", b"\xf0\x9f", b"\x9a\x80", " é".encode(), b"\x07"), 300)
    assert plain(tokenizer.text(drawn, coloured=False)).startswith("no|\\n\n|<f0><9f>|<9a><80>| é|<07>\n")


def test_with_colours_they_take_turns():
    drawn = tokenizer.Tokens("abc", (b"a", b"b", b"c"), 300)
    first, second, third = (span.style for span in tokenizer.text(drawn, coloured=True).spans[:3])
    assert first == third != second


def test_the_boxes_of_the_picture_are_as_wide_as_their_tokens():
    pieces = (b"a", b" bc$\n", "漢".encode(), b"x" * 100)
    axes = tokenizer.draw(tokenizer.Tokens(b"".join(pieces).decode(), pieces, 300)).axes[0]
    assert [text.get_text() for text in axes.texts] == ["a", r"·bc\$⏎", "<U+6F22>", "x" * 92, "x" * 8]
    assert [round(box.get_width()) for box in axes.patches] == [1, 5, 8, 92, 8]


def test_tokens_that_are_not_the_text_are_remarked_on():
    text = plain(tokenizer.text(tokenizer.Tokens("ab", (b"a",), 300), coloured=False))
    assert "The tokens do not decode to the text: pytest -k tokenizer" in text


# curves


def test_a_smoothed_curve_is_not_late_and_passes_over_what_is_no_number():
    falling = [100.0 - step for step in range(100)]
    assert smoothed(falling)[:98] == pytest.approx(falling[:98])
    assert smoothed([1.0, math.nan, 3.0])[::2] == [1.0, 3.0]
    assert smoothed([]) == []


def test_a_curve_of_characters_is_as_high_as_its_values():
    assert textplot.curve([0.0, 0.5, 1.0, 2.0], height=2) == ["   █", " ▄██"]
    assert textplot.curve([1.0, 1.0, 3.0, 5.0], width=2, height=1) == ["▂█"]
    assert textplot.curve([math.nan], height=1) == [""]


def test_pictures_use_no_global_state(solutions, tmp_path):
    file = tmp_path / "new" / "schedule.png"
    figures.save(schedule.draw(schedule.collect(solutions)), file)
    assert file.read_bytes().startswith(b"\x89PNG")
    # In a process of its own: another library of this one may have asked for it.
    modules = "attention, comparison, figures, loss, positions, schedule, tokenizer"
    code = f"import sys\nfrom grader.plots import {modules}\nsys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=KIT, check=False).returncode == 0
