"""Right but different ways to write `optim`. What stands here is put behind the solution, which it replaces."""

import copy
from collections import defaultdict
from itertools import chain

import torch

from grader.checking import alternative


class PlainOptimizer:
    """A base that owes nothing to the solution's: the classes below stand on it, as on a learner's own."""

    def __init__(self, params, defaults):
        self.defaults = defaults
        self.state = {}
        self.param_groups = []
        params = [*params]
        if len(params) == 0:
            raise ValueError("no parameters to optimize: the iterable is empty")
        if not isinstance(params[0], dict):
            params = [dict(params=params)]
        for group in params:
            self.add_param_group(group)

    def every_parameter(self):
        return [p for group in self.param_groups for p in group["params"]]

    def add_param_group(self, group):
        new = dict(group)
        new["params"] = list(new["params"])
        for option, value in self.defaults.items():
            new.setdefault(option, value)
        seen = set(self.every_parameter())
        for p in new["params"]:
            if p in seen:
                raise ValueError("the same parameter twice: every parameter may be given once")
            seen.add(p)
        self.param_groups.append(new)

    def zero_grad(self):
        for p in self.every_parameter():
            p.grad = None

    def step(self):
        raise NotImplementedError("step() is for a subclass to write")

    def state_dict(self):
        numbers = {id(p): i for i, p in enumerate(self.every_parameter())}
        saved_groups = []
        for group in self.param_groups:
            saved = {key: value for key, value in group.items() if key != "params"}
            saved["params"] = [numbers[id(p)] for p in group["params"]]
            saved_groups.append(saved)
        return {"state": {numbers[id(p)]: s for p, s in self.state.items()}, "param_groups": saved_groups}

    def load_state_dict(self, state_dict):
        theirs = state_dict["param_groups"]
        if len(theirs) != len(self.param_groups):
            raise ValueError("another number of groups was saved: build the optimizer with the same groups")
        for mine, saved in zip(self.param_groups, theirs, strict=True):
            if len(mine["params"]) != len(saved["params"]):
                raise ValueError("a group of another size was saved: build the optimizer with the same parameters")
        everyone = self.every_parameter()
        self.state = {everyone[i]: copy.deepcopy(entry) for i, entry in state_dict["state"].items()}
        for mine, saved in zip(self.param_groups, theirs, strict=True):
            for key in saved:
                if key != "params":
                    mine[key] = copy.deepcopy(saved[key])


@alternative("Optimizer")
class OptimizerWithDefaultdict(PlainOptimizer):
    """State in a defaultdict, as torch has it."""

    def __init__(self, params, defaults):
        super().__init__(params, dict(defaults))
        self.state = defaultdict(dict)

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self.state = defaultdict(dict, self.state)


@alternative("Optimizer")
class OptimizerThatCopiesOut(PlainOptimizer):
    """state_dict is a snapshot: tensors are copied on the way out, too."""

    def state_dict(self):
        numbers = {p: i for i, p in enumerate(self.every_parameter())}
        groups = [dict(group, params=[numbers[p] for p in group["params"]]) for group in self.param_groups]
        return copy.deepcopy({"state": {numbers[p]: s for p, s in self.state.items()}, "param_groups": groups})


@alternative("Optimizer")
class OptimizerThatSwapsGroups(PlainOptimizer):
    """load_state_dict builds new group dicts, as torch does, and clones tensor by tensor."""

    def load_state_dict(self, state_dict):
        sizes = [
            [len(group["params"]) for group in groups] for groups in (self.param_groups, state_dict["param_groups"])
        ]
        if sizes[0] != sizes[1]:
            raise ValueError(f"cannot load: groups of {sizes[1]} parameters do not fit groups of {sizes[0]}")
        numbers = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        clones = {
            i: {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in entry.items()}
            for i, entry in state_dict["state"].items()
        }
        self.state = {p: clones[i] for i, p in zip(numbers, self.every_parameter(), strict=True) if i in clones}
        self.param_groups = [
            {**saved, "params": mine["params"]}
            for mine, saved in zip(self.param_groups, state_dict["param_groups"], strict=True)
        ]


@alternative("Optimizer")
class OptimizerWithFlatList(PlainOptimizer):
    """Keeps a flat list of parameters beside the groups, and numbers by position in it."""

    def __init__(self, params, defaults):
        self.flat = []
        super().__init__(params, defaults)

    def add_param_group(self, group):
        params = list(group["params"])
        for i, p in enumerate(params):
            if any(p is other for other in chain(self.flat, params[:i])):
                raise ValueError("parameter given more than once: each belongs to one group")
        self.flat.extend(params)
        self.param_groups.append({**self.defaults, **group, "params": params})

    def state_dict(self):
        state = {i: dict(self.state[p]) for i, p in enumerate(self.flat) if p in self.state}
        counter = iter(range(len(self.flat)))
        groups = []
        for group in self.param_groups:
            groups.append({**group, "params": [next(counter) for _ in group["params"]]})
        return {"state": state, "param_groups": groups}


@alternative("Optimizer")
class OptimizerWithoutBase:
    """All in one class: looks at the first element by an iterator, counts as it goes, loads group by group."""

    def __init__(self, params, defaults):
        self.state, self.param_groups, self.defaults = {}, [], defaults
        iterator = iter(params)
        first = next(iterator, None)
        if first is None:
            raise ValueError("nothing to optimize: got no parameters")
        rest = [first, *iterator]
        for group in rest if isinstance(first, dict) else ({"params": rest},):
            self.add_param_group(group)

    def add_param_group(self, group):
        merged = copy.copy(self.defaults)
        merged.update(group)
        merged["params"] = [p for p in group["params"]]
        there = {id(p) for g in self.param_groups for p in g["params"]}
        new = {id(p) for p in merged["params"]}
        if len(new) != len(merged["params"]) or not there.isdisjoint(new):
            raise ValueError("some parameter is there already: it can be in one group only")
        self.param_groups += [merged]

    def zero_grad(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None

    def step(self):
        raise NotImplementedError("a subclass defines what step() does")

    def state_dict(self):
        out = {"state": {}, "param_groups": []}
        count = 0
        for group in self.param_groups:
            numbers = []
            for p in group["params"]:
                if self.state.get(p):
                    out["state"][count] = copy.copy(self.state[p])
                numbers.append(count)
                count += 1
            out["param_groups"].append({**group, "params": numbers})
        return out

    def load_state_dict(self, state_dict):
        shape = [len(group["params"]) for group in state_dict["param_groups"]]
        if shape != [len(group["params"]) for group in self.param_groups]:
            raise ValueError("the saved groups differ in size from those of this optimizer")
        state_dict = copy.deepcopy(state_dict)
        self.state.clear()
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            for p, i in zip(group["params"], saved.pop("params"), strict=True):
                if i in state_dict["state"]:
                    self.state[p] = state_dict["state"][i]
            group.update(saved)


@alternative("SGD")
class SGDFromFirstGradient(PlainOptimizer):
    """The buffer is made of a copy of the first gradient; all written out in the loop."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad + group["weight_decay"] * p
                if group["momentum"]:
                    state = self.state.setdefault(p, {})
                    if "momentum_buffer" in state:
                        state["momentum_buffer"] = group["momentum"] * state["momentum_buffer"] + g
                    else:
                        state["momentum_buffer"] = g.clone()
                    g = state["momentum_buffer"]
                p -= group["lr"] * g


@alternative("SGD")
class SGDThroughData(PlainOptimizer):
    """No no_grad: works on .data, and puts a new tensor there."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self):
        for group in self.param_groups:
            lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
            for p in filter(lambda p: p.grad is not None, group["params"]):
                update = p.grad.detach().clone().add_(p.data, alpha=decay)
                if momentum != 0:
                    old = self.state.get(p, {}).get("momentum_buffer", torch.zeros_like(p.data))
                    update = torch.add(update, old, alpha=momentum)
                    self.state[p] = {"momentum_buffer": update}
                p.data = p.data - lr * update


@alternative("SGD")
class SGDByForeach(PlainOptimizer):
    """All tensors of a group at once, by torch._foreach_*."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            updates = torch._foreach_add([p.grad for p in params], params, alpha=group["weight_decay"])
            if group["momentum"] > 0:
                for p in params:
                    self.state.setdefault(p, {"momentum_buffer": torch.zeros_like(p)})
                buffers = [self.state[p]["momentum_buffer"] for p in params]
                torch._foreach_mul_(buffers, group["momentum"])
                torch._foreach_add_(buffers, updates)
                updates = buffers
            torch._foreach_add_(params, updates, alpha=-group["lr"])


@alternative("SGD")
class SGDInFloat32(PlainOptimizer):
    """The arithmetic of one step in float32; the buffer and the parameter keep their dtype."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.add_((-group["lr"] * self.direction(p, group)).to(p.dtype))

    def direction(self, p, group):
        g = p.grad.float() + group["weight_decay"] * p.float()
        if group["momentum"] == 0:
            return g
        state = self.state.setdefault(p, {"momentum_buffer": torch.zeros_like(p)})
        g = group["momentum"] * state["momentum_buffer"].float() + g
        state["momentum_buffer"].copy_(g)
        return g


@alternative("SGD")
class SGDAsOneAffineStep(PlainOptimizer):
    """Decay and gradient step as one multiplication and two subtractions, with the buffer kept apart from both."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, mu, decay = (group[option] for option in ("lr", "momentum", "weight_decay"))
            for p in group["params"]:
                if p.grad is None:
                    continue
                past = 0.0
                if mu != 0:
                    past = mu * self.state[p]["momentum_buffer"] if p in self.state else torch.zeros_like(p)
                    self.state[p] = {"momentum_buffer": past + p.grad + decay * p}
                p.copy_(p * (1 - lr * decay) - lr * p.grad - lr * past)


@alternative("AdamW")
class AdamWAsInTorch(PlainOptimizer):
    """step as a 0-d float32 tensor, lerp and addcdiv, the corrections folded into step size and denominator."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p not in self.state:
                    self.state[p] = {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(p)}
                    self.state[p]["exp_avg_sq"] = torch.zeros_like(p)
                state = self.state[p]
                state["step"] = torch.as_tensor(state["step"], dtype=torch.float32) + 1
                t = state["step"].item()
                p.mul_(1 - group["lr"] * group["weight_decay"])
                state["exp_avg"].lerp_(p.grad, 1 - b1)
                state["exp_avg_sq"].mul_(b2).addcmul_(p.grad, p.grad, value=1 - b2)
                denominator = (state["exp_avg_sq"].sqrt() / (1 - b2**t) ** 0.5).add_(group["eps"])
                p.addcdiv_(state["exp_avg"], denominator, value=-group["lr"] / (1 - b1**t))


@alternative("AdamW")
class AdamWOutOfPlace(PlainOptimizer):
    """New tensors for the state in every step, and for .data."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.data = self.updated(p.data, p.grad.data, self.state.setdefault(p, {}), group)

    def updated(self, theta, g, state, group):
        beta1, beta2 = group["betas"]
        t = float(state.get("step", 0)) + 1.0
        m = beta1 * state.get("exp_avg", 0.0) + (1 - beta1) * g
        v = beta2 * state.get("exp_avg_sq", 0.0) + (1 - beta2) * g**2
        state.update(step=t, exp_avg=m, exp_avg_sq=v)
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        # Decay and update of the same old parameter, taken off together.
        return theta - group["lr"] * (m_hat / (v_hat**0.5 + group["eps"]) + group["weight_decay"] * theta)


@alternative("AdamW")
class AdamWByForeach(PlainOptimizer):
    """Tensors of a group together, by torch._foreach_*; each with its own corrections."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self.step_group(params, [p.grad for p in params], group)

    def step_group(self, params, grads, group):
        for p in params:
            self.state.setdefault(p, {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)})
        states = [self.state[p] for p in params]
        for state in states:
            state["step"] = int(state["step"]) + 1
        b1, b2 = group["betas"]
        first, second = [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states]
        torch._foreach_mul_(first, b1)
        torch._foreach_add_(first, grads, alpha=1 - b1)
        torch._foreach_mul_(second, b2)
        torch._foreach_addcmul_(second, grads, grads, value=1 - b2)
        denominators = torch._foreach_sqrt(torch._foreach_div(second, [1 - b2 ** s["step"] for s in states]))
        torch._foreach_add_(denominators, group["eps"])
        torch._foreach_mul_(denominators, [1 - b1 ** s["step"] for s in states])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_addcdiv_(params, first, denominators, value=-group["lr"])


@alternative("AdamW")
class AdamWInFloat32(PlainOptimizer):
    """The update computed in float32; state and parameter keep their dtype."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    update = self.direction(p, group).to(p.dtype)
                    p.sub_(group["lr"] * group["weight_decay"] * p).sub_(group["lr"] * update)

    def direction(self, p, group):
        if p not in self.state:
            self.state[p] = {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        state, (b1, b2), g = self.state[p], group["betas"], p.grad.float()
        state["step"] += 1
        m = b1 * state["exp_avg"].float() + (1 - b1) * g
        v = b2 * state["exp_avg_sq"].float() + (1 - b2) * g.square()
        state["exp_avg"].copy_(m)
        state["exp_avg_sq"].copy_(v)
        t = int(state["step"])
        return m / (1 - b1**t) / (torch.sqrt(v / (1 - b2**t)) + group["eps"])


@alternative("AdamW")
class AdamWWithRunningPowers(PlainOptimizer):
    """Keeps beta^t beside the state, by parameter, and finds it anew after a load."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.powers = {}
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self.powers = {}
        for group in self.param_groups:
            for p in group["params"]:
                if p in self.state:
                    self.powers[p] = [beta ** int(self.state[p]["step"]) for beta in group["betas"]]

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, p.grad, group)

    def update(self, p, g, group):
        b1, b2 = group["betas"]
        state = self.state.setdefault(p, {})
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
        power1, power2 = self.powers.get(p, (1.0, 1.0))
        self.powers[p] = power1, power2 = power1 * b1, power2 * b2
        state["step"] += 1
        state["exp_avg"] += (1 - b1) * (g - state["exp_avg"])
        state["exp_avg_sq"] += (1 - b2) * (g * g - state["exp_avg_sq"])
        size = torch.sqrt(state["exp_avg_sq"] / (1 - power2)) + group["eps"]
        p *= 1 - group["lr"] * group["weight_decay"]
        p -= group["lr"] / (1 - power1) * state["exp_avg"] / size


@alternative("parameter_groups")
def groups_by_comprehension(named_parameters, weight_decay):
    """Duplicates removed by a dict keyed by the parameter, then two comprehensions."""
    trained = list({p: None for _, p in named_parameters if p.requires_grad})
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


@alternative("parameter_groups")
def groups_by_id(named_parameters, weight_decay):
    """A dict by id; setdefault keeps the first place."""
    unique = {}
    for _name, p in named_parameters:
        unique.setdefault(id(p), p)
    groups = [dict(params=[], weight_decay=weight_decay), dict(params=[], weight_decay=0.0)]
    for p in unique.values():
        if p.requires_grad:
            groups[len(p.shape) < 2]["params"].append(p)
    return groups


@alternative("parameter_groups")
def groups_by_is(named_parameters, weight_decay):
    """Compares by `is` against what was taken; a weight decay of 0 as an int."""
    matrices, vectors = [], []
    for _, p in named_parameters:
        target = matrices if p.dim() >= 2 else vectors
        if p.requires_grad and not any(p is other for other in target):
            target.append(p)
    return [{"weight_decay": weight_decay, "params": matrices}, {"weight_decay": 0, "params": vectors}]


@alternative("parameter_groups")
def groups_by_filter(named_parameters, weight_decay):
    """dict.fromkeys and filter."""
    params = [*filter(lambda p: p.requires_grad, dict.fromkeys(p for _, p in named_parameters))]
    decayed = [*filter(lambda p: p.ndim >= 2, params)]
    others = [*filter(lambda p: p.ndim < 2, params)]
    return [{"params": group, "weight_decay": w} for group, w in ((decayed, weight_decay), (others, 0.0))]


@alternative("parameter_groups")
def groups_by_index(named_parameters, weight_decay):
    """The position of the first pair with the same id."""
    pairs = list(named_parameters)
    ids = [id(p) for _, p in pairs]
    first = [i for i in range(len(pairs)) if ids.index(ids[i]) == i and pairs[i][1].requires_grad]
    decayed = [pairs[i][1] for i in first if pairs[i][1].ndim not in (0, 1)]
    rest = [pairs[i][1] for i in first if pairs[i][1].ndim in (0, 1)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def wide(gradient):
    """In float64 where it is, else in float32."""
    return gradient if gradient.dtype == torch.float64 else gradient.float()


@alternative("clip_grad_norm")
def clip_by_sum_of_squares(parameters, max_norm):
    """Squares added up in a loop; factor clamped to 1, with torch's 1e-6 in the denominator."""
    parameters = [p for p in parameters if p.grad is not None]
    total = torch.zeros(())
    for p in parameters:
        total = total + wide(p.grad).pow(2).sum()
    norm = total.sqrt()
    factor = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
    for p in parameters:
        p.grad.mul_(factor)
    return norm


@alternative("clip_grad_norm")
def clip_by_one_long_vector(parameters, max_norm):
    """All gradients flattened and joined; scaled through copy_."""
    grads = [p.grad for p in parameters if p.grad is not None]
    if len(grads) == 0:
        return torch.zeros(())
    norm = torch.cat([wide(g).reshape(-1) for g in grads]).norm()
    if norm.item() > max_norm:
        for g in grads:
            g.copy_(wide(g) / norm * max_norm)
    return norm


@alternative("clip_grad_norm")
def clip_by_foreach(parameters, max_norm):
    """torch._foreach_norm and torch._foreach_mul_."""
    grads = [p.grad for p in list(parameters) if p.grad is not None]
    if not grads:
        return torch.tensor(0.0)
    norm = torch.linalg.norm(torch.stack(torch._foreach_norm([wide(g) for g in grads])))
    if max_norm < norm:
        torch._foreach_mul_(grads, max_norm / norm.item())
    return norm


@alternative("clip_grad_norm")
def clip_with_scaled_squares(parameters, max_norm):
    """Divides by the greatest element before squaring, so that even large float32 gradients do not overflow."""
    params = list(parameters)
    grads = [wide(p.grad) for p in params if p.grad is not None]
    if not grads or (top := max(g.abs().max().item() if g.numel() else 0.0 for g in grads)) == 0:
        return sum((g.sum() for g in grads), start=torch.tensor(0.0))
    norm = top * torch.sqrt(sum((g / top).square().sum() for g in grads))
    for p in params:
        if p.grad is not None and norm > max_norm:
            p.grad *= max_norm / norm
    return norm


@alternative("clip_grad_norm")
def clip_by_dot_products(parameters, max_norm):
    """Dot products of each gradient with itself; under no_grad; the gradient divided by norm / max_norm."""
    with torch.no_grad():
        grads = [g for g in (p.grad for p in parameters) if g is not None]
        flat = [wide(g).flatten() for g in grads]
        norm = sum((torch.dot(f, f.clone()) for f in flat), start=torch.tensor(0.0)) ** 0.5
        if norm > max_norm:
            [g.div_(norm / max_norm) for g in grads]
    return norm


@alternative("SGD")
class SGDOnTheBaseOfTorch(torch.optim.Optimizer):
    """A subclass of torch's own base class, which keeps groups and state and has no update rule."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad + group["weight_decay"] * p
                if group["momentum"]:
                    buffer = self.state[p].get("momentum_buffer", torch.zeros_like(p))
                    g = self.state[p]["momentum_buffer"] = group["momentum"] * buffer + g
                p.sub_(group["lr"] * g)


@alternative("AdamW")
class AdamWOnTheBaseOfTorch(torch.optim.Optimizer):
    """The same for AdamW, as a well-known course asks for it."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def step(self, closure=None):
        loss = None if closure is None else closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                t = int(state.get("step", 0)) + 1
                m = beta1 * state.get("exp_avg", torch.zeros_like(p)) + (1 - beta1) * p.grad
                v = beta2 * state.get("exp_avg_sq", torch.zeros_like(p)) + (1 - beta2) * p.grad**2
                p.data *= 1 - group["lr"] * group["weight_decay"]
                scale = group["lr"] * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
                p.data -= scale * m.detach() / (v.detach().sqrt() + group["eps"] * (1 - beta2**t) ** 0.5)
                state["step"], state["exp_avg"], state["exp_avg_sq"] = t, m.detach(), v.detach()
        return loss
