"""The capstone: the learner's own stack, end to end, with nothing replaced.

The stack trains; the reference judges. Every number that counts is computed by the reference model from the weights
that the stack has learned, so that only weights of a transformer that has learned can pass.
"""

import io
import math
from dataclasses import dataclass, replace
from functools import partial

import torch

from grader.checking import check, dependency
from grader.checking.capture import copy_weights
from grader.training import recipes
from grader.training.recipes import SPEAKING, Recipe
from tests import recorded, replayed, speaking

GPT = {"max_length": 12, "d_model": 24, "num_layers": 2, "num_heads": 3}
LLAMA = {
    **{"max_length": 12, "d_model": 24, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "position": "rope"},
    **{"norm": "rmsnorm", "feedforward": "swiglu", "bias": False, "tie_embeddings": False},
}
VOCABULARY = 29
BY_HEART = Recipe(GPT, batch_size=4, steps=80, max_lr=1e-2, weight_decay=0.0)


def units_of(unit):
    return partial(dependency, unit)


def random_ids(rand, *shape):
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(rand.seed()))


# overfit


def by_heart(unit, rand):
    """The record of learning four random sequences."""
    units, rates = units_of(unit), recipes.learning_rates(replayed.reference, BY_HEART)
    ids = random_ids(rand, 4, GPT["max_length"] + 1)
    ids[:, 0] = torch.arange(4)  # two that begin alike could not be told apart, and no model could learn them
    model = recipes.build_model(units, BY_HEART, VOCABULARY, rand.seed()).double()
    batches = [(ids[:, :-1], ids[:, 1:])] * BY_HEART.steps
    run = recipes.Run(model, recipes.build_optimizer(units, BY_HEART, model), batches)
    asked = recorded.probes(rand, VOCABULARY, (4, GPT["max_length"]), (1, 7))
    return recorded.record(units, BY_HEART, VOCABULARY, run, rates, asked)


@check("overfit", "property")
def test_four_random_sequences_are_learned_by_heart(unit, once):
    most = 0.05
    run = once("by heart", partial(by_heart, unit))
    model = replayed.reference_model(BY_HEART, VOCABULARY, run.weights[-1])
    after = replayed.reference("training").evaluate(model, run.batches[:1])
    assert after < most, (
        f"After {BY_HEART.steps} updates on one batch of 4 random sequences the reference model with your weights has "
        f"a loss of {after:.3f}; it must be below {most}.\n  A model that gives every token the same probability has "
        f"log({VOCABULARY}) = {math.log(VOCABULARY):.2f}. A model that cannot memorize four lines cannot learn a "
        "language."
    )


def by_heart_again(unit, once):
    """The same run and every update of it as the reference makes it."""
    run = once("by heart", partial(by_heart, unit))
    return run, once("by heart, replayed", lambda rand: replayed.replay(run, BY_HEART.steps))


@check("overfit", "property")
def test_the_weights_follow_the_gradient(unit, once):
    replayed.expect_learned(*by_heart_again(unit, once))


@check("overfit", "property", "updates")
def test_every_update_is_that_of_the_reference(unit, once):
    replayed.expect_updates(by_heart_again(unit, once)[1])


@check("overfit", "property", "reports")
def test_every_report_is_true(unit, once):
    run, updates = by_heart_again(unit, once)
    for what in ("loss", "grad_norm"):
        right = {step: getattr(update, what) for step, update in enumerate(updates)}
        replayed.expect_true_reports(run, what, right, 1e-6)


@check("overfit", "property", "scores")
def test_the_model_that_learned_by_heart_sees_no_later_token(unit, once):
    replayed.expect_causal(once("by heart", partial(by_heart, unit)))


@check("overfit", "property", "scores")
def test_the_model_that_learned_by_heart_gives_the_reference_scores(unit, once):
    replayed.expect_reference_scores(once("by heart", partial(by_heart, unit)))


# trajectory


@check("trajectory", "numerics")
def test_the_first_losses_are_those_of_the_reference(unit, agree, once):
    for name, config in {"GPT": GPT, "Llama": LLAMA}.items():
        follows(unit, agree, once, name, config, steps=1, what=("loss",))


@check("trajectory", "numerics", "first-gradient")
def test_the_first_gradients_are_those_of_the_reference(unit, agree, once):
    for name, config in {"GPT": GPT, "Llama": LLAMA}.items():
        follows(unit, agree, once, name, config, steps=1)


@check("trajectory", "numerics", "gpt")
def test_the_losses_of_a_gpt_follow_the_reference(unit, agree, once):
    follows(unit, agree, once, "GPT", GPT)


@check("trajectory", "numerics", "llama")
def test_the_losses_of_a_llama_follow_the_reference(unit, agree, once):
    follows(unit, agree, once, "Llama", LLAMA)


def follows(unit, agree, once, name, config, steps=12, what=("loss", "grad_norm")):
    got, expected = once(name, partial(both_reports, unit, agree, config))
    for step, (mine, right) in enumerate(zip(got[:steps], expected[:steps], strict=True)):
        for number in what:
            # In float64 the order of sums shows in the 12th digit, and a wrong formula much earlier.
            assert math.isclose(mine[number], right[number], rel_tol=1e-6), (
                f"From the same weights and batches, {number} of update {step + 1} of a {name} is {mine[number]:.6f}, "
                f"expected {right[number]:.6f}{'; all before it agree' if step else ''}.\n  {departure(step, number)}"
            )


def both_reports(unit, agree, config, rand):
    recipe = Recipe(config, batch_size=3, steps=12, max_lr=3e-3, accumulation_steps=2, max_norm=0.5)
    ids = random_ids(rand, 2 * recipe.steps, 3, config["max_length"] + 1)
    batches = [(x[:, :-1], x[:, 1:]) for x in ids]
    weights = agree.truth(lambda u: dict(recipes.build_model(units_of(u), recipe, VOCABULARY, 0).named_parameters()))
    expected = agree.truth(lambda u: reports_from(u, recipe, weights, batches))
    return reports_from(unit, recipe, weights, batches), expected


def reports_from(unit, recipe, weights, batches):
    units = units_of(unit)
    model = recipes.build_model(units, recipe, VOCABULARY, 0)
    copy_weights(model, {name: value.detach().double() for name, value in weights.items()})
    model.double()
    run = recipes.Run(model, recipes.build_optimizer(units, recipe, model), batches)
    return recorded.record(units, recipe, VOCABULARY, run, recipes.learning_rates(units, recipe)).reports


def departure(step, what):
    if step == 0 and what == "loss":
        return "There was no update yet, so the bug is in the model or in the loss."
    if step == 0:
        return "The loss is right but its gradient is not: is it accumulated as for one batch? Is a tensor detached?"
    if step == 1:
        return "The first gradient is right but the first update is not: look at clipping, learning rate and optimizer."
    return "The first update is right, a later one is not: look at optimizer state, schedule and old gradients."


# language


@check("language", "property")
def test_the_held_out_loss_comes_close_to_the_entropy_of_the_language(unit, once):
    margin = 0.08
    run = speaking.speaker(unit, once)
    # Each begins with the end of a line, so that even the first word is one that can be known to begin a sentence.
    language = run.text.language
    texts = [language.sentences(3, run.text.seed + 1 + i) for i in range(60)]
    least = sum(language.surprise(text) for text in texts) / (3 * len(texts))
    model = run.reference_model()
    total = sum(replayed.surprises(model, run.text.encoded("\n" + text)).sum().item() for text in texts)
    loss = total / (3 * len(texts))
    numbers = f"{loss:.3f} nats per sentence, the lowest possible {least:.3f} ({language.entropy:.3f} on average)"
    assert loss < (1 + margin) * least, (
        f"After {SPEAKING.steps} updates the held-out loss of the reference model with your weights is {numbers}.\n"
        f"  That is {100 * (loss / least - 1):.0f} % above the lowest possible loss; the limit is {100 * margin:.0f} %."
    )


@check("language", "property")
def test_the_weights_of_the_speaker_follow_the_gradient(unit, once):
    run = speaking.speaker(unit, once).record
    replayed.expect_learned(run, replayed.replay(run, 25))


@check("language", "property", "tokens")
def test_the_text_is_cut_into_the_tokens_of_the_reference(unit, once):
    speaking.text_of(unit, once)


@check("language", "property", "windows")
def test_batches_are_windows_of_the_text(unit, once):
    run = speaking.speaker(unit, once)
    recorded.expect_windows(run.record.batches, run.text.tokens, SPEAKING.batch_size, SPEAKING.model["max_length"])


@check("language", "property", "reports")
def test_the_reported_losses_are_true(unit, once, rand):
    steps = sorted({0, SPEAKING.steps - 1, *rand.integers(0, SPEAKING.steps, 10).tolist()})
    run = speaking.speaker(unit, once).record
    replayed.expect_true_reports(run, "loss", {step: replayed.true_loss(run, step) for step in steps}, 1e-3)


@check("language", "property", "scores")
def test_no_position_of_the_trained_model_sees_a_later_one(unit, once):
    replayed.expect_causal(speaking.speaker(unit, once).record)


@check("language", "property", "scores")
def test_the_trained_model_gives_the_reference_scores(unit, once):
    replayed.expect_reference_scores(speaking.speaker(unit, once).record)


# resume


@check("resume", "numerics")
def test_a_killed_run_goes_on_as_if_nothing_had_happened(unit, once, restart):
    runs = without_dropout(unit, once, restart)
    updates = replayed.replay(runs.through, STEPS)
    right = {step: update.loss for step, update in enumerate(updates)}
    replayed.expect_true_reports(runs.through, "loss", right, 1e-6)
    replayed.expect_learned(runs.through, updates)
    expect_the_same_losses(runs)


@check("resume", "numerics", "weights")
def test_a_killed_run_goes_on_with_the_same_weights(unit, once, restart):
    runs = without_dropout(unit, once, restart)
    expect_equal(runs.first.weights[-1], runs.second.weights[0], "right after it is loaded")
    expect_equal(runs.through.weights[-1], runs.second.weights[-1], f"after the {STEPS - HALF} updates that follow")


@check("resume", "numerics", "batches")
def test_a_killed_run_goes_on_with_the_next_batch(unit, once, restart):
    runs = without_dropout(unit, once, restart)
    batches = runs.first.batches + runs.second.batches
    recorded.expect_windows(runs.through.batches, runs.tokens, RESUMED.batch_size, GPT["max_length"])
    for number, (got, right) in enumerate(zip(batches, runs.through.batches, strict=True)):
        assert all(map(torch.equal, got, right)), (
            f"Batch {number + 1} of the resumed run differs from that of the uninterrupted run. It was saved after "
            f"{HALF} batches."
        )


@check("resume", "numerics", "dropout")
def test_a_killed_run_drops_the_same_numbers(unit, once, restart):
    runs = once("resumed with dropout", partial(resumed, unit, restart, {"dropout": 0.2}, torch.float32))
    expect_the_same_losses(runs)
    replayed.expect_causal(runs.through)
    replayed.expect_reference_scores(runs.through)


RESUMED = Recipe(GPT, batch_size=2, steps=8, max_lr=1e-2)
STEPS, HALF = RESUMED.steps, 5


@dataclass(frozen=True)
class Resumed:
    """A run, and the same run in two processes.

    Args:
        tokens: The text.
        through: All updates in one process.
        first: The updates before the checkpoint.
        second: Those after it, in a new process.
    """

    tokens: torch.Tensor
    through: recorded.Record
    first: recorded.Record
    second: recorded.Record


def without_dropout(unit, once, restart):
    return once("resumed", partial(resumed, unit, restart, {}, torch.float64))


def resumed(unit, restart, changes, dtype, rand):
    recipe = replace(RESUMED, model=GPT | changes)
    # Longer than an epoch of 6 batches, so that the order of the next one counts, too.
    tokens = random_ids(rand, 12 * GPT["max_length"] + 1)
    asked = [probe for probe in recorded.probes(rand, VOCABULARY, (2, 12), (1, 7)) if not probe.training]
    rates = recipes.learning_rates(replayed.reference, recipe)

    def run(unit, rates, seed, saved=b""):
        """One process; `seed` is that of everything that a checkpoint brings back."""
        units, file = units_of(unit), io.BytesIO()
        torch.default_generator.manual_seed(seed)  # where the target is in this process; a new worker has its own
        begun = recipes.begin(units, recipe, tokens, VOCABULARY, seed, dtype)
        parts = {"model": begun.model, "optimizer": begun.optimizer, "loader": begun.loader}
        if saved:
            step = units("training").load_checkpoint(io.BytesIO(saved), **parts)
            assert step == HALF, f"The checkpoint was saved with step={HALF}, but load_checkpoint returned {step!r}."
        record = recorded.record(units, recipe, VOCABULARY, begun, rates)
        units("training").save_checkpoint(file, **parts, step=len(rates))
        # Not before it is saved: a model that is asked may draw random numbers.
        return replace(record, answers=recorded.answers(begun.model, asked)), file.getvalue()

    through, _ = run(unit, rates, seed=0)
    first, saved = run(restart(), rates[:HALF], seed=0)
    second, _ = run(restart(), rates[HALF:], seed=1, saved=saved)
    return Resumed(tokens, through, first, second)


def expect_the_same_losses(runs):
    through, first, second = (
        [report["loss"] for report in record.reports] for record in (runs.through, runs.first, runs.second)
    )
    assert first == through[:HALF], "Two runs from the same seed differ before anything is saved: what else draws?"
    wrong = [step for step, (got, right) in enumerate(zip(second, through[HALF:], strict=True)) if got != right]
    assert not wrong, (
        f"The run was saved after {HALF} updates, killed and loaded into a new process. It then differs from an "
        f"uninterrupted run:\n  update {HALF + wrong[0] + 1} has loss {second[wrong[0]]:.6f}, expected "
        f"{through[HALF + wrong[0]]:.6f}" + ("" if wrong[0] else " (check dropout, the next batch and the weights)")
    )


def expect_equal(got, right, when):
    other = [name for name in right if not torch.equal(got[name], right[name])]
    assert not other, f"The weights of the resumed run differ {when}: {', '.join(other[:3])}."


# grammar


@check("grammar", "property")
def test_what_the_model_writes_is_grammatical(unit, once, restart):
    least = 0.9
    text = speaking.text_of(unit, once)
    rows = speaking.writing(unit, once, restart).lines
    # Without the last line, which the length cuts off.
    lines = [line for row in rows.tolist() for line in text.tokenizer.decode(row).split("\n")[1:-1]]
    wrong = [line for line in lines if not text.language.allows(line)]
    assert len(lines) >= 64, f"32 texts of {rows.shape[1]} tokens hold {len(lines)} whole lines, expected more."
    assert len(wrong) <= (1 - least) * len(lines), (
        f"{len(lines) - len(wrong)} of {len(lines)} generated lines are sentences of the language; it must be at least "
        f"{100 * least:.0f} %.\n  Wrong: {wrong[0][:60]!r}. Correct: {text.language.sentences(1, 0).strip()!r}."
    )
    assert len(set(lines)) > 20, f"Only {len(set(lines))} of {len(lines)} lines are different: do you draw the tokens?"


@check("grammar", "property", "greedy")
def test_the_likeliest_text_is_that_of_the_reference(unit, once, restart):
    rows = speaking.writing(unit, once, restart).greedy
    speaking.expect_greedy(speaking.speaker(unit, once).reference_model(), rows, speaking.PROMPT)


@check("grammar", "property")
def test_tokens_are_drawn_from_the_probabilities_of_the_model(unit, once, restart):
    rows = speaking.writing(unit, once, restart).lines
    model = speaking.speaker(unit, once).reference_model()
    speaking.expect_drawn(model, rows, 1, speaking.TEMPERATURE)


@check("grammar", "property", "long")
def test_a_text_that_is_too_long_for_the_model_is_continued_from_its_end(unit, once, restart):
    rows = speaking.writing(unit, once, restart).long
    speaking.expect_drawn(speaking.speaker(unit, once).reference_model(), rows, speaking.LONG_PROMPT, 1.0)
