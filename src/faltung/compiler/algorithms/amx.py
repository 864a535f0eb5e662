"""Dense convolution on a matrix unit: panels of pieces against packed weights.

A thread takes a block of output rows (or several small images) of one group, brings the input into
a panel (`amx_panel`), and goes through the outputs a tile of 32 at a time. Two registers of 16
pixels meet two of 16 outputs; the four sums wait in a staging buffer between passes over blocks of
channels. Every sum is made over passes, rows, columns, steps and products in this order, so that its
bits depend on nothing else.

Any window, stride, dilation, padding, layout and group size goes this way; the input gradient does
too, as correlations of the gradient with parts of the kernel.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import amx_panel, amx_products, output, panel
from faltung.compiler.algorithms.amx_products import FLAGS, ORDER, PIECES
from faltung.compiler.algorithms.amx_weights import HALF, OUTPUTS
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.emit import Code, Index, Int, Pointer, Program, Variable
from faltung.compiler.emit.tiles import ROWS, Tiles
from faltung.compiler.plan import POINTERS, WORKSPACE
from faltung.compiler.target import Target

PIXELS = 2 * ROWS  # of a register tile
TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "images", "groups", "channels", "outputs", "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column", "source_offset",
    "target_image", "target_channel", "target_row", "target_column", "target_offset",
    "top", "left", "pitch",
    "window_rows", "reach", "stride_row", "stride_column", "tap_row", "tap_column",
    "block", "passes", "segments", "steps", "packed_first", "tiles",
    "rows", "blocks", "together", "chunks", "tiles_in_chunk", "pixels", "plane", "private", "team",
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """What a kernel is specialised on; everything else is an argument.

    Attributes:
        source: Layout of the input, see `panel.LAYOUTS`.
        sink: Layout of the output.
        kind: Element type of all tensors.
        bias: There is a bias.
        summand: A tensor like the output is added.
        activation: See `output.Sink`.
        products: bfloat16 products that make one product.
    """

    source: str
    sink: str
    kind: str
    bias: bool
    summand: bool
    activation: str
    products: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("amx") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            tiles = Tiles(code)
            worst = code.variable(code.fill(0))
            sets = (a.images + (a.together - 1)) // a.together
            first, last = code.share(sets * a.groups * a.blocks * a.chunks)
            tiles.configure()
            with code.loop(last, first) as task:
                _task(code, self, a, tiles, worst, task)
            tiles.release()
            amx_products.note(code, a.workspace, worst)
        amx_products.judge(program, WORKSPACE, POINTERS + SIZES.index("team"))
        return program


def _task(code: Code, spec: Spec, a: Any, tiles: Tiles, worst: Variable, task: Int) -> None:
    """Compute one chunk of outputs for one block of rows of one set of images."""
    chunk, rest = task % a.chunks, task // a.chunks
    block, rest = rest % a.blocks, rest // a.blocks
    group, number = rest % a.groups, rest // a.groups
    first_image, first_line = number * a.together, block * a.rows
    images = code.smaller(a.images - first_image, a.together)
    lines = code.smaller(a.lines - first_line, a.rows)
    slot = lines - 1 + a.reach  # rows of a phase that an image takes
    count = ((images - 1) * slot + (lines - 1)) * a.pitch + a.columns

    staged, base, table, line = _rooms(code, spec, a)
    length = a.pitch * a.stride_column * a.block
    row = panel.Panel(line, a.block, a.channels, length, a.pitch * a.stride_column)
    pieces = amx_panel.Pieces(base, PIECES[spec.products], a.plane, a.stride_row, a.passes)
    with code.loop(images) as i:
        at = a.source + a.source_offset + (first_image + i) * a.source_image
        source = panel.Source(
            at + group * a.channels * a.source_channel, spec.source,
            (a.source_channel, a.source_row, a.source_column), (a.height, a.width),
        )  # fmt: skip
        top = first_line * a.stride_row - a.top
        amx_panel.fill(code, source, row, pieces, top, a.left, (i * slot, slot), worst)
    amx_panel.end(code, pieces, images * slot, length)
    with code.loop(lines) as y, code.loop(a.columns) as x:
        code.store_int(y * a.target_row + x * a.target_column, table + y * a.columns + x)

    size = a.passes * a.window_rows * a.segments * a.steps * (pieces.count * 2 * HALF)
    stop = code.smaller((chunk + 1) * a.tiles_in_chunk, a.tiles)
    with code.loop(stop, chunk * a.tiles_in_chunk) as tile:
        packed = (a.prepared + a.packed_first).cast("bf16") + (group * a.tiles + tile) * size
        with code.loop(a.passes) as part, code.loop(count, 0, PIXELS) as pixel:
            _sums(code, spec, a, tiles, pieces, packed, staged, part, pixel)
        with code.loop(images) as i:
            start = a.target_offset + (first_image + i) * a.target_image
            start = start + group * a.outputs * a.target_channel + first_line * a.target_row
            sink = output.Sink(
                a.target + start, spec.sink, a.target_channel, table,
                a.bias + group * a.outputs if spec.bias else None,
                a.summand + start if spec.summand else None, spec.activation, a.outputs,
            )  # fmt: skip
            from_here = staged + i * slot * a.pitch * OUTPUTS
            area = (lines, a.columns, a.pitch)
            output.write(code, sink, from_here, OUTPUTS, tile * OUTPUTS, area, a.target_row)


def _rooms(code: Code, spec: Spec, a: Any) -> tuple[Pointer, Pointer, Pointer, Pointer]:
    """Return this thread's staging, panel, table of places, and row."""
    staged = a.workspace + FLAGS + code.thread * a.private
    base = staged + a.pixels * OUTPUTS
    elements = a.plane * a.stride_row * a.passes * PIECES[spec.products]
    table = base + elements // 2
    return staged, base.cast("bf16"), table.cast("i64"), table + a.rows * a.columns * 2


def _sums(
    code: Code,
    spec: Spec,
    a: Any,
    tiles: Tiles,
    pieces: amx_panel.Pieces,
    packed: Pointer,
    staged: Pointer,
    part: Int,
    pixel: Int,
) -> None:
    """Sum one register tile of 32 pixels by 32 outputs over one pass."""
    quarters = [
        (2 * i + j, staged + (pixel + i * ROWS) * OUTPUTS + j * ROWS)
        for i in range(2)
        for j in range(2)
    ]
    with code.either(part.equals(0)) as (begin, resume):
        with begin:
            for register, _ in quarters:
                tiles.zero(register)
        with resume:
            for register, at in quarters:
                tiles.load(register, at, 4 * OUTPUTS)
    step = a.stride_column * a.block
    weights = pieces.count * 2 * HALF
    with code.loop(a.window_rows) as r:
        down = r * a.tap_row
        row = pieces.base + part * pieces.step + down % a.stride_row * pieces.plane
        row = row + (down // a.stride_row * a.pitch + pixel) * step
        before = (part * a.window_rows + r) * a.segments
        with code.loop(a.segments) as s, code.loop(a.steps) as t:
            at = row + s * a.tap_column * a.block + t * OUTPUTS
            multiply(
                tiles, spec.products, (at, pieces.piece, step * ROWS, step * 2),
                packed + ((before + s) * a.steps + t) * weights,
            )  # fmt: skip
    for register, at in quarters:
        tiles.store(register, at, 4 * OUTPUTS)


def multiply(
    tiles: Tiles, products: int, left: tuple[Pointer, Int, Index, Index], right: Pointer
) -> None:
    """Add one step to the sums: registers 0 to 3 += (4, 5) times (6, 7), for all pairs of pieces.

    Args:
        tiles: The registers.
        products: Products that make one product.
        left: Address of the first piece, elements to the next piece and to the second register,
            and bytes from one row to the next.
        right: The packed pieces, registers of 1024 bytes side by side.
    """
    at, piece, second, stride = left
    held: tuple[int, int] = (-1, -1)
    for pair in ORDER[products]:
        if pair[0] != held[0]:
            for i in range(2):
                tiles.load(4 + i, at + pair[0] * piece + i * second, stride)
        if pair[1] != held[1]:
            for j in range(2):
                tiles.load(6 + j, right + (pair[1] * 2 + j) * HALF, 64)
        held = pair
        for i in range(2):
            for j in range(2):
                tiles.dot(2 * i + j, 4 + i, 6 + j)
