"""Known mistakes in `schedule`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake

# The lines of the solution that the mistakes replace; each stands there once.
WARM_STEP = """    _at_least("step", step, 0)
    _at_least("warmup_steps", warmup_steps, 0)
    # Asked before"""
WARM_OVER = """if step >= warmup_steps:
        return 1.0
"""
WARM_FACTOR = "return (step + 1) / warmup_steps"

COSINE_STEP = """    _at_least("step", step, 0)
    _at_least("warmup_steps", warmup_steps, 0)
    # One step"""
COSINE_TOTAL = '_at_least("total_steps", total_steps, warmup_steps + 1)'
COSINE_RISE = "rise = linear_warmup(step, warmup_steps)"
COSINE_WARM = "return max_lr * rise"
WAVE_STEPS = "wave_steps = total_steps - warmup_steps"
PROGRESS = "progress = min(1.0, (step - warmup_steps) / wave_steps)"
HEIGHT = "height = 0.5 * (1.0 + math.cos(math.pi * progress))"
COSINE_LR = "return min_lr + (max_lr - min_lr) * height"


DECAY_NAMES = '{"step": step, "warmup_steps": warmup_steps, "stable_steps": stable_steps}'
DECAY_LENGTH = '_at_least("decay_steps", decay_steps, 1)'
DECAY_RISE = "factor = linear_warmup(step, warmup_steps)"
DECAY_WARM = "return max_lr * factor"
DOWN = "steps_down = step - (warmup_steps + stable_steps)"
SHARE = "share = min(1.0, steps_down / decay_steps)"
DECAY_LR = "return max_lr - (max_lr - min_lr) * share"

REFUSE = """    if value < least:
        raise ValueError(f"{name} must be {least} or more, got {value}")
"""

Edits = dict[str, str]


def _warm(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(id, "linear_warmup", says, edits)


def _cosine(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"cosine-{id}", "warmup_cosine", says, edits)


def _decay(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"decay-{id}", "warmup_stable_decay", says, edits)


def _both(id: str, says: str, cosine_edits: Edits, decay_edits: Edits) -> list[Mistake]:
    """One mistake that can be made in either of the whole schedules."""
    return [_cosine(id, says, cosine_edits), _decay(id, says, decay_edits)]


def _rise(id: str, says: str, new: str) -> list[Mistake]:
    """Another warmup in either of the whole schedules."""
    return _both(id, says, {COSINE_WARM: f"return {new}"}, {DECAY_WARM: f"return {new.replace('rise', 'factor')}"})


def _instead(exercise: str, id: str, says: str, result: str, *, before: str = "", stateful: bool = False) -> Mistake:
    """A version around the right one, which it may call as `_right(*args, **kwargs)`."""
    code = f"""
_right = {exercise}
{before}

def _wrong(*args, **kwargs):
    return {result}


{exercise} = _wrong
"""
    return Mistake(f"{exercise}-{id}", exercise, says.format(exercise), append=code, stateful=stateful)


_COUNTER = """
_calls = []


def _next(step):
    if step <= 0:
        _calls.clear()
        return step
    _calls.append(step)
    return len(_calls)

"""


def _always(exercise: str) -> list[Mistake]:
    """What every function of numbers invites."""
    at_the_top = "1.0" if exercise == "linear_warmup" else 'kwargs["max_lr"]'
    return [
        _instead(exercise, "returns-none", "your {} returns None: is there a `return`?", "None"),
        _instead(exercise, "returns-zero", "your {} returns 0 in every step.", "0.0 * _right(*args, **kwargs)"),
        _instead(
            exercise, "returns-the-step", "your {} returns the step itself.", "(_right(*args, **kwargs), args[0])[1]"
        ),
        _instead(
            exercise,
            "is-constant",
            "your {} always returns the top of the curve: use the step.",
            f"(_right(*args, **kwargs), {at_the_top})[1]",
        ),
        _instead(
            exercise,
            "returns-a-tensor",
            "your {} returns a tensor: return a Python float (math.cos instead of torch.cos, or .item() at the end).",
            "torch.tensor(_right(*args, **kwargs))",
            before="import torch as torch\n",
        ),
        _instead(
            exercise,
            "counts-its-calls",
            "your {} advances by one step in each call: only the argument `step` decides.",
            "_right(_next(args[0]), *args[1:], **kwargs)",
            before=_COUNTER,
            stateful=True,
        ),
        _instead(
            exercise,
            "keeps-state",
            "your {} returns the result of an earlier call: look for a global variable, or a cache that ignores some arguments.",
            "_seen.setdefault(args[0], _right(*args, **kwargs))",
            before="_seen = {}\n",
            stateful=True,
        ),
        Mistake(
            f"{exercise}-asserts",
            exercise,
            f"your {exercise} refuses a bad argument with AssertionError: raise a ValueError that names it and gives its value.",
            {REFUSE: '    assert value >= least, f"{name} must be {least} or more, got {value}"\n'},
        ),
        Mistake(
            f"{exercise}-refuses-silently",
            exercise,
            f"the ValueError of your {exercise} does not name the wrong argument and its value.",
            {REFUSE: '    if value < least:\n        raise ValueError("bad argument")\n'},
        ),
    ]


WARMUP = [
    _warm(
        "starts-at-zero",
        "your warmup is one step late: it starts with a factor of 0, which wastes a step. Use (step + 1) / warmup_steps.",
        {WARM_FACTOR: "return step / warmup_steps"},
    ),
    _warm(
        "one-step-more-to-climb",
        "you divide by warmup_steps + 1, so the last step of the warmup is still below 1: divide by warmup_steps.",
        {WARM_FACTOR: "return (step + 1) / (warmup_steps + 1)"},
    ),
    _warm(
        "one-step-too-long",
        "your warmup is one step too long: in step warmup_steps (counted from 0) it is over, and your factor is above 1. Use `<`, not `<=`.",
        {WARM_OVER: "if step > warmup_steps or warmup_steps == 0:\n        return 1.0\n"},
    ),
    _warm(
        "no-limit",
        "your factor continues to grow after the warmup: keep it at 1.",
        {WARM_OVER: "if warmup_steps == 0:\n        return 1.0\n"},
    ),
    _warm(
        "starts-again",
        "your warmup starts again whenever it is over (`%`): after the first one, keep the factor at 1.",
        {WARM_OVER: "if warmup_steps == 0:\n        return 1.0\n    step = step % warmup_steps\n"},
    ),
    _warm(
        "no-warmup-is-zero",
        "your factor is 0 if warmup_steps is 0: without a warmup, every step has factor 1.",
        {WARM_OVER: f"if warmup_steps == 0:\n        return 0.0\n    {WARM_OVER}"},
    ),
    _warm(
        "no-warmup-divides-by-zero",
        "you divide by warmup_steps before you test whether it is 0: without a warmup, every step has factor 1.",
        {WARM_OVER: "", WARM_FACTOR: "return min(1.0, (step + 1) / warmup_steps)"},
    ),
    _warm(
        "whole-division",
        "you divide with `//`, which rounds down, so your factor is 0 until the end of the warmup: use `/`.",
        {WARM_FACTOR: "return (step + 1) // warmup_steps"},
    ),
    _warm(
        "no-warmup-refused",
        "you refuse warmup_steps=0 (ValueError): without a warmup, every step has factor 1.",
        {WARM_STEP: WARM_STEP.replace("warmup_steps, 0)", "warmup_steps, 1)")},
    ),
    _warm(
        "negative-step-taken",
        "you accept a negative step: raise ValueError.",
        {WARM_STEP: WARM_STEP.replace('    _at_least("step", step, 0)\n', "")},
    ),
    _warm(
        "negative-warmup-taken",
        "you accept a negative warmup_steps as if there were no warmup: raise ValueError.",
        {WARM_STEP: WARM_STEP.replace('    _at_least("warmup_steps", warmup_steps, 0)\n', "")},
    ),
]

RISE = [
    *_rise(
        "warmup-starts-at-zero",
        "your warmup is one step late: step 0 has max_lr / warmup_steps, and step warmup_steps - 1 has max_lr.",
        "max_lr * step / warmup_steps",
    ),
    *_rise(
        "warmup-one-step-more",
        "you divide by warmup_steps + 1, so the last step of the warmup is still below max_lr: divide by warmup_steps.",
        "max_lr * (step + 1) / (warmup_steps + 1)",
    ),
    *_rise(
        "warmup-from-min-lr",
        "your warmup rises from min_lr: it must rise from 0, without min_lr.",
        "min_lr + (max_lr - min_lr) * rise",
    ),
    *_rise(
        "warmup-not-below-min-lr",
        "you keep the warmup above min_lr: it must rise from 0, without min_lr.",
        "max(min_lr, max_lr * rise)",
    ),
    *_both(
        "no-warmup",
        "your schedule has no warmup: its first steps already have max_lr.",
        {COSINE_WARM: "return max_lr"},
        {DECAY_WARM: "return max_lr"},
    ),
    *_both(
        "restarts",
        "your schedule starts again at the end, with a new warmup (`%`): after the end it stays at min_lr.",
        {COSINE_TOTAL: f"{COSINE_TOTAL}\n    step %= total_steps"},
        {DECAY_LENGTH: f"{DECAY_LENGTH}\n    step %= warmup_steps + stable_steps + decay_steps"},
    ),
    *_both(
        "negative-step-taken",
        "you accept a negative step: raise ValueError.",
        {
            COSINE_STEP: COSINE_STEP.replace('    _at_least("step", step, 0)\n', ""),
            COSINE_RISE: "rise = (step + 1) / warmup_steps",
        },
        {DECAY_NAMES: DECAY_NAMES.replace('"step": step, ', ""), DECAY_RISE: "factor = (step + 1) / warmup_steps"},
    ),
    *_both(
        "negative-warmup-taken",
        "you accept a negative warmup_steps as if there were no warmup: raise ValueError.",
        {COSINE_STEP: COSINE_STEP.replace('    _at_least("warmup_steps", warmup_steps, 0)\n', "")},
        {DECAY_NAMES: DECAY_NAMES.replace('"warmup_steps": warmup_steps, ', "")},
    ),
]

END = [
    *_both(
        "no-limit",
        "your progress goes on after the end, where the cosine rises again and a straight line falls below min_lr: limit it to 1.",
        {PROGRESS: "progress = (step - warmup_steps) / wave_steps"},
        {SHARE: "share = steps_down / decay_steps"},
    ),
    *_both(
        "zero-after-the-end",
        "your schedule returns 0 after the end: it must stay at min_lr.",
        {PROGRESS: f"{PROGRESS}\n    if step >= total_steps:\n        return 0.0"},
        {SHARE: f"{SHARE}\n    if steps_down >= decay_steps:\n        return 0.0"},
    ),
    *_both(
        "past-the-end-refused",
        "you refuse a step after the end of the run (ValueError): return min_lr.",
        {COSINE_TOTAL: f"{COSINE_TOTAL}\n    _at_least('total_steps', total_steps, step)"},
        {DECAY_LENGTH: f"{DECAY_LENGTH}\n    _at_least('step', warmup_steps + stable_steps + decay_steps - step, 0)"},
    ),
    *_both(
        "relative-to-max-lr",
        "you divide min_lr by max_lr, which may be 0 for parameters that are frozen (ZeroDivisionError).",
        {COSINE_LR: "return max_lr * (min_lr / max_lr + (1 - min_lr / max_lr) * height)"},
        {DECAY_LR: "return max_lr * (1 - (1 - min_lr / max_lr) * share)"},
    ),
    *_both(
        "min-lr-zero-is-none",
        "you take min_lr=0 for a missing value (`min_lr or ...`): 0 is a learning rate like any other.",
        {COSINE_LR: f"min_lr = min_lr or max_lr / 10\n    {COSINE_LR}"},
        {DECAY_LR: f"min_lr = min_lr or max_lr / 10\n    {DECAY_LR}"},
    ),
    *_both(
        "rounded",
        "you round the learning rate: with 6 places, one of 0.0003 falls in visible jumps. Do not round.",
        {COSINE_LR: COSINE_LR.replace("return ", "return round(") + ", 6)"},
        {DECAY_LR: DECAY_LR.replace("return ", "return round(") + ", 6)"},
    ),
    *_both(
        "ends-at-zero",
        "your schedule sinks to 0, not to min_lr: scale the curve by max_lr - min_lr and add min_lr.",
        {COSINE_LR: "return max_lr * height"},
        {DECAY_LR: "return max_lr - max_lr * share"},
    ),
    *_both(
        "cut-off-at-min-lr",
        "your schedule sinks toward 0 and is cut off at min_lr, so it is too steep: scale it by max_lr - min_lr and add min_lr.",
        {COSINE_LR: "return max(min_lr, max_lr * height)"},
        {DECAY_LR: "return max(min_lr, max_lr - max_lr * share)"},
    ),
    *_both(
        "min-lr-on-top",
        "you add min_lr to a curve that is already max_lr high: scale it by max_lr - min_lr.",
        {COSINE_LR: "return min_lr + max_lr * height"},
        {DECAY_LR: "return min_lr + max_lr * (1 - share)"},
    ),
    *_both(
        "one-step-early",
        "your descent is one step early: its first step still has max_lr, and min_lr comes one step after the last. Do not add 1 here.",
        {PROGRESS: PROGRESS.replace("step - warmup_steps", "step + 1 - warmup_steps")},
        {SHARE: SHARE.replace("steps_down /", "(steps_down + 1) /")},
    ),
    *_both(
        "one-step-short",
        "your descent is one step too short: it reaches min_lr in the last step of the run, instead of one step later.",
        {WAVE_STEPS: f"{WAVE_STEPS} - 1", PROGRESS: PROGRESS.replace("/ wave_steps", "/ max(1, wave_steps)")},
        {SHARE: SHARE.replace("/ decay_steps", "/ max(1, decay_steps - 1)")},
    ),
    *_both(
        "whole-division",
        "you divide with `//`, which rounds down, so your progress is 0 until the end: use `/`.",
        {PROGRESS: PROGRESS.replace(" / ", " // ")},
        {SHARE: SHARE.replace(" / ", " // ")},
    ),
]

WAVE = [
    _cosine(
        "over-all-steps",
        "your wave runs from step 0, so part of it is over when the warmup ends: start it where the warmup ends.",
        {PROGRESS: "progress = min(1.0, step / total_steps)"},
    ),
    _cosine(
        "divided-by-all-steps",
        "you divide the steps since the warmup by total_steps: the wave has only total_steps - warmup_steps.",
        {PROGRESS: "progress = min(1.0, (step - warmup_steps) / total_steps)"},
    ),
    _cosine(
        "times-warmup",
        "you multiply the warmup by a wave that runs from step 0: the wave must follow the warmup.",
        {
            COSINE_WARM: "return rise * (min_lr + 0.5 * (max_lr - min_lr) * (1.0 + math.cos(math.pi * step / total_steps)))",
            PROGRESS: "progress = min(1.0, step / total_steps)",
        },
    ),
    _cosine(
        "half-period",
        "your wave covers a quarter of a period and stops halfway down: the angle must run from 0 to pi, not to pi / 2.",
        {HEIGHT: "height = 0.5 * (1.0 + math.cos(math.pi / 2 * progress))"},
    ),
    _cosine(
        "quarter-wave",
        "you take cos from 0 to pi / 2 as the height, which falls steeply at the end: use (1 + cos) / 2 from 0 to pi.",
        {HEIGHT: "height = math.cos(math.pi / 2 * progress) if progress < 1 else 0.0"},
    ),
    _cosine(
        "whole-period",
        "your wave covers a whole period, down and up again: the angle must run from 0 to pi, not to 2 pi.",
        {HEIGHT: "height = 0.5 * (1.0 + math.cos(2 * math.pi * progress))"},
    ),
    _cosine(
        "degrees",
        "you give cos an angle in degrees: math.cos takes radians, from 0 to pi.",
        {HEIGHT: "height = 0.5 * (1.0 + math.cos(180 * progress))"},
    ),
    _cosine(
        "no-pi",
        "you take the cosine of the progress itself, from 0 to 1: multiply it by pi.",
        {HEIGHT: "height = 0.5 * (1.0 + math.cos(progress))"},
    ),
    _cosine(
        "upside-down",
        "your wave is upside down and rises from min_lr to max_lr: use 1 + cos, not 1 - cos.",
        {HEIGHT: "height = 0.5 * (1.0 - math.cos(math.pi * progress))"},
    ),
    _cosine(
        "no-half",
        "1 + cos runs from 2 to 0: divide it by 2, or your wave begins at twice the height.",
        {HEIGHT: "height = 1.0 + math.cos(math.pi * progress)"},
    ),
    _cosine(
        "is-linear",
        "your schedule sinks in a straight line: use half a cosine wave.",
        {HEIGHT: "height = 1.0 - progress"},
    ),
    _cosine(
        "no-step-left-taken",
        "you do not refuse a total_steps that leaves no step after the warmup: raise ValueError if it is not greater than warmup_steps.",
        {COSINE_TOTAL: "pass", PROGRESS: "progress = min(1.0, (step - warmup_steps) / max(1, wave_steps))"},
    ),
    _cosine(
        "divides-by-zero",
        "you refuse a total_steps below warmup_steps, but not an equal one: no step is left then, and you divide by 0 (ZeroDivisionError).",
        {COSINE_TOTAL: '_at_least("total_steps", total_steps, warmup_steps)'},
    ),
]

LINE = [
    _decay(
        "plateau-too-short",
        "your plateau ends at step stable_steps, which is its length: end it at warmup_steps + stable_steps.",
        {DOWN: "steps_down = step - max(stable_steps, warmup_steps)"},
    ),
    _decay(
        "no-plateau",
        "your schedule has no plateau: keep max_lr for stable_steps before the descent.",
        {DOWN: "steps_down = step - warmup_steps"},
    ),
    _decay(
        "plateau-with-a-jump",
        "you count the descent from the end of the warmup, so the learning rate jumps down at the end of the plateau: count from there.",
        {SHARE: "share = min(1.0, (step - warmup_steps) / decay_steps)"},
    ),
    _decay(
        "decay-steps-as-place",
        "you take decay_steps for the step at which the run ends: it is the length of the descent.",
        {SHARE: "share = min(1.0, steps_down / max(1, decay_steps - warmup_steps - stable_steps))"},
    ),
    _decay(
        "is-cosine",
        "your descent is half a cosine wave: use a straight line.",
        {SHARE: f"{SHARE}\n    share = 0.5 * (1.0 - math.cos(math.pi * share))"},
    ),
    _decay(
        "is-exponential",
        "your descent is exponential, with the same factor in each step: use a straight line.",
        {DECAY_LR: "return max_lr * (max(min_lr, 1e-12) / max_lr) ** share"},
    ),
    _decay(
        "is-square-root",
        "your descent is 1 - sqrt(progress): use a straight line.",
        {SHARE: f"{SHARE}\n    share = math.sqrt(share)"},
    ),
    _decay(
        "no-plateau-refused",
        "you refuse stable_steps=0 (ValueError): the descent then follows the warmup.",
        {DECAY_LENGTH: f"{DECAY_LENGTH}\n    _at_least('stable_steps', stable_steps, 1)"},
    ),
    _decay(
        "falls-at-once",
        "you jump to min_lr at the end of the plateau: sink in a straight line.",
        {SHARE: "share = 1.0"},
    ),
    _decay(
        "negative-plateau-taken",
        "you accept a negative stable_steps: raise ValueError.",
        {DECAY_NAMES: DECAY_NAMES.replace(', "stable_steps": stable_steps', "")},
    ),
    _decay(
        "no-descent-taken",
        "you do not refuse a descent without steps: raise ValueError if decay_steps is less than 1.",
        {DECAY_LENGTH: "pass", SHARE: "share = min(1.0, steps_down / max(1, decay_steps))"},
    ),
    _decay(
        "divides-by-zero",
        "you refuse a negative decay_steps, but not 0, by which you then divide (ZeroDivisionError).",
        {DECAY_LENGTH: '_at_least("decay_steps", decay_steps, 0)'},
    ),
]

# By the scheduler's formula alone: an optimizer for it to drive would cost seconds to make.
_FROM_TORCH = """
import types

import torch


def {name}(step, {parameters}):
    scheduler = types.SimpleNamespace(last_epoch=step, {settings})
    return torch.optim.lr_scheduler.{scheduler}._get_closed_form_lr(scheduler)[0]
"""


def _from_torch(name: str, scheduler: str, parameters: str, settings: str) -> Mistake:
    says = f"your {name} leaves the work to torch.optim.lr_scheduler: write it yourself."
    code = _FROM_TORCH.format(name=name, scheduler=scheduler, parameters=parameters, settings=settings)
    return Mistake(f"{name}-from-torch", name, says, append=code)


SHORTCUTS = [
    _from_torch(
        "linear_warmup",
        "LinearLR",
        "warmup_steps",
        "base_lrs=[1.0], start_factor=1 / warmup_steps, end_factor=1.0, total_iters=warmup_steps - 1",
    ),
    _from_torch(
        "warmup_cosine",
        "CosineAnnealingLR",
        "*, max_lr, min_lr, warmup_steps, total_steps",
        "base_lrs=[max_lr], eta_min=min_lr, T_max=total_steps",
    ),
    _from_torch(
        "warmup_stable_decay",
        "LinearLR",
        "*, max_lr, min_lr, warmup_steps, stable_steps, decay_steps",
        "base_lrs=[max_lr], start_factor=1.0, end_factor=min_lr / max_lr, total_iters=decay_steps",
    ),
]

MISTAKES = [
    *WARMUP,
    *RISE,
    *END,
    *WAVE,
    *LINE,
    *SHORTCUTS,
    *_always("linear_warmup"),
    *_always("warmup_cosine"),
    *_always("warmup_stable_decay"),
]
