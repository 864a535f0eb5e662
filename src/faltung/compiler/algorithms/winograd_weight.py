"""Gradient of 2x2, 3x3 and 5x5 weights by Winograd's method: fewer products of each two channels.

Tiles of 2 x 2 gradients meet tiles of 4 x 4 inputs and give 3 x 3 weights: F(3x3, 2x2) needs 16
products where 36 are summed, F(3x3, 4x4) 36 for 144, F(5x5, 2x2) 36 for 100. Inputs and gradients
are transformed tile by tile, the products of each element are summed over all tiles (a matrix
product). A call treats a group of tile rows and adds to the sums of those before it; behind the
last one another kernel transforms the sums back. The gradient of the bias is summed on the way, row
by row of tiles.

As in `winograd`, numbers beyond `LARGEST` raise a flag.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import panel, tile, weight_sums
from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments
from faltung.compiler.algorithms.toom_cook import matrices
from faltung.compiler.algorithms.winograd_input import (
    begin_flags,
    clear,
    judge,
    judged,
    transform_input,
    transformed,
)
from faltung.compiler.emit import Code, Int, Pointer, Program, Vector
from faltung.compiler.target import Target

TENSORS = ("source", "dy", "db", "dw")
SIZES = (
    "first_row", "rows", "tile_rows", "tile_columns", "first_call",
    "groups", "channels", "outputs", "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column", "source_offset",
    "dy_image", "dy_channel", "dy_row", "dy_column", "dy_offset",
    "dw_output", "dw_channel", "dw_row", "dw_column", "dw_offset",
    "run_length", "run_first", "run_rows", "run_columns", "run_channels",
    "place_row", "place_column", "slice", "slices", "slice_sums", "sums", "parts",
    "window_rows", "window_columns",
    "top", "left", "panel_width", "padded_tiles", "padded_channels", "tiles", "shared", "private",
    "gradients", "products", "row_sums", "first_output",
)  # fmt: skip
BLOCKS = {4: 256, 6: 64}  # tiles whose products are summed in registers, by their elements


@dataclass(frozen=True)
class Spec:
    """What a kernel is specialised on.

    Attributes:
        source: Layout of the input.
        dy: Layout of the gradient.
        kind: Element type.
        bias: The gradient of the bias is made too.
        taps: Taps of the weights along one axis.
        outputs: Gradients of a tile along one axis: the step of the tiles.
        tile: Rows and vectors of the register tile.
    """

    source: str
    dy: str
    kind: str
    bias: bool
    taps: int
    outputs: int
    tile: tuple[int, int]

    @property
    def size(self) -> int:
        """Elements of an input tile along one axis."""
        return self.outputs + self.taps - 1

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("transform") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            begin_flags(code, a)
            first, last = code.share(a.rows)
            mine = a.workspace + a.shared + code.thread * a.private
            with code.loop(last, first) as unit:
                transform_input(code, self, a, unit, mine, a.workspace + FLAGS)
                _transform_gradient(code, self, a, unit)
            with code.when(code.thread.equals(0)):
                clear(code, self.size, a, a.rows, a.workspace + FLAGS)
        with program.region("multiply") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            first, last = code.share(a.tiles * self.size**2)
            with code.loop(last, first) as task:
                _multiply(code, self, a, task)
        return program


@dataclass(frozen=True)
class Back:
    """What the kernel is specialised on that makes weights of the sums.

    Attributes:
        kind: Element type.
        taps: Taps of the weights along one axis.
        outputs: Gradients of a tile along one axis.
        width: Outputs of a register tile.
    """

    kind: str
    taps: int
    outputs: int
    width: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("back") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            first, last = code.share(a.tiles)
            with code.loop(last, first) as number:
                _back(code, self, a, number)
        return program


def _transform_gradient(code: Code, spec: Spec, a: Any, unit: Int) -> None:
    """Transform the gradients of one row of tiles of one image."""
    width = spec.tile[1] * code.lanes
    number = a.first_row + unit
    image, line = number // a.tile_rows, number % a.tile_rows * spec.outputs
    base = a.dy + a.dy_offset + image * a.dy_image + line * a.dy_row
    strides = (a.dy_channel, a.dy_row, a.dy_column)
    source = panel.Source(base, spec.dy, strides, (a.lines - line, a.columns))
    mine = a.workspace + a.shared + code.thread * a.private
    span = a.tile_columns * spec.outputs
    plane = span * (spec.outputs * width)
    made = panel.Panel(mine, code.constant(width), a.outputs, plane, span)
    panel.fill(code, source, made, 0, 0, code.constant(spec.outputs), ragged=True)
    if spec.bias:
        with code.loop(a.tiles) as number, code.loop(width, 0, code.lanes) as j:
            total = code.variable(code.fill(0))
            with code.loop(span * spec.outputs) as place:
                total.set(total.get() + code.load(mine + number * plane + place * width + j))
            code.store(
                total.get(), a.workspace + a.row_sums + (unit * a.tiles + number) * width + j
            )
    _, transform, _ = matrices(spec.taps, spec.outputs)
    element = a.tiles * a.padded_tiles * width
    worst = code.variable(code.fill(0))
    with (
        code.loop(a.tiles) as number,
        code.loop(a.tile_columns) as column,
        code.loop(width, 0, code.lanes) as j,
    ):
        start = mine + number * plane + column * (spec.outputs * width) + j
        to = a.workspace + a.gradients + j
        to = to + (number * a.padded_tiles + unit * a.tile_columns + column) * width

        def line(i: Int, start: Pointer = start) -> list[Vector]:
            at = code.settled(start + i * (span * width))
            return judged(code, worst, [code.load(at + n * width) for n in range(spec.outputs)])

        def put(n: Int, values: list[Vector], to: Pointer = to) -> None:
            at = code.settled(to + element * n)
            for i, value in enumerate(values):
                code.store(value, at + element * (i * spec.size))

        transformed(code, transform, line, put)
    judge(code, a, worst)


def _multiply(code: Code, spec: Spec, a: Any, task: Int) -> None:
    """Sum the products of one element of all tiles, for one tile of outputs."""
    rows, vectors = spec.tile
    width = vectors * code.lanes
    element, number = task % spec.size**2, task // spec.size**2
    count = a.rows * a.tile_columns
    inputs = a.workspace + FLAGS + element * (a.padded_tiles * a.channels)
    gradients = a.workspace + a.gradients
    gradients = gradients + (element * a.tiles + number) * (a.padded_tiles * width)
    size = (a.padded_channels + 1) * width
    sums = a.workspace + a.products + (number * spec.size**2 + element) * size
    with code.when(a.first_call.equals(1)):
        panel.zeros(code, sums, size)
    block = BLOCKS[spec.size]
    with code.loop(count, 0, block) as first:
        stop = code.smaller(count, first + block)
        with code.loop(a.channels, 0, rows) as channel:
            held = tile.sums(code, rows, vectors)
            with code.loop(stop, first) as t:
                loaded = [code.load(gradients + t * width + j * code.lanes) for j in range(vectors)]
                at = inputs + t * a.channels + channel
                for i, row in enumerate(held):
                    spread = code.broadcast(at + i)
                    for slot, vector in zip(row, loaded, strict=True):
                        slot.set(code.fma(spread, vector, slot.get()))
            _add(code, held, sums + channel * width)
    if spec.bias:
        with code.when(element.equals(0)):
            held = tile.sums(code, 1, vectors)
            at = a.workspace + a.row_sums + number * width
            with code.loop(a.rows) as unit:
                for j, slot in enumerate(held[0]):
                    more = code.load(at + unit * (a.tiles * width) + j * code.lanes)
                    slot.set(slot.get() + more)
            _add(code, held, sums + a.padded_channels * width)


def _add(code: Code, held: list[list[Any]], sums: Pointer) -> None:
    """Add a register tile to sums in memory."""
    for i, row in enumerate(held):
        for j, slot in enumerate(row):
            at = sums + (i * len(row) + j) * code.lanes
            code.store(code.load(at) + slot.get(), at)


def _back(code: Code, spec: Back, a: Any, number: Int) -> None:
    """Transform the sums of one tile of outputs to weights and write them."""
    width, side = spec.width, spec.outputs + spec.taps - 1
    back, _, _ = matrices(spec.taps, spec.outputs)
    size = (a.padded_channels + 1) * width
    sums = a.workspace + a.products + number * side**2 * size
    mine = a.workspace + a.shared + code.thread * a.private
    table = (mine + a.sums).cast("i64")
    with code.loop(a.channels) as c, code.loop(width, 0, code.lanes) as j:
        start, to = sums + c * width + j, mine + c * width + j

        def row(i: Int, start: Pointer = start) -> list[Vector]:
            at = code.settled(start + size * (i * side))
            return [code.load(at + size * n) for n in range(side)]

        def put(n: Int, values: list[Vector], to: Pointer = to) -> None:
            at = code.settled(to + n * (a.channels * width))
            for i, value in enumerate(values):
                code.store(value, at + a.channels * (i * spec.taps * width))

        transformed(code, back, row, put)
    count = code.smaller(a.outputs - number * width, width)
    with code.loop(a.db.is_none().choose(0, count)) as k:
        total = code.load(sums + a.padded_channels * width + k, 1)
        code.store(total, a.db + a.first_output + number * width + k)
    with code.when(a.run_length >= code.lanes):
        weight_sums.tabulate(code, a, width, table)
    weight_sums.write(code, a, width, mine, number, table)
