"""Sums over several input channels, for several output channels, with their arithmetic."""

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from faltung.errors import ShapeError
from faltung.functional import conv2d
from faltung.functional.arguments import Padding, Pair
from faltung.pictures import style
from faltung.pictures.arithmetic import equals, factor, joined, products
from faltung.pictures.canvas import Canvas
from faltung.pictures.parts import (
    Cell,
    caption,
    framed_plane,
    label,
    numbers_grid,
    outputs_grid,
    window_box,
)
from faltung.pictures.planes import Sliding, numbers, readable, slide
from faltung.pictures.style import Look

MOST_CHANNELS = 6
MOST_TAPS = 5  # rows and columns of a kernel
GAP = 1.3  # cells
SHADED = Look(style.ORANGE_TINT)


def channel_sums(
    image: Any,
    weight: Any,
    row: int = 0,
    column: int = 0,
    *,
    bias: Any = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    flip: bool = False,
) -> Figure:
    """Draw how input channels are summed into output channels, one step with its arithmetic.

    Input channels stand below each other, a column of kernels for each output channel beside them,
    and the output channels at the foot of their columns. With a 1x1 kernel it is the picture of a
    fully connected layer at one pixel.

    Args:
        image: Channels (C, H, W): nested lists, an array or a tensor.
        weight: Kernels (K, C, R, S), or (C, R, S) for one output channel.
        row: Row of the output cells, counted from 0.
        column: Column of the output cells.
        bias: One number for each output channel, or None.
        stride: Step of the window.
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps.
        flip: Convolve in the strict sense: kernels are turned by 180 degrees.

    Returns:
        The figure; its label is the arithmetic, channel by channel.

    Raises:
        ArgumentError: There is no such cell, or a setting breaks its own rule.
        ShapeError: Channels differ, or something is too large to be read in numbers.
        DtypeError: An argument holds no real numbers.
    """
    sums = _Sums.of(image, weight, bias, stride, padding, dilation, flip)
    place = sums.sliding.place(row, column)
    canvas = Canvas()
    x = _inputs(canvas, sums, place)
    for output in range(sums.weight.shape[0]):
        x = _column(canvas, sums, output, x, place)
    lines = [
        line for output in range(sums.weight.shape[0]) for line in sums.arithmetic(output, place)
    ]
    count = f"{sums.weight.shape[1]} input, {sums.weight.shape[0]} output channels"
    words = [count, f"row {row}, column {column}", *sums.sliding.settings()]
    caption(canvas, lines, [*words, *(["kernels turned by 180°"] if flip else [])])
    return canvas.finished(" ".join(lines))


@dataclass(frozen=True)
class _Sums:
    image: Tensor
    weight: Tensor
    bias: Tensor | None
    parts: Tensor
    output: Tensor
    sliding: Sliding

    @classmethod
    def of(
        cls,
        image: Any,
        weight: Any,
        bias: Any,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        flip: bool,
    ) -> "_Sums":
        """Check the arguments; compute the outputs, and the part of every input channel."""
        x = numbers("image", image, 3)
        w = numbers("weight", weight, 4)
        b = None if bias is None else numbers("bias", bias, 1)
        for name, count in (("image", len(x)), ("weight", len(w))):
            if count > MOST_CHANNELS:
                raise ShapeError(
                    f"{name} has {count} channels: at most {MOST_CHANNELS} can be read in a "
                    f"picture; choose some"
                )
        readable("kernel", w.shape[2:], most=MOST_TAPS)
        readable("image", x.shape[1:])
        y = conv2d(x[None], w, b, stride, padding, dilation, flip=flip)[0]
        lengths, size = (x.shape[1], x.shape[2]), (w.shape[2], w.shape[3])
        sliding = slide(lengths, size, stride, padding, dilation, flip=flip)
        down, right = sliding.frame
        readable("image with its padding", (len(down), len(right)))
        alone = w.flatten(0, 1)[:, None]
        repeated = x.repeat(len(w), 1, 1)
        parts = conv2d(repeated, alone, None, stride, padding, dilation, len(alone), flip=flip)
        turned = w.flip((2, 3)) if flip else w
        return cls(x, turned, b, parts.unflatten(0, (len(w), len(x))), y, sliding)

    @property
    def high(self) -> int:
        """Rows of cells that one input channel takes."""
        return max(len(self.sliding.frame[0]), self.weight.shape[2])

    def top(self, channel: int) -> float:
        """Return where the row of an input channel begins; after the last, where outputs do."""
        return channel * (self.high + GAP)

    def arithmetic(self, output: int, place: Cell) -> list[str]:
        """Return the sum of one output channel, in one or several lines."""
        groups, values = [], []
        for channel, kernel in zip(self.image, self.weight[output].tolist(), strict=True):
            pairs = [
                (float(channel[at]) if self.sliding.inside(*at) else 0.0, weight)
                for ats, weights in zip(self.sliding.taps(*place), kernel, strict=True)
                for at, weight in zip(ats, weights, strict=True)
            ]
            values += [value for two in pairs for value in two]
            groups.append(" + ".join(products(pairs)))
        parts = self.parts[output, :, place[0], place[1]].tolist()
        result = float(self.output[output, place[0], place[1]])
        ending, added = equals(result, *values), ""
        if self.bias is not None:
            added = f" + {factor(float(self.bias[output]))}"
        if len(values) > 2 * len(groups):  # a window of one tap has nothing in brackets
            groups = [f"({group})" for group in groups]
            sums = " + ".join(map(factor, parts))
            if len(parts) > 1:
                ending = f"{ending.split()[0]} {sums}{added} {ending}"
        return joined(groups, " + ", ending, before=f"output {output}:  ", after=added)


def _inputs(canvas: Canvas, sums: _Sums, place: Cell) -> float:
    """Draw the input channels; return where the kernels begin."""
    down, right = sums.sliding.frame
    taps = {at for line in sums.sliding.taps(*place) for at in line}
    for number, channel in enumerate(sums.image):
        at = (0.0, sums.top(number) + (sums.high - len(down)) / 2)
        framed_plane(canvas, at, channel, sums.sliding, taps, name=f"input-{number}")
        canvas.frame(window_box(sums.sliding, *place, at), style.BLUE)
        label(canvas, *at, len(right), f"input {number}")
        middle = sums.top(number) + sums.high / 2
        canvas.text(len(right) + GAP / 2, middle, "⋆", style.SIGN)
    return len(right) + GAP


def _column(canvas: Canvas, sums: _Sums, output: int, x: float, place: Cell) -> float:
    """Draw the kernels of one output channel and the channel itself; return where they end."""
    rows, columns = sums.weight.shape[2:]
    words = f"kernel {output}, {len(sums.image) - 1}"
    wide = max(columns, sums.output.shape[2], style.width(words, style.SMALL))
    middle = x + wide / 2
    last = len(sums.image) - 1
    for number, kernel in enumerate(sums.weight[output]):
        at = (middle - columns / 2, sums.top(number) + (sums.high - rows) / 2)
        numbers_grid(canvas, at, kernel, lambda i, j: SHADED, f"kernel-{output}-{number}")
        label(canvas, *at, columns, f"kernel {output}, {number}")
        if number < last:
            canvas.text(middle, sums.top(number) + sums.high + 0.1, "+", style.NORMAL)
    foot = sums.top(last) + sums.high + 0.4
    canvas.line((x, x + wide), (foot, foot), linewidth=1.4)
    if sums.bias is not None:
        text = f"+ {factor(float(sums.bias[output]))}"
        canvas.text(middle, foot - 0.3, text, style.SMALL)
    at = (middle - sums.output.shape[2] / 2, foot + 1.0)
    outputs_grid(canvas, at, sums.output[output], place, f"output-{output}")
    return x + wide + GAP
