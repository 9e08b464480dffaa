"""The reference of data against torch and numpy: the same windows, the same parts, files that stay in their file."""

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from solutions.data import ShufflingLoader, TokenDataset, get_batch, train_val_split

TOKENS = torch.randperm(1000, generator=torch.Generator().manual_seed(1))


def test_windows_are_those_of_unfold():
    windows = TOKENS.unfold(0, 8, 7)  # one more than the length, as far apart as the length
    dataset = TokenDataset(TOKENS, 7)
    assert len(dataset) == len(windows)
    for (inputs, targets), window in zip(dataset, windows, strict=True):
        assert torch.equal(inputs, window[:-1])
        assert torch.equal(targets, window[1:])


def test_parts_are_those_of_tensor_split():
    for got, expected in zip(train_val_split(TOKENS, 0.3), torch.tensor_split(TOKENS, [700]), strict=True):
        assert torch.equal(got, expected)
        assert got.untyped_storage().data_ptr() == TOKENS.untyped_storage().data_ptr()


def test_an_epoch_is_what_a_data_loader_makes_of_the_same_order():
    dataset = TokenDataset(TOKENS, 7)
    loader = ShufflingLoader(dataset, 5, seed=3)
    batches = [batch for _, batch in zip(range(len(loader)), loader, strict=False)]
    first = {tuple(dataset[index][0].tolist()): index for index in range(len(dataset))}
    order = [first[tuple(row.tolist())] for inputs, _ in batches for row in inputs]
    data = TensorDataset(*map(torch.stack, zip(*dataset, strict=True)))
    for mine, theirs in zip(batches, DataLoader(data, 5, sampler=order), strict=True):
        assert torch.equal(mine[0], theirs[0])
        assert torch.equal(mine[1], theirs[1])


def test_a_data_loader_takes_the_dataset():
    inputs, targets = next(iter(DataLoader(TokenDataset(TOKENS, 7), batch_size=4)))
    assert torch.equal(inputs, TOKENS[:28].view(4, 7))
    assert torch.equal(targets, TOKENS[1:29].view(4, 7))


def test_a_mapped_file_stays_in_its_file(tmp_path):
    path = tmp_path / "tokens.bin"
    TOKENS.numpy().astype(np.uint16).tofile(path)
    train, val = train_val_split(np.memmap(path, dtype=np.uint16, mode="r"), 0.25)
    assert isinstance(train, np.memmap)
    assert isinstance(val, np.memmap)
    inputs, targets = get_batch(val, 3, 249)
    assert torch.equal(inputs, TOKENS[750:999].expand(3, -1))
    assert torch.equal(targets, TOKENS[751:].expand(3, -1))
    assert isinstance(TokenDataset.from_file(path, 7).tokens, np.memmap)


def test_a_batch_can_be_put_on_another_device():
    assert {part.device.type for part in get_batch(TOKENS, 3, 5, device="meta")} == {"meta"}


def test_a_file_larger_than_memory_is_opened_at_once(tmp_path):
    path = tmp_path / "tokens.bin"
    with path.open("wb") as file:
        file.truncate(2**36)  # a file of holes: 64 GB that take no room
    dataset = TokenDataset.from_file(path, 1023, dtype="int32")
    assert len(dataset) == (2**34 - 1) // 1023
    assert torch.equal(dataset[-1][1], torch.zeros(1023, dtype=torch.int64))
