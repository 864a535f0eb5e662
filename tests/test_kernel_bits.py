"""Bits of dense kernels depend neither on the team nor on the company of other images."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agreeing import FORMS, SOME, convs
from convolving import TARGETS, Conv, Way, computed, normal, run
from faltung.compiler import machine
from faltung.compiler.problem import DIRECTIONS
from layouts import LAYOUTS
from strategies import few

several = settings(few, max_examples=5)

LARGER = [
    Conv(3, 1, 24, 65, (17, 19), (3, 3), padding=(1, 1, 1, 1)),
    Conv(3, 2, 40, 16, (14, 13), (5, 3), (2, 1), (2, 2, 1, 1)),
    Conv(3, 1, 65, 40, (12, 12), (1, 1)),
    Conv(5, 1, 3, 17, (33, 30), (7, 7), (2, 2), (3, 3, 3, 3)),
]


def assert_same_for_teams(direction: str, conv: Conv, form: str, level: str, **kind: Any) -> None:
    """Assert that teams of one, two and three threads give the same bits."""
    layouts = FORMS[form]
    first, second = (
        LAYOUTS[layout](normal(i, shape))
        for i, (layout, shape) in enumerate(zip(layouts[:2], conv.shapes(direction), strict=False))
    )
    ways = (Way(TARGETS[level], n, **kind) for n in (1, 2, 3))
    alone, *teams = (
        computed(direction, conv, first, second, way, layout=layouts[2]) for way in ways
    )
    assert not alone.isnan().any()
    assert all(torch.equal(alone, result) for result in teams), f"{direction} {conv}, {form}"


def assert_same_alone(direction: str, conv: Conv, form: str, level: str, **kind: Any) -> None:
    """Assert that every image of a batch is what it is alone, in the batch's memory or its own."""
    layouts, way = FORMS[form], Way(TARGETS[level], **kind)
    batch, weight, shape = conv.shapes(direction)
    first, second = LAYOUTS[layouts[0]](normal(1, batch)), LAYOUTS[layouts[1]](normal(2, weight))
    together = computed(direction, conv, first, second, way, layout=layouts[2])
    single = Conv(1, *list(vars(conv).values())[1:])
    for number in range(conv.images):
        image = first[number : number + 1]
        result = torch.full_like(together, float("nan"))
        run(direction, single, (image, second, result[:1]), None, way)
        assert torch.equal(result[:1], together[number : number + 1]), f"{direction} {conv}, {form}"
        if form in {"nchw", "nhwc"}:
            own = computed(
                direction, single, LAYOUTS[layouts[0]](image), second, way, layout=layouts[2]
            )
            assert torch.equal(own[0], together[number]), f"{direction} {conv}, {form}"
    assert shape[0] == conv.images


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("number", range(len(LARGER)))
def test_threads_do_not_change_larger_problems(number: int, direction: str, level: str) -> None:
    if machine.team_runtime() is None:
        pytest.skip("no OpenMP runtime is loaded in this process, so that there are no teams")
    assert_same_for_teams(direction, LARGER[number], ("nchw", "nhwc")[number % 2], level)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@several
@given(conv=convs(), form=st.sampled_from(SOME))
def test_threads_do_not_change_any_problem(
    direction: str, level: str, conv: Conv, form: str
) -> None:
    if machine.team_runtime() is None:
        pytest.skip("no OpenMP runtime is loaded in this process, so that there are no teams")
    assert_same_for_teams(direction, conv, form, level)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", ["forward", "input"])
@pytest.mark.parametrize("number", range(len(LARGER)))
def test_images_of_larger_batches_are_what_they_are_alone(
    number: int, direction: str, level: str
) -> None:
    assert_same_alone(direction, LARGER[number], ("nchw", "nhwc")[number % 2], level)


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", ["forward", "input"])
@several
@given(conv=convs(), form=st.sampled_from(SOME))
def test_images_of_any_batch_are_what_they_are_alone(
    direction: str, level: str, conv: Conv, form: str
) -> None:
    assert_same_alone(direction, conv, form, level)
