"""How calls of operators are made again: all but the addresses of their tensors is settled.

Every function plans the kernels of a call that was found right, and returns what computes it from
tensors like these; or None where torch's own operators have a part in it. That may itself return
None, where a kernel meets numbers or addresses that it cannot treat.
"""

from collections.abc import Sequence
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
    known = _known(x, w, bias, size, geometry)
    return None if known is None else partial(ours.convolved, known)


def _known(
    x: Tensor, w: Tensor, bias: Tensor | None, size: Ints | None, geometry: Sequence[Any]
) -> ours.Known | None:
    """Return the call of a convolution, or of its transpose where a `size` is given."""
    if size is None:
        return ours.known_conv2d(x, w, bias, geometry)
    return ours.known_input_gradient(x, w, bias, size, geometry)


def _laying_out(layout: torch.memory_format, replay: Replay) -> Replay:
    """Return a replay whose gradient is brought into a memory format before."""
    return lambda dy, *rest: replay(laid_out(dy, layout), *rest)


def gradients(
    dy: Tensor,
    x: Tensor,
    w: Tensor,
    mask: Sequence[bool],
    transposed: bool,
    geometry: Sequence[Any],
) -> Replay | None:
    """Plan the gradients of (dy, x, w) by input, weight and bias that a mask asks for."""
    by_input, by_weight, by_bias = mask
    with_bias = by_bias and by_weight and not transposed
    layout, given = memory_format(x, w), dy
    dy = laid_out(dy, layout)
    first = second = None
    if by_input:
        size = None if transposed else list(x.shape[2:])
        first = _known(dy, w, None, size, geometry)
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

    return replay if dy is given else _laying_out(layout, replay)


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
    size, layout, given = list(x.shape[2:]), memory_format(x), dy
    dy = laid_out(dy, layout)
    if at is None:
        known = ours_pooling.known_avg_gradient(dy, size, geometry)
    else:
        known = ours_pooling.known_extreme_gradient(dy, at, size, geometry)
    if known is None:
        return None

    def replay(dy: Tensor, x: Tensor, at: Tensor | None = None) -> Tensor | None:
        return ours_pooling.pooled(known, dy, at)

    return replay if dy is given else _laying_out(layout, replay)
