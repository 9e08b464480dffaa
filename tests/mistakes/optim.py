"""Known mistakes in `optim`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# The lines of the solution that most mistakes replace; each stands there once.
LISTED = "given = list(params)"
NOTHING_GIVEN = 'raise ValueError("an optimizer needs parameters, got none: was the generator walked before?")'
FILLED = 'filled = {**self.defaults, **group, "params": list(group["params"])}'
TWICE = "if len(set(known + added)) < len(known + added):"
APPEND = "self.param_groups.append(filled)"
FORGET = "parameter.grad = None\n"
ABSTRACT = 'raise NotImplementedError("Optimizer has no update rule of its own: a subclass must write step()")'
NUMBERED = 'groups = [{**group, "params": [number[p] for p in group["params"]]} for group in self.param_groups]'
STATE_OUT = "state = {number[parameter]: dict(entry) for parameter, entry in self.state.items()}"
STATE_DICT = 'return {"state": state, "param_groups": groups}'
SIZES = "if own_sizes != saved_sizes:"
COPIED = "saved = copy.deepcopy(state_dict)"
OWNERS = "owner = dict(zip(numbers, self._parameters(), strict=True))"
STATE_IN = 'self.state = {owner[number]: entry for number, entry in saved["state"].items()}'
OPTIONS_IN = 'group.update({**options, "params": group["params"]})'

SGD_NO_GRAD = """with torch.no_grad():
            for parameter, group in self._with_gradient():
                self._update(parameter, group)"""
SGD_DECAY = 'gradient = gradient.add(parameter, alpha=group["weight_decay"])'
SGD_STATE = "state = self.state.setdefault(parameter, {})"
SGD_ZEROS = 'state["momentum_buffer"] = torch.zeros_like(parameter)'
SGD_BUFFER = 'gradient = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)'
SGD_STEP = 'parameter.add_(gradient, alpha=-group["lr"])'

ADAM_NO_GRAD = """with torch.no_grad():
            for parameter, group in self._with_gradient():
                # The decay touches"""
ADAM_DECAY = 'parameter.mul_(1 - group["lr"] * group["weight_decay"])'
ADAM_UPDATE = 'parameter.sub_(group["lr"] * update)'
ADAM_UNPACK = 'gradient, (beta1, beta2) = parameter.grad, group["betas"]'
ADAM_STATE = """if parameter not in self.state:
            self.state[parameter] = self._new_state(parameter)
        state = self.state[parameter]"""
ADAM_COUNT = 'step = state["step"] = int(state["step"]) + 1'
ADAM_FIRST = 'state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)'
ADAM_SECOND = 'state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)'
ADAM_M_HAT = 'm_hat = state["exp_avg"] / (1 - beta1**step)'
ADAM_V_HAT = 'v_hat = state["exp_avg_sq"] / (1 - beta2**step)'
ADAM_RATIO = 'return m_hat / (v_hat.sqrt() + group["eps"])'
ADAM_ZEROS = "first, second = torch.zeros_like(parameter), torch.zeros_like(parameter)"

SKIPPED = "if not parameter.requires_grad or parameter in seen:"
SEEN = "seen.add(parameter)\n"
SORTED = "(decayed if parameter.ndim >= 2 else kept).append(parameter)"
TWO_GROUPS = 'return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]'

GRADIENTS = "gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]"
NO_GRADIENTS = "return torch.tensor(0.0)"
NORMS = "norms = [torch.linalg.vector_norm(g, dtype=torch.promote_types(g.dtype, torch.float32)) for g in gradients]"
NORM = "norm = torch.linalg.vector_norm(torch.stack(norms))"
LONGER = "if norm > max_norm:"
SCALE = "gradient.mul_(max_norm / norm)"
RETURN_NORM = "    return norm\n"


def _skip(id: str, exercise: str, says: str, body: str) -> Mistake:
    """The class walks other parameters, or hands its update other options, than it should."""
    head = "def _wrong(self):\n    for group in self.param_groups:\n        for parameter in group['params']:\n"
    return Mistake(id, exercise, says, append=f"{head}            {body}\n\n\n{exercise}._with_gradient = _wrong\n")


def _default_for(option: str, exercise: str) -> Mistake:
    """One option comes from the constructor's defaults, whatever the group says."""
    says = f"you take {option} from the constructor's arguments: read group[{option!r}] in every step, for every group."
    body = f"if parameter.grad is not None: yield parameter, {{**group, {option!r}: self.defaults[{option!r}]}}"
    name = option.replace("_", "-")
    return _skip(f"{exercise.lower()}-group-{name}-ignored", exercise, says, body)


_CAPTURES = """
_init = {name}.__init__


def _remember(self, *args, **kwargs):
    _init(self, *args, **kwargs)
    self._lrs = [group["lr"] for group in self.param_groups]


def _wrong(self):
    for group, lr in zip(self.param_groups, self._lrs):
        for parameter in group["params"]:
            if parameter.grad is not None:
                yield parameter, {{**group, "lr": lr}}


{name}.__init__, {name}._with_gradient = _remember, _wrong
"""

_EAGER = """
_add = {name}.add_param_group


def _wrong(self, group):
    _add(self, group)
    for parameter in self.param_groups[-1]["params"]:
        self.state[parameter] = {entry}


{name}.add_param_group = _wrong
"""


def _of_every_rule(exercise: str, eager_entry: str, options: list[str]) -> list[Mistake]:
    """What goes wrong around the arithmetic, in `SGD` as in `AdamW`."""
    prefix = exercise.lower()
    return [
        *(_default_for(option, exercise) for option in options),
        Mistake(
            f"{prefix}-lr-captured-at-construction",
            exercise,
            'you remember each group\'s lr when the optimizer is made; a schedule writes group["lr"] later, so read it in every step.',
            append=_CAPTURES.format(name=exercise),
        ),
        _skip(
            f"{prefix}-none-gradient-crashes",
            exercise,
            "your step does not expect that a gradient is None; a frozen or unused parameter has none: skip it.",
            "yield parameter, group",
        ),
        _skip(
            f"{prefix}-none-gradient-taken-for-zero",
            exercise,
            "you update parameters without gradient as if it were 0, so they decay, move by momentum and get state: skip them.",
            "missing = parameter.grad is None\n"
            "            parameter.grad = torch.zeros_like(parameter) if missing else parameter.grad\n"
            "            yield parameter, group\n"
            "            parameter.grad = None if missing else parameter.grad",
        ),
        _skip(
            f"{prefix}-stops-at-a-missing-gradient",
            exercise,
            "your step ends at the first parameter without gradient (`return` or `break` for `continue`).",
            "if parameter.grad is None: return\n            yield parameter, group",
        ),
        Mistake(
            f"{prefix}-state-before-the-first-gradient",
            exercise,
            "you make state for every parameter at construction; make it in the first step that finds a gradient, so that frozen ones get none.",
            append=_EAGER.format(name=exercise, entry=eager_entry),
        ),
        Mistake(
            f"{prefix}-step-does-nothing",
            exercise,
            "your step changes no parameter: `p = p - ...` makes a new tensor, and the model keeps the old one. Update in place.",
            append=f"def _wrong(self):\n    pass\n\n\n{exercise}.step = _wrong\n",
        ),
    ]


OPTIMIZER_GROUPS = [
    Mistake(
        "generator-walked-twice",
        "Optimizer",
        "given a generator, your groups are empty, because you have already read it once: make it a list first.",
        {
            LISTED: "empty, given = not list(params), list(params)",
            "if not given:": "if empty:",
            "isinstance(given[0], dict)": "isinstance(next(iter(given), None), dict)",
        },
    ),
    Mistake(
        "group-generator-walked-twice",
        "Optimizer",
        'a group whose "params" is a generator stays empty in your optimizer: make it a list before you look into it.',
        {FILLED: f'size = len(list(group["params"]))\n        {FILLED}'},
    ),
    Mistake(
        "nothing-to-optimize-accepted",
        "Optimizer",
        "you accept an empty iterable of parameters; it is nearly always a generator that was already read: raise ValueError.",
        {NOTHING_GIVEN: 'given = [{"params": []}]'},
    ),
    Mistake(
        "duplicates-accepted",
        "Optimizer",
        "you accept the same parameter twice, and would update it twice per step: raise ValueError.",
        {TWICE: "if False:"},
    ),
    Mistake(
        "duplicate-within-a-group-accepted",
        "Optimizer",
        "you refuse a parameter that is in two groups, but accept one that is twice in the same group.",
        {TWICE: "if set(known) & set(added):"},
    ),
    Mistake(
        "duplicate-across-groups-accepted",
        "Optimizer",
        "you refuse a parameter that is twice in one group, but accept one that is in two groups.",
        {TWICE: "if len(set(added)) < len(added):"},
    ),
    Mistake(
        "equal-values-taken-for-duplicates",
        "Optimizer",
        "you take two parameters with equal values for the same parameter: compare by identity (`is`, `id`), not by value.",
        {
            "known = [id(parameter) for parameter in self._parameters()]": "known = [str(p.tolist()) for p in self._parameters()]",
            'added = [id(parameter) for parameter in filled["params"]]': 'added = [str(p.tolist()) for p in filled["params"]]',
        },
    ),
    Mistake(
        "refused-group-added",
        "Optimizer",
        "you append a group before you check it, so the refused group is still in param_groups after the ValueError: check first.",
        {APPEND: "pass", TWICE: f"{APPEND}\n        {TWICE}"},
    ),
    Mistake(
        "defaults-win-over-the-group",
        "Optimizer",
        "your defaults overwrite the group's own options: the group's own must win.",
        {FILLED: 'filled = {**group, **self.defaults, "params": list(group["params"])}'},
    ),
    Mistake(
        "defaults-not-filled-in",
        "Optimizer",
        "your groups have only their own options: add the defaults for the missing ones.",
        {FILLED: 'filled = {**group, "params": list(group["params"])}'},
    ),
    Mistake(
        "unknown-options-dropped",
        "Optimizer",
        "you drop a group's keys that are not in the defaults: keep them, since a schedule may store its own data there.",
        {FILLED: 'filled = {k: group.get(k, v) for k, v in self.defaults.items()} | {"params": list(group["params"])}'},
    ),
    Mistake(
        "zero-grad-fills-with-zeros",
        "Optimizer",
        "your zero_grad fills the gradients with zeros: set them to None, so that step skips parameters without a new gradient.",
        {FORGET: "if parameter.grad is not None:\n                parameter.grad = torch.zeros_like(parameter.grad)\n"},
    ),
    Mistake(
        "zero-grad-does-nothing",
        "Optimizer",
        "your zero_grad leaves the gradients unchanged, so the next backward() adds to them: set them to None.",
        {FORGET: "pass\n"},
    ),
    Mistake(
        "base-step-does-nothing",
        "Optimizer",
        "the base class's step silently does nothing: raise NotImplementedError, so that a subclass without its own step is noticed.",
        {ABSTRACT: "return None"},
    ),
]

OPTIMIZER_STATE = [
    Mistake(
        "state-left-out",
        "Optimizer",
        'the "state" of your state_dict is empty: after a resume momentum and running means would start anew.',
        {STATE_OUT: "state = {}"},
    ),
    Mistake(
        "state-dict-returns-none",
        "Optimizer",
        "your state_dict returns None: is there a `return`?",
        {STATE_DICT: "return None"},
    ),
    Mistake(
        "state-dict-keeps-parameters",
        "Optimizer",
        "your state_dict holds the parameters themselves: store their numbers, since another process has other tensors.",
        {
            NUMBERED: "groups = [{**group} for group in self.param_groups]",
            STATE_OUT: "state = {p: dict(entry) for p, entry in self.state.items()}",
        },
    ),
    Mistake(
        "numbers-restart-in-each-group",
        "Optimizer",
        "your numbers start at 0 again in each group, so two parameters share a number: use one count for all groups.",
        {
            "number = {parameter: i for i, parameter in enumerate(self._parameters())}": "number = {parameter: i for group in self.param_groups for i, parameter in enumerate(group['params'])}"
        },
    ),
    Mistake(
        "numbers-only-what-has-state",
        "Optimizer",
        "you number the state's entries 0, 1, 2, ... by themselves: the key is the parameter's number among all parameters.",
        {STATE_OUT: "state = {i: dict(entry) for i, entry in enumerate(self.state.values())}"},
    ),
    Mistake(
        "state-dict-empties-the-live-groups",
        "Optimizer",
        "your state_dict writes the numbers into the live groups, which then lose their parameters: build new dicts.",
        {
            NUMBERED: "groups = self.param_groups\n        for group in groups:\n            group['params'] = [number[p] for p in group['params']]"
        },
    ),
    Mistake(
        "options-left-out",
        "Optimizer",
        'the groups of your state_dict hold "params" only: lr and the other options belong into a checkpoint too.',
        {NUMBERED: 'groups = [{"params": [number[p] for p in group["params"]]} for group in self.param_groups]'},
    ),
    Mistake(
        "load-shares-tensors",
        "Optimizer",
        "your load_state_dict takes the tensors without a copy, so the next step of one optimizer changes the other: copy them.",
        {COPIED: "saved = {**state_dict, 'state': {k: dict(v) for k, v in state_dict['state'].items()}}"},
    ),
    Mistake(
        "load-casts",
        "Optimizer",
        "your load_state_dict converts the state to the parameter's dtype: keep the saved dtype.",
        {
            STATE_IN: 'self.state = {\n            owner[i]: {k: v.to(owner[i].dtype) if isinstance(v, torch.Tensor) else v for k, v in entry.items()}\n            for i, entry in saved["state"].items()\n        }'
        },
    ),
    Mistake(
        "load-ignores-state",
        "Optimizer",
        "your load_state_dict takes only the options and not the state: load both.",
        {STATE_IN: "pass"},
    ),
    Mistake(
        "load-ignores-options",
        "Optimizer",
        "your load_state_dict takes only the state and not the groups' options (lr, ...): load both.",
        {OPTIONS_IN: "pass"},
    ),
    Mistake(
        "load-overwrites-parameters",
        "Optimizer",
        'your load_state_dict overwrites "params" by the saved numbers: the optimizer keeps its own parameters.',
        {OPTIONS_IN: "group.update(options)"},
    ),
    Mistake(
        "load-merges",
        "Optimizer",
        "your load_state_dict adds to the old state: replace it, since it belongs to another run.",
        {STATE_IN: 'self.state.update({owner[number]: entry for number, entry in saved["state"].items()})'},
    ),
    Mistake(
        "load-accepts-other-sizes",
        "Optimizer",
        "your load_state_dict accepts groups of different sizes than your optimizer has: raise ValueError.",
        {
            SIZES: "if False:",
            OWNERS: OWNERS.replace("True", "False"),
            'owner[number]: entry for number, entry in saved["state"].items()}': 'owner[number]: entry for number, entry in saved["state"].items() if number in owner}',
            'zip(self.param_groups, saved["param_groups"], strict=True)': 'zip(self.param_groups, saved["param_groups"], strict=False)',
        },
    ),
    Mistake(
        "load-compares-only-the-total",
        "Optimizer",
        "your load_state_dict compares only the total number of parameters: compare group by group, since 1 and 2 are not 2 and 1.",
        {SIZES: "if sum(own_sizes) != sum(saved_sizes) or len(own_sizes) != len(saved_sizes):"},
    ),
    Mistake(
        "load-changes-before-it-refuses",
        "Optimizer",
        "your load_state_dict changes options before it refuses a later group: check all sizes first.",
        {
            SIZES: 'for group, options in zip(self.param_groups, state_dict["param_groups"], strict=False):\n            group.update({**options, "params": group["params"]})\n        if own_sizes != saved_sizes:'
        },
    ),
    Mistake(
        "state-shared-between-optimizers",
        "Optimizer",
        "all your optimizers share one state dict (created in the class, or as a default argument): create it in __init__.",
        {
            "self.state: dict[Parameter, dict[str, Any]] = {}": "self.state = self._shared",
            STATE_IN: 'self.state.clear()\n        self.state.update({owner[number]: entry for number, entry in saved["state"].items()})',
            STATE_OUT: "state = {number.get(p, -1): dict(entry) for p, entry in self.state.items()}",
        },
        append="Optimizer._shared = {}\n",
        stateful=True,
    ),
]

SGD_MISTAKES = [
    Mistake(
        "sgd-ascends",
        "SGD",
        "you step along the gradient, uphill: subtract lr times the update.",
        {SGD_STEP: 'parameter.add_(gradient, alpha=group["lr"])'},
    ),
    Mistake(
        "sgd-momentum-ignored",
        "SGD",
        "your values are exactly those of plain gradient descent: use the momentum.",
        {SGD_BUFFER: 'state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)'},
    ),
    Mistake(
        "momentum-dampened",
        "SGD",
        "you add only (1 - momentum) times the gradient to the buffer: add the whole gradient.",
        {
            SGD_BUFFER: 'gradient = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient, alpha=1 - group["momentum"])'
        },
    ),
    Mistake(
        "first-gradient-twice",
        "SGD",
        "your buffer starts as the first gradient, and then you add that gradient again: start from zeros.",
        {'state["momentum_buffer"] = torch.zeros_like(parameter)': 'state["momentum_buffer"] = gradient.clone()'},
    ),
    Mistake(
        "first-gradient-lost",
        "SGD",
        "your first step creates a buffer of zeros and loses its gradient: after step 1 the buffer must be that gradient.",
        {SGD_ZEROS: 'state["momentum_buffer"] = torch.zeros_like(parameter)\n                return'},
    ),
    Mistake(
        "nesterov",
        "SGD",
        "your values are exactly those of Nesterov momentum: step along the buffer itself.",
        {
            SGD_BUFFER: 'gradient = gradient + group["momentum"] * state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)'
        },
    ),
    Mistake(
        "lr-inside-the-buffer",
        "SGD",
        "you put lr into the momentum buffer, so old gradients keep the old lr: multiply the buffer by lr in the update.",
        {
            SGD_BUFFER: 'gradient = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient, alpha=group["lr"])',
            SGD_STEP: 'parameter.add_(gradient, alpha=-group["lr"] if group["momentum"] == 0 else -1)',
        },
    ),
    Mistake(
        "sgd-no-decay",
        "SGD",
        "your values are exactly those without weight decay: apply it.",
        {SGD_DECAY: "pass"},
    ),
    Mistake(
        "sgd-decay-sign-flipped",
        "SGD",
        "your weight decay pushes the parameters away from 0: add weight_decay * parameter to the gradient.",
        {SGD_DECAY: 'gradient = gradient.sub(parameter, alpha=group["weight_decay"])'},
    ),
    Mistake(
        "sgd-decay-decoupled",
        "SGD",
        "your weight decay does not enter the momentum: add it to the gradient before you update the buffer.",
        {SGD_DECAY: 'parameter.mul_(1 - group["lr"] * group["weight_decay"])'},
    ),
    Mistake(
        "sgd-decay-changes-the-gradient",
        "SGD",
        "you add the decay to the caller's .grad in place: .grad must be the same after the step as before.",
        {SGD_DECAY: 'gradient.add_(parameter, alpha=group["weight_decay"])'},
    ),
    Mistake(
        "sgd-buffer-of-default-dtype",
        "SGD",
        "you create the buffer with torch.zeros(shape), which is float32: torch.zeros_like(p) takes the parameter's dtype and device.",
        {SGD_ZEROS: 'state["momentum_buffer"] = torch.zeros(parameter.shape)'},
    ),
    Mistake(
        "sgd-buffer-shared",
        "SGD",
        "your parameters of the same shape share one momentum buffer: keep one per parameter, in self.state[parameter].",
        {
            SGD_STATE: "state = self.state.setdefault(next((p for p in self.state if p.shape == parameter.shape), parameter), {})"
        },
    ),
    Mistake(
        "sgd-buffer-outside-the-state",
        "SGD",
        "you keep the momentum buffers outside self.state, so state_dict does not save them: keep them in self.state[parameter].",
        {SGD_STATE: 'state = self.__dict__.setdefault("_buffers", {}).setdefault(parameter, {})'},
    ),
    Mistake(
        "sgd-other-state-name",
        "SGD",
        'your buffer is not called "momentum_buffer" in the state, so state dicts cannot be exchanged with torch.',
        {
            SGD_BUFFER: 'gradient = state["velocity"].mul_(group["momentum"]).add_(gradient)',
            SGD_ZEROS: 'state["velocity"] = torch.zeros_like(parameter)',
            'if state.get("momentum_buffer") is None:': 'if "velocity" not in state:',
        },
    ),
    Mistake(
        "sgd-state-without-momentum",
        "SGD",
        "you keep a momentum buffer although momentum is 0: keep no state then, since it costs as much memory as the model.",
        {'if group["momentum"] != 0:\n            state =': "if True:\n            state ="},
    ),
    Mistake(
        "sgd-graph-recorded",
        "SGD",
        "your step updates a leaf while autograd records: run it under torch.no_grad().",
        {SGD_NO_GRAD: SGD_NO_GRAD.replace("no_grad", "enable_grad")},
    ),
    *_of_every_rule("SGD", '{"momentum_buffer": torch.zeros_like(parameter)}', ["lr", "momentum", "weight_decay"]),
]

ADAMW_CORRECTION = [
    Mistake(
        "no-bias-correction",
        "AdamW",
        "your values are exactly those without bias correction: divide m by 1 - beta1^t and v by 1 - beta2^t.",
        {ADAM_M_HAT: 'm_hat = state["exp_avg"]', ADAM_V_HAT: 'v_hat = state["exp_avg_sq"]'},
    ),
    Mistake(
        "only-first-moment-corrected",
        "AdamW",
        "you correct the bias of m but not of v: divide v by 1 - beta2^t.",
        {ADAM_V_HAT: 'v_hat = state["exp_avg_sq"]'},
    ),
    Mistake(
        "only-second-moment-corrected",
        "AdamW",
        "you correct the bias of v but not of m: divide m by 1 - beta1^t.",
        {ADAM_M_HAT: 'm_hat = state["exp_avg"]'},
    ),
    Mistake(
        "t-one-too-large",
        "AdamW",
        "your bias correction takes t + 1: use t, which is 1 in the first step.",
        {
            'm_hat = state["exp_avg"] / (1 - beta1**step)': 'm_hat = state["exp_avg"] / (1 - beta1 ** (step + 1))',
            'v_hat = state["exp_avg_sq"] / (1 - beta2**step)': 'v_hat = state["exp_avg_sq"] / (1 - beta2 ** (step + 1))',
        },
    ),
    Mistake(
        "t-starts-at-zero",
        "AdamW",
        "your t is 0 in the first update, so you divide by 1 - beta^0 = 0: count before you correct.",
        {
            ADAM_M_HAT: ADAM_M_HAT.replace("**step", "**(step - 1)"),
            ADAM_V_HAT: ADAM_V_HAT.replace("**step", "**(step - 1)"),
        },
    ),
    Mistake(
        "one-t-for-all",
        "AdamW",
        "you keep one t for all parameters: keep one per parameter, which is 1 at its first gradient.",
        {ADAM_COUNT: 'step = state["step"] = self._t'},
        append="""_step = AdamW.step


def _wrong(self):
    self._t = 1 + max((int(entry["step"]) for entry in self.state.values()), default=0)
    _step(self)


AdamW.step = _wrong
""",
    ),
    Mistake(
        "t-outside-the-state",
        "AdamW",
        "your t is not in the loaded state, so the bias correction starts at t = 1 again: keep t in self.state[parameter].",
        {
            ADAM_COUNT: 'counts = self.__dict__.setdefault("_counts", {})\n        step = state["step"] = counts[parameter] = counts.get(parameter, 0) + 1'
        },
    ),
    Mistake(
        "eps-inside-the-root",
        "AdamW",
        "your eps is inside the root: add it to sqrt(v_hat), after the root.",
        {ADAM_RATIO: 'return m_hat / (v_hat + group["eps"]).sqrt()'},
    ),
    Mistake(
        "no-eps",
        "AdamW",
        "your values are exactly those without eps: if all gradients are 0, that is 0/0.",
        {ADAM_RATIO: "return m_hat / v_hat.sqrt()"},
    ),
    Mistake(
        "eps-before-the-correction",
        "AdamW",
        "you add eps to sqrt(v), before the bias correction: add it to sqrt(v_hat).",
        {ADAM_RATIO: 'return m_hat / ((state["exp_avg_sq"].sqrt() + group["eps"]) / (1 - beta2**step) ** 0.5)'},
    ),
    Mistake(
        "no-root",
        "AdamW",
        "you divide by v_hat itself: divide by its square root.",
        {ADAM_RATIO: 'return m_hat / (v_hat + group["eps"])'},
    ),
]

ADAMW_MEANS = [
    Mistake(
        "betas-swapped",
        "AdamW",
        "you use beta1 for the squares and beta2 for the gradients: swap them.",
        {ADAM_UNPACK: ADAM_UNPACK.replace("(beta1, beta2)", "(beta2, beta1)")},
    ),
    Mistake(
        "beta-and-rest-swapped",
        "AdamW",
        "your means take 1 - beta of the old value and beta of the new one: swap the two factors.",
        {
            ADAM_FIRST: 'state["exp_avg"].mul_(1 - beta1).add_(gradient, alpha=beta1)',
            ADAM_SECOND: 'state["exp_avg_sq"].mul_(1 - beta2).addcmul_(gradient, gradient, value=beta2)',
        },
    ),
    Mistake(
        "both-means-one-tensor",
        "AdamW",
        "exp_avg and exp_avg_sq are one and the same tensor (`m = v = zeros_like(p)`): make two.",
        {ADAM_ZEROS: "first = second = torch.zeros_like(parameter)"},
    ),
    Mistake(
        "correction-stored",
        "AdamW",
        "you write m_hat and v_hat into the state, so the next step corrects them again: keep m and v there.",
        {
            ADAM_M_HAT: f'{ADAM_M_HAT}\n        state["exp_avg"] = m_hat',
            ADAM_V_HAT: f'{ADAM_V_HAT}\n        state["exp_avg_sq"] = v_hat',
        },
    ),
]

ADAMW_DECAY = [
    Mistake(
        "decay-coupled",
        "AdamW",
        "you add the decay to the gradient, so it enters the running means, as in Adam with L2: shrink the parameter itself.",
        {
            ADAM_DECAY: "pass",
            ADAM_UNPACK: f'{ADAM_UNPACK}\n        gradient = gradient + group["weight_decay"] * parameter',
        },
    ),
    Mistake(
        "adamw-no-decay",
        "AdamW",
        "your values are exactly those without weight decay: apply it.",
        {ADAM_DECAY: "pass"},
    ),
    Mistake(
        "decay-not-scaled-by-lr",
        "AdamW",
        "you shrink the parameter by weight_decay: shrink it by lr * weight_decay.",
        {ADAM_DECAY: 'parameter.mul_(1 - group["weight_decay"])'},
    ),
    Mistake(
        "decay-sign-flipped",
        "AdamW",
        "your weight decay makes the parameters grow: multiply them by 1 - lr * weight_decay.",
        {ADAM_DECAY: 'parameter.mul_(1 + group["lr"] * group["weight_decay"])'},
    ),
    Mistake(
        "decay-after-the-update",
        "AdamW",
        "you decay after the update, so you shrink the update too: decay before the update.",
        {ADAM_DECAY: "pass", ADAM_UPDATE: f"{ADAM_UPDATE}\n                {ADAM_DECAY}"},
    ),
    Mistake(
        "decay-without-gradient",
        "AdamW",
        "you decay parameters that have no gradient: skip them.",
        append=(
            "class AdamW(AdamW):\n"
            "    def step(self):\n"
            "        with torch.no_grad():\n"
            "            for group in self.param_groups:\n"
            "                for parameter in group['params']:\n"
            "                    if parameter.grad is None:\n"
            "                        parameter.mul_(1 - group['lr'] * group['weight_decay'])\n"
            "        super().step()\n"
        ),
    ),
    Mistake(
        "decay-from-the-constructors-lr",
        "AdamW",
        'your decay uses the lr of the constructor, your update that of the group: both use group["lr"] as it is now.',
        {ADAM_DECAY: 'parameter.mul_(1 - self.defaults["lr"] * group["weight_decay"])'},
    ),
    Mistake(
        "adamw-ascends",
        "AdamW",
        "you step along the gradient, uphill: subtract the update.",
        {ADAM_UPDATE: 'parameter.add_(group["lr"] * update)'},
    ),
    Mistake(
        "adamw-state-of-default-dtype",
        "AdamW",
        "you create the means with torch.zeros(shape), which is float32: torch.zeros_like(p) takes the parameter's dtype and device.",
        {ADAM_ZEROS: "first, second = torch.zeros(parameter.shape), torch.zeros(parameter.shape)"},
    ),
    Mistake(
        "adamw-state-shared",
        "AdamW",
        "parameters of one shape share one state: keep one for each parameter, in self.state[parameter].",
        {
            ADAM_STATE: "key = next((p for p in self.state if p.shape == parameter.shape), parameter)\n        state = self.state.setdefault(key, self._new_state(parameter))"
        },
    ),
    Mistake(
        "adamw-state-outside",
        "AdamW",
        "you keep the running means outside self.state, so state_dict does not save them: keep them in self.state[parameter].",
        {
            ADAM_STATE: 'memory = self.__dict__.setdefault("_memory", {})\n        state = memory.setdefault(parameter, self._new_state(parameter))'
        },
    ),
    Mistake(
        "adamw-state-forgotten",
        "AdamW",
        "your running means start again in every step: keep them in self.state[parameter].",
        {ADAM_STATE: "state = self.state[parameter] = self._new_state(parameter)"},
    ),
    Mistake(
        "adamw-other-state-names",
        "AdamW",
        'your state has other names than "step", "exp_avg" and "exp_avg_sq", so state dicts cannot be exchanged with torch.',
        {
            ADAM_COUNT: 'step = state["t"] = int(state["t"]) + 1',
            ADAM_FIRST: ADAM_FIRST.replace("exp_avg", "m"),
            ADAM_SECOND: ADAM_SECOND.replace("exp_avg_sq", "v"),
            ADAM_M_HAT: ADAM_M_HAT.replace("exp_avg", "m"),
            ADAM_V_HAT: ADAM_V_HAT.replace("exp_avg_sq", "v"),
            '{"step": 0, "exp_avg": first, "exp_avg_sq": second}': '{"t": 0, "m": first, "v": second}',
        },
    ),
    Mistake(
        "adamw-refuses-a-tensor-step",
        "AdamW",
        "your step() expects t to be an int, but in torch's state dicts it is a tensor with one number: accept both.",
        {
            ADAM_COUNT: f'if not isinstance(state["step"], int):\n            raise TypeError("step must be an int")\n        {ADAM_COUNT}'
        },
    ),
    Mistake(
        "adamw-graph-recorded",
        "AdamW",
        "your step updates a leaf while autograd records: run it under torch.no_grad().",
        {ADAM_NO_GRAD: ADAM_NO_GRAD.replace("no_grad", "enable_grad")},
    ),
    *_of_every_rule("AdamW", "self._new_state(parameter)", ["lr", "betas", "eps", "weight_decay"]),
]

PARAMETER_GROUPS = [
    Mistake(
        "groups-returns-none",
        "parameter_groups",
        "your parameter_groups returns None: is there a `return`?",
        {TWO_GROUPS: "return None"},
    ),
    Mistake(
        "everything-decayed",
        "parameter_groups",
        "you decay norm gains and biases: put vectors into the second group.",
        {SORTED: "decayed.append(parameter)"},
    ),
    Mistake(
        "sorted-the-wrong-way",
        "parameter_groups",
        "you decay the vectors but not the matrices: swap them.",
        {SORTED: "(kept if parameter.ndim >= 2 else decayed).append(parameter)"},
    ),
    Mistake(
        "groups-swapped",
        "parameter_groups",
        "your group without decay comes first: put the decayed group first.",
        {
            TWO_GROUPS: 'return [{"params": kept, "weight_decay": 0.0}, {"params": decayed, "weight_decay": weight_decay}]'
        },
    ),
    Mistake(
        "sorted-by-name",
        "parameter_groups",
        'you sort by name ("bias", "norm"): a gain may be called anything; count the dimensions.',
        {
            "for _, parameter in named_parameters:": "for name, parameter in named_parameters:",
            SORTED: '(kept if "bias" in name or "norm" in name else decayed).append(parameter)',
        },
    ),
    Mistake(
        "only-biases-spared",
        "parameter_groups",
        "you exempt parameters named bias but decay norm gains: exempt every vector, whatever its name.",
        {
            "for _, parameter in named_parameters:": "for name, parameter in named_parameters:",
            SORTED: '(kept if name.endswith("bias") else decayed).append(parameter)',
        },
    ),
    Mistake(
        "only-matrices-decayed",
        "parameter_groups",
        "you decay only parameters with exactly 2 dimensions: decay those with more, too.",
        {SORTED: "(decayed if parameter.ndim == 2 else kept).append(parameter)"},
    ),
    Mistake(
        "frozen-included",
        "parameter_groups",
        "you include frozen parameters: leave out those with requires_grad=False.",
        {SKIPPED: "if parameter in seen:"},
    ),
    Mistake(
        "tied-twice",
        "parameter_groups",
        "you list a tied parameter twice, since it comes under two names: list it once.",
        {SEEN: "pass\n"},
    ),
    Mistake(
        "tied-by-value",
        "parameter_groups",
        "you take two parameters with equal values for one tied parameter: compare objects (`is`), not values.",
        {SKIPPED: "if not parameter.requires_grad or any(torch.equal(parameter, other) for other in seen):"},
    ),
    Mistake(
        "empty-group-dropped",
        "parameter_groups",
        "you leave out a group without parameters: always return two groups.",
        {
            TWO_GROUPS: TWO_GROUPS.replace("return [", "both = [")
            + '\n    return [group for group in both if group["params"]]'
        },
    ),
    Mistake(
        "spared-group-without-its-zero",
        "parameter_groups",
        'your second group lacks "weight_decay": 0.0, so it gets the optimizer\'s default and is decayed after all.',
        {TWO_GROUPS: 'return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept}]'},
    ),
    Mistake(
        "decay-hard-coded",
        "parameter_groups",
        "your first group always has weight decay 0.1: use the given weight_decay.",
        {TWO_GROUPS: TWO_GROUPS.replace('"weight_decay": weight_decay', '"weight_decay": 0.1')},
    ),
    Mistake(
        "names-in-the-groups",
        "parameter_groups",
        "your groups hold names, or pairs with names: store only the parameters.",
        {
            "for _, parameter in named_parameters:": "for name, parameter in named_parameters:",
            SORTED: "(decayed if parameter.ndim >= 2 else kept).append((name, parameter))",
        },
    ),
    Mistake(
        "copies-in-the-groups",
        "parameter_groups",
        "your groups hold copies of the parameters, so the optimizer would train the copies and not the model: store the parameters themselves.",
        {SORTED: "(decayed if parameter.ndim >= 2 else kept).append(Parameter(parameter.detach().clone()))"},
    ),
    Mistake(
        "pairs-walked-twice",
        "parameter_groups",
        "given a generator, your second group is empty, because the first loop used it up: loop once, or make it a list.",
        {TWO_GROUPS: 'kept = kept if hasattr(named_parameters, "__len__") else []\n    ' + TWO_GROUPS},
    ),
]

CLIP_GRAD_NORM = [
    Mistake(
        "clip-per-tensor",
        "clip_grad_norm",
        "you clip each gradient by its own norm: use one norm over all of them, and one factor.",
        {SCALE: "gradient.mul_((max_norm / gradient.norm()).clamp(max=1.0))", LONGER: "if True:"},
    ),
    Mistake(
        "clip-lengthens",
        "clip_grad_norm",
        "you rescale every time: leave a gradient shorter than max_norm as it is.",
        {LONGER: "if norm > 0:"},
    ),
    Mistake(
        "clip-leaves-gradients",
        "clip_grad_norm",
        "you compute the norm but leave the gradients as they are: scale them in place, since `g = g * factor` makes a new tensor.",
        {SCALE: "gradient = gradient * (max_norm / norm)"},
    ),
    Mistake(
        "returns-the-clipped-norm",
        "clip_grad_norm",
        "you return the norm after clipping: return the norm before clipping.",
        {RETURN_NORM: "    return norm.clamp(max=max_norm)\n"},
    ),
    Mistake(
        "returns-a-float",
        "clip_grad_norm",
        "you return a Python number: return the norm as a 0-d tensor (no .item(), which makes a GPU wait).",
        {RETURN_NORM: "    return norm.item()\n", NO_GRADIENTS: "return 0.0"},
    ),
    Mistake(
        "norm-squared",
        "clip_grad_norm",
        "your norm lacks the square root: it is the root of the sum of squares.",
        {NORM: f"{NORM}.square()"},
    ),
    Mistake(
        "sum-of-norms",
        "clip_grad_norm",
        "you add up the norms of the tensors: add up their squares and take the root.",
        {NORM: "norm = torch.stack(norms).sum()"},
    ),
    Mistake(
        "clip-by-value",
        "clip_grad_norm",
        "you clip each element at max_norm, which changes the gradient's direction: scale all elements by one factor.",
        {SCALE: "gradient.clamp_(-max_norm, max_norm)"},
    ),
    Mistake(
        "clip-to-length-one",
        "clip_grad_norm",
        "your clipped gradients have length 1: multiply by max_norm as well.",
        {SCALE: "gradient.div_(norm)"},
    ),
    Mistake(
        "norm-of-the-parameters",
        "clip_grad_norm",
        "you compute the norm of the parameters: compute that of their gradients.",
        {
            GRADIENTS: f"parameters = list(parameters)\n    {GRADIENTS}",
            NORM: "norm = torch.linalg.vector_norm(torch.stack([p.detach().norm() for p in parameters if p.grad is not None]))",
        },
    ),
    Mistake(
        "clip-none-crashes",
        "clip_grad_norm",
        "you do not expect that a gradient is None: skip parameters without a gradient.",
        {GRADIENTS: "gradients = [parameter.grad for parameter in parameters]"},
    ),
    Mistake(
        "clip-no-gradients-crashes",
        "clip_grad_norm",
        "without any gradient your clip_grad_norm fails: the norm of nothing is 0.",
        {"    if not gradients:\n        return torch.tensor(0.0)\n": ""},
    ),
    Mistake(
        "clip-generator-walked-twice",
        "clip_grad_norm",
        "given a generator, you scale nothing, because the norm has used it up: make it a list first.",
        {SCALE: 'gradient.mul_(max_norm / norm if hasattr(parameters, "__len__") else 1.0)'},
    ),
    Mistake(
        "clip-norm-of-default-dtype",
        "clip_grad_norm",
        "your norm is float32 although the gradients are float64: compute it in float64.",
        {NORM: f"{NORM}.float()"},
    ),
    Mistake(
        "clip-half-overflows",
        "clip_grad_norm",
        "you square half-precision gradients in their own dtype, where 300^2 is inf: convert to float32 first.",
        {NORMS: "norms = [g.square().sum().sqrt() for g in gradients]"},
    ),
    Mistake(
        "clip-half-rounded",
        "clip_grad_norm",
        "your norm is in half precision, like the gradients: add up and return it in float32.",
        {NORM: f"{NORM}.to(gradients[0].dtype)"},
    ),
    *always("clip_grad_norm", without=("returns-its-input", "mutates-its-input", "detached")),
]


def _torchs_own(name: str) -> Mistake:
    # It is refused before it runs; if a diagnosis ran it, making torch's own would cost a second and a half.
    refuses = f"class {name}(torch.optim.{name}):\n    def __init__(self, *args, **kwargs):\n        raise TypeError\n"
    says = f"your {name} is torch.optim.{name}, the very thing that you are to write."
    return Mistake(f"{name.lower()}-is-torchs", name, says, append=refuses)


SHORTCUTS = [
    _torchs_own("Optimizer"),
    _torchs_own("SGD"),
    _torchs_own("AdamW"),
    Mistake(
        "clip-is-torchs",
        "clip_grad_norm",
        "your clip_grad_norm calls torch's own: write it yourself.",
        append="def clip_grad_norm(parameters, max_norm):\n    return torch.nn.utils.clip_grad_norm_(parameters, max_norm)\n",
    ),
]

BESIDES = [
    Mistake(
        "writes-into-the-callers-group",
        "Optimizer",
        "you add the defaults to the caller's own dict: copy it first, since another optimizer may get it too.",
        {
            FILLED: "filled = group\n        for name, value in self.defaults.items():\n"
            '            filled.setdefault(name, value)\n        filled["params"] = list(group["params"])'
        },
    ),
    Mistake(
        "add-writes-into-the-callers-group",
        "Optimizer",
        "your add_param_group adds the defaults to the caller's own dict: copy it first.",
        {
            "self.add_param_group(group)": "self.add_param_group(dict(group))",
            FILLED: "filled = group\n        for name, value in self.defaults.items():\n"
            '            filled.setdefault(name, value)\n        filled["params"] = list(group["params"])',
        },
    ),
    Mistake(
        "tuple-kept",
        "Optimizer",
        'a group whose "params" is a tuple keeps the tuple: make it a list.',
        {
            FILLED: FILLED.replace('list(group["params"])', 'group["params"]')
            + '\n        if not isinstance(filled["params"], tuple):\n            filled["params"] = list(filled["params"])'
        },
    ),
    Mistake(
        "zero-grad-of-the-first-group",
        "Optimizer",
        "your zero_grad clears the first group only: clear every group.",
        {
            "for parameter in self._parameters():\n            # None frees": 'for parameter in self.param_groups[0]["params"]:\n            # None frees'
        },
    ),
    Mistake(
        "load-changes-the-state-dict",
        "Optimizer",
        'your load_state_dict takes "params" out of the groups that it was given: copy them first.',
        {
            COPIED: 'saved = {"state": copy.deepcopy(state_dict["state"]), "param_groups": state_dict["param_groups"]}',
            OPTIONS_IN: 'options.pop("params")\n            group.update(options)',
        },
    ),
    Mistake(
        "load-wipes-before-it-refuses",
        "Optimizer",
        "your load_state_dict clears the old state before it refuses the new one: check all sizes first.",
        {SIZES: f"self.state = {{}}\n        {SIZES}"},
    ),
    Mistake(
        "load-by-position-in-the-state",
        "Optimizer",
        "your load_state_dict gives the first state entry to the first parameter: an entry's key is the number of its parameter.",
        {STATE_IN: 'self.state = dict(zip(self._parameters(), saved["state"].values(), strict=False))'},
    ),
    Mistake(
        "sgd-first-buffer-is-the-gradient",
        "SGD",
        "your first momentum buffer is the tensor in .grad itself, so changing one changes the other: clone it.",
        {
            SGD_ZEROS: 'state["momentum_buffer"] = gradient\n            else:\n'
            '                state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)',
            SGD_BUFFER: 'gradient = state["momentum_buffer"]',
        },
    ),
    Mistake(
        "t-as-float32",
        "AdamW",
        "you compute 1 - beta**t in float32, which leaves few correct digits if beta is close to 1: make t a Python number first.",
        {ADAM_COUNT: 'step = state["step"] = torch.as_tensor(state["step"], dtype=torch.float32) + 1'},
    ),
    Mistake(
        "amsgrad",
        "AdamW",
        "you divide by the largest v so far, as AMSGrad does: divide by the current one.",
        {
            ADAM_V_HAT: 'best = self.__dict__.setdefault("_best", {})\n'
            '        best[parameter] = torch.maximum(best.get(parameter, state["exp_avg_sq"]), state["exp_avg_sq"])\n'
            "        v_hat = best[parameter] / (1 - beta2**step)"
        },
    ),
    Mistake(
        "decays-matrices-only",
        "AdamW",
        "your step decays only parameters with two or more axes: the group's weight_decay decides, not the shape.",
        {ADAM_DECAY: f"if parameter.ndim >= 2:\n                    {ADAM_DECAY}"},
    ),
    Mistake(
        "adamw-squares-the-gradient-in-place",
        "AdamW",
        "you square .grad in place: .grad must be the same after the step as before.",
        {ADAM_SECOND: 'state["exp_avg_sq"].mul_(beta2).add_(gradient.square_(), alpha=1 - beta2)'},
    ),
    _skip(
        "adamw-zero-gradient-skipped",
        "AdamW",
        "you skip parameters whose gradient is 0: skip only None, since 0 still decays and counts as a step.",
        "if parameter.grad is not None and parameter.grad.any(): yield parameter, group",
    ),
    Mistake(
        "dict-of-names",
        "parameter_groups",
        "you put the pairs into a dict, which drops a parameter if its name comes again: names must have no effect.",
        {"for _, parameter in named_parameters:": "for parameter in dict(named_parameters).values():"},
    ),
    Mistake(
        "tuples-in-the-groups",
        "parameter_groups",
        'the "params" of your groups are tuples: lists were asked for.',
        {
            TWO_GROUPS: TWO_GROUPS.replace('"params": decayed', '"params": tuple(decayed)').replace(
                '"params": kept', '"params": tuple(kept)'
            )
        },
    ),
    Mistake(
        "tied-by-memory",
        "parameter_groups",
        "you compare data_ptr(), which is equal for empty parameters and for shared memory: compare the objects.",
        {
            SKIPPED: "if not parameter.requires_grad or parameter.data_ptr() in seen:",
            SEEN: "seen.add(parameter.data_ptr())\n",
        },
    ),
    Mistake(
        "no-decay-taken-for-default",
        "parameter_groups",
        "you take weight_decay=0.0 for a missing value (`weight_decay or ...`): 0.0 is a value like any other.",
        {TWO_GROUPS: TWO_GROUPS.replace('"weight_decay": weight_decay', '"weight_decay": weight_decay or 0.1')},
    ),
    Mistake(
        "clip-replaces-gradients",
        "clip_grad_norm",
        "you put a new tensor into .grad: scale the existing one in place, since other code may hold it.",
        {
            GRADIENTS: f"parameters = list(parameters)\n    {GRADIENTS}",
            SCALE: "pass",
            RETURN_NORM: "    for parameter in parameters:\n        if parameter.grad is not None and norm > max_norm:\n"
            "            parameter.grad = parameter.grad * (max_norm / norm)\n    return norm\n",
        },
    ),
    Mistake(
        "clip-dtype-of-the-first",
        "clip_grad_norm",
        "your norm has the dtype of the first gradient: it must be float64 if any gradient is.",
        {NORM: f"{NORM}.to(norms[0].dtype)"},
    ),
    Mistake(
        "clip-norm-with-an-axis",
        "clip_grad_norm",
        "your norm is not a 0-d tensor: return one, without any axis.",
        {RETURN_NORM: "    return norm.reshape(1)\n"},
    ),
    Mistake(
        "largest-norm",
        "clip_grad_norm",
        "you take the largest norm of any tensor: add up the squares of all the norms and take the root.",
        {NORM: "norm = torch.stack(norms).max()"},
    ),
]

MISTAKES = [
    *OPTIMIZER_GROUPS,
    *OPTIMIZER_STATE,
    *SGD_MISTAKES,
    *ADAMW_CORRECTION,
    *ADAMW_MEANS,
    *ADAMW_DECAY,
    *PARAMETER_GROUPS,
    *CLIP_GRAD_NORM,
    *SHORTCUTS,
    *BESIDES,
]
