"""Dense convolution on a matrix unit: panels of pieces against packed weights.

A thread takes a block of output rows (or several small images) of one group, brings the input into
a panel, and goes through the outputs a tile of 32 at a time. Two registers of 16 pixels meet two of
16 outputs, on the left or on the right (`amx_pixels`, `amx_channels`); the four sums wait in a
staging buffer between passes over blocks of channels. Every sum is made over passes, rows, columns,
steps and products in this order, so that its bits depend on nothing else.

Any window, stride, dilation, padding, layout and group size goes this way; the input gradient does
too, as correlations of the gradient with parts of the kernel.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import amx_products, output, panel
from faltung.compiler.algorithms.amx_channels import ChannelsLeft
from faltung.compiler.algorithms.amx_form import HALF, OUTPUTS, Form, Operand
from faltung.compiler.algorithms.amx_pixels import PixelsLeft
from faltung.compiler.algorithms.amx_products import ORDER, PIECES
from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments
from faltung.compiler.emit import Code, Int, Pointer, Program, Variable
from faltung.compiler.emit.tiles import ROW, ROWS, Tiles
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
    "rows", "blocks", "together", "chunks", "tiles_in_chunk",
    "pixels", "staged", "panel", "plane", "pair", "private", "team",
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
        channels_left: The outputs are the left factor, else the pixels are.
        step: With the outputs on the left, the stride along the width where it is 1 or 2, else 0.
    """

    source: str
    sink: str
    kind: str
    bias: bool
    summand: bool
    activation: str
    products: int
    channels_left: bool
    step: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("amx") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            tiles = Tiles(code)
            worst = code.variable(code.fill(0))
            sets = (a.images + (a.together - 1)) // a.together
            first, last = code.share(sets * a.groups * a.blocks * a.chunks)
            form, table = self._form(code, a)
            tiles.configure()
            with code.loop(last, first) as task:
                _task(code, self, a, tiles, form, table, worst, task)
            tiles.release()
            amx_products.note(code, a.workspace, worst)
        amx_products.judge(program, WORKSPACE, POINTERS + SIZES.index("team"))
        return program

    def _form(self, code: Code, a: Any) -> tuple[Form, Pointer]:
        """Return what this thread works on, and its table of places."""
        staged = a.workspace + FLAGS + code.thread * a.private
        base = staged + a.staged
        table = base + a.panel
        line = table + a.rows * a.columns * 2
        pieces, panel_ = PIECES[self.products], base.cast("bf16")
        if self.channels_left:
            return ChannelsLeft(code, a, pieces, panel_, line, staged, self.step), table.cast("i64")
        return PixelsLeft(code, a, pieces, panel_, line, staged), table.cast("i64")


def _task(
    code: Code,
    spec: Spec,
    a: Any,
    tiles: Tiles,
    form: Form,
    table: Pointer,
    worst: Variable,
    task: Int,
) -> None:
    """Compute one chunk of outputs for one block of rows of one set of images."""
    chunk, rest = task % a.chunks, task // a.chunks
    block, rest = rest % a.blocks, rest // a.blocks
    group, number = rest % a.groups, rest // a.groups
    first_image, first_line = number * a.together, block * a.rows
    images = code.smaller(a.images - first_image, a.together)
    lines = code.smaller(a.lines - first_line, a.rows)
    slot = lines - 1 + a.reach  # rows of a phase that an image takes
    count = ((images - 1) * slot + (lines - 1)) * a.pitch + a.columns
    with code.loop(images) as i:
        at = a.source + a.source_offset + (first_image + i) * a.source_image
        source = panel.Source(
            at + group * a.channels * a.source_channel, spec.source,
            (a.source_channel, a.source_row, a.source_column), (a.height, a.width),
        )  # fmt: skip
        form.fill(source, first_line * a.stride_row - a.top, (i * slot, slot), worst)
    form.end(images * slot)
    with code.loop(lines) as y, code.loop(a.columns) as x:
        code.store_int(y * a.target_row + x * a.target_column, table + y * a.columns + x)

    size = a.passes * a.window_rows * a.segments * a.steps * (PIECES[spec.products] * 2 * HALF)
    stop = code.smaller((chunk + 1) * a.tiles_in_chunk, a.tiles)
    with code.loop(stop, chunk * a.tiles_in_chunk) as tile:
        packed = (a.prepared + a.packed_first).cast("bf16") + (group * a.tiles + tile) * size
        with code.loop(a.passes) as part, code.loop(count, 0, PIXELS) as pixel:
            _sums(code, spec, a, tiles, form, packed, part, pixel)
        with code.loop(images) as i:
            start = a.target_offset + (first_image + i) * a.target_image
            start = start + group * a.outputs * a.target_channel + first_line * a.target_row
            sink = output.Sink(
                a.target + start, spec.sink, a.target_channel, table,
                a.bias + group * a.outputs if spec.bias else None,
                a.summand + start if spec.summand else None, spec.activation, a.outputs,
            )  # fmt: skip
            form.write(sink, i * slot * a.pitch, tile * OUTPUTS, lines)


def _sums(
    code: Code,
    spec: Spec,
    a: Any,
    tiles: Tiles,
    form: Form,
    packed: Pointer,
    part: Int,
    pixel: Int,
) -> None:
    """Sum one register tile of 32 pixels by 32 outputs over one pass."""
    waiting = [(2 * i + j, *form.sums(pixel, i, j)) for i in range(2) for j in range(2)]
    with code.either(part.equals(0)) as (begin, resume):
        with begin:
            for register, _, _ in waiting:
                tiles.zero(register)
        with resume:
            for register, at, row in waiting:
                tiles.load(register, at, row)
    size = PIECES[spec.products] * 2 * HALF
    with code.loop(a.window_rows) as r, code.loop(a.segments) as s:
        own = form.operand(part, (r * a.tap_row, s * a.tap_column), pixel)
        first = ((part * a.window_rows + r) * a.segments + s) * a.steps
        weights = Operand(packed + first * size, size, 2 * HALF, HALF, ROW)
        with code.loop(a.steps) as t:
            multiply(tiles, spec.products, own, weights, t, form.swapped)
    for register, at, row in waiting:
        tiles.store(register, at, row)


def multiply(
    tiles: Tiles, products: int, one: Operand, other: Operand, step: Int, swapped: bool = False
) -> None:
    """Add one step to the sums: registers 0 to 3 += (4, 5) times (6, 7), for all pairs of pieces.

    Args:
        tiles: The registers.
        products: Products that make one product.
        one: The left factor.
        other: The right one.
        step: Which step.
        swapped: They change places.
    """
    left, right = (6, 4) if swapped else (4, 6)
    places = [operand.at + step * operand.step for operand in (one, other)]
    held = (-1, -1)
    for pair in ORDER[products]:
        for side, (operand, register) in enumerate(((one, left), (other, right))):
            if pair[side] == held[side]:
                continue
            for i in range(2):
                at = places[side] + pair[side] * operand.piece + i * operand.second
                tiles.load(register + i, at, operand.stride)
        held = pair
        for i in range(2):
            for j in range(2):
                tiles.dot(2 * i + j, 4 + i, 6 + j)
