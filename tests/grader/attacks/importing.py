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
        says="ModuleNotFoundError|No module|Not allowed",
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
        before="import sys\nvars(sys)['mod' + 'ules']['gra' + 'der.sandbox.worker.audit']._note = lambda *a: None\n",
    ),
    by(
        "watch-emptied-through-frames",
        "import sys\nout, frame = scores.softmax(dim), sys._getframe()\nwhile frame:\n    if 'seen' in frame.f_locals: frame.f_locals['seen'].used.clear()\n    frame = frame.f_back\nreturn out",
    ),
    by(
        "computed-at-import",
        "return table.get(tuple(scores.shape), scores)",
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
    # torch by another name, or its own implementations in Python
    by(
        "cumulative",
        "return (scores - torch.logcumsumexp(scores.movedim(dim, -1), -1)[..., -1:].movedim(-1, dim)).exp()",
    ),
    by("cumulative-method", "return (scores - scores.logcumsumexp(dim).amax(dim, keepdim=True)).exp()"),
    by(
        "two-at-a-time",
        "import functools\nreturn (scores - functools.reduce(lambda a, b: a.logaddexp(b), scores.split(1, dim))).exp()",
    ),
    by("masked", "return torch.masked.softmax(scores, dim)"),
    by("sparse", "return torch.sparse.softmax(scores.to_sparse(), dim).to_dense()"),
    by("deep-module", "return nn.modules.activation.Softmax(dim)(scores)"),
    by("references", "import torch._refs as r\nreturn r.softmax(scores, dim)"),
    by("references-of-functional", "from torch._refs.nn.functional import softmax as s\nreturn s(scores, dim)"),
    by("decompositions", "import torch._decomp.decompositions as d\nreturn d._softmax(scores, dim, False)"),
    by(
        "decompositions-by-pkgutil",
        "import pkgutil\nreturn pkgutil.resolve_name('torch._decomp.decompositions')._softmax(scores, dim, False)",
    ),
    by(
        "decompositions-by-a-text-in-pieces",
        "n = ''.join(['tor', 'ch', '.', '_de', 'comp'])\nreturn t(n + '.decompositions')._softmax(scores, dim, False)",
        before="from logging.config import ConvertingDict\nimport logging.config\nt = logging.config.BaseConfigurator({}).resolve\n",
    ),
    by(
        "references-seen-only-as-they-run",
        "r = dict(vars_of(torch))['_re' + 'fs']\nreturn r.softmax(scores, dim)",
        before="vars_of = lambda m: [(n, getattr(m, n)) for n in dir(m) if n.startswith('_r')]\n",
        says="Not allowed|did not answer",  # its first use imports for seconds
    ),
    by(
        "masked-seen-only-as-it-runs",
        "f = [getattr(m, n) for m in [torch] for n in dir(m) if n.startswith('mask') and n.endswith('ed')][0]\nreturn f.softmax(scores, dim)",
    ),
    by("pickled", "import pickle\nreturn pickle.loads(b'ctorch\\nsoftmax\\n.')(scores, dim)"),
    by("methodcaller", "import operator\nreturn operator.methodcaller('soft' + 'max', dim)(scores)"),
    by(
        "gradient-of-a-sum",
        "wide = scores.double().detach().requires_grad_()\nwith torch.enable_grad(): total = getattr(wide, 'logsum' + 'exp')(dim).sum()\nreturn torch.autograd.grad(total, wide)[0].to(scores.dtype)",
    ),
    by("scipy", "from scipy.special import softmax as s\nreturn torch.from_numpy(s(scores.numpy(), axis=dim))"),
    # Outside of the watch
    by(
        "in-detach-of-a-class-of-tensors",
        "out = scores.clone()\nout.__class__ = T\nreturn out",
        before="T = type('T', (torch.Tensor,), {'detach': lambda self: torch.Tensor.soft_max(self)})\n",
        says="Not allowed|cannot cross",
    ),
    by(
        "class-of-tensors-in-plain-sight",
        "return T(scores)",
        before="class T(torch.Tensor):\n    def detach(self): return torch.softmax(self.as_subclass(torch.Tensor), -1)\n",
    ),
    by(
        "in-a-property-of-the-answer",
        "return Lazy(scores, dim)",
        before="class Lazy(list):\n    def __init__(self, s, d): self.s, self.d = s, d\n    def __iter__(self): return iter([self.s.softmax(self.d)])\n",
        says="Not allowed|attention.softmax",
    ),
    by(
        "the-watch-patched-at-import",
        "return scores.softmax(dim)",
        before="import sys\nW = [m for n, m in vars(sys)['mod' + 'ules'].items() if n.endswith('.audit')][0]\nW._Sight.look = lambda *a: None\n",
    ),
    by(
        "the-watch-patched-where-nobody-reads",
        "return scores.softmax(dim)",
        before="def _patch():\n    import warnings\n    W = [m for n, m in getattr(warnings, 's' + 'ys').__getattribute__('mod' + 'ules').items() if n.endswith('.audit')][0]\n    W._Sight.look = lambda *a: None\n_patch()\n",
    ),
    by(
        "modes-taken-off",
        "from torch.overrides import _pop_mode\nmode = _pop_mode()\nreturn scores.softmax(dim)",
    ),
    # Modules of one's own
    *(
        Attack(
            f"helper-{name}",
            f"{line}\ndef softmax(scores, dim):\n    return {call}(scores, dim)\n",
            says=r"Not allowed in this exercise: torch.nn.functional.softmax \(\w+/mine.py:4\)",
            exercise="softmax",
            files={
                "exercises/mine.py": b"import torch.nn.functional as F\n\ndef soft(x, d):\n    return F.softmax(x, d)\n"
            },
        )
        for name, line, call in (
            ("relative", "from .mine import soft", "soft"),
            ("star", "from exercises.mine import *", "soft"),
            ("module", "from . import mine", "mine.soft"),
        )
    ),
    Attack(
        "helper-that-never-names-it",
        "from .mine import soft\ndef softmax(scores, dim):\n    return soft(scores, dim)\n",
        says=r"Not allowed in this exercise: torch.softmax \(exercises/mine.py:2\)",
        exercise="softmax",
        files={"exercises/mine.py": b"def soft(x, d):\n    return x.softmax(d)\n"},
    ),
    *(
        Attack(
            f"optimizer-{name}",
            f"{line}\nclass AdamW({base}):\n    pass\n",
            says=NOT_ALLOWED,
            unit="optim",
            exercise="AdamW",
        )
        for name, line, base in (
            ("by-its-module", "from torch.optim.adamw import AdamW as A", "A"),
            ("by-the-package", "import torch.optim as o", "o.NAdam"),
            ("by-a-text", "import pkgutil", "pkgutil.resolve_name('torch.optim:AdamW')"),
        )
    ),
    Attack(
        "optimizer-by-its-function",
        "class AdamW(AdamW):\n    def step(self):\n        from torch.optim.adamw import adamw\n",
        says=NOT_ALLOWED,
        unit="optim",
        exercise="AdamW",
    ),
    Attack(
        "optimizer-seen-only-as-it-runs",
        """
class AdamW(AdamW):
    def step(self):
        o = [getattr(torch, n) for n in dir(torch) if n.startswith("opt") and n.endswith("im")][0]
        A = [getattr(o, n) for n in dir(o) if n == "Ada" + "mW"][0]
        a = A([p for g in self.param_groups for p in g["params"]], lr=self.param_groups[0]["lr"])
        a.step()
""",
        says=NOT_ALLOWED,
        unit="optim",
        exercise="AdamW",
    ),
]
