"""Known mistakes in `data`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# The lines of the solution that most mistakes replace; each stands there once.
SPLIT_AXES = "_check_one_axis(tokens)\n    if not 0 <"
FRACTION = "if not 0 < val_fraction < 1:"
CUT = "cut = len(tokens) - round(len(tokens) * val_fraction)"
EMPTY = "if cut in (0, len(tokens)):"
PARTS = "return tokens[:cut], tokens[cut:]"

BATCH_CHECKS = """    _check_one_axis(tokens)
    _check_at_least_one("batch_size", batch_size)
    _check_at_least_one("length", length)
    _check_long_enough(tokens, length)
    # A window"""
STARTS = "starts = torch.randint(len(tokens) - length, (batch_size,), generator=generator)"
STACKED = "windows = torch.stack([_read(tokens, start, start + length + 1) for start in starts.tolist()])"
SHIFTED = "return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()"

DATASET_CHECKS = """        _check_one_axis(tokens)
        _check_at_least_one("length", length)
        _check_long_enough(tokens, length)
"""
MAPPED = 'return cls(np.memmap(path, dtype=dtype, mode="r"), length)'
FROM_FILE = 'length: int, dtype: str = "uint16"'
COUNT = "return (len(self.tokens) - 1) // self.length"
IN_RANGE = "if not -len(self) <= index < len(self):"
INDEX_ERROR = "raise IndexError(f"
START = "start = index % len(self) * self.length"
WINDOW = "window = _read(self.tokens, start, start + self.length + 1)"
PAIR = "return window[:-1].clone(), window[1:].clone()"

TOO_LARGE = "if batch_size > len(dataset):"
LOADER_CHECK = '_check_at_least_one("batch_size", batch_size)\n        if batch'
EPOCH = "return self._handed_out // len(self)"
LEN = "return len(self.dataset) // self.batch_size"
BEGIN_ITER = "epoch, order = -1, []"
NEW_EPOCH = "if epoch != self.epoch:"
BEGIN = "begin = self._handed_out % len(self) * self.batch_size"
WINDOWS = "windows = [self.dataset[index] for index in order[begin : begin + self.batch_size]]"
COUNTED = "self._handed_out += 1\n            yield torch.stack(inputs), torch.stack(targets)"
STATE = 'return {"handed_out": self._handed_out, "seed": self.seed} | self._sizes()'
SIZES = "for name, own in self._sizes().items():"
GO_ON = 'self._handed_out = state["handed_out"]'
TAKE_SEED = 'self.seed = state["seed"]'
SEEDED = "generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)"
ORDER = "return torch.randperm(len(self.dataset), generator=generator).tolist()"

READ_TENSOR = "return window.to(torch.int64)"
READ_ARRAY = "return torch.from_numpy(np.asarray(window).astype(np.int64))"

Edits = dict[str, str]


def _split(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"split-{id}", "train_val_split", says, edits)


def _batch(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"batch-{id}", "get_batch", says, edits)


def _dataset(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"dataset-{id}", "TokenDataset", says, edits)


def _loader(id: str, says: str, edits: Edits, stateful: bool = False) -> Mistake:
    return Mistake(f"loader-{id}", "ShufflingLoader", says, edits, stateful=stateful)


def _both(id: str, says: str, batch: Edits, dataset: Edits) -> list[Mistake]:
    """One mistake that can be made wherever windows are cut."""
    return [_batch(id, says, batch), _dataset(id, says, dataset)]


SPLIT = [
    _split(
        "parts-swapped",
        "you return the validation part first: return the training part first.",
        {PARTS: "return tokens[cut:], tokens[:cut]"},
    ),
    _split(
        "validates-on-the-beginning",
        "your validation part is the beginning of the text: use the end.",
        {PARTS: "return tokens[len(tokens) - cut :], tokens[: len(tokens) - cut]"},
    ),
    _split(
        "trains-on-validation",
        "your training part still contains the validation tokens.",
        {PARTS: "return tokens, tokens[cut:]"},
    ),
    _split(
        "overlap",
        "one token is in both parts: cut both at the same position.",
        {PARTS: "return tokens[: cut + 1], tokens[cut:]"},
    ),
    _split(
        "gap",
        "one token is in neither part: cut both at the same position.",
        {PARTS: "return tokens[:cut], tokens[cut + 1 :]"},
    ),
    _split(
        "cut-off",
        "you truncate n * val_fraction to an integer: int(100 * 0.29) is 28. Use round.",
        {CUT: "cut = len(tokens) - int(len(tokens) * val_fraction)"},
    ),
    _split(
        "training-part-cut-off",
        "you truncate n * (1 - val_fraction), so the validation part gets too many tokens: round n * val_fraction.",
        {CUT: "cut = int(len(tokens) * (1 - val_fraction))"},
    ),
    _split(
        "training-part-rounded",
        "you round the size of the training part: round the size of the validation part, and the rest is for training.",
        {CUT: "cut = round(len(tokens) * (1 - val_fraction))"},
    ),
    _split(
        "default",
        "your default val_fraction is 0.2: it must be 0.1.",
        {"val_fraction: float = 0.1": "val_fraction: float = 0.2"},
    ),
    _split(
        "shuffled",
        "you shuffle the tokens: both parts must be contiguous pieces of the text.",
        {
            PARTS: "tokens = tokens[torch.randperm(len(tokens), generator=torch.Generator().manual_seed(0)).tolist()]\n    return tokens[:cut], tokens[cut:]"
        },
    ),
    _split(
        "copies",
        "you copy the parts of an array: return slices, which are views and need no memory.",
        {
            PARTS: "copy = tokens.clone() if isinstance(tokens, Tensor) else tokens.copy()\n    return copy[:cut], copy[cut:]"
        },
    ),
    _split(
        "copies-tensors",
        "you copy the parts of a tensor: return slices, which are views and need no memory.",
        {
            PARTS: "return (tokens[:cut].clone(), tokens[cut:].clone()) if isinstance(tokens, Tensor) else (tokens[:cut], tokens[cut:])"
        },
    ),
    _split(
        "list-of-parts",
        "you return a list: return a tuple.",
        {PARTS: "return [tokens[:cut], tokens[cut:]]"},
    ),
    _split(
        "becomes-int64",
        "you convert the tokens to int64: keep their dtype.",
        {
            PARTS: "tokens = tokens.long() if isinstance(tokens, Tensor) else tokens.astype(np.int64)\n    return tokens[:cut], tokens[cut:]"
        },
    ),
    _split(
        "half-rounded-up",
        "you round halves up: use Python's round, which rounds a half to the even number (2.5 to 2).",
        {CUT: "cut = len(tokens) - int(len(tokens) * val_fraction + 0.5)"},
    ),
    _split(
        "becomes-a-tensor",
        "you turn an array into a tensor: keep the type, so that a memory-mapped file stays in its file.",
        {PARTS: "tokens = torch.as_tensor(tokens)\n    return tokens[:cut], tokens[cut:]"},
    ),
    _split(
        "any-fraction", "you take any val_fraction: refuse one that is not between 0 and 1.", {FRACTION: "if False:"}
    ),
    _split("empty-part", "you allow an empty part: refuse that with a ValueError.", {EMPTY: "if False:"}),
    _split(
        "any-shape",
        "you take tokens of any shape: refuse all shapes but those with one axis.",
        {SPLIT_AXES: "if not 0 <"},
    ),
]

CUTTING = [
    *_both(
        "not-shifted",
        "your targets are the inputs: shift them by one position in the text.",
        {SHIFTED: SHIFTED.replace("windows[:, 1:]", "windows[:, :-1]")},
        {PAIR: PAIR.replace("window[1:]", "window[:-1]")},
    ),
    *_both(
        "plus-one",
        "your targets are the inputs plus 1: shift the position in the text, not the token id.",
        {SHIFTED: "return windows[:, :-1].contiguous(), windows[:, :-1] + 1"},
        {PAIR: "return window[:-1].clone(), window[:-1] + 1"},
    ),
    *_both(
        "swapped",
        "your targets precede your inputs in the text: return the earlier tokens as inputs, and the following ones as targets.",
        {SHIFTED: "return windows[:, 1:].contiguous(), windows[:, :-1].contiguous()"},
        {PAIR: "return window[1:].clone(), window[:-1].clone()"},
    ),
    *_both(
        "rolled",
        "you make targets by rolling the inputs, so the last target is the first input: it must be the next token in the text.",
        {SHIFTED: "return windows[:, :-1].contiguous(), windows[:, :-1].roll(-1, 1)"},
        {PAIR: "return window[:-1].clone(), window[:-1].roll(-1)"},
    ),
    *_both(
        "dtype-kept",
        "your batch has the dtype of the tokens: convert it to int64.",
        {STACKED: "windows = torch.stack([torch.as_tensor(tokens[i : i + length + 1]) for i in starts.tolist()])"},
        {WINDOW: "window = torch.as_tensor(self.tokens[start : start + self.length + 1])"},
    ),
    *_both(
        "int32",
        "you return int32 tokens: return int64.",
        {STACKED: f"{STACKED}.int()"},
        {WINDOW: f"{WINDOW}.int()"},
    ),
    *_both(
        "through-int16",
        "you convert uint16 tokens through int16, so those above 32767 become negative: convert directly to int64.",
        {READ_ARRAY: "return torch.from_numpy(np.asarray(window).astype(np.int16)).long()"},
        {READ_ARRAY: "return torch.from_numpy(np.asarray(window).astype(np.int16)).long()"},
    ),
    *_both(
        "through-int32",
        "you convert through int32, so numbers from 2^31 on become wrong: convert directly to int64.",
        {
            READ_ARRAY: "return torch.from_numpy(np.asarray(window).astype(np.int32)).long()",
            READ_TENSOR: "return window.int().long()",
        },
        {
            READ_ARRAY: "return torch.from_numpy(np.asarray(window).astype(np.int32)).long()",
            READ_TENSOR: "return window.int().long()",
        },
    ),
    *_both(
        "through-float",
        "you convert through a float, so large numbers get rounded: convert directly to int64.",
        {READ_TENSOR: "return torch.tensor(window.tolist(), dtype=torch.float32).long()"},
        {READ_TENSOR: "return torch.tensor(window.tolist(), dtype=torch.float32).long()"},
    ),
]

BATCH = [
    _batch(
        "last-place-never",
        "you never draw the last window: torch.randint excludes its upper end, and the last start is n - length - 1.",
        {STARTS: STARTS.replace("len(tokens) - length", "len(tokens) - length - 1")},
    ),
    _batch(
        "overrun",
        "your last window runs past the end of the text: the last start is n - length - 1.",
        {STARTS: STARTS.replace("len(tokens) - length", "len(tokens) - length + 1")},
    ),
    _batch(
        "first-place-never",
        "you never draw the first window: starts begin at 0.",
        {STARTS: STARTS.replace("len(tokens) - length", "min(1, len(tokens) - length - 1), len(tokens) - length")},
    ),
    _batch(
        "one-start",
        "all rows of your batch are the same window: draw one start per row.",
        {STARTS: f"{STARTS}[:1].expand(batch_size)"},
    ),
    _batch(
        "rows-in-a-row",
        "you draw one start per batch and let the rows follow one another: draw each start independently.",
        {STARTS: f"{STARTS}[:1]\n    starts = (starts + torch.arange(batch_size)) % (len(tokens) - length)"},
    ),
    _batch(
        "own-seed",
        "you seed a generator in every call, so every batch is the same: do not seed.",
        {STARTS: STARTS.replace("=generator)", "=torch.Generator().manual_seed(0))")},
    ),
    _batch(
        "not-random",
        "your starts are not random: draw them with torch.randint.",
        {STARTS: "starts = torch.linspace(0, len(tokens) - length - 1, batch_size).long()"},
    ),
    _batch(
        "no-window-twice",
        "you draw without replacement: draw the starts independently, since there may be more rows than starts.",
        {STARTS: "starts = torch.randperm(len(tokens) - length, generator=generator)[:batch_size]"},
    ),
    _batch(
        "generator-ignored",
        "you do not use the given generator: pass generator=generator.",
        {STARTS: STARTS.replace("generator=generator", "generator=None")},
    ),
    _batch(
        "seeds-the-global-generator",
        "you take the generator's seed and seed torch's global one with it: draw from the given generator itself.",
        {
            STARTS: "torch.default_generator.manual_seed(generator.initial_seed() if generator else 0)\n    "
            + STARTS.replace("generator=generator", "generator=None")
        },
    ),
    _batch(
        "generator-ignored-for-arrays",
        "you do not use the generator if the tokens are an array: pass generator=generator there too.",
        {STARTS: "if isinstance(tokens, np.ndarray):\n        generator = None\n    " + STARTS},
    ),
    _batch(
        "numpy-starts-for-arrays",
        "you draw the starts with numpy if the tokens are an array: draw them with torch, from the generator.",
        {
            STARTS: "if isinstance(tokens, np.ndarray):\n        starts = torch.from_numpy(np.random.randint(0, len(tokens) - length, batch_size))\n    else:\n        "
            + STARTS
        },
    ),
    _batch(
        "python-random",
        "you draw with Python's random if no generator is given: None means torch's global one.",
        {
            STARTS: "import random\n    "
            + STARTS
            + "\n    if generator is None:\n        starts = torch.tensor([random.randrange(len(tokens) - length) for _ in range(batch_size)])"
        },
    ),
    _batch(
        "own-generator-for-none",
        "you create your own generator if none is given: None means torch's global one.",
        {
            STARTS: STARTS.replace(
                "=generator)", "=generator or torch.Generator().manual_seed(torch.initial_seed() % 2**63))"
            )
        },
    ),
    _batch(
        "draws-more",
        "you draw from torch's global generator although another one is given.",
        {STARTS: f"{STARTS}\n    torch.randperm(batch_size)"},
    ),
    _batch(
        "generator-from-its-seed",
        "you restart the generator from its seed: draw from the given one, which continues from call to call.",
        {
            STARTS: STARTS.replace(
                "=generator)", "=torch.Generator().manual_seed(generator.initial_seed()) if generator else None)"
            )
        },
    ),
    _batch(
        "device-ignored",
        "your batch stays on the device of the tokens: move it to `device`.",
        {"windows = windows.to(device)": "windows = windows.to(None)"},
    ),
    _batch(
        "device-for-inputs-only",
        "your targets stay on the device of the tokens: move both tensors to `device`.",
        {
            "windows = windows.to(device)": "windows = windows.to(None)",
            SHIFTED: "return windows[:, :-1].contiguous().to(device), windows[:, 1:].contiguous()",
        },
    ),
    _batch(
        "device-ignored-for-arrays",
        "your batch from an array stays on the CPU: move it to `device`.",
        {"windows = windows.to(device)": "windows = windows.to(device if isinstance(tokens, Tensor) else None)"},
    ),
    _batch(
        "views",
        "your batch is a view of the text, so writing into it changes the text: return new tensors.",
        {
            STACKED: STACKED
            + "\n    if batch_size == 1:\n        windows = _read(tokens, int(starts[0]), int(starts[0]) + length + 1)[None]",
            SHIFTED: "return windows[:, :-1], windows[:, 1:]",
        },
    ),
    _batch(
        "converts-everything",
        "you convert the whole text for every batch: cut out the windows first, and convert only them.",
        {STARTS: "tokens = torch.as_tensor(tokens[:]).to(torch.int64)\n    " + STARTS},
    ),
    _batch(
        "copies-arrays",
        "you copy the whole array for every batch: cut out the windows first, and copy only them.",
        {STARTS: "tokens = np.array(tokens) if isinstance(tokens, np.ndarray) else tokens\n    " + STARTS},
    ),
    _batch(
        "sequence-first",
        "your batch is (length, batch_size): the batch axis comes first.",
        {SHIFTED: "return windows[:, :-1].T, windows[:, 1:].T"},
    ),
    _batch(
        "one-too-long",
        "your inputs have length + 1 positions: the last token of a window is a target only.",
        {SHIFTED: "return windows, windows[:, 1:].contiguous()"},
    ),
    _batch(
        "needs-one-more",
        "you accept `length` tokens, and then torch raises a RuntimeError: a window needs length + 1 tokens.",
        {BATCH_CHECKS: BATCH_CHECKS.replace("(tokens, length)", "(tokens, length - 1)")},
    ),
    _batch(
        "any-size",
        "you take a batch_size or length below 1: refuse it with a ValueError.",
        {BATCH_CHECKS: BATCH_CHECKS.replace('"batch_size", batch_size', '"", 1').replace('"length", length', '"", 1')},
    ),
    _batch(
        "any-shape",
        "you take tokens of any shape: refuse all shapes but those with one axis.",
        {BATCH_CHECKS: BATCH_CHECKS.replace("_check_one_axis(tokens)", "pass")},
    ),
]

DATASET = [
    _dataset(
        "too-many",
        "you count n // length windows, one too many if length divides n: use n - 1, since the last target needs a token too.",
        {COUNT: "return len(self.tokens) // self.length"},
    ),
    _dataset(
        "last-window-dropped",
        "your last window is missing: the number of windows is (n - 1) // length, without subtracting anything else.",
        {COUNT: "return (len(self.tokens) - 2) // self.length"},
    ),
    _dataset(
        "apart",
        "your windows start length + 1 apart: window i begins at i * length, with the last token of the previous one.",
        {
            COUNT: "return len(self.tokens) // (self.length + 1)",
            START: "start = index % len(self) * (self.length + 1)",
        },
    ),
    _dataset(
        "overlap",
        "you have a window at every token: window i begins at i * length.",
        {COUNT: "return len(self.tokens) - self.length", START: "start = index % len(self)"},
    ),
    _dataset(
        "negative-refused",
        "you refuse negative numbers: -1 is the last window, as in a list.",
        {IN_RANGE: "if not 0 <= index < len(self):"},
    ),
    _dataset(
        "negative-from-the-end-of-the-text",
        "you multiply a negative index by length, which counts tokens from the end: make it positive first.",
        {START: "start = index * self.length"},
    ),
    _dataset(
        "no-index-error-before-the-start",
        "an index below -len(dataset) wraps around in your code: raise an IndexError.",
        {IN_RANGE: "if index >= len(self):"},
    ),
    _dataset(
        "no-index-error",
        "there is no IndexError past the end, so a `for` loop over your dataset never ends: raise one.",
        {IN_RANGE: "if False:"},
    ),
    _dataset(
        "value-error",
        "you raise a ValueError for a window that does not exist: raise an IndexError, which ends a `for` loop.",
        {INDEX_ERROR: "raise ValueError(f"},
    ),
    _dataset(
        "file-read-whole",
        "you read the whole file when you open it: map it with np.memmap, and convert only the windows.",
        {MAPPED: "return cls(np.fromfile(path, dtype=dtype), length)"},
    ),
    _dataset(
        "file-opened-for-writing",
        'you open the file for writing as well, which a file that may only be read refuses: np.memmap needs mode="r".',
        {MAPPED: "return cls(np.memmap(path, dtype=dtype), length)"},
    ),
    _dataset(
        "converts-in-the-constructor",
        "your constructor converts the whole text to int64: keep it as it is, and convert only windows.",
        {"self.tokens = tokens  #": "self.tokens = torch.as_tensor(tokens).long()  #"},
    ),
    _dataset(
        "arrays-converted-in-the-constructor",
        "your constructor converts a whole array to int64: keep it as it is, and convert only windows.",
        {
            "self.tokens = tokens  #": "self.tokens = tokens if isinstance(tokens, Tensor) else torch.from_numpy(tokens.astype(np.int64))  #"
        },
    ),
    _dataset(
        "copies-in-the-constructor",
        "your constructor copies the whole text: keep it as it is.",
        {"self.tokens = tokens  #": "self.tokens = tokens.clone() if isinstance(tokens, Tensor) else tokens.copy()  #"},
    ),
    _dataset(
        "converts-for-each-window",
        "you convert the whole text for each window: cut out the window first, and convert only it.",
        {WINDOW: "window = torch.as_tensor(np.asarray(self.tokens).astype(np.int64))[start : start + self.length + 1]"},
    ),
    _dataset(
        "views",
        "your windows are views of the text, so writing into one changes the text: return new tensors.",
        {PAIR: "return window[:-1], window[1:]"},
    ),
    _dataset(
        "array-views",
        "your windows of an array are views of it, so writing into one changes the text: return new tensors.",
        {
            READ_ARRAY: "return torch.from_numpy(np.asarray(window).astype(np.int64, copy=False))",
            PAIR: "if isinstance(self.tokens, Tensor):\n            return window[:-1].clone(), window[1:].clone()\n        return window[:-1], window[1:]",
        },
    ),
    _dataset(
        "windows-kept",
        "you keep the windows that you returned, so writing into one changes later results: read each window again.",
        {
            PAIR: "kept = self.__dict__.setdefault('_kept', {})\n        return kept.setdefault(start, (window[:-1].clone(), window[1:].clone()))"
        },
    ),
    _dataset(
        "file-without-a-window",
        "you create a dataset from a file without a window: refuse fewer than length + 1 tokens there too.",
        {
            MAPPED: 'dataset = cls.__new__(cls)\n        dataset.tokens, dataset.length = np.memmap(path, dtype=dtype, mode="r"), length\n        return dataset'
        },
    ),
    _dataset(
        "file-dtype-ignored",
        "you read every file as uint16: use the given dtype.",
        {MAPPED: MAPPED.replace("dtype=dtype", 'dtype="uint16"')},
    ),
    _dataset(
        "file-bytes",
        "you map the file without a dtype, so np.memmap takes each byte for a number: pass the dtype on.",
        {MAPPED: MAPPED.replace("dtype=dtype, ", "")},
    ),
    _dataset(
        "file-dtype-default",
        "your from_file takes int16 by default: the default is uint16.",
        {FROM_FILE: FROM_FILE.replace("uint16", "int16")},
    ),
    _dataset(
        "empty",
        "you create a dataset without a window: refuse fewer than length + 1 tokens.",
        {DATASET_CHECKS: DATASET_CHECKS.replace("_check_long_enough(tokens, length)", "pass")},
    ),
    _dataset(
        "any-length",
        "you take a length below 1: refuse it with a ValueError.",
        {DATASET_CHECKS: DATASET_CHECKS.replace('_check_at_least_one("length", length)', "pass")},
    ),
    _dataset(
        "any-shape",
        "you take tokens of any shape: refuse all shapes but those with one axis.",
        {DATASET_CHECKS: DATASET_CHECKS.replace("_check_one_axis(tokens)", "pass")},
    ),
]

LOADER_ORDER = [
    _loader(
        "reads-an-epoch",
        "you read windows of later or earlier batches: read only the windows of the batch that is due.",
        {
            WINDOWS: "windows = [tuple(map(torch.clone, self.dataset[index])) for index in order][begin : begin + self.batch_size]"
        },
    ),
    _loader(
        "reads-an-epoch-at-once",
        "you read all windows of an epoch when it begins: read the windows of a batch when it is due.",
        {
            NEW_EPOCH: "if epoch != self.epoch:\n                everything = dict(enumerate(self.dataset[i] for i in range(len(self.dataset))))\n            "
            + NEW_EPOCH,
            WINDOWS: "windows = [everything[index] for index in order[begin : begin + self.batch_size]]",
        },
    ),
    _loader(
        "reads-in-the-constructor",
        "you read all windows when you create the loader: read the windows of a batch when it is due.",
        {"self.dataset = dataset\n": "self.dataset = [dataset[i] for i in range(len(dataset))]\n"},
    ),
    _loader(
        "reads-a-batch-ahead",
        "you read a batch before it is requested: read the windows of a batch when it is due.",
        {
            WINDOWS: WINDOWS
            + "\n            following = [self.dataset[index] for index in order[begin + self.batch_size : begin + 2 * self.batch_size]]"
            + "\n            windows, self._ahead = (self.__dict__.get('_ahead') or windows) if begin else windows, following"
        },
    ),
    _loader(
        "resumes-by-reading",
        "you read all earlier batches to resume: a division tells you which windows are next.",
        {
            GO_ON: "skipped = state['handed_out'] - self._handed_out\n        for number in range(skipped):\n            self.dataset[number % len(self.dataset)]\n        "
            + GO_ON
        },
    ),
    _loader(
        "shuffles-the-dataset",
        "you shuffle the caller's list of windows: shuffle a list of indices instead.",
        {
            NEW_EPOCH: "if epoch != self.epoch and isinstance(self.dataset, list):\n                mixed = [self.dataset[i] for i in self._order()]\n                self.dataset[:] = mixed\n            "
            + NEW_EPOCH
        },
    ),
    _loader(
        "batch-of-one-is-a-view",
        "your batch of one window shares memory with the dataset, so writing into it changes the dataset: return new tensors.",
        {
            COUNTED: COUNTED.replace(
                "torch.stack(inputs), torch.stack(targets)",
                "(torch.stack(inputs), torch.stack(targets)) if self.batch_size > 1 else (inputs[0][None], targets[0][None])",
            )
        },
    ),
    _loader(
        "batches-shuffled-only",
        "you shuffle the batches but leave neighboring windows together: shuffle the windows.",
        {
            ORDER: "batches = torch.randperm(len(self), generator=generator).tolist()\n        return [b * self.batch_size + i for b in batches for i in range(self.batch_size)]"
        },
    ),
    _loader(
        "python-random",
        "you shuffle with Python's random, whose global state the rest of the run shares: create a separate generator.",
        {
            ORDER: "import random\n        order = list(range(len(self.dataset)))\n        random.seed(self.seed * 1_000_003 + self.epoch)\n        random.shuffle(order)\n        return order"
        },
    ),
    _loader(
        "numpy-random",
        "you shuffle with numpy's global generator, which the rest of the run shares: create a separate generator.",
        {
            ORDER: "np.random.seed((self.seed * 1_003 + self.epoch) % 2**32)\n        return np.random.permutation(len(self.dataset)).tolist()"
        },
    ),
    _loader(
        "not-shuffled",
        "your windows come in text order: shuffle them.",
        {ORDER: "return list(range(len(self.dataset)))"},
    ),
    _loader(
        "same-order-each-epoch",
        "all your epochs have the same order: derive it from the epoch's number too.",
        {SEEDED: "generator = torch.Generator().manual_seed(self.seed)"},
    ),
    _loader(
        "order-turned",
        "your epochs have the same order with a different start: draw a new order for each epoch.",
        {
            SEEDED: "generator = torch.Generator().manual_seed(self.seed)",
            ORDER: "return torch.randperm(len(self.dataset), generator=generator).roll(self.epoch).tolist()",
        },
    ),
    _loader(
        "seed-ignored",
        "your order does not depend on the seed: derive it from the seed and the epoch.",
        {SEEDED: "generator = torch.Generator().manual_seed(self.epoch)"},
    ),
    _loader("seed-default", "your default seed is 1: it must be 0.", {"seed: int = 0": "seed: int = 1"}),
    _loader(
        "global-generator",
        "you shuffle with torch's global generator, so its seed changes your order: create a separate generator.",
        {ORDER: "return torch.randperm(len(self.dataset)).tolist()"},
    ),
    _loader(
        "seed-too-large",
        "your code makes a large seed, such as a time in nanoseconds, larger than a generator takes: reduce it below 2^63 with %.",
        {SEEDED: SEEDED.replace(" % 2**63", "")},
    ),
    _loader(
        "seeds-the-global-generator",
        "you seed torch's global generator for your order, which changes all later draws of the run: create a separate generator.",
        {
            SEEDED: "torch.default_generator.manual_seed(self.seed * 1009 + self.epoch)",
            ORDER: "return torch.randperm(len(self.dataset)).tolist()",
        },
    ),
    _loader(
        "one-generator",
        "you seed one generator and draw every epoch from it, so after a restart it begins again: seed a new one from seed and epoch.",
        {SEEDED: "generator = self.__dict__.setdefault('_generator', torch.Generator().manual_seed(self.seed))"},
    ),
    _loader(
        "windows-twice",
        "you draw windows with torch.randint, so some come twice in an epoch and others never: use torch.randperm.",
        {ORDER: "return torch.randint(len(self.dataset), (len(self.dataset),), generator=generator).tolist()"},
    ),
    _loader(
        "batches-overlap",
        "your batches overlap: batch b of an epoch begins at b * batch_size.",
        {BEGIN: "begin = self._handed_out % len(self)"},
    ),
]

LOADER_BATCHES = [
    _loader(
        "last-batch-kept",
        "your epoch ends with a batch that is not full: drop it.",
        {LEN: "return -(-len(self.dataset) // self.batch_size)"},
    ),
    _loader(
        "len-is-windows",
        "your len counts windows: count full batches.",
        {LEN: "return len(self.dataset)"},
    ),
    _loader(
        "ends-after-an-epoch",
        "your iterator ends after one epoch: continue with the next one, without end.",
        {NEW_EPOCH: "if epoch not in (-1, self.epoch):\n                return\n            if epoch != self.epoch:"},
    ),
    _loader(
        "concatenated",
        "you join the windows to one long row: stack them to (batch_size, length).",
        {COUNTED: COUNTED.replace("torch.stack", "torch.cat")},
    ),
    _loader(
        "swapped",
        "you yield the targets first: the inputs come first.",
        {
            COUNTED: COUNTED.replace(
                "torch.stack(inputs), torch.stack(targets)", "torch.stack(targets), torch.stack(inputs)"
            )
        },
    ),
    _loader(
        "no-full-batch",
        "you create a loader that has no full batch: refuse that with a ValueError.",
        {TOO_LARGE: "if False:"},
    ),
    _loader(
        "any-batch-size", "you take a batch_size below 1: refuse it with a ValueError.", {LOADER_CHECK: "if batch"}
    ),
]

LOADER_RESUME = [
    _loader(
        "counted-after-the-yield",
        "your state is one batch behind: code after `yield` runs only when the next batch is requested, so count before it.",
        {COUNTED: "yield torch.stack(inputs), torch.stack(targets)\n            self._handed_out += 1"},
    ),
    _loader(
        "load-does-nothing",
        "your load_state_dict has no effect: set the position and the seed.",
        {GO_ON: "pass", TAKE_SEED: "pass"},
    ),
    _loader(
        "begins-anew",
        "every new iterator starts at the very first batch: continue after the last yielded one.",
        {BEGIN_ITER: f"{BEGIN_ITER}\n        self._handed_out = 0"},
    ),
    _loader(
        "state-without-place",
        "your state lacks the position inside the epoch, so a resumed run sees the epoch's first batches again: store it.",
        {STATE: STATE.replace("self._handed_out", "self.epoch * len(self)")},
    ),
    _loader(
        "epoch-begins-anew",
        "a new iterator starts the epoch again: continue after the last yielded batch.",
        {BEGIN_ITER: f"{BEGIN_ITER}\n        self._handed_out = self.epoch * len(self)"},
    ),
    _loader(
        "state-without-epoch",
        "your state lacks the epoch, so a resumed run continues in the first one: store it.",
        {STATE: STATE.replace("self._handed_out", "self._handed_out % len(self)")},
    ),
    _loader(
        "skips-a-batch",
        "your resumed loader skips a batch: the state counts yielded batches, and that count is the number of the next one.",
        {GO_ON: f"{GO_ON} + 1"},
    ),
    _loader(
        "seed-not-restored", "load_state_dict leaves the seed as it is: take it from the state.", {TAKE_SEED: "pass"}
    ),
    _loader(
        "state-of-other-sizes",
        "you resume from the state of a loader with a different number of windows or batch size: refuse it.",
        {SIZES: "for name, own in ():"},
    ),
    _loader(
        "changed-by-a-refusal",
        "your load_state_dict changes the loader before it refuses a state: check everything first.",
        {SIZES: "self._handed_out, self.seed = state['handed_out'], state['seed']\n        " + SIZES},
    ),
    _loader(
        "wiped-by-a-refusal",
        "your load_state_dict resets the loader before it refuses a state: check everything first.",
        {SIZES: "self._handed_out = 0\n        " + SIZES},
    ),
    _loader(
        "seed-taken-before-a-refusal",
        "your load_state_dict sets the seed before it refuses a state: check everything first.",
        {SIZES: "self.seed = state['seed']\n        " + SIZES},
    ),
    _loader(
        "state-with-initial-seed",
        "your state holds the seed of the constructor: after a load it must hold the loaded seed.",
        {
            "self._handed_out = 0  #": "self._first_seed = seed\n        self._handed_out = 0  #",
            STATE: STATE.replace("self.seed", "self._first_seed"),
        },
    ),
    _loader(
        "epoch-not-restored",
        "your epoch does not change when you load a state: it must be the epoch of the saved loader.",
        {
            EPOCH: "return max(0, self._handed_out - self.__dict__.get('_loaded', 0)) // len(self)",
            GO_ON: GO_ON + "\n        self._loaded = self._handed_out",
            NEW_EPOCH: "now = self._handed_out // len(self)\n            if epoch != now:",
            "epoch, order = self.epoch, self._order()": "epoch, order = now, self._order()",
            SEEDED: SEEDED.replace("self.epoch", "self._handed_out // len(self)"),
        },
    ),
    _loader(
        "state-is-live",
        "the dict that state_dict returned changes with later batches: return a new one each time.",
        {
            STATE: "live = self.__dict__.setdefault('_live', {})\n        live.update(handed_out=self._handed_out, seed=self.seed, **self._sizes())\n        return live",
        },
    ),
    _loader(
        "state-of-tensors",
        "your state holds tensors: store ints.",
        {
            STATE: STATE.replace("self._handed_out,", "torch.tensor(self._handed_out),"),
            GO_ON: 'self._handed_out = int(state["handed_out"])',
        },
    ),
    _loader(
        "epoch-counts-from-one",
        "your epoch is 1 before the first batch: it is the number of completed epochs.",
        {EPOCH: "return self._handed_out // len(self) + 1"},
    ),
    _loader(
        "epoch-late",
        "your epoch changes only with the first batch of the next epoch: it must change with the last batch.",
        {
            EPOCH: "return max(0, self._handed_out - 1) // len(self)",
            NEW_EPOCH: "self_epoch = self._handed_out // len(self)\n            if epoch != self_epoch:",
            "epoch, order = self.epoch, self._order()": "epoch, order = self_epoch, self._order()",
            SEEDED: SEEDED.replace("self.epoch", "self._handed_out // len(self)"),
        },
    ),
]

SHORTCUTS = [
    Mistake(
        "uses-DataLoader",
        "ShufflingLoader",
        "your ShufflingLoader is torch.utils.data.DataLoader: write it yourself.",
        append="""
import torch.utils.data


def _iter(self):
    while True:
        generator = torch.Generator().manual_seed(self.seed * 1009 + self.epoch)
        batches = torch.utils.data.DataLoader(
            self.dataset, self.batch_size, shuffle=True, drop_last=True, generator=generator
        )
        for batch in list(batches)[self._handed_out % len(self) :]:
            self._handed_out += 1
            yield tuple(batch)


ShufflingLoader.__iter__ = _iter
""",
    ),
]

MISTAKES = [
    *SPLIT,
    *BATCH,
    *DATASET,
    *CUTTING,
    *LOADER_ORDER,
    *LOADER_BATCHES,
    *LOADER_RESUME,
    *SHORTCUTS,
    *always("train_val_split", without=("detached",)),
    *always("get_batch", without=("detached",)),
    *always("TokenDataset", "TokenDataset.__getitem__", without=("detached", "returns-its-input", "mutates-its-input")),
]
