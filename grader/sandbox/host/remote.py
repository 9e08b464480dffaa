"""What stands for the learner's functions, objects, optimizers and modules in the trusted process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from grader.sandbox.host.client import clean
from grader.sandbox.protocol import wire
from grader.sandbox.protocol.codec import Budget

Tree = dict[str, Any]
# Never asked of the worker: hypothesis and notebooks try the last two on all that they show.
LOCAL = ("__", "_repr_", "_ipython_")
METHOD = object()  # what the worker says of an attribute that is a method
Slot = tuple[int, str]  # a module's handle, and the name of its parameter
MAX_MODULE_DEPTH = 12
PART_COST = 64  # an empty nn.Module is a dozen dicts
MAX_ITERATED = 1 << 28  # bytes of the answers that one iterator may give: a test may collect them in a list


@dataclass(frozen=True)
class Sibling:
    """Another unit's module behind the boundary."""

    name: str


class Remote:
    """A callable behind the boundary."""

    def __init__(self, calls: Any, target: Any, path: tuple[str, ...]) -> None:
        self._calls = calls
        self._target = target
        self._path = path
        self.__name__ = path[-1]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it in the worker."""
        return self._calls.call(self._target, self._path, args, kwargs)

    def __getattr__(self, name: str) -> Remote:
        if name.startswith(LOCAL):
            raise AttributeError(name)
        return Remote(self._calls, self._target, (*self._path, name))


class RemoteObject:
    """A plain object behind the boundary, with the parameters of the tests that it was given."""

    def __init__(self, calls: Any, node: Tree, retained: list[Any]) -> None:
        self.__dict__.update(_calls=calls, _handle=node["id"], _type=clean(node["type"], 100), _retained=retained)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(LOCAL):
            raise AttributeError(name)
        return self._calls.get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._calls.call(self, (name,), (value,), {}, act="set")

    def __repr__(self) -> str:
        return f"<{self._type} object of the submission>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it in the worker."""
        return self._calls.call(self, ("__call__",), args, kwargs)

    def __len__(self) -> int:
        try:
            length = self._calls.call(self, ("__len__",), (), {})
        except AttributeError as error:
            raise TypeError(str(error)) from None  # what list() expects of an object without a length
        if type(length) is not int or not 0 <= length <= wire.MAX_NODES:  # list() makes room for as many at once
            raise TypeError(f"a length of {str(length)[:40]}")
        return length

    def __bool__(self) -> bool:
        for method in ("__bool__", "__len__"):
            with suppress(AttributeError):
                return self._calls.call(self, (method,), (), {}) not in (False, 0)
        return True

    def __getitem__(self, key: Any) -> Any:
        return self._calls.call(self, ("__getitem__",), (key,), {})

    def __iter__(self) -> Iterator[Any]:
        items: Iterator[Any] = self._calls.call(self, ("__iter__",), (), {})
        return items

    def __contains__(self, key: Any) -> bool:
        return bool(self._calls.call(self, ("__contains__",), (key,), {}))


class RemoteIterator(RemoteObject):
    """An iterator behind the boundary."""

    def __init__(self, calls: Any, node: Tree, retained: list[Any]) -> None:
        super().__init__(calls, node, retained)
        self.__dict__["_given"] = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        session = self._calls.session
        if self._given > MAX_ITERATED:
            raise session.violated(wire.WireError("an iterator that never ends"))
        before = session.received
        item = self._calls.call(self, ("__next__",), (), {})
        self.__dict__["_given"] += session.received - before
        return item


class RemoteOptimizer(RemoteObject):
    """An optimizer behind the boundary; `param_groups` is live, as schedules and tests expect."""

    def __init__(self, calls: Any, node: Tree, retained: list[Any], groups: Any) -> None:
        super().__init__(calls, node, retained)
        self.__dict__["param_groups"] = groups

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if not isinstance(found, Remote):
            return found

        def method(*args: Any, **kwargs: Any) -> Any:
            try:
                result = found(*args, **kwargs)
            except Exception:  # what it refused may have changed the groups all the same
                self._refresh(self._calls.get(self, "param_groups"))
                raise
            self._refresh(self._calls.get(self, "param_groups"))
            return result

        return method

    def _refresh(self, groups: Any) -> None:
        if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
            raise TypeError(f"param_groups must be a list of dicts, got {type(groups).__name__}")
        for mine, new in zip(self.param_groups, groups, strict=False):
            mine.clear()
            mine.update(new)
        self.param_groups[:] = [*self.param_groups[: len(groups)], *groups[len(self.param_groups) :]]


class RemoteModule(nn.Module):
    """An `nn.Module` behind the boundary; its parameters live here and go along with every call."""

    def __init__(
        self,
        calls: Any,
        node: Tree,
        state: list[tuple[str, str, int, Tensor]],
        frozen: set[str],
        budget: Budget,
    ) -> None:
        budget.spend(PART_COST)
        super().__init__()
        self.__dict__.update(_calls=calls, _handle=node["id"], _type=clean(node["type"], 100))
        for path, training in node["modes"]:  # in the worker's order, in which modes are exchanged
            self._part(path, budget).training = training is True
        placed: list[Tensor] = []
        for name, kind, same_as, tensor in state:
            path, _, last = name.rpartition(".")
            owner = self._part(path, budget)
            if kind == "parameter":
                first = placed[same_as] if same_as < len(placed) else nn.Parameter(tensor, name not in frozen)
                placed.append(first)
                # Not register_parameter, which asks the worker whether the name is taken. A tensor and not a Parameter
                # only where a dishonest worker says that a parameter is the same as a buffer.
                owner._parameters[last] = first  # type: ignore[assignment]
            else:
                placed.append(tensor)
                owner._buffers[last] = tensor
                if kind == "transient":
                    owner._non_persistent_buffers_set.add(last)

    def _part(self, path: str, budget: Budget) -> nn.Module:
        part: nn.Module = self
        for name in path.split(".") if path else ():
            budget.spend()
            if name not in part._modules:
                budget.spend(PART_COST)
                part._modules[name] = nn.Module()
            part = part._modules[name] or nn.Module()
        return part

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith(LOCAL):
                raise
            return self._calls.get(self, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The learner's forward, with the parameters as they are here."""
        return self._calls.call(self, ("__call__",), args, kwargs)

    def __repr__(self) -> str:
        return f"<{self._type} module of the submission>"
