"""The pages of a learner and of a class: a stranger's text stays text, and everybody can read them."""

import base64
import hashlib
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.reports import class_page, html, learner_page
from grader.reports.html import link
from grader.reports.text import number, rounded, visible
from tests.grader.grades import (
    HOSTILE,
    a_class,
    hostile,
    one_check,
    whole,
    with_fault,
)
from tests.grader.markup import MADE, Page, of_class, of_failures, of_learner

texts = st.lists(st.one_of(st.sampled_from([*"<>&\"'{}%#;\n", "]]>", "-->", *HOSTILE]), st.text())).map("".join)


# Text of strangers


@given(texts.map(lambda text: text[:200]), texts.map(lambda text: text[:1000]))
def test_any_text_comes_out_as_that_text_and_nothing_else(name, message):
    page = of_learner(name, message, notes=[message])
    assert page.structure == of_learner("ada", "wrong", notes=["late"]).structure
    assert page.texts("bdi") == [visible(name), visible(message)]
    assert page.texts(".message") == [visible(message)]


@given(texts.map(lambda text: text[:300]))
def test_text_around_a_known_mistake_comes_out_as_that_text(text):
    message = f"{text}\n  Known mistake: {text}\n{text}"
    page = of_learner("ada", message, "no-scaling")
    assert page.texts(".message") == [visible(message)]
    assert len(page.texts("mark")) == 1


@given(texts.map(lambda text: text[:200]), texts.map(lambda text: text[:200]))
def test_a_class_page_shows_any_text_as_that_text(name, sentence):
    def page(name, sentence):
        message = f"  Known mistake: x{' '.join(sentence.split())}"
        return of_class([one_check(name, message, "no-scaling"), with_fault(name)], {name: name + "x"})

    assert page(name, sentence).structure == page("ada", "wrong").structure
    assert page(name, sentence).texts("bdi").count(visible(name)) == 5
    assert f"x{visible(' '.join(sentence.split()))}" in page(name, sentence).texts("bdi")


@pytest.mark.parametrize("make", [learner_page, lambda one: class_page([one, one], **MADE)], ids=["learner", "class"])
def test_a_page_has_nothing_that_runs_or_loads(make):
    page = Page(make(hostile()))
    names = {name for _, attributes in page.tags for name in attributes}
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"script", "img", "iframe", "object", "form", "base", "foreignobject"}
    )
    assert not [name for name in names if name.startswith("on") or name in ("src", "style", "srcset")]
    assert all(re.match(r"#|\./|data:,$", target) for target in page.attributes("href"))


def test_the_policy_lets_only_the_pages_own_style_through():
    page = of_learner("ada")
    digest = base64.b64encode(hashlib.sha256(page.texts("style")[0].encode()).digest()).decode()
    policy = page.attributes("content")[0]
    assert f"style-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "url(" not in page.texts("style")[0]
    assert "@import" not in page.texts("style")[0]


def test_a_page_can_be_written_whatever_came():
    assert b"\\ud800" in learner_page(hostile()).encode()
    assert "\0" not in learner_page(hostile())


def test_right_to_left_names_stay_and_overrides_are_spelled_out():
    assert visible("مريم é\u200d 👩\u200d💻\tx\ny\r\nz") == "مريم é\u200d 👩\u200d💻\tx\ny\nz"
    assert visible("a\u202eb\0\r\x7f\x9b\ud800\u2028") == "a\\u202eb\\x00\\x0d\\x7f\\x9b\\ud800\\u2028"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("learners/ada.html", "./learners/ada.html"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//example.org/x", "./example.org/x"),
        ("a?b#c d%.html", "./a%3Fb%23c%20d%25.html"),
        ("\udcff.html", "./%FF.html"),
        ("\ud800.html", "./%3F.html"),
        ("../index.html", "./../index.html"),
    ],
)
def test_a_link_leads_to_a_file_beside_the_page(path, target):
    assert link(path) == target


def test_a_huge_message_is_cut_and_says_so():
    text = learner_page(one_check(message="<&" * 500_000))
    assert len(text) < 50_000
    assert "(998000 more characters)" in Page(text).texts(".message")[0]


def test_huge_known_mistakes_are_cut_too():
    message = f"{'a' * 1_000_000}\n  Known mistake: {'b' * 1_000_000}\n{'c' * 1_000_000}"
    assert len(learner_page(one_check(message=message, mistake="m"))) < 50_000
    assert len(class_page([one_check(message=message, mistake="m" * 1_000_000)], **MADE)) < 50_000


def test_many_different_messages_are_counted():
    page = of_failures(*(f"wrong {i}" for i in range(1000)))
    assert len(page.texts(".message")) == 15
    assert "And 985 more" in page.texts("details")[0]


# Both


@pytest.mark.parametrize(
    "page", [Page(learner_page(whole("ada", 1, 0.5))), of_class(a_class(20))], ids=["learner", "class"]
)
def test_who_cannot_see_can_read_it(page):
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in page.tags if tag == "th")
    assert len(page.texts("caption")) == len(page.texts("table")) > 0
    assert page.texts("title")[0]
    assert ("html", {"lang": "en"}) in page.tags
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(one.get("aria-hidden") == "true" or one.get("role") == "img" for one in drawings)
    assert len(set(page.attributes("id"))) == len(page.attributes("id"))
    inside = {target[1:] for target in page.attributes("href") if target.startswith("#")}
    assert inside <= set(page.attributes("id"))


def _luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one, other):
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_differ_enough_to_be_read(scheme):
    style = of_learner("ada").texts("style")[0]
    colors = dict(re.findall(r"--(\w+): (#\w{6})", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]))
    for ink in ("ink", "faint", "link", "passed", "failed", "todo", "error"):
        # 4.5: what WCAG 2.2 AA asks of text; 3: of what is drawn.
        assert min(_contrast(colors[ink], colors[ground]) for ground in ("paper", "box")) >= 4.5, ink
    assert _contrast(colors["ink"], colors["mark"]) >= 4.5
    assert min(_contrast(colors["bar"], colors[ground]) for ground in ("paper", "track")) >= 3


def test_not_all_is_never_a_hundred_percent_and_somebody_is_never_none():
    said = {0: "0", 0.5: "under 1", 1: "1", 99.0: "99", 99.5: "over 99", 100: "100"}
    assert {percent: rounded(percent) for percent in said} == said


def test_numbers_have_two_decimals_at_most():
    assert [number(value) for value in (0, 0.005, 1.0, 54.36, 100.0, 1 / 3, 521, 10)] == [
        "0", "0.01", "1", "54.36", "100", "0.33", "521", "10",
    ]  # fmt: skip


def test_without_jinja2_the_words_say_what_to_install(monkeypatch):
    html.environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'write-your-own-llm\[instructor\]'"):
        learner_page(one_check())
