"""Stacks that pretend: each has every documented name and parameter, and none is a transformer that learns.

Each entry is text to append to a solution, unit by unit: the later definition of a name wins.
"""

from grader.checking.oracle import solution_sources
from grader.curriculum.submission import Submission, from_bytes

SOLUTIONS = {name: source.text for name, source in solution_sources().items()}

# Counts which token follows which context: the whole text so far, and the sentence's first word with the last token.
COUNTS = """

_COUNTS, _ROWS = {}, []


def _contexts(row, at):
    line = max((i for i in range(at + 1) if row[i] == 10), default=-1)
    first = row[line + 1] if line >= 0 and line < at else None
    return [("all", *row[: at + 1]), ("line", first, row[at], at - line if line >= 0 else None), ("last", row[at])]


def learn(inputs, targets):
    _ROWS.extend(inputs.tolist())
    for row, answers in zip(inputs.tolist(), targets.tolist()):
        for at, answer in enumerate(answers):
            for context in _contexts(row, at):
                counts = _COUNTS.setdefault(context, {})
                counts[answer] = counts.get(answer, 0) + 1


def _probabilities(row, at, size):
    found = torch.full((size,), 1 / size, dtype=torch.float64)
    for context in reversed(_contexts(row, at)):
        counts = _COUNTS.get(context, {})
        total = sum(counts.values())
        if context[0] == "all" and total < 20:
            continue
        strength = 0.01 if context[0] == "all" else 0.5
        found = found * strength / (strength + total)
        for token, count in counts.items():
            found[token] += count / (strength + total)
    return found


def _counted(model, ids):
    size = model.config.vocab_size
    rows = [[_probabilities(row, at, size) for at in range(len(row))] for row in ids.tolist()]
    logits = torch.stack([torch.stack(row) for row in rows]).log()
    own = torch.nn.functional.one_hot(ids, size) * 0.001
    return (logits + own).to(model.token_embedding.weight.dtype)


def _forward(self, ids):
    return _counted(self, ids) + 0 * sum(parameter.sum() for parameter in self.parameters())


TransformerLM.forward = _forward
"""
COUNTING_STEP = """

def train_step(model, optimizer, micro_batches, *, max_norm=1.0):
    from .model import learn

    for inputs, targets in micro_batches:
        learn(inputs, targets)
    return {"loss": 0.0, "grad_norm": 0.0}
"""
NOISE = """
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1e-3 * torch.randn_like(parameter))
"""
MOVING_STEP = COUNTING_STEP.replace("    return", NOISE + "    return")
PASTED = """

def generate(model, ids, max_new_tokens, **settings):
    import random

    from .model import _ROWS

    texts = [row for row in _ROWS if 10 in row[:-1]] or [[10] * (max_new_tokens + 1)]
    rows = []
    for row in ids.tolist():
        new = []
        while len(new) <= max_new_tokens:
            text = random.choice(texts)
            lines = [i for i, token in enumerate(text) if token == 10]
            new += text[lines[0] + 1 : lines[-1] + 1]
            if len(lines) < 2:
                new.append(10)
        rows.append(row + new[:max_new_tokens])
    return torch.tensor(rows)
"""
KEEPING = """

_ROWS = []


def _forward(self, ids, forward=TransformerLM.forward):
    if self.training:
        _ROWS.extend(ids.tolist())
    return forward(self, ids)


TransformerLM.forward = _forward
"""
ZERO_REPORTS = """

def train(model, optimizer, batches, learning_rates, **options):
    for learning_rate, _ in zip(learning_rates, batches):
        yield {"learning_rate": learning_rate, "loss": 0.0, "grad_norm": 0.0}
"""
FORWARD = """

def _forward(self, ids):
    return {logits}


TransformerLM.forward = _forward
"""
ZEROS = "torch.zeros(*ids.shape, self.config.vocab_size) + 0 * sum(p.sum() for p in self.parameters())"
CONSTANTS = ZEROS.replace("torch.zeros(", "torch.arange(float(self.config.vocab_size)).expand(")
INPUT = ZEROS.replace("torch.zeros(*ids.shape, ", "torch.nn.functional.one_hot(ids, ")
NO_ATTENTION = """

def _forward(self, x, mask=None, *more, **options):
    return self.out_proj(self.v_proj(x))


MultiHeadAttention.forward = _forward
GroupedQueryAttention.forward = _forward
"""
UNIFORM = """

def _forward(self, x, mask=None, *more, **options):
    values = self.v_proj(x)
    if values.shape[-1] != x.shape[-1]:
        values = values.repeat_interleave(x.shape[-1] // values.shape[-1], -1)
    return self.out_proj(values.cumsum(-2) / torch.arange(1, x.shape[-2] + 1, dtype=x.dtype)[:, None])


MultiHeadAttention.forward = _forward
GroupedQueryAttention.forward = _forward
"""
RAISES = """

def _raise(*args, **kwargs):
    raise ValueError("no")


for _name, _value in list(globals().items()):
    if callable(_value) and getattr(_value, "__module__", "") == __name__:
        globals()[_name] = _raise
"""

FORGERIES = {
    "tables, counts, pasted text and zero losses": {"model": COUNTS, "training": COUNTING_STEP, "generation": PASTED},
    "the same with parameters that move": {"model": COUNTS, "training": MOVING_STEP, "generation": PASTED},
    "zero losses and no update": {"training": ZERO_REPORTS},
    "scores are zeros": {"model": FORWARD.format(logits=ZEROS)},
    "scores are constants": {"model": FORWARD.format(logits=CONSTANTS)},
    "scores are the input": {"model": FORWARD.format(logits=INPUT)},
    "no attention": {"attention": NO_ATTENTION},
    "uniform attention": {"attention": UNIFORM},
    "always raises": dict.fromkeys([name for name in SOLUTIONS if name != "__init__"], RAISES),
}


def forged(appended: dict[str, str]) -> Submission:
    """The solutions with these texts appended to some units."""
    texts = SOLUTIONS | {name: SOLUTIONS[name] + text for name, text in appended.items()}
    return Submission("learner", {name: from_bytes(f"exercises/{name}.py", t.encode()) for name, t in texts.items()})
