"""Gradient of 3x3 and 5x5 weights by Winograd's method: which problems, in which groups."""

from faltung.compiler.algorithms.correlation import turned
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.algorithms.winograd_input import FLAGS
from faltung.compiler.algorithms.winograd_plan import too_small
from faltung.compiler.algorithms.winograd_weight import Spec
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

NAME = "winograd weight gradient"
GROUP = 4 * 2**20  # bytes of transformed input and gradient that one call holds


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem."""
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights"
    if (
        problem.window not in {(3, 3), (5, 5)}
        or problem.stride != (1, 1)
        or problem.dilation != (1, 1)
    ):
        return "it is for 3x3 and 5x5 windows with stride 1 and dilation 1"
    if problem.window == (5, 5) and problem.precision == "highest":
        return "for gradients with 5x5 windows its error is up to 4 times the direct sum's"
    if problem.groups != 1:
        return "it treats all channels at once, and here are groups"
    return too_small(problem, problem.result, problem.channels, target)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
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
    images = max(1, min(problem.images, GROUP // (rows * row_bytes)))
    rows_in_group = rows if images > 1 else max(1, min(rows, GROUP // row_bytes))
    rows_in_group = -(-rows // -(-rows // rows_in_group))
    groups = [
        (image, min(images, problem.images - image), row, min(rows_in_group, rows - row))
        for image in range(0, problem.images, images)
        for row in range(0, rows, rows_in_group)
    ]
    padded = images * rows_in_group * columns
    found = [
        _step(problem, spec, target, threads, group, columns, padded, tiles, at, len(groups))
        for at, group in enumerate(groups)
    ]
    words = (
        f"F({spec.taps}x{spec.taps}, 2x2), {height} x {width} channels in registers, "
        f"{len(groups)} groups of {rows_in_group * images} rows of tiles"
    )
    products = problem.images * rows * columns * spec.size**2 * problem.channels * problem.outputs
    seconds = products * 1.25 / (2 * target.lanes) / threads / 3.2e9
    steps = tuple(step for step, _ in found)
    return [Plan(NAME, words, steps, found[0][1], threads, seconds, guarded=True)]


def _step(
    problem: Problem,
    spec: Spec,
    target: Target,
    threads: int,
    group: tuple[int, int, int, int],
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
    gradients = FLAGS + _rounded(spec.size**2 * padded * channels)
    padded_channels = -(-channels // spec.tile[0]) * spec.tile[0]
    products = gradients + _rounded(spec.size**2 * tiles * padded * width)
    shared = products + _rounded(spec.size**2 * tiles * (padded_channels + 1) * width)
    span = columns * spec.outputs + spec.taps - 1
    private = _rounded(
        max(spec.size * span * channels, 2 * span * tiles * width, sums + 2 * run[0])
    )
    top, _, left, _ = problem.padding
    numbers = (
        *group, columns, int(at == 0), int(at == count - 1), 1, channels, problem.outputs,
        *problem.size, *problem.result, *problem.strides[0], 0, *problem.strides[1],
        k, c, r, s, offset, *run, spec.taps * channels, channels, channels,
        1, sums, sums, 1, *problem.window,
        top, left, span, padded, padded_channels, tiles, shared, private, gradients, products,
    )  # fmt: skip
    return Step(spec, numbers), 4 * (shared + threads * private)


def _rounded(elements: int) -> int:
    return -(-elements // 16) * 16
