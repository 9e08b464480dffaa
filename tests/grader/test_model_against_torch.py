"""The reference's model against torch: the operations that torch counts as it runs, its parameters, its own stack."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from solutions.model import ModelConfig, TransformerLM, count_parameters, estimate_flops

SMALL = {"vocab_size": 31, "max_length": 9, "d_model": 16, "num_layers": 3, "num_heads": 4}
MODELS = {
    "gpt2": {},
    "untied": {"tie_embeddings": False},
    "post-norm": {"norm_position": "post", "position": "sinusoidal"},
    "llama": {"position": "rope", "norm": "rmsnorm", "feedforward": "swiglu", "bias": False},
    "grouped heads": {"num_kv_heads": 2, "d_hidden": 20},
    "one head of keys": {"num_kv_heads": 1, "feedforward": "swiglu"},
}
each_model = pytest.mark.parametrize("changes", MODELS.values(), ids=list(MODELS))


@each_model
@pytest.mark.parametrize("length", [1, 2, 9])
def test_the_estimate_is_what_torch_counts(changes, length):
    config = ModelConfig(**SMALL | changes)
    model = TransformerLM(config)
    counter = FlopCounterMode(display=False)
    with counter:
        model(torch.zeros(1, length, dtype=torch.int64)).sum().backward()
    assert estimate_flops(config, length) == counter.get_total_flops()


@each_model
def test_parameters_are_counted_as_by_torch(changes):
    model = TransformerLM(ModelConfig(**SMALL | changes))
    assert count_parameters(model) == nn.utils.parameters_to_vector(model.parameters()).numel()


@pytest.mark.parametrize(("preset", "count"), [("gpt2", 124439808), ("llama", 6738415616)])
def test_the_published_models_have_as_many_parameters_as_published(preset, count):
    with torch.device("meta"):  # shapes alone: the larger one would need 27 GB
        model = TransformerLM(getattr(ModelConfig, preset)())
    assert count_parameters(model) == count


# Our name of a parameter, after that of the block, and torch's. Queries, keys and values are one matrix there.
NAMES = {
    "attention.out_proj": "self_attn.out_proj",
    "feedforward.up_proj": "linear1",
    "feedforward.down_proj": "linear2",
    "attention_norm": "norm1",
    "feedforward_norm": "norm2",
}


def torchs_stack(ours, config):
    """The blocks and the final norm as torch has them, with the same weights."""
    layer = nn.TransformerEncoderLayer(
        config.d_model,
        config.num_heads,
        config.hidden_size,
        activation=config.activation,
        layer_norm_eps=config.norm_eps,
        batch_first=True,
        norm_first=config.norm_position == "pre",
    )
    final = nn.LayerNorm(config.d_model, eps=config.norm_eps) if layer.norm_first else None
    stack = nn.TransformerEncoder(layer, config.num_layers, final, enable_nested_tensor=False).double().eval()
    state = ours.state_dict()
    renamed = {}
    for kind in ("weight", "bias"):
        for index in range(config.num_layers):
            for own, other in NAMES.items():
                renamed[f"layers.{index}.{other}.{kind}"] = state[f"blocks.{index}.{own}.{kind}"]
            fused = torch.cat([state[f"blocks.{index}.attention.{letter}_proj.{kind}"] for letter in "qkv"])
            renamed[f"layers.{index}.self_attn.in_proj_{kind}"] = fused
        if final is not None:
            renamed[f"norm.{kind}"] = state[f"final_norm.{kind}"]
    stack.load_state_dict(renamed)
    return stack


@pytest.mark.parametrize("norm_position", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_stack_is_torchs_encoder_with_a_causal_mask(norm_position, activation):
    config = ModelConfig(**SMALL, norm_position=norm_position, activation=activation, position="none", norm_eps=0.1)
    ours = TransformerLM(config).double().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    ids = torch.randint(0, config.vocab_size, (2, 9), generator=generator)
    mask = nn.Transformer.generate_square_subsequent_mask(9, dtype=torch.float64)
    table = ours.token_embedding.weight
    expected = torchs_stack(ours, config)(nn.functional.embedding(ids, table), mask=mask) @ table.mT
    torch.testing.assert_close(ours(ids), expected, rtol=1e-10, atol=1e-10)
