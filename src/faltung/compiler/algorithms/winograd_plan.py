"""Winograd's convolution: which problems, in which groups of tile rows."""

import math
from dataclasses import replace

from faltung.compiler.algorithms import winograd_kernels
from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.effort import HERTZ
from faltung.compiler.algorithms.tile import shape
from faltung.compiler.algorithms.undilated import apart
from faltung.compiler.algorithms.winograd import Inputs, Spec
from faltung.compiler.algorithms.winograd_groups import LARGE, chained, grid, groups, span, unfit
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Pair, Problem, layout
from faltung.compiler.target import NO_TILES, Target

NAME = "winograd"
GROUP = 7 * 2**18  # bytes of transformed tiles that one call holds, or
ENOUGH = 42  # tiles at least: weights are read again for each call
FEW = 2 * 2**20  # bytes of transformed weights that every block of tiles may stream
LEAST = 24  # tiles of a block at least, for which they stream
UNEVEN = 8  # rows of tiles a thread at least where shares differ by one
REST = 1.25  # times what the products take at the peak
MANY = 48  # channels from which tiles of 4 x 4 outputs have less than twice torch's error
POOLED = {"max": ("", "relu", "relu6"), "avg": ("",)}  # with which activations


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem."""
    if problem.operation != "conv" or problem.direction == "weight":
        return "it makes outputs or input gradients of convolutions"
    if problem.pool and (problem.summand or problem.activation not in POOLED[problem.pool]):
        return "it pools before the activation, which is the same for maxima of relu and relu6 only"
    if problem.pool and target.tiles not in NO_TILES:
        return "a matrix unit, and a pool of its own after it, are expected to be faster"
    jobs, untouched = apart(problem)
    if untouched:
        return "it writes elements that a window touches, and here are others"
    reason = unfit(problem, jobs, target)
    if reason is None and problem.pool and (len(jobs) > 1 or _side(problem, jobs[0]) % 2):
        return "it pools tiles of an even number of neighbouring outputs"
    return reason


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    threads = min(threads, FLAGS // 2)
    jobs, _ = apart(problem)
    channels, outputs = problem.read_and_made
    side, taps = _side(problem, jobs[0]), jobs[0].window[0]
    tile = shape(target, -(-outputs // target.lanes))
    transform = winograd_kernels.Transform(problem.kind, side, taps, tile[1] * target.lanes)
    kernels = list(dict.fromkeys(job.weights[1:] for job in jobs))
    kept, room = winograd_kernels.preparation(transform, channels, outputs, kernels, threads)
    block = 4 * (side + taps - 1) ** 2 * channels * LEAST  # bytes
    spec = Spec(
        layout(jobs[0].source[:4]), layout(jobs[0].target[:4]), problem.kind, problem.bias,
        problem.summand, problem.activation, problem.pool, side, taps,
        kept.size <= FEW and block <= _held(target) and _even(problem, jobs, side, threads),
        _block(problem, side), tile,
    )  # fmt: skip
    inputs = Inputs(spec.source, spec.kind, spec.outputs, spec.taps)
    steps: list[Step] = []
    calls, tiles, without = 0, 0, 0
    for job in jobs:
        rows, columns = lattice = grid(job, side)
        at = kernels.index(job.weights[1:]) * (kept.size // len(kernels) // 4)
        every = problem.images * rows
        most = max(GROUP // (4 * spec.size**2 * columns * channels), -(-ENOUGH // columns))
        for group in groups(every, every if spec.apart else most):
            step, *own = _step(job, spec, target, threads, channels, outputs, group, lattice, at)
            steps += [step] if spec.apart else [replace(step, spec=inputs), step]
            calls += 1
            room, without = max(room, own[0]), max(without, own[1])
        tiles += every * columns
    kept = replace(kept, optional=not spec.apart, without=without)
    words = (
        f"F({side}x{side}, {taps}x{taps}), {spec.tile[0]} tiles x {spec.tile[1] * target.lanes} "
        f"channels in registers, {calls} groups of tiles in {len(jobs)} parts"
        f"{', each thread for itself' if spec.apart else ''}"
    )
    products = tiles * spec.size**2 * channels * outputs
    cost = REST * products / (2 * target.lanes) / threads / HERTZ
    return [Plan(NAME, words, tuple(steps), room, threads, cost, kept)]


def _side(problem: Problem, job: Correlation) -> int:
    """Return m, the outputs of a tile along one axis.

    Torch sums outputs of larger images in one chain, and tiles of 4 keep within twice its error;
    its sums of input gradients are shorter, but for those that are `chained`.
    """
    if job.window[0] != 3:
        return {2: 3, 5: 2}[job.window[0]]
    forward = problem.direction == "forward" and problem.dilation == (1, 1)
    long = (forward and problem.channels >= MANY) or chained(problem)
    large = long and math.prod(job.result) >= LARGE
    return 4 if large or problem.precision != "highest" else 2


def _block(problem: Problem, side: int) -> int:
    """Return how many products are summed before they join others; 0 for all.

    Long chains would have more than twice torch's error, but for outputs of small tiles. Large
    tiles of input gradients are nearest to it.
    """
    forward = problem.direction == "forward"
    if problem.precision != "highest" or (forward and side != 4):
        return 0
    channels, _ = problem.read_and_made
    channels //= 2 if side == 4 and not forward else 1
    return 16 if side == 4 and channels < 64 else 32 if channels < 128 else 64


def _even(problem: Problem, jobs: list[Correlation], side: int, threads: int) -> bool:
    """Say whether threads that transform tiles of their own would have the same to do."""
    rows = [problem.images * grid(job, side)[0] for job in jobs]
    return all(n % threads == 0 or n >= UNEVEN * threads for n in rows)


def _held(target: Target) -> int:
    """Return the bytes of transformed tiles that a thread holds in its second cache."""
    return target.l2 * 3 // 4


def _work(
    spec: Spec, target: Target, threads: int, units: int, columns: int, channels: int, tiles: int
) -> tuple[int, int, int]:
    """Return the rows of tiles of a task, of a block of it, and the tiles that are held at once.

    Those are odd: elements a power of two apart would fall into the same few lines of a cache.
    """
    height, width = spec.tile[0], spec.tile[1] * target.lanes
    if spec.apart:
        task = -(-units // threads)
        limit = max(1, min(task, _held(target) // (4 * spec.size**2 * columns * channels)))
        block = min(range(1, limit + 1), key=lambda n: (-n * columns % height / n, n))
        return task, block, -(-block * columns // height) * height | 1
    chunks = 1 if tiles % threads == 0 or tiles >= 4 * threads else min(units, threads)
    task = -(-units // chunks)
    block = max(1, min(task, target.l2 // 4 // (4 * spec.size**2 * columns * width)))
    return task, block, (units * columns + height) | 1  # blocks begin anywhere


def _step(
    job: Correlation,
    spec: Spec,
    target: Target,
    threads: int,
    channels: int,
    outputs: int,
    group: range,
    lattice: Pair,
    kept: int,
) -> tuple[Step, int, int]:
    """Return what makes a group of tile rows, and its bytes of workspace.

    The last number is what it takes more where weights were not transformed before.
    """
    width = spec.tile[1] * target.lanes
    size, units, columns = spec.size**2, len(group), lattice[1]
    panel_width = span(columns, spec.outputs, spec.taps)
    tiles = -(-outputs // width)
    task, block, padded = _work(spec, target, threads, units, columns, channels, tiles)
    lines, across = job.result
    shown = (lines // 2, across // 2) if spec.pool else job.result
    run = winograd_kernels.walk(channels, spec.taps, job.weights[2:5])
    products = (block * columns + spec.tile[0]) * size * width
    staged = columns * spec.outputs**2 * width + 2 * spec.outputs * across
    inputs = size * padded * channels
    shared, private = (FLAGS, inputs) if spec.apart else (FLAGS + inputs, 0)
    private += rounded(max(products + staged, spec.size * panel_width * channels))
    own = rounded(
        winograd_kernels.room(run[-1], spec.taps, width, run[0])
        + winograd_kernels.pitch(channels, width) * size
    )
    numbers = (
        group.start, units, *lattice, channels, outputs, *job.size, *shown,
        *job.source, *job.target, *job.weights[1:], *run, -job.origin[0], -job.origin[1],
        panel_width, padded, tiles, -(-units // task), task, block, shared, private, own, kept,
    )  # fmt: skip
    without = 0 if spec.apart else 4 * threads * own
    return Step(spec, numbers, guards=True), 4 * (shared + threads * private), without
