"""Winograd's convolution: which problems, in which groups of tile rows."""

import math

from faltung.compiler.algorithms.correlation import Correlation, correlations
from faltung.compiler.algorithms.runs import run_of
from faltung.compiler.algorithms.tile import shape
from faltung.compiler.algorithms.winograd import Spec
from faltung.compiler.algorithms.winograd_input import FLAGS
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Pair, Problem, layout
from faltung.compiler.target import Target

NAME = "winograd"
CHANNELS = 32  # fewer channels on either side, and the transforms cost more than they save
PIXELS = 100  # fewer outputs an image, and too many tiles hang over its edge
GROUP = 4 * 2**20  # bytes of transformed input that one call holds


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem.

    The rule knows neither threads nor images: they must not change the bits of a result.
    """
    if problem.operation != "conv" or problem.direction == "weight":
        return "it makes outputs or input gradients of convolutions"
    if (
        problem.window not in {(3, 3), (5, 5)}
        or problem.stride != (1, 1)
        or problem.dilation != (1, 1)
    ):
        return "it is for 3x3 and 5x5 windows with stride 1 and dilation 1"
    if problem.direction == "input" and problem.window == (5, 5) and problem.precision == "highest":
        return "for gradients with 5x5 windows its error is up to 4 times the direct sum's"
    if problem.groups != 1:
        return "it treats all channels at once, and here are groups"
    if problem.direction == "forward":
        return too_small(problem, problem.result, problem.channels, target)
    return too_small(problem, problem.size, problem.outputs, target)


def too_small(problem: Problem, cells: Pair, channels: int, target: Target) -> str | None:
    """Return why transforms do not pay, judging by cells of an image and channels transformed."""
    if min(problem.channels, problem.outputs) < CHANNELS:
        return f"its transforms pay from {CHANNELS} channels on both sides"
    if math.prod(cells) < PIXELS:
        return f"its transforms pay from {PIXELS} outputs an image"
    if channels % target.lanes:
        return f"it takes {target.lanes} channels at a time, and {channels} is no multiple"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    job = correlations(problem)[0][0]
    channels, outputs = problem.channels, problem.outputs
    if problem.direction == "input":
        channels, outputs = outputs, channels
    taps = problem.window[0]
    side = 4 if problem.precision == "high" and taps == 3 else 2
    spec = Spec(
        layout(job.source[:4]), layout(job.target[:4]), problem.kind, problem.bias,
        problem.activation, side, taps, shape(target, -(-outputs // target.lanes)),
    )  # fmt: skip
    size = spec.size**2
    rows, columns = (-(-n // side) for n in job.result)
    row_bytes = 4 * size * columns * channels
    images = max(1, min(problem.images, GROUP // (rows * row_bytes)))
    rows_in_group = rows if images > 1 else max(1, min(rows, GROUP // row_bytes))
    rows_in_group = -(-rows // -(-rows // rows_in_group))

    steps, workspace = [], 0
    for image in range(0, problem.images, images):
        for row in range(0, rows, rows_in_group):
            step, room = _step(
                problem, job, spec, target, threads, channels, outputs,
                (image, min(images, problem.images - image)), (row, min(rows_in_group, rows - row)),
                columns,
            )  # fmt: skip
            steps.append(step)
            workspace = max(workspace, room)
    words = (
        f"F({side}x{side}, {taps}x{taps}), {spec.tile[0]} tiles x {spec.tile[1] * target.lanes} "
        f"channels in registers, {len(steps)} groups of {rows_in_group * images} rows of tiles"
    )
    products = problem.images * rows * columns * size * channels * outputs
    seconds = products * 1.25 / (2 * target.lanes) / threads / 3.2e9
    return [Plan(NAME, words, tuple(steps), workspace, threads, seconds, guarded=True)]


def _step(
    problem: Problem,
    job: Correlation,
    spec: Spec,
    target: Target,
    threads: int,
    channels: int,
    outputs: int,
    images: tuple[int, int],
    rows: tuple[int, int],
    columns: int,
) -> tuple[Step, int]:
    """Return the call for a group of images and tile rows, and its workspace in bytes."""
    height, vectors = spec.tile
    width = vectors * target.lanes
    size = spec.size**2
    units = images[1] * rows[1]
    count = units * columns
    padded = -(-count // height) * height + height
    panel_width = columns * spec.outputs + spec.taps - 1
    tiles = -(-outputs // width)
    chunks = 1 if tiles % threads == 0 or tiles >= 4 * threads else min(units, threads)
    in_chunk = -(-units // chunks)
    in_block = max(1, min(in_chunk, target.l2 // 4 // (4 * size * columns * width)))
    most = in_block * columns + height
    run = run_of(channels, problem.window, *job.weights[2:5])
    table = 2 * max(run[0], spec.outputs * job.result[1])
    multiply = (
        channels * (spec.taps**2 + size) * width + most * (size + spec.outputs**2) * width + table
    )
    private = -(-max(multiply, spec.size * panel_width * channels) // 16) * 16
    shared = -(-(FLAGS + size * padded * channels) // 16) * 16
    numbers = (
        *images, *rows, columns, channels, outputs, *job.size, *job.result,
        *job.source, *job.target, *job.weights[1:], *run, -job.origin[0], -job.origin[1],
        panel_width, padded, tiles, -(-units // in_chunk), in_chunk, in_block, shared, private,
    )  # fmt: skip
    return Step(spec, numbers), 4 * (shared + threads * private)
