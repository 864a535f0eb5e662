"""Pools over vectors of columns, for tensors whose channels do not lie side by side.

A thread takes blocks of output rows of one plane. It brings the input rows into a scratch that
stays in the first cache, as float32 in phases and with the padding written out, and computes
neighbouring columns together; there no window is special: zeros change no sum that starts at +0,
and -inf (+inf) never wins a maximum (minimum). Where no window leaves the image, and the stride is
small, the rows are read where they are.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from faltung.compiler.algorithms import phases, planes, scan
from faltung.compiler.algorithms.pooling_shape import Shape
from faltung.compiler.emit import Code, Index, Int, Pointer, Vector


def rows(code: Code, spec: Shape, a: Any) -> None:
    """Write the kernel for tensors whose channels do not lie side by side."""
    scratch, width = a.mine + a.table + planes.STAGE, a.phase * spec.stride[1]
    if spec.operation == "avg":
        planes.column_counts(code, a, spec.window[1], spec.stride[1], a.mine)
    elif spec.indices:
        with code.loop(a.columns) as x:
            taps = scan.missed(code, x * spec.stride[1] - a.left, spec.dilation[1])
            code.store_short(taps * spec.dilation[1], a.mine.cast("i32") + x)
    if not spec.direct:
        most = (a.rows - 1) * spec.stride[0] + spec.reach[0] + 1
        planes.fill(code, scratch, scan.STARTS[spec.operation], most * width)
    first, last = code.share(a.images * a.channels * a.blocks)
    with code.loop(last, first) as task:
        block, plane = task % a.blocks, task // a.blocks
        image, channel = plane // a.channels, plane % a.channels
        source = a.source + (image * a.source_image + channel * a.source_channel)
        target = image * a.target_image + channel * a.target_channel
        line = block * a.rows
        lines = code.smaller(a.lines - line, a.rows)
        if not spec.direct:
            _bring(code, spec, a, source, scratch, line * spec.stride[0] - a.top, lines)
        with code.loop(lines) as i:
            held = scratch + i * spec.stride[0] * width
            if spec.direct:
                held = source + (line + i) * spec.stride[0] * a.source_row
            _line(code, spec, a, held, line + i, target + (line + i) * a.target_row)


def _bring(
    code: Code, spec: Shape, a: Any, source: Pointer, scratch: Pointer, first: Int, lines: Index
) -> None:
    """Bring the input rows of a block of windows into the scratch; columns of padding are there."""
    step, width = spec.stride[1], a.phase * spec.stride[1]
    column = 1 if spec.source == "rows" else a.source_column
    with code.loop((lines - 1) * spec.stride[0] + spec.reach[0] + 1) as i:
        row, y = scratch + i * width, first + i
        with code.either((y >= 0) & (y < a.height)) as (inside, outside):
            with inside:
                targets = phases.places(row, step, a.left, a.phase)
                phases.split(code, source + y * a.source_row, column, a.width, targets)
            with outside:
                planes.fill(code, row, scan.STARTS[spec.operation], width)


def _line(code: Code, spec: Shape, a: Any, held: Pointer, line: Index, target: Index) -> None:
    """Compute one output row of a plane; `target` is its distance from the first element."""
    lanes, step = code.lanes, spec.stride[1]
    start = line * spec.stride[0] - a.top
    above = scan.missed(code, start, spec.dilation[0]) * (spec.dilation[0] * a.width)
    divisor = code.spread(planes.row_count(code, a, spec.window[0], start))
    most = code.larger(a.columns - lanes, 0)
    with code.loop((a.columns + (lanes - 1)) // lanes) as number:
        x = code.smaller(number * lanes, most)

        def load(r: Index, s: Index, x: Index = x) -> list[Vector]:
            far = s * spec.dilation[1]
            if spec.direct:
                at = held + r * spec.dilation[0] * a.source_row + x * step
                return [_tap(code, spec, at, s)]
            place = far % step * a.phase + far // step
            return [code.load(held + r * (spec.dilation[0] * step * a.phase) + place + x)]

        taps = scan.Scan(spec.operation, spec.window, load)
        if spec.indices:
            first = code.add_ints(code.load_ints(a.mine.cast("i32") + x), code.spread_int(above))
            offset = partial(spec.offset, code, a.width, lanes=lanes)
            taps = replace(taps, first=first, offset=offset)
        ((value, *position),) = taps.run(code, lanes)
        if spec.operation == "avg":
            value = value / (code.load(a.mine + x) * divisor)
        base = start * a.width + x * step - a.left
        _put(code, spec, a, [value, *position], target, x, base)


def _tap(code: Code, spec: Shape, at: Pointer, s: Index) -> Vector:
    """Read a tap of neighbouring windows from a line of the image."""
    if spec.stride[1] == 1:
        return code.load(at + s * spec.dilation[1])
    if isinstance(s, int) and spec.dilation[1] == 1 and (s | 1) < spec.window[1]:
        return phases.one_of_two(code, at + s // 2 * 2, s % 2)
    return phases.every_other(code, at + s * spec.dilation[1])


def _put(
    code: Code, spec: Shape, a: Any, state: scan.State, target: Index, x: Index, base: Index
) -> None:
    """Write neighbouring columns of an output row, no more than there are."""
    lanes, step = code.lanes, spec.stride[1]
    staged = a.mine + a.table
    staged_positions = (staged + 16).cast("i64")

    def whole(to: Pointer, positions: Pointer) -> None:
        code.store(state[0], to)
        if spec.indices:
            code.store_positions(state[1], base, step, positions)

    def by_element() -> None:
        whole(staged, staged_positions)
        column = 1 if spec.sink == "rows" else a.target_column
        with code.loop(code.smaller(a.columns - x, lanes)) as i:
            at = target + (x + i) * column
            code.store(code.load(staged + i, 1), a.target + at)
            if spec.indices:
                code.store_int(code.load_int(staged_positions + i), a.extra + at)

    if spec.sink != "rows":
        by_element()
        return
    with code.either(a.columns >= lanes) as (then, otherwise):
        with then:
            whole(a.target + (target + x), a.extra + (target + x))
        with otherwise:
            by_element()
