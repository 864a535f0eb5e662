"""Gradient of dense weights: which problems, in which blocks and parts."""

from dataclasses import dataclass

from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import Correlation, weighing
from faltung.compiler.algorithms.dense_blocks import PACKED, SERIAL, woven_channels
from faltung.compiler.algorithms.dense_weight import Spec
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

NAME = "dense weight gradient"
SUMS = 2**20  # bytes that all parts of the sums may take together, where one part is less
PARTS = 8
SLACK = 256  # elements behind a panel that a last, partly empty tile may read
LEAST = 64  # channels of a slice, where there are as many


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem: it takes every weight gradient."""
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights only"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    job = weighing(problem)
    channels, outputs = (n // problem.groups for n in (problem.channels, problem.outputs))
    groups, woven = problem.groups, woven_channels(problem, channels, outputs, target)
    merged = job.dilation[1] == 1 or woven > 0
    tile_columns = job.window[1] if merged else 1
    shape = _tile(target, channels * tile_columns, -(-outputs // target.lanes))
    if woven:
        shape = woven * max(1, min(job.window[1], 12 // woven)), 1
        groups, outputs = problem.channels // target.lanes, target.lanes
    spec = Spec(
        layout(job.source[:4]), layout(job.target[:4]), problem.kind, problem.bias, shape, woven
    )
    team, lanes = threads if problem.macs > SERIAL else 1, target.lanes
    height, tile_width = spec.tile[0], spec.tile[1] * lanes
    pitch = lanes if woven else 0
    cut = _cut(job, pitch or channels, tile_width, target)
    slice_, slices = (channels, 1) if woven else (cut.slice, channels // cut.slice)
    run, segments = slice_ * tile_columns, job.window[1] // tile_columns
    padded = -(-run // height) * height
    tiles = -(-outputs // tile_width)
    slice_sums = job.window[0] * segments * padded * tile_width
    size = slices * slice_sums + problem.bias * tile_width
    sums = groups * tiles * size

    blocks = -(-job.result[0] // cut.rows)
    units = problem.images * blocks
    parts = max(1, min(PARTS, units, SUMS // (4 * sums)))
    others = parts * groups * slices
    chunks = 1 if others % team == 0 or others >= 4 * team else min(tiles, team)
    in_chunk = -(-tiles // chunks)
    chunks = -(-tiles // in_chunk)
    run_of_dw = gathered(slice_, job.window, job.weights[2:5], lanes)
    room = max(cut.pixels * tile_width * in_chunk + cut.panel + SLACK, 2 * run_of_dw[0])
    private = rounded(room)
    shared = rounded(parts * sums)
    numbers = (
        problem.images, groups, pitch or channels, slice_, slices, pitch or slice_, outputs,
        *job.size, *job.result, *job.source, *job.target[:4], *job.weights[1:], *run_of_dw,
        segments * padded, slice_ if segments == 1 else padded, -job.origin[0], -job.origin[1],
        cut.width, *job.window,
        segments, run, padded, slice_sums, size, tiles,
        *job.stride, *job.dilation, cut.rows, blocks, parts, chunks, in_chunk, shared, private,
    )  # fmt: skip
    turns = -(-others * chunks // team) * -(-units // parts)
    products = cut.pixels * slice_sums / tile_width * in_chunk * spec.tile[1] / 2
    packing = cut.panel * PACKED[spec.x] + cut.pixels * in_chunk * tile_width * PACKED[spec.dy]
    seconds = (turns * (products + packing) + 2 * parts * sums / team) / 3.2e9
    words = (
        f"{height} places x {tile_width} channels in registers, {cut.rows} rows of {cut.slice} "
        f"channels a block, {parts} parts, {chunks} chunks of channels"
    )
    step, room = Step(spec, numbers), 4 * (shared + team * private)
    return [Plan(NAME, words, (step,), room, team, seconds)]


@dataclass(frozen=True)
class Cut:
    """The block of input that is summed over at once.

    Attributes:
        rows: Rows of outputs.
        slice: Channels.
        width: Columns of the panel.
        pixels: Outputs of a block.
        panel: Elements of the panel.
    """

    rows: int
    slice: int
    width: int
    pixels: int
    panel: int


def _cut(job: Correlation, channels: int, tile_width: int, target: Target) -> Cut:
    """Cut so that the panel stays in the second cache and a gradient tile in the first.

    Few rows mean that sums go to memory often, few channels that the gradient is packed often.
    """
    lines, columns = job.result
    reach = [d * (r - 1) + 1 for d, r in zip(job.dilation, job.window, strict=True)]
    width = (columns - 1) * job.stride[1] + reach[1]
    most = max(1, min(lines, int(target.l1 * 0.75) // (4 * columns * tile_width)))
    rows = -(-lines // -(-lines // most))
    line = width * ((rows - 1) * job.stride[0] + reach[0])
    fitting = [
        d
        for d in range(1, channels + 1)
        if channels % d == 0 and d * line * 4 <= target.l2 / 2 and (d >= LEAST or d == channels)
    ]
    slice_ = max(
        fitting,
        default=min(
            d for d in range(1, channels + 1) if channels % d == 0 and d >= min(LEAST, channels)
        ),
    )
    return Cut(rows, slice_, width, rows * columns, line * slice_)


def _tile(target: Target, run: int, vectors: int) -> tuple[int, int]:
    """Return rows and vectors of the tile: few places wasted, enough sums in flight."""
    if target.registers >= 32:
        wide = 4 if vectors % 4 == 0 or vectors > 4 else min(vectors, 2)
        heights = {4: (6, 5, 4, 3), 2: (12, 10, 8, 6, 5, 4), 1: (16, 12, 10, 8, 6, 4)}[wide]
    else:
        wide = 3 if vectors == 3 else min(vectors, 2)
        heights = {3: (4, 3), 2: (6, 5, 4, 3), 1: (10, 8, 6, 5, 4)}[wide]

    def work(height: int) -> float:
        # A step loads its vectors and its elements; two fma and two to three loads go at a time.
        step = max(height * wide / 2, height / 3 + wide / 2)
        return -(-run // height) * (step if height * wide > 8 else max(step, 4.5))

    return min(heights, key=work), wide
