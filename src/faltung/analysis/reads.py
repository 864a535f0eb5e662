"""Which cells of its input each cell of an operation reads, along one axis.

Windows are those of `faltung.geometry`; what moves cells without computing (slices, flips, padding
that repeats the image) is a list of positions; an interpolation is run on impulses to see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from faltung.analysis.endless import Repeating
from faltung.geometry import Window


@dataclass(frozen=True)
class Reads:
    """Which cells an operation reads.

    Attributes:
        cells: For each output cell the input cells it reads; none where it sees only padding.
        endless: The same far from all borders; None where it does not repeat there.
        reason: Why it does not.
    """

    cells: tuple[Sequence[int], ...]
    endless: Repeating | None
    reason: str = ""


def slid(window: Window, length: int) -> Reads:
    """Return what a sliding window reads of `length` cells."""
    cells = tuple(window.taps(index, length) for index in range(window.output(length)))
    first = tuple(window.start(0) + tap * window.dilation for tap in range(window.size))
    return Reads(cells, Repeating(window.stride, (first,), window))


def spread(window: Window, length: int, outputs: int) -> Reads:
    """Return what the transpose of a window reads: output cells see whose windows hold them."""
    seen: list[list[int]] = [[] for _ in range(outputs)]
    for index in range(length):
        for position in window.taps(index, outputs):
            seen[position].append(index)
    phases: list[list[int]] = [[] for _ in range(window.stride)]
    for tap in range(window.size):
        place = window.start(0) + tap * window.dilation
        phases[place % window.stride].append(-(place // window.stride))
    taps = tuple(tuple(sorted(phase)) for phase in phases)
    return Reads(tuple(seen), Repeating(1, taps))


def adaptive(length: int, outputs: int) -> Reads:
    """Return what an adaptive pool reads: torch's windows, from floor to ceil."""
    if length % outputs == 0:
        size = length // outputs
        return slid(Window(size, stride=size), length)
    cells = tuple(
        range(index * length // outputs, -(-(index + 1) * length // outputs))
        for index in range(outputs)
    )
    return Reads(cells, None, f"{length} cells are pooled to {outputs}, in windows of unequal size")


def sliced(start: int, stop: int, step: int, length: int) -> Reads:
    """Return what a slice reads."""
    cells = tuple((position,) for position in range(length)[start:stop:step])
    return Reads(cells, Repeating(step, ((start,),), Window(1, stride=step, before=-start)))


def moved(positions: Sequence[int | None], window: Window | None, reason: str = "") -> Reads:
    """Return reads of one cell each, or of none; `window` says the same far from borders."""
    cells = tuple(() if position is None else (position,) for position in positions)
    if window is None:
        return Reads(cells, None, reason)
    return Reads(cells, Repeating(window.stride, ((window.start(0),),), window))


def everything(length: int) -> Reads:
    """Return what one cell reads that sees all."""
    return slid(Window(length, stride=length), length)


def probed(resize: Callable[[Tensor], Tensor], length: int) -> Reads:
    """Return what a linear operation along one axis reads, by running it on impulses.

    Args:
        resize: Maps (N, length) to (N, outputs).
        length: Number of input cells.
    """
    weights = resize(torch.eye(length, dtype=torch.float64)).T
    cells = tuple(tuple(row.nonzero().flatten().tolist()) for row in weights)
    ratio, rest = divmod(len(cells), length)
    if rest or ratio == 0:
        return Reads(cells, None, f"{length} cells become {len(cells)}, no whole multiple")
    middle = length // 2
    taps = [tuple(tap - middle for tap in cells[middle * ratio + phase]) for phase in range(ratio)]
    if not _repeats(cells, taps, ratio, length):
        return Reads(cells, None, "the enlargement spreads its cells unevenly")
    return Reads(cells, Repeating(1, tuple(taps)))


def _repeats(
    cells: Sequence[Sequence[int]], taps: Sequence[Sequence[int]], ratio: int, length: int
) -> bool:
    """Say whether cells away from the borders read as those in the middle do."""
    reach = max(abs(tap) for phase in taps for tap in phase)
    inside = range(reach, length - reach)
    return bool(inside) and all(
        [tap - place for tap in cells[place * ratio + phase]] == list(taps[phase])
        for place in inside
        for phase in range(ratio)
    )
