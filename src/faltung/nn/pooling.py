"""Pooling layers."""

from typing import Any

import torch
from torch import Tensor

from faltung import functional
from faltung.functional.arguments import Padding, Pair, padding_form, pair


def _pool_arguments(
    kernel_size: Pair, stride: Pair | None, padding: Padding, dilation: Pair
) -> None:
    pair("kernel_size", kernel_size)
    pair("stride", kernel_size if stride is None else stride)
    padding_form(padding)
    pair("dilation", dilation)


class MaxPool2d(torch.nn.MaxPool2d):
    """Layer that keeps the maximum of every window; see `faltung.functional.max_pool2d`.

    Args:
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window; None means `kernel_size`.
        padding: Minus infinity around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps.
        return_indices: Also return where each maximum was found.
        ceil_mode: Let a last window hang over the end.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Padding = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        _pool_arguments(kernel_size, stride, padding, dilation)
        super().__init__(kernel_size, stride, padding, dilation, return_indices, ceil_mode)  # type: ignore[arg-type]

    def forward(self, input: Tensor) -> Any:
        """Return maxima (N, C, Y, X), and their positions where `return_indices` is set."""
        y, at = functional.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            return_indices=True,
        )
        return (y, at) if self.return_indices else y


class MinPool2d(torch.nn.Module):
    """Layer that keeps the minimum of every window; see `faltung.functional.min_pool2d`.

    Args:
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window; None means `kernel_size`.
        padding: Plus infinity around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps.
        return_indices: Also return where each minimum was found.
        ceil_mode: Let a last window hang over the end.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Padding = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        _pool_arguments(kernel_size, stride, padding, dilation)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """Return minima (N, C, Y, X), and their positions where `return_indices` is set."""
        y, at = functional.min_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            return_indices=True,
        )
        return (y, at) if self.return_indices else y

    def extra_repr(self) -> str:
        """Return the window as torch's pooling layers describe theirs."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(torch.nn.AvgPool2d):
    """Layer that takes the mean of every window; see `faltung.functional.avg_pool2d`.

    Args:
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window; None means `kernel_size`.
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        ceil_mode: Let a last window hang over the end.
        count_include_pad: Count padding in the divisor.
        divisor_override: Divide by this instead.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        _pool_arguments(kernel_size, stride, padding, 1)
        super().__init__(
            1,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )
        self.kernel_size: Any = kernel_size
        self.stride: Any = kernel_size if stride is None else stride
        self.padding: Any = padding

    def forward(self, input: Tensor) -> Tensor:
        """Return means (N, C, Y, X)."""
        return functional.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )
