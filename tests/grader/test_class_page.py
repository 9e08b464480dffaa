"""The page of a class: its figures, and what is kept out of them."""

import time

import pytest

from grader.curriculum import load
from grader.reports import class_page, learner_page, statistics
from grader.reports.text import number
from tests.grader.grades import (
    MISTAKES,
    a_class,
    check,
    exercise,
    failure,
    graded,
    one_check,
    unit,
    with_fault,
)
from tests.grader.markup import MADE, of_class


def test_a_class_page_has_its_parts():
    page = of_class(a_class(60))
    assert page.texts("h1") == ["Grades of 60 learners"]
    parts = ["Scores", "Units", "Exercises", "Commonest mistakes", "Slowest", "All learners"]
    assert page.texts("h2") == parts
    assert page.texts("p")[0] == "Made 2026-11-23 08:00 UTC. Kit: 1.2.3. Seeds: a fresh one for each learner."
    assert "2 grades do not count:" in page.texts(".notice")[0]
    rows = [text.count("%") for text in page.texts("table")[1:3]]
    assert rows == [2 * len(load()), 2 * sum(len(unit.exercises) for unit in load().values())]
    assert [text.count("learner-") for text in page.texts("table")[4:]] == [10, 60]


def test_faults_are_apart_and_in_no_figure():
    grades = a_class(40, seed=3)
    figures = of_class([one for one in grades if not one.faulty])
    everything = of_class([*grades, with_fault("zoe")])
    for part in range(4):
        assert everything.texts("table")[part] == figures.texts("table")[part]
    assert everything.texts(".score") == figures.texts(".score")
    assert "zoe" in everything.texts(".faulty")[0]
    assert everything.texts("td")[-1] == "! grader fault"


@pytest.mark.parametrize("grades", [[], [with_fault("ada")], [graded("ada", [])]], ids=["none", "faults", "nothing"])
def test_a_class_without_a_grade_that_counts_has_a_page(grades):
    assert of_class(grades).texts("h1") == [f"Grades of {len(grades)} learner{'s' if len(grades) != 1 else ''}"]


def test_learners_are_linked_and_their_notes_announced():
    page = of_class([one_check("ada", notes=["late"]), one_check("bob")], {"ada": "learners/a b.html"})
    assert page.attributes("href").count("./learners/a%20b.html") == 2
    assert "graded, with notes" in page.texts("td")


def test_what_cannot_be_compared_is_said():
    assert of_class([one_check("ada"), one_check("bob")]).texts(".notice") == []
    mixed = of_class([one_check("ada"), one_check("bob", kit="2.0", isolation="process")]).texts(".notice")
    assert mixed[0].startswith("2 different kits")
    assert mixed[1].startswith("1 submission ran unconfined")


def test_scores_fall_into_tenths_and_full_marks_into_the_last():
    counts = [one.count for one in statistics.distribution([0, 9.99, 10, 55, 89.999, 90, 100, 105, -1])]
    assert counts == [3, 1, 0, 0, 0, 1, 0, 0, 1, 3]


def test_the_hardest_comes_first():
    def one(name, hard, easy):
        done = [exercise("hard", [check("c", hard)]), exercise("easy", [check("c", easy)])]
        return graded(name, [unit("attention", done), unit("loss", [exercise("nll", [check("c")])])])

    grades = [one("a", "failed", "passed"), one("b", "todo", "passed"), one("c", "passed", "failed")]
    rates = statistics.exercise_rates(grades)
    assert [(r.exercise, r.passed, r.failed, r.todo, r.graded) for r in rates] == [
        ("hard", 1, 1, 1, 3),
        ("easy", 2, 1, 0, 3),
        ("nll", 3, 0, 0, 3),
    ]
    units = statistics.unit_rates(grades)
    assert [(r.unit, r.passed, r.failed, r.todo) for r in units] == [("Attention", 0, 2, 1), ("Loss", 3, 0, 0)]
    assert [number(r.points) for r in units] == ["50", "100"]


def test_a_mistake_counts_once_for_a_learner():
    def one(name, *mistakes):
        checks = [check(f"c{i}", "failed", failure(mistake=id), id) for i, id in enumerate(mistakes)]
        return graded(name, [unit("attention", [exercise("softmax", checks)])])

    grades = [one("a", "no-scaling", "no-scaling", "returns-zeros"), one("b", "no-scaling"), one("c")]
    found = statistics.common_mistakes(grades)
    assert [(m.id, m.count, m.sentence) for m in found] == [
        ("no-scaling", 2, MISTAKES["no-scaling"]),
        ("returns-zeros", 1, MISTAKES["returns-zeros"]),
    ]


def test_the_slowest_come_first():
    page = of_class([one_check("ada", seconds=1.0), one_check("bob", seconds=61.257)])
    assert page.texts("table")[-2].split()[-2:] == ["bob61.26", "ada1"]


def test_a_class_of_300_is_quick_and_small():
    grades = a_class(300)
    started = time.process_time()
    text = class_page(grades, **MADE, links={one.name: f"learners/{one.name}.html" for one in grades})
    assert time.process_time() - started < 1
    assert len(text) < 1_000_000
    assert len(learner_page(grades[0])) < 1_000_000
