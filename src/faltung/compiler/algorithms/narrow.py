"""Convolution with few outputs: vectors along rows, a set of sums for each output.

A tile of outputs would be mostly empty. Here a vector holds neighbouring pixels of one output, so
that a few vectors of the input serve all outputs at once, each with its own weight as a broadcast
element. A thread brings some channels of a block of rows into a panel of planes (`narrow_panel`)
and adds their products to sums that wait in memory; then come the next channels. The rows of a
plane follow each other with their padding, and vectors pass over it from row to row: what they sum
there is not written.

A table says where in the panel each product of a phase finds its input, so that any window is one
loop over its packed weights. Every output is summed over its channels, rows and columns of taps in
this order, the products of a pass in one chain, so that its bits depend on nothing else.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from faltung.compiler.algorithms import narrow_panel, output, panel, planes, tile
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.algorithms.narrow_form import phase
from faltung.compiler.emit import Code, Index, Int, Pointer, Program
from faltung.compiler.plan import POINTERS
from faltung.compiler.target import Target

TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "images", "channels", "height", "width",
    "source_image", "source_channel", "source_row", "source_column", "source_offset",
    "target_image", "target_channel", "target_row", "target_column",
    "top", "left", "reach", "tap_row", "tap_column",
    "some", "passes", "taps", "plane", "pitch", "panel_width", "stage",
    "phases", "lines", "blocks", "private",
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """The kernel; behind the numbers of `SIZES` follow those of the phases.

    Attributes:
        source: Layout of the input, see `panel.LAYOUTS`.
        near: The pixels of a row of outputs lie side by side.
        kind: Element type of all tensors.
        bias: There is a bias.
        summand: A tensor like the output is added.
        activation: See `output.Sink`.
        tile: Outputs, and vectors of pixels of each, that are summed at once.
        direct: No panel is made: the rows of the image follow each other without padding, and each
            fills the vectors of a tile.
        spares: Rows of taps are left out where they see nothing but zeros; weights are finite.
    """

    source: str
    near: bool
    kind: str
    bias: bool
    summand: bool
    activation: str
    tile: tuple[int, int]
    direct: bool
    spares: bool

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("narrow") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            a.table = (a.workspace + code.thread * a.private).cast("i64")
            a.entries = a.some * a.taps
            a.staged = a.table.cast("f32") + a.phases * a.entries * 2
            a.panel = a.staged + a.phases * a.stage * self.tile[0]
            _tabulate(code, a)
            if not self.direct:
                panel.zeros(code, a.panel, a.some * a.plane)
            first, last = code.share(a.images * a.blocks)
            with code.loop(last, first) as task:
                _task(code, self, a, task // a.blocks, task % a.blocks)
        return program


def _phase(code: Code, number: Index) -> Any:
    return phase(code, POINTERS + len(SIZES), number)


def _tabulate(code: Code, a: Any) -> None:
    """Note where the products of a pixel find their input, for each phase."""
    with code.loop(a.phases) as number:
        f, to = _phase(code, number), a.table + number * a.entries
        with code.loop(a.some) as c, code.loop(f.tap_rows) as r, code.loop(f.tap_columns) as s:
            at = c * a.plane + r * a.tap_row * a.pitch + s * a.tap_column
            code.store_int(at, to + (c * f.tap_rows + r) * f.tap_columns + s)


def _task(code: Code, spec: Spec, a: Any, image: Int, block: Int) -> None:
    """Compute a block of rows of one image."""
    start, stop = a.lines * block // a.blocks, a.lines * (block + 1) // a.blocks
    base = a.source + a.source_offset + image * a.source_image
    if spec.direct:
        _add_direct(code, spec, a, base + start * a.pitch, (start, stop))
    else:
        _add_panels(code, spec, a, base, (start, stop))
    with code.loop(a.phases) as p:
        _deliver(code, spec, a, p, image, (start, stop))


def _add_panels(code: Code, spec: Spec, a: Any, base: Pointer, block: tuple[Int, Int]) -> None:
    """Sum a block of rows, some channels at a time."""
    strides = (a.source_channel, a.source_row, a.source_column)
    to = narrow_panel.Planes(a.panel, a.plane, a.pitch, a.panel_width, a.left)
    rows = block[1] - block[0] + a.reach
    with code.loop(a.passes) as number:
        first = number * a.some
        here = base + first * a.source_channel
        source = panel.Source(here, spec.source, strides, (a.height, a.width))
        channels = code.smaller(a.channels - first, a.some)
        narrow_panel.bring(code, source, to, channels, block[0] - a.top, rows, a.blocks)
        with code.loop(a.phases) as p:
            f = _phase(code, p)
            with code.loop(_positions(code, a, f, block), 0, spec.tile[1] * code.lanes) as at:
                taps = _rows_of_taps(code, spec, a, f, block, at) if spec.spares else None
                _chunk(code, spec, a, (p, f), at, (a.panel, first), taps)


def _add_direct(code: Code, spec: Spec, a: Any, base: Pointer, block: tuple[Int, Int]) -> None:
    """Sum a block of rows from the image itself; the last tile may overlap the one before."""
    f, wide = _phase(code, 0), spec.tile[1] * code.lanes
    positions = _positions(code, a, f, block)
    whole = positions // wide * wide

    def chunk(at: Int, number: Int) -> None:
        first = number * a.some
        _chunk(code, spec, a, (0, f), at, (base + first * a.plane, first))

    with code.loop(a.passes) as number, code.loop(whole, 0, wide) as at:
        chunk(at, number)
    with code.when(positions > whole), code.loop(a.passes) as number:
        chunk(positions - wide, number)


def _lines(code: Code, f: Any, block: tuple[Int, Int]) -> Int:
    """Return how many rows of a phase lie in a block; none where it is negative."""
    return code.smaller(block[1], f.lines) - block[0]


def _positions(code: Code, a: Any, f: Any, block: tuple[Int, Int]) -> Int:
    """Return the positions from the first output of a block to its last."""
    count: Int = (_lines(code, f, block) - 1) * a.pitch + f.columns
    return count


def _rows_of_taps(
    code: Code, spec: Spec, a: Any, f: Any, block: tuple[Int, Int], at: Int
) -> tuple[Int, Int]:
    """Return the first of the rows of taps that a tile needs, and the row behind the last."""
    wide = spec.tile[1] * code.lanes
    line = code.smaller((at + (wide - 1)) // a.pitch, _lines(code, f, block) - 1)
    first, last = (block[0] + n + f.row - a.top for n in (at // a.pitch, line))
    low = code.larger(a.tap_row - 1 - last, 0) // a.tap_row
    high = code.larger(a.height - 1 - first + a.tap_row, 0) // a.tap_row
    return low, code.smaller(high, f.tap_rows)


def _chunk(
    code: Code,
    spec: Spec,
    a: Any,
    of: tuple[Index, Any],
    at: Int,
    source: tuple[Pointer, Int],
    rows: tuple[Int, Int] | None = None,
) -> None:
    """Add the products of a pass to the sums of a tile of a phase.

    Args:
        code: The function being written.
        spec: What it is specialised on.
        a: The argument block.
        of: The phase.
        at: The first position of the tile.
        source: The input, and the first channel of the pass.
        rows: The first row of taps, and the one behind the last; None for all of them.
    """
    (p, f), (origin, first) = of, source
    outputs, vectors = spec.tile
    products = f.tap_rows * f.tap_columns
    weights = a.prepared + f.packed + first * products * outputs
    table = a.table + p * a.entries
    sums = tile.sums(code, outputs, vectors)
    base = origin + f.start + at

    def product(t: Int) -> None:
        here = base + code.load_int(table + t)
        elements = [partial(code.broadcast, weights + t * outputs + k) for k in range(outputs)]
        pixels = [partial(code.load, here + v * code.lanes) for v in range(vectors)]
        tile.products(code, sums, elements, pixels)

    channels = code.smaller(a.channels - first, a.some)
    if rows is not None:
        low, high = (row * f.tap_columns for row in rows)
        with code.loop(channels) as c, code.loop(c * products + high, c * products + low) as t:
            product(t)
    else:
        with code.loop(channels * products) as t:
            product(t)
    to = a.staged + p * outputs * a.stage + at
    places = [
        (slot.get(), to + k * a.stage + v * code.lanes)
        for k, row in enumerate(sums)
        for v, slot in enumerate(row)
    ]
    with code.either(first.equals(0)) as (new, more):
        with new:
            for value, place in places:
                code.store(value, place)
        with more:
            for value, place in places:
                code.store(code.load(place) + value, place)


def _deliver(code: Code, spec: Spec, a: Any, p: Int, image: Int, block: tuple[Int, Int]) -> None:
    """Write the rows of a block of one phase."""
    f = _phase(code, p)
    start = f.target_offset + image * a.target_image + block[0] * a.target_row
    sink = output.Sink(
        a.target + start, "rows", a.target_channel, a.table, a.bias if spec.bias else None,
        a.summand + start if spec.summand else None, spec.activation,
        code.constant(spec.tile[0]),
    )  # fmt: skip
    staged = a.staged + p * spec.tile[0] * a.stage
    with code.loop(_lines(code, f, block)) as line:
        at, row = line * a.target_row, staged + line * a.pitch

        def put(x: Index, lanes: int) -> None:
            for k in range(spec.tile[0]):
                value = code.load(row + k * a.stage + x, lanes)
                if spec.spares:  # else the sign of a zero would tell which rows a tile left out
                    value = value + code.fill(0, lanes)
                place = at + k * a.target_channel + x * a.target_column
                output.finish(code, sink, value, k, place, lanes, across=False)

        planes.ragged(code, f.columns, put, (code.lanes, 1) if spec.near else (1,))
