"""What a class's grades say together: how the scores lie, what is hard, and which mistakes are common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grader.curriculum.outcome import KNOWN_MISTAKE, Status
from grader.reports.graded import Graded
from grader.reports.page import split_at_mistake, title
from grader.reports.text import cut, percent

BINS = 10
Outcomes = list[tuple[Status, float, float]]


@dataclass(frozen=True)
class Bin:
    """Learners whose score lies between two percentages; the last bin holds full marks, too."""

    low: int
    high: int
    count: int


@dataclass(frozen=True)
class Rate:
    """How a class did in a unit, or in an exercise.

    Args:
        unit: The unit's title.
        exercise: The exercise; empty for the whole unit.
        graded: Learners who were graded in it.
        passed: Of these, how many got it all right.
        failed: How many got something wrong.
        todo: How many left some of it and got nothing wrong.
        points: Mean share of the points, in percent.
    """

    unit: str
    exercise: str
    graded: int
    passed: int
    failed: int
    todo: int
    points: float

    @property
    def percent(self) -> float:
        """Share of those who got it all right."""
        return percent(self.passed, self.graded)


@dataclass(frozen=True)
class CommonMistake:
    """A known mistake and how many learners made it."""

    unit: str
    id: str
    sentence: str
    count: int
    percent: float


def distribution(percentages: Iterable[float]) -> list[Bin]:
    """How many scores lie in each tenth."""
    width = 100 // BINS
    found = Counter(min(max(int(share // width), 0), BINS - 1) for share in percentages)
    return [Bin(width * index, width * (index + 1), found[index]) for index in range(BINS)]


def unit_rates(grades: Sequence[Graded]) -> list[Rate]:
    """A rate a unit, the hardest first."""
    found: dict[str, Outcomes] = {}
    for graded in grades:
        for unit in graded.results.units:
            worst = _worst(exercise.status for exercise in unit.exercises)
            found.setdefault(unit.unit, []).append((worst, unit.score, unit.max_score))
    return _hardest_first(_rate(title(unit), "", outcomes) for unit, outcomes in found.items())


def exercise_rates(grades: Sequence[Graded]) -> list[Rate]:
    """A rate an exercise, the hardest first."""
    found: dict[tuple[str, str], Outcomes] = {}
    for graded in grades:
        for unit in graded.results.units:
            for exercise in unit.exercises:
                outcome = (exercise.status, exercise.score, exercise.max_score)
                found.setdefault((unit.unit, exercise.exercise), []).append(outcome)
    return _hardest_first(_rate(title(unit), exercise, outcomes) for (unit, exercise), outcomes in found.items())


def common_mistakes(grades: Sequence[Graded]) -> list[CommonMistake]:
    """Known mistakes, the commonest first. A learner counts once, in however many checks it showed."""
    learners: Counter[tuple[str, str]] = Counter()
    said: dict[tuple[str, str], Counter[str]] = {}
    for graded in grades:
        own = _own_mistakes(graded)
        learners.update(own.keys())
        for mistake, sentence in own.items():
            said.setdefault(mistake, Counter())[sentence] += 1
    return [
        CommonMistake(title(unit), id, said[unit, id].most_common(1)[0][0], count, percent(count, len(grades)))
        for (unit, id), count in learners.most_common()
    ]


def _own_mistakes(graded: Graded) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for unit in graded.results.units:
        for exercise in unit.exercises:
            for check in exercise.checks:
                if check.mistake and (unit.unit, check.mistake) not in found:
                    line = split_at_mistake(check)[1].strip()
                    found[unit.unit, check.mistake] = cut(line.removeprefix(KNOWN_MISTAKE), 400)
    return found


def _worst(statuses: Iterable[Status]) -> Status:
    found = set(statuses)
    order: tuple[Status, ...] = ("error", "failed", "todo")
    return next((status for status in order if status in found), "passed")


def _rate(unit: str, exercise: str, outcomes: Outcomes) -> Rate:
    found = Counter(status for status, _, _ in outcomes)
    points = sum(percent(score, max_score) for _, score, max_score in outcomes) / len(outcomes)
    return Rate(unit, exercise, len(outcomes), found["passed"], found["failed"], found["todo"], points)


def _hardest_first(rates: Iterable[Rate]) -> list[Rate]:
    return sorted(rates, key=lambda rate: (rate.percent, rate.points))
