"""Panels: a block of input rows as [channel block][row][x][channel], zero padding included.

Whatever strides the tensor has, in a panel the taps of a window lie at fixed distances and the
channels side by side, so that one inner loop serves every layout, stride, dilation and padding.
"""

from dataclasses import dataclass

from faltung.compiler.emit import Code, Index, Int, Pointer

LAYOUTS = ("channels", "rows", "any")  # what has stride 1: the channels, the elements of a row


@dataclass(frozen=True)
class Source:
    """Channels of one image.

    Attributes:
        base: First element.
        layout: Which axis has stride 1, one of `LAYOUTS`.
        strides: Elements from one channel, row and column to the next.
        size: Height and width.
    """

    base: Pointer
    layout: str
    strides: tuple[Int, Int, Int]
    size: tuple[Int, Int]


@dataclass(frozen=True)
class Panel:
    """Where a block of rows goes.

    Attributes:
        base: First element, float32.
        channels: Channels in a block.
        total: Channels there are; the last block is filled up with zeros.
        plane: Elements from one block to the next.
        width: Columns, padding included.
    """

    base: Pointer
    channels: Int
    total: Int
    plane: Int
    width: Int

    def at(self, row: Int, column: Index) -> Int:
        """Return the distance of a place in a block from its beginning."""
        return (row * self.width + column) * self.channels


def fill(
    code: Code,
    source: Source,
    panel: Panel,
    top: Index,
    left: Index,
    rows: Int,
    ragged: bool = False,
) -> None:
    """Write `rows` rows of a panel: row 0 is row -top of the image, column 0 its column -left.

    Args:
        code: The function being written.
        source: Where the elements come from.
        panel: Where they go.
        top: Rows of padding above, less the rows of the image to skip.
        left: Columns of padding on the left, less the columns to skip.
        rows: Rows to write.
        ragged: The last block may have fewer channels than the others.
    """
    channels = panel.channels
    height, width = source.size
    low, high = inside(code, left, width, panel.width)
    blocks = (panel.total + (channels - 1)) // channels
    with code.loop(blocks) as block, code.loop(rows) as row:
        line = panel.base + block * panel.plane + panel.at(row, 0)
        y = row - top
        with code.either((y >= 0) & (y < height)) as (then, otherwise):
            with then:
                zeros(code, line, low * channels)
                zeros(code, line + high * channels, (panel.width - high) * channels)
                first = source.base + block * channels * source.strides[0]
                first = first + y * source.strides[1] + (low - left) * source.strides[2]
                to = line + low * channels
                if ragged:
                    rest = panel.total - block * channels
                    with code.either(rest < channels) as (fewer, all_there):
                        with fewer:
                            zeros(code, to, (high - low) * channels)
                            _gather(code, first, source, to, high - low, channels, rest)
                        with all_there:
                            _copy(code, source, first, to, high - low, channels)
                else:
                    _copy(code, source, first, to, high - low, channels)
            with otherwise:
                zeros(code, line, panel.width * channels)


def inside(code: Code, left: Index, size: Int, width: Int) -> tuple[Int, Int]:
    """Return the first of a panel's columns inside the image, and the column behind the last.

    Args:
        code: The function being written.
        left: Columns of padding on the left, less the columns to skip.
        size: Columns of the image.
        width: Columns of the panel.
    """
    low = code.smaller(code.larger(left, 0), width)
    return low, code.smaller(code.larger(size + left, low), width)


def zeros(code: Code, at: Pointer, count: Index) -> None:
    """Write `count` zeros."""
    whole = count // code.lanes
    with code.loop(whole) as i:
        code.store(code.fill(0), at + i * code.lanes)
    with code.loop(count, whole * code.lanes) as i:
        code.store(code.fill(0, 1), at + i)


def copy(code: Code, source: Pointer, target: Pointer, count: Index) -> None:
    """Copy `count` elements that lie side by side."""
    whole = count // code.lanes
    with code.loop(whole) as i:
        code.store(code.load(source + i * code.lanes), target + i * code.lanes)
    with code.loop(count, whole * code.lanes) as i:
        code.store(code.load(source + i, 1), target + i)


def _copy(
    code: Code, source: Source, first: Pointer, line: Pointer, columns: Int, channels: Int
) -> None:
    """Copy the part of a row that lies inside the image."""
    along_x = source.strides[2]
    if source.layout == "channels":
        with code.either(along_x.equals(channels)) as (dense, gaps):
            with dense:
                copy(code, first, line, columns * channels)
            with gaps, code.loop(columns) as x:
                copy(code, first + x * along_x, line + x * channels, channels)
    elif source.layout == "rows":
        many = code.smaller(columns, channels)
        with code.either(many >= code.lanes) as (long, short):
            with long:
                turn(code, first, source.strides[0], (channels, columns), line, channels)
            with short:
                _gather(code, first, source, line, columns, channels, channels)
    else:
        _gather(code, first, source, line, columns, channels, channels)


def turn(
    code: Code, first: Pointer, apart: Int, counts: tuple[Int, Int], to: Pointer, pitch: Index
) -> None:
    """Copy [i][j] to [j][i] in squares; the last square of a line overlaps.

    What is written of a j is finished before the next: lines of it, a power of two apart, meet in
    one set of the cache, and would be brought there again for each of their parts.

    Args:
        code: The function being written.
        first: Where it begins.
        apart: Elements from one i to the next; those of an i lie side by side.
        counts: Numbers of i and of j, both at least a vector's.
        to: Where it goes.
        pitch: Elements from one j to the next there.
    """
    lanes = code.lanes
    with code.loop((counts[1] + (lanes - 1)) // lanes) as step:
        j = code.smaller(step * lanes, counts[1] - lanes)
        with code.loop((counts[0] + (lanes - 1)) // lanes) as block:
            i = code.smaller(block * lanes, counts[0] - lanes)
            rows = code.settled(first + i * apart + j)
            square = [code.load(rows + u * apart) for u in range(lanes)]
            corner = code.settled(to + j * pitch + i)
            for u, vector in enumerate(code.transposed(square)):
                code.store(vector, corner + u * pitch)


def _gather(
    code: Code,
    first: Pointer,
    source: Source,
    line: Pointer,
    columns: Int,
    pitch: Int,
    channels: Int,
) -> None:
    """Copy element by element to [x][pitch]."""
    along_c, _, along_x = source.strides
    with code.loop(channels) as c:
        from_c = first + c * along_c
        with code.loop(columns) as x:
            code.store(code.load(from_c + x * along_x, 1), line + x * pitch + c)
