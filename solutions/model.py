r"""Model: all earlier units, put together into a language model.

All parts of a language model exist already: vectors for tokens, positions, norms, attention, feed-forward layers, and
the block that combines the last three. This unit stacks them. Token ids go in at the bottom, become vectors, and pass
through the blocks one after the other. At the top, each position's vector is compared with every token of the
vocabulary. The result is a score for each token at each position: which token comes next?

GPT-2 and Llama are four years and a factor of fifty in size apart, but they differ in a handful of choices, so one
class can be both:

1. `ModelConfig` holds those choices, refuses impossible ones, and knows the numbers of two published models.
2. `init_weights` gives every parameter its initial value; weights that write into the residual stream start smaller.
3. `TransformerLM` is the model that a config describes. It starts with the weights of 2.
4. `count_parameters` counts the numbers that a model has learned: the "124M" in its name.
5. `estimate_flops` computes the cost of one sequence from the config alone, before the model is built.

3 takes the config of 1 and calls 2; 4 counts the parameters of 3; 5 needs only 1.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .block import TransformerBlock, make_norm
from .embedding import Embedding, Linear, init_normal
from .feedforward import Dropout
from .position import LearnedPositionalEmbedding, sinusoidal_encoding

# The fields of ModelConfig that take one of a few words, and those words.
CHOICES = {
    "position": ("learned", "sinusoidal", "rope", "none"),
    "norm": ("layernorm", "rmsnorm"),
    "norm_position": ("pre", "post"),
    "feedforward": ("mlp", "swiglu"),
    "activation": ("relu", "gelu", "gelu_tanh", "silu"),
}


@dataclass(frozen=True)
class ModelConfig:
    r"""Describe the architecture of a model: everything that decides which layers it has and how large they are.

    The fields are given. You write the checks (`__post_init__`, which a dataclass calls after setting its fields),
    `hidden_size`, and the two published models. An impossible config is refused when it is created, with a message that
    names the wrong field. Otherwise it would become a shape error in the middle of the model.

    Args:
        vocab_size: Number of tokens in the vocabulary.
        max_length: The longest sequence that the model accepts, in tokens.
        d_model: Size of each token's vector.
        num_layers: Number of blocks.
        num_heads: Number of query heads in each attention layer; each has d_head = d_model / num_heads features.
        num_kv_heads: Number of key and value heads. None = the same as query heads; `MultiHeadAttention` handles it.
        d_hidden: Size of the hidden vectors of each feed-forward layer. None = the default of `hidden_size`.
        position: Kind of position encoding: "learned" (a `LearnedPositionalEmbedding`), "sinusoidal", "rope" or "none".
        rope_base: The base of `apply_rope`; only used with position="rope".
        norm: Kind of every norm in the model: "layernorm" or "rmsnorm".
        norm_position: "pre" (norm before each sub-layer) or "post" (after each sum), as in `TransformerBlock`.
        norm_eps: The eps of every norm.
        feedforward: Kind of feed-forward layer: "mlp" (`FeedForward`) or "swiglu" (`SwiGLU`).
        activation: Activation of the mlp: "relu", "gelu", "gelu_tanh" or "silu". SwiGLU has its own and ignores this.
        dropout: Probability of dropping, in training: in the embedding and in every block.
        bias: Whether layer norms and the projections of attention and mlp have biases. The last projection has none.
        tie_embeddings: Whether the last projection uses the token table itself as its weight.

    Raises:
        ValueError: A field is impossible. The message begins with the name of the field and gives its value (for two
            fields that do not fit together, both values):
            vocab_size, max_length, d_model, num_layers, num_heads, num_kv_heads or d_hidden is below 1 (None is fine
            for the last two); d_model is not divisible by num_heads, or num_heads not by num_kv_heads; position, norm,
            norm_position, feedforward or activation is not one of its words; position is "rope" and d_head is odd
            (the message begins with d_model); norm_eps or rope_base is not above 0; dropout is outside [0, 1).

    Example:
        >>> config = ModelConfig(vocab_size=100, max_length=16, d_model=32, num_layers=2, num_heads=4)
        >>> config.position, config.hidden_size
        ('learned', 128)
        >>> ModelConfig(vocab_size=100, max_length=16, d_model=32, num_layers=2, num_heads=5)
        Traceback (most recent call last):
        ...
        ValueError: d_model must be divisible by num_heads, got 32 and 5: each head has an equal share of the features

    Pitfalls:
        * `assert` is not enough: python -O skips it, and it raises no ValueError.
        * Do not treat an unknown word as one of the choices: "LayerNorm" is a spelling mistake.
        * "Below 1" includes 0. And what do the comparisons `dropout < 0` and `dropout >= 1` give for NaN?
        * The fields are frozen: `__post_init__` can check them but not set them.

    Source:
        GPT-2: Radford et al. 2019, section 2.3. https://openai.com/index/better-language-models
        Llama: Touvron et al. 2023, section 2.2 and table 2. https://arxiv.org/abs/2302.13971
    """

    vocab_size: int
    max_length: int
    d_model: int
    num_layers: int
    num_heads: int
    # From here on, the defaults are GPT-2's choices, except for dropout.
    num_kv_heads: int | None = None
    d_hidden: int | None = None
    position: str = "learned"
    rope_base: float = 10000.0
    norm: str = "layernorm"
    norm_position: str = "pre"
    norm_eps: float = 1e-5
    feedforward: str = "mlp"
    activation: str = "gelu_tanh"
    dropout: float = 0.0
    bias: bool = True
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        """Refuse impossible values; the class docstring lists them."""
        # Sizes first: the divisions below must not meet a 0.
        for name in ("vocab_size", "max_length", "d_model", "num_layers", "num_heads", "num_kv_heads", "d_hidden"):
            size = getattr(self, name)
            # Two sizes may be None, which cannot be compared with a number.
            if size is not None and size < 1:
                raise ValueError(f"{name} must be 1 or more, got {size}: it is a size or a count")
        # Otherwise an `else` further on would take a spelling mistake for the other choice.
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)}, got {getattr(self, name)!r}")
        # Each of these fields may be right by itself without fitting the others.
        _refuse_heads(self)
        for name in ("norm_eps", "rope_base"):
            # `not ... > 0` refuses NaN too.
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}: usual are 1e-5 and 10000")
        # 1 is excluded: nothing would be kept, and kept values are divided by 1 - dropout.
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}: it is the probability of dropping")

    @property
    def hidden_size(self) -> int:
        """Size of the hidden vectors of each feed-forward layer.

        Returns:
            d_hidden if it is given. Otherwise 4 * d_model for an mlp. For swiglu, which has three matrices instead of
            two, 8/3 * d_model, rounded up to a multiple of 8 (unchanged if it is one already).
        """
        if self.d_hidden is not None:
            return self.d_hidden
        # Two matrices of 4 d_model^2 weights each, or three of 8/3 d_model^2: about 8 d_model^2 weights either way.
        if self.feedforward == "mlp":
            return 4 * self.d_model
        # 8/3 d_model <= 8 k is the same as d_model / 3 <= k, so integers are enough and no float can round wrongly.
        # -(-a // b) is a / b rounded up.
        return 8 * -(-self.d_model // 3)

    @classmethod
    def gpt2(cls, **changes: Any) -> "ModelConfig":
        """Return the config of the smallest GPT-2, with 124 million parameters.

        Args:
            **changes: Fields with different values, as in `gpt2(num_layers=2)`.

        Returns:
            vocab_size 50257, max_length 1024, d_model 768, 12 layers of 12 heads, and dropout 0.1. All other fields
            have their defaults: learned positions, pre-norm layer norms with eps 1e-5, an mlp of hidden size 3072 with
            gelu_tanh, biases, and a tied head.
        """
        sizes = {"vocab_size": 50257, "max_length": 1024, "d_model": 768, "num_layers": 12, "num_heads": 12}
        # If a key comes twice, the later value wins: the caller's.
        return cls(**{**sizes, "dropout": 0.1, **changes})

    @classmethod
    def llama(cls, **changes: Any) -> "ModelConfig":
        """Return the config of the first Llama, in its smallest size of 6.7 billion parameters ("7B").

        Args:
            **changes: Fields with different values. If you change d_model, you may want `d_hidden=None` too.

        Returns:
            vocab_size 32000, max_length 2048, d_model 4096, 32 layers of 32 heads (num_kv_heads None), d_hidden 11008;
            "rope" with base 10000, pre-norm "rmsnorm" with eps 1e-6, "swiglu", no biases, no dropout, an untied head.
        """
        sizes = {"vocab_size": 32000, "max_length": 2048, "d_model": 4096, "num_layers": 32, "num_heads": 32}
        # 11008 and not hidden_size's 10928: Llama rounds up to a multiple of 256.
        kind = {"d_hidden": 11008, "position": "rope", "norm": "rmsnorm", "norm_eps": 1e-6, "feedforward": "swiglu"}
        return cls(**{**sizes, **kind, "bias": False, "tie_embeddings": False, **changes})


def init_weights(
    model: nn.Module, num_layers: int, *, std: float = 0.02, generator: torch.Generator | None = None
) -> None:
    r"""Give every parameter its initial value, and a smaller one to the weights that write into the residual stream.

    Each block adds to the residual stream twice, once after attention and once after the feed-forward layer, so a model
    of num_layers blocks sums 2 * num_layers terms. Independent terms of variance 1 have a sum of variance
    2 * num_layers. Dividing the last projection of each sub-layer by the square root of that keeps the sum at the scale
    of one term, however deep the model is.

    Math:
        name ends in "out_proj.weight" or "down_proj.weight":  N(0, (std / sqrt(2 * num_layers))^2)
        any other parameter of two axes or more:               N(0, std^2)
        of one axis, name ends in "bias":                      0
        of one axis, any other (the gains of norms):           1

    Args:
        model: The module to initialize in place, a whole model or a part such as one block. Names are those of
            `named_parameters`. The old values do not matter. Buffers stay as they are.
        num_layers: Number of blocks in the whole stack, even if `model` is only a part of it.
        std: The standard deviation of all matrices that are not scaled down.
        generator: Source of the random numbers. None = torch's global one, which is not touched otherwise.

    Returns:
        None. The parameters are the same objects as before, keep their dtypes, and still require gradients. A parameter
        used in two places of the model stays one parameter.

    Example:
        >>> block = TransformerBlock(64, 4, 256)
        >>> init_weights(block, num_layers=8, generator=torch.Generator().manual_seed(0))
        >>> layer = block.feedforward
        >>> round(layer.up_proj.weight.std().item(), 3), round(layer.down_proj.weight.std().item(), 3)
        (0.02, 0.005)

    Pitfalls:
        * 2 * num_layers, not num_layers: each block adds twice. And divide by the square root of that number.
        * std is a standard deviation; a variance of 0.02 would be a standard deviation of 0.14.
        * A new nn.Parameter in place of the old one breaks tying: write into the old one, under torch.no_grad().
        * A norm's gain is also called "weight". What else tells a matrix from a gain?
        * A generator that is created or seeded again for each parameter gives them all the same numbers.

    Source:
        Radford et al. 2019 (GPT-2), section 2.3, for the scale 1 / sqrt(N) of N residual layers.
        https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
        Radford et al. 2018 (GPT), section 4.1, for 0.02.
        https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

    `init_normal` of the unit embedding, and torch.nn.init, are allowed.
    """
    residual_std = std / math.sqrt(2 * num_layers)
    # A parameter in two places, such as a tied table, is listed once, so it is drawn once.
    for name, parameter in model.named_parameters():
        writes = name.endswith(("out_proj.weight", "down_proj.weight"))
        if parameter.dim() >= 2:
            # The number of axes decides, not the name: a gain is called weight too.
            value = init_normal(tuple(parameter.shape), residual_std if writes else std, generator=generator)
        else:
            # Bias 0 and gain 1: at the start neither has an effect.
            value = torch.zeros(()) if name.endswith("bias") else torch.ones(())
        # Into the existing tensor: optimizers and a tied head refer to this object.
        with torch.no_grad():
            parameter.copy_(value)


class TransformerLM(nn.Module):
    r"""Build the language model that a config describes: ids in, a score for every token of the vocabulary out.

    The scores at position s predict the token at s + 1 and depend only on the tokens up to s. They are logits, without
    a softmax: the loss and the sampling of later units each apply their own.

    Math:
        x      = token_embedding(ids)
        x      = position_embedding(x)                       position = "learned"
        x      = x * sqrt(d_model) + position_encoding[:seq] position = "sinusoidal"
        x      = dropout(x)
        x      = block(x)                                    for each block, in order
        x      = final_norm(x)                               norm_position = "pre"
        logits = lm_head(x)

    Args:
        config: Architecture of the model; every field has an effect.
        generator: Source of the initial weights. None = torch's global one, which is not touched otherwise.
            (Dropout always draws from the global one.)

    Returns:
        From `forward`: the logits, in the dtype of the parameters. Nothing is dropped in evaluation mode. Gradients
        reach every parameter.

    Raises:
        ValueError: `ids` has more positions than max_length, whatever `position` is. `forward` raises it, and the
            message gives both numbers.
        IndexError: An id is not in the vocabulary; `Embedding` raises it.

    Parameters:
        token_embedding: `Embedding` of vocab_size rows.
        position_embedding: `LearnedPositionalEmbedding` of max_length rows; only for position="learned".
        blocks: nn.ModuleList of num_layers `TransformerBlock`s, each with its own weights. Each block gets d_model,
            num_heads, num_kv_heads, norm, norm_position, norm_eps, feedforward, activation, dropout and bias from the
            config, d_hidden = hidden_size, and rope_base for position="rope" (otherwise None).
        final_norm: `LayerNorm` or `RMSNorm`, as in the blocks; only for norm_position="pre", since a stack of post-norm
            blocks already ends in a norm.
        lm_head: `Linear` from d_model to vocab_size, without a bias whatever `bias` is. With tie_embeddings its
            weight is token_embedding.weight: one tensor in two places.
        position_encoding: Not a parameter but a buffer, only for position="sinusoidal": `sinusoidal_encoding` of
            max_length rows. persistent=False keeps it out of `state_dict`, since it can be computed again.
        All parameters start as `init_weights` says. `state_dict` holds no other names. The attribute `config` keeps the
        config.

    Example:
        >>> config = ModelConfig(vocab_size=11, max_length=7, d_model=8, num_layers=2, num_heads=2)
        >>> model = TransformerLM(config, generator=torch.Generator().manual_seed(0))
        >>> logits = model(torch.tensor([[1, 2, 3], [4, 5, 6]]))
        >>> logits.shape, bool(logits.abs().max() < 1)  # small weights: all tokens have similar scores at first
        (torch.Size([2, 3, 11]), True)
        >>> model.lm_head.weight is model.token_embedding.weight
        True

    Pitfalls:
        * `parameters()`, `to()` and `train()` do not see blocks in a plain list: use nn.ModuleList.
        * [block] * n is the same block n times. Call the constructor once per block.
        * Tying means one tensor under two names. A copy is equal at the start but differs after the first step.
        * With rope, the blocks rotate queries and keys: add nothing to the vectors.
        * Without the last norm, a pre-norm model runs, but its logits grow with the number of blocks.
        * Not every kind of position notices a sequence that is too long: compare the lengths yourself.

    Source:
        Radford et al. 2018 (GPT), section 3.1, eq. 2, and Radford et al. 2019 (GPT-2), section 2.3, for the last norm.
        https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
        Touvron et al. 2023 (Llama), section 2.2. https://arxiv.org/abs/2302.13971
        Vaswani et al. 2017, section 3.4, for sqrt(d_model); 5.4 for dropout on the sum of the embeddings.
        https://arxiv.org/abs/1706.03762
        Press and Wolf 2017, for tying. https://arxiv.org/abs/1608.05859

    Not allowed: torch.nn.Embedding, torch.nn.Linear, torch.nn.LayerNorm, torch.nn.RMSNorm, torch.nn.Transformer,
        torch.nn.TransformerEncoder, torch.nn.TransformerEncoderLayer, torch.nn.TransformerDecoder,
        torch.nn.TransformerDecoderLayer.
    """

    def __init__(self, config: ModelConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        # The whole config: forward reads it, and code that saves the model saves it too.
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.d_model, generator=generator)
        if config.position == "learned":
            self.position_embedding = LearnedPositionalEmbedding(config.max_length, config.d_model, generator=generator)
        elif config.position == "sinusoidal":
            # A buffer moves with the model to other devices; a checkpoint need not keep what can be computed again.
            encoding = sinusoidal_encoding(config.max_length, config.d_model)
            self.register_buffer("position_encoding", encoding, persistent=False)
        # No generator here: dropout draws from the global one, whose state a checkpoint keeps.
        self.dropout = Dropout(config.dropout)
        # One constructor call per layer; ModuleList registers their parameters.
        self.blocks = nn.ModuleList(_make_block(config, generator) for _ in range(config.num_layers))
        if config.norm_position == "pre":
            # The sum in the residual stream of pre-norm blocks has never been normalized itself.
            self.final_norm = make_norm(config.norm, config.d_model, config.norm_eps, config.bias)
        self.lm_head = Linear(config.d_model, config.vocab_size, bias=False, generator=generator)
        if config.tie_embeddings:
            # Both are (vocab_size, d_model): row i is the vector of token i, and also what scores are computed with.
            self.lm_head.weight = self.token_embedding.weight
        # The layers above have drawn already, each at its own scale; in a whole model, the scale depends on depth too.
        init_weights(self, config.num_layers, generator=generator)

    def forward(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq vocab_size"]:
        """Score every token of the vocabulary as the next one, at every position.

        Args:
            ids: Token ids; the first column is position 0.

        Returns:
            The logits.
        """
        # Checked for all kinds of position: rope, for one, would silently run on lengths that the model never saw.
        if ids.shape[-1] > self.config.max_length:
            raise ValueError(
                f"a sequence may have {self.config.max_length} tokens (max_length), got {ids.shape[-1]}: "
                "cut it, or build the model with a larger max_length"
            )
        # (batch, seq) -> (batch, seq, d_model); the shape stays the same up to the head
        x = self.dropout(self._embed(ids))
        # Each block reads the sum of all blocks below it, and adds to it.
        for block in self.blocks:
            x = block(x)
        if self.config.norm_position == "pre":
            x = self.final_norm(x)
        # (batch, seq, d_model) -> (batch, seq, vocab_size): logits as they are, without a softmax
        return self.lm_head(x)

    def _embed(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        """Look up the token vectors, and add learned or sinusoidal positions."""
        # (batch, seq) -> (batch, seq, d_model)
        x = self.token_embedding(ids)
        if self.config.position == "learned":
            return self.position_embedding(x)
        if self.config.position == "sinusoidal":
            # Sines reach 1, initial token vectors are around 0.02: the factor brings them closer together.
            # (batch, seq, d_model) + (seq, d_model): the same rows for every sequence
            return x * math.sqrt(self.config.d_model) + self.position_encoding[: ids.shape[-1]]
        return x  # rope rotates queries and keys inside the blocks; "none" relies on the causal mask


def count_parameters(model: nn.Module, *, embeddings: bool = True) -> int:
    r"""Count the numbers that a model learns.

    A parameter used in two places of the model counts once. Buffers do not count. Frozen parameters do: a frozen weight
    is still a weight.

    Without the embeddings, the count covers the parameters that process every token, which is the N of scaling laws. A
    table of a hundred thousand tokens would make a small model look large, although each token reads only one row.

    Args:
        model: A `TransformerLM`, or any other module; tables are recognized by name.
        embeddings: False = leave out the two tables, the parameters named `token_embedding.weight` and
            `position_embedding.weight`. A tied head is the token table, so it is left out too. An untied head is a
            matrix of its own, so it counts.

    Returns:
        The total number of elements of these parameters.

    Example:
        >>> config = ModelConfig(vocab_size=11, max_length=7, d_model=8, num_layers=2, num_heads=2)
        >>> model = TransformerLM(config)
        >>> count_parameters(model), count_parameters(model, embeddings=False)  # the tables have 11 * 8 + 7 * 8 = 144
        (1904, 1760)

    Pitfalls:
        * `state_dict` lists a tied weight under both names, and buffers too. What does `parameters()` do?
        * Count elements, not tensors and not bytes.

    Source:
        Kaplan et al. 2020, section 2.1 and table 1, for N without embeddings. https://arxiv.org/abs/2001.08361
    """
    tables = () if embeddings else ("token_embedding.weight", "position_embedding.weight")
    # named_parameters lists a shared parameter under its first name: the table's, which is registered before the head.
    # Object ids and not names, so that a model which registers its head first is counted correctly too.
    left_out = {id(p) for name, p in model.named_parameters(remove_duplicate=False) if name.endswith(tables)}
    return sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in left_out)


def estimate_flops(config: ModelConfig, length: int) -> int:
    r"""Compute how many floating point operations one training step spends on one sequence, from the config alone.

    Nearly all the work of a transformer is in its matrix products. A product of (a, b) with (b, c) takes a * b * c
    multiplications and as many additions: 2abc operations. The backward pass takes two more products of the same size,
    one for the gradient of each factor. So forward and backward together cost three times the forward pass.

    Counted are the four projections of attention, the scores of queries with keys, the mixing of the values, the two or
    three projections of the feed-forward layer, and the last projection, tied or not. Scores and mixing count in full,
    for all length^2 pairs, although the causal mask discards about half of them. Not counted are embedding lookups,
    norms, biases, activations, softmax, rope, dropout, the loss and the optimizer.

    Math:
        n = length,  d_kv = num_kv_heads * d_model / num_heads  (d_model where num_kv_heads is None)
        attention   = 2 n d_model (2 d_model + 2 d_kv) + 2 (2 n^2 d_model)
        feedforward = 2 n d_model hidden_size m,  m = 2 for an mlp, 3 for swiglu
        head        = 2 n d_model vocab_size
        flops       = 3 (num_layers (attention + feedforward) + head)

    Args:
        config: Architecture of the model. The model is not built, so it may be too large for this machine.
        length: Number of tokens in the sequence, from 1 to max_length.

    Returns:
        The exact count, an int.

    Raises:
        ValueError: length is below 1 or above max_length; the message gives it.

    Example:
        >>> config = ModelConfig.gpt2()
        >>> flops = estimate_flops(config, 1024)
        >>> round(flops / 1e12, 3), round(flops / 1024 / 124439808, 2)  # rule of thumb: 6 per token and parameter
        (0.875, 6.87)

    Pitfalls:
        * A multiplication with its addition counts as two operations, not one.
        * Scores and mixing grow with the square of the length, everything else grows linearly.
        * With grouped heads only the key and value projections shrink: each query head still has its own scores.
        * A tied head is not a lookup here: it is a matrix product like any other.
        * `/` gives a float, which is not exact above 2^53: use // for whole numbers.

    Source:
        Kaplan et al. 2020, section 2.1 and table 1. https://arxiv.org/abs/2001.08361
        Chowdhery et al. 2022 (PaLM), appendix B. https://arxiv.org/abs/2204.02311
    """
    if not 1 <= length <= config.max_length:
        raise ValueError(f"length must be from 1 to max_length = {config.max_length}, got {length}")
    d_model = config.d_model
    # Size of all keys of a token together; None means as many key heads as query heads.
    d_kv = (config.num_kv_heads or config.num_heads) * (d_model // config.num_heads)
    # Weights that every token is multiplied with: query and output (d_model, d_model), key and value (d_kv, d_model).
    attention_weights = 2 * d_model * d_model + 2 * d_model * d_kv
    feedforward_weights = (2 if config.feedforward == "mlp" else 3) * d_model * config.hidden_size
    # (n, d_head) @ (d_head, n) and (n, n) @ (n, d_head) for each head: all heads together have d_model features.
    mixing = 2 * length * d_model
    # Multiply-adds for one token.
    per_token = config.num_layers * (attention_weights + feedforward_weights + mixing) + d_model * config.vocab_size
    # 2 operations per multiply-add; the backward pass costs twice the forward pass, so 3 times in total.
    return 3 * 2 * length * per_token


def _refuse_heads(config: ModelConfig) -> None:
    """Refuse heads that do not divide the features, groups that do not divide the heads, and odd heads with rope."""
    # Checked first: d_head below is only right if nothing is left over.
    if config.d_model % config.num_heads:
        raise ValueError(
            f"d_model must be divisible by num_heads, got {config.d_model} and {config.num_heads}: "
            "each head has an equal share of the features"
        )
    if config.num_kv_heads is not None and config.num_heads % config.num_kv_heads:
        raise ValueError(
            f"num_heads must be divisible by num_kv_heads, got {config.num_heads} and {config.num_kv_heads}: "
            "each head of keys serves as many heads of queries"
        )
    # Rope pairs the features of one head, so an even d_model is not enough.
    d_head = config.d_model // config.num_heads
    if config.position == "rope" and d_head % 2:
        raise ValueError(
            f"d_model / num_heads must be even for rope, got {config.d_model} / {config.num_heads} = {d_head}: "
            "rope turns pairs of features"
        )


def _make_block(config: ModelConfig, generator: torch.Generator | None) -> TransformerBlock:
    """Build one block with the settings of the config."""
    return TransformerBlock(
        config.d_model,
        config.num_heads,
        config.hidden_size,
        num_kv_heads=config.num_kv_heads,
        norm=config.norm,
        norm_position=config.norm_position,
        norm_eps=config.norm_eps,
        feedforward=config.feedforward,
        activation=config.activation,
        dropout=config.dropout,
        bias=config.bias,
        # None tells attention not to rotate.
        rope_base=config.rope_base if config.position == "rope" else None,
        generator=generator,
    )
