"""Checks of training: one update from many micro-batches, evaluation without a trace, exact resume, and the loop."""

import io
import itertools
from fractions import Fraction

import pytest
import torch

from grader.checking import check, lower
from tests.models import (
    UNEQUAL,
    batch,
    batches_of,
    build,
    check_each,
    compared,
    counted,
    freeze_some,
    give_gradients,
    loss_without_dropout,
    modes_of,
    optimizer_of,
    outcome_of,
    same,
    torch_of,
    values_of,
)

STATEFUL = ("model", "optimizer", "loader")


# train_step


def step_question(batches, *, prepare=lambda model: None, rule="SGD", times=1, **options):
    """What train_step returns, what it makes of the model, and what it leaves of the batches."""

    def question(unit):
        model = build(unit)
        optimizer = optimizer_of(unit, model, rule)
        prepare(model)
        given = [(inputs.clone(), targets.clone()) for inputs, targets in batches]
        results = [unit.train_step(model, optimizer, given, **options) for _ in range(times)]
        left = all(same(one, other) for one, other in zip(given, batches, strict=True))
        return {"the result": results, "parameters": values_of(model), "batches are as they were": left}

    return question


UPDATES = {  # sizes of the micro-batches, and options
    "max_norm=0.02": (UNEQUAL, {"max_norm": 0.02}),
    "one micro-batch": ([(3, 5, 0)], {"max_norm": None}),
    "ignored targets": ([(3, 5, 4)], {"max_norm": None}),
    "three equal micro-batches": ([(2, 5, 0)] * 3, {"max_norm": None}),
    "unequal micro-batches": (UNEQUAL, {"max_norm": None}),
    "max_norm=1e6": (UNEQUAL, {"max_norm": 1e6}),
    "the max_norm that is default": (UNEQUAL, {}),
}
CIRCUMSTANCES = {
    "two steps": (UNEQUAL, {"max_norm": None, "times": 2}),
    "three steps of AdamW": (UNEQUAL, {"rule": "AdamW", "times": 3}),
    "gradients of ones from before": (UNEQUAL, {"prepare": give_gradients, "max_norm": None, "times": 2}),
    "every third parameter frozen": (UNEQUAL, {"prepare": freeze_some, "max_norm": None}),
    "all ignored in the first micro-batch": ([(1, 4, 4), (3, 5, 2)], {}),
    "all ignored in the last micro-batch": ([(3, 5, 2), (1, 4, 4)], {}),
}


@check_each("train_step", numerics=UPDATES, property=CIRCUMSTANCES)
def test_train_step_makes_the_update_of_the_whole_batch(agree, rand, case, given):
    sizes, options = given
    agree.on(f"train_step: {case}", step_question(batches_of(rand, sizes), **options))


@check("train_step", "property")
def test_train_step_trains_in_training_mode(agree, rand):
    inputs, targets = batch(rand, 3, 6)

    def question(unit):
        model = build(unit, dropout=0.5)
        without = loss_without_dropout(unit, model, inputs, targets)  # which leaves the model in evaluation mode
        loss = unit.train_step(model, optimizer_of(unit, model), [(inputs, targets)])["loss"]
        return {"dropout was on": abs(loss - without) > 1e-9, "in training mode after it": all(modes_of(model))}

    agree.on("train_step of a model with dropout that was in evaluation mode", question)


@check("train_step", "numerics")
def test_train_step_ignores_a_gradient_left_in_a_frozen_parameter(agree, rand):
    batches = batches_of(rand, [(3, 5, 0)])

    def question(unit):
        model = build(unit)
        freeze_some(model)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = lower(unit, "optim").SGD(trained, lr=0.3)
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 100.0)
        return {"the result": unit.train_step(model, optimizer, batches), "parameters": values_of(model)}

    agree.on("train_step where a frozen parameter that the optimizer does not hold has an old gradient", question)


@check("train_step", "property")
@pytest.mark.parametrize("given", ["no micro-batch", "no target that counts"])
def test_train_step_refuses_a_batch_of_nothing_and_changes_nothing(agree, rand, given):
    batches = [] if given == "no micro-batch" else batches_of(rand, [(1, 5, 5), (1, 4, 4)])

    def question(unit):
        model = build(unit)
        optimizer = optimizer_of(unit, model, "AdamW")
        came = outcome_of(lambda: unit.train_step(model, optimizer, batches))
        return {"train_step": came, "parameters": values_of(model), "state": len(optimizer.state_dict()["state"])}

    agree.on(f"train_step with {given}", question)


# evaluate


@check("evaluate", "numerics")
@pytest.mark.parametrize("sizes", [[(3, 5, 2)], [(2, 6, 0)] * 2, UNEQUAL, [*UNEQUAL, (1, 3, 3)]], ids=str)
def test_evaluate_gives_the_mean_over_all_targets_and_touches_nothing(agree, rand, sizes):
    batches = batches_of(rand, sizes)

    def question(unit):
        model = build(unit)
        give_gradients(model)
        loss = unit.evaluate(model, (each for each in batches))
        touched = [name for name, p in model.named_parameters() if not same(p.grad, torch.ones_like(p))]
        return {"the loss": loss, "parameters": values_of(model), "gradients that it touched": touched}

    agree.on(f"evaluate on batches of (rows, length, ignored) {sizes}", question)


@check("evaluate", "property")
def test_evaluate_has_no_dropout(agree, rand):
    inputs, targets = batch(rand, 3, 6)

    def question(unit):
        model = build(unit, dropout=0.5)
        loss = unit.evaluate(model, [(inputs, targets)])
        return "without dropout" if abs(loss - loss_without_dropout(unit, model, inputs, targets)) < 1e-6 else "with it"

    agree.on("whether evaluate of a model in training mode with dropout=0.5 measures with it", question)


@check("evaluate", "property")
@pytest.mark.parametrize(
    ("before", "ends"),
    [(mode, "well") for mode in ("training", "evaluation", "mixed")]
    + [("mixed", "with nothing to count"), ("mixed", "with an error"), ("training", "with an error")],
)
def test_evaluate_leaves_every_part_in_its_mode(agree, rand, before, ends):
    batches = {"well": batches_of(rand), "with nothing to count": []}.get(ends, [batch(rand, 2, 9)])

    def question(unit):
        model = build(unit)
        for number, part in enumerate(model.modules()):
            part.training = {"training": True, "evaluation": False}.get(before, number % 3 == 1)
        modes = modes_of(model)
        came = outcome_of(lambda: unit.evaluate(model, batches))
        now = modes_of(model)
        return {"evaluate": came, "as before": now == modes, "all training": all(now), "some training": any(now)}

    agree.on(f"the modes of a model's parts (before: {before}) after evaluate that ends {ends}", question)


@check("evaluate", "property")
def test_evaluate_builds_no_graph(agree, rand):
    scores, targets = rand(2, 3, 4), rand.integers(0, 4, 2, 3)

    def question(unit):
        # Changing a leaf in place is allowed where no graph is built, and nowhere else.
        nn = torch_of(unit).nn
        model = nn.Sequential(nn.ReLU(inplace=True), nn.LayerNorm(4)).double()
        try:
            unit.evaluate(model, [(scores.clone().requires_grad_(), targets)])
        except RuntimeError as error:
            return "a graph was built" if "in-place" in str(error) else str(error)
        return "no graph was built"

    agree.on("evaluate of a model that works in place on its input", question)


@check("evaluate", "property")
def test_evaluate_walks_a_generator_batch_by_batch(agree, rand):
    batches = batches_of(rand)
    batches[1] = batch(rand, 2, 9)  # longer than the model takes

    def question(unit):
        seen = []
        return {"came": outcome_of(lambda: unit.evaluate(build(unit), counted(batches, seen))), "taken": len(seen)}

    agree.on("evaluate of a generator of three batches, where the model refuses the second", question)


@check("evaluate", "property")
@pytest.mark.parametrize("sizes", [[], [(1, 5, 5)]], ids=["no batch", "no target that counts"])
def test_evaluate_refuses_to_average_nothing(agree, rand, sizes):
    batches = batches_of(rand, sizes)
    agree.raises(
        f"evaluate with {len(sizes)} batches and no target that counts",
        lambda unit: unit.evaluate(build(unit), batches),
        ValueError,
    )


# save_checkpoint and load_checkpoint


def run_of(unit, *, shift=0, with_generator=True, **config):
    """All objects of a run, by the names of save_checkpoint's arguments, and torch's global generator seeded."""
    data, model = lower(unit, "data"), build(unit, shift=shift, **config)
    loader = data.ShufflingLoader(data.TokenDataset(torch.arange(40) * 7 % 11, 5), 2, seed=3 + shift)
    run = {"model": model, "optimizer": optimizer_of(unit, model, "AdamW", lr=0.1), "loader": loader}
    torch_of(unit).set_rng_state(torch.Generator().manual_seed(7 + shift).get_state())
    return run | ({"generator": torch.Generator().manual_seed(5 + shift)} if with_generator else {})


def advance(unit, run, steps):
    """Some steps of training, done here: the losses and the batches."""
    seen = []
    stream = iter(run["loader"])
    for _ in range(steps):
        inputs, targets = next(stream)
        loss = lower(unit, "loss").cross_entropy(run["model"](inputs), targets)
        run["optimizer"].zero_grad()
        loss.backward()
        run["optimizer"].step()
        seen += [loss.detach(), inputs]
    return seen


def saved(unit, run, step=4):
    """A file with a checkpoint of the run, to be read."""
    file = io.BytesIO()
    unit.save_checkpoint(file, **run, step=step)
    return io.BytesIO(file.getvalue())


@check("save_checkpoint", "property")
@pytest.mark.parametrize("complete", [True, False], ids=["all", "no loader, no generator"])
def test_save_checkpoint_holds_the_whole_run(agree, complete):
    def question(unit):
        run = run_of(unit, with_generator=complete)
        advance(unit, run, 2)
        run |= {} if complete else {"loader": None}
        random = torch_of(unit).get_rng_state()
        file = io.BytesIO()
        unit.save_checkpoint(file, **run, step=2)
        if file.closed:
            return "the file was closed"
        # Read where it was written: here nothing is unpickled that the code under test has made.
        found = torch_of(unit).load(io.BytesIO(file.getvalue()), weights_only=True)
        wanted = {name: run[name] if run[name] is None else run[name].state_dict() for name in STATEFUL}
        wanted |= {"generator": run["generator"].get_state() if complete else None, "torch_rng": random, "step": 2}
        facts = {name: compared(found.get(name, "missing"), value) for name, value in wanted.items()}
        there = torch_of(unit).cuda.device_count()
        facts["cuda_rng"] = same([True] * there, [len(state) > 0 for state in found.get("cuda_rng", "missing")])
        return facts | {"nothing was drawn": same(torch_of(unit).get_rng_state(), random)}

    agree.on(f"whether each entry of the file is what it should be ({'with' if complete else 'no'} loader)", question)


@check("load_checkpoint", "property")
def test_load_checkpoint_brings_everything_back(agree):
    def question(unit):
        run, other, t = run_of(unit), run_of(unit, shift=50), torch_of(unit)
        advance(unit, other, 1)
        advance(unit, run, 2)
        file = saved(unit, run, step=12)
        state, following = t.get_rng_state(), next(iter(run["loader"]))
        drawn = [t.rand(3), t.get_rng_state()][1]
        step = unit.load_checkpoint(file, **other)
        now = t.get_rng_state()
        facts = {"torch's generator": "as saved" if same(now, state) else "untouched" if same(now, drawn) else "other"}
        facts |= {"loader": same(next(iter(other["loader"])), following)}
        facts |= {"optimizer": same(run["optimizer"].state_dict(), other["optimizer"].state_dict())}
        loaded = values_of(other["model"])
        facts |= {"parameters": same(values_of(run["model"]), loaded)}
        advance(unit, other, 1)  # moves what the optimizer holds: the model's own parameters, tied as they were
        facts |= {"the optimizer's next step moves the model": not same(values_of(other["model"]), loaded)}
        return facts | {"step": step, "tied": len(loaded) == len(values_of(run["model"])), "file open": not file.closed}

    agree.on("whether each part of a run is back after load_checkpoint", question)


@check("load_checkpoint", "property")
def test_load_checkpoint_sets_the_generator_to_what_the_file_holds(agree):
    def question(unit):
        # A generator's own state does not come back across the boundary, but torch objects to what is no state.
        found = torch_of(unit).load(saved(unit, run_of(unit)), weights_only=True)
        file = io.BytesIO()
        torch_of(unit).save({**found, "generator": torch.zeros(3, dtype=torch.uint8)}, file)
        file.seek(0)
        try:
            unit.load_checkpoint(file, **run_of(unit, shift=50))
        except NotImplementedError:
            raise
        except Exception:
            return "it was set"
        return "it was not set"

    agree.on("whether load_checkpoint sets the generator, tried with a state that none can have", question)


@check("load_checkpoint", "property")
@pytest.mark.parametrize("dropout", [0.0, 0.5], ids=str)
def test_load_checkpoint_resumes_bit_by_bit(agree, dropout):
    def question(unit):
        options = {"dropout": dropout, "dtype": torch.float32, "with_generator": False}
        run = run_of(unit, **options)
        advance(unit, run, 2)
        file = saved(unit, run, step=2)
        uninterrupted = advance(unit, run, 3)
        resumed = run_of(unit, shift=50, **options)
        unit.load_checkpoint(file, **resumed)
        again = advance(unit, resumed, 3)
        first = next((i // 2 for i in range(6) if not same(uninterrupted[i], again[i])), None)
        return {
            "first that differs": first,
            "same parameters": same(values_of(run["model"]), values_of(resumed["model"])),
        }

    agree.on(f"3 steps with dropout={dropout} after load_checkpoint, against the run that was never stopped", question)


@check("load_checkpoint", "property")
def test_load_checkpoint_refuses_another_model(agree):
    def question(unit):
        run, other = run_of(unit, num_layers=2), run_of(unit)
        for each in (run, other):  # optimizers that fit, so that only the model can object
            each["optimizer"] = lower(unit, "optim").SGD(list(each["model"].parameters())[:1])
        return unit.load_checkpoint(saved(unit, run), **other)

    agree.raises("load_checkpoint of two layers into a model of one", question, RuntimeError)


@check("load_checkpoint", "property")
@pytest.mark.parametrize("missing", ["loader", "generator"])
@pytest.mark.parametrize("where", ["in the file", "among the arguments"])
def test_load_checkpoint_refuses_half_a_run_and_changes_nothing(agree, missing, where):
    def question(unit):
        run, other = run_of(unit), run_of(unit, shift=50)
        (run if where == "in the file" else other)[missing] = None
        before = values_of(other["model"])
        came = outcome_of(lambda: unit.load_checkpoint(saved(unit, run), **other))
        return {"load_checkpoint": came, "parameters stay": same(before, values_of(other["model"]))}

    agree.on(f"load_checkpoint where the {missing} is missing {where}", question)


@check("load_checkpoint", "property")
def test_load_checkpoint_runs_no_code_that_is_in_the_file(agree):
    # Whatever is no tensor and no plain value is made by a call that the file names.
    contents = torch.load(agree.truth(lambda unit: saved(unit, run_of(unit))), weights_only=True)
    file = io.BytesIO()
    torch.save({**contents, "more": Fraction(1, 3)}, file)

    def question(unit):
        try:
            return {"loaded, step": unit.load_checkpoint(io.BytesIO(file.getvalue()), **run_of(unit, shift=50))}
        except NotImplementedError:
            raise
        except Exception:
            return "refused"

    agree.on("load_checkpoint of a file with a Fraction in it, which is made by a call", question)


# train


def setup(unit, dropout=0.0):
    """A model and an optimizer with two groups of different learning rates."""
    model, below = build(unit, dropout=dropout), lower(unit, "optim")
    groups = below.parameter_groups(list(model.named_parameters()), weight_decay=0.1)
    groups[1]["lr"] = 9.0
    return model, below.SGD(groups, lr=7.0, momentum=0.5)


def follow(unit, batches, rates, *, limit=None, **options):
    """All that can be seen of a run: after each record the rates of the groups and what was taken so far."""
    model, optimizer = setup(unit)
    taken, asked, seen = [], [], []
    records = unit.train(model, optimizer, counted(batches, taken), counted(rates, asked), **options)
    seen.append({"batches taken at first": len(taken), "rates taken at first": len(asked)})
    try:
        for record in itertools.islice(records, limit):
            lrs = [group["lr"] for group in optimizer.param_groups]
            seen.append({"record": record, "lrs": lrs, "batches": len(taken), "rates": len(asked)})
            seen.append(values_of(model))
        seen.append("ended well")
    except ValueError:
        seen.append("ended with a ValueError")
    return [*seen, {"batches taken in the end": len(taken), "rates taken in the end": len(asked)}, values_of(model)]


RUNS = {  # number of batches, learning rates, and options
    "of three steps": (3, [0.5, 0.1, 0.3], {}),
    "of three steps of 2": (6, [0.5, 0.1, 0.3], {"accumulation_steps": 2}),
    "of two steps of 3": (6, [0.5, 0.1], {"accumulation_steps": 3}),
    "with max_norm=0.02": (3, [0.5, 0.1], {"max_norm": 0.02}),
}
ENDS = {
    "with more batches than are needed": (7, [0.5, 0.1], {"accumulation_steps": 2}),
    "and stop after the second record": (21, [0.5 / n for n in range(1, 9)], {"limit": 2, "accumulation_steps": 2}),
    "without learning rates": (3, [], {}),
    "with batches that end between two steps": (2, [0.5, 0.1, 0.3], {"accumulation_steps": 2}),
    "with batches that end in the middle of a step": (3, [0.5, 0.1, 0.3], {"accumulation_steps": 2}),
}


@check_each("train", numerics=RUNS, property=ENDS)
def test_train_makes_a_step_for_each_learning_rate(agree, rand, case, given):
    number, rates, options = given
    batches = batches_of(rand, UNEQUAL * 7)[:number]
    agree.on(f"train {case}", lambda unit: follow(unit, batches, rates, **options))


@check("train", "property")
def test_train_goes_through_a_list_once_and_in_training_mode(agree, rand):
    batches = batches_of(rand)

    def question(unit):
        model, optimizer = setup(unit)
        seen = []
        for record in unit.train(model, optimizer, batches, [0.5, 0.1, 0.3]):
            seen += [record, values_of(model), {"training": all(modes_of(model))}]
            model.eval()
        return seen

    agree.on("train with lists, where the caller calls model.eval() between two steps", question)


@check("train", "property")
def test_train_makes_a_step_of_hundreds_of_batches(agree, rand):
    # From 257 on Python makes a whole number anew: two that are equal are `==`, and no longer `is`.
    batches = batches_of(rand, [(1, 2, 0)] * 300)

    def question(unit):
        table = lower(unit, "embedding").Embedding(11, 11)  # a model that knows the last token alone
        table.weight.data = torch.zeros(11, 11)
        return [*unit.train(table, optimizer_of(unit, table), batches, [0.5], accumulation_steps=300), values_of(table)]

    agree.on("train with one step of 300 batches", question)
