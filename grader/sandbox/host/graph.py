"""Autograd across the boundary: the graph of a call lives in the worker, and is asked from here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grader.sandbox.host.client import Session
from grader.sandbox.protocol import codec, wire


class Graph:
    """A call whose backward may still be asked for; the worker is told when nobody can ask any more."""

    def __init__(self, session: Session, id: int) -> None:
        self.session = session
        self.id = id

    def __del__(self) -> None:
        self.session.freed.append(self.id)

    def backward(self, grads: tuple[Tensor | None, ...], inputs: list[Tensor]) -> list[Tensor | None]:
        """The gradients of the inputs that require one, checked against them."""
        encoder = codec.Encoder()
        question = {"op": "backward", "graph": self.id, "value": encoder.encode(list(grads))}
        answer, body = self.session.ask(question, encoder.buffers)
        try:
            found = codec.Decoder(body).decode(answer.get("value"))
            if not isinstance(found, list) or len(found) != len(inputs):
                raise wire.WireError("the wrong number of gradients")
            for grad, tensor in zip(found, inputs, strict=True):
                expect_like(grad, tensor)
        except Exception as error:
            raise self.session.violated(as_violation(error)) from None
        return found


class Link(torch.autograd.Function):
    """Ties the results of a call to its inputs: their backward runs in the worker."""

    @staticmethod
    def forward(ctx: Any, graph: Graph, outputs: list[Tensor], requires: list[bool], *inputs: Tensor) -> Any:
        """The outputs as they came."""
        ctx.graph = graph
        ctx.inputs = list(inputs)
        ctx.set_materialize_grads(False)
        plain = [output for output, required in zip(outputs, requires, strict=True) if not required]
        ctx.mark_non_differentiable(*plain)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        """The gradients of the inputs, asked from the worker."""
        if torch.is_grad_enabled():
            raise NotImplementedError("a gradient of a gradient does not cross the boundary")
        wanted = [tensor for tensor in ctx.inputs if tensor.requires_grad]
        found = iter(ctx.graph.backward(grads, wanted))
        return (None, None, None, *(next(found) if tensor.requires_grad else None for tensor in ctx.inputs))


def as_violation(error: Exception) -> wire.WireError:
    """Whatever this side stumbled over in a reply, as what it is: a breach of the rules."""
    return error if isinstance(error, wire.WireError) else wire.WireError(f"malformed ({type(error).__name__})")


def expect_like(value: Any, tensor: Tensor) -> None:
    """Refuse what differs in shape, dtype or device from the tensor that it belongs to."""
    if value is None:
        return
    if not isinstance(value, Tensor) or _kind(value) != _kind(tensor):
        raise wire.WireError("a gradient differs in shape or dtype from its tensor")


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype, torch.device]:
    return tensor.shape, tensor.dtype, tensor.device
