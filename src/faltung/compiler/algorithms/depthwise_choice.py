"""What the plans of depthwise convolutions and of their weight gradients choose alike."""

import math

from faltung.compiler.algorithms.depthwise_channels import RUNS
from faltung.compiler.algorithms.depthwise_sums import UNROLLED_TAPS
from faltung.compiler.problem import KINDS, Pair, Problem, layout
from faltung.compiler.target import Target

NAME = "depthwise"
ROWS, OVER, BARE, TURNED = "along rows", "over channels", "no panel", "planes turned"
LINE = 64  # bytes that memory moves at once
WIDE = 256  # bytes of a position that a panel takes up, where it stays small
EVEN = 16  # panels of all images at least, where there are so many lines: threads share them
SMALL = 7  # rows and columns from which on sums need no panel
LARGE = 16  # as many for weight gradients, which take longer at the border of an image
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

    That saves a copy where windows are small, and memory is read in order; it costs time at the
    border of the image.
    """
    taps = math.prod(problem.window)
    return (
        problem.kind == "f32"
        and problem.channels % target.lanes == 0
        and taps <= UNROLLED_TAPS
        and min(sizes) >= (LARGE if problem.direction == "weight" else SMALL)
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


def panels(problem: Problem, target: Target, area: int) -> Pair:
    """Return how many vectors of channels a panel holds, and how many panels there are.

    Memory is read the faster the more of a position is taken up at once, as long as the panel
    stays near; a line of memory at least.

    Args:
        problem: The problem.
        target: The CPU.
        area: Positions that a panel holds, whether its rows are cut or not.
    """
    vector = target.lanes * KINDS[problem.kind]
    line, whole = max(LINE // vector, 1), -(-problem.channels // target.lanes)
    fitting = target.l2 // SHARE // (4 * target.lanes * area)
    fair = whole * problem.images // EVEN
    most = max(min(WIDE // vector, fitting, fair), line)
    vectors = min(max(run for run in RUNS if run <= most), whole)
    return vectors, -(-whole // vectors)


def seconds(problem: Problem, target: Target, threads: int) -> float:
    """Return about how long a problem takes: half the arithmetic a CPU can do, and its memory."""
    return (problem.macs / (target.lanes * 3e9) + problem.bytes / 1e10) / threads
