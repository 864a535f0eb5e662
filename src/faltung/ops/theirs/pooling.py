"""Pooling and its gradients from torch's own operators.

The geometry comes as the windows along height and width.
"""

import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung.geometry import Window
from faltung.ops.registry import empty, memory_format

Ints = list[int]
Windows = tuple[Window, Window]


def _torch_pads(windows: Windows) -> list[int] | None:
    """Return the symmetric padding that torch's pools take for these windows, or None."""
    if any(w.before != w.after or 2 * w.before > w.size for w in windows):
        return None
    return [w.before for w in windows]


def _fitted(x: Tensor, windows: Windows, value: float) -> Tensor:
    """Frame the input so that the windows cover it exactly, without padding or overhang."""
    rows, columns = (w.fit(n) for w, n in zip(windows, x.shape[2:], strict=True))
    return tf.pad(x, (*columns, *rows), value=value)


def _lowest(dtype: torch.dtype) -> float:
    return float("-inf") if dtype.is_floating_point else torch.iinfo(dtype).min


def _reversed_order(x: Tensor) -> Tensor:
    """Map the elements so that their order is reversed, exactly, for every element type."""
    return -x if x.dtype.is_floating_point else ~x


def max_pool2d(x: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """Return maxima and their positions in the flattened image, ties and NaN as torch has them."""
    layout = memory_format(x)
    size, stride, dilation = (
        [getattr(w, a) for w in windows] for a in ("size", "stride", "dilation")
    )
    pads = _torch_pads(windows)
    if pads is not None:
        y, at = tf.max_pool2d_with_indices(
            x, size, stride, pads, dilation, windows[0].ceil, return_indices=True
        )
    else:
        framed = _fitted(x, windows, _lowest(x.dtype))
        y, at = tf.max_pool2d_with_indices(
            framed, size, stride, [0, 0], dilation, return_indices=True
        )
        at = _positions(at, x, framed.shape[3], windows)
    return y.contiguous(memory_format=layout), at.contiguous(memory_format=layout)


def _positions(at: Tensor, x: Tensor, width: int, windows: Windows) -> Tensor:
    """Translate positions in a framed image of that width to positions in the image itself.

    The padding holds the lowest value, so it wins only where all elements of a window equal it;
    then torch names the window's first element.
    """
    found = []
    for window, n, position in zip(windows, x.shape[2:], (at // width, at % width), strict=True):
        firsts = [window.taps(i, n).start for i in range(window.output(n))]
        found.append((position - window.before, torch.tensor(firsts, device=x.device), n))
    (rows, first_rows, height), (columns, first_columns, _) = found
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < x.shape[3])
    first = first_rows[:, None] * x.shape[3] + first_columns
    return torch.where(inside, rows * x.shape[3] + columns, first)


def min_pool2d(x: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """Return minima and their positions: maxima of the elements in reversed order."""
    y, at = max_pool2d(_reversed_order(x), windows)
    return _reversed_order(y), at


def avg_pool2d(x: Tensor, windows: Windows, count_padding: bool, divisor: int | None) -> Tensor:
    """Return means over windows; see `faltung.functional.avg_pool2d` for what they divide by."""
    layout = memory_format(x)
    size, stride = [w.size for w in windows], [w.stride for w in windows]
    pads = _torch_pads(windows)
    if pads is not None:
        y = tf.avg_pool2d(x, size, stride, pads, windows[0].ceil, count_padding, divisor)
        return y.contiguous(memory_format=layout)
    half = x.dtype in (torch.float16, torch.bfloat16)
    framed = _fitted(x.float() if half else x, windows, 0)
    total = tf.avg_pool2d(framed, size, stride, divisor_override=1)
    y = _divided(total, _divisors(x, windows, count_padding, divisor)).to(x.dtype)
    return y.contiguous(memory_format=layout)


def _divided(total: Tensor, divisor: Tensor | int) -> Tensor:
    exact = total.dtype.is_floating_point
    return torch.div(total, divisor, rounding_mode=None if exact else "trunc")


def _divisors(
    x: Tensor, windows: Windows, count_padding: bool, divisor: int | None
) -> Tensor | int:
    """Return what each mean divides by: a number, or a tensor (Y, X)."""
    if divisor is not None:
        return divisor
    rows, columns = (
        torch.tensor(
            [w.counted(i, n, padding=count_padding) for i in range(w.output(n))], device=x.device
        )
        for w, n in zip(windows, x.shape[2:], strict=True)
    )
    return rows[:, None] * columns


def avg_pool2d_gradient(
    dy: Tensor,
    shape: Ints,
    windows: Windows,
    count_padding: bool,
    divisor: int | None,
) -> Tensor:
    """Transpose `avg_pool2d` over an input of that height and width."""
    layout = memory_format(dy)
    size, stride = [w.size for w in windows], [w.stride for w in windows]
    backward = torch.ops.aten.avg_pool2d_backward
    x = dy.new_empty(1).expand(*dy.shape[:2], *shape)
    pads = _torch_pads(windows)
    if pads is not None:
        ceil = windows[0].ceil
        whole: Tensor = backward(dy, x, size, stride, pads, ceil, count_padding, divisor)
        return whole.contiguous(memory_format=layout)
    rows, columns = (w.fit(n) for w, n in zip(windows, shape, strict=True))
    framed = x[:, :, :1, :1].expand(*dy.shape[:2], shape[0] + sum(rows), shape[1] + sum(columns))
    share = dy / _divisors(x, windows, count_padding, divisor)
    dx = backward(share, framed, size, stride, [0, 0], False, True, 1)
    dx = tf.pad(dx, [-side for side in (*columns, *rows)])
    return dx.contiguous(memory_format=layout)


def extreme_pool2d_gradient(dy: Tensor, at: Tensor, size: Ints) -> Tensor:
    """Send every gradient to the position its maximum or minimum came from."""
    dx = empty(dy, (*dy.shape[:2], *size), memory_format(dy)).zero_()
    dx.view(*dy.shape[:2], size[0] * size[1]).scatter_add_(2, at.flatten(2), dy.flatten(2))
    return dx
