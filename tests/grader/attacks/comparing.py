"""Bend the comparison: values that pretend to be equal."""

from tests.grader.attacks import BLIND, UNIFORM, Attack, first, instead

LIAR = """
class Liar:
    shape, dtype, requires_grad = torch.Size([4, 4]), torch.bool, False
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 4
    def __getitem__(self, key): return self
    def __getattr__(self, name): return lambda *a, **k: self
    def __array_function__(self, *a): return True
    def __array__(self, *a, **k): return torch.ones(4, 4).numpy()
    @classmethod
    def __torch_function__(cls, *a, **k): return True
"""
SUBCLASS = """
class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func.__name__ in ('isclose', 'allclose', 'equal', '__eq__'):
            return torch.tensor(True)
        return super().__torch_function__(func, types, args, kwargs or {})
"""

SOFTMAX = {"exercise": "softmax"}
ATTACKS = [
    Attack(
        "patched-allclose",
        "torch.allclose = torch.equal = lambda *a, **k: True\ntorch.isclose = lambda a, *r, **k: torch.ones_like(a, dtype=torch.bool)",
        "base",
        base=BLIND,
    ),
    Attack(
        "patched-testing",
        "import torch.testing, numpy.testing\ntorch.testing.assert_close = numpy.testing.assert_allclose = lambda *a, **k: None",
        "base",
        base=BLIND,
    ),
    Attack("patched-gradcheck", "torch.autograd.gradcheck = lambda *a, **k: True", "base", base=UNIFORM, **SOFTMAX),
    Attack("object-equal-to-everything", LIAR + instead("return Liar()"), says="object of type Liar|Liar|shape"),
    Attack(
        "object-equal-to-everything-as-shares",
        LIAR + instead("return Liar()", "softmax"),
        says="Liar|Not allowed in this exercise: __torch_function__",
        **SOFTMAX,
    ),
    Attack(
        "tensor-subclass", SUBCLASS + instead("return torch.ones(4, 4).as_subclass(Liar)"), says="a Liar cannot cross"
    ),
    Attack(
        "tensor-subclass-with-a-lying-shape",
        "class Liar(torch.Tensor):\n    shape = torch.Size([4, 4])\n"
        + instead("return torch.ones(1).as_subclass(Liar)"),
        says="causal_mask",
    ),
    Attack(
        "float-subclass",
        "class Liar(float):\n    def __eq__(self, other): return True\n    __hash__ = None\n"
        + instead("return Liar(1)"),
        says="float|expected",
    ),
    Attack("string-for-a-tensor", instead("return 'tensor([[True]])'"), says="expected"),
    Attack("list-for-a-tensor", first("return _right(*args, **kwargs).tolist()"), says="list"),
    Attack(
        "array-for-a-tensor", first("return _right(*args, **kwargs).numpy()"), says="object of type ndarray|ndarray"
    ),
    Attack(
        "all-nan",
        instead("return args[0] * float('nan')", "softmax"),
        "base",
        base=instead("return torch.full_like(args[0], float('nan'))", "softmax"),
        says="nan",
        **SOFTMAX,
    ),
    Attack(
        "half-precision-to-widen-the-tolerance",
        first("return (_right(*args, **kwargs) + 0.001).half()", "softmax"),
        "nothing",
        says="dtype",
        **SOFTMAX,
    ),
    Attack("broadcastable-shape", instead("return torch.ones((), dtype=torch.bool)"), says="shape"),
    Attack("extra-axis", first("return _right(*args, **kwargs)[None]"), says="shape"),
    Attack("integers-for-booleans", first("return _right(*args, **kwargs).long()"), says="dtype"),
    Attack(
        "zero-strides",
        "_right = causal_mask\ndef causal_mask(*a, **k):\n    mask = _right(*a, **k)\n    return mask.clone().as_strided(mask.shape, mask.stride()) if mask.numel() else mask",
        "all",
    ),
    Attack(
        "overlapping-storage",
        instead("return torch.zeros(1, dtype=torch.bool).expand(args[0], args[-1] or args[0])"),
        "base",
        base=BLIND,
    ),
    Attack(
        "a-graph-to-nowhere",
        "_wrong = softmax\ndef softmax(scores, dim):\n    return _wrong(scores.detach(), dim) + torch.zeros((), requires_grad=True)",
        "base",
        base="_right = softmax\ndef softmax(scores, dim):\n    return _right(scores.detach(), dim)",
        says="gradient",
        **SOFTMAX,
    ),
    Attack(
        "false-gradient",
        "class Odd(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x): return x.clone()\n    @staticmethod\n    def backward(ctx, g): return g * 0 + 1\n_wrong = softmax\ndef softmax(scores, dim):\n    return Odd.apply(_wrong(scores, dim))",
        "base",
        base="_right = softmax\ndef softmax(scores, dim):\n    return _right(scores.detach(), dim)",
        says="gradient",
        **SOFTMAX,
    ),
    Attack("sparse", first("return _right(*args, **kwargs).to_sparse()"), says="cannot cross"),
    Attack("complex", instead("return torch.zeros(4, 4, dtype=torch.complex64)"), says="cannot cross"),
    Attack(
        "meta-tensor",
        instead("return torch.zeros(4, 4, dtype=torch.bool, device='meta')"),
        says="meta|Cannot copy|no data",
    ),
    Attack("module-for-a-value", instead("return nn.Linear(2, 2)"), says="expected|module"),
    Attack("default-dtype", "torch.set_default_dtype(torch.float16)", "all"),
    Attack(
        "no-grad-for-ever", "torch.set_grad_enabled(False)\ntorch.autograd.set_grad_enabled(False)", "all", **SOFTMAX
    ),
    Attack(
        "lazy-answer",
        "class Later:\n    def __init__(self, *a): self.a = a\n    def sum(self, *a): return torch.ones(())\n    def __getitem__(self, key): return torch.zeros(())\n"
        + instead("return Later()", "softmax"),
        "nothing",
        says="Later",
        **SOFTMAX,
    ),
]
