"""A convolution and what follows it in one kernel, where nobody asks for what lies between."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung.compiler.call import Call
from faltung.geometry import windows
from faltung.ops import convolution, ours, pooling, seam
from faltung.ops.registry import slid
from faltung.ops.watching import plain, watched

HALVED = ([2, 2], [2, 2], [0, 0, 0, 0])  # windows of 2x2 with stride 2

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda y: y,
    "relu": tf.relu,
    "relu6": tf.relu6,
    "silu": tf.silu,
}
POOLED = {"": "", "max": "max_pool2d_values", "avg": "avg_pool2d"}  # the operators of `POOLS`
POOLS: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda y: y,
    "max": lambda y: pooling.max_pool2d_values(y, *HALVED, [1, 1], False),
    "avg": lambda y: pooling.avg_pool2d(y, *HALVED, False, True, None),
}


def conv2d_fused(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    summand: Tensor | None,
    activation: str,
    pool: str,
    *geometry: Any,
) -> Tensor:
    """Return pool(activation(conv2d(x, w, bias) + summand)); see `faltung.ops.convolution`.

    One kernel does it where no gradient is wanted, nothing watches and an algorithm takes it all;
    else one may do all but the pool.
    """
    for left, last in dict.fromkeys(((pool, ""), ("", pool))):
        done = _at_once(x, w, bias, summand, activation, left, geometry)
        if done is not None:
            return POOLS[last](done)
    y = convolution.conv2d(x, w, bias, *geometry)
    if summand is not None:
        y = y + summand
    return POOLS[pool](ACTIVATIONS[activation](y))


def _at_once(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    summand: Tensor | None,
    activation: str,
    pool: str,
    geometry: Sequence[Any],
) -> Tensor | None:
    direct, gradient = plain((x, w, bias, summand))
    pooled = POOLED[pool]
    if (
        not direct
        or (summand is not None and (summand.dtype is not x.dtype or summand.is_neg()))
        or x.is_neg()
        or w.is_neg()
        or (pooled and not seam.unchanged(pooled))
        or (gradient and torch.is_grad_enabled())
        or torch.compiler.is_compiling()
        or watched()
        or not seam.unchanged("conv2d")
    ):
        return None
    if bias is not None and not bias.is_contiguous():
        bias = bias.contiguous()

    def resolve() -> tuple[Call | None, Tensor] | None:
        stride, padding, dilation, _, _ = geometry
        whole = slid(x, w.shape[0], windows(w.shape[2:], stride, padding, dilation), w)
        y = whole[:, :, ::2, ::2][:, :, : whole.shape[2] // 2, : whole.shape[3] // 2]
        out = torch.empty_like(y if pool else whole)
        if not ours.usable(x, w, bias, summand) or out.numel() == 0:
            return None
        asked = ours.conv_problem("forward", x, w, whole, bias is not None, geometry)
        strides: Any = (*asked.strides[:2], out.stride())
        added = summand is not None
        fused = replace(asked, strides=strides, summand=added, activation=activation, pool=pool)
        return ours.prepared(fused), out

    numbers = (*geometry, activation, pool, summand is None)
    known = ours.recalled("conv2d_fused", (x, w, bias), numbers, resolve)
    if known is None:
        return None
    _, size, strides = known
    if summand is not None and summand.stride() != strides:
        summand = ours.blank(size, strides, x.dtype).copy_(summand)
    return ours.convolved(known, x, w, bias, summand)
