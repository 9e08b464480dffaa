"""Known mistakes in `embedding`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# Lines of the solution that the mistakes replace; each occurs there once.
DRAW = "return torch.randn(shape, generator=generator, dtype=torch.float32) * std"

TABLE = "self.weight = nn.Parameter(init_normal((num_embeddings, d_model), 0.02, generator=generator))"
ROWS = "rows = ids.long()"
OUTSIDE = "outside = rows[(rows < 0) | (rows >= self.num_embeddings)]"
ASKED_OUTSIDE = "if outside.numel() > 0:"
LOOKUP = "return self.weight[rows]"

STD = "std = in_features**-0.5"
MATRIX = "self.weight = nn.Parameter(init_normal((out_features, in_features), std, generator=generator))"
BIAS = 'self.register_parameter("bias", nn.Parameter(torch.zeros(out_features, dtype=torch.float32)) if bias else None)'
ASKED_SIZE = "if x.shape[-1:] != (self.in_features,):  #"
PRODUCT = "out = x @ self.weight.mT"
SUM = "return out if self.bias is None else out + self.bias"

Edits = dict[str, str]


def _draw(id: str, says: str, new: str) -> Mistake:
    return Mistake(id, "init_normal", says, {DRAW: new})


def _table(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(id, "Embedding", says, edits)


def _map(id: str, says: str, edits: Edits) -> Mistake:
    return Mistake(id, "Linear", says, edits)


def _both(id: str, says: str, change: tuple[str, str]) -> list[Mistake]:
    """One mistake that can be made in the line of either layer that makes the weight."""
    return [
        _table(f"table-{id}", says, {TABLE: TABLE.replace(*change)}),
        _map(id, says, {MATRIX: MATRIX.replace(*change)}),
    ]


INIT_NORMAL = [
    _draw(
        "dtype-by-default",
        "your numbers have torch's default dtype, which a program can change: they must be float32.",
        "return torch.randn(shape, generator=generator) * std",
    ),
    _draw(
        "std-ignored",
        "your numbers always have standard deviation 1: multiply them by std.",
        "return torch.randn(shape, generator=generator)",
    ),
    _draw(
        "std-as-a-variance",
        "you take std as the variance: your numbers have standard deviation sqrt(std).",
        "return torch.randn(shape, generator=generator) * std**0.5",
    ),
    _draw(
        "uniform-of-the-right-std",
        "your numbers have the right standard deviation but are uniform (torch.rand): they should be normal.",
        "return (2 * torch.rand(shape, generator=generator) - 1) * 3**0.5 * std",
    ),
    _draw(
        "uniform-from-zero",
        "your numbers are uniform from 0 to std, and none is negative: take torch.randn instead of torch.rand.",
        "return torch.rand(shape, generator=generator) * std",
    ),
    _draw(
        "one-row-for-all",
        "you draw one row and repeat it: draw each entry independently.",
        "return (torch.randn(shape[-1], generator=generator) * std).expand(shape).clone()",
    ),
    _draw(
        "generator-ignored",
        "you draw from torch's global generator although a generator was given.",
        "return torch.randn(shape) * std",
    ),
    _draw(
        "seeds-globally",
        "you seed torch's global generator: draw from the given generator and leave the global one alone.",
        "if generator is not None: torch.default_generator.manual_seed(generator.initial_seed())\n"
        "    return torch.randn(shape, dtype=torch.float32) * std",
    ),
    _draw(
        "generator-made-anew",
        "you make a new generator from the seed of the given one: use the given generator in its current state.",
        "if generator is not None: generator = torch.Generator().manual_seed(generator.initial_seed())\n    " + DRAW,
    ),
    _draw(
        "seed-fixed",
        "if no generator is given, you always start from the same seed: all weights would be the same.",
        "generator = generator or torch.Generator().manual_seed(0)\n    " + DRAW,
    ),
    _draw(
        "generator-copied",
        "you draw from a copy of the generator, so its state does not advance: the next weight gets the same numbers.",
        "if generator is not None: generator = torch.Generator().set_state(generator.get_state())\n    " + DRAW,
    ),
    _draw(
        "generator-of-its-own",
        "if no generator is given, you make your own: None means torch's global generator, which torch.manual_seed sets.",
        "if generator is None: (generator := torch.Generator()).seed()\n    " + DRAW,
    ),
    _draw(
        "numpy-without-a-generator",
        "if no generator is given, you draw with numpy: None means torch's global generator, which torch.manual_seed sets.",
        "if generator is None:\n"
        "        import numpy\n"
        "        return torch.from_numpy(numpy.random.standard_normal(shape) * std).float()\n    " + DRAW,
    ),
    _draw(
        "draws-global-numbers-first",
        "you also draw from torch's global generator: if a generator is given, do not touch the global one.",
        "return torch.randn(shape, dtype=torch.float32).normal_(0, std, generator=generator)",
    ),
    _draw(
        "rounded-to-half-precision",
        "your numbers are float16: they must be float32.",
        "return torch.randn(shape, generator=generator).half() * std",
    ),
    _draw(
        "is-a-parameter",
        "your tensor has requires_grad=True: return a plain tensor.",
        f"return nn.Parameter({DRAW[7:]})",
    ),
]

STARTS = [
    _table(
        "table-starts-at-one",
        "your initial weight has standard deviation 1, as in torch's own layer: it should be 0.02.",
        {TABLE: TABLE.replace("0.02", "1.0")},
    ),
    _table(
        "table-scaled-by-d-model",
        "your initial weight has standard deviation d_model ** -0.5: it should be 0.02 whatever the sizes.",
        {TABLE: TABLE.replace("0.02", "d_model**-0.5")},
    ),
    _map(
        "starts-at-one",
        "your initial weight has standard deviation 1: it should be in_features ** -0.5.",
        {STD: "std = 1.0"},
    ),
    _map(
        "constant-scale",
        "your initial weight always has standard deviation 0.02: it should be in_features ** -0.5.",
        {STD: "std = 0.02"},
    ),
    _map(
        "fan-out",
        "your initial weight has standard deviation out_features ** -0.5: it should be in_features ** -0.5.",
        {STD: "std = out_features**-0.5"},
    ),
    _map(
        "starts-uniform",
        "your initial weight is uniform, as in torch's own layer: it should be normal.",
        {
            MATRIX: "self.weight = nn.Parameter((2 * torch.rand(out_features, in_features, generator=generator) - 1) * std)"
        },
    ),
    *_both(
        "layer-generator-ignored", "you do not pass the generator on to init_normal.", (", generator=generator", "")
    ),
    *_both(
        "layer-generator-or",
        "if no generator is given, your layer makes its own: None means torch's global generator, so that layers differ.",
        ("generator=generator", "generator=generator or torch.Generator().manual_seed(0)"),
    ),
    *_both(
        "layer-seeds-anew",
        "your layer draws from a new generator with the seed of the given one: use the given generator in its current state.",
        (
            "generator=generator",
            "generator=generator and torch.Generator().manual_seed(generator.initial_seed())",
        ),
    ),
    _map(
        "generator-with-bias-only",
        "with bias=False you do not pass the generator on to init_normal.",
        {MATRIX: MATRIX.replace("generator=generator", "generator=generator if bias else None")},
    ),
    _map(
        "starts-larger-without-bias",
        "with bias=False your initial weight has standard deviation 1: it should be in_features ** -0.5.",
        {STD: f"{STD} if bias else 1.0"},
    ),
    *_both(
        "no-parameter",
        "your weight is a plain tensor, so no optimizer finds it: make it an nn.Parameter.",
        ("nn.Parameter(", "("),
    ),
]

EMBEDDING = [
    _table(
        "sqrt-d-model",
        "you multiply the rows by sqrt(d_model), as the first transformer did: return them unchanged.",
        {LOOKUP: f"{LOOKUP} * self.d_model**0.5"},
    ),
    _table(
        "table-transposed",
        "your weight is (d_model, num_embeddings): it should have one row per token, (num_embeddings, d_model).",
        {
            TABLE: TABLE.replace("(num_embeddings, d_model)", "(d_model, num_embeddings)"),
            LOOKUP: "return self.weight.T[rows]",
        },
    ),
    _table(
        "one-hot-too-small",
        "the size of your one-hot vectors depends on the largest id: they need num_embeddings entries.",
        {LOOKUP: "return nn.functional.one_hot(rows).to(self.weight.dtype) @ self.weight"},
    ),
    _table(
        "ids-flattened",
        "your result has lost the axes of ids: its shape should be (*ids.shape, d_model).",
        {LOOKUP: "return self.weight[rows.flatten()]"},
    ),
    _table(
        "uint8-as-a-mask",
        "you take the ids as an index without converting them: uint8 acts as a mask. Convert them to int64 first.",
        {ROWS: "rows = ids"},
    ),
    _table(
        "table-always-float32",
        "your result is always float32: return the dtype of weight.",
        {LOOKUP: f"{LOOKUP}.float()"},
    ),
    _table(
        "last-gradient-wins",
        "if a token occurs several times, its row gets the gradient of only one place: add them up.",
        {
            LOOKUP: "flat = rows.flatten()\n"
            "        last = torch.stack([~(flat[i + 1 :] == id).any() for i, id in enumerate(flat)]) if len(flat) else flat\n"
            "        out = self.weight[rows]\n"
            "        return torch.where(last.view(rows.shape)[..., None].bool(), out, out.detach())"
        },
    ),
    _table(
        "negative-ids-wrap",
        "you let negative ids through: as an index, -1 means the last row.",
        {OUTSIDE: "outside = rows[rows >= self.num_embeddings]"},
    ),
    _table(
        "ids-in-32-bits",
        "you convert the ids to int32, where 2^32 + 1 becomes 1: an id outside the table passes. Convert them to int64.",
        {ROWS: "rows = ids.int()"},
    ),
    _table(
        "checked-in-training-only",
        "your Embedding lets wrong ids pass in evaluation mode: refuse them in both modes.",
        {ASKED_OUTSIDE: "if self.training and outside.numel() > 0:"},
    ),
    _table(
        "table-kept",
        "your Embedding keeps a copy of the table from its first call: use the current weight in each call.",
        {LOOKUP: "self._table = getattr(self, '_table', self.weight.clone())\n        return self._table[rows]"},
    ),
    _table(
        "padding-row",
        "your Embedding gives token 0 a vector of zeros, like a padding token: here every id has its own row.",
        {LOOKUP: f"{LOOKUP} * (rows != 0)[..., None]"},
    ),
    _table(
        "ids-clamped",
        "an id outside the table silently gets the first or the last row: raise an IndexError.",
        {OUTSIDE: "rows = rows.clamp(0, self.num_embeddings - 1)\n        outside = rows[rows < 0]"},
    ),
    _table(
        "max-of-no-ids",
        "your check takes the minimum and maximum of the ids, which an empty tensor does not have.",
        {ASKED_OUTSIDE: "if rows.min() < 0 or rows.max() >= self.num_embeddings:"},
    ),
    _table(
        "check-asserts",
        "you raise AssertionError for an id outside the table: raise an IndexError that gives the id and num_embeddings.",
        {ASKED_OUTSIDE: f"assert outside.numel() == 0\n        {ASKED_OUTSIDE}"},
    ),
]

LINEAR = [
    _map(
        "not-transposed",
        "you multiply by weight without transposing it: its rows make the outputs, so multiply x by the transposed weight.",
        {PRODUCT: "out = x @ self.weight"},
    ),
    _map(
        "weight-transposed",
        "your weight is (in_features, out_features): it should be (out_features, in_features), as in torch's own layer.",
        {
            MATRIX: MATRIX.replace("(out_features, in_features)", "(in_features, out_features)"),
            PRODUCT: "out = x @ self.weight",
        },
    ),
    _map(
        "transposed-weight-kept",
        "your Linear keeps the transposed weight of its first call: use the current weight in each call.",
        {PRODUCT: "self._turned = getattr(self, '_turned', self.weight.mT.clone())\n        out = x @ self._turned"},
    ),
    _map(
        "transposed-in-the-constructor",
        "your Linear transposes its weight in the constructor: .to(...) or loading may replace the weight later, so transpose it in each call.",
        {MATRIX: f"{MATRIX}\n        self._turned = self.weight.mT", PRODUCT: "out = x @ self._turned"},
    ),
    _map(
        "size-checked-in-training-only",
        "in evaluation mode a wrong last axis gives torch's RuntimeError: raise your own ValueError in both modes.",
        {ASKED_SIZE: "if self.training and x.shape[-1:] != (self.in_features,):  #"},
    ),
    _map(
        "bias-in-training-only",
        "your Linear adds its bias in training mode only.",
        {SUM: "return out if self.bias is None or not self.training else out + self.bias"},
    ),
    _map("bias-missing", "you do not add the bias.", {SUM: "return out"}),
    _map(
        "bias-always",
        "your layer has a bias although it was built with bias=False.",
        {BIAS: "self.bias = nn.Parameter(torch.zeros(out_features))"},
    ),
    _map(
        "bias-false-crashes",
        "your forward adds bias without asking whether there is one: with bias=False it is None.",
        {SUM: "return out + self.bias"},
    ),
    _map(
        "bias-starts-random",
        "your initial bias is random: it should be zeros.",
        {BIAS: BIAS.replace("torch.zeros(out_features, dtype=torch.float32)", "init_normal((out_features,), std)")},
    ),
    _map(
        "bias-is-no-parameter",
        "your bias is a buffer and no nn.Parameter: no optimizer would find it.",
        {BIAS: 'self.register_buffer("bias", torch.zeros(out_features) if bias else None)'},
    ),
    _map(
        "weight-detached",
        "no gradient reaches weight: you use weight.data or weight.detach().",
        {PRODUCT: "out = x @ self.weight.detach().mT"},
    ),
    _map(
        "axes-flattened",
        "your result has lost the leading axes of x: its shape should be (*batch, out_features).",
        {PRODUCT: "out = x.reshape(-1, self.in_features) @ self.weight.mT"},
    ),
    _map(
        "always-float32",
        "your result is float32 whatever the dtype of x is.",
        {SUM: f"out = {SUM[7:]}\n        return out.float()"},
    ),
    _map(
        "no-size-check",
        "you leave a wrong last axis to torch's RuntimeError: raise a ValueError with the expected size and the actual shape.",
        {ASKED_SIZE: "if False:  #"},
    ),
    _map(
        "broadcasts",
        "you do not check the last axis of x: elementwise products and einsum broadcast a size of 1 without an error.",
        {ASKED_SIZE: "if False:  #", PRODUCT: "out = (x[..., None, :] * self.weight).sum(-1)"},
    ),
    _map(
        "size-check-is-silent",
        "your ValueError does not say which size was expected and which shape came.",
        {
            ASKED_SIZE: f'if x.shape[-1:] != (self.in_features,):\n            raise ValueError("wrong shape")\n        {ASKED_SIZE}'
        },
    ),
]

SHORTCUTS = [
    Mistake(
        "uses-torch-init",
        "init_normal",
        "your init_normal calls torch.nn.init: write it yourself.",
        {DRAW: "return nn.init.normal_(torch.empty(shape, dtype=torch.float32), 0.0, std, generator)"},
    ),
    Mistake(
        "uses-torch-embedding",
        "Embedding",
        "your Embedding calls torch.nn.functional.embedding: write it yourself.",
        {LOOKUP: "return nn.functional.embedding(rows, self.weight)"},
    ),
    Mistake(
        "uses-torch-linear",
        "Linear",
        "your Linear calls torch.nn.functional.linear: write it yourself.",
        {PRODUCT: "return nn.functional.linear(x, self.weight, self.bias)"},
    ),
]

MISTAKES = [
    *INIT_NORMAL,
    *STARTS,
    *EMBEDDING,
    *LINEAR,
    *SHORTCUTS,
    *always("init_normal", without=("returns-its-input", "mutates-its-input", "detached")),
    *always("Embedding", "Embedding.forward"),
    *always("Linear", "Linear.forward"),
]
