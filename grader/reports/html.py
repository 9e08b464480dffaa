"""HTML pages out of templates: the one place that knows jinja2.

A page is one file. It runs no script and asks for nothing: a content security policy says so to the browser as well,
should a text of a stranger ever come through. Whatever a template prints is escaped, and made visible first.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from grader.reports.text import cut, number, rounded, visible

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """The page that a template makes of these values.

    Raises:
        ImportError: jinja2 is not installed; the message says how to get it.
    """
    return environment().get_template(template).render(**values)


def link(path: str) -> str:
    """A link to a file beside the page, whatever its name: never a scheme, as in `javascript:`, or another host."""
    path = path.lstrip("/")
    try:
        return "./" + quote(path, errors="surrogateescape")  # a name on Linux that is no UTF-8
    except UnicodeEncodeError:
        return "./" + quote(path, errors="replace")


@cache
def environment() -> Environment:
    """Return what renders the templates.

    Raises:
        ImportError: jinja2 is not installed; the message says how to get it.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError(f"Pages need jinja2: pip install 'write-your-own-llm[instructor]' ({error}).") from error
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {"number": number, "cut": cut, "rounded": rounded}
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Not 'unsafe-inline': only this very style is obeyed, so that no text can bring its own.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    environment.globals |= {"style": Markup(style), "policy": Markup(policy)}
    return environment
