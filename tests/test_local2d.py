"""`functional.local2d`: a kernel of its own at every place."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

import oracle
from comparing import assert_exact, assert_sums, tensor
from faltung import functional as F
from layouts import LAYOUTS, laid_out
from strategies import Convolution, convolutions, integers, reals, suite

CORNER = 3
"""The definition is slow: only that many rows and columns of the output are compared."""


def of_same_geometry(problem: Convolution) -> tuple[dict[str, Any], tuple[int, ...], list[int]]:
    """Return options, input shape and output size of a local problem like that convolution."""
    options = {name: problem.options[name] for name in ("stride", "padding", "dilation")}
    image = (problem.input[0], problem.weight[1], *problem.input[2:])
    y = oracle.conv2d(np.zeros(image), np.zeros((1, *problem.weight[1:])), **options)
    return options, image, [y.shape[2], y.shape[3]]


@settings(suite, max_examples=50)
@given(convolutions())
def test_whole_numbers_agree_bit_for_bit(problem: Convolution) -> None:
    options, image, places = of_same_geometry(problem)
    x = integers(problem.seed, image)
    w = integers(problem.seed + 1, (*places, *problem.weight))
    b = integers(problem.seed + 2, (problem.weight[0], *places))
    truth = oracle.local2d(x, w[:CORNER, :CORNER], b[:, :CORNER, :CORNER], **options)
    for dtype in (torch.float32, torch.float64):
        y = F.local2d(tensor(x, dtype), tensor(w, dtype), tensor(b, dtype), **options)
        assert list(y.shape) == [image[0], problem.weight[0], *places]
        assert_exact(y[:, :, :CORNER, :CORNER], truth)


def test_real_numbers_agree_within_rounding() -> None:
    x, w, b = reals(1, (2, 3, 7, 6)), reals(2, (4, 3, 2, 3, 3, 2)), reals(3, (2, 4, 3))
    options: dict[str, Any] = {"stride": 2, "padding": ((1, 1), (0, 0))}
    truth = oracle.local2d(x, w, b, **options)
    magnitude = oracle.local2d(np.abs(x), np.abs(w), np.abs(b), **options)
    for dtype in (torch.float32, torch.float64):
        y = F.local2d(tensor(x, dtype), tensor(w, dtype), tensor(b, dtype), **options)
        assert_sums(y, truth, magnitude)


@settings(suite, max_examples=50)
@given(convolutions())
def test_the_same_kernel_at_every_place_is_the_convolution(problem: Convolution) -> None:
    options, image, places = of_same_geometry(problem)
    x, w = integers(problem.seed, image), integers(problem.seed + 1, problem.weight)
    everywhere = tensor(w).expand(*places, *problem.weight)
    assert_exact(F.local2d(tensor(x), everywhere, None, **options), oracle.conv2d(x, w, **options))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("padding", [1, ((2, 1), (0, 1)), "same_lower"], ids=str)
def test_any_strides_are_taken(layout: str, padding: oracle.Padding) -> None:
    x, values = laid_out(layout, integers(1, (2, 3, 4, 4)))
    places = oracle.conv2d(values, np.ones((1, 3, 2, 2)), None, 2, padding).shape[2:]
    w = integers(2, (*places, 2, 3, 2, 2))
    truth = oracle.local2d(values, w, None, 2, padding)
    assert_exact(F.local2d(x, tensor(w), None, 2, padding), truth)


def test_an_image_without_batch_gives_a_result_without_batch() -> None:
    x, w = integers(1, (3, 4, 4)), integers(2, (3, 3, 2, 3, 2, 2))
    assert_exact(F.local2d(tensor(x), tensor(w)), oracle.local2d(x[None], w)[0])


def test_an_empty_batch_works_forward_and_backward() -> None:
    x = torch.empty(0, 3, 4, 4, requires_grad=True)
    w = torch.ones(3, 3, 2, 3, 2, 2, requires_grad=True)
    y = F.local2d(x, w)
    assert y.shape == (0, 2, 3, 3)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert w.grad is not None
    assert torch.count_nonzero(w.grad) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_reach_only_the_places_that_see_them(value: float) -> None:
    x, w = integers(1, (1, 2, 5, 5)), integers(2, (4, 4, 2, 2, 2, 2))
    x[0, 1, 2, 3] = value
    assert_exact(F.local2d(tensor(x), tensor(w)), oracle.local2d(x, w))
