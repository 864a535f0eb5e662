"""The sums of one tile of outputs of a dense convolution, pass after pass."""

from collections.abc import Sequence
from typing import Any, Protocol

from faltung.compiler.algorithms import output, tile
from faltung.compiler.emit import Code, Condition, Index, Int, Pointer, Vector

BLOCK = 256  # products of a segment that are summed before they are added to what came before


class Shape(Protocol):
    """What of a kernel's specification the sums depend on; see `dense.Spec`."""

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and vectors of the register tile."""

    @property
    def single(self) -> bool:
        """One pass makes the whole sum."""

    @property
    def woven(self) -> int:
        """Channels of the small groups that share a vector, or 0."""

    @property
    def taps(self) -> tuple[int, int, int] | None:
        """Rows of taps, segments and steps of a pass, where they are unrolled."""

    @property
    def long(self) -> bool:
        """A segment is summed in blocks."""


def sum_tile(
    code: Code,
    spec: Shape,
    a: Any,
    held: tuple[Pointer, Index, tuple[Index, Index], Pointer],
    packed: Pointer,
    pixels: Int,
    staged: Pointer,
    whole: Condition | None,
    sink: output.Sink,
    k: Int,
) -> None:
    """Sum one tile of outputs over all pixels of the block, pass after pass.

    The sums end in `staged`, or, where `whole` holds, in the tensor itself.
    """
    origin, block_step, steps, table = held
    rows, vectors = spec.tile
    width = vectors * code.lanes
    parts = a.window_rows // a.pass_rows
    pitch = a.packed_columns * (spec.woven or a.block) * width
    with code.loop(1 if spec.single else a.passes) as number:
        base, line = origin, packed
        if not spec.single:
            base = base + number // parts * block_step
            base = base + number % parts * a.pass_rows * a.tap_row * steps[0]
            line = packed + number // parts * (a.packed_rows * pitch)
            line = line + number % parts * a.pass_rows * pitch
        with code.loop(pixels, 0, rows) as pixel:
            sums = tile.sums(code, rows, vectors)
            starts = [base + code.load_int(table + pixel + i) for i in range(rows)]
            if not spec.single:
                with code.when(number > 0):
                    for i, row in enumerate(sums):
                        for j, slot in enumerate(row):
                            at = staged + (pixel + i) * width + j * code.lanes
                            slot.set(code.load(at))
            _taps(code, spec, a, sums, starts, line, steps, pitch)
            done = [[slot.get() for slot in row] for row in sums]
            if whole is None:
                _stage(code, done, staged + pixel * width)
            else:
                with code.either(whole) as (final, ragged):
                    with final:
                        output.put(code, sink, done, pixel, k)
                    with ragged:
                        _stage(code, done, staged + pixel * width)


def _stage(code: Code, tile: Sequence[Sequence[Vector]], at: Pointer) -> None:
    """Write the sums of a tile one behind the other."""
    for i, row in enumerate(tile):
        for j, value in enumerate(row):
            code.store(value, at + (i * len(row) + j) * code.lanes)


def _taps(
    code: Code,
    spec: Shape,
    a: Any,
    sums: list[list[Any]],
    starts: list[Pointer],
    line: Pointer,
    steps: tuple[Index, Index],
    pitch: Index,
) -> None:
    """Add the products of the taps of one pass, whose weights lie `pitch` elements apart a row."""
    width = len(sums[0]) * code.lanes
    rows, segments, run = a.pass_rows, a.segments, a.run
    if spec.taps:
        rows, segments, run = spec.taps
        pitch = segments * (spec.woven or run) * width

    def segment(r: Index, s: Index) -> None:
        way = r * (steps[0] * a.tap_row) + s * (steps[1] * a.tap_column)
        elements = [start + way for start in starts]
        if spec.woven:
            at = line + r * pitch + s * (spec.woven * width)
            tile.accumulate_woven(code, sums, elements, at, spec.woven)
            return
        at = line + r * pitch + s * (run * width)
        if spec.long:
            tile.accumulate_blocks(code, sums, elements, at, run, BLOCK)
        else:
            tile.accumulate(code, sums, elements, at, run)

    if spec.taps and rows * segments * run * len(starts) <= tile.FULL_UNROLL:
        for tap in range(rows * segments):
            segment(tap // segments, tap % segments)
    else:
        with code.loop(rows) as r, code.loop(segments) as s:
            segment(r, s)
