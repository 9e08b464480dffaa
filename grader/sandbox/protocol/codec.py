"""The codec: values as a tree of JSON and raw buffers, and back, every size checked before it is used."""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from grader.sandbox.protocol.wire import ALIGN, MAX_NODES, WireError

MAX_DEPTH = 32
MAX_TENSORS = 20_000
MAX_DIMS = 16
MAX_DIGITS = 3000  # hexadecimal; Python refuses to print an integer of more than 4300 decimal ones
MAX_ELEMENTS = 1 << 31  # of a tensor without its empty axes: a sum over those is a tensor of that size
DECODE_SECONDS = 3.0  # of processor time: keys that all have one hash make a dict slow
TENSOR_COST = 16  # objects, or as many bytes as they take

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_NO_VALUES = torch.empty(0)
_Generator = torch.Generator  # whatever a learner's code puts in its place


class Budget:
    """What one answer may cost its reader, all of its parts together: objects, and processor time.

    Args:
        objects: How many; a module or a tensor counts as the many that it consists of.
        seconds: Of this thread.
    """

    def __init__(self, objects: int = MAX_NODES, seconds: float = DECODE_SECONDS) -> None:
        self._left = objects
        self._until = time.thread_time() + seconds
        self._looked = objects

    def spend(self, objects: int = 1) -> None:
        """Count objects before they are made.

        Raises:
            WireError: More than the budget holds, or its time is over.
        """
        self._left -= objects
        if self._left < 0:
            raise WireError("an answer has too many parts")
        if self._looked - self._left > 256:
            self._looked = self._left
            if time.thread_time() > self._until:
                raise WireError("an answer takes too long to read")

    def each(self, items: Any) -> Iterator[Any]:
        """The items of a list, each counted; nothing of what is not a list."""
        for item in items if isinstance(items, list) else []:
            self.spend()
            yield item


class Encoder:
    """Turns values into a tree of JSON and the buffers that go with it.

    Args:
        special: Called with each value that is not plain data; returns its node, or None to refuse it.
        tensor_facts: Called with each tensor; returns what its node carries besides dtype and shape, or a whole node.
    """

    def __init__(
        self,
        special: Callable[[Any], dict[str, Any] | None] = lambda value: None,
        tensor_facts: Callable[[torch.Tensor], dict[str, Any]] = lambda tensor: {},
    ) -> None:
        self._special = special
        self._tensor_facts = tensor_facts
        self.buffers: list[torch.Tensor] = []

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The tree of a value.

        Raises:
            WireError: A value that cannot cross, or nested too deeply.
        """
        if depth > MAX_DEPTH:
            raise WireError(f"a value is nested more than {MAX_DEPTH} deep")
        if value is None or type(value) in (bool, str, float):
            return value
        if type(value) is int:
            return value if -(1 << 63) <= value < 1 << 64 else _bigint(value)
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if type(value) in (list, tuple, dict, set, frozenset):
            return self._container(value, depth)
        return self._other(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        if type(value) is dict:
            return {
                "!": "dict",
                "v": [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()],
            }
        plain = set(map(type, value)) <= {str, float, bool, type(None)} or _small_ints(value)
        items = list(value) if plain else [self.encode(item, depth + 1) for item in value]
        return items if type(value) is list else {"!": type(value).__name__, "v": items}

    def _other(self, value: Any, depth: int) -> Any:
        if isinstance(value, bytes | bytearray):
            return {"!": "bytes", "v": value.decode("latin-1")}
        if isinstance(value, torch.dtype):
            return {"!": "dtype", "v": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device):
            return {"!": "device", "v": _expect_known_device(value.type)}
        node = self._special(value)
        if node is not None:
            return node
        if isinstance(value, str):
            return str(value)
        if isinstance(value, numbers.Integral):
            return self.encode(int(value), depth + 1)
        if isinstance(value, numbers.Real):
            return float(value)
        if isinstance(value, tuple | list | dict):  # named tuples, OrderedDict, Counter, torch.Size
            return self.encode(next(base for base in (tuple, list, dict) if isinstance(value, base))(value), depth + 1)
        raise WireError(f"a {type(value).__module__}.{type(value).__qualname__} cannot cross the boundary")

    def _tensor(self, tensor: torch.Tensor) -> dict[str, Any]:
        plain(tensor)
        if tensor.dtype not in _NAMES or tensor.layout != torch.strided:
            raise WireError(f"a tensor of {tensor.dtype} and {tensor.layout} cannot cross the boundary")
        slot = len(self.buffers)
        # An empty one for meta, which has no values.
        self.buffers.append(_NO_VALUES if tensor.is_meta else tensor.detach().cpu().contiguous())
        facts = self._tensor_facts(tensor)
        if "!" in facts:  # the other side has it already
            del self.buffers[slot]
            return facts
        node = {"!": "tensor", "dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), **facts}
        return {**node, "device": "meta"} if tensor.is_meta else node


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """The same tensor.

    Raises:
        WireError: Its class is not torch's own, so that its methods may be anybody's.
    """
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise WireError(f"a {type(tensor).__name__} cannot cross the boundary: use plain tensors and nn.Parameter")
    return tensor


def _bigint(value: int) -> dict[str, Any]:
    if value.bit_length() > 4 * MAX_DIGITS:
        raise WireError(f"an integer of {value.bit_length()} bits cannot cross the boundary")
    return {"!": "bigint", "v": hex(value)}


def _small_ints(value: Any) -> bool:
    return set(map(type, value)) == {int} and min(value) >= -(1 << 63) and max(value) < 1 << 63


class Decoder:
    """Turns a tree and its body back into values.

    Args:
        body: The raw buffers.
        special: Called with each node that is not plain data; raises WireError where it is unknown.
        on_tensor: Called with each tensor and its node; returns what stands for it.

    Attributes:
        budget: What the whole answer may cost.
    """

    def __init__(
        self,
        body: memoryview,
        special: Callable[[dict[str, Any], Decoder, int], Any] | None = None,
        on_tensor: Callable[[torch.Tensor, dict[str, Any], Decoder, int], Any] | None = None,
    ) -> None:
        self._body = body
        self._offset = 0
        self._tensors = 0
        self.budget = Budget()
        self._special = special
        self._on_tensor = on_tensor

    def decode(self, node: Any, depth: int = 0) -> Any:
        """The value of a tree.

        Raises:
            WireError: The tree is not one that an Encoder makes.
        """
        self.budget.spend()
        if depth > MAX_DEPTH:
            raise WireError("a value is nested too deeply")
        if isinstance(node, list):
            if set(map(type, node)) <= {int, str, float, bool, type(None)}:
                self.budget.spend(len(node))
                return node
            return [self.decode(item, depth + 1) for item in node]
        if isinstance(node, dict):
            return self._tagged(node, depth)
        return node

    def _tagged(self, node: dict[str, Any], depth: int) -> Any:
        tag = node.get("!")
        if tag == "tensor":
            tensor = self._tensor(node)
            return tensor if self._on_tensor is None else self._on_tensor(tensor, node, self, depth)
        if tag in ("tuple", "set", "frozenset", "dict"):
            return self._container(str(tag), _field(node, "v", list), depth)
        if tag == "bytes":
            return self._bytes(_field(node, "v", str))
        if tag == "bigint":
            return _integer(_field(node, "v", str))
        if tag == "dtype":
            return _dtype(_field(node, "v", str))
        if tag == "device":
            return torch.device(_expect_known_device(_field(node, "v", str)))
        if self._special is None:
            raise WireError(f"unknown kind of value {str(tag)[:40]!r}")
        return self._special(node, self, depth)

    def _container(self, tag: str, items: list[Any], depth: int) -> Any:
        values = self.decode(items, depth + 1)
        try:
            if tag == "tuple":
                return tuple(values)
            if tag == "dict":
                return self._hashed(values)
            members = self._hashed([key, None] for key in values)
            return set(members) if tag == "set" else frozenset(members)
        except (TypeError, ValueError):
            raise WireError(f"a malformed {tag}") from None

    def _hashed(self, pairs: Iterable[Any]) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for pair in pairs:
            if type(pair) is not list:  # a tensor of two rows falls apart into two values of one memory
                raise TypeError
            key, value = pair
            self.budget.spend()
            found[key] = value
        return found

    def _bytes(self, text: str) -> bytes:
        self.budget.spend(len(text) // 64)
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise WireError("malformed bytes") from None

    def _tensor(self, node: dict[str, Any]) -> torch.Tensor:
        dtype = _dtype(_field(node, "dtype", str))
        shape = _field(node, "shape", list)
        if len(shape) > MAX_DIMS or any(type(size) is not int or not 0 <= size < 1 << 48 for size in shape):
            raise WireError("a malformed shape")
        self._tensors += 1
        self.budget.spend(TENSOR_COST)
        if self._tensors > MAX_TENSORS or math.prod(size or 1 for size in shape) > MAX_ELEMENTS:
            raise WireError("too many tensors, or one of too many elements")
        device = _expect_known_device(node.get("device", "cpu"))
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes == 0 or device == "meta":  # takes no room in the body, not even that of its alignment
            return _empty(shape, dtype, device)
        start = -(-self._offset // ALIGN) * ALIGN
        if start + nbytes > len(self._body):
            raise WireError("a tensor is larger than its buffer")
        self._offset = start + nbytes
        raw = torch.frombuffer(bytearray(self._body[start : start + nbytes]), dtype=torch.uint8)
        if dtype is torch.bool and int(raw.max()) > 1:
            raise WireError("a boolean that is neither 0 nor 1")
        return raw.view(dtype).view(shape)

    def finish(self) -> None:
        """Refuse a body with bytes that no tensor of the tree has used."""
        if self._offset != len(self._body):
            raise WireError("bytes are left over after the last tensor")


def _empty(shape: list[int], dtype: torch.dtype, device: str) -> torch.Tensor:
    try:
        return torch.empty(shape, dtype=dtype, device=device)
    except RuntimeError:  # sizes whose product overflows, beside a 0
        raise WireError("a malformed shape") from None


def _expect_known_device(kind: Any) -> str:
    if kind not in ("cpu", "meta"):
        raise WireError(f"device {str(kind)[:40]!r} is not allowed: here, tensors live on 'cpu' or 'meta'")
    return str(kind)


def _field(node: dict[str, Any], name: str, type_: type) -> Any:
    value = node.get(name)
    if type(value) is not type_:
        raise WireError(f"field {name!r} of a node must be a {type_.__name__}")
    return value


def _integer(text: str) -> int:
    try:
        if len(text) <= MAX_DIGITS + 3:
            return int(text, 16)
    except ValueError:
        pass
    raise WireError("a malformed integer")


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise WireError(f"dtype {name[:40]!r} is not allowed")
    return DTYPES[name]


def generator(state: Any) -> torch.Generator:
    """A generator in the state that was sent: for the worker, since no state ever comes back.

    Raises:
        WireError: Not a generator's state.
    """
    if not isinstance(state, torch.Tensor) or state.dtype is not torch.uint8 or state.dim() != 1:
        raise WireError("a malformed generator")
    generator = _Generator()
    try:
        generator.set_state(state.clone())  # set_state on a view with an offset crashes
    except RuntimeError:
        raise WireError("a malformed generator state") from None
    return generator
