"""Finding the character on a grey picture: paper, polarity, threshold, specks, bounding box.

The paper is a smooth surface, a polynomial of degree 2 over the picture, fitted robustly from the
border inwards, so that uneven light does not matter; ink is what differs from it to one side.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from faltung.errors import DataError

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SIDE = 512  # pixels; a picture is searched at this size, then looked at closer
_CLOSE = 128  # pixels; a character found smaller than this is looked at closer
_SMOOTH = 400  # a picture is smoothed by its side over this; less than a stroke is wide
_CONTRAST = 16.0  # least difference of ink from paper, of 255
_NOISE = 4.0  # standard deviations of the paper's noise that ink differs by, at least
_STROKE = 0.5  # share of the contrast of full ink where a stroke is found
_SOFT = 0.1  # share of it where the soft edge of a stroke ends
_SPECK = 0.02  # a piece with less than this share of the largest piece's area is a speck
_MARGIN = 0.05  # pieces on the picture's border are left out where others have this share of area
_SMALLEST = 2e-4  # least area of a character, as a share of the picture's
_DARKEST = 32.0  # paper darker than this is not used to even the light out
_RING = 0.8  # the border, where paper is looked for first, begins at this share of the way out
_POWERS = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0))  # of y and x, in the paper's polynomial

_NOTHING = (
    "no character is found, since nothing stands out from the paper: give a picture of one "
    "character, with more contrast and with paper around it"
)


def find_ink(gray_hw: Floats) -> Floats:
    """Cut the character out of a picture.

    Args:
        gray_hw: Brightness from 0 to 255, (H, W).

    Returns:
        Its ink, from 0 (paper) to 1 (full ink), cut to its bounding box.

    Raises:
        DataError: Nothing stands out from the paper.
    """
    while True:
        scale = min(1.0, _SIDE / max(gray_hw.shape))
        ink = _strokes(_shrunk(gray_hw, scale))
        rows, columns = ndimage.find_objects((ink > 0).astype(np.int8))[0]
        side = max(rows.stop - rows.start, columns.stop - columns.start)
        if scale == 1.0 or side >= _CLOSE:
            cut: Floats = ink[rows, columns]
            return cut
        gray_hw = gray_hw[_around(rows, side, scale), _around(columns, side, scale)]


def thicken(ink_hw: Floats, least: float) -> Floats:
    """Widen strokes that would vanish when the character is made small.

    Args:
        ink_hw: Ink from 0 to 1, (H, W).
        least: Width that strokes shall have on average, in pixels.

    Returns:
        The same array where they have it; else the ink spread by a square, the picture grown by
        as much on every side.
    """
    inside = ndimage.distance_transform_edt(np.pad(ink_hw >= _STROKE, 1))
    # Across a stroke of width w the distances to the paper, 1, 2, .., 2, 1, average (w + 2) / 4.
    width = 4 * float(inside[inside > 0].mean()) - 2
    missing = round((least - width) / 2)
    if missing <= 0:
        return ink_hw
    spread: Floats = ndimage.grey_dilation(np.pad(ink_hw, missing), size=2 * missing + 1)
    return spread


def _around(extent: slice, side: int, scale: float) -> slice:
    """Return the extent in the full picture, with half a side of paper before and after it."""
    start = int((extent.start - side / 2) / scale)
    return slice(max(start, 0), int((extent.stop + side / 2) / scale) + 1)


def _shrunk(gray_hw: Floats, scale: float) -> Floats:
    """Shrink a picture by averaging areas."""
    if scale == 1.0:
        return gray_hw
    height, width = (max(1, round(side * scale)) for side in gray_hw.shape)
    small = Image.fromarray(gray_hw).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def _strokes(gray_hw: Floats) -> Floats:
    """Return the character's ink (H, W) from 0 to 1, with 0 wherever it is not."""
    side = max(gray_hw.shape)
    contrast, noise = _contrast(ndimage.gaussian_filter(gray_hw, side / _SMOOTH))
    least = max(_NOISE * noise, _CONTRAST)
    strong = contrast[contrast > least]
    if not strong.size:
        raise DataError(_NOTHING)
    full = float(strong[strong >= _otsu(strong)].mean())
    pieces = _pieces(contrast > max(least, _STROKE * full))
    near = ndimage.binary_dilation(pieces, iterations=max(1, side // 100))
    shown = near & (contrast > max(2 * noise, _SOFT * full))
    return np.where(shown, np.clip(contrast / full, 0, 1), 0).astype(np.float32)


def _contrast(gray_hw: Floats) -> tuple[Floats, float]:
    """Return how far each pixel is from the paper towards the ink, in evened light, and the noise.

    Ink is on the side of the paper where more is outside the noise. Light multiplies, so that the
    difference is scaled by the local brightness of the paper against its median.
    """
    paper = _paper(gray_hw)
    difference = gray_hw - paper
    noise = 1.4826 * float(np.median(np.abs(difference)))
    outside = np.maximum(np.abs(difference) - 3 * noise, 0)
    if outside[difference < 0].sum() >= outside[difference > 0].sum():
        difference = -difference
    light = np.maximum(paper, _DARKEST)
    return difference * (np.median(light) / light), noise


def _paper(gray_hw: Floats) -> Floats:
    """Fit the brightness of the paper (H, W): Tukey's biweight, on the border, then everywhere."""
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in gray_hw.shape)
    step = max(1, max(gray_hw.shape) // 100)
    few_y, few_x = (axis.ravel() for axis in np.meshgrid(y[::step], x[::step], indexing="ij"))
    values = gray_hw[::step, ::step].ravel()
    terms = np.stack([few_y**i * few_x**j for i, j in _POWERS], 1)
    ring = np.maximum(abs(few_y), abs(few_x)) >= _RING
    solution = np.zeros(len(_POWERS))
    solution[0] = np.median(values[ring])
    for chosen in [ring] * 6 + [np.ones_like(ring)] * 6:
        rest = values - terms @ solution
        spread = max(1.4826 * float(np.median(np.abs(rest[chosen]))), 2.0)
        root = np.where(chosen, np.maximum(1 - (rest / (4.685 * spread)) ** 2, 0), 0)
        solution = np.linalg.lstsq(terms * root[:, None], values * root, rcond=None)[0]
    table = np.zeros((3, 3))
    for (i, j), factor in zip(_POWERS, solution, strict=True):
        table[i, j] = factor
    surface = np.vander(y, 3, increasing=True) @ table @ np.vander(x, 3, increasing=True).T
    return surface.astype(np.float32)


def _otsu(values: Floats) -> float:
    """Return the threshold that parts values into two classes of least variance (Otsu, 1979)."""
    counts, borders = np.histogram(values, 64)
    below = counts.cumsum()[:-1]
    above = counts.sum() - below
    moments = (counts * (borders[:-1] + borders[1:]) / 2).cumsum()
    means_below = moments[:-1] / np.maximum(below, 1)
    means_above = (moments[-1] - moments[:-1]) / np.maximum(above, 1)
    between = below * above * (means_below - means_above) ** 2
    return float(borders[1:-1][between.argmax()])


def _pieces(mask: Mask) -> Mask:
    """Keep the pieces of a character: no specks, and nothing from the margin beside it."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    inner = areas.copy()
    inner[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = 0
    smallest = max(3.0, _SMALLEST * mask.size)
    if inner.max() >= max(smallest, _MARGIN * areas.max()):
        areas = inner
    if areas.max() < smallest:
        raise DataError(_NOTHING)
    kept: Mask = (areas >= max(1.0, _SPECK * areas.max()))[labels]
    return kept
