"""What stands on which side of a matrix unit, and in which order it lies in memory."""

from dataclasses import dataclass
from typing import Protocol

from faltung.compiler.algorithms import output, panel
from faltung.compiler.emit import Index, Int, Pointer, Variable

OUTPUTS = 32  # outputs of a tile: two registers
DEPTH = 32  # products of a step
HALF = 512  # bfloat16 elements of a register


@dataclass(frozen=True)
class Operand:
    """Where two registers of one step are read.

    Attributes:
        at: The first, of the first piece.
        step: Elements from a step to the next.
        piece: Elements from a piece to the next.
        second: Elements from the first register to the second.
        stride: Bytes from a row to the next.
    """

    at: Pointer
    step: Index
    piece: Index
    second: Index
    stride: Index


class Form(Protocol):
    """The input of a task in a panel, how it is multiplied, and the sums that come of it.

    Attributes:
        swapped: The input is the right factor.
    """

    swapped: bool

    def fill(
        self, source: panel.Source, first: Index, rows: tuple[Index, Int], worst: Variable
    ) -> None:
        """Bring an image's rows into the panel.

        Args:
            source: Where the elements come from.
            first: Row of the image that comes first.
            rows: The first row of each phase in the panel, and how many rows each phase gets.
            worst: Gathers the largest magnitudes.
        """

    def end(self, rows: Index) -> None:
        """Finish a panel of so many rows of each phase."""

    def operand(self, part: Int, tap: tuple[Int, Int], pixel: Int) -> Operand:
        """Return where the first step of a segment reads the input of 32 pixels.

        Args:
            part: The pass.
            tap: Rows and columns from the first tap to this one.
            pixel: The first pixel.
        """

    def sums(self, pixel: Int, i: int, j: int) -> tuple[Pointer, Index]:
        """Return where the register of row i and column j of a tile waits, and bytes of a row."""

    def write(self, sink: output.Sink, first: Int, k: Int, lines: Int) -> None:
        """Write the sums of an image, whose first pixel is given, of 32 outputs from k on."""
