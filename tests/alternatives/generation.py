"""Valid but different ways to write `generation`: each must pass every test."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grader.checking import alternative
from solutions.generation import greedy, sample


def _check_top_k(k: int) -> None:
    if k <= 0:
        raise ValueError(f"top_k needs a positive number, not {k}")


def _check_top_p(p: float) -> None:
    if p <= 0 or p > 1:
        raise ValueError(f"top_p takes 0 < p <= 1 and not {p}")


# greedy


@alternative("greedy")
def greedy_by_max(logits: Tensor) -> Tensor:
    return torch.max(logits, -1)[1]


@alternative("greedy")
def greedy_by_stable_sort(logits: Tensor) -> Tensor:
    return torch.sort(logits, dim=-1, descending=True, stable=True).indices[..., 0]


@alternative("greedy")
def greedy_by_comparison(logits: Tensor) -> Tensor:
    is_largest = logits == logits.amax(-1, keepdim=True)
    ids = torch.arange(logits.size(-1)).expand_as(logits)
    return ids.masked_fill(~is_largest, logits.size(-1)).amin(-1)


@alternative("greedy")
def greedy_by_loop(logits: Tensor) -> Tensor:
    ids = []
    for row in logits.reshape(math.prod(logits.shape[:-1]), logits.shape[-1]).tolist():
        best = 0
        for i, value in enumerate(row):
            if value > row[best]:
                best = i
        ids.append(best)
    return torch.tensor(ids, dtype=torch.long).reshape(logits.shape[:-1])


@alternative("greedy")
def greedy_by_count(logits: Tensor) -> Tensor:
    """The id is the number of tokens before the first largest."""
    seen = (logits == logits.max(dim=-1, keepdim=True).values).int().cumsum(-1)
    return (seen == 0).sum(-1)


# temperature


@alternative("temperature")
def temperature_by_inverse(logits: Tensor, value: float) -> Tensor:
    if value <= 0 or math.isnan(value):
        raise ValueError(f"no temperature: {value}. Where 0 is meant, call Greedy.")
    return logits.to(torch.promote_types(logits.dtype, torch.float32)) * (1 / value)


@alternative("temperature")
def temperature_by_div(logits: Tensor, value: float) -> Tensor:
    if value > 0:
        wide = logits.float() if logits.dtype.itemsize < 4 else logits
        return torch.div(wide, value)
    raise ValueError("use greedy instead of this temperature")


@alternative("temperature")
def temperature_on_a_copy(logits: Tensor, value: float) -> Tensor:
    if not value > 0:
        raise ValueError(f"temperature {value}: use greedy")
    copy = logits.clone()
    if copy.dtype in (torch.half, torch.bfloat16):
        copy = copy.to(torch.float32)
    copy /= value
    return copy


@alternative("temperature")
def temperature_in_float64(logits: Tensor, value: float) -> Tensor:
    if not value > 0:
        raise ValueError(f"temperature {value}: use greedy")
    return (logits.double() / value).to(torch.promote_types(logits.dtype, torch.float32))


@alternative("temperature")
def temperature_by_tensor(logits: Tensor, value: float) -> Tensor:
    if not value > 0:
        raise ValueError(f"temperature {value}: use greedy")
    return logits / torch.full((1,), value, dtype=torch.promote_types(logits.dtype, torch.float32))


# top_k


@alternative("top_k")
def top_k_by_two_sorts(logits: Tensor, k: int) -> Tensor:
    _check_top_k(k)
    ranks = logits.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    return logits.masked_fill(ranks >= k, float("-inf"))


@alternative("top_k")
def top_k_by_gather(logits: Tensor, k: int) -> Tensor:
    _check_top_k(k)
    values, ids = torch.sort(logits, dim=-1, descending=True, stable=True)
    return torch.full_like(logits, -torch.inf).scatter(-1, ids[..., :k], values[..., :k])


@alternative("top_k")
def top_k_by_border(logits: Tensor, k: int) -> Tensor:
    """All above the border, and as many of its equals, in the order of ids, as there is room for."""
    _check_top_k(k)
    border = torch.topk(logits, min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    above, equal = logits > border, logits == border
    room = k - above.sum(-1, keepdim=True)
    out = logits.clone()
    out[~(above | (equal & (equal.cumsum(-1) <= room)))] = -torch.inf
    return out


@alternative("top_k")
def top_k_by_comparing_pairs(logits: Tensor, k: int) -> Tensor:
    """The rank by its formula: (*batch, vocab, vocab) comparisons."""
    _check_top_k(k)
    ids = torch.arange(logits.shape[-1])
    mine, other = logits.unsqueeze(-1), logits.unsqueeze(-2)
    before = (other > mine) | ((other == mine) & (ids[None, :] < ids[:, None]))
    return torch.where(before.sum(-1) < k, logits, -torch.inf)


@alternative("top_k")
def top_k_row_by_row(logits: Tensor, k: int) -> Tensor:
    _check_top_k(k)
    rows = logits.reshape(math.prod(logits.shape[:-1]), logits.shape[-1])
    out = torch.full_like(rows, -torch.inf)
    for row, new in zip(rows, out, strict=True):
        values = row.tolist()
        for i in sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]:
            new[i] = row[i]
    return out.reshape(logits.shape)


# top_p


@alternative("top_p")
def top_p_by_sorted_probabilities(logits: Tensor, p: float) -> Tensor:
    _check_top_p(p)
    shares = torch.softmax(logits.double(), dim=-1)
    line, order = torch.sort(shares, dim=-1, descending=True, stable=True)
    removed = line.cumsum(-1) - line >= p if p < 1 else line == 0
    return logits.masked_fill(torch.zeros_like(removed).scatter(-1, order, removed), -torch.inf)


@alternative("top_p")
def top_p_by_shifted_mask(logits: Tensor, p: float) -> Tensor:
    _check_top_p(p)
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    line, order = torch.sort(wide, dim=-1, descending=True, stable=True)
    reached = torch.softmax(line, dim=-1).cumsum(dim=-1) >= p
    if p == 1:
        reached = torch.zeros_like(reached)
    # Removed is whoever stands behind a token that has reached p.
    removed = F.pad(reached[..., :-1], (1, 0), value=False)
    kept = line.masked_fill(removed, -torch.inf).to(logits.dtype)
    return torch.empty_like(logits).scatter(-1, order, kept)


@alternative("top_p")
def top_p_by_counting(logits: Tensor, p: float) -> Tensor:
    """How many stay is one number for each row."""
    _check_top_p(p)
    shares = torch.softmax(logits.double(), -1).sort(-1, descending=True).values
    count = 1 + (shares.cumsum(-1) < p).sum(-1, keepdim=True)
    if p == 1:
        count = torch.full_like(count, logits.shape[-1])
    ranks = logits.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    return torch.where(ranks < count, logits, float("-inf"))


@alternative("top_p")
def top_p_by_ranks_in_pairs(logits: Tensor, p: float) -> Tensor:
    """The probability before each token as a product with the table of who stands before whom."""
    _check_top_p(p)
    if p == 1:
        return logits + 0
    shares = torch.softmax(logits.double(), dim=-1)
    ids = torch.arange(logits.shape[-1])
    mine, other = logits[..., :, None], logits[..., None, :]
    before = (other > mine) | ((other == mine) & (ids[None, :] < ids[:, None]))
    return torch.where((before * shares[..., None, :]).sum(-1) < p, logits, -torch.inf)


@alternative("top_p")
def top_p_row_by_row(logits: Tensor, p: float) -> Tensor:
    _check_top_p(p)
    rows = logits.reshape(math.prod(logits.shape[:-1]), logits.shape[-1])
    out = torch.full_like(rows, -torch.inf)
    for row, new in zip(rows, out, strict=True):
        values, shares, total = row.tolist(), row.double().softmax(0).tolist(), 0.0
        for i in sorted(range(len(values)), key=lambda i: (-values[i], i)):
            if total >= p and p < 1:
                break
            new[i] = row[i]
            total += shares[i]
    return out.reshape(logits.shape)


# sample


@alternative("sample")
def sample_by_gumbel(logits: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    wide = logits.double()
    uniform = torch.rand(logits.shape, generator=generator, dtype=torch.float64).clamp_min(1e-300)
    return (wide - torch.log(-torch.log(uniform))).argmax(-1)


@alternative("sample")
def sample_by_exponential(logits: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    shares = torch.softmax(logits.double(), dim=-1)
    return (shares / torch.empty_like(shares).exponential_(generator=generator)).argmax(dim=-1)


@alternative("sample")
def sample_by_inverse(logits: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """One uniform number for each row, looked up in the sums."""
    sums = torch.softmax(logits.double(), -1).cumsum(-1)
    # 1 - rand is in (0, 1]: a token of probability 0 at the beginning is not found by it.
    point = (1 - torch.rand(logits.shape[:-1], generator=generator, dtype=torch.float64)) * sums[..., -1]
    return (sums < point[..., None]).sum(-1)


@alternative("sample")
def sample_row_by_row(logits: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    shares = logits.float().softmax(-1).flatten(0, -2) if logits.dim() > 1 else logits.float().softmax(-1)[None]
    drawn = [torch.multinomial(row, 1, generator=generator) for row in shares]
    return torch.cat(drawn).view(logits.shape[:-1]) if drawn else torch.empty(logits.shape[:-1], dtype=torch.long)


@alternative("sample")
def sample_by_flattening(logits: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Unnormalized weights will do, once the maximum is subtracted."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    weights = (wide - wide.max(dim=-1, keepdim=True).values).exp()
    flat = weights.reshape(math.prod(weights.shape[:-1]), -1) if weights.numel() else weights.reshape(0, 1)
    return torch.multinomial(flat, 1, generator=generator).squeeze(-1).view(logits.shape[:-1])


# generate


def _next(logits, settings, generator):
    """The choice of one token, all in one place and in float64."""
    if settings["temperature"] == 0:
        return logits.argmax(-1)
    if settings["temperature"] < 0:
        raise ValueError("a negative temperature")
    logits = logits.double() / settings["temperature"]
    line, order = logits.sort(dim=-1, descending=True, stable=True)
    if settings["top_k"] is not None:
        _check_top_k(settings["top_k"])
        line[:, settings["top_k"] :] = -torch.inf
    shares = line.softmax(-1)
    if settings["top_p"] is not None:
        _check_top_p(settings["top_p"])
        if settings["top_p"] < 1:
            shares = shares.masked_fill(shares.cumsum(-1) - shares >= settings["top_p"], 0.0)
    return order.gather(-1, torch.multinomial(shares, 1, generator=generator)).squeeze(-1)


@alternative("generate")
@torch.no_grad()
def generate_into_a_buffer(
    model, ids, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, stop_token=None, generator=None
):
    """Writes into a tensor of the full length, and cuts it at the end."""
    if not ids.size(1):
        raise ValueError("an empty prompt cannot be continued")
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    batch, length = ids.shape
    text = torch.cat([ids, ids.new_zeros(batch, max_new_tokens)], dim=1)
    training = {module: module.training for module in model.modules()}
    model.eval()
    running = torch.ones(batch, dtype=torch.bool)
    try:
        while length < text.size(1) and running.any():
            logits = model(text[:, max(0, length - model.config.max_length) : length])[:, -1, :]
            text[:, length] = _next(logits, settings, generator)
            if stop_token is not None:
                text[~running, length] = stop_token
                running &= text[:, length] != stop_token
            length += 1
    finally:
        for module, mode in training.items():
            module.training = mode
    return text[:, :length].clone()


@alternative("generate")
def generate_in_inference_mode(
    model, ids, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, stop_token=None, generator=None
):
    """Collects the columns in a list; changes the mode only of modules that are training."""
    if ids.shape[-1] == 0:
        raise ValueError("the prompt must not be empty")
    settings = dict(temperature=temperature, top_k=top_k, top_p=top_p)
    training = [module for module in model.modules() if module.training]
    columns = list(ids.unbind(1))
    over = torch.zeros(ids.shape[0], dtype=torch.bool)
    for module in training:
        module.training = False
    try:
        with torch.inference_mode():
            for _ in range(max_new_tokens):
                seen = torch.stack(columns[-model.config.max_length :], dim=1)
                new = _next(model(seen)[:, -1], settings, generator)
                if stop_token is not None:
                    new = new.masked_fill(over, stop_token)
                    over = over | new.eq(stop_token)
                columns.append(new)
                if bool(over.all()):
                    break
            return torch.stack(columns, dim=1)
    finally:
        for module in training:
            module.training = True


@alternative("generate")
def generate_text_by_text(
    model, ids, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, stop_token=None, generator=None
):
    """One text after the other where they may stop, all at once where they may not; filled up at the end."""
    if ids.shape[1] == 0:
        raise ValueError("empty prompt")
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    modes = [module.training for module in model.modules()]
    texts = []
    try:
        model.train(False)
        for prompt in ids.split(1 if stop_token is not None else len(ids)):
            text = prompt.clone()
            for _ in range(max_new_tokens):
                with torch.no_grad():
                    logits = model(text[:, -model.config.max_length :])
                text = torch.hstack([text, _next(logits[:, -1], settings, generator).view(-1, 1)])
                if stop_token is not None and text[0, -1] == stop_token:
                    break
            texts.append(text)
    finally:
        for module, mode in zip(model.modules(), modes, strict=True):
            module.training = mode
    longest = max(text.shape[1] for text in texts)
    return torch.cat([F.pad(text, (0, longest - text.shape[1]), value=stop_token or 0) for text in texts])


class _Mode:
    """Evaluation mode for a while, as a context."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.before = {name: module.training for name, module in self.model.named_modules()}
        self.model.eval()

    def __exit__(self, *error: object) -> None:
        for name, module in self.model.named_modules():
            module.training = self.before[name]


@alternative("generate")
def generate_recursively(
    model, ids, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, stop_token=None, generator=None
):
    """The settings refused at once; one token, and then the rest."""
    if ids.shape[1] == 0:
        raise ValueError("the prompt is empty")
    if temperature < 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ValueError("settings out of range")
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}

    def extended(text, over, left):
        if left == 0 or over.all():
            return text
        chosen = _next(model(text[:, -model.config.max_length :])[:, -1], settings, generator)
        if stop_token is not None:
            chosen = torch.where(over, torch.tensor(stop_token), chosen)
            over = over | (chosen == stop_token)
        return extended(torch.cat((text, chosen.unsqueeze(1)), dim=1), over, left - 1)

    with torch.no_grad(), _Mode(model):
        return extended(ids.clone(), torch.zeros(len(ids), dtype=torch.bool), max_new_tokens)


@alternative("generate")
@torch.no_grad()
def generate_with_the_functions_by_globals(
    model, ids, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, stop_token=None, generator=None
):
    """Finds the functions that its parameters hide in the module's dictionary."""
    if ids.shape[1] < 1:
        raise ValueError("an empty prompt")
    functions, out = globals(), torch.clone(ids)
    over = torch.full((len(ids), 1), False)
    with _Mode(model):
        for _ in range(max_new_tokens):
            logits = model(out[:, -model.config.max_length :])[:, -1]
            if temperature == 0:
                token = greedy(logits)[:, None]
            else:
                logits = functions["temperature"](logits, temperature)
                logits = logits if top_k is None else functions["top_k"](logits, top_k)
                logits = logits if top_p is None else functions["top_p"](logits, top_p)
                token = sample(logits, generator=generator)[:, None]
            if stop_token is not None:
                token[over] = stop_token
                over |= token == stop_token
            out = torch.cat([out, token], dim=-1)
            if torch.all(over):
                return out
    return out
