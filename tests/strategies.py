"""Hypothesis strategies: small legal problems over all parameters of every operation.

A problem is a value with a readable repr; its data come from its seed, so that a failing example
printed by Hypothesis is the whole example. Letters: N batch, C input channels, K output channels,
H W input, Y X output, R S kernel.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import assume, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracle import Padding, Pair, pair, sides
from oracle_pooling import every_window_sees

Array = NDArray[np.float64]

suite = settings(derandomize=True, max_examples=60, deadline=None, database=None)
"""Every run of the suite tries the same examples, and not many of them."""

few = settings(suite, max_examples=12)
"""For tests that run once for each of `FORMS`."""

FORMS = ("number", "pair", "sides", "valid", "same", "same_upper", "same_lower", "full")
"""Every form of padding: three in numbers, and the named rules."""


def integers(seed: int, shape: tuple[int, ...], largest: int = 8) -> Array:
    """Return small whole numbers: their sums and products are exact in float32."""
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(np.float64)


def reals(seed: int, shape: tuple[int, ...]) -> Array:
    """Return normally distributed numbers that float32 holds exactly."""
    values = np.random.default_rng(seed).standard_normal(shape)
    return values.astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Convolution:
    """Arguments of a convolution, plain or transposed, as the operation itself names them."""

    input: tuple[int, ...]
    weight: tuple[int, ...]
    bias: int | None
    options: dict[str, Any]
    seed: int

    def data(self, *, whole: bool) -> tuple[Array, Array, Array | None]:
        """Return input, weight and bias; whole numbers, or real ones."""
        draw = integers if whole else reals
        bias = None if self.bias is None else draw(self.seed + 2, (self.bias,))
        return draw(self.seed, self.input), draw(self.seed + 1, self.weight), bias


@dataclass(frozen=True)
class Pooling:
    """Arguments of a pool, as the operation itself names them."""

    input: tuple[int, int, int, int]
    options: dict[str, Any]
    seed: int

    def data(self, *, whole: bool) -> Array:
        """Return the input; whole numbers of few kinds, so that there are ties, or real ones."""
        return integers(self.seed, self.input, 3) if whole else reals(self.seed, self.input)


def one_or_two(low: int, high: int) -> st.SearchStrategy[int | Pair]:
    """Draw a number, or a (vertical, horizontal) pair."""
    number = st.integers(low, high)
    return st.one_of(number, st.tuples(number, number))


def paddings(form: str | None, largest: int = 3) -> st.SearchStrategy[Padding]:
    """Draw padding of that form or of any, at most `largest` elements a side where in numbers."""
    if form is None:
        return st.sampled_from(FORMS).flatmap(lambda drawn: paddings(drawn, largest))
    number = st.integers(0, largest)
    side = st.tuples(number, number)
    in_numbers: dict[str, st.SearchStrategy[Padding]] = {
        "number": number,
        "pair": side,
        "sides": st.tuples(side, side),
    }
    return in_numbers.get(form, st.just(form))


@st.composite
def convolutions(draw: st.DrawFn, form: str | None = None) -> Convolution:
    """Draw a legal problem of `conv2d`; about one in three is depthwise."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group = draw(st.integers(1, 3))
    outputs = groups * draw(st.integers(1, 2))
    stride, dilation, padding = draw(one_or_two(1, 3)), draw(one_or_two(1, 3)), draw(paddings(form))
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "flip": draw(st.booleans()),
    }
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    least = _least(kernel, padding, pair(stride), pair(dilation))
    size = [n + draw(st.integers(0, 5)) for n in least]
    return Convolution(
        input=(draw(st.integers(1, 2)), groups * per_group, *size),
        weight=(outputs, per_group, *kernel),
        bias=outputs if draw(st.booleans()) else None,
        options=options,
        seed=draw(st.integers(0, 1000)),
    )


@st.composite
def transposed(draw: st.DrawFn, form: str | None = None) -> Convolution:
    """Draw a legal problem of `conv_transpose2d`."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    stride, dilation = draw(one_or_two(1, 3)), draw(one_or_two(1, 3))
    padding = draw(paddings(form, 2))
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    options |= {"groups": groups, "flip": draw(st.booleans())}
    if not isinstance(padding, str):
        step, gap = pair(stride), pair(dilation)
        below = [max(s, d) - 1 for s, d in zip(step, gap, strict=True)]
        options["output_padding"] = tuple(draw(st.integers(0, n)) for n in below)
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    size = [draw(st.integers(1, 5)) for _ in kernel]
    if not (isinstance(padding, str) and padding.startswith("same")):
        cropped = sides(padding, (1, 1), kernel, (1, 1), pair(dilation))
        size = [
            n + _more(sum(crop), (k - 1) * d + 1 + (n - 1) * s, s)
            for n, crop, k, d, s in zip(
                size, cropped, kernel, pair(dilation), pair(stride), strict=True
            )
        ]
    return Convolution(
        input=(draw(st.integers(1, 2)), groups * per_group, *size),
        weight=(groups * per_group, outputs, *kernel),
        bias=groups * outputs if draw(st.booleans()) else None,
        options=options,
        seed=draw(st.integers(0, 1000)),
    )


@st.composite
def extrema(draw: st.DrawFn, form: str | None = None) -> Pooling:
    """Draw a legal problem of `max_pool2d` or `min_pool2d`: every window sees the input."""
    options = _pooling_options(draw, form, dilation=draw(one_or_two(1, 3)))
    problem = _pooling(draw, options, pair(options["dilation"]))
    assume(every_window_sees(problem.input, **options))
    return problem


@st.composite
def averages(draw: st.DrawFn, form: str | None = None) -> Pooling:
    """Draw a legal problem of `avg_pool2d`."""
    options = _pooling_options(draw, form)
    options["count_include_pad"] = draw(st.booleans())
    options["divisor_override"] = draw(st.sampled_from([None, None, 1, 3, 7]))
    return _pooling(draw, options, (1, 1))


def _pooling_options(draw: st.DrawFn, form: str | None, **more: Any) -> dict[str, Any]:
    """Draw what all pools take."""
    kernel = draw(one_or_two(1, 4))
    return {
        "kernel_size": kernel,
        "stride": draw(st.one_of(st.none(), one_or_two(1, 3))),
        "padding": draw(paddings(form, min(pair(kernel)) // 2)),
        "ceil_mode": draw(st.booleans()),
        **more,
    }


def _pooling(draw: st.DrawFn, options: dict[str, Any], dilation: Pair) -> Pooling:
    """Draw an input on which a pool with these options is legal."""
    kernel = pair(options["kernel_size"])
    stride = kernel if options["stride"] is None else pair(options["stride"])
    least = _least(kernel, options["padding"], stride, dilation)
    size = [n + draw(st.integers(0, 5)) for n in least]
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 3)), size[0], size[1]
    return Pooling(shape, options, draw(st.integers(0, 1000)))


def _least(kernel: Pair, padding: Padding, stride: Pair, dilation: Pair) -> list[int]:
    """Return the smallest height and width into which a window fits once they are padded."""
    least = []
    for axis in (0, 1):
        extent = (kernel[axis] - 1) * dilation[axis] + 1
        fits = (
            n
            for n in range(1, extent + 1)
            if n + sum(sides(padding, (n, n), kernel, stride, dilation)[axis]) >= extent
        )
        least.append(next(fits))
    return least


def _more(cropped: int, whole: int, stride: int) -> int:
    """Return by how many cells an input must grow for something to be left once cropped."""
    return max(-((whole - cropped - 1) // stride), 0)
