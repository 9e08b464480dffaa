"""Naming: what counts as evidence for a known mistake, and that a diagnosis never raises."""

import warnings

import pytest
import torch

from grader.checking import search
from grader.checking.compare import difference
from grader.checking.naming import Evidence, can_explain, is_telling, matches, name_mistake
from grader.checking.question import Asked, Disagreement, Raised, put
from grader.checking.variants import Mistake
from grader.sandbox.worker.refusals import DEVICES
from tests.grader.learners import SOLUTION, asked, edited, with_softmax

SCALE = "scores = scores / math.sqrt(d_head)"


class Answering:
    """A suspect whose unit is a function."""

    own, named = True, False

    def __init__(self, says, unit):
        self.mistake = Mistake(says, "softmax", says)
        self.module = lambda: unit

    def shortcut(self):
        return ""


def about(x, truth):
    return Asked("f(x)", lambda unit: unit(x), lambda got: difference(got, truth(x)), truth(x))


def name(unit, suspects, *, x, truth, passed=(), more=(), failed=()):
    """What is said of a unit that is wrong about x."""
    question = about(x, truth)
    got = put(question.question, unit)
    error = Disagreement(question, question.wrong(got), got)
    evidence = Evidence(
        passed=[about(value, truth) for value in passed],
        failed=[(about(value, truth), unit(value)) for value in failed],
        ask=lambda: [(about(value, truth), unit(value)) for value in more],
    )
    found = name_mistake(error, [Answering(*suspect) for suspect in suspects], evidence)
    return found and found.says


X = torch.tensor([0.3, -1.2, 2.5])


def test_the_mistake_that_answers_the_same_is_named():
    assert (
        name(lambda x: 2 * x, [("doubles", lambda x: x + x), ("triples", lambda x: 3 * x)], x=X, truth=lambda x: x)
        == "doubles"
    )


def test_a_mistake_that_fails_what_was_passed_is_not_named():
    unit = lambda x: 2 * x if x.sum() > 0 else x  # noqa: E731
    assert name(unit, [("doubles", lambda x: x + x)], x=X, truth=lambda x: x, passed=[-X]) is None


def test_a_mistake_that_answers_the_next_question_otherwise_is_not_named():
    unit = lambda x: x.abs()  # noqa: E731
    suspects = [("negates", lambda x: -x)]
    assert name(unit, suspects, x=-X.abs(), truth=lambda x: x) == "negates"
    assert name(unit, suspects, x=-X.abs(), truth=lambda x: x, more=[X]) is None


def test_what_went_wrong_before_tells_two_apart():
    alike = [("doubles", lambda x: x + x), ("doubles what is positive", lambda x: x + x.relu())]
    positive, before = torch.tensor([0.3, 1.5]), torch.tensor([-1.0, 2.0])
    assert name(lambda x: 2 * x, alike, x=positive, truth=lambda x: x) is None
    assert name(lambda x: 2 * x, alike, x=positive, truth=lambda x: x, failed=[before]) == "doubles"


def test_of_two_that_explain_as_much_none_is_named_unless_they_say_the_same():
    twice = [("doubles", lambda x: x + x), ("adds itself", lambda x: 2 * x)]
    assert name(lambda x: 2 * x, twice, x=X, truth=lambda x: x) is None
    same = [("doubles", lambda x: x + x), ("doubles", lambda x: 2 * x)]
    assert name(lambda x: 2 * x, same, x=X, truth=lambda x: x) == "doubles"


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0.0])
def test_an_answer_that_many_mistakes_give_names_none(value):
    unit = lambda x: torch.full_like(x, value)  # noqa: E731
    assert name(unit, [("takes the root", unit)], x=torch.zeros(3), truth=lambda x: x + 1) is None


def test_zeros_are_telling_where_the_right_answer_is_not_uniform():
    assert name(torch.zeros_like, [("returns zeros", torch.zeros_like)], x=X, truth=lambda x: x) == "returns zeros"


def error_of(got, expected):
    return Disagreement(Asked("f()", lambda unit: None, lambda got: "wrong", expected), "wrong", got)


@pytest.mark.parametrize(
    ("says", "got", "expected", "can"),
    [
        ("you do not refuse a k below 1.", torch.zeros(1), Raised("ValueError", ""), True),
        ("your values are halved.", torch.zeros(1), Raised("ValueError", ""), False),
        ("you accept k below 1.", Raised("RuntimeError", "x"), Raised("ValueError", ""), False),
        ("you raise a RuntimeError.", Raised("RuntimeError", "x"), Raised("ValueError", ""), True),
        ("your values are halved.", Raised("TypeError", "x"), torch.zeros(1), False),
        ("a k above the vocabulary crashes.", Raised("TypeError", "x"), torch.zeros(1), True),
        ("your values are halved.", Raised("RuntimeError", "x"), torch.zeros(1), True),
    ],
)
def test_a_sentence_is_about_the_kind_of_failure(says, got, expected, can):
    assert can_explain(Mistake("m", "softmax", says), error_of(got, expected)) is can


@pytest.mark.parametrize(
    ("got", "expected", "telling"),
    [
        (torch.tensor([1.5, 2.5]), torch.tensor([1.0, 2.0]), True),
        (torch.zeros(0), torch.zeros(0), False),
        (torch.tensor([True, True]), torch.tensor([False, False]), False),
        ({"a": torch.zeros(2), "b": X}, {"a": torch.ones(2), "b": X}, False),
        ([torch.zeros(2), X], [torch.zeros(2), 2 * X], True),
        ([torch.zeros(2)], [torch.zeros(2)] * 3, True),
    ],
)
def test_an_answer_is_telling(got, expected, telling):
    assert is_telling(Asked("f()", lambda unit: None, lambda got: difference(got, expected), expected), got) is telling


def test_matches_means_exactly_the_same():
    one = {"the result": torch.tensor([1.0, 2.0])}
    assert matches(one, {"the result": torch.tensor([1.0, 2.0])})
    assert not matches(one, {"the result": torch.tensor([1.0, 2.001])})
    assert not matches(one, {"the result": torch.tensor([1.0, 2.0], dtype=torch.float64)})
    assert not matches(one, {"the result": torch.tensor([1.0, 2.0]), "the gradient of x": torch.zeros(1)})


def test_matches_compares_errors_by_type_and_message():
    assert matches(Raised("ValueError", "no"), Raised("ValueError", "no", ValueError("another object")))
    assert not matches(Raised("ValueError", "no"), Raised("TypeError", "no"))
    assert not matches(Raised("ValueError", "no"), Raised("ValueError", "yes"))
    assert not matches(Raised("ValueError", "no"), torch.zeros(1))
    assert not matches(torch.zeros(1), Raised("ValueError", "no"))


def test_an_assert_matches_whatever_its_line_or_words():
    assert matches(Raised("AssertionError", "assert x.shape[-1] == 4"), Raised("AssertionError", "wrong size"))
    assert not matches(Raised("AssertionError", "wrong size"), Raised("ValueError", "wrong size"))


def test_a_question_is_the_same_for_the_next_unit():
    x = X.clone()
    assert put(lambda unit: unit(x), lambda x: x.mul_(2)).tolist() == (2 * X).tolist()
    assert x.tolist() == X.tolist()


def test_a_warning_of_a_mistake_does_not_reach_the_learner():
    def warns(x):
        warnings.warn("of the mistake's own code", stacklevel=1)
        return 2 * x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert name(lambda x: 2 * x, [("doubles", warns)], x=X, truth=lambda x: x) == "doubles"


# Diagnosis never raises


@pytest.mark.parametrize("error", [MemoryError, RecursionError, SystemExit, RuntimeError])
def test_a_diagnosis_that_fails_leaves_the_message_without_a_name(monkeypatch, error):
    def fails(*arguments):
        raise error

    monkeypatch.setattr(search.mistakes, "suspects", lambda *a, **options: (fails() for _ in range(1)))
    outcome = asked(with_softmax("return 2 * scores"), "softmax", lambda given: given.agree("softmax", X.double(), -1))
    assert outcome.status == "failed"
    assert outcome.mistake == ""


def test_a_diagnosis_begins_without_the_learners_values(monkeypatch):
    held = []

    def look(error, suspects, evidence):
        frame = error.__cause__.__traceback__
        while frame.tb_next:
            frame = frame.tb_next
        held.append(frame.tb_frame.f_locals)

    monkeypatch.setattr(search, "name_mistake", look)
    text = with_softmax("large = torch.zeros(1000)\nraise ValueError(str(len(large)))")
    assert asked(text, "softmax", lambda given: given.agree("softmax", X.double(), -1)).status == "failed"
    assert held == [{}]


# Python's own help


def softmax_says(body):
    return asked(with_softmax(body), "softmax", lambda given: given.agree("softmax", X.double(), -1)).message


def test_a_name_that_was_meant_is_said():
    assert "name 'scorez' is not defined. Did you mean: 'scores'?" in softmax_says("return scorez")


def test_an_assert_without_a_message_is_said_by_its_line():
    assert "raised AssertionError: assert scores.dim() == 7\n" in softmax_says(
        "assert scores.dim() == 7\nreturn scores"
    )
    outcome = asked(SOLUTION + "\nassert 1 == 2\n", "softmax", lambda given: given.agree("softmax", X.double(), -1))
    line = len(SOLUTION.splitlines()) + 2
    assert outcome.message == f"attention.softmax raised AssertionError: assert 1 == 2\n  exercises/attention.py:{line}"


def test_a_gpu_that_is_not_there_is_explained():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU on this machine")
    assert DEVICES in softmax_says('return scores.to("cuda")')


def test_a_mistake_is_still_named_after_all_this():
    def check(given):
        given.agree("scaled_dot_product_attention", given.rand(5, 8), given.rand(7, 8), given.rand(7, 4), None)

    assert asked(edited((SCALE, "scores = scores")), "scaled_dot_product_attention", check).mistake == "no-scaling"


def test_a_chain_of_errors_that_leads_back_to_its_beginning_ends():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    search.free_frames(first)
