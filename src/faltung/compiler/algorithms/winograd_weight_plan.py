"""Gradient of 3x3 and 5x5 weights by Winograd's method: which problems, in which groups."""

from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import turned
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.algorithms.winograd_groups import Group, groups, seconds, unfit
from faltung.compiler.algorithms.winograd_input import FLAGS
from faltung.compiler.algorithms.winograd_weight import Spec
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

NAME = "winograd weight gradient"


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem."""
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights"
    return unfit(problem, problem.result, problem.channels, target)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    threads = min(threads, FLAGS // 2)
    vectors = min(2, -(-problem.outputs // target.lanes)) if target.registers < 32 else 4
    height = 6
    spec = Spec(
        layout(problem.strides[0]), layout(problem.strides[1]), problem.kind, problem.bias,
        problem.window[0], (height, vectors),
    )  # fmt: skip
    width = vectors * target.lanes
    rows, columns = (-(-n // spec.outputs) for n in problem.result)
    tiles = -(-problem.outputs // width)
    row_bytes = 4 * spec.size**2 * columns * (problem.channels + tiles * width)
    cut = groups(problem.images, rows, row_bytes)
    padded = cut[0].images * cut[0].rows * columns
    found = [
        _step(problem, spec, target, threads, group, columns, padded, tiles, at, len(cut))
        for at, group in enumerate(cut)
    ]
    words = (
        f"F({spec.taps}x{spec.taps}, 2x2), {height} x {width} channels in registers, "
        f"{len(cut)} groups of {cut[0].rows * cut[0].images} rows of tiles"
    )
    cost = seconds(problem, problem.images * rows * columns, spec.size**2, target, threads)
    steps = tuple(step for step, _ in found)
    return [Plan(NAME, words, steps, found[0][1], threads, cost)]


def _step(
    problem: Problem,
    spec: Spec,
    target: Target,
    threads: int,
    group: Group,
    columns: int,
    padded: int,
    tiles: int,
    at: int,
    count: int,
) -> tuple[Step, int]:
    """Return the call for a group of images and tile rows, and its workspace in bytes."""
    k, c, r, s = problem.strides[2]
    offset, r, s = turned(problem, r, s)
    channels, width = problem.channels, spec.tile[1] * target.lanes
    run = gathered(channels, problem.window, (c, r, s), target.lanes)
    sums = spec.taps**2 * channels * width
    gradients = FLAGS + rounded(spec.size**2 * padded * channels)
    padded_channels = -(-channels // spec.tile[0]) * spec.tile[0]
    products = gradients + rounded(spec.size**2 * tiles * padded * width)
    shared = products + rounded(spec.size**2 * tiles * (padded_channels + 1) * width)
    span = columns * spec.outputs + spec.taps - 1
    private = rounded(max(spec.size * span * channels, 2 * span * tiles * width, sums + 2 * run[0]))
    top, _, left, _ = problem.padding
    numbers = (
        *group.numbers, columns, int(at == 0), int(at == count - 1), 1, channels, problem.outputs,
        *problem.size, *problem.result, *problem.strides[0], 0, *problem.strides[1],
        k, c, r, s, offset, *run, spec.taps * channels, channels, channels,
        1, sums, sums, 1, *problem.window,
        top, left, span, padded, padded_channels, tiles, shared, private, gradients, products,
    )  # fmt: skip
    return Step(spec, numbers, guards=True), 4 * (shared + threads * private)
