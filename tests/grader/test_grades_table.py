"""The grades of a class as CSV: what a spreadsheet, a script and an attacker find in it."""

import csv
import io
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.reports.table import BOM, grades_csv
from tests.grader.grades import HOSTILE, a_class, check, exercise, graded, one_check, unit, with_fault

FORMULA = re.compile("[\\s'\"]*[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r]")


def rows(text):
    return list(csv.DictReader(io.StringIO(text.removeprefix(BOM)), strict=True))


def row(*args, **rest):
    return rows(grades_csv([one_check(*args, **rest)]))[0]


def test_a_row_says_what_a_gradebook_needs():
    softmax = exercise("softmax", [check("a"), check("b", "failed", "wrong")])
    units = [unit("attention", [softmax, exercise("causal_mask", [check("c", "todo")])])]
    one = graded("Ada Łovelace", units, score=0.5, notes=["Handed in late.", "Half of it counts."], seed=7)
    assert rows(grades_csv([one])) == [
        {
            "name": "Ada Łovelace",
            "score": "0.5",
            "max_score": "3",
            "raw_score": "1",
            "percent": "16.67",
            "attention": "1",
            "attention.softmax": "1",
            "attention.causal_mask": "0",
            "status": "graded",
            "failed_exercises": "1",
            "todo_exercises": "1",
            "seed": "7",
            "isolation": "confined",
            "seconds": "4.5",
            "notes": "Handed in late. Half of it counts.",
        }
    ]


def test_a_fault_of_the_grader_is_no_grade():
    assert [one["status"] for one in rows(grades_csv([with_fault("ada"), one_check("bob")]))] == [
        "grader fault",
        "graded",
    ]


def test_units_stand_in_the_order_of_the_curriculum_whoever_comes_first():
    def only(name):
        return graded(name, [unit(name, [exercise("one", [check("a")])])])

    found = rows(grades_csv([only("strange"), only("model"), only("attention"), only("tokenizer")]))
    units = ["tokenizer", "attention", "model", "strange"]
    assert list(found[0])[5:13] == [column for name in units for column in (name, f"{name}.one")]
    assert [one["attention"] for one in found] == ["", "", "1", ""]


def test_no_grades_are_a_header():
    assert len(grades_csv([]).splitlines()) == 1


def test_it_begins_with_the_mark_that_excel_needs():
    assert grades_csv([one_check("Łukasz")]).encode().startswith(b"\xef\xbb\xbf")


def test_numbers_stay_numbers_and_text_is_quoted():
    line = grades_csv([one_check("007", status="passed")]).splitlines()[1]
    assert line.startswith('"007",1,1,1,100,1,1,"graded",0,0,1236350732,"confined",4.5,')


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", '"=1', "\" \t'=1", "\u3000\uff1d1", "|x"],
)
def test_a_formula_is_text(name):
    assert row(name)["name"].startswith("'")


@pytest.mark.parametrize("name", ["a;=1+1", 'a"; "=1+1', "a;\t@x"])
def test_a_formula_behind_the_other_separator_is_text(name):
    assert FORMULA.match(row(name)["name"].split(";")[1].replace("'", "x", 1)) is None


@pytest.mark.parametrize("name", ["Anne-Marie O'Neil", "ada@example.org", "3 + 4", "a; b", "مريم", 'the "one"', "a,b"])
def test_what_is_no_formula_stays_as_it_is(name):
    assert row(name)["name"] == name


def test_what_cannot_be_seen_or_written_is_spelled_out():
    name = row("a\0b\u202ec\ud800d\x1b[0m\ne")["name"]
    assert name == "a\\x00b\\u202ec\\ud800d\\x1b[0m e"


def test_a_cell_fits_into_a_spreadsheet():
    assert len(row(notes=["x" * 1_000_000])["notes"]) < 32_767


# Any name, made of what matters here more often than of anything else.
names = st.lists(st.one_of(st.sampled_from([*"=+-@;,\"'\t\r\n |\ufeff\u200b\uff1d", "\r\n", *HOSTILE]), st.text())).map(
    "".join
)


@given(names, names)
def test_no_text_leaves_its_cell_or_becomes_a_formula(name, note):
    text = grades_csv([one_check(name, notes=[note]), one_check("last")])
    text.encode()
    assert len(text.splitlines()) == 3
    found = rows(text)
    assert [one["score"] for one in found] == ["0", "0"]
    assert found[1]["name"] == "last"
    for cell in (found[0]["name"], found[0]["notes"]):
        assert FORMULA.match(cell.removeprefix("'")) is None or cell.startswith("'")
        # Where a semicolon separates, what follows one begins a cell.
        assert all(re.match('[\\s"]*[=+\\-@\uff1d\uff0b\uff0d\uff20]', part) is None for part in cell.split(";"))


def test_a_class_is_quick():
    grades = a_class(300)
    started = time.process_time()
    text = grades_csv(grades)
    assert time.process_time() - started < 1
    assert len(text.splitlines()) == 301
