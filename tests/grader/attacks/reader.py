"""Poison the reader: what a terminal, a browser, a spreadsheet or a CI runner makes of a message."""

from tests.grader.attacks import Attack, instead

ESC = "\\x1b"


def says(id, text, expected=""):
    """An error with this text."""
    return Attack(id, instead(f'raise ValueError("{text}")'), says=expected)


ATTACKS = [
    says("terminal-colours", f"{ESC}[2J{ESC}[1;1H63 passed"),
    says("terminal-title", f"{ESC}]0;gotcha\\x07"),
    says("eight-bit-escapes", "\\x9b31mred"),
    says("backspaces", "failed\\x08\\x08\\x08\\x08\\x08\\x08passed"),
    says("carriage-return", "failed\\rpassed"),
    says("bidirectional", "\\u202epassed\\u2066\\u2069"),
    says("zero-width", "pass\\u200bed\\ufeff"),
    says("line-separators", "a\\u2028b\\u2029c\\x85d"),
    says("surrogate", "\\udc80\\ud83d"),
    says("null", "a\\0b"),
    says("workflow-command", "::error file=x::boom"),
    says("workflow-command-of-three-colons", ":::error::boom"),
    says("workflow-command-on-its-own-line", "x\\n::set-output name=score::63"),
    says("old-workflow-command", "##[error]boom"),
    says("pipelines-command", "##vso[task.complete result=Succeeded;]"),
    says("html", "<script>alert(1)</script>", "script"),
    says("formula", "=cmd|'/c calc'!A1", "cmd"),
    says("format", "%s%n{0.__class__}"),
    Attack(
        "class-name-with-escapes",
        f"Odd = type('O{ESC}[2J\\n::error::', (Exception,), {{}})\n" + instead("raise Odd('x')"),
    ),
    Attack("object-type-with-escapes", f"Odd = type('O{ESC}[2J\\n::error::', (), {{}})\n" + instead("return Odd()")),
    Attack("string-with-escapes", instead(f"return '{ESC}[2J::error::'")),
    Attack("attribute-with-escapes", instead(f"raise KeyError('{ESC}[2J\\n::error::')")),
    Attack("file-name-with-escapes", instead(f"exec(compile('1 / 0', 'exercises/{ESC}[2J\\n::error::', 'exec'))")),
    Attack("names-of-definitions", source="def ａttention(): pass\n".encode(), says="defines no causal_mask"),
    Attack("error-in-a-named-tuple", instead("raise ValueError(*['x'] * 9)")),
]
