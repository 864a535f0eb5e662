"""What the plans of depthwise convolutions and of their weight gradients choose alike."""

from faltung.compiler.algorithms.depthwise_sums import UNROLLED_TAPS
from faltung.compiler.problem import KINDS, Problem, layout
from faltung.compiler.target import Target

NAME = "depthwise"
LINE = 64  # bytes that memory moves at once
LARGE = 16  # rows and columns from which on the border of an image is small
SHARE = 4  # the part of the second cache, one in so many, that a panel may fill


def near(problem: Problem, target: Target, number: int) -> str:
    """Return along what a tensor is read: "channels", "rows" or neither ("any")."""
    strides = problem.strides[number]
    if strides[3] == 1 and problem.channels < target.lanes:
        return "rows"
    return layout(strides)


def direct(problem: Problem, target: Target, sizes: tuple[int, int]) -> bool:
    """Say whether vectors over channels are best read from the image itself.

    That saves a copy where windows are small, and costs time at the border of the image.
    """
    taps = problem.window[0] * problem.window[1]
    return (
        problem.kind == "f32"
        and problem.channels % target.lanes == 0
        and taps <= UNROLLED_TAPS
        and min(sizes) >= LARGE
        and problem.channels * (taps + 1) * 4 <= target.l2 // SHARE
    )


def panels(problem: Problem, target: Target) -> tuple[int, int]:
    """Return how many vectors of channels a panel holds, and how many panels there are."""
    wanted = max(LINE // (target.lanes * KINDS[problem.kind]), 1)
    vectors = min(wanted, -(-problem.channels // target.lanes))
    return vectors, -(-problem.channels // (vectors * target.lanes))


def seconds(problem: Problem, target: Target, threads: int) -> float:
    """Return about how long a problem takes: half the arithmetic a CPU can do, and its memory."""
    return (problem.macs / (target.lanes * 3e9) + problem.bytes / 1e10) / threads
