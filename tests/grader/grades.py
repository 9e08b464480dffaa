"""Grades to show, made by hand: a careful learner, a beginner, a hostile one, a class of any size."""

import random

from grader.curriculum import load
from grader.curriculum.outcome import Outcome
from grader.grading.results import Check, CriterionResult, ExerciseResult, Kit, Results, SubmissionId, UnitResult
from grader.grading.scoring import score_unit
from grader.reports.graded import Graded

CHECKS = 12  # of an exercise
KINDS = ("shape", "numerics", "gradient", "property", "stability", "shortcut")
MISTAKES = {
    "no-scaling": "your values are exactly those without the division by sqrt(d_head).",
    "one-global-max": "you subtract one maximum of the whole tensor: a row far below it becomes 0 / 0.",
    "returns-zeros": "your function returns zeros.",
}
HOSTILE = (
    "<script>document.title='owned'</script>",
    "</style><style>body{display:none}</style>",
    "</title></textarea></script><img src=x onerror=\"document.title='owned'\">",
    "javascript:alert(1)",
    '" onmouseover="document.title=\'owned\'" x="',
    "' autofocus onfocus='document.title=1'",
    "{{ 7 * 7 }} {% raw %} {# gone #}",
    "&lt;b&gt; &amp; &#0; <!-- --!> <![CDATA[ ]]> <svg onload=alert(1)>",
    "abc\u202egpj.exe\u2066 nul \0 bell \a esc \x1b[31m lone \ud800",
    "=cmd|' /C calc'!A0",
    "W" * 300,
    "Z" + "\u0353\u0300\u0489" * 200,
    "مريم بنت أحمد",
)


def failure(call="softmax(scores=(2, 3))", mistake=""):
    """A message as the grader writes them."""
    known = f"\n  Known mistake: {MISTAKES[mistake]}" if mistake else ""
    differ = "the result: 6 of 6 values differ (rtol 1e-05, atol 1e-06); worst at [0, 1]: got 2.32104, expected 1.22795"
    return f"attention.{call}\n  {differ}{known}\n  exercises/attention.py:113"


def check(name, status="passed", message="", mistake="", kind="numerics"):
    return Check(name, name, kind, status, 0.01, message, mistake)


def exercise(name, checks):
    """An exercise with a criterion of one point for each of its checks."""
    found = {one.status for one in checks}
    status = next((worst for worst in ("error", "failed", "todo") if worst in found), "passed")
    criteria = [CriterionResult(c.check, f"does {c.check}", c.status, float(c.status == "passed"), 1.0) for c in checks]
    return ExerciseResult(name, sum(c.points for c in criteria), float(len(checks)), status, criteria, list(checks))


def unit(name, exercises):
    score, full = sum(one.score for one in exercises), sum(one.max_score for one in exercises)
    return UnitResult(name, round(score, 2), round(full, 2), list(exercises))


def graded(name, units, *, score=None, notes=(), seconds=4.5, seed=1236350732, isolation="confined", kit="1.2.3"):
    raw = round(sum(one.score for one in units), 2)
    results = Results(
        kit=Kit(kit, "a" * 64),
        submission=SubmissionId(name, "b" * 64),
        isolation=isolation,
        seed=seed,
        seconds=seconds,
        score=raw,
        max_score=round(sum(one.max_score for one in units), 2),
        units=list(units),
    )
    return Graded(name, results, raw if score is None else score, tuple(notes))


def one_check(name="ada", message="", mistake="", status="failed", **rest):
    """A grade of a single check: what a page or a row makes of a text."""
    return graded(name, [unit("attention", [exercise("softmax", [check("c", status, message, mistake)])])], **rest)


def whole(name, seed, skill, **rest):
    """A grade of all units: of a learner who gets so large a part of the exercises right."""
    dice = random.Random(seed)
    units = []
    for known in load().values():
        begun = dice.random() < skill + 0.3
        units.append(score_unit(known, {one.name: _tried(one, dice, skill, begun) for one in known.exercises}))
    return graded(name, units, seconds=round(2 + 30 * dice.random() ** 4, 3), seed=seed, **rest)


def _tried(known, dice, skill, begun):
    """The outcomes of an exercise's checks: nothing begun, all right, or some wrong with one mistake or none."""
    criteria = [known.criteria[i % len(known.criteria)].name for i in range(CHECKS)]
    if not begun:
        message = f"{known.name} is still a stub"
        return [Outcome(f"{known.name}_{i}", "numerics", "todo", 0.01, message, "", criteria[i]) for i in range(CHECKS)]
    wrong = 0 if dice.random() < skill else dice.randint(1, CHECKS)
    mistake = dice.choice([*MISTAKES, ""])
    said = [failure(f"{known.name}(x=({i}, 3))", mistake) for i in range(wrong)]
    return [
        Outcome(
            f"{known.name}_{i}",
            KINDS[i % 6],
            "failed" if i < wrong else "passed",
            0.01,
            said[i] if i < wrong else "",
            mistake if i < wrong else "",
            criteria[i],
        )
        for i in range(CHECKS)
    ]


def a_class(size, seed=0):
    """Grades of so many learners; every fiftieth met a fault of the grader, every tenth came late."""
    dice = random.Random(seed)
    grades = []
    for number in range(size):
        one = whole(f"learner-{number:03}", number, dice.betavariate(4, 2))
        if number % 50 == 7:
            one = with_fault(one.name)
        elif number % 10 == 3:
            late = round(0.9 * one.results.score, 2)
            one = Graded(one.name, one.results, late, ("Handed in 1 day late: 10 % less.",))
        grades.append(one)
    return grades


def with_fault(name):
    broken = check("softmax_rows_sum_to_one", "error", "The worker could not be started: no memory.")
    return graded(name, [unit("attention", [exercise("softmax", [broken, check("softmax_keeps_the_shape")])])])


def hostile():
    """A learner whose every text wants to be more than text."""
    checks = [check(f"{text}{i}", "failed", text, kind="property") for i, text in enumerate(HOSTILE)]
    known = [check(text, "failed", f"{text}\n  Known mistake: {text}", f"m-{text}") for text in HOSTILE[:4]]
    units = [unit("attention", [exercise("softmax", [*checks, *known])]), unit(HOSTILE[2], [])]
    return graded(HOSTILE[0] + HOSTILE[8], units, score=1.5, notes=HOSTILE)
