"""Gradient of dense weights: pixels are what is summed over, in the same register tile.

For a block of output rows, or of whole small images, the input comes into strips of channels
[strip][image][row][x][channel] and the gradient into strips of outputs [tile][pixel][output]. A
register tile holds the channels of a strip, for one tap, times a tile of outputs; all pixels of the
block pass by, then the tile is added to a sum in memory. Few channels stay side by side in one
panel, where the places of a tile are neighbouring (column of taps, channel). The sums of all blocks
are made in a fixed number of parts, which the problem alone decides, and added in their order, so
that the bits do not depend on the threads.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import dense_weight_sum, panel, strips, weight_sums
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.emit import Code, Int, Pointer, Program
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
    "window_rows", "window_columns", "segments", "places", "slice_sums", "sums", "tiles",
    "stride_row", "stride_column", "tap_row", "tap_column",
    "rows", "blocks", "batch", "parts", "chunks", "tiles_in_chunk", "shared", "private",
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
        uneven: Some of them have a channel less.
    """

    x: str
    dy: str
    kind: str
    bias: bool
    tile: tuple[int, int]
    woven: int
    strips: bool
    uneven: bool

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("sum") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            first, last = code.share(a.parts * a.groups * a.sets * a.chunks)
            with code.loop(last, first) as task:
                _task(code, self, a, task)
        with program.region("gather") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            table = (a.workspace + a.shared + code.thread * a.private).cast("i64")
            with code.when(a.run_length >= code.lanes):
                weight_sums.tabulate(code, a, self.tile[1] * code.lanes, table)
            first, last = code.share(a.groups * a.tiles * a.slices)
            with code.loop(last, first) as task:
                weight_sums.gather(code, a, self.tile[1] * code.lanes, task, table)
            if self.bias:
                first, last = code.share(a.groups * a.tiles)
                with code.loop(last, first) as number:
                    weight_sums.gather_bias(code, a, self.tile[1] * code.lanes, number)
        return program


def _task(code: Code, spec: Spec, a: Any, task: Int) -> None:
    """Sum one part of the pixels for some slices of channels and one chunk of tiles of outputs."""
    width = spec.tile[1] * code.lanes
    chunk, rest = task % a.chunks, task // a.chunks
    number, rest = rest % a.sets, rest // a.sets
    group, part = rest % a.groups, rest // a.groups
    first_tile = chunk * a.tiles_in_chunk
    first = group * a.outputs + first_tile * width
    total = code.smaller(a.outputs - first_tile * width, a.tiles_in_chunk * width)
    sums = a.workspace + ((part * a.groups + group) * a.tiles + first_tile) * a.sums
    slices = code.smaller((number + 1) * a.slices_in_set, a.slices)

    mine = a.workspace + a.shared + code.thread * a.private
    dy_panel, x_panel = mine, mine + a.dy_apart * a.tiles_in_chunk
    units = (a.images + (a.batch - 1)) // a.batch * a.blocks
    begin = part * units // a.parts
    with code.loop((part + 1) * units // a.parts, begin) as unit:
        image, line = unit // a.blocks * a.batch, unit % a.blocks * a.rows
        images = code.smaller(a.images - image, a.batch)
        lines = code.smaller(a.lines - line, a.rows)
        block = dense_weight_sum.Block(images, lines, unit.equals(begin))
        with code.loop(images) as i:
            to = dy_panel + i * (a.rows * a.columns * width)
            _bring_gradient(code, spec, a, to, (image + i, first, total), line, lines)
        with code.loop(slices, number * a.slices_in_set) as slice_:
            with code.loop(images) as i:
                to = x_panel + i * a.panel_image
                _bring_input(code, spec, a, to, (image + i, group, slice_), line, lines)
            with code.loop((total + (width - 1)) // width) as tile:
                gradient, to = dy_panel + tile * a.dy_apart, sums + tile * a.sums
                here = to + slice_ * a.slice_sums
                dense_weight_sum.add_products(code, spec, a, x_panel, gradient, here, block)
                if spec.bias:
                    with code.when(slice_.equals(0)):
                        here = to + a.slices * a.slice_sums
                        dense_weight_sum.add_bias(code, spec, a, gradient, here, block)


def _bring_input(
    code: Code, spec: Spec, a: Any, to: Pointer, which: tuple[Int, Int, Int], line: Int, lines: Int
) -> None:
    """Bring the input of a block of rows, of one slice of channels, into a panel."""
    image, group, number = which
    base = a.x + a.x_offset + image * a.x_image
    base = base + (group * a.channels + number * a.slice) * a.x_channel
    strides = (a.x_channel, a.x_row, a.x_column)
    source = panel.Source(base, spec.x, strides, (a.height, a.width))
    reach = (lines - 1) * a.stride_row + (a.window_rows - 1) * a.tap_row + 1
    top = a.top - line * a.stride_row
    if spec.strips:
        height = spec.tile[0]
        made = strips.Strips(
            to, height, a.slice, a.tall, height - 1, a.strips, a.safe, a.apart, a.panel_width
        )
        strips.fill(code, source, made, top, a.left, reach)
    else:
        made = panel.Panel(to, a.pitch, a.pitch, code.constant(0), a.panel_width)
        panel.fill(code, source, made, top, a.left, reach)


def _bring_gradient(
    code: Code, spec: Spec, a: Any, to: Pointer, which: tuple[Int, Int, Int], line: Int, lines: Int
) -> None:
    """Bring the gradient of a block of rows, of `total` outputs from the first, into strips."""
    image, first, total = which
    width = spec.tile[1] * code.lanes
    base = a.dy + image * a.dy_image + first * a.dy_channel + line * a.dy_row
    strides = (a.dy_channel, a.dy_row, a.dy_column)
    source = panel.Source(base, spec.dy, strides, (lines, a.columns))
    tall = total // width
    made = strips.Strips(
        to, width, total, tall, total % width, (total + (width - 1)) // width, tall, a.dy_apart,
        a.columns,
    )  # fmt: skip
    strips.fill(code, source, made, 0, 0, lines)
