"""A target's code, opened in this process to be drawn or trained, and whatever is wrong with it said in a sentence."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Any

import torch
from torch import Tensor

from grader.checking import dependency
from grader.checking.target import PACKAGE
from grader.curriculum.submission import Submission
from grader.sandbox.worker import importer

_STUB = re.compile(r"(\w+)\.([\w.]+) is still a stub")


class Fault(Exception):
    """The learner's code cannot do what is asked; the message says why, and where."""


class Stub(Fault):
    """What is needed has not been written yet."""


class Unsuitable(ValueError):
    """What was asked for cannot be drawn, whatever the learner's code does."""


class LoadedSubmission:
    """The units of a submission, by name, as `grader.training.recipes` asks for them.

    Args:
        submission: Whose files.
    """

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        files = {name: file for name, file in submission.files.items() if not file.problem}
        self._sources = {name: file.local_source for name, file in files.items()}
        self._paths = {file.local_source.path: file.path for file in files.values()}
        self._package = importer.load(PACKAGE, self._sources, "")

    def __call__(self, unit: str) -> Any:
        """The module of a unit.

        Raises:
            Fault: There is no such file, or it is not Python.
        """
        if problem := self._submission.file(unit).problem:
            raise Fault(problem)
        return dependency(self._package, unit)

    def get(self, unit: str, name: str) -> Any:
        """A function or class of a unit.

        Raises:
            Stub: It is still one.
            Fault: It is not there.
        """
        file = self._submission.file(unit)
        if file.is_stub(name):
            raise _stub(unit, name)
        module = self(unit)
        if not hasattr(module, name):
            raise _absent(file.path, unit, name)
        return getattr(module, name)

    @contextmanager
    def words(self) -> Iterator[None]:
        """A context in which an error of the learner's code becomes a `Fault`; one of ours stays what it is."""
        try:
            yield
        except Fault:
            raise
        except (Exception, SystemExit) as error:
            fault = self._explain(error)
            if fault is None:
                raise
            raise fault from error

    def close(self) -> None:
        """Forget the modules."""
        importer.uninstall(PACKAGE)

    def _explain(self, error: BaseException) -> Fault | None:
        if isinstance(error, NotImplementedError) and (found := _STUB.search(str(error))):
            return _stub(found[1], found[2].partition(".")[0])
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith(f"{PACKAGE}."):
            unit = str(error.name).removeprefix(f"{PACKAGE}.")
            return Fault(self._submission.file(unit).problem or str(error))
        if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
            unit = error.obj.__name__.removeprefix(f"{PACKAGE}.")
            if unit in self._sources and not self._place(error):
                return _absent(self._submission.file(unit).path, unit, str(error.name))
        if place := self._place(error):
            return Fault(f"{place}: {type(error).__name__}: {error}".removesuffix(": "))
        return None

    def _place(self, error: BaseException) -> str:
        for frame in reversed(_frames(error.__traceback__)):
            if frame.filename in self._paths:
                return f"{self._paths[frame.filename]}:{frame.lineno} in {frame.name}"
        return ""


@contextmanager
def opened(submission: Submission) -> Iterator[LoadedSubmission]:
    """A submission's units, while the context lasts; errors of their code come out of it as a `Fault`."""
    learner = LoadedSubmission(submission)
    try:
        with learner.words():
            yield learner
    finally:
        learner.close()


def tensor(value: Any, shape: Sequence[int], what: str) -> Tensor:
    """A tensor that the learner's code gave, detached, in float64.

    Args:
        value: What it gave.
        shape: What it has to have.
        what: The call, for the message.

    Raises:
        Fault: It is none, or has another shape.
    """
    got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    if not isinstance(value, Tensor) or tuple(value.shape) != tuple(shape):
        raise wrong(what, f"a tensor of shape {tuple(shape)}", got)
    return value.detach().to(torch.float64)


def number(value: Any, what: str) -> float:
    """A number that the learner's code gave.

    Raises:
        Fault: It is none.
    """
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise wrong(what, "a number", type(value).__name__) from None


def wrong(what: str, expected: str, got: str) -> Fault:
    """The fault of a call whose value cannot be drawn."""
    return Fault(f"{what} gave {got}, expected {expected}. See pytest -k {what.partition('.')[0]}")


def _stub(unit: str, name: str) -> Stub:
    return Stub(f"{unit}.{name} is still a stub: write it first, then pytest -k {unit}")


def _absent(path: str, unit: str, name: str) -> Fault:
    return Fault(f"There is no {name} in {path}. To get its stub back: grader reset {unit}.{name}")


def _frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(trace))
