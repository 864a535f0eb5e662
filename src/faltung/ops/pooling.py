"""Pooling as operators: maxima, minima and means over windows, with their derivatives.

Maxima and minima return the positions they came from, and their derivative sends gradients there.
The mean is linear, so that it is the derivative of its own derivative.
Padding is (top, bottom, left, right); letters as everywhere: N, C, H W, Y X.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from faltung.geometry import Window, windows
from faltung.ops.registry import empty, incoming, memory_format, register, slid
from faltung.ops.theirs import pooling as theirs

Ints = list[int]
Windows = tuple[Window, Window]


def _pooled(x: Tensor, over: Windows, dtype: torch.dtype | None = None) -> Tensor:
    y = slid(x, x.shape[1], over)
    return y if dtype is None else y.to(dtype)


EXTREME_GEOMETRY = (
    "SymInt[2] size, SymInt[2] stride, SymInt[4] padding, SymInt[2] dilation, bool ceil_mode"
)
NO_GEOMETRY = (None,) * 5


def _register_extreme(
    name: str, extreme: Callable[[Tensor, Windows], tuple[Tensor, Tensor]]
) -> Callable[..., tuple[Tensor, Tensor]]:
    def run(
        x: Tensor, size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
    ) -> tuple[Tensor, Tensor]:
        return extreme(x, windows(size, stride, padding, dilation, ceil_mode))

    def fake(
        x: Tensor, size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
    ) -> tuple[Tensor, Tensor]:
        over = windows(size, stride, padding, dilation, ceil_mode)
        return _pooled(x, over), _pooled(x, over, torch.int64)

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, *ctx.geometry = inputs
        ctx.size = list(x.shape[2:])
        ctx.set_materialize_grads(False)  # there is none of positions, and zeros would be made
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    def backward(ctx: Any, dy: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        if dy is None:
            return None, *NO_GEOMETRY
        (at,) = ctx.saved_tensors
        return extreme_pool2d_gradient(dy, at, ctx.size, *ctx.geometry), *NO_GEOMETRY

    return register(
        name,
        f"(Tensor input, {EXTREME_GEOMETRY}) -> (Tensor, Tensor)",
        theirs=run,
        fake=fake,
        backward=backward,
        setup_context=keep,
    )


def _register_values(
    name: str,
    with_positions: Callable[..., tuple[Tensor, Tensor]],
    extreme: Callable[[Tensor, Windows], tuple[Tensor, Tensor]],
) -> Callable[..., Tensor]:
    """Register the same without positions: for whoever needs neither them nor a gradient."""

    def run(
        x: Tensor, size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
    ) -> Tensor:
        return extreme(x, windows(size, stride, padding, dilation, ceil_mode))[0]

    def fake(
        x: Tensor, size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
    ) -> Tensor:
        return _pooled(x, windows(size, stride, padding, dilation, ceil_mode))

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, *ctx.geometry = inputs
        ctx.save_for_backward(x)

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        _, at = with_positions(x, *ctx.geometry)
        size = list(x.shape[2:])
        return extreme_pool2d_gradient(dy, at, size, *ctx.geometry), *NO_GEOMETRY

    return register(
        name,
        f"(Tensor input, {EXTREME_GEOMETRY}) -> Tensor",
        theirs=run,
        fake=fake,
        backward=backward,
        setup_context=keep,
    )


def _gradient(dy: Tensor, at: Tensor, shape: Ints, *_: Any) -> Tensor:
    return theirs.extreme_pool2d_gradient(dy, at, shape)


def _gradient_fake(dy: Tensor, at: Tensor, shape: Ints, *_: Any) -> Tensor:
    return empty(dy, (*dy.shape[:2], *shape), memory_format(dy))


def _keep_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _backward_gradient(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
    (at,) = ctx.saved_tensors
    return ddx.flatten(2).gather(2, at.flatten(2)).view(at.shape), None, None, *NO_GEOMETRY


extreme_pool2d_gradient = register(
    "extreme_pool2d_gradient",
    f"(Tensor grad, Tensor positions, SymInt[2] shape, {EXTREME_GEOMETRY}) -> Tensor",
    theirs=_gradient,
    fake=_gradient_fake,
    backward=_backward_gradient,
    setup_context=_keep_gradient,
)
max_pool2d = _register_extreme("max_pool2d", theirs.max_pool2d)
min_pool2d = _register_extreme("min_pool2d", theirs.min_pool2d)
max_pool2d_values = _register_values("max_pool2d_values", max_pool2d, theirs.max_pool2d)
min_pool2d_values = _register_values("min_pool2d_values", min_pool2d, theirs.min_pool2d)

AVG_GEOMETRY = (
    "SymInt[2] size, SymInt[2] stride, SymInt[4] padding, bool ceil_mode,"
    " bool count_include_pad, SymInt? divisor_override"
)
AVG_REST = (None,) * 6


def _avg(
    x: Tensor,
    size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count: bool,
    divisor: int | None,
) -> Tensor:
    return theirs.avg_pool2d(x, windows(size, stride, padding, [1, 1], ceil_mode), count, divisor)


def _avg_fake(
    x: Tensor,
    size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count: bool,
    divisor: int | None,
) -> Tensor:
    return _pooled(x, windows(size, stride, padding, [1, 1], ceil_mode))


def _keep_avg(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.geometry = inputs
    ctx.size, ctx.layout = list(x.shape[2:]), memory_format(x)


def _backward_avg(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    dy = incoming(dy, ctx.layout)
    return avg_pool2d_gradient(dy, ctx.size, *ctx.geometry), *AVG_REST


avg_pool2d = register(
    "avg_pool2d",
    f"(Tensor input, {AVG_GEOMETRY}) -> Tensor",
    theirs=_avg,
    fake=_avg_fake,
    backward=_backward_avg,
    setup_context=_keep_avg,
)


def _avg_gradient(
    dy: Tensor,
    shape: Ints,
    size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count: bool,
    divisor: int | None,
) -> Tensor:
    over = windows(size, stride, padding, [1, 1], ceil_mode)
    return theirs.avg_pool2d_gradient(dy, shape, over, count, divisor)


def _avg_gradient_fake(dy: Tensor, shape: Ints, *_: Any) -> Tensor:
    return empty(dy, (*dy.shape[:2], *shape), memory_format(dy))


def _keep_avg_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, _, *ctx.geometry = inputs


def _backward_avg_gradient(ctx: Any, ddx: Tensor) -> tuple[Tensor | None, ...]:
    return avg_pool2d(ddx, *ctx.geometry), None, *AVG_REST


avg_pool2d_gradient = register(
    "avg_pool2d_gradient",
    f"(Tensor grad, SymInt[2] shape, {AVG_GEOMETRY}) -> Tensor",
    theirs=_avg_gradient,
    fake=_avg_gradient_fake,
    backward=_backward_avg_gradient,
    setup_context=_keep_avg_gradient,
)
