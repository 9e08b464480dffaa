"""One check, run: what is a stub, what counts as done, whose fault it is, and that a mistake costs once."""

import pytest
import torch

from grader.checking import runner as checking
from grader.checking.target import LocalTarget
from grader.curriculum import load
from grader.curriculum.stubs import make
from grader.curriculum.submission import KIT, Submission, from_bytes
from tests.grader.learners import (
    ATTENTION,
    LOWER,
    OWN_SOFTMAX,
    SOLUTION,
    STUB,
    appended,
    asked,
    checks,
    graded,
    learner,
    tried,
    with_softmax,
)

DOUBLED = with_softmax(
    "shares = torch.exp(2 * scores - 2 * scores.amax(dim, keepdim=True))\nreturn shares / shares.sum(dim, keepdim=True)"
)
RAISING = with_softmax("raise ZeroDivisionError('always')")
SDPA = "scaled_dot_product_attention"


def statuses(text, *exercises):
    return {outcome.status for outcome, _ in tried(text, *exercises)}


def messages(text, *exercises):
    return [outcome.message for outcome, _ in tried(text, *exercises)]


# Stubs, and what is missing


def test_every_check_of_every_stub_is_todo():
    found = graded(STUB)
    assert {check.status for check in found.checks} == {"todo"}
    assert found.score == 0
    assert found.max_score == ATTENTION.points
    for unit in found.units:
        for exercise in unit.exercises:
            assert {check.message for check in exercise.checks} == {f"attention.{exercise.exercise} is still a stub"}


def test_a_class_that_is_begun_and_calls_what_is_still_a_stub_is_todo():
    init = SOLUTION.partition("class SelfAttention")[2].partition("    def __init__")[2].partition("    def forward")[0]
    text = STUB + (
        f"\n\nclass SelfAttention(nn.Module):\n    def __init__{init}"
        "    def forward(self, x, mask=None):\n"
        '        raise NotImplementedError("attention.SelfAttention.forward is still a stub")\n'
        "\n\ndef _initial_weight(rows, columns, generator):\n"
        "    return nn.Parameter(torch.randn(rows, columns, generator=generator) * columns**-0.5)\n"
    )
    found = tried(text, "SelfAttention")
    assert {outcome.message for outcome, _ in found if outcome.status == "todo"} == {
        "attention.SelfAttention.forward is still a stub"
    }
    assert {outcome.status for outcome, _ in found} == {"passed", "todo"}  # what is begun may earn already


def test_a_missing_definition_is_named_and_so_is_what_is_there():
    text = "import torch\n\n\ndef Softmax(scores, dim):\n    return scores\n\n\nclass Mask: pass\n"
    expected = "exercises/attention.py defines no softmax; it defines Softmax, Mask."
    assert set(messages(text, "softmax")) == {expected}
    assert set(messages("", "softmax")) == {"exercises/attention.py defines no softmax; it defines nothing."}
    assert statuses("", "softmax") == {"failed"}


def test_a_file_that_python_cannot_read_fails_with_its_sentence():
    assert set(messages("x = = 1", "softmax")) == {
        "Python cannot read exercises/attention.py:1: SyntaxError: invalid syntax.\n    x = = 1\n        ^"
    }


def test_a_file_that_raises_when_imported_fails_with_the_line():
    text = f"{SOLUTION}\n1 / 0\n"
    place = f"exercises/attention.py:{len(text.splitlines())}"
    expected = f"attention.softmax raised ZeroDivisionError: division by zero\n  {place}"
    assert set(messages(text, "softmax")) == {expected}


# What counts as done


@pytest.mark.parametrize(
    "code",
    [
        f"{OWN_SOFTMAX}\nsoftmax = my_softmax",
        f"{OWN_SOFTMAX}\ndef softmax(scores, dim):\n    return my_softmax(scores, dim)",
        f"{OWN_SOFTMAX}\nsoftmax = lambda scores, dim: my_softmax(scores, dim)",
        f"{OWN_SOFTMAX}\nif True:\n    def softmax(scores, dim):\n        return my_softmax(scores, dim)",
        f"import functools\n{OWN_SOFTMAX}\nsoftmax = functools.partial(my_softmax)",
        f"{OWN_SOFTMAX}\nclass Softmax:\n    def __call__(self, scores, dim):\n        return my_softmax(scores, dim)\n"
        "softmax = Softmax()",
    ],
    ids=["alias", "helper", "lambda", "in an if", "partial", "object"],
)
def test_however_it_is_written_it_counts(code):
    old = SOLUTION.replace("def softmax(", "def _the_old_softmax(")
    text = f"{old}\n\n{code}\n"
    assert set(messages(text, "softmax")) == {""}
    assert statuses(text, "softmax") == {"passed"}


# A mistake costs its points once


@pytest.mark.parametrize("text", [DOUBLED, RAISING], ids=["wrong", "raising"])
def test_a_wrong_softmax_costs_its_own_points_and_no_others(pool, text):
    workers = pool if text is DOUBLED else None
    found = graded(text, "softmax", SDPA, "SelfAttention", "sliding_window_mask", pool=workers)
    (unit,) = found.units
    softmax, *others = unit.exercises
    assert softmax.status == "failed"
    assert softmax.score == 0
    for exercise in others:
        assert exercise.status == "passed", [c.message for c in exercise.checks if c.status != "passed"]
        assert exercise.score == exercise.max_score
    assert found.score == sum(exercise.max_score for exercise in others)


def test_locally_the_message_says_that_the_fault_is_below():
    found = tried(RAISING, "softmax", SDPA)
    of_attention = [(o, carried) for o, carried in found if "softmax" not in o.check]
    assert all(o.status == "passed" for o, _ in of_attention)
    assert {o.message for o, carried in of_attention if carried} == {
        "The bug is in attention.softmax, which this exercise uses: "
        "with the reference's attention.softmax this check passes."
    }


def test_a_fault_in_a_unit_below_is_said_to_be_there():
    linear = (KIT / "solutions" / "embedding.py").read_text(encoding="utf-8")
    broken = from_bytes(
        "exercises/embedding.py", linear.replace("x @ self.weight.mT", "2 * x @ self.weight.mT").encode()
    )
    found = learner(SOLUTION)
    runner = checking.Runner(LocalTarget(Submission("learner", {**found.files, "embedding": broken})), 0)
    check = next(c for c in checks("SelfAttention") if c.id.kind == "gradient")
    outcome, carried = runner.run(check.id, check.body(0))
    assert carried
    assert (
        outcome.message
        == "The bug is in embedding, which this exercise uses: with the reference's embedding this check passes."
    )


def test_what_waits_for_stubs_of_units_below_names_one():
    stubs = {unit: make(load()[unit], text) for unit, text in LOWER.items()}
    files = {unit: from_bytes(f"exercises/{unit}.py", text.encode()) for unit, text in stubs.items()}
    runner = checking.Runner(LocalTarget(Submission("learner", {**learner(SOLUTION).files, **files})), 0)
    check = next(c for c in checks("MultiHeadAttention") if c.id.kind == "gradient")
    outcome, carried = runner.run(check.id, check.body(0))
    assert carried
    assert outcome.message.startswith("embedding.Linear is still a stub: with the reference's embedding.Linear")


def test_what_is_wrong_itself_is_not_blamed_on_what_is_below():
    wrong = SOLUTION.replace("output = weights @ _widen(value)", "output = weights @ _widen(value) * 2")
    text = wrong.replace("wide - wide.amax", "2 * wide - wide.amax")
    failed = [o for o, _ in tried(text, SDPA) if o.status == "failed"]
    assert failed
    assert not any("which this exercise uses" in o.message for o in failed)


def test_what_builds_on_a_mistake_is_carried_and_the_mistake_is_not():
    text = SOLUTION.replace("output = weights @ _widen(value)", "output = weights @ _widen(value) * 2")
    found = graded(text, SDPA, "SelfAttention")
    assert [e.status for e in found.units[0].exercises] == ["failed", "passed"]


# The grader's own fault


def test_an_oracle_that_raises_is_the_graders_fault():
    def check(given):
        given.agree("softmax", torch.zeros(2, 3), 7)  # there is no axis 7

    outcome = asked(SOLUTION, "softmax", check)
    assert outcome.status == "error"
    assert outcome.message.startswith("The grader failed: the reference raised IndexError: Dimension out of range")
    assert outcome.mistake == ""


def test_an_oracle_that_does_not_raise_is_the_graders_fault():
    def check(given):
        given.agree.raises("causal_mask(3)", lambda unit: unit.causal_mask(3), ValueError)

    for text in (SOLUTION, appended("def causal_mask(*args):\n    raise ValueError")):
        outcome = asked(text, "causal_mask", check)
        assert (outcome.status, outcome.message) == (
            "error",
            "The grader failed: the reference does not raise ValueError",
        )


def test_a_check_that_fails_on_the_reference_is_the_graders_fault():
    def check(given):
        assert given.unit.softmax(torch.zeros(2), 0)[0] == 3, "impossible"

    for text in (SOLUTION, DOUBLED, RAISING):
        outcome = asked(text, "softmax", check)
        assert outcome.status == "error"
        assert outcome.message.startswith("The grader's own check fails:")


@pytest.mark.parametrize("text", [SOLUTION, DOUBLED, STUB], ids=["right", "wrong", "stub"])
def test_a_check_with_a_fault_of_its_own_is_never_failed(text):
    def check(given):
        given.rand.no_such_method()

    assert asked(text, "softmax", check).status == ("todo" if text is STUB else "error")


def test_an_interrupt_ends_the_run():
    def check(given):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked(SOLUTION, "softmax", check)


# Seeds


def inputs(seed, name="made_up"):
    seen = []
    asked(SOLUTION, "softmax", lambda given: seen.append(given.rand(3, 4)), seed=seed)
    return seen[0]


def test_a_seed_decides_the_inputs():
    assert torch.equal(inputs(1), inputs(1))
    assert not torch.equal(inputs(1), inputs(2))


def test_the_same_seed_gives_the_same_results_locally_and_isolated(pool):
    def facts(seed, pool):
        found = graded(DOUBLED, "softmax", "causal_mask", pool=pool, seed=seed)
        return [(c.check, c.status, c.message, c.mistake, c.criterion) for c in found.checks]

    local = facts(5, None)
    assert facts(5, pool) == local
    assert facts(6, pool) != local
    assert [c[:2] for c in facts(6, pool)] == [c[:2] for c in local]


def test_every_check_has_inputs_of_its_own():
    from grader.checking.seeding import Rand

    assert not torch.equal(Rand(0, "attention.one")(3), Rand(0, "attention.two")(3))
    assert checking.Rand is Rand


def test_a_grader_that_fails_at_the_second_try_is_an_error_of_its_own(monkeypatch):
    tries = []

    def fails_later(runner, check, body, target, given=(), passed=None):
        tries.append(bool(given))
        if given:
            raise checking.GraderFault("the zygote has gone")
        raise ValueError("wrong")

    monkeypatch.setattr(checking.Runner, "_attempt", fails_later)
    outcome, carried = next(iter(tried(SOLUTION, "scaled_dot_product_attention")))
    assert (outcome.status, carried, tries[:2]) == ("error", False, [False, True])
    assert "the zygote has gone" in outcome.message


@pytest.mark.parametrize(("busy", "status"), [(1, "passed"), (2, "error")])
def test_a_machine_that_was_too_busy_gets_a_second_try_and_is_never_the_learners_fault(monkeypatch, busy, status):
    tries = []
    put = checking.Runner._put

    def starve(runner, check, body, target, given, passed):
        tries.append(given)
        if len(tries) <= busy:
            raise checking.TooBusy("the machine is too busy")
        put(runner, check, body, target, given, passed)

    monkeypatch.setattr(checking.Runner, "_put", starve)
    outcome, _ = next(iter(tried(SOLUTION, "causal_mask")))
    assert outcome.status == status, outcome.message
