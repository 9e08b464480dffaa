"""How weights start, in words and yes or no: random numbers need not be the same to be recognised as right."""

import math

import torch

from grader.checking import lower


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
    block = lower(unit, "block").TransformerBlock(32, 4, 40, generator=seeded(0), **options)
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
