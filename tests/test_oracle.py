"""The oracles themselves: hand-worked numbers, and spoiled versions that must be caught."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal

import oracle
import oracle_pooling
from comparing import assert_exact, assert_sums, tensor
from strategies import integers, reals

X = integers(1, (2, 4, 6, 5))
NEGATIVE = -np.abs(X) - 1.0
W = integers(2, (6, 2, 3, 2))
W_TRANSPOSED = integers(3, (4, 3, 3, 2))
W_LOCAL = integers(4, (3, 3, 2, 4, 3, 2))
ASYMMETRIC = ((1, 2), (0, 1))

SUMS: dict[str, Callable[..., Any]] = {
    "conv2d": lambda **spoil: oracle.conv2d(X, W, None, 2, ASYMMETRIC, 1, 2, **spoil),
    "conv_transpose2d": lambda **spoil: oracle.conv_transpose2d(
        X, W_TRANSPOSED, None, 2, ASYMMETRIC, 1, 2, **spoil
    ),
    "local2d": lambda **spoil: oracle.local2d(X, W_LOCAL, None, 2, 1, **spoil),
    "avg_pool2d": lambda **spoil: oracle_pooling.avg_pool2d(X, 3, 2, 1, ceil_mode=True, **spoil),
}
TEXTBOOK: dict[str, Callable[..., Any]] = {
    "correlate2d": lambda **spoil: oracle.correlate2d(X[0, 0], W[0, 0], "same", **spoil),
    "convolve2d": lambda **spoil: oracle.convolve2d(X[0, 0], W[0, 0], "full", **spoil),
}
EXTREMA = {"max_pool2d": oracle_pooling.max_pool2d, "min_pool2d": oracle_pooling.min_pool2d}


@pytest.mark.parametrize("spoil", ["tap", "border", "channel"])
@pytest.mark.parametrize("operation", SUMS)
def test_spoiled_sums_are_caught(operation: str, spoil: str) -> None:
    truth = SUMS[operation]()
    spoiled = SUMS[operation](spoil=spoil)
    assert_exact(tensor(truth), truth)
    with pytest.raises(AssertionError):
        assert_exact(tensor(spoiled), truth)
    with pytest.raises(AssertionError):
        assert_sums(tensor(spoiled), truth, np.abs(truth))


@pytest.mark.parametrize("spoil", ["tap", "border", "channel"])
@pytest.mark.parametrize("operation", TEXTBOOK)
def test_spoiled_textbook_operations_are_caught(operation: str, spoil: str) -> None:
    truth = TEXTBOOK[operation]()
    with pytest.raises(AssertionError):
        assert_exact(TEXTBOOK[operation](spoil=spoil), truth)


@pytest.mark.parametrize("spoil", ["tap", "border", "channel"])
@pytest.mark.parametrize("operation", EXTREMA)
def test_spoiled_extrema_are_caught(operation: str, spoil: str) -> None:
    data = NEGATIVE if operation == "max_pool2d" else -NEGATIVE
    truth, _ = EXTREMA[operation](data, 3, 2, 1)
    spoiled, _ = EXTREMA[operation](data, 3, 2, 1, spoil=spoil)
    with pytest.raises(AssertionError):
        assert_exact(tensor(spoiled), truth)


@pytest.mark.parametrize("operation", EXTREMA)
def test_spoiled_ties_are_caught_by_the_indices(operation: str) -> None:
    ties = np.ones((1, 1, 4, 4))
    truth = EXTREMA[operation](ties, 2)
    spoiled = EXTREMA[operation](ties, 2, spoil="tie")
    assert_exact(spoiled[0], truth[0])
    with pytest.raises(AssertionError):
        assert_exact(tensor(spoiled[1]), truth[1])


@pytest.mark.parametrize("operation", EXTREMA)
def test_spoiled_nan_is_caught(operation: str) -> None:
    data = X.copy()
    data[0, 0, 2, 2] = np.nan
    truth = EXTREMA[operation](data, 2)[0]
    with pytest.raises(AssertionError):
        assert_exact(tensor(EXTREMA[operation](data, 2, spoil="nan")[0]), truth)


def test_rounding_is_not_taken_for_an_error() -> None:
    x, w = reals(1, X.shape), reals(2, W.shape)
    truth = oracle.conv2d(x, w, groups=2)
    magnitude = oracle.conv2d(np.abs(x), np.abs(w), groups=2)
    assert_sums(tensor(truth).float(), truth, magnitude)
    with pytest.raises(AssertionError):
        assert_sums(tensor(truth).bfloat16().float(), truth, magnitude)


@pytest.mark.parametrize(
    ("rule", "flip", "expected"),
    [
        ("valid", False, (0, 0)),
        ("full", False, (3, 3)),
        ("same", False, (1, 2)),
        ("same", True, (2, 1)),
        ("same_upper", False, (1, 2)),
        ("same_upper", True, (1, 2)),
        ("same_lower", False, (2, 1)),
        ("same_lower", True, (2, 1)),
    ],
)
def test_padding_rules_by_hand(rule: str, flip: bool, expected: tuple[int, int]) -> None:
    around = oracle.sides(rule, (8, 8), (4, 2), (1, 1), (1, 3), flip=flip)
    assert around == (expected, expected)


@pytest.mark.parametrize(
    ("n", "stride", "expected"), [(5, 2, (1, 1)), (6, 2, (0, 1)), (7, 3, (1, 1)), (9, 4, (1, 1))]
)
def test_same_with_stride_by_hand(n: int, stride: int, expected: tuple[int, int]) -> None:
    around = oracle.sides("same", (n, n), (3, 3), (stride, stride), (1, 1))
    assert around == (expected, expected)
    y = oracle.conv2d(np.ones((1, 1, n, n)), np.ones((1, 1, 3, 3)), None, stride, "same")
    assert y.shape == (1, 1, -(-n // stride), -(-n // stride))


def test_flip_is_correlation_with_the_turned_kernel() -> None:
    x, w = np.array([[[[1.0, 2.0, 4.0]]]]), np.array([[[[1.0, 10.0]]]])
    assert oracle.conv2d(x, w).tolist() == [[[[21.0, 42.0]]]]
    assert oracle.conv2d(x, w, flip=True).tolist() == [[[[12.0, 24.0]]]]
    assert oracle.conv2d(x, w, padding="same").tolist() == [[[[21.0, 42.0, 4.0]]]]
    assert oracle.conv2d(x, w, padding="same", flip=True).tolist() == [[[[1.0, 12.0, 24.0]]]]


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 2), (4, 4)], ids=str)
def test_the_textbook_operations_are_scipys(mode: str, kernel: tuple[int, int]) -> None:
    image, weight = integers(1, (5, 6)), integers(2, kernel)
    assert_exact(
        oracle.correlate2d(image, weight, mode), scipy.signal.correlate2d(image, weight, mode)
    )
    assert_exact(
        oracle.convolve2d(image, weight, mode), scipy.signal.convolve2d(image, weight, mode)
    )


def test_transposed_convolution_by_hand() -> None:
    x, w = np.array([[[[1.0, 2.0]]]]), np.array([[[[1.0, 10.0, 100.0]]]])
    whole = oracle.conv_transpose2d(x, w, stride=2)
    assert whole.tolist() == [[[[1.0, 10.0, 102.0, 20.0, 200.0]]]]
    cropped = oracle.conv_transpose2d(x, w, np.array([1000.0]), 2, ((0, 0), (1, 2)), (0, 1))
    assert cropped.tolist() == [[[[1010.0, 1102.0, 1020.0]]]]


def test_mean_divisors_by_hand() -> None:
    x = np.arange(5.0).reshape(1, 1, 1, 5)
    options: dict[str, Any] = {"stride": 2, "padding": ((0, 0), (1, 0)), "ceil_mode": True}
    counted = oracle_pooling.avg_pool2d(x, (1, 2), **options)
    assert counted.tolist() == [[[[0.0, 1.5, 3.5]]]]
    options["padding"] = 0
    assert oracle_pooling.avg_pool2d(x, (1, 2), **options).tolist() == [[[[0.5, 2.5, 4.0]]]]


def test_indices_by_hand() -> None:
    x = np.array([[[[1.0, 3.0, 3.0], [np.nan, 0.0, -np.inf], [np.nan, 2.0, -np.inf]]]])
    values, indices = oracle_pooling.max_pool2d(x, 2, 1)
    np.testing.assert_array_equal(values, [[[[np.nan, 3.0], [np.nan, 2.0]]]])
    assert indices.tolist() == [[[[3, 1], [6, 7]]]]
    values, indices = oracle_pooling.max_pool2d(x, (2, 1), (1, 2), 0)
    assert indices.tolist() == [[[[3, 2], [6, 5]]]]
