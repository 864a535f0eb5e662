"""The definitions of the pools as plain loops in float64; see `oracle.py`.

Rules, from the design: what lies outside the input never wins a maximum or minimum; the first of
ties gives the index; NaN wins, and the last NaN of a window gives the index (torch's rule).
Explicit padding counts in the divisor of a mean by default, the overhang of `ceil_mode` never does;
a window that would start in the padding at the end is dropped; `divisor_override` wins.

Besides "tap", "border" and "channel", `spoil` may be "tie" (the last of ties wins) or "nan" (NaN is
passed over).
"""

from itertools import product
from math import inf, isnan

import numpy as np
from numpy.typing import ArrayLike

from oracle import Array, Indices, Padding, Pair, pair, sides


def max_pool2d(
    x_nchw: ArrayLike,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    *,
    spoil: str = "",
) -> tuple[Array, Indices]:
    """Return the maxima (N, C, Y, X) and where they lie in the flattened (H, W) plane."""
    x = np.asarray(x_nchw, np.float64)
    rows, columns, _ = _windows(x.shape, kernel_size, stride, padding, dilation, ceil_mode, spoil)
    values = np.zeros((*x.shape[:2], len(rows), len(columns)))
    indices = np.zeros(values.shape, np.int64)
    for n, c, y, x_ in product(*map(range, values.shape)):
        plane = x[n, 0 if spoil == "channel" else c].ravel().tolist()
        window = [
            row * x.shape[3] + column
            if row in range(x.shape[2]) and column in range(x.shape[3])
            else None
            for row, column in product(rows[y], columns[x_])
        ]
        values[n, c, y, x_], indices[n, c, y, x_] = _largest(plane, window, spoil)
    return values, indices


def min_pool2d(
    x_nchw: ArrayLike,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    *,
    spoil: str = "",
) -> tuple[Array, Indices]:
    """Return the minima (N, C, Y, X) and where they lie: the maxima of the negative."""
    negative = -np.asarray(x_nchw, np.float64)
    values, indices = max_pool2d(
        negative, kernel_size, stride, padding, dilation, ceil_mode, spoil=spoil
    )
    return -values, indices


def avg_pool2d(
    x_nchw: ArrayLike,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    spoil: str = "",
) -> Array:
    """Return the means (N, C, Y, X)."""
    x = np.asarray(x_nchw, np.float64)
    rows, columns, framed = _windows(x.shape, kernel_size, stride, padding, 1, ceil_mode, spoil)
    inside = range(x.shape[2]), range(x.shape[3])
    counted = framed if count_include_pad else inside
    means = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for n, c, y, x_ in product(*map(range, means.shape)):
        plane = x[n, 0 if spoil == "channel" else c].tolist()
        window = list(product(rows[y], columns[x_]))
        total = sum((plane[i][j] for i, j in window if i in inside[0] and j in inside[1]), 0.0)
        count = sum(1 for i, j in window if i in counted[0] and j in counted[1])
        if spoil == "border":
            count = len(window)
        means[n, c, y, x_] = total / (divisor_override or count)
    return means


def every_window_sees(
    shape: tuple[int, ...],
    kernel_size: int | Pair,
    stride: int | Pair | None,
    padding: Padding,
    dilation: int | Pair,
    ceil_mode: bool,
) -> bool:
    """Say whether there are windows, and each of them takes at least one element of the input."""
    rows, columns, _ = _windows(shape, kernel_size, stride, padding, dilation, ceil_mode, "")
    seen = [
        [any(position in range(n) for position in window) for window in windows]
        for n, windows in zip(shape[2:], (rows, columns), strict=True)
    ]
    return all(axis and all(axis) for axis in seen)


def _windows(
    shape: tuple[int, ...],
    kernel_size: int | Pair,
    stride: int | Pair | None,
    padding: Padding,
    dilation: int | Pair,
    ceil_mode: bool,
    spoil: str,
) -> tuple[list[list[int]], list[list[int]], tuple[range, range]]:
    """Return the positions each window takes along both axes, and those that count as framed."""
    size, kernel, gap = (shape[2], shape[3]), pair(kernel_size), pair(dilation)
    step = kernel if stride is None else pair(stride)
    around = sides(padding, size, kernel, step, gap)
    framed = [range(-before, n + after) for n, (before, after) in zip(size, around, strict=True)]
    axes = [
        _axis(*axis, ceil_mode, spoil) for axis in zip(size, framed, kernel, step, gap, strict=True)
    ]
    return axes[0], axes[1], (framed[0], framed[1])


def _axis(
    n: int, framed: range, kernel: int, stride: int, dilation: int, ceil_mode: bool, spoil: str
) -> list[list[int]]:
    """Return the positions of each window; by `ceil_mode` the last one may hang over the end."""
    taps = range(kernel - 1 if spoil == "tap" and kernel > 1 else kernel)
    windows = []
    start = framed.start
    while start < n or not ceil_mode:
        last = start + (kernel - 1) * dilation
        if last >= framed.stop and (not ceil_mode or last - framed.stop + 1 >= stride):
            break
        windows.append([start + tap * dilation for tap in taps])
        start += stride
    return windows


def _largest(plane: list[float], window: list[int | None], spoil: str) -> tuple[float, int]:
    """Return the maximum over a window and its position; None lies outside the input."""
    inside = [position for position in window if position is not None]
    best, where = -inf, inside[0]
    for position in inside:
        value = plane[position]
        wins = value >= best if spoil == "tie" else value > best
        if wins or (isnan(value) and spoil != "nan"):
            best, where = value, position
    if spoil == "border" and len(inside) < len(window) and best < 0:
        best = 0.0
    return best, where
