"""Known mistakes in `model`: what learners write instead, and the sentence that tells them so."""

from typing import Any

from grader.checking import Mistake, always

# The lines of the solution that the mistakes replace; each stands there once.
SIZE = "if size is not None and size < 1:"
WORDS = "if getattr(self, name) not in words:"
POSITIVE = "if not getattr(self, name) > 0:"
DROPOUT = "if not 0 <= self.dropout < 1:"
HIDDEN = "if self.d_hidden is not None:"
ROUNDED = "return 8 * -(-self.d_model // 3)"
GPT2 = 'return cls(**{**sizes, "dropout": 0.1, **changes})'
LLAMA = 'return cls(**{**sizes, **kind, "bias": False, "tie_embeddings": False, **changes})'

RESIDUAL = "residual_std = std / math.sqrt(2 * num_layers)"
WRITES = 'writes = name.endswith(("out_proj.weight", "down_proj.weight"))'
MATRIX = "if parameter.dim() >= 2:"
DRAW = "value = init_normal(tuple(parameter.shape), residual_std if writes else std, generator=generator)"
FLAT = 'value = torch.zeros(()) if name.endswith("bias") else torch.ones(())'
NO_GRAD = "        with torch.no_grad():\n            parameter.copy_(value)"

TABLE = "self.token_embedding = Embedding(config.vocab_size, config.d_model, generator=generator)"
BUFFER = 'self.register_buffer("position_encoding", encoding, persistent=False)'
BLOCKS = "self.blocks = nn.ModuleList(_make_block(config, generator) for _ in range(config.num_layers))"
ASKED_NORM = 'if config.norm_position == "pre":\n            # The sum'
FINAL = "make_norm(config.norm, config.d_model, config.norm_eps, config.bias)"
HEAD = "self.lm_head = Linear(config.d_model, config.vocab_size, bias=False, generator=generator)"
ASKED_TIE = "if config.tie_embeddings:"
TIE = "self.lm_head.weight = self.token_embedding.weight"
INIT = "        init_weights(self, config.num_layers, generator=generator)"
LENGTH = "if ids.shape[-1] > self.config.max_length:"
EMBED = "x = self.dropout(self._embed(ids))"
NORM = "x = self.final_norm(x)"
LOGITS = "return self.lm_head(x)"
LEARNED = "return self.position_embedding(x)"
SCALED = "return x * math.sqrt(self.config.d_model) + self.position_encoding[: ids.shape[-1]]"

LEFT_OUT = "left_out = {id(p) for name, p in model.named_parameters(remove_duplicate=False) if name.endswith(tables)}"
COUNT = "return sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in left_out)"

LIMITS = "if not 1 <= length <= config.max_length:"
D_KV = "d_kv = (config.num_kv_heads or config.num_heads) * (d_model // config.num_heads)"
MATRICES = '(2 if config.feedforward == "mlp" else 3) * d_model * config.hidden_size'
MIXING = "mixing = 2 * length * d_model"
PER_TOKEN = (
    "per_token = config.num_layers * (attention_weights + feedforward_weights + mixing) + d_model * config.vocab_size"
)
FLOPS = "return 3 * 2 * length * per_token"


def _of(exercise: str):
    def mistake(id: str, says: str, edits: dict[str, str], **options: Any) -> Mistake:
        return Mistake(id, exercise, says, edits, **options)

    return mistake


_config, _init, _model, _count, _flops = map(
    _of, ("ModelConfig", "init_weights", "TransformerLM", "count_parameters", "estimate_flops")
)


def _ignored(field: str, old: str, new: str) -> Mistake:
    """A field of the config that the model does not look at."""
    return _model(f"ignores-{field}", f"your model is the same whatever {field} the config has.", {old: new})


CONFIG = [
    _config("zero-size", "your check lets a size or count of 0 pass.", {SIZE: SIZE.replace("1", "0")}),
    _config(
        "none-compared",
        "your check crashes where num_kv_heads or d_hidden is None, which both may be: it compares None with a number.",
        {SIZE: "if size < 1:"},
    ),
    _config(
        "optional-size",
        "num_kv_heads and d_hidden are not checked: they too must be 1 or more, if they are given.",
        {
            '"num_heads", "num_kv_heads", "d_hidden"):': '"num_heads"):',
            "if config.num_kv_heads is not None": "if config.num_kv_heads",
        },
    ),
    _config(
        "words-in-any-case",
        "your config takes its words in capitals too, which no part of the model knows.",
        {WORDS: "if str(getattr(self, name)).lower() not in words:"},
    ),
    _config("any-word", "your config takes any word for position, norm and the like.", {WORDS: "if False:"}),
    _config(
        "heads-not-divisible",
        "your config accepts a d_model that is not divisible by num_heads.",
        {"if config.d_model % config.num_heads:": "if False:"},
    ),
    _config(
        "kv-heads-compared",
        "your config accepts every num_kv_heads up to num_heads: it must divide num_heads.",
        {" and config.num_heads % config.num_kv_heads:": " and config.num_kv_heads > config.num_heads:"},
    ),
    _config(
        "kv-heads-not-divisible",
        "your config accepts a num_kv_heads that does not divide num_heads.",
        {" and config.num_heads % config.num_kv_heads:": " and False:"},
    ),
    _config(
        "rope-of-d-model",
        "your config accepts rope with an odd number of features per head: an even d_model is not enough, since it is the features of a head that are paired.",
        {' == "rope" and d_head % 2:': ' == "rope" and config.d_model % 2:'},
    ),
    _config(
        "rope-without-rope",
        "your config asks for an even number of features in a head although no rope is used.",
        {'if config.position == "rope" and d_head % 2:': "if d_head % 2:"},
    ),
    _config(
        "zero-eps", "your check lets a norm_eps or rope_base of 0 pass.", {POSITIVE: POSITIVE.replace("> 0", ">= 0")}
    ),
    _config(
        "dropout-one",
        "your config takes dropout = 1: nothing would be left.",
        {DROPOUT: DROPOUT.replace("< 1", "<= 1")},
    ),
    _config(
        "not-a-number",
        "your check asks for dropout < 0 or dropout >= 1, and both are False for NaN: ask `not 0 <= dropout < 1`.",
        {DROPOUT: "if self.dropout < 0 or self.dropout >= 1:"},
    ),
    _config(
        "asserts",
        "a size that cannot be raises AssertionError: raise a ValueError that says which field is wrong and what came.",
        {SIZE: f"assert size is None or size >= 1, name\n            {SIZE}"},
    ),
    _config(
        "silent",
        "your ValueError does not say which field is wrong or what came.",
        {SIZE: f'{SIZE}\n                raise ValueError("invalid config")'},
    ),
    _config("d-hidden-ignored", "hidden_size is computed although d_hidden is given.", {HIDDEN: "if False:"}),
    _config(
        "swiglu-as-mlp",
        "hidden_size is 4 * d_model for swiglu too: with three matrices it is 8/3 * d_model, rounded up.",
        {ROUNDED: "return 4 * self.d_model"},
    ),
    _config(
        "hidden-not-rounded",
        "your hidden_size for swiglu is not rounded up to a multiple of 8.",
        {ROUNDED: "return int(8 * self.d_model / 3)"},
    ),
    _config(
        "hidden-rounded-down",
        "your hidden_size for swiglu is rounded down to a multiple of 8: it is to be rounded up.",
        {ROUNDED: "return 8 * (self.d_model // 3)"},
    ),
    _config(
        "hidden-one-more",
        "your hidden_size for swiglu is 8 too large where 8/3 * d_model is a multiple of 8 already.",
        {ROUNDED: "return 8 * (self.d_model // 3 + 1)"},
    ),
    _config(
        "changes-lose",
        "your gpt2() takes its own number where the caller has given one.",
        {GPT2: 'return cls(**{**changes, **sizes, "dropout": 0.1})'},
    ),
    _config(
        "gpt2-no-dropout", "your gpt2() has no dropout: GPT-2 has 0.1.", {GPT2: "return cls(**{**sizes, **changes})"}
    ),
    _config(
        "llama-tied",
        "your llama() has biases and a tied head, as a config has by itself: Llama has neither.",
        {LLAMA: "return cls(**{**sizes, **kind, **changes})"},
    ),
    _config(
        "changes-stay",
        "your gpt2() writes the caller's changes into a dict that later calls use too.",
        {
            'sizes = {"vocab_size": 50257,': 'sizes = _GPT2; sizes.update({} if sizes else {"vocab_size": 50257,',
            '"num_layers": 12, "num_heads": 12}': '"num_layers": 12, "num_heads": 12, "dropout": 0.1})',
            GPT2: "sizes.update(changes)\n        return cls(**sizes)",
        },
        append="_GPT2 = {}",
        stateful=True,
    ),
]

INIT_WEIGHTS = [
    _init(
        "no-residual-scale",
        "out_proj and down_proj start like all others: what writes into the residual stream is divided by sqrt(2 * num_layers).",
        {RESIDUAL: "residual_std = std"},
    ),
    _init(
        "one-sum-a-layer",
        "you divide by sqrt(num_layers): each layer adds twice, so it is sqrt(2 * num_layers).",
        {RESIDUAL: "residual_std = std / math.sqrt(num_layers)"},
    ),
    _init(
        "no-root",
        "you divide by 2 * num_layers: the square root is missing.",
        {RESIDUAL: "residual_std = std / (2 * num_layers)"},
    ),
    _init(
        "attention-not-scaled",
        "only down_proj is scaled down: attention's out_proj writes into the residual stream too.",
        {WRITES: 'writes = name.endswith("down_proj.weight")'},
    ),
    _init(
        "every-projection-scaled",
        "you scale down every projection: only those that write into the residual stream, out_proj and down_proj.",
        {WRITES: 'writes = name.endswith("_proj.weight")'},
    ),
    _init(
        "std-ignored",
        "the standard deviation is 0.02 whatever std is given.",
        {RESIDUAL: f"std = 0.02\n    {RESIDUAL}"},
    ),
    _init("variance", "you take std for the variance.", {RESIDUAL: f"std = std**0.5\n    {RESIDUAL}"}),
    _init(
        "uniform",
        "your numbers are uniform, not normal.",
        {
            DRAW: "value = (torch.rand(parameter.shape, generator=generator) * 2 - 1) * 3**0.5 * (residual_std if writes else std)"
        },
    ),
    _init(
        "gains-drawn",
        "the gains of norms are drawn, as they are called weight too: those of one axis start as ones.",
        {MATRIX: 'if name.endswith("weight"):'},
    ),
    _init("gains-zero", "the gains of norms start as zeros.", {FLAT: "value = torch.zeros(())"}),
    _init(
        "biases-kept",
        "biases keep what they held: they start as zeros.",
        {FLAT: f'if name.endswith("bias"): continue\n            {FLAT}'},
    ),
    _init(
        "gains-kept",
        "gains keep what they held: they start as ones.",
        {FLAT: f'if not name.endswith("bias"): continue\n            {FLAT}'},
    ),
    _init(
        "new-parameters",
        "you put new parameters in the place of the old ones: write into those that are there.",
        {
            "    for name, parameter in model.named_parameters():": "    for name, parameter in list(model.named_parameters()):",
            NO_GRAD: '        *path, last = name.split(".")\n        setattr(model.get_submodule(".".join(path)), last, nn.Parameter(value.expand(parameter.shape).clone().to(parameter.dtype)))',
        },
    ),
    _init(
        "init-ignores-generator",
        "you draw from the global generator although one is given.",
        {DRAW: DRAW.replace("generator=generator", "generator=None")},
    ),
    _init(
        "same-numbers",
        "every weight gets the same numbers: a generator is made or seeded anew for each.",
        {DRAW: DRAW.replace("generator=generator", "generator=torch.Generator().manual_seed(0)")},
    ),
    _init(
        "frozen",
        "your parameters no longer ask for gradients.",
        {NO_GRAD: "        parameter.requires_grad_(False).copy_(value)"},
    ),
    _init(
        "dot-in-front",
        "you look for .out_proj.weight with a dot in front, which a layer by itself does not have.",
        {WRITES: 'writes = name.endswith((".out_proj.weight", ".down_proj.weight"))'},
    ),
    _init(
        "buffers-too",
        "you write into buffers too: only parameters start anew.",
        {
            "    for name, parameter in model.named_parameters():": "    for name, parameter in [*model.named_parameters(), *model.named_buffers()]:"
        },
    ),
    _init(
        "default-seed",
        "without a generator you draw from one of your own with a fixed seed: None means torch's global one.",
        {RESIDUAL: f"generator = generator or torch.Generator().manual_seed(0)\n    {RESIDUAL}"},
    ),
]

FIELDS = [
    _ignored("rope_base", "rope_base=config.rope_base if", "rope_base=10000.0 if"),
    _ignored("num_kv_heads", "num_kv_heads=config.num_kv_heads,\n", "\n"),
    _ignored("d_hidden", "        config.hidden_size,\n        num_kv", "        4 * config.d_model,\n        num_kv"),
    _ignored("norm", "norm=config.norm,", 'norm="layernorm",'),
    _ignored("norm_position", "norm_position=config.norm_position,", ""),
    _ignored("feedforward", "feedforward=config.feedforward,", ""),
    _ignored("activation", "activation=config.activation,", ""),
    _ignored("tie_embeddings", ASKED_TIE, "if True:"),
    _model(
        "eps-ignored-in-blocks", "the norms in your blocks have their default eps.", {"norm_eps=config.norm_eps,": ""}
    ),
    _model(
        "eps-ignored-at-the-end",
        "your final norm has an eps of 1e-5, not that of the config.",
        {FINAL: FINAL.replace("config.norm_eps", "1e-5")},
    ),
    _model(
        "final-norm-is-layernorm",
        "your final norm is a LayerNorm whatever norm the config has.",
        {FINAL: FINAL.replace("config.norm,", '"layernorm",')},
    ),
    _model(
        "bias-ignored-in-blocks",
        "your blocks have biases whatever bias the config has.",
        {"        bias=config.bias,\n": ""},
    ),
    _model(
        "bias-ignored-at-the-end",
        "your final norm has a bias whatever bias the config has.",
        {FINAL: FINAL.replace("config.bias", "True")},
    ),
    _model(
        "rope-always",
        "your blocks use rope whatever position the config has.",
        {' if config.position == "rope" else None': ""},
    ),
    _model("no-dropout-in-blocks", "nothing is dropped in your blocks.", {"        dropout=config.dropout,\n": ""}),
    _model("no-dropout-in-embedding", "nothing is dropped from your embeddings.", {EMBED: "x = self._embed(ids)"}),
    _model(
        "dropout-before-positions",
        "you drop from the token vectors before the positions are added: dropout comes after the sum.",
        {EMBED: "x = self._embed(ids)", "x = self.token_embedding(ids)": "x = self.dropout(self.token_embedding(ids))"},
    ),
]

STRUCTURE = [
    _model("no-final-norm", "the final norm is missing: it stands there and is not called.", {NORM: "pass"}),
    _model(
        "final-norm-in-post",
        "your post-norm model has a final norm: a stack of post-norm blocks ends in one already.",
        {ASKED_NORM: "if True:\n            # The sum", 'if self.config.norm_position == "pre":': "if True:"},
    ),
    _model(
        "softmax",
        "your model returns probabilities: leave the softmax to those who need it, and return logits.",
        {LOGITS: f"{LOGITS}.softmax(-1)"},
    ),
    _model(
        "log-softmax",
        "your model returns log-probabilities: leave the softmax to the loss, and return logits.",
        {LOGITS: f"{LOGITS}.log_softmax(-1)"},
    ),
    _model(
        "last-position-only",
        "your model scores the last position alone: every position has logits.",
        {LOGITS: "return self.lm_head(x[:, -1:])"},
    ),
    _model(
        "tied-by-copy",
        "your head and the table are two parameters (a copy, or two over the same numbers): tied means one nn.Parameter under two names.",
        {TIE: "self.lm_head.weight = nn.Parameter(self.token_embedding.weight.detach().clone())"},
    ),
    _model("head-bias", "your head has a bias.", {HEAD: HEAD.replace("bias=False", "bias=config.bias")}),
    _model(
        "plain-list",
        "your blocks stand in a plain list, where parameters() does not find them: use nn.ModuleList.",
        {BLOCKS: "self.blocks = [_make_block(config, generator) for _ in range(config.num_layers)]"},
    ),
    _model(
        "one-block",
        "your blocks are one block, num_layers times ([block] * n): each needs a constructor call of its own.",
        {BLOCKS: "self.blocks = nn.ModuleList([_make_block(config, generator)] * config.num_layers)"},
    ),
    _model(
        "first-block-only",
        "only the first of your blocks runs.",
        {"for block in self.blocks:": "for block in self.blocks[:1]:"},
    ),
    _model(
        "blocks-backwards",
        "your blocks run in the wrong order: the first one comes first.",
        {"for block in self.blocks:": "for block in self.blocks[::-1]:"},
    ),
    _model(
        "last-position-in-evaluation",
        "in evaluation your model scores the last position alone where there is one text: every position has logits.",
        {LOGITS: "return self.lm_head(x[:, -1:] if len(x) == 1 and not self.training else x)"},
    ),
    _model(
        "looks-ahead-in-evaluation",
        "in evaluation your attention sees later positions where there is one text.",
        {EMBED: f"for one in self.blocks: one.attention.causal = self.training or len(ids) > 1\n        {EMBED}"},
    ),
    _model(
        "looks-ahead-with-dropout",
        "with dropout above 0 your attention sees later positions.",
        {BLOCKS: f"{BLOCKS}\n        for one in self.blocks: one.attention.causal = config.dropout == 0"},
    ),
    _model(
        "default-seed-of-the-model",
        "without a generator your weights come from one with a fixed seed: None means torch's global one.",
        {INIT: INIT.replace("generator=generator", "generator=generator or torch.Generator().manual_seed(0)")},
    ),
    _model(
        "two-parameters-one-storage",
        "your head and the table are two parameters (a copy, or two over the same numbers): tied means one nn.Parameter under two names.",
        {TIE: "self.lm_head.weight = nn.Parameter(self.token_embedding.weight.data)"},
    ),
    _model("length-not-checked", "a sequence beyond max_length is not refused.", {LENGTH: "if False:"}),
    _model(
        "length-off-by-one", "a sequence of exactly max_length tokens is refused.", {LENGTH: LENGTH.replace(">", ">=")}
    ),
    _model(
        "length-asserts",
        "a sequence beyond max_length raises AssertionError: raise a ValueError that gives both numbers.",
        {LENGTH: f"assert ids.shape[-1] <= self.config.max_length\n        {LENGTH}"},
    ),
    _model("positions-left-out", "your learned positions are never added.", {LEARNED: "return x"}),
    _model(
        "positions-after-blocks",
        "your learned positions are added after the blocks: they belong to what goes in.",
        {
            LEARNED: "return x",
            "        # (batch, seq, d_model) -> (batch, seq, vocab_size): logits": '        if self.config.position == "learned": x = self.position_embedding(x)\n        #',
        },
    ),
    _model(
        "no-sqrt",
        "with sinusoidal positions, your token vectors are not multiplied by sqrt(d_model).",
        {SCALED: SCALED.replace(" * math.sqrt(self.config.d_model)", "")},
    ),
    _model(
        "sqrt-of-the-sum",
        "you multiply the sum by sqrt(d_model): only the token vectors, before the positions are added.",
        {SCALED: "return math.sqrt(self.config.d_model) * (x + self.position_encoding[: ids.shape[-1]])"},
    ),
    _model(
        "sqrt-always",
        "you multiply token vectors by sqrt(d_model) whatever position is: only with sinusoidal positions.",
        {
            "x = self.token_embedding(ids)": "x = self.token_embedding(ids) * math.sqrt(self.config.d_model)",
            SCALED: SCALED.replace(" * math.sqrt(self.config.d_model)", ""),
        },
    ),
    _model(
        "encoding-is-learned",
        "your sinusoidal table is a parameter: it is fixed, so it is a buffer.",
        {BUFFER: "self.position_encoding = nn.Parameter(encoding)"},
    ),
    _model(
        "encoding-in-state",
        "your sinusoidal table is in the state_dict: register it with persistent=False.",
        {BUFFER: BUFFER.replace(", persistent=False", "")},
    ),
    _model(
        "encoding-is-no-buffer",
        "your sinusoidal table is a plain attribute, which stays behind when the model changes dtype or device: make it a buffer.",
        {BUFFER: "self.position_encoding = encoding"},
    ),
    _model(
        "not-initialised",
        "your model keeps the weights that its layers drew: call init_weights at the end.",
        {INIT: "        pass"},
    ),
    _model(
        "initialised-for-one-layer",
        "init_weights is told the wrong number of layers.",
        {INIT: INIT.replace("config.num_layers", "1")},
    ),
    _model(
        "generator-not-passed",
        "your model does not pass its generator on to init_weights.",
        {INIT: INIT.replace(", generator=generator", "")},
    ),
    _model("ids-overwritten", "your forward writes into ids.", {EMBED: f"{EMBED}\n        ids.zero_()"}),
]

COUNT_PARAMETERS = [
    _count(
        "tied-twice",
        "you count a tied weight twice, once under each of its names (state_dict() has both): parameters() gives it once.",
        {
            COUNT: "return sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False) if id(p) not in left_out)"
        },
    ),
    _count(
        "state-dict",
        "you count a tied weight twice, once under each of its names (state_dict() has both): parameters() gives it once.",
        {
            COUNT: "return sum(p.numel() for name, p in model.state_dict().items() if not (tables and name.endswith(tables)))"
        },
    ),
    _count(
        "buffers",
        "you count buffers too: they are not learned.",
        {COUNT: COUNT + " + sum(b.numel() for b in model.buffers())"},
    ),
    _count("tensors", "you count the tensors, not their elements.", {COUNT: COUNT.replace("parameter.numel()", "1")}),
    _count(
        "trainable-only",
        "you leave out parameters that ask for no gradient: a frozen weight counts.",
        {COUNT: COUNT.replace("if id", "if parameter.requires_grad and id")},
    ),
    _count("embeddings-ignored", "embeddings=False changes nothing in your count.", {LEFT_OUT: "left_out = set()"}),
    _count(
        "position-table-kept",
        "with embeddings=False you leave out the tokens' table and keep that of the positions.",
        {'("token_embedding.weight", "position_embedding.weight")': '("token_embedding.weight",)'},
    ),
    _count(
        "token-table-kept",
        "with embeddings=False you leave out the positions' table and keep that of the tokens.",
        {'("token_embedding.weight", "position_embedding.weight")': '("position_embedding.weight",)'},
    ),
    _count(
        "head-left-out",
        "with embeddings=False you leave out an untied head too: it is a matrix of its own, and counts.",
        {
            '("token_embedding.weight", "position_embedding.weight")': '("token_embedding.weight", "position_embedding.weight", "lm_head.weight")'
        },
    ),
    _count(
        "count-none", "your count_parameters returns None: is there a `return`?", {COUNT: COUNT.removeprefix("return ")}
    ),
]

ESTIMATE_FLOPS = [
    _flops(
        "forward-only",
        "you count the forward pass alone: going backward costs twice as much again.",
        {FLOPS: "return 2 * length * per_token"},
    ),
    _flops(
        "backward-as-forward",
        "your backward pass costs as much as the forward: it is twice as much, as both factors need a gradient.",
        {FLOPS: "return 2 * 2 * length * per_token"},
    ),
    _flops(
        "multiply-adds",
        "you count a multiplication with its addition as one operation: they are two.",
        {FLOPS: "return 3 * length * per_token"},
    ),
    _flops("per-token", "your count is for one token, not for the sequence.", {FLOPS: "return 3 * 2 * per_token"}),
    _flops("no-mixing", "scores and the mixing of values are missing.", {MIXING: "mixing = 0"}),
    _flops(
        "scores-only",
        "you count the scores and not the mixing of the values, or the reverse: two products of the same size; or you count both by half, for the causal mask.",
        {MIXING: "mixing = length * d_model"},
    ),
    _flops(
        "grouped-scores",
        "you count scores and mixing for the heads of keys alone: each head of queries has its own.",
        {MIXING: "mixing = 2 * length * d_kv"},
    ),
    _flops(
        "kv-heads-ignored",
        "the projections to keys and values are as large as that of queries in your count, whatever num_kv_heads is.",
        {D_KV: "d_kv = d_model"},
    ),
    _flops(
        "mlp-for-swiglu", "your swiglu has two matrices: it has three.", {MATRICES: "2 * d_model * config.hidden_size"}
    ),
    _flops(
        "hidden-is-four",
        "you take 4 * d_model for the hidden size, whatever the config says.",
        {MATRICES: MATRICES.replace("config.hidden_size", "4 * d_model")},
    ),
    _flops(
        "swiglu-ignores-d-hidden",
        "for swiglu you take the hidden size from d_model although d_hidden is given.",
        {
            MATRICES: MATRICES.replace(
                "config.hidden_size", "(config.hidden_size if config.feedforward == 'mlp' else 8 * -(-d_model // 3))"
            )
        },
    ),
    _flops(
        "tied-head-free",
        "a tied head costs nothing in your count: it is a matrix product like any other.",
        {PER_TOKEN: PER_TOKEN + " * (not config.tie_embeddings)"},
    ),
    _flops(
        "no-head",
        "the last projection is missing.",
        {PER_TOKEN: PER_TOKEN.removesuffix(" + d_model * config.vocab_size")},
    ),
    _flops(
        "lookup-counted",
        "you count the embedding as a matrix product: it is a lookup.",
        {PER_TOKEN: PER_TOKEN + " * 2"},
    ),
    _flops(
        "head-in-every-layer",
        "you count the last projection once a layer: there is one.",
        {
            PER_TOKEN: "per_token = config.num_layers * (attention_weights + feedforward_weights + mixing + d_model * config.vocab_size)"
        },
    ),
    _flops(
        "rounded-float",
        "your count went through a float on its way, where digits beyond 2^53 are lost: // for whole numbers.",
        {FLOPS: "return int(6.0 * length * per_token)"},
    ),
    _flops(
        "float",
        "your count is a float: it loses digits beyond 2^53, and a count is a whole number.",
        {FLOPS: "return 3.0 * 2 * length * per_token"},
    ),
    _flops("any-length", "a length that the model does not take is not refused.", {LIMITS: "if False:"}),
    _flops(
        "flops-none", "your estimate_flops returns None: is there a `return`?", {FLOPS: FLOPS.removeprefix("return ")}
    ),
]

MISTAKES = [
    *CONFIG,
    *INIT_WEIGHTS,
    *FIELDS,
    *STRUCTURE,
    *COUNT_PARAMETERS,
    *ESTIMATE_FLOPS,
    # ids are whole numbers: what writes into them is among the others.
    *always("TransformerLM", "TransformerLM.forward", without=("mutates-its-input",)),
]
