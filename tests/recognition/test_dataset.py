"""Data sets as tensors in three parts that never overlap."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from faltung.errors import ArgumentError, DataError
from faltung.recognition.dataset import Characters, load


def keys(data: Characters) -> list[set[bytes]]:
    parts = (data.train, data.validation, data.test)
    return [{image.tobytes() for image in part.images.numpy()} for part in parts]


def test_digits_are_scikit_learns_and_split_the_same_way_each_time() -> None:
    data = load("digits", 0.1)
    sizes = [len(part.labels) for part in (data.train, data.validation, data.test)]
    assert sum(sizes) == 1797
    assert sizes[2] == 360
    again = load("digits", 0.1)
    assert torch.equal(data.train.images, again.train.images)
    levels = (data.test.images.float() / 255 * 16).round()
    known = {image.astype(np.uint8).tobytes() for image in load_digits().images}
    assert {image.byte().numpy().tobytes() for image in levels[:, 0]} <= known
    assert "13 writers" in data.note


def test_the_parts_share_no_image_and_every_class_is_in_each() -> None:
    data = load("digits", 0.2)
    train, validation, test = keys(data)
    assert not train & validation
    assert not train & test
    assert not validation & test
    for part in (data.train, data.validation, data.test):
        counts = torch.bincount(part.labels, minlength=10)
        assert counts.max() <= 1.3 * counts.min()


def test_mnist_keeps_its_own_test_part(shared_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_DATA", str(shared_mnist.parent))
    data = load("mnist", 0.05)
    assert [len(p.labels) for p in (data.train, data.validation, data.test)] == [57000, 3000, 10000]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train.images.shape[1:] == (1, 28, 28)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_out_of_range_is_said(share: float) -> None:
    with pytest.raises(ArgumentError) as caught:
        load("digits", share)
    assert str(caught.value) == (
        f"validation is {share}: it is the fraction of the training images kept out of training, "
        f"at least 0 and below 1, such as 0.1"
    )


def draw(file: Path, angle: float, shade: int = 0) -> None:
    """Save a picture of a bar at some angle."""
    pixels = np.full((40, 40), 255, np.uint8)
    pixels[8:32, 17:23] = shade
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).rotate(angle, fillcolor=255).save(file)


def folder_of(root: Path, count: int) -> Path:
    for i in range(count):
        draw(root / "up" / f"{i}.png", i * 5)
        draw(root / "flat" / f"{i}.png", 90 + i * 5)
    return root


def test_a_folder_of_class_folders_is_a_data_set(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "bars", 10)
    (root / "up" / "notes.txt").write_text("no picture")
    (root / "up" / ".hidden").write_text("")
    data = load(str(root), 0.2)
    assert data.classes == ("flat", "up")
    assert len(data.test.labels) == 4
    assert sum(len(p.labels) for p in (data.train, data.validation, data.test)) == 20
    assert "Skipped 1 unreadable files: up/notes.txt." in data.note
    first = data.train.images[data.train.labels == 1][0, 0]
    assert first.any(1).sum() > first.any(0).sum()


def test_equal_images_never_lie_on_both_sides(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "bars", 8)
    for i in range(8):
        draw(root / "up" / f"copy-{i}.png", i * 5)
    train, validation, test = keys(load(str(root), 0.2))
    assert not train & test
    assert not train & validation


def test_a_folders_own_split_is_honoured(tmp_path: Path) -> None:
    folder_of(tmp_path / "bars" / "train", 6)
    folder_of(tmp_path / "bars" / "test", 3)
    data = load(str(tmp_path / "bars"), 0.2)
    assert len(data.test.labels) == 6
    assert "6 training images that equal test images are left out" in data.note
    assert not keys(data)[0] & keys(data)[2]


def test_too_few_images_are_said(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "bars", 3)
    with pytest.raises(DataError) as caught:
        load(str(root), 0.2)
    assert str(caught.value) == (
        f"class 'flat' of {root} has 3 different readable images: it needs at least 5; add images "
        f"to it, or remove the sub-folder"
    )


def test_a_folder_without_classes_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(str(tmp_path), 0.2)
    assert str(caught.value) == (
        f"{tmp_path} has 0 sub-folders: a data set has one sub-folder of images for each of at "
        f"least 2 classes; put the images into sub-folders named after their class"
    )


def test_a_class_without_readable_images_is_said(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "bars", 6)
    (root / "zero").mkdir()
    with pytest.raises(DataError) as caught:
        load(str(root), 0.2)
    assert str(caught.value) == (
        f"{root / 'zero'} has no readable image: every class needs some; add images with one "
        f"character each, or remove the sub-folder"
    )
