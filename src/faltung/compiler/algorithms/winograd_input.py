"""What Winograd's algorithms share: transforms of vectors, input tiles, and the flags.

Workspace begins with one flag a thread; the transformed input follows as [element][tile][channel].
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Protocol

from faltung.compiler.algorithms import panel
from faltung.compiler.algorithms.argument_block import flag
from faltung.compiler.algorithms.toom_cook import Matrix, matrices
from faltung.compiler.emit import Code, Int, Pointer, Variable, Vector

LARGEST = 2.0**48  # so that no sum of products of transformed numbers overflows


class Tiles(Protocol):
    """How the input is cut into tiles."""

    @property
    def source(self) -> str:
        """Layout of the input."""

    @property
    def outputs(self) -> int:
        """Step of the tiles along one axis."""

    @property
    def taps(self) -> int:
        """Numbers that meet a tile along one axis."""

    @property
    def size(self) -> int:
        """Elements of a tile along one axis."""


def applied(code: Code, matrix: Matrix, values: Sequence[Vector]) -> list[Vector]:
    """Multiply a matrix of constants and a column of vectors.

    Two rows that differ in signs only are the sum and the difference of the same two sums.
    """
    results: dict[int, Vector] = {}
    for i, row in enumerate(matrix):
        if i in results:
            continue
        twin = next((j for j in range(i + 1, len(matrix)) if _mirrored(row, matrix[j])), None)
        if twin is None:
            results[i] = _sum(code, row, values)
            continue
        other = matrix[twin]
        even = [a if a == b else Fraction(0) for a, b in zip(row, other, strict=True)]
        odd = [a if a != b else Fraction(0) for a, b in zip(row, other, strict=True)]
        scale = max(odd, key=abs)
        half, rest = _sum(code, even, values), _sum(code, [a / scale for a in odd], values)
        results[i] = _added(code, half, scale, rest)
        results[twin] = _added(code, half, -scale, rest)
    return [results[i] for i in range(len(matrix))]


def _mirrored(row: Sequence[Fraction], other: Sequence[Fraction]) -> bool:
    """Say whether some signs, but not all, are the only difference of two rows."""
    pairs = [(a, b) for a, b in zip(row, other, strict=True) if a or b]
    return {a == b for a, b in pairs} == {True, False} and all(abs(a) == abs(b) for a, b in pairs)


def _sum(code: Code, row: Sequence[Fraction], values: Sequence[Vector]) -> Vector:
    """Return the sum of the products of constants and vectors."""
    total: Vector | None = None
    for factor, value in sorted(zip(row, values, strict=True), key=lambda p: p[0] != 1):
        if factor == 0:
            continue
        if total is None:
            total = value if factor == 1 else value * code.fill(float(factor))
        else:
            total = _added(code, total, factor, value)
    return code.fill(0) if total is None else total


def _added(code: Code, total: Vector, factor: Fraction, value: Vector) -> Vector:
    if abs(factor) == 1:
        return total + value if factor == 1 else total - value
    return code.fma(value, code.fill(float(factor)), total)


def transformed(
    code: Code,
    matrix: Matrix,
    row: Callable[[Int], list[Vector]],
    put: Callable[[Int, list[Vector]], None],
) -> None:
    """Compute M S Mᵀ of a square S of vectors, first along rows and then along columns.

    In two loops, through memory: so many vectors would not stay in registers anyway.

    Args:
        code: The function being written.
        matrix: M.
        row: Returns a row of S.
        put: Writes a column of the result.
    """
    count, size = len(matrix), len(matrix[0])
    room = code.scratch(count * size * code.lanes)
    with code.loop(size) as line:
        at = code.settled(room + line * (count * code.lanes))
        for n, value in enumerate(applied(code, matrix, row(line))):
            code.store(value, at + n * code.lanes)
    with code.loop(count) as place:
        at = code.settled(room + place * code.lanes)
        column = [code.load(at + i * (count * code.lanes)) for i in range(size)]
        put(place, applied(code, matrix, column))


def begin_flags(code: Code, a: Any) -> None:
    """Lower this thread's flag."""
    code.store_int(0, flag(code, a.workspace))


def judged(code: Code, worst: Variable, values: list[Vector]) -> list[Vector]:
    """Return vectors, after the largest of their elements was noted."""
    for value in values:
        worst.set(code.largest(worst.get(), value))
    return values


def judge(code: Code, a: Any, worst: Variable) -> None:
    """Raise this thread's flag where an element was not below the largest."""
    with code.when(code.all_below(worst.get(), LARGEST).negated()):
        code.store_int(1, flag(code, a.workspace))


def transform_input(
    code: Code, spec: Tiles, a: Any, unit: Int, mine: Pointer, into: Pointer
) -> None:
    """Transform one row of tiles of one image.

    Args:
        code: The function being written.
        spec: How the input is cut into tiles.
        a: The arguments of the kernel.
        unit: Number of the row.
        mine: Room for the input of a row.
        into: Where the transformed tiles of row 0 go.
    """
    number = a.first_row + unit
    image, row = number // a.tile_rows, number % a.tile_rows
    source = panel.Source(
        a.source + a.source_offset + image * a.source_image,
        spec.source,
        (a.source_channel, a.source_row, a.source_column),
        (a.height, a.width),
    )
    made = panel.Panel(mine, a.channels, a.channels, code.constant(0), a.panel_width)
    panel.fill(code, source, made, a.top - row * spec.outputs, a.left, code.constant(spec.size))
    _, _, transform = matrices(spec.outputs, spec.taps)
    element = a.padded_tiles * a.channels
    worst = code.variable(code.fill(0))
    with code.loop(a.tile_columns) as column, code.loop(a.channels, 0, code.lanes) as c:
        start = mine + made.at(code.constant(0), column * spec.outputs) + c
        to = into + (unit * a.tile_columns + column) * a.channels + c

        def row(i: Int, start: Pointer = start) -> list[Vector]:
            at = code.settled(start + made.at(i, 0))
            return judged(code, worst, [code.load(at + j * a.channels) for j in range(spec.size)])

        def put(n: Int, values: list[Vector], to: Pointer = to) -> None:
            at = code.settled(to + element * n)
            for i, value in enumerate(values):
                code.store(value, at + element * (i * spec.size))

        transformed(code, transform, row, put)
    judge(code, a, worst)


def clear(code: Code, size: int, a: Any, rows: Int, inputs: Pointer) -> None:
    """Fill up the last register tile of `rows` rows of transformed tiles with zeros."""
    count = rows * a.tile_columns
    with code.loop(size**2) as element:
        at = inputs + (element * a.padded_tiles + count) * a.channels
        panel.zeros(code, at, (a.padded_tiles - count) * a.channels)
