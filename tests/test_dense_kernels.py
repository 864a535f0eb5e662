"""Dense kernels of every level on whole numbers: bit for bit what the definition says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import oracle
from agreeing import FORMS, SOME, assert_agrees, convs
from convolving import COMMON, TARGETS, Conv, Way, defined, run, whole
from faltung.compiler.algorithms import dense_weight_plan, strips
from faltung.compiler.problem import DIRECTIONS, parse
from guarded import blank
from strategies import few

ORDINARY = [  # images, groups, channels, outputs, size, window, stride, padding, dilation, flip
    Conv(1, 1, 1, 1, (1, 1), (1, 1)),
    Conv(2, 1, 2, 3, (7, 9), (2, 2), padding=(1, 0, 0, 1)),
    Conv(1, 1, 3, 5, (9, 8), (3, 3), (2, 2), (1, 1, 1, 1)),
    Conv(1, 2, 5, 8, (8, 11), (5, 4), (1, 1), (4, 3, 2, 5), (2, 1)),
    Conv(2, 1, 8, 15, (6, 5), (3, 3), (1, 1), (1, 1, 1, 1), flip=True),
    Conv(1, 1, 15, 16, (10, 17), (2, 5), (3, 1), (0, 1, 2, 2)),
    Conv(1, 1, 16, 17, (5, 33), (3, 3), (1, 2), (1, 1, 1, 1)),
    Conv(2, 1, 17, 40, (1, 19), (1, 5), (1, 1), (0, 0, 5, 1), (1, 3)),
    Conv(1, 1, 40, 65, (6, 7), (3, 3), (1, 1), (1, 1, 1, 1)),
    Conv(1, 1, 65, 1, (7, 7), (7, 7), (1, 1), (3, 3, 3, 3)),
    Conv(1, 1, 3, 2, (12, 13), (11, 11), (2, 3), (12, 13, 11, 14)),
    Conv(3, 1, 65, 40, (4, 4), (1, 1)),
    Conv(2, 1, 16, 16, (9, 7), (1, 1), (3, 2)),
    Conv(1, 1, 2, 3, (5, 4), (1, 1), (2, 2), (3, 1, 0, 2)),
    Conv(1, 3, 2, 2, (9, 9), (4, 3), (2, 3), (2, 1, 0, 3), (3, 2), flip=True),
    Conv(1, 1, 3, 8, (11, 12), (3, 2), (2, 1), (-2, 1, 0, -3), (1, 2)),
    Conv(1, 1, 1, 24, (31, 30), (4, 5), (3, 2), (1, 2, 2, 1)),
    Conv(2, 1, 20, 40, (9, 14), (3, 4), (3, 2)),
]


def test_definition_says_what_the_loops_say() -> None:
    conv = Conv(2, 2, 2, 3, (5, 4), (3, 2), (2, 1), (1, 2, 0, 1), (1, 2), flip=True)
    x, w, dy = whole(1, conv.x), whole(2, conv.w), whole(3, conv.y)
    options = {"stride": (2, 1), "padding": ((1, 2), (0, 1)), "dilation": (1, 2), "groups": 2}
    for value in (1.0, float("nan"), float("inf")):
        x[0, 0, 1, 1] = value
        truth = oracle.conv2d(x, w, whole(4, (6,)), flip=True, **options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(defined("forward", conv, x, w, whole(4, (6,))), truth)
    x, x64, w64 = whole(1, conv.x), whole(1, conv.x).double(), whole(2, conv.w).double()
    y = defined("forward", conv, x64.requires_grad_(), w64.requires_grad_())
    dx, dw = torch.autograd.grad(y, (x64, w64), dy.double())
    assert torch.equal(defined("input", conv, dy, w), dx)
    assert torch.equal(defined("weight", conv, x, dy), dw)


@pytest.mark.parametrize("number", range(len(ORDINARY)))
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_fixed_problems(direction: str, number: int) -> None:
    for step, target in enumerate(TARGETS.values()):
        form = ("nchw", "nhwc")[(number + step) % 2]
        conv = ORDINARY[number]
        phases = direction == "input" and conv.stride != (1, 1)  # each would be a kernel
        assert_agrees(direction, conv, form, Way(target, general=phases or step > 0))


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@few
@given(
    conv=convs(), form=st.sampled_from([*FORMS]), threads=st.integers(1, 2),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_any_problem(
    direction: str, level: str, conv: Conv, form: str, threads: int, seed: int
) -> None:
    assert_agrees(direction, conv, form, Way(TARGETS[level], threads), seed)


def test_strips_leave_room_for_a_whole_vector() -> None:
    for elements in range(1, 3000):
        assert strips.plane(elements) >= elements + strips.LINE - 1
        assert strips.plane(elements) // strips.LINE % 2 == 1


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("conv", [
    Conv(1, 1, 10, 16, (5, 7), (1, 1)),
    Conv(1, 1, 20, 16, (7, 5), (1, 1)),
    Conv(1, 1, 64, 8, (9, 14), (3, 3)),
    Conv(1, 1, 64, 64, (7, 14), (3, 3)),
    Conv(1, 1, 64, 64, (11, 11), (3, 3)),
], ids=repr)  # fmt: skip
def test_strips_of_weight_gradients_do_not_meet(conv: Conv, level: str) -> None:
    """The last vector of a strip ends beside the next one, and nothing on the right hides it."""
    for form in ("nchw", "nhwc"):
        assert_agrees("weight", conv, form, Way(replace(TARGETS[level], tiles="")))


@pytest.mark.parametrize("form", SOME)
@pytest.mark.parametrize("level", TARGETS)
def test_weight_gradients_of_many_channels_and_small_images(level: str, form: str) -> None:
    """Slices of channels, several of them a task, and several images in a block."""
    conv = Conv(17, 1, 192, 49, (3, 9), (2, 2), (1, 2), (1, 0, 1, 0))
    target = replace(TARGETS[level], tiles="", l2=2**15)
    for threads in (1, 2, 5):
        assert_agrees("weight", conv, form, Way(target, threads))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("text", [
    "ic64ih56oc256kh1", "mb4ic512ih28oc128kh1", "ic3ih224oc64kh11sh4ph2", "ic32ih56oc64kh7ph3",
    "ic64ih1iw100000oc64kh1kw5", "mb8ic320ih7oc1280kh1", "ic320ih33oc256kh3ph12dh12",
])  # fmt: skip
def test_memory_of_weight_gradients(text: str, layout: str) -> None:
    """Threads hold what fits into their second caches, or as much as the weights take."""
    problem, target = parse(f"conv weight {text} {layout}"), replace(COMMON, l2=2**19)
    (plan,) = dense_weight_plan.plans(problem, target, 2)
    weights = 4 * math.prod((problem.outputs, problem.channels, *problem.window))
    assert plan.workspace < 2 * target.l2 + weights


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("conv", [
    Conv(2, 1, 5, 9, (6, 37), (3, 3), (1, 2), (1, 1, 1, 1)),
    Conv(1, 1, 40, 17, (5, 41), (1, 1)),
    Conv(2, 1, 33, 24, (7, 50), (2, 3), (2, 1), (1, 0, 2, 4), (1, 2)),
    Conv(1, 4, 4, 4, (4, 45), (3, 3), (1, 1), (0, 1, 1, 1)),
], ids=repr)  # fmt: skip
def test_weight_gradients_of_lines_in_pieces(conv: Conv, level: str) -> None:
    """A small first cache leaves few pixels to a block."""
    for step, form in enumerate(("nchw", "nhwc", "steps")):
        target = replace(TARGETS[level], tiles="", l1=2 ** (10 + step))
        assert_agrees("weight", conv, form, Way(target, 1 + step % 2))


@pytest.mark.parametrize("direction", ["input", "weight"])
def test_gradients_of_outputs_that_leave_rows_over(direction: str) -> None:
    """A transposed convolution may have fewer rows of dy than windows fit its result."""
    conv = Conv(1, 1, 3, 2, (11, 13), (3, 3), (2, 3), (1, 1, 0, 2))
    dy = whole(1, conv.y)
    dy[:, :, -2:] = 0
    dy[..., -1:] = 0
    short = dy[:, :, :-2, :-1]
    other = whole(2, conv.w if direction == "input" else conv.x)
    given_, full = ((d, other) if direction == "input" else (other, d) for d in (short, dy))
    for target in TARGETS.values():
        result = blank(torch.empty(conv.shapes(direction)[2]))
        run(direction, conv, (*given_, result), None, Way(target))
        assert torch.equal(result.double(), defined(direction, conv, *full))
