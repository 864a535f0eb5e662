"""Kernels written for vectors of 16 and 32 registers, on whatever this CPU has.

A CPU with AVX-512 runs them as they are; elsewhere LLVM cuts their vectors in halves or quarters,
so that what is emitted for such a CPU is executed everywhere.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from faltung.compiler import machine
from faltung.geometry import windows
from faltung.ops import kept, ours, ours_pooling
from faltung.ops.theirs import convolution, pooling

CONVOLUTIONS = {  # images, channels, outputs, size, window, stride, padding, dilation, groups
    "dense": (2, 20, 37, (9, 23), (3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 1),
    "strided": (1, 16, 48, (11, 12), (3, 2), [2, 3], [1, 0, 2, 1], [1, 2], 1),
    "pixels": (3, 24, 96, (7, 5), (1, 1), [1, 1], [0, 0, 0, 0], [1, 1], 1),
    "first": (2, 3, 33, (20, 19), (5, 5), [2, 2], [2, 2, 2, 2], [1, 1], 1),
    "planar": (2, 3, 40, (33, 67), (3, 3), [2, 2], [1, 1, 1, 1], [1, 1], 1),
    "planar pixels": (2, 24, 96, (8, 24), (1, 1), [1, 1], [0, 0, 0, 0], [1, 1], 1),
    "padded": (1, 16, 32, (24, 25), (3, 3), [1, 1], [9, 9, 9, 9], [9, 9], 1),
    "woven": (1, 32, 32, (9, 10), (3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 8),
    "groups": (1, 40, 24, (8, 9), (3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 2),
    "few outputs": (2, 20, 3, (9, 40), (3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 1),
    "winograd": (2, 32, 48, (10, 13), (3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 1),
    "depthwise": (2, 20, 20, (9, 40), (3, 3), [1, 1], [1, 1, 1, 1], [1, 1], 20),
    "depthwise strided": (1, 34, 34, (12, 37), (3, 3), [2, 2], [1, 1, 1, 1], [1, 1], 34),
}
POOLS = {  # size, window, stride, padding, dilation, ceil
    "halves": ((12, 38), [2, 2], [2, 2], [0, 0, 0, 0], [1, 1], False),
    "overlapping": ((13, 35), [3, 3], [2, 2], [1, 1, 1, 1], [1, 1], True),
    "dilated": ((9, 20), [3, 2], [1, 1], [1, 1, 0, 1], [2, 1], False),
    "whole": ((7, 7), [7, 7], [7, 7], [0, 0, 0, 0], [1, 1], False),
}
FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


@pytest.fixture(autouse=True)
def wide(anew: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    target = replace(machine.host(), level="avx512", lanes=16, registers=32)
    monkeypatch.setattr(ours, "target", lambda: target)
    kept._kept.clear()
    yield
    kept._kept.clear()


def whole(form: str, *shape: int) -> Tensor:
    random = torch.Generator().manual_seed(sum(shape))
    made = torch.randint(-4, 5, shape, generator=random).float()
    return made.contiguous(memory_format=FORMATS[form])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_and_gradients(name: str, form: str) -> None:
    images, channels, outputs, size, window, *rest, groups = CONVOLUTIONS[name]
    stride, padding, dilation = rest
    geometry: Any = (*rest, groups, False)
    rows, columns = windows(window, stride, padding, dilation)
    result = rows.output(size[0]), columns.output(size[1])
    x, w = whole(form, images, channels, *size), whole(form, outputs, channels // groups, *window)
    dy, bias = whole(form, images, outputs, *result), torch.arange(outputs) % 5 - 2.0
    expected = convolution.conv2d(x, w, bias, *geometry)
    for _ in range(3):  # packed anew, prepared, kept
        assert torch.equal(ours.conv2d(x, w, bias, *geometry), expected)
    back = (dy, w, None, [*size], *geometry)
    assert torch.equal(ours.conv2d_input_gradient(*back), convolution.conv2d_input_gradient(*back))
    apart: Any = (x, dy, [*window], *geometry, True)
    found, right = ours.conv2d_weight_gradient(*apart), convolution.conv2d_weight_gradient(*apart)
    assert torch.equal(found[0], right[0])
    assert torch.equal(found[1], right[1])
    assert None not in ours._known.values()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", POOLS)
def test_pools_and_gradients(name: str, form: str) -> None:
    size, window, stride, padding, dilation, ceil = POOLS[name]
    x = whole(form, 2, 20, *size)
    geometry: Any = (window, stride, padding, dilation, ceil)
    over = windows(*geometry)
    values, at = ours_pooling.extreme("max", x, *geometry)
    expected = pooling.max_pool2d(x, over)
    assert torch.equal(values, expected[0])
    assert torch.equal(at, expected[1])
    assert torch.equal(ours_pooling.extreme_values("max", x, *geometry), values)
    dy = whole(form, *values.shape)
    assert torch.equal(
        ours_pooling.extreme_gradient(dy, at, size, *geometry),
        pooling.extreme_pool2d_gradient(dy, at, [*size]),
    )
    if dilation == [1, 1]:
        rest: Any = (window, stride, padding, ceil, True, 4)
        means = pooling.avg_pool2d(x, over, True, 4)
        assert torch.equal(ours_pooling.avg_pool2d(x, *rest), means)
        gradient = pooling.avg_pool2d_gradient(dy, [*size], over, True, 4)
        assert torch.equal(ours_pooling.avg_pool2d_gradient(dy, [*size], *rest), gradient)
    assert None not in ours._known.values()
