"""Winograd's convolution: which problems, in which groups of tile rows."""

import math

from faltung.compiler.algorithms import winograd_kernels
from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.tile import shape
from faltung.compiler.algorithms.undilated import apart
from faltung.compiler.algorithms.winograd import Spec
from faltung.compiler.algorithms.winograd_groups import LARGE, Group, groups, seconds, unfit
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import NO_TILES, Target

NAME = "winograd"
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
    channels, outputs = problem.channels, problem.outputs
    if problem.direction == "input":
        channels, outputs = outputs, channels
    side, taps = _side(problem, jobs[0]), jobs[0].window[0]
    spec = Spec(
        layout(jobs[0].source[:4]), layout(jobs[0].target[:4]), problem.kind, problem.bias,
        problem.summand, problem.activation, problem.pool, side, taps, _block(problem, side),
        shape(target, -(-outputs // target.lanes)),
    )  # fmt: skip
    transform = winograd_kernels.Transform(problem.kind, side, taps, spec.tile[1] * target.lanes)
    kernels = list(dict.fromkeys(job.weights[1:] for job in jobs))
    kept, room = winograd_kernels.preparation(transform, channels, outputs, kernels, threads)
    steps, tiles = [], 0
    for job in jobs:
        rows, columns = (-(-n // side) for n in job.result)
        at = kernels.index(job.weights[1:]) * (kept.size // len(kernels) // 4)
        cut = groups(problem.images, rows, 4 * spec.size**2 * columns * channels)
        for group in cut:
            step, own = _step(job, spec, target, threads, channels, outputs, group, columns, at)
            steps.append(step)
            room = max(room, own)
        tiles += problem.images * rows * columns
    words = (
        f"F({side}x{side}, {taps}x{taps}), {spec.tile[0]} tiles x {spec.tile[1] * target.lanes} "
        f"channels in registers, {len(steps)} groups of tiles in {len(jobs)} parts"
    )
    cost = seconds(problem, tiles, spec.size**2, target, threads)
    return [Plan(NAME, words, tuple(steps), room, threads, cost, kept)]


def _side(problem: Problem, job: Correlation) -> int:
    """Return m, the outputs of a tile along one axis.

    Torch sums outputs of larger images in one chain, and tiles of 4 keep within twice its error;
    its sums of input gradients are shorter.
    """
    if job.window[0] != 3:
        return {2: 3, 5: 2}[job.window[0]]
    large = math.prod(job.result) >= LARGE and problem.channels >= MANY
    large = large and problem.direction == "forward" and problem.dilation == (1, 1)
    return 4 if large or problem.precision != "highest" else 2


def _block(problem: Problem, side: int) -> int:
    """Return how many products are summed before they join others; 0 for all.

    Long chains would have more than twice torch's error, but for outputs of small tiles.
    """
    forward = problem.direction == "forward"
    if problem.precision != "highest" or (forward and side != 4):
        return 0
    channels = problem.channels if forward else problem.outputs
    return 16 if side == 4 and channels < 64 else 32 if channels < 128 else 64


def _step(
    job: Correlation,
    spec: Spec,
    target: Target,
    threads: int,
    channels: int,
    outputs: int,
    group: Group,
    columns: int,
    kept: int,
) -> tuple[Step, int]:
    """Return the call for a group of images and tile rows, and its workspace in bytes."""
    height, vectors = spec.tile
    width = vectors * target.lanes
    size = spec.size**2
    units = group.images * group.rows
    count = units * columns
    padded = -(-count // height) * height + height
    panel_width = columns * spec.outputs + spec.taps - 1
    tiles = -(-outputs // width)
    chunks = 1 if tiles % threads == 0 or tiles >= 4 * threads else min(units, threads)
    in_chunk = -(-units // chunks)
    in_block = max(1, min(in_chunk, target.l2 // 4 // (4 * size * columns * width)))
    most = in_block * columns + height
    lines, across = job.result
    shown = (lines // 2, across // 2) if spec.pool else job.result
    run = winograd_kernels.walk(channels, spec.taps, job.weights[2:5])
    longest = max(run[0], spec.outputs * job.result[1])
    multiply = (
        winograd_kernels.room(run[-1], spec.taps, width, longest)
        + winograd_kernels.pitch(channels, width) * size
        + most * (size + spec.outputs**2) * width
    )
    private = rounded(max(multiply, spec.size * panel_width * channels))
    shared = rounded(FLAGS + size * padded * channels)
    numbers = (
        *group.numbers, columns, channels, outputs, *job.size, *shown,
        *job.source, *job.target, *job.weights[1:], *run, -job.origin[0], -job.origin[1],
        panel_width, padded, tiles, -(-units // in_chunk), in_chunk, in_block, shared, private,
        kept,
    )  # fmt: skip
    return Step(spec, numbers, guards=True), 4 * (shared + threads * private)
