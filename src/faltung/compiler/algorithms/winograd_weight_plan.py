"""Gradient of 2x2, 3x3 and 5x5 weights by Winograd's method: which problems, in which groups."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.algorithms.undilated import apart
from faltung.compiler.algorithms.winograd_groups import LARGE, groups, seconds, unfit
from faltung.compiler.algorithms.winograd_weight import Spec
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import KINDS, Pair, Problem, layout
from faltung.compiler.target import Target

NAME = "winograd weight gradient"
GROUP = 2**20  # float32 elements of transformed tiles at most that one call holds
MORE = 0.08  # times what the tensors take, that may be held besides
LEAST = 2**18  # elements that may be held even where the tensors have less
TRANSFORM = 0.5  # cycles to transform an element of a tile
SUM = 1.0  # cycles to read and write an element of the sums again


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem."""
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights"
    return unfit(problem, apart(problem)[0], target)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    threads = min(threads, FLAGS // 2)
    jobs, _ = apart(problem)
    vectors = min(2, -(-problem.outputs // target.lanes)) if target.registers < 32 else 4
    height = 6
    spec = Spec(
        layout(jobs[0].source[:4]), layout(jobs[0].target[:4]), problem.kind, problem.bias,
        jobs[0].window[0], _step_of(problem, jobs[0]), (height, vectors),
    )  # fmt: skip
    width = vectors * target.lanes
    parts, held = _parts(problem, jobs, spec, width)
    tiles = -(-len(parts[0]) // width)
    calls = []
    for part, job in itertools.product(parts, jobs):
        grid = _grid(job, spec)
        row = spec.size**2 * grid[1] * (problem.channels + tiles * width)
        cut = groups(problem.images * grid[0], max(1, held // row))
        calls += [(_of(job, part), group, grid, part) for group in cut]
    padded = max(len(group) * grid[1] for _, group, grid, _ in calls) | 1  # as in `winograd_plan`
    units = max(len(group) for _, group, *_ in calls)
    found = []
    for at, (job, group, grid, part) in enumerate(calls):
        ends = (
            int(at == 0 or calls[at - 1][0].weights != job.weights),
            int(at == len(calls) - 1 or calls[at + 1][0].weights != job.weights),
        )
        most = (units, padded)
        found.append(_step(problem, job, spec, target, threads, group, grid, most, part, ends))
    words = (
        f"F({spec.taps}x{spec.taps}, {spec.outputs}x{spec.outputs}), {height} x {width} channels "
        f"in registers, {len(calls)} groups of tiles in {len(jobs)} parts"
    )
    count = sum(len(group) * columns for _, group, (_, columns), _ in calls) // len(parts)
    cost = seconds(problem, count, spec.size**2, target, threads)
    steps, room = tuple(step for step, _ in found), max(room for _, room in found)
    return [Plan(NAME, words, steps, room, threads, cost)]


def _parts(
    problem: Problem, jobs: Sequence[Correlation], spec: Spec, width: int
) -> tuple[list[range], int]:
    """Return the outputs whose sums are held at once, and the elements left for transformed tiles.

    Both together, and what two threads need, are as much as torch needs in NCHW, where it copies
    what is read. Few sums leave room for many tiles, so that sums are seldom read again; but the
    input is transformed for each part of the outputs. The rule does not know the threads, which
    must not change bits.
    """
    tiles, channels = -(-problem.outputs // width), problem.channels
    made = channels * problem.outputs * math.prod(problem.window)
    read = problem.bytes // KINDS[problem.kind] - made
    room = max(read + int(MORE * (read + made)), made, LEAST)
    least, each, held = math.inf, 0, 0
    for count in range(1, tiles + 1):
        some = -(-tiles // count) * width
        sums = spec.size**2 * channels * some
        grids = [_grid(job, spec) for job in jobs]
        own = max(_own(spec, channels, some, columns, width) for _, columns in grids)
        left = min(room - sums - 2 * own, GROUP)
        cycles = 0.0
        for rows, columns in grids:
            row = spec.size**2 * columns
            calls = -(-problem.images * rows // max(1, left // (row * (channels + some))))
            cycles += problem.images * rows * row * channels * TRANSFORM + calls * sums * SUM
        if count * cycles < least:
            least, each, held = count * cycles, some, left
    firsts = range(0, problem.outputs, each)
    return [range(first, min(first + each, problem.outputs)) for first in firsts], held


def _span(spec: Spec, columns: int) -> int:
    """Return how many elements a row of tiles spans."""
    return columns * spec.outputs + spec.taps - 1


def _own(spec: Spec, channels: int, outputs: int, columns: int, width: int) -> int:
    """Return the elements that a thread needs: rows of input, or gradients, or weights of a tile.

    All outputs of a part are meant, and the columns of tiles in a row.
    """
    span = _span(spec, columns)
    rows = max(spec.size * span * channels, spec.outputs * span * outputs)
    return max(rows, spec.taps**2 * channels * width)


def _grid(job: Correlation, spec: Spec) -> Pair:
    """Return the rows and columns of tiles of an image."""
    rows, columns = (-(-n // spec.outputs) for n in job.result)
    return rows, columns


def _of(job: Correlation, part: range) -> Correlation:
    """Return what makes the weights of some outputs."""
    image, channel, row, column, offset = job.target
    group, output, *along, start = job.weights
    target = (image, channel, row, column, offset + part.start * channel)
    weights = (group, output, along[0], along[1], along[2], start + part.start * output)
    return replace(job, target=target, weights=weights)


def _step_of(problem: Problem, job: Correlation) -> int:
    """Return the gradients of a tile along one axis.

    Larger tiles have a larger error, within twice torch's where many pixels are summed.
    """
    if job.window[0] != 3:
        return {2: 3, 5: 2}[job.window[0]]
    pixels = math.prod(job.result)
    return 4 if pixels >= LARGE and problem.images * pixels >= 2 * LARGE else 2


def _step(
    problem: Problem,
    job: Correlation,
    spec: Spec,
    target: Target,
    threads: int,
    group: range,
    grid: Pair,
    most: Pair,
    part: range,
    ends: Pair,
) -> tuple[Step, int]:
    """Return the call for a group of tile rows, and its workspace in bytes."""
    k, c, r, s, offset = job.weights[1:]
    columns, units, padded = grid[1], *most
    channels, width = problem.channels, spec.tile[1] * target.lanes
    tiles = -(-len(part) // width)
    run = gathered(channels, job.window, (c, r, s), target.lanes)
    sums = spec.taps**2 * channels * width
    gradients = FLAGS + rounded(spec.size**2 * padded * channels)
    padded_channels = -(-channels // spec.tile[0]) * spec.tile[0]
    products = gradients + rounded(spec.size**2 * tiles * padded * width)
    rows = products + rounded(spec.size**2 * tiles * (padded_channels + 1) * width)
    shared = rows + rounded(problem.bias * units * tiles * width)
    span = _span(spec, columns)
    private = rounded(_own(spec, channels, tiles * width, columns, width) + 2 * run[0])
    numbers = (
        group.start, len(group), *grid, *ends, 1, channels, len(part),
        *job.size, *job.result, *job.source, *job.target,
        k, c, r, s, offset, *run, spec.taps * channels, channels, channels,
        1, sums, sums, 1, *job.window,
        -job.origin[0], -job.origin[1], span, padded, padded_channels, tiles, shared, private,
        gradients, products, rows, part.start,
    )  # fmt: skip
    return Step(spec, numbers, guards=True), 4 * (shared + threads * private)
