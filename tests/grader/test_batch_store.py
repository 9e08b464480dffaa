"""Results on disk: whole or not there, each name its own file, one run at a time."""

import json

import pytest

from grader.course.store import Busy, Store
from grader.course.work import Answer
from grader.curriculum.submission import Submission
from grader.grading.grade import faulted
from grader.grading.results import to_json

DOCUMENT = to_json(faulted(Submission("ada", {}), ["schedule"], 3, "test"))


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "grades")
    with store.locked():
        pass
    return store


def test_what_was_saved_is_found_by_its_key_and_read_again(store):
    store.save(Answer("ada", "key 1", DOCUMENT))
    assert store.find("ada", "key 1")
    assert not store.find("ada", "key 2")
    assert not store.find("bob", "key 1")
    assert to_json(store.results("ada")) == DOCUMENT
    facts = json.loads(store.file("ada").read_text(encoding="utf-8"))
    assert facts["schema"] == "grader/results/2"
    assert facts["batch"] == {"name": "ada", "key": "key 1"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"batch": 3}', '{"batch": {}}'])
def test_a_document_that_is_not_whole_is_none(store, text):
    store.file("ada").write_text(text, encoding="utf-8")
    assert not store.find("ada", "key")


def broken(**changes):
    return json.dumps({**json.loads(DOCUMENT), "batch": {"name": "ada", "key": "key"}, **changes})


@pytest.mark.parametrize(
    "text",
    [
        broken(units=None),
        broken(units=[]),
        broken(score="10"),
        broken(score=1e9),
        broken(score=5.0),
        broken(max_score=3.0),
        broken(schema="grader/results/0"),
        json.dumps({"batch": {"name": "ada", "key": "key"}}),
        broken()[:-30] + '"key": "key"}}',
        broken().replace('"status": "error"', '"status": "excellent"'),
    ],
    ids=range(10),
)
def test_a_document_with_the_right_key_and_broken_contents_is_graded_again(store, text):
    store.file("ada").write_text(broken(), encoding="utf-8")
    assert store.find("ada", "key")
    store.file("ada").write_text(text, encoding="utf-8")
    assert not store.find("ada", "key")
    assert store.results("ada") is None


NAMES = ["ada", "Ada", "../ada", "a/b", ".hidden", "ada ", "é", "🙂", "..", "", "con\x00trol", "x" * 3000,
         "x" * 3001, "\ud800", "a%2Fb", "ada.json"]  # fmt: skip


def test_every_name_has_a_file_of_its_own_inside_the_folder(store):
    files = [store.file(name) for name in NAMES]
    assert len({str(file).lower() for file in files}) == len(NAMES), "also where case does not count"
    for file in files:
        file.write_text("x", encoding="utf-8")
        assert file.resolve().parent == (store.folder / "results").resolve()


def test_a_second_run_into_the_same_folder_is_refused(store):
    with store.locked(), pytest.raises(Busy, match="another run is writing"), store.locked():
        pass


def test_a_seed_is_drawn_once_and_kept_unless_another_is_wanted(store):
    first = store.seed(None)
    assert store.seed(None) == first
    assert store.seed(12) == 12
    assert store.seed(None) == 12
