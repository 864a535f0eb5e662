"""Convolutional layers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from faltung import functional
from faltung.errors import ArgumentError
from faltung.functional import checks
from faltung.functional.arguments import Padding, Pair, as_torch, padding_form, pair, sliding
from faltung.functional.padding import Mode, padded
from faltung.functional.padding import padding_mode as checked_mode


class Conv2d(torch.nn.Conv2d):
    """Convolutional layer: learned kernels slide over images (N, C, H, W) or (C, H, W).

    Args:
        in_channels: Channels of the input, C.
        out_channels: Channels of the output, K.
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window.
        padding: In any form listed in `faltung.functional`, also "same" with a stride.
        dilation: Distance between neighbouring taps.
        groups: Number of groups of channels.
        bias: Add a learned number to each output channel.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        device: Where the parameters are made.
        dtype: Their element type.
        flip: Convolve in the strict sense: kernels are turned by 180 degrees.

    Raises:
        ArgumentError: A number, the padding or its mode breaks its own rule.
        ShapeError: groups does not divide the channels.

    Source: `torch.nn.Conv2d`, whose parameters and initialisation it has.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Padding = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Mode = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        flip: bool = False,
    ) -> None:
        checks.layer_channels(in_channels, out_channels, groups)
        super().__init__(
            in_channels,
            out_channels,
            pair("kernel_size", kernel_size),
            stride=pair("stride", stride),
            dilation=pair("dilation", dilation),
            groups=groups,
            bias=bias,
            device=device,
            dtype=dtype,
        )
        self.padding = as_torch(padding_form(padding))
        self.padding_mode = checked_mode(padding_mode)
        self.flip = flip

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, padding = input, self.padding
        if self.padding_mode != "zeros":
            x, padding = self._filled(input), (0, 0)
        return functional.conv2d(
            x,
            weight,
            bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            flip=self.flip,
        )

    def _filled(self, input: Tensor) -> Tensor:
        """Return the input with its padding filled in from the image itself."""
        checks.image("conv2d", input)
        windows = sliding(
            input.shape[-2:],
            self.kernel_size,
            self.stride,
            padding_form(self.padding),
            self.dilation,
            mirrored=self.flip,
        )
        return padded(input, windows, self.padding_mode)

    def extra_repr(self) -> str:
        """Return torch's description of the layer, and whether it flips."""
        described: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return described + (", flip=True" if self.flip else "")


class ConvTranspose2d(torch.nn.ConvTranspose2d):
    """Transposed convolutional layer: every element spreads through learned kernels.

    Args:
        in_channels: Channels of the input, C.
        out_channels: Channels of the output, K.
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window in the output.
        padding: What is cropped, in any form listed in `faltung.functional`.
        output_padding: Elements added at the end, less than stride or dilation.
        groups: Number of groups of channels.
        bias: Add a learned number to each output channel.
        dilation: Distance between neighbouring taps.
        padding_mode: "zeros", the only one that has a transpose.
        device: Where the parameters are made.
        dtype: Their element type.
        flip: Transpose the strict convolution.

    Raises:
        ArgumentError: A number, the padding or its mode breaks its own rule.
        ShapeError: groups does not divide the channels.

    Source: `torch.nn.ConvTranspose2d`, whose parameters and initialisation it has.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Padding = 0,
        output_padding: Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Pair = 1,
        padding_mode: Mode = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        flip: bool = False,
    ) -> None:
        checks.layer_channels(in_channels, out_channels, groups)
        if padding_mode != "zeros":
            raise ArgumentError(
                f"padding_mode is {padding_mode!r}: a transposed convolution crops instead of "
                f"padding; use 'zeros'"
            )
        super().__init__(
            in_channels,
            out_channels,
            pair("kernel_size", kernel_size),
            stride=pair("stride", stride),
            output_padding=pair("output_padding", output_padding, 0),
            groups=groups,
            bias=bias,
            dilation=pair("dilation", dilation),
            device=device,
            dtype=dtype,
        )
        self.padding = as_torch(padding_form(padding))
        self.flip = flip

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Return maps (N, K, Y, X), of height and width `output_size` where it is given."""
        return functional.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding if output_size is None else 0,
            self.groups,
            self.dilation,
            output_size=output_size,
            flip=self.flip,
        )

    def extra_repr(self) -> str:
        """Return torch's description of the layer, and whether it flips."""
        described: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return described + (", flip=True" if self.flip else "")
