r"""Loss: one number that says how much a text surprised the model.

At each position a language model gives a score (a logit) to every token of its vocabulary. The text shows which token
really came next, so each position can be graded: its loss is -log p, where p is the probability that the model gave to
that token. A model that is sure and right has loss 0. A model that gives each of `vocab` tokens the same probability
has loss log(vocab). A model that is sure of a wrong token has a loss without limit. Training minimizes the mean loss.

The exercises build on one another:

1. `negative_log_likelihood` picks the log-probability of the token that really came.
2. `log_softmax` turns any scores into log-probabilities, without overflow and without log(0).
3. `cross_entropy` combines both, averaged over the tokens that count: the loss that `backward()` starts from.
4. `perplexity` turns the losses of many batches into one readable number: "as unsure as between k equal tokens".
5. `bits_per_byte` compares models whose tokenizers cut the text differently.

The vocabulary is always the last axis, (batch, seq, vocab), and every logarithm is a natural one. (torch's own cross
entropy has the classes on axis 1.) Targets are the next tokens: the caller has already shifted them by one.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def negative_log_likelihood(
    log_probabilities: Float[Tensor, "*batch vocab"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    r"""Return the loss of each position: minus the log-probability of its target.

    Picture each position as a row of the model's log-probabilities, one per token. The target says which entry of the
    row to pick. There is one loss per position and no mean.

    Math:
        losses[t] = -log_probabilities[t, targets[t]]   for each position t

    Args:
        log_probabilities: Logarithms of probabilities: at most 0. -inf is allowed, for a probability of 0.
        targets: Ids of the next tokens, int64, from 0 to vocab - 1.

    Returns:
        The losses, in the dtype of `log_probabilities`, with any number of leading axes (none, or an empty one, too).
        The log-probabilities of other tokens have no effect, even if they are -inf: the gradient is -1 at each target
        and 0 elsewhere. Memory grows with the number of positions, not with its square.

    Raises:
        ValueError: The shape of `targets` differs from that of `log_probabilities` without its last axis, or a target
            is below 0 or above vocab - 1.

    Example:
        >>> log_probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]).log()
        >>> negative_log_likelihood(log_probabilities, torch.tensor([0, 2]))
        tensor([0.6931, 2.3026])

    Pitfalls:
        * `log_probabilities[..., targets]` takes every target for every position, not each position's own.
        * `gather` wants an index with as many axes as its input. What shape does it return then?
        * A product with a one-hot vector is NaN if a log-probability is -inf: 0 * inf.
        * Python's indexing takes -1 for the last token, and `gather` accepts too few targets: check both.

    Source:
        Goodfellow, Bengio and Courville 2016, section 5.5.1. https://www.deeplearningbook.org

    Not allowed: torch.nn.functional.nll_loss, torch.nn.NLLLoss, torch.nn.functional.cross_entropy,
        torch.nn.CrossEntropyLoss.
    """
    raise NotImplementedError("loss.negative_log_likelihood is still a stub")


def log_softmax(scores: Float[Tensor, "*shape"], dim: int) -> Float[Tensor, "*shape"]:
    r"""Turn scores into logarithms of probabilities that sum to 1 along one axis.

    Taking the softmax first and its logarithm afterwards works on paper only. In floating point, exp(-1000) is 0, its
    logarithm is -inf, and the gradient is NaN. So simplify the formula on paper first, until no intermediate value can
    become infinite or lose its digits, whatever the finite scores are.

    Math:
        log_softmax(s)[i] = log(exp(s[i]) / sum_j exp(s[j]))

    Args:
        scores: Floating-point scores, at least one axis. Results must be right for finite scores of any size (1e30,
            too). -inf is allowed next to finite scores and gives -inf.
        dim: The axis along which the probabilities sum to 1; a negative one counts from the end. It holds at least one
            score; the other axes may be empty.

    Returns:
        The log-probabilities, a new tensor with the shape and dtype of `scores`. float16 and bfloat16 are too coarse
        for the sum: compute them in float32 and cast back. If all scores along `dim` are -inf, there is no
        distribution, and the result is NaN.

    Raises:
        ValueError: `scores` is not floating point; the message gives its dtype.

    Example:
        >>> log_softmax(torch.tensor([[0.0, 0.0], [1000.0, -1000.0]]), dim=-1)
        tensor([[-6.9315e-01, -6.9315e-01],
                [ 0.0000e+00, -2.0000e+03]])

    Pitfalls:
        * log(softmax(s)) underflows, and log(softmax(s) + 1e-9) is wrong for every token less likely than that.
        * A number computed from the whole tensor does not suit every row: rows may differ by thousands.
        * `dim` may be any axis. Which argument of a reduction keeps the axis, so that the result broadcasts?
        * `scores -= ...` would change the caller's tensor.

    Source:
        Blanchard, Higham and Higham 2019, section 1. https://arxiv.org/abs/1909.03469

    Not allowed: torch.log_softmax, torch.nn.functional.log_softmax, torch.special.log_softmax, torch.nn.LogSoftmax,
        torch.softmax, torch.nn.functional.softmax, torch.special.softmax, torch.nn.Softmax,
        torch.nn.functional.softmin, torch.nn.Softmin, torch.logsumexp, torch.special.logsumexp, torch.logcumsumexp,
        torch.nn.functional.cross_entropy, torch.nn.CrossEntropyLoss.
    """
    raise NotImplementedError("loss.log_softmax is still a stub")


def cross_entropy(
    logits: Float[Tensor, "*batch vocab"],
    targets: Int[Tensor, "*batch"],
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    r"""Average the negative log-likelihood of the targets over all tokens that are not ignored.

    This is the number that training minimizes. Padding and prompts are marked in `targets` by `ignore_index`: such a
    position adds nothing to the loss, is not counted, and its logits get a gradient of 0. Label smoothing asks the
    model to be a little less sure: the target gets probability 1 - label_smoothing, and label_smoothing is spread
    evenly over all classes, including the target.

    Math:
        logp[t]   = log_softmax(logits[t])
        losses[t] = -(1 - label_smoothing) * logp[t, targets[t]] - label_smoothing * sum_v logp[t, v] / vocab
        loss      = sum_t losses[t] / n,  both over the n positions t where targets[t] != ignore_index
        d loss / d logits[t, v] = (softmax(logits[t])[v] - share[t, v]) / n,
            share[t, v] = (1 - label_smoothing) * (v == targets[t]) + label_smoothing / vocab

    Args:
        logits: The model's scores: finite, of any size. With label_smoothing = 0, a logit of -inf is also allowed, for
            an impossible token: it has no effect unless it is the target's. At ignored positions it never has.
        targets: Ids of the next tokens, int64, or `ignore_index`.
        ignore_index: Mark of positions that do not count. Any number, even a token's id (such as that of padding).
        label_smoothing: Probability that is spread over all classes, from 0 (no smoothing) to 1.

    Returns:
        The mean, a 0-d tensor in the dtype of `logits`. For float16 and bfloat16, all steps including the mean run in
        float32 (or wider), and only the result is rounded. If every position is ignored, or there is none, the loss is
        0.0 and the gradient is 0 everywhere, so that an empty batch leaves the model unchanged. (torch's own loss is
        NaN then.)

    Raises:
        ValueError: `logits` is not floating point; the message gives its dtype.
        ValueError: The shape of `targets` differs from that of `logits` without its last axis, or a target that is not
            ignored is below 0 or above vocab - 1.

    Example:
        >>> logits = torch.zeros(1, 3, 8)  # the model gives each of 8 tokens the same probability
        >>> cross_entropy(logits, torch.tensor([[5, 0, -100]]))  # the last one is ignored
        tensor(2.0794)
        >>> math.log(8)
        2.0794415416798357

    Pitfalls:
        * The inputs are logits, not probabilities: apply the softmax here, and only once.
        * Take one mean over all tokens: a mean of the sequences' means gives tokens of short sequences more weight.
        * Divide by the number of tokens that count, not by all. What if there are none? 0 / 0 is NaN.
        * Smoothing gives each class label_smoothing / vocab, not the other classes label_smoothing / (vocab - 1).
        * 0 * inf is NaN: without smoothing, leave its term out instead of multiplying it by 0.
        * The sum of 10000 losses of 10 is too large for float16: convert to float32 before the sum.

    Source:
        Szegedy et al. 2016, section 7 (label smoothing). https://arxiv.org/abs/1512.00567

    Not allowed: torch.nn.functional.cross_entropy, torch.nn.CrossEntropyLoss,
        torch.nn.functional.linear_cross_entropy, torch.nn.LinearCrossEntropyLoss, torch.nn.functional.nll_loss,
        torch.nn.NLLLoss, torch.log_softmax, torch.nn.functional.log_softmax, torch.special.log_softmax,
        torch.nn.LogSoftmax, torch.softmax, torch.nn.functional.softmax, torch.special.softmax, torch.nn.Softmax,
        torch.nn.functional.softmin, torch.nn.Softmin, torch.logsumexp, torch.special.logsumexp, torch.logcumsumexp.
    """
    raise NotImplementedError("loss.cross_entropy is still a stub")


def perplexity(losses: Float[Tensor, " batches"], num_tokens: Int[Tensor, " batches"]) -> Float[Tensor, ""]:
    r"""Turn the mean losses of several batches into one readable number: the exponential of the overall mean.

    A model with perplexity k is as unsure as one that chooses between k equally likely tokens. The mean is over all
    tokens, as if all batches had been one: a batch with twice as many tokens counts twice.

    Math:
        perplexity = exp(sum_b losses[b] * num_tokens[b] / sum_b num_tokens[b])

    Args:
        losses: The mean loss of each batch, in nats (natural logarithm) per token, as `cross_entropy` gives it.
        num_tokens: Number of tokens in each batch's mean, int64. A batch with 0 tokens has no weight.

    Returns:
        The perplexity, a 0-d tensor in the dtype of `losses`; float16 and bfloat16 are computed in float32. A gradient
        is not needed: the number is for people, not for training.

    Raises:
        ValueError: No batch has any tokens, or there is no batch.

    Example:
        >>> losses = torch.tensor([2.0, 4.0]).log()  # perplexity 2 in one batch, 4 in the other
        >>> perplexity(losses, torch.tensor([30, 10]))
        tensor(2.3784)

    Pitfalls:
        * The mean of the batches' perplexities is not the same: one bad batch dominates it. Which comes last, the mean
          or the exponential?
        * A plain mean of the losses is right only if all batches have the same number of tokens. The last batch often
          has fewer.
        * loss * num_tokens soon exceeds 65504, the limit of float16.

    Source:
        Jurafsky and Martin, Speech and Language Processing, 3rd edition draft, chapter 3.
        https://web.stanford.edu/~jurafsky/slp3/
    """
    raise NotImplementedError("loss.perplexity is still a stub")


def bits_per_byte(loss: Float[Tensor, ""], num_tokens: int, num_bytes: int) -> Float[Tensor, ""]:
    r"""Compute how many bits the model needs to store one byte of the text: a loss that the tokenizer cannot distort.

    A loss per token depends on the tokenizer: if tokens are longer, there are fewer, and each is harder to guess. The
    loss of the whole text and its size in bytes are not measured per token, so their ratio compares any two models. It
    is also the size that an ideal compressor with this model would reach, while the plain text has 8 bits per byte.

    Math:
        bits_per_byte = loss / log(2) * num_tokens / num_bytes

    Args:
        loss: The mean loss in nats (natural logarithm) per token, a 0-d tensor.
        num_tokens: Number of tokens in that mean, 0 or more.
        num_bytes: Size of the text of these tokens in UTF-8, in bytes, at least 1.

    Returns:
        The bits per byte, a 0-d tensor in the dtype of `loss`; float16 and bfloat16 are computed in float32. A gradient
        is not needed: the number is for people, not for training.

    Raises:
        ValueError: `num_bytes` is below 1.

    Example:
        >>> bits_per_byte(torch.tensor(math.log(2)), num_tokens=100, num_bytes=400)  # 1 bit per token of 4 bytes
        tensor(0.2500)

    Pitfalls:
        * Nats become bits when divided by log(2) = 0.693...: the number grows.
        * More bytes for the same tokens make the number smaller: divide by the bytes.
        * Count bytes, not characters: "é" has 2 bytes.
        * loss * num_tokens soon exceeds 65504, the limit of float16.

    Source:
        Gao et al. 2020, section 3.1. https://arxiv.org/abs/2101.00027
    """
    raise NotImplementedError("loss.bits_per_byte is still a stub")
