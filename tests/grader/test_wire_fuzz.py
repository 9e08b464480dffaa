"""The wire under fire: whatever comes from a worker, a WireError comes out or a value, and nothing else.

`WIRE_FUZZ_EXAMPLES=50000 pytest tests/grader/test_wire_fuzz.py` looks longer than the few hundred examples of CI.
Workers that speak garbage on purpose stand in `test_fake_workers.py`.
"""

import json
import os
import random
import socket
import struct
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from grader.sandbox.host.client import WorkerEnded
from grader.sandbox.protocol import codec, wire
from grader.sandbox.worker.measure import Measured
from tests.grader.test_fake_workers import answering, open_unit, reply

EXAMPLES = int(os.environ.get("WIRE_FUZZ_EXAMPLES", "300"))
# Without the explain phase, as in the profile of the kit: it costs more than the search.
PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
fuzz = settings(
    max_examples=EXAMPLES, deadline=None, database=None, phases=PHASES, suppress_health_check=list(HealthCheck)
)

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([1 << 63, -1, 1 << 200])
tags = st.sampled_from(["tensor", "tuple", "set", "frozenset", "dict", "bytes", "bigint", "dtype", "device", "object",
                        "same", "method", "module", "handle", "generator", "iterator", "known", "file", "optimizer",
                        "unit", "?"])  # fmt: skip
shapes = st.lists(st.integers(-2, 5) | st.sampled_from([1 << 31, 1 << 47, 1 << 48, True, None, 1.0]), max_size=18)
names = st.sampled_from([*codec.DTYPES, "complex64", "object", "__class__"])


def nodes(children):
    """Nodes as an Encoder makes them, and what a liar would make of them."""
    keys = st.sampled_from(["!", "v", "dtype", "shape", "requires", "tag", "id", "kind", "type", "state", "frozen",
                            "modes", "groups", "slot", "at"])  # fmt: skip
    return (
        st.lists(children, max_size=4)
        | st.fixed_dictionaries({"!": tags}, optional={"v": children, "tag": plain, "id": plain, "type": plain})
        | st.fixed_dictionaries({"!": st.just("tensor"), "dtype": names, "shape": shapes}, optional={"requires": plain})
        | st.fixed_dictionaries({"!": st.sampled_from(["tuple", "set", "dict"]), "v": st.lists(children, max_size=4)})
        | st.dictionaries(keys, children, max_size=5)
    )


trees = st.recursive(plain, nodes, max_leaves=12)
FIELDS = (
    "changed",
    "grads",
    "grads_in_place",
    "files",
    "modes",
    "containers",
    "requires",
    "generators",
    "measured",
    "raised",
)
values = st.recursive(
    plain | st.binary(max_size=20) | st.builds(torch.zeros, st.integers(0, 5)),
    lambda v: st.lists(v, max_size=4) | st.tuples(v, v) | st.dictionaries(st.text() | st.integers(), v, max_size=4),
    max_leaves=10,
)

extras = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, trees))


def receive_all(data):
    """What the reader makes of these bytes, as a whole: frames, then trees."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        while True:
            header, body = wire.receive(theirs, wire.Within(10))
            decoder = codec.Decoder(body)
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
        value = codec.Decoder(memoryview(body)).decode(tree)
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
    encoder = codec.Encoder()
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
    encoder = codec.Encoder()
    header = wire.parse_header(json.dumps({"v": encoder.encode(value)}).encode())
    frame = wire.pack(header, encoder.buffers)
    length, size = wire.unpack_head(frame[: wire.HEAD.size])
    body = memoryview(frame)[wire.HEAD.size + length :]
    assert len(body) == size
    result = codec.Decoder(body).decode(header["v"])
    assert repr(result) == repr(value)


@settings(fuzz, max_examples=max(EXAMPLES // 5, 50))
@given(value=trees, more=extras, body=st.binary(max_size=64))
def test_random_answers_give_a_value_or_end_the_worker(value, more, body):
    unit = open_unit(answering(lambda id: reply(id, value, body, **more)))
    measured = unit._calls.session.measured = Measured()
    sent = torch.zeros(2, dtype=torch.float64, requires_grad=True), [1], {"a": {2}}, np.zeros(3), torch.Generator()
    try:
        unit.f(*sent)
    except WorkerEnded:
        pass
    finally:
        unit._calls.session.close()
        assert min(measured.lines, measured.largest, measured.saved, measured.memory) >= 0
        assert [type(value) for value in sent[1:4]] == [list, dict, np.ndarray]
