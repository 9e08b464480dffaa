"""The reference's training against torch's own parts: the same update, the same evaluation, the same resume."""

import io

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from solutions import training
from solutions.optim import AdamW


def model_of(dropout=0.0):
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Embedding(11, 6), nn.Dropout(dropout), nn.Linear(6, 11)).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def batches_of(sizes=((3, 5, 2), (1, 7, 4), (2, 6, 0))):
    generator = torch.Generator().manual_seed(2)
    batches = [(torch.randint(11, (2, rows, length), generator=generator), ignored) for rows, length, ignored in sizes]
    for ids, ignored in batches:
        ids[1, 0, :ignored] = -100
    return [(ids[0], ids[1]) for ids, _ in batches]


def joined(model, batches):
    """The scores and targets of all batches, as one batch without sequences."""
    scores = torch.cat([model(inputs).flatten(0, 1) for inputs, _ in batches])
    return scores, torch.cat([targets.flatten() for _, targets in batches])


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 1e6])
def test_a_step_is_the_step_of_torch_on_the_whole_batch(max_norm):
    ours, theirs, batches = model_of(), model_of(), batches_of()
    own, other = AdamW(ours.parameters(), lr=0.1), torch.optim.AdamW(theirs.parameters(), lr=0.1)
    for _ in range(3):
        result = training.train_step(ours, own, batches, max_norm=max_norm)
        other.zero_grad()
        loss = cross_entropy(*joined(theirs, batches))
        loss.backward()
        norm = clip_grad_norm_(theirs.parameters(), max_norm)
        other.step()
        assert result == pytest.approx({"loss": loss.item(), "grad_norm": norm.item()}, rel=1e-6)
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)  # torch clips by norm + 1e-6


def test_an_evaluation_is_the_mean_of_torch_over_the_whole_batch():
    model, batches = model_of(dropout=0.5), batches_of()
    loss = training.evaluate(model, batches)
    assert loss == pytest.approx(cross_entropy(*joined(model.eval(), batches)).item(), rel=1e-6)


@pytest.mark.parametrize("make", [AdamW, torch.optim.AdamW], ids=["own", "torch"])
def test_a_resumed_run_is_bit_by_bit_the_run_that_was_not_stopped(make):
    def build():
        model = model_of(dropout=0.5)
        return {"model": model, "optimizer": make(model.parameters(), lr=0.1), "loader": None}

    def go_on(run):
        parts = (run["model"], run["optimizer"], batches_of() * 2, [0.1, 0.2, 0.3])
        return list(training.train(*parts, accumulation_steps=2))

    torch.default_generator.manual_seed(3)
    run, resumed, file = build(), build(), io.BytesIO()
    go_on(run)
    training.save_checkpoint(file, **run, step=3)
    uninterrupted = go_on(run)
    file.seek(0)
    assert training.load_checkpoint(file, **resumed) == 3
    assert go_on(resumed) == uninterrupted
    for one, two in zip(run["model"].parameters(), resumed["model"].parameters(), strict=True):
        assert torch.equal(one, two)
