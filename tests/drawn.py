"""Pictures read back: the text and the cells of an SVG, and where text lies on a figure."""

import html
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from faltung.pictures.saving import rendered

SVG = "{http://www.w3.org/2000/svg}"


def svg(figure: Figure) -> str:
    """Return a figure as SVG."""
    return rendered(figure, ".svg").decode()


def texts(figure: Figure) -> list[str]:
    """Return every text on a figure as its SVG names it, in the order it was drawn."""
    return [html.unescape(found) for found in re.findall(r"<!-- (.*?) -->", svg(figure))]


def cells(figure: Figure, name: str) -> dict[tuple[int, int], str]:
    """Return the style of every cell of a named grid, by its row and column."""
    found = {}
    for group in ET.fromstring(svg(figure)).iter(f"{SVG}g"):  # noqa: S314 (our own)
        match = re.fullmatch(rf"{name}-(\d+)-(\d+)", group.get("id", ""))
        if match:
            style = group.find(f"{SVG}path").get("style", "")  # type: ignore[union-attr]
            found[int(match[1]), int(match[2])] = style
    return found


def filled(figure: Figure, name: str, colour: str) -> set[tuple[int, int]]:
    """Return the cells of a named grid that have a colour."""
    return {at for at, style in cells(figure, name).items() if f"fill: {colour}" in style}


def dashed(figure: Figure, name: str) -> set[tuple[int, int]]:
    """Return the cells of a named grid with a dashed edge."""
    return {at for at, style in cells(figure, name).items() if "stroke-dasharray" in style}


def title(file: Path) -> str:
    """Return what screen readers speak of an SVG file."""
    return ET.parse(file).getroot().findtext(f"{SVG}title", "")  # noqa: S314 (our own)


def crowded(figure: Figure) -> list[str]:
    """Return the texts that are cut off by the figure, or lie on another text."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    sheet = figure.bbox
    written = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in written]
    found = [
        word
        for word, box in boxes
        if box.x0 < sheet.x0 or box.y0 < sheet.y0 or box.x1 > sheet.x1 or box.y1 > sheet.y1
    ]
    for number, (word, box) in enumerate(boxes):
        found += [
            f"{word} on {other}"
            for other, there in boxes[number + 1 :]
            if min(box.x1, there.x1) - max(box.x0, there.x0) > 1
            and min(box.y1, there.y1) - max(box.y0, there.y0) > 1
        ]
    return found


def pixels(figure: Figure) -> list[npt.NDArray[np.float64]]:
    """Return the arrays of pixels on a figure, in the order they were drawn."""
    return [np.asarray(image.get_array(), np.float64) for image in figure.axes[0].images]


def computed(line: str) -> tuple[float, list[float]]:
    """Return the first part of an arithmetic `1×2 + 3 = 4 + 1 = 5`, computed, and the others."""
    first, *others = re.split("[=≈]", line.replace("×", "*").replace("−", "-").replace("∞", "inf"))
    names = {"max": max, "min": min, "inf": float("inf")}
    values = [eval(part, {"__builtins__": {}}, names) for part in (first, *others)]  # noqa: S307
    return values[0], values[1:]
