"""Arguments of pictures: small planes of numbers, and the windows that slide over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from faltung.errors import ArgumentError, DtypeError, ShapeError
from faltung.functional.arguments import Padding, Pair, padding_form, pair, sliding, whole
from faltung.geometry import Window

Floats = npt.NDArray[np.float64]

MOST_CELLS = 16
"""Rows and columns of a grid whose numbers can still be read."""


def numbers(name: str, value: Any, rank: int) -> Tensor:
    """Return an array, a tensor or nested lists as a float64 tensor on the CPU.

    Args:
        name: What messages call it.
        value: The numbers.
        rank: How many axes it must have; a missing first axis (one channel) is added for rank 3.

    Raises:
        DtypeError: It holds something that is no real number.
        ShapeError: It has another rank, ragged rows, or is empty.
    """
    try:
        array = value.detach().cpu() if isinstance(value, Tensor) else np.asarray(value)
        tensor = torch.as_tensor(array)
    except ValueError:
        raise ShapeError(
            f"{name} has rows that differ in length: all rows must be equally long"
        ) from None
    except TypeError:
        raise DtypeError(
            f"{name} is a {type(value).__qualname__}: a picture takes real numbers as nested "
            f"lists, an array or a tensor"
        ) from None
    if tensor.is_complex():
        raise DtypeError(f"{name} is complex: draw its real part, its imaginary part or its abs()")
    if rank == 3 and tensor.dim() == 2:
        tensor = tensor[None]
    if tensor.dim() != rank or 0 in tensor.shape:
        axes = {2: "(rows, columns)", 3: "(channels, rows, columns)"}.get(rank, "(K, C, R, S)")
        raise ShapeError(
            f"{name} has shape {tuple(tensor.shape)}: this picture takes {axes}, none of them empty"
        )
    return tensor.to(torch.float64)


def levels(image: Tensor) -> Floats:
    """Return an image (C, H, W) as grey levels (H, W) or colours (H, W, 3), 0 to 1."""
    planes = image.detach().double().cpu()
    least, most = planes.min(), planes.max()
    spread = (planes - least) / (most - least) if most > least else torch.zeros_like(planes)
    if len(planes) == 3:
        colours: Floats = spread.permute(1, 2, 0).numpy()
        return colours
    grey: Floats = spread.mean(0).numpy()
    return grey


def readable(name: str, size: Sequence[int], most: int = MOST_CELLS) -> None:
    """Require that a grid is small enough for its cells to be read.

    Raises:
        ShapeError: It has too many rows or columns.
    """
    if max(size) > most:
        raise ShapeError(
            f"{name} has {size[0]} x {size[1]} cells: at most {most} x {most} can be read in a "
            f"picture; cut out a part"
        )


@dataclass(frozen=True)
class Sliding:
    """Windows that slide over a plane, along both axes.

    Attributes:
        rows: The window along the height.
        columns: The window along the width.
        height: Rows of the plane.
        width: Columns of the plane.
    """

    rows: Window
    columns: Window
    height: int
    width: int

    @property
    def outputs(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return self.rows.output(self.height), self.columns.output(self.width)

    @property
    def frame(self) -> tuple[range, range]:
        """Positions of the plane with its padding, and with what hangs over because of `ceil`."""
        return _covered(self.rows, self.height), _covered(self.columns, self.width)

    def inside(self, row: int, column: int) -> bool:
        """Say whether a position lies on the plane, not in the padding."""
        return 0 <= row < self.height and 0 <= column < self.width

    def taps(self, row: int, column: int) -> list[list[tuple[int, int]]]:
        """Return the positions that one window reads, by its rows; padding included."""
        down, right = _positions(self.rows, row), _positions(self.columns, column)
        return [[(i, j) for j in right] for i in down]

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Return a cell of the output.

        Raises:
            ArgumentError: There is no such cell.
        """
        for name, value, count in zip(("row", "column"), (row, column), self.outputs, strict=True):
            if whole(name, value, 0) >= count:
                raise ArgumentError(
                    f"{name} is {value}: the output has {count} {name}{'s' if count > 1 else ''}, "
                    f"counted from 0 to {count - 1}"
                )
        return row, column

    def places(self) -> list[tuple[int, int]]:
        """Return all cells of the output, row after row."""
        rows, columns = self.outputs
        return [(i, j) for i in range(rows) for j in range(columns)]

    def settings(self) -> list[str]:
        """Return what is not as by default, in words: `stride 2`, `padding 1 (dashed)`."""
        both = (self.rows, self.columns)
        strides, dilations = [w.stride for w in both], [w.dilation for w in both]
        words = []
        if strides != [1, 1]:
            words.append(f"stride {_pair(strides)}")
        sides = [(w.before, w.after) for w in both]
        if sides != [(0, 0), (0, 0)]:
            words.append(f"padding {_padding(sides)} (dashed)")
        if dilations != [1, 1]:
            words.append(f"dilation {_pair(dilations)}")
        if self.rows.ceil:
            words.append("ceil mode")
        return words


def slide(
    lengths: tuple[int, int],
    size: tuple[int, int],
    stride: Pair,
    padding: Padding,
    dilation: Pair = 1,
    *,
    ceil: bool = False,
    flip: bool = False,
) -> Sliding:
    """Return the windows of an operation over a plane of those lengths.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
        ShapeError: A window is larger than the padded plane.
    """
    strides, dilations = pair("stride", stride), pair("dilation", dilation)
    form = padding_form(padding)
    windows = sliding(lengths, size, strides, form, dilations, ceil=ceil, mirrored=flip)
    return Sliding(*windows, *lengths)


def _covered(window: Window, length: int) -> range:
    hangs = window.start(window.output(length) - 1) + window.extent if window.ceil else 0
    return range(-window.before, max(length + window.after, hangs))


def _positions(window: Window, index: int) -> range:
    start = window.start(index)
    return range(start, start + window.extent, window.dilation)


def _pair(values: list[int]) -> str:
    return str(values[0]) if values[0] == values[1] else f"{values[0]} down, {values[1]} across"


def _padding(sides: list[tuple[int, int]]) -> str:
    (top, bottom), (left, right) = sides
    if top == bottom == left == right:
        return str(top)
    if top == bottom and left == right:
        return f"{top} above and below, {left} left and right"
    return f"{top} above, {bottom} below, {left} left, {right} right"
