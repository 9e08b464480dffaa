"""A name is given only when it is certain: work that is wrong in another way is not accused of a known mistake."""

import pytest

from grader.checking import suite
from grader.checking.oracle import solution_sources
from grader.checking.runner import Runner
from grader.checking.target import LocalTarget
from grader.curriculum import load
from grader.dev.selfcheck import variant


def outcomes(unit, exercise, edits, append=""):
    """What the checks of an exercise say of the solution with these edits."""
    text = solution_sources()[unit].text
    for old, new in edits.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    runner = Runner(LocalTarget(variant(load()[unit], f"{text}\n\n{append}\n")), seed=0)
    checks = [check for check in suite.collect(unit) if check.id.exercise.name == exercise]
    try:
        return [outcome for outcome, _ in (runner.run(check.id, check.body(0)) for check in checks)]
    finally:
        runner.target.close()


TIES_KEPT = """
def top_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, got {p}")
    if p == 1:
        return logits.clone()
    wide = _widen(logits)
    line = wide.sort(dim=-1, descending=True).values
    before = torch.softmax(line, dim=-1).cumsum(dim=-1) - torch.softmax(line, dim=-1)
    border = line.masked_fill(before >= p, torch.inf).amin(dim=-1, keepdim=True)
    return torch.where(wide >= border, logits, -torch.inf)
"""
EXP_OVERFLOWS = """
def cross_entropy(logits, targets, ignore_index=-100, label_smoothing=0.0):
    _check_shapes(logits, targets)
    kept = targets != ignore_index
    x = logits[kept]
    log_probabilities = x - torch.log(x.exp().sum(-1, keepdim=True))
    losses = -log_probabilities.gather(-1, targets[kept][:, None])[:, 0]
    if label_smoothing > 0:
        losses = (1 - label_smoothing) * losses - label_smoothing * log_probabilities.mean(dim=-1)
    return (losses.sum() / max(len(losses), 1)).to(logits.dtype)
"""
FIRST_SEEN = """
def train_bpe(text, vocab_size, special_tokens=()):
    least = 256 + len(special_tokens)
    if vocab_size < least:
        raise ValueError(f"vocab_size is {vocab_size}, needs at least {least}")
    vocab = {byte: bytes([byte]) for byte in range(256)}
    merges = []
    words = _count_words(text, special_tokens)
    for _ in range(vocab_size - least):
        stats = count_pairs(words)
        if not stats:
            break
        pair = max(stats, key=stats.get)
        new_id = len(vocab)
        vocab[new_id] = vocab[pair[0]] + vocab[pair[1]]
        merges.append((vocab[pair[0]], vocab[pair[1]]))
        words = {tuple(merge_pair(word, pair, new_id)): count for word, count in words.items()}
    for token in special_tokens:
        vocab[len(vocab)] = token.encode("utf-8")
    return vocab, merges
"""
CACHED = """
class Linear(Linear):
    def __init__(self, in_features, out_features, *, bias=True, generator=None):
        super().__init__(in_features, out_features, bias=bias, generator=generator)
        self._transposed = self.weight.detach().mT.clone()

    def forward(self, x):
        if x.shape[-1:] != (self.in_features,):
            raise ValueError(f"Linear expects a last axis of size {self.in_features}, got x of shape {tuple(x.shape)}")
        out = x @ self._transposed
        return out if self.bias is None else out + self.bias
"""
ONLY_TWO = """
def load_checkpoint(file, *, model, optimizer, loader, generator=None):
    saved = torch.load(file, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"]
"""
BATCHES_SHUFFLED = """
class ShufflingLoader(ShufflingLoader):
    def _order(self):
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        batches = torch.randperm(len(self), generator=generator).tolist()
        return [b * self.batch_size + i for b in batches for i in range(self.batch_size)]
"""

# Unit, exercise, edits of the solution, code at its end, and words of the sentence that must not be said.
ACCUSATIONS = {
    "ties kept by top_p": ("generation", "top_p", {}, TIES_KEPT, "returns zeros"),
    "exp in float16": ("loss", "cross_entropy", {}, EXP_OVERFLOWS, "calls torch's"),
    "logits themselves at temperature 1": (
        "generation",
        "temperature",
        {"return _widen(logits) / value": "return logits if value == 1 else _widen(logits) / value"},
        "",
        "in place",
    ),
    "RuntimeError for ValueError": (
        "generation",
        "top_k",
        {"if k < 1:\n        raise ValueError(": "if k < 1:\n        raise RuntimeError("},
        "",
        "not refused",
    ),
    "first of equal pairs": ("tokenizer", "train_bpe", {}, FIRST_SEEN, "by their bytes"),
    "clipping in the loop": (
        "training",
        "train_step",
        {
            "(loss * share).backward()": "(loss * share).backward()\n"
            "        norm = clip_grad_norm(model.parameters(), math.inf if max_norm is None else max_norm)",
            "    norm = clip_grad_norm(model.parameters(), math.inf if max_norm is None else max_norm)\n"
            "    optimizer.step()": "    optimizer.step()",
        },
        "",
        "norm after clipping",
    ),
    "half a checkpoint": ("training", "load_checkpoint", {}, ONLY_TWO, "the model's parameters"),
    "clamped variance": (
        "normalization",
        "LayerNorm",
        {"torch.sqrt(variance + self.eps)": "torch.sqrt(variance.clamp(min=self.eps))"},
        "",
        "eps is missing",
    ),
    "cached transposed weight": ("embedding", "Linear", {}, CACHED, "plain tensor"),
    "batches shuffled, not windows": ("data", "ShufflingLoader", {}, BATCHES_SHUFFLED, "shuffle them"),
    "starts clamped": (
        "data",
        "get_batch",
        {
            "torch.randint(len(tokens) - length, (batch_size,), generator=generator)": "torch.randint("
            "len(tokens), (batch_size,), generator=generator).clamp(max=len(tokens) - length - 1)"
        },
        "",
        "draw them with torch.randint",
    ),
    "key_length or query_length": (
        "position",
        "alibi_bias",
        {"key_length = query_length if key_length is None else key_length": "key_length = key_length or query_length"},
        "",
        "ignore key_length",
    ),
}


@pytest.mark.parametrize(("unit", "exercise", "edits", "append", "words"), ACCUSATIONS.values(), ids=ACCUSATIONS)
def test_wrong_work_is_not_accused_of_another_mistake(unit, exercise, edits, append, words):
    found = outcomes(unit, exercise, edits, append)
    assert [o for o in found if o.status == "error"] == []
    accused = {o.check: o.message for o in found if f"Known mistake: {words}" in o.message or words in o.message}
    assert accused == {}
