r"""Model: all that came before, put together into a language model.

Everything that a language model consists of has been written: vectors for tokens, positions, norms, attention,
feed-forward layers, and the block that holds the last three. What is left is to stack them. Token ids go in at the
bottom, become vectors, pass through the blocks one after the other, and at the top each position's vector is compared
with every token of the vocabulary. The result is a score for each token, at each position: which one comes next?

GPT-2 and Llama, four years and a factor of fifty in size apart, differ in a handful of choices, so one class can be
both:

1. `ModelConfig` holds those choices, refuses those that cannot be, and knows the numbers of two published models.
2. `init_weights` gives every weight its first value; what adds to the stream of vectors starts smaller.
3. `TransformerLM` is the model that a config describes. It begins with the weights of 2.
4. `count_parameters` says how many numbers a model has learned: the "124M" in its name.
5. `estimate_flops` says how much computing one sequence costs, from the config alone, before anything is built.

3 takes the config of 1 and calls 2; 4 counts what 3 has made; 5 needs only 1.
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

# The fields of ModelConfig that are one of a few words, and the words.
CHOICES = {
    "position": ("learned", "sinusoidal", "rope", "none"),
    "norm": ("layernorm", "rmsnorm"),
    "norm_position": ("pre", "post"),
    "feedforward": ("mlp", "swiglu"),
    "activation": ("relu", "gelu", "gelu_tanh", "silu"),
}


@dataclass(frozen=True)
class ModelConfig:
    r"""Everything that decides what a model looks like: the same config, the same model.

    The fields are here already; what is to be written are the checks (`__post_init__`, which a dataclass calls when
    its fields are set), `hidden_size`, and the two published models. A config that cannot be is refused when it is
    made, with a message that says which field is wrong: later it would be a shape error in the middle of the model.

    Args:
        vocab_size: How many tokens there are.
        max_length: The longest sequence that the model takes, in tokens.
        d_model: Size of the vector of each token.
        num_layers: How many blocks there are.
        num_heads: How many heads of queries each attention has; each has d_head = d_model / num_heads features.
        num_kv_heads: How many heads of keys and values. None = as many as heads of queries, by `MultiHeadAttention`.
        d_hidden: Size of the hidden vectors of each feed-forward layer. None = what `hidden_size` says.
        position: How position comes in: "learned" (a `LearnedPositionalEmbedding`), "sinusoidal", "rope", or "none".
        rope_base: The base of `apply_rope`; it matters for position="rope" alone.
        norm: "layernorm" or "rmsnorm", of every norm in the model.
        norm_position: "pre" (norm in front of each sub-layer) or "post" (after each sum), as in `TransformerBlock`.
        norm_eps: The eps of every norm.
        feedforward: "mlp" (`FeedForward`) or "swiglu" (`SwiGLU`).
        activation: "relu", "gelu", "gelu_tanh" or "silu": of the mlp; swiglu has its own, whatever stands here.
        dropout: Probability of dropping, in training: in the embedding and in every block.
        bias: Whether projections of attention and mlp, and layer norms, have biases. The last projection has none.
        tie_embeddings: Whether the last projection is the token table itself.

    Raises:
        ValueError: One of the fields cannot be. The message begins with the name of the field and says what came (for
            two fields that do not fit, both values):
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
        * `assert` is not a check: python -O leaves it out, and it raises no ValueError.
        * A word that is not known must not be taken for the other one: "LayerNorm" is a spelling mistake.
        * "below 1" leaves out 0 too; `not 0 <= dropout < 1` also refuses NaN, for which every comparison is False.
        * The fields are frozen: nothing can be set in `__post_init__`, only checked.

    Source:
        GPT-2: Radford et al. 2019, section 2.3. https://openai.com/index/better-language-models
        Llama: Touvron et al. 2023, section 2.2 and table 2. https://arxiv.org/abs/2302.13971
    """

    vocab_size: int
    max_length: int
    d_model: int
    num_layers: int
    num_heads: int
    # All that follows is GPT-2's choice where nothing else is said, except for dropout.
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
        """Refuse what cannot be; the class's docstring says what that is."""
        # Sizes first: the divisions below must not meet a 0.
        for name in ("vocab_size", "max_length", "d_model", "num_layers", "num_heads", "num_kv_heads", "d_hidden"):
            size = getattr(self, name)
            # None, for the two sizes that follow from others, is no number to be compared.
            if size is not None and size < 1:
                raise ValueError(f"{name} must be 1 or more, got {size}: it is a size or a count")
        # A word is one of a few or wrong: an `else` further on would take a spelling mistake for the other choice.
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} must be one of {', '.join(words)}, got {getattr(self, name)!r}")
        # Each of these fields may be right, and yet they may not fit one another.
        _refuse_heads(self)
        for name in ("norm_eps", "rope_base"):
            # Asked so that NaN is refused too.
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}: usual are 1e-5 and 10000")
        # 1 is left out: nothing would stay, and what stays is divided by 1 - dropout.
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}: it is the probability of dropping")

    @property
    def hidden_size(self) -> int:
        """Size of the hidden vectors of each feed-forward layer.

        Returns:
            d_hidden where it is given. Else 4 * d_model for an mlp; and for swiglu, which has three matrices where an
            mlp has two, 8/3 * d_model, rounded up to the next multiple of 8 (a multiple stays as it is).
        """
        if self.d_hidden is not None:
            return self.d_hidden
        # Two matrices of 4 d_model^2 weights each, or three of 8/3 d_model^2: about 8 d_model^2 weights either way.
        if self.feedforward == "mlp":
            return 4 * self.d_model
        # 8/3 d_model <= 8 k is the same as d_model / 3 <= k: whole numbers all the way, nothing to be rounded wrongly.
        # -(-a // b) is a / b rounded up.
        return 8 * -(-self.d_model // 3)

    @classmethod
    def gpt2(cls, **changes: Any) -> "ModelConfig":
        """The smallest GPT-2, of 124 million parameters.

        Args:
            **changes: Fields that are to be different, as `gpt2(num_layers=2)`.

        Returns:
            vocab_size 50257, max_length 1024, d_model 768, 12 layers of 12 heads, and dropout 0.1. All the rest is as
            a config has it by itself: learned positions, layer norms in front with eps 1e-5, an mlp of 3072 with
            gelu_tanh, biases, and a tied head.
        """
        sizes = {"vocab_size": 50257, "max_length": 1024, "d_model": 768, "num_layers": 12, "num_heads": 12}
        # Of two equal keys in a dict the later one wins: the caller's.
        return cls(**{**sizes, "dropout": 0.1, **changes})

    @classmethod
    def llama(cls, **changes: Any) -> "ModelConfig":
        """The first Llama, in its smallest size of 6.7 billion parameters ("7B").

        Args:
            **changes: Fields that are to be different. Who changes d_model may want `d_hidden=None` with it.

        Returns:
            vocab_size 32000, max_length 2048, d_model 4096, 32 layers of 32 heads (num_kv_heads None), d_hidden 11008;
            "rope" of base 10000, "rmsnorm" in front with eps 1e-6, "swiglu", no biases, no dropout, an untied head.
        """
        sizes = {"vocab_size": 32000, "max_length": 2048, "d_model": 4096, "num_layers": 32, "num_heads": 32}
        # 11008 and not the 10928 of hidden_size: they rounded up to a multiple of 256.
        kind = {"d_hidden": 11008, "position": "rope", "norm": "rmsnorm", "norm_eps": 1e-6, "feedforward": "swiglu"}
        return cls(**{**sizes, **kind, "bias": False, "tie_embeddings": False, **changes})


def init_weights(
    model: nn.Module, num_layers: int, *, std: float = 0.02, generator: torch.Generator | None = None
) -> None:
    r"""Give every parameter of a model its first value, and those that write into the residual stream a smaller one.

    Each block adds to the vectors twice, once after attention and once after the feed-forward layer, so a model of
    num_layers blocks makes a sum of 2 * num_layers terms. Independent terms of variance 1 have a sum of variance
    2 * num_layers. Divided by its root, the last projection of each sub-layer keeps the sum at the scale of one term,
    however deep the model is.

    Math:
        name ends in "out_proj.weight" or "down_proj.weight":  N(0, (std / sqrt(2 * num_layers))^2)
        any other parameter of two axes or more:               N(0, std^2)
        of one axis, name ends in "bias":                      0
        of one axis, any other (the gains of norms):           1

    Args:
        model: Whose parameters are set, in place; their names are those of `named_parameters`. It may be a whole model
            or a part such as one block, and its parameters may hold anything before. What is no parameter stays.
        num_layers: How many blocks the stack has that this model is, or is a part of.
        std: The standard deviation of all that is not scaled down.
        generator: Source of the random numbers. None = torch's global one; given one, the global one is not touched.

    Returns:
        None. The parameters are the same objects as before, with their dtypes, and still ask for gradients; a
        parameter that stands in two places of the model stays one.

    Example:
        >>> block = TransformerBlock(64, 4, 256)
        >>> init_weights(block, num_layers=8, generator=torch.Generator().manual_seed(0))
        >>> layer = block.feedforward
        >>> round(layer.up_proj.weight.std().item(), 3), round(layer.down_proj.weight.std().item(), 3)
        (0.02, 0.005)

    Pitfalls:
        * 2 * num_layers, not num_layers: there are two sums in each block. And its root, not itself.
        * std is the standard deviation; a variance of 0.02 would be one of 0.14.
        * A new nn.Parameter in place of the old one unties what is tied: write into the old one, with torch.no_grad().
        * "weight" is also the name of a norm's gain: the number of axes tells a matrix from a gain.
        * A generator that is made or seeded anew for each parameter gives them all the same numbers.

    Source:
        Radford et al. 2019 (GPT-2), section 2.3, for the scale 1 / sqrt(N) of N residual layers.
        https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
        Radford et al. 2018 (GPT), section 4.1, for 0.02.
        https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

    `init_normal` of the unit embedding, and torch.nn.init, are allowed.
    """
    residual_std = std / math.sqrt(2 * num_layers)
    # A parameter in two places, as a tied table, is listed once: it is drawn once.
    for name, parameter in model.named_parameters():
        writes = name.endswith(("out_proj.weight", "down_proj.weight"))
        if parameter.dim() >= 2:
            # The shape decides first: a gain is called weight too.
            value = init_normal(tuple(parameter.shape), residual_std if writes else std, generator=generator)
        else:
            # Offset 0 and gain 1: at the start neither does anything.
            value = torch.zeros(()) if name.endswith("bias") else torch.ones(())
        # Into the tensor that is there: optimizers, and a tied head, hold on to that very object.
        with torch.no_grad():
            parameter.copy_(value)


class TransformerLM(nn.Module):
    r"""The language model that a config describes: ids in, a score for every token of the vocabulary out.

    The scores at position s are about the token at s + 1, and depend on the tokens up to s alone. They are logits: no
    softmax is taken, since the loss and the sampling of later units each take their own.

    Math:
        x      = token_embedding(ids)
        x      = position_embedding(x)                       position = "learned"
        x      = x * sqrt(d_model) + position_encoding[:seq] position = "sinusoidal"
        x      = dropout(x)
        x      = block(x)                                    for each of the blocks, in order
        x      = final_norm(x)                               norm_position = "pre"
        logits = lm_head(x)

    Args:
        config: What the model looks like; every one of its fields counts.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.
            (Dropout draws from the global one.)

    Returns:
        From `forward`: the logits, in the dtype of the parameters. In evaluation nothing is dropped. Gradients reach
        every parameter.

    Raises:
        ValueError: `ids` has more positions than max_length, whatever `position` is. Raised by `forward`; the message
            gives both numbers.
        IndexError: An id is not in the vocabulary; `Embedding` raises it.

    Parameters:
        token_embedding: `Embedding` of vocab_size rows.
        position_embedding: `LearnedPositionalEmbedding` of max_length rows; for position="learned" alone.
        blocks: nn.ModuleList of num_layers times `TransformerBlock`, each with weights of its own. It gets d_model,
            num_heads, num_kv_heads, norm, norm_position, norm_eps, feedforward, activation, dropout and bias from the
            config, d_hidden = hidden_size, and rope_base for position="rope" (else None).
        final_norm: `LayerNorm` or `RMSNorm` as in the blocks; for norm_position="pre" alone, as a stack of post-norm
            blocks ends in a norm already.
        lm_head: `Linear` from d_model to vocab_size, without a bias whatever `bias` is. With tie_embeddings its
            weight is token_embedding.weight: one tensor in two places.
        position_encoding: Not a parameter but a buffer, for position="sinusoidal" alone: `sinusoidal_encoding` of
            max_length rows. persistent=False keeps it out of `state_dict`: it can be made anew.
        All start as `init_weights` says. `state_dict` holds no other names. `config` is kept as an attribute.

    Example:
        >>> config = ModelConfig(vocab_size=11, max_length=7, d_model=8, num_layers=2, num_heads=2)
        >>> model = TransformerLM(config, generator=torch.Generator().manual_seed(0))
        >>> logits = model(torch.tensor([[1, 2, 3], [4, 5, 6]]))
        >>> logits.shape, bool(logits.abs().max() < 1)  # with small weights, no token is preferred yet
        (torch.Size([2, 3, 11]), True)
        >>> model.lm_head.weight is model.token_embedding.weight
        True

    Pitfalls:
        * Blocks in a plain list are not seen by `parameters()`, `to()` or `train()`: that is what nn.ModuleList is for.
        * [block] * n is one block, n times. Each needs a constructor call of its own.
        * Tying is one tensor under two names. A copy is equal at the start, and goes its own way at the first step.
        * With rope, the blocks turn queries and keys: nothing is added to the vectors.
        * Without the last norm a pre-norm model runs, and its logits grow with every block.
        * Only the learned table would notice a sequence that is too long: compare the lengths yourself.

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
        # Kept whole: forward reads it, and whoever saves the model saves it too.
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.d_model, generator=generator)
        if config.position == "learned":
            self.position_embedding = LearnedPositionalEmbedding(config.max_length, config.d_model, generator=generator)
        elif config.position == "sinusoidal":
            # A buffer moves with the model from device to device; it is computed, so a checkpoint need not keep it.
            encoding = sinusoidal_encoding(config.max_length, config.d_model)
            self.register_buffer("position_encoding", encoding, persistent=False)
        # No generator here: dropout draws from the global one, whose state a checkpoint keeps.
        self.dropout = Dropout(config.dropout)
        # A constructor call for each layer; ModuleList makes their parameters known.
        self.blocks = nn.ModuleList(_make_block(config, generator) for _ in range(config.num_layers))
        if config.norm_position == "pre":
            # The sum that the pre-norm blocks pass on has never been normalized itself.
            self.final_norm = make_norm(config.norm, config.d_model, config.norm_eps, config.bias)
        self.lm_head = Linear(config.d_model, config.vocab_size, bias=False, generator=generator)
        if config.tie_embeddings:
            # (vocab_size, d_model) both: row i is what token i looks like, and what a vector is compared with for i.
            self.lm_head.weight = self.token_embedding.weight
        # The layers above have drawn already, each at its own scale; in a whole model, depth counts as well.
        init_weights(self, config.num_layers, generator=generator)

    def forward(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq vocab_size"]:
        """Score every token of the vocabulary as the next one, at every position.

        Args:
            ids: Token ids, each sequence from its position 0 on.

        Returns:
            The logits.
        """
        # Asked here for all kinds of position: sines and rope would go on beyond what the model was trained for.
        if ids.shape[-1] > self.config.max_length:
            raise ValueError(
                f"a sequence may have {self.config.max_length} tokens (max_length), got {ids.shape[-1]}: "
                "cut it, or build the model with a larger max_length"
            )
        # (batch, seq) -> (batch, seq, d_model), a shape that every step up to the head keeps
        x = self.dropout(self._embed(ids))
        # Each block reads what those below have written, and adds to it.
        for block in self.blocks:
            x = block(x)
        if self.config.norm_position == "pre":
            x = self.final_norm(x)
        # (batch, seq, d_model) -> (batch, seq, vocab_size): logits as they are, without a softmax
        return self.lm_head(x)

    def _embed(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        """The vectors of the tokens, with their positions where they are added."""
        # (batch, seq) -> (batch, seq, d_model)
        x = self.token_embedding(ids)
        if self.config.position == "learned":
            return self.position_embedding(x)
        if self.config.position == "sinusoidal":
            # Sines are as large as 1, a fresh token vector's numbers 0.02: the factor brings them nearer.
            # (batch, seq, d_model) + (seq, d_model): the same rows for every sequence
            return x * math.sqrt(self.config.d_model) + self.position_encoding[: ids.shape[-1]]
        return x  # rope turns queries and keys, inside of the blocks; "none" leaves it to the causal mask


def count_parameters(model: nn.Module, *, embeddings: bool = True) -> int:
    r"""Count the numbers that a model has learned, or is to learn.

    A parameter that stands in two places of the model is one parameter. Buffers are none, and whether a parameter asks
    for gradients plays no part: a frozen weight is still a weight.

    Without the embeddings, what is left is what takes part in matrix products for every token, which is the N of
    scaling laws: a table of a hundred thousand tokens would make a small model look large, though each token reads one
    row of it.

    Args:
        model: A `TransformerLM`, or any other module; a table is known by its name.
        embeddings: False = leave out the two tables, the parameters named `token_embedding.weight` and
            `position_embedding.weight`. A head that is tied is the table of the tokens, and is left out with it; a
            head that is not tied is a matrix of its own, and counts.

    Returns:
        The number of elements of all parameters that count.

    Example:
        >>> config = ModelConfig(vocab_size=11, max_length=7, d_model=8, num_layers=2, num_heads=2)
        >>> model = TransformerLM(config)
        >>> count_parameters(model), count_parameters(model, embeddings=False)  # 11 * 8 + 7 * 8 of them are tables
        (1904, 1760)

    Pitfalls:
        * `state_dict` lists a tied weight twice, under both names, and buffers too. `parameters()` does neither.
        * The number of elements, not of tensors, and not of bytes.

    Source:
        Kaplan et al. 2020, section 2.1 and table 1, for N without embeddings. https://arxiv.org/abs/2001.08361
    """
    tables = () if embeddings else ("token_embedding.weight", "position_embedding.weight")
    # named_parameters gives a shared one under its first name: the table's, which is registered before the head.
    # Ids and not names, so that a model that registers its head first is counted right as well.
    left_out = {id(p) for name, p in model.named_parameters(remove_duplicate=False) if name.endswith(tables)}
    return sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in left_out)


def estimate_flops(config: ModelConfig, length: int) -> int:
    r"""Say how many floating point operations a training step spends on one sequence, from the config alone.

    Nearly all the work of a transformer is in its matrix products. One of (a, b) with (b, c) takes a * b * c
    multiplications and as many additions: 2abc operations. Going backward each costs two more of the same size, one
    for the gradient of each of its two factors; so forward and backward are three times the forward.

    Counted are: the four projections of attention, the scores of queries with keys, the mixing of the values, the two
    or three projections of the feed-forward layer, and the last projection, tied or not. Scores and mixing are counted
    in full, for all length^2 pairs: that the causal mask throws half of them away saves nothing here. Not counted:
    looking up embeddings, norms, biases, activations, softmax, rope, dropout, the loss, the optimizer.

    Math:
        n = length,  d_kv = num_kv_heads * d_model / num_heads  (d_model where num_kv_heads is None)
        attention   = 2 n d_model (2 d_model + 2 d_kv) + 2 (2 n^2 d_model)
        feedforward = 2 n d_model hidden_size m,  m = 2 for an mlp, 3 for swiglu
        head        = 2 n d_model vocab_size
        flops       = 3 (num_layers (attention + feedforward) + head)

    Args:
        config: The model; it need not be built, and may be larger than this machine.
        length: Tokens of the sequence, from 1 to max_length.

    Returns:
        The exact count, a whole number.

    Raises:
        ValueError: length is below 1 or above max_length; the message gives it.

    Example:
        >>> config = ModelConfig.gpt2()
        >>> flops = estimate_flops(config, 1024)
        >>> round(flops / 1e12, 3), round(flops / 1024 / 124439808, 2)  # the rule of thumb: 6 a token and parameter
        (0.875, 6.87)

    Pitfalls:
        * A multiplication with its addition is two operations, not one.
        * Scores grow with the square of the length, all else with the length.
        * With grouped heads only the projections to keys and values shrink: each query head still has its scores.
        * A tied head is no table here: it is a matrix product like any other.
        * `/` makes a float, which from 2^53 on is no longer exact: // for whole numbers.

    Source:
        Kaplan et al. 2020, section 2.1 and table 1. https://arxiv.org/abs/2001.08361
        Chowdhery et al. 2022 (PaLM), appendix B. https://arxiv.org/abs/2204.02311
    """
    if not 1 <= length <= config.max_length:
        raise ValueError(f"length must be from 1 to max_length = {config.max_length}, got {length}")
    d_model = config.d_model
    # Size of all keys of a token together; None means as many heads of keys as of queries.
    d_kv = (config.num_kv_heads or config.num_heads) * (d_model // config.num_heads)
    # Weights that every token meets: queries and output are (d_model, d_model), keys and values (d_kv, d_model).
    attention_weights = 2 * d_model * d_model + 2 * d_model * d_kv
    feedforward_weights = (2 if config.feedforward == "mlp" else 3) * d_model * config.hidden_size
    # (n, d_head) @ (d_head, n) and (n, n) @ (n, d_head) for each head: the d_head of all heads make d_model.
    mixing = 2 * length * d_model
    # Multiply-adds for one token.
    per_token = config.num_layers * (attention_weights + feedforward_weights + mixing) + d_model * config.vocab_size
    # 2 operations each; 1 part forward and 2 parts backward.
    return 3 * 2 * length * per_token


def _refuse_heads(config: ModelConfig) -> None:
    """Features must be divisible among the heads, heads among the groups, and with rope features into pairs."""
    # Asked first: d_head below is only right if nothing is left over.
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
    # It is the features of one head that are paired: an even d_model is not enough.
    d_head = config.d_model // config.num_heads
    if config.position == "rope" and d_head % 2:
        raise ValueError(
            f"d_model / num_heads must be even for rope, got {config.d_model} / {config.num_heads} = {d_head}: "
            "rope turns pairs of features"
        )


def _make_block(config: ModelConfig, generator: torch.Generator | None) -> TransformerBlock:
    """One block, with all that the config says of it."""
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
        # None tells attention that nothing is to be turned.
        rope_base=config.rope_base if config.position == "rope" else None,
        generator=generator,
    )
