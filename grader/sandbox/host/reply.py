"""A worker's answer: its tree as values, with proxies for what stays there; nothing in it is believed unseen."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from grader.sandbox.host.remote import (
    MAX_MODULE_DEPTH,
    METHOD,
    RemoteIterator,
    RemoteModule,
    RemoteObject,
    RemoteOptimizer,
    Slot,
)
from grader.sandbox.host.request import Outgoing
from grader.sandbox.protocol import codec, wire

Tree = dict[str, Any]
MAX_STATE = 4096  # parameters and buffers of a module; each part of a name costs a module on this side
OBJECT_COST = 16


class Incoming:
    """The decoder of one answer, and the tensors of its result, in order.

    Attributes:
        describing: Whether what is decoded is no longer the result itself, but what describes it or has changed.
    """

    def __init__(self, calls: Any, body: memoryview, outgoing: Outgoing) -> None:
        self.calls = calls
        self.outgoing = outgoing
        self.outputs: list[Tensor] = []
        self.requires: list[bool] = []
        self.describing = False
        self.decoder = codec.Decoder(body, self._special, self._tensor)

    def _tensor(self, tensor: Tensor, node: Tree, decoder: codec.Decoder, depth: int) -> Tensor:
        if not self.describing and "requires" in node:
            self.outputs.append(tensor)
            self.requires.append(node["requires"] is True and tensor.is_floating_point())
        return tensor

    def _special(self, node: Tree, decoder: codec.Decoder, depth: int) -> Any:
        kind = node["!"] if isinstance(node.get("!"), str) else ""
        if kind == "method":
            return METHOD
        if kind == "same" and type(node.get("tag")) is int and 0 <= node["tag"] < len(self.calls.tagged):
            return self.calls.tagged[node["tag"]]
        if kind == "same" and type(node.get("slot")) is list and _slot_of(node) in self.calls.placed:
            return self.calls.placed[_slot_of(node)]
        if kind == "object" and type(node.get("id")) is int and isinstance(node.get("type"), str):
            return self._object(node, depth)
        raise wire.WireError("an unknown kind of value")

    def _object(self, node: Tree, depth: int) -> Any:
        self.decoder.budget.spend(OBJECT_COST + len(self.outgoing.retained))
        retained = list(self.outgoing.retained)
        if node.get("kind") == "module":
            self.describing = True
            return self._module(node, depth)
        if node.get("kind") == "optimizer":
            self.describing = True
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
        state, frozen = self._state(node, depth), self._frozen(node)
        module = RemoteModule(self.calls, node, state, frozen, self.decoder.budget)
        for name, parameter in module.named_parameters():
            # The same parameter has one name on both sides, whichever of the worker's objects it comes along with.
            self.calls.slots[id(parameter)] = module._handle, name
            self.calls.placed[module._handle, name] = parameter
        return module

    def _frozen(self, node: Tree) -> set[str]:
        names = node.get("frozen") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > MAX_STATE:
            raise wire.WireError("a malformed module")
        self.decoder.budget.spend(len(names))
        return set(names)

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
