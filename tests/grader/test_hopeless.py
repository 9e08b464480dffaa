"""What can earn nothing any more costs little more than one try of each check."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.checking import suite
from grader.checking.hypothesis_profile import shrinking_briefly
from grader.checking.runner import Runner
from grader.checking.target import LocalTarget
from grader.curriculum import load
from tests.grader.degenerate import KINDS, degenerate

UNIT = load()["normalization"]
EXERCISE = UNIT.exercises[0]


@pytest.mark.parametrize("kind", KINDS)
def test_once_an_exercise_can_earn_nothing_its_other_checks_are_not_put_to_the_reference(monkeypatch, kind):
    asked = []
    reference_passes = Runner._reference_passes

    def count(runner, check, body):
        asked.append(check)
        return reference_passes(runner, check, body)

    monkeypatch.setattr(Runner, "_reference_passes", count)
    checks = [check for check in suite.collect(UNIT.name) if check.id.exercise.name == EXERCISE.name]
    runner = Runner(LocalTarget(degenerate(UNIT, kind)), 0, [check.id for check in checks])
    outcomes = [runner.run(check.id, check.body(0))[0] for check in checks]
    main = [check for check in checks if check.id.is_main]
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    assert len(asked) <= len(main) // 2 + 1
    assert len(failed) > len(main) // 2
    assert all(outcome.message for outcome in failed)
    assert not any("Not allowed" in outcome.message for outcome in failed), "refused unseen: nothing was tried"


def test_the_search_for_a_smaller_example_is_bounded_and_its_error_comes_through():
    calls = []

    @settings(max_examples=20)
    @given(st.lists(st.integers(), min_size=20))
    def check(values):
        calls.append(values)
        assert len(set(values)) < 8, "too large"

    with pytest.raises(AssertionError, match="too large"), shrinking_briefly(check):
        check()
    assert len(calls) < 150
    assert check.hypothesis.inner_test.__name__ == "check"
