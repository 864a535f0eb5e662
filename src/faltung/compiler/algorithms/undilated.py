"""Correlations with dilation as some without.

Targets that lie a dilation apart meet sources that lie as far apart, and no others: d * d
correlations of the same weights, each over other elements, make one with dilation d.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from faltung.compiler.algorithms.correlation import Correlation, correlations, weighing
from faltung.compiler.problem import Pair, Problem

MOST = 16  # correlations that one is made of


def apart(problem: Problem) -> tuple[list[Correlation], bool]:
    """Return the correlations without dilation that make a result or a gradient of weights.

    Returns:
        They, and whether elements are left untouched.
    """
    if problem.direction == "weight":
        return undilated(weighing(problem)), False
    jobs, untouched = correlations(problem)
    return [part for job in jobs for part in undilated(job)], untouched


def undilated(job: Correlation) -> list[Correlation]:
    """Return the correlations without dilation that make one; itself with a stride, or too many."""
    counts = [min(d, count) for d, count in zip(job.dilation, job.result, strict=True)]
    if job.stride != (1, 1) or math.prod(counts) > MOST:
        return [job]
    return [_phase(job, first) for first in itertools.product(*map(range, counts))]


def _phase(job: Correlation, first: tuple[int, ...]) -> Correlation:
    """Return what makes the targets at `first`, `first` + dilation and so on, along both axes."""
    axes = list(zip(first, job.dilation, job.origin, job.size, job.result, strict=True))
    sources = [(at + i) % d for i, d, at, _, _ in axes]
    origin = [(at + i) // d for i, d, at, _, _ in axes]
    size = [max(0, -(-(n - at) // d)) for at, (_, d, _, n, _) in zip(sources, axes, strict=True)]
    result = [-(-(n - i) // d) for i, d, _, _, n in axes]
    return replace(
        job,
        dilation=(1, 1),
        size=(size[0], size[1]),
        result=(result[0], result[1]),
        origin=(origin[0], origin[1]),
        source=_stepped(job.source, sources, job.dilation),
        target=_stepped(job.target, first, job.dilation),
    )


def _stepped(
    strides: tuple[int, int, int, int, int], first: Sequence[int], step: Pair
) -> tuple[int, int, int, int, int]:
    """Return the strides of elements `step` apart, and the offset of `first`."""
    image, channel, row, column, offset = strides
    offset += first[0] * row + first[1] * column
    return image, channel, step[0] * row, step[1] * column, offset
