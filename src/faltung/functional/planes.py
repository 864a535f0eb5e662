"""The textbook operations on one plane: cross-correlation and strict convolution."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from faltung.errors import ArgumentError, DtypeError, ShapeError
from faltung.functional import checks
from faltung.functional.convolution import conv2d

Mode: TypeAlias = Literal["valid", "same", "full"]
Plane = TypeVar("Plane", Tensor, npt.NDArray[Any])

MODES: tuple[str, ...] = ("valid", "same", "full")


def correlate2d(image: Plane, kernel: Plane, mode: Mode = "valid") -> Plane:
    """Slide a kernel over a plane and sum the products of overlapping elements.

    The seeds' example, 0x0 + 1x1 + 3x2 + 4x3 = 19:

    >>> import numpy as np
    >>> correlate2d(np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2))
    array([[19, 25],
           [37, 43]])

    Args:
        image: Plane (H, W), an array or a tensor.
        kernel: Plane (R, S), of the same kind; a complex kernel is conjugated.
        mode: "valid" where the kernel lies inside, (H - R + 1, W - S + 1); "same" (H, W), with an
            even kernel's odd element of padding at the end; "full" (H + R - 1, W + S - 1).

    Returns:
        Plane of the same kind as the image, in the common element type.

    Raises:
        ArgumentError: mode is unknown.
        ShapeError: An argument is not one plane, or the kernel is larger than the image ("valid").
        DtypeError: Arrays and tensors are mixed, or the elements cannot be convolved.

    Source: `scipy.signal.correlate2d`; there "valid" swaps the arguments where the kernel is
    larger, here that is an error.
    """
    plane: Plane = _slide("correlate2d", image, kernel, mode, flip=False)
    return plane


def convolve2d(image: Plane, kernel: Plane, mode: Mode = "valid") -> Plane:
    """Turn the kernel by 180 degrees and slide it over a plane: convolution in the strict sense.

    >>> import numpy as np
    >>> convolve2d(np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2))
    array([[ 5, 11],
           [23, 29]])

    Args:
        image: Plane (H, W), an array or a tensor.
        kernel: Plane (R, S), of the same kind.
        mode: As in `correlate2d`; in "same" an even kernel's odd element of padding is at the
            start.

    Returns:
        Plane of the same kind as the image, in the common element type.

    Raises:
        ArgumentError: mode is unknown.
        ShapeError: An argument is not one plane, or the kernel is larger than the image ("valid").
        DtypeError: Arrays and tensors are mixed, or the elements cannot be convolved.

    Source: `scipy.signal.convolve2d`, with the same difference as `correlate2d`.
    """
    plane: Plane = _slide("convolve2d", image, kernel, mode, flip=True)
    return plane


def _slide(operation: str, image: Any, kernel: Any, mode: str, *, flip: bool) -> Any:
    if mode not in MODES:
        raise ArgumentError(f"mode is {mode!r}: it must be 'valid', 'same' or 'full'")
    if isinstance(image, np.ndarray) and isinstance(kernel, np.ndarray):
        return _slide(
            operation, _tensor("image", image), _tensor("kernel", kernel), mode, flip=flip
        ).numpy()
    for name, value in (("image", image), ("kernel", kernel)):
        if not isinstance(value, Tensor):
            raise DtypeError(
                f"{name} is a {type(value).__qualname__}: {operation} takes two NumPy arrays or "
                f"two torch tensors"
            )
        if value.dim() != 2 or 0 in value.shape:
            raise ShapeError(
                f"{name} has shape {checks.shape_of(value)}: {operation} takes planes (H, W) that "
                f"are not empty; for channels and batches use conv2d"
            )
    _require_overlap(image, kernel, mode)
    common = torch.promote_types(image.dtype, kernel.dtype)
    x, w = image.to(common), kernel.to(common)
    w = w if flip else w.conj()
    return conv2d(x[None, None], w[None, None], padding=mode, flip=flip)[0, 0]


def _require_overlap(image: Tensor, kernel: Tensor, mode: str) -> None:
    for axis, adjective in enumerate(("high", "wide")):
        if mode == "valid" and kernel.shape[axis] > image.shape[axis]:
            raise ShapeError(
                f"kernel is {kernel.shape[axis]} {adjective} but image only {image.shape[axis]}: "
                f"in mode 'valid' the kernel lies inside the image; use mode='same' or 'full', or "
                f"swap the arguments"
            )


def _tensor(name: str, array: npt.NDArray[Any]) -> Tensor:
    """Return a copy of an array, of any strides and byte order, as a tensor."""
    native = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    convert = cast("Callable[[npt.NDArray[Any]], Tensor]", torch.from_numpy)
    try:
        return convert(native)
    except TypeError:
        raise DtypeError(
            f"{name} holds elements of type {array.dtype}: torch has no such type; convert it with "
            f"{name}.astype(float)"
        ) from None
