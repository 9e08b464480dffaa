"""Comparison: every kind of difference is seen, and said in words that help."""

import pytest
import torch
from torch import nan, tensor

from grader.checking.compare import SAME, Tolerance, describe, difference

INF = float("inf")
RETURN = "None (is there a `return`?)"


def f64(*values):
    return tensor(values, dtype=torch.float64)


SAME_VALUES = {
    "the same": (f64(1, 2), f64(1, 2)),
    "another order of summation": (f64(1 + 1e-12), f64(1)),
    "a float32 upcast inside": (tensor(1 / 3).double(), f64(1 / 3).reshape(())),
    "float32 against the truth in float64": (tensor([1 / 3]), f64(1 / 3)),
    "bfloat16 against the truth in float64": (tensor([1 / 3]).bfloat16(), f64(1 / 3)),
    "NaN where NaN belongs": (f64(nan, 1), f64(nan, 1)),
    "infinities": (f64(INF, -INF), f64(INF, -INF)),
    "nothing at all": (torch.zeros(0, 3), torch.zeros(0, 3)),
    "masks": (tensor([True, False]), tensor([True, False])),
    "a list for a list": ([1, "a", None], [1, "a", None]),
    "a tuple for a list of plain values": ((1, 2), [1, 2]),
    "dicts in another order": ({"b": 2, "a": 1}, {"a": 1, "b": 2}),
    "an int where a float is due": (2, 2.0),
    "two floats": (0.1 + 0.2, 0.3),
    "True": (True, True),
}


@pytest.mark.parametrize(("got", "expected"), SAME_VALUES.values(), ids=SAME_VALUES)
def test_what_is_right_is_no_difference(got, expected):
    assert difference(got, expected) == ""


DIFFERENCES = {
    "shape": (torch.zeros(2, 3), torch.zeros(3, 2), "got shape (2, 3), expected (3, 2)"),
    "a shape that broadcasts": (torch.zeros(1, 3), torch.zeros(2, 3), "got shape (1, 3), expected (2, 3)"),
    "no axis": (torch.zeros(()), torch.zeros(1), "got shape (), expected (1,)"),
    "int for float": (tensor([1, 2]), f64(1, 2), "got dtype int64, expected float64"),
    "float for bool": (f64(1, 0), tensor([True, False]), "got dtype float64, expected bool"),
    "int for bool": (tensor([1, 0]), tensor([True, False]), "got dtype int64, expected bool"),
    "None for a tensor": (None, f64(1), f"got {RETURN}, expected a float64 tensor of shape (1,)"),
    "a list for a tensor": ([1.0], f64(1), "got a list of 1, expected a float64 tensor of shape (1,)"),
    "a number for a tensor": (1.0, f64(1), "got 1.0 (float), expected a float64 tensor of shape (1,)"),
    "one value of one": (f64(2), f64(1), "got 2, expected 1 (rtol 1e-05, atol 1e-06)"),
    "one value of three": (
        f64(1, 2, 4),
        f64(1, 2, 3),
        "1 of 3 values differ (rtol 1e-05, atol 1e-06); worst at [2]: got 4, expected 3",
    ),
    "the worst of two": (
        f64(1.5, 2, 5).reshape(1, 3),
        f64(1, 2, 3).reshape(1, 3),
        "2 of 3 values differ (rtol 1e-05, atol 1e-06); worst at [0, 2]: got 5, expected 3",
    ),
    "float32": (
        tensor([1.0, 2.0]),
        f64(1, 3),
        "1 of 2 values differ (rtol 0.0001, atol 1e-05); worst at [1]: got 2, expected 3",
    ),
    "NaN": (
        f64(9, nan),
        f64(1, 2),
        "2 of 2 values differ (rtol 1e-05, atol 1e-06); worst at [1]: got nan, expected 2",
    ),
    "NaN missing": (f64(0), f64(nan), "got 0, expected nan (rtol 1e-05, atol 1e-06)"),
    "inf": (f64(INF), f64(2), "got inf, expected 2 (rtol 1e-05, atol 1e-06)"),
    "the other inf": (f64(-INF), f64(INF), "got -inf, expected inf (rtol 1e-05, atol 1e-06)"),
    "masks": (
        tensor([[True, True], [True, True]]),
        tensor([[True, False], [True, True]]),
        "1 of 4 values differ; worst at [0, 1]: got 1, expected 0",
    ),
    "one bool": (tensor(True), tensor(False), "got 1, expected 0"),
    "whole numbers are exact": (
        tensor([1_000_000_001, 5]),
        tensor([1_000_000_000, 5]),
        "1 of 2 values differ; worst at [0]: got 1000000001, expected 1000000000",
    ),
    "None": (None, 3, f"got {RETURN}, expected 3 (int)"),
    "a bool for an int": (True, 1, "got True (bool), expected 1 (int)"),
    "a bool for a float": (True, 1.0, "got True (bool), expected 1.0 (float)"),
    "ints": (3, 4, "got 3, expected 4"),
    "floats": (0.5, 0.25, "got 0.5, expected 0.25"),
    "texts": ("the", "teh", "got 'the', expected 'teh'"),
    "bytes for text": (b"a", "a", "got b'a' (bytes), expected 'a' (str)"),
    "an object": (object(), 1, "got an object of type object, expected 1 (int)"),
    "lists of another length": ([1, 2, 3], [1, 2], "got 3 items, expected 2"),
    "where lists part": (
        [1, 7, 3],
        [1, 2],
        "got 3 items, expected 2; they part at [1]: got 7, expected 2",
    ),
    "an item": ([1, 7], [1, 2], "[1]: got 7, expected 2"),
    "a key missing": ({"a": 1}, {"a": 1, "b": 2}, "'b' is missing (1 entries, expected 2)"),
    "a key too many": ({"a": 1, "b": 2}, {"a": 1}, "'b' should not be there (2 entries, expected 1)"),
    "an entry": ({"a": 1}, {"a": 2}, "a: got 1, expected 2"),
    "an entry deep down": ({"a": [f64(1)]}, {"a": [f64(2)]}, "a[0]: got 1, expected 2 (rtol 1e-05, atol 1e-06)"),
    "a list for a dict": ([1], {"a": 1}, "got a list of 1, expected a dict of 1"),
    "a list of tensors for a tuple": ([f64(1)], (f64(1),), "got a list of 1, expected a tuple of 1"),
    "a tensor for a pair": (f64(1), (f64(1), f64(1)), "got a float64 tensor of shape (1,), expected a tuple of 2"),
}


@pytest.mark.parametrize(("got", "expected", "words"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_difference_is_said(got, expected, words):
    assert difference(got, expected) == words


def test_where_it_is_stands_in_front():
    assert difference(f64(1), f64(2), where="the gradient of key").startswith("the gradient of key: got 1, expected 2")


def test_a_wrong_formula_is_beyond_every_tolerance():
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        assert difference(f64(1.1).to(dtype), f64(1)), dtype


def test_a_tolerance_is_obeyed():
    assert difference(f64(1.05), f64(1), Tolerance(0.1, 0)) == ""
    assert difference(f64(1.2), f64(1), Tolerance(0.1, 0)) == "got 1.2, expected 1 (rtol 0.1, atol 0)"
    assert difference(f64(1 + 1e-5), f64(1), SAME)
    assert difference(1.05, 1.0, Tolerance(0.1, 0)) == ""
    assert difference(1 + 5e-6, 1.0, SAME) == "got 1.000005, expected 1.0"


def test_a_tolerance_leaves_whole_numbers_exact():
    assert difference(tensor([1, 2]), tensor([1, 3]), Tolerance(1, 1))


def test_long_values_are_shortened():
    words = difference("a" * 10_000, "b" * 10_000)
    assert len(words) < 300
    assert " ... " in words


def test_values_are_described():
    assert describe(None) == RETURN
    assert describe({1: 2}) == "a dict of 1"
    assert describe(torch.zeros(2, 3, dtype=torch.bfloat16)) == "a bfloat16 tensor of shape (2, 3)"


def test_a_tensor_that_wants_gradients_is_compared_without_them():
    assert difference(f64(1).requires_grad_(), f64(2)) == "got 1, expected 2 (rtol 1e-05, atol 1e-06)"
