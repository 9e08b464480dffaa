"""Agreement: the same question to target and oracle, and one message when the answers differ.

A question is a function of the unit, so that it can also be put to every known mistake of the exercise: the mistake
whose answer is exactly the learner's is named.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from grader.checking.capture import (
    copies,
    copy_weights,
    detached,
    dtype_of,
    expect_module,
    observe,
    random_weights,
    varied,
    widened,
)
from grader.checking.compare import Tolerance, difference
from grader.checking.effects import MUST_NOT, Held, changed_parts
from grader.checking.oracle import Oracle, OracleFailed
from grader.checking.question import Asked, Disagreement, Question, Raised, answer_of, put
from grader.sandbox.protocol.pytree import flatten


class Agreement:
    """Asserts that target and oracle give the same answer. What tests call `agree`.

    Args:
        target: The unit under test.
        oracle: What is true.
        unit: The unit's name.
        gradients: Whether gradients are compared where a test does not say: a detached result costs the checks of
            gradients, and no others.
        passed: Gets every question that the target answers rightly.
    """

    def __init__(
        self, target: Any, oracle: Oracle, unit: str, gradients: bool, passed: Callable[[Asked], None] | None = None
    ) -> None:
        self._target = target
        self._oracle = oracle
        self._unit = unit
        self._gradients = gradients
        self._passed = passed

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

        def about(args: Any, kwargs: Any) -> Asked:
            def question(unit: Any) -> Any:
                return observe(_result(getattr(unit, name), only), args, kwargs, list(named), gradients=gradients)

            def truth(unit: Any) -> Any:
                whole = _result(getattr(unit, name), only)
                return observe(whole, widened(args), widened(kwargs), list(named), gradients=gradients)

            return self._asked(call, question, truth, dtype, tolerance)

        self._ask(replace(about(args, kwargs), again=self._varied(about, args, kwargs)))

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
            module = expect_module(name, getattr(unit, name)(**init))
            copy_weights(module, {key: value.to(width) for key, value in weights.items()})
            module.to(width).train(train)
            parameters: dict[str, Tensor] = dict(module.named_parameters())
            return observe(_result(module, only), args, kwargs, names, parameters, gradients=gradients)

        def about(args: Any, kwargs: Any) -> Asked:
            return self._asked(
                call,
                lambda unit: ask(unit, dtype, args, kwargs),
                lambda unit: ask(unit, torch.float64, widened(args), widened(kwargs)),
                dtype_of({"args": args}) or dtype,
                tolerance,
            )

        self._ask(replace(about(args, kwargs), again=self._varied(about, args, kwargs)))

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
        held = Held(question)
        asked = self._asked(f"{self._unit}: {what}", question, question, None, tolerance)
        held.forget_changed()
        self._ask(asked, held)

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

        def wrong(got: Any) -> str:
            if isinstance(got, Raised):
                return f"raised {got.type}: {got.message[:300]}"
            if isinstance(got, str) or not got:
                return got or ""
            return f"raised {error.__name__}, but had changed {', '.join(got)[:200]}"

        if truth := self._oracle.answer(question):
            raise OracleFailed(f"the reference is not as it was: {truth}")
        self._ask(Asked(f"{self._unit}: {what}", question, wrong, []))

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

        def wrong(got: Any) -> str:
            if not isinstance(got, Raised):
                return f"raised nothing, expected {error.__name__}"
            if not isinstance(got.error, error):
                return f"raised {got.type} ({got.message[:200]}), expected {error.__name__}"
            if mentions.lower() not in got.message.lower():
                return f"the message of the {error.__name__} should mention {mentions!r}, got {got.message[:200]!r}"
            return ""

        self._ask(Asked(f"{self._unit}: {what}", question, wrong, Raised(error.__name__, mentions)), held)

    def _asked(
        self, call: str, question: Question, truth: Question, dtype: torch.dtype | None, tolerance: Tolerance | None
    ) -> Asked:
        expected = self._oracle.answer(truth)

        def wrong(got: Any) -> str:
            if isinstance(got, Raised):
                return f"raised {got.type}: {got.message[:300]}"
            return difference(got, expected, tolerance) or _dtype_difference(got, expected, dtype)

        return Asked(call, question, wrong, detached(expected))

    def _varied(self, about: Callable[[Any, Any], Asked], args: Any, kwargs: Any) -> Callable[[int], Asked | None]:
        def again(number: int) -> Asked | None:
            others = varied([args, kwargs], number)
            if others is None:
                return None
            try:
                return about(*others)
            except OracleFailed:  # inputs that the reference refuses
                return None

        return again

    def _ask(self, asked: Asked, held: Held | None = None) -> None:
        """Put the question to the target.

        Args:
            asked: The question.
            held: What the check's question holds, and what must be as it was afterwards.

        Raises:
            Disagreement: The answer is wrong, or something is no longer as it was.
        """
        torch.default_generator.manual_seed(0)  # where known mistakes begin too: what they draw is then the same
        got = answer_of(asked.question, self._target)
        changed = held.put_back() if held is not None else {}
        if line := asked.wrong(got):
            # From the error: its traceback knows the line in the learner's file.
            raise Disagreement(asked, line, got) from (got.error if isinstance(got, Raised) else None)
        for name, line in changed.items():
            effect = Asked(asked.call, lambda unit: _changed_by(asked.question, unit), _changed_line, [])
            raise Disagreement(effect, f"{name} {MUST_NOT}: {line}", list(changed))
        if self._passed is not None:
            self._passed(asked)


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


def _changed_by(question: Question, unit: Any) -> list[str]:
    """The names of what a question holds and a unit changes: for a known mistake, these alone tell it."""
    held = Held(question)
    answer_of(question, unit)
    return list(held.put_back())


def _changed_line(changed: Any) -> str:
    return f"changed {', '.join(changed)}" if changed else ""


class Recorder(Agreement):
    """Asks everything and asserts nothing.

    Attributes:
        answers: Every question, with the target's answer.
    """

    def __init__(self, target: Any, oracle: Oracle, unit: str, gradients: bool) -> None:
        super().__init__(target, oracle, unit, gradients)
        self.answers: list[tuple[Asked, Any]] = []

    def _ask(self, asked: Asked, held: Held | None = None) -> None:
        torch.default_generator.manual_seed(0)
        self.answers.append((asked, put(asked.question, self._target)))
