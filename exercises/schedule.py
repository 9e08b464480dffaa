r"""Schedule: the learning rate for each step of a training run.

One learning rate is never right for a whole run. At the start, the weights are random and the optimizer's running means
are not reliable yet: a large step can ruin the model for good. In the middle, large steps make progress. Near the end,
they only jump back and forth across the valley that the model should settle in. So the learning rate rises, stays high
or sinks slowly, and ends low.

A schedule is a function of the step and nothing else. It has no memory, so a resumed run has the right learning rate as
soon as it knows its step. Here you write three schedules, on plain Python numbers:

1. `linear_warmup`, the rise: a factor between 0 and 1 for any learning rate.
2. `warmup_cosine`, used for GPT-3 and Llama: the rise, then half a cosine wave down. Its length must be known at the
   start.
3. `warmup_stable_decay`: the rise, a plateau, and a short straight descent that you can start whenever you want to end.

A step is one update of the weights (`optimizer.step()`), from any number of micro-batches. Steps are counted from 0,
and the training loop writes the learning rate into every group of the optimizer before each update:

    for step in range(total_steps):
        lr = warmup_cosine(step, max_lr=3e-4, min_lr=3e-5, warmup_steps=100, total_steps=total_steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        ...  # loss, backward, clip
        optimizer.step()
"""

import math


def linear_warmup(step: int, warmup_steps: int) -> float:
    r"""Return a factor for the learning rate that rises to 1 in equal steps and stays there.

    Early updates are unreliable, so they should be small. Picture a ramp that leads up to a plain. The first step gets
    1 / warmup_steps: a factor of 0 would waste it. The last step of the warmup and every later step get exactly 1.

    Math:
        factor = (step + 1) / warmup_steps   where step < warmup_steps, else 1

    Args:
        step: Index of the update, counted from 0.
        warmup_steps: Length of the rise in steps. 0 = no warmup: every step has factor 1.

    Returns:
        The factor, greater than 0 and at most 1: a Python float, not a tensor. It depends only on the arguments, not
        on earlier calls.

    Raises:
        ValueError: `step` or `warmup_steps` is negative. The message names that argument and gives its value.

    Example:
        >>> [linear_warmup(step, warmup_steps=4) for step in range(6)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
        >>> linear_warmup(0, warmup_steps=0)
        1.0

    Pitfalls:
        * Steps are counted from 0, so step 0 is the first of warmup_steps: divide step + 1 by warmup_steps, not by
          warmup_steps + 1.
        * Without a limit, the factor continues to grow after the warmup.
        * warmup_steps = 0 must not cause a division by 0.
        * `//` rounds down to a whole number: 0 until the end of the warmup.

    Source:
        Goyal et al. 2017, section 2.2, "gradual warmup". https://arxiv.org/abs/1706.02677

    Not allowed: torch.optim.lr_scheduler.
    """
    raise NotImplementedError("schedule.linear_warmup is still a stub")


def warmup_cosine(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    r"""Raise the learning rate to `max_lr` in a straight line, then lower it to `min_lr` along half a cosine wave.

    The wave is flat at both ends: the learning rate leaves `max_lr` slowly, falls fastest in the middle, and levels off
    at `min_lr`. The values are:

        step 0                       max_lr / warmup_steps (max_lr if warmup_steps is 0)
        step warmup_steps - 1        max_lr, the last step of the warmup
        step warmup_steps            max_lr, the first step of the wave
        step total_steps - 1         a little above min_lr, the last step of the run
        step total_steps and later   min_lr

    Math:
        where step < warmup_steps:
            lr = max_lr * (step + 1) / warmup_steps
        else:
            progress = min(1, (step - warmup_steps) / (total_steps - warmup_steps))
            lr       = min_lr + (max_lr - min_lr) * (1 + cos(pi * progress)) / 2

    Args:
        step: Index of the update, counted from 0. It may be beyond the end of the run.
        max_lr: The learning rate at the top.
        min_lr: The learning rate at the end, at most `max_lr`; usually a tenth of it. The warmup does not use it: it
            rises from 0, and its first steps may be below `min_lr`.
        warmup_steps: Length of the rise in steps. 0 = no warmup: step 0 has `max_lr`.
        total_steps: Length of the whole run in steps, including the warmup.

    Returns:
        The learning rate of this step: a Python float, not a tensor. It depends only on the arguments, not on earlier
        calls.

    Raises:
        ValueError: `step` or `warmup_steps` is negative, or `total_steps` is not greater than `warmup_steps`. The
            message names the argument (in the last case `total_steps`) and gives its value.

    Example:
        >>> options = {"max_lr": 1.0, "min_lr": 0.2, "warmup_steps": 2, "total_steps": 6}
        >>> [round(warmup_cosine(step, **options), 3) for step in range(8)]
        [0.5, 1.0, 1.0, 0.883, 0.6, 0.317, 0.2, 0.2]

    Pitfalls:
        * The wave begins where the warmup ends. With step / total_steps it would begin further down.
        * Half a wave: cos runs from cos(0) = 1 to cos(pi) = -1. `math.cos` takes radians.
        * The wave spans max_lr - min_lr on top of min_lr. max_lr * (1 + cos) / 2 ends at 0, and cutting it off at
          min_lr gives a different curve.
        * After the end, the cosine would rise again: limit progress to 1.

    Source:
        Loshchilov and Hutter 2017, section 3, eq. 5, without restarts. https://arxiv.org/abs/1608.03983

    Not allowed: torch.optim.lr_scheduler.
    """
    raise NotImplementedError("schedule.warmup_cosine is still a stub")


def warmup_stable_decay(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    r"""Raise the learning rate to `max_lr` in a straight line, keep it there, then lower it to `min_lr` the same way.

    Until the descent begins, the learning rate does not depend on the length of the run. So you can extend a run by any
    number of steps, and start the descent from any checkpoint of the plateau. The values are, with
    `end_of_plateau = warmup_steps + stable_steps`:

        step 0                                     max_lr / warmup_steps (max_lr if warmup_steps is 0)
        step warmup_steps - 1                      max_lr, the last step of the warmup
        steps warmup_steps to end_of_plateau - 1   max_lr
        step end_of_plateau                        max_lr, the first step of the descent
        step end_of_plateau + decay_steps - 1      a little above min_lr, the last step of the run
        step end_of_plateau + decay_steps, later   min_lr

    Math:
        where step < warmup_steps:
            lr = max_lr * (step + 1) / warmup_steps
        where warmup_steps <= step < warmup_steps + stable_steps:
            lr = max_lr
        else:
            progress = min(1, (step - warmup_steps - stable_steps) / decay_steps)
            lr       = max_lr - (max_lr - min_lr) * progress

    Args:
        step: Index of the update, counted from 0. It may be beyond the end of the run.
        max_lr: The learning rate of the plateau.
        min_lr: The learning rate at the end, at most `max_lr`. The warmup does not use it: it rises from 0.
        warmup_steps: Length of the rise in steps. 0 = no warmup.
        stable_steps: Length of the plateau in steps. 0 = no plateau: the descent follows the warmup.
        decay_steps: Length of the descent in steps, 1 or more; usually a tenth to a fifth of the run. The three lengths
            add up to that of the run.

    Returns:
        The learning rate of this step: a Python float, not a tensor. It depends only on the arguments, not on earlier
        calls.

    Raises:
        ValueError: `step`, `warmup_steps` or `stable_steps` is negative, or `decay_steps` is less than 1. The message
            names that argument and gives its value.

    Example:
        >>> options = {"max_lr": 1.0, "min_lr": 0.2, "warmup_steps": 2, "stable_steps": 3, "decay_steps": 4}
        >>> [round(warmup_stable_decay(step, **options), 3) for step in range(11)]
        [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2, 0.2]

    Pitfalls:
        * stable_steps is a length, not a step index: the plateau ends at warmup_steps + stable_steps.
        * progress counts from the end of the plateau, over decay_steps only.
        * Without a limit, the line continues below min_lr after the end, and then below 0.
        * Draw the line to min_lr: a line to 0 that is cut off at min_lr is steeper and arrives too early.

    Source:
        Hu et al. 2024, section 4, for the three phases. https://arxiv.org/abs/2404.06395
        Hägele et al. 2024, section 3, for a straight descent. https://arxiv.org/abs/2405.18392

    Not allowed: torch.optim.lr_scheduler.
    """
    raise NotImplementedError("schedule.warmup_stable_decay is still a stub")
