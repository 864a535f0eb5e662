"""Dense convolution: which problems, as which correlations, in which blocks.

Each correlation of a problem (see `correlation`) is one call of the kernel.
"""

import math
from dataclasses import dataclass

from faltung.compiler.algorithms import dense, tile
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import Correlation, correlations, simplified
from faltung.compiler.algorithms.fill import Fill
from faltung.compiler.algorithms.runs import run_of
from faltung.compiler.algorithms.weights import Packing
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

NAME = "dense"
SERIAL = 600_000  # products below which a second thread costs more than it brings
PASS = 1280  # products of a pass; the weights of a tile, 80 KiB, stream from a second cache
UNROLLED = 32  # products of a segment up to which its loop is unrolled, for a kernel of its own
PACKED = {"channels": 0.3, "rows": 0.7, "any": 2.0}  # cycles an element, into a panel
WRITTEN = {"channels": 0.25, "rows": 0.6, "any": 2.0}  # cycles an element, from staging


def refuses(problem: Problem, target: Target) -> str | None:
    """Return why this algorithm does not take a problem: it takes every convolution."""
    if problem.operation != "conv":
        return "it sums products, and this is no convolution"
    if problem.direction == "weight":
        return "it makes tensors of pixels, and this asks for the weight's gradient"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return the one plan: blocks chosen by the cost model of `_blocks`."""
    found, empty = correlations(problem)
    channels, outputs = problem.channels, problem.outputs
    if problem.direction == "input":
        channels, outputs = outputs, channels
    channels, outputs = channels // problem.groups, outputs // problem.groups
    team = threads if problem.macs > SERIAL else 1
    steps: list[Step] = []
    words: list[str] = []
    workspace, cycles = 0, 0.0
    if empty:
        steps.append(_filling(problem))
    for correlation in found:
        step, room, cost, word = _step(
            problem, simplified(correlation), channels, outputs, target, team
        )
        steps.append(step)
        words.append(word)
        workspace, cycles = max(workspace, room), cycles + cost
    said = f"{len(found)} correlations: " * (len(found) > 1) + "; ".join(dict.fromkeys(words))
    return [Plan(NAME, said, tuple(steps), workspace, team, cycles / 3.2e9)]


def _filling(problem: Problem) -> Step:
    """Return the step that writes the bias, or zero, everywhere."""
    strides = problem.strides[2]
    spec = Fill(layout(strides), problem.kind, problem.bias, problem.activation)
    return Step(spec, (problem.images, problem.channels, *problem.size, *strides))


def _step(
    problem: Problem, job: Correlation, channels: int, outputs: int, target: Target, team: int
) -> tuple[Step, int, float, str]:
    """Return the call of a correlation, its workspace in bytes, its cycles, and its description."""
    last = [
        at + (n - 1) * s + d * (r - 1)
        for at, n, s, d, r in zip(
            job.origin, job.result, job.stride, job.dilation, job.window, strict=True
        )
    ]
    inside = min(job.origin) >= 0 and all(at < n for at, n in zip(last, job.size, strict=True))
    source, sink = (_layout(strides) for strides in (job.source, job.target))
    direct = inside and source == "channels"
    woven = woven_channels(problem, channels, outputs, target)
    groups = problem.groups
    if woven:
        groups, channels, outputs = groups * woven // target.lanes, target.lanes, target.lanes
    shape = tile.shape(target, -(-outputs // target.lanes), math.prod(job.result))
    cut = _cut(job, channels, direct or woven > 0, whole=woven > 0)
    spec = dense.Spec(
        source, sink, problem.kind, problem.bias, problem.activation, direct, cut.passes == 1,
        shape, woven, cut.taps if cut.run <= UNROLLED else None,
    )  # fmt: skip
    packing = Packing(
        outputs, woven or channels, job.window, woven or cut.block, shape[1] * target.lanes
    )
    width = last[1] - job.origin[1] + 1
    rows, chunks, cost = _blocks(problem, job, spec, packing, channels, cut, width, target, team)
    shared = rounded(groups * packing.group)
    run = run_of(cut.block, job.window, *job.weights[2:5])
    private = rounded(max(_private(spec, job, rows, width, packing, channels), 2 * run[0]))
    in_chunk = -(-packing.tiles // chunks)
    numbers = (
        problem.images, groups, channels, outputs, *job.size, *job.result, *job.source,
        *job.target, *job.weights, *run, -job.origin[0], -job.origin[1], width,
        *job.window, *job.stride, *job.dilation, cut.block, cut.passes, *cut.taps,
        rows, -(-job.result[0] // rows), -(-packing.tiles // in_chunk), in_chunk, shared, private,
    )  # fmt: skip
    way = "reads the tensor" if direct else f"panels of {channels} channels"
    way += f", {target.lanes // woven} groups share a vector" if woven else ""
    words = (
        f"{shape[0]} pixels x {packing.width} channels in registers, {rows} rows a task, {way}, "
        f"{cut.passes} passes of {math.prod(cut.taps)} products"
    )
    return Step(spec, numbers), 4 * (shared + team * private), cost, words


def woven_channels(problem: Problem, channels: int, outputs: int, target: Target) -> int:
    """Return the channels of a group where several whole groups fill a vector, else 0."""
    fits = channels == outputs and 1 < channels < target.lanes and target.lanes % channels == 0
    return channels if fits and problem.channels % target.lanes == 0 else 0


@dataclass(frozen=True)
class Cut:
    """A long sum cut into passes.

    Attributes:
        block: Input channels of a block; divides the channels of a group.
        passes: Number of passes.
        taps: Rows of taps in a pass, segments of a row, products of a segment.
    """

    block: int
    passes: int
    taps: tuple[int, int, int]

    @property
    def run(self) -> int:
        """Products of a segment."""
        return self.taps[2]


def _cut(job: Correlation, channels: int, apart: bool, whole: bool = False) -> Cut:
    """Cut a sum so that the weights of a pass fit the first cache; columns `apart` do not merge."""
    rows, columns = job.window
    if whole:
        return Cut(channels, 1, (rows, columns, channels))
    divisors = [d for d in range(1, channels + 1) if channels % d == 0]
    block = max((d for d in divisors if d * columns <= PASS), default=channels)
    if block * columns * 4 < PASS:
        block = channels
    fitting = [d for d in range(1, rows + 1) if rows % d == 0 and d * columns * block <= PASS]
    pass_rows = max(fitting, default=1)
    passes = channels // block * (rows // pass_rows)
    merged = not apart and job.dilation[1] == 1
    taps = (pass_rows, 1, columns * block) if merged else (pass_rows, columns, block)
    return Cut(block, passes, taps)


def _layout(strides: tuple[int, int, int, int, int]) -> str:
    return layout(strides[:4])


def _private(
    spec: dense.Spec, job: Correlation, rows: int, width: int, packing: Packing, channels: int
) -> int:
    """Return the float32 elements that a thread needs: tables, staging, panel."""
    pixels = -(-rows * job.result[1] // spec.tile[0]) * spec.tile[0]
    reach = job.dilation[0] * (job.window[0] - 1) + 1
    panel = 0 if spec.direct else ((rows - 1) * job.stride[0] + reach) * width * channels
    return pixels * (4 + packing.width) + panel


def _blocks(
    problem: Problem,
    job: Correlation,
    spec: dense.Spec,
    packing: Packing,
    channels: int,
    cut: Cut,
    width: int,
    target: Target,
    team: int,
) -> tuple[int, int, float]:
    """Choose the rows of a task and the chunks of outputs that make the slowest thread fastest.

    Cycles of a task: products at two fma a cycle, elements packed and written at the rates above,
    twice as slow where the panel leaves the second cache.
    """
    lines, columns = job.result
    reach = job.dilation[0] * (job.window[0] - 1) + 1
    products = packing.channels * job.window[0] * job.window[1]
    whole = problem.images * (problem.channels // channels if spec.woven else problem.groups)
    best = (1, 1, math.inf)
    options = sorted({1, min(team, packing.tiles), min(2 * team, packing.tiles)})
    for rows in range(1, min(lines, 512) + 1):
        private = 4 * _private(spec, job, rows, width, packing, channels)
        if rows > 1 and private > 0.75 * target.l2:
            break
        pixels = -(-rows * columns // spec.tile[0]) * spec.tile[0]
        panel = (
            0 if spec.direct else ((rows - 1) * job.stride[0] + reach) * width * packing.channels
        )
        slow = 2 if private > 0.75 * target.l2 else 1
        for chunks in options:
            tiles = -(-packing.tiles // chunks)
            sums = pixels * tiles * spec.tile[1] * products / 2
            written = pixels * tiles * packing.width * (WRITTEN[spec.sink])
            cycles = sums * 1.05 + slow * (panel * PACKED[spec.source] + written) + 300
            cycles += tiles * cut.passes * 40
            tasks = whole * -(-lines // rows) * -(-packing.tiles // tiles)
            cost = -(-tasks // team) * cycles
            if cost < best[2] * 0.995:
                best = (rows, chunks, cost)
    rows, chunks, cycles = best
    return rows, chunks, cycles + whole // problem.images * packing.group / team
