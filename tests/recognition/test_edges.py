"""Edge kernels on pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import signal
from sklearn.datasets import load_sample_image

from faltung.errors import ArgumentError, DataError
from faltung.recognition.edges import KERNELS, edges, parse_kernel, response


@pytest.fixture
def seeds_picture(tmp_path: Path) -> Path:
    pixels = np.full((6, 8), 255, np.uint8)
    pixels[:, 2:6] = 0
    Image.fromarray(pixels).save(tmp_path / "seeds.png")
    return tmp_path / "seeds.png"


def test_the_seeds_picture_has_vertical_edges_only(seeds_picture: Path) -> None:
    saved = np.asarray(Image.open(edges(seeds_picture, "vertical")))
    assert np.array_equal(saved, np.tile([128, 255, 128, 128, 128, 1, 128], (6, 1)))
    flat = np.asarray(Image.open(edges(seeds_picture, "horizontal")))
    assert np.array_equal(flat, np.full((5, 8), 128))


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_a_real_picture_answers_as_scipy_says(kernel: str) -> None:
    gray = load_sample_image("china.jpg").mean(2).astype(np.float32)
    expected = signal.correlate2d(gray.astype(float), np.array(KERNELS[kernel], float), "valid")
    found = response(torch.from_numpy(gray), kernel).numpy()
    assert np.abs(found - expected).max() < 1e-3


def test_the_magnitude_is_the_length_of_the_gradient(tmp_path: Path) -> None:
    source = tmp_path / "china.png"
    Image.fromarray(load_sample_image("china.jpg")).save(source)
    out = edges(source)
    assert out == tmp_path / "china-edges.png"
    gray = np.asarray(Image.open(source).convert("L"), float)
    x, y = (signal.correlate2d(gray, np.array(KERNELS[f"sobel-{a}"]), "valid") for a in "xy")
    length = np.hypot(x, y)
    saved = np.asarray(Image.open(out)).astype(float)
    assert np.abs(saved - 255 * length / length.max()).max() <= 0.51


def test_a_kernel_may_be_written_out() -> None:
    assert parse_kernel("1,0,-1; 2,0,-2").tolist() == [[1, 0, -1], [2, 0, -2]]


MESSAGES = [
    (
        "sobbel",
        "kernel is 'sobbel': it is one of vertical, horizontal, sobel-x, sobel-y, laplacian, "
        "sobel, or numbers with ',' between columns and ';' between rows, such as "
        "'1,0,-1;2,0,-2;1,0,-1'",
    ),
    (
        "1,2;3",
        "kernel '1,2;3' has rows of 2, 1 numbers: all rows must be equally long; write zeros out",
    ),
    (
        "1,nan",
        "kernel '1,nan' has a number that is not finite: use numbers such as 1, -0.5 or 2e3",
    ),
]


@pytest.mark.parametrize(("kernel", "message"), MESSAGES)
def test_a_bad_kernel_is_said_and_nothing_is_written(
    seeds_picture: Path, kernel: str, message: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        edges(seeds_picture, kernel)
    assert str(caught.value) == message
    assert list(seeds_picture.parent.iterdir()) == [seeds_picture]


def test_a_small_picture_is_said(seeds_picture: Path) -> None:
    with pytest.raises(DataError) as caught:
        edges(seeds_picture, ";".join(["1"] * 7))
    assert str(caught.value) == (
        f"{seeds_picture} is 6 x 8 pixels (height x width), smaller than the kernel of 7 x 1: use "
        f"a larger picture or a smaller kernel"
    )


def test_targets_that_cannot_be_are_said(seeds_picture: Path) -> None:
    folder = seeds_picture.parent
    targets = {
        seeds_picture: f"out is {seeds_picture}, the picture itself: it would be overwritten; "
        f"choose another name",
        folder / "no" / "x.png": f"out is {folder / 'no' / 'x.png'}, but there is no folder "
        f"{folder / 'no'}: create it, or choose another",
        folder / "x.xyz": f"out is {folder / 'x.xyz'}: the ending '.xyz' names no image format "
        f"that can be written; use .png",
    }
    for target, message in targets.items():
        with pytest.raises(ArgumentError) as caught:
            edges(seeds_picture, "sobel", target)
        assert str(caught.value) == message
    assert list(folder.iterdir()) == [seeds_picture]
