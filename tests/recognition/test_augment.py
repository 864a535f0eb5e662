"""Random affine maps: exact where they can be, the same from the same generator."""

import pytest
import torch

from faltung.errors import ArgumentError, ShapeError
from faltung.recognition import augment
from faltung.recognition.augment import Augmentation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_ranges_of_zero_change_nothing() -> None:
    x = torch.rand(5, 1, 9, 9)
    assert torch.equal(augment.augment(x, Augmentation(), generator()), x)


def test_a_shift_of_whole_pixels_is_exact() -> None:
    x = torch.rand(1, 1, 8, 8)
    theta = torch.tensor([[[1.0, 0, -2 * 2 / 8], [0, 1, 2 * 1 / 8]]])
    moved = augment.apply(x, theta)
    expected = torch.zeros_like(x)
    expected[..., :7, 2:] = x[..., 1:, :6]
    torch.testing.assert_close(moved, expected)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    x = torch.rand(1, 1, 8, 8)
    theta = torch.tensor([[[0.0, -1, 0], [1, 0, 0]]])
    torch.testing.assert_close(augment.apply(x, theta), torch.rot90(x, 1, (2, 3)))


def test_every_range_moves_something_and_stays_within() -> None:
    x = torch.rand(64, 1, 16, 16)
    for name, value in (("shift", 0.1), ("rotation", 20.0), ("scale", 0.2), ("shear", 10.0)):
        ranges = Augmentation(**{name: value})
        theta = augment.draw(64, ranges, generator())
        assert not torch.equal(augment.apply(x, theta), x)
        if name == "shift":
            assert theta[:, :, 2].abs().max() <= 2 * value
        else:
            assert theta[:, :, 2].abs().max() == 0


def test_slices_are_augmented_as_the_whole() -> None:
    x = torch.rand(10, 1, 8, 8)
    ranges = Augmentation(0.1, 15, 0.1, 5)
    theta = augment.draw(10, ranges, generator(3))
    whole = augment.augment(x, ranges, generator(3))
    torch.testing.assert_close(augment.apply(x[1::2], theta[1::2]), whole[1::2])
    assert torch.equal(augment.draw(10, ranges, generator(3)), theta)
    assert not torch.equal(augment.draw(10, ranges, generator(4)), theta)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ArgumentError) as wrong:
        Augmentation(shift=1.0)
    assert str(wrong.value) == (
        "shift is 1.0: the range of an augmentation is at least 0 and below 1; use 0 to switch it "
        "off"
    )
    with pytest.raises(ShapeError) as oblong:
        augment.apply(torch.zeros(1, 1, 4, 5), torch.zeros(1, 2, 3))
    assert str(oblong.value) == (
        "images have shape (1, 1, 4, 5): they must be (N, C, H, W) and square, since a rotation "
        "turns about both axes alike; pad them to a square"
    )
    with pytest.raises(ShapeError) as few:
        augment.apply(torch.zeros(2, 1, 4, 4), torch.zeros(1, 2, 3))
    assert str(few.value) == (
        "theta has shape (1, 2, 3) but there are 2 images: give one map an image, shape (2, 2, 3); "
        "slice both alike"
    )
