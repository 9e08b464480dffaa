"""Agreement: the same question to target and oracle, and one message when the answers differ.

A question is a function of the unit, so that it can also be put to every known mistake of the exercise: the mistake
whose answer is exactly the learner's is named.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grader.checking.compare import SAME, Tolerance, difference
from grader.checking.effects import MUST_NOT, Held, changed_parts
from grader.checking.observation import copies, copy_weights, detached, dtype_of, observe, random_weights, widened
from grader.checking.oracle import Oracle, OracleFailed
from grader.checking.variants import Mistake
from grader.nested import flatten

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
        self,
        name: str,
        *args: Any,
        gradients: bool | None = None,
        tolerance: Tolerance | None = None,
        only: int | None = None,
        **kwargs: Any,
    ) -> None:
        """The function `name` gives the same on these arguments: values, shapes, dtypes, gradients, no mutation.

        Args:
            name: The function.
            *args: Its arguments; tensors are copied for each side.
            gradients: Whether the gradients of all float inputs are compared, for random upstream gradients.
                None: in checks of gradients.
            tolerance: None: by dtype.
            only: The index of the one result that is compared, where there are several. None: all of them.
            **kwargs: Its keyword arguments.
        """
        gradients = self._gradients if gradients is None else gradients
        signature = inspect.signature(self._oracle.signature_of(name))
        named = signature.bind(*args, **kwargs).arguments
        call = f"{self._unit}.{name}({_arguments(named)})"
        dtype = dtype_of(named)

        def question(unit: Any) -> Any:
            return observe(_result(getattr(unit, name), only), args, kwargs, list(named), gradients=gradients)

        def truth(unit: Any) -> Any:
            whole = _result(getattr(unit, name), only)
            return observe(whole, widened(args), widened(kwargs), list(named), gradients=gradients)

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
        only: int | None = None,
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
            only: The index of the one result that is compared, where there are several. None: all of them.
            **kwargs: What forward gets by keyword.
        """
        gradients = self._gradients if gradients is None else gradients
        call = f"{self._unit}.{name}({_arguments(init)})({', '.join(map(_shape, (*args, *kwargs.values())))})"
        drawn: dict[str, Tensor] = self._oracle.answer(lambda unit: random_weights(getattr(unit, name)(**init)))
        weights = {key: value.to(dtype) for key, value in drawn.items()}  # both sides get them rounded
        names = [f"input {i}" if len(args) > 1 else "the input" for i in range(len(args))] + list(kwargs)

        def ask(unit: Any, width: torch.dtype, args: Any, kwargs: Any) -> Any:
            module = getattr(unit, name)(**init)
            if not isinstance(module, nn.Module):
                raise TypeError(f"{name} is no nn.Module: write `class {name}(nn.Module):`")
            copy_weights(module, {key: value.to(width) for key, value in weights.items()})
            module.to(width).train(train)
            parameters: dict[str, Tensor] = dict(module.named_parameters())
            return observe(_result(module, only), args, kwargs, names, parameters, gradients=gradients)

        self._compare(
            call,
            lambda unit: ask(unit, dtype, args, kwargs),
            lambda unit: ask(unit, torch.float64, widened(args), widened(kwargs)),
            dtype_of({"args": args}) or dtype,
            tolerance,
        )

    def truth(self, question: Question) -> Any:
        """What the reference answers, for checks that say in their own words how far from it the target is."""
        return self._oracle.answer(question)

    def on(self, what: str, question: Question, *, tolerance: Tolerance | None = None) -> None:
        """Any question, put to both: a function of the unit that returns plain values and tensors.

        Args:
            what: The question, for people, as `AdamW(lr=0.1) after 3 steps`.
            question: Called with the target's unit, the oracle's, and, on a difference, those of known mistakes.
            tolerance: None: by dtype.
        """
        call, held = f"{self._unit}: {what}", Held(question)
        expected = self._oracle.answer(question)
        held.forget_changed()
        got = put(question, self._target)
        got = copies(got, gradients=False)  # it may be a view of what is put back
        changed = held.put_back()
        self._expect(call, question, got, expected, None, tolerance)
        self._expect_unchanged(call, question, changed)

    def unchanged(
        self,
        what: str,
        build: Question,
        look: Callable[[Any], Any],
        call: Callable[[Any], Any],
        error: type[Exception],
    ) -> None:
        """An object that refuses a call is afterwards what it was before.

        Args:
            what: What is refused, for people, as `load_state_dict with a shape that does not fit`.
            build: Called with the unit; makes the object.
            look: Called with the object; its state: plain values and tensors, nested.
            call: Called with the object; what is refused.
            error: What it raises.
        """

        def question(unit: Any) -> Any:
            thing = build(unit)
            before = copies(look(thing), gradients=False)
            try:
                call(thing)
            except NotImplementedError:
                raise
            except error:
                return changed_parts(before, detached(look(thing)))
            return f"raised nothing, expected {error.__name__}"

        if truth := self._oracle.answer(question):
            raise OracleFailed(f"the reference is not as it was: {truth}")
        name, got = f"{self._unit}: {what}", put(question, self._target)
        if isinstance(got, Raised):
            raise Disagreement(name, f"raised {got.type}: {got.message[:300]}", question, got) from got.error
        if got:
            line = got if isinstance(got, str) else f"raised {error.__name__}, but had changed {', '.join(got)[:200]}"
            raise Disagreement(name, line, question, got)

    def raises(self, what: str, question: Question, error: type[Exception], mentions: str = "") -> None:
        """Both raise this error, and the target's message mentions a word that helps.

        Args:
            what: The question, for people.
            question: Called with the unit.
            error: The type that is documented; a subclass will do.
            mentions: What the message must contain, whatever its case.
        """
        held = Held(question)
        self._oracle.must_raise(question, error, mentions)
        held.forget_changed()
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
            self._expect_unchanged(call, question, held.put_back())
            return
        raise Disagreement(call, f"raised nothing, expected {error.__name__}", question, detached(got))

    def _compare(
        self, call: str, question: Question, truth: Question, dtype: torch.dtype | None, tolerance: Tolerance | None
    ) -> None:
        expected = self._oracle.answer(truth)
        self._expect(call, question, put(question, self._target), expected, dtype, tolerance)

    def _expect(
        self,
        call: str,
        question: Question,
        got: Any,
        expected: Any,
        dtype: torch.dtype | None,
        tolerance: Tolerance | None,
    ) -> None:
        if isinstance(got, Raised):
            # From the error: its traceback knows the line in the learner's file.
            raise Disagreement(call, f"raised {got.type}: {got.message[:300]}", question, got) from got.error
        line = difference(got, expected, tolerance) or _dtype_difference(got, expected, dtype)
        if line:
            raise Disagreement(call, line, question, got)

    def _expect_unchanged(self, call: str, question: Question, changed: dict[str, str]) -> None:
        """What the check's question holds is as it was: here, the name alone tells a mistake."""
        for name, line in changed.items():
            what = f"{name} {MUST_NOT}: {line}"
            raise Disagreement(call, what, lambda unit: _changed_by(question, unit), list(changed))


def _changed_by(question: Question, unit: Any) -> list[str]:
    held = Held(question)
    put(question, unit)
    return list(held.put_back())


def _result(call: Callable[..., Any], only: int | None) -> Callable[..., Any]:
    """The same call with only one of its results."""
    return call if only is None else lambda *args, **kwargs: call(*args, **kwargs)[only]


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
    if isinstance(value, torch.Generator):
        return "a torch.Generator"  # its repr is an address
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]} ... ({len(value) if hasattr(value, '__len__') else '?'} long)"


def name_mistake(error: Disagreement, suspects: Iterable[tuple[Mistake, Any]]) -> Mistake | None:
    """The known mistake that gives exactly the learner's answer to the same question.

    Args:
        error: The disagreement.
        suspects: The known mistakes, most likely first, each with its unit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a mistake's code: the learner has not written it
        for mistake, unit in suspects:
            try:
                if matches(detached(put(error.question, unit)), error.got):
                    return mistake
            except Exception:  # a mistake that cannot even answer is not this one
                continue
    return None
