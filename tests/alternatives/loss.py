"""Right answers that look different from the solution: every one of them must pass."""

import functools
import math

import torch

from grader.checking import alternative

# At the end of the solution's source, where the alternatives are tried, these names are there already.
if "log_softmax" not in globals():
    from solutions.loss import log_softmax, negative_log_likelihood


def _wide(tensor):
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _refuse(scores, targets, ignored=None):
    if list(scores.shape[:-1]) != list(targets.shape):
        raise ValueError("bad shapes")
    for target in targets.flatten().tolist():
        if target != ignored and not 0 <= target < scores.shape[-1]:
            raise ValueError(f"no such token: {target}")


@alternative("negative_log_likelihood")
def losses_by_take_along_dim(log_probabilities, targets):
    _refuse(log_probabilities, targets)
    return torch.take_along_dim(log_probabilities, targets[..., None], dim=-1)[..., 0].neg()


@alternative("negative_log_likelihood")
def losses_by_two_indices(log_probabilities, targets):
    _refuse(log_probabilities, targets)
    rows = log_probabilities.reshape(-1, log_probabilities.shape[-1])  # (*batch, vocab) -> (positions, vocab)
    return -rows[torch.arange(len(rows)), targets.reshape(-1)].reshape(targets.shape)


@alternative("negative_log_likelihood")
def losses_by_choice(log_probabilities, targets):
    _refuse(log_probabilities, targets)
    ids = torch.arange(log_probabilities.shape[-1])
    return torch.where(ids == targets.unsqueeze(-1), -log_probabilities, 0.0).sum(-1)


@alternative("negative_log_likelihood")
def losses_by_mask(log_probabilities, targets):
    _refuse(log_probabilities, targets)
    hit = torch.arange(log_probabilities.shape[-1]) == targets.unsqueeze(-1)
    return (0 - log_probabilities[hit]).view(targets.shape)


@alternative("negative_log_likelihood")
def losses_one_by_one(log_probabilities, targets):
    _refuse(log_probabilities, targets)
    rows = log_probabilities.flatten(0, -2) if log_probabilities.dim() > 1 else log_probabilities[None]
    if not len(rows):
        return log_probabilities.sum(dim=-1)
    return torch.stack([-row[i] for row, i in zip(rows, targets.flatten(), strict=True)]).reshape(targets.shape)


@alternative("negative_log_likelihood")
def losses_by_flat_index(log_probabilities, targets):
    _refuse(log_probabilities, targets)
    first = torch.arange(targets.numel()) * log_probabilities.shape[-1]
    return (
        -log_probabilities.flatten()
        .index_select(0, first + targets.flatten())
        .unflatten(0, targets.shape or (1,))
        .reshape(targets.shape)
    )


@alternative("log_softmax")
def log_softmax_by_detached_maximum(scores, dim):
    if not torch.is_floating_point(scores):
        raise ValueError(f"got {scores.dtype}")
    upcast = _wide(scores)
    shifted = upcast - torch.max(upcast.detach(), dim=dim, keepdim=True).values
    return shifted.sub(shifted.exp().sum(dim, keepdim=True).log()).to(scores.dtype)


@alternative("log_softmax")
def log_softmax_in_float64(scores, dim):
    if not scores.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {scores.dtype}")
    last = scores.double().movedim(dim, -1)
    last = last - last.max(-1, keepdim=True)[0]
    return (last - torch.log(torch.einsum("...j->...", last.exp()))[..., None]).movedim(-1, dim).to(scores.dtype)


@alternative("log_softmax")
def log_softmax_row_by_row(scores, dim):
    if not torch.is_floating_point(scores):
        raise ValueError(f"got {scores.dtype}")
    rows = _wide(scores).transpose(dim, -1)
    done = [row - row.max() for row in rows.reshape(-1, rows.shape[-1])]
    done = [row - torch.log(torch.exp(row).sum()) for row in done]
    result = torch.stack(done).reshape(rows.shape) if done else rows
    return result.transpose(dim, -1).to(scores.dtype)


@alternative("log_softmax")
def log_softmax_by_quotients(scores, dim):
    """Adds log(1 / sum) instead of subtracting log(sum)."""
    if not scores.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {scores.dtype}")
    upcast = _wide(scores)
    shifted = upcast - upcast.amax(dim, keepdim=True)
    return (shifted + torch.log(1 / shifted.exp().sum(dim, keepdim=True))).to(scores.dtype)


@alternative("log_softmax")
def log_softmax_in_base_two(scores, dim):
    if not torch.is_floating_point(scores):
        raise ValueError(f"got {scores.dtype}")
    upcast = _wide(scores)
    shifted = upcast - upcast.amax(dim, keepdim=True)
    total = torch.exp2(shifted * math.log2(math.e)).sum(dim, keepdim=True)
    return (shifted - torch.log2(total) * math.log(2)).to(scores.dtype)


@alternative("log_softmax")
def log_softmax_by_sorted_sum(scores, dim):
    if not scores.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {scores.dtype}")
    upcast = _wide(scores)
    top = upcast.sort(dim, descending=True).values
    first = top.narrow(dim, 0, 1)
    rest = (top.narrow(dim, 1, top.shape[dim] - 1) - first).exp().sum(dim, keepdim=True)
    return (upcast - first - torch.log1p(rest)).to(scores.dtype)


@alternative("cross_entropy")
def cross_entropy_by_weights(logits, targets, ignore_index=-100, label_smoothing=0.0):
    if not torch.is_floating_point(logits):
        raise ValueError(f"got {logits.dtype}")
    _refuse(logits, targets, ignore_index)
    counts = targets.ne(ignore_index)
    logp = log_softmax(_wide(logits), -1)
    losses = negative_log_likelihood(logp, targets.where(counts, 0))
    if label_smoothing:
        losses = torch.lerp(losses, -logp.mean(-1), label_smoothing)
    return (losses.where(counts, 0).sum() / counts.sum().clamp(min=1)).to(logits.dtype)


@alternative("cross_entropy")
def cross_entropy_by_log_sum(logits, targets, ignore_index=-100, label_smoothing=0.0):
    if not logits.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {logits.dtype}")
    _refuse(logits, targets, ignore_index)
    flat, ids = _wide(logits).reshape(-1, logits.shape[-1]), targets.reshape(-1)
    flat, ids = flat[ids != ignore_index], ids[ids != ignore_index]
    shifted = flat - flat.detach().amax(-1, keepdim=True)
    log_sum = shifted.exp().sum(-1).log()
    wanted = shifted.gather(1, ids[:, None])[:, 0]
    if label_smoothing != 0:
        wanted = (1 - label_smoothing) * wanted + label_smoothing * shifted.mean(-1)
    total = (log_sum - wanted).sum()
    return (total / len(ids) if len(ids) else total).to(logits.dtype)


@alternative("cross_entropy")
def cross_entropy_by_soft_targets(logits, targets, ignore_index=-100, label_smoothing=0.0):
    if not torch.is_floating_point(logits):
        raise ValueError(f"got {logits.dtype}")
    _refuse(logits, targets, ignore_index)
    vocab = logits.shape[-1]
    kept = (targets.reshape(-1) != ignore_index).nonzero()[:, 0]
    logp = log_softmax(logits.reshape(-1, vocab)[kept].double(), dim=-1)
    hit = torch.arange(vocab) == targets.reshape(-1, 1)[kept]
    shares = torch.full_like(logp, label_smoothing / vocab) + hit * (1 - label_smoothing)
    losses = torch.where(shares > 0, -shares * logp, torch.zeros_like(logp)).sum(-1)
    return (losses.sum() / max(1, losses.numel())).to(logits.dtype)


@alternative("cross_entropy")
def cross_entropy_token_by_token(logits, targets, ignore_index=-100, label_smoothing=0.0):
    if not logits.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {logits.dtype}")
    _refuse(logits, targets, ignore_index)
    total, count = _wide(logits)[..., :0].sum(), 0
    rows = zip(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1).tolist(), strict=True)
    for row, target in rows:
        if target == ignore_index:
            continue
        logp = log_softmax(_wide(row), 0)
        loss = -logp[target]
        if label_smoothing:
            loss = loss - label_smoothing * (logp.mean() - logp[target])
        total, count = total + loss, count + 1
    return (total / (count or 1)).to(logits.dtype)


class _SoftmaxMinusTarget(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, shares):
        shifted = logits - logits.amax(-1, keepdim=True)
        logp = shifted - shifted.exp().sum(-1, keepdim=True).log()
        ctx.save_for_backward(logp.exp() - shares)
        return torch.where(shares > 0, -shares * logp, 0.0).sum() / max(len(logits), 1)

    @staticmethod
    def backward(ctx, upstream):
        (slope,) = ctx.saved_tensors
        return upstream * slope / max(len(slope), 1), None


@alternative("cross_entropy")
def cross_entropy_with_its_own_gradient(logits, targets, ignore_index=-100, label_smoothing=0.0):
    if not torch.is_floating_point(logits):
        raise ValueError(f"got {logits.dtype}")
    _refuse(logits, targets, ignore_index)
    kept = targets != ignore_index
    rows, vocab = _wide(logits[kept]), logits.shape[-1]
    hit = (torch.arange(vocab) == targets[kept][:, None]).to(rows.dtype)
    loss = _SoftmaxMinusTarget.apply(rows, (1 - label_smoothing) * hit + label_smoothing / vocab)
    return loss.to(logits.dtype)


@alternative("perplexity")
def perplexity_by_shares(losses, num_tokens):
    if num_tokens.numel() == 0 or num_tokens.sum() == 0:
        raise ValueError("no tokens")
    shares = num_tokens.double() / num_tokens.sum()
    return torch.exp(losses.double() @ shares).to(losses.dtype)


@alternative("perplexity")
def perplexity_in_a_loop(losses, num_tokens):
    total, count = 0.0, 0
    for loss, tokens in zip(losses.tolist(), num_tokens.tolist(), strict=True):
        total, count = total + loss * tokens, count + tokens
    if not count:
        raise ValueError("there is nothing to be perplexed by")
    return torch.tensor(math.exp(total / count), dtype=losses.dtype)


@alternative("perplexity")
def perplexity_token_by_token(losses, num_tokens):
    every = torch.repeat_interleave(_wide(losses), num_tokens)
    if len(every) == 0:
        raise ValueError("no tokens")
    return every.mean().exp().to(losses.dtype)


@alternative("perplexity")
def perplexity_as_a_product(losses, num_tokens):
    """The geometric mean of the batches' perplexities, each by its share of the tokens."""
    if not (num_tokens > 0).any():
        raise ValueError("no tokens")
    return _wide(losses).exp().pow(num_tokens / num_tokens.sum()).prod().to(losses.dtype)


@alternative("perplexity")
def perplexity_as_a_running_mean(losses, num_tokens):
    pairs = [(loss, int(n)) for loss, n in zip(losses.double(), num_tokens, strict=True) if n]
    if not pairs:
        raise ValueError("no tokens")

    def join(one, other):
        both = one[1] + other[1]
        return one[0] + (other[0] - one[0]) * (other[1] / both), both

    return functools.reduce(join, pairs)[0].exp().to(losses.dtype)


@alternative("bits_per_byte")
def bits_by_log2_of_e(loss, num_tokens, num_bytes):
    if num_bytes <= 0:
        raise ValueError("no bytes")
    return (_wide(loss) * num_tokens * math.log2(math.e) / num_bytes).to(loss.dtype)


@alternative("bits_per_byte")
def bits_by_log2_of_perplexity(loss, num_tokens, num_bytes):
    if num_bytes <= 0:
        raise ValueError("no bytes")
    return (loss.double().exp().log2() * num_tokens / num_bytes).to(loss.dtype)


@alternative("bits_per_byte")
def bits_by_python_numbers(loss, num_tokens, num_bytes):
    if num_bytes <= 0:
        raise ValueError("no bytes")
    return torch.tensor(loss.item() * num_tokens / (num_bytes * math.log(2)), dtype=loss.dtype)


@alternative("bits_per_byte")
def bits_by_torch_log(loss, num_tokens, num_bytes):
    if not num_bytes > 0:
        raise ValueError("no bytes")
    nats = loss.float() if loss.itemsize < 4 else loss
    return torch.div(nats, torch.tensor(2.0, dtype=nats.dtype).log()).mul(num_tokens).div(num_bytes).type_as(loss)


@alternative("bits_per_byte")
def bits_by_nats_per_byte(loss, num_tokens, num_bytes):
    if num_bytes < 1:
        raise ValueError("no bytes")
    nats_per_byte = loss.to(torch.float64) / num_bytes * num_tokens
    return (nats_per_byte / torch.log(torch.full_like(nats_per_byte, 2))).to(loss.dtype)
