"""Gradient of dense weights on a matrix unit: pixels are what is summed over, 32 a step.

A register of 16 channels by 32 neighbouring pixels of the input meets one of 32 pixels by 16
outputs of the gradient. A task takes a part of the pixels, a slice of the channels and a chunk of
the outputs. Block by block (rows of an image, or several small images) it brings both into panels
(`amx_weight_panel`, `amx_weight_pairs`); then, for each tap, tile of 32 channels and tile of 32
outputs, the sums come from memory into four registers, all pixels of the block pass by, and the
sums go back. The parts are fixed by the problem alone and added in their order (`weight_sums`), so
that the bits do not depend on the threads.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import (
    amx_products,
    amx_weight_pairs,
    amx_weight_panel,
    panel,
    weight_sums,
)
from faltung.compiler.algorithms.amx import multiply
from faltung.compiler.algorithms.amx_form import HALF, Operand
from faltung.compiler.algorithms.amx_products import PIECES
from faltung.compiler.algorithms.amx_weight_panel import SQUARE, STEP, TILE, WIDTH
from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments
from faltung.compiler.emit import Code, Condition, Int, Pointer, Program, Variable
from faltung.compiler.emit.tiles import ROW, Tiles
from faltung.compiler.plan import POINTERS, WORKSPACE
from faltung.compiler.target import Target

TENSORS = ("x", "dy", "db", "dw")
SIZES = (
    "images", "groups", "channels", "slice", "slices", "outputs",
    "height", "width", "lines", "columns",
    "x_image", "x_channel", "x_row", "x_column", "x_offset",
    "dy_image", "dy_channel", "dy_row", "dy_column",
    "dw_output", "dw_channel", "dw_row", "dw_column", "dw_offset",
    "run_length", "run_first", "run_rows", "run_columns", "run_channels",
    "place_row", "place_column",
    "top", "left", "pitch", "reach",
    "window_rows", "window_columns", "stride_row", "stride_column", "tap_row", "tap_column",
    "padded", "slice_sums", "sums", "tiles",
    "rows", "blocks", "together", "parts", "chunks", "tiles_in_chunk",
    "length", "line", "pixels", "plane", "apart", "shared", "private", "team",
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """What a kernel is specialised on; everything else is an argument.

    Attributes:
        x: Layout of the input.
        dy: Layout of the gradient.
        kind: Element type of all tensors.
        bias: The gradient of the bias is made too.
        products: bfloat16 products that make one product.
        stride: Step of the window along a row: 1, 2, or 0 where the arguments say it.
    """

    x: str
    dy: str
    kind: str
    bias: bool
    products: int
    stride: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("amx_weight") as code:
            a = _arguments(code, self)
            tiles = Tiles(code)
            worst = code.variable(code.fill(0)), code.variable(code.fill(0))
            first, last = code.share(a.parts * a.groups * a.slices * a.chunks)
            tiles.configure()
            with code.loop(last, first) as task:
                _task(code, self, a, tiles, worst, task)
            tiles.release()
            amx_products.note(code, a.flags, *worst)
        with program.region("gather") as code:
            a = _arguments(code, self)
            table = (a.workspace + a.shared + code.thread * a.private).cast("i64")
            with code.when(a.run_length >= code.lanes):
                weight_sums.tabulate(code, a, WIDTH, table)
            first, last = code.share(a.groups * a.tiles * a.slices)
            with code.loop(last, first) as task:
                weight_sums.gather(code, a, WIDTH, task, table)
            if self.bias:
                first, last = code.share(a.groups * a.tiles)
                with code.loop(last, first) as number:
                    weight_sums.gather_bias(code, a, WIDTH, number)
        amx_products.judge(program, WORKSPACE, POINTERS + SIZES.index("team"), len(worst))
        return program


def _arguments(code: Code, spec: Spec) -> Any:
    """Read the argument block; the workspace begins behind the flags."""
    a = read_arguments(code, spec.kind, TENSORS, SIZES)
    a.flags, a.workspace = a.workspace, a.workspace + FLAGS
    return a


def _task(
    code: Code, spec: Spec, a: Any, tiles: Tiles, worst: tuple[Variable, Variable], task: Int
) -> None:
    """Sum one part of the pixels for one slice of channels and one chunk of tiles of outputs."""
    chunk, rest = task % a.chunks, task // a.chunks
    number, rest = rest % a.slices, rest // a.slices
    group, part = rest % a.groups, rest // a.groups
    first_tile = chunk * a.tiles_in_chunk
    count = code.smaller(a.tiles - first_tile, a.tiles_in_chunk)
    sums = a.workspace + ((part * a.groups + group) * a.tiles + first_tile) * a.sums
    rooms = amx_weight_panel.rooms(code, a, PIECES[spec.products])
    panel.zeros(code, rooms.lines, SQUARE * a.length + 2 * SQUARE)
    panel.zeros(code, rooms.turned, SQUARE * a.line)
    if spec.bias:
        with code.when(number.equals(0)), code.loop(count) as tile:
            panel.zeros(code, sums + tile * a.sums + a.slices * a.slice_sums, WIDTH)

    units = (a.images + (a.together - 1)) // a.together * a.blocks
    begin = part * units // a.parts
    with code.loop((part + 1) * units // a.parts, begin) as unit:
        image, line = unit // a.blocks * a.together, unit % a.blocks * a.rows
        block = amx_weight_panel.block(code, a, image, line)
        at = a.x + a.x_offset + image * a.x_image
        at = at + (group * a.channels + number * a.slice) * a.x_channel
        amx_weight_panel.bring_input(code, spec, a, rooms, block, at, worst[0])
        with code.loop(count) as tile:
            first = (first_tile + tile) * WIDTH
            at = a.dy + image * a.dy_image + line * a.dy_row
            at = at + (group * a.outputs + first) * a.dy_channel
            some = code.smaller(a.outputs - first, WIDTH)
            amx_weight_pairs.bring(code, spec, a, rooms, block, at, some)
            gradient = rooms.gradient + tile * (a.pixels * WIDTH * PIECES[spec.products])
            bias = sums + tile * a.sums + a.slices * a.slice_sums
            to = bias if spec.bias else None
            amx_weight_pairs.split(code, rooms, block, gradient, worst[1], to, number.equals(0))
        own = sums + number * a.slice_sums
        _products(code, spec, a, tiles, rooms, block.steps, own, (count, unit.equals(begin)))


def _products(
    code: Code,
    spec: Spec,
    a: Any,
    tiles: Tiles,
    rooms: amx_weight_panel.Rooms,
    steps: Int,
    sums: Pointer,
    tiled: tuple[Int, Condition],
) -> None:
    """Add the products of a block to all sums of the task, or begin these with them.

    Args:
        code: The function being written.
        spec: The kernel.
        a: The arguments.
        tiles: The registers.
        rooms: The panels.
        steps: Steps of 32 pixels.
        sums: The sums of the slice, for the first tile of outputs.
        tiled: Tiles of outputs, and whether the sums begin here.
    """
    count, begins = tiled
    across = rooms.pieces * WIDTH * STEP
    with (
        code.loop(a.padded // TILE) as channels,
        code.loop(count) as tile,
        code.loop(a.window_rows) as r,
        code.loop(a.window_columns) as s,
    ):
        at = _under(a, rooms, r * a.tap_row, s * a.tap_column) + channels * TILE * a.apart
        gradient = rooms.gradient + tile * (a.pixels * WIDTH * rooms.pieces)
        left = Operand(at, STEP, rooms.piece, a.apart * SQUARE, a.apart * 2)
        right = Operand(gradient, across, 2 * HALF, HALF, ROW)
        place = (r * a.window_columns + s) * a.padded + channels * TILE
        _begin(code, tiles, sums + tile * a.sums + place * WIDTH, begins)
        with code.loop(steps) as step:
            multiply(tiles, spec.products, left, right, step)
        for register, to in _quarters(sums + tile * a.sums + place * WIDTH):
            tiles.store(register, to, 4 * WIDTH)


def _under(a: Any, rooms: amx_weight_panel.Rooms, down: Int, across: Int) -> Pointer:
    """Return the input of the first channel under the first output and a tap."""
    phase = down % a.stride_row * a.stride_column + across % a.stride_column
    place = down // a.stride_row * a.pitch + across // a.stride_column
    at: Pointer = rooms.input + phase * a.plane + place
    return at


def _quarters(sums: Pointer) -> list[tuple[int, Pointer]]:
    """Return the registers of sums, and where each lies in a tile of channels and outputs."""
    return [(2 * i + j, sums + i * SQUARE * WIDTH + j * SQUARE) for i in range(2) for j in range(2)]


def _begin(code: Code, tiles: Tiles, sums: Pointer, begins: Condition) -> None:
    """Fill the registers of sums with zeros or with what there is."""
    with code.either(begins) as (first, later):
        with first:
            for register, _ in _quarters(sums):
                tiles.zero(register)
        with later:
            for register, at in _quarters(sums):
                tiles.load(register, at, 4 * WIDTH)
