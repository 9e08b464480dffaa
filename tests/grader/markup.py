"""Pages taken apart: their tags, and the text of elements by class or tag."""

from html.parser import HTMLParser

from grader.reports import class_page, learner_page
from tests.grader.grades import check, exercise, graded, one_check, unit

VOID = {"meta", "link", "br", "rect", "line"}


class Page(HTMLParser):
    """What a browser would make of a page, as far as tests ask for it.

    Args:
        text: The page.
    """

    def __init__(self, text):
        super().__init__()
        self.tags = []  # (tag, attributes), in order
        self.found = []  # (tag, class, text) of each element, in the order of their beginnings
        self._open = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.found.append([tag, dict(attrs).get("class", ""), ""])
        if tag not in VOID:
            self._open.append((tag, self.found[-1]))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, element in self._open:
            element[2] += data

    @property
    def structure(self):
        """Tags, and attributes without the values that may differ."""
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]

    def texts(self, wanted):
        """The texts of all elements of a tag, or of a class where it begins with a dot."""
        return [
            text
            for tag, names, text in self.found
            if (wanted[1:] in names.split() if wanted[0] == "." else tag == wanted)
        ]

    def attributes(self, name):
        """All values of an attribute."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]


MADE = {"made": "2026-11-23 08:00 UTC", "kit": "1.2.3", "seeds": "a fresh one for each learner"}


def of_learner(*args, **rest):
    """The page of a learner with one check, as `one_check` takes it."""
    return Page(learner_page(one_check(*args, **rest)))


def of_class(grades, links=None):
    """The page of a class."""
    return Page(class_page(grades, **MADE, links=links))


def of_failures(*messages, mistake=""):
    """The page of a learner with one exercise that failed with these messages."""
    checks = [check(f"c{i}", "failed", message, mistake) for i, message in enumerate(messages)]
    return Page(learner_page(graded("ada", [unit("attention", [exercise("softmax", checks)])])))
