"""Convolution with few outputs: which problems, in which blocks.

The correlations of a problem (see `correlation`), one for each phase of a strided gradient, read
the same panels and are made in one call.
"""

import math
from collections.abc import Sequence

from faltung.compiler.algorithms import effort
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import Correlation, correlations, simplified
from faltung.compiler.algorithms.fill import filling
from faltung.compiler.algorithms.finite import guard
from faltung.compiler.algorithms.narrow import Spec
from faltung.compiler.algorithms.narrow_blocks import Area, cut, some
from faltung.compiler.algorithms.narrow_weights import Pack
from faltung.compiler.plan import Plan, Preparation, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

NAME = "narrow"
LONGEST = 256  # products that a channel may have
IDLE = 0.1  # the share of rows of taps that see only zeros from which on tiles leave them out


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem.

    Its vectors are full whatever the number of outputs, but need a broadcast weight for each; those
    of the dense algorithms are as full as their tiles of outputs, and read channels side by side.
    """
    if problem.operation != "conv" or problem.direction == "weight":
        return "it makes outputs or input gradients of convolutions"
    if problem.pool or problem.groups > 1:
        return "it takes one group of channels, and does not pool what it makes"
    channels, outputs = problem.read_and_made
    if channels == 1:
        return "one input channel is for depthwise kernels, or fills vectors of outputs"
    return _unfit(problem, outputs, target)


def _unfit(problem: Problem, outputs: int, target: Target) -> str | None:
    """Return why other kernels are faster, or more exact, for so many outputs and these windows."""
    jobs, _ = _jobs(problem)
    most = target.lanes * 3 // 4
    if outputs > most:
        return f"it makes up to {most} outputs, and {outputs} fill vectors of the others"
    if any(job.stride != (1, 1) for job in jobs):
        return "it takes windows at every pixel, and these have a stride"
    taps = [math.prod(job.window) for job in jobs]
    if not 1 <= max(taps, default=0) <= LONGEST:
        return f"its chains of sums have 1 to {LONGEST} products of a channel"
    if sum(taps) == 1 and layout(jobs[0].source[:4]) == "channels":
        return "one tap does not pay for bringing channels that lie side by side into planes"
    return None


def _jobs(problem: Problem) -> tuple[list[Correlation], bool]:
    """Return the correlations that make the result, and whether elements are left untouched."""
    jobs, empty = correlations(problem)
    return [simplified(job) for job in jobs] if len(jobs) == 1 else jobs, empty


def _vectors(outputs: int, target: Target) -> int:
    """Return the vectors of pixels of a tile: all sums in registers, beside what they are made of.

    Three registers hold the weights, or the pixels, whichever are fewer, and one the other factor.
    """
    return max(min((target.registers - 4) // outputs, 8), 1)


def _direct(problem: Problem, jobs: Sequence[Correlation], outputs: int, target: Target) -> bool:
    """Say whether sums are made from the image itself: whole rows without gaps or padding."""
    if len(jobs) != 1 or problem.kind != "f32" or not jobs[0].inside:
        return False
    (job,) = jobs
    dense = job.source[3] == 1 and job.source[2] == job.size[1]
    return dense and job.result[1] >= _vectors(outputs, target) * target.lanes


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    jobs, empty = _jobs(problem)
    channels, outputs = problem.read_and_made
    vectors, job = _vectors(outputs, target), jobs[0]
    direct = _direct(problem, jobs, outputs, target)
    team = effort.team(problem, threads)
    area = Area(jobs, direct, (outputs, vectors * target.lanes), channels)
    made, cycles = cut(area, problem.images, target, team)
    each, phases = some(area, target), area.phases
    pack = Pack(problem.kind, outputs)
    packing = Step(pack, (channels, len(jobs), *job.weights[1:5], *phases))
    guards = guard(problem, jobs)
    spares = bool(guards) and not direct and area.idle > IDLE
    spec = Spec(
        layout(job.source[:4]), job.target[3] == 1, problem.kind, problem.bias, problem.summand,
        problem.activation, (outputs, vectors), direct, spares,
    )  # fmt: skip
    numbers = (
        problem.images, channels, *job.size, *job.source, *job.target[:4],
        -area.first[0], -area.first[1], area.reach, *job.dilation,
        each, -(-channels // each), area.taps, job.source[1] if direct else made.plane,
        area.pitch, area.width, made.stage,
        len(jobs), area.result[0], made.blocks, made.private, *phases,
    )  # fmt: skip
    packed = sum(math.prod(job.window) for job in jobs) * channels * outputs
    first = Preparation(
        4 * rounded(packed), (*guards, packing), optional=False, pays=packed >= effort.KEPT
    )
    words = (
        f"{outputs} outputs x {area.tile[1]} pixels in registers, "
        + f"{len(jobs)} phases, " * (len(jobs) > 1)
        + f"{made.blocks} blocks of rows, {'reads the tensor' if direct else 'panels'}, "
        f"{each} channels a pass"
    )
    steps = [filling(problem)] * empty + [Step(spec, numbers)]
    room, seconds = 4 * team * made.private, cycles / effort.HERTZ
    return [Plan(NAME, words, tuple(steps), room, team, seconds, first)]
