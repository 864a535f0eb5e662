"""Depthwise kernels against the definition."""

import math
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import guarded
from agreeing import FORMS, data
from convolving import HOST, TARGETS, Conv, Shape, defined, normal
from depthwise_running import GEOMETRIES, LARGER, computed, expected
from faltung.compiler import machine
from faltung.compiler.algorithms import depthwise
from faltung.compiler.algorithms.depthwise_axes import scattered
from faltung.compiler.algorithms.depthwise_kernel import NUMBERS
from faltung.compiler.call import ready
from faltung.compiler.problem import DIRECTIONS, parse
from faltung.compiler.target import AVX512, Target, from_features
from faltung.ops import ours
from faltung.ops.theirs import convolution
from layouts import LAYOUTS
from strategies import suite

SCRIPT = Path(__file__).with_name("depthwise_running.py")

several = settings(suite, max_examples=5)

WIDE = [  # few rows of many columns, and the form in which they come
    (Conv(1, 8, 1, 1, (2, 10000), (3, 3), padding=(1, 1, 1, 1)), "nhwc"),
    (Conv(1, 8, 1, 1, (2, 10000), (3, 3), padding=(1, 1, 1, 1)), "nchw"),
    (Conv(1, 24, 1, 1, (3, 3000), (3, 3), padding=(1, 1, 1, 1)), "nhwc"),
]

UNIT = 2.0**-24  # unit roundoff of float32
STRANGE = [float("nan"), float("inf"), float("-inf")]


def assert_right(direction: str, conv: Conv, form: str, target: Target, seed: int) -> None:
    """Assert exact sums of whole numbers, and the strange ones of one strange element."""
    inputs = data(direction, conv, form, seed)
    result = computed(direction, conv, form, inputs, target)
    assert torch.equal(result.double(), expected(direction, conv, form, inputs)), f"{conv} {form}"
    second = direction == "weight" and seed % 2 == 1 and not any(conv.padding)
    strange = inputs[1] if second else inputs[0]
    place = np.unravel_index(seed * 7919 % strange.numel(), strange.shape)
    strange[tuple(int(i) for i in place)] = STRANGE[seed % 3]
    result = computed(direction, conv, form, inputs, target)
    truth = expected(direction, conv, form, inputs)
    np.testing.assert_array_equal(result.double().numpy(), truth.numpy())


def assert_close(direction: str, conv: Conv, form: str, target: Target) -> None:
    """Assert |y - ŷ| <= (n + 2) u sum |x||w|, and the same bits for every team and batch.

    For the bound see N. Higham, "Accuracy and Stability of Numerical Algorithms", 3.1.
    """
    shapes, layouts = conv.shapes(direction), FORMS[form]
    first = LAYOUTS[layouts[0]](normal(1, shapes[0]))
    second = LAYOUTS[layouts[1]](normal(2, shapes[1]))
    bias = None if direction == "weight" or not layouts[3] else normal(3, (conv.biased(direction),))
    alone, *teams = (
        computed(direction, conv, form, (first, second, bias), target, n) for n in (1, 2, 3)
    )
    assert all(torch.equal(alone, result) for result in teams), f"{direction} {conv}, {form}"
    truth = expected(direction, conv, form, (first, second, bias))
    size = expected(direction, conv, "nchw", (first.abs(), second.abs(), None)).flatten()
    if bias is not None:
        size = defined(direction, conv, first.abs(), second.abs(), bias.abs()).flatten()
    elif truth.numel() > size.numel():
        size = torch.cat([size, second.double().abs().sum((0, 2, 3))])
    bound = (conv.products(direction) + 2) * UNIT * size
    assert bool(((alone.double() - truth).flatten().abs() <= bound).all())
    if direction != "weight":
        single = replace(conv, images=1)
        for number in range(conv.images):
            image = (LAYOUTS[layouts[0]](first[number : number + 1]), second, bias)
            own = computed(direction, single, form, image, target)
            assert torch.equal(own[0], alone[number]), f"{direction} {conv}, {form}"


@st.composite
def convs(draw: st.DrawFn) -> Conv:
    """Draw a depthwise convolution whose output has elements."""
    window, stride, dilation = draw(st.sampled_from(GEOMETRIES))
    sides, size = [], []
    for taps, gap in zip(window, dilation, strict=True):
        before, after = (draw(st.integers(-2, taps + 1)) for _ in range(2))
        least = max((taps - 1) * gap + 1 - before - after, 1, 1 - before, 1 - after)
        sides += [before, after]
        size.append(least + draw(st.integers(0, 5) | st.integers(0, 30)))
    padding: Shape = (sides[0], sides[1], sides[2], sides[3])
    multiplier = draw(st.sampled_from([1, 1, 1, 2, 3, 7]))
    conv = Conv(
        draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 8, 11, 16, 19, 32])), 1, multiplier,
        (size[0], size[1]), window, stride, padding, dilation, draw(st.booleans()),
    )  # fmt: skip
    assume(min(conv.result) > 0)
    return conv


def targets(level: str) -> Iterator[Target]:
    """Give the target, and one whose caches are so small that images fall into blocks."""
    yield TARGETS[level]
    yield replace(TARGETS[level], l2=2**14)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@several
@given(
    conv=convs(), form=st.sampled_from(["nchw", "nhwc", *FORMS]), seed=st.integers(0, 99),
    small=st.booleans(),
)  # fmt: skip
def test_any_problem(
    direction: str, level: str, conv: Conv, form: str, seed: int, small: bool
) -> None:
    target = [*targets(level)][small]
    assert_right(direction, conv, form, target, seed)
    assert_close(direction, conv, form, target)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("number", range(len(LARGER)))
def test_larger_problems(number: int, direction: str, level: str) -> None:
    conv, form = LARGER[number]
    target = [*targets(level)][number % 2]
    assert_right(direction, conv, form, target, number)
    assert_close(direction, conv, form, target)


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("mb2g16ic16oc16ih9iw7kh3ph1 nchw", "planes turned"),
        ("mb2g16ic16oc16ih9iw7kh3ph1 nhwc", "no panel"),
        ("mb2g16ic16oc16ih6iw7kh3ph1 nhwc", "over channels"),  # most of it is border
        ("mb2g16ic16oc16ih9kh5ph2 nhwc", "over channels"),  # many taps
        ("mb2g16ic16oc16ih40kh3ph1 nchw", "along rows"),
        ("mb2g16ic16oc16ih40kh3ph1 nhwc", "no panel"),
        ("mb1g64ic64oc64ih14kh3sh2ph1 nhwc", "no panel"),
        ("mb1g17ic17oc17ih9kh3ph1 nchw", "along rows"),  # no whole vectors
        ("mb1g16ic16oc32ih9kh3ph1 nchw", "along rows"),  # two outputs of a channel
        ("mb1g64ic64oc64ih9kh3ph900 nchw", "along rows"),  # a large panel
    ],
)
def test_where_vectors_run(text: str, way: str) -> None:
    (plan,) = depthwise.plans(parse(f"conv forward {text}"), TARGETS["avx2"], 2)
    assert plan.schedule.startswith(f"{way}, ")


def test_panels_are_wide_where_they_stay_small_and_there_are_enough() -> None:
    def vectors(text: str, level: str = "avx2") -> int:
        (plan,) = depthwise.plans(parse(f"conv forward {text} nhwc"), TARGETS[level], 2)
        assert plan.schedule.startswith("over channels, ")
        return plan.steps[-1].numbers[NUMBERS.index("vectors")]

    assert vectors("mb16g120ic120oc120ih6kh3ph1") == 8
    assert vectors("mb16g120ic120oc120ih6kh3ph1 bf16") == 8
    assert vectors("mb16g120ic120oc120ih6kh3ph1", "tiles") == 4
    assert vectors("mb1g120ic120oc120ih6kh3ph1") == 2  # else threads have few to share
    assert vectors("mb16g120ic120oc120ih28kh5ph2") == 4
    assert vectors("mb16g120ic120oc120ih112kh5ph2") == 2
    assert vectors("mb16g5ic5oc5ih28kh5ph2", "vector128") == 2
    conv = LARGER[-1][0]  # which runs with whole caches, as its number is even
    assert len(LARGER) % 2 == 1
    assert vectors(f"mb{conv.images}g65ic65oc65ih6iw5kh3ph1") == 8


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("images", [1, 3, 7, 8])
def test_images_and_threads_change_no_bits(images: int, stride: tuple[int, int]) -> None:
    conv = Conv(images, HOST.lanes, 1, 1, (19, 14), (3, 3), stride, (1, 1, 1, 1))
    for form in ("nchw", "nhwc"):
        x, w, _ = data("forward", conv, form, images)
        x, w = x + 1 / 3, w * math.pi
        alone = [
            computed("forward", replace(conv, images=1), form, (one, w, None), HOST)
            for one in x.split(1)
        ]
        for threads in (1, 2, 5):
            together = computed("forward", conv, form, (x, w, None), HOST, threads)
            assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("number", range(len(WIDE)))
@pytest.mark.parametrize("signs", ["mixed", "positive", "half"])
def test_wide_images_are_no_long_chains(signs: str, number: int, level: str) -> None:
    conv, form = WIDE[number]
    x, dy = (LAYOUTS[FORMS[form][0]](normal(i, shape)) for i, shape in enumerate((conv.x, conv.y)))
    if signs != "mixed":
        x, dy = (t.abs() if signs == "positive" else t.relu() for t in (x, dy))
    geometry: Any = ([*conv.window], [1, 1], [*conv.padding], [1, 1], conv.groups, False, False)
    ours = computed("weight", conv, form, (x, dy, None), TARGETS[level])[: conv.w[0] * 9]
    truth, theirs = (
        convolution.conv2d_weight_gradient(*tensors, *geometry)[0].flatten()
        for tensors in ((x.double(), dy.double()), (x, dy))
    )
    error, allowed = ((y.double() - truth).norm() / truth.norm() for y in (ours.flatten(), theirs))
    assert float(error) <= 2 * float(allowed)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_bfloat16_is_rounded_once(number: int, direction: str) -> None:
    conv, form = LARGER[number]
    first, second, bias = data(direction, conv, form, number)
    inputs = first.bfloat16(), second.bfloat16(), None if bias is None else bias.bfloat16()
    result = computed(direction, conv, form, inputs, HOST)
    truth = expected(direction, conv, form, inputs)
    assert result.dtype == torch.bfloat16
    np.testing.assert_array_equal(result.float().numpy(), truth.bfloat16().float().numpy())


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
@pytest.mark.parametrize("before", [-3, -1, 0, 1, 2, 7])
def test_every_tap_reaches_its_phase(stride: int, dilation: int, before: int) -> None:
    size = 5
    phases, padding = scattered(size, stride, dilation, before, flip=False)
    seen = {
        (y * stride + r * dilation - before, y, r)
        for y in range(-20, 20)
        for r in range(size)
    }  # fmt: skip
    for h in range(12):
        axis = phases[h % stride]
        taps = {
            (h, h // stride + axis.first + k * axis.step - padding, axis.tap + k * axis.tap_step)
            for k in range(axis.count)
        }
        assert taps == {place for place in seen if place[0] == h}
        assert axis.first >= 0
        assert axis.step > 0


def test_the_check_notices_a_spoiled_tap() -> None:
    conv, form = LARGER[0]
    first, second, bias = data("forward", conv, form, 1)
    truth = expected("forward", conv, form, (first, second, bias))
    second[-1, 0, 2, 2] += 1
    result = computed("forward", conv, form, (first, second, bias), HOST)
    assert not torch.equal(result[:, -1].double(), truth[:, -1])
    assert torch.equal(result[:, :-1].double(), truth[:, :-1])


def test_refusals_say_why() -> None:
    refused = {
        "max ic8ih9kh2": "it takes convolutions, and this is operation 'max'",
        "g2ic8ih9oc8kh3": "it takes one input channel a group, and here 8 channels lie in 2 groups",
    }
    for text, sentence in refused.items():
        assert depthwise.refuses(parse(text), HOST) == sentence
        assert depthwise.plans(parse(text), HOST, 1) == []


def test_memory_is_bounded() -> None:
    for direction in DIRECTIONS:
        for layout in ("nchw", "nhwc"):
            text = f"conv {direction} mb64g96ic96oc96ih1000iw800kh7ph3 {layout}"
            (plan,) = depthwise.plans(parse(text), HOST, 2)
            assert plan.workspace < 2**23, plan.schedule


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("direction", ["forward", "input"])
@pytest.mark.parametrize("size", [5, 9, 40])
def test_no_images_are_planned_and_run(size: int, direction: str, layout: str) -> None:
    problem = parse(f"conv {direction} mb0g16ic16oc16ih{size}kh3ph1 {layout}")
    (plan,) = depthwise.plans(problem, HOST, 2)
    room, w = torch.empty(plan.workspace // 4), torch.ones(16, 9)
    assert ready(plan, HOST)(0, w.data_ptr(), 0, 0, room.data_ptr())


def test_kernels_compile_for_avx512() -> None:
    features = dict.fromkeys(AVX512, True)
    wide = from_features("skylake-avx512", features, False, (2**15, 2**20))
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        pytest.skip("this process does not compile for x86")
    assert wide.lanes == 16
    for direction in DIRECTIONS:
        for layout in ("nchw", "nhwc"):
            problem = parse(f"conv {direction} g48ic48oc48ih40kh3ph1 {layout}")
            (plan,) = depthwise.plans(problem, wide, 2)
            for step in plan.steps:
                text = machine.instructions(step.spec.emit(wide).text(), wide)
                assert "%zmm" in text


@pytest.mark.parametrize("level", TARGETS)
def test_kernels_stay_in_their_tensors(level: str) -> None:
    if reason := guarded.missing():
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, SCRIPT, level], capture_output=True, text=True, timeout=200, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{lines[-1] if lines else 'import'}\n{done.stderr[-2000:]}"
    assert int(lines[-1].split()[0]) == len(lines) - 1 > 50


@pytest.mark.parametrize("columns", [15, 31])
def test_bias_gradients_are_as_exact_where_rows_lie_apart(columns: int) -> None:
    """Sums of numbers of one sign, which show long chains of additions, with and without gaps."""
    x = torch.zeros(32, 8, 112, columns)
    apart = torch.full((32, 8, 112, columns + 1), 0.1)[..., :-1]
    rest = ([3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 8, False, True)
    truth = apart.double().sum((0, 2, 3))
    for dy in (apart, apart.contiguous()):
        _, db = ours.conv2d_weight_gradient(x, dy, *rest)
        assert (db - truth).norm() <= 2e-6 * truth.norm()
