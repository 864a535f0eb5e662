"""How the weight gradient of a depthwise convolution is cut."""

import itertools
import math

from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.depthwise_choice import (
    BARE,
    LINE,
    NAME,
    ROWS,
    SHARE,
    along,
    near,
    panels,
    seconds,
)
from faltung.compiler.algorithms.depthwise_weight import MASK, Spec
from faltung.compiler.algorithms.depthwise_weight_direct import TILE
from faltung.compiler.algorithms.depthwise_weight_tiles import spans
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Pair, Problem
from faltung.compiler.target import Target

Triple = tuple[int, int, int]

CHAIN = 128  # products that are added one after the other, in blocks of few rows
SPAN = 32  # vectors of a row at least, where there are as many, that are summed at once
VECTORS = 1024  # vectors of dy in a block, where it is more than a row; pixels of a part at least
TASKS = 32  # parts that the sums are cut into, where there are so many blocks of rows
PARTS = 256  # parts at most
LATENCY = 4  # cycles until a sum can be added to again


def plan(problem: Problem, target: Target, threads: int) -> Plan:
    """Return the plan for a weight gradient."""
    lanes = target.lanes
    layouts = [near(problem, target, i) for i in (0, 1)]
    multiplier = problem.outputs // problem.channels
    tile = _tile(problem.window, multiplier, target)
    way = along(problem, target, layouts, problem.result)
    over, bare = way != ROWS, way == BARE
    if bare:
        vectors, units = problem.channels // lanes, 1
        pixels = problem.images * math.prod(problem.result)
        parts = min(max(TASKS, pixels // VECTORS), PARTS)
    else:
        vectors, units = panels(problem, target, _line(problem)) if over else (1, problem.channels)
        parts = -(-TASKS // units)
    given = way == ROWS and layouts[1] == "rows" and problem.kind == "f32"
    given = given and problem.result[1] >= lanes
    blocks, forms = _panels(problem, target, over, 0 if bare else vectors, tile[2])
    chunks = max(min(problem.images * blocks, parts), 1)
    spec = Spec(
        problem.window, problem.stride, problem.dilation, problem.flip,
        "channels" if over else "rows", (layouts[0] == "rows", layouts[1] == "rows"), multiplier,
        problem.kind, problem.bias, chunks > 1, tile, bare, given,
    )  # fmt: skip
    width, segment, plane, pitch, slope = forms
    span = max(CHAIN // -(-problem.result[0] // blocks), SPAN) * lanes
    sums = vectors * multiplier * spec.set_of_sums(lanes)
    private = rounded(
        sums + MASK + (0 if bare else vectors * (plane + (0 if given else tile[2] * slope)))
    )
    shared = rounded(chunks * units * sums) if chunks > 1 else 0
    numbers = (
        problem.images, units, vectors, problem.channels, blocks, chunks,
        *problem.size, *problem.result,
        *problem.strides[0], *problem.strides[1], problem.strides[2][0], *problem.strides[2][2:],
        problem.padding[0], problem.padding[2], width, segment, plane, pitch, slope, span,
        private, shared,
    )  # fmt: skip
    schedule = (
        f"{way}, tile of taps {tile[0]}x{tile[1]}"
        + f" of {tile[2]} outputs" * (tile[2] > 1)
        + f", {chunks} chunks"
    )
    return Plan(
        NAME, schedule, (Step(spec, numbers),), (shared + threads * private) * 4, threads,
        seconds(problem, target, threads),
    )  # fmt: skip


def _line(problem: Problem) -> int:
    """Return the positions of x that a row of dy meets."""
    high, wide = ((d * (n - 1) + 1) for d, n in zip(problem.dilation, problem.window, strict=True))
    return high * ((problem.result[1] - 1) * problem.stride[1] + wide)


def _panels(
    problem: Problem, target: Target, over: bool, vectors: int, outputs: int
) -> tuple[int, tuple[int, int, int, int, int]]:
    """Cut the rows of a weight gradient into blocks.

    Returns:
        The number of blocks; and columns, elements of a segment and of a plane of the panel of x,
        elements of a row and of a plane of that of dy.
    """
    lines, columns = problem.result
    down, aside = problem.stride
    reach = [d * (n - 1) + 1 for d, n in zip(problem.dilation, problem.window, strict=True)]
    positions = columns if over else -(-columns // target.lanes) * target.lanes
    unit, rests = (target.lanes, 1) if over else (1, aside)
    segment = -(-((positions - 1) * aside + reach[1]) // rests) * unit
    pitch = positions * unit

    def planes(blocks: int) -> tuple[int, int]:
        most = -(-lines // blocks)
        return rounded(((most - 1) * down + reach[0]) * segment * rests), rounded(most * pitch)

    def held(blocks: int) -> int:
        plane, slope = planes(blocks)
        return plane + outputs * slope

    blocks = 1
    while blocks < lines and (
        vectors * held(blocks) * 4 > target.l2 // SHARE
        or -(-lines // blocks) * (pitch // target.lanes) > VECTORS
    ):
        blocks += 1
    if not vectors:
        blocks = max(lines // TILE[0], 1)
    plane, slope = planes(blocks)
    return blocks, (segment * rests // unit, segment, plane, pitch, slope)


def _tile(window: Pair, multiplier: int, target: Target) -> tuple[int, int, int]:
    """Choose rows and columns of taps, and outputs of a channel, that take the fewest cycles.

    Their sums fit into the registers.
    """
    most = target.registers * 3 // 4
    tiles = [(*_taps(window, most // n), n) for n in range(1, min(multiplier, most) + 1)]
    return min(tiles, key=lambda tile: _cycles((*window, multiplier), tile, target))


def _taps(window: Pair, most: int) -> Pair:
    """Choose rows and columns of taps, up to so many."""
    wide = -(-window[1] // -(-window[1] // most))
    high = max(min(most // wide, window[0]), 1)
    return -(-window[0] // -(-window[0] // high)), wide


def _cycles(counts: Triple, tile: Triple, target: Target) -> float:
    """Return the cycles that one vector of the gradient takes, for all taps and outputs.

    There are two products and two loads a cycle; each sum waits for the one before it, and a load
    that two lines of memory hold counts twice, as those of x often are. A loop takes one more.
    """
    apart = 1 + 4 * target.lanes / LINE
    total = 0.0
    for cut in itertools.product(*map(spans, counts, tile)):
        (high, wide, outputs), numbers = (tuple(part[i] for part in cut) for i in (1, 2))
        taps = high * wide
        least = max(taps * outputs, taps * apart + outputs, 2 * LATENCY) / 2
        total += (least + 1) * math.prod(numbers)
    return total
