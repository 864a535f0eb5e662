"""Gradient of dense weights on a matrix unit: which problems, in which blocks, slices and parts."""

import math

from faltung.compiler.algorithms import amx_products, amx_weight_blocks
from faltung.compiler.algorithms.amx_blocks import Work
from faltung.compiler.algorithms.amx_plan import HERTZ, ROOM, SERIAL
from faltung.compiler.algorithms.amx_weight import Spec
from faltung.compiler.algorithms.amx_weight_panel import TILE, WIDTH
from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import weighing
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import NO_TILES, Target

NAME = "amx weight gradient"


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem.

    The rule knows neither threads nor images.
    """
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights only"
    if target.tiles in NO_TILES:
        return NO_TILES[target.tiles]
    work = _work(problem)
    row, least = amx_weight_blocks.block_of(work, 1, 1), amx_weight_blocks.slices(work.channels)[0]
    if 4 * amx_weight_blocks.private(work, row, least, 1) > target.l2:
        return "one row of outputs, in pieces, is larger than the second cache"
    ours, theirs = amx_weight_blocks.image_cycles(work), work.vector_cycles()
    if ours > theirs:
        return (
            f"registers of {TILE} channels by {WIDTH} outputs, filled {work.products} times, "
            f"are expected to take {ours / theirs:.1f} times as long as vector instructions"
        )
    return None


def _work(problem: Problem) -> Work:
    """Return the correlation whose weights are asked for, as a group of the problem sees it."""
    channels, outputs = problem.channels // problem.groups, problem.outputs // problem.groups
    return Work(problem, weighing(problem), channels, outputs, amx_products.count(problem))


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    work = _work(problem)
    cut = amx_weight_blocks.cut(work, target, threads if problem.macs > SERIAL else 1)
    job, block, tiles = work.job, cut.block, -(-work.outputs // WIDTH)
    padded = -(-cut.slice // TILE) * TILE
    slice_sums = math.prod(job.window) * padded * WIDTH
    size = work.channels // cut.slice * slice_sums + problem.bias * WIDTH
    sums = problem.groups * tiles * size
    run = gathered(cut.slice, job.window, job.weights[2:5], target.lanes)
    own, shared = rounded(max(cut.private, 2 * run[0])), rounded(cut.parts * sums)
    team = max(1, min(cut.team, ROOM // (4 * own)))
    numbers = (
        problem.images, problem.groups, work.channels, cut.slice, work.channels // cut.slice,
        work.outputs, *job.size, *job.result, *job.source, *job.target[:4], *job.weights[1:], *run,
        job.window[1] * padded, padded, -job.origin[0], -job.origin[1], block.pitch, block.reach,
        *job.window, *job.stride, *job.dilation, padded, slice_sums, size, tiles,
        block.rows, -(-job.result[0] // block.rows), block.together,
        cut.parts, -(-tiles // cut.in_chunk), cut.in_chunk,
        *amx_weight_blocks.line_room(work, block), block.pixels, block.plane,
        amx_weight_blocks.apart(work, block.plane), shared, own, team,
    )  # fmt: skip
    spec = Spec(
        layout(job.source[:4]), layout(job.target[:4]), problem.kind, problem.bias, work.products,
        job.stride[1] if job.stride[1] <= 2 else 0,
    )  # fmt: skip
    seconds = (cut.cycles + 2 * cut.parts * sums / team) / HERTZ
    images = f"{block.together} images" if block.together > 1 else f"{block.rows} rows"
    words = (
        f"{work.products} bfloat16 products each, {TILE} x {WIDTH} channels in registers, {images} "
        f"of {cut.slice} x {cut.in_chunk * WIDTH} channels a block, {cut.parts} parts"
    )
    room = 4 * (FLAGS + shared + team * own)
    return [Plan(NAME, words, (Step(spec, numbers, guards=True),), room, team, seconds)]
