"""What stands for the learner's functions, modules, optimizers and objects in the trusted process.

A call goes to the worker with all its tensors; what it changed in place comes back, and its result is tied into
autograd, so that `.backward()`, `gradcheck`, `state_dict` and `named_parameters` work as they do locally.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from grader.sandbox.host.client import Session, error_of
from grader.sandbox.host.graph import Graph, Link, as_violation, expect_like
from grader.sandbox.host.remote import LOCAL, METHOD, Remote, RemoteObject, RemoteOptimizer, Sibling, Slot
from grader.sandbox.host.reply import Incoming
from grader.sandbox.host.request import Outgoing
from grader.sandbox.protocol import wire
from grader.sandbox.protocol.pytree import flatten, map_tensors
from grader.sandbox.worker.measure import measured_of

Tree = dict[str, Any]


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
        return Remote(self, target, (name,)) if found is METHOD else found

    def call(self, target: Any, path: tuple[str, ...], args: tuple[Any, ...], kwargs: Tree, act: str = "call") -> Any:
        """Call (or get, or set) an attribute of the learner's module or of one of its objects."""
        outgoing = Outgoing(self, (*args, *kwargs.values()))
        # Not where the groups are asked for, or what load_state_dict just wrote there would be overwritten.
        outgoing.asks_for_groups = isinstance(target, RemoteOptimizer) and path == ("param_groups",)
        remembers = isinstance(target, RemoteObject) and not outgoing.asks_for_groups
        sync = [kept for kept in target._retained if kept is not target] if remembers else []
        drawn = None if self._knows_the_generator() else torch.default_generator
        values = {"target": target, "args": list(args), "kwargs": kwargs, "sync": sync, "generator": drawn}
        tree = outgoing.encoder.encode(values)
        if drawn is not None:
            outgoing.generators.pop()  # the last that was encoded: whether it was drawn from is said apart
        freed, self.session.freed = self.session.freed, []
        header = {"op": "call", "act": act, "path": list(path), "value": tree, "free": freed}
        header |= {"grad": torch.is_grad_enabled(), "measure": self.session.measured is not None}
        if torch.get_default_dtype() is not torch.float32:
            header["dtype"] = str(torch.get_default_dtype()).removeprefix("torch.")
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
        if isinstance(answer.get("raised"), dict):
            raise error_of(answer["raised"], at_the_end=path == ("__next__",))
        return result

    def _knows_the_generator(self) -> bool:
        known = self.session.generator
        return known is not None and torch.equal(known, torch.default_generator.get_state())

    def _take(self, answer: Tree, body: memoryview, outgoing: Outgoing) -> Any:
        incoming = Incoming(self, body, outgoing)
        result = incoming.decoder.decode(answer.get("value"))
        incoming.describing = True
        changes: dict[str, Callable[[Iterable[Any]], None]] = {
            "changed": partial(outgoing.write_back, write=_write_data),
            "grads": partial(outgoing.write_back, write=_write_grad),
            "grads_in_place": partial(outgoing.write_back, write=_write_into_grad),
            "files": outgoing.write_files,
            "modes": outgoing.set_modes,
            "containers": outgoing.write_containers,
            "requires": outgoing.set_requires,
            "generators": outgoing.draw,
        }
        for name, carry_over in changes.items():
            if name in answer:
                carry_over(incoming.decoder.budget.each(incoming.decoder.decode(answer[name])))
        incoming.decoder.finish()
        if self.session.measured is not None:
            self.session.measured.add(measured_of(answer.get("measured")))
        if answer.get("drew") is True:  # a check that looks at the global generator sees that it was used
            torch.rand(1)
        # The worker keeps its own state; it is sent a new one only when the generator changes on this side.
        self.session.generator = torch.default_generator.get_state()
        if torch.is_grad_enabled() and any(incoming.requires):
            result = self._link(result, incoming, outgoing)
        if incoming.outputs:
            self.session.answered.append((self.session.last_id(), list(map(weakref.ref, incoming.outputs))))
        return result

    def _link(self, result: Any, incoming: Incoming, outgoing: Outgoing) -> Any:
        if not any(tensor.requires_grad for tensor in outgoing.tensors):
            return result  # the worker claims a graph to nowhere
        graph = Graph(self.session, self.session.last_id())
        outputs, requires = incoming.outputs, incoming.requires
        linked = Link.apply(graph, outputs, requires, *outgoing.tensors)  # type: ignore[no-untyped-call]
        by_id = {id(old): new for old, new in zip(outputs, linked, strict=True)}
        incoming.outputs = list(linked)
        return map_tensors(lambda tensor: by_id.get(id(tensor), tensor), result)


def _write_data(tensor: Tensor, value: Tensor | None) -> None:
    expect_like(value, tensor)
    if value is None:
        raise wire.WireError("a malformed change")
    tensor.data.copy_(value)


def _write_grad(tensor: Tensor, value: Tensor | None) -> None:
    expect_like(value, tensor)
    tensor.grad = value


def _write_into_grad(tensor: Tensor, value: Tensor | None) -> None:
    expect_like(value, tensor)
    if value is None or tensor.grad is None:
        raise wire.WireError("a malformed change of a gradient in place")
    tensor.grad.copy_(value)


def overwrite(session: Session, value: Any) -> None:
    """Fill with garbage, in the worker's memory, the tensors and arrays that it has answered.

    Args:
        session: Whose answers they are; what is no answer of its last few is passed over.
        value: Answers, nested or not.
    """
    places = {id(ref()): [id_, index] for id_, refs in session.answered for index, ref in enumerate(refs)}
    tensors = [places[id(tensor)] for tensor in flatten(value) if id(tensor) in places]
    handle = value._handle if isinstance(value, RemoteObject) else 0
    if tensors or handle:
        session.ask({"op": "overwrite", "tensors": tensors, "object": handle}, [])
