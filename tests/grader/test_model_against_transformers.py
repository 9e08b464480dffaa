"""The reference's model against the ones that Hugging Face publishes: same weights, same logits, same gradients.

Weights are random, so nothing is downloaded. Hugging Face computes norms, angles and the softmax of Llama in float32,
whatever the model's dtype is. In float64 that alone would cost nine digits, so `in_float64` makes its code read float64
where it says float32, and changes nothing else: both then compute everything in float64, and are compared as such.
"""

import re

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama

from solutions.model import ModelConfig, TransformerLM, count_parameters

LENGTH = 40
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
GPT2S = {"tied": {}, "untied": {"tie_embeddings": False}, "other sizes": {"d_hidden": 20, "norm_eps": 0.3}}
LLAMAS = {
    "untied": {},
    "tied": {"tie_embeddings": True},
    "grouped heads": {"num_kv_heads": 2},
    "one head of keys, tied": {"num_kv_heads": 1, "tie_embeddings": True},
    "other base and eps": {"rope_base": 50.0, "norm_eps": 0.3},
    "two features a head": {"num_heads": 8, "num_kv_heads": 4},
}


class WideTorch:
    """What the module of Llama finds under the name torch."""

    float32 = float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.fixture
def in_float64(monkeypatch, dtype):
    """Hugging Face's Llama without its steps in float32, in tests of float64."""
    if dtype is torch.float64:
        monkeypatch.setattr(modeling_llama, "torch", WideTorch())


def config_of(preset, changes):
    sizes = {"vocab_size": 31, "max_length": LENGTH, "d_model": 16, "num_layers": 3, "num_heads": 4}
    return getattr(ModelConfig, preset)(**sizes | {"d_hidden": None} | changes)


def their_gpt2(config):
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_length,
            n_embd=config.d_model,
            n_layer=config.num_layers,
            n_head=config.num_heads,
            n_inner=config.hidden_size,
            layer_norm_epsilon=config.norm_eps,
            tie_word_embeddings=config.tie_embeddings,
            bos_token_id=0,
            eos_token_id=0,
            attn_implementation="eager",
        )
    )


def their_llama(config):
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            max_position_embeddings=config.max_length,
            hidden_size=config.d_model,
            intermediate_size=config.hidden_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads or config.num_heads,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_base},
            rms_norm_eps=config.norm_eps,
            tie_word_embeddings=config.tie_embeddings,
            bos_token_id=0,
            eos_token_id=0,
            attn_implementation="eager",
        )
    )


NAMES = [
    (r"^(transformer|model)\.", ""),
    (r"^(wte|embed_tokens)\.", "token_embedding."),
    (r"^wpe\.", "position_embedding."),
    (r"^(ln_f|norm)\.", "final_norm."),
    (r"^(h|layers)\.", "blocks."),
    (r"\.(ln_1|input_layernorm)\.", ".attention_norm."),
    (r"\.(ln_2|post_attention_layernorm)\.", ".feedforward_norm."),
    (r"\.(attn\.c_proj|self_attn\.o_proj)\.", ".attention.out_proj."),
    (r"\.(attn|self_attn)\.", ".attention."),
    (r"\.mlp\.c_fc\.", ".feedforward.up_proj."),
    (r"\.mlp\.c_proj\.", ".feedforward.down_proj."),
    (r"\.mlp\.", ".feedforward."),
]


def under_our_names(theirs):
    """Their weights, or the gradients of them, as ours: renamed, turned the right way round, cut in three."""
    ours = {}
    for name, value in theirs.items():
        # Conv1D of GPT-2 keeps its weight as (in, out).
        turned = value.mT if re.search(r"\.c_\w+\.weight$", name) else value
        for old, new in NAMES:
            name = re.sub(old, new, name)
        if ".c_attn." in name:
            # queries, keys and values below one another, (3 * d_model, ...)
            parts = zip("qkv", turned.chunk(3), strict=True)
            ours |= {name.replace("c_attn", f"{letter}_proj"): part for letter, part in parts}
        else:
            ours[name] = turned
    return ours


def pair(config, make_theirs, dtype):
    """Both models with the same random weights."""
    theirs = make_theirs(config).to(dtype).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in theirs.parameters():  # gains and offsets too, that differ in every feature
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.3)
    ours = TransformerLM(config).to(dtype).eval()
    weights = under_our_names(dict(theirs.named_parameters()))
    # Without duplicates: a tied weight has one name in each, and what is tied in one is tied in the other.
    assert set(weights) == {name for name, _ in ours.named_parameters()}
    ours.load_state_dict(weights, strict=not config.tie_embeddings)
    return ours, theirs


def expect_the_same(config, make_theirs, dtype):
    ours, theirs = pair(config, make_theirs, dtype)
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(0, config.vocab_size, (2, LENGTH), generator=generator)
    logits, expected = ours(ids), theirs(ids, use_cache=False).logits
    assert expected.dtype is dtype
    torch.testing.assert_close(logits, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    upstream = torch.randn(logits.shape, generator=generator, dtype=torch.float64).to(dtype) / LENGTH
    (logits * upstream).sum().backward()
    (expected * upstream).sum().backward()
    gradients = under_our_names({name: parameter.grad for name, parameter in theirs.named_parameters()})
    found = {name: parameter.grad for name, parameter in ours.named_parameters()}
    torch.testing.assert_close(found, gradients, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert count_parameters(ours) == sum(parameter.numel() for parameter in theirs.parameters())


@each_dtype
@pytest.mark.parametrize("changes", GPT2S.values(), ids=list(GPT2S))
def test_a_gpt2_config_is_hugging_faces_gpt2(changes, dtype):
    expect_the_same(config_of("gpt2", changes), their_gpt2, dtype)


@each_dtype
@pytest.mark.parametrize("changes", LLAMAS.values(), ids=list(LLAMAS))
@pytest.mark.usefixtures("in_float64")
def test_a_llama_config_is_hugging_faces_llama(changes, dtype):
    expect_the_same(config_of("llama", changes), their_llama, dtype)


def test_the_published_models_have_the_numbers_of_hugging_faces_configs():
    ours, theirs = ModelConfig.gpt2(), GPT2Config()
    assert (ours.vocab_size, ours.max_length, ours.d_model) == (theirs.vocab_size, theirs.n_positions, theirs.n_embd)
    assert (ours.num_layers, ours.num_heads, ours.norm_eps) == (
        theirs.n_layer,
        theirs.n_head,
        theirs.layer_norm_epsilon,
    )
    assert ours.dropout == theirs.embd_pdrop == theirs.attn_pdrop == theirs.resid_pdrop
    assert (theirs.activation_function, ours.activation) == ("gelu_new", "gelu_tanh")
    ours, theirs = ModelConfig.llama(), LlamaConfig()
    assert (ours.vocab_size, ours.max_length) == (theirs.vocab_size, theirs.max_position_embeddings)
    assert (ours.d_model, ours.hidden_size) == (theirs.hidden_size, theirs.intermediate_size)
    assert (ours.num_layers, ours.num_heads) == (theirs.num_hidden_layers, theirs.num_attention_heads)
    assert (ours.norm_eps, ours.tie_embeddings) == (theirs.rms_norm_eps, theirs.tie_word_embeddings)
