"""The worker: confines itself, imports the learner's files, and answers calls until it is ended.

It holds no test, no expected value and no score, and returns plain values only. Everything here runs in the hands of
the learner's code, so nothing that it says is believed beyond what the wire's rules allow.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import random
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import torch

from grader.sandbox.protocol import codec, wire
from grader.sandbox.protocol.pytree import overwrite
from grader.sandbox.worker import audit, confine, importer, refusals
from grader.sandbox.worker.described import described
from grader.sandbox.worker.marshal import Attribute, Reply, Request
from grader.sandbox.worker.measure import measuring

PACKAGE = "exercises"
Tree = dict[str, Any]


def warm_up() -> None:
    """Load and run once, in the zygote, what is lazy in torch: a fork then finds it ready."""
    torch.set_num_threads(1)  # a parallel op before the fork leaves its children waiting for threads they do not have
    import jaxtyping  # noqa: F401
    import numpy  # noqa: F401
    import regex

    regex.compile(r"\p{L}+").findall("warm")
    if not confine.available():
        confine.allowlist()
    with audit.watching(("torch.softmax",)):
        weight = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
        product = (weight @ weight).exp()
        torch.autograd.grad([product], [weight], [torch.ones_like(product)])
        torch.nn.functional.dropout(torch.zeros(3), 0.5)
    torch.zeros(2).numpy()
    # The first arithmetic on "meta" imports torch's compiler: 1.4 s, and files that a learner's worker may not have.
    torch.zeros(2, device="meta") + 1


def main(sock: socket.socket, options: dict[str, Any]) -> None:
    """Confine this process, then answer the calls that come over the socket.

    Args:
        sock: The one connection.
        options: `confined`, whether to confine; `memory`, bytes of address space beyond what is mapped already;
            `readable`, folders that it may read besides Python's own; `zygote`, its parent's process number.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    confine.die_with_parent(options["zygote"])
    os.chdir("/")
    confine.limit(options["memory"])
    if options["confined"]:
        confine.confine(options["readable"])
        # Nowhere to write: torch, when it first loads its compiler, asks for a name and writes nothing.
        tempfile.tempdir = "/tmp"
    refusals.settle()
    os.dup2(1, 2)
    sys.addaudithook(_refuse_tracing)  # there is no way to take a hook out again
    wire.send(sock, wire.pack({"op": "ready", "confined": options["confined"]}, []))
    Worker(sock).serve()


_TRACING = frozenset(("sys.settrace", "sys.setprofile", "sys.monitoring.register_callback"))


def _refuse_tracing(event: str, args: Any) -> None:
    if event not in _TRACING:
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(f"{PACKAGE}/"):
            raise RuntimeError(f"{event} is not available while your code is graded: remove it")
        frame = frame.f_back


class Worker:
    """The learner's module and objects, and the calls on them.

    Attributes:
        objects: Handle to object; nothing is forgotten, a worker's life is short.
        parameters: Tag to this side's copy of a parameter of the tests.
        slots: Id of a module's parameter to the parameter, and the handle and name under which the tests know it.
        answers: Request id to the tensors of an answer, of the last few.
        graphs: Request id to the outputs and inputs of a call whose backward may still be asked for.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.module: Any = None
        self.forbidden: tuple[str, ...] = ()
        self.objects: dict[int, Any] = {}
        self.parameters: dict[int, torch.Tensor] = {}
        self.slots: dict[int, tuple[torch.Tensor, tuple[int, str]]] = {}
        self.answers: dict[int, list[torch.Tensor]] = {}
        self.graphs: dict[int, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}

    def serve(self) -> None:
        """Answer requests until the connection closes."""
        handlers = {"load": self._load, "call": self._call, "backward": self._backward, "overwrite": self._overwrite}
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
        np.random.seed(header["seed"])
        self.forbidden = tuple(header["forbidden"])
        sources: dict[str, importer.Source | importer.Compiled] = {}
        sources |= {name: importer.Source(path, text) for name, (path, text) in header["sources"].items()}
        sources |= {name: importer.Compiled(path, data) for name, (path, data) in header["compiled"].items()}
        with audit.watching(self.forbidden):
            self.module = importer.load(PACKAGE, sources, header["module"])
        if header["given"]:
            importer.give(self.module, importer.Compiled(*header["reference"]), header["given"])
        return {"value": None}, []

    def _call(self, header: Tree, body: memoryview) -> tuple[Tree, list[torch.Tensor]]:
        for graph in header["free"]:
            self.graphs.pop(graph, None)
        request = Request(self, header["value"], body)
        if request.value["generator"] is not None:
            torch.default_generator.set_state(request.value["generator"].get_state())
        before = torch.default_generator.get_state()
        result, raised = None, None
        with audit.watching(self.forbidden):
            with _as_asked(header) as measured:
                try:
                    result = self._perform(header, request.value)
                except BaseException as error:  # what it changed before that is an answer, too
                    raised = _describe_error(error)
            drew = not torch.equal(before, torch.default_generator.get_state())
            reply = Reply(self, request)
            answer = reply.of(result)  # properties and methods of what the learner returns run here
        if any(output.requires_grad for output in reply.outputs):
            self.graphs[header["id"]] = (reply.outputs, list(request.inputs))
        if reply.outputs:
            self.answers[header["id"]] = reply.outputs
            if len(self.answers) > wire.KEPT_ANSWERS:
                del self.answers[next(iter(self.answers))]
        cost = measured.as_dict() if measured else None
        return {**answer, "measured": cost, "drew": drew, "raised": raised}, reply.encoder.buffers

    def _perform(self, header: Tree, value: Tree) -> Any:
        target = self.module if value["target"] is None else value["target"]
        *path, last = header["path"]
        for name in path:
            target = getattr(target, name)
        if header["act"] == "set":
            return setattr(target, last, value["args"][0])
        found = getattr(target, last)
        return Attribute(found) if header["act"] == "get" else found(*value["args"], **value["kwargs"])

    def _backward(self, header: Tree, body: memoryview) -> tuple[Tree, list[torch.Tensor]]:
        outputs, inputs = self.graphs[header["graph"]]
        grads = codec.Decoder(body).decode(header["value"])
        pairs = [(output, grad) for output, grad in zip(outputs, grads, strict=True) if grad is not None]
        wanted = [tensor for tensor in inputs if tensor.requires_grad]
        encoder = codec.Encoder()
        with audit.watching(self.forbidden):
            found = torch.autograd.grad(
                [output for output, _ in pairs],
                wanted,
                [grad for _, grad in pairs],
                retain_graph=True,
                allow_unused=True,
            )
            value = encoder.encode(list(found))
        return {"value": value}, encoder.buffers

    def _overwrite(self, header: Tree, body: memoryview) -> tuple[Tree, list[torch.Tensor]]:
        value = self.objects.get(header["object"])
        for id, index in header["tensors"]:
            overwrite(self.answers[id][index])
        overwrite(value)
        return {"value": None}, []

    def pull(self, number: int, request: Request) -> Iterator[Any]:
        """The items of an iterable of the tests', one question an item; a parameter among them is that of the tests."""
        while True:
            wire.send(self.sock, wire.pack({"op": "next", "iterator": number}, []))
            header, body = wire.receive(self.sock)
            if header["op"] == "stop":
                return
            yield request.decode(header["value"], body)


@contextlib.contextmanager
def _as_asked(header: Tree) -> Iterator[Any]:
    """The settings of the tests' side during a call, and what measures it if it is to be measured."""
    before = torch.get_default_dtype()
    if "dtype" in header:
        torch.set_default_dtype(codec.DTYPES[header["dtype"]])
    try:
        measure = measuring() if header["measure"] else contextlib.nullcontext()
        with torch.set_grad_enabled(header["grad"]), measure as measured:
            yield measured
    finally:
        torch.set_default_dtype(before)


def _describe_error(error: BaseException) -> Tree:
    types = [cls.__name__ for cls in type(error).__mro__ if getattr(builtins, cls.__name__, None) is cls]
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(f"{PACKAGE}/"):
            where = f"{frame.filename}:{frame.lineno}"
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}"
    return {
        "types": types,
        "name": type(error).__name__[:100],
        "message": described(error),
        "where": where,
        "not_allowed": isinstance(error, audit.NotAllowed),
    }
