"""Arguments of windowed operations, brought into one form: pairs, sides, windows.

What cannot be brought into form raises an error that names the argument, its value, the rule and
the remedy. Axis 0 is the height (rows), axis 1 the width (columns).
"""

import difflib
import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from faltung.errors import ArgumentError, ShapeError
from faltung.geometry import RULES, Rule, Sides, Window, pads

Pair: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | Sequence[int] | Sequence[Sequence[int]] | Rule | str
Resolved: TypeAlias = str | tuple[Sides, Sides]

AXES = (("rows", "high"), ("columns", "wide"))


def whole(name: str, value: Any, least: int) -> int:
    """Return `value` as a whole number of at least `least`.

    Raises:
        ArgumentError: It is not a whole number, or too small.
    """
    if not isinstance(value, torch.SymInt):
        try:
            value = operator.index(value)
        except TypeError:
            raise ArgumentError(
                f"{name} is {value!r}: it must be a whole number; use an int"
            ) from None
    number: int = value
    if number < least:
        raise ArgumentError(f"{name} is {number}: it must be at least {least}")
    return number


def pair(name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """Return an argument given once or for (height, width) as (height, width).

    Raises:
        ArgumentError: It is neither, or a number is too small or not whole.
    """
    if not isinstance(value, (tuple, list)):
        both = whole(name, value, least)
        return both, both
    if len(value) not in {1, 2}:
        raise ArgumentError(f"{name} is {tuple(value)}: it must be one number or (height, width)")
    return whole(name, value[0], least), whole(name, value[-1], least)


def padding_form(value: Any) -> Resolved:
    """Return padding as the name of a rule or as ((top, bottom), (left, right)).

    Raises:
        ArgumentError: It has none of the forms that `faltung.functional` lists.
    """
    if isinstance(value, str):
        if value not in RULES:
            raise ArgumentError(f"padding is {value!r}: {_known_rules(value)}")
        return value
    if isinstance(value, (tuple, list)) and any(isinstance(side, (tuple, list)) for side in value):
        if len(value) != 2 or any(not _is_two(sides) for sides in value):
            raise ArgumentError(
                f"padding is {value!r}: for each side on its own it must be "
                f"((top, bottom), (left, right))"
            )
        top, bottom = (whole("padding", side, 0) for side in value[0])
        left, right = (whole("padding", side, 0) for side in value[1])
        return (top, bottom), (left, right)
    height, width = pair("padding", value, 0)
    return (height, height), (width, width)


def _is_two(sides: Any) -> bool:
    return isinstance(sides, (tuple, list)) and len(sides) == 2


def _known_rules(value: str) -> str:
    known = ", ".join(repr(rule) for rule in RULES)
    close = difflib.get_close_matches(value, RULES, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"the rules are {known}{hint}"


def sliding(
    lengths: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    padding: Resolved,
    dilation: Sequence[int] = (1, 1),
    *,
    ceil: bool = False,
    mirrored: bool = False,
) -> tuple[Window, Window]:
    """Return the windows along height and width of an input of those lengths.

    Raises:
        ShapeError: A window is larger than the padded input.
    """
    rows, columns = (
        _window(axis, lengths, size, stride, padding, dilation, ceil, mirrored) for axis in (0, 1)
    )
    return rows, columns


def _window(
    axis: int,
    lengths: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    padding: Resolved,
    dilation: Sequence[int],
    ceil: bool,
    mirrored: bool,
) -> Window:
    n, k, s, d = lengths[axis], size[axis], stride[axis], dilation[axis]
    before, after = (
        pads(padding, n, k, s, d, mirrored=mirrored) if isinstance(padding, str) else padding[axis]
    )
    window = Window(k, s, d, before, after, ceil)
    if window.extent > n + before + after:
        lines, adjective = AXES[axis]
        spread = f" (kernel size {k}, dilation {d})" if d > 1 else ""
        raise ShapeError(
            f"the window is {window.extent} {lines} {adjective}{spread} but the padded input only "
            f"{n + before + after} ({before} + {n} + {after}): use a smaller kernel, more padding, "
            f"or larger images (or fewer strided layers before this one)"
        )
    return window


def flat(windows: tuple[Window, Window]) -> list[int]:
    """Return the padding of the windows as operators take it: top, bottom, left, right."""
    rows, columns = windows
    return [rows.before, rows.after, columns.before, columns.after]


def as_torch(form: Resolved) -> Any:
    """Return padding as torch's modules keep it where they can: (h, w), or the name of a rule."""
    if isinstance(form, str):
        return form
    (top, bottom), (left, right) = form
    return (top, left) if top == bottom and left == right else form
