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
        "you never clear the gradients: each step contains those of all steps before.",
        NO_ZERO_GRAD,
    ),
    _step(
        "zero-grad-only-after",
        "you clear the gradients only at the end: what somebody else left in .grad gets into the update.",
        {**NO_ZERO_GRAD, STEP: "    optimizer.step()\n    optimizer.zero_grad()\n    return"},
    ),
    _step(
        "zero-grad-of-optimizer-only",
        "you clear only the gradients that the optimizer holds: one left in a frozen parameter enters the norm.",
        {MODEL_ZERO_GRAD: ""},
    ),
    _step(
        "zero-grad-in-the-loop",
        "you clear the gradients before each micro-batch: only the last one is learned from.",
        {FORWARD: f"optimizer.zero_grad()\n        {FORWARD}"},
    ),
    _step(
        "not-divided",
        "the losses of the micro-batches are added up without a division: the gradient grows with their number.",
        {BACKWARD: "loss.backward()"},
    ),
    _step(
        "divided-by-their-number",
        "you divide by the number of micro-batches: where they hold different numbers of targets, those of small ones count too much.",
        {SHARE: "share = 1 / len(micro_batches)"},
    ),
    _step(
        "ignored-counted",
        "you count all positions, those with target -100 too: cross_entropy divides by the others only.",
        {COUNTS: COUNTS.replace("_count(targets)", "targets.numel()")},
    ),
    _step(
        "rows-counted",
        "you weigh a micro-batch by its number of sequences: it is the targets that count.",
        {COUNTS: COUNTS.replace("_count(targets)", "len(targets) * int((targets != -100).any())")},
    ),
    _step(
        "step-in-the-loop",
        "you call optimizer.step() for each micro-batch: all of them together make one update.",
        {BACKWARD: f"{BACKWARD}\n        optimizer.step()", STEP: "    return"},
    ),
    _step("no-step", "you never call optimizer.step(): nothing is learned.", {STEP: "    return"}),
    _step(
        "nan-without-targets",
        "a micro-batch without a target that counts gives 0 / 0, and NaN times a share of 0 is NaN still.",
        {FORWARD: "loss = cross_entropy(model(inputs), targets) / (targets != -100).any()\n"},
    ),
]

CLIPPING = [
    _step(
        "other-default",
        "you do not clip unless you are told to: the default is max_norm=1.0.",
        {"*, max_norm: float | None = 1.0\n) -> dict": "*, max_norm: float | None = None\n) -> dict"},
    ),
    _step(
        "loss-after-the-update",
        "you return the loss after the update: the one asked for is that of the gradient.",
        {
            RESULT: "after = [cross_entropy(model(i), t).item() * c / total for (i, t), c in zip(micro_batches, counts)]\n    "
            + RESULT.replace("mean", "sum(after)")
        },
    ),
    _step(
        "clip-after-step",
        "max_norm changes nothing: you do not clip, or only after optimizer.step(), when the gradient has been used already.",
        {STEP: "    return", CLIP: f"optimizer.step()\n    {CLIP}"},
    ),
    _step(
        "clip-in-the-loop",
        "you clip after each micro-batch: what is clipped is a part of the sum, and more than once.",
        {CLIP: "pass", BACKWARD: f"{BACKWARD}\n        {CLIP}"},
    ),
    _step(
        "no-norm-without-clipping",
        "with max_norm=None you report a norm of 0: nothing is clipped then, but the norm is asked for all the same.",
        {RESULT: RESULT.replace("norm.item()", "0.0 if max_norm is None else norm.item()")},
    ),
    _step(
        "clip-before-backward",
        "you clip before backward, when there is no gradient yet.",
        {CLIP: "pass", START: f"    {CLIP}\n{START}"},
    ),
    _step(
        "none-is-not-asked",
        "max_norm=None goes on to clip_grad_norm, which compares the norm with it.",
        {CLIP: CLIP.replace("math.inf if max_norm is None else max_norm", "max_norm")},
    ),
    _step(
        "none-is-one",
        "you clip to 1 where max_norm=None asks for no clipping.",
        {CLIP: CLIP.replace("math.inf", "1.0")},
    ),
    _step(
        "clipped-norm",
        "you report the norm after clipping: the one before shows how wild the gradient was.",
        {RESULT: RESULT.replace("norm.item()", "clip_grad_norm(model.parameters(), math.inf).item()")},
    ),
]

STEP_REPORTS = [
    _step(
        "last-loss", "you report the loss of the last micro-batch, not the mean of all.", {MEAN: "mean = loss.item()"}
    ),
    _step(
        "sum-of-losses",
        "you report the sum of the micro-batches' losses, not their mean.",
        {MEAN: "mean += loss.item()"},
    ),
    _step(
        "mean-of-means",
        "you report the mean of the micro-batches' means: targets of a small one count too much.",
        {MEAN: "mean += loss.item() / len(micro_batches)"},
    ),
    _step(
        "loss-is-a-tensor",
        "you return the loss as a tensor: a Python float was asked for.",
        {MEAN: "mean += loss.detach() * share"},
    ),
    _step("returns-nothing", "your train_step returns None: is there a `return`?", {RESULT: "return None"}),
    _step(
        "no-train-mode",
        "you do not call model.train(): after an evaluation, dropout stays off.",
        {TRAIN_MODE: "    # At the beginning"},
    ),
    _step(
        "nothing-accepted",
        "a batch without any target that counts goes through: it must raise a ValueError.",
        {REFUSED: "total = max(total, 1)\n    if total == 0:\n        raise ValueError(f"},
    ),
    _step(
        "nothing-passed-over",
        "where no target counts you return without an error: raise a ValueError.",
        {REFUSED: f'if total == 0:\n        return {{"loss": 0.0, "grad_norm": 0.0}}\n    {REFUSED}'},
    ),
    _step(
        "refused-too-late",
        "you refuse a batch without targets only after the update: weight decay has changed the model by then.",
        {
            REFUSED: "if False:\n        raise ValueError(f",
            SHARE: "share = count / max(total, 1)",
            STEP: '    optimizer.step()\n    if total == 0:\n        raise ValueError("nothing")\n    return',
        },
    ),
    _step(
        "every-micro-batch-must-count",
        "you refuse a micro-batch in which all is ignored: it adds nothing, and the others count.",
        {REFUSED: REFUSED.replace("total == 0", "not all(counts) or not counts")},
    ),
    _step(
        "targets-overwritten",
        "you write over -100 in the targets: they belong to the caller, and the positions would be learned.",
        {COUNTS: f"for _, targets in micro_batches:\n        targets[targets == -100] = 0\n    {COUNTS}"},
    ),
]

EVALUATION = [
    _evaluate("no-eval-mode", "you do not call model.eval(): dropout is on while you measure.", {EVAL: "    loss_sum"}),
    _evaluate(
        "no-finally",
        "after an error the model stays in evaluation mode: set the modes back in a `finally`.",
        {FINALLY: "    except ZeroDivisionError:\n        pass\n    else:\n        for module, training in modes:"},
    ),
    _evaluate(
        "only-the-top",
        "you remember the mode of the model and not of its parts: model.train(mode) sets all of them.",
        {
            "modes = [(module, module.training) for module in model.modules()]": "modes = [(m, model.training) for m in model.modules()]"
        },
    ),
    _evaluate(
        "left-in-eval",
        "you leave the model in evaluation mode: from here on it trains without dropout.",
        {RESTORED: "pass  #"},
    ),
    _evaluate(
        "always-train",
        "you call model.train() at the end: a model, or a part of it, that was in evaluation mode must stay there.",
        {RESTORED: "module.training = True  #"},
    ),
    _evaluate(
        "builds-a-graph",
        "you build a graph that nobody needs: eval() does not do what torch.no_grad() does.",
        {NO_GRAD: "with torch.enable_grad():"},
    ),
    _evaluate(
        "mean-of-means",
        "you average the means of the batches: targets of a small batch count too much.",
        {EVAL_COUNT: "                count = int((targets != -100).any())"},
    ),
    _evaluate(
        "ignored-counted",
        "you count all positions, those with target -100 too.",
        {EVAL_COUNT: "                count = targets.numel()"},
    ),
    _evaluate(
        "last-batch",
        "you return the loss of the last batch only.",
        {LOSS_SUM: LOSS_SUM.replace("loss_sum +=", "loss_sum, total = 0.0, 0\n                loss_sum +=")},
    ),
    _evaluate(
        "sum",
        "you return the sum of the losses: it must be divided by the number of targets.",
        {EVAL_RESULT: "return loss_sum"},
    ),
    _evaluate(
        "reads-all-first",
        "you read all batches before the first is used (list, sorted, len): they may not fit into memory.",
        {WALK: "for inputs, targets in list(batches):"},
    ),
    _evaluate(
        "walks-twice",
        "you walk the batches twice: a generator is empty the second time.",
        {EVAL: "    total_targets = sum(_count(targets) for _, targets in batches)\n    model.eval()\n    loss_sum"},
    ),
    _evaluate(
        "nothing-is-zero",
        "you return 0 where nothing was counted: that looks like a perfect model, and must raise a ValueError.",
        {NOTHING: 'if total == 0:\n        return 0.0\n        raise ValueError("evaluate'},
    ),
    _evaluate(
        "tensor",
        "you return a tensor: a Python float was asked for.",
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
    _save("no-rng", "the state of torch's generator is missing: dropout would draw other numbers.", {SAVED_RNG: ""}),
    _save(
        "seed-for-state",
        "you save the seed of torch's generator and not its state, which says how far it has drawn.",
        {SAVED_RNG: '"torch_rng": torch.initial_seed(),'},
    ),
    _save(
        "no-generator", "the state of the generator that was given is missing.", {SAVED_GENERATOR: '"generator": None,'}
    ),
    _save(
        "no-cuda",
        "cuda_rng must be in the file as a list, empty where there is no GPU.",
        {SAVED_CUDA: '"cuda_rng": None,'},
    ),
    _save("parameters-only", "you save the parameters alone.", {SAVE: 'torch.save(checkpoint["model"], file)'}),
    _save(
        "none-crashes",
        "you ask None for a state_dict: there may be no loader.",
        {SAVED_LOADER: '"loader": loader.state_dict(),'},
    ),
    _save("closes-the-file", "you close the file: it belongs to the caller.", {SAVE: f"{SAVE}\n    file.close()"}),
    _save(
        "draws",
        "you draw a random number while saving: the run goes on with another one than without the checkpoint.",
        {SAVE: f"{SAVE}\n    torch.rand(1)"},
    ),
    _save("writes-nothing", "nothing is written into the file.", {SAVE: "return None"}),
]

LOADING = [
    _load(
        "not-strict",
        "a part of another model goes in without an error: that is so with strict=False, and in a loop over the names.",
        {LOADED_MODEL: LOADED_MODEL.replace(")", ", strict=False)")},
    ),
    _load(
        "runs-code",
        "your torch.load takes any object, and so runs whatever code somebody has put into the file: weights_only=True.",
        {LOADED: LOADED.replace("True", "False")},
    ),
    _load("no-optimizer", "you do not load the optimizer's state.", {LOADED_OPTIMIZER: "pass"}),
    _load("no-model", "you do not load the model's parameters.", {LOADED_MODEL: "pass"}),
    _load("no-loader", "you do not load the loader's state.", {LOADED_LOADER: "pass"}),
    _load("no-rng", "you do not set torch's global generator to the saved state.", {LOADED_RNG: "pass"}),
    _load(
        "no-generator", "you do not set the generator that was given to the saved state.", {LOADED_GENERATOR: "pass"}
    ),
    _load(
        "draws-afterwards",
        "you draw a random number after the generator's state was set.",
        {LOADED_STEP: f"torch.rand(1)\n    {LOADED_STEP}"},
    ),
    _load(
        "new-parameters",
        "your model has new Parameter objects after loading: the optimizer goes on with the old ones.",
        {LOADED_MODEL: LOADED_MODEL.replace(")", ", assign=True)")},
    ),
    _load("no-step", "your load_checkpoint returns None: it must return the step.", {LOADED_STEP: "return None"}),
    _load(
        "half-accepted",
        "a loader or generator that only the file or only the caller has goes unnoticed: the run would not go on as it was.",
        {
            REFUSES_HALF: "if False:",
            LOADED_GENERATOR: f'if saved["generator"] is not None:\n            {LOADED_GENERATOR}',
            LOADED_LOADER: f'if saved["loader"] is not None:\n            {LOADED_LOADER}',
        },
    ),
    _load(
        "refused-too-late",
        "you refuse half of a run after the model was changed: check first.",
        {
            'for name, given in (("loader"': 'model.load_state_dict(saved["model"])\n    for name, given in (("loader"',
            f"{LOADED_MODEL}\n    optimizer": "optimizer",
        },
    ),
]

LOOP = [
    _train(
        "rate-after-step",
        "you write the learning rate after the step: each step runs with the rate of the one before.",
        {GROUPS: "", YIELD: f"record = {YIELD.removeprefix('yield ')}\n        {GROUPS}\n        yield record"},
    ),
    _train(
        "first-group-only",
        "you set the learning rate of the first group only.",
        {GROUPS: 'optimizer.param_groups[0]["lr"] = learning_rate'},
    ),
    _train("rate-not-set", "the learning rates never reach the optimizer.", {GROUPS: ""}),
    _train(
        "no-accumulation",
        "you take one batch for a step whatever accumulation_steps says.",
        {TAKEN: TAKEN.replace("accumulation_steps", "1"), SHORT: "if not micro_batches:"},
    ),
    _train(
        "step-per-batch",
        "you make an update for each of the batches of a step: together they make one.",
        {
            YIELD: "for batch in micro_batches[:-1]:\n            train_step(model, optimizer, [batch], max_norm=max_norm)\n        "
            + YIELD.replace("micro_batches", "micro_batches[-1:]")
        },
    ),
    _train(
        "same-batches",
        "each step begins again with the first batches: call iter(batches) once.",
        {STREAM: "", TAKEN: TAKEN.replace("stream", "iter(batches)")},
    ),
    _train(
        "reads-ahead",
        "you have taken batches that no step has used yet: a checkpoint of the loader would skip them.",
        {
            TAKEN: "if step == 0:\n            ahead = list(itertools.islice(stream, accumulation_steps))\n        micro_batches, ahead = ahead, list(itertools.islice(stream, accumulation_steps))"
        },
    ),
    _train(
        "batches-first",
        "you take batches before you know whether there is a learning rate for them: those after the last step are lost.",
        {
            RATES: "rates = iter(learning_rates)\n    for step in itertools.count():",
            SHORT: "learning_rate = next(rates, None)\n        if learning_rate is None:\n            return\n        "
            + SHORT,
        },
    ),
    _train(
        "reads-all-rates",
        "you read all learning rates before the first step (list, len): there may be no end to them.",
        {RATES: RATES.replace("learning_rates)", "list(learning_rates))")},
    ),
    _train(
        "reads-all-batches",
        "you read all batches before the first step (list, len): there may be no end to them.",
        {STREAM: "stream = iter(list(batches))"},
    ),
    _train(
        "ends-silently",
        "you end without an error where the batches end too early: the run looks complete.",
        {SHORT_RAISES: f"{SHORT}\n            return\n            raise ValueError("},
    ),
    _train(
        "stop-iteration",
        "next(batches) raises StopIteration at the end, which becomes a RuntimeError inside a generator: raise a ValueError that says what happened.",
        {TAKEN: "micro_batches = [next(stream) for _ in range(accumulation_steps)]"},
    ),
    _train(
        "part-of-a-step",
        "you do a step with fewer batches than accumulation_steps where they end.",
        {SHORT: "if not micro_batches:"},
    ),
    _train(
        "max-norm-lost", "you do not hand max_norm on to train_step.", {YIELD: YIELD.replace(", max_norm=max_norm", "")}
    ),
    _train(
        "not-lazy",
        "you do all steps before the first record comes: write a generator with yield.",
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
        "you add up the losses of all micro-batches and call backward once: that keeps every graph in memory at the same time. Call backward for each.",
        {
            START: START.replace("mean = 0.0", "mean, summed = 0.0, 0.0"),
            BACKWARD: "summed = summed + loss * share",
            CLIP: f"summed.backward()\n    {CLIP}",
        },
    ),
    _step(
        "zeros-for-none",
        "you fill the gradients with zeros: AdamW then moves and decays parameters that have no gradient. Set them to None.",
        {
            MODEL_ZERO_GRAD: "    for parameter in model.parameters():\n        parameter.grad = torch.zeros_like(parameter)\n"
        },
    ),
    _step(
        "train-mode-of-the-top",
        "you call model.train() only where model.training is False: a part of the model may be in evaluation mode by itself.",
        {TRAIN_MODE: "    if not model.training:\n        model.train()\n    # At the beginning"},
    ),
    _step(
        "mode-put-back",
        "you put the model back into the mode in which it came: leave it in training mode.",
        {
            TRAIN_MODE: f"    was = model.training\n{TRAIN_MODE}",
            STEP: "    optimizer.step()\n    model.train(was)\n    return",
        },
    ),
    _step(
        "list-only",
        "your train_step works with a list of micro-batches and not with a tuple.",
        {COUNTS: f"micro_batches = micro_batches + []\n    {COUNTS}"},
    ),
    _step(
        "empties-the-list",
        "you empty the list of micro-batches, which belongs to the caller.",
        {CLIP: f"micro_batches.clear() if isinstance(micro_batches, list) else None\n    {CLIP}"},
    ),
    _evaluate(
        "collects-all-logits",
        "you collect the logits of all batches before you compute the loss: add up the losses, or the memory grows with the text.",
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
        "you save the state that torch's generator had when it was seeded: torch.get_rng_state() says how far it has drawn.",
        {SAVED_RNG: '"torch_rng": torch.Generator().manual_seed(torch.initial_seed()).get_state(),'},
    ),
    _save(
        "fresh-generator",
        "you save the state that the generator had when it was seeded: generator.get_state() says how far it has drawn.",
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
        "you take a batch from the loader: the run goes on without it.",
        {SAVE: f"next(iter(loader)) if loader is not None else None\n    {SAVE}"},
    ),
    _save(
        "named-parameters",
        "you save named_parameters(): buffers are missing, and the second name of a tied parameter. state_dict() has both.",
        {'"model": model.state_dict(),': '"model": dict(model.named_parameters()),'},
    ),
    _load(
        "model-and-optimizer-only",
        "you restore the model and the optimizer only: the loader and the random generators go on from somewhere else.",
        {LOADED_LOADER: "pass", LOADED_GENERATOR: "pass", LOADED_RNG: "pass"},
    ),
    _load(
        "learning-rate-only",
        "you restore the learning rates of the optimizer and not what it remembers: use its load_state_dict.",
        {
            LOADED_OPTIMIZER: 'for group, options in zip(optimizer.param_groups, saved["optimizer"]["param_groups"], strict=True):\n        group["lr"] = options["lr"]'
        },
    ),
    _load(
        "generator-seeded",
        "you seed the generator: set the state that was saved.",
        {LOADED_GENERATOR: 'generator.manual_seed(int(saved["generator"].sum()))'},
    ),
    _load(
        "optimizer-before-the-check",
        "you refuse half of a run after the optimizer was changed: check first.",
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
        "you end at a learning rate of 0, with which a warmup may begin: ask whether there is one, not whether it is true.",
        {
            RATES: "rates, step = iter(learning_rates), -1\n    while learning_rate := next(rates, None):\n        step += 1"
        },
    ),
    _train(
        "none-is-one",
        "you clip to 1 where max_norm=None asks for no clipping.",
        {YIELD: YIELD.replace("max_norm=max_norm", "max_norm=1.0 if max_norm is None else max_norm")},
    ),
    _train(
        "rate-put-back",
        "you put the old learning rates back after the step: leave those in the groups with which the step was done.",
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
