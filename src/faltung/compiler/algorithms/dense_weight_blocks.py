"""How the gradient of dense weights is cut: pixels into blocks and parts, channels into slices."""

from collections.abc import Iterator
from dataclasses import dataclass

from faltung.compiler.algorithms import strips
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.dense_blocks import PACKED
from faltung.compiler.algorithms.dense_weight_form import Form, tiling
from faltung.compiler.algorithms.dense_weight_sum import CHAIN
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

SUMS = 2**20  # bytes that all parts of the sums may take together, where one part is less
PARTS = 8
LEAST = 64  # places, of channels and taps, that a gradient is read for at once at least
NARROW = 16  # channels of a slice at least
ADDED = 40  # cycles to add a register tile to memory
LOADED = 0.15  # cycles an element, from the second cache into the first


@dataclass(frozen=True)
class Block:
    """What is summed over before the sums go to memory; the problem alone decides it.

    Attributes:
        rows: Rows of outputs.
        batch: Images.
        columns: Columns of the panel.
        each: Elements of a channel of an image in the panel.
        pixels: Outputs of a block.
        line_span: Rows of outputs that are one chain of sums.
        image_span: Images that are one chain of sums.
        parts: Parts in which blocks are summed.
        turns: Blocks of the largest part.
    """

    rows: int
    batch: int
    columns: int
    each: int
    pixels: int
    line_span: int
    image_span: int
    parts: int
    turns: int


def block(problem: Problem, job: Correlation, form: Form, target: Target) -> Block:
    """Cut into as many pixels as the form allows, as long as panels stay in the second cache.

    Few pixels mean that sums go to memory often; small images are taken several at a time, unless
    there is little else to share among threads.
    """
    lines, columns = job.result
    reach = [d * (r - 1) + 1 for d, r in zip(job.dilation, job.window, strict=True)]
    width = (columns - 1) * job.stride[1] + reach[1]
    most = max(1, form.pixels // columns)
    rows = _even(lines, most)
    each = width * ((rows - 1) * job.stride[0] + reach[0])
    batch = 1
    if rows == lines:
        least = _least(job, form)
        tasks = min(PARTS, form.groups * form.tiles * max(1, form.whole // LEAST))
        room = target.l2 // 2 // (4 * each * (least if form.strips else form.channels))
        batch = _even(problem.images, min(problem.images * tasks // PARTS, most // lines, room))
    units = -(-problem.images // batch) * -(-lines // rows)
    taps = job.window[0] * job.window[1]
    parts = _parts(units, SUMS // (4 * form.groups * form.tiles * form.width * form.whole * taps))
    line_span, image_span = _even(rows, CHAIN // columns), _even(batch, CHAIN // (rows * columns))
    return Block(
        rows, batch, width, each, batch * rows * columns, line_span, image_span,
        parts, -(-units // parts),
    )  # fmt: skip


def _even(count: int, most: int) -> int:
    """Return the largest of the most even pieces that are at most so large."""
    pieces = -(-count // max(1, min(count, most)))
    return -(-count // pieces)


def _least(job: Correlation, form: Form) -> int:
    """Return the channels of a slice at least, where there are as many."""
    return min(form.whole, max(-(-LEAST // (job.window[0] * form.segments)), NARROW))


def _parts(units: int, most: int) -> int:
    """Return the number of parts that blocks are summed in: equal ones, rather than many."""
    most = max(1, min(PARTS, units, most))
    return min(range(most, most // 2, -1), key=lambda n: -(-units // n) * n)


@dataclass(frozen=True)
class Cut:
    """Channels and outputs cut into tasks.

    Attributes:
        height: Rows of the register tile.
        count: Register tiles that cover a slice.
        tall: Those of `height` rows; the others have one less.
        slice: Input channels that are brought at once.
        in_task: Slices of a task.
        tiles: Tiles of outputs of a task.
        apart: Elements from the input of a register tile to that of the next.
        panel: Elements of the input of a slice.
        places: Sums of a slice, a row of taps, a column of them and an output.
        sums: Sums of a slice and a tile of outputs.
        seconds: What all is expected to take.
    """

    height: int
    count: int
    tall: int
    slice: int
    in_task: int
    tiles: int
    apart: int
    panel: int
    places: int
    sums: int
    seconds: float


def cuts(
    problem: Problem, job: Correlation, form: Form, block: Block, team: int, target: Target
) -> Iterator[Cut]:
    """Give ways to cut: no element's sum depends on which is taken."""
    taps = job.window[0] * form.segments
    from_x, from_dy = (PACKED[layout(strides[:4])] for strides in (job.source, job.target))
    for slice_ in _slices(job, form, block, target):
        slices = form.whole // slice_
        height, count, tall = tiling(form, slice_, target)
        places = count * height if form.woven else slice_ * form.merged
        apart = strips.plane(block.batch * block.each * height) if form.strips else height
        panel = count * apart if form.strips else block.batch * block.each * form.channels
        sums = taps * places * form.width
        step = block.pixels * max(places / count * form.vectors, 9) / 2 + ADDED
        gradient = block.pixels * form.width
        for in_task in {1, -(-slices // team), slices}:
            for tiles in {form.tiles, -(-form.tiles // team)}:
                tasks = -(-slices // in_task) * -(-form.tiles // tiles) * block.parts * form.groups
                cycles = tiles * (taps * count * step + LOADED * gradient) + panel * from_x
                cycles = in_task * cycles + tiles * gradient * from_dy
                cycles = -(-tasks // team) * block.turns * cycles
                cycles += 2 * block.parts * form.groups * form.tiles * slices * sums / team
                yield Cut(
                    height, count, tall, slice_, in_task, tiles, apart, panel, places, sums,
                    cycles / 3.2e9,
                )  # fmt: skip


def _slices(job: Correlation, form: Form, block: Block, target: Target) -> list[int]:
    """Return how many channels may be brought at once, so that the second cache holds them."""
    if not form.strips:
        return [form.whole]
    least = _least(job, form)
    divisors = [d for d in range(least, form.whole + 1) if form.whole % d == 0]
    room = target.l2 // 2 // (4 * block.batch * block.each)
    return [d for d in divisors if d <= room] or divisors[:1]
