"""Cache answers, detect the grader, disturb the random numbers or the inputs."""

from tests.grader.attacks import BLIND, Attack, first, instead

ATTACKS = [
    Attack(
        "first-answer-again",
        "_kept = []\n" + first("if _kept: return _kept[0]\n_kept.append(_right(*args, **kwargs))"),
        "base",
        base="_right = causal_mask\ndef causal_mask(query_length, key_length=None, device=None):\n    return _right(query_length, key_length) if query_length == 4 else None",
    ),
    Attack(
        "cached-by-id",
        "_kept = {}\n_right = softmax\ndef softmax(scores, dim):\n    return _kept.setdefault(id(scores), _right(scores, dim))",
        "base",
        exercise="softmax",
    ),
    Attack("recognises-the-seed", "if torch.initial_seed() in (0, 7): causal_mask = None", "all"),
    Attack(
        "detects-the-grader",
        "import os, sys\nif 'PYTEST_CURRENT_TEST' in os.environ or 'pytest' in ' '.join(sys.argv) or 'pytest' in sys.modules: causal_mask = None",
        "all",
    ),
    Attack(
        "patched-random-numbers",
        "torch.manual_seed = torch.randn = torch.rand = lambda *a, **k: None\ntorch.Generator = None",
        "all",
    ),
    Attack(
        "inputs-changed-in-place",
        "_wrong = softmax\ndef softmax(scores, dim):\n    out = _wrong(scores, dim)\n    scores.data.zero_()\n    return out",
        "base",
        base="_right = softmax\ndef softmax(scores, dim):\n    out = _right(scores, dim)\n    scores.data.mul_(0.5)\n    return out",
        says="must not change",
        exercise="softmax",
    ),
    Attack(
        "inputs-resized",
        "_right = softmax\ndef softmax(scores, dim):\n    out = _right(scores, dim)\n    scores.data = scores.data[:0]\n    return out",
        says="gradient differs|differs in shape|must not change",
        exercise="softmax",
    ),
    Attack(
        "different-every-time",
        "import random\n" + instead("return torch.rand(args[0], args[-1] or args[0]) > random.random()"),
        "base",
        base=BLIND,
        says="causal_mask",
    ),
]
