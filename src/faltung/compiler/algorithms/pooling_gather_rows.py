"""Gradients of maxima and minima gathered over vectors of columns, in phases (`phases`).

A thread takes planes. The lines of windows around a row of the input lie in a scratch, as float32
with 32-bit positions, each in the place of an earlier one that no later row is in; around them are
positions that no element has.
"""

from typing import Any

from faltung.compiler.algorithms import phases, planes
from faltung.compiler.algorithms.pooling_shape import Shape
from faltung.compiler.emit import Code, Index, Int
from faltung.compiler.emit.positions import Counts, equal, narrowed, store_ints

OUTSIDE = -(2**31)  # a column of padding: with the row's position added it is no position


def rows(code: Code, spec: Shape, a: Any, met: Counts, wanted: Any) -> None:
    """Write the kernel for tensors whose channels do not lie side by side."""
    step, held = spec.stride[1], spec.reach[0] // spec.stride[0] + 1
    a.merged, a.numbers = a.mine, (a.mine + a.phase * step).cast("i32")
    a.shares = a.mine + a.phase * (2 * step)
    a.positions = (a.shares + a.phase * held).cast("i32")
    _tabulate(code, spec, a)
    with code.loop(a.phase * held) as at:
        code.store_short(-1, a.positions + at)
    plane = a.height * a.width
    first, last = code.share(a.images * a.channels)
    with code.loop(last, first) as task:
        image, channel = task // a.channels, task % a.channels
        source = image * a.source_image + channel * a.source_channel
        target = a.target + (image * a.target_image + channel * a.target_channel)
        wanted.set(wanted.get() + a.lines * a.columns)
        brought = code.int_variable(0)
        with code.loop(a.height) as y:
            extent = spec.reach[0] + 1
            low, high = planes.around(code, y + a.top, extent, spec.stride[0], a.lines)
            with code.loop(high, brought.get()) as line:
                _bring(code, spec, a, source + line * a.source_row, line % held, plane)
            brought.set(high)
            _gather(code, spec, a, met, y * a.width, (low, high))
            column = 1 if spec.sink == "rows" else a.target_column
            sources = phases.places(a.merged, step, a.left, a.phase)
            phases.merge(code, sources, a.width, target + y * a.target_row, column)


def _tabulate(code: Code, spec: Shape, a: Any) -> None:
    """Write the number of each column in phases."""
    step = spec.stride[1]
    for q in range(step):
        with code.loop(a.phase) as k:
            x = k * step + (q - a.left)
            inside = code.within(x, a.width)
            code.store_short(inside.choose(x, OUTSIDE), a.numbers + (q * a.phase + k))


def _bring(code: Code, spec: Shape, a: Any, source: Int, slot: Int, plane: Int) -> None:
    """Bring a line of windows into a slot of the scratch."""
    behind = spec.reach[1] // spec.stride[1]
    column = 1 if spec.source == "rows" else a.source_column

    def some(x: Index, lanes: int) -> None:
        at, to = source + x * column, slot * a.phase + behind + x
        code.store(code.load(a.source + at, lanes), a.shares + to)
        store_ints(code, narrowed(code, a.extra + at, plane, lanes), a.positions + to)

    planes.ragged(code, a.columns, some, None if spec.source == "rows" else [1])


def _gather(
    code: Code, spec: Shape, a: Any, met: Counts, base: Index, lines: tuple[Index, Index]
) -> None:
    """Add up what the windows around each element of a row have for it, and leave it in phases."""
    step, reach, apart = spec.stride[1], spec.reach[1], spec.dilation[1]
    held, none, row = spec.reach[0] // spec.stride[0] + 1, code.fill(0), code.spread_int(base)
    stop = (a.width - 1 + a.left) // step + 1
    with code.loop(stop, a.left // step, code.lanes) as k:
        sums = [code.variable(none) for _ in range(step)]
        mine = [
            code.add_ints(code.load_ints(a.numbers + (q * a.phase + k)), row) for q in range(step)
        ]
        with code.loop(lines[1], lines[0]) as line:
            at = line % held * a.phase + k + reach // step
            for far in reversed(range(0, reach + 1, apart)):
                q, place = far % step, at - far // step
                here = equal(code, code.load_ints(a.positions + place), mine[q])
                met.add(here, code.lanes)
                share = here.choose(code.load(a.shares + place), none)
                sums[q].set(sums[q].get() + share)
        for q, held_sum in enumerate(sums):
            code.store(held_sum.get(), a.merged + (k + q * a.phase))
