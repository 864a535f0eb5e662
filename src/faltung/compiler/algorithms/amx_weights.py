"""Weights in pieces, as a matrix unit reads them: tiles of 32 products by 32 outputs, in pairs.

[group][tile of outputs][pass][row of taps][segment][step][piece][half][pair][output][2], bfloat16.
A segment is what lies side by side in a panel: the channels of a tap, or of a row of taps; what is
missing to whole steps of 32 is zero.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import amx_products, panel
from faltung.compiler.algorithms.amx_products import FLAGS
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.emit import Code, Int, Pointer, Program, Variable, shorts
from faltung.compiler.emit.tiles import PAIRS
from faltung.compiler.plan import POINTERS, WORKSPACE, Step
from faltung.compiler.target import Target

OUTPUTS = 32  # outputs of a tile: two registers
DEPTH = 32  # products of a step
HALF = 512  # bfloat16 elements of a register
TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "first", "groups", "outputs", "tiles", "passes", "rows", "segments", "taps", "block", "steps",
    "weight_group", "weight_output", "weight_channel", "weight_row", "weight_column",
    "weight_offset", "team",
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Sizes of packed weights.

    Attributes:
        outputs: Outputs of a group.
        passes: Passes over the channels of a group.
        block: Channels of a pass.
        rows: Rows of taps.
        columns: Taps of a row.
        folded: A segment is a row of taps, otherwise a tap.
    """

    outputs: int
    passes: int
    block: int
    rows: int
    columns: int
    folded: bool

    @property
    def tiles(self) -> int:
        """Tiles of outputs."""
        return -(-self.outputs // OUTPUTS)

    @property
    def segments(self) -> int:
        """Segments of a row of taps."""
        return 1 if self.folded else self.columns

    @property
    def run(self) -> int:
        """Elements of a segment."""
        return self.block * self.columns // self.segments

    @property
    def steps(self) -> int:
        """Steps of a segment."""
        return -(-self.run // DEPTH)

    @property
    def depth(self) -> int:
        """Steps of a tile of outputs."""
        return self.passes * self.rows * self.segments * self.steps


@dataclass(frozen=True)
class Pack:
    """What the kernel is specialised on.

    Attributes:
        kind: Element type of the weights.
        pieces: Pieces of each.
    """

    kind: str
    pieces: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("pack") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            a.square = a.workspace + FLAGS + code.thread * (DEPTH * OUTPUTS)
            worst = code.variable(code.fill(0))
            to = (a.prepared + a.first).cast("bf16")
            first, last = code.share(a.groups * a.tiles * a.passes * a.rows * a.segments * a.steps)
            with code.loop(last, first) as number:
                step, rest = number % a.steps, number // a.steps
                segment, rest = rest % a.segments, rest // a.segments
                row, rest = rest % a.rows, rest // a.rows
                part, rest = rest % a.passes, rest // a.passes
                tile, group = rest % a.tiles, rest // a.tiles
                at = a.weights + a.weight_offset + group * a.weight_group + row * a.weight_row
                at = at + part * a.block * a.weight_channel + segment * a.weight_column
                _gather(code, a, at, tile, step)
                _split(code, self.pieces, a.square, worst, to + number * (self.pieces * 2 * HALF))
            amx_products.note(code, a.workspace, worst)
        amx_products.judge(program, WORKSPACE, POINTERS + SIZES.index("team"))
        return program


def _gather(code: Code, a: Any, at: Pointer, tile: Int, step: Int) -> None:
    """Bring the weights of one step of a tile to [product][output], float32."""
    outputs = code.smaller(a.outputs - tile * OUTPUTS, OUTPUTS)
    base = at + tile * OUTPUTS * a.weight_output
    with code.loop(DEPTH) as product:
        place = step * DEPTH + product
        to = a.square + product * OUTPUTS
        panel.zeros(code, to, code.constant(OUTPUTS))
        with code.when(a.block * a.taps > place):
            channel, tap = place % a.block, place // a.block
            from_here = base + channel * a.weight_channel + tap * a.weight_column
            with code.either(a.weight_output.equals(1) & outputs.equals(OUTPUTS)) as (near, apart):
                with near:
                    panel.copy(code, from_here, to, code.constant(OUTPUTS))
                with apart, code.loop(outputs) as k:
                    code.store(code.load(from_here + k * a.weight_output, 1), to + k)


def _split(code: Code, count: int, square: Pointer, worst: Variable, to: Pointer) -> None:
    """Write the pieces of [product][output] in pairs of products."""
    with code.loop(DEPTH // 2) as pair, code.loop(2) as half:
        at = square + pair * (2 * OUTPUTS) + half * PAIRS
        rows = [code.load(at, PAIRS), code.load(at + OUTPUTS, PAIRS)]
        for row in rows:
            worst.set(code.largest(worst.get(), row))
        split = (shorts.pieces(code, row, count) for row in rows)
        for piece, (first, second) in enumerate(zip(*split, strict=True)):
            place = to + (piece * 2 + half) * HALF + pair * (2 * PAIRS)
            shorts.store_pairs(code, first, second, place)


def step(
    layout: Layout,
    groups: int,
    strides: tuple[int, int, int, int, int, int],
    first: int,
    spec: Pack,
    team: int,
) -> Step:
    """Return the call that packs weights.

    Args:
        layout: Sizes of the packed weights.
        groups: How many groups.
        strides: Elements from one group, output, channel, row and column to the next, and offset.
        first: Where they begin in the prepared weights, in float32 elements.
        spec: The kernel.
        team: Threads that are asked for.
    """
    taps = layout.columns if layout.folded else 1
    numbers = (
        first, groups, layout.outputs, layout.tiles, layout.passes, layout.rows, layout.segments,
        taps, layout.block, layout.steps, *strides, team,
    )  # fmt: skip
    return Step(spec, numbers, guards=True)


def room(team: int) -> int:
    """Return the workspace of packing, in float32 elements."""
    return FLAGS + team * DEPTH * OUTPUTS
