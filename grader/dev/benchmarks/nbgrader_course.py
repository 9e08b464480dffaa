"""The same checks in nbgrader, as a yardstick: each submission a notebook, executed in a kernel of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from grader.checking.oracle import solution_sources
from grader.curriculum import load
from grader.curriculum.submission import KIT

ASSIGNMENT = "work"
_CHECKS = """
import sys; sys.path.insert(0, {kit!r})
from grader.checking import suite
from grader.checking.runner import Runner
from grader.checking.target import LocalTarget
from grader.curriculum.submission import Submission, from_bytes
text = next(cell for cell in In if "jaxtyping" in cell and "class " in cell)
runner = Runner(LocalTarget(Submission("learner", {{{unit!r}: from_bytes({path!r}, text.encode())}})), 0)
outcomes = [runner.run(check.id, check.body(0))[0] for check in suite.collect({unit!r})]
{points} * sum(outcome.status == "passed" for outcome in outcomes) / len(outcomes)
"""


class Course:
    """An nbgrader course with right submissions of one unit; use as a context manager.

    Args:
        unit: The unit.
        number: How many learners.
    """

    def __init__(self, unit: str, number: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._root = Path(self._folder.name)
        self._unit, self._learners = unit, [f"learner{i}" for i in range(number)]

    def __enter__(self) -> Course:
        self._write(self._root / "source" / ASSIGNMENT / "unit.ipynb")
        self._api().generate_assignment(ASSIGNMENT, force=True)
        for learner in self._learners:
            self._write(self._root / "submitted" / learner / ASSIGNMENT / "unit.ipynb")
        return self

    def __exit__(self, *exc: object) -> None:
        self._folder.cleanup()

    def autograde(self) -> list[float]:
        """Grade everybody, one after the other as nbgrader does; their scores."""
        api = self._api()
        for learner in self._learners:
            said = api.autograde(ASSIGNMENT, learner, force=True)
            if not said["success"]:
                raise RuntimeError(f"nbgrader failed: {said['error'] or said['log'][-2000:]}")
        with api.gradebook as book:
            return [book.find_submission(ASSIGNMENT, learner).score for learner in self._learners]

    def _api(self) -> Any:
        from nbgrader.apps import NbGraderAPI
        from traitlets.config import Config

        config = Config()
        config.CourseDirectory.root = str(self._root)
        config.CourseDirectory.course_id = "yardstick"
        config.ExecutePreprocessor.timeout = 120
        return NbGraderAPI(config=config)

    def _write(self, path: Path) -> None:
        from nbformat import v4, write

        unit = load()[self._unit]
        facts = {"kit": str(KIT), "unit": unit.name, "path": f"exercises/{unit.name}.py", "points": unit.points}
        code = v4.new_code_cell(
            solution_sources()[unit.name].text, metadata={"nbgrader": _metadata("code", grade=False)}
        )
        tests = v4.new_code_cell(_CHECKS.format(**facts), metadata={"nbgrader": _metadata("tests", points=unit.points)})
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        path.parent.mkdir(parents=True, exist_ok=True)
        write(v4.new_notebook(cells=[code, tests], metadata=kernel), path)


def _metadata(name: str, grade: bool = True, points: int = 0) -> dict[str, Any]:
    facts = {"grade_id": name, "grade": grade, "solution": not grade, "locked": grade, "task": False}
    return {**facts, "schema_version": 3, **({"points": points} if grade else {})}
