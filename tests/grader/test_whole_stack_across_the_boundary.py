"""Models, optimizers, iterators and files of a submission, used together from the trusted side as if they were here."""

import io

import pytest
import torch
from torch import nn

from grader.checking import dependency
from grader.sandbox.host.client import Job, Session
from grader.sandbox.host.pool import Limits
from grader.sandbox.host.proxy import RemoteUnit
from grader.sandbox.worker import importer
from grader.sandbox.worker.importer import Source

BELOW = """
import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x * self.factor


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Scale()
        self.dropout = nn.Dropout(0.5)
        self.second = Scale()
        self.second.factor = self.first.factor
        self.last = Scale()

    def forward(self, x):
        return self.last(self.second(self.first(self.dropout(x))))


class SGD:
    def __init__(self, params, lr):
        self.param_groups = [{"params": list(params), "lr": lr}]

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.data -= group["lr"] * p.grad
"""

ABOVE = """
import torch
from . import below


def step(model, optimizer, x):
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = None
    loss = model.train()(x).square().mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def steps(model, optimizer, batches, rates):
    for x, rate in zip(batches, rates):
        optimizer.param_groups[0]["lr"] = rate
        yield step(model, optimizer, x)


def same_parameters(model, optimizer):
    return [any(p is q for q in model.parameters()) for p in optimizer.param_groups[0]["params"]]


def set_last_to_eval(model):
    model.train()
    model.last.eval()


def save(file, model):
    torch.save(model.state_dict(), file)


def load(file, model):
    model.load_state_dict(torch.load(file, weights_only=True))


def first_byte(path):
    with open(path, "rb") as file:
        return file.read(1)


def fail_halfway(model):
    model.train()
    model.last.factor.data.fill_(5.0)
    raise ValueError("halfway")


def freeze(model):
    model.last.factor.requires_grad_(False)


def draw():
    return torch.rand(2).shape[0]


def rand():
    return torch.rand(())


class Empty:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


class Plain:
    pass


class No:
    def __bool__(self):
        return False


def draw_from(generator):
    return torch.rand(2, generator=generator).shape[0]


def write(path):
    with open(path, "wb") as file:
        file.write(b"!")
"""

SOURCES = {"below": Source("exercises/below.py", BELOW), "above": Source("exercises/above.py", ABOVE)}


@pytest.fixture
def remote(pool):
    session = Session(pool.get(), Limits())
    session.load(Job("above", SOURCES))
    yield RemoteUnit(session)
    session.close()


@pytest.fixture
def local():
    yield importer.load("stacked", SOURCES, "above")
    importer.uninstall("stacked")


def test_a_unit_below_is_that_of_the_same_submission(remote, local):
    assert type(dependency(local, "below").Model().last).__module__ == "stacked.below"
    assert isinstance(dependency(remote, "below").Model(), nn.Module)


def test_a_unit_below_is_found_after_others_have_taken_its_name(local):
    importer.load("stacked", {"below": Source("b.py", "Model = 1"), "above": Source("a.py", "")}, "above")
    assert dependency(local, "below").Model is not 1  # noqa: F632
    other = importer.load("stacked", {"above": Source("a.py", ""), "below": Source("b.py", "Model = 2")}, "above")
    importer.load("stacked", SOURCES, "above")
    assert dependency(other, "below").Model == 2


def test_a_missing_unit_below_is_an_import_error_of_the_submission(remote):
    with pytest.raises(ImportError, match="nowhere"):
        dependency(remote, "nowhere").Model()


def test_a_training_step_changes_the_same_parameters_on_both_sides(remote):
    model = dependency(remote, "below").Model()
    optimizer = dependency(remote, "below").SGD(model.parameters(), lr=0.1)
    assert remote.same_parameters(model, optimizer) == [True, True]
    assert [p is q for p, q in zip(optimizer.param_groups[0]["params"], model.parameters(), strict=True)] == [True] * 2
    before = [p.clone() for p in model.parameters()]
    remote.step(model, optimizer, torch.ones(2, 3))
    assert all(not torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))
    assert all(p.grad is not None for p in model.parameters())


def test_an_optimizer_may_be_stepped_from_here_after_a_backward_from_here(remote):
    model = dependency(remote, "below").Model().eval()
    optimizer = dependency(remote, "below").SGD(model.parameters(), lr=0.5)
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    assert model.last.factor.tolist() == [0.0] * 3


def test_a_rate_written_here_is_obeyed_there_and_one_written_there_is_seen_here(remote):
    model = dependency(remote, "below").Model()
    optimizer = dependency(remote, "below").SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.0
    before = [p.clone() for p in model.parameters()]
    remote.step(model, optimizer, torch.ones(2, 3))
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))
    assert list(remote.steps(model, optimizer, iter([torch.ones(2, 3)]), [0.25])) != []
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_a_generator_keeps_the_parameters_up_to_date_after_each_item(remote):
    model = dependency(remote, "below").Model()
    optimizer = dependency(remote, "below").SGD(model.parameters(), lr=0.1)
    seen = [model.last.factor.clone()]
    for _ in remote.steps(model, optimizer, iter([torch.ones(2, 3)] * 3), [0.1] * 3):
        seen.append(model.last.factor.detach().clone())
    assert len({tuple(values.tolist()) for values in seen}) == 4
    model.last.factor.data.zero_()
    assert remote.step(model, optimizer, torch.ones(2, 3)) == 0.0


def test_modes_are_the_same_on_both_sides_part_by_part(remote):
    model = dependency(remote, "below").Model()
    remote.set_last_to_eval(model)
    assert {name: part.training for name, part in model.named_modules()} == {
        "": True, "first": True, "dropout": True, "second": True, "last": False
    }  # fmt: skip
    model.eval()
    assert torch.equal(model(torch.ones(2, 3)), torch.ones(2, 3))  # no dropout there
    model.get_submodule("dropout").train()
    assert not torch.equal(model(torch.ones(50, 3)), torch.ones(50, 3))


def test_a_file_is_written_there_and_read_here_and_the_reverse(remote):
    file, model = io.BytesIO(), dependency(remote, "below").Model()
    model.last.factor.data.fill_(7.0)
    remote.save(file, model)
    assert torch.load(io.BytesIO(file.getvalue()), weights_only=True)["last.factor"].tolist() == [7.0] * 3
    other = dependency(remote, "below").Model()
    remote.load(io.BytesIO(file.getvalue()), other)
    assert other.last.factor.tolist() == [7.0] * 3


def test_an_empty_file_stays_empty_and_its_position_counts(remote):
    file = io.BytesIO(b"")
    with pytest.raises(EOFError):
        remote.load(file, dependency(remote, "below").Model())
    assert file.getvalue() == b""


def test_what_was_changed_before_an_error_is_seen_here(remote):
    model = dependency(remote, "below").Model().eval()
    with pytest.raises(ValueError, match="halfway"):
        remote.fail_halfway(model)
    assert model.last.factor.tolist() == [5.0] * 3
    assert model.get_submodule("dropout").training


def test_what_is_frozen_there_is_frozen_here(remote):
    model = dependency(remote, "below").Model()
    remote.freeze(model)
    assert [p.requires_grad for p in model.parameters()] == [True, False]


def test_the_use_of_the_global_generator_there_is_seen_here(remote):
    before = torch.default_generator.get_state()
    remote.draw_from(torch.Generator().manual_seed(0))
    assert torch.equal(torch.default_generator.get_state(), before)
    remote.draw()
    assert not torch.equal(torch.default_generator.get_state(), before)


def test_a_seed_set_here_decides_what_is_drawn_there(remote, local):
    def drawn(unit):
        torch.default_generator.manual_seed(7)
        return [unit.rand().tolist(), unit.rand().tolist()]

    first, second = drawn(remote)
    assert drawn(remote) == [first, second]
    assert first != second
    assert first == drawn(local)[0]


def test_a_draw_there_is_no_news_there(remote):
    torch.default_generator.manual_seed(7)
    here = [torch.rand(()).item() for _ in range(3)]
    torch.default_generator.manual_seed(7)
    assert [remote.rand().item() for _ in range(3)] == here


def test_an_object_is_true_as_python_has_it(remote):
    assert [bool(remote.Empty(length)) for length in (0, 2)] == [False, True]
    assert remote.Plain()
    assert not remote.No()


def test_the_scratch_folder_can_be_read_and_not_written(remote, pool):
    path = pool.scratch / "tokens.bin"
    path.write_bytes(b"ab")
    assert remote.first_byte(str(path)) == b"a"
    if pool.confined:
        with pytest.raises(OSError, match=r"denied|permitted"):
            remote.write(str(path))
        with pytest.raises(OSError, match=r"denied|permitted"):
            remote.write(str(pool.scratch / "new.bin"))
        assert path.read_bytes() == b"ab"
