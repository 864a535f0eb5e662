"""Kernels of pools and their gradients against torch's, bit for bit."""

from dataclasses import replace
from unittest import mock

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import kernels
from faltung.compiler.algorithms import pooling, pooling_gradient, pooling_scatter, pooling_tiles
from faltung.geometry import windows
from faltung.ops.pooling import avg_pool2d_gradient
from faltung.ops.theirs import pooling as theirs
from layouts import LAYOUTS
from pooled import DTYPES, OPERATIONS, TARGETS, Pool, assert_same, few, pools, spans, tilings


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("operation", OPERATIONS)
@few
@given(data=st.data(), indices=st.booleans())
def test_pools(operation: str, kind: str, level: str, data: st.DataObject, indices: bool) -> None:
    pool = data.draw(pools(dilated=operation != "avg") | spans())
    indices = indices and operation != "avg"
    values = pool.data(pool.shape[2:], ties=operation != "avg").to(DTYPES[kind])
    x = LAYOUTS[pool.layouts[0]](values)
    blank = torch.empty((*pool.shape[:2], *pool.result), dtype=x.dtype)
    y = kernels.blank(LAYOUTS[pool.layouts[1]](blank))
    at = kernels.blank(y, torch.int64) if indices else None
    problem = replace(pool.problem(operation, "forward"), indices=indices)
    got, *positions = pool.case(pooling, problem, level).run(x, at, y)
    if operation == "avg":
        truth = theirs.avg_pool2d(
            x.contiguous(), pool.windows, pool.count_padding, pool.divisor or None
        )
    else:
        extreme = theirs.max_pool2d if operation == "max" else theirs.min_pool2d
        truth, where = extreme(x.contiguous(), pool.windows)
        assert all(torch.equal(found, where) for found in positions)
    assert_same(got, truth)
    assert kernels.gaps_untouched(got)
    assert all(kernels.gaps_untouched(found) for found in positions)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("kind", DTYPES)
@few
@given(pool=pools(dilated=False) | spans())
def test_gradients_of_means(kind: str, level: str, pool: Pool) -> None:
    dy = LAYOUTS[pool.layouts[0]](pool.data(pool.result, ties=False).to(DTYPES[kind]))
    dx = kernels.blank(LAYOUTS[pool.layouts[1]](torch.empty(pool.shape, dtype=dy.dtype)))
    problem = pool.problem("avg", "input")
    (got,) = pool.case(pooling_gradient, problem, level).run(dy, None, dx)
    size = list(pool.shape[2:])
    truth = theirs.avg_pool2d_gradient(
        dy.contiguous(), size, pool.windows, pool.count_padding, pool.divisor or None
    )
    assert_same(got, truth)
    assert kernels.gaps_untouched(got)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("kind", DTYPES)
@few
@given(pool=pools() | spans(), outside=st.booleans())
def test_gradients_of_extremes(kind: str, level: str, pool: Pool, outside: bool) -> None:
    dy = LAYOUTS[pool.layouts[1]](pool.data(pool.result, ties=False).to(DTYPES[kind]))
    dx = kernels.blank(LAYOUTS[pool.layouts[1]](torch.empty(pool.shape, dtype=dy.dtype)))
    size, random = list(pool.shape[2:]), torch.Generator().manual_seed(pool.seed)
    plane = size[0] * size[1]
    _, at = theirs.max_pool2d(pool.data(pool.shape[2:], ties=True), pool.windows)
    garbage = torch.randint(0, 5, at.shape, generator=random) == 0
    at = torch.where(garbage, torch.randint(0, plane, at.shape, generator=random), at)
    lost = torch.zeros_like(at, dtype=torch.bool)
    if outside:
        lost = torch.randint(0, 4, at.shape, generator=random) == 0
    far = torch.tensor([-1, plane, -(2**62), 2**62])
    wrong = far[torch.randint(0, 4, at.shape, generator=random)]
    positions = kernels.blank(dy, torch.int64)
    positions.copy_(torch.where(lost, wrong, at))
    case = pool.case(pooling_scatter, pool.problem("max", "input"), level)
    got, _ = case.run(dy, positions, dx)
    truth = theirs.extreme_pool2d_gradient(
        dy.contiguous().masked_fill(lost, 0), at.masked_fill(lost, 0), size
    )
    assert_same(got, truth)
    assert kernels.gaps_untouched(got)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("lost", ["none", "another window's", "outside"])
@few
@given(pool=tilings())
def test_gradients_of_tiles(lost: str, kind: str, level: str, pool: Pool) -> None:
    dy = LAYOUTS[pool.layouts[1]](pool.data(pool.result, ties=False).to(DTYPES[kind]))
    dx = kernels.blank(LAYOUTS[pool.layouts[1]](torch.empty(pool.shape, dtype=dy.dtype)))
    size = list(pool.shape[2:])
    _, at = theirs.max_pool2d(pool.data(pool.shape[2:], ties=True), pool.windows)
    positions = kernels.blank(dy, torch.int64)
    positions.copy_(at)
    plane, right = size[0] * size[1], int(at[-1, -1, -1, -1])
    assume(lost != "another window's" or at[0, 0].numel() > 1)
    elsewhere = {
        "none": [right],
        "another window's": [int(at[-1, -1, 0, 0])],
        "outside": [right + 2**32, right - 2**32, -1, plane, 2**31, 2**62],
    }[lost]
    positions[-1, -1, -1, -1] = elsewhere[pool.seed % len(elsewhere)]
    case = pool.case(pooling_tiles, pool.problem("max", "input"), level)
    with mock.patch.object(pooling_tiles, "FEW", 1):
        assume(case.refuses(dy, dx) is None)
        got, _, room = case.called(dy, positions, dx)
    assert bool(room.view(torch.int64)[: pool.threads].any()) == (lost != "none")
    assert kernels.gaps_untouched(got)
    if lost == "none":
        assert_same(got, theirs.extreme_pool2d_gradient(dy.contiguous(), at, size))


@pytest.mark.parametrize("padding", [[4, 4, 0, 0], [0, 9, 0, 0], [7, 0, 0, 0]])
def test_gradients_of_means_over_nothing_but_padding(padding: list[int]) -> None:
    """Windows that lie wholly in padding send nothing, wherever that is."""
    size, stride = [2, 6], [2, 6]
    lines = (5 + padding[0] + padding[1] - 2) // 2 + 1
    dy = torch.arange(1.0, 2 * 64 * lines + 1).view(2, 64, lines, 1)
    over = windows(size, stride, padding, [1, 1], False)
    dx = avg_pool2d_gradient(dy, [5, 6], size, stride, padding, False, True, None)
    expected = theirs.avg_pool2d_gradient(dy.double(), [5, 6], over, True, None)
    torch.testing.assert_close(dx.double(), expected)
