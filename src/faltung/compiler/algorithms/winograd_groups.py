"""What the plans of Winograd's algorithms share: which problems pay, and groups of tile rows."""

import math
from collections.abc import Sequence

from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.problem import Pair, Problem, dense_strides
from faltung.compiler.target import Target

WINDOWS = {(2, 2), (3, 3), (5, 5)}
CHANNELS = 32  # fewer channels on either side, and the transforms cost more than they save
PIXELS = 49  # fewer outputs an image, and too many tiles hang over its edge
SHORTEST = 2900  # pixels at least that a gradient of 5x5 weights sums
FLAT = 6, 10  # rows of outputs at least that a gradient of weights sums, and where they are
WIDE = 64  # as long
LEAST = 98  # pixels at least that a gradient of weights sums: its sums go to memory and back
CHAIN = 64  # channels at least that an input gradient sums with tiles of 6 x 6 elements
LARGE = 784  # outputs of an image at least that tiles of 4 x 4 are for


def grid(job: Correlation, side: int) -> Pair:
    """Return the rows and columns of tiles of an image, of `side` results along each axis."""
    rows, columns = (-(-n // side) for n in job.result)
    return rows, columns


def span(columns: int, side: int, taps: int) -> int:
    """Return how many elements of a line of the image a row of tiles spans."""
    return columns * side + taps - 1


def groups(rows: int, most: int) -> list[range]:
    """Cut the rows of tiles of all images into groups of even size, the first the largest.

    Args:
        rows: How many there are, one image after the other.
        most: How many a group has at most.
    """
    size = -(-rows // -(-rows // most))
    return [range(first, min(first + size, rows)) for first in range(0, rows, size)]


def unfit(problem: Problem, parts: Sequence[Correlation], target: Target) -> str | None:
    """Return why Winograd's method does not take a convolution, or None.

    The rule knows neither threads nor images, where they could change the bits of a result.

    Args:
        problem: The problem.
        parts: The correlations that make it.
        target: The CPU.
    """
    windows = {part.window for part in parts}
    if (
        len(windows) > 1
        or not windows <= WINDOWS
        or any(part.stride != (1, 1) or part.dilation != (1, 1) for part in parts)
    ):
        return "it is for windows of 2x2, 3x3 and 5x5 with stride 1, or what is made of such"
    if problem.groups != 1:
        return "it treats all channels at once, and here are groups"
    return _too_small(problem, parts, target) or _too_wrong(problem, parts[0])


def _too_small(problem: Problem, parts: Sequence[Correlation], target: Target) -> str | None:
    if min(problem.channels, problem.outputs) < CHANNELS:
        return f"its transforms pay from {CHANNELS} channels on both sides"
    if min(math.prod(part.result) for part in parts) < PIXELS:
        which = "an image" if len(parts) == 1 else f"in each of {len(parts)} parts of an image"
        return f"its transforms pay from {PIXELS} outputs {which}"
    channels = problem.outputs if problem.direction == "input" else problem.channels
    if channels % target.lanes:
        return f"it takes {target.lanes} channels at a time, and {channels} is no multiple"
    pixels = problem.images * math.prod(problem.result)
    if problem.direction == "weight" and pixels < LEAST:
        return f"it pays for gradients of weights from {LEAST} pixels on, all images together"
    return None


def _too_wrong(problem: Problem, part: Correlation) -> str | None:
    """Return why its error would be more than twice torch's, or None.

    Forward, torch sums in one chain. Its input gradients are made of short chains (but see
    `chained`), its gradients of weights of one chain over all pixels. Numbers of which many are
    zero decide: they shorten a sum, but the transforms fill them up.
    """
    if problem.precision != "highest":
        return None
    if problem.dilation != (1, 1) and (part.window == (5, 5) or problem.direction == "weight"):
        return "torch sums such dilated windows in short chains, and its error is less than half"
    if problem.direction == "weight":
        return _too_wrong_weights(problem, part)
    if problem.direction != "input":
        return None
    if problem.window == (2, 2) or (problem.window == (5, 5) and not chained(problem)):
        return "for such input gradients its error is more than twice torch's"
    return None


def _too_wrong_weights(problem: Problem, part: Correlation) -> str | None:
    rows, columns = problem.result
    least = FLAT[columns >= WIDE]
    if part.window[0] > 2 and rows < least:
        return f"torch sums images of less than {least} such rows in short chains"
    pixels = problem.images * math.prod(problem.result)
    if part.window == (5, 5) and pixels < SHORTEST:
        return f"for 5x5 weights its error is too large below {SHORTEST} pixels, here {pixels}"
    return None


def chained(problem: Problem) -> bool:
    """Say whether torch sums an input gradient in one chain that is long enough for large tiles.

    Where the weights are in channels_last, it computes in channels_last, whatever dy is; in short
    chains where the padding is not half the window.
    """
    (top, bottom, left, right), half = problem.padding, [size // 2 for size in problem.window]
    last = dense_strides(problem.channels // problem.groups, problem.window, channels_last=True)
    return (
        problem.direction == "input"
        and problem.stride == problem.dilation == (1, 1)
        and [top, left] == [bottom, right] == half
        and problem.strides[1] == last
        and problem.outputs >= CHAIN
    )
