"""Outputs of depthwise convolutions, a register tile at a time, wherever their input stands."""

from dataclasses import replace
from typing import Any

from faltung.compiler.algorithms import depthwise_channels, depthwise_rows
from faltung.compiler.algorithms.depthwise_axes import Axis
from faltung.compiler.algorithms.depthwise_form import Form
from faltung.compiler.algorithms.depthwise_sums import Held, Inside, Taps, add, zero
from faltung.compiler.algorithms.output import activated
from faltung.compiler.emit import Code, Condition, Index, Int, Pointer, Vector

APART = 16  # taps from which each source channel's products have a sum of their own


def _sums(
    code: Code,
    spec: Form,
    a: Any,
    held: Held,
    axes: tuple[Axis, Axis],
    shape: tuple[int, int],
    number: Index,
) -> list[list[Vector]]:
    """Return the outputs of a tile: sums, bias, activation.

    Args:
        code: The function being written.
        spec: What it is specialised on.
        a: The argument block.
        held: Where the tile stands.
        axes: Taps of the phase.
        shape: Rows and vectors of the tile.
        number: Set of weights: vector of channels, or target channel of the unit.
    """
    unit, taps = spec.unit(code.lanes), spec.window[0] * spec.window[1]
    filters = a.filters + number * ((taps + 1) * unit)
    slots = zero(code, shape)
    apart = spec.fan[0] > 1 and axes[0].count * axes[1].count >= APART
    with code.loop(spec.fan[0]) as p:
        weights = Taps(code.settled(filters + p * ((taps + 1) * unit)), spec.window[1], unit)
        base = code.settled(held.base + p * a.plane)
        own = zero(code, shape) if apart else slots
        add(code, own, replace(held, base=base), weights, axes)
        if apart:  # sums of sums round less than one long sum
            for row, more in zip(slots, own, strict=True):
                for slot, added in zip(row, more, strict=True):
                    slot.set(slot.get() + added.get())
    bias = Taps(filters, taps, unit).vector(code, 1, 0) if spec.bias else None
    done = []
    for row in slots:
        values = [slot.get() if bias is None else slot.get() + bias for slot in row]
        done.append([activated(code, value, spec.activation) for value in values])
    return done


def rows(code: Code, spec: Form, a: Any, q: Index, target: Pointer, block: tuple[Int, Int]) -> None:
    """Compute a block of rows of one target channel, vectors along rows."""
    phases = len(spec.rows), len(spec.columns)
    step = None if spec.near[1] else a.target_column
    columns = (a.columns + (phases[1] - 1)) // phases[1]

    def tile(axis: Axis, phase: int, y: Index, j: Index, last: Int | None, width: int) -> None:
        end = last if phases[1] == 1 and step is None else None
        done = []
        for across in spec.columns:
            held = _panel(spec, a, 0, y, j, 1, end)
            done.append(_sums(code, spec, a, held, (axis, across), (spec.tile[0], width), q))
        x = j * phases[1]
        count = None if last is None else a.columns if end is not None else a.columns - x
        for i in range(spec.tile[0]):
            line = (block[0] + y + i) * phases[0] + phase
            to = target + line * a.target_row + x * (1 if step is None else step)
            values = [rows[i] for rows in done]
            depthwise_rows.deliver(code, values, a.stage, to, count, step, end)

    wide = spec.tile[1] * code.lanes
    full = (columns + (code.lanes - 1)) // code.lanes * code.lanes - spec.rest * code.lanes
    for phase, axis in enumerate(spec.rows):
        count = _of_phase(code, a.lines, phases[0], phase, block)
        with code.loop(count, 0, spec.tile[0]) as number:
            y = code.smaller(number, count - spec.tile[0])
            with code.loop(full, 0, wide) as j:
                tile(axis, phase, y, j, None, spec.tile[1])
            last = (columns >= code.lanes).choose(columns - code.lanes - full, 0)
            tile(axis, phase, y, full, last, spec.rest)


def channels(
    code: Code,
    spec: Form,
    a: Any,
    source: Pointer,
    target: Pointer,
    block: tuple[Int, Int],
    left: Int,
) -> None:
    """Compute a block of rows of some vectors of channels, of which `left` channels exist."""
    phases = len(spec.rows), len(spec.columns)
    vectors = code.smaller((left + (code.lanes - 1)) // code.lanes, a.vectors)

    def tile(
        axes: tuple[Axis, Axis], turns: tuple[int, int], held: Held, v: Index, y: Index, j: Index
    ) -> None:
        done = _sums(code, spec, a, held, axes, spec.tile, v)
        values = []
        for i, row in enumerate(done):
            line = (block[0] + y + i) * phases[0] + turns[0]
            to = target + v * code.lanes + line * a.target_row
            for t, value in enumerate(row):
                x = (j + t) * phases[1] + turns[1]
                values.append((value, to + x * a.target_column))
        depthwise_channels.deliver(code, values, a.stage, left - v * code.lanes, spec.whole)

    def line(axes: tuple[Axis, Axis], turns: tuple[int, int], y: Index) -> None:
        columns = (a.columns + (phases[1] - 1 - turns[1])) // phases[1]
        if not spec.direct:
            with code.loop(vectors) as v, code.loop(columns, 0, spec.tile[1]) as i:
                j = code.smaller(i, columns - spec.tile[1])
                tile(axes, turns, _panel(spec, a, v * a.plane, y, j, code.lanes), v, y, j)
            return
        with code.loop(columns, 0, spec.tile[1]) as i:
            j = code.smaller(i, columns - spec.tile[1])
            held, inner = _image(spec, a, axes, source, block[0] + y, j)
            with code.either(inner) as (then, otherwise):
                for branch, inside in ((then, None), (otherwise, held.inside)):
                    with branch, code.loop(vectors) as v:
                        at = replace(held, base=held.base + v * code.lanes, inside=inside)
                        tile(axes, turns, at, v, y, j)

    for phase, down in enumerate(spec.rows):
        count = _of_phase(code, a.lines, phases[0], phase, block)
        with code.loop(count, 0, spec.tile[0]) as number:
            y = code.smaller(number, count - spec.tile[0])
            for turn, across in enumerate(spec.columns):
                line((down, across), (phase, turn), y)


def _panel(
    spec: Form, a: Any, plane: Index, y: Index, j: Index, unit: int, last: Int | None = None
) -> Held:
    """Return where the first output of a tile stands in the panel."""
    along = spec.layout == "rows"
    base = a.room + plane + y * (a.pitch * spec.step[0])
    base = base + (j if along else j * (spec.step[1] * unit))
    rests = spec.step[1] if along else 1
    across = a.lanes if along else unit * spec.step[1]
    return Held(base, a.pitch, a.segment, unit, rests, spec.step[0], across, None, last)


def _image(
    spec: Form, a: Any, axes: tuple[Axis, Axis], source: Pointer, line: Int, j: Index
) -> tuple[Held, Condition]:
    """Return where the first output of a tile stands in the image, and if all it needs is there."""
    y, x = line * spec.step[0] - a.top, j * spec.step[1] - a.left
    bottom = y + ((spec.tile[0] - 1) * spec.step[0] + axes[0].reach)
    right = x + ((spec.tile[1] - 1) * spec.step[1] + axes[1].reach)
    base = source + y * a.source_row + x * a.source_column
    inside = Inside((y, x), spec.step[1], (a.height, a.width))
    held = Held(
        base, a.source_row, a.source_row, a.source_column, 1, spec.step[0],
        a.source_column * spec.step[1], inside,
    )  # fmt: skip
    inner = (y >= 0) & (x >= 0) & (a.height >= bottom) & (a.width >= right)
    return held, inner


def _of_phase(code: Code, lines: Int, phases: int, phase: int, block: tuple[Int, Int]) -> Index:
    """Return how many rows of a block belong to a phase."""
    return code.smaller(block[1], (lines + (phases - 1 - phase)) // phases) - block[0]
