"""A class graded by the command that an instructor types: fair, resumable, and the same however it is done."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from grader.curriculum.submission import KIT
from grader.sandbox.worker import confine
from tests.grader.classes import lay_out, learners

UNIT = "schedule"
CLASS = learners(UNIT, 16, seed=3)

pytestmark = pytest.mark.skipif(bool(confine.available()), reason="; ".join(confine.available()))


def command(class_, out, *options):
    return [sys.executable, "-m", "grader", "course", "grade", str(class_), "--out", str(out), "--unit", UNIT, *options]


def graded(class_, out, *options, code=0, env=None):
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(
        command(class_, out, *options),
        capture_output=True,
        text=True,
        cwd=KIT,
        timeout=300,
        check=False,
        env=environment,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def table(out):
    with (out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def scores(out):
    return {name: float(row["score"]) for name, row in table(out).items()}


def documents(out):
    """Every result without its times: what has to be the same in every run."""

    def timeless(value):
        if isinstance(value, dict):
            return {key: timeless(item) for key, item in value.items() if key != "seconds"}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    return {
        file.name: timeless(json.loads(file.read_text(encoding="utf-8"))) for file in (out / "results").glob("*.json")
    }


@pytest.fixture(scope="module")
def class_(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "submissions"
    lay_out(folder, CLASS)
    return folder


@pytest.fixture(scope="module")
def whole(class_, tmp_path_factory):
    out = tmp_path_factory.mktemp("grades") / "whole"
    return out, graded(class_, out, "--seed", "5", "--jobs", "2")


def test_everybody_gets_what_their_code_earns(whole):
    out, done = whole
    found = scores(out)
    assert set(found) == {learner.name for learner in CLASS}
    for learner in CLASS:
        assert learner.least <= found[learner.name] <= learner.most, learner.name
    assert done.stderr == ""
    assert f"{len(CLASS)}" in str(len(found))
    assert "grader faults" in done.stdout


def test_there_is_a_page_for_each_and_one_for_the_class(whole):
    out, _ = whole
    assert len(list((out / "learners").glob("*.html"))) == len(CLASS)
    page = (out / "class.html").read_text(encoding="utf-8")
    assert all(learner.name in page for learner in CLASS)
    assert "seed" in page.lower()


def test_a_second_run_grades_nothing_again_and_a_changed_submission_is(whole, class_, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "submissions"
    shutil.copytree(whole[0], out)
    shutil.copytree(class_, mine)
    assert f"{len(CLASS)} as before" in graded(mine, out).stdout
    changed = next(folder for folder in mine.iterdir() if folder.is_dir() and folder.name.startswith("right"))
    file = changed / "exercises" / f"{UNIT}.py"
    file.write_text(file.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    again = graded(mine, out).stdout
    assert f"{len(CLASS) - 1} as before" in again
    assert "1 passed" in again


def test_one_job_another_order_and_one_learner_alone_give_the_same(whole, class_, tmp_path):
    mine = tmp_path / "submissions"
    mine.mkdir()
    for path in sorted(class_.iterdir(), reverse=True):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, mine / path.name)
    graded(mine, tmp_path / "out", "--seed", "5", "--jobs", "1")
    assert documents(tmp_path / "out") == documents(whole[0])
    name = CLASS[0].name
    graded(mine, tmp_path / "alone", "--seed", "5", "--only", name)
    assert list(scores(tmp_path / "alone").items()) == [(name, scores(whole[0])[name])]


def test_killed_in_the_middle_it_goes_on_and_loses_nothing(whole, class_, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(command(class_, out, "--seed", "5", "--jobs", "2"), cwd=KIT, start_new_session=True)
    while len(list((out / "results").glob("*.json")) if out.exists() else []) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = len(list((out / "results").glob("*.json")))
    assert 3 <= before < len(CLASS)
    said = graded(class_, out).stdout
    assert f"{before} as before" in said
    assert documents(out) == documents(whole[0])


def test_ctrl_c_stops_and_says_how_to_go_on(class_, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(class_, out, "--jobs", "2"), cwd=KIT, start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    while not list((out / "results").glob("*.json")) if out.exists() else True:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Rerun the same command to resume" in " ".join(said.split())
    assert (out / "seed").exists()


def test_a_roster_gives_names_lateness_and_who_is_missing(whole, class_, tmp_path):
    right = next(path for path in sorted(class_.iterdir()) if path.name.startswith("right"))
    mine = tmp_path / "submissions"
    mine.mkdir()
    (shutil.copytree if right.is_dir() else shutil.copy)(right, mine / right.name)
    roster = tmp_path / "roster.csv"
    roster.write_text(f"name,file,days_late,attempt\nAda,{right.name},1.5,3\nBob,,,\n", encoding="utf-8")
    course = tmp_path / "course.toml"
    course.write_text(
        f'units = ["{UNIT}"]\nroster = "roster.csv"\n[late]\npercent_per_day = 10\n[attempts]\nfree = 2\npercent = 5\n',
        encoding="utf-8",
    )
    graded(mine, tmp_path / "out", "--course", str(course))
    found = table(tmp_path / "out")
    assert found["Ada"]["raw_score"] == found["Ada"]["max_score"]
    assert float(found["Ada"]["score"]) == 0.75 * float(found["Ada"]["raw_score"])
    assert "2 days late: -20 %" in found["Ada"]["notes"]
    assert float(found["Bob"]["score"]) == 0


def test_what_cannot_be_read_is_not_zero_and_is_said_everywhere(tmp_path):
    solution = (KIT / "solutions" / f"{UNIT}.py").read_text(encoding="utf-8")
    nested = f"f = {'lambda: ' * 600}0\nx = [0]\ng = {'[i for i in ' * 60}x{']' * 60}\n"
    (tmp_path / "in" / "empty").mkdir(parents=True)
    for name, content in {"ada.py": solution, "nested.py": nested + solution, "bob.zip": "PK", "cem.docx": "x"}.items():
        (tmp_path / "in" / name).write_text(content, encoding="utf-8")
    done = graded(tmp_path / "in", tmp_path / "out", code=4)
    assert "2 passed, 0 failed, 3 unreadable" in done.stdout
    assert "3 could not be read: bob, cem, empty." in done.stdout
    rows = table(tmp_path / "out")
    assert {name: row["status"] for name, row in rows.items()} == {
        "ada": "graded", "bob": "unreadable", "cem": "unreadable", "empty": "unreadable", "nested": "graded"
    }  # fmt: skip
    assert rows["bob"]["notes"].startswith("bob.zip is damaged or not an archive.")
    page = (tmp_path / "out" / "class.html").read_text(encoding="utf-8")
    assert "3 submissions could not be read" in page
    assert page.index("cem.docx is not something that can be graded") < page.index("Scores</h2>")
    assert "Nothing could be read" in (tmp_path / "out" / "learners" / "bob.html").read_text(encoding="utf-8")
    assert "as before" in graded(tmp_path / "in", tmp_path / "out", code=4).stdout


def test_a_course_secret_gives_each_their_own_seed_that_can_be_replayed(class_, tmp_path):
    names = [learner.name for learner in CLASS if learner.name.startswith(("right", "wrong"))][:2]
    only = ["--jobs", "1", *(part for name in names for part in ("--only", name))]
    graded(class_, tmp_path / "out", *only, env={"GRADER_SECRET": "spring"})
    first = {name: table(tmp_path / "out")[name]["seed"] for name in names}
    assert len(set(first.values())) == 2
    graded(class_, tmp_path / "again", *only, env={"GRADER_SECRET": "spring"})
    assert documents(tmp_path / "again") == documents(tmp_path / "out")
    assert not any(
        "spring" in file.read_text(encoding="utf-8") for file in (tmp_path / "out").rglob("*") if file.is_file()
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "nobody"], "no submission with that name"),
        (["--course", "/nowhere.toml"], "/nowhere.toml cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_with_words(class_, tmp_path, options, words):
    assert words in graded(class_, tmp_path / "out", *options, code=2).stderr


def test_two_runs_into_one_folder_do_not_mix(class_, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(command(class_, out), cwd=KIT, stdout=subprocess.DEVNULL, start_new_session=True)
    while not (out / ".lock").exists():
        time.sleep(0.01)
    try:
        assert "another run is writing" in graded(class_, out, code=2).stderr
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
