r"""Training: the loop that turns a text, a model, a loss and an optimizer into a language model.

All parts are there; this unit puts them together, and most of what can go wrong in a training run goes wrong here,
without any error: gradients that were not cleared, an average over the wrong number of tokens, dropout during the
evaluation, a checkpoint that forgets half of the run. Five exercises:

1. `train_step` makes one update from several micro-batches, exactly as if they had been one batch that fits nowhere.
2. `evaluate` measures the loss on other text and leaves no trace in the model.
3. `save_checkpoint` writes down everything that the rest of the run depends on: parameters, the optimizer's memory,
   the place in the data, the random numbers, the step.
4. `load_checkpoint` brings it back, so that the run goes on as if it had never stopped, bit by bit.
5. `train` repeats `train_step` along a schedule of learning rates, as a generator: what happens between two steps,
   evaluation, logging, checkpoints, is the business of whoever asks for the next one:

    for step, record in enumerate(train(model, optimizer, loader, learning_rates), 1):
        if step % 100 == 0:
            print(step, record["loss"], evaluate(model, validation_batches))
            with open("run.pt", "wb") as file:
                save_checkpoint(file, model=model, optimizer=optimizer, loader=loader, step=step)

Everything runs in the dtype of the model. Half precision with a gradient scaler is not part of this unit: with a scaler
the gradients would have to be unscaled before they are clipped.
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
    r"""Update the model once, from micro-batches that count together as one batch.

    A batch that does not fit into memory is cut into micro-batches: each goes forward and backward on its own, so that
    only one graph exists at a time, and the gradients add up in `.grad`. The update must be the one that the whole
    batch would have given. Micro-batches may differ in size and in how many of their targets count, so each one's mean
    loss enters with the share of the targets that it holds.

    The order: forget old gradients, training mode, then for each micro-batch forward, loss and backward, then clip
    once, then one step of the optimizer.

    Math:
        n_k       = number of targets of micro-batch k that are not -100,  n = sum_k n_k
        loss      = sum_k (n_k / n) * cross_entropy(model(inputs_k), targets_k)
        g         = gradient of loss
        grad_norm = length of g, all parameters together
        update    with g * min(1, max_norm / grad_norm)

    Args:
        model: Maps ids (batch, seq) to logits (batch, seq, vocab_size).
        optimizer: Holds all parameters of the model that are not frozen.
        micro_batches: Pairs (inputs, targets) on the model's device, in a list or tuple. One that has no target that
            counts changes nothing, as long as another has some.
        max_norm: Longer gradients are shortened to this length. None: no clipping.

    Returns:
        A dict of two Python floats: "loss", the mean over all targets that count, from before the update, and
        "grad_norm", the length of the gradient of that mean, before clipping, with max_norm=None too. The model is left
        in training mode, whatever its mode was. No gradient that was there before the call has a part in the update
        or in the norm, not even one of a frozen parameter that the optimizer does not hold;
        what is in `.grad` after the call is not promised, so the next call must clear it again.

    Raises:
        ValueError: There is no micro-batch, or none of the targets counts. Parameters and optimizer stay as they were.

    Example:
        >>> from .optim import SGD
        >>> model = nn.Embedding(2, 2)  # one row of logits for each token: the smallest language model
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
        * `optimizer.zero_grad()` clears only what the optimizer holds. A gradient left in a frozen parameter enters the
          norm, and clipping then makes the update too small.
        * Without the division the gradient grows with the number of micro-batches. Divided by that number, it is right
          only where all have the same number of targets.
        * Divide before `backward`: a loss that is divided afterwards looks right, and its gradient is not.
        * Clip after the last `backward` and before `step`: earlier it clips parts, later it clips nothing.
        * `evaluate` of somebody else may have left the model in evaluation mode: call `model.train()` here.
        * A sum of losses as tensors keeps every graph alive: add up numbers.

    Source:
        Goyal et al. 2017, section 3 and remark 3 (normalize by the size of the whole batch).
        https://arxiv.org/abs/1706.02677
    """
    raise NotImplementedError("training.train_step is still a stub")


def evaluate(model: nn.Module, batches: Iterable[Batch]) -> float:
    r"""Measure the mean loss on batches, without learning from them and without a trace in the model.

    The same mean as in training, over all targets of all batches: a batch with twice as many targets counts twice.
    Dropout is off, no graph is built, and afterwards every module is in the mode in which it was.

    Math:
        n_k  = number of targets of batch k that are not -100
        loss = sum_k n_k * cross_entropy(model(inputs_k), targets_k) / sum_k n_k

    Args:
        model: Maps ids (batch, seq) to logits (batch, seq, vocab_size).
        batches: Any iterable of pairs (inputs, targets), a generator too. It is walked once, and one batch at a time
            is held: validation text may be longer than memory. A batch without a target that counts adds nothing.

    Returns:
        The mean loss in nats, a Python float. Parameters, their `.grad` and the mode of every module, part by part,
        are those from before the call, also where it ended with an error, which comes through.

    Raises:
        ValueError: No target of any batch counts, or there is no batch.

    Example:
        >>> model = nn.Sequential(nn.Embedding(8, 8), nn.Dropout(0.5))
        >>> model[0].weight.data.zero_().shape  # all logits 0: a guess among 8 tokens
        torch.Size([8, 8])
        >>> round(evaluate(model, [(torch.tensor([[3, 1]]), torch.tensor([[1, 4]]))]), 4), math.log(8)
        (2.0794, 2.0794415416798357)
        >>> model.training
        True

    Pitfalls:
        * Without `eval()` dropout makes the loss too high, and another one each time.
        * `eval()` is not `no_grad()`: the first switches layers, the second leaves the graph out. Both are needed.
        * `model.train()` at the end is wrong for a model that came in evaluation mode, or with a part that is frozen
          in it. Remember the mode of every module, and set it back in a `finally`.
        * The mean of the batches' means gives the targets of a small batch too much weight.

    Source:
        PyTorch, Autograd mechanics, "Locally disabling gradient computation" and "Evaluation Mode".
        https://docs.pytorch.org/docs/stable/notes/autograd.html
    """
    raise NotImplementedError("training.evaluate is still a stub")


def save_checkpoint(
    file: BinaryIO,
    *,
    model: nn.Module,
    optimizer: Optimizer,
    loader: Any | None,
    step: int,
    generator: torch.Generator | None = None,
) -> None:
    r"""Write down everything that the rest of the run depends on.

    The parameters are the smaller part: AdamW remembers two numbers for each of them, the loader knows which text
    comes next, and dropout will draw from torch's generator. A run whose checkpoint lacks one of these goes on, with
    another result, and nobody notices.

    Args:
        file: A binary file, open for writing. Where it lies, and that an older one is replaced only when this one is
            whole (write beside it, then rename), is the caller's business. It is left open.
        model: Its parameters and buffers are saved, a tied parameter under each of its names.
        optimizer: Its options and its memory are saved.
        loader: What the batches come from, with `state_dict()`. None: nothing to save.
        step: How many steps have been done.
        generator: A generator from which the run draws, beside torch's global one. None: there is none.

    Returns:
        Nothing. In the file stands, by one `torch.save`, one dict:

        "model": `model.state_dict()`.
        "optimizer": `optimizer.state_dict()`.
        "loader": `loader.state_dict()`, or None.
        "step": `step`.
        "torch_rng": the state of torch's global generator on the CPU, as `torch.get_rng_state` gives it.
        "cuda_rng": a list of the states of torch's global generators, one for each GPU. Empty without a GPU.
        "generator": `generator.get_state()`, or None.

        It is plain data: `torch.load(file, weights_only=True)` reads it. Nothing of the run is changed, and no random
        number is drawn.

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
        * `torch.save(model)` pickles the class itself: a file that breaks when the code moves, and that runs whatever
          it contains when it is loaded. Save state dicts.
        * A state dict holds the very tensors of the model, not copies: write it before the next step.
        * Without the optimizer's memory, AdamW starts again with no idea of the gradients' sizes.
        * A seed is not the state of a generator: the state says how far it has drawn.

    Source:
        PyTorch, Saving and loading a general checkpoint.
        https://docs.pytorch.org/tutorials/recipes/recipes/saving_and_loading_a_general_checkpoint.html
        PyTorch, Reproducibility. https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    raise NotImplementedError("training.save_checkpoint is still a stub")


def load_checkpoint(
    file: BinaryIO,
    *,
    model: nn.Module,
    optimizer: Optimizer,
    loader: Any | None,
    generator: torch.Generator | None = None,
) -> int:
    r"""Bring a saved run back, so that it goes on as if it had never been interrupted.

    The caller builds model, optimizer and loader as for a new run; this function fills in what was saved. Whatever the
    run draws, reads and computes from then on is bit by bit what the run that was saved would have, dropout included,
    on the same machine and version of torch.

    Args:
        file: A binary file that `save_checkpoint` wrote, open for reading, at its beginning. It is left open.
        model: Of the same architecture. Its parameters stay the same objects and get the saved values, on the device
            where they are, which need not be the one that they were saved from; tied ones stay tied.
        optimizer: Of the same kind, over the parameters of `model`. What it remembers is replaced.
        loader: Takes its state by `load_state_dict`. None where None was saved.
        generator: Is set to the saved state. None where None was saved.

    Returns:
        The step that was saved. Torch's global generators (CPU, and every GPU that is both in the file and here) are
        in their saved states.

    Raises:
        ValueError: A loader (or a generator) was saved and none is given here, or the other way round: the run could
            not go on as it was. Checked before anything is changed.
        RuntimeError: Names or shapes of the model's parameters differ from what was saved, as `load_state_dict` says.
        ValueError: The optimizer's groups have other sizes, as its `load_state_dict` says.
        pickle.UnpicklingError: The file holds code and not only values, as torch.load(weights_only=True) says.

    Example:
        >>> import io
        >>> from .optim import SGD
        >>> def build():
        ...     model = nn.Linear(2, 1)
        ...     return {"model": model, "optimizer": SGD(model.parameters(), lr=0.1), "loader": None}
        >>> run, resumed, file = build(), build(), io.BytesIO()
        >>> save_checkpoint(file, **run, step=7)
        >>> noise = torch.rand(3)  # what the run draws next
        >>> load_checkpoint(io.BytesIO(file.getvalue()), **resumed)
        7
        >>> torch.equal(resumed["model"].weight, run["model"].weight), torch.equal(torch.rand(3), noise)
        (True, True)

    Pitfalls:
        * `torch.load` with weights_only=False runs any code that somebody has put into the file.
        * `strict=False` loads a part of a wrong model, and says nothing.
        * New Parameter objects (`assign=True`, or `model.weight = ...`) are not those that the optimizer updates.
        * Set the generators last: whatever draws in between takes a number away from the run.
        * `map_location` moves the states of generators as well, and those must be on the CPU.

    Source:
        PyTorch, `torch.load`. https://docs.pytorch.org/docs/stable/generated/torch.load.html
        PyTorch, Reproducibility. https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    raise NotImplementedError("training.load_checkpoint is still a stub")


def train(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Iterable[Batch],
    learning_rates: Iterable[float],
    *,
    accumulation_steps: int = 1,
    max_norm: float | None = 1.0,
) -> Iterator[dict[str, float]]:
    r"""Train step by step, one step for each learning rate, and hand out a record after each.

    A generator: nothing runs until the first record is asked for, and between two records it stands still. There the
    caller evaluates, prints, saves a checkpoint, or stops. A step takes the next learning rate, writes it into all
    groups of the optimizer, takes the next `accumulation_steps` batches, and calls `train_step` with them.

    Args:
        model: Maps ids (batch, seq) to logits (batch, seq, vocab_size).
        optimizer: Holds all parameters of the model that are not frozen. Each group's "lr" is overwritten.
        batches: Any iterable of pairs (inputs, targets), one without end too. It is walked once through the whole run.
        learning_rates: Any iterable of floats, one without end too. How many there are is how many steps are done. To
            resume after step k, give the rates from the k-th on.
        accumulation_steps: How many batches make a step, 1 or more.
        max_norm: As in `train_step`.

    Returns:
        A generator of dicts of floats: "learning_rate", with which the step was done, and "loss" and "grad_norm" from
        `train_step`. When a record comes, its step is complete, and no learning rate and no batch has been taken beyond
        it, so that a checkpoint of the loader is exact. It ends with the learning rates, and takes no batch after the
        last step. Where the caller changed the model's mode in between, the next step trains all the same.

    Raises:
        ValueError: The batches end before the learning rates, also in the middle of a step, which is then not done.
            The steps before it are done, and their records have come.

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
        * The learning rate of a step is written before its update. Written after, every step runs with the rate of the
          one before, and the first with whatever the optimizer was built with.
        * `iter(batches)` once, before the loop: a second `for` over a list starts at its first batch again.
        * `next(batches)` at the end raises StopIteration, which inside a generator becomes a RuntimeError that helps
          nobody. `return` there is worse: a run that is too short looks like one that is done.
        * `zip(batches, learning_rates)` takes a batch too many at the end. The learning rate has to be asked first.

    Source:
        PEP 255 (generators) and PEP 479 (StopIteration inside of them). https://peps.python.org/pep-0479/
        Loshchilov and Hutter 2017, algorithm 2: the schedule is set before the update. https://arxiv.org/abs/1711.05101
    """
    raise NotImplementedError("training.train is still a stub")
