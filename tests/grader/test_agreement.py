"""Agreement: the message that a learner reads, word for word, for every way in which an answer can be wrong."""

import pytest
import torch

from grader.checking.agreement import _arguments
from grader.sandbox.protocol.pytree import flatten
from tests.grader.learners import SOLUTION, appended, asked, edited, with_softmax

SDPA = "scaled_dot_product_attention"
SCALE = "scores = scores / math.sqrt(d_head)"
SUM = "(shares / shares.sum(dim=dim, keepdim=True)).to(scores.dtype)"
SHARES = "torch.exp(scores) / torch.exp(scores).sum(dim, keepdim=True)"


def line_of(text, code):
    """Where the last line with this code stands, as messages say it."""
    number = max(i for i, line in enumerate(text.splitlines(), 1) if code in line)
    return f"exercises/attention.py:{number}"


def fixed(*shape):
    """Values that no version of torch draws differently."""
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float64).mul(0.37).sin().reshape(shape)


def same_softmax(given):
    given.agree("softmax", fixed(3, 4), -1)


def said_of(text, kind="numerics", place=None):
    outcome = asked(text, "softmax", same_softmax, kind)
    assert outcome.status == "failed", outcome
    assert outcome.message.splitlines()[0] == "attention.softmax(scores=(3, 4), dim=-1)"
    assert outcome.message.splitlines()[-1] == f"  {place or line_of(text, 'def softmax(')}"
    return outcome.message.splitlines()[1:-1]


# The whole message


def test_the_message_of_a_known_mistake():
    text = edited((SCALE, "scores = scores"))

    def check(given):
        given.agree(SDPA, fixed(2, 3, 5, 8), fixed(2, 3, 7, 8), fixed(2, 3, 7, 4), None)

    outcome = asked(text, SDPA, check)
    place = line_of(text, f"def {SDPA}(")
    assert outcome.mistake == "no-scaling"
    assert outcome.message == (
        "attention.scaled_dot_product_attention(query=(2, 3, 5, 8), key=(2, 3, 7, 8), value=(2, 3, 7, 4), mask=None)\n"
        "  the result[0]: 120 of 120 values differ (rtol 1e-05, atol 1e-06); "
        "worst at [1, 2, 3, 1]: got -0.486745, expected -0.173383\n"
        "  Known mistake: your values are exactly those without the division by sqrt(d_head).\n"
        f"  {place}"
    )


def test_the_message_of_an_unknown_mistake_has_no_name():
    text = edited((SCALE, "scores = scores * 3.3"))
    outcome = asked(text, SDPA, lambda given: given.agree(SDPA, fixed(5, 8), fixed(7, 8), fixed(7, 4)))
    assert outcome.mistake == ""
    assert outcome.message.splitlines()[0] == (
        "attention.scaled_dot_product_attention(query=(5, 8), key=(7, 8), value=(7, 4))"
    )
    assert len(outcome.message.splitlines()) == 3


def test_small_and_strange_arguments_are_shown_themselves():
    def check(given):
        given.agree("softmax", torch.tensor([1.0, 2.0], dtype=torch.float16), dim=0)

    outcome = asked(with_softmax("return scores"), "softmax", check)
    assert outcome.message.splitlines()[0] == "attention.softmax(scores=[1.0, 2.0] float16, dim=0)"


def test_a_generator_is_shown_without_its_address():
    assert _arguments({"length": 3, "generator": torch.Generator()}) == "length=3, generator=a torch.Generator"


# What a function can do wrong

WRONG = {
    "None": ("pass", "the result: got None (is there a `return`?), expected a float64 tensor of shape (3, 4)"),
    "shape": ("return scores[0]", "the result: got shape (4,), expected (3, 4)"),
    "list": ("return [scores]", "the result: got a list of 1, expected a float64 tensor of shape (3, 4)"),
    "ints": ("return scores.int()", "the result: got dtype int32, expected float64"),
    "dtype": (f"scores = scores.float()\nreturn {SHARES}", "got dtype float32, expected float64"),
}


@pytest.mark.parametrize(("body", "line"), WRONG.values(), ids=WRONG)
def test_a_wrong_result_is_said(body, line):
    assert said_of(with_softmax(body))[0] == f"  {line}"


def test_an_error_is_said_with_the_line_where_it_happened():
    text = with_softmax("shares = scores\nreturn shares.foo")
    place = line_of(text, "return shares.foo")
    assert said_of(text, place=place) == ["  raised AttributeError: 'Tensor' object has no attribute 'foo'"]


def test_a_wrong_signature_is_said():
    assert said_of(appended("def softmax(scores):\n    return scores")) == [
        "  raised TypeError: softmax() takes 1 positional argument but 2 were given"
    ]


def test_a_changed_input_is_seen():
    said = said_of(with_softmax(f"shares = {SHARES}\nscores.zero_()\nreturn shares"))
    assert said[0].startswith("  scores after the call (it must not change): 11 of 12 values differ")


def test_a_missing_gradient_is_seen_by_checks_of_gradients_alone():
    text = with_softmax(f"return ({SHARES}).detach()")
    assert said_of(text, "gradient") == [
        "  the gradient of scores: got none: no gradient reaches it, expected a float64 tensor of shape (3, 4)",
        "  Known mistake: no gradient flows through your softmax: .detach(), .data, .item() or numpy cut it off.",
    ]
    assert asked(text, "softmax", same_softmax, "numerics").status == "passed"


def test_a_wrong_gradient_is_seen():
    text = with_softmax("return torch.exp(scores) / torch.exp(scores.detach()).sum(dim, keepdim=True)")
    assert said_of(text, "gradient")[0].startswith("  the gradient of scores: 12 of 12 values differ")


# Modules


def said_of_module(text):
    def check(given):
        given.agree.module("SelfAttention", {"d_model": 4, "d_head": 3}, fixed(1, 2, 4))

    outcome = asked(text, "SelfAttention", check)
    assert outcome.status == "failed", outcome
    assert outcome.message.splitlines()[0] == "attention.SelfAttention(d_model=4, d_head=3)((1, 2, 4))"
    return outcome.message.splitlines()[1]


def test_a_class_that_is_not_a_module_is_told_so():
    text = appended("class SelfAttention:\n    def __init__(self, d_model, d_head):\n        pass")
    assert said_of_module(text) == (
        "  SelfAttention(...) gave an object of type SelfAttention, expected an nn.Module: "
        "write `class SelfAttention(nn.Module):`"
    )


def test_a_missing_parameter_is_named():
    body = said_of_module(SOLUTION.replace("self.q_proj", "self.W_q"))
    assert "there is no parameter 'q_proj.weight'; there are ['W_q.weight', " in body


def test_a_parameter_of_another_shape_is_named():
    text = edited(("self.q_proj = Linear(d_model, d_head,", "self.q_proj = Linear(d_head, d_model,"))
    assert said_of_module(text) == "  parameter 'q_proj.weight' has shape (4, 3), expected (3, 4)"


# Errors that are due


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("return torch.ones(1)", "raised nothing, expected ValueError"),
        ("raise TypeError('x')", "raised TypeError (x), expected ValueError"),
        ("raise ValueError('no')", "the message of the ValueError should mention 'queries', got 'no'"),
    ],
)
def test_an_error_that_is_due_is_asked_for(body, line):
    text = appended(f"def causal_mask(query_length, key_length=None, device=None):\n    {body}")

    def check(given):
        given.agree.raises("causal_mask(5, 3)", lambda unit: unit.causal_mask(5, 3), ValueError, "queries")

    outcome = asked(text, "causal_mask", check)
    assert outcome.message.splitlines()[0] == "attention: causal_mask(5, 3)"
    assert outcome.message.splitlines()[1].startswith(f"  {line}")
    assert asked(SOLUTION, "causal_mask", check).status == "passed"


@pytest.mark.parametrize("raised", ["ValueError('more Queries than keys')", "Narrower('queries')"])
def test_a_subclass_and_other_words_of_an_error_will_do(raised):
    text = appended(
        "class Narrower(ValueError): pass\n"
        f"def causal_mask(query_length, key_length=None, device=None):\n    raise {raised}"
    )

    def check(given):
        given.agree.raises("causal_mask(5, 3)", lambda unit: unit.causal_mask(5, 3), ValueError, "queries")

    assert asked(text, "causal_mask", check).status == "passed"


def test_flatten_finds_every_tensor():
    one, two, three = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    assert [len(t) for t in flatten({"a": [one, (two, "text")], "b": {"c": three}, "d": None})] == [1, 2, 3]
