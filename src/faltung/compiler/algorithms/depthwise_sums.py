"""Sums over the taps of one channel, in a register tile of output rows and columns.

A channel's input lies in a panel: rows of positions, zero padding included, float32. A position is
one element where vectors run along a row, and one vector where they run over channels; the sums are
the same code. Positions of a row are ordered by their rest modulo the column step, in segments, so
that the vectors of a strided window are neighbours too.

Each output is summed over rows of taps and, within a row, over its columns, in an order that
depends on window, stride and dilation alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from faltung.compiler.algorithms.depthwise_axes import Axis
from faltung.compiler.emit import Code, Condition, Index, Int, Pointer, Variable, Vector

UNROLLED_TAPS = 12
UNROLLED_COLUMNS = 8
Slots = list[list[Variable]]


@dataclass(frozen=True)
class Inside:
    """Where a tile stands in an image, of which it sees more than there is.

    Attributes:
        first: Row and column of the position of its first output.
        step: Columns from one vector of outputs to the next.
        size: Height and width of the image.
    """

    first: tuple[Int, Int]
    step: int
    size: tuple[Int, Int]

    def has_row(self, row: Index) -> Condition:
        """Say whether the image has a row, counted from that of the first output."""
        y = self.first[0] + row
        return (y >= 0) & (y < self.size[0])

    def has_column(self, column: Index, t: int) -> Condition:
        """Say whether the image has a column, counted from that of vector t of outputs."""
        x = self.first[1] + t * self.step + column
        return (x >= 0) & (x < self.size[1])


@dataclass(frozen=True)
class Held:
    """Where the first output of a tile stands in a panel, or in the image itself.

    Attributes:
        base: The position of that output.
        pitch: Elements from one row to the next.
        segment: Elements from one segment of a row to the next.
        unit: Elements from one position of a segment to the next.
        rests: Segments of a row.
        step: Rows from one output of the tile to the next.
        across: Elements from one vector of outputs to the next.
        inside: For an image, what is left out of it; None where a tile sees nothing outside.
        last: Elements from the first vector to the last one, where that is not a multiple.
    """

    base: Pointer
    pitch: Int
    segment: Int
    unit: Index
    rests: int
    step: int
    across: Index
    inside: Inside | None = None
    last: Int | None = None

    def vector(self, at: Pointer, t: int, count: int) -> Pointer:
        """Return where vector t of `count` lies."""
        if self.last is not None and t == count - 1:
            return at + self.last
        return at + t * self.across


@dataclass(frozen=True)
class Taps:
    """Weights of one channel or one vector of channels, tap after tap.

    Attributes:
        base: The first tap.
        width: Taps in a row.
        unit: Elements of a tap: one, or a vector.
    """

    base: Pointer
    width: int
    unit: int

    def vector(self, code: Code, row: Index, column: Index) -> Vector:
        """Return a tap as a vector."""
        at = self.base + (row * self.width + column) * self.unit
        return code.load(at) if self.unit > 1 else code.broadcast(at)


def zero(code: Code, shape: tuple[int, int]) -> Slots:
    """Return the variables of a tile, all zero."""
    return [[code.variable(code.fill(0)) for _ in range(shape[1])] for _ in range(shape[0])]


def add(code: Code, slots: Slots, held: Held, taps: Taps, axes: tuple[Axis, Axis]) -> None:
    """Add the products of all taps to a tile.

    Neighbouring output rows share the input rows they read, where the distances allow.
    """
    rows, columns = axes
    high, down = len(slots), held.step

    def line(i: Index, active: Sequence[int]) -> None:
        pairs = [(y, rows.tap + (i - y) * rows.tap_step) for y in active]
        _line(code, slots, held, taps, columns, rows.first + i * rows.step, pairs)

    if rows.count * columns.count <= UNROLLED_TAPS or rows.count < high:
        lines: dict[int, list[tuple[int, Index]]] = {}
        for y in range(high):
            for k in range(rows.count):
                at = y * down + rows.first + k * rows.step
                lines.setdefault(at, []).append((y, rows.tap + k * rows.tap_step))
        for at in sorted(lines):
            _line(code, slots, held, taps, columns, at, lines[at])
    elif rows.step == down:
        for i in range(high - 1):
            line(i, range(i + 1))
        with code.loop(rows.count, high - 1) as middle:
            line(middle, range(high))
        for i in range(rows.count, rows.count + high - 1):
            line(i, range(i - rows.count + 1, high))
    else:
        with code.loop(rows.count) as number:
            for y in range(high):
                place = y * down + rows.first + number * rows.step
                tap = rows.tap + number * rows.tap_step
                _line(code, slots, held, taps, columns, place, [(y, tap)])


def _line(
    code: Code,
    slots: Slots,
    held: Held,
    taps: Taps,
    columns: Axis,
    row: Index,
    pairs: Sequence[tuple[int, Index]],
) -> None:
    """Add the products of one input row: with row r of taps to row y of the tile, for each pair."""

    def products() -> None:
        for part in columns.parts(held.rests):
            start = held.base + row * held.pitch + held.segment * (part.first % held.rests)
            with _counted(code, part.count) as numbers:
                for k in numbers:
                    place = part.first // held.rests + k * (part.step // held.rests)
                    at = start + place * held.unit
                    column = part.tap + k * part.tap_step
                    _outer(code, slots, held, at, place, [(y, taps, r, column) for y, r in pairs])

    if held.inside is None:
        products()
    else:
        with code.when(held.inside.has_row(row)):
            products()


def _outer(
    code: Code,
    slots: Slots,
    held: Held,
    at: Pointer,
    place: Index,
    taps: Sequence[tuple[int, Taps, Index, Index]],
) -> None:
    """Add the products of neighbouring elements and a tap of some rows; few wait in registers."""
    width = len(slots[0])

    def product(y: int, t: int, element: Vector, weight: Vector) -> None:
        slots[y][t].set(code.fma(element, weight, slots[y][t].get()))

    elements = [held.vector(at, t, width) for t in range(width)]
    if held.inside is not None:
        for t, address in enumerate(elements):
            with code.when(held.inside.has_column(place, t)):
                for y, tap, r, s in taps:
                    product(y, t, code.load(address), tap.vector(code, r, s))
    elif len(taps) < width:
        weights = [(y, tap.vector(code, r, s)) for y, tap, r, s in taps]
        for t, address in enumerate(elements):
            value = code.load(address)
            for y, weight in weights:
                product(y, t, value, weight)
    else:
        values = [code.load(address) for address in elements]
        for y, tap, r, s in taps:
            weight = tap.vector(code, r, s)
            for t, value in enumerate(values):
                product(y, t, value, weight)


@contextmanager
def _counted(code: Code, count: int) -> Iterator[Sequence[Index]]:
    """Give the numbers below `count` at once, or in a loop one by one."""
    if count <= UNROLLED_COLUMNS:
        yield range(count)
    else:
        with code.loop(count) as number:
            yield (number,)
