"""Gradient of dense weights: which problems, in which blocks and parts."""

import math

from faltung.compiler.algorithms import effort, strips
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import weighing
from faltung.compiler.algorithms.dense_weight import Spec
from faltung.compiler.algorithms.dense_weight_blocks import Block, Cut, block, cut
from faltung.compiler.algorithms.dense_weight_form import Form, form
from faltung.compiler.algorithms.runs import gathered
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

NAME = "dense weight gradient"
SLACK = 256  # elements behind a panel that a last, partly empty tile may read


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem: it takes every weight gradient."""
    if problem.operation != "conv" or problem.direction != "weight":
        return "it makes gradients of weights only"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    made = form(problem, target)
    job = weighing(problem, math.prod(problem.result))
    pixels = block(problem, job, made, target)
    team = effort.team(problem, threads)
    share = cut(job, made, pixels, team, target)
    single = pixels.parts == 1
    spec = Spec(
        layout(job.source[:4]), layout(job.target[:4]), problem.kind, problem.bias,
        (share.height, made.vectors), made.woven, made.strips, share.tall < share.count, single,
    )  # fmt: skip
    run_of_dw = gathered(share.slice, job.window, job.weights[2:5], target.lanes)
    dy_apart = strips.plane(pixels.pixels * made.width)
    table = rounded(2 * run_of_dw[0])
    slices, chunks = made.whole // share.slice, -(-made.tiles // share.tiles)
    sums, own, shared = _room(share, pixels, made, slices, problem.bias)
    private = rounded(table + own + dy_apart * share.tiles + share.panel + SLACK)
    pitch = share.height if made.strips else made.channels
    numbers = (
        problem.images, made.groups, made.channels,
        share.slice, slices, share.in_task, -(-slices // share.in_task), pitch, made.outputs,
        *job.size, *job.result, *job.source, *job.target[:4], *job.weights[1:], *run_of_dw,
        made.segments * share.places, share.slice,
        -job.origin[0], -job.origin[1], pixels.columns, pixels.each * pitch, share.apart, dy_apart,
        share.tall, share.count, _safe(share, target),
        *job.window, made.segments, share.places, *sums, own, table, made.tiles,
        *job.stride, *job.dilation, pixels.rows, pixels.span, pixels.across,
        -(-job.result[0] // pixels.rows) * pixels.across, pixels.batch,
        pixels.parts, chunks, share.tiles, shared, private,
    )  # fmt: skip
    words = (
        f"{share.height} places x {made.width} channels in registers, {share.slice} channels of "
        f"{pixels.batch} images of {pixels.rows}x{pixels.span} outputs a block, "
        f"{pixels.parts} parts, {-(-slices // share.in_task)} x {chunks} chunks of channels"
    )
    size = 4 * (shared + team * private)
    return [Plan(NAME, words, (Step(spec, numbers),), size, team, share.seconds)]


def _room(
    cut: Cut, pixels: Block, made: Form, slices: int, bias: bool
) -> tuple[tuple[int, int, int], int, int]:
    """Return how sums lie, and the elements of them that a thread has and that all threads share.

    They lie as given by the elements of a slice, those of a tile of outputs, and where in these
    the bias' own begin. What one block makes whole is written at once, all in the same place.
    """
    one = bias * made.width
    if pixels.parts > 1:
        whole = slices * cut.sums
        shared = rounded(pixels.parts * made.groups * made.tiles * (whole + one))
        return (cut.sums, whole + one, whole), 0, shared
    if pixels.units == 1:
        return (0, 0, cut.sums), rounded(cut.sums + one), 0
    whole = cut.in_task * cut.sums
    return (cut.sums, whole + one, whole), rounded(cut.tiles * (whole + one)), 0


def _safe(cut: Cut, target: Target) -> int:
    """Return for how many strips whole vectors may be read without reaching behind the slice."""
    reach = -(-cut.height // target.lanes) * target.lanes
    starts = (q * cut.height - max(0, q - cut.tall) for q in range(cut.count))
    return sum(start + reach <= cut.slice for start in starts)
