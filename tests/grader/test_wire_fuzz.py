"""The wire under fire: whatever comes from a worker, a WireError comes out or a value, and nothing else.

`WIRE_FUZZ_EXAMPLES=50000 pytest tests/grader/test_wire_fuzz.py` looks longer than the few hundred examples of CI.
Below, workers that speak garbage stand against `client.py` and `proxy.py`: only WorkerEnded comes out of those.
"""

import json
import math
import os
import random
import socket
import struct
import threading
import time
import tracemalloc

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.isolation import wire
from grader.isolation.client import Limits, Session, WorkerEnded
from grader.isolation.proxy import RemoteUnit

EXAMPLES = int(os.environ.get("WIRE_FUZZ_EXAMPLES", "300"))
fuzz = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([1 << 63, -1, 1 << 200])
tags = st.sampled_from(["tensor", "tuple", "set", "frozenset", "dict", "bytes", "bigint", "dtype", "device", "object",
                        "same", "method", "module", "handle", "generator", "iterator", "?"])  # fmt: skip
shapes = st.lists(st.integers(-2, 5) | st.sampled_from([1 << 31, 1 << 47, 1 << 48, True, None, 1.0]), max_size=18)
names = st.sampled_from([*wire.DTYPES, "complex64", "object", "__class__"])


def nodes(children):
    """Nodes as an Encoder makes them, and what a liar would make of them."""
    keys = st.sampled_from(["!", "v", "dtype", "shape", "requires", "tag", "id", "kind", "type", "state", "frozen",
                            "training", "groups"])  # fmt: skip
    return (
        st.lists(children, max_size=4)
        | st.fixed_dictionaries({"!": tags}, optional={"v": children, "tag": plain, "id": plain, "type": plain})
        | st.fixed_dictionaries({"!": st.just("tensor"), "dtype": names, "shape": shapes}, optional={"requires": plain})
        | st.fixed_dictionaries({"!": st.sampled_from(["tuple", "set", "dict"]), "v": st.lists(children, max_size=4)})
        | st.dictionaries(keys, children, max_size=5)
    )


trees = st.recursive(plain, nodes, max_leaves=12)
values = st.recursive(
    plain | st.binary(max_size=20) | st.builds(torch.zeros, st.integers(0, 5)),
    lambda v: st.lists(v, max_size=4) | st.tuples(v, v) | st.dictionaries(st.text() | st.integers(), v, max_size=4),
    max_leaves=10,
)


def receive_all(data):
    """What the reader makes of these bytes, as a whole: frames, then trees."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        while True:
            header, body = wire.receive(theirs, time.monotonic() + 10)
            decoder = wire.Decoder(body)
            decoder.decode(header.get("v"))
            decoder.finish()


@fuzz
@given(st.binary(max_size=300))
def test_random_bytes_give_a_wire_error(data):
    with pytest.raises(wire.WireError):
        receive_all(data)


@fuzz
@given(length=st.integers(0, 1 << 32), body=st.integers(0, (1 << 64) - 1), rest=st.binary(max_size=200))
def test_hostile_lengths_give_a_wire_error_and_cost_no_memory(length, body, rest):
    tracemalloc.start()
    try:
        with pytest.raises(wire.WireError):
            receive_all(struct.pack("<4sIQ", wire.MAGIC, length & 0xFFFFFFFF, body) + rest)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@fuzz
@given(header=st.binary(max_size=200) | trees.map(lambda tree: json.dumps(tree).encode()), body=st.binary(max_size=64))
def test_any_header_gives_a_value_or_a_wire_error(header, body):
    with pytest.raises(wire.WireError):  # at the latest: the connection is closed
        receive_all(wire.HEAD.pack(wire.MAGIC, len(header), len(body)) + header + body)


@fuzz
@given(tree=trees, body=st.binary(max_size=256))
def test_any_tree_gives_a_value_or_a_wire_error(tree, body):
    try:
        value = wire.Decoder(memoryview(body)).decode(tree)
    except wire.WireError:
        return
    assert bytes_of(value) <= len(body), "a value holds more than its frame brought"


def bytes_of(value):
    if isinstance(value, torch.Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, dict):
        return sum(map(bytes_of, (*value, *value.values())))
    return sum(map(bytes_of, value)) if isinstance(value, list | tuple | set | frozenset) else 0


@fuzz
@given(value=values, seed=st.integers(0, 1 << 32))
def test_mutated_frame_gives_a_value_or_a_wire_error(value, seed):
    encoder = wire.Encoder()
    frame = bytearray(wire.pack({"v": encoder.encode(value)}, encoder.buffers))
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(frame))
        match chance.randrange(4):
            case 0:
                frame[at] ^= 1 << chance.randrange(8)
            case 1:
                del frame[at : at + chance.randint(1, 9)]
            case 2:
                frame[at:at] = chance.choice([b"{", b"[", b"]", b'"', b"\\ud800", b"1e999", b"-", b"\0", b"NaN"])
            case 3:
                frame[at : at + 1] = frame[: chance.randint(1, 32)]
        if not frame:
            break
    with pytest.raises(wire.WireError):
        receive_all(bytes(frame))


@fuzz
@given(value=values)
def test_whole_frame_comes_back(value):
    encoder = wire.Encoder()
    header = wire.parse_header(json.dumps({"v": encoder.encode(value)}).encode())
    frame = wire.pack(header, encoder.buffers)
    length, size = wire.unpack_head(frame[: wire.HEAD.size])
    body = memoryview(frame)[wire.HEAD.size + length :]
    assert len(body) == size
    result = wire.Decoder(body).decode(header["v"])
    assert repr(result) == repr(value)


# Workers that speak garbage


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
        return 0, ours

    def _speak(self, sock):
        with sock:
            try:
                sock.sendall(frame({"op": "ready", "confined": True}))
                self.script(sock)
            except (OSError, wire.WireError):
                pass

    def reap(self, pid):
        return -9

    def last_words(self):
        return ""


def frame(header, body=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return wire.HEAD.pack(wire.MAGIC, len(raw), len(body)) + raw + body


def reply(id, value, body=b"", **more):
    return frame({"id": id, "op": "result", "value": value, "changed": [], "grads": [], "lines": 0} | more, body)


def answering(*replies):
    """A worker that reads a question and says the next of these, whatever was asked."""

    def script(sock):
        for said in replies:
            header, _ = wire.receive(sock)
            sock.sendall(said(header["id"]) if callable(said) else said)
        wire.receive(sock)

    return script


def unit_of(script, seconds=1.0):
    return RemoteUnit(Session(FakeZygote(script), Limits(seconds, 10 * seconds)))


def dribble(sock):
    for byte in reply(1, [0] * 100):
        sock.sendall(bytes([byte]))
        time.sleep(0.01)


TENSOR = {"!": "tensor", "dtype": "float64", "shape": [2], "requires": True}


def thing(kind, **facts):
    return {"!": "object", "id": 1, "kind": kind, "type": "T", **facts}


def module(*state, **facts):
    return thing("module", state=list(state), training=True, **facts)


PARAMETER = {"!": "tensor", "dtype": "float32", "shape": [0]}
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
    "deep value": answering(reply(1, json.loads("[" * 40 + "]" * 40))),
    "result that is a huge number": answering(reply(1, {"!": "bigint", "v": "0x" + "f" * 9999})),
}


@pytest.mark.parametrize("script", GARBAGE.values(), ids=GARBAGE)
def test_garbage_ends_the_worker_and_says_why(script):
    unit = unit_of(script, 0.5)
    with pytest.raises(WorkerEnded, match="your code (sent what is no answer|ended the process|did not answer)") as found:
        unit.softmax(torch.zeros(3, requires_grad=True), dim=0)
    with pytest.raises(WorkerEnded) as again:
        unit.softmax(torch.zeros(3), dim=0)
    assert str(again.value) == str(found.value), "an ended worker is never asked again"


def test_an_answer_that_was_stuffed_ahead_is_taken_for_no_other_question():
    def script(sock):
        sock.sendall(reply(1, 1) + reply(1, 1) + reply(1, 1))
        time.sleep(1)

    unit = unit_of(script)
    assert unit.f() == 1
    with pytest.raises(WorkerEnded, match="does not belong"):
        unit.f()


def linked(id):
    return reply(id, TENSOR | {"shape": [3]}, bytes(24), lines=-5)


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
def test_gradient_of_another_shape_ends_the_worker(grads, body):
    unit = unit_of(answering(linked, lambda id: frame({"id": id, "op": "result", "value": grads}, body)))
    scores = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    output = unit.softmax(scores, 0)
    with pytest.raises(WorkerEnded, match="no answer"):
        output.sum().backward()
    assert unit._calls.session.lines == 0, "lines cannot be taken back"


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
def test_claimed_error_becomes_an_ordinary_one(types, becomes):
    error = {"op": "error", "types": types, "message": "\x1b[2J::error::x", "name": ["x"], "where": 5}
    unit = unit_of(answering(lambda id: frame({"id": id, **error})))
    with pytest.raises(becomes) as found:
        unit.f()
    assert type(found.value) is becomes
    assert "\x1b" not in str(found.value)
    assert "::" not in str(found.value)


def test_iterator_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr("grader.isolation.proxy.MAX_ITERATED", 1 << 20)

    def script(sock):
        header, _ = wire.receive(sock)
        sock.sendall(reply(header["id"], thing("iterator")))
        while True:
            header, _ = wire.receive(sock)
            sock.sendall(reply(header["id"], "a" * 100_000))

    with pytest.raises(WorkerEnded, match="never ends"):
        list(unit_of(script).f())


@settings(fuzz, max_examples=max(EXAMPLES // 5, 50))
@given(value=trees, changed=trees, grads=trees, lines=trees, body=st.binary(max_size=64))
def test_random_answers_give_a_value_or_end_the_worker(value, changed, grads, lines, body):
    unit = unit_of(answering(lambda id: reply(id, value, body, changed=changed, grads=grads, lines=lines)))
    try:
        unit.f(torch.zeros(2, dtype=torch.float64, requires_grad=True))
    except WorkerEnded:
        pass
    finally:
        unit._calls.session.close()
        assert not math.isnan(unit._calls.session.lines)
