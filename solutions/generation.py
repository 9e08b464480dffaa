r"""Generation: how a trained model writes, one token at a time.

A language model does not write anything. Given a text it says how likely each token of the vocabulary is to come
next: one number for each, the logits. To write is to choose a token, to append it, and to ask again. Always taking the
likeliest gives text that is correct and soon repeats itself; drawing from all tokens lets in the thousands that are
each unlikely and together are not. What is in use lies between: make the distribution sharper, cut off its tail, draw.

The exercises build on one another:

1. `greedy` takes the likeliest token.
2. `temperature` makes the distribution sharper or flatter.
3. `top_k` cuts off all but a fixed number of tokens.
4. `top_p` cuts off all but those that together are likely enough: few where the model is sure, many where it is not.
5. `sample` draws a token from what is left.
6. `generate` puts them together: prompt in, text out, for several texts at once. Its checks let your own
   `model.TransformerLM` write, but it takes any model that is called in the same way.

The first five look at the last axis only, whatever stands before it, and never write into what they are given.
A token that is cut off has the logit -inf, so that its probability is exactly 0. No gradient is needed anywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def greedy(logits: Float[Tensor, "*batch vocab"]) -> Int[Tensor, "*batch"]:
    r"""Take the token with the largest logit.

    The largest logit is the largest probability: the softmax keeps the order, so there is no need for it here. Where
    several tokens share the largest logit, the one with the lowest id is taken, so that the same text comes out on
    every machine.

    Math:
        ids = min { i : logits[i] = max_j logits[j] }

    Args:
        logits: One number for each token of the vocabulary, of any floating dtype. -inf is allowed.

    Returns:
        One id for each row, int64: the last axis is gone, all others are kept.

    Example:
        >>> greedy(torch.tensor([[0.1, 2.0, -1.0], [3.0, 0.0, 3.0]]))
        tensor([1, 0])

    Pitfalls:
        * Along the vocabulary, which is the last axis, however many there are before it.
        * The id, not the logit: `max` along an axis gives both.
        * Of equals the first: the last entry of `argsort` may be another one.

    Source:
        Holtzman et al. 2020, section 3, on decoding by maximization. https://arxiv.org/abs/1904.09751

    torch.argmax is allowed.
    """
    # argmax gives the first of several largest, which is the lowest id: (*batch, vocab) -> (*batch)
    return logits.argmax(dim=-1)


def temperature(logits: Float[Tensor, "*batch vocab"], value: float) -> Float[Tensor, "*batch vocab"]:
    r"""Make the distribution sharper (below 1) or flatter (above 1).

    Differences between logits are what the softmax sees. Divided by a small number they grow, and the likeliest token
    takes nearly everything; divided by a large one they shrink, and all tokens become equally likely.

    Math:
        y[i] = logits[i] / value

    Args:
        logits: One number for each token, of any floating dtype. -inf stays -inf.
        value: The temperature, above 0. 1 changes nothing.

    Returns:
        A new tensor in the shape of `logits`. float32 and float64 keep their dtype. float16 and bfloat16 come back as
        float32, divided in float32: in float16 a logit of 40000 would be inf at a temperature of 0.5.

    Raises:
        ValueError: `value` is 0, negative or NaN. The message gives what came and says that `greedy` is what the
            temperature 0 stands for: as the temperature goes to 0, the likeliest token takes everything.

    Example:
        >>> temperature(torch.tensor([1.0, 0.0, -2.0]), 0.5)
        tensor([ 2.,  0., -4.])

    Pitfalls:
        * Divide, don't multiply: a low temperature makes the differences larger.
        * It is the logits that are divided; probabilities divided by a number are no probabilities.
        * `logits /= value` would change the caller's tensor.
        * Widen before you divide: what is inf in float16 stays inf in float32.

    Source:
        Ackley, Hinton and Sejnowski 1985, section 2. https://doi.org/10.1207/s15516709cog0901_7
    """
    # Asked so that NaN, for which every comparison is False, is refused too.
    if not value > 0:
        raise ValueError(f"the temperature must be above 0, got {value}: for a temperature of 0 use greedy")
    return _widen(logits) / value


def top_k(logits: Float[Tensor, "*batch vocab"], k: int) -> Float[Tensor, "*batch vocab"]:
    r"""Keep the k largest logits of each row and cut off all others.

    Exactly k stay. Where several equal logits lie at the border and not all of them can stay, those with the lower
    ids do.

    Math:
        rank[i] = number of j with logits[j] > logits[i]  +  number of j < i with logits[j] = logits[i]
        y[i]    = logits[i] if rank[i] < k, else -inf

    Args:
        logits: One number for each token, of any floating dtype. Some may be -inf already, and stay so.
        k: How many stay, 1 or more. The size of the vocabulary or more keeps all.

    Returns:
        A new tensor in the shape and dtype of `logits`: what stays has its old value in its old place.

    Raises:
        ValueError: k is less than 1; the message gives the k that came.

    Example:
        >>> top_k(torch.tensor([[1.0, 4.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]]), 2)
        tensor([[-inf, 4., -inf, 3.],
                [5., 5., -inf, -inf]])

    Pitfalls:
        * A comparison with the k-th largest value keeps every token that is equal to it: more than k.
        * torch.topk promises nothing about the order of equals. torch.sort with stable=True keeps them by id.
        * Each row has its own k tokens.
        * -inf and not 0: a logit of 0 is a likely token.
        * Some k are larger than the vocabulary: torch.topk refuses those.

    Source:
        Fan, Lewis and Dauphin 2018, section 5.4. https://arxiv.org/abs/1805.04833

    torch.sort, torch.argsort and torch.topk are allowed.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}: with no token left there is nothing to draw")
    # order[..., r] is the id of the token of rank r. Stable: equals stay in the order in which they came, by id.
    order = logits.argsort(dim=-1, descending=True, stable=True)
    # The ranks, as a row that broadcasts over (*batch, vocab): the first k stay, in every row.
    kept_by_rank = torch.arange(logits.shape[-1], device=logits.device) < k
    return _keep(logits, order, kept_by_rank.expand_as(order))


def top_p(logits: Float[Tensor, "*batch vocab"], p: float) -> Float[Tensor, "*batch vocab"]:
    r"""Keep the smallest set of most probable tokens that together have at least the probability p.

    Also called nucleus sampling. A fixed number of tokens is too many after "United States of" and too few after
    "I like". Here the tokens are lined up from the most to the least probable (equals by id, the lower first), and as
    many of them stay as it takes for their probabilities to sum to p or more. The token that carries the sum across p
    stays too, so at least one always does. A sum of exactly p is enough.

    Math:
        q      = softmax(logits)
        before = sum of q[j] over the tokens j that stand before i in the line
        y[i]   = logits[i] if before < p, else -inf

    Args:
        logits: One number for each token, of any floating dtype. Some may be -inf already, but not all of a row:
            those have probability 0 and stay -inf.
        p: The probability to keep, above 0 and at most 1. 1 keeps every token whose probability is above 0, however
            small.

    Returns:
        A new tensor in the shape and dtype of `logits`: what stays has its old value in its old place. For float16 and
        bfloat16 the probabilities and their sums are computed in float32.

    Raises:
        ValueError: p is not above 0 or is larger than 1; the message gives the p that came.

    Example:
        >>> logits = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()  # so the probabilities are these
        >>> top_p(logits, 0.6).exp()  # 0.5 is not enough, so 0.25 stays too
        tensor([0.0000, 0.5000, 0.0000, 0.2500])

    Pitfalls:
        * The token that crosses p belongs to the set: ask for the sum before a token, not for that up to and with it.
        * The sums run along the sorted line; the result must be in the order of the ids again.
        * Probabilities are sorted and summed, but logits are returned.
        * In bfloat16 a sum that has reached 0.5 does not notice another 0.001.
        * With p = 1 the sum may be rounded to 1 before the last tokens: don't let that cut them off.

    Source:
        Holtzman et al. 2020, section 3.1, eq. 2. https://arxiv.org/abs/1904.09751

    torch.softmax, torch.sort, torch.argsort and torch.cumsum are allowed.
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, got {p}: it is the probability that is kept")
    if p == 1:
        return logits.clone()  # a sum that is rounded to 1 too early has no say here
    # Widened first: thousands of small numbers are summed. Stable: equals stay in the order of their ids.
    line, order = _widen(logits).sort(dim=-1, descending=True, stable=True)
    probabilities = torch.softmax(line, dim=-1)
    # The sum up to each token with the token itself left out, so that the first has 0 before it.
    before = probabilities.cumsum(dim=-1).roll(1, dims=-1)
    before[..., 0] = 0
    # Whoever finds p not yet reached is still needed: so the token that crosses stays.
    return _keep(logits, order, before < p)


def sample(logits: Float[Tensor, "*batch vocab"], *, generator: torch.Generator | None = None) -> Int[Tensor, "*batch"]:
    r"""Draw a token from the distribution that the logits stand for.

    Every row is drawn on its own: rows with equal logits need not get the same token.

    Math:
        probability of the token i = softmax(logits)[i] = exp(logits[i]) / sum_j exp(logits[j])

    Args:
        logits: One number for each token, of any floating dtype and of any size. A token whose logit is -inf is never
            drawn; not all of a row are -inf.
        generator: Source of the draws, on the device of `logits`. None = torch's global one; given one, the global
            one is not touched, and the draws go on where the last call left the generator.

    Returns:
        One id for each row, int64: the last axis is gone, all others are kept, none or several. `logits` stays as it
        was. For float16 and bfloat16 the probabilities are computed in float32.

    Example:
        >>> inf = float("inf")
        >>> sample(torch.tensor([[-inf, 0.0, -inf], [500.0, 0.0, 0.0]]))  # only one token can come in either row
        tensor([1, 0])

    Pitfalls:
        * The argmax is no draw.
        * torch.multinomial takes one axis or two: bring the others together first and apart again afterwards.
        * It wants probabilities: logits may be negative. It accepts weights of any sum, so exp(logits) would do, if it
          did not overflow.
        * It returns an axis for the number of draws, of size 1.

    Source:
        Holtzman et al. 2020, section 3, on drawing from the model. https://arxiv.org/abs/1904.09751

    torch.softmax and torch.multinomial are allowed.
    """
    # The softmax subtracts the maximum, so logits of any size are safe; -inf becomes exactly 0.
    probabilities = torch.softmax(_widen(logits), dim=-1)
    # (*batch, vocab) -> (rows, vocab): all that multinomial takes. No -1: with an empty batch it would be ambiguous.
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

    For every new token the model sees the text so far, or the last `model.config.max_length` tokens of it where it is
    longer than that. Of the logits only those of the last position matter: they are about the token that comes next.
    From them the token is chosen in this order: temperature, then top-k, then top-p, then the draw; what is None is
    left out, and the temperature 0 means `greedy`. Each of these steps is the function of the same name above.

    A text that has produced `stop_token` is over. While others of the batch go on, it is filled up with `stop_token`;
    as soon as all are over, generation ends, without a step more. A `stop_token` in the prompt ends nothing.

    The model is in evaluation mode while it generates, every module of it. Afterwards each of its modules is back in
    the mode in which it was, one by one, and also where an error has ended the generation.

    Math:
        logits[t] = model(ids[:, max(0, t - max_length):t])[:, -1]
        ids[:, t] = stop_token where the text is over,
                    else greedy(logits[t])                                             for temperature = 0
                    else sample(top_p(top_k(logits[t] / temperature, k), p))           for temperature > 0

    Args:
        model: Maps ids (batch, seq) to logits (batch, seq, vocab), and has the longest seq that it takes as
            `model.config.max_length`.
        ids: The prompts, int64, at least one token each, all of one length.
        max_new_tokens: How many tokens are appended at most; 0 or more.
        temperature: 0 or more.
        top_k: How many tokens are left to draw from. None = all.
        top_p: Which probability is left to draw from. None = all of it.
        stop_token: The id that ends a text. None = none does.
        generator: Source of the draws, as of `sample`; it is not set back between the tokens.

    Returns:
        The prompt and what was generated, (batch, prompt + new), int64. A new tensor that carries no graph, also for
        max_new_tokens = 0, when it is a copy of the prompt; `ids` stays as it was. No call of the model builds a graph
        either: thousands of steps would fill the memory.

    Raises:
        ValueError: The prompt is empty, with seq = 0: there is no last position to ask. The message says so. Also
            what `temperature`, `top_k` and `top_p` refuse, as soon as a token is to be drawn.

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
        * The parameters `temperature`, `top_k` and `top_p` hide the functions of the same names inside `generate`:
          call those from a helper that takes the settings under other names.
        * The last position of the logits, not the first, and not all of them.
        * The crop is of what the model sees, not of what is returned.
        * `model.train()` at the end is wrong for a model that was in evaluation mode, or in part of it.
        * In training mode dropout would change the logits at random.
        * The first stop token is part of the result.

    Source:
        Radford et al. 2019 (GPT-2), section 3, on conditioning on a context; the loop: Holtzman et al. 2020,
        section 3, eq. 1. https://arxiv.org/abs/1904.09751
    """
    if ids.shape[1] == 0:
        raise ValueError(f"the prompt is empty, of shape {tuple(ids.shape)}: the model needs at least one token")

    # In here the names temperature, top_k and top_p are the settings: the functions are called in _choose.
    def choose(logits: Tensor) -> Tensor:
        return _choose(logits, divisor=temperature, count=top_k, mass=top_p, generator=generator)

    # Nothing is learned here, so no graph is kept, and dropout is off.
    with torch.no_grad(), _evaluating(model):
        return _extend(model, ids, max_new_tokens, choose, stop_token)


def _choose(
    logits: Tensor, divisor: float, count: int | None, mass: float | None, generator: torch.Generator | None
) -> Tensor:
    """The next token of each row, (batch, vocab) -> (batch), by the settings of `generate` under other names."""
    # The limit of small temperatures, where the division itself would be one by 0.
    if divisor == 0:
        return greedy(logits)
    # Temperature before top-p: what is likely enough is asked of the distribution that is drawn from.
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
    """The loop of `generate`."""
    text = ids.clone()  # also where nothing is generated, the caller gets a tensor of their own
    over = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)  # which texts have stopped: (batch,)
    for _ in range(max_new_tokens):
        # The model has seen no text longer than this in training; a slice from beyond the start takes all there is.
        context = text[:, -model.config.max_length :]
        # (batch, seq, vocab) -> (batch, vocab): the last position is the one that says what comes next.
        chosen = choose(model(context)[:, -1])
        if stop_token is not None:
            # Where a text is over, whatever was drawn for it does not count.
            chosen = torch.where(over, stop_token, chosen)
            over = over | (chosen == stop_token)
        # (batch, total) and (batch, 1) -> (batch, total + 1)
        text = torch.cat([text, chosen[:, None]], dim=1)
        if over.all():
            break  # another step would only append stop tokens
    return text


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, and each of its modules back in its own mode at the end."""
    # Of every module, not of the model alone: part of it may be frozen in evaluation mode.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:  # after an error too
        for module, mode in modes:
            module.training = mode  # not module.train(mode), which sets all modules below as well


def _keep(logits: Tensor, order: Tensor, kept_by_rank: Tensor) -> Tensor:
    """The logits with -inf for all whose place in the line is not kept."""
    # scatter sends the answer for rank r to the id order[..., r]: from the sorted line back to the order of the ids.
    kept = torch.empty_like(kept_by_rank).scatter(-1, order, kept_by_rank)
    # -inf and not a large negative number: the probability must be exactly 0, in every dtype.
    return torch.where(kept, logits, -torch.inf)


def _widen(logits: Tensor) -> Tensor:
    # bfloat16 has 8 significant bits and float16 ends at 65504: too little for sums over a vocabulary.
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
