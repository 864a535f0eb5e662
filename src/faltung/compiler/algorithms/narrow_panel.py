"""Panels of planes: some channels of a block of input rows as [channel][row][x].

Zeros stand left and right of a row, as padding; those behind it and those before the next row may
be the same ones. They are written once for all blocks.
"""

from dataclasses import dataclass

from faltung.compiler.algorithms import panel
from faltung.compiler.algorithms.panel import Source
from faltung.compiler.emit import Code, Int, Pointer


@dataclass(frozen=True)
class Planes:
    """Where a block goes, and what of each row is brought.

    Attributes:
        base: First element, float32.
        plane: Elements from one channel to the next.
        pitch: Elements from one row to the next.
        width: Columns that are read, at most.
        left: Columns of padding on the left, less the columns to skip.
    """

    base: Pointer
    plane: Int
    pitch: Int
    width: Int
    left: Int


def bring(code: Code, source: Source, planes: Planes, channels: Int, first: Int, rows: Int) -> None:
    """Bring some channels of rows `first`, `first` + 1 and so on, of which any may lie outside."""
    apart = source.layout != "channels"  # then a channel is read from end to end
    with code.loop(channels if apart else 1) as c, code.loop(rows) as row:
        start = planes.base + c * planes.plane + row * planes.pitch
        base = source.base + c * source.strides[0]
        _row(
            code, source, planes, base, start, first + row, code.constant(1) if apart else channels
        )


def _row(
    code: Code, source: Source, planes: Planes, base: Pointer, start: Pointer, y: Int, channels: Int
) -> None:
    """Bring a row of so many channels, with zeros where it lies outside."""
    height, width = source.size
    low, high = panel.inside(code, planes.left, width, planes.width)
    columns = high - low
    at = base + y * source.strides[1] + (low - planes.left) * source.strides[2]
    to = start + low

    def single() -> None:
        with code.loop(channels) as c, code.loop(columns) as x:
            value = code.load(at + c * source.strides[0] + x * source.strides[2], 1)
            code.store(value, to + c * planes.plane + x)

    with code.either((y >= 0) & (y < height)) as (inside, outside):
        with inside:
            if source.layout == "rows":
                panel.copy(code, at, to, columns)
            elif source.layout == "channels":
                with code.either((channels >= code.lanes) & (columns >= code.lanes)) as (many, few):
                    with many:
                        counts = columns, channels
                        panel.turn(code, at, source.strides[2], counts, to, planes.plane)
                    with few:
                        single()
            else:
                single()
        with outside, code.loop(channels) as c:
            panel.zeros(code, start + c * planes.plane, planes.pitch)
