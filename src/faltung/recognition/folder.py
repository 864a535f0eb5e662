"""A folder of pictures as a data set: one sub-folder of images a class.

Either `FOLDER/CLASS/picture.png`, or `FOLDER/train/CLASS/…` with `FOLDER/test/CLASS/…` where the
user has a split already. Names that begin with a dot are ignored.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from faltung.errors import DataError
from faltung.recognition.framing import Frame, frame_file

_WORKERS = 8  # threads that decode; more would only hold more pictures in memory


@dataclass(frozen=True)
class Pictures:
    """The framed pictures below one folder of classes.

    Args:
        classes: Names of the sub-folders, sorted.
        images: uint8 (N, 1, size, size), bright ink on black, in the order of the sorted names.
        labels: int64 (N,), positions in `classes`.
        skipped: The files that could not be read, relative to the folder.
    """

    classes: tuple[str, ...]
    images: Tensor
    labels: Tensor
    skipped: tuple[str, ...]


def has_split(folder: Path) -> bool:
    """Tell whether the folder brings its own split: sub-folders `train` and `test` of classes."""
    return all(
        (folder / part).is_dir() and _visible(folder / part, True) for part in ("train", "test")
    )


def read_pictures(folder: Path, frame: Frame) -> Pictures:
    """Open and frame every picture of a folder of classes.

    Args:
        folder: Holds one sub-folder a class; pictures lie directly in it.
        frame: Where the character shall lie in the image.

    Returns:
        The pictures that could be read, and the names of the others.

    Raises:
        DataError: The folder has fewer than two classes, or a class has no readable picture.
    """
    folders = _visible(folder, True)
    if len(folders) < 2:
        raise DataError(
            f"{folder} has {len(folders)} sub-folders: a data set has one sub-folder of images for "
            f"each of at least 2 classes; put the images into sub-folders named after their class"
        )
    files = [(path, label) for label, sub in enumerate(folders) for path in _visible(sub, False)]
    with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
        framed = list(pool.map(lambda entry: _framed(entry[0], frame), files))
    good = [
        (image, label) for image, (_, label) in zip(framed, files, strict=True) if image is not None
    ]
    skipped = tuple(
        str(path.relative_to(folder))
        for image, (path, _) in zip(framed, files, strict=True)
        if image is None
    )
    _check_every_class(folders, [label for _, label in good])
    return Pictures(
        tuple(sub.name for sub in folders),
        torch.stack([image for image, _ in good]).unsqueeze(1),
        torch.tensor([label for _, label in good], dtype=torch.int64),
        skipped,
    )


def _visible(folder: Path, folders: bool) -> list[Path]:
    """Return the sub-folders or the files of a folder, sorted by name, without hidden ones."""
    entries = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in entries if path.is_dir() == folders)


def _framed(path: Path, frame: Frame) -> Tensor | None:
    """Open and frame one picture; None where that is not possible."""
    try:
        return frame_file(path, frame)
    except DataError:
        return None


def _check_every_class(folders: Sequence[Path], labels: Sequence[int]) -> None:
    """Refuse a class without a readable picture."""
    present = set(labels)
    for label, folder in enumerate(folders):
        if label not in present:
            raise DataError(
                f"{folder} has no readable image: every class needs some; add images with one "
                f"character each, or remove the sub-folder"
            )
