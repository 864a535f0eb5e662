"""Panels of a matrix unit: rows of input in pieces, so that windows become runs of memory.

[piece][pass][phase][row][column][channel], bfloat16. Row j of a block is row j // stride of phase
j % stride, and there are stride times as many columns as outputs of a panel row. So the input under
output p of the block, outputs counted row by row with those between two rows among them, begins
p * stride * channels elements behind that under output 0, whatever the tap: a register of 16
neighbouring outputs is one load.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import panel
from faltung.compiler.emit import Code, Index, Int, Pointer, Variable, shorts
from faltung.compiler.emit.tiles import PAIRS

TAIL = 32  # zeros behind a phase: a last step reads them, and meets weights that are zero


@dataclass(frozen=True)
class Pieces:
    """Where the pieces of a block go.

    Attributes:
        base: First element, "bf16".
        count: Pieces of a number.
        plane: Elements from one phase to the next.
        stride: Phases, the step of the window along the height.
        passes: Blocks of channels.
    """

    base: Pointer
    count: int
    plane: Int
    stride: Int
    passes: Int

    @property
    def step(self) -> Int:
        """Elements from one block of channels to the next."""
        return self.stride * self.plane

    @property
    def piece(self) -> Int:
        """Elements from one piece to the next."""
        return self.passes * self.step


def fill(
    code: Code,
    source: panel.Source,
    line: panel.Panel,
    pieces: Pieces,
    first: Index,
    left: Int,
    rows: tuple[Index, Int],
    worst: Variable,
) -> None:
    """Bring an image's rows into a panel.

    Args:
        code: The function being written.
        source: Where the elements come from.
        line: Room for a row, all its blocks, and a vector more; float32.
        pieces: Where they go.
        first: Row of the image that comes first.
        left: Columns of padding on the left.
        rows: The first row of each phase in the panel, and how many rows each phase gets.
        worst: Gathers the largest magnitudes.
    """
    length = line.width * line.channels
    code.store(code.fill(0, PAIRS), line.base + pieces.passes * length)
    begin, count = rows
    with code.loop(count * pieces.stride) as row:
        panel.fill(code, source, line, -1 * (row + first), left, code.constant(1))
        to = pieces.base + row % pieces.stride * pieces.plane
        to = to + (row // pieces.stride + begin) * length
        with code.loop(pieces.passes) as part, code.loop(length, 0, PAIRS) as at:
            value = code.load(line.base + part * length + at, PAIRS)
            worst.set(code.largest(worst.get(), value))
            for number, piece in enumerate(shorts.pieces(code, value, pieces.count)):
                shorts.store(code, piece, to + number * pieces.piece + part * pieces.step + at)


def end(code: Code, pieces: Pieces, rows: Index, length: Int) -> None:
    """Write the zeros behind the last of so many rows of each phase."""
    zeros: Any = code.fill(0, PAIRS)
    with code.loop(pieces.passes * pieces.stride) as phase:
        for number in range(pieces.count):
            at = pieces.base + number * pieces.piece + phase * pieces.plane + rows * length
            for half in range(0, TAIL, PAIRS):
                shorts.store(code, zeros, at + half)
