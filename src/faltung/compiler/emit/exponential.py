"""The exponential function on vectors of float32."""

from typing import Any

from llvmlite import ir

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import I32, Vector

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4  # the first has nine bits: n times it is exact
MAGIC = 12582912.0  # 1.5 * 2^23: a sum with it is rounded to a whole number, in its lowest bits
LOWEST, HIGHEST = -104.0, 89.0  # beyond, the result is 0 or infinite
POLYNOMIAL = (
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
    5.0000001201e-1,
)  # fmt: skip


def exponential(code: Code, value: Vector) -> Vector:
    """Return e to the power of each element, within 2 units in the last place; NaN stays NaN.

    Source: S. L. Moshier, Cephes mathematical library, `expf`: n = round(x / ln 2), a polynomial
    for the rest, and two factors that make 2^n, so that neither overflows before the result does.
    """
    count = value.value.type.count if isinstance(value.value.type, ir.VectorType) else 1

    def fill(number: float) -> Vector:
        return code.fill(number, count)

    low, high = fill(LOWEST), fill(HIGHEST)
    x = value.beats(high, ">").choose(high, value)
    x = x.beats(low, "<").choose(low, x)
    shifted = x * fill(LOG2_E) + fill(MAGIC)
    n = shifted - fill(MAGIC)
    rest = code.fma(n, fill(-LN2_HIGH), x)
    rest = code.fma(n, fill(-LN2_LOW), rest)
    total = fill(POLYNOMIAL[0])
    for coefficient in POLYNOMIAL[1:]:
        total = code.fma(total, rest, fill(coefficient))
    total = code.fma(total, rest * rest, rest) + fill(1)
    b = code.builder
    whole = b.sub(
        b.bitcast(shifted.value, _kind(count)), b.bitcast(fill(MAGIC).value, _kind(count))
    )
    half = b.ashr(whole, _number(1, count))
    first, second = (
        Vector(code, b.bitcast(_power(b, part, count), value.value.type))
        for part in (half, b.sub(whole, half))
    )
    return total * first * second


def _power(builder: Any, exponent: Any, count: int) -> Any:
    """Return the bits of 2 to the power of small whole numbers."""
    return builder.shl(builder.add(exponent, _number(127, count)), _number(23, count))


def _kind(count: int) -> Any:
    return I32 if count == 1 else ir.VectorType(I32, count)


def _number(value: int, count: int) -> Any:
    return I32(value) if count == 1 else ir.Constant(_kind(count), [value] * count)
