"""Weights in pieces, as a matrix unit reads them: tiles of 32 products by 32 outputs.

[group][tile of outputs][pass][row of taps][segment][step][piece][half], bfloat16, and then, as the
right factor, [pair of products][output][2], as the left one, [output][product]. A segment is what
lies side by side in a panel: the channels of a tap, or of a row of taps; what is missing to whole
steps of 32 is zero.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import amx_products, panel
from faltung.compiler.algorithms.amx_form import DEPTH, HALF, OUTPUTS
from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments
from faltung.compiler.emit import Code, Int, Pointer, Program, Variable, shorts
from faltung.compiler.emit.tiles import PAIRS
from faltung.compiler.plan import POINTERS, WORKSPACE, Step
from faltung.compiler.target import Target

SQUARE = DEPTH * OUTPUTS  # float32 elements of workspace that a thread needs
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
        left: They are the left factor.
    """

    kind: str
    pieces: int
    left: bool

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("pack") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            a.square = a.workspace + FLAGS + code.thread * SQUARE
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
                place = to + number * (self.pieces * 2 * HALF)
                _gather(code, a, at, tile, step, self.left)
                split = _split_rows if self.left else _split_pairs
                split(code, self.pieces, a.square, worst, place)
            amx_products.note(code, a.workspace, worst)
        amx_products.judge(program, WORKSPACE, POINTERS + SIZES.index("team"))
        return program


def _gather(code: Code, a: Any, at: Pointer, tile: Int, step: Int, left: bool) -> None:
    """Bring the weights of one step of a tile to [product][output], or the other way round."""
    outputs = code.smaller(a.outputs - tile * OUTPUTS, OUTPUTS)
    base = at + tile * OUTPUTS * a.weight_output
    across, along = (1, DEPTH) if left else (OUTPUTS, 1)
    panel.zeros(code, a.square, code.constant(DEPTH * OUTPUTS))
    products = code.smaller(a.block * a.taps - step * DEPTH, DEPTH)
    with code.loop(products) as product:
        place = step * DEPTH + product
        from_here = base + place % a.block * a.weight_channel
        from_here = from_here + place // a.block * a.weight_column
        with code.loop(outputs) as k:
            value = code.load(from_here + k * a.weight_output, 1)
            code.store(value, a.square + product * across + k * along)


def _split_pairs(code: Code, count: int, square: Pointer, worst: Variable, to: Pointer) -> None:
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


def _split_rows(code: Code, count: int, square: Pointer, worst: Variable, to: Pointer) -> None:
    """Write the pieces of [output][product]."""
    with code.loop(2) as half, code.loop(HALF, 0, PAIRS) as at:
        value = code.load(square + half * HALF + at, PAIRS)
        worst.set(code.largest(worst.get(), value))
        for piece, part in enumerate(shorts.pieces(code, value, count)):
            shorts.store(code, part, to + (piece * 2 + half) * HALF + at)


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
