"""What a model has learned: its kernels, and the feature maps it makes of an image."""

import difflib
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from torch import Tensor

from faltung.errors import ArgumentError, ShapeError
from faltung.functional.arguments import whole
from faltung.pictures import style
from faltung.pictures.arithmetic import shown
from faltung.pictures.canvas import Canvas
from faltung.pictures.models import batch_for, evaluating
from faltung.pictures.parts import size_of
from faltung.pictures.planes import Floats, levels, numbers

MOST = 64
"""Planes that a picture shows unless more or fewer are asked for."""

MOST_CELLS = 8192  # of all kernels of a picture: each is a shape of its own
COLUMNS = 8
PLANE = 2.4  # cells: longer side of a plane
GAP = 0.35
SCALE = 6.0  # cells: length of the colour scale
SHADES = 48


def kernels(source: Any, layer: str | None = None, *, most: int = MOST) -> Figure:
    """Draw kernels, one plane for each pair of output and input channel, all in one scale.

    Args:
        source: Weights (K, C, R, S), as an array or a tensor; or a model.
        layer: Path of a layer of the model, such as `body.0`; None means its first with kernels.
        most: How many planes are drawn at most; the first ones are.

    Returns:
        The figure; its label says how many planes it shows.

    Raises:
        ArgumentError: There is no such layer, or it has no kernels.
        ShapeError: The weights have other axes, or a plane is too large to be drawn.
        DtypeError: They are no real numbers.
    """
    name = "weight"
    if isinstance(source, torch.nn.Module):
        name, source = _weight(source, layer)
    w = numbers(name, source, 4)
    outputs, inputs, rows, columns = w.shape
    if rows * columns > MOST_CELLS:
        raise ShapeError(
            f"{name} has kernels of {size_of((rows, columns))}: at most {MOST_CELLS} numbers can "
            f"be drawn"
        )
    count = min(whole("most", most, 1), outputs * inputs, MOST_CELLS // (rows * columns))
    planes = w.flatten(0, 1)[:count].numpy()
    canvas, side = Canvas(), PLANE / max(rows, columns)
    scale = _scale(planes)
    across = min(inputs, count) if 1 < inputs <= 2 * COLUMNS else min(COLUMNS, count)
    for number, plane in enumerate(planes):
        i, j = divmod(number, across)
        at = (j * (columns * side + GAP), i * (rows * side + GAP))
        faces = [[to_hex(colour) for colour in row] for row in _coloured(plane, scale)]
        canvas.colours(at, side, faces)
        canvas.box((*at, at[0] + columns * side, at[1] + rows * side))
    words = f"{outputs} × {inputs} kernels of {rows}×{columns}"
    return _finished(canvas, name, words, count, outputs * inputs, scale)


def feature_maps(
    model: torch.nn.Module, image: Any, layer: str, *, most: int = MOST, shown_as: Any = None
) -> Figure:
    """Draw an image and the feature maps that a layer of a model makes of it, all in one scale.

    Args:
        model: Any model; it is run once, in evaluation mode.
        image: What the model takes: (C, H, W), or a batch of one.
        layer: Path of a layer, such as `body.0`.
        most: How many maps are drawn at most; the first ones are.
        shown_as: Grey levels (H, W) or colours (H, W, 3) to draw as the image; None draws what
            the model takes, where it has one channel or three.

    Returns:
        The figure; its label says how many maps it shows.

    Raises:
        ModelError: model is no `torch.nn.Module`.
        ArgumentError: There is no such layer, or it makes no maps.
        ShapeError: The image has other axes, or the model does not take it.
    """
    x = batch_for(model, image)
    maps = _maps(model, x, layer)
    count = min(whole("most", most, 1), len(maps))
    drawn = maps[:count].double().cpu().numpy()
    canvas, scale = Canvas(), _scale(drawn)
    high, wide = drawn.shape[1:]
    size = (PLANE * wide / max(high, wide), PLANE * high / max(high, wide))
    top = _image(canvas, x[0], shown_as)
    for number, plane in enumerate(drawn):
        i, j = divmod(number, COLUMNS)
        at = (j * (size[0] + GAP), top + i * (size[1] + GAP))
        canvas.picture(at, size, _coloured(plane, scale))
        canvas.box((*at, at[0] + size[0], at[1] + size[1]))
    words = f"{len(maps)} feature maps of {high}×{wide}"
    return _finished(canvas, layer, words, count, len(maps), scale)


def _maps(model: torch.nn.Module, x: Tensor, path: str) -> Tensor:
    """Return the maps (K, H, W) that a layer makes."""
    found: list[Any] = []
    handle = _layer(model, path).register_forward_hook(lambda _, __, result: found.append(result))
    try:
        with evaluating(model), torch.no_grad():
            model(x)
    except RuntimeError as error:
        if not found:  # what fails behind the layer does not matter here
            reason = str(error).strip().splitlines()[0]
            raise ShapeError(
                f"image has shape {tuple(x.shape[1:])}, which the model does not take ({reason}): "
                f"`faltung summary` explains where it fails"
            ) from None
    finally:
        handle.remove()
    result = found[0] if found else None
    if not isinstance(result, Tensor) or result.dim() != 4:
        what = f"a result of shape {tuple(result.shape)}" if isinstance(result, Tensor) else "none"
        raise ArgumentError(
            f"layer is {path!r}, which gives {what}: feature maps are (N, K, H, W); choose a "
            f"convolution, a pool, or what follows them"
        )
    return result[0]


def _layer(model: torch.nn.Module, path: str) -> torch.nn.Module:
    known: dict[str, torch.nn.Module] = {n: m for n, m in model.named_modules() if n}
    if path not in known:
        close = difflib.get_close_matches(path, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the layers are {', '.join(known)}"
        raise ArgumentError(f"layer is {path!r}, which the model does not have; {hint}")
    return known[path]


def _weight(model: torch.nn.Module, layer: str | None) -> tuple[str, Tensor]:
    """Return the path and the kernels of a layer."""
    having = {
        name: weight
        for name, module in model.named_modules()
        if isinstance(weight := getattr(module, "weight", None), Tensor) and weight.dim() == 4
    }
    if layer is not None:
        _layer(model, layer)
    elif having:
        layer = next(iter(having))
    if layer not in having:
        listed = f"those that have some are {', '.join(having)}" if having else "no layer has"
        raise ArgumentError(f"layer is {layer!r}, which has no kernels (K, C, R, S); {listed}")
    return layer or "the model", having[layer]


def _scale(planes: Floats) -> Normalize:
    """Return the one scale of all planes: around 0 where there are negative numbers."""
    finite = planes[np.isfinite(planes)]
    most = float(np.abs(finite).max()) if finite.size else 1.0
    least = -most if finite.size and finite.min() < 0 else 0.0
    return Normalize(least, most if most > 0 else 1.0)


def _coloured(plane: Floats, scale: Normalize) -> Floats:
    """Return colours (rows, columns, 4): around white with a sign, else from dark to bright."""
    signed = float(scale.vmin or 0.0) < 0
    colours: Floats = mpl.colormaps[style.SIGNED if signed else style.UNSIGNED](scale(plane))
    return colours


def _image(canvas: Canvas, image: Tensor, shown_as: Any) -> float:
    """Draw the image above the maps; return where they begin."""
    pixels = None if shown_as is None else np.asarray(shown_as)
    if pixels is None and len(image) in {1, 3}:
        pixels = levels(image)
    if pixels is None:
        return 0.0
    high, wide = int(pixels.shape[0]), int(pixels.shape[1])
    scale = 2 * PLANE / max(high, wide)
    size = (scale * wide, scale * high)
    canvas.picture((0.0, 0.0), size, pixels, cmap="gray")
    canvas.box((0.0, 0.0, *size))
    canvas.text(size[0] + 0.3, size[1] / 2, f"input {high}×{wide}", style.SMALL, style.FAINT,
                across="left")  # fmt: skip
    return size[1] + 2 * GAP


def _finished(
    canvas: Canvas, name: str, words: str, count: int, total: int, scale: Normalize
) -> Figure:
    """Write the title and the colour scale below the planes."""
    text = words if count == total else f"{words}; the first {count} are shown"
    y = canvas.bottom + 0.6
    y = canvas.lines(canvas.left, y, [name], style.NORMAL, bold=True, across="left")
    y = canvas.lines(canvas.left, y, [text], style.SMALL, style.FAINT, across="left") + 0.35
    least, most = float(scale.vmin or 0.0), float(scale.vmax or 1.0)
    step = SCALE / SHADES
    shades = _coloured(np.linspace(least, most, SHADES)[None], scale)
    canvas.colours((0.0, y), step, [[to_hex(shade) for shade in shades[0]]] * 3, "face", 0.2)
    ends = [least, 0.0, most] if least < 0 else [least, most]
    for place, value in enumerate(ends):
        x = SCALE * place / (len(ends) - 1)
        canvas.text(x, y + 3 * step + 0.1, shown(value), style.SMALL, down="top")
    return canvas.finished(f"{name}: {text}")
