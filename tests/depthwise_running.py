"""Depthwise kernels on tensors, planned by their own algorithm, and what they shall give.

As a program (`python depthwise_running.py LEVEL`) it runs kernels on tensors that lie against
unreadable pages and says which problem comes before it runs.
"""

import sys
from dataclasses import replace
from unittest import mock

import torch
from torch import Tensor

import guarded
from agreeing import FORMS, data
from convolving import TARGETS, Conv, activated, defined
from faltung.compiler.algorithms import depthwise
from faltung.compiler.call import Call, ready
from faltung.compiler.problem import DIRECTIONS, Problem
from faltung.compiler.target import Target
from faltung.ops.ours import conv_problem
from layouts import LAYOUTS

Inputs = tuple[Tensor, Tensor, Tensor | None]

GEOMETRIES = (  # window, stride, dilation
    ((3, 3), (1, 1), (1, 1)),
    ((3, 3), (2, 2), (1, 1)),
    ((5, 4), (1, 1), (1, 1)),
    ((7, 7), (1, 1), (1, 1)),
    ((2, 9), (2, 3), (1, 2)),
    ((9, 2), (1, 2), (3, 1)),
    ((5, 13), (3, 2), (1, 1)),
    ((1, 3), (3, 1), (1, 2)),
)
LARGER = [  # read without panels; in blocks; with many taps; in groups; planes turned; wide panels
    (Conv(2, 16, 1, 1, (19, 21), (3, 3), (1, 1), (1, 1, 1, 1)), "nhwc"),
    (Conv(2, 32, 1, 1, (35, 40), (3, 3), (2, 2), (1, 0, 0, 1)), "nhwc"),
    (Conv(1, 16, 1, 1, (18, 24), (2, 4), (1, 1), (-1, 2, 3, -2), (2, 1), flip=True), "nhwc"),
    (Conv(2, 17, 1, 1, (33, 20), (7, 5), (1, 2), (3, 3, 2, 2)), "nhwc"),
    (Conv(2, 3, 1, 2, (40, 70), (3, 3), (2, 2), (1, 1, 1, 1)), "nchw"),
    (Conv(1, 5, 1, 1, (32, 33), (31, 31), (1, 1), (15, 15, 15, 15)), "nchw"),
    (Conv(1, 9, 1, 1, (20, 18), (15, 17), (1, 1), (7, 7, 8, 8)), "nhwc"),
    (Conv(6, 40, 1, 1, (7, 9), (3, 3), (1, 1), (1, 1, 1, 1)), "nhwc"),
    (Conv(5, 16, 1, 1, (9, 7), (3, 3), (1, 1), (1, 1, 1, 1)), "nchw"),
    (Conv(1, 40, 1, 1, (15, 14), (3, 3), (2, 2), (1, 1, 1, 1)), "nhwc"),
    (Conv(2, 32, 1, 1, (14, 13), (5, 4), (2, 3), (2, 1, 3, 2), (1, 2), flip=True), "nchw"),
    (Conv(16, 125, 1, 1, (5, 6), (3, 3), (1, 1), (1, 1, 1, 1)), "nhwc"),
    (Conv(16, 65, 1, 1, (6, 5), (3, 3), (1, 1), (1, 1, 1, 1)), "nhwc"),
]


def called(problem: Problem, target: Target, threads: int) -> Call:
    """Return the plan of the algorithm, for a team however small the problem is."""
    assert depthwise.refuses(problem, target) is None
    with mock.patch.object(depthwise, "SERIAL", 0):
        (plan,) = depthwise.plans(problem, target, threads)
    assert plan.threads == threads
    return ready(plan, target)


def run(
    direction: str, conv: Conv, tensors: tuple[Tensor, Tensor, Tensor], bias: Tensor | None,
    target: Target, threads: int = 1, activation: str = "",
) -> None:  # fmt: skip
    """Run on (first, second, result); the workspace holds NaN when a kernel begins."""
    geometry = (conv.stride, conv.padding, conv.dilation, conv.groups, conv.flip)
    problem = conv_problem(direction, *tensors, bias is not None, geometry)
    call = called(replace(problem, activation=activation), target, threads)
    room = guarded.flat(max(call.workspace // 4, 1), torch.float32, "behind")
    assert room.data_ptr() % 64 == 0 or not call.workspace
    room.fill_(float("nan"))
    first, second, result = (t.data_ptr() for t in tensors)
    call(first, second, 0 if bias is None else bias.data_ptr(), result, room.data_ptr())


def computed(
    direction: str, conv: Conv, form: str, inputs: Inputs,
    target: Target, threads: int = 1,
) -> Tensor:  # fmt: skip
    """Return a fresh result in the layout of a form; nothing beside it may be written."""
    first, second, bias = inputs
    like = LAYOUTS[FORMS[form][2]](torch.empty(conv.shapes(direction)[2], dtype=first.dtype))
    result, sums = guarded.blank(like), None
    if direction == "weight" and FORMS[form][3]:
        sums = torch.full((conv.biased(direction),), float("nan"), dtype=first.dtype)
    activation = "" if direction == "weight" else FORMS[form][4]
    bias = sums if direction == "weight" else bias
    run(direction, conv, (first, second, result), bias, target, threads, activation)
    assert guarded.gaps_untouched(result)
    return result if sums is None else torch.cat([result.flatten(), sums])


def expected(direction: str, conv: Conv, form: str, inputs: Inputs) -> Tensor:
    """Return what `computed` shall give, in float64."""
    first, second, bias = inputs
    if direction != "weight":
        return activated(defined(direction, conv, first, second, bias), FORMS[form][4])
    truth = defined(direction, conv, first, second)
    sums = second.double().sum((0, 2, 3))
    return torch.cat([truth.flatten(), sums]) if FORMS[form][3] else truth


def main(level: str) -> None:
    """Run problems on tensors of which each touches an unreadable page."""
    small = [
        (Conv(2, c, 1, m, size, *geometry[:2], padding, geometry[2]), form)
        for c, m, size, geometry, padding, form in (
            (3, 1, (9, 7), GEOMETRIES[0], (1, 1, 1, 1), "nchw"),
            (19, 1, (9, 10), GEOMETRIES[0], (1, 1, 1, 1), "nhwc"),
            (2, 2, (8, 17), GEOMETRIES[1], (1, 0, 2, 1), "nchw"),
            (12, 1, (11, 8), GEOMETRIES[1], (0, 1, 1, 0), "nhwc"),
            (24, 1, (9, 7), GEOMETRIES[0], (1, 1, 1, 1), "nchw"),
            (16, 1, (8, 11), GEOMETRIES[1], (1, 0, 2, 1), "nchw"),
            (33, 1, (5, 4), GEOMETRIES[0], (1, 1, 1, 1), "nhwc"),
            (5, 1, (6, 9), GEOMETRIES[2], (2, 2, -1, 3), "steps"),
            (5, 1, (9, 20), GEOMETRIES[4], (0, 0, 0, 0), "nchw to nhwc"),
        )
    ]
    count = 0
    for number, (conv, form) in enumerate([*LARGER[:3], *small, LARGER[-1]]):
        for direction in DIRECTIONS:
            for dtype in (torch.float32, torch.bfloat16)[: 1 + number % 4 // 3]:
                for side in guarded.SIDES:
                    count += 1
                    print(direction, conv, form, dtype, side, flush=True)  # noqa: T201
                    _fenced(direction, conv, form, (dtype, side), TARGETS[level])
    print(f"{count} problems are right")  # noqa: T201


def _fenced(
    direction: str, conv: Conv, form: str, how: tuple[torch.dtype, str], target: Target
) -> None:
    dtype, side = how
    held = [
        None if t is None else guarded.guarded(t.to(dtype), side)
        for t in data(direction, conv, form, 1)
    ]
    first, second, bias = held
    assert first is not None
    assert second is not None
    shape = conv.shapes(direction)[2]
    empty = LAYOUTS[FORMS[form][2]](torch.empty(shape, dtype=dtype))
    result = guarded.guarded(guarded.blank(empty), side)
    if direction == "weight":
        bias = guarded.flat(conv.biased(direction), dtype, side)
    activation = "" if direction == "weight" else FORMS[form][4]
    run(direction, conv, (first, second, result), bias, target, 2, activation)
    added = None if direction == "weight" else bias
    truth = activated(defined(direction, conv, first, second, added), activation)
    assert torch.equal(result, truth.to(dtype))
    if direction == "weight" and bias is not None:
        assert torch.equal(bias, second.double().sum((0, 2, 3)).to(dtype))
    assert guarded.gaps_untouched(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
