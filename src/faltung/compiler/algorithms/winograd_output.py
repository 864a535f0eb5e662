"""What makes outputs of transformed tiles: products over channels, the way back, and writing."""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import output, tile, winograd_kernels
from faltung.compiler.algorithms.toom_cook import matrices
from faltung.compiler.algorithms.winograd_input import applied
from faltung.compiler.emit import Code, Int, Pointer, Vector


@dataclass(frozen=True)
class Room:
    """Where a thread keeps what it makes of a block of tile rows.

    Attributes:
        products: Products, [element][tile][output].
        staged: Outputs of one row of tiles, line by line.
        table: Their places in the target.
        most: Tiles that there is room for.
    """

    products: Pointer
    staged: Pointer
    table: Pointer
    most: Int


def room(code: Code, spec: Any, a: Any, at: Pointer) -> Room:
    """Lay out a thread's room that begins at an address, and tabulate places."""
    width = spec.tile[1] * code.lanes
    most = a.rows_in_block * a.tile_columns + spec.tile[0]
    staged = at + most * (spec.size**2 * width)
    table = (staged + a.tile_columns * (spec.outputs**2 * width)).cast("i64")
    with code.loop(spec.delivered) as line, code.loop(a.columns) as x:
        place = line * a.target_row + x * a.target_column
        code.store_int(place, table + line * a.columns + x)
    return Room(at, staged, table, most)


def put_tiles(
    code: Code,
    spec: Any,
    a: Any,
    inputs: Pointer,
    kernels: Pointer,
    held: Room,
    first: Int,
    count: Int,
    k: Int,
) -> None:
    """Make and write the outputs k ... of `count` rows of tiles.

    Args:
        code: The function being written.
        spec: What the kernel is specialised on.
        a: Its arguments.
        inputs: Transformed tiles of the first row.
        kernels: Transformed weights.
        held: Where the thread works.
        first: Number of the first row.
        count: Rows.
        k: The first output channel.
    """
    with code.loop(spec.size**2) as element:
        _products(code, spec, a, inputs, kernels, held, element, count * a.tile_columns)
    with code.loop(count) as unit:
        _put_row(code, spec, a, held, first, unit, k)


def _products(
    code: Code,
    spec: Any,
    a: Any,
    inputs: Pointer,
    kernels: Pointer,
    held: Room,
    element: Int,
    tiles: Int,
) -> None:
    """Multiply one element of all tiles of a block: a matrix product over channels."""
    rows, vectors = spec.tile
    width = vectors * code.lanes
    line = kernels + element * winograd_kernels.pitch(a.channels, width)
    start = inputs + element * (a.padded_tiles * a.channels)
    out = held.products + element * (held.most * width)
    with code.loop(tiles, 0, rows) as first:
        sums = tile.sums(code, rows, vectors)
        starts = [start + (first + i) * a.channels for i in range(rows)]
        if spec.block:
            tile.accumulate_blocks(code, sums, starts, line, a.channels, spec.block)
        else:
            tile.accumulate(code, sums, starts, line, a.channels)
        for i, row in enumerate(sums):
            for j, slot in enumerate(row):
                code.store(slot.get(), out + (first + i) * width + j * code.lanes)


def _put_row(code: Code, spec: Any, a: Any, held: Room, first: Int, unit: Int, k: Int) -> None:
    """Transform one row of tiles back and write it."""
    width, staged = spec.tile[1] * code.lanes, held.staged
    back, _, _ = matrices(spec.outputs, spec.taps)
    scratch = code.scratch(spec.size * spec.outputs * code.lanes)
    step = spec.delivered
    pitch = a.tile_columns * step
    with code.loop(a.tile_columns) as column, code.loop(width, 0, code.lanes) as j:
        start = held.products + (unit * a.tile_columns + column) * width + j
        with code.loop(spec.size) as line:
            at = code.settled(start + line * (held.most * (spec.size * width)))
            values = [code.load(at + held.most * (n * width)) for n in range(spec.size)]
            for n, value in enumerate(applied(code, back, values)):
                code.store(value, scratch + (line * spec.outputs + n) * code.lanes)
        columns = [
            [code.load(scratch + (i * spec.outputs + n) * code.lanes) for i in range(spec.size)]
            for n in range(spec.outputs)
        ]
        found = [applied(code, back, values) for values in columns]
        made = [list(row) for row in zip(*found, strict=True)]
        for i, row in enumerate(_pooled(code, spec.pool, made) if spec.pool else made):
            to = code.settled(staged + (pitch * i + column * step) * width + j)
            for n, value in enumerate(row):
                code.store(value, to + n * width)
    number = a.first_row + first + unit
    image, y = number // a.tile_rows, number % a.tile_rows * step
    start = a.target_offset + image * a.target_image + y * a.target_row
    sink = output.Sink(
        a.target + start, spec.sink, a.target_channel, held.table, a.bias if spec.bias else None,
        a.summand + start if spec.summand else None, spec.activation, a.outputs,
    )  # fmt: skip
    lines = code.smaller(a.lines - y, step)
    output.write(code, sink, staged, width, k, (lines, a.columns, pitch), a.target_row)


def _pooled(code: Code, pool: str, made: list[list[Vector]]) -> list[list[Vector]]:
    """Return the largest element, or the mean, of every square of 2x2."""

    def one(a: Vector, b: Vector) -> Vector:
        return a + b if pool == "avg" else a.beats(b, ">").choose(a, b)

    found = []
    for upper, lower in zip(made[::2], made[1::2], strict=True):
        pairs = [one(a, b) for a, b in zip(upper, lower, strict=True)]
        values = [one(a, b) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
        found.append([v * code.fill(0.25) for v in values] if pool == "avg" else values)
    return found
