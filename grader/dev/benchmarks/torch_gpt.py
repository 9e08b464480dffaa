"""A yardstick for speed: GPT-2 out of torch's own modules, by one who wants it fast and not explained."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.feedforward = nn.Sequential(
            nn.Linear(d_model, 4 * d_model), nn.GELU(approximate="tanh"), nn.Linear(4 * d_model, d_model)
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        out: Tensor = x + self.feedforward(self.feedforward_norm(x))
        return out


class TorchGPT(nn.Module):
    """As `TransformerLM` with ModelConfig's defaults: learned positions, pre-norm, biases, tied head.

    Args:
        vocab_size: Tokens.
        max_length: Positions.
        d_model: Size of a vector.
        num_layers: Blocks.
        num_heads: Heads in each.
    """

    def __init__(self, vocab_size: int, max_length: int, d_model: int, num_layers: int, num_heads: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, d_model), nn.Embedding(max_length, d_model)
        self.blocks = nn.Sequential(*(_Block(d_model, num_heads) for _ in range(num_layers)))
        self.norm, self.head = nn.LayerNorm(d_model), nn.Linear(d_model, vocab_size, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Scores of the next token at every position."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        scores: Tensor = self.head(self.norm(self.blocks(x)))
        return scores


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor) -> None:
    """One update, with torch's own loss and clipping."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
