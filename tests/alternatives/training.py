"""Valid but different ways to write `training`: each must pass every test."""

import contextlib
import io
import math

import torch
from torch import nn

from grader.checking import alternative
from solutions.training import clip_grad_norm, cross_entropy, train_step


def counted_targets(targets):
    return int(torch.count_nonzero(targets.ne(-100)))


@alternative("train_step")
def step_with_sums(model, optimizer, micro_batches, *, max_norm=1.0):
    """Backward of sums; the gradients are divided at the end."""
    total = sum(counted_targets(targets) for _, targets in micro_batches)
    if not total:
        raise ValueError("nothing to learn from")
    model.train(True)
    for parameter in model.parameters():
        parameter.grad = None
    summed = 0.0
    for inputs, targets in micro_batches:
        loss = cross_entropy(model(inputs), targets) * counted_targets(targets)
        loss.backward()
        summed += float(loss.detach())
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= total
    norm = clip_grad_norm(model.parameters(), float("inf") if max_norm is None else max_norm)
    optimizer.step()
    optimizer.zero_grad()
    return {"grad_norm": float(norm), "loss": summed / total}


@alternative("train_step")
def step_with_torchs_functions(model, optimizer, micro_batches, *, max_norm=1.0):
    """Torch's cross entropy, which sums, and torch's clipping."""
    total = sum(counted_targets(y) for _, y in micro_batches)
    if total < 1:
        raise ValueError("an empty batch")
    model.train()
    optimizer.zero_grad()
    model.zero_grad()
    losses = []
    for x, y in micro_batches:
        scores = model(x).flatten(0, 1)
        loss = nn.functional.cross_entropy(scores, y.flatten(), reduction="sum") / total
        loss.backward()
        losses.append(loss.detach())
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf if max_norm is None else max_norm)
    optimizer.step()
    return {"loss": torch.stack(losses).sum().item(), "grad_norm": norm.item()}


@alternative("train_step")
def step_that_skips_empty_micro_batches(model, optimizer, micro_batches, *, max_norm=1.0):
    """What has no targets is left out; collected gradients by autograd.grad."""
    kept = [(x, y, counted_targets(y)) for x, y in micro_batches if (y != -100).any()]
    if len(kept) == 0:
        raise ValueError("no micro-batch has a target that counts")
    model.train()
    total = sum(count for _, _, count in kept)
    trained = [p for p in model.parameters() if p.requires_grad]
    sums, mean = [torch.zeros_like(p) for p in trained], 0.0
    for x, y, count in kept:
        loss = cross_entropy(model(x), y)
        for summed, grad in zip(sums, torch.autograd.grad(loss, trained, allow_unused=True), strict=True):
            if grad is not None:
                summed.add_(grad, alpha=count / total)
        mean += loss.item() * count / total
    for p, grad in zip(trained, sums, strict=True):
        p.grad = grad
    norm = torch.sqrt(sum(grad.square().sum() for grad in sums))
    if max_norm is not None:
        clip_grad_norm(trained, max_norm)
    optimizer.step()
    return {"loss": mean, "grad_norm": norm.item()}


@alternative("train_step")
def step_with_scaled_logs(model, optimizer, micro_batches, *, max_norm=1.0):
    """Plain log_softmax and gather on the kept positions."""
    total = sum(counted_targets(targets) for _, targets in micro_batches)
    if total == 0:
        raise ValueError("nothing counts")
    optimizer.zero_grad()
    model.zero_grad()
    model.train()
    mean = 0.0
    for inputs, targets in micro_batches:
        kept = targets >= 0
        log_probabilities = torch.log_softmax(model(inputs), dim=-1)[kept]
        loss = -log_probabilities.gather(-1, targets[kept][:, None]).sum() / total
        loss.backward()
        mean += loss.item()
    if max_norm is None:
        max_norm = 1e300
    norm = clip_grad_norm([p for p in model.parameters() if p.requires_grad], max_norm)
    optimizer.step()
    return {"loss": mean, "grad_norm": norm.item()}


@contextlib.contextmanager
def evaluating(model):
    modes = {name: module.training for name, module in model.named_modules()}
    model.train(False)
    try:
        yield
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]


@alternative("evaluate")
def evaluate_with_a_context(model, batches):
    """A context manager for the modes; inference_mode."""
    losses, counts = [], []
    with evaluating(model), torch.inference_mode():
        for inputs, targets in batches:
            losses.append(cross_entropy(model(inputs), targets).item())
            counts.append(counted_targets(targets))
    if sum(counts) == 0:
        raise ValueError("no targets")
    return sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)


@alternative("evaluate")
def evaluate_with_a_running_mean(model, batches):
    """The mean is moved by each batch; no_grad inside of the loop."""
    trained = [module for module in model.modules() if module.training]
    model.eval()
    mean, seen = 0.0, 0
    try:
        for inputs, targets in batches:
            count = counted_targets(targets)
            if count:
                with torch.no_grad():
                    loss = float(cross_entropy(model(inputs), targets))
                seen += count
                mean += (loss - mean) * count / seen
    finally:
        for module in trained:
            module.training = True
    if not seen:
        raise ValueError("no batch has a target that counts")
    return mean


@alternative("evaluate")
@torch.no_grad()
def evaluate_with_torchs_sum(model, batches):
    """A decorator for the graph, torch's summed loss, an iterator by hand; parents restored before their children."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    total = torch.zeros((), dtype=torch.float64)
    count = torch.zeros((), dtype=torch.int64)
    try:
        stream = iter(batches)
        while (pair := next(stream, None)) is not None:
            scores, targets = model(pair[0]), pair[1]
            total += nn.functional.cross_entropy(scores.flatten(0, -2), targets.flatten(), reduction="sum").double()
            count += targets.ne(-100).sum()
    finally:
        for module, mode in modes:
            module.train(mode)
    if count == 0:
        raise ValueError("nothing to evaluate")
    return (total / count).item()


@alternative("evaluate")
def evaluate_by_a_list_of_losses(model, batches):
    """The loss of each position; the modes changed by hand."""
    before = {module: module.training for module in model.modules()}
    for module in before:
        module.training = False
    losses = []
    with contextlib.ExitStack() as stack:
        for module, mode in before.items():
            stack.callback(setattr, module, "training", mode)
        stack.enter_context(torch.no_grad())
        for inputs, targets in batches:
            logp = torch.log_softmax(model(inputs), dim=-1)
            kept = targets != -100
            losses += (-logp[kept].gather(-1, targets[kept].unsqueeze(-1))).flatten().tolist()
    if not losses:
        raise ValueError("no loss")
    return math.fsum(losses) / len(losses)


@alternative("evaluate")
def evaluate_with_the_grad_mode_by_hand(model, batches):
    """set_grad_enabled, switched back in the finally."""
    modes = [module.training for module in model.modules()]
    grad = torch.is_grad_enabled()
    total = count = 0
    try:
        model.eval()
        torch.set_grad_enabled(False)
        for inputs, targets in batches:
            number = counted_targets(targets)
            total, count = total + number * cross_entropy(model(inputs), targets).item(), count + number
    finally:
        torch.set_grad_enabled(grad)
        for module, mode in zip(model.modules(), modes, strict=True):
            module.training = mode
    if count == 0:
        raise ValueError("count is 0")
    return float(total / count)


def cuda_states():
    return [torch.cuda.get_rng_state(index) for index in range(torch.cuda.device_count())]


@alternative("save_checkpoint")
def save_step_by_step(file, *, model, optimizer, loader, step, generator=None):
    """A dict filled bit by bit; copies of the tensors."""
    checkpoint = dict.fromkeys(("model", "optimizer", "loader", "step", "torch_rng", "cuda_rng", "generator"))
    checkpoint["model"] = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    checkpoint["optimizer"] = optimizer.state_dict()
    if loader is not None:
        checkpoint["loader"] = loader.state_dict()
    if generator is not None:
        checkpoint["generator"] = generator.get_state()
    checkpoint.update(step=step, torch_rng=torch.default_generator.get_state(), cuda_rng=cuda_states())
    torch.save(checkpoint, file)


@alternative("save_checkpoint")
def save_through_memory(file, *, model, optimizer, loader, step, generator=None):
    """Written into memory first, then into the file in one piece."""
    states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    states["loader"] = loader.state_dict() if loader is not None else None
    states["generator"] = generator.get_state() if generator else None
    states |= {"torch_rng": torch.random.get_rng_state(), "cuda_rng": cuda_states()}
    memory = io.BytesIO()
    torch.save(states, memory)
    file.write(memory.getvalue())
    file.flush()


@alternative("save_checkpoint")
def save_with_more(file, *, model, optimizer, loader, step, generator=None):
    """More in the file than was asked for; the state dict with its keyword."""
    checkpoint = {name: part.state_dict() for name, part in (("model", model), ("optimizer", optimizer))}
    checkpoint |= {"loader": loader if loader is None else loader.state_dict(), "version": 1, "step": int(step)}
    checkpoint |= {"cuda_rng": cuda_states(), "torch_rng": torch.get_rng_state().clone()}
    checkpoint["generator"] = None if generator is None else generator.get_state().clone()
    torch.save(obj=checkpoint, f=file)


def on_the_cpu(file):
    return torch.load(file, map_location="cpu", weights_only=True)


def refuse_half(saved, **given):
    for name, value in given.items():
        if (value is None) is not (saved[name] is None):
            raise ValueError(f"{name}: either both the file and the caller have one, or neither")


@alternative("load_checkpoint")
def load_on_the_cpu(file, *, model, optimizer, loader, generator=None):
    """map_location="cpu"; the checks in a helper."""
    saved = on_the_cpu(file)
    refuse_half(saved, loader=loader, generator=generator)
    model.load_state_dict(saved["model"], strict=True)
    optimizer.load_state_dict(saved["optimizer"])
    if loader is not None:
        loader.load_state_dict(saved["loader"])
    if generator is not None:
        generator.set_state(saved["generator"])
    torch.default_generator.set_state(saved["torch_rng"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["cuda_rng"])
    return saved.pop("step")


@alternative("load_checkpoint")
def load_generators_first(file, *, model, optimizer, loader, generator=None):
    """Another order: nothing here draws, so the generators may come first."""
    saved = on_the_cpu(file)
    refuse_half(saved, generator=generator, loader=loader)
    torch.random.set_rng_state(saved["torch_rng"])
    if generator is not None:
        generator.set_state(saved["generator"])
    for part, name in ((loader, "loader"), (optimizer, "optimizer"), (model, "model")):
        if part is not None:
            part.load_state_dict(saved[name])
    return int(saved["step"])


@alternative("load_checkpoint")
def load_by_copying(file, *, model, optimizer, loader, generator=None):
    """Parameters compared and copied by hand."""
    saved = torch.load(io.BytesIO(file.read()), weights_only=True)
    refuse_half(saved, loader=loader, generator=generator)
    own = model.state_dict()
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in saved["model"].items()}:
        raise RuntimeError("this model has other parameters")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(saved["model"][name])
    optimizer.load_state_dict(saved["optimizer"])
    [part.load_state_dict(saved["loader"]) for part in (loader,) if part is not None]
    [part.set_state(saved["generator"]) for part in (generator,) if part is not None]
    torch.set_rng_state(saved["torch_rng"])
    return saved["step"]


@alternative("train")
def train_with_next(model, optimizer, batches, learning_rates, *, accumulation_steps=1, max_norm=1.0):
    """Next with a default instead of islice."""
    stream, end = iter(batches), object()
    for learning_rate in learning_rates:
        taken = []
        while len(taken) < accumulation_steps:
            if (item := next(stream, end)) is end:
                raise ValueError("the batches are used up")
            taken.append(item)
        for group in optimizer.param_groups:
            group.update(lr=learning_rate)
        result = train_step(model, optimizer, taken, max_norm=max_norm)
        result["learning_rate"] = learning_rate
        yield result


@alternative("train")
def train_with_try(model, optimizer, batches, learning_rates, *, accumulation_steps=1, max_norm=1.0):
    """StopIteration caught and turned into an error that says more."""
    batches = iter(batches)
    for number, lr in enumerate(learning_rates, 1):
        for group in optimizer.param_groups:
            group["lr"] = float(lr)
        try:
            micro_batches = tuple([next(batches) for _ in range(accumulation_steps)])
        except StopIteration:
            raise ValueError(f"no batches left for step {number}") from None
        yield {**train_step(model, optimizer, micro_batches, max_norm=max_norm), "learning_rate": lr}


class Loop:
    """The same as an iterator class."""

    def __init__(self, work, learning_rates):
        self.work, self.learning_rates, self.rates = work, learning_rates, None

    def __iter__(self):
        return self

    def __next__(self):
        if self.rates is None:
            self.rates = iter(self.learning_rates)
        return self.work(next(self.rates))


@alternative("train")
def train_by_a_class(model, optimizer, batches, learning_rates, *, accumulation_steps=1, max_norm=1.0):
    """No generator function, and yet nothing runs before it is asked for."""
    stream = None

    def work(lr):
        nonlocal stream
        stream = iter(batches) if stream is None else stream
        taken = [batch for _, batch in zip(range(accumulation_steps), stream)]  # noqa: B905
        if len(taken) != accumulation_steps:
            raise ValueError(f"{len(taken)} batches left, {accumulation_steps} needed")
        for group in optimizer.param_groups:
            group["lr"] = lr
        return {"learning_rate": lr} | train_step(model, optimizer, taken, max_norm=max_norm)

    return Loop(work, learning_rates)


@alternative("train")
def train_by_map(model, optimizer, batches, learning_rates, *, accumulation_steps=1, max_norm=1.0):
    """Map over the learning rates, handed on by yield from."""
    stream = iter(batches)

    def step(lr):
        taken = []
        for batch in stream:
            taken.append(batch)
            if len(taken) == accumulation_steps:
                break
        else:
            raise ValueError("too few batches")
        for group in optimizer.param_groups:
            group["lr"] = lr
        return {**train_step(model, optimizer, taken, max_norm=max_norm), "learning_rate": lr}

    yield from map(step, learning_rates)


@alternative("train")
def train_with_a_while_loop(model, optimizer, batches, learning_rates, *, accumulation_steps=1, max_norm=1.0):
    """Both iterators by hand."""
    rates, stream = iter(learning_rates), iter(batches)
    while True:
        try:
            lr = next(rates)
        except StopIteration:
            return
        taken = list(map(lambda _: next(stream, None), range(accumulation_steps)))
        if any(batch is None for batch in taken):
            raise ValueError("a step needs more batches than there are")
        for index in range(len(optimizer.param_groups)):
            optimizer.param_groups[index]["lr"] = lr
        record = train_step(model, optimizer, taken, max_norm=max_norm)
        yield {"learning_rate": lr, "loss": record["loss"], "grad_norm": record["grad_norm"]}
