"""Our pooling kernels under the operators: maxima, minima, means and their gradients."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from faltung.compiler.call import Call
from faltung.compiler.problem import Problem
from faltung.geometry import Window, windows
from faltung.ops.ours import KINDS, call_of, run, threads, usable
from faltung.ops.registry import empty, memory_format
from faltung.ops.theirs import pooling as theirs

Ints = list[int]
Windows = tuple[Window, Window]
NO_WINDOW = (Window(1), Window(1))


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
) -> Call | None:
    """Return the call that pools in a direction, or None where no algorithm takes it."""
    key = (
        threads(), operation, direction, first.shape, first.stride(), out.shape, out.stride(),
        first.dtype, over, indices, divisor, count_padding,
    )  # fmt: skip

    def problem() -> Problem:
        x, y = (first, out) if direction == "forward" else (out, first)
        rows, columns = over
        strides: Any = (first.stride(), (0,) * 4, out.stride())
        size: Any = tuple(x.shape[2:])
        result: Any = tuple(y.shape[2:])
        return Problem(
            operation, direction, x.shape[0], 1, x.shape[1], x.shape[1], size, result,
            (rows.size, columns.size), (rows.stride, columns.stride),
            (rows.before, rows.after, columns.before, columns.after),
            (rows.dilation, columns.dilation), kind=KINDS[first.dtype], strides=strides,
            indices=indices, divisor=divisor or 0, count_padding=count_padding,
        )  # fmt: skip

    return call_of(key, problem)


def _pooled(x: Tensor, over: Windows) -> Tensor:
    shape = (*x.shape[:2], *(w.output(n) for w, n in zip(over, x.shape[2:], strict=True)))
    return empty(x, shape, memory_format(x))


def extreme(
    operation: str,
    x: Tensor,
    size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil: bool,
) -> tuple[Tensor, Tensor]:
    """Return maxima ("max") or minima ("min") and their positions."""
    over = windows(size, stride, padding, dilation, ceil)
    if usable(x):
        y = _pooled(x, over)
        at = torch.empty_like(y, dtype=torch.int64)
        if y.numel() and (call := planned(operation, "forward", x, y, over, indices=True)):
            run(call, x, at, None, y)
            return y, at
    return (theirs.max_pool2d if operation == "max" else theirs.min_pool2d)(x, over)


def extreme_values(
    operation: str,
    x: Tensor,
    size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil: bool,
) -> Tensor:
    """Return maxima ("max") or minima ("min") alone."""
    over = windows(size, stride, padding, dilation, ceil)
    if usable(x):
        y = _pooled(x, over)
        if y.numel() and (call := planned(operation, "forward", x, y, over)):
            run(call, x, None, None, y)
            return y
    return (theirs.max_pool2d if operation == "max" else theirs.min_pool2d)(x, over)[0]


def extreme_gradient(dy: Tensor, at: Tensor, size: Sequence[int]) -> Tensor:
    """Send every gradient to the position its maximum or minimum came from."""
    if usable(dy) and at.shape == dy.shape and at.dtype == torch.int64 and at.is_cpu:
        dense = dy.contiguous(memory_format=memory_format(dy))
        positions = (
            at
            if at.stride() == dense.stride()
            else torch.empty_like(dense, dtype=at.dtype).copy_(at)
        )
        dx = empty(dy, (*dy.shape[:2], *size), memory_format(dy))
        if dx.numel() and (call := planned("max", "input", dense, dx, NO_WINDOW, indices=True)):
            run(call, dense, positions, None, dx)
            return dx
    return theirs.extreme_pool2d_gradient(dy, at, list(size))


def avg_pool2d(
    x: Tensor,
    size: Ints,
    stride: Ints,
    padding: Ints,
    ceil: bool,
    count: bool,
    divisor: int | None,
) -> Tensor:
    """Return means over windows."""
    over = windows(size, stride, padding, [1, 1], ceil)
    if usable(x):
        y = _pooled(x, over)
        options: dict[str, Any] = {"divisor": divisor, "count_padding": count}
        if y.numel() and (call := planned("avg", "forward", x, y, over, **options)):
            run(call, x, None, None, y)
            return y
    return theirs.avg_pool2d(x, over, count, divisor)


def avg_pool2d_gradient(
    dy: Tensor,
    shape: Ints,
    size: Ints,
    stride: Ints,
    padding: Ints,
    ceil: bool,
    count: bool,
    divisor: int | None,
) -> Tensor:
    """Transpose `avg_pool2d` over an input of that height and width."""
    over = windows(size, stride, padding, [1, 1], ceil)
    if usable(dy):
        dx = empty(dy, (*dy.shape[:2], *shape), memory_format(dy))
        options: dict[str, Any] = {"divisor": divisor, "count_padding": count}
        if dx.numel() and (call := planned("avg", "input", dy, dx, over, **options)):
            run(call, dy, None, None, dx)
            return dx
    return theirs.avg_pool2d_gradient(dy, shape, over, count, divisor)
