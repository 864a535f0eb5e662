"""Reading characters off image files with a trained run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from faltung.errors import DataError
from faltung.recognition.framing import Frame, frame_character, open_image

_BATCH = 256  # images that pass the network at once


@dataclass(frozen=True)
class NamedBytes:
    """The content of an image file that did not come from a path, such as standard input."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Reading:
    """What the network reads in one image.

    Args:
        name: The file as it was given.
        character: The most probable class.
        probabilities: One a class, in the order of the run's classes; they sum to 1.
        image: What the network saw: uint8 (size, size), bright ink on black.
    """

    name: str
    character: str
    probabilities: tuple[float, ...]
    image: Tensor


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be read as an image with a character, and why."""

    name: str
    reason: str


class Opened(Protocol):
    """What prediction needs of a trained run (`faltung.recognition.checkpoint.OpenRun` has it)."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        ...

    @property
    def frame(self) -> Frame:
        """How the images were framed that the network was trained with."""
        ...

    def logits(self, images_n1hw: Tensor, /) -> Tensor:
        """Run the network on uint8 images (N, 1, H, W); returns (N, classes)."""
        ...


def predict(opened: Opened, sources: Sequence[Path | NamedBytes]) -> list[Reading | Unreadable]:
    """Read one character off each image.

    Args:
        opened: The trained run.
        sources: Files, or contents with a name.

    Returns:
        One answer a source, in their order: a file that cannot be read gives an `Unreadable` and
        does not touch the others.
    """
    framed: list[Tensor | Unreadable] = [_framed(source, opened.frame) for source in sources]
    images = [image for image in framed if isinstance(image, Tensor)]
    readings = iter(_probabilities(opened, images))
    answers: list[Reading | Unreadable] = []
    for source, image in zip(sources, framed, strict=True):
        if isinstance(image, Unreadable):
            answers.append(image)
            continue
        row = next(readings)
        character = opened.classes[int(row.argmax())]
        answers.append(Reading(_name(source), character, tuple(row.tolist()), image))
    return answers


def _name(source: Path | NamedBytes) -> str:
    return source.name if isinstance(source, NamedBytes) else str(source)


def _framed(source: Path | NamedBytes, frame: Frame) -> Tensor | Unreadable:
    """Open an image and frame its character, or say why not."""
    content = source.data if isinstance(source, NamedBytes) else source
    try:
        return frame_character(open_image(content, _name(source)), frame)
    except DataError as error:
        return Unreadable(_name(source), str(error))


def _probabilities(opened: Opened, images: Sequence[Tensor]) -> list[Tensor]:
    """Return the probabilities (classes,) of each image (size, size), batch by batch."""
    rows: list[Tensor] = []
    for start in range(0, len(images), _BATCH):
        batch = torch.stack(list(images[start : start + _BATCH])).unsqueeze(1)
        rows.extend(torch.softmax(opened.logits(batch).double().cpu(), dim=1))
    return rows
