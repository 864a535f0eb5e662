"""Gradient of 2x2, 3x3 and 5x5 weights by Winograd's method: which problems, in which groups."""

import itertools
import math
from dataclasses import replace

from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.algorithms.undilated import apart
from faltung.compiler.algorithms.winograd_groups import LARGE, groups, seconds, unfit
from faltung.compiler.algorithms.winograd_weight import Spec
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Pair, Problem, layout
from faltung.compiler.target import Target

NAME = "winograd weight gradient"
GROUP = 4 * 2**20  # bytes of transformed tiles that one call holds: sums are read again for each
SUMS = 4 * 2**20  # bytes of sums that are held even where the gradient is smaller


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
    parts = _parts(problem, spec, width)
    tiles = -(-len(parts[0]) // width)
    calls = []
    for part, job in itertools.product(parts, jobs):
        rows, columns = (-(-n // spec.outputs) for n in job.result)
        row_bytes = 4 * spec.size**2 * columns * (problem.channels + tiles * width)
        cut = groups(problem.images * rows, max(1, GROUP // row_bytes))
        calls += [(_of(job, part), group, (rows, columns), part) for group in cut]
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


def _parts(problem: Problem, spec: Spec, width: int) -> list[range]:
    """Return the outputs whose sums are held at once: all, or sums not larger than the gradient."""
    most = max(problem.outputs * spec.taps**2, SUMS // (4 * problem.channels)) // spec.size**2
    tiles = -(-problem.outputs // width)
    each = -(-tiles // -(-tiles // max(1, most // width))) * width
    return [
        range(first, min(first + each, problem.outputs))
        for first in range(0, problem.outputs, each)
    ]


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
    span = columns * spec.outputs + spec.taps - 1
    private = rounded(
        max(spec.size * span * channels, spec.outputs * span * tiles * width, sums + 2 * run[0])
    )
    numbers = (
        group.start, len(group), *grid, *ends, 1, channels, len(part),
        *job.size, *job.result, *job.source, *job.target,
        k, c, r, s, offset, *run, spec.taps * channels, channels, channels,
        1, sums, sums, 1, *job.window,
        -job.origin[0], -job.origin[1], span, padded, padded_channels, tiles, shared, private,
        gradients, products, rows, part.start,
    )  # fmt: skip
    return Step(spec, numbers, guards=True), 4 * (shared + threads * private)
