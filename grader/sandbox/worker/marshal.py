"""A call as the worker sees it: what comes with a question, and what goes with its answer."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import torch

from grader.sandbox.protocol import codec, wire
from grader.sandbox.protocol.pytree import is_still, mutables, same_tensor, shallow
from grader.sandbox.worker import importer

Tree = dict[str, Any]


class Attribute:
    """What a `get` found: a method is named, not sent."""

    def __init__(self, found: Any) -> None:
        self.found = found


class Request:
    """A call's values as the learner's code sees them, and what they were before it ran."""

    def __init__(self, worker: Any, tree: Any, body: memoryview) -> None:
        self.worker = worker
        self.inputs: list[torch.Tensor] = []
        self.before: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        self.grads: list[torch.Tensor | None] = []
        self.required: list[bool] = []
        self.files: list[tuple[BytesIO, bytes]] = []
        self.modules: list[tuple[torch.nn.Module, list[bool]]] = []
        self.generators: list[tuple[torch.Generator, torch.Tensor]] = []
        self.value = self.decode(tree, body)
        # In the order in which the tests' side walks what it has sent.
        sent = mutables((*self.value["args"], *self.value["kwargs"].values()))
        self.containers = [(container, shallow(container)) for container in sent]

    def decode(self, tree: Any, body: memoryview) -> Any:
        """A value of this call, or an item of an iterator that came with it."""
        return codec.Decoder(body, self._special, self._tensor).decode(tree)

    def _special(self, node: Tree, decoder: codec.Decoder, depth: int) -> Any:
        kind = node["!"]
        if kind == "handle":
            return self.worker.objects[node["id"]]
        if kind == "module":
            return self._module(node, decoder, depth)
        if kind == "optimizer":
            return self._optimizer(node, decoder, depth)
        if kind == "unit":
            return importer.sibling(self.worker.module, node["name"])
        if kind == "known":
            return self._in_slot(*node["slot"]) if "slot" in node else self.worker.parameters[node["tag"]]
        if kind == "file":
            contents = decoder.decode(node["v"], depth + 1).numpy().tobytes()
            self.files.append((BytesIO(contents), contents))
            self.files[-1][0].seek(node["at"])
            return self.files[-1][0]
        if kind == "array":
            raw = decoder.decode(node["v"], depth + 1).numpy()
            array = raw.view(node["dtype"]).reshape(node["shape"])
            array.flags.writeable = node["writeable"]
            return array
        if kind == "iterator":
            return self.worker.pull(node["n"], self)
        if kind == "generator":
            state = decoder.decode(node["v"], depth + 1)
            self.generators.append((codec.generator(state), state))
            return self.generators[-1][0]
        raise wire.WireError(f"unknown kind of value {kind!r}")

    def _module(self, node: Tree, decoder: codec.Decoder, depth: int) -> torch.nn.Module:
        module: torch.nn.Module = self.worker.objects[node["id"]]
        for part, training in zip(module.modules(), node["modes"], strict=False):
            part.training = training
        self.modules.append((module, node["modes"]))
        decoder.decode(node["state"], depth + 1)
        return module

    def _optimizer(self, node: Tree, decoder: codec.Decoder, depth: int) -> Any:
        optimizer = self.worker.objects[node["id"]]
        for group, options in zip(optimizer.param_groups, decoder.decode(node["options"], depth + 1), strict=False):
            group.update(options)
        decoder.decode(node["sync"], depth + 1)
        return optimizer

    def _in_slot(self, handle: int, name: str) -> torch.Tensor:
        owner, _, last = name.rpartition(".")
        tensor: torch.Tensor = getattr(self.worker.objects[handle].get_submodule(owner), last)
        return tensor

    def _tensor(self, sent: torch.Tensor, node: Tree, decoder: codec.Decoder, depth: int) -> torch.Tensor:
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
        self.grads.append(grad)
        self.required.append(tensor.requires_grad)
        return tensor

    def _own(self, sent: torch.Tensor, node: Tree) -> torch.Tensor:
        if "slot" in node:
            tensor = self._in_slot(*node["slot"])
        elif "tag" in node:
            tensor = self.worker.parameters.setdefault(node["tag"], torch.nn.Parameter(sent, node["requires"]))
        else:
            return sent
        tensor.grad = None
        tensor.data = sent
        return tensor


class Reply:
    """A call's result, and what else it changed, as trees."""

    def __init__(self, worker: Any, request: Request) -> None:
        self.worker = worker
        self.request = request
        self.outputs: list[torch.Tensor] = []
        self.describing = False
        self._making = False
        self.encoder = codec.Encoder(self._special, self._tensor_facts)

    def of(self, result: Any) -> Tree:
        """The result, the inputs whose values the call changed, and those whose gradient it changed."""
        value = self._attribute(result.found) if isinstance(result, Attribute) else self.encoder.encode(result)
        self.describing = True
        pairs = list(enumerate(zip(self.request.inputs, self.request.before, strict=True)))
        # All of one and then all of the other, as they stand in the tree: buffers are read in its order.
        changed = [
            [index, self.encoder.encode(tensor.detach())]
            for index, (tensor, (data, _)) in pairs
            if not same_tensor(codec.plain(tensor).detach(), data)
        ]
        changed_grads = [
            (index, tensor.grad)
            for index, (tensor, (_, grad)) in pairs
            if tensor.is_leaf and not same_tensor(_plain(tensor.grad), grad)
        ]
        answer = {"value": value, "changed": changed}
        for name, in_place in (("grads", False), ("grads_in_place", True)):
            chosen = [(index, grad) for index, grad in changed_grads if (grad is self.request.grads[index]) == in_place]
            answer[name] = [[index, self.encoder.encode(grad)] for index, grad in chosen]
        answer |= {"files": self._files(), "modes": self._modes()}
        answer["containers"] = self._containers()
        answer["requires"] = self._requires()
        answer["generators"] = self._generators()
        return {name: found for name, found in answer.items() if name == "value" or found}

    def _requires(self) -> list[Any]:
        facts = enumerate(zip(self.request.inputs, self.request.required, strict=True))
        return [[index, not before] for index, (tensor, before) in facts if tensor.requires_grad != before]

    def _files(self) -> list[Any]:
        changed = []
        for index, (file, before) in enumerate(self.request.files):
            if not file.closed and (contents := file.getvalue()) != before:
                tensor = torch.frombuffer(bytearray(contents or b"-"), dtype=torch.uint8)[: len(contents)]
                changed.append([index, self.encoder.encode(tensor), file.tell()])
        return changed

    def _containers(self) -> list[Any]:
        changed = [(i, now) for i, (now, before) in enumerate(self.request.containers) if not is_still(now, before)]
        return [[index, self.encoder.encode(_contents(container))] for index, container in changed]

    def _generators(self) -> list[int]:
        sent = enumerate(self.request.generators)
        return [index for index, (generator, before) in sent if not torch.equal(generator.get_state(), before)]

    def _modes(self) -> list[Any]:
        modes = [[part.training for part in module.modules()] for module, _ in self.request.modules]
        return modes if modes != [before for _, before in self.request.modules] else []

    def _attribute(self, found: Any) -> Any:
        if callable(found) and not isinstance(found, torch.nn.Module):
            return {"!": "method"}
        return self.encoder.encode(found)

    def _tensor_facts(self, tensor: torch.Tensor) -> Tree:
        for tag, parameter in self.worker.parameters.items():
            if parameter is tensor:
                return {"!": "same", "tag": tag}
        if id(tensor) in self.worker.slots and not self._making:
            return {"!": "same", "slot": list(self.worker.slots[id(tensor)][1])}
        if not self.describing:
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
        node = self._object(module, "module")
        self.worker.slots |= {id(p): (p, (node["id"], name)) for name, p in module.named_parameters()}
        self._making = True
        described = [
            [
                name,
                kind if name in names else "transient",
                first.setdefault(id(t), i),
                self.encoder.encode(codec.plain(t).detach()),
            ]
            for i, (name, kind, t) in enumerate(state)
        ]
        self._making = False
        frozen = [name for name, _, tensor in state if not tensor.requires_grad]
        modes = [[name, part.training] for name, part in module.named_modules()]
        return {**node, "modes": modes, "state": described, "frozen": frozen}

    def _state_of(self, tensor: torch.Tensor) -> Any:
        return self.encoder.encode(codec.plain(tensor).detach())


def _contents(container: Any) -> Any:
    if isinstance(container, np.ndarray):
        return torch.frombuffer(bytearray(container.tobytes() or b"-"), dtype=torch.uint8)[: container.nbytes]
    return container


def _plain(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else codec.plain(tensor)
