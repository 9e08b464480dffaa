"""Copies are found however they are disguised; people who worked on their own are left in peace."""

import ast
import builtins
import sys
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

pytest.importorskip("copydetect", reason="the extra [instructor] is not installed")

from grader.cli.main import app
from grader.curriculum.submission import KIT, File, Submission, from_bytes
from grader.reports.alike import alike_html, alike_text
from grader.similarity.fingerprints import Pair, alike
from grader.similarity.normalize import own_code

UNITS = ("attention", "optim", "loss", "data")
RIGHT = {unit: (KIT / "solutions" / f"{unit}.py").read_text(encoding="utf-8") for unit in UNITS}
STUBS = {unit: (KIT / "exercises" / f"{unit}.py").read_text(encoding="utf-8") for unit in UNITS}


def handed_in(name, texts):
    return Submission(name, {unit: from_bytes(f"{unit}.py", text.encode()) for unit, text in texts.items()})


def names_of(unit, index):
    """The kit's right alternatives, the index-th of each exercise: somebody who worked on their own."""
    chosen, seen = [], {}
    for node in ast.parse((KIT / "tests" / "alternatives" / f"{unit}.py").read_text(encoding="utf-8")).body:
        for mark in getattr(node, "decorator_list", []):
            if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "alternative":
                exercise = ast.literal_eval(mark.args[0])
                if seen.setdefault(exercise, 0) == index:
                    node.name, node.decorator_list = exercise, []
                    chosen.append(node)
                seen[exercise] += 1
    return chosen


def independent(index):
    return handed_in(f"learner {index}", {unit: "\n\n".join(map(ast.unparse, names_of(unit, index))) for unit in UNITS})


class Disguise(ast.NodeTransformer):
    """Other names for everything that is the learner's own, no annotations."""

    def other(self, name):
        return name if name in {"self", "torch", "nn", "math"} | set(dir(builtins)) else f"x_{name[::-1]}"

    def visit_Name(self, node):
        return ast.Name(self.other(node.id), node.ctx)

    def visit_arg(self, node):
        return ast.arg(self.other(node.arg))


def disguised(submission, name="copycat"):
    """Renamed, reordered, laid out anew, with other comments."""
    texts = {}
    for unit, file in submission.files.items():
        tree = ast.parse(file.text)
        tree.body.reverse()
        tree = ast.fix_missing_locations(Disguise().visit(tree))
        texts[unit] = "# All my own work.\n\n\n" + ast.unparse(tree).replace("\n", "  # yes\n\n")
    return handed_in(name, texts)


def found(*submissions, **options):
    return alike({one.name: one for one in submissions}, UNITS, **options)


def test_people_who_worked_on_their_own_are_left_in_peace():
    # 0.35 and not less: the kit's alternatives of a unit share the helper that refuses integer tensors.
    assert found(*(independent(index) for index in range(4)), least=0.35) == []


@pytest.mark.parametrize("index", range(3))
def test_disguised_copy_is_found_in_every_unit(index):
    pairs = found(independent(index), disguised(independent(index)), independent(index + 1))
    assert {pair.unit for pair in pairs} == set(UNITS)
    assert {(pair.left, pair.right) for pair in pairs} == {("copycat", f"learner {index}")}
    assert min(pair.similarity for pair in pairs) > 0.85


def test_part_of_a_copy_is_found_too():
    own, other = independent(0), disguised(independent(1))
    mixed = handed_in("mixed", {"optim": own.files["optim"].text + "\n" + other.files["optim"].text})
    (pair,) = found(mixed, independent(1))
    assert (pair.left, pair.right, pair.unit) == ("learner 1", "mixed", "optim")


def test_what_was_handed_out_is_nobodys():
    assert found(handed_in("a", STUBS), handed_in("b", STUBS), least=0.01) == []


def test_the_books_own_answer_is_nobodys():
    assert found(handed_in("a", RIGHT), handed_in("b", RIGHT), least=0.01) == []


def test_what_much_of_a_class_has_is_nobodys():
    same = independent(0).files["attention"].text
    class_ = [handed_in(f"learner {number}", {"attention": same}) for number in range(12)]
    assert found(*class_, least=0.01) == []
    assert found(*class_[:5])


def test_lines_are_those_of_the_files():
    text = independent(0).files["attention"].text
    low = handed_in("low", {"attention": "\n" * 100 + text})
    (pair,) = found(handed_in("high", {"attention": text}), low)
    assert [(first + 100, last + 100) for first, last in pair.left_lines] == list(pair.right_lines)
    assert pair.left_lines[-1][1] <= len(text.splitlines())


@pytest.mark.parametrize(
    "text",
    ["x = (", "x = " + "-" * 300 + "1", "x = 0x" + "f" * 9000, "x = " + "(" * 90 + ")" * 90, ""],
    ids=["syntax error", "deep", "long number", "nested", "empty"],
)
def test_odd_files_stop_nothing(text):
    other = independent(0)
    odd = Submission("odd", {**other.files, "attention": from_bytes("attention.py", text.encode())})
    assert {pair.unit for pair in found(odd, other)} == set(UNITS) - {"attention"}


def test_own_code_forgets_names_comments_texts_and_annotations():
    one = 'def f(a: int) -> int:\n    """Doc."""\n    b = a.sum(-1)  # why\n    return torch.exp(b + len("x"))\n'
    two = "def g(q):\n    z = (q\n        .sum(-1))\n    return torch.exp(z + len('other'))\n"
    assert own_code(from_bytes("a.py", one.encode())).text == own_code(from_bytes("a.py", two.encode())).text
    assert "v.sum(-1)" in own_code(from_bytes("a.py", one.encode())).text


def test_page_shows_what_learners_wrote_and_obeys_none_of_it():
    text = "</pre><script>alert(1)</script> \x1b[31m \u202e\n"
    both = {name: handed_in(name, {"loss": text}) for name in ("<b>anna</b>", "bert")}
    both["<b>anna</b>"] = Submission("<b>anna</b>", {"loss": from_bytes("loss.py", b"#")})
    pair = Pair("<b>anna</b>", "bert", "loss", 0.9, 200, ((1, 1),), ((1, 1),))
    page = alike_html([pair], both)
    assert "<script" not in page
    assert "<b>anna</b></b>" not in page
    assert not {"\x1b", "\u202e"} & set(page)


def test_table_shows_names_as_they_are():
    console = Console(file=StringIO(), width=100)
    console.print(alike_text([Pair("[red]anna", "bert", "loss", 0.914, 200, ((3, 9), (12, 12)), ((1, 2),))]))
    shown = console.file.getvalue()
    assert "91%" in shown
    assert "[red]anna" in shown
    assert "3-9, 12" in shown


@pytest.fixture
def command():
    return lambda *arguments: CliRunner().invoke(app, ["course", "similar", *map(str, arguments)])


def test_command_reads_a_class_and_writes_a_page(tmp_path, command):
    for one in (independent(0), disguised(independent(0)), independent(1)):
        (tmp_path / "class" / one.name).mkdir(parents=True)
        for unit, file in one.files.items():
            (tmp_path / "class" / one.name / f"{unit}.py").write_text(file.text, encoding="utf-8")
    (tmp_path / "class" / "nothing").mkdir()
    done = command(tmp_path / "class", "--unit", "attention", "--html", tmp_path / "page.html")
    assert done.exit_code == 0
    assert "copycat" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "learner 1" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_command_says_what_is_wrong(tmp_path, command):
    assert command(tmp_path).exit_code == 2
    assert command(tmp_path / "none").exit_code == 2
    assert command(tmp_path, "--unit", "poetry").exit_code == 2


def test_missing_tool_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "copydetect", None)
    with pytest.raises(ValueError, match=r"needs copydetect: .*\[instructor\]"):
        found(independent(0))


def test_code_that_is_nested_deep_is_compared_as_it_stands():
    text = "if a:\n    b = 1\n" + "elif c:\n    d = 2\n" * 900 + f"f = {'lambda: ' * 600}0\n"
    code = own_code(File("attention.py", text))
    assert code.text.startswith("ifa:;b=1;elifc:;d=2;")
    assert code.lines[2] == (3, 3)
    assert code.text[code.starts[2] :].startswith("elifc:;")
    assert own_code(File("attention.py", f"raise ValueError({'-' * 800}1)\nx = 1\n")).text
