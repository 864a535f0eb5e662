"""How calls of operators are made again: all but the addresses of their tensors is settled.

Every function plans the kernels of a call that was found right, and returns what computes it from
tensors like these; or None where torch's own operators have a part in it. That may itself return
None, where a kernel meets numbers or addresses that it cannot treat.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from faltung.ops import ours, ours_pooling
from faltung.ops.again import Replay
from faltung.ops.registry import laid_out, memory_format

Ints = list[int]


def convolution(
    x: Tensor, w: Tensor, bias: Tensor | None, size: Ints | None, geometry: Sequence[Any]
) -> Replay | None:
    """Plan a convolution of (x, w, bias), or its transpose where a `size` is given."""
    if bias is not None and not bias.is_contiguous():
        return None
    if size is None:
        known = ours.known_conv2d(x, w, bias, geometry)
    else:
        known = ours.known_input_gradient(x, w, bias, size, geometry)
    return None if known is None else partial(ours.convolved, known)


def gradients(
    dy: Tensor,
    x: Tensor,
    w: Tensor,
    mask: Sequence[bool],
    transposed: bool,
    geometry: Sequence[Any],
) -> Replay | None:
    """Plan the gradients of (dy, x, w) by input, weight and bias that a mask asks for."""
    plan = partial(_gradients, x=x, w=w, mask=mask, transposed=transposed, geometry=geometry)
    return _in_format(memory_format(x, w), dy, plan)


def _in_format(
    layout: torch.memory_format, dy: Tensor, plan: Callable[[Tensor], Replay | None]
) -> Replay | None:
    """Plan from a gradient in a memory format, into which all that come are brought."""
    laid = laid_out(dy, layout)
    replay = plan(laid)
    if replay is None or laid is dy:
        return replay
    return lambda dy, *rest: replay(laid_out(dy, layout), *rest)


def _gradients(
    dy: Tensor,
    x: Tensor,
    w: Tensor,
    mask: Sequence[bool],
    transposed: bool,
    geometry: Sequence[Any],
) -> Replay | None:
    by_input, by_weight, by_bias = mask
    with_bias = by_bias and by_weight and not transposed
    first = second = None
    if by_input:
        if transposed:
            first = ours.known_conv2d(dy, w, None, geometry)
        else:
            first = ours.known_input_gradient(dy, w, None, list(x.shape[2:]), geometry)
    if by_weight:
        large, small = (dy, x) if transposed else (x, dy)
        window = list(w.shape[2:])
        second = ours.known_weight_gradient(large, small, window, with_bias, geometry)
    if (by_input and first is None) or (by_weight and second is None):
        return None

    def replay(dy: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor | None, ...] | None:
        dx = dw = db = None
        if by_input and (dx := ours.convolved(first, dy, w)) is None:
            return None
        if by_weight:
            large, small = (dy, x) if transposed else (x, dy)
            if (found := ours.weighed(second, large, small, with_bias)) is None:
                return None
            dw, db = found
        if not with_bias:
            db = dy.sum((0, 2, 3)) if by_bias else None
        return dx, dw, db

    return replay


def pool(operation: str, x: Tensor, geometry: Sequence[Any]) -> Replay | None:
    """Plan maxima with their positions, or means."""
    if operation == "avg_pool2d":
        known = ours_pooling.known_avg(x, geometry)
        return None if known is None else partial(ours_pooling.pooled, known)
    known = ours_pooling.known_extreme("max", x, geometry, indices=True)
    return None if known is None else partial(ours_pooling.positioned, known)


def pool_gradient(
    dy: Tensor, x: Tensor, at: Tensor | None, geometry: Sequence[Any]
) -> Replay | None:
    """Plan the gradient of maxima whose positions are known, from (dy, x, at), or of means."""
    return _in_format(memory_format(x), dy, partial(_pool_gradient, x, at, geometry))


def _pool_gradient(
    x: Tensor, at: Tensor | None, geometry: Sequence[Any], dy: Tensor
) -> Replay | None:
    size = list(x.shape[2:])
    if at is None:
        known = ours_pooling.known_avg_gradient(dy, size, geometry)
    else:
        known = ours_pooling.known_extreme_gradient(dy, at, size, geometry)
    if known is None:
        return None

    def replay(dy: Tensor, x: Tensor, at: Tensor | None = None) -> Tensor | None:
        return ours_pooling.pooled(known, dy, at)

    return replay
