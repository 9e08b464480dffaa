"""Values that several checks share are made once for each seed, and an error is not provoked a second time."""

import pytest
import torch

from grader import GraderFault
from grader.checking.kept import Kept


def counted(seen, result):
    def make(rand):
        seen.append(rand.seed())
        if isinstance(result, BaseException):
            raise result
        return result

    return make


def test_a_value_is_made_once_for_each_seed():
    kept, seen = Kept(), []
    assert [kept.once(seed, (), "model", counted(seen, "trained")) for seed in (1, 1, 2, 2)] == ["trained"] * 4
    assert len(seen) == 2


def test_what_was_made_with_other_parts_is_another_value():
    kept, seen = Kept(), []
    for given in ((), ("position",), ("position",)):
        kept.once(1, given, "losses", counted(seen, "trained"))
    assert len(seen) == 2
    assert len(set(seen)) == 1  # from the same random numbers


def test_a_value_has_its_own_random_numbers_whoever_asks_first():
    numbers = {}
    for order in (("one", "two"), ("two", "one")):
        kept = Kept()
        for name in order:
            numbers.setdefault(name, set()).add(kept.once(7, (), name, lambda rand: rand.seed()))
    assert [len(found) for found in numbers.values()] == [1, 1]
    assert numbers["one"] != numbers["two"]


def test_an_error_comes_again_without_another_try():
    kept, seen = Kept(), []
    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="of the learner"):
            kept.once(1, (), "model", counted(seen, ZeroDivisionError("of the learner")))
    assert len(seen) == 1


def test_a_fault_of_the_grader_is_tried_again():
    kept, seen = Kept(), []
    with pytest.raises(GraderFault):
        kept.once(1, (), "model", counted(seen, GraderFault("no worker")))
    assert kept.once(1, (), "model", counted(seen, "trained")) == "trained"


def test_an_error_does_not_keep_the_values_of_its_frames():
    kept = Kept()

    def make(rand):
        values.append(torch.zeros(3))
        local = values[0]
        raise ValueError(str(local.sum()))

    values = []
    with pytest.raises(ValueError, match="0") as raised:
        kept.once(1, (), "model", make)
    frames = [frame.frame.f_locals for frame in raised.traceback if frame.name == "make"]
    assert frames == [{}]
