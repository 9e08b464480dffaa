"""The worker: confines itself, imports the learner's files, and answers calls until it is ended.

It holds no test, no expected value and no score, and returns plain values only. Everything here runs in the hands of
the learner's code, so nothing that it says is believed beyond what the wire's rules allow.
"""

from __future__ import annotations

import builtins
import os
import random
import signal
import socket
import traceback
from collections.abc import Iterator
from typing import Any

import torch

from grader.isolation import confine, modules, watch, wire

PACKAGE = "exercises"
Tree = dict[str, Any]


def warm_up() -> None:
    """Load and run once, in the zygote, what is lazy in torch: a fork then finds it ready."""
    torch.set_num_threads(1)  # a parallel op before the fork leaves its children waiting for threads they do not have
    import jaxtyping  # noqa: F401
    import numpy  # noqa: F401
    import regex

    regex.compile(r"\p{L}+").findall("warm")
    confine.available()
    with watch.watching(("torch.softmax",), count=False):
        weight = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
        product = (weight @ weight).exp()
        torch.autograd.grad([product], [weight], [torch.ones_like(product)])
        torch.nn.functional.dropout(torch.zeros(3), 0.5)
    torch.zeros(2).numpy()


def main(sock: socket.socket, options: dict[str, Any]) -> None:
    """Confine this process, then answer the calls that come over the socket.

    Args:
        sock: The one connection.
        options: `confined`, whether to confine; `memory`, bytes of address space beyond what is mapped already;
            `readable`, folders that it may read besides Python's own.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    confine.die_with_parent()
    os.chdir("/")
    confine.limit(options["memory"])
    if options["confined"]:
        confine.confine(options["readable"])
    os.dup2(1, 2)
    wire.send(sock, wire.pack({"op": "ready", "confined": options["confined"]}, []))
    Worker(sock).serve()


class Worker:
    """The learner's module and objects, and the calls on them.

    Attributes:
        objects: Handle to object; nothing is forgotten, a worker's life is short.
        parameters: Tag to this side's copy of a parameter of the tests.
        graphs: Request id to the outputs and inputs of a call whose backward may still be asked for.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.module: Any = None
        self.forbidden: tuple[str, ...] = ()
        self.objects: dict[int, Any] = {}
        self.parameters: dict[int, torch.Tensor] = {}
        self.graphs: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}

    def serve(self) -> None:
        """Answer requests until the connection closes."""
        handlers = {"load": self._load, "call": self._call, "backward": self._backward}
        while True:
            try:
                header, body = wire.receive(self.sock)
            except wire.Closed:
                os._exit(0)
            try:
                answer, buffers = handlers[header["op"]](header, body)
                frame = wire.pack({"id": header["id"], "op": "result", **answer}, buffers)
            except BaseException as error:  # whatever a learner raises, SystemExit too, is an answer
                frame = wire.pack({"id": header["id"], "op": "error", **_describe_error(error)}, [])
            wire.send(self.sock, frame)

    def _load(self, header: Tree, body: memoryview) -> tuple[Tree, list[torch.Tensor]]:
        torch.default_generator.manual_seed(header["seed"])
        random.seed(header["seed"])
        self.forbidden = tuple(header["forbidden"])
        sources = {name: modules.Source(path, text) for name, (path, text) in header["sources"].items()}
        self.module = modules.load(PACKAGE, sources, header["module"])
        if header["given"]:
            modules.give(self.module, modules.Source(*header["reference"]), header["given"])
        return {"value": None}, []

    def _call(self, header: Tree, body: memoryview) -> tuple[Tree, list[torch.Tensor]]:
        for graph in header["free"]:
            self.graphs.pop(graph, None)
        request = _Request(self, header["value"], body)
        with torch.set_grad_enabled(header["grad"]), watch.watching(self.forbidden, header["count"]) as seen:
            result = self._perform(header, request.value)
        reply = _Reply(self, request)
        answer = reply.of(result)
        if any(output.requires_grad for output in reply.outputs):
            self.graphs[header["id"]] = (reply.outputs, list(request.inputs))
        return {**answer, "lines": seen.lines}, reply.encoder.buffers

    def _perform(self, header: Tree, value: Tree) -> Any:
        target = self.module if value["target"] is None else value["target"]
        for group, options in zip(getattr(target, "param_groups", ()), value["options"], strict=False):
            group.update(options)
        *path, last = header["path"]
        for name in path:
            target = getattr(target, name)
        if header["act"] == "set":
            return setattr(target, last, value["args"][0])
        found = getattr(target, last)
        return _Attribute(found) if header["act"] == "get" else found(*value["args"], **value["kwargs"])

    def _backward(self, header: Tree, body: memoryview) -> tuple[Tree, list[torch.Tensor]]:
        outputs, inputs = self.graphs[header["graph"]]
        grads = wire.Decoder(body).decode(header["value"])
        pairs = [(output, grad) for output, grad in zip(outputs, grads, strict=True) if grad is not None]
        wanted = [tensor for tensor in inputs if tensor.requires_grad]
        with watch.watching(self.forbidden, count=False):
            found = torch.autograd.grad(
                [output for output, _ in pairs],
                wanted,
                [grad for _, grad in pairs],
                retain_graph=True,
                allow_unused=True,
            )
        encoder = wire.Encoder()
        return {"value": encoder.encode(list(found))}, encoder.buffers

    def pull(self, number: int, request: _Request) -> Iterator[Any]:
        """The items of an iterable of the tests', one question an item; a parameter among them is that of the tests."""
        while True:
            wire.send(self.sock, wire.pack({"op": "next", "iterator": number}, []))
            header, body = wire.receive(self.sock)
            if header["op"] == "stop":
                return
            yield request.decode(header["value"], body)


class _Attribute:
    """What a `get` found: a method is named, not sent."""

    def __init__(self, found: Any) -> None:
        self.found = found


class _Request:
    """A call's values as the learner's code sees them, and what they were before it ran."""

    def __init__(self, worker: Worker, tree: Any, body: memoryview) -> None:
        self.worker = worker
        self.inputs: list[torch.Tensor] = []
        self.before: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        self.value = self.decode(tree, body)

    def decode(self, tree: Any, body: memoryview) -> Any:
        """A value of this call, or an item of an iterator that came with it."""
        return wire.Decoder(body, self._special, self._tensor).decode(tree)

    def _special(self, node: Tree, decoder: wire.Decoder, depth: int) -> Any:
        kind = node["!"]
        if kind == "handle":
            return self.worker.objects[node["id"]]
        if kind == "module":
            module = self.worker.objects[node["id"]]
            module.train(node["training"])
            decoder.decode(node["state"], depth + 1)
            return module
        if kind == "iterator":
            return self.worker.pull(node["n"], self)
        if kind == "generator":
            return wire.generator(decoder.decode(node["v"], depth + 1))
        raise wire.WireError(f"unknown kind of value {kind!r}")

    def _tensor(self, sent: torch.Tensor, node: Tree, decoder: wire.Decoder, depth: int) -> torch.Tensor:
        grad = decoder.decode(node["leaf"], depth + 1) if node.get("leaf") else None
        if "requires" not in node:  # a gradient, or a generator's state
            return sent
        tensor = self._own(sent, node)
        if tensor.requires_grad != node["requires"]:
            tensor.requires_grad_(node["requires"])
        if "tag" in node or "slot" in node:
            tensor.grad = grad
        self.inputs.append(tensor)
        self.before.append((tensor.detach().clone(), None if grad is None else grad.clone()))
        return tensor

    def _own(self, sent: torch.Tensor, node: Tree) -> torch.Tensor:
        if "slot" in node:
            handle, name = node["slot"]
            owner, _, last = name.rpartition(".")
            tensor: torch.Tensor = getattr(self.worker.objects[handle].get_submodule(owner), last)
        elif "tag" in node:
            tensor = self.worker.parameters.setdefault(node["tag"], torch.nn.Parameter(sent, node["requires"]))
        else:
            return sent
        tensor.grad = None
        tensor.data = sent
        return tensor


class _Reply:
    """A call's result, and what else it changed, as trees."""

    def __init__(self, worker: Worker, request: _Request) -> None:
        self.worker = worker
        self.request = request
        self.outputs: list[torch.Tensor] = []
        self.describing = False
        self.encoder = wire.Encoder(self._special, self._tensor_facts)

    def of(self, result: Any) -> Tree:
        """The result, the inputs whose values the call changed, and those whose gradient it changed."""
        value = self._attribute(result.found) if isinstance(result, _Attribute) else self.encoder.encode(result)
        self.describing = True
        pairs = list(enumerate(zip(self.request.inputs, self.request.before, strict=True)))
        # All of one and then all of the other, as they stand in the tree: buffers are read in its order.
        changed = [
            [index, self.encoder.encode(tensor.detach())]
            for index, (tensor, (data, _)) in pairs
            if not _same(tensor.detach(), data)
        ]
        grads = [
            [index, self.encoder.encode(tensor.grad)]
            for index, (tensor, (_, grad)) in pairs
            if tensor.is_leaf and not _same(tensor.grad, grad)
        ]
        return {"value": value, "changed": changed, "grads": grads}

    def _attribute(self, found: Any) -> Any:
        if callable(found) and not isinstance(found, torch.nn.Module):
            return {"!": "method"}
        return self.encoder.encode(found)

    def _tensor_facts(self, tensor: torch.Tensor) -> Tree:
        for tag, parameter in self.worker.parameters.items():
            if parameter is tensor:
                return {"!": "same", "tag": tag}
        if self.describing:
            return {"requires": tensor.requires_grad}
        self.outputs.append(tensor)
        return {"requires": tensor.requires_grad}

    def _special(self, value: Any) -> Tree | None:
        if isinstance(value, str | int | float | tuple | list | dict) or type(value).__module__ == "numpy":
            return None if not hasattr(value, "ndim") or value.ndim == 0 else self._object(value, "object")
        if isinstance(value, torch.nn.Module):
            return self._module(value)
        if isinstance(getattr(value, "param_groups", None), list) and hasattr(value, "step"):
            self.describing = True
            return {**self._object(value, "optimizer"), "groups": self.encoder.encode(value.param_groups)}
        return self._object(value, "iterator" if isinstance(value, Iterator) else "object")

    def _object(self, value: Any, kind: str) -> Tree:
        handle = next((handle for handle, known in self.worker.objects.items() if known is value), None)
        if handle is None:
            handle = len(self.worker.objects) + 1
            self.worker.objects[handle] = value
        return {"!": "object", "id": handle, "kind": kind, "type": type(value).__name__}

    def _module(self, module: torch.nn.Module) -> Tree:
        self.describing = True
        names = set(module.state_dict(keep_vars=True))
        state: list[tuple[str, str, torch.Tensor]] = []
        state += [(name, "parameter", p) for name, p in module.named_parameters(remove_duplicate=False)]
        state += [(name, "buffer", b) for name, b in module.named_buffers(remove_duplicate=False)]
        first: dict[int, int] = {}
        described = [
            [name, kind if name in names else "transient", first.setdefault(id(t), i), self.encoder.encode(t.detach())]
            for i, (name, kind, t) in enumerate(state)
        ]
        frozen = [name for name, _, tensor in state if not tensor.requires_grad]
        node = self._object(module, "module")
        return {**node, "training": module.training, "state": described, "frozen": frozen}


def _same(now: torch.Tensor | None, before: torch.Tensor | None) -> bool:
    if now is None or before is None:
        return now is before
    if now.shape != before.shape or now.dtype != before.dtype:
        return False
    return bool(torch.equal(now, before)) or bool(
        torch.equal(now.isnan(), before.isnan()) and torch.equal(now.nan_to_num(), before.nan_to_num())
    )


def _describe_error(error: BaseException) -> Tree:
    types = [cls.__name__ for cls in type(error).__mro__ if getattr(builtins, cls.__name__, None) is cls]
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(f"{PACKAGE}/"):
            where = f"{frame.filename}:{frame.lineno}"
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}"
    try:
        message = str(error)[:2000]
    except BaseException:
        message = "(its message raises, too)"
    return {
        "types": types,
        "name": type(error).__name__[:100],
        "message": message,
        "where": where,
        "not_allowed": isinstance(error, watch.NotAllowed),
    }
