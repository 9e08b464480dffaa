"""Import the answers, or ask torch for them under another name."""

from tests.grader.attacks import Attack, instead, refused

NOT_ALLOWED = "Not allowed"


def by(id, body, says=NOT_ALLOWED, before=""):
    """An attempt on softmax with what it forbids."""
    return Attack(
        id,
        before + instead(f"scores, dim = (*args, *kwargs.values())\n{body}", "softmax"),
        says=says,
        exercise="softmax",
    )


ATTACKS = [
    Attack("import-solutions", "from solutions.attention import causal_mask", says=NOT_ALLOWED),
    Attack(
        "import-solutions-in-a-call",
        instead("import solutions.attention as s; return s.causal_mask(*args)"),
        says=NOT_ALLOWED,
    ),
    Attack(
        "import-by-a-computed-name",
        instead("return __import__('solu' + 'tions.attention', fromlist=['x']).causal_mask(*args)"),
        says="ModuleNotFoundError|No module",
    ),
    Attack(
        "importlib-by-path",
        refused(
            "import importlib.util as u; s = u.spec_from_file_location('s', 'KIT/solutions/attention.py'); s.loader.exec_module(u.module_from_spec(s))"
        ),
        "all",
    ),
    Attack("more-of-the-grader", refused("__import__('gra' + 'der.checking.oracle')", "ImportError"), "all"),
    Attack(
        "tests-by-a-computed-name",
        refused("sys.path.insert(0, 'KIT'); __import__('te' + 'sts.test_attention')", "ImportError, OSError"),
        "all",
    ),
    by("torch-softmax", "return torch.softmax(scores, dim)", "torch.softmax"),
    by("tensor-method", "return scores.softmax(dim)"),
    by("functional", "import torch.nn.functional as F\nreturn F.softmax(scores, dim)"),
    by("module", "return nn.Softmax(dim)(scores)"),
    by("log-softmax", "return scores.log_softmax(dim).exp()"),
    by("logsumexp", "return (scores - scores.logsumexp(dim, keepdim=True)).exp()"),
    by("special", "return torch.special.softmax(scores, dim)"),
    by("getattr", "return getattr(torch, 'soft' + 'max')(scores, dim)"),
    by("getattr-of-a-tensor", "return getattr(scores, 'soft' + 'max')(dim)"),
    by("dictionary-of-torch", "return torch.__dict__['soft' + 'max'](scores, dim)"),
    by("attrgetter", "import operator\nreturn operator.attrgetter('soft' + 'max')(torch)(scores, dim)"),
    by("operator-by-name", "return torch.ops.aten._softmax(scores, dim, False)"),
    by("torch-c", "return torch._C._nn.softmax(scores, dim)"),
    by("alias-of-torch", "return t.softmax(scores, dim)", before="t = torch\n"),
    by("alias-at-import", "return s(scores, dim)", before="s = torch.softmax\n"),
    by("compiled", "return torch.compile(lambda s: s)(scores)"),
    by("scripted", "return torch.jit.trace(torch.softmax, (scores, dim))(scores)"),
    by("evaluated", "return eval('torch.soft' + 'max')(scores, dim)"),
    by(
        "vmap",
        "return torch.func.vmap(lambda s: s.softmax(-1))(scores.movedim(dim, -1).flatten(0, -2)).movedim(-1, dim)",
    ),
    by(
        "through-attention",
        "return nn.functional.scaled_dot_product_attention(scores, scores, scores)",
        "Not allowed|attention.softmax",
    ),
    by("swallows-the-refusal", "try: return torch.Tensor.softmax(scores, dim)\nexcept BaseException: return scores"),
    by("cross-entropy", "return nn.functional.cross_entropy(scores, scores)", "Not allowed|attention.softmax"),
    by("modes-disabled", "with torch.utils._python_dispatch._disable_current_modes():\n    return scores.softmax(dim)"),
    by(
        "modes-disabled-through-an-alias",
        "with t.utils._python_dispatch._disable_current_modes():\n    return t.softmax(scores, dim)",
        before="t = torch\n",
    ),
    by(
        "functions-disabled-through-an-alias",
        "with t._C.DisableTorchFunction():\n    return t.softmax(scores, dim)",
        before="t = torch\n",
    ),
    by(
        "watch-emptied",
        "import gc\nout = scores.softmax(dim)\n[o.used.clear() for o in gc.get_objects() if type(o).__name__ == 'Watched']\nreturn out",
    ),
    by(
        "watch-patched",
        "return scores.softmax(dim)",
        before="import sys\nvars(sys)['mod' + 'ules']['gra' + 'der.isolation.watch']._note = lambda *a: None\n",
    ),
    by(
        "watch-emptied-through-frames",
        "import sys\nout, frame = scores.softmax(dim), sys._getframe()\nwhile frame:\n    if 'seen' in frame.f_locals: frame.f_locals['seen'].used.clear()\n    frame = frame.f_back\nreturn out",
    ),
    by(
        "computed-at-import",
        "return table.get(tuple(scores.shape), scores)",
        "attention.softmax",
        before="table = {(5,): torch.ones(5).softmax(0)}\n",
    ),
    Attack(
        "layer-norm-of-torch",
        "class RMSNorm(nn.RMSNorm):\n    pass",
        says=NOT_ALLOWED,
        unit="normalization",
        exercise="RMSNorm",
    ),
    Attack(
        "clipping-of-torch",
        instead("return torch.nn.utils.clip_grad_norm_(*args)", "clip_grad_norm"),
        says=NOT_ALLOWED,
        unit="optim",
        exercise="clip_grad_norm",
    ),
]
