"""Numbers and sums as text, as they are written by hand: 0×0 + 1×1 + 3×2 + 4×3 = 19."""

import math
from collections.abc import Sequence

WHOLE = 10**6  # beyond it whole numbers are rounded too
SMALLEST = 0.01  # with two decimals
LARGEST = 100
LONGEST = 64  # characters of a line


def shown(value: float) -> str:
    """Return a number as pictures show it: whole, with two decimals, or with few digits.

    >>> shown(19.0), shown(-0.25), shown(1 / 3), shown(float("-inf"))
    ('19', '−0.25', '0.33', '−∞')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < WHOLE:
        return str(int(value)).replace("-", "−")
    if SMALLEST <= abs(value) < LARGEST:
        text = f"{value:.2f}".rstrip("0").rstrip(".")
    else:
        text = f"{value:.{3 if abs(value) >= LARGEST else 1}g}"
    return text.replace("-", "−").replace("e+0", "e").replace("e+", "e").replace("e−0", "e−")


def exact(value: float) -> bool:
    """Say whether `shown` gives the number itself, not a rounded one."""
    if not math.isfinite(value):
        return True
    text = shown(value).replace("−", "-")
    return float(text) == value


def factor(value: float) -> str:
    """Return a number as part of a sum or product: in brackets where it has a sign."""
    text = shown(value)
    return f"({text})" if text.startswith("−") else text


def products(pairs: Sequence[tuple[float, float]]) -> list[str]:
    """Return the terms of a sum of products.

    >>> products([(0, 0), (1, 1), (3, -2)])
    ['0×0', '1×1', '3×(−2)']
    """
    return [f"{factor(left)}×{factor(right)}" for left, right in pairs]


def equals(result: float, *parts: float) -> str:
    """Return `= result`, or `≈ result` where one of the numbers is shown rounded."""
    sign = "=" if all(exact(value) for value in (result, *parts)) else "≈"
    return f"{sign} {shown(result)}"


def joined(
    groups: Sequence[str],
    sign: str,
    ending: str,
    *,
    before: str = "",
    after: str = "",
    longest: int = LONGEST,
) -> list[str]:
    """Join groups of terms by a sign, on one line where they fit, else a line for each group.

    >>> joined(["0×0 + 1×1", "3×2 + 4×3"], " + ", "= 19")
    ['0×0 + 1×1 + 3×2 + 4×3 = 19']
    >>> joined(["0, 1", "3, 4"], ", ", "= 4", before="max(", after=")", longest=12)
    ['max(0, 1,', '3, 4) = 4']
    """
    whole = f"{before}{sign.join(groups)}{after} {ending}"
    if len(whole) <= longest:
        return [whole]
    *others, last = groups
    lines = [f"{group}{sign.rstrip()}" for group in others] + [f"{last}{after} {ending}"]
    lines[0] = before + lines[0]
    return lines
