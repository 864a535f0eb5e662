"""From sums to the result: bias, activation, and the layout of the output tensor."""

from collections.abc import Sequence
from dataclasses import dataclass

from faltung.compiler.emit import Code, Index, Int, Pointer, Vector

ACTIVATIONS = ("", "relu", "relu6")


@dataclass(frozen=True)
class Sink:
    """Where the results of a block of pixels go.

    Attributes:
        base: First element of the first pixel and first channel.
        layout: Which axis has stride 1: "channels", "rows" or "any".
        channel: Elements from one channel to the next.
        offsets: Table of the pixels' distances from `base`, "i64".
        bias: One number a channel, or None.
        activation: One of `ACTIVATIONS`.
        channels: Number of output channels there are.
    """

    base: Pointer
    layout: str
    channel: Int
    offsets: Pointer
    bias: Pointer | None
    activation: str
    channels: Int


def activated(code: Code, value: Vector, activation: str, lanes: int | None = None) -> Vector:
    """Apply an activation; NaN stays NaN."""
    if not activation:
        return value
    zero = code.fill(0, lanes)
    value = zero.beats(value, ">").choose(zero, value)
    if activation == "relu6":
        six = code.fill(6, lanes)
        value = value.beats(six, ">").choose(six, value)
    return value


def finished(code: Code, sink: Sink, value: Vector, channel: Index, lanes: int) -> Vector:
    """Add the bias of neighbouring channels and activate."""
    if sink.bias is not None:
        value = value + code.load(sink.bias + channel, lanes)
    return activated(code, value, sink.activation, lanes)


def put(code: Code, sink: Sink, tile: Sequence[Sequence[Vector]], pixel: Index, k: Int) -> None:
    """Write a tile of whole vectors straight to a tensor whose channels lie side by side."""
    for i, row in enumerate(tile):
        at = sink.base + code.load_int(sink.offsets + pixel + i) + k
        for j, value in enumerate(row):
            done = finished(code, sink, value, k + j * code.lanes, code.lanes)
            code.store(done, at + j * code.lanes)


def write(
    code: Code,
    sink: Sink,
    staged: Pointer,
    width: int,
    k: Int,
    area: tuple[Int, Int, Int],
    row: Int,
) -> None:
    """Write staged sums [pixel][width] of the channels k … k + width - 1 that exist.

    Args:
        code: The function being written.
        sink: Where they go; its table has the pixels line by line.
        staged: The sums.
        width: Channels of a pixel in `staged`.
        k: The first channel.
        area: Lines of pixels, pixels of a line, and pixels from one line to the next in `staged`.
        row: Elements from one line to the next in the tensor.
    """
    lines, columns, pitch = area
    if sink.layout == "rows":
        # Lines that follow each other without a gap are one long line.
        joined = row.equals(columns) & pitch.equals(columns)
        length = joined.choose(lines * columns, columns)
        with code.loop(joined.choose(1, lines)) as line:
            first = staged + line * pitch * width
            at = sink.base + code.load_int(sink.offsets + line * columns)
            with code.either(length >= code.lanes) as (squares, single):
                with squares:
                    _write_rows(code, sink, first, at, width, k, length)
                with single, code.loop(length) as x:
                    _write_any(code, sink, first + x * width, at + x, width, k)
        return
    one = _write_channels if sink.layout == "channels" else _write_any
    with code.loop(lines) as line, code.loop(columns) as x:
        at = sink.base + code.load_int(sink.offsets + line * columns + x)
        one(code, sink, staged + (line * pitch + x) * width, at, width, k)


def _count(code: Code, sink: Sink, width: int, k: Int) -> Index:
    """Return how many of the staged channels exist."""
    return code.smaller(sink.channels - k, width)


def _write_channels(code: Code, sink: Sink, line: Pointer, at: Pointer, width: int, k: Int) -> None:
    lanes = code.lanes
    count = _count(code, sink, width, k)
    whole = count // lanes
    with code.loop(whole) as j:
        value = finished(code, sink, code.load(line + j * lanes), k + j * lanes, lanes)
        code.store(value, at + k + j * lanes)
    with code.loop(count, whole * lanes) as c:
        code.store(finished(code, sink, code.load(line + c, 1), k + c, 1), at + k + c)


def _write_any(code: Code, sink: Sink, line: Pointer, at: Pointer, width: int, k: Int) -> None:
    with code.loop(_count(code, sink, width, k)) as c:
        value = finished(code, sink, code.load(line + c, 1), k + c, 1)
        code.store(value, at + (k + c) * sink.channel)


def _write_rows(
    code: Code, sink: Sink, staged: Pointer, at: Pointer, width: int, k: Int, length: Int
) -> None:
    """Write [pixel][channel] as [channel][pixel] in squares; the last square overlaps."""
    lanes = code.lanes
    with code.loop((length + lanes - 1) // lanes) as step:
        pixel = code.smaller(step * lanes, length - lanes)
        with code.loop(width // lanes) as j:
            square = [code.load(staged + (pixel + i) * width + j * lanes) for i in range(lanes)]
            first = k + j * lanes
            for i, value in enumerate(code.transposed(square)):
                channel = first + i
                with code.when(sink.channels > channel):
                    _write_line(code, sink, value, at + pixel, channel)


def _write_line(code: Code, sink: Sink, value: Vector, at: Pointer, channel: Index) -> None:
    if sink.bias is not None:
        value = value + code.broadcast(sink.bias + channel)
    value = activated(code, value, sink.activation)
    code.store(value, at + channel * sink.channel)
