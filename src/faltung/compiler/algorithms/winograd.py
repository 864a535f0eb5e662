"""Winograd's convolution: small square windows at stride 1 with fewer products.

An m x m tile of outputs of an r x r window needs (m + r - 1)² products a pair of channels, not
(m r)²: F(2x2, 3x3) 2.25 times fewer, F(4x4, 3x3) four times, F(2x2, 5x5) 2.8 times. The input tile
and the kernel are transformed, multiplied element by element (a matrix product over channels for
each element), and transformed back: Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A.

A block of tile rows is treated in turn: its tiles are transformed to [element][tile][channel], and
multiplied by the weights of a tile of outputs after the other (`winograd_output`). Where weights
are few, each thread does so for itself with tiles that stay in its second cache, and all weights
were transformed before (`winograd_kernels`). Else one kernel transforms the tiles of a group of
rows, and another multiplies them: its threads share the tiles and have weights of their own,
transformed before or on the way.

Differences of large numbers would turn infinities into NaN and could overflow, so elements and
weights beyond `LARGEST` raise a flag, and the caller computes the whole call with another
algorithm: then images beside one with such elements get other, as good, last bits.

Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks" (2016).
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import winograd_kernels, winograd_output
from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments
from faltung.compiler.algorithms.winograd_input import (
    begin_flags,
    clear,
    transform_input,
)
from faltung.compiler.emit import Code, Int, Program
from faltung.compiler.target import Target

TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "first_row", "rows", "tile_rows", "tile_columns",
    "channels", "outputs", "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column", "source_offset",
    "target_image", "target_channel", "target_row", "target_column", "target_offset",
    "weight_output", "weight_channel", "weight_row", "weight_column", "weight_offset",
    "run_length", "run_first", "run_rows", "run_columns", "run_channels", "run_block",
    "top", "left", "panel_width", "padded_tiles", "tiles", "chunks", "rows_in_chunk",
    "rows_in_block", "shared", "private", "own", "kept",
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
        apart: Each thread transforms the tiles that it multiplies, by weights transformed before.
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
    apart: bool
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
        with program.region("convolve" if self.apart else "multiply") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            begin_flags(code, a)
            if self.apart:
                first, last = code.share(a.rows)
                blocks = (last - first + (a.rows_in_block - 1)) // a.rows_in_block
                with code.loop(blocks) as block:
                    start = first + block * a.rows_in_block
                    _convolve(code, self, a, start, code.smaller(last - start, a.rows_in_block))
            else:
                first, last = code.share(a.tiles * a.chunks)
                with code.loop(last, first) as task:
                    _multiply(code, self, a, task)
        return program


@dataclass(frozen=True)
class Inputs:
    """What the kernel is specialised on that transforms the tiles of a group of rows.

    Attributes:
        source: Layout of the input.
        kind: Element type.
        outputs: m, the outputs of a tile along one axis.
        taps: r, the taps of the window along one axis.
    """

    source: str
    kind: str
    outputs: int
    taps: int

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
            with code.when(code.thread.equals(0)):
                clear(code, self.size, a, a.rows, a.workspace + FLAGS)
        return program


def _convolve(code: Code, spec: Spec, a: Any, first: Int, count: Int) -> None:
    """Transform `count` rows of tiles, and compute all their outputs."""
    inputs = a.workspace + FLAGS + code.thread * a.private
    rest = inputs + a.padded_tiles * a.channels * spec.size**2
    start = inputs - first * a.tile_columns * a.channels
    with code.loop(count) as row:
        transform_input(code, spec, a, first + row, rest, start)
    clear(code, spec.size, a, count, inputs)
    held = winograd_output.room(code, spec, a, rest)
    width = spec.tile[1] * code.lanes
    each = winograd_kernels.pitch(a.channels, width) * spec.size**2
    with code.loop(a.tiles) as number:
        kernels = a.prepared + a.kept + number * each
        winograd_output.put_tiles(
            code, spec, a, inputs, kernels, held, first, count, number * width
        )


def _multiply(code: Code, spec: Spec, a: Any, task: Int) -> None:
    """Compute one tile of outputs for one chunk of tile rows."""
    width = spec.tile[1] * code.lanes
    number, chunk = task % a.tiles, task // a.tiles
    own = a.workspace + a.shared + code.threads * a.private + code.thread * a.own
    size = winograd_kernels.pitch(a.channels, width) * spec.size**2
    anew = a.prepared.is_none()
    with code.when(anew):
        packed = own + size
        table = (packed + a.run_block * (spec.taps**2 * width)).cast("i64")
        winograd_kernels.transform(code, spec, a, width, number, packed, own, table)
    kernels = anew.pick(own, a.prepared + a.kept + number * size)
    mine = a.workspace + a.shared + code.thread * a.private
    held = winograd_output.room(code, spec, a, mine)
    stop = code.smaller((chunk + 1) * a.rows_in_chunk, a.rows)
    blocks = (stop - chunk * a.rows_in_chunk + (a.rows_in_block - 1)) // a.rows_in_block
    with code.loop(blocks) as block:
        first = chunk * a.rows_in_chunk + block * a.rows_in_block
        count = code.smaller(stop - first, a.rows_in_block)
        inputs = a.workspace + FLAGS + first * a.tile_columns * a.channels
        winograd_output.put_tiles(
            code, spec, a, inputs, kernels, held, first, count, number * width
        )
