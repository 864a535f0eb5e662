"""How the gradient of dense weights is cut: pixels into blocks and parts, channels into slices.

Memory: what a thread holds, strips and sums of its own, fits into most of its second cache, or into
its share of what the weights take where that is more. All parts of sums together take as much as
half of one such cache, more only where there would be too few tasks else.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from faltung.compiler.algorithms import effort, strips
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.dense_blocks import PACKED
from faltung.compiler.algorithms.dense_weight_form import Form, tiling
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

HELD = 0.75  # of the second cache, that strips and sums of a thread may fill
SUMS = 0.5  # of a second cache, that all parts of the sums together may take
PARTS = 8  # parts of the sums at most, and tasks that they are made for
LEAST = 64  # places, of channels and taps, that a gradient is read for at once at least
NARROW = 16  # channels of a slice at least
ADDED = 40, 120  # cycles to add a register tile to sums in the second cache, or beyond it
LOADED = 0.15  # cycles an element, from the second cache into the first


@dataclass(frozen=True)
class Block:
    """What is summed over before the sums go to memory; the problem alone decides it.

    Attributes:
        rows: Rows of outputs.
        span: Columns of outputs.
        across: Blocks beside one another.
        batch: Images.
        columns: Columns of the panel.
        each: Elements of a channel of an image in the panel.
        pixels: Outputs of a block.
        units: Blocks there are.
        parts: Parts in which blocks are summed.
    """

    rows: int
    span: int
    across: int
    batch: int
    columns: int
    each: int
    pixels: int
    units: int
    parts: int


def block(problem: Problem, job: Correlation, form: Form, target: Target) -> Block:
    """Cut into as many pixels as the form allows, as long as panels stay in the second cache.

    Few pixels mean that sums go to memory often; small images are taken several at a time, unless
    there is little else to share among threads.
    """
    lines, columns = job.result
    reach = [d * (r - 1) + 1 for d, r in zip(job.dilation, job.window, strict=True)]
    span = _even(columns, form.pixels)
    rows = _even(lines, form.pixels // span)
    across = -(-columns // span)
    width = (span - 1) * job.stride[1] + reach[1]
    each = width * ((rows - 1) * job.stride[0] + reach[0])
    least = _least(job, form)
    tasks = form.groups * form.tiles * (form.whole // least if form.strips else 1)
    batch = 1
    if rows == lines and across == 1:
        share = problem.images * min(PARTS, tasks) // PARTS
        room = target.l2 // 2 // (4 * each * (least if form.strips else form.channels))
        batch = _even(problem.images, min(share, form.pixels // (lines * columns), room))
    units = -(-problem.images // batch) * -(-lines // rows) * across
    most = max(int(target.l2 * SUMS) // _weights(job, form), PARTS // tasks, 1)
    parts = 2 ** int(math.log2(min(units, most, PARTS)))
    return Block(rows, span, across, batch, width, each, batch * rows * span, units, parts)


def _weights(job: Correlation, form: Form) -> int:
    """Return the bytes of the sums of all weights."""
    taps = job.window[0] * job.window[1]
    return 4 * form.groups * form.tiles * form.width * form.whole * taps


def _even(count: int, most: int) -> int:
    """Return the largest of the most even pieces that are at most so large."""
    pieces = -(-count // max(1, min(count, most)))
    return -(-count // pieces)


def _least(job: Correlation, form: Form) -> int:
    """Return the channels of a slice at least, where there are as many."""
    return min(form.whole, max(-(-LEAST // (job.window[0] * form.segments)), NARROW))


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
        held: Elements that a thread holds: strips, and sums that wait for the next block.
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
    held: int
    seconds: float


def cut(job: Correlation, form: Form, block: Block, team: int, target: Target) -> Cut:
    """Choose the fastest way to cut that keeps to the share of memory, else the one of least."""
    room = max(int(target.l2 * HELD), _weights(job, form) // team) // 4
    return min(
        _cuts(job, form, block, team, target),
        key=lambda found: (max(room, found.held), found.seconds),
    )


def _cuts(job: Correlation, form: Form, block: Block, team: int, target: Target) -> Iterator[Cut]:
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
        step = block.pixels * max(places / count * form.vectors, 9) / 2
        gradient = block.pixels * form.width
        for in_task in {-(-slices // n) for n in (1, team, 2 * team, 4 * team, slices)}:
            for tiles in {-(-form.tiles // n) for n in (1, team, 2 * team, 4 * team)}:
                own = in_task * tiles * sums if block.units > block.parts else sums
                strip = tiles * strips.plane(gradient) + panel
                tasks = -(-slices // in_task) * -(-form.tiles // tiles) * block.parts * form.groups
                far = 4 * (own + strip) > target.l2
                cycles = taps * count * (step + ADDED[far]) + LOADED * gradient
                cycles = tiles * cycles + panel * from_x
                cycles = in_task * cycles + tiles * gradient * from_dy
                cycles = -(-tasks // team) * block.units / block.parts * cycles
                cycles += 2 * block.parts * form.groups * form.tiles * slices * sums / team
                held = strip + (own if block.parts == 1 else 0)
                yield Cut(
                    height, count, tall, slice_, in_task, tiles, apart, panel, places, sums,
                    held, cycles / effort.HERTZ,
                )  # fmt: skip


def _slices(job: Correlation, form: Form, block: Block, target: Target) -> list[int]:
    """Return how many channels may be brought at once, so that the second cache holds them."""
    if not form.strips:
        return [form.whole]
    least = _least(job, form)
    divisors = [d for d in range(least, form.whole + 1) if form.whole % d == 0]
    room = target.l2 // 2 // (4 * block.batch * block.each)
    return [d for d in divisors if d <= room] or divisors[:1]
