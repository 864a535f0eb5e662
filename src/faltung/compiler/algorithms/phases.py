"""Rows in phases: elements a stride apart lie side by side.

Element j of such a row is element j // step of phase j % step, so that windows that slide over it
with that stride are read, or written, in whole vectors.
"""

from collections.abc import Sequence

from faltung.compiler.algorithms import planes
from faltung.compiler.emit import Code, Index, Int, Pointer, Vector

SHUFFLED = 4  # phases that are told apart by shuffling whole vectors


def places(row: Pointer, step: int, left: Index, phase: Index) -> list[Pointer]:
    """Return where elements 0 … step - 1 of a line lie in a row in phases that begins with padding.

    Args:
        row: First element of the row.
        step: Number of phases.
        left: Elements of padding.
        phase: Distance of phases.
    """
    return [row + (left + q) % step * phase + (left + q) // step for q in range(step)]


def one_of_two(code: Code, at: Pointer, phase: int) -> Vector:
    """Read one phase of two vectors; reading the other phase too costs no further loads."""
    pair = code.load(at), code.load(at + code.lanes)
    return code.shuffle(*pair, range(phase, 2 * code.lanes, 2))


def every_other(code: Code, at: Pointer) -> Vector:
    """Read a vector of elements 2 apart, and nothing behind the last of them."""
    lanes = code.lanes
    places = [2 * lane + lane // (lanes // 2) for lane in range(lanes)]
    return code.shuffle(code.load(at), code.load(at + (lanes - 1)), places)


def _phase(code: Code, vectors: Sequence[Vector], lanes: int, phase: int) -> Vector:
    """Return one phase of as many vectors as there are phases."""
    step = len(vectors)
    wanted = [lane * step + phase for lane in range(lanes)]
    made = code.shuffle(vectors[0], vectors[1], [at if at < 2 * lanes else 0 for at in wanted])
    for number, vector in enumerate(vectors[2:], 2):
        places = [at - (number - 1) * lanes for at in wanted]
        kept = [lane if at // lanes != 1 else at for lane, at in enumerate(places)]
        made = code.shuffle(made, vector, kept)
    return made


def split(code: Code, line: Pointer, column: Index, width: Int, targets: Sequence[Pointer]) -> None:
    """Copy a line of a tensor to a row in phases (float32).

    Args:
        code: The function being written.
        line: First element.
        column: Distance of neighbours; the Python number 1 where they lie side by side.
        width: Number of elements.
        targets: From `places`.
    """
    step = len(targets)
    whole = width // step

    def some(k: Index, lanes: int) -> None:
        at = line + k * step * column
        if step == 1 and column == 1:
            parts = [code.load(at, lanes)]
        elif step <= SHUFFLED and column == 1 and lanes > 1:
            vectors = [code.load(at + i * lanes, lanes) for i in range(step)]
            parts = [_phase(code, vectors, lanes, q) for q in range(step)]
        else:
            parts = [code.gather(at + q * column, step * column, lanes) for q in range(step)]
        for part, target in zip(parts, targets, strict=True):
            code.store(part, target + k)

    planes.ragged(code, whole, some)
    for q in range(step - 1):
        x = whole * step + q
        with code.when(x < width):
            code.store(code.load(line + x * column, 1), targets[q] + whole)


def woven(code: Code, parts: Sequence[Vector]) -> list[Vector]:
    """Return the elements of one phase or two in the order of a row."""
    if len(parts) == 1:
        return [*parts]
    even, odd = parts
    lanes = even.value.type.count
    halves = (0, lanes // 2)
    places = [[half + i // 2 + i % 2 * lanes for i in range(lanes)] for half in halves]
    return [code.shuffle(even, odd, mixed) for mixed in places]


def merge(code: Code, sources: Sequence[Pointer], width: Int, line: Pointer, column: Index) -> None:
    """Copy a row in phases to a line of a tensor: `split` the other way round."""
    step = len(sources)
    whole = width // step

    def some(k: Index, lanes: int) -> None:
        parts = [code.load(source + k, lanes) for source in sources]
        at = line + k * step * column
        if step == 1 and column == 1:
            code.store(parts[0], at)
        elif step == 2 and column == 1 and lanes > 1:
            for i, mixed in enumerate(woven(code, parts)):
                code.store(mixed, at + i * lanes)
        else:
            for q, part in enumerate(parts):
                code.scatter(part, at + q * column, step * column)

    planes.ragged(code, whole, some)
    for q in range(step - 1):
        x = whole * step + q
        with code.when(x < width):
            code.store(code.load(sources[q] + whole, 1), line + x * column)
