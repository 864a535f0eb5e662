"""Positions of maxima and minima: 64-bit integers in vectors, compared, narrowed and counted."""

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import (
    I32,
    I64,
    Index,
    Int,
    Mask,
    Pointer,
    Variable,
    Vector,
    numbers,
    shaped,
    spread,
    whole,
)


def distances(code: Code, at: Pointer, start: tuple[Index, int], stop: Int, lanes: int) -> Vector:
    """Return how far "i64" elements lie behind numbers, as 32-bit integers.

    Args:
        code: The function being written.
        at: The first element.
        start: What is taken from the first, and how much more from each that follows.
        stop: Distances from here on, and those below 0, become -1.
        lanes: Number of elements.
    """
    b, kind = code.builder, shaped(I32, lanes)
    base = spread(b, code.raw(start[0]), lanes)
    if lanes > 1 and start[1]:
        base = b.add(base, numbers(I64, *[lane * start[1] for lane in range(lanes)]))
    far = b.sub(b.load(at.value, align=8, typ=shaped(I64, lanes)), base)
    inside = b.icmp_unsigned("<", far, spread(b, code.raw(stop), lanes))
    return Vector(code, b.select(inside, b.trunc(far, kind), whole(I32, -1, lanes)))


def equal(code: Code, a: Vector, b: Vector) -> Mask:
    """Say where 32-bit integers are the same."""
    return Mask(code, code.builder.icmp_signed("==", a.value, b.value))


class Counts:
    """How many elements of masks were true: one 32-bit count for each lane of each width."""

    def __init__(self, code: Code, widths: list[int]) -> None:
        self.code = code
        self._held: dict[int, Variable] = {}
        for lanes in widths:
            self._held[lanes] = code.variable(Vector(code, whole(I32, 0, lanes)))

    def add(self, mask: Mask, lanes: int) -> None:
        """Count the true elements of a mask."""
        more = self.code.builder.sext(mask.value, shaped(I32, lanes))
        held = self._held[lanes]
        held.set(Vector(self.code, self.code.builder.sub(held.get().value, more)))

    def total(self) -> Int:
        """Return the sum of all counts."""
        b, total = self.code.builder, Int(self.code, I64(0))
        for lanes, held in self._held.items():
            value = held.get().value
            places = range(lanes if lanes > 1 else 0)
            for part in [b.extract_element(value, I32(i)) for i in places] or [value]:
                total = total + Int(self.code, b.zext(part, I64))
        return total
