"""How far the optimizer may walk in each step: three schedules over one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure
from rich.console import RenderableType
from rich.text import Text

from grader.plots import figures, textplot
from grader.training.loading import LoadedSubmission, Stub, number

STEPS, WARMUP, DECAY = 1000, 100, 200
MAX_LR, MIN_LR = 3e-4, 3e-5
_PEAK = {"max_lr": MAX_LR, "min_lr": MIN_LR, "warmup_steps": WARMUP}


@dataclass(frozen=True)
class Schedules:
    """What is drawn.

    Args:
        curves: A learning rate for each step, by the name of the schedule.
        missing: Names that the target has not written yet, and what the learner is told about each.
    """

    curves: dict[str, tuple[float, ...]]
    missing: dict[str, str]


def _linear_warmup(learner: LoadedSubmission) -> Callable[[int], float]:
    factor = learner.get("schedule", "linear_warmup")
    return lambda step: MAX_LR * number(factor(step, WARMUP), "schedule.linear_warmup")


def _warmup_cosine(learner: LoadedSubmission) -> Callable[[int], float]:
    rate = learner.get("schedule", "warmup_cosine")
    return lambda step: number(rate(step, **_PEAK, total_steps=STEPS), "schedule.warmup_cosine")


def _warmup_stable_decay(learner: LoadedSubmission) -> Callable[[int], float]:
    rate = learner.get("schedule", "warmup_stable_decay")
    lengths = {"stable_steps": STEPS - WARMUP - DECAY, "decay_steps": DECAY}
    return lambda step: number(rate(step, **_PEAK, **lengths), "schedule.warmup_stable_decay")


_QUESTIONS = {
    "linear_warmup": _linear_warmup,
    "warmup_cosine": _warmup_cosine,
    "warmup_stable_decay": _warmup_stable_decay,
}


def collect(learner: LoadedSubmission) -> Schedules:
    """Ask for every step of each schedule; those that are stubs are left out, as long as there is one that is none.

    Raises:
        Stub: All of them are.
    """
    curves: dict[str, tuple[float, ...]] = {}
    missing: dict[str, str] = {}
    stubs: list[Stub] = []
    for name, question in _QUESTIONS.items():
        try:
            with learner.words():
                rate = question(learner)
                curves[name] = tuple(rate(step) for step in range(STEPS))
        except Stub as stub:
            stubs.append(stub)
            missing[name] = str(stub)
    if not curves:
        raise stubs[0]
    return Schedules(curves, missing)


def draw(schedules: Schedules) -> Figure:
    """A panel each, on one scale."""
    said = f"{STEPS} steps, {WARMUP} of them warmup; max_lr {MAX_LR:g}, min_lr {MIN_LR:g}."
    sheet = figures.figure(11.5, 3.7, "Learning rate schedules", said)
    panels = sheet.subplots(1, len(_QUESTIONS), sharex=True, sharey=True)
    top = max(MAX_LR, *(max(curve) for curve in schedules.curves.values()))
    for axes, name, colour in zip(panels, _QUESTIONS, figures.COLOURS, strict=False):
        if name in schedules.missing:
            figures.empty(axes, name, schedules.missing[name].partition(":")[0])
            continue
        figures.level(axes, MAX_LR, "max_lr")
        figures.level(axes, MIN_LR, "min_lr", at=WARMUP / STEPS)
        axes.axvline(WARMUP, color=figures.FAINT, linestyle=":", linewidth=1)
        axes.plot(schedules.curves[name], color=colour, linewidth=2.2)
        axes.yaxis.set_major_formatter(lambda rate, _: f"{1e4 * rate:g}")
        figures.label(axes, f"{name} * max_lr" if name == "linear_warmup" else name, "step")
        axes.set_xlim(0, STEPS)
        axes.set_ylim(0, 1.12 * top)
    panels[0].set_ylabel("learning rate / 1e-4", fontsize=9, color=figures.INK)
    return sheet


def text(schedules: Schedules, width: int) -> RenderableType:
    """A curve of block characters each."""
    lines = Text()
    for name, rates in schedules.curves.items():
        lines.append(f"{name} * max_lr\n" if name == "linear_warmup" else f"{name}\n", style="bold")
        rows = textplot.curve(rates, width=min(60, width - 12), height=5)
        lines.append(textplot.framed(rows, f"{max(rates):.2g}", "0", "step 0", str(STEPS - 1)) + "\n\n")
    for why in schedules.missing.values():
        lines.append(f"Left out: {why}\n", style="yellow")
    lines.rstrip()
    return lines
