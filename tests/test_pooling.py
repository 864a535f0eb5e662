"""`max_pool2d`, `min_pool2d` and `avg_pool2d` against the definitions and against torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as tf
from hypothesis import given
from hypothesis import strategies as st

import oracle_pooling
from comparing import assert_exact, assert_sums, tensor
from faltung import functional as F
from layouts import LAYOUTS, laid_out
from strategies import FORMS, Pooling, averages, extrema, few, integers, suite

EXTREMA: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "max": (F.max_pool2d, oracle_pooling.max_pool2d),
    "min": (F.min_pool2d, oracle_pooling.min_pool2d),
}
FLOATS = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
KINDS = [torch.float32, torch.float64, torch.bfloat16, torch.int32]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", EXTREMA)
@few
@given(data=st.data())
def test_extrema_and_indices_agree_bit_for_bit(which: str, form: str, data: st.DataObject) -> None:
    problem, dtype = data.draw(extrema(form)), data.draw(st.sampled_from(KINDS))
    pool, definition = EXTREMA[which]
    x = problem.data(whole=True)
    values, indices = definition(x, **problem.options)
    y, at = pool(tensor(x, dtype), **problem.options, return_indices=True)
    assert y.dtype == dtype
    assert_exact(y.double(), values)
    assert_exact(at, indices)
    assert torch.equal(pool(tensor(x, dtype), **problem.options), y)


@pytest.mark.parametrize("which", EXTREMA)
@few
@given(
    problem=extrema(),
    strange=st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1, max_size=12),
)
def test_nan_and_infinity_win_as_the_definition_says(
    which: str, problem: Pooling, strange: list[float]
) -> None:
    pool, definition = EXTREMA[which]
    x = problem.data(whole=True)
    places = np.random.default_rng(problem.seed).integers(0, x.size, len(strange))
    x.reshape(-1)[places] = strange
    values, indices = definition(x, **problem.options)
    for dtype in (torch.float32, torch.float64):
        y, at = pool(tensor(x, dtype), **problem.options, return_indices=True)
        assert_exact(y, values)
        assert_exact(at, indices)


@pytest.mark.parametrize("which", EXTREMA)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("padding", [1, ((1, 0), (0, 1)), "full"], ids=str)
def test_an_image_of_nothing_but_infinity(which: str, value: float, padding: Any) -> None:
    pool, definition = EXTREMA[which]
    x = np.full((1, 1, 4, 3), value)
    y, at = pool(tensor(x), 2, 1, padding, return_indices=True)
    values, indices = definition(x, 2, 1, padding)
    assert_exact(y, values)
    assert_exact(at, indices)


@pytest.mark.parametrize("which", EXTREMA)
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int64], ids=str)
@pytest.mark.parametrize("padding", [0, 1, ((1, 0), (0, 1))], ids=str)
def test_integers_at_the_ends_of_their_range(which: str, dtype: torch.dtype, padding: Any) -> None:
    pool, definition = EXTREMA[which]
    ends = torch.iinfo(dtype)
    ranks = integers(5, (1, 2, 5, 5), 1)
    levels = torch.tensor([ends.min, 1, ends.max], dtype=dtype)
    x = levels[tensor(ranks + 1).long()]
    y, at = pool(x, 2, 2, padding, return_indices=True)
    values, indices = definition(ranks, 2, 2, padding)
    assert torch.equal(y, levels[tensor(values + 1).long()])
    assert_exact(at, indices)


@pytest.mark.parametrize("form", FORMS)
@few
@given(data=st.data())
def test_means_of_whole_numbers_agree_bit_for_bit(form: str, data: st.DataObject) -> None:
    problem = data.draw(averages(form))
    x = problem.data(whole=True)
    truth = oracle_pooling.avg_pool2d(x, **problem.options)
    for dtype in (torch.float32, torch.float64):
        y = F.avg_pool2d(tensor(x, dtype), **problem.options)
        assert_exact(y, tensor(truth, dtype).double().numpy())


@pytest.mark.parametrize("padding", [1, ((1, 0), (0, 1)), ((2, 1), (0, 2)), "full"], ids=str)
@pytest.mark.parametrize("stride", [2, (3, 4)], ids=str)
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("divisor", [None, 4])
def test_overhang_never_counts_in_the_divisor(
    padding: Any, stride: Any, counted: bool, divisor: int | None
) -> None:
    for size in range(3, 9):
        x = integers(size, (1, 1, size, 11 - size))
        options = (3, stride, padding, True, counted, divisor)
        assert_exact(F.avg_pool2d(tensor(x), *options), oracle_pooling.avg_pool2d(x, *options))


@suite
@given(averages(), st.sampled_from(FLOATS))
def test_means_of_real_numbers_agree_within_rounding(problem: Pooling, dtype: torch.dtype) -> None:
    x = problem.data(whole=False)
    magnitude = oracle_pooling.avg_pool2d(np.abs(x), **problem.options)
    truth = oracle_pooling.avg_pool2d(tensor(x, dtype).double().numpy(), **problem.options)
    assert_sums(F.avg_pool2d(tensor(x, dtype), **problem.options), truth, magnitude)


@few
@given(averages(), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_means_take_nan_and_infinity_only_where_a_window_sees_them(
    problem: Pooling, value: float
) -> None:
    x = problem.data(whole=True)
    x.reshape(-1)[problem.seed % x.size] = value
    truth = oracle_pooling.avg_pool2d(x, **problem.options)
    y = F.avg_pool2d(tensor(x), **problem.options)
    assert_exact(torch.isfinite(y).double(), np.isfinite(truth).astype(float))
    assert_exact(y, truth)


POOLS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "max": (F.max_pool2d, tf.max_pool2d),
    "avg": (F.avg_pool2d, tf.avg_pool2d),
}
TORCH_OPTIONS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0)},
    {"kernel_size": 3, "stride": (2, 3), "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    {"kernel_size": 1, "stride": 2, "ceil_mode": True},
]
AVG_OPTIONS: list[dict[str, Any]] = [
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    {"kernel_size": 3, "stride": 2, "padding": 1, "divisor_override": 5},
]
CASES = [(which, options) for which in POOLS for options in TORCH_OPTIONS]
CASES += [("avg", options) for options in AVG_OPTIONS]
CASES += [("max", {"kernel_size": 2, "stride": 1, "dilation": (3, 2), "padding": 1})]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("which", "options"), CASES, ids=str)
def test_torch_gives_the_same_bits_where_torch_can(
    which: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    ours, theirs = POOLS[which]
    x = torch.randn(2, 3, 8, 7, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = theirs(x, **options)
    y = ours(x, **options)
    assert y.dtype == dtype
    assert torch.equal(y, expected)
    if which == "max":
        at = ours(x, **options, return_indices=True)[1]
        assert torch.equal(at, theirs(x, **options, return_indices=True)[1])


@pytest.mark.parametrize("dtype", [torch.int64], ids=str)
@pytest.mark.parametrize(("which", "options"), CASES, ids=str)
def test_torch_gives_the_same_integers(
    which: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    ours, theirs = POOLS[which]
    x = tensor(integers(1, (2, 3, 8, 7))).to(dtype)
    assert torch.equal(ours(x, **options), theirs(x, **options))


OUR_PADDINGS = [1, ((1, 0), (0, 1)), "same"]
ALL: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    **{which: (pool, lambda *a, d=d: d(*a)[0]) for which, (pool, d) in EXTREMA.items()},
    "avg": (F.avg_pool2d, oracle_pooling.avg_pool2d),
}


@pytest.mark.parametrize("which", ALL)
@pytest.mark.parametrize("padding", OUR_PADDINGS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_strides_are_taken(which: str, padding: Any, layout: str) -> None:
    pool, definition = ALL[which]
    x, values = laid_out(layout, integers(1, (2, 4, 6, 5)))
    assert_exact(pool(x, 2, 2, padding), definition(values, 2, 2, padding))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("which", POOLS)
@pytest.mark.parametrize("shape", [(2, 4, 6, 5), (2, 1, 6, 5), (2, 4, 2, 2), (1, 4, 6, 5)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_format_of_the_output_is_torchs(
    which: str, shape: tuple[int, ...], layout: str, dtype: torch.dtype
) -> None:
    ours, theirs = POOLS[which]
    x, _ = laid_out(layout, integers(1, shape), dtype)
    expected = theirs(x, 2, 2, 1)
    assert ours(x, 2, 2, 1).stride() == expected.stride()
    assert ours(x, 2, 2, ((1, 1), (1, 0)), ceil_mode=True).stride() == expected.stride()


@pytest.mark.parametrize("which", ALL)
@pytest.mark.parametrize("padding", OUR_PADDINGS, ids=str)
def test_an_image_without_batch_gives_a_result_without_batch(which: str, padding: Any) -> None:
    pool, definition = ALL[which]
    x = integers(1, (3, 6, 5))
    assert_exact(pool(tensor(x), 2, 2, padding), definition(x[None], 2, 2, padding)[0])


@pytest.mark.parametrize("which", ALL)
@pytest.mark.parametrize("padding", OUR_PADDINGS, ids=str)
def test_an_empty_batch_works_forward_and_backward(which: str, padding: Any) -> None:
    pool, definition = ALL[which]
    x = torch.empty(0, 3, 6, 5, requires_grad=True)
    y = pool(x, 2, 2, padding)
    assert y.shape == definition(np.empty(x.shape), 2, 2, padding).shape
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("which", EXTREMA)
@pytest.mark.parametrize("padding", OUR_PADDINGS, ids=str)
def test_overlapping_windows_send_their_gradients_to_the_first_of_ties(
    which: str, padding: Any
) -> None:
    pool, definition = EXTREMA[which]
    ties = integers(1, (1, 2, 5, 5), 1)
    x = tensor(ties).requires_grad_()
    y = pool(x, 3, 1, padding)
    dy = integers(2, tuple(y.shape))
    y.backward(tensor(dy))
    expected = np.zeros((1, 2, 25))
    indices = definition(ties, 3, 1, padding)[1]
    for place in np.ndindex(indices.shape):
        expected[0, place[1], indices[place]] += dy[place]
    assert x.grad is not None
    assert_exact(x.grad, expected.reshape(1, 2, 5, 5))


def test_minima_are_the_negative_of_the_maxima_of_the_negative() -> None:
    x = torch.randn(2, 3, 8, 7, generator=torch.Generator().manual_seed(1))
    expected, at = tf.max_pool2d(-x, 3, 2, 1, return_indices=True)
    y, where = F.min_pool2d(x, 3, 2, 1, return_indices=True)
    assert torch.equal(y, -expected)
    assert torch.equal(where, at)
