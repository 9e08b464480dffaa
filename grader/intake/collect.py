"""Who handed in what: all submissions of a class, learner by learner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grader.curriculum.submission import Submission, printable
from grader.intake import export, layouts, reader
from grader.intake import roster as rosters
from grader.intake.export import Export, without_ending
from grader.intake.layouts import Item
from grader.intake.members import shown
from grader.intake.roster import Row, normal

NOTHING = "Nothing was handed in."


@dataclass(frozen=True)
class Entry:
    """One learner, and what they handed in.

    Args:
        name: The learner.
        sources: Folders, archives and files, each with the name that the learner gave it; empty: nothing.
        ids: What else the learner may be called: an id, a user's name, an address.
        members: Where the only source is the export of a whole class: which of its files are this learner's.
        notes: What is not graded, and why, as sentences.
        problem: Why it cannot be said what to grade; empty where it can.
        late: The roster's cell, as it stands.
        attempt: The roster's cell, as it stands.
    """

    name: str
    sources: tuple[tuple[Path, str], ...] = ()
    ids: tuple[str, ...] = ()
    members: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""
    late: str = ""
    attempt: str = ""

    @property
    def missing(self) -> bool:
        """Nothing was handed in."""
        return not self.sources and not self.problem

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its files and folders, where it was handed in."""
        return tuple(self.members or (path.name for path, _ in self.sources))

    def read(self) -> Submission:
        """The submission, read anew with each call, so that a course of hundreds is never in memory at once.

        Whatever was handed in, this returns a submission; if nothing of it can be used, its `problem` says what to do.
        """
        if self.missing:
            return Submission(self.name, {}, NOTHING, missing=True)
        if self.problem:
            return Submission(self.name, {}, self.problem, self.notes)
        submission = reader.read(self.name, self.sources, self.members)
        return replace(submission, notes=(*self.notes, *submission.notes))


def single(path: Path) -> Entry:
    """One submission by itself: a folder, a repository, an archive, a notebook or a file."""
    place = path.resolve()
    if place.name == "exercises":
        place = place.parent  # the folder above says whose it is
    name = place.name if place.is_dir() else without_ending(place.name)
    return Entry(normal(printable(name)), ((path, path.name or place.name),))


def collect(path: Path, roster: Path | None = None) -> list[Entry]:
    """All submissions of a class, one entry per learner.

    Args:
        path: What a platform exported, packed or unpacked, or a folder with a folder, an archive, a notebook or a
            file per learner. Hidden files are passed over.
        roster: A CSV file: who handed in what. A learner on it without a file has an entry, too.

    Raises:
        ValueError: No such folder, nothing in it, or a roster that does not fit. What the roster does not know is
            refused before anything is graded: it is either somebody who would go without a grade, or the misspelt
            file of somebody who would get none.
    """
    entries = list(_entries(export.opened(path, roster.resolve() if roster is not None else None)))
    if roster is not None:
        return _by_roster(path, roster, entries)
    if not entries:
        raise ValueError(f"{path} is empty. Give the folder that holds the submissions.")
    return list(_told_apart(entries))


def _entries(level: Export) -> Iterator[Entry]:
    """One per learner: of a platform's export by its names, otherwise by the names of files and folders."""
    known: dict[tuple[str, str], list[tuple[str, Item]]] = {}
    plain = []
    for key in level.top:
        item = level.naming(key) if level.naming is not None else None
        if item is not None:
            known.setdefault((item.learner, item.id), []).append((key, item))
        elif not layouts.is_companion(key):
            plain.append(key)
    people = layouts.gradescope_names(level.metadata)
    for items in known.values():
        entry = _of_platform(level, items)
        for name, address in people.get(items[0][0], [(entry.name, "")]):
            ids = tuple(id_ for id_ in (*entry.ids, address) if id_)
            yield replace(entry, name=normal(printable(name)), ids=ids)
    # A text beside a submission of the same name goes with it; by itself it is what somebody handed in.
    learners = {level.learner_of(key) for key in plain if not key.lower().endswith(".txt")}
    for key in plain:
        name = level.learner_of(key)
        if not key.lower().endswith(".txt") or not (name in learners or name.casefold() == "readme"):
            yield Entry(name, level.sources({key: key}), members=level.members({key: key}))


def _of_platform(level: Export, items: Sequence[tuple[str, Item]]) -> Entry:
    """What a learner handed in: of several attempts the last one."""
    handed_in = sorted((one for one in items if not one[1].companion), key=lambda one: one[1].attempt)
    last = {item.series: item.attempt for _, item in handed_in}
    chosen = {key: item.file or key for key, item in handed_in if item.attempt == last[item.series]}
    earlier = [key for key, _ in handed_in if key not in chosen]
    name, id_ = items[0][1].learner, items[0][1].id
    typed = f"There is no file, only {_listed([key for key, _ in items])}. Hand in your Python files."
    ids = (id_,) if id_ else ()
    return Entry(
        name, level.sources(chosen), ids, level.members(chosen), _replaced(earlier), problem="" if chosen else typed
    )


def _replaced(earlier: Sequence[str]) -> tuple[str, ...]:
    return (f"Not graded, because a later attempt replaces it: {_listed(earlier)}.",) if earlier else ()


def _told_apart(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Learners of one name get their ids with it; what cannot be told apart is nobody's grade, and stops no other."""
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(entry.name, []).append(entry)
    for name, same in by_name.items():
        if len(same) == 1:
            yield same[0]
        elif len({entry.ids[:1] for entry in same}) == len(same) and all(entry.ids for entry in same):
            yield from (replace(entry, name=f"{name} ({entry.ids[0]})") for entry in same)
        else:
            listed = " and ".join(shown(label) for entry in same for label in entry.labels[:1])
            said = f"{listed} would both be {name}. Remove or rename one, or say in a roster whose they are."
            yield Entry(name, same[0].sources, problem=said)


def _by_roster(folder: Path, file: Path, entries: list[Entry]) -> list[Entry]:
    matched = rosters.matched(rosters.read(file), file, entries)
    theirs = [entry for _, found in matched for entry in found]
    if strays := [entry for entry in entries if entry not in theirs]:
        listed = _listed([entry.labels[0] if entry.labels else entry.name for entry in strays])
        raise ValueError(f"{file} does not name {listed}. Add a line for each, or move them out of {folder}.")
    learners: dict[str, list[tuple[Row, list[Entry]]]] = {}
    for row, found in matched:
        learners.setdefault(row.name, []).append((row, found))
    return list(_told_apart([one for lines in learners.values() for one in _of_lines(lines)]))


def _of_lines(lines: Sequence[tuple[Row, list[Entry]]]) -> Iterator[Entry]:
    """A learner's entry, of all files that the roster says are theirs; of several attempts the last one."""
    last = max((row.attempt for row, _ in lines), key=lambda attempt: (len(attempt), attempt))
    now = [(row, found) for row, found in lines if row.attempt == last]
    row = now[0][0]
    found = list({id(entry): entry for _, entries in now for entry in entries}.values())
    if row.file is None and len(found) > 1:  # namesakes: nothing tells which of them a line means
        yield from (replace(entry, name=row.name) for entry in found)
        return
    earlier = [label for line, entries in lines if line.attempt != last for entry in entries for label in entry.labels]
    yield Entry(
        row.name,
        tuple(dict.fromkeys(source for entry in found for source in entry.sources)),
        row.ids,
        {member: file for entry in found for member, file in (entry.members or {}).items()} or None,
        (*_replaced(earlier), *(note for entry in found for note in entry.notes)),
        next((entry.problem for entry in found if entry.problem), ""),
        row.late,
        row.attempt,
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(name, 120) for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
