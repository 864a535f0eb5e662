"""The matrices of Winograd's convolution, exactly, by the method of Toom and Cook.

Input and kernel are polynomials; they are evaluated at points, multiplied there, and the product is
interpolated. The points decide the error: 0, ±1 for tiles of 4 elements; for tiles of 6 the points
0, ±2/3, ±3/2, whose powers stay near 1, have less than half the error of the usual 0, ±1, ±2.

Source: B. Barabasz, A. Anderson, K. Soodhalter, D. Gregg, "Error analysis and improving the
accuracy of Winograd convolution for deep neural networks" (2020).
"""

from fractions import Fraction
from functools import cache

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS = {4: (0, 1, -1), 6: (0, Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2))}


@cache
def matrices(outputs: int, taps: int = 3) -> tuple[Matrix, Matrix, Matrix]:
    """Return Aᵀ (m x n), G (n x r) and Bᵀ (n x n) of F(m, r), n = m + r - 1.

    The polynomials of input and kernel are evaluated at n - 1 points and at infinity.
    """
    n = outputs + taps - 1
    points = [Fraction(p) for p in POINTS[n]]

    def powers(count: int) -> list[list[Fraction]]:
        infinity = [Fraction(0)] * (count - 1) + [Fraction(1)]
        return [[p**j for j in range(count)] for p in points] + [infinity]

    scales = []
    for p in points:
        scale = Fraction(1)
        for q in points:
            scale *= p - q if p != q else 1
        scales.append(scale)
    scales.append(Fraction(1))
    inverse = _inverse(powers(n))
    return (
        tuple(zip(*powers(outputs), strict=True)),
        tuple(tuple(x / s for x in row) for row, s in zip(powers(taps), scales, strict=True)),
        tuple(tuple(inverse[j][i] * scales[i] for j in range(n)) for i in range(n)),
    )


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Invert by elimination, exactly."""
    n = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(n))] for i, row in enumerate(matrix)]
    for column in range(n):
        pivot = next(i for i in range(column, n) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [x / rows[column][column] for x in rows[column]]
        for i in range(n):
            if i != column:
                factor = rows[i][column]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[column], strict=True)]
    return [row[n:] for row in rows]
