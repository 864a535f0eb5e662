"""A convolution as the matrix it is: sparse, with shared weights, beside the fully connected one.

Flattened row by row, the image becomes a vector, and a convolution the product with a doubly block
Toeplitz matrix: a row for each output, a column for each pixel, the same few weights in every row.
"""

import math
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import Tensor

from faltung.errors import ShapeError
from faltung.functional import conv2d
from faltung.functional.arguments import Padding, Pair
from faltung.pictures import style
from faltung.pictures.arithmetic import shown
from faltung.pictures.canvas import Canvas
from faltung.pictures.parts import label, size_of
from faltung.pictures.planes import Sliding, numbers, readable, slide
from faltung.pictures.style import Look

MOST = 100  # rows and columns of a matrix that can be seen
WIDEST = 16.0  # cells that a matrix may take
READABLE = 0.6  # cells: least side of a cell with a number
MOST_TAPS = 7  # rows and columns of a kernel
GAP = 1.1


def toeplitz(
    kernel: Any,
    image_size: tuple[int, int],
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    flip: bool = False,
) -> Tensor:
    """Return the matrix that does to a flattened image what a convolution does to the image.

    >>> toeplitz([[1, 2]], (1, 3)).tolist()
    [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]]

    Args:
        kernel: Plane (R, S): nested lists, an array or a tensor.
        image_size: Height and width of the image.
        stride: Step of the window.
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps.
        flip: Convolve in the strict sense: the kernel is turned by 180 degrees.

    Returns:
        float64 (Y * X, H * W).

    Raises:
        ArgumentError: A setting breaks its own rule.
        ShapeError: The kernel is no plane, or larger than the padded image.
        DtypeError: It holds no real numbers.
    """
    w = numbers("kernel", kernel, 2)
    size = (w.shape[0], w.shape[1])
    sliding = slide(image_size, size, stride, padding, dilation, flip=flip)
    weights = (w.flip((0, 1)) if flip else w).flatten()
    which = _taps(sliding)
    return torch.where(which >= 0, weights[which.clamp(min=0)], 0.0)


def convolution_matrix(
    image: Any,
    kernel: Any,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    flip: bool = False,
) -> Figure:
    """Draw a convolution as a matrix times the flattened image, beside a fully connected layer.

    Every weight of the kernel has a colour of its own; so has every weight of the fully connected
    layer, where none is shared. The product is compared with `faltung.functional.conv2d`, and the
    largest difference is written below.

    Args:
        image: Plane (H, W): nested lists, an array or a tensor.
        kernel: Plane (R, S).
        stride: Step of the window.
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps.
        flip: Convolve in the strict sense: the kernel is turned by 180 degrees.

    Returns:
        The figure; its label says how many weights and entries there are.

    Raises:
        ArgumentError: A setting breaks its own rule.
        ShapeError: An argument is no plane, the matrix too large to be seen, or the kernel larger
            than the padded image.
        DtypeError: An argument holds no real numbers.
    """
    x, w = numbers("image", image, 2), numbers("kernel", kernel, 2)
    readable("kernel", w.shape, most=MOST_TAPS)
    given: Any = {"stride": stride, "padding": padding, "dilation": dilation, "flip": flip}
    lengths, size = (x.shape[0], x.shape[1]), (w.shape[0], w.shape[1])
    sliding = slide(lengths, size, **given)
    outputs = math.prod(sliding.outputs)
    if max(x.numel(), outputs) > MOST:
        raise ShapeError(
            f"the matrix has {outputs} rows and {x.numel()} columns, one for each output and "
            f"pixel: at most {MOST} of each can be seen in a picture; use a smaller image"
        )
    y = conv2d(x[None], w[None, None], **given)[0]
    matrix, which = toeplitz(w, lengths, **given), _taps(sliding)
    if flip:
        which = torch.where(which >= 0, w.numel() - 1 - which, which)
    difference = float((matrix @ x.flatten() - y.flatten()).abs().max())
    canvas, colours = Canvas(), _colours(w.numel())
    _equation(canvas, (x, w, y), matrix, which, colours)
    words = f"matrix × image = output of conv2d; largest difference {shown(difference)}"
    centre = (canvas.left + canvas.right) / 2
    canvas.lines(centre, canvas.bottom + 0.4, [words], style.SMALL, style.FAINT)
    used = int((which >= 0).sum())
    return canvas.finished(
        f"convolution: {w.numel()} weights, {used} of {matrix.numel()} entries; fully connected: "
        f"{matrix.numel()} weights"
    )


def _taps(sliding: Sliding) -> Tensor:
    """Return which tap of the window, counted by rows, joins each output and pixel; −1 for none."""
    which = torch.full((len(sliding.places()), sliding.height * sliding.width), -1)
    for output, place in enumerate(sliding.places()):
        taps = [at for line in sliding.taps(*place) for at in line]
        for tap, (i, j) in enumerate(taps):
            if sliding.inside(i, j):
                which[output, i * sliding.width + j] = tap
    return which


def _colours(count: int) -> list[str]:
    """Return a light colour for each weight of a kernel."""
    if count <= len(style.TAPS):
        return list(style.TAPS[:count])
    return _different(count, low=0.4)


def _different(count: int, low: float = 0.0) -> list[str]:
    """Return that many colours, in no order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    scale = mpl.colormaps["cividis"]
    return [to_hex(scale(low + (1 - low) * place / max(count - 1, 1))) for place in order]


def _equation(
    canvas: Canvas,
    tensors: tuple[Tensor, Tensor, Tensor],
    matrix: Tensor,
    which: Tensor,
    colours: list[str],
) -> None:
    """Draw kernel, matrix, flattened image and output, and the fully connected matrix."""
    x, w, y = tensors
    rows, columns = matrix.shape
    side = min(1.0, WIDEST / max(rows, columns))
    readers = side >= READABLE
    middle = max(rows, columns) * side / 2
    kernel_looks = [
        [Look(colours[i * w.shape[1] + j]) for j in range(w.shape[1])] for i in range(w.shape[0])
    ]
    texts = [[shown(value) for value in row] for row in w.tolist()]
    at = (0.0, middle - w.shape[0] / 2)
    canvas.grid(*at, texts, kernel_looks, name="kernel")
    label(canvas, *at, w.shape[1], f"kernel {size_of(w.shape)}")
    left = w.shape[1] + GAP + 0.6
    top = middle - rows * side / 2
    faces = [[colours[tap] if tap >= 0 else style.PAPER for tap in row] for row in which.tolist()]
    _cells(canvas, (left, top), side, faces, x.shape[1], y.shape[1])
    if readers:
        _write(canvas, (left, top), side, matrix, which)
    used, taps = int((which >= 0).sum()), w.numel()
    _title(canvas, left + columns * side / 2, top, "convolution",
           f"{taps} weights, shared; {used} of {matrix.numel()} entries")  # fmt: skip
    left = _vector(canvas, left + columns * side + GAP, middle, side, x, "image", "×") + GAP
    left = _vector(canvas, left, middle, side, y, "output", "=") + 2.4 * GAP
    all_colours = _different(matrix.numel())
    own = [all_colours[i * columns : (i + 1) * columns] for i in range(rows)]
    _cells(canvas, (left, top), side, own, x.shape[1], y.shape[1])
    _title(canvas, left + columns * side / 2, top, "fully connected",
           f"{matrix.numel()} weights, each used once")  # fmt: skip


def _cells(
    canvas: Canvas,
    at: tuple[float, float],
    side: float,
    faces: list[list[str]],
    block_columns: int,
    block_rows: int,
) -> None:
    """Draw coloured cells, with thicker lines around the blocks of rows of image and output."""
    rows, columns = len(faces), len(faces[0])
    canvas.colours(at, side, faces, "#d0d0d0", 0.4 * min(1, 2 * side))
    right, bottom = at[0] + columns * side, at[1] + rows * side
    for j in range(0, columns + 1, block_columns):
        x = at[0] + j * side
        canvas.line((x, x), (at[1], bottom), color=style.LINE, solid_capstyle="projecting")
    for i in range(0, rows + 1, block_rows):
        y = at[1] + i * side
        canvas.line((at[0], right), (y, y), color=style.LINE, solid_capstyle="projecting")


def _write(
    canvas: Canvas, at: tuple[float, float], side: float, matrix: Tensor, which: Tensor
) -> None:
    texts = [[shown(value) for value in row] for row in matrix.tolist()]
    size = style.fitting([text for row in texts for text in row], 0.84 * side, style.NORMAL * side)
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            ink = style.INK if which[i, j] >= 0 else "#b0b0b0"
            canvas.text(at[0] + (j + 0.5) * side, at[1] + (i + 0.5) * side, text, size, ink)


def _vector(
    canvas: Canvas, x: float, middle: float, side: float, plane: Tensor, name: str, sign: str
) -> float:
    """Draw a plane flattened to a column, after a sign; return its right edge."""
    count = plane.numel()
    canvas.text(x - GAP / 2, middle, sign, style.SIGN)
    texts = [[shown(value) if side >= READABLE else ""] for value in plane.flatten().tolist()]
    tint = style.BLUE_TINT if name == "image" else style.GREEN_TINT
    at = (x, middle - count * side / 2)
    canvas.grid(*at, texts, [[Look(tint)]] * count, side=side, name=name)
    label(canvas, *at, side, name)
    return x + side


def _title(canvas: Canvas, centre: float, top: float, name: str, words: str) -> None:
    canvas.text(centre, top - 0.95, name, style.NORMAL, bold=True, down="bottom")
    canvas.text(centre, top - 0.3, words, style.SMALL, style.FAINT, down="bottom")
