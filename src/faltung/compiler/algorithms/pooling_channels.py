"""Pools over vectors of channels, for tensors whose channels lie side by side.

A thread takes output rows, and computes the channels of a pixel together. Lines of a few columns
are pooled this way too, whatever lies side by side: then vectors are gathered element by element.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from faltung.compiler.algorithms import planes, scan
from faltung.compiler.algorithms.pooling_shape import Shape
from faltung.compiler.emit import Code, Index, Int, Vector


def channels(code: Code, spec: Shape, a: Any) -> None:
    """Write the kernel."""
    first, last = code.share(a.images * a.lines * a.blocks)
    with code.loop(last, first) as number:
        task, start = number // a.blocks, number % a.blocks * a.rows
        line, image = task % a.lines, task // a.lines
        y = line * spec.stride[0] - a.top
        rows = scan.inside(code, spec.window[0], y, spec.dilation[0], a.height)
        count = planes.row_count(code, a, spec.window[0], y)
        beside = 1 if spec.source == "channels" else a.source_channel
        source = image * a.source_image + start * beside
        target = image * a.target_image + line * a.target_row
        target = target + start * (a.target_channel if spec.across else 1)
        channels = code.smaller(a.channels - start, a.rows)
        with code.loop(a.columns) as column:
            x = column * spec.stride[1] - a.left
            columns = scan.inside(code, spec.window[1], x, spec.dilation[1], a.width)
            at = target + column * a.target_column
            divisor = planes.column_count(code, a, spec.window[1], x) * count
            seen = Int(code, code.raw(rows[1] - rows[0] + columns[1] - columns[0]))
            with code.either(seen >= sum(spec.window)) as (then, otherwise):
                pixel = (y, x), source, at, channels, divisor
                with then:
                    _pixel(code, spec, a, *pixel)
                with otherwise:
                    _pixel(code, spec, a, *pixel, (rows, columns))


def _pixel(
    code: Code,
    spec: Shape,
    a: Any,
    start: tuple[Int, Int],
    source: Int,
    at: Int,
    channels: Int,
    divisor: Vector,
    bounds: scan.Bounds | None = None,
) -> None:
    """Compute some channels of an output pixel.

    The window's first tap is at `start` of the image at distance `source`, and the output at
    distance `at`; `bounds` are the taps inside the image (None: all).
    """
    origin = source + start[0] * a.source_row + start[1] * a.source_column
    base = start[0] * a.width + start[1]
    beside = 1 if spec.source == "channels" else a.source_channel

    def tap(r: Index, s: Index) -> Int:
        """Return the distance of a tap."""
        way = r * (a.source_row * spec.dilation[0]) + s * (a.source_column * spec.dilation[1])
        place: Int = origin + way
        return place

    def block(c: Index, lanes: int, vectors: int) -> None:
        def load(r: Index, s: Index) -> list[Vector]:
            places = [tap(r, s) + (c + j * lanes) * beside for j in range(vectors)]
            if spec.across:
                return [code.gather(a.source + place, beside, lanes) for place in places]
            return [code.load(a.source + place, lanes) for place in places]

        def several(r: Index, s: Index) -> list[list[Vector]]:
            lines = [a.source + ((c + i) * beside + tap(r, s)) for i in range(vectors * lanes)]
            loaded = [code.load(line, lanes) for line in lines]
            squares = [loaded[j * lanes : (j + 1) * lanes] for j in range(vectors)]
            return [list(taps) for taps in zip(*map(code.transposed, squares), strict=True)]

        taps = scan.Scan(spec.operation, spec.window, load)
        if spec.together and lanes > 1:
            taps = replace(taps, several=several)
        if spec.indices:
            offset = partial(spec.offset, code, a.width, lanes=lanes)
            none = offset(bounds[0][0], bounds[1][0]) if bounds else offset(0, 0)
            taps = replace(taps, first=none, offset=offset)
        for j, (best, *position) in enumerate(taps.run(code, lanes, vectors, bounds)):
            value = best / code.spread(divisor, lanes) if spec.operation == "avg" else best
            _put_channels(code, spec, a, [value, *position], at, c + j * lanes, base, lanes)

    planes.over_channels(code, channels, block, (2 if spec.together else 1) if spec.across else 8)


def _put_channels(
    code: Code, spec: Shape, a: Any, state: scan.State, at: Int, c: Index, base: Int, lanes: int
) -> None:
    """Write neighbouring channels of an output pixel."""
    value, *position = state
    if not spec.across:
        code.store(value, a.target + (at + c))
        for offsets in position:
            code.store_positions(offsets, base, 0, a.extra + (at + c))
        return
    at = at + c * a.target_channel
    code.scatter(value, a.target + at, a.target_channel)
    staged = a.mine.cast("i64")
    for offsets in position:
        code.store_positions(offsets, base, 0, staged)
        with code.loop(lanes) as lane:
            code.store_int(code.load_int(staged + lane), a.extra + (at + lane * a.target_channel))
