"""Valid but different ways to write `embedding`: each must pass every test."""

import math

import torch
from torch import Tensor, nn

from grader.checking import alternative
from solutions.embedding import init_normal

# init_normal


@alternative("init_normal")
def normal_by_torch_normal(shape, std, *, generator=None):
    return torch.normal(0.0, std, tuple(shape), generator=generator, dtype=torch.float32)


@alternative("init_normal")
def normal_in_place(shape, std, *, generator=None):
    return torch.empty(shape, dtype=torch.float32).normal_(0, std, generator=generator)


@alternative("init_normal")
def normal_in_float64(shape, std, *, generator=None):
    return torch.randn(*shape, generator=generator, dtype=torch.float64).mul(std).to(torch.float32)


@alternative("init_normal")
def normal_by_box_muller(shape, std, *, generator=None):
    """Two uniform numbers make a normal one."""
    radius = torch.sqrt(-2 * torch.log1p(-torch.rand(shape, generator=generator, dtype=torch.float64)))
    angle = 2 * math.pi * torch.rand(shape, generator=generator, dtype=torch.float64)
    return (std * radius * torch.cos(angle)).float()


@alternative("init_normal")
def normal_by_the_inverse_of_its_distribution(shape, std, *, generator=None):
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    return (std * torch.special.ndtri(uniform)).float()


@alternative("init_normal")
def normal_row_by_row(shape, std, *, generator=None):
    rows = [torch.randn(shape[1:], generator=generator, dtype=torch.float32) for _ in range(shape[0])]
    return std * torch.stack(rows) if rows else torch.empty(shape, dtype=torch.float32)


@alternative("init_normal")
def normal_cut_off_at_three(shape, std, *, generator=None):
    """Draws again what lies further out than 3 std."""
    z = torch.randn(shape, generator=generator, dtype=torch.float32)
    while (far := z.abs() > 3).any():
        z[far] = torch.randn(int(far.sum()), generator=generator, dtype=torch.float32)
    return z * std


# Embedding


class Table(nn.Module):
    """The parameter of Embedding, as most would write it."""

    def __init__(self, num_embeddings, d_model, *, generator=None):
        super().__init__()
        self.weight = nn.Parameter(init_normal((num_embeddings, d_model), 0.02, generator=generator))

    def checked(self, ids: Tensor) -> Tensor:
        ids = ids.to(torch.int64)
        size = len(self.weight)
        if ((ids < 0) | (ids >= size)).any():
            raise IndexError(f"ids {ids.tolist()} are not all within 0 ... {size} - 1")
        return ids


@alternative("Embedding")
class EmbeddingByOneHot(Table):
    def forward(self, ids: Tensor) -> Tensor:
        one_hot = nn.functional.one_hot(self.checked(ids), len(self.weight))
        return one_hot.to(self.weight.dtype) @ self.weight


@alternative("Embedding")
class EmbeddingByComparison(Table):
    """A one-hot product from a comparison with all ids, and einsum."""

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(self.weight.size(0))
        hits = (self.checked(ids).unsqueeze(-1) == places).type_as(self.weight)
        return torch.einsum("...n,nd->...d", hits, self.weight)


@alternative("Embedding")
class EmbeddingByIndexSelect(Table):
    def forward(self, ids: Tensor) -> Tensor:
        flat = self.weight.index_select(0, self.checked(ids).reshape(-1))
        return flat.view(*ids.shape, self.weight.shape[1])


@alternative("Embedding")
class EmbeddingByGather(Table):
    def forward(self, ids: Tensor) -> Tensor:
        width = self.weight.shape[1]
        index = self.checked(ids).reshape(-1, 1).expand(-1, width)
        return torch.gather(self.weight, 0, index).unflatten(0, ids.shape or (1,)).reshape(*ids.shape, width)


@alternative("Embedding")
class EmbeddingRowByRow(Table):
    def forward(self, ids: Tensor) -> Tensor:
        rows = [self.weight[id] for id in self.checked(ids).flatten().tolist()]
        out = torch.stack(rows) if rows else self.weight[:0]
        return out.reshape(*ids.shape, -1) if rows else out.reshape(*ids.shape, self.weight.shape[1])


class Rows(torch.autograd.Function):
    """The lookup with the gradient written by hand."""

    @staticmethod
    def forward(ctx, weight, ids):
        ctx.save_for_backward(ids)
        ctx.size = weight.shape
        return weight[ids]

    @staticmethod
    def backward(ctx, grad):
        (ids,) = ctx.saved_tensors
        return grad.new_zeros(ctx.size).index_add(0, ids.flatten(), grad.reshape(-1, ctx.size[1])), None


@alternative("Embedding")
class EmbeddingWithOwnBackward(Table):
    def forward(self, ids: Tensor) -> Tensor:
        return Rows.apply(self.weight, self.checked(ids))


@alternative("Embedding")
class EmbeddingThatDrawsItself(nn.Module):
    """Does without init_normal; draws in another order; leaves ids that are too large to torch's own error."""

    def __init__(self, num_embeddings: int, d_model: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        columns = torch.randn(d_model, num_embeddings, generator=generator)
        self.weight = nn.Parameter((0.02 * columns).t().contiguous())

    def forward(self, ids: Tensor) -> Tensor:
        if bool((ids < 0).any()):
            raise IndexError(f"negative ids {ids[ids < 0].tolist()} in a table of {self.weight.shape[0]} rows")
        return self.weight[ids.long(), :]


# Linear


class Matrix(nn.Module):
    """The parameters of Linear, as most would write them."""

    def __init__(self, in_features, out_features, *, bias=True, generator=None):
        super().__init__()
        scale = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(init_normal((out_features, in_features), scale, generator=generator))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def expect(self, x: Tensor) -> None:
        if x.dim() == 0 or x.size(-1) != self.weight.size(1):
            raise ValueError(f"x of shape {list(x.shape)} does not end in {self.weight.size(1)}")

    def offset(self, product: Tensor) -> Tensor:
        return product if self.bias is None else self.bias + product


@alternative("Linear")
class LinearByEinsum(Matrix):
    def forward(self, x: Tensor) -> Tensor:
        self.expect(x)
        return self.offset(torch.einsum("...i,oi->...o", x, self.weight))


@alternative("Linear")
class LinearByElements(Matrix):
    def forward(self, x: Tensor) -> Tensor:
        self.expect(x)
        # (*batch, 1, in) * (out, in) -> (*batch, out, in)
        return self.offset((x.unsqueeze(-2) * self.weight).sum(dim=-1))


@alternative("Linear")
class LinearByAddmm(Matrix):
    def forward(self, x: Tensor) -> Tensor:
        self.expect(x)
        flat = x.reshape(x.shape[:-1].numel(), x.shape[-1])
        out = flat.mm(self.weight.t()) if self.bias is None else torch.addmm(self.bias, flat, self.weight.t())
        return out.view(*x.shape[:-1], self.weight.shape[0])


@alternative("Linear")
class LinearByTensordot(Matrix):
    def forward(self, x: Tensor) -> Tensor:
        self.expect(x)
        return self.offset(torch.tensordot(x, self.weight, dims=([-1], [1])))


@alternative("Linear")
class LinearOutputByOutput(Matrix):
    def forward(self, x: Tensor) -> Tensor:
        self.expect(x)
        return self.offset(torch.stack([(x * row).sum(-1) for row in self.weight], dim=-1))


@alternative("Linear")
class LinearInputByInput(Matrix):
    """Adds up the columns of the weight."""

    def forward(self, x: Tensor) -> Tensor:
        self.expect(x)
        out = x.new_zeros(*x.shape[:-1], len(self.weight))
        for i in range(x.shape[-1]):
            out = out + x[..., i : i + 1] * self.weight[:, i]
        return self.offset(out)


@alternative("Linear")
class LinearColumnsFirst(nn.Module):
    """Does without init_normal; registers bias before weight; multiplies from the left; computes in float64."""

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.register_parameter("bias", nn.Parameter(torch.zeros(out_features)) if bias else None)
        columns = torch.randn(in_features, out_features, generator=generator) / in_features**0.5
        self.weight = nn.Parameter(columns.T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-1:]) != (self.weight.shape[1],):
            raise ValueError(f"expected (..., {self.weight.shape[1]}), got {tuple(x.shape)}")
        out = (self.weight.double() @ x.double().unsqueeze(-1)).squeeze(-1)
        return (out if self.bias is None else out + self.bias.double()).to(x.dtype)


class Product(torch.autograd.Function):
    """The product with the gradient written by hand."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.T

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        return grad @ weight, flat.T @ x.reshape(-1, x.shape[-1])


@alternative("Linear")
class LinearWithOwnBackward(Matrix):
    def forward(self, x: Tensor) -> Tensor:
        self.expect(x)
        return self.offset(Product.apply(x, self.weight))
