"""Valid but different ways to write `model`: each must pass every test."""

import dataclasses
import math
from itertools import chain

import torch
from torch import Tensor, nn

from grader.checking import alternative
from solutions.block import TransformerBlock, make_norm
from solutions.embedding import Embedding, Linear
from solutions.feedforward import Dropout
from solutions.model import CHOICES, ModelConfig, init_weights
from solutions.position import LearnedPositionalEmbedding, sinusoidal_encoding


@alternative("ModelConfig")
class ConfigWithAListOfChecks(ModelConfig):
    def __post_init__(self) -> None:
        sizes = ["vocab_size", "max_length", "d_model", "num_layers", "num_heads"]
        sizes += [name for name in ("num_kv_heads", "d_hidden") if getattr(self, name) is not None]
        problems = [f"{name} = {getattr(self, name)} is no size" for name in sizes if getattr(self, name) <= 0]
        problems += [
            f"{k}: {getattr(self, k)!r} is unknown, not in {v}" for k, v in CHOICES.items() if getattr(self, k) not in v
        ]
        problems += [f"{k} = {getattr(self, k)} <= 0" for k in ("norm_eps", "rope_base") if not getattr(self, k) > 0]
        if not (self.dropout >= 0 and self.dropout < 1):
            problems.append(f"dropout = {self.dropout} is no probability below 1")
        if not problems and self.d_model % self.num_heads != 0:
            problems.append(f"d_model = {self.d_model} cannot be shared by num_heads = {self.num_heads}")
        if not problems and self.num_heads % (self.num_kv_heads or 1) != 0:
            problems.append(f"num_heads = {self.num_heads} is no multiple of num_kv_heads = {self.num_kv_heads}")
        if not problems and self.position == "rope" and self.d_model // self.num_heads % 2 == 1:
            problems.append(f"rope: odd heads for d_model = {self.d_model}, num_heads = {self.num_heads}")
        if problems:
            raise ValueError("; ".join(problems))


@alternative("ModelConfig")
class ConfigRoundedByFloats(ModelConfig):
    @property
    def hidden_size(self) -> int:
        default = 4 * self.d_model if self.feedforward == "mlp" else math.ceil(self.d_model / 3) * 8
        return default if self.d_hidden is None else self.d_hidden


@alternative("ModelConfig")
class ConfigRoundedStepByStep(ModelConfig):
    @property
    def hidden_size(self) -> int:
        if self.d_hidden is None and self.feedforward == "swiglu":
            exact = self.d_model * 8  # three times the size, so that it is whole
            return (exact + 23) // 24 * 8
        return self.d_hidden or self.d_model * 4


@alternative("ModelConfig")
class ConfigByReplacing(ModelConfig):
    """Makes the published model first, then changes it."""

    @classmethod
    def gpt2(cls, **changes):
        return dataclasses.replace(
            cls(50257, 1024, 768, 12, 12, dropout=0.1, d_hidden=3072), **{"d_hidden": None} | changes
        )

    @classmethod
    def llama(cls, **changes):
        changes.setdefault("d_hidden", 11008)
        for name, value in dict(position="rope", norm="rmsnorm", norm_eps=1e-6, feedforward="swiglu").items():
            changes.setdefault(name, value)
        changes = dict(bias=False, tie_embeddings=False) | changes
        sizes = dict(zip(("vocab_size", "max_length", "d_model"), (32000, 2048, 4096), strict=True))
        return cls(**sizes | dict.fromkeys(("num_layers", "num_heads"), 32) | changes)


@alternative("ModelConfig")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigWithMoreFields(ModelConfig):
    """A field more than asked for, and errors of a kind of its own that is a ValueError."""

    name: str = ""

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ValueError as error:
            raise WrongConfig(f"{self.name}: {error}") from error


class WrongConfig(ValueError):
    pass


def _std(name: str, std: float, num_layers: int) -> float:
    writes = name.rpartition(".weight")[0].split(".")[-1] in ("out_proj", "down_proj")
    return std * (2 * num_layers) ** -0.5 if writes else std


@alternative("init_weights")
def init_by_torchs_init(model, num_layers, *, std=0.02, generator=None):
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
        else:
            nn.init.normal_(parameter, mean=0.0, std=_std(name, std, num_layers), generator=generator)


@alternative("init_weights")
def init_through_data(model, num_layers, *, std=0.02, generator=None):
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.dim() > 1:
            parameter.data.normal_(0, _std(name, std, num_layers), generator=generator)
        else:
            parameter.data.fill_("bias" not in name)


@alternative("init_weights")
@torch.no_grad()
def init_in_two_passes(model, num_layers, *, std=0.02, generator=None):
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=std, generator=generator)
    for name, parameter in model.named_parameters():
        if name.split(".")[-2:] in (["out_proj", "weight"], ["down_proj", "weight"]):
            parameter.div_(math.sqrt(num_layers * 2))
        elif parameter.dim() == 1:
            parameter.fill_(0.0 if name.split(".")[-1] == "bias" else 1.0)


@alternative("init_weights")
def init_by_modules(model, num_layers, *, std=0.02, generator=None):
    """From module to module, with a shared weight drawn twice: the last draw stays."""
    for path, module in model.named_modules():
        scale = std / (2 * num_layers) ** 0.5 if path.endswith(("out_proj", "down_proj")) else std
        for name, parameter in module.named_parameters(recurse=False):
            if len(parameter.shape) >= 2:
                value = torch.normal(0.0, scale, tuple(parameter.shape), generator=generator)
            else:
                value = torch.full(parameter.shape, float(name != "bias"))
            parameter.data.copy_(value)


@alternative("init_weights")
def init_by_load_state_dict(model, num_layers, *, std=0.02, generator=None):
    fresh = {}
    for name, value in model.named_parameters():
        if value.dim() < 2:
            fresh[name] = torch.zeros_like(value) if name.endswith("bias") else torch.ones_like(value)
        else:
            fresh[name] = torch.empty_like(value).normal_(generator=generator) * _std(name, std, num_layers)
    model.load_state_dict(fresh, strict=False)


def _block(config: ModelConfig, generator) -> TransformerBlock:
    shared = ("num_kv_heads", "norm", "norm_position", "norm_eps", "feedforward", "activation", "dropout", "bias")
    options = {name: getattr(config, name) for name in shared}
    if config.position == "rope":
        options["rope_base"] = config.rope_base
    return TransformerBlock(config.d_model, config.num_heads, config.hidden_size, **options, generator=generator)


class Parts(nn.Module):
    """The parts, in another order, and the table tied to the head, not the head to the table."""

    def __init__(self, config: ModelConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.lm_head = Linear(config.d_model, config.vocab_size, bias=False, generator=generator)
        if config.norm_position == "pre":
            self.final_norm = make_norm(config.norm, config.d_model, eps=config.norm_eps, bias=config.bias)
        self.blocks = self.stack([_block(config, generator) for _ in range(config.num_layers)])
        self.token_embedding = Embedding(config.vocab_size, config.d_model, generator=generator)
        if config.tie_embeddings:
            self.token_embedding.weight = self.lm_head.weight
        if config.position == "learned":
            self.position_embedding = LearnedPositionalEmbedding(config.max_length, config.d_model, generator=generator)
        self.drop = Dropout(config.dropout)
        init_weights(self, config.num_layers, generator=generator)

    def stack(self, blocks: list[nn.Module]) -> nn.Module:
        return nn.ModuleList(blocks)

    def embed(self, ids: Tensor) -> Tensor:
        if ids.size(1) > self.config.max_length:
            raise ValueError(f"{ids.size(1)} tokens are more than max_length={self.config.max_length}")
        x = self.token_embedding(ids)
        match self.config.position:
            case "learned":
                x = self.position_embedding(x)
            case "sinusoidal":
                x = x * self.config.d_model**0.5 + sinusoidal_encoding(ids.size(1), self.config.d_model).to(x)
        return self.drop(x)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for index in range(len(self.blocks)):
            x = self.blocks[index](x)
        return self.lm_head(x if self.config.norm_position == "post" else self.final_norm(x))


@alternative("TransformerLM")
class ModelOfPartsInAnotherOrder(Parts):
    pass


@alternative("TransformerLM")
class ModelWithSequentialBlocks(Parts):
    def stack(self, blocks: list[nn.Module]) -> nn.Module:
        return nn.Sequential(*blocks)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.blocks(self.embed(ids))
        return self.lm_head(getattr(self, "final_norm", nn.Identity())(x))


@alternative("TransformerLM")
class ModelWithFunctionalHead(Parts):
    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks.children():
            x = block(x)
        if hasattr(self, "final_norm"):
            x = self.final_norm(x)
        return torch.einsum("bsd,vd->bsv", x, self.lm_head.weight)


@alternative("TransformerLM")
class ModelWithNamedBlocks(Parts):
    """Blocks under their numbers in a plain module; the table is indexed by hand."""

    def stack(self, blocks: list[nn.Module]) -> nn.Module:
        stack = nn.Module()
        for index, block in enumerate(blocks):
            stack.add_module(str(index), block)
        return stack

    def embed(self, ids: Tensor) -> Tensor:
        x = self.token_embedding.weight[ids.long()]
        if ids.shape[1] > self.config.max_length:
            raise ValueError(f"max_length is {self.config.max_length}, the ids have length {ids.shape[1]}")
        if self.config.position == "learned":
            x = x + self.position_embedding.weight[torch.arange(ids.shape[1])]
        if self.config.position == "sinusoidal":
            encoding = sinusoidal_encoding(self.config.max_length, self.config.d_model)[: ids.shape[1]]
            x = torch.add(encoding.to(x.dtype), x, alpha=math.sqrt(self.config.d_model))
        return self.drop(x)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks.children():
            x = block(x)
        return self.lm_head(self.final_norm(x) if self.config.norm_position == "pre" else x)


@alternative("TransformerLM")
class ModelOneSequenceAtATime(Parts):
    def forward(self, ids: Tensor) -> Tensor:
        return torch.stack([super(ModelOneSequenceAtATime, self).forward(row[None])[0] for row in ids])


@alternative("count_parameters")
def count_by_identity(model, *, embeddings=True):
    found = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        found.setdefault(id(parameter), (set(), parameter.numel()))[0].add(name)
    tables = {"token_embedding.weight", "position_embedding.weight"}
    return sum(count for names, count in found.values() if embeddings or not names & tables)


@alternative("count_parameters")
def count_by_subtraction(model, *, embeddings=True):
    total = sum(math.prod(parameter.shape) for parameter in model.parameters())
    for name in () if embeddings else ("token_embedding", "position_embedding"):
        if (table := getattr(model, name, None)) is not None:
            total -= table.weight.numel()
    return total


@alternative("count_parameters")
def count_by_modules(model, *, embeddings=True):
    seen = set()
    if not embeddings:
        tables = [getattr(model, name, nn.Module()) for name in ("token_embedding", "position_embedding")]
        seen |= {id(parameter) for parameter in chain(*(table.parameters() for table in tables))}
    total = 0
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            total += 0 if id(parameter) in seen else parameter.nelement()
            seen.add(id(parameter))
    return total


@alternative("count_parameters")
def count_of_a_set(model, *, embeddings=True):
    parameters = set(model.parameters())
    if not embeddings:
        tables = dict(model.named_parameters())
        parameters -= {tables[n] for n in ("token_embedding.weight", "position_embedding.weight") if n in tables}
        shared = getattr(getattr(model, "token_embedding", None), "weight", None)
        parameters.discard(shared)
    return sum(map(torch.numel, parameters))


@alternative("count_parameters")
def count_of_one_long_vector(model, *, embeddings=True):
    kept = dict(model.named_parameters())
    if not embeddings:
        kept = {k: v for k, v in kept.items() if k not in ("token_embedding.weight", "position_embedding.weight")}
    return len(torch.cat([torch.zeros(0), *(parameter.detach().flatten() for parameter in kept.values())]))


def _expect_length(config: ModelConfig, length: int) -> None:
    if length < 1 or length > config.max_length:
        raise ValueError(f"length {length} is not between 1 and {config.max_length}")


@alternative("estimate_flops")
def flops_of_a_list_of_products(config, length):
    _expect_length(config, length)
    d, n, hidden = config.d_model, length, config.hidden_size
    d_head, kv_heads = d // config.num_heads, config.num_kv_heads or config.num_heads
    block = [(n, d, d), (n, d, kv_heads * d_head), (n, d, kv_heads * d_head), (n, d, d), (n, d, hidden), (n, hidden, d)]
    block += [(n, d_head, n), (n, n, d_head)] * config.num_heads
    block += [(n, d, hidden)] * (config.feedforward == "swiglu")
    return 6 * sum(a * b * c for a, b, c in [*block * config.num_layers, (n, d, config.vocab_size)])


@alternative("estimate_flops")
def flops_by_six_a_weight(config, length):
    """6 operations a token and weight, 12 a token, layer, feature and key."""
    _expect_length(config, length)
    d = config.d_model
    kv = d * (config.num_kv_heads or config.num_heads) // config.num_heads
    weights = config.num_layers * (
        2 * d * (d + kv) + {"mlp": 2, "swiglu": 3}[config.feedforward] * d * config.hidden_size
    )
    return length * (6 * (weights + d * config.vocab_size) + 12 * config.num_layers * d * length)


@alternative("estimate_flops")
def flops_layer_by_layer(config, length):
    if length not in range(1, config.max_length + 1):
        raise ValueError(f"{length} tokens, but 1 to {config.max_length} are possible")

    def linear(size_in, size_out):
        return 2 * length * size_in * size_out

    forward = linear(config.d_model, config.vocab_size)
    d_head = config.d_model // config.num_heads
    kv_heads = config.num_heads if config.num_kv_heads is None else config.num_kv_heads
    for _ in range(config.num_layers):
        forward += 2 * linear(config.d_model, config.d_model) + 2 * linear(config.d_model, kv_heads * d_head)
        forward += config.num_heads * 4 * length**2 * d_head
        forward += linear(config.hidden_size, config.d_model) + linear(config.d_model, config.hidden_size)
        if config.feedforward == "swiglu":
            forward += linear(config.d_model, config.hidden_size)
    return forward + 2 * forward


@alternative("estimate_flops")
def flops_by_direction(config, length):
    _expect_length(config, length)
    d_model, groups = config.d_model, config.num_heads // (config.num_kv_heads or config.num_heads)
    weights = 2 * d_model**2 + 2 * d_model**2 // groups
    weights += d_model * config.hidden_size * (3 if config.feedforward == "swiglu" else 2)
    dense = length * (config.num_layers * weights + d_model * config.vocab_size)
    pairs = config.num_layers * length * length * d_model
    forward = 2 * dense + 2 * (pairs + pairs)
    to_inputs, to_weights = forward, forward
    return forward + to_inputs + to_weights


@alternative("estimate_flops")
def flops_by_shapes(config, length):
    """The weights of a block as their shapes."""
    _expect_length(config, length)
    d_model, d_kv = config.d_model, config.d_model // config.num_heads * (config.num_kv_heads or config.num_heads)
    shapes = [(d_model, d_model), (d_kv, d_model), (d_kv, d_model), (d_model, d_model), (d_model, config.hidden_size)]
    shapes += [(config.hidden_size, d_model)] * (1 if config.feedforward == "mlp" else 2)
    each = sum(map(math.prod, shapes)) + math.prod((2, length, d_model))
    return math.prod((6, length, each * config.num_layers + math.prod((config.vocab_size, d_model))))
