"""Convolution and its two gradients from torch's own operators."""

from collections.abc import Callable

import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung.geometry import Window
from faltung.ops.registry import memory_format

Ints = list[int]


def _turned(w: Tensor, flip: bool) -> Tensor:
    return w.flip((2, 3)) if flip else w


def _framed(x: Tensor, padding: Ints) -> tuple[Tensor, tuple[int, int]]:
    """Return the input and the symmetric padding that torch still has to add."""
    top, bottom, left, right = padding
    if top == bottom and left == right:
        return x, (top, left)
    return tf.pad(x, (left, right, top, bottom)), (0, 0)


def conv2d(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    flip: bool,
) -> Tensor:
    """Convolve as torch does; see `faltung.ops.convolution` for the arguments."""
    layout = memory_format(x, w)
    framed, symmetric = _framed(x, padding)
    y = tf.conv2d(framed, _turned(w, flip), bias, stride, symmetric, dilation, groups)
    return y.contiguous(memory_format=layout)


def conv2d_input_gradient(
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
    """Transpose the convolution with respect to its input, whose height and width are `size`."""
    if min(padding) < 0:
        beyond, kept = [max(-p, 0) for p in padding], [max(p, 0) for p in padding]
        top, bottom, left, right = beyond
        inner = [size[0] - top - bottom, size[1] - left - right]
        rest = (stride, kept, dilation, groups, flip)
        dx = tf.pad(conv2d_input_gradient(dy, w, None, inner, *rest), (left, right, top, bottom))
        return dx if bias is None else dx + bias.view(-1, 1, 1)
    crop, symmetric, extra = [], [], []
    for axis in (0, 1):
        before, after = padding[2 * axis : 2 * axis + 2]
        least = min(before, after)
        window = Window(w.shape[2 + axis], stride[axis], dilation[axis], least, least)
        crop.append(before - least)
        symmetric.append(least)
        missing = before - least + size[axis] - window.inverse(dy.shape[2 + axis])
        extra.append(max(missing, 0))
    dx = tf.conv_transpose2d(dy, _turned(w, flip), bias, stride, symmetric, extra, groups, dilation)
    dx = dx[:, :, crop[0] : crop[0] + size[0], crop[1] : crop[1] + size[1]]
    return dx.contiguous(memory_format=memory_format(dy, w))


def conv2d_weight_gradient(
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
    """Transpose the convolution with respect to its weight; with the gradient of the bias."""
    layout = memory_format(x, dy)
    framed, symmetric = _framed(x, padding)
    surplus = []
    for axis in (1, 0):
        least = symmetric[axis]
        over = Window(window[axis], stride[axis], dilation[axis], least, least)
        surplus += [0, over.output(framed.shape[2 + axis]) - dy.shape[2 + axis]]
    if any(surplus):
        dy = tf.pad(dy, surplus)
    shape = (dy.shape[1], x.shape[1] // groups, *window)

    def gradient(left: Tensor, right: Tensor) -> Tensor:
        gradients: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
            right,
            left,
            left.new_empty(1).expand(shape),
            None,
            stride,
            symmetric,
            dilation,
            False,
            [0, 0],
            groups,
            [False, True, False],
        )
        return gradients[1]

    dw = _complex_bilinear(gradient, framed, dy) if x.is_complex() else gradient(framed, dy)
    db = dy.sum((0, 2, 3)) if with_bias else x.new_empty(0)
    return _turned(dw, flip).contiguous(memory_format=layout), db


def _complex_bilinear(f: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Extend a bilinear function of real tensors to complex ones."""
    a, b = a.resolve_conj(), b.resolve_conj()
    real = f(a.real, b.real) - f(a.imag, b.imag)
    return torch.complex(real, f(a.real, b.imag) + f(a.imag, b.real))
