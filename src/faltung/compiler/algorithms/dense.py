"""Dense convolution: a panel of input rows against packed weights, summed in a register tile.

A thread takes a block of output rows of one image and group, brings the rows it needs into a panel
(`panel`), and goes through the outputs a tile at a time: the weights of a tile stay in the first
cache while all pixels of the block pass by. Long sums are cut into passes whose weights fit there;
between passes the sums wait in a staging buffer. Every output is summed over channel blocks, rows,
columns, channels in this order, so that its bits depend on nothing else.

The weights were packed before (`packing`).

Any window, stride, dilation, padding (also negative, which crops), layout and group size goes this
way; the input gradient does too, as correlations of the gradient with parts of the kernel. Such as
read the same input, and write the elements between each other's, are made in one call.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import dense_sum, output, panel, weights
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.emit import Code, Index, Int, Pointer, Program
from faltung.compiler.target import Target

TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "images", "groups", "channels", "outputs", "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column", "source_offset",
    "target_image", "target_channel", "target_row", "target_column", "target_offset",
    "top", "left", "panel_width",
    "window_rows", "window_columns", "stride_row", "stride_column", "tap_row", "tap_column",
    "block", "passes", "pass_rows", "segments", "run",
    "packed_first", "packed_rows", "packed_columns",
    "phases", "phase_columns", "phase_packed", "phase_row", "phase_column",
    "rows", "blocks", "chunks", "tiles_in_chunk", "private",
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """What a dense kernel is specialised on; everything else is an argument.

    Attributes:
        source: Layout of the input, see `panel.LAYOUTS`.
        sink: Layout of the output.
        kind: Element type of all tensors.
        bias: There is a bias.
        summand: A tensor like the output is added.
        activation: See `output.Sink`.
        direct: The input needs no padding and its channels lie side by side: no panel is made.
        single: One pass makes the whole sum.
        tile: Rows and vectors of the register tile.
        woven: Channels of the small groups that share a vector, or 0; then a "group" of the
            numbers is a vector of channels, and input and output have the same channels.
        taps: Rows of taps, segments and steps of a pass, where they are few enough to be unrolled.
        long: A segment is summed in blocks of `dense_sum.BLOCK` products, which are added up: that
            rounds less.
    """

    source: str
    sink: str
    kind: str
    bias: bool
    summand: bool
    activation: str
    direct: bool
    single: bool
    tile: tuple[int, int]
    woven: int
    taps: tuple[int, int, int] | None
    long: bool

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        return _emit(self, target)


def _emit(spec: Spec, target: Target) -> Program:
    program = Program(target)
    with program.region("dense") as code:
        a = read_arguments(code, spec.kind, TENSORS, SIZES)
        first, last = code.share(a.images * a.groups * a.blocks * a.chunks)
        with code.loop(last, first) as task:
            _task(code, spec, a, task)
    return program


def _packing(code: Code, spec: Spec, a: Any) -> weights.Packing:
    window = (a.packed_rows, a.packed_columns)
    if spec.woven:
        each = code.constant(spec.woven)
        return weights.Packing(code.constant(code.lanes), each, window, each, code.lanes)
    return weights.Packing(a.outputs, a.channels, window, a.block, spec.tile[1] * code.lanes)


def _task(code: Code, spec: Spec, a: Any, task: Int) -> None:
    """Compute the outputs of one chunk of tiles for one block of rows."""
    rows_of_tile, vectors = spec.tile
    width = vectors * code.lanes
    packing = _packing(code, spec, a)
    chunk, rest = task % a.chunks, task // a.chunks
    block, rest = rest % a.blocks, rest // a.blocks
    group, image = rest % a.groups, rest // a.groups
    first_line = block * a.rows
    lines = code.smaller(a.lines - first_line, a.rows)
    most = (a.rows * a.columns + (rows_of_tile - 1)) // rows_of_tile * rows_of_tile

    mine = a.workspace + code.thread * a.private
    from_table = mine.cast("i64")
    to_table = from_table + most
    staged = mine + most * 4
    source = panel.Source(
        a.source + a.source_offset + image * a.source_image + group * a.channels * a.source_channel,
        spec.source,
        (a.source_channel, a.source_row, a.source_column),
        (a.height, a.width),
    )
    base_of_block, block_step, row_step, column_step = _bring(
        code, spec, a, source, staged + most * width, first_line, lines
    )
    _tables(code, spec, a, (from_table, to_table), lines, row_step, column_step)

    start = a.target_offset + image * a.target_image
    start = start + group * a.outputs * a.target_channel + first_line * a.target_row
    held = (base_of_block, block_step, (row_step, column_step), from_table)
    first = chunk * a.tiles_in_chunk
    tiles = (first, code.smaller(first + a.tiles_in_chunk, packing.tiles))
    with code.loop(a.phases) as phase:
        at = start + phase // a.phase_columns * a.phase_row
        at = at + phase % a.phase_columns * a.phase_column
        sink = output.Sink(
            a.target + at, spec.sink, a.target_channel, to_table,
            a.bias + group * a.outputs if spec.bias else None,
            a.summand + at if spec.summand else None, spec.activation, a.outputs,
        )  # fmt: skip
        packed = a.prepared + a.packed_first + group * packing.group + phase * a.phase_packed
        _tiles(code, spec, a, held, (packed, packing.tile), tiles, (lines, staged), sink)


def _tiles(
    code: Code,
    spec: Spec,
    a: Any,
    held: tuple[Pointer, Index, tuple[Index, Index], Pointer],
    weights_of: tuple[Pointer, Index],
    tiles: tuple[Int, Int],
    area: tuple[Int, Pointer],
    sink: output.Sink,
) -> None:
    """Compute some tiles of outputs, from the first to the last."""
    width, (lines, staged) = spec.tile[1] * code.lanes, area
    pixels = lines * a.columns
    with code.loop(tiles[1], tiles[0]) as number:
        packed = weights_of[0] + number * weights_of[1]
        k = number * width
        direct = spec.sink == "channels" and spec.single
        whole = a.outputs >= k + width if direct else None
        dense_sum.sum_tile(code, spec, a, held, packed, pixels, staged, whole, sink, k)
        with nullcontext() if whole is None else code.when(whole.negated()):
            output.write(code, sink, staged, width, k, (lines, a.columns, a.columns), a.target_row)


def _bring(
    code: Code,
    spec: Spec,
    a: Any,
    source: panel.Source,
    room: Pointer,
    first_line: Int,
    lines: Int,
) -> tuple[Pointer, Index, Index, Index]:
    """Return the input of a block of rows: its base, steps of blocks, rows, columns."""
    first_row = first_line * a.stride_row - a.top
    if spec.direct:
        base = source.base + first_row * a.source_row - a.left * a.source_column
        return base, a.block, a.source_row, a.source_column
    reach = (a.window_rows - 1) * a.tap_row + 1
    height = (lines - 1) * a.stride_row + reach
    most = (a.rows - 1) * a.stride_row + reach
    plane = most * a.panel_width * a.block
    made = panel.Panel(room, a.block, a.channels, plane, a.panel_width)
    panel.fill(code, source, made, -1 * first_row, a.left, height)
    return room, plane, a.panel_width * a.block, a.block


def _tables(
    code: Code,
    spec: Spec,
    a: Any,
    tables: tuple[Pointer, Pointer],
    lines: Int,
    row_step: Index,
    column_step: Index,
) -> None:
    """Tabulate where each pixel reads and writes; the last tile repeats the last pixel."""
    from_table, to_table = tables
    with code.loop(lines) as line, code.loop(a.columns) as x:
        pixel = line * a.columns + x
        source = line * (row_step * a.stride_row) + x * (column_step * a.stride_column)
        code.store_int(source, from_table + pixel)
        code.store_int(line * a.target_row + x * a.target_column, to_table + pixel)
    count = lines * a.columns
    last_from = code.load_int(from_table + (count - 1))
    last_to = code.load_int(to_table + (count - 1))
    rows = spec.tile[0]
    with code.loop((count + (rows - 1)) // rows * rows, count) as pixel:
        code.store_int(last_from, from_table + pixel)
        code.store_int(last_to, to_table + pixel)
