"""float32 numbers as sums of bfloat16 numbers, and bfloat16 in memory as a matrix unit reads it.

A float32 number has 24 bits. Its nearest bfloat16 number takes 8 of them; what is left over, with
its sign, has at most 16, whose nearest takes 8 again; the rest is a bfloat16 number itself. So
three pieces add up to the number, and two to within 2^-17 of it, as long as none underflows.
"""

from typing import Any

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import I16, I32, Pointer, Vector, shaped, whole

UPPER = 0xFFFF0000
HALF = 0x8000


def pieces(code: Code, value: Vector, count: int) -> list[Vector]:
    """Return bfloat16 numbers, as float32, whose sum comes closest to a vector; the largest first.

    A single piece is rounded to nearest, ties to even; of several, ties go away from zero, which
    the next piece makes good.
    """
    if count == 1:
        return [code.rounded(value, "bf16")]
    found = []
    for _ in range(count):
        bits = _add(code, value, HALF)
        near = Vector(code, code.builder.bitcast(_upper(code, bits), value.value.type))
        found.append(near)
        value = value - near
    return found


def store(code: Code, piece: Vector, at: Pointer) -> None:
    """Write a vector of bfloat16 numbers to neighbouring "bf16" elements."""
    b, count = code.builder, piece.value.type.count
    bits = b.lshr(b.bitcast(piece.value, shaped(I32, count)), whole(I32, 16, count))
    b.store(b.trunc(bits, shaped(I16, count)), at.value, align=2)


def store_pairs(code: Code, first: Vector, second: Vector, at: Pointer) -> None:
    """Write two vectors of bfloat16 numbers, element by element in turn, to "bf16" elements."""
    b, count = code.builder, first.value.type.count
    low, high = (b.bitcast(v.value, shaped(I32, count)) for v in (first, second))
    pair = b.or_(b.lshr(low, whole(I32, 16, count)), _upper(code, high))
    b.store(pair, at.value, align=2)


def _add(code: Code, value: Vector, number: int) -> Any:
    count = value.value.type.count
    return code.builder.add(
        code.builder.bitcast(value.value, shaped(I32, count)), whole(I32, number, count)
    )


def _upper(code: Code, bits: Any) -> Any:
    return code.builder.and_(bits, whole(I32, UPPER, bits.type.count))
