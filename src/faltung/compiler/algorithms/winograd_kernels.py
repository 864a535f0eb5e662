"""Winograd's transform of the weights: [tile of outputs][element][channel][output].

Elements are a cache line further apart than their channels need: at a distance of a power of two
they would all fall into the same few lines of a cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import weights
from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments, rounded
from faltung.compiler.algorithms.runs import run_of
from faltung.compiler.algorithms.toom_cook import matrices
from faltung.compiler.algorithms.winograd_input import (
    begin_flags,
    judge,
    judged,
    transformed,
)
from faltung.compiler.emit import Code, Int, Pointer, Program, Vector
from faltung.compiler.plan import Preparation, Step
from faltung.compiler.target import Target

TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "channels", "outputs",
    "weight_output", "weight_channel", "weight_row", "weight_column", "weight_offset",
    "run_length", "run_first", "run_rows", "run_columns", "run_channels", "run_block",
    "tiles", "private", "kept",
)  # fmt: skip
LINE = 16  # float32 elements of a cache line
BLOCK = 64  # channels at most whose weights are packed at once


@dataclass(frozen=True)
class Transform:
    """What the kernel that transforms all weights at once is specialised on.

    Attributes:
        kind: Element type of the weights.
        outputs: m, the outputs of a tile along one axis.
        taps: r, the taps of the window along one axis.
        width: Output channels of a tile.
    """

    kind: str
    outputs: int
    taps: int
    width: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("transform") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            begin_flags(code, a)
            packed = a.workspace + FLAGS + code.thread * a.private
            table = (packed + a.run_block * (self.taps**2 * self.width)).cast("i64")
            size = (self.outputs + self.taps - 1) ** 2
            first, last = code.share(a.tiles)
            with code.loop(last, first) as number:
                to = a.prepared + a.kept + number * (pitch(a.channels, self.width) * size)
                transform(code, self, a, self.width, number, packed, to, table)
        return program


def walk(channels: int, taps: int, strides: tuple[int, ...]) -> tuple[int, ...]:
    """Return how weights are read, a block of channels after the other: a run, and the block."""
    block = max(d for d in range(1, min(channels, BLOCK) + 1) if channels % d == 0)
    return *run_of(block, (taps, taps), *strides), block


def pitch(channels: Any, width: int) -> Any:
    """Return the float32 elements from one transformed element to the next."""
    return channels * width + LINE


def room(block: int, taps: int, width: int, run: int) -> int:
    """Return the float32 elements for a block of weights as they are, and a table of a run."""
    return block * taps**2 * width + 2 * run


def preparation(
    spec: Transform,
    channels: int,
    outputs: int,
    kernels: Sequence[tuple[int, ...]],
    threads: int,
) -> tuple[Preparation, int]:
    """Return what transforms several kernels, one behind the other, and its bytes of workspace.

    A kernel is given by the strides from one output, channel, row and column to the next, and its
    offset.
    """
    tiles = -(-outputs // spec.width)
    size = tiles * (spec.outputs + spec.taps - 1) ** 2 * pitch(channels, spec.width)
    steps, most = [], 0
    for number, strides in enumerate(kernels):
        run = walk(channels, spec.taps, strides[1:4])
        private = rounded(room(run[-1], spec.taps, spec.width, run[0]))
        numbers = (channels, outputs, *strides, *run, tiles, private, number * size)
        steps.append(Step(spec, numbers, guards=True))
        most = max(most, 4 * (FLAGS + threads * private))
    return Preparation(4 * size * len(steps), tuple(steps), optional=True, pays=True), most


def transform(
    code: Code,
    spec: Any,
    a: Any,
    width: int,
    number: Int,
    packed: Pointer,
    kernels: Pointer,
    table: Pointer,
) -> None:
    """Pack the weights of a tile of outputs and transform them to [element][channel][output].

    A block of channels after the other, so that packed ones stay in the first caches.

    Args:
        code: The function being written.
        spec: Says `outputs` and `taps` of a tile.
        a: The arguments, those of `SIZES` among them.
        width: Output channels of a tile.
        number: Of the tile.
        packed: Room for a block of weights as they are.
        kernels: Where they go.
        table: Room for a table of a run.
    """
    taps = code.constant(spec.taps)
    block = a.run_block
    packing = weights.Packing(a.outputs, block, (taps, taps), block, width)
    strides = weights.Strides(
        code.constant(0), a.weight_output, a.weight_channel, a.weight_row, a.weight_column
    )
    run = weights.Run(a.run_length, a.run_first, a.run_rows, a.run_columns, a.run_channels)
    _, matrix, _ = matrices(spec.outputs, spec.taps)
    size = spec.outputs + spec.taps - 1
    worst = code.variable(code.fill(0))
    with code.loop(a.channels // block) as part:
        source = a.weights + a.weight_offset + part * block * a.weight_channel
        weights.pack_tile(code, packing, source, strides, run, number, packed, table)
        with code.loop(block) as c, code.loop(width, 0, code.lanes) as j:
            start = packed + c * width + j
            to = kernels + (part * block + c) * width + j

            def row(r: Int, start: Pointer = start) -> list[Vector]:
                at = code.settled(start + r * (block * (spec.taps * width)))
                loaded = [code.load(at + block * (s * width)) for s in range(spec.taps)]
                return judged(code, worst, loaded)

            def put(n: Int, values: list[Vector], to: Pointer = to) -> None:
                at = code.settled(to + pitch(a.channels, width) * n)
                for i, value in enumerate(values):
                    code.store(value, at + pitch(a.channels, width) * (i * size))

            transformed(code, matrix, row, put)
    judge(code, a, worst)
