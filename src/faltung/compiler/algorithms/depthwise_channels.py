"""Depthwise panels whose vectors run over channels: a position is a vector of channels.

A panel holds a few vectors of neighbouring channels, one plane after the other, so that what is
read together from memory is used together. Of a last vector that is not whole only the channels
that exist are read and written; its other elements hold anything and reach nothing.
"""

from collections.abc import Sequence

from faltung.compiler.algorithms import panel
from faltung.compiler.algorithms.depthwise_rows import Source, partial
from faltung.compiler.emit import Code, Index, Int, Pointer, Vector

RUNS = (8, 4, 2, 1)  # vectors of a position that are copied at once


def bring(
    code: Code,
    source: Source,
    base: Pointer,
    first: Index,
    rows: Index,
    room: Pointer,
    planes: tuple[Int, Int],
    channels: Int,
) -> None:
    """Bring rows of some channels of one image into a panel.

    Args:
        code: The function being written.
        source: The image and the form of the panel.
        base: The first element of the first channel.
        first: Row of the image that becomes row 0; may lie outside.
        rows: Rows that are brought.
        room: The panel; what is left of the image and right of it is zero already.
        planes: Number of vectors, and elements from one's plane to the next's.
        channels: Channels that exist from the first one on.
    """
    vectors, plane = planes
    low, count = source.columns(code)
    whole = code.smaller(channels // code.lanes, vectors)
    with code.loop(rows) as i:
        y, to = first + i, room + i * source.pitch
        with code.either((y >= 0) & (y < source.size[0])) as (then, otherwise):
            with then:
                at = base + y * source.row + (low - source.left) * source.column
                line, done = to + low * code.lanes, code.constant(0)
                for run in RUNS:
                    here = whole // run * run
                    with code.loop(here, done, run) as v, code.loop(count) as j:
                        position = at + j * source.column + v * code.lanes
                        place = line + j * code.lanes + v * plane
                        for k in range(run):
                            code.store(code.load(position + k * code.lanes), place + k * plane)
                    done = here
                with code.when(vectors > whole), code.loop(count) as j:
                    position = at + j * source.column + whole * code.lanes
                    left = channels - whole * code.lanes
                    place = line + j * code.lanes + whole * plane
                    partial(code, position, place, left, code.lanes)
            with otherwise, code.loop(vectors) as v:
                panel.zeros(code, to + v * plane, source.pitch)


def pack(
    code: Code,
    base: Pointer,
    strides: tuple[Int, Int, Int],
    window: tuple[int, int],
    to: Pointer,
    channels: Int,
) -> None:
    """Copy the weights of a vector of channels as vectors, tap after tap.

    Args:
        code: The function being written.
        base: The first weight of the first channel.
        strides: Elements from one channel, row and column to the next.
        window: Taps along height and width.
        to: Where they go.
        channels: Channels that exist, at most one vector.
    """
    taps = window[0] * window[1]

    def single() -> None:
        with code.loop(channels) as c, code.loop(window[0]) as r:
            line = base + c * strides[0] + r * strides[1]
            with code.loop(window[1]) as s:
                value = code.load(line + s * strides[2], 1)
                code.store(value, to + (r * window[1] + s) * code.lanes + c)

    if taps < code.lanes:
        single()
        return
    near = strides[1].equals(window[1]) & strides[2].equals(1) & (channels >= code.lanes)
    with code.either(near) as (whole, parts):
        with whole:
            counts = code.constant(code.lanes), code.constant(taps)
            panel.turn(code, base, strides[0], counts, to, code.lanes)
        with parts:
            single()


def deliver(
    code: Code,
    values: Sequence[tuple[Vector, Pointer]],
    stage: Pointer,
    channels: Int,
    whole: bool,
) -> None:
    """Write vectors of outputs, as far as the channels exist; if `whole`, all of them do."""
    if whole:
        for value, at in values:
            code.store(value, at)
        return
    with code.either(channels >= code.lanes) as (then, otherwise):
        with then:
            for value, at in values:
                code.store(value, at)
        with otherwise:
            for value, at in values:
                code.store(value, stage)
                partial(code, stage, at, channels, code.lanes)
