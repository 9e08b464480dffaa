r"""Loss: one number that says how much a text surprised the model.

At each position a language model gives a score (a logit) to every token of its vocabulary. What came next in the text
is known, so the answer can be marked: the loss of a position is -log p, where p is the probability that the model gave
to the token that really came. A sure and right model has loss 0, one that only guesses among `vocab` tokens has
log(vocab), and one that was sure of something else pays without limit. Training does nothing but lower the mean of it.

The exercises build on one another:

1. `negative_log_likelihood` picks, from log-probabilities, the one of the token that came.
2. `log_softmax` makes log-probabilities of any scores, without overflow and without the logarithm of 0.
3. `cross_entropy` is both in one, averaged over the tokens that count: the loss that `backward()` starts from.
4. `perplexity` turns the losses of many batches into one number that people can read: "as unsure as among k tokens".
5. `bits_per_byte` makes models comparable that cut the text into different tokens.

The vocabulary is the last axis throughout, (batch, seq, vocab), and every logarithm is the natural one. (torch's own
cross entropy has the classes on axis 1.) Targets are the tokens that came: the caller has shifted them by one already.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def negative_log_likelihood(
    log_probabilities: Float[Tensor, "*batch vocab"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    r"""Say for each position how surprising its target was: minus the log-probability that it had been given.

    One value a position, no mean. Any number of leading axes, none or an empty one among them. The memory that it
    takes grows with the number of positions, not with its square.

    Math:
        losses[t] = -log_probabilities[t, targets[t]]   for each position t

    Args:
        log_probabilities: Logarithms of probabilities: at most 0. -inf is allowed, for a probability of 0.
        targets: Ids of the tokens that came, int64, from 0 to vocab - 1.

    Returns:
        The losses, in the dtype of `log_probabilities`. The log-probabilities of other tokens have no part in them,
        also where they are -inf; the gradient is -1 at each target and 0 elsewhere.

    Raises:
        ValueError: The shape of `targets` is not that of `log_probabilities` without its last axis, or a target is
            below 0 or above vocab - 1.

    Example:
        >>> log_probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]).log()
        >>> negative_log_likelihood(log_probabilities, torch.tensor([0, 2]))
        tensor([0.6931, 2.3026])

    Pitfalls:
        * `log_probabilities[..., targets]` takes every target for every position, not each position's own.
        * `gather` wants an index with as many axes as its input: targets need an axis of size 1 at the end, and the
          result has one too many.
        * A product with a one-hot vector is NaN where a log-probability is -inf: 0 * inf.
        * Python's indexing takes -1 for the last token, and `gather` is content with too few targets: check both.

    Source:
        Goodfellow, Bengio and Courville 2016, section 5.5.1. https://www.deeplearningbook.org

    Not allowed: torch.nn.functional.nll_loss, torch.nn.NLLLoss, torch.nn.functional.cross_entropy,
        torch.nn.CrossEntropyLoss.
    """
    _check_shapes(log_probabilities, targets)
    vocab = log_probabilities.shape[-1]
    outside = (targets < 0) | (targets >= vocab)
    # Checked here, because -1 counts from the end in some ways of indexing, and crashes the device in others.
    if bool(outside.any()):
        raise ValueError(
            f"targets must be token ids from 0 to {vocab - 1}, got {int(targets[outside][0])}: "
            "leave out what is to be ignored first"
        )
    # (*batch) -> (*batch, 1): gather picks along the last axis, one token for each position.
    # It copies the picked numbers and multiplies nothing, so an -inf elsewhere stays without effect.
    picked = log_probabilities.gather(dim=-1, index=targets.unsqueeze(-1))
    # (*batch, 1) -> (*batch)
    return -picked.squeeze(-1)


def log_softmax(scores: Float[Tensor, "*shape"], dim: int) -> Float[Tensor, "*shape"]:
    r"""Turn scores into logarithms of probabilities that sum to 1 along one axis.

    The logarithm of a softmax is right on paper only: a probability of exp(-1000) is 0, its logarithm -inf and its
    gradient NaN. Written as a difference, nothing can go wrong: subtract the maximum m of each row first, so that the
    largest exponent is 0, and then the logarithm of the sum, which lies between 0 and log(size of the axis). In this
    order: m + log(...) in one number forgets the logarithm where m is large, as 1e30 does. float16 and bfloat16 are
    too coarse for the sum: compute those in float32 and cast back.

    Math:
        log_softmax(s)[i] = (s[i] - m) - log sum_j exp(s[j] - m),  m = max_j s[j]

    Args:
        scores: Floating point, at least one axis. Finite scores of any size are right; -inf is allowed next to finite
            ones and gives -inf.
        dim: The axis along which the probabilities sum to 1; negative counts from the end. It holds at least one
            score, the other axes may be empty.

    Returns:
        The log-probabilities, a new tensor in the shape and dtype of `scores`. Where all scores along `dim` are -inf
        there is no probability to share out, and the result is NaN.

    Raises:
        ValueError: `scores` is not floating point; the message gives its dtype.

    Example:
        >>> log_softmax(torch.tensor([[0.0, 0.0], [1000.0, -1000.0]]), dim=-1)
        tensor([[-6.9315e-01, -6.9315e-01],
                [ 0.0000e+00, -2.0000e+03]])

    Pitfalls:
        * log(softmax(s)) underflows, and log(softmax(s) + 1e-9) is wrong for every token less likely than that.
        * The maximum belongs to the row: with one for the whole tensor, a row far below it becomes log(0).
        * `dim` may be any axis; keepdim=True lets the maximum and the sum broadcast.
        * `scores -= ...` would change the caller's tensor.

    Source:
        Blanchard, Higham and Higham 2019, section 1 (the shift by the maximum). https://arxiv.org/abs/1909.03469

    Not allowed: torch.log_softmax, torch.nn.functional.log_softmax, torch.special.log_softmax, torch.nn.LogSoftmax,
        torch.softmax, torch.nn.functional.softmax, torch.special.softmax, torch.nn.Softmax,
        torch.nn.functional.softmin, torch.nn.Softmin, torch.logsumexp, torch.special.logsumexp, torch.logcumsumexp,
        torch.nn.functional.cross_entropy, torch.nn.CrossEntropyLoss.
    """
    # The result comes in this dtype, and whole numbers would cut off all that matters of it.
    if not scores.is_floating_point():
        raise ValueError(f"log_softmax needs floating-point scores, got {scores.dtype}")
    # A float16 sum of a large vocabulary is inf, one in bfloat16 has 8 bits: float32 for both.
    wide = _widen(scores)
    # keepdim: one maximum for each row, in an axis of size 1 that broadcasts against the scores.
    # exp cannot overflow now, and the sum has a term of exactly 1, so its logarithm exists.
    shifted = wide - wide.amax(dim=dim, keepdim=True)
    log_sum = shifted.exp().sum(dim=dim, keepdim=True).log()
    # Small from small: the maximum is gone from both, so no digit drowns in it.
    return (shifted - log_sum).to(scores.dtype)


def cross_entropy(
    logits: Float[Tensor, "*batch vocab"],
    targets: Int[Tensor, "*batch"],
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    r"""Average the negative log-likelihood of the targets over all tokens that are not ignored.

    Padding and prompts are marked in `targets` by `ignore_index`: such a position adds nothing to the loss, is not
    counted, and its logits get a gradient of 0. Label smoothing asks the model to be a little less sure: each target
    gets the share 1 - label_smoothing, and label_smoothing is spread evenly over all classes, the target's among them.

    Math:
        logp[t]   = log_softmax(logits[t])
        losses[t] = -(1 - label_smoothing) * logp[t, targets[t]] - label_smoothing * sum_v logp[t, v] / vocab
        loss      = sum_t losses[t] / n,  both over the n positions t where targets[t] != ignore_index
        d loss / d logits[t, v] = (softmax(logits[t])[v] - share[t, v]) / n,
            share[t, v] = (1 - label_smoothing) * (v == targets[t]) + label_smoothing / vocab

    Args:
        logits: The model's scores: finite, of any size. With label_smoothing = 0 a logit of -inf is allowed as well,
            for a token that cannot come: it changes nothing as long as it is not the target's. At ignored positions
            it changes nothing either.
        targets: Ids of the tokens that came, int64, or `ignore_index`.
        ignore_index: Marks the positions that do not count. Any number, a token's id (that of padding) too.
        label_smoothing: From 0 to 1. 0 = none.

    Returns:
        The mean, a tensor without axes in the dtype of `logits`. For float16 and bfloat16 all steps, the mean too, run
        in float32 (or wider) and only the result is rounded. Where every position is ignored, or there is none, the
        loss is 0.0 and the gradient is 0 throughout, so that an empty batch leaves the model as it is. (torch's own
        gives NaN there.)

    Raises:
        ValueError: `logits` is not floating point; the message gives its dtype.
        ValueError: The shape of `targets` is not that of `logits` without its last axis, or a target that is not
            ignored is below 0 or above vocab - 1.

    Example:
        >>> logits = torch.zeros(1, 3, 8)  # the model only guesses, among 8 tokens
        >>> cross_entropy(logits, torch.tensor([[5, 0, -100]]))  # the last one is ignored
        tensor(2.0794)
        >>> math.log(8)
        2.0794415416798357

    Pitfalls:
        * Logits come in, not probabilities: the softmax happens in here, and only once.
        * One mean over all tokens: a mean of each sequence's mean gives the tokens of short sequences more weight.
        * The mean divides by the tokens that count, not by all; by 1 where there are none, since 0 / 0 is NaN.
        * The smoothed share is label_smoothing / vocab for each class, not label_smoothing / (vocab - 1) for others.
        * 0 * inf is NaN: without smoothing, leave its term out and don't multiply it with 0.
        * Some 10000 losses of 10 are beyond float16: widen before the sum.

    Source:
        Szegedy et al. 2016, section 7 (label smoothing). https://arxiv.org/abs/1512.00567

    Not allowed: torch.nn.functional.cross_entropy, torch.nn.CrossEntropyLoss,
        torch.nn.functional.linear_cross_entropy, torch.nn.LinearCrossEntropyLoss, torch.nn.functional.nll_loss,
        torch.nn.NLLLoss, torch.log_softmax, torch.nn.functional.log_softmax, torch.special.log_softmax,
        torch.nn.LogSoftmax, torch.softmax, torch.nn.functional.softmax, torch.special.softmax, torch.nn.Softmax,
        torch.nn.functional.softmin, torch.nn.Softmin, torch.logsumexp, torch.special.logsumexp, torch.logcumsumexp.
    """
    # The result comes in this dtype, and whole numbers would cut off all that matters of it.
    if not logits.is_floating_point():
        raise ValueError(f"cross_entropy needs floating-point logits, got {logits.dtype}")
    _check_shapes(logits, targets)
    kept = targets != ignore_index
    # (*batch, vocab) -> (n, vocab) and (*batch) -> (n): what is ignored goes first, so that nothing of it is left to
    # count, and its gradient is 0 whatever its logits are.
    # Widened here and not in log_softmax alone, which would cast back: one rounding, at the very end.
    log_probabilities = log_softmax(_widen(logits[kept]), dim=-1)
    losses = negative_log_likelihood(log_probabilities, targets[kept])
    if label_smoothing > 0:  # asked, since 0 times the -inf of an impossible token would be NaN
        # (n, vocab) -> (n): the mean over all classes is their sum with the share 1 / vocab each.
        uniform = -log_probabilities.mean(dim=-1)
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    # An empty sum is 0 and still hangs on the graph: over 1 it is a loss of 0 with a gradient of 0, over 0 it is NaN.
    return (losses.sum() / max(len(losses), 1)).to(logits.dtype)


def perplexity(losses: Float[Tensor, " batches"], num_tokens: Int[Tensor, " batches"]) -> Float[Tensor, ""]:
    r"""Make one readable number of the mean losses of several batches: the exponential of their common mean.

    A model with perplexity k is as unsure as one that guesses among k tokens. The mean is over all tokens, as if all
    batches had been one: a batch with twice as many tokens counts twice, and the exponential comes last.

    Math:
        perplexity = exp(sum_b losses[b] * num_tokens[b] / sum_b num_tokens[b])

    Args:
        losses: The mean loss of each batch, in nats (natural logarithm) per token, as `cross_entropy` gives it.
        num_tokens: How many tokens that mean was over, for each batch; int64. A batch with 0 tokens has no weight.

    Returns:
        The perplexity, a tensor without axes in the dtype of `losses`; float16 and bfloat16 are computed in float32.
        No gradient need flow: it is for reading, not for training.

    Raises:
        ValueError: No batch has any token, or there is no batch.

    Example:
        >>> losses = torch.tensor([2.0, 4.0]).log()  # as sure as among 2 tokens, and as among 4
        >>> perplexity(losses, torch.tensor([30, 10]))
        tensor(2.3784)

    Pitfalls:
        * The mean of the batches' perplexities is another, larger number: one bad batch outweighs all.
        * A plain mean of the losses is right only where all batches hold the same number of tokens. The last rarely
          does.
        * loss * num_tokens is beyond 65504 soon: too much for float16.

    Source:
        Jurafsky and Martin, Speech and Language Processing, 3rd edition draft, chapter 3.
        https://web.stanford.edu/~jurafsky/slp3/
    """
    total = num_tokens.sum()
    if total < 1:  # 0 / 0 would be NaN, and no number is the perplexity of no text
        raise ValueError("perplexity needs at least one token: every entry of num_tokens is 0, or there is none")
    # Back from means to sums, so that each token has the same weight, whichever batch it was in.
    # Widened before the product: a few thousand tokens bring it beyond what float16 holds.
    mean = (_widen(losses) * num_tokens).sum() / total
    return mean.exp().to(losses.dtype)  # exp last: it bends, so the mean of exponentials would be another number


def bits_per_byte(loss: Float[Tensor, ""], num_tokens: int, num_bytes: int) -> Float[Tensor, ""]:
    r"""Say how many bits the model would need to store one byte of the text: a loss that no tokenizer can flatter.

    A loss per token depends on the tokens: longer ones are fewer and each is harder to guess. The loss of the whole
    text does not, and neither does the size of the text in bytes, so one over the other compares any two models. It is
    also the size that an ideal compressor with this model would reach, where the plain text has 8 bits a byte.

    Math:
        bits_per_byte = loss / log(2) * num_tokens / num_bytes

    Args:
        loss: The mean loss in nats (natural logarithm) per token, without axes.
        num_tokens: Over how many tokens that mean was, 0 or more.
        num_bytes: How many bytes the text of these tokens has in UTF-8, at least 1.

    Returns:
        The bits per byte, a tensor without axes in the dtype of `loss`; float16 and bfloat16 are computed in float32.
        No gradient need flow: it is for reading, not for training.

    Raises:
        ValueError: `num_bytes` is below 1.

    Example:
        >>> bits_per_byte(torch.tensor(math.log(2)), num_tokens=100, num_bytes=400)  # 1 bit a token, of 4 bytes each
        tensor(0.2500)

    Pitfalls:
        * Nats to bits is a division by log(2) = 0.693...: the number grows.
        * More bytes for the same tokens make the number smaller: bytes stand below.
        * Bytes, not characters: the text of "é" has 2.
        * loss * num_tokens is beyond 65504 soon: too much for float16.

    Source:
        Gao et al. 2020, section 3.1. https://arxiv.org/abs/2101.00027
    """
    if num_bytes < 1:
        raise ValueError(f"bits_per_byte needs a text of at least 1 byte, got num_bytes={num_bytes}")
    # 1 nat is 1 / log(2) = 1.44 bits, since e = 2 ** (1 / log(2)).
    bits_per_token = _widen(loss) / math.log(2)
    # The ratio first: with the number of tokens alone, half precision could overflow.
    return (bits_per_token * (num_tokens / num_bytes)).to(loss.dtype)


def _check_shapes(scores: Tensor, targets: Tensor) -> None:
    # Without this, gather reads the first rows only where there are fewer targets than positions.
    if targets.shape != scores.shape[:-1]:
        raise ValueError(
            f"one target a position: expected targets of shape {tuple(scores.shape[:-1])}, got {tuple(targets.shape)}; "
            "the vocabulary is the last axis of the scores"
        )


def _widen(x: Tensor) -> Tensor:
    # float16 ends at 65504 and bfloat16 has 8 significant bits: too little for sums over a vocabulary or a batch.
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
