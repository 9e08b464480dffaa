"""Known mistakes in `feedforward`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# Lines of the solution that the mistakes replace; each occurs there once.
RELU = "return torch.where(x > 0, x, 0.0)"
ERF = "bend = torch.erf(wide / math.sqrt(2))"
TANH = "bend = torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide.pow(3)))"
IF_EXACT = 'if approximate == "none":\n'
IF_TANH = 'elif approximate == "tanh":\n'
GELU_CHECK = 'if not x.is_floating_point():\n        raise ValueError(f"gelu'
GELU = "return (wide * (1 + bend) / 2).to(x.dtype)"
SILU = "return (wide * torch.sigmoid(wide)).to(x.dtype)"
P_CHECK = "if not 0 <= p < 1:"
MODE = "if not self.training or self.p == 0:"
SAME = f"{MODE}\n            return x\n"
DRAWS = "draws = torch.rand(x.shape, generator=self.generator, device=x.device)"
KEPT = "kept = draws >= self.p"
DROP = "return torch.where(kept, x / (1 - self.p), 0.0)"
HIDDEN = "hidden = self.up_proj(x)"
BENT = "bent = _activation(self.activation)(hidden)"
LEFT = "left = self.dropout(bent)"
DOWN = "return self.down_proj(left)"
MAKES_UP = "self.up_proj = Linear(d_model, d_hidden, bias=bias, generator=generator)"
MAKES_DOWN = "self.down_proj = Linear(d_hidden, d_model, bias=bias, generator=generator)"
MAKES_DROPOUT = "self.dropout = Dropout(dropout)"
FIRST_STEP = "_activation(activation)  # an unknown name"
GATE = "gate = silu(self.gate_proj(x))"
UP = "up = self.up_proj(x)"
PRODUCT = "return self.down_proj(gate * up)"
MAKES_GATE = "self.gate_proj = Linear(d_model, d_hidden, bias=False, generator=generator)"
MAKES_PLAIN_UP = "self.up_proj = Linear(d_model, d_hidden, bias=False, generator=generator)"
MAKES_PLAIN_DOWN = "self.down_proj = Linear(d_hidden, d_model, bias=False, generator=generator)"


def _relu(id: str, says: str, new: str) -> Mistake:
    return Mistake(f"relu-{id}", "relu", says, {RELU: new})


def _gelu(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(f"gelu-{id}", "gelu", says, edits)


def _silu(id: str, says: str, new: str) -> Mistake:
    return Mistake(f"silu-{id}", "silu", says, {SILU: new})


def _dropout(id: str, says: str, edits: dict[str, str], stateful: bool = False) -> Mistake:
    return Mistake(f"dropout-{id}", "Dropout", says, edits, stateful=stateful)


def _feed(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(f"feed-{id}", "FeedForward", says, edits)


def _swiglu(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(f"swiglu-{id}", "SwiGLU", says, edits)


def _initial(id: str, says: str, before: str = "pass", after: str = "pass") -> list[Mistake]:
    """What goes wrong with the initial weights of either layer."""
    return [
        Mistake(
            f"{prefix}-{id}",
            exercise,
            says.format(exercise),
            append=f"""
_right_init = {exercise}.__init__


def _init(self, *args, generator=None, **options):
    {before}
    _right_init(self, *args, generator=generator, **options)
    {after}


{exercise}.__init__ = _init
""",
        )
        for prefix, exercise in (("feed", "FeedForward"), ("swiglu", "SwiGLU"))
    ]


RELUS = [
    _relu(
        "leaky",
        "your relu keeps a fraction of negative numbers: set them to exactly 0.",
        "return torch.where(x > 0, x, 0.01 * x)",
    ),
    _relu(
        "in-place", "your relu writes into x, which belongs to the caller: make a new tensor.", "return x.clamp_(min=0)"
    ),
    _relu(
        "zeros-on-the-cpu",
        "your zeros are on the CPU: x may be on another device, and mixing devices gives a RuntimeError.",
        "return torch.maximum(x, torch.zeros(x.shape, dtype=x.dtype))",
    ),
    _relu(
        "through-float32",
        "your relu takes float64 through float32: the numbers that it keeps lose half of their digits.",
        "return torch.where(x > 0, x.float(), 0.0).to(x.dtype)",
    ),
    _relu("of-the-size", "your relu gives |x|: negative numbers become 0.", "return x.abs()"),
    _relu(
        "not-cast-back",
        "your zeros are float32 and promote half precision: the result must have the dtype of x.",
        "return torch.where(x > 0, x, torch.zeros(x.shape, device=x.device))",
    ),
    _relu(
        "half-sum",
        "your (x + |x|) / 2 overflows in float16: the sum is twice as large as the result.",
        "return (x + x.abs()) / 2",
    ),
    _relu("uses-torch", "your relu calls torch.relu: write it yourself.", "return torch.relu(x)"),
]

GELUS = [
    _gelu(
        "always-tanh",
        "you use the tanh formula although the exact one was requested, which uses erf.",
        {ERF: TANH.replace("bend =", "bend = 0 +")},
    ),
    _gelu(
        "always-exact",
        "you use the exact formula although the tanh formula was requested.",
        {TANH: ERF.replace("bend =", "bend = 0 +")},
    ),
    _gelu(
        "by-sigmoid",
        "you compute x * sigmoid(1.702 x), a rougher approximation: the exact formula uses erf.",
        {ERF: "bend = 2 * torch.sigmoid(1.702 * wide) - 1"},
    ),
    _gelu(
        "no-root-of-two",
        "you take erf(x): the normal distribution needs erf(x / sqrt(2)).",
        {ERF: "bend = torch.erf(wide)"},
    ),
    _gelu(
        "not-halved",
        "your result is twice as large as it should be: (1 + ...) goes from 0 to 2, a probability from 0 to 1.",
        {GELU: "return (wide * (1 + bend)).to(x.dtype)"},
    ),
    _gelu(
        "root-of-two-over-pi",
        "you take sqrt(2) / pi: take the root of the whole quotient, sqrt(2 / pi).",
        {TANH: TANH.replace("math.sqrt(2 / math.pi)", "math.sqrt(2) / math.pi")},
    ),
    _gelu(
        "unknown-accepted",
        "an unknown `approximate` passes as the tanh formula: raise a ValueError that gives the value.",
        {IF_TANH: "elif True:\n"},
    ),
    _gelu(
        "no-upcast",
        "your gelu computes in half precision, where 1 + erf(...) loses its digits: widen to float32 first.",
        {IF_EXACT: f"wide = x\n    {IF_EXACT}"},
    ),
    _gelu(
        "float64-through-float32",
        "your gelu always computes in float32: float64 loses half of its digits. Widen only half precision.",
        {IF_EXACT: f"wide = x.float()\n    {IF_EXACT}"},
    ),
    _gelu(
        "integers-take-the-tanh",
        "your gelu refuses integers only for the exact formula: refuse them with a ValueError for both formulas.",
        {GELU_CHECK: GELU_CHECK.replace(":\n", ' and approximate == "none":\n')},
    ),
    _gelu(
        "square-for-cube",
        "your tanh formula has x^2 instead of x^3.",
        {TANH: TANH.replace("pow(3)", "pow(2)")},
    ),
    _gelu(
        "root-on-the-cpu",
        "your factors are tensors on the CPU: x may be on another device, and mixing devices gives a RuntimeError.",
        {GELU: "return (wide * (1 + bend) / torch.full(x.shape, 2.0, dtype=wide.dtype)).to(x.dtype)"},
    ),
    _gelu(
        "uses-torch",
        "your gelu calls torch.nn.functional.gelu: write it yourself.",
        {GELU: "return torch.nn.functional.gelu(x, approximate=approximate)"},
    ),
]

SILUS = [
    _silu(
        "exp-ratio",
        "your exp(x) / (1 + exp(x)) is inf / inf for large x.",
        "return (wide * torch.exp(wide) / (1 + torch.exp(wide))).to(x.dtype)",
    ),
    _silu(
        "gradient-overflows",
        "your exp(-x) is inf for very negative x: your values are still right, but your gradient is not (inf * 0).",
        "return (wide / (1 + torch.exp(-wide))).to(x.dtype)",
    ),
    _silu(
        "where-overflows",
        "your torch.where chooses the safe value, but the other branch is inf and makes the gradient NaN.",
        "return (wide * torch.where(wide < 0, torch.exp(wide) / (1 + torch.exp(wide)), 1 / (1 + torch.exp(-wide)))).to(x.dtype)",
    ),
    _silu(
        "no-upcast",
        "your silu computes in half precision, which rounds twice: widen to float32 first.",
        "return x * torch.sigmoid(x)",
    ),
    _silu(
        "not-cast-back",
        "you widen half precision to float32 and never cast back: the result must have the dtype of x.",
        "return wide * torch.sigmoid(wide)",
    ),
    _silu(
        "float64-through-float32",
        "your silu always computes in float32: float64 loses half of its digits. Widen only half precision.",
        "return (x.float() * torch.sigmoid(x.float())).to(x.dtype)",
    ),
    _silu(
        "swish-of-gelu",
        "your silu is x * sigmoid(1.702 x), which approximates gelu: silu takes the sigmoid of x itself.",
        "return (wide * torch.sigmoid(1.702 * wide)).to(x.dtype)",
    ),
    _silu(
        "plain-sigmoid",
        "your silu is the sigmoid alone: multiply it by x.",
        "return torch.sigmoid(wide).to(x.dtype)",
    ),
    _silu(
        "uses-torch",
        "your silu calls torch.nn.functional.silu: write it yourself.",
        "return torch.nn.functional.silu(x)",
    ),
]

DROPOUTS = [
    _dropout(
        "exact-count",
        "your Dropout drops the same number of elements in every call: draw each element independently.",
        {
            KEPT: "order = draws.flatten().argsort().argsort().reshape(x.shape)\n        kept = order >= round(self.p * draws.numel())"
        },
    ),
    _dropout(
        "not-scaled",
        "your Dropout does not divide the kept elements by 1 - p.",
        {DROP: "return torch.where(kept, x, 0.0)"},
    ),
    _dropout(
        "scaled-in-evaluation",
        "you multiply by 1 - p in evaluation: divide by 1 - p in training instead, and change nothing in evaluation.",
        {f"{SAME}": f"{MODE}\n            return x * (1 - self.p)\n", DROP: "return torch.where(kept, x, 0.0)"},
    ),
    _dropout(
        "keeps-that-many",
        "you keep an element with probability p: that is the probability of dropping it.",
        {KEPT: "kept = draws < self.p"},
    ),
    _dropout(
        "in-evaluation", "your Dropout drops in evaluation mode too: test self.training.", {MODE: "if self.p == 0:"}
    ),
    _dropout("never", "your Dropout drops nothing in training.", {MODE: "if True:"}),
    _dropout(
        "of-whole-vectors",
        "your Dropout drops whole vectors: draw every element independently.",
        {
            DRAWS: DRAWS.replace("x.shape", "(*x.shape[:-1], 1)"),
            DROP: "return torch.where(kept, x / (1 - self.p), 0.0).reshape(x.shape)",
        },
    ),
    _dropout(
        "shared-by-the-batch",
        "your Dropout drops the same elements in every sequence of the batch: draw every element independently of the others.",
        {DRAWS: DRAWS.replace("x.shape", "x.shape[1:]")},
    ),
    _dropout(
        "same-in-every-call",
        "your Dropout keeps the draws of the first call: draw again in every call.",
        {
            DRAWS: f"{DRAWS}\n        draws = self.__dict__.setdefault('_first', draws) if draws.numel() else draws\n        draws = draws if draws.shape == self.__dict__.get('_first', draws).shape else draws"
        },
    ),
    _dropout(
        "generator-ignored",
        "your Dropout draws from torch's global generator although a generator was given.",
        {DRAWS: DRAWS.replace("self.generator", "None")},
    ),
    _dropout(
        "generator-or",
        "if no generator is given, your Dropout makes its own: None means torch's global generator, which a checkpoint saves.",
        {"self.generator = generator\n": "self.generator = generator or torch.Generator().manual_seed(0)\n"},
    ),
    _dropout(
        "draws-in-evaluation",
        "your Dropout draws in evaluation mode too: an evaluation in between would change what training drops.",
        {f"        {SAME}": "", KEPT: f"{KEPT}\n        if not self.training or self.p == 0:\n            return x"},
    ),
    _dropout(
        "numpy",
        "your Dropout draws with numpy: if no generator is given, draw from torch's global one.",
        {
            DRAWS: "import numpy\n        if self.generator is None and not x.is_meta:\n"
            "            draws = torch.from_numpy(numpy.random.random_sample(tuple(x.shape)))\n        else:\n            "
            + DRAWS
        },
    ),
    _dropout(
        "mask-on-the-cpu",
        "your mask is on the CPU: x may be on another device, and mixing devices gives a RuntimeError.",
        {DRAWS: DRAWS.replace(", device=x.device", "")},
    ),
    _dropout(
        "flat-view",
        "your x.view(-1) raises a RuntimeError for a transposed x: use reshape, or draw in the shape of x.",
        {KEPT: "x.view(-1)\n        " + KEPT},
    ),
    _dropout(
        "scaled-by-the-share-that-stayed",
        "you divide by the fraction that was kept by chance: divide by the probability of being kept, 1 - p.",
        {DROP: "return torch.where(kept, x / kept.double().mean().clamp(min=1e-3).to(x.dtype), 0.0)"},
    ),
    _dropout(
        "p-of-1",
        "your Dropout takes p = 1, for which 1 / (1 - p) does not exist: p must be below 1.",
        {P_CHECK: "if not 0 <= p <= 1:"},
    ),
    _dropout(
        "p-unchecked",
        "your Dropout takes a p that is not a probability below 1: raise a ValueError that gives p.",
        {P_CHECK: "if False:"},
    ),
    _dropout(
        "float32",
        "your mask is float32 and promotes a half-precision x: the result must have the dtype of x.",
        {DROP: "return x * kept.float() / (1 - self.p)"},
    ),
    _dropout(
        "uses-torch",
        "your Dropout calls torch.nn.functional.dropout: write it yourself.",
        {DROP: "return torch.nn.functional.dropout(x, self.p, self.training)"},
    ),
]

FEEDS = [
    _feed(
        "no-activation",
        "you apply no activation to the hidden numbers, so your two projections amount to one.",
        {BENT: "bent = hidden"},
    ),
    _feed(
        "activation-last",
        "your activation comes after the second projection: apply it between the two.",
        {BENT: "bent = hidden", DOWN: f"return _activation(self.activation)({DOWN.removeprefix('return ')})"},
    ),
    _feed(
        "activation-ignored",
        "your activation is always gelu: use the one named by `activation`.",
        {BENT: "bent = gelu(hidden)"},
    ),
    _feed(
        "gelu-by-tanh",
        'your "gelu" uses the tanh formula: that is "gelu_tanh", and "gelu" is the exact formula.',
        {'"gelu": gelu,': '"gelu": partial(gelu, approximate="tanh"),'},
    ),
    _feed(
        "unknown-activation",
        "you refuse an unknown activation only at the first call, or not at all: raise a ValueError in the constructor.",
        {FIRST_STEP: "activation  # an unknown name"},
    ),
    _feed(
        "hidden-size-ignored",
        "your hidden vectors always have size 4 * d_model: use d_hidden.",
        {FIRST_STEP: "d_hidden = 4 * d_model  # an unknown name"},
    ),
    _feed(
        "bias-after-activation",
        "you add the bias of up_proj after the activation: add it before.",
        {
            HIDDEN: "hidden, bias = x @ self.up_proj.weight.mT, self.up_proj.bias",
            LEFT: "left = self.dropout(bent if bias is None else bent + bias)",
        },
    ),
    _feed(
        "bias-always",
        "your layer has biases although it was built with bias=False.",
        {FIRST_STEP: "bias = True  # an unknown name"},
    ),
    _feed(
        "no-bias",
        "your layer has no biases although it was built with bias=True.",
        {FIRST_STEP: "bias = False  # an unknown name"},
    ),
    _feed(
        "bias-of-up-missing",
        "your up_proj has no bias although the layer was built with bias=True: both projections need one.",
        {MAKES_UP: MAKES_UP.replace("bias=bias", "bias=False")},
    ),
    _feed(
        "bias-of-down-not-passed-on",
        "you pass `bias` only to up_proj: Linear has a bias by default, so down_proj has one even with bias=False.",
        {MAKES_DOWN: MAKES_DOWN.replace("bias=bias, ", "")},
    ),
    _feed(
        "bias-unused",
        "your biases are parameters that you never add: you only multiply by the weights.",
        {
            HIDDEN: "hidden = x @ self.up_proj.weight.mT",
            DOWN: "return left @ self.down_proj.weight.mT",
        },
    ),
    _feed("dropout-ignored", "your layer drops nothing in training: `dropout` is ignored.", {LEFT: "left = bent"}),
    _feed(
        "dropout-in-evaluation", "your layer drops in evaluation mode too.", {LEFT: "left = self.dropout.train()(bent)"}
    ),
    _feed(
        "dropout-on-output",
        "you apply dropout to the output: apply it before the second projection.",
        {LEFT: "left = bent", DOWN: f"return self.dropout({DOWN.removeprefix('return ')})"},
    ),
    _feed(
        "dropout-from-the-generator",
        "your dropout draws from the generator of the initial weights: draw from torch's global one.",
        {MAKES_DROPOUT: "self.dropout = Dropout(dropout, generator=generator)"},
    ),
    _feed(
        "down-scaled-by-d-model",
        "your initial down_proj.weight has standard deviation d_model ** -0.5: its input has size d_hidden.",
        {MAKES_DOWN: f"{MAKES_DOWN}\n        self.down_proj.weight.data.mul_((d_hidden / d_model) ** 0.5)"},
    ),
]

SWIGLUS = [
    _swiglu("no-silu", "you do not apply silu to your gate.", {GATE: "gate = self.gate_proj(x)"}),
    _swiglu(
        "gate-and-up-exchanged",
        "you swapped gate_proj and up_proj: apply silu to gate_proj(x).",
        {GATE: "gate = silu(self.up_proj(x))", UP: "up = self.gate_proj(x)"},
    ),
    _swiglu(
        "by-sigmoid",
        "your gate is a plain sigmoid: use silu, x * sigmoid(x).",
        {GATE: "gate = torch.sigmoid(self.gate_proj(x))"},
    ),
    _swiglu(
        "adds",
        "you add the gate to the other projection: multiply them.",
        {PRODUCT: "return self.down_proj(gate + up)"},
    ),
    _swiglu(
        "both-bent",
        "you apply silu to both projections: apply it only to the gate.",
        {UP: "up = silu(self.up_proj(x))"},
    ),
    _swiglu(
        "one-weight-twice",
        "your gate_proj and up_proj have equal initial weights: draw each of them independently.",
        {MAKES_PLAIN_UP: f"{MAKES_PLAIN_UP}\n        self.up_proj.weight.data.copy_(self.gate_proj.weight.data)"},
    ),
    _swiglu(
        "one-layer-twice",
        "gate_proj and up_proj are the same layer: each needs its own weight.",
        {MAKES_PLAIN_UP: "self.up_proj = self.gate_proj"},
    ),
    _swiglu(
        "with-biases",
        "your projections have biases: pass bias=False to Linear.",
        {line: line.replace("bias=False, ", "") for line in (MAKES_GATE, MAKES_PLAIN_UP, MAKES_PLAIN_DOWN)},
    ),
    _swiglu(
        "generator-not-passed-on",
        "you pass the generator only to gate_proj: the other layers draw from torch's global one.",
        {line: line.replace(", generator=generator", "") for line in (MAKES_PLAIN_UP, MAKES_PLAIN_DOWN)},
    ),
]

WEIGHTS = [
    *_initial(
        "initial-not-scaled",
        "the initial weights of your {} have standard deviation 1: it should be (input size) ** -0.5.",
        after="for weight in self.parameters(): weight.data.mul_(weight.shape[-1] ** 0.5)",
    ),
    *_initial(
        "generator-ignored",
        "your {} draws its weights from torch's global generator although a generator was given.",
        before="generator = None",
    ),
    *_initial(
        "initial-uniform",
        "the initial weights of your {} are uniform, as in torch.nn.Linear: draw them from a normal distribution, as embedding.Linear does.",
        after="for p in self.parameters(): p.data.uniform_(-(p.shape[-1] ** -0.5), p.shape[-1] ** -0.5, generator=generator)",
    ),
    *_initial(
        "weights-transposed",
        "the weights of your {} are (in, out): Linear takes the input size first, and its weight is (out, in).",
        after="for weight in self.parameters(): weight.data = weight.data.T if weight.dim() == 2 else weight.data",
    ),
]

BESIDES = [
    _feed(
        "weights-kept",
        "you keep the transposed weight of the first call: use the current weights in each call.",
        {
            HIDDEN: "self._turned = getattr(self, '_turned', self.up_proj.weight.mT.clone())\n"
            "        hidden = x @ self._turned + (0 if self.up_proj.bias is None else self.up_proj.bias)"
        },
    ),
    _swiglu(
        "weights-kept",
        "you keep the joined weights of gate_proj and up_proj from the first call: use the current weights in each call.",
        {
            GATE: "self._both = getattr(self, '_both', torch.cat([self.gate_proj.weight, self.up_proj.weight]))\n"
            "        gate, up = (x @ self._both.mT).chunk(2, dim=-1)",
            UP: "gate = silu(gate)",
        },
    ),
    _feed(
        "generator-with-bias-only",
        "with bias=False you do not pass the generator on.",
        {FIRST_STEP: "generator = generator if bias else None  # an unknown name"},
    ),
    _feed(
        "dropout-draws-in-evaluation",
        "your dropout draws in evaluation mode too: an evaluation in between would change what training drops.",
        {LEFT: "torch.rand(bent.shape, device=bent.device)\n        left = self.dropout(bent)"},
    ),
    _feed(
        "no-bend-in-evaluation",
        "you apply the activation only in training mode: apply it in both modes.",
        {BENT: f"{BENT}\n        bent = bent if self.training else hidden"},
    ),
    _feed(
        "silu-without-a-bias",
        "with bias=False you use another activation: use the one named by `activation`, with or without biases.",
        {BENT: f"{BENT} if self.up_proj.bias is not None else silu(hidden)"},
    ),
    _swiglu(
        "no-gate-in-evaluation",
        "you apply the gate only in training mode: apply it in both modes.",
        {PRODUCT: "return self.down_proj(gate * up if self.training else up)"},
    ),
    *_initial(
        "generator-or",
        "if no generator is given, your {} makes its own, so all layers would start with equal weights: None means torch's global generator.",
        before="generator = generator or torch.Generator().manual_seed(0)",
    ),
    *_initial(
        "generator-copied",
        "your {} draws from a copy of the generator, so its state does not advance: the next layer gets the same numbers.",
        before="generator = generator and torch.Generator().set_state(generator.get_state())",
    ),
    *_initial(
        "seeds-anew",
        "your {} draws from a new generator with the seed of the given one: use the given generator in its current state.",
        before="generator = generator and torch.Generator().manual_seed(generator.initial_seed())",
    ),
]

MISTAKES = [
    *BESIDES,
    *RELUS,
    *GELUS,
    *SILUS,
    *DROPOUTS,
    *FEEDS,
    *SWIGLUS,
    *WEIGHTS,
    *always("relu"),
    *always("gelu"),
    *always("silu"),
    *always("Dropout", "Dropout.forward", without=("returns-its-input",)),  # see "never"
    *always("FeedForward", "FeedForward.forward"),
    *always("SwiGLU", "SwiGLU.forward"),
]

MISTAKES += [
    Mistake(
        "silu-takes-integers",
        "silu",
        "you accept a tensor of integers and truncate the result to integers: refuse it with a ValueError.",
        {
            '    if not x.is_floating_point():\n        raise ValueError(f"silu needs floating-point numbers, got {x.dtype}")\n': ""
        },
    ),
    Mistake(
        "gelu-takes-integers",
        "gelu",
        "you accept a tensor of integers and truncate the result to integers: refuse it with a ValueError.",
        {
            '    if not x.is_floating_point():\n        raise ValueError(f"gelu needs floating-point numbers, got {x.dtype}")\n': ""
        },
    ),
]
