"""Kernels of few outputs against the definition."""

from unittest import mock

import numpy as np
import pytest
import torch

from agreeing import FORMS, assert_agrees, data
from convolving import COMMON, HOST, TARGETS, Conv, Way, asked, computed, defined, normal
from faltung.compiler import machine, planner
from faltung.compiler.algorithms import narrow_blocks, narrow_plan
from faltung.compiler.problem import parse
from layouts import LAYOUTS
from test_kernel_bits import assert_same_alone, assert_same_for_teams

FORWARD = [
    Conv(2, 1, 19, 2, (9, 14), (3, 3), padding=(1, 1, 1, 1)),
    Conv(1, 1, 9, 1, (7, 40), (2, 5), padding=(0, 2, 4, 1), dilation=(2, 1), flip=True),
    Conv(1, 1, 33, 3, (12, 67), (1, 1)),
    Conv(2, 1, 8, 2, (6, 70), (3, 4), padding=(-1, 0, 0, -2), dilation=(1, 2)),
    Conv(1, 1, 2, 3, (11, 10), (9, 9), padding=(9, 9, 12, 3)),
    Conv(1, 1, 150, 3, (5, 5), (3, 3), padding=(1, 1, 1, 1)),
    Conv(2, 1, 12, 3, (9, 11), (1, 1), (3, 2)),
    Conv(1, 1, 7, 3, (1, 2), (1, 9), padding=(0, 0, 23, 24), dilation=(1, 3)),
    Conv(2, 1, 9, 2, (40, 33), (3, 3), padding=(24, 24, 24, 24), dilation=(24, 24)),
]
INPUT = [
    Conv(2, 1, 3, 20, (12, 13), (3, 3), padding=(1, 1, 1, 1)),
    Conv(1, 1, 3, 9, (23, 22), (7, 6), (2, 3), (3, 1, 0, 2), flip=True),
    Conv(1, 1, 1, 17, (31, 20), (11, 11), (4, 4), (2, 2, 2, 2)),
    Conv(2, 1, 2, 10, (16, 12), (4, 4), (4, 4)),
    Conv(1, 1, 3, 8, (14, 15), (2, 2), (3, 3), (0, 0, -1, 1)),
    Conv(1, 1, 3, 8, (15, 16), (3, 3), (2, 2), (2, 2, 2, 2), (2, 3)),
]
CASES = [("forward", conv) for conv in FORWARD] + [("input", conv) for conv in INPUT]
LARGER = [
    ("forward", Conv(3, 1, 40, 3, (37, 29), (3, 3), padding=(1, 1, 1, 1))),
    ("forward", Conv(3, 1, 24, 2, (30, 50), (1, 1))),
    ("input", Conv(3, 1, 3, 24, (45, 50), (7, 7), (2, 2), (3, 3, 3, 3))),
]
UNIT = 2.0**-24  # unit roundoff of float32


def taken(direction: str, conv: Conv, form: str, way: Way) -> bool:
    """Say whether the algorithm takes a problem in a form."""
    *layouts, _, _ = FORMS[form]
    tensors = [
        LAYOUTS[layout](torch.empty(shape))
        for layout, shape in zip(layouts, conv.shapes(direction), strict=True)
    ]
    problem = asked(direction, conv, (tensors[0], tensors[1], tensors[2]), False, way)
    return narrow_plan.refuses(problem, way.target) is None


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("number", range(len(CASES)))
def test_fixed_problems(number: int, level: str) -> None:
    direction, conv = CASES[number]
    ordinary = ("nchw", "nhwc", [*FORMS][2 + number % (len(FORMS) - 2)])
    ways = [Way(TARGETS[level], 1 + number % 2, narrow=True)]
    forms = [form for form in ordinary if taken(direction, conv, form, ways[0])]
    assert forms
    for form in forms:
        assert_agrees(direction, conv, form, ways[0], number)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [CASES[0], CASES[8]], ids=["forward", "input"])
def test_forms(case: tuple[str, Conv], form: str) -> None:
    assert_agrees(*case, form, Way(HOST, narrow=True))


@pytest.mark.parametrize("form", ["nchw", "nhwc"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_strange_numbers(number: int, form: str) -> None:
    """One element that is infinite or NaN reaches the outputs that its products belong to."""
    direction, conv = CASES[number]
    way = Way(HOST, narrow=True)
    if not taken(direction, conv, form, way):
        pytest.skip("the algorithm leaves this form to others")
    first, second, _ = data(direction, conv, form, number)
    place = np.unravel_index(number * 7919 % first.numel(), first.shape)
    first[tuple(int(i) for i in place)] = (float("nan"), float("inf"), float("-inf"))[number % 3]
    result = computed(direction, conv, first, second, way)
    truth = defined(direction, conv, first, second)
    np.testing.assert_array_equal(result.double().numpy(), truth.numpy())


@pytest.mark.parametrize("form", ["nchw", "nhwc"])
@pytest.mark.parametrize("number", range(len(LARGER)))
def test_bits_depend_on_neither_team_nor_batch(number: int, form: str) -> None:
    direction, conv = LARGER[number]
    if not taken(direction, conv, form, Way(HOST, narrow=True)):
        pytest.skip("the algorithm leaves this form to others")
    assert_same_alone(direction, conv, form, HOST.level, narrow=True)
    if machine.team_runtime() is None:
        pytest.skip("no OpenMP runtime is loaded in this process, so that there are no teams")
    assert_same_for_teams(direction, conv, form, HOST.level, narrow=True)


@pytest.mark.parametrize("sign", ["both", "one", "half zero"])
@pytest.mark.parametrize("direction", ["forward", "input"])
def test_errors(direction: str, sign: str) -> None:
    """Each element within (chain + passes) u sum |x||w|, and all of them within twice torch's."""
    channels, outputs = (128, 3) if direction == "forward" else (3, 128)
    conv = Conv(1, 1, channels, outputs, (40, 40), (3, 3), padding=(1, 1, 1, 1))
    first, second = (normal(i, shape) for i, shape in enumerate(conv.shapes(direction)[:2]))
    if sign != "both":
        first, second = first.abs(), second.abs()
    if sign == "half zero":
        first[normal(5, conv.shapes(direction)[0]) < 0] = 0
    result = computed(direction, conv, first, second, Way(HOST, narrow=True))
    truth = defined(direction, conv, first, second)
    bound = (144 + 8) * UNIT * defined(direction, conv, first.abs(), second.abs())
    assert ((result - truth).abs() <= bound).all()
    run = torch.conv2d if direction == "forward" else torch.conv_transpose2d
    theirs = run(first, second, padding=1)
    assert (result - truth).norm() <= 2 * (theirs - truth).norm()


@pytest.mark.parametrize(("text", "words"), [
    ("conv forward ic64ih56oc3kh3sh2ph1", "stride"),
    ("conv forward ic64ih56oc7kh3ph1", "it makes up to 6 outputs"),
    ("conv forward ic64ih56oc3kh1 channels", "one tap"),
    ("conv forward ic8ih56oc3kh17ph8", "chains"),
    ("conv forward g2ic8ih56oc4kh3", "one group"),
    ("conv forward ic1ih56oc3kh3", "one input channel"),
    ("conv weight ic8ih56oc3kh3", "outputs or input gradients"),
])  # fmt: skip
def test_refusals(text: str, words: str) -> None:
    found = narrow_plan.refuses(parse(text), COMMON)
    assert found is not None
    assert words in found or HOST.lanes < 8


def test_first_layers_are_planned() -> None:
    for layout in ("rows", "channels"):
        problem = parse(f"conv input ic3ih224oc64kh7sh2ph3 {layout}")
        assert planner.explain(problem, HOST, 2).plan.algorithm == "narrow"


@pytest.mark.parametrize("text", ["ic4ih200000iw1oc2kh3kw1ph1pw0", "input ic3ih2048oc64kh32sh32"])
def test_plans_of_many_rows_and_phases_are_made_at_once(text: str) -> None:
    problem = parse(text)
    assert narrow_plan.refuses(problem, machine.host()) is None
    with mock.patch.object(narrow_blocks, "_cut", wraps=narrow_blocks._cut) as made:
        narrow_plan.plans(problem, machine.host(), 2)
    assert made.call_count < 2000
