"""Edge pictures: a small kernel slid over a real picture, and the response saved as an image.

The picture is taken in grey levels, since an edge is a change of brightness. Only positions where
the kernel lies wholly on the picture are computed (mode `valid`), so that the border of the
picture is not mistaken for an edge; the result is smaller by the kernel's extent minus 1.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from faltung.errors import ArgumentError, DataError
from faltung.functional import correlate2d
from faltung.matrices import parse_matrix
from faltung.recognition.files import replacing
from faltung.recognition.framing import open_image

KERNELS: dict[str, tuple[tuple[float, ...], ...]] = {
    "vertical": ((1, -1),),
    "horizontal": ((1,), (-1,)),
    "sobel-x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel-y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
}
MAGNITUDE = "sobel"
"""Name of the length of the gradient: sqrt(sobel-x ** 2 + sobel-y ** 2)."""


def edges(image: Path, kernel: str = MAGNITUDE, out: Path | None = None) -> Path:
    """Run an edge kernel over a picture and save what it answers.

    A magnitude is saved with 0 as black. Any other response has a sign: 0 becomes mid-grey 128,
    positive is brighter, negative darker. Either way the largest magnitude takes the full range.

    Args:
        image: The picture, of any size and mode that Pillow opens.
        kernel: A name out of `KERNELS`, `sobel` for the magnitude, or numbers: `,` between the
            columns and `;` between the rows, as in `1,0,-1;2,0,-2;1,0,-1`.
        out: Where to save; the ending says the format. Default: `<stem>-edges.png` beside the
            picture. A file that is there is replaced, but never the picture itself.

    Returns:
        The path of the saved image.

    Raises:
        ArgumentError: The kernel is no name and no table of numbers, or `out` cannot be used.
        DataError: The picture cannot be read, or is smaller than the kernel.
    """
    target = image.with_name(f"{image.stem}-edges.png") if out is None else out
    _check_target(image, target)
    if kernel != MAGNITUDE:
        parse_kernel(kernel)
    gray = torch.from_numpy(np.asarray(open_image(image).convert("L"), np.float32))
    picture = to_picture(response(gray, kernel, str(image)), signed=kernel != MAGNITUDE)
    _save(Image.fromarray(picture.numpy()), target)
    return target


def response(gray_hw: Tensor, kernel: str, name: str = "the picture") -> Tensor:
    """Return what an edge kernel answers at every place of a picture.

    Args:
        gray_hw: Grey levels, float (H, W).
        kernel: As in `edges`.
        name: The picture's name, for messages.

    Returns:
        Float tensor (H - R + 1, W - S + 1) for a kernel (R, S).

    Raises:
        ArgumentError: The kernel is no name and no table of numbers.
        DataError: The picture is smaller than the kernel.
    """
    if kernel == MAGNITUDE:
        return torch.hypot(response(gray_hw, "sobel-x", name), response(gray_hw, "sobel-y", name))
    k_rs = parse_kernel(kernel)
    (height, width), (rows, columns) = gray_hw.shape, k_rs.shape
    if height < rows or width < columns:
        raise DataError(
            f"{name} is {height} x {width} pixels (height x width), smaller than the kernel of "
            f"{rows} x {columns}: use a larger picture or a smaller kernel"
        )
    return correlate2d(gray_hw, k_rs.to(gray_hw.dtype))


def parse_kernel(text: str) -> Tensor:
    """Return a kernel by its name or from its numbers.

    Args:
        text: A name out of `KERNELS`, or rows of numbers as in `1,0,-1;2,0,-2;1,0,-1`.

    Returns:
        Float64 tensor (R, S).

    Raises:
        ArgumentError: The text is neither, its rows differ in length, or a number is not finite.
    """
    if text in KERNELS:
        return torch.tensor(KERNELS[text], dtype=torch.float64)
    names = ", ".join([*KERNELS, MAGNITUDE])
    rows = parse_matrix("kernel", text, f"one of {names}, or ")
    return torch.tensor(rows, dtype=torch.float64)


def to_picture(response_yx: Tensor, signed: bool) -> Tensor:
    """Map a response to grey levels.

    Args:
        response_yx: Float (Y, X).
        signed: Whether 0 shall be mid-grey (128 + 127 * r) rather than black (255 * r), with r
            the response divided by its largest magnitude.

    Returns:
        uint8 (Y, X).
    """
    largest = response_yx.abs().max()
    relative = response_yx / largest if largest > 0 else response_yx
    levels = 128 + 127 * relative if signed else 255 * relative
    return levels.round().to(torch.uint8)


def _check_target(image: Path, target: Path) -> None:
    """Refuse a target that is the picture itself, has no folder, or an unknown ending."""
    if target.exists() and image.exists() and target.samefile(image):
        raise ArgumentError(
            f"out is {target}, the picture itself: it would be overwritten; choose another name"
        )
    if not target.parent.is_dir():
        raise ArgumentError(
            f"out is {target}, but there is no folder {target.parent}: create it, or choose another"
        )
    if Image.registered_extensions().get(target.suffix.lower()) not in Image.SAVE:
        raise ArgumentError(
            f"out is {target}: the ending {target.suffix!r} names no image format that can be "
            f"written; use .png"
        )


def _save(picture: Image.Image, target: Path) -> None:
    """Write an image, atomically."""
    with replacing(target) as part:
        picture.save(part, Image.registered_extensions()[target.suffix.lower()])
