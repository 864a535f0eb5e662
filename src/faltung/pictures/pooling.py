"""One step of a pooling window with its arithmetic, and all steps as an animation."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from matplotlib.figure import Figure
from torch import Tensor

from faltung.errors import ArgumentError
from faltung.functional import avg_pool2d, max_pool2d, min_pool2d
from faltung.functional.arguments import Padding, Pair, pair
from faltung.pictures import style
from faltung.pictures.animation import Animation, animated
from faltung.pictures.arithmetic import equals, joined, shown
from faltung.pictures.canvas import Canvas
from faltung.pictures.parts import (
    Cell,
    caption,
    framed_plane,
    label,
    outputs_grid,
    size_of,
    window_box,
)
from faltung.pictures.planes import Sliding, numbers, readable, slide

Kind: TypeAlias = Literal["max", "avg", "min"]

NAMES = {"max": "maximum", "avg": "average", "min": "minimum"}
GAP = 2.2  # cells between input and output, where the name of the operation stands


def pooling_step(
    image: Any,
    kernel_size: Pair,
    row: int = 0,
    column: int = 0,
    *,
    kind: Kind = "max",
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Figure:
    """Draw one step of pooling: the window, its arithmetic in numbers, the output.

    Args:
        image: Plane (H, W): nested lists, an array or a tensor.
        kernel_size: Size of the window: one number or (height, width).
        row: Row of the output cell, counted from 0.
        column: Column of the output cell.
        kind: "max", "avg" or "min".
        stride: Step of the window; None means `kernel_size`.
        padding: Around the image, in any form listed in `faltung.functional`: minus infinity for
            maxima, infinity for minima, zeros for means.
        dilation: Distance between neighbouring taps; 1 for means.
        ceil_mode: Let a last window hang over the end.
        count_include_pad: Count padding in the divisor of a mean.

    Returns:
        The figure; its label is the arithmetic as one line of text.

    Raises:
        ArgumentError: There is no such cell, or a setting breaks its own rule.
        ShapeError: The image is no plane, too large to be read in numbers, or does not fit.
        DtypeError: It holds no real numbers.
    """
    given = (kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    pool = _Pool.of(image, kind, *given)
    return _drawn(pool, *pool.sliding.place(row, column), whole=True)


def pooling_animation(
    image: Any,
    kernel_size: Pair,
    *,
    kind: Kind = "max",
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    seconds: float = 1.0,
) -> Animation:
    """Draw a pooling window sliding over an image, a step a frame.

    Args:
        image: As in `pooling_step`.
        kernel_size: As there.
        kind: As there.
        stride: As there.
        padding: As there.
        dilation: As there.
        ceil_mode: As there.
        count_include_pad: As there.
        seconds: How long a step is shown.

    Raises:
        ArgumentError: A setting breaks its own rule, or there are too many steps.
        ShapeError: As in `pooling_step`.
        DtypeError: As there.
    """
    given = (kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    pool = _Pool.of(image, kind, *given)
    frames = [partial(_drawn, pool, i, j, whole=False) for i, j in pool.sliding.places()]
    return animated(frames, seconds)


@dataclass(frozen=True)
class _Pool:
    image: Tensor
    output: Tensor
    at: Tensor | None
    sliding: Sliding
    kind: Kind
    include_padding: bool

    @classmethod
    def of(
        cls,
        image: Any,
        kind: Kind,
        kernel_size: Pair,
        stride: Pair | None,
        padding: Padding,
        dilation: Pair,
        ceil: bool,
        include_padding: bool,
    ) -> "_Pool":
        """Check the arguments and compute the output."""
        if kind not in get_args(Kind):
            raise ArgumentError(f"kind is {kind!r}: it must be 'max', 'avg' or 'min'")
        if kind == "avg" and pair("dilation", dilation) != (1, 1):
            raise ArgumentError(f"dilation is {dilation}: the window of a mean has none; use 1")
        x, size = numbers("image", image, 2), pair("kernel_size", kernel_size)
        readable("image", x.shape)
        step = size if stride is None else stride
        sliding = slide((x.shape[0], x.shape[1]), size, step, padding, dilation, ceil=ceil)
        down, right = sliding.frame
        readable("image with its padding", (len(down), len(right)))
        at = None
        if kind == "avg":
            y = avg_pool2d(x[None], size, step, padding, ceil, include_padding)
        else:
            pool = max_pool2d if kind == "max" else min_pool2d
            y, at = pool(x[None], size, step, padding, dilation, ceil, return_indices=True)
            at = at[0]
        return cls(x, y[0], at, sliding, kind, include_padding)

    def filling(self, i: int, j: int) -> str:
        """Return what a cell outside the image holds; nothing where it never counts."""
        if self.kind != "avg":
            return "−∞" if self.kind == "max" else "∞"
        rows, columns = self.sliding.rows, self.sliding.columns
        hangs = i >= self.sliding.height + rows.after or j >= self.sliding.width + columns.after
        return "" if hangs or not self.include_padding else "0"

    def divisor(self, row: int, column: int) -> int:
        """Return what a mean divides by."""
        sliding, padding = self.sliding, self.include_padding
        rows = sliding.rows.counted(row, sliding.height, padding=padding)
        return rows * sliding.columns.counted(column, sliding.width, padding=padding)

    def chosen(self, row: int, column: int) -> Cell | None:
        """Return where the maximum or minimum was found."""
        if self.at is None:
            return None
        return divmod(int(self.at[row, column]), self.sliding.width)

    def arithmetic(self, row: int, column: int) -> list[str]:
        """Return the arithmetic of one step, in one or several lines."""
        read = [
            [
                shown(float(self.image[at])) if self.sliding.inside(*at) else self.filling(*at)
                for at in line
            ]
            for line in self.sliding.taps(row, column)
        ]
        parts = [
            float(self.image[at])
            for line in self.sliding.taps(row, column)
            for at in line
            if self.sliding.inside(*at)
        ]
        ending = equals(float(self.output[row, column]), *parts)
        lines = [[text for text in line if text] for line in read]
        if self.kind != "avg":
            groups = [", ".join(line) for line in lines]
            return joined(groups, ", ", ending, before=f"{self.kind}(", after=")")
        groups = [" + ".join(map(_bracketed, line)) for line in lines if line]
        after = f") / {self.divisor(row, column)}"
        return joined(groups, " + ", ending, before="(", after=after)


def _bracketed(text: str) -> str:
    return f"({text})" if text.startswith("−") else text


def _drawn(pool: _Pool, row: int, column: int, *, whole: bool) -> Figure:
    canvas, sliding = Canvas(), pool.sliding
    down, right = sliding.frame
    rows = sliding.outputs[0]
    middle = max(len(down), rows) / 2
    at = (0.0, middle - len(down) / 2)
    taps = {place for line in sliding.taps(row, column) for place in line}
    chosen = pool.chosen(row, column)
    framed_plane(canvas, at, pool.image, sliding, taps, filling=pool.filling, chosen=chosen)
    canvas.frame(window_box(sliding, row, column, at), style.BLUE)
    if chosen is not None:
        x, y = at[0] + chosen[1] - right.start, at[1] + chosen[0] - down.start
        inset = 0.1
        box = (x + inset, y + inset, x + 1 - inset, y + 1 - inset)
        canvas.frame(box, style.RED)
    label(canvas, *at, len(right), f"input {size_of(pool.image.shape)}")
    x = len(right) + GAP
    canvas.text(x - GAP / 2, middle - 0.45, pool.kind, style.NORMAL)
    canvas.arrow((x - GAP + 0.5, middle), (x - 0.5, middle), style.INK)
    outputs_grid(canvas, (x, middle - rows / 2), pool.output, (row, column), whole=whole)
    size = size_of((sliding.rows.size, sliding.columns.size))
    words = [f"{NAMES[pool.kind]} pooling {size}", f"output row {row}, column {column}"]
    arithmetic = pool.arithmetic(row, column)
    caption(canvas, arithmetic, [*words, *sliding.settings()])
    return canvas.finished(" ".join(arithmetic))
