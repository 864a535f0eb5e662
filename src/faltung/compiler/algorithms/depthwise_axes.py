"""Taps along one axis: those of a sliding window, and those that reach a phase of its input."""

from dataclasses import dataclass
from math import gcd


@dataclass(frozen=True)
class Axis:
    """Taps along one axis: an arithmetic progression.

    Attributes:
        count: Number of taps.
        first: Distance of the first one from the position of an output.
        step: Distance from one to the next.
        tap: Index of the first one in the weight.
        tap_step: Difference of indices from one to the next.
    """

    count: int
    first: int
    step: int
    tap: int
    tap_step: int

    @property
    def reach(self) -> int:
        """Positions from that of an output to the last one it needs, both included."""
        return self.first + (self.count - 1) * self.step + 1 if self.count else 1

    def parts(self, rests: int) -> list["Axis"]:
        """Split into progressions whose distances leave the same rest modulo `rests`."""
        every = min(rests // gcd(self.step, rests), max(self.count, 1))
        return [
            Axis(
                len(range(start, self.count, every)),
                self.first + start * self.step,
                self.step * every,
                self.tap + start * self.tap_step,
                self.tap_step * every,
            )
            for start in range(every)
        ]


def gathered(size: int, dilation: int, flip: bool) -> Axis:
    """Return the taps of a window that slides over its input."""
    return Axis(size, 0, dilation, size - 1 if flip else 0, -1 if flip else 1)


def scattered(
    size: int, stride: int, dilation: int, before: int, flip: bool
) -> tuple[tuple[Axis, ...], int]:
    """Return the taps that reach each phase of the input, and the padding of the gradient.

    Element h of the input is reached by the gradient's elements (h + before - r * dilation) /
    stride, where that is whole. Elements h = phase + stride * i are reached by the same taps.

    Args:
        size: Number of taps r.
        stride: Step of the window.
        dilation: Distance between taps.
        before: Padding before the input; negative crops.
        flip: The kernel is turned.
    """
    phases = []
    for phase in range(stride):
        reached = [
            ((phase + before - r * dilation) // stride, size - 1 - r if flip else r)
            for r in reversed(range(size))
            if (phase + before - r * dilation) % stride == 0
        ]
        phases.append(reached)
    low = min((at for reached in phases for at, _ in reached), default=0)
    made = []
    for reached in phases:
        places = [at - low for at, _ in reached]
        indices = [tap for _, tap in reached]
        step, tap_step = (
            (places[1] - places[0], indices[1] - indices[0]) if len(reached) > 1 else (1, 1)
        )
        first, tap = (places[0], indices[0]) if reached else (0, 0)
        made.append(Axis(len(reached), first, step, tap, tap_step))
    return tuple(made), -low
