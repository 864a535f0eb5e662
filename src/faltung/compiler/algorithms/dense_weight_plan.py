"""Gradient of dense weights: which problems, in which blocks and parts."""

import math

from faltung.compiler.algorithms.dense_plan import PACKED, SERIAL, turned
from faltung.compiler.algorithms.dense_weight import Spec
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

NAME = "dense weight gradient"
SUMS = 2**20  # bytes that all parts of the sums may take together, where one part is less
PARTS = 8


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem: it takes every weight gradient."""
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights only"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    channels, outputs = (n // problem.groups for n in (problem.channels, problem.outputs))
    run = channels * (problem.window[1] if problem.dilation[1] == 1 else 1)
    spec = Spec(
        layout(problem.strides[0]), layout(problem.strides[1]), problem.kind, problem.bias,
        _tile(target, run, -(-outputs // target.lanes)),
    )  # fmt: skip
    team, lanes = threads if problem.macs > SERIAL else 1, target.lanes
    lines, columns = problem.result
    reach = [d * (r - 1) + 1 for d, r in zip(problem.dilation, problem.window, strict=True)]
    width = (columns - 1) * problem.stride[1] + reach[1]
    height, tile_width = spec.tile[0], spec.tile[1] * lanes
    segments = 1 if problem.dilation[1] == 1 else problem.window[1]
    padded = -(-run // height) * height
    tiles = -(-outputs // tile_width)
    places = problem.window[0] * segments * padded
    size = (places + problem.bias) * tile_width
    sums = problem.groups * tiles * size

    rows = _rows(problem, channels, tile_width, width, reach[0], target)
    blocks = -(-lines // rows)
    units = problem.images * blocks
    parts = max(1, min(PARTS, units, SUMS // (4 * sums)))
    wanted = min(tiles, -(-team // (parts * problem.groups)))
    if wanted > 1 or (parts * problem.groups) % team:
        wanted = min(tiles, max(wanted, team))
    in_chunk = -(-tiles // wanted)
    chunks = -(-tiles // in_chunk)
    pixels = rows * columns
    panel = ((rows - 1) * problem.stride[0] + reach[0]) * width * channels
    private = -(-(pixels * tile_width * in_chunk + panel + 16) // 16) * 16
    shared = -(-parts * sums // 16) * 16

    k, c, r, s = problem.strides[2]
    offset, r, s = turned(problem, r, s)
    top, _, left, _ = problem.padding
    numbers = (
        problem.images, problem.groups, channels, outputs, *problem.size, lines, columns,
        *problem.strides[0], *problem.strides[1], k, c, r, s, offset, top, left, width,
        problem.window[0], segments, run, padded, size, tiles, *problem.stride, *problem.dilation,
        rows, blocks, parts, chunks, in_chunk, shared, private,
    )  # fmt: skip
    tasks = parts * problem.groups * chunks
    products = pixels * places * in_chunk * spec.tile[1] / 2
    packing = panel * PACKED[spec.x] + pixels * in_chunk * tile_width * PACKED[spec.dy]
    turns = -(-tasks // team) * -(-units // parts)
    seconds = (turns * (products + packing) + 2 * parts * sums / team) / 3.2e9
    words = (
        f"{spec.tile[0]} places x {tile_width} channels in registers, {rows} rows a block, "
        f"{parts} parts, {chunks} chunks of channels"
    )
    workspace = 4 * (shared + team * private)
    return [Plan(NAME, words, (Step(spec, numbers),), workspace, team, seconds)]


def _tile(target: Target, run: int, vectors: int) -> tuple[int, int]:
    """Return rows and vectors of the tile: few places wasted, enough sums in flight."""
    if target.registers >= 32:
        wide = 4 if vectors % 4 == 0 or vectors > 4 else min(vectors, 2)
        heights = {4: (6, 5, 4, 3), 2: (12, 10, 8, 6, 5, 4), 1: (16, 12, 10, 8, 6, 4)}[wide]
    else:
        wide = 3 if vectors == 3 else min(vectors, 2)
        heights = {3: (4, 3), 2: (6, 5, 4, 3), 1: (10, 8, 6, 5, 4)}[wide]

    def work(height: int) -> float:
        # A step loads its vectors and its elements; two fma and two to three loads go at a time.
        step = max(height * wide / 2, (height / 3 + wide / 2), 4.0 if height * wide < 8 else 0)
        return -(-run // height) * step

    return min(heights, key=work), wide


def _rows(
    problem: Problem, channels: int, tile_width: int, width: int, reach: int, target: Target
) -> int:
    """Return the rows of a block: as many as keep its panels in the second cache."""
    lines, columns = problem.result
    best = 1
    for rows in range(1, lines + 1):
        panel = ((rows - 1) * problem.stride[0] + reach) * width * channels
        pixels = rows * columns
        if rows > 1 and (4 * panel > target.l2 / 2 or 4 * pixels * tile_width > target.l1 * 0.75):
            break
        best = rows
    return math.ceil(lines / math.ceil(lines / best))
