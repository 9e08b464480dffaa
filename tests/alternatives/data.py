"""Valid but different ways to write `data`: each must pass every test."""

import mmap
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from grader.checking import alternative


def _require(fine, complaint):
    if not fine:
        raise ValueError(complaint)


def _require_one_axis(tokens):
    _require(len(tokens.shape) == 1, f"one axis is expected, these tokens have the shape {list(tokens.shape)}")


def _require_window(tokens, length):
    _require_one_axis(tokens)
    _require(length >= 1, f"length={length} is too small")
    _require(tokens.shape[0] > length, f"{tokens.shape[0]} tokens, where {length + 1} are needed")


def _require_batch(tokens, batch_size, length):
    _require_window(tokens, length)
    _require(batch_size > 0, f"batch_size={batch_size} is too small")


@alternative("train_val_split")
def split_by_size_of_validation(tokens, val_fraction=0.1):
    _require_one_axis(tokens)
    _require(val_fraction > 0 and val_fraction < 1, f"no fraction: {val_fraction}")
    size = round(val_fraction * tokens.shape[0])
    _require(0 < size < tokens.shape[0], f"too few tokens: {tokens.shape[0]}")
    return tokens[:-size], tokens[-size:]


@alternative("train_val_split")
def split_by_slices(tokens, val_fraction=0.1):
    _require_one_axis(tokens)
    _require(min(val_fraction, 1 - val_fraction) > 0, f"{val_fraction} is no fraction")
    cut = len(tokens) - int(np.rint(len(tokens) * val_fraction))
    parts = [tokens[where] for where in (slice(cut), slice(cut, None))]
    _require(all(len(part) for part in parts), f"one part of {len(tokens)} tokens is empty")
    return tuple(parts)


@alternative("train_val_split")
def split_by_torch_and_numpy(tokens, val_fraction=0.1):
    _require_one_axis(tokens)
    _require(0.0 < val_fraction < 1.0, f"{val_fraction} is not between 0 and 1")
    val = round(len(tokens) * val_fraction)
    _require(0 < val < len(tokens), f"{len(tokens)} tokens are too few")
    if isinstance(tokens, torch.Tensor):
        return tokens.split([len(tokens) - val, val])
    return tuple(np.split(tokens, [len(tokens) - val]))


@alternative("train_val_split")
def split_by_narrow(tokens, val_fraction=0.1):
    _require_one_axis(tokens)
    count = tokens.shape[0]
    _require(val_fraction == val_fraction and abs(val_fraction - 0.5) < 0.5, f"not a fraction: {val_fraction}")
    # what is half way goes to the even number, by hand
    whole, rest = divmod(count * val_fraction, 1)
    val = int(whole) + (rest > 0.5 or (rest == 0.5 and int(whole) % 2 == 1))
    _require(val not in (0, count), f"one of the parts of {count} tokens has nothing in it")
    if isinstance(tokens, np.ndarray):
        return tokens[0 : count - val], tokens[count - val : count]
    return tokens.narrow(0, 0, count - val), tokens.narrow(0, count - val, val)


@alternative("train_val_split")
def split_by_tensor_split(tokens, val_fraction=0.1):
    _require_one_axis(tokens)
    _require(0 < val_fraction < 1, f"val_fraction {val_fraction}")
    train = len(tokens) - round(len(tokens) * val_fraction)
    cut = torch.tensor_split if isinstance(tokens, torch.Tensor) else np.array_split
    first, second = cut(tokens, [train])
    _require(len(first) * len(second) > 0, f"{len(tokens)} tokens leave nothing for a part")
    return first, second


@alternative("get_batch")
def batch_by_index_matrix(tokens, batch_size, length, *, generator=None, device=None):
    _require_batch(tokens, batch_size, length)
    starts = torch.randint(0, len(tokens) - length, (batch_size, 1), generator=generator)
    places = starts + torch.arange(length + 1)
    windows = tokens[places if isinstance(tokens, torch.Tensor) else places.numpy()]
    windows = torch.as_tensor(windows if isinstance(windows, torch.Tensor) else windows.astype("int64")).long()
    return windows[:, :length].to(device), windows[:, 1:].to(device)


@alternative("get_batch")
def batch_in_two_stacks(tokens, batch_size, length, *, generator=None, device=None):
    _require_batch(tokens, batch_size, length)
    starts = torch.randint(tokens.shape[0] - length, size=(batch_size,), generator=generator)
    if isinstance(tokens, torch.Tensor):
        piece = lambda at: tokens[at : at + length].long()  # noqa: E731
    else:
        piece = lambda at: torch.from_numpy(tokens[at : at + length].astype(np.int64))  # noqa: E731
    inputs = torch.stack([piece(start) for start in starts])
    targets = torch.stack([piece(start + 1) for start in starts])
    return inputs.to(device), targets.to(device)


@alternative("get_batch")
def batch_by_uniform_numbers(tokens, batch_size, length, *, generator=None, device=None):
    _require_batch(tokens, batch_size, length)
    # float64, whose 53 bits reach every place of any text
    shares = torch.rand(batch_size, generator=generator, dtype=torch.float64)
    starts = (shares * (len(tokens) - length)).long()
    batch = torch.empty(2, batch_size, length, dtype=torch.int64, device=device)
    for row, start in enumerate(starts.tolist()):
        batch[0, row] = torch.as_tensor(tokens[start : start + length].tolist())
        batch[1, row] = torch.as_tensor(tokens[start + 1 : start + length + 1].tolist())
    return batch[0], batch[1]


@alternative("get_batch")
def batch_token_by_token(tokens, batch_size, length, *, generator=None, device=None):
    _require_batch(tokens, batch_size, length)
    draw = partial(torch.randint, len(tokens) - length, (), generator=generator)
    rows = [
        [int(token) for token in tokens[start : start + length + 1]]
        for start in (draw().item() for _ in range(batch_size))
    ]
    inputs = torch.tensor([row[:-1] for row in rows], device=device)
    return inputs, torch.tensor([row[1:] for row in rows], device=device)


@alternative("get_batch")
def batch_by_strides(tokens, batch_size, length, *, generator=None, device=None):
    _require_batch(tokens, batch_size, length)
    starts = torch.empty(batch_size, dtype=torch.int64).random_(len(tokens) - length, generator=generator)
    if isinstance(tokens, torch.Tensor):
        windows = tokens.unfold(0, length + 1, 1)[starts].to(torch.int64)
    else:
        view = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)
        windows = torch.from_numpy(view[starts.numpy()].astype(np.int64))
    return windows[:, :-1].clone().to(device), windows[:, 1:].clone().to(device)


@alternative("TokenDataset")
class DerivedDataset(Dataset):
    """Derives from torch's class, and keeps a count."""

    def __init__(self, tokens, length):
        _require_window(tokens, length)
        self.data, self.block, self.count = tokens, length, (len(tokens) - 1) // length

    @classmethod
    def from_file(cls, path, length, dtype="uint16"):
        return cls(np.memmap(path, dtype=np.dtype(dtype), mode="c"), length)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        at = range(0, self.count * self.block, self.block)
        try:
            start = at[index]
        except IndexError:
            raise IndexError(f"no window {index} among {self.count}") from None
        window = torch.tensor(self.data[start : start + self.block + 1].tolist(), dtype=torch.int64)
        return window[:-1], window[1:]


class OpenFile:
    """A file that reads a slice when it is asked for one."""

    def __init__(self, path, dtype):
        self.path, self.dtype = path, np.dtype(dtype)
        self.shape = (Path(path).stat().st_size // self.dtype.itemsize,)

    def __getitem__(self, where):
        return np.fromfile(self.path, self.dtype, where.stop - where.start, offset=where.start * self.dtype.itemsize)


@alternative("TokenDataset")
class DatasetThatReadsSlices:
    """Opens the file again for every window."""

    def __init__(self, tokens, length):
        _require_window(tokens, length)
        self.tokens, self.length = tokens, length

    @staticmethod
    def from_file(path, length, dtype="uint16"):
        return TokenDataset(OpenFile(path, dtype), length)

    def __len__(self):
        return (self.tokens.shape[0] - 1) // self.length

    def __getitem__(self, index):
        place = index + len(self) if index < 0 else index
        if place < 0 or place >= len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} windows")
        window = self.tokens[place * self.length : (place + 1) * self.length + 1]
        window = window if isinstance(window, torch.Tensor) else torch.from_numpy(window.astype(np.int64))
        return window[: self.length].long().clone(), window[1:].long().clone()


@alternative("TokenDataset")
class DatasetByMmap:
    """Maps the file with the standard library."""

    def __init__(self, tokens, length):
        _require_window(tokens, length)
        self.tokens, self.length = tokens, length

    @classmethod
    def from_file(cls, path, length, dtype="uint16"):
        with open(path, "rb") as file:  # noqa: PTH123
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(np.frombuffer(mapped, dtype=dtype), length)

    def __len__(self):
        return (len(self.tokens) - 1) // self.length

    def __getitem__(self, index):
        if index >= len(self) or index < -len(self):
            raise IndexError(f"{index} is not in -{len(self)}..{len(self) - 1}")
        start = (index if index >= 0 else len(self) + index) * self.length
        inputs, targets = (self.tokens[at : at + self.length] for at in (start, start + 1))
        if isinstance(inputs, torch.Tensor):
            return inputs.to(torch.int64, copy=True), targets.to(torch.int64, copy=True)
        return torch.as_tensor(inputs.astype("int64")), torch.as_tensor(targets.astype("int64"))


@alternative("TokenDataset")
class DatasetWithViews:
    """Keeps two views of the text, one place apart, and can be walked over by itself."""

    def __init__(self, tokens, length):
        _require_window(tokens, length)
        covered = (tokens.shape[0] - 1) // length * length
        self.inputs = tokens[:covered].reshape(-1, length)
        self.targets = tokens[1 : covered + 1].reshape(-1, length)

    @classmethod
    def from_file(cls, path, length, dtype="uint16"):
        return cls(np.memmap(path, dtype, "r"), length)

    def __len__(self):
        return len(self.inputs)

    def __iter__(self):
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index):
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index}, of {len(self)} windows")
        return self._convert(self.inputs[index]), self._convert(self.targets[index])

    def _convert(self, row):
        return row.long().clone() if isinstance(row, torch.Tensor) else torch.from_numpy(np.array(row, dtype=np.int64))


@alternative("TokenDataset")
class DatasetFromTorchFile:
    """Lets torch map the file, where it has the dtype."""

    def __init__(self, tokens, length):
        _require_window(tokens, length)
        self._text, self._length = tokens, length

    @classmethod
    def from_file(cls, path, length, dtype="uint16"):
        kind = getattr(torch, dtype)
        size = Path(path).stat().st_size // kind.itemsize
        return cls(torch.from_file(str(path), shared=False, size=size, dtype=kind), length)

    def __len__(self):
        return (self._text.shape[0] - 1) // self._length

    def __getitem__(self, index):
        starts = range(0, len(self) * self._length, self._length)
        if not -len(starts) <= index < len(starts):
            raise IndexError(f"{index} of {len(starts)}")
        start = starts[index]
        return self._piece(start), self._piece(start + 1)

    def _piece(self, start):
        piece = self._text[start : start + self._length]
        return torch.stack([torch.tensor(int(token)) for token in piece])


class LoaderParts:
    """What the loaders have in common: sizes and refusals."""

    def __init__(self, dataset, batch_size, *, seed=0):
        _require(batch_size >= 1, f"batch_size={batch_size}")
        _require(len(dataset) >= batch_size, f"{len(dataset)} windows make no batch of {batch_size}")
        self.data, self.size, self.seed, self.begin = dataset, batch_size, seed, 0
        self.start()

    def start(self):
        """Whatever else there is to make."""

    def __len__(self):
        return len(self.data) // self.size

    def same(self, state):
        mine = {"windows": len(self.data), "size": self.size}
        for name, value in mine.items():
            _require(state[name] == value, f"{name} is {value} here and {state[name]} in the state")


def _stack(pairs):
    return torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])


@alternative("ShufflingLoader")
class LoaderThatIsItsIterator(LoaderParts):
    """Its own iterator, with epoch and batch counted apart."""

    def start(self):
        self.epoch, self.batch, self.order = 0, 0, None

    def __iter__(self):
        return self

    def __next__(self):
        if self.order is None:
            generator = torch.Generator()
            generator.manual_seed(hash((self.seed, self.epoch)) & 0xFFFFFFFF)
            self.order = torch.randperm(len(self.data), generator=generator)
        chosen = self.order[self.batch * self.size : (self.batch + 1) * self.size]
        self.batch += 1
        if self.batch == len(self):
            self.epoch, self.batch, self.order = self.epoch + 1, 0, None
        return _stack([self.data[index] for index in chosen])

    def state_dict(self):
        place = {"epoch": self.epoch, "batch": self.batch, "seed": self.seed}
        return {**place, "windows": len(self.data), "size": self.size}

    def load_state_dict(self, state):
        self.same(state)
        self.epoch, self.batch, self.seed, self.order = state["epoch"], state["batch"], state["seed"], None


@alternative("ShufflingLoader")
class LoaderByKeys(LoaderParts):
    """Sorts random numbers; nested loops over epochs and batches."""

    def start(self):
        self.done = 0

    @property
    def epoch(self):
        return self.done // len(self)

    def _order(self, epoch):
        generator = torch.Generator().manual_seed(self.seed + 7919 * epoch)
        return torch.rand(len(self.data), generator=generator, dtype=torch.float64).argsort().tolist()

    def __iter__(self):
        while True:
            epoch, skipped = divmod(self.done, len(self))
            order = iter(self._order(epoch)[skipped * self.size :])
            for _ in range(skipped, len(self)):
                batch = _stack([self.data[index] for index in islice(order, self.size)])
                self.done += 1
                yield batch

    def state_dict(self):
        return {"done": self.done, "seed": self.seed, "windows": len(self.data), "size": self.size}

    def load_state_dict(self, state):
        self.same(state)
        self.done, self.seed = state["done"], state["seed"]


@alternative("ShufflingLoader")
class LoaderBySeededSeeds(LoaderParts):
    """Draws a seed for every epoch from the one that was given, up to the epoch it is in."""

    def start(self):
        self.given = 0

    @property
    def epoch(self):
        return self.given // len(self)

    def __iter__(self):
        while True:
            master = torch.Generator().manual_seed(self.seed)
            seeds = torch.randint(1 << 62, (self.epoch + 1,), generator=master)
            order = torch.randperm(len(self.data), generator=torch.Generator().manual_seed(int(seeds[-1])))
            full = order[: len(self) * self.size].view(len(self), self.size)
            chosen = full[self.given % len(self)].tolist()
            inputs, targets = zip(*map(self.data.__getitem__, chosen), strict=True)
            self.given = self.given + 1
            yield torch.stack(inputs, dim=0), torch.stack(targets, dim=0)

    def state_dict(self):
        return dict(given=self.given, seed=self.seed, windows=len(self.data), size=self.size)

    def load_state_dict(self, state):
        self.same(state)
        self.given, self.seed = state["given"], state["seed"]


@alternative("ShufflingLoader")
class LoaderByFisherYates(LoaderParts):
    """Swaps by hand, into tensors that are made beforehand."""

    def start(self):
        self.epoch, self.next_batch = 0, 0

    def _order(self):
        generator, order = (
            torch.Generator().manual_seed(self.epoch * 2_000_003 + self.seed),
            list(range(len(self.data))),
        )
        for last in range(len(order) - 1, 0, -1):
            other = int(torch.randint(last + 1, (1,), generator=generator))
            order[last], order[other] = order[other], order[last]
        return order

    def __iter__(self):
        while True:
            order, at = self._order(), self.next_batch * self.size
            first = self.data[order[at]]
            inputs, targets = (torch.empty(self.size, len(part), dtype=torch.int64) for part in first)
            for row, index in enumerate(order[at : at + self.size]):
                inputs[row], targets[row] = self.data[index]
            carry, self.next_batch = divmod(self.next_batch + 1, len(self))
            self.epoch += carry
            yield inputs, targets

    def state_dict(self):
        return {"e": self.epoch, "b": self.next_batch, "s": self.seed, "windows": len(self.data), "size": self.size}

    def load_state_dict(self, state):
        self.same(state)
        self.epoch, self.next_batch, self.seed = (state[key] for key in "ebs")


@alternative("ShufflingLoader")
class LoaderOfTorchsKind(LoaderParts, IterableDataset):
    """Derives from torch's iterable dataset; numpy does the arithmetic of the seed, torch the shuffling."""

    def start(self):
        self._count = np.int64(0)

    @property
    def epoch(self):
        return int(self._count // len(self))

    def __iter__(self):
        for _ in iter(int, 1):
            seed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)[0])
            order = torch.randperm(len(self.data), generator=torch.Generator().manual_seed(seed))
            chosen = order.split(self.size)[int(self._count % len(self))]
            self._count += 1
            yield _stack([self.data[int(index)] for index in chosen])

    def state_dict(self):
        return {"count": int(self._count), "seed": self.seed, "windows": len(self.data), "size": self.size}

    def load_state_dict(self, state):
        self.same(state)
        self._count, self.seed = np.int64(state["count"]), state["seed"]
