"""Convolutional layers whose padding is filled in from the image: reflect, replicate, circular."""

from typing import Any

import pytest
import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung import nn

MODES = ["reflect", "replicate", "circular"]


def images(*shape: int) -> Tensor:
    """Return reproducible random images, of 8 x 7 and 4 channels unless told otherwise."""
    return torch.randn(shape or (2, 4, 8, 7), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [0, 1, (2, 1), "same"], ids=str)
def test_padding_modes_are_torchs(mode: Any, padding: Any) -> None:
    ours = nn.Conv2d(4, 6, 3, padding=padding, padding_mode=mode)
    theirs = torch.nn.Conv2d(4, 6, 3, padding=padding, padding_mode=mode)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(images()), theirs(images()))
    torch.testing.assert_close(ours(images()[0]), theirs(images()[0]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("padding", "flip", "sides"),
    [
        ("same", False, (0, 1, 1, 1)),
        ("same_lower", False, (1, 0, 1, 1)),
        ("same", True, (1, 0, 1, 1)),
        (((2, 0), (0, 3)), True, (0, 3, 2, 0)),
    ],
    ids=str,
)
def test_our_paddings_are_filled_in_from_the_image_too(
    mode: Any, padding: Any, flip: bool, sides: tuple[int, int, int, int]
) -> None:
    layer = nn.Conv2d(4, 6, (3, 2), (2, 1), padding, padding_mode=mode, flip=flip)
    x = images(2, 4, 7, 7)
    weight = layer.weight.flip(2, 3) if flip else layer.weight
    filled = tf.pad(x, sides, mode=mode)
    expected = tf.conv2d(filled, weight, layer.bias, (2, 1))
    torch.testing.assert_close(layer(x), expected)


def test_same_with_a_stride_and_reflection_is_padded_by_hand() -> None:
    layer = nn.Conv2d(4, 6, 3, 2, "same", padding_mode="reflect")
    x = images(2, 4, 8, 7)
    expected = tf.conv2d(tf.pad(x, (1, 1, 0, 1), mode="reflect"), layer.weight, layer.bias, 2)
    assert layer(x).shape[2:] == (4, 4)
    torch.testing.assert_close(layer(x), expected)
