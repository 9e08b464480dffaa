"""The capstone: known mistakes anywhere in the stack cost the parts that they spoil, right versions cost nothing."""

import math

import pytest

from grader.checking import suite
from grader.checking.mistakes import known_alternatives, known_mistakes
from grader.checking.runner import Runner
from grader.checking.target import IsolatedTarget, LocalTarget, Target
from grader.checking.variants import Alternative
from grader.curriculum import load
from grader.curriculum.stubs import make
from grader.curriculum.submission import Submission, from_bytes
from grader.grading.grade import grade
from grader.sandbox.host.pool import Limits
from grader.training.language import Language
from tests.grader.forgeries import COUNTS, FORGERIES, KEEPING, PASTED, SOLUTIONS, forged

CHECKS = {check.id.name: check for check in suite.collect("capstone")}
BY_HEART = "four_random_sequences_are_learned_by_heart"
UPDATES = "every_update_is_that_of_the_reference"
REPORTS = "every_report_is_true"
FIRST = "the_first_losses_are_those_of_the_reference"
GPT = "the_losses_of_a_gpt_follow_the_reference"
LLAMA = "the_losses_of_a_llama_follow_the_reference"
HELD_OUT = "the_held_out_loss_comes_close_to_the_entropy_of_the_language"
TOKENS = "the_text_is_cut_into_the_tokens_of_the_reference"
WINDOWS = "batches_are_windows_of_the_text"
LATER = "no_position_of_the_trained_model_sees_a_later_one"
KILLED = "a_killed_run_goes_on_as_if_nothing_had_happened"
DROPPED = "a_killed_run_drops_the_same_numbers"
NEXT = "a_killed_run_goes_on_with_the_next_batch"
GRAMMAR = "what_the_model_writes_is_grammatical"
DRAWN = "tokens_are_drawn_from_the_probabilities_of_the_model"
# What has to be right in a part before anything else in it counts.
MAIN = {
    "overfit": (BY_HEART, "the_weights_follow_the_gradient"),
    "trajectory": (FIRST,),
    "language": (HELD_OUT, "the_weights_of_the_speaker_follow_the_gradient"),
    "resume": (KILLED,),
    "grammar": (GRAMMAR, DRAWN),
}
PATIENT = Limits(call_seconds=600, total_seconds=6000, unit_seconds=6000, submission_seconds=6000)


def submission(**changed: str) -> Submission:
    """The solutions, with other texts for some units."""
    texts = SOLUTIONS | changed
    return Submission("learner", {name: from_bytes(f"exercises/{name}.py", t.encode()) for name, t in texts.items()})


def mistaken(unit: str, id: str) -> Submission:
    mistake = next(mistake for mistake in known_mistakes(unit) if mistake.id == id)
    return submission(**{unit: mistake.apply(SOLUTIONS[unit])})


def outcomes(target: Target, checks, seed: int = 0):
    """What these checks of the capstone say of a target."""
    runner = Runner(target, seed)
    try:
        return {name: runner.run(CHECKS[name].id, CHECKS[name].body(seed))[0] for name in checks}
    finally:
        target.close()


def said(found: Submission, check: str, seed: int = 0):
    """What a check of the capstone says of a submission."""
    return outcomes(LocalTarget(found), [check], seed)[check]


@pytest.mark.parametrize(
    ("unit", "id", "words"),
    [
        ("training", "step-no-step", {BY_HEART: "cannot memorize four lines"}),
        ("model", "no-final-norm", {GPT: "the bug is in the model or in the loss"}),
        ("attention", "no-scaling", {GPT: "the bug is in the model or in the loss"}),
        ("loss", "ce-sum", {GPT: "the bug is in the model or in the loss", REPORTS: "train reports a loss of"}),
        ("attention", "MultiHeadAttention-detached", {GPT: "its gradient is not"}),
        ("training", "step-not-divided", {LLAMA: "its gradient is not"}),
        # Adam divides by the gradient's size: eps alone tells a clipped one, and which update differs is chance.
        ("training", "step-clip-after-step", {GPT: "expected"}),
        ("training", "train-max-norm-lost", {LLAMA: "look at optimizer state"}),
        ("optim", "no-bias-correction", {GPT: "the first update is not", UPDATES: "Update 1 changes a weight"}),
        ("optim", "eps-inside-the-root", {GPT: "expected"}),
        ("schedule", "cosine-ends-at-zero", {GPT: "look at optimizer state"}),
        ("training", "step-no-zero-grad", {LLAMA: "update 2"}),
        ("position", "rope-interleaved", {LLAMA: "the bug is in the model or in the loss"}),
        # To see the future does not pay.
        (
            "attention",
            "causal-all-true",
            {LATER: "these positions see what comes after them", HELD_OUT: "above the lowest possible"},
        ),
        (
            "data",
            "dataset-not-shifted",
            {HELD_OUT: "above the lowest possible", WINDOWS: "not the token after its input"},
        ),
        ("training", "load-no-rng", {DROPPED: "differs from an uninterrupted run"}),
        ("training", "load-no-optimizer", {KILLED: "update 7"}),
        (
            "data",
            "loader-load-does-nothing",
            {KILLED: "the next batch", NEXT: "differs from that of the uninterrupted run"},
        ),
        ("generation", "always-greedy", {GRAMMAR: "do you draw the tokens", DRAWN: "too likely"}),
        ("generation", "first-position", {GRAMMAR: "lines"}),
    ],
)
def test_a_mistake_below_fails_the_parts_that_it_spoils(unit, id, words):
    for check, outcome in outcomes(LocalTarget(mistaken(unit, id)), words).items():
        assert (outcome.status, words[check] in outcome.message) == ("failed", True), outcome


@pytest.mark.parametrize(("unit", "id"), [("optim", "no-bias-correction"), ("position", "rope-interleaved")])
def test_the_unit_whose_reference_mends_it_is_named(unit, id):
    outcome = said(mistaken(unit, id), LLAMA)
    assert f"With the reference's {unit} in place of yours it passes." in outcome.message


@pytest.mark.parametrize("name", FORGERIES)
def test_a_stack_without_a_transformer_earns_nothing(pool, name):
    found = forged(FORGERIES[name])
    # Behind the boundary only those that remember: a new process takes that from them. The others judge nothing there
    # that they do not judge here, in half the time.
    remembers = COUNTS in FORGERIES[name].get("model", "")
    target = IsolatedTarget(found, pool, PATIENT, 0) if remembers else LocalTarget(found)
    try:
        assert [part for part, main in MAIN.items() if earned(target, main)] == []
    finally:
        target.close()


def earned(target: Target, main) -> bool:
    """Whether all these checks pass; the first that fails is the last that is run."""
    runner = Runner(target, 0)
    for name in main:
        outcome, _ = runner.run(CHECKS[name].id, CHECKS[name].body(0))
        assert outcome.status in ("passed", "failed"), outcome
        if outcome.status == "failed":
            return False
    return True


def test_pasted_text_is_no_writing(pool):
    found = forged({"model": KEEPING, "generation": PASTED})
    said = outcomes(IsolatedTarget(found, pool, PATIENT, 0), [HELD_OUT, GRAMMAR])
    assert {name: outcome.status for name, outcome in said.items()} == {HELD_OUT: "passed", GRAMMAR: "failed"}


FLOAT32_SOFTMAX = """

def softmax(x, dim, softmax=softmax):
    return softmax(x.float(), dim).to(x.dtype)
"""
CHEAP = ("overfit", "trajectory", "resume")
USED = sorted({name for exercise in load()["capstone"].exercises for name in exercise.needs})


def stacks_of_other_versions() -> list[dict[str, Alternative]]:
    """As few stacks as hold another right version of every exercise, each in one exercise of each unit at most."""
    stacks: list[dict[str, Alternative]] = []
    for name in USED:
        unit, _, exercise = name.partition(".")
        other = [alternative for alternative in known_alternatives(unit) if alternative.exercise == exercise]
        stack = next((stack for stack in stacks if unit not in stack), None)
        if stack is None:
            stacks.append(stack := {})
        stack[unit] = other[len(name) % len(other)]
    return stacks


@pytest.mark.parametrize("others", stacks_of_other_versions(), ids=lambda others: f"{len(others)} units")
def test_other_right_versions_of_exercises_follow_the_reference(others):
    found = submission(**{unit: other.apply(SOLUTIONS[unit]) for unit, other in others.items()})
    said = outcomes(LocalTarget(found), [name for name, check in CHECKS.items() if check.id.exercise.name in CHEAP])
    names = [other.name for other in others.values()]
    assert {name: outcome.message for name, outcome in said.items() if outcome.status != "passed"} == {}, names


@pytest.mark.parametrize("seed", range(3))
def test_a_softmax_in_float32_is_right_too(seed):
    found = forged({"attention": FLOAT32_SOFTMAX})
    checks = [name for name, check in CHECKS.items() if check.id.exercise.name in CHEAP]
    said = outcomes(LocalTarget(found), checks, seed)
    assert {name: outcome.message for name, outcome in said.items() if outcome.status != "passed"} == {}


def test_it_waits_for_what_is_still_a_stub_and_says_how_far_the_stack_carries():
    stubs = {name: make(load()[name], text) for name, text in SOLUTIONS.items() if name != "__init__"}
    outcome = said(submission(**stubs | {"embedding": SOLUTIONS["embedding"]}), BY_HEART)
    assert outcome.status == "todo"
    assert "capstone.overfit needs position.LearnedPositionalEmbedding first: 2 of the 14" in outcome.message


def test_a_shortcut_anywhere_in_the_stack_is_none_of_the_learners_own():
    text = SOLUTIONS["loss"] + "\n\ndef cross_entropy(s, t, **k):\n    return torch.nn.functional.cross_entropy(s, t)\n"
    outcome = said(submission(loss=text), BY_HEART)
    assert outcome.status == "failed"
    assert "torch.nn.functional.cross_entropy" in outcome.message


def test_an_error_in_the_stack_is_said_with_its_place():
    text = SOLUTIONS["model"].replace("return self.lm_head(", "return self.nothing(")
    outcome = said(submission(model=text), BY_HEART)
    assert outcome.status == "failed"
    assert "AttributeError" in outcome.message
    assert "exercises/model.py:" in outcome.message


def test_isolated_it_costs_its_own_part_too(pool):
    found = grade(mistaken("training", "load-no-rng"), units=["capstone"], only=["resume", "trajectory"], pool=pool)
    assert {e.exercise: e.status for e in found.units[0].exercises} == {"trajectory": "passed", "resume": "failed"}


@pytest.mark.parametrize("seed", range(20))
def test_the_entropy_is_what_sentences_cost(seed):
    language, number = Language.draw(seed), 20000
    text = language.sentences(number, seed)
    # A sentence's surprise is between 0 and 25 nats, with a spread of less than 4: six deviations of the mean.
    assert math.isclose(language.surprise(text) / number, language.entropy, abs_tol=6 * 4 / number**0.5)
    assert all(language.allows(line) for line in text.splitlines())


def test_a_line_that_is_no_sentence_is_refused():
    language = Language.draw(0)
    subject, *middle, echo = language.sentences(1, 0).split()
    other = next(word for word in language.echoes.values() if word != echo)
    for line in ("", subject, " ".join([subject, *middle, other]), " ".join([subject, *middle, echo, echo]), " "):
        assert not language.allows(line)
    with pytest.raises(ValueError, match="no sentence"):
        language.surprise(" ".join([subject, *middle, other]))


def test_languages_and_texts_are_those_of_their_seeds():
    assert Language.draw(1) == Language.draw(1) != Language.draw(2)
    assert Language.draw(1).sentences(5, 1) == Language.draw(1).sentences(5, 1) != Language.draw(1).sentences(5, 2)
