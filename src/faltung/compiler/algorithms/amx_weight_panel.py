"""Panels of the weight gradient on a matrix unit: the input, channel by channel, in pieces.

[piece][channel][phase row][phase column][row][column], bfloat16. Row j of a block is row
j // stride of phase j % stride, and columns likewise. The outputs p of a block are counted row by
row of a panel, image by image, places that belong to no output among them; so the input under p
and a tap lies p elements behind that under place 0, whatever the stride. Rows and images may share
their padding, as long as it lies between them.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from faltung.compiler.algorithms import panel
from faltung.compiler.emit import Code, Int, Pointer, Variable, Vector, shorts

SQUARE = 16  # channels or outputs of a register, and lanes of a vector
WIDTH = 32  # outputs of a tile
TILE = 32  # channels of a tile
STEP = 32  # pixels of a step
QUARTER = 4  # elements that are copied at a time where there is no whole vector
EVEN = range(0, 2 * SQUARE, 2)


class Layouts(Protocol):
    """What bringing is specialised on."""

    @property
    def x(self) -> str:
        """Layout of the input."""

    @property
    def dy(self) -> str:
        """Layout of the gradient."""

    @property
    def stride(self) -> int:
        """Step of the window along a row: 1, 2, or 0 where the arguments say it."""


@dataclass(frozen=True)
class Rooms:
    """Where a thread keeps what it works on.

    Attributes:
        lines: A line of 16 channels of the input, zero outside the image, and 32 zeros; float32.
        turned: A line of 16 outputs of the gradient, zero behind its end; float32.
        staged: A tile of the gradient as [output p][32]; float32.
        input: Panel of the input.
        gradient: Panel of the gradient.
        piece: Elements from one piece of the input to the next.
        pieces: Pieces of a number.
    """

    lines: Pointer
    turned: Pointer
    staged: Pointer
    input: Pointer
    gradient: Pointer
    piece: Int
    pieces: int


@dataclass(frozen=True)
class Block:
    """What is summed over at once.

    Attributes:
        images: Images.
        lines: Rows of outputs of each.
        first: The first of these rows.
        slot: Rows of a panel that an image takes.
        steps: Steps of 32 outputs p.
    """

    images: Int
    lines: Int
    first: Int
    slot: Int
    steps: Int


def rooms(code: Code, a: Any, pieces: int) -> Rooms:
    """Return the rooms of this thread, behind the sums."""
    lines = a.workspace + a.shared + code.thread * a.private
    turned = lines + (SQUARE * a.length + 2 * SQUARE)
    staged = turned + SQUARE * a.line
    gradient = staged + (a.pixels + SQUARE) * WIDTH
    held = gradient + a.pixels * a.tiles_in_chunk * (WIDTH * pieces // 2)
    return Rooms(
        lines, turned, staged, held.cast("bf16"), gradient.cast("bf16"), a.padded * a.apart, pieces
    )


def block(code: Code, a: Any, image: Int, row: Int) -> Block:
    """Return the block that begins with a row of an image."""
    images = code.smaller(a.images - image, a.together)
    lines = code.smaller(a.lines - row, a.rows)
    slot = lines - 1 + a.reach
    count = ((images - 1) * slot + (lines - 1)) * a.pitch + a.columns
    return Block(images, lines, row, slot, (count + (STEP - 1)) // STEP)


def bring_input(
    code: Code, spec: Layouts, a: Any, to: Rooms, block: Block, first: Pointer, worst: Variable
) -> None:
    """Bring a block of the input, of one slice of channels, into its panel.

    Args:
        code: The function being written.
        spec: Layouts.
        a: The arguments.
        to: Where it goes.
        block: What is brought.
        first: The first channel of the first image.
        worst: Gathers the largest magnitudes.
    """
    _end(code, a, to, block)
    span = a.pitch * a.stride_column
    low, high = panel.inside(code, a.left, a.width, span)
    count = high - low
    many = code.smaller(a.slice, SQUARE)
    with (
        code.loop(block.images) as image,
        code.loop((a.slice + (SQUARE - 1)) // SQUARE) as square,
        code.loop(block.slot * a.stride_row) as row,
    ):
        channel = code.smaller(square * SQUARE, a.slice - many)
        y = block.first * a.stride_row - a.top + row
        at = to.input + channel * a.apart + row % a.stride_row * a.stride_column * a.plane
        at = at + (image * block.slot + row // a.stride_row) * a.pitch
        with code.either((y >= 0) & (y < a.height)) as (inside, outside):
            with inside:
                source = first + image * a.x_image + channel * a.x_channel + y * a.x_row
                source = source + (low - a.left) * a.x_column
                _lines(code, spec, a, source, to, (many, low, count))
                _split(code, spec, a, to, at, many, worst)
            with outside, code.loop(many) as c, code.loop(a.stride_column) as phase:
                _nothing(code, to, at + c * a.apart + phase * a.plane, a.pitch)


def _end(code: Code, a: Any, to: Rooms, block: Block) -> None:
    """Write the zeros behind the last row of each phase."""
    used = block.images * block.slot * a.pitch
    with code.loop(a.slice) as channel, code.loop(a.stride_row * a.stride_column) as phase:
        rest = to.input + channel * a.apart + phase * a.plane
        _nothing(code, to, rest + used, a.plane - used)


def _nothing(code: Code, rooms: Rooms, at: Pointer, count: Int) -> None:
    """Write zeros into a panel of the input, a few more than are asked for."""
    with code.loop(count, 0, SQUARE) as i:
        for piece in range(rooms.pieces):
            shorts.store(code, code.fill(0, SQUARE), at + piece * rooms.piece + i)


def _lines(
    code: Code, spec: Layouts, a: Any, source: Pointer, rooms: Rooms, size: tuple[Int, Int, Int]
) -> None:
    """Bring the part of a line that is inside the image, of up to 16 channels, to [channel][x].

    Args:
        code: The function being written.
        spec: Layouts.
        a: The arguments.
        source: The first element of that part.
        rooms: Where it goes.
        size: Channels, place of the first element in a line, and how many there are.
    """
    many, low, count = size
    to = rooms.lines + low
    if spec.x != "channels":
        with code.loop(many) as c:
            line(code, spec.x, source + c * a.x_channel, a.x_column, to + c * a.length, count)
        return
    with code.either(many.equals(SQUARE)) as (whole, few):
        with whole, code.loop(count, 0, SQUARE) as x:
            # Behind the last line there are zeros, whatever the type of the elements.
            zeros = (rooms.lines + SQUARE * a.length).cast(source.kind)
            near = source + x * a.x_column
            places = [(x + i < count).pick(near + i * a.x_column, zeros) for i in range(SQUARE)]
            out = code.settled(to + x)
            for i, vector in enumerate(code.transposed([code.load(p, SQUARE) for p in places])):
                code.store(vector, out + i * a.length)
        with few, code.loop(many) as channel:
            at = source + channel * a.x_channel
            line(code, "any", at, a.x_column, to + channel * a.length, count)


def line(code: Code, layout: str, source: Pointer, step: Int, to: Pointer, count: Int) -> None:
    """Copy elements of a row of the image."""
    if layout == "rows":
        copy(code, source, to, count)
        return
    with code.loop(count) as x:
        code.store(code.load(source + x * step, 1), to + x)


def copy(code: Code, source: Pointer, to: Pointer, count: Int) -> None:
    """Copy elements that lie side by side; the last vector overlaps the one before."""

    def overlapping(lanes: int) -> None:
        with code.loop(count, 0, lanes) as i:
            at = code.smaller(i, count - lanes)
            code.store(code.load(source + at, lanes), to + at)

    with code.either(count >= SQUARE) as (many, fewer):
        with many:
            overlapping(SQUARE)
        with fewer, code.either(count >= QUARTER) as (some, few):
            with some:
                overlapping(QUARTER)
            with few, code.loop(count) as i:
                code.store(code.load(source + i, 1), to + i)


def _split(
    code: Code, spec: Layouts, a: Any, rooms: Rooms, to: Pointer, many: Int, worst: Variable
) -> None:
    """Write the pieces of [channel][x], every phase of the columns apart."""
    with (
        code.loop(many) as c,
        code.loop(a.stride_column) as phase,
        code.loop(a.pitch, 0, SQUARE) as x,
    ):
        value = _every(code, spec, rooms.lines + c * a.length + phase, x, a.stride_column)
        worst.set(code.largest(worst.get(), value))
        at = to + c * a.apart + phase * a.plane + x
        for number, piece in enumerate(shorts.pieces(code, value, rooms.pieces)):
            shorts.store(code, piece, at + number * rooms.piece)


def _every(code: Code, spec: Layouts, line: Pointer, x: Int, stride: Int) -> Vector:
    """Return 16 elements of a line, `stride` apart."""
    if spec.stride == 1:
        return code.load(line + x, SQUARE)
    at = line + x * stride
    if spec.stride == 2:
        return code.shuffle(code.load(at, SQUARE), code.load(at + SQUARE, SQUARE), EVEN)
    return code.gather(at, stride, SQUARE)
