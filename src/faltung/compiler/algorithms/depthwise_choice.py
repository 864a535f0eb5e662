"""What the plans of depthwise convolutions and of their weight gradients choose alike."""

import math

from faltung.compiler.algorithms.depthwise_sums import UNROLLED_TAPS
from faltung.compiler.problem import KINDS, Pair, Problem, layout
from faltung.compiler.target import Target

NAME = "depthwise"
ROWS, OVER, BARE, TURNED = "along rows", "over channels", "no panel", "planes turned"
LINE = 64  # bytes that memory moves at once
LARGE = 16  # rows and columns from which on the border of an image is small
SMALL = 7  # as many at least, where a stride lets an element be read seldom
SELDOM = 4  # times
SHORT = 14  # columns up to which vectors along rows are slow, and twice that for large windows
SHARE = 4  # the part of the second cache, one in so many, that a panel may fill


def near(problem: Problem, target: Target, number: int) -> str:
    """Return along what a tensor is read: "channels", "rows" or neither ("any")."""
    strides = problem.strides[number]
    if strides[3] == 1 and problem.channels < target.lanes:
        return "rows"
    return layout(strides)


def along(
    problem: Problem, target: Target, layouts: list[str], sizes: Pair, area: int | None = None
) -> str:
    """Return along what vectors run and where they read, as `faltung why` says it.

    The rule knows neither threads nor images: columns of a strided window are summed in another
    order along rows.

    Args:
        problem: The problem.
        target: The CPU.
        layouts: How the tensors that are read and swept lie; see `near`.
        sizes: Rows and columns that are swept, of one phase.
        area: Positions of a panel of a whole plane; None where planes are not turned.
    """
    if layouts == ["channels", "channels"] and problem.channels == problem.outputs:
        return BARE if _direct(problem, target, sizes) else OVER
    return TURNED if area is not None and _turned(problem, target, area) else ROWS


def _direct(problem: Problem, target: Target, sizes: Pair) -> bool:
    """Say whether vectors over channels are best read from the image itself.

    That saves a copy where windows are small, which pays most where a stride leaves an element to
    few of them; and it costs time at the border of the image.
    """
    taps = math.prod(problem.window)
    apart = math.prod(problem.stride) if problem.direction == "forward" else 1
    seldom = apart > 1 and taps < SELDOM * apart
    return (
        problem.kind == "f32"
        and problem.channels % target.lanes == 0
        and taps <= UNROLLED_TAPS
        and min(sizes) >= (SMALL if seldom else LARGE)
        and problem.channels * (taps + 1) * 4 <= target.l2 // SHARE
    )


def _turned(problem: Problem, target: Target, area: int) -> bool:
    """Say whether planes of NCHW are best turned to vectors over channels, and back.

    That pays where rows are short.
    """
    taps, sizes = math.prod(problem.window), (problem.size, problem.result)
    tensors = sizes if problem.direction == "forward" else sizes[::-1]
    areas = [math.prod(size) for size in sizes]
    return (
        [problem.strides[i][2:] for i in (0, 2)] == [(size[1], 1) for size in tensors]
        and problem.channels == problem.outputs
        and problem.channels % target.lanes == 0
        and min(areas) >= target.lanes
        and min(size[1] for size in sizes) <= (SHORT if taps <= UNROLLED_TAPS else 2 * SHORT)
        and 4 * target.lanes * (area + sum(areas)) <= target.l2 // SHARE
    )


def panels(problem: Problem, target: Target) -> tuple[int, int]:
    """Return how many vectors of channels a panel holds, and how many panels there are."""
    wanted = max(LINE // (target.lanes * KINDS[problem.kind]), 1)
    vectors = min(wanted, -(-problem.channels // target.lanes))
    return vectors, -(-problem.channels // (vectors * target.lanes))


def seconds(problem: Problem, target: Target, threads: int) -> float:
    """Return about how long a problem takes: half the arithmetic a CPU can do, and its memory."""
    return (problem.macs / (target.lanes * 3e9) + problem.bytes / 1e10) / threads
