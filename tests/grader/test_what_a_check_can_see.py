"""The words in which a check asks for what values cannot show: the same answers here and behind the boundary."""

import io
import random

import numpy as np
import pytest
import torch

from grader.checking import Counting, default_dtype
from grader.checking.capture import observe
from grader.checking.effects import Held, changed_parts
from grader.checking.target import IsolatedTarget, LocalTarget
from grader.curriculum import load
from grader.curriculum.submission import Submission, from_bytes
from grader.sandbox.host.pool import Limits

UNIT = load()["attention"]
SOURCE = """
import random
import numpy as np
import torch
from torch import nn

CACHE = torch.tril(torch.ones(4, 4, dtype=torch.bool))
ARRAY = np.arange(4)


def shorten(value):
    value.pop()


def change(ids, group, nested, array, file):
    ids.sort()
    group["lr"] = 0.5
    nested["names"][0].add("new")
    array[1] = 7
    file.seek(0)
    file.write(b"other")


def halfway(ids):
    ids.append(4)
    raise ValueError("no")


def replace(tensors):
    tensors[0] = tensors[0] * 2


def cached():
    return CACHE


def window(text, at):
    return text[at : at + 2]


class Text:
    def __init__(self, text):
        self.text = text.clone()

    def live(self, at):
        return self.text[at : at + 2]

    def copied(self, at):
        return self.text[at : at + 2].clone()

    def expanded(self):
        return self.text[:1].expand(3)

    def array(self):
        return ARRAY


class State:
    def __init__(self):
        self.position = 3
        self.weights = {"w": torch.zeros(2)}

    def state_dict(self):
        return {"position": self.position, "weights": dict(self.weights)}

    def wiped(self):
        self.weights["w"] = torch.ones(2)
        self.position = 0
        raise ValueError("no")

    def kept(self):
        raise ValueError("no")


def mask(rows, device=None):
    return torch.ones(rows, rows, dtype=torch.bool, device=device).tril()


def twice(x):
    return x * 2


class Linear(nn.Module):
    def __init__(self, device=None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 3, device=device))

    def forward(self, x):
        return x @ self.weight.T


def graphics():
    return torch.device("cuda")


def draw(*names, generator=None, other=None):
    if "generator" in names:
        torch.rand(1, generator=generator)
    if "torch" in names:
        torch.rand(1)
    if "numpy" in names:
        np.random.rand()
    if "random" in names:
        random.random()


def whole(x):
    return (x[:, None] * x).sum()


def views(x):
    return x.expand(1000, len(x))


def chain(x, steps):
    for _ in range(steps):
        x = x.exp()
    return x


def losses(x, steps, at_once):
    total = 0
    for _ in range(steps):
        loss = x.exp().sum()
        total = total + loss
        if not at_once:
            total.backward()
            total = 0
    if at_once:
        total.backward()


def text_of(size):
    return len("".join(chr(97 + i % 26) for i in range(size)))


def array_of(data):
    return int(data.astype(np.int64)[0])


def loop(count):
    for _ in range(count):
        pass


def pairs(items):
    while True:
        try:
            yield [next(items), next(items)]
        except StopIteration:
            return


def made():
    return torch.zeros(2)
"""


@pytest.fixture(params=["here", "behind the boundary"])
def target(request):
    submission = Submission("learner", {"attention": from_bytes("exercises/attention.py", SOURCE.encode())})
    if request.param == "here":
        target = LocalTarget(submission, package="seen")
    else:
        target = IsolatedTarget(submission, request.getfixturevalue("pool"), Limits(), 0)
    yield target
    target.close()


@pytest.fixture
def unit(target):
    return target.open(UNIT, UNIT.exercises[0])


# Arguments


def test_every_container_that_a_call_changes_is_changed_here(unit):
    ids, group, nested = [3, 1, 2], {"lr": 0.1}, {"names": [{"old"}, ()]}
    array, file = np.arange(4, dtype=np.uint16), io.BytesIO(b"text")
    inner = nested["names"][0]
    unit.change(ids, group, nested, array, file)
    assert ids == [1, 2, 3]
    assert group == {"lr": 0.5}
    assert nested == {"names": [{"old", "new"}, ()]}
    assert nested["names"][0] is inner, "changed in place, and not another set in its place"
    assert array.tolist() == [0, 7, 2, 3]
    assert file.getvalue() == b"other"


def test_what_a_call_changed_before_it_raised_is_changed_here(unit):
    ids = [1]
    with pytest.raises(ValueError, match="no"):
        unit.halfway(ids)
    assert ids == [1, 4]


def test_another_tensor_in_a_list_is_seen(unit):
    tensors = [torch.ones(2)]
    unit.replace(tensors)
    assert tensors[0].tolist() == [2, 2]


def test_an_array_that_may_not_be_written_is_not_written_there_either(unit):
    array = np.arange(4)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        unit.change([], {}, {"names": [set()]}, array, io.BytesIO())


def test_observe_shows_every_argument_that_can_change(unit):
    args = [2, 1], {"lr": 0.1}, {"names": [set()]}, np.arange(3), io.BytesIO(b"")
    seen = observe(unit.change, args, {}, ["ids", "group", "nested", "array", "file"], gradients=False)
    after = {name.partition(" ")[0]: value for name, value in seen.items() if name.endswith("(it must not change)")}
    assert after.pop("array").tolist() == [0, 7, 2]
    assert after == {"ids": [1, 2], "group": {"lr": 0.5}, "nested": {"names": [{"new"}]}, "file": b"other"}
    assert args[0] == [2, 1], "the check's own list is as it was"


def test_what_a_question_holds_is_put_back(unit):
    ids, name, log = [3, 1], "text", []

    def question(unit):
        log.append(name)
        unit.shorten(ids)

    held = Held(question)
    log.append("of the question's own")
    held.forget_changed()
    question(unit)
    assert held.put_back() == {"ids": "got 1 items, expected 2"}
    assert ids == [3, 1]


# Memory


@pytest.mark.parametrize(("method", "after"), [("live", [77, 77]), ("copied", [1, 2])])
def test_a_view_that_was_given_away_is_overwritten(target, unit, method, after):
    text = unit.Text(torch.arange(5))
    first = getattr(text, method)(1)
    target.overwrite({"windows": [first]})
    assert first.tolist() == [77, 77]
    assert getattr(text, method)(1).tolist() == after


def test_a_mask_that_was_given_away_is_overwritten(target, unit):
    before = unit.cached().clone()
    target.overwrite(unit.cached())
    assert torch.equal(unit.cached(), ~before)


def test_an_expanded_tensor_and_an_array_are_overwritten(target, unit):
    text = unit.Text(torch.arange(5))
    target.overwrite(text.expanded())
    assert text.copied(0).tolist() == [77, 1]
    target.overwrite(text.array())
    assert [int(value) for value in text.array()] == [77] * 4


def test_an_answer_of_long_ago_is_let_go(target, unit):
    text = unit.Text(torch.arange(5))
    first = text.live(1)
    for _ in range(20):
        text.copied(0)
    target.overwrite(first)
    assert text.copied(1).tolist() == ([1, 2] if target.isolated else [77, 77])


# Devices and dtypes


def test_meta_crosses_in_both_directions(unit):
    for device in ("meta", torch.device("meta")):
        mask = unit.mask(3, device=device)
        assert (mask.device.type, mask.dtype, mask.shape) == ("meta", torch.bool, (3, 3))
    assert unit.mask(3).device.type == "cpu"
    assert unit.twice(torch.ones(2, 3, device="meta")).shape == (2, 3)
    assert unit.twice(torch.ones(2, 3, device="meta")).is_meta


def test_a_module_on_meta_is_one_here(unit):
    module = unit.Linear(device="meta")
    assert module.weight.is_meta
    assert module(torch.ones(5, 3, device="meta")).shape == (5, 2)


def test_a_device_that_cannot_cross_is_an_error_that_says_so(target, unit):
    if target.isolated:
        with pytest.raises(Exception, match="device 'cuda' is not allowed"):
            unit.graphics()


def test_the_default_dtype_is_that_of_the_check(unit):
    with default_dtype(torch.float64):
        assert unit.made().dtype is torch.float64
    assert unit.made().dtype is torch.float32


# Generators


@pytest.mark.parametrize("names", [(), ("generator",), ("torch",), ("numpy",), ("random",), ("generator", "random")])
def test_who_drew_is_seen(target, unit, names):
    mine, other = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    found = target.measure(lambda: unit.draw(*names, generator=mine, other=other), generator=mine, other=other)
    assert found.drew == set(names)
    assert random.getstate()
    before = mine.get_state()
    unit.draw(*names, generator=mine)
    assert torch.equal(mine.get_state(), before) == ("generator" not in names)


# Cost


def test_the_largest_storage_is_seen(target, unit):
    x = torch.ones(50, dtype=torch.float64)
    assert target.measure(lambda: unit.whole(x)).largest == 50 * 50 * 8
    assert target.measure(lambda: unit.views(x)).largest == 0


def test_what_is_kept_for_backward_is_seen(target, unit):
    x = torch.zeros(100, requires_grad=True)
    assert target.measure(lambda: unit.chain(x, 3)).saved == 3 * 400
    assert target.measure(lambda: unit.losses(x, 5, False)).saved == 400
    assert target.measure(lambda: unit.losses(x, 5, True)).saved == 5 * 400


def test_memory_of_python_and_numpy_is_seen(target, unit):
    small, large = (target.measure(lambda size=size: unit.text_of(size)).memory for size in (10, 50_000))
    assert small < 100_000 < 400_000 < large
    data = np.zeros(1_000_000, dtype=np.uint8)
    assert target.measure(lambda: unit.array_of(data)).memory > 8_000_000


def test_lines_are_counted(target, unit):
    one, two = (target.measure(lambda count=count: unit.loop(count)).lines for count in (1000, 2000))
    assert 1990 <= two - one <= 2010


def test_work_that_asks_somebody_else_is_measured_where_it_runs(target, unit):
    assert target.measure(lambda: torch.ones(50)).largest == 200


# Iterators, refusals


def test_a_counting_iterator_knows_how_far_it_was_read(unit):
    items = Counting([1, 2, 3, 4, 5, 6])
    found = unit.pairs(items)
    assert items.taken == 0
    assert [(next(found), items.taken), (next(found), items.taken)] == [([1, 2], 2), ([3, 4], 4)]


@pytest.mark.parametrize(("method", "changed"), [("wiped", ["position", "weights.w"]), ("kept", [])])
def test_what_a_refusal_changed_is_named(unit, method, changed):
    thing = unit.State()
    before = {"position": 3, "weights": {"w": torch.zeros(2)}}
    with pytest.raises(ValueError, match="no"):
        getattr(thing, method)()
    assert changed_parts(before, thing.state_dict()) == changed


def test_changed_parts_sees_what_came_and_went():
    assert changed_parts({"a": [1, 2]}, {"a": [1, 2, 3]}) == ["a"]
    assert changed_parts({"a": 1}, {"b": 1}) == ["a", "b"]
    assert changed_parts([1, {"x": 1.0}], [1, {"x": 2.0}]) == ["1.x"]
    assert changed_parts(1, True) == ["it"]
