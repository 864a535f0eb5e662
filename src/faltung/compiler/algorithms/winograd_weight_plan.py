"""Gradient of 2x2, 3x3 and 5x5 weights by Winograd's method: which problems, in which groups."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.effort import HERTZ
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.algorithms.undilated import apart
from faltung.compiler.algorithms.winograd_groups import LARGE, grid, groups, span, unfit
from faltung.compiler.algorithms.winograd_weight import Back, Spec
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import KINDS, Pair, Problem, layout
from faltung.compiler.target import Target

NAME = "winograd weight gradient"
GROUP = 2**20  # float32 elements of transformed tiles that one call holds at most
MORE = 0.08  # part of the tensors' elements that may be held in addition to a copy
LEAST = 2**18  # elements that may be held even where the tensors have less
MULTIPLY = 1.5  # times what the products take at the peak, to sum them
TRANSFORM = 1.0  # cycles to transform an element of a tile
SUM = 1.0  # cycles to read and write an element of the sums again
DIRECT = 1.12  # times what all products take at the peak, where they are summed directly


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem."""
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights"
    jobs, _ = apart(problem)
    misfit = unfit(problem, jobs, target)
    if misfit is not None:
        return misfit
    share = _share(problem, jobs, _spec(problem, jobs[0], target), target)
    if share.cycles > DIRECT * problem.macs / (2 * target.lanes):
        return "as much memory as torch takes is too little: its sums would be read too often"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    threads = min(threads, FLAGS // 2)
    jobs, _ = apart(problem)
    spec = _spec(problem, jobs[0], target)
    share = _share(problem, jobs, spec, target)
    width = spec.tile[1] * target.lanes
    firsts = range(0, problem.outputs, share.outputs)
    parts = [range(first, min(first + share.outputs, problem.outputs)) for first in firsts]
    calls = []
    for part, job in itertools.product(parts, jobs):
        rows, columns = lattice = grid(job, spec.outputs)
        most = share.held // _row(spec, problem.channels, share.outputs, columns)
        cut = groups(problem.images * rows, max(1, most))
        calls += [(_of(job, part), group, lattice, part) for group in cut]
    units = max(len(group) for _, group, *_ in calls)
    tiles = max(len(group) * lattice[1] for _, group, lattice, _ in calls)
    back = Back(spec.kind, spec.taps, spec.outputs, width)
    steps, room = [], 0
    for at, (job, group, lattice, part) in enumerate(calls):
        new = at == 0 or calls[at - 1][0].weights != job.weights
        last = at == len(calls) - 1 or calls[at + 1][0].weights != job.weights
        size = units, tiles | 1  # as in `winograd_plan`
        step, held = _step(problem, job, spec, target, threads, group, lattice, size, part, new)
        steps += [step, Step(back, step.numbers)] if last else [step]
        room = max(room, held)
    words = (
        f"F({spec.taps}x{spec.taps}, {spec.outputs}x{spec.outputs}), {spec.tile[0]} x {width} "
        f"channels in registers, {len(calls)} groups of tiles in {len(jobs)} parts"
    )
    cost = share.cycles / threads / HERTZ
    return [Plan(NAME, words, tuple(steps), room, threads, cost)]


def _spec(problem: Problem, job: Correlation, target: Target) -> Spec:
    """Return the kernel."""
    vectors = min(2, -(-problem.outputs // target.lanes)) if target.registers < 32 else 4
    return Spec(
        layout(job.source[:4]), layout(job.target[:4]), problem.kind, problem.bias,
        job.window[0], _step_of(problem, job), (6, vectors),
    )  # fmt: skip


@dataclass(frozen=True)
class _Share:
    """What is held at once.

    Attributes:
        outputs: Outputs whose sums are held, in whole tiles.
        held: float32 elements that are left for transformed tiles.
        cycles: What all takes on one thread.
    """

    outputs: int
    held: int
    cycles: float


def _share(problem: Problem, jobs: Sequence[Correlation], spec: Spec, target: Target) -> _Share:
    """Return what is held at once, at most as much as torch holds in NCHW: a copy of what is read.

    Few sums leave room for many tiles, so that sums are seldom read again; but the input is
    transformed for each part of the outputs. What two threads need of their own is counted: the
    rule does not know how many there are, which must not change bits.
    """
    width = spec.tile[1] * target.lanes
    tiles, channels = -(-problem.outputs // width), problem.channels
    made = channels * problem.outputs * math.prod(problem.window)
    read = problem.bytes // KINDS[problem.kind] - made
    room = max(read + int(MORE * (read + made)), made, LEAST)
    grids = [grid(job, spec.outputs) for job in jobs]
    area = spec.size**2 * problem.images
    products = area * sum(map(math.prod, grids)) * channels * problem.outputs
    best = _Share(width, 0, math.inf)
    for some in sorted({-(-tiles // count) * width for count in range(1, tiles + 1)}):
        sums = spec.size**2 * channels * some
        own = max(_own(spec, channels, some, columns, width) for _, columns in grids)
        held = min(room - sums - 2 * own, GROUP)
        cycles = 0.0
        for rows, columns in grids:
            most = held // _row(spec, channels, some, columns)
            calls = -(-problem.images * rows // most) if most > 0 else math.inf
            cycles += area * rows * columns * channels * TRANSFORM + calls * sums * SUM
        cycles *= -(-problem.outputs // some)
        if cycles < best.cycles:
            best = _Share(some, held, cycles)
    return replace(best, cycles=best.cycles + MULTIPLY * products / (2 * target.lanes))


def _row(spec: Spec, channels: int, outputs: int, columns: int) -> int:
    """Return the elements of a row of transformed tiles, of the input and of gradients."""
    return spec.size**2 * columns * (channels + outputs)


def _own(spec: Spec, channels: int, outputs: int, columns: int, width: int) -> int:
    """Return the elements that a thread needs: rows of input, or gradients, or weights of a tile.

    Args:
        spec: The kernel.
        channels: All input channels.
        outputs: Outputs of a part.
        columns: Tiles in a row.
        width: Outputs of a register tile.
    """
    across = span(columns, spec.outputs, spec.taps)
    rows = max(spec.size * across * channels, spec.outputs * across * outputs)
    return max(rows, spec.taps**2 * channels * width)


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
    lattice: Pair,
    most: Pair,
    part: range,
    new: bool,
) -> tuple[Step, int]:
    """Return the call for a group of tile rows, and its workspace in bytes."""
    k, c, r, s, offset = job.weights[1:]
    columns, units, padded = lattice[1], *most
    channels, width = problem.channels, spec.tile[1] * target.lanes
    tiles = -(-len(part) // width)
    run = gathered(channels, job.window, (c, r, s), target.lanes)
    sums = spec.taps**2 * channels * width
    gradients = FLAGS + rounded(spec.size**2 * padded * channels)
    padded_channels = -(-channels // spec.tile[0]) * spec.tile[0]
    products = gradients + rounded(spec.size**2 * tiles * padded * width)
    rows = products + rounded(spec.size**2 * tiles * (padded_channels + 1) * width)
    shared = rows + rounded(problem.bias * units * tiles * width)
    private = rounded(_own(spec, channels, tiles * width, columns, width) + 2 * run[0])
    numbers = (
        group.start, len(group), *lattice, int(new), 1, channels, len(part),
        *job.size, *job.result, *job.source, *job.target,
        k, c, r, s, offset, *run, spec.taps * channels, channels, channels,
        1, sums, sums, 1, *job.window,
        -job.origin[0], -job.origin[1], span(columns, spec.outputs, spec.taps), padded,
        padded_channels, tiles, shared, private, gradients, products, rows, part.start,
    )  # fmt: skip
    return Step(spec, numbers, guards=True), 4 * (shared + threads * private)
