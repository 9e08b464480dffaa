r"""Training: the loop that turns a text, a model, a loss and an optimizer into a language model.

All parts exist already; this unit puts them together. Most bugs of a training run live here, and they raise no error:
gradients that were not cleared, an average over the wrong number of tokens, dropout during evaluation, a checkpoint
that misses half of the run. Five exercises:

1. `train_step` makes one update from several micro-batches, exactly as if they had been one batch.
2. `evaluate` measures the loss on other text and leaves the model unchanged.
3. `save_checkpoint` saves everything that the rest of the run depends on: parameters, optimizer state, position in the
   data, random number generators, step.
4. `load_checkpoint` restores all of it, so that the run continues bit for bit as if it had never stopped.
5. `train` repeats `train_step` along a schedule of learning rates. It is a generator, so the caller decides what
   happens between two steps (evaluation, logging, checkpoints):

    for step, record in enumerate(train(model, optimizer, loader, learning_rates), 1):
        if step % 100 == 0:
            print(step, record["loss"], evaluate(model, validation_batches))
            with open("run.pt", "wb") as file:
                save_checkpoint(file, model=model, optimizer=optimizer, loader=loader, step=step)

Everything runs in the dtype of the model. Half precision with a gradient scaler is not part of this unit: a scaler's
gradients would have to be unscaled before clipping.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import torch
from jaxtyping import Int
from torch import Tensor, nn

from .loss import cross_entropy
from .optim import Optimizer, clip_grad_norm

# Token ids, and at each position the token that comes next, or -100 where the position does not count.
Batch = tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]


def train_step(
    model: nn.Module, optimizer: Optimizer, micro_batches: Sequence[Batch], *, max_norm: float | None = 1.0
) -> dict[str, float]:
    r"""Update the model once, from micro-batches that together form one batch.

    A batch that does not fit into memory is cut into micro-batches. Each goes forward and backward on its own, so only
    one graph exists at a time, and the gradients add up in `.grad`. The update must be the one that the whole batch
    would have given. Micro-batches may differ in size and in how many of their targets count, so each mean loss is
    weighted by the fraction of all targets that its micro-batch holds.

    The order: clear old gradients, set training mode; forward, loss and backward for each micro-batch; clip once; one
    optimizer step.

    Math:
        n_k       = number of targets of micro-batch k that are not -100,  n = sum_k n_k
        loss      = sum_k (n_k / n) * cross_entropy(model(inputs_k), targets_k)
        g         = gradient of loss
        grad_norm = length of g as one vector over all parameters
        update    with g * min(1, max_norm / grad_norm)

    Args:
        model: Maps ids (batch, seq) to logits (batch, seq, vocab_size).
        optimizer: Holds all parameters of the model that are not frozen.
        micro_batches: Pairs (inputs, targets) on the model's device, in a list or tuple. A target counts unless it is
            -100. A micro-batch without targets that count changes nothing, as long as another one has some.
        max_norm: Longer gradients are scaled down to this length. None = no clipping.

    Returns:
        A dict of two Python floats. "loss" is the mean over all targets that count, before the update. "grad_norm" is
        the length of the gradient of that mean, before clipping, also for max_norm=None. The model is left in training
        mode, whatever its mode was. Gradients from before the call affect neither the update nor the norm, not even
        that of a frozen parameter which the optimizer does not hold. The content of `.grad` after the call is
        unspecified, so the next call must clear it again.

    Raises:
        ValueError: There is no micro-batch, or no target counts. Parameters and optimizer stay as they were.

    Example:
        >>> from .optim import SGD
        >>> model = nn.Embedding(2, 2)  # one row of logits per token: the smallest language model
        >>> model.weight.data.zero_()
        tensor([[0., 0.],
                [0., 0.]])
        >>> batch = [(torch.tensor([[0, 0]]), torch.tensor([[1, -100]])), (torch.tensor([[0]]), torch.tensor([[1]]))]
        >>> result = train_step(model, SGD(model.parameters(), lr=1.0), batch, max_norm=None)
        >>> round(result["loss"], 4), round(result["grad_norm"], 4)  # log 2, and the length of (0.5, -0.5)
        (0.6931, 0.7071)
        >>> model.weight.data
        tensor([[-0.5000,  0.5000],
                [ 0.0000,  0.0000]])

    Pitfalls:
        * `backward` adds to `.grad`. Without `zero_grad` the update contains all earlier batches.
        * `optimizer.zero_grad()` clears only the parameters that the optimizer holds. A gradient left in a frozen
          parameter enters the norm, and clipping then makes the update too small.
        * If you add up the losses without weights, the gradient grows with the number of micro-batches. Dividing by
          that number is right only if all micro-batches have the same number of targets.
        * Weight the loss before `backward`. Afterwards the reported loss looks right, but the gradient is wrong.
        * Clip after the last `backward` and before `step`: earlier you clip parts, later clipping has no effect.
        * Other code may have left the model in evaluation mode: call `model.train()` here.
        * A sum of loss tensors keeps every graph alive. Add up Python numbers.

    Source:
        Goyal et al. 2017, section 3 and remark 3 (normalize by the total size of the batch).
        https://arxiv.org/abs/1706.02677
    """
    counts = [_count(targets) for _, targets in micro_batches]
    total = sum(counts)
    # Checked first: a refused batch must leave the run as it was. An empty list has no targets either.
    if total == 0:
        raise ValueError(f"train_step needs a target that counts, found none in {len(counts)} micro-batches")
    model.train()
    # At the beginning and not only at the end: leftovers of any earlier backward are gone too.
    optimizer.zero_grad()
    # The optimizer may not hold the frozen parameters, but a gradient left in one would count in the norm below.
    model.zero_grad()
    mean = 0.0
    for (inputs, targets), count in zip(micro_batches, counts, strict=True):
        # (batch, seq) -> (batch, seq, vocab_size) -> a mean over this micro-batch's own targets
        loss = cross_entropy(model(inputs), targets)
        # The fraction of all targets, not 1 / len(micro_batches): every target has the same weight, wherever it is.
        share = count / total
        # Adds to .grad, and frees this graph before the next one is built.
        (loss * share).backward()
        mean += loss.item() * share
    # Once, on the whole gradient. An infinite limit never clips, and the norm is still measured.
    norm = clip_grad_norm(model.parameters(), math.inf if max_norm is None else max_norm)
    optimizer.step()
    return {"loss": mean, "grad_norm": norm.item()}


def evaluate(model: nn.Module, batches: Iterable[Batch]) -> float:
    r"""Measure the mean loss on batches, without training on them and without changing the model.

    The loss on text that the model has not trained on shows whether it learns the language or memorizes the text. It is
    the same mean as in training, over all targets of all batches: a batch with twice as many targets counts twice.
    Dropout is off, no graph is built, and afterwards every module is in its earlier mode again.

    Math:
        n_k  = number of targets of batch k that are not -100
        loss = sum_k n_k * cross_entropy(model(inputs_k), targets_k) / sum_k n_k

    Args:
        model: Maps ids (batch, seq) to logits (batch, seq, vocab_size).
        batches: Any iterable of pairs (inputs, targets), including a generator. Iterate over it once and hold one batch
            at a time: validation text may not fit into memory. A batch without targets that count adds nothing.

    Returns:
        The mean loss in nats, a Python float. After the call, the parameters, their `.grad` and the mode of every
        single module are as before, even if an error ended it. Such an error reaches the caller.

    Raises:
        ValueError: No target of any batch counts, or there is no batch.

    Example:
        >>> model = nn.Sequential(nn.Embedding(8, 8), nn.Dropout(0.5))
        >>> model[0].weight.data.zero_().shape  # all logits 0: each of 8 tokens has probability 1/8
        torch.Size([8, 8])
        >>> round(evaluate(model, [(torch.tensor([[3, 1]]), torch.tensor([[1, 4]]))]), 4), math.log(8)
        (2.0794, 2.0794415416798357)
        >>> model.training
        True

    Pitfalls:
        * Without `eval()`, dropout makes the loss noisy and usually too high.
        * `eval()` is not `no_grad()`: the first switches layers, the second builds no graph. You need both.
        * `model.train()` at the end is wrong if the model, or a part of it, was in evaluation mode before. Remember the
          mode of every module and restore it in a `finally`.
        * The mean of the batches' means gives the targets of a small batch too much weight.

    Source:
        PyTorch, Autograd mechanics, "Locally disabling gradient computation" and "Evaluation Mode".
        https://docs.pytorch.org/docs/stable/notes/autograd.html
    """
    # Every module, not only the top one: a part may be in a different mode from the whole.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    loss_sum, total = 0.0, 0
    # finally: a loop that continues after an error must not train without dropout.
    try:
        # Without a graph, the activations of a layer are freed as soon as the next layer has used them.
        with torch.no_grad():
            for inputs, targets in batches:
                count = _count(targets)
                # From the batch's mean back to its sum, so that every target has the same weight.
                loss_sum += cross_entropy(model(inputs), targets).item() * count
                total += count
    finally:
        for module, training in modes:
            module.training = training  # not module.train(training), which would set all submodules too
    if total == 0:
        raise ValueError("evaluate needs a target that counts, found none: is the iterable of batches used up?")
    return loss_sum / total


def save_checkpoint(
    file: BinaryIO,
    *,
    model: nn.Module,
    optimizer: Optimizer,
    loader: Any | None,
    step: int,
    generator: torch.Generator | None = None,
) -> None:
    r"""Save everything that the rest of the run depends on.

    The parameters are the smaller part: AdamW keeps two numbers for each of them, the loader knows which text comes
    next, and dropout draws from torch's generator. If one of these is missing from the checkpoint, the resumed run
    gives different results and nobody notices.

    Args:
        file: A binary file, open for writing. Leave it open. The caller chooses its path, and replaces an older file
            only when this one is complete (write to a temporary name, then rename).
        model: Source of the parameters and buffers. A tied parameter is saved under each of its names.
        optimizer: Source of the options and the state per parameter.
        loader: Source of the batches, with a `state_dict()` method. None = no loader to save.
        step: Number of completed steps.
        generator: Random number generator of the run, in addition to torch's global one. None = there is none.

    Returns:
        None. One `torch.save` writes one dict to the file:

        "model": `model.state_dict()`.
        "optimizer": `optimizer.state_dict()`.
        "loader": `loader.state_dict()`, or None.
        "step": `step`.
        "torch_rng": the state of torch's global generator on the CPU, as `torch.get_rng_state` gives it.
        "cuda_rng": a list of the states of torch's global generators, one per GPU. Empty without a GPU.
        "generator": `generator.get_state()`, or None.

        All of it is plain data: `torch.load(file, weights_only=True)` can read it. Saving changes nothing in the run
        and draws no random numbers.

    Example:
        >>> import io
        >>> from .optim import SGD
        >>> model, file = nn.Linear(2, 1), io.BytesIO()
        >>> save_checkpoint(file, model=model, optimizer=SGD(model.parameters()), loader=None, step=7)
        >>> file.getbuffer()[:2] == b"PK"  # torch.save writes a zip archive
        True
        >>> saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
        >>> saved["step"], sorted(saved["model"]), saved["loader"]
        (7, ['bias', 'weight'], None)

    Pitfalls:
        * `torch.save(model)` pickles a reference to the class. Such a file breaks when the code moves, and loading it
          can run any code that it contains. Save state dicts.
        * A state dict holds the model's own tensors, not copies: write it before the next step.
        * Without its state, AdamW starts again with no estimate of the gradients' sizes.
        * A seed is not the state of a generator: the state also says how much has been drawn.

    Source:
        PyTorch, Saving and loading a general checkpoint.
        https://docs.pytorch.org/tutorials/recipes/recipes/saving_and_loading_a_general_checkpoint.html
        PyTorch, Reproducibility. https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    checkpoint = {
        "model": model.state_dict(),
        # For each parameter both running means and its step count, and the options of each group.
        "optimizer": optimizer.state_dict(),
        # The position in the data: without it a resumed run sees the same text again.
        "loader": None if loader is None else loader.state_dict(),
        "step": step,
        # Dropout draws from the global generators, one per device.
        "torch_rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "generator": None if generator is None else generator.get_state(),
    }
    torch.save(checkpoint, file)


def load_checkpoint(
    file: BinaryIO,
    *,
    model: nn.Module,
    optimizer: Optimizer,
    loader: Any | None,
    generator: torch.Generator | None = None,
) -> int:
    r"""Restore a saved run, so that it continues as if it had never been interrupted.

    The caller builds model, optimizer and loader as for a new run; this function loads the saved state into them. From
    then on the run draws, reads and computes bit for bit what the saved run would have, dropout included, on the same
    machine and version of torch.

    Args:
        file: A binary file written by `save_checkpoint`, open for reading, at its beginning. Leave it open.
        model: A model of the same architecture. Its parameters stay the same objects and get the saved values. They
            stay on their device, which may differ from the device that they were saved on. Tied parameters stay tied.
        optimizer: An optimizer of the same class, over the parameters of `model`. Its state is replaced.
        loader: A loader with a `load_state_dict()` method. None if None was saved.
        generator: The generator that gets the saved state. None if None was saved.

    Returns:
        The saved step. After the call, torch's global generators (CPU, and every GPU that exists both in the file and
        here) are in their saved states.

    Raises:
        ValueError: A loader (or a generator) was saved but none is given here, or the other way round: the run could
            not continue as it was. Checked before anything is changed.
        RuntimeError: Names or shapes of the model's parameters differ from the saved ones; `load_state_dict` raises it.
        ValueError: The sizes of the optimizer's groups differ from the saved ones; its `load_state_dict` raises it.
        pickle.UnpicklingError: The file holds more than plain values; torch.load(weights_only=True) raises it.

    Example:
        >>> import io
        >>> from .optim import SGD
        >>> def build():
        ...     model = nn.Linear(2, 1)
        ...     return {"model": model, "optimizer": SGD(model.parameters(), lr=0.1), "loader": None}
        >>> run, resumed, file = build(), build(), io.BytesIO()
        >>> save_checkpoint(file, **run, step=7)
        >>> noise = torch.rand(3)  # the run's next random numbers
        >>> load_checkpoint(io.BytesIO(file.getvalue()), **resumed)
        7
        >>> torch.equal(resumed["model"].weight, run["model"].weight), torch.equal(torch.rand(3), noise)
        (True, True)

    Pitfalls:
        * `torch.load` with weights_only=False runs any code that somebody has put into the file.
        * `strict=False` silently loads a part of a wrong model.
        * The optimizer does not update new Parameter objects (`assign=True`, or `model.weight = ...`).
        * Set the generators last: anything that draws afterwards takes numbers away from the run.
        * `map_location` also moves the generators' states, which must be on the CPU.

    Source:
        PyTorch, `torch.load`. https://docs.pytorch.org/docs/stable/generated/torch.load.html
        PyTorch, Reproducibility. https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    # The model's current device: a run that was saved on a GPU may continue without one.
    device = next(model.parameters()).device
    # weights_only: tensors and plain values, no code.
    saved = torch.load(file, map_location=device, weights_only=True)
    for name, given in (("loader", loader), ("generator", generator)):
        if (saved[name] is None) != (given is None):
            there, here = ("no", "one") if saved[name] is None else ("a", "none")
            raise ValueError(
                f"the checkpoint holds {there} {name} and {here} was given: the run could not go on as it was"
            )
    # Strict, and copied into the existing parameters: the optimizer holds these objects.
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    if loader is not None:
        loader.load_state_dict(saved["loader"])
    if generator is not None:
        generator.set_state(saved["generator"].cpu())
    # Last, so that nothing above draws from the restored generators. map_location may have moved the state to a GPU.
    torch.set_rng_state(saved["torch_rng"].cpu())
    for index, state in enumerate(saved["cuda_rng"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state.cpu(), index)
    return saved["step"]


def train(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Iterable[Batch],
    learning_rates: Iterable[float],
    *,
    accumulation_steps: int = 1,
    max_norm: float | None = 1.0,
) -> Iterator[dict[str, float]]:
    r"""Train one step per learning rate, and yield a record after each step.

    This is a generator: nothing runs until the caller asks for the first record, and it pauses between two records.
    There the caller can evaluate, print, save a checkpoint, or stop. A step takes the next learning rate and the next
    `accumulation_steps` batches, writes the rate into all groups of the optimizer, and calls `train_step`.

    Args:
        model: Maps ids (batch, seq) to logits (batch, seq, vocab_size).
        optimizer: Holds all parameters of the model that are not frozen. Each group's "lr" is overwritten.
        batches: Any iterable of pairs (inputs, targets), possibly endless. The whole run iterates over it once.
        learning_rates: Any iterable of floats, possibly endless. Its length is the number of steps. To resume after
            k steps, give the rates from index k (counted from 0) on.
        accumulation_steps: Number of batches per step, 1 or more.
        max_norm: Limit for the gradient norm, as in `train_step`.

    Returns:
        A generator of dicts of floats: "learning_rate", the rate of this step, and "loss" and "grad_norm" from
        `train_step`. When a record arrives, its step is complete, and no learning rate or batch of a later step has
        been taken, so that a checkpoint of the loader is exact. The generator ends when the learning rates end, and
        takes no batch after the last step. If the caller changed the model's mode in between, the next step still
        trains in training mode.

    Raises:
        ValueError: The batches end before the learning rates. If they end in the middle of a step, that step is not
            done. All earlier steps are done and their records yielded.

    Example:
        >>> from .optim import SGD
        >>> model = nn.Embedding(2, 2)
        >>> batch = (torch.tensor([[0, 1]]), torch.tensor([[1, 0]]))
        >>> rates = (0.1 * step for step in (1, 2))
        >>> records = train(model, SGD(model.parameters()), itertools.repeat(batch), rates)
        >>> first = next(records)
        >>> first["learning_rate"], sorted(first)
        (0.1, ['grad_norm', 'learning_rate', 'loss'])
        >>> next(records)["loss"] < first["loss"]
        True

    Pitfalls:
        * Write a step's learning rate before its update. Otherwise every step runs with the rate of the step before,
          and the first with the rate that the optimizer was built with.
        * Call `iter(batches)` once, before the loop: a second `for` over a list starts at its first batch again.
        * At the end, `next(batches)` raises StopIteration, which becomes an unhelpful RuntimeError inside a generator.
          `return` there is worse: a run that is too short looks complete.
        * `zip(batches, learning_rates)` takes one batch too many at the end. Take the learning rate first.

    Source:
        PEP 255 (generators) and PEP 479 (StopIteration inside a generator). https://peps.python.org/pep-0479/
        Loshchilov and Hutter 2017, algorithm 2: the schedule is set before the update. https://arxiv.org/abs/1711.05101
    """
    # One iterator for all steps: each `iter` of a list would start again at the beginning.
    stream = iter(batches)
    for step, learning_rate in enumerate(learning_rates):
        # islice takes no more than asked for, and fewer if the batches end.
        micro_batches = list(itertools.islice(stream, accumulation_steps))
        if len(micro_batches) < accumulation_steps:
            raise ValueError(
                f"the batches ended too early: step {step} (counted from 0) needs {accumulation_steps} and got "
                f"{len(micro_batches)}; give as many learning rates as there are steps in the data, or repeat the data"
            )
        # Before the update, into every group: the optimizer reads it when it steps.
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        yield {"learning_rate": learning_rate, **train_step(model, optimizer, micro_batches, max_norm=max_norm)}


def _count(targets: Int[Tensor, "batch seq"]) -> int:
    # The number that cross_entropy's mean divides by.
    return int((targets != -100).sum())
