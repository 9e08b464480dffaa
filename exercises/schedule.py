r"""Schedule: how far the optimizer may walk in each step of a training run.

One learning rate for a whole run is always wrong somewhere. At the start the weights are random and the optimizer's
running means know nothing yet: a large step there can throw the model to a place from which it does not return. In
the middle large steps are what makes progress. Near the end they only jump to and fro over the valley that the model
would have to settle in. So the learning rate rises, stays high or sinks slowly, and ends low.

A schedule is a function of the step and nothing else. It remembers nothing, so a run that was stopped goes on with
the right learning rate as soon as it knows its step. Here you write three, on plain Python numbers:

1. `linear_warmup`, the rise, as a factor between 0 and 1 with which any learning rate can be multiplied.
2. `warmup_cosine`, of GPT-3 and Llama: the rise, then half a cosine wave down. Its length must be known beforehand.
3. `warmup_stable_decay`: the rise, a plateau, and a short straight descent, which can begin whenever you want to stop.

A step is one update of the weights (`optimizer.step()`), however many small batches went into it. Steps are counted
from 0, and the training loop writes the number into every group of the optimizer before it updates:

    for step in range(total_steps):
        lr = warmup_cosine(step, max_lr=3e-4, min_lr=3e-5, warmup_steps=100, total_steps=total_steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        ...  # loss, backward, clip
        optimizer.step()
"""

import math


def linear_warmup(step: int, warmup_steps: int) -> float:
    r"""Rise in equal steps to 1, and stay there.

    A factor for the learning rate. The first step is not wasted on a factor of 0: it has 1 / warmup_steps. The last
    step of the warmup has exactly 1, and so has every step after it.

    Math:
        factor = (step + 1) / warmup_steps   where step < warmup_steps, else 1

    Args:
        step: Which update it is, counted from 0.
        warmup_steps: How many steps the rise takes. 0: there is none, and every step has factor 1.

    Returns:
        The factor, greater than 0 and at most 1: a Python float, not a tensor. It depends on the arguments alone, not
        on earlier calls.

    Raises:
        ValueError: `step` or `warmup_steps` is negative. The message names that argument and gives its value.

    Example:
        >>> [linear_warmup(step, warmup_steps=4) for step in range(6)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
        >>> linear_warmup(0, warmup_steps=0)
        1.0

    Pitfalls:
        * Steps are counted from 0, so step 0 is the first of warmup_steps: (step + 1), over warmup_steps and not over
          warmup_steps + 1.
        * Without a limit the factor goes on growing after the warmup.
        * warmup_steps = 0 must not divide by 0.
        * `//` divides whole numbers to whole numbers: 0 until the end of the warmup.

    Source:
        Goyal et al. 2017, section 2.2, "gradual warmup". https://arxiv.org/abs/1706.02677

    Not allowed: torch.optim.lr_scheduler.
    """
    raise NotImplementedError("schedule.linear_warmup is still a stub")


def warmup_cosine(step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int) -> float:
    r"""Rise to `max_lr` in a straight line, then sink to `min_lr` along half a cosine wave.

    The wave is flat at both ends: the learning rate leaves `max_lr` slowly, falls fastest in the middle, and comes
    to rest at `min_lr`. What each step gives:

        step 0                       max_lr / warmup_steps (max_lr, where warmup_steps is 0)
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
        step: Which update it is, counted from 0. It may lie beyond the end of the run.
        max_lr: The learning rate at the top.
        min_lr: The learning rate at the end, at most `max_lr`; a tenth of it is usual. The warmup knows nothing of
            it: that rises from 0, and its first steps may lie below `min_lr`.
        warmup_steps: How many steps the rise takes. 0: there is none, and step 0 has `max_lr`.
        total_steps: How many steps the whole run has, those of the warmup included.

    Returns:
        The learning rate of this step: a Python float, not a tensor. It depends on the arguments alone, not on
        earlier calls.

    Raises:
        ValueError: `step` or `warmup_steps` is negative, or `total_steps` is not greater than `warmup_steps`. The
            message names the argument (in the last case `total_steps`) and gives its value.

    Example:
        >>> options = {"max_lr": 1.0, "min_lr": 0.2, "warmup_steps": 2, "total_steps": 6}
        >>> [round(warmup_cosine(step, **options), 3) for step in range(8)]
        [0.5, 1.0, 1.0, 0.883, 0.6, 0.317, 0.2, 0.2]

    Pitfalls:
        * The wave begins where the warmup ends. step / total_steps would start it in the middle.
        * Half a wave: cos runs from cos(0) = 1 to cos(pi) = -1. `math.cos` takes radians.
        * The wave spans max_lr - min_lr and stands on min_lr. Half of max_lr * (1 + cos) ends at 0, and cutting that
          off at min_lr gives another curve.
        * After the end the cosine would rise again: limit progress to 1.

    Source:
        Loshchilov and Hutter 2017, section 3, eq. 5, without restarts. https://arxiv.org/abs/1608.03983

    Not allowed: torch.optim.lr_scheduler.
    """
    raise NotImplementedError("schedule.warmup_cosine is still a stub")


def warmup_stable_decay(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, stable_steps: int, decay_steps: int
) -> float:
    r"""Rise to `max_lr` in a straight line, stay there, then sink to `min_lr` in a straight line.

    Until the descent begins, the learning rate does not depend on the length of the run. So a run can be prolonged
    by as many steps as you like, and a checkpoint from the plateau can be brought down at any time. What each step
    gives, with `end_of_plateau = warmup_steps + stable_steps`:

        step 0                                     max_lr / warmup_steps (max_lr, where warmup_steps is 0)
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
        step: Which update it is, counted from 0. It may lie beyond the end of the run.
        max_lr: The learning rate of the plateau.
        min_lr: The learning rate at the end, at most `max_lr`. The warmup knows nothing of it: that rises from 0.
        warmup_steps: How many steps the rise takes. 0: there is none.
        stable_steps: How many steps the plateau has. 0: the descent follows the warmup.
        decay_steps: How many steps the descent takes, 1 or more; a tenth to a fifth of the run is usual. The three
            numbers add up to the length of the run.

    Returns:
        The learning rate of this step: a Python float, not a tensor. It depends on the arguments alone, not on
        earlier calls.

    Raises:
        ValueError: `step`, `warmup_steps` or `stable_steps` is negative, or `decay_steps` is less than 1. The message
            names that argument and gives its value.

    Example:
        >>> options = {"max_lr": 1.0, "min_lr": 0.2, "warmup_steps": 2, "stable_steps": 3, "decay_steps": 4}
        >>> [round(warmup_stable_decay(step, **options), 3) for step in range(11)]
        [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2, 0.2]

    Pitfalls:
        * stable_steps is a number of steps, not a place: the plateau ends at warmup_steps + stable_steps.
        * progress counts from the end of the plateau, and over decay_steps alone.
        * Without a limit the line goes on after the end, below min_lr and then below 0.
        * A straight line to min_lr: one to 0 that is cut off at min_lr is steeper and gets there too early.

    Source:
        Hu et al. 2024, section 4, for the three phases. https://arxiv.org/abs/2404.06395
        Hägele et al. 2024, section 3, for a straight line as the last. https://arxiv.org/abs/2405.18392

    Not allowed: torch.optim.lr_scheduler.
    """
    raise NotImplementedError("schedule.warmup_stable_decay is still a stub")
