"""What requests are made of: strict models, tables of numbers, drawings, and the page's limits.

A request that is malformed is refused before anything is computed. What a layer itself has a rule
for (stride, padding, groups, ...) is taken as it comes, so that the layer's own sentence answers.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from torch import Tensor

from faltung.errors import ArgumentError, DataError, ShapeError
from faltung.recognition.ink import Floats

SIDE = 32  # rows and columns of an input that the page draws
CHANNELS = 4
TAPS = 11  # rows and columns of a kernel
REACH = 64  # stride, dilation and padding
PADDED = 72  # rows and columns of an input with its padding
CANVAS = 64  # pixels of a side of a drawing

Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Line = Annotated[list[Number], Field(min_length=1, max_length=SIDE)]
Plane = Annotated[list[Line], Field(min_length=1, max_length=SIDE)]
Planes = Annotated[list[Plane], Field(min_length=1, max_length=CHANNELS)]
Short = Annotated[str, StringConstraints(max_length=200)]
Drawing = Annotated[str, StringConstraints(max_length=2 * CANVAS * CANVAS)]
Place = Annotated[int, Field(ge=0, le=10**6)]


class Asked(BaseModel):
    """A request: its fields have their types exactly, and there are no others."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Unavailable(ArgumentError):  # noqa: N818 - it names a state, as the page does
    """Something that only one request at a time may use, and another uses now."""


def table(name: str, planes: Sequence[Any]) -> Tensor:
    """Return nested lists of numbers as a tensor of float64.

    Raises:
        ShapeError: They are no table, since lists beside each other differ in length.
    """
    try:
        return torch.tensor(planes, dtype=torch.float64)
    except ValueError:
        raise ShapeError(
            f"{name} has rows or channels of different sizes: all rows must be equally long, and "
            f"all channels equally large; write zeros out"
        ) from None


def at_most(name: str, value: Any, most: int) -> None:
    """Require whole numbers, nested as they may be, not to be larger than the page draws.

    Raises:
        ArgumentError: One is.
    """
    if isinstance(value, (list, tuple)):
        for part in value[:CHANNELS]:
            at_most(name, part, most)
    elif isinstance(value, (int, float)) and value > most:
        raise ArgumentError(
            f"{name} is {value}: the lab draws at most {most}; use faltung.functional for more"
        )


def ink_of(text: str) -> Floats:
    """Return a drawing as ink from 0 (paper) to 1, (64, 64).

    Args:
        text: A byte a pixel, row by row, in base64.

    Raises:
        DataError: It is no such text.
    """
    try:
        pixels = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError):
        pixels = np.empty(0, np.uint8)
    if pixels.size != CANVAS * CANVAS:
        raise DataError(
            f"drawing is no picture of {CANVAS} x {CANVAS} bytes in base64: send one byte a pixel, "
            f"row by row"
        )
    ink: Floats = pixels.reshape(CANVAS, CANVAS).astype(np.float32) / np.float32(255)
    return ink


def packed(values: Tensor) -> str:
    """Return a tensor's elements as float32, little-endian, in base64."""
    flat = values.detach().float().contiguous().numpy().astype("<f4")
    return base64.b64encode(flat.tobytes()).decode("ascii")
