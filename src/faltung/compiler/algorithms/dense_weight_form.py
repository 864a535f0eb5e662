"""Gradient of dense weights: what lies in vectors, register tiles and strips."""

from dataclasses import dataclass

from faltung.compiler.algorithms.dense_blocks import woven_channels
from faltung.compiler.algorithms.dense_weight_sum import CHAIN
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

FIRST = 0.8  # of the first cache that the gradient of a tile takes at most
STRIPS = 32  # channels from which strips pay, though a tile then takes one column of taps alone
WOVEN = 12  # rows of a tile at most where small groups share a vector


@dataclass(frozen=True)
class Form:
    """How input and gradient meet.

    Attributes:
        groups: Groups of channels; vectors of them where small groups share a vector.
        channels: Input channels of a group, or of such a vector.
        whole: Input channels that an output meets.
        outputs: Outputs of a group, or of such a vector.
        vectors: Vectors of a register tile.
        width: Outputs of a register tile.
        tiles: Tiles of outputs.
        woven: Channels of the small groups that share a vector, or 0.
        strips: The input comes in strips.
        segments: Columns of taps that have tiles of their own.
        merged: Columns of taps that share tiles.
        pixels: Pixels of a block at most: one chain of sums, and the gradient of a tile stays in
            the first cache.
    """

    groups: int
    channels: int
    whole: int
    outputs: int
    vectors: int
    width: int
    tiles: int
    woven: int
    strips: bool
    segments: int
    merged: int
    pixels: int


def form(problem: Problem, target: Target) -> Form:
    """Choose vectors and strips: few channels stay side by side, so that tiles are full."""
    channels, outputs = (n // problem.groups for n in (problem.channels, problem.outputs))
    groups, whole, columns = problem.groups, channels, problem.window[1]
    woven = woven_channels(problem, channels, outputs, target)
    if woven:
        groups, channels, outputs = problem.channels // target.lanes, target.lanes, target.lanes
    strips = not woven and (channels >= STRIPS or problem.dilation[1] > 1 or columns == 1)
    vectors = _vectors(target, -(-outputs // target.lanes))
    width = vectors * target.lanes
    segments, merged = (columns, 1) if strips else (1, columns)
    return Form(
        groups, channels, whole, outputs, vectors, width, -(-outputs // width), woven, strips,
        segments, merged, min(CHAIN, int(target.l1 * FIRST) // (4 * width)),
    )  # fmt: skip


def tiling(made: Form, channels: int, target: Target) -> tuple[int, int, int]:
    """Return rows of the register tile, how many tiles there are, and how many of them are full.

    Tiles that are not have a row less.

    Args:
        made: The form.
        channels: Input channels of a slice.
        target: The CPU.
    """
    run = channels * made.merged
    most = _rows(target, made.vectors)
    if made.woven:
        most = made.woven * max(1, min(made.merged, WOVEN // made.woven))
        return most, -(-run // most), -(-run // most)
    count = -(-run // most)
    return -(-run // count), count, run % count or count


def _vectors(target: Target, needed: int) -> int:
    if target.registers >= 32:
        return 4 if needed % 4 == 0 or needed > 4 else min(needed, 2)
    return 3 if needed == 3 else min(needed, 2)


def _rows(target: Target, vectors: int) -> int:
    """Return the rows that a register tile may have at most: all sums in registers."""
    return ({4: 6, 2: 12, 1: 16} if target.registers >= 32 else {3: 4, 2: 6, 1: 10})[vectors]
