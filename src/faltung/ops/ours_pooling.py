"""Our pooling kernels under the operators: maxima, minima, means and their gradients."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from faltung.compiler.call import Call
from faltung.compiler.problem import Problem
from faltung.geometry import Window, windows
from faltung.ops.ours import KINDS, Known, addresses, blank, prepared, recalled, run, usable
from faltung.ops.registry import empty, memory_format, slid
from faltung.ops.theirs import pooling as theirs

Ints = list[int]
Windows = tuple[Window, Window]


def planned(
    operation: str,
    direction: str,
    first: Tensor,
    out: Tensor,
    over: Windows,
    *,
    indices: bool = False,
    divisor: int | None = None,
    count_padding: bool = True,
) -> tuple[Call | None, Tensor] | None:
    """Plan pooling in a direction, or return None where kernels cannot address a tensor."""
    if not usable(first) or out.numel() == 0:
        return None
    x, y = (first, out) if direction == "forward" else (out, first)
    rows, columns = over
    strides: Any = (first.stride(), (0,) * 4, out.stride())
    size: Any = tuple(x.shape[2:])
    result: Any = tuple(y.shape[2:])
    problem = Problem(
        operation, direction, x.shape[0], 1, x.shape[1], x.shape[1], size, result,
        (rows.size, columns.size), (rows.stride, columns.stride),
        (rows.before, rows.after, columns.before, columns.after),
        (rows.dilation, columns.dilation), kind=KINDS[first.dtype], strides=strides,
        indices=indices, divisor=divisor or 0, count_padding=count_padding,
    )  # fmt: skip
    return prepared(problem), out


def pooled(known: Known | None, first: Tensor, positions: Tensor | None = None) -> Tensor | None:
    """Return what the call of a pool or its gradient makes, or None where it cannot."""
    at = addresses(first, positions)
    if known is None or at is None:
        return None
    call, size, strides = known
    out = blank(size, strides, first.dtype)
    return out if run(call, at[0], at[1], 0, out.data_ptr()) else None


def positioned(known: Known | None, x: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return what the call of extrema with their positions makes, or None where it cannot."""
    if known is None:
        return None
    at = blank(known[1], known[2], torch.int64)
    y = pooled(known, x, at)
    return None if y is None else (y, at)


def known_extreme(
    operation: str, x: Tensor, geometry: Sequence[Any], indices: bool = False
) -> Known | None:
    """Return the call of maxima ("max") or minima ("min"), or None where torch's runs."""

    def resolve() -> tuple[Call | None, Tensor] | None:
        over = windows(*geometry)
        return planned(operation, "forward", x, slid(x, x.shape[1], over), over, indices=indices)

    return recalled(operation, (x,), (*geometry, indices), resolve)


def known_extreme_gradient(
    dy: Tensor, at: Tensor, size: Sequence[int], geometry: Sequence[Any]
) -> Known | None:
    """Return the call that sends gradients to their positions, or None where torch's runs.

    A kernel walks gradients and positions alike: their strides must be the same.
    """
    if at.shape != dy.shape or at.dtype != torch.int64 or dy.stride() != at.stride():
        return None

    def resolve() -> tuple[Call | None, Tensor] | None:
        out = empty(dy, (*dy.shape[:2], *size), memory_format(dy))
        return planned("max", "input", dy, out, windows(*geometry), indices=True)

    return recalled("extreme gradient", (dy, at), (size, *geometry), resolve)


def known_avg(x: Tensor, rest: Sequence[Any]) -> Known | None:
    """Return the call of means, or None where torch's runs."""
    size, stride, padding, ceil, count, divisor = rest

    def resolve() -> tuple[Call | None, Tensor] | None:
        over = windows(size, stride, padding, [1, 1], ceil)
        out = slid(x, x.shape[1], over)
        return planned("avg", "forward", x, out, over, divisor=divisor, count_padding=count)

    return recalled("avg", (x,), tuple(rest), resolve)


def known_avg_gradient(dy: Tensor, shape: Ints, rest: Sequence[Any]) -> Known | None:
    """Return the call of the gradient of means, or None where torch's runs."""
    size, stride, padding, ceil, count, divisor = rest

    def resolve() -> tuple[Call | None, Tensor] | None:
        over = windows(size, stride, padding, [1, 1], ceil)
        out = empty(dy, (*dy.shape[:2], *shape), memory_format(dy))
        return planned("avg", "input", dy, out, over, divisor=divisor, count_padding=count)

    return recalled("avg gradient", (dy,), (shape, *rest), resolve)


def extreme(operation: str, x: Tensor, *geometry: Any) -> tuple[Tensor, Tensor]:
    """Return maxima ("max") or minima ("min") and their positions."""
    found = positioned(known_extreme(operation, x, geometry, indices=True), x)
    if found is not None:
        return found
    pool = theirs.max_pool2d if operation == "max" else theirs.min_pool2d
    return pool(x, windows(*geometry))


def extreme_values(operation: str, x: Tensor, *geometry: Any) -> Tensor:
    """Return maxima ("max") or minima ("min") alone."""
    y = pooled(known_extreme(operation, x, geometry), x)
    if y is not None:
        return y
    pool = theirs.max_pool2d if operation == "max" else theirs.min_pool2d
    return pool(x, windows(*geometry))[0]


def extreme_gradient(dy: Tensor, at: Tensor, size: Sequence[int], *geometry: Any) -> Tensor:
    """Send every gradient to the position its maximum or minimum came from.

    The windows only say where positions are expected; they may be anywhere in the image.
    """
    fits = at.shape == dy.shape and at.dtype == torch.int64 and at.is_cpu
    if fits and dy.stride() != at.stride():
        dy = torch.empty_like(at, dtype=dy.dtype).copy_(dy)
    dx = pooled(known_extreme_gradient(dy, at, size, geometry), dy, at)
    return theirs.extreme_pool2d_gradient(dy, at, list(size)) if dx is None else dx


def avg_pool2d(x: Tensor, *rest: Any) -> Tensor:
    """Return means over windows."""
    y = pooled(known_avg(x, rest), x)
    if y is not None:
        return y
    size, stride, padding, ceil, count, divisor = rest
    return theirs.avg_pool2d(x, windows(size, stride, padding, [1, 1], ceil), count, divisor)


def avg_pool2d_gradient(dy: Tensor, shape: Ints, *rest: Any) -> Tensor:
    """Transpose `avg_pool2d` over an input of that height and width."""
    dx = pooled(known_avg_gradient(dy, shape, rest), dy)
    if dx is not None:
        return dx
    size, stride, padding, ceil, count, divisor = rest
    over = windows(size, stride, padding, [1, 1], ceil)
    return theirs.avg_pool2d_gradient(dy, shape, over, count, divisor)
