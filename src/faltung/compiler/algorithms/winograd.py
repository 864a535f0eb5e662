"""Winograd's convolution: 3x3 windows at stride 1 with fewer products.

An m x m tile of outputs needs (m + 2)² products a pair of channels instead of 9 m²: for m = 2 that
is 2.25 times fewer, for m = 4 four times. The input tile and the kernel are transformed, multiplied
element by element (a matrix product over channels for each element), and transformed back:
Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A.

One call treats a group of tile rows in two regions: the input tiles are transformed into
[element][tile][channel]; then each task takes one tile of outputs, transforms its weights, and
multiplies. Differences of large numbers would turn infinities into NaN and could overflow, so
elements and weights beyond `LARGEST` raise a flag, and the caller computes with another algorithm.

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from faltung.compiler.algorithms import output, panel, tile, weights
from faltung.compiler.algorithms.toom_cook import Matrix, matrices
from faltung.compiler.emit import Code, Int, Pointer, Program, Variable, Vector
from faltung.compiler.plan import POINTERS
from faltung.compiler.target import Target

SIZES = (
    "first_image", "images", "first_row", "tile_rows", "tile_columns",
    "channels", "outputs", "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column", "source_offset",
    "target_image", "target_channel", "target_row", "target_column", "target_offset",
    "weight_output", "weight_channel", "weight_row", "weight_column", "weight_offset",
    "run_length", "run_first", "run_rows", "run_columns", "run_channels",
    "top", "left", "panel_width", "padded_tiles", "tiles", "chunks", "rows_in_chunk",
    "rows_in_block", "shared", "private",
)  # fmt: skip
FLAGS = 512  # float32 elements at the start of the workspace: one 64-bit flag a thread
LARGEST = 2.0**60


@dataclass(frozen=True)
class Spec:
    """What a kernel is specialised on.

    Attributes:
        source: Layout of the input.
        sink: Layout of the output.
        kind: Element type.
        bias: There is a bias.
        activation: See `output.ACTIVATIONS`.
        outputs: m, the outputs of a tile along one axis.
        tile: Rows and vectors of the register tile.
    """

    source: str
    sink: str
    kind: str
    bias: bool
    activation: str
    outputs: int
    tile: tuple[int, int]

    @property
    def size(self) -> int:
        """Elements of an input tile along one axis."""
        return self.outputs + 2

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("transform") as code:
            a = _arguments(code, self)
            code.store_int(0, _flag(code, a))
            first, last = code.share(a.images * a.tile_rows)
            with code.loop(last, first) as unit:
                _transform_input(code, self, a, unit)
            with code.when(code.thread.equals(0)):
                _clear(code, self, a)
        with program.region("multiply") as code:
            a = _arguments(code, self)
            first, last = code.share(a.tiles * a.chunks)
            with code.when(_raised(code, a).equals(0)), code.loop(last, first) as task:
                _multiply(code, self, a, task)
        return program


def _applied(code: Code, matrix: Matrix, values: Sequence[Vector]) -> list[Vector]:
    """Multiply a matrix of constants and a column of vectors."""
    results = []
    for row in matrix:
        total: Vector | None = None
        for factor, value in sorted(zip(row, values, strict=True), key=lambda p: p[0] != 1):
            if factor == 0:
                continue
            if total is None:
                total = value if factor == 1 else value * code.fill(float(factor))
            elif abs(factor) == 1:
                total = total + value if factor == 1 else total - value
            else:
                total = code.fma(value, code.fill(float(factor)), total)
        results.append(code.fill(0) if total is None else total)
    return results


def _both(code: Code, matrix: Matrix, square: list[list[Vector]]) -> list[list[Vector]]:
    """Return M S Mᵀ of a square S of vectors."""
    columns = [_applied(code, matrix, column) for column in zip(*square, strict=True)]
    return [_applied(code, matrix, row) for row in zip(*columns, strict=True)]


def _arguments(code: Code, spec: Spec) -> Any:
    held: dict[str, Pointer | Int] = {
        name: code.pointer(place, spec.kind)
        for place, name in enumerate(("source", "weights", "bias", "target"))
    }
    held["workspace"] = code.pointer(POINTERS - 1)
    for place, name in enumerate(SIZES, POINTERS):
        held[name] = code.argument(place)
    return SimpleNamespace(**held)


def _flag(code: Code, a: Any) -> Pointer:
    flags: Pointer = a.workspace.cast("i64") + code.thread
    return flags


def _raised(code: Code, a: Any) -> Int:
    """Return the sum of all threads' flags."""
    total = code.int_variable(0)
    with code.loop(code.threads) as thread:
        total.set(total.get() + code.load_int(a.workspace.cast("i64") + thread))
    found: Int = total.get()
    return found


def _judge(code: Code, a: Any, worst: Variable) -> None:
    """Raise this thread's flag where an element was not below the largest."""
    with code.when(code.all_below(worst.get(), LARGEST).negated()):
        code.store_int(1, _flag(code, a))


def _transform_input(code: Code, spec: Spec, a: Any, unit: Int) -> None:
    """Transform one row of tiles of one image."""
    image, row = unit // a.tile_rows + a.first_image, unit % a.tile_rows + a.first_row
    source = panel.Source(
        a.source + a.source_offset + image * a.source_image,
        spec.source,
        (a.source_channel, a.source_row, a.source_column),
        (a.height, a.width),
    )
    mine = a.workspace + a.shared + code.thread * a.private
    made = panel.Panel(mine, a.channels, a.channels, code.constant(0), a.panel_width)
    panel.fill(code, source, made, a.top - row * spec.outputs, a.left, code.constant(spec.size))
    _, _, transform = matrices(spec.outputs)
    element = a.padded_tiles * a.channels
    worst = code.variable(code.fill(0))
    with code.loop(a.tile_columns) as column, code.loop(a.channels, 0, code.lanes) as c:
        square = []
        for i in range(spec.size):
            line = mine + made.at(code.constant(i), column * spec.outputs) + c
            square.append([code.load(line + j * a.channels) for j in range(spec.size)])
        for vector in (v for line in square for v in line):
            worst.set(code.largest(worst.get(), vector))
        to = a.workspace + FLAGS + (unit * a.tile_columns + column) * a.channels + c
        for i, line in enumerate(_both(code, transform, square)):
            for j, value in enumerate(line):
                code.store(value, to + element * (i * spec.size + j))
    _judge(code, a, worst)


def _clear(code: Code, spec: Spec, a: Any) -> None:
    """Fill up the last register tile with zeros."""
    count = a.images * a.tile_rows * a.tile_columns
    for element in range(spec.size**2):
        at = a.workspace + FLAGS + (element * a.padded_tiles + count) * a.channels
        panel.zeros(code, at, (a.padded_tiles - count) * a.channels)


def _multiply(code: Code, spec: Spec, a: Any, task: Int) -> None:
    """Compute one tile of outputs for one chunk of tile rows."""
    rows, vectors = spec.tile
    width = vectors * code.lanes
    number, chunk = task % a.tiles, task // a.tiles
    mine = a.workspace + a.shared + code.thread * a.private
    packed = mine
    kernels = packed + a.channels * (9 * width)
    products = kernels + a.channels * (spec.size**2 * width)
    most = a.rows_in_block * a.tile_columns + rows
    staged = products + most * (spec.size**2 * width)
    table = (staged + most * (spec.outputs**2 * width)).cast("i64")
    _transform_weights(code, spec, a, number, packed, kernels, table)
    with code.loop(spec.outputs) as line, code.loop(a.columns) as x:
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


def _transform_weights(
    code: Code, spec: Spec, a: Any, number: Int, packed: Pointer, kernels: Pointer, table: Pointer
) -> None:
    """Pack the weights of a tile of outputs and transform them to [element][channel][output]."""
    width = spec.tile[1] * code.lanes
    packing = weights.Packing(
        a.outputs, a.channels, (code.constant(3), code.constant(3)), a.channels, width
    )
    zero = code.constant(0)
    strides = weights.Strides(
        zero, a.weight_output, a.weight_channel, a.weight_row, a.weight_column
    )
    run = weights.Run(a.run_length, a.run_first, a.run_rows, a.run_columns, a.run_channels)
    weights.pack_tile(
        code, packing, a.weights + a.weight_offset, strides, run, number, packed, table
    )
    _, transform, _ = matrices(spec.outputs)
    worst = code.variable(code.fill(0))
    with code.loop(a.channels) as c:
        for j in range(0, width, code.lanes):
            at = packed + c * width + j
            square = [
                [code.load(at + a.channels * ((3 * r + s) * width)) for s in range(3)]
                for r in range(3)
            ]
            for vector in (v for line in square for v in line):
                worst.set(code.largest(worst.get(), vector))
            for i, line in enumerate(_both(code, transform, square)):
                for n, value in enumerate(line):
                    to = kernels + a.channels * ((i * spec.size + n) * width) + c * width + j
                    code.store(value, to)
    _judge(code, a, worst)


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
    line = kernels + element * (a.channels * width)
    start = inputs + element * (a.padded_tiles * a.channels)
    out = products + element * (most * width)
    with code.loop(tiles, 0, rows) as first:
        sums = tile.sums(code, rows, vectors)
        starts = [start + (first + i) * a.channels for i in range(rows)]
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
    back, _, _ = matrices(spec.outputs)
    pitch = a.tile_columns * spec.outputs
    with code.loop(a.tile_columns) as column, code.loop(width, 0, code.lanes) as j:
        at = products + (unit * a.tile_columns + column) * width + j
        square = [
            [code.load(at + most * ((i * spec.size + n) * width)) for n in range(spec.size)]
            for i in range(spec.size)
        ]
        half = [_applied(code, back, c) for c in zip(*square, strict=True)]
        for i, row in enumerate(zip(*half, strict=True)):
            to = staged + (pitch * i + column * spec.outputs) * width + j
            for n, value in enumerate(_applied(code, back, row)):
                code.store(value, to + n * width)
    number = first + unit
    image, row_of_tiles = number // a.tile_rows + a.first_image, number % a.tile_rows + a.first_row
    y = row_of_tiles * spec.outputs
    base = a.target + a.target_offset + image * a.target_image + y * a.target_row
    sink = output.Sink(
        base, spec.sink, a.target_channel, table, a.bias if spec.bias else None, spec.activation,
        a.outputs,
    )  # fmt: skip
    lines = code.smaller(a.lines - y, spec.outputs)
    output.write(code, sink, staged, width, k, (lines, a.columns, pitch), a.target_row)
