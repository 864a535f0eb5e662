"""Dense convolution of planes: vectors along rows, in which both tensors lie.

Where the elements of a row lie side by side in input and output, nothing need be transposed: a
register tile holds a few outputs for some vectors of neighbouring pixels, and a weight is a
broadcast element. A thread takes a block of output rows of one image and group, brings the rows it
needs into a panel of planes, padding included, and goes through the outputs a tile at a time. For
windows of one tap the panel holds the vectors of a tile channel after channel, as they are read.

A table says where each product of a chain finds its input, so that any window is one loop over
packed weights (`planar_weights`). Every output is summed over channels, rows and columns of taps in
this order, in one chain, so that its bits depend on nothing else.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import depthwise_rows, output, panel, tile
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.emit import Code, Index, Int, Pointer, Program
from faltung.compiler.target import Target

TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "images", "groups", "channels", "outputs", "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_offset",
    "target_image", "target_channel", "target_row", "target_offset",
    "top", "left", "window_rows", "window_columns", "stride_row", "tap_row", "tap_column",
    "pitch", "segment", "plane", "vectors", "held", "apart",
    "packed", "rows", "blocks", "chunks", "tiles_in_chunk", "private",
)  # fmt: skip
UNROLL = 4
TOGETHER = 16  # tiles of outputs that meet the pixels of a tile while the first cache has them


@dataclass(frozen=True)
class Spec:
    """What the kernel is specialised on; everything else is an argument.

    Attributes:
        kind: Element type of all tensors.
        bias: There is a bias.
        summand: A tensor like the output is added.
        activation: See `output.Sink`.
        points: Windows have one tap and see all pixels.
        stride: Columns from one pixel to the next.
        tile: Outputs of the register tile, and vectors of pixels.
    """

    kind: str
    bias: bool
    summand: bool
    activation: str
    points: bool
    stride: int
    tile: tuple[int, int]

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("planar") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            a.products = a.channels * a.window_rows * a.window_columns
            a.ways = (a.workspace + code.thread * a.private).cast("i64")
            a.from_table = a.ways + a.products
            a.to_table = a.from_table + a.vectors
            a.read_table = a.to_table + a.vectors
            a.room = (a.read_table + a.vectors).cast("f32")
            _tabulate(code, self, a)
            if not self.points:
                panel.zeros(code, a.room, a.held)
            first, last = code.share(a.images * a.groups * a.blocks * a.chunks)
            with code.loop(last, first) as task:
                _task(code, self, a, task)
        return program


def _tabulate(code: Code, spec: Spec, a: Any) -> None:
    """Note where the products find their input."""
    with (
        code.loop(a.channels) as c,
        code.loop(a.window_rows) as r,
        code.loop(a.window_columns) as s,
    ):
        place = s * a.tap_column
        at = c * a.plane + r * a.tap_row * a.pitch
        at = at + place % spec.stride * a.segment + place // spec.stride
        code.store_int(at, a.ways + (c * a.window_rows + r) * a.window_columns + s)


def _task(code: Code, spec: Spec, a: Any, task: Int) -> None:
    """Compute the outputs of one chunk of tiles for one block of rows."""
    chunk, rest = task % a.chunks, task // a.chunks
    block, rest = rest % a.blocks, rest // a.blocks
    group, image = rest % a.groups, rest // a.groups
    line = block * a.rows
    lines = code.smaller(a.lines - line, a.rows)
    vectors = _vectors(code, spec, a, lines)
    base = a.source + a.source_offset + image * a.source_image
    base = base + group * a.channels * a.source_channel
    _bring(code, spec, a, base, line, lines, vectors)

    start = a.target_offset + image * a.target_image
    start = start + group * a.outputs * a.target_channel + line * a.target_row
    sink = output.Sink(
        a.target + start, "rows", a.target_channel, a.to_table,
        a.bias + group * a.outputs if spec.bias else None,
        a.summand + start if spec.summand else None, spec.activation, a.outputs,
    )  # fmt: skip
    outputs, wide = spec.tile
    tiles = (a.outputs + (outputs - 1)) // outputs
    first = chunk * a.tiles_in_chunk
    last = code.smaller(first + a.tiles_in_chunk, tiles)

    def one(number: Int, vector: Int) -> None:
        packed = a.prepared + (group * tiles + number) * a.packed
        starts = [a.room + code.load_int(a.from_table + vector + v) for v in range(wide)]
        _put(code, sink, _sums(code, spec, a, packed, starts), number * outputs, vector)

    together = TOGETHER if spec.points else 1
    with (
        code.loop(last, first, together) as begin,
        code.loop(vectors, 0, wide) as vector,
        code.loop(code.smaller(begin + together, last), begin) as number,
    ):
        one(number, vector)


def _vectors(code: Code, spec: Spec, a: Any, lines: Int) -> Int:
    """Tabulate where each vector of pixels reads and writes, and return how many there are.

    The last vector of a line overlaps the one before; the last tile repeats the last vector.
    """
    each = (a.columns + (code.lanes - 1)) // code.lanes
    count: Int = lines * each
    wide = spec.tile[1]
    with code.loop(lines) as line, code.loop(each) as v:
        x, number = code.smaller(v * code.lanes, a.columns - code.lanes), line * each + v
        at = line * a.stride_row * a.pitch + x
        if spec.points:
            at = number // wide * a.apart + number % wide * code.lanes
            code.store_int(line * a.source_row + x, a.read_table + number)
        code.store_int(at, a.from_table + number)
        code.store_int(line * a.target_row + x, a.to_table + number)
    last = [code.load_int(table + (count - 1)) for table in (a.from_table, a.to_table)]
    with code.loop((count + (wide - 1)) // wide * wide, count) as v:
        code.store_int(last[0], a.from_table + v)
        code.store_int(last[1], a.to_table + v)
    return count


def _bring(
    code: Code, spec: Spec, a: Any, base: Pointer, line: Int, lines: Int, vectors: Int
) -> None:
    """Bring the input of a block of rows into the panel, channel after channel."""
    first = line * a.stride_row - a.top
    if spec.points:
        with code.loop(a.channels) as c, code.loop(vectors) as v:
            at = base + first * a.source_row + c * a.source_channel
            value = code.load(at + code.load_int(a.read_table + v))
            code.store(value, a.room + c * a.plane + code.load_int(a.from_table + v))
        return
    rows = (lines - 1) * a.stride_row + (a.window_rows - 1) * a.tap_row + 1
    form = depthwise_rows.Source(
        (a.height, a.width), a.source_row, code.constant(1), True,
        a.left, a.pitch, a.pitch, a.segment, spec.stride,
    )  # fmt: skip
    with code.loop(a.channels) as c:
        plane = base + c * a.source_channel
        depthwise_rows.bring(code, form, plane, first, rows, a.room + c * a.plane)


def _sums(code: Code, spec: Spec, a: Any, packed: Pointer, starts: list[Pointer]) -> list[Any]:
    """Return the sums of one tile."""
    sums = tile.sums(code, *spec.tile)

    def once(t: Index) -> None:
        way = code.load_int(a.ways + t)
        vectors = [code.load(start + way) for start in starts]
        for k, row in enumerate(sums):
            weight = code.broadcast(packed + (t * len(sums) + k))
            for slot, vector in zip(row, vectors, strict=True):
                slot.set(code.fma(weight, vector, slot.get()))

    whole = a.products // UNROLL * UNROLL
    with code.loop(whole, 0, UNROLL) as t:
        for u in range(UNROLL):
            once(t + u)
    with code.loop(a.products, whole) as t:
        once(t)
    return [[slot.get() for slot in row] for row in sums]


def _put(code: Code, sink: output.Sink, done: list[list[Any]], first: Int, vector: Int) -> None:
    """Write a tile, as far as its outputs exist."""
    places = [code.load_int(sink.offsets + vector + v) for v in range(len(done[0]))]
    for k, row in enumerate(done):
        channel = first + k
        with code.when(sink.channels > channel):
            for value, place in zip(row, places, strict=True):
                at = place + channel * sink.channel
                output.finish(code, sink, value, channel, at, code.lanes, across=False)
