"""The register tile: outer products of broadcast elements and vectors, summed in registers."""

from collections.abc import Callable, Sequence

from faltung.compiler.emit import Code, Index, Pointer, Variable, Vector
from faltung.compiler.target import Target

FULL_UNROLL = 48  # products of an element and a row of vectors
UNROLL = 4

Loads = Sequence[Callable[[], Vector]]


def shape(target: Target, vectors: int, pixels: int = 0) -> tuple[int, int]:
    """Return (rows, vectors) of the tile for so many vectors of outputs and rows of pixels.

    All sums, one row of vectors and one broadcast element must fit in the registers, and there
    must be enough independent sums to hide the latency of fma (about 8 in flight).
    """
    if target.registers >= 32:
        wide = next(n for n in (4, 3, 2, 1) if vectors % n == 0 or n == 1)
        if wide == 1 and vectors > 1:
            wide = 4 if vectors > 4 else 2
        return {1: 12, 2: 12, 3: 8, 4: 6}[wide], wide
    if vectors % 2 == 0 or vectors > 3:
        # Few pixels: a lower tile may waste fewer. Five rows are still enough sums in flight.
        return (5 if 0 < pixels < 100 and -(-pixels // 5) * 5 < -(-pixels // 6) * 6 else 6), 2
    return (4, 3) if vectors == 3 else (8, 1)


def sums(code: Code, rows: int, vectors: int) -> list[list[Variable]]:
    """Return the variables of a tile, all zero."""
    return [[code.variable(code.fill(0)) for _ in range(vectors)] for _ in range(rows)]


def accumulate_woven(
    code: Code,
    held: list[list[Variable]],
    elements: Sequence[Pointer],
    weights: Pointer,
    each: int,
) -> None:
    """Add the products of one tap where small groups of `each` channels share a vector.

    An output in the vector meets the `each` channels of its own group, one after the other.

    Args:
        code: The function being written.
        held: The tile, rows of one vector.
        elements: For each row the address of a vector of channels.
        weights: `each` vectors: of the first, second, … channel of every group.
        each: Channels of a group.
    """
    lanes = range(code.lanes)
    loaded = [code.load(weights + c * code.lanes) for c in range(each)]
    places = [[lane // each * each + c for lane in lanes] for c in range(each)]
    for (slot,), first in zip(held, elements, strict=True):
        channels = code.load(first)
        for vector, place in zip(loaded, places, strict=True):
            slot.set(code.fma(code.shuffle(channels, channels, place), vector, slot.get()))


def accumulate(
    code: Code,
    held: list[list[Variable]],
    elements: Sequence[Pointer],
    weights: Pointer,
    run: Index,
) -> None:
    """Add element[t] * weights[t] to the tile for t = 0 … run - 1, in this order.

    Args:
        code: The function being written.
        held: The tile, rows by vectors.
        elements: For each row the address of its first element; the elements lie side by side.
        weights: The first row of vectors; rows of vectors lie side by side.
        run: Number of steps.
    """
    width = len(held[0]) * code.lanes

    def once(t: Index) -> None:
        loaded = [code.load(weights + t * width + j * code.lanes) for j in range(len(held[0]))]
        for row, first in zip(held, elements, strict=True):
            element = code.broadcast(first + t)
            for slot, vector in zip(row, loaded, strict=True):
                slot.set(code.fma(element, vector, slot.get()))

    turn = _turn(run, len(held))
    whole = run // turn * turn
    with code.loop(whole, 0, turn) as t:
        for u in range(turn):
            once(t + u)
    if not isinstance(run, int) or run % turn:
        with code.loop(run, whole) as t:
            once(t)


def _turn(run: Index, rows: int) -> int:
    """Return the steps of a turn; some that divide a known number of steps, where 3 or more do."""
    if not isinstance(run, int):
        return UNROLL
    most = FULL_UNROLL // rows
    even = (steps for steps in range(most, 2, -1) if run % steps == 0)
    return next(even, run if run <= most else UNROLL)


def accumulate_blocks(
    code: Code,
    held: list[list[Variable]],
    elements: Sequence[Pointer],
    weights: Pointer,
    run: Index,
    block: int,
) -> None:
    """Do the same with `block` products at a time, which are summed before they join the tile."""
    rows, vectors = len(held), len(held[0])
    with code.loop(run, 0, block) as first:
        own = sums(code, rows, vectors)
        here = [element + first for element in elements]
        at = weights + first * (vectors * code.lanes)
        accumulate(code, own, here, at, code.smaller(run - first, block))
        for row, added in zip(held, own, strict=True):
            for slot, more in zip(row, added, strict=True):
                slot.set(slot.get() + more.get())


def products(code: Code, held: list[list[Variable]], rows: Loads, columns: Loads) -> None:
    """Add the product of each row and each column to its sum; the fewer wait in registers."""
    if len(rows) <= len(columns):
        waiting = [load() for load in rows]
        for number, load in enumerate(columns):
            column = load()
            for line, value in zip(held, waiting, strict=True):
                line[number].set(code.fma(value, column, line[number].get()))
    else:
        waiting = [load() for load in columns]
        for line, load in zip(held, rows, strict=True):
            value = load()
            for slot, column in zip(line, waiting, strict=True):
                slot.set(code.fma(value, column, slot.get()))
