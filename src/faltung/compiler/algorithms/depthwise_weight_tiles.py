"""Sums of weight gradients over panels, a tile of taps at a time, and their way into tensors."""

from functools import partial
from typing import Any

from faltung.compiler.algorithms import depthwise_rows, tile
from faltung.compiler.algorithms.depthwise_form import WeightForm
from faltung.compiler.emit import Code, Index, Int, Mask, Pointer, Variable, Vector

Planes = tuple[Pointer, list[Pointer]]


def sums(code: Code, spec: WeightForm, a: Any, rows: Int, number: Index, planes: Planes) -> None:
    """Add a block to the sums of some outputs of a channel, or of one vector of channels.

    Args:
        code: The function being written.
        spec: What it is specialised on.
        a: The argument block.
        rows: Rows of the block.
        number: The first of the sums.
        planes: Where x begins, and dy of each of the outputs.
    """
    size, slopes = spec.set_of_sums(code.lanes), planes[1]
    held = [a.sums + (number + k) * size for k in range(len(slopes))]
    across, down = (
        spans(n, part) for n, part in zip(spec.window[::-1], spec.tile[1::-1], strict=True)
    )
    for r_first, r_count, r_number in down:
        with code.loop(r_number) as i:
            for s_first, s_count, s_number in across:
                with code.loop(s_number) as k:
                    r, s = r_first + i * r_count, s_first + k * s_count
                    _tile(code, spec, a, rows, planes, (r, s), (r_count, s_count), held)
    if spec.bias:
        behind = spec.window[0] * spec.window[1] * code.lanes
        for slope, total in zip(slopes, held, strict=True):
            _bias(code, spec, a, rows, slope, total + behind)


def spans(size: int, part: int) -> list[tuple[int, int, int]]:
    """Cut a length into equal parts and a rest: (first, length, number of such parts)."""
    cut = size // part * part
    return [(0, part, size // part)] + ([(cut, size - cut, 1)] if cut < size else [])


def _tile(
    code: Code,
    spec: WeightForm,
    a: Any,
    rows: Int,
    planes: Planes,
    first: tuple[Index, Index],
    shape: tuple[int, int],
    sums: list[Pointer],
) -> None:
    """Sum a tile of taps over a block, some columns at a time, and add it to sums in memory."""
    unit = code.lanes if spec.layout == "channels" else 1
    source, slopes = planes
    rests = spec.step[1] if unit == 1 else 1
    ways = [_way(a, (first[1] + s) * spec.dilation[1], rests, unit) for s in range(shape[1])]
    source = source + first[0] * (a.pitch * spec.dilation[0])
    taps = [(r, s) for r in range(shape[0]) for s in range(shape[1])]

    def product(slots: list[list[Variable]], y: Index, at: Index, mask: Mask | None) -> None:
        line = source + y * (a.pitch * spec.step[0]) + at * (1 if unit == 1 else spec.step[1])
        starts = [line + r * (a.pitch * spec.dilation[0]) for r in range(shape[0])]
        seen = [partial(_load, code, starts[r] + ways[s], mask) for r, s in taps]
        known = mask if spec.given else None
        lines = [slope + y * a.slope_line + at for slope in slopes]
        tile.products(code, slots, [partial(_load, code, here, known) for here in lines], seen)

    wide = a.columns * unit // code.lanes * code.lanes
    last = a.columns - code.lanes if spec.given else wide
    with code.loop(a.slope_pitch, 0, a.span) as start:
        slots = [[code.variable(code.fill(0)) for _ in taps] for _ in slopes]
        with (
            code.loop(rows) as y,
            code.loop(code.smaller(start + a.span, wide), start, code.lanes) as at,
        ):
            product(slots, y, at, None)
        if unit == 1:
            with code.when(code.smaller(start + a.span, a.columns) > wide):
                mask = code.load(a.mask).beats(code.fill(0), ">")
                with code.loop(rows) as y:
                    product(slots, y, last, mask)
        for row, places in zip(slots, sums, strict=True):
            for (r, s), slot in zip(taps, row, strict=True):
                tap = (first[0] + r) * spec.window[1] + (first[1] + s)
                total = places + tap * code.lanes
                code.store(code.load(total) + slot.get(), total)


def _load(code: Code, at: Pointer, mask: Mask | None) -> Vector:
    """Load a vector, or what a mask leaves of it."""
    value = code.load(at)
    return value if mask is None else mask.choose(value, code.fill(0))


def _way(a: Any, column: Index, rests: int, unit: int) -> Index:
    """Return where a column of a panel lies in its row."""
    if rests == 1:
        return column * unit
    way: Index = a.segment * (column % rests) + column // rests * unit
    return way


def _bias(code: Code, spec: WeightForm, a: Any, rows: Int, slope: Pointer, at: Pointer) -> None:
    """Add the rows of a block of the gradient to a sum; what pads those of a panel is zero."""
    slots = [code.variable(code.fill(0)) for _ in range(4)]
    block = len(slots) * code.lanes
    lines, length = (rows, a.columns) if spec.given else (1, rows * a.slope_pitch)
    even, whole = length // block * block, length // code.lanes * code.lanes
    with code.loop(lines) as y:
        line = slope + y * a.slope_line
        with code.loop(even, 0, block) as i:
            for u, slot in enumerate(slots):
                slot.set(slot.get() + code.load(line + i + u * code.lanes))
        with code.loop(whole, even, code.lanes) as i:
            slots[0].set(slots[0].get() + code.load(line + i))
    if spec.given:
        with code.when(length > whole):
            mask = code.load(a.mask).beats(code.fill(0), ">")
            with code.loop(lines) as y:
                last = slope + y * a.slope_line + (length - code.lanes)
                slots[1].set(slots[1].get() + _load(code, last, mask))
    p, q, r, s = (slot.get() for slot in slots)
    code.store(code.load(at) + ((p + q) + (r + s)), at)


def fold(code: Code, spec: WeightForm, a: Any) -> None:
    """Add up the lanes of each sum; sum i of a channel becomes element i."""
    lanes = code.lanes
    with code.loop(spec.multiplier) as q:
        sums = a.sums + q * spec.set_of_sums(lanes)
        with code.loop(spec.set_of_sums(lanes) // lanes, 0, lanes) as i:
            rows = code.transposed([code.load(sums + (i + u) * lanes) for u in range(lanes)])
            while len(rows) > 1:
                rows = [x + y for x, y in zip(rows[::2], rows[1::2], strict=True)]
            code.store(rows[0], sums + i)


def deliver(code: Code, spec: WeightForm, a: Any, sums: Pointer, number: Int) -> None:
    """Write the sums of an output channel, or of a vector of channels, to the gradients."""
    (high, wide), over = spec.window, spec.layout == "channels"
    row, column, origin = a.weight_row, a.weight_column, a.target
    if spec.flip:
        origin = origin + (row * (high - 1) + column * (wide - 1))
        row, column = row * -1, column * -1
    step = code.lanes if over else 1
    first = number * step
    count = code.smaller(a.channels - first, step) if over else 1
    with code.loop(count) as c, code.loop(high) as r:
        base = origin + (first + c) * a.weight_channel + r * row
        depthwise_rows.scattered(code, sums + r * (wide * step) + c, base, wide, (step, column))
    if spec.bias:
        depthwise_rows.scattered(code, sums + high * wide * step, a.bias + first, count, (1, 1))
