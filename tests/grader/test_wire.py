"""The wire: what crosses comes out as it went in, and what may not cross is refused in words."""

import math
import socket
import struct

import numpy as np
import pytest
import torch

from grader.sandbox.protocol import codec, wire

pytestmark = pytest.mark.filterwarnings("error")


def there_and_back(value):
    encoder = codec.Encoder()
    frame = wire.pack({"v": encoder.encode(value)}, encoder.buffers)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        wire.send(ours, frame, wire.Within(5))
        header, body = wire.receive(theirs, wire.Within(5))
    decoder = codec.Decoder(body)
    result = decoder.decode(header["v"])
    decoder.finish()
    return result


def decode(tree, body=b""):
    return codec.Decoder(memoryview(body)).decode(tree)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 1 << 63, -(1 << 63), 1 << 64, -(1 << 200), 0.5, math.inf, "", "é\n\0\udc80"),
        *([], [1, "a", None], (), (1, (2, [3])), {}, {(1, 2): b"ab", None: [True]}, {1, 2}, frozenset({"a"})),
        *(b"", bytes(range(256)), torch.float16, torch.device("cpu"), [[1, 2], [3]], [1 << 70, 2], {1: {2: {3: ()}}}),
    ],
    ids=repr,
)
def test_plain_value_comes_back_equal_and_of_its_type(value):
    result = there_and_back(value)
    assert result == value
    assert type(result) is type(value)


def test_nan_comes_back():
    assert math.isnan(there_and_back(math.nan))


@pytest.mark.parametrize("dtype", codec.DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)], ids=str)
def test_tensor_comes_back_with_shape_dtype_and_values(dtype, shape):
    tensor = torch.arange(math.prod(shape)).reshape(shape).to(dtype)
    result = there_and_back(tensor)
    assert (result.dtype, result.shape) == (dtype, tensor.shape)
    assert torch.equal(result, tensor)


def test_tensors_of_odd_sizes_do_not_disturb_each_other():
    tensors = [torch.ones(3, dtype=torch.uint8), torch.empty(0, 2), torch.full((5,), 2.5), torch.tensor(True)]
    for result, tensor in zip(there_and_back(tensors), tensors, strict=True):
        assert torch.equal(result, tensor)


def test_strided_and_expanded_tensors_come_back_whole():
    tensor = torch.arange(12.0).reshape(3, 4)
    for view in (tensor.T, tensor[:, ::2], tensor[1:, 1:], torch.ones(1).expand(5), tensor.requires_grad_()):
        assert torch.equal(there_and_back(view), view)


def test_values_that_come_back_share_no_memory_with_the_frame():
    tensor = there_and_back(torch.zeros(4))
    tensor += 1
    assert torch.equal(there_and_back(torch.zeros(4)), torch.zeros(4))


def test_scalars_of_numpy_and_subclasses_become_plain():
    assert there_and_back(np.int64(3)) == 3
    assert there_and_back(np.float32(0.5)) == 0.5
    assert there_and_back(torch.Size([2, 3])) == (2, 3)
    assert there_and_back(type("Text", (str,), {})("a")) == "a"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "object cannot cross"),
        (len, "cannot cross"),
        (1j, "complex cannot cross"),
        (torch.zeros(2, dtype=torch.complex64), "complex64"),
        (torch.eye(2).to_sparse(), "sparse"),
        (1 << 20_000, "integer of 20001 bits"),
    ],
    ids=["object", "function", "complex", "complex-tensor", "sparse", "integer"],
)
def test_what_cannot_cross_is_named(value, says):
    with pytest.raises(wire.WireError, match=says):
        codec.Encoder().encode(value)


def test_value_that_holds_itself_is_refused():
    box = []
    box.append(box)
    with pytest.raises(wire.WireError, match="nested more than 32 deep"):
        codec.Encoder().encode(box)


def test_frame_beyond_the_limits_is_not_packed():
    with pytest.raises(wire.WireError, match="too large to cross"):
        wire.pack({}, [torch.empty(wire.MAX_BODY + 1, dtype=torch.uint8)])
    with pytest.raises(wire.WireError, match="too large to cross"):
        wire.pack({"v": "x" * (wire.MAX_HEADER + 1)}, [])


TENSOR = {"!": "tensor", "dtype": "float32", "shape": [2]}


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({}, "unknown kind of value"),
        ({"!": "os.system"}, "unknown kind of value"),
        ({"!": ["list"]}, "unknown kind of value"),
        ({"!": "tuple"}, "field 'v'"),
        ({"!": "dict", "v": [1, 2]}, "malformed dict"),
        ({"!": "dict", "v": [[1, 2, 3]]}, "malformed dict"),
        ({"!": "dict", "v": ["ab"]}, "malformed dict"),
        ({"!": "dict", "v": [TENSOR]}, "malformed dict"),
        ({"!": "dict", "v": [[[], 1]]}, "malformed dict"),
        ({"!": "set", "v": [[1]]}, "malformed set"),
        ({"!": "bytes", "v": "€"}, "malformed bytes"),
        ({"!": "bigint", "v": "0xZZ"}, "malformed integer"),
        ({"!": "bigint", "v": "1" * 4000}, "malformed integer"),
        ({"!": "bigint", "v": ""}, "malformed integer"),
        ({"!": "dtype", "v": "object"}, "dtype 'object' is not allowed"),
        (TENSOR | {"dtype": "complex64"}, "not allowed"),
        (TENSOR | {"shape": None}, "field 'shape'"),
        (TENSOR | {"shape": [-1]}, "malformed shape"),
        (TENSOR | {"shape": [True]}, "malformed shape"),
        (TENSOR | {"shape": [2.0]}, "malformed shape"),
        (TENSOR | {"shape": [1] * 17}, "malformed shape"),
        (TENSOR | {"shape": [3]}, "larger than its buffer"),
        (TENSOR | {"shape": [1 << 40, 1 << 40]}, "too many elements"),
        (TENSOR | {"shape": [0, 1 << 40]}, "too many elements"),
        ([TENSOR, TENSOR], "larger than its buffer"),
    ],
    ids=str,
)
def test_malformed_tree_is_refused(tree, says):
    with pytest.raises(wire.WireError, match=says):
        decode(tree, bytes(8))


def test_nesting_and_size_are_limited():
    deep = 0
    for _ in range(codec.MAX_DEPTH + 1):
        deep = [[], deep]
    with pytest.raises(wire.WireError, match="nested too deeply"):
        decode(deep)
    with pytest.raises(wire.WireError, match="too many tensors"):
        decode([TENSOR | {"shape": [0]}] * (codec.MAX_TENSORS + 1))
    wide = [[0] * 1000]
    with pytest.raises(wire.WireError, match="too many parts"):
        decode(wide * (wire.MAX_NODES // 1000 + 1))


def test_keys_that_all_have_one_hash_are_given_up(monkeypatch):
    monkeypatch.setattr(codec, "DECODE_SECONDS", 0.2)
    keys = [[{"!": "bigint", "v": hex(k * ((1 << 61) - 1))}, 0] for k in range(50, 60_000)]
    with pytest.raises(wire.WireError, match="too long"):
        decode({"!": "dict", "v": keys})


def test_boolean_bytes_other_than_0_and_1_are_refused():
    tree = {"!": "tensor", "dtype": "bool", "shape": [2]}
    assert decode(tree, b"\1\0").tolist() == [True, False]
    with pytest.raises(wire.WireError, match="neither 0 nor 1"):
        decode(tree, b"\1\2")


def test_bytes_that_no_tensor_used_are_refused():
    decoder = codec.Decoder(memoryview(bytes(8)))
    decoder.decode(None)
    with pytest.raises(wire.WireError, match="left over"):
        decoder.finish()


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"HTTP" + bytes(12), "magic"),
        (struct.pack("<4sIQ", b"LLM1", wire.MAX_HEADER + 1, 0), "limits"),
        (struct.pack("<4sIQ", b"LLM1", 0, wire.MAX_BODY + 1), "limits"),
        (struct.pack("<4sIQ", b"LLM1", 0, (1 << 64) - 1), "limits"),
    ],
    ids=["magic", "header", "body", "huge"],
)
def test_head_is_checked_before_anything_is_read(head, says):
    with pytest.raises(wire.WireError, match=says):
        wire.unpack_head(head)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"[1]", "not an object"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * (wire.MAX_BRACKETS + 1), "too many parts"),
        (b"[" + b"0," * (wire.MAX_NODES + 1), "too many parts"),
    ],
    ids=["empty", "list", "bytes", "deep", "digits", "brackets", "commas"],
)
def test_header_that_is_no_object_is_refused(raw, says):
    with pytest.raises(wire.WireError, match=says):
        wire.parse_header(raw)


def test_a_closed_connection_and_a_late_answer_have_their_own_errors():
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(wire.TimedOut, match="no answer in time"):
        wire.receive(ours, wire.Within(0.05))
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        with pytest.raises(wire.Closed):
            wire.receive(theirs, wire.Within(1))
        with pytest.raises(wire.Closed):
            wire.send(theirs, b"x", wire.Within(1))


def test_a_question_that_nobody_takes_is_given_up():
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(wire.TimedOut):
        wire.send(ours, bytes(1 << 24), wire.Within(0.1))


def test_generator_crosses_by_its_state():
    state = torch.Generator().manual_seed(3).get_state()
    again = torch.rand(3, generator=codec.generator(torch.cat([state, state])[: len(state)]))
    assert torch.equal(again, torch.rand(3, generator=torch.Generator().manual_seed(3)))
    for wrong in (None, torch.zeros(5), torch.zeros(5, dtype=torch.uint8), state[:-1], state.view(2, -1)):
        with pytest.raises(wire.WireError, match="malformed generator"):
            codec.generator(wrong)
