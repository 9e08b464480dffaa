"""What learning platforms call what they export, and whose each entry is.

Moodle      Ada Lovelace_1234567_assignsubmission_file_/homework.py, or flat ..._assignsubmission_file_homework.py
Canvas      lovelaceada_LATE_1234_56789_homework-1.py, lovelaceada_1234_text.html, anon_x7Q_56789_homework.py
Blackboard  Homework 1_alovelace_attempt_2026-09-01-10-11-12_homework.py, and one .txt per attempt
Gradescope  submission_123456/homework.py, and submission_metadata.yml with the names
Brightspace 12345-67890 - Ada Lovelace - Sep 1, 2026 1011 AM - homework.py, or a folder, and index.html
Sakai       Lovelace, Ada(alovelace)/Submission attachment(s)/homework.py, or flat, and grades.csv
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from os.path import commonprefix  # by letters, which is what is meant here

_NOT_HANDED_IN = (".csv", ".htm", ".html", ".json", ".md", ".xls", ".xlsx", ".yaml", ".yml")
METADATA = "submission_metadata.yml"
Order = tuple[int | str, ...]


@dataclass(frozen=True)
class Item:
    """One entry of an export.

    Args:
        learner: Whose it is, as the platform writes the name.
        id: What tells learners of one name apart; empty where the platform has nothing.
        file: What the learner called it; empty for a folder.
        attempt: Of two entries of one series, the larger attempt counts.
        series: What later attempts replace.
        companion: The platform made it, or it is text that was typed in: it tells who handed in, and is not graded.
    """

    learner: str
    id: str = ""
    file: str = ""
    attempt: Order = ()
    series: str = ""
    companion: bool = False


Naming = Callable[[str], Item | None]


def recognise(names: Iterable[str]) -> Naming | None:
    """How the platform that made this export names its entries; None where no platform did.

    Args:
        names: Of files and folders on one level of it.
    """
    names = [name for name in names if not is_companion(name)]
    blackboard = _blackboard([found[1] for name in names if (found := _BLACKBOARD.fullmatch(name))])
    for naming in (_moodle, _canvas, blackboard, _gradescope, _brightspace, _sakai):
        if 2 * sum(naming(name) is not None for name in names) > len(names):
            return naming
    return None


def is_companion(name: str) -> bool:
    """Whether an entry is nobody's: lists and pages that platforms and instructors lay beside submissions."""
    return name.lower().endswith(_NOT_HANDED_IN) and not any(
        pattern.fullmatch(name) for pattern in (_MOODLE, _CANVAS, _BRIGHTSPACE)
    )


_MOODLE = re.compile(r"(?P<name>.+?)(?:_(?P<id>\d+))?_assignsubmission_(?P<plugin>[a-z]+)(?:_(?P<file>.*))?")


def _moodle(name: str) -> Item | None:
    found = _MOODLE.fullmatch(name)
    if found is None:
        return None
    return Item(found["name"], found["id"] or "", found["file"] or "", companion=found["plugin"] != "file")


_CANVAS = re.compile(
    r"(?:(?:LATE_)?(?P<anonymous>anon_[^\W_]+)|(?P<name>[^\W_][\w-]*?)(?:_LATE)?_(?P<id>\d+))"
    r"_(?:(?P<attachment>\d+)_(?P<file>.+)|(?P<page>text|link)\.html)"
)
_COPY = re.compile(r"(?P<stem>.+?)-(?P<number>\d{1,3})(?P<ending>(?:\.\w+)*)")


def _canvas(name: str) -> Item | None:
    found = _CANVAS.fullmatch(name)
    if found is None:
        return None
    file = found["file"] or ""
    # The second upload of homework.py is called homework-1.py.
    copy = _COPY.fullmatch(file)
    series = copy["stem"] + copy["ending"] if copy else file
    attempt = (int(copy["number"]) if copy else 0, int(found["attachment"] or 0))
    learner = found["anonymous"] or found["name"]
    return Item(learner, found["id"] or "", file, attempt, series, companion=found["page"] is not None)


_BLACKBOARD = re.compile(r"(.+)_attempt_(\d{4}(?:-\d{2}){5})(?:_(?P<file>.+)|\.txt)")


def _blackboard(heads: Iterable[str]) -> Naming:
    """Names begin with the assignment's title, which may have underscores, as the names of users may."""
    different = set(heads)
    title = commonprefix(sorted(different)).rpartition("_")[0] if len(different) > 1 else ""  # noqa: RUF071

    def naming(name: str) -> Item | None:
        found = _BLACKBOARD.fullmatch(name)
        if found is None:
            return None
        head = found[1]
        user = head[len(title) + 1 :] if title and head.startswith(f"{title}_") else head.rpartition("_")[2]
        return Item(user, user, found["file"] or "", (found[2],), companion=found["file"] is None)

    return naming


def _gradescope(name: str) -> Item | None:
    found = re.fullmatch(r"submission_(\d+)", name)
    return Item(name, found[1]) if found else None


_BRIGHTSPACE = re.compile(r"(?P<id>\d+-\d+) - (?P<name>.+?) ?- (?P<date>[^-]*\b\d{4}\b[^-]*?)(?: - (?P<file>.+))?")
_DATES = ("%b %d, %Y %I%M %p", "%B %d, %Y %I%M %p", "%d %B, %Y %H%M", "%d %b, %Y %H%M", "%d %B %Y %H%M")


def _brightspace(name: str) -> Item | None:
    found = _BRIGHTSPACE.fullmatch(name)
    if found is None:
        return None
    return Item(
        found["name"], found["id"].partition("-")[0], found["file"] or "", (_when(found["date"]), found["date"])
    )


def _when(date: str) -> str:
    for form in _DATES:
        try:
            return datetime.datetime.strptime(date.strip(), form).isoformat()
        except ValueError:
            continue
    return ""


def _sakai(name: str) -> Item | None:
    found = re.fullmatch(
        r"(?P<name>[^()]+, [^()]+)\((?P<id>[^()]+)\)(?:_(?P<kind>[^_]+)_(?P<file>.+)|_.+\.html)?", name
    )
    if found is None:
        return None
    typed = name.endswith(".html") or (found["kind"] is not None and not found["kind"].startswith("Submission"))
    return Item(found["name"], found["id"], found["file"] or "", companion=typed)


def gradescope_names(metadata: str) -> Mapping[str, list[tuple[str, str]]]:
    """Folder to names and email addresses of those who handed it in, from `submission_metadata.yml`.

    Only the lines that matter are looked at: the whole is YAML of many megabytes, with all outputs in it.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    folder, inside = "", False
    for line in metadata.splitlines():
        if top := re.fullmatch(r"(submission_\d+):\s*", line):
            folder = top[1]
        elif section := re.fullmatch(r"  :?(\w+):\s*", line):
            inside = section[1] == "submitters"
        elif inside and folder and (entry := re.fullmatch(r"\s*-? +:?(name|email): (.{1,300})", line)):
            people = found.setdefault(folder, [])
            if entry[1] == "name":
                people.append((_scalar(entry[2]), ""))
            elif people:
                people[-1] = (people[-1][0], _scalar(entry[2]))
    return found


def _scalar(written: str) -> str:
    """A YAML scalar in one line, plain or quoted."""
    text = written.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(?:x(\w\w)|u(\w{4})|(.))", _escaped, text[1:-1])
    return text


def _escaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    return chr(int(code, 16)) if code and re.fullmatch("[0-9a-fA-F]+", code) else found[3] or ""
