"""A learner's page: the score, what it is made of, and what to do next."""

import pytest

from grader.reports import learner_page
from grader.reports.page import repeat_command
from tests.grader.grades import (
    MISTAKES,
    check,
    exercise,
    failure,
    graded,
    one_check,
    unit,
    whole,
    with_fault,
)
from tests.grader.markup import Page, of_failures, of_learner


def test_a_learner_reads_score_units_and_what_is_next():
    softmax = exercise("softmax", [check("a"), check("b", "failed", failure())])
    mask = exercise("causal_mask", [check("c", "todo", "attention.causal_mask is still a stub")])
    page = Page(learner_page(graded("Ada", [unit("attention", [softmax, mask])], score=0.5, notes=["1 day late."])))
    assert page.texts("h1") == ["Ada"]
    assert page.texts(".score") == ["0.5 of 3 points (16.67 %)"]
    assert "The checks gave 1 point, of which 0.5 count." in page.texts("p")
    assert [" ".join(text.split()) for text in page.texts("li")] == [
        "1 day late.",
        "Attention, 1 point: causal_mask",
        "✓ passed does a 1 of 1",
        "✗ failed does b 0 of 1",
        "○ todo does c 0 of 1",
    ]
    assert page.texts("td") == ["1 of 3", "0 of 2"]
    assert page.texts("h2") == ["Units", "Still to do", "Attention: 1 of 3 points", "How this was graded"]
    assert [" ".join(text.split()) for text in page.texts("h3")] == [
        "softmax ✗ failed 1 of 2 points",
        "causal_mask ○ todo 0 of 1 points",
    ]
    assert page.texts(".message") == [failure()]


def test_a_score_without_penalties_is_said_once():
    assert "The checks gave" not in learner_page(one_check())


def test_the_known_mistake_is_marked():
    message = failure(mistake="no-scaling")
    assert of_learner("ada", message, "no-scaling").texts("mark") == [f"Known mistake: {MISTAKES['no-scaling']}\n"]


def test_the_learners_own_words_are_not_marked_as_a_known_mistake():
    assert of_learner("ada", "Known mistake: none, I am right").texts("mark") == []
    message = "raised ValueError: oh\nKnown mistake: of the grader\n  Known mistake: yours\n  file.py:3"
    assert of_learner("ada", message, "no-scaling").texts("mark") == ["Known mistake: yours\n"]


def test_what_many_checks_say_is_said_once():
    page = of_failures(*(failure(f"softmax(x=({i},))", "no-scaling") for i in range(5)), mistake="no-scaling")
    assert len(page.texts(".message")) == 1
    assert "4 more checks say the same" in page.texts(".finding")[0]


def test_three_findings_are_shown_and_the_rest_is_folded():
    page = of_failures(*(f"wrong {i}" for i in range(5)))
    assert page.texts(".message") == [f"wrong {i}" for i in range(5)]
    assert [text for text in page.texts(".message") if text in page.texts("details")[0]] == ["wrong 3", "wrong 4"]
    assert page.texts("summary") == ["2 more"]


def test_every_status_is_a_word_and_a_sign():
    checks = [check(status, status, "words") for status in ("passed", "failed", "todo", "error")]
    page = Page(learner_page(graded("ada", [unit("attention", [exercise(c.check, [c]) for c in checks])])))
    words = ["✓ passed", "✗ failed", "○ todo", "! grader fault"]
    assert page.texts(".status") == [word for word in words for _ in ("the exercise", "its criterion")]


def test_a_fault_of_the_grader_is_said_first():
    page = Page(learner_page(with_fault("ada")))
    assert "This grade does not count. The grader itself failed in 1 check:" in page.texts(".notice")[0]
    assert "worker could not be started" in page.texts(".message")[0]
    assert of_learner("ada").texts(".notice") == []


def test_a_grading_can_be_repeated_as_it_says():
    assert repeat_command(one_check(seed=7).results) == "grader grade PATH --seed 7 --unit attention"
    assert repeat_command(whole("ada", 3, 0.5).results) == "grader grade PATH --seed 3"
    odd = graded("ada", [unit("a b; rm", [])])
    assert repeat_command(odd.results) == "grader grade PATH --seed 1236350732 --unit 'a b; rm'"
    assert of_learner("ada", seed=7).texts(".command") == ["grader grade PATH --seed 7 --unit attention"]


@pytest.mark.parametrize(
    ("isolation", "words"),
    [("confined", "in confined workers"), ("process", "without confinement"), ("none", "without isolation")],
)
def test_where_it_ran_is_said(isolation, words):
    assert words in of_learner("ada", isolation=isolation).texts("p")[-1]


def test_the_way_back_is_there_only_in_a_class():
    assert 'href="./../index.html"' in learner_page(one_check(), class_page="../index.html")
    assert "All learners" not in learner_page(one_check())
