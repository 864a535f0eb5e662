"""Convolution as three operators that are each other's derivatives.

A convolution F(x, w) is linear in the input x and in the weight w. With I its transpose with
respect to x ("input gradient", also the transposed convolution) and W with respect to w ("weight
gradient"),

| operator | by its first tensor | by its second tensor |
|---|---|---|
| F(x, w) | I(dy, w) | W(x, dy) |
| I(dy, w) | F(dx, w) | W(dx, dy) |
| W(x, dy) | I(dy, dw) | F(x, dw) |

so the family is closed under differentiation, to any order. Complex tensors take the conjugates.
Padding is (top, bottom, left, right); letters as everywhere: N, C, K, H W, Y X, R S.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from faltung.geometry import windows
from faltung.ops import again, replays, seam
from faltung.ops.registry import empty, incoming, memory_format, register, slid
from faltung.ops.theirs import convolution as theirs
from faltung.ops.watching import plain, watched

Ints = list[int]
Gradients = tuple[Tensor | None, ...]

GEOMETRY = "SymInt[2] stride, SymInt[4] padding, SymInt[2] dilation, SymInt groups, bool flip"
REST = (None,) * 5


def _forward_fake(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    flip: bool,
) -> Tensor:
    return slid(x, w.shape[0], windows(list(w.shape[2:]), stride, padding, dilation), w)


def _keep_forward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, w, _, *ctx.geometry = inputs
    ctx.save_for_backward(x, w)


def _backward_forward(ctx: Any, dy: Tensor) -> Gradients:
    x, w = ctx.saved_tensors
    mask = ctx.needs_input_grad[:3]
    alone = not (torch.is_grad_enabled() or watched()) and plain((dy, x, w))[0]
    alone = alone and dy.dtype in seam.OUR_DTYPES
    called = ("conv2d gradients", (dy, x, w), (*mask, *ctx.geometry))
    if alone and (done := again.repeat(*called, id(w))) is not None:
        return *done, *REST
    dy = incoming(dy, memory_format(x, w))
    dx = dw = db = None
    if mask[0]:
        dx = conv2d_input_gradient(dy, w.conj(), None, list(x.shape[2:]), *ctx.geometry)
    if mask[1]:
        window = list(w.shape[2:])
        dw, db = conv2d_weight_gradient(x.conj(), dy, window, *ctx.geometry, mask[2])
        db = db if mask[2] else None
    elif mask[2]:
        db = dy.sum((0, 2, 3))
    if alone:
        plan = partial(replays.gradients, *called[1], mask, False, ctx.geometry)
        again.note(*called, ("conv2d_input_gradient", "conv2d_weight_gradient"), plan)
    return dx, dw, db, *REST


conv2d = register(
    "conv2d",
    f"(Tensor input, Tensor weight, Tensor? bias, {GEOMETRY}) -> Tensor",
    theirs=theirs.conv2d,
    fake=_forward_fake,
    backward=_backward_forward,
    setup_context=_keep_forward,
    autocast=True,
)


def _input_gradient_fake(
    dy: Tensor,
    w: Tensor,
    bias: Tensor | None,
    size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    flip: bool,
) -> Tensor:
    return empty(dy, (dy.shape[0], w.shape[1] * groups, *size), memory_format(dy, w))


def _keep_input_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    dy, w, bias, _, *ctx.geometry = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(dy, w)


def _backward_input_gradient(ctx: Any, ddx: Tensor) -> Gradients:
    dy, w = ctx.saved_tensors
    ddx = incoming(ddx, memory_format(dy, w))
    d_dy = dw = db = None
    if ctx.needs_input_grad[0]:
        wide = conv2d(ddx, w.conj(), None, *ctx.geometry)
        d_dy = _cropped(wide, dy)
    if ctx.needs_input_grad[1]:
        window = list(w.shape[2:])
        dw, _ = conv2d_weight_gradient(ddx, dy.conj(), window, *ctx.geometry, False)
    if ctx.has_bias and ctx.needs_input_grad[2]:
        db = ddx.sum((0, 2, 3))
    return d_dy, dw, db, None, *REST


def _cropped(wide: Tensor, dy: Tensor) -> Tensor:
    """Return the windows that `dy` has; output_padding can make room for more."""
    return wide if wide.shape[2:] == dy.shape[2:] else wide[:, :, : dy.shape[2], : dy.shape[3]]


conv2d_input_gradient = register(
    "conv2d_input_gradient",
    f"(Tensor grad, Tensor weight, Tensor? bias, SymInt[2] size, {GEOMETRY}) -> Tensor",
    theirs=theirs.conv2d_input_gradient,
    fake=_input_gradient_fake,
    backward=_backward_input_gradient,
    setup_context=_keep_input_gradient,
    autocast=True,
)


def _weight_gradient_fake(
    x: Tensor,
    dy: Tensor,
    window: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    flip: bool,
    with_bias: bool,
) -> tuple[Tensor, Tensor]:
    shape = (dy.shape[1], x.shape[1] // groups, *window)
    dw = empty(x, shape, memory_format(x, dy))
    return dw, x.new_empty(dy.shape[1] if with_bias else 0)


def _keep_weight_gradient(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    x, dy, _, *ctx.geometry, ctx.with_bias = inputs
    ctx.save_for_backward(x, dy)


def _backward_weight_gradient(ctx: Any, ddw: Tensor, ddb: Tensor) -> Gradients:
    x, dy = ctx.saved_tensors
    dx = d_dy = None
    if ctx.needs_input_grad[0]:
        dx = conv2d_input_gradient(dy.conj(), ddw, None, list(x.shape[2:]), *ctx.geometry)
    if ctx.needs_input_grad[1]:
        wide = conv2d(x.conj(), ddw, ddb if ctx.with_bias else None, *ctx.geometry)
        d_dy = _cropped(wide, dy)
    return dx, d_dy, None, *REST, None


conv2d_weight_gradient = register(
    "conv2d_weight_gradient",
    f"(Tensor input, Tensor grad, SymInt[2] window, {GEOMETRY}, bool with_bias)"
    " -> (Tensor, Tensor)",
    theirs=theirs.conv2d_weight_gradient,
    fake=_weight_gradient_fake,
    backward=_backward_weight_gradient,
    setup_context=_keep_weight_gradient,
    autocast=True,
)
