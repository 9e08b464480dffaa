"""What counts as the same thing: the names under which torch and other libraries offer what an exercise asks for.

An exercise forbids a few names; each stands for a family. A family is matched by the last part of a name, so
`torch.special.softmax`, `torch.sparse.softmax` and the tensor's method `softmax` need no entry of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

_SOFTMAX = """softmax log_softmax softmin Softmax LogSoftmax Softmin Softmax2d AdaptiveLogSoftmaxWithLoss logsumexp
    logcumsumexp logaddexp logaddexp2 gumbel_softmax sparse_sampled_addmm distributions
    _softmax _log_softmax _safe_softmax _masked_softmax _logcumsumexp _sparse_softmax _sparse_log_softmax
    _softmax_backward_data _log_softmax_backward_data"""
_ENTROPY = """cross_entropy CrossEntropyLoss linear_cross_entropy LinearCrossEntropyLoss cross_entropy_loss
    nll_loss NLLLoss NLLLoss2d nll_loss2d nll_loss_nd nll_loss_forward nll_loss2d_forward nll_loss_backward
    kl_div KLDivLoss"""
_ATTENTION = """scaled_dot_product_attention MultiheadAttention multi_head_attention_forward flex_attention
    _scaled_dot_product_attention_math _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention
    _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention _flash_attention_forward
    _efficient_attention_forward _native_multi_head_attention _transformer_encoder_layer_fwd"""
_TRANSFORMER = "Transformer TransformerEncoder TransformerDecoder TransformerEncoderLayer TransformerDecoderLayer"
_NORM = """layer_norm LayerNorm native_layer_norm group_norm GroupNorm native_group_norm instance_norm InstanceNorm1d
    InstanceNorm2d InstanceNorm3d LazyInstanceNorm1d batch_norm BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm
    LazyBatchNorm1d native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional
    _native_batch_norm_legit_no_training _batch_norm_impl_index cudnn_batch_norm _fused_layer_norm"""
_RMS_NORM = "rms_norm RMSNorm _fused_rms_norm"
_RELU = """relu relu_ ReLU relu6 relu6_ ReLU6 leaky_relu leaky_relu_ LeakyReLU rrelu rrelu_ RReLU prelu PReLU
    _prelu_kernel threshold threshold_ Threshold hardtanh hardtanh_ Hardtanh elu elu_ ELU celu celu_ CELU selu SELU"""
_GELU = "gelu gelu_ GELU"
_SILU = "silu silu_ SiLU swish glu GLU hardswish Hardswish mish Mish"
_DROPOUT = """dropout dropout_ Dropout dropout1d dropout2d dropout3d Dropout1d Dropout2d Dropout3d native_dropout
    feature_dropout feature_dropout_ alpha_dropout alpha_dropout_ AlphaDropout feature_alpha_dropout
    feature_alpha_dropout_ FeatureAlphaDropout _fused_dropout"""
_EMBEDDING = """embedding Embedding embedding_bag EmbeddingBag _embedding_bag _embedding_bag_forward_only
    embedding_dense_backward embedding_sparse_backward"""
_LINEAR = "linear Linear LazyLinear bilinear Bilinear NonDynamicallyQuantizableLinear _linear"
_CLIP = """clip_grad_norm_ clip_grad_norm clip_grads_with_norm_ get_total_norm _clip_grads_with_norm_ _get_total_norm
    clip_grad"""
_DATA = """DataLoader DataLoader2 RandomSampler SubsetRandomSampler WeightedRandomSampler DistributedSampler
    random_split StatefulDataLoader DataPipe IterDataPipe MapDataPipe datapipes"""

# The name that forbids a family, and the family. A class alone, as `torch.nn.Linear` where a whole model is built,
# forbids the layers and not the operation on which they rest.
_FAMILIES: tuple[tuple[str, str], ...] = (
    *((name, _SOFTMAX) for name in ("softmax", "log_softmax", "logsumexp")),
    *((name, _ENTROPY) for name in ("cross_entropy", "nll_loss")),
    ("scaled_dot_product_attention", f"{_ATTENTION} {_TRANSFORMER}"),
    ("MultiheadAttention", f"{_ATTENTION} {_TRANSFORMER}"),
    ("TransformerEncoderLayer", _TRANSFORMER),
    ("layer_norm", _NORM),
    ("rms_norm", _RMS_NORM),
    ("relu", _RELU),
    ("gelu", _GELU),
    ("silu", _SILU),
    ("dropout", _DROPOUT),
    ("embedding", _EMBEDDING),
    ("linear", _LINEAR),
    ("Linear", "LazyLinear Bilinear NonDynamicallyQuantizableLinear"),
    ("clip_grad_norm_", _CLIP),
    ("DataLoader", _DATA),
)

# torch's own implementations in Python: none of them is needed to write something by hand, all are the thing itself.
ENGINES = (
    *("torch._refs", "torch._decomp", "torch._prims", "torch._prims_common", "torch._inductor", "torch._numpy"),
    *("torch._higher_order_ops", "torch._dynamo", "torch._lowrank", "torch._custom_op", "torch.library"),
    *("torch.masked", "torch.sparse", "torch.nested", "torch.ao", "torch.quantization", "torch.distributed"),
    *("torch.jit", "torch.fx", "torch.export", "torch.onnx", "torch.package", "torch.hub", "torch.compile"),
)
# Other libraries that have ready-made parts; numpy is judged by name.
LIBRARIES = (
    *("scipy", "sklearn", "jax", "flax", "optax", "tensorflow", "keras", "mxnet", "paddle", "onnx", "onnxruntime"),
    *("transformers", "tokenizers", "tiktoken", "sentencepiece", "timm", "xformers", "flash_attn", "torchtune"),
    *("torchao", "torchvision", "torchaudio", "lightning", "accelerate", "autograd", "cupy", "numba", "triton"),
)
# Of torch.optim a base class that has no update rule, and what types are called.
_OPTIM_BASE = frozenset(("Optimizer", "optimizer", "ParamsT", "params_t"))


@dataclass(frozen=True)
class Forbidden:
    """What an exercise forbids, families included.

    Args:
        listed: The names of the exercise, in full.
        leaves: Last part of a name to the listed name that it stands for.
        optimizers: Whether all of `torch.optim` but its base class is forbidden.
    """

    listed: tuple[str, ...]
    leaves: dict[str, str]
    optimizers: bool

    def match(self, name: str) -> str:
        """The forbidden beginning of a full name; empty where there is none."""
        parts = name.split(".")
        for listed in self.listed:
            if name == listed or name.startswith(f"{listed}."):
                return listed
        if parts[0] not in ("torch", "numpy", *LIBRARIES):
            return ""
        for index, part in enumerate(parts[1:], 2):
            if part in self.leaves:
                return ".".join(parts[:index])
        if self.optimizers and parts[:2] == ["torch", "optim"] and not set(parts[2:]) <= _OPTIM_BASE:
            return ".".join(parts[:3])
        return ""


@lru_cache(maxsize=64)
def forbidden(names: tuple[str, ...]) -> Forbidden:
    """What these names of an exercise stand for."""
    leaves: dict[str, str] = {}
    for name in names:
        leaf = name.rpartition(".")[2]
        leaves.setdefault(leaf, name)
        for trigger, family in _FAMILIES:
            if trigger == leaf:
                leaves = dict.fromkeys(family.split(), name) | leaves
    for module in ("init", "lr_scheduler"):  # whole modules, matched by their full names and their frames
        leaves.pop(module, None)
    optimizers = any(name.startswith("torch.optim.") and name != "torch.optim.lr_scheduler" for name in names)
    return Forbidden(names, leaves, optimizers)


_PLAIN_FRAMES = ("torch.jit", "torch.compile", "torch._dynamo", "torch.library")  # honest calls pass through these


@lru_cache(maxsize=64)
def _folders(names: tuple[str, ...]) -> dict[str, str]:
    found = {f"torch/{name[6:].replace('.', '/')}": name for name in ENGINES if name not in _PLAIN_FRAMES}
    for name in names:
        if name.startswith("torch.optim."):
            found["torch/optim/"] = "torch.optim"
        elif name == "torch.nn.init":
            found["torch/nn/init.py"] = name
        elif "clip_grad" in name:
            found["torch/nn/utils/clip_grad.py"] = name
        elif name.startswith("torch.utils.data."):
            found["torch/utils/data/"] = "torch.utils.data"
    return found


def engine_of(file: str, names: tuple[str, ...]) -> str:
    """The forbidden part of torch to which a file of Python code belongs; empty where it belongs to none."""
    _, package, rest = file.rpartition("/torch/")
    if not package or rest == "optim/optimizer.py":
        return ""
    inside = f"torch/{rest}"
    return next((name for start, name in _folders(names).items() if _lies_in(inside, start)), "")


def _lies_in(path: str, start: str) -> bool:
    return path.startswith(start) and (start[-1] == "/" or path[len(start) : len(start) + 1] in ("/", ".", ""))
