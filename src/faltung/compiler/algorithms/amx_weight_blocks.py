"""How the weight gradient on a matrix unit is cut into blocks and slices, and what they cost.

As in `amx_blocks`, the rates decide between plans, and promise nothing.
"""

import math
from dataclasses import dataclass

from faltung.compiler.algorithms.amx_blocks import BROUGHT, SPLIT, Work
from faltung.compiler.algorithms.amx_blocks import STEP as CYCLES
from faltung.compiler.algorithms.amx_weight_panel import SQUARE, STEP, TILE, WIDTH
from faltung.compiler.algorithms.argument_block import FLAGS, rounded
from faltung.compiler.problem import layout
from faltung.compiler.target import Target

SUMS = 2**20  # bytes that all parts of the sums may take together, where one part is less
PARTS = 8
PLACES = 1024  # of a block at most, where it has more than a row
TOGETHER = 32  # images of a block at most
LEAST = 64  # channels of a slice, where there are as many
TURN = 300  # cycles of four registers of sums from memory and back
FAR = 2  # times as many where the sums of a task leave the second cache
TURNED = {"rows": "channels", "channels": "rows", "any": "any"}  # by channels, rows stay rows
TYPICAL = 128  # channels of a slice and outputs of a chunk that the size of a block is chosen for


def image_cycles(work: Work) -> float:
    """Return the cycles of one image and group on one core, in blocks and slices that fit well."""
    block = block_of(work, work.job.result[0], 1)
    tiles = -(-work.outputs // WIDTH)
    turns = [max(1, round(n / TYPICAL)) for n in (work.channels, work.outputs)]
    used = block.slot * block.pitch
    brought = _input_cycles(work, used, work.channels) * turns[1]
    brought += _gradient_cycles(work, used, tiles) * turns[0]
    registers = -(-work.channels // TILE) * tiles * math.prod(work.job.window)
    return brought + registers * used / STEP * work.products * CYCLES


def _input_cycles(work: Work, places: float, channels: int) -> float:
    """Return the cycles of bringing so many places of every phase of so many channels."""
    source = layout(work.job.source[:4])
    if source == "channels" and work.channels < SQUARE:
        source = "any"
    each = BROUGHT[TURNED[source]] + SPLIT * work.pieces
    return places * math.prod(work.job.stride) * channels * each


def _gradient_cycles(work: Work, places: float, tiles: int) -> float:
    """Return the cycles of bringing so many places of so many tiles of outputs."""
    each = BROUGHT[layout(work.job.target[:4])] + SPLIT * work.pieces
    return places * tiles * WIDTH * each


@dataclass(frozen=True)
class Block:
    """What is summed over at once.

    Attributes:
        rows: Rows of outputs.
        together: Images, more than one only where all their rows are.
        pitch: Columns of a phase of the panel, at least those of outputs.
        reach: Rows of a phase that an image takes beyond those of outputs, and one.
        slot: Rows of a phase that an image takes.
        pixels: Places, in whole steps.
        plane: Elements of a phase.
    """

    rows: int
    together: int
    pitch: int
    reach: int
    slot: int
    pixels: int
    plane: int


def block_of(work: Work, rows: int, together: int) -> Block:
    """Return the block of so many rows of outputs and images."""
    job = work.job
    (lines, columns), reach = job.result, work.reach
    pitch = _shared(work.pitch, columns, job.size[1], job.stride[1], -job.origin[1])
    if rows == lines:
        whole = lines - 1 + reach
        reach = _shared(whole, lines, job.size[0], job.stride[0], -job.origin[0]) - lines + 1
    slot = rows - 1 + reach
    count = ((together - 1) * slot + rows - 1) * pitch + columns
    pixels = -(-count // STEP) * STEP
    down, across = work.reach - 1, work.pitch - columns
    used = max(down * pitch + across + pixels, together * slot * pitch)
    plane = -(-(used + SQUARE) // SQUARE) * SQUARE
    return Block(rows, together, pitch, reach, slot, pixels, plane)


def _shared(whole: int, outputs: int, size: int, stride: int, before: int) -> int:
    """Return from where on a line of a phase may be the next one's padding.

    What is left out behind must be padding, and must meet padding in front of the next line.
    """
    inside = -(-(before + size) // stride)
    return min(whole, max(inside, whole - max(before, 0) // stride, outputs))


def apart(work: Work, plane: int) -> int:
    """Return the elements from one channel to the next: an odd number of cache lines."""
    lines = -(-plane * math.prod(work.job.stride) // STEP)
    return (lines + 1 - lines % 2) * STEP


def line_room(work: Work, block: Block) -> tuple[int, int]:
    """Return float32 elements of a line of a channel, and of one of an output."""
    length = -(-block.pitch // SQUARE) * SQUARE * work.job.stride[1] + 2 * SQUARE
    return rounded(length), rounded(work.job.result[1])


def private(work: Work, block: Block, slice_: int, in_chunk: int) -> int:
    """Return the float32 elements that a thread needs."""
    padded = -(-slice_ // TILE) * TILE
    lines = SQUARE * sum(line_room(work, block)) + 2 * SQUARE + (block.pixels + SQUARE) * WIDTH
    gradient = block.pixels * in_chunk * WIDTH * work.pieces // 2
    panel = padded * apart(work, block.plane) * work.pieces // 2
    return lines + gradient + panel + SQUARE


def _unit_cycles(work: Work, block: Block, slice_: int, in_chunk: int, target: Target) -> float:
    """Return the cycles of one block, for one slice of channels and one chunk of tiles."""
    used = block.together * block.slot * block.pitch
    registers = -(-slice_ // TILE) * in_chunk * math.prod(work.job.window)
    held = 4 * (private(work, block, slice_, in_chunk) + registers * TILE * WIDTH)
    turn = TURN * (FAR if held > 0.75 * target.l2 else 1)
    brought = _input_cycles(work, used, slice_) + _gradient_cycles(work, block.pixels, in_chunk)
    return brought + registers * (block.pixels / STEP * work.products * CYCLES + turn) + 500


def _chosen(work: Work, target: Target) -> Block:
    """Choose rows and images of a block, so that an output costs least."""
    lines, images = work.job.result[0], work.problem.images
    slice_, tiles = min(work.channels, TYPICAL), min(-(-work.outputs // WIDTH), TYPICAL // WIDTH)
    heights = sorted({-(-lines // n) for n in range(1, lines + 1)})
    options = [block_of(work, rows, 1) for rows in heights]
    options += [block_of(work, lines, n) for n in range(2, min(images, TOGETHER) + 1)]
    fitting = [
        block
        for block in options
        if block.pixels <= PLACES and 4 * private(work, block, slice_, tiles) <= target.l2 / 2
    ]

    def cost(block: Block) -> float:
        blocks = -(-lines // block.rows) * -(-images // block.together)
        return _unit_cycles(work, block, slice_, tiles, target) * blocks

    return min(fitting, key=cost, default=options[0])


def slices(channels: int) -> list[int]:
    """Return how many channels a slice may have, few first."""
    divisors = (d for d in range(1, channels + 1) if channels % d == 0)
    return [d for d in divisors if d == channels or d % TILE == 0 or d >= LEAST]


@dataclass(frozen=True)
class Cut:
    """What a task does.

    Attributes:
        block: What is summed over at once.
        parts: Parts of the pixels, each summed apart.
        slice: Channels of a slice.
        in_chunk: Tiles of outputs of a chunk.
        private: float32 elements of workspace of a thread.
        team: Threads that have something to do.
        cycles: What all tasks of the slowest thread are expected to take.
    """

    block: Block
    parts: int
    slice: int
    in_chunk: int
    private: int
    team: int
    cycles: float


def cut(work: Work, target: Target, threads: int) -> Cut:
    """Choose what makes the slowest thread fastest while panels fit the second cache.

    Blocks and parts, which the bits of the sums depend on, know nothing of the threads.
    """
    block = _chosen(work, target)
    tiles, groups = -(-work.outputs // WIDTH), work.problem.groups
    units = -(-work.job.result[0] // block.rows) * -(-work.problem.images // block.together)
    sums = groups * tiles * WIDTH * math.prod(work.job.window) * work.channels
    parts = max(1, min(PARTS, units, SUMS // (4 * sums)) // 2 * 2)  # two threads share them evenly
    fitting, best = slices(work.channels), None
    most = max(0.75 * target.l2, 4 * private(work, block, fitting[0], 1))
    for slice_ in reversed(fitting):
        for in_chunk in sorted({-(-tiles // n) for n in range(1, tiles + 1)}, reverse=True):
            own = private(work, block, slice_, in_chunk)
            if 4 * own > most:
                continue
            tasks = parts * groups * (work.channels // slice_) * -(-tiles // in_chunk)
            team = min(threads, tasks, FLAGS // 2)
            turns = -(-tasks // team) * -(-units // parts)
            cycles = turns * _unit_cycles(work, block, slice_, in_chunk, target)
            if best is None or cycles < best.cycles * 0.995:
                best = Cut(block, parts, slice_, in_chunk, own, team, cycles)
    if best is None:
        raise AssertionError("the first slice, of one tile, always fits")
    return best
