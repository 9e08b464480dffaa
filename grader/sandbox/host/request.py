"""A question to a worker: its values as a tree, and where what the call changed in them is written back."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grader.sandbox.host.remote import RemoteModule, RemoteObject, RemoteOptimizer, Sibling, Slot
from grader.sandbox.protocol import codec, wire
from grader.sandbox.protocol.pytree import mutables, put_back

Tree = dict[str, Any]


class Outgoing:
    """The encoder of one question, and what it sent that the call may change, in order.

    Args:
        calls: Whose question it is.
        values: The arguments.
    """

    def __init__(self, calls: Any, values: tuple[Any, ...]) -> None:
        self.calls = calls
        self.tensors: list[Tensor] = []
        self.retained: list[Any] = []
        self.optimizers: list[RemoteOptimizer] = []
        self.modules: list[RemoteModule] = []
        self.files: list[io.BytesIO] = []
        self.generators: list[torch.Generator] = []
        self.containers = list(mutables(values))
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
            facts = {"dtype": value.dtype.str, "shape": list(value.shape), "writeable": value.flags.writeable}
            return {"!": "array", "v": self._plain(raw), **facts}
        if isinstance(value, torch.Generator):
            self.generators.append(value)
            return {"!": "generator", "v": self._plain(value.get_state())}
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

    def write_back(self, changes: Iterable[Any], write: Any) -> None:
        """Carry over what the call changed in place in the tensors that were sent."""
        for change in changes:
            match change:
                case [int(index), value] if 0 <= index < len(self.tensors) and (
                    value is None or isinstance(value, Tensor)
                ):
                    write(self.tensors[index], value)
                case _:
                    raise wire.WireError("a malformed change")

    def write_containers(self, changes: Iterable[Any]) -> None:
        """Carry over what the call changed in place in the lists, dicts, sets and arrays that were sent."""
        for change in changes:
            match change:
                case [int(index), contents] if 0 <= index < len(self.containers):
                    put_back(self.containers[index], _expect_contents(self.containers[index], contents))
                case _:
                    raise wire.WireError("a malformed container")

    def draw(self, indices: Iterable[Any]) -> None:
        """Draw a number from each generator that the call drew from: its state there never comes back."""
        for index in indices:
            if type(index) is not int or not 0 <= index < len(self.generators):
                raise wire.WireError("a malformed generator")
            torch.rand(1, generator=self.generators[index])

    def write_files(self, files: Iterable[Any]) -> None:
        """Carry over what the call wrote into the files that were sent."""
        for change in files:
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

    def set_requires(self, changes: Iterable[Any]) -> None:
        """Carry over which of the tensors that were sent the call has frozen, or set free."""
        for change in changes:
            match change:
                case [int(index), bool(requires)] if 0 <= index < len(self.tensors) and self.tensors[index].is_leaf:
                    self.tensors[index].requires_grad_(requires and self.tensors[index].is_floating_point())
                case _:
                    raise wire.WireError("a malformed change")

    def set_modes(self, modes: Iterable[Any]) -> None:
        """Carry over which parts of the modules that were sent the call left in training mode."""
        for module, changed in zip(self.modules, modes, strict=False):
            for part, mode in zip(module.modules(), changed if isinstance(changed, list) else [], strict=False):
                part.training = mode is True


def _expect_contents(container: Any, contents: Any) -> Any:
    if isinstance(container, np.ndarray):
        raw = contents if isinstance(contents, Tensor) and contents.dtype is torch.uint8 else torch.empty(0)
        boolean = container.dtype == bool and raw.numel() > 0 and int(raw.max()) > 1
        if raw.shape != (container.nbytes,) or boolean or not container.flags.writeable:
            raise wire.WireError("a malformed array")
        return raw.numpy().view(container.dtype).reshape(container.shape)
    if not any(isinstance(container, kind) and type(contents) is kind for kind in (list, dict, set)):
        raise wire.WireError("a malformed container")
    return contents


def _all_state(module: RemoteModule) -> list[tuple[str, Tensor]]:
    parameters: list[tuple[str, Tensor]] = list(module.named_parameters(remove_duplicate=True))
    return parameters + list(module.named_buffers(remove_duplicate=True))
