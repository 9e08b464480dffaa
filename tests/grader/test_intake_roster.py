"""A roster says who handed in what; whatever does not fit is said before anything is graded."""

import pytest

from grader.intake.collect import collect
from tests.grader.handed_in import SOFTMAX, names, write, zipped


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "in", {"b/attention.py": SOFTMAX, "c.py": SOFTMAX})
    zipped(tmp_path / "in" / "a.zip", {"attention.py": SOFTMAX})
    return tmp_path / "in"


def roster(folder, text):
    file = folder.parent / "roster.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return collect(folder, file)


@pytest.mark.parametrize(
    "text",
    [
        "name,file\nAda,a.zip\nBob,b\nCem,c.py\n",
        "Name , FILE\r\nAda,./a.zip\r\nBob,b/\r\n\r\nCem,c.py\r\n",
        "\ufefflearner;submission\nAda;a.zip\nBob;b\nCem;c.py\n",
        'student\tpath\n"Ada"\ta.zip\nBob\tb\nCem\tc.py',
        "file,section,id\na,1,Ada\nb,,Bob\nc,,Cem\n,,\n",
    ],
    ids=["plain", "untidy", "semicolons and a mark", "tabs", "other columns, no endings"],
)
def test_columns_are_found_by_name(folder, text):
    entries = roster(folder, text)
    assert [(entry.name, *entry.labels) for entry in entries] == [("Ada", "a.zip"), ("Bob", "b"), ("Cem", "c.py")]
    assert all(entry.read().name == entry.name and not entry.read().problem for entry in entries)


def test_late_and_attempt_are_handed_on_as_they_stand(folder):
    entries = roster(folder, "name,file,days_late,attempt\nAda,a,1.5,2\nBob,b,,\nCem,c,yes,3\n")
    assert [(entry.late, entry.attempt) for entry in entries] == [("1.5", "2"), ("", ""), ("yes", "3")]


def test_a_learner_without_a_file_is_not_lost(folder):
    entries = roster(folder, "name,file\nAda,a\nBob,b\nCem,c\nDan,\nEve,eve.zip\n")
    assert [entry.name for entry in entries] == ["Ada", "Bob", "Cem", "Dan", "Eve"]
    for entry in entries[3:]:
        assert entry.missing
        assert entry.read().problem == "Nothing was handed in."
        assert entry.read().name == entry.name


def test_nobody_without_a_file_gets_that_of_a_namesake(folder):
    entries = roster(folder, "name,file\nb,\nBob,b\nAda,a\nCem,c\n")
    assert entries[0].read().problem == "Nothing was handed in."


def test_a_list_of_names_alone_is_enough(folder):
    assert [entry.missing for entry in roster(folder, "id\na\nb\nc\nd\n")] == [False, False, False, True]


def test_the_roster_may_lie_among_the_submissions(folder):
    (folder / "roster.csv").write_text("name\na\nb\nc\n")
    assert names(folder, folder / "roster.csv") == ["a", "b", "c"]


def test_an_accent_is_the_same_however_it_is_spelt(tmp_path):
    write(tmp_path / "in", {"Zoe\u0301/attention.py": SOFTMAX})
    entries = roster(tmp_path / "in", "name\nZo\u00e9\n")
    assert [(entry.name, entry.missing) for entry in entries] == [("Zo\u00e9", False)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,file\nAda,a\nBob,b\n", r"roster\.csv does not name c\.py\. Add a line for each, or move them out of"),
        ("name,file\nAda,a\nBob,a\nCem,c\n", r"roster\.csv line 3: 'a' is in line 2 already"),
        ("name,file\nAda,a\nBob,a.zip\nCem,c\n", r"roster\.csv line 3: 'a\.zip' is given to 'Ada' already"),
        ("name,file\nAda,a\n,b\n", r"roster\.csv line 3 names nobody in its column name"),
        ("who,file\nAda,a\n", r"no column name, learner, student or id; its first line says who, file"),
        ("", r"no column name, learner, student or id; its first line says nothing"),
        ('name,file\nAda,"a\n', r"roster\.csv line 1 is not CSV: unexpected end of data"),
        (b"name,file\nZo\xeb,a\n", r"roster\.csv is not UTF-8\. Save it as CSV UTF-8"),
        ("name\na\nb\nc\n".encode("utf-16"), r"roster\.csv is not UTF-8\. Save it as CSV UTF-8"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_line(folder, text, words):
    with pytest.raises(ValueError, match=words):
        roster(folder, text)


def test_a_cell_that_may_be_two_entries_is_not_guessed(folder):
    write(folder, {"c.zip": b""})
    with pytest.raises(ValueError, match=r"roster\.csv line 4: 'c' may be c\.py and c\.zip\. Write it with its ending"):
        roster(folder, "name,file\nAda,a\nBob,b\nCem,c\n")


def test_a_roster_that_is_not_there_is_a_sentence(folder):
    with pytest.raises(ValueError, match=r"gone\.csv cannot be read: No such file or directory\."):
        collect(folder, folder / "gone.csv")


def test_a_learner_with_two_lines_has_two_files(folder):
    write(folder, {"b/attention.py": "", "b/optim.py": "class SGD:\n    pass\n"})
    ada, cem = roster(folder, "name,file\nAda,a\nAda,b\nCem,c\n")
    assert ada.labels == ("a.zip", "b")
    assert {"attention", "optim"} <= ada.read().files.keys()
    assert ada.read().file("attention").text == SOFTMAX
    assert cem.name == "Cem"


def test_of_two_attempts_the_later_line_counts_and_the_earlier_is_named(folder):
    ada, _ = roster(folder, "name,file,attempt\nAda,a,2\nAda,b,10\nCem,c,1\n")
    assert ada.labels == ("b",)
    assert ada.attempt == "10"
    assert ada.notes == ("Not graded, because a later attempt replaces it: a.zip.",)
