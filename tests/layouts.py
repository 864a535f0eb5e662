"""The same values in memory in every way a caller may hand them over."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def _every_other(x: Tensor) -> Tensor:
    """Lay `x` out as a slice with steps of a larger tensor."""
    n, c, h, w = x.shape
    large = x.new_full((n, 2 * c, 2 * h, 3 * w), float("nan"))
    large[:, ::2, 1::2, ::3] = x
    return large[:, ::2, 1::2, ::3]


def _window(x: Tensor) -> Tensor:
    """Lay `x` out as a window into a larger tensor."""
    n, c, h, w = x.shape
    large = x.new_full((n + 1, c + 1, h + 2, w + 3), float("nan"))
    large[1:, 1:, 1:-1, 2:-1] = x
    return large[1:, 1:, 1:-1, 2:-1]


def _window_channels_last(x: Tensor) -> Tensor:
    """Lay `x` out as a window into a larger `channels_last` tensor."""
    n, c, h, w = x.shape
    large = x.new_full((n, h + 2, w + 3, c + 1), float("nan"))
    large[:, 1:-1, 2:-1, 1:] = x.permute(0, 2, 3, 1)
    return large[:, 1:-1, 2:-1, 1:].permute(0, 3, 1, 2)


def _permuted(*order: int) -> Callable[[Tensor], Tensor]:
    """Return a layout whose axes lie in memory in that order."""
    back = [order.index(axis) for axis in range(len(order))]
    return lambda x: x.permute(order).contiguous().permute(back)


def _expanded_batch(x: Tensor) -> Tensor:
    """Repeat the first image without copying it."""
    return x[:1].contiguous().expand(x.shape)


def _expanded_channel(x: Tensor) -> Tensor:
    """Repeat the first channel without copying it."""
    return x[:, :1].contiguous().expand(x.shape)


def _expanded_pixel(x: Tensor) -> Tensor:
    """Repeat the first pixel of every channel without copying it."""
    return x[:, :, :1, :1].contiguous().expand(x.shape)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": torch.Tensor.contiguous,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "every_other": _every_other,
    "window": _window,
    "window_channels_last": _window_channels_last,
    "transposed": _permuted(0, 1, 3, 2),
    "rows_last": _permuted(0, 3, 1, 2),
    "batch_last": _permuted(1, 2, 3, 0),
    "expanded_batch": _expanded_batch,
    "expanded_channel": _expanded_channel,
    "expanded_pixel": _expanded_pixel,
}


def laid_out(
    layout: str, values: Array, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Array]:
    """Return a tensor in that layout, and its values (an expanded layout repeats some of them)."""
    tensor = LAYOUTS[layout](torch.from_numpy(values).to(dtype))
    return tensor, tensor.double().contiguous().numpy()
