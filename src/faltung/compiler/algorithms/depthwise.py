"""Depthwise convolution: every output channel sees one input channel.

There is nothing to share between channels, so these problems are bound by loads, not by
arithmetic: `depthwise_kernel` computes them, and their input gradient, from panels of one channel
or of a few vectors of channels; `depthwise_weight` computes the gradient of the weight. Any window,
stride, dilation, padding, layout and channel multiplier is taken.
"""

import math

from faltung.compiler.algorithms import depthwise_weight_plan
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.depthwise_axes import Axis, gathered, scattered
from faltung.compiler.algorithms.depthwise_choice import (
    BARE,
    NAME,
    OVER,
    ROWS,
    SHARE,
    TURNED,
    along,
    near,
    panels,
    seconds,
)
from faltung.compiler.algorithms.depthwise_kernel import Spec
from faltung.compiler.algorithms.depthwise_sums import UNROLLED_COLUMNS
from faltung.compiler.algorithms.finite import looking
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Pair, Problem
from faltung.compiler.target import Target

__all__ = ["NAME", "plans", "refuses"]

SERIAL = 400_000  # products below which one thread is faster than a team
FEW = 4  # columns of taps up to which other tiles are better than what the count of loads says
GROUP = 4  # images at most that go through the same channels before others have their turn
DIRECT = (4, 2)  # the tile where no panel is made: many rows, of which each is read seldom


def refuses(problem: Problem, target: Target) -> str | None:
    """Return the sentence that says why this algorithm does not take a problem, or None."""
    if problem.operation != "conv":
        return f"it takes convolutions, and this is operation {problem.operation!r}"
    if problem.groups != problem.channels:
        return (
            f"it takes one input channel a group, and here {problem.channels} channels lie in "
            f"{problem.groups} groups"
        )
    if problem.summand or problem.pool:
        return "it neither adds a tensor to what it makes nor pools it"
    each = problem.outputs // problem.channels
    if each >= 8 and problem.direction != "input":
        return f"{each} outputs of one channel fill vectors, which the dense algorithms keep full"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return candidates, the best first."""
    if refuses(problem, target) is not None:
        return []
    team = 1 if problem.macs < SERIAL else threads
    if problem.direction == "weight":
        return [depthwise_weight_plan.plan(problem, target, team)]
    return [_plan(problem, target, team)]


def _plan(problem: Problem, target: Target, threads: int) -> Plan:
    """Plan the convolution or its input gradient."""
    forward = problem.direction == "forward"
    source, sink = (problem.size, problem.result)[:: 1 if forward else -1]
    (rows, top), (columns, left) = (_axis(problem, axis) for axis in (0, 1))
    step = problem.stride if forward else (1, 1)
    multiplier = problem.outputs // problem.channels
    fan = (1, multiplier) if forward else (multiplier, 1)
    strides = [problem.strides[0], problem.strides[2]]

    lines, positions = -(-sink[0] // len(rows)), -(-sink[1] // len(columns))
    reach = [max(axis.reach for axis in axes) for axes in (rows, columns)]

    def span(axis: int, count: int) -> int:
        return (count - 1) * step[axis] + reach[axis]

    layouts = [near(problem, target, i) for i in (0, 2)]
    area = span(0, lines) * span(1, positions)
    way = along(problem, target, layouts, (lines, positions), area)
    over = way != ROWS
    vectors, units = _units(problem, target, threads, way, (lines, area))
    tile = _tile(target, over, (rows, columns), (lines, positions)) if way != BARE else DIRECT
    full = -(-positions // target.lanes)
    spec = Spec(
        rows, columns, step, problem.window, "channels" if over else "rows",
        (layouts[0] == "rows", layouts[1] == "rows"), fan, problem.kind, problem.bias,
        problem.activation, tile, 0 if over else (full - 1) % tile[1] + 1,
        way == BARE, way == TURNED,
    )  # fmt: skip
    unit, rests = (target.lanes, 1) if over else (1, step[1])
    segment = -(-span(1, positions if over else full * target.lanes) // rests) * unit

    def plane(blocks: int) -> int:
        return rounded(span(0, -(-lines // blocks)) * segment * rests)

    planes = 0 if spec.direct else vectors if over else fan[0]
    least = tile[0] + (1 if sink[0] % len(rows) else 0)
    blocks = 1
    while (
        not spec.turned
        and lines // (blocks + 1) >= least
        and (
            spec.direct
            or planes * plane(blocks) * 4 > target.l2 // SHARE
            or units * problem.images * blocks < 2 * threads
        )
    ):
        blocks += 1
    packed = spec.filters(target.lanes, vectors)
    private = packed + spec.stage(target.lanes) + planes * plane(blocks)
    if spec.turned:
        private += rounded(target.lanes * (math.prod(source) + math.prod(sink)))
        strides = [
            (*apart[:2], size[1] * target.lanes, target.lanes)
            for apart, size in zip(strides, (source, sink), strict=True)
        ]
    numbers = (
        problem.images, _group(problem.images, units, over), units, vectors,
        problem.channels, blocks, *source, *sink, *strides[0], *strides[1],
        problem.strides[1][0], *problem.strides[1][2:],
        top, left, segment * rests // unit, segment, plane(blocks), packed, private,
    )  # fmt: skip
    schedule = f"{way}, tile {tile[0]}x{tile[1]}, {blocks} blocks of rows"
    bordered = not (forward or spec.direct)
    steps = ((looking(problem),) if bordered else ()) + (Step(spec, numbers),)
    room = 4 * threads * private
    return Plan(NAME, schedule, steps, room, threads, seconds(problem, target, threads))


def _units(problem: Problem, target: Target, threads: int, way: str, sizes: Pair) -> Pair:
    """Return how many vectors of channels a unit of work has, and how many units there are.

    Args:
        problem: The problem.
        target: The CPU.
        threads: Threads.
        way: Along what vectors run; see `along`.
        sizes: Rows of a phase of the result, and positions of a panel of a whole plane.
    """
    lines, area = sizes
    whole = problem.channels // target.lanes
    if way == ROWS:
        return 1, problem.channels
    if way == TURNED:
        return 1, whole
    if way == OVER:
        return panels(problem, target, area)
    tasks = max(problem.images * (lines // DIRECT[0]), 1)
    vectors = -(-whole // min(whole, -(-2 * threads // tasks)))
    return vectors, -(-whole // vectors)


def _group(images: int, units: int, over: bool) -> int:
    """Return how many images go through a unit of channels before the next unit has its turn.

    Vectors of channels come from everywhere in an image: the next ones are better read soon, but
    their weights are packed again for each group.
    """
    few = over and units > 1
    return max(n for n in range(1, GROUP + 1) if images % n == 0) if few else max(images, 1)


def _axis(problem: Problem, number: int) -> tuple[tuple[Axis, ...], int]:
    """Return the taps of each phase of the result along an axis, and the padding of the source."""
    size, stride, dilation = (v[number] for v in (problem.window, problem.stride, problem.dilation))
    before = problem.padding[2 * number]
    if problem.direction == "forward":
        return (gathered(size, dilation, problem.flip),), before
    return scattered(size, stride, dilation, before, problem.flip)


def _tile(
    target: Target, over: bool, axes: tuple[tuple[Axis, ...], ...], sizes: tuple[int, int]
) -> tuple[int, int]:
    """Choose rows and vectors of the register tile: few products in vain, few loads a product.

    Args:
        target: The CPU.
        over: Vectors run over channels.
        axes: Taps of the phases along height and width.
        sizes: Rows and columns of a phase; the last phases may have one less.
    """
    lines, positions = (
        max(size - (1 if len(phases) > 1 else 0), 1)
        for size, phases in zip(sizes, axes, strict=True)
    )
    if not over:
        positions = -(-sizes[1] // target.lanes)
    widest = max(axis.count for axis in axes[1])
    most = target.registers // 2 if widest <= UNROLLED_COLUMNS else target.registers * 3 // 4
    largest = 8 if over or widest > FEW else 3
    best, least = (1, 1), float("inf")
    for y in range(1, min(2 if widest <= UNROLLED_COLUMNS else 4, lines) + 1):
        for x in range(1, min(most // y, positions, largest) + 1):
            cut = [x] * (positions // x) + ([positions % x] if positions % x and not over else [])
            cut += [x] if positions % x and over else []
            cost = -(-lines // y) * sum(max(x * y, x + y, 8) + 1 for x in cut)
            if cost < least or (cost == least and not (over and widest > FEW)):
                best, least = (y, x), cost
    return best
