"""Known mistakes in `block`: what learners write instead, and the sentence that tells them so."""

from grader.checking import Mistake, always

# Lines of the solution that the mistakes replace; each occurs there once.
LAYERNORM = "return LayerNorm(d_model, eps=eps, bias=bias)"
IF_RMSNORM = 'if norm == "rmsnorm":'
RMSNORM = "return RMSNorm(d_model, eps=eps)"
NORM_ERROR = 'raise ValueError(f"norm must be layernorm or rmsnorm, got {norm!r}")'

MLP = "return FeedForward(d_model, d_hidden, activation=activation, dropout=0.0, bias=bias, generator=generator)"
IF_SWIGLU = 'if feedforward == "swiglu":'
SWIGLU = "return SwiGLU(d_model, d_hidden, generator=generator)"
FEEDFORWARD_ERROR = 'raise ValueError(f"feedforward must be mlp or swiglu, got {feedforward!r}")'

EXPECT = "_expect_position(norm_position)\n        self"
FIRST_NORM = "self.attention_norm = make_norm(norm, d_model, norm_eps, bias)"
SECOND_NORM = "self.feedforward_norm = make_norm(norm, d_model, norm_eps, bias)"
SHARED = "shared = dict(dropout=dropout, bias=bias, rope_base=rope_base, generator=generator)"
ATTENTION = "self.attention = _make_attention(d_model, num_heads, num_kv_heads, **shared)"
OPTIONS = "options = dict(activation=activation, bias=bias, generator=generator)"
FEEDFORWARD = "self.feedforward = make_feedforward(feedforward, d_model, d_hidden, **options)"
DROPOUT = "self.dropout = Dropout(dropout)"
IF_PRE = 'if self.norm_position == "pre":'
GATHERED = "gathered = self.attention(self.attention_norm(x), mask)[0]"
ADD_GATHERED = "x = x + self.dropout(gathered)"
THOUGHT = "thought = self.feedforward(self.feedforward_norm(x))"
ADD_THOUGHT = "return x + self.dropout(thought)"
ATTENDED = "attended = self.attention(x, mask)[0]"
ADD_ATTENDED = "x = self.attention_norm(x + self.dropout(attended))"
WORKED = "worked = self.feedforward(x)"
ADD_WORKED = "return self.feedforward_norm(x + self.dropout(worked))"
IF_NO_GROUPS = "if num_kv_heads is None:"


def _norm(id: str, says: str, edits: dict[str, str] | None = None, append: str = "") -> Mistake:
    return Mistake(f"norm-{id}", "make_norm", says, edits or {}, append)


def _feedforward(id: str, says: str, edits: dict[str, str] | None = None, append: str = "") -> Mistake:
    return Mistake(f"feedforward-{id}", "make_feedforward", says, edits or {}, append)


def _block(id: str, says: str, edits: dict[str, str]) -> Mistake:
    return Mistake(id, "TransformerBlock", says, edits)


NORMS = [
    _norm(
        "names-swapped",
        'your make_norm makes the other norm: "layernorm" is LayerNorm, "rmsnorm" is RMSNorm.',
        {LAYERNORM: "return RMSNorm(d_model, eps)", RMSNORM: LAYERNORM},
    ),
    _norm(
        "name-ignored",
        "your make_norm always makes a LayerNorm: use the given name.",
        {RMSNORM: f"{LAYERNORM}  # again"},
    ),
    _norm(
        "layernorm-eps-dropped",
        "your LayerNorm gets its own default eps: pass eps on.",
        {LAYERNORM: "return LayerNorm(d_model, bias=bias)"},
    ),
    _norm(
        "rmsnorm-eps-dropped",
        "your RMSNorm gets its own default eps: pass eps on.",
        {RMSNORM: "return RMSNorm(d_model)"},
    ),
    _norm(
        "bias-dropped",
        "your LayerNorm always has a bias: pass `bias` on.",
        {LAYERNORM: "return LayerNorm(d_model, eps=eps)"},
    ),
    _norm(
        "unknown-accepted",
        "an unknown `norm` passes as the second one: raise a ValueError that gives the name.",
        {IF_RMSNORM: "if True:  # norm"},
    ),
    _norm(
        "error-is-silent",
        "your ValueError does not give the unknown `norm`.",
        {NORM_ERROR: 'raise ValueError("unknown norm")'},
    ),
    _norm(
        "made-once",
        "you return the same layer for two calls with the same arguments: make a new one in each call.",
        append="import functools\n_make = functools.lru_cache(make_norm)\n\n\ndef make_norm(*args, **kwargs):\n    return _make(*args, **kwargs)\n",
    ),
    _norm(
        "returns-the-class",
        "your make_norm returns the class itself, which crashes when it is used as a layer: call it with d_model and the other arguments.",
        {LAYERNORM: "return LayerNorm", RMSNORM: "return RMSNorm"},
    ),
    _norm(
        "uses-torch",
        "your make_norm makes torch.nn.LayerNorm: use your own LayerNorm.",
        {LAYERNORM: "return torch.nn.LayerNorm(d_model, eps=eps, bias=bias)"},
    ),
]

FEEDFORWARDS = [
    _feedforward(
        "names-swapped",
        'your make_feedforward makes the other layer: "mlp" is FeedForward, "swiglu" is SwiGLU.',
        {MLP: "return SwiGLU(d_model, generator=generator, d_hidden=d_hidden)", SWIGLU: MLP},
    ),
    _feedforward(
        "name-ignored",
        "your make_feedforward always makes a FeedForward: use the given name.",
        {SWIGLU: f"{MLP}  # again"},
    ),
    _feedforward(
        "activation-dropped",
        "your FeedForward gets its own default activation: pass `activation` on.",
        {MLP: MLP.replace("activation=activation, ", "")},
    ),
    _feedforward(
        "bias-dropped",
        "your FeedForward always has biases: pass `bias` on.",
        {MLP: MLP.replace("bias=bias, ", "")},
    ),
    _feedforward(
        "drops",
        "your FeedForward drops hidden numbers in training: build it with dropout 0.",
        {MLP: MLP.replace("dropout=0.0", "dropout=0.1")},
    ),
    _feedforward(
        "generator-dropped",
        "the weights of your FeedForward come from torch's global generator: pass `generator` on.",
        {MLP: MLP.replace(", generator=generator", "")},
    ),
    _feedforward(
        "swiglu-generator-dropped",
        "the weights of your SwiGLU come from torch's global generator: pass `generator` on.",
        {SWIGLU: SWIGLU.replace(", generator=generator", "")},
    ),
    _feedforward(
        "fixed-seed",
        "if no generator is given, you make one with a fixed seed: None means torch's global generator.",
        {
            MLP: MLP.replace("generator=generator", "generator=generator or torch.Generator().manual_seed(0)"),
            SWIGLU: SWIGLU.replace("generator=generator", "generator=generator or torch.Generator().manual_seed(0)"),
        },
    ),
    _feedforward(
        "made-once",
        "you return the same layer for two calls with the same arguments: make a new one in each call.",
        append="import functools\n_make = functools.lru_cache(make_feedforward)\n\n\ndef make_feedforward(*args, **kwargs):\n    return _make(*args, **kwargs)\n",
    ),
    _feedforward(
        "sizes-swapped",
        "you swapped d_model and d_hidden.",
        {MLP: MLP.replace("d_model, d_hidden", "d_hidden, d_model")},
    ),
    _feedforward(
        "unknown-accepted",
        "an unknown `feedforward` passes as the second one: raise a ValueError that gives the name.",
        {IF_SWIGLU: "if True:  # feedforward"},
    ),
    _feedforward(
        "error-is-silent",
        "your ValueError does not give the unknown `feedforward`.",
        {FEEDFORWARD_ERROR: 'raise ValueError("unknown layer")'},
    ),
    _feedforward(
        "uses-torch",
        "your make_feedforward uses torch.nn.Linear: use your own layers.",
        {MLP: "return nn.Sequential(nn.Linear(d_model, d_hidden, bias=bias), nn.Linear(d_hidden, d_model, bias=bias))"},
    ),
]

STREAM = [
    _block(
        "positions-swapped",
        "you swapped pre-norm and post-norm: pre-norm normalizes the input of a sub-layer, post-norm the sum.",
        {IF_PRE: 'if self.norm_position == "post":'},
    ),
    _block("always-pre", "your block is always pre-norm: use norm_position.", {IF_PRE: "if True:"}),
    _block("always-post", "your block is always post-norm: use norm_position.", {IF_PRE: "if False:"}),
    _block(
        "attention-residual-missing",
        "the output of attention replaces x: add it to x.",
        {ADD_GATHERED: "x = self.dropout(gathered)", ADD_ATTENDED: ADD_ATTENDED.replace("x + ", "")},
    ),
    _block(
        "feedforward-residual-missing",
        "the output of the feed-forward layer replaces h: add it to h.",
        {ADD_THOUGHT: "return self.dropout(thought)", ADD_WORKED: ADD_WORKED.replace("x + ", "")},
    ),
    _block(
        "residual-from-the-norm",
        "you add to the normalized x (`x = norm(x)`): in pre-norm, add to x itself.",
        {
            GATHERED: "x = self.attention_norm(x)\n            gathered = self.attention(x, mask)[0]",
            THOUGHT: "x = self.feedforward_norm(x)\n            thought = self.feedforward(x)",
        },
    ),
    _block(
        "attention-reads-x",
        "attention reads x without the norm: in pre-norm it should read attention_norm(x).",
        {GATHERED: "gathered = self.attention(x, mask)[0]"},
    ),
    _block(
        "feedforward-reads-h",
        "the feed-forward layer reads h without the norm: in pre-norm it should read feedforward_norm(h).",
        {THOUGHT: "thought = self.feedforward(x)"},
    ),
    _block(
        "parallel",
        "the feed-forward layer reads the input x of the block: it should read h, the result of the attention step.",
        {GATHERED: f"came = x\n            {GATHERED}", THOUGHT: THOUGHT.replace("_norm(x)", "_norm(came)")},
    ),
    _block(
        "second-sum-forgets-attention",
        "your second sum adds to the input x of the block, which loses what attention added: add to h.",
        {GATHERED: f"came = x\n            {GATHERED}", ADD_THOUGHT: "return came + self.dropout(thought)"},
    ),
    _block(
        "second-norm-on-attention",
        "feedforward_norm reads the output of attention before the sum: it should read the sum.",
        {THOUGHT: THOUGHT.replace("_norm(x)", "_norm(gathered)")},
    ),
    _block(
        "norm-after-the-sub-layer",
        "your pre-norm normalizes the output of a sub-layer: normalize its input.",
        {
            GATHERED: "gathered = self.attention_norm(self.attention(x, mask)[0])",
            THOUGHT: "thought = self.feedforward_norm(self.feedforward(x))",
        },
    ),
    _block(
        "post-norm-before-the-sum",
        "your post-norm normalizes the output of a sub-layer: normalize the sum.",
        {
            ADD_ATTENDED: "x = x + self.attention_norm(self.dropout(attended))",
            ADD_WORKED: "return x + self.feedforward_norm(self.dropout(worked))",
        },
    ),
    _block(
        "post-norm-not-on-the-result",
        "your post-norm returns the second sum without a norm: apply feedforward_norm to it.",
        {ADD_WORKED: "return x + self.dropout(worked)"},
    ),
    _block(
        "normalized-twice",
        "your post-norm also normalizes the inputs of the sub-layers: normalize only the sums.",
        {
            ATTENDED: ATTENDED.replace("x, ", "self.attention_norm(x), "),
            WORKED: WORKED.replace("(x)", "(self.feedforward_norm(x))"),
        },
    ),
    _block(
        "norm-at-the-end",
        "your pre-norm block normalizes its result: the final norm belongs to the model.",
        {ADD_THOUGHT: "return self.feedforward_norm(x + self.dropout(thought))"},
    ),
    _block(
        "one-norm-for-both",
        "you use attention_norm in both places: use feedforward_norm for the second.",
        {
            THOUGHT: "thought = self.feedforward(self.attention_norm(x))",
            ADD_WORKED: "return self.attention_norm(x + self.dropout(worked))",
        },
    ),
    _block(
        "one-norm-under-two-names",
        "attention_norm and feedforward_norm are the same module: make two.",
        {SECOND_NORM: "self.feedforward_norm = self.attention_norm"},
    ),
    _block(
        "feedforward-first",
        "the feed-forward layer comes first in your block: attention should come first.",
        {
            GATHERED: "gathered = self.feedforward(self.feedforward_norm(x))",
            THOUGHT: "thought = self.attention(self.attention_norm(x), mask)[0]",
            ATTENDED: "attended = self.feedforward(x)",
            ADD_ATTENDED: ADD_ATTENDED.replace("attention_norm", "feedforward_norm"),
            WORKED: "worked = self.attention(x, mask)[0]",
            ADD_WORKED: ADD_WORKED.replace("feedforward_norm", "attention_norm"),
        },
    ),
    _block(
        "attention-twice",
        "attention runs twice in your block, and the feed-forward layer not at all.",
        {
            THOUGHT: "thought = self.attention(self.feedforward_norm(x), mask)[0]",
            WORKED: "worked = self.attention(x, mask)[0]",
        },
    ),
    _block(
        "in-place",
        "your block adds with +=, which writes into the caller's tensor.",
        {ADD_GATHERED: "x += self.dropout(gathered)"},
    ),
    _block(
        "attention-not-unpacked",
        "attention returns the mixed values and the weights, and adding both crashes: take the first of the two.",
        {GATHERED: GATHERED.removesuffix("[0]"), ATTENDED: ATTENDED.removesuffix("[0]")},
    ),
]

DROPPED = [
    _block(
        "drops-the-stream",
        "you drop from the sum, and so from the residual stream: apply dropout only to what is added.",
        {
            ADD_GATHERED: "x = self.dropout(x + gathered)",
            ADD_THOUGHT: "return self.dropout(x + thought)",
            ADD_ATTENDED: "x = self.attention_norm(self.dropout(x + attended))",
            ADD_WORKED: "return self.feedforward_norm(self.dropout(x + worked))",
        },
    ),
    _block(
        "drops-after-post-norm",
        "your post-norm drops after the norm: apply dropout to what is added, before the sum.",
        {
            ADD_ATTENDED: "x = self.dropout(self.attention_norm(x + attended))",
            ADD_WORKED: "return self.dropout(self.feedforward_norm(x + worked))",
        },
    ),
    _block(
        "drops-what-is-read",
        "you apply dropout to the inputs of the sub-layers: apply it to their outputs.",
        {
            GATHERED: "gathered = self.attention(self.dropout(self.attention_norm(x)), mask)[0]",
            ADD_GATHERED: "x = x + gathered",
            THOUGHT: "thought = self.feedforward(self.dropout(self.feedforward_norm(x)))",
            ADD_THOUGHT: "return x + thought",
        },
    ),
    _block(
        "attention-not-dropped",
        "you do not apply dropout to the output of attention.",
        {ADD_GATHERED: "x = x + gathered", ADD_ATTENDED: "x = self.attention_norm(x + attended)"},
    ),
    _block(
        "feedforward-not-dropped",
        "you do not apply dropout to the output of the feed-forward layer.",
        {ADD_THOUGHT: "return x + thought", ADD_WORKED: "return self.feedforward_norm(x + worked)"},
    ),
    _block(
        "hidden-numbers-dropped",
        "your feed-forward layer drops hidden numbers too: in a block, build it with dropout 0.",
        {FEEDFORWARD: f'{FEEDFORWARD}\n        if feedforward == "mlp": self.feedforward.dropout = Dropout(dropout)'},
    ),
    _block(
        "attention-weights-not-dropped",
        "attention does not drop its weights: pass `dropout` on to it.",
        {SHARED: SHARED.replace("dropout=dropout, ", "")},
    ),
    _block(
        "dropped-in-evaluation",
        "your block drops in evaluation too: drop only in training.",
        {DROPOUT: "p = Dropout(dropout).p\n        self.dropout = lambda x: torch.nn.functional.dropout(x, p)"},
    ),
    _block(
        "dropout-not-checked",
        "you notice a dropout outside [0, 1) only in training, if at all: raise a ValueError in the constructor.",
        {DROPOUT: "self.dropout = lambda x: torch.nn.functional.dropout(x, dropout, self.training)"},
    ),
    _block(
        "drops-by-the-generator",
        "your dropout draws from the generator of the weights: draw from torch's global one.",
        {DROPOUT: "self.dropout = Dropout(dropout, generator=generator)"},
    ),
]

OPTIONS_IGNORED = [
    _block(
        "mask-ignored",
        "you do not pass the mask on to attention: padding is read like text.",
        {GATHERED: GATHERED.replace(", mask", ""), ATTENDED: ATTENDED.replace(", mask", "")},
    ),
    _block(
        "not-causal",
        "your attention sees later positions: build it with causal=True.",
        {SHARED: SHARED.replace("dict(", "dict(causal=False, ")},
    ),
    _block(
        "looks-ahead-with-dropout",
        "with dropout above 0 your attention sees later positions.",
        {ATTENTION: f"{ATTENTION}\n        self.attention.causal = dropout == 0"},
    ),
    _block(
        "looks-ahead-in-evaluation",
        "in evaluation your attention sees later positions if there is only one text.",
        {IF_PRE: f"self.attention.causal = self.training or len(x) > 1\n        {IF_PRE}"},
    ),
    _block(
        "mask-ignored-in-training",
        "you do not pass the mask on to attention in training: padding is read like text.",
        {IF_PRE: f"mask = None if self.training else mask\n        {IF_PRE}"},
    ),
    _block(
        "mask-instead-of-causal",
        "if a mask is given, your attention is no longer causal.",
        {IF_PRE: f"self.attention.causal = mask is None\n        {IF_PRE}"},
    ),
    _block(
        "kv-heads-ignored",
        "your block uses MultiHeadAttention although num_kv_heads is given.",
        {IF_NO_GROUPS: "if True:"},
    ),
    _block(
        "rope-ignored",
        "you do not pass rope_base on to attention.",
        {SHARED: SHARED.replace("rope_base=rope_base, ", "")},
    ),
    _block(
        "eps-ignored",
        "you do not pass norm_eps on: your norms have another eps.",
        {FIRST_NORM: FIRST_NORM.replace("norm_eps", "1e-5"), SECOND_NORM: SECOND_NORM.replace("norm_eps", "1e-5")},
    ),
    _block(
        "eps-default",
        "your default of norm_eps is wrong: it should be 1e-5.",
        {"norm_eps: float = 1e-5": "norm_eps: float = 1e-6"},
    ),
    _block(
        "attention-without-bias",
        "the projections of attention have no bias: pass `bias` on to it.",
        {SHARED: SHARED.replace("bias=bias, ", "")},
    ),
    _block(
        "norms-always-with-bias",
        "your layer norms have a bias although the block was built with bias=False.",
        {FIRST_NORM: FIRST_NORM.replace("bias)", "True)"), SECOND_NORM: SECOND_NORM.replace("bias)", "True)")},
    ),
    _block(
        "feedforward-always-with-bias",
        "your feed-forward layer has biases although the block was built with bias=False.",
        {OPTIONS: OPTIONS.replace("bias=bias", "bias=True")},
    ),
    _block(
        "attention-without-generator",
        "the weights of attention come from torch's global generator: pass `generator` on.",
        {SHARED: SHARED.replace(", generator=generator", "")},
    ),
    _block(
        "feedforward-without-generator",
        "the weights of the feed-forward layer come from torch's global generator: pass `generator` on.",
        {OPTIONS: OPTIONS.replace(", generator=generator", "")},
    ),
    _block(
        "fixed-seed",
        "if no generator is given, your block makes one with a fixed seed: None means torch's global generator.",
        {FIRST_NORM: f"generator = generator or torch.Generator().manual_seed(0)\n        {FIRST_NORM}"},
    ),
    _block(
        "seeds-the-global-generator",
        "your constructor seeds torch's global generator.",
        {FIRST_NORM: f"torch.default_generator.manual_seed(0)\n        {FIRST_NORM}"},
    ),
    _block(
        "position-not-checked",
        "an unknown norm_position passes as post-norm: raise a ValueError that gives the name.",
        {EXPECT: "self"},
    ),
    _block(
        "uses-torch-layer-norm",
        "your block normalizes with torch.nn.functional.layer_norm: use your own norms.",
        {GATHERED: GATHERED.replace("self.attention_norm(x)", "torch.nn.functional.layer_norm(x, x.shape[-1:])")},
    ),
]

NO_TENSORS = ("returns-zeros", "returns-its-input", "mutates-its-input", "detached")
MISTAKES = [
    *NORMS,
    *FEEDFORWARDS,
    *STREAM,
    *DROPPED,
    *OPTIONS_IGNORED,
    *always("make_norm", without=(*NO_TENSORS, "keeps-state")),
    *always("make_feedforward", without=(*NO_TENSORS, "keeps-state")),
    *always("TransformerBlock", "TransformerBlock.forward"),
]
