"""Reducing a window to its maximum, minimum or sum: tap after tap in row-major order, as in torch.

An element wins if it is greater (smaller) than all before it, or NaN: so the first of ties wins,
also of zeros of either sign, and the last NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import inf, nan
from typing import Any, TypeAlias

from faltung.compiler.emit import Code, Index, Int, Vector

UNROLL = 36  # taps of a window that are written one by one
STARTS = {"max": -inf, "min": inf, "avg": 0.0}

State: TypeAlias = list[Any]
Bounds: TypeAlias = tuple[tuple[Index, Index], tuple[Index, Index]]


def missed(code: Code, start: Index, dilation: int) -> Index:
    """Return how many taps of a window that begins at `start` lie before position 0."""
    return (code.larger(0 - start, 0) + (dilation - 1)) // dilation


def inside(code: Code, taps: int, start: Index, dilation: int, size: Int) -> tuple[Index, Index]:
    """Return the first tap of a window that lies inside an axis, and the end of those that do."""
    end = (code.larger(size - start, 0) + (dilation - 1)) // dilation
    return missed(code, start, dilation), code.smaller(end, taps)


@dataclass(frozen=True)
class Scan:
    """A way through the taps of neighbouring windows.

    Attributes:
        operation: "max", "min" or "avg", which here is the sum.
        window: Taps along height and width.
        load: Returns tap (r, s) of each window: vectors.
        offset: Returns how far the position of tap (r, s) is from that of tap (0, 0), or None where
            positions are not wanted.
        first: Position of a window's first tap in the image, told the same way.
        several: Returns the taps from (r, s) on, as many as a vector has elements, of each window;
            None where they are loaded one by one.
    """

    operation: str
    window: tuple[int, int]
    load: Callable[[Index, Index], list[Vector]]
    offset: Callable[[Index, Index], Vector] | None = None
    first: Vector | None = None
    several: Callable[[Index, Index], list[list[Vector]]] | None = None

    @property
    def unrolled(self) -> bool:
        """Whether whole windows are written tap by tap."""
        return self.several is None and self.window[0] * self.window[1] <= UNROLL

    def run(
        self, code: Code, lanes: int, vectors: int = 1, bounds: Bounds | None = None
    ) -> list[State]:
        """Reduce windows.

        Args:
            code: The function being written.
            lanes: Elements of a vector.
            vectors: Windows that `load` returns a tap of.
            bounds: First tap and end along height and width; None means all.

        Returns:
            For each window its value and, where wanted, its position.
        """
        start: State = [code.fill(STARTS[self.operation], lanes)]
        start += [] if self.first is None else [self.first]
        if bounds is None and self.unrolled:
            return self._unrolled(code, lanes, [start] * vectors)
        whole: Bounds = ((0, self.window[0]), (0, self.window[1]))
        (r0, r1), (s0, s1) = bounds or whole
        slots = [[code.variable(value) for value in start] for _ in range(vectors)]

        def visit(r: Index, s: Index, values: list[Vector]) -> None:
            offset = None if self.offset is None else self.offset(r, s)
            for slot, value in zip(slots, values, strict=True):
                for held, new in zip(
                    slot, self._visited([v.get() for v in slot], value, offset), strict=True
                ):
                    held.set(new)

        with code.loop(r1, r0) as r:
            rest = s0
            if self.several is not None:
                rest = s0 + code.larger(s1 - s0, 0) // lanes * lanes
                with code.loop(rest, s0, lanes) as s:
                    for i, values in enumerate(self.several(r, s)):
                        visit(r, s + i, values)
            with code.loop(s1, rest) as s:
                visit(r, s, self.load(r, s))
        return [[held.get() for held in slot] for slot in slots]

    def _unrolled(self, code: Code, lanes: int, states: list[State]) -> list[State]:
        """Visit all taps; without positions, NaN is only noted, and wins at the end."""
        notes: list[Any] = [None] * len(states)
        for r, s in product(*map(range, self.window)):
            offset = None if self.offset is None else self.offset(r, s)
            values = self.load(r, s)
            if self.operation == "avg" or offset is not None:
                states = [
                    self._visited(state, value, offset)
                    for state, value in zip(states, values, strict=True)
                ]
            else:
                states = [
                    [self._wins(value, state[0]).choose(value, state[0])]
                    for state, value in zip(states, values, strict=True)
                ]
                lost = [value.is_nan() for value in values]
                notes = [n if old is None else old | n for old, n in zip(notes, lost, strict=True)]
        none = code.fill(nan, lanes)
        return [
            state if lost is None else [lost.choose(none, state[0])]
            for state, lost in zip(states, notes, strict=True)
        ]

    def _wins(self, value: Vector, best: Vector) -> Any:
        return value.beats(best, ">" if self.operation == "max" else "<")

    def _visited(self, state: State, value: Vector, offset: Vector | None) -> State:
        """Return a window's state once one more tap is seen."""
        if self.operation == "avg":
            return [state[0] + value]
        wins = self._wins(value, state[0]) | value.is_nan()
        return [wins.choose(new, old) for new, old in zip((value, offset), state, strict=False)]
