r"""Transformer block: one layer of a language model, made of the parts that you have.

A block does two things to the vectors of a text, one after the other: attention lets every position gather from the
positions that it may see, and the feed-forward layer then works on each position on its own. A model is a stack of such
blocks, all alike in shape, each with weights of its own.

What holds the stack together is the *residual stream*. No sub-layer replaces the vectors that come in; it computes
something that is added to them. So there is a straight way, made of additions only, from the embedding to the end of
the model. What an early block wrote is still there for a late one to read, and on the way back the gradient reaches
every block without passing through all the others.

The exercises, each of which calls those before it:

1. `make_norm` turns a name, "layernorm" or "rmsnorm", into one of your two norms.
2. `make_feedforward` turns a name, "mlp" or "swiglu", into one of your two feed-forward layers.
3. `TransformerBlock` puts norms, attention and feed-forward together, in the order of GPT-2 and Llama (pre-norm) or of
   the first transformer (post-norm). Little code, and each line has its one right place.

The names are what a model's configuration will hold: with them one class makes a block of GPT-2 or one of Llama.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .attention import GroupedQueryAttention, MultiHeadAttention
from .feedforward import Dropout, FeedForward, SwiGLU
from .normalization import LayerNorm, RMSNorm


def make_norm(norm: str, d_model: int, eps: float, bias: bool) -> nn.Module:
    r"""Make the norm layer of that name.

    Args:
        norm: "layernorm" for `normalization.LayerNorm`, "rmsnorm" for `normalization.RMSNorm`.
        d_model: Size of the vectors that come in and go out.
        eps: What the layer adds under its root. Passed on to either norm, in place of the layer's own default.
        bias: Whether a LayerNorm learns an offset. RMSNorm never has one: there it changes nothing.

    Returns:
        A new layer in each call, with the parameters and the start that its class documents.

    Raises:
        ValueError: `norm` is neither name; the message gives what came.

    Example:
        >>> [name for name, _ in make_norm("layernorm", 8, eps=1e-5, bias=True).named_parameters()]
        ['weight', 'bias']
        >>> [name for name, _ in make_norm("rmsnorm", 8, eps=1e-5, bias=True).named_parameters()]
        ['weight']

    Pitfalls:
        * The two norms have different defaults for eps: an eps that is not passed on is wrong in one of them at least.
        * An `else` without a question takes every misspelt name for the second norm.

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
    r"""Make the feed-forward layer of that name.

    The layer drops nothing: in a block, dropout stands behind it, on what it adds to the residual stream.

    Args:
        feedforward: "mlp" for `feedforward.FeedForward` with dropout 0, "swiglu" for `feedforward.SwiGLU`.
        d_model: Size of the vectors that come in and go out.
        d_hidden: Size of the vectors between the projections, in either layer.
        activation: What bends the hidden vectors of a FeedForward, by the name that it knows. SwiGLU always has silu
            in its gate: there it changes nothing.
        bias: Whether the projections of a FeedForward have offsets. SwiGLU never has any: there it changes nothing.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.

    Returns:
        A new layer in each call, with the parameters and the start that its class documents.

    Raises:
        ValueError: `feedforward` is neither name, or a FeedForward does not know `activation`; the message gives what
            came.

    Example:
        >>> mlp = make_feedforward("mlp", 8, 32, activation="gelu", bias=False)
        >>> [name for name, _ in mlp.named_parameters()]
        ['up_proj.weight', 'down_proj.weight']
        >>> swiglu = make_feedforward("swiglu", 8, 21, activation="gelu", bias=True)
        >>> [name for name, _ in swiglu.named_parameters()]
        ['gate_proj.weight', 'up_proj.weight', 'down_proj.weight']

    Pitfalls:
        * A generator that is not passed on is no error: the weights come from the global one, and a run cannot be
          repeated.
        * d_model first, then d_hidden: exchanged, the layer is built without a murmur and fails at its first call.

    Source:
        Vaswani et al. 2017, section 3.3. https://arxiv.org/abs/1706.03762
        Shazeer 2020, section 2, eq. 6. https://arxiv.org/abs/2002.05202

    Not allowed: torch.nn.Linear, torch.nn.functional.linear, torch.nn.functional.gelu, torch.nn.GELU,
        torch.nn.functional.silu, torch.nn.SiLU.
    """
    raise NotImplementedError("block.make_feedforward is still a stub")


class TransformerBlock(nn.Module):
    r"""Attention, then feed-forward, each adding what it finds to the residual stream.

    Where the norms stand decides how well a deep stack trains. The first transformer normalized the sum (post-norm):
    the residual stream itself goes through a norm after every addition, and so does the gradient on its way back. At
    the start of training the gradients of the last blocks are then large, and without a warmup of the learning rate
    training fails. GPT-2 and nearly all models after it normalize what each sub-layer reads (pre-norm): the stream is
    only ever added to, gradients have about the same size at every depth, and training starts without care. The price
    is that the stream grows from block to block, so that a model of pre-norm blocks needs one more norm at its end.
    That one belongs to the model and not to the block.

    Dropout hides a part of what a sub-layer says at this step, so that no later layer relies on one voice alone. It
    stands on what is added and never on the stream: a number dropped there would be missing for all blocks that
    follow, and the straight way back for the gradient would be cut.

    Math:
        norm_position="pre":   h = x + dropout(attention(attention_norm(x)))
                               y = h + dropout(feedforward(feedforward_norm(h)))
        norm_position="post":  h = attention_norm(x + dropout(attention(x)))
                               y = feedforward_norm(h + dropout(feedforward(h)))
        Attention is causal. It also drops its own weights, with the same probability.

    Args:
        d_model: Size of the vectors that come in and go out.
        num_heads: How many heads of queries attention has.
        d_hidden: Size of the hidden vectors of the feed-forward layer.
        num_kv_heads: None = `MultiHeadAttention`; a number = `GroupedQueryAttention` with so many heads of keys and
            values.
        norm: "layernorm" or "rmsnorm", as for `make_norm`; both norms of the block are of that kind.
        norm_position: "pre" or "post".
        norm_eps: The eps of both norms, whichever kind they are.
        feedforward: "mlp" or "swiglu", as for `make_feedforward`.
        activation: For "mlp": "relu", "gelu", "gelu_tanh" or "silu".
        dropout: Probability, in [0, 1), of dropping each number that a sub-layer adds and each weight of attention,
            in training mode only. Nothing else is dropped: no hidden number of the feed-forward layer, no input of a
            sub-layer. One `Dropout` may serve both places: it draws anew in each call.
        bias: Whether the projections of attention and of an "mlp" have offsets, and a LayerNorm its bias.
        rope_base: Base of the rotary embedding of queries and keys. None = no rotation.
        generator: Source of the initial weights. None = torch's global one; given one, the global one is not touched.
            (All dropout draws from the global one: its state is what a checkpoint keeps.)

    Returns:
        From `forward`: a new tensor in the shape and dtype of `x`; `x` itself stays as it was. `x` and the parameters
        share one dtype. The weights of attention are not returned. Gradients reach `x` and every parameter.

    Raises:
        ValueError: `norm`, `norm_position`, `feedforward` or `activation` is no known name, `dropout` is not in
            [0, 1); the message gives what came. Or d_model is not divisible by num_heads, or num_heads not by
            num_kv_heads (0 divides nothing). All are raised by the constructor, most of them by its parts.

    Parameters:
        attention_norm: The norm of the attention step: attention_norm.weight, and attention_norm.bias where it has one.
        attention: `MultiHeadAttention` or `GroupedQueryAttention`: attention.q_proj.weight and so on.
        feedforward_norm: The norm of the feed-forward step, with parameters of its own.
        feedforward: `FeedForward` or `SwiGLU`: feedforward.up_proj.weight and so on.
        Each starts as its own class says. `state_dict` holds these names and no others.

    Example:
        >>> block = TransformerBlock(d_model=8, num_heads=2, d_hidden=32)
        >>> block(torch.randn(3, 5, 8)).shape
        torch.Size([3, 5, 8])
        >>> for last in (block.attention.out_proj, block.feedforward.down_proj):  # their biases start as zeros
        ...     _ = last.weight.data.zero_()
        >>> bool((block(x := torch.randn(1, 2, 8)) == x).all())  # nothing is added: the residual stream runs through
        True

    Pitfalls:
        * In pre-norm the sub-layer reads the normalized vectors, and x as it was is added: `x = norm(x)` loses it.
        * The second step works on h, the result of the first, in both of its places: inside the norm and in the sum.
        * Two norms: each learns a gain of its own.
        * Attention returns two things; the block goes on with the first.
        * `mask` must be handed on to attention, or padding is read like text. No value comes out in a wrong shape.
        * dropout(x + ...) drops from the stream. Only what is added goes through dropout.
        * `x += ...` writes into the tensor of the caller.

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
        """Let every position gather from others, then think about it, and add both to what was there.

        Args:
            x: One vector for each position: the residual stream as it comes in.
            mask: True = may attend, besides the causal mask. Broadcasts to (batch, num_heads, seq, seq).

        Returns:
            The residual stream as it goes out.

        Raises:
            ValueError: Some position sees no position at all.
        """
        raise NotImplementedError("block.TransformerBlock.forward is still a stub")
