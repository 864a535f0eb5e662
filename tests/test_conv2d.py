"""`functional.conv2d` against the definition, against torch, and on unusual tensors."""

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
from faltung.errors import DtypeError
from layouts import LAYOUTS, laid_out
from strategies import FORMS, Convolution, convolutions, few, integers, suite


def run(problem: Convolution, dtype: torch.dtype, *, whole: bool) -> torch.Tensor:
    """Run the operation on a problem's data."""
    x, w, b = problem.data(whole=whole)
    return F.conv2d(tensor(x, dtype), tensor(w, dtype), optional(b, dtype), **problem.options)


@pytest.mark.parametrize("form", FORMS)
@few
@given(data=st.data())
def test_whole_numbers_agree_bit_for_bit(form: str, data: st.DataObject) -> None:
    problem = data.draw(convolutions(form))
    truth = oracle.conv2d(*problem.data(whole=True), **problem.options)
    assert_exact(run(problem, torch.float32, whole=True), truth)
    assert_exact(run(problem, torch.float64, whole=True), truth)


@suite
@given(convolutions())
def test_real_numbers_agree_within_rounding(problem: Convolution) -> None:
    x, w, b = problem.data(whole=False)
    truth = oracle.conv2d(x, w, b, **problem.options)
    size = None if b is None else np.abs(b)
    magnitude = oracle.conv2d(np.abs(x), np.abs(w), size, **problem.options)
    assert_sums(run(problem, torch.float32, whole=False), truth, magnitude)
    assert_sums(run(problem, torch.float64, whole=False), truth, magnitude)


@suite
@given(convolutions(), st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 1000))
def test_nan_and_infinity_in_the_input_go_where_ieee_takes_them(
    problem: Convolution, value: float, place: int
) -> None:
    x, w, b = problem.data(whole=True)
    x.reshape(-1)[place % x.size] = value
    truth = oracle.conv2d(x, w, b, **problem.options)
    for dtype in (torch.float32, torch.float64):
        y = F.conv2d(tensor(x, dtype), tensor(w, dtype), optional(b, dtype), **problem.options)
        assert_exact(y, truth)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("padding", [0, 1, ((1, 0), (0, 2))], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_nan_and_infinity_in_the_weight_go_where_ieee_takes_them(
    value: float, padding: oracle.Padding, groups: int
) -> None:
    options: dict[str, Any] = {"padding": padding, "groups": groups}
    x, w = integers(1, (1, 2, 5, 5)), integers(2, (2, 2 // groups, 3, 3))
    w[0, 0, 0, 0] = 0
    finite = oracle.conv2d(x, w, **options)
    w[0, 0, 0, 0] = value
    strict = oracle.conv2d(x, w, **options)
    met = oracle.conv2d(np.ones(x.shape), ~np.isfinite(w), **options) > 0
    for dtype in (torch.float32, torch.float64):
        y = F.conv2d(tensor(x, dtype), tensor(w, dtype), **options).double().numpy()
        # Torch's kernels may leave out products with padding, as if 0 * infinity were 0.
        left_out = ~met & ~np.isnan(y)
        assert_exact(y, np.where(left_out, finite, strict))


TORCH_DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.complex64,
    torch.complex128,
]
TORCH_OPTIONS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1)},
    {"groups": 2, "padding": "same"},
    {"padding": "same", "dilation": (1, 2)},
    {"padding": "valid", "groups": 4},
]


@pytest.mark.parametrize("dtype", TORCH_DTYPES, ids=str)
@pytest.mark.parametrize("options", TORCH_OPTIONS, ids=str)
def test_torch_gives_the_same_bits_where_torch_can(
    dtype: torch.dtype, options: dict[str, Any]
) -> None:
    x = tensor(integers(1, (2, 4, 9, 8), 3)).to(dtype)
    w = tensor(integers(2, (8, 4 // options.get("groups", 1), 3, 3), 3)).to(dtype)
    b = tensor(integers(3, (8,), 3)).to(dtype)
    if dtype.is_complex:
        x, w = x * (2 + 1j), w * (1 - 3j)
    expected = tf.conv2d(x, w, b, **options)
    y = F.conv2d(x, w, b, **options)
    assert y.dtype == expected.dtype
    assert torch.equal(y, expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32], ids=str)
@pytest.mark.parametrize("options", TORCH_OPTIONS, ids=str)
def test_small_integers_are_torchs_or_a_clear_error(
    dtype: torch.dtype, options: dict[str, Any]
) -> None:
    x = tensor(integers(1, (2, 4, 9, 8), 3)).to(dtype)
    w = tensor(integers(2, (8, 4 // options.get("groups", 1), 3, 3), 3)).to(dtype)
    try:
        expected = tf.conv2d(x, w, **options)
    except NotImplementedError:
        with pytest.raises(DtypeError):
            F.conv2d(x, w, **options)
    else:
        assert torch.equal(F.conv2d(x, w, **options), expected)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_numbers_with_our_own_arguments_are_four_real_convolutions(
    dtype: torch.dtype,
) -> None:
    options: dict[str, Any] = {"padding": ((2, 0), (1, 3)), "flip": True, "stride": 2}
    parts = [integers(seed, (1, 2, 5, 6)) for seed in (1, 2)]
    kernels = [integers(seed, (3, 2, 2, 3)) for seed in (3, 4)]
    x = torch.complex(tensor(parts[0]), tensor(parts[1])).to(dtype)
    w = torch.complex(tensor(kernels[0]), tensor(kernels[1])).to(dtype)
    rr, ri, ir, ii = (oracle.conv2d(p, q, **options) for p in parts for q in kernels)
    y = F.conv2d(x, w, **options)
    assert_exact(y.real.double(), rr - ii)
    assert_exact(y.imag.double(), ri + ir)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("padding", [1, ((2, 1), (0, 1)), "same"], ids=str)
@pytest.mark.parametrize("flip", [False, True])
def test_any_strides_are_taken(layout: str, padding: oracle.Padding, flip: bool) -> None:
    x, w, b = integers(1, (2, 4, 6, 5)), integers(2, (6, 4, 2, 3)), integers(3, (6,))
    strange, values = laid_out(layout, x)
    truth = oracle.conv2d(values, w, b, 1, padding, flip=flip)
    assert_exact(F.conv2d(strange, tensor(w), tensor(b), 1, padding, flip=flip), truth)
    odd_weight, values = laid_out(layout, w)
    truth = oracle.conv2d(x, values, b, 1, padding, flip=flip)
    assert_exact(F.conv2d(tensor(x), odd_weight, tensor(b), 1, padding, flip=flip), truth)


SHAPES = [
    ((2, 4, 6, 5), (6, 4, 3, 3)),
    ((2, 1, 6, 5), (6, 1, 3, 3)),
    ((2, 4, 3, 3), (6, 4, 3, 3)),
    ((2, 4, 1, 1), (6, 4, 1, 1)),
    ((1, 4, 6, 5), (1, 4, 3, 3)),
    ((2, 4, 6, 5), (6, 4, 1, 1)),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("weight_layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_format_of_the_output_is_torchs(
    layout: str, weight_layout: str, shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype
) -> None:
    x, _ = laid_out(layout, integers(1, shapes[0]), dtype)
    w, _ = laid_out(weight_layout, integers(2, shapes[1]), dtype)
    expected = tf.conv2d(x, w)
    assert F.conv2d(x, w).stride() == expected.stride()


def test_an_image_without_batch_gives_a_result_without_batch() -> None:
    x, w, b = integers(1, (2, 6, 5)), integers(2, (3, 2, 3, 3)), integers(3, (3,))
    y = F.conv2d(tensor(x), tensor(w), tensor(b), 2, "same_lower")
    assert_exact(y, oracle.conv2d(x[None], w, b, 2, "same_lower")[0])


@pytest.mark.parametrize("padding", [0, ((1, 2), (0, 1)), "same"], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_an_empty_batch_works_forward_and_backward(
    padding: oracle.Padding, dtype: torch.dtype
) -> None:
    x = torch.empty(0, 2, 6, 5, dtype=dtype, requires_grad=True)
    w = torch.ones(3, 2, 3, 3, dtype=dtype, requires_grad=True)
    b = torch.ones(3, dtype=dtype, requires_grad=True)
    y = F.conv2d(x, w, b, 1, padding)
    assert (
        y.shape == oracle.conv2d(np.empty((0, 2, 6, 5)), np.ones(w.shape), None, 1, padding).shape
    )
    y.sum().backward()
    for leaf in (x, w, b):
        assert leaf.grad is not None
        assert leaf.grad.shape == leaf.shape
        assert torch.count_nonzero(leaf.grad) == 0


@pytest.mark.parametrize("sides", [((40, 0), (0, 40)), ((0, 30), (30, 0)), ((25, 25), (25, 25))])
def test_padding_may_be_larger_than_the_image_and_the_kernel(
    sides: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    x, w = integers(1, (1, 1, 1, 2)), integers(2, (2, 1, 3, 2))
    y = F.conv2d(tensor(x), tensor(w), None, 2, sides, 3)
    assert_exact(y, oracle.conv2d(x, w, None, 2, sides, 3))


def test_inputs_are_left_as_they_are() -> None:
    x, w = tensor(integers(1, (1, 2, 5, 5))), tensor(integers(2, (2, 2, 2, 2)))
    before = x.clone(), w.clone()
    F.conv2d(x, w, None, 1, ((1, 0), (2, 1)), flip=True)
    assert torch.equal(x, before[0])
    assert torch.equal(w, before[1])
