"""How sums of few outputs are cut: channels of a pass, rows of a task, the panel of all phases."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.algorithms.strips import plane
from faltung.compiler.target import Target

CHAIN = 144  # products that are one chain of sums, or as many as a channel has
SHORT = 64  # products of a chain at least, so that sums in memory cost little
STREAMS = 8  # channels read at once from the image itself, as many as prefetching follows
FIRST, SECOND = 0.75, 0.6  # of the first and the second cache that blocks may fill
BROUGHT = 0.4  # cycles an element, into a panel


@dataclass(frozen=True)
class Area:
    """What the phases of a result read together, and what a tile makes.

    Attributes:
        jobs: The phases.
        direct: They read the image itself.
        tile: Outputs and pixels of a tile.
        channels: Input channels.
    """

    jobs: Sequence[Correlation]
    direct: bool
    tile: tuple[int, int]
    channels: int

    @cached_property
    def first(self) -> tuple[int, int]:
        """Row and column of the source that the first row and column of pixels reads first."""
        row, column = (min(job.origin[axis] for job in self.jobs) for axis in (0, 1))
        return row, column

    @cached_property
    def reach(self) -> int:
        """Rows that a row of pixels reads, less one."""
        ends = (job.origin[0] + (job.window[0] - 1) * job.dilation[0] for job in self.jobs)
        return max(ends) - self.first[0]

    @cached_property
    def result(self) -> tuple[int, int]:
        """Rows and columns of the phase that has most."""
        rows, columns = (max(job.result[axis] for job in self.jobs) for axis in (0, 1))
        return rows, columns

    @cached_property
    def width(self) -> int:
        """Columns that are read."""
        return max(job.last[1] for job in self.jobs) - self.first[1] + 1

    @cached_property
    def pitch(self) -> int:
        """Elements from one row to the next: zeros behind one may be those before the other.

        The last row needs `width`.
        """
        length, left = self.jobs[0].size[1], -self.first[1]
        if self.direct:
            return length
        return min(self.width, max(length + left, self.width - left, self.result[1]))

    @property
    def idle(self) -> float:
        """The share of the rows of taps, of all rows of pixels, that see nothing but zeros."""
        taken = seen = 0
        for job in self.jobs:
            taken += job.result[0] * job.window[0]
            for r in range(job.window[0]):
                first = job.origin[0] + r * job.dilation[0]  # what the first row of pixels reads
                seen += max(min(job.result[0], job.size[0] - first) - max(-first, 0), 0)
        return 1 - seen / max(taken, 1)

    @cached_property
    def taps(self) -> int:
        """Taps of the phase that has most."""
        return max(math.prod(job.window) for job in self.jobs)

    @cached_property
    def phases(self) -> list[int]:
        """The numbers of the phases, see `narrow_form.PHASE`."""
        numbers, packed = [], 0
        row, column = (0, 0) if self.direct else self.first
        for job in self.jobs:
            above = job.origin[0] - row
            start = above * self.pitch + job.origin[1] - column
            numbers += [*job.window, job.weights[5], packed, above, start]
            numbers += [*job.result, job.target[4]]
            packed += math.prod(job.window) * self.channels * self.tile[0]
        return numbers


@dataclass(frozen=True)
class Cut:
    """Blocks of rows.

    Attributes:
        blocks: Blocks of an image.
        stage: Elements of the sums of an output of a phase.
        plane: Elements of a channel in a panel.
        private: Elements that a thread needs.
    """

    blocks: int
    stage: int
    plane: int
    private: int


def some(area: Area, target: Target) -> int:
    """Return the channels of a pass: whose rows in the panel the first cache holds."""
    most = max(CHAIN // area.taps, 1)
    if area.direct:
        return min(STREAMS, most, area.channels)
    fitting = int(FIRST * target.l1) // (4 * (area.reach + 1) * area.pitch)
    least = min(-(-SHORT // area.taps), most)
    count = min(max(fitting, least), most, area.channels)
    return count if count < target.lanes else count // target.lanes * target.lanes


def cut(area: Area, images: int, target: Target, team: int) -> tuple[Cut, float]:
    """Return the blocks that make the slowest thread fastest, and its cycles."""
    lines, channels = area.result[0], some(area, target)
    best, least = _cut(area, lines, channels), math.inf
    for blocks in _counts(lines, team):
        made = _cut(area, blocks, channels)
        if blocks < lines and 4 * made.private > SECOND * target.l2:
            continue
        products = len(area.jobs) * made.stage * area.tile[0] * area.taps * area.channels
        cycles = products / target.lanes / 2 + 500
        cycles += 0 if area.direct else BROUGHT * made.plane * area.channels
        cycles *= -(-images * blocks // team)
        if cycles < least:
            best, least = made, cycles
    return best, least


def _counts(lines: int, team: int) -> Iterator[int]:
    """Give numbers of blocks: the fewest for each height, and as many as all threads share."""
    blocks = 1
    while True:
        yield blocks
        yield min(-(-blocks // team) * team, lines)
        rows = -(-lines // blocks)
        if rows == 1:
            return
        blocks = -(-lines // (rows - 1))


def _cut(area: Area, blocks: int, channels: int) -> Cut:
    outputs, pixels = area.tile
    rows = -(-area.result[0] // blocks)
    stage = -(-((rows - 1) * area.pitch + area.result[1]) // pixels) * pixels
    rest = area.width - area.pitch
    held = 0 if area.direct else plane((rows + area.reach) * area.pitch + rest)
    table = 2 * channels * area.taps
    private = len(area.jobs) * (table + outputs * stage) + channels * held
    return Cut(blocks, stage, held, rounded(private + pixels))
