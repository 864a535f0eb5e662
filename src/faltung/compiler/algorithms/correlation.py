"""Convolutions and input gradients as correlations over strided tensors.

A forward convolution is one correlation. An input gradient with stride s is s * s of them (fewer
where the kernel is smaller): the elements of the input that lie s apart meet the same taps.
"""

import math
from dataclasses import dataclass, replace

from faltung.compiler.problem import Pair, Problem

FLATTEN = 256  # pixels of a line that 1x1 windows see at most


@dataclass(frozen=True)
class Correlation:
    """One correlation over arbitrarily strided tensors; lengths and strides in elements.

    Attributes:
        window: Taps along height and width.
        stride: Step of the window.
        dilation: Distance of taps.
        size: Height and width of the source.
        result: Height and width of the target.
        origin: Row and column of the source under the first tap of the first window.
        source: Strides (image, channel, row, column), and the offset of the first element.
        target: The same of the target.
        weights: Strides (group, output, channel, row, column), and the offset.
        first: Row and column of the first tap in a kernel of which this window is a part.
        kernel: Rows and columns of that kernel, or None where the window is the whole.
    """

    window: Pair
    stride: Pair
    dilation: Pair
    size: Pair
    result: Pair
    origin: Pair
    source: tuple[int, int, int, int, int]
    target: tuple[int, int, int, int, int]
    weights: tuple[int, int, int, int, int, int]
    first: Pair = (0, 0)
    kernel: Pair | None = None

    @property
    def last(self) -> Pair:
        """Row and column of the source under the last tap of the last window."""
        row, column = (
            at + (n - 1) * s + d * (r - 1)
            for at, n, s, d, r in zip(
                self.origin, self.result, self.stride, self.dilation, self.window, strict=True
            )
        )
        return row, column

    @property
    def inside(self) -> bool:
        """No window reaches beyond the source."""
        return min(self.origin) >= 0 and all(
            at < n for at, n in zip(self.last, self.size, strict=True)
        )


@dataclass(frozen=True)
class Phase:
    """Taps along one axis that meet the input elements `first`, `first + stride` and so on.

    Attributes:
        first: The first element.
        count: Number of elements.
        taps: Number of taps that they meet.
        dilation: Distance, in the source, of these taps.
        origin: Element of the source under the first of them, for the first element.
        last_tap: The tap of the kernel that comes first.
        tap_step: Taps of the kernel from one to the next, downwards.
    """

    first: int
    count: int
    taps: int
    dilation: int
    origin: int
    last_tap: int
    tap_step: int


def correlations(problem: Problem) -> tuple[list[Correlation], bool]:
    """Return what makes an output or input gradient, and whether elements are left untouched."""
    return ([_forward(problem)], False) if problem.direction == "forward" else _transposed(problem)


def _forward(problem: Problem) -> Correlation:
    k, c, r, s = problem.strides[1]
    offset, r, s = turned(problem, r, s)
    top, _, left, _ = problem.padding
    outputs = problem.outputs // problem.groups
    return Correlation(
        problem.window, problem.stride, problem.dilation, problem.size, problem.result,
        (-top, -left), (*problem.strides[0], 0), (*problem.strides[2], 0),
        (outputs * k, k, c, r, s, offset),
    )  # fmt: skip


def weighing(problem: Problem, longest: int = FLATTEN) -> Correlation:
    """Return the correlation whose weights' gradient a problem asks for; its target is dy.

    Args:
        problem: The problem.
        longest: See `simplified`.
    """
    k, c, r, s = problem.strides[2]
    offset, r, s = turned(problem, r, s)
    top, _, left, _ = problem.padding
    return simplified(
        Correlation(
            problem.window, problem.stride, problem.dilation, problem.size, problem.result,
            (-top, -left), (*problem.strides[0], 0), (*problem.strides[1], 0),
            (0, k, c, r, s, offset),
        ),
        longest,
    )  # fmt: skip


def turned(problem: Problem, row: int, column: int) -> tuple[int, int, int]:
    """Return offset and strides of taps, row and column, as they are met: backwards if flipped."""
    if not problem.flip:
        return 0, row, column
    rows, columns = problem.window
    return (rows - 1) * row + (columns - 1) * column, -row, -column


def phases(
    length: int, outputs: int, size: int, stride: int, dilation: int, before: int
) -> tuple[list[Phase], bool]:
    """Split a transposed axis: input element h meets output y and tap r at h = y*s + r*d - before.

    Returns:
        The phases that meet any tap, and whether there are input elements that meet none.
    """
    common = math.gcd(stride, dilation)
    step = stride // common
    found, missed = [], False
    for first in range(min(stride, length)):
        fitting = [
            r for r in range(min(step, size)) if (first + before - r * dilation) % stride == 0
        ]
        if not fitting:
            missed = True
            continue
        tap = fitting[0]
        taps = (size - tap - 1) // step + 1
        apart = dilation // common
        at = (first + before - tap * dilation) // stride
        count = -(-(length - first) // stride)
        found.append(
            Phase(first, count, taps, apart, at - (taps - 1) * apart, tap + (taps - 1) * step, step)
        )
    return found, missed


def _transposed(problem: Problem) -> tuple[list[Correlation], bool]:
    """Return the correlations that make an input gradient, and whether elements are left over."""
    k, c, *along = problem.strides[1]
    image, channel, *out = problem.strides[2]
    outputs = problem.outputs // problem.groups
    top, _, left, _ = problem.padding
    axes = [
        phases(*numbers)
        for numbers in zip(
            problem.size, problem.result, problem.window, problem.stride, problem.dilation,
            (top, left), strict=True,
        )
    ]  # fmt: skip
    found = []
    for rows in axes[0][0]:
        for columns in axes[1][0]:
            offset, strides = 0, [0, 0]
            for axis, phase in enumerate((rows, columns)):
                tap = phase.last_tap
                sign = -1
                if problem.flip:
                    tap, sign = problem.window[axis] - 1 - tap, 1
                offset += tap * along[axis]
                strides[axis] = sign * phase.tap_step * along[axis]
            target = (
                image, channel, problem.stride[0] * out[0], problem.stride[1] * out[1],
                rows.first * out[0] + columns.first * out[1],
            )  # fmt: skip
            found.append(
                Correlation(
                    (rows.taps, columns.taps),
                    (1, 1),
                    (rows.dilation, columns.dilation),
                    problem.result,
                    (rows.count, columns.count),
                    (rows.origin, columns.origin),
                    (*problem.strides[0], 0),
                    target,
                    (outputs * k, c, k, strides[0], strides[1], offset),
                )
            )
    return found, axes[0][1] or axes[1][1]


def simplified(given: Correlation, longest: int = FLATTEN) -> Correlation:
    """Drop rows and columns that a window of one tap steps over; see 1x1 images as long lines.

    Args:
        given: A correlation.
        longest: Pixels of such a line at most.
    """
    now = given
    for axis in (0, 1):
        step, at = now.stride[axis], now.origin[axis]
        last = at + (now.result[axis] - 1) * step
        if now.window[axis] == 1 and at >= 0 and last < now.size[axis]:
            image, channel, *apart, offset = now.source
            offset += at * apart[axis]
            apart[axis] *= step
            now = replace(
                now,
                source=(image, channel, apart[0], apart[1], offset),
                size=_put(now.size, axis, now.result[axis]),
                stride=_put(now.stride, axis, 1),
                origin=_put(now.origin, axis, 0),
                dilation=_put(now.dilation, axis, 1),
            )
    lines, columns = now.result
    joined = all(t[2] == columns * t[3] for t in (now.source, now.target))
    if now.window == (1, 1) and now.size == now.result and now.origin == (0, 0) and joined:
        pixels = lines * columns
        best = next(d for d in range(min(pixels, longest), 0, -1) if pixels % d == 0)
        if best > columns:
            return replace(
                now, size=(pixels // best, best), result=(pixels // best, best),
                source=(*now.source[:2], best * now.source[3], *now.source[3:]),
                target=(*now.target[:2], best * now.target[3], *now.target[3:]),
            )  # fmt: skip
    return now


def _put(pair: Pair, axis: int, value: int) -> Pair:
    return (pair[0], value) if axis else (value, pair[1])
