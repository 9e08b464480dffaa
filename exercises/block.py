r"""Transformer block: one layer of a language model, made of the parts that you have written.

A block does two things to the vectors of a text. First attention lets every position gather from the positions that it
may see; then the feed-forward layer processes each position separately. A model is a stack of such blocks, which have
the same structure but their own weights.

The *residual stream* holds the stack together. A sub-layer does not replace the vectors that come in; it computes
something that is added to them. In pre-norm models this gives a direct path, made only of additions, from the
embedding to the end of the stack. What an early block wrote is still there for a late block to read, and in the
backward pass the gradient reaches every block without passing through all the others.

The exercises:

1. `make_norm` turns a name, "layernorm" or "rmsnorm", into one of your two norms.
2. `make_feedforward` turns a name, "mlp" or "swiglu", into one of your two feed-forward layers.
3. `TransformerBlock` uses both, and combines norms, attention and feed-forward in the order of GPT-2 and Llama
   (pre-norm) or of the first transformer (post-norm). It is little code, but each line has only one right place.

A model's configuration will contain these names: with them, one class can build a block of GPT-2 or of Llama.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .attention import GroupedQueryAttention, MultiHeadAttention
from .feedforward import Dropout, FeedForward, SwiGLU
from .normalization import LayerNorm, RMSNorm


def make_norm(norm: str, d_model: int, eps: float, bias: bool) -> nn.Module:
    r"""Make the norm layer with the given name.

    A configuration file can hold a word but not a class. So this function works like a waiter: you order by name, and
    it brings the layer.

    Args:
        norm: Name of the norm: "layernorm" for `normalization.LayerNorm`, "rmsnorm" for `normalization.RMSNorm`.
        d_model: Size of the input and output vectors.
        eps: The eps of the layer. Pass it on to both norms, in place of their own defaults.
        bias: Whether a LayerNorm learns an offset. It has no effect on RMSNorm, which never has one.

    Returns:
        A new layer in each call, with the parameters and initial values that its class documents.

    Raises:
        ValueError: `norm` is neither of the two names. The message gives the name that was passed.

    Example:
        >>> [name for name, _ in make_norm("layernorm", 8, eps=1e-5, bias=True).named_parameters()]
        ['weight', 'bias']
        >>> [name for name, _ in make_norm("rmsnorm", 8, eps=1e-5, bias=True).named_parameters()]
        ['weight']

    Pitfalls:
        * The two norms have different defaults for eps: if you don't pass eps on, at least one of them is wrong.
        * A plain `else` accepts every misspelt name as the second norm.

    Source:
        GPT-2's norm: Radford et al. 2019, section 2.3.
        https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf
        Llama's norm: Touvron et al. 2023, section 2.2. https://arxiv.org/abs/2302.13971

    Not allowed: torch.nn.LayerNorm, torch.nn.functional.layer_norm, torch.layer_norm, torch.native_layer_norm,
        torch.nn.RMSNorm, torch.nn.functional.rms_norm, torch.rms_norm.
    """
    raise NotImplementedError("block.make_norm is still a stub")


def make_feedforward(
    feedforward: str,
    d_model: int,
    d_hidden: int,
    *,
    activation: str,
    bias: bool,
    generator: torch.Generator | None = None,
) -> nn.Module:
    r"""Make the feed-forward layer with the given name.

    Like `make_norm`, it turns a word of the configuration into a layer. The layer itself drops nothing: in a block,
    dropout comes after it and applies to its output, before that is added to the residual stream.

    Args:
        feedforward: Name of the layer: "mlp" for `feedforward.FeedForward` with dropout 0, "swiglu" for
            `feedforward.SwiGLU`.
        d_model: Size of the input and output vectors.
        d_hidden: Size of the vectors between the projections, in both layers.
        activation: Name of the activation of a FeedForward. It has no effect on SwiGLU, whose gate always uses silu.
        bias: Whether the projections of a FeedForward have biases. It has no effect on SwiGLU, which never has any.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one.

    Returns:
        A new layer in each call, with the parameters and initial values that its class documents.

    Raises:
        ValueError: `feedforward` is neither of the two names, or FeedForward does not know `activation`. The message
            gives the name that was passed.

    Example:
        >>> mlp = make_feedforward("mlp", 8, 32, activation="gelu", bias=False)
        >>> [name for name, _ in mlp.named_parameters()]
        ['up_proj.weight', 'down_proj.weight']
        >>> swiglu = make_feedforward("swiglu", 8, 21, activation="gelu", bias=True)
        >>> [name for name, _ in swiglu.named_parameters()]
        ['gate_proj.weight', 'up_proj.weight', 'down_proj.weight']

    Pitfalls:
        * If you don't pass the generator on, there is no error: the weights come from the global one, and you cannot
          repeat the run.
        * d_model comes first, then d_hidden: if you swap them, there is no error until the first call.

    Source:
        Vaswani et al. 2017, section 3.3. https://arxiv.org/abs/1706.03762
        Shazeer 2020, section 2, eq. 6. https://arxiv.org/abs/2002.05202

    Not allowed: torch.nn.Linear, torch.nn.functional.linear, torch.nn.functional.gelu, torch.nn.GELU,
        torch.nn.functional.silu, torch.nn.SiLU.
    """
    raise NotImplementedError("block.make_feedforward is still a stub")


class TransformerBlock(nn.Module):
    r"""Apply attention and then feed-forward, adding the output of each to the residual stream.

    Picture the residual stream as a shared notebook: each sub-layer reads it and adds its notes, but never erases what
    is there.

    The place of the norms decides how well a deep stack trains. The first transformer normalized the sum (post-norm):
    the residual stream itself goes through a norm after every addition, and so does the gradient in the backward pass.
    At the start of training, the gradients of the last blocks are then large, and training tends to fail without a
    warmup of the learning rate. GPT-2 and nearly all models after it normalize the input of each sub-layer (pre-norm):
    sub-layers only add to the stream, gradients have similar sizes at every depth, and the start of training is easier.
    The price is that the stream grows from block to block, so a model of pre-norm blocks needs one more norm at its
    end. That norm belongs to the model, not to the block.

    Dropout hides a random part of what a sub-layer adds, so that later layers do not rely on any single number. Apply
    it to the output of the sub-layer, never to the stream: a number dropped there would be missing in all later blocks,
    and the direct path of the gradient would be cut.

    Math:
        norm_position="pre":   h = x + dropout(attention(attention_norm(x)))
                               y = h + dropout(feedforward(feedforward_norm(h)))
        norm_position="post":  h = attention_norm(x + dropout(attention(x)))
                               y = feedforward_norm(h + dropout(feedforward(h)))
        Attention is causal. It also drops its own weights, with the same probability.

    Args:
        d_model: Size of the input and output vectors.
        num_heads: Number of query heads of attention.
        d_hidden: Size of the hidden vectors of the feed-forward layer.
        num_kv_heads: None = `MultiHeadAttention`. A number = `GroupedQueryAttention` with that many heads of keys and
            values.
        norm: Kind of both norms: "layernorm" or "rmsnorm", as for `make_norm`.
        norm_position: Place of the norms: "pre" or "post".
        norm_eps: The eps of both norms, whatever their kind.
        feedforward: Kind of the feed-forward layer: "mlp" or "swiglu", as for `make_feedforward`.
        activation: Activation of an "mlp": "relu", "gelu", "gelu_tanh" or "silu".
        dropout: Probability, in [0, 1), of dropping each number that a sub-layer adds, and each attention weight, in
            training mode only. Nothing else is dropped: neither hidden numbers of the feed-forward layer nor inputs of
            sub-layers. One `Dropout` may serve both places, since it draws again in each call.
        bias: Whether the projections of attention and of an "mlp" have biases, and whether a LayerNorm has one.
        rope_base: Base of the rotary embedding of queries and keys. None = no rotation.
        generator: Generator for the initial weights. None = torch's global generator. If you are given a generator,
            do not touch the global one. (All dropout draws from the global one: checkpoints save its state.)

    Returns:
        From `forward`: a new tensor with the shape and dtype of `x`; `x` itself is unchanged. `x` and the parameters
        have the same dtype. The attention weights are not returned. Gradients reach `x` and every parameter.

    Raises:
        ValueError: `norm`, `norm_position`, `feedforward` or `activation` is not a known name, or `dropout` is not in
            [0, 1). The message gives the value that was passed.
        ValueError: d_model is not divisible by num_heads, num_heads is not divisible by num_kv_heads, or one of the two
            numbers of heads is 0. The constructor raises all of these errors, most of them through its parts.

    Parameters:
        attention_norm: The norm of the attention step: attention_norm.weight, and attention_norm.bias if it has one.
        attention: `MultiHeadAttention` or `GroupedQueryAttention`: attention.q_proj.weight and so on.
        feedforward_norm: The norm of the feed-forward step, with its own parameters.
        feedforward: `FeedForward` or `SwiGLU`: feedforward.up_proj.weight and so on.
        Each has the initial values that its own class documents. `state_dict` holds these names and no others.

    Example:
        >>> block = TransformerBlock(d_model=8, num_heads=2, d_hidden=32)
        >>> block(torch.randn(3, 5, 8)).shape
        torch.Size([3, 5, 8])
        >>> for last in (block.attention.out_proj, block.feedforward.down_proj):  # their initial biases are zeros
        ...     _ = last.weight.data.zero_()
        >>> bool((block(x := torch.randn(1, 2, 8)) == x).all())  # both sub-layers add 0: x passes unchanged
        True

    Pitfalls:
        * In pre-norm, the sub-layer reads norm(x), but its output is added to x itself: `x = norm(x)` loses x.
        * The second step uses h, the result of the first, in both places: inside the norm and in the sum.
        * There are two norms, and each learns its own gain.
        * Attention returns two tensors; the block uses the first.
        * Pass `mask` on to attention. If you forget it, padding is read like text, and no shape reveals it.
        * dropout(x + ...) drops from the stream: apply dropout only to the output of the sub-layer.
        * `x += ...` writes into the caller's tensor.

    Source:
        Vaswani et al. 2017, sections 3.1 (post-norm) and 5.4 (residual dropout). https://arxiv.org/abs/1706.03762
        Pre against post: Xiong et al. 2020, section 3 and figure 1. https://arxiv.org/abs/2002.04745
        The sum: He et al. 2015, section 3.1. https://arxiv.org/abs/1512.03385

    torch.nn.functional.dropout and torch.nn.Dropout are allowed; your own `Dropout` does the same.

    Not allowed: torch.nn.TransformerEncoderLayer, torch.nn.TransformerDecoderLayer, torch.nn.TransformerEncoder,
        torch.nn.Transformer, torch.nn.MultiheadAttention, torch.nn.functional.multi_head_attention_forward,
        torch.nn.functional.scaled_dot_product_attention, torch.nn.LayerNorm, torch.nn.functional.layer_norm,
        torch.layer_norm, torch.nn.RMSNorm, torch.nn.functional.rms_norm, torch.rms_norm, torch.nn.Linear,
        torch.nn.functional.linear.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_hidden: int,
        *,
        num_kv_heads: int | None = None,
        norm: str = "layernorm",
        norm_position: str = "pre",
        norm_eps: float = 1e-5,
        feedforward: str = "mlp",
        activation: str = "gelu",
        dropout: float = 0.0,
        bias: bool = True,
        rope_base: float | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        raise NotImplementedError("block.TransformerBlock.__init__ is still a stub")

    def forward(
        self, x: Float[Tensor, "batch seq d_model"], mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Let every position gather from others and process what it gathered, adding both results to the stream.

        Args:
            x: The residual stream: one vector per position.
            mask: An extra mask on top of the causal one, True = may attend. It broadcasts to (batch, num_heads, seq,
                seq).

        Returns:
            The updated residual stream.

        Raises:
            ValueError: Some position cannot see any position.
        """
        raise NotImplementedError("block.TransformerBlock.forward is still a stub")
