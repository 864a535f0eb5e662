"""Kernels of pools and their gradients against torch's, bit for bit."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import kernels
from faltung.compiler import machine
from faltung.compiler.algorithms import pooling, pooling_gradient, pooling_scatter
from faltung.compiler.problem import Problem
from faltung.compiler.target import pretending
from faltung.geometry import Window
from faltung.ops.theirs import pooling as theirs
from layouts import LAYOUTS
from strategies import suite

TARGETS = {  # the first cache of one is so small that images are cut into blocks of few rows
    "avx2": replace(pretending(machine.host(), "avx2"), l1=4096),
    "vector128": pretending(machine.host(), "vector128"),
}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
GEOMETRIES = (  # window, stride, dilation
    ((3, 3), (2, 2), (1, 1)),
    ((2, 2), (2, 2), (1, 1)),
    ((3, 2), (1, 1), (1, 1)),
    ((2, 5), (3, 3), (2, 1)),
    ((3, 3), (1, 2), (2, 3)),
    ((1, 2), (2, 4), (1, 1)),
    ((7, 6), (2, 1), (1, 1)),
)
STRANGE = [float("nan"), float("inf"), float("-inf"), 0.0, -0.0]
OPERATIONS = ("max", "min", "avg")
few = settings(suite, max_examples=20)  # for each of twenty tests; most compile a kernel
WRITTEN = [name for name in LAYOUTS if not name.startswith("expanded")]


@dataclass(frozen=True)
class Pool:
    """A drawn pool: where it slides, over what, and how that lies in memory."""

    shape: tuple[int, int, int, int]
    windows: tuple[Window, Window]
    layouts: tuple[str, str]
    threads: int
    at_end: bool
    count_padding: bool
    divisor: int
    seed: int

    @property
    def result(self) -> tuple[int, int]:
        """Height and width of the output."""
        rows, columns = self.windows
        return rows.output(self.shape[2]), columns.output(self.shape[3])

    def data(self, size: tuple[int, int], *, ties: bool) -> Tensor:
        """Return elements with NaN, infinities and zeros of both signs among them."""
        random = torch.Generator().manual_seed(self.seed)
        x = torch.randn((*self.shape[:2], *size), generator=random)
        if ties:
            x = x.mul(2).round()
        strange = torch.tensor(STRANGE if ties else [*STRANGE[:3], *STRANGE[3:] * 9])
        places = torch.randint(0, x.numel(), (x.numel() // (3 if ties else 9),), generator=random)
        picked = torch.randint(0, len(strange), places.shape, generator=random)
        x.view(-1)[places] = strange[picked]
        if self.seed % 7 == 0:
            x[:, 0] = [float("inf"), float("-inf"), float("nan")][self.seed % 3]
        return x

    def problem(self, operation: str, direction: str) -> Problem:
        """Return the problem; kind and strides come with the tensors."""
        rows, columns = self.windows
        return Problem(
            operation,
            direction,
            self.shape[0],
            1,
            self.shape[1],
            self.shape[1],
            self.shape[2:],
            self.result,
            (rows.size, columns.size),
            (rows.stride, columns.stride),
            (rows.before, rows.after, columns.before, columns.after),
            (rows.dilation, columns.dilation),
            count_padding=self.count_padding,
            divisor=self.divisor,
        )

    def case(self, algorithm: Any, problem: Problem, level: str) -> kernels.Case:
        """Return the kernel for a level of instructions."""
        return kernels.Case(algorithm, problem, TARGETS[level], self.threads, self.at_end)


@st.composite
def pools(draw: st.DrawFn, dilated: bool = True) -> Pool:
    """Draw a pool whose every window sees the image."""
    taps, stride, dilation = draw(st.sampled_from(GEOMETRIES))
    dilation = dilation if dilated else (1, 1)
    ceil, padded, windows, size = draw(st.booleans()), draw(st.booleans()), [], []
    for n, s, d in zip(taps, stride, dilation, strict=True):
        before, after = draw(st.integers(0, n // 2 * padded)), draw(st.integers(0, n * padded))
        whole = d * (n - 1) + 1
        length = max(whole - before - after, 1) + draw(st.integers(0, 8) | st.integers(0, 40))
        window = Window(n, s, d, before, after, ceil)
        if window.blind(length) is not None:
            window, length = Window(n, s, d, ceil=ceil), max(length, whole)
        windows.append(window)
        size.append(length)
    dense = st.sampled_from(["contiguous", "channels_last"])
    layouts = st.sampled_from(["contiguous", "channels_last", *LAYOUTS])
    channels = draw(st.sampled_from([1, 2, 3, 5, 8, 12, 37]))
    return Pool(
        shape=(draw(st.integers(1, 3)), channels, size[0], size[1]),
        windows=(windows[0], windows[1]),
        layouts=(draw(layouts), draw(dense | st.sampled_from(WRITTEN))),
        threads=draw(st.sampled_from([1, 2])),
        at_end=draw(st.booleans()),
        count_padding=draw(st.booleans()),
        divisor=draw(st.sampled_from([0, 0, 3, 5])),
        seed=draw(st.integers(0, 1000)),
    )


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """Assert the same bits; any NaN equals any other."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    lost = torch.isnan(expected)
    assert torch.equal(torch.isnan(actual), lost)
    whole = torch.int32 if expected.dtype == torch.float32 else torch.int16
    got, wanted = (x.contiguous().view(whole)[~lost] for x in (actual, expected))
    assert torch.equal(got, wanted)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("operation", OPERATIONS)
@few
@given(data=st.data(), indices=st.booleans())
def test_pools(operation: str, kind: str, level: str, data: st.DataObject, indices: bool) -> None:
    pool = data.draw(pools(dilated=operation != "avg"))
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
@given(pool=pools(dilated=False))
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
@given(pool=pools(), outside=st.booleans())
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
