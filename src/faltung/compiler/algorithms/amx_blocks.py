"""How sums on a matrix unit are cut into passes and tasks, and what they cost.

The rates are measured ones of server cores with AMX (tiles) and estimates of their vector units
(what is brought and written); they decide between plans, and promise nothing.
"""

import math
from dataclasses import dataclass

from faltung.compiler.algorithms.amx import PIXELS
from faltung.compiler.algorithms.amx_form import DEPTH, OUTPUTS
from faltung.compiler.algorithms.amx_pixels import TAIL
from faltung.compiler.algorithms.amx_products import PIECES
from faltung.compiler.algorithms.amx_weights import Layout
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.emit.tiles import PAIRS, ROWS
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target

UNIT = 16  # cycles of a product of two registers: 16 x 16 sums of 32 products
STEP = 4 * UNIT  # of a product of two pairs of registers
FMA = 32 * 0.85  # products a cycle of vectors of 16, as a whole kernel reaches them
SAVED = 1.5  # how much faster Winograd's method is than that
BROUGHT = {"channels": 0.4, "rows": 0.9, "any": 2.5}  # cycles an element, into a row
SPLIT = 0.35  # cycles an element and piece
WRITTEN = {"channels": 0.3, "rows": 0.6, "any": 2.0}  # cycles an element, from staging
STREAM = 16  # bytes a cycle of weights, from beyond the second cache
FOLDED = 0.75  # of the steps at most, for the taps of a row to be taken together
BLOCK = 512  # channels of a pass at most: farther pixels would fall into the same lines of a cache
TOGETHER = 32  # images of a task at most
LINE = 32  # bfloat16 elements of a cache line
LINES = 256  # rows of a task at most


@dataclass(frozen=True)
class Work:
    """A correlation as a group of a problem sees it.

    Attributes:
        problem: The problem.
        job: The correlation.
        channels: Channels that are summed over.
        outputs: Channels that come out.
        products: bfloat16 products that make one product.
    """

    problem: Problem
    job: Correlation
    channels: int
    outputs: int
    products: int

    @property
    def pitch(self) -> int:
        """Outputs from one row to the next: those between, that none asks for, included."""
        reach = self.job.dilation[1] * (self.job.window[1] - 1) + 1
        return self.job.result[1] - 1 + -(-reach // self.job.stride[1])

    @property
    def reach(self) -> int:
        """Rows of a phase that a row of outputs reaches over."""
        reach = self.job.dilation[0] * (self.job.window[0] - 1) + 1
        return -(-reach // self.job.stride[0])

    @property
    def pieces(self) -> int:
        """Pieces of a number."""
        return PIECES[self.products]

    @property
    def channels_left(self) -> bool:
        """Rows of pixels stay rows: the outputs are the left factor.

        Where few channels leave a step half empty, all taps of a row are better taken together,
        and for that the channels must lie side by side.
        """
        sides = {layout(strides[:4]) for strides in (self.job.source, self.job.target)}
        folded, apart = self._layouts()
        return sides == {"rows"} and folded.depth > FOLDED * apart.depth

    def weights(self) -> Layout:
        """Cut the sum into passes, and its rows of taps into segments."""
        folded, apart = self._layouts()
        if self.channels_left:
            return apart
        near = self.job.dilation[1] == 1 and self.job.window[1] > 1
        return folded if near and folded.depth < apart.depth else apart

    def _layouts(self) -> tuple[Layout, Layout]:
        """Return the weights with the taps of a row together, and apart."""
        rows, columns = self.job.window
        most = max(BLOCK // columns, DEPTH)
        divisors = [d for d in range(1, self.channels + 1) if self.channels % d == 0]
        fitting = [d for d in divisors if d <= most and (d % DEPTH == 0 or d == self.channels)]
        block = max(fitting, default=self.channels)
        cut = (self.outputs, self.channels // block, block, rows, columns)
        return Layout(*cut, folded=self.job.dilation[1] == 1), Layout(*cut, folded=False)

    def moved(self, places: int, written: int) -> float:
        """Return the cycles of bringing places of the input and writing elements of the output."""
        source, sink = (layout(strides[:4]) for strides in (self.job.source, self.job.target))
        if self.channels_left:
            source = sink = "channels"  # nothing is transposed
        brought = self.channels * (BROUGHT[source] + SPLIT * self.pieces)
        return places * brought + written * WRITTEN[sink]

    def cycles(self) -> float:
        """Return the cycles of one image and group on one core, ragged edges included."""
        weights, pixels = self.weights(), self.job.result[0] * self.pitch
        sums = pixels / PIXELS * weights.tiles * weights.depth * self.products * STEP
        written = math.prod(self.job.result) * self.outputs
        return sums + self.moved(pixels * math.prod(self.job.stride), written)

    def vector_cycles(self) -> float:
        """Return the cycles that vector instructions would take for the same."""
        job, cells = self.job, math.prod(self.job.result)
        macs = cells * self.outputs * self.channels * math.prod(job.window)
        winograd = job.window == (3, 3) and job.stride == job.dilation == (1, 1)
        full = self.outputs / (-(-self.outputs // ROWS) * ROWS)
        speed = FMA * full * (SAVED if winograd and min(self.channels, self.outputs) >= 32 else 1)
        return macs / speed + cells * self.outputs * 0.2


@dataclass(frozen=True)
class Cut:
    """What a task does.

    Attributes:
        rows: Rows of an image.
        together: Images, more than one only where all their rows are.
        chunks: Parts of the tiles of outputs, each a task of its own.
        pixels: Pixels of a task, those between two rows included, in whole tiles.
        staged: float32 elements of the staging buffer.
        panel: The same of the panel.
        plane: bfloat16 elements from a phase of a panel to the next.
        pair: The same from a pair of channels to the next, with the outputs on the left.
        private: float32 elements of workspace of a thread.
        tasks: How many tasks.
        cycles: What all tasks of the slowest thread are expected to take.
    """

    rows: int
    together: int
    chunks: int
    pixels: int
    staged: int
    panel: int
    plane: int
    pair: int
    private: int
    tasks: int
    cycles: float


def cut(work: Work, weights: Layout, target: Target, team: int) -> Cut:
    """Choose what makes the slowest thread fastest while a panel fits the second cache.

    Cycles of a task: register products, elements brought and written, and the weights, which come
    from beyond that cache once for each task.
    """
    lines, images = work.job.result[0], work.problem.images
    chunks = sorted({1, min(team, weights.tiles), min(2 * team, weights.tiles)})
    best = min((_option(work, weights, team, 1, 1, parts) for parts in chunks), key=_cost)
    wider = [(rows, 1) for rows in range(2, min(lines, LINES) + 1)]
    for rows, together in wider + [(lines, n) for n in range(2, min(images, TOGETHER) + 1)]:
        made = [_option(work, weights, team, rows, together, parts) for parts in chunks]
        if 4 * made[0].private > target.l2 / 2:
            break
        found = min(made, key=_cost)
        if found.cycles < best.cycles * 0.995:
            best = found
    return best


def _cost(made: Cut) -> float:
    return made.cycles


def _option(work: Work, weights: Layout, team: int, rows: int, together: int, chunks: int) -> Cut:
    """Return a cut into so many rows, images and chunks of outputs, and its cost."""
    job, pitch = work.job, work.pitch
    slot = rows - 1 + work.reach
    count = ((together - 1) * slot + rows - 1) * pitch + job.result[1]
    pixels = -(-count // PIXELS) * PIXELS
    rooms = _rows_of_pairs if work.channels_left else _rows_of_channels
    staged, panel, plane, pair, line = rooms(work, weights, together * slot * pitch, pixels)
    private = staged + panel + rows * job.result[1] * 2 + line
    in_chunk = -(-weights.tiles // chunks)
    blocks, sets = -(-job.result[0] // rows), -(-work.problem.images // together)
    tasks = sets * work.problem.groups * blocks * -(-weights.tiles // in_chunk)
    sums = pixels / PIXELS * in_chunk * weights.depth * work.products * STEP
    places = together * slot * job.stride[0] * pitch * job.stride[1]
    moved = work.moved(places, together * rows * job.result[1] * in_chunk * OUTPUTS)
    stream = in_chunk * weights.depth * work.pieces * 2 * 1024 / STREAM
    cycles = -(-tasks // team) * (sums + moved + stream + 500)
    return Cut(
        rows, together, chunks, pixels, staged, panel, plane, pair, private, tasks, cycles
    )  # fmt: skip


def _rows_of_channels(
    work: Work, weights: Layout, places: int, pixels: int
) -> tuple[int, int, int, int, int]:
    """Return staging, panel, plane, 0 and line of `amx_pixels`, for so many places of a phase."""
    across = work.job.stride[1] * weights.block
    plane = -(-(places * across + PIXELS * across + 2 * TAIL) // TAIL) * TAIL
    panel = plane * work.job.stride[0] * weights.passes * work.pieces
    line = work.pitch * work.job.stride[1] * work.channels + PAIRS
    return pixels * OUTPUTS, panel // 2, plane, 0, line


def _rows_of_pairs(
    work: Work, weights: Layout, places: int, pixels: int
) -> tuple[int, int, int, int, int]:
    """Return staging, panel, plane, pair and line of `amx_channels`.

    A pair is an odd number of cache lines, so that those of a register do not meet in one place.
    """
    rows, columns = work.job.stride
    plane = -(-(places + PIXELS) * 2 // LINE) * LINE
    pair = (plane * rows * columns // LINE | 1) * LINE
    panel = pair * PAIRS * weights.passes * weights.steps * work.pieces
    line = 2 * (work.pitch * columns + PAIRS * (columns + 1))
    return OUTPUTS * (pixels + ROWS), panel // 2, plane, pair, line
