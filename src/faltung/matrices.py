"""Small matrices written as text: ',' between the columns, ';' between the rows."""

import math

from faltung.errors import ArgumentError


def parse_matrix(name: str, text: str, instead: str = "") -> list[list[float]]:
    """Return the numbers of a matrix written as text.

    >>> parse_matrix("kernel", "1,0,-1; 2,0,-2")
    [[1.0, 0.0, -1.0], [2.0, 0.0, -2.0]]

    Args:
        name: What messages call it.
        text: The numbers, as in `0,1;2,3`.
        instead: What else could have been written, for the message: `one of a, b, or `.

    Raises:
        ArgumentError: The text is no matrix, its rows differ in length, or a number is not finite.
    """
    try:
        rows = [[float(number) for number in row.split(",")] for row in text.split(";")]
    except ValueError:
        raise ArgumentError(
            f"{name} is {text!r}: it is {instead}numbers with ',' between columns and ';' between "
            f"rows, such as '1,0,-1;2,0,-2;1,0,-1'"
        ) from None
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise ArgumentError(
            f"{name} {text!r} has rows of {', '.join(map(str, lengths))} numbers: all rows must "
            f"be equally long; write zeros out"
        )
    if not all(math.isfinite(number) for row in rows for number in row):
        raise ArgumentError(
            f"{name} {text!r} has a number that is not finite: use numbers such as 1, -0.5 or 2e3"
        )
    return rows
