"""Positions of maxima and minima: 64-bit integers in vectors, compared, narrowed and counted."""

from typing import Any

from llvmlite import ir

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import I32, I64, Index, Int, Mask, Pointer, Variable, Vector


def _shaped(kind: Any, lanes: int) -> Any:
    return kind if lanes == 1 else ir.VectorType(kind, lanes)


def _spread(code: Code, value: Index, lanes: int) -> Any:
    """Return 64-bit integers that are all one number."""
    raw = code.raw(value)
    if lanes == 1:
        return raw
    nothing = ir.Constant(_shaped(I64, lanes), ir.Undefined)
    one = code.builder.insert_element(nothing, raw, I32(0))
    zeros = ir.Constant(_shaped(I32, lanes), [0] * lanes)
    return code.builder.shuffle_vector(one, nothing, zeros)


def distances(code: Code, at: Pointer, start: tuple[Index, int], stop: Int, lanes: int) -> Vector:
    """Return how far "i64" elements lie behind numbers, as 32-bit integers.

    Args:
        code: The function being written.
        at: The first element.
        start: What is taken from the first, and how much more from each that follows.
        stop: Distances from here on, and those below 0, become -1.
        lanes: Number of elements.
    """
    b, kind = code.builder, _shaped(I32, lanes)
    base = _spread(code, start[0], lanes)
    if lanes > 1 and start[1]:
        steps = ir.Constant(base.type, [lane * start[1] for lane in range(lanes)])
        base = b.add(base, steps)
    whole = b.sub(b.load(at.value, align=8, typ=_shaped(I64, lanes)), base)
    inside = b.icmp_unsigned("<", whole, _spread(code, stop, lanes))
    nowhere = ir.Constant(kind, -1 if lanes == 1 else [-1] * lanes)
    return Vector(code, b.select(inside, b.trunc(whole, kind), nowhere))


def equal(code: Code, a: Vector, b: Vector) -> Mask:
    """Say where 32-bit integers are the same."""
    return Mask(code, code.builder.icmp_signed("==", a.value, b.value))


class Counts:
    """How many elements of masks were true: one 32-bit count for each lane of each width."""

    def __init__(self, code: Code, widths: list[int]) -> None:
        self.code = code
        self._held: dict[int, Variable] = {}
        for lanes in widths:
            zeros = ir.Constant(_shaped(I32, lanes), 0 if lanes == 1 else [0] * lanes)
            self._held[lanes] = code.variable(Vector(code, zeros))

    def add(self, mask: Mask, lanes: int) -> None:
        """Count the true elements of a mask."""
        more = self.code.builder.sext(mask.value, _shaped(I32, lanes))
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
