"""Weights packed for the register tile: [group][tile][channel block][r][s][channel][output].

A tile holds as many neighbouring outputs as the register tile is wide; outputs that are not there
are zero. Any strides are read, so that flipped, transposed and subsampled kernels are only other
strides.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.emit import Code, Int, Pointer


@dataclass(frozen=True)
class Packing:
    """Sizes of packed weights: numbers for a plan, numbers of the program for a kernel.

    Attributes:
        outputs: Output channels of a group.
        channels: Input channels of a group.
        window: Taps along height and width.
        block: Input channels in a block; divides `channels`.
        width: Outputs in a tile.
    """

    outputs: Any
    channels: Any
    window: tuple[Any, Any]
    block: Any
    width: int

    @property
    def tiles(self) -> Any:
        """Tiles that a group needs."""
        return (self.outputs + (self.width - 1)) // self.width

    @property
    def tile(self) -> Any:
        """Elements of one tile."""
        return self.channels * self.window[0] * self.window[1] * self.width

    @property
    def group(self) -> Any:
        """Elements of one group."""
        return self.tiles * self.tile


@dataclass(frozen=True)
class Strides:
    """Elements from one group, output, input channel, row and column of taps to the next."""

    group: Int
    output: Int
    channel: Int
    row: Int
    column: Int


@dataclass(frozen=True)
class Run:
    """Weights that lie side by side, and the walk over such runs.

    Attributes:
        length: Elements of a run.
        first: Distance of its first element from the first tap of the first channel.
        rows: Rows of taps to walk over, 1 where a run holds them all.
        columns: Columns of taps to walk over, 1 where a run holds them all.
        channels: Channels to walk over, 1 where a run holds those of a block.
    """

    length: Int
    first: Int
    rows: Int
    columns: Int
    channels: Int


def pack(
    code: Code,
    packing: Packing,
    groups: Int,
    source: Pointer,
    strides: Strides,
    run: Run,
    target: Pointer,
    table: Pointer,
) -> None:
    """Pack all weights, the threads of the team sharing the work.

    `table` has room for the places ("i64") of a run's elements in the packed block.
    """
    rows, columns = packing.window
    block, width = packing.block, packing.width
    blocks = packing.channels // block
    size = block * rows * columns * width
    with code.when(run.length >= code.lanes):
        _tabulate(code, packing, strides, run, table)
    first, last = code.share(groups * (packing.tiles * blocks))
    with code.loop(last, first) as task:
        outer, rest = task % blocks, task // blocks
        tile, group = rest % packing.tiles, rest // packing.tiles
        base = source + group * strides.group + outer * block * strides.channel
        _pack_block(code, packing, base, strides, run, tile, target + task * size, table)


def pack_tile(
    code: Code,
    packing: Packing,
    source: Pointer,
    strides: Strides,
    run: Run,
    tile: Int,
    target: Pointer,
    table: Pointer,
) -> None:
    """Pack one tile of outputs; its block holds all channels."""
    with code.when(run.length >= code.lanes):
        _tabulate(code, packing, strides, run, table)
    _pack_block(code, packing, source, strides, run, tile, target, table)


def pack_woven(
    code: Code,
    packing: Packing,
    groups: Int,
    each: int,
    source: Pointer,
    strides: Strides,
    target: Pointer,
) -> None:
    """Pack small groups of `each` outputs that share a vector: [tile][r][s][channel][output]."""
    rows, columns = packing.window
    first, last = code.share(groups)
    with code.loop(last, first) as tile, code.loop(packing.width) as k:
        base = source + (tile * (packing.width // each) + k // each) * strides.group
        base = base + k % each * strides.output
        to = target + tile * packing.tile + k
        with code.loop(rows) as r, code.loop(columns) as s, code.loop(packing.channels) as c:
            at = base + r * strides.row + s * strides.column + c * strides.channel
            code.store(code.load(at, 1), to + ((r * columns + s) * each + c) * packing.width)


def _pack_block(
    code: Code,
    packing: Packing,
    source: Pointer,
    strides: Strides,
    run: Run,
    tile: Int,
    to: Pointer,
    table: Pointer,
) -> None:
    """Pack one block of channels of one tile of outputs."""
    rows, columns = packing.window
    width = packing.width
    base = source + tile * width * strides.output
    count = code.smaller(packing.outputs - tile * width, width)
    with code.either(strides.output.equals(1) & count.equals(width)) as (near, apart):
        with near, code.loop(rows) as r, code.loop(columns) as s, code.loop(packing.block) as c:
            at = base + r * strides.row + s * strides.column + c * strides.channel
            line = to + ((r * columns + s) * packing.block + c) * width
            for j in range(0, width, code.lanes):
                code.store(code.load(at + j), line + j)
        with apart, code.either(run.length >= code.lanes) as (squares, single):
            with squares:
                _turn(code, packing, strides, run, base, count, to, table)
            with single:
                _gather(code, packing, strides, base, count, to)


def _tabulate(code: Code, packing: Packing, strides: Strides, run: Run, table: Pointer) -> None:
    """Note where in a packed block each element of a run belongs."""
    rows, columns = packing.window
    with (
        code.loop(rows // run.rows) as r,
        code.loop(columns // run.columns) as s,
        code.loop(packing.block // run.channels) as c,
    ):
        at = r * strides.row + s * strides.column + c * strides.channel - run.first
        place = ((r * columns + s) * packing.block + c) * packing.width
        code.store_int(place, table + at)


def _turn(
    code: Code,
    packing: Packing,
    strides: Strides,
    run: Run,
    base: Pointer,
    count: Int,
    to: Pointer,
    table: Pointer,
) -> None:
    """Pack a block in squares of (outputs, elements of a run).

    Where a tile has fewer outputs than its width, the last one stands in for those that miss; the
    last square of a run overlaps the one before.
    """
    lanes = code.lanes
    columns = packing.window[1]
    with (
        code.loop(run.rows) as r,
        code.loop(run.columns) as s,
        code.loop(run.channels) as c,
        code.loop(packing.width // lanes) as j,
    ):
        start = base + r * strides.row + s * strides.column + c * strides.channel + run.first
        out = to + ((r * columns + s) * packing.block + c) * packing.width + j * lanes
        lines = [
            start + code.smaller(j * lanes + i, count - 1) * strides.output for i in range(lanes)
        ]
        with code.loop((run.length + (lanes - 1)) // lanes) as step:
            at = code.smaller(step * lanes, run.length - lanes)
            square = [code.load(line + at) for line in lines]
            for i, vector in enumerate(code.transposed(square)):
                code.store(vector, out + code.load_int(table + at + i))


def _gather(
    code: Code, packing: Packing, strides: Strides, base: Pointer, count: Int, to: Pointer
) -> None:
    """Pack a block element by element; outputs that are not there are zero."""
    rows, columns = packing.window
    block, width = packing.block, packing.width
    with code.loop(rows) as r, code.loop(columns) as s:
        tap = base + r * strides.row + s * strides.column
        line = to + (r * columns + s) * block * width
        with code.loop(count) as k, code.loop(block) as c:
            at = tap + k * strides.output + c * strides.channel
            code.store(code.load(at, 1), line + c * width + k)
        with code.loop(width, count) as k, code.loop(block) as c:
            code.store(code.fill(0, 1), line + c * width + k)
