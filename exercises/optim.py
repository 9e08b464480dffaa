r"""Optimizers: how a gradient becomes a better language model.

`backward()` computes for each parameter the direction in which the loss grows. An optimizer decides how far to move in
the opposite direction. Here you write your own version of `torch.optim`. `Optimizer` comes first, the bookkeeping that
every update rule needs: groups of parameters with their own options, a state for each parameter, and a state dict for
the checkpoint. Two rules build on it: `SGD` with momentum, three lines of arithmetic, and `AdamW`, which trains nearly
every language model. `parameter_groups` then decides which parameters weight decay shrinks, and `clip_grad_norm` keeps
one bad batch from ruining the model. In the end, a training step looks like this:

    optimizer = AdamW(parameter_groups(model.named_parameters(), weight_decay=0.1), lr=3e-4)
    loss.backward()
    clip_grad_norm(model.parameters(), max_norm=1.0)
    optimizer.step()
    optimizer.zero_grad()
"""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter


class Optimizer:
    r"""Hold the parameters in groups, with options for each group and a state for each parameter.

    Every update rule needs the same bookkeeping, so it is written once: `SGD` and `AdamW` derive from this class and
    add only `__init__` and `step`. The class itself has no base class. A good order of work is `__init__` with
    `add_param_group`, then `zero_grad`, then the two state dict methods.

    Math:
        group  = defaults, overridden by the group's own options
        number = 0, 1, 2, ... over the parameters of all groups in order, in one count for all groups

    Args:
        params: Parameters, or groups `{"params": parameters, "lr": 0.1, ...}`, not a mixture. Both the argument and a
            group's "params" may be any iterable, including a generator such as `model.parameters()`. A group may be
            empty. It may have keys that are not in `defaults`: they are kept.
        defaults: Default options for every group, such as `{"lr": 0.1, "momentum": 0.9}`.

    Raises:
        ValueError: `params` is empty, or a parameter is given twice, in one group or in two.

    Attributes:
        defaults: The default options.
        param_groups: A list of dicts: "params" (a list, in the order given) and every option. The dicts are new; the
            caller's stay as they were. They are live: when a schedule writes `group["lr"] = ...` between two steps,
            the next step uses the new value.
        state: A dict from each parameter to the dict of its state. Empty at the start: a parameter gets its entry in
            the first step in which it has a gradient.

    Example:
        >>> gain, weight = Parameter(torch.ones(2)), Parameter(torch.ones(2, 2))
        >>> groups = [{"params": [weight]}, {"params": [gain], "lr": 0.5}]
        >>> optimizer = Optimizer(groups, defaults={"lr": 0.1})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.5]
        >>> saved = optimizer.state_dict()
        >>> saved == {"state": {}, "param_groups": [{"params": [0], "lr": 0.1}, {"params": [1], "lr": 0.5}]}
        True

    Pitfalls:
        * You can iterate over a generator only once: turn it into a list before you look into it.
        * `==` compares two tensors element by element, so `parameter in some_list` fails. Compare by identity (`is`,
          `id`), or use a set or dict of parameters, which hash them by identity.
        * `state_dict` must build new group dicts: writing numbers into the live groups would remove their parameters.
        * A state tensor that is loaded without a copy belongs to two optimizers, and both update it.

    Source:
        PyTorch, torch.optim, "How to use an optimizer" and `Optimizer.state_dict`.
        https://docs.pytorch.org/docs/stable/optim.html

    Not allowed: torch.optim.Optimizer, torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW.
    """

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        raise NotImplementedError("optim.Optimizer.__init__ is still a stub")

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Append one group to `param_groups`, with the defaults for missing options.

        Args:
            group: A dict of "params" and any options. It is copied, not changed.

        Raises:
            ValueError: A parameter is twice in the group, or already in another group. Nothing is added then.
        """
        raise NotImplementedError("optim.Optimizer.add_param_group is still a stub")

    def zero_grad(self) -> None:
        """Clear the gradients: set `.grad` of every parameter to None (not to zeros)."""
        raise NotImplementedError("optim.Optimizer.zero_grad is still a stub")

    def step(self) -> None:
        """Update every parameter once. The base class has no update rule: a subclass defines it.

        Raises:
            NotImplementedError: Always, in this class; the message says that a subclass must write `step`.
        """
        raise NotImplementedError("optim.Optimizer.step is still a stub")

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint, in torch's own layout, with numbers in place of parameters.

        Returns:
            `{"state": {number: entry}, "param_groups": [group]}`. `state` holds an entry for each parameter that has
            one. Each group is that of `param_groups`, with a list of numbers as its "params". The group dicts are new,
            and the optimizer stays as it is. Entries and tensors may be the optimizer's own, so that its next step
            changes them: the caller saves or copies them before that.
        """
        raise NotImplementedError("optim.Optimizer.state_dict is still a stub")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a saved state and its options; the optimizer keeps its own parameters.

        The saved state of parameter number i goes to this optimizer's parameter number i. It replaces all earlier
        state, and every saved option replaces this optimizer's. Everything is copied: the argument stays as it is, and
        no tensor is shared with it. Nothing is converted: a float32 tensor stays float32, whatever the parameter's
        dtype.

        Args:
            state_dict: The result of `state_dict`, of this class or of torch's optimizer of the same name.

        Raises:
            ValueError: The number of groups, or of parameters in a group, differs from this optimizer's. Nothing is
                changed then.
        """
        raise NotImplementedError("optim.Optimizer.load_state_dict is still a stub")


class SGD(Optimizer):
    r"""Step against the gradient, with momentum: a decaying sum of all gradients so far.

    Gradients that agree from step to step add up; gradients that swing back and forth cancel. Picture a heavy ball that
    rolls down a valley: it keeps its speed along the valley and hardly follows the bumps of the walls.

    Math:
        g_t     = gradient + weight_decay * theta_(t-1)
        b_t     = momentum * b_(t-1) + g_t,  b_0 = 0
        theta_t = theta_(t-1) - lr * b_t

    Args:
        params: Parameters or groups, as for `Optimizer`. Each option below may differ from group to group.
        lr: Learning rate, the size of the step.
        momentum: Factor by which the running sum is multiplied in each step, in [0, 1).
        weight_decay: Strength of the pull toward 0. It is coupled: part of the gradient, so it enters the momentum too.

    Raises:
        ValueError: As for `Optimizer`.

    Attributes:
        param_groups: The options of each group are "lr", "momentum" and "weight_decay".
        state: `{parameter: {"momentum_buffer": b_t}}`, with the shape and dtype of the parameter. A group with momentum
            0 keeps no state. The names are torch's own, so state dicts of `torch.optim.SGD` can be loaded.

    Example:
        >>> weight = Parameter(torch.tensor([1.0]))
        >>> optimizer = SGD([weight], lr=0.1, momentum=0.5)
        >>> for _ in range(2):  # b_1 = 2, b_2 = 0.5 * 2 + 2 = 3
        ...     weight.grad = torch.tensor([2.0])
        ...     optimizer.step()
        ...     print(weight.data)
        tensor([0.8000])
        tensor([0.5000])

    Pitfalls:
        * b_t takes the whole gradient, not (1 - momentum) of it.
        * lr multiplies b_t and is not part of it: after lr changes, old gradients count with the new lr too.
        * Read the options from the group in every step: a schedule changes them, and groups differ.
        * Do not add the decay in place: the gradient belongs to the caller and must stay as it was.

    Source:
        Sutskever et al. 2013, section 2, eq. 1 and 2, with lr taken out of the sum as torch does.
        https://proceedings.mlr.press/v28/sutskever13.html

    The base class may be your own Optimizer or the one of torch, which has no update rule either.

    Not allowed: torch.optim.SGD, torch._fused_sgd_.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        raise NotImplementedError("optim.SGD.__init__ is still a stub")

    def step(self) -> None:
        """Update every parameter that has a gradient, in place and outside of autograd.

        The parameter stays the same object and a leaf, and its gradient stays as it was. A parameter whose gradient
        is None is skipped: no decay, no momentum, no state.
        """
        raise NotImplementedError("optim.SGD.step is still a stub")


class AdamW(Optimizer):
    r"""Adapt the step of every single element to the size of its gradients, and decay the weights separately.

    Each element keeps a running mean of its gradients, m, and of their squares, v. If an element's gradients are alike
    from step to step, m / sqrt(v) is about 1 or -1, however large they are. So lr is roughly how far an element moves
    per step.

    Math:
        theta'  = theta_(t-1) * (1 - lr * weight_decay)
        m_t     = beta1 * m_(t-1) + (1 - beta1) * g_t,    m_0 = 0
        v_t     = beta2 * v_(t-1) + (1 - beta2) * g_t^2,  v_0 = 0
        m_hat   = m_t / (1 - beta1^t)
        v_hat   = v_t / (1 - beta2^t)
        theta_t = theta' - lr * m_hat / (sqrt(v_hat) + eps)

    Args:
        params: Parameters or groups, as for `Optimizer`. Each option below may differ from group to group.
        lr: Learning rate.
        betas: Factors (beta1, beta2) by which the old means are multiplied in each step, both in [0, 1).
        eps: Small number that keeps the division finite if the gradients are 0. It is added outside the root.
        weight_decay: Strength of the pull toward 0. It is decoupled: it acts on the parameter, not on the gradient.

    Raises:
        ValueError: As for `Optimizer`.

    Attributes:
        param_groups: The options of each group are "lr", "betas", "eps" and "weight_decay".
        state: `{parameter: {"step": t, "exp_avg": m_t, "exp_avg_sq": v_t}}`, both tensors with the shape and dtype of
            the parameter. t counts the updates of this one parameter: it is 1 after the first. You may keep t as an int
            or, as torch does, as a 0-d float32 tensor. A loaded state dict may have either, and both must work.

    Example:
        >>> weight = Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = AdamW([weight], lr=0.1, weight_decay=0.0)
        >>> weight.grad = torch.tensor([50.0, -0.002])  # the first step has size lr for both, large and small
        >>> optimizer.step()
        >>> weight.data
        tensor([0.9000, 1.1000])

    Pitfalls:
        * t is 1 in the first update. With t = 0 the correction divides by 0.
        * t belongs to the parameter: if its first gradient comes late, t is 1 then.
        * The decay is lr * weight_decay and acts before the update, on theta_(t-1).
        * If t is a float32 tensor, `1 - beta ** t` has few correct digits: make t a Python number first.

    Source:
        Loshchilov and Hutter 2019, algorithm 2; as in torch, the decay is multiplied by lr and not only by the
        schedule's factor. https://arxiv.org/abs/1711.05101
        Kingma and Ba 2015, algorithm 1, for the two means. https://arxiv.org/abs/1412.6980

    The base class may be your own Optimizer or the one of torch, which has no update rule either.

    Not allowed: torch.optim.Adam, torch.optim.AdamW, torch._fused_adam_, torch._fused_adamw_.
    """

    def __init__(
        self,
        params: Iterable[Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        raise NotImplementedError("optim.AdamW.__init__ is still a stub")

    def step(self) -> None:
        """Update every parameter that has a gradient, in place and outside of autograd.

        The parameter stays the same object and a leaf, and its gradient stays as it was. A parameter whose gradient
        is None is skipped: no decay, no update, no state.
        """
        raise NotImplementedError("optim.AdamW.step is still a stub")


def parameter_groups(named_parameters: Iterable[tuple[str, Parameter]], weight_decay: float) -> list[dict[str, Any]]:
    r"""Split a model's parameters into those with weight decay and those without.

    Weight decay keeps matrices (linear layers, embeddings) from growing. It does not help a norm's gain or a bias: a
    gain belongs near 1, not near 0. Gains and biases are vectors, so the number of dimensions tells the two kinds
    apart, whatever the names are.

    Math:
        decayed where requires_grad and ndim >= 2; not decayed where requires_grad and ndim < 2

    Args:
        named_parameters: Pairs of name and parameter, as `model.named_parameters()` yields them. The names have no
            effect.
        weight_decay: Weight decay of the first group.

    Returns:
        Always two groups, in this order, ready for `AdamW`: `{"params": [...], "weight_decay": weight_decay}` and
        `{"params": [...], "weight_decay": 0.0}`. Each "params" is a list of the given parameter objects, in the order
        given, and may be empty. Frozen parameters (`requires_grad=False`) are left out. A parameter that comes more
        than once (tied, under two names) is listed once, at its first place.

    Example:
        >>> model = torch.nn.ModuleDict({"norm": torch.nn.LayerNorm(4), "head": torch.nn.Linear(4, 2)})
        >>> groups = parameter_groups(model.named_parameters(), weight_decay=0.1)
        >>> [(group["weight_decay"], [tuple(p.shape) for p in group["params"]]) for group in groups]
        [(0.1, [(2, 4)]), (0.0, [(4,), (4,), (2,)])]

    Pitfalls:
        * Without its own `"weight_decay": 0.0`, the second group gets the optimizer's default and is decayed after all.
        * `named_parameters` may be a generator: a second loop over it finds nothing.
        * Tied means the same object. Two parameters with equal values are not tied.

    Source:
        Goodfellow, Bengio and Courville 2016, section 7.1: decay the weights and leave the biases.
        https://www.deeplearningbook.org/contents/regularization.html
    """
    raise NotImplementedError("optim.parameter_groups is still a stub")


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> Float[Tensor, ""]:
    r"""Scale the gradient of the whole model down to length `max_norm` if it is longer, and return its old length.

    One unusual batch can give a gradient a hundred times longer than the others, and one such step can ruin the model.
    Clipping limits the step. It treats all gradients as one long vector: scaling them by one factor makes that vector
    shorter and keeps its direction.

    Math:
        norm = sqrt(sum of g_i^2 over all elements of all gradients)
        g_i  = g_i * max_norm / norm   where norm > max_norm, else unchanged

    Args:
        parameters: Any iterable of parameters, including `model.parameters()`. Skip those whose `.grad` is None.
        max_norm: The largest allowed length, > 0.

    Returns:
        The norm BEFORE clipping, as a 0-d tensor: float64 if any gradient is float64, otherwise float32. 0 if there is
        no gradient. The gradients themselves are scaled in place and keep their dtype. If the norm is at most max_norm,
        they stay unchanged, bit for bit. torch divides by `norm + 1e-6`; you may do either.

    Example:
        >>> a, b = Parameter(torch.zeros(1)), Parameter(torch.zeros(1))
        >>> a.grad, b.grad = torch.tensor([30.0]), torch.tensor([40.0])
        >>> clip_grad_norm([a, b], max_norm=25.0)
        tensor(50.)
        >>> a.grad, b.grad
        (tensor([15.]), tensor([20.]))

    Pitfalls:
        * One norm over all tensors, not one per tensor.
        * `max_norm / norm` is above 1 for a short gradient: without the comparison you make it longer.
        * Half-precision gradients: 300^2 is inf in float16. Square and add in float32.
        * You read the parameters twice, for the norm and for the scaling, but a generator can be read only once.

    Source:
        Pascanu, Mikolov and Bengio 2013, section 3.2, algorithm 1. https://arxiv.org/abs/1211.5063

    Not allowed: torch.nn.utils.clip_grad_norm_, torch.nn.utils.get_total_norm, torch.nn.utils.clip_grads_with_norm_.
    """
    raise NotImplementedError("optim.clip_grad_norm is still a stub")
