"""Receptive fields on an image without borders, where they repeat.

Behind convolutions and pools every field is the one before it moved by a jump. Behind a transposed
convolution or an enlargement neighbouring cells see different fields, and the pattern repeats after
some cells: a field for each phase then says it all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from faltung.geometry import ReceptiveField, Window


@dataclass(frozen=True)
class Repeating:
    """Which cells of its input each cell of an operation reads, far from all borders.

    Attributes:
        step: How far the reading moves when the output moves by one period.
        taps: For each cell of one period the input cells it reads, some of which may be negative.
        window: The window that says the same, where one does.
    """

    step: int
    taps: tuple[tuple[int, ...], ...]
    window: Window | None = None


@dataclass(frozen=True)
class Endless:
    """Receptive fields of the cells along one axis, on an image without borders.

    Attributes:
        phases: Field of cell `i` is that of phase `i % len(phases)`, at its index
            `i // len(phases)`; their jumps are equal.
    """

    phases: tuple[ReceptiveField, ...] = (ReceptiveField(),)

    @property
    def period(self) -> int:
        """After how many cells the fields repeat."""
        return len(self.phases)

    @property
    def rate(self) -> Fraction:
        """Image positions that the fields move on for each cell, on average."""
        return Fraction(self.phases[0].jump, self.period)

    def span(self, index: int) -> range:
        """Return the positions that the field of cell `index` spans."""
        return self.phases[index % self.period].span(index // self.period)

    def field(self) -> ReceptiveField | None:
        """Return the largest size, the jump for each cell, and the start of cell 0.

        None where the jump is a fraction of a pixel.
        """
        if self.rate.denominator != 1:
            return None
        size = max(phase.size for phase in self.phases)
        return ReceptiveField(size, int(self.rate), self.phases[0].start)

    def through(self, reads: Repeating) -> "Endless | None":
        """Return the fields behind one more operation, or None where a cell reads nothing."""
        if reads.window is not None and self.period == 1:
            return Endless((self.phases[0].through(reads.window),))
        if not all(reads.taps):
            return None
        periods = self.period // math.gcd(self.period, reads.step)
        jump = self.phases[0].jump * (periods * reads.step // self.period)
        spans = [
            hull([self.span(number * reads.step + tap) for tap in taps])
            for number in range(periods)
            for taps in reads.taps
        ]
        return _shortest([ReceptiveField(len(span), jump, span.start) for span in spans])

    def joined(self, other: "Endless") -> "Endless | None":
        """Return the union of fields, cell by cell; None where they move at different rates.

        Source: A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural
        Networks" (Distill, 2019), which defines it for paths that agree in their jump.
        """
        if self.rate != other.rate:
            return None
        period = math.lcm(self.period, other.period)
        jump = int(self.rate * period)
        spans = [hull([self.span(index), other.span(index)]) for index in range(period)]
        return _shortest([ReceptiveField(len(span), jump, span.start) for span in spans])


def hull(spans: Sequence[range]) -> range:
    """Return the smallest range that holds all ranges; an empty one at 0 where all are empty."""
    seen = [span for span in spans if span]
    if not seen:
        return range(0)
    return range(min(span.start for span in seen), max(span.stop for span in seen))


def _shortest(phases: Sequence[ReceptiveField]) -> Endless:
    """Return the same fields with the shortest period."""
    whole, jump = len(phases), phases[0].jump
    for period in range(1, whole):
        if whole % period or jump * period % whole:
            continue
        step = jump * period // whole
        if all(
            (phase.size, phase.start)
            == (phases[i % period].size, phases[i % period].start + i // period * step)
            for i, phase in enumerate(phases)
        ):
            return Endless(tuple(ReceptiveField(p.size, step, p.start) for p in phases[:period]))
    return Endless(tuple(phases))
