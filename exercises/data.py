r"""Data: cut one long row of tokens into the batches that a language model learns from.

A tokenizer turns text into one long row of integers. A model needs many short pieces of it at once, each with the
answers: at every position, the token that comes next. So a window of `length` + 1 tokens makes one example:

    window   5 9 2 7 4
    inputs   5 9 2 7
    targets    9 2 7 4

Nobody has to label anything: the text is its own answer. The exercises build on one another:

1. `train_val_split` sets the end of the text aside, so that you can tell learning from memorizing.
2. `get_batch` draws windows at random positions: the shortest data pipeline that trains a model.
3. `TokenDataset` cuts the text into consecutive windows, and can read them from a file larger than memory.
4. `ShufflingLoader` yields these windows in batches, each at most once per epoch, in an order that a restarted run can
   resume exactly where it stopped.

Tokens are a one-dimensional torch tensor or numpy array of integers of any width (two bytes per token are enough for a
vocabulary up to 65536, as `uint16`). A model always gets int64, since embeddings are indexed with int64. A
memory-mapped array (`np.memmap`) looks like an array, but its numbers stay in the file until you read them.
"""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Self

import numpy as np
import torch
from jaxtyping import Int64, Integer
from torch import Tensor

Tokens = Integer[Tensor, " n"] | Integer[np.ndarray, " n"]
Window = tuple[Int64[Tensor, " length"], Int64[Tensor, " length"]]
Batch = tuple[Int64[Tensor, "batch_size length"], Int64[Tensor, "batch_size length"]]


def train_val_split(tokens: Tokens, val_fraction: float = 0.1) -> tuple[Tokens, Tokens]:
    r"""Set the end of the text aside for validation.

    A model that has memorized the training text has a low loss on it, but not on text that it has never seen. So cut
    the text once: the beginning is for training, the end for validation. Every token is in exactly one part, in the
    original order. Nothing is copied or read, so splitting a file of 100 GB takes no time.

    Math:
        n_val = round(n * val_fraction)
        train = tokens[0 .. n - n_val - 1],  val = tokens[n - n_val .. n - 1]

        round is Python's: to the nearest integer, and halfway cases to the even one (2.5 to 2, 3.5 to 4).

    Args:
        tokens: The text, a tensor or an array with one axis.
        val_fraction: Fraction of the tokens for validation, more than 0 and less than 1.

    Returns:
        A tuple of the training part and the validation part: views of `tokens`, with its type and dtype.

    Raises:
        ValueError: `tokens` does not have exactly one axis, `val_fraction` is not strictly between 0 and 1, or one of
            the parts would be empty. The message gives the shape, the fraction or the number of tokens.

    Example:
        >>> train_val_split(torch.arange(10), 0.3)
        (tensor([0, 1, 2, 3, 4, 5, 6]), tensor([7, 8, 9]))

    Pitfalls:
        * Do not shuffle first: the validation part must be text that the model has never seen, in its real order.
        * int(100 * 0.29) is 28, since the product is 28.999999999999996: round, do not truncate.
        * round(n * val_fraction) and n - round(n * (1 - val_fraction)) are not always equal.
        * tokens[:-n_val] is empty if n_val is 0: compute the position of the cut, and slice there.

    Source:
        Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, section 7.2.
        https://hastie.su.domains/ElemStatLearn/
    """
    raise NotImplementedError("data.train_val_split is still a stub")


def get_batch(
    tokens: Tokens,
    batch_size: int,
    length: int,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Batch:
    r"""Draw windows at random positions of the text.

    Picture a ruler of `length` + 1 tokens that you drop on the text, once for each row of the batch. The starts are
    drawn independently and uniformly from all positions where a whole window fits, including the first and the last
    one. So windows may overlap, and the same one may come twice. There are no epochs; chance decides which windows a
    training run sees.

    Math:
        start[b]      ~ uniform on {0, ..., n - length - 1},  independent for b = 0 .. batch_size - 1
        inputs[b, t]  = tokens[start[b] + t]
        targets[b, t] = tokens[start[b] + t + 1],  t = 0 .. length - 1

    Args:
        tokens: The text, a tensor or array of any integer dtype (including uint16), with one axis. From a memory-mapped
            array, read only the windows. The text stays unchanged.
        batch_size: Number of windows, 1 or more; it may exceed the number of possible starts.
        length: Number of positions that the model sees at once, 1 or more.
        generator: Source of the starts, and of nothing else, on the CPU. None = torch's global one.
        device: Device of the batch. None = the device of `tokens` (for an array, the CPU).

    Returns:
        Inputs and targets: new int64 tensors, whatever the dtype of `tokens`.

    Raises:
        ValueError: `tokens` does not have exactly one axis; `batch_size` or `length` is less than 1; or there are fewer
            than `length` + 1 tokens. The message gives the wrong number and, in the last case, the number needed.

    Example:
        >>> inputs, targets = get_batch(torch.tensor([3, 1, 4, 1, 5]), batch_size=2, length=4)  # only one start
        >>> inputs
        tensor([[3, 1, 4, 1],
                [3, 1, 4, 1]])
        >>> targets
        tensor([[1, 4, 1, 5],
                [1, 4, 1, 5]])

    Pitfalls:
        * The targets are the inputs shifted by one position in the text, not the inputs plus 1.
        * `torch.randint(high)` never returns `high` itself. Which `high` makes the last possible start as likely as the
          others, without a window that runs past the end?
        * uint16 goes up to 65535 and int16 only to 32767: do not convert through int16 to int64.
        * `torch.tensor(tokens)`, `tokens[:]` with a conversion, or `tokens.astype(...)` on the whole text reads all of
          it for every batch. Cut out the window first, then convert.

    Source:
        Radford et al. 2018, section 3.1, eq. 1 (what is predicted from what), and 4.1 (randomly sampled contiguous
        sequences). https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
    """
    raise NotImplementedError("data.get_batch is still a stub")


class TokenDataset:
    r"""Present the text as a list of windows, each read only when it is needed.

    Picture the text as a row of tiles, each `length` tokens long. Window i begins at token i * length and takes
    length + 1 tokens: its last token is the answer to its last position, and also the first token of the next window.
    So every token is a target at most once. Tokens at the end that do not fill a window are left out.

    Math:
        number of windows = floor((n - 1) / length)
        inputs[t]  = tokens[i * length + t]
        targets[t] = tokens[i * length + t + 1],  t = 0 .. length - 1

    Args:
        tokens: The text, a tensor or array of any integer dtype (including uint16), with one axis. The constructor
            keeps it as it is, without copying, converting or reading it.
        length: Number of positions that the model sees at once, 1 or more.

    Returns:
        `len(dataset)`: the number of windows.
        `dataset[i]`: inputs and targets of window i, two new int64 tensors of shape (length,). A negative i counts
        from the end, as in a list: -1 is the last window. A `for` loop over a dataset ends after the last window.
        `TokenDataset.from_file(path, length, dtype)`: a dataset of the tokens in a file.

    Raises:
        ValueError: From the constructor (and so from `from_file`): `tokens` does not have exactly one axis, `length` is
            less than 1, or there are fewer than `length` + 1 tokens, so that there is no window. The message gives the
            wrong number and, in the last case, the number needed.
        IndexError: From `dataset[i]`: there is no such window, i >= len(dataset) or i < -len(dataset). The message
            gives i and the number of windows.

    Example:
        >>> dataset = TokenDataset(np.array([3, 1, 4, 1, 5, 9, 2], dtype=np.uint16), length=2)
        >>> len(dataset)
        3
        >>> dataset[-1]
        (tensor([5, 9]), tensor([9, 2]))

    Pitfalls:
        * n // length is one window too many if `length` divides n: the last target would be past the end.
        * A slice that runs past the end is just shorter: Python raises no error.
        * Without an IndexError, `for window in dataset` never ends: Python counts up until it gets one.
        * A slice may start at -1 * length, but not at the window that you want: make a negative index positive first.
        * Converting the whole array in the constructor reads the whole file; uint16 becomes four times as large.
        * `.to(torch.int64)` copies nothing if tokens are int64 already: changing such a window changes the text.

    Source:
        PyTorch, torch.utils.data, "Map-style datasets". https://docs.pytorch.org/docs/stable/data.html
        Radford et al. 2018, section 3.1, eq. 1 (what is predicted from what).
        https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
    """

    def __init__(self, tokens: Tokens, length: int) -> None:
        raise NotImplementedError("data.TokenDataset.__init__ is still a stub")

    @classmethod
    def from_file(cls, path: str | PathLike[str], length: int, dtype: str = "uint16") -> Self:
        """Open a raw file of numbers without reading it.

        The file is mapped into memory read-only. It may be larger than memory: its pages are read from disk when a
        window needs them. If a number in the file changes later, windows read after that have the new number.

        Args:
            path: A file that contains only numbers, one after the other in the machine's byte order, as
                `array.tofile(path)` writes them.
            length: Number of positions that the model sees at once, 1 or more.
            dtype: Type of the numbers in the file, by numpy's name.

        Returns:
            The dataset.
        """
        raise NotImplementedError("data.TokenDataset.from_file is still a stub")

    def __len__(self) -> int:
        # -1, because a window needs one more token than it has positions: the last answer.
        raise NotImplementedError("data.TokenDataset.__len__ is still a stub")

    def __getitem__(self, index: int) -> Window:
        """Read one window.

        Args:
            index: Number of the window; a negative one counts from the end.

        Returns:
            Inputs and targets.
        """
        raise NotImplementedError("data.TokenDataset.__getitem__ is still a stub")


class ShufflingLoader:
    r"""Yield all windows in batches, in a new order for each epoch, and resume where a stopped run was.

    Picture a deck of cards with one card per window. An epoch shuffles the deck and deals `batch_size` cards at a time;
    a last hand that is not full is not dealt. So each window comes at most once per epoch, and exactly once if
    `batch_size` divides the number of windows. Then the next epoch begins, in a different order, without end.

    The order of an epoch depends only on the seed, the number of the epoch and the number of windows. It does not
    depend on torch's global generator, on other loaders, or on how the run came to this epoch. So two numbers are
    enough to resume exactly: the seed and how many batches the loader has yielded.

    Math:
        order[e] = a random permutation of 0 .. N - 1, made from (seed, e),  N = len(dataset)
        B        = floor(N / batch_size)
        batch k (over all epochs) = windows order[e][b * batch_size .. (b + 1) * batch_size - 1],
            e = floor(k / B),  b = k mod B

    Args:
        dataset: An object with `len` and with a pair of tensors for `dataset[i]`, i = 0 .. len - 1: a `TokenDataset`,
            or a list of pairs. A window is read only when its batch is requested. The dataset stays unchanged.
        batch_size: Number of windows per batch, 1 or more.
        seed: Seed of the order, 0 or more. The same seed gives the same batches, a different one a different order.

    Returns:
        `len(loader)`: the number of batches per epoch, B.
        `iter(loader)`: an endless iterator over batches. A batch is a pair of inputs and targets, stacked into new
        tensors (batch_size, length); row r of both is from the same window. It continues after the last batch that any
        iterator of the loader has yielded: if you leave a `for` loop and start another one, no batch is skipped or
        repeated.
        `loader.epoch`: the number of completed epochs, floor(k / B) after k batches: 0 at first, and 1 as soon as the
        last batch of the first epoch is yielded.
        `loader.state_dict()`: everything needed to resume, a new dict from strings to ints, which later batches do not
        change. A batch counts as soon as it is yielded.
        `loader.load_state_dict(state)`: the next iterator begins with exactly the batch that would have come next when
        `state` was taken, and continues as that loader would have. `epoch` and the seed are that loader's too. No
        window of earlier batches is read. `state` stays unchanged.

    Raises:
        ValueError: From the constructor: `batch_size` is less than 1, or more than the number of windows, so that no
            batch would be full. From `load_state_dict`: the state is from a loader with a different number of windows
            or batch size, so its batches are different. The message gives the numbers.

    Example:
        >>> loader = ShufflingLoader(TokenDataset(torch.arange(21), length=2), batch_size=5)
        >>> len(loader)  # 10 windows
        2
        >>> batches = iter(loader)
        >>> first, state, second = next(batches), loader.state_dict(), next(batches)
        >>> resumed = ShufflingLoader(TokenDataset(torch.arange(21), length=2), batch_size=5)
        >>> resumed.load_state_dict(state)
        >>> torch.equal(next(iter(resumed))[0], second[0])
        True

    Pitfalls:
        * If you seed one generator once and draw from it in every epoch, you can reach epoch 7 only through all the
          earlier ones. How can each epoch get its own order directly?
        * A generator function pauses at `yield` until the next batch is requested. If you count after it, a state taken
          between two batches is one batch behind, and a resumed run sees a batch twice.
        * To resume, you could draw batches and throw them away. That reads gigabytes, and a division would do.
        * `random.shuffle`, `np.random` and `torch.randperm` without a generator change later draws in the run.

    Source:
        Bottou 2012, Stochastic Gradient Descent Tricks, section 5.1 (shuffle). https://leon.bottou.org/papers/bottou-tricks-2012
        PyTorch, torch.utils.data.distributed.DistributedSampler (an order from seed and epoch).
        https://docs.pytorch.org/docs/stable/data.html

    Not allowed: torch.utils.data.DataLoader, torch.utils.data.RandomSampler, torch.utils.data.SubsetRandomSampler,
        torch.utils.data.WeightedRandomSampler, torch.utils.data.DistributedSampler, torch.utils.data.random_split.
    """

    def __init__(self, dataset: Sequence[Window], batch_size: int, *, seed: int = 0) -> None:
        raise NotImplementedError("data.ShufflingLoader.__init__ is still a stub")

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        raise NotImplementedError("data.ShufflingLoader.epoch is still a stub")

    def __len__(self) -> int:
        raise NotImplementedError("data.ShufflingLoader.__len__ is still a stub")

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches without end, from the loader's current position."""
        raise NotImplementedError("data.ShufflingLoader.__iter__ is still a stub")

    def state_dict(self) -> dict[str, int]:
        """Return everything needed to resume from here.

        Returns:
            A new dict of ints: the position, the seed, and the sizes that the loading loader must share.
        """
        raise NotImplementedError("data.ShufflingLoader.state_dict is still a stub")

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Resume from where `state` was taken.

        Args:
            state: The result of `state_dict`, from this loader or one with the same dataset and batch size.
        """
        raise NotImplementedError("data.ShufflingLoader.load_state_dict is still a stub")
