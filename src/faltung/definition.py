"""What a kernel's result must be: torch's operators in float64, and how far float32 may stray."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from faltung.compiler.problem import Problem
from faltung.operands import Operands, sliding
from faltung.ops.theirs import convolution, pooling

UNIT = 2.0**-24  # float32's unit roundoff
SHORT = 2.0**-8  # bfloat16's epsilon: a result is rounded to it once
ALLOWED = {
    "high": 2.0**-15,
    "medium": 2 * SHORT,
}  # of a result's size, with less precision
NAMES = ("output", "second output")


def wrong(problem: Problem, given: Operands, *, exact: bool) -> str | None:
    """Return what is wrong with what a kernel wrote, or None.

    A sum of n products, added in any order, is within n * UNIT * sum |x||w| of the exact one
    (N. Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1). Two more roundings
    are allowed for: of a bias, and of the division of a mean. With less precision than "highest",
    the error as a whole may be a part of the result (`ALLOWED`).

    Args:
        problem: The problem.
        given: Its tensors after the call.
        exact: The elements are such that nothing rounds, so that any other bit is wrong.
    """
    truths = definition(problem, _mapped(given, Tensor.double))
    bounds = definition(problem, _mapped(given, lambda t: t.double().abs()))
    selects = problem.operation in {"max", "min"} and problem.direction == "forward"
    short = SHORT if problem.kind == "bf16" else 0.0
    for name, got, truth, bound in zip(
        NAMES, (given.output, given.third), truths, bounds, strict=True
    ):
        if truth.numel() == 0:
            continue
        error = (got.double() - truth).abs()
        if problem.precision != "highest":
            part = float(error.norm() / truth.norm())
            if not part <= ALLOWED[problem.precision] + short:
                return f"the {name} is off by {part:.2g} of its size"
            continue
        if exact or selects:
            allowed = torch.zeros(())
            error = (got.double() - truth.to(got.dtype).double()).abs()
        else:
            allowed = (terms(problem) + 2) * UNIT * bound + short * truth.abs()
        bad = int((~(error <= allowed)).sum())
        if bad:
            return f"{bad} of {got.numel()} elements of the {name} are off, by {error.max():.3g}"
    return None


def _mapped(given: Operands, change: Callable[[Tensor], Tensor]) -> Operands:
    first, second, third = (change(t) for t in (given.first, given.second, given.third))
    return replace(given, first=first, second=second, third=third)


def terms(problem: Problem) -> int:
    """Return how many products, at most, an element of the result sums."""
    taps = problem.window[0] * problem.window[1]
    if problem.operation != "conv":
        return taps
    if problem.direction == "weight":
        return problem.images * problem.result[0] * problem.result[1]
    channels = problem.channels if problem.direction == "forward" else problem.outputs
    return taps * channels // problem.groups


def definition(problem: Problem, given: Operands) -> tuple[Tensor, Tensor]:
    """Return the output, and the gradient of a bias or the positions of extremes, or no elements.

    Args:
        problem: The problem.
        given: Its tensors, of any type that torch computes with.
    """
    nothing = given.first.new_empty(0)
    if problem.operation == "conv":
        return _convolved(problem, given, nothing)
    over, first, size = sliding(problem), given.first, list(problem.size)
    if problem.operation == "avg":
        how = (problem.count_padding, problem.divisor or None)
        if problem.direction == "forward":
            return pooling.avg_pool2d(first, over, *how), nothing
        return pooling.avg_pool2d_gradient(first, size, over, *how), nothing
    if problem.direction == "forward":
        extreme = pooling.max_pool2d if problem.operation == "max" else pooling.min_pool2d
        y, at = extreme(first, over)
        return y, at if problem.indices else nothing
    return pooling.extreme_pool2d_gradient(first, given.second.long(), size), nothing


def _convolved(problem: Problem, given: Operands, nothing: Tensor) -> tuple[Tensor, Tensor]:
    first, second = given.first, given.second
    bias = given.third if problem.bias else None
    stride, padding, dilation = map(list, (problem.stride, problem.padding, problem.dilation))
    geometry: Any = (stride, padding, dilation, problem.groups, problem.flip)
    if problem.direction == "forward":
        return convolution.conv2d(first, second, bias, *geometry), nothing
    size, window = list(problem.size), list(problem.window)
    if problem.direction == "input":
        return convolution.conv2d_input_gradient(first, second, bias, size, *geometry), nothing
    gradient: Any = convolution.conv2d_weight_gradient
    dw, db = gradient(first, second, window, *geometry, problem.bias)
    return dw, db
