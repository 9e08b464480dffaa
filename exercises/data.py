r"""Data: cut one long line of token numbers into the batches that a language model learns from.

A tokenizer leaves one long row of whole numbers. A model wants many short pieces of it at once, and next to each
piece the answers: at every position, the token that comes next. So a window of `length` + 1 tokens makes one example:

    window   5 9 2 7 4
    inputs   5 9 2 7
    targets    9 2 7 4

Nobody has to label anything: the text is its own answer. The exercises build on one another:

1. `train_val_split` puts the end of the text aside, so that what was learned can be told from what was memorized.
2. `get_batch` draws windows at random places: the shortest data pipeline that trains a model.
3. `TokenDataset` cuts the text into windows that do not overlap, and reads them from a file larger than memory.
4. `ShufflingLoader` hands these windows out in batches, each once an epoch, in an order that can be taken up again
   exactly where a crashed run stopped.

Tokens are a one-dimensional torch tensor or numpy array of whole numbers of any width (`uint16` holds every token of
a vocabulary up to 65536 in two bytes). What a model gets is always int64, since that is what an embedding is indexed
by. A memory-mapped array (`np.memmap`) looks like an array, but its numbers stay in the file until they are asked for.
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
    r"""Put the end of the text aside for validation.

    Both parts are contiguous pieces: the beginning is for training, the end for validation. Every token is in exactly
    one of them, in the order in which it came. No token is copied or read: a slice of a tensor, of an array or of a
    memory-mapped file is a view of the same kind, so the split of a file of 100 GB is instant.

    Math:
        n_val = round(n * val_fraction)
        train = tokens[0 .. n - n_val - 1],  val = tokens[n - n_val .. n - 1]

        round is Python's: to the nearest whole number, and from the middle to the even one (2.5 to 2, 3.5 to 4).

    Args:
        tokens: The text, a tensor or an array with one axis.
        val_fraction: Share of the tokens that is put aside, more than 0 and less than 1.

    Returns:
        The training part and the validation part: views of `tokens`, of its type and dtype.

    Raises:
        ValueError: `tokens` has not exactly one axis, `val_fraction` is not between 0 and 1 (both excluded), or one
            of the parts would be empty. The message gives the shape, the fraction or the number of tokens that came.

    Example:
        >>> train_val_split(torch.arange(10), 0.3)
        (tensor([0, 1, 2, 3, 4, 5, 6]), tensor([7, 8, 9]))

    Pitfalls:
        * Do not shuffle first: the windows of both parts would overlap, and the validation loss would praise a model
          that has learned the text by heart.
        * int(100 * 0.29) is 28, since the product is 28.999999999999996: round, do not cut off.
        * round(n * val_fraction) and n - round(n * (1 - val_fraction)) are not always the same number.
        * tokens[:-n_val] is empty where n_val is 0: compute where the cut is, and slice there.

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
    r"""Draw windows at random places of the text.

    Each row of the batch is a window of its own: the starts are drawn independently and uniformly from all places
    where `length` + 1 tokens are left, the first and the last such place included. So windows may overlap, and the
    same one may come twice. There is no epoch; what a training run sees is a matter of chance.

    Math:
        start[b]      ~ uniform on {0, ..., n - length - 1},  independent for b = 0 .. batch_size - 1
        inputs[b, t]  = tokens[start[b] + t]
        targets[b, t] = tokens[start[b] + t + 1],  t = 0 .. length - 1

    Args:
        tokens: The text, a tensor of any dtype of whole numbers or an array of any (uint16 too), with one axis. Of a
            memory-mapped array only the windows are read. It stays as it is.
        batch_size: How many windows, 1 or more; it may exceed the number of places.
        length: How many positions the model sees at once, 1 or more.
        generator: What the starts are drawn from (it lives on the CPU), and nothing else is. None = torch's global one.
        device: Where the batch is put. None = the device of `tokens`, which for an array is the CPU.

    Returns:
        Inputs and targets: new tensors, int64 whatever the dtype of `tokens`.

    Raises:
        ValueError: `tokens` has not exactly one axis; `batch_size` or `length` is less than 1; there are fewer than
            `length` + 1 tokens. The message gives the number that came and, for the last, the number needed.

    Example:
        >>> inputs, targets = get_batch(torch.tensor([3, 1, 4, 1, 5]), batch_size=2, length=4)  # one place only
        >>> inputs
        tensor([[3, 1, 4, 1],
                [3, 1, 4, 1]])
        >>> targets
        tensor([[1, 4, 1, 5],
                [1, 4, 1, 5]])

    Pitfalls:
        * The targets are the inputs one place further in the text, and not the inputs plus 1.
        * `torch.randint(high)` never gives `high` itself: with n - length - 1 the last place is never drawn, with
          n - length + 1 a window runs past the end.
        * uint16 reaches 65535 and int16 ends at 32767: do not go through int16 on the way to int64.
        * `torch.tensor(tokens)`, `tokens[:]` with a conversion, or `tokens.astype(...)` on the whole text reads all of
          it for every batch. Cut the window first, convert afterwards.

    Source:
        Radford et al. 2018, section 3.1, eq. 1 (what is predicted from what), and 4.1 (randomly sampled contiguous
        sequences). https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf
    """
    raise NotImplementedError("data.get_batch is still a stub")


class TokenDataset:
    r"""The text as a list of windows that do not overlap, each read when it is asked for.

    Window i begins at token i * length and takes length + 1 tokens: its last one is the answer to its last position,
    and the first one of the next window. So every token but the first is a target at most once, and what does not
    fill a window at the end is left out.

    Math:
        number of windows = floor((n - 1) / length)
        inputs[t]  = tokens[i * length + t]
        targets[t] = tokens[i * length + t + 1],  t = 0 .. length - 1

    Args:
        tokens: The text, a tensor of any dtype of whole numbers or an array of any (uint16 too), with one axis. It is
            kept as it is: the constructor neither copies, converts nor reads it.
        length: How many positions the model sees at once, 1 or more.

    Returns:
        `len(dataset)`: the number of windows.
        `dataset[i]`: inputs and targets of window i, two new int64 tensors of shape (length,). A negative i counts
        from the end, as in a list: -1 is the last window. A dataset can be walked over by a `for` loop, which ends
        after the last window.
        `TokenDataset.from_file(path, length, dtype)`: a dataset whose tokens are a file's.

    Raises:
        ValueError: By the constructor (and so by `from_file`): `tokens` has not exactly one axis, `length` is less
            than 1, or there are fewer than `length` + 1 tokens, so that there is no window. The message gives the
            number that came and, for the last, the number needed.
        IndexError: By `dataset[i]`: there is no such window, i >= len(dataset) or i < -len(dataset). The message
            gives i and the number of windows.

    Example:
        >>> dataset = TokenDataset(np.array([3, 1, 4, 1, 5, 9, 2], dtype=np.uint16), length=2)
        >>> len(dataset)
        3
        >>> dataset[-1]
        (tensor([5, 9]), tensor([9, 2]))

    Pitfalls:
        * n // length is one window too many where `length` divides n: the last target would lie past the end.
        * A slice that runs past the end is shorter, without any error: nothing would tell you.
        * Without an IndexError, `for window in dataset` never ends: Python counts up until it meets one.
        * -1 * length is a place too, for a slice: turn a negative index into a positive one first.
        * Converting the whole array in the constructor reads the whole file, and takes four times its size as int64.
        * `.to(torch.int64)` of int64 tokens copies nothing: whoever changes such a window changes the text.

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

        The file is mapped into memory read-only: it may be larger than memory, its pages are read from the disk when
        a window needs them, and a number that is changed in the file afterwards is seen by the windows.

        Args:
            path: A file of nothing but numbers, one behind the other in the machine's byte order, as
                `array.tofile(path)` writes it.
            length: How many positions the model sees at once, 1 or more.
            dtype: What a number is in the file, by numpy's name.

        Returns:
            The dataset.
        """
        raise NotImplementedError("data.TokenDataset.from_file is still a stub")

    def __len__(self) -> int:
        # -1, because a window needs one more token than it has positions: the answer to its last one.
        raise NotImplementedError("data.TokenDataset.__len__ is still a stub")

    def __getitem__(self, index: int) -> Window:
        """Read one window.

        Args:
            index: Its number; negative counts from the end.

        Returns:
            Inputs and targets.
        """
        raise NotImplementedError("data.TokenDataset.__getitem__ is still a stub")


class ShufflingLoader:
    r"""Hand out all windows in batches, epoch after epoch in another order, and go on where a stopped run was.

    An epoch is one walk through the dataset: its windows are put in a random order and handed out `batch_size` at a
    time; what is left at the end and does not fill a batch is dropped for this epoch. So each window comes at most
    once an epoch, and exactly once where `batch_size` divides their number. Then comes the next epoch, in another
    order, without end.

    The order of an epoch depends on the seed, the number of the epoch and the number of windows alone: not on torch's
    global generator, on other loaders, or on how the run came to this epoch. So two numbers, the seed and how many
    batches were handed out, are all that must be remembered to go on exactly.

    Math:
        order[e] = a random permutation of 0 .. N - 1, made from (seed, e),  N = len(dataset)
        B        = floor(N / batch_size)
        batch k of all = windows order[e][b * batch_size .. (b + 1) * batch_size - 1],  e = floor(k / B),  b = k mod B

    Args:
        dataset: What has a `len` and gives a pair of tensors for `dataset[i]`, i = 0 .. len - 1: a `TokenDataset`, or
            a list of pairs. A window is read when its batch is handed out, no earlier. It stays as it is.
        batch_size: How many windows a batch has, 1 or more.
        seed: 0 or more. The same seed gives the same batches, another seed gives another order.

    Returns:
        `len(loader)`: the number of batches an epoch, B.
        `iter(loader)`: an iterator without end over batches, each the inputs and the targets, stacked to new tensors
        (batch_size, length) with row r of both from the same window. It goes on behind the last batch that the loader
        has handed out, whichever iterator that was: leaving a `for` loop and entering another one skips and repeats
        nothing.
        `loader.epoch`: how many epochs have been handed out completely, floor(k / B) after k batches: 0 at first, and
        1 as soon as the last batch of the first epoch is out.
        `loader.state_dict()`: all that is needed to go on, a new dict of strings to whole numbers (int), which later
        batches do not change. It counts a batch from the moment at which it is handed out.
        `loader.load_state_dict(state)`: the next iterator begins with exactly the batch that would have come next
        when `state` was taken, and goes on as that loader would have; `epoch` is that loader's too. The seed is taken
        from the state. No window of earlier batches is read. `state` stays as it is.

    Raises:
        ValueError: By the constructor: `batch_size` is less than 1, or more than there are windows, so that no batch
            would be full. By `load_state_dict`: the state is of a loader with another number of windows or another
            batch size, whose batches these are not. The message gives the numbers.

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
        * One generator that is seeded once and drawn from every epoch gives new orders, but epoch 7 can then only be
          reached through the six before it. Seed a new one for every epoch.
        * A generator function stops at `yield` until the next batch is asked for: count before it, or a state that is
          taken between two batches is one batch behind, and a resumed run sees a batch twice.
        * Skipping by drawing and throwing away batches works, and reads gigabytes to get where a division would.
        * `random.shuffle`, `np.random` and `torch.randperm` without a generator change what the rest of the run draws.

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
        """How many epochs have been handed out completely."""
        raise NotImplementedError("data.ShufflingLoader.epoch is still a stub")

    def __len__(self) -> int:
        raise NotImplementedError("data.ShufflingLoader.__len__ is still a stub")

    def __iter__(self) -> Iterator[Batch]:
        """Hand out batches without end, from where the loader stands."""
        raise NotImplementedError("data.ShufflingLoader.__iter__ is still a stub")

    def state_dict(self) -> dict[str, int]:
        """What is needed to go on from here.

        Returns:
            A new dict of whole numbers: the place, the seed, and what must be the same in the loader that takes it.
        """
        raise NotImplementedError("data.ShufflingLoader.state_dict is still a stub")

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from where `state` was taken.

        Args:
            state: What `state_dict` returned, of this loader or of one with the same dataset and batch size.
        """
        raise NotImplementedError("data.ShufflingLoader.load_state_dict is still a stub")
