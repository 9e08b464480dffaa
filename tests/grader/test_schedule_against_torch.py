"""The reference's schedules against those that torch.optim.lr_scheduler chains together."""

import pytest
import torch
from torch.nn import Parameter
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR

from solutions import schedule

MAX_LR, MIN_LR = 0.8, 0.05


def lrs_of_torch(make_parts, milestones, steps):
    """The learning rate of each step, as torch's schedulers write it into the group."""
    optimizer = torch.optim.SGD([Parameter(torch.zeros(1))], lr=MAX_LR)
    scheduler = SequentialLR(optimizer, make_parts(optimizer), milestones)
    lrs = []
    for _ in range(steps):
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lrs


def rise(optimizer, warmup_steps):
    """From 1 / warmup_steps to 1, reached in the last step of the warmup."""
    return LinearLR(optimizer, start_factor=1 / warmup_steps, total_iters=warmup_steps - 1)


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch's own way to chain
@pytest.mark.parametrize(("warmup", "total"), [(2, 3), (3, 11), (5, 40)])
def test_cosine_after_a_linear_warmup(warmup, total):
    # No further than the end: torch's cosine comes up again there.
    expected = lrs_of_torch(
        lambda o: [rise(o, warmup), CosineAnnealingLR(o, T_max=total - warmup, eta_min=MIN_LR)], [warmup], total + 1
    )
    options = {"max_lr": MAX_LR, "min_lr": MIN_LR, "warmup_steps": warmup, "total_steps": total}
    got = [schedule.warmup_cosine(step, **options) for step in range(total + 1)]
    assert got == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize(("warmup", "stable", "decay"), [(2, 1, 1), (3, 4, 5), (6, 10, 20)])
def test_a_plateau_between_two_straight_lines(warmup, stable, decay):
    total = warmup + stable + decay
    expected = lrs_of_torch(
        lambda o: [
            rise(o, warmup),
            ConstantLR(o, factor=1.0, total_iters=stable),
            LinearLR(o, start_factor=1.0, end_factor=MIN_LR / MAX_LR, total_iters=decay),
        ],
        [warmup, warmup + stable],
        total + 4,
    )
    lengths = {"warmup_steps": warmup, "stable_steps": stable, "decay_steps": decay}
    got = [schedule.warmup_stable_decay(step, max_lr=MAX_LR, min_lr=MIN_LR, **lengths) for step in range(total + 4)]
    assert got == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("warmup", [2, 7])
def test_the_factor_of_the_warmup(warmup):
    expected = lrs_of_torch(lambda o: [rise(o, warmup)], [], warmup + 5)
    got = [MAX_LR * schedule.linear_warmup(step, warmup) for step in range(warmup + 5)]
    assert got == pytest.approx(expected, rel=1e-9)
