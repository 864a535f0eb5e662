"""The exponential function on vectors of float32."""

from typing import Any

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import I32, Vector, lanes_of, shaped, whole

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
    count = lanes_of(value.value)

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
    bits = shaped(I32, count)
    power = b.sub(b.bitcast(shifted.value, bits), b.bitcast(fill(MAGIC).value, bits))
    half = b.ashr(power, whole(I32, 1, count))
    first, second = (
        Vector(code, b.bitcast(_power(b, part, count), value.value.type))
        for part in (half, b.sub(power, half))
    )
    return total * first * second


def _power(builder: Any, exponent: Any, count: int) -> Any:
    """Return the bits of 2 to the power of small whole numbers."""
    biased = builder.add(exponent, whole(I32, 127, count))
    return builder.shl(biased, whole(I32, 23, count))
