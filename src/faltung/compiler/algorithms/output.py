"""From sums to the result: bias, summand, activation, and the layout of the output tensor."""

from collections.abc import Sequence
from dataclasses import dataclass

from faltung.compiler.emit import Code, Index, Int, Pointer, Vector
from faltung.compiler.emit.exponential import exponential


@dataclass(frozen=True)
class Sink:
    """Where the results of a block of pixels go.

    Attributes:
        base: First element of the first pixel and first channel.
        layout: Which axis has stride 1: "channels", "rows" or "any".
        channel: Elements from one channel to the next.
        offsets: Table of the pixels' distances from `base`, "i64".
        bias: One number a channel, or None.
        summand: What is added before the activation, where `base` is, or None.
        activation: One of `problem.ACTIVATIONS`, or "".
        channels: Number of output channels there are.
    """

    base: Pointer
    layout: str
    channel: Int
    offsets: Pointer
    bias: Pointer | None
    summand: Pointer | None
    activation: str
    channels: Int


def activated(code: Code, value: Vector, activation: str, lanes: int | None = None) -> Vector:
    """Apply an activation; NaN stays NaN."""
    if not activation:
        return value
    if activation == "silu":
        return value / (code.fill(1, lanes) + exponential(code, -value))
    zero = code.fill(0, lanes)
    value = zero.beats(value, ">").choose(zero, value)
    if activation == "relu6":
        six = code.fill(6, lanes)
        value = value.beats(six, ">").choose(six, value)
    return value


def finish(
    code: Code,
    sink: Sink,
    value: Vector,
    channel: Index,
    at: Index,
    lanes: int,
    across: bool = True,
) -> None:
    """Add bias and summand, activate, and write.

    Args:
        code: The function being written.
        sink: Where it goes.
        value: Sums of neighbouring channels, or of neighbouring pixels of a channel.
        channel: The (first) channel.
        at: Distance of the first element from `sink.base`.
        lanes: Elements of the value.
        across: The elements are neighbouring channels.
    """
    if sink.bias is not None:
        one = code.load if across else code.broadcast
        value = value + one(sink.bias + channel, lanes)
    if sink.summand is not None:
        value = value + code.load(sink.summand + at, lanes)
    code.store(activated(code, value, sink.activation, lanes), sink.base + at)


def put(code: Code, sink: Sink, tile: Sequence[Sequence[Vector]], pixel: Index, k: Int) -> None:
    """Write a tile of whole vectors straight to a tensor whose channels lie side by side."""
    for i, row in enumerate(tile):
        at = code.load_int(sink.offsets + pixel + i) + k
        for j, value in enumerate(row):
            finish(code, sink, value, k + j * code.lanes, at + j * code.lanes, code.lanes)


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
            at = code.load_int(sink.offsets + line * columns)
            with code.either(length >= code.lanes) as (squares, single):
                with squares:
                    _write_rows(code, sink, first, at, width, k, length)
                with single, code.loop(length) as x:
                    _write_any(code, sink, first + x * width, at + x, width, k)
        return
    one = _write_channels if sink.layout == "channels" else _write_any
    with code.loop(lines) as line, code.loop(columns) as x:
        at = code.load_int(sink.offsets + line * columns + x)
        one(code, sink, staged + (line * pitch + x) * width, at, width, k)


def _count(code: Code, sink: Sink, width: int, k: Int) -> Index:
    """Return how many of the staged channels exist."""
    return code.smaller(sink.channels - k, width)


def _write_channels(code: Code, sink: Sink, line: Pointer, at: Int, width: int, k: Int) -> None:
    lanes = code.lanes
    count = _count(code, sink, width, k)
    whole = count // lanes
    with code.loop(whole) as j:
        c = k + j * lanes
        finish(code, sink, code.load(line + j * lanes), c, at + c, lanes)
    with code.loop(count, whole * lanes) as c:
        finish(code, sink, code.load(line + c, 1), k + c, at + k + c, 1)


def _write_any(code: Code, sink: Sink, line: Pointer, at: Int, width: int, k: Int) -> None:
    with code.loop(_count(code, sink, width, k)) as c:
        finish(code, sink, code.load(line + c, 1), k + c, at + (k + c) * sink.channel, 1)


def _write_rows(
    code: Code, sink: Sink, staged: Pointer, at: Int, width: int, k: Int, length: Int
) -> None:
    """Write [pixel][channel] as [channel][pixel] in squares; the last square overlaps."""
    lanes = code.lanes
    with code.loop((length + lanes - 1) // lanes) as step:
        pixel = code.smaller(step * lanes, length - lanes)
        with code.loop(width // lanes) as j:
            start = code.settled(staged + pixel * width + j * lanes)
            square = [code.load(start + i * width) for i in range(lanes)]
            first = k + j * lanes
            for i, value in enumerate(code.transposed(square)):
                channel = first + i
                with code.when(sink.channels > channel):
                    place = at + pixel + channel * sink.channel
                    finish(code, sink, value, channel, place, lanes, across=False)
