"""Valid but different ways to write `schedule`: each must pass every test."""

import bisect
import cmath
import math
from fractions import Fraction

import numpy
import torch

from grader.checking import alternative

# At the end of the solution's source, where the alternatives are tried, this name is there already.
if "linear_warmup" not in globals():
    from solutions.schedule import linear_warmup


def _expect(fine: bool, name: str, value: int) -> None:
    if not fine:
        raise ValueError(f"{name}={value} is out of range")


def _expect_counts(**counts: int) -> None:
    for name, value in counts.items():
        _expect(value >= 0, name, value)


@alternative("linear_warmup")
def warmup_by_min(step: int, warmup_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    return min(1.0, (step + 1) / max(1, warmup_steps))


@alternative("linear_warmup")
def warmup_in_fractions(step: int, warmup_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    return float(Fraction(min(step + 1, warmup_steps), warmup_steps)) if warmup_steps else 1.0


@alternative("linear_warmup")
def warmup_by_interpolation(step: int, warmup_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    # Through (-1, 0) and (warmup_steps - 1, 1); flat on either side.
    return float(numpy.interp(step, [-1, warmup_steps - 1], [0.0, 1.0])) if warmup_steps > 0 else 1.0


@alternative("linear_warmup")
def warmup_in_float32(step: int, warmup_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    whole = torch.tensor(float(max(warmup_steps, 1)))
    return torch.clamp(torch.tensor(step + 1.0) / whole, max=1.0).item()


@alternative("linear_warmup")
def warmup_from_above(step: int, warmup_steps: int) -> float:
    """Counts what is still missing at the top; gives a whole number where nothing is."""
    _expect_counts(step=step, warmup_steps=warmup_steps)
    missing = max(0, warmup_steps - 1 - step)
    return 1 - missing / warmup_steps if missing else 1


@alternative("warmup_cosine")
def cosine_in_one_expression(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    _expect(total_steps > warmup_steps, "total_steps", total_steps)
    if step < warmup_steps:
        return (step + 1) * max_lr / warmup_steps
    if step >= total_steps:
        return min_lr
    angle = math.pi * (step - warmup_steps) / (total_steps - warmup_steps)
    return 0.5 * (max_lr + min_lr) + 0.5 * (max_lr - min_lr) * math.cos(angle)


@alternative("warmup_cosine")
def cosine_by_half_angle(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    """(1 + cos a) / 2 is the square of cos(a / 2), and 1 minus it the square of the sine."""
    _expect_counts(step=step, warmup_steps=warmup_steps)
    _expect(total_steps > warmup_steps, "total_steps", total_steps)
    if step < warmup_steps:
        return max_lr * linear_warmup(step, warmup_steps)
    half = math.pi / 2 * min(step - warmup_steps, total_steps - warmup_steps) / (total_steps - warmup_steps)
    return max_lr * math.cos(half) ** 2 + min_lr * math.sin(half) ** 2


@alternative("warmup_cosine")
def cosine_by_rotation(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    _expect(total_steps > warmup_steps, "total_steps", total_steps)
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    # The same small turn again and again, as a power of one complex number.
    turns, length = min(step, total_steps) - warmup_steps, total_steps - warmup_steps
    real = (cmath.exp(1j * math.pi / length) ** turns).real
    return min_lr + (max_lr - min_lr) * (1 + real) / 2


@alternative("warmup_cosine")
def cosine_by_degrees(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    _expect(total_steps > warmup_steps, "total_steps", total_steps)
    if step + 1 < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    degrees = 180 * max(0, min(total_steps, step) - warmup_steps) / (total_steps - warmup_steps)
    return max_lr - (max_lr - min_lr) * (1 - math.cos(math.radians(degrees))) / 2


@alternative("warmup_cosine")
def cosine_in_float32(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    _expect(total_steps > warmup_steps, "total_steps", total_steps)
    if step < warmup_steps:
        return float(torch.tensor(max_lr) * (step + 1) / warmup_steps)
    progress = torch.tensor((step - warmup_steps) / (total_steps - warmup_steps)).clamp(0, 1)
    low, high = torch.tensor(min_lr), torch.tensor(max_lr)
    return torch.lerp(low, high, (1 + torch.cos(torch.pi * progress)) / 2).item()


@alternative("warmup_cosine")
def cosine_by_phases(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    _expect_counts(step=step, warmup_steps=warmup_steps)
    _expect(total_steps > warmup_steps, "total_steps", total_steps)
    phases = [
        lambda: max_lr * (step + 1) / warmup_steps,
        lambda: min_lr + (max_lr - min_lr) * math.sin(math.pi / 2 * (total_steps - step) / rest) ** 2,
        lambda: min_lr,
    ]
    rest = total_steps - warmup_steps
    return phases[bisect.bisect_right([warmup_steps, total_steps], step)]()


def _expect_phases(step: int, warmup_steps: int, stable_steps: int, decay_steps: int) -> None:
    _expect_counts(step=step, warmup_steps=warmup_steps, stable_steps=stable_steps)
    _expect(decay_steps >= 1, "decay_steps", decay_steps)


@alternative("warmup_stable_decay")
def phases_by_ifs(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    _expect_phases(step, warmup_steps, stable_steps, decay_steps)
    end = warmup_steps + stable_steps + decay_steps
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step < end - decay_steps:
        return max_lr
    if step < end:
        return min_lr + (max_lr - min_lr) * (end - step) / decay_steps
    return min_lr


@alternative("warmup_stable_decay")
def phases_by_clamping(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    """Both slopes at once: before the descent its share is 0, after the warmup its factor 1."""
    _expect_phases(step, warmup_steps, stable_steps, decay_steps)
    rise = linear_warmup(step, warmup_steps)
    down = max(0.0, min(1.0, (step - warmup_steps - stable_steps) / decay_steps))
    return rise * ((1 - down) * max_lr + down * min_lr)


@alternative("warmup_stable_decay")
def phases_by_interpolation(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    _expect_phases(step, warmup_steps, stable_steps, decay_steps)
    if step < warmup_steps:
        return float(numpy.interp(step + 1, [0, warmup_steps], [0.0, max_lr]))
    top = warmup_steps + stable_steps
    return float(numpy.interp(step, [top, top + decay_steps], [max_lr, min_lr]))


@alternative("warmup_stable_decay")
def phases_by_walking(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    """Takes the lengths off the step, phase after phase."""
    _expect_phases(step, warmup_steps, stable_steps, decay_steps)
    left = step
    for length, begin, end, early in (
        (warmup_steps, 0.0, max_lr, 1),  # 1: the warmup arrives in its last step
        (stable_steps, max_lr, max_lr, 0),
        (decay_steps, max_lr, min_lr, 0),
    ):
        if left < length:
            return begin + (end - begin) * (left + early) / length
        left -= length
    return min_lr


@alternative("warmup_stable_decay")
def phases_as_a_minimum(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    _expect_phases(step, warmup_steps, stable_steps, decay_steps)
    if step < warmup_steps:
        return float(Fraction(step + 1, warmup_steps) * Fraction(max_lr))
    remaining = Fraction(warmup_steps + stable_steps + decay_steps - step, decay_steps)
    share = min(Fraction(1), max(Fraction(0), remaining))
    return float(Fraction(min_lr) + share * (Fraction(max_lr) - Fraction(min_lr)))


@alternative("warmup_stable_decay")
def phases_in_float32(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    _expect_phases(step, warmup_steps, stable_steps, decay_steps)
    if step < warmup_steps:
        return (torch.tensor(step + 1) / warmup_steps * max_lr).item()
    progress = torch.tensor((step - warmup_steps - stable_steps) / decay_steps).clamp(0.0, 1.0)
    return torch.lerp(torch.tensor(max_lr), torch.tensor(min_lr), progress).item()
