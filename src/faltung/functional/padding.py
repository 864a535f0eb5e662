"""Padding that repeats the image instead of adding a constant."""

from typing import Literal, TypeAlias, get_args

import torch.nn.functional as tf
from torch import Tensor

from faltung.errors import ArgumentError, ShapeError
from faltung.functional.arguments import AXES
from faltung.geometry import Window

Mode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]


def padding_mode(value: Mode) -> Mode:
    """Return the name of a padding mode.

    Raises:
        ArgumentError: It is not one of torch's.
    """
    if value not in get_args(Mode):
        raise ArgumentError(
            f"padding_mode is {value!r}: it must be 'zeros', 'reflect', 'replicate' or 'circular'"
        )
    return value


def padded(x: Tensor, windows: tuple[Window, Window], mode: str) -> Tensor:
    """Return images (…, H, W) with the padding of the windows filled in from the image itself.

    Args:
        x: Images (N, C, H, W) or (C, H, W).
        windows: Windows along height and width; their `before` and `after` are padded.
        mode: "reflect" mirrors without repeating the edge (1234 → 32123432), "replicate" repeats
            the edge (1234 → 11123444), "circular" continues on the other side (1234 → 34123412).

    Raises:
        ShapeError: The image is too small to be reflected or continued that far.

    Source: `torch.nn.functional.pad`.
    """
    rows, columns = windows
    for (lines, adjective), window, n in zip(AXES, windows, x.shape[-2:], strict=True):
        widest = max(window.before, window.after)
        most = {"reflect": n - 1, "circular": n}.get(mode, widest)
        if widest > most:
            rule = "be smaller than" if mode == "reflect" else "not exceed"
            raise ShapeError(
                f"padding is {widest} {lines} but the image only {n} {adjective}: with "
                f"padding_mode={mode!r} it must {rule} the image; use less padding, or "
                f"padding_mode='replicate'"
            )
    sides = [columns.before, columns.after, rows.before, rows.after]
    return tf.pad(x, sides, mode=mode)
