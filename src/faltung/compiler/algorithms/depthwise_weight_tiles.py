"""Sums of weight gradients over panels, a tile of taps at a time, and their way into tensors."""

from typing import Any

from faltung.compiler.algorithms import depthwise_rows
from faltung.compiler.algorithms.depthwise_form import WeightForm
from faltung.compiler.emit import Code, Index, Int, Pointer, Variable


def sums(code: Code, spec: WeightForm, a: Any, rows: Int, number: Index, plane: Index) -> None:
    """Add a block to the sums of one output channel, or of one vector of channels.

    Args:
        code: The function being written.
        spec: What it is specialised on.
        a: The argument block.
        rows: Rows of the block.
        number: Which sums.
        plane: Which planes of the panels.
    """
    sums = a.sums + number * spec.set_of_sums(code.lanes)
    source, slope = a.room + plane * a.plane, a.slopes + plane * a.slope_plane
    across, down = (
        spans(n, part) for n, part in zip(spec.window[::-1], spec.tile[::-1], strict=True)
    )
    for r_first, r_count, r_number in down:
        with code.loop(r_number) as i:
            for s_first, s_count, s_number in across:
                with code.loop(s_number) as k:
                    r, s = r_first + i * r_count, s_first + k * s_count
                    _tile(code, spec, a, rows, (source, slope), (r, s), (r_count, s_count), sums)
    if spec.bias:
        _bias(
            code, slope, rows * a.slope_pitch, sums + spec.window[0] * spec.window[1] * code.lanes
        )


def spans(size: int, part: int) -> list[tuple[int, int, int]]:
    """Cut a length into equal parts and a rest: (first, length, number of such parts)."""
    cut = size // part * part
    return [(0, part, size // part)] + ([(cut, size - cut, 1)] if cut < size else [])


def _tile(
    code: Code,
    spec: WeightForm,
    a: Any,
    rows: Int,
    panels: tuple[Pointer, Pointer],
    first: tuple[Index, Index],
    shape: tuple[int, int],
    sums: Pointer,
) -> None:
    """Sum a tile of taps over a block, some columns at a time, and add it to sums in memory."""
    unit = code.lanes if spec.layout == "channels" else 1
    source, slope = panels
    rests = spec.step[1] if unit == 1 else 1
    ways = [_way(a, (first[1] + s) * spec.dilation[1], rests, unit) for s in range(shape[1])]
    source = source + first[0] * (a.pitch * spec.dilation[0])

    def product(slots: list[list[Variable]], y: Index, at: Index, masked: bool) -> None:
        element = code.load(slope + y * a.slope_pitch + at)
        line = source + y * (a.pitch * spec.step[0]) + at * (1 if unit == 1 else spec.step[1])
        for r, row in enumerate(slots):
            for way, slot in zip(ways, row, strict=True):
                value = code.load(line + r * (a.pitch * spec.dilation[0]) + way)
                if masked:
                    zero = code.fill(0)
                    value = code.load(a.mask).beats(zero, ">").choose(value, zero)
                slot.set(code.fma(element, value, slot.get()))

    wide = a.columns * unit // code.lanes * code.lanes
    with code.loop(a.slope_pitch, 0, a.span) as start:
        slots = [[code.variable(code.fill(0)) for _ in range(shape[1])] for _ in range(shape[0])]
        with code.loop(rows) as y:
            with code.loop(code.smaller(start + a.span, wide), start, code.lanes) as at:
                product(slots, y, at, False)
            if unit == 1:
                with code.when(code.smaller(start + a.span, a.columns) > wide):
                    product(slots, y, wide, True)
        for r, row in enumerate(slots):
            for s, slot in enumerate(row):
                tap = (first[0] + r) * spec.window[1] + (first[1] + s)
                total = sums + tap * code.lanes
                code.store(code.load(total) + slot.get(), total)


def _way(a: Any, column: Index, rests: int, unit: int) -> Index:
    """Return where a column of a panel lies in its row."""
    if rests == 1:
        return column * unit
    way: Index = a.segment * (column % rests) + column // rests * unit
    return way


def _bias(code: Code, slope: Pointer, count: Int, at: Pointer) -> None:
    """Add a whole panel of the gradient, whose padding is zero, to a sum."""
    slots = [code.variable(code.fill(0)) for _ in range(4)]
    block = len(slots) * code.lanes
    even = count // block * block
    with code.loop(even, 0, block) as i:
        for u, slot in enumerate(slots):
            slot.set(slot.get() + code.load(slope + i + u * code.lanes))
    with code.loop(count, even, code.lanes) as i:
        slots[0].set(slots[0].get() + code.load(slope + i))
    a, b, c, d = (slot.get() for slot in slots)
    code.store(code.load(at) + ((a + b) + (c + d)), at)


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
