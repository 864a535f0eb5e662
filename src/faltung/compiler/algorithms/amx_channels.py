"""Channels on the left of a matrix unit: the pixels stay side by side, as in NCHW tensors.

[piece][pair of channels][phase row][phase column][row][column][2], bfloat16: two rows of the image
woven into one. Element (y, x) of a block is row y // stride of phase y % stride, and so along x, so
that neighbouring outputs meet neighbouring elements whatever the stride and the tap: a register of
16 pairs of channels by 16 outputs is one load. Sums are [output][pixel]. Nothing is transposed.
"""

from typing import Any

from faltung.compiler.algorithms import output, panel, planes
from faltung.compiler.algorithms.amx_form import OUTPUTS, Operand
from faltung.compiler.algorithms.phases import one_of_two
from faltung.compiler.emit import Code, Index, Int, Pointer, Variable, Vector, shorts
from faltung.compiler.emit.tiles import PAIRS, ROWS


class ChannelsLeft:
    """A panel, its products and its sums; see `amx_form.Form`.

    Args:
        code: The function being written.
        a: Its arguments.
        pieces: Pieces of a number.
        base: Where the panel begins, "bf16".
        line: Room for two rows of a channel, and vectors more behind each; float32.
        staged: Where the sums go.
        step: The stride along the width where it is 1 or 2; 0 where it is any.
    """

    swapped = True

    def __init__(
        self,
        code: Code,
        a: Any,
        pieces: int,
        base: Pointer,
        line: Pointer,
        staged: Pointer,
        step: int,
    ) -> None:
        self._code, self._a, self._pieces, self._base, self._staged = code, a, pieces, base, staged
        self._line, self._step = line, step
        self._piece = a.passes * a.steps * PAIRS * a.pair

    def fill(
        self, source: panel.Source, first: Index, rows: tuple[Index, Int], worst: Variable
    ) -> None:
        """Bring an image's rows into the panel."""
        code, a = self._code, self._a
        begin, count = rows
        columns = a.pitch * a.stride_column
        behind = (a.stride_column + 1) * PAIRS  # a vector may begin at the last column of a phase
        with code.loop((a.channels + 1) // 2) as pair, code.loop(count * a.stride_row) as row:
            y = row + first
            for half in range(2):
                to = self._line + half * (columns + behind)
                panel.zeros(code, to + columns, behind)
                self._row(source, pair * 2 + half, y, to, columns)
            to = self._base + pair * a.pair + row % a.stride_row * a.stride_column * a.plane
            to = to + (row // a.stride_row + begin) * a.pitch * 2
            self._weave(to, columns + behind, worst)

    def _row(self, source: panel.Source, channel: Int, y: Int, to: Pointer, columns: Int) -> None:
        """Copy a row of a channel, padding included; zeros where there is no such row."""
        code, a = self._code, self._a
        height, width = source.size
        low, high = panel.inside(code, a.left, width, columns)
        with code.either((y >= 0) & (y < height) & (channel < a.channels)) as (there, nothing):
            with there:
                panel.zeros(code, to, low)
                panel.zeros(code, to + high, columns - high)
                at = source.base + channel * source.strides[0] + y * source.strides[1]
                panel.copy(code, at + (low - a.left), to + low, high - low)
            with nothing:
                panel.zeros(code, to, columns)

    def _weave(self, to: Pointer, apart: Index, worst: Variable) -> None:
        """Split two rows, and weave them together, each phase of columns by itself."""
        code, a = self._code, self._a
        with code.loop(a.stride_column) as phase, code.loop(a.pitch, 0, PAIRS) as x:
            at = self._line + x * a.stride_column + phase
            values = [self._spread(at + half * apart) for half in range(2)]
            for value in values:
                worst.set(code.largest(worst.get(), value))
            split = (shorts.pieces(code, value, self._pieces) for value in values)
            place = to + phase * a.plane + x * 2
            for number, (first, second) in enumerate(zip(*split, strict=True)):
                shorts.store_pairs(code, first, second, place + number * self._piece)

    def _spread(self, at: Pointer) -> Vector:
        """Return 16 elements that lie a stride apart."""
        if self._step == 1:
            return self._code.load(at, PAIRS)
        if self._step == 2:
            return one_of_two(self._code, at, 0)
        return self._code.gather(at, self._a.stride_column, PAIRS)

    def end(self, rows: Index) -> None:
        """Write zeros where a last step reads channels that do not exist."""
        code, a = self._code, self._a
        first = (a.channels + 1) // 2
        size = (a.passes * a.steps * PAIRS - first) * a.pair
        zeros = code.fill(0, PAIRS)
        for number in range(self._pieces):
            at = self._base + number * self._piece + first * a.pair
            with code.loop(size, 0, PAIRS) as i:
                shorts.store(code, zeros, at + i)
        del rows

    def operand(self, part: Int, tap: tuple[Int, Int], pixel: Int) -> Operand:
        """Return where the input of 32 pixels under a tap is read."""
        a = self._a
        down, across = tap
        phase = down % a.stride_row * a.stride_column + across % a.stride_column
        step = PAIRS * a.pair
        at = self._base + part * a.steps * step + phase * a.plane
        at = at + (down // a.stride_row * a.pitch + across // a.stride_column + pixel) * 2
        return Operand(at, step, self._piece, 2 * ROWS, a.pair * 2)

    def sums(self, pixel: Int, i: int, j: int) -> tuple[Pointer, Index]:
        """Return where a register of sums waits, and the bytes of a row."""
        return self._staged + i * ROWS * self._wide + pixel + j * ROWS, self._wide * 4

    @property
    def _wide(self) -> Any:
        """Elements from an output to the next in the sums: not a power of two."""
        return self._a.pixels + ROWS

    def write(self, sink: output.Sink, first: Int, k: Int, lines: Int) -> None:
        """Write the sums of an image, whose first pixel is given, of 32 outputs from k on."""
        code, a = self._code, self._a
        # Lines that follow each other without a gap are one long line.
        joined = a.target_row.equals(a.columns) & a.pitch.equals(a.columns)
        length = joined.choose(lines * a.columns, a.columns)
        with (
            code.loop(code.smaller(sink.channels - k, OUTPUTS)) as number,
            code.loop(joined.choose(1, lines)) as line,
        ):
            channel = k + number
            from_here = self._staged + number * self._wide + first + line * a.pitch
            to = channel * sink.channel + line * a.target_row

            self._line_of(sink, channel, from_here, to, length)

    def _line_of(
        self, sink: output.Sink, channel: Int, staged: Pointer, to: Int, length: Int
    ) -> None:
        """Write neighbouring pixels of a channel."""
        code = self._code

        def some(x: Index, lanes: int) -> None:
            value = code.load(staged + x, lanes)
            output.finish(code, sink, value, channel, to + x, lanes, across=False)

        planes.ragged(code, length, some)
