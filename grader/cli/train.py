"""`grader train`: the target's own stack on real text; grader/training/ is the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grader.cli import terminal
from grader.cli.terminal import console


def add_commands(app: typer.Typer) -> None:
    """Give the command line its command `train`."""
    app.command()(train)


def train(
    target: Annotated[str, typer.Option(help="exercises, solutions, or a folder")] = "exercises",
    text: Annotated[Path | None, typer.Option(help="Text file to train on; else Python's manual.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of updates; the same as --set steps=N.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. An existing run is resumed.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Such as d_model=256; may be given several times."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:1; the GPU, if there is one, if not given.")
    ] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Use bfloat16 for matrix products.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the model with torch.compile.")] = False,
) -> None:
    """Train everything you wrote on real text, and read what it writes. Rerun to resume."""
    from grader.training import settings as known

    with terminal.usage_errors():
        changes = known.read([*(settings or ()), *([f"steps={steps}"] if steps else ())])
        from grader.cli import training_run
        from grader.training.loading import Fault  # imports torch: wrong usage is reported first

        try:
            done = training_run.train(target, text, name, changes, device, bf16, compiled, console)
        except Fault as fault:
            terminal.stop(str(fault), 1)
    raise typer.Exit(0 if done else 1)
