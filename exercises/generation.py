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
    raise NotImplementedError("generation.greedy is still a stub")


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
    raise NotImplementedError("generation.temperature is still a stub")


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
    raise NotImplementedError("generation.top_k is still a stub")


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
    raise NotImplementedError("generation.top_p is still a stub")


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
    raise NotImplementedError("generation.sample is still a stub")


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
    raise NotImplementedError("generation.generate is still a stub")
