"""`functional.conv_transpose2d` against the definition, against torch, and as an adjoint."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as tf
from hypothesis import given
from hypothesis import strategies as st

import oracle
from comparing import assert_exact, assert_sums, optional, tensor
from faltung import functional as F
from layouts import LAYOUTS, laid_out
from strategies import FORMS, Convolution, convolutions, few, integers, suite, transposed


def run(problem: Convolution, dtype: torch.dtype, *, whole: bool) -> torch.Tensor:
    """Run the operation on a problem's data."""
    x, w, b = problem.data(whole=whole)
    return F.conv_transpose2d(
        tensor(x, dtype), tensor(w, dtype), optional(b, dtype), **problem.options
    )


@pytest.mark.parametrize("form", FORMS)
@few
@given(data=st.data())
def test_whole_numbers_agree_bit_for_bit(form: str, data: st.DataObject) -> None:
    problem = data.draw(transposed(form))
    truth = oracle.conv_transpose2d(*problem.data(whole=True), **problem.options)
    assert_exact(run(problem, torch.float32, whole=True), truth)
    assert_exact(run(problem, torch.float64, whole=True), truth)


@suite
@given(transposed())
def test_real_numbers_agree_within_rounding(problem: Convolution) -> None:
    x, w, b = problem.data(whole=False)
    truth = oracle.conv_transpose2d(x, w, b, **problem.options)
    size = None if b is None else np.abs(b)
    magnitude = oracle.conv_transpose2d(np.abs(x), np.abs(w), size, **problem.options)
    assert_sums(run(problem, torch.float32, whole=False), truth, magnitude)
    assert_sums(run(problem, torch.float64, whole=False), truth, magnitude)


@suite
@given(convolutions())
def test_it_is_the_adjoint_of_the_convolution(problem: Convolution) -> None:
    x, w, _ = problem.data(whole=True)
    y = tensor(oracle.conv2d(x, w, **problem.options))
    dy = tensor(integers(problem.seed + 9, tuple(y.shape)))
    stride = oracle.pair(problem.options["stride"])
    padding = problem.options["padding"]
    size = x.shape[2], x.shape[3]
    if isinstance(padding, str) and padding.startswith("same"):
        # The transpose gives input * stride, which is this input's size only where it divides.
        kernel, gap = (w.shape[2], w.shape[3]), oracle.pair(problem.options["dilation"])
        flip = problem.options["flip"]
        padding = oracle.sides(padding, size, kernel, stride, gap, flip=flip)
    options = {**problem.options, "padding": padding, "output_size": size}
    back = F.conv_transpose2d(dy, tensor(w), **options)
    assert back.shape == x.shape
    assert torch.equal((y * dy).sum(), (tensor(x) * back).sum())


@pytest.mark.parametrize("rule", ["same", "same_upper", "same_lower"])
@pytest.mark.parametrize("stride", [1, 2, (3, 2)], ids=str)
@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (4, 2)], ids=str)
@pytest.mark.parametrize("flip", [False, True])
def test_same_multiplies_the_size_by_the_stride(
    rule: str, stride: int | tuple[int, int], kernel: tuple[int, int], flip: bool
) -> None:
    x, w = integers(1, (1, 2, 3, 4)), integers(2, (2, 3, *kernel))
    y = F.conv_transpose2d(tensor(x), tensor(w), None, stride, rule, flip=flip)
    step = oracle.pair(stride)
    assert y.shape == (1, 3, 3 * step[0], 4 * step[1])
    assert_exact(y, oracle.conv_transpose2d(x, w, None, stride, rule, flip=flip))


TORCH_OPTIONS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1)},
    {"groups": 2, "stride": 3, "output_padding": (0, 2)},
    {"dilation": 3, "output_padding": 2, "groups": 4},
]


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.complex64,
        torch.complex128,
    ],
    ids=str,
)
@pytest.mark.parametrize("options", TORCH_OPTIONS, ids=str)
def test_torch_gives_the_same_bits_where_torch_can(
    dtype: torch.dtype, options: dict[str, Any]
) -> None:
    x = tensor(integers(1, (2, 4, 5, 6), 3)).to(dtype)
    w = tensor(integers(2, (4, 2, 3, 2), 3)).to(dtype)
    b = tensor(integers(3, (2 * options.get("groups", 1),), 3)).to(dtype)
    if dtype.is_complex:
        x, w = x * (2 + 1j), w * (1 - 3j)
    expected = tf.conv_transpose2d(x, w, b, **options)
    y = F.conv_transpose2d(x, w, b, **options)
    assert y.dtype == expected.dtype
    assert torch.equal(y, expected)


@pytest.mark.parametrize("size", [(7, 9), (8, 9), (7, 10), (8, 10)], ids=str)
def test_output_size_chooses_among_the_sizes_with_the_same_forward_result(
    size: tuple[int, int],
) -> None:
    x, w = integers(1, (1, 2, 4, 5)), integers(2, (2, 3, 3, 3))
    layer = torch.nn.ConvTranspose2d(2, 3, 3, 2, 1, bias=False, dtype=torch.float64)
    layer.weight.data = tensor(w)
    y = F.conv_transpose2d(tensor(x), tensor(w), None, 2, 1, output_size=size)
    assert tuple(y.shape[2:]) == size
    assert torch.equal(y, layer(tensor(x), output_size=size))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("padding", [1, ((2, 1), (0, 1)), "same"], ids=str)
def test_any_strides_are_taken(layout: str, padding: oracle.Padding) -> None:
    x, w, b = integers(1, (2, 4, 6, 5)), integers(2, (4, 6, 2, 3)), integers(3, (6,))
    strange, values = laid_out(layout, x)
    truth = oracle.conv_transpose2d(values, w, b, 2, padding)
    assert_exact(F.conv_transpose2d(strange, tensor(w), tensor(b), 2, padding), truth)
    odd_weight, values = laid_out(layout, w)
    truth = oracle.conv_transpose2d(x, values, b, 2, padding)
    assert_exact(F.conv_transpose2d(tensor(x), odd_weight, tensor(b), 2, padding), truth)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 4, 6, 5), (4, 6, 3, 3)),
        ((2, 1, 6, 5), (1, 6, 3, 3)),
        ((2, 4, 1, 1), (4, 6, 3, 3)),
        ((2, 4, 1, 1), (4, 6, 1, 1)),
        ((2, 4, 6, 5), (4, 1, 3, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("weight_layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_format_of_the_output_is_torchs(
    layout: str, weight_layout: str, shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype
) -> None:
    x, _ = laid_out(layout, integers(1, shapes[0]), dtype)
    w, _ = laid_out(weight_layout, integers(2, shapes[1]), dtype)
    expected = tf.conv_transpose2d(x, w)
    assert F.conv_transpose2d(x, w).stride() == expected.stride()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("padding", [0, 1, ((1, 0), (0, 2))], ids=str)
def test_nan_and_infinity_go_where_ieee_takes_them(value: float, padding: oracle.Padding) -> None:
    x, w = integers(1, (1, 2, 4, 4)), integers(2, (2, 3, 3, 2))
    w[0, 0, 1, 1] = 0
    x[0, 0, 1, 2] = value
    truth = oracle.conv_transpose2d(x, w, None, 2, padding)
    for dtype in (torch.float32, torch.float64):
        y = F.conv_transpose2d(tensor(x, dtype), tensor(w, dtype), None, 2, padding)
        assert_exact(y, truth)


def test_an_image_without_batch_gives_a_result_without_batch() -> None:
    x, w, b = integers(1, (2, 6, 5)), integers(2, (2, 3, 3, 3)), integers(3, (3,))
    y = F.conv_transpose2d(tensor(x), tensor(w), tensor(b), 2, ((1, 0), (0, 2)), 1)
    truth = oracle.conv_transpose2d(x[None], w, b, 2, ((1, 0), (0, 2)), 1)
    assert_exact(y, truth[0])


@pytest.mark.parametrize("padding", [0, ((1, 2), (0, 1)), "same"], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_empty_batch_works_forward_and_backward(
    padding: oracle.Padding, dtype: torch.dtype
) -> None:
    x = torch.empty(0, 2, 6, 5, dtype=dtype, requires_grad=True)
    w = torch.ones(2, 3, 3, 3, dtype=dtype, requires_grad=True)
    b = torch.ones(3, dtype=dtype, requires_grad=True)
    y = F.conv_transpose2d(x, w, b, 2, padding)
    truth = oracle.conv_transpose2d(np.empty(x.shape), np.ones(w.shape), None, 2, padding)
    assert y.shape == truth.shape
    y.sum().backward()
    for leaf in (x, w, b):
        assert leaf.grad is not None
        assert leaf.grad.shape == leaf.shape
        assert torch.count_nonzero(leaf.grad) == 0
