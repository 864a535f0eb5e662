"""Depthwise panels whose vectors run over channels: a position is a vector of channels.

A panel holds a few vectors of neighbouring channels, one plane after the other, so that what is
read together from memory is used together. Of a last vector that is not whole only the channels
that exist are read and written; its other elements hold anything and reach nothing.
"""

from collections.abc import Sequence

from faltung.compiler.algorithms import panel
from faltung.compiler.algorithms.depthwise_rows import Source, partial
from faltung.compiler.emit import Code, Index, Int, Pointer, Vector


def bring(
    code: Code,
    source: Source,
    base: Pointer,
    first: Index,
    rows: Index,
    room: Pointer,
    planes: tuple[int, Int],
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
    with code.loop(rows) as i:
        y, to = first + i, room + i * source.pitch
        with code.either((y >= 0) & (y < source.size[0])) as (then, otherwise):
            with then:
                at = base + y * source.row + (low - source.left) * source.column
                with code.either(channels >= vectors * code.lanes) as (whole, ragged):
                    with whole:
                        _row(code, source, at, to, low, count, [v * plane for v in range(vectors)])
                    with ragged, code.loop(vectors) as v:
                        left = channels - v * code.lanes
                        part, line = at + v * code.lanes, to + v * plane
                        with code.when(left > 0), code.either(left >= code.lanes) as (one, less):
                            with one:
                                _row(code, source, part, line, low, count, [0])
                            with less:
                                _row(code, source, part, line, low, count, [0], left)
            with otherwise, code.loop(vectors) as v:
                panel.zeros(code, to + v * plane, source.pitch)


def _row(
    code: Code,
    source: Source,
    at: Pointer,
    to: Pointer,
    low: Index,
    count: Int,
    planes: Sequence[Index],
    channels: Int | None = None,
) -> None:
    """Copy the vectors of a row's positions, or less than one vector."""
    with code.loop(count) as j:
        position, line = at + j * source.column, to + (low + j) * code.lanes
        for v, plane in enumerate(planes):
            if channels is None:
                code.store(code.load(position + v * code.lanes), line + plane)
            else:
                partial(code, position, line + plane, channels, code.lanes)


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
