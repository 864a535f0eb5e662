"""Dense convolution of planes: which problems, in which blocks."""

import math
from dataclasses import dataclass

from faltung.compiler.algorithms import effort
from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import Correlation, correlations, simplified
from faltung.compiler.algorithms.finite import guard
from faltung.compiler.algorithms.parts import parted
from faltung.compiler.algorithms.planar import Spec
from faltung.compiler.algorithms.planar_weights import Pack
from faltung.compiler.algorithms.strips import plane
from faltung.compiler.plan import Plan, Preparation, Step
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

NAME = "planar"
CHAIN = 256  # products of a sum, at most: a longer chain would round too much
POINT = 128  # the same for windows of one tap: of more, their panel leaves the first cache
LEAST = 32  # outputs of a group
WASTE = 1.2  # times as many products as are needed, at most
LINES = (256, 128)  # pixels of a line that windows of one tap see, at most


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem."""
    if problem.operation != "conv" or problem.direction == "weight" or problem.pool:
        return "it makes outputs or input gradients of convolutions, and does not pool them"
    jobs, empty = correlations(problem)
    if len(jobs) != 1 or empty:
        return "it takes what is one correlation"
    job = simplified(jobs[0])
    if job.source[3] != 1 or job.target[3] != 1:
        return "the elements of a row must lie side by side in both tensors"
    misfit = _misfit(*problem.read_and_made, job, target)
    if misfit is None and len(parted(job)) > 1:
        return "it sums all taps of a window, and here many lie in padding"
    return misfit


def _misfit(channels: int, outputs: int, job: Correlation, target: Target) -> str | None:
    """Return why sizes are not for these tiles."""
    most = POINT if job.window == (1, 1) else CHAIN
    if channels * math.prod(job.window) > most:
        return f"sums of more than {most} products are for tiles of many outputs"
    if outputs < LEAST:
        return f"below {LEAST} outputs a group, too few share what is brought into a panel"
    if job.result[1] < target.lanes:
        return "rows of outputs are shorter than a vector"
    filled = min(_filled(shape, outputs, job, target) for shape in _shapes(target))
    if filled > WASTE * outputs * math.prod(job.result):
        return "vectors along these rows are too empty"
    return None


def _filled(shape: tuple[int, int], outputs: int, job: Correlation, target: Target) -> int:
    """Return the sums that tiles of a shape make."""
    vectors = job.result[0] * -(-job.result[1] // target.lanes)
    held = [-(-n // size) * size for n, size in zip((outputs, vectors), shape, strict=True)]
    return math.prod(held) * target.lanes


def _shapes(target: Target) -> list[tuple[int, int]]:
    """Return tiles (outputs, vectors) that fill the registers, with one row of vectors each."""
    if target.registers >= 32:
        return [(12, 2), (8, 3)] if target.lanes > 8 else [(4, 6)]
    return [(6, 2), (4, 3)] if target.lanes > 4 else [(4, 3)]


@dataclass(frozen=True)
class _Blocks:
    """Blocks of rows, and what a thread needs for one.

    Attributes:
        rows: Rows of outputs.
        chunks: Chunks of tiles of outputs.
        planes: Elements from one channel of the panel to the next, of the whole panel, and from
            the vectors of one tile to those of the next.
        vectors: Vectors of pixels, the last tile filled up.
        private: float32 elements.
        cycles: What a call takes.
    """

    rows: int
    chunks: int
    planes: tuple[int, int, int]
    vectors: int
    private: int
    cycles: float


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    (whole,), _ = correlations(problem)
    jobs = dict.fromkeys(simplified(whole, longest) for longest in LINES)
    ways = [
        _plan(problem, target, threads, job, shape)
        for job in jobs
        if job.result[1] >= target.lanes
        for shape in _shapes(target)
    ]
    return [min(ways, key=lambda plan: plan.cost)]


def _plan(
    problem: Problem, target: Target, threads: int, job: Correlation, shape: tuple[int, int]
) -> Plan:
    """Return the plan of a correlation in tiles of a shape."""
    channels, outputs = problem.read_and_made
    team = effort.team(problem, threads)
    products, tiles = channels * math.prod(job.window), -(-outputs // shape[0])
    points = job.window == (1, 1) and job.inside and job.stride == (1, 1)
    spec = Spec(
        problem.kind, problem.bias, problem.summand, problem.activation, points, job.stride[1],
        shape,
    )  # fmt: skip
    width = job.last[1] - job.origin[1] + 1
    segment = -(-width // job.stride[1])
    pitch = segment * job.stride[1]
    made = _blocks(problem, target, job, team, spec, products, channels, tiles, pitch)
    packed = rounded(products * shape[0] + target.lanes)
    in_chunk = -(-tiles // made.chunks)
    plane, held, apart = made.planes
    numbers = (
        problem.images, problem.groups, channels, outputs, *job.size, *job.result,
        *job.source[:3], job.source[4], *job.target[:3], job.target[4],
        -job.origin[0], -job.origin[1], *job.window, job.stride[0], *job.dilation,
        pitch, segment, plane, made.vectors, held, apart,
        packed, made.rows, -(-job.result[0] // made.rows), -(-tiles // in_chunk), in_chunk,
        made.private,
    )  # fmt: skip
    run = _run(job, channels)
    sizes = (problem.groups, outputs, channels, *job.window, *job.weights, run, packed)
    packs = [*guard(problem, [job]), Step(Pack(problem.kind, shape[0]), sizes)]
    size = problem.groups * tiles * packed
    first = Preparation(4 * size, tuple(packs), optional=False, pays=size >= effort.KEPT)
    words = (
        f"{shape[0]} channels x {shape[1] * target.lanes} pixels in registers, {made.rows} rows a "
        f"task, panels of {channels} channels"
    )
    room = 4 * (FLAGS * (len(packs) > 1) + team * made.private)
    cycles = made.cycles + size / team
    return Plan(NAME, words, (Step(spec, numbers),), room, team, cycles / effort.HERTZ, first)


def _run(job: Correlation, channels: int) -> int:
    """Return how many weights of an output lie side by side in the order of its sum, or 0."""
    length = 1
    for size, stride in ((job.window[1], 4), (job.window[0], 3), (channels, 2)):
        if size > 1 and job.weights[stride] != length:
            return 0
        length *= size
    return length


def _blocks(
    problem: Problem,
    target: Target,
    job: Correlation,
    team: int,
    spec: Spec,
    products: int,
    channels: int,
    tiles: int,
    pitch: int,
) -> _Blocks:
    """Choose the rows of a task and the chunks of outputs that make the slowest thread fastest."""
    lines, columns = job.result
    reach = job.dilation[0] * (job.window[0] - 1) + 1
    each, wide = -(-columns // target.lanes), spec.tile[1]
    best = _Blocks(1, 1, (0, 0, 0), 0, 0, math.inf)
    for rows in range(1, min(lines, 512) + 1):
        vectors = -(-rows * each // wide) * wide
        if spec.points:
            apart = plane(channels * wide * target.lanes)
            planes = wide * target.lanes, vectors // wide * apart, apart
        else:
            own = plane(((rows - 1) * job.stride[0] + reach) * pitch)
            planes = own, channels * own, 0
        private = rounded(2 * (products + 3 * vectors) + planes[1])
        full = 4 * private > 0.75 * target.l2
        if rows > 1 and full:
            break
        for chunks in sorted({1, min(team, tiles), min(2 * team, tiles)}):
            some = -(-tiles // chunks)
            sums = vectors * spec.tile[0] * (products + 8) / 2
            cycles = (
                (1.3 if full else 1.05) * sums * some + planes[1] * (0.8 if full else 0.4) + 300
            )
            tasks = problem.images * problem.groups * -(-lines // rows) * -(-tiles // some)
            cycles *= -(-tasks // team)
            if cycles < best.cycles * 0.995:
                best = _Blocks(rows, chunks, planes, vectors, private, cycles)
    return best
