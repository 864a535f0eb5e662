"""Gradient of 3x3 and 5x5 weights by Winograd's method: which problems, in which groups."""

from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.algorithms.undilated import apart
from faltung.compiler.algorithms.winograd_groups import Group, groups, seconds, unfit
from faltung.compiler.algorithms.winograd_input import FLAGS
from faltung.compiler.algorithms.winograd_weight import Spec
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Pair, Problem, layout
from faltung.compiler.target import Target

NAME = "winograd weight gradient"


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem."""
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights"
    jobs, _ = apart(problem)
    if jobs[0].window not in {(3, 3), (5, 5)}:
        return "it is for 3x3 and 5x5 windows"
    return unfit(problem, jobs, target)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    threads = min(threads, FLAGS // 2)
    jobs, _ = apart(problem)
    vectors = min(2, -(-problem.outputs // target.lanes)) if target.registers < 32 else 4
    height = 6
    spec = Spec(
        layout(jobs[0].source[:4]), layout(jobs[0].target[:4]), problem.kind, problem.bias,
        problem.window[0], (height, vectors),
    )  # fmt: skip
    width = vectors * target.lanes
    tiles = -(-problem.outputs // width)
    calls = []
    for job in jobs:
        rows, columns = (-(-n // spec.outputs) for n in job.result)
        row_bytes = 4 * spec.size**2 * columns * (problem.channels + tiles * width)
        calls += [(job, group, columns) for group in groups(problem.images, rows, row_bytes)]
    padded = max(group.images * group.rows * columns for _, group, columns in calls)
    found = [
        _step(problem, job, spec, target, threads, group, columns, padded, tiles, ends)
        for (job, group, columns), ends in zip(calls, _ends(len(calls)), strict=True)
    ]
    words = (
        f"F({spec.taps}x{spec.taps}, 2x2), {height} x {width} channels in registers, "
        f"{len(calls)} groups of tiles in {len(jobs)} parts"
    )
    count = sum(group.images * group.rows * columns for _, group, columns in calls)
    cost = seconds(problem, count, spec.size**2, target, threads)
    steps, room = tuple(step for step, _ in found), max(room for _, room in found)
    return [Plan(NAME, words, steps, room, threads, cost)]


def _ends(count: int) -> list[Pair]:
    """Return for each of so many calls whether it is the first, and whether it is the last."""
    return [(int(at == 0), int(at == count - 1)) for at in range(count)]


def _step(
    problem: Problem,
    job: Correlation,
    spec: Spec,
    target: Target,
    threads: int,
    group: Group,
    columns: int,
    padded: int,
    tiles: int,
    ends: Pair,
) -> tuple[Step, int]:
    """Return the call for a group of images and tile rows, and its workspace in bytes."""
    k, c, r, s, offset = job.weights[1:]
    channels, width = problem.channels, spec.tile[1] * target.lanes
    run = gathered(channels, problem.window, (c, r, s), target.lanes)
    sums = spec.taps**2 * channels * width
    gradients = FLAGS + rounded(spec.size**2 * padded * channels)
    padded_channels = -(-channels // spec.tile[0]) * spec.tile[0]
    products = gradients + rounded(spec.size**2 * tiles * padded * width)
    shared = products + rounded(spec.size**2 * tiles * (padded_channels + 1) * width)
    span = columns * spec.outputs + spec.taps - 1
    private = rounded(max(spec.size * span * channels, 2 * span * tiles * width, sums + 2 * run[0]))
    numbers = (
        *group.numbers, columns, *ends, 1, channels, problem.outputs,
        *job.size, *job.result, *job.source, *job.target,
        k, c, r, s, offset, *run, spec.taps * channels, channels, channels,
        1, sums, sums, 1, *problem.window,
        -job.origin[0], -job.origin[1], span, padded, padded_channels, tiles, shared, private,
        gradients, products,
    )  # fmt: skip
    return Step(spec, numbers, guards=True), 4 * (shared + threads * private)
