"""What one unit of a model sees of a real picture: the rectangle it may see, and what counts."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from faltung.analysis import Field, effective_field
from faltung.analysis import receptive_field as fields_of
from faltung.errors import ArgumentError
from faltung.pictures import style
from faltung.pictures.canvas import Canvas
from faltung.pictures.models import batch_for, evaluating
from faltung.pictures.parts import size_of
from faltung.pictures.planes import Floats, levels

WIDE = 13.0  # cells: longer side of a panel
APART = 1.2
FARTHEST = 2  # times the picture: larger fields are said in words only
WASHED = 0.55  # how far the picture under the heat is washed out
HEAT = (0.72, 0.14, 0.0)  # the colour of much energy
SHARE = 0.9  # of the energy, in the caption


def receptive_field(
    model: torch.nn.Module,
    image: Any,
    layer: str,
    row: int | None = None,
    column: int | None = None,
    *,
    samples: int = 8,
    shown_as: Any = None,
) -> Figure:
    """Draw the receptive field of one unit over a picture, and beside it the effective one.

    The rectangle is what the unit can depend on; dashes show where it reaches beyond the picture.
    The heat is the energy of the unit's gradient: what it does depend on, with these weights.

    Args:
        model: Any model that `faltung.summary` takes; it is run in evaluation mode.
        image: What the model takes: (C, H, W), or a batch of one.
        layer: Path of a row of `faltung.summary`.
        row: Row of the unit in the layer's map; None means the one in the middle.
        column: Its column.
        samples: Random directions in channel space that the energy is the mean of.
        shown_as: Grey levels (H, W) or colours (H, W, 3) to draw as the picture; None draws what
            the model takes.

    Returns:
        The figure; its label says size and place of the field.

    Raises:
        ModelError: The model cannot be captured.
        ArgumentError: There is no such layer or unit, or it sees nothing of the picture.
        ShapeError: The image has other axes, or the model does not take it.

    Source: A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural
    Networks" (2019); W. Luo et al., "Understanding the Effective Receptive Field in Deep
    Convolutional Neural Networks" (2016).
    """
    batch = batch_for(model, image)
    with evaluating(model):
        field = _field(fields_of(model, batch), layer)
    unit = _unit(field, row, column)
    rows, columns = field.clipped(*unit)
    if not rows:
        raise ArgumentError(f"unit {unit} of {layer} sees nothing but padding: choose another")
    with evaluating(model):
        energy = effective_field(model, batch, layer, unit, samples=samples)
    picture = levels(batch[0]) if shown_as is None else _as_levels(shown_as)
    canvas = Canvas()
    scale = WIDE / max(field.image)
    size = (field.image[1] * scale, field.image[0] * scale)
    theory = _sizes(field, rows, columns)
    _panel(canvas, 0.0, size, picture)
    _frames(canvas, scale, field, unit)
    left = max(canvas.right, size[0]) + APART
    said = _concentration(energy, len(rows) * len(columns))
    _panel(canvas, left, size, heated(picture, energy))
    canvas.frame(_box(rows, columns, scale, left), style.BLUE, halo=True)
    title = f"unit ({unit[0]}, {unit[1]}) of the {size_of(field.map)} map of {layer}"
    top, bottom = canvas.top - 0.25, canvas.bottom + 0.3
    panels = ((0.0, "what it can see", theory), (left, "what counts", said))
    for edge, name, words in panels:
        canvas.text(edge + size[0] / 2, top, name, down="bottom")
        canvas.text(edge + size[0] / 2, bottom, words, style.SMALL, style.FAINT, down="top")
    canvas.text((canvas.left + canvas.right) / 2, canvas.top - 0.3, title, bold=True, down="bottom")
    return canvas.finished(f"{title}: {theory}; {said}")


def heated(picture: Floats, energy: Floats) -> Floats:
    """Return a picture, washed out and grey, with heat laid over it.

    Args:
        picture: Grey levels (H, W) or colours (H, W, 3), 0 to 1.
        energy: Energy (H, W); its square root, an amplitude, is what is shown.

    Returns:
        Colours (H, W, 3), 0 to 1.
    """
    grey = picture if picture.ndim == 2 else picture.mean(2)
    pale = np.repeat((WASHED + (1 - WASHED) * grey)[..., None], 3, 2)
    most = energy.max()
    share = np.sqrt(energy / most)[..., None] if most > 0 else np.zeros((*energy.shape, 1))
    mixed: Floats = (1 - share) * pale + share * np.array(HEAT)
    return mixed


def _field(fields: tuple[Field, ...], layer: str) -> Field:
    for field in fields:
        if field.path == layer:
            return field
    known = ", ".join(field.path for field in fields)
    raise ArgumentError(f"layer is {layer!r}: the layers that see the image are {known}")


def _unit(field: Field, row: int | None, column: int | None) -> tuple[int, int]:
    places = []
    for name, value, count in zip(("row", "column"), (row, column), field.map, strict=True):
        place = count // 2 if value is None else value
        if not 0 <= place < count:
            raise ArgumentError(
                f"{name} is {place}: the map of {field.path} has {count} {name}s, counted from 0 "
                f"to {count - 1}"
            )
        places.append(place)
    return places[0], places[1]


def _as_levels(pixels: Any) -> Floats:
    """Return pixels 0 to 255 or 0 to 1 as 0 to 1."""
    array = np.asarray(pixels)
    levels_01: Floats = array / 255.0 if array.dtype == np.uint8 else array.astype(np.float64)
    return levels_01


def _sizes(field: Field, rows: range, columns: range) -> str:
    """Return the size of the field in words, and of its part on the picture."""
    clipped = size_of((len(rows), len(columns)))
    if field.rows is None or field.columns is None:
        return f"receptive field {clipped} pixels on the picture"
    whole = size_of((field.rows.size, field.columns.size))
    inside = "" if whole == clipped else f", {clipped} of them on the picture"
    return f"receptive field {whole} pixels{inside}"


def _concentration(energy: Floats, pixels: int) -> str:
    """Return how few pixels hold most of the energy, in words."""
    total = energy.sum()
    if total == 0:
        return "no pixel moves it at this picture"
    held = np.cumsum(np.sort(energy, axis=None)[::-1]) / total
    count = int(np.searchsorted(held, SHARE)) + 1
    return f"{SHARE:.0%} of the gradient's energy on {count / pixels:.1%} of these pixels"


def _panel(canvas: Canvas, left: float, size: tuple[float, float], pixels: Floats) -> None:
    canvas.picture(
        (left, 0.0), size, pixels, cmap="gray", vmin=0, vmax=1, interpolation="antialiased"
    )


def _frames(canvas: Canvas, scale: float, field: Field, unit: tuple[int, int]) -> None:
    """Frame the field, dashed and whole where it reaches beyond the picture."""
    rows, columns = field.clipped(*unit)
    if field.rows is not None and field.columns is not None:
        spans = (field.rows.span(unit[0]), field.columns.span(unit[1]))
        near = all(len(s) <= FARTHEST * n for s, n in zip(spans, field.image, strict=True))
        if near and spans != (rows, columns):
            canvas.frame(_box(*spans, scale), style.RED, dashed=True, halo=True)
    canvas.frame(_box(rows, columns, scale), style.BLUE, halo=True)


def _box(
    rows: range, columns: range, scale: float, left: float = 0.0
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of pixels in a panel that begins at `left`."""
    top, bottom = rows.start * scale, rows.stop * scale
    return left + columns.start * scale, top, left + columns.stop * scale, bottom
