"""Sanitize untrusted text: no invisible characters, a limited length, and numbers with few digits."""

from __future__ import annotations

import re

# Controls, surrogates, noncharacters, and what turns the direction of a line or is not seen at all. Joiners stay:
# Persian names and many emoji are written with them.
_UNSEEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f"
    "\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff\\ufdd0-\\ufdef\\ufffe\\uffff]"
)


def visible(text: str) -> str:
    r"""The same text, with what cannot be seen or written spelled out, as `\x00` and `\u202e`."""
    return _UNSEEN.sub(_spelled, text.replace("\r\n", "\n"))


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cut(text: str, limit: int) -> str:
    """The beginning of a text that is longer than it is useful; how much is missing is said."""
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text) - limit} more characters)"


def number(value: float) -> str:
    """Points and seconds: at most two decimals, and none that are zero."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rounded(percent: float) -> str:
    """Percent without decimals, where not all is never 100 and something is never 0."""
    if 0 < percent < 1:
        return "under 1"
    if 99 < percent < 100:
        return "over 99"
    return f"{percent:.0f}"


def percent(score: float, max_score: float) -> float:
    """Of full marks, from 0 to 100; where nothing can be earned it is 0."""
    return 100 * score / max_score if max_score else 0.0
