"""What the plans of Winograd's algorithms share: which problems pay, and groups of tile rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

WINDOWS = {(2, 2), (3, 3), (5, 5)}
CHANNELS = 32  # fewer channels on either side, and the transforms cost more than they save
PIXELS = 49  # fewer outputs an image, and too many tiles hang over its edge
SHORTEST = 2900  # pixels at least that a gradient of 5x5 weights sums
LEAST = 98  # pixels at least that a gradient of weights sums: its sums go to memory and back
LARGE = 784  # outputs of an image at least that tiles of 4 x 4 are for
GROUP = 4 * 2**20  # bytes of transformed tensors that one call holds


@dataclass(frozen=True)
class Group:
    """The tile rows that one call treats: the same rows of neighbouring images.

    Attributes:
        image: The first image.
        images: How many.
        row: The first row of tiles.
        rows: How many.
    """

    image: int
    images: int
    row: int
    rows: int

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """The group as it stands at the beginning of a kernel's numbers."""
        return self.image, self.images, self.row, self.rows


def groups(images: int, rows: int, row_bytes: int) -> list[Group]:
    """Cut images of `rows` rows of tiles, of so many bytes each, into groups; the first is largest.

    A group holds whole images where several fit, else rows of one image.
    """
    together = max(1, min(images, GROUP // (rows * row_bytes)))
    most = rows if together > 1 else max(1, min(rows, GROUP // row_bytes))
    most = -(-rows // -(-rows // most))
    return [
        Group(image, min(together, images - image), row, min(most, rows - row))
        for image in range(0, images, together)
        for row in range(0, rows, most)
    ]


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

    Forward, torch sums in one chain. Its input gradients are made of short chains, its gradients of
    weights of one chain over all pixels. Numbers of which many are zero decide: they shorten a sum,
    but the transforms fill them up.
    """
    if problem.precision != "highest":
        return None
    if problem.dilation != (1, 1) and (part.window == (5, 5) or problem.direction == "weight"):
        return "torch sums such dilated windows in short chains, and its error is less than half"
    if part.window != (5, 5) or problem.direction == "forward":
        return None
    if problem.direction == "input":
        return "for input gradients with 5x5 windows its error is more than twice torch's"
    pixels = problem.images * math.prod(problem.result)
    if pixels < SHORTEST:
        return f"for 5x5 weights its error is too large below {SHORTEST} pixels, here {pixels}"
    return None


def seconds(problem: Problem, tiles: int, size: int, target: Target, threads: int) -> float:
    """Return the expected time: `size` products a tile, and a quarter for the rest."""
    products = tiles * size * problem.channels * problem.outputs
    return products * 1.25 / (2 * target.lanes) / threads / 3.2e9
