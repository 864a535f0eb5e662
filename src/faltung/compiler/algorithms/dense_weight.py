"""Gradient of dense weights: pixels are what is summed over, in the same register tile.

For a block of output rows the input comes into a panel [row][x][channel] and the gradient into
panels [tile][pixel][output]. A register tile holds a few neighbouring (column of taps, channel)
places times a tile of outputs; all pixels of the block pass by, then the tile is added to a sum in
memory. The sums of all images and blocks are made in a fixed number of parts, which the problem
alone decides, and added in their order, so that the bits do not depend on the threads.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import panel, tile, weight_sums
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.emit import Code, Index, Int, Pointer, Program
from faltung.compiler.target import Target

TENSORS = ("x", "dy", "db", "dw")
SIZES = (
    "images", "groups", "channels", "slice", "slices", "pitch", "outputs",
    "height", "width", "lines", "columns",
    "x_image", "x_channel", "x_row", "x_column", "x_offset",
    "dy_image", "dy_channel", "dy_row", "dy_column",
    "dw_output", "dw_channel", "dw_row", "dw_column", "dw_offset",
    "run_length", "run_first", "run_rows", "run_columns", "run_channels",
    "place_row", "place_column",
    "top", "left", "panel_width",
    "window_rows", "window_columns", "segments", "run", "padded", "slice_sums", "sums", "tiles",
    "stride_row", "stride_column", "tap_row", "tap_column",
    "rows", "blocks", "parts", "chunks", "tiles_in_chunk", "shared", "private",
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
    """

    x: str
    dy: str
    kind: str
    bias: bool
    tile: tuple[int, int]
    woven: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("sum") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            first, last = code.share(a.parts * a.groups * a.slices * a.chunks)
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
    """Sum one part of the pixels for one slice of channels and one chunk of tiles of outputs."""
    width = spec.tile[1] * code.lanes
    size, tiles = a.sums, a.tiles
    chunk, rest = task % a.chunks, task // a.chunks
    number, rest = rest % a.slices, rest // a.slices
    group, part = rest % a.groups, rest // a.groups
    first_tile = chunk * a.tiles_in_chunk
    count = code.smaller(tiles - first_tile, a.tiles_in_chunk)
    sums = a.workspace + ((part * a.groups + group) * tiles + first_tile) * size
    with code.loop(count) as tile_number:
        own = sums + tile_number * size
        panel.zeros(code, own + number * a.slice_sums, a.slice_sums)
        if spec.bias:
            with code.when(number.equals(0)):
                panel.zeros(code, own + a.slices * a.slice_sums, code.constant(width))

    mine = a.workspace + a.shared + code.thread * a.private
    pixels = a.rows * a.columns
    dy_panel, x_panel = mine, mine + pixels * width * a.tiles_in_chunk
    units = a.images * a.blocks
    with code.loop((part + 1) * units // a.parts, part * units // a.parts) as unit:
        image, block = unit // a.blocks, unit % a.blocks
        line = block * a.rows
        lines = code.smaller(a.lines - line, a.rows)
        _bring_input(code, spec, a, x_panel, (image, group, number), line, lines)
        first = group * a.outputs + first_tile * width
        total = code.smaller(a.outputs - first_tile * width, a.tiles_in_chunk * width)
        _bring_gradient(code, spec, a, dy_panel, (image, first, total), line, lines)
        with code.loop(count) as tile_number:
            gradient = dy_panel + tile_number * (pixels * width)
            own = sums + tile_number * size
            _products(code, spec, a, x_panel, gradient, own + number * a.slice_sums, lines)
            if spec.bias:
                with code.when(number.equals(0)):
                    _add_bias(code, spec, a, gradient, own + a.slices * a.slice_sums, lines)


def _bring_input(
    code: Code, spec: Spec, a: Any, to: Pointer, which: tuple[Int, Int, Int], line: Int, lines: Int
) -> None:
    """Bring the input of a block of rows, of one slice of channels, into a panel."""
    image, group, number = which
    base = a.x + a.x_offset + image * a.x_image
    base = base + (group * a.channels + number * a.slice) * a.x_channel
    strides = (a.x_channel, a.x_row, a.x_column)
    source = panel.Source(base, spec.x, strides, (a.height, a.width))
    made = panel.Panel(to, a.pitch, a.pitch, code.constant(0), a.panel_width)
    reach = (a.window_rows - 1) * a.tap_row + 1
    top = a.top - line * a.stride_row
    panel.fill(code, source, made, top, a.left, (lines - 1) * a.stride_row + reach)


def _bring_gradient(
    code: Code, spec: Spec, a: Any, to: Pointer, which: tuple[Int, Int, Int], line: Int, lines: Int
) -> None:
    """Bring the gradient of a block of rows, of `total` outputs from the first, into panels."""
    image, first, total = which
    width = spec.tile[1] * code.lanes
    base = a.dy + image * a.dy_image + first * a.dy_channel + line * a.dy_row
    strides = (a.dy_channel, a.dy_row, a.dy_column)
    source = panel.Source(base, spec.dy, strides, (lines, a.columns))
    plane = a.rows * a.columns * width
    made = panel.Panel(to, code.constant(width), total, plane, a.columns)
    panel.fill(code, source, made, 0, 0, lines, ragged=True)


def _products(
    code: Code, spec: Spec, a: Any, x: Pointer, dy: Pointer, sums: Pointer, lines: Int
) -> None:
    """Add the products of one block and one tile of outputs."""
    rows, vectors = spec.tile
    width = vectors * code.lanes
    step = a.stride_column * a.pitch
    with (
        code.loop(a.window_rows) as r,
        code.loop(a.segments) as s,
        code.loop(a.padded, 0, rows) as place,
    ):
        tap = r * a.tap_row * a.panel_width + s * a.tap_column
        origin = x + tap * a.pitch
        if spec.woven:
            origin = origin + place // spec.woven * a.tap_column * a.pitch
        else:
            origin = origin + place
        held = tile.sums(code, rows, vectors)
        with code.loop(lines) as line:
            start = origin + line * a.stride_row * a.panel_width * a.pitch
            gradient = dy + line * a.columns * width
            if spec.woven:
                _pixels_woven(code, spec, held, start, gradient, a, step)
            else:
                _pixels(code, held, start, gradient, a.columns, step)
        at = sums + ((r * a.segments + s) * a.padded + place) * width
        for i, row in enumerate(held):
            for j, slot in enumerate(row):
                to = at + i * width + j * code.lanes
                code.store(code.load(to) + slot.get(), to)


def _pixels_woven(
    code: Code, spec: Spec, held: list[list[Any]], x: Pointer, dy: Pointer, a: Any, step: Int
) -> None:
    """Add the products of a line of pixels where small groups share a vector."""
    lanes = range(code.lanes)
    places = [[lane // spec.woven * spec.woven + c for lane in lanes] for c in range(spec.woven)]
    with code.loop(a.columns) as t:
        gradient = code.load(dy + t * code.lanes)
        for first in range(0, len(held), spec.woven):
            at = x + t * step + a.tap_column * (first // spec.woven) * a.pitch
            channels = code.load(at)
            for (slot,), place in zip(held[first:], places, strict=False):
                slot.set(code.fma(code.shuffle(channels, channels, place), gradient, slot.get()))


def _add_bias(code: Code, spec: Spec, a: Any, dy: Pointer, sums: Pointer, lines: Int) -> None:
    """Add the gradient itself: the products with an input of ones."""
    width = spec.tile[1] * code.lanes
    held = tile.sums(code, 1, spec.tile[1])[0]
    with code.loop(lines * a.columns) as pixel:
        for j, slot in enumerate(held):
            slot.set(slot.get() + code.load(dy + pixel * width + j * code.lanes))
    for j, slot in enumerate(held):
        at = sums + j * code.lanes
        code.store(code.load(at) + slot.get(), at)


def _pixels(
    code: Code, held: list[list[Any]], x: Pointer, dy: Pointer, columns: Int, step: Index
) -> None:
    """Add the products of a line of pixels, two at a time."""
    width = len(held[0]) * code.lanes

    def once(t: Index) -> None:
        loaded = [code.load(dy + t * width + j * code.lanes) for j in range(len(held[0]))]
        for i, row in enumerate(held):
            element = code.broadcast(x + t * step + i)
            for slot, vector in zip(row, loaded, strict=True):
                slot.set(code.fma(element, vector, slot.get()))

    pairs = columns // 2 * 2
    with code.loop(pairs, 0, 2) as t:
        once(t)
        once(t + 1)
    with code.loop(columns, pairs) as t:
        once(t)
