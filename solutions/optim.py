r"""Optimizers: how a gradient becomes a better language model.

`backward()` says for each parameter which way the loss grows; an optimizer decides how far to walk the other way.
Here you write what `torch.optim` gives you. First `Optimizer`, the bookkeeping that every rule needs: groups of
parameters with options of their own, a memory for each parameter, and a state dict for the checkpoint. On it stand
`SGD` with momentum, three lines of arithmetic, and `AdamW`, with which nearly every language model is trained.
`parameter_groups` then decides which parameters weight decay may shrink, and `clip_grad_norm` keeps one bad batch
from throwing the model away. A training step is in the end:

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
    r"""Hold the parameters in groups, each with its options, and a memory for every parameter.

    The base of `SGD` and `AdamW`, which add only `__init__` and `step`. A plain class that derives from nothing. A
    good order to write it in: `__init__` with `add_param_group`, then `zero_grad`, then the two state dict methods.

    Math:
        group  = defaults, overridden by the options that the group itself brings
        number = 0, 1, 2, ... through the parameters of all groups in order; the groups share one count

    Args:
        params: Parameters, or groups `{"params": parameters, "lr": 0.1, ...}`: one kind or the other, not mixed. Both
            the argument and a group's "params" may be any iterable, a generator such as `model.parameters()` too.
            A group may be empty and may bring keys that `defaults` does not know: they are kept.
        defaults: The options of a group that brings none of its own, as `{"lr": 0.1, "momentum": 0.9}`.

    Raises:
        ValueError: `params` yields nothing at all, or a parameter is given twice, in one group or in two.

    Attributes:
        defaults: The default options.
        param_groups: A list of dicts: "params" (a list, in the order given) and every option. The dicts are new ones,
            those of the caller stay as they were; and they are live: a schedule writes `group["lr"] = ...` between
            two steps and the next step obeys.
        state: Dict from a parameter to the dict of what is remembered for it. Empty at the start: a parameter gets
            its entry in the first step that finds a gradient on it.

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
        * A generator can be walked only once: make it a list before you look into it.
        * `==` compares two tensors element by element, so `parameter in some_list` fails. Compare by identity (`is`,
          `id`), or put parameters into a set or a dict, which do it for you.
        * `state_dict` builds new group dicts. Numbers written into the live groups take their parameters away.
        * A tensor that is taken over without a copy belongs to two optimizers, and both update it.

    Source:
        PyTorch, torch.optim, "How to use an optimizer" and `Optimizer.state_dict`.
        https://docs.pytorch.org/docs/stable/optim.html

    Not allowed: torch.optim.Optimizer, torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW.
    """

    def __init__(self, params: Iterable[Parameter] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[dict[str, Any]] = []
        # Keyed by the parameter itself: a tensor hashes by identity, so equal values do not meet in one entry.
        self.state: dict[Parameter, dict[str, Any]] = {}
        # A generator can be walked only once, so it becomes a list before anything looks into it.
        given = list(params)
        if not given:
            raise ValueError("an optimizer needs parameters, got none: was the generator walked before?")
        # Bare parameters are the same as one group that brings no options.
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Append one group to `param_groups`, filled up from the defaults.

        Args:
            group: "params" and any options of its own. It is copied, not changed.

        Raises:
            ValueError: A parameter stands twice in the group or is in another group already; nothing is added then.
        """
        # The later entry wins: what the group brings goes over the default.
        filled = {**self.defaults, **group, "params": list(group["params"])}
        # Identities, since == on tensors compares elements. A parameter in two groups would be updated twice a step.
        known = [id(parameter) for parameter in self._parameters()]
        added = [id(parameter) for parameter in filled["params"]]
        if len(set(known + added)) < len(known + added):
            raise ValueError("a parameter was given twice: each may be in one group, once")
        self.param_groups.append(filled)

    def zero_grad(self) -> None:
        """Forget the gradients: set `.grad` of every parameter to None (not to zeros)."""
        for parameter in self._parameters():
            # None frees the memory, and tells step() to skip what the next backward() does not reach.
            parameter.grad = None

    def step(self) -> None:
        """Update every parameter once. The base has no rule for that: a subclass brings it.

        Raises:
            NotImplementedError: Always, in this class; the message says that a subclass must write `step`.
        """
        raise NotImplementedError("Optimizer has no update rule of its own: a subclass must write step()")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs, in torch's own layout, with numbers where parameters were.

        Returns:
            `{"state": {number: entry}, "param_groups": [group]}`. `state` holds the entries of those parameters that
            have one. A group is that of `param_groups` with the list of numbers as its "params". The group dicts are
            new and the optimizer stays as it is. Entries and tensors may be the optimizer's own, which its next step
            changes: load or copy them before.
        """
        # One count through all groups: the number names the parameter in the whole checkpoint.
        number = {parameter: i for i, parameter in enumerate(self._parameters())}
        # {**group} is a new dict: the live group keeps its parameters.
        groups = [{**group, "params": [number[p] for p in group["params"]]} for group in self.param_groups]
        state = {number[parameter]: dict(entry) for parameter, entry in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over state and options; the parameters stay this optimizer's own.

        The state of the saved parameter with number i goes to this optimizer's i-th. It replaces all state that was
        there, and every saved option replaces this optimizer's. All is copied: the argument stays as it is, and no
        tensor is shared with it. Nothing is converted: a float32 tensor stays one, whatever the parameter's dtype.

        Args:
            state_dict: What `state_dict` returned, of this class or of torch's optimizer of the same name.

        Raises:
            ValueError: The numbers of parameters, group by group, are not those of this optimizer. Nothing is
                changed then.
        """
        own_sizes = [len(group["params"]) for group in self.param_groups]
        saved_sizes = [len(group["params"]) for group in state_dict["param_groups"]]
        # Checked before the first change: a refused checkpoint must not leave half of itself behind.
        if own_sizes != saved_sizes:
            raise ValueError(f"the state dict has groups of {saved_sizes} parameters, this optimizer of {own_sizes}")
        # A deep copy, or the next step would also change the optimizer (or checkpoint) that this came from.
        saved = copy.deepcopy(state_dict)
        numbers = [number for group in saved["param_groups"] for number in group["params"]]
        owner = dict(zip(numbers, self._parameters(), strict=True))
        # Assigned, not merged: what was remembered before belongs to another run.
        self.state = {owner[number]: entry for number, entry in saved["state"].items()}
        for group, options in zip(self.param_groups, saved["param_groups"], strict=True):
            # Everything but "params", which holds numbers in the saved group.
            group.update({**options, "params": group["params"]})

    def _parameters(self) -> Iterator[Parameter]:
        """All parameters, group after group: the order that numbers them."""
        for group in self.param_groups:
            yield from group["params"]

    def _with_gradient(self) -> Iterator[tuple[Parameter, dict[str, Any]]]:
        """The parameters that a step is to update, each with its group."""
        for group in self.param_groups:
            for parameter in group["params"]:
                # None: frozen, or not in this batch's graph. It is no zero gradient: momentum and decay rest too.
                if parameter.grad is not None:
                    yield parameter, group


class SGD(Optimizer):
    r"""Walk against the gradient, with momentum: a running sum of the gradients so far.

    Gradients that agree from step to step add up, those that swing back and forth cancel.

    Math:
        g_t     = gradient + weight_decay * theta_(t-1)
        b_t     = momentum * b_(t-1) + g_t,  b_0 = 0
        theta_t = theta_(t-1) - lr * b_t

    Args:
        params: Parameters or groups, as for `Optimizer`. Each option below may differ from group to group.
        lr: Learning rate, the size of the step.
        momentum: How much of the running sum stays from step to step, in [0, 1).
        weight_decay: The pull toward 0. It is coupled: part of the gradient, so that it enters the momentum too.

    Raises:
        ValueError: As `Optimizer`.

    Attributes:
        param_groups: The options of each group are "lr", "momentum" and "weight_decay".
        state: `{parameter: {"momentum_buffer": b_t}}`, in shape and dtype of the parameter. A group whose momentum is 0
            keeps no state. These are torch's own names: state dicts of `torch.optim.SGD` can be loaded.

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
        * lr multiplies b_t and is not part of it: after a change of lr the old gradients count with the new one.
        * Read the options from the group in every step. A schedule changes them, and groups differ.
        * Add the decay out of place: the gradient belongs to the caller and must stay as it was.

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
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self) -> None:
        """Update every parameter that has a gradient, in place and outside of autograd.

        The parameter stays the same object and a leaf, and its gradient stays as it was. A parameter whose gradient
        is None is skipped: no decay, no momentum, no state.
        """
        # Autograd refuses to change a leaf in place, and an update is no part of the model's function.
        with torch.no_grad():
            for parameter, group in self._with_gradient():
                self._update(parameter, group)

    def _update(self, parameter: Parameter, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        # Coupled decay: the gradient of weight_decay / 2 * |theta|^2 joins before the momentum sees it.
        # add and not add_: the gradient is the caller's.
        if group["weight_decay"] != 0:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        # From here on `gradient` is the running sum b_t, in the parameter's shape.
        if group["momentum"] != 0:
            state = self.state.setdefault(parameter, {})
            # Zeros at first, so that b_1 is the first gradient in full, and a copy of it.
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            gradient = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        # In place: the model holds this very tensor. lr is read now, since a schedule may just have changed it.
        parameter.add_(gradient, alpha=-group["lr"])


class AdamW(Optimizer):
    r"""Adapt the step of every single element to the size of its gradients, and decay the weights apart from that.

    Each element keeps a running mean of its gradients and of their squares. Their ratio is about 1 when the gradients
    agree in sign, whatever their size, so lr is roughly how far an element moves in a step.

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
        betas: How much of the two running means stays from step to step, (beta1, beta2), both in [0, 1).
        eps: Keeps the division finite where the gradients are 0. Outside of the root.
        weight_decay: The pull toward 0. It is decoupled: it acts on the parameter, and the gradient never sees it.

    Raises:
        ValueError: As `Optimizer`.

    Attributes:
        param_groups: The options of each group are "lr", "betas", "eps" and "weight_decay".
        state: `{parameter: {"step": t, "exp_avg": m_t, "exp_avg_sq": v_t}}`, the two tensors in shape and dtype of
            the parameter. t counts the updates of this one parameter, from 1 at its first. It is an int; torch keeps it
            as a 0-d float32 tensor. Either is right to keep, and a state dict of `torch.optim.AdamW` with the one must
            load and run as well as one with the other.

    Example:
        >>> weight = Parameter(torch.tensor([1.0, 1.0]))
        >>> optimizer = AdamW([weight], lr=0.1, weight_decay=0.0)
        >>> weight.grad = torch.tensor([50.0, -0.002])  # the first step is lr, for the big and for the small
        >>> optimizer.step()
        >>> weight.data
        tensor([0.9000, 1.1000])

    Pitfalls:
        * t is 1 in the first update. With 0 the correction divides by 0.
        * t belongs to the parameter: one that gets its first gradient late starts at 1 then.
        * The decay is lr * weight_decay and acts before the update, on theta_(t-1).
        * `beta ** t` with a float32 tensor t has few digits left after `1 - ...`: make t a Python number first.

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
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def step(self) -> None:
        """Update every parameter that has a gradient, in place and outside of autograd.

        The parameter stays the same object and a leaf, and its gradient stays as it was. A parameter whose gradient
        is None is skipped: no decay, no update, no state.
        """
        # As in SGD: autograd refuses to change a leaf in place.
        with torch.no_grad():
            for parameter, group in self._with_gradient():
                # The decay touches the parameter alone, so the running means never see it.
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                update = self._direction(parameter, group)
                parameter.sub_(group["lr"] * update)

    def _direction(self, parameter: Parameter, group: dict[str, Any]) -> Tensor:
        """m_hat / (sqrt(v_hat) + eps), after taking the gradient into the state."""
        gradient, (beta1, beta2) = parameter.grad, group["betas"]
        # Made at the first gradient and not before, so that frozen parameters cost no memory.
        if parameter not in self.state:
            self.state[parameter] = self._new_state(parameter)
        state = self.state[parameter]
        # An int again where torch saved a tensor: powers of a Python number keep 16 digits.
        step = state["step"] = int(state["step"]) + 1
        # In place, in the parameter's shape: two running means, an element each.
        state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        # Both means began at 0 and are too small by the weight that this 0 still has: beta^t. See Adam, section 3.
        m_hat = state["exp_avg"] / (1 - beta1**step)
        v_hat = state["exp_avg_sq"] / (1 - beta2**step)
        # eps outside of the root: inside, 1e-8 would act like 1e-4.
        return m_hat / (v_hat.sqrt() + group["eps"])

    def _new_state(self, parameter: Parameter) -> dict[str, Any]:
        # Two calls: one tensor under both names would be updated twice.
        first, second = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return {"step": 0, "exp_avg": first, "exp_avg_sq": second}


def parameter_groups(named_parameters: Iterable[tuple[str, Parameter]], weight_decay: float) -> list[dict[str, Any]]:
    r"""Sort a model's parameters into those that weight decay shrinks and those that it leaves alone.

    Decay keeps matrices (linear layers, embeddings) from growing. A norm's gain or a bias has nothing to gain from
    being near 0. Both of those are vectors, so the number of dimensions tells them apart, whatever they are called.

    Math:
        decayed where requires_grad and ndim >= 2; not decayed where requires_grad and ndim < 2

    Args:
        named_parameters: Pairs of name and parameter, as `model.named_parameters()` yields them. The name decides
            nothing.
        weight_decay: For the first group.

    Returns:
        Always two groups, in this order, ready for `AdamW`: `{"params": [...], "weight_decay": weight_decay}` and
        `{"params": [...], "weight_decay": 0.0}`. Each "params" is a list of the very parameters that were given, in the
        order given, and may be empty. Frozen parameters (`requires_grad=False`) are left out. A parameter that comes
        more than once (tied, under two names) stands where it came first, once.

    Example:
        >>> model = torch.nn.ModuleDict({"norm": torch.nn.LayerNorm(4), "head": torch.nn.Linear(4, 2)})
        >>> groups = parameter_groups(model.named_parameters(), weight_decay=0.1)
        >>> [(group["weight_decay"], [tuple(p.shape) for p in group["params"]]) for group in groups]
        [(0.1, [(2, 4)]), (0.0, [(4,), (4,), (2,)])]

    Pitfalls:
        * Without its own `"weight_decay": 0.0` the second group gets the optimizer's default and is decayed after all.
        * `named_parameters` may be a generator: two walks over it give an empty second group.
        * Tied means the same object. Two parameters that hold equal values are not tied.

    Source:
        Goodfellow, Bengio and Courville 2016, section 7.1: decay the weights and leave the biases.
        https://www.deeplearningbook.org/contents/regularization.html
    """
    decayed: list[Parameter] = []
    kept: list[Parameter] = []
    # A set of tensors compares by identity, so only the very same parameter counts as tied.
    seen: set[Parameter] = set()
    for _, parameter in named_parameters:
        # Frozen: the optimizer need not hold what it will never update.
        if not parameter.requires_grad or parameter in seen:
            continue
        seen.add(parameter)
        # Matrices and above are the weights of maps and tables; vectors are gains and biases.
        (decayed if parameter.ndim >= 2 else kept).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> Float[Tensor, ""]:
    r"""Shorten the gradient of the whole model to length `max_norm` where it is longer, and say how long it was.

    All gradients are seen as one long vector. Scaling them by one factor keeps its direction.

    Math:
        norm = sqrt(sum of g_i^2 over all elements of all gradients)
        g_i  = g_i * max_norm / norm   where norm > max_norm, else unchanged

    Args:
        parameters: Any iterable, `model.parameters()` too. Those whose `.grad` is None do not count.
        max_norm: The greatest length that is let through, > 0.

    Returns:
        The norm BEFORE clipping, as a 0-d tensor: in float64 if a gradient is, else in float32. 0 if there is no
        gradient. The gradients themselves are scaled in place and keep their dtype; one that is short enough keeps
        every bit. torch divides by `norm + 1e-6`; either is accepted.

    Example:
        >>> a, b = Parameter(torch.zeros(1)), Parameter(torch.zeros(1))
        >>> a.grad, b.grad = torch.tensor([30.0]), torch.tensor([40.0])
        >>> clip_grad_norm([a, b], max_norm=25.0)
        tensor(50.)
        >>> a.grad, b.grad
        (tensor([15.]), tensor([20.]))

    Pitfalls:
        * One norm over all tensors, not one a tensor.
        * `max_norm / norm` is above 1 for a short gradient: without the comparison it is made longer.
        * Half-precision gradients: 300^2 is inf in float16. Square and add in float32.
        * The parameters are walked twice, for the norm and for the scaling, but a generator walks only once.

    Source:
        Pascanu, Mikolov and Bengio 2013, section 3.2, algorithm 1. https://arxiv.org/abs/1211.5063

    Not allowed: torch.nn.utils.clip_grad_norm_, torch.nn.utils.get_total_norm, torch.nn.utils.clip_grads_with_norm_.
    """
    # A list, as it is walked twice.
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.tensor(0.0)
    # float32 at the least: the square of a half-precision number may be out of its range.
    norms = [torch.linalg.vector_norm(g, dtype=torch.promote_types(g.dtype, torch.float32)) for g in gradients]
    # The norm of the norms is the norm of all elements: sqrt(sum_k sqrt(sum_i g_ki^2)^2). (n_gradients,) -> ()
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if norm > max_norm:
        for gradient in gradients:
            # In place: `.grad` of the parameter is this tensor.
            gradient.mul_(max_norm / norm)
    return norm
