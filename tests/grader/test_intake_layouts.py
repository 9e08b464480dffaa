"""What learning platforms export, and what people hand in: everybody is found, under the right name."""

import pytest

from grader.intake.collect import collect, single
from tests.grader.handed_in import SOFTMAX, notebook, write, zipped

OLD = "def softmax(x, dim):\n    return x\n"
SGD = "class SGD:\n    pass\n"


def packed(folder, files):
    """A zip with these files, as bytes."""
    raw = zipped(folder / "inner", files).read_bytes()
    (folder / "inner").unlink()
    return raw


EXPORTS = {
    "Moodle, folders": (
        {
            "Ada Lovelace_1234567_assignsubmission_file_/attention.py": SOFTMAX,
            "Ada Lovelace_1234567_assignsubmission_file_/src/optim.py": SGD,
            "Ada Lovelace_1234567_assignsubmission_onlinetext_/onlinetext.html": "<p>done</p>",
            "Jürgen Müller-Lüdenscheidt_1234568_assignsubmission_file_/Übung 3.py": SOFTMAX,
            "Max_1_assignsubmission_file_/abgabe.zip": "zip",
        },
        ["Ada Lovelace", "Jürgen Müller-Lüdenscheidt", "Max"],
    ),
    "Moodle, flat": (
        {
            "Ada Lovelace_1234567_assignsubmission_file_attention.py": SOFTMAX,
            "Ada Lovelace_1234567_assignsubmission_file_optim.py": SGD,
            "Ada Lovelace_1234567_assignsubmission_onlinetext_onlinetext.html": "<p>done</p>",
            "Bo_12_assignsubmission_file_my_final_attention.py": SOFTMAX,
        },
        ["Ada Lovelace", "Bo"],
    ),
    "Moodle, blind": (
        {
            "Participant_11_assignsubmission_file_/attention.py": SOFTMAX,
            "Participant_12_assignsubmission_file_/attention.py": SOFTMAX,
        },
        ["Participant (11)", "Participant (12)"],
    ),
    "Moodle, teams": (
        {
            "Group A_7_assignsubmission_file/attention.py": SOFTMAX,
            "Default group_assignsubmission_file_/attention.py": SOFTMAX,
        },
        ["Default group", "Group A"],
    ),
    "Canvas": (
        {
            "lovelaceada_LATE_1234_56789_attention.py": OLD,
            "lovelaceada_LATE_1234_56793_attention-1.py": OLD,
            "lovelaceada_LATE_1234_56795_attention-2.py": SOFTMAX,
            "lovelaceada_LATE_1234_56790_optim.py": SGD,
            "müllermax_1235_56791_homework_3_final.ipynb": "notebook",
            "oneillseán_1236_56792_abgabe.zip": "zip",
            "typistbob_1237_text.html": "<p>see my repository</p>",
        },
        ["lovelaceada", "müllermax", "oneillseán", "typistbob"],
    ),
    "Canvas, anonymous": (
        {"anon_x7Qab_56789_attention.py": SOFTMAX, "LATE_anon_k2Zcd_56790_attention.py": SOFTMAX},
        ["anon_k2Zcd", "anon_x7Qab"],
    ),
    "Blackboard": (
        {
            "Homework_1_alovelace_attempt_2026-09-01-10-11-12.txt": "Name: Ada Lovelace (alovelace)",
            "Homework_1_alovelace_attempt_2026-09-01-10-11-12_attention.py": OLD,
            "Homework_1_alovelace_attempt_2026-09-02-09-00-00.txt": "Name: Ada Lovelace (alovelace)",
            "Homework_1_alovelace_attempt_2026-09-02-09-00-00_attention.py": SOFTMAX,
            "Homework_1_alovelace_attempt_2026-09-02-09-00-00_optim.py": SGD,
            "Homework_1_m_muster_attempt_2026-09-01-10-11-13.txt": "Name: Max Muster (m_muster)",
            "Homework_1_m_muster_attempt_2026-09-01-10-11-13_abgabe.zip": "zip",
        },
        ["alovelace", "m_muster"],
    ),
    "Gradescope": (
        {
            "assignment_42_export/submission_metadata.yml": "---\nsubmission_100:\n  :submitters:\n"
            "  - :name: Ada Lovelace\n    :sid: '7'\n    :email: ada@x.edu\n  :results:\n    :name: nobody\n"
            "submission_101:\n  :submitters:\n  - :name: 'Seán O''Neill'\n    :email: sean@x.edu\n"
            '  - :name: "J\\xF6rg Ma\\u0142y"\n    :email: j@x.edu\n',
            "assignment_42_export/submission_100/attention.py": SOFTMAX,
            "assignment_42_export/submission_101/hw/solution.py": SOFTMAX,
        },
        ["Ada Lovelace", "Jörg Mały", "Seán O'Neill"],
    ),
    "Brightspace, flat": (
        {
            "index.html": "<html>",
            "12345-67890 - Ada Lovelace - Sep 1, 2026 1011 AM - attention.py": OLD,
            "12345-67890 - Ada Lovelace - Oct 1, 2026 911 AM - attention.py": SOFTMAX,
            "12346-67890 - Jean-Luc Picard - Sep 1, 2026 1205 PM - my - homework.py": SOFTMAX,
        },
        ["Ada Lovelace", "Jean-Luc Picard"],
    ),
    "Brightspace, folders": (
        {
            "index.html": "<html>",
            "12345-67890 - Ada Lovelace - Sep 1, 2026 1011 AM/attention.py": SOFTMAX,
            "12346-67890 - Bo - Sep 1, 2026 1205 PM/kit-main/exercises/attention.py": SOFTMAX,
        },
        ["Ada Lovelace", "Bo"],
    ),
    "Sakai": (
        {
            "Homework 1/grades.csv": "x",
            "Homework 1/Lovelace, Ada(alovelace)/Submission attachment(s)/attention.py": SOFTMAX,
            "Homework 1/Lovelace, Ada(alovelace)/Feedback Attachment(s)/attention.py": OLD,
            "Homework 1/Lovelace, Ada(alovelace)/timestamp.txt": "2026",
            "Homework 1/Muster, Max(mmuster)/Submission attachment(s)/abgabe.zip": "zip",
        },
        ["Lovelace, Ada", "Muster, Max"],
    ),
    "nbgrader": (
        {"ada/ps1/attention.ipynb": "notebook", "ada/ps1/timestamp.txt": "2026", "bob/ps1/problem.ipynb": "notebook"},
        ["ada", "bob"],
    ),
}


def laid_out(folder, files):
    made = folder / "made"
    made.mkdir()
    contents = {
        "zip": packed(made, {"Abgabe/attention.py": SOFTMAX}),
        "notebook": notebook(made / "n.ipynb", SOFTMAX).read_bytes(),
    }
    return {name: contents.get(text, text) for name, text in files.items()}


@pytest.mark.parametrize("kind", ["unpacked", "a zip", "a zip in a folder"])
@pytest.mark.parametrize(("files", "learners"), EXPORTS.values(), ids=EXPORTS)
def test_everybody_in_an_export_is_found(tmp_path, files, learners, kind):
    files = laid_out(tmp_path, files)
    (tmp_path / "in").mkdir()
    if kind == "unpacked":
        place = write(tmp_path / "in", files)
    else:
        place = zipped(tmp_path / "in" / "export.zip", files)
        if kind != "a zip" and "ada/ps1/timestamp.txt" not in files:  # which might be one learner's archive
            place = place.parent
    entries = collect(place)
    assert sorted(entry.name for entry in entries) == learners
    for entry in entries:
        submission = entry.read()
        if entry.name == "typistbob":
            assert submission.status == "unreadable"
            assert "There is no file, only typistbob_1237_text.html." in submission.problem
        else:
            assert submission.problem == ""
            assert submission.file("attention").text.strip() == SOFTMAX.strip(), entry.name
            assert submission.file("attention").problem == ""


@pytest.mark.parametrize("export", ["Moodle, flat", "Moodle, folders", "Canvas", "Blackboard"])
def test_several_files_of_one_learner_are_one_submission(tmp_path, export):
    files = laid_out(tmp_path, EXPORTS[export][0])
    entry = next(entry for entry in collect(write(tmp_path / "in", files)) if "ovelace" in entry.name)
    assert {"attention", "optim"} <= entry.read().files.keys()


@pytest.mark.parametrize("export", ["Canvas", "Blackboard", "Brightspace, flat"])
def test_earlier_attempts_are_listed(tmp_path, export):
    files = laid_out(tmp_path, EXPORTS[export][0])
    entry = next(entry for entry in collect(write(tmp_path / "in", files)) if "ovelace" in entry.name)
    assert entry.read().notes[0].startswith("Not graded, because a later attempt replaces it: ")
    assert "attention.py" in entry.read().notes[0]


@pytest.mark.parametrize(
    ("export", "lines"),
    [
        ("Moodle, flat", ["name", "Ada Lovelace", "Bo"]),
        ("Canvas", ["name,id", "Ada Lovelace,1", "Max Müller,2", "Seán O'Neill,3", "Bob Typist,4"]),
        ("Blackboard", ["name,username", "Ada Lovelace,alovelace", "Max Muster,m_muster"]),
        ("Gradescope", ["name,email", "Lovelace Ada,ada@x.edu", "Sean,sean@x.edu", "Jörg Mały,"]),
        ("Brightspace, flat", ["student;days_late", "Ada Lovelace;1", "Jean-Luc Picard;"]),
        ("Sakai", ["name", "Ada Lovelace", "Max Muster"]),
        ("Moodle, flat", [
            "name,file",
            "Ada,Ada Lovelace_1234567_assignsubmission_file_attention.py",
            "Ada,Ada Lovelace_1234567_assignsubmission_file_optim.py",
            "Bo,Bo_12_assignsubmission_file_my_final_attention.py",
        ]),
    ],
)  # fmt: skip
def test_a_roster_knows_them_by_the_names_that_people_have(tmp_path, export, lines):
    folder = write(tmp_path / "in", laid_out(tmp_path, EXPORTS[export][0]))
    (tmp_path / "roster.csv").write_text("\n".join([*lines, "Nobody" + lines[0].count(",") * ","]) + "\n")
    entries = collect(folder, tmp_path / "roster.csv")
    wanted = list(dict.fromkeys(line.replace(";", ",").partition(",")[0] for line in lines[1:]))
    assert [entry.name for entry in entries] == [*wanted, "Nobody"]
    assert [entry.name for entry in entries if entry.missing] == ["Nobody"]
    assert entries[-1].read().status == "missing"


@pytest.mark.parametrize(
    "path",
    [
        "attention (2).py",
        "my-attention.py",
        "12_attention.py",
        "Übung 3.py",
        "ATTENTION.PY",
        "kit-main/homework/exercises/attention.py",
        "repo/src/attention.py",
        "a/b/c/d/e/f/homework final.py",
        "src/my package/Attention.py",
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip", "nested"])
def test_a_unit_is_found_whatever_its_file_is_called(tmp_path, path, kind):
    place = tmp_path / "ada"
    if kind == "folder":
        write(place, {path: SOFTMAX})
    else:
        raw = packed(tmp_path, {path: SOFTMAX})
        place = zipped(tmp_path / "ada.zip", {"upload.zip": raw} if kind == "nested" else {path: SOFTMAX})
    submission = single(place).read()
    assert submission.name == "ada"
    assert submission.file("attention").text.strip() == SOFTMAX.strip()
    assert submission.file("attention").problem == ""


def test_a_copy_of_the_kit_is_not_graded_on_what_was_handed_out(tmp_path):
    stub = "def softmax(x, dim):\n    raise NotImplementedError('attention.softmax is still a stub')\n"
    kit = {"kit-main/exercises/attention.py": stub, "kit-main/solutions/attention.py": SOFTMAX}
    kit |= {f"kit-main/tests/alternatives/{index}.py": SOFTMAX for index in range(300)}
    submission = single(write(tmp_path / "ada", kit)).read()
    assert submission.file("attention").is_stub("softmax")
    assert "homework" not in submission.files


def test_what_was_chosen_and_what_was_left_out_is_said(tmp_path):
    notebook(tmp_path / "week 1.ipynb", SOFTMAX)
    write(tmp_path, {"attention (2).py": SOFTMAX + "#", "report.pdf": "x", "plots.py": "import seaborn\n"})
    assert single(tmp_path).read().notes == (
        "attention was found in attention (2).py.",
        "attention is also in week 1.ipynb; attention (2).py was graded.",
        "Not graded: week 1.ipynb, report.pdf.",
    )


def test_several_notebooks_are_read_together(tmp_path):
    notebook(tmp_path / "week1.ipynb", SOFTMAX)
    notebook(tmp_path / "week2.ipynb", SGD)
    submission = single(tmp_path).read()
    assert {"attention", "optim"} <= submission.files.keys()
    assert not any(file.problem for file in submission.files.values())


def test_companions_are_nobody(tmp_path):
    write(tmp_path, {"ada.py": SOFTMAX, "ada.txt": "late", "grades.csv": "", "index.html": "", "README.txt": "x"})
    assert [entry.name for entry in collect(tmp_path)] == ["ada"]


def test_a_text_by_itself_is_somebody_whose_work_cannot_be_read(tmp_path):
    write(tmp_path, {"ada.py": SOFTMAX, "bob.txt": SOFTMAX})
    ada, bob = collect(tmp_path)
    assert (ada.read().status, bob.read().status) == ("read", "unreadable")
    assert bob.read().problem.startswith("bob.txt is not something that can be graded. Hand in")
