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


def _loaded(code: Code, at: Pointer, lanes: int) -> Any:
    return code.builder.load(at.value, align=8, typ=_shaped(I64, lanes))


def are(code: Code, at: Pointer, position: Index, lanes: int) -> Mask:
    """Say which of the "i64" elements at an address are one position."""
    wanted = _spread(code, position, lanes)
    return Mask(code, code.builder.icmp_signed("==", _loaded(code, at, lanes), wanted))


def narrowed(code: Code, at: Pointer, stop: Int, lanes: int) -> Vector:
    """Read "i64" elements as 32-bit integers; those outside 0 … stop - 1 become -1."""
    b, kind = code.builder, _shaped(I32, lanes)
    whole = _loaded(code, at, lanes)
    inside = b.icmp_unsigned("<", whole, _spread(code, stop, lanes))
    nowhere = ir.Constant(kind, -1 if lanes == 1 else [-1] * lanes)
    return Vector(code, b.select(inside, b.trunc(whole, kind), nowhere))


def store_ints(code: Code, value: Vector, at: Pointer) -> None:
    """Write 32-bit integers to "i32" elements."""
    code.builder.store(value.value, at.value, align=4)


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
