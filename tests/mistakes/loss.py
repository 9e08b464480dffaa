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
        "the minus is missing: your losses are the log-probabilities themselves.",
        {NLL_RETURN: "return picked.squeeze(-1)"},
    ),
    _nll(
        "extra-axis",
        "your result still has the axis of size 1 that gather needed: take it off with squeeze(-1).",
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
        "you take the logarithm of what is one already: log-probabilities come in, not probabilities.",
        {NLL_RETURN: "return -picked.squeeze(-1).log()"},
    ),
    _nll(
        "axis-one",
        "you pick along axis 1, as torch's own loss does: here the vocabulary is the last axis.",
        {NLL_RETURN: "return -log_probabilities.gather(1, targets.unsqueeze(-1)).squeeze(-1)"},
    ),
    _nll(
        "wraps-around",
        "you take a negative target for a count from the end, as Python does: refuse it with a ValueError.",
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
        "you clamp the targets into the vocabulary, so a target outside it is accepted as another token: refuse it with a ValueError.",
        {OUTSIDE: f"targets = targets.clamp(0, vocab - 1)\n    {OUTSIDE}"},
    ),
    _nll(
        "targets-in-32-bits",
        "you cast the targets to 32 bits: an id beyond 2^31 is accepted as another one, refuse it with a ValueError.",
        {OUTSIDE: f"targets = targets.int().long()\n    {OUTSIDE}"},
    ),
    _nll(
        "no-position-crashes",
        "you take the maximum of the targets: where there is no position, that raises RuntimeError or IndexError.",
        {OUTSIDE: f"targets.max()\n    {OUTSIDE}"},
    ),
    _nll(
        "mean",
        "you take the mean of the losses: each position has one of its own.",
        {NLL_RETURN: "return -picked.mean()"},
    ),
    _nll(
        "flat",
        "your losses have a single axis: they have the shape of the targets.",
        {NLL_RETURN: "return -picked.reshape(-1)"},
    ),
    _nll(
        "diagonal-of-all-pairs",
        "you look up every target for every position and take the diagonal: 100,000 positions would need 40 GB.",
        {
            NLL_RETURN: "return -log_probabilities.reshape(-1, vocab)[:, targets.reshape(-1)].diagonal().reshape(targets.shape)"
        },
    ),
    _nll(
        "unchecked-shapes",
        "you do not check the shapes: with fewer targets than positions, gather answers for the first positions only.",
        {NLL_CHECK: "pass"},
    ),
]

LOG_SOFTMAX = [
    _log_softmax(
        "no-max-subtraction",
        "your values are exactly those without subtracting the maximum: exp of a large score is inf.",
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
        "you add the maximum to the logarithm of the sum before you subtract them: where it is large, the logarithm drowns in it. Subtract the maximum from the scores first.",
        {DIFFERENCE: "return (wide - (wide.amax(dim=dim, keepdim=True) + log_sum)).to(scores.dtype)"},
    ),
    _log_softmax(
        "one-global-max",
        "you subtract one maximum of the whole tensor: a row far below it becomes log(0). Each row has its own.",
        {SHIFTED: "shifted = wide - wide.amax() if wide.numel() else wide"},
    ),
    _log_softmax(
        "ignores-dim",
        "you ignore `dim`: your values are exactly those along the last axis.",
        {SHIFTED: SHIFTED.replace("dim=dim", "dim=-1"), LOG_SUM: LOG_SUM.replace("dim=dim", "dim=-1")},
    ),
    _log_softmax(
        "no-keepdim",
        "the sum loses the axis `dim` (no keepdim=True), so the subtraction broadcasts along another axis.",
        {LOG_SUM: "log_sum = shifted.exp().sum(dim=dim).log()"},
    ),
    _log_softmax(
        "half-precision-sum",
        "you compute in half precision: the sum of a long float16 row exceeds 65504. Compute in float32, cast back.",
        {WIDE: "wide = scores"},
    ),
    _log_softmax(
        "nan-is-hidden",
        "you replace NaN by a number: where all scores are -inf there is no probability to share out, and the result is NaN.",
        {DIFFERENCE: "return (shifted - log_sum).nan_to_num(nan=float('-inf'), neginf=float('-inf')).to(scores.dtype)"},
    ),
    _log_softmax(
        "scores-are-clamped",
        "you limit the scores instead of subtracting their maximum: what lies beyond the limit is wrong.",
        {SHIFTED: "shifted = wide.clamp(-80, 80)"},
    ),
    _log_softmax(
        "takes-integers",
        "you accept a tensor of integers, and the result is cut off to whole numbers: refuse it with a ValueError.",
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
        "you add up the losses in half precision: a few thousand of them exceed 65504 in float16. Widen before log_softmax, cast back after the mean.",
        {LOGP: LOGP.replace("_widen(logits[kept])", "logits[kept]")},
    ),
    _ce(
        "minus-100-too",
        "you leave out the targets -100 as well where ignore_index is another number: refuse them with a ValueError.",
        {KEPT: "kept = (targets != ignore_index) & (targets != -100)"},
    ),
    _ce(
        "index-zero-is-none",
        "you take ignore_index=0 for none (`if ignore_index` or `ignore_index or -100`): 0 is an id like any other.",
        {KEPT: "kept = targets != (ignore_index or -100)"},
    ),
    _ce(
        "targets-in-32-bits",
        "you cast the targets to 32 bits: an id beyond 2^31 is accepted as another one, or no longer ignored.",
        {KEPT: f"targets = targets.int().long()\n    {KEPT}"},
    ),
    _ce(
        "ignored-times-zero",
        "you multiply the losses of ignored positions by 0: where such a loss is inf, 0 * inf is NaN. Leave them out.",
        {
            KEPT: """counted = (targets != ignore_index).reshape(-1)
    targets = targets.masked_fill(targets == ignore_index, 0)
    kept = torch.ones_like(targets, dtype=torch.bool)""",
            MEAN: "return ((losses * counted).sum() / counted.sum().clamp(min=1)).to(logits.dtype)",
        },
    ),
    _ce(
        "empty-is-refused",
        "you refuse a batch in which every token is ignored (ValueError): the loss is 0 there.",
        {LOGP: f"if not kept.any(): raise ValueError('no tokens')\n    {LOGP}"},
    ),
    _ce(
        "one-axis-too-many",
        "your loss has an axis of size 1: it is a tensor without axes.",
        {MEAN: f"{MEAN}.reshape(1)"},
    ),
    _ce(
        "logits-are-clamped",
        "you limit the logits: what lies beyond the limit is wrong, and gets no gradient.",
        {LOGP: LOGP.replace("_widen(logits[kept])", "_widen(logits[kept]).clamp(-50, 50)")},
    ),
    _ce(
        "losses-are-limited",
        "you limit how unlikely a token may be: an unlikely target's loss is too small, and gets no gradient.",
        {LOGP: f"{LOGP}.clamp(min=-20)"},
    ),
    _ce(
        "takes-integers",
        "you accept a tensor of integers, and the result is cut off to whole numbers: refuse it with a ValueError.",
        {
            NO_INTEGERS.format("logits", "cross_entropy"): "",
            LOGP: LOGP.replace("_widen(logits[kept])", "_widen(logits[kept]) * 1.0"),
        },
    ),
    _ce(
        "always-minus-100",
        "you leave out the targets -100, whatever ignore_index is.",
        {KEPT: "kept = targets != -100"},
    ),
    _ce(
        "sum",
        "you sum the losses: divide by the number of tokens that count.",
        {MEAN: MEAN.replace(" / max(len(losses), 1)", "")},
    ),
    _ce("no-mean", "you return one loss a token: take their mean.", {MEAN: "return losses.to(logits.dtype)"}),
    _ce(
        "ignored-in-the-denominator",
        "you divide by all tokens, the ignored ones among them: divide by those that count.",
        {MEAN: MEAN.replace("len(losses)", "targets.numel()")},
    ),
    _ce(
        "ignored-as-token-zero",
        "you give ignored positions the target 0 and let them count: they must add nothing to the sum and nothing to the number of tokens.",
        {
            KEPT: "targets = targets.masked_fill(targets == ignore_index, 0)\n    kept = torch.ones_like(targets, dtype=torch.bool)"
        },
    ),
    _ce(
        "nothing-ignored",
        "you do not leave out the positions that ignore_index marks.",
        {KEPT: "kept = torch.ones_like(targets, dtype=torch.bool)"},
    ),
    _ce(
        "negative-targets-ignored",
        "you leave out every negative target, whatever ignore_index is.",
        {KEPT: "kept = targets >= 0"},
    ),
    _ce(
        "mean-of-means",
        "you take the mean of each sequence first, then the mean of those: tokens of sequences with many ignored positions then count more. One mean over all tokens.",
        {
            MEAN: """rows = torch.zeros(targets.shape, dtype=losses.dtype).masked_scatter(kept, losses)
    counts = kept.sum(dim=-1).clamp_min(1) if targets.dim() else kept.long()
    return (rows.sum(dim=-1) / counts if targets.dim() else rows / 1).mean().to(logits.dtype)"""
        },
    ),
    _ce(
        "empty-is-nan",
        "where every token is ignored you divide 0 by 0: the loss must be 0.",
        {MEAN: "return losses.mean().to(logits.dtype)"},
    ),
    _ce(
        "empty-without-graph",
        "where every token is ignored you return a new 0: it does not hang on the logits, so no gradient of 0 reaches them.",
        {MEAN: f"if not len(losses): return torch.zeros((), dtype=logits.dtype)\n    {MEAN}"},
    ),
    _ce(
        "softmax-twice",
        "you take the softmax twice: logits come in, and log_softmax is a softmax already.",
        {LOGP: "log_probabilities = log_softmax(log_softmax(_widen(logits[kept]), dim=-1).exp(), dim=-1)"},
    ),
    _ce(
        "no-softmax",
        "you treat the logits as log-probabilities: the log_softmax is missing.",
        {LOGP: "log_probabilities = _widen(logits[kept])"},
    ),
    _ce(
        "shifts-the-targets",
        "you shift the targets by one against the logits: the caller has done that already.",
        {
            CE_CHECK: "_check_shapes(logits, targets)\n    logits, targets = (logits[..., :-1, :], targets[..., 1:]) if targets.dim() else (logits, targets)"
        },
    ),
    _ce(
        "classes-on-axis-one",
        "you expect the vocabulary on axis 1, as torch's own loss does: here it is the last axis.",
        {
            CE_CHECK: "logits = logits.movedim(1, -1) if logits.dim() > 1 else logits\n    _check_shapes(logits, targets)"
        },
    ),
    _ce("smoothing-ignored", "you ignore label_smoothing.", {ASKED: "if False:"}),
    _ce(
        "smoothing-over-the-others",
        "you spread label_smoothing over the other vocab - 1 classes: it is spread over all of them, the target's among them.",
        {UNIFORM: "uniform = -(log_probabilities.sum(dim=-1) + losses) / max(log_probabilities.shape[-1] - 1, 1)"},
    ),
    _ce(
        "smoothing-on-top",
        "you add the smoothing to the whole loss: the target's part has to shrink to 1 - label_smoothing.",
        {SMOOTHED: SMOOTHED.replace("(1 - label_smoothing) * ", "")},
    ),
    _ce(
        "smoothing-detached",
        "no gradient flows through the smoothing's part of your loss (detach, .data or no_grad).",
        {UNIFORM: f"{UNIFORM}.detach()"},
    ),
    _ce(
        "zero-times-infinity",
        "without smoothing you multiply its term with 0: where a logit is -inf, 0 * inf is NaN. Leave the term out.",
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
        "you take the mean of the batches' perplexities, each by its tokens: the mean is that of the losses, and the exponential comes last.",
        {EXP: "return ((_widen(losses).exp() * num_tokens).sum() / total).to(losses.dtype)"},
    ),
    _perplexity(
        "batches-weigh-the-same",
        "you take the plain mean of the losses: a batch counts by its num_tokens.",
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
        "you limit the mean loss before the exponential: a hopeless model's perplexity is as large as it is.",
        {EXP: EXP.replace("mean.exp()", "mean.clamp(max=20).exp()")},
    ),
    _perplexity(
        "a-batch-of-nothing-is-refused",
        "you refuse losses of which one batch has no tokens (ValueError): such a batch has no weight.",
        {NO_TOKENS: "if total < 1 or bool((num_tokens == 0).any()):"},
    ),
    _perplexity("of-nothing", "without any token you divide 0 by 0: raise a ValueError.", {NO_TOKENS: "if False:"}),
]

BITS_PER_BYTE = [
    _bits("are-nats", "your value is in nats: divide by log(2) for bits.", {BITS: "bits_per_token = _widen(loss)"}),
    _bits(
        "upside-down",
        "your ratio is upside down: tokens stand above, bytes below.",
        {RATIO: RATIO.replace("num_tokens / num_bytes", "num_bytes / max(num_tokens, 1)")},
    ),
    _bits(
        "times-log-two",
        "you multiply by log(2), which makes the number smaller: nats to bits is a division.",
        {BITS: BITS.replace("/", "*")},
    ),
    _bits(
        "per-token",
        "your value is in bits per token: multiply by num_tokens and divide by num_bytes.",
        {RATIO: "return bits_per_token.to(loss.dtype)"},
    ),
    _bits(
        "whole-division",
        "you divide by `//`, which gives whole numbers: tokens are fewer than bytes, so that is 0.",
        {RATIO: RATIO.replace("num_tokens / num_bytes", "num_tokens // num_bytes")},
    ),
    _bits(
        "no-tokens-refused",
        "you refuse a text without tokens (ValueError): only num_bytes has to be 1 or more.",
        {NO_BYTES: "if num_bytes < 1 or num_tokens < 1:"},
    ),
    _bits(
        "half-precision",
        "you multiply in half precision: loss * num_tokens exceeds 65504. Compute in float32.",
        {BITS: "bits_per_token = loss / math.log(2) * num_tokens", RATIO: "return bits_per_token / num_bytes"},
    ),
    _bits("of-nothing", "without any byte there is no bits per byte: raise a ValueError.", {NO_BYTES: "if False:"}),
]

SHORTCUTS = [
    Mistake(
        "uses-torch-nll-loss",
        "negative_log_likelihood",
        "your negative_log_likelihood calls torch.nn.functional.nll_loss, the very thing that you are to write.",
        {
            NLL_RETURN: "return torch.nn.functional.nll_loss(log_probabilities.reshape(-1, vocab), targets.reshape(-1), reduction='none').view_as(targets)"
        },
    ),
    Mistake(
        "uses-torch-log-softmax",
        "log_softmax",
        "your log_softmax calls torch.log_softmax, the very thing that you are to write.",
        {DIFFERENCE: "return torch.log_softmax(scores, dim)"},
    ),
    Mistake(
        "uses-torch-cross-entropy",
        "cross_entropy",
        "your cross_entropy calls torch.nn.functional.cross_entropy, the very thing that you are to write.",
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
