"""The capstone: the learner's own stack, end to end, with nothing replaced."""

import io
import math
from functools import partial

import torch

from grader import stack
from grader.checking import check, lower
from grader.checking.observation import copy_weights
from grader.language import Language
from grader.stack import SPEAKING, Recipe

GPT = {"max_length": 12, "d_model": 24, "num_layers": 2, "num_heads": 3}
LLAMA = {
    **{"max_length": 12, "d_model": 24, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "position": "rope"},
    **{"norm": "rmsnorm", "feedforward": "swiglu", "bias": False, "tie_embeddings": False},
}
VOCABULARY = 29


def units_of(unit):
    return partial(lower, unit)


def random_ids(rand, *shape):
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(rand.seed()))


def surprises(model, ids):
    """-log of the probability that the model gives to each token of a sequence, from the second on, in float64."""
    with torch.no_grad():
        scores = model.eval()(ids[None, :-1])[0].double()
    return -scores.log_softmax(-1).gather(-1, ids[1:, None])[:, 0]


@check("overfit", "property")
def test_four_random_sequences_are_learned_by_heart(unit, rand):
    units, steps, most = units_of(unit), 80, 0.05
    ids = random_ids(rand, 4, GPT["max_length"] + 1)
    ids[:, 0] = torch.arange(4)  # two that begin alike could not be told apart, and no model could learn them
    recipe = Recipe(GPT, batch_size=4, steps=steps, max_lr=1e-2, weight_decay=0.0)
    model = stack.build_model(units, recipe, VOCABULARY, rand.seed())
    optimizer = stack.build_optimizer(units, recipe, model)
    before = torch.cat([surprises(model, row) for row in ids]).mean().item()
    for _ in range(steps):
        units("training").train_step(model, optimizer, [(ids[:, :-1], ids[:, 1:])], max_norm=1.0)
    after = torch.cat([surprises(model, row) for row in ids]).mean().item()
    assert after < most, (
        f"After {steps} updates on one batch of 4 random sequences the loss is {after:.3f}, and it has to fall below "
        f"{most}.\n  It began at {before:.2f}; a model that knows nothing has log({VOCABULARY}) = "
        f"{math.log(VOCABULARY):.2f}.\n  A model that cannot learn four lines by heart cannot learn a language."
    )


@check("trajectory", "numerics")
def test_the_losses_of_a_gpt_follow_the_reference(unit, agree, rand):
    follows(unit, agree, rand, GPT)


@check("trajectory", "numerics")
def test_the_losses_of_a_llama_follow_the_reference(unit, agree, rand):
    follows(unit, agree, rand, LLAMA)


def follows(unit, agree, rand, config):
    recipe = Recipe(config, batch_size=3, steps=12, max_lr=3e-3, accumulation_steps=2, max_norm=0.5)
    ids = random_ids(rand, 2 * recipe.steps, 3, config["max_length"] + 1)
    batches = [(x[:, :-1], x[:, 1:]) for x in ids]
    weights = agree.truth(lambda u: dict(stack.build_model(units_of(u), recipe, VOCABULARY, 0).named_parameters()))
    expected = agree.truth(lambda u: reports_from(u, recipe, weights, batches))
    got = reports_from(unit, recipe, weights, batches)
    assert len(got) == len(expected), f"train gave {len(got)} reports for {recipe.steps} learning rates"
    for step, (mine, right) in enumerate(zip(got, expected, strict=True)):
        for what in ("loss", "grad_norm"):
            # In float64 the order of sums shows in the 12th digit, and a wrong formula much earlier.
            assert math.isclose(mine[what], right[what], rel_tol=1e-6), (
                f"From the same weights and batches, {what} of update {step + 1} of {recipe.steps} is "
                f"{mine[what]:.6f}, expected {right[what]:.6f}; all before it agree.\n  {departure(step, what)}"
            )


def reports_from(unit, recipe, weights, batches):
    units = units_of(unit)
    model = stack.build_model(units, recipe, VOCABULARY, 0)
    copy_weights(model, {name: value.detach().double() for name, value in weights.items()})
    model.double()
    run = stack.Run(model, stack.build_optimizer(units, recipe, model), batches)
    return [
        {what: float(report[what]) for what in ("loss", "grad_norm")}
        for report in stack.train(units, recipe, run, stack.learning_rates(units, recipe))
    ]


def departure(step, what):
    if step == 0 and what == "loss":
        return "No update has been made by then: the fault is in the model or in the loss."
    if step == 0:
        return "The loss is right, its gradient is not: is it accumulated as that of one batch? Is something cut off?"
    if step == 1:
        return "The first gradient is right, the first update is not: clipping, learning rate or optimizer."
    return "The first update is right: it is what goes on from one to the next: optimizer, schedule, old gradients."


@check("language", "property")
def test_the_held_out_loss_comes_close_to_the_entropy_of_the_language(unit, rand):
    margin = 0.08
    language = Language.draw(rand.seed())
    model, tokenizer = speaker(unit, language, rand.seed())
    # Each begins with the end of a line, so that even the first word is one that can be known to begin a sentence.
    texts = [language.sentences(3, rand.seed() + 1 + i) for i in range(60)]
    least = sum(language.surprise(text) for text in texts) / (3 * len(texts))
    loss = sum(surprises(model, encoded(tokenizer, "\n" + text)).sum().item() for text in texts) / (3 * len(texts))
    numbers = f"{loss:.3f} nats a sentence; these sentences have {least:.3f}, the language {language.entropy:.3f}"
    assert loss > 0.98 * least, (
        f"The held-out loss is {numbers}.\n  Less than that is impossible without seeing what is to be predicted: "
        "does a position see later ones?"
    )
    assert loss < (1 + margin) * least, (
        f"After {SPEAKING.steps} updates the held-out loss is {numbers}.\n  It is {100 * (loss / least - 1):.0f} % "
        f"above the least possible, and may be {100 * margin:.0f} %."
    )


@check("language", "property")
def test_no_position_of_the_model_sees_a_later_one(unit, rand):
    recipe = Recipe(SPEAKING.model, batch_size=1, steps=1, max_lr=1e-3)
    model = stack.build_model(units_of(unit), recipe, VOCABULARY, rand.seed()).eval()
    ids = random_ids(rand, 1, 20)
    other = torch.cat([ids[:, :11], (ids[:, 11:] + 1) % VOCABULARY], dim=1)
    with torch.no_grad():
        changed = (model(ids) - model(other))[0].abs().amax(-1) > 1e-4
    assert not changed[:11].any(), (
        f"Only tokens 11 to 19 were changed, and the scores of positions {changed[:11].nonzero()[:, 0].tolist()} are "
        "others than before: they see what comes after them."
    )
    assert changed[11:].all(), "The scores of some positions do not depend on their own token."


@check("resume", "numerics")
def test_a_killed_run_goes_on_as_if_nothing_had_happened(unit, rand, restart):
    recipe = Recipe({**GPT, "dropout": 0.2}, batch_size=2, steps=8, max_lr=1e-2)
    # Longer than an epoch of 6 batches, so that the order of the next one counts, too.
    tokens = random_ids(rand, 12 * GPT["max_length"] + 1)
    rates, half = [1e-2] * recipe.steps, 5
    through, _ = resumable(unit, recipe, tokens, rates, seed=0)
    first, saved = resumable(restart(), recipe, tokens, rates[:half], seed=0)
    assert first == through[:half], "Two runs from the same seed differ before anything is saved: what else is drawn?"
    second, _ = resumable(restart(), recipe, tokens, rates[half:], seed=1, saved=saved)
    wrong = [step for step, pair in enumerate(zip(second, through[half:], strict=True)) if pair[0] != pair[1]]
    assert not wrong, (
        f"Saved after {half} updates, killed and loaded into a new process, the run does not go on as it would have:\n"
        f"  update {half + wrong[0] + 1} has loss {second[wrong[0]]:.6f}, uninterrupted {through[half + wrong[0]]:.6f}"
        + ("" if wrong[0] else " (dropout, the next batch or the weights)")
    )


def resumable(unit, recipe, tokens, rates, seed, saved=b""):
    """The losses of a run, and its checkpoint at the end; `seed` is that of everything that a checkpoint brings."""
    units = units_of(unit)
    torch.default_generator.manual_seed(seed)  # where the target is in this process; a new worker begins with its own
    run = stack.begin(units, recipe, tokens, VOCABULARY, seed)
    parts = {"model": run.model, "optimizer": run.optimizer, "loader": run.loader}
    if saved:
        step = units("training").load_checkpoint(io.BytesIO(saved), **parts)
        assert step == 5, f"The checkpoint was saved with step=5, and load_checkpoint gave {step!r}."
    losses = [float(report["loss"]) for report in stack.train(units, recipe, run, rates)]
    file = io.BytesIO()
    units("training").save_checkpoint(file, **parts, step=len(rates))
    return losses, file.getvalue()


@check("grammar", "property")
def test_what_the_model_writes_is_grammatical(unit, rand):
    least = 0.9
    language = Language.draw(rand.seed())
    model, tokenizer = speaker(unit, language, rand.seed())
    prompt = encoded(tokenizer, "\n").expand(32, -1)
    settings = {"temperature": 0.6, "generator": torch.Generator().manual_seed(rand.seed())}
    rows = units_of(unit)("generation").generate(model, prompt, SPEAKING.model["max_length"] - 1, **settings)
    # Without the last line, which the length cuts off.
    lines = [line for row in rows.tolist() for line in tokenizer.decode(row).split("\n")[1:-1]]
    wrong = [line for line in lines if not language.allows(line)]
    assert len(lines) >= 64, f"32 texts of {rows.shape[1]} tokens hold {len(lines)} whole lines, expected more."
    assert len(wrong) <= (1 - least) * len(lines), (
        f"{len(lines) - len(wrong)} of {len(lines)} lines that it wrote are sentences of the language; it has to be "
        f"{100 * least:.0f} %.\n  Not one: {wrong[0][:60]!r}. A right one: {language.sentences(1, 0).strip()!r}."
    )
    assert len(set(lines)) > 20, f"Of {len(lines)} lines only {len(set(lines))} differ: is anything drawn?"


def speaker(unit, language, seed):
    """A model that was trained on the language, and its tokenizer."""
    units = units_of(unit)
    text = language.sentences(6000, seed)
    vocab, merges = units("tokenizer").train_bpe(text[:20000], 256 + 110, ())
    tokenizer = units("tokenizer").BPETokenizer(vocab, merges)
    run = stack.begin(units, SPEAKING, encoded(tokenizer, text), tokenizer.vocab_size, seed)
    for _ in stack.train(units, SPEAKING, run, stack.learning_rates(units, SPEAKING)):
        pass
    return run.model, tokenizer


def encoded(tokenizer, text):
    return torch.tensor(tokenizer.encode(text))
