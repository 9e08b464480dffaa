"""Valid but different ways to write `position`: each must pass every test."""

import math
from itertools import product

import torch
from torch import Tensor, nn

from grader.checking import alternative


@alternative("sinusoidal_encoding")
def sinusoidal_by_exp_and_log(length: int, d_model: int, base: float = 10000.0) -> Tensor:
    """As most tutorials have it, in float32."""
    position = torch.arange(length).unsqueeze(1)
    rates = torch.exp(torch.arange(0, d_model, 2) * (-math.log(base) / d_model))
    table = torch.zeros(length, d_model)
    table[:, 0::2] = torch.sin(position * rates)
    table[:, 1::2] = torch.cos(position * rates[: d_model // 2])
    return table


@alternative("sinusoidal_encoding")
def sinusoidal_number_by_number(length: int, d_model: int, base: float = 10000.0) -> Tensor:
    table = torch.empty((length, d_model), dtype=torch.float32)
    for row, column in product(range(length), range(d_model)):
        angle = row / base ** (2 * (column // 2) / d_model)
        table[row, column] = math.cos(angle) if column % 2 else math.sin(angle)
    return table


@alternative("sinusoidal_encoding")
def sinusoidal_stacked_and_cut(length: int, d_model: int, base: float = 10000.0) -> Tensor:
    clocks = torch.arange((d_model + 1) // 2, dtype=torch.float32)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), base ** (-2 * clocks / d_model))
    # (length, clocks, 2) -> (length, 2 * clocks), with one cosine too many where d_model is odd
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d_model].contiguous()


@alternative("sinusoidal_encoding")
def sinusoidal_by_phase(length: int, d_model: int, base: float = 10000.0) -> Tensor:
    """A cosine is a sine a quarter of a turn ahead."""
    columns = torch.arange(d_model)
    rates = torch.pow(torch.tensor(base, dtype=torch.float64), -2 * (columns // 2) / d_model)
    phases = (columns % 2) * (math.pi / 2)
    return torch.sin(torch.arange(length)[:, None] * rates + phases).float()


@alternative("sinusoidal_encoding")
def sinusoidal_by_complex_numbers(length: int, d_model: int, base: float = 10000.0) -> Tensor:
    rates = base ** (-torch.arange(0, d_model, 2) / d_model)
    angles = torch.arange(length)[:, None] * rates[None, :]
    turned = torch.polar(torch.ones_like(angles), angles)  # cos + i sin
    return torch.view_as_real(turned).flip(-1).reshape(length, 2 * len(rates))[:, :d_model]


@alternative("sinusoidal_encoding")
def sinusoidal_by_where(length: int, d_model: int, base: float = 10000.0) -> Tensor:
    columns = torch.arange(d_model)
    angles = torch.arange(length).view(-1, 1) / torch.tensor(base) ** ((columns - columns % 2) / d_model)
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())


class LearnedRows(nn.Module):
    """The parameter and the refusals, as most would write them."""

    def __init__(self, max_length: int, d_model: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.size = max_length
        self.weight = nn.Parameter(torch.empty(max_length, d_model))
        with torch.no_grad():
            self.weight.normal_(0.0, 0.02, generator=generator)

    def check(self, x: Tensor, offset: int) -> int:
        length = x.size(1)
        if not 0 <= offset <= self.size - length:
            raise ValueError(f"{length} tokens from position {offset} on do not fit into max_length={self.size}")
        return length


@alternative("LearnedPositionalEmbedding")
class LearnedByIndex(LearnedRows):
    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        length = self.check(x, offset)
        rows = self.weight[torch.arange(length) + offset]
        return x + rows.to(x.dtype)


@alternative("LearnedPositionalEmbedding")
class LearnedByNarrow(LearnedRows):
    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        rows = self.weight.narrow(0, offset if offset > 0 else 0, self.check(x, offset))
        return torch.add(x, rows.unsqueeze(0).expand(x.size(0), -1, -1)).type_as(x)


@alternative("LearnedPositionalEmbedding")
class LearnedByIndexSelect(LearnedRows):
    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        places = torch.arange(offset, offset + self.check(x, offset))
        return (torch.index_select(self.weight, 0, places)[None] + x).to(dtype=x.dtype)


@alternative("LearnedPositionalEmbedding")
class LearnedByOneHot(LearnedRows):
    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        length = self.check(x, offset)
        picks = torch.eye(self.size, dtype=self.weight.dtype)[offset : offset + length]
        return (x + picks @ self.weight).to(x.dtype)


@alternative("LearnedPositionalEmbedding")
class LearnedRowByRow(LearnedRows):
    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        length = self.check(x, offset)
        out = x.clone()
        for place in range(length):
            out[:, place] = x[:, place] + self.weight[offset + place].to(x.dtype)
        return out


@alternative("LearnedPositionalEmbedding")
class LearnedWithABuffer(nn.Module):
    """Keeps the places in a buffer that stays out of the state_dict, and draws in float64."""

    def __init__(self, max_length: int, d_model: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.register_buffer("_places", torch.arange(max_length), persistent=False)
        drawn = torch.randn(max_length, d_model, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(drawn.mul(0.02).float())

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        if offset < 0:
            raise ValueError(f"no position before 0, yet the offset is {offset}")
        places = self._places[offset : offset + x.shape[-2]].long()
        if len(places) < x.shape[-2]:
            raise ValueError(f"there are {len(self._places)} positions, and {offset + x.shape[-2]} are needed")
        return (x + self.weight[places]).to(x.dtype)


@alternative("rope_frequencies")
def frequencies_in_float32(d_head: int, base: float = 10000.0, *, dtype: torch.dtype = torch.float32) -> Tensor:
    if d_head % 2 == 1:
        raise ValueError(f"d_head={d_head} is odd")
    return (1.0 / (base ** (torch.arange(0, d_head, 2).float() / d_head))).to(dtype)


@alternative("rope_frequencies")
def frequencies_by_exp_and_log(d_head: int, base: float = 10000.0, *, dtype: torch.dtype = torch.float32) -> Tensor:
    if d_head & 1:
        raise ValueError(f"expected pairs of features, got {d_head} features")
    return torch.exp(torch.arange(d_head // 2, dtype=dtype) * (-2 * math.log(base) / d_head))


@alternative("rope_frequencies")
def frequencies_one_by_one(d_head: int, base: float = 10000.0, *, dtype: torch.dtype = torch.float32) -> Tensor:
    half, rest = divmod(d_head, 2)
    if rest:
        raise ValueError(f"{d_head} features cannot be paired")
    return torch.tensor([base ** (-2 * pair / d_head) for pair in range(half)], dtype=dtype)


@alternative("rope_frequencies")
def frequencies_by_products(d_head: int, base: float = 10000.0, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Each is the one before, times the same factor."""
    if d_head % 2 != 0:
        raise ValueError(f"d_head must be even, not {d_head}")
    factors = torch.full((d_head // 2,), base ** (-2 / d_head), dtype=torch.float64)
    factors[0] = 1.0
    return factors.cumprod(0).to(dtype)


@alternative("rope_frequencies")
def frequencies_by_logspace(d_head: int, base: float = 10000.0, *, dtype: torch.dtype = torch.float32) -> Tensor:
    if d_head % 2:
        raise ValueError(f"d_head must be even, not {d_head}")
    return torch.logspace(0, 2 / d_head - 1, d_head // 2, base=base, dtype=dtype)


def _per_sequence(x: Tensor, positions: Tensor) -> Tensor:
    """Positions as (batch or 1, 1, ..., 1, seq, 1)."""
    fits = positions.dim() in (1, 2) and positions.size(-1) == x.size(-2)
    if positions.dim() == 2 and (x.dim() < 3 or positions.size(0) != x.size(0)):
        fits = False
    if not fits:
        raise ValueError(f"positions {tuple(positions.shape)} do not fit x {tuple(x.shape)}")
    if positions.dim() == 2:
        while positions.dim() < x.dim() - 1:
            positions = positions.unsqueeze(1)
    return positions.unsqueeze(-1)


@alternative("apply_rope")
def rope_by_rotate_half(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """Cosine and sine for every feature, and a copy of x with its halves exchanged."""
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
    angles = _per_sequence(x, positions).float() * rope_frequencies(x.size(-1), base).to(x.device)
    angles = torch.cat([angles, angles], dim=-1)
    half = x.size(-1) // 2
    exchanged = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return (
        (x.to(torch.float32) if x.dtype.itemsize == 2 else x)
        .mul(angles.cos())
        .add(exchanged * angles.sin())
        .to(x.dtype)
    )


@alternative("apply_rope")
def rope_with_rounded_cosines(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """Exact angles, but products in the dtype of x, as some libraries do it."""
    if not x.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {x.dtype}")
    angles = _per_sequence(x, positions) * rope_frequencies(x.size(-1), base).to(x.device)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


@alternative("apply_rope")
def rope_by_complex_numbers(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
    wide = x.double()
    rates = rope_frequencies(x.size(-1), base).to(x.device).double()
    angles = _per_sequence(x, positions) * rates
    first, second = wide.unflatten(-1, (2, x.size(-1) // 2)).unbind(-2)
    turned = torch.complex(first.contiguous(), second.contiguous()) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)


@alternative("apply_rope")
def rope_by_matrices(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """One 2 x 2 matrix for every position and pair."""
    if not x.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {x.dtype}")
    angles = _per_sequence(x, positions) * rope_frequencies(x.shape[-1], base).to(x.device).double()
    cos, sin = torch.cos(angles), torch.sin(angles)
    matrices = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    pairs = x.double().unflatten(-1, (2, -1)).movedim(-2, -1)  # (..., seq, half, 2)
    turned = (matrices @ pairs[..., None])[..., 0]
    return turned.movedim(-1, -2).flatten(-2).to(x.dtype)


@alternative("apply_rope")
def rope_pair_by_pair(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """In float64, without the other exercise."""
    if not torch.is_floating_point(x):
        raise ValueError(f"got {x.dtype}")
    if x.shape[-1] % 2:
        raise ValueError(f"odd d_head {x.shape[-1]}")
    half, wide, out = x.shape[-1] // 2, x.double(), torch.zeros_like(x, dtype=torch.float64)
    places = _per_sequence(x, positions)[..., 0].double()
    for pair in range(half):
        angle = places * base ** (-pair / half)
        out[..., pair] = wide[..., pair] * angle.cos() - wide[..., pair + half] * angle.sin()
        out[..., pair + half] = wide[..., pair] * angle.sin() + wide[..., pair + half] * angle.cos()
    return out.to(x.dtype)


@alternative("apply_rope")
def rope_with_sequences_last(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """Looks the angles up in a table of all positions up to the largest, where none is negative."""
    if not x.dtype.is_floating_point:
        raise ValueError(f"whole numbers: {x.dtype}")
    rates = rope_frequencies(x.shape[-1], base).to(x.device)
    places = _per_sequence(x, positions)[..., 0].long()
    low = int(places.min()) if places.numel() else 0
    high = int(places.max()) if places.numel() else 0
    table = torch.arange(low, high + 1)[:, None] * rates  # (positions, half)
    angles = table[places - low]
    first, second = torch.tensor_split(x.float() if x.element_size() == 2 else x, 2, dim=-1)
    out = torch.empty_like(x)
    half = x.shape[-1] // 2
    out[..., :half] = torch.addcmul(first * angles.cos(), second, angles.sin(), value=-1)
    out[..., half:] = torch.addcmul(second * angles.cos(), first, angles.sin())
    return out


def _slopes_by_recursion(num_heads: int) -> list[float]:
    """As the authors of the paper compute them."""
    power = 2 ** math.floor(math.log2(num_heads))
    if power == num_heads:
        return [2 ** (-8 * (head + 1) / num_heads) for head in range(num_heads)]
    return _slopes_by_recursion(power) + _slopes_by_recursion(2 * power)[0::2][: num_heads - power]


def _expect_enough_keys(query_length: int, key_length: int | None) -> int:
    keys = query_length if key_length is None else key_length
    if keys < query_length:
        raise ValueError(f"{query_length} queries cannot be among {keys} keys")
    return keys


@alternative("alibi_bias")
def alibi_by_recursion(num_heads: int, query_length: int, key_length: int | None = None) -> Tensor:
    keys = _expect_enough_keys(query_length, key_length)
    slopes = torch.tensor(_slopes_by_recursion(num_heads))
    steps = torch.arange(keys) - torch.arange(keys - query_length, keys).unsqueeze(1)
    return slopes.view(-1, 1, 1) * -steps.abs()


@alternative("alibi_bias")
def alibi_by_einsum(num_heads: int, query_length: int, key_length: int | None = None) -> Tensor:
    keys = _expect_enough_keys(query_length, key_length)
    slopes = torch.tensor(_slopes_by_recursion(num_heads), dtype=torch.float64)
    places = torch.arange(keys, dtype=torch.float64)
    distances = torch.cdist(places[keys - query_length :, None], places[:, None], p=1.0)
    return torch.einsum("h,qk->hqk", -slopes, distances).float()


@alternative("alibi_bias")
def alibi_number_by_number(num_heads: int, query_length: int, key_length: int | None = None) -> Tensor:
    keys = _expect_enough_keys(query_length, key_length)
    bias = torch.zeros(num_heads, query_length, keys)
    for head, slope in enumerate(_slopes_by_recursion(num_heads)):
        for query, key in product(range(query_length), range(keys)):
            bias[head, query, key] = -slope * abs(query + keys - query_length - key)
    return bias


@alternative("alibi_bias")
def alibi_from_the_square(num_heads: int, query_length: int, key_length: int | None = None) -> Tensor:
    """The last rows of the table for as many queries as keys, from both triangles."""
    keys = _expect_enough_keys(query_length, key_length)
    before = torch.ones(keys, keys).tril(-1).cumsum(0).tril(-1)
    square = before + before.T
    return -torch.tensor(_slopes_by_recursion(num_heads))[:, None, None] * square[keys - query_length :]


@alternative("alibi_bias")
def alibi_by_outer_min(num_heads: int, query_length: int, key_length: int | None = None) -> Tensor:
    keys = _expect_enough_keys(query_length, key_length)
    slopes, base_heads = [], 1 << (num_heads.bit_length() - 1)
    for head in range(num_heads):
        # Those beyond the power of two have odd numbers among twice as many.
        exponent = (head + 1) / base_heads if head < base_heads else (2 * (head - base_heads) + 1) / (2 * base_heads)
        slopes.append(256.0**-exponent)
    steps = torch.arange(query_length)[:, None] + (keys - query_length) - torch.arange(keys)[None]
    return torch.tensor(slopes)[:, None, None] * torch.minimum(steps, -steps)
