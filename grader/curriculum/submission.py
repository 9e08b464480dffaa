"""A submission as it was handed in: read once, never run here, every oddity turned into a sentence."""

from __future__ import annotations

import ast
import codecs
import hashlib
import io
import re
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from grader.sandbox.worker.described import syntax_help
from grader.sandbox.worker.importer import Source

MAX_BYTES = 256 << 10  # eight times the longest unit; one of 1 MiB may take 600 MB to parse
MAX_FILES = 200
MAX_NESTING = 1000  # levels of the tree; Python itself gives up at about 3,000, and walkers that recurse much earlier
# Python knows more, among them some that are no text (rot13) or take minutes to decode (punycode).
ENCODINGS = re.compile(r"utf-8(-sig)?|ascii|iso-?8859-\d+|cp\d+|mac-roman|koi8-[ru]|gb\w+|big5\w*|euc_\w+|shift_\w+")
KIT = Path(__file__).parents[2]


@dataclass(frozen=True)
class File:
    """One module of a submission.

    Args:
        path: As shown to the learner, as `exercises/attention.py`, or `mine/attention.py` for `--target=mine`.
        text: Its source; empty where it cannot be read.
        problem: Why it cannot be used, as a sentence; empty where it can.
        location: Where it lies on this machine, for breakpoints; empty where it lies nowhere.
    """

    path: str
    text: str
    problem: str = ""
    location: str = ""

    @cached_property
    def definitions(self) -> dict[str, ast.stmt]:
        """The functions and classes of the module, by name; of two with one name the last, as Python has it."""
        if self.problem:
            return {}
        body = parse(self.text).body
        return {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}

    @cached_property
    def assigned(self) -> frozenset[str]:
        """Other names that the module binds: `softmax = stable_softmax` and `from .mine import softmax`."""
        return frozenset() if self.problem else frozenset(_bound_names(parse(self.text).body))

    @property
    def source(self) -> Source:
        """What an importer in another process needs."""
        return Source(f"exercises/{self.path.rpartition('/')[2]}", self.text)  # that is the package's name there

    @property
    def local_source(self) -> Source:
        """What an importer in this process needs, so that breakpoints are found."""
        return Source(self.location or self.path, self.text)

    def is_stub(self, name: str) -> bool:
        """Whether a definition still does nothing but say that it is a stub."""
        node = self.definitions.get(name)
        if isinstance(node, ast.ClassDef):
            methods = [child for child in node.body if isinstance(child, ast.FunctionDef)]
            return bool(methods) and all(_only_raises(method) for method in methods)
        return isinstance(node, ast.FunctionDef) and _only_raises(node)

    def locate(self, name: str) -> str:
        """Where a definition begins, as `exercises/attention.py:48`."""
        node = self.definitions.get(name)
        return f"{self.path}:{node.lineno}" if node else self.path


@lru_cache(maxsize=2)
def parse(text: str) -> ast.Module:
    """The tree of a learner's module; what Python warns of is not our business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def too_deep(tree: ast.AST) -> bool:
    """Whether a tree is nested deeper than any code that a person writes; found without recursion, in linear time."""
    level, depth = [tree], 0
    while level and depth <= MAX_NESTING:
        level, depth = [child for node in level for child in ast.iter_child_nodes(node)], depth + 1
    return bool(level)


def _bound_names(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.Import | ast.ImportFrom):
                yield from (alias.asname or alias.name for alias in node.names)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef) and not isinstance(
                statement, ast.FunctionDef | ast.ClassDef
            ):
                yield node.name  # in an `if` or a `try`


def _only_raises(function: ast.FunctionDef) -> bool:
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    if len(body) != 1 or not isinstance(body[0], ast.Raise):
        return False
    raised = body[0].exc
    name = raised.func if isinstance(raised, ast.Call) else raised
    return isinstance(name, ast.Name) and name.id == "NotImplementedError"


@dataclass(frozen=True)
class Submission:
    """A learner's modules.

    Args:
        name: The learner, or the folder.
        files: Module name to file.
        problem: Why nothing of it could be read, as a sentence; empty where something could.
        notes: What was chosen among several files and what was left out, as sentences.
        missing: Nothing was handed in at all.
    """

    name: str
    files: Mapping[str, File]
    problem: str = ""
    notes: tuple[str, ...] = ()
    missing: bool = False

    @property
    def sha256(self) -> str:
        """A digest of all names and texts."""
        digest = hashlib.sha256()
        for name, file in sorted(self.files.items()):
            digest.update(f"{name}\0{file.problem}\0{len(file.text)}\0{file.text}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def status(self) -> Literal["read", "unreadable", "missing"]:
        """Whether there is something to grade."""
        if self.missing:
            return "missing"
        return "unreadable" if self.problem else "read"

    @property
    def digest(self) -> str:
        """A digest of all that is known of it: what was found and left out, too."""
        facts = [self.sha256, self.status, self.problem, *self.notes]
        return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()

    def file(self, unit: str) -> File:
        """The file of a unit; where there is none, one that says so."""
        missing = File(f"exercises/{unit}.py", "", self.problem or f"There is no file {unit}.py in the submission.")
        return self.files.get(unit, missing)


def read(path: Path) -> Submission:
    """Read a folder with the learner's modules, or a whole repository with a folder `exercises`.

    Raises:
        ValueError: No such folder, or no Python file in it; the message says what to do.
    """
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder. Give the folder that holds the learner's files.")
    folder = path / "exercises" if (path / "exercises").is_dir() else path
    if folder != path and folder.is_symlink():  # it could lead to the solutions
        raise ValueError(f"{folder} is a link. Hand in the folder itself.")
    found = sorted(file for file in folder.iterdir() if file.suffix == ".py" and file.stem.isidentifier())
    if len(found) > MAX_FILES:
        raise ValueError(f"{folder} holds {len(found)} Python files, more than {MAX_FILES}. Is it the right folder?")
    files = {file.stem: _read_file(file, printable(folder.name)) for file in found if file.name != "__init__.py"}
    if not files:
        raise ValueError(f"{folder} holds no Python files. Give the folder that holds the learner's files.")
    return Submission(_name(path.resolve()), files)


def _name(folder: Path) -> str:
    return printable(folder.parent.name if folder.name == "exercises" and folder != KIT / "exercises" else folder.name)


def printable(text: str) -> str:
    """What somebody else wrote, shown and not obeyed: no escape sequences, no letters that turn the line around."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _read_file(file: Path, folder: str) -> File:
    shown = f"{folder}/{file.name}"
    if file.is_symlink() or not file.is_file():
        return File(shown, "", f"{file.name} is not a regular file; hand in the file itself.")
    try:
        if file.stat().st_size > MAX_BYTES:
            return File(shown, "", f"{file.name} is larger than {MAX_BYTES >> 10} KiB; is it the right file?")
        raw = file.read_bytes()
    except OSError as error:
        return File(shown, "", f"{file.name} cannot be read: {error.strerror}.")
    return replace(from_bytes(shown, raw), location=str(file.resolve()))


def from_bytes(shown: str, raw: bytes) -> File:
    """A file of these bytes, decoded as Python would: a BOM, CRLF or an encoding line is no problem."""
    name = shown.rpartition("/")[2]
    try:
        encoding = _encoding_of(raw)
        if ENCODINGS.fullmatch(codecs.lookup(encoding).name) is None:
            return File(shown, "", f"{name} names the encoding {encoding[:40]}: save the file as UTF-8.")
        text = io.TextIOWrapper(io.BytesIO(raw), encoding).read()
        if too_deep(parse(text)):
            return File(shown, "", f"{name} nests more than {MAX_NESTING} levels deep: split the expression up.")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return File(shown, "", f"{name} line {line} is not UTF-8: save the file in that encoding.")
    except SyntaxError as error:
        return File(shown, "", _unreadable(shown, error))
    except (ValueError, RecursionError, MemoryError) as error:
        return File(shown, "", f"Python cannot read {name}: {type(error).__name__}: {str(error)[:200]}.")
    return File(shown, text)


def _unreadable(shown: str, error: SyntaxError) -> str:
    if str(error.msg).startswith("unknown encoding"):
        named = str(error.msg).rpartition(": ")[2][:40]
        return (
            f"Python cannot read {shown}:1: it takes a comment in the first two lines with `coding:` or `coding=` "
            f"in it for the name of the file's encoding (PEP 263), and knows no {named!r}. Reword that comment."
        )
    where = f"{shown}:{error.lineno}" if error.lineno else shown
    help = syntax_help(error)
    return f"Python cannot read {where}: {type(error).__name__}: {error.msg}." + (f"\n{help}" if help else "")


def _encoding_of(raw: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
    except SyntaxError:
        raw.decode()  # where the first two lines are no UTF-8, that is said, with the line
        raise
