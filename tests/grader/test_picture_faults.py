"""What goes wrong in the learner's code while a picture is made is said in a sentence, with the place."""

import pytest

from grader.plots import attention, loss, schedule, tokenizer
from grader.training.loading import Fault, Stub, opened
from tests.grader.targets import SOLUTIONS, with_edits, without


def fault(submission, work):
    """The fault as which an error comes out."""
    with pytest.raises(Fault) as caught, opened(submission) as learner:
        work(learner)
    return caught.value


def look(learner):
    return attention.fresh(learner, "a b")


def cut(learner):
    return tokenizer.collect(learner, "a b")


def with_softmax(line):
    return with_edits("attention", ("    wide = _widen(scores)\n", f"    {line}\n"))


def test_a_stub_further_down_is_named():
    said = fault(with_softmax('raise NotImplementedError("attention.softmax is still a stub")'), look)
    assert isinstance(said, Stub)
    assert str(said) == "attention.softmax is still a stub: write it first, then pytest -k attention"


def test_a_stub_that_is_a_method_is_named_as_its_class():
    raises = 'raise NotImplementedError("attention.MultiHeadAttention.forward is still a stub")'
    said = fault(with_softmax(raises), look)
    assert str(said).startswith("attention.MultiHeadAttention is still a stub: write it first")


@pytest.mark.parametrize("line", ["wide = scores.oops", 'raise SystemExit("oops")'])
def test_an_error_of_the_learner_is_given_with_its_place(line):
    submission = with_softmax(line)
    rows = submission.files["attention"].text.splitlines()
    number = next(number for number, row in enumerate(rows, start=1) if line in row)
    said = str(fault(submission, look))
    assert said.startswith(f"exercises/attention.py:{number} in softmax: ")
    assert "oops" in said


@pytest.mark.parametrize("unit", ["attention", "embedding", "position"])
def test_a_missing_file_is_named_also_where_another_file_imports_it(unit):
    assert str(fault(without(unit), look)) == f"There is no file {unit}.py in the submission."


def test_a_file_that_is_no_python_is_named():
    submission = with_edits("embedding", ("class Embedding(nn.Module):", "class Embedding(nn.Module:"))
    assert str(fault(submission, look)).startswith("Python cannot read exercises/embedding.py:")


def test_a_missing_name_is_told_with_how_to_get_it_back():
    submission = with_edits("training", ("def train(\n", "def train_it(\n"))
    said = str(fault(submission, lambda learner: loss.collect(learner, 1)))
    assert said == "There is no train in exercises/training.py. To get its stub back: grader reset training.train"


def test_a_name_that_is_missed_on_the_way_is_told_the_same():
    said = str(fault(SOLUTIONS, lambda learner: learner("model").Llama))
    assert said == "There is no Llama in solutions/model.py. To get its stub back: grader reset model.Llama"


def test_weights_of_another_shape_are_told():
    old = "        return self.out_proj(_merge_heads(mixed)), weights\n\n\nclass GroupedQueryAttention"
    submission = with_edits("attention", (old, old.replace(", weights", ", weights[0]")))
    said = str(fault(submission, look))
    assert said.startswith("attention.MultiHeadAttention, for the weights, gave shape (4, 2, 2), expected a tensor of")
    assert said.endswith("See pytest -k attention")


def test_one_thing_in_place_of_two_is_told():
    old = "        return self.out_proj(_merge_heads(mixed)), weights\n\n\nclass GroupedQueryAttention"
    said = str(fault(with_edits("attention", (old, old.replace(", weights", ""))), look))
    assert said.startswith("attention.MultiHeadAttention gave Tensor, expected two things, the output and the weights")


def test_a_schedule_that_gives_no_number_is_told():
    submission = with_edits("schedule", ("    return (step + 1) / warmup_steps\n", "    return None\n"))
    assert str(fault(submission, schedule.collect)).startswith(
        "schedule.linear_warmup gave NoneType, expected a number"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "        return list(self.encode_iterable([text]))",
            "        return None #",
            "gave NoneType, expected a list of ids",
        ),
        ("        return list(self.encode_iterable([text]))", "        return [5000] #", "gave 5000, expected ids of"),
        ("    return vocab, merges", "    return merges", "tokenizer.train_bpe gave list, expected a vocabulary"),
    ],
)
def test_a_tokenizer_that_gives_no_tokens_is_told(old, new, said):
    assert said in str(fault(with_edits("tokenizer", (old, new)), cut))


def test_an_error_of_our_own_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), opened(SOLUTIONS):
        _ = 1 / 0
