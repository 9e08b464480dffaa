"""Benchmarks: how long people wait, as ratios within one run, since machines are shared and noisy.

    python -m grader.dev.benchmarks [cold] [warm] [training] [tokenizer] [class] [degenerate]

Each pair is measured in turns, A B A B ..., and the ratio is that of the medians. No test depends on it.
"""

from __future__ import annotations

import pydoc_data.topics
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from grader.checking.target import resolve
from grader.curriculum import load
from grader.curriculum.submission import KIT
from grader.grading.grade import grade
from grader.sandbox.host.pool import Pool

ROUNDS = 5


def main() -> None:
    """Measure what is named, or everything, and print a line for each ratio."""
    known = {"cold": _cold, "warm": _warm, "training": _training, "tokenizer": _tokenizer, "class": _class}
    known["degenerate"] = _degenerate
    for name in sys.argv[1:] or known:
        known[name]()


def _cold() -> None:
    suite = [sys.executable, "-m", "pytest", "-q", "-k", "attention", "--target", "solutions"]
    imported = [sys.executable, "-c", "import torch"]
    _compare("pytest -k attention, cold", lambda: _run(suite), "import torch", lambda: _run(imported), "1.8")


def _warm() -> None:
    solutions = resolve("solutions")
    pool = Pool()
    try:
        for units in (*([name] for name in load()), list(load())):
            grade(solutions, units=units, pool=pool, seed=0)
            _compare(
                f"{', '.join(units)}: isolated, warm",
                partial(grade, solutions, units=units, pool=pool, seed=0),
                "locally, warm",
                partial(grade, solutions, units=units, seed=0),
                "1.5",
            )
    finally:
        pool.close()


def _training() -> None:
    import torch

    from grader.checking import dependency
    from grader.checking.oracle import load_solution
    from grader.dev.benchmarks import torch_gpt
    from grader.training import recipes

    units = partial(dependency, load_solution("training"))
    shape = {"max_length": 128, "d_model": 128, "num_layers": 4, "num_heads": 4}
    ids = torch.randint(1024, (16, shape["max_length"] + 1))
    inputs, targets = ids[:, :-1], ids[:, 1:]
    recipe = recipes.Recipe(shape, batch_size=16, steps=1, max_lr=1e-3)
    mine, theirs = recipes.build_model(units, recipe, 1024, 0), torch_gpt.TorchGPT(vocab_size=1024, **shape)
    ours = recipes.build_optimizer(units, recipe, mine)
    torchs = torch.optim.AdamW(theirs.parameters(), lr=1e-3, betas=(0.9, 0.95))
    step = partial(units("training").train_step, mine, ours, [(inputs, targets)], max_norm=1.0)
    torch_step = partial(torch_gpt.train_step, theirs, torchs, inputs, targets)
    _compare(
        "training step, reference", partial(_times, 5, step), "torch's modules", partial(_times, 5, torch_step), "-"
    )
    loss = torch.nn.functional.cross_entropy
    with torch.no_grad():
        _compare(
            "  forward", partial(_times, 5, lambda: mine(inputs)), "", partial(_times, 5, lambda: theirs(inputs)), "-"
        )
    x = torch.randn(16 * 128, 1024, requires_grad=True)
    own = units("training").cross_entropy
    ce = partial(_times, 5, lambda: own(x, targets.flatten()).backward())
    _compare("  loss and its gradient", ce, "", partial(_times, 5, lambda: loss(x, targets.flatten()).backward()))
    _compare("  optimizer", partial(_times, 5, ours.step), "", partial(_times, 5, torchs.step))


def _times(number: int, work: Callable[[], object]) -> None:
    for _ in range(number):
        work()


def _tokenizer() -> None:
    import tokenizers

    from grader.checking.oracle import load_solution

    tokenizer = load_solution("tokenizer")
    text = "\n".join(pydoc_data.topics.topics.values())
    started = time.perf_counter()
    vocab, merges = tokenizer.train_bpe(text, 4096)
    trained = time.perf_counter()
    ids = tokenizer.BPETokenizer(vocab, merges).encode(text)
    encoded = time.perf_counter() - trained
    print(f"train_bpe on Python's manual ({len(text) / 1e3:.0f} kB) to 4096 tokens: {trained - started:.2f} s")
    speed, length = len(text) / encoded / 1e6, len(text) / len(ids)
    print(f"encode it: {encoded:.2f} s, {speed:.2f} MB/s, {length:.2f} characters a token")

    def train_theirs() -> None:
        theirs = tokenizers.ByteLevelBPETokenizer()
        theirs.train_from_iterator([text], vocab_size=4096, min_frequency=1, show_progress=False)

    _compare("train_bpe", lambda: tokenizer.train_bpe(text, 4096), "tokenizers, in Rust", train_theirs)


def _class(unit: str = "normalization", number: int = 20, few: int = 3) -> None:
    from grader.course import workers
    from grader.course.options import Options
    from grader.course.work import Job
    from grader.dev.benchmarks.nbgrader_course import Course

    solutions = resolve("solutions")
    options = Options((unit,), 0)
    jobs = [Job.of(replace(solutions, name=f"learner {i}"), "", options) for i in range(2 * number)]
    answers: list[object] = []
    (one, cpu_one), (two, cpu_two) = (
        _measure(partial(workers.run, iter(some), 1, answers.append)) for some in (jobs[:number], jobs)
    )
    assert len(answers) == 3 * number
    seconds, cpu = (two - one) / number, (cpu_two - cpu_one) / number
    print(f"{unit}, right submissions, one process: {60 / seconds:.0f} a minute, {cpu:.2f} CPU s each, ", end="")
    print(f"after a start of {cpu_one - number * cpu:.1f} CPU s", flush=True)
    suite = [sys.executable, "-m", "pytest", "-q", "-k", unit, "--target", "solutions"]
    _others("plain pytest", partial(_times, few, partial(_run, suite)), few, cpu)
    try:
        with Course(unit, few) as course:
            _others("nbgrader", course.autograde, few, cpu)
    except ImportError:
        print("nbgrader: not installed; python -m pip install nbgrader")


def _degenerate() -> None:
    """Grade submissions that do nothing right, isolated; the CPU time of both sides beside the reference's."""
    from tests.grader.degenerate import KINDS, UNITS, degenerate

    solutions, pool = resolve("solutions"), Pool()
    try:
        for unit in UNITS:
            work = partial(grade, units=[unit.name], pool=pool, seed=0)
            work(solutions)  # whatever is loaded once
            reference = _with_workers(partial(work, solutions), pool)
            ratios = [_with_workers(partial(work, degenerate(unit, kind)), pool) / reference for kind in KINDS]
            said = ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in zip(KINDS, ratios, strict=True))
            print(f"{unit.name}: reference {reference:.2f} CPU s; {said} times that (wanted: at most 2)", flush=True)
    finally:
        pool.close()


def _with_workers(work: Callable[[], object], pool: Pool) -> float:
    """CPU seconds of this process and of the pool's workers during `work`."""
    before = time.process_time() + pool.cpu_time()
    work()
    return time.process_time() + pool.cpu_time() - before


def _others(name: str, work: Callable[[], object], number: int, ours: float) -> None:
    seconds, cpu = _measure(work)
    each = cpu / number
    print(f"  {name}: {60 * number / seconds:.0f} a minute, {each:.2f} CPU s each, {each / ours:.1f} times ours")


def _run(command: list[str]) -> None:
    subprocess.run(command, cwd=KIT, check=True, stdout=subprocess.DEVNULL)


def _compare(
    one: str, do_one: Callable[[], object], other: str, do_other: Callable[[], object], bound: str = ""
) -> None:
    rounds = [(_measure(do_one), _measure(do_other)) for _ in range(ROUNDS)]
    wall = [statistics.median(times[0] for times in column) for column in zip(*rounds, strict=True)]
    cpu = [statistics.median(times[1] for times in column) for column in zip(*rounds, strict=True)]
    print(
        f"{one}: {wall[0]:.2f} s, {other}: {wall[1]:.2f} s; "
        f"ratio {wall[0] / wall[1]:.2f} wall, {cpu[0] / cpu[1]:.2f} CPU"
        + (f" (wanted: at most {bound})" if bound else ""),
        flush=True,
    )


def _measure(work: Callable[[], object]) -> tuple[float, float]:
    before, started = _cpu(), time.perf_counter()
    work()
    return time.perf_counter() - started, _cpu() - before


def _cpu() -> float:
    """CPU seconds of this process and of its children that have ended; a running zygote's are not among them."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
