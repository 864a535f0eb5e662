"""The definitions of all operations as plain loops in float64: what every kernel must agree with.

NumPy only holds the arrays. Nothing of the library is used, the padding arithmetic included: it is
written here a second time, from the design. Letters: N batch, C input channels, K output channels,
H W input, Y X output, R S kernel.

Every operation takes `spoil`, the name of a small mistake to make on purpose: `test_oracle.py`
shows that the comparisons of the test suite notice each of them.

- "tap": the last tap of the window is forgotten.
- "border": what lies outside the input is taken wrongly (value, count or crop).
- "channel": one channel is forgotten, or a neighbour's is read instead.
"""

from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
Pair: TypeAlias = tuple[int, int]
Taps: TypeAlias = list[tuple[int, ...]]
Padding: TypeAlias = int | Pair | tuple[Pair, Pair] | str


def pair(value: int | Pair) -> Pair:
    """Return (vertical, horizontal) of one number for both, or of the pair itself."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def sides(
    padding: Padding, size: Pair, kernel: Pair, stride: Pair, dilation: Pair, *, flip: bool = False
) -> tuple[Pair, Pair]:
    """Return ((top, bottom), (left, right)) for any form of padding."""
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    if not isinstance(padding, str):
        first, second = padding
        if isinstance(first, int) and isinstance(second, int):
            return (first, first), (second, second)
        return padding  # type: ignore[return-value]
    both = [
        _named(padding, *axis, flip=flip)
        for axis in zip(size, kernel, stride, dilation, strict=True)
    ]
    return both[0], both[1]


def _named(rule: str, n: int, k: int, stride: int, dilation: int, *, flip: bool) -> Pair:
    """Return (before, after) of a padding rule along one axis."""
    extent = (k - 1) * dilation + 1
    if rule == "valid":
        return 0, 0
    if rule == "full":
        return extent - 1, extent - 1
    outputs = (n + stride - 1) // stride
    total = (outputs - 1) * stride + extent - n
    if total <= 0:
        return 0, 0
    half, odd = divmod(total, 2)
    start = {"same": flip, "same_upper": False, "same_lower": True}[rule]
    return (half + odd, half) if start else (half, half + odd)


def conv2d(
    x_nchw: ArrayLike,
    w_kcrs: ArrayLike,
    bias: ArrayLike | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    *,
    flip: bool = False,
    spoil: str = "",
) -> Array:
    """Return the cross-correlation (N, K, Y, X); with `flip` the strict convolution."""
    x, w = np.asarray(x_nchw, np.float64), np.asarray(w_kcrs, np.float64)
    step, gap, kernel = pair(stride), pair(dilation), _plane(w)
    around = sides(padding, _plane(x), kernel, step, gap, flip=flip)
    framed = _framed(x, around, 1.0 if spoil == "border" else 0.0)
    shape = (len(x), len(w), *_outputs(_plane(framed), kernel, step, gap))
    image, weight = framed.tolist(), (w[:, :, ::-1, ::-1] if flip else w).tolist()
    taps = _taps(w.shape[1:], spoil)
    offsets = _offsets(bias, len(w))
    y_nkyx = np.zeros(shape)
    for n, k, y, x_ in product(*map(range, shape)):
        first = k // (len(w) // groups) * w.shape[1]
        total = 0.0
        for c, r, s in taps:
            row, column = y * step[0] + r * gap[0], x_ * step[1] + s * gap[1]
            total += image[n][first + c][row][column] * weight[k][c][r][s]
        y_nkyx[n, k, y, x_] = total + offsets[k]
    return y_nkyx


@np.errstate(invalid="ignore")
def conv_transpose2d(
    x_nchw: ArrayLike,
    w_ckrs: ArrayLike,
    bias: ArrayLike | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
    *,
    flip: bool = False,
    spoil: str = "",
) -> Array:
    """Return (N, K, Y, X): every input cell adds its kernel to a canvas, which padding then crops.

    `output_padding` lengthens the canvas at the end. The "same" family gives `input * stride`.
    """
    x, w = np.asarray(x_nchw, np.float64), np.asarray(w_ckrs, np.float64)
    step, gap, kernel = pair(stride), pair(dilation), _plane(w)
    canvas = _canvas(x, w[:, :, ::-1, ::-1] if flip else w, groups, step, gap, spoil)
    extra = pair(output_padding)
    wanted = x.shape[2] * step[0], x.shape[3] * step[1]
    if isinstance(padding, str) and padding.startswith("same"):
        extra = max(wanted[0] - canvas.shape[2], 0), max(wanted[1] - canvas.shape[3], 0)
    (top, bottom), (left, right) = sides(padding, wanted, kernel, step, gap, flip=flip)
    if spoil == "border":
        top, bottom, left, right = top + 1, bottom - 1, left + 1, right - 1
    height = canvas.shape[2] - top - bottom + extra[0]
    width = canvas.shape[3] - left - right + extra[1]
    canvas = np.pad(canvas, ((0, 0), (0, 0), (0, extra[0] + 1), (0, extra[1] + 1)))
    y_nkyx: Array = canvas[:, :, top : top + height, left : left + width]
    y_nkyx += np.array(_offsets(bias, y_nkyx.shape[1])).reshape(1, -1, 1, 1)
    return y_nkyx


def _canvas(x: Array, w_ckrs: Array, groups: int, stride: Pair, gap: Pair, spoil: str) -> Array:
    """Return the canvas, uncropped, to which every cell of `x` has added its kernel."""
    batch, channels, height, width = x.shape
    per_group, rows, columns = w_ckrs.shape[1:]
    canvas = np.zeros(
        (
            batch,
            per_group * groups,
            (height - 1) * stride[0] + (rows - 1) * gap[0] + 1,
            (width - 1) * stride[1] + (columns - 1) * gap[1] + 1,
        )
    )
    inputs = range(channels - 1 if spoil == "channel" else channels)
    taps = _taps((rows, columns), spoil)
    for n, c, k, i, j in product(range(batch), inputs, *map(range, (per_group, height, width))):
        plane = c // (channels // groups) * per_group + k
        for r, s in taps:
            target = n, plane, i * stride[0] + r * gap[0], j * stride[1] + s * gap[1]
            canvas[target] += x[n, c, i, j] * w_ckrs[c, k, r, s]
    return canvas


def local2d(
    x_nchw: ArrayLike,
    w_yxkcrs: ArrayLike,
    bias_kyx: ArrayLike | None = None,
    stride: int | Pair = 1,
    padding: Padding = 0,
    dilation: int | Pair = 1,
    *,
    spoil: str = "",
) -> Array:
    """Return (N, K, Y, X) where every output position has weights and a bias of its own."""
    x, w = np.asarray(x_nchw, np.float64), np.asarray(w_yxkcrs, np.float64)
    height, width, outputs = w.shape[:3]
    y_nkyx = np.zeros((len(x), outputs, height, width))
    for y, x_ in product(range(height), range(width)):
        everywhere = conv2d(x, w[y, x_], None, stride, padding, dilation, spoil=spoil)
        y_nkyx[:, :, y, x_] = everywhere[:, :, y, x_]
    return y_nkyx if bias_kyx is None else y_nkyx + np.asarray(bias_kyx, np.float64)


def correlate2d(
    image: ArrayLike, kernel: ArrayLike, mode: str = "valid", *, spoil: str = ""
) -> Array:
    """Return the textbook correlation; "same" is the centre of "full", as in SciPy."""
    return _textbook(image, kernel, mode, flip=False, spoil=spoil)


def convolve2d(
    image: ArrayLike, kernel: ArrayLike, mode: str = "valid", *, spoil: str = ""
) -> Array:
    """Return the textbook convolution; "same" is the centre of "full", as in SciPy."""
    return _textbook(image, kernel, mode, flip=True, spoil=spoil)


def _textbook(image: ArrayLike, kernel: ArrayLike, mode: str, *, flip: bool, spoil: str) -> Array:
    """Return the "valid" or "full" outputs, or the centre of the latter, as large as the image."""
    x, w = np.asarray(image, np.float64), np.asarray(kernel, np.float64)
    padding = "valid" if mode == "valid" else "full"
    y: Array = conv2d(x[None, None], w[None, None], padding=padding, flip=flip, spoil=spoil)[0, 0]
    if mode != "same":
        return y
    spare = w.shape[0] - 1, w.shape[1] - 1
    top, left = (n // 2 if flip else n - n // 2 for n in spare)
    centre: Array = y[top : top + x.shape[0], left : left + x.shape[1]]
    return centre


def _plane(array: Array) -> Pair:
    """Return the last two sizes."""
    return array.shape[-2], array.shape[-1]


def _framed(x: Array, around: tuple[Pair, Pair], value: float) -> Array:
    """Return `x` with elements of `value` around it."""
    return np.pad(x, ((0, 0), (0, 0), *around), constant_values=value)


def _outputs(framed: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pair:
    """Return how many windows lie wholly in the framed input, along both axes."""
    rows = (framed[0] - (kernel[0] - 1) * dilation[0] - 1) // stride[0] + 1
    return rows, (framed[1] - (kernel[1] - 1) * dilation[1] - 1) // stride[1] + 1


def _taps(sizes: tuple[int, ...], spoil: str) -> Taps:
    """Return all indices into the window; spoiled, without the last tap or the last channel."""
    taps: Taps = list(product(*map(range, sizes)))
    if spoil == "tap":
        return taps[:-1]
    if spoil == "channel" and len(sizes) == 3:
        return [tap for tap in taps if tap[0] < sizes[0] - 1]
    return taps


def _offsets(bias: ArrayLike | None, outputs: int) -> list[float]:
    """Return one number an output channel, zeros without a bias."""
    return [0.0] * outputs if bias is None else np.asarray(bias, np.float64).tolist()
