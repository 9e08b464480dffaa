"""Known mistakes in `normalization`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# Lines of the solution that the mistakes replace; each occurs there once.
MEAN = "mean = wide.mean(dim=-1, keepdim=True)"
CENTRED = "centred = wide - mean"
VARIANCE = "variance = centred.square().mean(dim=-1, keepdim=True)"
NORMALIZED = "normalized = centred / torch.sqrt(variance + self.eps)"
GAIN = "out = normalized * self.weight"
OFFSET = "out = out + self.bias"
ASKED_OFFSET = f"if self.bias is not None:\n            {OFFSET}"
LAYER_WIDEN = "        wide = _widen(x)"
LAYER_CAST = "return out.to(x.dtype)"
LAYER_CHECK = '_check_last_axis(x, self.d_model, "LayerNorm")'
LAYER_WEIGHT = "self.weight = nn.Parameter(torch.ones(d_model))  # gain"
BIAS = 'self.register_parameter("bias", nn.Parameter(torch.zeros(d_model)) if bias else None)'

MEAN_SQUARE = "mean_square = wide_x.square().mean(dim=-1, keepdim=True)"
SCALED = "scaled = wide_x * torch.rsqrt(mean_square + self.eps)"
RMS_WIDEN = "        wide_x = _widen(x)"
RMS_CAST = "return (scaled * self.weight).to(x.dtype)"
RMS_CHECK = '_check_last_axis(x, self.d_model, "RMSNorm")'
RMS_WEIGHT = "self.weight = nn.Parameter(torch.ones(d_model))  # the only"

RUNNING = """self.running = {0}.detach() if self.training or not hasattr(self, "running") else self.running
        {0} = {0} if self.training or self.running.shape != {0}.shape else self.running"""

Edits = dict[str, str]


def _layer(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(id, "LayerNorm", says, edits)


def _rms(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(id, "RMSNorm", says, edits)


def _both(id: str, says: str, layer_edits: Edits, rms_edits: Edits) -> list[Mistake]:
    """One mistake that can be made in either layer."""
    return [_layer(id, says.format("LayerNorm"), layer_edits), _rms(f"rms-{id}", says.format("RMSNorm"), rms_edits)]


def _axes(id: str, says: str, axes: str) -> list[Mistake]:
    """Statistics over other axes, in either layer; an empty text means the whole tensor."""
    layer_edits = {line: line.replace("dim=-1, keepdim=True", axes) for line in (MEAN, VARIANCE)}
    return _both(id, says, layer_edits, {MEAN_SQUARE: MEAN_SQUARE.replace("dim=-1, keepdim=True", axes)})


def _weight(id: str, says: str, new: str) -> list[Mistake]:
    """Another line for the weight in the constructor of either layer."""
    return _both(id, says, {LAYER_WEIGHT: f"{new}  # gain"}, {RMS_WEIGHT: f"{new}  # the only"})


def _before_widening(id: str, says: str, line: str) -> list[Mistake]:
    """A line too many at the start of either forward."""
    extra = f"        {line}\n"
    return _both(id, says, {LAYER_WIDEN: extra + LAYER_WIDEN}, {RMS_WIDEN: extra + RMS_WIDEN})


def _check(id: str, says: str, new: str) -> list[Mistake]:
    """Another check of the size in either layer."""
    return _both(id, says, {LAYER_CHECK: new}, {RMS_CHECK: new})


AXES = [
    *_axes(
        "no-keepdim",
        "your statistics lose the last axis, so they broadcast along the wrong one: use keepdim=True.",
        "dim=-1",
    ),
    *_axes(
        "second-last-axis",
        "your statistics run over the axis before the last (the sequence), not over the last one.",
        "dim=-2, keepdim=True",
    ),
    *_axes("first-axis", "your statistics run over the first axis (the batch), not over the last one.", "dim=0"),
    *_axes(
        "axis-one",
        "your statistics always run over axis 1, which is the last axis only if x has two: use dim=-1.",
        "dim=1, keepdim=True",
    ),
    *_axes(
        "last-two-axes",
        "your statistics run over the last two axes at once: each vector of the last axis has its own.",
        "dim=tuple(range(-min(2, x.dim()), 0)), keepdim=True",
    ),
    *_axes(
        "whole-tensor",
        "your statistics run over the whole tensor at once: each vector of the last axis has its own.",
        "",
    ),
    *_axes(
        "batch-statistics",
        "your statistics run over every axis but the last, as batch normalization does: each vector has its own.",
        "dim=tuple(range(x.dim() - 1)), keepdim=True",
    ),
    *_before_widening(
        "three-axes-only",
        "your {} unpacks exactly three axes from x.shape: it must take any number of leading axes.",
        "_batch, _length, _size = x.shape",
    ),
]

LAYER_STATISTICS = [
    _layer(
        "unbiased-variance",
        "your variance divides by d_model - 1; LayerNorm divides by d_model (torch.var does so with correction=0).",
        {VARIANCE: "variance = torch.var(wide, dim=-1, keepdim=True)"},
    ),
    _layer(
        "one-pass-variance",
        "your variance is mean(x^2) - mean(x)^2, which loses its digits if the mean is large: subtract the mean first, then square.",
        {VARIANCE: "variance = wide.square().mean(dim=-1, keepdim=True) - mean.square()"},
    ),
    _layer(
        "variance-about-zero",
        "you subtract the mean from x, but your variance is the mean of x^2: subtract the mean there too.",
        {VARIANCE: "variance = wide.square().mean(dim=-1, keepdim=True)"},
    ),
    _layer(
        "mean-not-subtracted",
        "you divide x itself by the standard deviation: subtract the mean from it first.",
        {NORMALIZED: NORMALIZED.replace("centred", "wide")},
    ),
    _layer(
        "is-rms-norm", "your LayerNorm does not subtract the mean at all: that is RMSNorm.", {CENTRED: "centred = wide"}
    ),
    _layer(
        "variance-is-a-sum",
        "your variance is the sum of the squares: the division by d_model is missing.",
        {VARIANCE: VARIANCE.replace("mean", "sum")},
    ),
    _layer(
        "divides-by-variance",
        "you divide by variance + eps itself: the square root is missing.",
        {NORMALIZED: "normalized = centred / (variance + self.eps)"},
    ),
]

RMS_STATISTICS = [
    _rms(
        "rms-subtracts-mean",
        "you subtract the mean first, as in LayerNorm: RMSNorm does not.",
        {RMS_WIDEN: f"{RMS_WIDEN}\n        wide_x = wide_x - wide_x.mean(dim=-1, keepdim=True)"},
    ),
    _rms(
        "rms-divides-by-deviation",
        "you divide by the standard deviation: divide by the root mean square, for which no mean is subtracted.",
        {MEAN_SQUARE: "mean_square = torch.var(wide_x, dim=-1, keepdim=True, correction=0)"},
    ),
    _rms(
        "rms-sum-for-mean",
        "you take the sum of the squares: take their mean, so that vectors get length sqrt(d_model) and not 1.",
        {MEAN_SQUARE: "mean_square = wide_x.square().sum(dim=-1, keepdim=True)"},
    ),
    _rms(
        "rms-no-root",
        "you divide by mean_square + eps itself: the square root is missing.",
        {SCALED: "scaled = wide_x / (mean_square + self.eps)"},
    ),
]

EPS = [
    *_both(
        "eps-outside-root",
        "you add eps after the root: it belongs inside the root.",
        {NORMALIZED: "normalized = centred / (torch.sqrt(variance) + self.eps)"},
        {SCALED: "scaled = wide_x / (torch.sqrt(mean_square) + self.eps)"},
    ),
    *_both(
        "eps-missing",
        "you leave out eps, and then divide 0 by 0 for some vectors: add it inside the root.",
        {NORMALIZED: "normalized = centred / torch.sqrt(variance)"},
        {SCALED: "scaled = wide_x * torch.rsqrt(mean_square)"},
    ),
    *_both(
        "eps-ignored",
        "your {} always adds the default eps: use the eps that it was built with.",
        {NORMALIZED: NORMALIZED.replace("self.eps", "1e-5")},
        {SCALED: SCALED.replace("self.eps", "1e-6")},
    ),
    *_both(
        "eps-as-floor",
        "you use eps as a lower bound inside the root: always add it.",
        {NORMALIZED: NORMALIZED.replace("variance + self.eps", "variance.clamp_min(self.eps)")},
        {SCALED: SCALED.replace("mean_square + self.eps", "mean_square.clamp_min(self.eps)")},
    ),
    *_both(
        "eps-default",
        "your {} has the default eps of the other norm: LayerNorm has 1e-5, RMSNorm 1e-6.",
        {"eps: float = 1e-5": "eps: float = 1e-6"},
        {"eps: float = 1e-6": "eps: float = 1e-5"},
    ),
]

WEIGHT = [
    *_both(
        "weight-missing",
        "you do not multiply by weight.",
        {GAIN: "out = normalized"},
        {RMS_CAST: "return scaled.to(x.dtype)"},
    ),
    *_both(
        "weight-plus-one",
        "you multiply by 1 + weight, as Gemma does: here weight itself is the gain, and its initial values are ones.",
        {GAIN: GAIN.replace("self.weight", "(1 + self.weight)")},
        {RMS_CAST: RMS_CAST.replace("self.weight", "(1 + self.weight)")},
    ),
    *_both(
        "weight-detached",
        "no gradient reaches weight: you use weight.data or weight.detach().",
        {GAIN: f"{GAIN}.detach()"},
        {RMS_CAST: RMS_CAST.replace("self.weight", "self.weight.detach()")},
    ),
    *_weight(
        "weight-starts-at-zero",
        "your initial weight is 0: it should be 1.",
        "self.weight = nn.Parameter(torch.zeros(d_model))",
    ),
    *_weight(
        "weight-starts-random",
        "your initial weight is random: it should be 1.",
        "self.weight = nn.Parameter(torch.randn(d_model))",
    ),
    *_weight(
        "weight-is-one-number",
        "your weight is a single number: each of the d_model features needs its own gain.",
        "self.weight = nn.Parameter(torch.ones(1))",
    ),
    *_weight(
        "weight-is-no-parameter",
        "your weight is a buffer, so no optimizer would find it: make it an nn.Parameter.",
        'self.register_buffer("weight", torch.ones(d_model))',
    ),
    *_weight(
        "weight-is-float64",
        "your weight is float64: parameters should have torch's default dtype, which is float32 unless somebody changed it.",
        "self.weight = nn.Parameter(torch.ones(d_model, dtype=torch.float64))",
    ),
    *_weight(
        "extra-state",
        "your state_dict holds more than the parameters: keep eps as a plain attribute, or as a buffer with persistent=False.",
        'self.register_buffer("epsilon", torch.tensor(eps))\n        self.weight = nn.Parameter(torch.ones(d_model))',
    ),
]

OFFSETS = [
    _layer("bias-missing", "you do not add the bias.", {OFFSET: "pass"}),
    _layer(
        "bias-before-weight",
        "you add bias before multiplying by weight: multiply first, then add.",
        {GAIN: "out = normalized", LAYER_CAST: "out = out * self.weight\n        return out.to(x.dtype)"},
    ),
    _layer(
        "bias-starts-at-one",
        "your initial bias is 1: it should be 0.",
        {BIAS: BIAS.replace("zeros", "ones")},
    ),
    _layer(
        "bias-is-no-parameter",
        "your bias is a buffer, so no optimizer would find it: make it an nn.Parameter.",
        {BIAS: 'self.register_buffer("bias", torch.zeros(d_model) if bias else None)'},
    ),
    _layer(
        "bias-always",
        "your layer has a bias although it was built with bias=False.",
        {BIAS: "self.bias = nn.Parameter(torch.zeros(d_model))"},
    ),
    _layer(
        "bias-false-crashes",
        "your forward always adds the bias, but with bias=False it is None.",
        {ASKED_OFFSET: OFFSET},
    ),
    _layer(
        "bias-default",
        "your layer has no bias by default: the default is bias=True.",
        {"bias: bool = True": "bias: bool = False"},
    ),
    _layer(
        "bias-detached",
        "no gradient reaches bias: you use bias.data or bias.detach().",
        {OFFSET: f"{OFFSET}.detach()"},
    ),
    _rms(
        "rms-has-bias",
        "your RMSNorm has a bias: weight is its only parameter.",
        {
            RMS_WEIGHT: f"self.bias = nn.Parameter(torch.zeros(d_model))\n        {RMS_WEIGHT}",
            RMS_CAST: RMS_CAST.replace("self.weight", "self.weight + self.bias"),
        },
    ),
]


def _result(id: str, says: str, line: str) -> list[Mistake]:
    """What is done with the right result of either layer, which is called `out`."""
    rms = "out = (scaled * self.weight).to(x.dtype)"
    return _both(id, says, {LAYER_CAST: f"out = out.to(x.dtype)\n        {line}"}, {RMS_CAST: f"{rms}\n        {line}"})


RESULTS = [
    *_result(
        "detached-in-evaluation",
        "after eval() no gradient flows through your {} (no_grad or detach): it should do the same in training and in evaluation.",
        "return out if self.training else out.detach()",
    ),
    *_result(
        "result-is-kept",
        "your {} keeps its result and returns the same tensor again: writing into it changes the next answer.",
        """if getattr(self, "last", None) is not x:
            self.last, self.kept = x, out
        return self.kept""",
    ),
    *_both(
        "running-statistics",
        "after eval() your {} uses a running mean of earlier calls, as batch normalization does: always use the statistics of each vector.",
        {VARIANCE: f"{VARIANCE}\n        {RUNNING.format('variance')}"},
        {MEAN_SQUARE: f"{MEAN_SQUARE}\n        {RUNNING.format('mean_square')}"},
    ),
    *_both(
        "nan-is-hidden",
        "you replace NaN by 0: a vector with a NaN must stay NaN, or nobody finds the cause.",
        {GAIN: GAIN.replace("normalized", "normalized.nan_to_num()")},
        {RMS_CAST: RMS_CAST.replace("scaled", "scaled.nan_to_num()")},
    ),
    *_both(
        "values-are-clamped",
        "you clamp the normalized values: one large feature may be many times the root mean square.",
        {GAIN: GAIN.replace("normalized", "normalized.clamp(-6, 6)")},
        {RMS_CAST: RMS_CAST.replace("scaled", "scaled.clamp(-6, 6)")},
    ),
    *_both(
        "constant-vector-by-where",
        "you treat a constant vector as a special case: no gradient flows there, and eps already prevents 0 / 0.",
        {NORMALIZED: f"{NORMALIZED}\n        normalized = torch.where(variance == 0, 0.0, normalized)"},
        {SCALED: f"{SCALED}\n        scaled = torch.where(mean_square == 0, 0.0, scaled)"},
    ),
]

DTYPES = [
    *_both(
        "dtype-of-the-weight",
        "you compute in the dtype of the weight: a float64 x loses half of its digits if the weight is float32.",
        {LAYER_WIDEN: "        wide = x.to(torch.promote_types(self.weight.dtype, torch.float32))"},
        {RMS_WIDEN: "        wide_x = x.to(torch.promote_types(self.weight.dtype, torch.float32))"},
    ),
    _layer(
        "rounds-twice",
        "you cast back to the dtype of x before you apply weight and bias, which rounds twice: cast at the very end.",
        {NORMALIZED: f"{NORMALIZED}\n        normalized = normalized.to(x.dtype)"},
    ),
    _layer(
        "bfloat16-not-widened",
        "you widen only float16: widen bfloat16 too, since its 8 significant bits are too few for a sum of squares.",
        {LAYER_WIDEN: "        wide = x.float() if x.dtype == torch.float16 else x"},
    ),
    *_both(
        "no-upcast",
        "you compute the statistics in half precision, where squares beyond 65504 are inf (float16) or keep 8 bits (bfloat16): compute in float32.",
        {LAYER_WIDEN: "        wide = x"},
        {RMS_WIDEN: "        wide_x = x"},
    ),
    *_both(
        "float64-through-float32",
        "you always compute in float32: float64 loses half of its digits. Widen only half precision.",
        {LAYER_WIDEN: "        wide = x.float()"},
        {RMS_WIDEN: "        wide_x = x.float()"},
    ),
    *_both(
        "not-cast-back",
        "you widen half precision to float32 and never cast back: the result must have the dtype of x.",
        {LAYER_CAST: "return out"},
        {RMS_CAST: "return scaled * self.weight"},
    ),
    *_both(
        "cast-before-weight",
        "you cast back to the dtype of x before you apply the weight: a float32 weight promotes the result to float32 again.",
        {NORMALIZED: f"{NORMALIZED}\n        normalized = normalized.to(x.dtype)", LAYER_CAST: "return out"},
        {RMS_CAST: "return scaled.to(x.dtype) * self.weight"},
    ),
    *_both(
        "always-float32",
        "your result is always float32: return the dtype of x.",
        {LAYER_CAST: "return out.to(torch.float32)"},
        {RMS_CAST: RMS_CAST.replace("x.dtype", "torch.float32")},
    ),
]

CALLS = [
    *_check(
        "no-size-check", "you do not check the size of the last axis: a size of 1 broadcasts without error.", "pass"
    ),
    *_check(
        "size-check-asserts",
        "your {} raises AssertionError for a wrong last axis: raise a ValueError with the expected size and the actual shape.",
        "assert x.shape[-1:] == (self.d_model,)",
    ),
    *_check(
        "size-check-is-silent",
        "your ValueError does not give the expected size and the actual shape.",
        'if x.shape[-1:] != (self.d_model,):\n            raise ValueError("wrong shape")',
    ),
    *_before_widening(
        "nothing-in-eval",
        "your {} returns x unchanged after eval(): it should do the same in training and in evaluation.",
        "if not self.training: return x.clone()",
    ),
    *_both(
        "works-in-place",
        "your {} changes x with an in-place operation (-=, *=, or a name that ends in _).",
        {CENTRED: "centred = wide.sub_(mean)"},
        {SCALED: "scaled = wide_x.mul_(torch.rsqrt(mean_square + self.eps))"},
    ),
    *_both(
        "statistics-detached",
        "your statistics are cut off from the graph (no_grad or detach): the gradient of x must also flow through them.",
        {CENTRED: f"{CENTRED}.detach()", NORMALIZED: NORMALIZED.replace("variance", "variance.detach()")},
        {SCALED: SCALED.replace("mean_square", "mean_square.detach()")},
    ),
    _layer(
        "variance-detached",
        "your variance is cut off from the graph (no_grad or detach): the gradient of x must also flow through it.",
        {NORMALIZED: NORMALIZED.replace("variance", "variance.detach()")},
    ),
]

SHORTCUTS = [
    Mistake(
        "uses-torch-layer-norm",
        "LayerNorm",
        "your LayerNorm calls torch.nn.functional.layer_norm: write it yourself.",
        append="""
def _forward(self, x):
    _check_last_axis(x, self.d_model, "LayerNorm")
    bias = None if self.bias is None else self.bias.to(x.dtype)
    return torch.nn.functional.layer_norm(x, (self.d_model,), self.weight.to(x.dtype), bias, self.eps)


LayerNorm.forward = _forward
""",
    ),
    Mistake(
        "uses-torch-rms-norm",
        "RMSNorm",
        "your RMSNorm calls torch.nn.functional.rms_norm: write it yourself.",
        append="""
def _forward(self, x):
    _check_last_axis(x, self.d_model, "RMSNorm")
    return torch.nn.functional.rms_norm(x, (self.d_model,), self.weight.to(x.dtype), self.eps)


RMSNorm.forward = _forward
""",
    ),
]

MISTAKES = [
    *LAYER_STATISTICS,
    *RMS_STATISTICS,
    *AXES,
    *EPS,
    *WEIGHT,
    *OFFSETS,
    *RESULTS,
    *DTYPES,
    *CALLS,
    *SHORTCUTS,
    *always("LayerNorm", "LayerNorm.forward"),
    *always("RMSNorm", "RMSNorm.forward"),
]
