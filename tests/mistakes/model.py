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
    return _model(f"ignores-{field}", f"your model ignores the config's {field}: use it.", {old: new})


CONFIG = [
    _config(
        "zero-size", "your check lets a size or count of 0 pass: 1 is the smallest.", {SIZE: SIZE.replace("1", "0")}
    ),
    _config(
        "none-compared",
        "your check crashes if num_kv_heads or d_hidden is None: both may be None, so do not compare them with a number then.",
        {SIZE: "if size < 1:"},
    ),
    _config(
        "optional-size",
        "you do not check num_kv_heads and d_hidden: if given, they must be 1 or more too.",
        {
            '"num_heads", "num_kv_heads", "d_hidden"):': '"num_heads"):',
            "if config.num_kv_heads is not None": "if config.num_kv_heads",
        },
    ),
    _config(
        "words-in-any-case",
        "your config takes words in capitals, which the rest of the model does not know: compare them exactly.",
        {WORDS: "if str(getattr(self, name)).lower() not in words:"},
    ),
    _config(
        "any-word",
        "your config takes any word for position, norm and the like: compare with CHOICES.",
        {WORDS: "if False:"},
    ),
    _config(
        "heads-not-divisible",
        "your config accepts a d_model that num_heads does not divide.",
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
        "your config accepts rope with an odd number of features per head: check d_model / num_heads, not d_model.",
        {' == "rope" and d_head % 2:': ' == "rope" and config.d_model % 2:'},
    ),
    _config(
        "rope-without-rope",
        "your config demands an even number of features per head even without rope: only rope needs that.",
        {'if config.position == "rope" and d_head % 2:': "if d_head % 2:"},
    ),
    _config(
        "zero-eps", "your check lets a norm_eps or rope_base of 0 pass.", {POSITIVE: POSITIVE.replace("> 0", ">= 0")}
    ),
    _config(
        "dropout-one",
        "your config takes dropout = 1, which would keep nothing: the limit is below 1.",
        {DROPOUT: DROPOUT.replace("< 1", "<= 1")},
    ),
    _config(
        "not-a-number",
        "your check tests dropout < 0 or dropout >= 1, which are both False for NaN: test `not 0 <= dropout < 1`.",
        {DROPOUT: "if self.dropout < 0 or self.dropout >= 1:"},
    ),
    _config(
        "asserts",
        "an impossible size raises AssertionError: raise a ValueError that names the field and its value.",
        {SIZE: f"assert size is None or size >= 1, name\n            {SIZE}"},
    ),
    _config(
        "silent",
        "your ValueError does not name the wrong field or its value.",
        {SIZE: f'{SIZE}\n                raise ValueError("invalid config")'},
    ),
    _config(
        "d-hidden-ignored", "your hidden_size ignores d_hidden: return d_hidden if it is given.", {HIDDEN: "if False:"}
    ),
    _config(
        "swiglu-as-mlp",
        "your hidden_size is 4 * d_model for swiglu too: swiglu has three matrices, so it is 8/3 * d_model, rounded up.",
        {ROUNDED: "return 4 * self.d_model"},
    ),
    _config(
        "hidden-not-rounded",
        "your hidden_size for swiglu is not rounded up to a multiple of 8.",
        {ROUNDED: "return int(8 * self.d_model / 3)"},
    ),
    _config(
        "hidden-rounded-down",
        "your hidden_size for swiglu is rounded down to a multiple of 8: round up.",
        {ROUNDED: "return 8 * (self.d_model // 3)"},
    ),
    _config(
        "hidden-one-more",
        "your hidden_size for swiglu is 8 too large if 8/3 * d_model is already a multiple of 8.",
        {ROUNDED: "return 8 * (self.d_model // 3 + 1)"},
    ),
    _config(
        "changes-lose",
        "your gpt2() takes its own number even if the caller gives one: the caller's wins.",
        {GPT2: 'return cls(**{**changes, **sizes, "dropout": 0.1})'},
    ),
    _config(
        "gpt2-no-dropout", "your gpt2() has no dropout: GPT-2 has 0.1.", {GPT2: "return cls(**{**sizes, **changes})"}
    ),
    _config(
        "llama-tied",
        "your llama() has biases and a tied head, the defaults of a config: Llama has neither.",
        {LLAMA: "return cls(**{**sizes, **kind, **changes})"},
    ),
    _config(
        "changes-stay",
        "your gpt2() writes the caller's changes into a dict that later calls share: build a new dict in each call.",
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
        "your out_proj and down_proj start like all other weights: they write into the residual stream, so divide by sqrt(2 * num_layers).",
        {RESIDUAL: "residual_std = std"},
    ),
    _init(
        "one-sum-a-layer",
        "you divide by sqrt(num_layers): each layer adds twice, so divide by sqrt(2 * num_layers).",
        {RESIDUAL: "residual_std = std / math.sqrt(num_layers)"},
    ),
    _init(
        "no-root",
        "you divide by 2 * num_layers: divide by its square root.",
        {RESIDUAL: "residual_std = std / (2 * num_layers)"},
    ),
    _init(
        "attention-not-scaled",
        "you scale down only down_proj: attention's out_proj writes into the residual stream too.",
        {WRITES: 'writes = name.endswith("down_proj.weight")'},
    ),
    _init(
        "every-projection-scaled",
        "you scale down every projection: scale only out_proj and down_proj, which write into the residual stream.",
        {WRITES: 'writes = name.endswith("_proj.weight")'},
    ),
    _init(
        "std-ignored",
        "your standard deviation is always 0.02: use the given std.",
        {RESIDUAL: f"std = 0.02\n    {RESIDUAL}"},
    ),
    _init(
        "variance",
        "you take std as the variance: it is the standard deviation.",
        {RESIDUAL: f"std = std**0.5\n    {RESIDUAL}"},
    ),
    _init(
        "uniform",
        "you draw from a uniform distribution: draw from a normal one.",
        {
            DRAW: "value = (torch.rand(parameter.shape, generator=generator) * 2 - 1) * 3**0.5 * (residual_std if writes else std)"
        },
    ),
    _init(
        "gains-drawn",
        "you draw the gains of norms, which are called weight too: parameters of one axis that are not biases start at 1.",
        {MATRIX: 'if name.endswith("weight"):'},
    ),
    _init("gains-zero", "your norm gains start at 0: they start at 1.", {FLAT: "value = torch.zeros(())"}),
    _init(
        "biases-kept",
        "you leave biases as they were: set them to 0.",
        {FLAT: f'if name.endswith("bias"): continue\n            {FLAT}'},
    ),
    _init(
        "gains-kept",
        "you leave gains as they were: set them to 1.",
        {FLAT: f'if not name.endswith("bias"): continue\n            {FLAT}'},
    ),
    _init(
        "new-parameters",
        "you replace the parameters with new ones: write into the existing ones.",
        {
            "    for name, parameter in model.named_parameters():": "    for name, parameter in list(model.named_parameters()):",
            NO_GRAD: '        *path, last = name.split(".")\n        setattr(model.get_submodule(".".join(path)), last, nn.Parameter(value.expand(parameter.shape).clone().to(parameter.dtype)))',
        },
    ),
    _init(
        "init-ignores-generator",
        "you draw from the global generator although another one is given.",
        {DRAW: DRAW.replace("generator=generator", "generator=None")},
    ),
    _init(
        "same-numbers",
        "every weight gets the same numbers: you create or seed a generator for each. Use one generator for all.",
        {DRAW: DRAW.replace("generator=generator", "generator=torch.Generator().manual_seed(0)")},
    ),
    _init(
        "frozen",
        "your parameters no longer require gradients: leave requires_grad alone.",
        {NO_GRAD: "        parameter.requires_grad_(False).copy_(value)"},
    ),
    _init(
        "dot-in-front",
        "you look for names with a dot in front (.out_proj.weight), but a layer on its own has no such dot.",
        {WRITES: 'writes = name.endswith((".out_proj.weight", ".down_proj.weight"))'},
    ),
    _init(
        "buffers-too",
        "you write into buffers too: set parameters only.",
        {
            "    for name, parameter in model.named_parameters():": "    for name, parameter in [*model.named_parameters(), *model.named_buffers()]:"
        },
    ),
    _init(
        "default-seed",
        "without a given generator you draw from your own one with a fixed seed: None means torch's global one.",
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
        "eps-ignored-in-blocks",
        "the norms in your blocks have the default eps: pass on the config's norm_eps.",
        {"norm_eps=config.norm_eps,": ""},
    ),
    _model(
        "eps-ignored-at-the-end",
        "your final norm always has eps 1e-5: use the config's norm_eps.",
        {FINAL: FINAL.replace("config.norm_eps", "1e-5")},
    ),
    _model(
        "final-norm-is-layernorm",
        "your final norm is always a LayerNorm: use the config's norm.",
        {FINAL: FINAL.replace("config.norm,", '"layernorm",')},
    ),
    _model(
        "bias-ignored-in-blocks",
        "your blocks always have biases: pass on the config's bias.",
        {"        bias=config.bias,\n": ""},
    ),
    _model(
        "bias-ignored-at-the-end",
        "your final norm always has a bias: use the config's bias.",
        {FINAL: FINAL.replace("config.bias", "True")},
    ),
    _model(
        "rope-always",
        'your blocks always use rope: pass rope_base only for position="rope".',
        {' if config.position == "rope" else None': ""},
    ),
    _model(
        "no-dropout-in-blocks",
        "your blocks have no dropout: pass on the config's dropout.",
        {"        dropout=config.dropout,\n": ""},
    ),
    _model(
        "no-dropout-in-embedding",
        "you apply no dropout to the embeddings: apply it after adding the positions.",
        {EMBED: "x = self._embed(ids)"},
    ),
    _model(
        "dropout-before-positions",
        "you apply dropout before adding the positions: apply it after the sum.",
        {EMBED: "x = self._embed(ids)", "x = self.token_embedding(ids)": "x = self.dropout(self.token_embedding(ids))"},
    ),
]

STRUCTURE = [
    _model("no-final-norm", "you create the final norm but do not call it.", {NORM: "pass"}),
    _model(
        "final-norm-in-post",
        "your post-norm model has a final norm: a stack of post-norm blocks already ends in one.",
        {ASKED_NORM: "if True:\n            # The sum", 'if self.config.norm_position == "pre":': "if True:"},
    ),
    _model(
        "softmax",
        "your model returns probabilities: return logits, without a softmax.",
        {LOGITS: f"{LOGITS}.softmax(-1)"},
    ),
    _model(
        "log-softmax",
        "your model returns log-probabilities: return logits and leave the softmax to the loss.",
        {LOGITS: f"{LOGITS}.log_softmax(-1)"},
    ),
    _model(
        "last-position-only",
        "your model scores only the last position: return logits for every position.",
        {LOGITS: "return self.lm_head(x[:, -1:])"},
    ),
    _model(
        "tied-by-copy",
        "your head and the token table are two parameters (a copy, or two that share memory): tied means one nn.Parameter under two names.",
        {TIE: "self.lm_head.weight = nn.Parameter(self.token_embedding.weight.detach().clone())"},
    ),
    _model(
        "head-bias", "your head has a bias: it never has one.", {HEAD: HEAD.replace("bias=False", "bias=config.bias")}
    ),
    _model(
        "plain-list",
        "your blocks are in a plain list, where parameters() does not find them: use nn.ModuleList.",
        {BLOCKS: "self.blocks = [_make_block(config, generator) for _ in range(config.num_layers)]"},
    ),
    _model(
        "one-block",
        "you use one block num_layers times ([block] * n): call the constructor once per block.",
        {BLOCKS: "self.blocks = nn.ModuleList([_make_block(config, generator)] * config.num_layers)"},
    ),
    _model(
        "first-block-only",
        "only the first of your blocks runs: run all of them.",
        {"for block in self.blocks:": "for block in self.blocks[:1]:"},
    ),
    _model(
        "blocks-backwards",
        "your blocks run in the wrong order: start with the first one.",
        {"for block in self.blocks:": "for block in self.blocks[::-1]:"},
    ),
    _model(
        "last-position-in-evaluation",
        "in evaluation mode your model scores only the last position of a single text: return logits for every position.",
        {LOGITS: "return self.lm_head(x[:, -1:] if len(x) == 1 and not self.training else x)"},
    ),
    _model(
        "looks-ahead-in-evaluation",
        "in evaluation mode your attention sees later positions of a single text.",
        {EMBED: f"for one in self.blocks: one.attention.causal = self.training or len(ids) > 1\n        {EMBED}"},
    ),
    _model(
        "looks-ahead-with-dropout",
        "with dropout above 0 your attention sees later positions.",
        {BLOCKS: f"{BLOCKS}\n        for one in self.blocks: one.attention.causal = config.dropout == 0"},
    ),
    _model(
        "default-seed-of-the-model",
        "without a given generator your weights come from one with a fixed seed: None means torch's global one.",
        {INIT: INIT.replace("generator=generator", "generator=generator or torch.Generator().manual_seed(0)")},
    ),
    _model(
        "two-parameters-one-storage",
        "your head and the token table are two parameters (a copy, or two that share memory): tied means one nn.Parameter under two names.",
        {TIE: "self.lm_head.weight = nn.Parameter(self.token_embedding.weight.data)"},
    ),
    _model("length-not-checked", "you do not refuse a sequence longer than max_length.", {LENGTH: "if False:"}),
    _model(
        "length-off-by-one",
        "you refuse a sequence of exactly max_length tokens, which is allowed.",
        {LENGTH: LENGTH.replace(">", ">=")},
    ),
    _model(
        "length-asserts",
        "a sequence longer than max_length raises AssertionError: raise a ValueError that gives both numbers.",
        {LENGTH: f"assert ids.shape[-1] <= self.config.max_length\n        {LENGTH}"},
    ),
    _model(
        "positions-left-out",
        "you never add the learned positions: add them to the token vectors.",
        {LEARNED: "return x"},
    ),
    _model(
        "positions-after-blocks",
        "you add the learned positions after the blocks: add them before.",
        {
            LEARNED: "return x",
            "        # (batch, seq, d_model) -> (batch, seq, vocab_size): logits": '        if self.config.position == "learned": x = self.position_embedding(x)\n        #',
        },
    ),
    _model(
        "no-sqrt",
        "with sinusoidal positions you do not multiply the token vectors by sqrt(d_model).",
        {SCALED: SCALED.replace(" * math.sqrt(self.config.d_model)", "")},
    ),
    _model(
        "sqrt-of-the-sum",
        "you multiply the sum by sqrt(d_model): multiply only the token vectors, before adding the positions.",
        {SCALED: "return math.sqrt(self.config.d_model) * (x + self.position_encoding[: ids.shape[-1]])"},
    ),
    _model(
        "sqrt-always",
        "you always multiply the token vectors by sqrt(d_model): do so only for sinusoidal positions.",
        {
            "x = self.token_embedding(ids)": "x = self.token_embedding(ids) * math.sqrt(self.config.d_model)",
            SCALED: SCALED.replace(" * math.sqrt(self.config.d_model)", ""),
        },
    ),
    _model(
        "encoding-is-learned",
        "your sinusoidal table is a parameter, but it is fixed: make it a buffer.",
        {BUFFER: "self.position_encoding = nn.Parameter(encoding)"},
    ),
    _model(
        "encoding-in-state",
        "your sinusoidal table is in the state_dict: register it with persistent=False.",
        {BUFFER: BUFFER.replace(", persistent=False", "")},
    ),
    _model(
        "encoding-is-no-buffer",
        "your sinusoidal table is a plain attribute, which does not move when the model changes dtype or device: make it a buffer.",
        {BUFFER: "self.position_encoding = encoding"},
    ),
    _model(
        "not-initialised",
        "your model keeps the weights that its layers drew: call init_weights at the end.",
        {INIT: "        pass"},
    ),
    _model(
        "initialised-for-one-layer",
        "you pass the wrong number of layers to init_weights: pass num_layers.",
        {INIT: INIT.replace("config.num_layers", "1")},
    ),
    _model(
        "generator-not-passed",
        "your model does not pass its generator on to init_weights.",
        {INIT: INIT.replace(", generator=generator", "")},
    ),
    _model(
        "ids-overwritten",
        "your forward writes into ids, which belong to the caller.",
        {EMBED: f"{EMBED}\n        ids.zero_()"},
    ),
]

COUNT_PARAMETERS = [
    _count(
        "tied-twice",
        "you count a tied weight twice, once under each name, as state_dict() lists it: parameters() gives it once.",
        {
            COUNT: "return sum(p.numel() for _, p in model.named_parameters(remove_duplicate=False) if id(p) not in left_out)"
        },
    ),
    _count(
        "state-dict",
        "you count a tied weight twice, once under each name, as state_dict() lists it: parameters() gives it once.",
        {
            COUNT: "return sum(p.numel() for name, p in model.state_dict().items() if not (tables and name.endswith(tables)))"
        },
    ),
    _count(
        "buffers",
        "you count buffers too: they are not learned.",
        {COUNT: COUNT + " + sum(b.numel() for b in model.buffers())"},
    ),
    _count("tensors", "you count the tensors: count their elements.", {COUNT: COUNT.replace("parameter.numel()", "1")}),
    _count(
        "trainable-only",
        "you leave out parameters that require no gradient: frozen weights count too.",
        {COUNT: COUNT.replace("if id", "if parameter.requires_grad and id")},
    ),
    _count("embeddings-ignored", "embeddings=False changes nothing in your count.", {LEFT_OUT: "left_out = set()"}),
    _count(
        "position-table-kept",
        "with embeddings=False you leave out the token table but keep the position table: leave out both.",
        {'("token_embedding.weight", "position_embedding.weight")': '("token_embedding.weight",)'},
    ),
    _count(
        "token-table-kept",
        "with embeddings=False you leave out the position table but keep the token table: leave out both.",
        {'("token_embedding.weight", "position_embedding.weight")': '("position_embedding.weight",)'},
    ),
    _count(
        "head-left-out",
        "with embeddings=False you leave out an untied head too: it is a matrix of its own, so count it.",
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
        "you count only the forward pass: the backward pass costs twice as much again.",
        {FLOPS: "return 2 * length * per_token"},
    ),
    _flops(
        "backward-as-forward",
        "you count the backward pass like the forward pass: it costs twice as much, since both factors need a gradient.",
        {FLOPS: "return 2 * 2 * length * per_token"},
    ),
    _flops(
        "multiply-adds",
        "you count a multiplication with its addition as one operation: count two.",
        {FLOPS: "return 3 * length * per_token"},
    ),
    _flops("per-token", "your count is for one token: multiply by the length.", {FLOPS: "return 3 * 2 * per_token"}),
    _flops("no-mixing", "your count lacks the scores and the mixing of the values.", {MIXING: "mixing = 0"}),
    _flops(
        "scores-only",
        "you count only half of scores and mixing: both products count, and both in full, whatever the causal mask hides.",
        {MIXING: "mixing = length * d_model"},
    ),
    _flops(
        "grouped-scores",
        "you count scores and mixing once per key head: each query head has its own.",
        {MIXING: "mixing = 2 * length * d_kv"},
    ),
    _flops(
        "kv-heads-ignored",
        "you count the key and value projections as large as the query projection: with fewer num_kv_heads they are smaller.",
        {D_KV: "d_kv = d_model"},
    ),
    _flops(
        "mlp-for-swiglu",
        "you count two matrices for swiglu: it has three.",
        {MATRICES: "2 * d_model * config.hidden_size"},
    ),
    _flops(
        "hidden-is-four",
        "you always take 4 * d_model as the hidden size: use the config's hidden_size.",
        {MATRICES: MATRICES.replace("config.hidden_size", "4 * d_model")},
    ),
    _flops(
        "swiglu-ignores-d-hidden",
        "for swiglu you take the hidden size from d_model even if d_hidden is given: use hidden_size.",
        {
            MATRICES: MATRICES.replace(
                "config.hidden_size", "(config.hidden_size if config.feedforward == 'mlp' else 8 * -(-d_model // 3))"
            )
        },
    ),
    _flops(
        "tied-head-free",
        "you do not count a tied head: it is a matrix product like any other.",
        {PER_TOKEN: PER_TOKEN + " * (not config.tie_embeddings)"},
    ),
    _flops(
        "no-head",
        "your count lacks the last projection.",
        {PER_TOKEN: PER_TOKEN.removesuffix(" + d_model * config.vocab_size")},
    ),
    _flops(
        "lookup-counted",
        "you count the embedding as a matrix product: it is a lookup.",
        {PER_TOKEN: PER_TOKEN + " * 2"},
    ),
    _flops(
        "head-in-every-layer",
        "you count the last projection once per layer: there is only one.",
        {
            PER_TOKEN: "per_token = config.num_layers * (attention_weights + feedforward_weights + mixing + d_model * config.vocab_size)"
        },
    ),
    _flops(
        "rounded-float",
        "you compute with floats, which lose digits beyond 2^53: use whole numbers and //.",
        {FLOPS: "return int(6.0 * length * per_token)"},
    ),
    _flops(
        "float",
        "your count is a float, which loses digits beyond 2^53: return a whole number.",
        {FLOPS: "return 3.0 * 2 * length * per_token"},
    ),
    _flops("any-length", "you do not refuse a length that the model does not take.", {LIMITS: "if False:"}),
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
