"""Results: the document that other tools rely on, key by key, and how it is written."""

import dataclasses
import json
import os

import jsonschema
import pytest
from pydantic import ValidationError

from grader.curriculum import load
from grader.curriculum.files import write_atomically
from grader.curriculum.submission import KIT
from grader.grading import results
from grader.grading.results import (
    Check,
    CriterionResult,
    ExerciseResult,
    Kit,
    Results,
    SubmissionId,
    UnitResult,
)
from tests.grader.learners import STUB, graded, with_softmax

SCHEMA = KIT / "grader" / "reports" / "results.schema.json"
WRONG = with_softmax("return torch.exp(scores) / torch.exp(scores).sum()")
REGENERATE = (
    'python -c "import json; from grader.grading.results import json_schema; '
    'print(json.dumps(json_schema(), indent=2))"'
    " > grader/reports/results.schema.json"
)


@pytest.fixture(scope="module")
def wrong():
    """Real Results with checks that passed, and checks that failed by name."""
    found = graded(WRONG, "softmax", "causal_mask")
    assert {check.status for check in found.checks} == {"passed", "failed"}
    assert any(check.mistake for check in found.checks)
    return found


@pytest.fixture(scope="module")
def stubs():
    return graded(STUB, "softmax")


def document(of):
    return json.loads(results.to_json(of))


def test_the_contract_key_by_key(wrong):
    found = document(wrong)
    top = ["schema", "kit", "submission", "isolation", "seed", "seconds", "score", "max_score", "units"]
    assert list(found) == top
    assert found["schema"] == "grader/results/2"
    assert list(found["kit"]) == ["version", "sha256"]
    assert list(found["submission"]) == ["name", "sha256", "status", "problem", "notes"]
    unit = found["units"][0]
    assert list(unit) == ["unit", "score", "max_score", "exercises"]
    assert list(unit["exercises"][0]) == ["exercise", "score", "max_score", "status", "criteria", "checks"]
    for criterion in unit["exercises"][0]["criteria"]:
        assert list(criterion) == ["criterion", "says", "status", "points", "max_points"]
    for check in unit["exercises"][0]["checks"]:
        keys = ["check", "criterion", "kind", "status", "seconds", "message", "mistake"]
        assert list(check) == keys


def test_the_document_says_what_was_graded(wrong):
    found = document(wrong)
    assert found["submission"]["name"] == "learner"
    assert all(len(found[key]["sha256"]) == 64 for key in ("kit", "submission"))
    assert found["isolation"] == "none"
    assert found["seed"] == 0
    assert found["seconds"] > 0
    assert found["max_score"] == sum(load()["attention"].exercise(name).points for name in ("softmax", "causal_mask"))
    assert found["score"] == sum(unit["score"] for unit in found["units"])
    assert [e["exercise"] for e in found["units"][0]["exercises"]] == ["softmax", "causal_mask"]


def test_a_document_read_back_is_the_same(wrong, stubs):
    for one in (wrong, stubs):
        assert results.from_json(results.to_json(one)) == one


def test_a_document_ends_in_a_newline(stubs):
    assert results.to_json(stubs).endswith("}\n")


def test_results_cannot_be_changed(stubs):
    with pytest.raises(dataclasses.FrozenInstanceError):
        stubs.score = 10.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        stubs.checks[0].message = "right"


# The JSON Schema


def test_the_schema_file_is_up_to_date():
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == results.json_schema(), f"Run: {REGENERATE}"


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(results.json_schema())


def test_real_results_follow_the_schema(wrong, stubs):
    for one in (wrong, stubs):
        jsonschema.validate(document(one), results.json_schema())


def _rename_seed(found):
    found["random_seed"] = found.pop("seed")


CHANGES = {
    "a key missing": lambda found: found.pop("score"),
    "a key renamed": _rename_seed,
    "another version": lambda found: found.update(schema="grader/results/1"),
    "an unknown status": lambda found: found["units"][0]["exercises"][0].update(status="skipped"),
    "an unknown kind": lambda found: found["units"][0]["exercises"][0]["checks"][0].update(kind="style"),
    "an unknown isolation": lambda found: found.update(isolation="docker"),
    "a negative score": lambda found: found.update(score=-1),
    "a score as text": lambda found: found.update(score="10"),
    "a seed with a fraction": lambda found: found.update(seed=0.5),
    "a unit that is no object": lambda found: found["units"].append("attention"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_wrong_documents_are_refused(stubs, change):
    found = document(stubs)
    change(found)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, results.json_schema())
    with pytest.raises(ValidationError):
        results.from_json(json.dumps(found))


def test_keys_of_a_later_kit_are_no_error(stubs):
    found = document(stubs) | {"late": True}
    jsonschema.validate(found, results.json_schema())
    assert results.from_json(json.dumps(found)) == stubs


@pytest.mark.parametrize("key", ["schema", "kit", "submission", "isolation", "seed", "seconds", "max_score", "units"])
def test_every_key_of_the_contract_is_required(stubs, key):
    found = document(stubs)
    del found[key]
    with pytest.raises(jsonschema.ValidationError, match=f"'{key}' is a required property"):
        jsonschema.validate(found, results.json_schema())


def test_points_that_are_no_number_are_refused():
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        CriterionResult("values", "gives the right values", "passed", float("nan"), 1.0)


def test_whatever_text_comes_the_document_holds():
    check = Check("name", "values", "shape", "failed", 0.1, 'quote " back \\ nul \0 snow ☃ line\nend')
    one = Results(
        kit=Kit("1", "0" * 64),
        submission=SubmissionId("Ada Łovelace", "0" * 64),
        isolation="confined",
        seed=1,
        seconds=0.1,
        score=0.0,
        max_score=1.0,
        units=[UnitResult("unit", 0.0, 1.0, [ExerciseResult("one", 0.0, 1.0, "failed", [], [check])])],
    )
    assert results.from_json(results.to_json(one)) == one


# Writing


def test_a_file_is_written_and_readable_by_others(tmp_path):
    write_atomically(tmp_path / "results.json", "new ☃\n")
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == "new ☃\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "results.json"]
    assert os.name == "nt" or (tmp_path / "results.json").stat().st_mode & 0o777 == 0o644


def test_a_file_is_replaced_whole(tmp_path):
    (tmp_path / "results.json").write_text("a much longer text than the new one")
    write_atomically(tmp_path / "results.json", "new")
    assert (tmp_path / "results.json").read_text() == "new"


def test_text_that_cannot_be_written_leaves_everything_as_it_was(tmp_path):
    (tmp_path / "results.json").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "results.json", "new \ud800")
    assert (tmp_path / "results.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "results.json"]


def test_a_full_disk_leaves_everything_as_it_was(tmp_path, monkeypatch):
    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "results.json", "new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "results.json").mkdir()
    with pytest.raises(OSError, match=r"results\.json"):
        write_atomically(tmp_path / "results.json", "new")
    assert list(tmp_path.iterdir()) == [tmp_path / "results.json"]
