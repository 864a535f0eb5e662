"""Dense convolution on a matrix unit: which problems, as which correlations."""

from dataclasses import dataclass

from faltung.compiler.algorithms import amx, amx_blocks, amx_products, amx_weights
from faltung.compiler.algorithms.amx_blocks import Cut, Work
from faltung.compiler.algorithms.amx_form import HALF, OUTPUTS
from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.algorithms.correlation import FLATTEN, Correlation, correlations, simplified
from faltung.compiler.algorithms.fill import filling
from faltung.compiler.plan import Plan, Preparation, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import NO_TILES, Target

NAME = "amx"
SERIAL = 4_000_000  # products below which a second thread costs more than it brings
HERTZ = 2.6e9
PANEL = 3 * 2**18  # bytes of a line of pixels in a panel, where an image of 1x1 windows is cut
ROOM = 2**24  # bytes of workspace at most; threads that would need more stay away


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem.

    The rule knows neither threads nor images: they must not change the bits of a result. (Numbers
    in one image that the unit cannot treat do change those of the others.)
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
    channels, outputs = problem.read_and_made
    products = amx_products.count(problem)
    longest = PANEL // (2 * amx_products.PIECES[products] * channels)
    small = simplified(job, min(max(longest, amx.PIXELS), FLATTEN))
    return Work(problem, small, channels, outputs, products)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan."""
    found, empty = correlations(problem)
    steps: list[Step] = [filling(problem)] if empty else []
    packs: list[Step] = []
    words: list[str] = []
    works = [_work(problem, job) for job in found]
    most = threads if problem.macs > SERIAL else 1
    cuts = [amx_blocks.cut(work, work.weights(), target, most) for work in works]
    own = max((rounded(cut.private) for cut in cuts), default=1)
    tasks = max((cut.tasks for cut in cuts), default=1)
    team = max(1, min(most, tasks, FLAGS // 2, ROOM // (4 * own)))
    packed, cycles = 0, 0.0
    for work, cut in zip(works, cuts, strict=True):
        made = _made(work, cut, packed, own, team)
        steps.append(made.step)
        packs.append(made.pack)
        words.append(made.words)
        packed, cycles = packed + made.packed, cycles + cut.cycles
    room = FLAGS + team * max(own, amx_weights.SQUARE)
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
        words: Its description.
    """

    step: Step
    pack: Step
    packed: int
    words: str


def _made(work: Work, cut: Cut, packed: int, own: int, team: int) -> _Made:
    """Plan a correlation whose packed weights begin at a place of the prepared ones."""
    problem, job, weights = work.problem, work.job, work.weights()
    left = work.channels_left
    spec = amx.Spec(
        layout(job.source[:4]), layout(job.target[:4]), problem.kind, problem.bias,
        problem.summand, problem.activation, work.products, left,
        job.stride[1] if left and job.stride[1] <= 2 else 0,
    )  # fmt: skip
    in_chunk = -(-weights.tiles // cut.chunks)
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
    return _Made(Step(spec, numbers, guards=True), packs, size, words)
