r"""Generation: how a trained model writes, one token at a time.

A language model does not write. Given a text, it says how likely each token of the vocabulary is to come next: one
number per token, the logits. Writing means choosing a token, appending it, and asking again. If you always take the
most likely token, the text is correct but soon repeats itself. If you draw from all tokens, you let in thousands of
tokens that are each unlikely, but not unlikely together. In practice, you do something in between: sharpen the
distribution, cut off its tail, and draw.

The exercises build on one another:

1. `greedy` takes the most likely token.
2. `temperature` makes the distribution sharper or flatter.
3. `top_k` keeps a fixed number of tokens.
4. `top_p` keeps the most likely tokens up to a total probability: few if the model is sure, many if it is not.
5. `sample` draws a token from the rest.
6. `generate` puts them together: prompts in, texts out, several at once. The checks use your own `model.TransformerLM`,
   but it works with any model that is called in the same way.

The first five work along the last axis, for any leading axes, and never write into their arguments. A removed token
has the logit -inf, so that its probability is exactly 0. No gradient is needed anywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def greedy(logits: Float[Tensor, "*batch vocab"]) -> Int[Tensor, "*batch"]:
    r"""Take the token with the largest logit.

    The largest logit has the largest probability: the softmax keeps the order, so you do not need it here. If several
    tokens share the largest logit, take the one with the lowest id, so that every machine writes the same text.

    Math:
        ids = min { i : logits[i] = max_j logits[j] }

    Args:
        logits: One number per token of the vocabulary, of any floating dtype. -inf is allowed.

    Returns:
        One id per row, int64: the last axis is gone, all others stay.

    Example:
        >>> greedy(torch.tensor([[0.1, 2.0, -1.0], [3.0, 0.0, 3.0]]))
        tensor([1, 0])

    Pitfalls:
        * The vocabulary is the last axis, however many axes come before it.
        * Return the id, not the logit: `max` along an axis gives both.
        * For equal logits, the last entry of `argsort` may not have the lowest id.

    Source:
        Holtzman et al. 2020, section 3, on decoding by maximization. https://arxiv.org/abs/1904.09751

    torch.argmax is allowed.
    """
    # argmax returns the first of several maxima, which has the lowest id: (*batch, vocab) -> (*batch)
    return logits.argmax(dim=-1)


def temperature(logits: Float[Tensor, "*batch vocab"], value: float) -> Float[Tensor, "*batch vocab"]:
    r"""Make the distribution sharper (below 1) or flatter (above 1).

    The softmax depends only on the differences between logits. Divided by a small number, they grow, and the most
    likely token gets nearly all the probability. Divided by a large number, they shrink, and all tokens become about
    equally likely.

    Math:
        y[i] = logits[i] / value

    Args:
        logits: One number per token, of any floating dtype. -inf stays -inf.
        value: The temperature, above 0. A temperature of 1 changes no value.

    Returns:
        A new tensor in the shape of `logits`. float32 and float64 keep their dtype. float16 and bfloat16 are divided
        and returned in float32: in float16, a logit of 40000 would become inf at a temperature of 0.5.

    Raises:
        ValueError: `value` is 0, negative or NaN. The message gives the value and says to use `greedy` for a
            temperature of 0: as the temperature goes to 0, the most likely token gets all the probability.

    Example:
        >>> temperature(torch.tensor([1.0, 0.0, -2.0]), 0.5)
        tensor([ 2.,  0., -4.])

    Pitfalls:
        * Divide, don't multiply: a low temperature makes the differences larger.
        * Divide the logits, not the probabilities: those would no longer sum to 1.
        * `logits /= value` would change the caller's tensor.
        * Convert to float32 before you divide: a value that is inf in float16 stays inf in float32.

    Source:
        Ackley, Hinton and Sejnowski 1985, section 2. https://doi.org/10.1207/s15516709cog0901_7
    """
    # `not ... > 0` also refuses NaN, for which every comparison is False.
    if not value > 0:
        raise ValueError(f"the temperature must be above 0, got {value}: for a temperature of 0 use greedy")
    return _widen(logits) / value


def top_k(logits: Float[Tensor, "*batch vocab"], k: int) -> Float[Tensor, "*batch vocab"]:
    r"""Keep the k largest logits of each row and set all others to -inf.

    A vocabulary has thousands of unlikely tokens, and drawing one of them can spoil the text. Exactly k tokens stay. If
    several equal logits compete for the last places, those with the lower ids stay.

    Math:
        rank[i] = number of j with logits[j] > logits[i]  +  number of j < i with logits[j] = logits[i]
        y[i]    = logits[i] if rank[i] < k, else -inf

    Args:
        logits: One number per token, of any floating dtype. Some may already be -inf and stay -inf.
        k: Number of tokens to keep, 1 or more. If it is at least the vocabulary size, all stay.

    Returns:
        A new tensor with the shape and dtype of `logits`: logits that stay keep their value and place.

    Raises:
        ValueError: k is less than 1; the message gives the k.

    Example:
        >>> top_k(torch.tensor([[1.0, 4.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]]), 2)
        tensor([[-inf, 4., -inf, 3.],
                [5., 5., -inf, -inf]])

    Pitfalls:
        * A comparison with the k-th largest value keeps every token equal to it, so possibly more than k.
        * torch.topk does not promise any order of equal values. torch.sort with stable=True keeps them in order of id.
        * Each row has its own k tokens.
        * Use -inf, not 0: a token with logit 0 may be likely.
        * k may be larger than the vocabulary: torch.topk refuses that.

    Source:
        Fan, Lewis and Dauphin 2018, section 5.4. https://arxiv.org/abs/1805.04833

    torch.sort, torch.argsort and torch.topk are allowed.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}: with no token left there is nothing to draw")
    # order[..., r] is the id of the token of rank r. Stable: equal logits stay in order of id.
    order = logits.argsort(dim=-1, descending=True, stable=True)
    # Which ranks stay, as a row that broadcasts over (*batch, vocab): the first k.
    kept_by_rank = torch.arange(logits.shape[-1], device=logits.device) < k
    return _keep(logits, order, kept_by_rank.expand_as(order))


def top_p(logits: Float[Tensor, "*batch vocab"], p: float) -> Float[Tensor, "*batch vocab"]:
    r"""Keep the smallest set of most probable tokens whose total probability is at least p.

    This is also called nucleus sampling. A fixed number of tokens is too many after "United States of" and too few
    after "I like". So sort the tokens from the most to the least probable (equal ones by id, the lower first), and keep
    as many from the start as it takes for their probabilities to sum to p or more. The token with which the sum reaches
    p stays too, so at least one token always stays. A sum of exactly p is enough.

    Math:
        q         = softmax(logits)
        before[i] = sum of q[j] over the tokens j that come before i in the sorted order
        y[i]      = logits[i] if before[i] < p, else -inf

    Args:
        logits: One number per token, of any floating dtype. Some, but not all, of a row may already be -inf: they have
            probability 0 and stay -inf.
        p: The probability to keep, above 0 and at most 1. With p = 1, every token with a probability above 0 stays,
            however small it is.

    Returns:
        A new tensor with the shape and dtype of `logits`: logits that stay keep their value and place. For float16 and
        bfloat16 the probabilities and their sums are computed in float32.

    Raises:
        ValueError: p is not above 0, or it is larger than 1; the message gives the p.

    Example:
        >>> logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()  # so the probabilities are these
        >>> top_p(logits, 0.6).exp()  # 0.5 is not enough, so 0.25 stays too
        tensor([0.0000, 0.5000, 0.0000, 0.2500])

    Pitfalls:
        * The token with which the sum reaches p belongs to the set: which sum decides, with or without the token?
        * The sums are in sorted order; the result must be in order of id again.
        * Sort and sum probabilities, but return logits.
        * In bfloat16, a sum of 0.5 does not change when you add 0.001.
        * With p = 1, rounding may bring the sum to 1 before the last tokens: they must stay all the same.

    Source:
        Holtzman et al. 2020, section 3.1, eq. 2. https://arxiv.org/abs/1904.09751

    torch.softmax, torch.sort, torch.argsort and torch.cumsum are allowed.
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, got {p}: it is the probability that is kept")
    if p == 1:
        return logits.clone()  # a sum that rounds to 1 too early must not remove a token
    # Widened first: thousands of small numbers are summed. Stable: equal logits stay in order of id.
    line, order = _widen(logits).sort(dim=-1, descending=True, stable=True)
    probabilities = torch.softmax(line, dim=-1)
    # The sum before each token, without the token itself: 0 for the first.
    before = probabilities.cumsum(dim=-1).roll(1, dims=-1)
    before[..., 0] = 0
    # A token is needed while the sum before it is below p: so the token that reaches p stays.
    return _keep(logits, order, before < p)


def sample(logits: Float[Tensor, "*batch vocab"], *, generator: torch.Generator | None = None) -> Int[Tensor, "*batch"]:
    r"""Draw a token at random, with the probabilities that the logits describe.

    Picture a wheel of fortune with one slice per token, as wide as its probability. Each row spins its own wheel, so
    rows with equal logits may get different tokens.

    Math:
        probability of token i = softmax(logits)[i] = exp(logits[i]) / sum_j exp(logits[j])

    Args:
        logits: One number per token, of any floating dtype and any size. A token with logit -inf is never drawn; at
            least one logit per row is not -inf.
        generator: Source of the draws, on the device of `logits`. None = torch's global one, which is not touched
            otherwise. The draws continue where the last call left the generator.

    Returns:
        One id per row, int64: the last axis is gone, all others (none or several) stay. `logits` stays unchanged. For
        float16 and bfloat16 the probabilities are computed in float32.

    Example:
        >>> inf = float("inf")
        >>> sample(torch.tensor([[-inf, 0.0, -inf], [500.0, 0.0, 0.0]]))  # only one token is possible in each row
        tensor([1, 0])

    Pitfalls:
        * The argmax is not a draw.
        * torch.multinomial accepts one or two axes: what do you do with the leading axes before and after?
        * It needs weights that are not negative, with any sum. So exp(logits) would do, if it did not overflow.
        * Its result has an extra axis for the number of draws, here of size 1.

    Source:
        Holtzman et al. 2020, section 3, on drawing from the model. https://arxiv.org/abs/1904.09751

    torch.softmax and torch.multinomial are allowed.
    """
    # The softmax subtracts the maximum, so logits of any size are safe; -inf becomes exactly 0.
    probabilities = torch.softmax(_widen(logits), dim=-1)
    # (*batch, vocab) -> (rows, vocab) for multinomial. Not -1 for rows: with an empty batch it would be ambiguous.
    rows = probabilities.reshape(logits.shape[:-1].numel(), logits.shape[-1])
    ids = torch.multinomial(rows, num_samples=1, generator=generator)
    # (rows, 1) -> (*batch)
    return ids.reshape(logits.shape[:-1])


def generate(
    model: nn.Module,
    ids: Int[Tensor, "batch seq"],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_token: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch total"]:
    r"""Continue each text of a batch: ask the model, choose a token, append it, ask again.

    For every new token, the model sees the text so far, or its last `model.config.max_length` tokens if it is longer.
    Only the logits of the last position matter: they predict the next token. The token is chosen in this order:
    temperature, then top-k, then top-p, then the draw. Settings that are None are skipped, and temperature 0 means
    `greedy`. Each of these steps is the function of the same name above.

    A text ends when it produces `stop_token`. While other texts of the batch continue, it is padded with `stop_token`;
    when all texts have ended, generation ends at once. A `stop_token` in the prompt ends nothing.

    Every module of the model is in evaluation mode during generation. Afterwards each module is back in its own earlier
    mode, even if an error ended the generation.

    Math:
        logits[t] = model(ids[:, max(0, t - max_length):t])[:, -1]
        ids[:, t] = stop_token where the text has ended,
                    else greedy(logits[t])                                             for temperature = 0
                    else sample(top_p(top_k(logits[t] / temperature, k), p))           for temperature > 0

    Args:
        model: Maps ids (batch, seq) to logits (batch, seq, vocab). `model.config.max_length` is the longest seq that it
            accepts.
        ids: The prompts, int64, at least one token each, all of the same length.
        max_new_tokens: Largest number of tokens to append, 0 or more.
        temperature: The temperature, 0 or more. 0 = greedy.
        top_k: Number of tokens to keep for the draw. None = all.
        top_p: Probability to keep for the draw. None = all of it.
        stop_token: The id that ends a text. None = no token does.
        generator: Source of the draws, as for `sample`. It is not reset between tokens.

    Returns:
        The prompt and the generated tokens, (batch, prompt + new), int64. It is a new tensor without a graph; for
        max_new_tokens = 0 it is a copy of the prompt. `ids` stays unchanged. The calls of the model build no graph
        either: over thousands of steps it would fill the memory.

    Raises:
        ValueError: The prompt is empty (seq = 0), so there is no last position; the message says so. Also the errors of
            `temperature`, `top_k` and `top_p`, when a token is drawn.

    Example:
        >>> class NextIsOneMore(nn.Module):
        ...     class config:
        ...         max_length = 4
        ...     def forward(self, ids):
        ...         return nn.functional.one_hot((ids + 1) % 10, 10).float()
        >>> generate(NextIsOneMore(), torch.tensor([[2], [5]]), 4, temperature=0, stop_token=7)
        tensor([[2, 3, 4, 5, 6],
                [5, 6, 7, 7, 7]])

    Pitfalls:
        * Inside `generate`, the parameters `temperature`, `top_k` and `top_p` hide the functions of the same names:
          call those from a helper with different parameter names.
        * Use the logits of the last position, not the first, and not all of them.
        * Crop the model's input, not the result.
        * `model.train()` at the end is wrong if the model, or a part of it, was in evaluation mode before.
        * In training mode, dropout would change the logits at random.
        * The first stop token is part of the result.

    Source:
        Radford et al. 2019 (GPT-2), section 3, on conditioning on a context; the loop: Holtzman et al. 2020,
        section 3, eq. 1. https://arxiv.org/abs/1904.09751
    """
    if ids.shape[1] == 0:
        raise ValueError(f"the prompt is empty, of shape {tuple(ids.shape)}: the model needs at least one token")

    # Here temperature, top_k and top_p are the settings, not the functions: _choose calls those.
    def choose(logits: Tensor) -> Tensor:
        return _choose(logits, divisor=temperature, count=top_k, mass=top_p, generator=generator)

    # Nothing is trained here: no graph, and dropout is off.
    with torch.no_grad(), _evaluating(model):
        return _extend(model, ids, max_new_tokens, choose, stop_token)


def _choose(
    logits: Tensor, divisor: float, count: int | None, mass: float | None, generator: torch.Generator | None
) -> Tensor:
    """Choose the next token of each row, (batch, vocab) -> (batch). The settings are those of `generate`, renamed."""
    # The limit of small temperatures; the division itself would be by 0.
    if divisor == 0:
        return greedy(logits)
    # Temperature before top-p, so that top-p sees the distribution that is drawn from.
    logits = temperature(logits, divisor)
    if count is not None:
        logits = top_k(logits, count)
    # After top-k: the probabilities of the k that are left sum to 1 again.
    if mass is not None:
        logits = top_p(logits, mass)
    return sample(logits, generator=generator)


def _extend(
    model: nn.Module, ids: Tensor, max_new_tokens: int, choose: Callable[[Tensor], Tensor], stop_token: int | None
) -> Tensor:
    """Run the loop of `generate`."""
    text = ids.clone()  # the caller gets a new tensor even if nothing is generated
    over = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)  # which texts have ended: (batch,)
    for _ in range(max_new_tokens):
        # The model was never trained on longer texts. For a shorter text, the slice takes all of it.
        context = text[:, -model.config.max_length :]
        # (batch, seq, vocab) -> (batch, vocab): the last position predicts the next token.
        chosen = choose(model(context)[:, -1])
        if stop_token is not None:
            # If a text has ended, ignore the token drawn for it.
            chosen = torch.where(over, stop_token, chosen)
            over = over | (chosen == stop_token)
        # (batch, total) and (batch, 1) -> (batch, total + 1)
        text = torch.cat([text, chosen[:, None]], dim=1)
        if over.all():
            break  # another step would only append stop tokens
    return text


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, and restore each module's own mode at the end."""
    # The mode of every module, not only of the model: a part may be frozen in evaluation mode.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:  # after an error too
        for module, mode in modes:
            module.training = mode  # not module.train(mode), which would set all submodules too


def _keep(logits: Tensor, order: Tensor, kept_by_rank: Tensor) -> Tensor:
    """Set the logits of all tokens to -inf whose rank is not kept."""
    # scatter sends the answer for rank r to the id order[..., r]: from sorted order back to order of id.
    kept = torch.empty_like(kept_by_rank).scatter(-1, order, kept_by_rank)
    # -inf and not a large negative number: the probability must be exactly 0, in every dtype.
    return torch.where(kept, logits, -torch.inf)


def _widen(logits: Tensor) -> Tensor:
    # bfloat16 has 8 significant bits and float16 ends at 65504: too little for sums over a vocabulary.
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
