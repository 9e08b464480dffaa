"""Undisturbed: code under test runs in the grader's own process, too, and must not change what comes after it.

The reference, the known mistakes and a learner's code under `pytest` share one process, and behind the boundary the
arguments that a call has changed are changed in the check as well. So what a question uses of its check's module, and
the settings of the process, are afterwards what they were before.
"""

from __future__ import annotations

import codecs
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import torch

from grader.sandbox.protocol.pytree import flatten, is_still, mutables, put_back, shallow

_HANDLERS = ("strict", "ignore", "replace", "backslashreplace", "xmlcharrefreplace", "namereplace", "surrogatepass")

Setting = tuple[Callable[[], Any], Callable[[Any], object]]

# Of each setting: what reads it, and what sets it again. These are cheap enough to be read at every question.
_AT_EACH_QUESTION: tuple[Setting, ...] = (
    (torch.is_grad_enabled, torch._C._set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_num_threads, torch.set_num_threads),
    (sys.getrecursionlimit, sys.setrecursionlimit),
)


def _environment(values: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(values)


def _handlers(found: list[Any]) -> None:
    for name, handler in zip(_HANDLERS, found, strict=True):
        codecs.register_error(name, handler)


_AT_EACH_CHECK: tuple[Setting, ...] = (
    *_AT_EACH_QUESTION,
    (lambda: torch.get_default_device().type, lambda kind: torch.set_default_device(None if kind == "cpu" else kind)),
    (torch.default_generator.get_state, torch.default_generator.set_state),
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (os.getcwd, os.chdir),
    (lambda: dict(os.environ), _environment),
    (lambda: [codecs.lookup_error(name) for name in _HANDLERS], _handlers),
)


@contextmanager
def undisturbed_check(test: Callable[..., Any]) -> Iterator[None]:
    """Put back, after a check, the settings of the process and the values of the check's module.

    Args:
        test: The check's function.
    """
    inner = test.hypothesis.inner_test if hasattr(test, "hypothesis") else test
    values = [value for value in getattr(inner, "__globals__", {}).values() if _is_data(value)]
    with _settings(_AT_EACH_CHECK), _values(values):
        yield


@contextmanager
def undisturbed_import() -> Iterator[None]:
    """Put back the settings of the process that a module has changed by being imported."""
    with _settings(_AT_EACH_CHECK):
        yield


@contextmanager
def undisturbed(question: Callable[..., Any]) -> Iterator[None]:
    """Put back, after a question, the settings of the process and what the question uses of the check's module.

    Generators go on: a check may ask twice whether the second draw differs from the first.

    Args:
        question: A function of a unit.
    """
    with _settings(_AT_EACH_QUESTION), _values(_used(question)):
        yield


@contextmanager
def _settings(settings: Iterable[Setting]) -> Iterator[None]:
    before = [(read, write, read()) for read, write in settings]
    try:
        yield
    finally:
        for read, write, value in before:
            if not is_same(read(), value):
                write(value)


def is_same(now: Any, before: Any) -> bool:
    """Whether a setting has its value still."""
    if isinstance(now, torch.Tensor):
        return torch.equal(now, before)
    if isinstance(now, tuple) and any(isinstance(part, np.ndarray) for part in now):
        return all(map(np.array_equal, now, before))
    return bool(now == before)


@contextmanager
def _values(values: Iterable[Any]) -> Iterator[None]:
    before = [(part, shallow(part)) for value in values for part in (*flatten(value), *mutables(value))]
    try:
        yield
    finally:
        for part, was in before:
            if not is_still(part, was):
                with torch.no_grad():
                    put_back(part, was)


def _used(question: Callable[..., Any]) -> list[Any]:
    """The data of its module that a function uses, and those that it calls there."""
    found: dict[int, Any] = {}
    queue: list[Any] = [question]
    seen: set[CodeType] = set()
    while queue:
        function = queue.pop()
        if not isinstance(function, FunctionType) or function.__code__ in seen:
            continue
        seen.add(function.__code__)
        used = [function.__globals__.get(name) for name in _names(function.__code__)]
        found |= {id(value): value for value in used if _is_data(value)}
        queue += [value for value in used if getattr(value, "__globals__", None) is function.__globals__]
        queue += [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    return list(found.values())


def _is_data(value: Any) -> bool:
    return isinstance(value, list | dict | set | tuple | np.ndarray | torch.Tensor)


def _is_filled(cell: Any) -> bool:
    try:
        return isinstance(cell.cell_contents, FunctionType)
    except ValueError:  # a variable that has no value yet
        return False


@lru_cache(maxsize=10_000)
def _names(code: CodeType) -> tuple[str, ...]:
    """The global names in a function and in those that it defines."""
    inner = [name for part in code.co_consts if isinstance(part, CodeType) for name in _names(part)]
    return tuple(dict.fromkeys((*code.co_names, *inner)))
