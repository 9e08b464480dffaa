"""The report of submissions that are alike: a table for the terminal, and a page with the lines side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grader.curriculum.submission import Submission, printable
from grader.similarity.fingerprints import Lines, Pair

_NOTE = (
    "A reason to look, not a verdict: two people may have worked from the same book. "
    "What was handed out, what the reference has, and what much of the class has is not counted."
)
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #1b1b1f }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem } .two { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem }
pre { background: #f5f5f7; padding: .6rem; overflow-x: auto; font-size: 13px; margin: .3rem 0 } .n { color: #767680 }
"""


def alike_text(pairs: Sequence[Pair]) -> RenderableType:
    """A line a pair."""
    if not pairs:
        return Text("No two submissions are more alike than the exercises explain.")
    table = Table(box=None, pad_edge=False)
    for title in ("alike", "unit", "who", "lines", "who", "lines"):
        table.add_column(title, justify="right" if title == "alike" else "left")
    for pair in pairs:
        sides = (Text(_plain(pair.left)), _ranges(pair.left_lines), Text(_plain(pair.right)), _ranges(pair.right_lines))
        table.add_row(f"{pair.similarity:.0%}", pair.unit, *sides)
    return Group(table, Text(), Text(_NOTE, style="dim"))


def alike_html(pairs: Sequence[Pair], submissions: Mapping[str, Submission]) -> str:
    """One page that needs nothing else: every pair, with the lines that are alike."""
    parts = [_pair(pair, submissions) for pair in pairs] or ["<p>None.</p>"]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Alike</title><style>{_STYLE}</style>'
    return f"{head}<h1>Submissions that are alike</h1><p>{escape(_NOTE)}</p>{''.join(parts)}</html>\n"


def _pair(pair: Pair, submissions: Mapping[str, Submission]) -> str:
    sides = ((pair.left, pair.left_lines), (pair.right, pair.right_lines))
    title = f"{pair.similarity:.0%} in {pair.unit}: {_plain(pair.left)} and {_plain(pair.right)}"
    columns = "".join(_side(name, lines, submissions[name].file(pair.unit).text) for name, lines in sides)
    return f'<section><h2>{escape(title)}</h2><div class="two">{columns}</div></section>'


def _side(name: str, lines: Lines, text: str) -> str:
    written = text.splitlines()
    blocks = []
    for first, last in lines:
        shown = "\n".join(_plain(line[:300]) for line in written[first - 1 : last])
        blocks.append(f'<div class="n">line {first}</div><pre>{escape(shown)}</pre>')
    return f"<div><b>{escape(_plain(name))}</b>{''.join(blocks)}</div>"


def _ranges(lines: Lines) -> str:
    shown = [f"{first}-{last}" if last > first else f"{first}" for first, last in lines[:4]]
    return ", ".join(shown + (["..."] if len(lines) > 4 else []))


def _plain(text: str) -> str:
    return printable(text.expandtabs(4))
