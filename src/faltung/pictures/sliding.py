"""One step of a sliding window with its arithmetic, and all steps as an animation.

Input, kernel and output are drawn as in V. Dumoulin and F. Visin, "A guide to convolution
arithmetic for deep learning" (2016): padding dashed, the window shaded, the weights in its corners.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from faltung.errors import ArgumentError
from faltung.functional import conv2d
from faltung.functional.arguments import Padding, Pair
from faltung.pictures import style
from faltung.pictures.animation import Animation, animated
from faltung.pictures.arithmetic import equals, factor, joined, products
from faltung.pictures.canvas import Canvas
from faltung.pictures.parts import (
    caption,
    framed_plane,
    label,
    numbers_grid,
    outputs_grid,
    size_of,
    window_box,
)
from faltung.pictures.planes import Sliding, numbers, readable, slide
from faltung.pictures.style import Look

MOST_TAPS = 7  # rows and columns of a kernel whose arithmetic can be read
GAP = 1.5  # cells between grids, where a sign stands


def sliding_step(
    image: Any,
    kernel: Any,
    row: int = 0,
    column: int = 0,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    flip: bool = False,
    bias: float = 0.0,
) -> Figure:
    """Draw one step of a sliding window: the window, its arithmetic in numbers, the output.

    For the image 0 to 8 and the kernel 0 to 3 it says 0×0 + 1×1 + 3×2 + 4×3 = 19.

    Args:
        image: Plane (H, W): nested lists, an array or a tensor.
        kernel: Plane (R, S).
        row: Row of the output cell, counted from 0.
        column: Column of the output cell.
        stride: Step of the window: one number or (height, width).
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps.
        flip: Convolve in the strict sense: the kernel is turned by 180 degrees.
        bias: A number added to every output.

    Returns:
        The figure; its label is the arithmetic as one line of text.

    Raises:
        ArgumentError: There is no such cell, or a setting breaks its own rule.
        ShapeError: An argument is no plane, too large to be read in numbers, or the window is
            larger than the padded image.
        DtypeError: An argument holds no real numbers.
    """
    step = _Slide.of(image, kernel, stride, padding, dilation, flip, bias)
    return _drawn(step, *step.sliding.place(row, column), whole=True)


def sliding_animation(
    image: Any,
    kernel: Any,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    flip: bool = False,
    bias: float = 0.0,
    seconds: float = 1.0,
) -> Animation:
    """Draw a window sliding over an image, a step a frame; outputs appear as they are computed.

    Args:
        image: Plane (H, W).
        kernel: Plane (R, S).
        stride: As in `sliding_step`.
        padding: As there.
        dilation: As there.
        flip: As there.
        bias: As there.
        seconds: How long a step is shown.

    Raises:
        ArgumentError: A setting breaks its own rule, or there are too many steps.
        ShapeError: As in `sliding_step`.
        DtypeError: As there.
    """
    step = _Slide.of(image, kernel, stride, padding, dilation, flip, bias)
    frames = [partial(_drawn, step, i, j, whole=False) for i, j in step.sliding.places()]
    return animated(frames, seconds)


@dataclass(frozen=True)
class _Slide:
    image: Tensor
    kernel: Tensor
    turned: Tensor
    output: Tensor
    sliding: Sliding
    flip: bool
    bias: float

    @classmethod
    def of(
        cls,
        image: Any,
        kernel: Any,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        flip: bool,
        bias: float,
    ) -> "_Slide":
        """Check the arguments and compute the output."""
        x, w = numbers("image", image, 2), numbers("kernel", kernel, 2)
        if not math.isfinite(bias):
            raise ArgumentError(f"bias is {bias}: give a finite number")
        readable("kernel", w.shape, most=MOST_TAPS)
        readable("image", x.shape)
        lengths, size = (x.shape[0], x.shape[1]), (w.shape[0], w.shape[1])
        sliding = slide(lengths, size, stride, padding, dilation, flip=flip)
        down, right = sliding.frame
        readable("image with its padding", (len(down), len(right)))
        y = conv2d(x[None], w[None, None], None, stride, padding, dilation, flip=flip)[0] + bias
        return cls(x, w, w.flip((0, 1)) if flip else w, y, sliding, flip, bias)

    def value(self, i: int, j: int) -> float:
        """Return an element of the padded image."""
        return float(self.image[i, j]) if self.sliding.inside(i, j) else 0.0

    def arithmetic(self, row: int, column: int) -> list[str]:
        """Return the sum of one step, in one or several lines."""
        weights = self.turned.tolist()
        pairs = [
            [(self.value(*at), weight) for at, weight in zip(ats, ws, strict=True)]
            for ats, ws in zip(self.sliding.taps(row, column), weights, strict=True)
        ]
        groups = [" + ".join(products(line)) for line in pairs]
        parts = [number for line in pairs for two in line for number in two]
        ending = equals(float(self.output[row, column]), *parts, self.bias)
        if self.bias:
            ending = f"+ {factor(self.bias)} {ending}"
        return joined(groups, " + ", ending)


def _drawn(step: _Slide, row: int, column: int, *, whole: bool) -> Figure:
    """Draw one step; `whole` shows all outputs, else those up to this step."""
    canvas, sliding = Canvas(), step.sliding
    down, right = sliding.frame
    outputs = sliding.outputs
    kernel_rows = step.kernel.shape[0] * (2 if step.flip else 1) + (2 if step.flip else 0)
    middle = max(len(down), outputs[0], kernel_rows) / 2
    at = (0.0, middle - len(down) / 2)
    corners = {
        place: f"×{factor(weight)}"
        for ats, ws in zip(sliding.taps(row, column), step.turned.tolist(), strict=True)
        for place, weight in zip(ats, ws, strict=True)
    }
    framed_plane(canvas, at, step.image, sliding, corners)
    canvas.frame(window_box(sliding, row, column, at), style.BLUE)
    label(canvas, *at, len(right), f"input {size_of(step.image.shape)}")
    x = len(right) + GAP
    canvas.text(x - GAP / 2, middle, "∗" if step.flip else "⋆", style.SIGN)
    x = _kernels(canvas, step, x, middle) + GAP
    canvas.text(x - GAP / 2, middle, "=", style.SIGN)
    outputs_grid(canvas, (x, middle - outputs[0] / 2), step.output, (row, column), whole=whole)
    kind = "strict convolution" if step.flip else "cross-correlation"
    words = [kind, f"output row {row}, column {column}", *sliding.settings()]
    arithmetic = step.arithmetic(row, column)
    caption(canvas, arithmetic, words)
    return canvas.finished(" ".join(arithmetic))


def _kernels(canvas: Canvas, step: _Slide, x: float, middle: float) -> float:
    """Draw the kernel, and the turned one below where it is turned; return their right edge."""
    rows, columns = step.kernel.shape
    name = f"kernel {size_of(step.kernel.shape)}"
    wide = max(float(columns), style.width(name, style.SMALL))
    left = x + (wide - columns) / 2
    shaded = Look(style.ORANGE_TINT)
    if not step.flip:
        numbers_grid(canvas, (left, middle - rows / 2), step.kernel, lambda i, j: shaded, "kernel")
        label(canvas, left, middle - rows / 2, columns, name)
        return x + wide
    top = middle - rows - 0.6
    numbers_grid(canvas, (left, top), step.kernel, lambda i, j: Look(), "kernel")
    label(canvas, left, top, columns, name)
    numbers_grid(canvas, (left, middle + 0.8), step.turned, lambda i, j: shaded, "turned")
    label(canvas, left, middle + 0.8, columns, "turned by 180°")
    return max(x + wide, canvas.right)
