"""Dense convolution on a matrix unit: which problems, as which correlations."""

from dataclasses import dataclass

from faltung.compiler.algorithms import amx, amx_blocks, amx_products, amx_weights
from faltung.compiler.algorithms.amx_blocks import Work
from faltung.compiler.algorithms.amx_form import HALF, OUTPUTS
from faltung.compiler.algorithms.amx_products import FLAGS
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import Correlation, correlations, simplified
from faltung.compiler.algorithms.fill import filling
from faltung.compiler.plan import Plan, Preparation, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import NO_TILES, Target

NAME = "amx"
SERIAL = 4_000_000  # products below which a second thread costs more than it brings
HERTZ = 2.6e9


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem.

    The rule knows neither threads nor images: they must not change the bits of a result.
    """
    if problem.operation != "conv" or problem.direction == "weight":
        return "it makes outputs or input gradients of convolutions"
    if target.tiles in NO_TILES:
        return NO_TILES[target.tiles]
    if problem.pool:
        return "it does not pool what it makes"
    works = [_work(problem, job) for job in correlations(problem)[0]]
    ours = sum(work.cycles() for work in works)
    theirs = sum(work.vector_cycles() for work in works)
    if ours > theirs:
        return (
            f"registers of 32 products by 32 outputs, filled {amx_products.count(problem)} times, "
            f"are expected to take {ours / theirs:.1f} times as long as vector instructions"
        )
    return None


def _work(problem: Problem, job: Correlation) -> Work:
    channels, outputs = problem.channels, problem.outputs
    if problem.direction == "input":
        channels, outputs = outputs, channels
    channels, outputs = channels // problem.groups, outputs // problem.groups
    return Work(problem, simplified(job), channels, outputs, amx_products.count(problem))


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    found, empty = correlations(problem)
    team = min(threads, FLAGS // 2) if problem.macs > SERIAL else 1
    steps: list[Step] = [filling(problem)] if empty else []
    packs: list[Step] = []
    words: list[str] = []
    packed, room, cycles = 0, amx_weights.room(team), 0.0
    for job in found:
        made = _made(_work(problem, job), packed, target, team)
        steps.append(made.step)
        packs.append(made.pack)
        words.append(made.words)
        packed += made.packed
        room, cycles = max(room, made.room), cycles + made.cycles
    said = f"{len(words)} correlations: " * (len(words) > 1) + "; ".join(dict.fromkeys(words))
    first = Preparation(4 * packed, tuple(packs), optional=False, pays=packed > 0)
    cost = (cycles + 2 * packed / team) / HERTZ
    return [Plan(NAME, said, tuple(steps), 4 * room, team, cost, first)]


@dataclass(frozen=True)
class _Made:
    """A correlation planned.

    Attributes:
        step: Its call.
        pack: The call that packs its weights.
        packed: What these take, in float32 elements.
        room: Workspace, in float32 elements.
        cycles: What it is expected to take.
        words: Its description.
    """

    step: Step
    pack: Step
    packed: int
    room: int
    cycles: float
    words: str


def _made(work: Work, packed: int, target: Target, team: int) -> _Made:
    """Plan a correlation whose packed weights begin at a place of the prepared ones."""
    problem, job, weights = work.problem, work.job, work.weights()
    left = work.channels_left
    spec = amx.Spec(
        layout(job.source[:4]), layout(job.target[:4]), problem.kind, problem.bias,
        problem.summand, problem.activation, work.products, left,
        job.stride[1] if left and job.stride[1] <= 2 else 0,
    )  # fmt: skip
    cut = amx_blocks.cut(work, weights, target, team)
    in_chunk = -(-weights.tiles // cut.chunks)
    own = rounded(cut.private)
    numbers = (
        problem.images, problem.groups, work.channels, work.outputs, *job.size, *job.result,
        *job.source, *job.target, -job.origin[0], -job.origin[1], work.pitch,
        job.window[0], work.reach, *job.stride, *job.dilation,
        weights.block, weights.passes, weights.segments, weights.steps, packed, weights.tiles,
        cut.rows, -(-job.result[0] // cut.rows), cut.together, -(-weights.tiles // in_chunk),
        in_chunk, cut.pixels, cut.staged, cut.panel, cut.plane, cut.pair, own, team,
    )  # fmt: skip
    pack = amx_weights.Pack(problem.kind, work.pieces, left)
    packs = amx_weights.step(weights, problem.groups, job.weights, packed, pack, team)
    size = problem.groups * weights.tiles * weights.depth * work.pieces * HALF
    images = f"{cut.together} images" if cut.together > 1 else f"{cut.rows} rows"
    words = (
        f"{work.products} bfloat16 products each, {amx.PIXELS} pixels x {OUTPUTS} channels in "
        f"registers, {'channels' if left else 'pixels'} left, {images} a task, {weights.passes} "
        f"passes of {weights.depth // weights.passes} steps"
    )
    room = FLAGS + team * own
    return _Made(Step(spec, numbers, guards=True), packs, size, room, cut.cycles, words)
