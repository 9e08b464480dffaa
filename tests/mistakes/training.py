"""Known mistakes in `training`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake

# The lines of the solution that the mistakes replace; each stands there once.
COUNTS = "counts = [_count(targets) for _, targets in micro_batches]"
REFUSED = "if total == 0:\n        raise ValueError(f"
TRAIN_MODE = "    model.train()\n    # At the beginning"
MODEL_ZERO_GRAD = "    model.zero_grad()\n"
OPTIMIZER_ZERO_GRAD = "    optimizer.zero_grad()\n    # The"
START = "    mean = 0.0\n    for (inputs"
NO_ZERO_GRAD = {OPTIMIZER_ZERO_GRAD: "    # The", MODEL_ZERO_GRAD: ""}
FORWARD = "loss = cross_entropy(model(inputs), targets)\n"
SHARE = "share = count / total"
BACKWARD = "(loss * share).backward()"
MEAN = "mean += loss.item() * share"
CLIP = "norm = clip_grad_norm(model.parameters(), math.inf if max_norm is None else max_norm)"
STEP = "    optimizer.step()\n    return"
RESULT = 'return {"loss": mean, "grad_norm": norm.item()}'

EVAL = "    model.eval()\n    loss_sum"
NO_GRAD = "with torch.no_grad():"
WALK = "for inputs, targets in batches:"
EVAL_COUNT = "                count = _count(targets)"
LOSS_SUM = "loss_sum += cross_entropy(model(inputs), targets).item() * count"
FINALLY = "    finally:\n        for module, training in modes:"
RESTORED = "module.training = training  #"
NOTHING = 'if total == 0:\n        raise ValueError("evaluate'
EVAL_RESULT = "return loss_sum / total"

SAVED_OPTIMIZER = '"optimizer": optimizer.state_dict(),\n        # The'
SAVED_LOADER = '"loader": None if loader is None else loader.state_dict(),'
SAVED_STEP = '"step": step,\n        # Dropout'
SAVED_RNG = '"torch_rng": torch.get_rng_state(),'
SAVED_CUDA = '"cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],'
SAVED_GENERATOR = '"generator": None if generator is None else generator.get_state(),'
SAVE = "torch.save(checkpoint, file)"

REFUSES_HALF = "if (saved[name] is None) != (given is None):"
LOADED = "torch.load(file, map_location=device, weights_only=True)"
LOADED_MODEL = 'model.load_state_dict(saved["model"])'
LOADED_OPTIMIZER = 'optimizer.load_state_dict(saved["optimizer"])'
LOADED_LOADER = 'loader.load_state_dict(saved["loader"])'
LOADED_GENERATOR = 'generator.set_state(saved["generator"].cpu())'
LOADED_RNG = 'torch.set_rng_state(saved["torch_rng"].cpu())'
LOADED_STEP = 'return saved["step"]'

STREAM = "stream = iter(batches)"
RATES = "for step, learning_rate in enumerate(learning_rates):"
TAKEN = "micro_batches = list(itertools.islice(stream, accumulation_steps))"
SHORT = "if len(micro_batches) < accumulation_steps:"
SHORT_RAISES = f"{SHORT}\n            raise ValueError("
GROUPS = 'for group in optimizer.param_groups:\n            group["lr"] = learning_rate'
YIELD = 'yield {"learning_rate": learning_rate, **train_step(model, optimizer, micro_batches, max_norm=max_norm)}'

Edits = dict[str, str]


def _step(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"step-{id}", "train_step", says, edits)


def _evaluate(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"evaluate-{id}", "evaluate", says, edits)


def _save(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"save-{id}", "save_checkpoint", says, edits)


def _load(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"load-{id}", "load_checkpoint", says, edits)


def _train(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(f"train-{id}", "train", says, edits)


GRADIENTS = [
    _step(
        "no-zero-grad",
        "you never clear the gradients: each update contains those of all earlier steps. Clear them first.",
        NO_ZERO_GRAD,
    ),
    _step(
        "zero-grad-only-after",
        "you clear the gradients only at the end, so old values in .grad get into the update. Clear them at the beginning.",
        {**NO_ZERO_GRAD, STEP: "    optimizer.step()\n    optimizer.zero_grad()\n    return"},
    ),
    _step(
        "zero-grad-of-optimizer-only",
        "you clear only the gradients that the optimizer holds. A gradient left in a frozen parameter enters the norm: call model.zero_grad() too.",
        {MODEL_ZERO_GRAD: ""},
    ),
    _step(
        "zero-grad-in-the-loop",
        "you clear the gradients before each micro-batch, so only the last one is learned from. Clear them once per step.",
        {FORWARD: f"optimizer.zero_grad()\n        {FORWARD}"},
    ),
    _step(
        "not-divided",
        "you add up the losses of the micro-batches without weights, so the gradient grows with their number. Multiply each by its fraction of all targets.",
        {BACKWARD: "loss.backward()"},
    ),
    _step(
        "divided-by-their-number",
        "you divide by the number of micro-batches. If their numbers of targets differ, targets in small ones count too much: weight by targets.",
        {SHARE: "share = 1 / len(micro_batches)"},
    ),
    _step(
        "ignored-counted",
        "you count all positions, including those with target -100: cross_entropy divides by the other ones only.",
        {COUNTS: COUNTS.replace("_count(targets)", "targets.numel()")},
    ),
    _step(
        "rows-counted",
        "you weight a micro-batch by its number of sequences: weight it by its number of targets.",
        {COUNTS: COUNTS.replace("_count(targets)", "len(targets) * int((targets != -100).any())")},
    ),
    _step(
        "step-in-the-loop",
        "you call optimizer.step() for each micro-batch: call it once, after the last one.",
        {BACKWARD: f"{BACKWARD}\n        optimizer.step()", STEP: "    return"},
    ),
    _step("no-step", "you never call optimizer.step(): nothing is learned.", {STEP: "    return"}),
    _step(
        "nan-without-targets",
        "a micro-batch without targets that count gives 0 / 0, and NaN times a weight of 0 is still NaN.",
        {FORWARD: "loss = cross_entropy(model(inputs), targets) / (targets != -100).any()\n"},
    ),
]

CLIPPING = [
    _step(
        "other-default",
        "you do not clip by default: the default is max_norm=1.0.",
        {"*, max_norm: float | None = 1.0\n) -> dict": "*, max_norm: float | None = None\n) -> dict"},
    ),
    _step(
        "loss-after-the-update",
        "you return the loss after the update: return the loss before it, whose gradient you used.",
        {
            RESULT: "after = [cross_entropy(model(i), t).item() * c / total for (i, t), c in zip(micro_batches, counts)]\n    "
            + RESULT.replace("mean", "sum(after)")
        },
    ),
    _step(
        "clip-after-step",
        "max_norm has no effect: you do not clip, or you clip after optimizer.step(), when the gradient has already been used.",
        {STEP: "    return", CLIP: f"optimizer.step()\n    {CLIP}"},
    ),
    _step(
        "clip-in-the-loop",
        "you clip after each micro-batch, while the gradient is incomplete: clip once, after the last backward.",
        {CLIP: "pass", BACKWARD: f"{BACKWARD}\n        {CLIP}"},
    ),
    _step(
        "no-norm-without-clipping",
        "with max_norm=None you report a norm of 0: do not clip then, but still report the norm.",
        {RESULT: RESULT.replace("norm.item()", "0.0 if max_norm is None else norm.item()")},
    ),
    _step(
        "clip-before-backward",
        "you clip before backward, when there is no gradient yet: clip after the last backward.",
        {CLIP: "pass", START: f"    {CLIP}\n{START}"},
    ),
    _step(
        "none-is-not-asked",
        "you pass max_norm=None to clip_grad_norm, which compares the norm with it: None means no clipping.",
        {CLIP: CLIP.replace("math.inf if max_norm is None else max_norm", "max_norm")},
    ),
    _step(
        "none-is-one",
        "you clip to 1 although max_norm=None means no clipping.",
        {CLIP: CLIP.replace("math.inf", "1.0")},
    ),
    _step(
        "clipped-norm",
        "you report the norm after clipping: report the norm before clipping.",
        {RESULT: RESULT.replace("norm.item()", "clip_grad_norm(model.parameters(), math.inf).item()")},
    ),
]

STEP_REPORTS = [
    _step(
        "last-loss",
        "you report the loss of the last micro-batch: report the mean over all targets.",
        {MEAN: "mean = loss.item()"},
    ),
    _step(
        "sum-of-losses",
        "you report the sum of the micro-batches' losses: report the mean over all targets.",
        {MEAN: "mean += loss.item()"},
    ),
    _step(
        "mean-of-means",
        "you report the mean of the micro-batches' means, where targets in a small one count too much: report the mean over all targets.",
        {MEAN: "mean += loss.item() / len(micro_batches)"},
    ),
    _step(
        "loss-is-a-tensor",
        "you return the loss as a tensor: return a Python float.",
        {MEAN: "mean += loss.detach() * share"},
    ),
    _step("returns-nothing", "your train_step returns None: is there a `return`?", {RESULT: "return None"}),
    _step(
        "no-train-mode",
        "you do not call model.train(), so dropout stays off after an evaluation.",
        {TRAIN_MODE: "    # At the beginning"},
    ),
    _step(
        "nothing-accepted",
        "you accept a batch in which no target counts: raise a ValueError.",
        {REFUSED: "total = max(total, 1)\n    if total == 0:\n        raise ValueError(f"},
    ),
    _step(
        "nothing-passed-over",
        "if no target counts, you return without an error: raise a ValueError.",
        {REFUSED: f'if total == 0:\n        return {{"loss": 0.0, "grad_norm": 0.0}}\n    {REFUSED}'},
    ),
    _step(
        "refused-too-late",
        "you refuse a batch without targets only after the update, when weight decay has already changed the model: check first.",
        {
            REFUSED: "if False:\n        raise ValueError(f",
            SHARE: "share = count / max(total, 1)",
            STEP: '    optimizer.step()\n    if total == 0:\n        raise ValueError("nothing")\n    return',
        },
    ),
    _step(
        "every-micro-batch-must-count",
        "you refuse a micro-batch in which every target is ignored: it adds nothing, and the others still count.",
        {REFUSED: REFUSED.replace("total == 0", "not all(counts) or not counts")},
    ),
    _step(
        "targets-overwritten",
        "you overwrite -100 in the targets: they belong to the caller, and the ignored positions would be trained on.",
        {COUNTS: f"for _, targets in micro_batches:\n        targets[targets == -100] = 0\n    {COUNTS}"},
    ),
]

EVALUATION = [
    _evaluate("no-eval-mode", "you do not call model.eval(): dropout is on while you measure.", {EVAL: "    loss_sum"}),
    _evaluate(
        "no-finally",
        "after an error the model stays in evaluation mode: restore the modes in a `finally`.",
        {FINALLY: "    except ZeroDivisionError:\n        pass\n    else:\n        for module, training in modes:"},
    ),
    _evaluate(
        "only-the-top",
        "you restore the model's own mode in all its parts: remember the mode of every module and restore each.",
        {
            "modes = [(module, module.training) for module in model.modules()]": "modes = [(m, model.training) for m in model.modules()]"
        },
    ),
    _evaluate(
        "left-in-eval",
        "you leave the model in evaluation mode, so it goes on training without dropout: restore the modes.",
        {RESTORED: "pass  #"},
    ),
    _evaluate(
        "always-train",
        "you call model.train() at the end: a model, or a part of it, that was in evaluation mode must stay there.",
        {RESTORED: "module.training = True  #"},
    ),
    _evaluate(
        "builds-a-graph",
        "you build a graph that nobody needs: use torch.no_grad() in addition to eval().",
        {NO_GRAD: "with torch.enable_grad():"},
    ),
    _evaluate(
        "mean-of-means",
        "you average the means of the batches, where targets in a small batch count too much: weight each mean by its targets.",
        {EVAL_COUNT: "                count = int((targets != -100).any())"},
    ),
    _evaluate(
        "ignored-counted",
        "you count all positions: leave out those with target -100.",
        {EVAL_COUNT: "                count = targets.numel()"},
    ),
    _evaluate(
        "last-batch",
        "you return the loss of the last batch only: return the mean over all batches' targets.",
        {LOSS_SUM: LOSS_SUM.replace("loss_sum +=", "loss_sum, total = 0.0, 0\n                loss_sum +=")},
    ),
    _evaluate(
        "sum",
        "you return the sum of the losses: divide it by the number of targets.",
        {EVAL_RESULT: "return loss_sum"},
    ),
    _evaluate(
        "reads-all-first",
        "you read all batches before you use the first (list, sorted, len): they may not fit into memory.",
        {WALK: "for inputs, targets in list(batches):"},
    ),
    _evaluate(
        "walks-twice",
        "you iterate over the batches twice: a generator is empty the second time.",
        {EVAL: "    total_targets = sum(_count(targets) for _, targets in batches)\n    model.eval()\n    loss_sum"},
    ),
    _evaluate(
        "nothing-is-zero",
        "you return 0 if no target counts, which looks like a perfect model: raise a ValueError.",
        {NOTHING: 'if total == 0:\n        return 0.0\n        raise ValueError("evaluate'},
    ),
    _evaluate(
        "tensor",
        "you return a tensor: return a Python float.",
        {EVAL_RESULT: "return torch.tensor(loss_sum / total)"},
    ),
    _evaluate(
        "clears-gradients",
        "you clear the gradients of the model: an evaluation between two micro-batches would lose them.",
        {EVAL: "    model.zero_grad()\n    model.eval()\n    loss_sum"},
    ),
    _evaluate("returns-nothing", "your evaluate returns None: is there a `return`?", {EVAL_RESULT: "return None"}),
]

SAVING = [
    _save(
        "no-optimizer",
        "the optimizer's state is missing: AdamW would start again with empty means.",
        {SAVED_OPTIMIZER: "# The"},
    ),
    _save(
        "no-loader",
        "the loader's state is missing: the resumed run would read the same text again.",
        {SAVED_LOADER: '"loader": None,'},
    ),
    _save(
        "no-rng", "the state of torch's generator is missing: dropout would draw different numbers.", {SAVED_RNG: ""}
    ),
    _save(
        "seed-for-state",
        "you save the seed of torch's generator: save its state, which also says how much has been drawn.",
        {SAVED_RNG: '"torch_rng": torch.initial_seed(),'},
    ),
    _save(
        "no-generator",
        "the state of the given generator is missing from the file.",
        {SAVED_GENERATOR: '"generator": None,'},
    ),
    _save(
        "no-cuda",
        "cuda_rng in the file must be a list, empty if there is no GPU.",
        {SAVED_CUDA: '"cuda_rng": None,'},
    ),
    _save(
        "parameters-only",
        "you save only the parameters: save the whole dict.",
        {SAVE: 'torch.save(checkpoint["model"], file)'},
    ),
    _save(
        "none-crashes",
        "you call state_dict() on None: there may be no loader.",
        {SAVED_LOADER: '"loader": loader.state_dict(),'},
    ),
    _save("closes-the-file", "you close the file: it belongs to the caller.", {SAVE: f"{SAVE}\n    file.close()"}),
    _save(
        "draws",
        "you draw a random number while saving: the run then continues with different numbers than without a checkpoint.",
        {SAVE: f"{SAVE}\n    torch.rand(1)"},
    ),
    _save("writes-nothing", "you write nothing to the file.", {SAVE: "return None"}),
]

LOADING = [
    _load(
        "not-strict",
        "you load a part of a different model without an error, as strict=False or a loop over the names does.",
        {LOADED_MODEL: LOADED_MODEL.replace(")", ", strict=False)")},
    ),
    _load(
        "runs-code",
        "your torch.load takes any object, so it runs any code that somebody has put into the file: use weights_only=True.",
        {LOADED: LOADED.replace("True", "False")},
    ),
    _load("no-optimizer", "you do not load the optimizer's state.", {LOADED_OPTIMIZER: "pass"}),
    _load("no-model", "you do not load the model's parameters.", {LOADED_MODEL: "pass"}),
    _load("no-loader", "you do not load the loader's state.", {LOADED_LOADER: "pass"}),
    _load("no-rng", "you do not set torch's global generator to the saved state.", {LOADED_RNG: "pass"}),
    _load("no-generator", "you do not set the given generator to the saved state.", {LOADED_GENERATOR: "pass"}),
    _load(
        "draws-afterwards",
        "you draw a random number after restoring the generator's state: restore the state last.",
        {LOADED_STEP: f"torch.rand(1)\n    {LOADED_STEP}"},
    ),
    _load(
        "new-parameters",
        "your model has new Parameter objects after loading, but the optimizer still updates the old ones: copy the values.",
        {LOADED_MODEL: LOADED_MODEL.replace(")", ", assign=True)")},
    ),
    _load("no-step", "your load_checkpoint returns None: it must return the step.", {LOADED_STEP: "return None"}),
    _load(
        "half-accepted",
        "it goes unnoticed if only the file or only the caller has a loader or generator: such a run cannot continue as it was.",
        {
            REFUSES_HALF: "if False:",
            LOADED_GENERATOR: f'if saved["generator"] is not None:\n            {LOADED_GENERATOR}',
            LOADED_LOADER: f'if saved["loader"] is not None:\n            {LOADED_LOADER}',
        },
    ),
    _load(
        "refused-too-late",
        "you refuse an incomplete run only after changing the model: check first.",
        {
            'for name, given in (("loader"': 'model.load_state_dict(saved["model"])\n    for name, given in (("loader"',
            f"{LOADED_MODEL}\n    optimizer": "optimizer",
        },
    ),
]

LOOP = [
    _train(
        "rate-after-step",
        "you write the learning rate after the step, so each step runs with the previous rate: write it before.",
        {GROUPS: "", YIELD: f"record = {YIELD.removeprefix('yield ')}\n        {GROUPS}\n        yield record"},
    ),
    _train(
        "first-group-only",
        "you set the learning rate of the first group only: set it in every group.",
        {GROUPS: 'optimizer.param_groups[0]["lr"] = learning_rate'},
    ),
    _train("rate-not-set", "the learning rates never reach the optimizer.", {GROUPS: ""}),
    _train(
        "no-accumulation",
        "you always take one batch per step: take accumulation_steps batches.",
        {TAKEN: TAKEN.replace("accumulation_steps", "1"), SHORT: "if not micro_batches:"},
    ),
    _train(
        "step-per-batch",
        "you make one update per batch: all batches of a step together make one update.",
        {
            YIELD: "for batch in micro_batches[:-1]:\n            train_step(model, optimizer, [batch], max_norm=max_norm)\n        "
            + YIELD.replace("micro_batches", "micro_batches[-1:]")
        },
    ),
    _train(
        "same-batches",
        "each step starts again with the first batches: call iter(batches) once.",
        {STREAM: "", TAKEN: TAKEN.replace("stream", "iter(batches)")},
    ),
    _train(
        "reads-ahead",
        "you take batches before their step needs them: a checkpoint of the loader would skip them.",
        {
            TAKEN: "if step == 0:\n            ahead = list(itertools.islice(stream, accumulation_steps))\n        micro_batches, ahead = ahead, list(itertools.islice(stream, accumulation_steps))"
        },
    ),
    _train(
        "batches-first",
        "you take batches before you know that there is a learning rate for them, so you lose batches after the last step. Take the rate first.",
        {
            RATES: "rates = iter(learning_rates)\n    for step in itertools.count():",
            SHORT: "learning_rate = next(rates, None)\n        if learning_rate is None:\n            return\n        "
            + SHORT,
        },
    ),
    _train(
        "reads-all-rates",
        "you read all learning rates before the first step (list, len): they may be endless.",
        {RATES: RATES.replace("learning_rates)", "list(learning_rates))")},
    ),
    _train(
        "reads-all-batches",
        "you read all batches before the first step (list, len): they may be endless.",
        {STREAM: "stream = iter(list(batches))"},
    ),
    _train(
        "ends-silently",
        "you end without an error if the batches end too early, so an unfinished run looks complete.",
        {SHORT_RAISES: f"{SHORT}\n            return\n            raise ValueError("},
    ),
    _train(
        "stop-iteration",
        "next(batches) raises StopIteration at the end, which becomes a RuntimeError inside a generator: raise a ValueError that says what happened.",
        {TAKEN: "micro_batches = [next(stream) for _ in range(accumulation_steps)]"},
    ),
    _train(
        "part-of-a-step",
        "you do a step with fewer than accumulation_steps batches when the batches end: that step must not happen.",
        {SHORT: "if not micro_batches:"},
    ),
    _train(
        "max-norm-lost", "you do not pass max_norm on to train_step.", {YIELD: YIELD.replace(", max_norm=max_norm", "")}
    ),
    _train(
        "not-lazy",
        "you do all steps before the first record: write a generator with yield.",
        {
            YIELD: YIELD.replace("yield ", "records.append(") + ")",
            STREAM: f"records = []\n    {STREAM}",
            "\n\ndef _count(": "    yield from records\n\n\ndef _count(",
        },
    ),
    _train(
        "no-rate-in-record",
        "your records lack learning_rate.",
        {YIELD: YIELD.replace('"learning_rate": learning_rate, ', "")},
    ),
]

WHILE_STEPPING = [
    _step(
        "one-backward",
        "you add up the losses of all micro-batches and call backward once, which keeps all graphs in memory. Call backward for each micro-batch.",
        {
            START: START.replace("mean = 0.0", "mean, summed = 0.0, 0.0"),
            BACKWARD: "summed = summed + loss * share",
            CLIP: f"summed.backward()\n    {CLIP}",
        },
    ),
    _step(
        "zeros-for-none",
        "you fill the gradients with zeros, so AdamW also moves and decays parameters without a gradient. Set them to None.",
        {
            MODEL_ZERO_GRAD: "    for parameter in model.parameters():\n        parameter.grad = torch.zeros_like(parameter)\n"
        },
    ),
    _step(
        "train-mode-of-the-top",
        "you call model.train() only if model.training is False: a part of the model alone may be in evaluation mode.",
        {TRAIN_MODE: "    if not model.training:\n        model.train()\n    # At the beginning"},
    ),
    _step(
        "mode-put-back",
        "you restore the model's earlier mode: leave it in training mode.",
        {
            TRAIN_MODE: f"    was = model.training\n{TRAIN_MODE}",
            STEP: "    optimizer.step()\n    model.train(was)\n    return",
        },
    ),
    _step(
        "list-only",
        "your train_step works with a list of micro-batches but not with a tuple.",
        {COUNTS: f"micro_batches = micro_batches + []\n    {COUNTS}"},
    ),
    _step(
        "empties-the-list",
        "you empty the list of micro-batches, which belongs to the caller.",
        {CLIP: f"micro_batches.clear() if isinstance(micro_batches, list) else None\n    {CLIP}"},
    ),
    _evaluate(
        "collects-all-logits",
        "you collect the logits of all batches before computing the loss, so memory grows with the text: add up the losses.",
        {
            EVAL: "    scores, wanted = [], []\n    model.eval()\n    loss_sum",
            LOSS_SUM: "scores.append(model(inputs).flatten(0, 1))\n                wanted.append(targets.flatten())",
            NOTHING: f"if total:\n        loss_sum = cross_entropy(torch.cat(scores), torch.cat(wanted)).item() * total\n    {NOTHING}",
        },
    ),
]

AROUND_CHECKPOINTS = [
    _save(
        "fresh-torch-generator",
        "you save the state that torch's generator had right after seeding: save the current state, torch.get_rng_state().",
        {SAVED_RNG: '"torch_rng": torch.Generator().manual_seed(torch.initial_seed()).get_state(),'},
    ),
    _save(
        "fresh-generator",
        "you save the state that the generator had right after seeding: save the current state, generator.get_state().",
        {
            SAVED_GENERATOR: '"generator": None if generator is None else torch.Generator().manual_seed(generator.initial_seed()).get_state(),'
        },
    ),
    _save(
        "eval-mode",
        "you leave the model in evaluation mode: saving must not change the run.",
        {SAVE: f"model.eval()\n    {SAVE}"},
    ),
    _save(
        "clears-gradients",
        "you clear the gradients: saving must not change the run.",
        {SAVE: f"optimizer.zero_grad()\n    {SAVE}"},
    ),
    _save(
        "takes-a-batch",
        "you take a batch from the loader, so the run never sees it: saving must not change the run.",
        {SAVE: f"next(iter(loader)) if loader is not None else None\n    {SAVE}"},
    ),
    _save(
        "named-parameters",
        "you save named_parameters(), which lacks buffers and the second name of a tied parameter: save state_dict().",
        {'"model": model.state_dict(),': '"model": dict(model.named_parameters()),'},
    ),
    _load(
        "model-and-optimizer-only",
        "you restore the model and the optimizer only: restore the loader and the random generators too.",
        {LOADED_LOADER: "pass", LOADED_GENERATOR: "pass", LOADED_RNG: "pass"},
    ),
    _load(
        "learning-rate-only",
        "you restore only the learning rates of the optimizer, not its state: use its load_state_dict.",
        {
            LOADED_OPTIMIZER: 'for group, options in zip(optimizer.param_groups, saved["optimizer"]["param_groups"], strict=True):\n        group["lr"] = options["lr"]'
        },
    ),
    _load(
        "generator-seeded",
        "you seed the generator: set its saved state.",
        {LOADED_GENERATOR: 'generator.manual_seed(int(saved["generator"].sum()))'},
    ),
    _load(
        "optimizer-before-the-check",
        "you refuse an incomplete run only after changing the optimizer: check first.",
        {
            'for name, given in (("loader"': 'optimizer.load_state_dict(saved["optimizer"])\n    for name, given in (("loader"',
            f"    {LOADED_OPTIMIZER}\n    if loader": "    if loader",
        },
    ),
    _load(
        "closes-the-file",
        "you close the file: it belongs to the caller.",
        {LOADED_STEP: f"file.close()\n    {LOADED_STEP}"},
    ),
]

AROUND_THE_LOOP = [
    _train(
        "ends-at-a-rate-of-zero",
        "you stop at a learning rate of 0, which a warmup may start with: test whether there is a rate, not whether it is nonzero.",
        {
            RATES: "rates, step = iter(learning_rates), -1\n    while learning_rate := next(rates, None):\n        step += 1"
        },
    ),
    _train(
        "none-is-one",
        "you clip to 1 although max_norm=None means no clipping.",
        {YIELD: YIELD.replace("max_norm=max_norm", "max_norm=1.0 if max_norm is None else max_norm")},
    ),
    _train(
        "rate-put-back",
        "you restore the old learning rates after the step: leave the step's rate in the groups.",
        {
            GROUPS: f'old = [group["lr"] for group in optimizer.param_groups]\n        {GROUPS}',
            YIELD: f"record = {YIELD.removeprefix('yield ')}\n        for group, lr in zip(optimizer.param_groups, old, strict=True):\n"
            '            group["lr"] = lr\n        yield record',
        },
    ),
]

MISTAKES = [
    *GRADIENTS,
    *CLIPPING,
    *STEP_REPORTS,
    *WHILE_STEPPING,
    *EVALUATION,
    *SAVING,
    *LOADING,
    *AROUND_CHECKPOINTS,
    *LOOP,
    *AROUND_THE_LOOP,
]
