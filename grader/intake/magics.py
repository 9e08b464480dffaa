"""IPython's magic lines in a cell, found in one pass without parsing the cell.

A magic counts only where a statement begins: a line that begins with % may as well continue an expression or a string.
"""

from __future__ import annotations

import re

# Comments and strings are passed over, brackets are counted. Possessive quantifiers: no backtracking, so linear.
_TOKEN = re.compile(
    r"""#[^\n]*+|\"""|'''|"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<on>\\\n)|\n""",
    re.DOTALL,
)
_ENDS = {
    quote * 3: re.compile(rf"(?:[^{quote}\\]|\\.|{quote}(?!{quote}{quote}))*+{quote * 3}", re.DOTALL) for quote in "\"'"
}
_HELP = re.compile(r"[\w.*]+\?\??")


def replaced(source: str) -> str:
    """The same cell with `pass` in place of each magic line, indented as it was; every line keeps its number."""
    parts: list[str] = []
    kept = at = 0
    while at < len(source):
        end = _line_end(source, at)
        line = source[at:end]
        if is_magic(line):
            while source[end - 1] == "\\" and end < len(source):  # the magic goes on in the next line
                end = _line_end(source, end + 1)
            indent = line[: len(line) - len(line.lstrip())]
            parts += [source[kept:at], indent, "pass", "\n" * source.count("\n", at, end)]
            kept, at = end, end + 1
        else:
            at = _next_statement(source, at)
    return "".join([*parts, source[kept:]])


def is_magic(line: str) -> bool:
    """Whether a line that begins a statement is IPython's and not Python's."""
    text = line.strip()
    if text.startswith(("%", "!", "?")) or _HELP.fullmatch(text):
        return True
    target, equals, value = text.partition("=")
    return bool(equals) and value.lstrip().startswith(("%", "!")) and not set(target) & set("#'\"()[]{}")


def _line_end(source: str, at: int) -> int:
    end = source.find("\n", at)
    return len(source) if end < 0 else end


def _next_statement(source: str, at: int) -> int:
    """Where the line begins that follows the statement at this place, as far as brackets and strings tell."""
    depth = 0
    while (token := _TOKEN.search(source, at)) is not None:
        at = token.end()
        if token[0] in _ENDS:
            end = _ENDS[token[0]].match(source, at)
            if end is None:
                return len(source)
            at = end.end()
        elif token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif token[0] == "\n" and depth <= 0:
            return at
    return len(source)
