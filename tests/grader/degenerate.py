"""Submissions that do nothing right: they raise, give zeros, their input or a constant, in the documented shapes."""

from grader.checking.oracle import solution_sources
from grader.checking.target import lower_units
from grader.curriculum import Unit, load
from grader.curriculum.submission import File, Submission, from_bytes

# Added to the solution, so that shapes, types, names and constructors are the documented ones.
_SPOIL = """
import copy as _copy
import functools as _functools

import torch as _torch


def _constant(value, number):
    if isinstance(value, _torch.Tensor):
        return _torch.full_like(value, number).requires_grad_(value.requires_grad)
    if isinstance(value, (bool, _torch.dtype, _torch.device)) or value is None:
        return value
    if isinstance(value, (int, float)):
        return type(value)(number)
    if isinstance(value, str):
        return "a" * len(value)
    if isinstance(value, bytes):
        return bytes(len(value))
    if isinstance(value, (list, tuple, set)):
        return type(value)(_constant(item, number) for item in value)
    if isinstance(value, dict):
        return {key: _constant(item, number) for key, item in value.items()}
    if isinstance(value, type(_none())):
        return (_constant(item, number) for item in value)
    return _torch.nn.Identity() if isinstance(value, _torch.nn.Module) else value


def _copied(value):
    try:
        if hasattr(value, "dataset"):  # a loader only reads its examples, and to copy them for each call takes long
            return _copy.copy(value)
        return _copy.deepcopy(value)
    except Exception:  # a generator, or a tensor within a graph
        return value


def _none():
    yield


def _spoiled(function, kind, bound):
    @_functools.wraps(function)
    def spoiled(*args, **kwargs):
        if kind == "raises":
            raise ValueError("vocab size d_model num_heads steps must be positive")
        if kind == "input":
            given = [*args[bound:], *kwargs.values()]
            return given[0] if given else None
        # On copies, so that nothing of what the solution writes into its arguments is left.
        result = function(*map(_copied, args), **{key: _copied(value) for key, value in kwargs.items()})
        return _constant(result, 0 if kind == "zeros" else 1)
    return spoiled


def _spoil(names, kind):
    for name in names:
        found = globals()[name]
        if not isinstance(found, type):
            globals()[name] = _spoiled(found, kind, 0)
            continue
        for key, value in list(vars(found).items()):
            made = key in ("__init__", "__post_init__")
            if isinstance(value, type(_copied)) and (kind == "raises" or not made):
                setattr(found, key, _spoiled(value, kind, 1))
            elif key == "__post_init__":
                setattr(found, key, lambda self: _empty(self, kind))


def _empty(config, kind):
    # What a dataclass holds is what it was asked to keep.
    for key, value in vars(config).items():
        object.__setattr__(config, key, _constant(value, 1 if kind == "ones" else 0))
"""
KINDS = ("raises", "zeros", "ones", "input")


def degenerate(unit: Unit, kind: str) -> Submission:
    """The unit's solution with every function and method spoiled; the units below it are as they should be."""
    sources = solution_sources()
    names = [exercise.name for exercise in unit.exercises]
    text = f"{sources[unit.name].text}\n\n{_SPOIL}\n\n_spoil({names}, {kind!r})\n"
    files = {name: File(sources[name].path, sources[name].text) for name in lower_units(unit) if name in sources}
    return Submission(kind, files | {unit.name: from_bytes(f"exercises/{unit.name}.py", text.encode())})


UNITS = [unit for unit in load().values() if not unit.whole]
