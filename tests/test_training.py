"""Checks of training: one update from many micro-batches, evaluation without a trace, exact resume, and the loop."""

import copy
import io
import itertools
from fractions import Fraction

import pytest
import torch

from grader.checking import Counting, check, dependency
from tests.models import (
    UNEQUAL,
    batch,
    batches_of,
    build,
    check_each,
    compared,
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
    """What the steps make of the model."""

    def question(unit):
        model = build(unit)
        optimizer = optimizer_of(unit, model, rule)
        prepare(model)
        for _ in range(times):
            unit.train_step(model, optimizer, batches, **options)
        return values_of(model)

    return question


def enlarge(model):
    """So that gradients are longer than 1, which is how far they are clipped by default."""
    for parameter in model.parameters():
        parameter.data.mul_(3)


UPDATES = {  # sizes of the micro-batches, and options
    "max_norm=0.02": (UNEQUAL, {"max_norm": 0.02}),
    "one micro-batch": ([(3, 5, 0)], {"max_norm": 1e6}),
    "ignored targets": ([(3, 5, 4)], {"max_norm": 1e6}),
    "three equal micro-batches": ([(2, 5, 0)] * 3, {"max_norm": 1e6}),
    "unequal micro-batches": (UNEQUAL, {"max_norm": 1e6}),
    "the max_norm that is default": (UNEQUAL, {}),
}
CIRCUMSTANCES = {
    "two steps": (UNEQUAL, {"max_norm": 1e6, "times": 2}),
    "three steps of AdamW": (UNEQUAL, {"rule": "AdamW", "times": 3}),
}
CASES = {
    "max_norm=None": (UNEQUAL, {"max_norm": None, "prepare": enlarge}),
    "every third parameter frozen": (UNEQUAL, {"prepare": freeze_some, "rule": "AdamW"}),
    "all ignored in the first micro-batch": ([(1, 4, 4), (3, 5, 2)], {}),
    "all ignored in the last micro-batch": ([(3, 5, 2), (1, 4, 4)], {}),
}


@check_each("train_step", numerics=UPDATES, property=CIRCUMSTANCES)
def test_train_step_makes_the_update_of_the_whole_batch(agree, rand, case, given):
    sizes, options = given
    agree.on(f"train_step: {case}", step_question(batches_of(rand, sizes), **options))


@check("train_step", "property")
@pytest.mark.parametrize("evaluating", ["the whole model", "dropout alone"])
def test_train_step_trains_in_training_mode(agree, rand, evaluating):
    inputs, targets = batch(rand, 3, 6)

    def question(unit):
        model = build(unit, dropout=0.5)
        without = loss_without_dropout(unit, model, inputs, targets)  # which leaves the model in evaluation mode
        model.training = evaluating == "dropout alone"
        loss = float(unit.train_step(model, optimizer_of(unit, model), [(inputs, targets)])["loss"])
        return {"dropout was on": abs(loss - without) > 1e-9, "in training mode after it": all(modes_of(model))}

    agree.on(f"train_step of a model with dropout, where {evaluating} was in evaluation mode", question)


@check("train_step", "property")
def test_train_step_takes_a_tuple_of_micro_batches(agree, rand):
    agree.on("train_step of a tuple", step_question(tuple(batches_of(rand))))


@check_each("train_step", "cases", property=CASES)
def test_train_step_in_other_circumstances(agree, rand, case, given):
    sizes, options = given
    agree.on(f"train_step: {case}", step_question(batches_of(rand, sizes), **options))


@check("train_step", "property", "report")
@pytest.mark.parametrize("max_norm", [0.02, None])
@pytest.mark.parametrize("sizes", [[(3, 5, 2)], UNEQUAL, [(3, 5, 2), (1, 4, 4)]], ids=str)
def test_train_step_reports_loss_and_norm_from_before(agree, rand, sizes, max_norm):
    batches = batches_of(rand, sizes)

    def question(unit):
        model = build(unit)
        return unit.train_step(model, optimizer_of(unit, model), batches, max_norm=max_norm)

    agree.on(f"the dict of train_step(micro-batches of {sizes}, max_norm={max_norm})", question)


@check("train_step", "property", "stale")
def test_train_step_forgets_gradients_from_before(agree, rand):
    question = step_question(batches_of(rand), prepare=give_gradients, max_norm=1e6, times=2)
    agree.on("train_step where somebody called backward before", question)


@check("train_step", "numerics", "stale")
def test_train_step_ignores_a_gradient_left_in_a_frozen_parameter(agree, rand):
    batches = batches_of(rand, [(3, 5, 0)])

    def question(unit):
        model = build(unit)
        freeze_some(model)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = dependency(unit, "optim").SGD(trained, lr=0.3)
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 100.0)
        return {"the result": unit.train_step(model, optimizer, batches), "parameters": values_of(model)}

    agree.on("train_step where a frozen parameter that the optimizer does not hold has an old gradient", question)


@check("train_step", "efficiency")
def test_train_step_keeps_one_graph_at_a_time(agree, rand, measure):
    batches = batches_of(rand, [(4, 7, 0)] * 3)

    def question(unit):
        def kept(number):
            model = build(unit)
            optimizer = optimizer_of(unit, model)
            return measure(lambda: unit.train_step(model, optimizer, batches[:number])).saved

        return {"three micro-batches keep less than two would": kept(3) < 2 * kept(1)}

    agree.on("what train_step keeps for backward", question)


@check("train_step", "property", "refusals")
@pytest.mark.parametrize("given", ["no micro-batch", "no target that counts"])
def test_train_step_refuses_a_batch_of_nothing_and_changes_nothing(agree, rand, given):
    batches = [] if given == "no micro-batch" else batches_of(rand, [(1, 5, 5), (1, 4, 4)])
    before = batches_of(rand)

    def question(unit):
        model = build(unit)
        optimizer = optimizer_of(unit, model, "AdamW")
        unit.train_step(model, optimizer, before)  # so that there is a memory, which moves the model by itself
        was, state = values_of(model), optimizer.state_dict()["state"][0]["exp_avg"].clone()
        came = outcome_of(lambda: unit.train_step(model, optimizer, batches))
        state_stays = same(state, optimizer.state_dict()["state"][0]["exp_avg"])
        return {"train_step": came, "parameters stay": same(was, values_of(model)), "state stays": state_stays}

    agree.on(f"train_step with {given}", question)


# evaluate


@check("evaluate", "numerics")
@pytest.mark.parametrize("sizes", [[(3, 5, 2)], [(2, 6, 0)] * 2, UNEQUAL, [*UNEQUAL, (1, 3, 3)]], ids=str)
def test_evaluate_gives_the_mean_over_all_targets(agree, rand, sizes):
    batches = batches_of(rand, sizes)
    agree.on(
        f"evaluate on batches of (rows, length, ignored) {sizes}",
        lambda unit: float(unit.evaluate(build(unit), (each for each in batches))),
    )


@check("evaluate", "property")
def test_evaluate_has_no_dropout(agree, rand):
    inputs, targets = batch(rand, 3, 6)

    def question(unit):
        model = build(unit, dropout=0.5)
        loss = float(unit.evaluate(model, [(inputs, targets)]))
        return "without dropout" if abs(loss - loss_without_dropout(unit, model, inputs, targets)) < 1e-6 else "with it"

    agree.on("whether evaluate of a model in training mode with dropout=0.5 measures with it", question)


@check("evaluate", "property")
def test_evaluate_takes_a_list(agree, rand):
    batches = batches_of(rand)
    agree.on("evaluate of a list", lambda unit: float(unit.evaluate(build(unit), batches)))


@check("evaluate", "property", "traces")
@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
def test_evaluate_leaves_parameters_and_gradients_as_they_were(agree, rand, gradients):
    batches = batches_of(rand)

    def question(unit):
        model = build(unit)
        if gradients:
            give_gradients(model)
        before = values_of(model)
        unit.evaluate(model, batches)
        wanted = [torch.ones_like(p) if gradients else None for p in model.parameters()]
        touched = [not same(p.grad, grad) for p, grad in zip(model.parameters(), wanted, strict=True)]
        return {"parameters stay": same(before, values_of(model)), "gradients that it touched": sum(touched)}

    agree.on("what evaluate leaves of parameters and gradients", question)


@check("evaluate", "property", "traces")
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


@check("evaluate", "efficiency")
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


@check("evaluate", "efficiency")
def test_evaluate_walks_a_generator_batch_by_batch(agree, rand):
    batches = batches_of(rand)
    batches[1] = batch(rand, 2, 9)  # longer than the model takes

    def question(unit):
        given = Counting(batches)
        return {"came": outcome_of(lambda: unit.evaluate(build(unit), given)), "taken": given.taken}

    agree.on("evaluate of a generator of three batches, where the model refuses the second", question)


@check("evaluate", "efficiency")
def test_evaluate_keeps_the_logits_of_one_batch_at_a_time(agree, rand, measure):
    batches = batches_of(rand, [(4, 7, 0)] * 6)

    def question(unit):
        def largest(number):
            model = build(unit)
            return measure(lambda: unit.evaluate(model, iter(batches[:number]))).largest

        return {"no storage grows with the number of batches": largest(6) < 2 * largest(1)}

    agree.on("the largest storage of evaluate", question)


@check("evaluate", "property", "memory")
def test_evaluate_returns_a_python_float(agree, rand):
    batches = batches_of(rand)
    agree.on("the type of evaluate's result", lambda unit: type(unit.evaluate(build(unit), batches)).__name__)


@check("evaluate", "property", "refusals")
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
    data, model = dependency(unit, "data"), build(unit, shift=shift, **config)
    loader = data.ShufflingLoader(data.TokenDataset(torch.arange(40) * 7 % 11, 5), 2, seed=3 + shift)
    rate = 0.05 if shift else 0.1  # which a checkpoint brings back, too
    run = {"model": model, "optimizer": optimizer_of(unit, model, "AdamW", lr=rate), "loader": loader}
    torch_of(unit).set_rng_state(torch.Generator().manual_seed(7 + shift).get_state())
    return run | ({"generator": torch.Generator().manual_seed(5 + shift)} if with_generator else {})


def advance(unit, run, steps):
    """Some steps of training, done here: the losses and the batches."""
    seen = []
    stream = iter(run["loader"])
    for _ in range(steps):
        inputs, targets = next(stream)
        loss = dependency(unit, "loss").cross_entropy(run["model"](inputs), targets)
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


def written(unit, *, loader=True, generator=True):
    """What save_checkpoint writes of a run that has trained and drawn, and what it leaves of the run, in words."""
    run, t = run_of(unit, with_generator=generator), torch_of(unit)
    advance(unit, run, 2)
    run |= {} if loader else {"loader": None}
    give_gradients(run["model"])
    t.rand(3)  # a state that no seed alone gives
    if generator:
        torch.rand(3, generator=run["generator"])
    random, modes = t.get_rng_state(), modes_of(run["model"])
    wanted = {name: copy.deepcopy(run[name] and run[name].state_dict()) for name in STATEFUL}
    wanted |= {"torch_rng": random, "generator": run["generator"].get_state() if generator else None, "step": 2}
    file = io.BytesIO()
    unit.save_checkpoint(file, **run, step=2)
    if file.closed:
        return {"file": "it was closed"}
    if not file.getvalue():
        return {"file": "it is empty"}
    # Read where it was written: here nothing is unpickled that the code under test has made.
    found = t.load(io.BytesIO(file.getvalue()), weights_only=True)
    facts = {name: compared(found.get(name, "missing"), value) for name, value in wanted.items()}
    states = found.get("cuda_rng", "missing")
    found_states = len(states) if isinstance(states, list) and all(map(len, states)) else repr(states)
    facts["cuda_rng"] = "a state for each GPU" if found_states == t.cuda.device_count() else found_states
    facts |= {"file": "it is open", "nothing was drawn": same(t.get_rng_state(), random)}
    facts |= {f"{name} stays": same(run[name] and run[name].state_dict(), wanted[name]) for name in STATEFUL}
    facts["gradients stay"] = all(same(p.grad, torch.ones_like(p)) for p in run["model"].parameters())
    return facts | {"modes stay": modes_of(run["model"]) == modes}


def of_file(*entries, **run):
    """The question what of these entries."""

    def question(unit):
        facts = written(unit, **run)
        return {entry: facts.get(entry, facts["file"]) for entry in entries}

    return question


@check("save_checkpoint", "property")
@pytest.mark.parametrize("entry", [*STATEFUL, "step"])
def test_save_checkpoint_holds_the_run(agree, entry):
    agree.on(f"whether {entry!r} in the file is what it should be", of_file(entry))


@check("save_checkpoint", "property", "random")
@pytest.mark.parametrize("entry", ["torch_rng", "generator", "cuda_rng"])
def test_save_checkpoint_holds_the_states_of_the_generators(agree, entry):
    agree.on(f"whether {entry!r} in the file is what it should be, after numbers were drawn", of_file(entry))


@check("save_checkpoint", "property", "absent")
@pytest.mark.parametrize("absent", ["loader", "generator"])
def test_save_checkpoint_holds_None_for_what_is_absent(agree, absent):
    question = of_file("model", "loader", "generator", **{absent: False})
    agree.on(f"whether the file is what it should be without a {absent}", question)


TRACES = ["file", "nothing was drawn", *(f"{name} stays" for name in STATEFUL), "gradients stay", "modes stay"]


@check("save_checkpoint", "property", "traces")
def test_save_checkpoint_leaves_file_and_run_as_they_were(agree):
    agree.on("what save_checkpoint leaves of the file and the run", of_file(*TRACES))


def restored(unit):
    """What load_checkpoint brings back, in words."""
    run, other, t = run_of(unit), run_of(unit, shift=50), torch_of(unit)
    advance(unit, other, 1)
    advance(unit, run, 2)
    t.rand(3)
    file = saved(unit, run, step=12)
    state, following = t.get_rng_state(), next(iter(run["loader"]))
    drawn = [t.rand(3), t.get_rng_state()][1]
    facts = {"step": unit.load_checkpoint(file, **other)}
    now = t.get_rng_state()
    facts |= {"torch's generator": "as saved" if same(now, state) else "untouched" if same(now, drawn) else "other"}
    facts |= {"loader": same(next(iter(other["loader"])), following)}
    facts |= {"optimizer": same(run["optimizer"].state_dict(), other["optimizer"].state_dict())}
    loaded = values_of(other["model"])
    facts |= {"parameters": same(values_of(run["model"]), loaded)}
    advance(unit, other, 1)  # moves what the optimizer holds: the model's own parameters, tied as they were
    moved = not same(values_of(other["model"]), loaded)
    facts |= {"the optimizer's next step": "moves the model" if moved else "moves something else"}
    return facts | {"file open": not file.closed}


def of_loaded(part):
    return lambda unit: restored(unit)[part]


@check("load_checkpoint", "property")
@pytest.mark.parametrize("part", ["parameters", "optimizer", "loader", "step", "the optimizer's next step"])
def test_load_checkpoint_brings_the_run_back(agree, part):
    agree.on(f"{part} after load_checkpoint", of_loaded(part))


def resumed(unit, dropout):
    """Three steps of a run and of the run that was resumed from its checkpoint: where they part."""
    options = {"dropout": dropout, "dtype": torch.float32, "with_generator": False}
    run = run_of(unit, **options)
    advance(unit, run, 2)
    file = saved(unit, run, step=2)
    uninterrupted = advance(unit, run, 3)
    other = run_of(unit, shift=50, **options)
    unit.load_checkpoint(file, **other)
    again = advance(unit, other, 3)
    first = next((i // 2 + 1 for i in range(6) if not same(uninterrupted[i], again[i])), 0)
    return {
        "they part": f"in step {first}" if first else "never",
        "same parameters": same(values_of(run["model"]), values_of(other["model"])),
        "losses of the resumed run, once they part": again[::2] if first else [],
    }


RESUMED = "3 steps with dropout={} after load_checkpoint, against the run that was never stopped"


@check("load_checkpoint", "property")
def test_load_checkpoint_resumes_bit_by_bit(agree):
    agree.on(RESUMED.format(0.0), lambda unit: resumed(unit, 0.0))


@check("load_checkpoint", "property", "random")
def test_load_checkpoint_resumes_bit_by_bit_with_dropout(agree):
    agree.on(RESUMED.format(0.5), lambda unit: resumed(unit, 0.5))


@check("load_checkpoint", "property", "random")
def test_load_checkpoint_sets_torchs_global_generator(agree):
    agree.on("torch's global generator after load_checkpoint", of_loaded("torch's generator"))


@check("load_checkpoint", "property", "random")
def test_load_checkpoint_sets_the_generator_to_what_the_file_holds(agree):
    def question(unit):
        # A generator's own state does not come back across the boundary, but torch objects to what is no state.
        found = torch_of(unit).load(saved(unit, run_of(unit)), weights_only=True)
        file = io.BytesIO()
        torch_of(unit).save({**found, "generator": torch.zeros(3, dtype=torch.uint8)}, file)
        file.seek(0)
        run = run_of(unit, shift=50)
        before = run["generator"].get_state()
        unit.load_checkpoint(saved(unit, run_of(unit)), **run)
        facts = {"its state": "untouched" if same(run["generator"].get_state(), before) else "another"}
        try:
            unit.load_checkpoint(file, **run_of(unit, shift=50))
        except NotImplementedError:
            raise
        except Exception:
            return facts | {"a state that none can have": "was set"}
        return facts | {"a state that none can have": "was not set"}

    agree.on("what load_checkpoint does to the generator", question)


@check("load_checkpoint", "property", "safety")
def test_load_checkpoint_leaves_the_file_open(agree):
    agree.on("whether the file is open after load_checkpoint", of_loaded("file open"))


@check("load_checkpoint", "property", "safety")
def test_load_checkpoint_refuses_another_model(agree):
    def question(unit):
        run, other = run_of(unit, num_layers=2), run_of(unit)
        for each in (run, other):  # optimizers that fit, so that only the model can object
            each["optimizer"] = dependency(unit, "optim").SGD(list(each["model"].parameters())[:1])
        return unit.load_checkpoint(saved(unit, run), **other)

    agree.raises("load_checkpoint of two layers into a model of one", question, RuntimeError)


@check("load_checkpoint", "property", "safety")
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


@check("load_checkpoint", "property", "refusals")
@pytest.mark.parametrize("missing", ["loader", "generator"])
@pytest.mark.parametrize("where", ["in the file", "among the arguments"])
def test_load_checkpoint_refuses_half_a_run_and_changes_nothing(agree, missing, where):
    def build(unit):
        run, other = run_of(unit), run_of(unit, shift=50)
        advance(unit, other, 1)
        (run if where == "in the file" else other)[missing] = None
        file = saved(unit, run)
        return unit, file, other

    def look(built):
        unit, _, other = built
        state = {name: other[name] and other[name].state_dict() for name in STATEFUL}
        return copy.deepcopy(state) | {"torch's generator": torch_of(unit).get_rng_state()}

    agree.unchanged(
        f"load_checkpoint where the {missing} is missing {where}",
        build,
        look,
        call=lambda built: built[0].load_checkpoint(built[1], **built[2]),
        error=ValueError,
    )


# train


def setup(unit, prepare=lambda model: None):
    """A model and an optimizer with two groups of different learning rates."""
    model, below = build(unit), dependency(unit, "optim")
    prepare(model)
    groups = below.parameter_groups(list(model.named_parameters()), weight_decay=0.1)
    groups[1]["lr"] = 9.0
    return model, below.SGD(groups, lr=7.0, momentum=0.5)


def follow(unit, batches, rates, *, limit=None, prepare=lambda model: None, **options):
    """All that can be seen of a run: the steps, the records, and what was taken when."""
    model, optimizer = setup(unit, prepare)
    batches, rates = Counting(batches), Counting(rates)
    steps, records, taken = [], [], []
    stream = unit.train(model, optimizer, batches, rates, **options)
    taken.append({"batches": batches.taken, "rates": rates.taken})
    end = "ended well"
    try:
        for record in itertools.islice(stream, limit):
            steps += [{"lrs": [group["lr"] for group in optimizer.param_groups]}, values_of(model)]
            records.append(dict(record))
            taken.append({"batches": batches.taken, "rates": rates.taken})
    except ValueError:
        end = "ended with a ValueError"
    taken.append({"batches": batches.taken, "rates": rates.taken})
    return {"steps": steps, "in the end": values_of(model), "records": records, "taken": taken, "end": end}


def of_run(looks, *args, **options):
    """The question what of this of a run."""

    def question(unit):
        seen = follow(unit, *args, **options)
        return {look: seen[look] for look in looks}

    return question


RUNS = {  # number of batches, learning rates, and options
    "of three steps": (3, [0.5, 0.1, 0.3], {}),
    "of three steps of 2": (6, [0.5, 0.1, 0.3], {"accumulation_steps": 2}),
    "of two steps of 3": (6, [0.5, 0.1], {"accumulation_steps": 3}),
    "with max_norm=0.02": (3, [0.5, 0.1], {"max_norm": 0.02}),
    "with max_norm=None": (3, [0.05, 0.01], {"max_norm": None, "prepare": enlarge}),
    "with learning rates of 0": (4, [0.0, 0.5, 0.0, 0.1], {}),
}
LAZY = {
    "of three steps of 2": (6, [0.5, 0.1, 0.3], {"accumulation_steps": 2}),
    "with more batches than are needed": (7, [0.5, 0.1], {"accumulation_steps": 2}),
    "and stop after the second record": (21, [0.5 / n for n in range(1, 9)], {"limit": 2, "accumulation_steps": 2}),
    "without learning rates": (3, [], {}),
}
ENDS = {
    "with batches that end between two steps": (2, [0.5, 0.1, 0.3], {"accumulation_steps": 2}),
    "with batches that end in the middle of per step": (3, [0.5, 0.1, 0.3], {"accumulation_steps": 2}),
    "without batches": (0, [0.5], {}),
}


def run_with(rand, given):
    number, rates, options = given
    return batches_of(rand, UNEQUAL * 7)[:number], rates, options


@check_each("train", numerics=RUNS)
def test_train_makes_a_step_for_each_learning_rate(agree, rand, case, given):
    batches, rates, options = run_with(rand, given)
    agree.on(f"train {case}", of_run(["steps", "end"], batches, rates, **options))


@check_each("train", efficiency=LAZY)
def test_train_takes_nothing_before_it_is_needed(agree, rand, case, given):
    batches, rates, options = run_with(rand, given)
    question = of_run(["taken", "end"], batches, rates, **options)
    agree.on(f"how much train {case} has taken before each record and in the end", question)


@check_each("train", "record", property=RUNS)
def test_train_yields_what_each_step_reports(agree, rand, case, given):
    batches, rates, options = run_with(rand, given)
    agree.on(f"the records of train {case}", of_run(["records"], batches, rates, **options))


@check_each("train", "refusals", property=ENDS)
def test_train_refuses_to_end_before_the_learning_rates(agree, rand, case, given):
    batches, rates, options = run_with(rand, given)
    agree.on(f"train {case}", of_run(["end", "steps", "in the end"], batches, rates, **options))


@check("train", "property")
def test_train_goes_through_a_list_once_and_in_training_mode(agree, rand):
    batches = batches_of(rand)

    def question(unit):
        model, optimizer = setup(unit)
        seen = []
        for _ in unit.train(model, optimizer, batches, [0.5, 0.1, 0.3]):
            seen += [values_of(model), {"training": all(modes_of(model))}]
            model.eval()
        return seen

    agree.on("train with lists, where the caller calls model.eval() between two steps", question)


@check("train", "property")
def test_train_makes_a_step_of_hundreds_of_batches(agree, rand):
    # From 257 on Python makes a whole number anew: two that are equal are `==`, and no longer `is`.
    batches = batches_of(rand, [(1, 2, 0)] * 300)

    def question(unit):
        table = dependency(unit, "embedding").Embedding(11, 11)  # a model that knows the last token alone
        table.weight.data = torch.zeros(11, 11)
        records = unit.train(table, optimizer_of(unit, table), batches, [0.5], accumulation_steps=300)
        return [len(list(records)), values_of(table)]

    agree.on("train with one step of 300 batches", question)
