"""Tensors of a problem's sizes, type and strides, in the order in which kernels take them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from faltung.compiler.problem import Problem, Strides
from faltung.geometry import Window, windows
from faltung.ops.theirs.pooling import max_pool2d, min_pool2d

Shape = tuple[int, int, int, int]
Draw = Callable[[Shape], Tensor]

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Operands:
    """What a kernel is called with; see the table in `faltung.compiler.plan`.

    Attributes:
        first: x, or dy for direction "input".
        second: Weight, dy, or positions of maxima and minima; empty where there is none.
        third: Bias, or its gradient; positions that are written, too; empty where there is none.
        output: y, dx or dw; every element is NaN.
    """

    first: Tensor
    second: Tensor
    third: Tensor
    output: Tensor

    @property
    def addresses(self) -> tuple[int, int, int, int]:
        """Addresses of the four tensors, 0 where there is none."""
        first, second, third, output = (
            t.data_ptr() for t in (self.first, self.second, self.third, self.output)
        )
        return first, second, third, output


def shapes(problem: Problem) -> tuple[Shape, Shape, Shape]:
    """Return the shapes of the first tensor, the second (of pools: the positions) and the output.

    They stand in the order of `Problem.strides`.
    """
    x: Shape = (problem.images, problem.channels, *problem.size)
    y: Shape = (problem.images, problem.outputs, *problem.result)
    if problem.operation != "conv":
        return (x, y, y) if problem.direction == "forward" else (y, y, x)
    w: Shape = (problem.outputs, problem.channels // problem.groups, *problem.window)
    return {"forward": (x, w, y), "input": (y, w, x), "weight": (x, y, w)}[problem.direction]


def sliding(problem: Problem) -> tuple[Window, Window]:
    """Return the windows of a problem; where the result has more than fit, they hang over."""
    found = windows(problem.window, problem.stride, problem.padding, problem.dilation)
    fitting = tuple(w.output(n) for w, n in zip(found, problem.size, strict=True))
    if fitting == problem.result:
        return found
    return windows(problem.window, problem.stride, problem.padding, problem.dilation, ceil=True)


def operands(problem: Problem, draw: Draw) -> Operands:
    """Return tensors for a problem.

    Args:
        problem: The problem; its strides say how the tensors lie in memory.
        draw: Returns float32 elements of a shape.
    """
    dtype = DTYPES[problem.kind]
    a, b, c = shapes(problem)
    strides, nothing = problem.strides, torch.empty(0)
    first = laid_out(draw(a).to(dtype), strides[0])
    output = laid_out(torch.full(c, float("nan"), dtype=dtype), strides[2])
    if problem.operation == "conv":
        second = laid_out(draw(b).to(dtype), strides[1])
        count = b[1] if problem.direction == "weight" else c[1]
        third = draw((count, 1, 1, 1)).to(dtype).flatten() if problem.bias else nothing
        return Operands(first, second, third, output)
    if problem.operation == "avg":
        return Operands(first, nothing, nothing, output)
    if problem.direction == "forward":
        at = torch.full_like(output, -1, dtype=torch.int64) if problem.indices else nothing
        return Operands(first, at, at, output)
    extreme = max_pool2d if problem.operation == "max" else min_pool2d
    _, at = extreme(draw(c), sliding(problem))
    return Operands(first, torch.empty_like(first, dtype=torch.int64).copy_(at), nothing, output)


def laid_out(values: Tensor, strides: Strides) -> Tensor:
    """Return the elements with these strides; where a stride is 0, the first ones repeated."""
    kept = values[tuple(slice(None if step else 1) for step in strides)]
    extent = 1 + sum((n - 1) * step for n, step in zip(kept.shape, strides, strict=True))
    held = values.new_empty(extent)
    held.as_strided(kept.shape, strides).copy_(kept)
    return held.as_strided(values.shape, strides)
