"""Workers that speak garbage, against `client.py` and `proxy.py`: WorkerEnded comes out of those, and nothing else."""

import json
import os
import socket
import threading
import time

import numpy as np
import pytest
import torch

from grader.sandbox.host.client import Session, WorkerEnded
from grader.sandbox.host.pool import Limits
from grader.sandbox.host.proxy import RemoteUnit
from grader.sandbox.protocol import wire
from grader.sandbox.worker.measure import Measured

COST = {"lines": 1, "largest": 0, "saved": 0, "memory": 0, "drew": []}


class FakeZygote:
    """Hands out a connection on whose other end a script speaks in place of a worker."""

    confined = True

    def __init__(self, script):
        self.script = script
        self.thread = None

    def spawn(self, limits):
        ours, theirs = socket.socketpair()
        self.thread = threading.Thread(target=self._speak, args=(theirs,), daemon=True)
        self.thread.start()
        return os.getpid(), ours

    def _speak(self, sock):
        with sock:
            try:
                sock.sendall(frame({"op": "ready", "confined": True}))
                self.script(sock)
            except (OSError, wire.WireError):
                pass

    def reap(self, pid, patience=0.0):
        return -9

    def last_words(self):
        return ""


def frame(header, body=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return wire.HEAD.pack(wire.MAGIC, len(raw), len(body)) + raw + body


def reply(id, value, body=b"", **more):
    return frame({"id": id, "op": "result", "value": value, "changed": [], "grads": [], "measured": COST} | more, body)


def answering(*replies):
    """A worker that reads a question and says the next of these, whatever was asked."""

    def script(sock):
        for said in replies:
            header, _ = wire.receive(sock)
            sock.sendall(said(header["id"]) if callable(said) else said)
        wire.receive(sock)

    return script


def open_unit(script, seconds=1.0):
    return RemoteUnit(Session(FakeZygote(script), Limits(seconds, 10 * seconds)))


@pytest.fixture
def unit_of():
    opened = []

    def open_and_remember(script, seconds=1.0):
        opened.append(open_unit(script, seconds))
        return opened[-1]

    yield open_and_remember
    for unit in opened:
        unit._calls.session.close()


def dribble(sock):
    wire.receive(sock)
    for byte in reply(1, [0] * 100):
        sock.sendall(bytes([byte]))
        time.sleep(0.01)


TENSOR = {"!": "tensor", "dtype": "float64", "shape": [2], "requires": True}


def thing(kind, **facts):
    return {"!": "object", "id": 1, "kind": kind, "type": "T", **facts}


def module(*state, **facts):
    return thing("module", **{"state": list(state), "modes": [["", True]], **facts})


NO_BYTES = {"!": "tensor", "dtype": "uint8", "shape": [0]}
PARAMETER = {"!": "tensor", "dtype": "float32", "shape": [0]}
ENDED = r"your code (sent an invalid reply|ended the process|did not answer)"
GARBAGE = {
    "silence": lambda sock: time.sleep(1.5),
    "closes at once": lambda sock: None,
    "text": answering(b"63 passed\n" * 9),
    "one byte at a time": dribble,
    "wrong id": answering(reply(7, None)),
    "no id": answering(frame({"op": "result", "value": None})),
    "no operation": answering(frame({"id": 1})),
    "unknown operation": answering(frame({"id": 1, "op": "call"})),
    "an operation that is a list": answering(frame({"id": 1, "op": ["result"]})),
    "huge claimed body": answering(wire.HEAD.pack(wire.MAGIC, 2, 1 << 50) + b"{}"),
    "claimed body that never comes": answering(wire.HEAD.pack(wire.MAGIC, 2, 1 << 20) + b"{}"),
    "unknown kind": answering(reply(1, {"!": "pickle", "v": "x"})),
    "unhashable kind": answering(reply(1, {"!": {}})),
    "parameter that was never sent": answering(reply(1, {"!": "same", "tag": 0})),
    "tensor without a body": answering(reply(1, TENSOR)),
    "bytes left over": answering(reply(1, None, bytes(9))),
    "change of nothing": answering(reply(1, None, changed=[[5, None]])),
    "change of a negative place": answering(reply(1, None, changed=[[-1, None]])),
    "change that is no pair": answering(reply(1, None, changed=[7])),
    "change to nothing": answering(reply(1, None, changed=[[0, None]])),
    "change of another shape": answering(reply(1, None, bytes(16), changed=[[0, TENSOR]])),
    "gradient of another dtype": answering(reply(1, None, bytes(8), grads=[[0, TENSOR | {"dtype": "float32"}]])),
    "gradient changed in place that is not there": answering(reply(1, None, bytes(16), grads_in_place=[[0, TENSOR]])),
    "gradient changed in place to nothing": answering(reply(1, None, grads_in_place=[[0, None]])),
    "question for an iterator": answering(frame({"op": "next", "iterator": 0})),
    "question for a negative iterator": answering(frame({"op": "next", "iterator": -1})),
    "object without a number": answering(reply(1, thing("object", id="1"))),
    "object without a type": answering(reply(1, {"!": "object", "id": 1})),
    "parameter groups of numbers": answering(reply(1, thing("optimizer", groups=[1, 2]))),
    "module at a negative place": answering(reply(1, module(["w", "parameter", -1, PARAMETER]))),
    "module of integers": answering(reply(1, module(["w", "parameter", 0, PARAMETER | {"dtype": "int64"}]))),
    "module of tuples": answering(reply(1, module(["w", "parameter", 0, {"!": "tuple", "v": []}]))),
    "module of deep names": answering(reply(1, module([".".join("a" * 99), "buffer", 0, PARAMETER]))),
    "module of many names": answering(reply(1, module(*[[f"{i}.a", "buffer", 0, PARAMETER] for i in range(5000)]))),
    "module with odd frozen names": answering(reply(1, module(frozen=5))),
    "module of nonsense": answering(reply(1, module(5))),
    "module with nonsense for modes": answering(reply(1, module(modes=[5]))),
    "module of deep parts": answering(reply(1, module(modes=[[".".join("a" * 99), True]]))),
    "module of many parts": answering(reply(1, module(modes=[[f"a{i}", True] for i in range(5000)]))),
    "parameter of a module that is not there": answering(reply(1, {"!": "same", "slot": [1, "w"]})),
    "parameter of no module": answering(reply(1, {"!": "same", "slot": [1]})),
    "freezing what was never sent": answering(reply(1, None, requires=[[7, True]])),
    "freezing that is no pair": answering(reply(1, None, requires=[3])),
    "container that was never sent": answering(reply(1, None, containers=[[9, []]])),
    "container at a negative place": answering(reply(1, None, containers=[[-1, []]])),
    "container that is no pair": answering(reply(1, None, containers=[5])),
    "dict in place of a list": answering(reply(1, None, containers=[[0, {"!": "dict", "v": []}]])),
    "number in place of a dict": answering(reply(1, None, containers=[[1, 7]])),
    "list in place of an array": answering(reply(1, None, containers=[[2, [1, 2]]])),
    "array of another size": answering(reply(1, None, containers=[[2, NO_BYTES]])),
    "array that may not be written": answering(reply(1, None, bytes(2), containers=[[3, NO_BYTES | {"shape": [2]}]])),
    "generator that was never sent": answering(reply(1, None, generators=[1])),
    "generator at a negative place": answering(reply(1, None, generators=[-1])),
    "generator that is not a number": answering(reply(1, None, generators=[True])),
    "change to a tensor without values": answering(reply(1, None, changed=[[0, TENSOR | {"device": "meta"}]])),
    "tensor on a graphics card": answering(reply(1, TENSOR | {"device": "cuda"}, bytes(16))),
    "tensor on a device that is a list": answering(reply(1, TENSOR | {"device": ["cpu"]}, bytes(16))),
    "huge tensor without values": answering(reply(1, TENSOR | {"device": "meta", "shape": [1 << 40]})),
    "device that is not here": answering(reply(1, {"!": "device", "v": "cuda"})),
    "no measurement": answering(reply(1, None, measured=None)),
    "negative lines": answering(reply(1, None, measured=COST | {"lines": -5})),
    "saved bytes as text": answering(reply(1, None, measured=COST | {"saved": "5"})),
    "measurement without memory": answering(reply(1, None, measured={"lines": 1, "largest": 0, "saved": 0})),
    "draws from nowhere": answering(reply(1, None, measured=COST | {"drew": ["entropy"]})),
    "draws that cannot be hashed": answering(reply(1, None, measured=COST | {"drew": [[]]})),
    "file that was never sent": answering(reply(1, None, files=[[0, PARAMETER | {"dtype": "uint8"}, 0]])),
    "file that is no triple": answering(reply(1, None, files=[5])),
    "deep value": answering(reply(1, json.loads("[" * 40 + "]" * 40))),
    "result that is a huge number": answering(reply(1, {"!": "bigint", "v": "0x" + "f" * 9999})),
}


def deep(names, parts):
    return [[".".join([f"m{name}", *"a" * (parts - 1)]), True] for name in range(names)]


GREEDY = {
    "modules of deep parts": lambda id: reply(id, [module(modes=deep(4096, 12)) for _ in range(12)]),
    "parameters of deep names": lambda id: reply(
        id, [module(*[[f"{name}.w", "buffer", 0, PARAMETER] for name, _ in deep(2000, 11)]) for _ in range(8)]
    ),
    "modules in a dict": lambda id: reply(
        id, {"!": "dict", "v": [[n, module(modes=deep(4096, 12))] for n in range(12)]}
    ),
    "empty modules": lambda id: reply(id, [module()] * 90_000),
}


@pytest.mark.parametrize("answer", GREEDY.values(), ids=GREEDY)
def test_one_answer_makes_no_more_modules_than_its_budget_holds(unit_of, answer, monkeypatch):
    made, build = [], torch.nn.Module.__init__
    monkeypatch.setattr(torch.nn.Module, "__init__", lambda self, *args: made.append(1) or build(self, *args))
    unit = unit_of(answering(answer), 60.0)
    with pytest.raises(WorkerEnded, match="too many"):
        unit.f()
    assert len(made) < 70_000


def test_an_answer_that_retains_parameters_a_million_times_is_too_much(unit_of):
    unit = unit_of(answering(lambda id: reply(id, [thing("object")] * 20_000)), 60.0)
    given = [torch.nn.Parameter(torch.zeros(0)) for _ in range(300)]
    with pytest.raises(WorkerEnded, match="too many parts"):
        unit.f(given)


@pytest.mark.parametrize("frozen", ["abc", {"a": 1}, [1], [["a"]], ["a"] * 5000], ids=range(5))
def test_frozen_names_are_a_short_list_of_names(unit_of, frozen):
    unit = unit_of(answering(lambda id: reply(id, module(frozen=frozen))), 5.0)
    with pytest.raises(WorkerEnded, match="malformed"):
        unit.f()


def test_ids_of_a_text_of_several_megabytes_come_through(unit_of):
    ids = list(range(3_000_000))
    unit = unit_of(answering(lambda id: reply(id, ids)), 60.0)
    assert unit.f() == ids


@pytest.mark.parametrize("script", GARBAGE.values(), ids=GARBAGE)
def test_garbage_ends_the_worker_and_says_why(unit_of, script):
    unit = unit_of(script, 0.5)
    unit._calls.session.measured = Measured()
    fixed = np.zeros(2, dtype=bool)
    fixed.flags.writeable = False
    with pytest.raises(WorkerEnded, match=ENDED) as found:
        unit.softmax(torch.zeros(3, requires_grad=True), [1], {}, np.zeros(3), fixed, torch.Generator())
    with pytest.raises(WorkerEnded) as again:
        unit.softmax(torch.zeros(3), dim=0)
    assert str(again.value) == str(found.value), "an ended worker is never asked again"


def test_an_answer_that_was_stuffed_ahead_is_taken_for_no_other_question(unit_of):
    def script(sock):
        wire.receive(sock)
        sock.sendall(reply(1, 1))
        time.sleep(0.2)
        sock.sendall(reply(1, 1))
        time.sleep(1)

    unit = unit_of(script)
    assert unit.f() == 1
    with pytest.raises(WorkerEnded, match="belongs to no question"):
        unit.f()


def test_an_answer_with_another_one_behind_it_is_refused(unit_of):
    unit = unit_of(answering(reply(1, 1) + reply(2, 1)))
    with pytest.raises(WorkerEnded, match="belongs to no question"):
        unit.f()


def linked(id):
    return reply(id, TENSOR | {"shape": [3]}, bytes(24))


@pytest.mark.parametrize(
    ("grads", "body"),
    [
        (None, b""),
        ([], b""),
        ([None, None], b""),
        ([1.0], b""),
        ([{"!": "tensor", "dtype": "float64", "shape": [2]}], bytes(16)),
        ([{"!": "tensor", "dtype": "float32", "shape": [3]}], bytes(12)),
        ([{"!": "tensor", "dtype": "float64", "shape": [1, 3]}], bytes(24)),
        ([{"!": "object", "id": 1, "kind": "module", "type": "T"}], b""),
    ],
    ids=str,
)
def test_gradient_of_another_shape_ends_the_worker(unit_of, grads, body):
    unit = unit_of(answering(linked, lambda id: frame({"id": id, "op": "result", "value": grads}, body)))
    scores = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    output = unit.softmax(scores, 0)
    with pytest.raises(WorkerEnded, match="invalid reply"):
        output.sum().backward()


@pytest.mark.parametrize(
    ("types", "becomes"),
    [
        (["ValueError"], ValueError),
        (["KeyboardInterrupt", "BaseException"], RuntimeError),
        (["SystemExit"], RuntimeError),
        (["StopIteration"], RuntimeError),
        (["MemoryError"], RuntimeError),
        (["ExceptionGroup"], RuntimeError),
        (["UnicodeDecodeError", "ValueError"], ValueError),
        (["exit", "print", "__import__", 5, None, []], RuntimeError),
        ("ValueError", RuntimeError),
        (None, RuntimeError),
    ],
    ids=str,
)
def test_claimed_error_becomes_an_ordinary_one(unit_of, types, becomes):
    error = {"op": "error", "types": types, "message": "\x1b[2J::error::x", "name": ["x"], "where": 5}
    unit = unit_of(answering(lambda id: frame({"id": id, **error})))
    with pytest.raises(becomes) as found:
        unit.f()
    assert type(found.value) is becomes
    assert "\x1b" not in str(found.value)
    assert "::" not in str(found.value)


def test_iterator_that_never_ends_is_given_up(unit_of, monkeypatch):
    monkeypatch.setattr("grader.sandbox.host.remote.MAX_ITERATED", 1 << 20)

    def script(sock):
        header, _ = wire.receive(sock)
        sock.sendall(reply(header["id"], thing("iterator")))
        while True:
            header, _ = wire.receive(sock)
            sock.sendall(reply(header["id"], "a" * 100_000))

    with pytest.raises(WorkerEnded, match="never ends"):
        list(unit_of(script).f())


def test_what_is_said_of_containers_and_generators_is_carried_over(unit_of):
    contents = {"!": "tensor", "dtype": "uint8", "shape": [2]}
    changed = {"containers": [[0, [7]], [1, {"!": "dict", "v": [["a", 1]]}], [2, contents]], "generators": [0]}
    unit = unit_of(answering(reply(1, None, b"\1\2", measured=COST | {"drew": ["numpy"], "saved": 5}, **changed)))
    measured = unit._calls.session.measured = Measured()
    sent, generator = ([1, 2], {"b": 2}, np.zeros(2, dtype=np.uint8)), torch.Generator().manual_seed(3)
    before = generator.get_state()
    unit.f(*sent, generator)
    assert (sent[0], sent[1], sent[2].tolist()) == ([7], {"a": 1}, [1, 2])
    assert not torch.equal(generator.get_state(), before)
    assert (measured.lines, measured.saved, measured.drew) == (1, 5, {"numpy"})
