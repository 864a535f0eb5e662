"""Dense kernels on guarded tensors, one after the other: `python guarded_run.py LEVEL [MISTAKE]`.

Says which problem comes before it runs, so that the last line names the one that ended the process.
"""

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agreeing import FORMS, data
from convolving import HOST, TARGETS, Conv, Way, activated, again, asked, called, defined
from faltung.compiler.algorithms import dense, packing
from faltung.compiler.call import Call, ready
from faltung.compiler.plan import Step
from faltung.compiler.problem import DIRECTIONS
from guarded import SIDES, blank, flat, gaps_untouched, guarded
from layouts import LAYOUTS

PROBLEMS = [
    Conv(1, 1, 1, 1, (1, 1), (1, 1)),
    Conv(2, 1, 3, 5, (7, 9), (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(1, 1, 3, 5, (8, 7), (2, 3), (2, 3), (0, 2, 4, 1), (2, 1), flip=True),
    Conv(2, 2, 8, 9, (5, 17), (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(1, 1, 17, 16, (6, 11), (1, 1)),
    Conv(2, 1, 16, 17, (9, 9), (1, 1), (3, 2)),
    Conv(1, 1, 40, 25, (4, 6), (3, 3), (2, 1), (1, 0, 0, 1)),
    Conv(1, 3, 5, 2, (9, 8), (2, 5), (1, 2), (3, 0, 5, 6), (1, 2)),
    Conv(1, 1, 2, 33, (12, 10), (5, 4), (1, 1), (-1, 1, 0, -2)),
    Conv(1, 1, 33, 9, (2, 530), (2, 3), (1, 1), (0, 1, 1, 0)),
]
WINOGRAD = [
    Conv(2, 1, 32, 48, (9, 8), (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(1, 1, 48, 32, (17, 16), (3, 3), (1, 1), (2, 1, 0, 4), (2, 2), flip=True),
    Conv(2, 1, 48, 32, (16, 17), (4, 4), (2, 2), (1, 1, 1, 1)),
]
PLANAR = [
    Conv(2, 2, 8, 9, (5, 17), (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(1, 1, 3, 7, (9, 41), (3, 5), (2, 2), (1, 0, 2, 1)),
    Conv(2, 1, 17, 16, (7, 11), (1, 1)),
]
NARROW = [
    Conv(2, 1, 9, 3, (9, 20), (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(1, 1, 17, 2, (13, 70), (1, 1)),
    Conv(1, 1, 5, 3, (6, 130), (2, 3), (1, 1), (-1, 0, 0, -2), (2, 1), flip=True),
    Conv(2, 1, 3, 10, (17, 13), (5, 4), (3, 2), (2, 2, 1, 1)),
    Conv(1, 1, 7, 3, (1, 2), (1, 9), padding=(0, 0, 400, 400), dilation=(1, 100)),
]
MISTAKES = {  # a number of the plan that is off by one, and the side of the page that it runs into
    "reads behind": ("source_offset", 1),
    "reads before": ("source_offset", -1),
    "reads weights behind": ("weight_offset", 1),
    "writes behind": ("target_offset", 1),
    "writes before": ("target_offset", -1),
}


@dataclass(frozen=True)
class Case:
    """A problem in a direction, as it lies in memory."""

    direction: str
    conv: Conv
    form: str
    dtype: torch.dtype
    side: str
    way: Way


def cases(level: str) -> list[Case]:
    """Return all cases, but of the lesser levels some of each kind: four of seven."""
    every = [*all_cases(level)]
    if TARGETS[level] == HOST or TARGETS[level].tiles:
        return every
    return [case for number, case in enumerate(every) if number % 7 in {0, 2, 3, 5}]


def all_cases(level: str) -> Iterator[Case]:
    """Give all cases of a level; kernels for one window alone where the form is an ordinary one."""
    number = 0
    for direction in DIRECTIONS:
        for at, conv in enumerate(PROBLEMS):
            ordinary = ("nchw", "nhwc")[at % 2]
            for form in dict.fromkeys((ordinary, [*FORMS][at % len(FORMS)])):
                number += 1
                narrow = at == 1 and form == ordinary
                for side in SIDES:
                    way = Way(TARGETS[level], 1 + number % 2, general=not narrow)
                    yield Case(direction, conv, form, torch.float32, side, way)
                    if at in {3, 6} and form == ordinary:
                        yield Case(direction, conv, form, torch.bfloat16, side, way)
    for number, conv in enumerate(WINOGRAD):
        strided, dilated = conv.stride != (1, 1), conv.dilation != (1, 1)
        for direction in DIRECTIONS[strided : 2 if dilated else 3]:
            for form, side in itertools.product(("nchw", "nhwc", "steps"), SIDES):
                way = Way(TARGETS[level], 1 + number % 2, winograd=True)
                yield Case(direction, conv, form, torch.float32, side, way)
    yield from planar_cases(level)
    yield from narrow_cases(level)


def planar_cases(level: str) -> Iterator[Case]:
    """Give the cases whose vectors run along rows."""
    for number, conv in enumerate(PLANAR):
        for direction, side in itertools.product(DIRECTIONS[: 1 + (conv.stride == (1, 1))], SIDES):
            for dtype in (torch.float32, torch.bfloat16):
                way = Way(TARGETS[level], 1 + number % 2, planar=True)
                yield Case(direction, conv, "nchw", dtype, side, way)


def narrow_cases(level: str) -> Iterator[Case]:
    """Give the cases of the kernels of few outputs."""
    for number, conv in enumerate(NARROW):
        direction = "forward" if conv.outputs < conv.channels else "input"
        forms = ("nchw", "steps") if conv.window == (1, 1) else ("nchw", "nhwc", "steps")
        for form, side in itertools.product(forms, SIDES):
            way = Way(TARGETS[level], 1 + number % 2, narrow=True)
            yield Case(direction, conv, form, torch.float32, side, way)


def wrong(call: Call, way: Way, mistake: str) -> Call:
    """Return a call that makes a mistake."""
    name, more = MISTAKES[mistake]
    first = call.plan.preparation
    assert first is not None
    (step,), (before,) = call.plan.steps, first.steps
    if name in dense.SIZES:
        steps = (_changed(step, dense.SIZES.index(name), more),)
        return ready(replace(call.plan, steps=steps), way.target)
    steps = (_changed(before, packing.SIZES.index(name), more),)
    return ready(replace(call.plan, preparation=replace(first, steps=steps)), way.target)


def _changed(step: Step, place: int, more: int) -> Step:
    numbers = [*step.numbers]
    numbers[place] += more
    return replace(step, numbers=tuple(numbers))


def perform(case: Case, mistake: str) -> None:
    """Run a case and compare its result with the definition."""
    direction, conv, side = case.direction, case.conv, case.side
    *_, layout, sums, activation = FORMS[case.form]
    way = case.way if direction == "weight" else replace(case.way, activation=activation)

    def put(x: Tensor) -> Tensor:
        return guarded(x.to(case.dtype), side)

    first, second, bias = data(direction, conv, case.form, 1)
    first, second = put(first), put(second)
    result = put(blank(LAYOUTS[layout](torch.empty(conv.shapes(direction)[2]))))
    if direction == "weight" and sums:
        bias = torch.zeros(conv.biased(direction))
    bias = None if bias is None else put(bias)
    problem = asked(direction, conv, (first, second, result), bias is not None, way)
    print(f"{problem}: {case.form}, page {side}, {way.threads} threads, {conv}", flush=True)  # noqa: T201
    call = called(problem, way)
    if mistake:
        call = wrong(call, way, mistake)
    room = flat(max(call.workspace // 4, 1), torch.float32, side)
    assert room.data_ptr() % 64 == 0 or not call.workspace
    room.fill_(float("nan"))
    third = 0 if bias is None else bias.data_ptr()
    addresses = (first.data_ptr(), second.data_ptr(), third, result.data_ptr())
    call(*addresses, room.data_ptr())
    again(call, addresses, result, side)

    added = bias if direction != "weight" else None
    truth = activated(defined(direction, conv, first, second, added), way.activation)
    assert torch.equal(result, truth.to(case.dtype)), "the result is wrong"
    assert gaps_untouched(result), "elements between those of the result are written"
    if direction == "weight" and bias is not None:
        expected = second.double().sum((0, 2, 3))
        assert torch.equal(bias, expected.to(case.dtype)), "the gradient of the bias is wrong"


def main(level: str, mistake: str = "") -> None:
    """Run all cases of a level, or one of them with a mistake."""
    if mistake:
        side = "behind" if mistake.endswith("behind") else "before"
        way = Way(TARGETS[level])
        perform(Case("forward", PROBLEMS[1], "nchw", torch.float32, side, way), mistake)
        return
    count = 0
    for count, case in enumerate(cases(level), 1):  # noqa: B007
        perform(case, "")
    print(f"{count} cases are right")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
