"""A class to be graded: right in different ways, wrong in known ways, partial, broken, hostile; what each may get."""

from __future__ import annotations

import importlib
import itertools
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.checking.mistakes import known_alternatives, known_mistakes
from grader.curriculum import load
from grader.curriculum.stubs import make
from grader.curriculum.submission import KIT
from tests.grader.test_attacks import FAMILIES


@dataclass(frozen=True)
class Learner:
    """One submission, and what it may earn.

    Args:
        name: The learner.
        files: Path in the submission to contents.
        least: Points that it must get.
        most: Points that it may get.
    """

    name: str
    files: dict[str, bytes]
    least: float
    most: float


def learners(unit: str, number: int, seed: int = 0) -> list[Learner]:
    """So many submissions of a unit, of every kind, the same for the same seed."""
    kinds = [_right(unit), _wrong(unit, seed), _partial(unit), _broken(unit), _hostile(unit, seed)]
    found = list(itertools.islice(_in_turns(kinds), number))
    random.Random(seed).shuffle(found)
    return found


def _in_turns(kinds: list[Iterator[Learner]]) -> Iterator[Learner]:
    running = list(kinds)
    while running:
        for kind in list(running):
            if (one := next(kind, None)) is None:
                running.remove(kind)
            else:
                yield one


def _solution(unit: str) -> str:
    return (KIT / "solutions" / f"{unit}.py").read_text(encoding="utf-8")


def _file(unit: str, text: str | bytes) -> dict[str, bytes]:
    return {f"exercises/{unit}.py": text.encode() if isinstance(text, str) else text}


def _right(unit: str) -> Iterator[Learner]:
    full = load()[unit].points
    yield Learner("right", _file(unit, _solution(unit)), full, full)
    for alternative in known_alternatives(unit):
        yield Learner(f"right {alternative.name}", _file(unit, alternative.apply(_solution(unit))), full, full)


def _wrong(unit: str, seed: int) -> Iterator[Learner]:
    full = load()[unit].points
    mistakes = list(known_mistakes(unit))
    random.Random(seed).shuffle(mistakes)
    for mistake in mistakes:
        points = load()[unit].exercise(mistake.exercise).points
        text = mistake.apply(_solution(unit))
        # A mistake costs points of its own exercise only, and a criterion at least.
        yield Learner(f"wrong {mistake.id}", _file(unit, text), full - points, full - 1)


def _partial(unit: str) -> Iterator[Learner]:
    """The first exercises only: the rest are stubs."""
    stub = make(load()[unit], _solution(unit))
    names = [exercise.name for exercise in load()[unit].exercises]
    for count in range(len(names)):
        done = _solution(unit)
        for name in names[count:]:
            done += (
                f'\n\ndef {name}(*args, **kwargs):\n    raise NotImplementedError("{unit}.{name} is still a stub")\n'
            )
        points = float(sum(exercise.points for exercise in load()[unit].exercises[:count]))
        yield Learner(f"partial {count}", _file(unit, done if count else stub), points, points)


def _broken(unit: str) -> Iterator[Learner]:
    text = _solution(unit)
    for name, content in {
        "empty": b"",
        "no python": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "half a file": text[: len(text) // 2].encode() + b"\n    (",
        "another encoding": text.replace("Args", "Årgs").encode("latin-1"),
        "raises when imported": (text + "\nraise RuntimeError('not yet')\n").encode(),
        "exits when imported": (text + "\nimport sys; sys.exit(0)\n").encode(),
        "imports what is not there": ("import nowhere_to_be_found\n" + text).encode(),
        "never ends": (text + "\nwhile True: pass\n").encode(),
    }.items():
        yield Learner(f"broken {name}", _file(unit, content), 0, 0)
    full = load()[unit].points  # what it defines says which unit it is
    yield Learner("right with another name", {"exercises/mine.py": text.encode()}, full, full)


def _hostile(unit: str, seed: int) -> Iterator[Learner]:
    attacks = [a for family in FAMILIES for a in importlib.import_module(f"tests.grader.attacks.{family}").ATTACKS]
    random.Random(seed).shuffle(attacks)
    full = load()[unit].points
    for attack in attacks:
        if attack.unit == unit:
            most = full if attack.earns != "nothing" else full - load()[unit].exercise(attack.exercise).points
            raw = attack.text(_solution(unit)).replace(b"KIT", str(KIT).encode())
            yield Learner(f"hostile {attack.id}", {**_file(unit, raw), **dict(attack.files)}, 0, most)


def lay_out(folder: Path, class_: list[Learner]) -> None:
    """Write the submissions as they come in: folders and zips in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, learner in enumerate(class_):
        if number % 2:
            with zipfile.ZipFile(folder / f"{learner.name}.zip", "w") as archive:
                for path, content in learner.files.items():
                    archive.writestr(path, content)
        else:
            for path, content in learner.files.items():
                (folder / learner.name / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / learner.name / path).write_bytes(content)
