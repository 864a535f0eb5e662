"""A picture of the user's, reduced to the few numbers that the page draws."""

import threading
from dataclasses import dataclass

import numpy as np
from PIL import Image

from faltung.errors import ArgumentError
from faltung.lab.fields import SIDE
from faltung.recognition.framing import open_image

LARGEST = 16 * 2**20
"""Bytes of a picture that is sent to the page's server, at most."""

_one_at_a_time = threading.Lock()  # a decoded photo takes up to 200 MB


@dataclass(frozen=True)
class Photo:
    """A picture as numbers from 0 to 255.

    Attributes:
        input: Channels of the picture, (1, H, W) in grey levels or (3, H, W) in colour.
    """

    input: list[list[list[float]]]


def reduce(content: bytes, side: int, colour: bool) -> Photo:
    """Reduce a picture to a small table, each number the mean of the pixels it stands for.

    Args:
        content: The file, in any format that Pillow opens.
        side: Rows or columns of the longer side, 2 to 32.
        colour: Keep red, green and blue apart.

    Raises:
        ArgumentError: `side` is out of range.
        DataError: It is no picture, is damaged, or has too many pixels.
    """
    if not 2 <= side <= SIDE:
        raise ArgumentError(f"side is {side}: it must be 2 to {SIDE}, which the lab draws")
    with _one_at_a_time:
        picture = open_image(content, "the photo").convert("RGB" if colour else "L")
        scale = side / max(picture.size)
        size = [max(1, round(length * scale)) for length in picture.size]
        small = picture.resize((size[0], size[1]), Image.Resampling.BOX)
    pixels = np.atleast_3d(np.asarray(small, np.float64)).transpose(2, 0, 1)
    return Photo(pixels.tolist())
