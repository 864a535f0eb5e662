"""How dense sums are cut into blocks: so that slowest threads end first, and caches hold them."""

import math
from dataclasses import dataclass

from faltung.compiler.algorithms import dense
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.weights import Packing
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

PASS = 1280  # products of a pass; the weights of a tile, 80 KiB, stream from a second cache
PACKED = {"channels": 0.3, "rows": 0.7, "any": 2.0}  # cycles an element, into a panel
WRITTEN = {"channels": 0.25, "rows": 0.6, "any": 2.0}  # cycles an element, from staging


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


def cut(job: Correlation, channels: int, apart: bool, whole: bool = False) -> Cut:
    """Cut a sum so that the weights of a pass fit the first cache; columns `apart` do not merge."""
    rows, columns = job.window
    if whole:
        return Cut(channels, 1, (rows, columns, channels))
    divisors = [d for d in range(1, channels + 1) if channels % d == 0]
    most = (job.kernel or job.window)[1]  # the parts of a kernel are packed alike
    block = max((d for d in divisors if d * most <= PASS), default=channels)
    if block * most * 4 < PASS:
        block = channels
    fitting = [d for d in range(1, rows + 1) if rows % d == 0 and d * columns * block <= PASS]
    pass_rows = max(fitting, default=1)
    passes = channels // block * (rows // pass_rows)
    merged = not apart and job.dilation[1] == 1
    taps = (pass_rows, 1, columns * block) if merged else (pass_rows, columns, block)
    return Cut(block, passes, taps)


def private(
    spec: dense.Spec, job: Correlation, rows: int, width: int, packs: Packing, channels: int
) -> int:
    """Return the float32 elements that a thread needs: tables, staging, panel."""
    pixels = -(-rows * job.result[1] // spec.tile[0]) * spec.tile[0]
    reach = job.dilation[0] * (job.window[0] - 1) + 1
    panel = 0 if spec.direct else ((rows - 1) * job.stride[0] + reach) * width * channels
    return pixels * (4 + packs.width) + panel


def blocks(
    problem: Problem,
    job: Correlation,
    spec: dense.Spec,
    packs: Packing,
    channels: int,
    division: Cut,
    width: int,
    target: Target,
    team: int,
    phases: int,
) -> tuple[int, int, float]:
    """Choose the rows of a task and the chunks of outputs that make the slowest thread fastest.

    Cycles of a task: products at two fma a cycle, elements packed and written at the rates above,
    twice as slow where the panel, or what several phases read, leaves the second cache.
    """
    lines, columns = job.result
    reach = job.dilation[0] * (job.window[0] - 1) + 1
    products = packs.channels * job.window[0] * job.window[1]
    whole = problem.images * (problem.channels // channels if spec.woven else problem.groups)
    best = (1, 1, math.inf)
    options = sorted({1, min(team, packs.tiles), min(2 * team, packs.tiles)})
    for rows in range(1, min(lines, 512) + 1):
        bytes_of_thread = 4 * private(spec, job, rows, width, packs, channels)
        if spec.direct and phases > 1:
            bytes_of_thread += 4 * rows * columns * packs.channels
        if rows > 1 and bytes_of_thread > 0.75 * target.l2:
            break
        pixels = -(-rows * columns // spec.tile[0]) * spec.tile[0]
        panel = 0 if spec.direct else ((rows - 1) * job.stride[0] + reach) * width * packs.channels
        slow = 2 if bytes_of_thread > 0.75 * target.l2 else 1
        for chunks in options:
            tiles = -(-packs.tiles // chunks)
            sums = pixels * tiles * spec.tile[1] * products / 2
            written = pixels * tiles * packs.width * (WRITTEN[spec.sink])
            cycles = sums * 1.05 + slow * written + tiles * division.passes * 40
            cycles = phases * cycles + slow * panel * PACKED[spec.source] + 300
            tasks = whole * -(-lines // rows) * -(-packs.tiles // tiles)
            cost = -(-tasks // team) * cycles
            if cost < best[2] * 0.995:
                best = (rows, chunks, cost)
    rows, chunks, cycles = best
    return rows, chunks, cycles
