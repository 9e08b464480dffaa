"""Agreement: the same question to target and oracle, and one message when the answers differ.

A question is a function of the unit, so that it can also be put to every known mistake of the exercise: the mistake
whose answer is exactly the learner's is named.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grader.checking.compare import NO_GRADIENT, SAME, Tolerance, difference
from grader.checking.oracle import Oracle
from grader.checking.variants import Mistake

Question = Callable[[Any], Any]


@dataclass(frozen=True)
class Raised:
    """The answer of code that raised."""

    type: str
    message: str
    error: Exception | None = None


@dataclass
class Disagreement(AssertionError):
    """Target and oracle differ; explained only where somebody reads it, since a search raises thousands.

    Args:
        call: The question, for people.
        what: What differs.
        question: The question.
        got: The target's answer.
    """

    call: str
    what: str
    question: Question
    got: Any

    def __str__(self) -> str:
        return f"{self.call}\n  {self.what}"


def matches(mistaken: Any, got: Any) -> bool:
    """Whether a known mistake gives exactly what the learner's code gave."""
    if isinstance(mistaken, Raised) or isinstance(got, Raised):
        both = isinstance(mistaken, Raised) and isinstance(got, Raised)
        return both and (mistaken.type, mistaken.message[:100]) == (got.type, got.message[:100])
    dtypes = [[tensor.dtype for tensor in flatten(value)] for value in (got, mistaken)]
    return dtypes[0] == dtypes[1] and not difference(got, mistaken, SAME)


def put(question: Question, unit: Any) -> Any:
    """The answer of a unit, an exception included; a stub's is passed on."""
    try:
        return question(unit)
    except NotImplementedError:
        raise
    except Exception as error:
        return Raised(getattr(error, "learner_type", type(error).__name__), str(error), error)


class Agreement:
    """Asserts that target and oracle give the same answer. What tests call `agree`.

    Args:
        target: The unit under test.
        oracle: What is true.
        unit: The unit's name.
        gradients: Whether gradients are compared where a test does not say: a detached result costs the checks of
            gradients, and no others.
    """

    def __init__(self, target: Any, oracle: Oracle, unit: str, gradients: bool) -> None:
        self._target = target
        self._oracle = oracle
        self._unit = unit
        self._gradients = gradients

    def __call__(
        self, name: str, *args: Any, gradients: bool | None = None, tolerance: Tolerance | None = None, **kwargs: Any
    ) -> None:
        """The function `name` gives the same on these arguments: values, shapes, dtypes, gradients, no mutation.

        Args:
            name: The function.
            *args: Its arguments; tensors are copied for each side.
            gradients: Whether the gradients of all float inputs are compared, for random upstream gradients.
                None: in checks of gradients.
            tolerance: None: by dtype.
            **kwargs: Its keyword arguments.
        """
        gradients = self._gradients if gradients is None else gradients
        signature = inspect.signature(self._oracle.signature_of(name))
        named = signature.bind(*args, **kwargs).arguments
        call = f"{self._unit}.{name}({_arguments(named)})"
        dtype = _dtype_of(named)

        def question(unit: Any) -> Any:
            return observe(getattr(unit, name), args, kwargs, list(named), gradients=gradients)

        def truth(unit: Any) -> Any:
            return observe(getattr(unit, name), _widen(args), _widen(kwargs), list(named), gradients=gradients)

        self._compare(call, question, truth, dtype, tolerance)

    def module(
        self,
        name: str,
        init: dict[str, Any],
        *args: Any,
        gradients: bool | None = None,
        tolerance: Tolerance | None = None,
        dtype: torch.dtype = torch.float64,
        train: bool = False,
        **kwargs: Any,
    ) -> None:
        """A module with the same weights gives the same: values, gradients of inputs and parameters, no mutation.

        Args:
            name: The class.
            init: Its constructor's arguments.
            *args: What forward gets.
            gradients: Whether gradients are compared. None: in checks of gradients.
            tolerance: None: by dtype.
            dtype: Of the weights.
            train: Whether it is in training mode.
            **kwargs: What forward gets by keyword.
        """
        gradients = self._gradients if gradients is None else gradients
        call = f"{self._unit}.{name}({_arguments(init)})({', '.join(map(_shape, (*args, *kwargs.values())))})"
        weights: dict[str, Tensor] = self._oracle.answer(lambda unit: _random_weights(getattr(unit, name)(**init)))
        names = [f"input {i}" if len(args) > 1 else "the input" for i in range(len(args))] + list(kwargs)

        def ask(unit: Any, dtype: torch.dtype, args: Any, kwargs: Any) -> Any:
            module = getattr(unit, name)(**init)
            if not isinstance(module, nn.Module):
                raise TypeError(f"{name} is no nn.Module: write `class {name}(nn.Module):`")
            copy_weights(module, {key: value.to(dtype) for key, value in weights.items()})
            module.to(dtype).train(train)
            return observe(module, args, kwargs, names, dict(module.named_parameters()), gradients=gradients)

        self._compare(
            call,
            lambda unit: ask(unit, dtype, args, kwargs),
            lambda unit: ask(unit, torch.float64, _widen(args), _widen(kwargs)),
            _dtype_of({"args": args}) or dtype,
            tolerance,
        )

    def on(self, what: str, question: Question, *, tolerance: Tolerance | None = None) -> None:
        """Any question, put to both: a function of the unit that returns plain values and tensors.

        Args:
            what: The question, for people, as `AdamW(lr=0.1) after 3 steps`.
            question: Called with the target's unit, the oracle's, and, on a difference, those of known mistakes.
            tolerance: None: by dtype.
        """
        self._compare(f"{self._unit}: {what}", question, question, None, tolerance)

    def raises(self, what: str, question: Question, error: type[Exception], mentions: str = "") -> None:
        """Both raise this error, and the target's message mentions a word that helps.

        Args:
            what: The question, for people.
            question: Called with the unit.
            error: The type that is documented; a subclass will do.
            mentions: What the message must contain, whatever its case.
        """
        self._oracle.must_raise(question, error, mentions)
        call = f"{self._unit}: {what}"
        try:
            got = question(self._target)
        except NotImplementedError:
            raise
        except Exception as raised:
            got = Raised(getattr(raised, "learner_type", type(raised).__name__), str(raised))
            if not isinstance(raised, error):
                line = f"raised {got.type} ({got.message[:200]}), expected {error.__name__}"
                raise Disagreement(call, line, question, got) from raised
            if mentions.lower() not in got.message.lower():
                line = f"the message of the {error.__name__} should mention {mentions!r}, got {got.message[:200]!r}"
                raise Disagreement(call, line, question, got) from None
            return
        raise Disagreement(call, f"raised nothing, expected {error.__name__}", question, _observed(got))

    def _compare(
        self, call: str, question: Question, truth: Question, dtype: torch.dtype | None, tolerance: Tolerance | None
    ) -> None:
        expected = self._oracle.answer(truth)
        got = put(question, self._target)
        if isinstance(got, Raised):
            # From the error: its traceback knows the line in the learner's file.
            raise Disagreement(call, f"raised {got.type}: {got.message[:300]}", question, got) from got.error
        line = difference(got, expected, tolerance) or _dtype_difference(got, expected, dtype)
        if line:
            raise Disagreement(call, line, question, got)


def observe(
    call: Callable[..., Any],
    args: Any,
    kwargs: dict[str, Any],
    names: list[str],
    parameters: dict[str, Tensor] | None = None,
    *,
    gradients: bool,
) -> dict[str, Any]:
    """All that a call can be seen to do: its output, its gradients, what it left of its inputs.

    Args:
        call: A function or module.
        args: Its arguments; tensors are copied first.
        kwargs: Its keyword arguments.
        names: What the arguments are called in messages.
        parameters: Of the module, by name.
        gradients: Whether to ask for gradients.
    """
    args, kwargs = _copies(args, gradients), _copies(kwargs, gradients)
    inputs = dict(zip(names, (*args, *kwargs.values()), strict=False))
    tensors = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
    output = call(*args, **kwargs)
    seen: dict[str, Any] = {"the result": _observed(output)}
    if gradients:
        wanted = {n: t for n, t in {**tensors, **(parameters or {})}.items() if t.requires_grad}
        seen |= {f"the gradient of {n}": g for n, g in _gradients(output, wanted).items()}
    after = {n: t.detach() for n, t in tensors.items()}
    seen |= {f"{n} after the call (it must not change)": t for n, t in after.items()}
    return seen


def _gradients(output: Any, wanted: dict[str, Tensor]) -> dict[str, Any]:
    outputs = [tensor for tensor in flatten(output) if tensor.requires_grad]
    if not outputs or not wanted:
        return {name: NO_GRADIENT for name in wanted}
    # One number, and not grad_outputs: for those torch imports sympy, which takes half as long as torch itself.
    weighted = [(noise(tensor.shape, index).to(tensor.dtype) * tensor).sum() for index, tensor in enumerate(outputs)]
    total = torch.stack([number.double() for number in weighted]).sum()
    found = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
    return {name: NO_GRADIENT if grad is None else grad for name, grad in zip(wanted, found, strict=True)}


def noise(shape: Any, seed: int) -> Tensor:
    """Random float64 values that are the same for the same shape and seed."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(1000 + seed), dtype=torch.float64)


def copy_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give a module these weights, by the documented names.

    Raises:
        KeyError: It has no parameter or buffer of a documented name, or one of another shape; the message says which.
    """
    own = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    for name, value in weights.items():
        if name not in own:
            raise KeyError(f"there is no parameter {name!r}; there are {sorted(own) or 'none'}")
        if own[name].shape != value.shape:
            raise ValueError(f"parameter {name!r} has shape {tuple(own[name].shape)}, expected {tuple(value.shape)}")
        own[name].data = value.clone()


def flatten(value: Any) -> Iterator[Tensor]:
    """All tensors of a nested value."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from flatten(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flatten(item)


def _random_weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: noise(value.shape, i) for i, (name, value) in enumerate(module.named_parameters())}


def _observed(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(map(_observed, value))
    if isinstance(value, dict):
        return {key: _observed(item) for key, item in value.items()}
    return value


def _copies(value: Any, gradients: bool) -> Any:
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        return copy.requires_grad_(gradients and copy.is_floating_point())
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_copies(item, gradients) for item in value)
    if isinstance(value, dict):
        return {key: _copies(item, gradients) for key, item in value.items()}
    return value


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(map(_widen, value))
    if isinstance(value, dict):
        return {key: _widen(item) for key, item in value.items()}
    return value


def _dtype_of(values: Any) -> torch.dtype | None:
    return next((tensor.dtype for tensor in flatten(values) if tensor.is_floating_point()), None)


def _dtype_difference(got: Any, expected: Any, dtype: torch.dtype | None) -> str:
    for one, other in zip(flatten(got), flatten(expected), strict=True):
        wanted = dtype if dtype is not None and other.is_floating_point() else other.dtype
        if one.dtype != wanted:
            return f"got dtype {one.dtype}, expected {wanted}".replace("torch.", "")
    return ""


def _arguments(named: dict[str, Any]) -> str:
    return ", ".join(f"{name}={_shape(value)}" for name, value in named.items())


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        small = value.numel() <= 4 and value.dim() < 2
        shown = str(value.tolist()) if small else str(tuple(value.shape))
        return shown if dtype in ("float64", "bool", "int64") else f"{shown} {dtype}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]} ... ({len(value) if hasattr(value, '__len__') else '?'} long)"


def name_mistake(error: Disagreement, suspects: Iterable[tuple[Mistake, Any]]) -> Mistake | None:
    """The known mistake that gives exactly the learner's answer to the same question.

    Args:
        error: The disagreement.
        suspects: The known mistakes, most likely first, each with its unit.
    """
    for mistake, unit in suspects:
        try:
            if matches(_observed(put(error.question, unit)), error.got):
                return mistake
        except Exception:  # a mistake that cannot even answer is not this one
            continue
    return None
