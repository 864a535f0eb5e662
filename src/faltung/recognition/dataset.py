"""The data sets to train with, as whole tensors in three fixed parts: train, validation, test.

No split depends on the seed of a training, and images that are equal to the last pixel never lie
in two parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from faltung.errors import ArgumentError, DataError
from faltung.recognition.folder import Pictures, has_split, read_pictures
from faltung.recognition.framing import Frame
from faltung.recognition.mnist import load_mnist

_SPLIT_SEED = 0
_TEST_SHARE = 0.2  # of the images, where the source brings no test part of its own
_FEWEST = 5  # different images a class of a folder needs, so that each part gets one
_LISTED = 10  # names of unreadable files that the note lists

DIGITS_FRAME = Frame(8, 8, "box")
MNIST_FRAME = Frame(28, 20, "mass")


@dataclass(frozen=True)
class Split:
    """One part of a data set: images uint8 (N, 1, H, W), bright ink on black; labels int64 (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Characters:
    """A data set of single characters.

    Args:
        name: `digits`, `mnist`, or the name of the folder.
        classes: What the labels stand for.
        train: The part to learn from.
        validation: The part to choose the best weights by; empty where its fraction is 0.
        test: The part held out, to be measured once.
        frame: Where a character lies in the images.
        note: Which split is used, and what to beware of.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    frame: Frame
    note: str


def load(source: str, validation: float) -> Characters:
    """Load a data set.

    Args:
        source: `digits` (comes with scikit-learn), `mnist` (found or fetched), or the path of a
            folder with one sub-folder of images a class (`./digits` for a folder of that name).
        validation: Fraction of every class of the training part that is kept out of training,
            at least 0 and below 1; at least one image a class where it is not 0.

    Returns:
        The three parts.

    Raises:
        ArgumentError: `validation` is out of range, or leaves a class without training images.
        DataError: The source does not exist, cannot be fetched, or has too few images.
    """
    if not 0 <= validation < 1:
        raise ArgumentError(
            f"validation is {validation}: it is the fraction of the training images kept out of "
            f"training, at least 0 and below 1, such as 0.1"
        )
    if source == "digits":
        return _digits(validation)
    if source == "mnist":
        return _mnist(validation)
    return _folder(Path(source).expanduser(), validation)


def hold_out(split: Split, fraction: float) -> tuple[Split, Split]:
    """Part the images of every class at random, the same way each time.

    Equal images stay together, counted once and with the class of the first of them.

    Args:
        split: The images to part.
        fraction: Share of every class to hold out, at least 0 and below 1; where it is not 0,
            at least one image a class is held out.

    Returns:
        The images kept and the images held out, each in their old order.

    Raises:
        ArgumentError: A class would keep no image.
    """
    first = _first_equal(split.images)
    different = np.unique(first)
    labels = split.labels.numpy()
    chosen: list[int] = []
    for label in np.unique(labels[different]) if fraction else ():
        members = different[labels[different] == label]
        count = max(1, round(fraction * len(members)))
        if count >= len(members):
            raise ArgumentError(
                f"class number {label} has {len(members)} different images, and holding out the "
                f"fraction {fraction} takes {count} of them: one at least must remain; hold out "
                f"less, or add images"
            )
        chosen.extend(train_test_split(members, test_size=count, random_state=_SPLIT_SEED)[1])
    held = np.isin(first, chosen)
    return _part(split, ~held), _part(split, held)


def _first_equal(images: Tensor) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return for every image the position of the first one with the same pixels, int64 (N,)."""
    seen: dict[bytes, int] = {}
    pixels = images.numpy()
    return np.array(
        [seen.setdefault(image.tobytes(), i) for i, image in enumerate(pixels)], np.int64
    )


def _part(split: Split, mask: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Split:
    """Return the images where the mask (N,) is true."""
    rows = torch.from_numpy(mask)
    return Split(split.images[rows], split.labels[rows])


def _digits(validation: float) -> Characters:
    """Return scikit-learn's digits; their 17 grey levels 0..16 become round(level * 255 / 16)."""
    bunch = load_digits()
    levels = torch.from_numpy(bunch.images).unsqueeze(1)
    labels = torch.from_numpy(bunch.target).long()
    whole = Split((levels * 255 / 16).round().to(torch.uint8), labels)
    test_rows = train_test_split(
        np.arange(len(labels)), test_size=_TEST_SHARE, random_state=_SPLIT_SEED, stratify=labels
    )[1]
    held = np.isin(np.arange(len(labels)), test_rows)
    train, kept_out = hold_out(_part(whole, ~held), validation)
    test = _part(whole, held)
    note = (
        f"These are the {len(labels)} test images, by 13 writers, of UCI's optical digits (43 "
        f"writers in all), split at random by a fixed seed with {len(test.labels)} held out: the "
        f"same writers are on both sides, so that the accuracy is one for known writers."
    )
    names = tuple(str(name) for name in bunch.target_names)
    return Characters("digits", names, train, kept_out, test, DIGITS_FRAME, note)


def _mnist(validation: float) -> Characters:
    """Return MNIST with its own test part."""
    data = load_mnist()
    train, kept_out = hold_out(Split(data.train_images, data.train_labels), validation)
    test = Split(data.test_images, data.test_labels)
    note = (
        "MNIST's own split: the 10,000 test images are by other writers than the 60,000 training "
        "images, of which the validation part is taken. About 15 labels of the test part are "
        "known to be wrong (Northcutt et al., 2021), so that no honest accuracy reaches 100 %."
    )
    names = tuple(str(digit) for digit in range(10))
    return Characters("mnist", names, train, kept_out, test, MNIST_FRAME, note)


def _folder(folder: Path, validation: float) -> Characters:
    """Return the pictures of a folder, framed as MNIST's, with its own split or one at random."""
    if not folder.is_dir():
        raise DataError(
            f"{str(folder)!r} is neither 'digits' nor 'mnist' nor a folder that exists: name one "
            f"of the two, or a folder with one sub-folder of images a class"
        )
    if has_split(folder):
        pictures, train, test, note = _given_split(folder)
    else:
        pictures = read_pictures(folder, MNIST_FRAME)
        whole = Split(pictures.images, pictures.labels)
        _check_enough(folder, pictures.classes, whole, _FEWEST)
        train, test = hold_out(whole, _TEST_SHARE)
        note = f"{len(test.labels)} of the {len(whole.labels)} images of {folder} are held out, "
        note += "chosen at random in every class by a fixed seed: writers may be on both sides."
        note += _skipped(pictures.skipped)
    train, kept_out = hold_out(train, validation)
    return Characters(folder.name, pictures.classes, train, kept_out, test, MNIST_FRAME, note)


def _given_split(folder: Path) -> tuple[Pictures, Split, Split, str]:
    """Return the two parts of a folder with `train` and `test`, and what is to be said of them."""
    learn = read_pictures(folder / "train", MNIST_FRAME)
    held = read_pictures(folder / "test", MNIST_FRAME)
    if learn.classes != held.classes:
        differing = sorted(set(learn.classes) ^ set(held.classes))
        raise DataError(
            f"{folder} has other classes in train than in test ({', '.join(differing)} in one "
            f"only): both need the same sub-folders; add or remove what differs"
        )
    test = Split(held.images, held.labels)
    known = {image.tobytes() for image in held.images.numpy()}
    fresh = np.array([image.tobytes() not in known for image in learn.images.numpy()])
    train = _part(Split(learn.images, learn.labels), fresh)
    _check_enough(folder / "train", learn.classes, train, 2)
    note = f"The split is the one of {folder}: its sub-folders train and test."
    if not fresh.all():
        note += f" {int((~fresh).sum())} training images that equal test images are left out."
    skipped = [f"train/{name}" for name in learn.skipped]
    return learn, train, test, note + _skipped(skipped + [f"test/{name}" for name in held.skipped])


def _check_enough(folder: Path, classes: Sequence[str], split: Split, fewest: int) -> None:
    """Refuse a class with fewer different images than `fewest`."""
    different = np.unique(_first_equal(split.images))
    counts = np.bincount(split.labels.numpy()[different], minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if count < fewest:
            raise DataError(
                f"class {name!r} of {folder} has {count} different readable images: it needs at "
                f"least {fewest}; add images to it, or remove the sub-folder"
            )


def _skipped(names: Sequence[str]) -> str:
    """Return the sentence on unreadable files, empty where there are none."""
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f" Skipped {len(names)} unreadable files: {', '.join(names[:_LISTED])}{more}."
