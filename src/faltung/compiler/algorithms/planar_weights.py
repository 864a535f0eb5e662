"""Weights packed for tiles of few outputs: [group][tile][channel][row of taps][column][output].

The vectors of a convolution in planes hold pixels; a weight is read as one element, so that a tile
holds as many outputs as it sums, fewer than a vector has elements.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.emit import Code, Int, Pointer, Program
from faltung.compiler.target import Target

TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "groups", "outputs", "channels", "rows", "columns", "weight_group", "weight_output",
    "weight_channel", "weight_row", "weight_column", "weight_offset", "run", "pitch",
)  # fmt: skip


@dataclass(frozen=True)
class Pack:
    """The kernel.

    Attributes:
        kind: Element type of the weights.
        outputs: Outputs of a tile, at most the elements of a vector.
    """

    kind: str
    outputs: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("pack") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            tiles = (a.outputs + (self.outputs - 1)) // self.outputs
            first, last = code.share(a.groups * tiles)
            with code.loop(last, first) as task:
                tile, group = task % tiles, task // tiles
                base = a.weights + a.weight_offset + group * a.weight_group
                base = base + tile * self.outputs * a.weight_output
                count = code.smaller(a.outputs - tile * self.outputs, self.outputs)
                lines = [
                    base + code.smaller(count - 1, k) * a.weight_output for k in range(self.outputs)
                ]
                to = a.prepared + task * a.pitch
                with code.either(a.run >= code.lanes) as (squares, single):
                    with squares:
                        _turn(code, a, lines, to)
                    with single:
                        _gather(code, a, lines, to)
        return program


def _turn(code: Code, a: Any, lines: list[Pointer], to: Pointer) -> None:
    """Pack weights of which those of an output lie side by side, in squares.

    A vector reaches over the next weights' places, which are written later, and at the end of a
    tile over room that is left there. The last square overlaps the one before.
    """
    lanes, outputs = code.lanes, len(lines)
    with code.loop((a.run + (lanes - 1)) // lanes) as step:
        at = code.smaller(step * lanes, a.run - lanes)
        square = [code.load(line + at) for line in lines]
        square += square[-1:] * (lanes - outputs)
        start = code.settled(to + at * outputs)
        for i, vector in enumerate(code.transposed(square)):
            code.store(vector, start + i * outputs)


def _gather(code: Code, a: Any, lines: list[Pointer], to: Pointer) -> None:
    """Pack weights element by element."""
    with code.loop(a.channels) as c, code.loop(a.rows) as r, code.loop(a.columns) as s:
        at: Int = c * a.weight_channel + r * a.weight_row + s * a.weight_column
        out = to + ((c * a.rows + r) * a.columns + s) * len(lines)
        for k, line in enumerate(lines):
            code.store(code.load(line + at, 1), out + k)
