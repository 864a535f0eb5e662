"""Gradient of dense weights: pixels are what is summed over, in the same register tile.

For a block of outputs, which are some columns of some rows or small images, the input comes into
strips of channels [strip][image][row][x][channel] and the gradient into strips of outputs
[tile][pixel][output]. A register tile holds the channels of a strip, for one tap, times a tile of
outputs; the pixels of the block pass by, then the tile is added to a sum in memory: longer chains
would round more. Few channels stay side by side in one panel, where the places of a tile are
neighbouring (column of taps, channel). The sums of all blocks are made in a fixed number of parts,
which the problem alone decides, and added in their order, so that the bits do not depend on the
threads.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import strips, weight_sums
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.algorithms.dense_weight_sum import Block, add_bias, add_products
from faltung.compiler.algorithms.panel import Panel, Source, fill
from faltung.compiler.emit import Code, Condition, Int, Pointer, Program
from faltung.compiler.target import Target

TENSORS = ("x", "dy", "db", "dw")
SIZES = (
    "images", "groups", "channels", "slice", "slices", "slices_in_set", "sets", "pitch", "outputs",
    "height", "width", "lines", "columns",
    "x_image", "x_channel", "x_row", "x_column", "x_offset",
    "dy_image", "dy_channel", "dy_row", "dy_column",
    "dw_output", "dw_channel", "dw_row", "dw_column", "dw_offset",
    "run_length", "run_first", "run_rows", "run_columns", "run_channels",
    "place_row", "place_column",
    "top", "left", "panel_width", "panel_image", "apart", "dy_apart",
    "tall", "strips", "safe",
    "window_rows", "window_columns", "segments", "places", "slice_sums", "sums",
    "bias_at", "own_sums", "table", "tiles",
    "stride_row", "stride_column", "tap_row", "tap_column",
    "rows", "span", "across", "blocks", "batch",
    "parts", "chunks", "tiles_in_chunk", "shared", "private",
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """What a kernel is specialised on; everything else is an argument.

    Attributes:
        x: Layout of the input.
        dy: Layout of the gradient.
        kind: Element type of all tensors.
        bias: The gradient of the bias is made too.
        tile: Rows and vectors of the register tile.
        woven: Channels of the small groups that share a vector, or 0; then a "group" of the
            numbers is a vector of channels, and input and gradient have the same channels.
        strips: The input comes in strips, as wide as the register tile is high.
        uneven: Some register tiles, and their strips, have a row less.
        single: All pixels are one part: a task writes its weights itself, while they are near.
    """

    x: str
    dy: str
    kind: str
    bias: bool
    tile: tuple[int, int]
    woven: int
    strips: bool
    uneven: bool
    single: bool

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        width = self.tile[1] * target.lanes
        with program.region("sum") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            if self.single:
                _tabulate(code, a, width)
            first, last = code.share(a.parts * a.groups * a.sets * a.chunks)
            with code.loop(last, first) as task:
                _task(code, self, a, task)
        if self.single:
            return program
        with program.region("gather") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            table = _tabulate(code, a, width)
            first, last = code.share(a.groups * a.tiles * a.slices)
            with code.loop(last, first) as task:
                weight_sums.gather(code, a, width, task, table)
            if self.bias:
                first, last = code.share(a.groups * a.tiles)
                with code.loop(last, first) as number:
                    weight_sums.gather_bias(code, a, width, number)
        return program


def _tabulate(code: Code, a: Any, width: int) -> Pointer:
    """Note where the elements of a run are, if runs are long enough; return this thread's table."""
    table: Pointer = (a.workspace + a.shared + code.thread * a.private).cast("i64")
    with code.when(a.run_length >= code.lanes):
        weight_sums.tabulate(code, a, width, table)
    return table


@dataclass(frozen=True)
class _Task:
    """Some slices of channels, and a chunk of tiles of outputs.

    Attributes:
        group: The group.
        first_slice: The first slice.
        first_tile: The first tile.
        outputs: Number of outputs.
        table: Where the elements of a run are in the sums.
        sums: Of the first slice and tile, or of this part.
        dy: Strips of the gradient.
        x: Strips of the input, or the panel.
    """

    group: Int
    first_slice: Int
    first_tile: Int
    outputs: Int
    table: Pointer
    sums: Pointer
    dy: Pointer
    x: Pointer


def _task(code: Code, spec: Spec, a: Any, number: Int) -> None:
    """Sum one part of the pixels for the slices and tiles of a task."""
    width = spec.tile[1] * code.lanes
    chunk, rest = number % a.chunks, number // a.chunks
    number, rest = rest % a.sets, rest // a.sets
    group, part = rest % a.groups, rest // a.groups
    first_tile, first_slice = chunk * a.tiles_in_chunk, number * a.slices_in_set
    table = a.workspace + a.shared + code.thread * a.private
    dy = table + a.table + a.own_sums
    sums = table + a.table
    if not spec.single:
        sums = a.workspace + ((part * a.groups + group) * a.tiles + first_tile) * a.sums
    outputs = code.smaller(a.outputs - first_tile * width, a.tiles_in_chunk * width)
    x = dy + a.dy_apart * a.tiles_in_chunk
    task = _Task(group, first_slice, first_tile, outputs, table.cast("i64"), sums, dy, x)
    units = (a.images + (a.batch - 1)) // a.batch * a.blocks
    begin, end = part * units // a.parts, (part + 1) * units // a.parts
    with code.loop(end, begin) as unit:
        block = _block(code, a, unit, unit.equals(begin), unit.equals(end - 1))
        _bring_gradient(code, spec, a, task, block)
        with code.loop(
            code.smaller(first_slice + a.slices_in_set, a.slices), first_slice
        ) as number:
            _bring_input(code, spec, a, task, block, number)
            with code.loop((outputs + (width - 1)) // width) as tile:
                _sum(code, spec, a, task, block, number, tile)


def _block(code: Code, a: Any, unit: Int, first: Condition, last: Condition) -> Block:
    """Return the block of a number: columns go first, then rows, then images."""
    image, place = unit // a.blocks * a.batch, unit % a.blocks
    line, column = place // a.across * a.rows, place % a.across * a.span
    return Block(
        image, code.smaller(a.images - image, a.batch),
        line, code.smaller(a.lines - line, a.rows),
        column, code.smaller(a.columns - column, a.span), first, last,
    )  # fmt: skip


def _bring_gradient(code: Code, spec: Spec, a: Any, task: _Task, block: Block) -> None:
    """Bring the gradient of a block into strips."""
    width = spec.tile[1] * code.lanes
    total = task.outputs
    first = task.group * a.outputs + task.first_tile * width
    strides = (a.dy_channel, a.dy_row, a.dy_column)
    tall, count = total // width, (total + (width - 1)) // width
    with code.loop(block.images) as i:
        base = a.dy + (block.image + i) * a.dy_image + first * a.dy_channel
        base = base + block.line * a.dy_row + block.column * a.dy_column
        source = Source(base, spec.dy, strides, (block.lines, block.columns))
        to = task.dy + i * (block.lines * block.columns * width)
        made = strips.Strips(
            to, width, total, tall, total % width, count, tall, a.dy_apart, block.columns
        )
        strips.fill_whole(code, source, made, block.lines)


def _bring_input(code: Code, spec: Spec, a: Any, task: _Task, block: Block, number: Int) -> None:
    """Bring the input of a block, of one slice of channels, into strips or a panel."""
    height = spec.tile[0]
    first = a.x_offset + (task.group * a.channels + number * a.slice) * a.x_channel
    strides = (a.x_channel, a.x_row, a.x_column)
    rows = (block.lines - 1) * a.stride_row + (a.window_rows - 1) * a.tap_row + 1
    top, left = a.top - block.line * a.stride_row, a.left - block.column * a.stride_column
    with code.loop(block.images) as i:
        base = a.x + first + (block.image + i) * a.x_image
        source = Source(base, spec.x, strides, (a.height, a.width))
        to = task.x + i * a.panel_image
        if spec.strips:
            made = strips.Strips(
                to, height, a.slice, a.tall, height - 1, a.strips, a.safe, a.apart, a.panel_width
            )
            strips.fill(code, source, made, top, left, rows)
        else:
            panel = Panel(to, a.pitch, a.pitch, code.constant(0), a.panel_width)
            fill(code, source, panel, top, left, rows)


def _sum(code: Code, spec: Spec, a: Any, task: _Task, block: Block, number: Int, tile: Int) -> None:
    """Add the products of a slice and a tile; write what is whole."""
    width = spec.tile[1] * code.lanes
    own = task.sums + tile * a.sums
    sums = own + (number - task.first_slice if spec.single else number) * a.slice_sums
    gradient, bias = task.dy + tile * a.dy_apart, own + a.bias_at
    add_products(code, spec, a, task.x, gradient, sums, block)
    if spec.bias:
        with code.when(number.equals(0)):
            add_bias(code, spec, a, gradient, bias, block)
    if not spec.single:
        return
    with code.when(block.last):
        tile = task.first_tile + tile
        offset = task.group * a.outputs * a.dw_output + number * a.slice * a.dw_channel
        weight_sums.write(code, a, width, sums, tile, task.table, offset)
        if spec.bias:
            with code.when(number.equals(0)):
                weight_sums.write_bias(code, a, width, bias, task.group, tile)
