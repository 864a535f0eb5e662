"""Winograd's convolution: small square windows at stride 1 with fewer products.

An m x m tile of outputs of an r x r window needs (m + r - 1)² products a pair of channels, not
(m r)²: F(2x2, 3x3) 2.25 times fewer, F(4x4, 3x3) four times, F(2x2, 5x5) 2.8 times. The input tile
and the kernel are transformed, multiplied element by element (a matrix product over channels for
each element), and transformed back: Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A.

One call treats a group of tile rows in two regions: the input tiles are transformed into
[element][tile][channel]; then each task takes one tile of outputs, transforms its weights, unless
they were transformed before (`winograd_kernels`), and multiplies. Differences of large numbers
would turn infinities into NaN and could overflow, so elements and weights beyond `LARGEST` raise a
flag, and the caller computes the whole call with another algorithm: then images beside one with
such elements get other, as good, last bits.

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2016).
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import output, tile, winograd_kernels
from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments
from faltung.compiler.algorithms.toom_cook import matrices
from faltung.compiler.algorithms.winograd_input import (
    applied,
    begin_flags,
    clear,
    raised,
    transform_input,
)
from faltung.compiler.emit import Code, Int, Pointer, Program, Vector
from faltung.compiler.target import Target

TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "first_image", "images", "first_row", "tile_rows", "tile_columns",
    "channels", "outputs", "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column", "source_offset",
    "target_image", "target_channel", "target_row", "target_column", "target_offset",
    "weight_output", "weight_channel", "weight_row", "weight_column", "weight_offset",
    "run_length", "run_first", "run_rows", "run_columns", "run_channels", "run_block",
    "top", "left", "panel_width", "padded_tiles", "tiles", "chunks", "rows_in_chunk",
    "rows_in_block", "shared", "private", "kept",
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """What a kernel is specialised on.

    Attributes:
        source: Layout of the input.
        sink: Layout of the output.
        kind: Element type.
        bias: There is a bias.
        summand: A tensor like the output is added.
        activation: See `output.Sink`.
        pool: What windows of 2x2 make of the outputs: "", "max" or "avg".
        outputs: m, the outputs of a tile along one axis.
        taps: r, the taps of the window along one axis.
        block: Channels whose products are summed before they are added to others; 0 for all.
        tile: Rows and vectors of the register tile.
    """

    source: str
    sink: str
    kind: str
    bias: bool
    summand: bool
    activation: str
    pool: str
    outputs: int
    taps: int
    block: int
    tile: tuple[int, int]

    @property
    def delivered(self) -> int:
        """Results of a tile along one axis, pooled or not."""
        return self.outputs // 2 if self.pool else self.outputs

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
            first, last = code.share(a.images * a.tile_rows)
            with code.loop(last, first) as unit:
                transform_input(code, self, a, unit)
            with code.when(code.thread.equals(0)):
                clear(code, self.size, a)
        with program.region("multiply") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            first, last = code.share(a.tiles * a.chunks)
            with code.when(raised(code, a).equals(0)), code.loop(last, first) as task:
                _multiply(code, self, a, task)
        return program


def _multiply(code: Code, spec: Spec, a: Any, task: Int) -> None:
    """Compute one tile of outputs for one chunk of tile rows."""
    rows, vectors = spec.tile
    width = vectors * code.lanes
    number, chunk = task % a.tiles, task // a.tiles
    mine = a.workspace + a.shared + code.thread * a.private
    own = mine + a.run_block * (spec.taps**2 * width)
    pitch = winograd_kernels.pitch(a.channels, width)
    products = own + pitch * spec.size**2
    most = a.rows_in_block * a.tile_columns + rows
    staged = products + most * (spec.size**2 * width)
    table = (staged + most * (spec.outputs**2 * width)).cast("i64")
    anew = a.prepared.is_none()
    with code.when(anew):
        winograd_kernels.transform(code, spec, a, width, number, mine, own, table)
    kernels = anew.pick(own, a.prepared + a.kept + number * (pitch * spec.size**2))
    with code.loop(spec.delivered) as line, code.loop(a.columns) as x:
        at = line * a.target_row + x * a.target_column
        code.store_int(at, table + line * a.columns + x)

    k = number * width
    units = a.images * a.tile_rows
    stop = code.smaller((chunk + 1) * a.rows_in_chunk, units)
    blocks = (stop - chunk * a.rows_in_chunk + (a.rows_in_block - 1)) // a.rows_in_block
    with code.loop(blocks) as block:
        first = chunk * a.rows_in_chunk + block * a.rows_in_block
        count = code.smaller(stop - first, a.rows_in_block)
        tiles = count * a.tile_columns
        for_all = a.workspace + FLAGS + first * a.tile_columns * a.channels
        with code.loop(spec.size**2) as element:
            _products(code, spec, a, for_all, kernels, products, element, tiles, most)
        with code.loop(count) as unit:
            _put_row(code, spec, a, products, staged, table, first, unit, most, k, width)


def _products(
    code: Code,
    spec: Spec,
    a: Any,
    inputs: Pointer,
    kernels: Pointer,
    products: Pointer,
    element: Int,
    tiles: Int,
    most: Int,
) -> None:
    """Multiply one element of all tiles of a block: a matrix product over channels."""
    rows, vectors = spec.tile
    width = vectors * code.lanes
    line = kernels + element * winograd_kernels.pitch(a.channels, width)
    start = inputs + element * (a.padded_tiles * a.channels)
    out = products + element * (most * width)
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


def _put_row(
    code: Code,
    spec: Spec,
    a: Any,
    products: Pointer,
    staged: Pointer,
    table: Pointer,
    first: Int,
    unit: Int,
    most: Int,
    k: Int,
    width: int,
) -> None:
    """Transform one row of tiles back and write it."""
    back, _, _ = matrices(spec.outputs, spec.taps)
    room = code.scratch(spec.size * spec.outputs * code.lanes)
    step = spec.delivered
    pitch = a.tile_columns * step
    with code.loop(a.tile_columns) as column, code.loop(width, 0, code.lanes) as j:
        start = products + (unit * a.tile_columns + column) * width + j
        with code.loop(spec.size) as line:
            at = code.settled(start + line * (most * (spec.size * width)))
            values = [code.load(at + most * (n * width)) for n in range(spec.size)]
            for n, value in enumerate(applied(code, back, values)):
                code.store(value, room + (line * spec.outputs + n) * code.lanes)
        columns = [
            [code.load(room + (i * spec.outputs + n) * code.lanes) for i in range(spec.size)]
            for n in range(spec.outputs)
        ]
        found = [applied(code, back, values) for values in columns]
        made = [list(row) for row in zip(*found, strict=True)]
        for i, row in enumerate(_pooled(code, spec.pool, made) if spec.pool else made):
            to = code.settled(staged + (pitch * i + column * step) * width + j)
            for n, value in enumerate(row):
                code.store(value, to + n * width)
    number = first + unit
    image, row_of_tiles = number // a.tile_rows + a.first_image, number % a.tile_rows + a.first_row
    y = row_of_tiles * step
    start = a.target_offset + image * a.target_image + y * a.target_row
    sink = output.Sink(
        a.target + start, spec.sink, a.target_channel, table, a.bias if spec.bias else None,
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
