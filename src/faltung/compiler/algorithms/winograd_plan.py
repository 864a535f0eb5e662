"""Winograd's convolution: which problems, in which groups of tile rows."""

from faltung.compiler.algorithms import winograd_kernels
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import Correlation, correlations
from faltung.compiler.algorithms.tile import shape
from faltung.compiler.algorithms.winograd import Spec
from faltung.compiler.algorithms.winograd_groups import Group, groups, seconds, unfit
from faltung.compiler.algorithms.winograd_input import FLAGS
from faltung.compiler.plan import Plan, Preparation, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import NO_TILES, Target

NAME = "winograd"
POOLED = {"max": ("", "relu", "relu6"), "avg": ("",)}  # with which activations


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem."""
    if problem.operation != "conv" or problem.direction == "weight":
        return "it makes outputs or input gradients of convolutions"
    if problem.pool and (problem.summand or problem.activation not in POOLED[problem.pool]):
        return "it pools before the activation, which is the same for maxima of relu and relu6 only"
    if problem.pool and target.tiles not in NO_TILES:
        return "a matrix unit, and a pool of its own after it, are expected to be faster"
    if problem.direction == "forward":
        return unfit(problem, problem.result, problem.channels, target)
    return unfit(problem, problem.size, problem.outputs, target)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    threads = min(threads, FLAGS // 2)
    job = correlations(problem)[0][0]
    channels, outputs = problem.channels, problem.outputs
    if problem.direction == "input":
        channels, outputs = outputs, channels
    taps = problem.window[0]
    side = 4 if problem.precision != "highest" and taps == 3 else 2
    spec = Spec(
        layout(job.source[:4]), layout(job.target[:4]), problem.kind, problem.bias, problem.summand,
        problem.activation, problem.pool, side, taps,
        _block(problem, taps), shape(target, -(-outputs // target.lanes)),
    )  # fmt: skip
    size = spec.size**2
    rows, columns = (-(-n // side) for n in job.result)
    cut = groups(problem.images, rows, 4 * size * columns * channels)
    found = [
        _step(problem, job, spec, target, threads, channels, outputs, group, columns)
        for group in cut
    ]
    words = (
        f"F({side}x{side}, {taps}x{taps}), {spec.tile[0]} tiles x {spec.tile[1] * target.lanes} "
        f"channels in registers, {len(cut)} groups of {cut[0].rows * cut[0].images} rows of tiles"
    )
    steps, workspace = tuple(step for step, _ in found), max(room for _, room in found)
    transform = winograd_kernels.Transform(problem.kind, side, taps, spec.tile[1] * target.lanes)
    first, made, own = winograd_kernels.step(transform, channels, outputs, job.weights[1:], threads)
    kept = Preparation(made, (first,), optional=True, pays=True)
    cost = seconds(problem, problem.images * rows * columns, size, target, threads)
    return [Plan(NAME, words, steps, max(workspace, own), threads, cost, kept)]


def _block(problem: Problem, taps: int) -> int:
    """Return how many products are summed before they join others; 0 for all.

    Torch's own error is smaller in input gradients, whose sums it keeps short, than in outputs.
    """
    if problem.direction == "forward" or problem.precision != "highest":
        return 0
    return 16 if taps == 5 else 32 if problem.outputs <= 64 else 64


def _step(
    problem: Problem,
    job: Correlation,
    spec: Spec,
    target: Target,
    threads: int,
    channels: int,
    outputs: int,
    group: Group,
    columns: int,
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
    shown = (lines // 2, across // 2) if problem.pool else job.result
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
    )  # fmt: skip
    return Step(spec, numbers, guards=True), 4 * (shared + threads * private)
