"""What stands for the learner's functions, modules, optimizers and objects in the trusted process.

A call goes to the worker with all its tensors; what it changed in place comes back, and its result is tied into
autograd, so that `.backward()`, `gradcheck`, `state_dict` and `named_parameters` work as they do locally.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grader.isolation import codec, wire
from grader.isolation.client import Session
from grader.isolation.graph import Graph, Link, as_violation, expect_like, replace
from grader.isolation.remote import (
    LOCAL,
    MAX_MODULE_DEPTH,
    Remote,
    RemoteIterator,
    RemoteModule,
    RemoteObject,
    RemoteOptimizer,
    Sibling,
)

Tree = dict[str, Any]
Slot = tuple[int, str]  # a module's handle, and the name of its parameter
MAX_STATE = 4096  # parameters and buffers of a module; each part of a name costs a module on this side


class RemoteUnit:
    """The learner's module: its attributes are functions and classes behind the boundary."""

    def __init__(self, session: Session) -> None:
        self._calls = Calls(session)
        self._target: Sibling | None = None

    def __getattr__(self, name: str) -> Remote:
        if name.startswith(LOCAL):
            raise AttributeError(name)
        return Remote(self._calls, self._target, (name,))

    def _sibling(self, name: str) -> RemoteUnit:
        sibling = copy.copy(self)
        sibling._target = Sibling(name)
        return sibling


class Calls:
    """Turns calls into questions to one worker, and its answers into values."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.tagged: list[Tensor] = []
        self.slots: dict[int, Slot] = {}
        self.placed: dict[Slot, Tensor] = {}

    def get(self, target: Any, name: str) -> Any:
        """An attribute: its value, or a callable where it is a method."""
        found = self.call(target, (name,), (), {}, act="get")
        return Remote(self, target, (name,)) if found is _METHOD else found

    def call(self, target: Any, path: tuple[str, ...], args: tuple[Any, ...], kwargs: Tree, act: str = "call") -> Any:
        """Call (or get, or set) an attribute of the learner's module or of one of its objects."""
        outgoing = _Outgoing(self)
        # Not where the groups are asked for, or what load_state_dict just wrote there would be overwritten.
        outgoing.asks_for_groups = isinstance(target, RemoteOptimizer) and path == ("param_groups",)
        remembers = isinstance(target, RemoteObject) and not outgoing.asks_for_groups
        sync = [kept for kept in target._retained if kept is not target] if remembers else []
        tree = outgoing.encoder.encode({"target": target, "args": list(args), "kwargs": kwargs, "sync": sync})
        freed, self.session.freed = self.session.freed, []
        header = {"op": "call", "act": act, "path": list(path), "value": tree, "free": freed}
        header |= {"grad": torch.is_grad_enabled(), "count": self.session.counting}
        answer, body = self.session.ask(header, outgoing.encoder.buffers)
        try:
            with self.session.charged():
                result = self._take(answer, body, outgoing)
        except Exception as error:  # what a reply makes this side stumble over is the worker's doing, whatever it is
            raise self.session.violated(as_violation(error)) from None
        if remembers:  # a parameter may come later than the constructor: add_param_group
            target.__dict__["_retained"] = list({id(kept): kept for kept in outgoing.retained}.values())
        for optimizer in outgoing.optimizers:
            if optimizer is not target:  # which asks for itself, where it must
                optimizer._refresh(self.get(optimizer, "param_groups"))
        return result

    def _take(self, answer: Tree, body: memoryview, outgoing: _Outgoing) -> Any:
        incoming = _Incoming(self, body, outgoing)
        result = incoming.decoder.decode(answer.get("value"))
        outgoing.write_back(incoming.decoder.decode(answer.get("changed")), _write_data)
        outgoing.write_back(incoming.decoder.decode(answer.get("grads")), _write_grad)
        outgoing.write_files(incoming.decoder.decode(answer.get("files")))
        outgoing.set_modes(incoming.decoder.decode(answer.get("modes")))
        incoming.decoder.finish()
        lines = answer.get("lines")
        self.session.lines += lines if type(lines) is int and lines > 0 else 0
        if torch.is_grad_enabled() and any(incoming.requires):
            return self._link(result, incoming, outgoing)
        return result

    def _link(self, result: Any, incoming: _Incoming, outgoing: _Outgoing) -> Any:
        if not any(tensor.requires_grad for tensor in outgoing.tensors):
            return result  # the worker claims a graph to nowhere
        graph = Graph(self.session, self.session.last_id())
        outputs, requires = incoming.outputs, incoming.requires
        linked = Link.apply(graph, outputs, requires, *outgoing.tensors)  # type: ignore[no-untyped-call]
        return replace(result, {id(old): new for old, new in zip(incoming.outputs, linked, strict=True)})


_METHOD = object()


class _Outgoing:
    """The encoder of one question, and the tensors that it sent, in order."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.tensors: list[Tensor] = []
        self.retained: list[Any] = []
        self.optimizers: list[RemoteOptimizer] = []
        self.modules: list[RemoteModule] = []
        self.files: list[io.BytesIO] = []
        self.asks_for_groups = False
        self._slot: Slot | None = None
        self._sent: set[Slot | int] = set()
        self._quiet = False
        self.encoder = codec.Encoder(self._special, self._facts)

    def _special(self, value: Any) -> Tree | None:
        if isinstance(value, RemoteModule):
            self.retained.append(value)
            self.modules.append(value)
            state = [self._in_slot((value._handle, name), tensor) for name, tensor in _all_state(value)]
            modes = [part.training for part in value.modules()]
            return {"!": "module", "id": value._handle, "modes": modes, "state": state}
        if isinstance(value, RemoteOptimizer) and not self.asks_for_groups:
            return self._optimizer(value)
        if isinstance(value, Sibling):
            return {"!": "unit", "name": value.name}
        if isinstance(value, io.BytesIO):
            self.files.append(value)
            contents = torch.frombuffer(bytearray(value.getvalue() or b"-"), dtype=torch.uint8)
            return {"!": "file", "v": self._plain(contents[: len(value.getvalue())]), "at": value.tell()}
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            raw = torch.frombuffer(bytearray(value.tobytes() or b"-"), dtype=torch.uint8)[: value.nbytes]
            return {"!": "array", "v": self._plain(raw), "dtype": value.dtype.str, "shape": list(value.shape)}
        if isinstance(value, RemoteObject):
            return {"!": "handle", "id": value._handle}
        if isinstance(value, Iterator):
            return {"!": "iterator", "n": self.calls.session.add_iterator(value, self._item)}
        return None

    def _optimizer(self, optimizer: RemoteOptimizer) -> Tree:
        self.optimizers.append(optimizer)
        self.retained.append(optimizer)
        groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        sync = self.encoder.encode([kept for kept in optimizer._retained if kept is not optimizer])
        return {"!": "optimizer", "id": optimizer._handle, "options": self.encoder.encode(groups), "sync": sync}

    def _plain(self, tensor: Tensor) -> Any:
        self._quiet = True
        try:
            return self.encoder.encode(tensor)
        finally:
            self._quiet = False

    def _item(self, value: Any) -> tuple[Any, list[Tensor]]:
        # Encoded as an argument is, so that a parameter out of `model.parameters()` stays that parameter.
        self.encoder = codec.Encoder(self._special, self._facts)
        return self.encoder.encode(value), self.encoder.buffers

    def _in_slot(self, slot: Slot, tensor: Tensor) -> Any:
        self._slot = slot
        try:
            return self.encoder.encode(tensor)
        finally:
            self._slot = None

    def _facts(self, tensor: Tensor) -> Tree:
        if self._quiet:
            return {}
        facts: Tree = {}
        if slot := self._slot or self.calls.slots.get(id(tensor)):
            facts["slot"] = list(slot)
        elif isinstance(tensor, nn.Parameter):
            facts["tag"] = self._tag(tensor)
        if self._slot is None and isinstance(tensor, nn.Parameter):
            self.retained.append(tensor)
        if facts and (slot or facts["tag"]) in self._sent:
            return {"!": "known", **facts}
        self._sent.add(slot or facts.get("tag", -1))
        self.tensors.append(tensor)
        facts["requires"] = tensor.requires_grad
        if tensor.is_leaf and tensor.grad is not None:
            facts["leaf"] = self._plain(tensor.grad)
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

    def write_files(self, files: Any) -> None:
        """Carry over what the call wrote into the files that were sent."""
        for change in files if isinstance(files, list) else []:
            match change:
                case [int(index), Tensor() as contents, int(at)] if (
                    0 <= index < len(self.files) and contents.dtype is torch.uint8 and at >= 0
                ):
                    self.files[index].seek(0)
                    self.files[index].truncate()
                    self.files[index].write(contents.numpy().tobytes())
                    self.files[index].seek(min(at, contents.numel()))
                case _:
                    raise wire.WireError("a malformed file")

    def set_modes(self, modes: Any) -> None:
        """Carry over which parts of the modules that were sent the call left in training mode."""
        for module, changed in zip(self.modules, modes if isinstance(modes, list) else [], strict=False):
            for part, mode in zip(module.modules(), changed if isinstance(changed, list) else [], strict=False):
                part.training = mode is True


class _Incoming:
    """The decoder of one answer, and the tensors of its result, in order."""

    def __init__(self, calls: Calls, body: memoryview, outgoing: _Outgoing) -> None:
        self.calls = calls
        self.outgoing = outgoing
        self.outputs: list[Tensor] = []
        self.requires: list[bool] = []
        self._describing = False
        self.decoder = codec.Decoder(body, self._special, self._tensor)

    def _tensor(self, tensor: Tensor, node: Tree, decoder: codec.Decoder, depth: int) -> Tensor:
        if not self._describing and "requires" in node:
            self.outputs.append(tensor)
            self.requires.append(node["requires"] is True and tensor.is_floating_point())
        return tensor

    def _special(self, node: Tree, decoder: codec.Decoder, depth: int) -> Any:
        kind = node["!"] if isinstance(node.get("!"), str) else ""
        if kind == "method":
            return _METHOD
        if kind == "same" and type(node.get("tag")) is int and 0 <= node["tag"] < len(self.calls.tagged):
            return self.calls.tagged[node["tag"]]
        if kind == "same" and type(node.get("slot")) is list and _slot_of(node) in self.calls.placed:
            return self.calls.placed[_slot_of(node)]
        if kind == "object" and type(node.get("id")) is int and isinstance(node.get("type"), str):
            return self._object(node, depth)
        raise wire.WireError("an unknown kind of value")

    def _object(self, node: Tree, depth: int) -> Any:
        retained = list(self.outgoing.retained)
        if node.get("kind") == "module":
            self._describing = True
            return self._module(node, depth)
        if node.get("kind") == "optimizer":
            self._describing = True
            groups = self.decoder.decode(node.get("groups"), depth + 1)
            if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
                raise wire.WireError("malformed parameter groups")
            return RemoteOptimizer(self.calls, node, retained, groups)
        cls = RemoteIterator if node.get("kind") == "iterator" else RemoteObject
        return cls(self.calls, node, retained)

    def _module(self, node: Tree, depth: int) -> RemoteModule:
        modes = node["modes"] if isinstance(node.get("modes"), list) else []
        for mode in modes:
            match mode:
                case [str(name), bool()] if name.count(".") < MAX_MODULE_DEPTH and len(modes) <= MAX_STATE:
                    continue
                case _:
                    raise wire.WireError("a malformed module")
        module = RemoteModule(self.calls, node, self._state(node, depth), set(map(str, node.get("frozen") or ())))
        for name, parameter in module.named_parameters():
            # The same parameter has one name on both sides, whichever of the worker's objects it comes along with.
            self.calls.slots[id(parameter)] = module._handle, name
            self.calls.placed[module._handle, name] = parameter
        return module

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


def _slot_of(node: Tree) -> Slot:
    match node["slot"]:
        case [int(handle), str(name)]:
            return handle, name
    raise wire.WireError("a malformed parameter")


def _all_state(module: RemoteModule) -> list[tuple[str, Tensor]]:
    parameters: list[tuple[str, Tensor]] = list(module.named_parameters(remove_duplicate=True))
    return parameters + list(module.named_buffers(remove_duplicate=True))


def _write_data(tensor: Tensor, value: Tensor | None) -> None:
    expect_like(value, tensor)
    if value is None:
        raise wire.WireError("a malformed change")
    tensor.data.copy_(value)


def _write_grad(tensor: Tensor, value: Tensor | None) -> None:
    expect_like(value, tensor)
    tensor.grad = value
