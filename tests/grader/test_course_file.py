"""`course.toml`: what it says decides the grades; what it cannot mean is refused in a sentence."""

import pytest

from grader.course.course_file import read
from grader.course.options import Penalties
from grader.curriculum import load


@pytest.fixture
def course(tmp_path):
    def write(text):
        file = tmp_path / "course.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_an_empty_file_is_a_course_of_all_units_without_penalties(course):
    found = read(course(""))
    assert found.units == list(load())
    assert (found.seed, found.roster, found.penalties) == (None, None, Penalties())


def test_each_setting_is_read(course):
    found = read(
        course(
            'units = ["block", "attention"]\nseed = 7\nroster = "list.csv"\n'
            "[late]\npercent_per_day = 10\nmost_percent = 50.5\n[attempts]\nfree = 2\npercent = 5\n"
        )
    )
    assert (found.units, found.seed, found.roster) == (["block", "attention"], 7, "list.csv")
    assert found.penalties == Penalties(late_percent=10, late_most=50.5, attempts=2, attempt_percent=5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("units = [", "course.toml is not valid TOML: "),
        ('units = ["atention"]', "course.toml: there is no unit 'atention'. Did you mean attention?"),
        ("units = []", "course.toml: units: list should have at least 1 item"),
        ("unit = []", "course.toml: there is no setting 'unit'. Did you mean units?"),
        ("zzz = 1", "there is no setting 'zzz'. Settings: units, seed, roster, late, attempts"),
        ("[late]\nper_day = 3", "there is no setting 'late.per_day'. Did you mean percent_per_day?"),
        ("[late]\npercent_per_day = 120", "late.percent_per_day: input should be less than or equal to 100, got 120"),
        ("[late]\npercent_per_day = -1", "late.percent_per_day: input should be greater than or equal to 0, got -1"),
        ("[attempts]\nfree = 0", "attempts.free: input should be greater than or equal to 1, got 0"),
        ('seed = "7"', "seed: input should be a valid integer, got '7'"),
        ("late = 3", "late: input should be a valid dictionary or instance of Late, got 3"),
    ],
)
def test_what_cannot_be_meant_is_refused(course, text, sentence):
    with pytest.raises(ValueError, match="course") as refused:
        read(course(text))
    assert sentence in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path / "course.toml")
