"""How pictures look: colours, sizes and measured text, the same for all of them.

The colours are tints and shades of those of M. Okabe and K. Ito, "Color Universal Design" (2008),
which people with any kind of colour vision tell apart; nothing is said by colour alone. Every
face has a colour of its own, so that a picture reads the same on a light and on a dark page.
"""

from dataclasses import dataclass
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

FONT = "DejaVu Sans"
"""The font that comes with matplotlib."""

CELL = 0.46
"""Side of a cell of a grid, in inches; pictures are measured in cells."""

POINTS = 72 * CELL
"""Side of a cell in points."""

PAPER = "#ffffff"
INK = "#1a1a1a"
FAINT = "#6b6b6b"
LINE = "#8c8c8c"
BLUE, BLUE_TINT = "#00568a", "#b9def4"
ORANGE, ORANGE_TINT = "#9c4a00", "#fbdcae"
GREEN, GREEN_TINT = "#00664b", "#b4e3d3"
RED = "#b8400b"

SIGN, LARGE, NORMAL, SMALL, TINY = 22.0, 13.0, 11.0, 9.0, 7.0
"""Sizes of text in points."""

TAPS = (
    "#56b4e9",
    "#e69f00",
    "#44b797",
    "#f0e442",
    "#dd9bc0",
    "#e8855a",
    "#6a9fd8",
    "#b3b3b3",
    "#cdb38b",
)
"""Colours of the weights of a small kernel, each light enough for black numbers."""

SIGNED = "RdBu_r"
"""Colour map of values with a sign, white at 0."""

UNSIGNED = "cividis"
"""Colour map of values without."""


@dataclass(frozen=True)
class Look:
    """How a cell of a grid looks.

    Attributes:
        face: Its colour.
        ink: Colour of its text.
        bold: Whether its text is bold.
        dashed: Whether it is padding: a dashed edge.
        corner: Small text in its lower right corner.
    """

    face: str = PAPER
    ink: str = INK
    bold: bool = False
    dashed: bool = False
    corner: str = ""


@lru_cache(maxsize=64)
def font(size: float, bold: bool = False) -> FontProperties:
    """Return the font in a size (points)."""
    return FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")


@lru_cache(maxsize=4096)
def width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a line of text, in cells."""
    extent, _, _ = text_to_path.get_text_width_height_descent(text, font(size, bold), ismath=False)
    return float(extent) / POINTS


def fitting(texts: list[str], room: float, size: float = LARGE, *, bold: bool = False) -> float:
    """Return the size (points), at most `size`, at which every text fits into `room` cells."""
    widest = max((width(text, size, bold) for text in texts), default=0.0)
    return size if widest <= room else size * room / widest
