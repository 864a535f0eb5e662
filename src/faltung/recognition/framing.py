"""From an image file to the small picture of one character that a network reads.

Two steps: `open_image` turns any file into an upright opaque 8-bit image, `frame_character` finds
the character on it and places it as the training images were placed.

What MNIST did (LeCun et al., 1998): a character in black and white is scaled, aspect kept, to fit
20 x 20 pixels, where anti-aliasing makes grey levels; then it is moved by whole pixels until its
centre of mass is the centre of 28 x 28 pixels.
"""

import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from scipy import ndimage
from torch import Tensor

from faltung.errors import DataError
from faltung.recognition.ink import Floats, find_ink, thicken

MAX_PIXELS = 50_000_000
"""Images with more pixels than this are refused before they are decoded."""

MAX_BYTES = 8 * MAX_PIXELS
"""Files with more bytes than this are refused: 16 bits for each of 4 channels, uncompressed."""

_NEEDED = "give a PNG, JPEG or another image that Pillow opens"
_warnings_lock = threading.Lock()  # `warnings.catch_warnings` is not safe between threads

_THINNEST = 0.08  # least width of a stroke, as a share of the box; MNIST's have about 0.11
_CARD = 0.5  # share of a transparent picture that is covered where it is a card with writing


@dataclass(frozen=True)
class Frame:
    """Where a character lies in the images of a data set.

    Args:
        size: Side of the square image, in pixels.
        box: Side of the square that the character fits, aspect kept, in pixels.
        centre: What lies at the centre of the image: the character's centre of mass (`mass`) or
            the centre of its bounding box (`box`).
    """

    size: int
    box: int
    centre: Literal["mass", "box"]


@dataclass(frozen=True)
class Placed:
    """A character in its place, and the way back to the ink it was made of.

    Attributes:
        image: uint8 (size, size), bright ink on black.
        top: Row of the image where the character begins.
        left: Column of the image where it begins.
        margin: Pixels by which thickening grew the ink on every side.
        taken: Pixels of thickened ink, (down, across), that one pixel of the image was made of.
    """

    image: Tensor
    top: int
    left: int
    margin: int
    taken: tuple[float, float]


def open_image(source: Path | bytes | BinaryIO, name: str | None = None) -> Image.Image:
    """Read an image file of any format and mode that Pillow knows.

    The first frame is taken, turned upright by its EXIF orientation, brought to 8 bits, and laid
    on paper where it is transparent: paper of its own colour where it is a card with writing on
    it, else white under dark ink and black under bright ink.

    Args:
        source: A path, the content of a file, or a binary stream.
        name: What messages call it; the path by default.

    Returns:
        An image of mode `L` or `RGB`.

    Raises:
        DataError: The file is missing, empty, damaged, no image, or larger than `MAX_PIXELS`.
    """
    title = _title(source, name)
    content = _content(source, title)
    try:
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        raise DataError(_too_large(title, "")) from error
    except Exception as error:  # decoders raise what they like on damaged files
        raise DataError(f"{title} is not an image, or is damaged: {_NEEDED}") from error
    if image.width * image.height > MAX_PIXELS:
        raise DataError(_too_large(title, f" {image.width} x {image.height} pixels,"))
    try:
        image.load()
        return _opaque(ImageOps.exif_transpose(image))
    except Exception as error:  # as above
        raise DataError(f"{title} is cut or damaged ({error}): {_NEEDED}") from error


def frame_file(source: Path | bytes | BinaryIO, frame: Frame, name: str | None = None) -> Tensor:
    """Open an image file and frame its character: `open_image`, then `frame_character`.

    Raises:
        DataError: As these two; the message names the file in any case.
    """
    image = open_image(source, name)
    try:
        return frame_character(image, frame)
    except DataError as error:
        raise DataError(f"{_title(source, name)}: {error}") from error


def frame_character(image: Image.Image, frame: Frame) -> Tensor:
    """Find the character on an image and place it as the training images were placed.

    Args:
        image: Any size and mode; dark on light or light on dark, lit evenly or not. What lies
            along its border must be mostly paper.
        frame: Size of the result and place of the character in it.

    Returns:
        uint8 (size, size), bright ink on black.

    Raises:
        DataError: No character is found.
    """
    ink = find_ink(np.asarray(_opaque(image).convert("L"), np.float32))
    return place(ink, frame).image


def _title(source: Path | bytes | BinaryIO, name: str | None) -> str:
    """Return what messages call a source."""
    return name or (str(source) if isinstance(source, Path) else "the image")


def _content(source: Path | bytes | BinaryIO, title: str) -> bytes:
    """Return the bytes of a file, not more than are allowed."""
    if isinstance(source, bytes):
        content = source
    else:
        try:
            if isinstance(source, Path):
                with source.open("rb") as stream:
                    content = stream.read(MAX_BYTES + 1)
            else:
                content = source.read(MAX_BYTES + 1)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{title} cannot be read ({reason}): {_NEEDED}") from error
    if not content:
        raise DataError(f"{title} is empty (0 bytes): {_NEEDED}")
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{title} has more than {MAX_BYTES:,} bytes: no image that large is read; {_NEEDED}"
        )
    return content


def _too_large(title: str, size: str) -> str:
    return (
        f"{title} has{size} more than the {MAX_PIXELS:,} that are read: scale the image down, or "
        f"cut the character out"
    )


def _opaque(image: Image.Image) -> Image.Image:
    """Bring an image of any mode to `L` or `RGB`, without transparency."""
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_8bit(np.asarray(image, np.float64)))
    if image.mode == "LAB":
        return image.getchannel("L")
    if image.has_transparency_data:
        return _on_paper(image.convert("RGBA"))
    return image.convert("L" if image.mode == "1" else "RGB")


def _to_8bit(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Scale deep grey levels to 0..255, by the least of the usual whites that holds them all."""
    levels = np.nan_to_num(levels, posinf=0, neginf=0)
    low, high = float(levels.min()), float(levels.max())
    black, white = (
        0.0,
        next((white for white in (1.0, 255.0, 4095.0, 65535.0) if high <= white), high),
    )
    if low < 0 or white == high:
        black, white = low, max(high, low + 1)
    scaled: npt.NDArray[np.uint8] = (
        ((levels - black) * (255 / (white - black))).round().astype(np.uint8)
    )
    return scaled


def _on_paper(image: Image.Image) -> Image.Image:
    """Lay an RGBA image on paper: its own colour under a card with writing, else ink's opposite."""
    alpha = np.asarray(image.getchannel("A"), np.float32) / 255
    gray = np.asarray(image.convert("RGB").convert("L"), np.float32)
    covered = alpha > 0.5
    visible = gray[covered] if covered.any() else gray
    level = float(np.median(visible))
    contrast = np.abs(visible - level).max()
    if covered.mean() >= _CARD and contrast >= 64:
        paper = round(level)
    else:
        paper = 0 if level > 127 else 255
    sheet = Image.new("RGBA", image.size, (paper, paper, paper, 255))
    return Image.alpha_composite(sheet, image).convert("RGB")


def place(ink_hw: Floats, frame: Frame) -> Placed:
    """Scale ink to the frame's box and move it to its place, by whole pixels.

    Args:
        ink_hw: Ink from 0 (paper) to 1, cut to its bounding box, (H, W).
        frame: Size of the result and place of the character in it.
    """
    thick_hw = thicken(ink_hw, _THINNEST * max(ink_hw.shape))
    margin = (thick_hw.shape[0] - ink_hw.shape[0]) // 2
    scale = frame.box / max(thick_hw.shape)
    height, width = (max(1, round(side * scale)) for side in thick_hw.shape)
    small = Image.fromarray(thick_hw).resize((width, height), Image.Resampling.BOX)
    character = (np.asarray(small) * 255).round().clip(0, 255).astype(np.uint8)
    if frame.centre == "mass":
        centre = ndimage.center_of_mass(character)
        # In MNIST the centre of mass, rounded, is the pixel (14, 14), not the corner before it.
        corner = [int(np.ceil(frame.size // 2 - 0.5 - mass)) for mass in centre]
    else:
        corner = [(frame.size - side) // 2 for side in (height, width)]
    top = min(max(corner[0], 0), frame.size - height)
    left = min(max(corner[1], 0), frame.size - width)
    placed = np.zeros((frame.size, frame.size), np.uint8)
    placed[top : top + height, left : left + width] = character
    taken = thick_hw.shape[0] / height, thick_hw.shape[1] / width
    return Placed(torch.from_numpy(placed), top, left, margin, taken)
