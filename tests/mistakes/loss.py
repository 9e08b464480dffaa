"""Known mistakes in `loss`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# The lines of the solution that the mistakes replace; each stands there once.
NLL_CHECK = "_check_shapes(log_probabilities, targets)"
OUTSIDE = "outside = (targets < 0) | (targets >= vocab)"
PICKED = "picked = log_probabilities.gather(dim=-1, index=targets.unsqueeze(-1))"
NLL_RETURN = "return -picked.squeeze(-1)"

WIDE = "wide = _widen(scores)"
SHIFTED = "shifted = wide - wide.amax(dim=dim, keepdim=True)"
LOG_SUM = "log_sum = shifted.exp().sum(dim=dim, keepdim=True).log()"
DIFFERENCE = "return (shifted - log_sum).to(scores.dtype)"

CE_CHECK = "_check_shapes(logits, targets)"
KEPT = "kept = targets != ignore_index"
LOGP = "log_probabilities = log_softmax(_widen(logits[kept]), dim=-1)"
LOSSES = "losses = negative_log_likelihood(log_probabilities, targets[kept])"
ASKED = "if label_smoothing > 0:"
UNIFORM = "uniform = -log_probabilities.mean(dim=-1)"
SMOOTHED = "losses = (1 - label_smoothing) * losses + label_smoothing * uniform"
MEAN = "return (losses.sum() / max(len(losses), 1)).to(logits.dtype)"

NO_TOKENS = "if total < 1:"
COMMON_MEAN = "mean = (_widen(losses) * num_tokens).sum() / total"
EXP = "return mean.exp().to(losses.dtype)"

NO_BYTES = "if num_bytes < 1:"
NO_INTEGERS = """    if not {0}.is_floating_point():
        raise ValueError(f"{1} needs floating-point {0}, got {{{0}.dtype}}")
"""

BITS = "bits_per_token = _widen(loss) / math.log(2)"
RATIO = "return (bits_per_token * (num_tokens / num_bytes)).to(loss.dtype)"


def _nll(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(f"nll-{id}", "negative_log_likelihood", says, edits)


def _log_softmax(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(id, "log_softmax", says, edits)


def _ce(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(f"ce-{id}", "cross_entropy", says, edits)


def _perplexity(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(f"perplexity-{id}", "perplexity", says, edits)


def _bits(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(f"bits-{id}", "bits_per_byte", says, edits)


NEGATIVE_LOG_LIKELIHOOD = [
    _nll(
        "sign",
        "your losses are the log-probabilities themselves: the minus sign is missing.",
        {NLL_RETURN: "return picked.squeeze(-1)"},
    ),
    _nll(
        "extra-axis",
        "your result still has the axis of size 1 that gather needed: take it away with squeeze(-1).",
        {NLL_RETURN: "return -picked"},
    ),
    _nll(
        "all-pairs",
        "you index with log_probabilities[..., targets]: that takes every target for every position, not each position's own.",
        {NLL_RETURN: "return -log_probabilities[..., targets]"},
    ),
    _nll(
        "one-hot-product",
        "you multiply with a one-hot vector: where another token has a log-probability of -inf, 0 * inf is NaN.",
        {NLL_RETURN: "return -(torch.nn.functional.one_hot(targets, vocab) * log_probabilities).sum(dim=-1)"},
    ),
    _nll(
        "logarithm-again",
        "you take the log twice: the inputs are log-probabilities already.",
        {NLL_RETURN: "return -picked.squeeze(-1).log()"},
    ),
    _nll(
        "axis-one",
        "you pick along axis 1, like torch's own loss: here the vocabulary is the last axis.",
        {NLL_RETURN: "return -log_probabilities.gather(1, targets.unsqueeze(-1)).squeeze(-1)"},
    ),
    _nll(
        "wraps-around",
        "you accept a negative target, which indexing counts from the end: refuse it with a ValueError.",
        {
            OUTSIDE: "targets = torch.where((targets < 0) & (targets >= -vocab), targets + vocab, targets)\n    outside = (targets < 0) | (targets >= vocab)"
        },
    ),
    _nll(
        "unchecked-targets",
        "you leave targets outside the vocabulary to gather, which raises no ValueError: check them first.",
        {OUTSIDE: "outside = torch.zeros_like(targets, dtype=torch.bool)"},
    ),
    _nll(
        "targets-clamped",
        "you clamp the targets into the vocabulary, so you accept a target outside it as a different token: refuse it with a ValueError.",
        {OUTSIDE: f"targets = targets.clamp(0, vocab - 1)\n    {OUTSIDE}"},
    ),
    _nll(
        "targets-in-32-bits",
        "you cast the targets to 32 bits, so you accept an id beyond 2^31 as a different one: refuse it with a ValueError.",
        {OUTSIDE: f"targets = targets.int().long()\n    {OUTSIDE}"},
    ),
    _nll(
        "no-position-crashes",
        "you take the maximum of the targets: without any position, that raises RuntimeError or IndexError.",
        {OUTSIDE: f"targets.max()\n    {OUTSIDE}"},
    ),
    _nll(
        "mean",
        "you take the mean of the losses: return one loss per position.",
        {NLL_RETURN: "return -picked.mean()"},
    ),
    _nll(
        "flat",
        "your losses have a single axis: give them the shape of the targets.",
        {NLL_RETURN: "return -picked.reshape(-1)"},
    ),
    _nll(
        "diagonal-of-all-pairs",
        "you look up every target for every position and take the diagonal, which needs 40 GB for 100,000 positions: look up each position's own target.",
        {
            NLL_RETURN: "return -log_probabilities.reshape(-1, vocab)[:, targets.reshape(-1)].diagonal().reshape(targets.shape)"
        },
    ),
    _nll(
        "unchecked-shapes",
        "you do not check the shapes: with fewer targets than positions, gather uses only the first positions.",
        {NLL_CHECK: "pass"},
    ),
]

LOG_SOFTMAX = [
    _log_softmax(
        "no-max-subtraction",
        "your values are exactly those without subtracting the maximum: exp of a large score is inf. Subtract it first.",
        {SHIFTED: "shifted = wide"},
    ),
    _log_softmax(
        "log-of-softmax",
        "your values are exactly log(softmax(scores)): an unlikely token underflows to log(0). Write it as a difference.",
        {DIFFERENCE: "return (shifted.exp() / log_sum.exp()).log().to(scores.dtype)"},
    ),
    _log_softmax(
        "log-of-softmax-and-a-bit",
        "you take log(softmax(scores) + a small number): every token less likely than that number is wrong.",
        {DIFFERENCE: "return (shifted.exp() / log_sum.exp() + 1e-9).log().to(scores.dtype)"},
    ),
    _log_softmax(
        "no-logarithm",
        "your values are exactly the softmax: the logarithm is missing.",
        {DIFFERENCE: "return (shifted.exp() / log_sum.exp()).to(scores.dtype)"},
    ),
    _log_softmax(
        "maximum-put-back",
        "you add the maximum to the logarithm of the sum, which loses the logarithm's digits if the maximum is large: subtract the maximum from the scores first.",
        {DIFFERENCE: "return (wide - (wide.amax(dim=dim, keepdim=True) + log_sum)).to(scores.dtype)"},
    ),
    _log_softmax(
        "one-global-max",
        "you subtract one maximum of the whole tensor, so a row far below it becomes log(0): use each row's own maximum.",
        {SHIFTED: "shifted = wide - wide.amax() if wide.numel() else wide"},
    ),
    _log_softmax(
        "ignores-dim",
        "you ignore `dim`: your values are exactly those along the last axis.",
        {SHIFTED: SHIFTED.replace("dim=dim", "dim=-1"), LOG_SUM: LOG_SUM.replace("dim=dim", "dim=-1")},
    ),
    _log_softmax(
        "no-keepdim",
        "your sum loses the axis `dim`, so the subtraction broadcasts along a different axis: use keepdim=True.",
        {LOG_SUM: "log_sum = shifted.exp().sum(dim=dim).log()"},
    ),
    _log_softmax(
        "half-precision-sum",
        "you compute in half precision: the sum of a long float16 row exceeds 65504. Compute in float32, cast back.",
        {WIDE: "wide = scores"},
    ),
    _log_softmax(
        "nan-is-hidden",
        "you replace NaN by a number: if all scores are -inf, there is no distribution and the result is NaN.",
        {DIFFERENCE: "return (shifted - log_sum).nan_to_num(nan=float('-inf'), neginf=float('-inf')).to(scores.dtype)"},
    ),
    _log_softmax(
        "scores-are-clamped",
        "you clamp the scores instead of subtracting their maximum: every score beyond the limit gives a wrong result.",
        {SHIFTED: "shifted = wide.clamp(-80, 80)"},
    ),
    _log_softmax(
        "takes-integers",
        "you accept a tensor of integers, so the result is truncated to integers: refuse it with a ValueError.",
        {NO_INTEGERS.format("scores", "log_softmax"): ""},
    ),
    _log_softmax(
        "not-cast-back",
        "your result stays in float32: cast it back to the dtype of `scores`.",
        {DIFFERENCE: "return shifted - log_sum"},
    ),
]

# Of two that give the same answer the first is named: here those come first that pass where the other one fails.
CROSS_ENTROPY = [
    _ce(
        "sums-in-half-precision",
        "you add up the losses in half precision: a few thousand of them exceed 65504 in float16. Convert to float32 before log_softmax, and cast back after the mean.",
        {LOGP: LOGP.replace("_widen(logits[kept])", "logits[kept]")},
    ),
    _ce(
        "minus-100-too",
        "you ignore targets of -100 even if ignore_index is a different number: refuse them with a ValueError.",
        {KEPT: "kept = (targets != ignore_index) & (targets != -100)"},
    ),
    _ce(
        "index-zero-is-none",
        "you take ignore_index=0 for no value (`if ignore_index` or `ignore_index or -100`): 0 is an id like any other.",
        {KEPT: "kept = targets != (ignore_index or -100)"},
    ),
    _ce(
        "targets-in-32-bits",
        "you cast the targets to 32 bits: an id beyond 2^31 is accepted as a different one, or no longer ignored.",
        {KEPT: f"targets = targets.int().long()\n    {KEPT}"},
    ),
    _ce(
        "ignored-times-zero",
        "you multiply the losses of ignored positions by 0: if such a loss is inf, 0 * inf is NaN. Leave them out.",
        {
            KEPT: """counted = (targets != ignore_index).reshape(-1)
    targets = targets.masked_fill(targets == ignore_index, 0)
    kept = torch.ones_like(targets, dtype=torch.bool)""",
            MEAN: "return ((losses * counted).sum() / counted.sum().clamp(min=1)).to(logits.dtype)",
        },
    ),
    _ce(
        "empty-is-refused",
        "you refuse a batch in which every token is ignored (ValueError): its loss is 0.",
        {LOGP: f"if not kept.any(): raise ValueError('no tokens')\n    {LOGP}"},
    ),
    _ce(
        "one-axis-too-many",
        "your loss has an axis of size 1: return a 0-d tensor.",
        {MEAN: f"{MEAN}.reshape(1)"},
    ),
    _ce(
        "logits-are-clamped",
        "you clamp the logits: a logit beyond the limit gives a wrong loss and gets no gradient.",
        {LOGP: LOGP.replace("_widen(logits[kept])", "_widen(logits[kept]).clamp(-50, 50)")},
    ),
    _ce(
        "losses-are-limited",
        "you limit how unlikely a token may be, so an unlikely target's loss is too small and gets no gradient: remove the limit.",
        {LOGP: f"{LOGP}.clamp(min=-20)"},
    ),
    _ce(
        "takes-integers",
        "you accept a tensor of integers, so the result is truncated to integers: refuse it with a ValueError.",
        {
            NO_INTEGERS.format("logits", "cross_entropy"): "",
            LOGP: LOGP.replace("_widen(logits[kept])", "_widen(logits[kept]) * 1.0"),
        },
    ),
    _ce(
        "always-minus-100",
        "you always ignore the targets of -100: ignore those equal to ignore_index.",
        {KEPT: "kept = targets != -100"},
    ),
    _ce(
        "sum",
        "you sum the losses: divide by the number of tokens that count.",
        {MEAN: MEAN.replace(" / max(len(losses), 1)", "")},
    ),
    _ce("no-mean", "you return one loss per token: take their mean.", {MEAN: "return losses.to(logits.dtype)"}),
    _ce(
        "ignored-in-the-denominator",
        "you divide by the number of all tokens, including the ignored ones: divide by the number that count.",
        {MEAN: MEAN.replace("len(losses)", "targets.numel()")},
    ),
    _ce(
        "ignored-as-token-zero",
        "you give ignored positions the target 0 and count them: they must add nothing to the sum or to the number of tokens.",
        {
            KEPT: "targets = targets.masked_fill(targets == ignore_index, 0)\n    kept = torch.ones_like(targets, dtype=torch.bool)"
        },
    ),
    _ce(
        "nothing-ignored",
        "you do not ignore anything: leave out the positions whose target is ignore_index.",
        {KEPT: "kept = torch.ones_like(targets, dtype=torch.bool)"},
    ),
    _ce(
        "negative-targets-ignored",
        "you ignore every negative target: ignore only those equal to ignore_index.",
        {KEPT: "kept = targets >= 0"},
    ),
    _ce(
        "mean-of-means",
        "you take the mean of each sequence and then the mean of those means, so tokens of sequences with many ignored positions count more: take one mean over all tokens.",
        {
            MEAN: """rows = torch.zeros(targets.shape, dtype=losses.dtype).masked_scatter(kept, losses)
    counts = kept.sum(dim=-1).clamp_min(1) if targets.dim() else kept.long()
    return (rows.sum(dim=-1) / counts if targets.dim() else rows / 1).mean().to(logits.dtype)"""
        },
    ),
    _ce(
        "empty-is-nan",
        "if every token is ignored, you divide 0 by 0: the loss must be 0.",
        {MEAN: "return losses.mean().to(logits.dtype)"},
    ),
    _ce(
        "empty-without-graph",
        "if every token is ignored, you return a new 0, which is not connected to the logits: compute it from them, so that they get a gradient of 0.",
        {MEAN: f"if not len(losses): return torch.zeros((), dtype=logits.dtype)\n    {MEAN}"},
    ),
    _ce(
        "softmax-twice",
        "you take the softmax twice: log_softmax alone is enough, since the inputs are logits.",
        {LOGP: "log_probabilities = log_softmax(log_softmax(_widen(logits[kept]), dim=-1).exp(), dim=-1)"},
    ),
    _ce(
        "no-softmax",
        "you treat the logits as log-probabilities: the log_softmax is missing.",
        {LOGP: "log_probabilities = _widen(logits[kept])"},
    ),
    _ce(
        "shifts-the-targets",
        "you shift the targets by one against the logits: the caller has already done that.",
        {
            CE_CHECK: "_check_shapes(logits, targets)\n    logits, targets = (logits[..., :-1, :], targets[..., 1:]) if targets.dim() else (logits, targets)"
        },
    ),
    _ce(
        "classes-on-axis-one",
        "you expect the vocabulary on axis 1, like torch's own loss: here it is the last axis.",
        {
            CE_CHECK: "logits = logits.movedim(1, -1) if logits.dim() > 1 else logits\n    _check_shapes(logits, targets)"
        },
    ),
    _ce("smoothing-ignored", "you ignore label_smoothing: add its term to the loss.", {ASKED: "if False:"}),
    _ce(
        "smoothing-over-the-others",
        "you spread label_smoothing over the other vocab - 1 classes: spread it over all classes, including the target.",
        {UNIFORM: "uniform = -(log_probabilities.sum(dim=-1) + losses) / max(log_probabilities.shape[-1] - 1, 1)"},
    ),
    _ce(
        "smoothing-on-top",
        "you add the smoothing to the whole loss: multiply the target's part by 1 - label_smoothing.",
        {SMOOTHED: SMOOTHED.replace("(1 - label_smoothing) * ", "")},
    ),
    _ce(
        "smoothing-detached",
        "no gradient flows through the smoothing term of your loss: remove detach, .data or no_grad there.",
        {UNIFORM: f"{UNIFORM}.detach()"},
    ),
    _ce(
        "zero-times-infinity",
        "without smoothing you multiply its term by 0: if a logit is -inf, 0 * inf is NaN. Leave the term out.",
        {ASKED: "if True:"},
    ),
    _ce(
        "not-cast-back",
        "your loss stays in float32: cast it back to the dtype of the logits.",
        {MEAN: "return losses.sum() / max(len(losses), 1)"},
    ),
    _ce(
        "python-number", "you return a Python number (.item()): backward() needs the tensor.", {MEAN: f"{MEAN}.item()"}
    ),
]

PERPLEXITY = [
    _perplexity(
        "half-precision",
        "you multiply in half precision: loss * num_tokens exceeds 65504. Compute in float32.",
        {COMMON_MEAN: COMMON_MEAN.replace("_widen(losses)", "losses")},
    ),
    _perplexity(
        "mean-of-perplexities",
        "you take the mean of the batches' perplexities: take the mean of the losses, and the exponential last.",
        {EXP: "return _widen(losses).exp().mean().to(losses.dtype)"},
    ),
    _perplexity(
        "weighted-mean-of-perplexities",
        "you take the mean of the batches' perplexities, weighted by tokens: take the mean of the losses, and the exponential last.",
        {EXP: "return ((_widen(losses).exp() * num_tokens).sum() / total).to(losses.dtype)"},
    ),
    _perplexity(
        "batches-weigh-the-same",
        "you take the plain mean of the losses: weight each batch by its num_tokens.",
        {COMMON_MEAN: "mean = _widen(losses).mean()"},
    ),
    _perplexity(
        "divides-by-batches",
        "you divide the sum over all tokens by the number of batches, not by the number of tokens.",
        {COMMON_MEAN: COMMON_MEAN.replace("/ total", "/ len(losses)")},
    ),
    _perplexity(
        "no-exponential",
        "your value is exactly the mean loss: the exponential is missing.",
        {EXP: "return mean.to(losses.dtype)"},
    ),
    _perplexity(
        "base-two",
        "you raise 2 to the mean loss: the losses are natural logarithms, so the base is e.",
        {EXP: EXP.replace("exp()", "exp2()")},
    ),
    _perplexity(
        "limited",
        "you limit the mean loss before the exponential: a bad model's perplexity may be as large as it is.",
        {EXP: EXP.replace("mean.exp()", "mean.clamp(max=20).exp()")},
    ),
    _perplexity(
        "a-batch-of-nothing-is-refused",
        "you refuse a batch without tokens (ValueError): such a batch just has no weight.",
        {NO_TOKENS: "if total < 1 or bool((num_tokens == 0).any()):"},
    ),
    _perplexity(
        "of-nothing", "if there are no tokens, you divide 0 by 0: raise a ValueError.", {NO_TOKENS: "if False:"}
    ),
]

BITS_PER_BYTE = [
    _bits("are-nats", "your value is in nats: divide by log(2) for bits.", {BITS: "bits_per_token = _widen(loss)"}),
    _bits(
        "upside-down",
        "your ratio is upside down: divide tokens by bytes.",
        {RATIO: RATIO.replace("num_tokens / num_bytes", "num_bytes / max(num_tokens, 1)")},
    ),
    _bits(
        "times-log-two",
        "you multiply by log(2): divide by it, since one nat is more than one bit.",
        {BITS: BITS.replace("/", "*")},
    ),
    _bits(
        "per-token",
        "your value is in bits per token: multiply by num_tokens and divide by num_bytes.",
        {RATIO: "return bits_per_token.to(loss.dtype)"},
    ),
    _bits(
        "whole-division",
        "you divide with `//`, which gives 0 if there are fewer tokens than bytes: use `/`.",
        {RATIO: RATIO.replace("num_tokens / num_bytes", "num_tokens // num_bytes")},
    ),
    _bits(
        "no-tokens-refused",
        "you refuse a text without tokens (ValueError): only num_bytes must be 1 or more.",
        {NO_BYTES: "if num_bytes < 1 or num_tokens < 1:"},
    ),
    _bits(
        "half-precision",
        "you multiply in half precision: loss * num_tokens exceeds 65504. Compute in float32.",
        {BITS: "bits_per_token = loss / math.log(2) * num_tokens", RATIO: "return bits_per_token / num_bytes"},
    ),
    _bits("of-nothing", "you do not check num_bytes: raise a ValueError if it is below 1.", {NO_BYTES: "if False:"}),
]

SHORTCUTS = [
    Mistake(
        "uses-torch-nll-loss",
        "negative_log_likelihood",
        "your negative_log_likelihood calls torch.nn.functional.nll_loss: write it yourself.",
        {
            NLL_RETURN: "return torch.nn.functional.nll_loss(log_probabilities.reshape(-1, vocab), targets.reshape(-1), reduction='none').view_as(targets)"
        },
    ),
    Mistake(
        "uses-torch-log-softmax",
        "log_softmax",
        "your log_softmax calls torch.log_softmax: write it yourself.",
        {DIFFERENCE: "return torch.log_softmax(scores, dim)"},
    ),
    Mistake(
        "uses-torch-cross-entropy",
        "cross_entropy",
        "your cross_entropy calls torch.nn.functional.cross_entropy: write it yourself.",
        {
            MEAN: "return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=ignore_index, label_smoothing=label_smoothing)"
        },
    ),
]

MISTAKES = [
    *NEGATIVE_LOG_LIKELIHOOD,
    *LOG_SOFTMAX,
    *CROSS_ENTROPY,
    *PERPLEXITY,
    *BITS_PER_BYTE,
    *SHORTCUTS,
    *always("negative_log_likelihood"),
    *always("log_softmax"),
    *always("cross_entropy"),
    *always("perplexity", without=("detached",)),
    *always("bits_per_byte", without=("detached",)),
]
