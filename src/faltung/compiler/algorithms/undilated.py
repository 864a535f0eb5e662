"""Correlations with dilation, or with a stride where parts need no sum, as some without.

Targets that lie a dilation apart meet sources that lie as far apart, and no others: d * d
correlations of the same weights, each over other elements, make one with dilation d. Taps that lie
a stride apart meet such sources too: s * s gradients of other weights make one with stride s.
"""

import itertools
import math
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
        return [part for job in unstrided(weighing(problem)) for part in undilated(job)], False
    jobs, untouched = correlations(problem)
    return [part for job in jobs for part in undilated(job)], untouched


def unstrided(job: Correlation) -> list[Correlation]:
    """Return the correlations that meet all taps of one; itself with dilation, or too many.

    Taps a stride apart meet neighbours of the elements that lie a stride apart.
    """
    counts = [min(s, n) for s, n in zip(job.stride, job.window, strict=True)]
    if job.dilation != (1, 1) or math.prod(counts) > MOST:
        return [job]
    return [_taps(job, first) for first in itertools.product(range(counts[0]), range(counts[1]))]


def _taps(job: Correlation, first: Pair) -> Correlation:
    """Return what the taps at `first`, `first` + stride and so on meet, along both axes."""
    group, k, c, *along = job.weights
    row, column, offset = _stepped((along[0], along[1], along[2]), first, job.stride)
    counts = [-(-(n - i) // s) for i, s, n in zip(first, job.stride, job.window, strict=True)]
    return replace(
        _met(job, first, job.stride),
        stride=(1, 1),
        window=(counts[0], counts[1]),
        weights=(group, k, c, row, column, offset),
    )


def undilated(job: Correlation) -> list[Correlation]:
    """Return the correlations without dilation that make one; itself with a stride, or too many."""
    counts = [min(d, count) for d, count in zip(job.dilation, job.result, strict=True)]
    if job.stride != (1, 1) or math.prod(counts) > MOST:
        return [job]
    return [_phase(job, first) for first in itertools.product(range(counts[0]), range(counts[1]))]


def _phase(job: Correlation, first: Pair) -> Correlation:
    """Return what makes the targets at `first`, `first` + dilation and so on, along both axes."""
    image, channel, *along = job.target
    row, column, offset = _stepped((along[0], along[1], along[2]), first, job.dilation)
    counts = [-(-(n - i) // d) for i, d, n in zip(first, job.dilation, job.result, strict=True)]
    return replace(
        _met(job, first, job.dilation),
        dilation=(1, 1),
        result=(counts[0], counts[1]),
        target=(image, channel, row, column, offset),
    )


def _met(job: Correlation, first: Pair, step: Pair) -> Correlation:
    """Return a correlation over elements `step` apart, as met `first` behind the origin."""
    places = [(at + i) % d for at, i, d in zip(job.origin, first, step, strict=True)]
    origin = [(at + i) // d for at, i, d in zip(job.origin, first, step, strict=True)]
    size = [max(0, -(-(n - at) // d)) for n, at, d in zip(job.size, places, step, strict=True)]
    image, channel, *along = job.source
    row, column, offset = _stepped((along[0], along[1], along[2]), (places[0], places[1]), step)
    return replace(
        job,
        size=(size[0], size[1]),
        origin=(origin[0], origin[1]),
        source=(image, channel, row, column, offset),
    )


def _stepped(along: tuple[int, int, int], first: Pair, step: Pair) -> tuple[int, int, int]:
    """Return strides of rows and columns, and the offset, of elements `step` apart from `first`."""
    row, column, offset = along
    return row * step[0], column * step[1], offset + first[0] * row + first[1] * column
