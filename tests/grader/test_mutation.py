"""The hunt for mutants: what is changed and what is not, and how each kind of mutant ends."""

import tomllib

import pytest

pytest.importorskip("cosmic_ray")  # of the [dev] extra

from grader.checking.oracle import solution_sources
from grader.dev import mutation
from grader.dev.mutants import Fate, Mutant, explained, mutants, report
from grader.dev.mutation import Hunt, hunt

TOY = '''"""Words."""

import math


def rise(step: int | None = None, *, by: "int | str" = 3) -> float | None:
    """Words, and 1 + 1."""
    if step is None:
        raise ValueError(f"é {1 + by}: step is needed, got {step}")
    return math.pi * {**{"by": by}}["by"]  # and 2 + 2


ON = True
'''


def changes(text):
    return [(mutant.line, mutant.old, mutant.new) for mutant in mutants(text)]


def test_operators_numbers_conditions_and_constants_are_changed():
    found = changes(TOY)
    assert (10, 'return math.pi * {**{"by": by}}["by"]', 'return math.pi / {**{"by": by}}["by"]') in found
    assert (8, "if step is None:", "if step is not None:") in found
    assert (13, "ON = True", "ON = False") in found


def test_annotations_messages_stars_texts_and_comments_are_not_changed():
    lines = {line for line, _, _ in changes(TOY)}
    assert lines == {6, 8, 10, 13}
    signatures = [new for line, _, new in changes(TOY) if line == 6]
    assert len(signatures) == 2
    assert all(" | None = None, *, " in new and new.endswith("-> float | None:") for new in signatures)


def test_a_mutant_is_the_whole_text_with_one_change():
    (mutant,) = [mutant for mutant in mutants(TOY) if mutant.new == "if step is not None:"]
    assert mutant.text == TOY.replace("if step is None:", "if step is not None:")
    assert mutant.owner == "rise"


def test_no_mutant_comes_twice_or_is_the_solution_itself():
    texts = [mutant.text for mutant in mutants(TOY)]
    assert len(set(texts)) == len(texts)
    assert TOY not in texts


def test_a_decorator_that_is_taken_away_leaves_an_empty_line_in_the_report():
    assert (4, "@cache", "") in changes("from functools import cache\n\n\n@cache\ndef one():\n    return None\n")


# What becomes of them

SOLUTION = solution_sources()["schedule"].text
LIMIT = "    if step >= warmup_steps:\n        return 1.0\n"


@pytest.fixture(scope="module")
def schedule():
    return Hunt("schedule")


def changed(old, new):
    assert SOLUTION.count(old) == 1
    return Mutant(SOLUTION.replace(old, new), "linear_warmup", 70, old, new)


def test_a_mutant_that_a_check_sees_is_killed(schedule):
    ended, check = schedule.end(changed(LIMIT, LIMIT.replace("1.0", "2.0")))
    assert ended == "killed"
    assert check in {check.id.name for check in schedule.checks}


def test_a_mutant_that_makes_no_difference_survives(schedule):
    assert schedule.end(changed("if steps_down < 0:", "if steps_down <= 0:")) == ("survived", "")


@pytest.mark.parametrize("body", ["while True:\n            pass", "return [i for i in iter(int, 1)]"], ids=str)
def test_an_endless_mutant_ends(schedule, monkeypatch, body):
    monkeypatch.setattr(mutation, "SLACK", 0.3)
    ended, check = schedule.end(changed(LIMIT, LIMIT.replace("return 1.0", body)))
    assert ended == "timed out"
    assert check


def test_a_mutant_that_does_not_import_is_killed(schedule):
    assert schedule.end(changed("import math\n", "import math\n1 / 0\n"))[0] == "killed"


def test_no_mutant_spoils_the_next(schedule):
    schedule.end(changed("import math\n", "import math\nmath.pi = 3\nmath.cos = math.sin\n"))
    assert schedule.end(Mutant(SOLUTION, "", 0, "", "")) == ("survived", "")


def test_the_check_that_killed_last_is_asked_first(schedule):
    fatal = changed(LIMIT, LIMIT.replace("1.0", "2.0"))
    _, killer = schedule.end(fatal)
    ranks = {check.id.name: schedule.rank("linear_warmup", i) for i, check in enumerate(schedule.checks)}
    assert min(ranks, key=ranks.get) == killer


def test_a_solution_that_fails_its_own_checks_is_refused(monkeypatch):
    monkeypatch.setattr(mutation, "variant", lambda unit, text: original(unit, text.replace("min(1.0", "max(1.0")))
    with pytest.raises(ValueError, match="the solution of schedule fails"):
        Hunt("schedule")


original = mutation.variant


def test_what_is_known_is_not_tried_again_unless_it_survived_other_tests(monkeypatch):
    monkeypatch.setattr(mutation, "mutants", lambda text: iter([changed(LIMIT, LIMIT.replace("1.0", "2.0"))]))
    monkeypatch.setattr(mutation.Hunt, "__init__", lambda self, unit: None)
    met = []
    monkeypatch.setattr(mutation.Hunt, "end", lambda self, mutant: met.append(mutant) or ("survived", ""))
    ((key, fate),) = hunt("schedule", {})
    assert dict(hunt("schedule", {key: fate})) == {key: fate}
    assert len(met) == 1
    other = Fate("survived", "", 1, "", "", tests="of yesterday")
    assert dict(hunt("schedule", {key: other})) == {key: fate}
    assert len(met) == 2
    killed = Fate("killed", "a check", 1, "", "", tests="of yesterday")
    assert dict(hunt("schedule", {key: killed})) == {key: killed}
    assert len(met) == 2


def test_the_report_counts_and_shows_the_survivors_with_the_reason():
    ends = ["killed"] * 5 + ["timed out"] * 2 + ["survived"] * 3
    fates = [Fate(ended, "", 10 + i, f"x + {i}", f"x - {i}", "") for i, ended in enumerate(ends)]
    equivalent = [
        {"old": "x + 1", "new": "x - 1", "why": "not needed"},
        {"old": "x + 7", "new": "x * 7", "why": "of another change"},
        {"old": "x + 8", "new": "x - 8", "why": "x is nan"},
        {"old": "x + 9", "why": "nothing reads it"},
    ]
    assert report("toy", fates, explained(fates, equivalent)) == (
        "toy: 10 mutants, 2 of them timed out, 3 survived, 2 of these equivalent: 70.0 % killed, 87.5 % without those\n"
        "  17: x + 7 -> x - 7\n"
        "  18: x + 8 -> x - 8  [equivalent: x is nan]\n"
        "  19: x + 9 -> x - 9  [equivalent: nothing reads it]"
    )


def test_what_is_said_to_make_no_difference_stands_in_the_solution():
    for unit, entries in tomllib.loads(mutation.EQUIVALENT.read_text(encoding="utf-8")).items():
        lines = {line.partition("  # ")[0].strip() for line in solution_sources()[unit].text.splitlines()}
        assert [entry["old"] for entry in entries if entry["old"] not in lines] == []
        assert all(entry["why"] for entry in entries)
