"""Panels of planes: some channels of a block of input rows as [channel][row][x].

Zeros stand left and right of a row, as padding; those behind it and those before the next row may
be the same ones. They are written once for all blocks.
"""

from dataclasses import dataclass

from faltung.compiler.algorithms import depthwise_rows, panel
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


def bring(
    code: Code, source: Source, planes: Planes, channels: Int, first: Int, rows: Int, blocks: Int
) -> None:
    """Bring some channels of rows `first`, `first` + 1 and so on, of which any may lie outside.

    Where an image is a single block, those are still as the panel began: zero.
    """
    apart = source.layout != "channels"  # then a channel is read from end to end
    low, high = panel.inside(code, -1 * first, source.size[0], rows)
    with code.when(blocks > 1), code.loop(channels) as c:
        for begin, end in ((code.constant(0), low), (high, rows)):
            start = planes.base + c * planes.plane + begin * planes.pitch
            panel.zeros(code, start, (end - begin) * planes.pitch)
    with code.loop(channels if apart else 1) as c, code.loop(high, low) as row:
        start = planes.base + c * planes.plane + row * planes.pitch
        base = source.base + c * source.strides[0] + (first + row) * source.strides[1]
        _row(code, source, planes, base, start, code.constant(1) if apart else channels)


def _row(
    code: Code, source: Source, planes: Planes, base: Pointer, start: Pointer, channels: Int
) -> None:
    """Bring a row of so many channels."""
    low, high = panel.inside(code, planes.left, source.size[1], planes.width)
    columns = high - low
    at, to = base + (low - planes.left) * source.strides[2], start + low

    def single() -> None:
        with code.loop(channels) as c, code.loop(columns) as x:
            value = code.load(at + c * source.strides[0] + x * source.strides[2], 1)
            code.store(value, to + c * planes.plane + x)

    if source.layout == "rows":
        depthwise_rows.line(code, at, to, columns)
    elif source.layout == "channels":
        with code.either((channels >= code.lanes) & (columns >= code.lanes)) as (many, few):
            with many:
                counts = columns, channels
                panel.turn(code, at, source.strides[2], counts, to, planes.plane)
            with few:
                single()
    else:
        single()
