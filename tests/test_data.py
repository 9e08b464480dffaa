"""Checks of data: what is cut where, what is drawn from where, and what comes next after a restart."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking import check, read_only
from tests.strategies import seeds

AFTER_SEED_5 = torch.rand((), generator=torch.Generator().manual_seed(5)).item()


def text(rand, size, low=0, high=200):
    """Tokens in no order, of which no two are the same."""
    return low + torch.randperm(high - low, generator=rand.generator)[:size]


TOKENS = [
    *((dtype, False) for dtype in ("int64", "int32", "int16", "uint8")),
    *((dtype, True) for dtype in ("int64", "uint32", "uint16", "uint8")),
]


def tokens_of(rand, size, dtype, array):
    """Tokens as an array or a tensor, near the upper end of what the dtype holds: beyond 2^32 for int64."""
    high = min(0x123_4567_89AB, np.iinfo(dtype).max)
    tokens = text(rand, size, high - 90, high).numpy().astype(dtype)
    return tokens if array else torch.from_numpy(tokens)


def large(size=500_000):
    """An array and a tensor of so many bytes: what is made of all of it is seen, what is made of a window is not."""
    return {"array": np.arange(size, dtype=np.uint8), "tensor": torch.arange(size).to(torch.uint8)}


def bytes_made(measure, work):
    """How much a piece of work makes of 500 kB of tokens, in steps that tell a copy from a conversion to int64."""
    cost = measure(work)
    most = max(cost.largest, cost.memory)
    return "little" if most < 300_000 else "as much as a copy" if most < 2_000_000 else "more than a copy"


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def pairs(count):
    """Windows of length 3 whose numbers say which window they are of: what a dataset gives, as a list."""
    return [(10 * i + torch.arange(3), 5000 + 10 * i - torch.arange(3)) for i in range(count)]


def refused(name, given, *args, says):
    """A call that is refused, and what the message must mention: for tokens, their number or their shape."""
    first = pairs(given) if name == "ShufflingLoader" else torch.ones(given, dtype=torch.int64)
    call = f"{name}({given}{' windows' if name == 'ShufflingLoader' else ' tokens'}, {', '.join(map(str, args))})"
    return pytest.param(name, (first, *args), call, says.split(), id=call, marks=check(name, "property", "refusals"))


NO_AXIS = {"train_val_split": (0.5,), "get_batch": (2, 3), "TokenDataset": (3,)}
REFUSED = [
    *(refused("train_val_split", 8, f, says=str(f)) for f in (0.0, 1.0, -0.25, 1.5, float("nan"))),
    *(refused("train_val_split", n, f, says=str(n)) for n, f in [(7, 0.05), (7, 0.95), (1, 0.3), (1, 0.7), (0, 0.4)]),
    refused("get_batch", 41, 2, 41, says="41 42"),
    refused("get_batch", 31, 2, 77, says="31 78"),
    refused("get_batch", 0, 2, 3, says="0 4"),
    *(refused("get_batch", 20, b, t, says=str(min(b, t))) for b, t in [(0, 3), (3, 0), (-1, 3), (3, -1)]),
    refused("TokenDataset", 41, 41, says="41 42"),
    refused("TokenDataset", 0, 3, says="0 4"),
    *(refused("TokenDataset", 9, t, says=str(t)) for t in (0, -1)),
    refused("ShufflingLoader", 31, 77, says="31 77"),
    refused("ShufflingLoader", 4, 5, says="4 5"),
    *(refused("ShufflingLoader", 4, b, says=str(b)) for b in (0, -1)),
    *(refused("train_val_split", shape, 0.5, says="{} {}".format(*shape)) for shape in [(9, 17), (1, 17)]),
    *(refused("get_batch", shape, 2, 3, says="{} {}".format(*shape)) for shape in [(9, 17), (1, 17)]),
    *(refused("TokenDataset", shape, 3, says="{} {}".format(*shape)) for shape in [(9, 17), (1, 17)]),
    *(refused(name, (), *args, says="") for name, args in NO_AXIS.items()),
]


@pytest.mark.parametrize(("name", "args", "call", "mentions"), REFUSED)
def test_what_makes_no_sense_is_refused(agree, name, args, call, mentions):
    def question(unit):
        made = getattr(unit, name)(*args)
        return made if isinstance(made, tuple) else f"a {name}"

    for said in mentions or [""]:
        agree.raises(call, question, ValueError, mentions=said)


# train_val_split


def split(unit, count, fraction):
    train, val = unit.train_val_split(torch.arange(count), fraction)
    return len(train), len(val)


@check("train_val_split", "property")
def test_split_forgets_earlier_calls(agree, rand):
    texts = text(rand, 64), text(rand, 64)  # a size that no other check has
    agree.on("train_val_split of two texts of 64", lambda unit: [unit.train_val_split(tokens, 0.5) for tokens in texts])


@check("train_val_split", "numerics")
@pytest.mark.parametrize(("size", "fraction"), [(20, 0.25), (8, 0.5), (30, 0.1), (10, 0.7)], ids=str)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8], ids=str)
def test_split_puts_the_end_aside(agree, rand, size, fraction, dtype):
    agree("train_val_split", text(rand, size).to(dtype), fraction)


@check("train_val_split", "numerics", "rounding")
def test_split_rounds_as_documented(agree):
    cases = [(100, 0.29), (10, 0.25), (14, 0.25), (9, 0.3), (10, 0.14), (10, 0.16), (5, 0.5), (90, 0.95)]
    agree("train_val_split", torch.arange(60))  # a tenth, unless told otherwise
    agree.on("the sizes of the parts", lambda unit: {f"{n} tokens, {f}": split(unit, n, f) for n, f in cases})


@check("train_val_split", "property")
@given(size=st.integers(20, 90), fraction=st.floats(0.06, 0.94), seed=seeds)
def test_split_loses_nothing_and_gives_nothing_twice(unit, size, fraction, seed):
    tokens = torch.randint(0, 50, (size,), generator=seeded(seed))
    joined = torch.cat(list(unit.train_val_split(tokens, fraction)))
    assert torch.equal(joined, tokens), (
        f"data.train_val_split({size} tokens, {fraction:g}): both parts, one behind the other, are not the tokens"
    )


@check("train_val_split", "efficiency")
def test_split_of_an_array_is_two_views(agree):
    def question(unit):
        half, _ = unit.train_val_split(np.arange(40_000, 40_040, dtype=np.uint16), 0.5)
        train, val = unit.train_val_split(half, 0.25)
        before = [train.tolist(), val.tolist()]
        half.fill(7)  # what is a view of it changes with it
        after = [train.tolist(), val.tolist()]
        return {"the parts": before, "after a change of what was split": after, "bytes per token": val.itemsize}

    agree.on("train_val_split of an array", question)


@check("train_val_split", "efficiency")
def test_split_copies_nothing(agree, measure):
    def question(unit):
        made = {kind: bytes_made(measure, lambda t=t: unit.train_val_split(t, 0.4)) for kind, t in large().items()}
        train, val = unit.train_val_split(torch.arange(500), 0.4)
        return {"the parts of 500 tokens": [train, val], "made of 500 kB": made}

    agree.on("train_val_split of 500 kB of tokens", question)


# get_batch


def starts_of(tokens, rows):
    """Where in the text each row stands, by its first token; -1 where it is no piece of the text."""
    place = {token: start for start, token in enumerate(tokens.tolist())}
    found = ((place.get(row[0], 0), row) for row in rows.tolist())
    return torch.tensor([at if tokens[at : at + len(row)].tolist() == row else -1 for at, row in found])


@check("get_batch", "shape")
@pytest.mark.parametrize(("batch_size", "length"), [(3, 5), (1, 4), (2, 1), (9, 6)], ids=str)
def test_batch_is_of_the_sizes_asked_for(agree, batch_size, length):
    call, tokens = f"the shapes of get_batch(40 tokens, {batch_size}, {length})", torch.arange(40)
    agree.on(call, lambda unit: [tuple(part.shape) for part in unit.get_batch(tokens, batch_size, length)])


@check("get_batch", "numerics")
@pytest.mark.parametrize(("batch_size", "length"), [(1, 1), (2, 4), (5, 3)], ids=str)
def test_batch_of_the_only_window(agree, rand, batch_size, length):
    tokens = text(rand, length + 1)
    agree("get_batch", tokens, batch_size, length, generator=seeded(3), device="cpu")


@check("get_batch", "stability")
@pytest.mark.parametrize(("dtype", "array"), TOKENS)
def test_batch_is_int64_for_tokens_of_any_kind(agree, rand, dtype, array):
    tokens = tokens_of(rand, 6, dtype, array)
    agree.on(f"get_batch of {dtype} tokens", lambda unit: unit.get_batch(tokens, 3, 5, generator=seeded(3)))


@check("get_batch", "numerics")
def test_batch_is_windows_and_what_follows_them(agree, rand):
    tokens, seed = text(rand, 90), rand.seed()

    def question(unit):
        inputs, targets = (starts_of(tokens, part) for part in unit.get_batch(tokens, 40, 6, generator=seeded(seed)))
        whole = {"inputs are pieces of the text": -1 not in inputs, "targets are": -1 not in targets}
        return {**whole, "how far on the targets are": sorted(set((targets - inputs).tolist()))}

    agree.on("get_batch(90 tokens, 40, 6)", question)


@check("get_batch", "property")
@pytest.mark.parametrize(("size", "length"), [(13, 5), (9, 1), (12, 9)], ids=str)
def test_batch_comes_from_every_place_alike(agree, rand, size, length):
    tokens, seed, places = text(rand, size), rand.seed(), size - length

    def even(values):
        # seven standard deviations: one right answer in 10^10 lies beyond
        spread, mean = 7 * (len(values) * (places - 1)) ** 0.5 / places, len(values) / places
        counts = torch.bincount(values, minlength=places)
        most = int((counts - mean).abs().argmax())
        if abs(counts[most] - mean) < spread:
            return "yes"
        return f"no: number {most} came {(counts[most] / mean).item():.1f} times as often as it should"

    def question(unit):
        starts = starts_of(tokens, unit.get_batch(tokens, 4000, length, generator=seeded(seed))[0])
        steps = starts.diff() % places
        places_drawn = sorted(set(starts.tolist()))
        return {"places": places_drawn, "each as often": even(starts % places), "rows on their own": even(steps)}

    agree.on(f"where the 4000 windows of get_batch({size} tokens, 4000, {length}) begin", question)


@check("get_batch", "property")
def test_batch_forgets_earlier_calls(agree, rand):
    texts = text(rand, 53), text(rand, 53)  # a size that no other check has
    agree.on("get_batch of two texts of 53", lambda unit: [unit.get_batch(tokens, 2, 52) for tokens in texts])


@check("get_batch", "property", "generator")
@pytest.mark.parametrize("array", [True, False], ids=["array", "tensor"])
def test_batch_draws_from_its_generator(agree, rand, array):
    tokens, seed = text(rand, 150), rand.seed()
    tokens = tokens.numpy() if array else tokens

    def question(unit):
        def batch(state, generator):
            torch.default_generator.manual_seed(state)
            return unit.get_batch(tokens, 30, 4, generator=generator)[0]

        first, again = batch(4, seeded(seed)), batch(5, seeded(seed))
        used = seeded(seed)
        torch.rand(7, generator=used)
        return {
            "the same generator gives the same windows": torch.equal(first, again),
            "one that has drawn before gives others": not torch.equal(first, batch(4, used)),
        }

    agree.on("get_batch with a generator", question)


@check("get_batch", "property")
def test_batch_is_another_each_time(agree, rand):
    tokens, seed = text(rand, 150), rand.seed()

    def question(unit):
        generator = seeded(seed)
        with_one = [unit.get_batch(tokens, 30, 4, generator=generator)[0] for _ in range(2)]
        without = [unit.get_batch(tokens, 30, 4)[0] for _ in range(2)]
        return {"with one generator": not torch.equal(*with_one), "without": not torch.equal(*without)}

    agree.on("whether two batches of get_batch(150 tokens, 30, 4) differ", question)


@check("get_batch", "property", "generator")
def test_batch_draws_from_no_other_generator(agree, measure):
    def question(unit):
        def drew(tokens, **given):
            mine = seeded(8)
            given = {name: mine if value == "mine" else value for name, value in given.items()}
            return sorted(measure(lambda: unit.get_batch(tokens, 9, 4, **given), mine=mine).drew)

        return {
            f"{kind}, {given or 'no generator'}": drew(tokens, **given)
            for kind, tokens in {"array": np.arange(150), "tensor": torch.arange(150)}.items()
            for given in ({"generator": "mine"}, {"generator": None}, {})
        }

    agree.on("which generators get_batch draws from", question)


@check("get_batch", "property", "device")
def test_batch_is_put_on_its_device(agree):
    def question(unit):
        def devices(tokens, device):
            inputs, targets = unit.get_batch(tokens, 3, 4, device=device)
            return {"inputs": inputs.device.type, "targets": targets.device.type}

        return {
            f"{kind}, {device!r}": devices(tokens, device)
            for kind, tokens in {"array": np.arange(50), "tensor": torch.arange(50)}.items()
            for device in ("meta", torch.device("meta"), "cpu", None)
        }

    agree.on("where get_batch puts inputs and targets", question)


@check("get_batch", "stability")
@pytest.mark.parametrize("array", [True, False], ids=["array", "tensor"])
def test_batch_is_no_view_of_the_text(agree, overwrite, array):
    tokens = np.arange(6) if array else torch.arange(6)

    def question(unit):
        overwrite(unit.get_batch(tokens, 1, 5, generator=seeded(3)))
        return unit.get_batch(tokens, 1, 5, generator=seeded(3))

    agree.on("get_batch(6 tokens, 1, 5) after somebody has written into the batch before", question)


@check("get_batch", "efficiency")
def test_get_batch_converts_no_more_than_its_windows(agree, measure):
    def question(unit):
        made = {kind: bytes_made(measure, lambda t=t: unit.get_batch(t, 2, 8)) for kind, t in large().items()}
        return {"rows of a batch of 30": len(unit.get_batch(torch.arange(6), 30, 4)[0]), "made of 500 kB": made}

    agree.on("get_batch of 500 kB of tokens", question)


# TokenDataset


def windows_of(dataset):
    return [dataset[index] for index in range(len(dataset))]


def write(folder, tokens, dtype):
    path = folder / "tokens.bin"
    path.write_bytes(tokens.numpy().astype(dtype).tobytes())
    return path


@check("TokenDataset", "shape")
@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_dataset_has_as_many_windows_as_fit(agree, length):
    texts = [torch.arange(size) for size in range(length + 1, 14)]
    call = f"the len of TokenDataset({length + 1} to 13 tokens, {length})"
    agree.on(call, lambda unit: [len(unit.TokenDataset(tokens, length)) for tokens in texts])


@check("TokenDataset", "numerics")
@pytest.mark.parametrize(("size", "length"), [(13, 3), (14, 3), (15, 3), (6, 5), (4, 1), (50, 7)], ids=str)
def test_dataset_cuts_the_text_where_documented(agree, rand, size, length):
    tokens = text(rand, size)
    call = f"the windows of TokenDataset({size} tokens, {length})"
    agree.on(call, lambda unit: windows_of(unit.TokenDataset(tokens, length)))


@check("TokenDataset", "stability")
@pytest.mark.parametrize(("dtype", "array"), TOKENS)
def test_dataset_gives_int64_for_tokens_of_any_kind(agree, rand, dtype, array):
    tokens = tokens_of(rand, 9, dtype, array)
    agree.on(f"the windows of {dtype} tokens", lambda unit: windows_of(unit.TokenDataset(tokens, 4)))


@check("TokenDataset", "efficiency")
@pytest.mark.parametrize("dtype", [None, "int64", "int32", "uint8"])
def test_dataset_of_a_file(agree, rand, folder, dtype):
    low = {"uint8": 0, "int64": 1 << 33}.get(dtype, 65_400)
    tokens = text(rand, 11, low, low + 136)
    path, given = str(write(folder, tokens, dtype or "uint16")), {"dtype": dtype} if dtype else {}
    call = f"the windows of a file of {dtype or 'uint16'}"
    agree.on(call, lambda unit: windows_of(unit.TokenDataset.from_file(path, 3, **given)))


@check("TokenDataset", "efficiency")
def test_dataset_opens_a_file_for_reading_alone(agree, rand, folder):
    path = str(write(folder, text(rand, 11, 100, 40_000), "uint16"))

    def question(unit):
        try:
            with read_only(folder):
                return windows_of(unit.TokenDataset.from_file(path, 3))
        except PermissionError:  # what it says depends on who refuses
            return "it is opened for writing, too"

    agree.on("the windows of a file that may be read but not written", question)


@check("TokenDataset", "property", "refusals")
@pytest.mark.parametrize(("size", "length"), [(3, 3), (41, 77)], ids=str)
def test_dataset_refuses_a_file_without_a_window(agree, folder, size, length):
    path = str(write(folder, torch.arange(size), "uint16"))
    call = f"TokenDataset.from_file(a file of {size} tokens, {length})"
    for said in (size, length + 1):
        agree.raises(
            call, lambda unit: windows_of(unit.TokenDataset.from_file(path, length)), ValueError, mentions=str(said)
        )


@check("TokenDataset", "stability")
@pytest.mark.parametrize(
    ("dtype", "array"), [("int64", False), ("int32", False), ("int64", True)], ids=["int64", "int32", "array"]
)
def test_dataset_gives_windows_of_their_own(agree, overwrite, rand, dtype, array):
    tokens = text(rand, 9).to(getattr(torch, dtype))
    tokens = tokens.numpy() if array else tokens

    def question(unit):
        dataset = unit.TokenDataset(tokens, 4)
        overwrite(dataset[0])
        return {"the same window": dataset[0], "the next one": dataset[1]}

    agree.on(f"windows 0 and 1 of {dtype} tokens after somebody has written into window 0", question)


@check("TokenDataset", "property", "indices")
@pytest.mark.parametrize("size", [10, 11, 12])
def test_dataset_counts_negative_numbers_from_the_end(agree, rand, size):
    tokens = text(rand, size)

    def question(unit):
        dataset = unit.TokenDataset(tokens, 3)
        return {index: dataset[index] for index in range(-len(dataset), 0)}

    agree.on(f"windows of TokenDataset({size} tokens, 3)", question)


@check("TokenDataset", "property", "indices")
@pytest.mark.parametrize("index", [3, 4, 77, -4, -5, -77])
def test_dataset_has_no_window_beyond_its_ends(agree, index):
    call, tokens = f"TokenDataset(12 tokens, 3)[{index}]", torch.arange(12)
    agree.raises(call, lambda unit: unit.TokenDataset(tokens, 3)[index], IndexError, mentions=str(index))


@check("TokenDataset", "efficiency")
def test_dataset_does_not_read_a_file_before_it_must(agree, rand, folder, measure):
    tokens, later = text(rand, 13, 100, 40_000), text(rand, 6, 100, 40_000)

    def question(unit):
        path = write(folder, tokens, "uint16")
        dataset = unit.TokenDataset.from_file(str(path), 4)
        with path.open("r+b") as file:  # in place: what is mapped shows it, what was read does not
            file.seek(2 * 5)
            file.write(later.numpy().astype("uint16").tobytes())
        # A copy of all tokens may be what reads the file: then it is seen of other tokens, too.
        made = {kind: bytes_made(measure, lambda t=t: unit.TokenDataset(t, 400)) for kind, t in large().items()}
        return {"windows": windows_of(dataset), "made of 500 kB by the constructor": made}

    agree.on("windows of a file that was changed after it was opened", question)


@check("TokenDataset", "efficiency")
def test_dataset_converts_no_more_than_a_window(agree, measure):
    def question(unit):
        made = {}
        for kind, tokens in large().items():
            dataset = unit.TokenDataset(tokens, 400)
            made[f"by the constructor, {kind}"] = bytes_made(measure, lambda t=tokens: unit.TokenDataset(t, 400))
            made[f"by dataset[7], {kind}"] = bytes_made(measure, lambda d=dataset: d[7])
        return made

    agree.on("what TokenDataset makes of 500 kB of tokens", question)


# ShufflingLoader


def make(unit, count=32, batch_size=10, **options):
    # so many that no batch of a few epochs is like another by chance
    return unit.ShufflingLoader(pairs(count), batch_size, **options)


def walk(loader, count):
    """Which windows are in the next so many batches, batch by batch."""
    return [(inputs[:, 0] // 10).tolist() for inputs, _ in islice(loader, count)]


def place(whole, batches):
    """Which batch of a whole run the first of these is."""
    return next((at for at, batch in enumerate(whole) if batches[:1] == [batch]), "none of them")


@check("ShufflingLoader", "shape")
@pytest.mark.parametrize(("count", "batch_size"), [(14, 4), (12, 4), (5, 5), (3, 1), (9, 5)], ids=str)
def test_loader_has_full_batches_only(agree, count, batch_size):
    def question(unit):
        loader = make(unit, count, batch_size)
        batches = list(islice(loader, 2 * (count // batch_size) + 1))
        sizes = [[(tuple(part.shape), str(part.dtype)) for part in batch] for batch in batches]
        return {"len": len(loader), "batches": sizes}

    agree.on(f"{count} windows, {batch_size} at a time", question)


@check("ShufflingLoader", "numerics")
@pytest.mark.parametrize(("count", "batch_size"), [(12, 4), (6, 6), (5, 1)], ids=str)
def test_loader_hands_out_all_windows_in_an_epoch(agree, count, batch_size):
    def question(unit):
        batches, full = list(islice(make(unit, count, batch_size), 2 * (count // batch_size))), count // batch_size
        epochs = [[torch.cat(part) for part in zip(*half, strict=True)] for half in (batches[:full], batches[full:])]
        # put in order, since which window comes when is free; a row of targets goes where its inputs go
        return [[part[inputs[:, 0].argsort()] for part in (inputs, targets)] for inputs, targets in epochs]

    agree.on(f"two epochs of {count} windows, {batch_size} at a time, in order", question)


@check("ShufflingLoader", "property")
@pytest.mark.parametrize(("count", "batch_size"), [(14, 4), (11, 3), (7, 5)], ids=str)
def test_loader_hands_out_no_window_twice_an_epoch(agree, count, batch_size):
    def question(unit):
        loader = make(unit, count, batch_size, seed=3)
        return [len({i for batch in walk(loader, count // batch_size) for i in batch}) for _ in range(4)]

    agree.on(f"different windows in each epoch of {count}, {batch_size} at a time", question)


@check("ShufflingLoader", "property")
def test_loader_has_another_order_each_epoch(agree, rand):
    seed = int(rand.integers(1, 1000))

    def question(unit):
        first, second, third = walk(make(unit, 40, 40, seed=seed), 3)
        turned = [first[i:] + first[:i] for i in range(40)]
        return {
            "an epoch is shuffled": first != sorted(first),
            "three epochs, three orders": len({tuple(order) for order in (first, second, third)}),
            "not one order, begun elsewhere": second not in turned and third not in turned,
        }

    agree.on("the order of ShufflingLoader(40 windows, 40)", question)


@check("ShufflingLoader", "property")
def test_loader_mixes_windows_from_everywhere_into_a_batch(agree):
    def question(unit):
        batches, couples = walk(make(unit, 120, 12, seed=6), 10), walk(make(unit, 40, 2, seed=6), 20)
        return {
            "no batch is 12 neighbours": all(max(batch) - min(batch) > 11 for batch in batches),
            "batches of 2 come in the order of the text": couples == sorted(couples),
            "most batches of 2 hold neighbours": sum(abs(a - b) == 1 and min(a, b) % 2 == 0 for a, b in couples) > 10,
        }

    agree.on("the batches of ShufflingLoader(120 windows, 12)", question)


@check("ShufflingLoader", "property", "order")
def test_loader_has_another_order_for_each_seed(agree, rand):
    seed = int(rand.integers(1, 1000))

    seeds = [0, *range(seed, seed + 5)]

    def question(unit):
        def order(**given):
            return [index for batch in walk(make(unit, 40, 4, **given), 10) for index in batch]

        default, again, *others = (order(**given) for given in ({}, {}, *({"seed": s} for s in seeds)))
        return {
            "an epoch is shuffled": default != sorted(default),
            "six seeds, six orders": len(set(map(tuple, others))),
            "the default seed is 0": default == others[0],
            "without a seed, the order is the same each time": default == again,
        }

    agree.on("the order of ShufflingLoader(40 windows, 4) with six seeds and without", question)


@check("ShufflingLoader", "property", "order")
def test_loader_order_depends_on_seed_and_epoch_alone(agree, rand):
    seed = int(rand.integers(1, 1000))

    def question(unit):
        torch.default_generator.manual_seed(4)
        first = walk(make(unit, seed=seed), 8)
        torch.default_generator.manual_seed(5)
        one, other = (iter(make(unit, seed=s)) for s in (seed, seed + 1))
        both = [walk(loader, 1)[0] for _ in range(8) for loader in (one, other)]
        left_alone = torch.rand(()).item() == AFTER_SEED_5
        return {"the same for the same seed": first == both[::2], "the global generator is left alone": left_alone}

    agree.on("ShufflingLoader with a seed, beside another", question)


@check("ShufflingLoader", "property", "order")
def test_loader_draws_from_no_global_generator(agree, measure):
    def question(unit):
        batches = iter(make(unit, 6, 3))
        return sorted({name for _ in range(3) for name in measure(lambda: next(batches)).drew})

    agree.on("which global generators three batches of ShufflingLoader draw from", question)


@check("ShufflingLoader", "property", "order")
def test_loader_takes_a_large_seed(agree):
    # As from a clock (time.time_ns), where a product is soon more than a generator takes.
    agree.on(
        "whether ShufflingLoader(40 windows, 4, seed=1800000000123456789) gives batches",
        lambda unit: len(walk(make(unit, 40, 4, seed=1_800_000_000_123_456_789), 10)) > 0,
    )


@check("ShufflingLoader", "property", "laziness")
def test_loader_leaves_the_dataset_as_it_was(agree, overwrite):
    windows = pairs(6)

    def question(unit):
        loader = unit.ShufflingLoader(windows, 1)
        batches = list(islice(loader, 6))
        overwrite(batches)
        return sorted(walk(loader, 6))

    agree.on("a list of windows, and the next epoch, after somebody has written into all batches", question)


@check("ShufflingLoader", "property", "resume")
def test_loader_goes_on_with_a_new_iterator_and_counts_epochs(agree):
    def question(unit):
        whole, loader = walk(make(unit), 15), make(unit)
        return [loader.epoch, *((place(whole, walk(iter(loader), 5)), loader.epoch) for _ in range(3))]

    agree.on("epoch; with which batch the 1st, 2nd, 3rd iterator begins, left after 5 each; epoch then", question)


@check("ShufflingLoader", "property", "resume")
@pytest.mark.parametrize("seed", [{}, {"seed": 7}], ids=["seed 0", "seed 7"])
def test_loader_resumes_with_the_batch_that_would_have_come(agree, seed):
    def question(unit):
        whole, loader, found = walk(make(unit, **seed), 12), make(unit, **seed), []
        batches = iter(loader)
        for done in range(8):
            state, resumed = loader.state_dict(), make(unit, **(seed if done % 2 else {}))
            resumed.load_state_dict(state)
            epoch, after = resumed.epoch, walk(resumed, 4)
            found.append((place(whole, after), epoch, after == whole[done : done + 4], resumed.epoch))
            next(batches)
        return found

    agree.on("batch with which it goes on after 0, 1, ... 7 batches, 3 an epoch; epoch; are 4 right; epoch", question)


@check("ShufflingLoader", "property", "refusals")
@pytest.mark.parametrize(
    ("count", "batch_size", "says"), [(71, 12, "60 71"), (49, 12, "60 49"), (60, 13, "12 13"), (60, 11, "12 11")]
)
def test_loader_refuses_the_state_of_other_sizes(agree, count, batch_size, says):
    def question(unit):
        make(unit, 60, 12).load_state_dict(make(unit, count, batch_size).state_dict())

    for said in says.split():
        call = f"load_state_dict of {count} windows, {batch_size} at a time, into 60, 12 at a time"
        agree.raises(call, question, ValueError, mentions=said)


@check("ShufflingLoader", "property", "resume")
def test_loader_resumes_from_a_loader_that_has_resumed(agree):
    def question(unit):
        whole, state = walk(make(unit, seed=7), 12), make(unit, seed=7).state_dict()
        found = []
        for seed in range(4):
            loader = make(unit, seed=seed)
            loader.load_state_dict(state)
            found.append((loader.epoch, walk(loader, 2) == whole[2 * seed : 2 * seed + 2], loader.epoch))
            state = loader.state_dict()
        return found

    agree.on(
        "four loaders, each with the state of the one before after two batches: epoch; are both right; epoch", question
    )


@check("ShufflingLoader", "property", "resume")
def test_loader_takes_the_state_of_hundreds_of_windows(agree):
    # From 257 on Python makes a whole number anew: two that are equal are `==`, and no longer `is`.
    def question(unit):
        loader, resumed = make(unit, 300, 260), make(unit, 300, 260)
        walk(loader, 1)
        resumed.load_state_dict(loader.state_dict())
        return resumed.epoch

    agree.on("epoch of a loader with 300 windows, 260 at a time, with the state of another after a batch", question)


@check("ShufflingLoader", "property", "resume")
def test_loader_state_is_plain_and_a_copy(agree):
    def question(unit):
        loader = make(unit)
        states, kept = zip(*((state := loader.state_dict(), dict(state)) for _ in islice(loader, 4)), strict=True)
        loader.load_state_dict(states[1])
        next(iter(loader))
        plain = all(type(key) is str and type(value) is int for state in states for key, value in state.items())
        return {"a dict": type(states[0]) is dict, "of str to int": plain, "left alone": states == kept}

    agree.on("the states of ShufflingLoader", question)


@check("ShufflingLoader", "efficiency")
@pytest.mark.parametrize("done", [0, 2, 4, 8])
def test_loader_reads_the_windows_of_the_next_batch_only(agree, done):
    def question(unit):
        loader = make(unit)
        walk(loader, done)
        state, wanted = loader.state_dict(), walk(loader, 1)[0]
        hollow = [window if i in wanted else None for i, window in enumerate(pairs(32))]
        resumed = unit.ShufflingLoader(hollow, 10)
        resumed.load_state_dict(state)
        return walk(resumed, 1)[0] == wanted

    agree.on(f"the batch after {done} others, where a dataset has no other windows", question)


@check("ShufflingLoader", "efficiency")
def test_loader_reads_a_window_when_its_batch_is_due(agree, rand, folder):
    texts = [text(rand, 25, low, low + 9_000) for low in (100, 10_000, 20_000)]

    def question(unit):
        path = write(folder, texts[0], "uint16")
        loader = unit.ShufflingLoader(unit.TokenDataset.from_file(str(path), 4), 1)
        batches, found = iter(loader), []
        for tokens in (texts[1], texts[2], texts[2]):
            with path.open("r+b") as file:  # in place: what is mapped shows it, what was read does not
                file.write(tokens.numpy().astype("uint16").tobytes())
            found.append(" and ".join(f"text {int(part.min()) // 10_000}" for part in next(batches)))
        return found

    agree.on("which of three texts, written into the file one after another, three batches are of", question)


@check("ShufflingLoader", "efficiency")
def test_loader_reads_no_window_again_to_resume(agree, measure):
    def question(unit):
        loader, lines = make(unit, 100, 1), []
        for more in (5, 295):
            walk(loader, more)
            state, resumed = loader.state_dict(), make(unit, 100, 1)

            def resume(state=state, resumed=resumed):
                resumed.load_state_dict(state)
                return next(iter(resumed))

            lines.append(measure(resume).lines)
        return {"runs at most 200 lines of Python more": lines[1] - lines[0] <= 200}

    agree.on("resuming after 300 batches, compared with 5", question)


@check("ShufflingLoader", "shortcut")
def test_loader_is_written_by_hand(agree):
    agree.on("the first batch of ShufflingLoader(2 windows, 2)", lambda unit: sorted(walk(make(unit, 2, 2), 1)[0]))


@check("ShufflingLoader", "property", "refusals")
@pytest.mark.parametrize(("count", "batch_size"), [(32, 5), (31, 4), (33, 4)], ids=str)
def test_loader_is_as_it_was_after_it_refused_a_state(agree, count, batch_size):
    def build(unit):
        loader, other = make(unit, count=32, batch_size=4, seed=3), make(unit, count, batch_size, seed=8)
        walk(loader, 3)
        walk(other, 10)
        return loader, other.state_dict()

    agree.unchanged(
        f"ShufflingLoader.load_state_dict of {count} windows, {batch_size} at a time, into 32, 4 at a time",
        build,
        look=lambda both: (both[0].state_dict(), both[0].epoch),
        call=lambda both: both[0].load_state_dict(both[1]),
        error=ValueError,
    )
