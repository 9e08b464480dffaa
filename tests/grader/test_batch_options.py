"""What decides a grade, and what is taken off it."""

import pytest

from grader.course.options import Options, Penalties

BASE = Options(("attention", "loss"), 7)


def test_with_a_secret_everybody_has_a_seed_of_their_own_that_comes_again():
    options = Options(("loss",), 7, "course secret")
    seeds = {options.seed_of(f"learner {i}") for i in range(300)}
    assert len(seeds) == 300
    assert all(0 <= seed < 1 << 31 for seed in seeds)
    assert options.seed_of("ada") == Options(("attention",), 8, "course secret").seed_of("ada")
    assert options.seed_of("ada") != Options(("loss",), 7, "another").seed_of("ada")


def test_without_a_secret_everybody_has_the_same_seed():
    assert {BASE.seed_of(name) for name in ("ada", "bob")} == {7}


@pytest.mark.parametrize(
    "other",
    [
        (Options(("attention",), 7), "ada", "sub", "kit"),
        (Options(BASE.units, 8), "ada", "sub", "kit"),
        (Options(BASE.units, 7, confined=False), "ada", "sub", "kit"),
        (Options(BASE.units, 7, submission_seconds=1.0), "ada", "sub", "kit"),
        (Options(BASE.units, 7, "secret"), "ada", "sub", "kit"),
        (BASE, "ada", "other", "kit"),
        (BASE, "ada", "sub", "other"),
    ],
)
def test_whatever_changes_a_grade_changes_its_key(other):
    options, *facts = other
    assert options.key(*facts) != BASE.key("ada", "sub", "kit")


def test_a_key_does_not_hold_the_secret_and_is_the_same_again():
    assert BASE.key("ada", "sub", "kit") == Options(BASE.units, 7).key("ada", "sub", "kit")
    # Two secrets that give a learner the same seed give the same grade.
    options = Options(BASE.units, 7, "secret")
    assert options.key("ada", "sub", "kit") == Options(BASE.units, options.seed_of("ada")).key("ada", "sub", "kit")


@pytest.mark.parametrize(
    ("penalties", "days", "attempt", "score", "words"),
    [
        (Penalties(), 9, 9, 50.0, ()),
        (Penalties(late_percent=10), 0, 1, 50.0, ()),
        (Penalties(late_percent=10), 0.01, 1, 45.0, ("1 day late: -10 %",)),
        (Penalties(late_percent=10), 2.5, 1, 35.0, ("3 days late: -30 %",)),
        (Penalties(late_percent=10, late_most=25), 9, 1, 37.5, ("9 days late: -25 %",)),
        (Penalties(late_percent=30), 9, 1, 0.0, ("9 days late: -100 %",)),
        (Penalties(attempts=2, attempt_percent=20), 0, 2, 50.0, ()),
        (Penalties(attempts=2, attempt_percent=20), 0, 3, 40.0, ("attempt 3 (2 are free): -20 %",)),
        (Penalties(60, 100, 1, 60), 1, 2, 0.0, ("1 day late: -60 %", "attempt 2 (1 is free): -60 %")),
    ],
)  # fmt: skip
def test_penalties_take_off_percents_of_the_raw_score_and_say_so(penalties, days, attempt, score, words):
    assert penalties.apply(50.0, days, attempt) == (score, words)
