"""How weights start, in words and yes or no: random numbers need not be the same to be recognised as right."""

import math

import torch

from grader.checking import dependency
from grader.checking.capture import Unfit, noise


def seeded(seed):
    """A new generator in a known state."""
    return torch.Generator().manual_seed(seed)


def names(model):
    """All parameters by name, a shared one under each of its names."""
    return dict(sorted(model.named_parameters(remove_duplicate=False)))


def weights_of(model):
    """All that is drawn, as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in names(model).values() if parameter.dim() > 1])


def block_of(unit, **options):
    """A block filled with 7s, as init_weights gets it: 7 is nothing that it writes."""
    block = dependency(unit, "block").TransformerBlock(32, 4, 40, generator=seeded(0), **options)
    for parameter in block.parameters():
        parameter.data.fill_(7.0)
    return block


def in_words(parameter, scales):
    """How a parameter of 1000 numbers or more is filled.

    Args:
        parameter: The parameter.
        scales: Standard deviations that it may have, and what each is called.
    """
    value = parameter.detach().double()
    for word, number in {"zeros": 0.0, "ones": 1.0, "untouched": 7.0}.items():
        if bool((value == number).all()):
            return word
    std, size = value.std().item(), value.numel()
    # The std of n normal numbers is off by 1 / sqrt(2n) of itself: with 1000, 15 % is more than 6 times that.
    near = [word for word, scale in scales.items() if abs(std / scale - 1) < 0.15]
    # Of 1000 normal numbers, all within 2 std: less than 1 in 10^20. Uniform ones never get there.
    tails = "normal" if bool(value.abs().max() > 2 * std) else "not normal"
    centred = "" if abs(value.mean().item()) < 6.5 * std / size**0.5 else ", off centre"
    return f"{tails}, std {near[0] if near else f'{std:.1g}'}{centred}"


def start_of(model, std, num_layers):
    """How every parameter of a model starts, and whether each has its own numbers."""
    scales = {"std": std, "std / sqrt(2 num_layers)": std / math.sqrt(2 * num_layers)}
    firsts = [parameter.flatten()[:3].tolist() for _, parameter in model.named_parameters() if parameter.dim() > 1]
    words = {name: in_words(parameter, scales) for name, parameter in names(model).items()}
    return words | {"each its own": all(one not in firsts[:index] for index, one in enumerate(firsts))}


def drawing(draw, seed):
    """What can be seen of numbers that `draw` makes with a generator, or with None."""
    # Known states of the global generator: what draws from it by mistake does so in the same way each time.
    torch.default_generator.manual_seed(4)
    first = draw(seeded(seed))
    torch.default_generator.manual_seed(5)
    again, other = draw(seeded(seed)), draw(seeded(seed + 1))
    untouched = torch.equal(torch.rand(3), torch.rand(3, generator=seeded(5)))
    used = seeded(seed)
    torch.rand(7, generator=used)
    return {
        "the same generator gives the same numbers": torch.equal(first, again),
        "another seed gives other numbers": not torch.equal(first, other),
        "a generator that has drawn before gives other numbers": not torch.equal(first, draw(used)),
        "the global generator is left alone": untouched,
        "without a generator, two calls differ": not torch.equal(draw(None), draw(None)),
    }


def generators_drawn_from(measure, build):
    """Which generators `build` draws from: called with one of its own, and with None."""
    mine = seeded(1)
    given = measure(lambda: build(mine), mine=mine).drew
    none = measure(lambda: build(None)).drew
    called = {"mine": "the given one", "torch": "torch's global one"}

    def words(drew):
        return " and ".join(called.get(name, f"that of {name}") for name in sorted(drew)) or "none that others know"

    return {"given a generator, it draws from": words(given), "given None, it draws from": words(none)}


def scale(values, std):
    """Mean, standard deviation and tails in words, so that other random numbers give the same ones.

    Of 24000 normal numbers, the mean is off by 0.05 std, the deviation by 4 % or the kurtosis by 0.4 once in 10^9
    samples or less: these are 7, 8 and 12 times what chance does.
    """
    z = values.detach().double() / std
    spread = z.std().item()
    kurtosis = (z - z.mean()).div(spread or 1).pow(4).mean().item()
    times = f"{std * spread:.1g}, which is {spread:.1g} times the documented one"
    return {
        "mean": "about 0" if abs(z.mean().item()) < 0.05 else f"about {z.mean().item():.1g} standard deviations",
        "standard deviation": "the documented one" if abs(spread - 1) < 0.04 else f"about {times}",
        "tails": "normal" if abs(kurtosis - 3) < 0.4 else f"a kurtosis of about {kurtosis:.2g}, where normal has 3",
    }


def texture(values, std):
    """Whether a table of (300, 80) holds independent normal numbers of this standard deviation, in words."""
    values = values.detach()
    sizes = values.norm(dim=1) / values.norm() * len(values) ** 0.5
    return {
        # Unequal neighbours anywhere: no row and no column is a copy of another.
        "rows differ": bool((values[1:] != values[:-1]).any(1).all()),
        # 80 numbers a row: of 300 normal rows, one is outside these bounds in less than 1 of 10^12 samples.
        "every row is as large as the rest": bool(((sizes > 0.4) & (sizes < 1.8)).all()),
        "columns differ": bool((values[:, 1:] != values[:, :-1]).any(0).all()),
        **scale(values, std),
    }


def results_of_new_weights(module, *args):
    """What a module gives with three sets of weights: written in place, as training does, and put in their place.

    Raises:
        Unfit: It has no parameters.
    """
    if not list(module.parameters()):
        raise Unfit("there are no parameters")
    results = []
    for step in range(3):
        for index, (_, parameter) in enumerate(sorted(module.named_parameters())):
            new = noise(parameter.shape, 10 * step + index).to(parameter.dtype)
            if step == 2:  # as `.to` does
                parameter.data = new
            else:
                with torch.no_grad():
                    parameter.copy_(new)
        longer = [torch.cat([argument] * (step + 1)) for argument in args]  # another shape: not a result kept by shape
        results.append(module(*longer).detach())
    return {f"with weights number {number}": result for number, result in enumerate(results, 1)}
