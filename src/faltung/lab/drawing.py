"""A drawing, framed as a network's training images were, and the way back to the drawing."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from faltung.lab.fields import CANVAS, ink_of
from faltung.recognition.framing import Frame, place

_PAPER = 1 / 255  # fainter ink is none


@dataclass(frozen=True)
class Placing:
    """How a network's picture lies on a drawing; lengths are pixels of the drawing.

    Attributes:
        top: Where row 0 of the picture begins; may lie outside of the drawing.
        left: Where column 0 begins.
        down: What one row takes.
        across: What one column takes.
    """

    top: float
    left: float
    down: float
    across: float

    def rows(self, span: range) -> tuple[float, float]:
        """Return where rows of the picture begin and end on the drawing."""
        return self.top + span.start * self.down, self.top + span.stop * self.down

    def columns(self, span: range) -> tuple[float, float]:
        """Return where columns of the picture begin and end on the drawing."""
        return self.left + span.start * self.across, self.left + span.stop * self.across


@dataclass(frozen=True)
class Framed:
    """A drawing as a network sees it.

    Attributes:
        image: uint8 (H, W), bright ink on black.
        placing: Where that lies on the drawing.
        drawn: There is any ink.
    """

    image: Tensor
    placing: Placing
    drawn: bool


def framed(text: str, frame: Frame) -> Framed:
    """Frame a drawing; an empty one becomes an empty picture that covers it.

    Args:
        text: The drawing, as `fields.ink_of` takes it.
        frame: How the network's training images were framed.

    Raises:
        DataError: The text is no drawing.
    """
    ink = ink_of(text)
    rows, columns = (np.flatnonzero((ink > _PAPER).any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        step = CANVAS / frame.size
        empty = torch.zeros(frame.size, frame.size, dtype=torch.uint8)
        return Framed(empty, Placing(0, 0, step, step), False)
    top, left = int(rows[0]), int(columns[0])
    cut = ink[top : rows[-1] + 1, left : columns[-1] + 1]
    lies = place(cut / cut.max(), frame)
    down, across = lies.taken
    begin = top - lies.margin - lies.top * down, left - lies.margin - lies.left * across
    return Framed(lies.image, Placing(*begin, down, across), True)
