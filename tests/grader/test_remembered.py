"""Remembered: the kit's own code is asked the same question once, and a question that is another one again."""

import random
from functools import partial

import numpy as np
import pytest
import torch

from grader.checking import Counting
from grader.checking.question import Raised
from grader.checking.remembered import Remembered


class Asking:
    """A memory, and how often somebody was asked."""

    def __init__(self, **options):
        self.memory, self.times = Remembered(**options), 0

    def __call__(self, question, who="the reference", attempt=0):
        def ask():
            self.times += 1
            return question(torch)

        return self.memory.answer(who, question, ask, attempt)


def total_of(*held, start=0):
    return lambda unit: [unit.as_tensor(value).sum() + start for value in held]


def test_the_same_question_is_asked_once_and_each_gets_an_answer_of_its_own():
    ask = Asking()
    first = ask(total_of(torch.ones(3)))
    first[0].zero_()
    assert ask(total_of(torch.ones(3))) == [torch.tensor(3.0)]
    assert ask.times == 1


@pytest.mark.parametrize(
    "other",
    [
        total_of(torch.ones(3, dtype=torch.float64)),
        total_of(torch.ones(1, 3)),
        total_of(torch.ones(3).requires_grad_()),
        total_of(torch.ones(6)[::2]),
        total_of(torch.tensor([1.0, 1.0, -1.0])),
        total_of(torch.ones(3), start=-0.0),
        total_of([1.0, 1.0, 1.0]),
        total_of(torch.ones(3), torch.ones(3)),
        lambda unit: unit.ones(3).sum(),
    ],
)
def test_another_question_is_asked(other):
    ask = Asking()
    ask(total_of(torch.ones(3)))
    ask(other)
    assert ask.times == 2


def test_another_one_who_is_asked_and_another_default_dtype_are_not_the_same():
    ask, question = Asking(), total_of([1.5])
    ask(question)
    ask(question, who="a mistake")
    torch.set_default_dtype(torch.float64)
    try:
        assert ask(question)[0].dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert ask.times == 3


@pytest.mark.parametrize(
    "draw", [lambda unit: unit.rand(2), lambda unit: random.random(), lambda unit: np.random.rand()]
)
def test_another_attempt_is_the_same_unless_something_is_drawn(draw):
    ask = Asking()
    for attempt in (0, 1, 1, 0):
        ask(total_of([1.5]), attempt=attempt)
    assert ask.times == 1
    for attempt in (0, 1, 1, 0):
        ask(draw, attempt=attempt)
    assert ask.times == 3


def test_a_question_is_looked_at_once_where_whoever_answers_puts_it_back():
    held, memory, times = torch.ones(2), Remembered(), []

    def spoil():
        held.zero_()
        times.append(1)
        return [0.0]

    for _ in range(2):
        assert memory.answer("a mistake", question := total_of(held), spoil, restored=True) == [0.0]
    assert len(times) == 2
    held.fill_(3.0)
    assert memory.answer("a mistake", question, spoil, restored=True) == [0.0]
    assert len(times) == 2


def test_a_question_that_assigns_to_a_variable_of_its_check_is_asked_each_time():
    number = 0

    def count(unit):
        nonlocal number
        number += 1
        return number

    ask = Asking()
    assert [ask(count), ask(count)] == [1, 2]


@pytest.mark.parametrize(
    "held", [torch.Generator(), Counting([1]), iter([1]), partial(print), "/tmp/a file", object(), torch.ones(2).exp]
)
def test_what_holds_an_object_is_asked_each_time(held):
    ask = Asking()
    for _ in range(2):
        ask(lambda unit, held=held: [1])
    assert ask.times == 2


def test_a_question_that_changes_what_it_holds_is_asked_each_time():
    ask, held = Asking(), []

    def question(unit):
        held.append(1)
        return list(held)

    assert [ask(question), ask(question)] == [[1], [1, 1]]


def test_a_question_that_changes_what_it_holds_and_is_put_back_changes_it_again():
    ask = Asking()
    for _ in range(2):
        held = [3, 1, 2]

        def question(unit, held=held):
            held.sort()
            return list(held)

        ask(question)
        assert held == [1, 2, 3]


def test_what_is_drawn_does_not_depend_on_what_ran_before_nor_change_what_comes_after():
    state = torch.default_generator.get_state()
    draw = lambda unit: unit.rand(3)  # noqa: E731
    first = Asking()(draw)
    torch.rand(5)
    after = torch.default_generator.get_state()
    assert torch.equal(Asking()(draw), first)
    assert not torch.equal(Asking()(draw, attempt=1), first)
    assert torch.equal(torch.default_generator.get_state(), after)
    torch.default_generator.set_state(state)


def test_an_error_is_remembered_without_the_values_of_its_frames():
    try:
        raise ValueError("no")
    except ValueError as error:
        raised = Raised("ValueError", "no", error)
    ask = Asking()
    for _ in range(2):
        found = ask(lambda unit: raised)
        assert isinstance(found.error, ValueError)
    assert found.error.__traceback__ is None


def test_the_oldest_answers_go_when_there_are_too_many():
    ask = Asking(most=20_000)
    for number in (*range(30), 29, 0):
        ask(lambda unit, number=number: [number] * 20)
    assert ask.times == 31
