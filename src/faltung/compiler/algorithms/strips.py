"""Strips: a block of rows as [strip of channels][row][x][channel], zero padding included.

A strip is as wide as a register tile, so that a tile reads one strip from end to end. Vectors that
are written may reach into the next pixel, which is written later.
"""

from dataclasses import dataclass

from faltung.compiler.algorithms.panel import Source, inside, zeros
from faltung.compiler.emit import Code, Index, Int, Pointer

LINE = 16  # float32 elements of a cache line


def plane(elements: int) -> int:
    """Return the distance of strips of so many elements.

    It leaves room for a whole vector behind the last element, and is odd in cache lines, so that
    neighbouring strips, which are written side by side, do not meet in the same set of the cache.
    """
    return (-(-elements // LINE) + 1 | 1) * LINE


@dataclass(frozen=True)
class Strips:
    """Where a block of rows goes.

    Attributes:
        base: First element, float32.
        height: Elements of a pixel in a strip.
        total: Channels there are.
        tall: Strips of `height` channels.
        short: Channels of the strips behind these.
        count: Number of strips.
        safe: Strips that vectors may be read for: behind the last ones the tensor may end.
        plane: Elements from one strip to the next.
        width: Columns, padding included.
    """

    base: Pointer
    height: int
    total: Int
    tall: Int
    short: Index
    count: Int
    safe: Int
    plane: Int
    width: Int

    def channels(self, strip: Int) -> tuple[Int, Int]:
        """Return the first channel of a strip, and how many it has."""
        tall, behind = strip < self.tall, self.tall * self.height
        first = tall.choose(strip * self.height, behind + (strip - self.tall) * self.short)
        return first, tall.choose(self.height, self.short)


def fill_whole(code: Code, source: Source, strips: Strips, rows: Int) -> None:
    """Write rows that lie inside the image from end to end."""
    with code.loop(rows) as row:
        line = strips.base + row * strips.width * strips.height
        _body(code, source, source.base + row * source.strides[1], strips, line, strips.width)


def fill(code: Code, source: Source, strips: Strips, top: Index, left: Index, rows: Int) -> None:
    """Write `rows` rows of strips: row 0 is row -top of the image, column 0 its column -left.

    Args:
        code: The function being written.
        source: Where the elements come from.
        strips: Where they go.
        top: Rows of padding above, less the rows of the image to skip.
        left: Columns of padding on the left, less the columns to skip.
        rows: Rows to write.
    """
    height = strips.height
    low, high = inside(code, left, source.size[1], strips.width)
    with code.loop(rows) as row:
        line = strips.base + row * strips.width * height
        y = row - top
        with code.either((y >= 0) & (y < source.size[0])) as (there, nothing):
            with there:
                first = source.base + y * source.strides[1] + (low - left) * source.strides[2]
                _body(code, source, first, strips, line + low * height, high - low)
                with code.when(high - low < strips.width), code.loop(strips.count) as q:
                    at = line + q * strips.plane
                    zeros(code, at, low * height)
                    zeros(code, at + high * height, (strips.width - high) * height)
            with nothing, code.loop(strips.count) as q:
                zeros(code, line + q * strips.plane, strips.width * height)


def _body(
    code: Code, source: Source, first: Pointer, strips: Strips, to: Pointer, columns: Int
) -> None:
    """Write the part of a row that lies inside the image."""
    if source.layout == "channels":
        _copy(code, source, first, strips, to, columns)
    elif source.layout == "rows":
        with code.either(columns >= code.lanes) as (long, short):
            with long:
                _turn(code, source, first, strips, to, columns)
            with short:
                _gather(code, source, first, strips, to, columns)
    else:
        _gather(code, source, first, strips, to, columns)


def _copy(
    code: Code, source: Source, first: Pointer, strips: Strips, to: Pointer, columns: Int
) -> None:
    """Copy pixels whose channels lie side by side; what a vector would overrun, one by one."""
    tall = code.smaller(strips.tall, strips.safe)
    with code.loop(columns) as x:
        pixel, at = first + x * source.strides[2], to + x * strips.height

        def whole(q: Int, channel: Int) -> None:
            for part in range(0, strips.height, code.lanes):
                value = code.load(pixel + channel + part)
                code.store(value, at + q * strips.plane + part)

        with code.loop(tall) as q:
            whole(q, q * strips.height)
        with code.loop(strips.safe, tall) as q:
            whole(q, tall * strips.height + (q - tall) * strips.short)
        with code.loop(strips.count, strips.safe) as q:
            channel, there = strips.channels(q)
            strip = at + q * strips.plane
            with code.loop(there) as c:
                code.store(code.load(pixel + channel + c, 1), strip + c)
            zeros(code, strip + there, strips.height - there)


def _turn(
    code: Code, source: Source, first: Pointer, strips: Strips, to: Pointer, columns: Int
) -> None:
    """Copy [channel][x] to [strip][x][channel] in squares; the last square of a line overlaps."""
    lanes, along_c, height = code.lanes, source.strides[0], strips.height
    with code.loop(strips.count) as q:
        channel, _ = strips.channels(q)
        for part in reversed(range(0, height, lanes)):
            used, last = min(lanes, height - part), strips.total - 1
            rows = [first + code.smaller(channel + (part + i), last) * along_c for i in range(used)]
            with code.loop((columns + (lanes - 1)) // lanes) as step:
                x = code.smaller(step * lanes, columns - lanes)
                square = [code.load(row + x) for row in rows]
                square += square[-1:] * (lanes - used)
                at = code.settled(to + q * strips.plane + x * height + part)
                for i, vector in enumerate(code.transposed(square)):
                    code.store(vector, at + i * height)


def _gather(
    code: Code, source: Source, first: Pointer, strips: Strips, to: Pointer, columns: Int
) -> None:
    """Copy element by element."""
    with code.loop(strips.count) as q:
        channel, there = strips.channels(q)
        strip = to + q * strips.plane
        zeros(code, strip, columns * strips.height)
        with code.loop(there) as c:
            row = first + (channel + c) * source.strides[0]
            with code.loop(columns) as x:
                value = code.load(row + x * source.strides[2], 1)
                code.store(value, strip + x * strips.height + c)
