"""Correlations cut into parts that meet no padding: taps that lie there need no products."""

import math
from dataclasses import replace
from itertools import groupby

from faltung.compiler.algorithms.correlation import Correlation

PARTS = 3  # along each axis: before, between and behind
SAVED = 0.8  # of the products may remain at most, for parts to pay
PIXELS = 64  # fewer in a part, and its register tiles stay half empty


def parted(job: Correlation) -> list[Correlation]:
    """Cut the result where windows reach into padding, so that taps that lie there are left out.

    That pays where padding is large beside the image, as with large dilations.
    """
    axes = [_stretches(job, axis) for axis in (0, 1)]
    met = [sum(count * (stop - start) for _, count, start, stop in axis) for axis in axes]
    all_of_them = math.prod(job.result) * math.prod(job.window)
    counts = [[count for _, count, _, _ in axis] for axis in axes]
    if (
        max(map(len, axes)) > PARTS
        or math.prod(met) > SAVED * all_of_them
        or min(counts[0]) * min(counts[1]) < PIXELS
        or any(start >= stop for axis in axes for _, _, start, stop in axis)
    ):
        return [job]
    return [_part(job, rows, columns) for rows in axes[0] for columns in axes[1]]


def _stretches(job: Correlation, axis: int) -> list[tuple[int, int, int, int]]:
    """Return stretches of windows that meet the same taps: first, count, first tap, last tap + 1.

    Windows that meet none have an empty range of taps.
    """
    taps, apart, length = job.window[axis], job.dilation[axis], job.size[axis]

    def met(index: int) -> tuple[int, int]:
        at = job.origin[axis] + index * job.stride[axis]
        return max(-(at // apart), 0), min((length - 1 - at) // apart + 1, taps)

    found = []
    for (start, stop), group in groupby(range(job.result[axis]), met):
        members = list(group)
        found.append((members[0], len(members), start, stop))
    return found


def _part(
    job: Correlation, rows: tuple[int, int, int, int], columns: tuple[int, int, int, int]
) -> Correlation:
    pairs = list(zip(rows, columns, strict=True))
    firsts, counts, starts, stops = pairs
    offset = sum(n * step for n, step in zip(firsts, job.target[2:4], strict=True))
    origin = [
        at + n * step + start * apart
        for at, n, step, start, apart in zip(
            job.origin, firsts, job.stride, starts, job.dilation, strict=True
        )
    ]
    return replace(
        job,
        window=(stops[0] - starts[0], stops[1] - starts[1]),
        result=counts,
        origin=(origin[0], origin[1]),
        target=(*job.target[:4], job.target[4] + offset),
        first=starts,
        kernel=job.window,
    )
