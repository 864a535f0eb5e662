"""Drawn pools for tests of kernels, and how their results are compared."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

import kernels
from faltung.compiler import machine
from faltung.compiler.problem import Problem
from faltung.compiler.target import pretending
from faltung.geometry import Window
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
CHANNELS = [1, 2, 3, 5, 8, 12, 37]
few = settings(suite, max_examples=12)  # of each test; most compile a kernel
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
    return _drawn(draw, windows, size, ["contiguous", "channels_last"])


@st.composite
def tilings(draw: st.DrawFn) -> Pool:
    """Draw windows that tile an image, rows and columns of which may be left over."""
    taps = draw(st.sampled_from([(2, 2), (1, 2), (2, 1), (3, 2), (3, 3)]))
    size = [
        n * draw(st.integers(1, 6) | st.integers(1, 20)) + draw(st.integers(0, n)) for n in taps
    ]
    return _drawn(draw, [Window(n, n) for n in taps], size, ["contiguous", "channels_last"])


@st.composite
def spans(draw: st.DrawFn) -> Pool:
    """Draw windows as wide as the image."""
    width, taps = draw(st.integers(1, 18)), draw(st.integers(1, 5))
    padded, ceil = draw(st.booleans()), draw(st.booleans())
    stride = draw(st.integers(1, taps + 1))
    before, after = (draw(st.integers(0, taps // 2 * padded)) for _ in range(2))
    rows = Window(taps, stride, 1, before, after, ceil)
    height = max(taps - before - after, 1) + draw(st.integers(0, 9))
    if rows.blind(height) is not None:
        rows, height = Window(taps, stride, 1), max(taps, height)
    columns = Window(width, draw(st.integers(1, width)))
    return _drawn(draw, [rows, columns], [height, width], ["contiguous", "contiguous"])


def _drawn(draw: st.DrawFn, windows: list[Window], size: list[int], usual: list[str]) -> Pool:
    """Draw everything of a pool but its windows and the size of its images."""
    written = st.sampled_from(usual) | st.sampled_from(WRITTEN)
    return Pool(
        shape=(draw(st.integers(1, 3)), draw(st.sampled_from(CHANNELS)), size[0], size[1]),
        windows=(windows[0], windows[1]),
        layouts=(draw(st.sampled_from([*usual, *LAYOUTS])), draw(written)),
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
