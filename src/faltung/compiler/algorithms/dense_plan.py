"""Dense convolution: which problems, as which correlations, in which blocks.

Each correlation of a problem (see `correlation`) is one call of the kernel.
"""

import math
from dataclasses import dataclass

from faltung.compiler.algorithms import dense, dense_sum, effort, packing, tile
from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import Correlation, correlations, simplified
from faltung.compiler.algorithms.dense_blocks import (
    Cut,
    blocks,
    cut,
    private,
    woven_channels,
)
from faltung.compiler.algorithms.fill import filling
from faltung.compiler.algorithms.finite import guard
from faltung.compiler.algorithms.interleaved import Interleaved, interleaved
from faltung.compiler.algorithms.parts import parted
from faltung.compiler.algorithms.weights import Packing
from faltung.compiler.plan import Plan, Preparation, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

NAME = "dense"
UNROLLED = 32  # products of a segment up to which its loop is unrolled, for a kernel of its own
SEGMENT = 96  # products of a segment from which a block of its own costs next to nothing


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem: it takes every convolution."""
    if problem.operation != "conv":
        return "it sums products, and this is no convolution"
    if problem.direction == "weight":
        return "it makes tensors of pixels, and this asks for the weight's gradient"
    if problem.pool:
        return "it does not pool what it makes"
    if problem.summand and problem.channels == problem.groups:
        return "one channel a group is for depthwise kernels, which add no summand"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the plan, its blocks chosen by the cost model of `dense_blocks`.

    Where taps in the padding are left out, so are their products with weights that are infinite or
    NaN, which forward belong to the sum: such weights raise a flag, and the second plan, which
    leaves nothing out, runs instead. Where an input gradient meets zeros around dy, such weights
    would reach too many elements, and nothing runs.
    """
    found, empty = correlations(problem)
    jobs = [simplified(job) for job in found]
    # Rows in one long line fill tiles better, rows apart divide better among threads and caches.
    apart = [simplified(job, longest=1) for job in found]
    ways = [jobs] if apart == jobs else [jobs, apart]
    made = [_plan(problem, target, threads, [[job] for job in way], empty) for way in ways]
    whole = [min(made, key=lambda plan: plan.cost)]
    parts = [parted(job) for job in jobs]
    if all(len(part) == 1 for part in parts):
        return whole
    return [_plan(problem, target, threads, parts, empty), *whole]


def _plan(
    problem: Problem, target: Target, threads: int, parts: list[list[Correlation]], empty: bool
) -> Plan:
    """Return the plan of correlations, each in parts that share its packed weights.

    Where some elements are met by none (`empty`), all are filled first.
    """
    channels, outputs = problem.read_and_made
    team = effort.team(problem, threads)
    judged = problem.direction == "forward" and len(parts[0]) > 1
    steps: list[Step] = []
    packs = guard(problem, [job for jobs in parts for job in jobs])
    flags = FLAGS * (judged or len(packs) > 0)
    words: list[str] = []
    packed, workspace, cycles = 0, 0, 0.0
    if empty:
        steps.append(filling(problem))
    whole = all(len(jobs) == 1 for jobs in parts)
    phases = interleaved([jobs[0] for jobs in parts]) if whole else None
    for jobs in parts[:1] if phases else parts:
        for part in jobs:
            made = _made(
                problem, part, packed, channels, outputs, target, team, phases or Interleaved()
            )
            steps.append(made.step)
            words.append(made.words)
            workspace, cycles = max(workspace, made.room), cycles + made.cycles
        for kernel in [jobs[0] for jobs in parts] if phases else jobs[:1]:
            pack, room = packing.step(
                made.packing, made.groups, kernel.weights, packed, problem.kind, made.woven, judged
            )
            packs.append(pack)
            packed += rounded(made.groups * made.packing.group)
            workspace = max(workspace, room)
    said = f"{len(words)} correlations: " * (len(words) > 1) + "; ".join(dict.fromkeys(words))
    first = Preparation(4 * packed, tuple(packs), optional=False, pays=packed >= effort.KEPT)
    cycles += packed / team
    room = 4 * (flags + team * workspace)
    return Plan(NAME, said, tuple(steps), room, team, cycles / effort.HERTZ, first)


def _long(division: Cut) -> bool:
    """Say whether a sum rounds less, at little cost, if its segments are summed in blocks."""
    products = division.passes * math.prod(division.taps)
    return products > dense_sum.BLOCK and division.run >= SEGMENT


@dataclass(frozen=True)
class _Made:
    """A correlation planned.

    Attributes:
        step: Its call.
        packing: Sizes of its packed weights.
        groups: How many groups they have.
        woven: Channels of the small groups that share a vector, or 0.
        room: Workspace of a thread, in float32 elements.
        cycles: What it is expected to take.
        words: Its description.
    """

    step: Step
    packing: Packing
    groups: int
    woven: int
    room: int
    cycles: float
    words: str


def _made(
    problem: Problem,
    job: Correlation,
    packed: int,
    channels: int,
    outputs: int,
    target: Target,
    team: int,
    phases: Interleaved,
) -> _Made:
    """Plan a correlation whose packed weights begin at a place of the prepared ones."""
    source, sink = (layout(strides[:4]) for strides in (job.source, job.target))
    direct = job.inside and source == "channels"
    woven = woven_channels(problem, channels, outputs, target)
    groups = problem.groups
    if woven:
        groups, channels, outputs = groups * woven // target.lanes, target.lanes, target.lanes
    shape = tile.shape(target, -(-outputs // target.lanes), math.prod(job.result))
    division = cut(job, channels, direct or woven > 0, whole=woven > 0)
    taps = division.taps if division.run <= UNROLLED and job.kernel is None else None
    spec = dense.Spec(
        source, sink, problem.kind, problem.bias, problem.summand, problem.activation, direct,
        division.passes == 1, shape, woven, taps, _long(division),
    )  # fmt: skip
    kernel = job.kernel or job.window
    packs = Packing(
        outputs, woven or channels, kernel, woven or division.block, shape[1] * target.lanes
    )
    width = job.last[1] - job.origin[1] + 1
    rows, chunks, cycles = blocks(
        problem, job, spec, packs, channels, division, width, target, team, phases.count
    )
    room = rounded(private(spec, job, rows, width, packs, channels))
    in_chunk = -(-packs.tiles // chunks)
    first = packed + (job.first[0] * kernel[1] + job.first[1]) * packs.block * packs.width
    numbers = (
        problem.images, groups, channels, outputs, *job.size, *job.result, *job.source,
        *job.target, -job.origin[0], -job.origin[1], width,
        *job.window, *job.stride, *job.dilation,
        division.block, division.passes, *division.taps, first, *kernel,
        phases.count, phases.columns, rounded(groups * packs.group), phases.row, phases.column,
        rows, -(-job.result[0] // rows), -(-packs.tiles // in_chunk), in_chunk, room,
    )  # fmt: skip
    way = f"{phases.count} phases, " * (phases.count > 1)
    way += "reads the tensor" if direct else f"panels of {channels} channels"
    way += f", {target.lanes // woven} groups share a vector" if woven else ""
    words = (
        f"{shape[0]} pixels x {packs.width} channels in registers, {rows} rows a task, {way}, "
        f"{division.passes} passes of {math.prod(division.taps)} products"
    )
    return _Made(Step(spec, numbers), packs, groups, woven, room, cycles, words)
