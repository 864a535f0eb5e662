"""Dense sums whose vectors run along rows: values, bits, errors, and what they are taken for."""

from dataclasses import replace
from unittest import mock

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agreeing import assert_agrees, convs
from convolving import COMMON, TARGETS, Conv, Way, computed, normal
from faltung import functional as F
from faltung.compiler import machine, planner
from faltung.compiler.algorithms import planar, planar_plan
from faltung.compiler.problem import parse
from strategies import few
from test_kernel_bits import assert_same_alone, assert_same_for_teams
from test_kernel_mistakes import AVX512
from test_kernel_values import torchs

LEVELS = [level for level in TARGETS if level != "tiles"]
BOTH = ("forward", "input")
PROBLEMS = {  # and the directions in which they are one correlation
    "first": (Conv(2, 1, 3, 33, (17, 41), (3, 3), (2, 2), (1, 1, 1, 1)), BOTH[:1]),
    "thirds": (Conv(1, 1, 2, 7, (14, 70), (5, 4), (4, 3), (2, 1, 3, 0)), BOTH[:1]),
    "groups": (Conv(2, 3, 4, 5, (9, 19), (3, 3), padding=(1, 1, 1, 1), flip=True), BOTH),
    "dilated": (Conv(1, 1, 5, 6, (20, 23), (3, 2), padding=(2, 1, 2, 1), dilation=(2, 3)), BOTH),
    "cropped": (Conv(1, 1, 2, 3, (12, 30), (5, 4), padding=(-1, 1, 0, -2)), BOTH),
    "pixels": (Conv(3, 1, 20, 35, (7, 17), (1, 1)), BOTH),
    "groups of pixels": (Conv(2, 2, 9, 8, (8, 16), (1, 1)), BOTH),
    "rows apart": (Conv(2, 1, 17, 4, (9, 18), (1, 1), (2, 1)), BOTH[:1]),
}  # fmt: skip
CASES = [(name, way) for name, (_, directions) in PROBLEMS.items() for way in directions]
FORWARD = ("nchw", "windows")
"""Forms whose rows lie side by side, without and with bias."""


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "direction"), CASES)
def test_whole_numbers_are_exact(name: str, direction: str, level: str) -> None:
    conv, _ = PROBLEMS[name]
    for number, form in enumerate(FORWARD):
        assert_agrees(direction, conv, form, Way(TARGETS[level], 1 + number, planar=True))


@settings(few, max_examples=20)
@given(conv=convs(), form=st.sampled_from(FORWARD), threads=st.integers(1, 2), data=st.data())
def test_any_problem(conv: Conv, form: str, threads: int, data: st.DataObject) -> None:
    conv = replace(conv, size=(conv.size[0], conv.size[1] + 48))
    direction = data.draw(st.sampled_from(BOTH))
    assume(direction == "forward" or conv.stride == (1, 1))
    assume(conv.window[1] > 1 or conv.stride[1] == 1)  # else the columns lie apart
    target = TARGETS[data.draw(st.sampled_from(LEVELS))]
    with mock.patch.multiple(planar_plan, CHAIN=10**6, POINT=10**6, parted=lambda job: [job]):
        assert_agrees(direction, conv, form, Way(target, threads, planar=True))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "direction"), CASES)
def test_threads_and_images_do_not_change_bits(name: str, direction: str, level: str) -> None:
    if machine.team_runtime() is None:
        pytest.skip("no OpenMP runtime is loaded in this process, so that there are no teams")
    conv, _ = PROBLEMS[name]
    assert_same_for_teams(direction, conv, "nchw", level, planar=True)
    assert_same_alone(direction, conv, "nchw", level, planar=True)


@pytest.mark.parametrize("signs", ["mixed", "positive", "sparse"])
@pytest.mark.parametrize(
    "conv",
    [
        Conv(1, 1, 3, 64, (56, 56), (7, 7), (2, 2), (3, 3, 3, 3)),
        Conv(1, 1, 28, 32, (28, 28), (3, 3), (2, 1), (1, 1, 1, 1)),
        Conv(1, 1, 128, 256, (14, 14), (1, 1)),
    ],
    ids=str,
)
def test_errors_are_no_more_than_twice_torchs(conv: Conv, signs: str) -> None:
    first, second = normal(0, conv.x), normal(1, conv.w)
    if signs == "positive":
        first, second = first.abs(), second.abs()
    if signs == "sparse":
        first = first.relu()
    truth = torchs("forward", conv, first.double(), second.double())
    ours = computed("forward", conv, first, second, Way(machine.host(), planar=True))
    theirs = torchs("forward", conv, first, second)
    error, allowed = (float((y.double() - truth).norm() / truth.norm()) for y in (ours, theirs))
    assert error <= 2 * allowed


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_strange_numbers_stay_in_their_windows(value: float) -> None:
    conv, _ = PROBLEMS["groups"]
    first, second = normal(0, conv.x), normal(1, conv.w)
    first[1, 5, 4, 7] = value
    truth = torchs("forward", conv, first, second)
    ours = computed("forward", conv, first, second, Way(machine.host(), planar=True))
    assert torch.equal(ours.isfinite(), truth.isfinite())


@pytest.mark.parametrize("text", ["ic3ih224oc64kh7sh2ph3", "ic64ih28oc256kh1", "ic24ih56oc144kh1"])
def test_layers_of_few_products_in_nchw_take_it(text: str) -> None:
    assert planner.explain(parse(text), COMMON, 2).plan.algorithm == planar_plan.NAME
    last = planner.explain(parse(f"{text} nhwc"), COMMON, 2).plan
    assert last.algorithm != planar_plan.NAME


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max ic8ih32kh2sh2", "convolutions"),
        ("input ic8ih32oc40kh3sh2ph1", "one correlation"),
        ("ic8ih32oc40kh3ph1 nhwc", "side by side"),
        ("ic29ih32oc40kh3ph1", "256 products"),
        ("ic129ih32oc40kh1", "128 products"),
        ("ic8ih32oc24kh3ph1", "too few"),
        ("ic8ih32iw7oc40kh3ph1", "shorter than a vector"),
        ("ic8ih32oc42kh3ph12dh12", "many lie in padding"),
        ("ic8ih9oc40kh3ph1", "too empty"),
    ],
)
def test_it_says_what_it_does_not_take(text: str, words: str) -> None:
    said = planar_plan.refuses(parse(text), COMMON)
    assert said is not None
    assert words in said


@pytest.mark.parametrize("text", ["ic3ih64oc64kh3sh2ph1 bias relu", "ic64ih28oc256kh1"])
def test_avx512_is_compiled_where_it_cannot_run(text: str) -> None:
    for step in planar_plan.plans(parse(text), AVX512, 2)[0].called:
        made = step.spec.emit(AVX512).text()
        assert len(machine.compile_object(made, AVX512)) > 1000
        assert "zmm" in machine.instructions(made, AVX512)


@pytest.mark.parametrize("threads", [1, 2, 24, 64, 256])
@pytest.mark.parametrize("height", [131, 149, 169, 211])
def test_rows_of_a_plan_are_no_shorter_than_a_vector(height: int, threads: int) -> None:
    problem = parse(f"ic128ih{height}iw1oc32kh1")
    for target in TARGETS.values():
        if planar_plan.refuses(problem, target) is None:
            (plan,) = planar_plan.plans(problem, target, threads)
            columns = plan.steps[0].numbers[planar.SIZES.index("columns")]
            assert columns >= target.lanes


def test_columns_that_lie_apart_are_left_to_others() -> None:
    w, wide = torch.ones(64, 3, 3, 3), torch.arange(3 * 64 * 256.0).view(1, 3, 64, 256) % 7
    for x in (wide[..., ::2], wide.mT, wide[..., :1].expand(1, 3, 64, 128)):
        assert torch.equal(F.conv2d(x, w, stride=2), torch.conv2d(x.contiguous(), w, stride=2))
