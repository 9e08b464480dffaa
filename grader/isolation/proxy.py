"""What stands for the learner's functions, modules, optimizers and objects in the trusted process.

A call goes to the worker with all its tensors; what it changed in place comes back, and its result is tied into
autograd, so that `.backward()`, `gradcheck`, `state_dict` and `named_parameters` work as they do locally.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from grader.isolation import wire
from grader.isolation.client import Session, WorkerEnded, clean

Tree = dict[str, Any]
# Never asked of the worker: hypothesis and notebooks try the last two on all that they show.
_LOCAL = ("__", "_repr_", "_ipython_")
MAX_STATE = 4096  # parameters and buffers of a module; each part of a name costs a module on this side
MAX_MODULE_DEPTH = 12
MAX_ITERATED = 1 << 28  # bytes of the answers that one iterator may give: a test may collect them in a list


class RemoteUnit:
    """The learner's module: its attributes are functions and classes behind the boundary."""

    def __init__(self, session: Session) -> None:
        self._calls = Calls(session)

    def __getattr__(self, name: str) -> Remote:
        if name.startswith(_LOCAL):
            raise AttributeError(name)
        return Remote(self._calls, None, (name,))


class Remote:
    """A callable behind the boundary."""

    def __init__(self, calls: Calls, target: Any, path: tuple[str, ...]) -> None:
        self._calls = calls
        self._target = target
        self._path = path
        self.__name__ = path[-1]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it in the worker."""
        return self._calls.call(self._target, self._path, args, kwargs)

    def __getattr__(self, name: str) -> Remote:
        if name.startswith(_LOCAL):
            raise AttributeError(name)
        return Remote(self._calls, self._target, (*self._path, name))


class RemoteObject:
    """A plain object behind the boundary, with the parameters of the tests that it was given."""

    def __init__(self, calls: Calls, node: Tree, retained: list[Any]) -> None:
        self.__dict__.update(_calls=calls, _handle=node["id"], _type=clean(node["type"], 100), _retained=retained)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(_LOCAL):
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

    def __getitem__(self, key: Any) -> Any:
        return self._calls.call(self, ("__getitem__",), (key,), {})

    def __iter__(self) -> Iterator[Any]:
        items: Iterator[Any] = self._calls.call(self, ("__iter__",), (), {})
        return items

    def __contains__(self, key: Any) -> bool:
        return bool(self._calls.call(self, ("__contains__",), (key,), {}))


class RemoteIterator(RemoteObject):
    """An iterator behind the boundary."""

    def __init__(self, calls: Calls, node: Tree, retained: list[Any]) -> None:
        super().__init__(calls, node, retained)
        self.__dict__["_given"] = 0

    def __len__(self) -> int:
        raise TypeError("an iterator has no length")

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

    def __init__(self, calls: Calls, node: Tree, retained: list[Any], groups: Any) -> None:
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

    def __init__(self, calls: Calls, node: Tree, state: list[tuple[str, str, int, Tensor]], frozen: set[str]) -> None:
        super().__init__()
        self.__dict__.update(_calls=calls, _handle=node["id"], _type=clean(node["type"], 100))
        placed: list[Tensor] = []
        for name, kind, same_as, tensor in state:
            owner, last = self._owner(name)
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
        self.train(node["training"] is True)

    def _owner(self, name: str) -> tuple[nn.Module, str]:
        *path, last = name.split(".")
        owner: nn.Module = self
        for part in path:
            if part not in owner._modules:
                owner._modules[part] = nn.Module()
            owner = owner._modules[part] or nn.Module()
        return owner, last

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith(_LOCAL):
                raise
            return self._calls.get(self, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The learner's forward, with the parameters as they are here."""
        return self._calls.call(self, ("__call__",), args, kwargs)

    def __repr__(self) -> str:
        return f"<{self._type} module of the submission>"


class Calls:
    """Turns calls into questions to one worker, and its answers into values."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.tagged: list[Tensor] = []

    def get(self, target: Any, name: str) -> Any:
        """An attribute: its value, or a callable where it is a method."""
        found = self.call(target, (name,), (), {}, act="get")
        return Remote(self, target, (name,)) if found is _METHOD else found

    def call(self, target: Any, path: tuple[str, ...], args: tuple[Any, ...], kwargs: Tree, act: str = "call") -> Any:
        """Call (or get, or set) an attribute of the learner's module or of one of its objects."""
        outgoing = _Outgoing(self)
        # Not where the groups are asked for, or what load_state_dict just wrote there would be overwritten.
        live = isinstance(target, RemoteOptimizer) and path != ("param_groups",)
        groups = target.param_groups if live else []
        options = [{key: value for key, value in group.items() if key != "params"} for group in groups]
        sync = target._retained if isinstance(target, RemoteObject) else []
        value = {"target": target, "args": list(args), "kwargs": kwargs, "options": options, "sync": sync}
        tree = outgoing.encoder.encode(value)
        freed, self.session.freed = self.session.freed, []
        header = {"op": "call", "act": act, "path": list(path), "value": tree, "free": freed}
        header |= {"grad": torch.is_grad_enabled(), "count": self.session.counting}
        answer, body = self.session.ask(header, outgoing.encoder.buffers)
        try:
            with self.session.charged():
                result = self._take(answer, body, outgoing)
        except Exception as error:  # what a reply makes this side stumble over is the worker's doing, whatever it is
            raise self.session.violated(_as_violation(error)) from None
        if isinstance(target, RemoteObject):  # a parameter may come later than the constructor: add_param_group
            target.__dict__["_retained"] = list({id(kept): kept for kept in outgoing.retained}.values())
        return result

    def _take(self, answer: Tree, body: memoryview, outgoing: _Outgoing) -> Any:
        incoming = _Incoming(self, body, outgoing)
        result = incoming.decoder.decode(answer.get("value"))
        outgoing.write_back(incoming.decoder.decode(answer.get("changed")), _write_data)
        outgoing.write_back(incoming.decoder.decode(answer.get("grads")), _write_grad)
        incoming.decoder.finish()
        lines = answer.get("lines")
        self.session.lines += lines if type(lines) is int and lines > 0 else 0
        if torch.is_grad_enabled() and any(incoming.requires):
            return self._link(result, incoming, outgoing)
        return result

    def _link(self, result: Any, incoming: _Incoming, outgoing: _Outgoing) -> Any:
        if not any(tensor.requires_grad for tensor in outgoing.tensors):
            return result  # the worker claims a graph to nowhere
        graph = _Graph(self.session, self.session.last_id())
        outputs, requires = incoming.outputs, incoming.requires
        linked = _Link.apply(graph, outputs, requires, *outgoing.tensors)  # type: ignore[no-untyped-call]
        return _replace(result, {id(old): new for old, new in zip(incoming.outputs, linked, strict=True)})


_METHOD = object()


class _Outgoing:
    """The encoder of one question, and the tensors that it sent, in order."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.tensors: list[Tensor] = []
        self.retained: list[Any] = []
        self._slot: list[Any] | None = None
        self._quiet = False
        self.encoder = wire.Encoder(self._special, self._facts)

    def _special(self, value: Any) -> Tree | None:
        if isinstance(value, RemoteModule):
            self.retained.append(value)
            state = [self._in_slot(value._handle, name, tensor) for name, tensor in _all_state(value)]
            return {"!": "module", "id": value._handle, "training": value.training, "state": state}
        if isinstance(value, RemoteObject):
            return {"!": "handle", "id": value._handle}
        if isinstance(value, torch.Generator):
            return None
        if isinstance(value, Iterator) or (isinstance(value, Iterable) and hasattr(value, "pulled")):
            return {"!": "iterator", "n": self.calls.session.add_iterator(value, self._item)}
        return None

    def _item(self, value: Any) -> tuple[Any, list[Tensor]]:
        # Encoded as an argument is, so that a parameter out of `model.parameters()` stays that parameter.
        self.encoder = wire.Encoder(self._special, self._facts)
        return self.encoder.encode(value), self.encoder.buffers

    def _in_slot(self, handle: int, name: str, tensor: Tensor) -> Any:
        self._slot = [handle, name]
        try:
            return self.encoder.encode(tensor)
        finally:
            self._slot = None

    def _facts(self, tensor: Tensor) -> Tree:
        if self._quiet:
            return {}
        self.tensors.append(tensor)
        facts: Tree = {"requires": tensor.requires_grad}
        if self._slot is not None:
            facts["slot"] = self._slot
        elif isinstance(tensor, nn.Parameter):
            facts["tag"] = self._tag(tensor)
            self.retained.append(tensor)
        if tensor.is_leaf and tensor.grad is not None:
            self._quiet = True
            facts["leaf"] = self.encoder.encode(tensor.grad)
            self._quiet = False
        return facts

    def _tag(self, tensor: Tensor) -> int:
        for tag, known in enumerate(self.calls.tagged):
            if known is tensor:
                return tag
        self.calls.tagged.append(tensor)
        return len(self.calls.tagged) - 1

    def write_back(self, changes: Any, write: Any) -> None:
        """Carry over what the call changed in place in the tensors that were sent."""
        for change in changes if isinstance(changes, list) else []:
            match change:
                case [int(index), value] if 0 <= index < len(self.tensors) and (
                    value is None or isinstance(value, Tensor)
                ):
                    write(self.tensors[index], value)
                case _:
                    raise wire.WireError("a malformed change")


class _Incoming:
    """The decoder of one answer, and the tensors of its result, in order."""

    def __init__(self, calls: Calls, body: memoryview, outgoing: _Outgoing) -> None:
        self.calls = calls
        self.outgoing = outgoing
        self.outputs: list[Tensor] = []
        self.requires: list[bool] = []
        self._describing = False
        self.decoder = wire.Decoder(body, self._special, self._tensor)

    def _tensor(self, tensor: Tensor, node: Tree, decoder: wire.Decoder, depth: int) -> Tensor:
        if not self._describing and "requires" in node:
            self.outputs.append(tensor)
            self.requires.append(node["requires"] is True and tensor.is_floating_point())
        return tensor

    def _special(self, node: Tree, decoder: wire.Decoder, depth: int) -> Any:
        kind = node["!"] if isinstance(node.get("!"), str) else ""
        if kind == "method":
            return _METHOD
        if kind == "same" and type(node.get("tag")) is int and 0 <= node["tag"] < len(self.calls.tagged):
            return self.calls.tagged[node["tag"]]
        if kind == "object" and type(node.get("id")) is int and isinstance(node.get("type"), str):
            return self._object(node, depth)
        raise wire.WireError("an unknown kind of value")

    def _object(self, node: Tree, depth: int) -> Any:
        retained = list(self.outgoing.retained)
        if node.get("kind") == "module":
            self._describing = True
            return RemoteModule(self.calls, node, self._state(node, depth), set(map(str, node.get("frozen") or ())))
        if node.get("kind") == "optimizer":
            self._describing = True
            groups = self.decoder.decode(node.get("groups"), depth + 1)
            if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
                raise wire.WireError("malformed parameter groups")
            return RemoteOptimizer(self.calls, node, retained, groups)
        cls = RemoteIterator if node.get("kind") == "iterator" else RemoteObject
        return cls(self.calls, node, retained)

    def _state(self, node: Tree, depth: int) -> list[tuple[str, str, int, Tensor]]:
        entries = node["state"] if isinstance(node.get("state"), list) else []
        if len(entries) > MAX_STATE:
            raise wire.WireError(f"a module of more than {MAX_STATE} parameters and buffers")
        state = []
        for entry in entries:
            match entry:
                case [str(name), "parameter" | "buffer" | "transient" as kind, int(same), {"!": "tensor"} as tensor]:
                    if same < 0 or name.count(".") > MAX_MODULE_DEPTH:
                        raise wire.WireError("a malformed module")
                    state.append((name[:200], kind, same, self.decoder.decode(tensor, depth + 1)))
                case _:
                    raise wire.WireError("a malformed module")
        return state


class _Graph:
    """A call whose backward may still be asked for; the worker is told when nobody can ask any more."""

    def __init__(self, session: Session, id: int) -> None:
        self.session = session
        self.id = id

    def __del__(self) -> None:
        self.session.freed.append(self.id)

    def backward(self, grads: tuple[Tensor | None, ...], inputs: list[Tensor]) -> list[Tensor | None]:
        """The gradients of the inputs that require one, checked against them."""
        encoder = wire.Encoder()
        question = {"op": "backward", "graph": self.id, "value": encoder.encode(list(grads))}
        answer, body = self.session.ask(question, encoder.buffers)
        try:
            found = wire.Decoder(body).decode(answer.get("value"))
            if not isinstance(found, list) or len(found) != len(inputs):
                raise wire.WireError("the wrong number of gradients")
            for grad, tensor in zip(found, inputs, strict=True):
                _expect_like(grad, tensor)
        except Exception as error:
            raise self.session.violated(_as_violation(error)) from None
        return found


class _Link(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: _Graph, outputs: list[Tensor], requires: list[bool], *inputs: Tensor) -> Any:
        ctx.graph = graph
        ctx.inputs = list(inputs)
        ctx.set_materialize_grads(False)
        plain = [output for output, required in zip(outputs, requires, strict=True) if not required]
        ctx.mark_non_differentiable(*plain)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        if torch.is_grad_enabled():
            raise NotImplementedError("a gradient of a gradient does not cross the boundary")
        wanted = [tensor for tensor in ctx.inputs if tensor.requires_grad]
        found = iter(ctx.graph.backward(grads, wanted))
        return (None, None, None, *(next(found) if tensor.requires_grad else None for tensor in ctx.inputs))


def _replace(value: Any, by_id: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return by_id.get(id(value), value)
    if isinstance(value, list | tuple | set):
        return type(value)(_replace(item, by_id) for item in value)
    if isinstance(value, dict):
        return {key: _replace(item, by_id) for key, item in value.items()}
    return value


def _all_state(module: RemoteModule) -> list[tuple[str, Tensor]]:
    parameters: list[tuple[str, Tensor]] = list(module.named_parameters(remove_duplicate=True))
    return parameters + list(module.named_buffers(remove_duplicate=True))


def _as_violation(error: Exception) -> wire.WireError:
    return error if isinstance(error, wire.WireError) else wire.WireError(f"malformed ({type(error).__name__})")


def _expect_like(value: Any, tensor: Tensor) -> None:
    if value is None:
        return
    if not isinstance(value, Tensor) or value.shape != tensor.shape or value.dtype != tensor.dtype:
        raise wire.WireError("a gradient differs in shape or dtype from its tensor")


def _write_data(tensor: Tensor, value: Tensor | None) -> None:
    _expect_like(value, tensor)
    if value is None:
        raise wire.WireError("a malformed change")
    tensor.data.copy_(value)


def _write_grad(tensor: Tensor, value: Tensor | None) -> None:
    _expect_like(value, tensor)
    tensor.grad = value


__all__ = ["Remote", "RemoteModule", "RemoteObject", "RemoteOptimizer", "RemoteUnit", "WorkerEnded"]
