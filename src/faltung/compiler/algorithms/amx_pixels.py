"""Pixels on the left of a matrix unit: panels of rows with the channels side by side.

[piece][pass][phase][row][column][channel], bfloat16. Row j of a block is row j // stride of phase
j % stride, and there are stride times as many columns as outputs of a panel row. So the input under
output p of the block, outputs counted row by row with those between two rows among them, begins
p * stride * channels elements behind that under output 0, whatever the tap: a register of 16
neighbouring outputs is one load. Sums are [pixel][output].
"""

from typing import Any

from faltung.compiler.algorithms import output, panel
from faltung.compiler.algorithms.amx_form import DEPTH, OUTPUTS, Operand
from faltung.compiler.emit import Code, Index, Int, Pointer, Variable, shorts
from faltung.compiler.emit.tiles import PAIRS, ROWS

TAIL = 32  # zeros behind a phase: a last step reads them, and meets weights that are zero


class PixelsLeft:
    """A panel, its products and its sums; see `amx_form.Form`.

    Args:
        code: The function being written.
        a: Its arguments.
        pieces: Pieces of a number.
        base: Where the panel begins, "bf16".
        line: Room for a row of all channels, and a vector more; float32.
        staged: Where the sums go.
    """

    swapped = False

    def __init__(
        self, code: Code, a: Any, pieces: int, base: Pointer, line: Pointer, staged: Pointer
    ) -> None:
        self._code, self._a, self._pieces, self._base, self._staged = code, a, pieces, base, staged
        columns = a.pitch * a.stride_column
        self._length = columns * a.block  # of a row of a block of channels
        self._row = panel.Panel(line, a.block, a.channels, self._length, columns)
        self._pass = a.stride_row * a.plane
        self._piece = a.passes * self._pass

    def fill(
        self, source: panel.Source, first: Index, rows: tuple[Index, Int], worst: Variable
    ) -> None:
        """Bring an image's rows into the panel."""
        code, a = self._code, self._a
        code.store(code.fill(0, PAIRS), self._row.base + a.passes * self._length)
        begin, count = rows
        with code.loop(count * a.stride_row) as row:
            panel.fill(code, source, self._row, -1 * (row + first), a.left, code.constant(1))
            to = self._base + row % a.stride_row * a.plane
            to = to + (row // a.stride_row + begin) * self._length
            with code.loop(a.passes) as part, code.loop(self._length, 0, PAIRS) as at:
                value = code.load(self._row.base + part * self._length + at, PAIRS)
                worst.set(code.largest(worst.get(), value))
                for number, piece in enumerate(shorts.pieces(code, value, self._pieces)):
                    shorts.store(code, piece, to + number * self._piece + part * self._pass + at)

    def end(self, rows: Index) -> None:
        """Write the zeros behind the last of so many rows of each phase."""
        code, a = self._code, self._a
        zeros = code.fill(0, PAIRS)
        with code.loop(a.passes * a.stride_row) as phase:
            for number in range(self._pieces):
                at = self._base + number * self._piece + phase * a.plane + rows * self._length
                for half in range(0, TAIL, PAIRS):
                    shorts.store(code, zeros, at + half)

    def operand(self, part: Int, tap: tuple[Int, Int], pixel: Int) -> Operand:
        """Return where the input of 32 pixels under a tap is read."""
        a = self._a
        down, across = tap
        apart = a.stride_column * a.block
        at = self._base + part * self._pass + down % a.stride_row * a.plane
        at = at + (down // a.stride_row * a.pitch + pixel) * apart
        at = at + across * a.block
        return Operand(at, DEPTH, self._piece, apart * ROWS, apart * 2)

    def sums(self, pixel: Int, i: int, j: int) -> tuple[Pointer, Index]:
        """Return where a register of sums waits, and the bytes of a row."""
        return self._staged + (pixel + i * ROWS) * OUTPUTS + j * ROWS, 4 * OUTPUTS

    def write(self, sink: output.Sink, first: Int, k: Int, lines: Int) -> None:
        """Write the sums of an image, whose first pixel is given, of 32 outputs from k on."""
        a = self._a
        area = (lines, a.columns, a.pitch)
        from_here = self._staged + first * OUTPUTS
        output.write(self._code, sink, from_here, OUTPUTS, k, area, a.target_row)
