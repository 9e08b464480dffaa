"""The pages in a real browser: nothing leaves them, nothing runs in them, and they fit a phone."""

import os
import shutil
from contextlib import contextmanager

import pytest

from grader.reports import class_page, learner_page
from tests.grader.grades import HOSTILE, a_class, hostile, one_check, whole, with_fault
from tests.grader.markup import MADE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
PHONE, DESK = 360, 1280
WIDER_THAN_THE_PAGE = """[...document.querySelectorAll("table, .number, .status, .message, .bar")]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 200))"""
PAPER = "getComputedStyle(document.body).backgroundColor"


def _pages():
    evil, late = hostile(), whole("Ada Łovelace", 4, 0.6, score=12.25, notes=["Handed in 2 days late."])
    wide = {**MADE, "kit": HOSTILE[11]}  # a tower of accents, where no box of its own stops it
    links = {evil.name: "javascript:document.title='owned'"}
    return {
        "learner": learner_page(late, class_page="../index.html"),
        "fault": learner_page(with_fault("bob")),
        "hostile": learner_page(evil),
        "class": class_page(a_class(60), **MADE),
        "hostile-class": class_page(
            [evil, *map(with_fault, HOSTILE), *map(one_check, HOSTILE), late], **wide, links=links
        ),
    }


PAGES = _pages()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser and is not installed")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"there is no browser on this machine (looked for {', '.join(NAMES)})")
    # Chromium refuses its own sandbox to root, as in a container; the pages are ours, and what they show is harmless.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()


@contextmanager
def opened(browser, tmp_path, text, **settings):
    """A page that was opened from a file, and what happened meanwhile: requests, and words on the console."""
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    context = browser.new_context(**settings)
    try:
        page = context.new_page()
        seen = []
        page.on("request", lambda request: seen.append(request.url))
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        page.goto(file.as_uri())
        assert seen.pop(0) == file.as_uri()
        yield page, seen
    finally:
        context.close()


def _unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_nothing_leaves_a_page_and_nothing_runs_in_it(browser, tmp_path, text):
    with opened(browser, tmp_path, text) as (page, seen):
        _unfold(page)
        for one in page.locator("h1, bdi, summary, .message").all()[:10]:
            one.hover()
        page.keyboard.press("Tab")
        assert page.title() != "owned"
        assert page.locator("script, img, style:not(head style)").count() == 0
        assert seen == []


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_a_page_fits_its_screen(browser, tmp_path, text, width):
    with opened(browser, tmp_path, text, viewport={"width": width, "height": 800}) as (page, _):
        _unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(WIDER_THAN_THE_PAGE) == []


@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 26)")])
def test_a_page_is_dark_where_the_reader_wants_it(browser, tmp_path, scheme, paper):
    with opened(browser, tmp_path, PAGES["learner"], color_scheme=scheme) as (page, _):
        assert page.evaluate(PAPER) == paper


def test_paper_is_white_and_nothing_on_it_is_folded(browser, tmp_path):
    with opened(browser, tmp_path, PAGES["hostile"], color_scheme="dark") as (page, _):
        folded = page.locator("details .message").first
        assert not folded.is_visible()
        page.emulate_media(media="print", color_scheme="dark")
        assert folded.is_visible()
        assert page.evaluate(PAPER) == "rgb(255, 255, 255)"


def test_a_fold_opens_without_a_script(browser, tmp_path):
    with opened(browser, tmp_path, PAGES["hostile"], java_script_enabled=False) as (page, _):
        page.locator("summary").first.click()
        assert page.locator("details .message").first.is_visible()


def test_a_link_to_a_learner_is_a_file_whatever_the_name(browser, tmp_path):
    with opened(browser, tmp_path, PAGES["hostile-class"]) as (page, _):
        target = page.locator(".learners a").first.evaluate("one => one.href")
        assert target == (tmp_path / "javascript%3Adocument.title%3D%27owned%27").as_uri().replace("%25", "%")


EVIL = """
<script>document.title = 'owned'</script>
<img src="https://example.org/x.png" onerror="document.title = 'owned'">
<style>body { background: rgb(1, 2, 3) }</style>
<p style="color: red" id="evil">x</p>
<iframe src="https://example.org/"></iframe>
"""


def test_the_policy_stops_what_would_come_through_all_the_same(browser, tmp_path):
    text = PAGES["fault"].replace("</main>", f"{EVIL}</main>")
    with opened(browser, tmp_path, text, color_scheme="light") as (page, seen):
        assert page.title() == "bob: 1 of 2 points"
        assert page.evaluate(PAPER) == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.getElementById('evil')).color") == "rgb(26, 28, 31)"
        stopped = [one for one in seen if "Content Security Policy" in one]
        assert len(stopped) == 6, stopped  # the script, the handler, both styles, the picture, the frame
