"""Weight gradients of small depthwise windows over channels, without panels.

Pixel after pixel lies in memory with all its channels side by side, and so it is read: for a tile
of a few pixels of dy, vector of channels after vector, the products with the pixels of x that their
windows see are added to the sums of all taps, which wait in memory. At the border the taps that
see padding are left out.
"""

from contextlib import ExitStack
from typing import Any

from faltung.compiler.algorithms.depthwise_form import WeightForm
from faltung.compiler.emit import Code, Condition, Index, Int, Pointer

TILE = (4, 2)  # rows and columns of dy: many rows, so that each row of x is read seldom
Seen = list[tuple[int, list[tuple[int, int]]]]


def block(code: Code, spec: WeightForm, a: Any, image: Int, number: Int) -> None:
    """Add a block of rows of one image to the sums."""
    high, wide = TILE
    tiles = (a.lines + (high - 1)) // high
    start = tiles * number // a.blocks * high
    stop = code.smaller(tiles * (number + 1) // a.blocks * high, a.lines)
    source, slope = a.source + image * a.source_image, a.slope + image * a.slope_image
    whole = start + (stop - start) // high * high
    across = a.columns // wide * wide
    with code.loop(whole, start, high) as y:
        with code.loop(across, 0, wide) as x:
            _pixels(code, spec, a, (source, slope), (y, x), TILE)
        with code.loop(y + high, y) as line, code.loop(a.columns, across) as x:
            _pixels(code, spec, a, (source, slope), (line, x), (1, 1))
    with code.loop(stop, whole) as y, code.loop(a.columns) as x:
        _pixels(code, spec, a, (source, slope), (y, x), (1, 1))


def _pixels(
    code: Code,
    spec: WeightForm,
    a: Any,
    bases: tuple[Pointer, Pointer],
    first: tuple[Index, Index],
    shape: tuple[int, int],
) -> None:
    """Add a tile of pixels to the sums of all channels."""
    source, slope = bases
    slope = slope + first[0] * a.slope_row + first[1] * a.slope_column
    y, x = first[0] * spec.step[0] - a.top, first[1] * spec.step[1] - a.left
    source = source + y * a.source_row + x * a.source_column
    rows, columns = (
        _seen(n, step, taps, gap)
        for n, step, taps, gap in zip(shape, spec.step, spec.window, spec.dilation, strict=True)
    )
    inner = (y >= 0) & (x >= 0)
    inner = inner & (a.height > y + rows[-1][0]) & (a.width > x + columns[-1][0])

    def channels(inside: tuple[Int, Int] | None) -> None:
        with code.loop(a.vectors) as v:
            at = v * code.lanes
            sums = a.sums + v * spec.set_of_sums(code.lanes)
            tensors = source + at, slope + at, sums
            _products(code, spec, a, tensors, shape, (rows, columns), inside)

    if shape == (1, 1):
        channels((y, x))
        return
    with code.either(inner) as (then, otherwise):
        with then:
            channels(None)
        with otherwise:
            channels((y, x))


def _seen(count: int, step: int, taps: int, gap: int) -> Seen:
    """Return the positions that a tile's windows see, and for each its (output, tap) pairs."""
    found: dict[int, list[tuple[int, int]]] = {}
    for y in range(count):
        for r in range(taps):
            found.setdefault(y * step + r * gap, []).append((y, r))
    return sorted(found.items())


def _products(
    code: Code,
    spec: WeightForm,
    a: Any,
    tensors: tuple[Pointer, Pointer, Pointer],
    shape: tuple[int, int],
    seen: tuple[Seen, Seen],
    inside: tuple[Int, Int] | None,
) -> None:
    """Add the products of one vector of channels; what is not `inside` the image is left out."""
    source, slope, sums = tensors
    lanes, (high, wide) = code.lanes, spec.window
    places = [sums + i * lanes for i in range(high * wide + (1 if spec.bias else 0))]
    slots = [code.variable(code.load(place)) for place in places]
    slopes = [
        [code.load(slope + i * a.slope_row + k * a.slope_column) for k in range(shape[1])]
        for i in range(shape[0])
    ]
    if spec.bias:
        for slope_row in slopes:
            for addend in slope_row:
                slots[-1].set(slots[-1].get() + addend)
    for row, lines in seen[0]:
        for column, pixels in seen[1]:
            with ExitStack() as only:
                if inside is not None:
                    only.enter_context(code.when(_within(a, inside, row, column)))
                value = code.load(source + row * a.source_row + column * a.source_column)
                for y, r in lines:
                    for x, s in pixels:
                        slot = slots[r * wide + s]
                        slot.set(code.fma(slopes[y][x], value, slot.get()))
    for place, slot in zip(places, slots, strict=True):
        code.store(slot.get(), place)


def _within(a: Any, first: tuple[Int, Int], row: int, column: int) -> Condition:
    """Say whether a position that a tile sees lies in the image."""
    height: Int = a.height
    width: Int = a.width
    y, x = first[0] + row, first[1] + column
    return (y >= 0) & (height > y) & (x >= 0) & (width > x)
